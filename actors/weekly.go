package actors

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// weekly asks the clinic actor whether the week's mail to the clinic's manager is due.
type weekly struct{}

const (
	weeklyFirst = 2 * time.Minute // after the start, when everybody is at work again
	weeklyEvery = 5 * time.Minute
	weeklyHour  = 7 // on Monday, in the clinic's zone
	// weeklyTries is how often a mail is tried that the server would not take, each further apart than the
	// one before: a day and a half in all.
	weeklyTries = 12
	weeklyApart = 30 * time.Minute
)

// The states of weeklyRecord.
const (
	weeklySkipped = "skipped" // the address was not there when the mail was due
	weeklySending = "sending" // it may have left: after a crash it is never sent again
	weeklyWaiting = "waiting" // the server would not take it; it is tried again
	weeklySent    = "sent"
	weeklyFailed  = "failed"
	weeklyUnknown = "unknown" // it may have left
)

// weeklyRecord is what became of the newest week's mail.
type weeklyRecord struct {
	Week  string    `json:"week"` // the Monday of the week that it is about
	State string    `json:"state"`
	Tries int       `json:"tries,omitempty"`
	Next  time.Time `json:"next,omitzero"` // not tried before
}

func weeklyKey(c engine.ClinicID) storage.Key {
	return storage.Key{Clinic: c, Kind: storage.KindMeta, ID: "weekly"}
}

// weeklySubject is where the timeline says what became of each mail.
const weeklySubject = "weekly"

// EvWeekly is the timeline's word for it.
const EvWeekly = "weekly_mail"

func (a *clinicActor) weekly(c *system.Context) {
	c.After(weeklyEvery, weekly{})
	if a.c.Weekly == "" || a.mailing {
		return
	}
	a.mailing = true
	clinic := a.c
	system.PipeOn(a.r.asks, c, context.Background(), func(ctx context.Context) (struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		return struct{}{}, a.r.weekly(ctx, clinic, time.Now())
	}, func(_ struct{}, err error) any {
		if err != nil {
			a.r.opt.Logger.Warn("the week's mail to the clinic's manager waits", "clinic", clinic.ID, "error", err)
		}
		return weeklyDone{}
	})
}

type weeklyDone struct{}

// lastWeek is the Monday of the newest week whose mail is due.
func lastWeek(now time.Time, zone *time.Location) time.Time {
	now = now.In(zone)
	y, m, d := now.Date()
	due := time.Date(y, m, d-int(now.Weekday()+6)%7, weeklyHour, 0, 0, 0, zone)
	if now.Before(due) {
		due = due.AddDate(0, 0, -7)
	}
	return time.Date(due.Year(), due.Month(), due.Day()-7, 0, 0, 0, 0, zone)
}

// weekly sends the mail of the newest week, unless that was done. The record is committed before the mail
// leaves and after, so that a process that dies sends none twice; one that may have left is not repeated.
func (r *Relais) weekly(ctx context.Context, c *clinic, now time.Time) error {
	monday := lastWeek(now, c.zone)
	week := monday.Format(time.DateOnly)
	rec, err := r.store.Get(ctx, weeklyKey(c.ID))
	known := err == nil
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	var was weeklyRecord
	if known {
		if err := json.Unmarshal(rec.Data, &was); err != nil {
			return err
		}
	}
	version := rec.Version
	keep := func(is weeklyRecord, note bool) error {
		b := storage.Batch{Puts: []storage.Put{{Key: weeklyKey(c.ID), Expect: version, Data: encode(is)}}}
		if note {
			b.Events = []storage.Event{{Clinic: c.ID, Subject: weeklySubject, At: time.Now().UTC(), Data: encode(eventData{
				Event: EvWeekly, Detail: map[string]string{"week": is.Week, "state": is.State},
			})}}
		}
		err := r.store.Commit(ctx, b)
		version++
		return err
	}
	switch {
	case !known: // the first week that is reported is the one that ends next
		return keep(weeklyRecord{Week: week, State: weeklySkipped}, false)
	case was.Week == week && was.State == weeklySending: // by a process that died, or lost the store
		was.State = weeklyUnknown
		return keep(was, true)
	case was.Week == week && was.State != weeklyWaiting, was.Week > week, now.Before(was.Next):
		return nil
	case was.Week != week:
		was = weeklyRecord{Week: week}
	}
	v, err := r.Insights(ctx, c.ID, desk.InsightsQuery{From: monday, To: monday.AddDate(0, 0, 6)})
	if err != nil {
		return err
	}
	link := ""
	if r.opt.Pages != "" {
		link = r.opt.Pages + "/insights?" + url.Values{"clinic": {string(c.ID)}, "from": {v.From}, "to": {v.To}}.Encode()
	}
	m := engine.Message{
		Attempt: engine.AttemptID("weekly." + string(c.ID) + "." + week), Clinic: c.ID, Kind: engine.MsgWeekly,
		Channel: engine.EmailMail, Lang: c.Lang, Email: c.Weekly, Valid: 48 * time.Hour,
	}
	m.Subject, m.Text = v.Report.Letter(c.Lang, c.Name, monday, link)
	was.State, was.Next = weeklySending, time.Time{}
	was.Tries++
	if err := keep(was, false); err != nil {
		return err
	}
	out := r.opt.Senders[engine.EmailMail].Send(ctx, m)
	switch {
	case out.Status == engine.Accepted:
		was.State = weeklySent
	case out.Status == engine.Failed && out.Retry && was.Tries < weeklyTries:
		was.State, was.Next = weeklyWaiting, now.Add(time.Duration(was.Tries)*weeklyApart).UTC()
	case out.Status == engine.Failed:
		was.State = weeklyFailed
		r.opt.Logger.Warn("the week's mail to the clinic's manager could not be sent; the page shows the same", "clinic", c.ID, "reason", out.Reason)
	default:
		was.State = weeklyUnknown
	}
	return keep(was, was.State != weeklyWaiting)
}
