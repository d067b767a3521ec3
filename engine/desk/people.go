package desk

import (
	"time"

	"relais/engine"
)

// Contact is one address of a patient, for the front desk.
type Contact struct {
	Index    int                  `json:"index" doc:"its place in the patient's order of preference"`
	Channel  engine.Channel       `json:"channel" enum:"sms,voice,email"`
	Address  string               `json:"address" doc:"number in E.164 form, or mail address"`
	Usable   bool                 `json:"usable"`
	Consent  *time.Time           `json:"consent,omitempty"`
	Proof    string               `json:"proof,omitempty" doc:"how consent was given"`
	OptedOut *time.Time           `json:"opted_out,omitempty"`
	Asked    *time.Time           `json:"asked,omitempty" doc:"when the patient was asked by text to confirm; without consent after 7 days the question is void"`
	Question engine.OutcomeStatus `json:"question,omitempty" enum:"accepted,failed,unknown" doc:"what handing over that question came to; absent: not yet"`
	Bad      engine.Reason        `json:"bad,omitempty" doc:"why the carrier says it does not work"`
	BadAt    *time.Time           `json:"bad_at,omitempty" doc:"since when; absent when it is not known"`
	Archived *time.Time           `json:"archived,omitempty" doc:"taken out of use by the front desk"`
	Proxy    engine.ProxyID       `json:"proxy,omitempty" doc:"whose address it is; absent: the patient's own"`
}

// Broken is a contact that no longer works and that nobody dealt with.
type Broken struct {
	Patient engine.PatientID `json:"patient"`
	Name    string           `json:"name"`
	Contact Contact          `json:"contact"`
	Left    int              `json:"left" doc:"other contacts of the patient that work; 0: nothing reaches them"`
}

// PastOffer is one offer that a patient had.
type PastOffer struct {
	Slot       engine.SlotID         `json:"slot"`
	Start      time.Time             `json:"start" doc:"of the slot"`
	With       engine.PractitionerID `json:"with,omitempty"`
	At         time.Time             `json:"at" doc:"when it was offered"`
	Status     string                `json:"status" doc:"empty: the slot is not known any more"`
	Replied    *time.Time            `json:"replied,omitempty"`
	By         engine.Channel        `json:"by,omitempty"`
	Deliveries []Delivery            `json:"deliveries" nullable:"false"`
}

// Record is everything about one patient at the front desk.
type Record struct {
	Patient  engine.PatientID `json:"patient"`
	Name     string           `json:"name"`
	Lang     engine.Lang      `json:"lang" enum:"fr,en"`
	Source   string           `json:"source"`
	Contacts []Contact        `json:"contacts" nullable:"false"`
	Entries  []Person         `json:"entries" nullable:"false"`
	Offers   []PastOffer      `json:"offers" nullable:"false" doc:"of the last 30 days, the latest first"`
	Events   []Event          `json:"events" nullable:"false" doc:"what was done to the contacts and the wishes, and by whom"`
	Sooner   *Sooner          `json:"sooner,omitempty" doc:"consent to be offered earlier times for any appointment; absent: none"`
	Given    string           `json:"given"`
	Family   string           `json:"family"`
	Born     string           `json:"born,omitempty"`
	Hours    *engine.Hours    `json:"hours,omitempty"`
	Proxies  []Proxy          `json:"proxies" nullable:"false"`
	Notes    []Note           `json:"notes" nullable:"false" doc:"the latest first"`
	Revision uint64           `json:"revision" doc:"to send back with a change"`
	Edited   *Changed         `json:"edited,omitempty" doc:"by hand, the last time"`
	Into     engine.PatientID `json:"into,omitempty" doc:"the record that this one was merged into"`
	Merged   int              `json:"merged,omitempty" doc:"records that were merged into this one"`
}

// Sooner is a patient's consent to be offered earlier times for any appointment that the record system
// shows.
type Sooner struct {
	At            *time.Time       `json:"at,omitempty" doc:"since when" readOnly:"true"`
	Proof         string           `json:"proof" minLength:"1" maxLength:"200" doc:"how consent was given"`
	Windows       []engine.Window  `json:"windows,omitempty" maxItems:"50" doc:"none: any time"`
	Availability  string           `json:"availability,omitempty" doc:"instead of windows, in words: mardi matin, jeudi après 15 h" maxLength:"500"`
	Places        []engine.PlaceID `json:"places,omitempty" maxItems:"50" doc:"none: where the appointment is"`
	Anyone        bool             `json:"anyone,omitempty" doc:"another practitioner of the specialty would do"`
	NoticeMinutes int              `json:"notice_minutes,omitempty" minimum:"0" maximum:"20160"`
	Class         int              `json:"class,omitempty" minimum:"0" maximum:"9"`
}

// SoonerChange sets that consent, or withdraws it.
type SoonerChange struct {
	Consent *Sooner `json:"consent,omitempty" doc:"absent: it is withdrawn"`
}

// ContactChange is what the front desk does to one contact.
type ContactChange struct {
	Action  string         `json:"action" enum:"add,correct,archive"`
	Index   int            `json:"index,omitempty" minimum:"0" doc:"for correct and archive"`
	Was     string         `json:"was,omitempty" maxLength:"254" doc:"for correct and archive: the address that the person was looking at"`
	Channel engine.Channel `json:"channel,omitempty" enum:"sms,voice,email" doc:"for add"`
	Address string         `json:"address,omitempty" maxLength:"254" doc:"for add and correct: national or E.164 number, or mail address"`
	Proof   string         `json:"proof,omitempty" maxLength:"200" doc:"for add and correct: how consent was given"`
	Proxy   engine.ProxyID `json:"proxy,omitempty" maxLength:"64" doc:"for add: the proxy whose address it is"`
	Confirm bool           `json:"confirm,omitempty" doc:"for add and correct of a number for texts, instead of proof: the patient is asked by text, and their yes is the consent"`
}

// UnreadEnd settles one Unread.
type UnreadEnd struct {
	ID       string        `json:"id" minLength:"1" maxLength:"256"`
	Revision uint64        `json:"revision" doc:"the revision of the message the person was looking at"`
	Text     string        `json:"text,omitempty" doc:"what is sent to the person" maxLength:"300"`
	Decision engine.Intent `json:"decision,omitempty" enum:"yes,no" doc:"answers the offer on behalf of the person"`
}

// UnreadOutcome is what settling came to.
type UnreadOutcome struct {
	Settled bool              `json:"settled" doc:"false: the answer on behalf came too late; the message is still there"`
	Answer  engine.AnswerKind `json:"answer,omitempty" doc:"what the answer on behalf came to"`
}
