package actors

import (
	"context"
	"sync/atomic"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/reach"
	"relais/engine/wording"
)

// courtesyWait is how long a courtesy waits before it looks again whether it may leave.
const courtesyWait = 10 * time.Second

// about says whether a message concerns an open offer, so that it must not leave once that is over.
func about(k engine.MessageKind) bool { return k == engine.MsgOffer || k == engine.MsgReminder }

// askAgainAfter is how long the slot's word may take: it is lost when the slot's actor fails.
const askAgainAfter = 5 * time.Second

// ask asks the slot whether an offer's message may leave; other messages go at once.
func (a *notifier) ask(c *system.Context, id engine.AttemptID) {
	d, ok := a.delivery(id)
	if !ok || d.Status != reach.Sending {
		return
	}
	if out := a.optOuts(); out != nil { // the word of it has not come here yet
		later := reach.Handed{Attempt: id, Outcome: engine.Outcome{Status: engine.Failed, Reason: engine.Dropped, Retry: true}}
		a.queue = append(a.queue, offerInput{in: append(out, later)})
		return
	}
	if about(d.Kind) {
		a.asked[id] = true
		a.r.slots.Ref(a.id.Slot()).Send(leaveAsk{a.id, id, c.Self()})
		c.After(askAgainAfter, askAgain{id})
		return
	}
	if (d.Kind == engine.MsgTaken || d.Kind == engine.MsgWithdrawn || d.Kind == engine.MsgEnded) && a.c.opening() == 0 {
		// A courtesy can wait until the record system is trusted again; only answers cannot.
		a.queue = append(a.queue, handed(id, engine.Outcome{
			Status: engine.Failed, Reason: engine.Dropped, Retry: true, Wait: courtesyWait,
		}))
		return
	}
	a.send(c, d)
}

func (a *notifier) leave(c *system.Context, m mayLeave) {
	d, ok := a.delivery(m.attempt)
	if !ok || d.Status != reach.Sending || !a.asked[m.attempt] { // asked twice, answered twice
		return
	}
	delete(a.asked, m.attempt)
	switch m.verdict {
	case leaveYes:
		a.send(c, d)
		return
	case leaveLater:
		a.queue = append(a.queue, handed(d.ID, engine.Outcome{
			Status: engine.Failed, Reason: engine.Dropped, Retry: true, Wait: time.Second,
		}))
	case leaveNever:
		a.queue = append(a.queue, handed(d.ID, engine.Outcome{Status: engine.Failed, Reason: engine.Dropped}))
	}
	a.next(c)
}

func handed(id engine.AttemptID, o engine.Outcome) offerInput {
	return offerInput{in: []reach.Input{reach.Handed{Attempt: id, Outcome: o}}}
}

// sendWithin bounds one call of a carrier.
const sendWithin = 30 * time.Second

func (a *notifier) send(c *system.Context, d reach.Delivery) {
	m := a.message(d)
	sender := a.r.opt.Senders[d.Channel]
	still, left := a.still(d), new(atomic.Int64)
	m.Still = func() bool {
		ok := still()
		if ok {
			left.Store(time.Now().UnixNano())
		}
		return ok
	}
	ctx, cancel := context.WithTimeout(context.Background(), sendWithin)
	first := d.Kind == engine.MsgOffer
	system.PipeOn(a.r.sends, c, ctx, func(ctx context.Context) (engine.Outcome, error) {
		defer cancel()
		if !m.Still() {
			return engine.Outcome{Status: engine.Failed, Reason: engine.Dropped}, nil
		}
		return sender.Send(ctx, m), nil
	}, func(o engine.Outcome, err error) any {
		cancel()
		if err != nil { // it never got its turn, or failed inside: certain only when it never ran
			o = engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}
			if engine.CodeOf(err) != engine.Internal {
				o = engine.Outcome{Status: engine.Failed, Reason: engine.RateLimited, Retry: true}
			}
		}
		if o.Status == engine.Failed && o.Reason == engine.Dropped {
			o.Retry = true // held back by still; an offer that is over drops it for good
		}
		if first && o.Status == engine.Accepted {
			a.r.slots.Ref(a.id.Slot()).Send(firstLeft{time.Now()})
		}
		h := reach.Handed{Attempt: d.ID, Outcome: o}
		if at := left.Load(); at != 0 {
			h.Left = time.Unix(0, at).UTC()
		}
		return offerInput{in: []reach.Input{h}}
	})
}

// look asks the carrier what became of a delivery; what it says comes like every other receipt.
func (a *notifier) look(c *system.Context, id engine.AttemptID) {
	d, ok := a.delivery(id)
	looker, can := a.r.opt.Senders[d.Channel].(Looker)
	if !ok || !can {
		return
	}
	m := a.message(d)
	m.Handed = d.At
	ctx, cancel := context.WithTimeout(context.Background(), sendWithin)
	system.PipeOn(a.r.asks, c, ctx, func(ctx context.Context) (offerInput, error) {
		defer cancel()
		receipt, found, err := looker.Look(ctx, m, d.Ref)
		if err != nil || !found {
			a.r.opt.Metrics.Looked(d.Channel, false)
			return offerInput{}, err // asked again later
		}
		a.r.opt.Metrics.Looked(d.Channel, receipt.Status != engine.ReceiptAbsent)
		receipt.Attempt = id
		return offerInput{in: []reach.Input{reach.Receipt{Receipt: receipt}}}, nil
	}, func(in offerInput, err error) any {
		cancel()
		if err != nil {
			a.r.opt.Logger.Debug("a carrier could not be asked about a message", "offer", a.id, "error", err)
		}
		if in.in == nil {
			return nil
		}
		return in
	})
}

// still says, from any goroutine and to the last moment, whether a message may leave. For one about the
// offer it asks the slot's own word too, which does not hang on this actor being well.
func (a *notifier) still(d reach.Delivery) func() bool {
	contact, asks := a.record.State.Person.Contacts[d.Contact], about(d.Kind)
	open, c, waitlist, patient, id := a.open, a.c, a.r.waitlist, a.record.State.Person.Patient, a.id
	return func() bool {
		if waitlist.optedOut(patient, contact) || !a.r.stopped(contact).IsZero() {
			return false
		}
		return !asks || open.Load() && c.opening() != 0 && c.mode() != engine.Shadow && waitlist.asking(patient, id)
	}
}

// facts is what messages of this offer may say.
func (a *notifier) facts() wording.Facts { return a.r.facts(a.c, a.record.State) }

func (a *notifier) message(d reach.Delivery) engine.Message {
	s := a.record.State
	f := a.facts()
	if p, _, ok := a.r.waitlist.patient(s.Person.Patient); ok && d.Channel == engine.EmailMail {
		if token := a.r.ownToken(p, s.Person.Contacts[d.Contact], time.Now()); token != "" {
			f.Page = a.r.opt.Links.Own(token)
		}
	}
	m := wording.Note(d.Channel, s.Person.Lang, f, d.Text)
	if d.Kind != engine.MsgNote {
		m = wording.Message(d.Kind, d.Channel, s.Person.Lang, f)
	}
	m.Attempt, m.Clinic, m.Kind, m.Channel, m.Lang = d.ID, a.c.ID, d.Kind, d.Channel, s.Person.Lang
	contact := s.Person.Contacts[d.Contact]
	m.Phone, m.Email, m.Before = contact.Phone, contact.Email, s.Slot.Start
	m.Valid = max(time.Minute, time.Until(s.Deadline))
	if d.Channel == engine.EmailMail {
		m.Leave = f.Leave
		if d.Kind == engine.MsgBooked {
			m.Invite = a.r.opt.Invite(engine.NewBookingID(a.id), a.c.Clinic, s.Person.Lang, s.Slot.Start, s.Slot.End)
		}
	}
	return m
}

func (a *notifier) abort(c *system.Context, e reach.Abort) {
	s := a.record.State
	say := wording.Answer(answerFor(e.What), engine.Voice, s.Person.Lang, a.facts())
	if e.What == "" { // they answered elsewhere, and are told there
		say = wording.Message(engine.MsgOffer, engine.Voice, s.Person.Lang, a.facts()).Say.Goodbye
	}
	ctx, cancel := context.WithTimeout(context.Background(), sendWithin)
	system.PipeOn(a.r.sends, c, ctx, func(ctx context.Context) (struct{}, error) {
		defer cancel()
		return struct{}{}, a.r.opt.Caller.Abort(ctx, e.Ref, s.Person.Lang, say)
	}, func(_ struct{}, err error) any {
		cancel()
		if err != nil { // the call goes on by itself and its key presses get an honest answer
			a.r.opt.Logger.Warn("a call could not be ended", "offer", a.id, "error", err)
		}
		return nil
	})
}

func answerFor(k engine.MessageKind) engine.AnswerKind {
	if k == engine.MsgTaken {
		return engine.AnsTaken
	}
	return engine.AnsWithdrawn
}

// facts gathers what may be said about an offer.
func (r *Relais) facts(c *clinic, s reach.State) wording.Facts {
	f := wording.Facts{
		Clinic: c.Name, Address: c.Address, Phone: c.Phone, Start: s.Slot.Start, Deadline: s.Deadline, Zone: c.zone,
		Link: r.opt.Links.Offer(s.Token), Leave: r.opt.Links.Leave(s.Token),
		Own: c.Wording,
	}
	for _, p := range c.Places {
		if p.ID == s.Slot.Place && p.Address != "" {
			f.Address = p.Address
		}
	}
	if c.ShowDoctor {
		for _, p := range c.Practitioners {
			if p.ID == s.Slot.Practitioner {
				f.Doctor = p.Name
			}
		}
	}
	return f
}
