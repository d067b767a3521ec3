package carrier

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"relais/engine"
)

const (
	// slack is how far a lane may catch up when its timer comes late.
	slack = 50 * time.Millisecond
	// ahead is how many units (segments or calls) an answer to a person may run ahead of the share
	// of its clinic.
	ahead = 20
)

var (
	errFull    = errors.New("carrier: the lane is full")
	errEmptied = errors.New("carrier: the lane was emptied")
)

// ticket is one message that waits for its turn.
type ticket struct {
	clinic engine.ClinicID
	cost   float64   // segments, or 1 call
	answer bool      // to a person: goes before offers
	before time.Time // start of the slot; zero: last

	seq    uint64
	index  int // in the heap; -1 when it is not waiting
	turn   chan error
	refuse time.Duration // when refused: how long until its turn would have been
}

// flow is what waits of one clinic.
type flow struct {
	used  float64 // virtual time: units had, never behind the lane's when it begins to wait
	queue tickets
}

// lane lets messages through at a rate.
type lane struct {
	every time.Duration // of one unit
	limit int           // tickets waiting

	mu      sync.Mutex
	next    time.Time // no message before
	virtual float64   // of the flow served last
	flows   map[engine.ClinicID]*flow
	waiting int
	seq     uint64
	timer   *time.Timer
}

// newLane makes a lane of so many units a second.
func newLane(perSecond float64, limit int) *lane {
	return &lane{every: time.Duration(float64(time.Second) / perSecond), limit: limit, flows: map[engine.ClinicID]*flow{}}
}

// wait blocks until the ticket's turn. The error is errFull, errEmptied or the context's.
func (l *lane) wait(ctx context.Context, t *ticket) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.turn = make(chan error, 1)
	l.mu.Lock()
	l.enter(t)
	l.serve()
	l.mu.Unlock()
	select {
	case err := <-t.turn:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.index < 0 { // its turn came at the same moment
		return <-t.turn
	}
	l.leave(t)
	return ctx.Err()
}

// enter queues a ticket; the last one of the longest queue leaves when the lane is full.
func (l *lane) enter(t *ticket) {
	l.seq++
	t.seq = l.seq
	f := l.flows[t.clinic]
	if f == nil {
		f = &flow{}
		l.flows[t.clinic] = f
	}
	if len(f.queue) == 0 {
		f.used = max(f.used, l.virtual)
	}
	heap.Push(&f.queue, t)
	l.waiting++
	if l.waiting > l.limit {
		out := l.longest().queue.last()
		l.leave(out)
		out.turn <- errFull
	}
}

func (l *lane) longest() *flow {
	var most *flow
	for _, f := range l.flows {
		if most == nil || len(f.queue) > len(most.queue) {
			most = f
		}
	}
	return most
}

// leave takes out a ticket whose turn did not come, and says when it might have.
func (l *lane) leave(t *ticket) {
	f := l.flows[t.clinic]
	busy := 0
	for _, o := range l.flows {
		if len(o.queue) > 0 {
			busy++
		}
	}
	before := 0
	for _, o := range f.queue {
		if o != t && o.less(t) {
			before++
		}
	}
	t.refuse = time.Duration(before*busy) * l.every
	heap.Remove(&f.queue, t.index)
	l.waiting--
}

// serve gives turns while there are any, and sets the timer for the next one.
func (l *lane) serve() {
	now := time.Now()
	for l.waiting > 0 && !l.next.After(now) {
		f := l.first()
		t := heap.Pop(&f.queue).(*ticket)
		l.waiting--
		l.virtual = max(l.virtual, f.used)
		f.used += t.cost
		if early := now.Add(-slack); l.next.Before(early) {
			l.next = now // it was idle: nothing to catch up
		}
		l.next = l.next.Add(time.Duration(t.cost * float64(l.every)))
		t.turn <- nil
	}
	if l.waiting == 0 {
		clear(l.flows) // nobody competes: shares begin anew
		l.virtual = 0
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(l.next.Sub(now), func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.serve()
		})
		return
	}
	l.timer.Reset(l.next.Sub(now))
}

// first is the clinic whose turn it is.
func (l *lane) first() *flow {
	var best *flow
	rank := func(f *flow) float64 {
		if f.queue[0].answer {
			return f.used - ahead
		}
		return f.used
	}
	for _, f := range l.flows {
		if len(f.queue) == 0 {
			continue
		}
		if best == nil || rank(f) < rank(best) || rank(f) == rank(best) && f.queue[0].seq < best.queue[0].seq {
			best = f
		}
	}
	return best
}

// refund gives back a turn that was not used.
func (l *lane) refund(t *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flows[t.clinic]; f != nil {
		f.used -= t.cost
	}
	l.next = l.next.Add(-time.Duration(t.cost * float64(l.every)))
	l.serve()
}

// empty sends everybody who waits away with errEmptied.
func (l *lane) empty() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		for _, t := range f.queue {
			t.index = -1
			t.turn <- errEmptied
		}
	}
	clear(l.flows)
	l.waiting, l.virtual = 0, 0
}

// depth is how many wait.
func (l *lane) depth() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// less reports whether t goes before o, inside a clinic.
func (t *ticket) less(o *ticket) bool {
	switch {
	case t.answer != o.answer:
		return t.answer
	case !t.before.Equal(o.before):
		return !t.before.IsZero() && (o.before.IsZero() || t.before.Before(o.before))
	}
	return t.seq < o.seq
}

// tickets is a heap of what waits.
type tickets []*ticket

func (q tickets) Len() int           { return len(q) }
func (q tickets) Less(i, j int) bool { return q[i].less(q[j]) }
func (q tickets) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *tickets) Push(x any) {
	t := x.(*ticket)
	t.index = len(*q)
	*q = append(*q, t)
}

// Pop implements heap.Interface.
func (q *tickets) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.index = -1
	return t
}

// last is the ticket that goes last.
func (q tickets) last() *ticket {
	out := q[0]
	for _, t := range q {
		if out.less(t) {
			out = t
		}
	}
	return out
}
