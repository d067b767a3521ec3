package actors

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/storage"
)

// The link to somebody's own page names the patient and shows, with a digest that only we can make, that it
// was sent to one of the patient's contacts. Nothing is kept for it: a copied store gives no link. It ends when
// the contact is archived, when the patient's links are made void, and after one to two turns of linkTurn.

// linkTurn is half of the longest life of a link.
const linkTurn = 120 * 24 * time.Hour

const ownDigest = 22 // characters

// ownToken is the secret of the link that is sent to a contact of a patient; "" when there can be none.
func (r *Relais) ownToken(p engine.Patient, c engine.Contact, now time.Time) string {
	if !plainID(string(p.ID)) {
		return ""
	}
	return string(p.ID) + r.ownMAC(p, c, now.Unix()/int64(linkTurn.Seconds()))
}

func (r *Relais) ownMAC(p engine.Patient, c engine.Contact, turn int64) string {
	mac := hmac.New(sha256.New, r.tokenKey)
	fmt.Fprintf(mac, "own\x00%s\x00%d\x00%d\x00%s", p.ID, p.Links, turn, cmp.Or(string(c.Phone), string(c.Email)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// plainID reports whether an identifier can stand in an address as it is.
func plainID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") == ""
}

// byOwnToken finds whose page a link leads to, and the contact that it was sent to.
func (r *Relais) byOwnToken(token string) (engine.Patient, engine.Contact, error) {
	none := engine.Errorf(engine.NotFound, "there is no such page")
	if len(token) <= ownDigest || len(token) > 64+ownDigest {
		return engine.Patient{}, engine.Contact{}, none
	}
	id, given := token[:len(token)-ownDigest], token[len(token)-ownDigest:]
	p, _, ok := r.waitlist.patient(engine.PatientID(id))
	if !ok || !plainID(id) || r.hall.get(p.Clinic) == nil {
		return engine.Patient{}, engine.Contact{}, none
	}
	turn := time.Now().Unix() / int64(linkTurn.Seconds())
	found := -1
	for i, c := range p.Contacts {
		for _, t := range []int64{turn, turn - 1} {
			if hmac.Equal([]byte(given), []byte(r.ownMAC(p, c, t))) && c.Archived.IsZero() && found < 0 {
				found = i
			}
		}
	}
	if found < 0 {
		return engine.Patient{}, engine.Contact{}, none
	}
	contact := p.Contacts[found]
	for hops := 0; p.Into != "" && hops < 8; hops++ { // merged: the page of the one that is left
		if p, _, ok = r.waitlist.patient(p.Into); !ok {
			return engine.Patient{}, engine.Contact{}, none
		}
	}
	return p, contact, nil
}

// linkWanted asks to send the link of their page to whom a contact belongs.
type linkWanted struct{ phone, email string }

// mostSent bounds the people whose link one contact gets: somebody may answer for several.
const mostSent = 6

// SendLink sends to a contact the links of the people it belongs to, if there are any; it returns before that
// is known, so that nobody learns whose contact it is. The phone is in E.164 form.
func (r *Relais) SendLink(_ context.Context, id engine.ClinicID, phone, email string) error {
	c, err := r.clinic(id)
	if err != nil {
		return err
	}
	c.asker.Send(linkWanted{phone, email})
	return nil
}

func (a *asker) sendLinks(c *system.Context, m linkWanted) {
	of := a.c // the actor's own may change while this is on its way
	system.PipeOn(a.r.commits, c, context.Background(), func(ctx context.Context) (struct{}, error) {
		now := time.Now().UTC()
		var b storage.Batch
		var orders []order
		for _, id := range a.r.waitlist.byContact(engine.Phone(m.phone), engine.Email(m.email)) {
			p, _, ok := a.r.waitlist.patient(id)
			if !ok || p.Clinic != of.ID || p.Into != "" || len(orders) >= mostSent {
				continue
			}
			for _, k := range p.Contacts {
				proven := !k.Consent.IsZero() && k.Archived.IsZero() && k.Bad == ""
				if proven && (k.Channel == engine.SMS || k.Channel == engine.EmailMail) && string(k.Phone) == m.phone && string(k.Email) == m.email {
					o := letterTo(orderID("link/"+string(id), uint64(now.Unix()), now.Nanosecond()/10_000), engine.MsgLink, k, id, "") //nolint:gosec // after 1970
					orders, b.Effects = append(orders, o), append(b.Effects, o.effect(of.ID))
					break
				}
			}
		}
		if len(orders) == 0 {
			return struct{}{}, nil
		}
		err := a.r.store.Commit(ctx, b)
		for _, o := range orders {
			if err == nil {
				a.r.carryOut(of, o)
			}
		}
		return struct{}{}, err
	}, func(_ struct{}, err error) any {
		if err != nil {
			a.r.opt.Logger.Warn("a link to somebody's page was not sent", "clinic", of.ID, "error", err)
		}
		return nil
	})
}
