package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

const mostListed = 50 // resources of one answer, Twilio's default page

// account shows the account; a key may not see it, as with Twilio's standard keys.
func (c *CarrierServer) account(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("file") != c.cfg.AccountSID+".json" {
		deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	if user, _, _ := r.BasicAuth(); user != c.cfg.AccountSID {
		deny(w, http.StatusUnauthorized, 20003, "Authenticate")
		return
	}
	reply(w, http.StatusOK, map[string]any{"sid": c.cfg.AccountSID, "status": "active", "type": "Full", "friendly_name": "Sandbox"})
}

func (c *CarrierServer) number() map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return map[string]any{
		"sms_url": c.smsURL, "voice_url": c.callURL,
		"sid": "PN00000000000000000000000000000001", "phone_number": c.cfg.From,
		"capabilities": map[string]bool{"sms": true, "SMS": true, "voice": true, "mms": false},
	}
}

// numbers lists the account's numbers.
func (c *CarrierServer) numbers(w http.ResponseWriter, r *http.Request) {
	found := []any{}
	if want := r.URL.Query().Get("PhoneNumber"); want == "" || want == c.cfg.From {
		found = append(found, c.number())
	}
	reply(w, http.StatusOK, map[string]any{"incoming_phone_numbers": found})
}

// service shows the messaging service, which leaves incoming texts to its number.
func (c *CarrierServer) service(w http.ResponseWriter, r *http.Request) {
	if c.cfg.Service == "" || r.PathValue("service") != c.cfg.Service {
		deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	reply(w, http.StatusOK, map[string]any{"sid": c.cfg.Service, "inbound_request_url": nil, "use_inbound_webhook_on_number": true})
}

// senders lists the numbers of the messaging service.
func (c *CarrierServer) senders(w http.ResponseWriter, r *http.Request) {
	if c.cfg.Service == "" || r.PathValue("service") != c.cfg.Service {
		deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	reply(w, http.StatusOK, map[string]any{"phone_numbers": []any{c.number()}})
}

// filter is what a list is asked for.
type filter struct {
	to, from string
	since    time.Time // zero: all; not one that cannot be read
	none     bool
}

func filterOf(q url.Values, since string) filter {
	f := filter{to: q.Get("To"), from: q.Get("From")}
	if v := q.Get(since); v != "" {
		t, err := time.Parse(time.RFC3339, v)
		if err != nil {
			t, err = time.Parse(time.DateOnly, v)
		}
		f.since, f.none = t, err != nil
	}
	return f
}

func (f filter) takes(to, from string, made time.Time) bool {
	return !f.none && (f.to == "" || f.to == to) && (f.from == "" || f.from == from) && !made.Before(f.since)
}

// listMessages lists texts, the newest first: To, From and DateSent>.
func (c *CarrierServer) listMessages(w http.ResponseWriter, r *http.Request) {
	f := filterOf(r.URL.Query(), "DateSent>")
	var some []*message
	c.mu.Lock()
	for _, sid := range slices.Backward(c.order) {
		if m := c.messages[sid]; m != nil && len(some) < mostListed && f.takes(m.to, m.from, m.made) {
			some = append(some, m)
		}
	}
	c.mu.Unlock()
	found := []any{}
	for _, m := range some {
		found = append(found, c.messageJSON(m))
	}
	reply(w, http.StatusOK, map[string]any{"messages": found})
}

// listCalls lists calls, the newest first: To, From, StartTime>.
func (c *CarrierServer) listCalls(w http.ResponseWriter, r *http.Request) {
	f := filterOf(r.URL.Query(), "StartTime>")
	var some []*call
	c.mu.Lock()
	for _, sid := range slices.Backward(c.order) {
		if k := c.calls[sid]; k != nil && len(some) < mostListed && f.takes(k.to, k.from, k.made) {
			some = append(some, k)
		}
	}
	c.mu.Unlock()
	found := []any{}
	for _, k := range some {
		found = append(found, c.callJSON(k))
	}
	reply(w, http.StatusOK, map[string]any{"calls": found})
}
