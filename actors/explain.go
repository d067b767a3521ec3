package actors

import (
	"context"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/match"
	"relais/engine/slot"
	"relais/engine/wording"
)

// mostRanked is how far down the order of a slot a person is looked for; behind it they are told
// "later".
const mostRanked = 1000

// Explain says of the people whose name contains search why they were asked for a slot or why not, by
// identifier of their entries.
func (r *Relais) Explain(ctx context.Context, id engine.ClinicID, sid engine.SlotID, search string, limit int) ([]desk.Other, error) {
	c, err := r.clinic(id)
	if err != nil {
		return nil, err
	}
	s, err := r.slotState(ctx, c, sid)
	if err != nil {
		return nil, err
	}
	search = strings.ToLower(strings.TrimSpace(search))
	wanted := r.waitlist.list(id, func(_ engine.Entry, p engine.Patient) bool {
		return strings.Contains(strings.ToLower(p.Given+" "+p.Family), search)
	})
	list := []desk.Other{}
	for _, e := range r.waitlist.explainThese(c, s, wanted[:min(limit, len(wanted))], time.Now()) {
		list = append(list, r.other(e))
	}
	return list, nil
}

// Messages shows every text of a clinic as a patient gets it, with the longest date.
func (r *Relais) Messages(_ context.Context, id engine.ClinicID) ([]wording.Preview, error) {
	c, err := r.clinic(id)
	if err != nil {
		return nil, err
	}
	const token = "AAAAAAAAAAAAAAAAAAAAAA" // as long as real ones, and nobody's
	return wording.Previews(c.Clinic, wording.Worst(c.Clinic, r.opt.Links.Offer(token))), nil
}

func (r *Relais) other(e explained) desk.Other {
	return desk.Other{
		Entry: e.candidate.Entry, ID: e.candidate.Patient, Patient: r.label(e.candidate.Patient), Rank: e.rank, Class: e.candidate.Class,
		Lost: e.candidate.Lost, Waited: int(e.candidate.Waited), Offered: e.candidate.Offered, Channel: e.candidate.Channel,
		Priority: int(e.candidate.Waited - match.OfferCost.Hours()/24*float64(e.candidate.Offered)), Obstacle: string(e.obstacle),
	}
}

// explainThese says of each entry its rank for the slot, or its obstacle.
func (w *waitlist) explainThese(c *clinic, s slot.State, entries []engine.Entry, now time.Time) []explained {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := askedBefore(s)
	q := c.query(s.Slot, now)
	q.Limit = mostRanked
	q.Accept = func(cand *engine.Candidate) bool { return w.obstacle(c, s.Slot, asked, cand, now) == "" }
	ranks := map[engine.EntryID]int{}
	for i, cand := range w.index.Rank(nil, q) {
		ranks[cand.Entry] = i + 1
	}
	list := make([]explained, 0, len(entries))
	for _, e := range entries {
		x := explained{candidate: w.terms(e, now), rank: ranks[e.ID]}
		o, fits := w.index.Explain(e.ID, q)
		if x.obstacle = o; fits {
			x.obstacle = w.obstacle(c, s.Slot, asked, &x.candidate, now)
		}
		if asked[e.Patient] {
			x.obstacle = match.AskedBefore
		}
		if x.obstacle == "" && x.rank == 0 {
			x.obstacle = match.LowPriority
		}
		x.obstacle = w.precise(e, x.obstacle)
		list = append(list, x)
	}
	return list
}

// terms is what an entry's order is made of.
func (w *waitlist) terms(e engine.Entry, now time.Time) engine.Candidate {
	return engine.Candidate{
		Entry: e.ID, Patient: e.Patient, Class: e.Class, Lost: e.Lost, Waited: now.Sub(e.Joined).Hours() / 24,
		Offered: recent(w.patients[e.Patient].value, now),
	}
}

// precise tells apart what the order need not: why somebody does not wait, and that an address
// stopped working from that nobody consented.
func (w *waitlist) precise(e engine.Entry, o match.Obstacle) match.Obstacle {
	switch o {
	case match.NotWaiting:
		switch e.Status {
		case engine.Placed:
			return match.Placed
		case engine.Claimed:
			return match.Claimed
		case engine.Snoozed:
			return match.Snoozed
		case engine.Waiting, engine.Left, engine.Linking:
		}
	case match.NoConsent:
		if slices.ContainsFunc(w.patients[e.Patient].value.Contacts, func(c engine.Contact) bool {
			return !c.Consent.IsZero() && (c.Bad != "" || !c.Archived.IsZero())
		}) {
			return match.NoContact
		}
	case match.Specialty, match.Practitioner, match.Place, match.Distance, match.Availability, match.Dates, match.Notice,
		match.Current, match.Placed, match.Claimed, match.Snoozed, match.OptedOut, match.NoContact, match.OutOfHours, match.Capped,
		match.AskedBefore, match.Outstanding, match.LowPriority, match.Language, match.Age:
	}
	return o
}
