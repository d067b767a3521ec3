// Package outlook says honestly what somebody on a waitlist can expect: roughly how many others wait for the
// same, and within what time people like them were first offered a slot. It rounds, gives ranges, and says
// nothing where there are too few facts.
//
// The time is a Kaplan-Meier estimate: people who still wait, or who left, count for as long as they were
// there, so a list on which most wait in vain does not look quick because of the few who did not.
package outlook

import (
	"slices"
	"time"
)

// LeastOffers is how many people must have been offered something before a time is given.
const LeastOffers = 12

// Wait is how long one person waited for the first offer, or waits without one.
type Wait struct {
	For     time.Duration
	Offered bool
}

// Outlook is what can be said.
type Outlook struct {
	// From and Until bound the number of others who wait; Until 0: fewer than From.
	From  int `json:"from"`
	Until int `json:"until"`
	// Half is within what time half of the people had their first offer, and Most three quarters; 0: not known.
	Half time.Duration `json:"half,omitempty"`
	Most time.Duration `json:"most,omitempty"`
}

// steps are the edges of the ranges in which numbers of people are given.
var steps = []int{10, 20, 40, 80, 150, 300, 600, 1000, 2000, 5000, 10_000}

// Look says what can be expected where others wait for the same.
func Look(others int, waits []Wait) Outlook {
	var o Outlook
	i := 0
	for i < len(steps) && others >= steps[i] {
		i++
	}
	switch {
	case i == 0:
		o.From = steps[0]
	case i == len(steps):
		o.From, o.Until = steps[i-1], steps[i-1]
	default:
		o.From, o.Until = steps[i-1], steps[i]
	}
	o.Half, o.Most = quantile(waits, .5), quantile(waits, .75)
	return o
}

// quantile is by when a share of people had their first offer; 0 when the facts do not reach that far.
func quantile(waits []Wait, share float64) time.Duration {
	waits = slices.Clone(waits)
	offered := 0
	for _, w := range waits {
		if w.Offered {
			offered++
		}
	}
	if offered < LeastOffers {
		return 0
	}
	slices.SortFunc(waits, func(a, b Wait) int {
		switch {
		case a.For != b.For:
			return int(min(1, max(-1, a.For-b.For)))
		case a.Offered == b.Offered:
			return 0
		case a.Offered:
			return -1
		}
		return 1
	})
	left := 1.0
	for i, w := range waits {
		if !w.Offered {
			continue
		}
		left *= 1 - 1/float64(len(waits)-i)
		if 1-left >= share-1e-9 {
			return max(w.For, time.Hour)
		}
	}
	return 0
}
