// Package schedule mirrors what a clinic's record system shows and says what changed: which
// slots were freed, which were taken. Observations may come twice, late and out of order.
//
// A Mirror is not safe for concurrent use; the clinic's record-system actor owns it.
package schedule

import "relais/engine"

// Change is one thing that happened to a slot in the record system. The set is closed.
//
//sumtype:decl
type Change interface{ change() }

// Freed: the slot was occupied and is free now, in the future. Chain is set when the
// appointment that occupied it was given up by the winner of another slot.
type Freed struct {
	Slot        engine.SlotFact
	Appointment string // what occupied it, when known
}

// Occupied: the slot is not free any more, or not as it was. Booking is our own identifier when
// we are the ones who occupied it.
type Occupied struct {
	Slot    engine.SlotFact
	Why     string // "taken", "blocked", "gone", "moved"
	Booking engine.BookingID
}

func (Freed) change()    {}
func (Occupied) change() {}

// Mirror is the record system's schedule as last seen.
type Mirror struct{}

// New returns an empty mirror.
func New() *Mirror { panic("contract") }
