//go:build linux

package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"relais/storage"
	"relais/storage/seal"
)

var systemChildren = map[string]func(string) error{"full": fullChild, "limited": limitedChild}

// errNoMount is what a child says when the system does not let it mount.
var errNoMount = errors.New("cannot mount a small file system")

// TestFullDisk fills a real, small file system, in a process that may mount one for itself.
func TestFullDisk(t *testing.T) {
	cmd := child(t, "full", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
		cmd.SysProcAttr.Unshareflags = 0
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), errNoMount.Error()) {
		t.Skipf("a full disk was not tried: this user may not mount a small one (%v %s)", err, out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func fullChild(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		return fmt.Errorf("%w: %w", errNoMount, err)
	}

	// First with the reserve: commits are refused while there is still room.
	s, err := openWithKey(dir)
	if err != nil {
		return err
	}
	n, err := fill(s, 0)
	if !errors.Is(err, storage.ErrFull) {
		return fmt.Errorf("with the reserve: %w, want ErrFull", err)
	}
	if free, err := freeSpace(dir); err != nil || free == 0 {
		return fmt.Errorf("%d bytes free, %w: the reserve was used up", free, err)
	}

	// Then without it, down to the last page: the file system itself refuses.
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = openWithKey(dir); err != nil {
		return err
	}
	s.space = func(string) (uint64, error) { return 1 << 40, nil }
	for round := range 3 {
		if n, err = fill(s, n); !errors.Is(err, storage.ErrFull) {
			return fmt.Errorf("round %d: %w, want ErrFull", round, err)
		}
		if s.broken.Load() != nil {
			return fmt.Errorf("round %d: the store gave up", round)
		}
		for range 5 { // full stays full, and nothing of the refused is seen
			if err := fillOne(s, n); !errors.Is(err, storage.ErrFull) {
				return fmt.Errorf("round %d: %w, want ErrFull again", round, err)
			}
		}
		if _, err := s.Get(context.Background(), fillPut(n).Key); !errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("round %d: a refused batch is seen: %w", round, err)
		}
		if err := readAll(s, n); err != nil {
			return fmt.Errorf("round %d: reading on a full disk: %w", round, err)
		}
		// Somebody makes room: writing works again by itself.
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%dm", 56+8*round)); err != nil {
			return err
		}
		if err := fillOne(s, n); err != nil {
			return fmt.Errorf("round %d: with room again: %w", round, err)
		}
		n++
		if err := sound(s); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = openWithKey(dir); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	defer func() { _ = s.Close() }()
	if err := readAll(s, n); err != nil {
		return err
	}
	return sound(s)
}

// TestFileLimit runs against the process's limit on file sizes, where growing the file fails.
func TestFileLimit(t *testing.T) {
	if out, err := child(t, "limited", t.TempDir()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func limitedChild(dir string) error {
	signal.Ignore(syscall.SIGXFSZ) // so that the write fails instead of ending the process
	s, err := openWithKey(dir)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 12 << 20, Max: old.Max}); err != nil {
		return err
	}
	n, err := fill(s, 0)
	if !errors.Is(err, storage.ErrFull) {
		return fmt.Errorf("at the limit: %w, want ErrFull", err)
	}
	if n == 0 {
		return errors.New("nothing could be written below the limit")
	}
	if err := readAll(s, n); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := fillOne(s, n); err != nil {
		return fmt.Errorf("without the limit: %w", err)
	}
	if err := readAll(s, n+1); err != nil {
		return err
	}
	return sound(s)
}

func openWithKey(dir string) (*Store, error) {
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "key"))
	if err != nil {
		return nil, err
	}
	return Open(dir, Options{Sealer: sealer})
}

func fillPut(n int) storage.Put {
	p := slotPut(fmt.Sprintf("%06d", n), 0)
	p.Data = make([]byte, 100_000)
	return p
}

func fillOne(s *Store, n int) error {
	return s.Commit(context.Background(), storage.Batch{
		Puts:    []storage.Put{fillPut(n)},
		Effects: []storage.Effect{{Clinic: "north", ID: fmt.Sprintf("%06d", n)}},
		Done:    []storage.EffectKey{{Clinic: "north", ID: fmt.Sprintf("%06d", n-5)}},
	})
}

// fill commits from the nth on until one is refused, and returns the number of that one.
func fill(s *Store, n int) (int, error) {
	for {
		if err := fillOne(s, n); err != nil {
			return n, err
		}
		n++
	}
}

// readAll checks that the first n of fill are there and whole.
func readAll(s *Store, n int) error {
	recs, err := s.Scan(context.Background(), "north", storage.KindSlot, "", 10_000)
	if err != nil {
		return err
	}
	if len(recs) != n {
		return fmt.Errorf("%d records, %d were acknowledged", len(recs), n)
	}
	return nil
}

// asOrdinaryUser calls f without the right of root to write everywhere; dir is where f works.
func asOrdinaryUser(t *testing.T, dir string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // a test's own directory, which f must be able to enter
		t.Fatal(err)
	}
	const nobody = 65534
	runtime.LockOSThread() // the identity is that of a thread
	defer runtime.UnlockOSThread()
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}
