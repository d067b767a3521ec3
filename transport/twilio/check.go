package twilio

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"relais/engine"
)

// CheckPlan says what a check tries besides looking.
type CheckPlan struct {
	Text, Call engine.Phone  // whom to text and to call; "" for nobody
	Wait       time.Duration // for delivery and for the end of the call; default 60 s
	// Local says what webhooks of a check came in where this process takes them itself, by
	// CheckHooks; nil when another one does.
	Local func(check string) []string
}

const (
	checkWait  = time.Minute
	checkEvery = time.Second
	hookLate   = 10 * time.Second // after the message's end; then its webhook does not come any more
)

// Check tries the way of a text and of a call step by step, and tells each step as it ends: sign in,
// token, sender, incoming, public address, then for a text message, webhook and delivery, and for a call the
// call, its webhook and who picked up. The messages are real and say that they are a test. A step
// whose ground failed is skipped. Sentences hold no number. It may run beside a Relais that serves.
func (c *Client) Check(ctx context.Context, plan CheckPlan, step func(engine.CheckStep)) {
	if plan.Wait <= 0 {
		plan.Wait = checkWait
	}
	k := &checking{Client: c, plan: plan, step: step}
	signed := k.do("sign in", true, func() (engine.Verdict, string) { return k.signIn(ctx) })
	k.do("token", signed, func() (engine.Verdict, string) { return k.token(ctx) })
	sender := k.do("sender", signed, func() (engine.Verdict, string) { return k.sender(ctx) })
	k.do("incoming", sender, func() (engine.Verdict, string) { return k.incoming(ctx) })
	k.do("public address", true, func() (engine.Verdict, string) { return k.public(ctx) })
	if plan.Text != "" {
		k.text(ctx, sender)
	}
	if plan.Call != "" {
		k.call(ctx, sender)
	}
}

// checking is one check under way.
type checking struct {
	*Client

	plan CheckPlan
	step func(engine.CheckStep)
}

// do runs one step and reports whether what follows may go on.
func (k *checking) do(name string, grounded bool, run func() (engine.Verdict, string)) bool {
	s := engine.CheckStep{Name: name, Verdict: engine.CheckSkipped, Sentence: "An earlier step failed."}
	if grounded {
		start := time.Now()
		s.Verdict, s.Sentence = run()
		s.Took = time.Since(start)
	}
	k.step(s)
	return s.Verdict == engine.CheckOK || s.Verdict == engine.CheckWeak
}

// get reads one resource; status 0 means that there was no answer.
func (k *checking) get(ctx context.Context, user, pass, address string, into any) (status, code int) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	x, _ := k.begin(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, 0
	}
	req.SetBasicAuth(user, pass)
	resp, err := x.RoundTrip(req) //nolint:contextcheck // the exchange has it
	if err != nil {
		return 0, 0
	}
	body, _ := io.ReadAll(resp.Body) // bounded by the exchange, which has closed the connection's
	_ = resp.Body.Close()
	var fault struct{ Code int }
	if resp.StatusCode != http.StatusOK {
		_ = json.Unmarshal(body, &fault)
	} else if json.Unmarshal(body, into) != nil {
		return 0, 0
	}
	return resp.StatusCode, fault.Code
}

func (k *checking) resource(path string) string {
	return "https://api.twilio.com/2010-04-01/Accounts/" + k.cfg.AccountSID + path
}

type ownedNumber struct {
	PhoneNumber  string `json:"phone_number"`
	SmsURL       string `json:"sms_url"`
	VoiceURL     string `json:"voice_url"`
	Capabilities map[string]any
}

func (n ownedNumber) can(what string) bool {
	for name, v := range n.Capabilities {
		if able, ok := v.(bool); ok && able && strings.EqualFold(name, what) {
			return true
		}
	}
	return false
}

// numbers lists those of the account that are the configured sender.
func (k *checking) numbers(ctx context.Context) (list []ownedNumber, status, code int) {
	var page struct {
		Numbers []ownedNumber `json:"incoming_phone_numbers"`
	}
	status, code = k.get(ctx, k.user, k.pass, k.resource("/IncomingPhoneNumbers.json?PhoneNumber="+url.QueryEscape(k.cfg.From)), &page)
	return page.Numbers, status, code
}

func (k *checking) signIn(ctx context.Context) (engine.Verdict, string) {
	_, status, code := k.numbers(ctx)
	how := "the auth token"
	if k.cfg.KeySID != "" {
		how = "the API key"
	}
	switch {
	case status == http.StatusOK:
		return engine.CheckOK, "Twilio answers and takes " + how + "."
	case status == 0:
		return engine.CheckFailed, "Twilio does not answer: let this machine reach api.twilio.com by HTTPS, directly or through HTTPS_PROXY."
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return engine.CheckFailed, fmt.Sprintf("Twilio refuses %s (error %d): copy the account SID and its secret again from the console; a restricted key needs the right to read numbers and to send.", how, code)
	case status == http.StatusNotFound:
		return engine.CheckFailed, "Twilio knows no such account: correct account_sid."
	}
	return engine.CheckFailed, fmt.Sprintf("Twilio answers with status %d, error %d: see its status page.", status, code)
}

// token tries what webhooks are signed with; a key alone cannot tell.
func (k *checking) token(ctx context.Context) (engine.Verdict, string) {
	var account struct{ Status, Type string }
	status, code := k.get(ctx, k.cfg.AccountSID, k.cfg.AuthToken, k.resource(".json"), &account)
	switch {
	case status == http.StatusUnauthorized:
		return engine.CheckFailed, "The auth token is not the account's: webhooks would all be refused. Copy auth_token again from the console."
	case status != http.StatusOK:
		return engine.CheckFailed, fmt.Sprintf("The account cannot be read with the auth token: status %d, error %d.", status, code)
	case account.Status != "active":
		return engine.CheckFailed, "The account is " + account.Status + ": reopen it in Twilio's console."
	case account.Type == "Trial":
		return engine.CheckWeak, "The account is active, on trial: it reaches only numbers that were verified in the console, and says so before each call."
	}
	return engine.CheckOK, "The account is active, and the auth token that webhooks are signed with is its own."
}

func (k *checking) sender(ctx context.Context) (engine.Verdict, string) {
	list, status, code := k.numbers(ctx)
	if status != http.StatusOK {
		return engine.CheckFailed, fmt.Sprintf("The numbers cannot be read: status %d, error %d.", status, code)
	}
	if len(list) == 0 {
		return engine.CheckFailed, "The account has no such number: correct from, or buy or verify the number in the console."
	}
	if !list[0].can("voice") {
		return engine.CheckFailed, "The number cannot place calls: take one with voice."
	}
	if k.cfg.MessagingService == "" {
		if !list[0].can("sms") {
			return engine.CheckFailed, "The number cannot send texts: take one with SMS, or set messaging_service."
		}
		return engine.CheckOK, "The number sends texts and places calls."
	}
	var page struct {
		Numbers []ownedNumber `json:"phone_numbers"`
	}
	status, code = k.get(ctx, k.user, k.pass, "https://messaging.twilio.com/v1/Services/"+k.cfg.MessagingService+"/PhoneNumbers", &page)
	switch {
	case status == http.StatusNotFound:
		return engine.CheckFailed, "The account has no such messaging service: correct messaging_service."
	case status != http.StatusOK:
		return engine.CheckFailed, fmt.Sprintf("The messaging service cannot be read: status %d, error %d.", status, code)
	case len(page.Numbers) == 0:
		return engine.CheckFailed, "The messaging service has no number: add one in the console."
	}
	return engine.CheckOK, fmt.Sprintf("The number places calls, and the messaging service sends texts from %d number(s).", len(page.Numbers))
}

// ask asks whoever answers at the public address what webhooks of a check came in.
func (k *checking) ask(ctx context.Context, check string) (heard []string, status int) {
	address, form := k.cfg.PublicBase+"/hooks/twilio/check/"+check, url.Values{"Ask": {"1"}}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Twilio-Signature", signature(k.cfg.AuthToken, address, form))
	resp, err := k.wire.RoundTrip(req)
	if err != nil {
		return nil, 0
	}
	defer func() { _ = resp.Body.Close() }()
	var s seen
	if resp.StatusCode == http.StatusOK && (json.NewDecoder(io.LimitReader(resp.Body, maxHook)).Decode(&s) != nil || !s.Relais) {
		return nil, http.StatusNotFound // somebody else's page
	}
	return s.Heard, resp.StatusCode
}

func (k *checking) public(ctx context.Context) (engine.Verdict, string) {
	switch _, status := k.ask(ctx, newCheck()); status {
	case http.StatusOK:
		return engine.CheckOK, "public_url leads to Relais, which takes what this account's token signs."
	case 0:
		return engine.CheckWeak, "public_url cannot be reached from this machine, or its certificate is not trusted here. Twilio may still reach it: the webhook step tells."
	case http.StatusForbidden:
		return engine.CheckFailed, "The Relais at public_url refuses the signature: it runs with another public_url or auth_token. Restart it with this configuration."
	default:
		return engine.CheckFailed, fmt.Sprintf("Something else than this Relais answers at public_url (status %d): point the proxy's /hooks/twilio/ at it.", status)
	}
}

func newCheck() string { return strings.ToLower(rand.Text()) }

// heard is what came in for a check, here or at the public address. ok is false when nobody can say.
func (k *checking) heard(ctx context.Context, check string) (words []string, ok bool) {
	if k.plan.Local != nil {
		return k.plan.Local(check), true
	}
	words, status := k.ask(ctx, check)
	return words, status == http.StatusOK
}

// watch waits until the message has ended and its webhook came, or time is up.
func (k *checking) watch(ctx context.Context, check string, read func() (status string, code int), ended func(string) bool) (status string, code int, words []string, asked bool) {
	end := time.NewTimer(k.plan.Wait)
	defer end.Stop()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	var over time.Time
	for {
		if s, c := read(); s != "" {
			status, code = s, c
		}
		words, asked = k.heard(ctx, check)
		if ended(status) {
			if over.IsZero() {
				over = time.Now()
			}
			if !asked || slices.ContainsFunc(words, ended) || time.Since(over) > hookLate {
				return status, code, words, asked
			}
		}
		select {
		case <-tick.C:
		case <-end.C:
			return status, code, words, asked
		case <-ctx.Done():
			return status, code, words, asked
		}
	}
}

// webhook says whether Twilio's word came in.
func webhook(words []string, asked bool) (engine.Verdict, string) {
	switch {
	case len(words) > 0:
		return engine.CheckOK, "Twilio's callbacks came in at public_url, rightly signed: " + strings.Join(words, ", ") + "."
	case !asked:
		return engine.CheckWeak, "Nobody could be asked whether Twilio's callbacks came in: public_url is not reachable from here and another program has our port."
	}
	return engine.CheckFailed, "Twilio's callbacks did not come in: it cannot reach public_url. Open the proxy and the firewall for /hooks/twilio/, and see the debugger in Twilio's console."
}

func (k *checking) text(ctx context.Context, sender bool) {
	check := newCheck()
	var out engine.Outcome
	sent := k.do("message", sender, func() (engine.Verdict, string) {
		ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
		defer cancel()
		x, service := k.begin(ctx)
		p := k.Client.text(engine.Message{Phone: k.plan.Text, Text: "Relais: essai d'envoi, rien à faire. Test message, nothing to do."})
		r, err := service.CreateMessage(p.SetStatusCallback(k.cfg.PublicBase + "/hooks/twilio/check/" + check))
		out = outcome(x, sidOf(r, err), err)
		return accepted(out)
	})
	var status string
	var code int
	var words []string
	var asked bool
	k.do("webhook", sent, func() (engine.Verdict, string) {
		status, code, words, asked = k.watch(ctx, check, func() (string, int) { return k.textState(ctx, out.Ref) }, textEnded)
		return webhook(words, asked)
	})
	k.do("delivered", sent, func() (engine.Verdict, string) {
		switch s, reason := textStatus(status, code); s {
		case engine.ReceiptDelivered:
			return engine.CheckOK, "The text is on the phone."
		case engine.ReceiptFailed:
			return engine.CheckFailed, fmt.Sprintf("The text did not arrive (error %d): %s", code, advice(reason))
		case engine.ReceiptSent, engine.ReceiptAnswered, engine.ReceiptMachine, engine.ReceiptAbsent:
		}
		return engine.CheckWeak, fmt.Sprintf("No word from the phone within %v; Twilio says %q. Some networks never confirm.", k.plan.Wait, status)
	})
}

func sidOf(r *api.ApiV2010Message, err error) *string {
	if err != nil {
		return nil
	}
	return r.Sid
}

func textEnded(s string) bool {
	return slices.Contains([]string{"delivered", "read", "undelivered", "failed", "canceled"}, s)
}

func (k *checking) textState(ctx context.Context, ref string) (string, int) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	_, service := k.begin(ctx)
	t, err := service.FetchMessage(ref, &api.FetchMessageParams{})
	if err != nil {
		return "", 0
	}
	return value(t.Status), value(t.ErrorCode)
}

func (k *checking) call(ctx context.Context, sender bool) {
	check := newCheck()
	var out engine.Outcome
	made := k.do("call", sender, func() (engine.Verdict, string) {
		ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
		defer cancel()
		x, service := k.begin(ctx)
		base := k.cfg.PublicBase + "/hooks/twilio/check/" + check
		r, err := service.CreateCall((&api.CreateCallParams{}).
			SetTo(string(k.plan.Call)).SetFrom(k.cfg.From).SetUrl(base + "/voice").SetStatusCallback(base).
			SetStatusCallbackEvent([]string{"ringing", "answered", "completed"}).SetTimeout(ringSeconds))
		var sid *string
		if err == nil {
			sid = r.Sid
		}
		out = outcome(x, sid, err)
		return accepted(out)
	})
	var status string
	var words []string
	k.do("call webhook", made, func() (engine.Verdict, string) {
		var asked bool
		status, _, words, asked = k.watch(ctx, check, func() (string, int) { return k.callState(ctx, out.Ref), 0 }, callEnded)
		return webhook(words, asked)
	})
	k.do("picked up", made, func() (engine.Verdict, string) {
		switch {
		case slices.Contains(words, "voice"):
			return engine.CheckOK, "Somebody, or a voicemail, picked up and was told that this is a test."
		case status == "completed":
			return engine.CheckFailed, "The call was picked up, but its words were not fetched from public_url."
		case status == "failed":
			return engine.CheckFailed, "The call could not be put through: check the number, and the countries allowed to be called in the console."
		}
		return engine.CheckWeak, fmt.Sprintf("Nobody picked up; Twilio says %q.", status)
	})
}

func callEnded(s string) bool {
	return slices.Contains([]string{"completed", "busy", "no-answer", "failed", "canceled"}, s)
}

func (k *checking) callState(ctx context.Context, ref string) string {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	_, service := k.begin(ctx)
	r, err := service.FetchCall(ref, &api.FetchCallParams{})
	if err != nil {
		return ""
	}
	return value(r.Status)
}

// accepted says what handing a message over came to.
func accepted(o engine.Outcome) (engine.Verdict, string) {
	switch o.Status {
	case engine.Accepted:
		return engine.CheckOK, "Twilio took it."
	case engine.Unknown:
		return engine.CheckFailed, "Twilio may have taken it, and did not say so (" + o.Detail + "): see its status page, then try again."
	case engine.Failed:
	}
	return engine.CheckFailed, "Twilio refused it (" + o.Detail + "): " + advice(o.Reason)
}

// advice says what an operator does about a reason.
func advice(r engine.Reason) string {
	switch r {
	case engine.BadContact:
		return "there is no such number, or it cannot be reached from the sender."
	case engine.Landline:
		return "it is a landline, which takes no texts."
	case engine.OptedOut:
		return "this number wrote STOP to the sender; write START to it from that phone."
	case engine.Filtered:
		return "the network dropped it for its content or its sender; have the number registered (A2P 10DLC, or toll-free verification)."
	case engine.Unreached, engine.Busy:
		return "the phone is off or out of reach; try again."
	case engine.RateLimited:
		return "too many messages at once; try again in a minute."
	case engine.AccountFault:
		return "look the error up at twilio.com/docs/api/errors: the account, its sender or its permissions are not right."
	case engine.TooLate, engine.CarrierDown, engine.Dropped, engine.NoReceipt:
	}
	return "Twilio itself failed; see its status page."
}
