package review

import (
	"time"

	"relais/engine"
	"relais/engine/offer"
)

// The typical slot and list that a policy is shown on.
const (
	typicalFreed  = 10 * 60 // minutes from midnight
	typicalStart  = 15 * 60
	typicalPeople = 40
)

// mostSteps stops a policy that looks again without end; five hours of looks every second would be more.
const mostSteps = 20_000

// Plan is what a policy does with a slot that is freed at 10:00 for 15:00 on a working day while nobody of
// the 40 people on the list answers: of five, three can be reached by text, one by call and one by mail.
type Plan struct {
	Freed, Start, Deadline time.Time
	People                 int
	Steps                  []Step
	AfterNo                int  // people who are asked at once when one of the first refuses half-way to the next look
	TooLate, TooFar        bool // it is never offered: inside the notice, or beyond the horizon
}

// Step is one thing that the policy does.
type Step struct {
	At     time.Time
	Ask    int
	Remind bool
}

// Preview runs the live rule of package offer with the policy on the typical list. Rates are what the clinic
// learned; the zero value leaves that to the policy.
func Preview(p engine.Policy, rates offer.Rates) Plan {
	day := time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)
	plan := Plan{
		Freed: day.Add(typicalFreed * time.Minute), Start: day.Add(typicalStart * time.Minute), People: typicalPeople,
	}
	plan.Deadline = plan.Start.Add(-p.Notice)
	v := offer.View{Now: plan.Freed.Add(p.Grace), Deadline: plan.Deadline, Zone: time.UTC, Rates: rates}
	plan.TooLate, plan.TooFar = !v.Now.Before(plan.Deadline), plan.Start.After(plan.Freed.Add(p.Horizon))
	if plan.TooLate || plan.TooFar {
		return plan
	}
	list := typicalList()
	for range mostSteps {
		v.Eligible = nil
		if awake(v.Now, p.Hours) {
			v.Eligible = list
		}
		d := offer.Decide(v, p)
		chosen := d.Chosen(v.Eligible)
		list = take(&v, list, chosen)
		if len(chosen) > 0 || d.Remind {
			plan.Steps = append(plan.Steps, Step{At: v.Now, Ask: len(chosen), Remind: d.Remind})
		}
		if d.Remind {
			v.Reminded++
		}
		if len(plan.Steps) == 1 && len(chosen) > 0 {
			plan.AfterNo = afterNo(v, d.Next, list, p)
		}
		if d.Next.IsZero() || !d.Next.Before(plan.Deadline) {
			break
		}
		v.Now = d.Next
	}
	return plan
}

func typicalList() []engine.Candidate {
	channels := [...]engine.Channel{engine.SMS, engine.SMS, engine.Voice, engine.SMS, engine.EmailMail}
	list := make([]engine.Candidate, typicalPeople)
	for i := range list {
		list[i] = engine.Candidate{Entry: engine.EntryID(rune('A' + i)), Channel: channels[i%len(channels)]}
	}
	return list
}

// take makes the chosen those who were asked, and returns the others.
func take(v *offer.View, list, chosen []engine.Candidate) []engine.Candidate {
	asked := make(map[engine.EntryID]bool, len(chosen))
	for _, c := range chosen {
		asked[c.Entry] = true
		v.Sent = append(v.Sent, offer.Sent{At: v.Now, Channel: c.Channel})
		v.Last = v.Now
	}
	rest := make([]engine.Candidate, 0, len(list))
	for _, c := range list {
		if !asked[c.Entry] {
			rest = append(rest, c)
		}
	}
	return rest
}

// afterNo asks the rule what it does when one of the first says no before the next look.
func afterNo(v offer.View, next time.Time, rest []engine.Candidate, p engine.Policy) int {
	if next.IsZero() {
		next = v.Deadline
	}
	v.Now = v.Now.Add(next.Sub(v.Now) / 2)
	v.Eligible = rest
	v.Sent = append([]offer.Sent(nil), v.Sent...)
	v.Sent[0].Declined = true
	return len(offer.Decide(v, p).Chosen(rest))
}

// awake reports whether people may be messaged.
func awake(now time.Time, h engine.Hours) bool {
	m := now.Hour()*60 + now.Minute()
	return h.From == h.Until || (h.From <= m && m < h.Until)
}
