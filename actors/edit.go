package actors

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// The methods of this file change who a patient is, for the front desk. Each change is on the patient's
// timeline with who made it, and none is made over another that its author did not see.

// The bounds of what is kept with a patient.
const (
	mostProxies = 6
	mostNotes   = 50
)

func dayOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

func editedBy(e engine.Edit) *desk.Changed {
	if e.N == 0 {
		return nil
	}
	return &desk.Changed{By: e.By, At: e.At}
}

func proxiesOf(p engine.Patient) []desk.Proxy {
	list := []desk.Proxy{}
	for _, x := range p.Proxies {
		list = append(list, desk.Proxy{
			ID: x.ID, Name: x.Name, Relation: x.Relation, Lang: x.Lang, Since: x.Since, Chosen: x.Chosen, Archived: when(x.Archived),
		})
	}
	return list
}

func notesOf(p engine.Patient) []desk.Note {
	list := []desk.Note{}
	for _, n := range slices.Backward(p.Notes) {
		list = append(list, desk.Note{ID: n.ID, At: n.At, By: n.By, Text: n.Text})
	}
	return list
}

// unmoved refuses a change by somebody who looked at something older.
func unmoved(e engine.Edit, revision uint64) error {
	if e.N == revision {
		return nil
	}
	return engine.ChangedBy(e.By, e.At, "somebody changed this meanwhile; look at it again before you decide")
}

// newID makes an identifier that says nothing.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()[:16]) }

// editPatient changes a patient by hand: f gets the patient as it is, and returns it changed with the line for
// the timeline. It is called again when something else changed meanwhile.
func (r *Relais) editPatient(ctx context.Context, id engine.ClinicID, pid engine.PatientID, by engine.UserID, f func(engine.Patient, time.Time) (engine.Patient, eventData, error)) (desk.Record, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Record{}, err
	}
	for try := 0; ; try++ {
		was, version, err := r.patientOf(id, pid)
		if err != nil {
			return desk.Record{}, err
		}
		if was.Into != "" {
			return desk.Record{}, engine.Errorf(engine.Conflict, "this record was merged into another; open that one")
		}
		now := time.Now().UTC()
		p, event, err := f(was, now)
		if err != nil {
			return desk.Record{}, err
		}
		event.By, event.From = by, originOf(ctx)
		p.Edit = engine.Edit{N: was.Edit.N + 1, By: by, At: now}
		err = r.store.Commit(ctx, storage.Batch{
			Puts:   []storage.Put{{Key: patientKey(p), Expect: version, Data: encode(p)}},
			Events: []storage.Event{{Clinic: id, Subject: patientSubject(pid), At: now, Data: encode(event)}},
		})
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			r.refreshPatients(ctx, []engine.PatientID{pid})
			continue
		}
		if err != nil {
			return desk.Record{}, unavailable(err)
		}
		r.waitlist.putPatient(p, version+1)
		if was.Source != p.Source {
			c.sync.Send(feed{[]engine.PatientID{pid}})
		}
		return r.Patient(ctx, id, pid)
	}
}

// ChangePatient writes anew who a patient is. What it was stays on the timeline.
func (r *Relais) ChangePatient(ctx context.Context, id engine.ClinicID, pid engine.PatientID, by engine.UserID, in desk.PatientChange) (desk.Record, error) {
	return r.editPatient(ctx, id, pid, by, func(p engine.Patient, now time.Time) (engine.Patient, eventData, error) {
		e := eventData{Event: "patient_edited", Detail: map[string]string{}}
		if err := unmoved(p.Edit, in.Revision); err != nil {
			return p, e, err
		}
		if in.Given == "" || in.Family == "" || in.Source == "" {
			return p, e, engine.Errorf(engine.Invalid, "a patient has a given name, a family name and a reference of the record system")
		}
		born, err := birth(in.Born, now)
		if err != nil {
			return p, e, err
		}
		if h := in.Hours; h != nil && (h.From < 0 || h.Until > 24*60 || h.From > h.Until) {
			return p, e, engine.Errorf(engine.Invalid, "the hours are no part of a day")
		}
		for _, f := range []struct{ field, was, now string }{
			{"given", p.Given, in.Given},
			{"family", p.Family, in.Family},
			{"lang", string(p.Lang), string(in.Lang)},
			{"born", dayOf(p.Born), dayOf(born)},
			{"source", p.Source, in.Source},
		} {
			if f.was != f.now {
				e.Detail[f.field] = f.was
			}
		}
		p.Given, p.Family, p.Lang, p.Source, p.Born, p.Hours = in.Given, in.Family, in.Lang, in.Source, born, in.Hours
		return p, e, nil
	})
}

func birth(day string, now time.Time) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	born, err := time.Parse(time.DateOnly, day)
	if err != nil || born.After(now) || born.Year() < 1890 {
		return born, engine.Errorf(engine.Invalid, "the date of birth is not one; write it like 1958-03-21")
	}
	return born, nil
}

// ChangeNote adds a note to a patient, or takes one away. The timeline says that, and not what it says.
func (r *Relais) ChangeNote(ctx context.Context, id engine.ClinicID, pid engine.PatientID, by engine.UserID, in desk.NoteChange) (desk.Record, error) {
	return r.editPatient(ctx, id, pid, by, func(p engine.Patient, now time.Time) (engine.Patient, eventData, error) {
		if in.Action == "remove" {
			e := eventData{Event: "note_removed"}
			i := slices.IndexFunc(p.Notes, func(n engine.Note) bool { return n.ID == in.ID })
			if i < 0 {
				return p, e, engine.Errorf(engine.NotFound, "this note is not there any more")
			}
			p.Notes = slices.Delete(slices.Clone(p.Notes), i, i+1)
			return p, e, nil
		}
		e, text := eventData{Event: "note_added"}, strings.TrimSpace(in.Text)
		switch {
		case text == "":
			return p, e, engine.Errorf(engine.Invalid, "write the note")
		case len(p.Notes) >= mostNotes:
			return p, e, engine.Errorf(engine.Invalid, "a patient has at most %d notes; take old ones away first", mostNotes)
		}
		p.Notes = append(slices.Clone(p.Notes), engine.Note{ID: newID("n-"), At: now, By: by, Text: text})
		return p, e, nil
	})
}

// ChangeProxy adds or changes one proxy of a patient. A proxy is chosen only where an offer could reach them.
func (r *Relais) ChangeProxy(ctx context.Context, id engine.ClinicID, pid engine.PatientID, by engine.UserID, in desk.ProxyChange) (desk.Record, error) {
	return r.editPatient(ctx, id, pid, by, func(p engine.Patient, now time.Time) (engine.Patient, eventData, error) {
		e := eventData{Event: "proxy_" + in.Action}
		if err := unmoved(p.Edit, in.Revision); err != nil {
			return p, e, err
		}
		name, relation := strings.TrimSpace(in.Name), strings.TrimSpace(in.Relation)
		if (in.Action == "add" || in.Action == "correct") && (name == "" || relation == "") {
			return p, e, engine.Errorf(engine.Invalid, "say who the proxy is: a name, and how they are related")
		}
		p.Proxies = slices.Clone(p.Proxies)
		if in.Action == "add" {
			if len(p.Proxies) >= mostProxies {
				return p, e, engine.Errorf(engine.Invalid, "a patient has at most %d proxies", mostProxies)
			}
			p.Proxies = append(p.Proxies, engine.Proxy{ID: engine.ProxyID(newID("x-")), Name: name, Relation: relation, Lang: in.Lang, Since: now})
			return p, e, nil
		}
		i := slices.IndexFunc(p.Proxies, func(x engine.Proxy) bool { return x.ID == in.ID && x.Archived.IsZero() })
		if i < 0 {
			return p, e, engine.Errorf(engine.NotFound, "this proxy is not there any more; look at the patient again")
		}
		x := &p.Proxies[i]
		switch in.Action {
		case "correct":
			e.Detail = map[string]string{"name": x.Name, "relation": x.Relation}
			x.Name, x.Relation, x.Lang = name, relation, in.Lang
		case "archive":
			x.Archived, x.Chosen = now, false
			p.Contacts = slices.Clone(p.Contacts)
			for j, c := range p.Contacts {
				if c.Proxy == x.ID && c.Archived.IsZero() {
					p.Contacts[j].Archived = now
				}
			}
		case "choose":
			if !slices.ContainsFunc(p.Contacts, func(c engine.Contact) bool { return c.Proxy == x.ID && c.Usable() }) {
				return p, e, engine.Errorf(engine.Conflict, "nothing reaches this proxy yet: add a contact with consent first")
			}
			x.Chosen = true
		case "release":
			x.Chosen = false
		default:
			return p, e, engine.Errorf(engine.Invalid, "there is no such action")
		}
		return p, e, nil
	})
}
