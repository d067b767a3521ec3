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
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
)

// Options is what Relais is made of. All fields but Poll, Retention, Keep and WatchOnly are needed.
type Options struct {
	Store    storage.Store
	Clinics  []engine.Clinic
	DMEs     map[engine.ClinicID]DME
	Senders  map[engine.Channel]Sender
	Caller   Caller
	Links    Links
	Pages    string // where the desk's pages are, for the weekly mails; "": they name no address
	Invite   Inviter
	Metrics  Metrics
	Observer system.Observer
	Logger   *slog.Logger
	Poll     map[engine.ClinicID]time.Duration // between looks at a record system; 2 s where it says nothing
	// Retention is how long finished slots and their offers are kept after the slot's end; 0: for ever.
	Retention time.Duration
	Keep      Keep // how long what is personal is kept
	// WatchOnly says, in a sentence for the desk, why a clinic can only be in shadow mode.
	WatchOnly map[engine.ClinicID]string
}

// Relais is the live system. Make one with New, then Start it.
type Relais struct {
	opt      Options
	sys      *system.System
	store    storage.Store // lets a clinic's writes through while it is open here
	fence    *fence
	waitlist *waitlist
	replies  *replies
	tokenKey []byte
	optOuts  ledger
	joins    *joins
	began    time.Time // when the process did
	epoch    string    // of the calendars' sequences

	hall   *hall // the clinics that are open here
	slots  *system.Directory[engine.SlotID]
	offers *system.Directory[engine.OfferID]
	where  sync.Map // engine.SlotID -> *clinic, of every slot known to the store
	next   sync.Map // engine.SlotID -> engine.SlotID, of chains: a slot, and the one that its winner gave up

	commits, looks, wholes, writes, sends, asks system.Pool
	reports                                     chan struct{} // one for each report that is being made
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
	r := &Relais{
		opt: opt, sys: sys, waitlist: newWaitlist(), replies: newReplies(), joins: newJoins(), optOuts: ledger{words: map[string]optOutRecord{}},
		began: time.Now().UTC(), epoch: rand.Text(), hall: newHall(),
		reports: make(chan struct{}, mostReports),
		commits: sys.NewPool(commitWorkers, commitWaiting),
		looks:   sys.NewPool(1, 1),
		wholes:  sys.NewPool(1, 1),
		writes:  sys.NewPool(1, 1),
		sends:   sys.NewPool(sendWorkers, sendWaiting),
		asks:    sys.NewPool(askWorkers, askWaiting),
	}
	r.fence = newFence(opt.Store)
	r.store = r.fence
	r.resize(len(opt.Clinics))
	r.slots = system.NewDirectory(sys, "slot", func(id engine.SlotID) system.Actor { return newSlotActor(r, id) })
	r.offers = system.NewDirectory(sys, "notifier", func(id engine.OfferID) system.Actor { return newNotifier(r, id) })
	for _, ec := range opt.Clinics {
		c, err := newClinic(Setup{Clinic: ec, DME: opt.DMEs[ec.ID], Poll: opt.Poll[ec.ID], WatchOnly: opt.WatchOnly[ec.ID]}, nil)
		if err != nil {
			return nil, err
		}
		r.hall.enter(c)
		r.fence.open(c.ID)
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
	clinics := r.hall.all()
	for _, c := range clinics {
		if err := r.load(ctx, c, len(clinics) > 1); err != nil {
			return fmt.Errorf("load clinic %s: %w", c.ID, err)
		}
	}
	return nil
}

func (r *Relais) load(ctx context.Context, c *clinic, crowd bool) error {
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
	if err := r.loadJoins(ctx, c); err != nil {
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
	if c.before != nil {
		c.before.newest.Store(c) // who holds the earlier life, for an offer's telephone, finds this one
	}

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
	c.sync.Send(begin{crowd})
	c.boss.Send(begin{})
	c.opened()
	c.asker.Send(begin{crowd})
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
	case deedConfirm, deedLetter, deedFind:
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
	return c.(*clinic).present()
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
