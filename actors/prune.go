package actors

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
)

// tidy asks the clinic actor to let go of what is long past.
type tidy struct{}

const (
	tidyFirst = time.Minute // after the start, when everybody is at work again
	tidyEvery = 24 * time.Hour
)

// tidy lets go of finished slots that ended longer ago than the retention says, so that a start reads a
// bounded past. Timelines stay.
func (a *clinicActor) tidy(c *system.Context) {
	if a.r.opt.Retention <= 0 {
		return
	}
	c.After(tidyEvery, tidy{})
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (int, error) {
		return a.r.prune(ctx, a.c, time.Now().Add(-a.r.opt.Retention))
	}, func(n int, err error) any {
		if err != nil {
			a.r.opt.Logger.Warn("slots of the past stay until tomorrow", "clinic", a.c.ID, "error", err)
		} else if n > 0 {
			a.r.opt.Logger.Info("slots of the past were let go of; their timelines stay", "clinic", a.c.ID, "slots", n)
		}
		return nil
	})
}

// prune deletes the finished slots of a clinic that ended before until, with their offers and the offers'
// links, and returns how many. A slot that something of the outbox still concerns stays. Each slot's record
// goes last, so that what a crash leaves is pruned the next time.
func (r *Relais) prune(ctx context.Context, c *clinic, until time.Time) (pruned int, err error) {
	orders, err := r.promised(ctx, c)
	if err != nil {
		return 0, err
	}
	busy := map[engine.SlotID]bool{}
	for _, o := range orders {
		busy[o.Slot], busy[o.Offer.Slot()], busy[o.Parent] = true, true, true
	}
	var past []storage.Record
	err = r.scan(ctx, c.ID, storage.KindSlot, func(rec storage.Record) error {
		var s slot.State
		if err := json.Unmarshal(rec.Data, &s); err != nil {
			return err
		}
		if !unfinished(s) && s.Slot.End.Before(until) && !busy[s.Slot.ID] {
			past = append(past, storage.Record{Key: rec.Key, Version: rec.Version})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, rec := range past {
		err := r.pruneSlot(ctx, c, rec)
		if errors.Is(err, storage.ErrStale) { // something happened to it this very moment
			continue
		}
		if err != nil {
			return pruned, err
		}
		pruned++
	}
	return pruned, nil
}

func (r *Relais) pruneSlot(ctx context.Context, c *clinic, rec storage.Record) error {
	id := engine.SlotID(rec.Key.ID)
	of := rec.Key.ID + "."
	for {
		page, err := r.store.Scan(ctx, c.ID, storage.KindOffer, of, pageSize)
		if err != nil {
			return err
		}
		var b storage.Batch
		for _, offer := range page {
			if !strings.HasPrefix(offer.Key.ID, of) {
				break
			}
			b.Puts = append(b.Puts, storage.Put{Key: offer.Key, Expect: offer.Version, Delete: true})
			token, err := r.store.Get(ctx, tokenKeyOf(r.token(engine.OfferID(offer.Key.ID))))
			if err == nil {
				b.Puts = append(b.Puts, storage.Put{Key: token.Key, Expect: token.Version, Delete: true})
			} else if !errors.Is(err, storage.ErrNotFound) {
				return err
			}
		}
		if len(b.Puts) == 0 {
			break
		}
		if err := r.store.Commit(ctx, b); err != nil {
			return err
		}
	}
	b := storage.Batch{Puts: []storage.Put{{Key: rec.Key, Expect: rec.Version, Delete: true}}}
	if err := r.store.Commit(ctx, b); err != nil {
		return err
	}
	r.where.Delete(id)
	r.next.Delete(id)
	return nil
}
