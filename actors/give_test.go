package actors

import (
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

// TestGivenByHandMovesUp has the front desk give a slot to somebody with a later appointment, who was asked for
// it before, or was not.
func TestGivenByHandMovesUp(t *testing.T) {
	for name, before := range map[string]time.Duration{"not asked": 3 * time.Second, "asked": 90 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, later := feeders(t)
				d := w.dmes["a"]
				d.cancel("S1")
				w.wait(before)
				card, err := w.act("S1", "book", 0, "by-hand-1", string(w.wish("a1", later).ID))
				if err != nil || card.State != desk.Claimed && card.State != desk.Confirmed {
					t.Fatalf("%v: %+v", err, card)
				}
				w.wait(10 * time.Second)
				if d.alive(later) {
					t.Error("the later appointment was not given up")
				}
				w.stands(w.wish("a1", later), engine.Placed, "")
			})
		})
	}
}
