package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"relais/storage/seal"
)

func mustParse(tb testing.TB, text []byte) *seal.Sealer {
	tb.Helper()
	s, err := seal.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustGenerate(tb testing.TB) []byte {
	tb.Helper()
	text, err := seal.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestSealAndOpen(t *testing.T) {
	s := mustParse(t, mustGenerate(t))
	p := seal.Place{Clinic: "north", Kind: "slot", ID: "a", Stamp: 3}
	for _, data := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("Tremblay "), 1000)} {
		sealed, err := s.Seal(p, data)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(data)+seal.Overhead {
			t.Errorf("sealing %d bytes made %d, want Overhead more", len(data), len(sealed))
		}
		if len(data) > 8 && bytes.Contains(sealed, []byte("Tremblay")) {
			t.Error("sealed data shows the plain text")
		}
		got, err := s.Open(p, sealed)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("Open = %d bytes, %v; want %d bytes", len(got), err, len(data))
		}
	}
}

func TestValueCannotBeMoved(t *testing.T) {
	s := mustParse(t, mustGenerate(t))
	home := seal.Place{Clinic: "ab", Kind: "slot", ID: "c", Stamp: 1}
	sealed, err := s.Seal(home, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []seal.Place{
		{Clinic: "abs", Kind: "lot", ID: "c", Stamp: 1}, // the same bytes, cut elsewhere
		{Clinic: "zz", Kind: "slot", ID: "c", Stamp: 1},
		{Clinic: "ab", Kind: "entry", ID: "c", Stamp: 1},
		{Clinic: "ab", Kind: "slot", ID: "d", Stamp: 1},
		{Clinic: "ab", Kind: "slot", ID: "c", Stamp: 2},
	} {
		if _, err := s.Open(p, sealed); !errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("at %+v: %v, want ErrWrongKey", p, err)
		}
	}
}

func TestWrongKey(t *testing.T) {
	a, b := mustParse(t, mustGenerate(t)), mustParse(t, mustGenerate(t))
	sealed, err := a.Seal(seal.Place{}, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(seal.Place{}, sealed); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("%v, want ErrWrongKey", err)
	}
	sealed[len(sealed)-1]++
	if _, err := a.Open(seal.Place{}, sealed); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("damaged: %v, want ErrWrongKey", err)
	}
}

func TestRotated(t *testing.T) {
	text := mustGenerate(t)
	old := mustParse(t, text)
	before, err := old.Seal(seal.Place{}, []byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	text, err = seal.Rotated(text)
	if err != nil {
		t.Fatal(err)
	}
	s := mustParse(t, text)
	if s.Keys() != 2 {
		t.Errorf("Keys = %d, want 2", s.Keys())
	}
	if got, err := s.Open(seal.Place{}, before); err != nil || string(got) != "before" {
		t.Errorf("what the older key sealed: %q, %v", got, err)
	}
	after, err := s.Seal(seal.Place{}, []byte("after"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Open(seal.Place{}, after); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("the new primary was not used to seal: %v", err)
	}
}

func TestNotKeys(t *testing.T) {
	secret := string(mustGenerate(t))
	for _, text := range []string{"", "{}", "hunter2", secret[:len(secret)/2], `{"primaryKeyId":1}`} {
		_, err := seal.Parse([]byte(text))
		if !errors.Is(err, seal.ErrNotKeys) {
			t.Errorf("%.10q: %v, want ErrNotKeys", text, err)
			continue
		}
		if len(text) > 2 && strings.Contains(err.Error(), text) {
			t.Error("the error quotes the secret")
		}
		if _, err := seal.Rotated([]byte(text)); !errors.Is(err, seal.ErrNotKeys) {
			t.Errorf("Rotated(%.10q): %v, want ErrNotKeys", text, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "relais.key")
	if _, err := seal.Open(path); !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("Open of nothing: %v, want ErrNoKey", err)
	}
	if err := seal.Rotate(path); !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("Rotate of nothing: %v, want ErrNoKey", err)
	}
	first, err := seal.OpenOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := first.Seal(seal.Place{}, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := seal.Rotate(path); err != nil {
		t.Fatal(err)
	}
	again, err := seal.OpenOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Open(seal.Place{}, sealed); err != nil || again.Keys() != 2 {
		t.Errorf("after Rotate: %v, %d keys", err, again.Keys())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if runtime.GOOS == "windows" {
		t.Skip("permissions are access lists on Windows: nothing to check")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.OpenOrCreate(path); !errors.Is(err, seal.ErrExposed) {
			t.Errorf("mode %v: %v, want ErrExposed", mode, err)
		}
	}
}

func TestCreateRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "relais.key")
	sealers := make([]*seal.Sealer, 8)
	var wg sync.WaitGroup
	for i := range sealers {
		wg.Go(func() {
			var err error
			if sealers[i], err = seal.OpenOrCreate(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	sealed, err := sealers[0].Seal(seal.Place{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range sealers {
		if _, err := s.Open(seal.Place{}, sealed); err != nil {
			t.Errorf("sealer %d has another key: %v", i, err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	s := mustParse(b, mustGenerate(b))
	p := seal.Place{Clinic: "north", Kind: "slot", ID: "20260301T0900Z-0123456789ab", Stamp: 3}
	data := make([]byte, 500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(p, data); err != nil {
			b.Fatal(err)
		}
	}
}

func TestKeysOfTheEnvironment(t *testing.T) {
	const source = "env:RELAIS_SEAL_TEST"
	if _, err := seal.OpenOrCreate(source); !errors.Is(err, seal.ErrNoKey) || !strings.Contains(err.Error(), "RELAIS_SEAL_TEST") {
		t.Errorf("not set: %v", err)
	}
	t.Setenv("RELAIS_SEAL_TEST", string(mustGenerate(t)))
	s, err := seal.OpenOrCreate(source)
	if err != nil || s.Keys() != 1 {
		t.Fatalf("set: %v", err)
	}
	for _, err := range []error{seal.Rotate(source), seal.Retire(source, filepath.Join(t.TempDir(), "kept"))} {
		if !errors.Is(err, seal.ErrNotFile) {
			t.Errorf("written: %v, want ErrNotFile", err)
		}
	}
	for _, uri := range []string{"gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k", "aws-kms://arn:aws:kms:ca-central-1:1:key/k", "hcvault://vault/transit/keys/k"} {
		if _, err := seal.OpenOrCreate(uri); !errors.Is(err, seal.ErrNotCompiledIn) {
			t.Errorf("%s: %v, want ErrNotCompiledIn", uri, err)
		}
	}
}
