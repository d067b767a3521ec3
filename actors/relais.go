package actors

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/health"
	"relais/engine/match"
	"relais/engine/offer"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
)

// Options is what Relais is made of. All fields but Poll, Retention and WatchOnly are needed.
type Options struct {
	Store    storage.Store
	Clinics  []engine.Clinic
	DMEs     map[engine.ClinicID]DME
	Senders  map[engine.Channel]Sender
	Caller   Caller
	Links    Links
	Invite   Inviter
	Metrics  Metrics
	Observer system.Observer
	Logger   *slog.Logger
	Poll     map[engine.ClinicID]time.Duration // between looks at a record system; 2 s where it says nothing
	// Retention is how long finished slots and their offers are kept after the slot's end; 0: for ever.
	Retention time.Duration
	// WatchOnly says, in a sentence for the desk, why a clinic can only be in shadow mode.
	WatchOnly map[engine.ClinicID]string
}

// Relais is the live system. Make one with New, then Start it.
type Relais struct {
	opt      Options
	sys      *system.System
	store    storage.Store
	waitlist *waitlist
	replies  *replies
	tokenKey []byte
	optOuts  ledger
	epoch    string // of the calendars' sequences

	clinics map[engine.ClinicID]*clinic
	slots   *system.Directory[engine.SlotID]
	offers  *system.Directory[engine.OfferID]
	where   sync.Map // engine.SlotID -> *clinic, of every slot known to the store
	next    sync.Map // engine.SlotID -> engine.SlotID, of chains: a slot, and the one that its winner gave up

	commits, looks, wholes, writes, sends, asks system.Pool
}

// clinic is what the actors of one clinic share. Only the gates change.
type clinic struct {
	engine.Clinic
	zone     *time.Location
	points   map[engine.PlaceID]engine.Point
	staff    map[engine.PractitionerID]*engine.Practitioner
	dme      DME
	boss     system.Ref // the clinic actor
	sync     system.Ref // the dme actor
	calendar system.Ref
	asker    system.Ref
	unread   *unread
	seq      atomic.Uint64 // newest sequence of the calendar
	// gate is not 0 while messages may leave: the record system was seen whole since the process
	// started and can be trusted. It counts the times it was opened, so that a slot which has not
	// been compared since the last time is told from one that has.
	gate atomic.Uint64
	// learned is how often offers are accepted here, by what openings showed; nil: not loaded.
	learned atomic.Pointer[offer.Cells]
	// shut closes the gate at once, whatever the clinic actor is busy with, and heard is when the
	// dme actor was last alive (Unix nanoseconds): without it nobody would notice that trust is over.
	shut  atomic.Bool
	heard atomic.Int64
	// moded is the mode as it was kept at the desk or, before that, as the configuration gives it; moding
	// lets one change after the other.
	moded  atomic.Pointer[modeRecord]
	moding sync.Mutex
}

// opening is the number of the gate's present opening; 0 while nothing may leave.
func (c *clinic) opening() uint64 {
	if c.shut.Load() || time.Now().UnixNano()-c.heard.Load() > int64(health.MaxStale) {
		return 0
	}
	return c.gate.Load()
}

func (c *clinic) query(s engine.Slot, now time.Time) match.Query {
	return match.Query{Slot: s, Place: c.points[s.Place], Zone: c.zone, Now: now}
}

// personZone is the patient's own zone, or the clinic's.
func (c *clinic) personZone(p engine.Patient) *time.Location {
	if p.Zone != "" {
		if zone, err := time.LoadLocation(p.Zone); err == nil {
			return zone
		}
	}
	return c.zone
}

// The bounds of work outside the actors.
const (
	commitWorkers, commitWaiting = 1024, 200_000
	sendWorkers, sendWaiting     = 2048, 200_000
	askWorkers, askWaiting       = 16, 20_000 // of carriers, about messages without a word
	defaultPoll                  = 2 * time.Second
	fullEvery                    = 5 * time.Minute // between complete looks, at most
	wholeLooks                   = 32              // at once, of record systems that answered last time
)

// New checks the options and prepares the actors; nothing runs yet.
func New(opt Options) (*Relais, error) {
	sys, err := system.New(system.Options{Observer: opt.Observer, Logger: opt.Logger, Inbox: 4})
	if err != nil {
		return nil, err
	}
	n := len(opt.Clinics)
	r := &Relais{
		opt: opt, sys: sys, store: opt.Store, waitlist: newWaitlist(), replies: newReplies(), optOuts: ledger{words: map[string]optOutRecord{}},
		epoch: rand.Text(), clinics: map[engine.ClinicID]*clinic{},
		commits: sys.NewPool(commitWorkers, commitWaiting),
		looks:   sys.NewPool(max(8, n), 2*n+8),
		wholes:  sys.NewPool(wholeLooks, 2*n+8),
		writes:  sys.NewPool(max(8, n), 64*n+64),
		sends:   sys.NewPool(sendWorkers, sendWaiting),
		asks:    sys.NewPool(askWorkers, askWaiting),
	}
	r.slots = system.NewDirectory(sys, "slot", func(id engine.SlotID) system.Actor { return newSlotActor(r, id) })
	r.offers = system.NewDirectory(sys, "notifier", func(id engine.OfferID) system.Actor { return newNotifier(r, id) })
	for _, ec := range opt.Clinics {
		zone, err := time.LoadLocation(ec.Zone)
		if err != nil {
			return nil, fmt.Errorf("clinic %s: time zone %q is not known: %w", ec.ID, ec.Zone, err)
		}
		c := &clinic{Clinic: ec, zone: zone, points: map[engine.PlaceID]engine.Point{}, staff: map[engine.PractitionerID]*engine.Practitioner{}, unread: newUnread(), dme: opt.DMEs[ec.ID]}
		if c.dme == nil {
			return nil, fmt.Errorf("clinic %s has no record system", ec.ID)
		}
		for i := range ec.Practitioners {
			c.staff[ec.Practitioners[i].ID] = &ec.Practitioners[i]
		}
		for _, p := range ec.Places {
			c.points[p.ID] = p.Point
		}
		c.moded.Store(&modeRecord{Mode: ec.Mode})
		r.clinics[ec.ID] = c
	}
	return r, nil
}

// pageSize is how many records one read of the store returns.
const pageSize = 1000

// scan calls f for every record of a clinic and kind.
func (r *Relais) scan(ctx context.Context, c engine.ClinicID, k storage.Kind, f func(storage.Record) error) error {
	for after := ""; ; {
		page, err := r.store.Scan(ctx, c, k, after, pageSize)
		if err != nil {
			return err
		}
		for _, rec := range page {
			if err := f(rec); err != nil {
				return fmt.Errorf("%s %s: %w", k, rec.Key.ID, err)
			}
		}
		if len(page) < pageSize {
			return nil
		}
		after = page[len(page)-1].Key.ID
	}
}

// Start loads what the store has and starts the actors. Nothing is sent for a clinic before its
// record system was looked at once.
func (r *Relais) Start(ctx context.Context) error {
	if err := r.loadTokenKey(ctx); err != nil {
		return err
	}
	if err := r.loadOptOuts(ctx); err != nil {
		return fmt.Errorf("load the list of opt-outs: %w", err)
	}
	for _, c := range r.clinics {
		if err := r.load(ctx, c); err != nil {
			return fmt.Errorf("load clinic %s: %w", c.ID, err)
		}
	}
	return nil
}

func (r *Relais) load(ctx context.Context, c *clinic) error {
	err := r.scan(ctx, c.ID, storage.KindPatient, func(rec storage.Record) error {
		var p engine.Patient
		err := json.Unmarshal(rec.Data, &p)
		r.waitlist.putPatient(p, rec.Version)
		return err
	})
	if err != nil {
		return err
	}
	err = r.scan(ctx, c.ID, storage.KindEntry, func(rec storage.Record) error {
		var e engine.Entry
		err := json.Unmarshal(rec.Data, &e)
		r.waitlist.putEntry(e, rec.Version)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.loadUnread(ctx, c); err != nil {
		return err
	}
	cells, _, err := Learning(ctx, r.store, c.ID)
	if err != nil {
		return err
	}
	c.learned.Store(&cells)
	if err := r.loadMode(ctx, c); err != nil {
		return err
	}
	c.calendar = r.sys.Spawn("calendar", string(c.ID), func() system.Actor { return newCalendar(r, c) })
	c.sync = r.sys.Spawn("dme", string(c.ID), func() system.Actor { return newDMEActor(r, c) })
	c.asker = r.sys.Spawn("asker", string(c.ID), func() system.Actor { return newAsker(r, c) })
	c.boss = r.sys.Spawn("clinic", string(c.ID), func() system.Actor { return newClinicActor(r, c) })
	c.boss.Send(learnedFrom{cells: cells})

	err = r.scan(ctx, c.ID, storage.KindSlot, func(rec storage.Record) error {
		var s slot.State
		if err := json.Unmarshal(rec.Data, &s); err != nil {
			return err
		}
		r.where.Store(s.Slot.ID, c)
		r.linked(s)
		c.calendar.Send(slotChanged{view: r.cardOf(c, s)})
		if !unfinished(s) {
			return nil
		}
		for _, o := range s.Offers {
			if o.Status == slot.Pending {
				r.waitlist.opened(o.Patient, o.ID, o.Entry)
			}
		}
		c.boss.Send(slotIs{slot: s.Slot, open: true})
		return r.slots.Send(s.Slot.ID, preload{state: s, version: rec.Version})
	})
	if err != nil {
		return err
	}
	r.lookAgain(r.waitlist.offered(c.ID))
	err = r.scan(ctx, c.ID, storage.KindOffer, func(rec storage.Record) error {
		var o offerRecord
		if err := json.Unmarshal(rec.Data, &o); err != nil {
			return err
		}
		r.replies.know(c, o.State, r.waitlist.asking(o.State.Person.Patient, o.State.Offer))
		if o.State.Wake.IsZero() && !inFlight(o.State) {
			return nil
		}
		return r.offers.Send(o.State.Offer, preloadOffer{record: o, version: rec.Version})
	})
	if err != nil {
		return err
	}
	promised, err := r.promised(ctx, c) // before anybody can promise more, or some would come twice
	if err != nil {
		return err
	}
	c.sync.Send(begin{})
	c.boss.Send(begin{})
	for _, o := range promised {
		r.carryOut(c, o)
	}
	return nil
}

// promised reads what the store says was promised and not done.
func (r *Relais) promised(ctx context.Context, c *clinic) ([]order, error) {
	var orders []order
	for after := ""; ; {
		page, err := r.store.Outbox(ctx, c.ID, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			o := order{}
			if err := json.Unmarshal(e.Data, &o); err != nil {
				return nil, fmt.Errorf("effect %s: %w", e.ID, err)
			}
			o.ID = e.ID
			orders = append(orders, o)
		}
		if len(page) < pageSize {
			return orders, nil
		}
		after = page[len(page)-1].ID
	}
}

// redeliver carries out again, for an actor that lost its memory, what was promised and not done,
// where mine says that it concerns the actor. Whoever does it takes each order once.
func (r *Relais) redeliver(ctx context.Context, c *clinic, mine func(order) bool) error {
	orders, err := r.promised(ctx, c)
	if err != nil {
		return err
	}
	for _, o := range orders {
		if mine(o) {
			r.carryOut(c, o)
		}
	}
	return nil
}

// carryOut hands an order of the outbox to the actor that does it.
func (r *Relais) carryOut(c *clinic, o order) {
	switch o.Do {
	case deedStart, deedRemind, deedClose, deedTell, deedNote:
		r.offers.Ref(o.Offer).Send(o)
	case deedBook, deedCancel:
		c.sync.Send(o)
	case deedConfirm:
		c.asker.Send(o)
	case deedFreed, deedOccupied, deedLearn:
		c.boss.Send(o)
	case deedUnreachable:
		r.slots.Ref(o.Slot).Send(slotInput{in: slot.Unreachable{Offer: o.Offer}, done: o.ID})
	}
}

// Stop ends the actors; what is promised and not done waits in the store. It returns what did not
// stop before ctx ended.
func (r *Relais) Stop(ctx context.Context) (stuck []string) { return r.sys.Shutdown(ctx) }

// Stats reads the actors' counters.
func (r *Relais) Stats() []system.KindStats { return r.sys.Stats() }

// commit writes a batch without holding up the actor, and sends it wrap(error).
func (r *Relais) commit(c *system.Context, b storage.Batch, wrap func(error) any) {
	system.PipeOn(r.commits, c, context.Background(),
		func(ctx context.Context) (struct{}, error) { return struct{}{}, r.store.Commit(ctx, b) },
		func(_ struct{}, err error) any { return wrap(err) })
}

func (r *Relais) clinicOf(id engine.SlotID) *clinic {
	c, ok := r.where.Load(id)
	if !ok {
		return nil
	}
	return c.(*clinic)
}

// The key that offers' tokens are derived with lives in the store, sealed like everything else.
var tokenKeyKey = storage.Key{Clinic: storage.Shared, Kind: storage.KindMeta, ID: "token-key"}

func (r *Relais) loadTokenKey(ctx context.Context) error {
	rec, err := r.store.Get(ctx, tokenKeyKey)
	if err == nil {
		r.tokenKey = rec.Data
		return nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("read the token key: %w", err)
	}
	key := make([]byte, sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("make the token key: %w", err)
	}
	if err := r.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: tokenKeyKey, Data: key}}}); err != nil {
		return fmt.Errorf("keep the token key: %w", err)
	}
	r.tokenKey = key
	return nil
}

// token derives the secret of an offer's link: 128 bits that nobody can guess from the identifier.
func (r *Relais) token(o engine.OfferID) string {
	mac := hmac.New(sha256.New, r.tokenKey)
	mac.Write([]byte(o))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// tokenRecord says where an offer's token leads.
type tokenRecord struct {
	Clinic engine.ClinicID `json:"clinic"`
	Offer  engine.OfferID  `json:"offer"`
}

// tokenKeyOf is where a token's record is kept: under a digest, so that a copied store gives no link.
func tokenKeyOf(token string) storage.Key {
	sum := sha256.Sum256([]byte(token))
	return storage.Key{Clinic: storage.Shared, Kind: storage.KindToken, ID: hex.EncodeToString(sum[:16])}
}

func unfinished(s slot.State) bool {
	switch s.Phase {
	case slot.Freed, slot.Approval, slot.Offering, slot.Claimed:
		return true
	case slot.None, slot.Booked, slot.Expired, slot.Closed:
	}
	return false
}

func inFlight(s reach.State) bool {
	for _, d := range s.Deliveries {
		if d.Status == reach.Sending {
			return true
		}
	}
	return false
}
