package app

import (
	"context"
	"errors"
	"fmt"

	"relais/engine"
	"relais/storage"
)

// kind names what a clinic's record system speaks.
func (d DMEConfig) kind() string {
	if d.HL7 != nil {
		return "hl7"
	}
	return "fhir"
}

// forgetMoved forgets what was known of a clinic's schedule when its record system speaks something
// else than at the last start: no look at the new one could say what became of the old one's slots.
func (p *program) forgetMoved(ctx context.Context, c *ClinicConfig) error {
	clinic, kind := engine.ClinicID(c.ID), c.DME.kind()
	key := storage.Key{Clinic: clinic, Kind: storage.KindMeta, ID: "dme"}
	was, err := p.store.Get(ctx, key)
	switch {
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("read what the record system spoke: %w", err)
	case err == nil && string(was.Data) == kind:
		return nil
	case err == nil:
		p.log.Info("the record system speaks something else than before; its schedule is learned anew", "clinic", clinic, "was", string(was.Data), "is", kind)
		for _, of := range []storage.Kind{storage.KindSchedule, storage.KindHL7} {
			if err := p.forget(ctx, clinic, of); err != nil {
				return fmt.Errorf("forget the schedule of the record system before: %w", err)
			}
		}
	}
	// Last: a crash before it begins again.
	put := storage.Put{Key: key, Expect: was.Version, Data: []byte(kind)}
	if err := p.store.Commit(ctx, storage.Batch{Puts: []storage.Put{put}}); err != nil {
		return fmt.Errorf("keep what the record system speaks: %w", err)
	}
	return nil
}

// forget deletes every record of a kind that a clinic has.
func (p *program) forget(ctx context.Context, c engine.ClinicID, kind storage.Kind) error {
	for {
		list, err := p.store.Scan(ctx, c, kind, "", storage.MaxBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		var b storage.Batch
		for _, r := range list {
			b.Puts = append(b.Puts, storage.Put{Key: r.Key, Expect: r.Version, Delete: true})
		}
		if err := p.store.Commit(ctx, b); err != nil {
			return err
		}
	}
}
