package actors

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
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
		w.fail(engine.Errorf(engine.NotFound, "there is no such slot"))
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
		in.For, w.in = &c, in
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

// batch is everything that becomes true together; ok is false when somebody else is asking one of
// the patients at this moment.
func (a *slotActor) batch(w *slotWork, now time.Time) (b storage.Batch, ok bool) {
	s := w.state
	if s.Version != a.state.Version {
		b.Puts = append(b.Puts, storage.Put{Key: a.key(), Expect: a.version, Data: encode(s)})
	}
	for _, e := range w.effects {
		switch e := e.(type) {
		case slot.SettleEntry:
			entry, version, known := a.r.waitlist.entry(e.Entry)
			if !known {
				continue
			}
			if e.Status == engine.Claimed && (!mayClaim(entry) || !givesUp(s, entry)) {
				return b, false // it won another slot, or its appointment moved, between the look in step and this one
			}
			entry = settled(entry, e, s.Slot)
			b.Puts = append(b.Puts, storage.Put{Key: entryKey(entry), Expect: version, Data: encode(entry)})
			w.entries = append(w.entries, stored[engine.Entry]{entry, version + 1})
		case slot.MarkOffered:
			p, version, known := a.r.waitlist.patient(e.Patient)
			if !known {
				continue
			}
			p = marked(p, s.Slot, now)
			b.Puts = append(b.Puts, storage.Put{Key: patientKey(p), Expect: version, Data: encode(p)})
			w.patients = append(w.patients, stored[engine.Patient]{p, version + 1})
			w.reserved = append(w.reserved, e.Patient)
		case slot.StartOffer:
			b.Puts = append(b.Puts, storage.Put{
				Key:  tokenKeyOf(a.r.token(e.Offer.ID)),
				Data: encode(tokenRecord{a.c.ID, e.Offer.ID}),
			})
		case slot.Note:
			b.Events = append(b.Events, storage.Event{
				Clinic: a.c.ID, Subject: string(a.id), At: now,
				Data: encode(eventData{e.Event, e.Offer, e.By, e.Detail}),
			})
		case slot.Remind, slot.CloseOffer, slot.Tell, slot.WriteBooking, slot.CancelCurrent, slot.Alert, slot.Answer:
		}
	}
	w.orders = slotOrders(s, w.effects)
	a.learnOrder(w, now)
	for _, o := range w.orders {
		b.Effects = append(b.Effects, o.effect(a.c.ID))
	}
	if w.done != "" {
		b.Done = a.doneKeys(w.done)
	}
	if w.key != "" {
		b.Puts = append(b.Puts, storage.Put{Key: commandKey(a.c.ID, w.key), Data: encode(replyRecord{At: now})})
	}
	if w.staff != nil { // a clerk who gives the slot to somebody knows better
		w.reserved = nil
	}
	return b, a.r.waitlist.reserve(a.id, w.reserved)
}

func (a *slotActor) doneKeys(id string) []storage.EffectKey {
	return []storage.EffectKey{{Clinic: a.c.ID, ID: id}}
}

// commandKey is where a command's idempotency key is remembered.
func commandKey(c engine.ClinicID, key string) storage.Key {
	sum := sha256.Sum256([]byte(key))
	return storage.Key{Clinic: c, Kind: storage.KindReply, ID: "command/" + hex.EncodeToString(sum[:16])}
}

// givesUp reports whether the winner's offer names the appointment that the entry has now.
func givesUp(s slot.State, e engine.Entry) bool {
	now := slot.GivesUp(e, s.Slot)
	for _, o := range s.Offers {
		if o.ID == s.Winner {
			return (o.Current == nil) == (now == nil) &&
				(now == nil || o.Current.Source == now.Source && o.Current.Start.Equal(now.Start))
		}
	}
	return false
}

func settled(e engine.Entry, s slot.SettleEntry, sl engine.Slot) engine.Entry {
	e.Status = s.Status
	e.Slot = sl.ID
	if s.Status == engine.Waiting {
		e.Slot = ""
	}
	if s.Lost {
		e.Lost++
	}
	return e
}

// reread fetches what a stale batch wanted to change.
func (r *Relais) reread(ctx context.Context, b storage.Batch) []storage.Record {
	var fresh []storage.Record
	for _, p := range b.Puts {
		if rec, err := r.store.Get(ctx, p.Key); err == nil {
			fresh = append(fresh, rec)
		}
	}
	return fresh
}

// refreshOffered reads the entries and patients of a slot's offers again.
func (r *Relais) refreshOffered(ctx context.Context, s slot.State) {
	b, patients := storage.Batch{}, make([]engine.PatientID, 0, len(s.Offers))
	for _, o := range s.Offers {
		if e, _, ok := r.waitlist.entry(o.Entry); ok {
			b.Puts = append(b.Puts, storage.Put{Key: entryKey(e)})
		}
		patients = append(patients, o.Patient)
	}
	r.refreshEntries(ctx, b)
	r.refreshPatients(ctx, patients)
}

// written goes on after a commit.
func (a *slotActor) written(c *system.Context, m slotWritten) {
	a.phase = idle
	w := m.work
	switch {
	case m.err == nil:
		a.finish(c, w, true)
	case errors.Is(m.err, storage.ErrStale):
		a.r.waitlist.release(w.reserved)
		moved, repeated := a.refresh(m.refresh, w)
		switch {
		case repeated: // a command that was carried out before
			w.staff.Reply(a.state, nil)
		case moved: // by us: a commit that was reported as failed took place
			a.putBack(w)
			a.load(c)
		default:
			a.retake(c, w)
		}
	default:
		// Whether it took place is not known, so nothing is decided before the store was read. An
		// input of ours goes first then: what came after it must not overtake it.
		a.r.waitlist.release(w.reserved)
		w.fail(unavailable(m.err))
		a.refuseAll(m.err)
		switch {
		case engine.CodeOf(m.err) == engine.Invalid: // for ever
			a.r.opt.Logger.Error("a slot's change is beyond the store's limits", "slot", a.id, "error", m.err)
		case w.ask == nil && w.staff == nil:
			a.putBack(w)
		}
		a.phase = unloaded
		c.After(time.Second, reload{})
	}
}

// putBack makes an input the next one to be taken.
func (a *slotActor) putBack(w slotWork) {
	var msg any = slotInput{in: w.in, done: w.done}
	switch {
	case w.ask != nil:
		msg = w.ask
		a.putBackLate(&w)
	case w.staff != nil:
		msg = w.staff
	default:
		if t, ok := w.in.(slot.Tick); ok {
			msg = wake{t.Gen}
		}
	}
	a.queue = slices.Insert(a.queue, 0, msg)
}

// putBackLate makes those who answered after it the next ones to be taken.
func (a *slotActor) putBackLate(w *slotWork) {
	late := make([]any, len(w.late))
	for i, ask := range w.late {
		late[i] = ask
	}
	a.queue, w.late = slices.Insert(a.queue, 0, late...), nil
}

// retake takes the same input once more on what is true now.
func (a *slotActor) retake(c *system.Context, w slotWork) {
	a.retries++
	if a.retries > mostRetries {
		a.retries = 0
		w.fail(engine.Errorf(engine.Unavailable, "too many people are changing this at once; try again"))
		if w.ask == nil && w.staff == nil {
			a.retry(c, w, 100*time.Millisecond)
		}
		return
	}
	if t, ok := w.in.(slot.Tick); ok {
		a.wake(c, wake{t.Gen})
		return
	}
	a.putBackLate(&w)
	a.step(c, slotWork{in: w.in, done: w.done, key: w.key, ask: w.ask, staff: w.staff})
}

func (a *slotActor) retry(c *system.Context, w slotWork, after time.Duration) {
	if t, ok := w.in.(slot.Tick); ok {
		c.After(after, wake{t.Gen})
		return
	}
	c.After(after, slotInput{in: w.in, done: w.done})
}

// refresh takes in what others changed; it reports whether the slot itself was, and whether the
// command was carried out already.
func (a *slotActor) refresh(recs []storage.Record, w slotWork) (moved, repeated bool) {
	for _, rec := range recs {
		switch rec.Key.Kind {
		case storage.KindSlot:
			moved = rec.Version != a.version
		case storage.KindEntry:
			var e engine.Entry
			if json.Unmarshal(rec.Data, &e) == nil {
				a.r.waitlist.putEntry(e, rec.Version)
			}
		case storage.KindPatient:
			var p engine.Patient
			if json.Unmarshal(rec.Data, &p) == nil {
				a.r.waitlist.putPatient(p, rec.Version)
			}
		case storage.KindReply:
			repeated = w.staff != nil
		case storage.KindOffer, storage.KindSchedule, storage.KindSync, storage.KindToken, storage.KindOptOut,
			storage.KindAccount, storage.KindSession, storage.KindMeta, storage.KindUnread, storage.KindHL7: // never in a slot's batch, or written blind
		}
	}
	return moved, repeated
}

func (w slotWork) fail(err error) {
	if w.ask != nil {
		w.ask.Reply("", err)
	}
	for _, ask := range w.late {
		ask.Reply("", err)
	}
	if w.staff != nil {
		w.staff.Reply(slot.State{}, err)
	}
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
