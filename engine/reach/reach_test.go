package reach

import (
	"testing"
	"time"

	"relais/engine"
)

// TestProof holds that a proof is dated by the carrier as far as that can be true, and that the
// first one stands.
func TestProof(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	now := start.Add(time.Minute)
	tests := []struct {
		name string
		at   time.Time
		want time.Duration
	}{
		{"as the carrier says", start.Add(5 * time.Second), 5 * time.Second},
		{"not before it left", start.Add(-time.Hour), time.Minute},
		{"not in the future", now.Add(time.Hour), time.Minute},
		{"without a date", time.Time{}, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := begun(t, start, "voice")
			id := s.Deliveries[0].ID
			answered := Receipt{engine.Receipt{Attempt: id, Status: engine.ReceiptAnswered, At: tt.at}}
			s, effects, err := Step(s, answered, now, engine.DefaultPolicy())
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Deliveries[0].Proof.Sub(start); got != tt.want {
				t.Errorf("proven after %s, want %s", got, tt.want)
			}
			found := false
			for _, e := range effects {
				if p, ok := e.(Proven); ok {
					found = p == Proven{Channel: engine.Voice, After: tt.want}
				}
			}
			if !found {
				t.Errorf("no such proof in %v", effects)
			}
			heard := Receipt{engine.Receipt{Attempt: id, Status: engine.ReceiptDelivered, At: now}}
			s, effects, err = Step(s, heard, now.Add(30*time.Second), engine.DefaultPolicy())
			if err != nil || len(effects) > 0 || s.Deliveries[0].Proof.Sub(start) != tt.want {
				t.Errorf("a second proof gives %v, %v, %s", effects, err, s.Deliveries[0].Proof)
			}
		})
	}
}

// TestBound holds that the calls and the outcome keep their place whatever happens before.
func TestBound(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	pol := engine.DefaultPolicy()
	pol.Reminders = 100
	s := begun(t, now, "sms1", "sms2", "sms3", "sms4", "sms5", "sms6", "sms7", "voice")
	step := func(in Input) {
		t.Helper()
		next, _, err := Step(s, in, now, pol)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	for range 40 {
		step(Tick{s.Gen})
		for _, d := range s.Deliveries {
			if d.Status == Sending {
				step(Handed{Attempt: d.ID, Outcome: engine.Outcome{Status: engine.Accepted}})
			}
		}
		step(Remind{})
		if now = now.Add(time.Second); !s.Wake.IsZero() && s.Wake.After(now) {
			now = s.Wake
		}
	}
	if want := maxAsking - maxCalls; len(s.Deliveries) != want {
		t.Errorf("%d offers and reminders, want %d", len(s.Deliveries), want)
	}
	step(Replied{Channel: engine.SMS})
	step(Tell{engine.MsgBooked, engine.SMS})
	if d := s.Deliveries[len(s.Deliveries)-1]; d.Kind != engine.MsgBooked || d.Status != Queued {
		t.Errorf("the outcome is not told: %+v", d)
	}
}

// TestUnknownInputs holds what a caller gets for what this package does not know.
func TestUnknownInputs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	s := begun(t, now, "sms")
	id := s.Deliveries[0].ID
	tests := []struct {
		name string
		s    State
		in   Input
		code engine.Code
	}{
		{"nil", s, nil, engine.Internal},
		{"an outcome without a status", s, Handed{Attempt: id}, engine.Invalid},
		{"a receipt without a status", s, Receipt{engine.Receipt{Attempt: id}}, engine.Invalid},
		{"an offer without a name", State{}, Begin{Slot: s.Slot, Deadline: s.Deadline}, engine.Invalid},
		{"an offer without a slot", State{}, Begin{Offer: theOffer, Deadline: s.Deadline}, engine.Invalid},
		{"an offer without an end", State{}, Begin{Offer: theOffer, Slot: s.Slot}, engine.Invalid},
		{"an offer in this machine's zone", State{}, Begin{Offer: theOffer, Slot: s.Slot, Deadline: s.Deadline, Person: Person{Zone: "Local"}}, engine.Invalid},
		{"a tick of nothing", State{}, Tick{}, engine.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, effects, err := Step(tt.s, tt.in, now, engine.DefaultPolicy()); engine.CodeOf(err) != tt.code || err == nil || effects != nil {
				t.Errorf("got %v and %v, want %s", effects, err, tt.code)
			}
		})
	}
}
