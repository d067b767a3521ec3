package actors

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/match"
	"relais/engine/review"
	"relais/engine/slot"
	"relais/storage"
)

// Bounds of what the review of a mode lists.
const (
	mostWould   = 20
	mostChanges = 20
)

// Mode shows a clinic's mode, and what happened or would have happened in the last days.
func (r *Relais) Mode(ctx context.Context, id engine.ClinicID, days int) (desk.ModeView, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.ModeView{}, err
	}
	states, err := r.states(ctx, c)
	if err != nil {
		return desk.ModeView{}, err
	}
	now := time.Now().UTC()
	from := now.Add(-time.Duration(days) * 24 * time.Hour)
	plan := review.Preview(c.Policy, c.rates())
	v := desk.ModeView{
		State: r.modeState(c), Days: days, Review: review.Look(states, from, now.Add(time.Nanosecond)),
		Would: r.wouldSlots(c, states, from),
		Plan:  desk.Plan{French: plan.Say(engine.French, c.mode()), English: plan.Say(engine.English, c.mode())},
	}
	if old := oldest(states); old != nil && old.After(from) {
		v.Oldest = old
	}
	v.Changes, err = r.modeChanges(ctx, c)
	return v, err
}

// states reads the last opening of every slot that is still kept.
func (r *Relais) states(ctx context.Context, c *clinic) ([]slot.State, error) {
	var states []slot.State
	err := r.scan(ctx, c.ID, storage.KindSlot, func(rec storage.Record) error {
		s, err := decodeSlot(rec)
		states = append(states, s)
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return states, nil
}

func oldest(states []slot.State) *time.Time {
	var old time.Time
	for _, s := range states {
		if old.IsZero() || s.OpenedAt.Before(old) {
			old = s.OpenedAt
		}
	}
	return when(old)
}

func (r *Relais) wouldSlots(c *clinic, states []slot.State, from time.Time) []desk.WouldSlot {
	seen := slices.DeleteFunc(slices.Clone(states), func(s slot.State) bool {
		return s.Mode != engine.Shadow || s.Wave == 0 || s.OpenedAt.Before(from)
	})
	slices.SortFunc(seen, func(a, b slot.State) int { return b.OpenedAt.Compare(a.OpenedAt) })
	list := []desk.WouldSlot{}
	for _, s := range seen[:min(mostWould, len(seen))] {
		w := desk.WouldSlot{Card: r.cardOf(c, s), Opened: s.OpenedAt, People: []desk.WouldPerson{}}
		for _, p := range s.Would {
			w.People = append(w.People, desk.WouldPerson{ID: p.Patient, Patient: r.label(p.Patient), Channel: p.Channel})
		}
		list = append(list, w)
	}
	return list
}

func (r *Relais) modeChanges(ctx context.Context, c *clinic) ([]desk.Event, error) {
	events, err := r.store.Timeline(ctx, c.ID, modeSubject, 0, pageSize)
	if err != nil {
		return nil, unavailable(err)
	}
	list := []desk.Event{}
	for _, e := range slices.Backward(events) {
		var data eventData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return nil, unavailable(err)
		}
		list = append(list, desk.Event{Seq: e.Seq, At: e.At, Event: data.Event, Who: string(data.By), Detail: data.Detail})
		if len(list) == mostChanges {
			break
		}
	}
	return list, nil
}

// fairnessDays is the period of the report unless the caller says otherwise.
const fairnessDays = 90

// Fairness reports how the offers made from one day to another, both included and in the clinic's zone,
// spread over the people of the list. The zero Time is today, and 90 days in all.
func (r *Relais) Fairness(ctx context.Context, id engine.ClinicID, from, to time.Time) (desk.FairnessView, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.FairnessView{}, err
	}
	now := time.Now().In(c.zone)
	if to.IsZero() {
		to = now
	}
	if from.IsZero() {
		from = to.AddDate(0, 0, 1-fairnessDays)
	}
	begin := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, c.zone)
	end := time.Date(to.Year(), to.Month(), to.Day()+1, 0, 0, 0, 0, c.zone)
	if !begin.Before(end) {
		return desk.FairnessView{}, engine.Errorf(engine.Invalid, "from lies after to")
	}
	states, err := r.states(ctx, c)
	if err != nil {
		return desk.FairnessView{}, err
	}
	v := desk.FairnessView{From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), Oldest: oldest(states)}
	if keep := r.opt.Retention; keep > 0 {
		v.Kept = int(math.Ceil(keep.Hours() / 24))
	}
	v.Report = review.Fair(r.waitlist.subjects(c, states, begin, end, now, ""))
	return v, nil
}

// subjects are the people who wait, for a specialty unless that is "", and those who were asked, without their
// names.
func (w *waitlist) subjects(c *clinic, states []slot.State, from, until, now time.Time, specialty engine.Specialty) []review.Subject {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []review.Subject
	for _, s := range states {
		for _, o := range s.Offers {
			if o.Wave == 0 || o.At.Before(from) || !o.At.Before(until) {
				continue
			}
			sub := w.subject(c, o.Entry, o.Patient, s.Slot.Place, o.At)
			sub.Offers = 1
			if o.Status == slot.Won && s.Phase == slot.Booked {
				sub.Fills = 1
			}
			list = append(list, sub)
		}
	}
	for _, id := range w.clinics[c.ID] {
		if e := w.entries[id].value; e.Status == engine.Waiting && (specialty == "" || e.Specialty == specialty) {
			list = append(list, w.subject(c, id, e.Patient, "", now))
		}
	}
	return list
}

// subject is one person at a moment, as far from a place as they live; without one, from the nearest.
func (w *waitlist) subject(c *clinic, id engine.EntryID, patient engine.PatientID, place engine.PlaceID, at time.Time) review.Subject {
	p, e := w.patients[patient].value, w.entries[id].value
	sub := review.Subject{Patient: patient, Lang: p.Lang, Age: -1, Km: -1}
	if !p.Born.IsZero() {
		sub.Age = match.Years(p.Born, at.In(c.zone))
	}
	if e.Home == nil {
		return sub
	}
	for known, point := range c.points {
		if point == (engine.Point{}) || (place != "" && known != place) {
			continue
		}
		if km := match.Kilometres(*e.Home, point); sub.Km < 0 || km < sub.Km {
			sub.Km = km
		}
	}
	return sub
}
