package actors

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/outlook"
	"relais/engine/slot"
	"relais/storage"
)

// Own is what somebody's own page shows; token is the secret of their link. It changes nothing. A link that is
// unknown, malformed or over gives engine.NotFound.
func (r *Relais) Own(ctx context.Context, token string) (desk.OwnView, error) {
	p, at, err := r.byOwnToken(token)
	if err != nil {
		return desk.OwnView{}, err
	}
	c := r.hall.get(p.Clinic)
	v := desk.OwnView{
		Door: c.door(), Zone: c.personZone(p), Lang: p.Lang, Proxy: at.Proxy != "", Linked: p.Source != "", Hours: p.Hours, Usual: c.Policy.Hours,
		Asked:   p.Still != nil && p.Still.Asked.After(p.Alive),
		Subject: r.subject(p), Identity: c.Identity && !p.Born.IsZero(),
	}
	if at.Proxy != "" {
		v.Lang = p.Speaks()
	}
	for i, k := range p.Contacts {
		if k.Proxy != at.Proxy || !k.Archived.IsZero() || k.Consent.IsZero() {
			continue // a proxy's addresses are theirs, the patient's the patient's
		}
		v.Contacts = append(v.Contacts, desk.OwnContact{
			Index: i, Channel: k.Channel, Shown: masked(k), Usable: k.Usable() && r.stopped(k).IsZero(),
			Stopped: !k.OptedOut.IsZero() || !r.stopped(k).IsZero(), Here: sameAddress(k, at),
		})
	}
	for _, e := range r.waitlist.list(c.ID, func(e engine.Entry, _ engine.Patient) bool {
		return e.Patient == p.ID && (mayClaim(e) || e.Status == engine.Linking || e.Status == engine.Claimed)
	}) {
		w := desk.OwnWish{
			Entry: e.ID, Status: e.Status, Specialty: e.Specialty, Practitioners: e.Practitioners, Places: e.Places, Located: e.Home != nil,
			RadiusKm: e.RadiusKm, Windows: e.Windows, NoticeMinutes: int(e.Notice / time.Minute), Until: e.Until, Joined: e.Joined, Follows: e.Auto,
		}
		if w.Outlook, err = r.outlook(ctx, c, e); err != nil {
			return v, err
		}
		v.Wishes = append(v.Wishes, w)
	}
	for _, m := range slices.Backward(p.Offered) {
		o, err := r.pastOffer(ctx, c, p, m)
		if err != nil {
			return v, err
		}
		v.Offers = append(v.Offers, desk.OwnOffer{At: m.At, Start: m.Start, Status: o.Status})
	}
	return v, nil
}

// masked leaves of an address what its owner knows it by.
func masked(c engine.Contact) string {
	if c.Phone != "" {
		n := string(c.Phone)
		return "••• " + n[max(0, len(n)-4):]
	}
	name, domain, _ := strings.Cut(string(c.Email), "@")
	first := []rune(name)
	return string(first[:min(1, len(first))]) + "•••@" + domain
}

// subject stands for a patient where the identifier need not be known.
func (r *Relais) subject(p engine.Patient) string {
	return digest("subject\x00" + string(r.tokenKey) + string(p.ID))[:16]
}

// outlooks keeps what people of a clinic can expect, for a while: it takes reading what slots came to.
type outlooks struct {
	mu    sync.Mutex
	until time.Time
	waits map[engine.Specialty][]outlook.Wait
}

// outlookFor is how long that is kept.
const outlookFor = time.Hour

// outlook says what an entry's person can expect: how many others wait for the same, and within what time
// people who joined in the last months had their first offer.
func (r *Relais) outlook(ctx context.Context, c *clinic, e engine.Entry) (outlook.Outlook, error) {
	o := &c.outlooks
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); !now.Before(o.until) {
		waits, err := r.waits(ctx, c, now)
		if err != nil {
			return outlook.Outlook{}, err
		}
		o.waits, o.until = waits, now.Add(outlookFor)
	}
	others := len(r.waitlist.list(c.ID, func(x engine.Entry, _ engine.Patient) bool {
		return x.Status == engine.Waiting && x.Specialty == e.Specialty && x.Patient != e.Patient
	}))
	return outlook.Look(others, o.waits[e.Specialty]), nil
}

// lookBack is over how long first offers are looked at, where slots are kept that long.
const lookBack = 180 * 24 * time.Hour

// waits is how long everybody who joined since the oldest kept slot waited for their first offer.
func (r *Relais) waits(ctx context.Context, c *clinic, now time.Time) (map[engine.Specialty][]outlook.Wait, error) {
	first, oldest := map[engine.EntryID]time.Time{}, now
	err := r.scan(ctx, c.ID, storage.KindSlot, func(rec storage.Record) error {
		var s slot.State
		if err := json.Unmarshal(rec.Data, &s); err != nil {
			return err
		}
		for _, o := range s.Offers {
			if o.Wave == 0 { // given by hand: nobody was asked
				continue
			}
			if at, ok := first[o.Entry]; !ok || o.At.Before(at) {
				first[o.Entry] = o.At
			}
			if o.At.Before(oldest) {
				oldest = o.At
			}
		}
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	since := latest(oldest, now.Add(-lookBack))
	waits := map[engine.Specialty][]outlook.Wait{}
	r.waitlist.list(c.ID, func(e engine.Entry, _ engine.Patient) bool {
		if e.Joined.Before(since) || e.Auto || e.Status == engine.Linking {
			return false
		}
		at, offered := first[e.ID]
		if !offered && e.Status != engine.Waiting { // left or paused before anything came: how long is not kept
			return false
		}
		w := outlook.Wait{For: now.Sub(e.Joined), Offered: offered}
		if offered {
			w.For = at.Sub(e.Joined)
		}
		waits[e.Specialty] = append(waits[e.Specialty], w)
		return false
	})
	return waits, nil
}
