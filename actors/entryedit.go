package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/availability"
	"relais/engine/desk"
	"relais/engine/duplicate"
	"relais/storage"
)

// The methods of this file change the entries of a waitlist, for the front desk.

// wishOf says what an entry waits for.
func (c *clinic) wishOf(e engine.Entry) *desk.Wish {
	last := e.NotAfter
	if !last.IsZero() {
		last = last.Add(-time.Second) // kept as the beginning of the next day
	}
	return &desk.Wish{
		Specialty: e.Specialty, Practitioners: e.Practitioners, Windows: e.Windows, Places: e.Places, Located: e.Home != nil,
		Availability: availability.Describe(e.Windows, engine.French), English: availability.Describe(e.Windows, engine.English),
		RadiusKm: e.RadiusKm, NotBefore: c.dayAt(e.NotBefore), NotAfter: c.dayAt(last), NoticeMinutes: int(e.Notice / time.Minute), Class: e.Class,
	}
}

// withWish is an entry that waits for something else.
func (c *clinic) withWish(e engine.Entry, w desk.Wish) (engine.Entry, error) {
	known := slices.ContainsFunc(c.Practitioners, func(p engine.Practitioner) bool { return p.Specialty == w.Specialty })
	if !known && w.Specialty != e.Specialty {
		return e, engine.Errorf(engine.Invalid, "nobody at the clinic has this specialty")
	}
	for _, id := range w.Practitioners {
		if c.staff[id] == nil {
			return e, engine.Errorf(engine.Invalid, "there is no such practitioner at the clinic")
		}
	}
	for _, id := range w.Places {
		if _, ok := c.points[id]; !ok {
			return e, engine.Errorf(engine.Invalid, "there is no such place at the clinic")
		}
	}
	before, err := c.midnight(w.NotBefore)
	if err != nil {
		return e, err
	}
	after, err := c.midnight(w.NotAfter)
	if err != nil {
		return e, err
	}
	if !after.IsZero() {
		if after = after.AddDate(0, 0, 1); !after.After(before) {
			return e, engine.Errorf(engine.Invalid, "the last day that would do comes before the first")
		}
	}
	e.Specialty, e.Practitioners, e.Windows, e.Places, e.RadiusKm = w.Specialty, w.Practitioners, w.Windows, w.Places, w.RadiusKm
	switch {
	case w.Home != nil:
		e.Home = w.Home
	case !w.Located:
		e.Home = nil
	}
	if e.RadiusKm > 0 && e.Home == nil {
		return e, engine.Errorf(engine.Invalid, "a distance needs a postal code to be measured from")
	}
	e.NotBefore, e.NotAfter, e.Notice, e.Class = before, after, time.Duration(w.NoticeMinutes)*time.Minute, w.Class
	return e, nil
}

// dayAt is the day of a moment at the clinic.
func (c *clinic) dayAt(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return dayOf(t.In(c.zone))
}

// midnight is the beginning of a day at the clinic; the zero Time for no day.
func (c *clinic) midnight(day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, day, c.zone)
	if err != nil {
		return t, engine.Errorf(engine.Invalid, "a day is not one; write it like 2026-03-21")
	}
	return t.UTC(), nil
}

func entryEvent(e engine.Entry, event string, by engine.UserID, now time.Time) storage.Event {
	detail := map[string]string{"entry": string(e.ID), "specialty": string(e.Specialty)}
	if !e.Until.IsZero() {
		detail["until"] = e.Until.Format(time.RFC3339)
	}
	return storage.Event{
		Clinic: e.Clinic, Subject: patientSubject(e.Patient), At: now, Data: encode(eventData{Event: event, By: by, Detail: detail}),
	}
}

// ChangeEntry edits, snoozes, archives or brings back one entry, and returns its patient. Offers that do not
// help the person any more end.
func (r *Relais) ChangeEntry(ctx context.Context, id engine.ClinicID, eid engine.EntryID, by engine.UserID, in desk.EntryChange) (desk.Record, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Record{}, err
	}
	for try := 0; ; try++ {
		was, version, ok := r.waitlist.entry(eid)
		if !ok || was.Clinic != id {
			return desk.Record{}, engine.Errorf(engine.NotFound, "there is no such entry on the waitlist")
		}
		if err := unmoved(was.Edit, in.Revision); err != nil {
			return desk.Record{}, err
		}
		now := time.Now().UTC()
		e, event, err := r.changeEntry(c, was, in, now)
		if err != nil {
			return desk.Record{}, err
		}
		e.Edit = engine.Edit{N: was.Edit.N + 1, By: by, At: now}
		err = r.store.Commit(ctx, storage.Batch{
			Puts:   []storage.Put{{Key: entryKey(e), Expect: version, Data: encode(e)}},
			Events: []storage.Event{entryEvent(e, event, by, now)},
		})
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			r.refreshEntry(ctx, e)
			continue
		}
		if err != nil {
			return desk.Record{}, unavailable(err)
		}
		r.waitlist.putEntry(e, version+1)
		r.lookAgain(r.waitlist.offeredTo(e.Patient))
		return r.Patient(ctx, id, e.Patient)
	}
}

func (r *Relais) refreshEntry(ctx context.Context, e engine.Entry) {
	if rec, err := r.store.Get(ctx, entryKey(e)); err == nil && json.Unmarshal(rec.Data, &e) == nil {
		r.waitlist.putEntry(e, rec.Version)
	}
}

func (r *Relais) changeEntry(c *clinic, e engine.Entry, in desk.EntryChange, now time.Time) (engine.Entry, string, error) {
	settled := engine.Errorf(engine.Conflict, "this person is not waiting any more")
	switch in.Action {
	case "edit":
		switch {
		case !mayClaim(e):
			return e, "", settled
		case e.Auto:
			return e, "", engine.Errorf(engine.Conflict, "this entry follows an appointment: change what the patient said about being seen sooner instead")
		case in.Wish == nil:
			return e, "", engine.Errorf(engine.Invalid, "say what the person waits for")
		}
		next, err := c.withWish(e, *in.Wish)
		return next, "entry_edited", err
	case "snooze":
		if !mayClaim(e) {
			return e, "", settled
		}
		until, err := c.midnight(in.Until)
		if err == nil && !until.IsZero() && !until.After(now) {
			err = engine.Errorf(engine.Invalid, "the day on which offers come again must be in the future")
		}
		e.Status, e.Until = engine.Snoozed, until
		return e, "entry_snoozed", err
	case "wake":
		if e.Status != engine.Snoozed {
			return e, "", settled
		}
		e.Status, e.Until = engine.Waiting, time.Time{}
		return e, "entry_woken", nil
	case "archive":
		if !mayClaim(e) && e.Status != engine.Linking {
			return e, "", settled
		}
		e.Status, e.Why, e.Until = engine.Left, "", time.Time{}
		return e, "entry_archived", nil
	case "restore":
		if e.Status != engine.Left {
			return e, "", engine.Errorf(engine.Conflict, "this entry is not archived")
		}
		if r.waitlist.openFor(e.Patient, e.Specialty) {
			return e, "", engine.Errorf(engine.Conflict, "another entry of this person waits for the same specialty")
		}
		e.Status, e.Why, e.Slot = engine.Waiting, "", ""
		return e, "entry_restored", nil
	}
	return e, "", engine.Errorf(engine.Invalid, "there is no such action")
}

// openFor reports whether an entry of the patient waits for the specialty.
func (w *waitlist) openFor(p engine.PatientID, s engine.Specialty) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.of[p], func(id engine.EntryID) bool {
		e := w.entries[id].value
		return mayClaim(e) && !e.Auto && e.Specialty == s
	})
}

// mostEntries bounds the open entries of a patient.
const mostEntries = 20

// AddEntry puts another wish of a patient on the list.
func (r *Relais) AddEntry(ctx context.Context, id engine.ClinicID, pid engine.PatientID, by engine.UserID, w desk.Wish) (desk.Record, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Record{}, err
	}
	p, _, err := r.patientOf(id, pid)
	if err != nil {
		return desk.Record{}, err
	}
	open := r.waitlist.list(id, func(e engine.Entry, _ engine.Patient) bool { return e.Patient == pid && mayClaim(e) })
	switch {
	case p.Into != "":
		return desk.Record{}, engine.Errorf(engine.Conflict, "this record was merged into another; open that one")
	case r.waitlist.openFor(pid, w.Specialty):
		return desk.Record{}, engine.Errorf(engine.Conflict, "another entry of this person waits for the same specialty")
	case len(open) >= mostEntries:
		return desk.Record{}, engine.Errorf(engine.Invalid, "a patient has at most %d open entries", mostEntries)
	}
	now := time.Now().UTC()
	e, err := c.withWish(engine.Entry{
		ID: engine.EntryID(newID("e-")), Clinic: id, Patient: pid, Status: engine.Waiting, Joined: now, Edit: engine.Edit{N: 1, By: by, At: now},
	}, w)
	if err != nil {
		return desk.Record{}, err
	}
	if err := r.add(ctx, nil, []engine.Entry{e}, entryEvent(e, "entry_enrolled", by, now)); err != nil {
		return desk.Record{}, err
	}
	c.sync.Send(feed{[]engine.PatientID{pid}})
	return r.Patient(ctx, id, pid)
}

// SearchWaitlist lists a clinic's entries by name: those whose patient's name, record number or telephone
// contains what is looked for, in one status or any.
func (r *Relais) SearchWaitlist(_ context.Context, id engine.ClinicID, q desk.ListQuery) (desk.ListPage, error) {
	page := desk.ListPage{People: []desk.Person{}, Counts: map[engine.EntryStatus]int{}}
	if _, err := r.clinic(id); err != nil {
		return page, err
	}
	search := duplicate.Fold(q.Search)
	digits := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, q.Search)
	names := map[engine.EntryID]string{}
	entries := r.waitlist.list(id, func(e engine.Entry, p engine.Patient) bool {
		page.Counts[e.Status]++
		if q.Status != "" && e.Status != q.Status || p.Into != "" {
			return false
		}
		name := duplicate.Fold(p.Family + " " + p.Given)
		if !strings.Contains(name, search) && !strings.Contains(duplicate.Fold(p.Given+" "+p.Family), search) &&
			!strings.Contains(duplicate.Fold(p.Source), search) && !calls(p, digits) {
			return false
		}
		names[e.ID] = name
		return true
	})
	slices.SortStableFunc(entries, func(a, b engine.Entry) int { return strings.Compare(names[a.ID], names[b.ID]) })
	page.Found = len(entries)
	if i := slices.IndexFunc(entries, func(e engine.Entry) bool { return e.ID == q.After }); q.After != "" && i >= 0 {
		entries = entries[i+1:]
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	for _, e := range entries[:min(limit, len(entries))] {
		page.People = append(page.People, r.person(e))
	}
	if len(entries) > limit {
		page.Next = entries[limit-1].ID
	}
	return page, nil
}

// calls reports whether four digits or more are part of one of the patient's numbers.
func calls(p engine.Patient, digits string) bool {
	return len(digits) >= 4 && slices.ContainsFunc(p.Contacts, func(c engine.Contact) bool { return strings.Contains(string(c.Phone), digits) })
}

// doze remembers when an entry waits again.
func (w *waitlist) doze(e engine.Entry) {
	if e.Status != engine.Snoozed || e.Until.IsZero() {
		delete(w.snoozed[e.Clinic], e.ID)
		return
	}
	if w.snoozed[e.Clinic] == nil {
		w.snoozed[e.Clinic] = map[engine.EntryID]time.Time{}
	}
	w.snoozed[e.Clinic][e.ID] = e.Until
}

// awake lists the snoozed entries whose day has come, at most some.
func (w *waitlist) awake(c engine.ClinicID, now time.Time, most int) (list []stored[engine.Entry]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, until := range w.snoozed[c] {
		if !now.Before(until) && len(list) < most {
			list = append(list, w.entries[id])
		}
	}
	return list
}

// alarm asks the clinic actor to look whose snooze is over.
type alarm struct{}

const (
	alarmEvery = 30 * time.Second
	mostWoken  = 500 // in one commit
)

// wakeUp has entries wait again whose snooze is over. What is not kept is tried again with the next look.
func (a *clinicActor) wakeUp(c *system.Context) {
	c.After(alarmEvery, alarm{})
	due := a.r.waitlist.awake(a.c.ID, time.Now(), mostWoken)
	if len(due) == 0 {
		return
	}
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (struct{}, error) {
		for _, e := range due { // one by one: somebody may change one of them this very moment
			now := time.Now().UTC()
			e.value.Status, e.value.Until = engine.Waiting, time.Time{}
			err := a.r.store.Commit(ctx, storage.Batch{
				Puts:   []storage.Put{{Key: entryKey(e.value), Expect: e.version, Data: encode(e.value)}},
				Events: []storage.Event{entryEvent(e.value, "entry_woken", "", now)},
			})
			if err == nil {
				a.r.waitlist.putEntry(e.value, e.version+1)
				continue
			}
			a.r.refreshEntry(ctx, e.value)
			if !errors.Is(err, storage.ErrStale) {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	}, func(_ struct{}, err error) any {
		if err != nil {
			a.r.opt.Logger.Warn("people whose snooze is over wait a moment longer", "clinic", a.c.ID, "error", err)
		}
		return nil
	})
}
