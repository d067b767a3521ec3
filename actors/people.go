package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// The methods of this file show patients and change their contacts, for the front desk of their
// clinic only: a patient of another clinic is one that does not exist.

func (r *Relais) patientOf(c engine.ClinicID, id engine.PatientID) (engine.Patient, uint64, error) {
	p, version, ok := r.waitlist.patient(id)
	if !ok || p.Clinic != c {
		return engine.Patient{}, 0, engine.Errorf(engine.NotFound, "there is no such patient")
	}
	return p, version, nil
}

// Patient is everything about one patient of a clinic.
func (r *Relais) Patient(ctx context.Context, id engine.ClinicID, pid engine.PatientID) (desk.Record, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Record{}, err
	}
	p, _, err := r.patientOf(id, pid)
	if err != nil {
		return desk.Record{}, err
	}
	d := desk.Record{
		Patient: p.ID, Name: p.Given + " " + p.Family, Lang: p.Lang, Source: p.Source,
		Contacts: []desk.Contact{}, Entries: []desk.Person{}, Offers: []desk.PastOffer{}, Events: []desk.Event{},
		Given: p.Given, Family: p.Family, Born: dayOf(p.Born), Hours: p.Hours, Proxies: proxiesOf(p), Notes: notesOf(p),
		Revision: p.Edit.N, Edited: editedBy(p.Edit), Into: p.Into, Merged: len(p.Was),
	}
	for i, contact := range p.Contacts {
		d.Contacts = append(d.Contacts, contactOf(i, contact))
	}
	if p.Sooner != nil {
		d.Sooner = soonerOf(*p.Sooner)
	}
	for _, e := range r.waitlist.list(id, func(e engine.Entry, _ engine.Patient) bool { return e.Patient == pid }) {
		line := r.person(e)
		line.Wish = c.wishOf(e)
		d.Entries = append(d.Entries, line)
	}
	for _, m := range slices.Backward(p.Offered) {
		o, err := r.pastOffer(ctx, c, p, m)
		if err != nil {
			return desk.Record{}, err
		}
		d.Offers = append(d.Offers, o)
	}
	d.Events, err = r.patientEvents(ctx, p)
	return d, err
}

func contactOf(i int, c engine.Contact) desk.Contact {
	return desk.Contact{
		Index: i, Channel: c.Channel, Address: addressOf(c), Usable: c.Usable(), Proof: c.Proof, Bad: c.Bad,
		Consent: when(c.Consent), OptedOut: when(c.OptedOut), Asked: when(c.Asked), Question: c.Question, BadAt: when(c.BadAt), Archived: when(c.Archived),
		Proxy: c.Proxy,
	}
}

func addressOf(c engine.Contact) string { return cmp.Or(string(c.Phone), string(c.Email)) }

// pastOffer finds what became of an offer. A slot that is not kept any more leaves its date.
func (r *Relais) pastOffer(ctx context.Context, c *clinic, p engine.Patient, m engine.Mark) (desk.PastOffer, error) {
	d := desk.PastOffer{Slot: m.Slot, Start: m.Start, At: m.At, Deliveries: []desk.Delivery{}}
	s, err := r.slotState(ctx, c, m.Slot)
	if engine.CodeOf(err) == engine.NotFound {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	d.With = s.Slot.Practitioner
	for _, o := range s.Offers {
		if o.Patient != p.ID && !slices.Contains(p.Was, o.Patient) {
			continue
		}
		a, err := r.asked(ctx, o)
		if err != nil {
			return d, err
		}
		d.Status, d.Replied, d.By, d.Deliveries = a.Status, a.Replied, a.By, a.Deliveries
	}
	return d, nil
}

func (r *Relais) patientEvents(ctx context.Context, p engine.Patient) ([]desk.Event, error) {
	var events []storage.Event
	for _, id := range append([]engine.PatientID{p.ID}, p.Was...) {
		page, err := r.store.Timeline(ctx, p.Clinic, patientSubject(id), 0, pageSize)
		if err != nil {
			return nil, unavailable(err)
		}
		events = append(events, page...)
	}
	slices.SortFunc(events, func(a, b storage.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	list := make([]desk.Event, 0, len(events))
	for _, e := range slices.Backward(events) {
		var data eventData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return nil, unavailable(err)
		}
		list = append(list, desk.Event{Seq: e.Seq, At: e.At, Event: data.Event, Who: string(data.By), Detail: data.Detail})
	}
	return list, nil
}

// patientSubject is the timeline of a patient. Slots have identifiers of another form.
func patientSubject(p engine.PatientID) string { return "patient/" + string(p) }

// mostBroken bounds the list of contacts that do not work.
const mostBroken = 200

// Broken lists the contacts of a clinic's patients that no longer work and that nobody dealt with, the
// latest first. People who left the list, or have their place, are not on it.
func (r *Relais) Broken(_ context.Context, id engine.ClinicID) ([]desk.Broken, error) {
	if _, err := r.clinic(id); err != nil {
		return nil, err
	}
	list, seen := []desk.Broken{}, map[engine.PatientID]bool{}
	r.waitlist.list(id, func(e engine.Entry, p engine.Patient) bool {
		if seen[p.ID] || !mayClaim(e) {
			return false
		}
		seen[p.ID] = true
		list = append(list, brokenOf(p)...)
		return false
	})
	slices.SortFunc(list, func(a, b desk.Broken) int {
		return cmp.Or(since(b.Contact).Compare(since(a.Contact)), cmp.Compare(a.Patient, b.Patient), cmp.Compare(a.Contact.Index, b.Contact.Index))
	})
	return list[:min(len(list), mostBroken)], nil
}

func since(c desk.Contact) time.Time {
	for _, at := range []*time.Time{c.BadAt, c.OptedOut} {
		if at != nil {
			return *at
		}
	}
	return time.Time{}
}

func brokenOf(p engine.Patient) (list []desk.Broken) {
	works := 0
	for i, c := range p.Contacts {
		switch {
		case c.Usable():
			works++
		case c.Archived.IsZero() && (c.Bad != "" || !c.OptedOut.IsZero()):
			list = append(list, desk.Broken{Patient: p.ID, Name: p.Given + " " + p.Family, Contact: contactOf(i, c)})
		}
	}
	for i := range list {
		list[i].Left = works
	}
	return list
}

// ChangeContact adds, corrects or archives one contact of a patient, and returns the patient. Phone
// numbers are in E.164 form. It fails with engine.Conflict when the contact is not any more what the
// person was looking at. An address that opted out stays so: only its owner can opt in again.
func (r *Relais) ChangeContact(ctx context.Context, id engine.ClinicID, pid engine.PatientID, by engine.UserID, in desk.ContactChange) (desk.Record, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Record{}, err
	}
	for try := 0; ; try++ {
		p, version, err := r.patientOf(id, pid)
		if err != nil {
			return desk.Record{}, err
		}
		now := time.Now().UTC()
		p, ch, err := changeContact(p, in, now)
		if err != nil {
			return desk.Record{}, err
		}
		p.Edit = engine.Edit{N: p.Edit.N + 1, By: by, At: now}
		for i, c := range p.Contacts {
			if c.Consent.Equal(now) { // what somebody else writes down does not undo a STOP
				p.Contacts[i].OptedOut = r.silenced(c)
			}
		}
		var effects []storage.Effect
		ask := order{Do: deedConfirm, Patient: pid, Phone: engine.Phone(in.Address), At: now, ID: orderID("confirm/"+string(pid), version+1, 0)}
		if in.Confirm {
			if !r.silenced(engine.Contact{Phone: ask.Phone}).IsZero() {
				return desk.Record{}, engine.Errorf(engine.Conflict, "this number opted out: only its owner can opt in again, with the word START")
			}
			effects = append(effects, ask.effect(id))
		}
		err = r.store.Commit(ctx, storage.Batch{
			Puts:    []storage.Put{{Key: patientKey(p), Expect: version, Data: encode(p)}},
			Effects: effects,
			Events: []storage.Event{{
				Clinic: id, Subject: patientSubject(pid), At: now,
				Data: encode(eventData{Event: "contact_" + in.Action, By: by, From: originOf(ctx), Detail: map[string]string{"channel": string(ch)}}),
			}},
		})
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			r.refreshPatients(ctx, []engine.PatientID{pid})
			continue
		}
		if err != nil {
			return desk.Record{}, unavailable(err)
		}
		r.waitlist.putPatient(p, version+1)
		if in.Confirm {
			r.carryOut(c, ask)
		}
		return r.Patient(ctx, id, pid)
	}
}

// mostContacts bounds the contacts of a patient.
const mostContacts = 12

func changeContact(p engine.Patient, in desk.ContactChange, now time.Time) (engine.Patient, engine.Channel, error) {
	p.Contacts = slices.Clone(p.Contacts)
	if in.Action == "add" {
		c, err := freshContact(in.Channel, in, now)
		if err != nil {
			return p, "", err
		}
		if len(p.Contacts) >= mostContacts {
			return p, "", engine.Errorf(engine.Invalid, "this patient has %d contacts; correct or archive one of them", mostContacts)
		}
		if c.Proxy = in.Proxy; c.Proxy != "" && !slices.ContainsFunc(p.Proxies, func(x engine.Proxy) bool { return x.ID == c.Proxy && x.Archived.IsZero() }) {
			return p, "", engine.Errorf(engine.NotFound, "this proxy is not there any more; look at the patient again")
		}
		p.Contacts = append(p.Contacts, c)
		return p, c.Channel, nil
	}
	if in.Index < 0 || in.Index >= len(p.Contacts) || addressOf(p.Contacts[in.Index]) != in.Was {
		return p, "", engine.ChangedBy(p.Edit.By, p.Edit.At, "this contact was changed meanwhile; look at it again")
	}
	c := &p.Contacts[in.Index]
	if in.Action == "archive" {
		if c.Archived.IsZero() {
			c.Archived = now
		}
		return p, c.Channel, nil
	}
	fresh, err := freshContact(c.Channel, in, now)
	if err != nil {
		return p, "", err
	}
	fresh.Proxy = c.Proxy
	*c = fresh
	return p, c.Channel, nil
}

func freshContact(ch engine.Channel, in desk.ContactChange, now time.Time) (engine.Contact, error) {
	c := engine.Contact{Channel: ch, Consent: now, Proof: in.Proof}
	if in.Confirm {
		c = engine.Contact{Channel: ch, Asked: now}
	}
	switch {
	case in.Confirm && ch != engine.SMS:
		return c, engine.Errorf(engine.Invalid, "only numbers for texts can be confirmed by the patient; say how they gave consent")
	case in.Confirm && in.Proof != "":
		return c, engine.Errorf(engine.Invalid, "either the patient is asked to confirm, or there is a proof")
	case in.Confirm && in.Address != "" && !strings.Contains(in.Address, "@"):
		c.Phone = engine.Phone(in.Address)
	case in.Proof == "":
		return c, engine.Errorf(engine.Invalid, "say how the patient gave consent to this address")
	case in.Address == "":
		return c, engine.Errorf(engine.Invalid, "give the address")
	case strings.Contains(in.Address, "@") != (ch == engine.EmailMail):
		return c, engine.Errorf(engine.Invalid, "this address is not one of the channel %s", ch)
	case ch == engine.SMS || ch == engine.Voice:
		c.Phone = engine.Phone(in.Address)
	case ch == engine.EmailMail:
		c.Email = engine.Email(in.Address)
	default:
		return c, engine.Errorf(engine.Invalid, "say which channel the address is for")
	}
	return c, nil
}
