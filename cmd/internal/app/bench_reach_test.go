package app

import (
	"testing"
	"time"

	"relais/engine"
)

// BenchmarkNotifications frees slots at 64 clinics and counts the texts that one process hands to a
// carrier which answers at once, and then the receipts that it takes. Each text is in the store before it
// leaves and its outcome after; a receipt is in the store before it is acknowledged.
func BenchmarkNotifications(b *testing.B) {
	const slots, asked, callers = 640, 16, 64
	for b.Loop() {
		h := openHall(b, hallPlan{clinics: 64, slots: slots, asked: asked, patients: slots * asked * 11 / 10, every: time.Hour})
		start := time.Now()
		h.free(slots, asked)
		handed := h.store.lastCommit().Sub(start)
		attempts := h.wall.attempts
		if len(attempts) != slots*asked {
			b.Fatalf("%d texts for %d offers", len(attempts), slots*asked)
		}
		took := together(callers, len(attempts), func(i int) {
			r := engine.Receipt{Attempt: attempts[i], Ref: string(attempts[i]), Status: engine.ReceiptDelivered, At: time.Now()}
			if err := h.relais.Receipt(b.Context(), r); err != nil {
				b.Error(err)
			}
		})
		b.ReportMetric(0, "ns/op") // setting up is most of it
		b.ReportMetric(float64(len(attempts))/handed.Seconds(), "texts/s")
		b.ReportMetric(float64(len(attempts))/took.Seconds(), "receipts/s")
	}
}
