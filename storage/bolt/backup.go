package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"relais/storage"
)

// checkedCopy is the name of the copy that Check reads.
const checkedCopy = File + ".check"

// Failures of backup and restore that a program can tell apart.
var (
	ErrExists   = errors.New("storage/bolt: there is something already; choose another name")
	ErrNotEmpty = errors.New("storage/bolt: the directory is not empty; restore to a new one, and point Relais to it afterwards")
)

// Backup says what a copy came to.
type Backup struct {
	Path   string        `json:"path"`
	At     time.Time     `json:"at"`      // what was committed by then is in it
	Copied time.Duration `json:"copied"`  // of the copying
	Report Report        `json:"checked"` // of reading it again
}

// Backup writes a copy of the store, as it is at this moment, to a new file at path, and then reads all
// of it again. It runs beside commits; while it copies, pages that they free are not used again, so that
// the file may grow. Values stay sealed, and the key is not in it. A copy that does not check well is
// removed. Errors: ErrExists, storage.ErrFull, ErrDamaged, storage.ErrClosed.
func (s *Store) Backup(ctx context.Context, path string, opt CheckOptions) (b Backup, err error) {
	opt.Sealer = s.sealer
	b.Path = path
	if _, err := os.Lstat(path); err == nil {
		return b, fmt.Errorf("%w (%s)", ErrExists, path)
	}
	part := path + ".part"
	defer removeQuietly(part)
	start := time.Now()
	if b.At, err = s.copyTo(ctx, part); err != nil {
		return b, err
	}
	b.Copied = time.Since(start)
	if b.Report, err = CheckFile(ctx, part, opt); err != nil {
		return b, fmt.Errorf("read the copy again: %w", err)
	}
	if err := b.Report.Err(); err != nil {
		return b, fmt.Errorf("the copy does not check well, and so the store may not; run: relais store check: %w", err)
	}
	if err := place(part, path); err != nil {
		return b, err
	}
	return b, nil
}

// place gives a finished file its name, unless something has it already.
func place(part, path string) error {
	err := os.Link(part, path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w (%s)", ErrExists, path)
	}
	if err != nil { // some file systems have no links
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("storage/bolt: name the copy: %w", err)
	}
	syncDir(filepath.Dir(path))
	return nil
}

// copyTo writes the store as one transaction sees it, durably, over what is at path.
func (s *Store) copyTo(ctx context.Context, path string) (at time.Time, err error) {
	if err := s.open(); err != nil {
		return at, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return at, fmt.Errorf("storage/bolt: make the copy: %w", err)
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		at = time.Now().UTC()
		_, err := tx.WriteTo(cancelled{ctx, f})
		return err
	})
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		removeQuietly(path)
		return at, errors.Join(ctx.Err(), copyError(err))
	}
	return at, nil
}

func copyError(err error) error {
	for _, e := range fullErrors {
		if is(err, e) { // the database drops the cause of its first pages
			return fmt.Errorf("%w for the copy: %w", storage.ErrFull, e)
		}
	}
	if is(err, syscall.EIO) {
		return fmt.Errorf("%w: while copying: %w", ErrDisk, err)
	}
	return fmt.Errorf("storage/bolt: copy: %w", err)
}

// cancelled is a writer that stops when ctx ends.
type cancelled struct {
	ctx context.Context //nolint:containedctx // lives as long as one copy
	w   io.Writer
}

func (c cancelled) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

func removeQuietly(path string) { _ = os.Remove(path) } // it may have been given its name

// Restore makes a store in dir, which must not exist or be empty, from a backup, brings it up to the
// format of this program, and reads all of it. Errors: ErrNotEmpty and those of Open and CheckFile.
func Restore(ctx context.Context, backup, dir string, opt CheckOptions) (r Report, err error) {
	if opt.Sealer == nil {
		return r, ErrNoSealer
	}
	if err := emptyDir(dir); err != nil {
		return r, err
	}
	from, err := os.Open(backup)
	if err != nil {
		return r, fmt.Errorf("storage/bolt: open the backup: %w", err)
	}
	defer func() { _ = from.Close() }()
	part := filepath.Join(dir, File+".part")
	defer removeQuietly(part)
	if err := copyFile(from, part, func(f io.Writer) io.Writer { return cancelled{ctx, f} }); err != nil {
		return r, err
	}
	db, err := openPrepared(part, opt.Sealer)
	if err != nil {
		return r, err
	}
	if kept, err := filepath.Glob(part + ".format*"); err == nil { // the backup itself is the old one
		for _, old := range kept {
			removeQuietly(old)
		}
	}
	if err := db.Close(); err != nil {
		return r, fmt.Errorf("storage/bolt: close the copy: %w", err)
	}
	if r, err = CheckFile(ctx, part, opt); err != nil {
		return r, err
	}
	if r.Found > 0 {
		return r, nil
	}
	return r, place(part, filepath.Join(dir, File))
}

func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("storage/bolt: make the directory: %w", err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("storage/bolt: read the directory: %w", err)
	}
	if len(list) > 0 {
		return fmt.Errorf("%w (%s)", ErrNotEmpty, dir)
	}
	return nil
}

// copyFile copies durably to a new file, through what wrap returns.
func copyFile(from io.Reader, path string, wrap func(io.Writer) io.Writer) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("storage/bolt: make the copy: %w", err)
	}
	_, err = io.Copy(wrap(f), from)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return copyError(err)
	}
	return nil
}
