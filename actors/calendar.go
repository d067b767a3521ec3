package actors

import (
	"context"
	"maps"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
	"relais/engine/schedule"
	"relais/engine/slot"
	"relais/storage"
)

// calendar is what the pages of a clinic show. It numbers every change and pushes it to everybody
// who watches; attaching and the snapshot are one step, so nothing falls in between.
type calendar struct {
	r       *Relais
	c       *clinic
	base    map[engine.SlotID]desk.Card // as the record system has it
	opened  map[engine.SlotID]desk.Card // as Relais has it; goes before base
	given   map[engine.SlotID]bool      // confirmed, and seen to be free in the record system after it was taken there
	sources map[string]engine.SlotID    // where a source stood last
	health  desk.Health
	ring    []delta // the newest deltas, oldest first
	seq     uint64
	subs    map[desk.Subscriber]struct{}
	whole   []byte // the encoded snapshot of seq, or nil
}

type delta struct {
	seq     uint64
	encoded []byte
}

// ringSize is how many deltas a page may have missed before it gets a snapshot instead.
const ringSize = 1024

type (
	// slotChanged carries a slot's card after a commit.
	slotChanged struct{ view desk.Card }
	// scheduleLoaded and scheduleChanged carry what the record system has.
	scheduleLoaded  struct{ views []scheduleView }
	scheduleChanged struct{ views []scheduleView }
	healthView      struct{ health desk.Health }
	modeView        struct{ mode engine.Mode }
	clinicView      struct{} // what pages say of the clinic changed
	openIs          struct{ n int }

	scheduleView struct {
		source string
		card   desk.Card // ID "" when the slot is not shown any more
	}

	watch struct {
		epoch string
		seq   uint64
		sub   desk.Subscriber
	}
	watchAsk  = system.Request[watch, struct{}]
	unwatch   struct{ sub desk.Subscriber }
	snapAsk   = system.Request[readState, desk.Snapshot]
	healthAsk = system.Request[struct{}, desk.Health]
)

func newCalendar(r *Relais, c *clinic) *calendar {
	return &calendar{
		r: r, c: c, base: map[engine.SlotID]desk.Card{}, opened: map[engine.SlotID]desk.Card{},
		given: map[engine.SlotID]bool{}, sources: map[string]engine.SlotID{}, subs: map[desk.Subscriber]struct{}{}, seq: c.seq.Load(),
		health: desk.Health{Status: health.Starting, Since: time.Now().UTC()},
	}
}

// Receive implements system.Actor.
func (a *calendar) Receive(c *system.Context, msg any) {
	a.c = a.c.present()
	switch m := msg.(type) {
	case system.Stopped:
		for sub := range a.subs {
			sub.PushEnd()
		}
	case system.Restarted:
		a.restarted(c)
	case slotChanged:
		a.slot(m.view)
	case scheduleLoaded:
		a.schedule(m.views)
	case scheduleChanged:
		a.schedule(m.views)
	case healthView:
		m.health.Open = a.health.Open
		a.healthIs(m.health)
	case modeView:
		a.push(desk.Delta{Mode: m.mode})
	case clinicView:
		info := a.r.info(a.c, time.Now())
		a.push(desk.Delta{Clinic: &info})
	case openIs:
		h := a.health
		h.Open = m.n
		a.healthIs(h)
	case *watchAsk:
		a.watch(m)
	case unwatch:
		delete(a.subs, m.sub)
	case *snapAsk:
		m.Reply(a.snapshot(), nil)
	case *healthAsk:
		m.Reply(a.health, nil)
	}
}

// restarted gathers everything again after a panic; the sequence goes on.
func (a *calendar) restarted(c *system.Context) {
	a.c.sync.Send(showAgain{})
	of := a.c
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) ([]desk.Card, error) {
		var cards []desk.Card
		err := a.r.scan(ctx, of.ID, storage.KindSlot, func(rec storage.Record) error {
			s, err := decodeSlot(rec)
			cards = append(cards, a.r.cardOf(of, s))
			return err
		})
		return cards, err
	}, func(cards []desk.Card, err error) any {
		if err != nil {
			c.After(time.Second, system.Restarted{})
		}
		for _, card := range cards {
			a.slot(card)
		}
		return nil
	})
}

// showAgain asks the dme actor to tell the calendar how things stand.
type showAgain struct{}

func (a *calendar) slot(card desk.Card) {
	if past(card, time.Now()) {
		return
	}
	before, known := a.current(card.ID)
	if known && a.opened[card.ID].Revision > card.Revision {
		return // an older word, overtaken on the way
	}
	a.opened[card.ID] = card
	a.changed(card.ID, before, known)
}

// current is the card that is shown for a slot.
func (a *calendar) current(id engine.SlotID) (desk.Card, bool) {
	base, inBase := a.base[id]
	card, isOpened := a.opened[id]
	switch {
	case !isOpened:
		return base, inBase
	case card.State == desk.Confirmed && inBase && a.given[id]:
		return base, true // given back in the record system
	case over(card) && inBase && base.State == desk.Reserved:
		return base, true // somebody has it by other means
	case card.Why != "" && over(card):
		return base, inBase // withdrawn, taken or gone: the record system's view is all there is
	}
	return card, true
}

func over(c desk.Card) bool { return c.State == desk.Expired || c.State == desk.Free }

func (a *calendar) schedule(views []scheduleView) {
	var d desk.Delta
	for _, v := range views {
		if old, ok := a.sources[v.source]; ok && old != v.card.ID {
			before, known := a.current(old)
			delete(a.base, old)
			a.diff(&d, old, before, known)
		}
		if v.card.ID == "" {
			delete(a.sources, v.source)
			continue
		}
		if past(v.card, time.Now()) {
			continue
		}
		before, known := a.current(v.card.ID)
		a.sources[v.source] = v.card.ID
		// Free says nothing as long as our own booking was not seen there: the look may be older.
		was := a.base[v.card.ID].State
		a.given[v.card.ID] = a.opened[v.card.ID].State == desk.Confirmed && v.card.State == desk.Free &&
			(was == desk.Reserved || a.given[v.card.ID])
		if !a.given[v.card.ID] {
			delete(a.given, v.card.ID)
		}
		a.base[v.card.ID] = v.card
		a.diff(&d, v.card.ID, before, known)
	}
	a.push(d)
}

func (a *calendar) changed(id engine.SlotID, before desk.Card, known bool) {
	var d desk.Delta
	a.diff(&d, id, before, known)
	a.push(d)
}

func (a *calendar) diff(d *desk.Delta, id engine.SlotID, before desk.Card, known bool) {
	now, shown := a.current(id)
	switch {
	case shown && (!known || !sameCard(before, now)):
		d.Cards = append(d.Cards, now)
	case !shown && known:
		d.Remove = append(d.Remove, id)
	}
}

func sameCard(a, b desk.Card) bool { return string(encode(a)) == string(encode(b)) }

func (a *calendar) healthIs(h desk.Health) {
	if string(encode(h)) == string(encode(a.health)) {
		return
	}
	a.health = h
	a.push(desk.Delta{Health: &h})
}

// push numbers a change and gives it to everybody; who does not keep up is dropped and comes back
// for a snapshot.
func (a *calendar) push(d desk.Delta) {
	if len(d.Cards)+len(d.Remove) == 0 && d.Health == nil && d.Mode == "" && d.Clinic == nil {
		return
	}
	if a.seq++; a.seq%ringSize == 0 {
		a.forget(time.Now())
	}
	a.c.seq.Store(a.seq)
	a.whole = nil
	d.Seq = a.seq
	e := delta{d.Seq, encode(d)}
	if len(a.ring) == ringSize {
		a.ring = append(a.ring[:0], a.ring[1:]...)
	}
	a.ring = append(a.ring, e)
	for sub := range a.subs {
		if !sub.PushDelta(e.seq, e.encoded) {
			delete(a.subs, sub)
		}
	}
}

func (a *calendar) watch(m *watchAsk) {
	w := m.Req
	m.Reply(struct{}{}, nil)
	if !a.catchUp(w) {
		if a.whole == nil {
			a.whole = encode(a.snapshot())
		}
		if !w.sub.PushSnapshot(a.whole) {
			return
		}
	}
	a.subs[w.sub] = struct{}{}
}

// catchUp sends what a page missed, if that is still known.
func (a *calendar) catchUp(w watch) bool {
	if w.epoch != a.r.epoch || w.seq > a.seq || a.seq-w.seq > uint64(len(a.ring)) {
		return false
	}
	for _, d := range a.ring[len(a.ring)-int(a.seq-w.seq):] { //nolint:gosec // at most the ring's length
		if !w.sub.PushDelta(d.seq, d.encoded) {
			return true // dropped already; the page comes back
		}
	}
	return true
}

func (a *calendar) snapshot() desk.Snapshot {
	now := time.Now().UTC()
	a.forget(now)
	s := desk.Snapshot{Epoch: a.r.epoch, Seq: a.seq, Now: now, Clinic: a.r.info(a.c, now), Health: a.health, Cards: []desk.Card{}}
	seen := make(map[engine.SlotID]bool, len(a.base))
	for _, ids := range []map[engine.SlotID]desk.Card{a.base, a.opened} {
		for id := range ids {
			if card, ok := a.current(id); ok && !seen[id] {
				seen[id] = true
				s.Cards = append(s.Cards, card)
			}
		}
	}
	return s
}

// past reports whether a card is too old to be shown.
func past(c desk.Card, now time.Time) bool { return now.Sub(c.End) > schedule.Keep }

// forget lets go of old cards. Pages that have them keep them: they do no harm there.
func (a *calendar) forget(now time.Time) {
	old := func(_ engine.SlotID, c desk.Card) bool { return past(c, now) }
	maps.DeleteFunc(a.base, old)
	maps.DeleteFunc(a.opened, old)
	maps.DeleteFunc(a.sources, func(_ string, id engine.SlotID) bool {
		_, shown := a.base[id]
		return !shown
	})
}

// info is what pages say of a clinic.
func (r *Relais) info(c *clinic, now time.Time) desk.ClinicInfo {
	local := now.In(c.zone)
	_, offset := local.Zone()
	return desk.ClinicInfo{
		ID: c.ID, Name: c.Name, Zone: c.Zone, Offset: offset / 60, Today: local.Format(time.DateOnly), Mode: c.mode(),
		Practitioners: c.Practitioners, Places: c.Places,
	}
}

// card fills in what every card has.
func (c *clinic) card(id engine.SlotID, start, end time.Time) desk.Card {
	s, e := start.In(c.zone), end.In(c.zone)
	return desk.Card{
		ID: id, Start: start, End: end,
		Day: s.Format(time.DateOnly), From: s.Format("15:04"), Until: e.Format("15:04"),
	}
}

// view is a slot as the record system has it.
func (a *dmeActor) view(source string) scheduleView {
	s, ok := a.mirror.Slot(source)
	v := scheduleView{source: source}
	if !ok || s.Status == engine.SlotGone || s.Status == engine.SlotBlocked || s.Status == engine.SlotUnknown {
		return v
	}
	v.card = a.c.card(engine.NewSlotID(a.c.ID, s.Source, s.Start), s.Start, s.End)
	v.card.Practitioner, v.card.Place, v.card.Specialty = s.Practitioner, s.Place, s.Specialty
	v.card.State = desk.Reserved
	if a.mirror.Bookable(source) {
		v.card.State = desk.Free
	}
	return v
}

func (a *dmeActor) views() []scheduleView {
	var views []scheduleView
	for s := range a.mirror.All() {
		views = append(views, a.view(s.Source))
	}
	return views
}

// slotOfFact names the slot that a fact is about.
func slotOfFact(m *schedule.Mirror, f schedule.Fact) string {
	switch {
	case f.Slot != nil:
		return f.Slot.Source
	case f.Appointment != nil && len(f.Appointment.Slots) > 0:
		return f.Appointment.Slots[0]
	}
	if _, ok := m.Slot(f.Key); ok {
		return f.Key
	}
	return ""
}

// cardOf is a slot as Relais has it.
func (r *Relais) cardOf(c *clinic, s slot.State) desk.Card {
	card := c.card(s.Slot.ID, s.Slot.Start, s.Slot.End)
	card.Practitioner, card.Place, card.Specialty = s.Slot.Practitioner, s.Slot.Place, s.Slot.Specialty
	card.Revision, card.Wave, card.Paused, card.Exhausted = s.Version, s.Wave, s.Paused, s.Exhausted
	card.Depth = s.Depth
	if s.Hand != nil {
		card.By, card.ByRevision = string(s.Hand.By), s.Hand.Version
	}
	if s.Later == slot.LaterRefused {
		card.Todo = desk.TodoCancel
	}
	for _, o := range s.Offers {
		card.Asked++
		switch o.Status {
		case slot.Pending:
			card.Pending++
		case slot.Declined:
			card.Declined++
		case slot.Unreached, slot.Won, slot.Lost, slot.Ended, slot.Refused:
		}
		if o.ID == s.Winner {
			card.Patient = r.label(o.Patient)
		}
	}
	switch s.Phase {
	case slot.Freed:
		card.State = desk.Freed
		card.Hold = when(s.HoldUntil)
	case slot.Approval:
		card.State = desk.Approval
	case slot.Offering:
		card.State = desk.Offered
	case slot.Claimed:
		card.State = desk.Claimed
	case slot.Booked:
		card.State = desk.Confirmed
	case slot.Expired:
		card.State = desk.Expired
	case slot.Closed:
		card.State, card.Why = desk.Expired, s.Why
	case slot.None:
		card.State = desk.Free
	}
	if unfinished(s) && s.Phase != slot.Claimed {
		card.Deadline, card.Next = when(s.Deadline), when(s.Wake)
		if s.Suspended {
			card.State = desk.Suspended
		}
	}
	return card
}

// label is a patient's name as the front desk reads it.
func (r *Relais) label(id engine.PatientID) string {
	p, _, ok := r.waitlist.patient(id)
	if !ok {
		return ""
	}
	return p.Given + " " + p.Family
}
