package fhir_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/schedule"
	"relais/transport/fhir"
)

func snapshot(t *testing.T, c *fhir.Client) engine.Observation {
	t.Helper()
	obs, err := c.Snapshot(t.Context(), now, now.AddDate(0, 0, 14))
	if err != nil {
		t.Fatal(err)
	}
	return obs
}

func TestSnapshotThenChanges(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, func(cfg *fhir.Config) { cfg.PageSize = 37 })
	obs := snapshot(t, c)
	want := 0
	for _, a := range w.dme.Records()[0].Appointments {
		if !a.Start.Before(now) {
			want++
		}
	}
	if len(obs.Slots) != want || !obs.Complete || len(obs.Appointments) == 0 {
		t.Fatalf("%d slots, want %d; %d appointments", len(obs.Slots), want, len(obs.Appointments))
	}
	for _, s := range obs.Slots {
		if s.Practitioner != "roy" && s.Practitioner != "cote" || s.Place != "lieu" || s.Specialty != "dermatology" || s.Version != "1" || s.Start.Location() != time.UTC {
			t.Fatalf("%+v", s)
		}
	}
	m := schedule.New()
	m.Apply(obs, now)
	a := w.line(t, "booked")
	if err := w.dme.Cancel("rosemont", a.ID); err != nil {
		t.Fatal(err)
	}
	changes, err := c.Changes(t.Context(), obs.Cursor)
	if err != nil {
		t.Fatal(err)
	}
	r := m.Apply(changes, now)
	if len(r.Changes) != 1 {
		t.Fatalf("%d changes: %+v", len(r.Changes), r.Changes)
	}
	freed, ok := r.Changes[0].(schedule.Freed)
	if !ok || freed.Slot.Source != "Slot/"+a.Slot || freed.Appointment != "Appointment/"+a.ID {
		t.Fatalf("%+v", r.Changes[0])
	}
	again, err := c.Changes(t.Context(), changes.Cursor)
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Apply(again, now); len(r.Changes)+len(r.Touched) != 0 {
		t.Fatalf("the overlap told twice: %+v", r)
	}
	if r := m.Apply(snapshot(t, c), now); len(r.Changes) != 0 || r.Implausible != "" {
		t.Fatalf("the next snapshot disagrees: %+v", r)
	}
}

func TestRead(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	a := w.line(t, "booked")
	obs, err := c.Read(t.Context(), "Slot/"+a.Slot)
	if err != nil || len(obs.Slots) != 1 || obs.Slots[0].Status != engine.SlotBusy || len(obs.Appointments) != 1 || !obs.Appointments[0].Live {
		t.Fatalf("%+v %v", obs, err)
	}
	obs, err = c.Read(t.Context(), "Slot/nowhere")
	if err != nil || len(obs.Slots) != 1 || obs.Slots[0].Status != engine.SlotGone {
		t.Fatalf("%+v %v", obs, err)
	}
	for _, bad := range []string{"", "Slot", "Slot/a/b", "Slot/..", "../Slot/a", "Slot/a?x=y"} {
		_, err := c.Read(t.Context(), bad)
		if err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestBookAndCancel(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	m := schedule.New()
	obs := snapshot(t, c)
	m.Apply(obs, now)
	a := w.line(t, "free")
	b := booking("relais-1", a, 5)
	booked, err := c.Book(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Book(t.Context(), b); err != nil || again != booked {
		t.Fatalf("the same booking again: %+v %v, want %+v", again, err, booked)
	}
	_, err = c.Book(t.Context(), booking("relais-2", a, 6))
	wantFault(t, err, engine.DMEConflict)

	changes, err := c.Changes(t.Context(), obs.Cursor)
	if err != nil {
		t.Fatal(err)
	}
	r := m.Apply(changes, now)
	if len(r.Changes) != 1 || r.Changes[0].(schedule.Occupied).Booking != "relais-1" {
		t.Fatalf("%+v", r.Changes)
	}
	if on, _ := m.Occupant("Slot/" + a.Slot); on.Patient != "Patient/p5" || on.Source != booked.Appointment {
		t.Fatalf("%+v", on)
	}
	for range 2 { // the second time it is cancelled already
		if err := c.Cancel(t.Context(), booked.Appointment); err != nil {
			t.Fatal(err)
		}
	}
	changes, err = c.Changes(t.Context(), changes.Cursor)
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Apply(changes, now); len(r.Changes) != 1 || r.Changes[0].(schedule.Freed).Appointment != booked.Appointment {
		t.Fatalf("%+v", r.Changes)
	}
	_, err = c.Book(t.Context(), b)
	wantFault(t, err, engine.DMEConflict) // it was made and cancelled: not to be made again behind their back
	if s := editSlot(t, w.dme.Handler(), a.Slot, nil); s["status"] != "free" {
		t.Fatalf("the refused booking left the slot %v", s["status"])
	}
	if err := c.Cancel(t.Context(), "Appointment/nowhere"); err != nil {
		t.Fatal(err)
	}
}

func TestBookRefusals(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	free, blocked := w.line(t, "free"), w.line(t, "blocked")
	_, err := c.Book(t.Context(), booking("b1", blocked, 1))
	wantFault(t, err, engine.DMEConflict)
	moved := booking("b2", free, 1)
	moved.Slot.Start = moved.Slot.Start.Add(time.Hour)
	_, err = c.Book(t.Context(), moved)
	wantFault(t, err, engine.DMEConflict)
	gone := booking("b3", free, 1)
	gone.Slot.Source = "Slot/nowhere"
	_, err = c.Book(t.Context(), gone)
	wantFault(t, err, engine.DMEConflict)
	nobody := booking("b4", free, 1)
	nobody.Patient = "p1"
	_, err = c.Book(t.Context(), nobody)
	wantFault(t, err, engine.DMERejected)
}

// Fifty want one slot at once: the record system ends with one appointment, and everybody hears
// the truth.
func TestRaceForOneSlot(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	a := w.line(t, "free")
	var wins, conflicts atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			_, err := c.Book(t.Context(), booking(fmt.Sprint("race-", i), a, i))
			switch {
			case err == nil:
				wins.Add(1)
			case faultOf(t, err) == engine.DMEConflict:
				conflicts.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if wins.Load() != 1 || conflicts.Load() != 49 {
		t.Fatalf("%d winners, %d conflicts", wins.Load(), conflicts.Load())
	}
	obs, err := c.Read(t.Context(), "Slot/"+a.Slot)
	if err != nil || len(obs.Appointments) != 1 {
		t.Fatalf("%+v %v", obs.Appointments, err)
	}
}

// The transaction is committed and the answer is lost: the retry finds it.
func TestAnswerLostAfterCommit(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	a := w.line(t, "free")
	var lost atomic.Int32
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && lost.Add(1) == 1 {
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(rw, r)
	})
	b := booking("relais-lost", a, 3)
	_, err := c.Book(t.Context(), b)
	wantFault(t, err, engine.DMEUnreachable)
	booked, err := c.Book(t.Context(), b)
	if err != nil || booked.Appointment == "" {
		t.Fatalf("%+v %v", booked, err)
	}
	obs, err := c.Read(t.Context(), "Slot/"+a.Slot)
	if err != nil || len(obs.Appointments) != 1 || obs.Appointments[0].Booking != "relais-lost" {
		t.Fatalf("%+v %v", obs.Appointments, err)
	}
}

// Somebody edits the slot without taking it between our read and our write: the booking is made.
func TestSlotEditedMeanwhile(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	a := w.line(t, "free")
	var once sync.Once
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			once.Do(func() { editSlot(t, h, a.Slot, map[string]any{"comment": "fenêtre"}) })
		}
		h.ServeHTTP(rw, r)
	})
	if _, err := c.Book(t.Context(), booking("relais-edit", a, 3)); err != nil {
		t.Fatal(err)
	}
}

// Somebody blocks the slot between our read and our write: it stays blocked.
func TestSlotBlockedMeanwhile(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	a := w.line(t, "free")
	var once sync.Once
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			once.Do(func() { editSlot(t, h, a.Slot, map[string]any{"status": "busy-unavailable"}) })
		}
		h.ServeHTTP(rw, r)
	})
	_, err := c.Book(t.Context(), booking("relais-block", a, 3))
	wantFault(t, err, engine.DMEConflict)
	if s := editSlot(t, w.dme.Handler(), a.Slot, nil); s["status"] != "busy-unavailable" {
		t.Fatalf("the slot is %v", s["status"])
	}
}

// editSlot changes fields of a slot the way another client of the record system would.
func editSlot(t *testing.T, h http.Handler, id string, fields map[string]any) map[string]any {
	t.Helper()
	path := "/dme/rosemont/fhir/Slot/" + id
	ask := func(method string, body []byte) map[string]any {
		r := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		var out map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != http.StatusOK {
			t.Errorf("%s: %d %s", method, rec.Code, rec.Body)
		}
		return out
	}
	slot := ask(http.MethodGet, nil)
	if fields == nil {
		return slot
	}
	maps.Copy(slot, fields)
	body, err := json.Marshal(slot)
	if err != nil {
		t.Fatal(err)
	}
	return ask(http.MethodPut, body)
}

func TestUnknownExtensionsSurvive(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	a := w.line(t, "free")
	extension := []any{map[string]any{"url": "https://dme.example/room", "valueString": "12-B"}}
	editSlot(t, w.dme.Handler(), a.Slot, map[string]any{"extension": extension, "overbooked": false})
	booked, err := c.Book(t.Context(), booking("relais-ext", a, 3))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Cancel(t.Context(), booked.Appointment); err != nil {
		t.Fatal(err)
	}
	slot := editSlot(t, w.dme.Handler(), a.Slot, nil)
	if fmt.Sprint(slot["extension"]) != fmt.Sprint(extension) || slot["status"] != "free" || slot["overbooked"] != false {
		t.Fatalf("%v", slot)
	}
}

func TestFaults(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	cursor := snapshot(t, c).Cursor
	looks := map[string]func() error{
		"changes":  func() error { _, err := c.Changes(t.Context(), cursor); return err },
		"snapshot": func() error { _, err := c.Snapshot(t.Context(), now, now.Add(time.Hour)); return err },
		"read":     func() error { _, err := c.Read(t.Context(), "Slot/x"); return err },
		"book":     func() error { _, err := c.Book(t.Context(), booking("f", w.line(t, "free"), 1)); return err },
	}
	for fault, want := range map[string]engine.DMEFault{
		"down": engine.DMEUnreachable, "errors": engine.DMEError, "unauthorized": engine.DMESignIn, "garbage": engine.DMEMalformed,
	} {
		if err := w.dme.SetFault("rosemont", fault); err != nil {
			t.Fatal(err)
		}
		for name, look := range looks {
			t.Run(fault+" "+name, func(t *testing.T) { wantFault(t, look(), want) })
		}
	}
	if err := w.dme.SetFault("rosemont", "empty"); err != nil {
		t.Fatal(err)
	}
	t.Run("empty changes", func(t *testing.T) { wantFault(t, looks["changes"](), engine.DMEMalformed) })
	m := schedule.New()
	m.Load(schedule.Fact{Slot: &engine.SlotFact{Source: "Slot/1", Status: engine.SlotFree, Start: now.Add(time.Hour), End: now.Add(2 * time.Hour)}})
	if r := m.Apply(snapshot(t, c), now); r.Implausible == "" {
		t.Fatal("an empty schedule was believed")
	}
}

// TestNothingNew looks again where the newest resource was deleted, and where there never was one.
func TestNothingNew(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	if err := w.dme.SetFault("rosemont", "empty"); err != nil {
		t.Fatal(err)
	}
	none, err := c.Snapshot(t.Context(), now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a clinic that has nothing yet is no fault
		if none, err = c.Changes(t.Context(), none.Cursor); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.dme.SetFault("rosemont", ""); err != nil {
		t.Fatal(err)
	}
	for _, cursor := range []string{none.Cursor, now.Add(24 * time.Hour).Format(time.RFC3339Nano)} {
		if _, err := c.Changes(t.Context(), cursor); err != nil {
			t.Errorf("from %s: %v", cursor, err)
		}
	}
}

func TestSlowServer(t *testing.T) {
	w := newWorld(t)
	if err := w.dme.SetFault("rosemont", "slow"); err != nil {
		t.Fatal(err)
	}
	_, err := w.client(t, func(cfg *fhir.Config) { cfg.Timeout = 30 * time.Millisecond }).Read(t.Context(), "Slot/x")
	wantFault(t, err, engine.DMEUnreachable)
}

func TestAnswersThatAreNotTrusted(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	reply := func(status int, header, body string) {
		w.cut(func(_ http.Handler, rw http.ResponseWriter, _ *http.Request) {
			if k, v, ok := strings.Cut(header, ": "); ok {
				rw.Header().Set(k, v)
			}
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, body)
		})
	}
	snapshot(t, c) // what it can do is known
	const bundle = `{"resourceType":"Bundle","type":"searchset"`
	for name, x := range map[string]struct {
		status       int
		header, body string
		want         engine.DMEFault
	}{
		"another server's next page": {200, "", bundle + `,"link":[{"relation":"next","url":"http://evil.example/x"}]}`, engine.DMEMalformed},
		"a next page without end":    {200, "", bundle + `,"link":[{"relation":"next","url":"Slot?x=1"}]}`, engine.DMEMalformed},
		"fewer than announced":       {200, "", bundle + `,"total":3}`, engine.DMEMalformed},
		"a resource without id":      {200, "", bundle + `,"entry":[{"resource":{"resourceType":"Slot"}}]}`, engine.DMEMalformed},
		"a web page":                 {200, "Content-Type: text/html", `<html>Bienvenue</html>`, engine.DMEMalformed},
		"another Bundle":             {200, "", `{"resourceType":"Bundle","type":"collection"}`, engine.DMEMalformed},
		"a redirect":                 {302, "Location: /login", "", engine.DMEMalformed},
		"no such path":               {404, "", "", engine.DMEMalformed},
		"a refused search":           {400, "", `{"issue":[{"code":"Xyzzy"}]}`, engine.DMEMalformed},
		"an outage":                  {503, "", "", engine.DMEError},
		"too large":                  {200, "", bundle + strings.Repeat(" ", 9<<20), engine.DMEMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			reply(x.status, x.header, x.body)
			_, err := c.Changes(t.Context(), "")
			wantFault(t, err, x.want)
		})
	}
	for header, want := range map[string]time.Duration{
		"Retry-After: 17": 17 * time.Second,
		"Retry-After: Tue, 24 Nov 2026 12:01:00 GMT":               time.Minute,
		"Retry-After: soon":                                        0,
		"Retry-After: " + now.Add(-time.Hour).Format(time.RFC1123): 0,
	} {
		for _, status := range []int{429, 503} {
			reply(status, header, "")
			_, err := c.Changes(t.Context(), "")
			wantFault(t, err, engine.DMEBusy)
			if f, _ := errors.AsType[*engine.DMEFailure](err); f.Wait != want {
				t.Errorf("%d %s: wait %s, want %s", status, header, f.Wait, want)
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	w.server.Close()
	_, err := c.Changes(t.Context(), "")
	wantFault(t, err, engine.DMEUnreachable)
	tls := httptest.NewTLSServer(w.dme.Handler())
	defer tls.Close()
	tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	_, err = w.client(t, func(cfg *fhir.Config) { cfg.BaseURL = tls.URL }).Changes(t.Context(), "")
	wantFault(t, err, engine.DMESignIn)
}

func TestSkew(t *testing.T) {
	w := newWorld(t)
	for _, skew := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute} {
		c := w.client(t, func(cfg *fhir.Config) { cfg.Now = func() time.Time { return now.Add(-skew) } })
		obs, err := c.Changes(t.Context(), "")
		if err != nil || (obs.Skew-skew).Abs() > time.Second {
			t.Errorf("%s shows as %s, %v", skew, obs.Skew, err)
		}
	}
}

// What a server calls by other names is understood through the configuration, and otherwise is
// not free.
func TestStatusesOfOtherServers(t *testing.T) {
	w := newWorld(t)
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/Slot"):
			_, _ = io.WriteString(rw, `{"resourceType":"Bundle","type":"searchset","entry":[
				{"resource":{"resourceType":"Slot","id":"1","status":"libre","schedule":{"reference":"Schedule/roy"},"start":"2026-11-25T09:00:00-05:00","end":"2026-11-25T09:20:00-05:00"}},
				{"resource":{"resourceType":"Slot","id":"2","status":"mystère","schedule":{"reference":"Schedule/roy"},"start":"2026-11-25T10:00:00-05:00","end":"2026-11-25T10:20:00-05:00"}},
				{"resource":{"resourceType":"Slot","id":"3","status":"free","schedule":{"reference":"Schedule/roy"},"start":"2026-11-25","end":"2026-11-25"}},
				{"resource":{"resourceType":"Slot","id":"4","status":"free","schedule":{"reference":"Schedule/nobody"},"start":"2026-11-25T10:00:00-05:00","end":"2026-11-25T10:20:00-05:00"}}]}`)
		case strings.Contains(r.URL.Path, "/Appointment"):
			_, _ = io.WriteString(rw, `{"resourceType":"Bundle","type":"searchset","entry":[
				{"resource":{"resourceType":"Appointment","id":"1","status":"taken"}},
				{"resource":{"resourceType":"Appointment","id":"2","status":"annulé"}},
				{"resource":{"resourceType":"Appointment","id":"3","status":"mystère"}}]}`)
		default:
			h.ServeHTTP(rw, r)
		}
	})
	c := w.client(t, func(cfg *fhir.Config) {
		cfg.SlotStatuses = map[string]engine.SlotStatus{"libre": engine.SlotFree}
		cfg.LiveStatuses = map[string]bool{"annulé": false}
		cfg.Specialties = map[string]engine.Specialty{"dermatology": "derm"}
	})
	obs, err := c.Changes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []engine.SlotStatus{engine.SlotFree, engine.SlotUnknown, engine.SlotUnknown, engine.SlotUnknown} {
		if obs.Slots[i].Status != want {
			t.Errorf("slot %d is %s, want %s", i+1, obs.Slots[i].Status, want)
		}
	}
	if obs.Slots[0].Specialty != "derm" {
		t.Errorf("specialty %s", obs.Slots[0].Specialty)
	}
	for i, want := range []bool{true, false, true} {
		if obs.Appointments[i].Live != want {
			t.Errorf("appointment %d live: %t", i+1, obs.Appointments[i].Live)
		}
	}
}

func TestDiscover(t *testing.T) {
	w := newWorld(t)
	d, err := w.client(t, func(cfg *fhir.Config) { cfg.Location = "Location/lieu" }).Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := seed().Clinic
	if fmt.Sprint(d.Places) != fmt.Sprint(want.Places) || fmt.Sprint(d.Practitioners) != fmt.Sprint([]engine.Practitioner{want.Practitioners[1], want.Practitioners[0]}) {
		t.Fatalf("%+v", d)
	}
	elsewhere := w.client(t, func(cfg *fhir.Config) { cfg.Location = "Location/elsewhere" })
	if obs := snapshot(t, elsewhere); len(obs.Slots) != 0 {
		t.Fatalf("%d slots of another place", len(obs.Slots))
	}
}

func TestSubscribeAndHook(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	nudged, refused := make(chan engine.ClinicID, 1000), make(chan engine.ClinicID, 100)
	secrets := func(c engine.ClinicID) string { return map[engine.ClinicID]string{"rosemont": "un-secret"}[c] }
	handler := fhir.HookHandler(secrets, func(c engine.ClinicID, _ bool) { nudged <- c }, func(c engine.ClinicID) { refused <- c })
	hooks := httptest.NewServer(handler)
	defer hooks.Close()
	endpoint := hooks.URL + "/hooks/fhir/rosemont"
	for range 2 {
		if err := c.Subscribe(t.Context(), endpoint, "un-secret"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.dme.Cancel("rosemont", w.line(t, "booked").ID); err != nil {
		t.Fatal(err)
	}
	if got := <-nudged; got != "rosemont" {
		t.Fatalf("%s", got)
	}

	post := func(path, secret string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(strings.Repeat("x", 1<<20)))
		r.Header.Set(fhir.HookHeader, secret)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		return rec.Code
	}
	if got := post("/hooks/fhir/rosemont", "autre"); got != http.StatusForbidden || <-refused != "rosemont" {
		t.Errorf("a wrong secret: %d", got)
	}
	if got := post("/hooks/fhir/nowhere", ""); got != http.StatusForbidden || <-refused != "" {
		t.Errorf("an unknown clinic with an empty secret: %d", got)
	}
	limited := false
	for range 500 {
		limited = limited || post("/hooks/fhir/rosemont", "un-secret") == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("no limit to the notifications")
	}
}

func TestNewRefusesBadAddresses(t *testing.T) {
	for _, bad := range []string{"", "dme.example/fhir", "ftp://dme.example", "https://user:pass@dme.example/fhir", "https://dme.example/fhir?x=y"} {
		if _, err := fhir.New(fhir.Config{BaseURL: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
