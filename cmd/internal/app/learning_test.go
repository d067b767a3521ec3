package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/engine/offer"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
)

// What a clinic learned can be looked at and forgotten, and a running program's store is left alone.
func TestLearningCommands(t *testing.T) {
	dir := t.TempDir()
	data, key, file := filepath.Join(dir, "data"), filepath.Join(dir, "key"), filepath.Join(dir, "relais.yaml")
	text := "addr: localhost:0\npublic_url: http://localhost:8080\ndata: " + data + "\nkey_file: " + key + `
clinics:
  - id: here
    name: Here
    address: 1, rue Ici
    phone: "+15145550110"
    mode: shadow
    dme: {fhir: {base_url: http://localhost:9/fhir}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.OpenOrCreate(key)
	if err != nil {
		t.Fatal(err)
	}
	store, err := bolt.Open(data, bolt.Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	cells := offer.Cells{}.Observe(offer.Evidence{At: at, Cells: []offer.CellCounts{
		{Lead: "2h", Channel: engine.SMS, Count: offer.Count{Yes: 30, Exposure: 60}},
	}}, 0)
	learned, err := cells.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	put := storage.Put{Key: actors.LearningKey("here"), Data: learned}
	if err := store.Commit(t.Context(), storage.Batch{Puts: []storage.Put{put}}); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		t.Helper()
		var out strings.Builder
		code := Main(context.Background(), append(args, "--config", file), nil, &out, &out)
		return code, out.String()
	}
	want := func(args []string, code int, say string) {
		t.Helper()
		if got, out := run(args...); got != code || !strings.Contains(out, say) {
			t.Errorf("%v: exit %d, %s", args, got, out)
		}
	}
	want([]string{"learning", "show", "here"}, ExitFailure, "stop it first")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	want([]string{"learning", "show", "there"}, ExitUsage, `no clinic "there"`)
	want([]string{"learning", "show", "here"}, ExitOK, "here learned from 1 opening, the last one on 2026-03-02.")
	want([]string{"learning", "reset", "here"}, ExitOK, "forgot what it learned from 1 opening")
	want([]string{"learning", "show", "here"}, ExitOK, "learned nothing yet")
	want([]string{"learning", "show", "here"}, ExitOK, "10.0 %")
}
