package system

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/anthdm/hollywood/actor"
)

// An actor that panics more than burst times within window is parked: first for minPark, then twice
// as long each time, up to maxPark. It is trusted again after calm without a panic.
const (
	burst   = 3
	window  = time.Minute
	minPark = time.Second
	maxPark = time.Minute
	calm    = 10 * time.Minute
)

type state uint8

const (
	waiting state = iota // for the actor that had the name before to end
	running
	leaving // the pill is in the mailbox, nothing goes behind it
	ended
)

// cell is the place of one actor: it gates what enters the mailbox and guards what Receive does.
// Hollywood sees the cell as its receiver and never sees a panic.
//
// The gate is what makes stopping exact. The pill goes into the mailbox under the same lock as every
// message, so all messages before it are handled and none can be behind it to be lost in silence.
type cell struct {
	kind *kind
	id   string
	dir  *directory   // who owns it, or nil
	make func() Actor // nil when dir makes it
	pid  *actor.PID
	next *cell // takes this name when this cell has ended; guarded by kind.mu

	mu     sync.Mutex
	state  state
	stops  bool  // asked to stop while waiting
	parked bool  // after repeated panics
	depth  int32 // messages waiting
	pipes  int32 // background work of this life that has not come back
	life   uint32
	timers map[*timer]struct{}
	asks   map[pending]struct{} // delivered, neither answered nor forwarded

	// Guarded by mu while the cell waits for its name; from then on only the goroutine of the
	// mailbox touches these.
	actor   Actor
	context *Context
	trouble *trouble // nil for nearly all
}

// trouble is what an actor needs that waits for its name or has panicked. It stands apart to keep
// idle actors small.
type trouble struct {
	held   []any       // messages that wait outside the mailbox
	recent []time.Time // panics within window
	last   time.Time
	parks  int
	reason any
	timer  *time.Timer
}

// Messages of the package to itself, beside *timer and piped.
type (
	first  struct{} // begin
	unpark struct{} // try again
)

func newCell(k *kind, id string, make func() Actor) *cell {
	return &cell{kind: k, id: id, make: make}
}

// self is the address to give away. One of a directory finds the next actor of the key too.
func (c *cell) self() Ref {
	if c.dir != nil {
		return Ref{route{c.dir, c.id}}
	}
	return Ref{c}
}

// start puts the cell to work, with what was sent to it meanwhile.
func (c *cell) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.kind.sys.engine
	// Hollywood calls Receive here with its own two start messages, on this goroutine and under
	// this lock; they are ignored there.
	c.pid = e.Spawn(func() actor.Receiver { return c }, c.kind.name,
		actor.WithID(c.id), actor.WithInboxSize(c.kind.sys.opt.Inbox))
	c.state = running
	c.depth++
	c.kind.queued.Add(1)
	e.Send(c.pid, first{})
	if c.trouble != nil {
		for _, msg := range c.trouble.held {
			e.Send(c.pid, msg)
		}
		c.trouble = nil
	}
	if c.stops {
		c.leave()
	}
}

// post puts a message in the mailbox. It refuses with errStopped when the actor is on its way out
// and with errFull when more than limit wait (0: no limit, but a parked actor always has one).
func (c *cell) post(msg any, limit int) error {
	if p, ok := msg.(pending); ok {
		p.moveTo(c) // before the lock: it may need the lock of the cell that had it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= leaving || c.stops {
		return errStopped
	}
	if c.parked && limit == 0 {
		limit = c.kind.sys.opt.Depth
	}
	if limit > 0 && int(c.depth) >= limit {
		return errFull
	}
	c.enqueue(msg)
	return nil
}

// own posts a message of the package to itself, past every limit.
func (c *cell) own(msg any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == running {
		c.enqueue(msg)
	}
}

func (c *cell) enqueue(msg any) {
	c.depth++
	c.kind.queued.Add(1)
	if c.state == waiting {
		c.hold(msg)
		return
	}
	c.kind.sys.engine.Send(c.pid, msg)
}

// hold keeps a message outside the mailbox, in order.
func (c *cell) hold(msg any) {
	if c.trouble == nil {
		c.trouble = &trouble{}
	}
	c.trouble.held = append(c.trouble.held, msg)
}

// stop asks the actor to end after what is in the mailbox now.
func (c *cell) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state {
	case waiting:
		c.stops = true
	case running:
		c.leave()
	case leaving, ended:
	}
}

func (c *cell) leave() {
	c.state = leaving
	c.kind.sys.engine.Stop(c.pid)
}

func (c *cell) isLeaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state >= leaving || c.stops
}

// Receive is called by Hollywood, one message at a time.
func (c *cell) Receive(hc *actor.Context) {
	switch msg := hc.Message().(type) {
	case actor.Initialized, actor.Started:
	case actor.Stopped:
		c.end()
	case unpark:
		c.count(-1, 0)
		c.resume()
		c.kind.queued.Add(-1)
		c.kind.sys.progressed()
	default:
		if c.parked { // written by this goroutine only
			c.hold(msg)
			c.kind.held.Add(1)
			c.kind.sys.progressed()
			return
		}
		c.handle(msg)
	}
}

func (c *cell) count(depth, pipes int32) {
	c.mu.Lock()
	c.depth += depth
	c.pipes += pipes
	c.mu.Unlock()
}

// handle delivers one message and replaces the actor if it panics.
func (c *cell) handle(msg any) {
	c.count(-1, 0)
	defer c.kind.sys.progressed()
	defer c.kind.queued.Add(-1)
	ok := true
	switch m := msg.(type) {
	case first:
		ok = c.run(func() any { return Started{} })
	case *timer:
		if m.due() {
			ok = c.run(func() any { return m.msg })
		}
	case piped:
		if m.life == c.life {
			c.count(0, -1)
			ok = c.run(m.result)
		}
	case pending:
		if m.over() {
			return // the asker has gone and was told so: doing it now would surprise
		}
		if ok = c.run(func() any { return m }); ok {
			c.keep(m)
		} else {
			c.kind.lost(m, errPanicked)
		}
	default:
		if ok = c.run(func() any { return m }); !ok {
			c.kind.lost(m, errPanicked)
		}
	}
	if !ok {
		c.restart()
	}
}

// run calls Receive and reports whether it returned.
func (c *cell) run(msg func() any) (returned bool) {
	defer func() {
		if returned {
			return
		}
		if reason := recover(); reason != nil {
			c.panicked(reason)
		} else {
			c.abandon() // runtime.Goexit: t.FailNow in a test does this
		}
	}()
	if c.actor == nil {
		c.context = &Context{cell: c, life: c.life}
		if c.dir != nil {
			c.actor = c.dir.make(c.id)
		} else {
			c.actor = c.make()
		}
	}
	c.actor.Receive(c.context, msg())
	return true
}

// panicked counts and logs. The text of a panic may carry what was in the message, so it is written
// only when the runtime made it.
func (c *cell) panicked(reason any) {
	c.kind.panics.Add(1)
	what := fmt.Sprintf("%T", reason)
	if err, ok := reason.(error); ok {
		if re, ok := errors.AsType[runtime.Error](err); ok {
			what = re.Error()
		}
	}
	c.kind.sys.opt.Logger.Error("actor panicked", "kind", c.kind.name, "id", c.id, "panic", what, "stack", string(debug.Stack()))
	if o := c.kind.sys.opt.Observer; o != nil {
		o.Panicked(c.kind.name)
	}
	if c.trouble == nil {
		c.trouble = &trouble{}
	}
	c.trouble.reason = reason
}

// restart replaces the actor by a fresh one until that one takes Restarted without a panic, or the
// panics are too many and the actor is parked.
func (c *cell) restart() {
	for {
		c.endLife(errPanicked)
		if pause := c.trouble.note(time.Now()); pause > 0 {
			c.mu.Lock()
			c.parked = true
			c.mu.Unlock()
			c.kind.parked.Add(1)
			c.trouble.timer = time.AfterFunc(pause, func() { c.own(unpark{}) })
			return
		}
		if c.run(c.restarted) {
			return
		}
	}
}

func (c *cell) restarted() any { return Restarted{Panic: c.trouble.reason} }

// resume tries a parked actor again, first with Restarted and then with what waited.
func (c *cell) resume() {
	c.mu.Lock()
	c.parked = false
	c.mu.Unlock()
	c.kind.parked.Add(-1)
	if !c.run(c.restarted) {
		c.restart()
	}
	for t := c.trouble; len(t.held) > 0 && !c.parked; {
		msg := t.held[0]
		t.held = t.held[1:]
		c.kind.held.Add(-1)
		c.handle(msg)
	}
	if t := c.trouble; len(t.held) == 0 {
		t.held = nil // let go of the array behind it
	}
}

// note remembers a panic and returns how long to park, 0 for not at all.
func (f *trouble) note(now time.Time) time.Duration {
	if now.Sub(f.last) > calm {
		f.parks = 0
	}
	f.last = now
	for len(f.recent) > 0 && now.Sub(f.recent[0]) > window {
		f.recent = f.recent[1:]
	}
	f.recent = append(f.recent, now)
	if len(f.recent) <= burst && f.parks == 0 {
		return 0
	}
	f.recent = nil // from here on every panic parks, until it is calm again
	pause := min(minPark<<min(f.parks, 16), maxPark)
	f.parks++
	return pause
}

// endLife makes sure that nothing of the present actor reaches a later one.
func (c *cell) endLife(why error) {
	c.mu.Lock()
	c.life++
	c.pipes = 0
	for t := range c.timers {
		t.cancelled = true
		t.clock.Stop()
	}
	c.timers = nil
	asks := c.asks
	c.asks = nil
	c.mu.Unlock()
	c.actor, c.context = nil, nil
	for p := range asks {
		p.fail(why)
	}
}

// end is the last call from Hollywood.
func (c *cell) end() {
	if c.actor != nil {
		c.run(func() any { return Stopped{} })
	}
	c.endLife(errStopped)
	if c.parked {
		c.trouble.timer.Stop()
		c.kind.parked.Add(-1)
	}
	if c.trouble != nil {
		for _, msg := range c.trouble.held {
			c.kind.held.Add(-1)
			c.kind.queued.Add(-1)
			c.kind.lost(msg, errStopped)
		}
		c.trouble = nil
	}
	c.mu.Lock()
	c.state = ended
	c.mu.Unlock()
	c.kind.remove(c)
}

// abandon ends a cell whose goroutine was killed under it. Messages in the mailbox are lost with it,
// counted; questions among them end with their own context.
func (c *cell) abandon() {
	c.kind.panics.Add(1)
	c.kind.sys.engine.Registry.Remove(c.pid)
	c.endLife(errStopped)
	c.mu.Lock()
	c.state = ended
	c.kind.dropped.Add(int64(c.depth))
	c.kind.queued.Add(-int64(c.depth))
	c.mu.Unlock()
	c.kind.remove(c)
}
