package bolt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"relais/storage"
	"relais/storage/seal"
)

// holdChild keeps the store open until its input ends.
func holdChild(dir string) error {
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "key"))
	if err != nil {
		return err
	}
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return s.Close()
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, "hold", dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	sealer, err := seal.Open(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Sealer: sealer}); !errors.Is(err, ErrLocked) {
		t.Errorf("Open: %v, want ErrLocked", err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		t.Fatalf("after the other one closed: %v", err)
	}
	_ = s.Close()
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	if Exists(dir) {
		t.Error("Exists before Open")
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrNoSealer) {
		t.Errorf("no sealer: %v, want ErrNoSealer", err)
	}
	if Exists(dir) {
		t.Error("a refused Open made a file")
	}
	text, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	open := func(text []byte) (*Store, error) {
		sealer, err := seal.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return Open(dir, Options{Sealer: sealer})
	}
	s, err := open(text)
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, storage.Batch{Puts: []storage.Put{slotPut("old", 0)}})
	_ = s.Close()
	if !Exists(dir) {
		t.Error("Exists = false after Open")
	}

	if _, err := Open(dir, Options{Sealer: newSealer(t)}); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("another key: %v, want seal.ErrWrongKey", err)
	}

	if text, err = seal.Rotated(text); err != nil {
		t.Fatal(err)
	}
	if s, err = open(text); err != nil {
		t.Fatalf("after rotation: %v", err)
	}
	mustCommit(t, s, storage.Batch{Puts: []storage.Put{slotPut("new", 0)}})
	for _, id := range []string{"old", "new"} {
		if _, err := s.Get(t.Context(), slotPut(id, 0).Key); err != nil {
			t.Errorf("%s after rotation: %v", id, err)
		}
	}
	_ = s.Close()
}

// store makes a closed store with something in it and returns its directory.
func closedStore(t *testing.T, sealer *seal.Sealer) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	var b storage.Batch
	for i := range 200 {
		b.Puts = append(b.Puts, slotPut(fmt.Sprint(i), 0))
		b.Events = append(b.Events, storage.Event{Clinic: "north", Subject: "s", Data: make([]byte, 300)})
	}
	mustCommit(t, s, b)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, File)
}

func edit(t *testing.T, path string, fn func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	sealer := newSealer(t)
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  error
	}{
		{"text", func(t *testing.T, path string) {
			t.Helper()
			write(t, path, []byte(strings.Repeat("not a database ", 2000)))
		}, ErrNotStore},
		{"short text", func(t *testing.T, path string) {
			t.Helper()
			write(t, path, []byte("x"))
		}, ErrNotStore},
		{"another program's database", func(t *testing.T, path string) {
			t.Helper()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			edit(t, path, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
		}, ErrNotStore},
		{"newer format", func(t *testing.T, path string) {
			t.Helper()
			edit(t, path, func(tx *bbolt.Tx) error {
				return tx.Bucket(metaBucket).Put(formatKey, binary.AppendUvarint(nil, format+1))
			})
		}, ErrNewer},
		{"no format", func(t *testing.T, path string) {
			t.Helper()
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(formatKey) })
		}, ErrNotStore},
		{"no bucket", func(t *testing.T, path string) {
			t.Helper()
			edit(t, path, func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketNames[inEvents]) })
		}, ErrDamaged},
		{"empty", func(t *testing.T, path string) {
			t.Helper()
			write(t, path, nil)
		}, ErrDamaged},
		{"cut one page short", func(t *testing.T, path string) {
			t.Helper()
			var used int64 // the file is longer than that
			edit(t, path, func(tx *bbolt.Tx) error { used = tx.Size(); return nil })
			if err := os.Truncate(path, used-int64(os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
		}, ErrDamaged},
		{"cut after the first pages", func(t *testing.T, path string) {
			t.Helper()
			if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
		}, ErrDamaged},
		{"roots overwritten", func(t *testing.T, path string) {
			t.Helper()
			text := read(t, path)
			clear(text[:2*os.Getpagesize()])
			write(t, path, text)
		}, ErrNotStore},
		{"all but the roots overwritten", func(t *testing.T, path string) {
			t.Helper()
			text := read(t, path)
			for i := 2 * os.Getpagesize(); i < len(text); i++ {
				text[i] = 0xa5
			}
			write(t, path, text)
		}, ErrDamaged},
		{"all but the roots zero", func(t *testing.T, path string) {
			t.Helper()
			text := read(t, path)
			clear(text[2*os.Getpagesize():])
			write(t, path, text)
		}, ErrDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, path := closedStore(t, sealer)
			test.spoil(t, path)
			before := read(t, path)
			s, err := Open(dir, Options{Sealer: sealer})
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, test.want) {
				t.Errorf("Open: %v, want %v", err, test.want)
			}
			if string(read(t, path)) != string(before) {
				t.Error("the refused file was changed")
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHalfMade opens a file whose creation was cut off before anything was stored.
func TestHalfMade(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, path string){
		"not renamed yet": func(t *testing.T, path string) {
			t.Helper()
			write(t, path+".new", nil)
		},
		"no buckets": func(t *testing.T, path string) {
			t.Helper()
			edit(t, path, func(*bbolt.Tx) error { return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			make(t, filepath.Join(dir, File))
			s, err := Open(dir, Options{Sealer: newSealer(t)})
			if err != nil {
				t.Fatal(err)
			}
			mustCommit(t, s, storage.Batch{Puts: []storage.Put{slotPut("a", 0)}})
			_ = s.Close()
		})
	}
}

func TestDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	if _, err := Open(file, Options{Sealer: newSealer(t)}); err == nil || !strings.Contains(err.Error(), "make the directory") {
		t.Errorf("a file as directory: %v", err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil { //nolint:gosec // everybody may look, nobody may write
		t.Fatal(err)
	}
	var err error
	asOrdinaryUser(t, dir, func() { _, err = Open(dir, Options{Sealer: newSealer(t)}) })
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "permissions") {
		t.Errorf("an unwritable directory: %v", err)
	}
}

// TestCreateAfterCrash finds what a first start left that was killed halfway.
func TestCreateAfterCrash(t *testing.T) {
	dir, sealer := t.TempDir(), newSealer(t)
	write(t, filepath.Join(dir, File+".new"), nil)
	if Exists(dir) {
		t.Fatal("half a store counts as one")
	}
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, File+".new")); !errors.Is(err, fs.ErrNotExist) || !Exists(dir) {
		t.Fatalf("the store did not get its name: %v", err)
	}
}
