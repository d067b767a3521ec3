package match_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"relais/engine"
	"relais/engine/match"
)

// towns are where the people of region live: thousands of inhabitants (2021 census), position.
var towns = []struct {
	people   int
	lat, lon float64
}{
	{1763, 45.51, -73.59},
	{549, 46.81, -71.21},
	{438, 45.58, -73.75},
	{291, 45.48, -75.70},
	{254, 45.53, -73.52},
	{173, 45.40, -71.89},
	{145, 48.43, -71.07},
	{139, 46.34, -72.54},
	{80, 45.78, -74.00},
	{79, 45.88, -72.48},
	{49, 48.45, -68.52},
	{42, 48.24, -79.02},
	{25, 50.21, -66.38},
	{15, 48.83, -64.48},
}

// inTown draws a town, as probable as the share of its people to the power of weight, and a point
// near it; spread is the deviation in km.
func inTown(rnd *rand.Rand, weight, spread float64) engine.Point {
	total := 0.0
	for _, t := range towns {
		total += math.Pow(float64(t.people), weight)
	}
	at := rnd.Float64() * total
	for _, t := range towns {
		if at -= math.Pow(float64(t.people), weight); at <= 0 {
			return engine.Point{Lat: t.lat + rnd.NormFloat64()*spread/111, Lon: t.lon + rnd.NormFloat64()*spread/78}
		}
	}
	return engine.Point{Lat: towns[0].lat, Lon: towns[0].lon}
}

// region is the waitlist of a network of clinics all over Quebec: 20 specialties, people as dense as
// the towns are, who say how far they would go (one in twenty: anywhere), when they can (half of
// them), how much notice they need, and whether they have an appointment already.
func region(n int) []engine.Entry {
	rnd := rand.New(rand.NewPCG(1, 2))
	list := make([]engine.Entry, n)
	for i := range list {
		e := &list[i]
		e.ID = engine.EntryID(fmt.Sprintf("e%07d", i))
		e.Patient = engine.PatientID(fmt.Sprintf("p%07d", i))
		e.Clinic, e.Status = "rosemont", engine.Waiting
		e.Specialty = engine.Specialty(fmt.Sprintf("s%02d", rnd.IntN(20)))
		e.Class = rnd.IntN(4)
		e.Joined = start.Add(-time.Duration(rnd.IntN(2*365*24*60)) * time.Minute).UTC()
		e.Notice = time.Duration(rnd.IntN(30)) * time.Hour
		if rnd.IntN(20) > 0 {
			home := inTown(rnd, 1, 12)
			e.Home, e.RadiusKm = &home, []float64{5, 10, 20, 20, 40, 80}[rnd.IntN(6)]
		}
		if rnd.IntN(2) > 0 {
			e.Windows = []engine.Window{{Days: []uint8{0x3e, 0x2a, 0x14, 0x41, 0x04, 0x7f}[rnd.IntN(6)], From: 8 * 60, Until: []int{12, 17, 21}[rnd.IntN(3)] * 60}}
		}
		if rnd.IntN(5) == 0 {
			e.Current = &engine.Appointment{Start: start.Add(time.Duration(rnd.IntN(4000)-2000) * time.Hour).UTC()}
		}
	}
	return list
}

// somewhere is a slot of any specialty of region, and where it is.
func somewhere(rnd *rand.Rand) (engine.Slot, engine.Point) {
	s := slot
	s.Specialty = engine.Specialty(fmt.Sprintf("s%02d", rnd.IntN(20)))
	return s, inTown(rnd, .7, 4) // small towns have more clinics a head
}

// freed is a slot of any specialty of region at a time at which slots are freed: nearly half of them within a
// day, when most people need more notice than that, the others up to three weeks ahead. By day, and not on
// Sundays.
func freed(rnd *rand.Rand) (engine.Slot, engine.Point) {
	s, at := somewhere(rnd)
	for {
		least, most := 2*time.Hour, 24*time.Hour
		switch u := rnd.Float64(); {
		case u > .75:
			least, most = 72*time.Hour, 21*24*time.Hour
		case u > .45:
			least, most = 24*time.Hour, 72*time.Hour
		}
		lead := least + time.Duration(rnd.Float64()*float64(most-least))
		from := query.Now.Add(lead).Truncate(5 * time.Minute)
		if wall := from.In(montreal); wall.Hour() >= 8 && wall.Hour() < 17 && wall.Weekday() != time.Sunday {
			s.Start, s.End = from, from.Add(20*time.Minute)
			return s, at
		}
	}
}

// worked is the processor time of this thread: on a machine with neighbours the clock on the wall measures
// them, above all at the 99th percentile of something that takes microseconds.
func worked(tb testing.TB) time.Duration {
	tb.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkRank asks for the best 50 of a million entries. "tired" says of the first of them, by
// Accept only, that they had offers, so that the answer lies further down.
func BenchmarkRank(b *testing.B) {
	if testing.Short() {
		b.Skip("a million entries take a while to build")
	}
	list := region(1_000_000)
	before := heap()
	x := match.New()
	for _, e := range list {
		x.Put(e, 0)
	}
	bytes := float64(heap()-before) / float64(len(list))
	for _, c := range []struct {
		name  string
		tired int
		draw  func(*rand.Rand) (engine.Slot, engine.Point)
	}{{"fresh", 0, somewhere}, {"freed", 0, freed}, {"tired", 8, somewhere}} {
		b.Run(c.name, func(b *testing.B) {
			q := query
			q.Limit = 50
			q.Accept = func(m *engine.Candidate) bool {
				if m.Waited > 600 {
					m.Offered = c.tired
				}
				return true
			}
			rnd := rand.New(rand.NewPCG(3, 4))
			var dst []engine.Candidate
			var took, busy []time.Duration
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			for b.Loop() {
				q.Slot, q.Place = c.draw(rnd)
				at, cpu := time.Now(), worked(b) //nolint:forbidigo // a benchmark measures real time
				if dst = x.Rank(dst[:0], q); len(dst) == 0 && c.name != "freed" {
					b.Fatal("nobody fits")
				}
				busy = append(busy, worked(b)-cpu)
				took = append(took, time.Since(at)) //nolint:forbidigo // as above
			}
			slices.Sort(took)
			slices.Sort(busy)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-us")
			b.ReportMetric(float64(busy[len(busy)/2].Nanoseconds())/1000, "cpu-p50-us")
			b.ReportMetric(float64(busy[len(busy)*99/100].Nanoseconds())/1000, "cpu-p99-us")
			b.ReportMetric(bytes, "B/entry")
		})
	}
	runtime.KeepAlive(list)
}

// BenchmarkPut replaces entries of a list of a million, one removal and one insertion, alone and
// while somebody else asks all the time; both wait for each other as they do in the program.
func BenchmarkPut(b *testing.B) {
	if testing.Short() {
		b.Skip("a million entries take a while to build")
	}
	list := region(1_000_000)
	x := match.New()
	for _, e := range list {
		x.Put(e, 0)
	}
	var mu sync.Mutex
	put := func(b *testing.B) {
		b.Helper()
		rnd := rand.New(rand.NewPCG(5, 6))
		b.ReportAllocs()
		for b.Loop() {
			mu.Lock()
			x.Put(list[rnd.IntN(len(list))], 1)
			mu.Unlock()
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	}
	b.Run("alone", put)
	b.Run("matching", func(b *testing.B) {
		stop, done := make(chan struct{}), make(chan int)
		go func() {
			rnd := rand.New(rand.NewPCG(7, 8))
			q := query
			q.Limit = 50
			asked := 0
			for {
				select {
				case <-stop:
					done <- asked
					return
				default:
				}
				q.Slot, q.Place = somewhere(rnd)
				mu.Lock()
				x.Rank(nil, q)
				mu.Unlock()
				asked++
			}
		}()
		put(b)
		close(stop)
		b.ReportMetric(float64(<-done)/b.Elapsed().Seconds(), "matches/s")
	})
}
