package actors

import (
	"context"
	"errors"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
)

// slotWork is one input on its way through Step, the commit and its effects.
type slotWork struct {
	in       slot.Input
	mode     engine.Mode // that it is decided by
	done     string      // outbox effect that this carries out
	key      string      // idempotency of a command
	ask      *replyAsk   // who waits
	late     []*replyAsk // who answered after it when nothing could be won any more: kept in the same commit
	staff    *staffAsk
	state    slot.State
	effects  []slot.Effect
	orders   []order
	entries  []stored[engine.Entry]
	patients []stored[engine.Patient]
	reserved []engine.PatientID
}

// mostTaken is how many effects are remembered that were taken: more than ever are under way twice.
const mostTaken = 16

// mostRetries bounds how often an input is tried again after somebody else changed what it needs.
const mostRetries = 8

// step decides, and commits what was decided.
func (a *slotActor) step(c *system.Context, w slotWork) {
	if a.c == nil {
		w.fail(a.r.noSlot(a.id))
		return
	}
	if !a.current(&w) {
		w.fail(engine.Errorf(engine.Conflict, "this person is not waiting any more"))
		return
	}
	if gone, kind := a.notWaiting(w.in); gone {
		// The entry won another slot at this very moment; here its offer ends.
		if w.ask != nil {
			w.ask.Reply(kind, nil)
		}
		w = slotWork{in: slot.EntryGone{Entry: a.entryOf(w.in)}, done: w.done, staff: w.staff}
	}
	now := time.Now().UTC() // not rounded: a time before Wake would wake the slot again and again
	if w.mode == "" {
		w.mode = a.c.mode()
	}
	next, effects, err := slot.Step(a.state, w.in, now, a.c.Policy, w.mode, a.c.zone)
	if err != nil {
		w.fail(err)
		if w.done != "" { // it will never be accepted: do not ask again at every start
			a.r.commit(c, storage.Batch{Done: a.doneKeys(w.done)}, func(error) any { return nil })
		}
		return
	}
	w.state, w.effects = next, effects
	if w.ask != nil && !a.winnable() {
		a.gather(&w, now)
	}
	if w.state.Version == a.state.Version && w.done == "" {
		a.finish(c, w, false)
		return
	}
	b, ok := a.batch(&w, now)
	if !ok {
		a.retake(c, w)
		return
	}
	a.phase = committing
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) ([]storage.Record, error) {
		err := a.r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) {
			return a.r.reread(ctx, b), err
		}
		return nil, err
	}, func(refresh []storage.Record, err error) any { return slotWritten{w, err, refresh} })
}

// winnable reports whether a yes could still win.
func (a *slotActor) winnable() bool {
	switch a.state.Phase {
	case slot.None, slot.Freed, slot.Approval, slot.Offering:
		return true
	case slot.Claimed, slot.Booked, slot.Expired, slot.Closed:
	}
	return false
}

// mostLate bounds the replies that are kept in one commit.
const mostLate = 500

// gather adds the replies that wait: a thousand people who come too late are answered after a few
// commits, not after one for each.
func (a *slotActor) gather(w *slotWork, now time.Time) {
	for len(a.queue) > 0 && len(w.late) < mostLate {
		ask, ok := a.queue[0].(*replyAsk)
		if !ok {
			return
		}
		if gone, _ := a.notWaiting(ask.Req); gone {
			return
		}
		a.queue = a.queue[1:]
		next, effects, err := slot.Step(w.state, ask.Req, now, a.c.Policy, w.mode, a.c.zone)
		if err != nil {
			ask.Reply("", err)
			continue
		}
		w.state, w.effects, w.late = next, append(w.effects, effects...), append(w.late, ask)
	}
}

// notWaiting reports whether a yes comes from an entry that is not waiting any more.
func (a *slotActor) notWaiting(in slot.Input) (bool, engine.AnswerKind) {
	r, ok := in.(slot.Reply)
	if !ok || !r.Yes || a.state.Phase == slot.Claimed || a.state.Phase == slot.Booked {
		return false, ""
	}
	e, _, known := a.r.waitlist.entry(a.entryOf(in))
	return known && !helps(e, a.state.Slot), engine.AnsWithdrawn
}

// current puts into an input what the entry that it claims for is now; false: it is not waiting any more.
func (a *slotActor) current(w *slotWork) bool {
	switch in := w.in.(type) {
	case slot.Reply:
		if e, _, known := a.r.waitlist.entry(a.entryOf(in)); known && in.Yes {
			in.Entry = &e
			w.in = in
		}
	case slot.Staff:
		if in.For == nil {
			return true
		}
		e, _, known := a.r.waitlist.entry(in.For.Entry)
		if !known || !mayClaim(e) {
			return false
		}
		c := *in.For
		c.Current = slot.GivesUp(e, a.state.Slot)
		in.For = &c
		w.in = in
	case slot.Opened, slot.Tick, slot.BookingAccepted, slot.BookingRefused, slot.GivenUp, slot.Taken, slot.Suspend, slot.Resume,
		slot.Unreachable, slot.EntryGone, slot.ModeChanged: // none of them claims
	}
	return true
}

// entryChanged ends the offer of an entry that this slot does not help any more, and tells the person
// unless they know it, from what they won or because they wanted no more offers.
func (a *slotActor) entryChanged(c *system.Context, id engine.EntryID) {
	e, _, known := a.r.waitlist.entry(id)
	if !known || helps(e, a.state.Slot) {
		return
	}
	in := slot.EntryGone{Entry: id}
	if mayClaim(e) || e.Status == engine.Left && e.Why != engine.LeftWithdrawn {
		in.Tell = engine.MsgEnded
	}
	a.step(c, slotWork{in: in})
}

func (a *slotActor) entryOf(in slot.Input) engine.EntryID {
	if r, ok := in.(slot.Reply); ok {
		for _, o := range a.state.Offers {
			if o.ID == r.Offer {
				return o.Entry
			}
		}
	}
	return ""
}

// finish makes a decision visible: state, waitlist, outbox, answers, calendar, metrics.
func (a *slotActor) finish(c *system.Context, w slotWork, committed bool) {
	before := a.state
	a.state = w.state
	if committed && w.done != "" {
		a.taken = append(a.taken, w.done)
		a.taken = a.taken[max(0, len(a.taken)-mostTaken):]
	}
	if committed {
		if w.state.Version != before.Version {
			a.version++
		}
		for _, e := range w.entries {
			a.r.waitlist.putEntry(e.value, e.version)
		}
		for _, p := range w.patients {
			a.r.waitlist.putPatient(p.value, p.version)
		}
		a.track(before)
		a.r.waitlist.release(w.reserved)
		for _, o := range w.orders {
			a.r.carryOut(a.c, o)
		}
	}
	a.observe(w, before)
	ask, late := w.ask, w.late
	for _, e := range w.effects { // each reply has one answer, in their order
		ans, ok := e.(slot.Answer)
		switch {
		case !ok || w.ask == nil:
		case ask != nil:
			a.answer(c, ask, ans.Kind)
			ask = nil
		default:
			a.answer(c, late[0], ans.Kind)
			late = late[1:]
		}
	}
	if w.staff != nil {
		w.staff.Reply(a.state, nil)
	}
	if a.state.Version == before.Version {
		return
	}
	switch {
	case a.state.Phase == slot.Booked:
		a.settle(engine.AnsBooked)
	case before.Phase == slot.Claimed && a.state.Phase != slot.Claimed:
		a.settle(engine.AnsRefused)
	}
	if unfinished(before) != unfinished(a.state) {
		a.c.boss.Send(slotIs{a.state.Slot, unfinished(a.state)})
	}
	if before.Suspended != a.state.Suspended || before.Paused != a.state.Paused ||
		(before.Phase == slot.Approval) != (a.state.Phase == slot.Approval) {
		a.broadcast()
	}
	a.c.calendar.Send(slotChanged{view: a.r.cardOf(a.c, a.state)})
	a.arm(c)
	a.follow(c)
}

// track keeps the waitlist's view of who may still answer.
func (a *slotActor) track(before slot.State) {
	for _, o := range before.Offers {
		if o.Status == slot.Pending {
			a.r.waitlist.ended(o.Patient, o.ID)
		}
	}
	for _, o := range a.state.Offers {
		if o.Status == slot.Pending {
			a.r.waitlist.opened(o.Patient, o.ID, o.Entry)
		}
	}
	for _, o := range before.Offers {
		if o.Status == slot.Pending && !pendingIn(a.state, o.ID) {
			a.r.replies.over(o.ID)
		}
	}
}

func pendingIn(s slot.State, id engine.OfferID) bool {
	for _, o := range s.Offers {
		if o.ID == id {
			return o.Status == slot.Pending
		}
	}
	return false
}

// observe counts what happened.
func (a *slotActor) observe(w slotWork, before slot.State) {
	m, id, now := a.r.opt.Metrics, a.c.ID, time.Now()
	if a.state.Opening != before.Opening {
		a.r.linked(a.state)
		detected := time.Duration(-1)
		if !a.changed.IsZero() {
			detected = now.Sub(a.changed)
		}
		a.fresh = true
		m.Opened(id, detected)
	}
	offered := 0
	for _, e := range w.effects {
		switch e := e.(type) {
		case slot.StartOffer:
			offered++
		case slot.Answer:
			m.Claim(id, string(e.Kind))
		case slot.Alert:
			m.Alert(id, e.What)
		case slot.SettleEntry:
			if e.Status == engine.Claimed {
				for _, o := range a.r.waitlist.otherOffers(e.Entry, a.id) {
					a.r.slots.Ref(o.Slot()).Send(slotInput{in: slot.EntryGone{Entry: e.Entry}})
				}
			} else if entry, _, known := a.r.waitlist.entry(e.Entry); known {
				a.c.sync.Send(feed{[]engine.PatientID{entry.Patient}}) // its appointment may have moved meanwhile
			}
		case slot.MarkOffered, slot.Note, slot.Remind, slot.CloseOffer, slot.Tell, slot.WriteBooking, slot.CancelCurrent:
		}
	}
	if offered > 0 {
		m.Offered(id, offered)
	}
	if a.state.Phase == slot.Booked && before.Phase != slot.Booked {
		m.Filled(id, now.Sub(a.state.OpenedAt))
	}
}
