package slot

import (
	"slices"

	"relais/engine"
)

// staff lets a person at the front desk act on an opening that still looks for somebody.
func (t *turn) staff(in Staff) error {
	if in.Revision != 0 && in.Revision != t.Version {
		const sentence = "This slot changed meanwhile. Look at it again before you decide."
		if t.Hand != nil && t.Hand.Version > in.Revision && !t.Hand.At.IsZero() {
			return engine.ChangedBy(t.Hand.By, t.Hand.At, sentence)
		}
		return engine.Errorf(engine.Conflict, sentence)
	}
	var act func(Staff) error
	switch in.Action {
	case Approve:
		act = t.approve
	case Pause:
		act = t.pause
	case Unpause:
		act = t.unpause
	case SendNow:
		act = t.sendNow
	case Withdraw:
		act = t.withdraw
	case Give:
		act = t.give
	case Settle: // after the opening, when nothing stands any more
		return t.settle(in)
	default:
		return engine.Errorf(engine.Invalid, "There is no such action.")
	}
	if err := t.standing(); err != nil {
		return err
	}
	if err := act(in); err != nil {
		return err
	}
	t.by(in.By)
	return nil
}

// settle takes the desk's word that the appointment which the record system would not cancel is dealt with.
func (t *turn) settle(in Staff) error {
	if t.Later != LaterRefused {
		return refusal("Nothing is left to be settled here.")
	}
	t.change()
	t.Later = LaterSettled
	t.note(EvSettled, t.Winner)
	t.by(in.By)
	return nil
}

// standing says, in a sentence for the desk, why nothing can be done any more.
func (t *turn) standing() error {
	switch t.Phase {
	case Freed, Approval, Offering:
		if !t.now.Before(t.Deadline) {
			return refusal("This slot is too close: offers have ended.")
		}
		return nil
	case Claimed:
		return refusal("Somebody has already said yes to this slot; it is being booked.")
	case Booked:
		return refusal("This slot is already booked.")
	case Expired:
		return refusal("This slot is too close: offers have ended.")
	case Closed:
		return refusal("This slot is closed.")
	case None:
	}
	return refusal("This slot was not freed.")
}

func refusal(sentence string) error { return engine.Errorf(engine.Conflict, "%s", sentence) }

func (t *turn) approve(Staff) error {
	if t.Phase != Approval {
		return refusal("This slot does not wait for approval.")
	}
	t.change()
	t.Phase, t.Approved = t.begun(), true
	t.look()
	t.note(EvApproved, "")
	return nil
}

func (t *turn) pause(Staff) error {
	if t.Paused {
		return refusal("This slot is already paused.")
	}
	t.change()
	t.Paused = true
	t.arm(t.Deadline)
	t.note(EvPaused, "")
	return nil
}

func (t *turn) unpause(Staff) error {
	if !t.Paused {
		return refusal("This slot is not paused.")
	}
	t.change()
	t.Paused = false
	t.look()
	t.note(EvUnpaused, "")
	return nil
}

func (t *turn) sendNow(Staff) error {
	switch {
	case t.mode == engine.Shadow:
		return refusal("The clinic is in shadow mode: nothing is sent.")
	case t.Phase == Approval:
		return refusal("This slot waits for approval.")
	case t.Suspended:
		return refusal("Nothing is sent while the record system cannot be trusted.")
	case t.Paused:
		return refusal("This slot is paused. Resume it first.")
	}
	t.change()
	t.HoldUntil = t.now
	t.Forward = true
	t.look()
	t.note(EvSendNow, "")
	return nil
}

func (t *turn) withdraw(Staff) error {
	t.end(Closed, "withdrawn")
	t.closeOffers(Ended, engine.MsgWithdrawn)
	t.note(EvWithdrawn, "")
	return nil
}

// give claims the slot for somebody who was asked by other means. The candidate's standing offer
// is used when there is one, so that one person never holds two offers of a slot.
func (t *turn) give(in Staff) error {
	c := in.For
	if c == nil || c.Entry == "" || c.Patient == "" {
		return engine.Errorf(engine.Invalid, "Say whom to book.")
	}
	i := slices.IndexFunc(t.Offers, func(o Offer) bool {
		return o.Entry == c.Entry && (o.Status == Pending || o.Status == Declined || o.Status == Unreached)
	})
	t.own()
	if i < 0 {
		i = len(t.Offers)
		t.Offers = append(t.Offers, t.newOffer(*c, 0)) // wave 0: nothing was sent
	}
	t.Offers[i].Current = c.Current // it may have moved since the offer
	t.claim(i, engine.Desk)
	return nil
}
