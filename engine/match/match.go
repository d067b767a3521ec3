// Package match keeps the waitlist in memory and answers, for one slot, who fits and in what
// order. The same tests that select also explain why somebody was not selected.
//
// Entries lie in buckets of those who want the same specialty and live in the same map cell, in
// order of rank, so a question merges a few sorted lists and stops as soon as it has enough.
// DESIGN.md beside this file says why.
//
// An Index is not safe for concurrent use; its owner guards it. Rank, Explain and Len only
// read: any number of them may run together while nothing is put or removed.
package match

import (
	"math"
	"time"

	"relais/engine"
)

// Query is one question to the index.
type Query struct {
	Slot  engine.Slot
	Place engine.Point   // where the slot is; the zero Point is not known, and no distance is too far
	Zone  *time.Location // the clinic's; nil is UTC
	Now   time.Time
	Limit int // at most this many candidates
	// Accept is asked about entries that fit; it holds what changes often: asked already,
	// outstanding offer, caps, hours, consent. nil accepts all. It is asked once about an entry,
	// in the order known to the index, and about a few more than are returned. It may set the
	// candidate's Channel and Offered; a larger Offered moves the candidate back to its place,
	// a smaller one than was put cannot move it forward. It must not use the index.
	Accept func(*engine.Candidate) bool
}

// Obstacle is why an entry does not fit a slot. The list is closed.
type Obstacle string

// The obstacles that the index knows.
const (
	NotWaiting   Obstacle = "not_waiting" // or not on this clinic's list at all
	Specialty    Obstacle = "specialty"
	Practitioner Obstacle = "practitioner"
	Place        Obstacle = "place"
	Distance     Obstacle = "distance"
	Availability Obstacle = "availability"
	Dates        Obstacle = "dates"
	Notice       Obstacle = "notice"
	Current      Obstacle = "current" // has an appointment that is as early
	// Known to Serves.
	Language Obstacle = "language" // the practitioner does not speak it
	Age      Obstacle = "age"      // outside those the practitioner sees, or not known
	// What NotWaiting can mean, for those who know the entry's status.
	Placed  Obstacle = "placed"
	Claimed Obstacle = "claimed"
	Snoozed Obstacle = "snoozed"
	// Known to the caller's Accept, listed here so that the list is in one place.
	OptedOut    Obstacle = "opted_out"
	NoConsent   Obstacle = "no_consent"
	NoContact   Obstacle = "no_contact" // every address is known not to work
	OutOfHours  Obstacle = "hours"
	Capped      Obstacle = "cap"
	AskedBefore Obstacle = "asked"
	Outstanding Obstacle = "outstanding"
	LowPriority Obstacle = "lower_priority"
)

// OfferCost is how much waiting one offer of the last 30 days counts against: five days.
const OfferCost = 5 * 24 * time.Hour

// Index is the waitlist in memory.
type Index struct {
	records table
	groups  map[groupKey]*group
}

// New returns an empty index.
func New() *Index {
	return &Index{records: newTable(), groups: map[groupKey]*group{}}
}

// Put inserts an entry or replaces the one with its ID; one that is not waiting is taken out.
// offered is how many offers its patient had in the last 30 days, never more than Accept would
// say: put the entry again when that changes. The index shares e's lists and appointment: nobody
// may write to them afterwards.
func (x *Index) Put(e engine.Entry, offered int) {
	x.Remove(e.ID)
	if e.Status != engine.Waiting || len(e.ID) > math.MaxUint16 {
		return
	}
	key := groupKey{e.Clinic, e.Specialty}
	g := x.groups[key]
	if g == nil {
		g = &group{key: key}
		x.groups[key] = g
	}
	r := x.records.add(newRecord(&e, offered, g))
	w := newRow(r)
	for _, b := range g.homes(r, true) {
		b.insert(w)
	}
	g.size++
}

// Remove takes an entry out. One that is not there is ignored.
func (x *Index) Remove(id engine.EntryID) {
	r := x.records.get(id)
	if r == nil {
		return
	}
	g := r.group
	w := newRow(r)
	for _, b := range g.homes(r, false) {
		b.remove(w)
	}
	g.prune(r)
	if g.size--; g.size == 0 {
		delete(x.groups, g.key)
	}
	x.records.drop(id)
}

// Len counts the waiting entries.
func (x *Index) Len() int { return x.records.used }

// Rank appends to dst the entries that fit, in order: class, then claims lost, then priority
// (days waited less five for each offer in 30 days), then ID.
func (x *Index) Rank(dst []engine.Candidate, q Query) []engine.Candidate {
	g := x.groups[groupKey{q.Slot.Clinic, q.Slot.Specialty}]
	if g == nil || q.Limit <= 0 {
		return dst
	}
	a := newAsk(&q)
	m := g.open(&a)
	var held held
	var c engine.Candidate // Accept's, and so on the heap, once
	for left := q.Limit; left > 0; {
		// Whoever is held goes before a row that can only rank behind it.
		if len(held) > 0 && (len(m) == 0 || held[0].before(m[0].at.rec)) {
			dst = append(dst, held.pop().Candidate)
			left--
			continue
		}
		if len(m) == 0 {
			break
		}
		r := m[0].at.rec
		m.next(&a)
		if a.obstacle(r) != "" {
			continue
		}
		c = candidate(r, q.Now)
		if q.Accept != nil && !q.Accept(&c) {
			continue
		}
		c.Offered = max(0, c.Offered)
		c.Priority = c.Waited - OfferCost.Hours()/24*float64(c.Offered)
		held.push(waiting{Candidate: c, since: r.since(c.Offered)})
	}
	return dst
}

func candidate(r *record, now time.Time) engine.Candidate {
	return engine.Candidate{
		Entry: r.id(), Patient: r.patient(), Class: int(r.class), Lost: int(r.lost), Current: r.current,
		Offered: int(r.offered),
		Waited:  float64(now.UnixMicro()-r.joined) / float64((24 * time.Hour).Microseconds()),
	}
}

// Explain says why an entry does not fit; ok means that it does. It does not ask q.Accept.
func (x *Index) Explain(id engine.EntryID, q Query) (o Obstacle, ok bool) {
	r := x.records.get(id)
	if r == nil {
		return NotWaiting, false
	}
	a := newAsk(&q)
	o = a.obstacle(r)
	return o, o == ""
}
