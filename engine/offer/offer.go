// Package offer decides how many people to ask for a slot, when to ask more and when to stop.
// It knows nothing of who they are; package match orders them.
//
// The fixed strategies hold a number of people thinking: nobody new is asked while Size people
// were asked less than Every ago and did not say no. So a no is replaced at once and silence is
// replaced after Every. The adaptive strategy asks until enough yeses are to be expected for the
// time that is left; see adaptive.go.
package offer

import (
	"time"

	"relais/engine"
)

// Sent is one offer that was made for the slot.
type Sent struct {
	At       time.Time
	Channel  engine.Channel
	Declined bool // said no, or could not be reached
	Over     bool // ended for another reason: no yes will come, and nothing is learned from it
}

// View is what the decision rests on.
type View struct {
	Now      time.Time
	Deadline time.Time // no yes counts from then on
	Zone     *time.Location
	Sent     []Sent
	Last     time.Time // of the last wave; zero before the first
	Reminded int
	Eligible []engine.Candidate // ranked, unasked
	Forward  bool               // a person wants the next wave now
	Rates    Rates              // what the clinic learned; zero: Policy.Accept, or what was published
}

// Decision is what to do now.
type Decision struct {
	Ask       int       // the first Ask of Eligible, less those in Slow
	Rate      float64   // adaptive: mean chance of a yes that it reckoned with for those to ask, this slot's silence counted
	Slow      []int     // rising indexes into Eligible: cannot be expected to answer in time, passed over
	Remind    bool      // tell everybody who did not answer once more
	Next      time.Time // look again then; zero: not before something happens. Never after Deadline
	Exhausted bool      // nobody new to ask now
}

// Chosen returns the candidates to ask, in order. It does not change eligible.
func (d Decision) Chosen(eligible []engine.Candidate) []engine.Candidate {
	chosen := make([]engine.Candidate, 0, d.Ask)
	slow := d.Slow
	for i, c := range eligible {
		if len(chosen) == d.Ask {
			break
		}
		if len(slow) > 0 && slow[0] == i {
			slow = slow[1:]
			continue
		}
		chosen = append(chosen, c)
	}
	return chosen
}

// shortest keeps a policy without a sensible Every from waking a slot in a tight loop.
const shortest = time.Second

// soonest is how long the adaptive strategy waits at least before it looks again, unless the policy is
// quicker or something happens.
const soonest = 5 * time.Minute

// Decide applies the policy's strategy. It is the only function that the rest of Relais calls.
// The same view and policy always give the same decision; nothing is decided at or past the
// deadline.
func Decide(v View, p engine.Policy) Decision {
	if !v.Now.Before(v.Deadline) {
		return Decision{}
	}
	if v.Zone == nil {
		v.Zone = time.UTC
	}
	every := max(p.Every, shortest)

	var d Decision
	if p.Strategy == engine.Adaptive {
		d = standard.review(v, p, min(every, soonest))
	} else {
		d = window(v, p, every)
	}

	left := max(0, p.MaxAsked-len(v.Sent))
	fit := len(v.Eligible) - len(d.Slow)
	if v.Forward {
		d.Ask = max(d.Ask, waveSize(p))
	}
	d.Ask = min(d.Ask, left, fit)
	if left == 0 || fit == 0 {
		d = nobody(d, v, p, every, left > 0)
	}
	if d.Next.After(v.Deadline) {
		d.Next = v.Deadline
	}
	return d
}

// waveSize is how many people a fixed strategy keeps thinking.
func waveSize(p engine.Policy) int {
	if p.Strategy == engine.OneByOne {
		return 1
	}
	return max(1, p.Size)
}

// window asks as many as are missing from the people who may still be thinking.
func window(v View, p engine.Policy, every time.Duration) Decision {
	d := Decision{Ask: waveSize(p), Next: v.Now.Add(every)}
	for _, s := range v.Sent {
		ends := s.At.Add(every)
		if s.Declined || s.Over || !v.Now.Before(ends) {
			continue
		}
		d.Ask = max(0, d.Ask-1)
		if ends.Before(d.Next) {
			d.Next = ends
		}
	}
	return d
}

// nobody completes a decision that can ask nobody new: a reminder when one is due, and when to
// look again. more says that people who become eligible later may be asked.
func nobody(d Decision, v View, p engine.Policy, every time.Duration, more bool) Decision {
	d.Next = time.Time{}
	// At night everybody is out of reach; that is no news for anyone.
	opens := nextOpening(v.Now, p.Hours, v.Zone)
	d.Exhausted = !more || len(v.Eligible) > 0 || !opens.After(v.Now)
	if more {
		d.Next = v.Now.Add(every)
		if opens.After(v.Now) {
			d.Next = earlier(d.Next, opens)
		}
	}
	if len(v.Eligible) > 0 && more {
		return d // too late for those who are left, so too late to remind the others
	}
	if v.Reminded >= p.Reminders || !pending(v.Sent) {
		return d
	}
	due := v.Last.Add(time.Duration(v.Reminded+1) * every)
	if v.Now.Before(due) {
		d.Next = earlier(d.Next, due)
		return d
	}
	d.Remind = true
	if v.Reminded+1 < p.Reminders {
		d.Next = earlier(d.Next, v.Now.Add(every))
	}
	return d
}

func pending(sent []Sent) bool {
	for _, s := range sent {
		if !s.Declined && !s.Over {
			return true
		}
	}
	return false
}

// earlier treats zero as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
