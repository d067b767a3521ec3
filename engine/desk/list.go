package desk

import (
	"time"

	"relais/engine"
	"relais/engine/duplicate"
	"relais/engine/roster"
)

// Changed says who changed something last, and when.
type Changed struct {
	By engine.UserID `json:"by"`
	At time.Time     `json:"at"`
}

// Proxy is somebody who answers for a patient. Their addresses are contacts of the patient.
type Proxy struct {
	ID       engine.ProxyID `json:"id"`
	Name     string         `json:"name"`
	Relation string         `json:"relation"`
	Lang     engine.Lang    `json:"lang,omitempty" enum:"fr,en" doc:"absent: the patient's"`
	Since    time.Time      `json:"since"`
	Chosen   bool           `json:"chosen" doc:"offers go to the chosen proxies and not to the patient"`
	Archived *time.Time     `json:"archived,omitempty"`
}

// ProxyChange is what the front desk does to one proxy.
type ProxyChange struct {
	Revision uint64         `json:"revision" doc:"of the patient, that the person was looking at"`
	Action   string         `json:"action" enum:"add,correct,archive,choose,release" doc:"choose: offers go to this proxy; release: no longer"`
	ID       engine.ProxyID `json:"id,omitempty" maxLength:"64" doc:"for all but add"`
	Name     string         `json:"name,omitempty" maxLength:"200"`
	Relation string         `json:"relation,omitempty" maxLength:"100"`
	Lang     engine.Lang    `json:"lang,omitempty" enum:"fr,en"`
}

// NoteChange adds a note to a patient, or takes one away.
type NoteChange struct {
	Action string `json:"action" enum:"add,remove"`
	ID     string `json:"id,omitempty" maxLength:"64" doc:"for remove"`
	Text   string `json:"text,omitempty" maxLength:"2000" doc:"for add; only the front desk reads it"`
}

// Note is one note about a patient.
type Note struct {
	ID   string        `json:"id"`
	At   time.Time     `json:"at"`
	By   engine.UserID `json:"by"`
	Text string        `json:"text"`
}

// PatientChange is who a patient is, as the front desk writes it anew.
type PatientChange struct {
	Revision uint64        `json:"revision" doc:"of the patient, that the person was looking at"`
	Given    string        `json:"given" minLength:"1" maxLength:"100"`
	Family   string        `json:"family" minLength:"1" maxLength:"100"`
	Lang     engine.Lang   `json:"lang" enum:"fr,en"`
	Born     string        `json:"born,omitempty" format:"date" doc:"absent: not known"`
	Source   string        `json:"source" minLength:"1" maxLength:"200" doc:"the record system's reference"`
	Hours    *engine.Hours `json:"hours,omitempty" doc:"when messages may come, in minutes from midnight; absent: the clinic's hours"`
}

// Wish is what a patient waits for.
type Wish struct {
	Specialty     engine.Specialty        `json:"specialty" minLength:"1" maxLength:"100"`
	Practitioners []engine.PractitionerID `json:"practitioners,omitempty" maxItems:"50" doc:"none: anyone"`
	Windows       []engine.Window         `json:"windows,omitempty" maxItems:"50" doc:"none: any time"`
	Availability  string                  `json:"availability,omitempty" maxLength:"500" doc:"instead of windows, in words"`
	English       string                  `json:"availability_en,omitempty" readOnly:"true" doc:"the windows in English words"`
	Places        []engine.PlaceID        `json:"places,omitempty" maxItems:"50" doc:"only these; none: any, within radius_km of the home"`
	PostalCode    string                  `json:"postal_code,omitempty" maxLength:"10" doc:"sets the home anew"`
	Located       bool                    `json:"located,omitempty" doc:"a home is known; absent with no postal code takes it away"`
	Home          *engine.Point           `json:"-"`
	RadiusKm      float64                 `json:"radius_km,omitempty" minimum:"0" maximum:"1000"`
	NotBefore     string                  `json:"not_before,omitempty" format:"date" doc:"first day that would do"`
	NotAfter      string                  `json:"not_after,omitempty" format:"date" doc:"last day that would do"`
	NoticeMinutes int                     `json:"notice_minutes,omitempty" minimum:"0" maximum:"20160"`
	Class         int                     `json:"class" minimum:"0" maximum:"9"`
}

// EntryChange is what the front desk does to one entry of the waitlist.
type EntryChange struct {
	Revision uint64 `json:"revision" doc:"of the entry, that the person was looking at"`
	Action   string `json:"action" enum:"edit,snooze,wake,archive,restore"`
	Wish     *Wish  `json:"wish,omitempty" doc:"for edit"`
	Until    string `json:"until,omitempty" format:"date" doc:"for snooze: the first day on which offers come again; absent: until somebody ends it"`
}

// ListQuery looks for entries of a waitlist.
type ListQuery struct {
	Search string             `json:"search,omitempty" maxLength:"100" doc:"part of a name, a record number or a telephone number"`
	Status engine.EntryStatus `json:"status,omitempty" enum:"waiting,snoozed,claimed,placed,left" doc:"absent: any"`
	After  engine.EntryID     `json:"after,omitempty" maxLength:"128" doc:"next of the page before"`
	Limit  int                `json:"limit,omitempty" minimum:"1" maximum:"200" default:"50"`
}

// ListPage is one page of what was found, by name.
type ListPage struct {
	People []Person                   `json:"people" nullable:"false"`
	Found  int                        `json:"found" doc:"on all pages"`
	Counts map[engine.EntryStatus]int `json:"counts" doc:"of the whole list, by status"`
	Next   engine.EntryID             `json:"next,omitempty" doc:"pass it as after for the next page; absent on the last one"`
}

// Twins are two patients who may be one.
type Twins struct {
	A       PersonLine         `json:"a"`
	B       PersonLine         `json:"b"`
	Reasons []duplicate.Reason `json:"reasons" nullable:"false"`
	Sure    bool               `json:"sure" doc:"false: they may be relatives who share an address"`
}

// PersonLine is a patient in a line.
type PersonLine struct {
	Patient  engine.PatientID `json:"patient"`
	Revision uint64           `json:"revision"`
	Name     string           `json:"name"`
	Born     string           `json:"born,omitempty"`
	Source   string           `json:"source"`
	Contacts int              `json:"contacts"`
	Offers   int              `json:"offers" doc:"of the last 30 days"`
	Open     int              `json:"open" doc:"entries on the list"`
	Edited   *Changed         `json:"edited,omitempty"`
}

// MergeRequest makes one record of two, or says that they are two people.
type MergeRequest struct {
	Other         engine.PatientID `json:"other" maxLength:"128"`
	Revision      uint64           `json:"revision" doc:"of the patient who stays"`
	OtherRevision uint64           `json:"other_revision"`
	Action        string           `json:"action" enum:"preview,merge,distinct" doc:"preview changes nothing; distinct notes that they are two people"`
}

// Merge is what two records become, or became.
type Merge struct {
	Done      bool             `json:"done"`
	Keep      engine.PatientID `json:"keep"`
	Name      string           `json:"name"`
	Born      string           `json:"born,omitempty"`
	Source    string           `json:"source"`
	Contacts  []Contact        `json:"contacts" nullable:"false"`
	Proxies   int              `json:"proxies"`
	Notes     int              `json:"notes"`
	Offers    int              `json:"offers" doc:"of the last 30 days, of both"`
	Entries   []MergeEntry     `json:"entries" nullable:"false" doc:"those that change"`
	Differ    []MergeField     `json:"differ" nullable:"false" doc:"fields that the two fill in differently"`
	Hindrance string           `json:"hindrance,omitempty" enum:"offer,booking" doc:"why it cannot be done now: the record that goes has an open offer, or a booking is being written"`
}

// MergeEntry is an entry that a merge changes.
type MergeEntry struct {
	Specialty engine.Specialty `json:"specialty"`
	Joined    time.Time        `json:"joined"`
	Class     int              `json:"class"`
	Becomes   string           `json:"becomes" enum:"kept,moved,closed"`
}

// MergeField is a field that two records fill in differently.
type MergeField struct {
	Field duplicate.Field `json:"field" enum:"given,family,born,lang,source,sooner,hours"`
	Kept  string          `json:"kept"`
	Other string          `json:"other" doc:"stays on the timeline"`
}

// Import is what a file comes to, or came to.
type Import struct {
	Done      bool         `json:"done" doc:"false: it was only looked at"`
	Lines     []ImportLine `json:"lines" nullable:"false" doc:"in the order of the file"`
	Ignored   []string     `json:"ignored" nullable:"false" doc:"headings that are no column of ours"`
	New       int          `json:"new"`
	Update    int          `json:"update"`
	Same      int          `json:"same"`
	Bad       int          `json:"bad"`
	Duplicate int          `json:"duplicate" doc:"lines of people who are on the list under another record number; they are left out"`
}

// ImportLine is one line of a file.
type ImportLine struct {
	Line   int           `json:"line" doc:"in the file; the headings are 1"`
	Name   string        `json:"name,omitempty"`
	Does   string        `json:"does" enum:"new,update,same,duplicate,bad"`
	Alters []string      `json:"alters,omitempty" doc:"what an update alters, by column"`
	Like   string        `json:"like,omitempty" doc:"somebody else on the list who may be the same person"`
	Faults []ImportFault `json:"faults,omitempty"`
}

// ImportFault is why a line cannot be used.
type ImportFault struct {
	Column roster.Column `json:"column,omitempty"`
	Why    roster.Why    `json:"why" enum:"missing,too_long,invalid,unknown,shape,repeated"`
	Cell   string        `json:"cell,omitempty" doc:"what stands there, at most 80 characters"`
}
