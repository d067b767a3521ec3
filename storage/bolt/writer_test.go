package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"relais/engine"
	"relais/storage"
)

func openTemp(tb testing.TB, opt Options) *Store {
	tb.Helper()
	if opt.Sealer == nil {
		opt.Sealer = newSealer(tb)
	}
	s, err := Open(tb.TempDir(), opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func mustCommit(tb testing.TB, s *Store, b storage.Batch) {
	tb.Helper()
	if err := s.Commit(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
}

func slotPut(id string, expect uint64) storage.Put {
	return storage.Put{Key: storage.Key{Clinic: "north", Kind: storage.KindSlot, ID: id}, Expect: expect, Data: []byte(id)}
}

func diskKey(k storage.Key) []byte {
	kind, _ := k.Kind.Number()
	return append(appendRecordPrefix(nil, k.Clinic, kind), k.ID...)
}

// encoded makes a job as Commit would.
func encoded(t *testing.T, s *Store, b storage.Batch) *job {
	t.Helper()
	size, err := measure(&b)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.encode(b, size)
	if err != nil {
		t.Fatal(err)
	}
	if len(j.buf) > size {
		t.Fatalf("encoded %d bytes, measured %d: slices of the buffer went stale", len(j.buf), size)
	}
	return j
}

// idle returns a store whose writer is at rest, so that a test can play its part.
func idle(t *testing.T) *Store {
	t.Helper()
	s := openTemp(t, Options{})
	mustCommit(t, s, storage.Batch{Puts: []storage.Put{slotPut("first", 0)}, Events: []storage.Event{{Clinic: "north"}}})
	return s
}

// hold makes the writer of an idle store stop at its next group until release is closed.
func hold(s *Store) (held, release chan struct{}) {
	held, release = make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.space = func(string) (uint64, error) {
		once.Do(func() { close(held); <-release })
		return minFree, nil
	}
	return held, release
}

// TestGroupSeesItself has batches of one transaction that depend on each other.
func TestGroupSeesItself(t *testing.T) {
	s := idle(t)
	group := []*job{
		encoded(t, s, storage.Batch{Puts: []storage.Put{slotPut("a", 0)}}),
		encoded(t, s, storage.Batch{Puts: []storage.Put{slotPut("b", 0), slotPut("a", 0)}}), // lost to the first
		encoded(t, s, storage.Batch{Puts: []storage.Put{slotPut("a", 1)}, Events: []storage.Event{{Clinic: "north"}}}),
		encoded(t, s, storage.Batch{Puts: []storage.Put{{Key: slotPut("a", 0).Key, Expect: 2, Delete: true}}}),
		encoded(t, s, storage.Batch{Puts: []storage.Put{slotPut("a", 0), slotPut("first", 1)}, Events: []storage.Event{{Clinic: "north"}}}),
	}
	c := s.commit(group)
	for i, j := range group {
		if want := map[bool]error{true: storage.ErrStale}[i == 1]; !errors.Is(j.err, want) {
			t.Errorf("batch %d: %v, want %v", i, j.err, want)
		}
	}
	if c.Batches != 5 || c.Stale != 1 || c.Outcome != Written || c.Bytes == 0 {
		t.Errorf("observed %+v", c)
	}
	if _, err := s.Get(t.Context(), slotPut("b", 0).Key); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the stale batch left a record: %v", err)
	}
	for id, want := range map[string]uint64{"a": 1, "first": 2} {
		if rec, err := s.Get(t.Context(), slotPut(id, 0).Key); err != nil || rec.Version != want {
			t.Errorf("%s: version %d, %v; want %d", id, rec.Version, err, want)
		}
	}
	events, err := s.Timeline(t.Context(), "north", "", 0, 10)
	if err != nil || len(events) != 3 || events[2].Seq != 3 {
		t.Errorf("events %v, %v", events, err)
	}
}

// TestPanicFailsAlone has a batch that makes the writer panic halfway: the others are written,
// it leaves nothing, and the writer lives.
func TestPanicFailsAlone(t *testing.T) {
	s := idle(t)
	broken := encoded(t, s, storage.Batch{
		Puts:   []storage.Put{slotPut("broken", 0)},
		Events: []storage.Event{{Clinic: "north"}, {Clinic: "north"}},
	})
	broken.events[1].key = nil // no room for the number: it panics after the put and one event
	group := []*job{
		encoded(t, s, storage.Batch{Puts: []storage.Put{slotPut("a", 0)}, Events: []storage.Event{{Clinic: "north"}}}),
		broken,
		// Stale only beside the broken one, so it must be judged again without it.
		encoded(t, s, storage.Batch{Puts: []storage.Put{slotPut("broken", 0)}, Events: []storage.Event{{Clinic: "north"}}}),
	}
	c := s.commit(group)
	if group[0].err != nil || group[2].err != nil {
		t.Errorf("neighbours: %v, %v", group[0].err, group[2].err)
	}
	if engine.CodeOf(broken.err) != engine.Internal || c.Panicked != 1 || c.Outcome != Written {
		t.Errorf("broken batch: %v; observed %+v", broken.err, c)
	}
	events, err := s.Timeline(t.Context(), "north", "", 0, 10)
	if err != nil || len(events) != 3 {
		t.Errorf("%d events, %v; want 3: the broken batch left some", len(events), err)
	}

	// And the same through the goroutine itself.
	again := encoded(t, s, storage.Batch{Events: []storage.Event{{Clinic: "north"}}})
	again.events[0].key = nil
	s.queue <- again
	if err := <-again.done; engine.CodeOf(err) != engine.Internal {
		t.Errorf("%v, want an internal error", err)
	}
	mustCommit(t, s, storage.Batch{Puts: []storage.Put{slotPut("after", 0)}})
	wantSound(t, s)
}

// TestNotEnoughSpace plays a disk that fills and is cleared.
func TestNotEnoughSpace(t *testing.T) {
	s := idle(t)
	free := uint64(minFree - 1)
	// The writer is at rest until a commit hands it a batch, which orders this with its reading.
	s.space = func(string) (uint64, error) { return free, nil }
	put := storage.Batch{Puts: []storage.Put{slotPut("a", 0)}}
	if err := s.Commit(t.Context(), put); !errors.Is(err, storage.ErrFull) {
		t.Errorf("Commit: %v, want ErrFull", err)
	}
	if _, err := s.Get(t.Context(), slotPut("first", 0).Key); err != nil {
		t.Errorf("reading on a full disk: %v", err)
	}
	free = minFree
	mustCommit(t, s, put)
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		err  error
		want error
		out  Outcome
	}{
		{fmt.Errorf("write: %w", syscall.ENOSPC), storage.ErrFull, Full},
		{fmt.Errorf("write: %w", syscall.EDQUOT), storage.ErrFull, Full},
		{fmt.Errorf("write: %w", syscall.EROFS), storage.ErrFull, Full},
		{errors.New("file resize error: truncate relais.db: file too large"), storage.ErrFull, Full},
		{errors.New("file sync error: sync relais.db: input/output error"), ErrDisk, Disk},
		{syscall.EIO, ErrDisk, Disk},
		{syscall.EINVAL, syscall.EINVAL, Internal},
	} {
		got := classify(test.err)
		if !errors.Is(got, test.want) || outcomeOf(got) != test.out {
			t.Errorf("classify(%v) = %v, %s; want %v, %s", test.err, got, outcomeOf(got), test.want, test.out)
		}
	}
}

// TestBrokenStaysBroken checks that after a failed disk nothing is written any more, and that
// reading goes on.
func TestBrokenStaysBroken(t *testing.T) {
	s := idle(t)
	if err := s.failed(syscall.EIO, 1<<40); !errors.Is(err, ErrDisk) {
		t.Errorf("%v, want ErrDisk", err)
	}
	if err := s.Commit(t.Context(), storage.Batch{Puts: []storage.Put{slotPut("a", 0)}}); !errors.Is(err, ErrDisk) {
		t.Errorf("Commit: %v, want ErrDisk", err)
	}
	if _, err := s.Get(t.Context(), slotPut("first", 0).Key); err != nil {
		t.Errorf("Get: %v", err)
	}
}

// TestLastSyncFailed is a failure after the new root became visible: whatever the cause, no
// more may be written.
func TestLastSyncFailed(t *testing.T) {
	s := idle(t)
	if err := s.failed(syscall.ENOSPC, s.visible()); !errors.Is(err, ErrDisk) {
		t.Errorf("%v, want ErrDisk", err)
	}
	if s.broken.Load() == nil {
		t.Error("the store goes on")
	}
}

// TestQueueIsBounded fills the queue behind a held writer: the next one waits only as long as
// its context allows, and all that were taken in are written.
func TestQueueIsBounded(t *testing.T) {
	s := idle(t)
	held, release := hold(s)
	taken := make([]*job, 0, 1+maxWaiting)
	for i := range cap(taken) {
		j := encoded(t, s, storage.Batch{Puts: []storage.Put{slotPut(fmt.Sprint(i), 0)}})
		if err := s.enqueue(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		taken = append(taken, j)
		if i == 0 {
			<-held // the writer has this one and takes no other
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(cancel)
	if err := s.Commit(ctx, storage.Batch{Puts: []storage.Put{slotPut("late", 0)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit on a full queue: %v, want context.Canceled", err)
	}
	wg.Wait()
	close(release)
	for _, j := range taken {
		if err := <-j.done; err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(t.Context(), slotPut("late", 0).Key); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the one that gave up: %v, want ErrNotFound", err)
	}
}

// TestCloseWaits closes while batches wait behind a held writer: all of them are written.
func TestCloseWaits(t *testing.T) {
	s := idle(t)
	held, release := hold(s)
	waiting := make([]*job, 10)
	for i := range waiting {
		waiting[i] = encoded(t, s, storage.Batch{Puts: []storage.Put{slotPut(fmt.Sprint(i), 0)}})
		if err := s.enqueue(t.Context(), waiting[i]); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-held
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for s.open() == nil {
		runtime.Gosched() // until Close has begun
	}
	for range 1000 {
		runtime.Gosched() // a Close that does not wait would end now
	}
	select {
	case err := <-closed:
		t.Errorf("Close returned before the batches were written: %v", err)
	default:
	}
	close(release)
	for i, j := range waiting {
		if err := <-j.done; err != nil {
			t.Errorf("batch %d: %v", i, err)
		}
	}
	if err := <-closed; err != nil && !t.Failed() {
		t.Errorf("Close: %v", err)
	}
}

// TestBytesAreBounded checks that memory for waiting batches has a limit of its own.
func TestBytesAreBounded(t *testing.T) {
	s := idle(t)
	if err := s.room.Acquire(t.Context(), maxWaitingBytes); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(cancel)
	if err := s.Commit(ctx, storage.Batch{Puts: []storage.Put{slotPut("a", 0)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v, want context.Canceled", err)
	}
	wg.Wait()
	s.room.Release(maxWaitingBytes)
	mustCommit(t, s, storage.Batch{Puts: []storage.Put{slotPut("a", 0)}})
}

func TestObserve(t *testing.T) {
	var seen []Commit
	s := openTemp(t, Options{Observe: func(c Commit) { seen = append(seen, c) }})
	mustCommit(t, s, storage.Batch{Puts: []storage.Put{slotPut("a", 0)}})
	if err := s.Commit(t.Context(), storage.Batch{Puts: []storage.Put{slotPut("a", 0)}}); !errors.Is(err, storage.ErrStale) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // the writer has ended: seen is ours
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[0].Batches != 1 || seen[0].Stale != 0 || seen[0].Bytes == 0 || seen[0].Duration <= 0 || seen[1].Stale != 1 {
		t.Errorf("observed %+v", seen)
	}
}

// TestReadPanics maps what the database does on a damaged page to an error.
func TestReadPanics(t *testing.T) {
	s := idle(t)
	err := s.view(t.Context(), func(reading) error { panic("assertion failed: page 7") })
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
	mustCommit(t, s, storage.Batch{Puts: []storage.Put{slotPut("a", 0)}}) // no lock was kept
	if n := s.db.Stats().OpenTxN; n != 0 {
		t.Errorf("%d read transactions stay open", n)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketNames[inRecords]).Put(diskKey(slotPut("a", 0).Key), []byte{0x80})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), slotPut("a", 0).Key); !errors.Is(err, ErrDamaged) {
		t.Errorf("Get of a cut value: %v, want ErrDamaged", err)
	}
	if err := s.Commit(t.Context(), storage.Batch{Puts: []storage.Put{slotPut("a", 1)}}); !errors.Is(err, ErrDamaged) {
		t.Errorf("Commit over a cut value: %v, want ErrDamaged", err)
	}
}
