package fhir

import (
	"encoding/json"
	"slices"
	"strconv"

	"relais/engine"
)

// notice is what a notification of the R5 Backport says of itself: in R4B a SubscriptionStatus, in
// R4 the same as Parameters (HL7 Subscriptions R5 Backport 1.1, "Topic-Based Subscriptions").
type notice struct {
	subscription string
	events       []uint64 // the numbers of the events that it tells of
	sum          uint64   // events since the subscription began
	start        bool     // a handshake: the count begins here
}

// missed says whether the count of a subscription's events shows that one was lost. The first
// notification since the start shows nothing: a complete look comes with the start.
func (h *hook) missed(c engine.ClinicID, body []byte) bool {
	n, ok := readNotice(body)
	if !ok {
		return false
	}
	key := string(c) + " " + n.subscription
	h.mu.Lock()
	defer h.mu.Unlock()
	last, known := h.counts[key]
	if !known && len(h.counts) >= maxHooked {
		clear(h.counts)
	}
	newest := max(n.sum, last)
	if len(n.events) > 0 {
		newest = max(last, slices.Max(n.events))
	}
	if n.start {
		newest = n.sum
	}
	h.counts[key] = newest
	if !known || n.start {
		return false
	}
	// What lies between the last event that was told and the newest one must be in this very notice.
	told := uint64(0)
	for _, e := range slices.Compact(slices.Sorted(slices.Values(n.events))) {
		if e > last {
			told++
		}
	}
	return newest-last != told
}

// number is an integer64, which JSON carries as text, or a count as a number.
type number string

// UnmarshalJSON takes both forms.
func (n *number) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	*n = number(text)
	return nil
}

func (n number) value() (uint64, bool) {
	v, err := strconv.ParseUint(string(n), 10, 63)
	return v, err == nil
}

type parameter struct {
	Name      string      `json:"name"`
	Code      string      `json:"valueCode"`
	Text      number      `json:"valueString"`
	Count     number      `json:"valueInteger"`
	Unsigned  number      `json:"valueUnsignedInt"`
	Reference ref         `json:"valueReference"`
	Part      []parameter `json:"part"`
}

func (p parameter) number() (uint64, bool) {
	for _, n := range []number{p.Text, p.Count, p.Unsigned} {
		if v, ok := n.value(); ok {
			return v, true
		}
	}
	return 0, false
}

type status struct {
	Type         string `json:"resourceType"`
	Kind         string `json:"type"`
	Subscription ref    `json:"subscription"`
	Sum          number `json:"eventsSinceSubscriptionStart"`
	Events       []struct {
		Number number `json:"eventNumber"`
	} `json:"notificationEvent"`
	Parameters []parameter `json:"parameter"`
}

// readNotice reads the status that comes first in a notification's Bundle; ok is false for anything
// else.
func readNotice(body []byte) (n notice, ok bool) {
	var b bundle
	if json.Unmarshal(body, &b) != nil || b.ResourceType != "Bundle" || len(b.Entry) == 0 {
		return n, false
	}
	var s status
	if json.Unmarshal(b.Entry[0].Resource, &s) != nil {
		return n, false
	}
	switch s.Type {
	case "SubscriptionStatus":
		n.subscription, n.start = s.Subscription.Reference, s.Kind == "handshake"
		for _, e := range s.Events {
			if v, is := e.Number.value(); is {
				n.events = append(n.events, v)
			}
		}
		n.sum, ok = s.Sum.value()
	case "Parameters":
		n, ok = fromParameters(s.Parameters)
	}
	return n, n.subscription != "" && (ok || len(n.events) > 0)
}

func fromParameters(list []parameter) (n notice, ok bool) {
	for _, p := range list {
		switch p.Name {
		case "subscription":
			n.subscription = p.Reference.Reference
		case "type":
			n.start = p.Code == "handshake"
		case "events-since-subscription-start":
			n.sum, ok = p.number()
		case "notification-event":
			for _, part := range p.Part {
				if v, is := part.number(); part.Name == "event-number" && is {
					n.events = append(n.events, v)
				}
			}
		}
	}
	return n, ok
}
