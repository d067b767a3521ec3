package app

import (
	"path/filepath"
	"strings"
	"testing"

	"relais/storage/bolt"
	"relais/storage/seal"
)

// The key is changed while everything runs: what was before is read, a backup from before opens with the file
// that is kept, and the store needs the new key alone.
func TestKeyRotate(t *testing.T) {
	data := t.TempDir()
	p := demo(t, data, nil)
	store, key := filepath.Join(data, "store"), filepath.Join(data, "relais.key")
	of := []string{"--data", store, "--key-file", key}
	backup := filepath.Join(t.TempDir(), "before.db")
	if code, out := runMain(t, append([]string{"backup", "--to", backup}, of...)...); code != ExitOK {
		t.Fatalf("backup: exit %d, %s", code, out)
	}
	code, out := runMain(t, append([]string{"key", "rotate"}, of...)...)
	if code != ExitOK || !strings.Contains(out, "sealed anew") {
		t.Fatalf("key rotate: exit %d, %s", code, out)
	}
	p.healthy("dermatologie") // it goes on
	if code, out := runMain(t, append([]string{"store", "check"}, of...)...); code != ExitOK {
		t.Errorf("store check: exit %d, %s", code, out)
	}
	p.stop()
	sealer, err := seal.Open(key)
	if err != nil || sealer.Keys() != 1 {
		t.Fatalf("the key file has %d keys, %v", sealer.Keys(), err)
	}
	if r, err := bolt.CheckFile(t.Context(), filepath.Join(store, bolt.File), bolt.CheckOptions{Sealer: sealer}); err != nil || r.Err() != nil {
		t.Errorf("with the new key alone: %v, %v", err, r.Err())
	}
	kept, _ := filepath.Glob(key + ".until-*")
	if len(kept) != 1 {
		t.Fatalf("kept: %v", kept)
	}
	to := filepath.Join(t.TempDir(), "restored")
	if code, out := runMain(t, "restore", backup, "--to", to, "--key-file", key); code != ExitFailure || !strings.Contains(out, "key") {
		t.Errorf("restore with the new key: exit %d, %s", code, out)
	}
	if code, out := runMain(t, "restore", backup, "--to", to, "--key-file", kept[0]); code != ExitOK {
		t.Errorf("restore with the kept one: exit %d, %s", code, out)
	}
	if code, out := runMain(t, append([]string{"key", "rotate"}, of...)...); code != ExitOK { // and while it is stopped
		t.Errorf("key rotate of a stopped program: exit %d, %s", code, out)
	}
}
