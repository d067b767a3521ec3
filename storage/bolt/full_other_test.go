//go:build !linux

package bolt

import "testing"

var systemChildren map[string]func(string) error

func TestFullDisk(t *testing.T) {
	t.Skip("a full disk was not tried: only Linux lets a test mount a small one")
}
