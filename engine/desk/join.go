package desk

import (
	"time"

	"relais/engine"
)

// Door is what the page shows where people put themselves on a clinic's list.
type Door struct {
	Clinic        engine.ClinicID
	Name          string
	Address       string
	Phone         string
	Lang          engine.Lang
	Practitioners []engine.Practitioner
	Places        []engine.Place
	Born          bool // the date of birth is needed
	Open          bool // people may join by themselves
}

// FieldError is the cause of an engine.Invalid error that one field of a patient's form is to blame for.
type FieldError struct{ Field string }

func (w *FieldError) Error() string { return "field " + w.Field }

// Wrong is the error of a field that cannot be taken as it is.
func Wrong(field, sentence string) *engine.Error {
	return &engine.Error{Code: engine.Invalid, Message: sentence, Err: &FieldError{field}}
}

// The fields that an error may name.
const (
	FieldName      = "name"
	FieldContact   = "contact"
	FieldPhone     = "phone"
	FieldEmail     = "email"
	FieldBorn      = "born"
	FieldConsent   = "consent"
	FieldSpecialty = "specialty"
	FieldPostal    = "postal"
	FieldWhen      = "when"
	FieldUntil     = "until"
)

// JoinRequest is what somebody says who puts themselves, or a relative, on the list.
type JoinRequest struct {
	Given         string                  `json:"given"`
	Family        string                  `json:"family"`
	Lang          engine.Lang             `json:"lang"`
	Born          string                  `json:"born,omitempty"` // 1958-03-21
	Phone         string                  `json:"phone,omitempty"`
	Email         string                  `json:"email,omitempty"`
	Calls         bool                    `json:"calls,omitempty"` // calls to the same number are welcome too
	Specialty     engine.Specialty        `json:"specialty"`
	Practitioners []engine.PractitionerID `json:"practitioners,omitempty"`
	Places        []engine.PlaceID        `json:"places,omitempty"`
	PostalCode    string                  `json:"-"`
	Home          *engine.Point           `json:"home,omitempty"`
	RadiusKm      float64                 `json:"radius_km,omitempty"`
	Windows       []engine.Window         `json:"windows,omitempty"`
	Availability  string                  `json:"-"` // in words, besides the windows
	NoticeMinutes int                     `json:"notice_minutes,omitempty"`
	Consent       string                  `json:"consent"` // version of the text that was agreed to
	Key           string                  `json:"-"`       // of one press of the form; the same twice joins once
	// Of a proxy: who answers for the person.
	ProxyName string `json:"proxy_name,omitempty"`
	Relation  string `json:"relation,omitempty"`
}

// JoinResult says what showing a contact came to.
type JoinResult string

// The results.
const (
	JoinProven  JoinResult = "proven"
	JoinWrong   JoinResult = "wrong"   // not the code; more tries are left
	JoinOver    JoinResult = "over"    // no tries left, or the time is over
	JoinAlready JoinResult = "already" // it was proven before
)

// Joining is somebody who put themselves on the list and whom the front desk links with the record system.
type Joining struct {
	Entry     engine.EntryID   `json:"entry"`
	Patient   engine.PatientID `json:"patient"`
	Name      string           `json:"name"`
	Born      string           `json:"born,omitempty" format:"date"`
	Lang      engine.Lang      `json:"lang" enum:"fr,en"`
	Contacts  []Contact        `json:"contacts" nullable:"false"`
	Specialty engine.Specialty `json:"specialty"`
	Joined    time.Time        `json:"joined"`
	Relation  string           `json:"relation,omitempty" doc:"who signed the person up, when that was somebody else"`
	Source    string           `json:"source,omitempty" doc:"what the record system calls the person, when that is known already"`
}

// Quiet is somebody who did not answer, twice, whether they are still looking.
type Quiet struct {
	Entry   engine.EntryID   `json:"entry"`
	Patient engine.PatientID `json:"patient"`
	Name    string           `json:"name"`
	Asked   time.Time        `json:"asked" doc:"the last time"`
}

// Newcomers is what people did by themselves and the front desk looks at.
type Newcomers struct {
	Open    bool      `json:"open" doc:"people may join by the clinic's link"`
	Link    string    `json:"link" doc:"where they do"`
	Joining []Joining `json:"joining" nullable:"false" doc:"the one that waits longest first; at most 200"`
	Quiet   []Quiet   `json:"quiet" nullable:"false" doc:"at most 200"`
}

// JoinDecision is what the front desk says of somebody who joined.
type JoinDecision struct {
	Action string `json:"action" enum:"link,refuse"`
	Source string `json:"source,omitempty" maxLength:"200" doc:"for link: the record system's reference, for example Patient/17"`
}

// Found is what the record system's search says of somebody who joined.
type Found struct {
	Sources []string `json:"sources" nullable:"false" doc:"who has this name, this date of birth and one of these contacts"`
	Can     bool     `json:"can" doc:"the record system can be searched"`
}
