package offer

import (
	"time"

	"relais/engine"
)

// plenty is where counting awake time stops: no curve or level moves noticeably beyond it.
const plenty = 48 * time.Hour

// awake returns how much of [from, to) lies inside the daily hours in zone, up to plenty.
func awake(from, to time.Time, h engine.Hours, zone *time.Location) time.Duration {
	if !from.Before(to) {
		return 0
	}
	if h.From == h.Until {
		return min(to.Sub(from), plenty)
	}
	var sum time.Duration
	y, m, d := from.In(zone).Date()
	for ; sum < plenty; d++ {
		opens := time.Date(y, m, d, 0, h.From, 0, 0, zone)
		if !opens.Before(to) {
			break
		}
		closes := time.Date(y, m, d, 0, h.Until, 0, 0, zone)
		if opens.Before(from) {
			opens = from
		}
		if closes.After(to) {
			closes = to
		}
		sum += max(0, closes.Sub(opens))
		if h.From > h.Until { // such hours never open
			break
		}
	}
	return min(sum, plenty)
}

// nextOpening returns when the daily hours next include a moment from now on: now itself when
// they do already.
func nextOpening(now time.Time, h engine.Hours, zone *time.Location) time.Time {
	if h.From >= h.Until {
		return now
	}
	y, m, d := now.In(zone).Date()
	opens := time.Date(y, m, d, 0, h.From, 0, 0, zone)
	closes := time.Date(y, m, d, 0, h.Until, 0, 0, zone)
	switch {
	case now.Before(opens):
		return opens
	case now.Before(closes):
		return now
	default:
		return time.Date(y, m, d+1, 0, h.From, 0, 0, zone)
	}
}
