package actors

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// People put themselves on the list in two steps: they say what they wait for, and show that a contact is
// theirs, by a code, a yes by text or a link by mail. Between the two nothing of it is on the list.

// JoinWithin is how long a contact may be shown after it was given.
const JoinWithin = 72 * time.Hour

// The bounds of joining.
const (
	mostJoins     = 2000 // waiting at one clinic
	mostJoinsHour = 120  // begun at one clinic within an hour
	mostJoinsOf   = 3    // begun for one contact within JoinWithin
	joinTries     = 5    // of a code
)

// joinRecord is what somebody said who has not shown a contact yet, or not all of them.
type joinRecord struct {
	At       time.Time        `json:"at"`
	Expires  time.Time        `json:"expires"`
	Clinic   engine.ClinicID  `json:"clinic"`
	Request  desk.JoinRequest `json:"request"`
	Contacts []engine.Contact `json:"contacts"` // to be shown; one with a consent was
	Tries    int              `json:"tries,omitempty"`
	Patient  engine.PatientID `json:"patient,omitempty"` // since the first one was shown
	Proxy    engine.ProxyID   `json:"proxy,omitempty"`   // whose contact it is, where a patient's own page adds one
	Known    bool             `json:"known,omitempty"`   // was on the list before, and was sent the link to their page instead
}

func (j joinRecord) proven(c engine.Contact) bool {
	return slices.ContainsFunc(j.Contacts, func(k engine.Contact) bool { return sameAddress(k, c) && !k.Consent.IsZero() })
}

func (j joinRecord) all() bool {
	return !slices.ContainsFunc(j.Contacts, func(c engine.Contact) bool { return c.Consent.IsZero() })
}

// joins is everybody who joins, in memory. Safe for concurrent use.
type joins struct {
	mu    sync.Mutex
	items map[string]stored[joinRecord]
}

func newJoins() *joins { return &joins{items: map[string]stored[joinRecord]{}} }

func (j *joins) get(id string) (stored[joinRecord], bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, ok := j.items[id]
	return i, ok
}

func (j *joins) put(id string, rec stored[joinRecord]) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if old, ok := j.items[id]; !ok || old.version < rec.version {
		j.items[id] = rec
	}
}

// forget lets go of who joins a clinic that closes.
func (j *joins) forget(c engine.ClinicID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	maps.DeleteFunc(j.items, func(_ string, i stored[joinRecord]) bool { return i.value.Clinic == c })
}

func (j *joins) remove(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.items, id)
}

// count says how many wait at a clinic, began within the last hour, and were begun for one of the contacts.
func (j *joins) count(c engine.ClinicID, contacts []engine.Contact, now time.Time) (waiting, fresh, same int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, i := range j.items {
		if i.value.Clinic != c {
			continue
		}
		waiting++
		if now.Sub(i.value.At) < time.Hour {
			fresh++
		}
		for _, k := range contacts {
			if slices.ContainsFunc(i.value.Contacts, func(o engine.Contact) bool { return sameAddress(k, o) }) {
				same++
				break
			}
		}
	}
	return waiting, fresh, same
}

// newest returns who joined last with a telephone that is not shown yet.
func (j *joins) newest(phone engine.Phone, now time.Time) (id string, rec stored[joinRecord], ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for k, i := range j.items {
		waits := slices.ContainsFunc(i.value.Contacts, func(c engine.Contact) bool {
			return c.Channel == engine.SMS && c.Phone == phone && c.Consent.IsZero() && !i.value.Known
		})
		if waits && now.Before(i.value.Expires) && (!ok || i.value.At.After(rec.value.At) || i.value.At.Equal(rec.value.At) && k > id) {
			id, rec, ok = k, i, true
		}
	}
	return id, rec, ok
}

func (j *joins) expired(c engine.ClinicID, now time.Time) map[string]stored[joinRecord] {
	j.mu.Lock()
	defer j.mu.Unlock()
	past := map[string]stored[joinRecord]{}
	for id, i := range j.items {
		if i.value.Clinic == c && !now.Before(i.value.Expires) {
			past[id] = i
		}
	}
	return past
}

func joinKey(c engine.ClinicID, id string) storage.Key {
	return storage.Key{Clinic: c, Kind: storage.KindJoin, ID: id}
}

func (r *Relais) loadJoins(ctx context.Context, c *clinic) error {
	return r.scan(ctx, c.ID, storage.KindJoin, func(rec storage.Record) error {
		var j joinRecord
		err := json.Unmarshal(rec.Data, &j)
		r.joins.put(rec.Key.ID, stored[joinRecord]{j, rec.Version})
		return err
	})
}

func (r *Relais) rereadJoin(ctx context.Context, c engine.ClinicID, id string) error {
	rec, err := r.store.Get(ctx, joinKey(c, id))
	if errors.Is(err, storage.ErrNotFound) {
		r.joins.remove(id)
		return nil
	}
	var j joinRecord
	if err == nil {
		err = json.Unmarshal(rec.Data, &j)
	}
	if err != nil {
		return unavailable(err)
	}
	r.joins.put(id, stored[joinRecord]{j, rec.Version})
	return nil
}

// joinSecret digests what belongs to one contact of who joins.
func (r *Relais) joinSecret(what, id string, c engine.Contact) []byte {
	mac := hmac.New(sha256.New, r.tokenKey)
	fmt.Fprintf(mac, "join-%s\x00%s\x00%s", what, id, cmp.Or(string(c.Phone), string(c.Email)))
	return mac.Sum(nil)
}

// joinCode is what shows that a contact is theirs: six digits, never beginning with 0.
func (r *Relais) joinCode(id string, c engine.Contact) string {
	return fmt.Sprint(100_000 + binary.BigEndian.Uint64(r.joinSecret("code", id, c))%900_000)
}

// joinToken is the secret of the link in the mail.
func (r *Relais) joinToken(id string, c engine.Contact) string {
	return id + base64.RawURLEncoding.EncodeToString(r.joinSecret("link", id, c)[:16])
}

// Door is what the page shows where people join a clinic's list, or ask for the link to their page.
func (r *Relais) Door(_ context.Context, id engine.ClinicID) (desk.Door, error) {
	c := r.hall.get(id)
	if c == nil {
		return desk.Door{}, engine.Errorf(engine.NotFound, "there is no such clinic")
	}
	return c.door(), nil
}

// open reports whether people may join by themselves: they are sent a code, which the shadow mode would not.
func (c *clinic) open() bool { return c.Join && c.mode() != engine.Shadow }

func (c *clinic) door() desk.Door {
	return desk.Door{
		Open: c.open(), Clinic: c.ID, Name: c.Name, Address: c.Address, Phone: c.Phone, Lang: c.Lang, Practitioners: c.Practitioners, Places: c.Places,
		Born: c.Identity || slices.ContainsFunc(c.Practitioners, func(p engine.Practitioner) bool { return p.Ages != nil }),
	}
}

// Join takes what somebody says who puts themselves on the list, and sends each contact its code. The phone is
// in E.164 form. What it returns, and how long it takes, does not say whether the person is known; with it
// the code counts. Errors: engine.NotFound, engine.Invalid, and engine.TooMany when the clinic is at its bounds.
func (r *Relais) Join(ctx context.Context, id engine.ClinicID, in desk.JoinRequest) (handle string, err error) {
	c := r.hall.get(id)
	if c == nil || !c.open() {
		return "", engine.Errorf(engine.NotFound, "nobody can join by themselves there")
	}
	if err := c.checkJoin(in); err != nil {
		return "", err
	}
	now := time.Now().UTC()
	handle = base64.RawURLEncoding.EncodeToString(r.joinSecret("handle", cmp.Or(in.Key, rand.Text()), engine.Contact{})[:16])
	j := joinRecord{At: now, Expires: now.Add(JoinWithin), Clinic: id, Request: in, Contacts: joinContacts(in)}
	key := digest(handle)
	if _, twice := r.joins.get(key); twice {
		return handle, nil
	}
	if limited, err := r.joinLimits(j); limited {
		return handle, err
	}
	if p, ok := r.listed(c, in, j.Contacts); ok {
		r.opt.Metrics.Joined(id, "known")
		j.Known = true // kept all the same: it counts for the limits
		var orders []order
		for i, k := range p.Contacts {
			if sameIn(j.Contacts, k) && k.Usable() {
				orders = append(orders, letterTo(orderID("link/"+key, 1, i), engine.MsgLink, k, p.ID, ""))
			}
		}
		return handle, r.keepJoin(ctx, c, key, j, orders)
	}
	r.opt.Metrics.Joined(id, "asked")
	return handle, r.keepJoin(ctx, c, key, j, codesFor(key, j))
}

// joinLimits reports whether a clinic or a contact is at its bounds. For a contact there is no error: it is
// answered as always, because whoever reads the page may not be whose contact it is.
func (r *Relais) joinLimits(j joinRecord) (limited bool, err error) {
	waiting, fresh, same := r.joins.count(j.Clinic, j.Contacts, j.At)
	if waiting >= mostJoins || fresh >= mostJoinsHour {
		err = engine.Errorf(engine.TooMany, "too many people join at once; try again later, or call the clinic")
	} else if same < mostJoinsOf {
		return false, nil
	}
	r.opt.Metrics.Joined(j.Clinic, "limited")
	return true, err
}

// beginJoin sends the codes of a new contact of somebody who is on the list.
func (r *Relais) beginJoin(ctx context.Context, c *clinic, j joinRecord) (handle string, err error) {
	handle = rand.Text()
	if limited, err := r.joinLimits(j); limited {
		return handle, err
	}
	key := digest(handle)
	return handle, r.keepJoin(ctx, c, key, j, codesFor(key, j))
}

func codesFor(key string, j joinRecord) (orders []order) {
	for i, k := range j.Contacts {
		orders = append(orders, letterTo(orderID("join/"+key, 1, i), engine.MsgJoin, k, "", key))
	}
	return orders
}

func (r *Relais) keepJoin(ctx context.Context, c *clinic, key string, j joinRecord, orders []order) error {
	b := storage.Batch{Puts: []storage.Put{{Key: joinKey(c.ID, key), Data: encode(j)}}}
	for _, o := range orders {
		b.Effects = append(b.Effects, o.effect(c.ID))
	}
	err := r.store.Commit(ctx, b)
	if errors.Is(err, storage.ErrStale) { // its double, a moment ago
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	r.joins.put(key, stored[joinRecord]{j, 1})
	for _, o := range orders {
		r.carryOut(c, o)
	}
	return nil
}

func sameIn(list []engine.Contact, c engine.Contact) bool {
	return slices.ContainsFunc(list, func(k engine.Contact) bool { return sameAddress(k, c) })
}

// joinContacts are the contacts that are to be shown.
func joinContacts(in desk.JoinRequest) (list []engine.Contact) {
	if in.Phone != "" {
		list = append(list, engine.Contact{Channel: engine.SMS, Phone: engine.Phone(in.Phone)})
	}
	if in.Email != "" {
		list = append(list, engine.Contact{Channel: engine.EmailMail, Email: engine.Email(in.Email)})
	}
	return list
}

// checkJoin refuses what cannot be on the list.
func (c *clinic) checkJoin(in desk.JoinRequest) error {
	switch {
	case strings.TrimSpace(in.Given) == "" || strings.TrimSpace(in.Family) == "":
		return desk.Wrong(desk.FieldName, "a given name and a family name are needed")
	case in.Phone == "" && in.Email == "":
		return desk.Wrong(desk.FieldContact, "a telephone that takes texts or a mailbox is needed")
	case in.Consent == "":
		return desk.Wrong(desk.FieldConsent, "consent is needed")
	case in.Born == "" && c.door().Born:
		return desk.Wrong(desk.FieldBorn, "the date of birth is needed")
	case !slices.ContainsFunc(c.Practitioners, func(p engine.Practitioner) bool { return p.Specialty == in.Specialty }):
		return desk.Wrong(desk.FieldSpecialty, "choose what the appointment is for")
	}
	return c.checkWish(in.Practitioners, in.Places)
}

// checkWish refuses practitioners and places that are not the clinic's.
func (c *clinic) checkWish(practitioners []engine.PractitionerID, places []engine.PlaceID) error {
	for _, p := range practitioners {
		if c.staff[p] == nil {
			return desk.Wrong(desk.FieldSpecialty, "there is no such practitioner at the clinic")
		}
	}
	for _, p := range places {
		if _, ok := c.points[p]; !ok {
			return desk.Wrong(desk.FieldSpecialty, "the clinic has no such place")
		}
	}
	return nil
}

// namesake finds the patient with one of the contacts and the same name, and the same birth date where both
// are known.
func (r *Relais) namesake(c *clinic, in desk.JoinRequest, contacts []engine.Contact) (engine.Patient, bool) {
	for _, k := range contacts {
		for _, id := range r.waitlist.byContact(k.Phone, k.Email) {
			p, _, ok := r.waitlist.patient(id)
			if ok && p.Clinic == c.ID && p.Into == "" && alike(p.Given, in.Given) && alike(p.Family, in.Family) &&
				(p.Born.IsZero() || in.Born == "" || p.Born.Format(time.DateOnly) == in.Born) {
				return p, true
			}
		}
	}
	return engine.Patient{}, false
}

// alike compares names as people type them.
func alike(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// listed finds who is on the list already for what they ask for.
func (r *Relais) listed(c *clinic, in desk.JoinRequest, contacts []engine.Contact) (engine.Patient, bool) {
	p, ok := r.namesake(c, in, contacts)
	if !ok {
		return p, false
	}
	open := r.waitlist.list(c.ID, func(e engine.Entry, _ engine.Patient) bool {
		return e.Patient == p.ID && e.Specialty == in.Specialty && (mayClaim(e) || e.Status == engine.Linking || e.Status == engine.Claimed)
	})
	return p, len(open) > 0
}
