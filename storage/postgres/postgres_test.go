package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

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
			storagetest.Run(t, func(t *testing.T) func() (storage.Store, error) {
				t.Helper()
				dsn := fresh()
				return func() (storage.Store, error) { return Open(t.Context(), dsn, Options{Sealer: sealer, Pooled: pooled}) }
			})
		})
	}
}
