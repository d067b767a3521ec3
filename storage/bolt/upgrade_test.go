package bolt

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// formatOne puts a store of format 1 into a directory: of a demo that the program before the chains ran,
// cut down to a few of each kind. Its people are made up.
func formatOne(t *testing.T) (dir string, sealer *seal.Sealer) {
	t.Helper()
	packed, err := os.Open(filepath.Join("testdata", "format1.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	write(t, filepath.Join(dir, File), text)
	sealer, err = seal.Parse(read(t, filepath.Join("testdata", "format1.key")))
	if err != nil {
		t.Fatal(err)
	}
	return dir, sealer
}

// before reads a file of format 1 by itself, without any code of the store's.
func before(t *testing.T, path string, sealer *seal.Sealer) (records map[storage.Key]string, events map[engine.ClinicID][]storage.Event) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	records, events = map[storage.Key]string{}, map[engine.ClinicID][]storage.Event{}
	cut := func(b []byte) (string, []byte) {
		size, n := binary.Uvarint(b)
		return string(b[n : n+int(size)]), b[n+int(size):]
	}
	err = db.View(func(tx *bbolt.Tx) error {
		if err := tx.Bucket([]byte("records")).ForEach(func(k, v []byte) error {
			clinic, rest := cut(k)
			kind, _ := storage.KindOf(rest[0])
			key := storage.Key{Clinic: engine.ClinicID(clinic), Kind: kind, ID: string(rest[1:])}
			version, n := binary.Uvarint(v)
			data, err := sealer.Open(seal.Record(key, version), v[n:])
			records[key] = string(data)
			return err
		}); err != nil {
			return err
		}
		return tx.Bucket([]byte("events")).ForEach(func(k, v []byte) error {
			clinic, number := cut(k)
			subject, rest := cut(v)
			e := storage.Event{Clinic: engine.ClinicID(clinic), Subject: subject, At: readTime(rest), Seq: binary.BigEndian.Uint64(number)}
			var err error
			e.Data, err = sealer.Open(seal.Event(e.Clinic, subject, e.At), rest[12:])
			events[e.Clinic] = append(events[e.Clinic], e)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return records, events
}

// A store of the release before opens, with everything that was in it, and its timelines are chained.
func TestUpgrade(t *testing.T) {
	dir, sealer := formatOne(t)
	path := filepath.Join(dir, File)
	old := read(t, path)
	records, events := before(t, path, sealer)
	if len(records) < 50 || len(events) < 2 {
		t.Fatalf("the old file has %d records and %d timelines: too few to show anything", len(records), len(events))
	}
	if _, err := CheckFile(t.Context(), path, CheckOptions{Sealer: sealer}); !errors.Is(err, ErrOlder) {
		t.Errorf("CheckFile: %v, want ErrOlder", err)
	}
	write(t, path+".upgrade", []byte("left by an upgrade that crashed"))
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	for key, data := range records {
		if rec, err := s.Get(t.Context(), key); err != nil || string(rec.Data) != data {
			t.Errorf("%v after the upgrade: %v", key, err)
		}
	}
	for clinic, want := range events {
		got, err := s.Timeline(t.Context(), clinic, "", 0, 10_000)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s has %d events, %v; want %d", clinic, len(got), err, len(want))
		}
		for i := range want {
			if got[i].Seq != want[i].Seq || got[i].Subject != want[i].Subject || !got[i].At.Equal(want[i].At) || string(got[i].Data) != string(want[i].Data) {
				t.Errorf("event %d of %s changed", want[i].Seq, clinic)
			}
		}
		mustCommit(t, s, storage.Batch{Events: []storage.Event{{Clinic: clinic, Subject: "after", Data: []byte("x")}}})
	}
	wantChains(t, s, len(events))
	if r, err := s.Check(t.Context(), CheckOptions{}); err != nil || r.Err() != nil {
		t.Errorf("Check: %v, %v", err, r.Err())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if string(read(t, path+".format1")) != string(old) {
		t.Error("the old file was not kept as it was")
	}
	if _, err := os.Stat(path + ".upgrade"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half-made file is still there: %v", err)
	}
	again, err := Open(dir, Options{Sealer: sealer}) // and no second upgrade
	if err != nil {
		t.Fatal(err)
	}
	wantChains(t, again, len(events))
	_ = again.Close()
}

func TestUpgradeFails(t *testing.T) {
	dir, sealer := formatOne(t)
	path := filepath.Join(dir, File)
	edit(t, path, func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketNames[inEvents])
		k, _ := b.Cursor().Last()
		return b.Put(append([]byte(nil), k...), []byte{1})
	})
	old := read(t, path)
	if _, err := Open(dir, Options{Sealer: sealer}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "as it was") {
		t.Errorf("Open: %v, want ErrDamaged", err)
	}
	if string(read(t, path)) != string(old) {
		t.Error("an upgrade that failed changed the file")
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := Open(dir, Options{Sealer: newSealer(t)}); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("another key: %v, want ErrWrongKey", err)
	}
}

func TestRestoreOfTheReleaseBefore(t *testing.T) {
	from, sealer := formatOne(t)
	to := filepath.Join(t.TempDir(), "to")
	r, err := Restore(t.Context(), filepath.Join(from, File), to, CheckOptions{Sealer: sealer})
	if err != nil || r.Err() != nil || r.Events == 0 {
		t.Fatalf("Restore: %v, %+v", err, r)
	}
	if list, _ := os.ReadDir(to); len(list) != 1 || list[0].Name() != File {
		t.Errorf("the directory holds %v", list)
	}
}

func wantChains(t *testing.T, s storage.Chained, clinics int) {
	t.Helper()
	heads, err := s.Heads(t.Context())
	if err != nil || len(heads) != clinics {
		t.Fatalf("%d heads, %v; want %d", len(heads), err, clinics)
	}
	for _, h := range heads {
		if v, err := storage.Verify(t.Context(), s, h); err != nil || v.Broken != nil || v.Events == 0 {
			t.Errorf("the chain of %s: %+v, %v", h.Clinic, v.Broken, err)
		}
	}
}
