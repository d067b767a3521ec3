// Package health decides whether a clinic's record system can be trusted now, and so whether
// anything may be sent for that clinic.
package health

import (
	"time"

	"relais/engine"
)

// Status is the state of trust.
type Status string

// The statuses. Messages leave only when Healthy.
const (
	Starting  Status = "starting" // no full look yet: nothing leaves
	Healthy   Status = "healthy"
	Suspended Status = "suspended" // cannot be trusted
	Checking  Status = "checking"  // it answers again; open slots are being compared before anything leaves
)

// State is what is known of the sync. It is kept in the store.
type State struct {
	Status   Status          `json:"status"`
	Since    time.Time       `json:"since"`
	Fault    engine.DMEFault `json:"fault,omitempty"`
	Detail   string          `json:"detail,omitempty"` // in words, no personal data
	LastGood time.Time       `json:"last_good,omitzero"`
	LastFull time.Time       `json:"last_full,omitzero"`
	Failures int             `json:"failures,omitempty"` // in a row
	RetryAt  time.Time       `json:"retry_at,omitzero"`
	Hold     engine.UserID   `json:"hold,omitempty"` // somebody suspended it by hand
	Skew     time.Duration   `json:"skew,omitempty"`
}

// Input is one thing that happened to the sync. The set is closed.
//
//sumtype:decl
type Input interface{ input() }

// Good: a look at the record system worked. Full is set for a complete snapshot.
type Good struct {
	Full bool
	Skew time.Duration
}

// Bad: a look or a write failed.
type Bad struct {
	Fault  engine.DMEFault
	Detail string
	Wait   time.Duration
	Jitter float64 // 0 to 1, for the backoff
}

// Implausible: a snapshot contradicts what was known too much to be believed.
type Implausible struct{ Detail string }

// Reconciled: every open slot was compared with the record system after it answered again.
type Reconciled struct{}

// HeldBy: somebody suspends the clinic by hand, or with "" ends that.
type HeldBy struct{ User engine.UserID }

// Beat: time passes; staleness shows only this way.
type Beat struct{}

func (Good) input()        {}
func (Bad) input()         {}
func (Implausible) input() {}
func (Reconciled) input()  {}
func (HeldBy) input()      {}
func (Beat) input()        {}

// Step takes what is and what happened and returns what is now.
func Step(s State, in Input, now time.Time) State { panic("contract") }
