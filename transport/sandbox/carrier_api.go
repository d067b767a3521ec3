package sandbox

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// fault is an error in Twilio's form.
type fault struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

func deny(w http.ResponseWriter, status, code int, text string) {
	reply(w, status, fault{
		Code: code, Message: text, Status: status,
		MoreInfo: "https://www.twilio.com/docs/errors/" + strconv.Itoa(code),
	})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (c *CarrierServer) routes() http.Handler {
	const account = "/2010-04-01/Accounts/{account}"
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+account+"/Messages.json", c.signedIn(c.createMessage))
	mux.HandleFunc("GET /2010-04-01/Accounts/{file}", c.signedIn(c.account))
	mux.HandleFunc("GET "+account+"/IncomingPhoneNumbers.json", c.signedIn(c.numbers))
	mux.HandleFunc("GET /v1/Services/{service}", c.signedIn(c.service))
	mux.HandleFunc("GET /v1/Services/{service}/PhoneNumbers", c.signedIn(c.senders))
	mux.HandleFunc("GET "+account+"/Messages.json", c.signedIn(c.listMessages))
	mux.HandleFunc("GET "+account+"/Calls.json", c.signedIn(c.listCalls))
	mux.HandleFunc("GET "+account+"/Messages/{file}", c.signedIn(c.fetchMessage))
	mux.HandleFunc("POST "+account+"/Calls.json", c.signedIn(c.createCall))
	mux.HandleFunc("GET "+account+"/Calls/{file}", c.signedIn(c.fetchCall))
	mux.HandleFunc("POST "+account+"/Calls/{file}", c.signedIn(c.updateCall))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
	})
	return mux
}

func (c *CarrierServer) signedIn(next http.HandlerFunc) http.HandlerFunc {
	same := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	return func(w http.ResponseWriter, r *http.Request) {
		if c.out(w, r) {
			return
		}
		user, pass, ok := r.BasicAuth()
		owner := same(user, c.cfg.AccountSID) && same(pass, c.cfg.AuthToken)
		key := c.cfg.KeySID != "" && same(user, c.cfg.KeySID) && same(pass, c.cfg.KeySecret)
		if !ok || !owner && !key {
			w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
			deny(w, http.StatusUnauthorized, 20003, "Authenticate")
			return
		}
		if a := r.PathValue("account"); a != "" && a != c.cfg.AccountSID {
			deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if r.Method == http.MethodPost {
			if err := r.ParseForm(); err != nil {
				deny(w, http.StatusBadRequest, 20001, "The form cannot be read")
				return
			}
		}
		next(w, r)
	}
}

// out plays the outage of the moment, if there is one.
func (c *CarrierServer) out(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	outage := c.chaos.Outage
	if c.faults.Down {
		outage = OutRefused
	}
	c.mu.Unlock()
	switch outage {
	case NoOutage:
		return false
	case OutRefused:
		deny(w, http.StatusServiceUnavailable, 20503, "Service unavailable")
	case OutErrors:
		deny(w, http.StatusInternalServerError, 20500, "An internal server error has occurred")
	case OutSuspended:
		deny(w, http.StatusUnauthorized, 20003, "Authenticate")
	case OutOverloaded:
		busy(w)
	case OutSilent:
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 64<<10)) // until then the end of the client is not seen
		select {
		case <-r.Context().Done():
		case <-c.ctx.Done():
		}
	}
	return true
}

// busy refuses a request that may be tried again.
func busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	deny(w, http.StatusTooManyRequests, 20429, "Too many requests")
}

// unlucky plays the fate of a request before anything happens.
func unlucky(w http.ResponseWriter, f fate) bool {
	if f.refused {
		busy(w)
	}
	return f.refused
}

// answer tells what was made, unless fate cuts the line.
func (c *CarrierServer) answer(w http.ResponseWriter, f fate, v any) {
	if f.timeout {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
			return
		}
	}
	reply(w, http.StatusCreated, v)
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// refusals are Twilio's magic numbers for tests.
var refusals = map[string]struct {
	code int
	text string
	sms  bool // texts only
}{
	"+15005550001": {21211, "Invalid 'To' Phone Number", false},
	"+15005550002": {21612, "The 'To' phone number is not reachable", true},
	"+15005550004": {21610, "Attempt to send to unsubscribed recipient", true},
	"+15005550009": {21614, "'To' number is not a valid mobile number", true},
}

// receiver checks the number that a text or call is for.
func (c *CarrierServer) receiver(w http.ResponseWriter, to string, sms bool) bool {
	if !e164.MatchString(to) || c.line(to) == LineGone {
		deny(w, http.StatusBadRequest, 21211, "Invalid 'To' Phone Number")
		return false
	}
	if x, ok := refusals[to]; ok && (sms || !x.sms) {
		deny(w, http.StatusBadRequest, x.code, x.text)
		return false
	}
	return true
}

func (c *CarrierServer) createMessage(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	to, body := f.Get("To"), f.Get("Body")
	from := f.Get("From")
	if from == "" && f.Get("MessagingServiceSid") != "" {
		from = c.cfg.From
	}
	switch {
	case from == "":
		deny(w, http.StatusBadRequest, 21603, "A 'From' phone number is required")
		return
	case body == "":
		deny(w, http.StatusBadRequest, 21602, "Message body is required")
		return
	case utf8.RuneCountInString(body) > maxSmsRunes:
		deny(w, http.StatusBadRequest, 21617, "The concatenated message body exceeds the 1600 character limit")
		return
	}
	if !c.receiver(w, to, true) {
		return
	}
	m := &message{
		sid: newSID("SM"), from: from, to: to, body: body,
		callback: f.Get("StatusCallback"), status: "queued", made: time.Now().UTC(),
		fate: c.fate(to, f.Get("StatusCallback")),
	}
	if unlucky(w, m.fate) {
		return
	}
	c.mu.Lock()
	if c.pending >= maxPending {
		c.mu.Unlock()
		busy(w)
		return
	}
	c.pending++
	c.messages[m.sid] = m
	c.keep(m.sid)
	c.mu.Unlock()
	c.wall.add(to, Item{ID: m.sid, Kind: "sms", Text: body, Status: "queued", Callback: m.callback})
	// The answer is made before the text starts to move, so that it always says "queued".
	out := c.messageJSON(m)
	if !c.spawn(func() { c.deliver(m) }) {
		deny(w, http.StatusServiceUnavailable, 20503, "Service unavailable")
		return
	}
	c.answer(w, m.fate, out)
}

func (c *CarrierServer) fetchMessage(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	m := c.messages[strings.TrimSuffix(r.PathValue("file"), ".json")]
	c.mu.Unlock()
	if m == nil {
		deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	reply(w, http.StatusOK, c.messageJSON(m))
}

func (c *CarrierServer) messageJSON(m *message) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]any{
		"sid": m.sid, "account_sid": c.cfg.AccountSID, "api_version": "2010-04-01",
		"from": m.from, "to": m.to, "body": m.body, "status": m.status,
		"direction": "outbound-api", "num_segments": "1", "num_media": "0",
		"date_created": m.made.Format(time.RFC1123Z), "error_code": nil, "error_message": nil,
		"uri": fmt.Sprintf("/2010-04-01/Accounts/%s/Messages/%s.json", c.cfg.AccountSID, m.sid),
	}
	if m.code != 0 {
		out["error_code"] = m.code
	}
	return out
}

func (c *CarrierServer) createCall(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	k, code, text := c.newCall(f)
	if code != 0 {
		deny(w, http.StatusBadRequest, code, text)
		return
	}
	if !c.receiver(w, k.to, false) {
		return
	}
	if unlucky(w, k.fate) {
		return
	}
	c.mu.Lock()
	if c.live >= maxCalls {
		c.mu.Unlock()
		busy(w)
		return
	}
	c.live++
	c.calls[k.sid] = k
	c.keep(k.sid)
	c.mu.Unlock()
	c.wall.add(k.to, Item{ID: k.sid, Kind: "call", Status: "ringing", Callback: k.callback})
	out := c.callJSON(k)
	if !c.spawn(func() { c.run(k) }) {
		deny(w, http.StatusServiceUnavailable, 20503, "Service unavailable")
		return
	}
	c.answer(w, k.fate, out)
}

func (c *CarrierServer) find(sid string) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[sid]
}

func (c *CarrierServer) fetchCall(w http.ResponseWriter, r *http.Request) {
	k := c.find(strings.TrimSuffix(r.PathValue("file"), ".json"))
	if k == nil {
		deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	reply(w, http.StatusOK, c.callJSON(k))
}

func (c *CarrierServer) updateCall(w http.ResponseWriter, r *http.Request) {
	k := c.find(strings.TrimSuffix(r.PathValue("file"), ".json"))
	if k == nil {
		deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	f := r.PostForm
	var ok bool
	switch status := f.Get("Status"); {
	case status == "completed" || status == "canceled":
		ok = k.finish(status)
	case status != "":
		deny(w, http.StatusBadRequest, 21218, "Invalid Status")
		return
	case f.Get("Twiml") != "":
		doc, err := parseTwiML([]byte(f.Get("Twiml")))
		if err != nil {
			deny(w, http.StatusBadRequest, 12100, "Document parse failure")
			return
		}
		ok = k.redirect(document{verbs: doc})
	case f.Get("Url") != "":
		u, err := url.Parse(f.Get("Url"))
		if err != nil || u.Host == "" {
			deny(w, http.StatusBadRequest, 21205, "Url is not a valid URL")
			return
		}
		ok = k.redirect(document{fetch: u.String()})
	default:
		deny(w, http.StatusBadRequest, 20001, "Nothing to update")
		return
	}
	if !ok {
		deny(w, http.StatusBadRequest, notInProgress, "Call is not in-progress. Cannot redirect.")
		return
	}
	reply(w, http.StatusOK, c.callJSON(k))
}

func (c *CarrierServer) callJSON(k *call) map[string]any {
	k.mu.Lock()
	defer k.mu.Unlock()
	return map[string]any{
		"sid": k.sid, "account_sid": c.cfg.AccountSID, "api_version": "2010-04-01",
		"from": k.from, "to": k.to, "status": k.status, "direction": "outbound-api",
		"date_created": k.made.Format(time.RFC1123Z),
		"uri":          fmt.Sprintf("/2010-04-01/Accounts/%s/Calls/%s.json", c.cfg.AccountSID, k.sid),
	}
}
