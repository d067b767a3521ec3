package offer

import (
	"math"
	"time"

	"relais/engine"
)

// curve is how long people take to answer on a channel: lognormal, in awake minutes. It is the
// share of those who ever say yes that said it by then.
type curve struct{ median, sigma float64 }

// model holds the constants of the adaptive strategy. One slot is worth value; everything else
// is measured against it.
type model struct {
	value   float64 // of a filled slot
	late    float64 // cost of telling somebody "taken"
	cost    float64 // of one offer: attention that wears out
	delay   float64 // cost of a minute of an unfilled slot
	turn    float64 // yeses a minute that later waves can still bring: mu
	damping float64 // how much later waves stand in for this one: eta
	prior   float64 // weight of what is expected against what this slot shows: kappa
	ahead   float64 // minutes in which a pending yes counts: W
	ceiling float64 // most yeses ever aimed at: Xmax
	accept  float64 // chance that an offer is ever accepted, before this slot says more
	prompt  float64 // least share of yeses that must come before the deadline
	curves  map[engine.Channel]curve
}

// standard are the values with the best mean utility over 36 simulated settings (lead 1 to 72
// hours, lists of 5 to 500, acceptance 5 to 25 %); docs/policy.md has the tables. Acceptance is
// that of Epic Fast Pass (11 % of 60,660 offers, JMIR 2024, e52071), rounded down. The curve of
// mail follows published delays (median 47 minutes, 90 % in a day); those of texts and calls are
// the simulation's assumptions.
var standard = model{
	value: 1, late: .15, cost: .005, delay: .01 / 60,
	turn: 1. / 25, damping: .85, prior: 4, ahead: 120, ceiling: 4,
	accept: .10, prompt: .3,
	curves: map[engine.Channel]curve{
		engine.SMS:       {15, 1.4},
		engine.Voice:     {4, 1.8},
		engine.EmailMail: {47, 2.67},
	},
}

// by returns the share of yeses that came within the given awake minutes.
func (c curve) by(minutes float64) float64 {
	if minutes <= 0 {
		return 0
	}
	return .5 * math.Erfc(-math.Log(minutes/c.median)/(c.sigma*math.Sqrt2))
}

func (m model) curve(ch engine.Channel) curve {
	if c, ok := m.curves[ch]; ok {
		return c
	}
	return m.curves[engine.SMS]
}

// aim is the number of pending yeses worth having with tau awake minutes left. Pending yeses are
// about Poisson, so as many people as are pending are disappointed at the first yes: that sets
// an upper limit, and the time left for further waves lowers it. 0 says that no offer is worth
// its cost any more.
func (m model) aim(c curve, tau, accept float64) float64 {
	worth := (m.late + m.cost/accept) / (m.value + m.late)
	f := c.by(tau)
	if f <= worth {
		return 0
	}
	now := math.Log(f/worth) / (f + m.damping*max(0, m.turn*tau-f))
	return min(m.ceiling, max(now, math.Sqrt(m.delay/(m.turn*m.late))))
}

// level is the aim, not yet lowered by what the next hour would bring: close to the deadline the
// aim falls because little can come back, which is no reason to ask fewer people.
func (m model) level(c curve, tau, accept float64) float64 {
	l := m.aim(c, tau, accept)
	if l == 0 {
		return 0
	}
	for t := 1.; t <= 60; t++ {
		l = max(l, m.aim(c, tau+t, accept))
	}
	return l
}

// The range in which a clinic's own acceptance is believed: a few openings can show anything.
const (
	leastAccept = .02
	mostAccept  = .5
)

// informed replaces the published acceptance by the clinic's own where that is known.
func (m model) informed(p engine.Policy) model {
	if p.Accept > 0 {
		m.accept = min(max(p.Accept, leastAccept), mostAccept)
	}
	return m
}

// review counts how many more people bring the expected pending yeses up to the level.
func (m model) review(v View, p engine.Policy) Decision {
	// Whole minutes, so that level looks at the same moments whenever it is asked.
	tau := math.Floor(awake(v.Now, v.Deadline, p.Hours, v.Zone).Minutes())

	// What this slot showed: silence that should have been yeses lowers the expectation.
	var silent, rest float64
	var at time.Time
	var age float64
	for _, s := range v.Sent {
		if s.Over {
			continue
		}
		if s.Declined {
			silent += m.accept
			continue
		}
		if !s.At.Equal(at) { // the offers of a wave share their age
			at, age = s.At, awake(s.At, v.Now, p.Hours, v.Zone).Minutes()
		}
		c := m.curve(s.Channel)
		seen := c.by(age)
		silent += m.accept * seen
		rest += c.by(age+m.ahead) - seen
	}
	accept := m.accept * m.prior / (m.prior + silent)
	expected := accept * rest

	levels := make(map[engine.Channel]float64, len(m.curves))
	var d Decision
	full := false
	for i, e := range v.Eligible {
		c := m.curve(e.Channel)
		l, ok := levels[e.Channel]
		if !ok {
			if c.by(tau) >= m.prompt {
				l = m.level(c, tau, accept)
			}
			levels[e.Channel] = l
		}
		if l == 0 {
			d.Slow = append(d.Slow, i)
			continue
		}
		full = full || expected > max(l-accept/2, l/2)
		if full {
			continue
		}
		d.Ask++
		expected += accept * c.by(m.ahead)
	}
	return d
}
