package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
)

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
			storage.KindAccount, storage.KindSession, storage.KindMeta, storage.KindUnread, storage.KindHL7, storage.KindIncident, storage.KindJoin,
			storage.KindPass: // never in a slot's batch, or written blind
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
