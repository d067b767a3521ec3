package fhir_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"relais/engine"
	"relais/engine/schedule"
	"relais/transport/fhir"
)

func inR4B(kind string, sum int, events ...int) string {
	var list []string
	for _, e := range events {
		list = append(list, fmt.Sprintf(`{"eventNumber":"%d"}`, e))
	}
	return fmt.Sprintf(`{"resourceType":"Bundle","type":"history","entry":[{"resource":{"resourceType":"SubscriptionStatus","type":"%s",
		"subscription":{"reference":"Subscription/1"},"eventsSinceSubscriptionStart":"%d","notificationEvent":[%s]}}]}`, kind, sum, strings.Join(list, ","))
}

func inR4(kind string, sum int, events ...int) string {
	var list []string
	for _, e := range events {
		list = append(list, fmt.Sprintf(`,{"name":"notification-event","part":[{"name":"event-number","valueString":"%d"}]}`, e))
	}
	return fmt.Sprintf(`{"resourceType":"Bundle","type":"history","entry":[{"resource":{"resourceType":"Parameters","parameter":[
		{"name":"subscription","valueReference":{"reference":"Subscription/1"}},{"name":"type","valueCode":"%s"},
		{"name":"events-since-subscription-start","valueString":"%d"}%s]}}]}`, kind, sum, strings.Join(list, ""))
}

// TestCountOfEvents tells notifications of a topic in every order: each one is a hint to look, and a
// gap in their count is one to look at everything.
func TestCountOfEvents(t *testing.T) {
	for form, say := range map[string]func(string, int, ...int) string{"R4": inR4, "R4B": inR4B} {
		t.Run(form, func(t *testing.T) {
			var looks, whole int
			h := fhir.HookHandler(func(engine.ClinicID) string { return "secret" }, func(_ engine.ClinicID, missed bool) {
				looks++
				if missed {
					whole++
				}
			}, nil)
			for i, x := range []struct {
				body  string
				whole bool
			}{
				{say("event-notification", 7, 7), false}, // the first one since our start
				{say("event-notification", 8, 8), false},
				{say("event-notification", 8, 8), false}, // twice
				{say("event-notification", 10, 10), true},
				{say("event-notification", 9, 9), false}, // late: it was looked at already
				{say("event-notification", 12, 11, 12), false},
				{say("heartbeat", 12), false},
				{say("heartbeat", 14), true},
				{say("handshake", 0), false}, // it begins anew
				{say("event-notification", 1, 1), false},
				{"{", false},
				{`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"SubscriptionStatus"}}]}`, false},
				{"", false},
			} {
				before := whole
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/fhir/rosemont", strings.NewReader(x.body))
				r.Header.Set(fhir.HookHeader, "secret")
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				if rec.Code != http.StatusAccepted || looks != i+1 || (whole > before) != x.whole {
					t.Errorf("%d: %d, %d looks, whole %v: %s", i, rec.Code, looks, whole > before, x.body)
				}
			}
		})
	}
}

// A slot is deleted, which no search shows: the look after a gap finds it, and the next one is small
// again.
func TestDeletedSlot(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	m := schedule.New()
	obs := snapshot(t, c)
	m.Apply(obs, now)
	a := w.line(t, "free")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/dme/rosemont/fhir/Slot/"+a.Slot, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w.dme.Handler().ServeHTTP(httptest.NewRecorder(), r)
	look := func() (engine.Observation, schedule.Result) {
		t.Helper()
		changes, err := c.Changes(t.Context(), obs.Cursor)
		if err != nil {
			t.Fatal(err)
		}
		return changes, m.Apply(changes, now)
	}
	if o, res := look(); o.Complete || len(res.Changes) != 0 {
		t.Fatalf("%v %+v", o.Complete, res.Changes)
	}
	c.Missed()
	o, res := look()
	if !o.Complete || len(res.Changes) != 1 || res.Changes[0].(schedule.Occupied).Why != schedule.Gone {
		t.Fatalf("%v %+v", o.Complete, res.Changes)
	}
	if o, _ := look(); o.Complete {
		t.Error("everything was read once more")
	}
}

// The hold of a booking in steps survives a lost answer and is taken back by the refusal that follows.
func TestHoldIsTakenBackLater(t *testing.T) {
	w := newWorld(t)
	w.manner(t, manners()["no transactions"])
	c := w.client(t, nil)
	a := w.line(t, "free")
	posts := 0
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if posts++; posts == 1 {
				panic(http.ErrAbortHandler)
			}
			rw.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		h.ServeHTTP(rw, r)
	})
	_, err := c.Book(t.Context(), booking("relais-hold", a, 3))
	wantFault(t, err, engine.DMEUnreachable)
	_, err = c.Book(t.Context(), booking("relais-hold", a, 3))
	wantFault(t, err, engine.DMERejected)
	if s := w.slot(t, a.Slot); s["status"] != "free" || s["identifier"] != nil {
		t.Errorf("the slot is %v, marked %v", s["status"], s["identifier"])
	}
}

// The slot shows busy at once and the search for appointments lags: our own booking is waited for.
func TestSearchLags(t *testing.T) {
	w := newWorld(t)
	a := w.line(t, "free")
	b := booking("relais-slow-index", a, 3)
	booked, err := w.client(t, nil).Book(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	empty := 3
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/Appointment") && r.Method == http.MethodGet && empty > 0 {
			empty--
			_, _ = rw.Write([]byte(`{"resourceType":"Bundle","type":"searchset","total":0}`))
			return
		}
		h.ServeHTTP(rw, r)
	})
	if again, err := w.client(t, nil).Book(t.Context(), b); err != nil || again != booked {
		t.Errorf("%+v %v", again, err)
	}
}
