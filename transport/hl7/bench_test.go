package hl7_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/hl7"
)

// report adds percentiles to a benchmark's figures.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		at := took[min(len(took)-1, len(took)*p/100)]
		b.ReportMetric(float64(at.Microseconds())/1000, fmt.Sprintf("ms/p%d", p))
	}
}

// freeAt makes the nth visit of a record system and cancels it.
func (r *round) freeAt(n int) (cancelled, start time.Time) {
	r.t.Helper()
	start = time.Now().Add(48 * time.Hour).Truncate(time.Hour).Add(time.Duration(n) * time.Hour)
	filler, err := r.system.Book(r.t.Context(), "derma", "D7", "PARC", start, start.Add(20*time.Minute))
	if err != nil {
		r.t.Fatal(err)
	}
	for len(r.nudged) > 0 {
		<-r.nudged
	}
	cancelled = time.Now()
	if err := r.system.Cancel(r.t.Context(), "derma", filler); err != nil {
		r.t.Fatal(err)
	}
	return cancelled, start
}

// BenchmarkDetection measures from the record system's cancellation, over a real connection, to the
// nudge after which a look shows the slot free. The journal is in memory.
func BenchmarkDetection(b *testing.B) {
	r := newRound(b, nil)
	var took []time.Duration
	for i := range b.N {
		began, _ := r.freeAt(i)
		<-r.nudged
		took = append(took, time.Since(began))
	}
	report(b, took)
}

// BenchmarkWriteBack measures SRM^S01 to its answer, over a real connection, of slots freed one after
// the other.
func BenchmarkWriteBack(b *testing.B) {
	r := newRound(b, nil)
	var took []time.Duration
	for i := range b.N {
		_, start := r.freeAt(i)
		obs, err := r.c.Snapshot(b.Context(), start.Add(-time.Minute), start.Add(time.Minute))
		if err != nil || len(obs.Slots) != 1 {
			b.Fatal(len(obs.Slots), err)
		}
		f := obs.Slots[0]
		r.slot = engine.Slot{ID: "s", Clinic: "derma", Source: f.Source, Practitioner: f.Practitioner, Place: f.Place, Start: f.Start, End: f.End}
		began := time.Now()
		if _, err := r.book(engine.BookingID("relais-" + strconv.Itoa(i))); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	report(b, took)
}

// BenchmarkInAFlood measures a message to its acknowledgment while six senders flood the listener.
func BenchmarkInAFlood(b *testing.B) {
	r := newRound(b, nil)
	conn := r.dial()
	_ = conn.SetDeadline(time.Time{})
	in := hl7.NewFrames(conn)
	ctx, stop := context.WithCancel(b.Context())
	work := r.flood(ctx, 6)
	defer work.Wait()
	defer stop()
	r.counted(hl7.Flood, 5)
	var took []time.Duration
	for i := range b.N {
		began := time.Now()
		if _, err := conn.Write(hl7.Frame([]byte(siu(strconv.Itoa(i), "")))); err != nil {
			b.Fatal(err)
		}
		if code, text := answer(b, in); code != "AA" {
			b.Fatal(code, text)
		}
		took = append(took, time.Since(began))
	}
	report(b, took)
}
