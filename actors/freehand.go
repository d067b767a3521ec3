package actors

import (
	"context"
	"errors"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/storage"
)

// findAsk asks the dme actor for a slot that can be booked now, as the record system shows it.
type findAsk = system.Request[engine.SlotID, engine.SlotFact]

// find looks a bookable slot up in the mirror.
func (a *dmeActor) find(m *findAsk) {
	for f := range a.mirror.All() {
		if engine.NewSlotID(a.c.ID, f.Source, f.Start) != m.Req {
			continue
		}
		if !a.mirror.Bookable(f.Source) {
			m.Reply(f, engine.Errorf(engine.Conflict, "the record system does not show this slot as free"))
			return
		}
		m.Reply(f, nil)
		return
	}
	m.Reply(engine.SlotFact{}, engine.Errorf(engine.NotFound, "there is no such slot"))
}

// free offers a slot that is free in the record system though nobody cancelled it: the desk says that it is
// to be filled. From there it is an opening like any other; the record system stays the arbiter.
func (r *Relais) free(ctx context.Context, c *clinic, sid engine.SlotID, by engine.UserID, key string, revision uint64) (desk.Card, error) {
	done, err := r.keyUsed(ctx, c, key)
	if err != nil {
		return desk.Card{}, err
	}
	s, err := r.slotState(ctx, c, sid)
	switch {
	case done && err == nil:
		return r.cardOf(c, s), nil

	case engine.CodeOf(err) == engine.NotFound:
	case err != nil:
		return desk.Card{}, err
	case revision != 0 && revision != s.Version:
		return desk.Card{}, engine.Errorf(engine.Conflict, "This slot changed meanwhile. Look at it again before you decide.")
	case unfinished(s):
		return desk.Card{}, engine.Errorf(engine.Conflict, "This slot is open already.")
	}
	fact, err := system.Ask[engine.SlotID, engine.SlotFact](ctx, c.sync, sid)
	if err != nil {
		return desk.Card{}, err
	}
	now := time.Now().UTC()
	if !fact.Start.After(now) {
		return desk.Card{}, engine.Errorf(engine.Conflict, "This slot has begun already.")
	}
	o := order{Do: deedFreed, Fact: &fact, At: now, ID: orderID("desk/"+string(sid), uint64(now.UnixNano()), 0)}
	b := storage.Batch{
		Effects: []storage.Effect{o.effect(c.ID)},
		Events:  []storage.Event{{Clinic: c.ID, Subject: string(sid), At: now, Data: encode(eventData{Event: "freed_by_hand", By: by, From: originOf(ctx)})}},
	}
	if key != "" {
		b.Puts = []storage.Put{{Key: commandKey(c.ID, key), Data: []byte("{}")}}
	}
	if err := r.store.Commit(ctx, b); err != nil {
		if errors.Is(err, storage.ErrStale) { // its double was here a moment ago
			return r.freed(c, fact), nil
		}
		return desk.Card{}, unavailable(err)
	}
	r.carryOut(c, o)
	return r.freed(c, fact), nil
}

// freed is the card until the slot's own commit shows it.
func (r *Relais) freed(c *clinic, f engine.SlotFact) desk.Card {
	return r.cardOf(c, slot.State{Slot: engine.Slot{
		ID: engine.NewSlotID(c.ID, f.Source, f.Start), Clinic: c.ID, Source: f.Source, Practitioner: f.Practitioner, Place: f.Place,
		Specialty: c.specialty(f), Start: f.Start, End: f.End,
	}, Phase: slot.Freed})
}
