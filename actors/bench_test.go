package actors

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/reach"
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
			r.where.Store(s.Slot.ID, r.hall.get("parc"))
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

// BenchmarkLiveOffers reports what an offer under way costs in memory: the actor, its mailbox, its state as it
// is loaded from the store (a text that was taken, a call to come), the timer that wakes it, and the index that
// finds it when its phone answers. Slots and people are not in it.
func BenchmarkLiveOffers(b *testing.B) {
	const n, each = 100_000, 10
	for b.Loop() {
		clinic := engine.Clinic{ID: "parc", Zone: "America/Toronto", Policy: engine.DefaultPolicy(), Mode: engine.Automatic}
		r, err := New(Options{
			Clinics: []engine.Clinic{clinic}, DMEs: map[engine.ClinicID]DME{"parc": noDME{}}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		c := r.hall.get("parc")
		c.gate.Store(1) // the record system is trusted
		c.heard.Store(time.Now().Add(time.Hour).UnixNano())
		texts := make([][]byte, n)
		for i := range n {
			texts[i] = encode(liveOffer(b, i/each, i%each, clinic.Policy))
			r.where.Store(openSlot(i/each, 0).Slot.ID, c)
		}
		before := heapAlloc()
		for _, text := range texts {
			var o offerRecord
			if err := json.Unmarshal(text, &o); err != nil {
				b.Fatal(err)
			}
			r.replies.know(c, o.State, true)
			if err := r.offers.Send(o.State.Offer, preloadOffer{record: o, version: 1}); err != nil {
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
		if r.offers.Len() != n {
			b.Fatalf("%d actors, not %d", r.offers.Len(), n)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(after-before)/n, "B/offer")
		runtime.KeepAlive(texts)
		r.Stop(b.Context())
	}
}

// liveOffer is an offer whose text a carrier has, and whose call waits.
func liveOffer(b *testing.B, slot, n int, p engine.Policy) offerRecord {
	b.Helper()
	s, now := openSlot(slot, 0), time.Now().UTC()
	id := engine.NewOfferID(s.Slot.ID, 1, n+1)
	phone := engine.Phone(fmt.Sprintf("+1514%07d", slot*10+n))
	consent := now.AddDate(0, -1, 0)
	var state reach.State
	for _, in := range []reach.Input{
		reach.Begin{
			Offer: id, Clinic: "parc", Slot: s.Slot, Token: "AAAAAAAAAAAAAAAAAAAAAA", Deadline: s.Deadline,
			Person: reach.Person{
				Patient: engine.PatientID(fmt.Sprintf("w%06d", slot*10+n)), Lang: engine.French, Zone: "America/Toronto",
				Contacts: []engine.Contact{
					{Channel: engine.SMS, Phone: phone, Consent: consent, Proof: "formulaire 2026-03-02"},
					{Channel: engine.Voice, Phone: phone, Consent: consent, Proof: "formulaire 2026-03-02"},
				},
			},
		},
		reach.Tick{Gen: 1},
		reach.Handed{Attempt: engine.NewAttemptID(id, 1), Outcome: engine.Outcome{Status: engine.Accepted, Ref: "SM0123456789abcdef0123456789abcdef"}},
	} {
		var err error
		if state, _, err = reach.Step(state, in, now, p); err != nil {
			b.Fatal(err)
		}
	}
	state.Wake = now.Add(time.Hour) // nothing moves while it is measured
	return offerRecord{State: state, Seen: []string{string(id) + "/1"}}
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
