package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer says that the tables were made by a newer program.
var ErrNewer = errors.New("storage/postgres: the tables were made by a newer Relais; run that one")

// migrate brings the tables up to date. Several processes may do so at once: the first does the work,
// the others wait for it.
func migrate(ctx context.Context, cfg *pgx.ConnConfig) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("storage/postgres: migrations: %w", err)
	}
	has, want, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("storage/postgres: the database does not answer: %w", err)
	case has > want:
		return fmt.Errorf("%w (their version is %d, this program knows up to %d)", ErrNewer, has, want)
	case has == want:
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("storage/postgres: bring the tables up to date: %w", err)
	}
	return nil
}
