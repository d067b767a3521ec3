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
	var shown []offer.Shown
	for i, o := range after.Offers {
		was := Pending
		if i < len(before.Offers) {
			was = before.Offers[i].Status
		}
		if o.Wave == 0 || was == Ended || was == Unreached { // asked by the desk, taken back, or never reached
			continue
		}
		until := decided(after, o, now)
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

// decided is when an offer's answer ceased to count: with the first yes after it, or with the opening.
func decided(s State, o Offer, now time.Time) time.Time {
	until := now
	if s.Deadline.Before(until) {
		until = s.Deadline
	}
	for _, other := range s.Offers {
		yes := other.Status == Won || other.Status == Refused
		if yes && !other.Replied.Before(o.At) && other.Replied.Before(until) {
			until = other.Replied
		}
	}
	return until
}
