package engine

import "time"

// Verdict is what one step of a check came to.
type Verdict string

// The verdicts.
const (
	CheckOK      Verdict = "ok"
	CheckWeak    Verdict = "weak" // works, but not in the strongest way
	CheckFailed  Verdict = "failed"
	CheckSkipped Verdict = "skipped" // an earlier step failed, or the configuration does not ask for it
)

// CheckStep is one step of a check of something outside: a record system or a carrier.
type CheckStep struct {
	Name     string        `json:"name"` // "sign in", "read slots", ...
	Verdict  Verdict       `json:"verdict"`
	Sentence string        `json:"sentence"` // what was found and, unless it is ok, what to do; no personal data
	Took     time.Duration `json:"took"`
}

// DMEMode is how one thing is done with a record system: the strongest way it was found to allow.
type DMEMode struct {
	What     string `json:"what"` // push, changes, deletions, booking, conflict, ...
	Mode     string `json:"mode"` // for example "transaction", "compensation"
	Weak     bool   `json:"weak,omitempty"`
	Sentence string `json:"sentence,omitempty"` // what that means for the clinic
}
