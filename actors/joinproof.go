package actors

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/wording"
	"relais/storage"
)

// ProveCode takes the code that was sent to a contact of who joins; handle is what Join returned. Wrong codes
// are counted, and after five none counts any more. An unknown handle is JoinOver.
func (r *Relais) ProveCode(ctx context.Context, clinic engine.ClinicID, handle, code string) (desk.JoinResult, error) {
	id := digest(handle)
	code = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, code)
	for try := 0; ; try++ {
		j, ok := r.joins.get(id)
		if !ok || j.value.Clinic != clinic || !time.Now().Before(j.value.Expires) || j.value.Tries >= joinTries {
			return desk.JoinOver, nil
		}
		for i, c := range j.value.Contacts {
			if subtle.ConstantTimeCompare([]byte(code), []byte(r.joinCode(id, c))) == 1 && !j.value.Known {
				return r.prove(ctx, id, i, "code", "")
			}
		}
		next := j.value
		next.Tries++
		err := r.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: joinKey(clinic, id), Expect: j.version, Data: encode(next)}}})
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			if err := r.rereadJoin(ctx, clinic, id); err != nil {
				return "", err
			}
			continue
		}
		if err != nil {
			return "", unavailable(err)
		}
		r.joins.put(id, stored[joinRecord]{next, j.version + 1})
		if next.Tries >= joinTries {
			return desk.JoinOver, nil
		}
		return desk.JoinWrong, nil
	}
}

// joinOf finds what the link in a mail shows.
func (r *Relais) joinOf(token string) (id string, j stored[joinRecord], contact int, ok bool) {
	const key = 32 // hexadecimal digits of a digest
	if len(token) != key+ownDigest {
		return "", j, 0, false
	}
	id = token[:key]
	if j, ok = r.joins.get(id); !ok || j.value.Known {
		return "", j, 0, false
	}
	for i, c := range j.value.Contacts {
		if hmac.Equal([]byte(token), []byte(r.joinToken(id, c))) {
			return id, j, i, time.Now().Before(j.value.Expires)
		}
	}
	return "", j, 0, false
}

// Proving is the clinic of a link that shows a mailbox, and the language of who joins; it changes nothing.
// A link that is unknown, malformed or over gives engine.NotFound.
func (r *Relais) Proving(_ context.Context, token string) (desk.Door, engine.Lang, error) {
	_, j, _, ok := r.joinOf(token)
	c := r.hall.get(j.value.Clinic)
	if !ok || c == nil {
		return desk.Door{}, "", engine.Errorf(engine.NotFound, "there is nothing to confirm")
	}
	return c.door(), j.value.Request.Lang, nil
}

// ProveLink takes that somebody opened the link in a mail and pressed.
func (r *Relais) ProveLink(ctx context.Context, token string) (desk.JoinResult, error) {
	id, _, contact, ok := r.joinOf(token)
	if !ok {
		return desk.JoinOver, nil
	}
	return r.prove(ctx, id, contact, "mail", "")
}

// prove takes that a contact of who joins is theirs. The first one puts the person on the list, to be linked
// with the record system. reply is the text that showed it.
func (r *Relais) prove(ctx context.Context, id string, contact int, how, reply string) (desk.JoinResult, error) {
	for try := 0; ; try++ {
		j, ok := r.joins.get(id)
		if !ok {
			return desk.JoinAlready, nil // the last one was shown a moment ago
		}
		c := r.hall.get(j.value.Clinic)
		if c == nil || !time.Now().Before(j.value.Expires) {
			return desk.JoinOver, nil
		}
		if !j.value.Contacts[contact].Consent.IsZero() {
			return desk.JoinAlready, nil
		}
		b, orders, next := r.proof(c, id, j, contact, how, reply)
		err := r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			if reply != "" {
				if _, err := r.store.Get(ctx, replyKey(reply)); err == nil {
					return desk.JoinAlready, nil
				}
			}
			if err := r.rereadJoin(ctx, c.ID, id); err != nil {
				return "", err
			}
			if p, ok := r.namesake(c, j.value.Request, j.value.Contacts); ok {
				r.refreshPatients(ctx, []engine.PatientID{p.ID})
			}
			continue
		}
		if err != nil {
			return "", unavailable(err)
		}
		if next.all() {
			r.joins.remove(id)
		} else {
			r.joins.put(id, stored[joinRecord]{next, j.version + 1})
		}
		r.tookIn(b)
		for _, o := range orders {
			r.carryOut(c, o)
		}
		r.opt.Metrics.Joined(c.ID, "proven")
		return desk.JoinProven, nil
	}
}

// proof is what showing a contact changes.
func (r *Relais) proof(c *clinic, id string, j stored[joinRecord], contact int, how, reply string) (b storage.Batch, orders []order, next joinRecord) {
	now := time.Now().UTC()
	next = j.value
	next.Contacts = slices.Clone(next.Contacts)
	k := &next.Contacts[contact]
	k.Consent, k.Proof = now, "join "+next.Request.Consent+" "+how
	if reply != "" {
		k.Proof += " " + reply
		b.Puts = append(b.Puts, storage.Put{Key: replyKey(reply), Data: encode(replyRecord{Intent: engine.Yes, About: aboutJoin, At: now})})
	}
	first := next.Patient == ""
	p, version := r.joiner(c, next, now)
	next.Patient = p.ID
	p.Alive = now
	b.Puts = append(b.Puts, storage.Put{Key: patientKey(p), Expect: version, Data: encode(p)})
	b.Events = append(b.Events, storage.Event{Clinic: c.ID, Subject: patientSubject(p.ID), At: now, Data: encode(eventData{
		Event: "joined", Detail: map[string]string{"channel": string(k.Channel), "how": how, "consent": next.Request.Consent},
	})})
	if first {
		e := c.wish(next.Request, p, now)
		b.Puts = append(b.Puts, storage.Put{Key: entryKey(e), Data: encode(e)})
		orders = append(orders, letterTo(orderID("welcome/"+id, 1, 0), engine.MsgWelcome, *k, p.ID, ""))
		if p.Source == "" {
			orders = append(orders, order{ID: orderID("find/"+id, 1, 0), Do: deedFind, Patient: p.ID, At: now})
		}
	}
	put := storage.Put{Key: joinKey(c.ID, id), Expect: j.version, Data: encode(next)}
	if next.all() {
		put = storage.Put{Key: put.Key, Expect: j.version, Delete: true}
	}
	b.Puts = append(b.Puts, put)
	for _, o := range orders {
		b.Effects = append(b.Effects, o.effect(c.ID))
	}
	return b, orders, next
}

// joiner is the patient that somebody who joins is, with the contacts that were shown.
func (r *Relais) joiner(c *clinic, j joinRecord, now time.Time) (engine.Patient, uint64) {
	in := j.Request
	p, version, ok := r.waitlist.patient(j.Patient)
	if j.Patient == "" || !ok {
		version = 0
		p, ok = r.namesake(c, in, shown(j.Contacts))
		if ok {
			_, version, _ = r.waitlist.patient(p.ID)
		} else {
			p = engine.Patient{
				ID: engine.PatientID("p-" + strings.ToLower(rand.Text()[:16])), Clinic: c.ID,
				Given: strings.TrimSpace(in.Given), Family: strings.TrimSpace(in.Family), Lang: in.Lang,
			}
			if born, err := time.Parse(time.DateOnly, in.Born); err == nil {
				p.Born = born
			}
		}
	}
	proxy := j.Proxy
	if in.ProxyName != "" && (version == 0 || j.Patient != "") { // nobody makes themselves the proxy of who is known
		i := slices.IndexFunc(p.Proxies, func(x engine.Proxy) bool { return alike(x.Name, in.ProxyName) && x.Archived.IsZero() })
		if i < 0 {
			p.Proxies = append(slices.Clone(p.Proxies), engine.Proxy{
				ID: engine.ProxyID("x-" + strings.ToLower(rand.Text()[:16])), Name: strings.TrimSpace(in.ProxyName),
				Relation: strings.TrimSpace(in.Relation), Lang: in.Lang, Since: now, Chosen: true,
			})
			i = len(p.Proxies) - 1
		}
		proxy = p.Proxies[i].ID
	}
	p.Contacts = slices.Clone(p.Contacts)
	for _, k := range j.Contacts {
		if k.Consent.IsZero() {
			continue
		}
		k.Proxy = proxy
		p.Contacts = r.withShown(p.Contacts, k)
		if k.Channel == engine.SMS && in.Calls {
			k.Channel = engine.Voice
			p.Contacts = r.withShown(p.Contacts, k)
		}
	}
	return p, version
}

func shown(contacts []engine.Contact) (list []engine.Contact) {
	for _, c := range contacts {
		if !c.Consent.IsZero() {
			list = append(list, c)
		}
	}
	return list
}

// withShown puts a contact among the others with its consent. One that has a consent already keeps that, and
// a STOP stays: only the word START ends it.
func (r *Relais) withShown(list []engine.Contact, k engine.Contact) []engine.Contact {
	i := slices.IndexFunc(list, func(c engine.Contact) bool { return sameAddress(c, k) && c.Proxy == k.Proxy })
	if i < 0 {
		k.OptedOut = r.silenced(k)
		return append(list, k)
	}
	old := &list[i]
	old.Archived, old.Bad, old.BadAt = time.Time{}, "", time.Time{}
	if old.Consent.IsZero() {
		old.Consent, old.Proof = k.Consent, k.Proof
	}
	return list
}

// wish is the entry of who joins. It waits to be linked where the record system's reference is not known.
func (c *clinic) wish(in desk.JoinRequest, p engine.Patient, now time.Time) engine.Entry {
	e := engine.Entry{
		ID: engine.EntryID("e-" + strings.ToLower(rand.Text()[:16])), Clinic: c.ID, Patient: p.ID, Status: engine.Linking,
		Specialty: in.Specialty, Practitioners: in.Practitioners, Places: in.Places, Home: in.Home, RadiusKm: in.RadiusKm,
		Windows: in.Windows, Notice: time.Duration(in.NoticeMinutes) * time.Minute, Class: usualClass, Joined: now,
	}
	if p.Source != "" {
		e.Status = engine.Waiting
	}
	return e
}

// usualClass is the clinical priority of who says nothing of it: only a clinician can raise it.
const usualClass = 2

// tookIn brings what a batch wrote into memory.
func (r *Relais) tookIn(b storage.Batch) {
	for _, put := range b.Puts {
		switch put.Key.Kind {
		case storage.KindPatient:
			var p engine.Patient
			if decodeInto(put.Data, &p) {
				r.waitlist.putPatient(p, put.Expect+1)
				if c := r.hall.get(p.Clinic); c != nil && p.Source != "" {
					c.sync.Send(feed{[]engine.PatientID{p.ID}})
				}
			}
		case storage.KindEntry:
			var e engine.Entry
			if decodeInto(put.Data, &e) {
				r.waitlist.putEntry(e, put.Expect+1)
			}
		case storage.KindSlot, storage.KindOffer, storage.KindSchedule, storage.KindSync, storage.KindToken, storage.KindOptOut,
			storage.KindReply, storage.KindAccount, storage.KindSession, storage.KindMeta, storage.KindHL7, storage.KindUnread, storage.KindJoin,
			storage.KindPass, storage.KindIncident:
		}
	}
}

// joining takes a text as the answer to the code that was sent to its telephone. ok is false when nobody joins
// with it, or something newer was asked there.
func (r *Relais) joining(ctx context.Context, in engine.Reply, newer time.Time) (a engine.Answer, ok bool, err error) {
	id, j, ok := r.joins.newest(in.Phone, time.Now())
	if !ok || newer.After(j.value.At) {
		return a, false, nil
	}
	c := r.hall.get(j.value.Clinic)
	if c == nil {
		return a, false, nil
	}
	lang := cmp.Or(in.Lang, j.value.Request.Lang, engine.French)
	at := slices.IndexFunc(j.value.Contacts, func(k engine.Contact) bool { return k.Channel == engine.SMS && k.Phone == in.Phone })
	yes := in.Intent == engine.Yes || (in.Intent == engine.Choice || in.Intent == engine.Unclear) && strings.TrimSpace(in.Text) == r.joinCode(id, j.value.Contacts[at])
	f := wording.Facts{Clinic: c.Name, Phone: c.Phone, Zone: c.zone, Own: c.Wording}
	switch {
	case yes:
		if _, err := r.prove(ctx, id, at, "text", in.ID); err != nil {
			return a, false, err
		}
		if j.value.Patient != "" { // one more contact of somebody on the list
			return engine.Answer{Kind: engine.AnsConsented, Lang: lang, Text: wording.Answer(engine.AnsConsented, engine.SMS, lang, f)}, true, nil
		}
		return engine.Answer{Kind: engine.AnsJoined, Lang: lang}, true, nil // the welcome is on its way
	case in.Intent == engine.No:
		if err := r.dropJoin(ctx, c, id, j, in.ID); err != nil {
			return a, false, err
		}
		return engine.Answer{Kind: engine.AnsNotJoined, Lang: lang, Text: wording.Answer(engine.AnsNotJoined, engine.SMS, lang, f)}, true, nil
	}
	return a, false, nil
}

// dropJoin forgets who wanted to join.
func (r *Relais) dropJoin(ctx context.Context, c *clinic, id string, j stored[joinRecord], reply string) error {
	b := storage.Batch{Puts: []storage.Put{{Key: joinKey(c.ID, id), Expect: j.version, Delete: true}}}
	if reply != "" {
		b.Puts = append(b.Puts, storage.Put{Key: replyKey(reply), Data: encode(replyRecord{Intent: engine.No, About: aboutJoin, At: time.Now().UTC()})})
	}
	err := r.store.Commit(ctx, b)
	if errors.Is(err, storage.ErrStale) {
		return r.rereadJoin(ctx, c.ID, id)
	}
	if err != nil {
		return unavailable(err)
	}
	r.joins.remove(id)
	return nil
}
