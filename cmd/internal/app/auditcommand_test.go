package app

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
)

// A clinic's chain is verified and exported; who edits the file is found at the place.
func TestAuditCommands(t *testing.T) {
	dir := t.TempDir()
	data, key := filepath.Join(dir, "data"), filepath.Join(dir, "key")
	sealer, err := seal.OpenOrCreate(key)
	if err != nil {
		t.Fatal(err)
	}
	store, err := bolt.Open(data, bolt.Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := store.Commit(t.Context(), storage.Batch{Events: []storage.Event{
			{Clinic: "derma", Subject: "slot-1", Data: []byte(`{"event":"offered"}`)},
			record("derma", "operator x", "looked", "patient/1", "asked by phone"),
			{Clinic: storage.Shared, Subject: "s"},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	of := []string{"--data", data, "--key-file", key}
	run := func(args ...string) (int, string) {
		t.Helper()
		return runMain(t, append(args, of...)...)
	}
	if code, out := run("audit", "verify"); code != ExitOK || !strings.Contains(out, "derma: 40 events") || !strings.Contains(out, "-: 20 events") {
		t.Errorf("verify: exit %d, %s", code, out)
	}
	if code, out := run("audit", "verify", "-"); code != ExitOK || strings.Contains(out, "derma") {
		t.Errorf("verify -: exit %d, %s", code, out)
	}
	if code, out := run("audit", "verify", "nobody"); code != ExitFailure || !strings.Contains(out, "no timeline") {
		t.Errorf("verify nobody: exit %d, %s", code, out)
	}
	code, out := run("audit", "export", "derma", "--subject", "audit")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != ExitOK || len(lines) != 20 {
		t.Fatalf("export: exit %d, %d lines", code, len(lines))
	}
	var e exported
	if err := json.Unmarshal([]byte(lines[0]), &e); err != nil || e.Seq != 2 || !bytes.Contains(e.Data, []byte("asked by phone")) {
		t.Errorf("exported %s: %v", lines[0], err)
	}

	db, err := bbolt.Open(filepath.Join(data, bolt.File), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("events"))
		k := append([]byte("\x05derma"), 0, 0, 0, 0, 0, 0, 0, 17)
		v := bytes.Replace(b.Get(k), []byte("slot-1"), []byte("slot-2"), 1)
		return b.Put(k, v)
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out := run("audit", "verify"); code != ExitFailure || !strings.Contains(out, "derma: BROKEN at event 17") || !strings.Contains(out, "-: 20 events") {
		t.Errorf("verify of an edited file: exit %d, %s", code, out)
	}
}
