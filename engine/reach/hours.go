package reach

import (
	"time"

	"relais/engine"
)

// Automated calls in Canada: the hours of the unsolicited telecommunications rules.
var (
	weekdayCalls = engine.Hours{From: 9 * 60, Until: 21*60 + 30}
	weekendCalls = engine.Hours{From: 10 * 60, Until: 18 * 60}
)

// hours says when a channel may be used. A nil zone never opens.
type hours struct {
	zone   *time.Location
	person engine.Hours
	calls  bool
}

// on returns the hours of the day of local.
func (h hours) on(local time.Time) engine.Hours {
	day := h.person
	if day.From == day.Until {
		return engine.Hours{Until: 24 * 60} // agreed to any time, for calls too
	}
	if !h.calls {
		return day
	}
	law := weekdayCalls
	if w := local.Weekday(); w == time.Saturday || w == time.Sunday {
		law = weekendCalls
	}
	return engine.Hours{From: max(day.From, law.From), Until: min(day.Until, law.Until)}
}

// open reports whether the hours include a moment. It asks the clock on the person's wall, so
// days with 23 or 25 hours need no care.
func (h hours) open(at time.Time) bool {
	if h.zone == nil {
		return false
	}
	local := at.In(h.zone)
	day := h.on(local)
	minute := local.Hour()*60 + local.Minute()
	return day.From <= minute && minute < day.Until
}

// next returns the first moment from at on that the hours include, in UTC. ok is false when
// there is none within eight days.
func (h hours) next(at time.Time) (_ time.Time, ok bool) {
	if h.open(at) {
		return at, true
	}
	if h.zone == nil {
		return time.Time{}, false
	}
	y, m, d := at.In(h.zone).Date()
	for i := range 9 {
		noon := time.Date(y, m, d+i, 12, 0, 0, 0, h.zone)
		opens := time.Date(y, m, d+i, 0, h.on(noon).From, 0, 0, h.zone)
		if !h.open(opens) { // the clock jumps over that minute
			opens = opens.Add(time.Hour)
		}
		if opens.After(at) && h.open(opens) {
			return opens.UTC(), true
		}
	}
	return time.Time{}, false
}
