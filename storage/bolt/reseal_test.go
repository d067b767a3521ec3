package bolt

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"relais/storage"
	"relais/storage/seal"
)

// TestReseal changes the key while commits go on. Afterwards the newest key alone opens everything, and what the
// older one sealed is nowhere.
func TestReseal(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	sealer, err := seal.OpenOrCreate(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := Open(dir, Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	const before = 200
	for n := 1; n <= before; n++ {
		mustCommit(t, s, crashBatch(n))
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	last := make([]int, 4)
	for c := range last {
		wg.Go(func() {
			for n := before + 1 + c; !stop.Load(); n += len(last) {
				if err := s.Commit(t.Context(), crashBatch(n)); err != nil {
					t.Error(err)
					return
				}
				last[c] = n
			}
		})
	}
	if err := errors.Join(seal.Rotate(key), sealer.Reload(key)); err != nil {
		t.Fatal(err)
	}
	told := 0
	done, err := s.Reseal(t.Context(), func(n int) { told = n })
	if err != nil || done < before || told != done {
		t.Errorf("%d values sealed anew, %d told, %v", done, told, err)
	}
	if left, err := s.Older(t.Context()); err != nil || left != 0 {
		t.Errorf("%d values are left to the older key, %v", left, err)
	}
	stop.Store(true)
	wg.Wait()
	if err := errors.Join(seal.Retire(key, key+".kept"), sealer.Reload(key)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Reseal(t.Context(), func(int) {}); n != 0 || err != nil {
		t.Errorf("a second time: %d values, %v", n, err)
	}
	wantChains(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	alone, err := seal.Open(key)
	if err != nil || alone.Keys() != 1 {
		t.Fatalf("the key file: %v", err)
	}
	if s, err = Open(dir, Options{Sealer: alone}); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= before; n++ {
		for i := range crashParts {
			k := storage.Key{Clinic: "north", Kind: storage.KindSlot, ID: fmt.Sprintf("%d-%d", i, n)}
			if rec, err := s.Get(t.Context(), k); err != nil || rec.Version != 1 {
				t.Fatalf("%s with the newest key alone: %v", k.ID, err)
			}
		}
	}
	for _, n := range last {
		if n > 0 {
			if _, err := s.Get(t.Context(), crashBatch(n).Puts[0].Key); err != nil {
				t.Errorf("batch %d, committed meanwhile: %v", n, err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := CheckFile(t.Context(), filepath.Join(dir, File), CheckOptions{Sealer: alone}); err != nil || r.Err() != nil {
		t.Errorf("check: %v, %v", err, r.Err())
	}
	kept, err := seal.Open(key + ".kept")
	if err != nil || kept.Keys() != 2 {
		t.Errorf("what is kept for older backups: %v", err)
	}
}

// TestWritten shows that the search of TestSealed finds what is written in these ways.
func TestWritten(t *testing.T) {
	const word = "Geneviève Tremblay"
	for skip := range 3 {
		text := append(make([]byte, skip), []byte(`xyz`+word+`,"`)...)
		in := map[string]string{
			"as it is": string(text), "in hexadecimal": hex.EncodeToString(text), "base64": base64.StdEncoding.EncodeToString(text),
		}
		for how, s := range in {
			found := false
			for _, form := range written(word) {
				found = found || strings.Contains(s, string(form))
			}
			if !found {
				t.Errorf("%q after %d bytes, %s, is not found", word, skip, how)
			}
		}
	}
}
