package app

import (
	"context"
	"sync"

	"relais/engine"
	"relais/storage"
	"relais/transport/hl7"
)

// hl7Journal keeps the pictures of clinics in the store.
type hl7Journal struct {
	store    storage.Store
	mu       sync.Mutex
	versions map[engine.ClinicID]map[string]uint64
}

func newHL7Journal(s storage.Store) *hl7Journal {
	return &hl7Journal{store: s, versions: map[engine.ClinicID]map[string]uint64{}}
}

// of returns the versions of a clinic's records. Its calls come one at a time, so only the outer map
// needs the lock.
func (j *hl7Journal) of(c engine.ClinicID, anew bool) map[string]uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if anew || j.versions[c] == nil {
		j.versions[c] = map[string]uint64{}
	}
	return j.versions[c]
}

// Save implements hl7.Journal.
func (j *hl7Journal) Save(ctx context.Context, c engine.ClinicID, records []hl7.Record) error {
	versions := j.of(c, false)
	var b storage.Batch
	for _, r := range records {
		p := storage.Put{
			Key:    storage.Key{Clinic: c, Kind: storage.KindHL7, ID: r.ID},
			Expect: versions[r.ID], Data: r.Data, Delete: r.Data == nil,
		}
		if !p.Delete || p.Expect != 0 {
			b.Puts = append(b.Puts, p)
		}
	}
	if err := j.store.Commit(ctx, b); err != nil {
		return err
	}
	for _, p := range b.Puts {
		if p.Delete {
			delete(versions, p.Key.ID)
		} else {
			versions[p.Key.ID]++
		}
	}
	return nil
}

// Load implements hl7.Journal.
func (j *hl7Journal) Load(ctx context.Context, c engine.ClinicID, f func(hl7.Record) error) error {
	const page = 1000
	versions := j.of(c, true)
	after := ""
	for {
		list, err := j.store.Scan(ctx, c, storage.KindHL7, after, page)
		if err != nil {
			return err
		}
		for _, r := range list {
			after = r.Key.ID
			versions[after] = r.Version
			if err := f(hl7.Record{ID: after, Data: r.Data}); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
	}
}
