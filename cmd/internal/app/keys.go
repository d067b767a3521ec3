package app

import (
	"time"

	"relais/storage/seal"
)

// keyFile is the key of an open store, and where it comes from.
type keyFile struct {
	path   string
	sealer *seal.Sealer
}

// rotate makes a new primary key, durably, and then seals with it.
func (k *keyFile) rotate() error {
	if err := seal.Rotate(k.path); err != nil {
		return err
	}
	return k.sealer.Reload(k.path)
}

// retire takes older keys out of use, and keeps them in a file of their own.
func (k *keyFile) retire(now time.Time) (kept string, err error) {
	kept = k.path + ".until-" + now.UTC().Format("20060102T150405Z")
	if err := seal.Retire(k.path, kept); err != nil {
		return "", err
	}
	return kept, k.sealer.Reload(k.path)
}
