package bolt

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// Limits of what is sealed anew in one commit, so that others do not wait.
const (
	resealTogether = 256
	resealBytes    = 512 << 10
)

// anew is one value that is sealed with the newest key, to take the place of what it was.
type anew struct {
	bucket   []byte
	key      []byte
	was, now []byte
}

// Reseal seals with the newest key everything that an older one sealed, beside other commits, and returns how
// many values that were. Call it after the sealer was given its new key. say is told how far it is.
func (s *Store) Reseal(ctx context.Context, say func(done int)) (done int, err error) {
	// Whoever sealed with the older key already has committed once all room was free.
	if err := s.room.Acquire(ctx, maxWaitingBytes); err != nil {
		return 0, err
	}
	s.room.Release(maxWaitingBytes)
	for _, name := range append([][]byte{metaBucket}, bucketNames[:]...) {
		if bytes.Equal(name, bucketNames[inSubjects]) {
			continue // nothing in it is sealed
		}
		for after := []byte(nil); ; {
			part, last, err := s.older(ctx, name, after)
			if err != nil {
				return done, err
			}
			if len(part) > 0 {
				j := jobs.Get().(*job)
				j.anew = part
				if err := s.enqueue(ctx, j); err != nil {
					return done, err
				}
				err = <-j.done
				j.release()
				if err != nil {
					return done, err
				}
				done += len(part)
				say(done)
			}
			if last == nil {
				break
			}
			after = last
		}
	}
	return done, nil
}

// older reads the next values of a bucket that an older key sealed, sealed anew. last is where to go on; nil: that
// was all.
func (s *Store) older(ctx context.Context, name, after []byte) (part []anew, last []byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		c, size := tx.Bucket(name).Cursor(), 0
		k, v := c.Seek(after)
		if after != nil && bytes.Equal(k, after) {
			k, v = c.Next()
		}
		for n := 0; k != nil; n++ {
			if len(part) >= resealTogether || size >= resealBytes || n >= 50*resealTogether {
				return nil
			}
			last = bytes.Clone(k)
			place, head, ok, err := sealedPart(name, k, v)
			if err != nil {
				return err
			}
			if ok && s.sealer.Older(v[head:]) {
				data, err := s.sealer.Open(place, v[head:])
				if err != nil {
					return fmt.Errorf("storage/bolt: seal anew: %w", err)
				}
				sealed, err := s.sealer.Seal(place, data)
				if err != nil {
					return err
				}
				part = append(part, anew{name, last, bytes.Clone(v), append(bytes.Clone(v[:head]), sealed...)})
				size += len(v)
			}
			k, v = c.Next()
		}
		last = nil
		return ctx.Err()
	})
	return part, last, err
}

// sealedPart says where in a value its sealed part begins, and which place it is sealed for.
func sealedPart(bucket, k, v []byte) (place seal.Place, head int, ok bool, err error) {
	if bytes.Equal(bucket, metaBucket) {
		return seal.Check(), 0, bytes.Equal(k, checkKey), nil
	}
	name, rest, err := cutPart(k)
	if err != nil {
		return place, 0, false, fmt.Errorf("%w: a key", ErrDamaged)
	}
	clinic := engine.ClinicID(name)
	switch {
	case bytes.Equal(bucket, bucketNames[inOutbox]):
		return seal.Effect(clinic, string(rest)), 0, true, nil
	case bytes.Equal(bucket, bucketNames[inHeads]):
		seq, sealed, err := splitHead(v)
		return seal.Head(clinic, seq), len(v) - len(sealed), true, err
	case bytes.Equal(bucket, bucketNames[inEvents]):
		e, err := splitEvent(v)
		return seal.Event(clinic, e.subject, e.at), len(v) - len(e.sealed), true, err
	}
	if len(rest) < 1 {
		return place, 0, false, fmt.Errorf("%w: a record's key", ErrDamaged)
	}
	kind, known := storage.KindOf(rest[0])
	if !known {
		return place, 0, false, fmt.Errorf("%w: a record of the unknown kind %d", ErrNewer, rest[0])
	}
	version, sealed, err := splitRecord(v)
	return seal.Record(storage.Key{Clinic: clinic, Kind: kind, ID: string(rest[1:])}, version), len(v) - len(sealed), true, err
}

// putAnew writes what is still what it was; what changed meanwhile is sealed with the newest key already.
func (w *writing) putAnew(list []anew) error {
	for _, a := range list {
		b := w.bucket(a.bucket)
		if bytes.Equal(b.Get(a.key), a.was) {
			must(b.Put(a.key, a.now))
		}
	}
	return nil
}

func (w *writing) bucket(name []byte) *bbolt.Bucket {
	for i := range bucketNames {
		if bytes.Equal(name, bucketNames[i]) {
			return w.in[i]
		}
	}
	return w.tx.Bucket(name)
}

// Older counts what an older key than the newest sealed.
func (s *Store) Older(ctx context.Context) (n int, err error) {
	for _, name := range append([][]byte{metaBucket}, bucketNames[:]...) {
		if bytes.Equal(name, bucketNames[inSubjects]) {
			continue
		}
		err = s.db.View(func(tx *bbolt.Tx) error {
			seen := 0
			return tx.Bucket(name).ForEach(func(k, v []byte) error {
				if seen++; seen%1024 == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				_, head, ok, err := sealedPart(name, k, v)
				if ok && err == nil && s.sealer.Older(v[head:]) {
					n++
				}
				return err
			})
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
