package fhir

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"relais/engine"
)

// learnEvery is how long what was learned of a server is believed; servers are upgraded.
const learnEvery = time.Hour

// abilities is what the record system was found to allow.
type abilities struct {
	transactions bool // a transaction Bundle is carried out whole or not at all
	conditional  bool // If-Match is declared for slots, or was seen to stop a write
	changes      bool // _lastUpdated narrows a search
	hooks        bool // subscriptions can be asked for
	history      bool // a type's history can be read from a time on, and shows what was deleted
	topics       []string
	at           time.Time
}

// statement is what is read of a CapabilityStatement.
type statement struct {
	Type string `json:"resourceType"`
	Rest []struct {
		Resource []struct {
			Type        string `json:"type"`
			Versioning  string `json:"versioning"`
			Interaction []code `json:"interaction"`
			Extension   []struct {
				URL   string `json:"url"`
				Value string `json:"valueCanonical"`
			} `json:"extension"`
		} `json:"resource"`
		Interaction []code `json:"interaction"`
	} `json:"rest"`
}

type code struct {
	Code string `json:"code"`
}

// topicExtension lists the topics that can be subscribed to (HL7 Subscriptions R5 Backport 1.1).
const topicExtension = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capability-subscriptiontopic-canonical"

// can returns what the record system allows. It is learned at the first need and once an hour;
// when it cannot be learned again, what was known stays.
func (c *Client) can(ctx context.Context) (abilities, error) {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	now := c.cfg.Now()
	if known != nil && now.Sub(known.at) < learnEvery {
		return *known, nil
	}
	fresh, err := c.learn(ctx)
	if err != nil {
		if known != nil {
			return *known, nil
		}
		return abilities{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known = c.known; known != nil {
		fresh.conditional = fresh.conditional || known.conditional // seen with our own eyes
	}
	fresh.at = now
	c.known = &fresh
	return fresh, nil
}

// change corrects what is known of the record system by what was seen.
func (c *Client) change(f func(*abilities)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known != nil {
		now := *c.known
		f(&now)
		c.known = &now
	}
}

// learn reads the CapabilityStatement and tries what it leaves open. Nothing is written.
func (c *Client) learn(ctx context.Context) (abilities, error) {
	s, err := c.statement(ctx)
	if err != nil {
		return abilities{}, err
	}
	var a abilities
	var whole, types bool // interactions of the whole system are declared; types are
	histories := 0        // types whose history is declared
	for _, rest := range s.Rest {
		whole = whole || len(rest.Interaction) > 0
		a.transactions = a.transactions || slices.Contains(rest.Interaction, code{"transaction"})
		for _, r := range rest.Resource {
			types = true
			if slices.Contains(historyTypes[:], r.Type) && slices.Contains(r.Interaction, code{"history-type"}) {
				histories++
			}
			switch r.Type {
			case "Slot":
				a.conditional = r.Versioning == "versioned-update"
			case "Subscription":
				a.hooks = slices.Contains(r.Interaction, code{"create"})
				for _, e := range r.Extension {
					if e.URL == topicExtension && e.Value != "" {
						a.topics = append(a.topics, e.Value)
					}
				}
			}
		}
	}
	if !types {
		a.hooks = true // not said: asking shows
	}
	if !whole {
		if a.transactions, err = c.takesTransactions(ctx); err != nil {
			return abilities{}, err
		}
	}
	if c.cfg.NoTransactions {
		a.transactions = false
	}
	if a.changes, err = c.narrows(ctx); err != nil {
		return abilities{}, err
	}
	if !types || histories == len(historyTypes) {
		a.history, err = c.remembers(ctx)
	}
	return a, err
}

// statement reads what the server declares. A server that has no statement declares nothing.
func (c *Client) statement(ctx context.Context) (statement, error) {
	var s statement
	r, err := c.do(ctx, call{method: http.MethodGet, path: "metadata"})
	if err != nil {
		return s, looked(err)
	}
	if r.status >= 300 {
		return s, nil
	}
	if json.Unmarshal(r.body, &s) != nil || s.Type != "CapabilityStatement" {
		return s, failure(engine.DMEMalformed, "The record system does not say what it can do.")
	}
	return s, nil
}

// takesTransactions tries a transaction that only reads.
func (c *Client) takesTransactions(ctx context.Context) (bool, error) {
	_, err := c.transact(ctx, []entry{{Request: &request{Method: http.MethodGet, URL: "Slot?_count=1"}}})
	if err == nil {
		return true, nil
	}
	switch f := fault(err); f { //nolint:exhaustive // the rest says nothing about transactions
	case engine.DMERejected, engine.DMEMalformed, engine.DMEConflict, engine.DMEError: // the last is 501 to some
		return false, nil
	default:
		return false, err
	}
}

// narrows tries whether _lastUpdated is understood: nothing was written in the far future.
func (c *Client) narrows(ctx context.Context) (bool, error) {
	r, err := c.do(ctx, call{method: http.MethodGet, path: "Slot", query: url.Values{
		"_lastUpdated": {"ge" + stamp(c.cfg.Now().AddDate(50, 0, 0))}, "_count": {"1"},
	}})
	if fault(err) == engine.DMERejected {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if r.status >= 300 {
		return false, failure(engine.DMEMalformed, "The record system does not know Slot (%d); is the base URL right?", r.status)
	}
	b, err := readBundle(r.body, "searchset")
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(b.Entry, func(e entry) bool { return e.Search == nil || e.Search.Mode != "outcome" }), nil
}

// Modes says how this record system is worked with; nothing before it was first reached.
func (c *Client) Modes() []engine.DMEMode {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		return nil
	}
	a := *c.known
	return []engine.DMEMode{
		mode("push", c.push, c.push == pushNone, map[string]string{
			pushNone:  "The record system tells us of no change; each one is found by the next look.",
			pushHook:  "The record system tells us at once that something changed, and we look.",
			pushTopic: "The record system tells us at once that something changed, and counts what it tells, so a lost notification is noticed.",
		}),
		choose("changes", a.changes, "_lastUpdated", "Each look reads only what changed since the one before.",
			"full looks", "The record system cannot be asked for what changed, so each look reads the whole schedule."),
		choose("deletions", a.history, "history", "The record system's history shows within seconds what was deleted; each is looked up again.",
			"full looks", "A slot or appointment that is deleted, not cancelled, is noticed by the full look that comes every few minutes."),
		choose("booking", a.transactions, "transaction", "A booking is written in one piece or not at all.",
			"steps", "A booking is written step by step: the slot is held, the appointment written, the slot made busy; what fails half-way is taken back."),
		choose("conflict", a.conditional, "If-Match", "A write is refused when the slot changed since it was read.",
			"read, write, read again", "Nothing stops two writers at the same moment; after each booking the slot is read again, and ours is taken back when it is not alone."),
	}
}

func mode(what, is string, weak bool, sentences map[string]string) engine.DMEMode {
	return engine.DMEMode{What: what, Mode: is, Weak: weak, Sentence: sentences[is]}
}

func choose(what string, is bool, strong, why, weak, whyWeak string) engine.DMEMode {
	if is {
		return engine.DMEMode{What: what, Mode: strong, Sentence: why}
	}
	return engine.DMEMode{What: what, Mode: weak, Weak: true, Sentence: whyWeak}
}
