package offer

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"relais/engine"

	"pgregory.net/rapid"
)

// firstWave is how many are asked tau minutes before the deadline when nobody was asked yet, at a clinic
// where that share of offers is accepted.
func firstWave(accept, tau float64, channel engine.Channel) int {
	p := allDay(engine.Adaptive)
	p.Accept, p.MaxAsked = accept, 200
	return Decide(View{Now: start, Deadline: after(tau), Zone: time.UTC, Eligible: list(200, channel)}, p).Ask
}

// The sizes that the simulations of the policy used.
func TestGoldenFirstWaves(t *testing.T) {
	t.Parallel()
	accepts := []float64{.05, .10, .25}
	for tau, want := range map[float64][]int{
		15: {23, 15, 7}, 30: {17, 11, 5}, 60: {11, 6, 3}, 120: {6, 4, 2},
		240: {3, 2, 1}, 480: {3, 1, 1}, 24 * 60: {3, 1, 1}, 72 * 60: {3, 1, 1},
	} {
		t.Run(fmt.Sprint(tau), func(t *testing.T) {
			t.Parallel()
			var got []int
			for _, a := range accepts {
				got = append(got, firstWave(a, tau, engine.SMS))
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// A clinic that says how its people answer gets the sizes that go with it, within reason.
func TestTheClinicsOwnAcceptance(t *testing.T) {
	t.Parallel()
	for accept, want := range map[float64]int{0: 6, .05: 11, .10: 6, .25: 3, .5: 2, 1: 2} {
		p := allDay(engine.Adaptive)
		p.Accept = accept
		v := View{Now: start, Deadline: after(60), Eligible: list(60, engine.SMS)}
		if got := Decide(v, p).Ask; got != want {
			t.Errorf("%g: asks %d, want %d", accept, got, want)
		}
	}
}

func TestReplyCurves(t *testing.T) {
	t.Parallel()
	for channel, c := range map[engine.Channel]curve{engine.SMS: standard.sms, engine.Voice: standard.voice, engine.EmailMail: standard.mail} {
		if got := c.by(c.median); math.Abs(got-.5) > 1e-9 {
			t.Errorf("%s: %g at the median", channel, got)
		}
		if c.by(0) != 0 || c.by(-1) != 0 {
			t.Errorf("%s: answers before the question", channel)
		}
	}
	mail := standard.mail
	if day := mail.by(24 * 60); day < .88 || day > .92 {
		t.Errorf("mail: %g in a day, published is .90", day)
	}
	if standard.curve(engine.Page) != standard.sms {
		t.Error("a channel without a curve of its own answers like a text")
	}
}

func drawTau(t *rapid.T, label string) float64 { return rapid.Float64Range(1, 2000).Draw(t, label) }

func TestMoreTimeNeverAsksMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		accept := rapid.Float64Range(.02, .5).Draw(t, "accept")
		channel := rapid.SampledFrom([]engine.Channel{engine.SMS, engine.Voice}).Draw(t, "channel")
		less, more := drawTau(t, "less"), drawTau(t, "more")
		if less > more {
			less, more = more, less
		}
		a, b := firstWave(accept, less, channel), firstWave(accept, more, channel)
		if a > 0 && b > a {
			t.Fatalf("%d at %g minutes, %d at %g", a, less, b, more)
		}
	})
}

func TestBetterAnswersNeverAskMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(.08, .5).Draw(t, "low")
		high := rapid.Float64Range(low, .5).Draw(t, "high")
		channel := rapid.SampledFrom([]engine.Channel{engine.SMS, engine.Voice}).Draw(t, "channel")
		tau := drawTau(t, "tau")
		a, b := firstWave(low, tau, channel), firstWave(high, tau, channel)
		if a > 0 && b > a {
			t.Fatalf("%d at %g, %d at %g", a, low, b, high)
		}
	})
}

func drawSent(t *rapid.T, minutes float64) []Sent {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Sent {
		return Sent{
			At:       after(rapid.Float64Range(0, minutes).Draw(t, "at")),
			Channel:  rapid.SampledFrom([]engine.Channel{engine.SMS, engine.Voice, engine.EmailMail}).Draw(t, "channel"),
			Declined: rapid.Bool().Draw(t, "declined"),
			Over:     rapid.IntRange(0, 4).Draw(t, "over") == 0,
		}
	}), 0, 30).Draw(t, "sent")
}

func drawView(t *rapid.T) (View, engine.Policy) {
	p := allDay(rapid.SampledFrom([]engine.Strategy{engine.Waves, engine.OneByOne, engine.Adaptive}).Draw(t, "strategy"))
	p.Hours = rapid.SampledFrom([]engine.Hours{{}, {From: 480, Until: 1260}, {From: 900, Until: 600}}).Draw(t, "hours")
	p.Size = rapid.IntRange(0, 10).Draw(t, "size")
	p.MaxAsked = rapid.IntRange(0, 60).Draw(t, "max")
	p.Reminders = rapid.IntRange(0, 3).Draw(t, "reminders")
	p.Every = time.Duration(rapid.IntRange(0, 30).Draw(t, "every")) * time.Minute
	now := rapid.Float64Range(0, 900).Draw(t, "now")
	v := View{
		Now: after(now), Deadline: after(now + rapid.Float64Range(-10, 5000).Draw(t, "left")), Zone: time.UTC,
		Sent: drawSent(t, now), Last: after(rapid.Float64Range(0, now).Draw(t, "last")),
		Reminded: rapid.IntRange(0, 3).Draw(t, "reminded"), Forward: rapid.Bool().Draw(t, "forward"),
	}
	for i := range rapid.IntRange(0, 40).Draw(t, "eligible") {
		channel := rapid.SampledFrom([]engine.Channel{engine.SMS, engine.Voice, engine.EmailMail}).Draw(t, "quickest")
		v.Eligible = append(v.Eligible, engine.Candidate{Entry: engine.EntryID(fmt.Sprintf("e%d", i)), Channel: channel})
	}
	return v, p
}

// What holds for every strategy.
func TestDecisionsKeepWithinLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, p := drawView(t)
		d := Decide(v, p)
		if !reflect.DeepEqual(d, Decide(v, p)) {
			t.Fatal("two answers to one question")
		}
		if !v.Now.Before(v.Deadline) {
			if !reflect.DeepEqual(d, Decision{}) {
				t.Fatalf("decided %+v past the deadline", d)
			}
			return
		}
		left := max(0, p.MaxAsked-len(v.Sent))
		if d.Ask < 0 || d.Ask > left || d.Ask+len(d.Slow) > len(v.Eligible) {
			t.Fatalf("%+v of %d, %d left", d, len(v.Eligible), left)
		}
		if d.Next.After(v.Deadline) || (!d.Next.IsZero() && !d.Next.After(v.Now)) {
			t.Fatalf("next at %s, now %s, deadline %s", d.Next, v.Now, v.Deadline)
		}
		if d.Next.IsZero() && left > 0 {
			t.Fatalf("never looks again although %d may be asked", left)
		}
		if d.Remind && (d.Ask > 0 || v.Reminded >= p.Reminders || !pending(v.Sent)) {
			t.Fatalf("reminds: %+v", d)
		}
		if d.Exhausted && d.Ask > 0 {
			t.Fatalf("exhausted and asking: %+v", d)
		}
		if v.Forward && d.Ask == 0 && left > 0 && len(d.Slow) < len(v.Eligible) {
			t.Fatalf("asks nobody although somebody at the desk wants it: %+v", d)
		}
		// Nobody is passed over in favour of somebody behind them, unless they are too slow.
		slow := map[int]bool{}
		for _, i := range d.Slow {
			slow[i] = true
		}
		want := 0
		for _, c := range d.Chosen(v.Eligible) {
			for slow[want] {
				want++
			}
			if c.Entry != v.Eligible[want].Entry {
				t.Fatalf("asks %s before %s", c.Entry, v.Eligible[want].Entry)
			}
			want++
		}
	})
}

func TestPendingOffersNeverAskMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, p := drawView(t)
		p.Strategy, p.MaxAsked, v.Forward = engine.Adaptive, 200, false
		before := Decide(v, p).Ask
		v.Sent = append(v.Sent, Sent{At: v.Now, Channel: rapid.SampledFrom([]engine.Channel{engine.SMS, engine.Voice}).Draw(t, "fresh")})
		if now := Decide(v, p).Ask; now > before {
			t.Fatalf("%d with one more pending, %d without", now, before)
		}
	})
}

func TestSomebodyIsAskedWhenNothingIsPending(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, p := drawView(t)
		p.Strategy, p.MaxAsked = engine.Adaptive, 200
		for i := range v.Sent {
			v.Sent[i].Declined = true
		}
		d := Decide(v, p)
		if v.Now.Before(v.Deadline) && len(d.Slow) < len(v.Eligible) && d.Ask == 0 {
			t.Fatalf("asks nobody: %+v", d)
		}
	})
}

// Silence in this slot lowers what is expected of the next people, so more of them are asked.
func TestSilenceIsLearnedFrom(t *testing.T) {
	t.Parallel()
	p := allDay(engine.Adaptive)
	fresh := Decide(View{Now: after(0), Deadline: after(60), Eligible: list(60, engine.SMS)}, p).Ask
	no := make([]Sent, 20)
	ended := make([]Sent, 20)
	for i := range no {
		no[i] = refusal(0)
		ended[i] = Sent{At: start, Channel: engine.SMS, Over: true}
	}
	v := View{Now: after(0), Deadline: after(60), Eligible: list(60, engine.SMS), Sent: no}
	p.MaxAsked = 200
	if got := Decide(v, p).Ask; got <= fresh {
		t.Errorf("%d after twenty refusals, %d before", got, fresh)
	}
	v.Sent = ended
	if got := Decide(v, p).Ask; got != fresh {
		t.Errorf("%d after offers that say nothing, %d without them", got, fresh)
	}
}

// Texts that were sent and not answered count twice: as fewer yeses to come from them, and as a
// reason to expect fewer from the next ones.
func TestSilenceOfThoseAsked(t *testing.T) {
	t.Parallel()
	p := allDay(engine.Adaptive)
	p.MaxAsked = 200
	ask := func(asked int, ago float64) int {
		v := View{Now: after(ago), Deadline: after(ago + 60), Eligible: list(100, engine.SMS)}
		for range asked {
			v.Sent = append(v.Sent, sent(0))
		}
		return Decide(v, p).Ask
	}
	first := ask(0, 0)
	if got := ask(first, 0); got != 0 {
		t.Errorf("%d more right after the first wave", got)
	}
	soon, late := ask(first, 10), ask(first, 40)
	if soon == 0 || late <= soon {
		t.Errorf("%d after ten minutes, %d after forty", soon, late)
	}
	if got := ask(20, 600); got <= first {
		t.Errorf("%d after twenty unanswered texts, %d before", got, first)
	}
}

// Near the deadline the aim itself falls; the level does not follow it down.
func TestLevelHoldsTowardsTheDeadline(t *testing.T) {
	t.Parallel()
	c := standard.sms
	if aim, level := standard.worth(c, 6, .1), standard.level(c, 6, .1); aim == 0 || level <= aim {
		t.Errorf("aim %g, level %g", aim, level)
	}
	if level := standard.level(c, 2, .1); level != 0 {
		t.Errorf("level %g when nobody can answer any more", level)
	}
}

func TestAimHasACeiling(t *testing.T) {
	t.Parallel()
	m := standard
	m.late, m.cost = .001, 0
	if got := m.level(m.sms, 10, .1); got != m.ceiling {
		t.Errorf("aims at %g", got)
	}
}

// Whoever is too slow to be asked is no reason to bother the others once more.
func TestNoReminderWhenItIsTooLate(t *testing.T) {
	t.Parallel()
	d := Decide(View{
		Now: after(60), Deadline: after(65), Last: start,
		Sent: []Sent{sent(0)}, Eligible: list(2, engine.EmailMail),
	}, allDay(engine.Adaptive))
	if d.Remind || !d.Exhausted {
		t.Errorf("got %+v", d)
	}
}

// Whoever would more likely than not answer too late is passed over while there are quicker ones, and has
// their turn when there are not.
func TestQuickOnesFirst(t *testing.T) {
	t.Parallel()
	eligible := append([]engine.Candidate{{Entry: "mail", Channel: engine.EmailMail}}, list(40, engine.SMS)...)
	v := View{Now: start, Deadline: after(30), Eligible: eligible}
	p := allDay(engine.Adaptive)
	if d := Decide(v, p); d.Chosen(eligible)[0].Entry != "e0" || !reflect.DeepEqual(d.Slow, []int{0}) {
		t.Errorf("half an hour, many texts: %+v", d)
	}
	v.Eligible = eligible[:4]
	if d := Decide(v, p); d.Ask != 4 || d.Slow != nil {
		t.Errorf("half an hour, few texts: %+v", d)
	}
	v.Deadline, v.Eligible = after(60), eligible
	if d := Decide(v, p); d.Chosen(eligible)[0].Entry != "mail" {
		t.Errorf("an hour: %+v", d)
	}
}

// level stops looking once the aim falls; it must not have missed a later peak.
func TestTheAimHasOnePeak(t *testing.T) {
	t.Parallel()
	for channel, c := range map[engine.Channel]curve{engine.SMS: standard.sms, engine.Voice: standard.voice, engine.EmailMail: standard.mail} {
		for _, accept := range []float64{.01, .02, .05, .1, .2, .5} {
			for tau := 1.; tau <= 600; tau++ {
				best := standard.worth(c, tau, accept)
				if best == 0 {
					continue
				}
				for more := 1.; more <= 60; more++ {
					best = max(best, standard.worth(c, tau+more, accept))
				}
				if got := standard.level(c, tau, accept); got < min(best, standard.ceiling) {
					t.Fatalf("%s, %g minutes, %g: level %g, peak %g", channel, tau, accept, got, best)
				}
			}
		}
	}
}

func TestTooSlowForWhatIsLeft(t *testing.T) {
	t.Parallel()
	p := allDay(engine.Adaptive)
	eligible := []engine.Candidate{{Entry: "mail", Channel: engine.EmailMail}, {Entry: "call", Channel: engine.Voice}}
	d := Decide(View{Now: start, Deadline: after(10), Eligible: eligible}, p)
	if got := d.Chosen(eligible); len(got) != 1 || got[0].Entry != "call" {
		t.Errorf("chose %v", got)
	}
	d = Decide(View{Now: start, Deadline: after(10), Eligible: eligible[:1]}, p)
	if d.Ask != 0 || !d.Exhausted {
		t.Errorf("nobody can answer in time: %+v", d)
	}
}

func TestAwake(t *testing.T) {
	t.Parallel()
	toronto, err := time.LoadLocation("America/Toronto")
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, toronto) }
	h := engine.Hours{From: 8 * 60, Until: 20 * 60}
	for _, tc := range []struct {
		name     string
		from, to time.Time
		hours    engine.Hours
		want     time.Duration
	}{
		{"inside a day", at(2, 9, 0), at(2, 10, 30), h, 90 * time.Minute},
		{"over a night", at(2, 19, 0), at(3, 9, 0), h, 2 * time.Hour},
		{"begins and ends at night", at(2, 5, 0), at(2, 22, 0), h, 12 * time.Hour},
		{"all of it at night", at(2, 21, 0), at(3, 7, 0), h, 0},
		{"the clocks change", at(7, 19, 0), at(8, 9, 0), h, 2 * time.Hour}, // 8 March 2026
		{"whole days", at(7, 19, 0), at(8, 9, 0), engine.Hours{}, 13 * time.Hour},
		{"until midnight", at(2, 22, 0), at(3, 9, 0), engine.Hours{From: 480, Until: 1440}, 3 * time.Hour},
		{"backwards", at(3, 9, 0), at(2, 9, 0), h, 0},
		{"hours that never open", at(2, 9, 0), at(20, 9, 0), engine.Hours{From: 900, Until: 600}, 0},
		{"plenty", at(2, 9, 0), at(30, 9, 0), h, plenty},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := awake(tc.from, tc.to, tc.hours, toronto); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// BenchmarkDecide reviews a slot with thirty people asked and fifty more to choose from.
func BenchmarkDecide(b *testing.B) {
	for _, strategy := range []engine.Strategy{engine.Waves, engine.Adaptive} {
		b.Run(string(strategy), func(b *testing.B) {
			p := engine.DefaultPolicy()
			p.Strategy = strategy
			v := View{Now: after(100), Deadline: after(24 * 60), Zone: time.UTC, Last: after(90), Eligible: list(50, engine.SMS)}
			for i := range 30 {
				v.Sent = append(v.Sent, sent(float64(i/3*10)))
			}
			b.ReportAllocs()
			for b.Loop() {
				if d := Decide(v, p); d.Next.IsZero() {
					b.Fatal("no next look")
				}
			}
		})
	}
}

// A look that is put off would have asked nobody: at every moment it skips, the same people, still silent,
// are asked nothing.
func TestNothingIsMissedUntilTheNextLook(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v, p := drawView(t)
		p.Strategy, v.Forward = engine.Adaptive, false
		d := Decide(v, p)
		if d.Ask > 0 || d.Exhausted || d.Next.IsZero() || !v.Now.Before(v.Deadline) {
			return
		}
		if wait := d.Next.Sub(v.Now); wait > time.Hour {
			t.Fatalf("the next look is in %s", wait)
		}
		step := min(max(p.Every, shortest), soonest)
		for n := 1; n <= 60; n++ {
			later := v
			later.Now = v.Now.Add(time.Duration(n) * step)
			if !later.Now.Before(d.Next) {
				return
			}
			if skipped := Decide(later, p); skipped.Ask > 0 || skipped.Exhausted {
				t.Fatalf("%s later it is %+v, the next look is at %s", time.Duration(n)*step, skipped, d.Next.Sub(v.Now))
			}
		}
	})
}
