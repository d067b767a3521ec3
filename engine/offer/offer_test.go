package offer

import (
	"fmt"
	"testing"
	"time"

	"relais/engine"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func allDay(strategy engine.Strategy) engine.Policy {
	p := engine.DefaultPolicy()
	p.Strategy, p.Hours = strategy, engine.Hours{}
	return p
}

func list(n int, channel engine.Channel) []engine.Candidate {
	cs := make([]engine.Candidate, n)
	for i := range cs {
		cs[i] = engine.Candidate{Entry: engine.EntryID(fmt.Sprintf("e%d", i)), Channel: channel}
	}
	return cs
}

func after(minutes float64) time.Time {
	return start.Add(time.Duration(minutes * float64(time.Minute)))
}

func sent(minutes float64) Sent { return Sent{At: after(minutes), Channel: engine.SMS} }
func refusal(minutes float64) Sent {
	return Sent{At: after(minutes), Channel: engine.SMS, Declined: true}
}

func TestFixedStrategies(t *testing.T) {
	t.Parallel()
	const long = 24 * 60
	waves := allDay(engine.Waves)
	single := allDay(engine.OneByOne)
	odd := allDay("unheard-of")
	thrifty := waves
	thrifty.MaxAsked = 4
	eager := waves
	eager.Every, eager.Size = 0, 0
	for _, tc := range []struct {
		name   string
		policy engine.Policy
		view   View // At, Deadline and Last are set below
		at     float64
		until  float64
		fit    int
		ask    int
		next   float64
		out    bool
	}{
		{"first wave", waves, View{}, 0, long, 9, 3, 10, false},
		{"first of one by one", single, View{}, 0, long, 9, 1, 10, false},
		{"unknown strategies send waves", odd, View{}, 0, long, 9, 3, 10, false},
		{"short list", waves, View{}, 0, long, 2, 2, 10, false},
		{"too early for the second wave", waves, View{Sent: []Sent{sent(0), sent(0), sent(0)}}, 9.5, long, 9, 0, 10, false},
		{"second wave", waves, View{Sent: []Sent{sent(0), sent(0), sent(0)}}, 10, long, 9, 3, 20, false},
		{"a no is replaced at once", waves, View{Sent: []Sent{sent(0), refusal(0), sent(0)}}, 4, long, 9, 1, 10, false},
		{"the replacement has its own time", waves, View{Sent: []Sent{sent(0), refusal(0), sent(0), sent(4)}}, 10, long, 9, 2, 14, false},
		{"everybody said no", single, View{Sent: []Sent{refusal(0), refusal(1)}}, 2, long, 9, 1, 12, false},
		{"ended ones are not waited for", waves, View{Sent: []Sent{{At: start, Over: true}, sent(0), sent(0)}}, 1, long, 9, 1, 10, false},
		{"by hand", waves, View{Forward: true, Sent: []Sent{sent(0), sent(0), sent(0)}}, 1, long, 9, 3, 10, false},
		{"by hand, one by one", single, View{Forward: true, Sent: []Sent{sent(0)}}, 1, long, 9, 1, 10, false},
		{"most asked", thrifty, View{Sent: []Sent{refusal(0), sent(0), refusal(0)}}, 1, long, 9, 1, 10, false},
		{"most asked, and by hand", thrifty, View{Forward: true, Sent: []Sent{refusal(0), refusal(0), refusal(0), refusal(0)}}, 1, long, 9, 0, -1, true},
		{"never past the deadline", waves, View{}, 0, 7, 9, 3, 7, false},
		{"at the deadline", waves, View{}, 7, 7, 9, 0, -1, false},
		{"nobody fits", waves, View{}, 0, long, 0, 0, 10, true},
		{"policy without sense", eager, View{}, 0, long, 9, 1, 1. / 60, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := tc.view
			v.Now, v.Deadline, v.Last = after(tc.at), after(tc.until), start
			v.Eligible = list(tc.fit, engine.SMS)
			tc.policy.Reminders = 0
			d := Decide(v, tc.policy)
			next := time.Time{}
			if tc.next >= 0 {
				next = after(tc.next)
			}
			if d.Ask != tc.ask || !d.Next.Equal(next) || d.Exhausted != tc.out || d.Remind {
				t.Errorf("got %+v, want %d, %s, %t", d, tc.ask, next, tc.out)
			}
			if len(d.Chosen(v.Eligible)) != d.Ask {
				t.Errorf("chose %d of %d", len(d.Chosen(v.Eligible)), d.Ask)
			}
		})
	}
}

func TestReminders(t *testing.T) {
	t.Parallel()
	p := allDay(engine.Waves)
	p.Reminders = 2
	last := p
	last.MaxAsked = 2
	for _, tc := range []struct {
		name     string
		policy   engine.Policy
		reminded int
		at       float64
		sent     []Sent
		remind   bool
		next     float64
	}{
		{"not yet", p, 0, 4, []Sent{sent(0), sent(0)}, false, 10},
		{"first", p, 0, 10, []Sent{sent(0), sent(0)}, true, 20},
		{"between, with nobody left to look for", last, 1, 12, []Sent{sent(0), sent(0)}, false, 20},
		{"second, with nobody left to look for", last, 1, 20, []Sent{sent(0), refusal(0)}, true, -1},
		{"no more", p, 2, 30, []Sent{sent(0), sent(0)}, false, 40},
		{"no more, with nobody left to look for", last, 2, 30, []Sent{sent(0), sent(0)}, false, -1},
		{"nobody to remind", p, 0, 30, []Sent{refusal(0), {At: start, Over: true}}, false, 40},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := Decide(View{
				Now: after(tc.at), Deadline: after(600), Last: start, Reminded: tc.reminded, Sent: tc.sent,
			}, tc.policy)
			next := time.Time{}
			if tc.next >= 0 {
				next = after(tc.next)
			}
			if d.Remind != tc.remind || !d.Next.Equal(next) || !d.Exhausted || d.Ask != 0 {
				t.Errorf("got %+v, want %t, next %s", d, tc.remind, next)
			}
		})
	}
}

// Outside the clinic's hours an empty list is no news; the first look is when they begin.
func TestNightIsNotExhaustion(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("EST", -5*3600)
	p := engine.DefaultPolicy()
	for _, strategy := range []engine.Strategy{engine.Waves, engine.Adaptive} {
		p.Strategy = strategy
		night := time.Date(2026, 3, 2, 7, 55, 0, 0, zone)
		d := Decide(View{Now: night, Deadline: night.Add(5 * time.Hour), Zone: zone}, p)
		if d.Exhausted || !d.Next.Equal(time.Date(2026, 3, 2, 8, 0, 0, 0, zone)) {
			t.Errorf("%s at night: %+v", strategy, d)
		}
		day := night.Add(5 * time.Minute)
		if d := Decide(View{Now: day, Deadline: night.Add(5 * time.Hour), Zone: zone}, p); !d.Exhausted {
			t.Errorf("%s by day: %+v", strategy, d)
		}
	}
}

func TestChosenPassesOver(t *testing.T) {
	t.Parallel()
	eligible := list(5, engine.SMS)
	got := Decision{Ask: 2, Slow: []int{0, 2, 4}}.Chosen(eligible)
	if len(got) != 2 || got[0].Entry != "e1" || got[1].Entry != "e3" {
		t.Errorf("got %v", got)
	}
}
