package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maxFile bounds a key file: room for hundreds of rotations.
const maxFile = 256 << 10

// ErrNoKey says that there is no key file.
var ErrNoKey = errors.New("seal: there is no key file")

// ErrExposed says that others than its owner may read the key file.
var ErrExposed = errors.New("seal: the key file can be read by others than its owner")

// ErrNotFile says that keys come from elsewhere than a file, so that they cannot be written.
var ErrNotFile = errors.New("seal: the keys do not come from a file; change them where they come from")

// ErrNotCompiledIn says that keys are to come from a service that this program does not speak to.
var ErrNotCompiledIn = errors.New("seal: this program speaks to no key management service; name a file, or env:NAME for a variable that holds the keyset")

// Variable returns the name of the environment variable that a source of keys names: "env:NAME" instead of a path.
func Variable(source string) (name string, ok bool) { return strings.CutPrefix(source, "env:") }

// CheckSource says whether keys can come from a source at all: a path, or env:NAME. A URI of a key
// management service is ErrNotCompiledIn.
func CheckSource(source string) error {
	if scheme, _, ok := strings.Cut(source, "://"); ok {
		return fmt.Errorf("%w (%s)", ErrNotCompiledIn, scheme)
	}
	if name, ok := Variable(source); ok && name == "" {
		return fmt.Errorf("%w: env: names no variable", ErrNoKey)
	}
	return nil
}

// Open reads the keys from a file, or from the variable that "env:NAME" names. Errors: ErrNoKey, ErrExposed,
// ErrNotKeys, ErrNotCompiledIn.
func Open(path string) (*Sealer, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	s, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return s, nil
}

// OpenOrCreate reads the key file, or makes one with a new key, readable only by its owner.
// Call it only when there is no store yet: a new key opens nothing of an older store.
// Errors: ErrExposed, ErrNotKeys.
func OpenOrCreate(path string) (*Sealer, error) {
	s, err := Open(path)
	if _, variable := Variable(path); variable || !errors.Is(err, ErrNoKey) {
		return s, err
	}
	text, err := Generate()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("seal: make the key's directory: %w", err)
	}
	tmp, err := writeBeside(path, text)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(tmp) }()
	// A link fails when another process made the file meanwhile, so its key is never replaced.
	// Some file systems have no links: there a rename must do.
	if err = os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(tmp, path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("seal: create the key file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return Open(path)
}

// Rotate adds a new primary key to the key file. Programs that have it open go on with the older key until
// they Reload it; both open. Errors: ErrNoKey, ErrExposed, ErrNotKeys.
func Rotate(path string) error { return rewrite(path, Rotated) }

// Retire takes the keys out of the file that its primary replaced, and keeps the file as it was at kept, for
// backups that they sealed. Errors: ErrNoKey, ErrExposed, ErrNotKeys.
func Retire(path, kept string) error {
	if _, variable := Variable(path); variable {
		return ErrNotFile
	}
	text, err := read(path)
	if err != nil {
		return err
	}
	tmp, err := writeBeside(kept, text)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, kept); err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("seal: keep the older keys: %w", err)
	}
	return rewrite(path, Retired)
}

// Reload takes the keys of the file from now on. Errors: ErrNoKey, ErrExposed, ErrNotKeys.
func (s *Sealer) Reload(path string) error {
	text, err := read(path)
	if err != nil {
		return err
	}
	return s.Use(text)
}

func rewrite(path string, change func([]byte) ([]byte, error)) error {
	if _, variable := Variable(path); variable {
		return ErrNotFile
	}
	text, err := read(path)
	if err != nil {
		return err
	}
	if text, err = change(text); err != nil {
		return fmt.Errorf("%w (%s)", err, path)
	}
	tmp, err := writeBeside(path, text)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("seal: replace the key file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// Text reads the keyset of a source as it is.
func Text(source string) ([]byte, error) { return read(source) }

func read(path string) ([]byte, error) {
	if err := CheckSource(path); err != nil {
		return nil, err
	}
	if name, ok := Variable(path); ok {
		if text := os.Getenv(name); text != "" {
			return []byte(text), nil
		}
		return nil, fmt.Errorf("%w: the variable %s is not set; relais key new prints a keyset for it", ErrNoKey, name)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w at %s", ErrNoKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: open the key file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("seal: open the key file: %w", err)
	}
	// Windows has no such bits: its directory's access list protects the file there.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w; run: chmod 600 %s", ErrExposed, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("seal: read the key file: %w", err)
	}
	return text, nil
}

// writeBeside writes text durably to a new file in path's directory and returns its name, so
// that a crash never leaves half a keyset at path.
func writeBeside(path string, text []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // CreateTemp makes it 0600
	if err != nil {
		return "", fmt.Errorf("seal: write the key file: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("seal: write the key file: %w", err)
	}
	return f.Name(), nil
}

// syncDir makes a new name in dir survive a power cut.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("seal: sync the key's directory: %w", err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("seal: sync the key's directory: %w", err)
	}
	return nil
}
