// Package reach drives one offer to its person: which channel next, when to call, what to do
// with each outcome, and how to read what comes back. It also says whether a person may be
// reached at all.
//
// Step is pure, like package slot's: deadlines are data, the caller wakes the offer at
// State.Wake with a Tick of State.Gen.
package reach

import (
	"slices"
	"time"

	"relais/engine"
)

// DeliveryStatus is where one attempt stands. Sending is written before the carrier is called;
// after a crash it turns Unknown, and an Unknown attempt is never sent again.
type DeliveryStatus string

// The statuses, in order of progress.
const (
	Queued    DeliveryStatus = "queued" // waits: for its time, the person's hours or the clinic's health
	Sending   DeliveryStatus = "sending"
	Unknown   DeliveryStatus = "unknown"
	Accepted  DeliveryStatus = "accepted"
	Sent      DeliveryStatus = "sent"
	Machine   DeliveryStatus = "machine"
	Answered  DeliveryStatus = "answered"
	Delivered DeliveryStatus = "delivered"
	Failed    DeliveryStatus = "failed"
	Dropped   DeliveryStatus = "dropped" // never left
)

// Delivery is one message of the offer on one channel.
type Delivery struct {
	ID      engine.AttemptID   `json:"id"`
	Kind    engine.MessageKind `json:"kind"`
	Contact int                `json:"contact"` // index into Person.Contacts
	Channel engine.Channel     `json:"channel"`
	Status  DeliveryStatus     `json:"status"`
	Reason  engine.Reason      `json:"reason,omitempty"`
	Ref     string             `json:"ref,omitempty"`
	Try     int                `json:"try"`               // from 1; a later try of the same message is a new Delivery
	Due     time.Time          `json:"due"`               // not before
	At      time.Time          `json:"at,omitzero"`       // when it was handed over
	Proof   time.Time          `json:"proof,omitzero"`    // when delivery was proven
	Left    bool               `json:"left,omitempty"`    // the carrier has or may have taken it
	Counted bool               `json:"counted,omitempty"` // its Outcome was given
	Text    string             `json:"text,omitempty"`    // of a note
	Looks   int                `json:"looks,omitempty"`   // how often the carrier was asked what became of it
	// Orphaned is when a new process found it being sent: whoever sent it is gone, and sends it no more.
	Orphaned time.Time `json:"orphaned,omitzero"`
}

// Person is a copy of what is needed to reach somebody, taken when the offer was made.
type Person struct {
	Patient  engine.PatientID `json:"patient"`
	Lang     engine.Lang      `json:"lang"`
	Zone     string           `json:"zone"` // IANA
	Hours    engine.Hours     `json:"hours"`
	Contacts []engine.Contact `json:"contacts"`
}

// State is everything known of one offer's messages.
type State struct {
	Offer      engine.OfferID     `json:"offer"`
	Clinic     engine.ClinicID    `json:"clinic"`
	Slot       engine.Slot        `json:"slot"`
	Person     Person             `json:"person"`
	Token      string             `json:"token"`
	Started    time.Time          `json:"started"`
	Deadline   time.Time          `json:"deadline"`
	Closed     bool               `json:"closed,omitempty"` // no offer or reminder leaves any more
	Suspended  bool               `json:"suspended,omitempty"`
	ClosedAt   time.Time          `json:"closed_at,omitzero"` // when the slot decided it
	Replied    bool               `json:"replied,omitempty"`
	RepliedOn  engine.Channel     `json:"replied_on,omitempty"`
	Said       engine.MessageKind `json:"said,omitempty"`      // the outcome that the person heard in a call or read on the page
	Heard      bool               `json:"heard,omitempty"`     // the person wrote something, if not an answer
	Reported   bool               `json:"reported,omitempty"`  // Exhausted was reported
	Proven     engine.Channel     `json:"proven_by,omitempty"` // the person was reached, on this channel first
	ProvenAt   time.Time          `json:"proven_at,omitzero"`
	Judged     bool               `json:"judged,omitempty"` // its Judged was given
	Reminded   int                `json:"reminded,omitempty"`
	Told       engine.MessageKind `json:"told,omitempty"` // Close.Tell, also owed where a message arrives late
	Deliveries []Delivery         `json:"deliveries"`
	Wake       time.Time          `json:"wake,omitzero"`
	Gen        uint64             `json:"gen"`
	Version    uint64             `json:"version"`
}

// Input is one thing that happened to the offer. The set is closed.
//
//sumtype:decl
type Input interface{ input() }

// Begin: the offer was made. A second Begin does nothing.
type Begin struct {
	Offer    engine.OfferID
	Clinic   engine.ClinicID
	Slot     engine.Slot
	Person   Person
	Token    string
	Deadline time.Time
}

// Tick: State.Wake has come.
type Tick struct{ Gen uint64 }

// Handed: what handing a delivery to its carrier came to.
type Handed struct {
	Attempt engine.AttemptID
	Outcome engine.Outcome
	Left    time.Time // when it was last asked whether it may leave; zero: not known
}

// Receipt: the carrier's later word. Late, doubled and reordered ones are harmless.
type Receipt struct{ Receipt engine.Receipt }

// Replied: the person answered, so nothing more is needed to reach them. Said is the outcome that they
// are known to have heard to its end in the same call, or read on the page; "" when none is.
type Replied struct {
	Channel engine.Channel
	Said    engine.MessageKind
}

// Heard: the person wrote something that is no answer. They were reached, and need no call.
type Heard struct{ Channel engine.Channel }

// Note: the front desk writes to the person: as a text to Phone where that is one of their contacts,
// else on their first other contact for texts or e-mails.
type Note struct {
	Text  string
	Phone engine.Phone
}

// Remind: ask once more.
type Remind struct{}

// Close: nothing more leaves for the offer; Tell is sent on channels whose offer message left.
type Close struct {
	Tell engine.MessageKind // "" for silence
	At   time.Time          // when that was decided; zero: now
}

// Tell: a message about the claim. On is the channel of the reply.
type Tell struct {
	What engine.MessageKind
	On   engine.Channel
}

// Suspend and Resume follow the clinic's health: nothing but Tell leaves while suspended. Starting: only
// because the process just began and has not seen the record system yet, which excuses no miss.
type Suspend struct{ Starting bool }

// Resume ends a Suspend.
type Resume struct{}

// Recovered: what was under way was lost; deliveries in Sending become Unknown. Began is when the process
// that says so was started: who sent what was being sent before is gone. Zero: that is not known.
type Recovered struct{ Began time.Time }

// OptOut: the person does not want this channel any more.
type OptOut struct{ Channel engine.Channel }

func (Begin) input()     {}
func (Tick) input()      {}
func (Handed) input()    {}
func (Receipt) input()   {}
func (Replied) input()   {}
func (Heard) input()     {}
func (Note) input()      {}
func (Remind) input()    {}
func (Close) input()     {}
func (Tell) input()      {}
func (Suspend) input()   {}
func (Resume) input()    {}
func (Recovered) input() {}
func (OptOut) input()    {}

// Effect is one thing to do. The set is closed.
//
//sumtype:decl
type Effect interface{ effect() }

// Send: hand this delivery (Status Sending in the new state) to its carrier, after the commit.
type Send struct{ Delivery engine.AttemptID }

// Abort: stop a call that rings or is under way; What is said when somebody is on the line.
type Abort struct {
	Delivery engine.AttemptID
	Ref      string
	What     engine.MessageKind // MsgTaken or MsgWithdrawn; "": the person answered elsewhere
}

// Look: ask the carrier, after the commit, what became of this delivery. A Receipt may come of it.
type Look struct{ Delivery engine.AttemptID }

// Settled: a delivery whose outcome was unknown is known now, or never will be.
type Settled struct {
	Channel engine.Channel
	Expired bool
}

// Duplicate: two tries of one message were both proven to have arrived.
type Duplicate struct{ Channel engine.Channel }

// LeftLate: a message that asks for an answer left more than a second after the offer had ended.
type LeftLate struct{ Channel engine.Channel }

// Exhausted: every channel failed; the slot may ask somebody else.
type Exhausted struct{}

// BadContact: the carrier says that the contact does not work, or that the person opted out.
type BadContact struct {
	Contact int
	Reason  engine.Reason
}

// Proven: the person was reached, for the metrics; After is since Started.
type Proven struct {
	Channel engine.Channel
	After   time.Duration
}

// Outcome: a delivery reached an end worth counting.
type Outcome struct {
	Delivery engine.AttemptID
	Channel  engine.Channel
	Kind     engine.MessageKind
	Status   DeliveryStatus
	Reason   engine.Reason
}

func (Send) effect()       {}
func (Abort) effect()      {}
func (Exhausted) effect()  {}
func (BadContact) effect() {}
func (Proven) effect()     {}
func (Outcome) effect()    {}
func (Look) effect()       {}
func (Settled) effect()    {}
func (Duplicate) effect()  {}
func (LeftLate) effect()   {}
func (Judged) effect()     {}

// Step takes what is and what happened and returns what is now and what is to be done. It leaves
// s unchanged, and the result shares no memory with s that a later Step writes to. When nothing
// changed, Version is the same and there are no effects. An error (an *engine.Error) means that
// the input makes no sense in this state; nothing changes then.
//
// now is taken to the nanosecond, in UTC. Send and Abort are carried out after the commit.
func Step(s State, in Input, now time.Time, p engine.Policy) (State, []Effect, error) {
	t := turn{State: s, now: now.Round(0).UTC(), policy: p}
	t.Deliveries = slices.Clone(s.Deliveries)
	if err := t.take(in); err != nil {
		return s, nil, err
	}
	if !t.changed {
		return s, nil, nil
	}
	t.plan()
	if _, ok := in.(Tick); ok {
		t.dispatch()
		t.call() // the first text is on its way: from now on its silence counts
		t.look()
	}
	t.judge()
	t.arm()
	t.Version++
	return t.State, t.effects, nil
}
