// Package waiting says who is on the list without anybody's keeping it: patients who consented to be
// seen sooner wait with each appointment that the record system shows, and people whom it shows booked
// for the same need wait no more.
//
// Derive is a pure function of what is known, so it may be asked again at any time: what it said before
// and was kept, it does not say again. It changes none of its arguments.
package waiting

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"relais/engine"
)

// Appointment is one appointment of the patient as the record system shows it.
type Appointment struct {
	Source       string
	Start        time.Time
	Live         bool      // not cancelled, not gone
	Ours         bool      // we wrote it
	Seen         time.Time // as engine.AppointmentFact.Seen
	Specialty    engine.Specialty
	Practitioner engine.PractitionerID
	Place        engine.PlaceID
}

// Known is everything about one patient.
type Known struct {
	Patient      engine.Patient
	Appointments []Appointment // also those that are not live any more
	Entries      []engine.Entry
	// Elsewhere are appointments that another record of the same person stands for.
	Elsewhere map[string]bool
}

// The limits.
const (
	MostAuto = 8                   // entries that are made for one patient, the soonest appointments first
	Keep     = 30 * 24 * time.Hour // how long such an entry is kept after its appointment, once it left the list
)

// The events of a patient's timeline.
const (
	Added  = "entry_added"  // made from an appointment
	Back   = "entry_back"   // the appointment is there again
	Tied   = "entry_tied"   // the entry has an appointment now, which it gives up when it wins
	Moved  = "entry_moved"  // what it says of the appointment changed
	Untied = "entry_untied" // the appointment is cancelled; the wish stays
	Closed = "entry_closed"
)

// Change is an entry that is not as it should be.
type Change struct {
	Entry engine.Entry // as it should be
	New   bool
	Drop  bool   // it is to be forgotten
	Event string // "" for a drop
}

// ID names the entry that is made from an appointment of a patient.
func ID(p engine.Patient, source string) engine.EntryID {
	sum := sha256.Sum256([]byte(string(p.Clinic) + "\x00" + string(p.ID) + "\x00" + source))
	return engine.EntryID("auto-" + hex.EncodeToString(sum[:10]))
}

// Derive says which entries change, and to what. An entry that won a slot is the slot's business.
func Derive(k Known, now time.Time) []Change {
	d := newDerivation(k, now)
	for _, e := range d.entries {
		d.consider(e)
	}
	if k.Patient.Sooner != nil {
		d.add()
	}
	return d.changes
}

// derivation is one Derive under way.
type derivation struct {
	Known
	now     time.Time
	live    []Appointment // in the future, the soonest first
	by      map[string]Appointment
	entries []engine.Entry
	taken   map[string]bool // appointments that an entry stands for
	ids     map[engine.EntryID]bool
	auto    int // on the list
	changes []Change
}

func newDerivation(k Known, now time.Time) *derivation {
	d := &derivation{
		Known: k, now: now.UTC(), by: make(map[string]Appointment, len(k.Appointments)),
		taken: map[string]bool{}, ids: make(map[engine.EntryID]bool, len(k.Entries)), entries: slices.Clone(k.Entries),
	}
	for _, a := range k.Appointments {
		d.by[a.Source] = a
		if a.Live && a.Start.After(d.now) {
			d.live = append(d.live, a)
		}
	}
	slices.SortFunc(d.live, func(a, b Appointment) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Source, b.Source))
	})
	for source := range k.Elsewhere {
		d.taken[source] = true
	}
	// Winners stand for their appointments first, then those who have one, then those who may get one.
	slices.SortFunc(d.entries, func(a, b engine.Entry) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ID, b.ID))
	})
	return d
}

func rank(e engine.Entry) int {
	switch {
	case e.Status == engine.Claimed || e.Status == engine.Placed:
		return 0
	case e.Auto:
		return 3
	case e.Current != nil:
		return 1
	}
	return 2
}

func open(e engine.Entry) bool { return e.Status == engine.Waiting || e.Status == engine.Snoozed }

// consider holds one entry against what is known.
func (d *derivation) consider(e engine.Entry) {
	d.ids[e.ID] = true
	next, event := e, ""
	switch {
	case e.Auto && !open(e) && e.Status != engine.Claimed && d.now.Sub(startOf(e)) > Keep:
		d.changes = append(d.changes, Change{Entry: e, Drop: true})
		return
	case e.Auto && e.Current != nil && (open(e) || e.Status == engine.Left && e.Why != ""):
		next, event = d.automatic(e)
	case !e.Auto && open(e):
		next, event = d.byHand(e)
	}
	if next.Current != nil && next.Status != engine.Left {
		d.taken[next.Current.Source] = true
	}
	if next.Auto && open(next) {
		d.auto++
	}
	if event != "" {
		d.changes = append(d.changes, Change{Entry: next, Event: event})
	}
}

func startOf(e engine.Entry) time.Time {
	if e.Current == nil {
		return time.Time{}
	}
	return e.Current.Start
}

// automatic follows the appointment that the entry was made from.
func (d *derivation) automatic(e engine.Entry) (next engine.Entry, event string) {
	a, known := d.by[e.Current.Source]
	switch {
	case d.Patient.Sooner == nil:
		return left(e, engine.LeftWithdrawn)
	case known && a.Live && !a.Start.After(d.now), !known && !e.Current.Start.After(d.now):
		return left(e, engine.LeftPast)
	case !known, !a.Live:
		return left(e, engine.LeftCancelled)
	case d.taken[a.Source]:
		return left(e, engine.LeftListed)
	}
	next = d.filled(e, a)
	switch {
	case e.Status == engine.Left:
		next.Status, next.Why, next.Slot = engine.Waiting, "", ""
		next.Joined = d.joined(a)
		return next, Back
	case !same(e, next):
		return next, Moved
	}
	return e, ""
}

// left closes an entry; one that left already stays as it is.
func left(e engine.Entry, why engine.LeftWhy) (engine.Entry, string) {
	if e.Status == engine.Left {
		return e, ""
	}
	e.Status, e.Why = engine.Left, why
	return e, Closed
}

// byHand looks after the appointment of an entry that somebody put on the list.
func (d *derivation) byHand(e engine.Entry) (next engine.Entry, event string) {
	if e.Current == nil {
		return d.without(e)
	}
	a, known := d.by[e.Current.Source]
	switch {
	case known && !a.Live:
		e.Current, e.Tied = nil, false
		if next, event = d.without(e); event == "" {
			return e, Untied
		}
		return next, event
	case known && !a.Start.After(d.now), !known && !e.Current.Start.IsZero() && !e.Current.Start.After(d.now):
		return left(e, engine.LeftPast)
	case e.Tied && d.Patient.Sooner == nil:
		return left(e, engine.LeftBooked)
	case known && !a.Start.Equal(e.Current.Start):
		e.Current = &engine.Appointment{Source: a.Source, Start: a.Start}
		return e, Moved
	}
	return e, ""
}

// without looks for an appointment for the same need. With consent it is the one to give up; without, one
// that was made since the person waits ends the wait.
func (d *derivation) without(e engine.Entry) (next engine.Entry, event string) {
	for _, a := range d.live {
		switch {
		case a.Specialty != e.Specialty || d.taken[a.Source]:
		case d.Patient.Sooner != nil:
			e.Current, e.Tied = &engine.Appointment{Source: a.Source, Start: a.Start}, true
			return e, Tied
		case !a.Ours && a.Seen.After(e.Joined):
			return left(e, engine.LeftBooked)
		}
	}
	return e, ""
}

// add makes entries from the appointments that none stands for.
func (d *derivation) add() {
	for _, a := range d.live {
		id := ID(d.Patient, a.Source)
		if d.taken[a.Source] || d.ids[id] || a.Specialty == "" || d.auto >= MostAuto {
			continue
		}
		d.auto++
		e := engine.Entry{
			ID: id, Clinic: d.Patient.Clinic, Patient: d.Patient.ID, Status: engine.Waiting, Auto: true, Joined: d.joined(a),
		}
		d.changes = append(d.changes, Change{Entry: d.filled(e, a), New: true, Event: Added})
	}
}

// joined is when the wait began: with the consent, or with the appointment when that is newer. Who just
// moved up begins anew.
func (d *derivation) joined(a Appointment) time.Time {
	if a.Seen.After(d.Patient.Sooner.At) {
		return a.Seen
	}
	return d.Patient.Sooner.At
}

// filled says what the consent and the appointment say.
func (d *derivation) filled(e engine.Entry, a Appointment) engine.Entry {
	s := d.Patient.Sooner
	e.Specialty, e.Windows, e.Places, e.Notice, e.Class = a.Specialty, s.Windows, s.Places, s.Notice, s.Class
	e.Practitioners = nil
	if !s.Anyone && a.Practitioner != "" {
		e.Practitioners = []engine.PractitionerID{a.Practitioner}
	}
	if len(e.Places) == 0 && a.Place != "" {
		e.Places = []engine.PlaceID{a.Place}
	}
	e.Current = &engine.Appointment{Source: a.Source, Start: a.Start}
	return e
}

func same(a, b engine.Entry) bool {
	return a.Specialty == b.Specialty && a.Notice == b.Notice && a.Class == b.Class && a.Current.Start.Equal(b.Current.Start) &&
		slices.Equal(a.Practitioners, b.Practitioners) && slices.Equal(a.Places, b.Places) && slices.Equal(a.Windows, b.Windows)
}
