package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/offer"
	"relais/engine/slot"
	"relais/storage"
)

// LearningKey is where a clinic keeps what it learned of how often its offers are accepted: one
// offer.Cells as JSON. Whoever deletes the record while no program has the store open resets it.
func LearningKey(c engine.ClinicID) storage.Key {
	return storage.Key{Clinic: c, Kind: storage.KindMeta, ID: "learning"}
}

// Learning reads what a clinic learned; version 0 is a clinic that learned nothing yet.
func Learning(ctx context.Context, s storage.Store, c engine.ClinicID) (cells offer.Cells, version uint64, err error) {
	rec, err := s.Get(ctx, LearningKey(c))
	if errors.Is(err, storage.ErrNotFound) {
		return offer.Cells{}, 0, nil
	}
	if err != nil {
		return offer.Cells{}, 0, err
	}
	if err := json.Unmarshal(rec.Data, &cells); err != nil {
		return offer.Cells{}, 0, fmt.Errorf("what clinic %s learned: %w", c, err)
	}
	return cells, rec.Version, nil
}

// rates are what the clinic's slots decide by.
func (c *clinic) rates() offer.Rates {
	if cells := c.learned.Load(); cells != nil {
		return cells.Rates(c.Policy.Accept)
	}
	return offer.Rates{}
}

// learnOrder hands what an opening showed to the clinic actor, in the commit that ends the opening.
func (a *slotActor) learnOrder(w *slotWork, now time.Time) {
	if e, ok := slot.Evidence(a.state, w.state, now, a.c.Policy, a.c.zone); ok {
		w.orders = append(w.orders, order{
			ID: orderID(string(a.id), w.state.Version, len(w.orders)), Do: deedLearn, Slot: a.id, Shown: &e, At: now,
		})
	}
}

// mostLearned bounds the openings that are learned from in one commit, and those that are remembered so
// that an order which comes twice counts once.
const mostLearned = 500

// pupil learns for a clinic: one commit at a time, which changes the record and takes the orders out of
// the outbox together.
type pupil struct {
	waiting []order
	under   []order  // being committed
	done    []string // orders that were, lately
	busy    bool
}

func (p *pupil) knows(id string) bool {
	same := func(o order) bool { return o.ID == id }
	return slices.ContainsFunc(p.waiting, same) || slices.ContainsFunc(p.under, same) || slices.Contains(p.done, id)
}

// learnedFrom is what is known now: at the start, and at the end of each commit.
type learnedFrom struct {
	cells offer.Cells
	err   error
}

// learnAgain looks for what is still to be learned, when the outcome of a commit is not known.
type learnAgain struct{}

func (a *clinicActor) toLearn(c *system.Context, orders ...order) {
	for _, o := range orders {
		if !a.pupil.knows(o.ID) {
			a.pupil.waiting = append(a.pupil.waiting, o)
		}
	}
	a.learn(c)
}

func (a *clinicActor) learn(c *system.Context) {
	p := &a.pupil
	if p.busy || len(p.waiting) == 0 {
		return
	}
	now := p.waiting[:min(len(p.waiting), mostLearned)]
	of := a.c
	p.waiting, p.under, p.busy = slices.Clone(p.waiting[len(now):]), now, true
	system.PipeOn(a.r.commits, c, context.Background(),
		func(ctx context.Context) (offer.Cells, error) { return a.r.learn(ctx, of, now) },
		func(cells offer.Cells, err error) any { return learnedFrom{cells, err} })
}

func (r *Relais) learn(ctx context.Context, c *clinic, orders []order) (offer.Cells, error) {
	cells, version, err := Learning(ctx, r.store, c.ID)
	if err != nil {
		return cells, err
	}
	var b storage.Batch
	for _, o := range orders {
		cells = cells.Observe(*o.Shown, c.Policy.Accept)
		b.Done = append(b.Done, storage.EffectKey{Clinic: c.ID, ID: o.ID})
	}
	b.Puts = []storage.Put{{Key: LearningKey(c.ID), Expect: version, Data: encode(cells)}}
	return cells, r.store.Commit(ctx, b)
}

func (a *clinicActor) learned(c *system.Context, m learnedFrom) {
	p := &a.pupil
	if m.err != nil { // it may have taken place: the outbox knows
		a.r.opt.Logger.Warn("what an opening showed was not kept; trying again", "clinic", a.c.ID, "error", m.err)
		p.waiting, p.under = nil, nil
		c.After(time.Second, learnAgain{})
		return
	}
	for _, o := range p.under {
		p.done = append(p.done, o.ID)
	}
	p.done = p.done[max(0, len(p.done)-mostLearned):]
	p.under, p.busy = nil, false
	a.c.learned.Store(&m.cells)
	a.r.opt.Metrics.Learned(a.c.ID, m.cells.Show(a.c.Policy.Accept))
	a.learn(c)
}

// relearn takes up what the outbox still has, once no commit is under way.
func (a *clinicActor) relearn(c *system.Context) {
	of := a.c
	system.Pipe(c, context.Background(), func(ctx context.Context) ([]order, error) {
		return a.r.promised(ctx, of)
	}, func(all []order, err error) any {
		if err != nil {
			return learnedFrom{err: err}
		}
		return all
	})
}

func (a *clinicActor) relearned(c *system.Context, all []order) {
	a.pupil.busy = false
	a.toLearn(c, slices.DeleteFunc(all, func(o order) bool { return o.Do != deedLearn })...)
}
