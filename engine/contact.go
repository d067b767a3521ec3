package engine

import (
	"fmt"
	"log/slog"
	"time"
)

// Lang is a language people are served in.
type Lang string

// The languages of Quebec's clinics. French is the default everywhere.
const (
	French  Lang = "fr"
	English Lang = "en"
)

// Channel is a way to reach a person.
type Channel string

// The channels.
const (
	SMS       Channel = "sms"
	Voice     Channel = "voice"
	EmailMail Channel = "email"
	Page      Channel = "page" // the patient's link; replies only
	Desk      Channel = "desk" // the front desk on the patient's behalf; replies only
)

// Phone is a telephone number in E.164 form. It prints redacted; convert it to string to use it.
type Phone string

// Email is an e-mail address. It prints redacted; convert it to string to use it.
type Email string

const redacted = "[redacted]"

// String hides the number.
func (Phone) String() string { return redacted }

// GoString hides the number.
func (Phone) GoString() string { return redacted }

// Format hides the number whatever the verb.
func (Phone) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the number.
func (Phone) LogValue() slog.Value { return slog.StringValue(redacted) }

// String hides the address.
func (Email) String() string { return redacted }

// GoString hides the address.
func (Email) GoString() string { return redacted }

// Format hides the address whatever the verb.
func (Email) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the address.
func (Email) LogValue() slog.Value { return slog.StringValue(redacted) }

// Contact is one address of a person on one channel, with the consent to use it.
type Contact struct {
	Channel  Channel   `json:"channel"`
	Phone    Phone     `json:"phone,omitempty"` // for SMS and voice
	Email    Email     `json:"email,omitempty"`
	Consent  time.Time `json:"consent,omitzero"` // zero: no consent, never used
	Proof    string    `json:"proof,omitempty"`  // how consent was given, for example "form 2026-03-02"
	OptedOut time.Time `json:"opted_out,omitzero"`
	// Asked is when a question was ordered whether its owner wants messages there; their yes within
	// ConfirmWithin becomes the consent, and until then there is none.
	Asked    time.Time     `json:"asked,omitzero"`
	Question OutcomeStatus `json:"question,omitempty"` // what handing over the question came to; "": not yet
	Bad      Reason        `json:"bad,omitempty"`      // why the carrier says it does not work
	BadAt    time.Time     `json:"bad_at,omitzero"`    // since when
	Archived time.Time     `json:"archived,omitzero"`  // the front desk took it out of use
	Proxy    ProxyID       `json:"proxy,omitempty"`    // whose address it is; "": the patient's own
}

// ConfirmWithin is how long a question for consent may be answered.
const ConfirmWithin = 7 * 24 * time.Hour

// Asking reports whether a question for consent to the contact waits for its answer.
func (c Contact) Asking(now time.Time) bool {
	return c.Consent.IsZero() && !c.Asked.IsZero() && now.Before(c.Asked.Add(ConfirmWithin)) && c.OptedOut.IsZero() && c.Archived.IsZero()
}

// Usable reports whether messages may be sent to the contact at all.
func (c Contact) Usable() bool {
	return !c.Consent.IsZero() && c.OptedOut.IsZero() && c.Bad == "" && c.Archived.IsZero()
}

// Hours is a daily interval in a person's own zone, in minutes from midnight. From == Until
// means the whole day. It does not wrap round midnight.
type Hours struct {
	From  int `json:"from"`
	Until int `json:"until"`
}

// Patient is somebody who may be offered a slot (citoyen).
type Patient struct {
	ID       PatientID `json:"id"`
	Clinic   ClinicID  `json:"clinic"`
	Given    string    `json:"given"`
	Family   string    `json:"family"`
	Lang     Lang      `json:"lang"`
	Born     time.Time `json:"born,omitzero"`   // the day, at midnight UTC; zero: not known
	Zone     string    `json:"zone,omitempty"`  // IANA; empty: the clinic's
	Hours    *Hours    `json:"hours,omitempty"` // nil: the clinic policy's hours
	Contacts []Contact `json:"contacts"`        // in the patient's order of preference
	Source   string    `json:"source"`          // the record system's reference, for example "Patient/17"
	Offered  []Mark    `json:"offered,omitempty"`
	Sooner   *Sooner   `json:"sooner,omitempty"` // nil: no such consent
	Proxies  []Proxy   `json:"proxies,omitempty"`
	Notes    []Note    `json:"notes,omitempty"`
	Edit     Edit      `json:"edit,omitzero"`
	// Was are the patients that were merged into this one, and Sources what the record system calls them
	// besides Source. Into is the patient that this one was merged into.
	Was     []PatientID `json:"was,omitempty"`
	Sources []string    `json:"sources,omitempty"`
	Into    PatientID   `json:"into,omitempty"`
	// Distinct are patients who look like this one and were said to be somebody else.
	Distinct []PatientID `json:"distinct,omitempty"`
	Links    int         `json:"links,omitempty"` // how often the links to their own page were made void
	Alive    time.Time   `json:"alive,omitzero"`  // last sign of life on their page or to a question; zero: none yet
	Erased   time.Time   `json:"erased,omitzero"` // on request or because it was time: nothing else is known any more
	Still    *Still      `json:"still,omitempty"` // the question whether they are still looking; nil: not asked since they last showed
}

// Still is a question whether somebody is still looking for a slot.
type Still struct {
	Asked time.Time `json:"asked"` // the last time
	Times int       `json:"times"`
}

// Sooner is a patient's consent to be offered an earlier time for any appointment that the record
// system shows, with what the patient said about it.
type Sooner struct {
	At      time.Time     `json:"at"`
	Proof   string        `json:"proof"`             // how it was given, for example "form 2026-03-02"
	Windows []Window      `json:"windows,omitempty"` // empty: any time
	Places  []PlaceID     `json:"places,omitempty"`  // empty: where the appointment is
	Anyone  bool          `json:"anyone,omitempty"`  // another practitioner of the specialty would do
	Notice  time.Duration `json:"notice,omitempty"`  // least time between being asked and the start
	Class   int           `json:"class,omitempty"`   // clinical priority, as Entry.Class
}

// Mark remembers that a slot was offered to a patient, for caps and rotation. Marks older than
// 30 days are dropped.
type Mark struct {
	At    time.Time `json:"at"`
	Slot  SlotID    `json:"slot"`
	Start time.Time `json:"start"` // of the slot
}
