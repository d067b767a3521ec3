//go:build linux || darwin

package bolt

import (
	"os"
	"syscall"
)

// freeSpace returns the bytes that this process may still write in dir.
func freeSpace(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil //nolint:gosec // never negative
}

// unlock lets other processes, and this one, open the file.
func unlock(file *os.File) {
	_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
}
