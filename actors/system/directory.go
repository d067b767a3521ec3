package system

import (
	"context"
	"errors"
)

// Directory owns the actors of one kind: it starts the actor of a key when the first message for it
// comes, and starts it again after it was passivated ([Context.Idle]) or stopped. No message is lost
// in between, and no two actors of one key run at once.
type Directory[K ~string] struct{ d *directory }

type directory struct {
	kind  *kind
	make  func(id string) Actor
	limit int
}

// NewDirectory returns the directory of the actors of a kind. Make one a kind.
func NewDirectory[K ~string](s *System, kind string, make func(K) Actor) *Directory[K] {
	return &Directory[K]{&directory{
		kind:  s.kind(kind),
		make:  func(id string) Actor { return make(K(id)) },
		limit: s.opt.Depth,
	}}
}

// Send puts msg in the mailbox of k's actor. It fails with engine.TooMany when Options.Depth
// messages wait there, and with engine.Unavailable while the system shuts down.
func (d *Directory[K]) Send(k K, msg any) error {
	return d.d.admit(string(k), msg, d.d.limit)
}

// Ref returns an address for k that starts the actor when needed. Its Send has no limit: it is for
// messages between actors, which are bounded where they enter.
func (d *Directory[K]) Ref(k K) Ref { return Ref{route{d.d, string(k)}} }

// AskIn is [Ask] for the actor of a key in a directory, with the limit of [Directory.Send].
func AskIn[Q, R any, K ~string](ctx context.Context, d *Directory[K], k K, question Q) (R, error) {
	if d.d.kind.sys.closed.Load() {
		var none R
		return none, errClosing
	}
	return ask[Q, R](ctx, d.Ref(k), question, d.d.limit)
}

// Len returns how many actors are alive.
func (d *Directory[K]) Len() int { return d.d.kind.len() }

// Has reports whether the actor of k is alive.
func (d *Directory[K]) Has(k K) bool {
	d.d.kind.mu.Lock()
	defer d.d.kind.mu.Unlock()
	return d.d.kind.cells[string(k)] != nil
}

// Each calls f for every actor alive when it is called, in no order. f may use the directory.
func (d *Directory[K]) Each(f func(K, Ref)) {
	for _, c := range d.d.kind.all() {
		f(K(c.id), c.self())
	}
}

func (d *directory) admit(id string, msg any, limit int) error {
	if d.kind.sys.closed.Load() {
		return errClosing
	}
	return d.post(id, msg, limit)
}

func (d *directory) post(id string, msg any, limit int) error {
	for {
		c := d.kind.ensure(id, func() *cell { return d.cell(id) })
		if c == nil {
			return errClosing
		}
		// The actor may leave between these two lines; then there is a next one.
		if err := c.post(msg, limit); !errors.Is(err, errStopped) {
			return err
		}
	}
}

func (d *directory) cell(id string) *cell {
	return &cell{kind: d.kind, id: id, dir: d}
}

// route is the way to a key through its directory.
type route struct {
	d  *directory
	id string
}

func (r route) post(msg any, limit int) error { return r.d.post(r.id, msg, limit) }
func (r route) lost(msg any, why error)       { r.d.kind.lost(msg, why) }

func (r route) stop() {
	r.d.kind.mu.Lock()
	c := r.d.kind.cells[r.id]
	r.d.kind.mu.Unlock()
	if c != nil {
		c.stop()
	}
}
