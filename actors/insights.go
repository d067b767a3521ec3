package actors

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/insight"
	"relais/engine/review"
	"relais/engine/slot"
	"relais/storage"
)

// Bounds of a report. What was not read by then is left out, and the report says so.
const (
	insightDays    = 28
	mostInsight    = 366 * 24 * time.Hour
	openingsWithin = 6 * time.Second
	messagesWithin = 7 * time.Second
	mostReports    = 2 // at a time, of all clinics; others wait
)

var errEnough = errors.New("enough was read")

// Insights reports on a clinic's openings of a period.
func (r *Relais) Insights(ctx context.Context, id engine.ClinicID, q desk.InsightsQuery) (desk.InsightsView, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.InsightsView{}, err
	}
	now := time.Now()
	begin, end, err := c.period(q.From, q.To, now)
	if err != nil {
		return desk.InsightsView{}, err
	}
	if q.Practitioner != "" && c.staff[q.Practitioner] == nil {
		return desk.InsightsView{}, engine.Errorf(engine.Invalid, "there is no such practitioner in this clinic")
	}
	select {
	case r.reports <- struct{}{}:
		defer func() { <-r.reports }()
	case <-ctx.Done():
		return desk.InsightsView{}, unavailable(ctx.Err())
	}
	v := desk.InsightsView{From: begin.Format(time.DateOnly), To: end.Add(-time.Hour).Format(time.DateOnly)}
	if keep := r.opt.Retention; keep > 0 {
		v.Kept = int(math.Ceil(keep.Hours() / 24))
	}
	f := insight.Filter{From: begin, Until: end, Practitioner: q.Practitioner, Specialty: q.Specialty}
	openings, err := r.openings(ctx, c, f, &v)
	if err != nil {
		return v, err
	}
	facts := insight.Facts{Zone: c.zone, OptOuts: r.stops(c, begin, end)}
	if facts.Reach, v.ReachCut, err = r.reachOf(ctx, c, openings); err != nil {
		return v, err
	}
	came, err := r.attendances(ctx, c.ID)
	if err != nil {
		return v, unavailable(err)
	}
	facts.Came = came.words()
	specialty := q.Specialty
	if p := c.staff[q.Practitioner]; p != nil && specialty == "" {
		specialty = p.Specialty
	}
	facts.Equity = review.Fair(r.waitlist.subjects(c, openings, begin, end, now, specialty))
	v.Report = insight.Look(openings, f, facts)
	return v, nil
}

// period is the days from one to another, both included and in the clinic's zone.
func (c *clinic) period(from, to, now time.Time) (begin, end time.Time, err error) {
	if to.IsZero() {
		to = now.In(c.zone)
	}
	if from.IsZero() {
		from = to.AddDate(0, 0, 1-insightDays)
	}
	begin = time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, c.zone)
	end = time.Date(to.Year(), to.Month(), to.Day()+1, 0, 0, 0, 0, c.zone)
	switch {
	case !begin.Before(end):
		return begin, end, engine.Errorf(engine.Invalid, "from lies after to")
	case end.Sub(begin) > mostInsight+2*time.Hour: // the clocks change
		return begin, end, engine.Errorf(engine.Invalid, "choose a year at most")
	}
	return begin, end, nil
}

// openings reads those that the filter takes, the oldest first.
func (r *Relais) openings(ctx context.Context, c *clinic, f insight.Filter, v *desk.InsightsView) ([]slot.State, error) {
	until := time.Now().Add(openingsWithin)
	var list []slot.State
	var old time.Time
	err := r.scan(ctx, c.ID, storage.KindSlot, func(rec storage.Record) error {
		if time.Now().After(until) {
			return errEnough
		}
		s, err := decodeSlot(rec)
		if err != nil {
			return err
		}
		if old.IsZero() || s.OpenedAt.Before(old) {
			old = s.OpenedAt
		}
		if f.Takes(&s) {
			list = append(list, s)
		}
		return nil
	})
	if v.Cut = errors.Is(err, errEnough); err != nil && !v.Cut {
		return nil, unavailable(err)
	}
	v.Oldest = when(old)
	slices.SortFunc(list, func(a, b slot.State) int { return a.OpenedAt.Compare(b.OpenedAt) })
	return list, nil
}

// reachOf reads what became of the openings' messages, the newest openings first, and returns of how many
// openings there was no time to.
func (r *Relais) reachOf(ctx context.Context, c *clinic, openings []slot.State) (reached []insight.Reach, left int, err error) {
	until := time.Now().Add(messagesWithin)
	var m insight.Messages
	for i := range slices.Backward(openings) {
		if time.Now().After(until) {
			return m.Reach(), i + 1, nil
		}
		s := &openings[i]
		if len(s.Offers) == 0 {
			continue
		}
		of := strings.TrimSuffix(string(engine.NewOfferID(s.Slot.ID, s.Opening, 0)), "0")
		page, err := r.store.Scan(ctx, c.ID, storage.KindOffer, of, min(len(s.Offers)+1, pageSize))
		if err != nil {
			return nil, 0, unavailable(err)
		}
		for _, rec := range page {
			var o offerRecord
			if !strings.HasPrefix(rec.Key.ID, of) {
				break
			}
			if err := json.Unmarshal(rec.Data, &o); err != nil {
				return nil, 0, unavailable(err)
			}
			m.Add(&o.State)
		}
	}
	return m.Reach(), 0, nil
}

// stops counts the addresses of a clinic's patients whose last word, said in the period, is STOP.
func (r *Relais) stops(c *clinic, from, until time.Time) int {
	var contacts []engine.Contact
	r.waitlist.mu.Lock()
	for _, p := range r.waitlist.patients {
		if p.value.Clinic == c.ID {
			contacts = append(contacts, p.value.Contacts...)
		}
	}
	r.waitlist.mu.Unlock()
	addresses := map[string]bool{} // a family may share one
	for _, contact := range contacts {
		addresses[r.address(contact.Phone, contact.Email)] = true
	}
	n := 0
	for a := range addresses {
		if said := r.optOuts.get(a); said.Stopped && !said.At.Before(from) && said.At.Before(until) {
			n++
		}
	}
	return n
}

// words are the attendances without their versions.
func (a attendances) words() map[engine.BookingID]engine.Attendance {
	m := make(map[engine.BookingID]engine.Attendance, len(a))
	for b, is := range a {
		m[b] = is.Came
	}
	return m
}
