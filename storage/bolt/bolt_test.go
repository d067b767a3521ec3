package bolt

import (
	"testing"

	"relais/storage"
	"relais/storage/seal"
	"relais/storage/storagetest"
)

func newSealer(tb testing.TB) *seal.Sealer {
	tb.Helper()
	text, err := seal.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := seal.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	sealer := newSealer(t)
	fresh := func(t *testing.T) func() (storage.Store, error) {
		t.Helper()
		dir := t.TempDir()
		return func() (storage.Store, error) { return Open(dir, Options{Sealer: sealer}) }
	}
	storagetest.Run(t, fresh)
	storagetest.RunChained(t, fresh)
}
