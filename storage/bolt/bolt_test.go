package bolt

import (
	"testing"

	"relais/storage"
	"relais/storage/seal"
	"relais/storage/storagetest"
)

func newSealer(t testing.TB) *seal.Sealer {
	t.Helper()
	text, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	sealer := newSealer(t)
	storagetest.Run(t, func(t *testing.T) func() (storage.Store, error) {
		dir := t.TempDir()
		return func() (storage.Store, error) { return Open(dir, Options{Sealer: sealer}) }
	})
}
