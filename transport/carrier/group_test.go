package carrier

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
)

// line is an account that answers what it is told to.
type line struct {
	mu    sync.Mutex
	out   engine.Outcome
	asked int
	abort error
	look  func() (engine.Receipt, bool, error)
}

func (l *line) Send(context.Context, engine.Message) engine.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.out
}

func (l *line) Abort(context.Context, string, engine.Lang, string) error { return l.abort }

func (l *line) Look(context.Context, engine.Message, string) (engine.Receipt, bool, error) {
	return l.look()
}

func (l *line) set(o engine.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = o
}

func (l *line) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func failed(r engine.Reason) engine.Outcome {
	return engine.Outcome{Status: engine.Failed, Reason: r, Retry: r == engine.CarrierDown || r == engine.RateLimited}
}

var taken = engine.Outcome{Status: engine.Accepted, Ref: "SM1"}

func two() (g *Group, first, second *line) {
	first, second = &line{out: taken}, &line{out: taken}
	return New(Account{Name: "first", Line: first, SegmentsPerSecond: 1000, CallsPerSecond: 1000},
		Account{Name: "second", Line: second, SegmentsPerSecond: 1000, CallsPerSecond: 1000}), first, second
}

func text() engine.Message {
	return engine.Message{Clinic: "a", Kind: engine.MsgOffer, Channel: engine.SMS, Phone: "+15145550123", Text: "x", Valid: time.Minute}
}

// TestFailOver: the second account is asked only when the first certainly did not send, and may have
// better luck.
func TestFailOver(t *testing.T) {
	unknown := engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}
	for name, x := range map[string]struct {
		first, second engine.Outcome
		carrier       string
		status        engine.OutcomeStatus
		asked         int // of the second
	}{
		"taken":                  {taken, taken, "first", engine.Accepted, 0},
		"unavailable":            {failed(engine.CarrierDown), taken, "second", engine.Accepted, 1},
		"too many":               {failed(engine.RateLimited), taken, "second", engine.Accepted, 1},
		"signed out":             {failed(engine.AccountFault), taken, "second", engine.Accepted, 1},
		"unknown":                {unknown, taken, "first", engine.Unknown, 0},
		"wrong number":           {failed(engine.BadContact), taken, "first", engine.Failed, 0},
		"opted out":              {failed(engine.OptedOut), taken, "first", engine.Failed, 0},
		"landline":               {failed(engine.Landline), taken, "first", engine.Failed, 0},
		"filtered":               {failed(engine.Filtered), taken, "first", engine.Failed, 0},
		"both down":              {failed(engine.CarrierDown), failed(engine.CarrierDown), "first", engine.Failed, 1},
		"second misconfigured":   {failed(engine.CarrierDown), failed(engine.AccountFault), "first", engine.Failed, 1},
		"second knows it better": {failed(engine.CarrierDown), failed(engine.BadContact), "second", engine.Failed, 1},
		"second unknown":         {failed(engine.CarrierDown), unknown, "second", engine.Unknown, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g, first, second := two()
			first.set(x.first)
			second.set(x.second)
			out := g.Send(t.Context(), text())
			if out.Carrier != x.carrier || out.Status != x.status || first.count() != 1 || second.count() != x.asked {
				t.Errorf("%+v, second asked %d times", out, second.count())
			}
		})
	}
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, first, second := two()
		first.set(failed(engine.BadContact))
		for range 50 {
			g.Send(t.Context(), text())
		}
		if s := g.Stats(); s[0].Breaker != "closed" {
			t.Fatalf("wrong numbers opened it: %+v", s[0])
		}
		time.Sleep(breakerPeriod + time.Second)
		first.set(failed(engine.CarrierDown))
		for range 50 {
			if out := g.Send(t.Context(), text()); out.Carrier != "second" || out.Status != engine.Accepted {
				t.Fatalf("%+v", out)
			}
		}
		if n := first.count() - 50; n > 2*breakerLeast {
			t.Errorf("asked %d times while it failed", n)
		}
		s := g.Stats()
		if s[0].Breaker != "open" || s[0].Passed[engine.CarrierDown] != 50 || s[1].Sent[Count{engine.SMS, engine.Accepted, ""}] != 50 {
			t.Errorf("%+v", s)
		}
		first.set(taken)
		time.Sleep(breakerDelay + time.Second)
		if out := g.Send(t.Context(), text()); out.Carrier != "first" || g.Stats()[0].Breaker != "closed" {
			t.Errorf("it never came back: %+v", out)
		}
		second.set(failed(engine.CarrierDown))
		first.set(failed(engine.CarrierDown))
		for range 50 {
			g.Send(t.Context(), text())
		}
		out := g.Send(t.Context(), text())
		if out.Status != engine.Failed || out.Reason != engine.CarrierDown || !out.Retry || out.Wait <= 0 {
			t.Errorf("both down: %+v", out)
		}
	})
}

// TestOpenBreakerReleases: who waits for a carrier that went down goes to the other at once.
func TestOpenBreakerReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &line{out: failed(engine.CarrierDown)}, &line{out: taken}
		g := New(Account{Name: "first", Line: first, SegmentsPerSecond: 2}, Account{Name: "second", Line: second, SegmentsPerSecond: 1000})
		start := time.Now()
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				if out := g.Send(context.Background(), text()); out.Status != engine.Accepted || out.Carrier != "second" {
					t.Errorf("%+v", out)
				}
			})
		}
		all.Wait()
		// The breaker needs 10 failures, at 2 a second; the other 20 need not wait.
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestStillIsAskedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{out: taken}
		g := New(Account{Name: "first", Line: l, SegmentsPerSecond: 0.2})
		g.Send(t.Context(), text())
		start := time.Now()
		m := text()
		m.Still = func() bool {
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("asked after %v", took)
			}
			return false
		}
		out := g.Send(t.Context(), m)
		if out.Status != engine.Failed || out.Reason != engine.Dropped || out.Retry || l.count() != 1 {
			t.Errorf("%+v", out)
		}
		// The turn that was not used is the next one's.
		if g.Send(t.Context(), text()); time.Since(start) != 5*time.Second {
			t.Errorf("the next left after %v", time.Since(start))
		}
	})
}

func TestNoTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{out: taken}
		g := New(Account{Name: "first", Line: l, SegmentsPerSecond: 0.01})
		g.Send(t.Context(), text())
		m := text()
		m.Valid = 3 * time.Second
		if out := g.Send(t.Context(), m); out.Reason != engine.TooLate || out.Status != engine.Failed {
			t.Errorf("its validity ends: %+v", out)
		}
		start := time.Now()
		out := g.Send(t.Context(), text())
		if out.Reason != engine.Dropped || !out.Retry || out.Wait <= 0 || time.Since(start) != patience {
			t.Errorf("after %v: %+v", time.Since(start), out)
		}
		ctx, cancel := context.WithTimeout(t.Context(), request+2*time.Second)
		defer cancel()
		start = time.Now()
		if out := g.Send(ctx, text()); !out.Retry || time.Since(start) != 2*time.Second {
			t.Errorf("a request would not have fitted, after %v: %+v", time.Since(start), out)
		}
		if l.count() != 1 {
			t.Errorf("%d requests", l.count())
		}
	})
}

// TestBounced: a number that an account could not serve is served by the other, for a while.
func TestBounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := two()
		m := text()
		g.Bounced("first", m.Phone)
		if out := g.Send(t.Context(), m); out.Carrier != "second" {
			t.Errorf("%+v", out)
		}
		m.Phone = "+15145550124"
		if out := g.Send(t.Context(), m); out.Carrier != "first" {
			t.Errorf("somebody else: %+v", out)
		}
		m.Phone = text().Phone
		time.Sleep(sparing)
		if out := g.Send(t.Context(), m); out.Carrier != "first" {
			t.Errorf("later: %+v", out)
		}
		for i := range 2 * maxSpared {
			g.Bounced("first", engine.Phone(rune(i+1000)))
		}
		if n := len(g.accounts[0].spared); n > maxSpared {
			t.Errorf("%d numbers remembered", n)
		}
	})
}

func TestAbort(t *testing.T) {
	none, down := engine.Errorf(engine.NotFound, "x"), engine.Errorf(engine.Unavailable, "x")
	for name, x := range map[string]struct {
		first, second error
		fails         bool
	}{
		"the first's":         {nil, none, false},
		"the second's":        {none, nil, false},
		"nobody's":            {none, none, false},
		"second's, first out": {down, nil, false},
		"nobody knows":        {down, none, true},
	} {
		g, first, second := two()
		first.abort, second.abort = x.first, x.second
		if err := g.Abort(t.Context(), "CA1", engine.French, "x"); (err != nil) != x.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLook(t *testing.T) {
	type look = func() (engine.Receipt, bool, error)
	known := func() (engine.Receipt, bool, error) {
		return engine.Receipt{Ref: "SM1", Status: engine.ReceiptDelivered}, true, nil
	}
	quiet := func() (engine.Receipt, bool, error) { return engine.Receipt{}, false, nil }
	none := func() (engine.Receipt, bool, error) {
		return engine.Receipt{}, false, engine.Errorf(engine.NotFound, "x")
	}
	down := func() (engine.Receipt, bool, error) {
		return engine.Receipt{}, false, engine.Errorf(engine.Unavailable, "x")
	}
	absent := func() (engine.Receipt, bool, error) {
		return engine.Receipt{Status: engine.ReceiptAbsent}, true, nil
	}
	for name, x := range map[string]struct {
		first, second look
		ref           string
		ok, fails     bool
	}{
		"both have none":      {absent, absent, "", true, false},
		"one cannot say":      {absent, quiet, "", false, false},
		"the other is out":    {absent, down, "", false, true},
		"the other has it":    {absent, known, "", true, false},
		"first":               {known, none, "SM1", true, false},
		"second":              {none, known, "SM1", true, false},
		"second, first out":   {down, known, "SM1", true, false},
		"nobody":              {none, none, "SM1", false, false},
		"found":               {quiet, known, "", true, false},
		"two alike":           {known, known, "", false, false},
		"found, other is out": {known, down, "", false, true},
	} {
		g, first, second := two()
		first.look, second.look = x.first, x.second
		r, ok, err := g.Look(t.Context(), text(), x.ref)
		if ok != x.ok || (err != nil) != x.fails || ok && (r.Status == engine.ReceiptAbsent) != (name == "both have none") {
			t.Errorf("%s: %+v %v %v", name, r, ok, err)
		}
	}
}
