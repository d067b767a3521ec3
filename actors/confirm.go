package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/wording"
	"relais/storage"
)

// asker texts to people whether they want messages there (double opt-in), and sends what else is about no
// offer, for one clinic. A question is kept as of unknown outcome before it is handed over, so a crash never
// has it sent twice. It also looks after what only time changes: see letters.go and still.go.
type asker struct {
	r     *Relais
	c     *clinic
	tries map[string]int // of the orders at hand
}

const (
	askTries = 3
	askPause = 5 * time.Second
)

// mine says which orders an asker carries out.
func (a *asker) mine(o order) bool {
	return o.Do == deedConfirm || o.Do == deedLetter || o.Do == deedFind
}

type questioned struct {
	order order
	again bool
}

func newAsker(r *Relais, c *clinic) *asker { return &asker{r: r, c: c, tries: map[string]int{}} }

// Receive implements system.Actor.
func (a *asker) Receive(c *system.Context, msg any) {
	a.c = a.c.present()
	switch m := msg.(type) {
	case system.Restarted:
		clear(a.tries)
		of := a.c
		system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (struct{}, error) {
			return struct{}{}, a.r.redeliver(ctx, of, a.mine)
		}, func(struct{}, error) any { return nil })
	case order:
		if a.tries[m.ID] == 0 {
			a.ask(c, m)
		}
	case questioned:
		switch {
		case !m.again:
			delete(a.tries, m.order.ID)
		default:
			c.After(askPause*time.Duration(a.tries[m.order.ID]), retryQuestion{m.order})
		}
	case begin:
		c.After(roundFirst, round{})
	case linkWanted:
		a.sendLinks(c, m)
	case round:
		a.round(c)
	case retryQuestion:
		a.ask(c, m.order)
	}
}

type retryQuestion struct{ order order }

func (a *asker) ask(c *system.Context, o order) {
	a.tries[o.ID]++
	last := a.tries[o.ID] >= askTries
	ctx, cancel := context.WithTimeout(context.Background(), sendWithin)
	of := a.c
	system.PipeOn(a.r.sends, c, ctx, func(ctx context.Context) (bool, error) {
		switch o.Do {
		case deedLetter:
			return a.r.letter(ctx, of, o, last)
		case deedFind:
			return a.r.find(ctx, of, o, last)
		case deedStart, deedRemind, deedClose, deedTell, deedNote, deedBook, deedCancel, deedFreed, deedOccupied, deedLearn,
			deedUnreachable, deedConfirm:
		}
		return a.r.question(ctx, of, o, last)
	}, func(again bool, err error) any {
		cancel()
		if err != nil {
			a.r.opt.Logger.Warn("a message or question about no offer waits", "deed", string(o.Do), "clinic", a.c.ID, "error", err)
		}
		return questioned{o, again || err != nil}
	})
}

// question carries out an order to ask. again says that it certainly did not leave, and may the next time.
func (r *Relais) question(ctx context.Context, c *clinic, o order, last bool) (again bool, err error) {
	done := storage.Batch{Done: []storage.EffectKey{{Clinic: c.ID, ID: o.ID}}}
	p, at := r.asking(ctx, o)
	if at < 0 || p.Contacts[at].Question != "" || !r.stopped(p.Contacts[at]).IsZero() {
		return false, r.store.Commit(ctx, done) // asked before, or not wanted any more
	}
	if err := r.settleQuestion(ctx, storage.Batch{}, o, engine.Outcome{Status: engine.Unknown}); err != nil {
		return false, err
	}
	m := wording.Message(engine.MsgConfirm, engine.SMS, p.Lang, wording.Facts{Clinic: c.Name, Phone: c.Phone, Zone: c.zone, Own: c.Wording})
	m.Clinic, m.Phone, m.Valid = c.ID, o.Phone, 24*time.Hour
	contact := p.Contacts[at]
	m.Still = func() bool { return !r.waitlist.optedOut(p.ID, contact) && r.stopped(contact).IsZero() }
	out := engine.Outcome{Status: engine.Failed, Reason: engine.Dropped}
	if m.Still() {
		out = r.opt.Senders[engine.SMS].Send(ctx, m)
	}
	ctx = context.WithoutCancel(ctx) // what the carrier said is kept, however long it took
	if out.Status == engine.Failed && out.Retry && !last {
		return true, r.settleQuestion(ctx, storage.Batch{}, o, engine.Outcome{})
	}
	return false, r.settleQuestion(ctx, done, o, out)
}

// asking reads the patient and finds the contact that an order asks about; -1 when it is not asked any more.
func (r *Relais) asking(ctx context.Context, o order) (engine.Patient, int) {
	r.refreshPatients(ctx, []engine.PatientID{o.Patient})
	p, _, ok := r.waitlist.patient(o.Patient)
	if !ok {
		return p, -1
	}
	return p, slices.IndexFunc(p.Contacts, func(c engine.Contact) bool {
		return c.Phone == o.Phone && c.Asked.Equal(o.At) && c.Asking(time.Now())
	})
}

// settleQuestion keeps what became of a question, with what else is in the batch.
func (r *Relais) settleQuestion(ctx context.Context, b storage.Batch, o order, out engine.Outcome) error {
	for try := 0; ; try++ {
		p, at := r.asking(ctx, o)
		_, version, _ := r.waitlist.patient(o.Patient)
		b.Puts = nil
		if at >= 0 {
			p.Contacts = slices.Clone(p.Contacts)
			p.Contacts[at].Question = out.Status
			if out.Status == engine.Failed && (out.Reason == engine.BadContact || out.Reason == engine.Landline) {
				p.Contacts[at].Bad, p.Contacts[at].BadAt = out.Reason, time.Now().UTC()
			}
			b.Puts = []storage.Put{{Key: patientKey(p), Expect: version, Data: encode(p)}}
		}
		err := r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			continue
		}
		if err == nil && at >= 0 {
			r.waitlist.putPatient(p, version+1)
		}
		return err
	}
}

// confirmed takes a yes or no by text as the answer to a question for consent, when one waits for it and
// no offer to this telephone is newer: people answer what they read last. The reply is the proof. ok is
// false when the reply is about something else.
func (r *Relais) confirmed(ctx context.Context, in engine.Reply) (a engine.Answer, ok bool, err error) {
	if in.ID != "" {
		rec, err := r.store.Get(ctx, replyKey(in.ID))
		var was replyRecord
		switch {
		case err == nil && json.Unmarshal(rec.Data, &was) == nil && was.Consent:
			return agreed(was.Intent, in.Lang, wording.Facts{}), true, nil // brought again by the carrier
		case err == nil:
			return a, false, nil
		case !errors.Is(err, storage.ErrNotFound):
			return a, false, unavailable(err)
		}
	}
	for try := 0; ; try++ {
		b, changed, newest, facts, lang := r.takeConsent(in)
		if len(changed) == 0 {
			return a, false, nil
		}
		if open, _, _ := r.replies.of(in.Phone); len(open) > 0 && open[len(open)-1].made.After(newest) {
			return a, false, nil
		}
		if in.ID != "" {
			b.Puts = append(b.Puts, storage.Put{Key: replyKey(in.ID), Data: encode(replyRecord{Intent: in.Intent, Consent: true, At: time.Now().UTC()})})
		}
		err := r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			r.refreshPatients(ctx, r.waitlist.byContact(in.Phone, ""))
			continue
		}
		if err != nil {
			return a, false, unavailable(err)
		}
		for _, p := range changed {
			r.waitlist.putPatient(p.value, p.version)
		}
		return agreed(in.Intent, cmp.Or(in.Lang, lang), facts), true, nil
	}
}

// takeConsent is what a yes or no makes of the contacts that wait for it.
func (r *Relais) takeConsent(in engine.Reply) (b storage.Batch, changed []stored[engine.Patient], newest time.Time, f wording.Facts, lang engine.Lang) {
	now := time.Now().UTC()
	for _, id := range r.waitlist.byContact(in.Phone, "") {
		p, version, ok := r.waitlist.patient(id)
		c := r.hall.get(p.Clinic)
		if !ok || c == nil {
			continue
		}
		waits := false
		p.Contacts = slices.Clone(p.Contacts)
		for i := range p.Contacts {
			contact := &p.Contacts[i]
			if contact.Phone != in.Phone || !contact.Asking(now) || contact.Question == "" || contact.Question == engine.Failed {
				continue
			}
			waits = true
			if contact.Asked.After(newest) {
				newest, lang = contact.Asked, p.Lang
				f = wording.Facts{Clinic: c.Name, Phone: c.Phone, Zone: c.zone, Own: c.Wording}
			}
			if in.Intent == engine.Yes {
				contact.Consent, contact.Proof = now, "text "+in.ID
			} else {
				contact.Archived = now
			}
		}
		if !waits {
			continue
		}
		event := "contact_confirmed"
		if in.Intent != engine.Yes {
			event = "contact_declined"
		}
		b.Puts = append(b.Puts, storage.Put{Key: patientKey(p), Expect: version, Data: encode(p)})
		b.Events = append(b.Events, storage.Event{
			Clinic: p.Clinic, Subject: patientSubject(id), At: now,
			Data: encode(eventData{Event: event, Detail: map[string]string{"channel": string(engine.SMS), "reply": in.ID}}),
		})
		changed = append(changed, stored[engine.Patient]{p, version + 1})
	}
	return b, changed, newest, f, lang
}

func agreed(in engine.Intent, lang engine.Lang, f wording.Facts) engine.Answer {
	a := engine.Answer{Kind: engine.AnsConsented, Lang: cmp.Or(lang, engine.French)}
	if in != engine.Yes {
		a.Kind = engine.AnsRefusedConsent
	}
	a.Text = wording.Answer(a.Kind, engine.SMS, a.Lang, f)
	return a
}
