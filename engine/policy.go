package engine

import "time"

// Strategy says how waves are sized.
type Strategy string

// The strategies; see package offer.
const (
	Adaptive Strategy = "adaptive" // order up to a level of expected yeses
	Waves    Strategy = "waves"    // Size people every Every
	OneByOne Strategy = "one-by-one"
)

// Policy is what a clinic decides about offers. DefaultPolicy gives every value and its source.
type Policy struct {
	Strategy   Strategy      `json:"strategy"`
	Size       int           `json:"size"`        // people in a wave (waves)
	Every      time.Duration `json:"every"`       // time between waves and between reminders; adaptive looks at least every 5 minutes
	Accept     float64       `json:"accept"`      // share of offers that people accept here, for adaptive; 0: not known
	MaxAsked   int           `json:"max_asked"`   // people asked for one slot at most
	Reminders  int           `json:"reminders"`   // reminders to people who did not answer, once nobody new is left
	Grace      time.Duration `json:"grace"`       // between seeing a freed slot and the first wave: an edit is not a cancellation
	Notice     time.Duration `json:"notice"`      // offers end this long before the start
	Horizon    time.Duration `json:"horizon"`     // slots that start later than this from now are left alone
	Hours      Hours         `json:"hours"`       // when people may be messaged, where they did not say
	DayCap     int           `json:"day_cap"`     // offers a patient in 24 hours
	WeekCap    int           `json:"week_cap"`    // offers a patient in 7 days
	FarCap     int           `json:"far_cap"`     // of these, for slots more than a day away
	ChainDepth int           `json:"chain_depth"` // how often a freed later appointment goes round again
	Courtesy   bool          `json:"courtesy"`    // tell people whose offer ended that it ended
	VoiceAfter time.Duration `json:"voice_after"` // call when there is no proof of delivery by then
	VoiceReply time.Duration `json:"voice_reply"` // call when there is no reply by then
}

// DefaultPolicy returns the values of a clinic that decided nothing.
func DefaultPolicy() Policy {
	return Policy{
		Strategy: Adaptive,                   // best of the simulations in docs/policy.md, even before anything is learned
		Size:     3, Every: 10 * time.Minute, // the best fixed rule there
		MaxAsked:  100, // a bound: 150 fills no more, and with 60 slots that few want stay empty; measured in docs/policy.md, "A clinic over weeks"
		Reminders: 1,
		Grace:     time.Minute,
		Notice:    30 * time.Minute,
		Horizon:   60 * 24 * time.Hour,
		Hours:     Hours{From: 8 * 60, Until: 21 * 60}, // usual Canadian practice for texts
		DayCap:    2, WeekCap: 3, FarCap: 2,
		ChainDepth: 3,
		Courtesy:   true,
		VoiceAfter: 90 * time.Second,
		VoiceReply: 180 * time.Second,
	}
}
