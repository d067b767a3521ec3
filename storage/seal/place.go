package seal

import (
	"time"

	"relais/engine"
	"relais/storage"
)

// The kinds of what is not a record. No storage.Kind has these names.
const (
	eventKind  = "event"
	effectKind = "effect"
	checkKind  = "check"
	headKind   = "head"
)

// Record is the place of a version of a record. Every store uses these places, so that data moves
// from one to another.
func Record(k storage.Key, version uint64) Place {
	return Place{Clinic: k.Clinic, Kind: string(k.Kind), ID: k.ID, Stamp: version}
}

// Event is the place of a line of a timeline. Its number is known too late, so its time is bound
// instead.
func Event(c engine.ClinicID, subject string, at time.Time) Place {
	return Place{Clinic: c, Kind: eventKind, ID: subject, Stamp: uint64(at.UnixNano())}
}

// Effect is the place of an effect.
func Effect(c engine.ClinicID, id string) Place {
	return Place{Clinic: c, Kind: effectKind, ID: id}
}

// Head is the place of the hash of a clinic's newest event, whose number is bound.
func Head(c engine.ClinicID, seq uint64) Place {
	return Place{Clinic: c, Kind: headKind, Stamp: seq}
}

// Check is the place of a constant that tells a wrong key when a store is opened.
func Check() Place { return Place{Kind: checkKind} }
