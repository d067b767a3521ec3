package fhir_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/schedule"
	"relais/transport/fhir"
)

// peer says where the parts from npm are. Without them the test is skipped, except in CI.
func peer(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("testdata", "peer")
	_, missing := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	_, node := exec.LookPath("node")
	if missing == nil && node == nil {
		return dir
	}
	if os.Getenv("CI") != "" {
		t.Fatal("the FHIR server to test against is not installed: make test installs it")
	}
	t.Skip("needs Node and npm ci in transport/fhir/testdata/peer, which make test does")
	return ""
}

// medplum starts a FHIR server that is not ours and returns its base URL.
func medplum(t *testing.T, env ...string) string {
	t.Helper()
	dir := peer(t)
	cmd := exec.CommandContext(t.Context(), "node", "--no-warnings", "--experimental-websocket", "server.mjs")
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), t.Output()
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stop.Close()
		_ = cmd.Wait() // the end of the test may have killed it
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

// write puts a resource on the server as the clinic's own program would.
func write(t *testing.T, method, address string, body map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s", method, address, resp.StatusCode, text)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

type object = map[string]any

func source(r object) string { return fmt.Sprint(r["resourceType"], "/", r["id"]) }

func refer(to string) object { return object{"reference": to} }

// clinicOn makes a schedule with two slots, the first one booked, and two patients.
func clinicOn(t *testing.T, base string) (slots, patients []object, appointment object) {
	t.Helper()
	create := func(body object) object {
		return write(t, http.MethodPost, base+"/"+body["resourceType"].(string), body)
	}
	doctor := create(object{"resourceType": "Practitioner", "name": []any{object{"text": "Dre Roy"}}})
	place := create(object{"resourceType": "Location", "name": "Rosemont"})
	plan := create(object{"resourceType": "Schedule", "actor": []any{refer(source(doctor)), refer(source(place))}})
	for i, status := range []string{"busy", "free"} {
		start := time.Now().Add(time.Duration(24+i) * time.Hour).Truncate(time.Minute).UTC()
		slots = append(slots, create(object{
			"resourceType": "Slot", "status": status, "schedule": refer(source(plan)),
			"start": start.Format(time.RFC3339), "end": start.Add(20 * time.Minute).Format(time.RFC3339),
		}))
		patients = append(patients, create(object{"resourceType": "Patient", "name": []any{object{"family": "Essai"}}}))
	}
	appointment = create(object{
		"resourceType": "Appointment", "status": "booked", "start": slots[0]["start"], "end": slots[0]["end"], "slot": []any{refer(source(slots[0]))},
		"participant": []any{object{"actor": refer(source(patients[0])), "status": "accepted"}, object{"actor": refer(source(doctor)), "status": "accepted"}},
	})
	return slots, patients, appointment
}

// TestAgainstMedplum runs detection, booking, a double booking and a cancellation against a server
// that we did not write, once as it is and once with transactions that are undone when they fail.
func TestAgainstMedplum(t *testing.T) {
	for name, env := range map[string]string{"as it is": "ATOMIC=", "with rollback": "ATOMIC=1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := medplum(t, env)
			slots, patients, appointment := clinicOn(t, base)
			c, err := fhir.New(fhir.Config{Clinic: "rosemont", BaseURL: base})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			told := make(chan struct{}, 100)
			hooks := httptest.NewServer(fhir.HookHandler(
				func(engine.ClinicID) string { return "un-secret-de-test" },
				func(engine.ClinicID, bool) { told <- struct{}{} }, nil))
			t.Cleanup(hooks.Close)
			if err := c.Subscribe(t.Context(), hooks.URL+"/hooks/fhir/rosemont", "un-secret-de-test"); err != nil {
				t.Fatal(err)
			}

			m := schedule.New()
			obs, err := c.Snapshot(t.Context(), time.Now(), time.Now().AddDate(0, 0, 14))
			if err != nil || len(obs.Slots) != 2 || len(obs.Appointments) != 1 {
				t.Fatalf("%+v %v", obs, err)
			}
			m.Apply(obs, time.Now())

			// The patient cancels at the clinic: we are told, and see it.
			appointment["status"] = "cancelled"
			write(t, http.MethodPut, base+"/"+source(appointment), appointment)
			slots[0]["status"] = "free"
			write(t, http.MethodPut, base+"/"+source(slots[0]), slots[0])
			<-told
			changes, err := c.Changes(t.Context(), obs.Cursor)
			if err != nil {
				t.Fatal(err)
			}
			r := m.Apply(changes, time.Now())
			if len(r.Changes) != 1 {
				t.Fatalf("%+v", r)
			}
			freed, ok := r.Changes[0].(schedule.Freed)
			if !ok || freed.Slot.Source != source(slots[0]) {
				t.Fatalf("%+v", r.Changes[0])
			}

			// The winner is booked, once; the next one is refused and leaves nothing.
			slot := engine.Slot{Source: freed.Slot.Source, Start: freed.Slot.Start, End: freed.Slot.End}
			booked, err := c.Book(t.Context(), engine.Booking{ID: "b1", Slot: slot, Patient: source(patients[0])})
			if err != nil {
				t.Fatal(err)
			}
			if again, err := c.Book(t.Context(), engine.Booking{ID: "b1", Slot: slot, Patient: source(patients[0])}); err != nil || again != booked {
				t.Fatalf("%+v %v", again, err)
			}
			_, err = c.Book(t.Context(), engine.Booking{ID: "b2", Slot: slot, Patient: source(patients[1])})
			wantFault(t, err, engine.DMEConflict)
			obs, err = c.Read(t.Context(), slot.Source)
			if err != nil || obs.Slots[0].Status != engine.SlotBusy || liveOf(obs) != 1 {
				t.Fatalf("%+v %v", obs, err)
			}

			// It is given up again.
			for range 2 {
				if err := c.Cancel(t.Context(), booked.Appointment); err != nil {
					t.Fatal(err)
				}
			}
			obs, err = c.Read(t.Context(), slot.Source)
			if err != nil || obs.Slots[0].Status != engine.SlotFree || liveOf(obs) != 0 {
				t.Fatalf("%+v %v", obs, err)
			}

			// Its CapabilityStatement says nothing: the dry run finds out what it does.
			appointments := len(obs.Appointments)
			got := steps(t, c, true)
			want := engine.CheckWeak
			if env == "ATOMIC=1" {
				want = engine.CheckOK
			}
			if got["dry-run booking"].Verdict != want {
				t.Errorf("%+v", got["dry-run booking"])
			}
			all, err := c.Snapshot(t.Context(), time.Now(), time.Now().AddDate(0, 0, 14))
			if err != nil || len(all.Appointments) != appointments {
				t.Errorf("the dry run left something: %+v %v", all.Appointments, err)
			}
			// What the dry run found is used: on a server that undoes nothing, in steps.
			if _, err := c.Book(t.Context(), engine.Booking{ID: "b3", Slot: slot, Patient: source(patients[1])}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func liveOf(obs engine.Observation) (n int) {
	for _, a := range obs.Appointments {
		if a.Live {
			n++
		}
	}
	return n
}
