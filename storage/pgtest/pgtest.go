// Package pgtest starts a PostgreSQL server for tests and benchmarks: its own data directory, its
// own Unix socket and no TCP port, so that nothing else on the machine notices it.
package pgtest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startWithin bounds the wait for a server that has just been made.
const startWithin = 30 * time.Second

// Start runs a server until the test ends and returns how to connect to it (a keyword/value
// string of libpq). settings are lines of postgresql.conf. Without PostgreSQL on the machine the
// test is skipped with a sentence, or fails where CI is set.
func Start(tb testing.TB, settings ...string) string {
	tb.Helper()
	bin := binaries()
	if bin == "" {
		if os.Getenv("CI") != "" {
			tb.Fatal("PostgreSQL is not installed: on Debian, apt-get install postgresql")
		}
		tb.Skip("Skipped because PostgreSQL is not installed: on Debian, apt-get install postgresql")
	}
	dir, err := os.MkdirTemp("", "pg") //nolint:usetesting // TempDir has names too long for a Unix socket
	if err != nil {
		tb.Fatal(err)
	}
	as := ordinary(tb, dir)
	data := filepath.Join(dir, "data")
	run(tb, as, filepath.Join(bin, "initdb"), "-D", data, "-U", "relais", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	conf, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range append([]string{"listen_addresses = ''", "unix_socket_directories = '" + dir + "'"}, settings...) {
		if _, err := conf.WriteString(line + "\n"); err != nil {
			tb.Fatal(err)
		}
	}
	if err := conf.Close(); err != nil {
		tb.Fatal(err)
	}
	var log bytes.Buffer
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data) //nolint:gosec,noctx // found above; it lives until the cleanup below ends it
	server.SysProcAttr, server.Stdout, server.Stderr = as, &log, &log
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // fast shutdown: open sessions are ended
		_ = server.Wait()
		_ = os.RemoveAll(dir)
	})
	dsn := "host=" + dir + " user=relais dbname=postgres sslmode=disable"
	ctx, cancel := context.WithTimeout(tb.Context(), startWithin)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			_ = conn.Close(ctx)
			return dsn
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("PostgreSQL did not start: %v\n%s", err, log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// binaries finds the newest installed server: Debian keeps it out of PATH.
func binaries() string {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// ordinary gives dir to an ordinary user where the tests run as root, as whom PostgreSQL refuses to run.
func ordinary(tb testing.TB, dir string) *syscall.SysProcAttr {
	tb.Helper()
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		tb.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(nobody.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		tb.Fatal("the user nobody has no number")
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		tb.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func run(tb testing.TB, as *syscall.SysProcAttr, name string, args ...string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), name, args...)
	cmd.SysProcAttr = as
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}
