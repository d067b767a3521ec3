package fhir_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofhir/fhir/r4"
	"github.com/gofhir/validator/pkg/validator"

	"relais/engine"
	"relais/transport/fhir"
	"relais/transport/sandbox"
)

// written collects everything that a client writes in all of its ways.
func written(t *testing.T) []json.RawMessage {
	t.Helper()
	var mu sync.Mutex
	var all []json.RawMessage
	for name, x := range map[string]struct {
		manner sandbox.Manner
		topics []string
	}{
		"transactions": {},
		"steps":        {manner: sandbox.Manner{NoTransactions: true}},
		"topics":       {topics: []string{"https://dme.example/SubscriptionTopic/slots"}},
	} {
		t.Log("writing with", name)
		w := newWorld(t)
		w.manner(t, x.manner)
		w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				if len(body) > 0 {
					mu.Lock()
					all = append(all, body)
					mu.Unlock()
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			h.ServeHTTP(rw, r)
		})
		c := w.client(t, func(cfg *fhir.Config) { cfg.Topics = x.topics })
		snapshot(t, c)
		booked, err := c.Book(t.Context(), booking("relais-valid", w.line(t, "free"), 3))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Cancel(t.Context(), booked.Appointment); err != nil {
			t.Fatal(err)
		}
		_ = c.Subscribe(t.Context(), "https://relais.example/hooks/fhir/rosemont", "un-secret-de-test") // the sandbox has no topics
		steps(t, c, true)
	}
	// Each resource of a transaction is looked at by itself too.
	for _, raw := range all {
		var b struct {
			Entry []struct {
				Resource json.RawMessage `json:"resource"`
			} `json:"entry"`
		}
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Entry {
			if len(e.Resource) > 0 {
				all = append(all, e.Resource)
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d resources were written", len(all))
	}
	return all
}

// TestWrittenIsValid has two validators that are not ours look at everything that we write, and
// first at something that is wrong.
func TestWrittenIsValid(t *testing.T) {
	dir := peer(t)
	all := append(written(t), json.RawMessage(`{"resourceType":"Slot","status":"libre"}`))
	last := len(all) - 1

	t.Run("npm fhir", func(t *testing.T) {
		t.Parallel()
		var in bytes.Buffer
		for _, raw := range all {
			if err := json.Compact(&in, raw); err != nil {
				t.Fatal(err)
			}
			in.WriteByte('\n')
		}
		cmd := exec.CommandContext(t.Context(), "node", "--no-warnings", "validate.mjs")
		cmd.Dir, cmd.Stdin, cmd.Stderr = dir, &in, t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(lines) != len(all) {
			t.Fatalf("%d answers to %d resources", len(lines), len(all))
		}
		for i, line := range lines {
			if valid := line == "[]"; valid == (i == last) {
				t.Errorf("%s\n%s", line, all[i])
			}
		}
	})
	t.Run("gofhir", func(t *testing.T) {
		t.Parallel()
		v, err := validator.New(validator.WithPackagePath(definitions(t, dir)))
		if err != nil {
			t.Fatal(err)
		}
		for i, raw := range all {
			result, err := v.Validate(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if result.HasErrors() == (i != last) {
				t.Errorf("%+v\n%s", result.Issues, raw)
			}
		}
	})
}

// definitions lays FHIR's own definitions, which npm brings as Bundles, out as the package that the
// validator loads.
func definitions(t *testing.T, peer string) string {
	t.Helper()
	cache := t.TempDir()
	to := filepath.Join(cache, "hl7.fhir.r4.core#4.0.1", "package")
	if err := os.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("package.json", []byte(`{"name":"hl7.fhir.r4.core","version":"4.0.1","fhirVersion":"4.0.1"}`))
	n := 0
	for _, name := range []string{"profiles-types", "profiles-resources", "valuesets", "v3-codesystems", "extension-definitions"} {
		data, err := os.ReadFile(filepath.Join(peer, "node_modules", "@medplum", "definitions", "dist", "fhir", "r4", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var b struct {
			Entry []struct {
				Resource json.RawMessage `json:"resource"`
			} `json:"entry"`
		}
		if err := json.Unmarshal(data, &b); err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Entry {
			n++
			put(strconv.Itoa(n)+".json", e.Resource)
		}
	}
	return cache
}

// TestParsedAlike reads what a record system shows with a library of models that is not ours, and
// compares each fact.
func TestParsedAlike(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	if _, err := c.Book(t.Context(), booking("relais-parse", w.line(t, "free"), 3)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	slots, appointments := map[string]*r4.Slot{}, map[string]*r4.Appointment{}
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: rw}
		h.ServeHTTP(rec, r)
		x, err := r4.UnmarshalResource(rec.Bytes())
		if err != nil {
			t.Error(err)
			return
		}
		b, ok := x.(*r4.Bundle)
		if !ok {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, e := range b.Entry {
			switch x := e.Resource.(type) {
			case *r4.Slot:
				slots["Slot/"+*x.Id] = x
			case *r4.Appointment:
				appointments["Appointment/"+*x.Id] = x
			}
		}
	})
	obs := snapshot(t, c)
	if len(obs.Slots) != len(slots) || len(obs.Appointments) != len(appointments) || len(slots) == 0 {
		t.Fatalf("%d of %d slots, %d of %d appointments", len(obs.Slots), len(slots), len(obs.Appointments), len(appointments))
	}
	statuses := map[string]engine.SlotStatus{"free": engine.SlotFree, "busy": engine.SlotBusy, "busy-unavailable": engine.SlotBlocked}
	for _, f := range obs.Slots {
		x := slots[f.Source]
		if f.Version != *x.Meta.VersionId || f.Status != statuses[string(*x.Status)] || !f.Start.Equal(at(t, *x.Start)) || !f.End.Equal(at(t, *x.End)) {
			t.Errorf("%+v", f)
		}
	}
	for _, f := range obs.Appointments {
		x := appointments[f.Source]
		if f.Version != *x.Meta.VersionId || f.Live != (string(*x.Status) == "booked") || f.Slots[0] != *x.Slot[0].Reference ||
			f.Patient != *x.Participant[0].Actor.Reference || !f.Start.Equal(at(t, *x.Start)) {
			t.Errorf("%+v", f)
		}
		if len(x.Identifier) == 1 != (f.Booking == "relais-parse") {
			t.Errorf("%+v", f)
		}
	}
}

// recorder keeps what is answered.
type recorder struct {
	http.ResponseWriter
	bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.Buffer.Write(p)
	return r.ResponseWriter.Write(p)
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
