package app

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
	"relais/engine/slot"
)

// race has everybody who was asked about one slot say yes at once, and returns how long it took
// until all had their answer.
func race(tb testing.TB, people int) time.Duration {
	tb.Helper()
	h := openHall(tb, hallPlan{clinics: 1, slots: 20, asked: people, patients: people, every: time.Hour})
	freed := h.dmes[hallClinic(0)].cancelNext(hallClinic(0))
	h.relais.Nudge(hallClinic(0))
	for sent := 100; ; sent += 100 { // one wave looks at a hundred people; somebody at the desk wants more
		h.until("a wave is sent", func() bool { return h.wall.count() >= min(sent, people) })
		if sent >= people {
			break
		}
		act := desk.Action{Action: string(slot.SendNow)}
		if _, err := h.relais.Act(tb.Context(), hallClinic(0), freed, "accueil", rand.Text(), act); err != nil {
			tb.Fatal(err)
		}
	}
	h.quiet()
	h.wall.mu.Lock()
	phones := slices.Clone(h.wall.all)
	h.wall.mu.Unlock()
	if len(phones) != people {
		tb.Fatalf("%d people were asked, not %d", len(phones), people)
	}
	answers := make([]engine.AnswerKind, people)
	took := together(people, people, func(i int) {
		kind, err := h.yes(tb.Context(), phones[i])
		if err != nil {
			tb.Errorf("a yes was not answered: %v", err)
		}
		answers[i] = kind
	})
	h.quiet()
	won, lost := 0, 0
	for _, kind := range answers {
		switch {
		case kind == engine.AnsBooked || kind == engine.AnsFinalising:
			won++
		case kind == engine.AnsTaken:
			lost++
		default:
			tb.Errorf("an answer is %q", kind)
		}
	}
	if won != 1 || lost != people-1 {
		tb.Errorf("%d winners and %d who were told that it is taken, of %d", won, lost, people)
	}
	if n := h.dmes[hallClinic(0)].booked(); n != 1 {
		tb.Errorf("the record system has %d bookings", n)
	}
	return took
}

func TestThousandRaceForOneSlot(t *testing.T) {
	race(t, 1000)
}

// TestManyClaimsAtOneClinic has more bookings wait for one slow record system than may wait at once
// in the process. That is our limit and no fault of the record system: it must not be suspended for
// it, and every booking must be written in the end.
func TestManyClaimsAtOneClinic(t *testing.T) {
	const slots = 200
	h := openHall(t, hallPlan{clinics: 1, slots: slots, asked: 1, patients: slots * 11 / 10, every: time.Hour})
	freed := h.free(slots, 1)
	phones := h.askedAbout(freed)
	dme := h.dmes[hallClinic(0)]
	release := dme.hold()
	together(slots, slots, func(i int) {
		kind, err := h.yes(t.Context(), phones[i])
		if err != nil || kind != engine.AnsFinalising {
			t.Errorf("a yes to a free slot: %q, %v", kind, err)
		}
	})
	state, err := h.relais.Health(t.Context(), hallClinic(0))
	if err != nil {
		t.Fatal(err)
	}
	if state.Status != health.Healthy {
		t.Errorf("the record system is %s while it is only slow", state.Status)
	}
	release()
	h.until("all is booked", func() bool { return dme.booked() == slots })
	h.quiet()
}
