package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
)

// storeFlags say which store a command is about.
type storeFlags struct {
	Config  string `help:"Configuration file of the store; also RELAIS_CONFIG." placeholder:"FILE"`
	Data    string `help:"Directory of the store, instead of the configuration's." placeholder:"DIR"`
	KeyFile string `help:"Its key file, instead of the configuration's." placeholder:"FILE"`
}

// settings reads the configuration, or makes one of the two flags.
func (s *storeFlags) settings(io *streams) (Config, error) {
	apply := func(cfg *Config) {
		if s.Data != "" {
			cfg.Data = s.Data
		}
		if s.KeyFile != "" {
			cfg.KeyFile = s.KeyFile
		}
	}
	path := s.Config
	if path == "" {
		path = io.env["RELAIS_CONFIG"]
	}
	if path != "" {
		return LoadConfig(path, io.env, apply)
	}
	if s.Data == "" || s.KeyFile == "" {
		return Config{}, &usageError{errors.New("this needs --config FILE, the one that relais serve runs with, or --data DIR and --key-file FILE")}
	}
	cfg := DefaultConfig()
	apply(&cfg)
	return cfg, nil
}

// openExisting opens a store that no other program has open.
func openExisting(cfg Config) (*bolt.Store, error) {
	store, _, err := openWithKey(cfg)
	return store, err
}

func openWithKey(cfg Config) (*bolt.Store, *seal.Sealer, error) {
	if !bolt.Exists(cfg.Data) {
		return nil, nil, fmt.Errorf("there is no store in %s", cfg.Data)
	}
	sealer, err := seal.Open(cfg.KeyFile)
	if err != nil {
		return nil, nil, err
	}
	store, err := bolt.Open(cfg.Data, bolt.Options{Sealer: sealer})
	if errors.Is(err, bolt.ErrLocked) {
		err = fmt.Errorf("another program has the store in %s open and does not answer commands; stop it, or run this as the user that runs it", cfg.Data)
	}
	return store, sealer, err
}

type backupCommand struct {
	storeFlags

	To string `help:"File or directory to write to; without it, the directory of the configuration's backup.dir." placeholder:"FILE|DIR"`
}

// Help is printed below the flags.
func (backupCommand) Help() string {
	return `Copies the store as it is at one moment, while relais serve runs or not, and then reads all of the copy again. Values
stay sealed. The key is not in it: keep a copy of the key file in another place, or the backup is worth nothing.

Examples:
  relais backup --config relais.yaml --to /mnt/backup
  relais backup --data ./data/store --key-file ./data/relais.key --to today.db

docs/operations.md says how to restore.`
}

type backupRequest struct {
	To  string `json:"to"`
	Who string `json:"who"`
}

// Run takes a backup and says what it came to.
func (b *backupCommand) Run(ctx context.Context, io *streams) error {
	to := b.To
	if to == "" {
		cfg, err := b.settings(io)
		if err != nil {
			return err
		}
		if to = cfg.Backup.Dir; to == "" {
			return &usageError{errors.New("say where to with --to FILE or DIR, or set backup.dir in the configuration")}
		}
	}
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	var done bolt.Backup
	if err := b.ask(ctx, io, "backup", backupRequest{To: to, Who: operator()}, &done); err != nil {
		return err
	}
	r := done.Report
	fmt.Fprintf(io.out, "%s: %s, as of %s. Copied in %s, read again in %s: %s, %s, all sound.\n",
		done.Path, megabytes(r.Bytes), done.At.Format(time.RFC3339), brief(done.Copied), brief(r.Took), count(r.Records, "record"), count(r.Events, "event"))
	return nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func brief(d time.Duration) string { return d.Round(time.Millisecond).String() }

// backupName is the name of a backup taken at a moment. Retention deletes files with such names only.
const backupName = "relais-20060102T150405Z.db"

func (c *control) takeBackup(ctx context.Context, in backupRequest, _ func(string)) (bolt.Backup, error) {
	if !filepath.IsAbs(in.To) {
		return bolt.Backup{}, engine.Errorf(engine.Invalid, "the place of a backup must be an absolute path")
	}
	path := in.To
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, time.Now().UTC().Format(backupName))
	}
	done, err := c.store.Backup(ctx, path, bolt.CheckOptions{})
	if c.backup != nil {
		c.backup.note(done, err)
	}
	if err == nil {
		c.noteDown(ctx, record(storage.Shared, in.Who, "backup taken", filepath.Base(path), ""))
	}
	return done, err
}

type restoreCommand struct {
	storeFlags

	File string `arg:"" help:"Backup to restore."`
	To   string `help:"New directory for the store." placeholder:"DIR" required:""`
}

// Help is printed below the flags.
func (restoreCommand) Help() string {
	return `Makes a store in a new directory from a backup, brings it up to this program's format, and reads all of it. It never
writes into a directory that holds anything. The running store, if there is one, is left alone.

Examples:
  relais restore /mnt/backup/relais-20260301T031500Z.db --to /var/lib/relais-restored --config relais.yaml`
}

// Run restores and says what comes next.
func (r *restoreCommand) Run(ctx context.Context, io *streams) error {
	keys := r.storeFlags
	if keys.Config == "" && keys.Data == "" {
		keys.Data = r.To // only the key is needed
	}
	cfg, err := keys.settings(io)
	if err != nil {
		return err
	}
	sealer, err := seal.Open(cfg.KeyFile)
	if err != nil {
		return err
	}
	start := time.Now()
	report, err := bolt.Restore(ctx, r.File, r.To, bolt.CheckOptions{Sealer: sealer})
	if err != nil {
		return err
	}
	if err := printProblems(io, report); err != nil {
		return fmt.Errorf("%s was not restored: %w", r.File, err)
	}
	fmt.Fprintf(io.out, `Restored to %s in %s: %s, %s and %s in the outbox, all sound.

Next:
  1. Stop relais, if it runs.
  2. Set data: %s in the configuration; leave the old directory where it is until all is well.
  3. Start relais. It compares every open slot with the record systems before anything is sent.
What was committed after the backup is not in it: who wrote STOP since then may be written to again, and messages
that left since then may leave once more. docs/operations.md says what to look at first.
`, r.To, brief(time.Since(start)), count(report.Records, "record"), count(report.Events, "event"), count(report.Effects, "order"), r.To)
	return nil
}

type storeCommand struct {
	Check storeCheck `cmd:"" help:"Read all of the store: pages, seals, indexes, outbox and timelines."`
}

type storeCheck struct{ storeFlags }

// Help is printed below the flags.
func (storeCheck) Help() string {
	return `While relais serve runs, a copy is taken beside the store and read; there must be room for it. Exit code 1: something is wrong.`
}

// Run checks and prints a sentence for each problem.
func (s *storeCheck) Run(ctx context.Context, io *streams) error {
	cfg, err := s.settings(io)
	if err != nil {
		return err
	}
	var report bolt.Report
	err = s.ask(ctx, io, "check", struct{}{}, &report)
	if errors.Is(err, bolt.ErrDamaged) { // it does not even open: say what can be said
		return fmt.Errorf("%w; stop Relais, keep the file aside, and restore the newest backup", err)
	}
	if err != nil {
		return err
	}
	if err := printProblems(io, report); err != nil {
		return err
	}
	fmt.Fprintf(io.out, "The store in %s is sound: %s, %s, %s of %s, %s in the outbox, read in %s.\n", cfg.Data, megabytes(report.Bytes),
		count(report.Records, "record"), count(report.Events, "event"), count(report.Clinics, "clinic"), count(report.Effects, "order"), brief(report.Took))
	return nil
}

// printProblems prints what a check found; its error counts it.
func printProblems(io *streams, r bolt.Report) error {
	if r.Found == 0 {
		return nil
	}
	for _, p := range r.Problems {
		fmt.Fprintln(io.out, "-", p)
	}
	if more := r.Found - len(r.Problems); more > 0 {
		fmt.Fprintf(io.out, "- and %d more\n", more)
	}
	return fmt.Errorf("%s found", count(r.Found, "problem"))
}

func (c *control) check(ctx context.Context, _ struct{}, _ func(string)) (bolt.Report, error) {
	return c.store.Check(ctx, bolt.CheckOptions{Record: actors.Readable, Effect: actors.ReadableEffect})
}
