package app

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStartRefused starts the demo on what it cannot use: it ends with one sentence that says what
// to do, and leaves the data as it is.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	whole := dataDir(t)
	demo(t, whole, nil).stop()

	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Close() })
	running := dataDir(t)
	demo(t, running, nil)

	cut := func(name string, size int64) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
				t.Fatal(err)
			}
		}
	}
	overwrite := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			if _, err := f.WriteAt(bytes.Repeat([]byte("damage! "), 1<<13), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		flags []string
		want  string
	}{
		{"key missing", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, "relais.key")); err != nil {
				t.Fatal(err)
			}
		}, nil, "put the key file back"},
		{"key is no key", cut("relais.key", 10), nil, "not a keyset"},
		{"store empty", cut("store/relais.db", 0), nil, "it is empty"},
		{"store cut short", cut("store/relais.db", 50_000), nil, "damaged"},
		{"store overwritten", overwrite("store/relais.db"), nil, "not a Relais store"},
		{"record system cut short", cut("sandbox/dme.db", 100_000), nil, "damaged"},
		{"record system overwritten", overwrite("sandbox/dme.db"), nil, "damaged"},
		{"phones cut short", cut("sandbox/wall.db", 20_000), nil, "damaged"},
		{"a file where the directory should be", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, "not a directory"},
		{"port in use", nil, []string{"--addr", busy.Addr().String()}, "choose another address with --addr"},
		{"address is none", nil, []string{"--addr", "nonsense"}, "choose another address with --addr"},
		{"data in use", nil, []string{"--data", running}, "another process"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t)
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, "relais.key"), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.spoil != nil {
				test.spoil(t, dir)
			}
			cmd := relais(t, append([]string{"demo", "--quiet", "--addr", "127.0.0.1:0", "--data", dir}, test.flags...)...)
			hang := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }) // it would serve for ever
			defer hang.Stop()
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != ExitFailure {
				t.Errorf("it ended with %v, want exit code %d", err, ExitFailure)
			}
			said := string(out)
			if !strings.Contains(said, test.want) || strings.Count(said, "\n") != 1 || strings.Contains(said, "goroutine") || strings.Contains(said, "runtime error") {
				t.Errorf("it said %q, want one line with %q", said, test.want)
			}
		})
	}
}
