package actors

import (
	"context"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/offer"
	"relais/engine/slot"
)

// learned reads what the clinic keeps, and holds it against what its slots decide by.
func (w *world) learned() offer.Cells {
	w.t.Helper()
	cells, _, err := Learning(context.Background(), w.process.store, "a")
	if err != nil {
		w.t.Fatal(err)
	}
	if c := w.process.hall.get("a"); c.rates() != cells.Rates(c.Policy.Accept) {
		w.t.Error("slots decide by other rates than the store has")
	}
	return cells
}

func texted(c offer.Cells) (sum offer.Count) {
	for _, l := range c.Show(0) {
		if l.Channel == engine.SMS {
			sum.Yes += l.Yes
			sum.Exposure += l.Exposure
		}
	}
	return sum
}

// An opening that is over is learned from once, in the store and in what slots decide by; a restart keeps it.
func TestAnOpeningTeaches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		w.wait(5 * time.Minute)
		if n := w.learned().Openings; n != 0 {
			t.Fatalf("learned from %d openings while the first is under way", n)
		}
		w.answer(w.says("a", 2, "OUI"), engine.AnsBooked)
		w.wait(5 * time.Second)
		first := w.learned()
		if got := texted(first); first.Openings != 1 || got.Yes != 1 || got.Exposure <= 0 || got.Exposure > 1.5 {
			t.Errorf("three texts, a yes after four minutes: %+v", got)
		}
		for range 2 {
			w.crash()
			w.start()
			w.wait(5 * time.Second)
			if w.learned() != first {
				t.Errorf("after a restart: %+v", w.learned())
			}
		}
		w.phase("S1", slot.Booked)
	})
}

// However often the process dies on the way, each opening counts once.
func TestAnOpeningTeachesOnceWhateverBreaks(t *testing.T) {
	for commits := 1; commits <= 40; commits += 7 {
		bubble(t, func(t *testing.T) {
			w := freed(t, 3, nil)
			w.wait(2 * time.Minute)
			n := 0
			w.mu.Lock()
			w.boom = func(_ engine.ClinicID, what string) bool { // panics of the clinic actor
				n++
				return what == "learned" && n%2 == 1
			}
			w.mu.Unlock()
			w.wait(time.Duration(commits) * 4 * time.Minute) // until the slot is booked or expires
			if commits%2 == 0 {
				w.says("a", 1, "OUI")
			}
			w.crash()
			w.start()
			w.wait(4 * time.Hour)
			if c := w.learned(); c.Openings != 1 {
				t.Errorf("crash after %d looks: learned from %d openings", commits, c.Openings)
			}
		})
	}
}
