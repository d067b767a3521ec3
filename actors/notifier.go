package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/reach"
	"relais/storage"
)

// offerRecord is an offer's messages as they are stored. Seen names the orders of the outbox that
// were taken, newest last, because one may be delivered twice.
type offerRecord struct {
	State reach.State `json:"state"`
	Seen  []string    `json:"seen,omitempty"`
}

// notifier owns the messages of one offer.
type notifier struct {
	r       *Relais
	c       *clinic
	id      engine.OfferID
	record  offerRecord
	version uint64
	phase   load
	queue   []any
	cancel  func()
	known   bool                      // it was loaded before
	again   bool                      // what was promised must be carried out again after the next load
	asked   map[engine.AttemptID]bool // waiting for the slot's word
	open    *atomic.Bool              // false: an offer's message that waits at a carrier's door must not leave
	closing bool                      // an order to close was heard, and hush: the last word on suspension
	hush    bool
}

type (
	preloadOffer struct {
		record  offerRecord
		version uint64
	}
	loadedOffer struct {
		preloadOffer
		err error
	}
	// askAgain asks the slot again when its word was lost.
	askAgain struct{ attempt engine.AttemptID }
	// suspension says whether the slot lets messages leave.
	suspension struct{ on bool }
	// mayLeave is the slot's word on one message.
	mayLeave struct {
		attempt engine.AttemptID
		verdict leave
	}
	// offerInput is what the rules take together.
	offerInput struct {
		in   []reach.Input
		done string
	}
	receiptAsk   = system.Request[engine.Receipt, struct{}]
	offerAsk     = system.Request[readState, reach.State]
	offerWritten struct {
		work  offerWork
		err   error
		fresh []storage.Record // after storage.ErrStale
	}
	offerWork struct {
		in      []reach.Input // taken together, in one commit
		done    string
		next    offerRecord
		effects []reach.Effect
		orders  []order
		contact []stored[engine.Patient]
		receipt *receiptAsk
	}
)

// leave is a slot's word on whether a message may leave.
type leave uint8

const (
	leaveNever leave = iota
	leaveLater
	leaveYes
)

func newNotifier(r *Relais, id engine.OfferID) *notifier {
	return &notifier{r: r, id: id, open: new(atomic.Bool), asked: map[engine.AttemptID]bool{}}
}

// Receive implements system.Actor.
func (a *notifier) Receive(c *system.Context, msg any) {
	switch m := msg.(type) {
	case system.Started, system.Stopped:
	case system.Restarted:
		a.again = true
		a.load(c)
	case reload:
		if a.phase == unloaded {
			a.load(c)
		}
	case preloadOffer:
		if a.phase == unloaded {
			a.loaded(c, m)
		}
	case loadedOffer:
		if m.err != nil {
			a.phase = unloaded
			c.After(time.Second, reload{})
			return
		}
		a.loaded(c, m.preloadOffer)
	case offerWritten:
		a.phase = idle
		a.written(c, m)
		a.next(c)
	case mayLeave:
		a.leave(c, m)
	default:
		switch m := msg.(type) { // what waits for its turn at the carrier's door stays here at once
		case order:
			a.closing = a.closing || m.Do == deedClose
		case suspension:
			a.hush = m.on
		}
		a.gauge()
		if a.phase == unloaded || (a.phase == idle && a.c == nil) {
			a.load(c)
		}
		if a.phase != idle {
			a.queue = append(a.queue, m)
			return
		}
		a.take(c, m)
		a.next(c)
	}
}

func (a *notifier) key() storage.Key {
	return storage.Key{Clinic: a.c.ID, Kind: storage.KindOffer, ID: string(a.id)}
}

func (a *notifier) load(c *system.Context) {
	if a.c = a.r.clinicOf(a.id.Slot()); a.c == nil {
		a.phase = idle
		return
	}
	a.phase = loading
	again, known, version := a.again, a.known, a.version
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (p preloadOffer, err error) {
		rec, err := a.r.store.Get(ctx, a.key())
		switch {
		case err == nil:
			p.version = rec.Version
			err = json.Unmarshal(rec.Data, &p.record)
		case errors.Is(err, storage.ErrNotFound):
			err = nil
		}
		if err == nil && (again || (known && p.version != version)) {
			err = a.r.redeliver(ctx, a.c, func(o order) bool { return o.Offer == a.id && o.Do != deedBook })
		}
		return p, err
	}, func(p preloadOffer, err error) any { return loadedOffer{p, err} })
}

func (a *notifier) loaded(c *system.Context, p preloadOffer) {
	a.c = a.r.clinicOf(a.id.Slot())
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
		w := offerWork{in: append([]reach.Input{reach.Recovered{}}, a.optOuts()...)}
		if a.c.opening() == 0 { // the slot says when this ends
			w.in = append(w.in, reach.Suspend{})
		}
		a.step(c, w)
	}
	a.arm(c)
	a.next(c)
}

func (a *notifier) next(c *system.Context) {
	for a.phase == idle && len(a.queue) > 0 {
		m := a.queue[0]
		a.queue = a.queue[1:]
		a.take(c, m)
	}
	if a.phase == idle && len(a.queue) == 0 {
		a.queue = nil
		if a.record.State.Wake.IsZero() && !inFlight(a.record.State) {
			c.Idle()
		}
	}
}

func (a *notifier) take(c *system.Context, msg any) {
	if q, ok := msg.(*receiptAsk); ok && a.version == 0 {
		q.Reply(struct{}{}, engine.Errorf(engine.NotFound, "there is no such offer"))
		return
	}
	if a.c == nil {
		return // nobody opened that slot
	}
	switch m := msg.(type) {
	case order:
		a.order(c, m)
	case offerInput:
		if m.done != "" && slices.Contains(a.record.Seen, m.done) {
			return
		}
		a.step(c, offerWork{in: m.in, done: m.done})
	case askAgain:
		if a.asked[m.attempt] {
			a.ask(c, m.attempt)
		}
	case *receiptAsk:
		a.step(c, offerWork{in: []reach.Input{reach.Receipt{Receipt: m.Req}}, receipt: m})
	case *offerAsk:
		m.Reply(a.record.State, nil)
	case suspension:
		if m.on {
			a.step(c, offerWork{in: []reach.Input{reach.Suspend{}}})
		} else {
			a.step(c, offerWork{in: []reach.Input{reach.Resume{}}})
		}
	case wake:
		a.wake(c, m)
	}
}

func (a *notifier) wake(c *system.Context, m wake) {
	s := a.record.State
	if m.gen != s.Gen || s.Wake.IsZero() {
		return
	}
	if time.Now().Before(s.Wake) {
		a.arm(c)
		return
	}
	a.step(c, offerWork{in: []reach.Input{reach.Tick{Gen: m.gen}}})
}

// order takes what the slot decided about this offer.
func (a *notifier) order(c *system.Context, o order) {
	if a.c == nil || slices.Contains(a.record.Seen, o.ID) {
		return
	}
	w := offerWork{done: o.ID}
	switch o.Do {
	case deedStart:
		w.in = a.begin(o)
	case deedRemind:
		w.in = []reach.Input{reach.Remind{}}
	case deedClose:
		w.in = []reach.Input{reach.Close{Tell: o.Msg}}
	case deedTell:
		if a.version == 0 { // given at the desk: there never was an offer to close
			w.in = append(a.begin(o), reach.Close{})
		}
		w.in = append(w.in, reach.Replied{Channel: o.Channel}, reach.Tell{What: o.Msg, On: o.Channel})
	case deedNote:
		w.in = []reach.Input{reach.Note{Text: o.Text, Phone: o.Phone}}
	case deedBook, deedCancel, deedFreed, deedOccupied, deedUnreachable:
		return
	}
	a.step(c, w)
}

// begin gathers what the rules need to reach the person.
func (a *notifier) begin(o order) []reach.Input {
	p, _, ok := a.r.waitlist.patient(o.Patient)
	if !ok || o.Of == nil {
		return nil
	}
	person := reach.Person{
		Patient: p.ID, Lang: p.Lang, Zone: a.c.personZone(p).String(), Hours: a.c.Policy.Hours, Contacts: p.Contacts,
	}
	if p.Hours != nil {
		person.Hours = *p.Hours
	}
	return []reach.Input{reach.Begin{
		Offer: a.id, Clinic: a.c.ID, Slot: *o.Of, Person: person, Token: a.r.token(a.id), Deadline: o.Until,
	}}
}

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
		case reach.Send, reach.Abort, reach.Proven:
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

// gauge says to the messages at a carrier's door whether they may leave.
func (a *notifier) gauge() {
	s := a.record.State
	a.open.Store(s.Offer != "" && !s.Closed && !s.Suspended && !a.closing && !a.hush)
}

// optOuts are the channels that the person has left since this offer was made.
func (a *notifier) optOuts() []reach.Input {
	var out []reach.Input
	for _, was := range a.record.State.Person.Contacts {
		if was.OptedOut.IsZero() && a.r.waitlist.optedOut(a.record.State.Person.Patient, was) {
			out = append(out, reach.OptOut{Channel: was.Channel})
		}
	}
	return out
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
		case reach.Exhausted, reach.BadContact:
		}
	}
	a.arm(c)
}

func (a *notifier) arm(c *system.Context) {
	if a.cancel != nil {
		a.cancel()
		a.cancel = nil
	}
	if s := a.record.State; !s.Wake.IsZero() {
		a.cancel = c.At(s.Wake, wake{s.Gen})
	}
}

func (a *notifier) delivery(id engine.AttemptID) (reach.Delivery, bool) {
	for _, d := range a.record.State.Deliveries {
		if d.ID == id {
			return d, true
		}
	}
	return reach.Delivery{}, false
}
