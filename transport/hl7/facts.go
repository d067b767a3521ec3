package hl7

import (
	"slices"
	"strconv"

	"relais/engine"
)

func version(seq uint64) string { return strconv.FormatUint(seq, 10) }

// slotFact is a slot as the rules know it.
func (s *slot) fact() engine.SlotFact {
	return engine.SlotFact{
		Source: s.source(), Version: version(s.Seq), Status: s.Status, Practitioner: s.Person, Place: s.Place,
		Start: s.Start, End: s.End, Changed: s.At,
	}
}

// before is a freed slot as it was until a visit ended.
func (s *slot) before() engine.SlotFact {
	f := s.fact()
	f.Version, f.Status = version(s.Seq-1), engine.SlotBusy
	return f
}

func (p *picture) appointmentFact(a *appointment) engine.AppointmentFact {
	f := engine.AppointmentFact{Source: a.Source, Version: version(a.Seq), Live: a.Live, Booking: a.Booking}
	if len(a.Lines) == 0 { // it takes nobody's time here any more
		f.Live, f.Gone = false, true
	}
	for _, l := range a.Lines {
		if f.Start.IsZero() || l.Start.Before(f.Start) {
			f.Start = l.Start
		}
		if l.End.After(f.End) {
			f.End = l.End
		}
		for source, s := range p.people[l.Person] {
			if s.overlaps(l) && !slices.Contains(f.Slots, source) {
				f.Slots = append(f.Slots, source)
			}
		}
	}
	slices.Sort(f.Slots)
	return f
}
