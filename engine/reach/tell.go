package reach

import (
	"slices"

	"relais/engine"
)

// remind asks again wherever the offer seems to have arrived.
func (t *turn) remind() {
	if t.Replied || t.Closed || t.Reminded >= t.policy.Reminders {
		return
	}
	reminded := false
	for i := range t.Person.Contacts {
		if t.Person.Contacts[i].Channel == engine.Voice || !t.reachable(i) || !t.leftOn(i) {
			continue
		}
		// Neither twice at once, nor again what may have arrived without a word.
		waits := slices.ContainsFunc(t.Deliveries, func(d Delivery) bool {
			return d.Contact == i && (d.Status == Queued ||
				d.Kind == engine.MsgReminder && (d.Status == Sending || d.Status == Unknown))
		})
		if !waits && t.queue(engine.MsgReminder, i, 1, t.now) {
			reminded = true
		}
	}
	if reminded || t.remindByCall() {
		t.Reminded++
	}
}

// remindByCall calls once more somebody whom only calls reach.
func (t *turn) remindByCall() bool {
	calls, contact := 0, -1
	for _, d := range t.Deliveries {
		if d.Channel != engine.Voice || !asks(d.Kind) {
			if asks(d.Kind) && t.reachable(d.Contact) && t.leftOn(d.Contact) {
				return false // a text or e-mail reaches them, and is not repeated now
			}
			continue
		}
		switch d.Status {
		case Queued, Sending, Unknown, Accepted, Sent:
			return false
		case Machine, Answered, Delivered, Failed:
			if d.Left {
				calls++
			}
			if d.Status != Failed && t.reachable(d.Contact) {
				contact = d.Contact
			}
		case Dropped:
		}
	}
	return contact >= 0 && calls < maxCalls && t.queue(engine.MsgReminder, contact, 1, t.now)
}

func (t *turn) close(in Close) {
	if t.Closed {
		return
	}
	t.changed = true
	t.Closed, t.Told, t.ClosedAt = true, in.Tell, in.At.Round(0).UTC()
	if in.At.IsZero() {
		t.ClosedAt = t.now
	}
	if !t.Replied && t.ClosedAt.Before(t.Started.Add(ProofWithin)) {
		t.exclude(Withdrawn)
	}
	elsewhere := t.Replied && t.RepliedOn != engine.Voice // hung up then
	for i, d := range t.Deliveries {
		if !elsewhere && d.Channel == engine.Voice && asks(d.Kind) && (d.Status == Accepted || d.Status == Sent || d.Status == Answered) {
			t.abort(i)
		}
	}
	t.courtesy()
}

func (t *turn) abort(i int) {
	d := t.Deliveries[i]
	if d.Ref == "" {
		return
	}
	what := engine.MsgWithdrawn
	if t.Told == engine.MsgTaken {
		what = engine.MsgTaken
	}
	t.emit(Abort{Delivery: d.ID, Ref: d.Ref, What: what})
}

// courtesy tells whoever got the offer that it ended, once on each contact where it left.
func (t *turn) courtesy() {
	if t.Told == "" {
		return
	}
	for i := range t.Person.Contacts {
		if t.Person.Contacts[i].Channel != engine.Voice && t.reachable(i) && t.leftOn(i) && !t.has(t.Told, i) {
			t.queue(t.Told, i, 1, t.now)
		}
	}
}

// arrivedLate catches up with an offer's message that was at the carrier's door when the offer was
// closed, and got through.
func (t *turn) arrivedLate(i int, was DeliveryStatus) {
	d := t.Deliveries[i]
	if was == Sending || was == Unknown {
		t.hangUp(i)
	}
	if !t.Closed || !asks(d.Kind) || (was != Sending && was != Unknown) {
		return
	}
	if d.Channel == engine.Voice && (d.Status == Accepted || d.Status == Sent || d.Status == Answered) {
		t.abort(i)
	}
	t.courtesy()
}

// tell queues the outcome of a claim. It is for the person who answered, so it waits for nothing
// but, by telephone, for the hours of calls.
func (t *turn) tell(in Tell) {
	if in.What == "" || asks(in.What) || slices.ContainsFunc(t.Deliveries, func(d Delivery) bool {
		return d.Kind == in.What && d.Status != Failed && d.Status != Dropped
	}) {
		return
	}
	c := t.bestFor(in.What)
	if c < 0 || t.passed(in.What) || in.What == engine.MsgFinalising && t.Person.Contacts[c].Channel == engine.Voice {
		return // nobody is called to hear that they will be called
	}
	due := t.now
	if t.Person.Contacts[c].Channel == engine.Voice {
		if t.Said == in.What {
			return // they heard it when they answered
		}
		if in.On == engine.Voice || in.On == engine.Page {
			due = due.Add(saidWithin) // what they are being told just now may be this
		}
	}
	if !t.queue(in.What, c, 1, due) {
		return
	}
	if in.What != engine.MsgBooked || t.Person.Contacts[c].Channel != engine.SMS {
		return
	}
	if mail := t.best(engine.EmailMail, in.What); mail >= 0 { // carries the calendar file
		t.queue(in.What, mail, 1, t.now)
	}
}

// passed reports whether a message says that something is under way whose end was told.
func (t *turn) passed(k engine.MessageKind) bool {
	return k == engine.MsgFinalising && slices.ContainsFunc(t.Deliveries, func(d Delivery) bool {
		return d.Kind == engine.MsgBooked || d.Kind == engine.MsgRefused
	})
}

// otherwise tells the outcome of a claim on the next contact, when it cannot be told on this one.
func (t *turn) otherwise(d Delivery) {
	if asks(d.Kind) || t.courteous(d.Kind) || d.Kind == engine.MsgNote || d.Kind == engine.MsgFinalising {
		return
	}
	for _, o := range t.Deliveries {
		if o.Kind == d.Kind && o.Status != Failed && o.Status != Dropped {
			return
		}
	}
	if c := t.bestFor(d.Kind); c >= 0 && !(t.Said == d.Kind && t.Person.Contacts[c].Channel == engine.Voice) {
		t.queue(d.Kind, c, 1, t.now)
	}
}

// bestFor returns the contact to tell something on that was not told there yet: a text, else an
// e-mail, else a call; -1 when there is none. Where the offer failed comes second.
func (t *turn) bestFor(kind engine.MessageKind) int {
	for _, ch := range []engine.Channel{engine.SMS, engine.EmailMail} {
		if i := t.best(ch, kind); i >= 0 && !t.failedOn(i) {
			return i
		}
	}
	for _, ch := range []engine.Channel{engine.SMS, engine.EmailMail, engine.Voice} {
		if i := t.best(ch, kind); i >= 0 {
			return i
		}
	}
	return -1
}

// best returns a contact of the channel that was not told yet, if possible one on which the offer
// did not fail.
func (t *turn) best(ch engine.Channel, kind engine.MessageKind) int {
	second := -1
	for i, c := range t.Person.Contacts {
		if c.Channel != ch || !t.reachable(i) || t.has(kind, i) {
			continue
		}
		if !t.failedOn(i) {
			return i
		}
		if second < 0 {
			second = i
		}
	}
	return second
}
