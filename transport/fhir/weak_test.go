package fhir_test

import (
	"fmt"
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
	"relais/transport/sandbox"
)

// manners are the servers that are weaker than they could be.
func manners() map[string]sandbox.Manner {
	return map[string]sandbox.Manner{
		"whole":                {},
		"no transactions":      {NoTransactions: true},
		"no versions":          {NoVersions: true},
		"ignores If-Match":     {IgnoresIfMatch: true},
		"ignores _lastUpdated": {IgnoresLastUpdated: true},
		"nothing at all":       {NoTransactions: true, IgnoresIfMatch: true, NoVersions: true, IgnoresLastUpdated: true, NoSubscriptions: true},
		"stale":                {StaleReads: 3},
		"stale, in steps":      {StaleReads: 2, NoTransactions: true},
	}
}

// The same story on each: a booking is made once, shows, is refused to others, and is cancelled;
// and the slot is as it was.
func TestWeakServers(t *testing.T) {
	for name, m := range manners() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.manner(t, m)
			c := w.client(t, nil)
			mirror := schedule.New()
			obs := snapshot(t, c)
			mirror.Apply(obs, now)
			a := w.line(t, "free")
			before := fmt.Sprint(w.slot(t, a.Slot)["identifier"], w.slot(t, a.Slot)["status"])
			b := booking("relais-weak", a, 5)
			w.pass(time.Second)
			booked, err := c.Book(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := c.Book(t.Context(), b); err != nil || again != booked {
				t.Fatalf("again: %+v %v", again, err)
			}
			if s := w.slot(t, a.Slot); s["status"] != "busy" || s["identifier"] != nil {
				t.Errorf("the slot is %v, marked %v", s["status"], s["identifier"])
			}
			_, err = c.Book(t.Context(), booking("relais-other", a, 6))
			wantFault(t, err, engine.DMEConflict)
			changes, err := c.Changes(t.Context(), obs.Cursor)
			if err != nil {
				t.Fatal(err)
			}
			if r := mirror.Apply(changes, now); len(r.Changes) != 1 || r.Changes[0].(schedule.Occupied).Booking != b.ID {
				t.Fatalf("%+v", r)
			}
			w.pass(time.Second)
			for range 2 {
				if err := c.Cancel(t.Context(), booked.Appointment); err != nil {
					t.Fatal(err)
				}
			}
			changes, err = c.Changes(t.Context(), changes.Cursor)
			if err != nil {
				t.Fatal(err)
			}
			if r := mirror.Apply(changes, now); len(r.Changes) != 1 || r.Changes[0].(schedule.Freed).Appointment != booked.Appointment {
				t.Fatalf("%+v", r)
			}
			if after := fmt.Sprint(w.slot(t, a.Slot)["identifier"], w.slot(t, a.Slot)["status"]); after != before {
				t.Errorf("the slot was %s and is %s", before, after)
			}
		})
	}
}

func (w *world) pass(d time.Duration) { w.ahead.Add(int64(d)) }

// slot reads a slot past every manner.
func (w *world) slot(t *testing.T, id string) map[string]any {
	t.Helper()
	return editSlot(t, w.dme.Handler(), id, nil)
}

func TestModes(t *testing.T) {
	for name, x := range map[string]struct {
		m    sandbox.Manner
		weak []string
	}{
		"whole":   {sandbox.Manner{}, []string{"push", "deletions"}},
		"nothing": {manners()["nothing at all"], []string{"push", "changes", "deletions", "booking", "conflict"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.manner(t, x.m)
			c := w.client(t, nil)
			if c.Modes() != nil {
				t.Error("modes before anything is known")
			}
			snapshot(t, c)
			var weak []string
			for _, m := range c.Modes() {
				if m.Mode == "" || m.Sentence == "" {
					t.Errorf("%+v", m)
				}
				if m.Weak {
					weak = append(weak, m.What)
				}
			}
			if fmt.Sprint(weak) != fmt.Sprint(x.weak) {
				t.Errorf("weak: %v, want %v", weak, x.weak)
			}
		})
	}
}

// Twelve race for one slot of a server that checks nothing: never two winners, never a winner without the
// only appointment, and never a slot that is busy with nobody. All may lose, which is the safe side.
func TestRaceWithoutIfMatch(t *testing.T) {
	for _, steps := range []bool{false, true} {
		t.Run(fmt.Sprintf("steps %v", steps), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.manner(t, sandbox.Manner{IgnoresIfMatch: true, NoTransactions: steps})
			c := w.client(t, nil)
			a := w.line(t, "free")
			var wins atomic.Int32
			var all sync.WaitGroup
			for i := range 12 {
				all.Go(func() {
					_, err := c.Book(t.Context(), booking(fmt.Sprint("race-", i), a, i))
					if err == nil {
						wins.Add(1)
					} else if f := faultOf(t, err); f != engine.DMEConflict && f != engine.DMEError {
						t.Error(err)
					}
				})
			}
			all.Wait()
			obs, err := c.Read(t.Context(), "Slot/"+a.Slot)
			if err != nil {
				t.Fatal(err)
			}
			live := int32(0)
			for _, x := range obs.Appointments {
				if x.Live {
					live++
				}
			}
			status := w.slot(t, a.Slot)["status"]
			if live > 1 || wins.Load() != live || (status == "free") != (live == 0) {
				t.Errorf("%d winners, %d live appointments, the slot is %v", wins.Load(), live, status)
			}
		})
	}
}

// Another booking gets on the slot at the same moment, on a server that checks nothing. A stranger stays, and
// so does the lower of two of ours; the other gives way, and nobody is left waiting for a slot that is
// busy with no one.
func TestWhoStaysOnTheSlot(t *testing.T) {
	for name, x := range map[string]struct {
		rival string
		goes  int32 // at which look at the slot it gives way; 0: never
		want  string
	}{
		"a stranger":              {"", 0, "busy"},
		"a lower one":             {"relais-a", 0, "busy"},
		"a higher one, who goes":  {"relais-c", 2, "ours"},
		"a higher one, who stays": {"relais-c", 0, "busy"},
		"all of them go":          {"relais-a", 3, "free"},
	} {
		for _, steps := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, steps %v", name, steps), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.manner(t, sandbox.Manner{IgnoresIfMatch: true, NoTransactions: steps})
				a, c := w.line(t, "free"), w.client(t, nil)
				snapshot(t, c)
				var posts, looks atomic.Int32
				rival := func(h http.Handler, method, path, status string) {
					body := fmt.Sprintf(`{"resourceType":"Appointment","id":"rival","status":%q,"start":%q,"end":%q,"slot":[{"reference":"Slot/%s"}],
						"identifier":[{"system":%q,"value":%q}],"participant":[{"actor":{"reference":"Patient/p9"},"status":"accepted"}]}`,
						status, a.Start.Format(time.RFC3339), a.End.Format(time.RFC3339), a.Slot, fhir.BookingSystem, x.rival)
					r := httptest.NewRequestWithContext(t.Context(), method, "/dme/rosemont/fhir/"+path, strings.NewReader(body))
					r.Header.Set("Authorization", "Bearer "+token)
					r.Header.Set("Content-Type", "application/fhir+json")
					rec := httptest.NewRecorder()
					if h.ServeHTTP(rec, r); rec.Code >= 300 {
						t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
					}
				}
				w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet && r.URL.Query().Has("slot") && posts.Load() > 0 && looks.Add(1) == x.goes {
						rival(h, http.MethodPut, "Appointment/rival", "cancelled")
					}
					h.ServeHTTP(rw, r)
					if r.Method == http.MethodPost && posts.Add(1) == 1 {
						rival(h, http.MethodPut, "Appointment/rival", "booked")
					}
				})
				_, err := c.Book(t.Context(), booking("relais-b", a, 3))
				obs, readErr := c.Read(t.Context(), "Slot/"+a.Slot)
				if readErr != nil {
					t.Fatal(readErr)
				}
				live := 0
				for _, f := range obs.Appointments {
					if f.Live {
						live++
					}
				}
				status, got := w.slot(t, a.Slot)["status"], "busy"
				switch {
				case err == nil:
					got = "ours"
				case faultOf(t, err) == engine.DMEConflict && live == 0 && status == "free":
					got = "free"
				}
				if got != x.want || got != "free" && (live != 1 || status != "busy") {
					t.Errorf("%s, want %s: slot %v, %d live, %v", got, x.want, status, live, err)
				}
			})
		}
	}
}

// Each write of a booking and of a cancellation in steps is lost once, before or after it was
// carried out: the retry ends as if nothing had happened.
func TestStepsAreTakenUpAgain(t *testing.T) {
	for _, carriedOut := range []bool{false, true} {
		for lose := int32(1); lose <= 6; lose++ {
			t.Run(fmt.Sprintf("write %d, carried out %v", lose, carriedOut), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.manner(t, sandbox.Manner{NoTransactions: true})
				c := w.client(t, nil)
				a := w.line(t, "free")
				var writes atomic.Int32
				w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodGet && writes.Add(1) == lose {
						if carriedOut {
							h.ServeHTTP(httptest.NewRecorder(), r)
						}
						panic(http.ErrAbortHandler)
					}
					h.ServeHTTP(rw, r)
				})
				again := func(f func() error) {
					t.Helper()
					for n := 0; ; n++ {
						err := f()
						if err == nil {
							return
						}
						if n == 1 || faultOf(t, err) != engine.DMEUnreachable {
							t.Fatal(err)
						}
					}
				}
				b := booking("relais-steps", a, 3)
				var booked engine.Booked
				again(func() (err error) { booked, err = c.Book(t.Context(), b); return err })
				if s := w.slot(t, a.Slot); s["status"] != "busy" || s["identifier"] != nil {
					t.Errorf("booked: the slot is %v, marked %v", s["status"], s["identifier"])
				}
				again(func() error { return c.Cancel(t.Context(), booked.Appointment) })
				if s := w.slot(t, a.Slot); s["status"] != "free" || s["identifier"] != nil {
					t.Errorf("cancelled: the slot is %v, marked %v", s["status"], s["identifier"])
				}
				obs, err := c.Read(t.Context(), "Slot/"+a.Slot)
				if err != nil || len(obs.Appointments) != 1 {
					t.Errorf("%+v %v", obs.Appointments, err)
				}
				if writes.Load() < 6 {
					t.Errorf("only %d writes: the last ones were not tried", writes.Load())
				}
			})
		}
	}
}

// The appointment is refused for good: the hold is taken back.
func TestStepsAreTakenBack(t *testing.T) {
	w := newWorld(t)
	w.manner(t, sandbox.Manner{NoTransactions: true})
	c := w.client(t, nil)
	a := w.line(t, "free")
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			rw.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		h.ServeHTTP(rw, r)
	})
	_, err := c.Book(t.Context(), booking("relais-no", a, 3))
	wantFault(t, err, engine.DMERejected)
	if s := w.slot(t, a.Slot); s["status"] != "free" || s["identifier"] != nil {
		t.Errorf("the slot is %v, marked %v", s["status"], s["identifier"])
	}
}

// The answer to a booking is lost, and every copy that is asked afterwards lags: the retry must not
// take the slot for somebody else's.
func TestAnswerLostAndReadsLag(t *testing.T) {
	for _, steps := range []bool{false, true} {
		t.Run(fmt.Sprintf("steps %v", steps), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.manner(t, sandbox.Manner{StaleReads: 4, NoTransactions: steps})
			c := w.client(t, nil)
			a := w.line(t, "free")
			var once sync.Once
			w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/token") {
					lost := false
					once.Do(func() { lost = true })
					if lost {
						h.ServeHTTP(httptest.NewRecorder(), r)
						panic(http.ErrAbortHandler)
					}
				}
				h.ServeHTTP(rw, r)
			})
			b := booking("relais-lag", a, 3)
			_, err := c.Book(t.Context(), b)
			wantFault(t, err, engine.DMEUnreachable)
			if _, err := c.Book(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			obs, err := c.Read(t.Context(), "Slot/"+a.Slot)
			if err != nil || len(obs.Appointments) != 1 || !obs.Appointments[0].Live {
				t.Errorf("%+v %v", obs.Appointments, err)
			}
		})
	}
}

// A write is refused because of a version that never shows: a fault, not a conflict, because our own
// booking may hide behind it. A refusal for a reason of the record system's own is final.
func TestLagWithoutEnd(t *testing.T) {
	for status, want := range map[int]engine.DMEFault{http.StatusPreconditionFailed: engine.DMEError, http.StatusConflict: engine.DMEConflict} {
		w := newWorld(t)
		w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				rw.WriteHeader(status)
				return
			}
			h.ServeHTTP(rw, r)
		})
		_, err := w.client(t, nil).Book(t.Context(), booking("relais-lag", w.line(t, "free"), 3))
		wantFault(t, err, want)
	}
}
