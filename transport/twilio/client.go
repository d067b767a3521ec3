package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"relais/engine"
)

// Config says whose account to use.
type Config struct {
	AccountSID string
	AuthToken  string
	// KeySID and KeySecret are an API key, used to sign in instead of the token when given. The
	// token is still what webhooks are signed with.
	KeySID, KeySecret string
	From              string        // E.164; the caller of calls, and the sender of texts without MessagingService
	MessagingService  string        // SID, or ""
	BaseURL           string        // scheme and host instead of Twilio's, for the sandbox; or ""
	PublicBase        string        // where Twilio reaches us, for example "https://relais.example"
	Timeout           time.Duration // of one request; default 10 s
}

const (
	timeout      = 10 * time.Second
	ringSeconds  = 25    // long enough to reach the phone, short enough to spare most voicemails
	maxValidity  = 36000 // seconds; Twilio's own limit
	notInCall    = 21220 // the call is not in progress
	notFoundCode = 20404
)

// Client sends through one account.
type Client struct {
	cfg        Config
	user, pass string
	base       *url.URL
	wire       interface {
		http.RoundTripper
		CloseIdleConnections()
	}
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
	if cfg.Timeout <= 0 {
		cfg.Timeout = timeout
	}
	c := &Client{cfg: cfg, user: cfg.AccountSID, pass: cfg.AuthToken, wire: newWire()}
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

// Send hands a text or a call to Twilio, at once. It waits for the answer at most Config.Timeout and
// never tries twice.
func (c *Client) Send(ctx context.Context, m engine.Message) engine.Outcome {
	switch {
	case m.Channel != engine.SMS && m.Channel != engine.Voice:
		return failed(engine.AccountFault, "not a channel of phones")
	case m.Phone == "":
		return failed(engine.BadContact, "no phone number")
	case m.Channel == engine.SMS && m.Text == "":
		return failed(engine.AccountFault, "empty text")
	case m.Channel == engine.Voice && (m.Say == nil || c.cfg.From == ""):
		return failed(engine.AccountFault, "a call needs a script and a caller number")
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
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
	return outcome(x, sid, err)
}

func failed(r engine.Reason, detail string) engine.Outcome {
	return engine.Outcome{Status: engine.Failed, Reason: r, Detail: detail}
}

func (c *Client) hook(kind string, a engine.AttemptID) string {
	return c.cfg.PublicBase + "/hooks/twilio/" + kind + "/" + url.PathEscape(string(a))
}

func (c *Client) text(m engine.Message) *api.CreateMessageParams {
	p := (&api.CreateMessageParams{}).
		SetTo(string(m.Phone)).
		SetBody(m.Text).
		SetContentRetention("discard")
	if m.Attempt != "" { // an answer outside of an offer has no state to keep
		p.SetStatusCallback(c.hook("status", m.Attempt))
	}
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

// Abort ends a call, whatever its state: one that waits or rings is cancelled, and in one under way
// the person hears say first ("" hangs up at once). A call that is over already is no error;
// engine.NotFound is one that this account never made.
func (c *Client) Abort(ctx context.Context, ref string, lang engine.Lang, say string) error {
	if !strings.HasPrefix(ref, "CA") {
		return engine.Errorf(engine.Invalid, "not a call")
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
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
		switch rest.Code {
		case notInCall:
			return false, "", nil
		case notFoundCode:
			return false, "", engine.Errorf(engine.NotFound, "twilio: no such call")
		}
		return false, "", &engine.Error{Code: engine.Unavailable, Message: fmt.Sprintf("twilio: update call: status %d, error %d", x.status, rest.Code)}
	}
	// The cause is left out: its text holds the URL, and twilio-go's errors may quote the answer.
	return false, "", &engine.Error{Code: engine.Unavailable, Message: fmt.Sprintf("twilio: update call: no usable answer (status %d)", x.status)}
}
