package app

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relais/engine"
)

// together has so many goroutines take the numbers below n in turn, and returns how long all took.
func together(callers, n int, f func(i int)) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// quantile is in milliseconds. It sorts took.
func quantile(took []time.Duration, q float64) float64 {
	slices.Sort(took)
	return float64(took[int(float64(len(took)-1)*q)].Microseconds()) / 1000
}

const (
	claimCallers = 256
	claimTurns   = 4
)

// BenchmarkClaims has 256 patients at a time say yes, each to a slot of their own, and compares with
// a bare group commit of the same writes, in turns on the same machine.
func BenchmarkClaims(b *testing.B) {
	b.Run("durable", claimsDurable)
	b.Run("whole", claimsWhole)
}

// claimsDurable counts what must be on the disk before a patient may be told anything: the slot
// given away, the entry taken off the list, the timeline and the order to write the booking back.
// The record system answers nothing meanwhile, so that this is all that is written.
func claimsDurable(b *testing.B) {
	const slots = 4096
	for b.Loop() {
		h := openHall(b, hallPlan{clinics: 64, slots: slots, asked: 1, patients: slots * 11 / 10, every: time.Hour})
		var spent, plain time.Duration
		var took []time.Duration
		var x *bare
		for range claimTurns {
			freed := h.free(slots/claimTurns, 1)
			phones := h.askedAbout(freed)
			if x == nil {
				x = h.openBare()
			}
			var release []func()
			for _, d := range h.dmes {
				release = append(release, d.hold())
			}
			durable := h.store.watch(freed)
			lasted := make([]time.Duration, len(freed))
			var answers sync.WaitGroup
			spent += together(claimCallers, len(freed), func(i int) {
				began := time.Now()
				answers.Go(func() {
					kind, err := h.yes(b.Context(), phones[i])
					if err != nil || (kind != engine.AnsFinalising && kind != engine.AnsBooked) {
						b.Errorf("a yes to a free slot: %q, %v", kind, err)
					}
				})
				select {
				case <-durable[freed[i]]:
				case <-b.Context().Done():
				}
				lasted[i] = time.Since(began)
			})
			noted := h.store.unwatch()
			took = append(took, lasted...)
			for _, f := range release {
				f()
			}
			answers.Wait()
			h.quiet()
			claims := slices.DeleteFunc(noted, func(c notedCommit) bool { return !c.claim })
			if len(claims) != len(freed) {
				b.Fatalf("%d claims for %d slots", len(claims), len(freed))
			}
			plain += x.again(b, claims, claimCallers)
		}
		report(b, slots, slots, spent, plain, took)
	}
}

// claimsWhole counts everything until it is quiet: three people asked for each slot, the booking
// written back and accepted, the winner told on the same channel, the two others told that it is
// taken, and the record system's own news of the booking taken in.
func claimsWhole(b *testing.B) {
	const slots, asked = 2048, 3
	for b.Loop() {
		h := openHall(b, hallPlan{clinics: 64, slots: slots, asked: asked, patients: slots * asked * 11 / 10, every: time.Hour})
		var spent, plain time.Duration
		var took []time.Duration
		var x *bare
		commits := 0
		for range claimTurns {
			freed := h.free(slots/claimTurns, asked)
			phones := h.askedAbout(freed)
			if x == nil {
				x = h.openBare()
			}
			h.store.watch(nil)
			lasted := make([]time.Duration, len(freed))
			start := time.Now()
			together(claimCallers, len(freed), func(i int) {
				began := time.Now()
				kind, err := h.yes(b.Context(), phones[i])
				if err != nil || (kind != engine.AnsBooked && kind != engine.AnsFinalising) {
					b.Errorf("a yes to a free slot: %q, %v", kind, err)
				}
				lasted[i] = time.Since(began)
			})
			h.quiet()
			noted := h.store.unwatch()
			took = append(took, lasted...)
			commits += len(noted)
			spent += noted[len(noted)-1].at.Sub(start)
			plain += x.again(b, noted, claimCallers)
		}
		booked := 0
		for _, d := range h.dmes {
			booked += d.booked()
		}
		if booked != slots {
			b.Fatalf("%d bookings for %d slots", booked, slots)
		}
		report(b, slots, commits, spent, plain, took)
	}
}

func report(b *testing.B, claims, commits int, spent, plain time.Duration, took []time.Duration) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // setting up is most of it
	b.ReportMetric(float64(claims)/spent.Seconds(), "claims/s")
	b.ReportMetric(float64(claims)/plain.Seconds(), "bare-claims/s")
	b.ReportMetric(plain.Seconds()/spent.Seconds(), "ratio")
	b.ReportMetric(float64(commits)/float64(claims), "commits/claim")
	b.ReportMetric(quantile(took, .5), "p50-ms")
	b.ReportMetric(quantile(took, .99), "p99-ms")
}

func BenchmarkRaceForOneSlot(b *testing.B) {
	for b.Loop() {
		took := race(b, 1000)
		b.ReportMetric(0, "ns/op") // setting up is most of it
		b.ReportMetric(took.Seconds()*1000, "all-answered-ms")
	}
}
