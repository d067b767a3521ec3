package bolt

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"relais/storage"
)

// minFree is the space in bytes that must be free for a commit to be tried: one step in which
// the file grows.
const minFree = 16 << 20

// fullErrors are those that mean: no more can be written here now.
var fullErrors = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EFBIG}

// classify maps a failed commit to ErrFull, to ErrDisk, or leaves it.
func classify(err error) error {
	for _, e := range fullErrors {
		if is(err, e) {
			return fmt.Errorf("%w: %w", storage.ErrFull, e)
		}
	}
	if is(err, syscall.EIO) {
		return fmt.Errorf("%w: %w", ErrDisk, syscall.EIO)
	}
	return fmt.Errorf("storage/bolt: commit: %w", err)
}

// is also looks at the text: the database drops the cause when the file cannot grow.
func is(err error, e syscall.Errno) bool {
	return errors.Is(err, e) || strings.HasSuffix(err.Error(), ": "+e.Error())
}

func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Written
	case errors.Is(err, storage.ErrFull):
		return Full
	case errors.Is(err, ErrDisk):
		return Disk
	}
	return Internal
}
