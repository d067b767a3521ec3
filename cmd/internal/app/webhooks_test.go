package app

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// TestProgramsOutsideAreTold follows one slot from its cancellation to its booking as a program outside does,
// which fails at first, over a restart of the subscription.
func TestProgramsOutsideAreTold(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	check, err := standardwebhooks.NewWebhookRaw([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var types, bodies []string
	refuse := true
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if refuse {
			refuse = false
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if err := check.Verify(body, req.Header); err != nil {
			t.Error(err)
		}
		var e struct {
			Type string
			Data struct{ Clinic string }
		}
		if err := json.Unmarshal(body, &e); err != nil || e.Data.Clinic != string(hallClinic(0)) {
			t.Errorf("%v: %s", err, body)
		}
		types, bodies = append(types, e.Type), append(bodies, string(body))
	}))
	defer receiver.Close()

	h := openHall(t, hallPlan{clinics: 1, slots: 4, asked: 2, patients: 4, every: time.Hour})
	w := newWebhooks(h.store, newMetrics(), slog.New(slog.DiscardHandler))
	defer w.close()
	hooks := []WebhookConfig{{URL: receiver.URL, Secret: secret}}
	if err := w.set(hallClinic(0), hooks); err != nil {
		t.Fatal(err)
	}
	came := func(want string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(types, want)
		}
	}
	// The subscription begins when it is made: wait until it has its place.
	eventually(t, "the subscription has its place", func() bool {
		_, err := h.store.Get(t.Context(), newWebhookSource(h.store, hallClinic(0), receiver.URL).key)
		return err == nil
	})
	h.dmes[hallClinic(0)].cancelNext(hallClinic(0))
	h.relais.Nudge(hallClinic(0))
	h.until("two people are asked", func() bool { return h.wall.count() == 2 })
	h.quiet()
	eventually(t, "the opening is told", came("slot.opened")) // after a try that failed
	if err := w.set(hallClinic(0), nil); err != nil {
		t.Fatal(err)
	}
	if kind, err := h.yes(t.Context(), h.wall.all[0]); err != nil {
		t.Fatalf("%v, %v", kind, err)
	}
	h.quiet()
	if err := w.set(hallClinic(0), hooks); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the booking is told", came("slot.booked"))
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"slot.opened", "slot.wave", "offer.made", "slot.claimed", "slot.booked"} {
		if i := slices.Index(types, want); i < 0 || slices.Contains(types[i+1:], want) && want != "offer.made" {
			t.Errorf("%s came not once: %v", want, types)
		}
	}
	all := strings.Join(bodies, "")
	patients, err := h.relais.Waitlist(t.Context(), hallClinic(0), "", 10)
	if err != nil || len(patients) == 0 {
		t.Fatal(err, len(patients))
	}
	for _, p := range patients {
		if strings.Contains(all, p.Name) || strings.Contains(all, string(p.Patient)) {
			t.Errorf("an event says who a patient is")
		}
	}
	for _, phone := range h.wall.all {
		if strings.Contains(all, string(phone)) {
			t.Error("an event has a telephone number in it")
		}
	}
}
