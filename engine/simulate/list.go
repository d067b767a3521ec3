package simulate

import (
	"slices"
	"time"

	"relais/engine"
	"relais/engine/match"
	"relais/engine/reach"
	"relais/engine/slot"
)

// List is a clinic's waitlist as it was, as far as it can be told from what is left: today's entries,
// without those that had not joined, had a slot already or left since, and the caps that past offers
// came to.
type List struct {
	clinic  engine.Clinic
	zone    *time.Location
	index   *match.Index
	entries map[engine.EntryID]engine.Entry
	people  map[engine.PatientID]engine.Patient
	marks   map[engine.PatientID][]engine.Mark
	asked   map[engine.PatientID][]span
	placed  map[engine.EntryID]time.Time
}

// span is the time in which somebody had an offer to answer.
type span struct{ from, until time.Time }

// NewList puts the list together.
func NewList(clinic engine.Clinic, zone *time.Location, entries []engine.Entry, people map[engine.PatientID]engine.Patient, past []Past) *List {
	l := &List{
		clinic: clinic, zone: zone, index: match.New(), people: people,
		entries: make(map[engine.EntryID]engine.Entry, len(entries)),
		marks:   map[engine.PatientID][]engine.Mark{}, asked: map[engine.PatientID][]span{}, placed: map[engine.EntryID]time.Time{},
	}
	for _, p := range past {
		over := p.over()
		for _, o := range p.State.Offers {
			if o.Status == slot.Won {
				l.placed[o.Entry] = over
			}
			if o.Wave == 0 {
				continue
			}
			l.marks[o.Patient] = append(l.marks[o.Patient], engine.Mark{At: o.At, Slot: p.State.Slot.ID, Start: p.State.Slot.Start})
			until := over
			if !o.Replied.IsZero() && o.Replied.Before(over) {
				until = o.Replied
			}
			l.asked[o.Patient] = append(l.asked[o.Patient], span{o.At, until})
		}
	}
	for _, e := range entries {
		if _, seen := l.placed[e.ID]; e.Status == engine.Left || (e.Status == engine.Placed && !seen) {
			continue // since when is not known
		}
		l.entries[e.ID] = e
		e.Status = engine.Waiting
		l.index.Put(e, 0)
	}
	return l
}

// Others ranks who could have been asked when the slot was opened and was not, at most limit people.
func (l *List) Others(s slot.State, place engine.Point, limit int) []engine.Candidate {
	asked := map[engine.PatientID]bool{}
	for _, p := range s.Asked {
		asked[p] = true
	}
	for _, o := range s.Offers {
		asked[o.Patient] = true
	}
	now := l.daytime(s.OpenedAt)
	policy := l.clinic.Policy
	policy.Hours = engine.Hours{}
	staff := slices.IndexFunc(l.clinic.Practitioners, func(p engine.Practitioner) bool { return p.ID == s.Slot.Practitioner })
	return l.index.Rank(nil, match.Query{
		Slot: s.Slot, Place: place, Zone: l.zone, Now: s.OpenedAt, Limit: limit,
		Accept: func(c *engine.Candidate) bool {
			p, known := l.people[c.Patient]
			placed := l.placed[c.Entry]
			switch {
			case !known, asked[c.Patient], l.entries[c.Entry].Joined.After(s.OpenedAt), l.answering(c.Patient, s.OpenedAt),
				!placed.IsZero() && placed.Before(s.OpenedAt),
				staff >= 0 && match.Serves(&l.clinic.Practitioners[staff], &p, s.Slot.Start.In(l.zone)) != "":
				return false
			}
			p.Hours, p.Offered = nil, l.before(c.Patient, s.OpenedAt)
			v := reach.May(p, s.Slot.Start, now, l.zone, policy)
			c.Channel, c.Offered = v.Channel, len(p.Offered)
			return v.OK
		},
	})
}

// daytime moves a moment to one at which every channel may be used; caps do not notice.
func (l *List) daytime(t time.Time) time.Time {
	local := t.In(l.zone)
	if h := local.Hour(); h < 10 || h >= 18 {
		return time.Date(local.Year(), local.Month(), local.Day(), 12, 0, 0, 0, l.zone)
	}
	return t
}

// answering reports whether the patient had another offer to answer.
func (l *List) answering(p engine.PatientID, at time.Time) bool {
	return slices.ContainsFunc(l.asked[p], func(s span) bool { return !at.Before(s.from) && at.Before(s.until) })
}

// before are the offers of the 30 days before a moment.
func (l *List) before(p engine.PatientID, at time.Time) []engine.Mark {
	var some []engine.Mark
	for _, m := range l.marks[p] {
		if m.At.Before(at) && at.Sub(m.At) < 30*24*time.Hour {
			some = append(some, m)
		}
	}
	return some
}
