//go:build !linux

package bolt

import (
	"os"
	"testing"
)

var systemChildren map[string]func(string) error

func TestFullDisk(t *testing.T) {
	t.Skip("a full disk was not tried: only Linux lets a test mount a small one")
}

func asOrdinaryUser(t *testing.T, _ string, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere: the unwritable directory was tried on Linux only")
	}
	f()
}
