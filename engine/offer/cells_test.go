package offer

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"relais/engine"

	"pgregory.net/rapid"
)

const anHour = time.Hour

// shows is an opening in which n texts went out an hour before the start, all heard to the end, and some
// of them were accepted.
func shows(at time.Time, n, yes int) Evidence {
	return Evidence{At: at, Cells: []CellCounts{{"2h", engine.SMS, Count{float64(yes), float64(n)}}}}
}

func TestAClinicWithoutDataUsesThePrior(t *testing.T) {
	t.Parallel()
	for accept, want := range map[float64]float64{0: .10, .2: .2, .9: .5, .001: .02} {
		for _, l := range (Cells{}).Show(accept) {
			if l.Accept != want {
				t.Errorf("%g: %+v", accept, l)
			}
		}
	}
}

// A view without rates, and one with the rates of a clinic that has seen nothing, decide the same.
func TestNoRatesAreThePriors(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, p := drawView(t)
		p.Accept = rapid.SampledFrom([]float64{0, .05, .3}).Draw(t, "accept")
		bare := Decide(v, p)
		v.Rates = Cells{}.Rates(p.Accept)
		if known := Decide(v, p); !reflect.DeepEqual(bare, known) {
			t.Fatalf("%+v, with rates %+v", bare, known)
		}
	})
}

// What is learned in one cell reaches the others of the clinic, but less.
func TestCellsAreDrawnToTheClinicsMean(t *testing.T) {
	t.Parallel()
	var c Cells
	for range 40 {
		c = c.Observe(shows(start, 10, 4), 0)
	}
	r := c.Rates(0)
	here, there := r.Accept(anHour, engine.SMS), r.Accept(100*time.Hour, engine.EmailMail)
	if here < .33 || here > .42 || there < .25 || there >= here {
		t.Errorf("learned .4: %.3f here, %.3f elsewhere", here, there)
	}
	p := allDay(engine.Adaptive)
	v := View{Now: start, Deadline: after(60), Eligible: list(60, engine.SMS)}
	before := Decide(v, p).Ask
	v.Rates = r
	if got := Decide(v, p).Ask; got >= before {
		t.Errorf("asks %d when people say yes often, %d before anything was known", got, before)
	}
}

func TestOldFactsFade(t *testing.T) {
	t.Parallel()
	c := Cells{}
	for range 20 {
		c = c.Observe(shows(start, 10, 4), 0)
	}
	soon := c.Rates(0).Accept(anHour, engine.SMS)
	later := c.faded(start.Add(20*halfLife)).Rates(0).Accept(anHour, engine.SMS)
	if soon < .25 || math.Abs(later-.10) > .001 {
		t.Errorf("%.3f, ten years later %.3f", soon, later)
	}
	if c.faded(start.Add(-time.Hour)) != c {
		t.Error("a clock that was set back changes what is known")
	}
}

// A clinic that changes is followed however long its history is.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var c Cells
	for range 5000 {
		c = c.Observe(shows(start, 10, 3), 0)
	}
	for range 100 {
		c = c.Observe(shows(start, 10, 0), 0)
	}
	if got := c.Rates(0).Accept(anHour, engine.SMS); got > .10 {
		t.Errorf("still believes in %.3f after a thousand refusals", got)
	}
	if c.Openings != 5100 {
		t.Errorf("%d openings", c.Openings)
	}
}

// Offers that were cut short by a quick yes do not look like refusals, and stopping at the first yes does
// not flatter. People and slots are drawn as the simulator draws them.
func TestLearningIsNotBiased(t *testing.T) {
	t.Parallel()
	h := engine.Hours{}
	for _, truth := range []float64{.05, .10, .25} {
		rng := rand.New(rand.NewPCG(5, 6))
		sum := 0.
		const clinics = 60
		for range clinics {
			var c Cells
			for range 120 {
				c = c.Observe(randomOpening(rng, truth, h), 0)
			}
			sum += c.Rates(0).Accept(anHour, engine.SMS)
		}
		if got := sum / clinics; math.Abs(got/truth-1) > .15 {
			t.Errorf("learned %.4f, true %.4f", got, truth)
		}
	}
}

// randomOpening asks ten people by text, and as many again every ten minutes for half an hour, until
// somebody says yes.
func randomOpening(rng *rand.Rand, accept float64, h engine.Hours) Evidence {
	effect := 0. // Gamma of shape 4 and mean 1
	for range 4 {
		effect += rng.ExpFloat64() / 4
	}
	var asked []Shown
	ends := after(30)
	c := standard.sms
	for n := range 30 {
		s := Shown{At: after(float64(n / 10 * 10)), Channel: engine.SMS, Until: after(1e5)}
		if !s.At.Before(ends) {
			break
		}
		mind := rng.Float64()
		s.Yes = mind < accept*effect
		if s.Yes || rng.Float64() < .25 {
			s.Until = s.At.Add(time.Duration(c.median * math.Exp(c.sigma*rng.NormFloat64()) * float64(time.Minute)))
		}
		if s.Yes && s.Until.Before(ends) {
			ends = s.Until
		}
		asked = append(asked, s)
	}
	var shown []Shown
	for _, s := range asked {
		if !s.At.Before(ends) {
			continue
		}
		if s.Until.After(ends) {
			s.Until, s.Yes = ends, false
		}
		shown = append(shown, s)
	}
	return Weigh(ends, after(60), shown, h, nil)
}

// Whatever is seen, rates stay in their range, memory stays bounded and nothing is lost by keeping it.
func TestCellsKeepTheirPromises(t *testing.T) {
	t.Parallel()
	channels := []engine.Channel{engine.SMS, engine.Voice, engine.EmailMail, engine.Desk}
	rapid.Check(t, func(t *rapid.T) {
		var c Cells
		accept := rapid.Float64Range(0, 1).Draw(t, "accept")
		for range rapid.IntRange(0, 20).Draw(t, "openings") {
			at := after(rapid.Float64Range(0, 1e6).Draw(t, "at"))
			var shown []Shown
			for range rapid.IntRange(0, 60).Draw(t, "offers") {
				ago := time.Duration(rapid.IntRange(0, 5000).Draw(t, "ago")) * time.Minute
				shown = append(shown, Shown{
					At: at.Add(-ago), Until: at, Yes: rapid.Bool().Draw(t, "yes"),
					Channel: rapid.SampledFrom(channels).Draw(t, "channel"),
				})
			}
			before := c
			e := Weigh(at, at.Add(time.Duration(rapid.IntRange(0, 9000).Draw(t, "left"))*time.Minute), shown, engine.Hours{From: 480, Until: 1260}, nil)
			c = c.Observe(e, accept)
			if again := before.Observe(e, accept); again != c {
				t.Fatal("the same opening teaches two things")
			}
		}
		for _, l := range c.Show(accept) {
			if !(l.Accept >= leastAccept && l.Accept <= mostAccept) || !(l.Exposure >= 0 && l.Exposure <= mostExposure) || l.Yes < 0 {
				t.Fatalf("%+v", l)
			}
		}
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back Cells
		if err := json.Unmarshal(data, &back); err != nil || !back.At.Equal(c.At) {
			t.Fatalf("%v: %s", err, data)
		}
		if back.At = c.At; back != c {
			t.Fatalf("kept %s, read %+v", data, back)
		}
	})
}

// A record of a later version, or a damaged one, cannot break decisions.
func TestCellsOfOthers(t *testing.T) {
	t.Parallel()
	var c Cells
	text := `{"openings":3,"cells":[{"lead":"2h","channel":"pigeon","yes":1,"exposure":9},{"lead":"5m","channel":"sms","yes":1,"exposure":9},
		{"lead":"2h","channel":"sms","yes":-1,"exposure":1e300}]}`
	if err := json.Unmarshal([]byte(text), &c); err != nil || c.Openings != 3 {
		t.Fatalf("%v, %+v", err, c)
	}
	if c.Rates(0) != (Cells{}).Rates(0) {
		t.Errorf("believes %+v", c.Show(0))
	}
	if err := json.Unmarshal([]byte(`[]`), &c); err == nil {
		t.Error("reads a list as cells")
	}
}
