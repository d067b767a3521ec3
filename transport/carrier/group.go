package carrier

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"relais/engine"
	"relais/engine/wording"
)

// Line sends and looks up through one account, without waiting and without trying twice. Errors are
// *engine.Error; engine.NotFound says that the account knows nothing of the reference.
type Line interface {
	Send(ctx context.Context, m engine.Message) engine.Outcome
	Abort(ctx context.Context, ref string, lang engine.Lang, say string) error
	Look(ctx context.Context, m engine.Message, ref string) (engine.Receipt, bool, error)
}

// Account is a Line with its name and its rates. Name labels metrics and Outcome.Carrier.
type Account struct {
	Name              string
	Line              Line
	SegmentsPerSecond float64 // of texts; default 1, a long code's
	CallsPerSecond    float64 // default 1, a new account's
}

const (
	// patience is the longest wait for turns, in all lanes together. With the longest request it
	// must stay below what the caller gives.
	patience = 18 * time.Second
	// request is what one request may need of the caller's time.
	request = 10 * time.Second
	// maxWaiting bounds a lane; see sendWorkers of package actors, which must be above the sum.
	maxWaiting = 256
)

// The breaker opens when half of at least 10 requests within 30 s failed because of the carrier,
// and lets one through after 15 s.
const (
	breakerRate   = 0.5
	breakerLeast  = 10
	breakerPeriod = 30 * time.Second
	breakerDelay  = 15 * time.Second
)

// A number is spared an account that could not bring it a message, for a while.
const (
	sparing   = 15 * time.Minute
	maxSpared = 4096
)

type account struct {
	Account
	texts, calls *lane
	breaker      circuitbreaker.CircuitBreaker[any]

	mu     sync.Mutex
	sent   map[Count]uint64
	passes map[engine.Reason]uint64
	spared map[engine.Phone]time.Time // until
}

// Count is one sort of outcome, for the metrics.
type Count struct {
	Channel engine.Channel
	Status  engine.OutcomeStatus
	Reason  engine.Reason
}

// Stat is how an account does.
type Stat struct {
	Name         string
	Breaker      string // closed, half-open, open
	Texts, Calls int    // waiting for their turn
	Sent         map[Count]uint64
	Passed       map[engine.Reason]uint64 // messages that went on to another account
}

// Group sends through the first of its accounts that works.
type Group struct{ accounts []*account }

// New makes a Group. The first account is used while it works.
func New(accounts ...Account) *Group {
	g := &Group{}
	for _, of := range accounts {
		if of.SegmentsPerSecond <= 0 {
			of.SegmentsPerSecond = 1
		}
		if of.CallsPerSecond <= 0 {
			of.CallsPerSecond = 1
		}
		a := &account{
			Account: of, texts: newLane(of.SegmentsPerSecond, maxWaiting), calls: newLane(of.CallsPerSecond, maxWaiting),
			sent: map[Count]uint64{}, passes: map[engine.Reason]uint64{}, spared: map[engine.Phone]time.Time{},
		}
		a.breaker = circuitbreaker.NewBuilder[any]().
			WithFailureRateThreshold(breakerRate, breakerLeast, breakerPeriod).
			WithSuccessThreshold(1).WithDelay(breakerDelay).
			OnOpen(func(circuitbreaker.StateChangedEvent) { // who waits need not wait for a carrier that is down
				a.texts.empty()
				a.calls.empty()
			}).Build()
		g.accounts = append(g.accounts, a)
	}
	return g
}

// Send hands a text or a call to an account and returns what came of it. It waits for its turn at
// most 18 s, keeps 10 s of the context for the request, and asks m.Still right before each request.
// Outcome.Carrier names the account that had the last word.
func (g *Group) Send(ctx context.Context, m engine.Message) engine.Outcome {
	if m.Channel != engine.SMS && m.Channel != engine.Voice {
		return engine.Outcome{Status: engine.Failed, Reason: engine.AccountFault, Detail: "not a channel of phones"}
	}
	within := patience
	if end, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(end)-request)
	}
	if m.Valid > 0 {
		within = min(within, m.Valid)
	}
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	start := time.Now()
	var out engine.Outcome
	order := g.order(m.Phone)
	for i, a := range order {
		next := a.send(ctx, waiting, m, start)
		next.Carrier = a.Name
		if !elsewhere(next) {
			return next
		}
		if i == 0 || !out.Retry { // where one account may work later, so may the message
			out = next
		}
		if i < len(order)-1 {
			a.passed(next.Reason)
		}
	}
	return out
}

// order is the accounts, those last that could not bring the number a message of late.
func (g *Group) order(to engine.Phone) []*account {
	var first, last []*account
	for _, a := range g.accounts {
		if a.avoids(to) {
			last = append(last, a)
		} else {
			first = append(first, a)
		}
	}
	return append(first, last...)
}

// elsewhere reports whether another account may have better luck: the message certainly did not
// leave, and not because of its contact.
func elsewhere(o engine.Outcome) bool {
	if o.Status != engine.Failed {
		return false
	}
	switch o.Reason {
	case engine.CarrierDown, engine.RateLimited, engine.AccountFault:
		return true
	case engine.Dropped: // held back by the lane; never when Still said no
		return o.Detail == laneBusy
	case engine.BadContact, engine.Landline, engine.OptedOut, engine.Filtered, engine.Unreached,
		engine.Busy, engine.TooLate, engine.NoReceipt:
	}
	return false
}

const (
	breakerOpen = "the account keeps failing"
	laneBusy    = "more messages wait than can leave in time"
)

// send tries one account.
func (a *account) send(ctx, waiting context.Context, m engine.Message, start time.Time) engine.Outcome {
	if a.breaker.IsOpen() && a.breaker.RemainingDelay() > 0 {
		return a.down()
	}
	l, t := a.ticket(m)
	if err := l.wait(waiting, t); err != nil {
		switch {
		case errors.Is(err, errEmptied):
			return a.down()
		case m.Valid > 0 && time.Since(start) >= m.Valid:
			return engine.Outcome{Status: engine.Failed, Reason: engine.TooLate, Detail: "its time was over before its turn came"}
		}
		return engine.Outcome{
			Status: engine.Failed, Reason: engine.Dropped, Retry: true, Wait: max(t.refuse, time.Second), Detail: laneBusy,
		}
	}
	if m.Still != nil && !m.Still() {
		l.refund(t)
		return engine.Outcome{Status: engine.Failed, Reason: engine.Dropped, Detail: "withdrawn while it waited"}
	}
	if m.Valid > 0 {
		if m.Valid -= time.Since(start); m.Valid <= 0 {
			l.refund(t)
			return engine.Outcome{Status: engine.Failed, Reason: engine.TooLate, Detail: "its time was over before its turn came"}
		}
	}
	if !a.breaker.TryAcquirePermit() {
		l.refund(t)
		return a.down()
	}
	out := a.Line.Send(ctx, m)
	// Only the carrier's own failures count: a hundred wrong numbers say nothing about it.
	if out.Reason == engine.CarrierDown {
		a.breaker.RecordFailure()
	} else {
		a.breaker.RecordSuccess()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[Count{m.Channel, out.Status, out.Reason}]++
	return out
}

// passed counts a message that goes on to another account.
func (a *account) passed(r engine.Reason) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.passes[r]++
}

func (a *account) down() engine.Outcome {
	return engine.Outcome{
		Status: engine.Failed, Reason: engine.CarrierDown, Retry: true, Wait: a.breaker.RemainingDelay(), Detail: breakerOpen,
	}
}

func (a *account) ticket(m engine.Message) (*lane, *ticket) {
	t := &ticket{
		clinic: m.Clinic, cost: 1, before: m.Before,
		answer: m.Kind != engine.MsgOffer && m.Kind != engine.MsgReminder,
	}
	if m.Channel == engine.Voice {
		return a.calls, t
	}
	n, _ := wording.Segments(m.Text)
	t.cost = float64(n)
	return a.texts, t
}

// Bounced says that an account took a message to a number and failed to bring it for a reason of
// its own: for a quarter of an hour the number's messages go by the others first.
func (g *Group) Bounced(name string, to engine.Phone) {
	for _, a := range g.accounts {
		if a.Name == name {
			a.spare(to)
		}
	}
}

func (a *account) spare(to engine.Phone) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if len(a.spared) >= maxSpared {
		for p, until := range a.spared {
			if !now.Before(until) {
				delete(a.spared, p)
			}
		}
	}
	if len(a.spared) < maxSpared {
		a.spared[to] = now.Add(sparing)
	}
}

func (a *account) avoids(to engine.Phone) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.spared[to])
}

// Abort ends a call, whichever account made it: somebody on the line hears say first, a phone that
// rings stops ringing. A call that is over is no error.
func (g *Group) Abort(ctx context.Context, ref string, lang engine.Lang, say string) error {
	errs := make([]error, len(g.accounts))
	var all sync.WaitGroup
	for i, a := range g.accounts { // at once: an account that is down must not hold up the other's call
		all.Go(func() { errs[i] = a.Line.Abort(ctx, ref, lang, say) })
	}
	all.Wait()
	var failed []error
	for _, err := range errs {
		switch {
		case err == nil:
			return nil
		case engine.CodeOf(err) != engine.NotFound:
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// Look asks the accounts what became of a message. ok is false when none knows, or when more than
// one message may be meant; it is absent when no account has it.
func (g *Group) Look(ctx context.Context, m engine.Message, ref string) (r engine.Receipt, ok bool, err error) {
	var failed []error
	absent := 0
	for _, a := range g.accounts {
		found, known, err := a.Line.Look(ctx, m, ref)
		switch {
		case err == nil && known && found.Status == engine.ReceiptAbsent:
			if absent++; absent == len(g.accounts) {
				return found, true, nil
			}
		case err != nil && engine.CodeOf(err) == engine.NotFound:
		case err != nil:
			failed = append(failed, err)
		case known && ok: // both have one like it
			return engine.Receipt{}, false, nil
		case known:
			r, ok = found, true
			if ref != "" {
				return r, ok, nil
			}
		}
	}
	if len(failed) > 0 { // the account that does not answer may be the one that has it
		return engine.Receipt{}, false, errors.Join(failed...)
	}
	return r, ok, nil
}

// Stats is how the accounts do.
func (g *Group) Stats() []Stat {
	out := make([]Stat, 0, len(g.accounts))
	for _, a := range g.accounts {
		s := Stat{
			Name: a.Name, Breaker: a.breaker.State().String(), Texts: a.texts.depth(), Calls: a.calls.depth(),
		}
		a.mu.Lock()
		s.Sent, s.Passed = maps.Clone(a.sent), maps.Clone(a.passes)
		a.mu.Unlock()
		out = append(out, s)
	}
	return out
}
