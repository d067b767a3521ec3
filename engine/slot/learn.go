package slot

import (
	"time"

	"relais/engine"
	"relais/engine/offer"
)

// Evidence is what an opening showed of how often offers are accepted, once a Step from before to after
// ended it at now. ok is false when it did not end, or nobody was asked.
func Evidence(before, after State, now time.Time, p engine.Policy, zone *time.Location) (e offer.Evidence, ok bool) {
	if !alive(before) || alive(after) {
		return offer.Evidence{}, false
	}
	yeses := agreed(after)
	shown := make([]offer.Shown, 0, len(after.Offers))
	for i := range after.Offers {
		o := &after.Offers[i]
		was := Pending
		if i < len(before.Offers) {
			was = before.Offers[i].Status
		}
		if o.Wave == 0 || was == Ended || was == Unreached { // asked by the desk, taken back, or never reached
			continue
		}
		until := now
		if after.Deadline.Before(until) {
			until = after.Deadline
		}
		for _, yes := range yeses { // an answer ceased to count with the first yes after the offer
			if !yes.Before(o.At) && yes.Before(until) {
				until = yes
			}
		}
		s := offer.Shown{At: o.At, Channel: o.Channel, Until: until}
		if !o.Replied.IsZero() && !o.Replied.After(until) {
			s.Until, s.Yes = o.Replied, o.Status == Won || o.Status == Refused
		}
		shown = append(shown, s)
	}
	if len(shown) == 0 {
		return offer.Evidence{}, false
	}
	return offer.Weigh(now, after.Slot.Start, shown, p.Hours, zone), true
}

// alive reports whether an opening is under way, or its booking is.
func alive(s State) bool {
	switch s.Phase {
	case Freed, Approval, Offering, Claimed:
		return true
	case None, Booked, Expired, Closed:
	}
	return false
}

// agreed are the times of the yeses that counted: few, whatever the number of offers.
func agreed(s State) []time.Time {
	var yeses []time.Time
	for i := range s.Offers {
		if o := &s.Offers[i]; o.Status == Won || o.Status == Refused {
			yeses = append(yeses, o.Replied)
		}
	}
	return yeses
}
