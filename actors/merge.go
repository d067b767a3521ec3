package actors

import (
	"context"
	"errors"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/duplicate"
	"relais/storage"
)

// Duplicates lists the pairs of a clinic's patients who may be one person, the sure ones first, at most 200.
func (r *Relais) Duplicates(_ context.Context, id engine.ClinicID) ([]desk.Twins, error) {
	if _, err := r.clinic(id); err != nil {
		return nil, err
	}
	patients := r.waitlist.people(id)
	by := make(map[engine.PatientID]engine.Patient, len(patients))
	for _, p := range patients {
		by[p.ID] = p
	}
	list := []desk.Twins{}
	for _, pair := range duplicate.Find(patients) {
		list = append(list, desk.Twins{A: r.line(by[pair.A]), B: r.line(by[pair.B]), Reasons: pair.Reasons, Sure: pair.Sure})
	}
	return list, nil
}

// people lists the patients of a clinic who have or had an entry.
func (w *waitlist) people(c engine.ClinicID) []engine.Patient {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[engine.PatientID]bool{}
	var list []engine.Patient
	for _, id := range w.clinics[c] {
		if p := w.entries[id].value.Patient; !seen[p] {
			seen[p] = true
			list = append(list, w.patients[p].value)
		}
	}
	return list
}

func (r *Relais) line(p engine.Patient) desk.PersonLine {
	l := desk.PersonLine{
		Patient: p.ID, Revision: p.Edit.N, Name: p.Given + " " + p.Family, Born: dayOf(p.Born), Source: p.Source,
		Offers: recent(p, time.Now()), Edited: editedBy(p.Edit),
	}
	for _, c := range p.Contacts {
		if c.Archived.IsZero() {
			l.Contacts++
		}
	}
	for _, e := range r.waitlist.list(p.Clinic, func(e engine.Entry, _ engine.Patient) bool { return e.Patient == p.ID }) {
		if mayClaim(e) || e.Status == engine.Linking {
			l.Open++
		}
	}
	return l
}

// Merge makes one record of two, shows what that would come to, or notes that they are two people.
func (r *Relais) Merge(ctx context.Context, id engine.ClinicID, keep engine.PatientID, by engine.UserID, in desk.MergeRequest) (desk.Merge, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Merge{}, err
	}
	for try := 0; ; try++ {
		k, o, err := r.twins(id, keep, in)
		if err != nil {
			return desk.Merge{}, err
		}
		entries := func(p engine.PatientID) []engine.Entry {
			return r.waitlist.list(id, func(e engine.Entry, _ engine.Patient) bool { return e.Patient == p })
		}
		m := duplicate.Merge(k.value, o.value, entries(k.value.ID), entries(o.value.ID))
		view := mergeView(m)
		view.Hindrance = r.waitlist.busy(o.value.ID)
		switch {
		case in.Action == "preview":
			return view, nil
		case in.Action == "merge" && view.Hindrance != "":
			return view, engine.Errorf(engine.Conflict, "the record that would go has an offer or a booking under way; merge them once that is over")
		}
		b := r.mergeBatch(&m, k, o, by, in.Action == "distinct")
		err = r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			r.refreshPatients(ctx, []engine.PatientID{k.value.ID, o.value.ID})
			for _, e := range m.Changed {
				r.refreshEntry(ctx, e)
			}
			continue
		}
		if err != nil {
			return desk.Merge{}, unavailable(err)
		}
		r.waitlist.putPatient(m.Kept, k.version+1)
		r.waitlist.putPatient(m.Gone, o.version+1)
		if in.Action == "distinct" {
			return view, nil
		}
		for _, p := range b.Puts[2:] {
			i := slices.IndexFunc(m.Changed, func(e engine.Entry) bool { return string(e.ID) == p.Key.ID })
			r.waitlist.putEntry(m.Changed[i], p.Expect+1)
		}
		r.lookAgain(r.waitlist.offeredTo(m.Kept.ID))
		c.sync.Send(feed{[]engine.PatientID{m.Kept.ID}})
		view.Done = true
		return view, nil
	}
}

// twins reads both records, as the person who decides saw them.
func (r *Relais) twins(id engine.ClinicID, keep engine.PatientID, in desk.MergeRequest) (k, o stored[engine.Patient], err error) {
	if keep == in.Other {
		return k, o, engine.Errorf(engine.Invalid, "a record cannot be merged with itself")
	}
	if k.value, k.version, err = r.patientOf(id, keep); err != nil {
		return k, o, err
	}
	if o.value, o.version, err = r.patientOf(id, in.Other); err != nil {
		return k, o, err
	}
	if k.value.Into != "" || o.value.Into != "" {
		return k, o, engine.Errorf(engine.Conflict, "one of the two was merged into another already")
	}
	if in.Action == "preview" {
		return k, o, nil
	}
	if err = unmoved(k.value.Edit, in.Revision); err == nil {
		err = unmoved(o.value.Edit, in.OtherRevision)
	}
	return k, o, err
}

// busy says why a record cannot go now; "": it can.
func (w *waitlist) busy(p engine.PatientID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, chosen := w.reserved[p]; chosen || len(w.pending[p]) > 0 {
		return "offer"
	}
	if slices.ContainsFunc(w.of[p], func(id engine.EntryID) bool { return w.entries[id].value.Status == engine.Claimed }) {
		return "booking"
	}
	return ""
}

// mergeBatch is the commit that joins the two, or that says that they are two people.
func (r *Relais) mergeBatch(m *duplicate.Merged, k, o stored[engine.Patient], by engine.UserID, distinct bool) storage.Batch {
	now := time.Now().UTC()
	event, gone := eventData{Event: "merged", By: by, Detail: map[string]string{"other": string(o.value.ID), "name": o.value.Given + " " + o.value.Family}}, "merged_into"
	for _, d := range m.Differ {
		event.Detail[string(d.Field)] = d.Other
	}
	if distinct {
		m.Kept, m.Gone = k.value, o.value
		m.Kept.Distinct = append(slices.Clone(k.value.Distinct), o.value.ID)
		m.Changed = nil
		event, gone = eventData{Event: "distinct", By: by, Detail: map[string]string{"other": string(o.value.ID)}}, "distinct"
	}
	m.Kept.Edit = engine.Edit{N: k.value.Edit.N + 1, By: by, At: now}
	m.Gone.Edit = engine.Edit{N: o.value.Edit.N + 1, By: by, At: now}
	b := storage.Batch{
		Puts: []storage.Put{
			{Key: patientKey(m.Kept), Expect: k.version, Data: encode(m.Kept)},
			{Key: patientKey(m.Gone), Expect: o.version, Data: encode(m.Gone)},
		},
		Events: []storage.Event{
			{Clinic: m.Kept.Clinic, Subject: patientSubject(m.Kept.ID), At: now, Data: encode(event)},
			{Clinic: m.Kept.Clinic, Subject: patientSubject(m.Gone.ID), At: now, Data: encode(eventData{
				Event: gone, By: by, Detail: map[string]string{"other": string(m.Kept.ID)},
			})},
		},
	}
	for i := range m.Changed {
		e := &m.Changed[i]
		was, version, _ := r.waitlist.entry(e.ID)
		e.Edit = engine.Edit{N: was.Edit.N + 1, By: by, At: now}
		b.Puts = append(b.Puts, storage.Put{Key: entryKey(*e), Expect: version, Data: encode(*e)})
	}
	return b
}

func mergeView(m duplicate.Merged) desk.Merge {
	k := m.Kept
	v := desk.Merge{
		Keep: k.ID, Name: k.Given + " " + k.Family, Born: dayOf(k.Born), Source: k.Source, Proxies: len(k.Proxies), Notes: len(k.Notes),
		Offers: recent(k, time.Now()), Contacts: []desk.Contact{}, Entries: []desk.MergeEntry{}, Differ: []desk.MergeField{},
	}
	for i, c := range k.Contacts {
		v.Contacts = append(v.Contacts, contactOf(i, c))
	}
	for _, e := range m.Changed {
		becomes := "moved"
		switch {
		case e.Status == engine.Left:
			becomes = "closed"
		case e.Patient == k.ID && !slices.ContainsFunc(m.Changed, func(x engine.Entry) bool { return x.Status == engine.Left && x.Specialty == e.Specialty && !x.Auto }):
			becomes = "moved"
		case e.Patient == k.ID:
			becomes = "kept"
		}
		v.Entries = append(v.Entries, desk.MergeEntry{Specialty: e.Specialty, Joined: e.Joined, Class: e.Class, Becomes: becomes})
	}
	for _, d := range m.Differ {
		v.Differ = append(v.Differ, desk.MergeField{Field: d.Field, Kept: d.Kept, Other: d.Other})
	}
	return v
}
