package simulate

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"relais/engine"

	"pgregory.net/rapid"
)

func contender(t *testing.T, name string) Contender {
	t.Helper()
	all := Contenders()
	i := slices.IndexFunc(all, func(c Contender) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no %s", name)
	}
	return all[i]
}

func scenario(lead time.Duration, list int, acceptance float64) Scenario {
	return Grid(Standard()[0], []time.Duration{lead}, []int{list}, []float64{acceptance})[0]
}

// made is a crowd whose people are written down, freed at nine in the morning.
func made(lead time.Duration, people ...person) *Crowd {
	var c Crowd
	c.Draw(scenario(lead, len(people), .1), rand.New(rand.NewPCG(1, 1)))
	c.freed = 9 * 60
	copy(c.people, people)
	for i := range c.candidates {
		c.candidates[i].Channel = engine.SMS
	}
	return &c
}

func yesIn(minutes float64) person { return person{yes: true, delay: minutes} }
func noIn(minutes float64) person  { return person{no: true, delay: minutes} }

var silent = person{delay: 1}

func TestByHand(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		policy string
		crowd  *Crowd
		want   Outcome
	}{
		{
			"one person who says yes after five minutes", "one-by-one", made(4*time.Hour, yesIn(5)),
			Outcome{Filled: true, Waited: 5, Offers: 1, Recovered: 20},
		},
		{
			"the second is asked when the first was silent for fifteen minutes", "one-by-one", made(4*time.Hour, silent, yesIn(2)),
			Outcome{Filled: true, Waited: 17, Offers: 2, Recovered: 20},
		},
		{
			"the second is asked as soon as the first says no", "one-by-one", made(4*time.Hour, noIn(3), yesIn(2)),
			Outcome{Filled: true, Waited: 5, Offers: 2, Recovered: 20},
		},
		{
			"the first yes of three wins; one is told in time, one is not", "waves-3-10",
			made(4*time.Hour, yesIn(30), yesIn(5), yesIn(7)),
			Outcome{Filled: true, Waited: 5, Offers: 3, Late: 2, Told: 1, Recovered: 20},
		},
		{
			"a yes after the deadline is in vain, and no message prevents it", "blast", made(time.Hour, yesIn(31)),
			Outcome{Offers: 1, Late: 1, Told: 1},
		},
		{
			"a yes right before the deadline counts", "blast", made(time.Hour, yesIn(29)),
			Outcome{Filled: true, Waited: 29, Offers: 1, Recovered: 20},
		},
		{
			"three waves fit into half an hour", "waves-3-10", made(time.Hour, slices.Repeat([]person{silent}, 20)...),
			Outcome{Offers: 9},
		},
		{
			"nobody is asked when the slot is as close as the notice", "blast", made(30*time.Minute, yesIn(1)), Outcome{},
		},
		{
			"nights do not count", "one-by-one", made(24*time.Hour, yesIn(680)),
			Outcome{Filled: true, Waited: 680, Offers: 1, Recovered: 20},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.crowd.Run(contender(t, tc.policy).Policy)
			if err != nil || got != tc.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
}

// Mail that cannot be answered in ten minutes is passed over, and that is counted.
func TestPassedOver(t *testing.T) {
	t.Parallel()
	c := made(40*time.Minute, silent, silent, yesIn(1))
	c.candidates[0].Channel, c.candidates[1].Channel = engine.EmailMail, engine.EmailMail
	o, err := c.Run(contender(t, "adaptive").Policy)
	want := Outcome{Filled: true, Waited: 1, Offers: 1, Passed: 2, Recovered: 20}
	if err != nil || o != want {
		t.Errorf("got %+v, %v, want %+v", o, err, want)
	}
}

func TestCourtesyIsWhatSavesLateYeses(t *testing.T) {
	t.Parallel()
	p := contender(t, "waves-3-10").Policy
	p.Courtesy = false
	o, err := made(4*time.Hour, yesIn(30), yesIn(5), yesIn(7)).Run(p)
	if err != nil || o.Late != 2 || o.Told != 2 {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestUtility(t *testing.T) {
	t.Parallel()
	o := Outcome{Filled: true, Waited: 120, Offers: 10, Late: 2, Told: 1}
	if u := o.Utility(); math.Abs(u-(1-.05-.30-.02)) > 1e-12 {
		t.Errorf("utility %g", u)
	}
	if u := o.UtilityTold(); math.Abs(u-(1-.05-.15-.02)) > 1e-12 {
		t.Errorf("utility when told %g", u)
	}
}

func TestWakingMinutes(t *testing.T) {
	t.Parallel()
	w := newWaking(engine.Hours{From: 8 * 60, Until: 20 * 60})
	for _, tc := range []struct{ at, minutes, want float64 }{
		{9 * 60, 5, 9*60 + 5},
		{19*60 + 50, 20, day + 8*60 + 10}, // over a night
		{9 * 60, 660 + 2*720 + 1, 3*day + 8*60 + 1},
		{21 * 60, 1, day + 8*60 + 1},
		{2 * 60, 1, 8*60 + 1},
	} {
		if got := w.after(tc.at, tc.minutes); math.Abs(got-tc.want) > 1e-6 {
			t.Errorf("%g minutes after %g: %g, want %g", tc.minutes, tc.at, got, tc.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		at, more := rapid.Float64Range(0, 5*day).Draw(t, "at"), rapid.Float64Range(0, 5*day).Draw(t, "more")
		if got := w.spent(w.after(at, more)) - w.spent(at); math.Abs(got-more) > 1e-6 {
			t.Fatalf("%g waking minutes passed, want %g", got, more)
		}
	})
	always := newWaking(engine.Hours{})
	if got := always.after(23*60, 120); got != 25*60 {
		t.Errorf("awake all day: %g", got)
	}
}

// The made-up people have the means and spreads that the scenario asks for.
func TestPeopleAreAsAsked(t *testing.T) {
	t.Parallel()
	s := scenario(time.Hour, 200, .10)
	rng := rand.New(rand.NewPCG(1, 2))
	var c Crowd
	var n, yes, no, mail, mailByMedian, byList, squares float64
	for range 2000 {
		c.Draw(s, rng)
		here := 0.
		for i, p := range c.people {
			n++
			if p.yes {
				here++
			}
			if p.no {
				no++
			}
			if c.candidates[i].Channel == engine.EmailMail {
				mail++
				if p.delay <= 47 {
					mailByMedian++
				}
			}
		}
		yes += here
		byList += here / 200
		squares += here / 200 * here / 200
	}
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance {
			t.Errorf("%s: %.4f, want %.4f", what, got, want)
		}
	}
	near("acceptance", yes/n, .10, .004)
	near("refusals of those who do not want it", no/(n-yes), .25, .003)
	near("share of mail", mail/n, .15, .003)
	near("mail by its median", mailByMedian/mail, .5, .005)
	// Slots differ by a Gamma(4) variable, whose deviation is half its mean.
	near("spread between slots", math.Sqrt(squares/2000-byList/2000*byList/2000), .05+.005, .007)
}

func TestGamma(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, shape := range []float64{.3, 1, 4} {
		var m moments
		const n = 200_000
		for range n {
			m.add(gamma(rng, shape))
		}
		mean := m.sum / n
		variance := m.squares/n - mean*mean
		if math.Abs(mean-shape) > .02 || math.Abs(variance-shape) > .08 {
			t.Errorf("shape %g: mean %.3f, variance %.3f", shape, mean, variance)
		}
	}
}

// Run itself watches that nobody is asked twice or after the fill and that nobody wins twice; here
// it meets policies and lists of every kind, and the sums must fit.
func TestRulesKeepTheirPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := scenario(
			time.Duration(rapid.IntRange(1, 80*60).Draw(t, "lead"))*time.Minute,
			rapid.IntRange(1, 120).Draw(t, "list"), rapid.Float64Range(.01, .9).Draw(t, "acceptance"))
		s.Freed = rapid.SampledFrom([]engine.Hours{{From: 0, Until: day}, {From: 540, Until: 540}}).Draw(t, "freed")
		s.Awake = rapid.SampledFrom([]engine.Hours{{}, {From: 480, Until: 1200}, {From: 600, Until: 660}}).Draw(t, "awake")
		p := rapid.SampledFrom(Contenders()).Draw(t, "contender").Policy
		p.MaxAsked = rapid.IntRange(1, 80).Draw(t, "most")
		p.Grace = time.Duration(rapid.IntRange(0, 20).Draw(t, "grace")) * time.Minute
		var c Crowd
		c.Draw(s, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		o, err := c.Run(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Run(p)
		if err != nil || again != o {
			t.Fatalf("%+v, then %+v, %v", o, again, err)
		}
		if o.Offers > p.MaxAsked || o.Offers > s.List || o.Told > o.Late || o.Passed > s.List-o.Offers {
			t.Fatalf("%+v", o)
		}
		won := 0
		if o.Filled {
			won = 1
		} else if o.Waited != 0 || o.Recovered != 0 || o.Told != o.Late {
			t.Fatalf("not filled: %+v", o)
		}
		if won+o.Late > o.Offers || o.Waited < 0 || o.Waited > s.Lead.Minutes() {
			t.Fatalf("%+v", o)
		}
	})
}

// However the parts are shared out, the figures are the same to the last bit.
func TestSameSeedSameResult(t *testing.T) {
	t.Parallel()
	scenarios, contenders := Standard()[:6], Contenders()[1:]
	parts := Parts(len(scenarios), 120)
	run := func(seed uint64, order []int) Comparison {
		results := make([][]Tally, len(parts))
		for _, i := range order {
			r, err := Play(scenarios[parts[i].Cell], parts[i], contenders, seed)
			if err != nil {
				t.Fatal(err)
			}
			results[i] = r
		}
		c, err := Compare(scenarios, contenders, parts, results)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	forward := make([]int, len(parts))
	for i := range forward {
		forward[i] = i
	}
	backward := slices.Clone(forward)
	slices.Reverse(backward)
	a, b, other := run(7, forward), run(7, backward), run(8, forward)
	for i := range contenders {
		x, _ := a.Figures(i, nil)
		y, _ := b.Figures(i, nil)
		z, _ := other.Figures(i, nil)
		if !reflect.DeepEqual(x, y) {
			t.Errorf("%s: %+v, played backwards %+v", contenders[i].Name, x, y)
		}
		if x == z {
			t.Errorf("%s: another seed changes nothing", contenders[i].Name)
		}
	}
}

func TestPartsCoverEverythingOnce(t *testing.T) {
	t.Parallel()
	seen := map[[2]int]int{}
	for _, p := range Parts(3, 120) {
		for n := p.From; n < p.Until; n++ {
			seen[[2]int{p.Cell, n}]++
		}
	}
	if len(seen) != 360 {
		t.Errorf("%d replications, want 360", len(seen))
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	var a, b Tally
	a.add(Outcome{Filled: true, Waited: 10, Offers: 2, Late: 1, Recovered: 20}, 0)
	a.add(Outcome{Offers: 4}, 0)
	b.add(Outcome{Filled: true, Waited: 30, Offers: 3, Passed: 4, Recovered: 20}, 1)
	b.add(Outcome{Filled: true, Waited: 20, Offers: 3, Late: 1, Told: 1, Recovered: 20}, 1)
	f := Summarize(a, b)
	if f.Openings != 4 || f.Fill != .75 || f.MedianMinutes != 20 || f.OffersPerFill != 4 || f.OffersPerOpening != 3 ||
		f.LatePerFill != 2./3 || f.LateToldPerFill != 1./3 || f.MinutesRecovered != 15 || f.PassedOver != 1 {
		t.Errorf("got %+v", f)
	}
	// Fills of a: 1 and 0, so the variance of their mean is 1/4; of b: none.
	if math.Abs(f.FillErr-.25) > 1e-12 {
		t.Errorf("error of the fill %g", f.FillErr)
	}
	if f := Summarize(); !reflect.DeepEqual(f, Figures{}) {
		t.Errorf("of nothing: %+v", f)
	}
}

func TestStandardSet(t *testing.T) {
	t.Parallel()
	all := Standard()
	if len(all) != 36 {
		t.Errorf("%d scenarios", len(all))
	}
	names := map[string]bool{}
	for _, s := range all {
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		names[s.String()] = true
	}
	if len(names) != 36 || !names["24h list 50 accept 10 %"] {
		t.Errorf("names: %v", names)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Scenario){
		"lead":          func(s *Scenario) { s.Lead = 0 },
		"list":          func(s *Scenario) { s.List = MostList + 1 },
		"acceptance":    func(s *Scenario) { s.Acceptance = math.NaN() },
		"freed":         func(s *Scenario) { s.Freed.Until = day + 1 },
		"awake":         func(s *Scenario) { s.Awake = engine.Hours{From: 600, Until: 500} },
		"length":        func(s *Scenario) { s.Length = 0 },
		"shares":        func(s *Scenario) { s.Reach = s.Reach[:1] },
		"sigma":         func(s *Scenario) { s.Reach = []Reach{{engine.SMS, 1, time.Minute, 0}} },
		"concentration": func(s *Scenario) { s.Concentration = 0 },
		"refusals":      func(s *Scenario) { s.Refusals = 2 },
		"close-out":     func(s *Scenario) { s.CloseOutRead = -1 },
	} {
		s := Standard()[0]
		spoil(&s)
		var e *engine.Error
		if err := s.Check(); !errors.As(err, &e) || e.Code != engine.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
