package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
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
	a.forget(c)
	of := a.c
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (int, error) {
		until := time.Now().Add(-a.r.opt.Retention)
		n, err := a.r.prune(ctx, of, until)
		if err == nil {
			err = a.r.pruneReplies(ctx, of.ID, until)
		}
		if err == nil && a.r.hall.isFirst(of.ID) { // one of them looks after what is shared
			err = a.r.pruneReplies(ctx, storage.Shared, until)
		}
		return n, err
	}, func(n int, err error) any {
		if err != nil {
			a.r.opt.Logger.Warn("slots of the past stay until tomorrow", "clinic", a.c.ID, "error", err)
		} else if n > 0 {
			a.r.opt.Logger.Info("slots of the past were let go of; their timelines stay", "clinic", a.c.ID, "slots", n)
		}
		return nil
	})
}

// forget takes out what is personal and was kept for long enough.
func (a *clinicActor) forget(c *system.Context) {
	of := a.c
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (forgotten, error) {
		return a.r.forgetOld(ctx, of, time.Now())
	}, func(n forgotten, err error) any {
		if err != nil {
			a.r.opt.Logger.Warn("what is kept for long enough stays until tomorrow", "clinic", of.ID, "error", err)
		} else if n != (forgotten{}) {
			a.r.opt.Logger.Info("what was kept for long enough is gone", "clinic", of.ID, "patients", n.patients, "lines", n.lines, "replies", n.replies)
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
	var past []pastSlot
	err = r.scan(ctx, c.ID, storage.KindSlot, func(rec storage.Record) error {
		var s slot.State
		if err := json.Unmarshal(rec.Data, &s); err != nil {
			return err
		}
		if !unfinished(s) && s.Slot.End.Before(until) && !busy[s.Slot.ID] {
			past = append(past, pastSlot{storage.Record{Key: rec.Key, Version: rec.Version}, s.Booking})
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

// pruneReplies lets go of replies and commands that were counted before until: no carrier and no browser
// brings them again.
func (r *Relais) pruneReplies(ctx context.Context, c engine.ClinicID, until time.Time) error {
	var past []storage.Put
	err := r.scan(ctx, c, storage.KindReply, func(rec storage.Record) error {
		var counted replyRecord
		err := json.Unmarshal(rec.Data, &counted)
		if err == nil && !counted.At.IsZero() && counted.At.Before(until) {
			past = append(past, storage.Put{Key: rec.Key, Expect: rec.Version, Delete: true})
		}
		return err
	})
	for page := range slices.Chunk(past, pageSize) {
		if err == nil {
			err = r.store.Commit(ctx, storage.Batch{Puts: page})
		}
	}
	return err
}

// pastSlot is a slot to let go of.
type pastSlot struct {
	storage.Record

	booking engine.BookingID
}

func (r *Relais) pruneSlot(ctx context.Context, c *clinic, rec pastSlot) error {
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
	if rec.booking != "" {
		came, err := r.store.Get(ctx, attendedKey(c.ID, rec.booking))
		if err == nil {
			b.Puts = append(b.Puts, storage.Put{Key: came.Key, Expect: came.Version, Delete: true})
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	if err := r.store.Commit(ctx, b); err != nil {
		return err
	}
	r.where.Delete(id)
	r.next.Delete(id)
	return nil
}
