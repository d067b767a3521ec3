package actors

import (
	"context"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// ByPatient is who edited what a patient, or who answers for them, changed on their own page.
const ByPatient engine.UserID = "patient"

// ChangeOwn carries out a change that somebody made on their own page, and shows the page as it is then. For a
// new contact it returns what the code counts with. Errors: engine.NotFound for a link that leads nowhere,
// engine.Invalid with the field, and engine.Conflict when the page was older than what it changes.
func (r *Relais) ChangeOwn(ctx context.Context, token string, in desk.OwnChange) (v desk.OwnView, handle string, err error) {
	p, at, err := r.byOwnToken(token)
	if err != nil {
		return v, "", err
	}
	c := r.hall.get(p.Clinic)
	switch in.Action {
	case desk.OwnAdd:
		handle, err = r.addOwn(ctx, c, p, at, in)
	case desk.OwnStop, desk.OwnResume, desk.OwnRemove:
		err = r.changeOwnContact(ctx, p, at, in)
	case desk.OwnStay, desk.OwnLeave:
		_, err = r.stays(ctx, p.ID, in.Action == desk.OwnStay, "")
	default:
		err = r.editOwn(ctx, c, p.ID, at, in)
	}
	if err != nil || in.Action == desk.OwnWithdraw || in.Action == desk.OwnRenew || in.Action == desk.OwnRemove {
		return v, handle, err // the link may lead nowhere now
	}
	v, err = r.Own(ctx, token)
	return v, handle, err
}

// editOwn changes the patient and their entries in one commit.
func (r *Relais) editOwn(ctx context.Context, c *clinic, id engine.PatientID, at engine.Contact, in desk.OwnChange) error {
	_, err := r.changePatient(ctx, id, func(p *engine.Patient, now time.Time) (storage.Batch, error) {
		b, err := r.ownBatch(c, p, at, in, now)
		if err != nil {
			return b, err
		}
		p.Alive = now
		p.Edit = engine.Edit{N: p.Edit.N + 1, By: ByPatient, At: now}
		b.Events = append(b.Events, storage.Event{
			Clinic: c.ID, Subject: patientSubject(id), At: now, Data: encode(eventData{Event: "own_" + in.Action, By: ByPatient}),
		})
		return b, nil
	})
	if err == nil {
		r.lookAgain(r.waitlist.offeredTo(id))
	}
	return err
}

func (r *Relais) ownBatch(c *clinic, p *engine.Patient, at engine.Contact, in desk.OwnChange, now time.Time) (b storage.Batch, err error) {
	each := func(change func(*engine.Entry) bool) {
		r.eachEntry(p.ID, func(e engine.Entry, version uint64) {
			if !e.Auto && change(&e) {
				e.Edit = engine.Edit{N: e.Edit.N + 1, By: ByPatient, At: now}
				b.Puts = append(b.Puts, storage.Put{Key: entryKey(e), Expect: version, Data: encode(e)})
			}
		})
	}
	switch in.Action {
	case desk.OwnWishes:
		if err := c.checkWish(in.Practitioners, in.Places); err != nil {
			return b, err
		}
		each(func(e *engine.Entry) bool {
			if e.ID != in.Entry || !mayClaim(*e) && e.Status != engine.Linking {
				return false
			}
			e.Practitioners, e.Places, e.Windows = in.Practitioners, in.Places, in.Windows
			e.Notice = time.Duration(in.NoticeMinutes) * time.Minute
			if in.Home != nil {
				e.Home = in.Home
			}
			e.RadiusKm = 0
			if e.Home != nil {
				e.RadiusKm = in.RadiusKm
			}
			return true
		})
		if len(b.Puts) == 0 {
			return b, engine.Errorf(engine.Conflict, "this wish was changed meanwhile; look at the page again")
		}
	case desk.OwnPerson:
		if h := in.Hours; h != nil && (h.From < 0 || h.Until > 24*60 || h.From >= h.Until) {
			return b, desk.Wrong(desk.FieldWhen, "the hours are no part of a day")
		}
		p.Hours = in.Hours
		if i := slices.IndexFunc(p.Proxies, func(x engine.Proxy) bool { return x.ID == at.Proxy }); i >= 0 {
			p.Proxies = slices.Clone(p.Proxies)
			p.Proxies[i].Lang = in.Lang
		} else {
			p.Lang = in.Lang
		}
	case desk.OwnSnooze:
		day, err := time.ParseInLocation(time.DateOnly, in.Until, c.zone)
		if err != nil || !day.After(now) || day.After(now.AddDate(1, 0, 1)) {
			return b, desk.Wrong(desk.FieldUntil, "the day on which offers come again must be in the future")
		}
		each(func(e *engine.Entry) bool {
			ok := mayClaim(*e)
			e.Status, e.Until, e.Quiet = engine.Snoozed, day.UTC(), false
			return ok
		})
	case desk.OwnWake:
		each(func(e *engine.Entry) bool {
			ok := e.Status == engine.Snoozed
			e.Status, e.Until, e.Quiet = engine.Waiting, time.Time{}, false
			return ok
		})
	case desk.OwnWithdraw:
		each(func(e *engine.Entry) bool {
			ok := mayClaim(*e) || e.Status == engine.Linking
			e.Status, e.Until, e.Quiet = engine.Left, time.Time{}, false
			return ok
		})
		for i := range p.Contacts {
			if p.Contacts[i].Archived.IsZero() {
				p.Contacts[i].Archived = now
			}
		}
		p.Sooner, p.Still = nil, nil
		p.Links++
	case desk.OwnRenew:
		p.Links++
		o := letterTo(orderID("link/"+string(p.ID), uint64(p.Links), 0), engine.MsgLink, at, p.ID, "") //nolint:gosec // counts up from 0
		b.Effects = append(b.Effects, o.effect(c.ID))
	default:
		return b, engine.Errorf(engine.Invalid, "there is no such change")
	}
	return b, nil
}

// ownContact finds the contact that a page showed.
func ownContact(p engine.Patient, at engine.Contact, in desk.OwnChange) (engine.Contact, error) {
	if in.Index < 0 || in.Index >= len(p.Contacts) || p.Contacts[in.Index].Proxy != at.Proxy || masked(p.Contacts[in.Index]) != in.Was {
		return engine.Contact{}, engine.Errorf(engine.Conflict, "this contact was changed meanwhile; look at the page again")
	}
	return p.Contacts[in.Index], nil
}

func (r *Relais) changeOwnContact(ctx context.Context, p engine.Patient, at engine.Contact, in desk.OwnChange) error {
	k, err := ownContact(p, at, in)
	if err != nil {
		return err
	}
	switch {
	case in.Action == desk.OwnStop:
		return r.optOut(ctx, k.Phone, k.Email, true, "")
	case in.Action == desk.OwnResume && sameAddress(k, at): // who has the link has what it was sent to
		return r.optOut(ctx, k.Phone, k.Email, false, "")
	case in.Action == desk.OwnResume:
		return engine.Errorf(engine.Forbidden, "only its owner can have messages there again, with the word START")
	}
	_, err = r.changePatient(ctx, p.ID, func(p *engine.Patient, now time.Time) (storage.Batch, error) {
		if _, err := ownContact(*p, at, in); err != nil {
			return storage.Batch{}, err
		}
		p.Contacts[in.Index].Archived, p.Alive = now, now
		p.Edit = engine.Edit{N: p.Edit.N + 1, By: ByPatient, At: now}
		return storage.Batch{Events: []storage.Event{r.patientEvent(*p, "own_remove", now, map[string]string{"channel": string(k.Channel)})}}, nil
	})
	return err
}

// addOwn begins to show that a new contact is theirs.
func (r *Relais) addOwn(ctx context.Context, c *clinic, p engine.Patient, at engine.Contact, in desk.OwnChange) (handle string, err error) {
	contacts := joinContacts(desk.JoinRequest{Phone: in.Phone, Email: in.Email})
	switch {
	case len(contacts) == 0:
		return "", desk.Wrong(desk.FieldContact, "a telephone or a mailbox is needed")
	case len(p.Contacts) >= mostContacts:
		return "", desk.Wrong(desk.FieldContact, "there are too many contacts; take one away first")
	case c.mode() == engine.Shadow:
		return "", engine.Errorf(engine.Unavailable, "the clinic sends nothing now")
	}
	now := time.Now().UTC()
	return r.beginJoin(ctx, c, joinRecord{
		At: now, Expires: now.Add(JoinWithin), Clinic: c.ID, Patient: p.ID, Proxy: at.Proxy, Contacts: contacts,
		Request: desk.JoinRequest{Given: p.Given, Family: p.Family, Lang: p.Speaks(), Phone: in.Phone, Email: in.Email, Consent: in.Consent},
	})
}
