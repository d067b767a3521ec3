package duplicate

import (
	"slices"
	"strings"
	"time"

	"relais/engine"
)

// Field is one field in which two records differ.
type Field string

// The fields.
const (
	Given  Field = "given"
	Family Field = "family"
	Born   Field = "born"
	Lang   Field = "lang"
	Source Field = "source"
	Sooner Field = "sooner"
	Hours  Field = "hours"
)

// Difference is a field that the two records fill in differently: what is kept, and what only the timeline
// remembers.
type Difference struct {
	Field       Field
	Kept, Other string
}

// Merged is what two records become.
type Merged struct {
	Kept    engine.Patient // goes on, with everything of both
	Gone    engine.Patient // stays for its history, points to Kept, is reached by nothing
	Changed []engine.Entry // entries that are not as they were, of both
	Differ  []Difference
}

// Merge makes one record of two. What keep does not say comes from other; addresses, proxies, notes and
// offers of both stay, and an opt-out or a bad address counts wherever it was noted. Open entries of other
// go to keep; of two for the same specialty the one of keep goes on, with the earlier place in the order.
func Merge(keep, other engine.Patient, kept, others []engine.Entry) Merged {
	m := Merged{Kept: keep, Gone: other}
	k := &m.Kept
	m.fill(Given, &k.Given, other.Given)
	m.fill(Family, &k.Family, other.Family)
	lang := string(k.Lang)
	m.fill(Lang, &lang, string(other.Lang))
	k.Lang = engine.Lang(lang)
	if k.Born.IsZero() {
		k.Born = other.Born
	} else if !other.Born.IsZero() && !other.Born.Equal(k.Born) {
		m.differ(Born, k.Born.Format(time.DateOnly), other.Born.Format(time.DateOnly))
	}
	m.fill(Source, &k.Source, other.Source)
	if k.Sooner == nil {
		k.Sooner = other.Sooner
	} else if other.Sooner != nil {
		m.differ(Sooner, k.Sooner.Proof, other.Sooner.Proof)
	}
	if k.Hours == nil {
		k.Hours = other.Hours
	} else if other.Hours != nil && *other.Hours != *k.Hours {
		m.differ(Hours, "", "")
	}
	k.Contacts = contacts(keep.Contacts, other.Contacts)
	k.Proxies = append(slices.Clone(keep.Proxies), other.Proxies...)
	k.Notes = append(slices.Clone(keep.Notes), other.Notes...)
	slices.SortStableFunc(k.Notes, func(a, b engine.Note) int { return a.At.Compare(b.At) })
	k.Offered = append(slices.Clone(keep.Offered), other.Offered...)
	slices.SortStableFunc(k.Offered, func(a, b engine.Mark) int { return a.At.Compare(b.At) })
	k.Was = append(append(slices.Clone(keep.Was), other.ID), other.Was...)
	for _, s := range append([]string{other.Source}, other.Sources...) {
		if s != "" && s != k.Source && !slices.Contains(k.Sources, s) {
			k.Sources = append(slices.Clone(k.Sources), s)
		}
	}
	k.Distinct = slices.DeleteFunc(append(slices.Clone(keep.Distinct), other.Distinct...), func(id engine.PatientID) bool {
		return id == keep.ID || id == other.ID
	})
	m.Gone.Contacts, m.Gone.Proxies, m.Gone.Notes, m.Gone.Offered, m.Gone.Sooner, m.Gone.Sources, m.Gone.Was = nil, nil, nil, nil, nil, nil, nil
	m.Gone.Source, m.Gone.Into = "", keep.ID
	m.entries(kept, others)
	return m
}

func (m *Merged) fill(f Field, kept *string, other string) {
	switch {
	case strings.TrimSpace(*kept) == "":
		*kept = other
	case other != "" && other != *kept:
		m.differ(f, *kept, other)
	}
}

func (m *Merged) differ(f Field, kept, other string) {
	m.Differ = append(m.Differ, Difference{f, kept, other})
}

// contacts joins two lists. An address that stands in both is kept once: with the consent that there is, and
// with every reason not to use it.
func contacts(a, b []engine.Contact) []engine.Contact {
	list := slices.Clone(a)
	for _, c := range b {
		i := slices.IndexFunc(list, func(x engine.Contact) bool {
			return x.Channel == c.Channel && x.Phone == c.Phone && strings.EqualFold(string(x.Email), string(c.Email)) && x.Proxy == c.Proxy
		})
		if i < 0 {
			list = append(list, c)
			continue
		}
		x := &list[i]
		if x.Consent.IsZero() {
			x.Consent, x.Proof = c.Consent, c.Proof
		}
		if x.OptedOut.IsZero() || c.OptedOut.After(x.OptedOut) {
			x.OptedOut = c.OptedOut
		}
		if x.Bad == "" {
			x.Bad, x.BadAt = c.Bad, c.BadAt
		}
		if !x.Archived.IsZero() {
			x.Archived = c.Archived // in use in one of them is in use
		}
	}
	return list
}

// isOpen reports whether an entry is on the list, or asks to be.
func isOpen(e engine.Entry) bool {
	return e.Status == engine.Waiting || e.Status == engine.Snoozed || e.Status == engine.Linking
}

func (m *Merged) entries(kept, others []engine.Entry) {
	changed := map[engine.EntryID]engine.Entry{}
	for _, e := range others {
		if !isOpen(e) {
			continue // history stays where it happened
		}
		twin := slices.IndexFunc(kept, func(k engine.Entry) bool { return isOpen(k) && !k.Auto && k.Specialty == e.Specialty })
		switch {
		case e.Auto: // made again from the consent, for the record that goes on
			e.Status, e.Why = engine.Left, engine.LeftMerged
		case twin >= 0:
			k, ok := changed[kept[twin].ID]
			if !ok {
				k = kept[twin]
			}
			changed[k.ID] = together(k, e)
			e.Status, e.Why = engine.Left, engine.LeftMerged
		default:
			e.Patient = m.Kept.ID
			if e.Status == engine.Linking && m.Kept.Source != "" { // now it is known who they are
				e.Status = engine.Waiting
			}
		}
		changed[e.ID] = e
	}
	for _, e := range changed {
		m.Changed = append(m.Changed, e)
	}
	slices.SortFunc(m.Changed, func(a, b engine.Entry) int { return strings.Compare(string(a.ID), string(b.ID)) })
}

// together gives an entry the better place of the two.
func together(k, e engine.Entry) engine.Entry {
	if e.Joined.Before(k.Joined) {
		k.Joined = e.Joined
	}
	k.Class, k.Lost = min(k.Class, e.Class), max(k.Lost, e.Lost)
	if k.Current == nil {
		k.Current, k.Tied = e.Current, e.Tied
	}
	if k.Status == engine.Snoozed && e.Status == engine.Waiting {
		k.Status, k.Until = engine.Waiting, time.Time{}
	}
	return k
}
