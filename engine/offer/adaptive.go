package offer

import (
	"math"
	"slices"
	"time"

	"relais/engine"
)

// review counts how many more people bring the expected pending yeses up to the level, and says when it is
// next worth a look.
func (m model) review(v View, p engine.Policy, every time.Duration) Decision {
	if len(v.Eligible) == 0 {
		return Decision{Next: v.Now.Add(every)}
	}
	rates := v.Rates
	if !rates.known {
		rates = Cells{}.Rates(p.Accept)
	}
	r := review{model: m, v: &v, p: &p, rates: rates}
	r.batch()
	l := r.at(v.Now)
	d, reached := l.ask(v.Eligible, m.quick)
	prompt := m.quick
	if !reached { // too few who are quick: then the others in their turn as well
		// Unless one of them, of whose channel less is worth having, would end the wave before all the
		// quick were asked: more would be asked when less is needed.
		if all, enough := l.ask(v.Eligible, m.slow); all.Ask >= d.Ask {
			d, reached, prompt = all, enough, m.slow
		}
	}
	d.Next = v.Now.Add(every)
	if reached && d.Ask == 0 {
		d.Next = r.quiet(every, prompt)
	}
	return d
}

// review is one look of the adaptive strategy, now and at the times that follow it.
type review struct {
	model

	v       *View
	p       *engine.Policy
	rates   Rates
	batches []batch
}

// batch is the offers that were made at one moment on one channel and have no answer, or of one channel
// that were declined.
type batch struct {
	age      float64 // awake minutes, now
	channel  engine.Channel
	n        float64
	declined bool
}

// batch puts together what was sent: offers of a wave share their age.
func (r *review) batch() {
	var at time.Time
	var age float64
	first := 0 // batch of the wave at hand
	r.batches = make([]batch, 0, 16)
	for _, s := range r.v.Sent {
		if s.Over {
			continue
		}
		if !s.At.Equal(at) {
			at, age, first = s.At, awake(s.At, r.v.Now, r.p.Hours, r.v.Zone).Minutes(), len(r.batches)
		}
		i := first
		for i < len(r.batches) && (r.batches[i].channel != s.Channel || r.batches[i].declined != s.Declined) {
			i++
		}
		if i == len(r.batches) {
			r.batches = append(r.batches, batch{age, s.Channel, 0, s.Declined})
		}
		r.batches[i].n++
	}
}

// at is how things stand at a moment from now on, when nobody answers before.
func (r *review) at(t time.Time) look {
	left := r.v.Deadline.Sub(t) + r.p.Notice
	l := look{
		model: r.model,
		// Whole minutes, so that level looks at the same moments whenever it is asked.
		tau:  math.Floor(awake(t, r.v.Deadline, r.p.Hours, r.v.Zone).Minutes()),
		left: left, rates: &r.rates,
	}
	passed := 0.
	if t.After(r.v.Now) {
		passed = awake(r.v.Now, t, r.p.Hours, r.v.Zone).Minutes()
	}
	// This slot's silence that should have been yeses lowers what is expected of it.
	var silent, rest float64
	for _, b := range r.batches {
		accept := b.n * l.rate(b.channel)
		if b.declined {
			silent += accept
			continue
		}
		c := l.curve(b.channel)
		seen := c.by(b.age + passed)
		silent += accept * seen
		rest += accept * (c.by(b.age+passed+l.ahead) - seen)
	}
	l.effect = l.prior / (l.prior + silent)
	l.expected = l.effect * rest
	return l
}

// longest is how long a look may be put off because nothing is to be expected from it.
const longest = time.Hour

// quiet returns the next time, in steps of every, at which one of today's candidates may be worth asking or
// becomes too slow. Until then a look would change nothing, unless something happens that causes one anyway.
func (r *review) quiet(every time.Duration, prompt float64) time.Time {
	var present []engine.Channel
	for _, e := range r.v.Eligible {
		if !slices.Contains(present, e.Channel) {
			present = append(present, e.Channel)
		}
	}
	now := r.at(r.v.Now)
	slow := make([]bool, len(present))
	for i, ch := range present {
		slow[i] = now.aim(ch, prompt).level == 0
	}
	for wait := every; ; wait += every {
		t := r.v.Now.Add(wait)
		if wait+every > longest || !t.Before(r.v.Deadline) {
			return t
		}
		l := r.at(t)
		for i, ch := range present {
			a := l.aim(ch, prompt)
			if (a.level == 0) != slow[i] || (a.level > 0 && !a.reached(l.expected)) {
				return t
			}
		}
	}
}

// look is how things stand at one moment.
type look struct {
	model

	tau      float64 // awake minutes until the deadline
	left     time.Duration
	rates    *Rates
	effect   float64 // of this slot on the rates
	expected float64 // yeses that are pending
}

func (l *look) rate(ch engine.Channel) float64 { return l.rates.Accept(l.left, ch) }

// aim is what is worth having of a channel.
type aim struct {
	channel engine.Channel
	accept  float64 // chance that one more offer is ever accepted
	level   float64 // of expected yeses; 0: the channel is too slow
	gain    float64 // expected yeses of one more offer
}

// reached reports that one more offer would be too many.
func (a aim) reached(expected float64) bool { return expected > max(a.level-a.accept/2, a.level/2) }

// aim is for those channels that bring at least prompt of their yeses before the deadline.
func (l *look) aim(ch engine.Channel, prompt float64) aim {
	c := l.curve(ch)
	a := aim{channel: ch, accept: l.effect * l.rate(ch)}
	a.gain = a.accept * c.by(l.ahead)
	if c.by(l.tau) >= prompt {
		a.level = l.level(c, l.tau, a.accept)
	}
	return a
}

// ask takes people in order until the level is reached, and passes over those whose channel brings less
// than prompt of its yeses before the deadline.
func (l *look) ask(eligible []engine.Candidate, prompt float64) (d Decision, reached bool) {
	aims := make([]aim, 0, 4)
	expected := l.expected
	for i, e := range eligible {
		n := slices.IndexFunc(aims, func(a aim) bool { return a.channel == e.Channel })
		if n < 0 {
			n = len(aims)
			aims = append(aims, l.aim(e.Channel, prompt))
		}
		a := aims[n]
		if a.level == 0 {
			d.Slow = append(d.Slow, i)
			continue
		}
		reached = reached || a.reached(expected)
		if reached {
			continue
		}
		d.Ask++
		expected += a.gain
		d.Rate += (a.accept - d.Rate) / float64(d.Ask)
	}
	return d, reached
}
