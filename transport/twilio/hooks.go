package twilio

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"relais/engine"
	"relais/engine/reach"
)

// Backend is what the webhooks need of the rest of Relais. Errors are *engine.Error.
type Backend interface {
	// Reply takes an answer. A Reply whose ID was seen counts once and gets the same Answer.
	Reply(ctx context.Context, r engine.Reply) (engine.Answer, error)
	// Receipt takes a carrier's word. Order and number do not matter.
	Receipt(ctx context.Context, r engine.Receipt) error
	// Script returns what a call says, in the person's language when lang is ""; engine.NotFound
	// when the offer is over or unknown.
	Script(ctx context.Context, a engine.AttemptID, lang engine.Lang) (engine.Script, error)
	// Called finds the offer that a telephone which calls us back has, as one of its attempts;
	// engine.NotFound when it has none that is open.
	Called(ctx context.Context, from engine.Phone) (engine.AttemptID, error)
	// Heard says that a person on the telephone heard this answer to its end.
	Heard(ctx context.Context, a engine.AttemptID, k engine.AnswerKind) error
}

// HooksConfig is what the webhooks need to know.
type HooksConfig struct {
	Accounts   []HooksAccount
	PublicBase string // the same as the Clients'
	Region     string // of numbers without a country code; default "CA"
	// Rejected is called for each request that is turned away with 403; may be nil.
	Rejected func()
	// Bounced is told when an account took a message and failed to bring it for a reason of its
	// own, so that the next one goes by another account; may be nil.
	Bounced func(account string, to engine.Phone)
	// Took is told how long a webhook of a kind took to answer; may be nil.
	Took func(hook string, d time.Duration)
	Log  *slog.Logger     // may be nil
	Now  func() time.Time // default time.Now
}

// HooksAccount is an account whose webhooks are taken.
type HooksAccount struct {
	Name      string
	AuthToken string
	Client    *Client // leaves voicemails; may be nil, then machines are only hung up by their script
}

const (
	maxHook    = 64 << 10               // bytes of a body
	hookTime   = 900 * time.Millisecond // until a webhook is answered, whatever is known by then
	workTime   = 10 * time.Second       // for what goes on after that
	maxWork    = 1024                   // replies and orders to calls under way
	maxText    = 1600                   // characters of a text kept
	sureEnough = 0.5                    // least confidence of recognised speech
)

type hooks struct {
	cfg     HooksConfig
	signers []signer // one for each account
	backend Backend
	calls   recent
	checks  checks
	work    chan struct{} // a place for each that is under way
}

// Hooks returns the handler of everything under /hooks/twilio/. Only requests that Twilio signed
// for exactly this URL and body reach the backend; the others get 403.
func Hooks(cfg HooksConfig, b Backend) (http.Handler, error) {
	h, err := newHooks(cfg, b)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hooks/twilio/sms", h.timed("sms", h.text))
	mux.HandleFunc("POST /hooks/twilio/call", h.timed("call", h.called))
	mux.HandleFunc("POST /hooks/twilio/status/{attempt}", h.timed("status", h.status))
	mux.HandleFunc("POST /hooks/twilio/amd/{attempt}", h.timed("amd", h.machine))
	mux.HandleFunc("POST /hooks/twilio/voice/{attempt}", h.timed("voice", h.voice))
	mux.HandleFunc("POST /hooks/twilio/voice/{attempt}/digits", h.timed("digits", h.digits))
	mux.HandleFunc("POST /hooks/twilio/voice/{attempt}/answer", h.timed("answer", h.answer))
	mux.HandleFunc("POST /hooks/twilio/voice/{attempt}/heard", h.timed("heard", h.heardOut))
	mux.HandleFunc("POST /hooks/twilio/voice/{attempt}/dialed", h.timed("dialed", h.dialed))
	h.mountChecks(mux)
	return mux, nil
}

// CheckHooks takes nothing but the webhooks of checks, for a process that only checks; heard says
// which came in.
func CheckHooks(cfg HooksConfig) (handler http.Handler, heard func(check string) []string, err error) {
	h, err := newHooks(cfg, nil)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	h.mountChecks(mux)
	return mux, h.checks.of, nil
}

func newHooks(cfg HooksConfig, b Backend) (*hooks, error) {
	cfg.PublicBase = strings.TrimRight(cfg.PublicBase, "/")
	h := &hooks{backend: b, work: make(chan struct{}, maxWork)}
	for _, a := range cfg.Accounts {
		if a.AuthToken == "" {
			return nil, errors.New("twilio: webhooks need the auth token")
		}
		s, err := newSigner(a.AuthToken, cfg.PublicBase)
		if err != nil {
			return nil, errors.New("twilio: the public base must be an http(s) URL")
		}
		h.signers = append(h.signers, s)
	}
	if len(h.signers) == 0 {
		return nil, errors.New("twilio: webhooks need an account")
	}
	if cfg.Region == "" {
		cfg.Region = "CA"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Took == nil {
		cfg.Took = func(string, time.Duration) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	h.cfg = cfg
	return h, nil
}

// hook is one signed request.
type hook struct {
	account HooksAccount // whose token signed it
	attempt engine.AttemptID
	form    url.Values
	again   bool        // the question was repeated already
	inbound bool        // they call us, so that nothing is proven of the attempt
	lang    engine.Lang // chosen in this call; "" for the person's own
	checked string      // the check that it belongs to
	query   url.Values
}

// timed is signed, and tells how long the answer took.
func (h *hooks) timed(kind string, next func(context.Context, http.ResponseWriter, hook)) http.HandlerFunc {
	signed := h.signed(next)
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		defer func() { h.cfg.Took(kind, time.Since(start)) }()
		signed(w, r)
	}
}

func (h *hooks) signed(next func(context.Context, http.ResponseWriter, hook)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			http.Error(w, "a form is expected", http.StatusUnsupportedMediaType)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
		if err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				http.Error(w, "too large", http.StatusRequestEntityTooLarge)
				return
			}
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		form, err := url.ParseQuery(string(body))
		by := -1
		if err == nil {
			by = slices.IndexFunc(h.signers, func(s signer) bool {
				return s.valid(r.RequestURI, form, r.Header.Get("X-Twilio-Signature"))
			})
		}
		if by < 0 {
			if h.cfg.Rejected != nil {
				h.cfg.Rejected()
			}
			http.Error(w, "not signed", http.StatusForbidden)
			return
		}
		query := r.URL.Query()
		k := hook{
			account: h.cfg.Accounts[by], attempt: engine.AttemptID(r.PathValue("attempt")), form: form,
			again: query.Get("again") == "1", inbound: query.Get("in") == "1", checked: r.PathValue("check"), query: query,
		}
		if l := engine.Lang(query.Get("lang")); l == engine.French || l == engine.English {
			k.lang = l
		}
		if r.PathValue("attempt") != "" && k.attempt.Offer() == "" {
			http.Error(w, "no such attempt", http.StatusNotFound)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), hookTime)
		defer cancel()
		next(ctx, w, k)
	}
}

// text takes an SMS.
func (h *hooks) text(ctx context.Context, w http.ResponseWriter, k hook) {
	from, ok := h.phone(k.form.Get("From"))
	sid := k.form.Get("MessageSid")
	if !ok || sid == "" {
		// A short code or an alphanumeric sender: nobody we could know, and nobody to answer.
		h.cfg.Log.InfoContext(ctx, "text from an unusable sender ignored")
		response{}.send(w)
		return
	}
	body := shorten(k.form.Get("Body"))
	intent, number, lang := reach.Read(body)
	optOut := k.form.Get("OptOutType")
	switch optOut {
	case "STOP":
		intent = engine.Stop
	case "START":
		intent = engine.Start
	case "HELP":
		intent = engine.Help
	}
	in := engine.Reply{
		ID: sid, Phone: from, Channel: engine.SMS, Intent: intent, Number: number,
		Text: body, Lang: lang, At: h.cfg.Now().UTC(),
	}
	say := func(a engine.Answer, err error) string {
		if err != nil {
			h.failed(ctx, "reply", err)
			a.Text = trouble(lang)
		}
		if optOut != "" { // Twilio answered by itself, and after STOP it would block our answer
			return ""
		}
		return a.Text
	}
	a, err, ok := h.reply(ctx, in, func(ctx context.Context, a engine.Answer, err error) {
		h.write(ctx, k, from, say(a, err))
	})
	if !ok {
		response{}.send(w)
		return
	}
	response{Message: say(a, err)}.send(w)
}

// phone brings a number into E.164.
func (h *hooks) phone(s string) (engine.Phone, bool) {
	n, err := phonenumbers.Parse(s, h.cfg.Region)
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return "", false
	}
	return engine.Phone(phonenumbers.Format(n, phonenumbers.E164)), true
}

func shorten(s string) string {
	s = strings.ToValidUTF8(s, "")
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText])
	}
	return s
}

// status takes a receipt of a text or a call.
func (h *hooks) status(ctx context.Context, w http.ResponseWriter, k hook) {
	code, _ := strconv.Atoi(k.form.Get("ErrorCode"))
	rec := engine.Receipt{Attempt: k.attempt}
	if call := k.form.Get("CallSid"); call != "" {
		rec.Ref = call
		rec.Status, rec.Reason = callStatus(k.form.Get("CallStatus"), k.form.Get("SipResponseCode"), code)
		if k.form.Get("CallStatus") == "completed" {
			if said := h.calls.ended(call, h.cfg.Now()); said != "" {
				h.told(ctx, k.attempt, said)
			}
		}
	} else {
		rec.Ref = k.form.Get("MessageSid")
		rec.Status, rec.Reason = textStatus(k.form.Get("MessageStatus"), code)
	}
	if rec.Reason == engine.CarrierDown && h.cfg.Bounced != nil {
		if to, ok := h.phone(k.form.Get("To")); ok {
			h.cfg.Bounced(k.account.Name, to)
		}
	}
	h.receipt(ctx, w, rec)
}

// receipt passes a receipt on and answers the request. One without a status says nothing new.
func (h *hooks) receipt(ctx context.Context, w http.ResponseWriter, rec engine.Receipt) {
	if rec.Status != "" && h.proof(ctx, rec) != nil {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *hooks) proof(ctx context.Context, rec engine.Receipt) error {
	rec.At = h.cfg.Now().UTC()
	err := h.backend.Receipt(ctx, rec)
	if err != nil {
		h.failed(ctx, "receipt", err)
	}
	return err
}

// failed logs the code only: the cause may hold what the person wrote.
func (h *hooks) failed(ctx context.Context, what string, err error) {
	h.cfg.Log.ErrorContext(ctx, "webhook not taken", "what", what, "code", string(engine.CodeOf(err)))
}
