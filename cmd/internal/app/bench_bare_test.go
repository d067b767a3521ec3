package app

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"relais/engine"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
)

// bare is the least that a durable write costs: one goroutine that drains what waits into one bbolt
// transaction. It writes what Relais's store wrote, key by key and byte by byte, on a copy of the
// same file, and does nothing else: no rules, no encoding, no sealing, no versions checked.
type bare struct {
	db    *bbolt.DB
	queue chan *bareJob
	ended chan struct{}
	zeros []byte
}

// bareOp is one key that is written with so many bytes, or removed.
type bareOp struct {
	bucket int
	key    []byte
	size   int // -1: removed
}

type bareJob struct {
	ops  []bareOp
	done chan error
}

// The store's buckets.
var bareBuckets = [][]byte{[]byte("records"), []byte("events"), []byte("subjects"), []byte("outbox")}

const (
	inRecords = iota
	inEvents
	inSubjects
	inOutbox
)

// bareKinds are the kinds in the order of the store's file format.
var bareKinds = map[storage.Kind]byte{
	storage.KindSlot: 1, storage.KindOffer: 2, storage.KindEntry: 3, storage.KindPatient: 4, storage.KindSchedule: 5, storage.KindSync: 6,
	storage.KindToken: 7, storage.KindOptOut: 8, storage.KindReply: 9, storage.KindAccount: 10, storage.KindSession: 11, storage.KindMeta: 12,
	storage.KindUnread: 13,
}

func part(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// bareOps lists what a batch writes; s.mu is held. The numbers of events are its own: they stand at
// each clinic's end, as the store's do.
func (s *watchedStore) bareOps(b storage.Batch) []bareOp {
	var ops []bareOp
	for _, p := range b.Puts {
		size := 1 + len(p.Data) + seal.Overhead
		if p.Delete {
			size = -1
		}
		ops = append(ops, bareOp{inRecords, append(append(part(nil, string(p.Key.Clinic)), bareKinds[p.Key.Kind]), p.Key.ID...), size})
	}
	for _, e := range b.Events {
		s.seqs[e.Clinic]++
		n := 1<<40 + s.seqs[e.Clinic]
		const at = 12 // bytes of a stored time
		ops = append(ops, bareOp{inEvents, binary.BigEndian.AppendUint64(part(nil, string(e.Clinic)), n), 1 + len(e.Subject) + at + len(e.Data) + seal.Overhead})
		if e.Subject != "" {
			ops = append(ops, bareOp{inSubjects, binary.BigEndian.AppendUint64(part(part(nil, string(e.Clinic)), e.Subject), n), 0})
		}
	}
	for _, d := range b.Done {
		ops = append(ops, bareOp{inOutbox, append(part(nil, string(d.Clinic)), d.ID...), -1})
	}
	for _, e := range b.Effects {
		ops = append(ops, bareOp{inOutbox, append(part(nil, string(e.Clinic)), e.ID...), len(e.Data) + seal.Overhead})
	}
	return ops
}

// openBare copies the store's file, which nobody writes to at the moment, and opens the copy.
func (h *hall) openBare() *bare {
	h.tb.Helper()
	path := filepath.Join(h.dir, "bare.db")
	from, err := os.Open(filepath.Join(h.dir, "store", bolt.File))
	if err != nil {
		h.tb.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.Create(path)
	if err != nil {
		h.tb.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		h.tb.Fatal(err)
	}
	if err := to.Close(); err != nil {
		h.tb.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 30})
	if err != nil {
		h.tb.Fatal(err)
	}
	x := &bare{db: db, queue: make(chan *bareJob, 1024), ended: make(chan struct{}), zeros: make([]byte, storage.MaxData+1024)}
	go x.write()
	h.tb.Cleanup(func() {
		close(x.queue)
		<-x.ended
		if err := db.Close(); err != nil {
			h.tb.Error(err)
		}
	})
	return x
}

func (x *bare) write() {
	defer close(x.ended)
	var group []*bareJob
	for j := range x.queue {
		group = append(group[:0], j)
	drain:
		for len(group) < 1024 {
			select {
			case j, ok := <-x.queue:
				if !ok {
					break drain
				}
				group = append(group, j)
			default:
				break drain
			}
		}
		err := x.db.Update(func(tx *bbolt.Tx) error { return x.apply(tx, group) })
		for _, j := range group {
			j.done <- err
		}
	}
}

func (x *bare) apply(tx *bbolt.Tx, group []*bareJob) error {
	var in [4]*bbolt.Bucket
	for i, name := range bareBuckets {
		in[i] = tx.Bucket(name)
	}
	in[inEvents].FillPercent, in[inOutbox].FillPercent = 0.9, 0.9
	for _, j := range group {
		for _, op := range j.ops {
			var err error
			if op.size < 0 {
				err = in[op.bucket].Delete(op.key)
			} else {
				err = in[op.bucket].Put(op.key, x.zeros[:op.size])
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// again writes commits anew from so many goroutines at once, each waiting for its own to be durable,
// and returns how long that took.
func (x *bare) again(tb testing.TB, commits []notedCommit, callers int) time.Duration {
	tb.Helper()
	return together(callers, len(commits), func(i int) {
		j := &bareJob{ops: commits[i].ops, done: make(chan error, 1)}
		x.queue <- j
		if err := <-j.done; err != nil {
			tb.Error(err)
		}
	})
}

// askedAbout returns who was asked first about each slot.
func (h *hall) askedAbout(slots []engine.SlotID) []engine.Phone {
	h.tb.Helper()
	phones := make([]engine.Phone, len(slots))
	for i, id := range slots {
		if phones[i] = h.wall.asked(id); phones[i] == "" {
			h.tb.Fatalf("nobody was asked about %s", id)
		}
	}
	return phones
}
