package simulate

import (
	"math/rand/v2"

	"relais/engine"
)

// Replay plays past openings under each policy, draws times each: what is not known is drawn anew each
// time, the same for every policy. Results are one tally a policy for each draw, of all openings. The
// first policy is what gains are measured against. done is called after each opening; its error ends the
// replay.
func Replay(past []Past, policies []engine.Policy, draws int, seed uint64, done func() error) ([][]Tally, error) {
	tallies := make([][]Tally, len(policies))
	for i := range tallies {
		tallies[i] = make([]Tally, draws)
	}
	var crowd Crowd
	for n := range past {
		for draw := range draws {
			past[n].Meet(&crowd, rand.New(rand.NewPCG(seed, uint64(n)<<32|uint64(draw))))
			first := 0.
			for i, p := range policies {
				o, err := crowd.RunWith(p, past[n].Rates)
				if err != nil {
					return nil, err
				}
				if i == 0 {
					first = o.Utility()
				}
				tallies[i][draw].add(o, first)
			}
		}
		if err := done(); err != nil {
			return nil, err
		}
	}
	return tallies, nil
}

// Facts sums up what past openings really came to.
func Facts(past []Past) Tally {
	var t Tally
	for i := range past {
		t.add(past[i].Fact(), 0)
	}
	return t
}
