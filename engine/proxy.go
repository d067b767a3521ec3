package engine

import "time"

// ProxyID names a proxy of one patient.
type ProxyID string

// Proxy is somebody who answers for a patient (proche). Their addresses are contacts of the patient that
// carry the proxy's identifier, each with a consent of its own.
type Proxy struct {
	ID       ProxyID   `json:"id"`
	Name     string    `json:"name"`
	Relation string    `json:"relation"`         // in the words of who wrote it down, for example "fille"
	Lang     Lang      `json:"lang,omitempty"`   // empty: the patient's
	Since    time.Time `json:"since"`            // when it was written down
	Chosen   bool      `json:"chosen,omitempty"` // offers go to the chosen proxies and not to the patient
	Archived time.Time `json:"archived,omitzero"`
}

// Note is free text about a patient, for the front desk only. It never leaves the store but to the desk.
type Note struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	By   UserID    `json:"by"`
	Text string    `json:"text"`
}

// Edit says who changed a record last by hand, and how often that happened. What changes by itself (an
// offer, a bounce, the record system) is no edit.
type Edit struct {
	N  uint64    `json:"n"`
	By UserID    `json:"by"`
	At time.Time `json:"at"`
}

// Changed is the cause of a Conflict error that says who was first.
//
//nolint:errname // it says what happened, and is never the error itself
type Changed struct {
	By UserID
	At time.Time
}

func (c *Changed) Error() string {
	return "changed by " + string(c.By) + " at " + c.At.UTC().Format(time.RFC3339)
}

// ChangedBy is a Conflict that says who was first.
func ChangedBy(by UserID, at time.Time, sentence string) *Error {
	return &Error{Code: Conflict, Message: sentence, Err: &Changed{By: by, At: at}}
}

// Answering returns the chosen proxies that are not archived.
func (p Patient) Answering() []Proxy {
	var list []Proxy
	for _, x := range p.Proxies {
		if x.Chosen && x.Archived.IsZero() {
			list = append(list, x)
		}
	}
	return list
}

// Reached returns the contacts that offers go to: those of the chosen proxies, else the patient's own.
// Without proxies that is the patient's own list, not a copy.
func (p Patient) Reached() []Contact {
	if len(p.Proxies) == 0 {
		return p.Contacts
	}
	chosen := map[ProxyID]bool{}
	for _, x := range p.Answering() {
		chosen[x.ID] = true
	}
	if len(chosen) == 0 {
		chosen[""] = true
	}
	list := make([]Contact, 0, len(p.Contacts))
	for _, c := range p.Contacts {
		if chosen[c.Proxy] {
			list = append(list, c)
		}
	}
	return list
}

// Speaks is the language that messages about the patient are written in: the first chosen proxy's, else
// the patient's.
func (p Patient) Speaks() Lang {
	for _, x := range p.Proxies {
		if x.Chosen && x.Archived.IsZero() && x.Lang != "" {
			return x.Lang
		}
	}
	return p.Lang
}
