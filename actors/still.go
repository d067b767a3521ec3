package actors

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/reach"
	"relais/engine/wording"
	"relais/storage"
)

// People of whom nothing is heard for long are asked whether they are still looking, and once more two weeks
// later. Who answers neither is offered nothing for now, and the front desk is told; nobody is taken off the
// list because of silence. The count and the letter are one commit, so a question is asked once.

// stillAgain is between the two questions, and between the second and the pause.
const stillAgain = 14 * 24 * time.Hour

const (
	stillTimes = 2
	mostStill  = 100 // questions of one clinic in one round
)

// round asks an asker to look after what only time changes.
type round struct{}

const (
	roundFirst = time.Minute
	roundEvery = 30 * time.Minute
)

func (a *asker) round(c *system.Context) {
	c.After(roundEvery, round{})
	of := a.c
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, errors.Join(a.r.expireJoins(ctx, of), a.r.askStill(ctx, of))
	}, func(_ struct{}, err error) any {
		if err != nil {
			a.r.opt.Logger.Warn("what time changes waits for the next round", "clinic", a.c.ID, "error", err)
		}
		return nil
	})
}

// lastHeard is the last sign of life of who has an entry, as far as the records of both say.
func lastHeard(p engine.Patient, e engine.Entry) time.Time {
	return latest(p.Alive, e.Joined, e.Edit.At, p.Edit.At)
}

// askStill asks whom a clinic heard nothing of for long, and lets those rest who answered neither question.
func (r *Relais) askStill(ctx context.Context, c *clinic) error {
	if c.Still <= 0 || c.mode() == engine.Shadow {
		return nil
	}
	now := time.Now()
	due := map[engine.PatientID]bool{}
	r.waitlist.list(c.ID, func(e engine.Entry, p engine.Patient) bool {
		if e.Status == engine.Waiting && !e.Auto && len(due) < mostStill && r.stillDue(c, p, e, now) {
			due[p.ID] = true
		}
		return false
	})
	var errs []error
	for id := range due {
		if err := r.stillOne(ctx, c, id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// stillDue reports whether it is time for a question, or for the pause after the last one. It is called with
// the waitlist locked.
func (r *Relais) stillDue(c *clinic, p engine.Patient, e engine.Entry, now time.Time) bool {
	heard := lastHeard(p, e)
	asked := p.Still != nil && p.Still.Asked.After(heard)
	if asked {
		return now.Sub(p.Still.Asked) >= stillAgain
	}
	if now.Sub(heard) < c.Still || len(r.waitlist.pending[p.ID]) > 0 {
		return false
	}
	_, ok := r.stillContact(c, p, now)
	return ok
}

// stillContact chooses where a question leaves now: by text, else by mail, within the person's hours and caps.
func (r *Relais) stillContact(c *clinic, p engine.Patient, now time.Time) (engine.Contact, bool) {
	if v := reach.May(p, now, now, c.personZone(p), c.Policy); !v.OK {
		return engine.Contact{}, false
	}
	contacts := p.Reached()
	for _, ch := range []engine.Channel{engine.SMS, engine.EmailMail} {
		for _, k := range contacts {
			if k.Channel == ch && k.Usable() && r.stopped(k).IsZero() {
				return k, true
			}
		}
	}
	return engine.Contact{}, false
}

func (r *Relais) stillOne(ctx context.Context, c *clinic, id engine.PatientID) error {
	heard, err := r.repliedLast(ctx, c, id)
	if err != nil {
		return err
	}
	p, err := r.changePatient(ctx, id, func(p *engine.Patient, now time.Time) (b storage.Batch, err error) {
		p.Alive = latest(p.Alive, heard)
		var entries []stored[engine.Entry]
		r.eachEntry(id, func(e engine.Entry, version uint64) {
			if e.Status == engine.Waiting && !e.Auto && r.due(c, *p, e, now) {
				entries = append(entries, stored[engine.Entry]{e, version})
			}
		})
		if len(entries) == 0 {
			return b, nil
		}
		times := 0
		if p.Still != nil && p.Still.Asked.After(lastHeard(*p, entries[0].value)) {
			times = p.Still.Times
		}
		if times >= stillTimes {
			for _, e := range entries {
				e.value.Status, e.value.Quiet, e.value.Until = engine.Snoozed, true, time.Time{}
				b.Puts = append(b.Puts, storage.Put{Key: entryKey(e.value), Expect: e.version, Data: encode(e.value)})
			}
			b.Events = append(b.Events, r.patientEvent(*p, "still_unanswered", now, nil))
			return b, nil
		}
		to, ok := r.stillContact(c, *p, now)
		if !ok {
			return b, nil
		}
		p.Still = &engine.Still{Asked: now, Times: times + 1}
		_, version, _ := r.waitlist.patient(id)
		o := letterTo(orderID("still/"+string(id), version+1, 0), engine.MsgStill, to, id, "")
		o.At = now
		b.Effects = append(b.Effects, o.effect(c.ID))
		b.Events = append(b.Events, r.patientEvent(*p, "still_asked", now, map[string]string{"channel": string(to.Channel)}))
		return b, nil
	})
	if err == nil {
		r.lookAgain(r.waitlist.offeredTo(p.ID))
	}
	return err
}

// due is stillDue for who is about to be asked, without the waitlist's lock.
func (r *Relais) due(c *clinic, p engine.Patient, e engine.Entry, now time.Time) bool {
	heard := lastHeard(p, e)
	if p.Still != nil && p.Still.Asked.After(heard) {
		return now.Sub(p.Still.Asked) >= stillAgain
	}
	return now.Sub(heard) >= c.Still
}

// repliedLast is when somebody last answered an offer, as far back as offers are kept.
func (r *Relais) repliedLast(ctx context.Context, c *clinic, id engine.PatientID) (last time.Time, err error) {
	p, _, _ := r.waitlist.patient(id)
	for _, m := range p.Offered {
		s, err := r.slotState(ctx, c, m.Slot)
		if engine.CodeOf(err) == engine.NotFound {
			continue
		}
		if err != nil {
			return last, err
		}
		for _, o := range s.Offers {
			if o.Patient == id {
				last = latest(last, o.Replied)
			}
		}
	}
	return last, nil
}

func (r *Relais) patientEvent(p engine.Patient, event string, at time.Time, detail map[string]string) storage.Event {
	return storage.Event{Clinic: p.Clinic, Subject: patientSubject(p.ID), At: at, Data: encode(eventData{Event: event, Detail: detail})}
}

// asksStill reports whether a question still waits for its answer.
func (r *Relais) asksStill(id engine.PatientID, asked time.Time) bool {
	p, _, ok := r.waitlist.patient(id)
	return ok && p.Still != nil && p.Still.Asked.Equal(asked) && !p.Alive.After(asked)
}

// stillAsked finds who was asked last, by text to a telephone, whether they are still looking, and has not
// answered.
func (r *Relais) stillAsked(phone engine.Phone) (who engine.PatientID, asked time.Time) {
	for _, id := range r.waitlist.byContact(phone, "") {
		p, _, ok := r.waitlist.patient(id)
		if !ok || p.Still == nil || !p.Still.Asked.After(asked) || p.Alive.After(p.Still.Asked) {
			continue
		}
		if slices.ContainsFunc(p.Reached(), func(c engine.Contact) bool { return c.Channel == engine.SMS && c.Phone == phone && c.Usable() }) {
			who, asked = id, p.Still.Asked
		}
	}
	return who, asked
}

// saysStill takes a yes or no by text as the answer whether somebody is still looking.
func (r *Relais) saysStill(ctx context.Context, in engine.Reply, who engine.PatientID) (engine.Answer, bool, error) {
	kind := engine.AnsStays
	if in.Intent == engine.No {
		kind = engine.AnsLeaves
	}
	p, err := r.stays(ctx, who, in.Intent == engine.Yes, in.ID)
	if err != nil {
		return engine.Answer{}, false, err
	}
	a := engine.Answer{Kind: kind, Lang: cmp.Or(in.Lang, p.Speaks(), engine.French)}
	f := wording.Facts{}
	if c := r.hall.get(p.Clinic); c != nil {
		f = wording.Facts{Clinic: c.Name, Phone: c.Phone, Zone: c.zone, Own: c.Wording}
	}
	a.Text = wording.Answer(kind, engine.SMS, a.Lang, f)
	return a, true, nil
}

// stays keeps somebody on the list, or takes them off it, as they said themselves.
func (r *Relais) stays(ctx context.Context, who engine.PatientID, yes bool, reply string) (engine.Patient, error) {
	p, err := r.changePatient(ctx, who, func(p *engine.Patient, now time.Time) (b storage.Batch, err error) {
		intent, event := engine.No, "still_leaves"
		if yes {
			intent, event = engine.Yes, "still_stays"
		}
		p.Alive, p.Still = now, nil
		b.Events = append(b.Events, r.patientEvent(*p, event, now, nil))
		if reply != "" {
			b.Puts = append(b.Puts, storage.Put{Key: replyKey(reply), Data: encode(replyRecord{Intent: intent, About: aboutStill, At: now})})
		}
		r.eachEntry(who, func(e engine.Entry, version uint64) {
			switch {
			case yes && e.Status == engine.Snoozed && e.Quiet:
				e.Status, e.Quiet = engine.Waiting, false
			case !yes && (mayClaim(e) || e.Status == engine.Linking) && !e.Auto:
				e.Status, e.Quiet, e.Until = engine.Left, false, time.Time{}
			default:
				return
			}
			b.Puts = append(b.Puts, storage.Put{Key: entryKey(e), Expect: version, Data: encode(e)})
		})
		return b, nil
	})
	if err == nil {
		r.lookAgain(r.waitlist.offeredTo(who))
	}
	return p, err
}
