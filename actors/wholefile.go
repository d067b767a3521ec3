package actors

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
)

// WholeFile is everything that the store has about one patient, for who asks for it. What it holds is written
// as it is stored, so that nothing is left out.
type WholeFile struct {
	Format   string            `json:"format"` // "relais patient file 1"
	Made     time.Time         `json:"made"`
	Clinic   engine.ClinicID   `json:"clinic"`
	Patient  engine.Patient    `json:"patient"` // who they are, contacts with consent and proof, proxies, notes
	Merged   []engine.Patient  `json:"merged,omitempty"`
	OptedOut []OptedOut        `json:"opted_out"` // addresses whose last word was STOP, in any clinic
	Entries  []engine.Entry    `json:"entries"`
	Offers   []json.RawMessage `json:"offers"` // with deliveries
	Slots    []SlotPart        `json:"slots"`  // what the patient was offered, and what became of it
	Unread   []json.RawMessage `json:"unread"` // what they wrote and nobody dealt with
	Orders   []json.RawMessage `json:"orders"` // promised and not done yet
	Other    []json.RawMessage `json:"other"`  // anything else that names an address of theirs
	Timeline []TimelineLine    `json:"timeline"`
	Audit    []TimelineLine    `json:"audit"` // who saw or changed what of this
}

// OptedOut is an address that nobody writes to.
type OptedOut struct {
	Address string    `json:"address"`
	At      time.Time `json:"at"`
}

// SlotPart is a slot with the offers to this patient only.
type SlotPart struct {
	Slot   engine.Slot  `json:"slot"`
	Phase  string       `json:"phase"`
	Offers []slot.Offer `json:"offers"`
}

// TimelineLine is one event.
type TimelineLine struct {
	Seq     uint64          `json:"seq"`
	At      time.Time       `json:"at"`
	Subject string          `json:"subject"`
	Data    json.RawMessage `json:"data"`
}

// files finds what a store has about single patients. It reads the store alone, so it works without actors.
type files struct {
	store  storage.Store
	digest func(engine.Phone, engine.Email) string
	token  func(engine.OfferID) string
}

func (r *Relais) files() *files { return &files{store: r.store, digest: r.address, token: r.token} }

// found is everything about one patient, with what is needed to change it.
type found struct {
	clinic  engine.ClinicID
	ids     map[engine.PatientID]bool // the patient, and those merged into it
	offerID map[engine.OfferID]bool
	words   []string // names and addresses, whole

	patient stored[engine.Patient]
	merged  []stored[engine.Patient]
	entries []stored[engine.Entry]
	offers  []stored[offerRecord]
	slots   []slot.State
	unread  []storage.Record
	orders  []storage.Effect
	others  []storage.Record
	events  []storage.Event // on the patient's own timeline, or about an offer to them
	named   []storage.Event // other lines that hold one of the words
	audit   []storage.Event
}

// auditSubject is the timeline of who did or saw what.
const auditSubject = "audit"

func (f *files) find(ctx context.Context, c engine.ClinicID, id engine.PatientID) (*found, error) {
	w := &found{clinic: c, ids: map[engine.PatientID]bool{id: true}, offerID: map[engine.OfferID]bool{}}
	rec, err := f.store.Get(ctx, storage.Key{Clinic: c, Kind: storage.KindPatient, ID: string(id)})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, engine.Errorf(engine.NotFound, "there is no such patient")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if err := json.Unmarshal(rec.Data, &w.patient.value); err != nil {
		return nil, unavailable(err)
	}
	w.patient.version = rec.Version
	if w.patient.value.Into != "" {
		return nil, engine.Errorf(engine.Conflict, "this record was merged into another: ask for patient %s", w.patient.value.Into)
	}
	w.word(w.patient.value)
	for _, was := range w.patient.value.Was {
		w.ids[was] = true
	}
	for _, read := range []func(context.Context, *found) error{f.findPeople, f.findOffers, f.findRest, f.findEvents} {
		if err := read(ctx, w); err != nil {
			return nil, unavailable(err)
		}
	}
	return w, nil
}

// word remembers what names a patient.
func (w *found) word(p engine.Patient) {
	words := []string{strings.TrimSpace(p.Given + " " + p.Family), p.Source}
	for _, c := range p.Contacts {
		words = append(words, addressOf(c))
	}
	for _, x := range p.Proxies {
		words = append(words, x.Name)
	}
	for _, s := range words {
		if len(s) > 4 && !slices.Contains(w.words, s) {
			w.words = append(w.words, s)
		}
	}
}

// names reports whether data holds a name or an address of the patient, as JSON writes it.
func (w *found) names(data []byte) bool {
	for _, s := range w.words {
		quoted, _ := json.Marshal(s) // a string always can
		if bytes.Contains(data, quoted[1:len(quoted)-1]) {
			return true
		}
	}
	return false
}

func (f *files) findPeople(ctx context.Context, w *found) error {
	for id := range w.ids {
		if id == w.patient.value.ID {
			continue
		}
		rec, err := f.store.Get(ctx, storage.Key{Clinic: w.clinic, Kind: storage.KindPatient, ID: string(id)})
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		var p engine.Patient
		if err = cmp.Or(err, json.Unmarshal(rec.Data, &p)); err != nil {
			return err
		}
		w.word(p)
		w.merged = append(w.merged, stored[engine.Patient]{p, rec.Version})
	}
	return f.scan(ctx, w.clinic, storage.KindEntry, func(rec storage.Record) error {
		var e engine.Entry
		err := json.Unmarshal(rec.Data, &e)
		if w.ids[e.Patient] {
			w.entries = append(w.entries, stored[engine.Entry]{e, rec.Version})
		}
		return err
	})
}

func (f *files) findOffers(ctx context.Context, w *found) error {
	err := f.scan(ctx, w.clinic, storage.KindSlot, func(rec storage.Record) error {
		var s slot.State
		err := json.Unmarshal(rec.Data, &s)
		mine := false
		for _, o := range s.Offers {
			if w.ids[o.Patient] {
				mine, w.offerID[o.ID] = true, true
			}
		}
		if mine {
			w.slots = append(w.slots, s)
		}
		return err
	})
	if err != nil {
		return err
	}
	return f.scan(ctx, w.clinic, storage.KindOffer, func(rec storage.Record) error {
		var o offerRecord
		err := json.Unmarshal(rec.Data, &o)
		if w.ids[o.State.Person.Patient] {
			w.offerID[o.State.Offer] = true
			w.offers = append(w.offers, stored[offerRecord]{o, rec.Version})
		}
		return err
	})
}

func (f *files) findRest(ctx context.Context, w *found) error {
	err := f.scan(ctx, w.clinic, storage.KindUnread, func(rec storage.Record) error {
		var u unreadRecord
		err := json.Unmarshal(rec.Data, &u)
		if w.ids[u.Patient] || w.names(rec.Data) {
			w.unread = append(w.unread, rec)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := f.scan(ctx, w.clinic, storage.KindJoin, func(rec storage.Record) error {
		if w.names(rec.Data) {
			w.others = append(w.others, rec)
		}
		return nil
	}); err != nil {
		return err
	}
	for after := ""; ; {
		page, err := f.store.Outbox(ctx, w.clinic, after, pageSize)
		if err != nil {
			return err
		}
		for _, e := range page {
			var o order
			if err := json.Unmarshal(e.Data, &o); err != nil {
				return err
			}
			if w.ids[o.Patient] || w.offerID[o.Offer] {
				w.orders = append(w.orders, e)
			}
		}
		if len(page) < pageSize {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

func (f *files) findEvents(ctx context.Context, w *found) error {
	return f.timeline(ctx, w.clinic, 0, func(e storage.Event) error {
		id, own := strings.CutPrefix(e.Subject, "patient/")
		own = own && w.ids[engine.PatientID(id)]
		var data eventData
		isEvent := json.Unmarshal(e.Data, &data) == nil
		switch {
		case e.Subject == storage.RedactedSubject:
		case e.Subject == auditSubject:
			if w.about(e.Data) {
				w.audit = append(w.audit, e)
			}
		case own || isEvent && data.Offer != "" && w.offerID[data.Offer]:
			w.events = append(w.events, e)
		case w.names(e.Data):
			w.named = append(w.named, e)
		}
		return nil
	})
}

// about reports whether an audit line is about the patient.
func (w *found) about(data []byte) bool {
	for id := range w.ids {
		if bytes.Contains(data, []byte(id)) {
			return true
		}
	}
	return w.names(data)
}

func (f *files) scan(ctx context.Context, c engine.ClinicID, k storage.Kind, do func(storage.Record) error) error {
	return (&Relais{store: f.store}).scan(ctx, c, k, do)
}

// timeline calls do for every event of a clinic with a greater number.
func (f *files) timeline(ctx context.Context, c engine.ClinicID, after uint64, do func(storage.Event) error) error {
	for {
		page, err := f.store.Timeline(ctx, c, "", after, pageSize)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := do(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// PatientFile gathers everything about a patient.
func (r *Relais) PatientFile(ctx context.Context, c engine.ClinicID, id engine.PatientID) (WholeFile, error) {
	w, err := r.files().find(ctx, c, id)
	if err != nil {
		return WholeFile{}, err
	}
	f := WholeFile{
		Format: "relais patient file 1", Made: time.Now().UTC(), Clinic: c, Patient: w.patient.value,
		OptedOut: []OptedOut{}, Entries: []engine.Entry{}, Offers: []json.RawMessage{}, Slots: []SlotPart{}, Unread: []json.RawMessage{},
		Orders: []json.RawMessage{}, Other: []json.RawMessage{}, Timeline: lines(w.events, w.named), Audit: lines(w.audit),
	}
	for _, m := range w.merged {
		f.Merged = append(f.Merged, m.value)
	}
	for _, a := range w.addresses() {
		if at := r.silenced(a); !at.IsZero() {
			f.OptedOut = append(f.OptedOut, OptedOut{addressOf(a), at})
		}
	}
	for _, e := range w.entries {
		f.Entries = append(f.Entries, e.value)
	}
	for _, o := range w.offers {
		f.Offers = append(f.Offers, encode(o.value))
	}
	for _, s := range w.slots {
		part := SlotPart{Slot: s.Slot, Phase: string(s.Phase)}
		for _, o := range s.Offers {
			if w.ids[o.Patient] {
				part.Offers = append(part.Offers, o)
			}
		}
		f.Slots = append(f.Slots, part)
	}
	for _, u := range w.unread {
		f.Unread = append(f.Unread, u.Data)
	}
	for _, o := range w.orders {
		f.Orders = append(f.Orders, o.Data)
	}
	for _, o := range w.others {
		f.Other = append(f.Other, o.Data)
	}
	return f, nil
}

// ReadPatientFile gathers everything about a patient from a store that no program works with.
func ReadPatientFile(ctx context.Context, s storage.Store, c engine.ClinicID, id engine.PatientID) (WholeFile, error) {
	r := &Relais{store: s, optOuts: ledger{words: map[string]optOutRecord{}}}
	if err := r.loadTokenKey(ctx); err != nil {
		return WholeFile{}, err
	}
	if err := r.loadOptOuts(ctx); err != nil {
		return WholeFile{}, err
	}
	return r.PatientFile(ctx, c, id)
}

// addresses are all contacts of the patient and those merged into it, each address once.
func (w *found) addresses() (list []engine.Contact) {
	seen := map[string]bool{}
	for _, p := range append([]stored[engine.Patient]{w.patient}, w.merged...) {
		for _, c := range p.value.Contacts {
			if a := addressOf(c); a != "" && !seen[a] {
				seen[a] = true
				list = append(list, engine.Contact{Channel: c.Channel, Phone: c.Phone, Email: c.Email})
			}
		}
	}
	return list
}

func lines(parts ...[]storage.Event) []TimelineLine {
	list := []TimelineLine{}
	for _, e := range slices.Concat(parts...) {
		list = append(list, TimelineLine{e.Seq, e.At, e.Subject, e.Data})
	}
	slices.SortFunc(list, func(a, b TimelineLine) int { return cmp.Compare(a.Seq, b.Seq) })
	return list
}
