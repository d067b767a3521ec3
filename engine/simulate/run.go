package simulate

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"relais/engine"
	"relais/engine/offer"
	"relais/engine/slot"
)

// most candidates that a slot looks at for one wave, as in the live system.
const mostCandidates = 100

// mostSteps stops a policy that wakes a slot without end; the longest opening takes a few thousand.
const mostSteps = 1_000_000

const (
	day     = 24 * 60 // minutes
	forever = 1e6     // minutes; longer delays are as good as none
)

// midnight is where the clock starts: a Monday, in UTC so that no day has 23 hours.
var midnight = time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)

func instant(minutes float64) time.Time {
	return midnight.Add(time.Duration(minutes * float64(time.Minute)))
}

func minutesOf(t time.Time) float64 { return t.Sub(midnight).Minutes() }

// waking converts between minutes on the clock and minutes in which people are awake.
type waking struct{ from, length float64 }

func newWaking(h engine.Hours) waking {
	if h.From == h.Until {
		return waking{0, day}
	}
	return waking{float64(h.From), float64(h.Until - h.From)}
}

// spent returns how many waking minutes passed from the clock's zero to m.
func (w waking) spent(m float64) float64 {
	days := math.Floor(m / day)
	return days*w.length + min(max(m-days*day-w.from, 0), w.length)
}

// after returns when the given waking minutes from m on have passed.
func (w waking) after(m, minutes float64) float64 {
	total := w.spent(m) + minutes
	days := math.Floor(total / w.length)
	return max(m, days*day+w.from+total-days*w.length)
}

// Outcome is what one opening came to.
type Outcome struct {
	Filled bool
	Waited float64 // waking minutes from the cancellation to the yes; 0 when not filled
	Offers int
	Late   int // people who said or would have said yes in vain, had nobody told them that the slot is gone
	Told   int // of these, who said yes although they were told, because they had not read it yet
	Passed int // people passed over for somebody behind them, as too slow for the time left
	// Recovered is the minutes of care that would have been lost.
	Recovered float64
}

// What a filled slot is worth is 1; the rest is measured against it.
const (
	costOffer = .005
	costLate  = .15
	costHour  = .01
)

// Utility weighs an outcome: 1 for a fill, less .005 an offer, .15 for everybody who says yes in
// vain, and .01 for every waking hour until the fill.
func (o Outcome) Utility() float64 { return o.utility(o.Late) }

// UtilityTold is Utility when people read that the slot is gone.
func (o Outcome) UtilityTold() float64 { return o.utility(o.Told) }

func (o Outcome) utility(late int) float64 {
	u := -costOffer*float64(o.Offers) - costLate*float64(late) - costHour*o.Waited/60
	if o.Filled {
		u++
	}
	return u
}

// answer is a reply on its way.
type answer struct {
	at     float64
	person int
	offer  engine.OfferID
}

// play is one opening under way.
type play struct {
	crowd   *Crowd
	policy  engine.Policy
	waking  waking
	state   slot.State
	now     float64
	pending []answer // in order of time
	asked   []bool
	told    map[engine.OfferID]bool
	booking engine.BookingID
	filled  float64            // minutes on the clock
	ranked  []engine.Candidate // reused from look to look
	outcome Outcome
	rates   offer.Rates
	shown   offer.Evidence // of the opening, once it is over
}

// Run plays the crowd's opening under a policy, until it is booked or expired. The error (an
// *engine.Error of code Internal) says that the rules broke a promise: two winners, an offer after
// the fill, a person asked twice, or no end.
func (c *Crowd) Run(p engine.Policy) (Outcome, error) {
	o, _, err := c.run(p, offer.Rates{})
	return o, err
}

// RunWith is Run at a clinic that knows its rates.
func (c *Crowd) RunWith(p engine.Policy, rates offer.Rates) (Outcome, error) {
	o, _, err := c.run(p, rates)
	return o, err
}

// run is RunWith that also learns. The evidence is what it can learn from the opening.
func (c *Crowd) run(p engine.Policy, rates offer.Rates) (Outcome, offer.Evidence, error) {
	g, err := c.play(p, rates)
	if err != nil {
		return Outcome{}, offer.Evidence{}, err
	}
	return g.end(), g.shown, nil
}

// play plays to the end.
func (c *Crowd) play(p engine.Policy, rates offer.Rates) (*play, error) {
	g := &play{
		rates: rates,
		crowd: c, policy: p, waking: newWaking(c.scenario.Awake), now: c.freed,
		asked: make([]bool, len(c.people)), told: map[engine.OfferID]bool{},
	}
	start := instant(c.freed).Add(c.scenario.Lead)
	opened := slot.Opened{
		Slot:  engine.Slot{ID: "simulated", Start: start, End: start.Add(c.scenario.Length)},
		Grace: max(p.Grace, c.hold), Depth: c.depth,
	}
	if err := g.step(opened); err != nil {
		return nil, err
	}
	for range mostSteps {
		in, ok := g.next()
		if !ok {
			return g, nil
		}
		if err := g.step(in); err != nil {
			return nil, err
		}
	}
	return nil, broken("the opening does not end")
}

func broken(what string) error { return engine.Errorf(engine.Internal, "simulation: %s", what) }

// next moves the clock to what happens next; ok is false when nothing will change the slot any more.
func (g *play) next() (in slot.Input, ok bool) {
	if g.booking != "" && g.state.Phase == slot.Claimed {
		return slot.BookingAccepted{Booking: g.booking, Appointment: "Appointment/1"}, true
	}
	if g.state.Wake.IsZero() {
		return nil, false
	}
	wake := minutesOf(g.state.Wake)
	if gone := g.crowd.gone; gone > 0 && gone <= wake && (len(g.pending) == 0 || gone <= g.pending[0].at) {
		g.now = max(g.now, gone)
		return slot.Taken{Why: "gone"}, true
	}
	if len(g.pending) > 0 && g.pending[0].at <= wake {
		a := g.pending[0]
		g.pending = g.pending[1:]
		g.now = a.at
		return slot.Reply{Offer: a.offer, Yes: g.crowd.people[a.person].yes, Channel: engine.SMS, ID: string(a.offer)}, true
	}
	g.now = max(g.now, wake)
	tick := slot.Tick{Gen: g.state.Gen, Rates: g.rates}
	if slot.WantsCandidates(g.state, g.clock(), g.policy, engine.Automatic) {
		tick.Candidates = g.candidates()
	}
	return tick, true
}

// clock is now, not before the slot's wake: minutes are rounded to nanoseconds on their way.
func (g *play) clock() time.Time {
	now := instant(g.now)
	if w := g.state.Wake; !w.IsZero() && now.Before(w) && w.Sub(now) < time.Microsecond {
		return w
	}
	return now
}

// candidates are the first unasked people of the list, none outside the sending hours.
func (g *play) candidates() []engine.Candidate {
	h := g.policy.Hours
	if m := math.Mod(minutesOf(g.clock()), day); h.From != h.Until && (m < float64(h.From) || m >= float64(h.Until)) {
		return nil
	}
	limit := max(mostCandidates, g.policy.Size)
	first := slices.Index(g.asked, false)
	if first < 0 {
		return nil
	}
	if !slices.Contains(g.asked[first:], true) { // nobody was passed over: they stand next to each other
		rest := g.crowd.candidates[first:]
		return rest[:min(limit, len(rest))]
	}
	g.ranked = g.ranked[:0]
	for i, asked := range g.asked {
		if len(g.ranked) == limit {
			break
		}
		if !asked {
			g.ranked = append(g.ranked, g.crowd.candidates[i])
		}
	}
	return g.ranked
}

func entryOf(person int) engine.EntryID { return engine.EntryID(strconv.Itoa(person)) }

// step runs the rules and carries out what they want, on made-up people.
func (g *play) step(in slot.Input) error {
	state, effects, err := slot.Step(g.state, in, g.clock(), g.policy, engine.Automatic, time.UTC)
	if err != nil {
		return err
	}
	if shown, ok := slot.Evidence(g.state, state, g.clock(), g.policy, time.UTC); ok {
		g.shown = shown
	}
	g.state = state
	for _, e := range effects {
		switch e := e.(type) {
		case slot.StartOffer:
			if err := g.ask(e.Offer); err != nil {
				return err
			}
		case slot.WriteBooking:
			if g.booking != "" {
				return broken("two winners")
			}
			g.booking, g.filled = e.Booking, g.now
		case slot.CloseOffer:
			g.told[e.Offer] = e.Tell != ""
		case slot.SettleEntry, slot.MarkOffered, slot.Note, slot.Remind, slot.Tell, slot.CancelCurrent, slot.Alert, slot.Answer:
		}
	}
	return nil
}

// ask tells a person of the slot; the answer is under way from now on.
func (g *play) ask(o slot.Offer) error {
	i, err := strconv.Atoi(string(o.Entry))
	switch {
	case err != nil || i < 0 || i >= len(g.asked):
		return broken("an offer to nobody")
	case g.booking != "":
		return broken("an offer after the fill")
	case g.asked[i]:
		return broken("a person asked twice")
	}
	g.asked[i] = true
	g.outcome.Offers++
	p := g.crowd.people[i]
	if !p.yes && !p.no {
		return nil
	}
	a := answer{g.waking.after(g.now, p.delay), i, o.ID}
	at, _ := slices.BinarySearchFunc(g.pending, a, func(x, y answer) int {
		return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.person, y.person))
	})
	g.pending = slices.Insert(g.pending, at, a)
	return nil
}

// end counts what remains once the slot is settled: whoever would still say yes says it in vain.
func (g *play) end() Outcome {
	o := g.outcome
	if g.booking != "" {
		o.Filled = true
		o.Waited = g.waking.spent(g.filled) - g.waking.spent(g.crowd.freed)
		o.Recovered = g.crowd.scenario.Length.Minutes()
	}
	for _, a := range g.pending {
		if !g.crowd.people[a.person].yes {
			continue
		}
		o.Late++
		if !g.told[a.offer] || a.at < g.filled+g.crowd.scenario.CloseOutRead.Minutes() {
			o.Told++
		}
	}
	before := 0 // people not asked so far, in the order of the list
	for _, asked := range g.asked {
		if asked {
			o.Passed, before = o.Passed+before, 0
		} else {
			before++
		}
	}
	return o
}
