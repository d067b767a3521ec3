package schedule

import (
	"slices"
	"time"

	"relais/engine"
)

// class is what a slot is to the rules, from its own status and the appointments on it.
type class int

const (
	unseen class = iota
	free
	busy
	blocked
	gone
)

// view is a slot at one moment.
type view struct {
	slot     engine.SlotFact
	class    class
	occupant engine.AppointmentFact // the live one, when there is one
	last     string                 // the live appointment, or else the one that was there before
}

func (m *Mirror) see(source string) view {
	s, ok := m.slots[source]
	if !ok {
		return view{}
	}
	v := view{slot: s}
	occupant, live := m.Occupant(source)
	if live {
		v.occupant, v.last = occupant, occupant.Source
	} else {
		v.last = m.lastOn(source)
	}
	switch s.Status {
	case engine.SlotFree:
		// A free slot with a live appointment contradicts itself; the careful reading wins.
		v.class = free
		if live {
			v.class = busy
		}
	case engine.SlotBusy:
		v.class = busy
	case engine.SlotGone:
		v.class = gone
	case engine.SlotBlocked, engine.SlotUnknown:
		v.class = blocked
	default:
		v.class = blocked
	}
	return v
}

// lastOn names an appointment that is not live any more: the most recent one, as far as sources
// tell.
func (m *Mirror) lastOn(slotSource string) string {
	last := ""
	for source := range m.bySlot[slotSource] {
		if len(source) > len(last) || len(source) == len(last) && source > last {
			last = source
		}
	}
	return last
}

// pass is one observation being applied.
type pass struct {
	m       *Mirror
	now     time.Time
	before  map[string]view // of every slot that may change
	order   []string        // of before
	touched []Fact
}

func (m *Mirror) apply(obs engine.Observation, read string, now time.Time) Result {
	if obs.Complete {
		if why := m.implausible(obs, now); why != "" {
			return Result{Implausible: why}
		}
		m.believed = false
	}
	p := &pass{m: m, now: now, before: make(map[string]view)}
	for _, s := range obs.Slots {
		p.slot(s, obs.Complete || read == s.Source)
	}
	for _, a := range obs.Appointments {
		p.appointment(a, obs.Complete || read != "")
	}
	if obs.Complete {
		p.absent(obs)
	}
	if read != "" {
		p.read(read, obs)
	}
	return Result{Changes: p.changes(), Touched: p.touched}
}

// watch remembers how a slot was before this observation touched it.
func (p *pass) watch(source string) {
	if _, ok := p.before[source]; !ok {
		p.before[source] = p.m.see(source)
		p.order = append(p.order, source)
	}
}

// slot takes one slot in. Fresh is set when the fact was looked up just now, and so is believed
// against an absence noted earlier.
func (p *pass) slot(s engine.SlotFact, fresh bool) {
	known, ok := p.m.slots[s.Source]
	if ok {
		switch compare(known.Version, s.Version) {
		case ignore:
			return
		case same:
			if back := fresh && known.Status == engine.SlotGone && s.Status != engine.SlotGone; !back {
				return
			}
		case replace:
		}
		if s.Start.IsZero() {
			s.Start, s.End = known.Start, known.End
		}
		if s.Status == engine.SlotGone {
			s = asGone(known, s.Version)
		}
		if sameSlot(known, s) {
			return
		}
	} else if s.Start.IsZero() || s.Status == engine.SlotGone {
		return
	}
	if old(s.End, p.now) {
		return
	}
	p.watch(s.Source)
	p.putSlot(s)
}

func (p *pass) putSlot(s engine.SlotFact) {
	p.m.slots[s.Source] = s
	p.touched = append(p.touched, Fact{Key: s.Source, Slot: &s})
}

func (p *pass) appointment(a engine.AppointmentFact, fresh bool) {
	if a.Gone {
		a.Live = false
	}
	known, ok := p.m.appts[a.Source]
	if ok {
		switch compare(known.Version, a.Version) {
		case ignore:
			return
		case same:
			if back := fresh && known.Gone && !a.Gone; !back {
				return
			}
		case replace:
		}
		if a.Gone && len(a.Slots) == 0 {
			version := a.Version
			a, a.Live, a.Gone = known, false, true
			if version != "" {
				a.Version = version
			}
		}
		if sameAppointment(known, a) {
			return
		}
	}
	if !p.m.worthKeeping(a, p.now) {
		return
	}
	a.Seen = known.Seen
	if a.Live && (!known.Live || known.Patient != a.Patient) && p.onKnownSlot(a) {
		a.Seen = p.now.UTC()
	}
	p.putAppointment(known, a)
}

// onKnownSlot reports whether a slot of the appointment was known before this observation: then the
// appointment is new, and did not just come into sight.
func (p *pass) onKnownSlot(a engine.AppointmentFact) bool {
	return slices.ContainsFunc(a.Slots, func(source string) bool {
		_, known := p.m.slots[source]
		before, touched := p.before[source]
		return known && (!touched || before.class != unseen)
	})
}

func (p *pass) putAppointment(known, a engine.AppointmentFact) {
	for _, s := range known.Slots {
		p.watch(s)
	}
	for _, s := range a.Slots {
		p.watch(s)
	}
	p.m.putAppointment(a)
	p.touched = append(p.touched, Fact{Key: a.Source, Appointment: &a})
}

// absent marks what is known in the window of a complete observation and is not in it as gone.
func (p *pass) absent(obs engine.Observation) {
	slots, appts := p.m.missing(obs)
	for _, source := range slots {
		p.watch(source)
		s := p.m.slots[source]
		p.putSlot(asGone(s, s.Version))
	}
	for _, source := range appts {
		a := p.m.appts[source]
		a.Live, a.Gone = false, true
		p.putAppointment(p.m.appts[source], a)
	}
}

// read draws the conclusions of a fresh look at one slot and everything on it.
func (p *pass) read(source string, obs engine.Observation) {
	shown := sources(obs.Appointments, func(a engine.AppointmentFact) string { return a.Source })
	var lost []string
	for appt := range p.m.bySlot[source] {
		if _, ok := shown[appt]; !ok && !p.m.appts[appt].Gone {
			lost = append(lost, appt)
		}
	}
	slices.Sort(lost)
	for _, appt := range lost {
		a := p.m.appts[appt]
		a.Live, a.Gone = false, true
		p.putAppointment(p.m.appts[appt], a)
	}
	s, ok := p.m.slots[source]
	if _, live := p.m.Occupant(source); ok && p.m.FreeByAppointment && s.Status == engine.SlotBusy && !live {
		p.watch(source)
		s.Status = engine.SlotFree
		p.putSlot(s)
	}
}

func (p *pass) changes() []Change {
	var out []Change
	for _, source := range p.order {
		out = append(out, p.change(p.before[source], p.m.see(source))...)
	}
	return out
}

// change compares a slot with itself.
func (p *pass) change(was, is view) []Change {
	if was.class == unseen {
		return nil
	}
	var out []Change
	moved := !was.slot.Start.Equal(is.slot.Start) || !was.slot.End.Equal(is.slot.End)
	if moved && was.class != gone {
		out = append(out, Occupied{Slot: was.slot, Why: Moved, Booking: was.occupant.Booking})
	}
	switch is.class {
	case free:
		if was.class == busy && is.slot.Start.After(p.now) {
			out = append(out, Freed{Slot: is.slot, Appointment: was.last})
		}
	case busy:
		newcomer := is.occupant.Source != "" && is.occupant.Source != was.occupant.Source
		if was.class == free || newcomer {
			out = append(out, Occupied{Slot: is.slot, Why: Taken, Booking: is.occupant.Booking})
		}
		if was.occupant.Source != "" && is.occupant.Source == "" && is.slot.Start.After(p.now) {
			out = append(out, Suspect{Slot: is.slot})
		}
	case blocked:
		if was.class == free {
			out = append(out, Occupied{Slot: is.slot, Why: Blocked, Booking: is.occupant.Booking})
		}
	case gone:
		if was.class != gone {
			out = append(out, Occupied{Slot: is.slot, Why: Gone, Booking: was.occupant.Booking})
		}
	case unseen:
	}
	return out
}

// implausible says why a snapshot is not believed, or "".
func (m *Mirror) implausible(obs engine.Observation, now time.Time) string {
	if m.believed {
		return ""
	}
	slots, appts := m.missing(obs)
	coming := 0
	for _, s := range m.slots {
		if s.Status != engine.SlotGone && s.Start.After(now) && within(s.Start, obs) {
			coming++
		}
	}
	if len(obs.Slots) == 0 && coming > 0 {
		return "The schedule came back empty; this is not believed."
	}
	slots = slices.DeleteFunc(slots, func(s string) bool { return !m.slots[s].Start.After(now) })
	if tooMany(len(slots), coming) {
		return dropSentence(len(slots), coming, "slots")
	}
	booked := 0
	for _, a := range m.appts {
		if a.Live && m.comes(a, obs, now) {
			booked++
		}
	}
	appts = slices.DeleteFunc(appts, func(s string) bool { a := m.appts[s]; return !a.Live || !m.comes(a, obs, now) })
	if tooMany(len(appts), booked) {
		return dropSentence(len(appts), booked, "appointments")
	}
	return ""
}

func tooMany(missing, known int) bool { return missing >= minDrop && missing*3 > known }

// missing lists what is known in the observation's window and not in the observation, sorted.
func (m *Mirror) missing(obs engine.Observation) (slots, appts []string) {
	shown := sources(obs.Slots, func(s engine.SlotFact) string { return s.Source })
	for source, s := range m.slots {
		if _, ok := shown[source]; !ok && s.Status != engine.SlotGone && within(s.Start, obs) {
			slots = append(slots, source)
		}
	}
	shown = sources(obs.Appointments, func(a engine.AppointmentFact) string { return a.Source })
	for source, a := range m.appts {
		if _, ok := shown[source]; !ok && !a.Gone && within(m.startOf(a), obs) {
			appts = append(appts, source)
		}
	}
	slices.Sort(slots)
	slices.Sort(appts)
	return slots, appts
}

func (m *Mirror) comes(a engine.AppointmentFact, obs engine.Observation, now time.Time) bool {
	start := m.startOf(a)
	return start.After(now) && within(start, obs)
}

// startOf is when an appointment begins: its own word, or that of its first known slot.
func (m *Mirror) startOf(a engine.AppointmentFact) time.Time {
	if !a.Start.IsZero() {
		return a.Start
	}
	for _, source := range a.Slots {
		if s, ok := m.slots[source]; ok {
			return s.Start
		}
	}
	return time.Time{}
}

func within(t time.Time, obs engine.Observation) bool {
	return !t.Before(obs.From) && t.Before(obs.Until)
}

func sources[T any](list []T, source func(T) string) map[string]struct{} {
	out := make(map[string]struct{}, len(list))
	for _, x := range list {
		out[source(x)] = struct{}{}
	}
	return out
}

func asGone(s engine.SlotFact, version string) engine.SlotFact {
	s.Status = engine.SlotGone
	if version != "" {
		s.Version = version
	}
	return s
}

func sameSlot(a, b engine.SlotFact) bool {
	return a.Version == b.Version && a.Status == b.Status && a.Practitioner == b.Practitioner &&
		a.Place == b.Place && a.Specialty == b.Specialty && a.Start.Equal(b.Start) && a.End.Equal(b.End)
}

func sameAppointment(a, b engine.AppointmentFact) bool {
	return a.Version == b.Version && a.Live == b.Live && a.Gone == b.Gone && a.Came == b.Came && a.Patient == b.Patient &&
		a.Booking == b.Booking && a.Start.Equal(b.Start) && a.End.Equal(b.End) && slices.Equal(a.Slots, b.Slots)
}
