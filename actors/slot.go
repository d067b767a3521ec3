package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
)

// slotActor owns one slot. Inputs are taken one after the other; while a commit is under way the
// next ones wait, so nothing is ever decided on a state that may not become true.
type slotActor struct {
	r       *Relais
	c       *clinic
	id      engine.SlotID
	state   slot.State
	version uint64 // of the record in the store
	phase   load
	queue   []any
	cancel  func()      // of the timer
	changed time.Time   // when the record system freed the slot
	waiting []*replyAsk // confirmed, waiting for the record system
	retries int         // of the input at hand
	fresh   bool        // the first message of this opening has not left yet
	gate    uint64      // the clinic's gate when this slot was last compared and told that it is open
	known   bool        // it was loaded before
	again   bool        // what was promised must be carried out again after the next load
	taken   []string    // the outbox effects that were taken lately: a second one does nothing
}

// load is how far an actor is with reading its state.
type load uint8

const (
	unloaded load = iota
	loading
	idle
	committing
)

type (
	// slotInput is an input of the rules. done names the outbox effect that it carries out.
	slotInput struct {
		in        slot.Input
		done      string
		changedAt time.Time
	}
	// replyAsk is a person's yes or no; the answer comes when it is final, or after a moment.
	replyAsk = system.Request[slot.Reply, engine.AnswerKind]
	// staffAsk is a command of the front desk.
	staffAsk = system.Request[staffAct, slot.State]
	// stateAsk reads the state.
	stateAsk = system.Request[readState, slot.State]
	// leaveAsk asks whether an offer's message may leave now.
	leaveAsk struct {
		offer   engine.OfferID
		attempt engine.AttemptID
		to      system.Ref
	}
	// standAsk asks for the last word on suspension, for a notifier that may have missed it.
	standAsk struct {
		offer engine.OfferID
		to    system.Ref
	}
	// firstLeft says that the first message of an opening is in a carrier's hands.
	firstLeft struct{ at time.Time }

	readState struct{}
	staffAct  struct {
		staff slot.Staff
		key   string // idempotency
		from  string // where the command comes from
	}
	preload struct {
		state   slot.State
		version uint64
	}
	loaded struct {
		preload
		err error
	}
	wake       struct{ gen uint64 }
	gateOpened struct{ gate uint64 }
	// entryChanged is a hint that an entry with an offer of this slot is not what it was.
	entryChanged struct{ entry engine.EntryID }
	reload       struct{}
	answerLate   struct{ ask *replyAsk }
	finalising   struct{ offer engine.OfferID }
	slotWritten  struct {
		work    slotWork
		err     error
		refresh []storage.Record
	}
)

func newSlotActor(r *Relais, id engine.SlotID) *slotActor {
	return &slotActor{r: r, id: id}
}

// Receive implements system.Actor.
func (a *slotActor) Receive(c *system.Context, msg any) {
	a.c = a.c.present()
	switch m := msg.(type) {
	case system.Started, system.Stopped:
	case system.Restarted:
		a.r.waitlist.releaseAll(a.id)
		a.again = true
		a.load(c)
	case reload:
		if a.phase == unloaded {
			a.load(c)
		}
	case preload:
		if a.phase == unloaded || a.phase == idle && a.c == nil {
			a.c = a.r.clinicOf(a.id)
			a.loaded(c, m)
		}
	case loaded:
		if m.err != nil {
			a.phase = unloaded
			a.refuseAll(m.err)
			c.After(time.Second, reload{}) // the store will answer again
			return
		}
		a.loaded(c, m.preload)
	case slotWritten:
		a.written(c, m)
		a.next(c)
	case answerLate:
		a.answerLate(m.ask)
	case finalising:
		a.finalising(m.offer)
	default:
		if a.phase == unloaded || (a.phase == idle && a.c == nil) {
			a.load(c)
		}
		if a.phase != idle {
			a.queue = append(a.queue, m)
			return
		}
		a.take(c, m)
		a.next(c)
	}
}

func (a *slotActor) key() storage.Key {
	return storage.Key{Clinic: a.c.ID, Kind: storage.KindSlot, ID: string(a.id)}
}

func (a *slotActor) load(c *system.Context) {
	if a.c = a.r.workingOn(a.id); a.c == nil {
		a.phase = idle // a slot nobody opened, or of a clinic that closes: every input is refused
		return
	}
	a.phase = loading
	again, known, version, of, key := a.again, a.known, a.version, a.c, a.key()
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (preload, error) {
		rec, err := a.r.store.Get(ctx, key)
		if errors.Is(err, storage.ErrNotFound) {
			return preload{}, nil
		}
		if err != nil {
			return preload{}, err
		}
		s, err := decodeSlot(rec)
		if err == nil && known { // a commit whose outcome was not known may have changed these too
			a.r.refreshOffered(ctx, s)
		}
		if err == nil && (again || (known && rec.Version != version)) {
			err = a.r.redeliver(ctx, of, func(o order) bool { return o.concerns(of, a.id) })
		}
		return preload{s, rec.Version}, err
	}, func(p preload, err error) any { return loaded{p, err} })
}

func decodeSlot(rec storage.Record) (slot.State, error) {
	var s slot.State
	err := json.Unmarshal(rec.Data, &s)
	return s, err
}

func (a *slotActor) loaded(c *system.Context, p preload) {
	before, fresh := a.state, a.again || (a.known && a.version != p.version)
	a.state, a.version, a.phase, a.again, a.known = p.state, p.version, idle, false, true
	if fresh && a.version > 0 { // others may have heard nothing of what is true now
		a.track(before)
		a.c.boss.Send(slotIs{a.state.Slot, unfinished(a.state)})
		a.c.calendar.Send(slotChanged{view: a.r.cardOf(a.c, a.state)})
		a.broadcast()
	}
	a.arm(c)
	a.follow(c)
	a.next(c)
}

// next takes what waited, until a commit is under way again.
func (a *slotActor) next(c *system.Context) {
	for a.phase == idle && len(a.queue) > 0 {
		m := a.queue[0]
		a.queue = a.queue[1:]
		a.take(c, m)
	}
	if a.phase == idle && len(a.queue) == 0 {
		a.queue = nil
		if !unfinished(a.state) && len(a.waiting) == 0 {
			c.Idle()
		}
	}
}

func (a *slotActor) refuseAll(err error) {
	kept := a.queue[:0]
	for _, m := range a.queue {
		switch m := m.(type) {
		case *replyAsk:
			m.Reply("", unavailable(err))
		case *staffAsk:
			m.Reply(slot.State{}, unavailable(err))
		case *stateAsk:
			m.Reply(slot.State{}, unavailable(err))
		default:
			kept = append(kept, m)
		}
	}
	a.queue = kept
}

// unavailable is what people are told when the store does not take a change.
func unavailable(err error) error {
	switch {
	case errors.Is(err, storage.ErrFull):
		return &engine.Error{Code: engine.StorageFull, Message: "there is no space left to keep this; nothing was changed", Err: err}
	case errors.As(err, new(*engine.Error)):
		return err
	}
	return &engine.Error{Code: engine.Unavailable, Message: "this could not be kept; nothing was changed, try again", Err: err}
}

// take handles one message on a settled state.
func (a *slotActor) take(c *system.Context, msg any) {
	a.retries = 0
	switch m := msg.(type) {
	case slotInput:
		if m.done != "" && slices.Contains(a.taken, m.done) {
			return
		}
		if !m.changedAt.IsZero() {
			a.changed = m.changedAt
		}
		a.step(c, slotWork{in: m.in, done: m.done})
	case *replyAsk:
		a.step(c, slotWork{in: m.Req, ask: m})
	case *staffAsk:
		a.step(c, slotWork{in: m.Req.staff, key: m.Req.key, staff: m})
	case *stateAsk:
		m.Reply(a.state, nil)
	case wake:
		a.wake(c, m)
	case gateOpened:
		a.gate = m.gate
		a.broadcast()
		a.arm(c)
	case compare:
		a.compare(c, m)
	case follow:
		a.follow(c)
	case entryChanged:
		a.entryChanged(c, m.entry)
	case standAsk:
		m.to.Send(a.standing())
	case leaveAsk:
		m.to.Send(mayLeave{m.attempt, a.verdict(m.offer)})
	case firstLeft:
		if a.fresh {
			a.fresh = false
			from := a.state.OpenedAt
			if a.state.HoldUntil.After(from) {
				from = a.state.HoldUntil
			}
			a.r.opt.Metrics.FirstMessage(a.c.ID, m.at.Sub(from))
		}
	}
}

// trusted reports whether the record system can be trusted, and this slot was compared with it.
func (a *slotActor) trusted() bool { return a.gate != 0 && a.gate == a.c.opening() }

func (a *slotActor) verdict(o engine.OfferID) leave {
	switch {
	case !pendingIn(a.state, o) || !unfinished(a.state) || !time.Now().Before(a.state.Deadline):
		return leaveNever
	case a.c.mode() == engine.Shadow:
		return leaveNever
	case slot.MayLeave(a.state, o) && a.trusted() && !slot.Behind(a.state, a.c.mode()):
		return leaveYes
	}
	return leaveLater
}

func (a *slotActor) wake(c *system.Context, m wake) {
	now := time.Now()
	if a.c == nil || m.gen != a.state.Gen || a.state.Wake.IsZero() {
		return
	}
	if now.Before(a.state.Wake) { // the clock was set
		a.arm(c)
		return
	}
	if !a.trusted() && now.Before(a.state.Deadline) && !a.state.Suspended {
		return // gateOpened arms it again
	}
	if slot.Behind(a.state, a.c.mode()) {
		return // it is told first, and armed again
	}
	w := slotWork{in: slot.Tick{Gen: m.gen}, mode: a.state.Mode}
	if slot.WantsCandidates(a.state, now, a.c.Policy, w.mode) {
		tick := slot.Tick{Gen: m.gen, Candidates: a.r.waitlist.candidates(a.c, a.state, now), Rates: a.c.rates()}
		if w.mode == engine.Shadow {
			tick.Others = a.r.waitlist.hindered(a.c, a.state, now)
		}
		w.in = tick
	}
	a.step(c, w)
}

// compare settles the slot against a full look at the record system.
func (a *slotActor) compare(c *system.Context, m compare) {
	if !unfinished(a.state) {
		if a.c != nil {
			a.c.boss.Send(slotIs{slot: engine.Slot{ID: a.id}})
		}
		return
	}
	there, known := m.seen[a.id]
	if !known {
		there.why = "gone"
	}
	var in slot.Input = slot.Resume{}
	switch {
	case a.state.Phase == slot.Claimed && a.state.Booking == there.mine:
		in = slot.BookingAccepted{Booking: a.state.Booking}
	case a.state.Phase != slot.Claimed && !there.free:
		in = slot.Taken{Why: there.why}
	}
	a.step(c, slotWork{in: in})
}

// broadcast tells the notifiers of open offers whether they may send.
func (a *slotActor) broadcast() {
	for _, o := range a.state.Offers {
		if o.Status == slot.Pending {
			a.r.offers.Ref(o.ID).Send(a.standing())
		}
	}
}

func (a *slotActor) standing() suspension {
	return suspension{a.state.Suspended || a.state.Paused || a.state.Phase == slot.Approval || !a.trusted()}
}

// arm wakes the actor when the state says so.
func (a *slotActor) arm(c *system.Context) {
	if a.cancel != nil {
		a.cancel()
		a.cancel = nil
	}
	if !a.state.Wake.IsZero() {
		a.cancel = c.At(a.state.Wake, wake{a.state.Gen})
	}
}

// How long a person waits for the record system's word before being told that the booking is being
// finalised. A carrier's webhook must be answered within a second, so a caller is asked to wait and asks
// again, and who wrote a text is told by another one.
const (
	finalWithin   = 2500 * time.Millisecond
	webhookWithin = 600 * time.Millisecond
)

func (a *slotActor) answer(c *system.Context, ask *replyAsk, kind engine.AnswerKind) {
	if kind != engine.AnsFinalising {
		ask.Reply(kind, nil)
		return
	}
	wait := finalWithin
	switch ask.Req.Channel {
	case engine.SMS:
		wait = webhookWithin
		c.After(finalWithin, finalising{ask.Req.Offer})
	case engine.Voice:
		wait = webhookWithin
	case engine.EmailMail, engine.Page, engine.Desk:
	}
	a.waiting = append(a.waiting, ask)
	c.After(wait, answerLate{ask})
}

func (a *slotActor) answerLate(ask *replyAsk) {
	for i, w := range a.waiting {
		if w == ask {
			a.waiting = append(a.waiting[:i:i], a.waiting[i+1:]...)
			ask.Reply(engine.AnsFinalising, nil)
			return
		}
	}
}

// finalising writes to the winner that the record system takes its time.
func (a *slotActor) finalising(o engine.OfferID) {
	if a.state.Phase == slot.Claimed && a.state.Winner == o {
		tell := reach.Tell{What: engine.MsgFinalising, On: engine.SMS}
		a.r.offers.Ref(o).Send(offerInput{in: []reach.Input{tell}})
	}
}

// settle answers those who waited for the record system.
func (a *slotActor) settle(kind engine.AnswerKind) {
	for _, ask := range a.waiting {
		ask.Reply(kind, nil)
	}
	a.waiting = nil
}
