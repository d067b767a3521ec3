package sandbox

import (
	"maps"
	"net/http"
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
	return map[string]any{
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

// senders lists the numbers of the messaging service.
func (c *CarrierServer) senders(w http.ResponseWriter, r *http.Request) {
	if c.cfg.Service == "" || r.PathValue("service") != c.cfg.Service {
		deny(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	reply(w, http.StatusOK, map[string]any{"phone_numbers": []any{c.number()}})
}

// wanted reports whether a resource passes a list's filters.
func wanted(r *http.Request, to, from, since string, made time.Time) bool {
	q := r.URL.Query()
	if v := q.Get("To"); v != "" && v != to {
		return false
	}
	if v := q.Get("From"); v != "" && v != from {
		return false
	}
	if v := q.Get(since); v != "" {
		t, err := time.Parse(time.RFC3339, v)
		if err != nil {
			t, err = time.Parse(time.DateOnly, v)
		}
		return err == nil && !made.Before(t)
	}
	return true
}

// newest orders SIDs from the newest on.
func (c *CarrierServer) newest() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Clone(c.order)
	slices.Reverse(out)
	return out
}

// listMessages lists texts: To, From and DateSent>.
func (c *CarrierServer) listMessages(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	all := maps.Clone(c.messages)
	c.mu.Unlock()
	found := []any{}
	for _, sid := range c.newest() {
		if m := all[sid]; m != nil && len(found) < mostListed && wanted(r, m.to, m.from, "DateSent>", m.made) {
			found = append(found, c.messageJSON(m))
		}
	}
	reply(w, http.StatusOK, map[string]any{"messages": found})
}

// listCalls lists calls: To, From, StartTime>.
func (c *CarrierServer) listCalls(w http.ResponseWriter, r *http.Request) {
	found := []any{}
	for _, sid := range c.newest() {
		k := c.find(sid)
		if k != nil && len(found) < mostListed && wanted(r, k.to, k.from, "StartTime>", k.made) {
			found = append(found, c.callJSON(k))
		}
	}
	reply(w, http.StatusOK, map[string]any{"calls": found})
}
