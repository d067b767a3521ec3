package simulate

import (
	"math"
	"time"

	"relais/engine"
)

// Clinic is a clinic over weeks: one list of people whose offers are capped and who tire of them, several
// slots open at a time, and winners whose later appointments go round again.
type Clinic struct {
	Days int // that count
	Warm int // days before, so that caps and lists are as in a running clinic

	People    int     // on the list at the beginning
	Arrivals  float64 // people who join in 24 hours, on average
	Cancelled float64 // slots that are cancelled on a working day, on average; chains come on top
	Leads     []Lead
	Length    time.Duration // of a slot

	Acceptance    float64 // as in Scenario, of a person who was not asked for 30 days
	Concentration float64
	SlotShape     float64
	Refusals      float64
	Fatigue       float64 // each offer of the last 30 days lowers the chance of a yes by this share
	CloseOutRead  time.Duration

	English float64  // share of the people whom Relais writes in English
	Ages    []Age    // shares add up to 1
	Rings   []Ring   // shares add up to 1
	Notices []Notice // shares add up to 1
	Halves  float64  // share of people who can only come in the morning or only in the afternoon
	Holding float64  // share of people who have a later appointment already
}

// Lead is a range of times between a cancellation and its slot, and how many cancellations fall into it.
type Lead struct {
	From, Until time.Duration
	Share       float64
}

// Age is a band of ages with the ways in which its people are reached; the first one of the three is texts.
type Age struct {
	From, Until int // years, both included
	Share       float64
	Reach       []Reach
}

// Ring is a range of distances from the clinic.
type Ring struct {
	From, Until float64 // km
	Share       float64
}

// Notice is the least time that people want between being asked and the start, besides their way.
type Notice struct {
	Least time.Duration
	Share float64
}

// The opening hours of the clinic, in minutes from midnight, and the hours in which people answer.
const (
	clinicOpens, clinicCloses = 8 * 60, 17 * 60
	peopleWake, peopleSleep   = 8 * 60, 20 * 60
)

// The limits of a clinic keep one run within a minute.
const (
	MostClinicDays   = 366
	MostClinicPeople = 20_000
	MostCancelled    = 200
)

// StandardClinic returns the clinic of docs/policy.md and deploy/clinic.example.yaml.
func StandardClinic() Clinic {
	reach := func(sms, voice, mail float64) []Reach {
		all := Standard()[0].Reach
		return []Reach{
			{all[0].Channel, sms, all[0].Median, all[0].Sigma},
			{all[1].Channel, voice, all[1].Median, all[1].Sigma},
			{all[2].Channel, mail, all[2].Median, all[2].Sigma},
		}
	}
	return Clinic{
		Days: 60, Warm: 14,
		People: 2500, Arrivals: 7, Cancelled: 5,
		Leads: []Lead{
			{2 * time.Hour, 24 * time.Hour, .45},
			{24 * time.Hour, 72 * time.Hour, .30},
			{72 * time.Hour, 21 * 24 * time.Hour, .25},
		},
		Length:     20 * time.Minute,
		Acceptance: .11, Concentration: 6, SlotShape: 4, Refusals: .25, Fatigue: .05, CloseOutRead: 3 * time.Minute,
		English: .25,
		Ages: []Age{
			{0, 17, .15, reach(.85, .05, .10)}, // their proxies are reached
			{18, 44, .30, reach(.85, .02, .13)},
			{45, 64, .30, reach(.75, .08, .17)},
			{65, 100, .25, reach(.55, .28, .17)},
		},
		Rings:   []Ring{{0, 5, .40}, {5, 15, .35}, {15, 40, .25}},
		Notices: []Notice{{time.Hour, .60}, {3 * time.Hour, .25}, {24 * time.Hour, .15}},
		Halves:  .30, Holding: .35,
	}
}

// Check says what is wrong with a clinic, in a sentence, as an *engine.Error of code Invalid.
func (c Clinic) Check() error {
	s := Standard()[0]
	s.Acceptance, s.Concentration, s.SlotShape, s.Refusals = c.Acceptance, c.Concentration, c.SlotShape, c.Refusals
	s.Length, s.CloseOutRead = c.Length, c.CloseOutRead
	var leads, ages, rings, notices float64
	for _, l := range c.Leads {
		leads += l.Share
		if l.From < time.Hour || l.Until <= l.From || l.Until > MostLead || !(l.Share >= 0) {
			return invalid("leads must lie between 1 hour and 60 days")
		}
	}
	for _, a := range c.Ages {
		ages += a.Share
		s.Reach = a.Reach
		if err := s.Check(); err != nil {
			return err
		}
		if a.From < 0 || a.Until < a.From || a.Until > 120 || !(a.Share >= 0) {
			return invalid("ages must lie between 0 and 120")
		}
	}
	for _, r := range c.Rings {
		rings += r.Share
		if !(r.From >= 0 && r.Until > r.From && r.Until <= 200) || !(r.Share >= 0) {
			return invalid("distances must lie between 0 and 200 km")
		}
	}
	for _, n := range c.Notices {
		notices += n.Share
		if n.Least < 0 || n.Least > MostLead || !(n.Share >= 0) {
			return invalid("notice must be from nothing to 60 days")
		}
	}
	for what, sum := range map[string]float64{"leads": leads, "ages": ages, "distances": rings, "notices": notices} {
		if math.Abs(sum-1) > 1e-6 {
			return invalid("the shares of %s must add up to 1", what)
		}
	}
	share := func(x float64) bool { return x >= 0 && x <= 1 }
	switch {
	case c.Days < 1 || c.Warm < 0 || c.Days+c.Warm > MostClinicDays:
		return invalid("days and the warm-up must be up to %d together", MostClinicDays)
	case c.People < 1 || c.People > MostClinicPeople || !(c.Arrivals >= 0 && c.Arrivals <= MostClinicPeople/10):
		return invalid("there can be up to %d people", MostClinicPeople)
	case !(c.Cancelled > 0 && c.Cancelled <= MostCancelled):
		return invalid("up to %d slots can be cancelled a day", MostCancelled)
	case !share(c.Fatigue) || !share(c.English) || !share(c.Halves) || !share(c.Holding):
		return invalid("shares must be from 0 to 1")
	}
	return s.Check()
}

// ClinicResult is what some weeks of a clinic came to. Openings are counted that began in the days that
// count; those that were still open at the end are not.
type ClinicResult struct {
	Openings, Fills   int
	Short, ShortFills int   // of these, at most 24 hours ahead
	Chained           []int // fills by depth in their chain; 0 is a plain cancellation
	Offers, Late      int   // yeses in vain, when people read that the slot is gone
	Waits             []float64
	Recovered         float64 // minutes of care
	Sooner            float64 // days that winners with a later appointment gained, together
	Waiting           int     // people on the list at the end
	Groups            []Group
	Capped            float64 // share of looks at a person who fits in which a cap held them back
	fits, capped      int
}

// Group is the part of the people who are alike in one way.
type Group struct {
	By   string  `json:"by"` // "language", "age" or "distance"
	Name string  `json:"name"`
	Days float64 `json:"person_days"` // on the list, while the days counted
	Sent int     `json:"offers"`
	Won  int     `json:"fills"`
}

// Merge adds another run of the same clinic.
func (r *ClinicResult) Merge(o ClinicResult) {
	r.Openings += o.Openings
	r.Fills += o.Fills
	r.Short += o.Short
	r.ShortFills += o.ShortFills
	for len(r.Chained) < len(o.Chained) {
		r.Chained = append(r.Chained, 0)
	}
	for i, n := range o.Chained {
		r.Chained[i] += n
	}
	r.Offers += o.Offers
	r.Late += o.Late
	r.Waits = append(r.Waits, o.Waits...)
	r.Recovered += o.Recovered
	r.Sooner += o.Sooner
	r.Waiting += o.Waiting
	r.fits += o.fits
	r.capped += o.capped
	if r.fits > 0 {
		r.Capped = float64(r.capped) / float64(r.fits)
	}
	if r.Groups == nil {
		r.Groups = make([]Group, len(o.Groups))
	}
	for i, g := range o.Groups {
		sum := &r.Groups[i]
		sum.By, sum.Name = g.By, g.Name
		sum.Days += g.Days
		sum.Sent += g.Sent
		sum.Won += g.Won
	}
}

// Median is the waking minutes until the yes.
func (r *ClinicResult) Median() float64 { return median(r.Waits) }

// Share is part of whole, and 0 of nothing.
func Share(part, whole int) float64 { return per(part, whole) }

var homePlace = engine.Point{Lat: 45.5222, Lon: -73.5897}
