package actors

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"relais/engine"
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
	if !ok || !plainID(id) || r.clinics[p.Clinic] == nil {
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
