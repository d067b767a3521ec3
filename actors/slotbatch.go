package actors

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
)

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
			line := eventData{Event: e.Event, Offer: e.Offer, By: e.By, Detail: e.Detail}
			if w.staff != nil && e.By != "" {
				line.From = w.staff.Req.from
			}
			b.Events = append(b.Events, storage.Event{Clinic: a.c.ID, Subject: string(a.id), At: now, Data: encode(line)})
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
