package actors

import (
	"context"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
)

func (w *world) ends(c engine.ClinicID, u desk.Unread, key string, decision engine.Intent) (desk.UnreadOutcome, error) {
	return w.SettleUnread(context.Background(), c, "clerk", key, desk.UnreadEnd{ID: u.ID, Revision: u.Revision, Decision: decision})
}

// TestAnswerOnBehalf: the desk reads "oui mais" as a yes; pressed twice it counts once, and another
// clinic's desk can do nothing with it.
func TestAnswerOnBehalf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 3, nil)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Minute)
		w.says("a", 1, "oui mais pas avant 15 h?")
		u := w.unreadOf(1)
		if _, err := w.ends("b", u, "key-0", engine.Yes); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("another clinic's desk: %v", err)
		}
		stale := u
		stale.Revision++
		if _, err := w.ends("a", stale, "key-1", engine.Yes); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a stale revision: %v", err)
		}
		w.phase("S1", slot.Offering)
		for range 2 {
			if out, err := w.ends("a", u, "key-2", engine.Yes); err != nil || !out.Settled {
				t.Errorf("%+v, %v", out, err)
			}
		}
		w.wait(time.Minute)
		w.phase("S1", slot.Booked)
		w.unreadOf(0)
		if e := w.entry("a1"); e.Status != engine.Placed {
			t.Errorf("a1 is %s", e.Status)
		}
	})
}

// TestYesOnBehalfTooLateStays: somebody else was quicker; the message waits until a person tells it.
func TestYesOnBehalfTooLateStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		w.wait(time.Minute)
		w.says("a", 1, "je pense que oui")
		u := w.unreadOf(1)
		w.says("a", 2, "oui")
		w.wait(time.Minute)
		out, err := w.ends("a", u, "key-1", engine.Yes)
		if err != nil || out.Settled || out.Answer != engine.AnsTaken {
			t.Errorf("%+v, %v", out, err)
		}
		w.unreadOf(1)
		if out, err = w.ends("a", u, "key-2", ""); err != nil || !out.Settled {
			t.Errorf("done: %+v, %v", out, err)
		}
		w.unreadOf(0)
	})
}
