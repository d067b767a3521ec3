// Package match keeps the waitlist in memory and answers, for one slot, who fits and in what
// order. The same tests that select also explain why somebody was not selected.
//
// Entries of one clinic and specialty stand in one list in the order in which they would be asked,
// so a question reads from the top and stops when it has enough. Order: clinical class, then
// claims lost through no fault of the patient, then days waited less five for each offer of the
// last 30 days, then identifier. Days pass equally for everybody, so the list never needs sorting
// again.
//
// An Index is not safe for concurrent use; its owner guards it.
package match

import (
	"cmp"
	"math"
	"slices"
	"time"

	"relais/engine"
)

// Query is one question to the index.
type Query struct {
	Slot  engine.Slot
	Place engine.Point   // where the slot is; the zero Point is not known, and no distance is too far
	Zone  *time.Location // the clinic's
	Now   time.Time
	Limit int // at most this many candidates
	// Accept is asked, in rank order, about entries that fit; it holds what changes often:
	// asked already, outstanding offer, caps, hours, consent. nil accepts all. It may set the
	// candidate's Channel. It must not use the index.
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

// fatigue is what an offer of the last 30 days costs in the order: as if the patient had joined
// that much later.
const fatigue = 5 * 24 * time.Hour

// Index is the waitlist in memory.
type Index struct {
	items map[engine.EntryID]*item
	lists map[listKey]*list
}

type listKey struct {
	clinic    engine.ClinicID
	specialty engine.Specialty
}

// item is one entry with its place in the order.
type item struct {
	entry   engine.Entry
	offered int
	since   int64 // joined, later by fatigue; Unix nanoseconds
}

// before is the order in which people are asked.
func before(a, b *item) int {
	return cmp.Or(
		cmp.Compare(a.entry.Class, b.entry.Class),
		cmp.Compare(b.entry.Lost, a.entry.Lost),
		cmp.Compare(a.since, b.since),
		cmp.Compare(a.entry.ID, b.entry.ID),
	)
}

// New returns an empty index.
func New() *Index {
	return &Index{items: map[engine.EntryID]*item{}, lists: map[listKey]*list{}}
}

// Put inserts an entry or replaces the one with its ID. offered counts the patient's offers of
// the last 30 days.
func (x *Index) Put(e engine.Entry, offered int) {
	x.Remove(e.ID)
	it := &item{entry: e, offered: offered, since: e.Joined.Add(time.Duration(offered) * fatigue).UnixNano()}
	x.items[e.ID] = it
	k := listKey{e.Clinic, e.Specialty}
	l := x.lists[k]
	if l == nil {
		l = &list{}
		x.lists[k] = l
	}
	l.insert(it)
}

// Remove takes an entry out; one that is not there is ignored.
func (x *Index) Remove(id engine.EntryID) {
	it := x.items[id]
	if it == nil {
		return
	}
	delete(x.items, id)
	k := listKey{it.entry.Clinic, it.entry.Specialty}
	if x.lists[k].remove(it) {
		delete(x.lists, k)
	}
}

// Get returns an entry as it was put.
func (x *Index) Get(id engine.EntryID) (engine.Entry, bool) {
	it := x.items[id]
	if it == nil {
		return engine.Entry{}, false
	}
	return it.entry, true
}

// Len counts the entries.
func (x *Index) Len() int { return len(x.items) }

// Rank appends to dst the entries that fit and are accepted, in order, until it has Limit of them.
func (x *Index) Rank(dst []engine.Candidate, q Query) []engine.Candidate {
	l := x.lists[listKey{q.Slot.Clinic, q.Slot.Specialty}]
	if l == nil || q.Limit <= 0 {
		return dst
	}
	a := newAsk(q)
	most := len(dst) + q.Limit
	for _, block := range l.blocks {
		for _, it := range block {
			if a.obstacle(&it.entry) != "" {
				continue
			}
			c := a.candidate(it)
			if q.Accept != nil && !q.Accept(&c) {
				continue
			}
			if dst = append(dst, c); len(dst) == most {
				return dst
			}
		}
	}
	return dst
}

// Explain says why an entry does not fit; ok means that it does. An entry that is not in the
// index is not waiting.
func (x *Index) Explain(id engine.EntryID, q Query) (o Obstacle, ok bool) {
	it := x.items[id]
	if it == nil {
		return NotWaiting, false
	}
	a := newAsk(q)
	o = a.obstacle(&it.entry)
	return o, o == ""
}

// ask is a query with what it needs of the slot worked out once.
type ask struct {
	q           Query
	day         uint8 // bit of the weekday, in the clinic's zone
	from, until int   // minutes of that day; until may lie beyond midnight
	placed      bool
}

func newAsk(q Query) ask {
	zone := q.Zone
	if zone == nil {
		zone = time.UTC
	}
	start, end := q.Slot.Start.In(zone), q.Slot.End.In(zone)
	a := ask{q: q, day: 1 << start.Weekday(), placed: q.Place != engine.Point{}}
	a.from = start.Hour()*60 + start.Minute()
	a.until = end.Hour()*60 + end.Minute()
	if end.YearDay() != start.YearDay() || end.Year() != start.Year() {
		a.until += 24 * 60
	}
	if end.Second() > 0 || end.Nanosecond() > 0 {
		a.until++
	}
	return a
}

func (a *ask) candidate(it *item) engine.Candidate {
	e := &it.entry
	waited := a.q.Now.Sub(e.Joined).Hours() / 24
	return engine.Candidate{
		Entry: e.ID, Patient: e.Patient, Class: e.Class, Lost: e.Lost, Current: e.Current,
		Waited: waited, Offered: it.offered, Priority: waited - fatigue.Hours()/24*float64(it.offered),
	}
}

// obstacle is the first reason for which an entry does not fit, or "".
func (a *ask) obstacle(e *engine.Entry) Obstacle {
	s := &a.q.Slot
	switch {
	case e.Status != engine.Waiting || e.Clinic != s.Clinic:
		return NotWaiting
	case e.Specialty != s.Specialty:
		return Specialty
	case len(e.Practitioners) > 0 && !slices.Contains(e.Practitioners, s.Practitioner):
		return Practitioner
	case len(e.Places) > 0 && !slices.Contains(e.Places, s.Place):
		return Place
	case len(e.Places) == 0 && e.Home != nil && a.placed && Kilometres(*e.Home, a.q.Place) > e.RadiusKm:
		return Distance
	case s.Start.Before(e.NotBefore) || !e.NotAfter.IsZero() && s.Start.After(e.NotAfter):
		return Dates
	case !a.available(e.Windows):
		return Availability
	case s.Start.Sub(a.q.Now) < e.Notice:
		return Notice
	case e.Current != nil && !e.Current.Start.After(s.Start):
		return Current
	}
	return ""
}

func (a *ask) available(windows []engine.Window) bool {
	for _, w := range windows {
		if w.Days&a.day != 0 && w.From <= a.from && a.until <= w.Until {
			return true
		}
	}
	return len(windows) == 0
}

// Kilometres is the distance between two points along the ground, on a sphere of the earth's
// mean radius (6,371 km); the error against the ellipsoid is below 0.6 %.
func Kilometres(a, b engine.Point) float64 {
	const earth, degree = 6371.0, math.Pi / 180
	sinLat := math.Sin((b.Lat - a.Lat) * degree / 2)
	sinLon := math.Sin((b.Lon - a.Lon) * degree / 2)
	h := sinLat*sinLat + math.Cos(a.Lat*degree)*math.Cos(b.Lat*degree)*sinLon*sinLon
	return 2 * earth * math.Asin(math.Sqrt(min(1, h)))
}
