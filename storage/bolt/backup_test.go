package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"relais/storage"
	"relais/storage/seal"
)

func TestBackupWhileWriting(t *testing.T) {
	sealer := newSealer(t)
	s := openTemp(t, Options{Sealer: sealer})
	var acked atomic.Int64 // batches below are acknowledged
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; !stop.Load(); n++ {
			if err := s.Commit(t.Context(), crashBatch(n)); err != nil {
				t.Error(err)
				return
			}
			acked.Store(int64(n + 1))
		}
	})
	dir := t.TempDir()
	var last string
	for i := range 5 {
		least := int(acked.Load())
		last = filepath.Join(dir, fmt.Sprint(i))
		b, err := s.Backup(t.Context(), last, CheckOptions{})
		if err != nil {
			t.Fatal(err)
		}
		// What was acknowledged before is in it, and no batch in part.
		if b.Report.Records < least*crashParts || b.Report.Records%crashParts != 0 || b.Report.Events != b.Report.Records {
			t.Errorf("backup %d has %d records and %d events of at least %d batches", i, b.Report.Records, b.Report.Events, least)
		}
		if _, err := s.Backup(t.Context(), last, CheckOptions{}); !errors.Is(err, ErrExists) {
			t.Errorf("over another backup: %v, want ErrExists", err)
		}
	}
	if r, err := s.Check(t.Context(), CheckOptions{}); err != nil || r.Err() != nil {
		t.Errorf("Check of the running store: %v, %v", err, r.Err())
	}
	stop.Store(true)
	wg.Wait()
	if names, _ := filepath.Glob(filepath.Join(s.dir, "*")); len(names) != 1 {
		t.Errorf("the store's directory holds %v", names)
	}

	to := filepath.Join(t.TempDir(), "new", "store")
	r, err := Restore(t.Context(), last, to, CheckOptions{Sealer: sealer})
	if err != nil || r.Err() != nil {
		t.Fatalf("Restore: %v, %v", err, r.Err())
	}
	restored, err := Open(to, Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = restored.Close() }()
	if events, err := restored.Timeline(t.Context(), "north", "", 0, 10_000); err != nil || len(events) != min(r.Events, 10_000) {
		t.Errorf("restored: %d events, %v; the check had %d", len(events), err, r.Events)
	}
	mustCommit(t, restored, crashBatch(1_000_000)) // and it goes on
}

func TestRestoreRefuses(t *testing.T) {
	sealer := newSealer(t)
	dir, path := closedStore(t, sealer)
	opt := CheckOptions{Sealer: sealer}
	if _, err := Restore(t.Context(), path, dir, opt); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("over a store: %v, want ErrNotEmpty", err)
	}
	for name, test := range map[string]struct {
		spoil func(path string)
		key   *seal.Sealer
		want  error
	}{
		"another key": {func(string) {}, newSealer(t), seal.ErrWrongKey},
		"cut short": {func(path string) {
			if err := os.Truncate(path, int64(4*os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
		}, sealer, ErrDamaged},
		"text": {func(path string) { write(t, path, []byte(strings.Repeat("x", 100_000))) }, sealer, ErrNotStore},
	} {
		t.Run(name, func(t *testing.T) {
			backup, to := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "to")
			write(t, backup, read(t, path))
			test.spoil(backup)
			if _, err := Restore(t.Context(), backup, to, CheckOptions{Sealer: test.key}); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if left, _ := os.ReadDir(to); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Whatever is wrong in a file, the check says so in a sentence, and what to do.
func TestCheckFinds(t *testing.T) {
	sealer := newSealer(t)
	event := func(seq uint64) []byte { return appendEventKey(nil, "north", seq) }
	for name, test := range map[string]struct {
		spoil func(tx *bbolt.Tx) error
		want  string
	}{
		"nothing": {func(*bbolt.Tx) error { return nil }, ""},
		"a record that does not open": {func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketNames[inRecords])
			v := append([]byte(nil), b.Get(diskKey(slotPut("7", 0).Key))...)
			v[len(v)-1]++
			return b.Put(diskKey(slotPut("7", 0).Key), v)
		}, `slot "7" of clinic "north" does not open`},
		"a kind of the future": {func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketNames[inRecords]).Put(append(appendRecordPrefix(nil, "north", 250), 'x'), []byte{1})
		}, "kind (250)"},
		"an event gone":     {func(tx *bbolt.Tx) error { return tx.Bucket(bucketNames[inEvents]).Delete(event(100)) }, "event 101 where 100 should be"},
		"an event cut":      {func(tx *bbolt.Tx) error { return tx.Bucket(bucketNames[inEvents]).Put(event(9), []byte{1}) }, "Event 9 of clinic \"north\" is cut short"},
		"the index lacks":   {func(tx *bbolt.Tx) error { return tx.Bucket(bucketNames[inSubjects]).Delete(subjectKey("s", 5)) }, "Event 5 of clinic \"north\" is missing from the index"},
		"the index invents": {func(tx *bbolt.Tx) error { return tx.Bucket(bucketNames[inSubjects]).Put(subjectKey("s", 999), nil) }, "Event 999 of clinic \"north\" is gone"},
		"the index errs":    {func(tx *bbolt.Tx) error { return tx.Bucket(bucketNames[inSubjects]).Put(subjectKey("t", 5), nil) }, "under another subject"},
		"an order moved": {func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketNames[inOutbox]).Put(append(appendPart(nil, "north"), 'x'), []byte("not sealed"))
		}, `Order "x" of clinic "north"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, path := closedStore(t, sealer)
			edit(t, path, test.spoil)
			r, err := CheckFile(t.Context(), path, CheckOptions{Sealer: sealer})
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" {
				if r.Err() != nil || r.Records != 200 || r.Events != 200 || r.Clinics != 1 {
					t.Errorf("a sound file: %+v", r)
				}
				return
			}
			if r.Found == 0 || !strings.Contains(r.Problems[0].What, test.want) || r.Problems[0].Do == "" {
				t.Errorf("found %+v, want %q", r.Problems, test.want)
			}
		})
	}
}

func subjectKey(subject string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(appendSubjectPrefix(nil, "north", subject), seq)
}

func TestBackupToAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full, a file that takes nothing, which Linux has")
	}
	if err := copyFile(strings.NewReader("x"), filepath.Join(t.TempDir(), "no", "directory"), func(w io.Writer) io.Writer { return w }); err == nil {
		t.Error("a copy into a directory that is not there went well")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	s := idle(t)
	err = s.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(cancelled{t.Context(), full})
		return err
	})
	if err = copyError(err); !errors.Is(err, storage.ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	path := filepath.Join(t.TempDir(), "b")
	if _, err := s.Backup(ctx, path, CheckOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
