package fhir

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"relais/engine"
)

// The steps of a check, in their order.
const (
	stepReach     = "reach"
	stepSignIn    = "sign in"
	stepSchedules = "read schedules"
	stepSlots     = "read slots"
)

// Check tries everything that is asked of the record system and tells step how each part went, in
// order and on the caller's goroutine. A step that builds on a failed one is skipped. Nothing is
// booked and nothing is left behind; what dryRun adds is told at tryBooking.
func (c *Client) Check(ctx context.Context, dryRun bool, step func(engine.CheckStep)) {
	k := checker{c: c, tell: step}
	k.run(stepReach, func() (engine.Verdict, string) { return k.reach(ctx) })
	k.run(stepSignIn, func() (engine.Verdict, string) { return k.signIn(ctx) })
	k.run(stepSchedules, func() (engine.Verdict, string) { return k.schedules(ctx) })
	k.run(stepSlots, func() (engine.Verdict, string) { return k.slots(ctx) })
}

// checker carries what one step of a check found to the next.
type checker struct {
	c      *Client
	tell   func(engine.CheckStep)
	failed string // the step that stopped the check
}

func (k *checker) run(name string, f func() (engine.Verdict, string)) {
	if k.failed != "" {
		k.tell(engine.CheckStep{Name: name, Verdict: engine.CheckSkipped, Sentence: "Not tried, because the step \"" + k.failed + "\" failed."})
		return
	}
	began := time.Now()
	verdict, sentence := f()
	if verdict == engine.CheckFailed {
		k.failed = name
	}
	k.tell(engine.CheckStep{Name: name, Verdict: verdict, Sentence: sentence, Took: time.Since(began)})
}

func wrong(err error) (engine.Verdict, string) {
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		return engine.CheckFailed, f.Detail
	}
	return engine.CheckFailed, "The record system does not answer as it should."
}

func (k *checker) reach(ctx context.Context) (engine.Verdict, string) {
	r, err := k.c.exchange(ctx, call{method: http.MethodGet, path: "metadata", bare: true})
	switch {
	case err != nil:
		return wrong(err)
	case r.status == http.StatusNotFound, r.status < 400 && r.status >= 300:
		return engine.CheckFailed, "There is a server, but no FHIR under this base URL."
	}
	return engine.CheckOK, "The server answers."
}

func (k *checker) signIn(ctx context.Context) (engine.Verdict, string) {
	_, err := k.c.do(ctx, call{method: http.MethodGet, path: "Schedule", query: url.Values{"_count": {"1"}}})
	if fault(err) == engine.DMESignIn {
		return wrong(err)
	}
	return engine.CheckOK, "We are let in."
}

func (k *checker) schedules(ctx context.Context) (engine.Verdict, string) {
	if err := k.c.loadSchedules(ctx); err != nil {
		return wrong(err)
	}
	return engine.CheckOK, "The schedules can be read."
}

func (k *checker) slots(ctx context.Context) (engine.Verdict, string) {
	now := k.c.cfg.Now()
	obs, err := k.c.Snapshot(ctx, now, now.AddDate(0, 0, 14))
	if err != nil {
		return wrong(err)
	}
	if len(obs.Slots) == 0 {
		return engine.CheckWeak, "There is no slot in the next 14 days; nothing can be offered."
	}
	return engine.CheckOK, "The slots and appointments of the next 14 days can be read."
}
