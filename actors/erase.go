package actors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/storage"
)

// Request says who asks for something to be done with a patient's file, from where and why, for the audit log.
type Request struct {
	Who  engine.UserID
	From string
	Why  string
}

// trace is the data of a line of the audit log.
type trace struct {
	At    time.Time     `json:"at"`
	Who   engine.UserID `json:"who,omitempty"`
	From  string        `json:"from,omitempty"`
	What  string        `json:"what"`
	About string        `json:"about,omitempty"`
	Why   string        `json:"why,omitempty"`
	// Before is a salted digest of what was before: it proves later what that was to whoever has kept it.
	Before string `json:"before,omitempty"`
}

func (q Request) event(c engine.ClinicID, now time.Time, what string, about engine.PatientID, before string) storage.Event {
	return storage.Event{Clinic: c, Subject: auditSubject, At: now, Data: encode(trace{
		At: now, Who: q.Who, From: q.From, What: what, About: string(about), Why: q.Why, Before: before,
	})}
}

const (
	redactTogether = 500              // events in one commit
	letGoWithin    = 10 * time.Second // for offers under way to end
	eraseTries     = 5
	eraseAgain     = "an offer or a booking of this person is under way; try again once it is over, in a minute"
)

// ErasePatient takes everything personal about a patient out of the store: what is left is an identifier that
// leads nowhere, anonymous counts, and with silence a digest for each address, so that nobody writes there again. The
// timelines' chain holds. It can be called again after a failure.
func (r *Relais) ErasePatient(ctx context.Context, id engine.ClinicID, pid engine.PatientID, q Request, silence bool) (desk.Erasure, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Erasure{}, err
	}
	p, _, err := r.patientOf(id, pid)
	if err != nil {
		return desk.Erasure{}, err
	}
	if !p.Erased.IsZero() {
		return desk.Erasure{}, engine.Errorf(engine.Conflict, "this patient was erased already")
	}
	if err := r.letGo(ctx, id, pid, q); err != nil {
		return desk.Erasure{}, err
	}
	for try := 0; ; try++ {
		done, err := r.eraseOnce(ctx, c, pid, q, silence)
		if errors.Is(err, storage.ErrStale) && try < eraseTries {
			continue
		}
		if err != nil && engine.CodeOf(err) == engine.Internal {
			err = unavailable(err)
		}
		return done, err
	}
}

// letGo takes the patient off the waitlist and waits until their offers are over.
func (r *Relais) letGo(ctx context.Context, c engine.ClinicID, pid engine.PatientID, q Request) error {
	for _, e := range r.waitlist.list(c, func(e engine.Entry, _ engine.Patient) bool {
		return e.Patient == pid && (mayClaim(e) || e.Status == engine.Linking)
	}) {
		for try := 0; ; try++ {
			was, version, ok := r.waitlist.entry(e.ID)
			if !ok || !mayClaim(was) && was.Status != engine.Linking {
				break
			}
			now := time.Now().UTC()
			was.Status, was.Edit = engine.Left, engine.Edit{N: was.Edit.N + 1, By: q.Who, At: now}
			err := r.store.Commit(ctx, storage.Batch{
				Puts:   []storage.Put{{Key: entryKey(was), Expect: version, Data: encode(was)}},
				Events: []storage.Event{entryEvent(was, "archived", q.Who, now)},
			})
			if errors.Is(err, storage.ErrStale) && try < mostRetries {
				r.refreshEntry(ctx, was)
				continue
			}
			if err != nil {
				return unavailable(err)
			}
			r.waitlist.putEntry(was, version+1)
			break
		}
	}
	r.lookAgain(r.waitlist.offeredTo(pid))
	ctx, cancel := context.WithTimeout(ctx, letGoWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for r.waitlist.busy(pid) != "" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return engine.Errorf(engine.Conflict, eraseAgain)
		}
	}
	return nil
}

func (r *Relais) eraseOnce(ctx context.Context, c *clinic, pid engine.PatientID, q Request, silence bool) (done desk.Erasure, err error) {
	f := r.files()
	w, err := f.find(ctx, c.ID, pid)
	if err != nil {
		return done, err
	}
	for _, s := range w.slots {
		if unfinished(s) && slices.ContainsFunc(s.Offers, func(o slot.Offer) bool { return w.ids[o.Patient] && (o.Status == slot.Pending || o.ID == s.Winner) }) {
			return done, engine.Errorf(engine.Conflict, eraseAgain)
		}
	}
	now := time.Now().UTC()
	done = desk.Erasure{Patient: pid, At: now, Entries: len(w.entries), Offers: len(w.offers), Replies: len(w.unread)}
	if silence {
		for _, a := range w.addresses() {
			if err := r.silence(ctx, a, now); err != nil {
				return done, err
			}
			done.Silenced++
		}
	}
	var gone []storage.Event
	for _, e := range w.events {
		gone = append(gone, withData(e, bare(e.Data)))
	}
	for _, e := range slices.Concat(w.named, w.audit) {
		if text, changed := w.blank(e.Data); changed {
			gone = append(gone, withData(e, text))
		}
	}
	done.Lines = len(gone)
	for part := range slices.Chunk(gone, redactTogether) {
		if err := r.store.Commit(ctx, storage.Batch{Redact: storage.Redaction{Events: part, At: now}}); err != nil {
			return done, err
		}
	}
	if err := f.eraseOffers(ctx, w); err != nil {
		return done, err
	}
	b, entries := w.eraseRest(now)
	b.Events = append(b.Events, q.event(c.ID, now, "patient_erased", pid, ""))
	stub := engine.Patient{ID: pid, Clinic: c.ID, Family: "—", Lang: w.patient.value.Lang, Erased: now, Contacts: []engine.Contact{}, Was: w.patient.value.Was}
	b.Puts = append(b.Puts, storage.Put{Key: patientKey(stub), Expect: w.patient.version, Data: encode(stub)})
	if err := r.store.Commit(ctx, b); err != nil {
		return done, err
	}
	r.waitlist.putPatient(stub, w.patient.version+1)
	for _, m := range w.merged {
		r.waitlist.putPatient(m.value, m.version+1)
	}
	r.waitlist.forget(entries)
	for _, u := range w.unread {
		c.unread.remove(u.Key.ID)
	}
	return done, nil
}

// silence keeps a digest of an address as if it had said STOP.
func (r *Relais) silence(ctx context.Context, a engine.Contact, now time.Time) error {
	digest := r.address(a.Phone, a.Email)
	o := optOutRecord{At: now, Stopped: true}
	var b storage.Batch
	if err := r.word(ctx, &b, digest, o, ""); err != nil {
		return err
	}
	if err := r.store.Commit(ctx, b); err != nil {
		return err
	}
	r.optOuts.put(digest, o)
	return nil
}

// eraseOffers takes out of offers who they were for, and makes their links void.
func (f *files) eraseOffers(ctx context.Context, w *found) error {
	for _, o := range w.offers {
		s := o.value.State
		if !s.Wake.IsZero() || inFlight(s) {
			return engine.Errorf(engine.Conflict, eraseAgain)
		}
		s.Person.Contacts, s.Token = nil, ""
		s.Deliveries = slices.Clone(s.Deliveries)
		for i := range s.Deliveries {
			s.Deliveries[i].Text, s.Deliveries[i].Ref = "", ""
		}
		o.value.State = s
		b := storage.Batch{Puts: []storage.Put{{
			Key:    storage.Key{Clinic: w.clinic, Kind: storage.KindOffer, ID: string(s.Offer)},
			Expect: o.version, Data: encode(o.value),
		}}}
		token, err := f.store.Get(ctx, tokenKeyOf(f.token(s.Offer)))
		switch {
		case err == nil:
			b.Puts = append(b.Puts, storage.Put{Key: token.Key, Expect: token.Version, Delete: true})
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
		if err := f.store.Commit(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// eraseRest is the last commit: entries, replies, orders and merged records go.
func (w *found) eraseRest(now time.Time) (b storage.Batch, entries []engine.EntryID) {
	for _, e := range w.entries {
		b.Puts = append(b.Puts, storage.Put{Key: entryKey(e.value), Expect: e.version, Delete: true})
		entries = append(entries, e.value.ID)
	}
	for i, m := range w.merged {
		w.merged[i].value = engine.Patient{ID: m.value.ID, Clinic: w.clinic, Family: "—", Lang: m.value.Lang, Erased: now, Contacts: []engine.Contact{}, Into: m.value.Into}
		b.Puts = append(b.Puts, storage.Put{Key: patientKey(m.value), Expect: m.version, Data: encode(w.merged[i].value)})
	}
	for _, rec := range slices.Concat(w.unread, w.others) {
		b.Puts = append(b.Puts, storage.Put{Key: rec.Key, Expect: rec.Version, Delete: true})
	}
	for _, o := range w.orders {
		b.Done = append(b.Done, storage.EffectKey{Clinic: w.clinic, ID: o.ID})
	}
	return b, entries
}

func withData(e storage.Event, data []byte) storage.Event {
	e.Data = data
	return e
}

// harmless are the details of a timeline's line that say nothing about a person.
var harmless = map[string]bool{"channel": true, "kind": true, "status": true, "reason": true, "mode": true}

// bare is the data of an event without anything personal: what happened, to which offer, by whom.
func bare(data []byte) []byte {
	var e eventData
	if json.Unmarshal(data, &e) != nil {
		return []byte(`{"event":"erased"}`)
	}
	maps.DeleteFunc(e.Detail, func(k, _ string) bool { return !harmless[k] })
	return encode(e)
}

// isBare reports whether there is nothing left to take out.
func isBare(data []byte) bool {
	var e eventData
	if json.Unmarshal(data, &e) != nil {
		return true
	}
	for k := range e.Detail {
		if !harmless[k] {
			return false
		}
	}
	return true
}

const blanked = "[erased]"

// blank replaces every value of JSON that holds one of the patient's words.
func (w *found) blank(data []byte) (text []byte, changed bool) {
	var v any
	if json.Unmarshal(data, &v) != nil {
		return nil, false
	}
	v, changed = w.blankIn(v)
	return encode(v), changed
}

func (w *found) blankIn(v any) (any, bool) {
	changed := false
	switch v := v.(type) {
	case string:
		for _, s := range w.words {
			if strings.Contains(v, s) {
				return blanked, true
			}
		}
	case []any:
		for i := range v {
			var c bool
			v[i], c = w.blankIn(v[i])
			changed = changed || c
		}
	case map[string]any:
		for k := range v {
			var c bool
			v[k], c = w.blankIn(v[k])
			changed = changed || c
		}
	}
	return v, changed
}

// CorrectPatient writes anew who a patient is, and takes what was there before out of the timelines: only a
// digest of it stays, on the audit log.
func (r *Relais) CorrectPatient(ctx context.Context, id engine.ClinicID, pid engine.PatientID, q Request, in desk.Correction) error {
	for try := 0; ; try++ {
		err := r.correctOnce(ctx, id, pid, q, in)
		if errors.Is(err, storage.ErrStale) && try < eraseTries {
			r.refreshPatients(ctx, []engine.PatientID{pid})
			continue
		}
		return err
	}
}

func (r *Relais) correctOnce(ctx context.Context, id engine.ClinicID, pid engine.PatientID, q Request, in desk.Correction) error {
	w, err := r.files().find(ctx, id, pid)
	if err != nil {
		return err
	}
	if !w.patient.value.Erased.IsZero() {
		return engine.Errorf(engine.Conflict, "this patient was erased")
	}
	now := time.Now().UTC()
	was, p := w.patient.value, w.patient.value
	if in.Born != nil {
		if p.Born, err = birth(*in.Born, now); err != nil {
			return err
		}
	}
	if in.Given != nil {
		p.Given = strings.TrimSpace(*in.Given)
	}
	if in.Family != nil {
		p.Family = strings.TrimSpace(*in.Family)
	}
	if in.Lang != nil {
		p.Lang = *in.Lang
	}
	if p.Given == "" || p.Family == "" || p.Lang != engine.French && p.Lang != engine.English {
		return engine.Errorf(engine.Invalid, "a patient has a given name, a family name, and the language fr or en")
	}
	old := &found{}
	var fields []string
	for _, x := range []struct{ field, was, now string }{
		{"given", was.Given, p.Given}, {"family", was.Family, p.Family}, {"born", dayOf(was.Born), dayOf(p.Born)}, {"lang", string(was.Lang), string(p.Lang)},
	} {
		if x.was == x.now {
			continue
		}
		fields = append(fields, x.field)
		if len(x.was) > 2 {
			old.words = append(old.words, x.was)
		}
	}
	if len(fields) == 0 {
		return engine.Errorf(engine.Invalid, "this is what is written down already")
	}
	p.Edit = engine.Edit{N: was.Edit.N + 1, By: q.Who, At: now}
	b := storage.Batch{
		Puts: []storage.Put{{Key: patientKey(p), Expect: w.patient.version, Data: encode(p)}},
		Events: []storage.Event{
			{Clinic: id, Subject: patientSubject(pid), At: now, Data: encode(eventData{Event: "corrected", By: q.Who, Detail: map[string]string{"fields": strings.Join(fields, ",")}})},
			q.event(id, now, "patient_corrected", pid, saltedDigest(was)),
		},
	}
	var gone []storage.Event
	for _, e := range slices.Concat(w.events, w.named) {
		if text, changed := old.blank(e.Data); changed {
			gone = append(gone, withData(e, text))
		}
	}
	for part := range slices.Chunk(gone, redactTogether) {
		if err := r.store.Commit(ctx, storage.Batch{Redact: storage.Redaction{Events: part, At: now}}); errors.Is(err, storage.ErrStale) {
			return err
		} else if err != nil {
			return unavailable(err)
		}
	}
	if err := r.store.Commit(ctx, b); errors.Is(err, storage.ErrStale) {
		return err
	} else if err != nil {
		return unavailable(err)
	}
	r.waitlist.putPatient(p, w.patient.version+1)
	return nil
}

// saltedDigest is what the audit log keeps of a record: who has the record and the salt can show that it is
// that one.
func saltedDigest(p engine.Patient) string {
	salt := []byte(rand.Text())
	sum := sha256.Sum256(append(append(salt, ':'), encode(p)...))
	return string(salt) + ":" + hex.EncodeToString(sum[:])
}
