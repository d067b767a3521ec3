package hl7_test

import (
	"testing"
	"time"
)

// BenchmarkDetection measures from the record system's cancellation, over a real connection, to the
// nudge after which a look shows the slot free.
func BenchmarkDetection(b *testing.B) {
	r := newRound(b, nil)
	start := time.Now().Add(48 * time.Hour).Truncate(time.Hour)
	for i := range b.N {
		b.StopTimer()
		at := start.Add(time.Duration(i) * time.Hour)
		filler, err := r.system.Book(b.Context(), "derma", "D7", "PARC", at, at.Add(20*time.Minute))
		if err != nil {
			b.Fatal(err)
		}
		for len(r.nudged) > 0 {
			<-r.nudged
		}
		b.StartTimer()
		if err := r.system.Cancel(b.Context(), "derma", filler); err != nil {
			b.Fatal(err)
		}
		<-r.nudged
	}
}
