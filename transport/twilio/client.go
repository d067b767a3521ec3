package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	"golang.org/x/time/rate"

	"relais/engine"
	"relais/engine/wording"
)

// Limits bound what a Client does. Zero fields take the defaults.
type Limits struct {
	SegmentsPerSecond float64       // of texts; default 1, a long code's
	CallsPerSecond    float64       // default 1, a new account's
	Wait              time.Duration // longest wait for its turn, then RateLimited; default 30 s
	Timeout           time.Duration // of one request; default 10 s
}

// Config says whose account to use.
type Config struct {
	AccountSID string
	AuthToken  string
	// KeySID and KeySecret are an API key, used to sign in instead of the token when given. The
	// token is still what webhooks are signed with.
	KeySID, KeySecret string
	From              string // E.164; the caller of calls, and the sender of texts without MessagingService
	MessagingService  string // SID, or ""
	BaseURL           string // scheme and host instead of Twilio's, for the sandbox; or ""
	PublicBase        string // where Twilio reaches us, for example "https://relais.example"
	Limits            Limits
}

const (
	ringSeconds  = 25    // long enough to reach the phone, short enough to spare most voicemails
	maxValidity  = 36000 // seconds; Twilio's own limit
	notInCall    = 21220 // the call is not in progress
	notFoundCode = 20404
)

// The breaker opens when half of at least 10 requests within 30 s failed because of the carrier,
// and lets one through after 15 s.
const (
	breakerRate   = 0.5
	breakerLeast  = 10
	breakerPeriod = 30 * time.Second
	breakerDelay  = 15 * time.Second
)

// Client sends through one account.
type Client struct {
	cfg        Config
	user, pass string
	base       *url.URL
	wire       *http.Transport
	texts      *rate.Limiter
	calls      *rate.Limiter
	breaker    circuitbreaker.CircuitBreaker[any]
}

// New checks the configuration and makes a Client. Nothing is sent.
func New(cfg Config) (*Client, error) {
	if !strings.HasPrefix(cfg.AccountSID, "AC") || cfg.AuthToken == "" {
		return nil, errors.New("twilio: an account SID (AC...) and its auth token are needed")
	}
	if (cfg.KeySID == "") != (cfg.KeySecret == "") {
		return nil, errors.New("twilio: an API key needs its SID and its secret")
	}
	if cfg.From == "" && cfg.MessagingService == "" {
		return nil, errors.New("twilio: a sender number or a messaging service is needed")
	}
	if u, err := url.Parse(cfg.PublicBase); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("twilio: the public base must be an http(s) URL")
	}
	cfg.PublicBase = strings.TrimRight(cfg.PublicBase, "/")
	l := &cfg.Limits
	if l.SegmentsPerSecond <= 0 {
		l.SegmentsPerSecond = 1
	}
	if l.CallsPerSecond <= 0 {
		l.CallsPerSecond = 1
	}
	if l.Wait <= 0 {
		l.Wait = 30 * time.Second
	}
	if l.Timeout <= 0 {
		l.Timeout = 10 * time.Second
	}
	c := &Client{
		cfg: cfg, user: cfg.AccountSID, pass: cfg.AuthToken, wire: newWire(),
		// A burst holds the longest text, or WaitN could never grant it.
		texts: rate.NewLimiter(rate.Limit(l.SegmentsPerSecond), max(10, int(l.SegmentsPerSecond))),
		calls: rate.NewLimiter(rate.Limit(l.CallsPerSecond), max(1, int(l.CallsPerSecond))),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureRateThreshold(breakerRate, breakerLeast, breakerPeriod).
			WithSuccessThreshold(1).WithDelay(breakerDelay).Build(),
	}
	if cfg.KeySID != "" {
		c.user, c.pass = cfg.KeySID, cfg.KeySecret
	}
	if cfg.BaseURL != "" {
		u, err := url.Parse(cfg.BaseURL)
		if err != nil || u.Host == "" {
			return nil, errors.New("twilio: the base URL must be an http(s) URL")
		}
		c.base = u
	}
	return c, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.wire.CloseIdleConnections() }

// Send hands a text or a call to Twilio. It waits for its turn at most Limits.Wait and for the
// answer at most Limits.Timeout, and never tries twice by itself.
func (c *Client) Send(ctx context.Context, m engine.Message) engine.Outcome {
	if m.Phone == "" {
		return failed(engine.BadContact, "no phone number")
	}
	turn, n := c.texts, 1
	switch m.Channel {
	case engine.SMS:
		if m.Text == "" {
			return failed(engine.AccountFault, "empty text")
		}
		n, _ = wording.Segments(m.Text)
	case engine.Voice:
		if m.Say == nil || c.cfg.From == "" {
			return failed(engine.AccountFault, "a call needs a script and a caller number")
		}
		turn = c.calls
	case engine.EmailMail, engine.Page, engine.Desk:
		return failed(engine.AccountFault, "not a channel of phones")
	}
	start := time.Now()
	if out, ok := c.wait(ctx, turn, n, m.Valid); !ok {
		return out
	}
	if m.Valid > 0 {
		if m.Valid -= time.Since(start); m.Valid <= 0 {
			return failed(engine.TooLate, "its time was over before its turn came")
		}
	}
	// Asked after the wait: nothing slow is left before the request.
	if m.Still != nil && !m.Still() {
		return failed(engine.Dropped, "withdrawn while it waited")
	}
	if !c.breaker.TryAcquirePermit() {
		out := failed(engine.CarrierDown, "the carrier keeps failing")
		out.Retry, out.Wait = true, c.breaker.RemainingDelay()
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Limits.Timeout)
	defer cancel()
	x, service := c.begin(ctx)
	var sid *string
	var err error
	if m.Channel == engine.SMS {
		var r *api.ApiV2010Message
		if r, err = service.CreateMessage(c.text(m)); err == nil {
			sid = r.Sid
		}
	} else {
		var r *api.ApiV2010Call
		if r, err = service.CreateCall(c.call(m)); err == nil {
			sid = r.Sid
		}
	}
	out := outcome(x, sid, err)
	// Only the carrier's own failures count: a hundred wrong numbers say nothing about it.
	if out.Reason == engine.CarrierDown {
		c.breaker.RecordFailure()
	} else {
		c.breaker.RecordSuccess()
	}
	return out
}

func failed(r engine.Reason, detail string) engine.Outcome {
	return engine.Outcome{Status: engine.Failed, Reason: r, Detail: detail}
}

// wait takes n turns of a limiter. It refuses at once when the wait would be too long.
func (c *Client) wait(ctx context.Context, turn *rate.Limiter, n int, valid time.Duration) (engine.Outcome, bool) {
	r := turn.ReserveN(time.Now(), min(n, turn.Burst()))
	d := r.Delay()
	longest := c.cfg.Limits.Wait
	if valid > 0 {
		longest = min(longest, valid)
	}
	if d > longest {
		r.Cancel()
		out := failed(engine.RateLimited, "too many messages wait before this one")
		out.Retry, out.Wait = true, d
		return out, false
	}
	if d == 0 {
		return engine.Outcome{}, true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return engine.Outcome{}, true
	case <-ctx.Done():
		r.Cancel()
		out := failed(engine.CarrierDown, "stopped while waiting for its turn")
		out.Retry = true
		return out, false
	}
}

func (c *Client) hook(kind string, a engine.AttemptID) string {
	return c.cfg.PublicBase + "/hooks/twilio/" + kind + "/" + url.PathEscape(string(a))
}

func (c *Client) text(m engine.Message) *api.CreateMessageParams {
	p := (&api.CreateMessageParams{}).
		SetTo(string(m.Phone)).
		SetBody(m.Text).
		SetStatusCallback(c.hook("status", m.Attempt)).
		SetContentRetention("discard")
	if m.Valid > 0 {
		p.SetValidityPeriod(min(max(int(m.Valid/time.Second), 1), maxValidity))
	}
	if c.cfg.MessagingService != "" {
		return p.SetMessagingServiceSid(c.cfg.MessagingService)
	}
	return p.SetFrom(c.cfg.From)
}

func (c *Client) call(m engine.Message) *api.CreateCallParams {
	return (&api.CreateCallParams{}).
		SetTo(string(m.Phone)).
		SetFrom(c.cfg.From).
		SetUrl(c.hook("voice", m.Attempt)).
		SetStatusCallback(c.hook("status", m.Attempt)).
		SetStatusCallbackEvent([]string{"initiated", "ringing", "answered", "completed"}).
		SetTimeout(ringSeconds).
		SetMachineDetection("DetectMessageEnd").
		SetAsyncAmd("true").
		SetAsyncAmdStatusCallback(c.hook("amd", m.Attempt))
}

// outcome reads what an exchange came to.
func outcome(x *exchange, sid *string, err error) engine.Outcome {
	if err == nil {
		if sid == nil || *sid == "" {
			return engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown, Detail: "answer without an identifier"}
		}
		return engine.Outcome{Status: engine.Accepted, Ref: *sid}
	}
	if rest, ok := errors.AsType[*client.TwilioRestError](err); ok && x.status == 0 {
		// twilio-go refuses malformed credentials before it sends anything.
		return failed(judge(rest.Code, rest.Status).reason, fmt.Sprintf("error %d", rest.Code))
	} else if ok && (x.status < 500 || x.status == http.StatusServiceUnavailable) {
		v := judge(rest.Code, x.status)
		return engine.Outcome{
			Status: engine.Failed, Reason: v.reason, Retry: v.retry, Wait: x.wait,
			Detail: fmt.Sprintf("status %d, error %d", x.status, rest.Code),
		}
	}
	switch {
	case x.status == 0 && !x.wrote.Load():
		out := failed(engine.CarrierDown, "no connection")
		out.Retry = true
		return out
	case x.status == 0:
		return engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown, Detail: "no answer"}
	case x.status < 300, x.status >= 500 && x.status != http.StatusServiceUnavailable:
		// It may have been taken before whatever broke broke.
		return engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown, Detail: fmt.Sprintf("status %d", x.status)}
	}
	v := judge(0, x.status)
	return engine.Outcome{
		Status: engine.Failed, Reason: v.reason, Retry: v.retry, Wait: x.wait,
		Detail: fmt.Sprintf("status %d", x.status),
	}
}

// Abort ends a call. When somebody is on the line they hear say first; "" hangs up at once. A
// call that is over already is no error.
func (c *Client) Abort(ctx context.Context, ref string, lang engine.Lang, say string) error {
	if !strings.HasPrefix(ref, "CA") {
		return engine.Errorf(engine.Invalid, "not a call")
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Limits.Timeout)
	defer cancel()
	if say == "" {
		_, _, err := c.update(ctx, ref, (&api.UpdateCallParams{}).SetStatus("completed"))
		return err
	}
	farewell, err := response{Says: []saying{speak(lang, say)}, Hangup: &empty{}}.encode()
	if err != nil {
		return err
	}
	// The phone may be picked up between the two requests, so go round once more.
	for range 2 {
		live, _, err := c.update(ctx, ref, (&api.UpdateCallParams{}).SetTwiml(string(farewell)))
		if live || err != nil {
			return err
		}
		// "canceled" and not "completed": a call picked up this instant asks us for its script
		// and hears that the offer is over, which is better than a click.
		ok, status, err := c.update(ctx, ref, (&api.UpdateCallParams{}).SetStatus("canceled"))
		if err != nil || !ok || status != "in-progress" {
			return err
		}
	}
	return nil
}

// update changes a call. ok is false when the call is not in a state to be changed so.
func (c *Client) update(ctx context.Context, ref string, p *api.UpdateCallParams) (ok bool, status string, err error) {
	x, service := c.begin(ctx)
	r, err := service.UpdateCall(ref, p)
	if err == nil {
		if r.Status != nil {
			status = *r.Status
		}
		return true, status, nil
	}
	if rest, is := errors.AsType[*client.TwilioRestError](err); is {
		if rest.Code == notInCall || rest.Code == notFoundCode {
			return false, "", nil
		}
		return false, "", &engine.Error{Code: engine.Unavailable, Message: fmt.Sprintf("twilio: update call: status %d, error %d", x.status, rest.Code)}
	}
	// The cause is left out: its text holds the URL, and twilio-go's errors may quote the answer.
	return false, "", &engine.Error{Code: engine.Unavailable, Message: fmt.Sprintf("twilio: update call: no usable answer (status %d)", x.status)}
}
