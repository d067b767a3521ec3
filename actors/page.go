package actors

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/engine/wording"
	"relais/storage"
)

// Script says what a call for an attempt says, while its offer is open; in the person's own language
// when lang is "".
func (r *Relais) Script(ctx context.Context, id engine.AttemptID, lang engine.Lang) (engine.Script, error) {
	over := engine.Errorf(engine.NotFound, "the offer is over")
	c := r.clinicOf(id.Offer().Slot())
	if c == nil {
		return engine.Script{}, over
	}
	state, err := r.offerState(ctx, id.Offer())
	if err != nil {
		return engine.Script{}, err
	}
	for _, d := range state.Deliveries {
		if d.ID != id || (about(d.Kind) && (state.Closed || state.Replied)) {
			continue
		}
		if m := wording.Message(d.Kind, engine.Voice, cmp.Or(lang, state.Person.Lang), r.facts(c, state)); m.Say != nil {
			return *m.Say, nil
		}
	}
	return engine.Script{}, over
}

// Called finds the offer that somebody who calls back is about: the newest of their telephone that waits
// for an answer, named by an attempt on it where there is one.
func (r *Relais) Called(ctx context.Context, from engine.Phone) (engine.AttemptID, error) {
	open, _, _ := r.replies.of(from)
	for _, k := range slices.Backward(open) {
		s, err := r.offerState(ctx, k.offer)
		if err != nil {
			return "", err
		}
		if s.Closed || s.Replied {
			continue
		}
		id := engine.AttemptID("")
		for _, d := range s.Deliveries {
			if theirs := s.Person.Contacts[d.Contact].Phone == from; about(d.Kind) && (id == "" || theirs) {
				id = d.ID
			}
		}
		if id != "" {
			return id, nil
		}
	}
	return "", engine.Errorf(engine.NotFound, "this telephone has no open offer")
}

// Offer is what a patient's page shows for a token.
func (r *Relais) Offer(ctx context.Context, token string) (desk.PatientView, error) {
	c, offer, err := r.byToken(ctx, token)
	if err != nil {
		return desk.PatientView{}, err
	}
	of, err := r.offerState(ctx, offer)
	if err != nil {
		return desk.PatientView{}, err
	}
	s, err := r.slotState(ctx, c, offer.Slot())
	if err != nil {
		return desk.PatientView{}, err
	}
	f := r.facts(c, of)
	v := desk.PatientView{
		State: standing(s, offer, time.Now()), Lang: of.Person.Lang, Clinic: f.Clinic, Address: f.Address, Phone: f.Phone,
		Doctor: f.Doctor, Start: of.Slot.Start, End: of.Slot.End, Deadline: of.Deadline, Zone: c.zone,
		Mail: slices.ContainsFunc(of.Person.Contacts, func(c engine.Contact) bool { return c.Email != "" && c.OptedOut.IsZero() }),
	}
	p, err := r.offered(of.Person.Patient)
	if err != nil {
		return v, nil //nolint:nilerr // taken off the list meanwhile: the offer is shown, and no page of theirs
	}
	v.Subject, v.Identity = r.subject(p), c.Identity && !p.Born.IsZero()
	for _, k := range p.Reached() {
		if k.Usable() && time.Now().Before(of.Slot.Start) {
			v.Own = r.ownToken(p, k, time.Now())
			break
		}
	}
	return v, nil
}

// CalendarFile is the calendar file of a booking, for the page of who won it; engine.NotFound while there
// is none.
func (r *Relais) CalendarFile(ctx context.Context, token string) ([]byte, error) {
	c, offer, err := r.byToken(ctx, token)
	if err != nil {
		return nil, err
	}
	of, err := r.offerState(ctx, offer)
	if err != nil {
		return nil, err
	}
	s, err := r.slotState(ctx, c, offer.Slot())
	if err != nil {
		return nil, err
	}
	if standing(s, offer, time.Now()) != engine.AnsBooked {
		return nil, engine.Errorf(engine.NotFound, "there is no booking of this offer")
	}
	place := c.Clinic
	place.Address = r.facts(c, of).Address
	return r.opt.Invite(engine.NewBookingID(offer), place, of.Person.Lang, of.Slot.Start, of.Slot.End), nil
}

func (r *Relais) slotState(ctx context.Context, c *clinic, id engine.SlotID) (slot.State, error) {
	rec, err := r.store.Get(ctx, storage.Key{Clinic: c.ID, Kind: storage.KindSlot, ID: string(id)})
	if errors.Is(err, storage.ErrNotFound) {
		return slot.State{}, engine.Errorf(engine.NotFound, "there is no such slot")
	}
	if err != nil {
		return slot.State{}, unavailable(err)
	}
	s, err := decodeSlot(rec)
	if err != nil {
		return slot.State{}, unavailable(err)
	}
	return s, nil
}

// standing is how an offer stands for its person; "" while it can be answered.
func standing(s slot.State, id engine.OfferID, now time.Time) engine.AnswerKind {
	i := slices.IndexFunc(s.Offers, func(o slot.Offer) bool { return o.ID == id })
	if i < 0 {
		return engine.AnsExpired
	}
	switch s.Offers[i].Status {
	case slot.Won:
		if s.Phase == slot.Claimed {
			return engine.AnsFinalising
		}
		return engine.AnsBooked
	case slot.Lost:
		return engine.AnsTaken
	case slot.Refused:
		return engine.AnsRefused
	case slot.Ended:
		switch {
		case s.Phase == slot.Closed && s.Why == "taken":
			return engine.AnsTaken
		case s.Phase == slot.Expired:
			return engine.AnsExpired
		}
		return engine.AnsWithdrawn
	case slot.Declined:
		if s.Phase == slot.Offering && now.Before(s.Deadline) {
			return engine.AnsDeclined
		}
		return engine.AnsTaken
	case slot.Pending, slot.Unreached:
	}
	switch {
	case !now.Before(s.Deadline):
		return engine.AnsExpired
	case s.Phase == slot.Offering:
		return ""
	}
	return engine.AnsTaken
}
