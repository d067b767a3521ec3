package actors

import (
	"context"
	"time"

	"relais/engine"
	"relais/engine/health"
	"relais/engine/offer"
	"relais/engine/reach"
)

// DME is one clinic's record system. Errors are *engine.DMEFailure. Looks for changes are made one at
// a time; reads and writes of single slots come beside them, from any goroutine.
type DME interface {
	// Changes returns what changed since cursor ("" is not allowed; a Snapshot gives the first).
	Changes(ctx context.Context, cursor string) (engine.Observation, error)
	// Snapshot returns everything between from and until.
	Snapshot(ctx context.Context, from, until time.Time) (engine.Observation, error)
	// Read returns one slot and what occupies it, fresh.
	Read(ctx context.Context, slot string) (engine.Observation, error)
	// Book writes a booking on the condition that the slot is free. The same ID twice books once.
	Book(ctx context.Context, b engine.Booking) (engine.Booked, error)
	// Cancel cancels an appointment; one that is cancelled already is a success.
	Cancel(ctx context.Context, appointment string) error
}

// Sender hands messages of one channel to its carrier.
type Sender interface {
	Send(ctx context.Context, m engine.Message) engine.Outcome
}

// Caller ends a call that rings or is under way; say is spoken when somebody is on the line.
type Caller interface {
	Abort(ctx context.Context, ref string, lang engine.Lang, say string) error
}

// Looker asks a carrier what became of a message whose outcome or receipt is missing. A Sender may be
// one. ok is false when the carrier does not know (yet); ref is "" when the message was never
// acknowledged, and m is the message as it was handed over.
type Looker interface {
	Look(ctx context.Context, m engine.Message, ref string) (r engine.Receipt, ok bool, err error)
}

// Describer says how a record system is worked with. A DME may be one.
type Describer interface {
	Modes() []engine.DMEMode
}

// Links makes the addresses that stand in messages.
type Links interface {
	Offer(token string) string // the patient's page
	Leave(token string) string // one-click unsubscription
	Own(token string) string   // the patient's own page
	Stop(token string) string  // one-click unsubscription, from a mail about no offer
	Prove(token string) string // shows that a mailbox belongs to who joins the list
}

// Inviter makes the calendar file of a booking.
type Inviter func(booking engine.BookingID, c engine.Clinic, lang engine.Lang, start, end time.Time) []byte

// Metrics is told what happens. Methods are called from any goroutine and must not block.
type Metrics interface {
	Opened(c engine.ClinicID, detected time.Duration) // after the change in the record system; negative: not known
	Offered(c engine.ClinicID, offers int)
	FirstMessage(c engine.ClinicID, after time.Duration) // opened, and its grace over, to handed to a carrier
	Filled(c engine.ClinicID, after time.Duration)       // opened to booked
	Claim(c engine.ClinicID, outcome string)             // claimed, taken, expired, withdrawn, refused, booked
	Delivery(ch engine.Channel, kind engine.MessageKind, status reach.DeliveryStatus, reason engine.Reason)
	Reached(ch engine.Channel, after time.Duration)
	Judged(c engine.ClinicID, v reach.Judged) // once an offer
	Settled(ch engine.Channel, expired bool)  // an unknown outcome became known, or never will
	Looked(ch engine.Channel, found bool)     // a carrier was asked what became of a message
	Duplicate(ch engine.Channel)              // one message arrived twice
	LeftLate(ch engine.Channel)               // a message left for an offer that had ended
	Health(c engine.ClinicID, before, now health.Status)
	WriteBack(c engine.ClinicID, outcome string, after time.Duration) // booked, refused, cancelled, cancel_refused, retried
	Alert(c engine.ClinicID, what string)
	OpenSlots(c engine.ClinicID, n int)
	// Letter counts a message about no offer, by what handing it over came to.
	Letter(c engine.ClinicID, ch engine.Channel, kind engine.MessageKind, status engine.OutcomeStatus)
	Joined(c engine.ClinicID, what string)            // who joins by themselves: asked, known, proven, linked, refused, expired, limited
	Learned(c engine.ClinicID, cells []offer.Learned) // how often offers are accepted, when that is known anew
}
