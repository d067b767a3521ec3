package fhir

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"relais/engine"
)

// The steps of a check, in their order.
const (
	stepReach     = "reach"
	stepSignIn    = "sign in"
	stepModes     = "capabilities"
	stepSchedules = "read schedules"
	stepSlots     = "read slots"
	stepPush      = "push"
	stepBooking   = "dry-run booking"
)

// Check tries everything that is asked of the record system and tells step how each part went, in
// order and on the caller's goroutine. A step that builds on a failed one is skipped.
//
// Without dryRun nothing is written. With it, subscriptions are asked for and deleted, and a booking is
// tried on conditions that cannot be met. Nothing is left behind.
func (c *Client) Check(ctx context.Context, dryRun bool, step func(engine.CheckStep)) {
	k := checker{c: c, tell: step, dryRun: dryRun}
	k.run(stepReach, func() (engine.Verdict, string) { return k.reach(ctx) })
	k.run(stepSignIn, func() (engine.Verdict, string) { return k.signIn(ctx) })
	k.run(stepModes, func() (engine.Verdict, string) { return k.modes(ctx) })
	k.run(stepSchedules, func() (engine.Verdict, string) { return k.schedules(ctx) })
	k.run(stepSlots, func() (engine.Verdict, string) { return k.slots(ctx) })
	k.run(stepPush, func() (engine.Verdict, string) { return k.push(ctx) })
	k.run(stepBooking, func() (engine.Verdict, string) {
		if !dryRun {
			return engine.CheckSkipped, "Not asked for."
		}
		return k.booking(ctx)
	})
}

// checker carries what one step of a check found to the next.
type checker struct {
	c      *Client
	dryRun bool
	tell   func(engine.CheckStep)
	failed string // the step that stopped the check
	last   string // the slot that a dry run uses; "": there is none
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
	case r.status >= 500:
		return wrong(judge(r.status, r.header, nil, k.c.cfg.Now()))
	case r.status == http.StatusBadRequest && k.c.base.Scheme == "http" && strings.Contains(string(r.body), "HTTPS"):
		return engine.CheckFailed, "The server speaks HTTPS at this port; write base_url with https://."
	case r.status < 300 && !strings.Contains(string(r.body), "CapabilityStatement"), r.status == http.StatusNotFound:
		return engine.CheckFailed, "There is a server, but no FHIR under this base URL; is the path right?"
	case r.status >= 300 && r.status < 400:
		return engine.CheckFailed, "The server redirects elsewhere, which is not followed; use the address that it redirects to."
	}
	if skew := r.skew.Abs(); skew > time.Minute {
		return engine.CheckWeak, fmt.Sprintf("The server answers, but its clock differs from ours by %s; set both by NTP.", skew.Round(time.Second))
	}
	return engine.CheckOK, "The server answers."
}

func (k *checker) signIn(ctx context.Context) (engine.Verdict, string) {
	if _, err := k.c.do(ctx, call{method: http.MethodGet, path: "Schedule", query: url.Values{"_count": {"1"}}}); err != nil {
		verdict, sentence := wrong(looked(err))
		if fault(err) == engine.DMESignIn {
			sentence += k.letIn(sentence)
		}
		return verdict, sentence
	}
	switch k.c.cfg.SignIn.(type) {
	case *Backend:
		return engine.CheckOK, "We are let in, with SMART Backend Services."
	case nil:
		return engine.CheckWeak, "We are let in without signing in, and so is everybody else."
	}
	return engine.CheckWeak, "We are let in with a secret that does not expire; that suits a test system."
}

// letIn says what to do about a sign-in that was refused.
func (k *checker) letIn(sentence string) string {
	if strings.Contains(sentence, "(403)") {
		return " It knows us, but we may not read Schedule; ask for the right to read Schedule, Slot and Appointment and to write Slot and Appointment."
	}
	if !strings.Contains(sentence, "(401)") {
		return ""
	}
	switch k.c.cfg.SignIn.(type) {
	case nil:
		return " Give it a way to sign in: smart, token or basic, under dme.fhir."
	case *Backend:
		return " It gave us a token and does not take it; are token_url and base_url of the same system, and is the scope right?"
	}
	return " The token, or the name and password, are wrong or were withdrawn."
}

func (k *checker) modes(ctx context.Context) (engine.Verdict, string) {
	can, err := k.c.can(ctx)
	if err != nil {
		return wrong(err)
	}
	if can.transactions && can.conditional && can.changes {
		return engine.CheckOK, "Transactions, If-Match and searches by _lastUpdated are there."
	}
	var weak []string
	for _, m := range k.c.Modes() {
		if m.Weak && m.What != "push" && m.What != "deletions" {
			weak = append(weak, m.Sentence)
		}
	}
	return engine.CheckWeak, strings.Join(weak, " ")
}

func (k *checker) schedules(ctx context.Context) (engine.Verdict, string) {
	if err := k.c.loadSchedules(ctx); err != nil {
		return wrong(err)
	}
	k.c.mu.Lock()
	n, nameless := len(k.c.schedules), 0
	for _, s := range k.c.schedules {
		if s.practitioner == "" {
			nameless++
		}
	}
	k.c.mu.Unlock()
	switch {
	case n == 0:
		return engine.CheckFailed, "There is no schedule that we may read."
	case nameless > 0:
		return engine.CheckWeak, fmt.Sprintf("%d of %d schedules name no practitioner; their slots match only wishes for no practitioner in particular.", nameless, n)
	}
	return engine.CheckOK, counted(n, "schedule") + " can be read."
}

// ahead is how far a check looks.
const ahead = 14 // days

func (k *checker) slots(ctx context.Context) (engine.Verdict, string) {
	now := k.c.cfg.Now()
	obs, err := k.c.Snapshot(ctx, now, now.AddDate(0, 0, ahead))
	if err != nil {
		return wrong(err)
	}
	k.last = lastSlot(obs)
	unknown := 0
	for _, s := range obs.Slots {
		if s.Status == engine.SlotUnknown {
			unknown++
		}
	}
	switch {
	case len(obs.Slots) == 0:
		return engine.CheckWeak, fmt.Sprintf("There is no slot in the next %d days, so nothing could be offered.", ahead)
	case unknown > 0:
		return engine.CheckWeak, fmt.Sprintf("%d of %d slots have a status, time or schedule that we do not understand; they are not offered.", unknown, len(obs.Slots))
	}
	return engine.CheckOK, fmt.Sprintf("%s and %s of the next %d days can be read.", counted(len(obs.Slots), "slot"), counted(len(obs.Appointments), "appointment"), ahead)
}

// lastSlot is the slot that is the furthest ahead, where a check disturbs least; a free one first.
func lastSlot(obs engine.Observation) string {
	var last engine.SlotFact
	for _, s := range obs.Slots {
		better := s.Status == engine.SlotFree && last.Status != engine.SlotFree
		if better || (s.Status == engine.SlotFree) == (last.Status == engine.SlotFree) && s.Start.After(last.Start) {
			last = s
		}
	}
	return last.Source
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
