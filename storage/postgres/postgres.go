// Package postgres keeps everything in a PostgreSQL database (15 or newer): the store for several
// processes.
//
// One goroutine writes. It takes all batches that wait and writes them in one transaction of two
// round trips, with one statement a table; it never waits on a timer. A batch that is stale fails
// alone. Rows are locked while versions are compared, so that another process cannot come between.
//
// A commit whose connection was lost between its last statement and the answer may have taken place:
// the error says that nobody knows, and the caller reads again.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"

	"relais/storage"
	"relais/storage/seal"
)

// Limits of what waits and of what is written together.
const (
	maxWaiting      = 1024     // batches in the queue
	maxWaitingBytes = 64 << 20 // data of all commits under way
	maxGroup        = 256      // batches in one transaction
	maxGroupBytes   = 8 << 20  // bytes after which a transaction takes no more batches
	writeWithin     = 30 * time.Second
	tries           = 5 // of a group that certainly was not written
)

// ErrWrongKey says that the store was sealed with another key.
var ErrWrongKey = errors.New("storage/postgres: the key does not fit the store; name the key file that it was made with")

// ErrUnknown says that the connection was lost while a commit was confirmed: it may have taken place.
var ErrUnknown = errors.New("storage/postgres: the connection was lost during a commit; nobody knows whether it took place")

var _ storage.Store = (*Store)(nil)

// Options of Open.
type Options struct {
	Sealer *seal.Sealer // seals all data; needed
	// Pooled is set behind a pool that gives each transaction another session (pgbouncer in
	// transaction mode): statements are then not prepared.
	Pooled bool
	// Readers is how many connections read at once, 8 when it is 0.
	Readers int
}

// Store is a storage.Store in a PostgreSQL database. Make one with Open.
type Store struct {
	pool   *pgxpool.Pool
	sealer *seal.Sealer

	queue   chan *job
	room    *semaphore.Weighted
	stopped chan struct{} // closed when the writer has answered everybody

	mu      sync.RWMutex // held to read while enqueueing, so that Close can close the queue
	closed  bool
	closing sync.Once
}

// Open connects to the database that url names (a URL or keyword/value string of libpq), brings its
// tables up to date and checks the key. It refuses tables that a newer program made.
func Open(ctx context.Context, url string, opt Options) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("storage/postgres: the address of the database cannot be read; write it as postgres://user@host/database") // the cause may hold the password
	}
	if opt.Readers == 0 {
		opt.Readers = 8
	}
	cfg.MaxConns = int32(min(opt.Readers, 1000) + 1) //nolint:gosec // within 1001
	if opt.Pooled {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	} else {
		cfg.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint(writeWithin.Milliseconds())
		cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(writeWithin.Milliseconds())
	}
	if err := migrate(ctx, cfg.ConnConfig.Copy()); err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("storage/postgres: connect: %w", err)
	}
	s := &Store{
		pool: pool, sealer: opt.Sealer, queue: make(chan *job, maxWaiting),
		room: semaphore.NewWeighted(maxWaitingBytes), stopped: make(chan struct{}),
	}
	err = s.checkKey(ctx)
	if err == nil {
		err = s.chainOlder(ctx)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	go s.write() //nolint:contextcheck // it outlives the one that opens
	return s, nil
}

// checkKey seals a constant in a new store, and opens it in an old one.
func (s *Store) checkKey(ctx context.Context) error {
	sealed, err := s.sealer.Seal(seal.Check(), nil)
	if err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, `INSERT INTO meta VALUES ('check', $1) ON CONFLICT DO NOTHING`, sealed); err != nil && !errors.Is(classify(err), storage.ErrFull) {
		return fmt.Errorf("storage/postgres: open: %w", err)
	}
	if err := s.pool.QueryRow(ctx, `SELECT value FROM meta WHERE name = 'check'`).Scan(&sealed); err != nil {
		return fmt.Errorf("storage/postgres: open: %w", err)
	}
	if _, err := s.sealer.Open(seal.Check(), sealed); err != nil {
		return ErrWrongKey
	}
	return nil
}

// Commit implements storage.Store. A batch that is refused leaves nothing behind.
func (s *Store) Commit(ctx context.Context, b storage.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := b.Check()
	if err != nil {
		return err
	}
	if len(b.Puts)+len(b.Events)+len(b.Effects)+len(b.Done) == 0 {
		return s.open()
	}
	size := int64(data + perItem*(len(b.Puts)+len(b.Events)+len(b.Effects)+len(b.Done)))
	if err := s.room.Acquire(ctx, min(size, maxWaitingBytes)); err != nil {
		return err
	}
	defer s.room.Release(min(size, maxWaitingBytes))
	j, err := s.encode(b)
	if err != nil {
		return err
	}
	j.bytes = int(size)
	if err := s.enqueue(ctx, j); err != nil {
		return err
	}
	return <-j.done
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

// Close implements storage.Store.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.queue)
		<-s.stopped
		s.pool.Close()
	})
	return nil
}
