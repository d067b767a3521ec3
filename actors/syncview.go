package actors

import (
	"cmp"
	"context"
	"slices"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
)

// syncAsk asks the dme actor how the sync stands, in detail.
type syncAsk = system.Request[readState, desk.Sync]

// mostPending bounds the list of write-backs that wait; their number is in Health.
const mostPending = 50

// Sync is how a clinic's record system is followed, and what happened lately.
func (r *Relais) Sync(ctx context.Context, id engine.ClinicID) (desk.Sync, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Sync{}, err
	}
	s, err := system.Ask[readState, desk.Sync](ctx, c.sync, readState{})
	if err != nil {
		return s, err
	}
	h, err := system.Ask[struct{}, desk.Health](ctx, c.calendar, struct{}{})
	s.Health.Open = h.Open
	return s, err
}

func (a *dmeActor) show(m *syncAsk) {
	if !a.ready {
		m.Reply(desk.Sync{}, engine.Errorf(engine.Unavailable, "the record system's state is still being loaded; try again in a moment"))
		return
	}
	h := a.sync.Health
	s := desk.Sync{
		Health: a.health(), LastFull: when(h.LastFull), LastPush: when(a.pushed), SkewMS: h.Skew.Milliseconds(),
		PollMS: a.poll().Milliseconds(), Pending: []desk.PendingWrite{}, Log: []desk.SyncTurn{}, Modes: []engine.DMEMode{},
	}
	if a.lagKnown {
		lag := a.lag.Milliseconds()
		s.LagMS = &lag
	}
	s.Slots, s.Appointments = a.mirror.Len()
	for _, w := range a.writes {
		s.Pending = append(s.Pending, desk.PendingWrite{
			Slot: w.order.Slot, Cancel: w.order.Do == deedCancel, Since: cmp.Or(w.order.At, w.since), Tries: w.tries,
		})
	}
	slices.SortFunc(s.Pending, func(x, y desk.PendingWrite) int { return x.Since.Compare(y.Since) })
	s.Pending = s.Pending[:min(len(s.Pending), mostPending)]
	for _, t := range slices.Backward(h.Log) {
		s.Log = append(s.Log, desk.SyncTurn{
			At: t.At, Last: t.Last, Count: t.Count, Status: t.Status, Fault: t.Fault, Detail: t.Detail, By: t.By,
		})
	}
	if d, ok := a.c.dme.(Describer); ok {
		s.Modes = append(s.Modes, d.Modes()...)
	}
	m.Reply(s, nil)
}

func (a *dmeActor) health() desk.Health {
	h := a.sync.Health
	return desk.Health{
		Status: h.Status, Since: h.Since, Fault: h.Fault, Detail: h.Detail,
		LastGood: when(h.LastGood), RetryAt: when(h.RetryAt), Held: h.Hold != "", Writing: len(a.writes),
	}
}

// lagged notes how old the newest change was when a look for changes showed it, on our clock.
func (a *dmeActor) lagged(obs engine.Observation, full bool, now time.Time) {
	newest := a.newest
	for _, s := range obs.Slots {
		if s.Changed.After(newest) {
			newest = s.Changed
		}
	}
	if newest.Equal(a.newest) { // nothing that was not seen before: looks overlap
		return
	}
	a.newest = newest
	if full { // it may show what happened while nobody looked
		return
	}
	a.lag, a.lagKnown = max(0, now.Sub(ours(newest, obs.Skew))), true
}

// ours turns a time of the record system's clock into one of ours.
func ours(t time.Time, skew time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-skew)
}
