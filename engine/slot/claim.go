package slot

import (
	"strconv"

	"relais/engine"
)

// reply answers every reply of a known offer exactly once, whatever the phase.
func (t *turn) reply(in Reply) error {
	i, err := t.offer(in.Offer)
	if err != nil {
		return err
	}
	var kind engine.AnswerKind
	switch {
	case i < 0 && in.Yes:
		kind = engine.AnsExpired
	case i < 0:
		kind = engine.AnsDeclined
	case t.Offers[i].Status == Won && t.Phase == Booked:
		kind = engine.AnsBooked // a no as well: a booking is given up by talking to the clinic
	case t.Offers[i].Status == Won:
		kind = engine.AnsFinalising
	case !in.Yes:
		t.decline(i, in.Channel)
		kind = engine.AnsDeclined
	default:
		if kind = t.late(i); kind == "" {
			if in.Entry != nil {
				t.own()
				t.Offers[i].Current = GivesUp(*in.Entry, t.Slot)
			}
			t.claim(i, in.Channel)
			kind = engine.AnsFinalising
			break
		}
		t.noteLate(i, in.Channel, kind)
	}
	t.emit(Answer{Offer: in.Offer, Reply: in.ID, Kind: kind})
	return nil
}

// late says why a yes does not count, or "" when it does.
func (t *turn) late(i int) engine.AnswerKind {
	switch t.Offers[i].Status {
	case Refused:
		return engine.AnsRefused
	case Lost: // was told so; when the slot came back it went on to others
		return engine.AnsTaken
	case Pending, Declined, Unreached, Ended, Won:
	}
	switch t.Phase {
	case Claimed, Booked:
		return engine.AnsTaken
	case Closed:
		if t.Why == "taken" {
			return engine.AnsTaken
		}
		return engine.AnsWithdrawn
	case Freed, Approval, Offering:
		switch {
		case t.Offers[i].Status == Ended:
			return engine.AnsWithdrawn
		case !t.now.Before(t.Deadline):
			return engine.AnsExpired
		}
		return ""
	case None, Expired:
	}
	return engine.AnsExpired
}

// noteLate keeps the fact that a yes came too late, once per offer. An earlier no does not hide it.
func (t *turn) noteLate(i int, on engine.Channel, kind engine.AnswerKind) {
	o := t.Offers[i]
	if o.Status == Refused || (!o.Replied.IsZero() && o.Status != Declined) {
		return
	}
	t.change()
	t.own()
	if o.Status == Declined || o.Status == Unreached {
		t.Offers[i].Status = Ended
		if kind == engine.AnsTaken {
			t.Offers[i].Status = Lost
		}
	}
	t.Offers[i].Replied, t.Offers[i].By = t.now, on
	t.note(EvLate, o.ID, "answer", string(kind), "channel", string(on))
}

func (t *turn) decline(i int, on engine.Channel) {
	o := t.Offers[i]
	if !o.Replied.IsZero() {
		return
	}
	t.change()
	t.own()
	t.Offers[i].Replied, t.Offers[i].By = t.now, on
	if o.Status == Pending || o.Status == Unreached {
		t.Offers[i].Status = Declined
	}
	t.note(EvDeclined, o.ID, "channel", string(on))
	if o.Status == Pending {
		t.look()
	}
}

// GivesUp is the appointment that an entry gives up when it wins the slot: a later one, or nil.
func GivesUp(e engine.Entry, s engine.Slot) *engine.Appointment {
	if e.Current == nil || !e.Current.Start.After(s.Start) {
		return nil
	}
	return e.Current
}

// claim gives the slot to an offer. From here only the record system can say no.
func (t *turn) claim(i int, on engine.Channel) {
	t.change()
	t.own()
	o := &t.Offers[i]
	o.Status, o.Replied, o.By = Won, t.now, on
	t.Phase, t.Winner, t.Booking = Claimed, o.ID, engine.NewBookingID(o.ID)
	t.Forward = false
	t.arm(t.Deadline)
	t.emit(SettleEntry{Entry: o.Entry, Status: engine.Claimed})
	t.note(EvClaimed, o.ID, "channel", string(on))
	t.emit(WriteBooking{Booking: t.Booking, Entry: o.Entry, Patient: o.Patient})
	t.closeOffers(Lost, engine.MsgTaken)
}

// winner returns the index of the offer that the booking belongs to, or -1 when the answer is
// to another booking or came before.
func (t *turn) winner(b engine.BookingID) int {
	if t.Phase != Claimed || b != t.Booking {
		return -1
	}
	return t.find(t.Winner)
}

func (t *turn) accepted(in BookingAccepted) {
	i := t.winner(in.Booking)
	if i < 0 {
		return
	}
	o := t.Offers[i]
	t.end(Booked, "")
	t.emit(SettleEntry{Entry: o.Entry, Status: engine.Placed})
	t.note(EvBooked, o.ID, "appointment", in.Appointment)
	t.emit(Tell{Offer: o.ID, What: engine.MsgBooked, Channel: o.By})
	if o.Current != nil {
		// The earlier appointment is given up in any case; whether it goes round again is
		// decided where it is opened.
		t.Later = LaterAsked
		t.note(EvGivenUp, o.ID, "depth", strconv.Itoa(t.Depth+1))
		t.emit(CancelCurrent{Entry: o.Entry, Appointment: *o.Current, Depth: t.Depth + 1})
	}
}

// givenUp ends the story of the winner's later appointment, or asks somebody to. A cancellation that was
// refused and shows all the same, because somebody did it by hand, ends it too.
func (t *turn) givenUp(in GivenUp) {
	i := t.find(t.Winner)
	if i < 0 || t.Phase != Booked || t.Offers[i].Current == nil || t.Offers[i].Current.Source != in.Appointment {
		return // of an earlier opening, or not ours to give up yet
	}
	switch {
	case t.Later == LaterCancelled, t.Later == LaterSettled && in.Refused, t.Later == LaterRefused && in.Refused:
		return
	case in.Refused:
		t.change()
		t.Later = LaterRefused
		t.note(EvKept, t.Winner, "appointment", in.Appointment)
		t.emit(Alert{What: "cancel_refused"})
	default:
		t.change()
		t.Later = LaterCancelled
		t.note(EvCancelled, t.Winner, "appointment", in.Appointment)
	}
}

func (t *turn) refused(in BookingRefused) {
	i := t.winner(in.Booking)
	if i < 0 {
		return
	}
	o := t.Offers[i]
	t.own()
	t.Offers[i].Status = Refused
	t.Winner, t.Booking = "", ""
	if in.Free {
		t.change()
		t.Phase = t.begun() // a slot that was given away before anybody was asked starts where it was
		t.look()
	} else {
		t.end(Closed, "taken")
	}
	t.emit(SettleEntry{Entry: o.Entry, Status: engine.Waiting, Lost: true})
	t.note(EvRefused, o.ID)
	t.emit(Tell{Offer: o.ID, What: engine.MsgRefused, Channel: o.By}, Alert{What: "refused"})
}

// asked reports whether anybody was sent an offer in this opening.
func (t *turn) asked() bool {
	for _, o := range t.Offers {
		if o.Wave > 0 {
			return true
		}
	}
	return false
}
