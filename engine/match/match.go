// Package match keeps the waitlist in memory and answers, for one slot, who fits and in what
// order. The same tests that select also explain why somebody was not selected.
//
// Entries lie in buckets of those who want the same specialty and live in the same map cell, in
// order of rank, so a question merges a few sorted lists and stops as soon as it has enough.
// DESIGN.md beside this file says why.
//
// An Index is not safe for concurrent use; its owner guards it. Rank, Explain, Get and Len only
// read: any number of them may run together while nothing is put or removed.
package match

import (
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

// record is one entry with the number of offers its patient had when it was put.
type record struct {
	entry   engine.Entry
	offered int
}

// Index is the waitlist in memory.
type Index struct {
	records map[engine.EntryID]*record
	groups  map[groupKey]*group
}

// New returns an empty index.
func New() *Index {
	return &Index{records: map[engine.EntryID]*record{}, groups: map[groupKey]*group{}}
}

// Put inserts an entry or replaces the one with its ID. offered is how many offers its patient
// had in the last 30 days, never more than Accept would say: put the entry again when that
// changes. The index keeps e as it is: nobody may write to what it points to afterwards.
func (x *Index) Put(e engine.Entry, offered int) {
	x.Remove(e.ID)
	r := &record{entry: e, offered: max(0, offered)}
	x.records[e.ID] = r
	if e.Status != engine.Waiting {
		return
	}
	key := groupKey{e.Clinic, e.Specialty}
	g := x.groups[key]
	if g == nil {
		g = &group{}
		x.groups[key] = g
	}
	w := newRow(r)
	for _, b := range g.homes(&e, true) {
		b.insert(w)
	}
	g.size++
}

// Remove takes an entry out. One that is not there is ignored.
func (x *Index) Remove(id engine.EntryID) {
	r, ok := x.records[id]
	if !ok {
		return
	}
	delete(x.records, id)
	if r.entry.Status != engine.Waiting {
		return
	}
	key := groupKey{r.entry.Clinic, r.entry.Specialty}
	g := x.groups[key]
	w := newRow(r)
	for _, b := range g.homes(&r.entry, false) {
		b.remove(w)
	}
	g.prune(&r.entry)
	if g.size--; g.size == 0 {
		delete(x.groups, key)
	}
}

// Get returns an entry as it was put.
func (x *Index) Get(id engine.EntryID) (engine.Entry, bool) {
	r, ok := x.records[id]
	if !ok {
		return engine.Entry{}, false
	}
	return r.entry, true
}

// Len counts the entries, those that are not waiting too.
func (x *Index) Len() int { return len(x.records) }

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
	for left := q.Limit; left > 0; {
		// Whoever is held goes before a row that can only rank behind it.
		if len(held) > 0 && (len(m) == 0 || held[0].before(m[0].at)) {
			dst = append(dst, held.pop().Candidate)
			left--
			continue
		}
		if len(m) == 0 {
			break
		}
		r := m[0].at.rec
		m.next(&a)
		if a.obstacle(&r.entry) != "" {
			continue
		}
		c := candidate(r, q.Now)
		if q.Accept != nil && !q.Accept(&c) {
			continue
		}
		c.Offered = max(0, c.Offered)
		c.Priority = c.Waited - OfferCost.Hours()/24*float64(c.Offered)
		held.push(waiting{Candidate: c, since: since(&r.entry, c.Offered)})
	}
	return dst
}

func candidate(r *record, now time.Time) engine.Candidate {
	e := &r.entry
	return engine.Candidate{
		Entry: e.ID, Patient: e.Patient, Class: e.Class, Lost: e.Lost, Current: e.Current,
		Offered: r.offered,
		Waited:  float64(now.UnixMicro()-e.Joined.UnixMicro()) / float64((24 * time.Hour).Microseconds()),
	}
}

// Explain says why an entry does not fit; ok means that it does. It does not ask q.Accept.
func (x *Index) Explain(id engine.EntryID, q Query) (o Obstacle, ok bool) {
	r, known := x.records[id]
	if !known {
		return NotWaiting, false
	}
	a := newAsk(&q)
	o = a.obstacle(&r.entry)
	return o, o == ""
}
