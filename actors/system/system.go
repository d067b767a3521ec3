package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"relais/engine"

	"github.com/anthdm/hollywood/actor"
)

// The limits that hold for every actor.
const (
	defaultInbox   = 4    // messages a mailbox holds before it grows; measured: 28 kB an actor at 1,024
	defaultWorkers = 32   // calls of Pipe running at once
	defaultWaiting = 4096 // calls of Pipe waiting for a worker
	defaultDepth   = 1000 // messages waiting for one actor, at the edges and while it is parked
)

// Options says how a System runs. The zero value works.
type Options struct {
	Workers  int          // calls of Pipe running at once; 0 means 32
	Waiting  int          // calls of Pipe waiting for a worker before more are refused; 0 means 4,096
	Inbox    int          // messages a mailbox holds before it grows; 0 means 4
	Depth    int          // messages waiting for one actor before Directory refuses more; 0 means 1,000
	Observer Observer     // told of faults; nil: nobody
	Logger   *slog.Logger // where panics are written; nil: nowhere
}

// Observer is told of what should be rare. Its methods are called from any goroutine and must not
// block. Counts that are read rather than pushed are in [System.Stats].
type Observer interface {
	// Panicked is called once for each panic caught in an actor.
	Panicked(kind string)
	// Dropped is called for each message that reached nobody: "stopped", "full", "panicked" or
	// "engine" (the library lost it, which is a fault of this package).
	Dropped(kind, reason string)
}

// Actor is one piece of state with a mailbox.
type Actor interface {
	// Receive handles one message. It must not block, and must not keep c after it returns.
	Receive(c *Context, msg any)
}

// Started is the first message of an actor.
type Started struct{}

// Restarted is the first message of the actor that replaces one that panicked. It has none of the
// old one's memory and must load what it needs again.
type Restarted struct {
	Panic any // what was recovered; it may carry personal data, so it must not be logged
}

// Stopped is the last message of an actor. Nothing it sends to itself arrives.
type Stopped struct{}

// System is a set of actors that live and stop together.
type System struct {
	engine   *actor.Engine
	opt      Options
	own      *pool              // of Pipe
	pools    []*pool            // all; guarded by mu
	closed   atomic.Bool        // intake is over; see Shutdown
	progress chan struct{}      // woken after each message while shutting down
	hard     context.Context    //nolint:containedctx // the life of the system, not of a call
	halt     context.CancelFunc // ends the work of Pipe

	mu    sync.Mutex
	kinds map[string]*kind
	order []*kind // as first spawned
}

// kind is the table of the actors of one kind, and its counters.
type kind struct {
	sys  *System
	name string

	mu    sync.Mutex
	cells map[string]*cell

	queued     atomic.Int64 // messages waiting or being handled
	held       atomic.Int64 // of these, waiting for a parked actor
	parked     atomic.Int64
	spawned    atomic.Int64
	passivated atomic.Int64
	panics     atomic.Int64
	dropped    atomic.Int64
}

// New returns a running System. Shut it down to release it.
func New(opt Options) (*System, error) {
	opt.Workers = orDefault(opt.Workers, defaultWorkers)
	opt.Waiting = orDefault(opt.Waiting, defaultWaiting)
	opt.Inbox = orDefault(opt.Inbox, defaultInbox)
	opt.Depth = orDefault(opt.Depth, defaultDepth)
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := actor.NewEngine(actor.NewEngineConfig())
	if err != nil {
		return nil, fmt.Errorf("start the actor engine: %w", err)
	}
	s := &System{engine: e, opt: opt, kinds: map[string]*kind{}, progress: make(chan struct{}, 1)}
	s.hard, s.halt = context.WithCancel(context.Background())
	s.own = s.NewPool(opt.Workers, opt.Waiting).pool
	// The one subscriber of the event stream. It is never stopped: events for a dead subscriber
	// are themselves events, and would spin for ever.
	e.Subscribe(e.SpawnFunc(s.watch, "watch", actor.WithInboxSize(opt.Inbox)))
	return s, nil
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// watch counts what the library reports and this package should have made impossible.
func (s *System) watch(c *actor.Context) {
	var what string
	switch c.Message().(type) {
	case actor.DeadLetterEvent:
		what = "dead letter"
	case actor.ActorRestartedEvent:
		what = "restart"
	case actor.ActorMaxRestartsExceededEvent:
		what = "too many restarts"
	case actor.ActorDuplicateIdEvent:
		what = "identifier in use"
	default:
		return
	}
	s.opt.Logger.Error("actor engine reports a fault", "fault", what)
	if s.opt.Observer != nil {
		s.opt.Observer.Dropped("", "engine")
	}
}

// Spawn starts an actor, made by calling make in the actor's own goroutine, and returns its address.
// There is at most one actor with a kind and id: when it runs already its address is returned and
// make is not used; when it is on its way out the new one starts once the old one is done, and its
// messages wait. After Shutdown the zero Ref is returned.
func (s *System) Spawn(kind, id string, make func() Actor) Ref {
	k := s.kind(kind)
	c := k.ensure(id, func() *cell { return newCell(k, id, make) })
	if c == nil {
		return Ref{}
	}
	return c.self()
}

func (s *System) kind(name string) *kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[name]
	if k == nil {
		k = &kind{sys: s, name: name, cells: map[string]*cell{}}
		s.kinds[name] = k
		s.order = append(s.order, k)
	}
	return k
}

// ensure returns the actor that takes messages for id, after making one when there is none; nil
// once the system stops actors.
func (k *kind) ensure(id string, build func() *cell) *cell {
	k.mu.Lock()
	old := k.cells[id]
	if old != nil && !old.isLeaving() {
		k.mu.Unlock()
		return old
	}
	if k.sys.hard.Err() != nil {
		k.mu.Unlock()
		return nil
	}
	c := build()
	k.cells[id] = c
	if old != nil {
		old.next = c // started when old has ended
	}
	k.mu.Unlock()
	k.spawned.Add(1)
	if old == nil {
		c.start()
	}
	return c
}

// remove forgets an actor that has ended and starts the one that waits for its place.
func (k *kind) remove(c *cell) {
	k.mu.Lock()
	if k.cells[c.id] == c {
		delete(k.cells, c.id)
	}
	next := c.next
	k.mu.Unlock()
	if next != nil {
		next.start()
	}
	k.sys.progressed()
}

func (k *kind) all() []*cell {
	k.mu.Lock()
	defer k.mu.Unlock()
	cells := make([]*cell, 0, len(k.cells))
	for _, c := range k.cells {
		cells = append(cells, c)
	}
	return cells
}

func (k *kind) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.cells)
}

// lost counts a message that reached nobody and ends the question in it.
func (k *kind) lost(msg any, why error) {
	if p, ok := msg.(pending); ok {
		p.fail(why)
	}
	k.dropped.Add(1)
	if o := k.sys.opt.Observer; o != nil {
		o.Dropped(k.name, reasonOf(why))
	}
}

// The reasons for which a message reaches nobody.
var (
	errStopped  = &engine.Error{Code: engine.Unavailable, Message: "this part of the system has stopped"}
	errPanicked = &engine.Error{Code: engine.Unavailable, Message: "this part of the system failed and is starting again"}
	errFull     = &engine.Error{Code: engine.TooMany, Message: "too much is waiting here; try again in a moment"}
	errClosing  = &engine.Error{Code: engine.Unavailable, Message: "the system is shutting down"}
)

func reasonOf(err error) string {
	switch {
	case errors.Is(err, errFull):
		return "full"
	case errors.Is(err, errPanicked):
		return "panicked"
	default:
		return "stopped"
	}
}

// KindStats is a reading of the actors of one kind. The counts only rise.
type KindStats struct {
	Kind       string
	Actors     int   // alive
	Parked     int   // of these, waiting after repeated panics
	Queued     int   // messages waiting or being handled
	Spawned    int64 // count
	Passivated int64 // count
	Panics     int64 // count
	Dropped    int64 // count of messages that reached nobody
}

// Stats reads the counters of every kind, in the order in which the kinds first appeared.
func (s *System) Stats() []KindStats {
	s.mu.Lock()
	order := slices.Clone(s.order)
	s.mu.Unlock()
	stats := make([]KindStats, len(order))
	for i, k := range order {
		stats[i] = KindStats{
			Kind: k.name, Actors: k.len(), Parked: int(k.parked.Load()), Queued: int(k.queued.Load()),
			Spawned: k.spawned.Load(), Passivated: k.passivated.Load(),
			Panics: k.panics.Load(), Dropped: k.dropped.Load(),
		}
	}
	return stats
}

// Work reads how many calls of Pipe run and wait now.
func (s *System) Work() (running, waiting int) {
	for _, p := range s.workPools() {
		r, w := p.load()
		running, waiting = running+r, waiting+w
	}
	return running, waiting
}

func (s *System) workPools() []*pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pools)
}

func (s *System) poolsIdle() bool {
	running, waiting := s.Work()
	return running+waiting == 0
}

// progressed wakes Shutdown to look again. Outside of a shutdown it costs one atomic read.
func (s *System) progressed() {
	if !s.closed.Load() {
		return
	}
	select {
	case s.progress <- struct{}{}:
	default: // it will look anyway
	}
}

// Shutdown ends the system: directories and questions refuse, what is queued is handled, background
// work finishes or is cancelled, and actors stop, the kinds that appeared last first, because they
// use the earlier ones. Half of the time of ctx, at most, goes to the first part. It returns the
// names of actors and work that did not stop before ctx ended, as kind/id. Call it once.
func (s *System) Shutdown(ctx context.Context) (stuck []string) {
	s.closed.Store(true)
	drain, cancel := half(ctx)
	s.await(drain, s.quiet)
	cancel()
	s.halt()

	s.mu.Lock()
	order := slices.Clone(s.order)
	s.mu.Unlock()
	slices.Reverse(order)
	for _, k := range order {
		for _, c := range k.all() {
			c.stop()
		}
		share, cancel := half(ctx) // one kind that hangs leaves time for the others
		s.await(share, func() bool { return k.len() == 0 })
		cancel()
	}
	s.await(ctx, s.poolsIdle)
	for _, k := range order {
		for _, c := range k.all() {
			stuck = append(stuck, k.name+"/"+c.id)
		}
	}
	for _, p := range s.workPools() {
		stuck = append(stuck, p.names()...)
	}
	slices.Sort(stuck)
	return stuck
}

// half returns a context that ends when half of the time left has passed, or 5 s for a context
// without an end.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	share := 5 * time.Second
	if end, ok := ctx.Deadline(); ok {
		share = time.Until(end) / 2
	}
	return context.WithTimeout(ctx, share)
}

func (s *System) await(ctx context.Context, done func() bool) {
	for !done() {
		select {
		case <-s.progress:
		case <-ctx.Done():
			return
		}
	}
}

// quiet reports whether nothing is queued, handled or worked on. Parked actors do not count: their
// messages cannot be handled now.
func (s *System) quiet() bool {
	s.mu.Lock()
	order := slices.Clone(s.order)
	s.mu.Unlock()
	for _, k := range order {
		if k.queued.Load() > k.held.Load() {
			return false
		}
	}
	return s.poolsIdle()
}
