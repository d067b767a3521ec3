package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relais/storage/bolt"
)

// BackupConfig says when copies of the store are taken by themselves.
type BackupConfig struct {
	Dir   string   `yaml:"dir"`   // empty: none are
	Every Duration `yaml:"every"` // between two
	Keep  int      `yaml:"keep"`  // of those that were taken by themselves
}

func (c *checker) backup(cfg *BackupConfig, data string) {
	c.lasts("backup.every", cfg.Every, time.Minute, 7*24*time.Hour)
	c.between("backup.keep", cfg.Keep, 1, 1000)
	if cfg.Dir == "" {
		return
	}
	if filepath.Clean(cfg.Dir) == filepath.Clean(data) {
		c.say("backup.dir", "is the directory of the store; name another one, best on another disk.")
	}
}

// backupMetrics tell of the newest backup.
type backupMetrics struct {
	success, size, duration, every prometheus.Gauge
	failures                       prometheus.Counter
}

func newBackupMetrics(registry prometheus.Registerer) *backupMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		registry.MustRegister(g)
		return g
	}
	m := &backupMetrics{
		success:  gauge("relais_backup_last_success_timestamp_seconds", "When the newest backup that checked well was taken; 0: none is known."),
		size:     gauge("relais_backup_size_bytes", "Size of the newest backup."),
		duration: gauge("relais_backup_duration_seconds", "Time that the newest backup took, reading it again included."),
		every:    gauge("relais_backup_every_seconds", "Time between two backups as configured; 0: none are taken."),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "relais_backup_failures_total", Help: "Backups that failed."}),
	}
	registry.MustRegister(m.failures)
	return m
}

// backups takes copies of the store by itself, and counts all that are taken.
type backups struct {
	*backupMetrics

	p   *program
	cfg BackupConfig
	mu  sync.Mutex // one at a time
}

func newBackups(p *program) *backups {
	b := &backups{backupMetrics: p.metrics.backups, p: p, cfg: p.cfg.Backup}
	if b.cfg.Dir != "" {
		b.every.Set(time.Duration(b.cfg.Every).Seconds())
	}
	return b
}

// note counts a backup, whoever asked for it.
func (b *backups) note(done bolt.Backup, err error) {
	if errors.Is(err, bolt.ErrExists) || errors.Is(err, context.Canceled) {
		return // nothing failed
	}
	if err != nil {
		b.failures.Inc()
		b.p.log.Error("a backup failed", "error", err)
		return
	}
	b.success.Set(float64(done.At.UnixMilli()) / 1000)
	b.size.Set(float64(done.Report.Bytes))
	b.duration.Set((done.Copied + done.Report.Took).Seconds())
	b.p.log.Info("backup taken", "file", done.Path, "bytes", done.Report.Bytes, "copied", done.Copied.Round(time.Millisecond), "checked", done.Report.Took.Round(time.Millisecond))
}

// retryBackup is how soon a backup that failed is tried again, unless the next one comes before.
const retryBackup = 10 * time.Minute

// run takes backups until ctx ends. The age of the newest file decides when the next one is due, so that
// restarts neither hurry nor delay it.
func (b *backups) run(ctx context.Context) {
	if b.cfg.Dir == "" {
		return
	}
	every := time.Duration(b.cfg.Every)
	due := time.Now()
	if list, err := b.taken(); err == nil && len(list) > 0 {
		if at, err := time.Parse(backupName, filepath.Base(list[len(list)-1])); err == nil {
			b.success.Set(float64(at.Unix()))
			due = at.Add(every)
		}
	}
	for {
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		due = time.Now().Add(every)
		if err := b.take(ctx); err != nil && ctx.Err() == nil {
			due = time.Now().Add(min(every, retryBackup))
		}
	}
}

// take takes one, and then lets go of the oldest beyond those to keep.
func (b *backups) take(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := os.MkdirAll(b.cfg.Dir, 0o700)
	if err == nil {
		var done bolt.Backup
		done, err = b.p.store.Backup(ctx, filepath.Join(b.cfg.Dir, time.Now().UTC().Format(backupName)), bolt.CheckOptions{})
		b.note(done, err)
	} else {
		b.note(bolt.Backup{}, fmt.Errorf("make the directory of backups: %w", err))
	}
	if err != nil {
		return err
	}
	list, err := b.taken()
	if err != nil {
		return err
	}
	for _, old := range list[:max(0, len(list)-b.cfg.Keep)] {
		if err := os.Remove(old); err != nil {
			b.p.log.Warn("an old backup could not be removed", "file", old, "error", err)
		}
	}
	return nil
}

// taken lists the backups of the directory that are named as ours, the oldest first.
func (b *backups) taken() ([]string, error) {
	list, err := filepath.Glob(filepath.Join(b.cfg.Dir, "relais-*Z.db"))
	list = slices.DeleteFunc(list, func(path string) bool {
		_, err := time.Parse(backupName, filepath.Base(path))
		return err != nil
	})
	slices.Sort(list)
	return list, err
}

// startBackups runs the schedule until the program closes.
func (p *program) startBackups(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.backups.run(ctx)
	}()
	p.closers = append(p.closers, func() { // before the store is closed
		stop()
		<-ended
	})
}
