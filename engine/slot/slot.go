// Package slot is the life of one freed slot, as a pure function: Step takes what is and what
// happened and returns what is now and what is to be done.
//
// A slot is owned by one caller at a time (its actor); values are plain data. Step never changes
// its arguments. Deadlines are data in State: the caller wakes the slot at State.Wake with a Tick
// that carries State.Gen; a Tick of another generation does nothing.
package slot

import (
	"slices"
	"time"

	"relais/engine"
	"relais/engine/offer"
)

// Phase is where a slot stands.
type Phase string

// The phases. Expired and Closed end an opening; the record system may open the slot again.
const (
	None     Phase = ""         // nothing happened yet
	Freed    Phase = "freed"    // opened; nothing was sent yet
	Approval Phase = "approval" // waits for a clerk's approval
	Offering Phase = "offering" // people have been asked
	Claimed  Phase = "claimed"  // somebody said yes, durably; the record system has not answered yet
	Booked   Phase = "booked"   // the record system has the booking
	Expired  Phase = "expired"  // too close, nobody took it
	Closed   Phase = "closed"   // withdrawn by staff, taken in the record system, or gone there
)

// State is everything known of one slot. Version counts Steps that changed something.
type State struct {
	Slot      engine.Slot        `json:"slot"`
	Opening   int                `json:"opening"` // counts from 1
	Phase     Phase              `json:"phase"`
	Version   uint64             `json:"version"`
	OpenedAt  time.Time          `json:"opened_at"`
	HoldUntil time.Time          `json:"hold_until,omitzero"` // grace: no offer before
	Deadline  time.Time          `json:"deadline"`            // no offer and no yes from then on
	Approved  bool               `json:"approved,omitempty"`
	Paused    bool               `json:"paused,omitempty"`    // by staff
	Suspended bool               `json:"suspended,omitempty"` // by the clinic's health
	Wave      int                `json:"wave"`
	WaveAt    time.Time          `json:"wave_at,omitzero"` // of the last wave
	Reminded  int                `json:"reminded,omitempty"`
	Exhausted bool               `json:"exhausted,omitempty"` // nobody new fitted at one look or more
	Forward   bool               `json:"forward,omitempty"`   // by staff: the next wave does not wait for its time
	Offers    []Offer            `json:"offers,omitempty"`    // of this opening, in order
	Asked     []engine.PatientID `json:"asked,omitempty"`     // in earlier openings too: never asked again for this slot
	Winner    engine.OfferID     `json:"winner,omitempty"`
	Booking   engine.BookingID   `json:"booking,omitempty"`
	Why       string             `json:"why,omitempty"`    // why it was closed: withdrawn, or Taken.Why; of a booked slot, what the record system shows instead
	By        engine.UserID      `json:"by,omitempty"`     // who changed it last, when it was a person
	Hand      *Hand              `json:"hand,omitempty"`   // the last change that a person made; nil: none
	Depth     int                `json:"depth,omitempty"`  // in its chain; 0 is a plain cancellation
	Parent    engine.SlotID      `json:"parent,omitempty"` // the slot whose winner gave this one up
	Later     Later              `json:"later,omitempty"`  // what became of the winner's later appointment
	Mode      engine.Mode        `json:"mode,omitempty"`   // the clinic's, when this was opened or since the last ModeChanged
	Would     []Would            `json:"would,omitempty"`  // whom shadow mode would have asked first, in order
	Wake      time.Time          `json:"wake,omitzero"`
	Gen       uint64             `json:"gen"`
}

// Would is somebody who would have been asked if the clinic were not in shadow mode.
type Would struct {
	Entry   engine.EntryID   `json:"entry"`
	Patient engine.PatientID `json:"patient"`
	Channel engine.Channel   `json:"channel"`
}

// Later is what became of the later appointment that the winner gave up.
type Later string

// The values of Later; "" when there was none.
const (
	LaterAsked     Later = "asked"     // the record system is being asked to cancel it
	LaterCancelled Later = "cancelled" // it did
	LaterRefused   Later = "refused"   // it will not: somebody has to cancel it there by hand
	LaterSettled   Later = "settled"   // somebody at the desk says that this was done
)

// OfferStatus is where one offer stands.
type OfferStatus string

// The statuses of an offer.
const (
	Pending   OfferStatus = "pending"
	Declined  OfferStatus = "declined"
	Unreached OfferStatus = "unreached" // every channel failed
	Won       OfferStatus = "won"
	Lost      OfferStatus = "lost"    // somebody else was quicker
	Ended     OfferStatus = "ended"   // withdrawn or expired
	Refused   OfferStatus = "refused" // said yes first; the record system said no
)

// Offer is one slot proposed to one entry.
type Offer struct {
	ID      engine.OfferID      `json:"id"`
	Entry   engine.EntryID      `json:"entry"`
	Patient engine.PatientID    `json:"patient"`
	Channel engine.Channel      `json:"channel"` // the quickest one, for the policy's reply curves
	Current *engine.Appointment `json:"current,omitempty"`
	Wave    int                 `json:"wave"`
	At      time.Time           `json:"at"`
	Status  OfferStatus         `json:"status"`
	Replied time.Time           `json:"replied,omitzero"`
	By      engine.Channel      `json:"by,omitempty"` // channel of the reply
}

// Input is one thing that happened. The set is closed.
//
//sumtype:decl
type Input interface{ input() }

// Opened says that the record system freed the slot. Ignored while an opening is under way, and when the
// slot is too close, beyond the policy's horizon or too deep in its chain.
type Opened struct {
	Slot      engine.Slot
	Grace     time.Duration // how long to wait before anybody is asked
	Depth     int
	Parent    engine.SlotID
	Suspended bool // the clinic's record system cannot be trusted now: silent until Resume
}

// Tick says that the time State.Wake has come. Before Wake, or with another generation than State.Gen, it
// does nothing, so a caller whose timer fired early arms it again. Candidates are ranked,
// unasked, reachable now, and are looked up by the caller only when WantsCandidates says so.
// Rates are what the clinic learned of how often its offers are accepted; the zero value leaves that to
// the policy. Others counts, by match.Obstacle, the people of the list who cannot be asked; it is only read
// in shadow mode, for the timeline.
type Tick struct {
	Gen        uint64
	Candidates []engine.Candidate
	Rates      offer.Rates
	Others     map[string]int
}

// Reply says that a person answered an offer. ID is the carrier's identifier of the reply. Entry is the
// offer's entry as it is now, when the caller knows it: its appointment may have moved since the offer.
type Reply struct {
	Offer   engine.OfferID
	Yes     bool
	Channel engine.Channel
	ID      string
	Entry   *engine.Entry
}

// BookingAccepted says that the record system has the booking.
type BookingAccepted struct {
	Booking     engine.BookingID
	Appointment string
}

// BookingRefused says that the record system said no. Free tells whether the slot is still free there, so
// that it goes on.
type BookingRefused struct {
	Booking engine.BookingID
	Free    bool
}

// GivenUp is the record system's word on the winner's later appointment: it is cancelled, or the record
// system refuses to cancel it.
type GivenUp struct {
	Appointment string
	Refused     bool
}

// Taken says that the record system shows the slot occupied by something that is not our booking, or not
// bookable any more, or gone.
type Taken struct{ Why string } // "taken", "blocked", "gone", "moved"

// Suspend says that the clinic's record system cannot be trusted now.
type Suspend struct{}

// Resume says that the slot was checked against the record system and is still free (or still booked).
type Resume struct{}

// Unreachable says that every channel of the offer failed.
type Unreachable struct{ Offer engine.OfferID }

// EntryGone says that the entry of a pending offer left the list, opted out, won another slot or has an
// appointment that is as early. Tell says whether the person is told, and with which message.
type EntryGone struct {
	Entry engine.EntryID
	Tell  engine.MessageKind // MsgEnded, or "" for silence
}

// ModeChanged says that the clinic's mode is another than State.Mode now: the one that Step is given. Offers
// that were made stand and can be answered. By is who changed it; "" for the configuration.
type ModeChanged struct{ By engine.UserID }

// StaffAction is what a person at the front desk does to a slot.
type StaffAction string

// The actions.
const (
	Approve  StaffAction = "approve"
	Pause    StaffAction = "pause"
	Unpause  StaffAction = "resume"
	SendNow  StaffAction = "send_now" // ends the grace, or brings the next wave forward
	Withdraw StaffAction = "withdraw"
	Give     StaffAction = "book"   // to Staff.For, asked by other means
	Settle   StaffAction = "settle" // the later appointment that the record system would not cancel is dealt with
)

// Staff says that somebody at the front desk acts. Revision is the State.Version the person was looking
// at; 0 skips the check.
type Staff struct {
	Action   StaffAction
	By       engine.UserID
	Revision uint64
	For      *engine.Candidate // Give
}

func (Opened) input()          {}
func (Tick) input()            {}
func (Reply) input()           {}
func (BookingAccepted) input() {}
func (BookingRefused) input()  {}
func (GivenUp) input()         {}
func (Taken) input()           {}
func (Suspend) input()         {}
func (Resume) input()          {}
func (Unreachable) input()     {}
func (EntryGone) input()       {}
func (ModeChanged) input()     {}
func (Staff) input()           {}

// Effect is one thing to do. The set is closed. Effects are of three sorts: those that belong
// into the same commit as the state (SettleEntry, MarkOffered, Note), those that are carried out
// after the commit and at least once (StartOffer, Remind, CloseOffer, Tell, WriteBooking,
// CancelCurrent, Alert), and Answer, which goes to whoever is waiting and is lost in a crash.
//
//sumtype:decl
type Effect interface{ effect() }

// SettleEntry says that the entry's status changes with the slot's (same commit).
type SettleEntry struct {
	Entry  engine.EntryID
	Status engine.EntryStatus // Claimed, Placed, or Waiting again
	Lost   bool               // count a claim lost through no fault of the patient
}

// MarkOffered says that the patient was offered this slot (same commit).
type MarkOffered struct{ Patient engine.PatientID }

// Note is one line of the slot's timeline (same commit). Detail never holds personal data.
type Note struct {
	Event  string // closed list: see the Ev constants
	Offer  engine.OfferID
	By     engine.UserID
	Detail map[string]string
}

// StartOffer asks to tell this person.
type StartOffer struct{ Offer Offer }

// Remind asks to tell this person again.
type Remind struct{ Offer engine.OfferID }

// CloseOffer says that nothing more leaves for this offer. Tell says whether people who were told of the
// offer are told that it ended, and with which message.
type CloseOffer struct {
	Offer engine.OfferID
	Tell  engine.MessageKind // MsgTaken, MsgWithdrawn, MsgEnded, or "" for silence
}

// Tell is a message about the claim to the person who made it, on the channel of the reply first.
type Tell struct {
	Offer   engine.OfferID
	What    engine.MessageKind // MsgFinalising is for the caller to send when the answer takes long
	Channel engine.Channel
}

// WriteBooking asks to write the booking to the record system, until it accepts or refuses.
type WriteBooking struct {
	Booking engine.BookingID
	Entry   engine.EntryID
	Patient engine.PatientID
}

// CancelCurrent asks to cancel the appointment that the winner gave up, in the record system.
type CancelCurrent struct {
	Entry       engine.EntryID
	Appointment engine.Appointment
	Depth       int // of the opening that this will cause
}

// Alert asks a person at the clinic to look.
type Alert struct{ What string } // "exhausted", "expired", "refused", "cancel_refused"

// Answer is the honest answer to one reply.
type Answer struct {
	Offer engine.OfferID
	Reply string // Reply.ID
	Kind  engine.AnswerKind
}

func (SettleEntry) effect()   {}
func (MarkOffered) effect()   {}
func (Note) effect()          {}
func (StartOffer) effect()    {}
func (Remind) effect()        {}
func (CloseOffer) effect()    {}
func (Tell) effect()          {}
func (WriteBooking) effect()  {}
func (CancelCurrent) effect() {}
func (Alert) effect()         {}
func (Answer) effect()        {}

// The events of a slot's timeline.
const (
	EvOpened    = "opened"
	EvApproved  = "approved"
	EvWave      = "wave"
	EvOffered   = "offered"
	EvReminded  = "reminded"
	EvDeclined  = "declined"
	EvUnreached = "unreached"
	EvClaimed   = "claimed"
	EvLate      = "late" // a yes that came second
	EvBooked    = "booked"
	EvRefused   = "refused"
	EvTaken     = "taken"
	EvPaused    = "paused"
	EvUnpaused  = "unpaused"
	EvSuspended = "suspended"
	EvResumed   = "resumed"
	EvWithdrawn = "withdrawn"
	EvExpired   = "expired"
	EvExhausted = "exhausted"
	EvSendNow   = "send_now"   // somebody at the desk wants the next wave now
	EvEntryGone = "entry_gone" // the offer's entry left, opted out or won elsewhere
	EvGivenUp   = "given_up"   // the winner's later appointment is being cancelled
	EvCancelled = "cancelled"  // it is cancelled in the record system
	EvKept      = "kept"       // the record system refuses to cancel it
	EvSettled   = "settled"    // somebody at the desk dealt with that
	EvMode      = "mode"       // the clinic's mode changed while the slot was open
)

// The values of Note.Detail keys are counts, channels, words of closed lists and the record
// system's references. The keys: wave, asked, rate (the chance of a yes that adaptive reckoned with, this slot's
// silence counted), shadow, channel, answer, why, depth, appointment, mode; of a wave in shadow mode also how many
// on each channel (sms, voice, email), and how many could not be asked for each obstacle (not_hours, not_cap ...).

// Step takes what is and what happened and returns what is now and what is to be done. It leaves
// s unchanged, and the result shares no memory with s that a later Step writes to. When nothing
// changed, Version is the same and no effect but an Answer is returned. An error (an
// *engine.Error) means that the input is refused and nothing changes.
//
// now is taken to the nanosecond, in UTC. zone is the clinic's; nil means UTC.
func Step(s State, in Input, now time.Time, p engine.Policy, mode engine.Mode, zone *time.Location) (State, []Effect, error) {
	t := turn{State: s, now: now.Round(0).UTC(), policy: p, mode: mode, zone: zone}
	if err := t.take(in); err != nil {
		return s, nil, err
	}
	if !t.changed {
		return s, t.effects, nil
	}
	t.Version++
	if t.Wake.Equal(s.Wake) {
		t.Wake = s.Wake
	} else {
		t.Gen++
	}
	return t.State, t.effects, nil
}

// WantsCandidates says whether a Tick at now would ask people, so that the caller looks them up.
func WantsCandidates(s State, now time.Time, p engine.Policy, mode engine.Mode) bool {
	if s.Suspended || s.Paused || s.Wake.IsZero() || now.Before(s.Wake) || !now.Before(s.Deadline) {
		return false
	}
	switch s.Phase {
	case Freed:
		return !now.Before(s.HoldUntil) && !needsApproval(s, mode) && (mode != engine.Shadow || s.Wave == 0)
	case Offering:
		return mode != engine.Shadow && !needsApproval(s, mode) && len(s.Offers) < p.MaxAsked
	case None, Approval, Claimed, Booked, Expired, Closed:
	}
	return false
}

// MayLeave says whether a message of this offer may leave in this state. The offer's own
// deadline is for the caller to check: this function has no clock.
func MayLeave(s State, offer engine.OfferID) bool {
	if s.Phase != Offering || s.Suspended || s.Paused {
		return false
	}
	i := s.find(offer)
	return i >= 0 && s.Offers[i].Status == Pending
}

// find returns the index of an offer of this opening, or -1.
func (s *State) find(id engine.OfferID) int {
	return slices.IndexFunc(s.Offers, func(o Offer) bool { return o.ID == id })
}

func needsApproval(s State, mode engine.Mode) bool {
	return mode == engine.Approval && !s.Approved
}

// Behind reports whether the clinic's mode changed while the slot was looking for somebody and the slot was
// not told yet: send it a ModeChanged.
func Behind(s State, mode engine.Mode) bool {
	return s.Mode != mode && (s.Phase == Freed || s.Phase == Approval || s.Phase == Offering)
}

// Hand is a change that a person made.
type Hand struct {
	By      engine.UserID `json:"by"`
	Version uint64        `json:"version"` // of the slot after it
	At      time.Time     `json:"at,omitzero"`
}
