// Package match keeps the waitlist in memory and answers, for one slot, who fits and in what
// order. The same tests that select also explain why somebody was not selected.
//
// An Index is not safe for concurrent use; its owner guards it.
package match

import (
	"time"

	"relais/engine"
)

// Query is one question to the index.
type Query struct {
	Slot  engine.Slot
	Place engine.Point   // where the slot is
	Zone  *time.Location // the clinic's
	Now   time.Time
	Limit int // at most this many candidates
	// Accept is asked, in rank order, about entries that fit; it holds what changes often:
	// asked already, outstanding offer, caps, hours, consent. nil accepts all. It may set the
	// candidate's Channel and Offered.
	Accept func(*engine.Candidate) bool
}

// Obstacle is why an entry does not fit a slot. The list is closed.
type Obstacle string

// The obstacles that the index knows.
const (
	NotWaiting   Obstacle = "not_waiting"
	Specialty    Obstacle = "specialty"
	Practitioner Obstacle = "practitioner"
	Place        Obstacle = "place"
	Distance     Obstacle = "distance"
	Availability Obstacle = "availability"
	Dates        Obstacle = "dates"
	Notice       Obstacle = "notice"
	Current      Obstacle = "current" // has an appointment that is as early
	// Known to the caller's Accept, listed here so that the list is in one place.
	OptedOut    Obstacle = "opted_out"
	NoConsent   Obstacle = "no_consent"
	OutOfHours  Obstacle = "hours"
	Capped      Obstacle = "cap"
	AskedBefore Obstacle = "asked"
	Outstanding Obstacle = "outstanding"
	LowPriority Obstacle = "lower_priority"
)

// Index is the waitlist in memory.
type Index struct{}

// New returns an empty index.
func New() *Index { panic("contract") }

// Put inserts an entry or replaces the one with its ID.
func (x *Index) Put(e engine.Entry) { panic("contract") }

// Remove takes an entry out.
func (x *Index) Remove(id engine.EntryID) { panic("contract") }

// Get returns an entry.
func (x *Index) Get(id engine.EntryID) (engine.Entry, bool) { panic("contract") }

// Len counts the entries.
func (x *Index) Len() int { panic("contract") }

// Rank appends to dst the entries that fit, in order: class, then claims lost, then priority
// (days waited less five for each offer in 30 days), then ID.
func (x *Index) Rank(dst []engine.Candidate, q Query) []engine.Candidate { panic("contract") }

// Explain says why an entry does not fit; ok means that it does.
func (x *Index) Explain(id engine.EntryID, q Query) (o Obstacle, ok bool) { panic("contract") }
