package slot

import (
	"testing"
	"time"

	"relais/engine"
	"relais/engine/offer"
)

// learnedFrom is what the two sets of openings below leave: yeses and exposure of texts in the last two hours.
func learnedFrom(t *testing.T, before, after State, now time.Time) (yes, exposure float64, ok bool) {
	t.Helper()
	e, ok := Evidence(before, after, now, engine.Policy{}, nil)
	for _, c := range e.Cells {
		if c.Lead != "2h" || c.Channel != engine.SMS {
			t.Errorf("unexpected cell %+v", c)
		}
		yes, exposure = yes+c.Yes, exposure+c.Exposure
	}
	return yes, exposure, ok
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes-60) * time.Minute) }
	text := func(sent int, status OfferStatus, replied int) Offer {
		o := Offer{At: at(sent), Wave: 1, Channel: engine.SMS, Status: status}
		if replied > 0 {
			o.Replied = at(replied)
		}
		return o
	}
	state := func(phase Phase, offers ...Offer) State {
		return State{Slot: engine.Slot{Start: start}, Phase: phase, Deadline: at(30), Offers: offers}
	}
	// exposure of one text that was open from sent to until
	open := func(minutes int) float64 {
		e := offer.Weigh(start, start, []offer.Shown{{At: at(0), Until: at(minutes), Channel: engine.SMS}}, engine.Hours{}, nil)
		return e.Cells[0].Exposure
	}
	for _, tc := range []struct {
		name          string
		before, after State
		now           int
		yes, exposure float64
		ok            bool
	}{
		{"nothing ended", state(Offering, text(0, Pending, 0)), state(Offering, text(0, Declined, 4)), 4, 0, 0, false},
		{"nobody was asked", state(Freed), state(Expired), 30, 0, 0, false},
		{
			"booked: the others had until the yes",
			state(Claimed, text(0, Won, 8), text(0, Lost, 0), text(0, Declined, 3)),
			state(Booked, text(0, Won, 8), text(0, Lost, 0), text(0, Declined, 3)),
			20, 1, 2*open(8) + open(3), true,
		},
		{
			"a yes that came second shows nothing: the people it would be compared with were told",
			state(Claimed, text(0, Won, 8), text(0, Lost, 9)), state(Booked, text(0, Won, 8), text(0, Lost, 9)),
			20, 1, 2 * open(8), true,
		},
		{
			"expired: silence until the deadline",
			state(Offering, text(0, Pending, 0), text(0, Pending, 0)), state(Expired, text(0, Ended, 0), text(0, Ended, 0)),
			45, 0, 2 * open(30), true,
		},
		{
			"taken back or never reached: nothing",
			state(Offering, text(0, Ended, 0), text(0, Unreached, 0)), state(Expired, text(0, Ended, 0), text(0, Unreached, 0)),
			30, 0, 0, false,
		},
		{
			"withdrawn: silence until then",
			state(Offering, text(0, Pending, 0)), state(Closed, text(0, Ended, 0)), 12, 0, open(12), true,
		},
		{
			"the record system refused a yes, the next one won",
			state(Claimed, text(0, Refused, 5), text(0, Lost, 0), text(6, Won, 9)),
			state(Booked, text(0, Refused, 5), text(0, Lost, 0), text(6, Won, 9)),
			20, 2, 2*open(5) + open(3), true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			yes, exposure, ok := learnedFrom(t, tc.before, tc.after, at(tc.now))
			if yes != tc.yes || ok != tc.ok || exposure < tc.exposure-1e-9 || exposure > tc.exposure+1e-9 {
				t.Errorf("%g yeses of %g, %t, want %g of %g, %t", yes, exposure, ok, tc.yes, tc.exposure, tc.ok)
			}
		})
	}
}
