// Package schedule mirrors what a clinic's record system shows and says what changed: which
// slots were freed, which were taken. Observations may come twice, late and out of order: a fact
// that carries a number as its version replaces only an older one.
//
// A Mirror is not safe for concurrent use; the clinic's record-system actor owns it. Looks are
// made one at a time and applied in the order in which they began.
//
// Caveats: versions that are not numbers cannot be ordered, so a late one is believed unless it
// equals what is known. A slot that was blocked and becomes free is plain availability, not a
// cancellation, and does not count as freed; neither does a free slot seen for the first time.
package schedule

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"relais/engine"
)

// Keep is how long a fact is kept after its end.
const Keep = 24 * time.Hour

// minDrop is the least number of disappearances in one snapshot that can be implausible: small
// clinics delete a handful of slots at once for good reasons.
const minDrop = 10

// Change is one thing that happened to a slot in the record system. The set is closed.
//
//sumtype:decl
type Change interface{ change() }

// Freed: the slot was occupied and is free now, in the future.
type Freed struct {
	Slot        engine.SlotFact
	Appointment string // what occupied it, when known
}

// The reasons of Occupied.
const (
	Taken   = "taken"
	Blocked = "blocked"
	Gone    = "gone"
	Moved   = "moved" // Slot carries the old times
)

// Occupied: the slot is not free any more, or not as it was. Booking is our own identifier when
// we are the ones who occupied it.
type Occupied struct {
	Slot    engine.SlotFact
	Why     string // Taken, Blocked, Gone or Moved
	Booking engine.BookingID
}

// Suspect: the slot is still shown busy, but the last appointment on it was cancelled. Read the
// slot again and hand what it shows to ApplyRead: the record system may have freed it a moment
// later, or may never do so by itself (Mirror.FreeByAppointment).
type Suspect struct{ Slot engine.SlotFact }

func (Freed) change()    {}
func (Occupied) change() {}
func (Suspect) change()  {}

// Fact is one thing to keep under a key: exactly one of Slot and Appointment is set, or none when
// what was kept under the key is to be deleted.
type Fact struct {
	Key         string                  `json:"-"` // the source reference
	Slot        *engine.SlotFact        `json:"slot,omitempty"`
	Appointment *engine.AppointmentFact `json:"appointment,omitempty"`
}

// Result is what an observation came to. When Implausible says something, nothing was applied
// and the rest is empty.
type Result struct {
	Changes     []Change
	Touched     []Fact // to be kept in the same commit as what follows from Changes
	Implausible string // why the observation is not believed, in words
}

// Mirror is the record system's schedule as last seen.
type Mirror struct {
	// FreeByAppointment is for record systems that leave a slot busy when its appointment is
	// cancelled: a fresh read that shows no live appointment counts as free. It needs versions,
	// or the next look at the same slot would take it back.
	FreeByAppointment bool

	slots    map[string]engine.SlotFact
	appts    map[string]engine.AppointmentFact
	bySlot   map[string]map[string]struct{} // slot source -> appointments that name it
	believed bool
}

// New returns an empty mirror.
func New() *Mirror {
	return &Mirror{
		slots:  make(map[string]engine.SlotFact),
		appts:  make(map[string]engine.AppointmentFact),
		bySlot: make(map[string]map[string]struct{}),
	}
}

// Load puts facts that were kept back into the mirror, in any order.
func (m *Mirror) Load(facts ...Fact) {
	for _, f := range facts {
		if f.Slot != nil {
			m.slots[f.Slot.Source] = *f.Slot
		}
		if f.Appointment != nil {
			m.putAppointment(*f.Appointment)
		}
	}
}

// Believe makes the next snapshot count however much is missing from it: somebody at the clinic
// has said that it is right. Without this a clinic that really emptied its schedule would stay
// suspended until the old slots are past.
func (m *Mirror) Believe() { m.believed = true }

// Apply takes an observation in and says what changed by it. The facts of one observation count
// as seen at the same moment.
func (m *Mirror) Apply(obs engine.Observation, now time.Time) Result {
	return m.apply(obs, "", now)
}

// ApplyRead takes in a fresh read of one slot and all of its appointments. It is believed even
// where a snapshot had missed the slot, and an appointment that it does not show is gone.
func (m *Mirror) ApplyRead(slotSource string, obs engine.Observation, now time.Time) Result {
	return m.apply(obs, slotSource, now)
}

// Slot returns a slot as last seen, also when it is gone.
func (m *Mirror) Slot(source string) (engine.SlotFact, bool) {
	s, ok := m.slots[source]
	return s, ok
}

// Appointment returns an appointment as last seen.
func (m *Mirror) Appointment(source string) (engine.AppointmentFact, bool) {
	a, ok := m.appts[source]
	return a, ok
}

// Occupant returns the live appointment on a slot: our own one first when there are several.
func (m *Mirror) Occupant(slotSource string) (engine.AppointmentFact, bool) {
	var best engine.AppointmentFact
	found := false
	for source := range m.bySlot[slotSource] {
		a := m.appts[source]
		if !a.Live {
			continue
		}
		if !found || ahead(a, best) {
			best, found = a, true
		}
	}
	return best, found
}

// Appointments yields every appointment that is kept, in no order, with its start: its own word, or that
// of its first known slot, which is zero when there is none.
func (m *Mirror) Appointments() iter.Seq2[engine.AppointmentFact, time.Time] {
	return func(yield func(engine.AppointmentFact, time.Time) bool) {
		for _, a := range m.appts {
			if !yield(a, m.startOf(a)) {
				return
			}
		}
	}
}

// Bookable says whether a slot is known, free, and without a live appointment.
func (m *Mirror) Bookable(slotSource string) bool {
	return m.see(slotSource).class == free
}

// All yields every slot that is not gone with the appointment that occupies it (zero when there
// is none), by start and then source.
func (m *Mirror) All() iter.Seq2[engine.SlotFact, engine.AppointmentFact] {
	return func(yield func(engine.SlotFact, engine.AppointmentFact) bool) {
		sorted := slices.SortedFunc(maps.Values(m.slots), func(a, b engine.SlotFact) int {
			return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Source, b.Source))
		})
		for _, s := range sorted {
			if s.Status == engine.SlotGone {
				continue
			}
			a, _ := m.Occupant(s.Source)
			if !yield(s, a) {
				return
			}
		}
	}
}

// Len is the number of slots and appointments in the mirror.
func (m *Mirror) Len() (slots, appointments int) { return len(m.slots), len(m.appts) }

// Prune forgets what ended more than Keep ago and returns the deletions to be kept.
func (m *Mirror) Prune(now time.Time) []Fact {
	var out []Fact
	for source, s := range m.slots {
		if old(s.End, now) {
			delete(m.slots, source)
			out = append(out, Fact{Key: source})
		}
	}
	for source, a := range m.appts {
		if !m.worthKeeping(a, now) {
			m.dropAppointment(a)
			out = append(out, Fact{Key: source})
		}
	}
	slices.SortFunc(out, func(a, b Fact) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// worthKeeping says whether an appointment can still matter: it is not long past, or a slot that
// it names is known.
func (m *Mirror) worthKeeping(a engine.AppointmentFact, now time.Time) bool {
	if end := latest(a.Start, a.End); !end.IsZero() {
		return !old(end, now)
	}
	return slices.ContainsFunc(a.Slots, func(s string) bool { _, ok := m.slots[s]; return ok })
}

func (m *Mirror) putAppointment(a engine.AppointmentFact) {
	if before, ok := m.appts[a.Source]; ok {
		m.dropAppointment(before)
	}
	m.appts[a.Source] = a
	for _, s := range a.Slots {
		set := m.bySlot[s]
		if set == nil {
			set = make(map[string]struct{}, 1)
			m.bySlot[s] = set
		}
		set[a.Source] = struct{}{}
	}
}

func (m *Mirror) dropAppointment(a engine.AppointmentFact) {
	delete(m.appts, a.Source)
	for _, s := range a.Slots {
		delete(m.bySlot[s], a.Source)
		if len(m.bySlot[s]) == 0 {
			delete(m.bySlot, s)
		}
	}
}

func ahead(a, b engine.AppointmentFact) bool {
	if ours := a.Booking != ""; ours != (b.Booking != "") {
		return ours
	}
	return a.Source < b.Source
}

func old(end, now time.Time) bool { return now.Sub(end) > Keep }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// verdict says what to do with a fact of a version when another one is known.
type verdict int

const (
	ignore verdict = iota
	replace
	same // the same version: nothing new, unless one of the two was an absence
)

func compare(known, seen string) verdict {
	if known == "" || seen == "" {
		return replace
	}
	if known == seen {
		return same
	}
	k, err1 := strconv.ParseUint(known, 10, 64)
	s, err2 := strconv.ParseUint(seen, 10, 64)
	if err1 == nil && err2 == nil && s < k {
		return ignore
	}
	return replace
}

func dropSentence(missing, known int, what string) string {
	return fmt.Sprintf("%d of %d coming %s vanished at once; this is not believed.", missing, known, what)
}
