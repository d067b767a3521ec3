package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// write is the one goroutine that writes: it commits what waits until the queue is closed and
// empty.
func (s *Store) write() {
	defer close(s.stopped)
	// Reading the map of a damaged or vanished file is then a panic, which is recovered, and not
	// the end of the process.
	debug.SetPanicOnFault(true)
	var group []*job
	for j := range s.queue {
		start := time.Now()
		group = s.gather(append(group[:0], j))
		c := s.commit(group)
		for _, j := range group {
			j.done <- j.err
		}
		clear(group) // the jobs are used again now
		if s.observe != nil {
			c.Duration, c.Waiting = time.Since(start), len(s.queue)
			s.observe(c)
		}
	}
}

// gather adds what waits already.
func (s *Store) gather(group []*job) []*job {
	size := group[0].bytes
	for len(group) < maxGroup && size < maxGroupBytes {
		select {
		case j, ok := <-s.queue:
			if !ok {
				return group
			}
			group = append(group, j)
			size += j.bytes
		default:
			return group
		}
	}
	return group
}

// commit writes the group in one transaction and sets the error of each job.
func (s *Store) commit(group []*job) Commit {
	c := Commit{Batches: len(group), Outcome: Written}
	for _, j := range group {
		c.Bytes += j.bytes
	}
	err := s.ready()
	bad := map[*job]bool{} // batches that panicked: the group is tried again without them
	for err == nil {
		var j *job
		j, err = s.try(group, bad)
		if j == nil {
			break
		}
		bad[j], err = true, nil
	}
	c.Panicked = len(bad)
	if err != nil {
		// Also for a stale one: what it lost against was not written.
		for _, j := range group {
			if !bad[j] {
				j.err = err
			}
		}
		c.Outcome = outcomeOf(err)
		return c
	}
	for _, j := range group {
		if errors.Is(j.err, storage.ErrStale) {
			c.Stale++
		}
	}
	return c
}

// ready says why nothing can be written now.
func (s *Store) ready() error {
	if p := s.broken.Load(); p != nil {
		return *p
	}
	// The file grows as a hole that is filled later, and reading a hole on a full disk can end the
	// process: stop before. What cannot be measured is left to fail by itself.
	if free, err := s.space(s.dir); err == nil && free < minFree {
		return fmt.Errorf("%w: %d MiB are free, %d are needed", storage.ErrFull, free>>20, minFree>>20)
	}
	return nil
}

// try writes all of the group but the bad ones. When one of them panics it returns that one,
// and nothing is written.
func (s *Store) try(group []*job, bad map[*job]bool) (panicked *job, err error) {
	tx, err := s.db.Begin(true)
	if err != nil {
		return nil, fmt.Errorf("storage/bolt: begin: %w", err)
	}
	id := tx.ID()
	var current *job
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if current == nil {
			// Not in a batch but in the database's own code: its memory cannot be trusted.
			err = s.breakWith(fmt.Errorf("%w: panic: %v", ErrDisk, p))
		} else {
			current.err = engine.Errorf(engine.Internal, "storage: writing the batch panicked: %v", p)
			panicked = current
		}
		if rerr := rollback(tx); rerr != nil {
			panicked, err = nil, s.breakWith(fmt.Errorf("%w: %w", ErrDisk, rerr))
		}
	}()

	w := newWriting(tx, s.sealer, s.heads)
	written := 0
	for _, current = range group {
		if bad[current] {
			continue
		}
		current.err = w.apply(current)
		if current.err == nil {
			written++
		}
	}
	current = nil
	if written == 0 {
		return nil, rollback(tx)
	}
	if err := w.finish(); err != nil {
		return nil, errors.Join(err, rollback(tx))
	}
	if err := tx.Commit(); err != nil {
		return nil, s.failed(err, id)
	}
	maps.Copy(s.heads, w.newest)
	return nil, nil
}

// failed turns a failed commit into the error to answer. Most leave the file as it was.
func (s *Store) failed(err error, id int) error {
	// The new root is visible: only the last sync failed. Writing on from there could overwrite
	// pages of the root that is on the disk, so stop.
	if s.visible() >= id {
		return s.breakWith(fmt.Errorf("%w: the last sync failed: %w", ErrDisk, err))
	}
	err = classify(err)
	if errors.Is(err, ErrDisk) {
		return s.breakWith(err)
	}
	return err
}

// visible returns the number of the newest transaction that reads see.
func (s *Store) visible() (id int) {
	if err := s.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		return 0
	}
	return id
}

// breakWith refuses all further commits with err.
func (s *Store) breakWith(err error) error {
	s.broken.CompareAndSwap(nil, &err)
	return err
}

// rollback turns a panic of the database's own code into an error.
func rollback(tx *bbolt.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("storage/bolt: roll back: panic: %v", p)
		}
	}()
	if err := tx.Rollback(); err != nil && !errors.Is(err, berrors.ErrTxClosed) {
		return fmt.Errorf("storage/bolt: roll back: %w", err)
	}
	return nil
}

// head is the newest event of a clinic.
type head struct {
	seq  uint64
	hash storage.Hash
}

// writing is one transaction under way.
type writing struct {
	tx     *bbolt.Tx
	in     [buckets]*bbolt.Bucket
	sealer *seal.Sealer
	heads  map[engine.ClinicID]head // committed
	newest map[engine.ClinicID]head // changed in this transaction
}

func newWriting(tx *bbolt.Tx, sealer *seal.Sealer, heads map[engine.ClinicID]head) *writing {
	w := &writing{tx: tx, sealer: sealer, heads: heads, newest: map[engine.ClinicID]head{}}
	for i, name := range bucketNames {
		w.in[i] = tx.Bucket(name)
	}
	// These grow at each clinic's end only: splitting pages in halves would leave them half empty.
	w.in[inEvents].FillPercent = 0.9
	w.in[inOutbox].FillPercent = 0.9
	return w
}

// apply checks all that the batch expects, seeing what earlier batches of the group wrote, and
// then writes it.
func (w *writing) apply(j *job) error {
	if j.anew != nil {
		return w.putAnew(j.anew)
	}
	for _, op := range j.records {
		version, err := w.version(op.key)
		if err != nil {
			return err
		}
		if version != op.expect {
			return storage.ErrStale
		}
	}
	for _, op := range j.redacts {
		e, err := splitEvent(w.in[inEvents].Get(op.key))
		if err != nil || e.subject != op.subject || !e.at.Equal(op.at) {
			return storage.ErrStale
		}
	}
	for _, op := range j.records {
		must(change(w.in[inRecords], op.key, op.value))
	}
	for _, op := range j.redacts {
		v := w.in[inEvents].Get(op.key)
		kept := len(v) - len(mustSplit(v).sealed)
		v = append(bytes.Clone(v[:kept]), op.sealed...)
		v[kept-chainLen] |= redacted
		must(w.in[inEvents].Put(op.key, v))
	}
	for i := range j.events {
		op := &j.events[i]
		w.chain(op)
		binary.BigEndian.PutUint64(op.key[len(op.key)-numberLen:], op.of.Seq)
		must(w.in[inEvents].Put(op.key, op.value))
		if op.index != nil {
			binary.BigEndian.PutUint64(op.index[len(op.index)-numberLen:], op.of.Seq)
			must(w.in[inSubjects].Put(op.index, nil))
		}
	}
	for _, op := range j.effects {
		must(change(w.in[inOutbox], op.key, op.value))
	}
	return nil
}

func mustSplit(v []byte) eventValue {
	e, err := splitEvent(v)
	must(err)
	return e
}

// must turns an error that limits and layout rule out into a panic, so that the whole
// transaction is taken back: the batch may be half written.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func change(b *bbolt.Bucket, key, value []byte) error {
	if value == nil {
		return b.Delete(key)
	}
	return b.Put(key, value)
}

// version returns a record's version, 0 when there is none.
func (w *writing) version(key []byte) (uint64, error) {
	v := w.in[inRecords].Get(key)
	if v == nil {
		return 0, nil
	}
	version, _, err := splitRecord(v)
	if err != nil {
		return 0, fmt.Errorf("%w: a record: %w", ErrDamaged, err)
	}
	return version, nil
}

// chain numbers an event and links it to the one before. The first event of a clinic since opening looks
// its head up.
func (w *writing) chain(op *eventOp) {
	last, ok := w.newest[op.of.Clinic]
	if !ok {
		last, ok = w.heads[op.of.Clinic]
	}
	if !ok {
		last = w.lookUp(op.of.Clinic)
	}
	op.of.Seq = last.seq + 1
	last = head{op.of.Seq, storage.Chain(last.hash, &op.of, op.digest)}
	copy(op.hash, last.hash[:])
	w.newest[op.of.Clinic] = last
}

// lookUp reads a clinic's head. Where somebody cut the timeline or changed its end, what is written goes
// on from the sealed head, so that the break stays to be seen.
func (w *writing) lookUp(c engine.ClinicID) head {
	last := head{seq: lastEvent(w.in[inEvents], c)}
	seq, sealed, err := splitHead(w.in[inHeads].Get(appendPart(nil, string(c))))
	if err != nil {
		return last
	}
	last.seq = max(last.seq, seq)
	if hash, err := w.sealer.Open(seal.Head(c, seq), sealed); err == nil {
		copy(last.hash[:], hash)
	}
	return last
}

// finish seals the heads of the timelines that grew.
func (w *writing) finish() error {
	for c, h := range w.newest {
		sealed, err := w.sealer.Seal(seal.Head(c, h.seq), h.hash[:])
		if err != nil {
			return err
		}
		must(w.in[inHeads].Put(appendPart(nil, string(c)), append(binary.BigEndian.AppendUint64(nil, h.seq), sealed...)))
	}
	return nil
}
