package reach

import (
	"time"

	"relais/engine"
)

// Verdict says whether a person may be offered something now, on which channel first, or why not.
type Verdict struct {
	OK       bool
	Channel  engine.Channel // the quickest allowed now
	Obstacle string         // one of match's: opted_out, no_consent, hours, cap
}

// The obstacles, in the order in which they are looked for. A person none of whose consented
// contacts works counts as no_consent: there is nothing that may be used.
const (
	noConsent = "no_consent"
	optedOut  = "opted_out"
	capped    = "cap"
	offHours  = "hours"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
	far  = day
)

// May judges consent, opt-outs, caps and the hours in the person's own zone; nil means UTC.
// Hours are the person's own, or the policy's where they did not say.
func May(p engine.Patient, slotStart, now time.Time, zone *time.Location, pol engine.Policy) Verdict {
	if zone == nil {
		zone = time.UTC
	}
	usable, consented := channels(p.Reached())
	switch {
	case usable != (ways{}):
	case consented:
		return Verdict{Obstacle: optedOut}
	default:
		return Verdict{Obstacle: noConsent}
	}
	if overCap(p.Offered, slotStart, now, pol) {
		return Verdict{Obstacle: capped}
	}
	h := hours{zone: zone, person: pol.Hours}
	if p.Hours != nil {
		h.person = *p.Hours
	}
	calls := h
	calls.calls = true
	switch {
	case usable.sms && h.open(now):
		return Verdict{OK: true, Channel: engine.SMS}
	case usable.voice && calls.open(now):
		return Verdict{OK: true, Channel: engine.Voice}
	case usable.mail && h.open(now):
		return Verdict{OK: true, Channel: engine.EmailMail}
	}
	return Verdict{Obstacle: offHours}
}

// ways are the channels on which a person may be reached. A look at a slot asks this of everybody on the
// list, so it is no map.
type ways struct{ sms, voice, mail bool }

// channels returns the channels with a usable contact. optedOut says that there is none because
// the person withdrew every consent they gave.
func channels(contacts []engine.Contact) (usable ways, optedOut bool) {
	for i, c := range contacts {
		if reachable(contacts, i) {
			switch c.Channel {
			case engine.SMS:
				usable.sms = true
			case engine.Voice:
				usable.voice = true
			case engine.EmailMail:
				usable.mail = true
			case engine.Page, engine.Desk:
			}
		}
		if addressed(c) && !c.Consent.IsZero() && !c.OptedOut.IsZero() {
			optedOut = true
		}
	}
	return usable, optedOut
}

// overCap counts the offers of the last 24 hours and of the last seven days. Places of the week are kept
// for slots at short notice.
func overCap(offered []engine.Mark, slotStart, now time.Time, pol engine.Policy) bool {
	today, all, distant := 0, 0, 0
	for _, m := range offered {
		if now.Sub(m.At) >= week {
			continue
		}
		all++
		if now.Sub(m.At) < day {
			today++
		}
		if m.Start.Sub(m.At) > far {
			distant++
		}
	}
	return today >= pol.DayCap || all >= pol.WeekCap || (slotStart.Sub(now) > far && distant >= pol.FarCap)
}

// addressed reports whether the contact has a channel that messages leave on, and an address.
func addressed(c engine.Contact) bool {
	switch c.Channel {
	case engine.SMS, engine.Voice:
		return c.Phone != ""
	case engine.EmailMail:
		return c.Email != ""
	case engine.Page, engine.Desk:
	}
	return false
}

// same reports whether two contacts lead to the same place.
func same(a, b engine.Contact) bool {
	return a.Channel == b.Channel && a.Phone == b.Phone && a.Email == b.Email
}

// reachable reports whether messages may be sent to a contact. An address that stands in the list
// twice is used once, and not at all when it was refused in either place.
func reachable(contacts []engine.Contact, i int) bool {
	c := contacts[i]
	if !addressed(c) || !c.Usable() {
		return false
	}
	for j, other := range contacts {
		if j == i || !same(c, other) {
			continue
		}
		if !other.OptedOut.IsZero() || other.Bad != "" || (j < i && other.Usable()) {
			return false
		}
	}
	return true
}
