package actors

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"relais/engine"
	"relais/engine/match"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
)

// waitlist is every waiting patient in memory: one matcher whatever the store. It is fed with
// what was committed, and holds who is being asked right now. Safe for concurrent use.
type waitlist struct {
	mu       sync.Mutex
	index    *match.Index
	entries  map[engine.EntryID]stored[engine.Entry]
	patients map[engine.PatientID]stored[engine.Patient]
	of       map[engine.PatientID][]engine.EntryID
	clinics  map[engine.ClinicID][]engine.EntryID
	phones   map[engine.Phone][]engine.PatientID
	emails   map[engine.Email][]engine.PatientID
	pending  map[engine.PatientID]map[engine.OfferID]engine.EntryID // offers that may be answered
	reserved map[engine.PatientID]engine.SlotID                     // chosen by a wave that is being committed
	rested   map[engine.ClinicID]time.Time                          // when old offers were last forgotten in the order
	sources  map[source][]engine.PatientID                          // of the record systems' patients
	tied     map[engine.ClinicID]map[engine.EntryID]struct{}        // entries that follow an appointment
	snoozed  map[engine.ClinicID]map[engine.EntryID]time.Time       // entries that wait again from then
}

// source is a patient as a clinic's record system names it.
type source struct {
	clinic  engine.ClinicID
	patient string
}

// stored is a value with the version that the store has of it.
type stored[T any] struct {
	value   T
	version uint64
}

func newWaitlist() *waitlist {
	return &waitlist{
		index:    match.New(),
		entries:  map[engine.EntryID]stored[engine.Entry]{},
		patients: map[engine.PatientID]stored[engine.Patient]{},
		of:       map[engine.PatientID][]engine.EntryID{},
		clinics:  map[engine.ClinicID][]engine.EntryID{},
		phones:   map[engine.Phone][]engine.PatientID{},
		emails:   map[engine.Email][]engine.PatientID{},
		pending:  map[engine.PatientID]map[engine.OfferID]engine.EntryID{},
		reserved: map[engine.PatientID]engine.SlotID{},
		rested:   map[engine.ClinicID]time.Time{},
		sources:  map[source][]engine.PatientID{},
		tied:     map[engine.ClinicID]map[engine.EntryID]struct{}{},
		snoozed:  map[engine.ClinicID]map[engine.EntryID]time.Time{},
	}
}

// putEntry takes in what the store has; an older version than the known one is ignored.
func (w *waitlist) putEntry(e engine.Entry, version uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old, known := w.entries[e.ID]
	if known && old.version >= version {
		return
	}
	w.entries[e.ID] = stored[engine.Entry]{e, version}
	if known && old.value.Patient != e.Patient { // its patient was merged into another
		w.of[old.value.Patient] = slices.DeleteFunc(w.of[old.value.Patient], func(id engine.EntryID) bool { return id == e.ID })
	}
	if !known || old.value.Patient != e.Patient {
		w.of[e.Patient] = append(w.of[e.Patient], e.ID)
	}
	if !known {
		w.clinics[e.Clinic] = append(w.clinics[e.Clinic], e.ID)
	}
	w.follow(e)
	w.doze(e)
	w.indexEntry(e)
}

// putPatient is putEntry for patients.
func (w *waitlist) putPatient(p engine.Patient, version uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old, known := w.patients[p.ID]
	if known && old.version >= version {
		return
	}
	w.patients[p.ID] = stored[engine.Patient]{p, version}
	w.name(old.value, p)
	for _, c := range old.value.Contacts {
		drop(w.phones, c.Phone, p.ID)
		drop(w.emails, c.Email, p.ID)
	}
	for _, c := range p.Contacts {
		add(w.phones, c.Phone, p.ID)
		add(w.emails, c.Email, p.ID)
	}
	if len(old.value.Offered) != len(p.Offered) {
		for _, id := range w.of[p.ID] { // fatigue changes the order
			w.indexEntry(w.entries[id].value)
		}
	}
}

// name keeps whom the record system calls what.
func (w *waitlist) name(old, p engine.Patient) {
	for _, s := range append([]string{old.Source}, old.Sources...) {
		key := source{p.Clinic, s}
		if w.sources[key] = slices.DeleteFunc(w.sources[key], func(id engine.PatientID) bool { return id == p.ID }); len(w.sources[key]) == 0 {
			delete(w.sources, key)
		}
	}
	for _, s := range append([]string{p.Source}, p.Sources...) {
		if key := (source{p.Clinic, s}); s != "" && !slices.Contains(w.sources[key], p.ID) {
			w.sources[key] = append(w.sources[key], p.ID)
		}
	}
}

func (w *waitlist) indexEntry(e engine.Entry) {
	if e.Status != engine.Waiting {
		w.index.Remove(e.ID)
		return
	}
	w.index.Put(e, recent(w.patients[e.Patient].value, time.Now()))
}

func add[K ~string](m map[K][]engine.PatientID, k K, id engine.PatientID) {
	if k != "" && !slices.Contains(m[k], id) {
		m[k] = append(m[k], id)
	}
}

func drop[K ~string](m map[K][]engine.PatientID, k K, id engine.PatientID) {
	rest := slices.DeleteFunc(m[k], func(p engine.PatientID) bool { return p == id })
	if len(rest) == 0 {
		delete(m, k)
		return
	}
	m[k] = rest
}

func (w *waitlist) entry(id engine.EntryID) (engine.Entry, uint64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.entries[id]
	return e.value, e.version, ok
}

func (w *waitlist) patient(id engine.PatientID) (engine.Patient, uint64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.patients[id]
	return p.value, p.version, ok
}

// byContact returns whose phone or mailbox it is.
func (w *waitlist) byContact(phone engine.Phone, email engine.Email) []engine.PatientID {
	w.mu.Lock()
	defer w.mu.Unlock()
	if phone != "" {
		return slices.Clone(w.phones[phone])
	}
	return slices.Clone(w.emails[email])
}

// opened remembers that an offer may be answered; ended forgets it.
func (w *waitlist) opened(p engine.PatientID, o engine.OfferID, e engine.EntryID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending[p] == nil {
		w.pending[p] = map[engine.OfferID]engine.EntryID{}
	}
	w.pending[p][o] = e
}

func (w *waitlist) ended(p engine.PatientID, o engine.OfferID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending[p], o)
	if len(w.pending[p]) == 0 {
		delete(w.pending, p)
	}
}

// otherOffers returns the open offers of an entry for other slots than one.
func (w *waitlist) otherOffers(e engine.EntryID, than engine.SlotID) []engine.OfferID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var others []engine.OfferID
	for o, entry := range w.pending[w.entries[e].value.Patient] {
		if entry == e && o.Slot() != than {
			others = append(others, o)
		}
	}
	return others
}

// asking reports whether an offer may be answered.
func (w *waitlist) asking(p engine.PatientID, o engine.OfferID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.pending[p][o]
	return ok
}

// optedOut reports whether the patient wants nothing on a contact any more.
func (w *waitlist) optedOut(p engine.PatientID, c engine.Contact) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.patients[p].value.Contacts, func(now engine.Contact) bool {
		return now.Channel == c.Channel && now.Phone == c.Phone && now.Email == c.Email && !now.OptedOut.IsZero()
	})
}

// mayClaim reports whether an entry may win a slot.
func mayClaim(e engine.Entry) bool { return e.Status == engine.Waiting || e.Status == engine.Snoozed }

// helps reports whether an entry may win this very slot: a present appointment is later.
func helps(e engine.Entry, s engine.Slot) bool {
	return mayClaim(e) && (e.Current == nil || e.Current.Start.After(s.Start))
}

// reserve marks patients as being asked for a slot, or none of them and false when one of them is
// being asked for another slot meanwhile.
func (w *waitlist) reserve(s engine.SlotID, patients []engine.PatientID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range patients {
		if by, taken := w.reserved[p]; (taken && by != s) || len(w.pending[p]) > 0 {
			return false
		}
	}
	for _, p := range patients {
		w.reserved[p] = s
	}
	return true
}

func (w *waitlist) release(patients []engine.PatientID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range patients {
		delete(w.reserved, p)
	}
}

// releaseAll gives up what a slot had reserved before its actor lost its memory.
func (w *waitlist) releaseAll(s engine.SlotID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.reserved, func(_ engine.PatientID, by engine.SlotID) bool { return by == s })
}

// most candidates that a slot looks at for one wave.
const mostCandidates = 100

// candidates ranks who may be asked for the slot now.
func (w *waitlist) candidates(c *clinic, s slot.State, now time.Time) []engine.Candidate {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest(c.ID, now)
	asked := askedBefore(s)
	q := c.query(s.Slot, now)
	q.Limit = mostCandidates
	q.Accept = func(cand *engine.Candidate) bool {
		return w.obstacle(c, s.Slot, asked, cand, now) == ""
	}
	return w.index.Rank(nil, q)
}

// rest moves people up again, once a day, whose offers are long ago.
func (w *waitlist) rest(c engine.ClinicID, now time.Time) {
	last, known := w.rested[c]
	if known && now.Sub(last) < 24*time.Hour {
		return
	}
	w.rested[c] = now
	if !known {
		return // just loaded
	}
	for _, id := range w.clinics[c] {
		e := w.entries[id].value
		if e.Status == engine.Waiting && len(w.patients[e.Patient].value.Offered) > 0 {
			w.indexEntry(e)
		}
	}
}

func askedBefore(s slot.State) map[engine.PatientID]bool {
	asked := make(map[engine.PatientID]bool, len(s.Asked)+len(s.Offers))
	for _, p := range s.Asked {
		asked[p] = true
	}
	for _, o := range s.Offers {
		asked[o.Patient] = true
	}
	return asked
}

// obstacle says why an entry that fits is not asked now, and fills in the candidate's channel.
func (w *waitlist) obstacle(c *clinic, s engine.Slot, asked map[engine.PatientID]bool, cand *engine.Candidate, now time.Time) match.Obstacle {
	if asked[cand.Patient] {
		return match.AskedBefore
	}
	if _, taken := w.reserved[cand.Patient]; taken || len(w.pending[cand.Patient]) > 0 {
		return match.Outstanding
	}
	p, ok := w.patients[cand.Patient]
	if !ok || p.value.Source == "" { // who is not linked with the record system cannot be booked there
		return match.NotWaiting
	}
	if by := c.staff[s.Practitioner]; by != nil {
		if o := match.Serves(by, &p.value, s.Start.In(c.zone)); o != "" {
			return o
		}
	}
	v := reach.May(p.value, s.Start, now, c.personZone(p.value), c.Policy)
	if !v.OK {
		return match.Obstacle(v.Obstacle)
	}
	cand.Channel, cand.Offered = v.Channel, recent(p.value, now)
	return ""
}

// explained is one entry as it looks to one slot.
type explained struct {
	candidate engine.Candidate
	obstacle  match.Obstacle
	rank      int
}

// explain ranks everybody on the clinic's list for a slot, with the obstacles of the others.
// limit bounds each of the two parts.
func (w *waitlist) explain(c *clinic, s slot.State, now time.Time, limit int) []explained {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := askedBefore(s)
	q := c.query(s.Slot, now)
	q.Limit = limit
	var all, hindered []explained
	seen := map[engine.EntryID]bool{}
	q.Accept = func(cand *engine.Candidate) bool {
		seen[cand.Entry] = true
		o := w.obstacle(c, s.Slot, asked, cand, now)
		if o != "" && len(hindered) < limit {
			hindered = append(hindered, explained{candidate: *cand, obstacle: w.precise(w.entries[cand.Entry].value, o)})
		}
		return o == ""
	}
	for i, cand := range w.index.Rank(nil, q) {
		all = append(all, explained{candidate: cand, rank: i + 1})
	}
	all = append(all, hindered...)
	var rest []explained
	for _, id := range w.clinics[c.ID] {
		e := w.entries[id]
		if seen[id] || asked[e.value.Patient] {
			continue
		}
		if o, ok := w.index.Explain(id, q); !ok {
			rest = append(rest, explained{obstacle: w.precise(e.value, o), candidate: w.terms(e.value, now)})
		}
	}
	slices.SortFunc(rest, func(a, b explained) int { return strings.Compare(string(a.candidate.Entry), string(b.candidate.Entry)) })
	if len(rest) > limit {
		rest = rest[:limit]
	}
	return append(all, rest...)
}

// list returns the entries of a clinic in order of identifier, with their patients.
func (w *waitlist) list(c engine.ClinicID, fits func(engine.Entry, engine.Patient) bool) []engine.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []engine.Entry
	for _, id := range w.clinics[c] {
		if e := w.entries[id].value; fits(e, w.patients[e.Patient].value) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b engine.Entry) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

// keepMarks is how long an offer counts for caps and rotation.
const keepMarks = 30 * 24 * time.Hour

// recent counts the offers that still count.
func recent(p engine.Patient, now time.Time) int {
	n := 0
	for _, m := range p.Offered {
		if now.Sub(m.At) < keepMarks {
			n++
		}
	}
	return n
}

// marked returns the patient with one more offer.
func marked(p engine.Patient, s engine.Slot, now time.Time) engine.Patient {
	marks := make([]engine.Mark, 0, len(p.Offered)+1)
	for _, m := range p.Offered {
		if now.Sub(m.At) < keepMarks {
			marks = append(marks, m)
		}
	}
	p.Offered = append(marks, engine.Mark{At: now.UTC(), Slot: s.ID, Start: s.Start})
	return p
}

func entryKey(e engine.Entry) storage.Key {
	return storage.Key{Clinic: e.Clinic, Kind: storage.KindEntry, ID: string(e.ID)}
}

func patientKey(p engine.Patient) storage.Key {
	return storage.Key{Clinic: p.Clinic, Kind: storage.KindPatient, ID: string(p.ID)}
}
