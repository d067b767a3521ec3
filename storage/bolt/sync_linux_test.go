package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"relais/storage/seal"
)

// A filter of the kernel's that makes every sync of this process fail with EIO.
const (
	seccomp        = 317 // the call's number on amd64
	setFilter      = 1
	allThreads     = 1
	noNewPrivs     = 38
	loadWord       = 0x20
	jumpIfEqual    = 0x15
	ret            = 0x06
	answerErrno    = 0x00050000
	answerAllow    = 0x7fff0000
	cannotSeccomp  = "no seccomp here"
	acknowledgedBy = 3
)

type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

func failSyncs() error {
	filter := []instruction{
		{loadWord, 0, 0, 0}, // the number of the call
		{jumpIfEqual, 1, 0, syscall.SYS_FDATASYNC},
		{jumpIfEqual, 0, 1, syscall.SYS_FSYNC},
		{ret, 0, 0, answerErrno | uint32(syscall.EIO)},
		{ret, 0, 0, answerAllow},
	}
	program := struct {
		length uint16
		filter *instruction
	}{uint16(len(filter)), &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel hands both to all threads; AllThreadsSyscall knows no programs with C in them, as the race detector's.
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, noNewPrivs, 1, 0); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(seccomp, setFilter, allThreads, uintptr(unsafe.Pointer(&program))); e != 0 {
		return e
	}
	return nil
}

// syncChild commits, then has every sync fail, and commits again.
func syncChild(dir string) error {
	s, err := openWithKey(dir)
	if err != nil {
		return err
	}
	for n := 1; n <= acknowledgedBy; n++ {
		if err := s.Commit(context.Background(), crashBatch(n)); err != nil {
			return err
		}
	}
	if err := failSyncs(); err != nil {
		return errors.New(cannotSeccomp)
	}
	for n := range 2 {
		if err := s.Commit(context.Background(), crashBatch(acknowledgedBy+1+n)); !errors.Is(err, ErrDisk) {
			return fmt.Errorf("a commit whose sync fails: %w, want ErrDisk", err)
		}
	}
	if _, err := s.Get(context.Background(), crashBatch(1).Puts[0].Key); err != nil {
		return fmt.Errorf("reading does not go on: %w", err)
	}
	return nil
}

// TestSyncFails has the kernel refuse to sync: the commit is refused, for the store does sync before it
// answers, and so is every later one; what was acknowledged before is there at the next start.
func TestSyncFails(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("needs the numbers of the kernel's calls on amd64, which CI runs on")
	}
	dir := t.TempDir()
	out, err := child(t, "sync", dir).CombinedOutput()
	if strings.Contains(string(out), cannotSeccomp) && os.Getenv("CI") == "" {
		t.Skip("needs a kernel that lets a process filter its own calls, which CI's does")
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sealer, err := seal.Open(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := opened(t.Context(), dir, sealer, acknowledgedBy); err != nil {
		t.Error(err)
	}
}

func init() { systemChildren["sync"] = syncChild } //nolint:gochecknoinits // the other children are listed so
