package sandbox

import "time"

// The sandbox's own pages talk to it under /sandbox/api, in JSON:
//
//	GET  /sandbox/api/state                                  State
//	GET  /sandbox/api/events                                 server-sent events: "thread" (Thread), "dme" (Record), both whole
//	POST /sandbox/api/threads/{id}/text      {"text":"OUI"}  the person writes an SMS
//	POST /sandbox/api/mail/{id}              {"text":"OUI"}  the person answers a mail
//	POST /sandbox/api/calls/{sid}/answer                     picks up
//	POST /sandbox/api/calls/{sid}/press      {"key":"1"}; a word is spoken instead
//	POST /sandbox/api/calls/{sid}/hangup
//	POST /sandbox/api/calls/{sid}/voicemail                  lets an answering machine pick up
//	POST /sandbox/api/carrier                Carrier         sets the carrier's faults
//	POST /sandbox/api/dme/{clinic}/appointments/{id}/cancel
//	POST /sandbox/api/dme/{clinic}/slots/{id}/book           somebody books by phone at the clinic
//	POST /sandbox/api/dme/{clinic}/fault     {"fault":"down"}  one of Faults; "" heals
//	POST /sandbox/api/trickle                {"on":true}
//
// Every POST answers 204, or a JSON {"error": "sentence"} with a 4xx status.

// State is everything the sandbox's pages show.
type State struct {
	Threads []Thread `json:"threads"`
	Records []Record `json:"records"`
	Carrier Carrier  `json:"carrier"`
	Trickle bool     `json:"trickle"`
}

// Thread is one person's phone and mailbox.
type Thread struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Phone string    `json:"phone"`
	Email string    `json:"email"`
	Lang  string    `json:"lang"`
	Last  time.Time `json:"last"`
	Items []Item    `json:"items"` // oldest first, at most the last 50
}

// Item is one message or call.
type Item struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // sms, email, call
	Mine    bool      `json:"mine"` // written by the person
	Subject string    `json:"subject,omitempty"`
	Text    string    `json:"text"`               // the exact SMS; the plain part of a mail
	HTML    string    `json:"html,omitempty"`     // of a mail; shown in a sandboxed frame
	Links   []string  `json:"links,omitempty"`    // found in the text
	Files   []File    `json:"files,omitempty"`    // of a mail
	ReplyTo string    `json:"reply_to,omitempty"` // of a mail: where an answer goes
	Leave   string    `json:"leave,omitempty"`    // of a mail: where one click unsubscribes (RFC 8058)
	Status  string    `json:"status"`             // queued, sent, delivered, failed; calls: ringing, live, ended, missed
	Said    []Line    `json:"said,omitempty"`     // of a call, what was said and pressed
	// Callback is where the carrier reports on a text or call of Relais: its path names the attempt.
	Callback string `json:"-"`
}

// File is an attachment of a mail.
type File struct {
	Name string `json:"name"`
	Kind string `json:"kind"`           // media type
	Text string `json:"text,omitempty"` // of a text of at most 32 kB
}

// Line is one utterance of a call.
type Line struct {
	At  time.Time `json:"at"`
	Who string    `json:"who"` // relais, person, machine
	Say string    `json:"say"`
}

// Carrier is the carrier's behaviour.
type Carrier struct {
	Down       bool `json:"down"`        // answers 503
	FailShare  int  `json:"fail_share"`  // percent of messages that fail after acceptance
	DelayMilli int  `json:"delay_milli"` // before delivery
}

// Faults that the record system can be given.
var Faults = []string{"down", "errors", "busy", "unauthorized", "forbidden", "slow", "trickle", "garbage", "half", "huge", "empty", "skewed"}

// Record is one clinic's record system.
type Record struct {
	Clinic        string        `json:"clinic"`
	Name          string        `json:"name"`
	Fault         string        `json:"fault"`
	Practitioners []Named       `json:"practitioners"`
	Appointments  []Appointment `json:"appointments"` // from today on, by time
	Changed       time.Time     `json:"changed"`
}

// Named is an identifier with the name people use.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Appointment is a slot of the record system with what occupies it.
type Appointment struct {
	Slot         string    `json:"slot"`
	ID           string    `json:"id,omitempty"` // of the appointment; "" when the slot is free
	Practitioner string    `json:"practitioner"`
	Start        time.Time `json:"start"`
	End          time.Time `json:"end"`
	Status       string    `json:"status"` // booked, free, cancelled, blocked
	Patient      string    `json:"patient,omitempty"`
	Relais       bool      `json:"relais,omitempty"` // written by Relais
}
