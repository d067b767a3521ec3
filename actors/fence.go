package actors

import (
	"context"
	"sync"

	"relais/engine"
	"relais/storage"
)

// fence lets a clinic's writes through while the clinic is open here, and none afterwards. Whatever an
// actor, a page or a carrier still has at hand for a clinic that was closed meets it.
type fence struct {
	storage.Store

	mu     sync.Mutex
	gates  map[engine.ClinicID]*passage
	passed sync.Cond
}

// passage counts the writes under way of a clinic that is open.
type passage struct {
	writes int
	shut   bool
}

func newFence(s storage.Store) *fence {
	f := &fence{Store: s, gates: map[engine.ClinicID]*passage{}}
	f.passed.L = &f.mu
	return f
}

var errFenced = &engine.Error{Code: engine.Unavailable, Message: "this clinic is being opened again, or was closed; try again in a moment"}

// open lets a clinic's writes through.
func (f *fence) open(c engine.ClinicID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gates[c] = &passage{}
}

// shut lets no further write of a clinic through, and waits for those under way: they end when the store
// has answered, so the wait has the store's own bounds.
func (f *fence) shut(c engine.ClinicID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.gates[c]
	if p == nil {
		return
	}
	p.shut = true
	for p.writes > 0 {
		f.passed.Wait()
	}
	if f.gates[c] == p {
		delete(f.gates, c)
	}
}

// Commit implements storage.Store.
func (f *fence) Commit(ctx context.Context, b storage.Batch) error {
	through, err := f.enter(b)
	if err != nil {
		return err
	}
	defer f.leave(through)
	return f.Store.Commit(ctx, b)
}

func (f *fence) enter(b storage.Batch) (through []*passage, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var seen engine.ClinicID
	take := func(c engine.ClinicID) {
		if c == storage.Shared || c == seen || err != nil { // nearly every batch is of one clinic
			return
		}
		seen = c
		p := f.gates[c]
		if p == nil || p.shut {
			err = errFenced
			return
		}
		p.writes++
		through = append(through, p)
	}
	for _, p := range b.Puts {
		take(p.Key.Clinic)
	}
	for _, e := range b.Events {
		take(e.Clinic)
	}
	for _, e := range b.Redact.Events {
		take(e.Clinic)
	}
	for _, e := range b.Effects {
		take(e.Clinic)
	}
	for _, d := range b.Done {
		take(d.Clinic)
	}
	if err != nil {
		f.release(through)
		return nil, err
	}
	return through, nil
}

func (f *fence) leave(through []*passage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release(through)
}

func (f *fence) release(through []*passage) {
	for _, p := range through {
		if p.writes--; p.writes == 0 && p.shut {
			f.passed.Broadcast()
		}
	}
}
