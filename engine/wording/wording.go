// Package wording holds every sentence that leaves for a person, in French and English, and
// knows what fits in one SMS.
package wording

import (
	"time"

	"relais/engine"
)

// Facts is what a message may say. It never holds a specialty, a reason for the visit or, unless
// the clinic shows it, a practitioner.
type Facts struct {
	Clinic   string
	Address  string
	Phone    string // the clinic's public number
	Doctor   string // "" unless the clinic shows it
	Start    time.Time
	Deadline time.Time
	Zone     *time.Location
	Link     string // the patient's page
	Leave    string // one-click unsubscription
}

// Message writes one message. The attempt, the contact and Valid are the caller's to fill in.
func Message(kind engine.MessageKind, ch engine.Channel, lang engine.Lang, f Facts) engine.Message {
	panic("contract")
}

// Answer writes the sentence given back to a reply.
func Answer(kind engine.AnswerKind, ch engine.Channel, lang engine.Lang, f Facts) string {
	panic("contract")
}

// Choose asks which of several offers a reply is for: "1: ..., 2: ...".
func Choose(lang engine.Lang, offers []Facts) string { panic("contract") }

// Day writes a date and time as people of the language read it, in f's zone: "mardi 24 novembre
// a 9 h 20" or "Tuesday, November 24 at 9:20 a.m.".
func Day(t time.Time, zone *time.Location, lang engine.Lang) string { panic("contract") }

// Segments counts the SMS segments of a text and says whether it needs UCS-2.
func Segments(text string) (n int, ucs2 bool) { panic("contract") }
