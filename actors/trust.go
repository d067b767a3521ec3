package actors

import (
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/health"
	"relais/engine/schedule"
	"relais/storage"
)

// comparison is the whole mirror as open slots need it.
func (a *dmeActor) comparison() compare {
	m := compare{seen: map[engine.SlotID]standingThere{}}
	for s := range a.mirror.All() {
		m.seen[engine.NewSlotID(a.c.ID, s.Source, s.Start)] = a.standing(s)
	}
	return m
}

func (a *dmeActor) standing(s engine.SlotFact) standingThere {
	appt, _ := a.mirror.Occupant(s.Source)
	there := standingThere{free: a.mirror.Bookable(s.Source), mine: appt.Booking}
	switch {
	case there.free:
	case s.Status == engine.SlotGone:
		there.why = schedule.Gone
	case s.Status == engine.SlotBlocked, s.Status == engine.SlotUnknown:
		there.why = schedule.Blocked
	default:
		there.why = schedule.Taken
	}
	return there
}

// compareOne holds a slot against the record system that came after the others were compared, and
// lets it send. While the record system is not trusted there is nothing to compare with: all slots
// are compared before the gate opens again.
func (a *dmeActor) compareOne(s engine.Slot) {
	gate := a.c.opening()
	if !a.ready || a.sync.Health.Status != health.Healthy || gate == 0 {
		return
	}
	m := compare{seen: map[engine.SlotID]standingThere{}}
	if f, ok := a.mirror.Slot(s.Source); ok && f.Start.Equal(s.Start) {
		m.seen[s.ID] = a.standing(f)
	}
	a.r.slots.Ref(s.ID).Send(m)
	a.r.slots.Ref(s.ID).Send(gateOpened{gate})
}

// judge lets the rules decide about trust, and spreads the news.
func (a *dmeActor) judge(c *system.Context, in health.Input) {
	if !a.ready {
		return
	}
	before := a.sync.Health
	a.sync.Health = health.Step(before, in, time.Now().UTC())
	now := a.sync.Health
	if before.Status == now.Status && before.Hold == now.Hold {
		if before.Failures != now.Failures || before.Detail != now.Detail {
			a.tell()
		}
		if health.News(before, now) {
			a.keepSync(c, func(*system.Context) {})
		}
		return
	}
	a.tell()
	if now.Status == health.Healthy {
		for _, w := range a.writes {
			w.tries = 0
			a.try(c, w)
		}
	}
	a.keepSync(c, func(*system.Context) {})
}

// keepSync stores the sync record, and then goes on.
func (a *dmeActor) keepSync(c *system.Context, then func(*system.Context)) {
	a.keep(c, func() []storage.Batch { return []storage.Batch{{Puts: []storage.Put{a.putSync()}}} }, then)
}

func (a *dmeActor) tell() {
	h := a.sync.Health
	a.c.heard.Store(time.Now().UnixNano())
	a.c.shut.Store(h.Status != health.Healthy)
	if h.Status != health.Healthy {
		a.c.gate.Store(0)
	}
	a.c.boss.Send(healthIs{h.Status})
	a.r.opt.Metrics.Health(a.c.ID, a.told, h.Status)
	a.told = h.Status
	a.c.calendar.Send(healthView{a.health()})
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// hold suspends the clinic by hand, or ends that. The answer comes when it is kept.
func (a *dmeActor) hold(c *system.Context, m *holdAsk) {
	if !a.ready {
		m.Reply(struct{}{}, engine.Errorf(engine.Unavailable, "the record system's state is still being loaded; try again in a moment"))
		return
	}
	a.judge(c, health.HeldBy{User: m.Req})
	if m.Req == "" {
		a.mirror.Believe() // a person has looked
		a.full = true
		a.nudged(c)
	}
	a.keepSync(c, func(*system.Context) { m.Reply(struct{}{}, nil) })
}
