package actors

import (
	"context"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/schedule"
	"relais/storage"
)

// keep is a commit of this actor. build is called when its turn has come, so that the versions in
// it are the right ones; then is called in the actor's turn, unless the commit failed.
type keep struct {
	build func() []storage.Batch
	then  func(*system.Context)
}

// keep queues a commit.
func (a *dmeActor) keep(c *system.Context, build func() []storage.Batch, then func(*system.Context)) {
	a.keeping = append(a.keeping, keep{build, then})
	if len(a.keeping) == 1 {
		a.commit(c)
	}
}

func (a *dmeActor) commit(c *system.Context) {
	batches := a.keeping[0].build()
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (struct{}, error) {
		for _, b := range batches {
			if err := a.r.store.Commit(ctx, b); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	}, func(_ struct{}, err error) any { return kept{err} })
}

func (a *dmeActor) kept(c *system.Context, m kept) {
	if m.err != nil {
		// What is in memory is not in the store: start again from what is.
		a.r.opt.Logger.Error("the state of a record system could not be kept", "clinic", a.c.ID, "error", m.err)
		a.ready, a.keeping = false, nil
		for _, w := range a.writes {
			w.running = false
		}
		c.After(time.Second, system.Restarted{})
		return
	}
	done := a.keeping[0]
	a.keeping = a.keeping[1:]
	if len(a.keeping) > 0 {
		a.commit(c)
	}
	done.then(c)
}

// orderFor makes the order that follows from a change.
func (a *dmeActor) orderFor(ch schedule.Change, n int) order {
	o := order{ID: orderID(syncOrders+"change", a.sync.Orders+1, n), At: time.Now().UTC()}
	switch ch := ch.(type) {
	case schedule.Freed:
		o.Do, o.Fact = deedFreed, &ch.Slot
		if link, ok := a.sync.Chains[ch.Appointment]; ok {
			o.Depth, o.Parent, o.Current = link.Depth, link.Parent, &engine.Appointment{Source: ch.Appointment}
			delete(a.sync.Chains, ch.Appointment)
		}
	case schedule.Occupied:
		o.Do, o.Fact, o.Why, o.Booking = deedOccupied, &ch.Slot, ch.Why, ch.Booking
	case schedule.Suspect: // read again first
	}
	return o
}

// batches splits what is kept; the promises go first, because a change that is promised twice
// counts once, and one that is never promised is lost.
func (a *dmeActor) batches(facts []schedule.Fact, orders []order) (batches []storage.Batch) {
	b := storage.Batch{}
	if len(orders) > 0 {
		b.Puts = append(b.Puts, a.putSync())
	}
	for _, o := range orders {
		if len(b.Puts)+len(b.Effects) >= storage.MaxBatch/2 {
			batches, b = append(batches, b), storage.Batch{}
		}
		b.Effects = append(b.Effects, o.effect(a.c.ID))
	}
	last := map[string]int{}
	for i, f := range facts {
		last[f.Key] = i
	}
	for i, f := range facts {
		if last[f.Key] != i {
			continue
		}
		if len(b.Puts)+len(b.Effects) >= storage.MaxBatch/2 {
			batches, b = append(batches, b), storage.Batch{}
		}
		p := storage.Put{
			Key:    storage.Key{Clinic: a.c.ID, Kind: storage.KindSchedule, ID: f.Key},
			Expect: a.versions[f.Key], Data: encode(f), Delete: f.Slot == nil && f.Appointment == nil,
		}
		if p.Delete {
			if p.Expect == 0 {
				continue
			}
			p.Data = nil
			delete(a.versions, f.Key)
		} else {
			a.versions[f.Key]++
		}
		b.Puts = append(b.Puts, p)
		if f.Appointment != nil {
			b.Puts = append(b.Puts, a.came.put(a.c.ID, *f.Appointment)...)
		}
	}
	return append(batches, b)
}

// putSync writes the sync record. It is called when its commit's turn has come.
func (a *dmeActor) putSync() storage.Put {
	a.syncVer++
	return storage.Put{Key: a.syncKey(), Expect: a.syncVer - 1, Data: encode(a.sync)}
}
