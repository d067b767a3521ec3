package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"relais/engine"
	"relais/engine/match"
	"relais/engine/reach"
	"relais/engine/slot"
)

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
