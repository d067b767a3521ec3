package actors

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/wording"
	"relais/storage"
)

// A letter is a message about no offer: the code of who joins, the link to somebody's page, the question
// whether they are still looking. Its order says itself that it may have left before it is handed over, so
// a crash never has it sent twice.

// letterValid is how long a letter is worth delivering.
const letterValid = 24 * time.Hour

// letterTo makes the order of a letter to one contact.
func letterTo(id string, kind engine.MessageKind, c engine.Contact, p engine.PatientID, join string) order {
	return order{
		ID: id, Do: deedLetter, Msg: kind, Patient: p, Join: join, Channel: c.Channel, Phone: c.Phone, Email: c.Email, At: time.Now().UTC(),
	}
}

// letter carries out an order. again says that it certainly did not leave, and may the next time.
func (r *Relais) letter(ctx context.Context, c *clinic, o order, last bool) (again bool, err error) {
	done := storage.Batch{Done: []storage.EffectKey{{Clinic: c.ID, ID: o.ID}}}
	m, wanted := r.compose(c, o)
	if !wanted || o.Begun {
		return false, r.store.Commit(ctx, done)
	}
	o.Begun = true
	if err := r.store.Commit(ctx, storage.Batch{Done: done.Done, Effects: []storage.Effect{o.effect(c.ID)}}); err != nil {
		return false, err
	}
	out := engine.Outcome{Status: engine.Failed, Reason: engine.Dropped}
	if m.Still() {
		out = r.opt.Senders[o.Channel].Send(ctx, m)
	}
	ctx = context.WithoutCancel(ctx) // what the carrier said is kept, however long it took
	r.opt.Metrics.Letter(c.ID, o.Channel, o.Msg, out.Status)
	if out.Status == engine.Failed && out.Retry && !last {
		o.Begun = false
		return true, r.store.Commit(ctx, storage.Batch{Done: done.Done, Effects: []storage.Effect{o.effect(c.ID)}})
	}
	if out.Status == engine.Failed && (out.Reason == engine.BadContact || out.Reason == engine.Landline) {
		err = r.broke(ctx, o, out.Reason)
	}
	if err = errors.Join(err, r.store.Commit(ctx, done)); err != nil { // the order says that it may have left: it is not tried again
		r.opt.Logger.Warn("what became of a message about no offer was not kept", "clinic", c.ID, "error", err)
	}
	return false, nil
}

// compose writes a letter; false when it is not wanted any more.
func (r *Relais) compose(c *clinic, o order) (engine.Message, bool) {
	f := wording.Facts{Clinic: c.Name, Address: c.Address, Phone: c.Phone, Zone: c.zone, Own: c.Wording}
	to := engine.Contact{Channel: o.Channel, Phone: o.Phone, Email: o.Email}
	var lang engine.Lang
	still := func() bool { return r.silenced(to).IsZero() }
	if o.Join != "" {
		j, ok := r.joins.get(o.Join)
		if !ok || !j.value.Expires.After(time.Now()) || j.value.proven(to) {
			return engine.Message{}, false
		}
		lang, f.Code = j.value.Request.Lang, r.joinCode(o.Join, to)
		f.Link = r.opt.Links.Prove(r.joinToken(o.Join, to))
	} else {
		p, _, ok := r.waitlist.patient(o.Patient)
		i := slices.IndexFunc(p.Contacts, func(k engine.Contact) bool { return sameAddress(k, to) && k.Archived.IsZero() })
		if !ok || i < 0 {
			return engine.Message{}, false
		}
		token := r.ownToken(p, p.Contacts[i], time.Now())
		if token == "" {
			return engine.Message{}, false
		}
		lang, f.Link, f.Leave = p.Speaks(), r.opt.Links.Own(token), r.opt.Links.Stop(token)
		contact := p.Contacts[i]
		still = func() bool { return !r.waitlist.optedOut(p.ID, contact) && r.stopped(contact).IsZero() }
		if o.Msg == engine.MsgStill && !r.asksStill(o.Patient, o.At) {
			return engine.Message{}, false // they showed meanwhile
		}
	}
	m := wording.Message(o.Msg, o.Channel, cmp.Or(lang, c.Lang), f)
	m.Clinic, m.Phone, m.Email, m.Valid, m.Still = c.ID, o.Phone, o.Email, letterValid, still
	if o.Channel == engine.EmailMail { // no attempt of an offer: it names the mail and nothing else
		m.Attempt = engine.AttemptID("letter-" + digest(string(c.ID)+o.ID))
	}
	return m, c.mode() != engine.Shadow
}

func sameAddress(a, b engine.Contact) bool {
	return a.Channel == b.Channel && a.Phone == b.Phone && a.Email == b.Email
}

// broke marks the contact of a patient that cannot take messages.
func (r *Relais) broke(ctx context.Context, o order, why engine.Reason) error {
	if o.Patient == "" {
		return nil
	}
	to := engine.Contact{Channel: o.Channel, Phone: o.Phone, Email: o.Email}
	_, err := r.changePatient(ctx, o.Patient, func(p *engine.Patient, now time.Time) (storage.Batch, error) {
		for i := range p.Contacts {
			if sameAddress(p.Contacts[i], to) && p.Contacts[i].Bad == "" {
				p.Contacts[i].Bad, p.Contacts[i].BadAt = why, now
			}
		}
		return storage.Batch{}, nil
	})
	if engine.CodeOf(err) == engine.NotFound {
		return nil
	}
	return err
}

// changePatient changes one patient, with what else the change puts in the batch, and decides again when
// somebody else changed them meanwhile. change gets a copy. It is not called for a patient that is not
// there, which gives engine.NotFound.
func (r *Relais) changePatient(ctx context.Context, id engine.PatientID, change func(p *engine.Patient, now time.Time) (storage.Batch, error)) (engine.Patient, error) {
	for try := 0; ; try++ {
		p, version, ok := r.waitlist.patient(id)
		if !ok {
			return p, engine.Errorf(engine.NotFound, "there is no such patient")
		}
		p.Contacts = slices.Clone(p.Contacts)
		b, err := change(&p, time.Now().UTC())
		if err != nil {
			return p, err
		}
		b.Puts = slices.Insert(b.Puts, 0, storage.Put{Key: patientKey(p), Expect: version, Data: encode(p)})
		err = r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			r.refreshPatients(ctx, []engine.PatientID{id})
			r.rereadEntries(ctx, id)
			continue
		}
		if err != nil {
			return p, unavailable(err)
		}
		r.tookIn(b)
		for _, e := range b.Effects {
			var o order
			if decodeInto(e.Data, &o) {
				o.ID = e.ID
				r.carryOut(r.hall.get(p.Clinic), o)
			}
		}
		return p, nil
	}
}
