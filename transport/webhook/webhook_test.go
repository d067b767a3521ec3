package webhook

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"relais/engine"
)

const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" //nolint:gosec // of this test alone

// line is a timeline in memory.
type line struct {
	mu     sync.Mutex
	events []Event
	place  uint64
}

func (l *line) add(types ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range types {
		l.events = append(l.events, Event{
			Seq: uint64(len(l.events) + 1), Type: t, At: time.Now(), Clinic: "derma", Offer: "o.1.1",
			Slot: engine.Slot{ID: "20261201T0900Z-abc", Start: time.Now().Add(time.Hour), Practitioner: "dr", Source: "Slot/1"},
		})
	}
}

func (l *line) Events(_ context.Context, after uint64, limit int) ([]Event, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	some := l.events[after:]
	some = some[:min(limit, len(some))]
	return slices.Clone(some), after + uint64(len(some)), nil
}

func (l *line) Cursor(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.place, nil
}

func (l *line) Keep(_ context.Context, place uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.place = place
	return nil
}

// receiver is a program that takes webhooks, without a network: bubbles have none.
type receiver struct {
	mu     sync.Mutex
	status func(n int) int // of the nth request, from 1
	got    []http.Header
	bodies [][]byte
	n      int
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	w := httptest.NewRecorder()
	w.WriteHeader(r.status(r.n))
	if w.Code == http.StatusOK {
		r.got, r.bodies = append(r.got, req.Header), append(r.bodies, body)
	}
	return w.Result(), nil
}

func sender(t *testing.T, l *line, r *receiver, types ...string) *Sender {
	t.Helper()
	s, err := New(Config{
		URL: "https://example.org/hook", Secret: secret, Types: types, Source: l, Log: slog.New(slog.DiscardHandler), Client: &http.Client{Transport: r},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, s *Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	return func() { cancel(); <-done }
}

func always(int) int { return http.StatusOK }

// TestSignedAsTheStandardSays checks what is sent with the standard's own library.
func TestSignedAsTheStandardSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := &line{}, &receiver{status: always}
		stop := run(t, sender(t, l, r))
		l.add("slot.opened")
		time.Sleep(3 * time.Second)
		stop()
		if len(r.got) != 1 {
			t.Fatalf("%d events came", len(r.got))
		}
		check, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := check.Verify(r.bodies[0], r.got[0]); err != nil {
			t.Error(err)
		}
		forged := append(slices.Clone(r.bodies[0][:len(r.bodies[0])-1]), ' ', '}')
		if check.Verify(forged, r.got[0]) == nil {
			t.Error("a changed body passes")
		}
		var e struct {
			Type string
			Data struct {
				Seq  int
				Slot struct{ ID, Source string }
			}
		}
		if err := json.Unmarshal(r.bodies[0], &e); err != nil || e.Type != "slot.opened" || e.Data.Seq != 1 || e.Data.Slot.Source != "Slot/1" {
			t.Errorf("%v: %s", err, r.bodies[0])
		}
	})
}

// TestNothingIsLost stops the sender at every moment of a receiver that fails at first: all events come, in order,
// and one that comes twice has the same identifier.
func TestNothingIsLost(t *testing.T) {
	for after := range 12 {
		synctest.Test(t, func(t *testing.T) {
			l := &line{}
			r := &receiver{status: func(n int) int { return []int{503, 200, 500, 429}[n%4] }}
			l.add("slot.opened", "offer.made", "made.up", "offer.made", "slot.claimed", "slot.booked")
			stop := run(t, sender(t, l, r))
			time.Sleep(time.Duration(after) * 700 * time.Millisecond)
			stop()
			stop = run(t, sender(t, l, r))
			time.Sleep(time.Hour)
			stop()
			var ids []string
			for _, h := range r.got {
				ids = append(ids, h.Get("Webhook-Id"))
			}
			if want := []string{"evt_derma_1", "evt_derma_2", "evt_derma_4", "evt_derma_5", "evt_derma_6"}; !slices.Equal(slices.Compact(ids), want) {
				t.Errorf("stopped after %d: %v", after, ids)
			}
		})
	}
}

func TestOnlyWhatWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := &line{}, &receiver{status: always}
		l.add("slot.opened", "offer.made", "slot.booked")
		stop := run(t, sender(t, l, r, "slot.booked"))
		time.Sleep(time.Minute)
		stop()
		if len(r.got) != 1 || r.got[0].Get("Webhook-Id") != "evt_derma_3" || l.place != 3 {
			t.Errorf("%d came, place %d", len(r.got), l.place)
		}
	})
}

// TestReceiverThatIsGone gives up what nobody takes: at once where the receiver says so, else after days.
func TestReceiverThatIsGone(t *testing.T) {
	for _, c := range []struct {
		status      int
		least, most time.Duration
	}{
		{http.StatusGone, 0, time.Minute},
		{http.StatusInternalServerError, Patience, Patience + slowest + time.Hour},
		{http.StatusFound, Patience, Patience + slowest + time.Hour}, // a redirect is not followed
	} {
		synctest.Test(t, func(t *testing.T) {
			l, r := &line{}, &receiver{status: func(int) int { return c.status }}
			l.add("slot.opened")
			began := time.Now()
			stop := run(t, sender(t, l, r))
			for time.Since(began) < c.most {
				time.Sleep(time.Minute)
				if l.kept() == 1 {
					break
				}
			}
			took := time.Since(began)
			stop()
			if l.kept() != 1 || took < c.least {
				t.Errorf("status %d: given up after %v, place %d", c.status, took, l.kept())
			}
			if r.n > 200 {
				t.Errorf("status %d: tried %d times", c.status, r.n)
			}
		})
	}
}

func (l *line) kept() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.place
}

func TestBadSubscriptions(t *testing.T) {
	for _, c := range []Config{
		{URL: "ftp://example.org", Secret: secret},
		{URL: "https://", Secret: secret},
		{URL: "https://example.org", Secret: "short"},
		{URL: "https://example.org", Secret: "whsec_%%%"},
		{URL: "https://example.org", Secret: secret, Types: []string{"slot.exploded"}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s %v is taken", c.URL, c.Types)
		}
	}
}
