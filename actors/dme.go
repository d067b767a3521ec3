package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/health"
	"relais/engine/schedule"
	"relais/storage"
)

// syncOrders is the prefix of the orders that a record system's changes give.
const syncOrders = "dme/"

// dmeActor is one clinic's record system: it looks at it, mirrors it, says what changed, decides
// whether it can be trusted, and writes bookings to it.
type dmeActor struct {
	r        *Relais
	c        *clinic
	mirror   *schedule.Mirror
	versions map[string]uint64 // of the mirror's records in the store
	sync     syncRecord
	syncVer  uint64
	cursor   string
	ready    bool
	looking  bool
	looks    uint64        // begun, so that the result of one before a reload is told from the present one
	again    bool          // a hint came during a look
	began    time.Time     // the look that is under way
	took     time.Duration // of the last look for changes
	// fullAfter is how long after the last complete look the next one is due.
	fullAfter time.Duration
	full      bool // the next look is a complete one
	cancel    func()
	writes    map[string]*write // by order
	told      health.Status
	pushed    time.Time     // the newest hint of the record system
	lag       time.Duration // how old the newest change was when it was seen
	lagKnown  bool
	newest    time.Time                     // the newest change that was seen, by the record system's clock
	hungry    map[engine.PatientID]struct{} // whose entries are to be held against the mirror
	feeding   bool
	keeping   []keep // commits, one at a time and in order; the first is under way
}

// keep is a commit of this actor. build is called when its turn has come, so that the versions in
// it are the right ones; then is called in the actor's turn, unless the commit failed.
type keep struct {
	build func() []storage.Batch
	then  func(*system.Context)
}

// syncRecord is what is kept of a sync besides the mirror.
type syncRecord struct {
	Health health.State         `json:"health"`
	Chains map[string]chainLink `json:"chains,omitempty"` // by the appointment that was given up
	Orders uint64               `json:"orders"`           // batches of orders so far
}

// chainLink says which slot's winner gave an appointment up.
type chainLink struct {
	Depth  int           `json:"depth"`
	Parent engine.SlotID `json:"parent"`
	At     time.Time     `json:"at"`
}

type (
	begin      struct{} // the actors that it talks to are there
	tellHealth struct{}
	// compareOne asks for one slot to be held against the record system.
	compareOne struct{ slot engine.Slot }
	compared   struct{}
	beat       struct{}
	lookNow    struct{}
	// nudge is a hint that something changed.
	nudge struct{ pushed bool } // by the record system itself

	dmeLoaded struct {
		facts    []schedule.Fact
		versions map[string]uint64
		sync     syncRecord
		syncVer  uint64
		err      error
	}
	looked struct {
		n    uint64
		obs  engine.Observation
		full bool
		err  error
	}
	reread struct {
		slot string
		obs  engine.Observation
		err  error
	}
	kept    struct{ err error }
	holdAsk = system.Request[engine.UserID, struct{}]
)

func newDMEActor(r *Relais, c *clinic) *dmeActor {
	return &dmeActor{r: r, c: c, writes: map[string]*write{}, hungry: map[engine.PatientID]struct{}{}}
}

// Receive implements system.Actor.
func (a *dmeActor) Receive(c *system.Context, msg any) {
	switch m := msg.(type) {
	case begin:
		a.load(c, false)
	case system.Restarted:
		a.c.shut.Store(true)
		a.load(c, true)
	case dmeLoaded:
		a.loaded(c, m)
	case lookNow:
		a.look(c)
	case nudge:
		if m.pushed {
			a.pushed = time.Now().UTC()
		}
		a.nudged(c)
	case beat:
		a.c.heard.Store(time.Now().UnixNano())
		a.judge(c, health.Beat{})
		c.After(beatEvery, beat{})
	case looked:
		a.looked(c, m)
	case reread:
		a.reread(c, m)
	case kept:
		a.kept(c, m)
	case compared:
		a.judge(c, health.Reconciled{})
	case compareOne:
		a.compareOne(m.slot)
	case tellHealth:
		a.c.boss.Send(healthIs{a.sync.Health.Status})
	case showAgain:
		if a.ready {
			a.c.calendar.Send(scheduleLoaded{a.views()})
			a.tell()
		}
	case feed:
		a.feed(c, m.patients)
	case fed:
		a.fed(c, m)
	case *syncAsk:
		a.show(m)
	case *holdAsk:
		a.hold(c, m)
	default:
		a.write(c, msg)
	}
}

const beatEvery = 2 * time.Second

func (a *dmeActor) syncKey() storage.Key {
	return storage.Key{Clinic: a.c.ID, Kind: storage.KindSync, ID: "state"}
}

// load reads what was kept. again is set when this actor lost its memory, and with it what it had
// promised to do.
func (a *dmeActor) load(c *system.Context, again bool) {
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (dmeLoaded, error) {
		l := dmeLoaded{versions: map[string]uint64{}}
		rec, err := a.r.store.Get(ctx, a.syncKey())
		if err == nil {
			l.syncVer = rec.Version
			err = json.Unmarshal(rec.Data, &l.sync)
		}
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return l, err
		}
		err = a.r.scan(ctx, a.c.ID, storage.KindSchedule, func(rec storage.Record) error {
			f := schedule.Fact{Key: rec.Key.ID}
			l.facts = append(l.facts, f)
			l.versions[rec.Key.ID] = rec.Version
			return json.Unmarshal(rec.Data, &l.facts[len(l.facts)-1])
		})
		if err == nil && again {
			err = a.r.redeliver(ctx, a.c, func(o order) bool {
				return o.Fact != nil || o.Do == deedBook || o.Do == deedCancel
			})
		}
		return l, err
	}, func(l dmeLoaded, err error) any {
		l.err = err
		return l
	})
}

func (a *dmeActor) loaded(c *system.Context, m dmeLoaded) {
	if m.err != nil {
		c.After(time.Second, system.Restarted{})
		return
	}
	first := a.mirror == nil
	a.mirror = schedule.New()
	a.mirror.Load(m.facts...)
	a.versions, a.sync, a.syncVer = m.versions, m.sync, m.syncVer
	if a.sync.Chains == nil {
		a.sync.Chains = map[string]chainLink{}
	}
	a.sync.Health = health.Loaded(a.sync.Health, time.Now().UTC())
	a.ready, a.looking, a.full, a.keeping, a.feeding = true, false, true, nil, false
	a.c.calendar.Send(scheduleLoaded{a.views()})
	a.tell()
	if first {
		c.After(beatEvery, beat{})
	}
	for _, w := range a.writes {
		a.try(c, w)
	}
	if clinics := len(a.r.clinics); first && clinics > 1 {
		c.After(rand.N(time.Duration(clinics)*startApart), lookNow{}) //nolint:gosec // spreads looks, guards nothing
		return
	}
	a.look(c)
}

// startApart is the time between the first looks of two clinics, on average: a thousand of them at once
// would need the memory and the processor for all of their schedules together.
const startApart = 10 * time.Millisecond

// look looks at the record system, whole or only at what changed.
func (a *dmeActor) look(c *system.Context) {
	if !a.ready || a.looking {
		return
	}
	a.looking, a.again = true, false
	a.looks++
	n, now := a.looks, time.Now()
	a.began = now
	h := a.sync.Health
	full := a.full || a.cursor == "" || h.Status != health.Healthy || now.Sub(h.LastFull) >= a.fullAfter
	if full { // many clinics that began together must not read everything together
		a.fullAfter = fullEvery - rand.N(fullEvery/2) //nolint:gosec // spreads looks, guards nothing
	}
	a.full = false
	cursor, dme := a.cursor, a.c.dme
	from, until := a.window(now)
	pool := a.r.looks
	if full && h.Failures == 0 { // those that fail mostly wait, and must not hold up the others
		pool = a.r.wholes
	}
	system.PipeOn(pool, c, context.Background(), func(ctx context.Context) (engine.Observation, error) {
		ctx, cancel := context.WithTimeout(ctx, lookWithin) // from its turn on: its wait here is not the record system's
		defer cancel()
		if full {
			return dme.Snapshot(ctx, from, until)
		}
		return dme.Changes(ctx, cursor)
	}, func(obs engine.Observation, err error) any { return looked{n, obs, full, err} })
}

// lookWithin bounds one look; a record system that needs longer cannot be followed.
const lookWithin = 30 * time.Second

// window is what is mirrored: the clinic's whole day, to the horizon of its policy.
func (a *dmeActor) window(now time.Time) (from, until time.Time) {
	local := now.In(a.c.zone)
	from = time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, a.c.zone)
	return from.UTC(), now.Add(a.c.Policy.Horizon).UTC()
}

func (a *dmeActor) nudged(c *system.Context) {
	switch {
	case a.looking:
		a.again = true
	case time.Now().Before(a.sync.Health.RetryAt): // a hint does not outrank a record system that asked us to wait
	default:
		a.look(c)
	}
}

// restFor is how many times as long as the last look for changes took the next one waits at least: a record
// system, or a process, that is slow because of too many looks is not asked for more of them. The rest is
// at most restMost, well below the time after which nobody trusts what was not looked at.
const (
	restFor  = 4
	restMost = health.MaxStale / 6
)

// poll is the longest time between two looks that work.
func (a *dmeActor) poll() time.Duration { return cmp.Or(a.r.opt.Poll[a.c.ID], defaultPoll) }

// spread draws a time of at most d, so that the looks of many clinics that began together drift apart.
func spread(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:gosec // spreads looks, guards nothing
}

// schedule arms the next look.
func (a *dmeActor) schedule(c *system.Context) {
	a.looking = false
	if a.cancel != nil {
		a.cancel()
	}
	after := max(spread(a.poll()), min(restFor*a.took, restMost))
	if wait := time.Until(a.sync.Health.RetryAt); wait > after || (wait > 0 && a.sync.Health.Failures > 0) {
		after = wait
	} else if a.again {
		after = 0
	}
	a.cancel = c.After(after, lookNow{})
}

func (a *dmeActor) looked(c *system.Context, m looked) {
	if !a.ready || m.n != a.looks {
		return
	}
	if !m.full {
		a.took = time.Since(a.began)
	}
	if m.err != nil {
		a.full = a.full || m.full
		a.judge(c, bad(m.err))
		a.schedule(c)
		return
	}
	a.apply(c, a.mirror.Apply(m.obs, time.Now()), m.obs, m.full)
}

func bad(err error) health.Input {
	in := health.Bad{Fault: engine.DMEUnreachable, Detail: "The record system does not answer.", Jitter: rand.Float64()} //nolint:gosec // spreads retries, guards nothing
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		in.Fault, in.Detail, in.Wait = f.Fault, f.Detail, f.Wait
	}
	return in
}

// apply keeps what an observation showed, and promises what follows from it in the same commit.
func (a *dmeActor) apply(c *system.Context, res schedule.Result, obs engine.Observation, full bool) {
	if res.Implausible != "" {
		a.full = true
		a.judge(c, health.Implausible{Detail: res.Implausible})
		a.schedule(c)
		return
	}
	if obs.Cursor != "" {
		a.cursor = obs.Cursor
	}
	a.lagged(obs, full, time.Now())
	if full {
		res.Touched = append(res.Touched, a.mirror.Prune(time.Now())...)
	}
	var orders []order
	var suspects []string
	for _, ch := range res.Changes {
		if s, ok := ch.(schedule.Suspect); ok {
			suspects = append(suspects, s.Slot.Source)
			continue
		}
		o := a.orderFor(ch, len(orders))
		o.Fact.Changed = ours(o.Fact.Changed, obs.Skew)
		orders = append(orders, o)
	}
	var views []scheduleView
	seen := map[string]bool{"": true}
	show := func(source string) {
		if !seen[source] {
			seen[source] = true
			views = append(views, a.view(source))
		}
	}
	for _, f := range res.Touched {
		show(slotOfFact(a.mirror, f))
	}
	for _, ch := range res.Changes { // an appointment that moved touches the slot it left too
		switch ch := ch.(type) {
		case schedule.Freed:
			show(ch.Slot.Source)
		case schedule.Occupied:
			show(ch.Slot.Source)
		case schedule.Suspect:
			show(ch.Slot.Source)
		}
	}
	done := func(c *system.Context) {
		for _, o := range orders {
			a.r.carryOut(a.c, o)
		}
		if len(views) > 0 {
			a.c.calendar.Send(scheduleChanged{views})
		}
		a.judge(c, health.Good{Full: full, Skew: obs.Skew})
		a.feed(c, a.concerned(res.Touched, full))
		if full && a.sync.Health.Status == health.Checking {
			a.c.boss.Send(a.comparison())
		}
		for _, source := range suspects {
			a.readAgain(c, source)
		}
		a.schedule(c)
	}
	if len(res.Touched) == 0 {
		done(c)
		return
	}
	if len(orders) > 0 {
		a.sync.Orders++
	}
	a.keep(c, func() []storage.Batch { return a.batches(res.Touched, orders) }, done)
}

// keep queues a commit.
func (a *dmeActor) keep(c *system.Context, build func() []storage.Batch, then func(*system.Context)) {
	a.keeping = append(a.keeping, keep{build, then})
	if len(a.keeping) == 1 {
		a.commit(c)
	}
}

func (a *dmeActor) commit(c *system.Context) {
	batches := a.keeping[0].build()
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (struct{}, error) {
		for _, b := range batches {
			if err := a.r.store.Commit(ctx, b); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	}, func(_ struct{}, err error) any { return kept{err} })
}

func (a *dmeActor) kept(c *system.Context, m kept) {
	if m.err != nil {
		// What is in memory is not in the store: start again from what is.
		a.r.opt.Logger.Error("the state of a record system could not be kept", "clinic", a.c.ID, "error", m.err)
		a.ready, a.keeping = false, nil
		for _, w := range a.writes {
			w.running = false
		}
		c.After(time.Second, system.Restarted{})
		return
	}
	done := a.keeping[0]
	a.keeping = a.keeping[1:]
	if len(a.keeping) > 0 {
		a.commit(c)
	}
	done.then(c)
}

// orderFor makes the order that follows from a change.
func (a *dmeActor) orderFor(ch schedule.Change, n int) order {
	o := order{ID: orderID(syncOrders+"change", a.sync.Orders+1, n), At: time.Now().UTC()}
	switch ch := ch.(type) {
	case schedule.Freed:
		o.Do, o.Fact = deedFreed, &ch.Slot
		if link, ok := a.sync.Chains[ch.Appointment]; ok {
			o.Depth, o.Parent, o.Current = link.Depth, link.Parent, &engine.Appointment{Source: ch.Appointment}
			delete(a.sync.Chains, ch.Appointment)
		}
	case schedule.Occupied:
		o.Do, o.Fact, o.Why, o.Booking = deedOccupied, &ch.Slot, ch.Why, ch.Booking
	case schedule.Suspect: // read again first
	}
	return o
}

// batches splits what is kept; the promises go first, because a change that is promised twice
// counts once, and one that is never promised is lost.
func (a *dmeActor) batches(facts []schedule.Fact, orders []order) (batches []storage.Batch) {
	b := storage.Batch{}
	if len(orders) > 0 {
		b.Puts = append(b.Puts, a.putSync())
	}
	for _, o := range orders {
		if len(b.Puts)+len(b.Effects) >= storage.MaxBatch/2 {
			batches, b = append(batches, b), storage.Batch{}
		}
		b.Effects = append(b.Effects, o.effect(a.c.ID))
	}
	last := map[string]int{}
	for i, f := range facts {
		last[f.Key] = i
	}
	for i, f := range facts {
		if last[f.Key] != i {
			continue
		}
		if len(b.Puts)+len(b.Effects) >= storage.MaxBatch/2 {
			batches, b = append(batches, b), storage.Batch{}
		}
		p := storage.Put{
			Key:    storage.Key{Clinic: a.c.ID, Kind: storage.KindSchedule, ID: f.Key},
			Expect: a.versions[f.Key], Data: encode(f), Delete: f.Slot == nil && f.Appointment == nil,
		}
		if p.Delete {
			if p.Expect == 0 {
				continue
			}
			p.Data = nil
			delete(a.versions, f.Key)
		} else {
			a.versions[f.Key]++
		}
		b.Puts = append(b.Puts, p)
	}
	return append(batches, b)
}

// putSync writes the sync record. It is called when its commit's turn has come.
func (a *dmeActor) putSync() storage.Put {
	a.syncVer++
	return storage.Put{Key: a.syncKey(), Expect: a.syncVer - 1, Data: encode(a.sync)}
}

// readAgain looks at one slot that contradicts itself.
func (a *dmeActor) readAgain(c *system.Context, source string) {
	dme := a.c.dme
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	system.PipeOn(a.r.looks, c, ctx, func(ctx context.Context) (engine.Observation, error) {
		return dme.Read(ctx, source)
	}, func(obs engine.Observation, err error) any {
		cancel()
		return reread{source, obs, err}
	})
}

func (a *dmeActor) reread(c *system.Context, m reread) {
	if !a.ready {
		return // a complete look follows
	}
	if m.err != nil {
		a.full = true // the next look takes everything in again
		a.judge(c, bad(m.err))
		return
	}
	if a.looking { // one observation at a time: its commit is under way
		c.After(50*time.Millisecond, m)
		return
	}
	a.looking = true
	a.apply(c, a.mirror.ApplyRead(m.slot, m.obs, time.Now()), engine.Observation{}, false)
}
