package offer

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"relais/engine"
)

// Cells is what a clinic learned of how often its offers are accepted: a Gamma-Poisson count for each
// channel and each range of time left when the offer was made. The zero value knows nothing. A Cells is
// never changed: Observe returns the next one. It holds sums only, nothing about a person, and its size
// does not grow.
type Cells struct {
	Openings int       // learned from since the beginning or the last reset
	At       time.Time // of the last one

	counts [len(leads)][len(learned)]Count
}

// Count is what offers of one cell showed, old ones counting less.
type Count struct {
	Yes      float64 `json:"yes"`
	Exposure float64 `json:"exposure"` // offers that had all their time to be answered
}

// leads are the ranges of time between an offer and the start of its slot; each ends where it says.
var leads = [...]struct {
	name  string
	below time.Duration
}{{"2h", 2 * time.Hour}, {"12h", 12 * time.Hour}, {"48h", 48 * time.Hour}, {"later", math.MaxInt64}}

// learned are the channels that offers are made on.
var learned = [...]engine.Channel{engine.SMS, engine.Voice, engine.EmailMail}

// How much is believed. The prior's weight and the range are those of the first simulations; half a
// year's fading follows seasons, and the most exposure lets a clinic that changed show it within a few
// hundred offers.
const (
	priorExposure = 20                   // offers that the prior counts as, for the clinic and for each cell
	halfLife      = 180 * 24 * time.Hour // after which an observation counts half
	mostExposure  = 400                  // of one cell
	answering     = .325                 // share of people who ever answer: a tenth yes, a quarter of the others no
	leastAccept   = .02
	mostAccept    = .5
)

// Shown is what one offer of an opening that is over showed.
type Shown struct {
	At      time.Time // when it was made
	Channel engine.Channel
	Until   time.Time // its answer, or when no answer counted any more
	Yes     bool
}

// Evidence is what one opening showed of acceptance: per cell, yeses and exposure.
type Evidence struct {
	At    time.Time    `json:"at"`
	Cells []CellCounts `json:"cells,omitempty"`
}

// CellCounts is a cell by name with its counts.
type CellCounts struct {
	Lead    string         `json:"lead"` // "2h", "12h", "48h" (time left is below) or "later"
	Channel engine.Channel `json:"channel"`

	Count
}

// Weigh sums up an opening that ended at now, for a slot that starts at start. An offer that was cut short
// counts by the share of yeses that come in the waking time it had, so that quick fills and close
// deadlines do not look like refusals.
func Weigh(now, start time.Time, offers []Shown, h engine.Hours, zone *time.Location) Evidence {
	if zone == nil {
		zone = time.UTC
	}
	var c Cells
	for _, o := range offers {
		lead, channel := place(start.Sub(o.At), o.Channel)
		f := standard.curve(o.Channel).by(awake(o.At, o.Until, h, zone).Minutes())
		// The hazard of a yes among those still silent, summed over the time: stopping at the first
		// yes then does not bias the rate.
		c.counts[lead][channel].Exposure += -math.Log1p(-answering*f) / answering
		if o.Yes {
			c.counts[lead][channel].Yes++
		}
	}
	return Evidence{At: now, Cells: c.list()}
}

// place finds the cell of an offer; a channel without one of its own counts as a text.
func place(left time.Duration, channel engine.Channel) (lead, ch int) {
	for left >= leads[lead].below && lead < len(leads)-1 {
		lead++
	}
	return lead, max(0, slices.Index(learned[:], channel))
}

// Observe returns the cells with one more opening. A slot that everybody wants, or nobody, says little of
// the clinic: its exposure counts (prior + yeses) / (prior + expected) times.
func (c Cells) Observe(e Evidence, accept float64) Cells {
	c = c.faded(e.At)
	rates := c.Rates(accept)
	seen := table(e.Cells)
	var yes, expected float64
	for lead := range seen {
		for ch, n := range seen[lead] {
			yes += n.Yes
			expected += rates.of[lead][ch] * n.Exposure
		}
	}
	weight := (standard.prior + yes) / (standard.prior + expected)
	for lead := range seen {
		for ch, n := range seen[lead] {
			sum := &c.counts[lead][ch]
			sum.Yes += n.Yes
			sum.Exposure += weight * n.Exposure
			if sum.Exposure > mostExposure {
				sum.Yes *= mostExposure / sum.Exposure
				sum.Exposure = mostExposure
			}
		}
	}
	c.Openings++
	return c
}

// table puts named cells in their places. One that this version does not have is left out.
func table(cells []CellCounts) (t [len(leads)][len(learned)]Count) {
	for _, c := range cells {
		ch := slices.Index(learned[:], c.Channel)
		sane := c.Exposure >= 0 && c.Exposure < 1e6 && c.Yes >= 0 && c.Yes < 1e6
		for lead := range leads {
			if ch >= 0 && sane && leads[lead].name == c.Lead {
				t[lead][ch] = c.Count
			}
		}
	}
	return t
}

// faded lets everything count less by the time that passed; a clock that was set back changes nothing.
func (c Cells) faded(now time.Time) Cells {
	if !now.After(c.At) {
		return c
	}
	if !c.At.IsZero() {
		keep := math.Exp2(-float64(now.Sub(c.At)) / float64(halfLife))
		for lead := range c.counts {
			for ch := range c.counts[lead] {
				c.counts[lead][ch].Yes *= keep
				c.counts[lead][ch].Exposure *= keep
			}
		}
	}
	c.At = now
	return c
}

// Rates is the chance that an offer is ever accepted, in each cell. The zero value is not known.
type Rates struct {
	of    [len(leads)][len(learned)]float64
	known bool
}

// Rates are the means of the cells, each drawn to the clinic's mean, and that to accept (0: the published
// one): a clinic without data gets accept everywhere.
func (c Cells) Rates(accept float64) Rates {
	var all Count
	for lead := range c.counts {
		for ch := range c.counts[lead] {
			all.Yes += c.counts[lead][ch].Yes
			all.Exposure += c.counts[lead][ch].Exposure
		}
	}
	clinic := all.mean(believed(accept))
	r := Rates{known: true}
	for lead := range r.of {
		for ch := range r.of[lead] {
			r.of[lead][ch] = clamp(c.counts[lead][ch].mean(clinic))
		}
	}
	return r
}

func (n Count) mean(prior float64) float64 {
	return (priorExposure*prior + n.Yes) / (priorExposure + n.Exposure)
}

// believed is the acceptance before anything was seen: the clinic's word, or what was published.
func believed(accept float64) float64 {
	if accept > 0 {
		return clamp(accept)
	}
	return standard.accept
}

func clamp(accept float64) float64 { return min(max(accept, leastAccept), mostAccept) }

// Accept is the rate for an offer made with that much time left before the start of its slot.
func (r Rates) Accept(left time.Duration, channel engine.Channel) float64 {
	lead, ch := place(left, channel)
	return r.of[lead][ch]
}

// Learned is one line of what a clinic learned.
type Learned struct {
	CellCounts

	Accept float64 `json:"accept"` // the rate that decisions rest on
}

// Show lists every cell, for people who look.
func (c Cells) Show(accept float64) []Learned {
	rates := c.Rates(accept)
	all := make([]Learned, 0, len(leads)*len(learned))
	for i, lead := range leads {
		for j, ch := range learned {
			all = append(all, Learned{CellCounts{lead.name, ch, c.counts[i][j]}, rates.of[i][j]})
		}
	}
	return all
}

// list names the cells that saw something.
func (c Cells) list() []CellCounts {
	var some []CellCounts
	for _, l := range c.Show(0) {
		if l.Count != (Count{}) {
			some = append(some, l.CellCounts)
		}
	}
	return some
}

// stored is the form in which cells are kept. Cells are named, so that other ranges or channels of a later
// version do not turn into something else.
type stored struct {
	Openings int          `json:"openings"`
	At       time.Time    `json:"at,omitzero"`
	Cells    []CellCounts `json:"cells,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (c Cells) MarshalJSON() ([]byte, error) {
	return json.Marshal(stored{c.Openings, c.At, c.list()})
}

// UnmarshalJSON implements json.Unmarshaler. Cells that this version does not have are forgotten.
func (c *Cells) UnmarshalJSON(data []byte) error {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*c = Cells{s.Openings, s.At, table(s.Cells)}
	return nil
}
