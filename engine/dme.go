package engine

import (
	"fmt"
	"time"
)

// SlotStatus is what the record system says of a slot, reduced to what the rules use.
type SlotStatus string

// The statuses. Anything that is not known to be free is not free.
const (
	SlotFree    SlotStatus = "free"
	SlotBusy    SlotStatus = "busy"
	SlotBlocked SlotStatus = "blocked" // not bookable: absence, meeting
	SlotUnknown SlotStatus = "unknown" // a status we do not know
	SlotGone    SlotStatus = "gone"    // deleted, or entered in error
)

// SlotFact is one slot as the record system shows it.
type SlotFact struct {
	Source       string         `json:"source"` // for example "Slot/42"
	Version      string         `json:"version"`
	Status       SlotStatus     `json:"status"`
	Practitioner PractitionerID `json:"practitioner"`
	Place        PlaceID        `json:"place"`
	Specialty    Specialty      `json:"specialty"`
	Start        time.Time      `json:"start"`
	End          time.Time      `json:"end"`
	Changed      time.Time      `json:"changed,omitzero"` // when the record system changed it, by its own clock
}

// AppointmentFact is one appointment as the record system shows it.
type AppointmentFact struct {
	Source  string    `json:"source"`
	Version string    `json:"version"`
	Live    bool      `json:"live"` // occupies its slots: not cancelled, not a no-show, not entered in error
	Gone    bool      `json:"gone,omitempty"`
	Slots   []string  `json:"slots"` // sources of the slots it occupies
	Patient string    `json:"patient,omitempty"`
	Booking BookingID `json:"booking,omitempty"` // our own identifier when we wrote it
	Start   time.Time `json:"start,omitzero"`
	End     time.Time `json:"end,omitzero"`
	// Came is whether the patient came, where the record system says so.
	Came Attendance `json:"came,omitempty"`
	// Seen is when it came onto a slot that was known before, by our clock; the mirror sets it. Zero:
	// it may have been made long before it was seen.
	Seen time.Time `json:"seen,omitzero"`
}

// Attendance is whether a patient came to an appointment.
type Attendance string

// The values of Attendance; "" is not known, or not yet.
const (
	Attended Attendance = "came"
	Missed   Attendance = "missed"
)

// Observation is what one look at the record system showed.
type Observation struct {
	Slots        []SlotFact
	Appointments []AppointmentFact
	// Complete is set for a snapshot: everything between From and Until is here, so what is
	// known and absent is gone.
	Complete    bool
	From, Until time.Time
	Cursor      string        // where the next look for changes starts; opaque
	Skew        time.Duration // the record system's clock minus ours
}

// Booking asks the record system to give a slot to a patient. Writing it twice with the same ID
// has the effect of writing it once.
type Booking struct {
	ID      BookingID `json:"id"`
	Slot    Slot      `json:"slot"`
	Patient string    `json:"patient"` // the record system's reference
}

// Booked is the record system's acceptance.
type Booked struct {
	Appointment string `json:"appointment"`
}

// DMEFault says how the record system failed us.
type DMEFault string

// The closed list of faults.
const (
	DMEConflict    DMEFault = "conflict"     // the slot is not free any more
	DMERejected    DMEFault = "rejected"     // it understood and said no for good
	DMESignIn      DMEFault = "sign_in"      // 401, 403, certificate
	DMEUnreachable DMEFault = "unreachable"  // no answer; what was asked may have happened
	DMEBusy        DMEFault = "busy"         // 429 or 503 with a time to wait
	DMEError       DMEFault = "server_error" // it answered with an error of its own
	DMEMalformed   DMEFault = "malformed"    // an answer that cannot be read, or contradicts itself
)

// DMEFailure is an error of a record system. Detail says in words what happened, without
// personal data.
type DMEFailure struct { //nolint:errname // people say that a record system fails
	Fault  DMEFault
	Detail string
	Wait   time.Duration // how long it asked us to wait; 0 when it did not
}

func (e *DMEFailure) Error() string { return fmt.Sprintf("dme: %s: %s", e.Fault, e.Detail) }

// Seeker is whom a record system is searched for.
type Seeker struct {
	Given, Family string
	Born          time.Time // the day, at midnight UTC
	Phones        []Phone
	Emails        []Email
}
