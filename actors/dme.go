package actors

import (
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
	came     attendances
	sync     syncRecord
	syncVer  uint64
	cursor   string
	ready    bool
	crowd    bool // many clinics began together
	looking  bool
	looks    uint64        // begun, so that the result of one before a reload is told from the present one
	again    bool          // a hint came during a look
	began    time.Time     // the look that is under way
	took     time.Duration // of the last look for changes
	// fullAfter is how long after the last complete look the next one is due.
	fullAfter time.Duration
	full      bool // the next look is a complete one
	resume    bool // but this one first is for what changed since the cursor that was kept
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

// syncRecord is what is kept of a sync besides the mirror.
type syncRecord struct {
	Health health.State         `json:"health"`
	Chains map[string]chainLink `json:"chains,omitempty"` // by the appointment that was given up
	Orders uint64               `json:"orders"`           // batches of orders so far
	// Cursor is where the looks for changes were at Marked: everything up to there is in the store. It is kept
	// with what is kept anyway and after each complete look, so it may be some minutes old.
	Cursor string    `json:"cursor,omitempty"`
	Marked time.Time `json:"marked,omitzero"`
}

// chainLink says which slot's winner gave an appointment up.
type chainLink struct {
	Depth  int           `json:"depth"`
	Parent engine.SlotID `json:"parent"`
	At     time.Time     `json:"at"`
}

type (
	begin      struct{ crowd bool } // the actors that it talks to are there; crowd: those of many clinics begin
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
		came     attendances
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
	a.c = a.c.present()
	switch m := msg.(type) {
	case begin:
		a.crowd = m.crowd
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
	case *findAsk:
		a.find(m)
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
	of, key := a.c, a.syncKey()
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (dmeLoaded, error) {
		l := dmeLoaded{versions: map[string]uint64{}}
		rec, err := a.r.store.Get(ctx, key)
		if err == nil {
			l.syncVer = rec.Version
			err = json.Unmarshal(rec.Data, &l.sync)
		}
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return l, err
		}
		if l.came, err = a.r.attendances(ctx, of.ID); err != nil {
			return l, err
		}
		err = a.r.scan(ctx, of.ID, storage.KindSchedule, func(rec storage.Record) error {
			f := schedule.Fact{Key: rec.Key.ID}
			l.facts = append(l.facts, f)
			l.versions[rec.Key.ID] = rec.Version
			return json.Unmarshal(rec.Data, &l.facts[len(l.facts)-1])
		})
		if err == nil && again {
			err = a.r.redeliver(ctx, of, func(o order) bool {
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
	a.came = m.came
	a.versions, a.sync, a.syncVer = m.versions, m.sync, m.syncVer
	if a.sync.Chains == nil {
		a.sync.Chains = map[string]chainLink{}
	}
	a.sync.Health = health.Loaded(a.sync.Health, time.Now().UTC())
	a.ready, a.looking, a.full, a.keeping, a.feeding = true, false, true, nil, false
	a.cursor, a.resume = a.sync.Cursor, a.sync.Cursor != "" && time.Since(a.sync.Marked) < resumeWithin
	a.c.calendar.Send(scheduleLoaded{a.views()})
	a.tell()
	if first {
		c.After(beatEvery, beat{})
	}
	for _, w := range a.writes {
		a.try(c, w)
	}
	if first && a.crowd {
		c.After(rand.N(time.Duration(a.r.hall.len())*startApart), lookNow{}) //nolint:gosec // spreads looks, guards nothing
		return
	}
	a.look(c)
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
		a.sync.Cursor, a.sync.Marked = a.cursor, time.Now().UTC()
		before := a.sync.Health.Status
		a.judge(c, health.Good{Full: full, Skew: obs.Skew})
		if full && a.sync.Health.Status == before {
			a.keepSync(c, func(*system.Context) {})
		}
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
