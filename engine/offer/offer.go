// Package offer decides how many people to ask for a slot, when to ask more and when to stop.
// It knows nothing of who they are; package match orders them.
package offer

import (
	"time"

	"relais/engine"
)

// Sent is one offer that was made for the slot.
type Sent struct {
	At       time.Time
	Channel  engine.Channel
	Declined bool // said no, or could not be reached
}

// View is what the decision rests on.
type View struct {
	Now      time.Time
	Deadline time.Time // no yes counts from then on
	Zone     *time.Location
	Sent     []Sent
	Last     time.Time // of the last wave; zero before the first
	Reminded int
	Eligible []engine.Candidate // ranked, unasked
}

// Decision is what to do now.
type Decision struct {
	Ask       int       // the first Ask of Eligible
	Remind    bool      // tell everybody who did not answer once more
	Next      time.Time // look again then; zero: not before something happens
	Exhausted bool      // nobody new to ask now
}

// Decide applies the policy's strategy. It is the only function that the rest of Relais calls.
func Decide(v View, p engine.Policy) Decision { panic("contract") }
