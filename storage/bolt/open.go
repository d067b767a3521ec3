package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sync/semaphore"

	"relais/engine"
	"relais/storage/seal"
)

// format is the version of the layout; a program refuses a file with a higher one.
const format = 2

// lockWait is how long Open waits for another process to let go of the file.
const lockWait = time.Second

// Failures of Open that a program can tell apart.
var (
	ErrLocked   = errors.New("storage/bolt: another process has the store open")
	ErrNotStore = errors.New("storage/bolt: the file is not a Relais store")
	ErrNewer    = errors.New("storage/bolt: the store was written by a newer Relais")
	ErrOlder    = errors.New("storage/bolt: the store was written by an older Relais")
	ErrNoSealer = errors.New("storage/bolt: a sealer is needed")
)

// Open opens the store in dir and creates both when they are missing. Errors: ErrLocked,
// ErrNotStore, ErrDamaged, ErrNewer, seal.ErrWrongKey, or what the system says of the directory.
func Open(dir string, opt Options) (*Store, error) {
	if opt.Sealer == nil {
		return nil, ErrNoSealer
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("storage/bolt: make the directory: %w", err)
	}
	path := filepath.Join(dir, File)
	if err := begin(path, opt.Sealer); err != nil {
		return nil, err
	}
	db, err := openPrepared(path, opt.Sealer)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, dir: dir, sealer: opt.Sealer, observe: opt.Observe,
		queue:   make(chan *job, maxWaiting),
		room:    semaphore.NewWeighted(maxWaitingBytes),
		stopped: make(chan struct{}),
		heads:   map[engine.ClinicID]head{},
		space:   freeSpace,
	}
	go s.write()
	return s, nil
}

// begin creates a store that is not there under another name, and gives it its name once it is
// whole. So an empty file is never a store that was about to be created, but one that was lost.
func begin(path string, s *seal.Sealer) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Size() == 0:
		return fmt.Errorf("%w (%s): it is empty; put a copy in its place", ErrDamaged, path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return openError(path, err)
	}
	db, err := openPrepared(path+".new", s)
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return fmt.Errorf("storage/bolt: create: %w", err)
	}
	err = os.Rename(path+".new", path)
	if errors.Is(err, fs.ErrNotExist) { // another process was quicker: the lock tells whether it goes on
		return nil
	}
	if err != nil {
		return fmt.Errorf("storage/bolt: create: %w", err)
	}
	syncDir(filepath.Dir(path))
	return nil
}

// syncDir makes a new name last. Systems that cannot do that for a directory do it by themselves.
func syncDir(dir string) {
	if d, err := os.Open(filepath.Clean(dir)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

func openPrepared(path string, s *seal.Sealer) (*bbolt.DB, error) {
	db, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	version, err := prepare(db, s)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	if version == format {
		return db, nil
	}
	if err := upgrade(db, path, s, version); err != nil {
		return nil, err
	}
	return openPrepared(path, s)
}

func unreadable(path string) error {
	return fmt.Errorf("%w (%s): a page that it needs cannot be read; put a copy in its place", ErrDamaged, path)
}

// openFile opens the database. Damage can make it panic, or touch pages the file does not have.
func openFile(path string, readOnly bool) (db *bbolt.DB, err error) {
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			unlock(file) // closing would not do it: the file is still mapped
			_ = file.Close()
			db, err = nil, unreadable(path)
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:  lockWait,
		ReadOnly: readOnly,
		// The free list is written with each commit: finding it again by reading the whole file
		// takes seconds for some gigabytes, at each start and after each failed commit.
		NoFreelistSync:  false,
		FreelistType:    bbolt.FreelistMapType, // stays fast when the file is large and holed
		InitialMmapSize: initialMap(),
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			file = f
			return f, err
		},
	})
	if err != nil {
		return nil, openError(path, err)
	}
	err = checkSize(db, file)
	if err == nil {
		err = walkPages(file, db.Info().PageSize, false)
	}
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("%w (%s); put a copy in its place", err, path)
	}
	return db, nil
}

// initialMap is address space, not memory: room in which the file grows without stopping
// readers for a new map.
func initialMap() int {
	if runtime.GOOS == "windows" || math.MaxInt == math.MaxInt32 {
		return 0 // Windows would grow the file itself
	}
	return 1 << 30
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w (%s)", ErrLocked, path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w (%s): %w", ErrNotStore, path, err)
	case errors.Is(err, berrors.ErrChecksum):
		return fmt.Errorf("%w (%s): %w", ErrDamaged, path, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("storage/bolt: the store cannot be written; check its owner and permissions: %w", err)
	}
	return fmt.Errorf("storage/bolt: open: %w", err)
}

// checkSize compares the file with what its root says, so that one cut short is known at once
// and not when the first missing page is read.
func checkSize(db *bbolt.DB, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("storage/bolt: open: %w", err)
	}
	return db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: it has %d bytes of %d", ErrDamaged, info.Size(), tx.Size())
		}
		return nil
	})
}

// prepare creates the buckets of a new store, and checks format and key of an old one. It returns the
// store's format.
func prepare(db *bbolt.DB, s *seal.Sealer) (version uint64, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = unreadable(db.Path())
		}
	}()
	fresh := false
	err = db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			if name, _ := tx.Cursor().First(); name != nil {
				return fmt.Errorf("%w (%s): it is the database of another program", ErrNotStore, db.Path())
			}
			fresh, version = true, format
			return nil
		}
		var err error
		version, err = check(tx, meta, s, db.Path())
		return err
	})
	if err != nil || !fresh {
		return version, err
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return create(tx, s) }); err != nil {
		return version, fmt.Errorf("storage/bolt: create: %w", classify(err))
	}
	return version, nil
}

func create(tx *bbolt.Tx, s *seal.Sealer) error {
	meta, err := tx.CreateBucket(metaBucket)
	if err != nil {
		return err
	}
	sealed, err := s.Seal(seal.Check(), nil)
	if err != nil {
		return err
	}
	if err := meta.Put(checkKey, sealed); err != nil {
		return err
	}
	if err := meta.Put(formatKey, binary.AppendUvarint(nil, format)); err != nil {
		return err
	}
	for _, name := range bucketNames {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

// check returns the format of a store that this program can read, or bring up to its own.
func check(tx *bbolt.Tx, meta *bbolt.Bucket, s *seal.Sealer, path string) (version uint64, err error) {
	version, n := binary.Uvarint(meta.Get(formatKey))
	if n <= 0 || version == 0 {
		return 0, fmt.Errorf("%w (%s): it has no format version", ErrNotStore, path)
	}
	if version > format {
		return version, fmt.Errorf("%w (%s): its format is %d, this program knows up to %d; run the newer one, or restore a backup from before the upgrade", ErrNewer, path, version, format)
	}
	names := bucketNames[:]
	if version == 1 {
		names = names[:inHeads]
	}
	for _, name := range names {
		if tx.Bucket(name) == nil {
			return version, fmt.Errorf("%w (%s): the bucket %s is missing", ErrDamaged, path, name)
		}
	}
	if _, err := s.Open(seal.Check(), meta.Get(checkKey)); err != nil {
		return version, fmt.Errorf("storage/bolt: the key does not fit the store in %s: %w", path, err)
	}
	return version, nil
}
