package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// Format 1 had no chains: an event's value was its subject, its time and its sealed data without salt, and
// there was no bucket of heads. An upgrade writes a new file beside the old one and takes its place when it
// is whole, so a crash leaves the old one; which is kept, with its format in its name.

const (
	upgradePart  = 2000    // keys in one transaction
	upgradeBytes = 4 << 20 // or about as many bytes
)

// upgrade brings the database at path, open as old, up to format, and closes it. The caller opens what is
// at path then.
func upgrade(old *bbolt.DB, path string, sealer *seal.Sealer, from uint64) (err error) {
	defer func() { err = errors.Join(err, old.Close()) }() // not before: it holds the lock
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = unreadable(path)
		}
	}()
	part := path + ".upgrade"
	if err := os.RemoveAll(part); err != nil { // of an upgrade that did not end
		return fmt.Errorf("storage/bolt: upgrade: %w", err)
	}
	defer removeQuietly(part)
	if err := writeUpgraded(old, part, sealer); err != nil {
		return fmt.Errorf("storage/bolt: bring the store from format %d to %d; the old file is as it was: %w", from, format, classify(err))
	}
	if err := keepAs(path, fmt.Sprintf("%s.format%d", path, from)); err != nil {
		return fmt.Errorf("storage/bolt: keep the store of format %d: %w", from, err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("storage/bolt: put the upgraded store in its place: %w", err)
	}
	syncDir(filepath.Dir(path))
	return nil
}

// keepAs gives the old file a second name, unless an upgrade that crashed did so already.
func keepAs(path, kept string) error {
	err := os.Link(path, kept)
	if err == nil || errors.Is(err, os.ErrExist) {
		return nil
	}
	from, err := os.Open(filepath.Clean(path)) // some file systems have no links
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	return copyFile(from, kept, func(f io.Writer) io.Writer { return f })
}

func writeUpgraded(old *bbolt.DB, path string, sealer *seal.Sealer) (err error) {
	fresh, err := openFile(path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fresh.Close()) }()
	fresh.NoSync = true // all of it is synced at the end, before it gets its name
	if err := fresh.Update(func(tx *bbolt.Tx) error { return create(tx, sealer) }); err != nil {
		return err
	}
	err = old.View(func(tx *bbolt.Tx) error {
		for _, bucket := range [...]int{inRecords, inOutbox, inSubjects} {
			if err := copyBucket(tx, fresh, bucketNames[bucket]); err != nil {
				return err
			}
		}
		return chainEvents(tx, fresh, sealer)
	})
	if err != nil {
		return err
	}
	return fresh.Sync()
}

// parts calls put for all keys of a bucket of the old file, within transactions of a bounded size.
func parts(old *bbolt.Tx, fresh *bbolt.DB, name []byte, put func(to *bbolt.Bucket, k, v []byte) error) error {
	c := old.Bucket(name).Cursor()
	k, v := c.First()
	for k != nil {
		err := fresh.Update(func(tx *bbolt.Tx) error {
			to := tx.Bucket(name)
			to.FillPercent = 0.9
			for n, size := 0, 0; k != nil && n < upgradePart && size < upgradeBytes; n++ {
				if err := put(to, k, v); err != nil {
					return err
				}
				size += len(k) + len(v)
				k, v = c.Next()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func copyBucket(old *bbolt.Tx, fresh *bbolt.DB, name []byte) error {
	return parts(old, fresh, name, func(to *bbolt.Bucket, k, v []byte) error { return to.Put(k, bytes.Clone(v)) })
}

// chainEvents writes the timelines with salts, digests and hashes, and their heads.
func chainEvents(old *bbolt.Tx, fresh *bbolt.DB, sealer *seal.Sealer) error {
	heads := map[engine.ClinicID]head{}
	err := parts(old, fresh, bucketNames[inEvents], func(to *bbolt.Bucket, k, v []byte) error {
		name, number, err := cutPart(k)
		if err != nil || len(number) != numberLen {
			return fmt.Errorf("%w: an event's key", ErrDamaged)
		}
		e := storage.Event{Clinic: engine.ClinicID(name), Seq: binary.BigEndian.Uint64(number)}
		if v, err = chained(&e, v, heads[e.Clinic].hash, sealer); err != nil {
			return err
		}
		l, err := splitEvent(v)
		if err != nil {
			return err
		}
		heads[e.Clinic] = head{e.Seq, l.hash}
		return to.Put(bytes.Clone(k), v)
	})
	if err != nil {
		return err
	}
	return fresh.Update(func(tx *bbolt.Tx) error {
		w := newWriting(tx, sealer, nil)
		w.newest = heads
		return w.finish()
	})
}

// chained turns an event's value of format 1 into one of this format, and fills in the event.
func chained(e *storage.Event, v []byte, prev storage.Hash, sealer *seal.Sealer) ([]byte, error) {
	size, n := binary.Uvarint(v)
	if n <= 0 || size > storage.MaxKey || len(v) < n+int(size)+timeLen {
		return nil, fmt.Errorf("%w: event %d of clinic %q is cut short", ErrDamaged, e.Seq, e.Clinic)
	}
	e.Subject, e.At = string(v[n:n+int(size)]), readTime(v[n+int(size):])
	place := seal.Event(e.Clinic, e.Subject, e.At)
	data, err := sealer.Open(place, v[n+int(size)+timeLen:])
	if err != nil {
		return nil, fmt.Errorf("event %d of clinic %q: %w", e.Seq, e.Clinic, err)
	}
	salted := storage.Salted(data)
	sealed, err := sealer.Seal(place, salted)
	if err != nil {
		return nil, err
	}
	digest := storage.Digest(salted)
	hash := storage.Chain(prev, e, digest)
	to := append(appendTime(appendPart(nil, e.Subject), e.At), 0)
	to = append(append(to, digest[:]...), hash[:]...)
	return append(to, sealed...), nil
}
