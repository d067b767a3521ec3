package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// The shape of what is claimed: 20,000 open slots of 50 clinics.
const (
	benchClinics = 50
	benchSlots   = 20_000
	slotBytes    = 500
	entryBytes   = 300
	eventBytes   = 150
	effectBytes  = 200
)

// claim is one confirmation: slot and entry move, two events are told, three effects are left
// to do and an earlier one is done.
type claim struct {
	slot    int
	version uint64 // of slot and entry before
	number  uint64 // of the claim, for its effects
	done    uint64 // number of an earlier claim of the clinic
}

func benchClinic(slot int) engine.ClinicID {
	return engine.ClinicID(fmt.Sprintf("clinic-%02d", slot%benchClinics))
}

func benchSlot(slot int) string {
	return string(engine.NewSlotID(benchClinic(slot), fmt.Sprint(slot), time.Unix(1_780_000_000, 0).Add(time.Duration(slot)*10*time.Minute)))
}

func benchEntry(slot int) string   { return fmt.Sprintf("entry-%08x", uint32(slot)*2654435761) }
func benchEffect(n uint64) string  { return fmt.Sprintf("%016x", n) }
func effectNumber(n uint64) string { return benchEffect(n) + ".1" }

// commits is what both contenders do.
type commits interface {
	claim(c claim) error
	close() error
}

// throughStore commits claims as the actors do.
type throughStore struct {
	s    *Store
	data []byte
}

func (t throughStore) close() error { return t.s.Close() }

func (t throughStore) claim(c claim) error {
	clinic, slot := benchClinic(c.slot), benchSlot(c.slot)
	at := time.Unix(1_770_000_000, 0)
	n := benchEffect(c.number)
	return t.s.Commit(context.Background(), storage.Batch{
		Puts: []storage.Put{
			{Key: storage.Key{Clinic: clinic, Kind: storage.KindSlot, ID: slot}, Expect: c.version, Data: t.data[:slotBytes]},
			{Key: storage.Key{Clinic: clinic, Kind: storage.KindEntry, ID: benchEntry(c.slot)}, Expect: c.version, Data: t.data[:entryBytes]},
		},
		Events: []storage.Event{
			{Clinic: clinic, Subject: slot, At: at, Data: t.data[:eventBytes]},
			{Clinic: clinic, Subject: slot, At: at, Data: t.data[:eventBytes]},
		},
		Effects: []storage.Effect{
			{Clinic: clinic, ID: n + ".1", Data: t.data[:effectBytes]},
			{Clinic: clinic, ID: n + ".2", Data: t.data[:effectBytes]},
			{Clinic: clinic, ID: n + ".3", Data: t.data[:effectBytes]},
		},
		Done: []storage.EffectKey{{Clinic: clinic, ID: effectNumber(c.done)}},
	})
}

// bare is a plain group commit: the same keys, the same number of bytes, nothing checked, nothing
// sealed.
type bare struct {
	db    *bbolt.DB
	queue chan *bareJob
	ended chan struct{}
	data  []byte
	seqs  [benchClinics]atomic.Uint64
}

type bareOp struct {
	bucket     int
	key, value []byte
}

type bareJob struct {
	ops  []bareOp
	done chan error
}

func openBare(b *testing.B) *bare {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, InitialMmapSize: initialMap(),
	})
	if err != nil {
		b.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range bucketNames {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	x := &bare{db: db, queue: make(chan *bareJob, maxWaiting), ended: make(chan struct{}), data: make([]byte, 1024)}
	go x.write()
	return x
}

func (x *bare) close() error {
	close(x.queue)
	<-x.ended
	return x.db.Close()
}

func (x *bare) write() {
	defer close(x.ended)
	var group []*bareJob
	for j := range x.queue {
		group = append(group[:0], j)
	drain:
		for len(group) < maxGroup {
			select {
			case j := <-x.queue:
				group = append(group, j)
			default:
				break drain
			}
		}
		err := x.db.Update(func(tx *bbolt.Tx) error {
			var in [buckets]*bbolt.Bucket
			for i, name := range bucketNames {
				in[i] = tx.Bucket(name)
			}
			in[inEvents].FillPercent, in[inOutbox].FillPercent = 0.9, 0.9
			for _, j := range group {
				for _, op := range j.ops {
					if err := change(in[op.bucket], op.key, op.value); err != nil {
						return err
					}
				}
			}
			return nil
		})
		for _, j := range group {
			j.done <- err
		}
	}
}

func (x *bare) claim(c claim) error {
	clinic, slot := benchClinic(c.slot), benchSlot(c.slot)
	prefix := appendPart(nil, string(clinic))
	key := func(id string) []byte { return append(slices.Clone(prefix), id...) }
	n := benchEffect(c.number)
	value := func(size int) []byte { return x.data[:size+seal.Overhead] }
	ops := []bareOp{
		{inRecords, diskKey(storage.Key{Clinic: clinic, Kind: storage.KindSlot, ID: slot}), value(slotBytes + 1)},
		{inRecords, diskKey(storage.Key{Clinic: clinic, Kind: storage.KindEntry, ID: benchEntry(c.slot)}), value(entryBytes + 1)},
	}
	last := x.seqs[c.slot%benchClinics].Add(2)
	for _, seq := range []uint64{last - 1, last} {
		ops = append(ops,
			bareOp{inEvents, appendEventKey(nil, clinic, seq), value(eventBytes + 1 + len(slot) + timeLen)},
			bareOp{inSubjects, binary.BigEndian.AppendUint64(appendSubjectPrefix(nil, clinic, slot), seq), []byte{}})
	}
	ops = append(ops, bareOp{inOutbox, key(effectNumber(c.done)), nil})
	for _, part := range []string{".1", ".2", ".3"} {
		ops = append(ops, bareOp{inOutbox, key(n + part), value(effectBytes)})
	}
	return x.do(ops)
}

func (x *bare) do(ops []bareOp) error {
	j := &bareJob{ops: ops, done: make(chan error, 1)}
	x.queue <- j
	return <-j.done
}

// race is a contender with the state of its claims.
type race struct {
	to       commits
	versions [benchSlots]uint64
	number   atomic.Uint64
	latest   [benchClinics]atomic.Uint64 // newest claim of a clinic
	took     []time.Duration
	spent    time.Duration
	claims   int
}

// run has callers make n claims together. No two callers share a slot, so none is stale.
func (r *race) run(b *testing.B, callers, n int) {
	b.Helper()
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	start := time.Now()
	for who := range callers {
		share := n / callers
		if who < n%callers {
			share++
		}
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(who)))
			for range share {
				slot := rnd.IntN(benchSlots/callers)*callers + who
				number := r.number.Add(1)
				c := claim{slot: slot, version: r.versions[slot], number: number, done: r.latest[slot%benchClinics].Swap(number)}
				began := time.Now()
				if err := r.to.claim(c); err != nil {
					b.Error(err)
					return
				}
				took[who] = append(took[who], time.Since(began))
				r.versions[slot]++
			}
		})
	}
	wg.Wait()
	r.spent += time.Since(start)
	r.claims += n
	for _, t := range took {
		r.took = append(r.took, t...)
	}
}

func (r *race) rate() float64 { return float64(r.claims) / r.spent.Seconds() }

func (r *race) percentile(p int) float64 {
	slices.Sort(r.took)
	return float64(r.took[(len(r.took)-1)*p/100].Microseconds()) / 1000
}

// BenchmarkClaim compares claims through the Store with a bare group commit of the same writes, in
// turns on the same machine, and reports the ratio. Run it with -benchtime=20000x or more.
func BenchmarkClaim(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			store := &race{to: throughStore{s: openTemp(b, Options{}), data: make([]byte, 1024)}}
			plain := &race{to: openBare(b)}
			for _, r := range []*race{store, plain} {
				r.seed(b)
			}
			const turns = 8
			db := store.to.(throughStore).s.db
			before := db.Stats()
			b.ResetTimer()
			for turn := range turns {
				n := b.N / turns
				if turn < b.N%turns {
					n++
				}
				store.run(b, callers, n)
				plain.run(b, callers, n)
			}
			b.StopTimer()
			b.ReportMetric(0, "ns/op") // of both together: says nothing
			b.ReportMetric(store.rate(), "store/s")
			b.ReportMetric(plain.rate(), "bare/s")
			b.ReportMetric(store.rate()/plain.rate(), "ratio")
			b.ReportMetric(store.percentile(50), "p50-ms")
			b.ReportMetric(store.percentile(99), "p99-ms")
			after := db.Stats()
			done := after.Sub(&before)
			b.ReportMetric(float64(done.TxStats.GetPageAlloc())/1024/float64(b.N), "KiB-written/claim")
			for _, r := range []*race{store, plain} {
				if err := r.to.close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// seed claims every slot once, many at a time.
func (r *race) seed(b *testing.B) {
	b.Helper()
	const callers = 512
	var wg sync.WaitGroup
	for who := range callers {
		wg.Go(func() {
			for slot := who; slot < benchSlots; slot += callers {
				number := r.number.Add(1)
				c := claim{slot: slot, number: number, done: r.latest[slot%benchClinics].Swap(number)}
				if err := r.to.claim(c); err != nil {
					b.Error(err)
					return
				}
				r.versions[slot] = 1
			}
		})
	}
	wg.Wait()
}
