package app

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/storage/bolt"
	"relais/storage/seal"
	"relais/transport/web"
)

// An administrator who is locked out comes in again with the operator's help, and the log says so.
func TestUserCommands(t *testing.T) {
	dir := t.TempDir()
	data, key := filepath.Join(dir, "data"), filepath.Join(dir, "key")
	open := func() accounts {
		t.Helper()
		sealer, err := seal.OpenOrCreate(key)
		if err != nil {
			t.Fatal(err)
		}
		store, err := bolt.Open(data, bolt.Options{Sealer: sealer})
		if err != nil {
			t.Fatal(err)
		}
		return accounts{store}
	}
	if err := open().store.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) string {
		t.Helper()
		code, out := runMain(t, append(append([]string{"user"}, args...), "--data", data, "--key-file", key)...)
		if code != want {
			t.Fatalf("%q: exit %d, %s", args, code, out)
		}
		return out
	}
	password := regexp.MustCompile(`password (\S+) `)
	first := password.FindStringSubmatch(run(ExitOK, "add", "zoe", "--role", "administrator", "--clinic", "nord", "--name", "Zoé"))
	if first == nil {
		t.Fatal("no password")
	}
	run(ExitFailure, "add", "zoe")
	run(ExitUsage, "add", "zoe tremblay")
	run(ExitOK, "add", "max", "--role", "operator")
	if out := run(ExitOK, "list"); !strings.Contains(out, "nord administrator") || !strings.Contains(out, "everywhere operator") {
		t.Errorf("list: %s", out)
	}

	a := open()
	acc, err := a.ChangeAccount(t.Context(), "zoe", func(acc *web.Account) error {
		acc.TOTP, acc.Suspended = &web.TOTP{Secret: []byte("x")}, []engine.ClinicID{"nord"}
		return nil
	})
	if err != nil || acc.Role("nord") != "" {
		t.Fatal(acc, err)
	}
	if err := a.PutSession(t.Context(), web.Session{Key: "s", Account: "zoe", Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := a.PutPass(t.Context(), web.Pass{Key: web.PassToken + "t", Account: "zoe"}); err != nil {
		t.Fatal(err)
	}
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}

	second := password.FindStringSubmatch(run(ExitOK, "reset", "zoe"))
	if second == nil || second[1] == first[1] {
		t.Fatalf("%q", second)
	}
	a = open()
	acc, err = a.Account(t.Context(), "zoe")
	if err != nil || acc.TOTP != nil || acc.Role("nord") != web.Administrator {
		t.Errorf("%+v %v", acc, err)
	}
	if _, err := a.Session(t.Context(), "s"); engine.CodeOf(err) != engine.NotFound || err == nil {
		t.Errorf("the session is still there: %v", err)
	}
	if _, err := a.Pass(t.Context(), web.PassToken+"t"); engine.CodeOf(err) != engine.NotFound || err == nil {
		t.Errorf("the token is still there: %v", err)
	}
	lines, err := trail(a).Traces(t.Context(), "nord", web.TraceFilter{Limit: 10})
	if err != nil || len(lines) != 2 || lines[0].What != web.TracedResetUsed || lines[0].From != "command line" || lines[0].About != "zoe" {
		t.Errorf("%+v %v", lines, err)
	}
	if older, err := trail(a).Traces(t.Context(), "nord", web.TraceFilter{Limit: 10, Before: lines[0].Seq}); err != nil || len(older) != 1 || older[0].What != web.TracedJoined {
		t.Errorf("%+v %v", older, err)
	}
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}
	run(ExitOK, "remove", "zoe")
	run(ExitFailure, "remove", "zoe")
	if out := run(ExitOK, "list"); strings.Contains(out, "zoe") {
		t.Errorf("list: %s", out)
	}
}
