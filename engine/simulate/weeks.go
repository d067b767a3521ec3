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
	"relais/engine/reach"
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

// citizen is somebody on the list.
type citizen struct {
	patient engine.Patient
	entry   engine.Entry
	reach   Reach
	accept  float64 // own chance of a yes
	groups  [3]int
	from    float64        // minutes at which they joined
	until   float64        // at which they were placed; 0: not yet
	pending engine.OfferID // that may be answered
}

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

func (w *weeks) groups() {
	add := func(by, name string) { w.result.Groups = append(w.result.Groups, Group{By: by, Name: name}) }
	add("language", string(engine.French))
	add("language", string(engine.English))
	for _, a := range w.Ages {
		add("age", fmt.Sprintf("%d-%d", a.From, a.Until))
	}
	for _, r := range w.Rings {
		add("distance", fmt.Sprintf("%g-%g km", r.From, r.Until))
	}
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

// join puts somebody new on the list.
func (w *weeks) join(at float64) {
	n := len(w.people)
	r := w.rng
	age := choose(r, len(w.Ages), func(i int) float64 { return w.Ages[i].Share })
	ring := choose(r, len(w.Rings), func(i int) float64 { return w.Rings[i].Share })
	lang, langGroup := engine.French, 0
	if r.Float64() < w.English {
		lang, langGroup = engine.English, 1
	}
	band := w.Ages[age]
	by := pick(band.Reach, r.Float64())
	x, y := gamma(r, w.Acceptance*w.Concentration), gamma(r, (1-w.Acceptance)*w.Concentration)
	c := &citizen{reach: by, accept: x / (x + y), groups: [3]int{langGroup, 2 + age, 2 + len(w.Ages) + ring}, from: at}
	if x == 0 {
		c.accept = 0
	}
	id := fmt.Sprintf("p%06d", n)
	joined := instant(at)
	contact := engine.Contact{Channel: by.Channel, Consent: midnight.AddDate(-1, 0, 0)}
	if by.Channel == engine.EmailMail {
		contact.Email = engine.Email(id + "@example.com")
	} else {
		contact.Phone = "+15145550100"
	}
	c.patient = engine.Patient{
		ID: engine.PatientID(id), Clinic: "simulated", Lang: lang, Contacts: []engine.Contact{contact},
		Born: midnight.AddDate(-band.From-r.IntN(band.Until-band.From+1), 0, 0),
	}
	km := w.Rings[ring].From + r.Float64()*(w.Rings[ring].Until-w.Rings[ring].From)
	angle := r.Float64() * 2 * math.Pi
	home := engine.Point{
		Lat: homePlace.Lat + km/111.2*math.Sin(angle),
		Lon: homePlace.Lon + km/111.2*math.Cos(angle)/math.Cos(homePlace.Lat*math.Pi/180),
	}
	c.entry = engine.Entry{
		ID: engine.EntryID("e" + id), Clinic: "simulated", Patient: c.patient.ID, Status: engine.Waiting, Specialty: "any",
		Home: &home, RadiusKm: 250, Joined: joined,
		Notice: w.Notices[choose(r, len(w.Notices), func(i int) float64 { return w.Notices[i].Share })].Least,
	}
	if r.Float64() < w.Halves {
		half := engine.Window{Days: 0x7f, From: clinicOpens, Until: 12 * 60}
		if r.Float64() < .5 {
			half.From, half.Until = 12*60, clinicCloses+int(w.Length.Minutes())
		}
		c.entry.Windows = []engine.Window{half}
	}
	if r.Float64() < w.Holding {
		start := math.Ceil((max(at, 0)+(10+50*r.Float64())*day)/day)*day + clinicOpens + grid*float64(r.IntN((clinicCloses-clinicOpens)/grid))
		for weekend(start) {
			start += day
		}
		c.entry.Current = &engine.Appointment{Source: "Appointment/" + id, Start: instant(start)}
	}
	w.people = append(w.people, c)
	w.of[c.patient.ID] = c
	w.put(c)
}

func (w *weeks) put(c *citizen) { w.index.Put(c.entry, w.recent(c)) }

// recent counts the offers of the last 30 days and forgets older ones.
func (w *weeks) recent(c *citizen) int {
	now := instant(w.now)
	for len(c.patient.Offered) > 0 && now.Sub(c.patient.Offered[0].At) >= 30*24*time.Hour {
		c.patient.Offered = c.patient.Offered[1:]
	}
	return len(c.patient.Offered)
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

// candidates are those who may be asked for a slot now: the matcher and the caps of the live system.
func (w *weeks) candidates(o *opening) []engine.Candidate {
	now := instant(w.now)
	if h, m := w.policy.Hours, math.Mod(w.now, day); h.From != h.Until && (m < float64(h.From) || m >= float64(h.Until)) {
		return nil // as everybody's hours would say, one by one
	}
	return w.index.Rank(nil, match.Query{
		Slot: o.state.Slot, Place: homePlace, Now: now, Limit: max(mostCandidates, w.policy.Size),
		Accept: func(c *engine.Candidate) bool { return w.may(o, c, now) == "" },
	})
}

// may says why somebody who fits is not asked, as the live system does.
func (w *weeks) may(o *opening, c *engine.Candidate, now time.Time) match.Obstacle {
	who := w.of[c.Patient]
	if o.asked[c.Patient] {
		return match.AskedBefore
	}
	if who.pending != "" {
		return match.Outstanding
	}
	w.result.fits++
	v := reach.May(who.patient, o.state.Slot.Start, now, nil, w.policy)
	if v.Obstacle == string(match.Capped) {
		w.result.capped++
	}
	c.Channel, c.Offered = v.Channel, w.recent(who)
	return match.Obstacle(v.Obstacle)
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

// ask tells somebody of a slot; the answer is under way from now on.
func (w *weeks) ask(o *opening, sent slot.Offer, now time.Time) error {
	who := w.of[sent.Patient]
	switch {
	case who.pending != "":
		return broken("two offers to one person")
	case who.until > 0:
		return broken("an offer to somebody who has a slot")
	}
	tired := math.Pow(1-w.Fatigue, float64(w.recent(who)))
	who.pending = sent.ID
	o.of[sent.ID] = who
	o.asked[sent.Patient] = true
	who.patient.Offered = append(who.patient.Offered, engine.Mark{At: now, Slot: o.state.Slot.ID, Start: o.state.Slot.Start})
	w.put(who)
	// Chance of its own for each offer, so that what one person says does not move what others say.
	rng := rand.New(rand.NewPCG(w.seed^uint64(len(w.slots))<<20, hash(string(sent.Patient)+string(o.state.Slot.ID))))
	mind, word := rng.Float64(), rng.Float64()
	delay := min(who.reach.Median.Minutes()*math.Exp(who.reach.Sigma*rng.NormFloat64()), forever)
	yes := mind < who.accept*o.effect*tired
	if !yes && word >= w.Refusals {
		return nil
	}
	w.later(w.waking.after(w.now, delay), func() error { return w.answer(o, who, sent.ID, yes) })
	return nil
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// answer is somebody's reply; who has read that the slot is gone sends none.
func (w *weeks) answer(o *opening, who *citizen, id engine.OfferID, yes bool) error {
	if read, told := o.closed[id]; told && w.now >= read {
		return nil
	}
	if who.until > 0 {
		return nil // they have a slot meanwhile
	}
	if yes && o.at >= w.begin && o.state.Phase != slot.Offering {
		w.result.Late++
	}
	if err := w.step(o, slot.Reply{Offer: id, Yes: yes, Channel: who.reach.Channel, ID: string(id)}); err != nil {
		return err
	}
	if who.pending == id {
		who.pending = ""
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

// choose draws an index by shares that add up to 1.
func choose(rng *rand.Rand, n int, share func(int) float64) int {
	u := rng.Float64()
	for i := range n - 1 {
		if u < share(i) {
			return i
		}
		u -= share(i)
	}
	return n - 1
}

// poisson draws a count of a small mean, by waiting times.
func poisson(rng *rand.Rand, mean float64) int {
	n := 0
	for t := rng.ExpFloat64(); t < mean; t += rng.ExpFloat64() {
		n++
	}
	return n
}
