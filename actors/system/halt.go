package system

import (
	"context"
	"slices"
	"time"
)

// Halt ends some actors of a system that goes on, and returns when none of them and nothing of their
// background work runs any more. Each is stopped as soon as it has nothing at hand: no message, no
// background work, no unanswered question. When grace is over, all are stopped, and the context of
// what they still do outside ends. It returns the names of what did not end before ctx did.
//
// What is sent to them afterwards is lost, but for actors of a [Directory], which starts new ones.
func (s *System) Halt(ctx context.Context, grace time.Duration, refs ...Ref) (stuck []string) {
	cells := map[*cell]bool{}
	for _, r := range refs {
		if c := r.cell(); c != nil {
			cells[c] = true
		}
	}
	patient, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	poll(patient, func() bool {
		quiet := true
		for c := range cells {
			quiet = c.stopQuiet() && quiet
		}
		return quiet
	})
	for c := range cells {
		c.stop()
	}
	poll(ctx, func() bool {
		for c := range cells {
			if !c.hasEnded() {
				return false
			}
		}
		return true
	})
	poll(ctx, func() bool {
		idle := true
		for _, p := range s.workPools() {
			for _, j := range p.of(cells) {
				j.cancel()
				idle = false
			}
		}
		return idle
	})
	for c := range cells {
		if !c.hasEnded() {
			stuck = append(stuck, c.kind.name+"/"+c.id)
		}
	}
	for _, p := range s.workPools() {
		for _, j := range p.of(cells) {
			stuck = append(stuck, "work of "+j.cell.kind.name+"/"+j.cell.id)
		}
	}
	slices.Sort(stuck)
	return stuck
}

// poll calls done, less and less often, until it returns true or ctx ends.
func poll(ctx context.Context, done func() bool) {
	const first, longest = time.Millisecond, 20 * time.Millisecond
	for wait := first; !done(); wait = min(2*wait, longest) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// cell is the actor that has the address now, or nil.
func (r Ref) cell() *cell {
	switch to := r.to.(type) {
	case *cell:
		return to
	case route:
		to.d.kind.mu.Lock()
		defer to.d.kind.mu.Unlock()
		return to.d.kind.cells[to.id]
	}
	return nil
}

// stopQuiet stops the actor if it has nothing at hand, and reports whether it is on its way out.
func (c *cell) stopQuiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == running && c.depth == 0 && c.pipes == 0 && len(c.asks) == 0 {
		c.leave()
	}
	return c.state >= leaving
}

func (c *cell) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == ended
}
