package actors

import (
	"context"
	"encoding/json"
	"errors"

	"relais/actors/system"
	"relais/engine/reach"
	"relais/storage"
)

func (a *notifier) load(c *system.Context) {
	if a.c = a.r.workingOn(a.id.Slot()); a.c == nil {
		a.phase = idle
		return
	}
	a.phase = loading
	again, known, version, of, key := a.again, a.known, a.version, a.c, a.key()
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (p preloadOffer, err error) {
		rec, err := a.r.store.Get(ctx, key)
		switch {
		case err == nil:
			p.version = rec.Version
			err = json.Unmarshal(rec.Data, &p.record)
		case errors.Is(err, storage.ErrNotFound):
			err = nil
		}
		if err == nil && (again || (known && p.version != version)) {
			err = a.r.redeliver(ctx, of, func(o order) bool { return o.Offer == a.id && o.Do != deedBook })
		}
		return p, err
	}, func(p preloadOffer, err error) any { return loadedOffer{p, err} })
}

func (a *notifier) loaded(c *system.Context, p preloadOffer) {
	if a.c = a.r.workingOn(a.id.Slot()); a.c == nil {
		a.phase = idle
		return
	}
	if a.known && a.version == p.version { // a commit failed, and changed nothing
		a.phase, a.again = idle, false
		a.next(c)
		return
	}
	if a.again || a.known { // what the slot said of suspension may have been lost
		a.r.slots.Ref(a.id.Slot()).Send(standAsk{a.id, c.Self()})
	}
	a.record, a.version, a.phase, a.again, a.known = p.record, p.version, idle, false, true
	clear(a.asked)
	a.gauge()
	if a.version > 0 {
		w := offerWork{in: append([]reach.Input{reach.Recovered{Began: a.r.began}}, a.optOuts()...)}
		if a.c.opening() == 0 { // the slot says when this ends
			w.in = append(w.in, reach.Suspend{Starting: true})
		}
		a.step(c, w)
	}
	a.arm(c)
	a.next(c)
}
