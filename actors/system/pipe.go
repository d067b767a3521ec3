package system

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"relais/engine"
)

// piped is a result on its way back to the life of the actor that asked for it.
type piped struct {
	life   uint32
	result func() any
}

// Pipe runs f, which may block, outside the actor and sends the actor wrap(value, err) when it is
// done. wrap is called in the actor's turn, so it may read the actor's fields. The result is dropped
// when the actor has stopped or panicked since.
//
// At most Options.Workers calls run at once and Options.Waiting wait; beyond that the result is an
// engine.TooMany error. A call still waiting when ctx ends never runs. A panic in f becomes an
// engine.Internal error. The context of f ends with ctx and when the system is shut down, but not
// when the actor stops (but for [System.Halt]): what has begun outside may have effects that must be finished.
func Pipe[T any](c *Context, ctx context.Context, f func(context.Context) (T, error), wrap func(T, error) any) {
	PipeOn(Pool{}, c, ctx, f, wrap)
}

// Pool is a bound of its own for work of one sort, so that what is slow outside does not hold up
// the rest. The zero Pool is the system's.
type Pool struct{ pool *pool }

// NewPool returns a pool on which at most workers calls run at once and waiting wait.
func (s *System) NewPool(workers, waiting int) Pool {
	p := &pool{workers: workers, limit: waiting, progress: s.progressed}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools = append(s.pools, p)
	return Pool{p}
}

// PipeOn is [Pipe] on a pool of its own.
func PipeOn[T any](on Pool, c *Context, ctx context.Context, f func(context.Context) (T, error), wrap func(T, error) any) {
	k := c.cell
	k.mu.Lock()
	if c.life != k.life || k.state == ended {
		k.mu.Unlock()
		return
	}
	k.pipes++
	k.mu.Unlock()

	var value T
	s := k.kind.sys
	ctx, cancel := context.WithCancel(ctx)
	j := &job{ctx: ctx, cell: k, cancel: cancel}
	j.done = func(err error) {
		k.own(piped{c.life, func() any { return wrap(value, err) }})
	}
	j.work = func() (err error) {
		defer context.AfterFunc(s.hard, cancel)() //nolint:contextcheck // the end of the system ends the work too
		defer func() {
			if r := recover(); r != nil {
				s.opt.Logger.Error("background work panicked", "kind", k.kind.name, "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
				err = &engine.Error{Code: engine.Internal, Message: "background work failed"}
			}
		}()
		value, err = f(ctx)
		return err
	}
	p := on.pool
	if p == nil {
		p = s.own
	}
	p.submit(j)
}

var errPoolFull = &engine.Error{Code: engine.TooMany, Message: "too much background work is waiting; try again in a moment"}

// job is one call of Pipe.
type job struct {
	ctx  context.Context //nolint:containedctx // a job is a call that waits for its turn
	cell *cell
	work func() error
	done func(error)
	quit func() bool // unregisters from ctx

	cancel context.CancelFunc
}

// pool runs jobs in order on at most workers goroutines, which end when nothing waits.
type pool struct {
	workers, limit int
	progress       func()

	mu      sync.Mutex
	queue   []*job
	running []*job
}

func (p *pool) submit(j *job) {
	p.mu.Lock()
	switch {
	case len(p.running) < p.workers:
		p.running = append(p.running, j)
		p.mu.Unlock()
		go p.work(j)
	case len(p.queue) < p.limit:
		p.queue = append(p.queue, j)
		j.quit = context.AfterFunc(j.ctx, func() { p.expire(j) })
		p.mu.Unlock()
	default:
		p.mu.Unlock()
		j.done(errPoolFull)
		j.cancel()
	}
}

// expire ends a job whose context ended before its turn came.
func (p *pool) expire(j *job) {
	p.mu.Lock()
	i := slices.Index(p.queue, j)
	if i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		j.done(late(j.ctx))
		j.cancel()
		p.progress()
	}
}

func late(ctx context.Context) error {
	return &engine.Error{Code: engine.Unavailable, Message: "background work did not get its turn in time", Err: context.Cause(ctx)}
}

// work runs j and then what waits.
func (p *pool) work(j *job) {
	for j != nil {
		err := late(j.ctx)
		if j.ctx.Err() == nil {
			err = j.work()
		}
		j.done(err) // before the job is off the list: in between, Shutdown would see nothing to wait for
		j.cancel()
		p.mu.Lock()
		i := slices.Index(p.running, j)
		p.running = slices.Delete(p.running, i, i+1)
		j = nil
		if len(p.queue) > 0 {
			j = p.queue[0]
			p.queue = slices.Delete(p.queue, 0, 1)
			p.running = append(p.running, j)
			j.quit()
		}
		p.mu.Unlock()
		p.progress()
	}
}

// Running is how many calls run now.
func (p Pool) Running() int {
	running, _ := p.pool.load()
	return running
}

func (p *pool) load() (running, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.running), len(p.queue)
}

// Resize changes the bounds. Work that runs or waits already is not touched.
func (p Pool) Resize(workers, waiting int) {
	p.pool.mu.Lock()
	defer p.pool.mu.Unlock()
	p.pool.workers, p.pool.limit = workers, waiting
}

// of lists the work of some actors that runs or waits.
func (p *pool) of(cells map[*cell]bool) []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	var jobs []*job
	for _, j := range slices.Concat(p.running, p.queue) {
		if cells[j.cell] {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// names lists the actors whose work has not come back.
func (p *pool) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for _, j := range slices.Concat(p.running, p.queue) {
		names = append(names, "work of "+j.cell.kind.name+"/"+j.cell.id)
	}
	return names
}
