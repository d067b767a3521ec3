package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"relais/storage"
)

// Classes of SQLSTATE that matter here (PostgreSQL manual, appendix A).
const (
	diskFull      = "53100"
	readOnly      = "25006"
	serialization = "40001"
	deadlock      = "40P01"
	duplicate     = "23505" // another process made the record first
	lockTimeout   = "55P03"
)

// classify maps what the database said to the errors of package storage.
func classify(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == diskFull || pg.Code == readOnly) {
		return fmt.Errorf("%w: PostgreSQL %s", storage.ErrFull, pg.Code)
	}
	return err
}

// again reports that what failed certainly was not written and may work the next time.
func again(err error) bool {
	if errors.Is(err, ErrUnknown) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case serialization, deadlock, duplicate, lockTimeout:
			return true
		}
		// 08: connection; 57P: the server stops or starts.
		return pg.Code[:2] == "08" || pg.Code[:3] == "57P"
	}
	return !errors.Is(err, storage.ErrFull) // lost before anything was to be committed
}
