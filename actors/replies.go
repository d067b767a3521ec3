package actors

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/engine/wording"
	"relais/storage"
)

// replies knows which offers a phone has, to find what an SMS answers. Offers stay known until
// their slot has begun, so that a late yes gets an honest answer. Safe for concurrent use.
type replies struct {
	mu     sync.Mutex
	phones map[engine.Phone][]known
	offers map[engine.OfferID][]engine.Phone
}

// known is one offer made to a phone.
type known struct {
	clinic *clinic
	offer  engine.OfferID
	start  time.Time
	made   time.Time
	lang   engine.Lang
	open   bool
}

// mostKnown bounds the offers remembered for one phone.
const mostKnown = 32

func newReplies() *replies {
	return &replies{phones: map[engine.Phone][]known{}, offers: map[engine.OfferID][]engine.Phone{}}
}

func (r *replies) know(c *clinic, s reach.State, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if s.Offer == "" || r.offers[s.Offer] != nil || now.After(s.Slot.Start) {
		return
	}
	for _, contact := range s.Person.Contacts {
		if contact.Phone == "" || slices.Contains(r.offers[s.Offer], contact.Phone) {
			continue
		}
		list := slices.DeleteFunc(r.phones[contact.Phone], func(k known) bool {
			past := now.After(k.start)
			if past {
				delete(r.offers, k.offer)
			}
			return past
		})
		list = append(list, known{c, s.Offer, s.Slot.Start, s.Started, s.Person.Lang, open})
		slices.SortFunc(list, func(a, b known) int { return cmp.Or(a.made.Compare(b.made), cmp.Compare(a.offer, b.offer)) })
		r.phones[contact.Phone] = list[max(0, len(list)-mostKnown):]
		r.offers[s.Offer] = append(r.offers[s.Offer], contact.Phone)
	}
}

// over says that an offer cannot be answered any more.
func (r *replies) over(o engine.OfferID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, phone := range r.offers[o] {
		for i := range r.phones[phone] {
			if r.phones[phone][i].offer == o {
				r.phones[phone][i].open = false
			}
		}
	}
}

// of returns the open offers of a phone, oldest first, and the newest of all.
func (r *replies) of(p engine.Phone) (open []known, last known, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.phones[p]
	for _, k := range list {
		if k.open {
			open = append(open, k)
		}
	}
	if len(list) == 0 {
		return nil, known{}, false
	}
	return open, list[len(list)-1], true
}

// answerWithin bounds how long a reply waits for its answer.
const answerWithin = 10 * time.Second

// Reply takes an answer of a person and says what to tell them. It waits a moment for the record
// system, so that the answer is final when it can be. Errors are *engine.Error.
func (r *Relais) Reply(ctx context.Context, in engine.Reply) (engine.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	c, offer, err := r.whose(ctx, in)
	if err != nil {
		return engine.Answer{}, err
	}
	switch in.Intent {
	case engine.Stop, engine.Start:
		return r.consent(ctx, in, offer)
	case engine.Yes, engine.No, engine.Choice, engine.Help, engine.Unclear:
	}
	var several []known
	if in.Phone != "" && in.Attempt == "" {
		open, last, ok := r.replies.of(in.Phone)
		switch {
		case !ok:
			return plain(in), nil
		case len(open) == 1:
			last = open[0]
		case len(open) > 1:
			several = open
		}
		c, offer = last.clinic, last.offer
		if several != nil && (in.Intent == engine.Yes || in.Intent == engine.No || in.Intent == engine.Choice) {
			if chosen, ok := choose(several, in); ok {
				c, offer, several = chosen.clinic, chosen.offer, nil
				in.Intent = engine.Yes
			} else {
				offer = ""
			}
		} else if in.Intent == engine.Choice {
			in.Intent = engine.Unclear // a number, and nothing to choose from
		}
		var first engine.Intent
		if first, offer, err = r.pin(ctx, in, offer); err != nil {
			return engine.Answer{}, err
		}
		in.Intent = first
		if offer == "" {
			return r.which(ctx, open, last, in)
		}
		if c = r.clinicOf(offer.Slot()); c == nil {
			return plain(in), nil
		}
	}
	state, err := r.offerState(ctx, offer)
	if err != nil {
		return engine.Answer{}, err
	}
	lang := cmp.Or(in.Lang, state.Person.Lang)
	facts := r.facts(c, state)
	say := func(k engine.AnswerKind) engine.Answer {
		return engine.Answer{Kind: k, Lang: lang, Text: wording.Answer(k, in.Channel, lang, facts)}
	}
	switch in.Intent {
	case engine.Help:
		return say(engine.AnsHelp), nil
	case engine.Unclear:
		return say(engine.AnsUnclear), r.keepUnclear(ctx, c, offer, in)
	case engine.Choice: // of one offer that was named: there is nothing to choose
		return say(engine.AnsUnclear), nil
	case engine.Yes, engine.No, engine.Stop, engine.Start:
	}
	kind, err := system.AskIn[slot.Reply, engine.AnswerKind](ctx, r.slots, offer.Slot(), slot.Reply{
		Offer: offer, Yes: in.Intent == engine.Yes, Channel: in.Channel, ID: in.ID,
	})
	if err != nil {
		return engine.Answer{}, err
	}
	r.offers.Ref(offer).Send(offerInput{in: []reach.Input{reach.Replied{Channel: in.Channel}}})
	answer := say(kind)
	if in.Channel == engine.SMS && (kind == engine.AnsBooked || kind == engine.AnsRefused) {
		answer.Text = "" // a message of its own is on its way
	}
	return answer, nil
}

// plain is an answer to somebody of whom nothing is known.
func plain(in engine.Reply) engine.Answer {
	a := engine.Answer{Kind: engine.AnsNone, Lang: cmp.Or(in.Lang, engine.French)}
	if in.Intent == engine.Help {
		a.Kind = engine.AnsHelp
	}
	a.Text = wording.Answer(a.Kind, in.Channel, a.Lang, wording.Facts{})
	return a
}

// choose finds which of several offers is meant. A bare yes or no does not say.
func choose(several []known, in engine.Reply) (known, bool) {
	if in.Number >= 1 && in.Number <= len(several) {
		return several[in.Number-1], true
	}
	return known{}, false
}

// replyRecord is what a reply was understood as, so that the same reply means the same when the
// carrier brings it again after other offers came and went.
type replyRecord struct {
	Intent engine.Intent  `json:"intent"`
	Offer  engine.OfferID `json:"offer"` // "" when it did not say which
}

func replyKey(id string) storage.Key {
	return storage.Key{Clinic: storage.Shared, Kind: storage.KindReply, ID: digest(id)}
}

// pin keeps which offer a reply by telephone number is about, and returns what was kept the first
// time. It is durable before the reply has an effect.
func (r *Relais) pin(ctx context.Context, in engine.Reply, offer engine.OfferID) (engine.Intent, engine.OfferID, error) {
	if in.ID == "" || in.Intent == engine.Help || in.Intent == engine.Unclear { // these change nothing, or count themselves
		return in.Intent, offer, nil
	}
	now := replyRecord{in.Intent, offer}
	err := r.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: replyKey(in.ID), Data: encode(now)}}})
	if errors.Is(err, storage.ErrStale) {
		rec, err := r.store.Get(ctx, replyKey(in.ID))
		if err == nil {
			err = json.Unmarshal(rec.Data, &now)
		}
		if err != nil {
			return "", "", unavailable(err)
		}
		return now.Intent, now.Offer, nil
	}
	if err != nil {
		return "", "", unavailable(err)
	}
	return now.Intent, now.Offer, nil
}

// which asks which of several offers is meant.
func (r *Relais) which(ctx context.Context, several []known, last known, in engine.Reply) (engine.Answer, error) {
	if len(several) == 0 {
		several = []known{last}
	}
	lang := cmp.Or(in.Lang, last.lang)
	facts := make([]wording.Facts, 0, len(several))
	for _, k := range several {
		s, err := r.offerState(ctx, k.offer)
		if err != nil {
			return engine.Answer{}, err
		}
		facts = append(facts, r.facts(k.clinic, s))
	}
	return engine.Answer{Kind: engine.AnsWhich, Lang: lang, Text: wording.Choose(lang, facts)}, nil
}

// whose finds the offer that a token or an attempt names.
func (r *Relais) whose(ctx context.Context, in engine.Reply) (*clinic, engine.OfferID, error) {
	none := engine.Errorf(engine.NotFound, "there is no such offer")
	switch {
	case in.Token != "":
		return r.byToken(ctx, in.Token)
	case in.Attempt != "":
		c := r.clinicOf(in.Attempt.Offer().Slot())
		if c == nil {
			return nil, "", none
		}
		return c, in.Attempt.Offer(), nil
	case in.Phone != "":
		return nil, "", nil
	}
	return nil, "", none
}

func (r *Relais) byToken(ctx context.Context, token string) (*clinic, engine.OfferID, error) {
	none := engine.Errorf(engine.NotFound, "there is no such offer")
	rec, err := r.store.Get(ctx, tokenKeyOf(token))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, "", none
	}
	if err != nil {
		return nil, "", unavailable(err)
	}
	var t tokenRecord
	if err := json.Unmarshal(rec.Data, &t); err != nil {
		return nil, "", unavailable(err)
	}
	c := r.clinics[t.Clinic]
	if c == nil {
		return nil, "", none
	}
	return c, t.Offer, nil
}

// offerState reads an offer's messages from the store: what was committed.
func (r *Relais) offerState(ctx context.Context, o engine.OfferID) (reach.State, error) {
	c := r.clinicOf(o.Slot())
	if c == nil {
		return reach.State{}, engine.Errorf(engine.NotFound, "there is no such offer")
	}
	rec, err := r.store.Get(ctx, storage.Key{Clinic: c.ID, Kind: storage.KindOffer, ID: string(o)})
	if errors.Is(err, storage.ErrNotFound) {
		return reach.State{}, engine.Errorf(engine.NotFound, "there is no such offer")
	}
	if err != nil {
		return reach.State{}, unavailable(err)
	}
	var of offerRecord
	if err := json.Unmarshal(rec.Data, &of); err != nil {
		return reach.State{}, unavailable(err)
	}
	return of.State, nil
}

// keepUnclear puts a reply that nobody could read on the slot's timeline, for the front desk.
func (r *Relais) keepUnclear(ctx context.Context, c *clinic, o engine.OfferID, in engine.Reply) error {
	text := []rune(in.Text)
	b := storage.Batch{Events: []storage.Event{{
		Clinic: c.ID, Subject: string(o.Slot()), At: time.Now().UTC(),
		Data: encode(eventData{Event: "unclear", Offer: o, Detail: map[string]string{
			"channel": string(in.Channel), "text": string(text[:min(len(text), 1600)]),
		}}),
	}}}
	if in.ID != "" {
		b.Puts = []storage.Put{{Key: replyKey(in.ID), Data: encode(replyRecord{in.Intent, o})}}
	}
	err := r.store.Commit(ctx, b)
	if errors.Is(err, storage.ErrStale) {
		return nil // the carrier brought it before
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// consent opts a contact out of messages, or in again. The list of opt-outs is kept for contacts
// too that belong to nobody on the waitlist.
func (r *Relais) consent(ctx context.Context, in engine.Reply, offer engine.OfferID) (engine.Answer, error) {
	phone, email := in.Phone, engine.Email("")
	lang := cmp.Or(in.Lang, engine.French)
	var facts wording.Facts
	if offer != "" {
		s, err := r.offerState(ctx, offer)
		if err != nil {
			return engine.Answer{}, err
		}
		facts = r.facts(r.clinics[s.Clinic], s)
		lang = cmp.Or(in.Lang, s.Person.Lang)
		for _, c := range s.Person.Contacts {
			if in.Channel == engine.EmailMail && c.Email != "" {
				phone, email = "", c.Email
			}
			if in.Channel != engine.EmailMail && c.Phone != "" && phone == "" {
				phone = c.Phone
			}
		}
		for _, d := range s.Deliveries {
			if d.ID == in.Attempt && s.Person.Contacts[d.Contact].Phone != "" {
				phone = s.Person.Contacts[d.Contact].Phone // the one that was called
			}
		}
	} else if _, last, ok := r.replies.of(phone); ok {
		if s, err := r.offerState(ctx, last.offer); err == nil {
			facts = r.facts(last.clinic, s)
			lang = cmp.Or(in.Lang, last.lang)
		}
	}
	stop := in.Intent == engine.Stop
	if err := r.optOut(ctx, phone, email, stop, in.ID); err != nil {
		return engine.Answer{}, err
	}
	kind := engine.AnsStopped
	if !stop {
		kind = engine.AnsStarted
	}
	return engine.Answer{Kind: kind, Lang: lang, Text: wording.Answer(kind, in.Channel, lang, facts)}, nil
}

func (r *Relais) optOut(ctx context.Context, phone engine.Phone, email engine.Email, stop bool, reply string) error {
	now := time.Now().UTC()
	patients := r.waitlist.byContact(phone, email)
	for try := 0; ; try++ {
		b := storage.Batch{}
		key := storage.Key{Clinic: storage.Shared, Kind: storage.KindOptOut, ID: digest(string(phone) + string(email))}
		rec, err := r.store.Get(ctx, key)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return unavailable(err)
		}
		if stop || rec.Version > 0 {
			b.Puts = append(b.Puts, storage.Put{Key: key, Expect: rec.Version, Data: encode(map[string]time.Time{"at": now}), Delete: !stop})
		}
		if reply != "" { // a replayed START must not undo a later STOP
			b.Puts = append(b.Puts, storage.Put{Key: replyKey(reply), Data: []byte("{}")})
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
		err = r.store.Commit(ctx, b)
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

// Receipt takes a carrier's later word on an attempt. It returns once that is kept.
func (r *Relais) Receipt(ctx context.Context, in engine.Receipt) error {
	if r.clinicOf(in.Attempt.Offer().Slot()) == nil {
		return engine.Errorf(engine.NotFound, "there is no such attempt")
	}
	_, err := system.AskIn[engine.Receipt, struct{}](ctx, r.offers, in.Attempt.Offer(), in)
	return err
}

// Script says what a call for an attempt says, while its offer is open.
func (r *Relais) Script(ctx context.Context, id engine.AttemptID) (engine.Script, error) {
	over := engine.Errorf(engine.NotFound, "the offer is over")
	c := r.clinicOf(id.Offer().Slot())
	if c == nil {
		return engine.Script{}, over
	}
	state, err := r.offerState(ctx, id.Offer())
	if err != nil {
		return engine.Script{}, err
	}
	for _, d := range state.Deliveries {
		if d.ID != id || (about(d.Kind) && (state.Closed || state.Replied)) {
			continue
		}
		if m := wording.Message(d.Kind, engine.Voice, state.Person.Lang, r.facts(c, state)); m.Say != nil {
			return *m.Say, nil
		}
	}
	return engine.Script{}, over
}

// Offer is what a patient's page shows for a token.
func (r *Relais) Offer(ctx context.Context, token string) (desk.PatientView, error) {
	c, offer, err := r.byToken(ctx, token)
	if err != nil {
		return desk.PatientView{}, err
	}
	of, err := r.offerState(ctx, offer)
	if err != nil {
		return desk.PatientView{}, err
	}
	s, err := r.slotState(ctx, c, offer.Slot())
	if err != nil {
		return desk.PatientView{}, err
	}
	f := r.facts(c, of)
	return desk.PatientView{
		State: standing(s, offer, time.Now()), Lang: of.Person.Lang, Clinic: f.Clinic, Address: f.Address, Phone: f.Phone,
		Doctor: f.Doctor, Start: of.Slot.Start, End: of.Slot.End, Deadline: of.Deadline, Zone: c.zone,
	}, nil
}

func (r *Relais) slotState(ctx context.Context, c *clinic, id engine.SlotID) (slot.State, error) {
	rec, err := r.store.Get(ctx, storage.Key{Clinic: c.ID, Kind: storage.KindSlot, ID: string(id)})
	if errors.Is(err, storage.ErrNotFound) {
		return slot.State{}, engine.Errorf(engine.NotFound, "there is no such slot")
	}
	if err != nil {
		return slot.State{}, unavailable(err)
	}
	s, err := decodeSlot(rec)
	if err != nil {
		return slot.State{}, unavailable(err)
	}
	return s, nil
}

// standing is how an offer stands for its person; "" while it can be answered.
func standing(s slot.State, id engine.OfferID, now time.Time) engine.AnswerKind {
	i := slices.IndexFunc(s.Offers, func(o slot.Offer) bool { return o.ID == id })
	if i < 0 {
		return engine.AnsExpired
	}
	switch s.Offers[i].Status {
	case slot.Won:
		if s.Phase == slot.Claimed {
			return engine.AnsFinalising
		}
		return engine.AnsBooked
	case slot.Lost:
		return engine.AnsTaken
	case slot.Refused:
		return engine.AnsRefused
	case slot.Ended:
		switch {
		case s.Phase == slot.Closed && s.Why == "taken":
			return engine.AnsTaken
		case s.Phase == slot.Expired:
			return engine.AnsExpired
		}
		return engine.AnsWithdrawn
	case slot.Declined:
		if s.Phase == slot.Offering && now.Before(s.Deadline) {
			return engine.AnsDeclined
		}
		return engine.AnsTaken
	case slot.Pending, slot.Unreached:
	}
	switch {
	case !now.Before(s.Deadline):
		return engine.AnsExpired
	case s.Phase == slot.Offering:
		return ""
	}
	return engine.AnsTaken
}
