package twilio

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"relais/engine"
)

const (
	maxChecks = 64 // remembered
	maxSeen   = 32 // words of one
	maxCheck  = 64 // characters of a check's name
)

// checks remembers what Twilio said of the messages of `relais channel check`, so that the command
// can ask, whichever process took the webhook. Nothing of a person is kept.
type checks struct {
	mu    sync.Mutex
	seen  map[string][]string
	order []string // oldest first
}

func (c *checks) note(check, word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string][]string{}
	}
	if _, ok := c.seen[check]; !ok {
		if len(c.order) == maxChecks {
			delete(c.seen, c.order[0])
			c.order = slices.Delete(c.order, 0, 1)
		}
		c.order = append(c.order, check)
	}
	if len(c.seen[check]) < maxSeen {
		c.seen[check] = append(c.seen[check], word)
	}
}

func (c *checks) of(check string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen[check])
}

func (h *hooks) mountChecks(mux *http.ServeMux) {
	mux.HandleFunc("POST /hooks/twilio/check/{check}", h.signed(h.check))
	mux.HandleFunc("POST /hooks/twilio/check/{check}/voice", h.signed(h.checkVoice))
}

// seen is what a check is told: the statuses that came, in order.
type seen struct {
	Relais bool     `json:"relais"` // it is Relais that answers
	Heard  []string `json:"heard"`
}

// check takes the callbacks of a check's messages, and answers the check itself, which signs its
// question as Twilio would.
func (h *hooks) check(_ context.Context, w http.ResponseWriter, k hook) {
	if len(k.checked) > maxCheck {
		http.Error(w, "no such check", http.StatusNotFound)
		return
	}
	if k.form.Get("Ask") == "" {
		status := k.form.Get("MessageStatus") + k.form.Get("CallStatus")
		if len(status) <= maxCheck {
			h.checks.note(k.checked, status)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(seen{true, h.checks.of(k.checked)})
}

// checkVoice is what a check's call says.
func (h *hooks) checkVoice(_ context.Context, w http.ResponseWriter, k hook) {
	if len(k.checked) > maxCheck {
		http.Error(w, "no such check", http.StatusNotFound)
		return
	}
	h.checks.note(k.checked, "voice")
	response{
		Says:   []saying{speak(engine.French, "Ceci est un essai de Relais. Tout fonctionne."), speak(engine.English, "This is a test of Relais. Everything works.")},
		Hangup: &empty{},
	}.send(w)
}
