// Package desk is what the front desk sees: the cards of the calendar, the deltas that keep it
// current, and the detail of one slot. Its types are the wire types of the page.
package desk

import (
	"time"

	"relais/engine"
	"relais/engine/health"
)

// State is how a card looks.
type State string

// The states of a card.
const (
	Free      State = "free"      // bookable and never opened: plain availability
	Reserved  State = "reserved"  // an appointment of the record system
	Freed     State = "freed"     // Libéré
	Approval  State = "approval"  // À approuver
	Offered   State = "offered"   // Offert
	Claimed   State = "claimed"   // Confirmé, being written to the record system
	Confirmed State = "confirmed" // Confirmé
	Expired   State = "expired"   // Expiré
	Suspended State = "suspended" // Suspendu
)

// Card is one rectangle of the calendar.
type Card struct {
	ID           engine.SlotID         `json:"id"`
	State        State                 `json:"state"`
	Revision     uint64                `json:"revision"` // to send back with a command
	Day          string                `json:"day"`      // 2026-11-24, in the clinic's zone
	From         string                `json:"from"`     // 09:20
	Until        string                `json:"until"`
	Start        time.Time             `json:"start"`
	End          time.Time             `json:"end"`
	Practitioner engine.PractitionerID `json:"practitioner"`
	Place        engine.PlaceID        `json:"place,omitempty"`
	Specialty    engine.Specialty      `json:"specialty,omitempty"`
	Patient      string                `json:"patient,omitempty"` // label of who has it, for the front desk only
	Asked        int                   `json:"asked,omitempty"`
	Pending      int                   `json:"pending,omitempty"`
	Declined     int                   `json:"declined,omitempty"`
	Wave         int                   `json:"wave,omitempty"`
	Hold         *time.Time            `json:"hold,omitempty"` // nothing leaves before
	Next         *time.Time            `json:"next,omitempty"` // the next wave
	Deadline     *time.Time            `json:"deadline,omitempty"`
	Paused       bool                  `json:"paused,omitempty"`
	Exhausted    bool                  `json:"exhausted,omitempty"`
	Depth        int                   `json:"depth,omitempty"`
	Why          string                `json:"why,omitempty"` // of a closed opening
	By           string                `json:"by,omitempty" doc:"who changed it last by hand"`
	ByRevision   uint64                `json:"by_revision,omitempty" doc:"the revision that this gave: after a larger one than yours somebody changed it meanwhile"`
	Todo         Todo                  `json:"todo,omitempty"` // what a person has to do
}

// Todo is something about a slot that only a person can do.
type Todo string

// TodoCancel: the record system refuses to cancel the winner's later appointment; cancel it there by hand.
const TodoCancel Todo = "cancel"

// Health is the state of the clinic's record system, for the banner and the panel.
type Health struct {
	Status   health.Status   `json:"status"`
	Since    time.Time       `json:"since"`
	Fault    engine.DMEFault `json:"fault,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	LastGood *time.Time      `json:"last_good,omitempty"`
	RetryAt  *time.Time      `json:"retry_at,omitempty"`
	Held     bool            `json:"held,omitempty"`    // by hand
	Open     int             `json:"open"`              // slots that are waiting because of it
	Writing  int             `json:"writing,omitempty"` // bookings not yet in the record system
}

// Sync is how a clinic's record system is followed, for the panel.
type Sync struct {
	Health       Health           `json:"health"`
	LastFull     *time.Time       `json:"last_full,omitempty"` // the last complete look
	LastPush     *time.Time       `json:"last_push,omitempty"` // the last hint of the record system, since the process started
	LagMS        *int64           `json:"lag_ms,omitempty"`    // how old the newest change was when it was seen
	SkewMS       int64            `json:"skew_ms"`             // the record system's clock minus ours
	PollMS       int64            `json:"poll_ms"`             // between looks, at most
	Slots        int              `json:"slots"`               // known
	Appointments int              `json:"appointments"`
	Pending      []PendingWrite   `json:"pending"` // oldest first
	Log          []SyncTurn       `json:"log"`     // newest first
	Modes        []engine.DMEMode `json:"modes"`
}

// PendingWrite is a booking, or a cancellation, that the record system has not answered yet.
type PendingWrite struct {
	Slot   engine.SlotID `json:"slot"`
	Cancel bool          `json:"cancel,omitempty"`
	Since  time.Time     `json:"since"`
	Tries  int           `json:"tries"`
}

// SyncTurn is one line of the history: trust came or went, or something failed.
type SyncTurn struct {
	At     time.Time       `json:"at"`
	Last   time.Time       `json:"last"`  // of the same again
	Count  int             `json:"count"` // how often
	Status health.Status   `json:"status"`
	Fault  engine.DMEFault `json:"fault,omitempty"`
	Detail string          `json:"detail,omitempty"`
	By     engine.UserID   `json:"by,omitempty"` // who held the clinic by hand
}

// Snapshot is everything a page needs to start.
type Snapshot struct {
	Epoch  string     `json:"epoch"` // changes when the server forgets its sequence
	Seq    uint64     `json:"seq"`
	Now    time.Time  `json:"now"`
	Clinic ClinicInfo `json:"clinic"`
	Health Health     `json:"health"`
	Cards  []Card     `json:"cards"`
}

// ClinicInfo is what the page says of the clinic.
type ClinicInfo struct {
	ID            engine.ClinicID       `json:"id"`
	Name          string                `json:"name"`
	Zone          string                `json:"zone"`
	Offset        int                   `json:"offset_minutes"` // of the zone, now
	Today         string                `json:"today"`          // in the clinic's zone
	Mode          engine.Mode           `json:"mode"`
	Practitioners []engine.Practitioner `json:"practitioners"`
	Places        []engine.Place        `json:"places"`
}

// Delta is one change of the calendar. Seq has no gaps.
type Delta struct {
	Seq    uint64          `json:"seq"`
	Cards  []Card          `json:"cards,omitempty"` // new or changed
	Remove []engine.SlotID `json:"remove,omitempty"`
	Health *Health         `json:"health,omitempty"`
	Mode   engine.Mode     `json:"mode,omitempty"`   // the clinic's, when it changed
	Clinic *ClinicInfo     `json:"clinic,omitempty"` // when its settings changed
}

// Frame is one message of the live feed: exactly one field is set. A frame is sent as one
// WebSocket text message; several deltas that wait for a slow reader travel together.
type Frame struct {
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	Deltas   []Delta   `json:"deltas,omitempty"`
	Ping     *Ping     `json:"ping,omitempty"`
}

// Ping tells the newest sequence, so that a lost last delta is noticed.
type Ping struct {
	Seq uint64    `json:"seq"`
	Now time.Time `json:"now"`
}

// Subscriber takes what the calendar pushes. Push never blocks: it queues an encoded Delta or a
// whole Snapshot and reports false when the reader does not keep up and is to be dropped.
type Subscriber interface {
	PushSnapshot(encoded []byte) bool
	PushDelta(seq uint64, encoded []byte) bool
	// PushEnd says that nothing more comes from here: the clinic is opened anew or elsewhere. The
	// reader comes back and says what it has.
	PushEnd()
}

// Asked is one person who was asked, for the detail of a slot.
type Asked struct {
	Offer      engine.OfferID   `json:"offer"`
	ID         engine.PatientID `json:"id"`
	Patient    string           `json:"patient"`
	Wave       int              `json:"wave"`
	At         time.Time        `json:"at"`
	Status     string           `json:"status"`
	Replied    *time.Time       `json:"replied,omitempty"`
	By         engine.Channel   `json:"by,omitempty"`
	Deliveries []Delivery       `json:"deliveries"`
}

// Delivery is one message of an offer on one channel.
type Delivery struct {
	Channel engine.Channel     `json:"channel"`
	Kind    engine.MessageKind `json:"kind"`
	Status  string             `json:"status"`
	Reason  engine.Reason      `json:"reason,omitempty"`
	At      *time.Time         `json:"at,omitempty"`
}

// Other is a candidate, or an entry that was not asked, and why.
type Other struct {
	Entry    engine.EntryID   `json:"entry"`
	ID       engine.PatientID `json:"id"`
	Patient  string           `json:"patient"`
	Rank     int              `json:"rank,omitempty"` // 0: does not fit
	Class    int              `json:"class"`
	Lost     int              `json:"lost,omitempty" doc:"slots lost through no fault of theirs; goes first in the class"`
	Waited   int              `json:"waited"` // days
	Offered  int              `json:"offered" doc:"offers of the last 30 days; each counts as five days less of waiting"`
	Priority int              `json:"priority" doc:"days waited less five for each offer; larger goes first"`
	Channel  engine.Channel   `json:"channel,omitempty" doc:"the quickest that may be used now"`
	Obstacle string           `json:"obstacle,omitempty"`
}

// Event is one line of a slot's timeline.
type Event struct {
	Seq    uint64            `json:"seq"`
	At     time.Time         `json:"at"`
	Event  string            `json:"event"`
	Who    string            `json:"who,omitempty"` // a patient's label or an account
	Detail map[string]string `json:"detail,omitempty"`
}

// Detail is everything about one slot.
type Detail struct {
	Card     Card    `json:"card"`
	Asked    []Asked `json:"asked"`
	Others   []Other `json:"others"`
	Timeline []Event `json:"timeline"`
	Chain    []Link  `json:"chain"` // from the first cancellation on; empty for a slot that stands alone
}

// Link is one slot of a chain: its winner gave up a later appointment, which is the next slot.
type Link struct {
	Card          Card       `json:"card"`
	Was           *time.Time `json:"was,omitempty"`            // when the winner's later appointment began
	GainedMinutes int        `json:"gained_minutes,omitempty"` // how much sooner the winner is seen
}

// Action is a command of the front desk on a slot.
type Action struct {
	Action   string         `json:"action" enum:"approve,pause,resume,send_now,withdraw,book,settle,free" doc:"free: offer a slot that is free in the record system"`
	Revision uint64         `json:"revision" doc:"the revision of the card the person was looking at"`
	Entry    engine.EntryID `json:"entry,omitempty" doc:"for book: who gets the slot"`
}

// Unread is what one person wrote about one offer that no rule could read; it waits for the front desk.
type Unread struct {
	ID       string           `json:"id"`
	Revision uint64           `json:"revision"` // to send back with the answer
	Person   engine.PatientID `json:"person"`
	Patient  string           `json:"patient"`
	Slot     engine.SlotID    `json:"slot,omitempty"` // "": the person has no offer
	Start    *time.Time       `json:"start,omitempty"`
	Since    time.Time        `json:"since"`
	Channel  engine.Channel   `json:"channel"`
	Lang     engine.Lang      `json:"lang"`
	Texts    []UnreadText     `json:"texts"`             // the newest, oldest first
	Earlier  int              `json:"earlier,omitempty"` // texts before these; the slot's timeline has them
	Open     bool             `json:"can_answer"`        // a written answer can leave; else only a telephone call helps
}

// UnreadText is one text of an Unread.
type UnreadText struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// UnreadAnswer ends an Unread.
type UnreadAnswer struct {
	Revision uint64 `json:"revision" doc:"the revision of the message the person was looking at"`
	Text     string `json:"text,omitempty" doc:"what is sent to the person; empty: it was settled otherwise" maxLength:"300"`
}

// PatientView is what a patient's page shows of an offer. It holds no name, no specialty and no
// reason for the visit.
type PatientView struct {
	State    engine.AnswerKind // "" while it can be answered
	Lang     engine.Lang
	Clinic   string
	Address  string
	Phone    string // the clinic's public number
	Doctor   string // "" unless the clinic shows it
	Start    time.Time
	End      time.Time
	Deadline time.Time
	Zone     *time.Location
	Mail     bool   // e-mails go to this person
	Subject  string // opaque, the same for every link of one patient
	Identity bool   // the date of birth is to be given first
	Own      string // secret of the link to the patient's own page; "" when there is none
}

// Person is one line of the waitlist.
type Person struct {
	Entry     engine.EntryID     `json:"entry"`
	Patient   engine.PatientID   `json:"patient"`
	Name      string             `json:"name"`
	Status    engine.EntryStatus `json:"status"`
	Specialty engine.Specialty   `json:"specialty"`
	Class     int                `json:"class"`
	Joined    time.Time          `json:"joined"`
	Channels  []engine.Channel   `json:"channels"`
	Slot      engine.SlotID      `json:"slot,omitempty"`
	Offered   int                `json:"offered"`
	Auto      bool               `json:"auto,omitempty" doc:"made from the appointment, because the patient consented to be seen sooner"`
	Current   *time.Time         `json:"current,omitempty" doc:"start of the appointment that is given up when a slot is won"`
	Why       engine.LeftWhy     `json:"why,omitempty" doc:"why it left the list by itself"`
	Revision  uint64             `json:"revision" doc:"to send back with a change"`
	Edited    *Changed           `json:"edited,omitempty" doc:"by hand, the last time"`
	Until     *time.Time         `json:"until,omitempty" doc:"end of a snooze"`
	Wish      *Wish              `json:"wish,omitempty" doc:"only with the patient's record"`
	Proxy     string             `json:"proxy,omitempty" doc:"who answers for the patient"`
	Notes     int                `json:"notes,omitempty"`
}

// Enrolment is a new patient with one wish.
type Enrolment struct {
	Given         string                  `json:"given" minLength:"1" maxLength:"100"`
	Family        string                  `json:"family" minLength:"1" maxLength:"100"`
	Lang          engine.Lang             `json:"lang" enum:"fr,en"`
	Phone         string                  `json:"phone,omitempty" doc:"national or E.164" maxLength:"32"`
	Email         string                  `json:"email,omitempty" maxLength:"254"`
	Channels      []engine.Channel        `json:"channels" doc:"channels the patient consented to" minItems:"1"`
	Proof         string                  `json:"proof" doc:"how consent was given" minLength:"1" maxLength:"200"`
	Source        string                  `json:"source" doc:"the record system's reference, for example Patient/17" minLength:"1" maxLength:"200"`
	Specialty     engine.Specialty        `json:"specialty" minLength:"1"`
	Practitioners []engine.PractitionerID `json:"practitioners,omitempty"`
	Windows       []engine.Window         `json:"windows,omitempty"`
	Availability  string                  `json:"availability,omitempty" doc:"instead of windows, in words: mardi matin, jeudi après 15 h" maxLength:"500"`
	Places        []engine.PlaceID        `json:"places,omitempty" doc:"only these; none: any, within radius_km of the postal code"`
	PostalCode    string                  `json:"postal_code,omitempty" doc:"of the home; only the middle of its first three characters is kept" maxLength:"10"`
	RadiusKm      float64                 `json:"radius_km,omitempty" doc:"how far from there, as the crow flies" minimum:"0" maximum:"1000"`
	Home          *engine.Point           `json:"-"` // from the postal code
	Born          string                  `json:"born,omitempty" doc:"date of birth, needed for practitioners who see some ages only" format:"date"`
	NoticeMinutes int                     `json:"notice_minutes,omitempty" minimum:"0" maximum:"20160"`
	Class         int                     `json:"class,omitempty" minimum:"0" maximum:"9"`
	Sooner        bool                    `json:"sooner,omitempty" doc:"the patient consents to be offered earlier times for any appointment, with the same proof, windows, places, notice and class"`
}
