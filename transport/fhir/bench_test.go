package fhir_test

import (
	"fmt"
	"testing"

	"relais/transport/sandbox"
)

// BenchmarkBookAndCancel is one booking and its cancellation over loopback, each durable at the
// record system before it answers.
func BenchmarkBookAndCancel(b *testing.B) {
	w := newWorld(b)
	c := w.client(b, nil)
	var free sandbox.Appointment
	for _, a := range w.dme.Records()[0].Appointments {
		if a.Status == "free" && a.Start.After(now) {
			free = a
		}
	}
	n := 0
	for b.Loop() {
		n++
		booked, err := c.Book(b.Context(), booking(fmt.Sprint("bench-", n), free, n%60))
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Cancel(b.Context(), booked.Appointment); err != nil {
			b.Fatal(err)
		}
	}
}
