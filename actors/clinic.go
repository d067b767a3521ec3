package actors

import (
	"context"
	"maps"
	"sync/atomic"
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
	open   map[engine.SlotID]engine.Slot
	status health.Status
	// compared are the open slots that were held against the record system since it was last
	// suspended.
	compared map[engine.SlotID]bool
	loading  bool     // after a panic: open is not complete yet
	held     *compare // came meanwhile
	pupil    pupil
	mailing  bool // the week's mail is being seen to
}

func newClinicActor(r *Relais, c *clinic) *clinicActor {
	return &clinicActor{
		r: r, c: c, open: map[engine.SlotID]engine.Slot{}, status: health.Starting, compared: map[engine.SlotID]bool{},
	}
}

// slotIs tells the clinic actor that a slot is under way, or over. A slot actor that was made anew
// says so again.
type slotIs struct {
	slot engine.Slot
	open bool
}

// healthIs tells it how the record system's trust stands.
type healthIs struct{ status health.Status }

// compare asks it to hold every open slot against what the record system shows, after a full look.
type compare struct {
	seen map[engine.SlotID]standingThere
}

// standingThere is a slot as the record system has it; the zero value is one that is gone.
type standingThere struct {
	free bool
	why  string           // why it is not free, as slot.Taken has it
	mine engine.BookingID // the booking of ours on it
}

// Receive implements system.Actor.
func (a *clinicActor) Receive(c *system.Context, msg any) {
	a.c = a.c.present()
	switch m := msg.(type) {
	case system.Restarted:
		a.loading = true
		r, of := a.r, a.c
		system.Pipe(c, context.Background(), func(ctx context.Context) (map[engine.SlotID]engine.Slot, error) { return r.reload(ctx, of) }, func(open map[engine.SlotID]engine.Slot, err error) any { return reloaded{open, err} })
	case reloaded:
		a.reloaded(c, m)
	case slotIs:
		a.slot(m)
	case order:
		if m.Do == deedLearn {
			a.toLearn(c, m)
			return
		}
		a.changed(c, m)
	case notDone:
		c.After(time.Second, m.order)
	case begin:
		c.After(tidyFirst, tidy{})
		c.After(weeklyFirst, weekly{})
		a.wakeUp(c)
	case alarm:
		a.wakeUp(c)
	case tidy:
		a.tidy(c)
	case weekly:
		a.weekly(c)
	case weeklyDone:
		a.mailing = false
	case learnedFrom:
		a.learned(c, m)
	case learnAgain:
		a.relearn(c)
	case []order:
		a.relearned(c, m)
	case healthIs:
		a.health(m.status)
	case compare:
		a.compare(m)
	case follow:
		for id := range a.open {
			a.r.slots.Ref(id).Send(m)
		}
	}
}

type reloaded struct {
	open map[engine.SlotID]engine.Slot
	err  error
}

// reload finds the open slots again after a panic.
func (r *Relais) reload(ctx context.Context, c *clinic) (map[engine.SlotID]engine.Slot, error) {
	open := map[engine.SlotID]engine.Slot{}
	err := r.scan(ctx, c.ID, storage.KindSlot, func(rec storage.Record) error {
		s, err := decodeSlot(rec)
		if unfinished(s) {
			open[s.Slot.ID] = s.Slot
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return open, r.redeliver(ctx, c, func(o order) bool { return o.Do == deedFreed || o.Do == deedOccupied || o.Do == deedLearn })
}

func (a *clinicActor) reloaded(c *system.Context, m reloaded) {
	if m.err != nil {
		c.After(time.Second, system.Restarted{})
		return
	}
	maps.Copy(a.open, m.open)
	a.loading = false
	if a.held != nil {
		a.compare(*a.held)
		a.held = nil
	}
	if a.status == health.Healthy {
		for id, s := range m.open {
			if !a.compared[id] {
				a.c.sync.Send(compareOne{s})
			}
		}
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
			Specialty: a.c.specialty(fact), Start: fact.Start, End: fact.End,
		},
		Grace: a.c.Policy.Grace, Depth: o.Depth, Parent: o.Parent,
		Suspended: a.status == health.Suspended || a.status == health.Checking,
	}
	if o.Depth > 0 {
		opened.Grace = 0 // we gave it up ourselves: there is no edit to wait for
	}
	if o.Current != nil { // it is cancelled, by us or by hand
		a.r.slots.Ref(o.Parent).Send(slotInput{in: slot.GivenUp{Appointment: o.Current.Source}})
	}
	a.r.slots.Ref(id).Send(slotInput{in: opened, done: o.ID, changedAt: fact.Changed})
}

// specialty is the slot's own, or its practitioner's.
func (c *clinic) specialty(f engine.SlotFact) engine.Specialty {
	if f.Specialty != "" {
		return f.Specialty
	}
	if p := c.staff[f.Practitioner]; p != nil {
		return p.Specialty
	}
	return ""
}

// slot notes a slot that came or went. One that came after the others were compared is compared too.
func (a *clinicActor) slot(m slotIs) {
	id := m.slot.ID
	if m.open {
		a.open[id] = m.slot
		delete(a.compared, id)
		if a.status == health.Healthy {
			a.c.sync.Send(compareOne{m.slot})
		}
	} else {
		delete(a.open, id)
		delete(a.compared, id)
	}
	a.r.opt.Metrics.OpenSlots(a.c.ID, len(a.open))
	a.c.calendar.Send(openIs{len(a.open)})
}

func (a *clinicActor) done(c *system.Context, o order) {
	b := storage.Batch{Done: []storage.EffectKey{{Clinic: a.c.ID, ID: o.ID}}}
	a.r.commit(c, b, func(err error) any {
		if err != nil {
			return notDone{o}
		}
		return nil
	})
}

// notDone says that it could not be kept that an order is done: it is taken again.
type notDone struct{ order order }

// gates numbers the openings of all gates.
var gates atomic.Uint64

func (a *clinicActor) health(s health.Status) {
	if s == a.status {
		return
	}
	a.status = s
	if s != health.Healthy {
		a.c.gate.Store(0)
	}
	switch s {
	case health.Suspended:
		clear(a.compared)
		for id := range a.open {
			a.r.slots.Ref(id).Send(slotInput{in: slot.Suspend{}})
		}
	case health.Healthy:
		gate := gates.Add(1)
		a.c.gate.Store(gate)
		for id, s := range a.open {
			if a.compared[id] {
				a.r.slots.Ref(id).Send(gateOpened{gate})
			} else { // it came since the comparison
				a.c.sync.Send(compareOne{s})
			}
		}
	case health.Starting:
		clear(a.compared)
	case health.Checking:
	}
}

// compare holds every open slot against the record system: those that are not free there end,
// the others go on. The record system's word comes before anything is sent: a slot takes the
// comparison before it hears that the gate is open.
func (a *clinicActor) compare(m compare) {
	if a.loading {
		a.held = &m
		return
	}
	for id := range a.open {
		a.compared[id] = true
		a.r.slots.Ref(id).Send(m)
	}
	a.c.sync.Send(compared{})
}
