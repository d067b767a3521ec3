package simulate

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"relais/engine"
	"relais/engine/match"
	"relais/engine/offer"
	"relais/engine/slot"
)

// weeks is a clinic under way.
type weeks struct {
	Clinic

	policy  engine.Policy
	learns  bool
	seed    uint64
	rng     *rand.Rand
	now     float64 // minutes
	begin   float64 // when days begin to count
	end     float64
	agenda  agenda
	nth     int // events so far
	index   *match.Index
	people  []*citizen
	of      map[engine.PatientID]*citizen
	slots   []*opening
	cells   offer.Cells
	rates   offer.Rates
	result  ClinicResult
	waking  waking
	watches watcher
}

// watcher sees each wave before it counts; tests hold the rules to their promises with it.
type watcher func(w *weeks, o *opening, asked []slot.Offer)

// opening is one slot with what happens to it.
type opening struct {
	state  slot.State
	effect float64
	lead   time.Duration
	at     float64
	closed map[engine.OfferID]float64 // when somebody reads that it is gone
	of     map[engine.OfferID]*citizen
	asked  map[engine.PatientID]bool
}

// event is something on the agenda.
type event struct {
	at   float64
	nth  int
	deed func() error
}

type agenda []*event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || (a[i].at == a[j].at && a[i].nth < a[j].nth)
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push implements heap.Interface.
func (a *agenda) Push(x any) { *a = append(*a, x.(*event)) }

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func (w *weeks) later(at float64, deed func() error) {
	w.nth++
	heap.Push(&w.agenda, &event{at: max(at, w.now), nth: w.nth, deed: deed})
}

// Run plays the clinic's weeks under a policy. With learns, it learns from its openings as a running
// clinic does, from nothing on. The error says that the rules broke a promise.
func (c Clinic) Run(p engine.Policy, learns bool, seed uint64) (ClinicResult, error) {
	return c.run(p, learns, seed, nil)
}

func (c Clinic) run(p engine.Policy, learns bool, seed uint64, watch watcher) (ClinicResult, error) {
	w := &weeks{
		Clinic: c, policy: p, learns: learns, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)),
		begin: float64(c.Warm) * day, end: float64(c.Warm+c.Days) * day, index: match.New(),
		of: map[engine.PatientID]*citizen{}, waking: newWaking(engine.Hours{From: peopleWake, Until: peopleSleep}), watches: watch,
	}
	w.rates = w.cells.Rates(p.Accept)
	w.groups()
	for range c.People {
		w.join(-w.rng.Float64() * 60 * day) // they have waited for up to two months
	}
	for d := range c.Warm + c.Days {
		w.later(float64(d)*day, func() error { w.plan(float64(d) * day); return nil })
	}
	for len(w.agenda) > 0 {
		e := heap.Pop(&w.agenda).(*event)
		if e.at >= w.end {
			break
		}
		w.now = e.at
		if err := e.deed(); err != nil {
			return ClinicResult{}, err
		}
	}
	return w.sum(), nil
}

// plan draws what a day brings, and moves those up again whose offers are long ago.
func (w *weeks) plan(midnight float64) {
	for _, c := range w.people {
		if c.until == 0 && len(c.patient.Offered) > 0 {
			w.put(c)
		}
	}
	for range poisson(w.rng, w.Arrivals) {
		at := midnight + clinicOpens + w.rng.Float64()*(clinicCloses-clinicOpens)
		w.later(at, func() error { w.join(at); return nil })
	}
	if weekend(midnight) {
		return
	}
	for range poisson(w.rng, w.Cancelled) {
		at := midnight + clinicOpens + w.rng.Float64()*(clinicCloses-60-clinicOpens)
		if start, ok := w.start(at); ok {
			w.later(at, func() error { return w.open(start, 0, "") })
		}
	}
}

func weekend(m float64) bool {
	d := instant(m).Weekday()
	return d == time.Saturday || d == time.Sunday
}

// grid is how many minutes apart slots start.
const grid = 20

// start draws when a slot that is cancelled at a moment starts: in opening hours, within a lead that was
// drawn. A Friday has few hours left; then another lead is drawn.
func (w *weeks) start(at float64) (float64, bool) {
	for range 20 {
		l := w.Leads[choose(w.rng, len(w.Leads), func(i int) float64 { return w.Leads[i].Share })]
		for range 20 {
			lead := l.From.Minutes() + w.rng.Float64()*(l.Until-l.From).Minutes()
			start := math.Ceil((at+lead)/grid) * grid
			if m := math.Mod(start, day); !weekend(start) && m >= clinicOpens && m < clinicCloses && start-at <= l.Until.Minutes() {
				return start, true
			}
		}
	}
	return 0, false
}

// open frees a slot that starts at a minute.
func (w *weeks) open(start float64, depth int, parent engine.SlotID) error {
	n := len(w.slots)
	rng := rand.New(rand.NewPCG(w.seed, uint64(n)<<1))
	o := &opening{
		effect: gamma(rng, w.SlotShape) / w.SlotShape, lead: time.Duration((start - w.now) * float64(time.Minute)), at: w.now,
		closed: map[engine.OfferID]float64{}, of: map[engine.OfferID]*citizen{}, asked: map[engine.PatientID]bool{},
	}
	w.slots = append(w.slots, o)
	at := instant(start)
	return w.step(o, slot.Opened{
		Slot: engine.Slot{
			ID: engine.SlotID(fmt.Sprintf("s%d", n)), Clinic: "simulated", Specialty: "any", Place: "here",
			Start: at, End: at.Add(w.Length),
		},
		Grace: w.policy.Grace, Depth: depth, Parent: parent,
	})
}

// wake is the slot's time to look.
func (w *weeks) wake(o *opening, gen uint64) error {
	if gen != o.state.Gen || o.state.Wake.IsZero() {
		return nil
	}
	now := instant(w.now)
	if now.Before(o.state.Wake) { // minutes are rounded to nanoseconds on their way
		w.now = math.Nextafter(minutesOf(o.state.Wake), math.Inf(1))
		now = o.state.Wake
	}
	tick := slot.Tick{Gen: gen, Rates: w.rates}
	if slot.WantsCandidates(o.state, now, w.policy, engine.Automatic) {
		tick.Candidates = w.candidates(o)
	}
	return w.stepAt(o, tick, now)
}

func (w *weeks) step(o *opening, in slot.Input) error { return w.stepAt(o, in, instant(w.now)) }

// stepAt runs the rules and carries out what they want.
func (w *weeks) stepAt(o *opening, in slot.Input, now time.Time) error {
	before := o.state
	state, effects, err := slot.Step(before, in, now, w.policy, engine.Automatic, time.UTC)
	if err != nil {
		return err
	}
	if e, ok := slot.Evidence(before, state, now, w.policy, time.UTC); ok && w.learns {
		w.cells = w.cells.Observe(e, w.policy.Accept)
		w.rates = w.cells.Rates(w.policy.Accept)
	}
	if asked := state.Offers[len(before.Offers):]; before.Opening == state.Opening && len(asked) > 0 && w.watches != nil {
		w.watches(w, o, asked)
	}
	o.state = state
	for _, e := range effects {
		if err := w.carryOut(o, e, now); err != nil {
			return err
		}
	}
	if before.Gen != state.Gen && !state.Wake.IsZero() {
		gen := state.Gen
		w.later(minutesOf(state.Wake), func() error { return w.wake(o, gen) })
	}
	return nil
}

func (w *weeks) carryOut(o *opening, e slot.Effect, now time.Time) error {
	switch e := e.(type) {
	case slot.StartOffer:
		return w.ask(o, e.Offer, now)
	case slot.CloseOffer:
		who := o.of[e.Offer]
		if who.pending == e.Offer {
			who.pending = ""
		}
		if e.Tell != "" {
			o.closed[e.Offer] = w.now + w.CloseOutRead.Minutes()
		}
	case slot.SettleEntry:
		who := o.of[o.state.Winner]
		who.pending = ""
		who.entry.Status = e.Status
		w.put(who)
	case slot.WriteBooking:
		w.fill(o)
		return w.step(o, slot.BookingAccepted{Booking: e.Booking, Appointment: "Appointment/1"})
	case slot.CancelCurrent:
		start := minutesOf(e.Appointment.Start)
		if start <= w.now {
			return nil
		}
		parent, depth := o.state.Slot.ID, e.Depth
		w.later(w.now+1, func() error { return w.open(start, depth, parent) })
	case slot.MarkOffered, slot.Note, slot.Remind, slot.Tell, slot.Alert, slot.Answer:
	}
	return nil
}

// fill counts a slot that somebody takes.
func (w *weeks) fill(o *opening) {
	who := o.of[o.state.Winner]
	who.until = w.now
	if o.at >= w.begin {
		w.result.Waits = append(w.result.Waits, w.waking.spent(w.now)-w.waking.spent(o.at))
		for _, g := range who.groups {
			w.result.Groups[g].Won++
		}
		w.result.Recovered += w.Length.Minutes()
		if c := who.entry.Current; c != nil {
			w.result.Sooner += c.Start.Sub(o.state.Slot.Start).Hours() / 24
		}
	}
}

// sum counts what is over.
func (w *weeks) sum() ClinicResult {
	r := w.result
	for _, o := range w.slots {
		if o.at < w.begin || o.state.Phase == slot.None { // too deep in its chain, or too close
			continue
		}
		for _, sent := range o.state.Offers {
			for _, g := range w.of[sent.Patient].groups {
				r.Groups[g].Sent++
			}
		}
		r.Offers += len(o.state.Offers)
		if o.state.Phase != slot.Booked && o.state.Phase != slot.Expired {
			continue // still open
		}
		booked := o.state.Phase == slot.Booked
		short := o.lead <= 24*time.Hour
		r.Openings++
		if short {
			r.Short++
		}
		for len(r.Chained) <= o.state.Depth {
			r.Chained = append(r.Chained, 0)
		}
		if booked {
			r.Fills++
			r.Chained[o.state.Depth]++
			if short {
				r.ShortFills++
			}
		}
	}
	for _, c := range w.people {
		until := c.until
		if until == 0 {
			until = w.end
			r.Waiting++
		}
		for _, g := range c.groups {
			r.Groups[g].Days += max(0, until-max(c.from, w.begin)) / day
		}
	}
	if r.fits > 0 {
		r.Capped = float64(r.capped) / float64(r.fits)
	}
	return r
}

// poisson draws a count of a small mean, by waiting times.
func poisson(rng *rand.Rand, mean float64) int {
	n := 0
	for t := rng.ExpFloat64(); t < mean; t += rng.ExpFloat64() {
		n++
	}
	return n
}
