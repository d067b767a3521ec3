package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime/debug"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// Get implements storage.Store.
func (s *Store) Get(ctx context.Context, k storage.Key) (rec storage.Record, err error) {
	if err := k.Check(); err != nil {
		return storage.Record{}, err
	}
	kind, _ := k.Kind.Number()
	key := append(appendRecordPrefix(nil, k.Clinic, kind), k.ID...)
	err = s.view(ctx, func(in reading) error {
		v := in[inRecords].Get(key)
		if v == nil {
			return storage.ErrNotFound
		}
		rec, err = s.openRecord(k, v)
		return err
	})
	return rec, err
}

// Scan implements storage.Store.
func (s *Store) Scan(ctx context.Context, c engine.ClinicID, k storage.Kind, after string, limit int) ([]storage.Record, error) {
	kind, ok := k.Number()
	if !ok {
		return nil, engine.Errorf(engine.Invalid, "a scan of no known kind")
	}
	if err := storage.CheckPage(c, after, limit); err != nil {
		return nil, err
	}
	var recs []storage.Record
	prefix := appendRecordPrefix(nil, c, kind)
	err := s.view(ctx, func(in reading) error {
		return each(ctx, in[inRecords], prefix, []byte(after), limit, func(id, v []byte) error {
			rec, err := s.openRecord(storage.Key{Clinic: c, Kind: k, ID: string(id)}, v)
			recs = append(recs, rec)
			return err
		})
	})
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
	if after == math.MaxUint64 {
		return nil, nil
	}
	bucket, prefix := inEvents, appendPart(nil, string(c))
	if subject != "" {
		bucket, prefix = inSubjects, appendSubjectPrefix(nil, c, subject)
	}
	from := binary.BigEndian.AppendUint64(nil, after)
	var events []storage.Event
	err := s.view(ctx, func(in reading) error {
		var key []byte
		return each(ctx, in[bucket], prefix, from, limit, func(number, v []byte) error {
			if len(number) != numberLen {
				return fmt.Errorf("%w: an event's key", ErrDamaged)
			}
			seq := binary.BigEndian.Uint64(number)
			if subject != "" {
				key = appendEventKey(key[:0], c, seq)
				v = in[inEvents].Get(key)
			}
			e, err := s.openEvent(c, seq, v)
			events = append(events, e)
			return err
		})
	})
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
	var effects []storage.Effect
	err := s.view(ctx, func(in reading) error {
		return each(ctx, in[inOutbox], appendPart(nil, string(c)), []byte(after), limit, func(id, v []byte) error {
			e := storage.Effect{Clinic: c, ID: string(id)}
			var err error
			if e.Data, err = s.sealer.Open(seal.Effect(c, e.ID), v); err != nil {
				return fmt.Errorf("storage/bolt: an effect: %w", err)
			}
			effects = append(effects, e)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return effects, nil
}

// reading is the buckets of one read transaction.
type reading [buckets]*bbolt.Bucket

// view runs fn in a read transaction. What fn sees is gone when it returns: it must copy, which
// opening a seal does.
func (s *Store) view(ctx context.Context, fn func(reading) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	// A damaged page makes the database panic; a page that cannot be fetched faults.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: reading panicked: %v", ErrDamaged, p)
		}
	}()
	err = s.db.View(func(tx *bbolt.Tx) error {
		var in reading
		for i, name := range bucketNames {
			in[i] = tx.Bucket(name)
		}
		return fn(in)
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return storage.ErrClosed
	}
	return err
}

// each calls fn with the rest of the key and the value of at most limit keys that start with
// prefix and whose rest is greater than after.
func each(ctx context.Context, b *bbolt.Bucket, prefix, after []byte, limit int, fn func(rest, value []byte) error) error {
	const between = 256 // keys between two looks at ctx
	c := b.Cursor()
	from := append(bytes.Clone(prefix), after...)
	k, v := c.Seek(from)
	if len(after) > 0 && bytes.Equal(k, from) {
		k, v = c.Next()
	}
	for n := 0; n < limit && bytes.HasPrefix(k, prefix); n++ {
		if n%between == between-1 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fn(k[len(prefix):], v); err != nil {
			return err
		}
		k, v = c.Next()
	}
	return nil
}

// lastEvent returns the number of the clinic's newest event, 0 when it has none.
func lastEvent(events *bbolt.Bucket, clinic engine.ClinicID) uint64 {
	c := events.Cursor()
	k, _ := c.Seek(appendEventKey(nil, clinic, math.MaxUint64))
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	prefix := appendPart(nil, string(clinic))
	if !bytes.HasPrefix(k, prefix) || len(k) != len(prefix)+numberLen {
		return 0
	}
	return binary.BigEndian.Uint64(k[len(prefix):])
}

func (s *Store) openRecord(k storage.Key, v []byte) (storage.Record, error) {
	version, sealed, err := splitRecord(v)
	if err != nil {
		return storage.Record{}, fmt.Errorf("%w: a record: %w", ErrDamaged, err)
	}
	data, err := s.sealer.Open(seal.Record(k, version), sealed)
	if err != nil {
		return storage.Record{}, fmt.Errorf("storage/bolt: a record of kind %s: %w", k.Kind, err)
	}
	return storage.Record{Key: k, Version: version, Data: data}, nil
}

func (s *Store) openEvent(c engine.ClinicID, seq uint64, v []byte) (storage.Event, error) {
	l, err := s.openLink(c, seq, v)
	if err != nil {
		return storage.Event{}, err
	}
	if !l.Opens {
		return storage.Event{}, fmt.Errorf("storage/bolt: an event: %w", seal.ErrWrongKey)
	}
	return l.Event, nil
}
