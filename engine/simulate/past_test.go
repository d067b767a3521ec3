package simulate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/offer"
	"relais/engine/slot"

	"pgregory.net/rapid"
)

// lived plays an opening and returns it as a store would have it.
func lived(t *rapid.T, c *Crowd, p engine.Policy) (Past, Outcome) {
	t.Helper()
	g, err := c.play(p, offer.Rates{})
	if err != nil {
		t.Fatal(err)
	}
	return Past{
		State: g.state, Ended: g.clock(), Rates: offer.Cells{}.Rates(0), Hours: c.scenario.Awake, Zone: time.UTC,
	}, g.end()
}

// An opening that is played again under the policy that it had comes to what it came to, whatever is drawn.
func TestThePastRepeatsItself(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := scenario(time.Duration(rapid.IntRange(40, 80*60).Draw(t, "lead"))*time.Minute,
			rapid.IntRange(1, 80).Draw(t, "list"), rapid.Float64Range(.02, .5).Draw(t, "acceptance"))
		p := rapid.SampledFrom(Contenders()).Draw(t, "contender").Policy
		seed := rapid.Uint64().Draw(t, "seed")
		var c, again Crowd
		c.Draw(s, rand.New(rand.NewPCG(seed, 1)))
		past, want := lived(t, &c, p)
		if past.Omit(false) != Playable {
			return
		}
		for i := range c.people { // those who were not asked
			if asked := len(past.State.Offers); i >= asked && p.Strategy != engine.Adaptive {
				past.Others = append(past.Others, c.candidates[i])
			}
		}
		if fact := past.Fact(); fact.Filled != want.Filled || fact.Offers != want.Offers || math.Abs(fact.Waited-want.Waited) > 1e-3 {
			t.Fatalf("the facts are %+v, it was %+v", fact, want)
		}
		past.Meet(&again, rand.New(rand.NewPCG(seed, 2)))
		if p.Strategy == engine.Adaptive && want.Passed > 0 {
			return // people who were passed over are not in the past
		}
		got, err := again.Run(p)
		if err != nil {
			t.Fatal(err)
		}
		if got.Filled != want.Filled || got.Offers != want.Offers || math.Abs(got.Waited-want.Waited) > 1e-3 {
			t.Fatalf("again it came to %+v, it was %+v", got, want)
		}
	})
}

// What the slot lost to the record system it loses again, at the same moment.
func TestASlotThatWentGoesAgain(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	p := Past{
		State: slot.State{
			Slot:  engine.Slot{ID: "s", Start: at.Add(4 * time.Hour), End: at.Add(5 * time.Hour)},
			Phase: slot.Closed, OpenedAt: at, Deadline: at.Add(3*time.Hour + 30*time.Minute),
			Offers: []slot.Offer{
				{Wave: 1, At: at, Channel: engine.SMS, Status: slot.Unreached},
				{Wave: 1, At: at, Channel: engine.SMS, Status: slot.Ended, Replied: at.Add(20 * time.Minute)},
			},
		},
		Ended: at.Add(10 * time.Minute), Rates: offer.Cells{}.Rates(0), Zone: time.UTC,
	}
	var c Crowd
	p.Meet(&c, rand.New(rand.NewPCG(1, 1)))
	o, err := c.Run(contender(t, "blast").Policy)
	if err != nil || o.Filled || o.Offers != 2 || o.Late != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	p.State.Phase, p.Ended, p.State.Offers[1].Status = slot.Booked, at.Add(20*time.Minute), slot.Won // with nothing in the way
	p.Meet(&c, rand.New(rand.NewPCG(1, 1)))
	if o, err := c.Run(contender(t, "blast").Policy); err != nil || !o.Filled || math.Abs(o.Waited-20) > 1e-6 {
		t.Errorf("%+v, %v", o, err)
	}
}

// The unknown is drawn as often as it is said to be: silence lowers the chance of a later yes.
func TestSilenceCounts(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	c := curveOf(engine.SMS)
	for _, silent := range []float64{0, 15, 240} {
		const n = 100_000
		yes, accept := 0., .3
		for range n {
			m := drawn(accept, silent, c, rng)
			if m.delay < silent {
				t.Fatalf("an answer after %g minutes of somebody who was silent for %g", m.delay, silent)
			}
			if m.yes {
				yes++
			}
		}
		f := c.by(silent)
		want := accept * (1 - f) / (1 - (accept+(1-accept)*.25)*f)
		if math.Abs(yes/n-want) > .01 {
			t.Errorf("silent for %g: %.3f say yes, want %.3f", silent, yes/n, want)
		}
	}
}

// Others are those who waited, fitted and were free of caps and of other offers at that moment.
func TestOthers(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	policy := engine.DefaultPolicy()
	clinic := engine.Clinic{ID: "c", Policy: policy}
	people := map[engine.PatientID]engine.Patient{}
	var entries []engine.Entry
	join := func(id string, change func(*engine.Entry, *engine.Patient)) {
		p := engine.Patient{ID: engine.PatientID(id), Clinic: "c", Contacts: []engine.Contact{{Channel: engine.SMS, Phone: "+15145550100", Consent: at}}}
		e := engine.Entry{ID: engine.EntryID(id), Clinic: "c", Patient: p.ID, Status: engine.Waiting, Specialty: "d", Joined: at.Add(-24 * time.Hour)}
		if change != nil {
			change(&e, &p)
		}
		people[p.ID] = p
		entries = append(entries, e)
	}
	join("free", nil)
	join("asked", nil)
	join("later", func(e *engine.Entry, _ *engine.Patient) { e.Joined = at.Add(time.Minute) })
	join("left", func(e *engine.Entry, _ *engine.Patient) { e.Status = engine.Left })
	join("placed", func(e *engine.Entry, _ *engine.Patient) { e.Status = engine.Placed })
	join("capped", nil)
	join("busy", nil)
	join("mute", func(_ *engine.Entry, p *engine.Patient) { p.Contacts = nil })
	join("soon", func(e *engine.Entry, _ *engine.Patient) { e.Status = engine.Placed })
	opening := func(id string, from time.Time, offers ...slot.Offer) Past {
		s := engine.Slot{ID: engine.SlotID(id), Clinic: "c", Specialty: "d", Start: from.Add(30 * time.Hour), End: from.Add(31 * time.Hour)}
		return Past{State: slot.State{Slot: s, Phase: slot.Expired, OpenedAt: from, Deadline: s.Start, Offers: offers}, Ended: s.Start, Zone: time.UTC}
	}
	offered := func(who string, at time.Time) slot.Offer {
		return slot.Offer{Entry: engine.EntryID(who), Patient: engine.PatientID(who), At: at, Wave: 1, Channel: engine.SMS, Status: slot.Ended}
	}
	won := offered("soon", at.Add(time.Hour))
	won.Status, won.Replied = slot.Won, at.Add(2*time.Hour)
	now := opening("now", at, offered("asked", at))
	past := []Past{
		opening("1", at.Add(-100*time.Hour), offered("capped", at.Add(-100*time.Hour))),
		opening("2", at.Add(-60*time.Hour), offered("capped", at.Add(-60*time.Hour))),
		opening("3", at.Add(-time.Hour), offered("busy", at.Add(-time.Hour))),
		now,
		opening("4", at.Add(time.Hour), won),
	}
	list := NewList(clinic, time.UTC, entries, people, past)
	var got []string
	for _, c := range list.Others(now.State, engine.Point{}, 100) {
		got = append(got, string(c.Entry))
	}
	if len(got) != 2 || got[0] != "free" || got[1] != "soon" {
		t.Errorf("got %v", got)
	}
}
