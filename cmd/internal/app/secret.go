package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 64 << 10

// Secret is a value that must not be shown. A file gives it as it is, as "file:/path" or as
// "env:NAME"; here it is always the value itself. It prints redacted; convert it to string to use it.
type Secret string

const redacted = "[redacted]"

// String hides the secret.
func (Secret) String() string { return redacted }

// Format hides the secret whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// resolve follows "file:" and "env:". Its error is the end of a sentence and never shows the value.
func (s *Secret) resolve(text string, lookup func(string) string) error {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		value, err := readSecret(path)
		if err != nil {
			return err
		}
		*s = Secret(value)
		return nil
	}
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		value := lookup(name)
		if value == "" {
			return fmt.Errorf("is to come from the environment variable %s, which is not set; set it before starting relais", name)
		}
		*s = Secret(value)
		return nil
	}
	*s = Secret(text)
	return nil
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("is to come from the file %s, which does not exist; make it, readable by relais only", path)
	}
	if err != nil {
		return "", fmt.Errorf("is to come from the file %s, which cannot be opened; let the user that runs relais read it", path)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("is to come from %s, which cannot be read; name a file, not a directory", path)
	}
	value := strings.TrimRight(string(text), "\r\n")
	if value == "" || len(text) > maxSecret {
		return "", fmt.Errorf("is to come from the file %s, which is empty or larger than 64 kB; put the secret in it, alone", path)
	}
	return value, nil
}
