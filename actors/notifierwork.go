package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/reach"
	"relais/storage"
)

// mostSeen is how many orders are remembered: more than one offer ever gets.
const mostSeen = 32

// step decides on one or more inputs at once, and commits.
func (a *notifier) step(c *system.Context, w offerWork) {
	now := time.Now().UTC() // not rounded: a time before Wake would wake the offer again and again
	w.next = offerRecord{State: a.record.State, Seen: a.record.Seen}
	for _, in := range w.in {
		s, effects, err := reach.Step(w.next.State, in, now, a.c.Policy)
		if err != nil {
			if w.receipt != nil {
				w.receipt.Reply(struct{}{}, err)
				return
			}
			a.r.opt.Logger.Warn("offer refuses an input", "offer", a.id, "error", err)
			continue
		}
		w.next.State = s
		w.effects = append(w.effects, effects...)
	}
	changed := w.next.State.Version != a.record.State.Version
	if !changed && w.done == "" {
		a.finish(c, w)
		return
	}
	if w.done != "" {
		w.next.Seen = append(slices.Clone(w.next.Seen), w.done)
		w.next.Seen = w.next.Seen[max(0, len(w.next.Seen)-mostSeen):]
	}
	b := a.batch(&w, now)
	a.phase = committing
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) ([]storage.Record, error) {
		err := a.r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) {
			return a.r.reread(ctx, b), err
		}
		return nil, err
	}, func(fresh []storage.Record, err error) any { return offerWritten{w, err, fresh} })
}

func (a *notifier) batch(w *offerWork, now time.Time) storage.Batch {
	b := storage.Batch{}
	if w.next.State.Offer != "" { // an order for somebody who left is only marked as done
		b.Puts = append(b.Puts, storage.Put{Key: a.key(), Expect: a.version, Data: encode(w.next)})
	}
	if w.done != "" {
		b.Done = []storage.EffectKey{{Clinic: a.c.ID, ID: w.done}}
	}
	for _, e := range w.effects {
		switch e := e.(type) {
		case reach.Exhausted:
			o := order{ID: orderID(string(a.id), a.version+1, len(w.orders)), Do: deedUnreachable, Slot: a.id.Slot(), Offer: a.id, At: now}
			w.orders = append(w.orders, o)
			b.Effects = append(b.Effects, o.effect(a.c.ID))
		case reach.BadContact:
			p, version, _ := a.r.waitlist.patient(w.next.State.Person.Patient)
			if p, ok := withBadContact(p, w.next.State.Person, e, now); ok {
				b.Puts = append(b.Puts, storage.Put{Key: patientKey(p), Expect: version, Data: encode(p)})
				w.contact = append(w.contact, stored[engine.Patient]{p, version + 1})
			}
		case reach.Outcome:
			b.Events = append(b.Events, storage.Event{
				Clinic: a.c.ID, Subject: string(a.id.Slot()), At: now,
				Data: encode(eventData{Event: "delivery", Offer: a.id, Detail: map[string]string{
					"channel": string(e.Channel), "kind": string(e.Kind), "status": string(e.Status), "reason": string(e.Reason),
				}}),
			})
		case reach.Send, reach.Abort, reach.Proven, reach.Look, reach.Settled, reach.Duplicate, reach.LeftLate, reach.Judged:
		}
	}
	return b
}

// withBadContact marks the contact that the carrier refused, wherever it stands in the patient's
// list by now.
func withBadContact(p engine.Patient, was reach.Person, bad reach.BadContact, now time.Time) (engine.Patient, bool) {
	if bad.Contact < 0 || bad.Contact >= len(was.Contacts) {
		return p, false
	}
	known := was.Contacts[bad.Contact]
	p.Contacts = slices.Clone(p.Contacts)
	found := false
	for i, c := range p.Contacts {
		if c.Channel != known.Channel || c.Phone != known.Phone || c.Email != known.Email || !c.Usable() {
			continue
		}
		found = true
		if bad.Reason == engine.OptedOut {
			p.Contacts[i].OptedOut = now
		} else {
			p.Contacts[i].Bad, p.Contacts[i].BadAt = bad.Reason, now
		}
	}
	return p, found
}

func (a *notifier) written(c *system.Context, m offerWritten) {
	w := m.work
	if m.err == nil {
		if w.next.State.Offer != "" {
			a.version++
		}
		for _, p := range w.contact {
			a.r.waitlist.putPatient(p.value, p.version)
		}
		a.finish(c, w)
		return
	}
	moved := false
	for _, rec := range m.fresh {
		var p engine.Patient
		switch {
		case rec.Key == a.key():
			moved = rec.Version != a.version
		case rec.Key.Kind == storage.KindPatient && json.Unmarshal(rec.Data, &p) == nil:
			a.r.waitlist.putPatient(p, rec.Version)
		}
	}
	if errors.Is(m.err, storage.ErrStale) && !moved { // the patient was changed at the same moment
		a.step(c, offerWork{in: w.in, done: w.done, receipt: w.receipt})
		return
	}
	// Whether a commit that failed took place is not known, so the store is read first. What was to
	// be done then goes before everything that came after it.
	a.phase = unloaded
	switch {
	case w.receipt != nil:
		w.receipt.Reply(struct{}{}, unavailable(m.err)) // the carrier will say it again
	case engine.CodeOf(m.err) == engine.Invalid:
		a.r.opt.Logger.Error("an offer's change is beyond the store's limits", "offer", a.id, "error", m.err)
	default:
		a.queue = slices.Insert(a.queue, 0, any(offerInput{in: w.in, done: w.done}))
	}
	if moved {
		a.load(c)
		return
	}
	c.After(time.Second, reload{})
}

// finish makes a decision visible and carries it out.
func (a *notifier) finish(c *system.Context, w offerWork) {
	before := a.record.State
	a.record = w.next
	s := a.record.State
	a.gauge()
	if before.Offer == "" && s.Offer != "" {
		a.r.replies.know(a.c, s, a.r.waitlist.asking(s.Person.Patient, s.Offer))
	}
	if s.Closed {
		a.r.replies.over(a.id)
	}
	for _, o := range w.orders {
		a.r.carryOut(a.c, o)
	}
	if w.receipt != nil {
		w.receipt.Reply(struct{}{}, nil)
	}
	for _, e := range w.effects {
		switch e := e.(type) {
		case reach.Send:
			a.ask(c, e.Delivery)
		case reach.Abort:
			a.abort(c, e)
		case reach.Proven:
			a.r.opt.Metrics.Reached(e.Channel, e.After)
		case reach.Outcome:
			a.r.opt.Metrics.Delivery(e.Channel, e.Kind, e.Status, e.Reason)
		case reach.Look:
			a.look(c, e.Delivery)
		case reach.Settled:
			a.r.opt.Metrics.Settled(e.Channel, e.Expired)
		case reach.Duplicate:
			a.r.opt.Metrics.Duplicate(e.Channel)
		case reach.LeftLate:
			a.r.opt.Metrics.LeftLate(e.Channel)
		case reach.Judged:
			a.r.opt.Metrics.Judged(a.c.ID, e)
		case reach.BadContact:
			a.obey(c, e)
		case reach.Exhausted:
		}
	}
	a.arm(c)
}

// obey takes a carrier's word that a person opted out like the person's own: it holds everywhere.
func (a *notifier) obey(c *system.Context, bad reach.BadContact) {
	if bad.Reason != engine.OptedOut {
		return
	}
	contact := a.record.State.Person.Contacts[bad.Contact]
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.r.optOut(ctx, contact.Phone, contact.Email, true, "")
	}, func(_ struct{}, err error) any {
		if err != nil { // the patient's own contact is marked; the carrier will say it again of others
			a.r.opt.Logger.Warn("an opt-out that the carrier told could not be kept for others", "offer", a.id, "error", err)
		}
		return nil
	})
}
