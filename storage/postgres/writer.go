package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"relais/engine"
	"relais/storage/seal"
)

// write is the one goroutine that writes: it commits what waits until the queue is closed and
// empty.
func (s *Store) write() {
	defer close(s.stopped)
	var jobs []*job
	for j := range s.queue {
		jobs = s.gather(append(jobs[:0], j))
		s.commit(jobs)
		for _, j := range jobs {
			j.done <- j.err
		}
		clear(jobs)
	}
}

// gather adds what waits already.
func (s *Store) gather(jobs []*job) []*job {
	size := jobs[0].bytes
	for len(jobs) < maxGroup && size < maxGroupBytes {
		select {
		case j, ok := <-s.queue:
			if !ok {
				return jobs
			}
			jobs = append(jobs, j)
			size += j.bytes
		default:
			return jobs
		}
	}
	return jobs
}

// commit writes the batches in one transaction and sets the error of each. What certainly was not
// written is tried again.
func (s *Store) commit(jobs []*job) {
	ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
	defer cancel()
	var err error
	for try := range tries {
		if try > 0 {
			wait(ctx, time.Duration(rand.Int64N(int64(20*time.Millisecond)<<try))) //nolint:gosec // spreads retries, guards nothing
		}
		if err = s.try(ctx, jobs); err == nil {
			return
		}
		if err = classify(err); !again(err) {
			break
		}
	}
	for _, j := range jobs { // also for a stale one: what it lost against was not written
		j.err = err
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// try writes the batches once. An error means that none was written, unless it is ErrUnknown.
func (s *Store) try(ctx context.Context, jobs []*job) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	g := newGroup(jobs, s.sealer)
	if err := g.lock(ctx, conn.Conn()); err != nil {
		return errors.Join(err, rollback(ctx, conn.Conn()))
	}
	written := 0
	for _, j := range jobs {
		if j.err = g.apply(j); j.err == nil {
			written++
		}
	}
	if written == 0 {
		return rollback(ctx, conn.Conn())
	}
	if err := g.send(ctx, conn.Conn()); err != nil {
		return errors.Join(err, rollback(ctx, conn.Conn()))
	}
	return nil
}

// rollback ends a transaction that is open. A connection that was lost ended it too.
func rollback(ctx context.Context, conn *pgx.Conn) error {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
		_ = conn.Close(ctx) // the pool makes another
	}
	return nil
}

const (
	lockRecords = `SELECT k.n, r.version FROM unnest($1::bytea[], $2::smallint[], $3::bytea[]) WITH ORDINALITY AS k(clinic, kind, id, n)
		JOIN record r USING (clinic, kind, id) ORDER BY k.n FOR UPDATE OF r`
	addClinics  = `INSERT INTO clinic (clinic) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING`
	lockClinics = `SELECT clinic, events, head FROM clinic WHERE clinic = ANY($1::bytea[]) ORDER BY clinic FOR UPDATE`
	findEvents  = `SELECT k.n FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[], $5::integer[])
		WITH ORDINALITY AS k(clinic, seq, subject, at_s, at_ns, n) JOIN event e USING (clinic, seq, subject, at_s, at_ns)`
)

// lock begins a transaction, and reads and locks the versions of everything that is touched, in one
// round trip.
func (g *group) lock(ctx context.Context, conn *pgx.Conn) error {
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	if len(g.clinics) > 0 { // before the records: all processes lock in the same order
		names := make([][]byte, 0, len(g.clinics))
		for name := range g.clinics {
			names = append(names, []byte(name))
		}
		b.Queue(addClinics, names)
		b.Queue(lockClinics, names).Query(func(rows pgx.Rows) error {
			var name, head []byte
			var seq int64
			_, err := pgx.ForEachRow(rows, []any{&name, &seq, &head}, func() error {
				last := clinicState{before: uint64(seq), now: uint64(seq)} //nolint:gosec // counted up from 0
				last.hash, _ = openHead(g.sealer, engine.ClinicID(name), last.now, head)
				*g.clinics[string(name)] = last
				return nil
			})
			return err
		})
	}
	if len(g.records) > 0 {
		keys := g.keys()
		var c columns
		for _, k := range keys {
			c.key(k)
		}
		b.Queue(lockRecords, c.clinics, c.kinds, c.ids).Query(func(rows pgx.Rows) error {
			var n, version int64
			_, err := pgx.ForEachRow(rows, []any{&n, &version}, func() error {
				r := g.records[keys[n-1]]
				r.before, r.now = uint64(version), uint64(version) //nolint:gosec // counted up from 1
				return nil
			})
			return err
		})
	}
	if len(g.targets) > 0 {
		var c columns
		keys := slices.Collect(maps.Keys(g.targets))
		for _, k := range keys {
			c.event(k)
		}
		b.Queue(findEvents, c.clinics, c.versions, c.ids, c.seconds, c.nanos).Query(func(rows pgx.Rows) error {
			var n int64
			_, err := pgx.ForEachRow(rows, []any{&n}, func() error {
				g.targets[keys[n-1]] = true
				return nil
			})
			return err
		})
	}
	return conn.SendBatch(ctx, b).Close()
}

// columns are the arguments of a statement, a slice each.
type columns struct {
	clinics, ids, data [][]byte
	digests, hashes    [][]byte
	kinds              []int16
	versions, seconds  []int64
	nanos              []int32
}

func (c *columns) key(k recordKey) {
	c.clinics, c.kinds, c.ids = append(c.clinics, []byte(k.clinic)), append(c.kinds, k.kind), append(c.ids, []byte(k.id))
}

func (c *columns) event(k eventKey) {
	c.clinics, c.versions, c.ids = append(c.clinics, []byte(k.clinic)), append(c.versions, int64(k.seq)), append(c.ids, []byte(k.subject)) //nolint:gosec // counted
	c.seconds, c.nanos = append(c.seconds, k.atS), append(c.nanos, k.atNs)
}

const (
	insertRecords = `INSERT INTO record SELECT * FROM unnest($1::bytea[], $2::smallint[], $3::bytea[], $4::bigint[], $5::bytea[])`
	updateRecords = `UPDATE record r SET version = n.version, data = n.data
		FROM unnest($1::bytea[], $2::smallint[], $3::bytea[], $4::bigint[], $5::bytea[]) AS n(clinic, kind, id, version, data)
		WHERE (r.clinic, r.kind, r.id) = (n.clinic, n.kind, n.id)`
	deleteRecords = `DELETE FROM record r USING unnest($1::bytea[], $2::smallint[], $3::bytea[]) AS n(clinic, kind, id)
		WHERE (r.clinic, r.kind, r.id) = (n.clinic, n.kind, n.id)`
	insertEvents = `INSERT INTO event (clinic, seq, subject, at_s, at_ns, data, digest, hash)
		SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[], $5::integer[], $6::bytea[], $7::bytea[], $8::bytea[])`
	redactEvents = `UPDATE event e SET data = n.data, redacted = true FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) AS n(clinic, seq, data)
		WHERE e.clinic = n.clinic AND e.seq = n.seq`
	updateClinics = `UPDATE clinic c SET events = n.events, head = n.head FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) AS n(clinic, events, head)
		WHERE c.clinic = n.clinic`
	deleteEffects = `DELETE FROM effect e USING unnest($1::bytea[], $2::bytea[]) AS n(clinic, id) WHERE (e.clinic, e.id) = (n.clinic, n.id)`
	putEffects    = `INSERT INTO effect SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[])
		ON CONFLICT (clinic, id) DO UPDATE SET data = excluded.data`
)

// send writes everything and commits, in one round trip. A new record that another process made
// meanwhile violates the primary key, and the group is tried again.
func (g *group) send(ctx context.Context, conn *pgx.Conn) error {
	b := &pgx.Batch{}
	g.queueRecords(b)
	if err := g.queueEvents(b); err != nil {
		return err
	}
	g.queueEffects(b)
	b.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" { // PostgreSQL says ROLLBACK when the transaction had failed
			return fmt.Errorf("storage/postgres: the commit came to %s", tag.String())
		}
		return nil
	})
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		if conn.IsClosed() {
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		return err
	}
	return nil
}

func (g *group) queueRecords(b *pgx.Batch) {
	var fresh, changed, gone columns
	for _, k := range g.keys() {
		r := g.records[k]
		c := &changed
		switch {
		case r.before == r.now && r.sealed == nil:
			continue // a stale batch, or nothing put and deleted again
		case r.now == 0 && r.before == 0:
			continue
		case r.now == 0:
			gone.key(k)
			continue
		case r.before == 0:
			c = &fresh
		}
		c.key(k)
		c.versions, c.data = append(c.versions, int64(r.now)), append(c.data, r.sealed) //nolint:gosec // see apply
	}
	if len(fresh.ids) > 0 {
		b.Queue(insertRecords, fresh.clinics, fresh.kinds, fresh.ids, fresh.versions, fresh.data)
	}
	if len(changed.ids) > 0 {
		b.Queue(updateRecords, changed.clinics, changed.kinds, changed.ids, changed.versions, changed.data)
	}
	if len(gone.ids) > 0 {
		b.Queue(deleteRecords, gone.clinics, gone.kinds, gone.ids)
	}
}

func (g *group) queueEvents(b *pgx.Batch) error {
	if len(g.events) == 0 {
		return nil
	}
	var c, counted, gone columns
	for _, e := range g.events {
		c.event(eventKey{e.clinic, e.seq, e.subject, e.atS, e.atNs})
		c.data, c.digests, c.hashes = append(c.data, e.sealed), append(c.digests, e.digest[:]), append(c.hashes, e.hash[:])
	}
	for name, s := range g.clinics {
		if s.now == s.before {
			continue // only stale batches named it
		}
		head, err := g.sealer.Seal(seal.Head(engine.ClinicID(name), s.now), s.hash[:])
		if err != nil {
			return err
		}
		counted.clinics, counted.versions, counted.data = append(counted.clinics, []byte(name)), append(counted.versions, int64(s.now)), append(counted.data, head) //nolint:gosec // counted
	}
	for k, sealed := range g.redacts {
		gone.event(k)
		gone.data = append(gone.data, sealed)
	}
	b.Queue(insertEvents, c.clinics, c.versions, c.ids, c.seconds, c.nanos, c.data, c.digests, c.hashes)
	b.Queue(updateClinics, counted.clinics, counted.versions, counted.data)
	if len(gone.ids) > 0 {
		b.Queue(redactEvents, gone.clinics, gone.versions, gone.data)
	}
	return nil
}

func (g *group) queueEffects(b *pgx.Batch) {
	var done, put columns
	for k, sealed := range g.effects {
		c := &put
		if sealed == nil {
			c = &done
		} else {
			c.data = append(c.data, sealed)
		}
		c.clinics, c.ids = append(c.clinics, []byte(k.clinic)), append(c.ids, []byte(k.id))
	}
	if len(done.ids) > 0 {
		b.Queue(deleteEffects, done.clinics, done.ids)
	}
	if len(put.ids) > 0 {
		b.Queue(putEffects, put.clinics, put.ids, put.data)
	}
}
