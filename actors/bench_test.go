package actors

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/slot"
)

// BenchmarkIdleSlot reports what an open slot costs in memory while nothing happens to it: the actor,
// its mailbox, its state as it is loaded from the store, and the timer that wakes it.
func BenchmarkIdleSlot(b *testing.B) {
	for _, offers := range []int{0, 3, 9} {
		b.Run(fmt.Sprintf("offers=%d", offers), func(b *testing.B) { idleSlots(b, offers) })
	}
}

func idleSlots(b *testing.B, offers int) {
	b.Helper()
	const n = 10_000
	for b.Loop() {
		clinic := engine.Clinic{ID: "parc", Zone: "America/Toronto", Policy: engine.DefaultPolicy(), Mode: engine.Automatic}
		r, err := New(Options{
			Clinics: []engine.Clinic{clinic}, DMEs: map[engine.ClinicID]DME{"parc": noDME{}}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		ids, texts := make([]engine.SlotID, n), make([][]byte, n)
		for i := range n {
			s := openSlot(i, offers)
			ids[i], texts[i] = s.Slot.ID, encode(s)
			r.where.Store(s.Slot.ID, r.clinics["parc"])
		}
		before := heapAlloc()
		for i, text := range texts {
			var s slot.State
			if err := json.Unmarshal(text, &s); err != nil {
				b.Fatal(err)
			}
			if err := r.slots.Send(ids[i], preload{state: s, version: 1}); err != nil {
				b.Fatal(err)
			}
		}
		for busy := true; busy; {
			runtime.Gosched()
			busy = false
			for _, k := range r.Stats() {
				busy = busy || k.Queued > 0
			}
		}
		after := heapAlloc()
		if r.slots.Len() != n {
			b.Fatalf("%d actors, not %d", r.slots.Len(), n)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(after-before)/n, "B/slot")
		runtime.KeepAlive(texts)
		r.Stop(b.Context())
	}
}

// openSlot is a slot about which people have been asked.
func openSlot(n, offers int) slot.State {
	now := time.Now().UTC().Round(time.Millisecond)
	start := now.Add(72 * time.Hour)
	source := fmt.Sprintf("Slot/%d", n)
	id := engine.NewSlotID("parc", source, start)
	s := slot.State{
		Slot: engine.Slot{
			ID: id, Clinic: "parc", Source: source, Practitioner: "gagnon", Place: "parc", Specialty: "dermatology",
			Start: start, End: start.Add(20 * time.Minute),
		},
		Opening: 1, Phase: slot.Offering, Version: 2, OpenedAt: now, Deadline: start.Add(-time.Hour), Wave: 1, WaveAt: now,
		Wake: now.Add(time.Hour), Gen: 2,
	}
	for i := range offers {
		s.Offers = append(s.Offers, slot.Offer{
			ID: engine.NewOfferID(id, 1, i+1), Entry: engine.EntryID(fmt.Sprintf("ew%06d", n*9+i)),
			Patient: engine.PatientID(fmt.Sprintf("w%06d", n*9+i)), Channel: engine.SMS, Wave: 1, At: now, Status: slot.Pending,
		})
	}
	return s
}

// noDME is never asked.
type noDME struct{ DME }

func heapAlloc() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
