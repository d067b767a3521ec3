package offer

import (
	"math"

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
	prior   float64 // how alike slots are: weight of what is expected against what this one shows: kappa
	ahead   float64 // minutes in which a pending yes counts: W
	ceiling float64 // most yeses ever aimed at: Xmax
	accept  float64 // chance that an offer is ever accepted, before anything is known
	quick   float64 // share of yeses that must come before the deadline while enough such people are left
	slow    float64 // the same when they are not
	sms     curve
	voice   curve
	mail    curve
}

// standard are the values with the best mean utility over 36 simulated settings (lead 1 to 72
// hours, lists of 5 to 500, acceptance 5 to 25 %); docs/policy.md has the tables. Acceptance is
// that of Epic Fast Pass (11 % of 60,660 offers, JMIR 2024, e52071), rounded down. The curve of
// mail follows published delays (median 47 minutes, 90 % in a day); those of texts and calls are
// the simulation's assumptions.
var standard = model{
	value: 1, late: .15, cost: .005, delay: .01 / 60,
	turn: 1. / 23, damping: .85, prior: 2.5, ahead: 120, ceiling: 4,
	accept: .10, quick: .5, slow: .3,
	sms: curve{15, 1.4}, voice: curve{4, 1.8}, mail: curve{47, 2.67},
}

// by returns the share of yeses that came within the given awake minutes.
func (c curve) by(minutes float64) float64 {
	if minutes <= 0 {
		return 0
	}
	return .5 * math.Erfc(-math.Log(minutes/c.median)/(c.sigma*math.Sqrt2))
}

func (m *model) curve(ch engine.Channel) curve {
	switch ch {
	case engine.Voice:
		return m.voice
	case engine.EmailMail:
		return m.mail
	case engine.SMS, engine.Page, engine.Desk:
	}
	return m.sms
}

// worth is the number of pending yeses that the last offer is still worth with tau awake minutes left: as
// many people as are pending are disappointed at the first yes, which sets an upper limit, and the time
// left for further waves lowers it. 0 says that no offer is worth its cost any more.
//
// Slots differ, so the yeses of x expected ones are not Poisson but Gamma-Poisson of shape prior: one more
// is the first with chance (1 + x/prior)^-(prior+1).
func (m *model) worth(c curve, tau, accept float64) float64 {
	crit := (m.late + m.cost/accept) / (m.value + m.late)
	f := c.by(tau)
	if f <= crit {
		return 0
	}
	return m.prior * (math.Pow(f/crit, 1/(m.prior+1)) - 1) / (f + m.damping*max(0, m.turn*tau-f))
}

// level is the aim, not lowered by what the next hour would bring: close to the deadline the aim falls
// because little can come back, which is no reason to ask fewer people. The aim rises to one peak and
// falls from there.
//
// It is at least the number of pending yeses at which a minute of waiting costs as much as the people
// who are disappointed and the offers that are in vain when one of them comes.
func (m *model) level(c curve, tau, accept float64) float64 {
	best := m.worth(c, tau, accept)
	if best == 0 {
		return 0
	}
	for t := 1.; t <= 60; t++ {
		next := m.worth(c, tau+t, accept)
		if next < best {
			break
		}
		best = next
	}
	patient := math.Sqrt(m.delay / (m.turn * (m.late + m.cost/accept)))
	return min(m.ceiling, max(best, patient))
}
