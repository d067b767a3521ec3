package desk

import (
	"time"

	"relais/engine"
	"relais/engine/insight"
)

// InsightsQuery is what somebody wants to know of a clinic. Days are those of its zone and both included; the
// zero Time is today, and 28 days in all.
type InsightsQuery struct {
	From, To     time.Time
	Practitioner engine.PractitionerID
	Specialty    engine.Specialty
}

// InsightsView is the report of a period.
type InsightsView struct {
	From   string     `json:"from" format:"date" doc:"first day, in the clinic's zone"`
	To     string     `json:"to" format:"date" doc:"last day"`
	Oldest *time.Time `json:"oldest,omitempty" doc:"the oldest opening that is still kept; absent: none"`
	Kept   int        `json:"kept_days,omitempty" doc:"how many days finished slots are kept after their end; absent: for ever"`
	// Cut: the store had more than could be read in the time that a call may take.
	Cut      bool           `json:"cut" doc:"there was more than could be read in time: the figures are of a part; choose fewer days"`
	ReachCut int            `json:"reach_cut,omitempty" doc:"openings whose messages could not be read in time, the oldest ones; the figures by channel leave them out"`
	Report   insight.Report `json:"report"`
}
