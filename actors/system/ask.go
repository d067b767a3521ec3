package system

import (
	"context"
	"sync/atomic"

	"relais/engine"
)

// Request is a question as the actor receives it: match on *Request[Q, R] and call Reply, at once or
// later, from any goroutine. It may be forwarded to another actor with Send.
type Request[Q, R any] struct {
	Req Q

	answer chan result[R]
	done   atomic.Bool          // answered, failed, or the asker has gone
	owner  atomic.Pointer[cell] // the actor that has it
	kept   atomic.Bool          // it stands in its owner's list of unanswered questions
}

type result[R any] struct {
	value R
	err   error
}

// pending is a Request of any types.
type pending interface {
	fail(err error)
	over() bool
	moveTo(c *cell)
	heldBy(c *cell) bool
	setKept()
}

// Reply answers. Only the first answer counts; it never blocks.
func (r *Request[Q, R]) Reply(value R, err error) {
	if r.finish() {
		r.answer <- result[R]{value, err}
	}
}

// finish reports whether the caller is the one who ends the question.
func (r *Request[Q, R]) finish() bool {
	if !r.done.CompareAndSwap(false, true) {
		return false
	}
	if r.kept.Load() {
		r.owner.Load().forget(r)
	}
	return true
}

func (r *Request[Q, R]) fail(err error) {
	var none R
	r.Reply(none, err)
}

func (r *Request[Q, R]) over() bool          { return r.done.Load() }
func (r *Request[Q, R]) heldBy(c *cell) bool { return r.owner.Load() == c }
func (r *Request[Q, R]) setKept()            { r.kept.Store(true) }

func (r *Request[Q, R]) moveTo(c *cell) {
	if old := r.owner.Swap(c); old != nil && r.kept.Swap(false) {
		old.forget(r)
	}
}

// keep remembers a question that was delivered and not answered, so that it ends with the actor.
func (c *cell) keep(p pending) {
	if p.over() || !p.heldBy(c) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asks == nil {
		c.asks = map[pending]struct{}{}
	}
	c.asks[p] = struct{}{}
	p.setKept()
	if p.over() || !p.heldBy(c) { // meanwhile; whoever did it may not have seen that it is kept
		delete(c.asks, p)
	}
}

func (c *cell) forget(p pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.asks, p)
}

// Ask sends a question and waits for the answer. It fails with engine.Unavailable when ctx ends, or
// when the actor panics on it or stops without answering; the question may still have had its effect
// if it was being handled. A question still in the mailbox when ctx ends is never handled. Ask blocks:
// do not call it from Receive.
func Ask[Q, R any](ctx context.Context, to Ref, question Q) (R, error) {
	return ask[Q, R](ctx, to, question, 0)
}

func ask[Q, R any](ctx context.Context, to Ref, question Q, limit int) (R, error) {
	var none R
	if to.to == nil {
		return none, errStopped
	}
	r := &Request[Q, R]{Req: question, answer: make(chan result[R], 1)}
	if err := to.to.post(r, limit); err != nil {
		to.to.lost(r, err)
		return none, err
	}
	select {
	case a := <-r.answer:
		return a.value, a.err
	case <-ctx.Done():
		if !r.finish() { // the answer came at the same moment
			a := <-r.answer
			return a.value, a.err
		}
		return none, &engine.Error{Code: engine.Unavailable, Message: "no answer in time", Err: context.Cause(ctx)}
	}
}
