package actors

import (
	"context"
	"slices"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
)

// mostLinks bounds what is shown of a chain; a policy's depth is far below.
const mostLinks = 50

// linked remembers which slot a slot's winner gave up, so that a chain can be followed downwards. It is read
// from the slots themselves at each start.
func (r *Relais) linked(s slot.State) {
	if s.Parent != "" {
		r.next.Store(s.Parent, s.Slot.ID)
	}
}

// chain lists the slots of a chain, from the first cancellation on; none for a slot that stands alone. Each
// winner gives up a later appointment, so times only rise and no slot comes twice; the walk does not rely
// on that.
func (r *Relais) chain(ctx context.Context, c *clinic, s slot.State) ([]desk.Link, error) {
	states := []slot.State{s}
	known := func(id engine.SlotID) bool {
		return slices.ContainsFunc(states, func(s slot.State) bool { return s.Slot.ID == id })
	}
	for first := s; first.Parent != "" && !known(first.Parent) && len(states) < mostLinks; {
		parent, err := r.slotState(ctx, c, first.Parent)
		if engine.CodeOf(err) == engine.NotFound { // long past, and let go of
			break
		}
		if err != nil {
			return nil, err
		}
		states, first = slices.Insert(states, 0, parent), parent
	}
	for last := s; len(states) < mostLinks; {
		id, ok := r.next.Load(last.Slot.ID)
		if !ok || known(id.(engine.SlotID)) {
			break
		}
		child, err := r.slotState(ctx, c, id.(engine.SlotID))
		if engine.CodeOf(err) == engine.NotFound {
			break
		}
		if err != nil {
			return nil, err
		}
		if child.Parent != last.Slot.ID { // it was opened anew, by itself
			break
		}
		states, last = append(states, child), child
	}
	links := []desk.Link{}
	if len(states) == 1 {
		return links, nil
	}
	for _, s := range states {
		links = append(links, r.link(c, s))
	}
	return links, nil
}

// link is one slot of a chain, and how much sooner its winner is seen.
func (r *Relais) link(c *clinic, s slot.State) desk.Link {
	l := desk.Link{Card: r.cardOf(c, s)}
	i := slices.IndexFunc(s.Offers, func(o slot.Offer) bool { return o.ID == s.Winner })
	if i >= 0 && s.Offers[i].Current != nil && !s.Offers[i].Current.Start.IsZero() {
		was := s.Offers[i].Current.Start
		l.Was = &was
		l.GainedMinutes = max(0, int(was.Sub(s.Slot.Start).Minutes()))
	}
	return l
}
