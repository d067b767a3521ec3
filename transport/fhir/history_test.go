package fhir_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/schedule"
	"relais/transport/fhir"
	"relais/transport/sandbox"
)

// remove deletes a resource as the clinic's own program would.
func (w *world) remove(t *testing.T, source string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/dme/rosemont/fhir/"+source, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	w.dme.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusNoContent {
		t.Fatalf("DELETE %s: %d", source, rec.Code)
	}
}

// followed is a client of a record system with a history, that looks every 5 s.
type followed struct {
	t      *testing.T
	w      *world
	c      *fhir.Client
	m      *schedule.Mirror
	cursor string
}

func follow(t *testing.T) *followed {
	t.Helper()
	w := newWorld(t)
	w.manner(t, sandbox.Manner{History: true})
	w.served()
	f := &followed{t: t, w: w, c: w.client(t, func(cfg *fhir.Config) { cfg.Now = w.now }), m: schedule.New()}
	obs := snapshot(t, f.c)
	f.m.Apply(obs, now)
	f.cursor = obs.Cursor
	return f
}

func (f *followed) look() (engine.Observation, schedule.Result) {
	f.t.Helper()
	f.w.ahead.Add(int64(5 * time.Second))
	obs, err := f.c.Changes(f.t.Context(), f.cursor)
	if err != nil {
		f.t.Fatal(err)
	}
	f.cursor = obs.Cursor
	return obs, f.m.Apply(obs, f.w.now())
}

// TestHistoryShowsDeletions deletes a slot, and an appointment, in a record system that has a history: the next
// look shows them, once.
func TestHistoryShowsDeletions(t *testing.T) {
	f := follow(t)
	f.look()
	f.w.remove(t, "Slot/"+f.w.line(t, "free").Slot)
	o, res := f.look()
	if o.Complete || len(res.Changes) != 1 || res.Changes[0].(schedule.Occupied).Why != schedule.Gone {
		t.Fatalf("a deleted slot: complete %v, %+v", o.Complete, res.Changes)
	}
	a := f.w.line(t, "booked")
	f.w.remove(t, "Appointment/"+a.ID)
	editSlot(t, f.w.dme.Handler(), a.Slot, map[string]any{"status": "free"})
	_, res = f.look()
	if len(res.Changes) != 1 || res.Changes[0].(schedule.Freed).Appointment != "Appointment/"+a.ID {
		t.Fatalf("a deleted appointment: %+v", res.Changes)
	}
	if o, res := f.look(); len(res.Changes) != 0 || o.Complete {
		t.Errorf("told again: %+v", res.Changes)
	}
}

// TestManyDeletions deletes more at once than is believed: a complete look is made, whose rules decide.
func TestManyDeletions(t *testing.T) {
	f := follow(t)
	f.look()
	n := 0
	for _, a := range f.w.dme.Records()[0].Appointments {
		if a.Status == "booked" && n < 11 {
			f.w.remove(t, "Appointment/"+a.ID)
			n++
		}
	}
	if o, res := f.look(); len(res.Changes) != 0 || o.Complete {
		t.Fatalf("%d deletions were believed: %+v", n, res.Changes)
	}
	if o, _ := f.look(); !o.Complete {
		t.Error("no complete look follows")
	}
}

// TestDeletionThatIsNone is told of a deletion of what is there: it is looked up, and nothing follows.
func TestDeletionThatIsNone(t *testing.T) {
	f := follow(t)
	f.look()
	a := f.w.line(t, "booked")
	f.w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", f.w.now().Format(http.TimeFormat))
		if strings.HasSuffix(r.URL.Path, "Appointment/_history") {
			rw.Header().Set("Content-Type", "application/fhir+json")
			_, _ = rw.Write([]byte(`{"resourceType":"Bundle","type":"history","entry":[{"request":{"method":"DELETE","url":"Appointment/` + a.ID + `"},"response":{"status":"204","etag":"W/\"9\""}}]}`))
			return
		}
		h.ServeHTTP(rw, r)
	})
	if _, res := f.look(); len(res.Changes) != 0 {
		t.Errorf("%+v", res.Changes)
	}
}

// TestHistoryThatEnds takes the history away: complete looks take its place, and nothing is suspended.
func TestHistoryThatEnds(t *testing.T) {
	f := follow(t)
	f.look()
	deletions := func() engine.DMEMode {
		for _, m := range f.c.Modes() {
			if m.What == "deletions" {
				return m
			}
		}
		return engine.DMEMode{}
	}
	if m := deletions(); m.Mode != "history" || m.Weak {
		t.Errorf("%+v", m)
	}
	f.w.manner(t, sandbox.Manner{})
	f.look()
	if o, _ := f.look(); !o.Complete {
		t.Error("no complete look follows")
	}
	if m := deletions(); m.Mode != "full looks" || !m.Weak {
		t.Errorf("%+v", m)
	}
}
