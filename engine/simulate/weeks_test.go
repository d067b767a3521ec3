package simulate

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/slot"

	"pgregory.net/rapid"
)

// small is a clinic that is played in moments, with caps that bind.
func small() Clinic {
	c := StandardClinic()
	c.Days, c.Warm, c.People, c.Arrivals, c.Cancelled = 10, 4, 120, 4, 4
	return c
}

// ledger holds a run to the promises of the rules with books of its own.
type ledger struct {
	t      *rapid.T
	policy engine.Policy
	marks  map[engine.PatientID][]engine.Mark
	waves  int
}

func (l *ledger) watch(w *weeks, o *opening, asked []slot.Offer) {
	l.waves++
	now := instant(w.now)
	if o.state.Phase != slot.Freed && o.state.Phase != slot.Offering {
		l.t.Fatalf("an offer after the fill, in phase %s", o.state.Phase)
	}
	if m := now.Hour()*60 + now.Minute(); m < l.policy.Hours.From || m >= l.policy.Hours.Until {
		l.t.Fatalf("an offer at %s", now)
	}
	chosen := map[engine.PatientID]bool{}
	for _, sent := range asked {
		p := sent.Patient
		if chosen[p] || slices.ContainsFunc(o.state.Offers, func(x slot.Offer) bool { return x.Patient == p }) {
			l.t.Fatal("asked twice for one slot")
		}
		chosen[p] = true
		day, week, far := l.caps(p, now)
		if day >= l.policy.DayCap || week >= l.policy.WeekCap || (o.state.Slot.Start.Sub(now) > 24*time.Hour && far >= l.policy.FarCap) {
			l.t.Fatalf("beyond the caps: %d in a day, %d in seven, %d of them far", day, week, far)
		}
		for _, other := range w.slots {
			for _, x := range other.state.Offers {
				if x.Patient == p && x.Status == slot.Pending {
					l.t.Fatal("two offers to answer at once")
				}
			}
		}
	}
	l.order(w, o, asked, chosen, now)
	for _, sent := range asked {
		l.marks[sent.Patient] = append(l.marks[sent.Patient], engine.Mark{At: now, Slot: o.state.Slot.ID, Start: o.state.Slot.Start})
	}
}

// caps counts the offers of seven days.
func (l *ledger) caps(p engine.PatientID, now time.Time) (day, week, far int) {
	for _, m := range l.marks[p] {
		if now.Sub(m.At) < 24*time.Hour {
			day++
		}
		if now.Sub(m.At) < 7*24*time.Hour {
			week++
			if m.Start.Sub(m.At) > 24*time.Hour {
				far++
			}
		}
	}
	return day, week, far
}

// order holds that nobody who goes before somebody asked was left out, but for those whose channel is too
// slow: looked at one by one, without the index.
func (l *ledger) order(w *weeks, o *opening, asked []slot.Offer, chosen map[engine.PatientID]bool, now time.Time) {
	priority := func(c *citizen) float64 {
		recent := 0
		for _, m := range l.marks[c.patient.ID] {
			if now.Sub(m.At) < 30*24*time.Hour {
				recent++
			}
		}
		return now.Sub(c.entry.Joined).Hours()/24 - 5*float64(recent)
	}
	lowest, channels := 0., map[engine.Channel]bool{}
	for i, sent := range asked {
		if p := priority(w.of[sent.Patient]); i == 0 || p < lowest {
			lowest = p
		}
		channels[sent.Channel] = true
	}
	for _, c := range w.people {
		if chosen[c.patient.ID] || priority(c) <= lowest+1e-6 || !l.eligible(w, o, c, now) {
			continue
		}
		if l.policy.Strategy == engine.Adaptive && !channels[c.reach.Channel] {
			continue
		}
		l.t.Fatalf("%s goes first and was not asked", c.patient.ID)
	}
}

func (l *ledger) eligible(w *weeks, o *opening, c *citizen, now time.Time) bool {
	s := o.state.Slot
	day, week, far := l.caps(c.patient.ID, now)
	at := s.Start.Hour()*60 + s.Start.Minute()
	switch {
	case c.until > 0, c.pending != "", o.asked[c.patient.ID], day >= l.policy.DayCap, week >= l.policy.WeekCap, s.Start.Sub(now) > 24*time.Hour && far >= l.policy.FarCap:
		return false
	case c.entry.Current != nil && !c.entry.Current.Start.After(s.Start):
		return false
	case len(c.entry.Windows) > 0 && (at < c.entry.Windows[0].From || at+int(w.Length.Minutes()) > c.entry.Windows[0].Until):
		return false
	case c.reach.Channel == engine.Voice: // calls have hours of their own
		return false
	}
	return s.Start.Sub(now) >= c.entry.Notice+2*time.Hour // no way takes longer
}

// What must never happen does not, over weeks in which slots compete for the same people.
func TestWeeksKeepTheirPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := small()
		c.Days, c.Warm = 3, 1
		c.People = rapid.IntRange(5, 100).Draw(t, "people")
		c.Cancelled = rapid.Float64Range(.5, 10).Draw(t, "cancelled")
		c.Acceptance = rapid.Float64Range(.02, .5).Draw(t, "acceptance")
		p := rapid.SampledFrom(Contenders()[:5]).Draw(t, "contender").Policy
		p.DayCap = rapid.IntRange(1, 3).Draw(t, "day")
		p.WeekCap, p.FarCap = rapid.IntRange(1, 4).Draw(t, "week"), rapid.IntRange(1, 3).Draw(t, "far")
		l := &ledger{t: t, policy: p, marks: map[engine.PatientID][]engine.Mark{}}
		if _, err := c.run(p, rapid.Bool().Draw(t, "learns"), rapid.Uint64().Draw(t, "seed"), l.watch); err != nil {
			t.Fatal(err)
		}
	})
}

// Everybody who was asked hears the end: of a slot that is over nobody's offer stands.
func TestEveryOfferEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		for _, contender := range Contenders()[:5] {
			var all *weeks
			_, err := small().run(contender.Policy, true, seed, func(w *weeks, _ *opening, _ []slot.Offer) { all = w })
			if err != nil {
				t.Fatal(err)
			}
			over := 0
			for _, o := range all.slots {
				if o.state.Phase != slot.Booked && o.state.Phase != slot.Expired {
					continue
				}
				over++
				for _, sent := range o.state.Offers {
					if sent.Status == slot.Pending || o.of[sent.ID].pending == sent.ID {
						t.Fatalf("%s: an offer of a slot that is %s still stands", contender.Name, o.state.Phase)
					}
					if _, told := o.closed[sent.ID]; sent.Status == slot.Lost && !told {
						t.Fatalf("%s: somebody was not told that the slot is gone", contender.Name)
					}
				}
			}
			if over == 0 {
				t.Fatal("no slot was over")
			}
		}
	}
}

// A clinic with caps, fatigue and chains: the figures add up, and the same seed gives them again.
func TestWeeksAddUp(t *testing.T) {
	t.Parallel()
	c, p := small(), contender(t, "adaptive").Policy
	c.Holding = .8
	r, err := c.Run(p, true, 3)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Run(p, true, 3)
	if err != nil || !reflect.DeepEqual(r, again) {
		t.Fatal("the same seed gives other weeks")
	}
	if other, _ := c.Run(p, true, 4); reflect.DeepEqual(r, other) {
		t.Error("another seed gives the same weeks")
	}
	chained := 0
	for _, n := range r.Chained {
		chained += n
	}
	if r.Openings == 0 || r.Fills > r.Openings || r.ShortFills > r.Short || chained != r.Fills || len(r.Chained) < 2 || r.Sooner <= 0 {
		t.Errorf("%+v", r)
	}
	if len(r.Chained) > p.ChainDepth+1 {
		t.Errorf("a chain of %d", len(r.Chained)-1)
	}
	for _, by := range []string{"language", "age", "distance"} {
		sent, won := 0, 0
		for _, g := range r.Groups {
			if g.By == by {
				sent, won = sent+g.Sent, won+g.Won
			}
		}
		if sent != r.Offers || won < r.Fills {
			t.Errorf("by %s %d offers and %d fills, in all %d and %d", by, sent, won, r.Offers, r.Fills)
		}
	}
	// Without caps more is asked of people.
	p.DayCap, p.WeekCap, p.FarCap = 100, 100, 100
	if free, err := c.Run(p, true, 3); err != nil || free.Capped > 0 || r.Capped == 0 {
		t.Errorf("capped %g with caps, %g without, %v", r.Capped, free.Capped, err)
	}
}

func TestClinicCheck(t *testing.T) {
	t.Parallel()
	if err := StandardClinic().Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Clinic){
		"days":    func(c *Clinic) { c.Days = 0 },
		"people":  func(c *Clinic) { c.People = MostClinicPeople + 1 },
		"leads":   func(c *Clinic) { c.Leads = c.Leads[:1] },
		"ages":    func(c *Clinic) { c.Ages[0].Until = -1 },
		"rings":   func(c *Clinic) { c.Rings[1].Share = .9 },
		"fatigue": func(c *Clinic) { c.Fatigue = 1.1 },
		"reach":   func(c *Clinic) { c.Ages[1].Reach[0].Share = .1 },
		"slots":   func(c *Clinic) { c.Cancelled = 0 },
	} {
		c := StandardClinic()
		spoil(&c)
		if err := c.Check(); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
