package fhir

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"relais/engine"
)

// HookHeader carries the secret of a rest-hook notification.
const HookHeader = "X-Relais-Hook"

// How a record system tells us of changes.
const (
	pushNone  = "none"
	pushHook  = "rest-hook"
	pushTopic = "topic"
)

// What a clinic's record system may notify: a notification is a hint, so more than this a second
// tells nothing new.
const (
	hookRate  = 50
	hookBurst = 100
	hookBody  = 64 << 10
	maxHooked = 1024 // clinics whose rates are remembered
)

// Subscribe asks the record system to post to endpoint whenever a slot or an appointment changes,
// with secret in HookHeader. What was asked before is found by its endpoint and set right; a
// subscription that the server has switched off is switched on again.
func (c *Client) Subscribe(ctx context.Context, endpoint, secret string) error {
	err := c.subscribeAll(ctx, endpoint, HookHeader+": "+secret)
	push := pushHook
	switch {
	case err != nil:
		push = pushNone
	case len(c.cfg.Topics) > 0:
		push = pushTopic
	}
	c.mu.Lock()
	c.push = push
	c.mu.Unlock()
	return err
}

func (c *Client) subscribeAll(ctx context.Context, endpoint, header string) error {
	list, err := c.search(ctx, "Subscription", url.Values{"url": {endpoint}})
	if err != nil {
		return err
	}
	for _, wanted := range c.criteria() {
		if err := c.subscribe(ctx, list.list, wanted, endpoint, header); err != nil {
			return err
		}
	}
	return nil
}

// criteria are what is subscribed to.
func (c *Client) criteria() []string {
	if len(c.cfg.Topics) > 0 {
		return c.cfg.Topics
	}
	return []string{"Slot?", "Appointment?"}
}

// The R5 Backport's subscription in R4, and how much a notification is to carry.
const (
	backportProfile = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription"
	backportContent = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content"
)

// subscription is what is asked for: that which criteria name, a search or a topic. A notification
// carries nothing but, of a topic, its count.
func (c *Client) subscription(criteria, endpoint, header string) map[string]any {
	channel := map[string]any{"type": "rest-hook", "endpoint": endpoint, "header": []string{header}}
	wanted := map[string]any{
		"status": "requested", "reason": "Relais watches for freed appointment slots", "criteria": criteria, "channel": channel,
	}
	if len(c.cfg.Topics) > 0 {
		wanted["meta"] = map[string]any{"profile": []string{backportProfile}}
		channel["payload"] = "application/fhir+json"
		channel["_payload"] = map[string]any{"extension": []any{map[string]any{"url": backportContent, "valueCode": "empty"}}}
	}
	return wanted
}

func (c *Client) subscribe(ctx context.Context, known []resource, criteria, endpoint, header string) error {
	wanted := c.subscription(criteria, endpoint, header)
	for _, r := range known {
		v, err := view[struct {
			Status   string `json:"status"`
			Criteria string `json:"criteria"`
			Channel  struct {
				Type     string   `json:"type"`
				Endpoint string   `json:"endpoint"`
				Header   []string `json:"header"`
			} `json:"channel"`
		}](r)
		if err != nil {
			return err
		}
		if v.Criteria != criteria || v.Channel.Endpoint != endpoint {
			continue
		}
		alive := v.Status == "active" || v.Status == "requested"
		if alive && v.Channel.Type == "rest-hook" && len(v.Channel.Header) == 1 && v.Channel.Header[0] == header {
			return nil
		}
		body, err := r.with(wanted)
		if err != nil {
			return err
		}
		h := http.Header{}
		if r.Meta.VersionID != "" {
			h.Set("If-Match", r.etag())
		}
		return c.put(ctx, call{method: http.MethodPut, path: r.source(), body: body, header: h})
	}
	wanted["resourceType"] = "Subscription"
	body, err := json.Marshal(wanted)
	if err != nil {
		return failure(engine.DMERejected, "The subscription cannot be written.")
	}
	return c.put(ctx, call{method: http.MethodPost, path: "Subscription", body: body})
}

func (c *Client) put(ctx context.Context, in call) error {
	r, err := c.do(ctx, in)
	if err != nil {
		return err
	}
	if r.status >= 300 {
		return failure(engine.DMERejected, "The record system does not take subscriptions (%d).", r.status)
	}
	return nil
}

// HookHandler takes rest-hook notifications at /hooks/fhir/{clinic}. Secret gives a clinic's
// secret, "" for a clinic that has none. Nudge is called for each notification that carries it and
// must not block; what it tells is never believed, it only says that a look is worth while, and at
// everything when missed is set, because the count of a topic's events shows a gap. Refused is
// called for each one that does not, with "" for an unknown clinic, so that it can be counted; it
// may be nil.
func HookHandler(secret func(engine.ClinicID) string, nudge func(c engine.ClinicID, missed bool), refused func(engine.ClinicID)) http.Handler {
	h := &hook{secret: secret, nudge: nudge, refused: refused, rates: map[engine.ClinicID]*rate.Limiter{}, counts: map[string]uint64{}}
	if h.refused == nil {
		h.refused = func(engine.ClinicID) {}
	}
	return h
}

type hook struct {
	secret  func(engine.ClinicID) string
	nudge   func(c engine.ClinicID, missed bool)
	refused func(engine.ClinicID)

	mu     sync.Mutex
	rates  map[engine.ClinicID]*rate.Limiter
	counts map[string]uint64 // by clinic and subscription: the last event's number
}

// ServeHTTP answers 202 to a notification that is taken, 403 without the secret, 429 beyond the
// rate.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(r.URL.Path, "/hooks/fhir/")
	clinic := engine.ClinicID(name)
	want := h.secret(clinic)
	got := r.Header.Get(HookHeader)
	if !same(got, want) {
		if want == "" {
			clinic = ""
		}
		h.refused(clinic)
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if !h.rate(clinic).Allow() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many notifications", http.StatusTooManyRequests)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, hookBody))
	h.nudge(clinic, err == nil && h.missed(clinic, body))
	w.WriteHeader(http.StatusAccepted)
}

// same compares in a time that does not depend on where the two differ.
func same(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && want != ""
}

func (h *hook) rate(c engine.ClinicID) *rate.Limiter {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, ok := h.rates[c]
	if !ok {
		if len(h.rates) >= maxHooked {
			clear(h.rates)
		}
		l = rate.NewLimiter(hookRate, hookBurst)
		h.rates[c] = l
	}
	return l
}
