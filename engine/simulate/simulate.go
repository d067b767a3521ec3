// Package simulate plays the opening of a slot with made-up people and the real rules: package slot
// runs unchanged, and through it package offer. Only the clock and the people are invented, so a
// policy that does well here does well for the reasons that it would in a clinic.
//
// Everything is a function of its arguments: chance comes from a *rand.Rand and time is a number
// that jumps from event to event. Values are plain data and nothing is shared, so callers may play
// parts of a comparison on as many goroutines as they like; see Play.
//
// What it leaves out: a person has one channel (no call after a silent text), a reminder changes
// nobody's mind, one slot is open at a time (no caps, no chains), and the record system accepts every
// booking at once. Absolute figures hang on the assumed people; trust the order of the policies.
package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"relais/engine"
)

// Reach is one way in which people of a scenario are reached, and how quickly they answer on it:
// lognormal, counted in minutes in which they are awake.
type Reach struct {
	Channel engine.Channel `json:"channel"`
	Share   float64        `json:"share"`  // of the people
	Median  time.Duration  `json:"median"` // until the answer
	Sigma   float64        `json:"sigma"`  // standard deviation of the delay's logarithm
}

// Scenario is one setting in which a slot is freed again and again, each time before other people.
type Scenario struct {
	Lead       time.Duration `json:"lead"`       // between the cancellation and the start of the slot
	List       int           `json:"list"`       // people on the waitlist, all of whom fit
	Acceptance float64       `json:"acceptance"` // mean chance that a person who is asked ever says yes
	Freed      engine.Hours  `json:"freed"`      // the slot is freed at a moment drawn from these hours
	Awake      engine.Hours  `json:"awake"`      // people read and answer inside these hours
	Length     time.Duration `json:"length"`     // of the slot
	Reach      []Reach       `json:"reach"`      // shares add up to 1

	// Concentration says how alike people are: a person's own chance is Beta distributed round
	// Acceptance, and this is the sum of its two parameters.
	Concentration float64 `json:"concentration"`
	// SlotShape says how alike slots are: everybody's chance is multiplied by one Gamma variable of
	// this shape and mean 1 a slot.
	SlotShape float64 `json:"slot_shape"`
	// Refusals is the share of those who do not want the slot who say so.
	Refusals float64 `json:"refusals"`
	// CloseOutRead is how soon people read that the slot is gone; a yes they had not sent by then is
	// never sent.
	CloseOutRead time.Duration `json:"close_out_read"`
}

// String names a scenario by what tells it from others: "24h list 50 accept 10 %".
func (s Scenario) String() string {
	return fmt.Sprintf("%s list %d accept %.3g %%", Short(s.Lead), s.List, 100*s.Acceptance)
}

// Short writes a duration as people do: 24h, 90m.
func Short(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	if d%time.Minute == 0 {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// The limits of a scenario keep one opening within what a machine plays in moments.
const (
	MostLead = 60 * 24 * time.Hour
	MostList = 5000
)

// Check says what is wrong with a scenario, in a sentence, as an *engine.Error of code Invalid.
func (s Scenario) Check() error {
	share := 0.
	for _, r := range s.Reach {
		share += r.Share
		if !(r.Share >= 0) || r.Median <= 0 || !(r.Sigma > 0 && r.Sigma <= 10) {
			return invalid("a channel needs a share, a median delay and a sigma up to 10")
		}
	}
	switch {
	case s.Lead <= 0 || s.Lead > MostLead:
		return invalid("lead must be from a moment to 60 days")
	case s.List < 1 || s.List > MostList:
		return invalid("list must be from 1 to %d people", MostList)
	case !(s.Acceptance > 0 && s.Acceptance < 1):
		return invalid("acceptance must lie between 0 and 1")
	case s.Freed.From < 0 || s.Freed.Until < s.Freed.From || s.Freed.Until > day:
		return invalid("the hours in which slots are freed must lie in one day")
	case s.Awake.From < 0 || s.Awake.Until < s.Awake.From || s.Awake.Until > day:
		return invalid("the hours in which people answer must lie in one day")
	case s.Length <= 0 || s.Length > 24*time.Hour:
		return invalid("length must be up to a day")
	case len(s.Reach) == 0 || math.Abs(share-1) > 1e-6:
		return invalid("the shares of the channels must add up to 1")
	case !(s.Concentration > 0 && s.Concentration <= 1e6), !(s.SlotShape > 0 && s.SlotShape <= 1e6):
		return invalid("concentration and slot_shape must be above 0")
	case !(s.Refusals >= 0 && s.Refusals <= 1):
		return invalid("refusals must be from 0 to 1")
	case s.CloseOutRead < 0:
		return invalid("close_out_read cannot be negative")
	}
	return nil
}

func invalid(format string, args ...any) error { return engine.Errorf(engine.Invalid, format, args...) }

// Standard returns the 36 settings of docs/policy.md: leads of 1, 4, 24 and 72 hours, lists of 5,
// 50 and 500 people, acceptance of 5, 10 and 25 %. Mail's delays follow published ones (median 47
// minutes, 90 % within a day); those of texts and calls, and how much people and slots differ, are
// assumptions.
func Standard() []Scenario {
	base := Scenario{
		Freed:  engine.Hours{From: 8 * 60, Until: 16 * 60}, // so that no slot of the set starts at night
		Awake:  engine.Hours{From: 8 * 60, Until: 20 * 60},
		Length: 20 * time.Minute,
		Reach: []Reach{
			{engine.SMS, .75, 15 * time.Minute, 1.4},
			{engine.Voice, .10, 4 * time.Minute, 1.8},
			{engine.EmailMail, .15, 47 * time.Minute, 2.67},
		},
		Concentration: 6, SlotShape: 4, Refusals: .25, CloseOutRead: 3 * time.Minute,
	}
	return Grid(base,
		[]time.Duration{time.Hour, 4 * time.Hour, 24 * time.Hour, 72 * time.Hour},
		[]int{5, 50, 500}, []float64{.05, .10, .25})
}

// Grid returns base with every lead, list and acceptance in turn.
func Grid(base Scenario, leads []time.Duration, lists []int, acceptances []float64) []Scenario {
	var all []Scenario
	for _, lead := range leads {
		for _, list := range lists {
			for _, acceptance := range acceptances {
				s := base
				s.Lead, s.List, s.Acceptance = lead, list, acceptance
				all = append(all, s)
			}
		}
	}
	return all
}

// Contender is a policy with the name that it has in a comparison.
type Contender struct {
	Name   string
	Policy engine.Policy
	// Informed: the policy's Accept is the acceptance of the scenario, as at a clinic that knows how
	// its own people answer.
	Informed bool
	// Learns: the clinic had Warmup openings of the same scenario before the ones that count, and goes on
	// learning from each, as a running clinic does.
	Learns bool
}

// Warmup is how many openings a clinic that learns had before those that count.
const Warmup = 50

func (c Contender) policy(s Scenario) engine.Policy {
	p := c.Policy
	if c.Informed {
		p.Accept = s.Acceptance
	}
	return p
}

// Contenders returns the policies that are compared as a rule, the default of a clinic first. They share
// sending hours, notice and the most people asked (but for blast), and differ in how many they ask when.
func Contenders() []Contender {
	base := engine.DefaultPolicy()
	base.Hours = engine.Hours{From: 8 * 60, Until: 20 * 60}
	base.Grace = 0 // measured from the moment at which the first person may be asked
	with := func(name string, strategy engine.Strategy, size int, every time.Duration) Contender {
		p := base
		p.Strategy, p.Size, p.Every = strategy, size, every
		return Contender{Name: name, Policy: p}
	}
	blast := with("blast", engine.Waves, MostList, MostLead)
	blast.Policy.MaxAsked = MostList
	all := []Contender{
		with("waves-3-10", engine.Waves, 3, 10*time.Minute),
		with("waves-5-15", engine.Waves, 5, 15*time.Minute),
		with("one-by-one", engine.OneByOne, 1, 15*time.Minute),
		blast,
		with("adaptive", engine.Adaptive, 1, 5*time.Minute),
		with("adaptive-cold", engine.Adaptive, 1, 5*time.Minute),
		with("adaptive-informed", engine.Adaptive, 1, 5*time.Minute),
	}
	all[len(all)-3].Learns = true
	all[len(all)-1].Informed = true
	return all
}

// person is somebody on the list, with everything about them drawn: what they would say if they
// were asked, and how long that would take them.
type person struct {
	yes, no bool // neither: never answers
	delay   float64
}

// Crowd is one opening of a slot with its people. Every policy that is played on the same crowd
// meets the same people with the same minds, so differences between policies are not luck.
type Crowd struct {
	scenario   Scenario
	freed      float64 // minutes on the clock
	people     []person
	candidates []engine.Candidate
	names      []engine.EntryID // made once for all openings

	// Of an opening that took place:
	hold  time.Duration // nobody was to be asked before: it waited for the desk's approval
	gone  float64       // minutes on the clock at which the slot was taken away; 0: never
	depth int           // in its chain
}

// Draw fills c with a new opening. It draws the same from the same rng whatever c held before.
func (c *Crowd) Draw(s Scenario, rng *rand.Rand) {
	*c = Crowd{scenario: s, people: c.people, candidates: c.candidates, names: c.names}
	c.freed = float64(s.Freed.From) + rng.Float64()*float64(s.Freed.Until-s.Freed.From)
	effect := gamma(rng, s.SlotShape) / s.SlotShape
	c.people, c.candidates = c.people[:0], c.candidates[:0]
	for i := range s.List {
		r := pick(s.Reach, rng.Float64())
		x, y := gamma(rng, s.Acceptance*s.Concentration), gamma(rng, (1-s.Acceptance)*s.Concentration)
		accepts := 0.
		if x > 0 {
			accepts = effect * x / (x + y)
		}
		mind, word := rng.Float64(), rng.Float64()
		delay := r.Median.Minutes() * math.Exp(r.Sigma*rng.NormFloat64())
		yes := mind < accepts
		c.people = append(c.people, person{yes, !yes && word < s.Refusals, min(delay, forever)})
		if i == len(c.names) {
			c.names = append(c.names, entryOf(i))
		}
		c.candidates = append(c.candidates, engine.Candidate{
			Entry: c.names[i], Patient: engine.PatientID(c.names[i]), Channel: r.Channel,
		})
	}
}

func pick(all []Reach, u float64) Reach {
	for _, r := range all[:len(all)-1] {
		if u < r.Share {
			return r
		}
		u -= r.Share
	}
	return all[len(all)-1]
}

// gamma draws from the Gamma distribution of the given shape and scale 1 (Marsaglia and Tsang 2000).
func gamma(rng *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gamma(rng, shape+1) * math.Pow(1-rng.Float64(), 1/shape)
	}
	d := shape - 1./3
	k := 1 / math.Sqrt(9*d)
	for {
		x := rng.NormFloat64()
		v := 1 + k*x
		if v <= 0 {
			continue
		}
		v *= v * v
		if math.Log(1-rng.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
