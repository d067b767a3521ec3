package desk

import (
	"time"

	"relais/engine"
	"relais/engine/outlook"
)

// OwnContact is one address on somebody's own page.
type OwnContact struct {
	Index   int
	Channel engine.Channel
	Shown   string // enough of it to know it by
	Usable  bool
	Stopped bool // its owner wants nothing there
	Here    bool // the link of this page was sent there
}

// OwnWish is one thing that somebody waits for, on their own page.
type OwnWish struct {
	Entry         engine.EntryID
	Status        engine.EntryStatus
	Specialty     engine.Specialty
	Practitioners []engine.PractitionerID
	Places        []engine.PlaceID
	Located       bool // the middle of a postal area is known
	RadiusKm      float64
	Windows       []engine.Window
	NoticeMinutes int
	Until         time.Time // of a pause; zero: until somebody ends it
	Joined        time.Time
	Follows       bool // it follows an appointment and cannot be changed here
	Outlook       outlook.Outlook
}

// OwnOffer is one past offer on somebody's own page.
type OwnOffer struct {
	At     time.Time
	Start  time.Time
	Status string
}

// OwnView is what somebody's own page shows. It holds no name and no date of birth.
type OwnView struct {
	Door     Door
	Zone     *time.Location
	Lang     engine.Lang
	Proxy    bool // the link was sent to who answers for the patient
	Linked   bool // the record system's reference is known
	Asked    bool // whether they are still looking
	Hours    *engine.Hours
	Usual    engine.Hours // the clinic's
	Contacts []OwnContact
	Wishes   []OwnWish
	Offers   []OwnOffer
	Subject  string // opaque, the same for every link of one patient
	Identity bool   // the date of birth is to be given first, and can be
}

// OwnChange is what somebody changes on their own page. Action says which fields count.
type OwnChange struct {
	Action        string // see the Own constants
	Entry         engine.EntryID
	Practitioners []engine.PractitionerID
	Places        []engine.PlaceID
	PostalCode    string
	Home          *engine.Point
	RadiusKm      float64
	Windows       []engine.Window
	NoticeMinutes int
	Lang          engine.Lang
	Hours         *engine.Hours
	Index         int    // of a contact
	Was           string // what the page showed of it
	Phone         string
	Email         string
	Consent       string
	Until         string // 2026-12-24
}

// The changes.
const (
	OwnWishes   = "wish"     // what is waited for
	OwnPerson   = "person"   // language and hours
	OwnStop     = "stop"     // nothing to this contact any more
	OwnResume   = "resume"   // messages to this contact again
	OwnRemove   = "remove"   // take the contact away
	OwnAdd      = "add"      // a new contact, to be shown to be theirs
	OwnSnooze   = "snooze"   // nothing until a day
	OwnWake     = "wake"     // offers again
	OwnStay     = "stay"     // still looking
	OwnLeave    = "leave"    // off the list
	OwnWithdraw = "withdraw" // every consent
	OwnRenew    = "renew"    // make all links void, and send a new one
)
