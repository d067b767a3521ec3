package actors

import (
	"slices"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/slot"
)

func TestWayOfOneCancellation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		w.phase("S1", slot.Freed)
		w.want() // the grace: an edit is not a cancellation
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.answer(w.says("a", 2, "OUI"), engine.AnsBooked)
		w.want("a1 taken", "a2 booked", "a3 taken")
		w.phase("S1", slot.Booked)
		if b, _ := w.dmes["a"].live("S1"); b == "" {
			t.Error("the record system does not have the booking")
		}
		if e := w.entry("a2"); e.Status != engine.Placed || e.Slot != w.slotID("a", "S1") {
			t.Errorf("the winner's entry is %q for %q", e.Status, e.Slot)
		}
		w.answer(w.says("a", 1, "oui"), engine.AnsTaken)
		w.answer(w.says("a", 2, "oui"), engine.AnsBooked)
		w.wait(4 * time.Hour)
		w.want()
		want := []string{"opened", "wave", "offered", "offered", "offered", "claimed", "booked", "late"}
		got := slices.DeleteFunc(w.events("S1"), func(e string) bool { return e == "delivery" })
		if !slices.Equal(got, want) {
			t.Errorf("timeline %q\nwant %q", got, want)
		}
	})
}
