// Package bolt keeps everything in one bbolt file in one directory: the store for a single
// process, with nothing to install.
//
// One goroutine writes. It takes all batches that wait, writes them in one transaction with one
// sync, and answers them together; it never waits on a timer. A batch that is stale, or that makes
// the code panic, fails alone. Reads run beside the writer and never wait for it, save for the
// moment in which the file's memory map grows.
//
// Caveats: the file belongs to one process at a time. A read may see a commit a moment before
// its sync ends. Clinics, kinds, IDs, subjects and times are written in clear.
package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/semaphore"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// File is the name of the store's file in its directory.
const File = "relais.db"

// Limits of what waits and of what is written together.
const (
	maxWaiting      = 1024     // batches in the queue
	maxWaitingBytes = 64 << 20 // sealed bytes of all commits under way
	maxGroup        = 1024     // batches in one transaction
	maxGroupBytes   = 8 << 20  // bytes after which a transaction takes no more batches
)

// ErrDisk says that the disk failed while it was written, so that nobody knows what it holds.
// The store refuses every further commit until it is opened again; reading goes on.
var ErrDisk = errors.New("storage/bolt: the disk failed; check it, then restart")

// ErrDamaged says that a part of the file cannot be read: restore it from a copy.
var ErrDamaged = errors.New("storage/bolt: the file is damaged")

var _ storage.Store = (*Store)(nil)

// Options of Open.
type Options struct {
	// Sealer seals all data; needed.
	Sealer *seal.Sealer
	// Observe, when set, is called after every shared transaction, by the goroutine that writes:
	// it must be quick and must not call the store.
	Observe func(Commit)
}

// Outcome is how a shared transaction ended.
type Outcome string

// The closed list of outcomes.
const (
	Written  Outcome = "written"
	Full     Outcome = "full"     // ErrFull: nothing was written
	Disk     Outcome = "disk"     // ErrDisk
	Internal Outcome = "internal" // anything else: nothing was written
)

// Commit describes one shared transaction, for metrics.
type Commit struct {
	Duration time.Duration // from the first batch taken up to the end of the sync
	Batches  int           // taken up together
	Stale    int           // of them refused with ErrStale
	Panicked int           // of them dropped because they made the code panic
	Bytes    int           // keys and sealed data of all of them
	Waiting  int           // batches that came meanwhile and wait
	Outcome  Outcome
}

// Store is a storage.Store in one file. Make one with Open.
type Store struct {
	db      *bbolt.DB
	dir     string
	sealer  *seal.Sealer
	observe func(Commit)

	queue   chan *job
	room    *semaphore.Weighted // bytes that may still be taken in
	stopped chan struct{}       // closed when the writer has answered everybody
	broken  atomic.Pointer[error]

	mu      sync.RWMutex // held to read while enqueueing, so that Close can close the queue
	closed  bool
	closing sync.Once
	failure error // of closing

	// Of the writer goroutine only.
	heads map[engine.ClinicID]head // newest event of each clinic used since opening
	space func(dir string) (uint64, error)
}

// Exists says whether dir holds a store, even one that cannot be opened. Ask before making a new
// key.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, File))
	return err == nil
}

// Commit implements storage.Store. A batch that is refused leaves nothing behind.
func (s *Store) Commit(ctx context.Context, b storage.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	size, err := measure(&b)
	if err != nil {
		return err
	}
	if size == 0 {
		return s.open() // nothing to write is worth no sync
	}
	if err := s.room.Acquire(ctx, int64(size)); err != nil {
		return err
	}
	defer s.room.Release(int64(size))
	j, err := s.encode(b, size)
	if err != nil {
		return err
	}
	if err := s.enqueue(ctx, j); err != nil {
		return err
	}
	err = <-j.done
	j.release()
	return err
}

func (s *Store) open() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return storage.ErrClosed
	}
	return nil
}

// enqueue hands the job to the writer, which then answers it whatever happens.
func (s *Store) enqueue(ctx context.Context, j *job) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return storage.ErrClosed
	}
	select {
	case s.queue <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close implements storage.Store. A second call returns what the first returned.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.queue)
		<-s.stopped
		s.failure = s.db.Close()
	})
	return s.failure
}
