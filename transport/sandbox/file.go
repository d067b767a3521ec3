package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// openFile opens one of the sandbox's files and loads what it holds. Damage can make the database
// panic, or touch pages that the file does not have; people get a sentence instead.
func openFile(path string, load func(*bbolt.Tx) error) (db *bbolt.DB, err error) {
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			_ = file.Close() // lets go of the lock
			db, err = nil, damaged(path)
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Second,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			file = f
			return f, err
		},
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("another process plays the sandbox in %s; stop it or choose another directory", path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return nil, damaged(path)
	case err != nil:
		return nil, fmt.Errorf("the sandbox's file cannot be opened: %w", err)
	}
	if err := db.Update(load); err != nil {
		return nil, errors.Join(fmt.Errorf("the sandbox's file %s cannot be read: %w", path, err), db.Close())
	}
	return db, nil
}

func damaged(path string) error {
	return fmt.Errorf("the sandbox's file %s is damaged; remove the demo's directory to begin anew", path)
}
