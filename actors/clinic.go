package actors

import (
	"context"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/health"
	"relais/engine/slot"
	"relais/storage"
)

// clinicActor knows a clinic's open slots. It decides which freed slots are opened, and spreads
// suspension and its end.
type clinicActor struct {
	r      *Relais
	c      *clinic
	open   map[engine.SlotID]bool
	status health.Status
}

func newClinicActor(r *Relais, c *clinic) *clinicActor {
	return &clinicActor{r: r, c: c, open: map[engine.SlotID]bool{}, status: health.Starting}
}

// slotIs tells the clinic actor that a slot is under way, or over.
type slotIs struct {
	id   engine.SlotID
	open bool
}

// healthIs tells it how the record system's trust stands.
type healthIs struct{ status health.Status }

// compare asks it to hold every open slot against what the record system shows, after a full look.
// free says whether a source is free there.
type compare struct {
	free map[string]bool
	mine map[string]engine.BookingID // bookings of ours, by the slot's source
}

// Receive implements system.Actor.
func (a *clinicActor) Receive(c *system.Context, msg any) {
	switch m := msg.(type) {
	case system.Restarted:
		system.Pipe(c, context.Background(), a.reload, func(open map[engine.SlotID]bool, err error) any { return reloaded{open, err} })
	case reloaded:
		a.reloaded(c, m)
	case slotIs:
		a.slot(m)
	case order:
		a.changed(c, m)
	case healthIs:
		a.health(m.status)
	case compare:
		a.compare(m)
	}
}

type reloaded struct {
	open map[engine.SlotID]bool
	err  error
}

// reload finds the open slots again after a panic.
func (a *clinicActor) reload(ctx context.Context) (map[engine.SlotID]bool, error) {
	open := map[engine.SlotID]bool{}
	err := a.r.scan(ctx, a.c.ID, storage.KindSlot, func(rec storage.Record) error {
		s, err := decodeSlot(rec)
		if unfinished(s) {
			open[s.Slot.ID] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return open, a.r.redeliver(ctx, a.c, syncOrders)
}

func (a *clinicActor) reloaded(c *system.Context, m reloaded) {
	if m.err != nil {
		c.After(time.Second, system.Restarted{})
		return
	}
	for id := range m.open {
		a.open[id] = true
	}
	a.c.sync.Send(tellHealth{})
}

// changed takes a change of the record system. It is done when the slot's commit says so, or at
// once when it concerns no slot of ours.
func (a *clinicActor) changed(c *system.Context, o order) {
	fact := *o.Fact
	id := engine.NewSlotID(a.c.ID, fact.Source, fact.Start)
	_, known := a.r.where.Load(id)
	if o.Do == deedOccupied {
		if !known {
			a.done(c, o)
			return
		}
		ref := a.r.slots.Ref(id)
		if o.Booking != "" && o.Why == "taken" { // our own write, seen in the record system
			ref.Send(slotInput{in: slot.BookingAccepted{Booking: o.Booking}, done: o.ID})
			return
		}
		ref.Send(slotInput{in: slot.Taken{Why: o.Why}, done: o.ID})
		return
	}
	a.r.where.Store(id, a.c)
	opened := slot.Opened{
		Slot: engine.Slot{
			ID: id, Clinic: a.c.ID, Source: fact.Source, Practitioner: fact.Practitioner, Place: fact.Place,
			Specialty: a.specialty(fact), Start: fact.Start, End: fact.End,
		},
		Grace: a.c.Policy.Grace, Depth: o.Depth, Parent: o.Parent,
		Suspended: a.status == health.Suspended || a.status == health.Checking,
	}
	if o.Depth > 0 {
		opened.Grace = 0 // we gave it up ourselves: there is no edit to wait for
	}
	a.r.slots.Ref(id).Send(slotInput{in: opened, done: o.ID, changedAt: fact.Changed})
}

// specialty is the slot's own, or its practitioner's.
func (a *clinicActor) specialty(f engine.SlotFact) engine.Specialty {
	if f.Specialty != "" {
		return f.Specialty
	}
	for _, p := range a.c.Practitioners {
		if p.ID == f.Practitioner {
			return p.Specialty
		}
	}
	return ""
}

// slot notes a slot that came or went. One that came while the health changed is told how it stands.
func (a *clinicActor) slot(m slotIs) {
	switch {
	case !m.open:
		delete(a.open, m.id)
	case !a.open[m.id]:
		a.open[m.id] = true
		switch a.status {
		case health.Healthy:
			a.r.slots.Ref(m.id).Send(slotInput{in: slot.Resume{}})
			a.r.slots.Ref(m.id).Send(gateOpened{})
		case health.Suspended:
			a.r.slots.Ref(m.id).Send(slotInput{in: slot.Suspend{}})
		case health.Starting, health.Checking:
		}
	}
	a.r.opt.Metrics.OpenSlots(a.c.ID, len(a.open))
	a.c.calendar.Send(openIs{len(a.open)})
}

func (a *clinicActor) done(c *system.Context, o order) {
	b := storage.Batch{Done: []storage.EffectKey{{Clinic: a.c.ID, ID: o.ID}}}
	a.r.commit(c, b, func(error) any { return nil })
}

func (a *clinicActor) health(s health.Status) {
	if s == a.status {
		return
	}
	a.status = s
	a.c.gate.Store(s == health.Healthy)
	switch s {
	case health.Suspended:
		a.each(slotInput{in: slot.Suspend{}})
	case health.Healthy:
		a.each(gateOpened{})
	case health.Starting, health.Checking:
	}
}

func (a *clinicActor) each(msg any) {
	for id := range a.open {
		a.r.slots.Ref(id).Send(msg)
	}
}

// compare holds every open slot against the record system: those that are not free there end,
// the others go on. The record system's word comes before anything is sent.
func (a *clinicActor) compare(m compare) {
	for id := range a.open {
		a.r.slots.Ref(id).Send(m)
	}
	a.c.sync.Send(compared{})
}
