package actors

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relais/engine"
	"relais/storage"
	"relais/storage/storagetest"
)

// disk is what survives a crash.
type disk struct {
	mu      sync.Mutex
	records map[storage.Key]storage.Record
	events  map[engine.ClinicID][]storage.Event
	effects map[storage.EffectKey][]byte
	commits int
	changed map[storage.Key]time.Time // when a record was last written
	watch   func(storage.Batch)       // called with every batch that was written, in order
}

func newDisk() *disk {
	return &disk{
		records: map[storage.Key]storage.Record{}, events: map[engine.ClinicID][]storage.Event{},
		effects: map[storage.EffectKey][]byte{}, changed: map[storage.Key]time.Time{},
	}
}

// memory is one process's store on a disk. It fulfils the contract of package storage; see
// TestMemory.
type memory struct {
	disk *disk
	dead atomic.Bool
	// fail decides what becomes of a commit: the error to report, and whether it takes place
	// nevertheless. nil: all work.
	fail func(storage.Batch) (err error, takesPlace bool)
	slow func(storage.Batch) time.Duration // how long a commit takes to become durable; nil: no time
}

func (m *memory) Close() error {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	m.dead.Store(true)
	return nil
}

var kinds = []storage.Kind{
	storage.KindSlot, storage.KindOffer, storage.KindEntry, storage.KindPatient, storage.KindSchedule, storage.KindSync,
	storage.KindToken, storage.KindOptOut, storage.KindReply, storage.KindAccount, storage.KindSession, storage.KindMeta, storage.KindHL7, storage.KindUnread, storage.KindJoin, storage.KindPass, storage.KindIncident,
}

func invalid(what string) error { return engine.Errorf(engine.Invalid, "%s", what) }

func check(b storage.Batch) error {
	if len(b.Puts)+len(b.Events)+len(b.Effects) > storage.MaxBatch || len(b.Done) > storage.MaxBatch {
		return invalid("too many")
	}
	total := 0
	size := func(name string, data []byte, parts ...string) error {
		total += len(data)
		if name == "" || len(name) > storage.MaxKey || len(data) > storage.MaxData || total > storage.MaxBatchData {
			return invalid("a name or data")
		}
		for _, p := range parts {
			if len(p) > storage.MaxKey {
				return invalid("a name")
			}
		}
		return nil
	}
	seen := map[storage.Key]bool{}
	var errs []error
	for _, p := range b.Puts {
		if seen[p.Key] || !slices.Contains(kinds, p.Key.Kind) {
			return invalid("a record twice, or of no kind")
		}
		seen[p.Key] = true
		errs = append(errs, size(p.Key.ID, p.Data, string(p.Key.Clinic)))
	}
	for _, e := range b.Events {
		errs = append(errs, size("event", e.Data, string(e.Clinic), e.Subject))
	}
	for _, e := range b.Effects {
		errs = append(errs, size(e.ID, e.Data, string(e.Clinic)))
	}
	for _, d := range b.Done {
		errs = append(errs, size(d.ID, nil, string(d.Clinic)))
	}
	return errors.Join(errs...)
}

func (m *memory) Commit(ctx context.Context, b storage.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.slow != nil {
		time.Sleep(m.slow(b))
	}
	d := m.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.dead.Load() {
		return storage.ErrClosed
	}
	if err := check(b); err != nil {
		return err
	}
	for _, p := range b.Puts {
		if d.records[p.Key].Version != p.Expect {
			return storage.ErrStale
		}
	}
	if m.fail != nil {
		if err, takesPlace := m.fail(b); err != nil {
			if takesPlace {
				d.write(b)
			}
			return err
		}
	}
	d.write(b)
	return nil
}

func (d *disk) write(b storage.Batch) {
	d.commits++
	now := time.Now()
	for _, p := range b.Puts {
		d.changed[p.Key] = now
		if p.Delete {
			delete(d.records, p.Key)
			continue
		}
		d.records[p.Key] = storage.Record{Key: p.Key, Version: p.Expect + 1, Data: slices.Clone(p.Data)}
	}
	for _, e := range b.Events {
		e.Seq = uint64(len(d.events[e.Clinic]) + 1)
		e.At, e.Data = e.At.UTC(), slices.Clone(e.Data)
		d.events[e.Clinic] = append(d.events[e.Clinic], e)
	}
	for _, e := range b.Redact.Events {
		d.events[e.Clinic][e.Seq-1].Data = slices.Clone(e.Data)
	}
	for _, k := range b.Done {
		delete(d.effects, k)
	}
	for _, e := range b.Effects {
		d.effects[storage.EffectKey{Clinic: e.Clinic, ID: e.ID}] = slices.Clone(e.Data)
	}
	if d.watch != nil {
		d.watch(b)
	}
}

func (m *memory) read(ctx context.Context, k storage.Kind, limit int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !slices.Contains(kinds, k) || limit < 1 || limit > 10_000 {
		return invalid("a kind or a limit")
	}
	if m.dead.Load() {
		return storage.ErrClosed
	}
	return nil
}

func (m *memory) Get(ctx context.Context, k storage.Key) (storage.Record, error) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	if err := m.read(ctx, k.Kind, 1); err != nil {
		return storage.Record{}, err
	}
	r, ok := m.disk.records[k]
	if !ok {
		return r, storage.ErrNotFound
	}
	r.Data = slices.Clone(r.Data)
	return r, nil
}

func (m *memory) Scan(ctx context.Context, c engine.ClinicID, k storage.Kind, after string, limit int) ([]storage.Record, error) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	if err := m.read(ctx, k, limit); err != nil {
		return nil, err
	}
	var list []storage.Record
	for key, r := range m.disk.records {
		if key.Clinic == c && key.Kind == k && key.ID > after {
			r.Data = slices.Clone(r.Data)
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b storage.Record) int { return strings.Compare(a.Key.ID, b.Key.ID) })
	return list[:min(limit, len(list))], nil
}

func (m *memory) Timeline(ctx context.Context, c engine.ClinicID, subject string, after uint64, limit int) ([]storage.Event, error) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	if err := m.read(ctx, storage.KindSlot, limit); err != nil {
		return nil, err
	}
	var list []storage.Event
	for _, e := range m.disk.events[c] {
		if e.Seq > after && (subject == "" || e.Subject == subject) && len(list) < limit {
			e.Data = slices.Clone(e.Data)
			list = append(list, e)
		}
	}
	return list, nil
}

func (m *memory) Outbox(ctx context.Context, c engine.ClinicID, after string, limit int) ([]storage.Effect, error) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	if err := m.read(ctx, storage.KindSlot, limit); err != nil {
		return nil, err
	}
	var list []storage.Effect
	for k, data := range m.disk.effects {
		if k.Clinic == c && k.ID > after {
			list = append(list, storage.Effect{Clinic: c, ID: k.ID, Data: slices.Clone(data)})
		}
	}
	slices.SortFunc(list, func(a, b storage.Effect) int { return cmp.Compare(a.ID, b.ID) })
	return list[:min(limit, len(list))], nil
}

func TestMemory(t *testing.T) {
	storagetest.Run(t, func(*testing.T) func() (storage.Store, error) {
		d := newDisk()
		return func() (storage.Store, error) { return &memory{disk: d}, nil }
	})
}
