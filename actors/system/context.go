package system

import "time"

// Ref is the address of an actor. It is small, comparable and safe to keep for ever: what is sent
// to an actor that has stopped is counted and dropped. The zero Ref drops everything.
//
// The Ref of an actor in a [Directory] starts the actor again when it was passivated.
type Ref struct{ to target }

// target is a cell or a route through a directory. Both are comparable.
type target interface {
	post(msg any, limit int) error
	lost(msg any, why error)
	stop()
}

// Send puts msg in the actor's mailbox and returns at once. Messages are shared, not copied: nobody
// may write to msg afterwards.
func (r Ref) Send(msg any) {
	if r.to == nil {
		return
	}
	if err := r.to.post(msg, 0); err != nil {
		r.to.lost(msg, err)
	}
}

// Stop asks the actor to end after what is in its mailbox now.
func (r Ref) Stop() {
	if r.to != nil {
		r.to.stop()
	}
}

// IsZero reports whether the Ref is the address of nobody.
func (r Ref) IsZero() bool { return r.to == nil }

func (c *cell) lost(msg any, why error) { c.kind.lost(msg, why) }

// Context is what an actor can do while it handles a message.
type Context struct {
	cell *cell
	life uint32
}

// Self returns the actor's own address.
func (c *Context) Self() Ref { return c.cell.self() }

// System returns the system that the actor lives in.
func (c *Context) System() *System { return c.cell.kind.sys }

// Stop asks for the end of this actor, after what is in its mailbox now. Timers that have not fired
// and background work that has not come back are dropped.
func (c *Context) Stop() { c.cell.stop() }

// Idle stops the actor if it has nothing left to do: no message waits, no timer is armed, no
// background work is out, no question is unanswered. It reports whether it did. Nothing is lost: a
// message that comes later through the actor's directory starts a new one.
func (c *Context) Idle() bool {
	k := c.cell
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.life != k.life || k.state != running ||
		k.depth > 0 || k.pipes > 0 || len(k.timers) > 0 || len(k.asks) > 0 {
		return false
	}
	k.leave()
	k.kind.passivated.Add(1)
	return true
}

// After sends msg to the actor itself once d has passed. The message never arrives after cancel was
// called, nor after the actor stopped or panicked: who comes next arms its own timers.
func (c *Context) After(d time.Duration, msg any) (cancel func()) {
	k := c.cell
	t := &timer{cell: k, msg: msg}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.life != k.life || k.state != running {
		return func() {}
	}
	if k.timers == nil {
		k.timers = map[*timer]struct{}{}
	}
	k.timers[t] = struct{}{}
	t.clock = time.AfterFunc(d, t.fire)
	return t.cancel
}

// At is After for a moment; one in the past is due at once.
func (c *Context) At(when time.Time, msg any) (cancel func()) {
	return c.After(time.Until(when), msg)
}

// timer is armed, or fired and waiting in the mailbox, until it is due or cancelled.
type timer struct {
	cell      *cell
	msg       any
	clock     *time.Timer
	cancelled bool // guarded by cell.mu
}

func (t *timer) fire() { t.cell.own(t) }

func (t *timer) cancel() {
	t.cell.mu.Lock()
	defer t.cell.mu.Unlock()
	t.cancelled = true
	t.clock.Stop()
	delete(t.cell.timers, t)
}

// due takes the timer off the list and reports whether its message still counts.
func (t *timer) due() bool {
	t.cell.mu.Lock()
	defer t.cell.mu.Unlock()
	delete(t.cell.timers, t)
	return !t.cancelled
}
