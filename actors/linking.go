package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// Who joins by themselves is not booked before somebody says who of the record system's patients they are:
// the record system itself, when its search finds exactly one, or the front desk.

// PatientFinder searches a record system for a patient. A DME may be one.
type PatientFinder interface {
	// FindPatients returns the references of everybody with this name and date of birth who has one of these
	// telephones or mailboxes. Errors are *engine.DMEFailure.
	FindPatients(ctx context.Context, who engine.Seeker) ([]string, error)
}

// seeker is what a record system is asked about a patient; false when too little is known to tell two people
// apart.
func seeker(p engine.Patient) (engine.Seeker, bool) {
	s := engine.Seeker{Given: p.Given, Family: p.Family, Born: p.Born}
	for _, c := range p.Contacts {
		if c.Consent.IsZero() || !c.Archived.IsZero() {
			continue
		}
		if c.Phone != "" && !slices.Contains(s.Phones, c.Phone) {
			s.Phones = append(s.Phones, c.Phone)
		}
		if c.Email != "" && !slices.Contains(s.Emails, c.Email) {
			s.Emails = append(s.Emails, c.Email)
		}
	}
	return s, !p.Born.IsZero() && len(s.Phones)+len(s.Emails) > 0
}

// find carries out an order to look for somebody in the record system. Whoever is not found exactly once waits
// for the front desk.
func (r *Relais) find(ctx context.Context, c *clinic, o order, last bool) (again bool, err error) {
	done := storage.Batch{Done: []storage.EffectKey{{Clinic: c.ID, ID: o.ID}}}
	p, _, ok := r.waitlist.patient(o.Patient)
	finder, can := c.dme.(PatientFinder)
	who, enough := seeker(p)
	if !ok || p.Source != "" || !can || !enough {
		return false, r.store.Commit(ctx, done)
	}
	sources, err := finder.FindPatients(ctx, who)
	if err != nil && !last {
		return true, nil
	}
	ctx = context.WithoutCancel(ctx)
	if err != nil || len(sources) != 1 || r.waitlist.calledSo(c.ID, sources[0], p.ID) != "" {
		return false, r.store.Commit(ctx, done)
	}
	if _, err := r.linkWith(ctx, c, p.ID, sources[0], "", done.Done); err != nil && engine.CodeOf(err) != engine.Conflict {
		return false, err
	}
	return false, r.store.Commit(ctx, done)
}

// calledSo returns another patient of the clinic that the record system calls so; "" when there is none.
func (w *waitlist) calledSo(c engine.ClinicID, called string, than engine.PatientID) engine.PatientID {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.sources[source{c, called}] {
		if id != than && w.patients[id].value.Into == "" {
			return id
		}
	}
	return ""
}

// linkWith writes down what the record system calls somebody who joined; from then on they are offered slots.
func (r *Relais) linkWith(ctx context.Context, c *clinic, id engine.PatientID, called string, by engine.UserID, done []storage.EffectKey) (engine.Patient, error) {
	p, err := r.changePatient(ctx, id, func(p *engine.Patient, now time.Time) (storage.Batch, error) {
		if p.Source != "" && p.Source != called {
			return storage.Batch{}, engine.Errorf(engine.Conflict, "this person was linked with another reference meanwhile; look at it again")
		}
		p.Source = called
		b := storage.Batch{Done: done, Events: []storage.Event{{Clinic: c.ID, Subject: patientSubject(id), At: now, Data: encode(eventData{
			Event: "linked", By: by, Detail: map[string]string{"source": called},
		})}}}
		r.eachEntry(id, func(e engine.Entry, version uint64) {
			if e.Status == engine.Linking {
				e.Status = engine.Waiting
				b.Puts = append(b.Puts, storage.Put{Key: entryKey(e), Expect: version, Data: encode(e)})
			}
		})
		return b, nil
	})
	if err == nil {
		r.opt.Metrics.Joined(c.ID, "linked")
	}
	return p, err
}

// eachEntry shows the entries of a patient, as memory has them.
func (r *Relais) eachEntry(id engine.PatientID, f func(engine.Entry, uint64)) {
	r.waitlist.mu.Lock()
	ids := slices.Clone(r.waitlist.of[id])
	r.waitlist.mu.Unlock()
	for _, e := range ids {
		if entry, version, ok := r.waitlist.entry(e); ok {
			f(entry, version)
		}
	}
}

// rereadEntries reads the entries of a patient again.
func (r *Relais) rereadEntries(ctx context.Context, id engine.PatientID) {
	r.eachEntry(id, func(e engine.Entry, _ uint64) {
		if rec, err := r.store.Get(ctx, entryKey(e)); err == nil && decodeInto(rec.Data, &e) {
			r.waitlist.putEntry(e, rec.Version)
		}
	})
}

// mostNewcomers bounds each list of Newcomers.
const mostNewcomers = 200

// Newcomers lists who joined and is to be linked, and who did not answer whether they are still looking.
func (r *Relais) Newcomers(_ context.Context, id engine.ClinicID) (desk.Newcomers, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Newcomers{}, err
	}
	n := desk.Newcomers{Open: c.open(), Joining: []desk.Joining{}, Quiet: []desk.Quiet{}}
	entries := r.waitlist.list(id, func(e engine.Entry, _ engine.Patient) bool {
		return e.Status == engine.Linking || e.Status == engine.Snoozed && e.Quiet
	})
	slices.SortStableFunc(entries, func(a, b engine.Entry) int { return a.Joined.Compare(b.Joined) })
	for _, e := range entries {
		p, _, _ := r.waitlist.patient(e.Patient)
		name := p.Given + " " + p.Family
		switch {
		case e.Quiet && len(n.Quiet) < mostNewcomers:
			q := desk.Quiet{Entry: e.ID, Patient: p.ID, Name: name}
			if p.Still != nil {
				q.Asked = p.Still.Asked
			}
			n.Quiet = append(n.Quiet, q)
		case e.Status == engine.Linking && len(n.Joining) < mostNewcomers:
			n.Joining = append(n.Joining, joiningOf(e, p, name))
		}
	}
	return n, nil
}

func joiningOf(e engine.Entry, p engine.Patient, name string) desk.Joining {
	j := desk.Joining{
		Entry: e.ID, Patient: p.ID, Name: name, Lang: p.Lang, Contacts: []desk.Contact{}, Specialty: e.Specialty, Joined: e.Joined, Source: p.Source,
	}
	if !p.Born.IsZero() {
		j.Born = p.Born.Format(time.DateOnly)
	}
	for i, k := range p.Contacts {
		j.Contacts = append(j.Contacts, contactOf(i, k))
	}
	for _, x := range p.Answering() {
		j.Relation = x.Name + " (" + x.Relation + ")"
	}
	return j
}

// SearchRecords asks the record system who somebody that joined may be.
func (r *Relais) SearchRecords(ctx context.Context, id engine.ClinicID, pid engine.PatientID) (desk.Found, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Found{}, err
	}
	p, _, err := r.patientOf(id, pid)
	if err != nil {
		return desk.Found{}, err
	}
	f := desk.Found{Sources: []string{}}
	finder, can := c.dme.(PatientFinder)
	who, enough := seeker(p)
	if f.Can = can && enough; !f.Can {
		return f, nil
	}
	found, err := finder.FindPatients(ctx, who)
	if err != nil {
		return f, &engine.Error{Code: engine.Unavailable, Message: "the record system does not answer; try again in a moment", Err: err}
	}
	f.Sources = append(f.Sources, found...)
	return f, nil
}

// DecideJoin links somebody who joined with the record system, or takes them off the list. Errors:
// engine.Conflict when the reference is somebody else's here, or the person was linked otherwise meanwhile.
func (r *Relais) DecideJoin(ctx context.Context, id engine.ClinicID, pid engine.PatientID, by engine.UserID, in desk.JoinDecision) (desk.Newcomers, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Newcomers{}, err
	}
	if _, _, err := r.patientOf(id, pid); err != nil {
		return desk.Newcomers{}, err
	}
	called := strings.TrimSpace(in.Source)
	switch {
	case in.Action == "refuse":
		err = r.refuse(ctx, c, pid, by)
	case called == "":
		err = engine.Errorf(engine.Invalid, "write what the record system calls this person, for example Patient/17")
	case r.waitlist.calledSo(id, called, pid) != "":
		err = engine.Errorf(engine.Conflict, "somebody on the list has this reference already; merge the two there")
	default:
		_, err = r.linkWith(ctx, c, pid, called, by, nil)
	}
	if err != nil {
		return desk.Newcomers{}, err
	}
	return r.Newcomers(ctx, id)
}

func (r *Relais) refuse(ctx context.Context, c *clinic, id engine.PatientID, by engine.UserID) error {
	_, err := r.changePatient(ctx, id, func(p *engine.Patient, now time.Time) (storage.Batch, error) {
		b := storage.Batch{Events: []storage.Event{{Clinic: c.ID, Subject: patientSubject(id), At: now, Data: encode(eventData{Event: "join_refused", By: by})}}}
		r.eachEntry(id, func(e engine.Entry, version uint64) {
			if e.Status == engine.Linking {
				e.Status = engine.Left
				b.Puts = append(b.Puts, storage.Put{Key: entryKey(e), Expect: version, Data: encode(e)})
			}
		})
		return b, nil
	})
	if err == nil {
		r.opt.Metrics.Joined(c.ID, "refused")
	}
	return err
}

// expireJoins forgets who showed no contact in time.
func (r *Relais) expireJoins(ctx context.Context, c *clinic) error {
	for id, j := range r.joins.expired(c.ID, time.Now()) {
		err := r.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: joinKey(c.ID, id), Expect: j.version, Delete: true}}})
		if errors.Is(err, storage.ErrStale) {
			err = r.rereadJoin(ctx, c.ID, id)
		}
		if err != nil {
			return err
		}
		if j.value.Patient == "" && !j.value.Known {
			r.opt.Metrics.Joined(c.ID, "expired")
		}
		r.joins.remove(id)
	}
	return nil
}
