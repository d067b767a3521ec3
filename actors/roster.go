package actors

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/availability"
	"relais/engine/desk"
	"relais/engine/duplicate"
	"relais/engine/roster"
	"relais/storage"
)

// mostImported is how many lines one commit takes in.
const mostImported = 200

// imported is what one line does.
type imported struct {
	view    desk.ImportLine
	patient *stored[engine.Patient] // nil: stays as it is
	entry   *stored[engine.Entry]
}

// Import reads a waitlist from a file, or only says what each of its lines would do. Lines that are good are
// taken in, the others are left out and say why; a second import of the same file does nothing. Phone and
// Mail of how read addresses.
func (r *Relais) Import(ctx context.Context, id engine.ClinicID, by engine.UserID, file []byte, dry bool, how roster.Clinic) (desk.Import, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Import{}, err
	}
	sheet, err := roster.Read(file)
	if err != nil {
		return desk.Import{}, err
	}
	how.Lang, how.Practitioners, how.Places, how.Now = c.Lang, c.Practitioners, c.Places, time.Now().UTC()
	good, bad := roster.Check(sheet, how)
	out := desk.Import{Lines: []desk.ImportLine{}, Ignored: append([]string{}, sheet.Ignored...), Done: !dry}
	for _, l := range bad {
		out.Lines = append(out.Lines, badLine(l))
	}
	for len(good) > 0 {
		some := good[:min(mostImported, len(good))]
		good = good[len(some):]
		lines, err := r.takeIn(ctx, c, by, some, dry)
		if err != nil {
			return out, err
		}
		for _, l := range lines {
			out.Lines = append(out.Lines, l.view)
		}
	}
	slices.SortFunc(out.Lines, func(a, b desk.ImportLine) int { return a.Line - b.Line })
	for _, l := range out.Lines {
		switch l.Does {
		case "new":
			out.New++
		case "update":
			out.Update++
		case "same":
			out.Same++
		case "duplicate":
			out.Duplicate++
		default:
			out.Bad++
		}
	}
	return out, nil
}

func badLine(l roster.Line) desk.ImportLine {
	line := desk.ImportLine{Line: l.Number, Does: "bad", Name: strings.TrimSpace(l.Cells[roster.Given] + " " + l.Cells[roster.Family])}
	for _, f := range l.Faults {
		cell := []rune(l.Cells[f.Column])
		line.Faults = append(line.Faults, desk.ImportFault{Column: f.Column, Why: f.Why, Cell: string(cell[:min(len(cell), 80)])})
	}
	return line
}

// takeIn keeps what some lines come to in one commit, or works it out only.
func (r *Relais) takeIn(ctx context.Context, c *clinic, by engine.UserID, people []roster.Person, dry bool) ([]imported, error) {
	for try := 0; ; try++ {
		now := time.Now().UTC()
		twins := r.waitlist.lookalikes(c.ID)
		lines := make([]imported, 0, len(people))
		var b storage.Batch
		for _, p := range people {
			l := r.planLine(c, p, by, now, twins)
			lines = append(lines, l)
			l.into(&b, by, now)
		}
		if dry || len(b.Puts) == 0 {
			return lines, nil
		}
		err := r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			for _, l := range lines {
				if l.patient != nil {
					r.refreshPatients(ctx, []engine.PatientID{l.patient.value.ID})
				}
				if l.entry != nil {
					r.refreshEntry(ctx, l.entry.value)
				}
			}
			continue
		}
		if err != nil {
			return nil, unavailable(err)
		}
		var fresh []engine.PatientID
		for _, l := range lines {
			if l.patient != nil {
				r.waitlist.putPatient(l.patient.value, l.patient.version+1)
				fresh = append(fresh, l.patient.value.ID)
			}
			if l.entry != nil {
				r.waitlist.putEntry(l.entry.value, l.entry.version+1)
				fresh = append(fresh, l.entry.value.Patient)
			}
		}
		c.sync.Send(feed{fresh})
		return lines, nil
	}
}

// into adds what a line changes to a batch.
func (l imported) into(b *storage.Batch, by engine.UserID, now time.Time) {
	if l.patient != nil {
		p := l.patient.value
		b.Puts = append(b.Puts, storage.Put{Key: patientKey(p), Expect: l.patient.version, Data: encode(p)})
	}
	if l.entry != nil {
		e := l.entry.value
		b.Puts = append(b.Puts, storage.Put{Key: entryKey(e), Expect: l.entry.version, Data: encode(e)})
	}
	event := eventData{Event: "imported", By: by, Detail: map[string]string{"line": strconv.Itoa(l.view.Line), "alters": strings.Join(l.view.Alters, ",")}}
	switch {
	case l.patient != nil:
		b.Events = append(b.Events, storage.Event{Clinic: l.patient.value.Clinic, Subject: patientSubject(l.patient.value.ID), At: now, Data: encode(event)})
	case l.entry != nil:
		b.Events = append(b.Events, storage.Event{Clinic: l.entry.value.Clinic, Subject: patientSubject(l.entry.value.Patient), At: now, Data: encode(event)})
	}
}

// lookalikes are the people of a clinic by folded name and date of birth, and by address.
func (w *waitlist) lookalikes(c engine.ClinicID) map[string]engine.PatientID {
	by := map[string]engine.PatientID{}
	for _, p := range w.people(c) {
		if p.Into != "" {
			continue
		}
		if !p.Born.IsZero() {
			by[dayOf(p.Born)+duplicate.Name(p.Given, p.Family)] = p.ID
		}
		for _, x := range p.Contacts {
			if x.Proxy == "" {
				by[addressOf(x)] = p.ID
			}
		}
	}
	return by
}

// planLine says what a line does.
func (r *Relais) planLine(c *clinic, in roster.Person, by engine.UserID, now time.Time, twins map[string]engine.PatientID) imported {
	l := imported{view: desk.ImportLine{Line: in.Number, Name: in.Given + " " + in.Family}}
	for _, id := range r.waitlist.named(c.ID, []string{in.Source}) {
		if p, version, ok := r.waitlist.patient(id); ok && p.Into == "" {
			r.planUpdate(&l, c, stored[engine.Patient]{p, version}, in, by, now)
			return l
		}
	}
	if !in.Born.IsZero() {
		if twin, ok := twins[dayOf(in.Born)+duplicate.Name(in.Given, in.Family)]; ok {
			l.view.Does, l.view.Like = "duplicate", r.label(twin)
			return l
		}
	}
	for _, x := range in.Contacts {
		if twin, ok := twins[addressOf(x)]; ok {
			l.view.Like = r.label(twin)
		}
	}
	l.view.Does = "new"
	lang := in.Lang
	if lang == "" {
		lang = c.Lang
	}
	p := engine.Patient{
		ID: engine.PatientID(newID("p-")), Clinic: c.ID, Given: in.Given, Family: in.Family, Lang: lang, Born: in.Born, Source: in.Source,
		Edit: engine.Edit{N: 1, By: by, At: now},
	}
	for _, x := range in.Contacts {
		p.Contacts = append(p.Contacts, r.consented(x, now))
	}
	if in.Note != "" {
		p.Notes = []engine.Note{{ID: newID("n-"), At: now, By: by, Text: in.Note}}
	}
	l.patient = &stored[engine.Patient]{value: p}
	l.entry = &stored[engine.Entry]{value: freshEntry(c, p.ID, in, by, now)}
	return l
}

// consented is a contact of a line as it is kept: with consent where the line says how it was given. A
// consent that somebody writes down does not undo a STOP.
func (r *Relais) consented(c engine.Contact, now time.Time) engine.Contact {
	if c.Proof != "" {
		c.Consent = now
	}
	c.OptedOut = r.silenced(c)
	return c
}

func freshEntry(c *clinic, p engine.PatientID, in roster.Person, by engine.UserID, now time.Time) engine.Entry {
	e := in.Wish
	e.ID, e.Clinic, e.Patient, e.Status, e.Edit = engine.EntryID(newID("e-")), c.ID, p, engine.Waiting, engine.Edit{N: 1, By: by, At: now}
	if e.Joined.IsZero() {
		e.Joined = now
	}
	return e
}

// planUpdate says what a line alters of somebody who is known. An empty cell alters nothing, and nothing is
// taken away. Who left the list is not put on it again: an old file would bring back who has had their visit.
func (r *Relais) planUpdate(l *imported, c *clinic, was stored[engine.Patient], in roster.Person, by engine.UserID, now time.Time) {
	p := was.value
	alter := func(col roster.Column) { l.view.Alters = append(l.view.Alters, string(col)) }
	if p.Given != in.Given {
		p.Given = in.Given
		alter(roster.Given)
	}
	if p.Family != in.Family {
		p.Family = in.Family
		alter(roster.Family)
	}
	if !in.Born.IsZero() && !in.Born.Equal(p.Born) {
		p.Born = in.Born
		alter(roster.Born)
	}
	if in.Lang != "" && in.Lang != p.Lang {
		p.Lang = in.Lang
		alter(roster.Lang)
	}
	p.Contacts = slices.Clone(p.Contacts)
	for _, x := range in.Contacts {
		r.planContact(&p, x, now, alter)
	}
	if in.Note != "" && len(p.Notes) < mostNotes && !slices.ContainsFunc(p.Notes, func(n engine.Note) bool { return n.Text == in.Note }) {
		p.Notes = append(slices.Clone(p.Notes), engine.Note{ID: newID("n-"), At: now, By: by, Text: in.Note})
		alter(roster.Note)
	}
	if len(l.view.Alters) > 0 {
		p.Edit = engine.Edit{N: p.Edit.N + 1, By: by, At: now}
		l.patient = &stored[engine.Patient]{p, was.version}
	}
	r.planEntry(l, c, p.ID, in, by, now, alter)
	l.view.Does = "same"
	if len(l.view.Alters) > 0 {
		l.view.Does = "update"
	}
}

func (r *Relais) planContact(p *engine.Patient, x engine.Contact, now time.Time, alter func(roster.Column)) {
	i := slices.IndexFunc(p.Contacts, func(c engine.Contact) bool {
		return c.Channel == x.Channel && strings.EqualFold(addressOf(c), addressOf(x)) && c.Proxy == ""
	})
	switch {
	case i < 0 && len(p.Contacts) < mostContacts:
		p.Contacts = append(p.Contacts, r.consented(x, now))
		if x.Channel == engine.EmailMail {
			alter(roster.Email)
		} else {
			alter(roster.Phone)
		}
	case i >= 0 && p.Contacts[i].Consent.IsZero() && x.Proof != "":
		fresh := r.consented(x, now)
		p.Contacts[i].Consent, p.Contacts[i].Proof, p.Contacts[i].OptedOut = fresh.Consent, fresh.Proof, fresh.OptedOut
		alter(roster.Proof)
	}
}

// planEntry says what a line alters of the wish.
func (r *Relais) planEntry(l *imported, c *clinic, p engine.PatientID, in roster.Person, by engine.UserID, now time.Time, alter func(roster.Column)) {
	var old *stored[engine.Entry]
	for _, e := range r.waitlist.list(c.ID, func(e engine.Entry, _ engine.Patient) bool {
		return e.Patient == p && e.Specialty == in.Wish.Specialty && !e.Auto
	}) {
		if _, version, ok := r.waitlist.entry(e.ID); ok && (old == nil || mayClaim(e)) {
			old = &stored[engine.Entry]{e, version}
		}
	}
	if old == nil {
		alter(roster.Specialty)
		l.entry = &stored[engine.Entry]{value: freshEntry(c, p, in, by, now)}
		return
	}
	if !mayClaim(old.value) {
		return
	}
	e, w, before := old.value, in.Wish, len(l.view.Alters)
	if in.Said[roster.Practitioners] && !slices.Equal(e.Practitioners, w.Practitioners) {
		e.Practitioners = w.Practitioners
		alter(roster.Practitioners)
	}
	if in.Said[roster.Places] && !slices.Equal(e.Places, w.Places) {
		e.Places = w.Places
		alter(roster.Places)
	}
	if in.Said[roster.Availability] && !slices.Equal(e.Windows, w.Windows) {
		e.Windows = w.Windows
		alter(roster.Availability)
	}
	if in.Said[roster.PostalCode] && (e.Home == nil || *e.Home != *w.Home) {
		e.Home = w.Home
		alter(roster.PostalCode)
	}
	if in.Said[roster.Radius] && e.RadiusKm != w.RadiusKm {
		e.RadiusKm = w.RadiusKm
		alter(roster.Radius)
	}
	if in.Said[roster.Notice] && e.Notice != w.Notice {
		e.Notice = w.Notice
		alter(roster.Notice)
	}
	if in.Said[roster.Class] && e.Class != w.Class {
		e.Class = w.Class
		alter(roster.Class)
	}
	if len(l.view.Alters) > before {
		e.Edit = engine.Edit{N: e.Edit.N + 1, By: by, At: now}
		l.entry = &stored[engine.Entry]{e, old.version}
	}
}

// Export writes a clinic's waitlist as a file that Import takes: everybody who waits or is snoozed. Notes and
// the place of the home stay here.
func (r *Relais) Export(_ context.Context, id engine.ClinicID, lang engine.Lang) ([]byte, error) {
	if _, err := r.clinic(id); err != nil {
		return nil, err
	}
	entries := r.waitlist.list(id, func(e engine.Entry, _ engine.Patient) bool { return mayClaim(e) && !e.Auto })
	var lines []map[roster.Column]string
	for _, e := range entries {
		p, _, ok := r.waitlist.patient(e.Patient)
		if ok {
			lines = append(lines, exported(e, p, lang))
		}
	}
	var out bytes.Buffer
	if err := roster.Write(&out, lang, lines); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func exported(e engine.Entry, p engine.Patient, lang engine.Lang) map[roster.Column]string {
	m := map[roster.Column]string{
		roster.Source: p.Source, roster.Family: p.Family, roster.Given: p.Given, roster.Born: dayOf(p.Born), roster.Lang: string(p.Lang),
		roster.Specialty: string(e.Specialty), roster.Availability: availability.Describe(e.Windows, lang), roster.Class: strconv.Itoa(e.Class),
		roster.Notice: strconv.Itoa(int(e.Notice / time.Minute)), roster.Joined: e.Joined.Format(time.DateOnly), roster.Status: string(e.Status),
	}
	var chosen, with, at []string
	for _, x := range p.Contacts {
		if x.Proxy != "" || !x.Archived.IsZero() {
			continue
		}
		if x.Phone != "" && m[roster.Phone] == "" {
			m[roster.Phone] = national(x.Phone)
		}
		if x.Email != "" && m[roster.Email] == "" {
			m[roster.Email] = string(x.Email)
		}
		if !x.Consent.IsZero() && x.Proof != "" && !slices.Contains(chosen, string(x.Channel)) {
			chosen = append(chosen, string(x.Channel))
			if m[roster.Proof] == "" {
				m[roster.Proof] = x.Proof
			}
		}
	}
	for _, id := range e.Practitioners {
		with = append(with, string(id))
	}
	for _, id := range e.Places {
		at = append(at, string(id))
	}
	m[roster.Channels], m[roster.Practitioners], m[roster.Places] = strings.Join(chosen, ", "), strings.Join(with, ", "), strings.Join(at, ", ")
	return m
}

// national is a number of North America as people write it, which no spreadsheet takes for a sum.
func national(p engine.Phone) string {
	s := string(p)
	if len(s) == 12 && strings.HasPrefix(s, "+1") {
		return s[2:5] + " " + s[5:8] + "-" + s[8:]
	}
	return s
}
