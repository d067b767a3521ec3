package actors

import (
	"slices"

	"relais/actors/system"
	"relais/engine/reach"
)

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
		w.in = []reach.Input{reach.Close{Tell: o.Msg, At: o.At}}
	case deedTell:
		if a.version == 0 { // given at the desk: there never was an offer to close
			w.in = append(a.begin(o), reach.Close{})
		}
		w.in = append(w.in, reach.Replied{Channel: o.Channel}, reach.Tell{What: o.Msg, On: o.Channel})
	case deedNote:
		w.in = []reach.Input{reach.Note{Text: o.Text, Phone: o.Phone}}
	case deedBook, deedCancel, deedFreed, deedOccupied, deedUnreachable, deedLearn, deedConfirm, deedLetter, deedFind:
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
		Patient: p.ID, Lang: p.Speaks(), Zone: a.c.personZone(p).String(), Hours: a.c.Policy.Hours, Contacts: p.Reached(),
	}
	if p.Hours != nil {
		person.Hours = *p.Hours
	}
	return []reach.Input{reach.Begin{
		Offer: a.id, Clinic: a.c.ID, Slot: *o.Of, Person: person, Token: a.r.token(a.id), Deadline: o.Until,
	}}
}
