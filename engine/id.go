package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Identifiers. None of them carries personal data: they may stand in URLs, logs and metrics.
type (
	// ClinicID names a clinic: lower-case letters, digits and hyphens, chosen in the configuration.
	ClinicID string
	// PractitionerID is the record system's identifier of a practitioner.
	PractitionerID string
	// PlaceID is the record system's identifier of a place of care.
	PlaceID string
	// Specialty is a code of the clinic's own list, for example "dermatology".
	Specialty string
	// SlotID names one bookable interval; see NewSlotID.
	SlotID string
	// PatientID names a patient inside Relais.
	PatientID string
	// EntryID names one waitlist entry.
	EntryID string
	// OfferID names one offer; see NewOfferID.
	OfferID string
	// AttemptID names one attempt to deliver one message; see NewAttemptID.
	AttemptID string
	// BookingID is the business identifier that a write-back carries to the record system.
	BookingID string
	// UserID names an account of the front desk.
	UserID string
)

// NewSlotID derives the identifier of a slot from its clinic's record system: the start time
// first, so that what is stored together sorts by time, then a digest of clinic and source
// reference. The same source slot at the same time always has the same identifier, so a change
// that is seen twice counts once.
func NewSlotID(clinic ClinicID, source string, start time.Time) SlotID {
	sum := sha256.Sum256([]byte(string(clinic) + "\x00" + source))
	return SlotID(start.UTC().Format("20060102T1504Z-") + hex.EncodeToString(sum[:6]))
}

// NewOfferID names the nth offer (from 1) of one opening (from 1) of a slot.
func NewOfferID(slot SlotID, opening, n int) OfferID {
	return OfferID(string(slot) + "." + strconv.Itoa(opening) + "." + strconv.Itoa(n))
}

// Slot returns the slot that the offer belongs to, or "" when the identifier is malformed.
func (id OfferID) Slot() SlotID {
	s, _, ok := strings.Cut(string(id), ".")
	if !ok {
		return ""
	}
	return SlotID(s)
}

// NewAttemptID names the nth delivery attempt (from 1) of an offer.
func NewAttemptID(offer OfferID, n int) AttemptID {
	return AttemptID(fmt.Sprintf("%s.%d", offer, n))
}

// Offer returns the offer that the attempt belongs to, or "" when the identifier is malformed.
func (id AttemptID) Offer() OfferID {
	if strings.Count(string(id), ".") != 3 {
		return ""
	}
	return OfferID(id[:strings.LastIndexByte(string(id), '.')])
}

// NewBookingID names the write-back of an offer's confirmation.
func NewBookingID(offer OfferID) BookingID { return BookingID("relais-" + string(offer)) }
