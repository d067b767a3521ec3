package actors

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/reach"
	"relais/engine/wording"
	"relais/storage"
)

// consent opts a contact out of messages, or in again. The list of opt-outs is kept for contacts
// too that belong to nobody on the waitlist.
func (r *Relais) consent(ctx context.Context, in engine.Reply, offer engine.OfferID) (engine.Answer, error) {
	phone, email := in.Phone, engine.Email("")
	lang := cmp.Or(in.Lang, engine.French)
	var facts wording.Facts
	var addresses []engine.Contact // where more than one is meant
	if offer != "" {
		s, err := r.offerState(ctx, offer)
		if err != nil {
			return engine.Answer{}, err
		}
		if c := r.clinicOf(offer.Slot()); c != nil {
			facts = r.facts(c, s)
		}
		lang = cmp.Or(in.Lang, s.Person.Lang)
		for _, c := range s.Person.Contacts {
			if in.Channel == engine.EmailMail && c.Email != "" && email == "" {
				phone, email = "", c.Email
			}
			if in.Channel != engine.EmailMail && c.Phone != "" && phone == "" {
				phone = c.Phone
			}
		}
		if in.Channel == engine.Page || phone == "" && email == "" { // of a page: everything
			addresses = s.Person.Contacts
		}
		for _, d := range s.Deliveries {
			if d.ID == in.Attempt { // the one that was called or written to
				c := s.Person.Contacts[d.Contact]
				phone, email = cmp.Or(c.Phone, phone), cmp.Or(c.Email, email)
			}
		}
	} else if _, last, ok := r.replies.of(phone); ok {
		if s, err := r.offerState(ctx, last.offer); err == nil {
			facts = r.facts(last.clinic.present(), s)
			lang = cmp.Or(in.Lang, last.lang)
		}
	}
	stop := in.Intent == engine.Stop
	if addresses == nil {
		addresses = []engine.Contact{{Phone: phone, Email: email}}
	}
	done := map[engine.Contact]bool{}
	for _, c := range addresses {
		to := engine.Contact{Phone: c.Phone, Email: c.Email}
		if done[to] {
			continue
		}
		done[to] = true
		id := in.ID
		if id != "" && len(done) > 1 { // each word counts once
			id = fmt.Sprintf("%s.%d", in.ID, len(done))
		}
		if err := r.optOut(ctx, to.Phone, to.Email, stop, id); err != nil {
			return engine.Answer{}, err
		}
	}
	kind := engine.AnsStopped
	if !stop {
		kind = engine.AnsStarted
	}
	return engine.Answer{Kind: kind, Lang: lang, Text: wording.Answer(kind, in.Channel, lang, facts)}, nil
}

func (r *Relais) optOut(ctx context.Context, phone engine.Phone, email engine.Email, stop bool, reply string) error {
	now := time.Now().UTC()
	address, said := r.address(phone, email), optOutRecord{At: now, Stopped: stop}
	patients := r.waitlist.byContact(phone, email)
	for try := 0; ; try++ {
		b := storage.Batch{}
		if err := r.word(ctx, &b, address, said, reply); err != nil {
			return err
		}
		if reply != "" { // a replayed START must not undo a later STOP
			b.Puts = append(b.Puts, storage.Put{Key: replyKey(reply), Data: encode(replyRecord{At: now})})
		}
		var changed []stored[engine.Patient]
		for _, id := range patients {
			p, version, ok := r.waitlist.patient(id)
			if !ok {
				continue
			}
			p.Contacts = slices.Clone(p.Contacts)
			for i, c := range p.Contacts {
				if (phone == "" || c.Phone != phone) && (email == "" || c.Email != email) {
					continue
				}
				p.Contacts[i].OptedOut = time.Time{}
				if stop {
					p.Contacts[i].OptedOut = now
				}
			}
			b.Puts = append(b.Puts, storage.Put{Key: patientKey(p), Expect: version, Data: encode(p)})
			changed = append(changed, stored[engine.Patient]{p, version + 1})
		}
		err := r.store.Commit(ctx, b)
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			if reply != "" {
				if _, err := r.store.Get(ctx, replyKey(reply)); err == nil {
					return nil // counted before
				}
			}
			r.refreshPatients(ctx, patients)
			continue
		}
		if err != nil {
			return unavailable(err)
		}
		r.optOuts.put(address, said)
		for _, p := range changed {
			r.waitlist.putPatient(p.value, p.version)
			if stop {
				r.quiet(p.value.ID, phone, email)
			}
		}
		return nil
	}
}

func (r *Relais) refreshPatients(ctx context.Context, ids []engine.PatientID) {
	for _, id := range ids {
		p, _, ok := r.waitlist.patient(id)
		if !ok {
			continue
		}
		if rec, err := r.store.Get(ctx, patientKey(p)); err == nil && json.Unmarshal(rec.Data, &p) == nil {
			r.waitlist.putPatient(p, rec.Version)
		}
	}
}

// quiet stops what is still to be sent to a contact that opted out.
func (r *Relais) quiet(p engine.PatientID, phone engine.Phone, email engine.Email) {
	r.waitlist.mu.Lock()
	offers := make([]engine.OfferID, 0, len(r.waitlist.pending[p]))
	for o := range r.waitlist.pending[p] {
		offers = append(offers, o)
	}
	r.waitlist.mu.Unlock()
	var out []reach.Input
	if phone != "" {
		out = append(out, reach.OptOut{Channel: engine.SMS}, reach.OptOut{Channel: engine.Voice})
	}
	if email != "" {
		out = append(out, reach.OptOut{Channel: engine.EmailMail})
	}
	for _, o := range offers {
		r.offers.Ref(o).Send(offerInput{in: out})
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
