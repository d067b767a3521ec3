package engine

import "time"

// Mode says what Relais does by itself at a clinic.
type Mode string

// The modes.
const (
	Automatic Mode = "automatic" // offers leave by themselves
	Approval  Mode = "approval"  // a clerk approves each slot first
	Shadow    Mode = "shadow"    // says what would be sent, sends nothing
)

// Clinic is one place of work with its own zone, languages, policy, front desk and record system.
type Clinic struct {
	ID            ClinicID       `json:"id"`
	Name          string         `json:"name"`
	Address       string         `json:"address"`
	Phone         string         `json:"phone"` // the public number, shown to patients
	Zone          string         `json:"zone"`  // IANA, for example "America/Toronto"
	Lang          Lang           `json:"lang"`  // default language
	Mode          Mode           `json:"mode"`
	ShowDoctor    bool           `json:"show_doctor"` // patient pages may name the practitioner
	Policy        Policy         `json:"policy"`
	Practitioners []Practitioner `json:"practitioners"`
	Places        []Place        `json:"places"`
	Wording       Wording        `json:"wording,omitempty"`  // the texts that the clinic says in its own way
	Join          bool           `json:"join,omitempty"`     // people may put themselves on the list by a public link
	Identity      bool           `json:"identity,omitempty"` // who opens a patient's link gives the date of birth first
	// Still is how long nothing is heard of somebody before they are asked whether they are still looking;
	// 0: nobody is asked.
	Still time.Duration `json:"still,omitempty"`
	// Weekly is where the week's figures go, every Monday; "": nowhere.
	Weekly Email `json:"weekly,omitempty"`
}

// Wording is a clinic's own texts, by topic ("offer", "reply_help"), language and part ("sms",
// "voice", "email"). Package engine/wording holds the topics and parts, and checks the texts.
type Wording map[string]map[Lang]map[string]string

// Practitioner is somebody whose time is booked.
type Practitioner struct {
	ID        PractitionerID `json:"id"`
	Name      string         `json:"name"`
	Specialty Specialty      `json:"specialty"`
	Langs     []Lang         `json:"langs,omitempty"` // served; empty: any
	Ages      *Ages          `json:"ages,omitempty"`  // of the patients seen; nil: any
}

// Ages is a range of whole years on the day of the appointment, both included.
type Ages struct {
	From  int `json:"from"`
	Until int `json:"until"`
}

// Place is where care is given.
type Place struct {
	ID      PlaceID `json:"id"`
	Name    string  `json:"name"`
	Address string  `json:"address"`
	Point   Point   `json:"point"`
}

// Point is a position in degrees (WGS 84).
type Point struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// Window is a time of the week when a patient can come, in the clinic's zone.
type Window struct {
	Days  uint8 `json:"days"`  // bit 0 is Sunday, as time.Weekday
	From  int   `json:"from"`  // minutes from midnight, included
	Until int   `json:"until"` // minutes from midnight, excluded; the slot must end by then
}

// EntryStatus is where a waitlist entry stands.
type EntryStatus string

// The statuses of an entry. Only a waiting entry is offered slots.
const (
	Waiting EntryStatus = "waiting"
	Snoozed EntryStatus = "snoozed"
	Claimed EntryStatus = "claimed" // said yes; the record system has not answered yet
	Placed  EntryStatus = "placed"  // booked
	Left    EntryStatus = "left"
	// Linking is an entry that somebody made for themselves: nothing is offered before the front desk, or
	// the record system, says who of the record system's patients they are.
	Linking EntryStatus = "linking"
)

// Entry is one patient's wish on the waitlist (inscription).
type Entry struct {
	ID            EntryID          `json:"id"`
	Clinic        ClinicID         `json:"clinic"`
	Patient       PatientID        `json:"patient"`
	Status        EntryStatus      `json:"status"`
	Specialty     Specialty        `json:"specialty"`
	Practitioners []PractitionerID `json:"practitioners,omitempty"` // empty: anyone
	Places        []PlaceID        `json:"places,omitempty"`        // empty: any within Radius of Home
	Home          *Point           `json:"home,omitempty"`          // nil with no Places: anywhere
	RadiusKm      float64          `json:"radius_km,omitempty"`
	Windows       []Window         `json:"windows,omitempty"` // empty: any time
	NotBefore     time.Time        `json:"not_before,omitzero"`
	NotAfter      time.Time        `json:"not_after,omitzero"`
	Notice        time.Duration    `json:"notice"` // least time between being asked and the start
	Class         int              `json:"class"`  // clinical priority, 0 is the most pressing
	Joined        time.Time        `json:"joined"`
	Lost          int              `json:"lost,omitempty"`    // claims lost through no fault of the patient; goes first
	Current       *Appointment     `json:"current,omitempty"` // existing later appointment, given up when a slot is won
	Slot          SlotID           `json:"slot,omitempty"`    // the slot claimed or placed
	Auto          bool             `json:"auto,omitempty"`    // made from Current, because the patient consented to be seen sooner
	Tied          bool             `json:"tied,omitempty"`    // Current was found in the record system, under the same consent
	Why           LeftWhy          `json:"why,omitempty"`     // why it left by itself
	Until         time.Time        `json:"until,omitzero"`    // end of a snooze; zero: until somebody ends it
	Edit          Edit             `json:"edit,omitzero"`
	Quiet         bool             `json:"quiet,omitempty"` // snoozed because nobody answered whether they are still looking
}

// LeftWhy is why an entry left the list without anybody's doing. Package engine/waiting decides it.
type LeftWhy string

// The reasons; "" for an entry that is on the list or that somebody took off.
const (
	LeftBooked    LeftWhy = "booked"    // the record system shows the person booked for the same need
	LeftCancelled LeftWhy = "cancelled" // the appointment to be moved is cancelled
	LeftPast      LeftWhy = "past"      // it was time for it
	LeftWithdrawn LeftWhy = "withdrawn" // the consent was
	LeftListed    LeftWhy = "listed"    // another entry stands for the same appointment
	LeftMerged    LeftWhy = "merged"    // its patient was entered twice; another entry goes on
)

// Appointment is a booking that the record system has.
type Appointment struct {
	Source string    `json:"source"` // for example "Appointment/88"
	Start  time.Time `json:"start"`
}

// Slot is one bookable interval of one practitioner at one place (plage horaire).
type Slot struct {
	ID           SlotID         `json:"id"`
	Clinic       ClinicID       `json:"clinic"`
	Source       string         `json:"source"` // the record system's reference, for example "Slot/42"
	Practitioner PractitionerID `json:"practitioner"`
	Place        PlaceID        `json:"place"`
	Specialty    Specialty      `json:"specialty"`
	Start        time.Time      `json:"start"`
	End          time.Time      `json:"end"`
}

// Candidate is an entry that fits a slot, ranked.
type Candidate struct {
	Entry    EntryID      `json:"entry"`
	Patient  PatientID    `json:"patient"`
	Class    int          `json:"class"`
	Waited   float64      `json:"waited"`  // days on the list
	Offered  int          `json:"offered"` // offers in the last 30 days
	Lost     int          `json:"lost"`
	Channel  Channel      `json:"channel"` // the quickest channel that may be used now
	Current  *Appointment `json:"current,omitempty"`
	Priority float64      `json:"priority"` // inside the class, larger goes first
}
