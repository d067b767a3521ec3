package desk

import (
	"time"

	"relais/engine"
	"relais/engine/review"
)

// ModeState is what Relais does by itself at a clinic, and since when.
type ModeState struct {
	Mode       engine.Mode   `json:"mode" enum:"shadow,approval,automatic"`
	Revision   uint64        `json:"revision" doc:"to send back with a change; 0: as the configuration says"`
	Configured engine.Mode   `json:"configured" enum:"shadow,approval,automatic" doc:"what the configuration says; a change at the desk wins"`
	By         engine.UserID `json:"by,omitempty" doc:"who changed it last"`
	Since      *time.Time    `json:"since,omitempty"`
	Only       string        `json:"only,omitempty" doc:"why the clinic can only be in shadow mode"`
}

// ModeChange sets a clinic's mode.
type ModeChange struct {
	Mode     engine.Mode `json:"mode" enum:"shadow,approval,automatic"`
	Revision uint64      `json:"revision" doc:"the revision that the person was looking at"`
}

// ModeView is what somebody needs to know before they change a clinic's mode.
type ModeView struct {
	State   ModeState     `json:"state"`
	Days    int           `json:"days" doc:"that the review looks back"`
	Oldest  *time.Time    `json:"oldest,omitempty" doc:"the oldest opening that is still kept, when that is younger"`
	Review  review.Review `json:"review"`
	Would   []WouldSlot   `json:"would" nullable:"false" doc:"slots seen in shadow mode, the latest first; at most 20"`
	Changes []Event       `json:"changes" nullable:"false" doc:"of the mode, the latest first; at most 20"`
	Plan    Plan          `json:"plan"`
}

// Plan is what the clinic's policy does with a typical slot, in words.
type Plan struct {
	French  []string `json:"fr" nullable:"false"`
	English []string `json:"en" nullable:"false"`
}

// WouldSlot is a slot that was seen in shadow mode, and whom Relais would have asked first.
type WouldSlot struct {
	Card   Card          `json:"card"`
	Opened time.Time     `json:"opened"`
	People []WouldPerson `json:"people" nullable:"false"`
}

// WouldPerson is somebody who would have been asked.
type WouldPerson struct {
	ID      engine.PatientID `json:"id"`
	Patient string           `json:"patient"`
	Channel engine.Channel   `json:"channel"`
}

// FairnessView is the fairness report of a period.
type FairnessView struct {
	From   string          `json:"from" format:"date" doc:"first day, in the clinic's zone"`
	To     string          `json:"to" format:"date" doc:"last day"`
	Oldest *time.Time      `json:"oldest,omitempty" doc:"the oldest opening that is still kept; absent: none"`
	Kept   int             `json:"kept_days,omitempty" doc:"how many days finished slots are kept after their end; absent: for ever"`
	Report review.Fairness `json:"report"`
}
