package bolt

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"relais/storage"
)

// Whoever edits the file, even with the key of the store, leaves a chain that breaks at that place.
func TestTamper(t *testing.T) {
	sealer := newSealer(t)
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	value := func(tx *bbolt.Tx, seq uint64) []byte {
		return bytes.Clone(tx.Bucket(bucketNames[inEvents]).Get(appendEventKey(nil, "north", seq)))
	}
	set := func(tx *bbolt.Tx, seq uint64, v []byte) error {
		return tx.Bucket(bucketNames[inEvents]).Put(appendEventKey(nil, "north", seq), v)
	}
	gone := func(tx *bbolt.Tx, seq uint64) error {
		return tx.Bucket(bucketNames[inEvents]).Delete(appendEventKey(nil, "north", seq))
	}
	// forged makes an event that is sealed with the right key, as somebody who has it could.
	forged := func(prev storage.Hash, seq uint64, data string) []byte {
		s := &Store{sealer: sealer}
		j := &job{buf: make([]byte, 0, 4096)}
		if err := s.encodeEvent(j, &storage.Event{Clinic: "north", Subject: "a", At: at, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		op := &j.events[0]
		op.of.Seq = seq
		hash := storage.Chain(prev, &op.of, op.digest)
		copy(op.hash, hash[:])
		return op.value
	}
	for name, test := range map[string]struct {
		edit func(tx *bbolt.Tx) error
		seq  uint64
		why  string
	}{
		"the newest event cut off": {func(tx *bbolt.Tx) error { return gone(tx, 10) }, 10, "ends at event 9"},
		"an event taken out":       {func(tx *bbolt.Tx) error { return gone(tx, 4) }, 4, "event 4 is missing"},
		"the first taken out":      {func(tx *bbolt.Tx) error { return gone(tx, 1) }, 1, "event 1 is missing"},
		"two events swapped": {func(tx *bbolt.Tx) error {
			a, b := value(tx, 3), value(tx, 6)
			if err := set(tx, 3, b); err != nil {
				return err
			}
			return set(tx, 6, a)
		}, 3, "does not follow"},
		"a byte of the data": {func(tx *bbolt.Tx) error {
			v := value(tx, 5)
			v[len(v)-20]++
			return set(tx, 5, v)
		}, 5, "does not open"},
		"the time": {func(tx *bbolt.Tx) error {
			v := value(tx, 5)
			v[2+7]++
			return set(tx, 5, v)
		}, 5, "does not follow"},
		"replaced with the key": {func(tx *bbolt.Tx) error {
			l, err := splitEvent(value(tx, 6))
			if err != nil {
				return err
			}
			return set(tx, 7, forged(l.hash, 7, "as if"))
		}, 8, "does not follow"},
		"replaced with the key, at the end": {func(tx *bbolt.Tx) error {
			l, err := splitEvent(value(tx, 9))
			if err != nil {
				return err
			}
			return set(tx, 10, forged(l.hash, 10, "as if"))
		}, 10, "not the one that the sealed head names"},
		"appended with the key": {func(tx *bbolt.Tx) error {
			l, err := splitEvent(value(tx, 10))
			if err != nil {
				return err
			}
			return set(tx, 11, forged(l.hash, 11, "as if"))
		}, 12, "ends at event 11"},
		"redacted in secret": {func(tx *bbolt.Tx) error {
			v, f := value(tx, 2), forged(storage.Hash{}, 2, "nothing to see")
			l, err := splitEvent(f)
			if err != nil {
				return err
			}
			old, err := splitEvent(v)
			if err != nil {
				return err
			}
			kept := len(v) - len(old.sealed)
			v = append(v[:kept:kept], l.sealed...)
			v[kept-chainLen] |= redacted
			return set(tx, 2, v)
		}, 2, "no event says so"},
		"the head removed": {func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketNames[inHeads]).Delete(appendPart(nil, "north"))
		}, 10, "head"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(dir, Options{Sealer: sealer})
			if err != nil {
				t.Fatal(err)
			}
			for range 10 {
				mustCommit(t, s, storage.Batch{Events: []storage.Event{{Clinic: "north", Subject: "a", At: at, Data: []byte("what happened")}}})
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			edit(t, filepath.Join(dir, File), test.edit)
			if s, err = Open(dir, Options{Sealer: sealer}); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			verify := func() *storage.Break {
				t.Helper()
				heads, err := s.Heads(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(heads) == 0 {
					heads = []storage.Head{{Clinic: "north"}}
				}
				v, err := storage.Verify(t.Context(), s, heads[0])
				if err != nil {
					t.Fatal(err)
				}
				return v.Broken
			}
			b := verify()
			if b == nil || b.Seq != test.seq || !strings.Contains(b.Why, test.why) {
				t.Fatalf("%+v, want event %d: %s", b, test.seq, test.why)
			}
			if r, err := s.Check(t.Context(), CheckOptions{}); err != nil || r.Found == 0 {
				t.Errorf("store check finds %+v, %v", r, err)
			}
			// And what is written afterwards does not hide it.
			for range 3 {
				mustCommit(t, s, storage.Batch{Events: []storage.Event{{Clinic: "north", Subject: "a", At: at, Data: []byte("later")}}})
			}
			if b := verify(); b == nil {
				t.Error("later events hid it")
			}
		})
	}
}
