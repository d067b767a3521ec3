package twilio

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"relais/engine"
	"relais/engine/reach"
)

// fact is a bit of what is known of a call.
type fact uint8

const (
	human  fact = 1 << iota // the verdict was a person
	robot                   // the verdict was a machine
	played                  // the prompt was played to its end
)

const maxRecent = 4096 // calls remembered

// recent remembers what is known of the last calls, by SID.
type recent struct {
	mu    sync.Mutex
	calls map[string]recentCall
	order []string // oldest first
}

// recentCall is one of them. said is the answer that it is being told, since at.
type recentCall struct {
	facts fact
	said  engine.AnswerKind
	at    time.Time
}

// change edits what is known of a call and returns what is known now.
func (c *recent) change(sid string, edit func(*recentCall)) recentCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]recentCall{}
	}
	if _, ok := c.calls[sid]; !ok {
		if len(c.order) == maxRecent {
			delete(c.calls, c.order[0])
			c.order = append(c.order[:0], c.order[1:]...)
		}
		c.order = append(c.order, sid)
	}
	k := c.calls[sid]
	edit(&k)
	c.calls[sid] = k
	return k
}

// note adds facts and returns what is known now.
func (c *recent) note(sid string, f fact) fact {
	return c.change(sid, func(k *recentCall) { k.facts |= f }).facts
}

// telling remembers that a call is being told an answer.
func (c *recent) telling(sid string, said engine.AnswerKind, now time.Time) {
	c.change(sid, func(k *recentCall) { k.said, k.at = said, now })
}

// essence is how long an answer takes to say what it comes to: "C'est confirmé" are its first words. Who
// hangs up after that has heard it.
const essence = 4 * time.Second

// ended returns the answer that a call which is over had heard the beginning of; "" when it had not.
func (c *recent) ended(sid string, now time.Time) engine.AnswerKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.calls[sid]
	if !ok || k.said == "" || now.Sub(k.at) < essence {
		return ""
	}
	said := k.said
	k.said = ""
	c.calls[sid] = k
	return said
}

// voice gives a call its script.
func (h *hooks) voice(ctx context.Context, w http.ResponseWriter, k hook) {
	s, ok := h.script(ctx, w, k)
	if !ok {
		return
	}
	listen(s, h.action(k, false)).send(w)
}

// called takes the call of somebody who calls back the number that called or texted them: they hear the
// offer and answer it like in a call of ours.
func (h *hooks) called(ctx context.Context, w http.ResponseWriter, k hook) {
	from, ok := h.phone(k.form.Get("From"))
	if ok {
		attempt, err := h.backend.Called(ctx, from)
		switch {
		case err == nil:
			k.attempt, k.inbound = attempt, true
			h.voice(ctx, w, k)
			return
		case engine.CodeOf(err) != engine.NotFound:
			h.failed(ctx, "call", err)
			response{Says: []saying{speak(engine.French, trouble(engine.French)), speak(engine.English, trouble(engine.English))}, Hangup: &empty{}}.send(w)
			return
		}
	}
	response{Says: []saying{speak(engine.French, noOffer(engine.French)), speak(engine.English, noOffer(engine.English))}, Hangup: &empty{}}.send(w)
}

// script fetches the script, or says goodbye when there is none.
func (h *hooks) script(ctx context.Context, w http.ResponseWriter, k hook) (engine.Script, bool) {
	s, err := h.backend.Script(ctx, k.attempt, k.lang)
	if err == nil {
		return s, true
	}
	lang := cmp.Or(k.lang, s.Lang) // the backend gives it where it knows it
	if engine.CodeOf(err) != engine.NotFound {
		h.failed(ctx, "script", err)
		farewell(lang, trouble(lang)).send(w)
		return s, false
	}
	farewell(lang, gone(lang)).send(w)
	return s, false
}

// action is where a question's answer goes.
func (h *hooks) action(k hook, again bool) string {
	q := url.Values{}
	if again {
		q.Set("again", "1")
	}
	if k.inbound {
		q.Set("in", "1")
	}
	if k.lang != "" {
		q.Set("lang", string(k.lang))
	}
	return h.voiceURL(k.attempt, "digits", q)
}

// reached says that a person heard the prompt of our call.
func (h *hooks) reached(ctx context.Context, k hook) {
	if !k.inbound {
		_ = h.proof(ctx, engine.Receipt{Attempt: k.attempt, Ref: k.form.Get("CallSid"), Status: engine.ReceiptDelivered})
	}
}

// voiceURL is a step of a call.
func (h *hooks) voiceURL(a engine.AttemptID, step string, q url.Values) string {
	u := h.cfg.PublicBase + "/hooks/twilio/voice/" + url.PathEscape(string(a)) + "/" + step
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	return u
}

// The keys of the prompt besides 1 and 2.
const (
	keyOther  = "3" // the other language
	keyStop   = "8"
	keyPerson = "9"
)

// digits takes what was pressed or said; nothing at all comes here too.
func (h *hooks) digits(ctx context.Context, w http.ResponseWriter, k hook) {
	sid := k.form.Get("CallSid")
	known := h.calls.note(sid, played)
	switch k.form.Get("Digits") {
	case keyOther:
		h.turn(ctx, w, k)
		return
	case keyPerson:
		h.reached(ctx, k)
		h.person(ctx, w, k)
		return
	}
	intent, lang, text := heard(k.form, known)
	lang = cmp.Or(k.lang, lang)
	if intent == "" {
		if known&human != 0 {
			h.reached(ctx, k)
		}
		if k.again && known&robot == 0 && recognised(k.form) {
			h.unread(ctx, w, k, lang, text)
			return
		}
		h.repeat(ctx, w, k, text != "")
		return
	}
	h.reached(ctx, k)
	h.answered(ctx, w, k, engine.Reply{
		ID: sid, Attempt: k.attempt, Channel: engine.Voice, Intent: intent,
		Text: text, Lang: lang, At: h.cfg.Now().UTC(),
	}, 0)
}

// unread hands on what a person said twice without being understood: it is for the front desk to read.
func (h *hooks) unread(ctx context.Context, w http.ResponseWriter, k hook, lang engine.Lang, text string) {
	sid := k.form.Get("CallSid")
	h.reached(ctx, k)
	a, err, ok := h.reply(ctx, engine.Reply{
		ID: sid + ".words", Attempt: k.attempt, Channel: engine.Voice, Intent: engine.Unclear,
		Text: text, Lang: lang, At: h.cfg.Now().UTC(),
	}, func(ctx context.Context, _ engine.Answer, err error) {
		if err != nil {
			h.failed(ctx, "reply", err)
		}
	})
	if !ok || err != nil || a.Text == "" {
		if err != nil {
			h.failed(ctx, "reply", err)
		}
		h.repeat(ctx, w, k, true)
		return
	}
	farewell(cmp.Or(a.Lang, lang), a.Text).send(w)
}

// How often a caller is asked to wait: for the record system's word, then for any answer at all.
const (
	roundsFinal  = 2
	roundsAnswer = 6
)

// answer asks again for the answer to a reply that was handed over before in this call.
func (h *hooks) answer(ctx context.Context, w http.ResponseWriter, k hook) {
	in := engine.Reply{
		ID: k.form.Get("CallSid"), Attempt: k.attempt, Channel: engine.Voice, Intent: engine.Intent(k.query.Get("intent")),
		Lang: k.lang, At: h.cfg.Now().UTC(),
	}
	round, err := strconv.Atoi(k.query.Get("round"))
	if err != nil || (in.Intent != engine.Yes && in.Intent != engine.No && in.Intent != engine.Stop) {
		http.Error(w, "no such question", http.StatusNotFound)
		return
	}
	h.answered(ctx, w, k, in, round)
}

// answered says what a reply came to, or asks the caller to wait a moment and comes back for it: the
// same reply counts once.
func (h *hooks) answered(ctx context.Context, w http.ResponseWriter, k hook, in engine.Reply, round int) {
	a, err, ok := h.reply(ctx, in, func(ctx context.Context, _ engine.Answer, err error) {
		if err != nil {
			h.failed(ctx, "reply", err)
		}
	})
	waits := !ok && round < roundsAnswer || ok && err == nil && a.Kind == engine.AnsFinalising && round < roundsFinal
	switch {
	case waits:
		next := url.Values{"intent": {string(in.Intent)}, "round": {strconv.Itoa(round + 1)}}
		if in.Lang != "" {
			next.Set("lang", string(in.Lang))
		}
		out := response{Pause: &pause{Length: 1}, Redirect: h.voiceURL(k.attempt, "answer", next)}
		if round == 0 {
			out.Says = []saying{speak(cmp.Or(a.Lang, in.Lang), moment(cmp.Or(a.Lang, in.Lang)))}
		}
		out.send(w)
	case !ok || err != nil:
		if err != nil {
			h.failed(ctx, "reply", err)
		}
		farewell(in.Lang, trouble(in.Lang)).send(w)
	case a.Text == "":
		response{Hangup: &empty{}}.send(w)
	default: // Twilio comes back for the rest once all of it was said
		h.calls.telling(in.ID, a.Kind, h.cfg.Now())
		response{
			Says:     []saying{speak(cmp.Or(a.Lang, in.Lang), a.Text)},
			Redirect: h.voiceURL(k.attempt, "heard", url.Values{"said": {string(a.Kind)}}),
		}.send(w)
	}
}

// heardOut ends a call whose answer was heard to its end.
func (h *hooks) heardOut(ctx context.Context, w http.ResponseWriter, k hook) {
	h.told(ctx, k.attempt, engine.AnswerKind(k.query.Get("said")))
	response{Hangup: &empty{}}.send(w)
}

func (h *hooks) told(ctx context.Context, a engine.AttemptID, said engine.AnswerKind) {
	if err := h.backend.Heard(ctx, a, said); err != nil {
		h.failed(ctx, "heard", err)
	}
}

// turn asks in the other language.
func (h *hooks) turn(ctx context.Context, w http.ResponseWriter, k hook) {
	s, ok := h.script(ctx, w, k)
	if !ok {
		return
	}
	k.lang = other(s.Lang)
	if s, ok = h.script(ctx, w, k); ok {
		listen(s, h.action(k, k.again)).send(w)
	}
}

func other(l engine.Lang) engine.Lang {
	if l == engine.English {
		return engine.French
	}
	return engine.English
}

// dialSeconds is how long the clinic's telephone rings for somebody who pressed 9.
const dialSeconds = 25

// person puts the call through to the clinic.
func (h *hooks) person(ctx context.Context, w http.ResponseWriter, k hook) {
	s, ok := h.script(ctx, w, k)
	if !ok {
		return
	}
	number, ok := h.phone(s.Clinic)
	if !ok {
		farewell(s.Lang, s.Goodbye).send(w)
		return
	}
	d := &dial{
		Action: h.voiceURL(k.attempt, "dialed", url.Values{"lang": {string(s.Lang)}}),
		Method: http.MethodPost, Timeout: dialSeconds, Number: string(number),
	}
	if k.account.Client != nil {
		d.Caller = k.account.Client.cfg.From
	}
	response{Says: []saying{speak(s.Lang, connecting(s.Lang))}, Dial: d}.send(w)
}

// dialed ends a call that was put through, or says the number when nobody took it.
func (h *hooks) dialed(ctx context.Context, w http.ResponseWriter, k hook) {
	if k.form.Get("DialCallStatus") == "completed" {
		response{Hangup: &empty{}}.send(w)
		return
	}
	s, ok := h.script(ctx, w, k)
	if ok {
		farewell(s.Lang, nobody(s.Lang, s.Clinic)).send(w)
	}
}

// repeat asks once more, then says goodbye.
func (h *hooks) repeat(ctx context.Context, w http.ResponseWriter, k hook, misunderstood bool) {
	s, ok := h.script(ctx, w, k)
	if !ok {
		return
	}
	if k.again {
		farewell(s.Lang, s.Goodbye).send(w)
		return
	}
	if misunderstood {
		listen(s, h.action(k, true), unclear(s.Lang)).send(w)
		return
	}
	listen(s, h.action(k, true)).send(w)
}

// heard reads a gather's result. The intent is "" when nothing usable came; text is then what
// was misunderstood, if anything.
func heard(form url.Values, known fact) (intent engine.Intent, lang engine.Lang, text string) {
	switch d := form.Get("Digits"); d {
	case "1":
		return engine.Yes, "", d
	case "2":
		return engine.No, "", d
	case keyStop:
		return engine.Stop, "", d
	case "":
	default:
		return "", "", d
	}
	text = shorten(strings.TrimSpace(form.Get("SpeechResult")))
	// A recorded greeting may well contain a "yes".
	if !recognised(form) || known&robot != 0 {
		return "", "", text
	}
	intent, _, lang = reach.Read(text)
	switch intent {
	case engine.Yes, engine.No, engine.Stop:
		return intent, lang, text
	case engine.Start, engine.Help, engine.Choice, engine.Unclear:
	}
	return "", lang, text
}

// recognised reports whether words came, and not only noise.
func recognised(form url.Values) bool {
	sure, err := strconv.ParseFloat(form.Get("Confidence"), 64)
	return strings.TrimSpace(form.Get("SpeechResult")) != "" && err == nil && sure >= sureEnough
}

// machine takes the verdict on who picked up.
func (h *hooks) machine(ctx context.Context, w http.ResponseWriter, k hook) {
	rec := engine.Receipt{Attempt: k.attempt, Ref: k.form.Get("CallSid")}
	by := k.form.Get("AnsweredBy")
	switch {
	case by == "human":
		rec.Status = engine.ReceiptAnswered
		if h.calls.note(rec.Ref, human)&played != 0 {
			rec.Status = engine.ReceiptDelivered
		}
	case by == "fax":
		rec.Status, rec.Reason = engine.ReceiptFailed, engine.BadContact
		h.later(ctx, "fax", func(ctx context.Context) { h.hangUp(ctx, k, "", "") })
	case strings.HasPrefix(by, "machine_"):
		rec.Status = engine.ReceiptMachine
		h.calls.note(rec.Ref, robot)
		if strings.HasPrefix(by, "machine_end_") {
			h.later(ctx, "voicemail", func(ctx context.Context) {
				// No script: the offer is over, so nothing is left on the machine.
				s, err := h.backend.Script(ctx, k.attempt, "")
				if err != nil {
					s.Voicemail = ""
				}
				h.hangUp(ctx, k, s.Lang, s.Voicemail)
			})
		}
	}
	h.receipt(ctx, w, rec)
}

func (h *hooks) hangUp(ctx context.Context, k hook, lang engine.Lang, say string) {
	if k.account.Client == nil {
		return
	}
	if err := k.account.Client.Abort(ctx, k.form.Get("CallSid"), lang, say); err != nil {
		h.failed(ctx, "voicemail", err)
	}
}
