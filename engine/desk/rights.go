package desk

import (
	"time"

	"relais/engine"
)

// Erasure says what erasing a patient came to.
type Erasure struct {
	Patient  engine.PatientID `json:"patient"`
	At       time.Time        `json:"at"`
	Entries  int              `json:"entries"`
	Offers   int              `json:"offers"`
	Lines    int              `json:"lines" doc:"lines of timelines whose personal data is gone"`
	Replies  int              `json:"replies" doc:"replies that waited for the front desk"`
	Silenced int              `json:"silenced" doc:"addresses that nobody writes to any more"`
}

// Correction is what a patient is, where it was written down wrong. What is left out stays.
type Correction struct {
	Given  *string      `json:"given,omitempty" maxLength:"100"`
	Family *string      `json:"family,omitempty" maxLength:"100"`
	Born   *string      `json:"born,omitempty" maxLength:"10" doc:"like 1958-03-21; empty when it is not known"`
	Lang   *engine.Lang `json:"lang,omitempty" enum:"fr,en"`
	Why    string       `json:"why" minLength:"3" maxLength:"200" doc:"who asked for it and how, without a name"`
}
