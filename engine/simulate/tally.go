package simulate

import (
	"math"
	"math/rand/v2"
	"slices"

	"relais/engine"
	"relais/engine/offer"
)

// Part is some replications of one scenario, played by every contender: the unit in which a
// comparison may be spread over goroutines.
type Part struct {
	Cell        int // index of the scenario
	From, Until int // replications, Until excluded
}

// Parts splits a comparison into parts. The split does not depend on who plays them, so that sums
// are made in the same order and come out the same to the last bit.
func Parts(cells, replications int) []Part {
	const size = 100
	var parts []Part
	for cell := range cells {
		for from := 0; from < replications; from += size {
			parts = append(parts, Part{cell, from, min(from+size, replications)})
		}
	}
	return parts
}

// Play plays a part and returns one tally for each contender. Every replication has its own source
// of chance, made from seed, cell and number, so that all contenders meet the same people and the
// result does not depend on the order in which parts are played.
func Play(s Scenario, part Part, contenders []Contender, seed uint64) ([]Tally, error) {
	tallies := make([]Tally, len(contenders))
	var crowd Crowd
	cells := make([]offer.Cells, len(contenders))
	for i, c := range contenders {
		var err error
		if cells[i], err = warm(&crowd, s, part, c, seed); err != nil {
			return nil, err
		}
	}
	for n := part.From; n < part.Until; n++ {
		crowd.Draw(s, rand.New(rand.NewPCG(seed, uint64(part.Cell)<<32|uint64(n)))) //nolint:gosec // both are small and not negative
		first := 0.
		for i, c := range contenders {
			o, err := c.play(&crowd, &cells[i])
			if err != nil {
				return nil, err
			}
			if i == 0 {
				first = o.Utility()
			}
			tallies[i].add(o, first)
		}
	}
	return tallies, nil
}

// warm returns what a contender that learns knows after the openings that came before the part: a clinic
// of its own for each part, so that luck in learning is part of the figures and of their errors.
func warm(crowd *Crowd, s Scenario, part Part, c Contender, seed uint64) (cells offer.Cells, err error) {
	if !c.Learns {
		return cells, nil
	}
	for n := range Warmup {
		crowd.Draw(s, rand.New(rand.NewPCG(^seed, uint64(part.Cell)<<32|uint64(part.From+n)))) //nolint:gosec // as above
		if _, err := c.play(crowd, &cells); err != nil {
			return cells, err
		}
	}
	return cells, nil
}

// play plays one opening, and lets a contender that learns learn from it.
func (c Contender) play(crowd *Crowd, cells *offer.Cells) (Outcome, error) {
	p := c.policy(crowd.scenario)
	if !c.Learns {
		return crowd.Run(p)
	}
	o, shown, err := crowd.run(p, cells.Rates(p.Accept))
	*cells = cells.Observe(shown, p.Accept)
	return o, err
}

// moments are enough for a mean and its standard error.
type moments struct{ sum, squares float64 }

func (m *moments) add(x float64) {
	m.sum += x
	m.squares += x * x
}

func (m *moments) merge(o moments) {
	m.sum += o.sum
	m.squares += o.squares
}

// of returns the mean of n values and the variance of that mean.
func (m moments) of(n int) (mean, variance float64) {
	if n == 0 {
		return 0, 0
	}
	mean = m.sum / float64(n)
	if n > 1 {
		variance = max(0, m.squares/float64(n)-mean*mean) / float64(n-1)
	}
	return mean, variance
}

// Tally is the sum of the outcomes of one contender in one scenario.
type Tally struct {
	runs, fills, offers, late, told, passed int

	recovered float64
	waits     []float64
	utility   moments
	heard     moments // utility when people read that the slot is gone
	gain      moments // over the first contender
}

func (t *Tally) add(o Outcome, first float64) {
	t.runs++
	if o.Filled {
		t.fills++
		t.waits = append(t.waits, o.Waited)
	}
	t.offers += o.Offers
	t.late += o.Late
	t.told += o.Told
	t.passed += o.Passed
	t.recovered += o.Recovered
	t.utility.add(o.Utility())
	t.heard.add(o.UtilityTold())
	t.gain.add(o.Utility() - first)
}

// Merge adds the outcomes of another tally of the same contender and scenario.
func (t *Tally) Merge(o Tally) {
	t.runs += o.runs
	t.fills += o.fills
	t.offers += o.offers
	t.late += o.late
	t.told += o.told
	t.passed += o.passed
	t.recovered += o.recovered
	t.waits = append(t.waits, o.waits...)
	t.utility.merge(o.utility)
	t.heard.merge(o.heard)
	t.gain.merge(o.gain)
}

// Figures are what a contender did, over one scenario or several that weigh the same. An Err is a
// standard error.
type Figures struct {
	Openings         int     `json:"openings"`
	Fill             float64 `json:"fill"` // share of the openings
	FillErr          float64 `json:"fill_err"`
	MedianMinutes    float64 `json:"median_minutes"` // waking minutes until the fill, of those filled
	OffersPerFill    float64 `json:"offers_per_fill"`
	OffersPerOpening float64 `json:"offers_per_opening"`
	LatePerFill      float64 `json:"late_per_fill"`      // people who say yes in vain
	LateToldPerFill  float64 `json:"late_told_per_fill"` // of these, who do so although they are told that the slot is gone
	MinutesRecovered float64 `json:"minutes_recovered"`  // of care, an opening
	PassedOver       float64 `json:"passed_over"`        // people, an opening; see Outcome.Passed
	Utility          float64 `json:"utility"`            // see Outcome.Utility
	UtilityErr       float64 `json:"utility_err"`
	UtilityTold      float64 `json:"utility_told"` // see Outcome.UtilityTold
	Gain             float64 `json:"gain"`         // of utility over the first contender, on the same people
	GainErr          float64 `json:"gain_err"`
}

// Summarize turns tallies of one contender, one a scenario, into figures. Scenarios weigh the same;
// errors are those of a stratified mean.
func Summarize(tallies ...Tally) Figures {
	var f Figures
	if len(tallies) == 0 {
		return f
	}
	var all Tally
	n := float64(len(tallies))
	for _, t := range tallies {
		all.Merge(t)
		share, err := moments{float64(t.fills), float64(t.fills)}.of(t.runs)
		f.Fill += share / n
		f.FillErr += err
		mean, err := t.utility.of(t.runs)
		f.Utility += mean / n
		f.UtilityErr += err
		mean, err = t.gain.of(t.runs)
		f.Gain += mean / n
		f.GainErr += err
		mean, _ = t.heard.of(t.runs)
		f.UtilityTold += mean / n
	}
	f.FillErr, f.UtilityErr, f.GainErr = math.Sqrt(f.FillErr)/n, math.Sqrt(f.UtilityErr)/n, math.Sqrt(f.GainErr)/n
	f.Openings = all.runs
	f.MedianMinutes = median(all.waits)
	f.OffersPerFill = per(all.offers, all.fills)
	f.OffersPerOpening = per(all.offers, all.runs)
	f.LatePerFill = per(all.late, all.fills)
	f.LateToldPerFill = per(all.told, all.fills)
	f.PassedOver = per(all.passed, all.runs)
	if all.runs > 0 {
		f.MinutesRecovered = all.recovered / float64(all.runs)
	}
	return f
}

func per(sum, n int) float64 {
	if n == 0 {
		return 0
	}
	return float64(sum) / float64(n)
}

// median leaves values as they are.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Comparison is every contender in every scenario.
type Comparison struct {
	Scenarios  []Scenario
	Contenders []Contender
	tallies    [][]Tally // by contender, then scenario
}

// Compare puts the tallies of parts together: results[i] is what Play returned for parts[i].
func Compare(scenarios []Scenario, contenders []Contender, parts []Part, results [][]Tally) (Comparison, error) {
	c := Comparison{scenarios, contenders, make([][]Tally, len(contenders))}
	if len(parts) != len(results) {
		return c, engine.Errorf(engine.Internal, "%d parts, %d results", len(parts), len(results))
	}
	for i := range contenders {
		c.tallies[i] = make([]Tally, len(scenarios))
		for n, part := range parts {
			c.tallies[i][part.Cell].Merge(results[n][i])
		}
	}
	return c, nil
}

// Figures returns what a contender did over the scenarios that include accepts; nil accepts all.
// ok is false when there is none.
func (c Comparison) Figures(contender int, include func(Scenario) bool) (f Figures, ok bool) {
	var some []Tally
	for i, s := range c.Scenarios {
		if include == nil || include(s) {
			some = append(some, c.tallies[contender][i])
		}
	}
	if len(some) == 0 {
		return Figures{}, false
	}
	return Summarize(some...), true
}
