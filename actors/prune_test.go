package actors

import (
	"context"
	"testing"
	"time"

	"relais/engine"
	"relais/storage"
)

// stored counts the records of a kind, of clinic a or shared by all.
func (w *world) stored(k storage.Kind) (n int) {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	for key := range w.disk.records {
		if key.Kind == k {
			n++
		}
	}
	return n
}

func TestThePastIsLetGoOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.retention = 3 * 24 * time.Hour
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.dmes["a"].add("S2", monday.Add(9*24*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 8, nil)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(70 * time.Second)
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		w.wait(5 * time.Second)
		w.dmes["a"].cancel("S2")
		w.wait(2 * time.Minute)
		first, second := w.slotID("a", "S1"), w.slotID("a", "S2")
		if w.stored(storage.KindSlot) != 2 || w.stored(storage.KindOffer) < 6 || w.stored(storage.KindToken) < 6 {
			t.Fatalf("%d slots, %d offers, %d links", w.stored(storage.KindSlot), w.stored(storage.KindOffer), w.stored(storage.KindToken))
		}
		if _, err := w.act("S2", "pause", 0, "a-key", ""); err != nil || w.stored(storage.KindReply) != 2 {
			t.Fatalf("%d replies and commands are remembered, want 2: %v", w.stored(storage.KindReply), err)
		}
		w.wait(2 * 24 * time.Hour)
		if w.stored(storage.KindReply) != 2 {
			t.Error("two days later a reply is forgotten")
		}
		if _, err := w.Slot(context.Background(), "a", first); err != nil {
			t.Fatalf("two days later: %v", err)
		}
		w.wait(3 * 24 * time.Hour)
		if _, err := w.Slot(context.Background(), "a", first); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("five days later: %v", err)
		}
		if n := w.stored(storage.KindReply); n != 0 {
			t.Errorf("five days later %d replies and commands are remembered", n)
		}
		if _, err := w.Slot(context.Background(), "a", second); err != nil {
			t.Errorf("a slot that is open: %v", err)
		}
		kept := len(w.slot("S2").Offers)
		if w.stored(storage.KindSlot) != 1 || w.stored(storage.KindOffer) != kept || w.stored(storage.KindToken) != kept {
			t.Errorf("%d slots, %d offers, %d links are left, want 1 and %d", w.stored(storage.KindSlot), w.stored(storage.KindOffer), w.stored(storage.KindToken), kept)
		}
		lines, err := w.Relais.store.Timeline(context.Background(), "a", string(first), 0, 100)
		if err != nil || len(lines) == 0 {
			t.Errorf("its timeline: %d lines, %v", len(lines), err)
		}
	})
}
