// Package health decides whether a clinic's record system can be trusted now, and so whether
// anything may be sent for that clinic.
//
// The rules lean to one side: doubt suspends at once or nearly so, and trust comes back only after
// a complete look at the schedule and a comparison of every open slot with it.
package health

import (
	"fmt"
	"slices"
	"time"

	"relais/engine"
)

// The thresholds.
const (
	// MaxFailures is how many passing failures in a row suspend.
	MaxFailures = 3
	// MaxBlind is how long passing failures may go on without one good look.
	MaxBlind = 10 * time.Second
	// MaxStale is how long trust lasts when no look is heard of at all.
	MaxStale = 30 * time.Second
	// MaxSkew is how far the record system's clock may be from ours, either way.
	MaxSkew = 5 * time.Minute
	// MaxWait bounds how long a record system can make us wait before the next look.
	MaxWait = time.Hour
)

// MaxLog bounds the history that is kept of a sync.
const MaxLog = 20

// The backoff doubles from backoffFirst to backoffCap.
const (
	backoffFirst = 500 * time.Millisecond
	backoffCap   = 30 * time.Second
)

// Status is the state of trust.
type Status string

// The statuses. Messages leave only when Healthy.
const (
	Starting  Status = "starting" // no full look yet: nothing leaves
	Healthy   Status = "healthy"
	Suspended Status = "suspended" // cannot be trusted
	Checking  Status = "checking"  // it answers again; open slots are being compared before anything leaves
)

// State is what is known of the sync. It is kept in the store. The zero State is Starting.
type State struct {
	Status   Status          `json:"status"`
	Since    time.Time       `json:"since"`
	Fault    engine.DMEFault `json:"fault,omitempty"`  // why it is suspended, or the last passing failure
	Detail   string          `json:"detail,omitempty"` // in words, no personal data
	LastGood time.Time       `json:"last_good,omitzero"`
	LastFull time.Time       `json:"last_full,omitzero"`
	Failures int             `json:"failures,omitempty"` // in a row
	RetryAt  time.Time       `json:"retry_at,omitzero"`
	Hold     engine.UserID   `json:"hold,omitempty"` // somebody suspended it by hand
	Skew     time.Duration   `json:"skew,omitempty"`
	Log      []Turn          `json:"log,omitempty"` // the last MaxLog, oldest first
}

// Turn is one line of the history of a sync: trust came or went, or a failure that did not cost it.
type Turn struct {
	At     time.Time       `json:"at"`
	Last   time.Time       `json:"last"`  // of the same failure again
	Count  int             `json:"count"` // 1, and one for each time it came again
	Status Status          `json:"status"`
	Fault  engine.DMEFault `json:"fault,omitempty"`
	Detail string          `json:"detail,omitempty"`
	By     engine.UserID   `json:"by,omitempty"` // who held the clinic by hand
}

// Input is one thing that happened to the sync. The set is closed.
//
//sumtype:decl
type Input interface{ input() }

// Good: a look at the record system worked. Full is set for a complete snapshot.
type Good struct {
	Full bool
	Skew time.Duration
}

// Bad: a look or a write failed. A conflict or a rejection is an answer, not a failure of the
// record system, and changes nothing.
type Bad struct {
	Fault  engine.DMEFault
	Detail string
	Wait   time.Duration
	Jitter float64 // 0 to 1, for the backoff
}

// Implausible: a snapshot contradicts what was known too much to be believed.
type Implausible struct{ Detail string }

// Reconciled: every open slot was compared with the record system after it answered again.
type Reconciled struct{}

// HeldBy: somebody suspends the clinic by hand, or with "" ends that.
type HeldBy struct{ User engine.UserID }

// Beat: time passes; staleness shows only this way.
type Beat struct{}

func (Good) input()        {}
func (Bad) input()         {}
func (Implausible) input() {}
func (Reconciled) input()  {}
func (HeldBy) input()      {}
func (Beat) input()        {}

// Loaded is what a State read from the store is worth after a restart: the schedule was not
// watched meanwhile, so trust starts over, but a suspension and a hold stay what they were.
func Loaded(s State, now time.Time) State {
	s.Failures, s.RetryAt = 0, time.Time{}
	if s.Status != Suspended {
		s.Fault, s.Detail = "", ""
		s = s.to(Starting, now)
		s.Since = now
	}
	return s
}

// Step takes what is and what happened and returns what is now. It leaves s unchanged.
func Step(s State, in Input, now time.Time) State {
	return step(s, in, now).remember(s, in, now)
}

// remember adds to the history what is news: another status, another holder, or a failure.
func (s State) remember(before State, in Input, now time.Time) State {
	_, failed := in.(Bad)
	if _, odd := in.(Implausible); odd {
		failed = true
	}
	failed = failed && s.Failures != before.Failures
	if s.Status == before.Status && s.Hold == before.Hold && !failed {
		return s
	}
	turn := Turn{At: now, Last: now, Count: 1, Status: s.Status, Fault: s.Fault, Detail: s.Detail, By: s.Hold}
	s.Log = slices.Clone(s.Log)
	if n := len(s.Log); n > 0 {
		last := &s.Log[n-1]
		if last.Status == turn.Status && last.Fault == turn.Fault && last.Detail == turn.Detail && last.By == turn.By {
			last.Last, last.Count = now, last.Count+1
			return s
		}
	}
	s.Log = append(s.Log, turn)
	s.Log = s.Log[max(0, len(s.Log)-MaxLog):]
	return s
}

// News reports whether the history of now says more than that of before: something to be kept. That the
// same failure came again is not.
func News(before, now State) bool {
	b, n := len(before.Log), len(now.Log)
	return b != n || n > 0 && !before.Log[b-1].At.Equal(now.Log[n-1].At)
}

func step(s State, in Input, now time.Time) State {
	if s.Status == "" {
		s.Status, s.Since = Starting, now
	}
	switch in := in.(type) {
	case Good:
		return s.good(in, now)
	case Bad:
		return s.bad(in, now)
	case Implausible:
		s.Failures++
		s.RetryAt = now.Add(backoffCap)
		return s.suspend(engine.DMEMalformed, in.Detail, now)
	case Reconciled:
		if s.Status == Checking {
			s = s.to(Healthy, now)
		}
		return s
	case HeldBy:
		return s.held(in.User, now)
	case Beat:
		return s.beat(now)
	}
	return s
}

func (s State) good(in Good, now time.Time) State {
	s.Skew = in.Skew
	if in.Skew.Abs() > MaxSkew {
		s.Failures++
		s.RetryAt = now.Add(backoffCap)
		return s.suspend(engine.DMEMalformed, skewSentence(in.Skew), now)
	}
	s.LastGood, s.Failures, s.RetryAt = now, 0, time.Time{}
	if in.Full {
		s.LastFull = now
	}
	switch s.Status {
	case Healthy, Checking:
		s.Fault, s.Detail = "", ""
	case Starting, Suspended:
		// Only a complete snapshot shows that nothing was missed while nobody could look.
		if in.Full && s.Hold == "" {
			s.Fault, s.Detail = "", ""
			s = s.to(Checking, now)
		}
	}
	return s
}

func (s State) bad(in Bad, now time.Time) State {
	if in.Fault == engine.DMEConflict || in.Fault == engine.DMERejected {
		return s
	}
	s.Failures++
	s.RetryAt = now.Add(backoff(s.Failures, in.Jitter, in.Wait))
	detail := in.Detail
	if detail == "" {
		detail = sentence(in.Fault)
	}
	if passing(in.Fault) && s.Status != Checking && s.Status != Suspended &&
		s.Failures < MaxFailures && now.Sub(s.lastSeen()) < MaxBlind {
		s.Fault, s.Detail = in.Fault, detail
		return s
	}
	return s.suspend(in.Fault, detail, now)
}

// Brake is the breaker of a clinic: how long a write waits before it may ask to be made, and 0 when it may be
// made now. A record system that asked us to wait is left alone until then. One that does not answer, errs or
// does not let us in is asked by looks alone, however many writes wait; the first that works lets them all go.
func (s State) Brake(now time.Time) time.Duration {
	left := s.RetryAt.Sub(now)
	switch {
	case s.Failures == 0:
		return 0
	case s.Status == Suspended && (passing(s.Fault) || s.Fault == engine.DMESignIn):
		return max(left, brakeFor)
	case s.Fault == engine.DMEBusy:
		return max(left, 0)
	}
	return 0
}

// brakeFor is how long a write waits at least that is held back.
const brakeFor = time.Second

func (s State) held(user engine.UserID, now time.Time) State {
	if user == "" {
		if s.Hold == "" {
			if s.Status == Suspended { // somebody says that it may go on: look now
				s.RetryAt = now
			}
			return s
		}
		// Still suspended: the next complete look starts the way back, so it is due now.
		s.Hold, s.RetryAt = "", now
		if s.Fault == "" {
			s.Detail = "The suspension by hand is over; the schedule is being read again."
		}
		return s
	}
	s.Hold = user
	if s.Status != Suspended {
		s.Fault, s.Detail = "", "Suspended by hand."
	}
	return s.to(Suspended, now)
}

func (s State) beat(now time.Time) State {
	if s.Status == Suspended || now.Sub(s.lastSeen()) < MaxStale {
		return s
	}
	fault, detail := s.Fault, s.Detail
	if fault == "" {
		fault = engine.DMEUnreachable
		detail = fmt.Sprintf("No look at the record system worked for %d s.", int(MaxStale.Seconds()))
	}
	return s.suspend(fault, detail, now)
}

// lastSeen is when the record system was last known to be fine, or when we started to look.
func (s State) lastSeen() time.Time {
	if s.Status == Starting && s.Since.After(s.LastGood) {
		return s.Since
	}
	return s.LastGood
}

func (s State) suspend(f engine.DMEFault, detail string, now time.Time) State {
	s.Fault, s.Detail = f, detail
	return s.to(Suspended, now)
}

func (s State) to(status Status, now time.Time) State {
	if s.Status != status {
		s.Status, s.Since = status, now
	}
	return s
}

// passing says whether a fault often goes away by itself within a moment. The others mean that
// what is read or written cannot be believed, whatever the next answer is.
func passing(f engine.DMEFault) bool {
	return f == engine.DMEUnreachable || f == engine.DMEError || f == engine.DMEBusy
}

// backoff spreads the retries of many clinics over the whole interval (full jitter), and never
// comes back earlier than the record system asked.
func backoff(failures int, jitter float64, wait time.Duration) time.Duration {
	limit := backoffCap
	if n := failures - 1; n < 6 {
		limit = min(backoffFirst<<n, backoffCap)
	}
	d := time.Duration(min(max(jitter, 0), 1) * float64(limit))
	return max(d, min(wait, MaxWait))
}

func skewSentence(skew time.Duration) string {
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	return fmt.Sprintf("The record system's clock is %s %s ours.", skew.Abs().Round(time.Second), way)
}

func sentence(f engine.DMEFault) string {
	switch f {
	case engine.DMEConflict:
		return "The slot is not free any more."
	case engine.DMERejected:
		return "The record system said no."
	case engine.DMESignIn:
		return "The record system does not let us in."
	case engine.DMEUnreachable:
		return "The record system does not answer."
	case engine.DMEBusy:
		return "The record system asks to wait."
	case engine.DMEError:
		return "The record system answers with an error of its own."
	case engine.DMEMalformed:
		return "The record system's answer cannot be read."
	}
	return "The record system failed."
}
