package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// mostProblems is how many problems a report keeps; more are only counted.
const mostProblems = 50

// Problem is something wrong in a file, in a sentence, and what to do about it.
type Problem struct {
	What string `json:"what"`
	Do   string `json:"do"`
}

func (p Problem) String() string { return p.What + " " + p.Do }

// What to do about a problem.
const (
	doRestore = "Stop Relais, keep this file aside, and restore the newest backup that checks well."
	doKey     = "Check with the key file that the store was made with; if it is that one, restore the newest backup that checks well."
	doChain   = "The file was changed by something else than Relais, or opened with another key: keep it aside as evidence, find out who could write it, and compare with the backups."
	doReport  = "Nothing is lost that the rest needs: restore the newest backup that checks well when there is time, and report it."
)

// Report is what a check found.
type Report struct {
	Bytes    int64         `json:"bytes"`
	Records  int           `json:"records"`
	Events   int           `json:"events"`
	Effects  int           `json:"effects"`
	Clinics  int           `json:"clinics"` // with events
	Took     time.Duration `json:"took"`
	Found    int           `json:"found"` // problems in all
	Problems []Problem     `json:"problems,omitempty"`
}

// Err is nil when nothing is wrong.
func (r Report) Err() error {
	if r.Found == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDamaged, r.Problems[0])
}

func (r *Report) add(do, format string, args ...any) {
	r.Found++
	if len(r.Problems) < mostProblems {
		r.Problems = append(r.Problems, Problem{fmt.Sprintf(format, args...), do})
	}
}

// CheckOptions of CheckFile.
type CheckOptions struct {
	Sealer *seal.Sealer // needed
	// Record and Effect, when set, say whether what was opened can be read by who wrote it.
	Record func(storage.Record) error
	Effect func(storage.Effect) error
}

// CheckFile reads all of a store's file that no process writes: every page, every value, and that what
// belongs together fits. Problems are in the report; the error says why it could not be looked at.
// Errors: ErrLocked, ErrNotStore, ErrDamaged, ErrNewer, seal.ErrWrongKey.
func CheckFile(ctx context.Context, path string, opt CheckOptions) (r Report, err error) {
	if opt.Sealer == nil {
		return r, ErrNoSealer
	}
	start := time.Now()
	db, err := openFile(path, true)
	if err != nil {
		return r, err
	}
	defer func() { _ = db.Close() }()
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return r, fmt.Errorf("storage/bolt: open: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := walkPages(file, db.Info().PageSize, true); err != nil {
		r.add(doRestore, "The file's pages do not fit together (%v).", err)
		return r, nil
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = unreadable(path)
		}
	}()
	err = db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			return fmt.Errorf("%w (%s)", ErrNotStore, path)
		}
		version, err := check(tx, meta, opt.Sealer, path)
		if err != nil {
			return err
		}
		if version != format {
			return fmt.Errorf("%w (%s): start or restore it with this program first, which brings it up to date", ErrOlder, path)
		}
		r.Bytes = tx.Size()
		if err := checkPages(ctx, tx, &r); err != nil || r.Found > 0 {
			return err // what hangs on bad pages would be reported a thousand times
		}
		c := &checking{ctx: ctx, opt: opt, r: &r, clinics: map[engine.ClinicID]storage.Head{}}
		for i, name := range bucketNames {
			c.in[i] = tx.Bucket(name)
		}
		if err := c.run(); err != nil {
			return err
		}
		return c.chains(&Store{db: db, sealer: opt.Sealer})
	})
	r.Took = time.Since(start)
	return r, err
}

// checkPages runs the database's own check: each page is used once, and keys are in order.
func checkPages(ctx context.Context, tx *bbolt.Tx, r *Report) error {
	found := tx.Check()
	for {
		select {
		case err, ok := <-found:
			if !ok {
				return nil
			}
			r.add(doRestore, "The file's pages do not fit together (%v).", err)
		case <-ctx.Done():
			for range found { // it must end before the file is closed
			}
			return ctx.Err()
		}
	}
}

// checking is the walk over what the buckets hold.
type checking struct {
	ctx context.Context //nolint:containedctx // lives as long as one check
	opt CheckOptions
	r   *Report
	in  [buckets]*bbolt.Bucket

	clinics map[engine.ClinicID]storage.Head // of every clinic that has events or a head
}

func (c *checking) run() error {
	for _, walk := range []func() error{c.records, c.events, c.subjects, c.outbox, c.heads} {
		if err := walk(); err != nil {
			return err
		}
	}
	return nil
}

// each walks a bucket, and looks at ctx now and then.
func (c *checking) each(bucket int, fn func(k, v []byte)) error {
	n := 0
	return c.in[bucket].ForEach(func(k, v []byte) error {
		if n++; n%256 == 0 && c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		fn(k, v)
		return nil
	})
}

func (c *checking) records() error {
	return c.each(inRecords, func(k, v []byte) {
		c.r.Records++
		clinic, rest, err := cutPart(k)
		if err != nil || len(rest) < 2 {
			c.r.add(doRestore, "A record has a key that cannot be read.")
			return
		}
		kind, ok := storage.KindOf(rest[0])
		if !ok {
			c.r.add(doReport, "Clinic %q has a record of a kind (%d) that this program does not know.", clinic, rest[0])
			return
		}
		key := storage.Key{Clinic: engine.ClinicID(clinic), Kind: kind, ID: string(rest[1:])}
		version, sealed, err := splitRecord(v)
		if err != nil {
			c.r.add(doRestore, "The %s %q of clinic %q is cut short.", kind, key.ID, clinic)
			return
		}
		data, err := c.opt.Sealer.Open(seal.Record(key, version), sealed)
		if err != nil {
			c.r.add(doKey, "The %s %q of clinic %q does not open.", kind, key.ID, clinic)
			return
		}
		if c.opt.Record == nil {
			return
		}
		if err := c.opt.Record(storage.Record{Key: key, Version: version, Data: data}); err != nil {
			c.r.add(doReport, "The %s %q of clinic %q opens, but cannot be understood.", kind, key.ID, clinic)
		}
	})
}

// events holds the timeline against its numbers and its index; chains opens what is in it.
func (c *checking) events() error {
	var clinic []byte
	first, next, broken := true, uint64(1), false
	return c.each(inEvents, func(k, v []byte) {
		c.r.Events++
		name, rest, err := cutPart(k)
		if err != nil || len(rest) != numberLen {
			c.r.add(doRestore, "An event has a key that cannot be read.")
			return
		}
		if first || !bytes.Equal(name, clinic) {
			first, clinic, next, broken = false, bytes.Clone(name), 1, false
			c.r.Clinics++
			c.clinics[engine.ClinicID(name)] = storage.Head{Clinic: engine.ClinicID(name)}
		}
		seq := binary.BigEndian.Uint64(rest)
		if seq != next && !broken {
			broken = true
			c.r.add(doRestore, "The timeline of clinic %q has event %d where %d should be.", name, seq, next)
		}
		next = seq + 1
		e, err := splitEvent(v)
		if err != nil {
			c.r.add(doRestore, "Event %d of clinic %q is cut short.", seq, name)
			return
		}
		id := engine.ClinicID(name)
		if e.subject != "" && c.in[inSubjects].Get(binary.BigEndian.AppendUint64(appendSubjectPrefix(nil, id, e.subject), seq)) == nil {
			c.r.add(doReport, "Event %d of clinic %q is missing from the index by subject.", seq, name)
		}
	})
}

// subjects finds what the index names and the timeline does not have.
func (c *checking) subjects() error {
	return c.each(inSubjects, func(k, _ []byte) {
		name, rest, err := cutPart(k)
		var subject []byte
		if err == nil {
			subject, rest, err = cutPart(rest)
		}
		if err != nil || len(rest) != numberLen {
			c.r.add(doRestore, "The index by subject has a key that cannot be read.")
			return
		}
		seq := binary.BigEndian.Uint64(rest)
		v := c.in[inEvents].Get(appendEventKey(nil, engine.ClinicID(name), seq))
		if v == nil {
			c.r.add(doRestore, "Event %d of clinic %q is gone, and the index by subject still names it.", seq, name)
			return
		}
		if e, err := splitEvent(v); err == nil && e.subject != string(subject) {
			c.r.add(doReport, "Event %d of clinic %q is in the index under another subject than its own.", seq, name)
		}
	})
}

func (c *checking) outbox() error {
	return c.each(inOutbox, func(k, v []byte) {
		c.r.Effects++
		name, id, err := cutPart(k)
		if err != nil || len(id) == 0 {
			c.r.add(doRestore, "The outbox has a key that cannot be read.")
			return
		}
		e := storage.Effect{Clinic: engine.ClinicID(name), ID: string(id)}
		if e.Data, err = c.opt.Sealer.Open(seal.Effect(e.Clinic, e.ID), v); err != nil {
			c.r.add(doKey, "Order %q of clinic %q's outbox does not open.", id, name)
			return
		}
		if c.opt.Effect != nil && c.opt.Effect(e) != nil {
			c.r.add(doReport, "Order %q of clinic %q's outbox opens, but cannot be understood.", id, name)
		}
	})
}

func (c *checking) heads() error {
	return c.each(inHeads, func(k, v []byte) {
		h, err := openHead(c.opt.Sealer, k, v)
		if err != nil {
			c.r.add(doRestore, "The head of a timeline cannot be read.")
			return
		}
		c.clinics[h.Clinic] = h
	})
}

// chains verifies every clinic's chain, unless there is something wrong with the timelines already.
func (c *checking) chains(s *Store) error {
	if c.r.Found > 0 {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(c.clinics)) {
		v, err := storage.Verify(c.ctx, s, c.clinics[id])
		if err != nil {
			return err
		}
		if b := v.Broken; b != nil {
			c.r.add(doChain, "The chain of clinic %q breaks at event %d%s: %s.", id, b.Seq, on(b.At), b.Why)
		}
	}
	return nil
}

func on(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return ", of " + at.Format(time.RFC3339)
}

// cutPart takes the first part off a key: what appendPart put there.
func cutPart(b []byte) (part, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > storage.MaxKey || len(b)-n < int(size) {
		return nil, nil, errValue
	}
	return b[n : n+int(size)], b[n+int(size):], nil
}

// Check checks all of the store while it is used: it takes a copy, beside the store, and reads that.
func (s *Store) Check(ctx context.Context, opt CheckOptions) (Report, error) {
	path := filepath.Join(s.dir, checkedCopy)
	opt.Sealer = s.sealer
	defer removeQuietly(path)
	if _, err := s.copyTo(ctx, path); err != nil {
		return Report{}, err
	}
	r, err := CheckFile(ctx, path, opt)
	if errors.Is(err, context.Canceled) {
		err = ctx.Err()
	}
	return r, err
}
