package reach

import (
	"testing"
	"time"

	"relais/engine"
)

// BenchmarkStep measures the input that comes most often: a receipt.
func BenchmarkStep(b *testing.B) {
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	pol := engine.DefaultPolicy()
	in := Begin{
		Offer: theOffer, Slot: engine.Slot{Start: now.Add(4 * time.Hour)}, Deadline: now.Add(3 * time.Hour),
		Person: Person{Zone: "America/Toronto", Hours: pol.Hours, Contacts: []engine.Contact{contact("sms"), contact("email"), contact("voice")}},
	}
	s, _, err := Step(State{}, in, now, pol)
	if err != nil {
		b.Fatal(err)
	}
	if s, _, err = Step(s, Tick{s.Gen}, now, pol); err != nil {
		b.Fatal(err)
	}
	receipt := Receipt{engine.Receipt{Attempt: engine.NewAttemptID(theOffer, 1), Status: engine.ReceiptDelivered}}
	b.ReportAllocs()
	for b.Loop() {
		if next, _, _ := Step(s, receipt, now, pol); next.Version == s.Version {
			b.Fatal("nothing changed")
		}
	}
}

func BenchmarkRead(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if intent, _, _ := Read("Oui, s'il vous plaît !"); intent != engine.Yes {
			b.Fatal(intent)
		}
	}
}
