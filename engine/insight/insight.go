// Package insight works out what the openings of a period came to, for the person who runs a clinic: how many
// slots were filled and how soon, what that cost in messages and disappointed people, whom it served. It is a
// pure function of facts that the store keeps. A report holds counts and no people; docs/insights.md says of
// each figure what it means and how it is reckoned, in the same words as here.
package insight

import (
	"cmp"
	"math"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/reach"
	"relais/engine/review"
	"relais/engine/slot"
)

// Filter chooses openings; empty fields choose all.
type Filter struct {
	From, Until  time.Time // of the opening: From is in, Until is not
	Practitioner engine.PractitionerID
	Specialty    engine.Specialty
}

// Takes reports whether the filter chooses the opening. What was only seen in shadow mode is no opening: nobody
// was asked.
func (f Filter) Takes(s *slot.State) bool {
	return s.Phase != slot.None && s.Mode != engine.Shadow &&
		!s.OpenedAt.Before(f.From) && s.OpenedAt.Before(f.Until) &&
		(f.Practitioner == "" || s.Slot.Practitioner == f.Practitioner) &&
		(f.Specialty == "" || s.Slot.Specialty == f.Specialty)
}

// Report is the figures of a period. Ratios without anything to divide by are absent.
type Report struct {
	Freed       int `json:"freed" doc:"openings of the period outside shadow mode; of a slot that was opened several times, the last one"`
	Underway    int `json:"underway" doc:"of these, not decided yet"`
	Filled      int `json:"filled" doc:"booked by somebody who was asked"`
	ByHand      int `json:"by_hand" doc:"booked at the desk for somebody whom the desk asked"`
	Expired     int `json:"expired" doc:"ended empty"`
	Elsewhere   int `json:"elsewhere" doc:"taken, blocked, moved or deleted in the record system"`
	Withdrawn   int `json:"withdrawn" doc:"taken back at the desk"`
	PeopleAsked int `json:"people_asked" doc:"different people who got an offer"`

	FillRate    *float64 `json:"fill_rate,omitempty" doc:"filled / (filled + expired)"`
	FillMinutes *float64 `json:"fill_minutes,omitempty" doc:"median from the opening to the yes, of those filled"`
	Minutes     int      `json:"minutes" doc:"of care recovered: the lengths of the slots filled, together"`

	Offers        int      `json:"offers"`
	OffersPerFill *float64 `json:"offers_per_fill,omitempty" doc:"offers of openings that ended / filled"`
	Late          int      `json:"late" doc:"confirmations that came when the slot was gone"`
	LatePerFill   *float64 `json:"late_per_fill,omitempty"`

	Moved      int      `json:"moved" doc:"winners who gave up a later appointment"`
	DaysGained float64  `json:"days_gained" doc:"by them, together"`
	DaysMedian *float64 `json:"days_median,omitempty" doc:"by one of them"`

	Came       int      `json:"came" doc:"of the slots filled, those of which the record system says that the patient came"`
	Missed     int      `json:"missed" doc:"or did not"`
	AttendRate *float64 `json:"attend_rate,omitempty" doc:"came / (came + missed)"`

	OptOuts int `json:"opt_outs" doc:"phone numbers and addresses of this clinic's patients whose last word in the period was STOP"`

	Chains []Chain         `json:"chains" nullable:"false" doc:"fills by their place in a chain"`
	Leads  []Lead          `json:"leads" nullable:"false" doc:"by the time between the opening and the slot"`
	Steps  []Step          `json:"steps" nullable:"false" doc:"the period in days or weeks"`
	Weekly bool            `json:"weekly" doc:"steps are weeks that begin on Mondays"`
	Reach  []Reach         `json:"reach" nullable:"false" doc:"by channel"`
	Equity review.Fairness `json:"equity"`
}

// Chain counts the fills at one place in their chain: 0 is a plain cancellation, 1 the appointment that its
// winner gave up, and so on.
type Chain struct {
	Depth  int `json:"depth"`
	Filled int `json:"filled"`
}

// Lead is the openings with about as much time before their slot.
type Lead struct {
	Name    string   `json:"name" doc:"2h, 12h, 48h (less than that) or later"`
	Filled  int      `json:"filled"`
	Expired int      `json:"expired"`
	Minutes *float64 `json:"minutes,omitempty" doc:"median from the opening to the yes"`
}

// Step is one day, or one week, of the period.
type Step struct {
	Day     string   `json:"day" format:"date" doc:"the first one, in the clinic's zone"`
	Freed   int      `json:"freed"`
	Filled  int      `json:"filled"`
	Expired int      `json:"expired"`
	Minutes *float64 `json:"minutes,omitempty" doc:"median from the opening to the yes"`
}

// Reach says what became of offers on one channel.
type Reach struct {
	Channel  engine.Channel `json:"channel"`
	Tried    int            `json:"tried" doc:"offers of which a message was handed to the carrier of this channel"`
	Proven   int            `json:"proven" doc:"of these, proven to have arrived on it; mail servers say only that they took a message"`
	Failed   int            `json:"failed" doc:"of these, with every message on it failed"`
	Answered int            `json:"answered" doc:"offers that were answered on it, yes or no"`
}

// Facts are what a report is made of beside the openings.
type Facts struct {
	Zone    *time.Location
	Came    map[engine.BookingID]engine.Attendance
	OptOuts int
	Reach   []Reach
	Equity  review.Fairness
}

// Look reports on the openings that the filter takes.
func Look(openings []slot.State, f Filter, facts Facts) Report {
	r := report{Report: Report{OptOuts: facts.OptOuts, Reach: facts.Reach, Equity: facts.Equity}, facts: &facts}
	r.frame(f)
	people := map[engine.PatientID]bool{}
	for i := range openings {
		s := &openings[i]
		if f.Takes(s) {
			r.add(s, people)
		}
	}
	r.PeopleAsked = len(people)
	r.close()
	return r.Report
}

// report is a Report in the making.
type report struct {
	Report

	facts *Facts
	waits []float64
	days  []float64
	ended int // offers of openings that ended
	lead  [len(leads)][]float64
	step  [][]float64
}

var leads = [...]struct {
	name  string
	below time.Duration
}{{"2h", 2 * time.Hour}, {"12h", 12 * time.Hour}, {"48h", 48 * time.Hour}, {"later", math.MaxInt64}}

// mostDays is the longest period that is shown day by day.
const mostDays = 35

// frame lays out the steps and leads, so that an empty day is shown as one.
func (r *report) frame(f Filter) {
	r.Chains, r.Leads, r.Steps = []Chain{}, make([]Lead, len(leads)), []Step{}
	for i, l := range leads {
		r.Leads[i].Name = l.name
	}
	if r.Reach == nil {
		r.Reach = []Reach{}
	}
	from, until := f.From.In(r.zone()), f.Until.In(r.zone())
	y, m, d := from.Date()
	r.Weekly = until.Sub(from) > (mostDays+1)*24*time.Hour
	if r.Weekly {
		d -= int(from.Weekday()+6) % 7
	}
	for ; ; d++ {
		day := time.Date(y, m, d, 0, 0, 0, 0, r.zone())
		if !day.Before(until) {
			break
		}
		r.Steps = append(r.Steps, Step{Day: day.Format(time.DateOnly)})
		if r.Weekly {
			d += 6
		}
	}
	r.step = make([][]float64, len(r.Steps))
}

func (r *report) zone() *time.Location {
	if r.facts.Zone == nil {
		return time.UTC
	}
	return r.facts.Zone
}

// at is the step in which an opening falls: the last that does not begin after it.
func (r *report) at(opened time.Time) int {
	day := opened.In(r.zone()).Format(time.DateOnly)
	i, found := slices.BinarySearchFunc(r.Steps, day, func(s Step, day string) int { return cmp.Compare(s.Day, day) })
	if !found {
		i--
	}
	return min(max(0, i), len(r.Steps)-1)
}

func (r *report) add(s *slot.State, people map[engine.PatientID]bool) {
	left := s.Slot.Start.Sub(s.OpenedAt)
	lead := slices.IndexFunc(leads[:], func(l struct {
		name  string
		below time.Duration
	},
	) bool {
		return left < l.below
	})
	step := &r.Steps[r.at(s.OpenedAt)]
	r.Freed++
	step.Freed++
	over := true
	switch s.Phase {
	case slot.Freed, slot.Approval, slot.Offering, slot.Claimed:
		r.Underway++
		over = false
	case slot.Booked:
		r.booked(s, lead)
	case slot.Expired:
		r.Expired++
		step.Expired++
		r.Leads[lead].Expired++
	case slot.Closed:
		if s.Why == "withdrawn" {
			r.Withdrawn++
		} else {
			r.Elsewhere++
		}
	case slot.None:
	}
	for i := range s.Offers {
		o := &s.Offers[i]
		if o.Wave == 0 { // the desk's own
			continue
		}
		r.Offers++
		people[o.Patient] = true
		if over {
			r.ended++
		}
		if late(s, o) {
			r.Late++
		}
	}
}

// booked counts a fill; what the desk gave away by itself is not one.
func (r *report) booked(s *slot.State, lead int) {
	i := slices.IndexFunc(s.Offers, func(o slot.Offer) bool { return o.ID == s.Winner })
	if i < 0 || s.Offers[i].Wave == 0 {
		r.ByHand++
		return
	}
	won := &s.Offers[i]
	wait := won.Replied.Sub(s.OpenedAt).Minutes()
	n := r.at(s.OpenedAt)
	r.Filled++
	r.Steps[n].Filled++
	r.Leads[lead].Filled++
	r.waits = append(r.waits, wait)
	r.step[n] = append(r.step[n], wait)
	r.lead[lead] = append(r.lead[lead], wait)
	r.Minutes += int(s.Slot.End.Sub(s.Slot.Start).Minutes())
	if won.Current != nil && won.Current.Start.After(s.Slot.Start) {
		r.days = append(r.days, won.Current.Start.Sub(s.Slot.Start).Hours()/24)
	}
	switch r.facts.Came[s.Booking] {
	case engine.Attended:
		r.Came++
	case engine.Missed:
		r.Missed++
	}
	for len(r.Chains) <= s.Depth {
		r.Chains = append(r.Chains, Chain{Depth: len(r.Chains)})
	}
	r.Chains[s.Depth].Filled++
}

// late reports whether an offer was accepted when the slot was gone: somebody had it, or its time was over.
func late(s *slot.State, o *slot.Offer) bool {
	if o.Replied.IsZero() {
		return false
	}
	switch o.Status {
	case slot.Lost:
		return true
	case slot.Ended: // a no before that stays Declined, unless the entry left the list later
		return s.Phase == slot.Closed || !o.Replied.Before(s.Deadline)
	case slot.Pending, slot.Declined, slot.Unreached, slot.Won, slot.Refused:
	}
	return false
}

// close works out what needs all of it.
func (r *report) close() {
	r.FillRate = ratio(r.Filled, r.Filled+r.Expired)
	r.FillMinutes = median(r.waits)
	r.OffersPerFill = ratio(r.ended, r.Filled)
	r.LatePerFill = ratio(r.Late, r.Filled)
	r.AttendRate = ratio(r.Came, r.Came+r.Missed)
	r.Moved = len(r.days)
	for _, d := range r.days {
		r.DaysGained += d
	}
	r.DaysMedian = median(r.days)
	for i := range r.Steps {
		r.Steps[i].Minutes = median(r.step[i])
	}
	for i := range r.Leads {
		r.Leads[i].Minutes = median(r.lead[i])
	}
}

func ratio(part, whole int) *float64 {
	if whole == 0 {
		return nil
	}
	x := float64(part) / float64(whole)
	return &x
}

func median(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	x := (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	return &x
}

// Messages counts what became of offers on each channel.
type Messages struct{ of [len(channels)]Reach }

var channels = [...]engine.Channel{engine.SMS, engine.Voice, engine.EmailMail}

// Add counts one offer's messages.
func (m *Messages) Add(s *reach.State) {
	for i, ch := range channels {
		tried, failed := false, true
		for _, d := range s.Deliveries {
			if d.Channel != ch || d.At.IsZero() || (d.Kind != engine.MsgOffer && d.Kind != engine.MsgReminder) {
				continue
			}
			tried = true
			failed = failed && d.Status == reach.Failed
		}
		r := &m.of[i]
		if tried {
			r.Tried++
			if failed {
				r.Failed++
			}
			if s.Proven == ch || slices.ContainsFunc(s.Deliveries, func(d reach.Delivery) bool { return d.Channel == ch && !d.Proof.IsZero() }) {
				r.Proven++
			}
		}
		on := s.RepliedOn
		if on == engine.Page { // the link stood in a text or a mail; which one is not known
			on = ""
		}
		if s.Replied && on == ch {
			r.Answered++
		}
	}
}

// Reach lists the channels that were used.
func (m *Messages) Reach() []Reach {
	list := []Reach{}
	for i, r := range m.of {
		if r.Channel = channels[i]; r.Tried > 0 || r.Answered > 0 {
			list = append(list, r)
		}
	}
	return list
}
