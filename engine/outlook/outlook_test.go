package outlook_test

import (
	"testing"
	"time"

	"relais/engine/outlook"
)

const day = 24 * time.Hour

func waits(offered, waiting int, each time.Duration) (list []outlook.Wait) {
	for i := range offered {
		list = append(list, outlook.Wait{For: time.Duration(i+1) * each, Offered: true})
	}
	for range waiting {
		list = append(list, outlook.Wait{For: 80 * day})
	}
	return list
}

func TestNumbersAreRanges(t *testing.T) {
	for others, want := range map[int][2]int{0: {10, 0}, 9: {10, 0}, 10: {10, 20}, 37: {20, 40}, 40: {40, 80}, 1999: {1000, 2000}, 70_000: {10_000, 10_000}} {
		if o := outlook.Look(others, nil); o.From != want[0] || o.Until != want[1] || o.Half != 0 || o.Most != 0 {
			t.Errorf("%d: %+v", others, o)
		}
	}
}

func TestTimesNeedFacts(t *testing.T) {
	for name, c := range map[string]struct {
		waits      []outlook.Wait
		half, most time.Duration
	}{
		"everybody was asked":        {waits(20, 0, day), 10 * day, 15 * day},
		"too few":                    {waits(11, 0, day), 0, 0},
		"half still wait":            {waits(20, 20, day), 20 * day, 0},
		"most wait in vain":          {waits(20, 100, day), 0, 0},
		"who just came says nothing": {append(waits(20, 0, 2*day), outlook.Wait{For: day}), 20 * day, 30 * day},
	} {
		if o := outlook.Look(30, c.waits); o.Half != c.half || o.Most != c.most {
			t.Errorf("%s: half %s, most %s", name, o.Half, o.Most)
		}
	}
}
