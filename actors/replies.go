package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"relais/actors/system"
	"relais/engine"
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
	asked  map[engine.Phone]whichOne // lost with the process: then it is asked again
}

// whichOne is the question which of several offers was meant, in the order of its numbers.
type whichOne struct {
	at     time.Time
	offers []engine.OfferID
	intent engine.Intent // what the number answers: yes or no
}

// mostAsked bounds the questions remembered.
const mostAsked = 10_000

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
	return &replies{
		phones: map[engine.Phone][]known{}, offers: map[engine.OfferID][]engine.Phone{}, asked: map[engine.Phone]whichOne{},
	}
}

func (r *replies) know(c *clinic, s reach.State, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if s.Offer == "" || r.offers[s.Offer] != nil || now.After(s.Slot.Start) {
		return
	}
	for _, contact := range s.Person.Contacts {
		if contact.Phone == "" || contact.Consent.IsZero() || slices.Contains(r.offers[s.Offer], contact.Phone) {
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

// ask remembers that a phone is asked which offer it means.
func (r *replies) ask(p engine.Phone, open []known, in engine.Intent) {
	q := whichOne{at: time.Now(), intent: engine.Yes}
	if in == engine.No {
		q.intent = engine.No
	}
	for _, k := range open {
		q.offers = append(q.offers, k.offer)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.asked) >= mostAsked {
		clear(r.asked)
	}
	r.asked[p] = q
}

// answers returns the offer that a number means, and whether it is taken or left: where the question was
// asked, and nothing offered since. "2" alone means no in every offer.
func (r *replies) answers(p engine.Phone, number int) (engine.OfferID, engine.Intent, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q, ok := r.asked[p]
	if !ok || number < 1 || number > len(q.offers) || time.Since(q.at) > 24*time.Hour {
		return "", "", false
	}
	for _, k := range r.phones[p] {
		if k.made.After(q.at) {
			return "", "", false
		}
	}
	delete(r.asked, p)
	return q.offers[number-1], q.intent, true
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
		if in.Channel == engine.SMS && in.Intent != engine.Help {
			if a, ok, err := r.questioned(ctx, in); ok || err != nil {
				return a, err
			}
		}
		open, last, ok := r.replies.of(in.Phone)
		switch {
		case !ok:
			return r.stranger(ctx, in)
		case len(open) == 1:
			last = open[0]
		case len(open) > 1:
			several = open
		}
		offer = last.offer
		if chosen, intent, ok := r.replies.answers(in.Phone, in.Number); ok {
			offer, in.Intent = chosen, intent
		} else if several != nil && (in.Intent == engine.Yes || in.Intent == engine.No || in.Intent == engine.Choice) {
			offer = "" // neither a word nor a number says which
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
		if c, err = r.settled(ctx, c); err != nil {
			return engine.Answer{}, err
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
		r.offers.Ref(offer).Send(offerInput{in: []reach.Input{reach.Heard{Channel: in.Channel}}})
		return say(engine.AnsHelp), nil
	case engine.Unclear:
		return r.unclear(ctx, c, state, in, say(engine.AnsUnclear))
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
	replied := reach.Replied{Channel: in.Channel}
	if in.Channel == engine.Page { // read for certain; of a call Heard says so
		replied.Said = outcome(kind)
	}
	r.offers.Ref(offer).Send(offerInput{in: []reach.Input{replied}})
	answer := say(kind)
	if r.writtenNext(state, in, kind) {
		answer.Text = "" // a message of its own is on its way; by mail with the calendar file
	}
	return answer, nil
}

// writtenNext reports whether the answer to a reply comes as a message of its own, where the person wrote
// from: not when they had it already and ask again, nor when they do not want messages there any more.
func (r *Relais) writtenNext(s reach.State, in engine.Reply, kind engine.AnswerKind) bool {
	switch {
	case kind == engine.AnsBooked && (in.Channel == engine.SMS || in.Channel == engine.EmailMail):
	case kind == engine.AnsRefused && in.Channel == engine.SMS:
	case kind == engine.AnsFinalising && in.Channel == engine.SMS:
		if slices.ContainsFunc(s.Deliveries, func(d reach.Delivery) bool { return d.Kind == engine.MsgFinalising }) {
			return false
		}
	default:
		return false
	}
	return slices.ContainsFunc(s.Person.Contacts, func(c engine.Contact) bool {
		return c.Channel == in.Channel && (in.Phone == "" || c.Phone == in.Phone) && c.Usable() &&
			r.stopped(c).IsZero() && !r.waitlist.optedOut(s.Person.Patient, c)
	})
}

// Heard takes that a person on the telephone heard an answer to its end, so that nobody is called to
// hear it again. A word of it that is lost costs a second call.
func (r *Relais) Heard(_ context.Context, id engine.AttemptID, kind engine.AnswerKind) error {
	if r.clinicOf(id.Offer().Slot()) == nil {
		return engine.Errorf(engine.NotFound, "there is no such attempt")
	}
	if what := outcome(kind); what != "" {
		r.offers.Ref(id.Offer()).Send(offerInput{in: []reach.Input{reach.Replied{Channel: engine.Voice, Said: what}}})
	}
	return nil
}

// outcome is the message that says the same as an answer; "" when none does.
func outcome(kind engine.AnswerKind) engine.MessageKind {
	switch kind {
	case engine.AnsBooked:
		return engine.MsgBooked
	case engine.AnsFinalising:
		return engine.MsgFinalising
	case engine.AnsRefused:
		return engine.MsgRefused
	case engine.AnsTaken, engine.AnsExpired, engine.AnsWithdrawn, engine.AnsDeclined, engine.AnsStopped, engine.AnsStarted,
		engine.AnsHelp, engine.AnsWhich, engine.AnsUnclear, engine.AnsNone, engine.AnsPaused, engine.AnsConsented, engine.AnsRefusedConsent,
		engine.AnsJoined, engine.AnsNotJoined, engine.AnsStays, engine.AnsLeaves:
	}
	return ""
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

// stranger answers a phone that has no offer. What cannot be read is for the clinic where the phone is
// on the waitlist.
func (r *Relais) stranger(ctx context.Context, in engine.Reply) (engine.Answer, error) {
	a := plain(in)
	if in.Intent != engine.Unclear {
		return a, nil
	}
	for _, id := range r.waitlist.byContact(in.Phone, "") {
		p, _, ok := r.waitlist.patient(id)
		c := r.hall.get(p.Clinic)
		if !ok || c == nil {
			continue
		}
		u := unreadRecord{Patient: id, Channel: in.Channel, Phone: in.Phone, Lang: p.Lang}
		isNew, err := r.keepUnread(ctx, c, u, in)
		if !isNew {
			a.Text = ""
		}
		return a, err
	}
	return a, nil
}

// unclear gives one helpful sentence and the text to the front desk. A second text in a row gets no
// sentence, or two machines would write to each other for ever.
func (r *Relais) unclear(ctx context.Context, c *clinic, s reach.State, in engine.Reply, a engine.Answer) (engine.Answer, error) {
	isNew, err := r.keepUnread(ctx, c, unreadRecord{
		Patient: s.Person.Patient, Offer: s.Offer, Start: s.Slot.Start, Channel: in.Channel, Phone: in.Phone, Lang: s.Person.Lang,
	}, in)
	if err != nil {
		return engine.Answer{}, err
	}
	r.offers.Ref(s.Offer).Send(offerInput{in: []reach.Input{reach.Heard{Channel: in.Channel}}})
	if !isNew && in.Channel == engine.SMS {
		a.Text = ""
	}
	return a, nil
}

// replyRecord is what a reply was understood as, so that the same reply means the same when the
// carrier brings it again after other offers came and went.
type replyRecord struct {
	Intent engine.Intent  `json:"intent,omitempty"`
	Offer  engine.OfferID `json:"offer,omitempty"` // "" when it did not say which
	At     time.Time      `json:"at,omitzero"`     // so that it is let go of one day
	// Consent: it answered a question for consent, and no offer.
	Consent bool `json:"consent,omitempty"`
	// About is what else it answered, and no offer: aboutJoin or aboutStill.
	About string `json:"about,omitempty"`
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
	now := replyRecord{Intent: in.Intent, Offer: offer, At: time.Now().UTC()}
	err := r.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: replyKey(in.ID), Data: encode(now)}}})
	if errors.Is(err, storage.ErrStale) {
		var was replyRecord
		rec, err := r.store.Get(ctx, replyKey(in.ID))
		if err == nil {
			err = json.Unmarshal(rec.Data, &was)
		}
		if err != nil {
			return "", "", unavailable(err)
		}
		return was.Intent, was.Offer, nil
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
		facts = append(facts, r.facts(k.clinic.present(), s))
	}
	r.replies.ask(in.Phone, several, in.Intent)
	return engine.Answer{Kind: engine.AnsWhich, Lang: lang, Text: wording.Choose(lang, facts, in.Intent == engine.No)}, nil
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
		c, err := r.settled(ctx, c)
		return c, in.Attempt.Offer(), err
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
	c := r.hall.get(t.Clinic)
	if c == nil {
		return nil, "", none
	}
	c, err = r.settled(ctx, c)
	return c, t.Offer, err
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

// Receipt takes a carrier's later word on an attempt. It returns once that is kept.
func (r *Relais) Receipt(ctx context.Context, in engine.Receipt) error {
	c := r.clinicOf(in.Attempt.Offer().Slot())
	if c == nil {
		return engine.Errorf(engine.NotFound, "there is no such attempt")
	}
	if _, err := r.settled(ctx, c); err != nil {
		return err
	}
	_, err := system.AskIn[engine.Receipt, struct{}](ctx, r.offers, in.Attempt.Offer(), in)
	return err
}
