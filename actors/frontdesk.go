package actors

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/storage"
)

// The methods of this file serve the front desk's pages. Errors are *engine.Error.

func (r *Relais) clinic(id engine.ClinicID) (*clinic, error) {
	c := r.hall.get(id)
	switch {
	case c == nil:
		return nil, engine.Errorf(engine.NotFound, "there is no such clinic")
	case !c.isOpen():
		return nil, engine.Errorf(engine.Unavailable, "this clinic is being opened with its new settings; try again in a moment")
	}
	return c, nil
}

// Clinics lists the clinics by name.
func (r *Relais) Clinics(context.Context) []desk.ClinicInfo {
	clinics := r.hall.all()
	list := make([]desk.ClinicInfo, 0, len(clinics))
	for _, c := range clinics {
		list = append(list, r.info(c, time.Now()))
	}
	slices.SortFunc(list, func(a, b desk.ClinicInfo) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Snapshot is a clinic's whole calendar.
func (r *Relais) Snapshot(ctx context.Context, id engine.ClinicID) (desk.Snapshot, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Snapshot{}, err
	}
	return system.Ask[readState, desk.Snapshot](ctx, c.calendar, readState{})
}

// Attach starts pushing a clinic's changes to sub, from where it says it is.
func (r *Relais) Attach(ctx context.Context, id engine.ClinicID, epoch string, seq uint64, sub desk.Subscriber) (detach func(), err error) {
	c, err := r.clinic(id)
	if err != nil {
		return nil, err
	}
	if _, err := system.Ask[watch, struct{}](ctx, c.calendar, watch{epoch, seq, sub}); err != nil {
		c.calendar.Send(unwatch{sub})
		return nil, err
	}
	return func() { c.calendar.Send(unwatch{sub}) }, nil
}

// Seq is the newest sequence of a clinic's calendar.
func (r *Relais) Seq(id engine.ClinicID) uint64 {
	if c := r.hall.get(id); c != nil {
		return c.seq.Load()
	}
	return 0
}

// Health is how a clinic's record system stands.
func (r *Relais) Health(ctx context.Context, id engine.ClinicID) (desk.Health, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Health{}, err
	}
	return system.Ask[struct{}, desk.Health](ctx, c.calendar, struct{}{})
}

// Hold suspends a clinic by hand, or ends that.
func (r *Relais) Hold(ctx context.Context, id engine.ClinicID, by engine.UserID, hold bool) error {
	c, err := r.clinic(id)
	if err != nil {
		return err
	}
	if !hold {
		by = ""
	}
	_, err = system.Ask[engine.UserID, struct{}](ctx, c.sync, by)
	return err
}

// CheckNow looks at a clinic's record system without waiting for the next time.
func (r *Relais) CheckNow(_ context.Context, id engine.ClinicID) error {
	c, err := r.clinic(id)
	if err != nil {
		return err
	}
	c.sync.Send(lookNow{})
	return nil
}

// Nudge is a hint that something changed in a clinic's record system.
func (r *Relais) Nudge(id engine.ClinicID) {
	if c := r.hall.get(id); c != nil && c.isOpen() {
		c.sync.Send(nudge{pushed: true})
	}
}

// mostOthers bounds each part of the list of people who were not asked.
const mostOthers = 50

// Slot is everything about one slot.
func (r *Relais) Slot(ctx context.Context, id engine.ClinicID, sid engine.SlotID) (desk.Detail, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Detail{}, err
	}
	s, err := r.slotState(ctx, c, sid)
	if err != nil {
		return desk.Detail{}, err
	}
	d := desk.Detail{Card: r.cardOf(c, s), Asked: []desk.Asked{}, Others: []desk.Other{}, Timeline: []desk.Event{}}
	for _, o := range s.Offers {
		a, err := r.asked(ctx, o)
		if err != nil {
			return desk.Detail{}, err
		}
		d.Asked = append(d.Asked, a)
	}
	if unfinished(s) {
		for _, e := range r.waitlist.explain(c, s, time.Now(), mostOthers) {
			d.Others = append(d.Others, r.other(e))
		}
	}
	if d.Timeline, err = r.timeline(ctx, c, s); err != nil {
		return d, err
	}
	d.Chain, err = r.chain(ctx, c, s)
	return d, err
}

func (r *Relais) asked(ctx context.Context, o slot.Offer) (desk.Asked, error) {
	a := desk.Asked{
		Offer: o.ID, ID: o.Patient, Patient: r.label(o.Patient), Wave: o.Wave, At: o.At, Status: string(o.Status),
		Replied: when(o.Replied), By: o.By, Deliveries: []desk.Delivery{},
	}
	of, err := r.offerState(ctx, o.ID)
	if err != nil {
		if engine.CodeOf(err) == engine.NotFound { // just decided: its notifier has not begun
			err = nil
		}
		return a, err
	}
	for _, dl := range of.Deliveries {
		a.Deliveries = append(a.Deliveries, desk.Delivery{
			Channel: dl.Channel, Kind: dl.Kind, Status: string(dl.Status), Reason: dl.Reason, At: when(dl.At),
		})
	}
	return a, nil
}

func (r *Relais) timeline(ctx context.Context, c *clinic, s slot.State) ([]desk.Event, error) {
	events, err := r.store.Timeline(ctx, c.ID, string(s.Slot.ID), 0, pageSize)
	if err != nil {
		return nil, unavailable(err)
	}
	list := make([]desk.Event, 0, len(events))
	names := map[engine.OfferID]string{}
	for _, o := range s.Offers {
		names[o.ID] = r.label(o.Patient)
	}
	for _, e := range events {
		var data eventData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return nil, unavailable(err)
		}
		list = append(list, desk.Event{
			Seq: e.Seq, At: e.At, Event: data.Event, Detail: data.Detail,
			Who: cmp.Or(names[data.Offer], string(data.By)),
		})
	}
	return list, nil
}

// Act carries out a command on a slot, once per key.
func (r *Relais) Act(ctx context.Context, id engine.ClinicID, sid engine.SlotID, by engine.UserID, key string, act desk.Action) (desk.Card, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Card{}, err
	}
	if act.Action != "free" && r.clinicOf(sid) != c { // what was never opened is known to the record system alone
		return desk.Card{}, engine.Errorf(engine.NotFound, "there is no such slot")
	}
	if card, done, err := r.carriedOut(ctx, c, sid, key); (done || err != nil) && act.Action != "free" {
		return card, err
	}
	if act.Action == "free" {
		return r.free(ctx, c, sid, by, key, act.Revision)
	}
	staff := slot.Staff{Action: slot.StaffAction(act.Action), By: by, Revision: act.Revision}
	if staff.Action == slot.Give {
		e, _, ok := r.waitlist.entry(act.Entry)
		if !ok || e.Clinic != id {
			return desk.Card{}, engine.Errorf(engine.NotFound, "there is no such entry on the waitlist")
		}
		if !mayClaim(e) {
			return desk.Card{}, engine.Errorf(engine.Conflict, "this person is not waiting any more")
		}
		staff.For = &engine.Candidate{Entry: e.ID, Patient: e.Patient, Class: e.Class, Channel: engine.Desk}
	}
	s, err := system.AskIn[staffAct, slot.State](ctx, r.slots, sid, staffAct{staff, key, originOf(ctx)})
	if err != nil {
		if card, done, err := r.carriedOut(ctx, c, sid, key); done && err == nil {
			return card, nil // by its double, a moment ago
		}
		return desk.Card{}, err
	}
	return r.cardOf(c, s), nil
}

// carriedOut reports whether the command of a key was carried out before, and how its slot stands now.
func (r *Relais) carriedOut(ctx context.Context, c *clinic, sid engine.SlotID, key string) (desk.Card, bool, error) {
	if key == "" {
		return desk.Card{}, false, nil
	}
	_, err := r.store.Get(ctx, commandKey(c.ID, key))
	if errors.Is(err, storage.ErrNotFound) {
		return desk.Card{}, false, nil
	}
	if err != nil {
		return desk.Card{}, false, unavailable(err)
	}
	s, err := r.slotState(ctx, c, sid)
	return r.cardOf(c, s), true, err
}

// Waitlist lists a clinic's entries by identifier.
func (r *Relais) Waitlist(_ context.Context, id engine.ClinicID, after engine.EntryID, limit int) ([]desk.Person, error) {
	if _, err := r.clinic(id); err != nil {
		return nil, err
	}
	entries := r.waitlist.list(id, func(e engine.Entry, _ engine.Patient) bool { return e.ID > after })
	people := []desk.Person{}
	for _, e := range entries[:min(limit, len(entries))] {
		people = append(people, r.person(e))
	}
	return people, nil
}

func (r *Relais) person(e engine.Entry) desk.Person {
	p, _, _ := r.waitlist.patient(e.Patient)
	d := desk.Person{
		Entry: e.ID, Patient: e.Patient, Name: p.Given + " " + p.Family, Status: e.Status, Specialty: e.Specialty, Class: e.Class,
		Joined: e.Joined, Slot: e.Slot, Offered: len(p.Offered), Channels: []engine.Channel{}, Auto: e.Auto, Why: e.Why,
		Revision: e.Edit.N, Edited: editedBy(e.Edit), Until: when(e.Until), Notes: len(p.Notes),
	}
	for i, x := range p.Answering() {
		if i > 0 {
			d.Proxy += ", "
		}
		d.Proxy += x.Name
	}
	if e.Current != nil {
		d.Current = when(e.Current.Start)
	}
	for _, c := range p.Reached() {
		if c.Usable() && !slices.Contains(d.Channels, c.Channel) {
			d.Channels = append(d.Channels, c.Channel)
		}
	}
	return d
}

// Enrol adds a patient with one wish. The phone is in E.164 form.
func (r *Relais) Enrol(ctx context.Context, id engine.ClinicID, by engine.UserID, in desk.Enrolment) (desk.Person, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Person{}, err
	}
	now := time.Now().UTC()
	p := engine.Patient{
		ID: engine.PatientID("p-" + strings.ToLower(rand.Text()[:16])), Clinic: id,
		Given: in.Given, Family: in.Family, Lang: in.Lang, Source: in.Source,
	}
	if in.Born != "" {
		if p.Born, err = time.Parse(time.DateOnly, in.Born); err != nil || p.Born.After(now) || p.Born.Year() < 1890 {
			return desk.Person{}, engine.Errorf(engine.Invalid, "the date of birth is not one; write it like 1958-03-21")
		}
	}
	for _, ch := range in.Channels {
		contact := engine.Contact{Channel: ch, Consent: now, Proof: in.Proof}
		switch ch {
		case engine.SMS, engine.Voice:
			contact.Phone = engine.Phone(in.Phone)
		case engine.EmailMail:
			contact.Email = engine.Email(in.Email)
		case engine.Page, engine.Desk:
		}
		if contact.Phone == "" && contact.Email == "" {
			return desk.Person{}, engine.Errorf(engine.Invalid, "channel %s needs an address", ch)
		}
		contact.OptedOut = r.silenced(contact) // a consent that is typed here does not undo a STOP
		p.Contacts = append(p.Contacts, contact)
	}
	e := engine.Entry{
		ID: engine.EntryID("e-" + strings.ToLower(rand.Text()[:16])), Clinic: c.ID, Patient: p.ID, Status: engine.Waiting,
		Specialty: in.Specialty, Practitioners: in.Practitioners, Windows: in.Windows, Class: in.Class,
		Places: in.Places, Home: in.Home, RadiusKm: in.RadiusKm,
		Notice: time.Duration(in.NoticeMinutes) * time.Minute, Joined: now,
	}
	if in.Sooner {
		p.Sooner = &engine.Sooner{At: now, Proof: in.Proof, Windows: in.Windows, Places: in.Places, Notice: e.Notice, Class: in.Class}
	}
	p.Edit, e.Edit = engine.Edit{N: 1, By: by, At: now}, engine.Edit{N: 1, By: by, At: now}
	if err := r.add(ctx, []engine.Patient{p}, []engine.Entry{e}, entryEvent(e, "entry_enrolled", by, now)); err != nil {
		return desk.Person{}, err
	}
	return r.person(e), nil
}

// Add puts new patients and their entries on the waitlist, all or nothing. It fails with
// engine.Conflict when one of them is there already. Contacts that opted out before stay so.
func (r *Relais) Add(ctx context.Context, patients []engine.Patient, entries []engine.Entry) error {
	return r.add(ctx, patients, entries)
}

// add is Add with lines for the timelines, in the same commit.
func (r *Relais) add(ctx context.Context, patients []engine.Patient, entries []engine.Entry, events ...storage.Event) error {
	b := storage.Batch{Events: events}
	patients = slices.Clone(patients)
	for i := range patients {
		r.heed(&patients[i])
	}
	for _, p := range patients {
		b.Puts = append(b.Puts, storage.Put{Key: patientKey(p), Data: encode(p)})
	}
	for _, e := range entries {
		b.Puts = append(b.Puts, storage.Put{Key: entryKey(e), Data: encode(e)})
	}
	err := r.store.Commit(ctx, b)
	if errors.Is(err, storage.ErrStale) {
		return engine.Errorf(engine.Conflict, "one of them is on the waitlist already")
	}
	if err != nil {
		return unavailable(err)
	}
	for _, p := range patients {
		r.waitlist.putPatient(p, 1)
	}
	for _, e := range entries {
		r.waitlist.putEntry(e, 1)
	}
	for _, p := range patients {
		if c := r.hall.get(p.Clinic); c != nil && c.isOpen() {
			c.sync.Send(feed{[]engine.PatientID{p.ID}})
		}
	}
	return nil
}
