package simulate

import (
	"math"
	"math/rand/v2"
	"time"

	"relais/engine"
	"relais/engine/offer"
	"relais/engine/slot"
)

// Past is an opening that took place. Its people can be met again: what those who were asked said, and
// when, is known; what the others would have said is drawn.
type Past struct {
	State slot.State
	Ended time.Time // when it was over
	Rates offer.Rates
	// Others were never asked and could have been, in order: those who fit and whom no cap held back.
	Others []engine.Candidate
	Hours  engine.Hours   // in which people were messaged, and in which their answers count as delayed
	Zone   *time.Location // the clinic's
}

// Omitted is why a past opening cannot be played again. The list is closed.
type Omitted string

// The reasons.
const (
	Playable    Omitted = ""
	OmitHeld    Omitted = "held"    // suspended or paused for a while
	OmitDesk    Omitted = "desk"    // the front desk gave it away by other means
	OmitRefused Omitted = "refused" // somebody said yes and the record system said no
	OmitSilent  Omitted = "silent"  // nobody was asked: shadow mode, nobody fitted, or it was over before
)

// Omit says whether the opening can be played; held is what its timeline says.
func (p *Past) Omit(held bool) Omitted {
	asked, desk, refused := 0, false, false
	for _, o := range p.State.Offers {
		switch {
		case o.Wave > 0:
			asked++
		case o.Status == slot.Won:
			desk = true
		}
		refused = refused || o.Status == slot.Refused
	}
	switch {
	case held:
		return OmitHeld
	case desk:
		return OmitDesk
	case refused:
		return OmitRefused
	case asked == 0:
		return OmitSilent
	}
	return Playable
}

// Fact is what the opening really came to. Late and Told are the yeses that came in vain.
func (p *Past) Fact() Outcome {
	var o Outcome
	won := p.won()
	for _, sent := range p.State.Offers {
		if sent.Wave == 0 {
			continue
		}
		o.Offers++
		if p.saidYes(sent) && sent.Status != slot.Won {
			o.Late++
		}
	}
	o.Told = o.Late
	if !won.IsZero() {
		o.Filled = true
		o.Waited = p.clock().spent(p.minutes(won)) - p.clock().spent(p.minutes(p.State.OpenedAt))
		o.Recovered = p.State.Slot.End.Sub(p.State.Slot.Start).Minutes()
	}
	return o
}

// won is when the winner said yes; zero: nobody did.
func (p *Past) won() time.Time {
	for _, o := range p.State.Offers {
		if o.Status == slot.Won {
			return o.Replied
		}
	}
	return time.Time{}
}

// over is when no yes counted any more.
func (p *Past) over() time.Time {
	end := p.State.Deadline
	if won := p.won(); !won.IsZero() {
		end = won
	}
	if !p.Ended.IsZero() && p.Ended.Before(end) {
		end = p.Ended
	}
	return end
}

// saidYes tells a yes that came in vain from a no of somebody whose offer ended later.
func (p *Past) saidYes(o slot.Offer) bool {
	switch o.Status {
	case slot.Won, slot.Refused:
		return true
	case slot.Lost, slot.Ended:
		return !o.Replied.IsZero() && !o.Replied.Before(p.over())
	case slot.Pending, slot.Declined, slot.Unreached:
	}
	return false
}

// minutes is a moment on the clock of the simulation: the clinic's wall clock, counted from the midnight
// before the opening. A night in which clocks change is as long as others, which no waking hour notices.
func (p *Past) minutes(t time.Time) float64 {
	return wall(t, p.Zone).Sub(wall(p.State.OpenedAt, p.Zone).Truncate(day * time.Minute)).Minutes()
}

func wall(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

func (p *Past) clock() waking { return newWaking(p.Hours) }

// Meet fills c with the people of the opening: their known answers, and for all that is not known a draw.
func (p *Past) Meet(c *Crowd, rng *rand.Rand) {
	s := p.State.Slot
	from := p.minutes(p.State.OpenedAt)
	*c = Crowd{
		scenario: Scenario{
			Lead:   time.Duration((p.minutes(s.Start) - from) * float64(time.Minute)),
			Length: s.End.Sub(s.Start), Awake: p.Hours, CloseOutRead: Standard()[0].CloseOutRead,
		},
		freed: from, people: c.people[:0], candidates: c.candidates[:0],
		depth: p.State.Depth,
	}
	if p.State.Phase == slot.Closed && !p.Ended.IsZero() {
		c.gone = p.minutes(p.Ended)
	}
	effect := p.effect(rng)
	for _, o := range p.State.Offers {
		if o.Wave == 0 {
			continue
		}
		if p.State.Approved && len(c.people) == 0 {
			c.hold = o.At.Sub(p.State.OpenedAt)
		}
		c.join(p.mind(o, effect, rng), o.Channel)
	}
	left := s.Start.Sub(p.State.OpenedAt)
	for _, o := range p.Others {
		c.join(drawn(p.Rates.Accept(left, o.Channel)*effect, 0, curveOf(o.Channel), rng), o.Channel)
	}
}

// join adds somebody to the end of the list. The name is a number: nothing about a person is kept.
func (c *Crowd) join(m person, channel engine.Channel) {
	id := entryOf(len(c.people))
	c.people = append(c.people, m)
	c.candidates = append(c.candidates, engine.Candidate{Entry: id, Patient: engine.PatientID(id), Channel: channel})
}

// effect draws how much this slot is wanted, given what it showed: Gamma distributed, and so given the
// yeses and those that were to be expected.
func (p *Past) effect(rng *rand.Rand) float64 {
	shape := Standard()[0].SlotShape
	yes, expected := 0., 0.
	for _, o := range p.State.Offers {
		if o.Wave == 0 || o.Status == slot.Unreached {
			continue
		}
		if p.saidYes(o) {
			yes++
		}
		share := 1.
		if o.Replied.IsZero() {
			share = curveOf(o.Channel).by(p.silent(o))
		}
		expected += share * p.Rates.Accept(p.State.Slot.Start.Sub(o.At), o.Channel)
	}
	return gamma(rng, shape+yes) / (shape + expected)
}

// silent is how many waking minutes somebody who did not answer had for it.
func (p *Past) silent(o slot.Offer) float64 {
	until := p.over()
	if !o.Replied.IsZero() {
		until = o.Replied
	}
	return max(0, p.clock().spent(p.minutes(until))-p.clock().spent(p.minutes(o.At)))
}

// mind is what an asked person says when asked again: what they said, as soon as they said it.
func (p *Past) mind(o slot.Offer, effect float64, rng *rand.Rand) person {
	minutes := p.silent(o)
	switch {
	case o.Status == slot.Unreached:
		return person{delay: forever}
	case p.saidYes(o):
		return person{yes: true, delay: minutes}
	case !o.Replied.IsZero():
		return person{no: true, delay: minutes}
	}
	return drawn(p.Rates.Accept(p.State.Slot.Start.Sub(o.At), o.Channel)*effect, minutes, curveOf(o.Channel), rng)
}

// drawn is somebody with the given chance of ever saying yes, who was silent for the given minutes.
func drawn(accept, silent float64, c lognormal, rng *rand.Rand) person {
	accept = min(accept, .95)
	seen := c.by(silent)
	mind, late := rng.Float64(), seen+(1-seen)*rng.Float64()
	yes, no := accept*(1-seen), (1-accept)*Standard()[0].Refusals*(1-seen)
	still := yes + no + (1-accept)*(1-Standard()[0].Refusals)
	return person{
		yes: mind*still < yes, no: mind*still >= yes && mind*still < yes+no,
		delay: min(c.at(late), forever),
	}
}

// lognormal is the delay of answers on a channel.
type lognormal struct{ median, sigma float64 }

func curveOf(ch engine.Channel) lognormal {
	all := Standard()[0].Reach
	r := all[0]
	for _, other := range all {
		if other.Channel == ch {
			r = other
		}
	}
	return lognormal{r.Median.Minutes(), r.Sigma}
}

// by is the share of answers that came within the given minutes.
func (l lognormal) by(minutes float64) float64 {
	if minutes <= 0 {
		return 0
	}
	return .5 * math.Erfc(-math.Log(minutes/l.median)/(l.sigma*math.Sqrt2))
}

// at is the delay that a share of answers came within.
func (l lognormal) at(share float64) float64 {
	return l.median * math.Exp(l.sigma*math.Sqrt2*math.Erfinv(2*min(share, 1-1e-12)-1))
}
