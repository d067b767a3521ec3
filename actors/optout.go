package actors

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"relais/engine"
	"relais/storage"
)

// optOutRecord is the last word of an address, whoever has it: any patient, any clinic of the process,
// any carrier. Every word stays on the timeline of the address, which nothing removes.
type optOutRecord struct {
	At      time.Time `json:"at"`
	Stopped bool      `json:"stopped"`
}

// ledger is the opt-outs in memory, by digest of the address. Safe for concurrent use.
type ledger struct {
	mu    sync.RWMutex
	words map[string]optOutRecord
}

// put takes the newer word.
func (l *ledger) put(digest string, o optOutRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.words[digest]; !ok || !o.At.Before(old.At) {
		l.words[digest] = o
	}
}

func (l *ledger) get(digest string) optOutRecord {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.words[digest]
}

// address digests a telephone number or e-mail address with a key of the store, for a copied list of
// digests of all numbers would be soon made.
func (r *Relais) address(phone engine.Phone, email engine.Email) string {
	mac := hmac.New(sha256.New, r.tokenKey)
	mac.Write([]byte("opt-out\x00" + cmp.Or(string(phone), string(email))))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func optOutKey(digest string) storage.Key {
	return storage.Key{Clinic: storage.Shared, Kind: storage.KindOptOut, ID: digest}
}

func (r *Relais) loadOptOuts(ctx context.Context) error {
	return r.scan(ctx, storage.Shared, storage.KindOptOut, func(rec storage.Record) error {
		var o optOutRecord
		err := json.Unmarshal(rec.Data, &o)
		r.optOuts.put(rec.Key.ID, o)
		return err
	})
}

// stopped says since when nothing may be sent to a contact: its address opted out, and there is no
// consent from after that. Zero: it may.
func (r *Relais) stopped(c engine.Contact) time.Time {
	if at := r.silenced(c); !c.Consent.After(at) {
		return at
	}
	return time.Time{}
}

// silenced says since when the last word of a contact's address is STOP, whatever consent there is; zero:
// it is not.
func (r *Relais) silenced(c engine.Contact) time.Time {
	if o := r.optOuts.get(r.address(c.Phone, c.Email)); o.Stopped {
		return o.At
	}
	return time.Time{}
}

// heed marks the patient's contacts whose address opted out.
func (r *Relais) heed(p *engine.Patient) {
	p.Contacts = slices.Clone(p.Contacts)
	for i, contact := range p.Contacts {
		if contact.OptedOut.IsZero() {
			p.Contacts[i].OptedOut = r.stopped(contact)
		}
	}
}

// word adds to a batch what an address said now.
func (r *Relais) word(ctx context.Context, b *storage.Batch, digest string, o optOutRecord, reply string) error {
	rec, err := r.store.Get(ctx, optOutKey(digest))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return unavailable(err)
	}
	said := "start"
	if o.Stopped {
		said = "stop"
	}
	b.Puts = append(b.Puts, storage.Put{Key: optOutKey(digest), Expect: rec.Version, Data: encode(o)})
	b.Events = append(b.Events, storage.Event{
		Clinic: storage.Shared, Subject: "opt-out/" + digest, At: o.At, Data: encode(eventData{Event: said, Detail: map[string]string{"reply": reply}}),
	})
	return nil
}
