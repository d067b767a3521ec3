package reach

import (
	"slices"
	"time"

	"relais/engine"
)

// asks reports whether a message asks for an answer, so that it must not leave once the offer is
// over or answered.
func asks(k engine.MessageKind) bool { return k == engine.MsgOffer || k == engine.MsgReminder }

// courteous reports whether a message only says that the offer ended.
func (t *turn) courteous(k engine.MessageKind) bool { return t.Told != "" && k == t.Told }

// limit is when a message is not worth sending any more.
func (t *turn) limit(k engine.MessageKind) time.Time {
	if asks(k) {
		return t.Deadline
	}
	return t.Slot.Start
}

func (t *turn) held(d Delivery) bool { return t.Suspended && asks(d.Kind) }

func (t *turn) reachable(contact int) bool { return reachable(t.Person.Contacts, contact) }

// asking counts the offers and reminders.
func (t *turn) asking() int {
	n := 0
	for _, d := range t.Deliveries {
		if asks(d.Kind) {
			n++
		}
	}
	return n
}

// has reports whether a message of this kind was ever meant for the contact.
func (t *turn) has(k engine.MessageKind, contact int) bool {
	return slices.ContainsFunc(t.Deliveries, func(d Delivery) bool { return d.Kind == k && d.Contact == contact })
}

// leftOn reports whether the offer may have arrived on the contact.
func (t *turn) leftOn(contact int) bool {
	return slices.ContainsFunc(t.Deliveries, func(d Delivery) bool {
		return d.Kind == engine.MsgOffer && d.Contact == contact && d.Left && d.Status != Failed && d.Status != Dropped
	})
}

// failedOn reports whether the offer was tried on the contact and never arrived.
func (t *turn) failedOn(contact int) bool {
	return !t.leftOn(contact) && slices.ContainsFunc(t.Deliveries, func(d Delivery) bool {
		return d.Kind == engine.MsgOffer && d.Contact == contact && d.Status == Failed
	})
}

// opens returns when the delivery may leave from a moment on. Answers to a claim are free of
// hours, except by telephone.
func (t *turn) opens(d Delivery, from time.Time) (time.Time, bool) {
	if !asks(d.Kind) && !t.courteous(d.Kind) && d.Channel != engine.Voice {
		return from, true
	}
	if t.zone == nil {
		zone, err := time.LoadLocation(t.Person.Zone)
		if err != nil { // nobody can say what time it is there
			return time.Time{}, false
		}
		t.zone = zone
	}
	return hours{zone: t.zone, person: t.Person.Hours, calls: d.Channel == engine.Voice}.next(from)
}

// wanted reports whether the delivery still has a purpose and somewhere to go.
func (t *turn) wanted(d Delivery) bool { return t.pointless(d) == "" }

// pointless says why a delivery must not leave any more.
func (t *turn) pointless(d Delivery) engine.Reason {
	c := t.Person.Contacts[d.Contact]
	switch {
	case asks(d.Kind) && (t.Closed || t.Replied), t.passed(d.Kind):
		return engine.Dropped
	case !t.now.Before(t.limit(d.Kind)):
		return engine.TooLate
	case !c.OptedOut.IsZero():
		return engine.OptedOut
	case !t.reachable(d.Contact):
		return unless(c.Bad, engine.Dropped)
	}
	return ""
}

// plan brings what waits in line with what is known by now.
func (t *turn) plan() {
	for i := 0; i < len(t.Deliveries); i++ { // otherwise may append
		d := t.Deliveries[i]
		if d.Status != Queued {
			continue
		}
		if why := t.pointless(d); why != "" {
			t.set(i, Dropped, why)
			t.otherwise(d)
		}
	}
	t.call()
	for i := range t.Deliveries {
		d := &t.Deliveries[i]
		if d.Status != Queued || d.Due.After(t.now) {
			continue
		}
		switch at, ok := t.opens(*d, t.now); {
		case !ok || !at.Before(t.limit(d.Kind)):
			t.set(i, Dropped, engine.TooLate)
		case at.After(t.now): // its moment passed unused, and the hours with it
			d.Due = at
		}
	}
	t.exhaust()
}

// call plans the next call of the offer: the first when texts and e-mails do not seem to reach the
// person or bring no answer, the second when nobody picked up.
func (t *turn) call() {
	if t.Closed || t.Replied || t.Heard || !t.now.Before(t.Deadline) {
		return
	}
	queued, rang, last := -1, 0, -1
	for i, d := range t.Deliveries {
		if !asks(d.Kind) || d.Channel != engine.Voice {
			continue
		}
		switch d.Status {
		case Queued:
			queued = i
		case Sending, Unknown, Accepted, Sent, Answered, Delivered:
			return // under way, or they heard it; an unknown one must not be repeated
		case Machine, Failed:
			if d.Left {
				rang++
				last = i
			}
		case Dropped:
		}
	}
	if queued >= 0 {
		if d := &t.Deliveries[queued]; rang == 0 && d.Try == 1 {
			t.retime(d)
		}
		return
	}
	if rang >= maxCalls {
		return
	}
	if c := t.uncalled(); c >= 0 {
		due := t.now
		if rang == 0 {
			var ok bool
			if due, ok = t.escalates(); !ok {
				return
			}
		}
		t.queue(engine.MsgOffer, c, 1, due)
		return
	}
	if rang > 0 && t.reachable(t.Deliveries[last].Contact) {
		wait := betweenCalls
		if d := t.Deliveries[last]; d.Status == Failed && d.Reason == engine.CarrierDown {
			wait = againAfter / 2 // it never rang
		}
		t.queue(engine.MsgOffer, t.Deliveries[last].Contact, 2, t.now.Add(wait))
	}
}

// uncalled returns the first telephone that this offer has not called, -1 when there is none.
func (t *turn) uncalled() int {
	for i, c := range t.Person.Contacts {
		if c.Channel == engine.Voice && t.reachable(i) && !t.has(engine.MsgOffer, i) {
			return i
		}
	}
	return -1
}

// retime moves the first call with what became known of the texts.
func (t *turn) retime(d *Delivery) {
	due, ok := t.escalates()
	if !ok { // the texts are held back, and the call must not come with them
		due = t.now.Add(t.policy.VoiceAfter)
	}
	if !due.After(t.now) && !d.Due.After(t.now) {
		return
	}
	if due.Before(t.now) {
		due = t.now // the hours count from here
	}
	if due, ok = t.opens(*d, due); ok && due.Before(t.Deadline) {
		d.Due = due
	}
}

// escalates says when the first call is due, counted from when the first text or e-mail went to
// its carrier; ok is false while none did.
func (t *turn) escalates() (due time.Time, ok bool) {
	var from time.Time
	var proven, asked, texting, text, mail bool
	for _, d := range t.Deliveries {
		if d.Kind != engine.MsgOffer || d.Channel == engine.Voice {
			continue
		}
		asked = true
		if !d.At.IsZero() && (from.IsZero() || d.At.Before(from)) {
			from = d.At
		}
		proven = proven || d.Status == Delivered
		// What the slot held back for good did not fail: the end of the offer is on its way.
		live := d.Status != Failed && (d.Status != Dropped || d.Reason == engine.Dropped) && !t.lost(d)
		if d.Channel == engine.SMS {
			texting = true
			text = text || live
		} else {
			mail = mail || live
		}
	}
	hopeful := mail
	if texting { // an accepted e-mail proves too little to wait for when texts fail
		hopeful = text
	}
	switch {
	case !asked, !proven && !hopeful:
		return t.now, true
	case from.IsZero():
		return time.Time{}, false
	case proven:
		return from.Add(t.policy.VoiceReply), true
	default:
		return from.Add(t.policy.VoiceAfter), true
	}
}

// exhaust reports, once, that every message failed and nothing is left to try.
func (t *turn) exhaust() {
	if t.Reported || t.Closed || t.Replied || !t.now.Before(t.Deadline) {
		return
	}
	for _, d := range t.Deliveries {
		if asks(d.Kind) && d.Status != Failed && d.Status != Dropped {
			return
		}
	}
	t.Reported = true
	t.emit(Exhausted{})
}

// dispatch hands over what is due.
func (t *turn) dispatch() {
	for i := range t.Deliveries {
		d := &t.Deliveries[i]
		if d.Status == Queued && !t.held(*d) && !d.Due.After(t.now) {
			d.Status, d.At = Sending, t.now
			t.emit(Send{Delivery: d.ID})
		}
	}
}

// arm sets the time of the next Tick.
func (t *turn) arm() {
	var wake time.Time
	for _, d := range t.Deliveries {
		if d.Status == Queued && !t.held(d) && (wake.IsZero() || d.Due.Before(wake)) {
			wake = d.Due
		}
		if at, ok := lookAt(d); ok && (wake.IsZero() || at.Before(wake)) {
			wake = at
		}
	}
	if at := t.Started.Add(ProofWithin); !t.Judged && (wake.IsZero() || at.Before(wake)) {
		wake = at
	}
	if !wake.Equal(t.Wake) {
		t.Wake = wake
		t.Gen++
	}
}
