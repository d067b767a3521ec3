package health

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"relais/engine"
)

var t0 = time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)

// event is one line of a scenario: what happens how long after the start, and the status after.
type event struct {
	at   time.Duration
	in   Input
	want Status
}

func play(t *testing.T, s State, events []event) State {
	t.Helper()
	for i, e := range events {
		s = Step(s, e.in, t0.Add(e.at))
		if s.Status != e.want {
			t.Fatalf("line %d (%T at %s): status %s, want %s (%+v)", i+1, e.in, e.at, s.Status, e.want, s)
		}
	}
	return s
}

func healthy() State { return State{Status: Healthy, Since: t0, LastGood: t0, LastFull: t0} }

func bad(f engine.DMEFault) Bad { return Bad{Fault: f, Jitter: 0.5} }

func TestScenarios(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		from   State
		events []event
	}{
		"first start": {State{}, []event{
			{0, Good{}, Starting},
			{1 * s, Reconciled{}, Starting},
			{2 * s, Good{Full: true}, Checking},
			{3 * s, Reconciled{}, Healthy},
		}},
		"two passing failures are forgiven": {healthy(), []event{
			{1 * s, bad(engine.DMEUnreachable), Healthy},
			{2 * s, bad(engine.DMEError), Healthy},
			{3 * s, Good{}, Healthy},
			{4 * s, bad(engine.DMEBusy), Healthy},
		}},
		"three in a row suspend": {healthy(), []event{
			{1 * s, bad(engine.DMEError), Healthy},
			{2 * s, bad(engine.DMEError), Healthy},
			{3 * s, bad(engine.DMEError), Suspended},
		}},
		"ten seconds without a good look suspend": {healthy(), []event{
			{1 * s, bad(engine.DMEUnreachable), Healthy},
			{10 * s, bad(engine.DMEUnreachable), Suspended},
		}},
		"sign-in suspends at once":            {healthy(), []event{{s, bad(engine.DMESignIn), Suspended}}},
		"unreadable answers suspend at once":  {healthy(), []event{{s, bad(engine.DMEMalformed), Suspended}}},
		"implausible snapshot suspends":       {healthy(), []event{{s, Implausible{Detail: "x"}, Suspended}}},
		"a conflict is an answer":             {healthy(), []event{{s, bad(engine.DMEConflict), Healthy}, {2 * s, bad(engine.DMERejected), Healthy}}},
		"silence suspends":                    {healthy(), []event{{29 * s, Beat{}, Healthy}, {30 * s, Beat{}, Suspended}}},
		"silence while starting suspends too": {State{}, []event{{0, Beat{}, Starting}, {29 * s, Beat{}, Starting}, {30 * s, Beat{}, Suspended}}},
		"back only through a full look and the comparison": {healthy(), []event{
			{1 * s, bad(engine.DMESignIn), Suspended},
			{2 * s, Good{}, Suspended},
			{3 * s, Reconciled{}, Suspended},
			{4 * s, Good{Full: true}, Checking},
			{5 * s, Good{}, Checking},
			{6 * s, Reconciled{}, Healthy},
		}},
		"any failure during the comparison suspends again": {healthy(), []event{
			{1 * s, bad(engine.DMESignIn), Suspended},
			{2 * s, Good{Full: true}, Checking},
			{3 * s, bad(engine.DMEUnreachable), Suspended},
			{4 * s, Reconciled{}, Suspended},
		}},
		"a hold outlives good looks": {healthy(), []event{
			{1 * s, HeldBy{User: "marie"}, Suspended},
			{2 * s, Good{Full: true}, Suspended},
			{3 * s, Reconciled{}, Suspended},
			{4 * s, HeldBy{}, Suspended},
			{5 * s, Good{Full: true}, Checking},
			{6 * s, Reconciled{}, Healthy},
		}},
		"a hold during the comparison wins": {healthy(), []event{
			{1 * s, bad(engine.DMESignIn), Suspended},
			{2 * s, Good{Full: true}, Checking},
			{3 * s, HeldBy{User: "marie"}, Suspended},
			{4 * s, Reconciled{}, Suspended},
		}},
		"a clock five minutes off suspends": {healthy(), []event{
			{1 * s, Good{Skew: 5 * time.Minute}, Healthy},
			{2 * s, Good{Skew: -5*time.Minute - s}, Suspended},
			{3 * s, Good{Full: true, Skew: 6 * time.Minute}, Suspended},
			{4 * s, Good{Full: true, Skew: s}, Checking},
		}},
		"a full look in good health changes nothing": {healthy(), []event{{s, Good{Full: true}, Healthy}}},
	} {
		t.Run(name, func(t *testing.T) { play(t, c.from, c.events) })
	}
}

func TestBrake(t *testing.T) {
	const s = time.Second
	asked := Bad{Fault: engine.DMEBusy, Wait: 90 * s}
	for name, c := range map[string]struct {
		events []Input
		after  time.Duration // since the last of them, which come a second apart
		want   time.Duration
	}{
		"healthy":                        {nil, 0, 0},
		"a failure that is forgiven":     {[]Input{bad(engine.DMEError)}, 0, 0},
		"asked to wait":                  {[]Input{asked}, 30 * s, 60 * s},
		"asked to wait, over":            {[]Input{asked}, 91 * s, 0},
		"down":                           {[]Input{bad(engine.DMEUnreachable), bad(engine.DMEUnreachable), bad(engine.DMEUnreachable)}, 0, s},
		"down, and the next look is due": {[]Input{bad(engine.DMEUnreachable), bad(engine.DMEUnreachable), bad(engine.DMEUnreachable)}, time.Minute, s},
		"suspended and asked to wait":    {[]Input{asked, asked, asked}, 0, 90 * s},
		"not let in":                     {[]Input{bad(engine.DMESignIn)}, 0, s},
		"answers again":                  {[]Input{bad(engine.DMESignIn), Good{Full: true}}, 0, 0},
		"answers again, held by hand":    {[]Input{bad(engine.DMESignIn), HeldBy{User: "marie"}, Good{Full: true}}, 0, 0},
		"held by hand":                   {[]Input{HeldBy{User: "marie"}}, 0, 0},
		"a schedule that is not believed takes bookings": {[]Input{Implausible{Detail: "x"}}, 0, 0},
		"so does one whose clock is off":                 {[]Input{Good{Skew: time.Hour}}, 0, 0},
	} {
		state, now := healthy(), t0
		for _, in := range c.events {
			now = now.Add(s)
			state = Step(state, in, now)
		}
		if got := state.Brake(now.Add(c.after)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWhatPeopleRead(t *testing.T) {
	s := Step(healthy(), Good{Skew: -7 * time.Minute}, t0.Add(time.Second))
	if s.Fault != engine.DMEMalformed || s.Detail != "The record system's clock is 7m0s behind ours." {
		t.Errorf("skew: %q %q", s.Fault, s.Detail)
	}
	s = Step(healthy(), Beat{}, t0.Add(time.Minute))
	if s.Fault != engine.DMEUnreachable || !strings.Contains(s.Detail, "30 s") {
		t.Errorf("stale: %q %q", s.Fault, s.Detail)
	}
	s = Step(healthy(), Bad{Fault: engine.DMESignIn}, t0.Add(time.Second))
	if s.Detail != "The record system does not let us in." {
		t.Errorf("a fault without words gets some: %q", s.Detail)
	}
	if since := Step(s, Bad{Fault: engine.DMEError}, t0.Add(time.Minute)).Since; !since.Equal(t0.Add(time.Second)) {
		t.Errorf("a suspension goes on since it began, not since its last failure: %s", since)
	}
	s = Step(s, Good{Full: true}, t0.Add(2*time.Minute))
	if s.Fault != "" || s.Detail != "" {
		t.Errorf("no complaint is left once it answers: %q %q", s.Fault, s.Detail)
	}
	held := Step(healthy(), HeldBy{User: "marie"}, t0)
	if held.Hold != "marie" || held.Detail == "" {
		t.Errorf("held: %+v", held)
	}
	if freed := Step(held, HeldBy{}, t0.Add(time.Minute)); freed.Hold != "" || !freed.RetryAt.Equal(t0.Add(time.Minute)) {
		t.Errorf("the end of a hold asks for a look now: %+v", freed)
	}
}

func TestBackoff(t *testing.T) {
	s, want := healthy(), []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
	for i, w := range want {
		now := t0.Add(time.Duration(i) * time.Second)
		s = Step(s, Bad{Fault: engine.DMEError, Jitter: 1}, now)
		if got := s.RetryAt.Sub(now); got != w {
			t.Errorf("failure %d: retry after %s, want %s", i+1, got, w)
		}
	}
	s = Step(healthy(), Bad{Fault: engine.DMEBusy, Jitter: 0, Wait: 12 * time.Second}, t0)
	if got := s.RetryAt.Sub(t0); got != 12*time.Second {
		t.Errorf("Retry-After of 12 s: retry after %s", got)
	}
	s = Step(healthy(), Bad{Fault: engine.DMEBusy, Wait: 365 * 24 * time.Hour}, t0)
	if got := s.RetryAt.Sub(t0); got != MaxWait {
		t.Errorf("a wait of a year is cut to %s, got %s", MaxWait, got)
	}
	if s = Step(s, Good{}, t0.Add(time.Second)); !s.RetryAt.IsZero() || s.Failures != 0 {
		t.Errorf("a good look ends the backoff: %+v", s)
	}
}

func TestLoaded(t *testing.T) {
	later := t0.Add(time.Hour)
	if s := Loaded(healthy(), later); s.Status != Starting || !s.Since.Equal(later) || Step(s, Beat{}, later.Add(time.Second)).Status != Starting {
		t.Errorf("trust starts over: %+v", s)
	}
	held := Step(healthy(), HeldBy{User: "marie"}, t0)
	if s := Loaded(held, later); s.Status != Suspended || s.Hold != "marie" || !s.Since.Equal(t0) {
		t.Errorf("a hold survives a restart: %+v", s)
	}
}

// Whatever happens, a clinic becomes Healthy only by Reconciled, out of Checking, which only a
// complete look brings about; and a hold never coexists with trust.
func TestTrustIsEarned(t *testing.T) {
	faults := []engine.DMEFault{engine.DMEConflict, engine.DMERejected, engine.DMESignIn, engine.DMEUnreachable, engine.DMEBusy, engine.DMEError, engine.DMEMalformed}
	rapid.Check(t, func(t *rapid.T) {
		var s State
		now := t0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			in := rapid.OneOf(
				rapid.Custom(func(t *rapid.T) Input {
					return Good{Full: rapid.Bool().Draw(t, "full"), Skew: time.Duration(rapid.IntRange(-400, 400).Draw(t, "skew")) * time.Second}
				}),
				rapid.Custom(func(t *rapid.T) Input {
					return Bad{Fault: rapid.SampledFrom(faults).Draw(t, "fault"), Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter")}
				}),
				rapid.SampledFrom([]Input{Implausible{}, Reconciled{}, HeldBy{User: "u"}, HeldBy{}, Beat{}}),
			).Draw(t, "input")
			before := s
			s = Step(s, in, now)
			if _, ok := in.(Reconciled); s.Status == Healthy && before.Status != Healthy && (!ok || before.Status != Checking) {
				t.Fatalf("%T made %s healthy", in, before.Status)
			}
			if g, ok := in.(Good); s.Status == Checking && before.Status != Checking && (!ok || !g.Full) {
				t.Fatalf("%T made %s checking", in, before.Status)
			}
			if s.Hold != "" && s.Status != Suspended {
				t.Fatalf("held and %s", s.Status)
			}
			if s.Status == Suspended && s.Detail == "" {
				if _, ok := in.(Implausible); !ok && before.Detail != "" {
					t.Fatalf("suspended without a word")
				}
			}
			if s.RetryAt.After(now.Add(MaxWait)) {
				t.Fatalf("waits until %s", s.RetryAt)
			}
			if _, ok := in.(Beat); ok && s.Status == Healthy && now.Sub(s.LastGood) >= MaxStale {
				t.Fatalf("healthy %s after the last good look", now.Sub(s.LastGood))
			}
			again, err := json.Marshal(s)
			if err != nil || len(again) > 512+256*MaxLog || len(s.Log) > MaxLog {
				t.Fatalf("not fit for the store: %d bytes, %v", len(again), err)
			}
		}
	})
}

func TestHistory(t *testing.T) {
	const s = time.Second
	end := play(t, healthy(), []event{
		{1 * s, bad(engine.DMEUnreachable), Healthy},
		{2 * s, bad(engine.DMEUnreachable), Healthy},
		{3 * s, Good{}, Healthy},
		{4 * s, bad(engine.DMEConflict), Healthy}, // an answer
		{5 * s, bad(engine.DMESignIn), Suspended},
		{6 * s, HeldBy{User: "marie"}, Suspended},
		{7 * s, HeldBy{}, Suspended},
		{8 * s, Good{Full: true}, Checking},
		{9 * s, Reconciled{}, Healthy},
	})
	type line struct {
		at     time.Duration
		count  int
		status Status
		fault  engine.DMEFault
		by     engine.UserID
	}
	want := []line{
		{1 * s, 2, Healthy, engine.DMEUnreachable, ""},
		{5 * s, 1, Suspended, engine.DMESignIn, ""},
		{6 * s, 1, Suspended, engine.DMESignIn, "marie"},
		{7 * s, 1, Suspended, engine.DMESignIn, ""},
		{8 * s, 1, Checking, "", ""},
		{9 * s, 1, Healthy, "", ""},
	}
	var got []line
	for _, l := range end.Log {
		got = append(got, line{l.At.Sub(t0), l.Count, l.Status, l.Fault, l.By})
	}
	if !slices.Equal(got, want) {
		t.Errorf("history\n%v, want\n%v", got, want)
	}
	if end.Log[0].Last.Sub(t0) != 2*s || end.Log[0].Detail == "" {
		t.Errorf("the failure that came twice: %+v", end.Log[0])
	}
	// A step leaves the history of its argument alone, and the history is bounded.
	before := slices.Clone(end.Log)
	for i := range 3 * MaxLog {
		next := Step(end, HeldBy{User: engine.UserID([]string{"", "u"}[i%2])}, t0.Add(time.Minute))
		Step(end, bad(engine.DMESignIn), t0.Add(time.Minute))
		if i < len(before) && !slices.Equal(end.Log[:len(before)], before) && len(end.Log) == len(before) {
			t.Fatal("the history of the argument changed")
		}
		end = next
	}
	if len(end.Log) != MaxLog {
		t.Errorf("%d lines of history", len(end.Log))
	}
	if News(end, Step(end, bad(engine.DMEConflict), t0)) || !News(healthy(), Step(healthy(), bad(engine.DMEBusy), t0.Add(s))) {
		t.Error("what is news")
	}
}
