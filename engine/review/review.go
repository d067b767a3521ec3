// Package review looks back at a clinic's openings and ahead at its policy, so that people can decide how
// much Relais does by itself: what happened or, in shadow mode, would have happened; whom offers reached;
// and what the policy does, in words.
//
// Everything here is a pure function of its arguments. Only Look's caller sees who the people are: reports
// hold counts.
package review

import (
	"slices"
	"time"

	"relais/engine"
	"relais/engine/slot"
)

// Review is what the openings of a period came to. Of a slot that was opened several times, the last opening
// counts.
type Review struct {
	Freed       int     `json:"freed" doc:"openings of the period"`
	Would       Asking  `json:"would" doc:"those seen in shadow mode: what would have left first"`
	Did         Asking  `json:"did" doc:"what was offered"`
	Waiting     int     `json:"waiting" doc:"wait for approval now"`
	Approved    int     `json:"approved"`
	Left        int     `json:"left" doc:"ended without anybody's approval"`
	Filled      int     `json:"filled" doc:"booked by somebody who was asked"`
	FillMinutes float64 `json:"fill_minutes" doc:"median, from opening to the yes; 0 when none was filled"`
	Elsewhere   int     `json:"elsewhere" doc:"filled or closed in the record system by others"`
	Expired     int     `json:"expired" doc:"ended empty"`
}

// Asking counts slots, people and the channels on which they were, or would have been, asked.
type Asking struct {
	Slots  int `json:"slots" doc:"seen"`
	Asked  int `json:"asked" doc:"slots for which somebody fitted"`
	People int `json:"people" doc:"asked; in shadow mode, by the first wave"`
	SMS    int `json:"sms" doc:"of these, by text first"`
	Voice  int `json:"voice"`
	Email  int `json:"email"`
}

// Look reviews the slots that were opened in [from, until).
func Look(states []slot.State, from, until time.Time) Review {
	var r Review
	var minutes []float64
	for _, s := range states {
		if s.Phase == slot.None || s.OpenedAt.Before(from) || !s.OpenedAt.Before(until) {
			continue
		}
		r.Freed++
		r.asked(s)
		r.ended(s)
		if yes, ok := taken(s); ok {
			r.Filled++
			minutes = append(minutes, yes.Sub(s.OpenedAt).Minutes())
		}
	}
	r.FillMinutes = median(minutes)
	return r
}

// asked counts whom a slot was, or would have been, offered to.
func (r *Review) asked(s slot.State) {
	if s.Mode == engine.Shadow {
		r.Would.Slots++
	} else {
		r.Did.Slots++
	}
	if len(s.Would) > 0 {
		r.Would.Asked++
	}
	for _, w := range s.Would {
		r.Would.count(w.Channel)
	}
	people := r.Did.People
	for _, o := range s.Offers {
		if o.Wave > 0 {
			r.Did.count(o.Channel)
		}
	}
	if r.Did.People > people {
		r.Did.Asked++
	}
}

func (a *Asking) count(ch engine.Channel) {
	a.People++
	switch ch {
	case engine.Voice:
		a.Voice++
	case engine.EmailMail:
		a.Email++
	case engine.SMS, engine.Page, engine.Desk:
		a.SMS++
	}
}

// ended counts what became of a slot.
func (r *Review) ended(s slot.State) {
	over := s.Phase == slot.Expired || s.Phase == slot.Closed
	switch {
	case s.Approved:
		r.Approved++
	case s.Phase == slot.Approval:
		r.Waiting++
	case s.Mode == engine.Approval && over:
		r.Left++
	}
	switch {
	case s.Phase == slot.Expired:
		r.Expired++
	case s.Phase == slot.Closed && s.Why != "withdrawn":
		r.Elsewhere++
	}
}

// taken says when the winner of a booked slot said yes. A slot that the desk gave away was not filled by an
// offer.
func taken(s slot.State) (time.Time, bool) {
	if s.Phase != slot.Booked {
		return time.Time{}, false
	}
	i := slices.IndexFunc(s.Offers, func(o slot.Offer) bool { return o.ID == s.Winner && o.Wave > 0 })
	if i < 0 {
		return time.Time{}, false
	}
	return s.Offers[i].Replied, true
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}
