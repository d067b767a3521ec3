package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"relais/engine"
	"relais/storage"
	"relais/storage/pgtest"
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

// schemas makes a new schema of a server, and returns how to connect to it.
func schemas(tb testing.TB, dsn string) func() string {
	tb.Helper()
	var n atomic.Int64
	return func() string {
		conn, err := pgx.Connect(context.Background(), dsn)
		if err != nil {
			tb.Fatal(err)
		}
		defer conn.Close(context.Background())
		name := fmt.Sprintf("s%d", n.Add(1))
		if _, err := conn.Exec(context.Background(), "CREATE SCHEMA "+name); err != nil {
			tb.Fatal(err)
		}
		return dsn + " search_path=" + name
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	fresh := schemas(t, pgtest.Start(t, "fsync = off"))
	for _, pooled := range []bool{false, true} {
		t.Run(fmt.Sprintf("pooled=%v", pooled), func(t *testing.T) {
			open := func(t *testing.T) func() (storage.Store, error) {
				t.Helper()
				dsn := fresh()
				return func() (storage.Store, error) { return Open(t.Context(), dsn, Options{Sealer: sealer, Pooled: pooled}) }
			}
			storagetest.Run(t, open)
			storagetest.RunChained(t, open)
		})
	}
}

// Events of tables that are older than chains are chained when the store is opened.
func TestChainOlder(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	dsn := schemas(t, pgtest.Start(t, "fsync = off"))()
	s, err := Open(t.Context(), dsn, Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	const events = 2500 // more than are chained at once
	for range events / 500 {
		var b storage.Batch
		for i := range 500 {
			b.Events = append(b.Events, storage.Event{Clinic: []engine.ClinicID{"north", "south"}[i%2], Subject: "a", Data: fmt.Append(nil, i)})
		}
		if err := s.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	older(t, s)
	_ = s.Close()
	if s, err = Open(t.Context(), dsn, Options{Sealer: sealer}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Commit(t.Context(), storage.Batch{Events: []storage.Event{{Clinic: "north"}}}); err != nil {
		t.Fatal(err)
	}
	heads, err := s.Heads(t.Context())
	if err != nil || len(heads) != 2 {
		t.Fatalf("%d heads, %v", len(heads), err)
	}
	for _, h := range heads {
		if v, err := storage.Verify(t.Context(), s, h); err != nil || v.Broken != nil || v.Events < events/2 {
			t.Errorf("%s: %+v, %v", h.Clinic, v, err)
		}
	}
}

// older takes out of the tables what the release before did not have.
func older(t *testing.T, s *Store) {
	t.Helper()
	for _, c := range []engine.ClinicID{"north", "south"} {
		list, err := s.Timeline(t.Context(), c, "", 0, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			sealed, err := s.sealer.Seal(seal.Event(c, e.Subject, e.At), e.Data)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.pool.Exec(t.Context(), `UPDATE event SET data = $3, digest = NULL, hash = NULL WHERE clinic = $1 AND seq = $2`, []byte(c), int64(e.Seq), sealed); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.pool.Exec(t.Context(), `UPDATE clinic SET head = NULL`); err != nil {
		t.Fatal(err)
	}
}
