package actors

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/schedule"
	"relais/engine/waiting"
	"relais/storage"
)

// feed asks the dme actor to hold the entries of some patients against what the record system shows. It
// is a hint that may be lost: every complete look does the same for everybody concerned.
type feed struct{ patients []engine.PatientID }

// fed is the outcome of such a commit.
type fed struct {
	batch    storage.Batch
	entries  []stored[engine.Entry]
	dropped  []engine.EntryID
	patients []engine.PatientID // whose entries they are
	err      error
}

// The bounds of one commit, and the wait before one is tried again.
const (
	mostFed    = 500 // patients
	mostShifts = storage.MaxBatch / 4
	feedStale  = 50 * time.Millisecond
	feedAgain  = 5 * time.Second
)

// concerned lists whose entries may have to follow what was seen.
func (a *dmeActor) concerned(touched []schedule.Fact, full bool) []engine.PatientID {
	var sources []string
	for _, f := range touched {
		switch {
		case f.Appointment != nil:
			sources = append(sources, f.Appointment.Patient)
		case f.Slot != nil:
			occupant, _ := a.mirror.Occupant(f.Slot.Source)
			sources = append(sources, occupant.Patient)
		}
	}
	if !full {
		return a.r.waitlist.named(a.c.ID, sources)
	}
	for appt := range a.mirror.Appointments() {
		sources = append(sources, appt.Patient)
	}
	return append(a.r.waitlist.named(a.c.ID, sources), a.r.waitlist.following(a.c.ID)...)
}

func (a *dmeActor) feed(c *system.Context, patients []engine.PatientID) {
	for _, p := range patients {
		a.hungry[p] = struct{}{}
	}
	a.feedNext(c)
}

// feedNext holds some of those who wait for it against the mirror, and keeps what follows. One commit is
// under way at a time.
func (a *dmeActor) feedNext(c *system.Context) {
	if !a.ready || a.feeding || len(a.hungry) == 0 {
		return
	}
	var out fed
	for _, known := range a.known() {
		delete(a.hungry, known.Patient.ID)
		changes := waiting.Derive(known.Known, time.Now())
		if len(changes) == 0 {
			a.r.lookAgain(a.r.waitlist.offeredTo(known.Patient.ID)) // a hint may have been lost
			continue
		}
		out.patients = append(out.patients, known.Patient.ID)
		for _, ch := range changes {
			out.add(ch, known.versions[ch.Entry.ID])
		}
		if len(out.batch.Puts) > mostShifts {
			break
		}
	}
	if len(out.batch.Puts) == 0 {
		if len(a.hungry) > 0 {
			c.Self().Send(feed{}) // others have their turn between
		}
		return
	}
	a.feeding = true
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (fed, error) {
		if err := a.r.store.Commit(ctx, out.batch); err != nil {
			a.r.refreshEntries(ctx, out.batch)
			return out, err
		}
		// Here and not in fed, which a panic of the actor meanwhile would never reach: what the store has, memory has.
		for _, e := range out.entries {
			a.r.waitlist.putEntry(e.value, e.version)
		}
		a.r.waitlist.forget(out.dropped)
		return out, nil
	}, func(f fed, err error) any {
		f.err = err
		return f
	})
}

// refreshEntries reads again what a batch wanted to change.
func (r *Relais) refreshEntries(ctx context.Context, b storage.Batch) {
	for _, p := range b.Puts {
		rec, err := r.store.Get(ctx, p.Key)
		var e engine.Entry
		switch {
		case errors.Is(err, storage.ErrNotFound):
			r.waitlist.forget([]engine.EntryID{engine.EntryID(p.Key.ID)})
		case err == nil && json.Unmarshal(rec.Data, &e) == nil:
			r.waitlist.putEntry(e, rec.Version)
		}
	}
}

// add puts a change into the batch.
func (f *fed) add(ch waiting.Change, version uint64) {
	e, b := ch.Entry, &f.batch
	put := storage.Put{Key: entryKey(e), Expect: version}
	if ch.Drop {
		put.Delete = true
		b.Puts = append(b.Puts, put)
		f.dropped = append(f.dropped, e.ID)
		return
	}
	put.Data = encode(e)
	b.Puts = append(b.Puts, put)
	f.entries = append(f.entries, stored[engine.Entry]{e, version + 1})
	detail := map[string]string{"entry": string(e.ID)}
	if e.Current != nil {
		detail["appointment"], detail["start"] = e.Current.Source, e.Current.Start.UTC().Format(time.RFC3339)
	}
	if e.Why != "" {
		detail["why"] = string(e.Why)
	}
	b.Events = append(b.Events, storage.Event{
		Clinic: e.Clinic, Subject: patientSubject(e.Patient), At: time.Now().UTC(), Data: encode(eventData{Event: ch.Event, Detail: detail}),
	})
}

// fed takes in what was kept. What may not have been is worked out again on what the store has.
func (a *dmeActor) fed(c *system.Context, m fed) {
	a.feeding = false
	if m.err != nil {
		if errors.Is(m.err, storage.ErrStale) { // somebody else changed an entry
			c.After(feedStale, feed{m.patients})
			return
		}
		a.r.opt.Logger.Warn("the list could not follow the record system; trying again", "clinic", a.c.ID, "error", m.err)
		c.After(feedAgain, feed{m.patients})
		return
	}
	for _, p := range m.patients {
		a.r.lookAgain(a.r.waitlist.offeredTo(p))
	}
	a.feedNext(c)
}

// knownOf is a patient with the versions of the entries.
type knownOf struct {
	waiting.Known
	versions map[engine.EntryID]uint64
}

// known gathers what is known of the next patients. Those without any wish are not among them.
func (a *dmeActor) known() []knownOf {
	list, by := []knownOf{}, map[string][]int{}
	n := 0
	for id := range a.hungry {
		if n++; n > mostFed {
			break
		}
		k, wishes := a.r.waitlist.wishes(id)
		if !wishes {
			delete(a.hungry, id)
			continue
		}
		for _, s := range append([]string{k.Patient.Source}, k.Patient.Sources...) {
			by[s] = append(by[s], len(list))
		}
		list = append(list, k)
	}
	delete(by, "")
	if len(by) == 0 {
		return list
	}
	for f, start := range a.mirror.Appointments() {
		for _, i := range by[f.Patient] {
			list[i].Appointments = append(list[i].Appointments, a.appointment(f, start))
		}
	}
	return list
}

// appointment is one of the mirror, with what its slot says.
func (a *dmeActor) appointment(f engine.AppointmentFact, start time.Time) waiting.Appointment {
	w := waiting.Appointment{Source: f.Source, Start: start, Live: f.Live, Ours: f.Booking != "", Seen: f.Seen}
	for _, source := range f.Slots {
		if s, ok := a.mirror.Slot(source); ok {
			w.Specialty, w.Practitioner, w.Place = a.c.specialty(s), s.Practitioner, s.Place
			break
		}
	}
	return w
}

// lookAgain has slots look whether they still help the entries that have offers of them.
func (r *Relais) lookAgain(offers map[engine.OfferID]engine.EntryID) {
	for o, e := range offers {
		r.slots.Ref(o.Slot()).Send(entryChanged{e})
	}
}

// follow remembers which entries follow an appointment.
func (w *waitlist) follow(e engine.Entry) {
	if e.Current == nil || !e.Auto && !mayClaim(e) {
		delete(w.tied[e.Clinic], e.ID)
		return
	}
	if w.tied[e.Clinic] == nil {
		w.tied[e.Clinic] = map[engine.EntryID]struct{}{}
	}
	w.tied[e.Clinic][e.ID] = struct{}{}
}

// following lists the patients whose entries follow an appointment.
func (w *waitlist) following(c engine.ClinicID) []engine.PatientID {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]engine.PatientID, 0, len(w.tied[c]))
	for id := range w.tied[c] {
		list = append(list, w.entries[id].value.Patient)
	}
	return list
}

// named lists the patients whom the clinic's record system names so.
func (w *waitlist) named(c engine.ClinicID, sources []string) (list []engine.PatientID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range sources {
		list = append(list, w.sources[source{c, s}]...)
	}
	return list
}

// wishes is what the list has of a patient; false when nothing can follow from appointments.
func (w *waitlist) wishes(id engine.PatientID) (k knownOf, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.Patient = w.patients[id].value
	ok = k.Patient.Sooner != nil
	k.versions = make(map[engine.EntryID]uint64, len(w.of[id]))
	for _, of := range w.of[id] {
		e := w.entries[of]
		k.Entries, k.versions[of] = append(k.Entries, e.value), e.version
		ok = ok || e.value.Auto || mayClaim(e.value)
	}
	for _, twin := range w.sources[source{k.Patient.Clinic, k.Patient.Source}] {
		if twin != id {
			w.standsFor(&k.Known, twin)
		}
	}
	return k, ok
}

// standsFor notes what another record of the same person stands for. Of two that consented, the first
// has the entries.
func (w *waitlist) standsFor(k *waiting.Known, twin engine.PatientID) {
	if k.Elsewhere == nil {
		k.Elsewhere = map[string]bool{}
	}
	for _, of := range w.of[twin] {
		e := w.entries[of].value
		if e.Current != nil && e.Status != engine.Left && (!e.Auto || twin < k.Patient.ID) {
			k.Elsewhere[e.Current.Source] = true
		}
	}
}

// offered lists the open offers of a clinic, and offeredTo those of a patient.
func (w *waitlist) offered(c engine.ClinicID) map[engine.OfferID]engine.EntryID {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := map[engine.OfferID]engine.EntryID{}
	for p, offers := range w.pending {
		if w.patients[p].value.Clinic == c {
			maps.Copy(list, offers)
		}
	}
	return list
}

func (w *waitlist) offeredTo(p engine.PatientID) map[engine.OfferID]engine.EntryID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.pending[p])
}

// forget lets go of entries that are not kept any more.
func (w *waitlist) forget(ids []engine.EntryID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		e := w.entries[id].value
		is := func(other engine.EntryID) bool { return other == id }
		w.of[e.Patient] = slices.DeleteFunc(w.of[e.Patient], is)
		w.clinics[e.Clinic] = slices.DeleteFunc(w.clinics[e.Clinic], is)
		delete(w.tied[e.Clinic], id)
		delete(w.snoozed[e.Clinic], id)
		delete(w.entries, id)
		w.index.Remove(id)
	}
}
