package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
)

// runMain runs a command in this process, as the program would.
func runMain(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var b strings.Builder
	code = Main(t.Context(), args, nil, &b, &b)
	return code, b.String()
}

// A backup is taken from a running program over its socket, restored, and the program starts on it.
func TestBackupOfARunningProgram(t *testing.T) {
	data := t.TempDir()
	p := demo(t, data, nil)
	store, key := filepath.Join(data, "store"), filepath.Join(data, "relais.key")
	of := []string{"--data", store, "--key-file", key}
	to := t.TempDir()
	code, out := runMain(t, append([]string{"backup", "--to", to}, of...)...)
	if code != ExitOK || !strings.Contains(out, "all sound") {
		t.Fatalf("backup: exit %d, %s", code, out)
	}
	if code, out = runMain(t, append([]string{"store", "check"}, of...)...); code != ExitOK || !strings.Contains(out, "is sound") {
		t.Fatalf("store check: exit %d, %s", code, out)
	}
	if info, err := os.Stat(filepath.Join(store, controlSocket)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v; want it for its owner only", info, err)
	}
	list, _ := filepath.Glob(filepath.Join(to, "relais-*Z.db"))
	if len(list) != 1 {
		t.Fatalf("backups: %v", list)
	}
	if code, out = runMain(t, append([]string{"restore", list[0], "--to", store}, of...)...); code != ExitFailure || !strings.Contains(out, "not empty") {
		t.Errorf("restore over a live store: exit %d, %s", code, out)
	}
	p.kill()
	fresh := t.TempDir()
	if code, out = runMain(t, "restore", list[0], "--to", filepath.Join(fresh, "store"), "--key-file", key); code != ExitOK || !strings.Contains(out, "Stop relais") {
		t.Fatalf("restore: exit %d, %s", code, out)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(fresh, "relais.key"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	demo(t, fresh, nil).kill() // it starts on what was restored

	// The killed one left its socket: commands work on its store all the same.
	if code, out = runMain(t, append([]string{"backup", "--to", filepath.Join(to, "after.db")}, of...)...); code != ExitOK {
		t.Errorf("backup of a stopped program: exit %d, %s", code, out)
	}
	if code, out = runMain(t, append([]string{"backup", "--to", filepath.Join(to, "after.db")}, of...)...); code != ExitFailure || !strings.Contains(out, "choose another name") {
		t.Errorf("backup over a backup: exit %d, %s", code, out)
	}
	if code, _ = runMain(t, "backup", "--to", to); code != ExitUsage {
		t.Errorf("backup of no store: exit %d", code)
	}
}

func TestSocketPathThatIsTooLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path, release, err := socketPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if len(path) > longestSocket {
		t.Errorf("%d bytes", len(path))
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, controlSocket)); err != nil {
		t.Errorf("it leads elsewhere: %v", err)
	}
}

func backupProgram(t *testing.T, cfg BackupConfig) *program {
	t.Helper()
	text, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cfg: Config{Data: t.TempDir(), Backup: cfg}, metrics: newMetrics(), log: newLogger(LogConfig{}, t.Output())}
	if p.store, err = bolt.Open(p.cfg.Data, bolt.Options{Sealer: sealer}); err != nil {
		t.Fatal(err)
	}
	return p
}

// Backups come as often as configured, the oldest go, nothing else of the directory does, and the
// metrics tell of success and failure.
func TestScheduledBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for _, name := range []string{"relais-by-hand.db", "relais-19990101T000000Z.db"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := backupProgram(t, BackupConfig{Dir: dir, Every: Duration(time.Hour), Keep: 3})
		p.backups = newBackups(p)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.backups.run(ctx); close(done) }()
		for range 5 {
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		if err := p.store.Commit(ctx, storage.Batch{Events: []storage.Event{{Clinic: "a"}}}); err != nil {
			t.Fatal(err)
		}
		if got := value(t, p.metrics, "relais_backup_last_success_timestamp_seconds"); time.Since(time.Unix(int64(got), 0)) > time.Hour {
			t.Errorf("the last success is %v ago", time.Since(time.Unix(int64(got), 0)))
		}
		if value(t, p.metrics, "relais_backup_size_bytes") == 0 || value(t, p.metrics, "relais_backup_failures_total") != 0 {
			t.Error("size or failures are wrong")
		}
		list, err := p.backups.taken()
		if err != nil || len(list) != 3 || strings.Contains(list[0], "1999") {
			t.Errorf("kept %v, %v", list, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "relais-by-hand.db")); err != nil {
			t.Errorf("a file that was made by hand went: %v", err)
		}
		stop()
		<-done
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the directory was
			t.Fatal(err)
		}
		if err := p.backups.take(t.Context()); err == nil || value(t, p.metrics, "relais_backup_failures_total") != 1 {
			t.Errorf("a failure was not counted: %v", err)
		}
		if err := p.store.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// value reads one metric without labels.
func value(t *testing.T, m *metrics, name string) float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
