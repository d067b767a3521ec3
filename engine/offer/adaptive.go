package offer

import (
	"math"
	"time"

	"relais/engine"
)

// review counts how many more people bring the expected pending yeses up to the level.
func (m model) review(v View, p engine.Policy) Decision {
	rates := v.Rates
	if !rates.known {
		rates = Cells{}.Rates(p.Accept)
	}
	left := v.Deadline.Sub(v.Now) + p.Notice
	l := look{
		model: m,
		// Whole minutes, so that level looks at the same moments whenever it is asked.
		tau:  math.Floor(awake(v.Now, v.Deadline, p.Hours, v.Zone).Minutes()),
		rate: func(ch engine.Channel) float64 { return rates.Accept(left, ch) },
	}
	l.weigh(v, p)
	d, reached := l.ask(v.Eligible, m.quick)
	if !reached { // too few who are quick: then the others in their turn as well
		d, _ = l.ask(v.Eligible, m.slow)
	}
	return d
}

// look is one review under way.
type look struct {
	model

	tau      float64                      // awake minutes until the deadline
	rate     func(engine.Channel) float64 // at this clinic
	effect   float64                      // of this slot on the rates
	expected float64                      // yeses that are pending
}

// weigh learns from this slot, silence that should have been yeses lowering what is expected, and counts
// the yeses that may still come.
func (l *look) weigh(v View, p engine.Policy) {
	var silent, rest, age float64
	var at time.Time
	for _, s := range v.Sent {
		if s.Over {
			continue
		}
		accept := l.rate(s.Channel)
		if s.Declined {
			silent += accept
			continue
		}
		if !s.At.Equal(at) { // the offers of a wave share their age
			at, age = s.At, awake(s.At, v.Now, p.Hours, v.Zone).Minutes()
		}
		c := l.curve(s.Channel)
		seen := c.by(age)
		silent += accept * seen
		rest += accept * (c.by(age+l.ahead) - seen)
	}
	l.effect = l.prior / (l.prior + silent)
	l.expected = l.effect * rest
}

// ask takes people in order until the level is reached, and passes over those whose channel brings less
// than prompt of its yeses before the deadline.
func (l *look) ask(eligible []engine.Candidate, prompt float64) (d Decision, reached bool) {
	type aim struct{ accept, level, gain float64 }
	aims := make(map[engine.Channel]aim, len(l.curves))
	expected := l.expected
	for i, e := range eligible {
		a, ok := aims[e.Channel]
		if !ok {
			c := l.curve(e.Channel)
			a.accept = l.effect * l.rate(e.Channel)
			a.gain = a.accept * c.by(l.ahead)
			if c.by(l.tau) >= prompt {
				a.level = l.level(c, l.tau, a.accept)
			}
			aims[e.Channel] = a
		}
		if a.level == 0 {
			d.Slow = append(d.Slow, i)
			continue
		}
		reached = reached || expected > max(a.level-a.accept/2, a.level/2)
		if reached {
			continue
		}
		d.Ask++
		expected += a.gain
	}
	return d, reached
}
