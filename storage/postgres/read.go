package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

const (
	getRecord   = `SELECT version, data FROM record WHERE clinic = $1 AND kind = $2 AND id = $3`
	scanRecords = `SELECT id, version, data FROM record WHERE clinic = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4`
	allEvents   = `SELECT seq, subject, at_s, at_ns, data FROM event WHERE clinic = $1 AND seq > $2 ORDER BY seq LIMIT $3`
	someEvents  = `SELECT seq, subject, at_s, at_ns, data FROM event WHERE clinic = $1 AND seq > $2 AND subject = $4 AND subject <> '' ORDER BY seq LIMIT $3`
	scanEffects = `SELECT id, data FROM effect WHERE clinic = $1 AND id > $2 ORDER BY id LIMIT $3`
)

// Get implements storage.Store.
func (s *Store) Get(ctx context.Context, k storage.Key) (storage.Record, error) {
	if err := k.Check(); err != nil {
		return storage.Record{}, err
	}
	if err := s.open(); err != nil {
		return storage.Record{}, err
	}
	kind, _ := k.Kind.Number()
	var version int64
	var sealed []byte
	err := s.pool.QueryRow(ctx, getRecord, []byte(k.Clinic), int16(kind), []byte(k.ID)).Scan(&version, &sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return storage.Record{}, storage.ErrNotFound
	}
	if err != nil {
		return storage.Record{}, fmt.Errorf("storage/postgres: read: %w", err)
	}
	return s.record(k, version, sealed)
}

// Scan implements storage.Store.
func (s *Store) Scan(ctx context.Context, c engine.ClinicID, kind storage.Kind, after string, limit int) ([]storage.Record, error) {
	number, ok := kind.Number()
	if !ok {
		return nil, engine.Errorf(engine.Invalid, "a scan of no known kind")
	}
	if err := storage.CheckPage(c, after, limit); err != nil {
		return nil, err
	}
	var id, sealed []byte
	var version int64
	var recs []storage.Record
	err := s.each(ctx, []any{&id, &version, &sealed}, func() error {
		rec, err := s.record(storage.Key{Clinic: c, Kind: kind, ID: string(id)}, version, sealed)
		recs = append(recs, rec)
		return err
	}, scanRecords, []byte(c), int16(number), []byte(after), limit)
	if err != nil {
		return nil, err
	}
	return recs, nil
}

// Timeline implements storage.Store.
func (s *Store) Timeline(ctx context.Context, c engine.ClinicID, subject string, after uint64, limit int) ([]storage.Event, error) {
	if err := storage.CheckPage(c, subject, limit); err != nil {
		return nil, err
	}
	sql, args := allEvents, []any{[]byte(c), int64(min(after, math.MaxInt64)), limit}
	if subject != "" {
		sql, args = someEvents, append(args, []byte(subject))
	}
	var seq, sec int64
	var nsec int32
	var about, sealed []byte
	var events []storage.Event
	err := s.each(ctx, []any{&seq, &about, &sec, &nsec, &sealed}, func() error {
		e := storage.Event{Clinic: c, Subject: string(about), At: time.Unix(sec, int64(nsec)).UTC(), Seq: uint64(seq)} //nolint:gosec // counted from 1
		salted, err := s.sealer.Open(seal.Event(c, e.Subject, e.At), sealed)
		if err != nil || len(salted) < storage.SaltLen {
			return fmt.Errorf("storage/postgres: an event: %w", seal.ErrWrongKey)
		}
		e.Data = salted[storage.SaltLen:]
		events = append(events, e)
		return nil
	}, sql, args...)
	if err != nil {
		return nil, err
	}
	return events, nil
}

// Outbox implements storage.Store.
func (s *Store) Outbox(ctx context.Context, c engine.ClinicID, after string, limit int) ([]storage.Effect, error) {
	if err := storage.CheckPage(c, after, limit); err != nil {
		return nil, err
	}
	var id, sealed []byte
	var effects []storage.Effect
	err := s.each(ctx, []any{&id, &sealed}, func() error {
		e := storage.Effect{Clinic: c, ID: string(id)}
		var err error
		if e.Data, err = s.sealer.Open(seal.Effect(c, e.ID), sealed); err != nil {
			return fmt.Errorf("storage/postgres: an effect: %w", err)
		}
		effects = append(effects, e)
		return nil
	}, scanEffects, []byte(c), []byte(after), limit)
	if err != nil {
		return nil, err
	}
	return effects, nil
}

// each calls fn for each row, with its columns in into.
func (s *Store) each(ctx context.Context, into []any, fn func() error, sql string, args ...any) error {
	if err := s.open(); err != nil {
		return err
	}
	rows, err := s.pool.Query(ctx, sql, args...)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, fn)
	}
	if err != nil {
		return fmt.Errorf("storage/postgres: read: %w", err)
	}
	return nil
}

func (s *Store) record(k storage.Key, version int64, sealed []byte) (storage.Record, error) {
	rec := storage.Record{Key: k, Version: uint64(version)} //nolint:gosec // counted from 1
	var err error
	if rec.Data, err = s.sealer.Open(seal.Record(k, rec.Version), sealed); err != nil {
		return storage.Record{}, fmt.Errorf("storage/postgres: a record of kind %s: %w", k.Kind, err)
	}
	return rec, nil
}
