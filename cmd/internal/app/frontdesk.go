package app

import (
	"context"
	"net/mail"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"relais/actors"
	"relais/engine"
	"relais/engine/availability"
	"relais/engine/desk"
	"relais/engine/postal"
)

// frontDesk reads what people type before it reaches the actors.
type frontDesk struct{ *actors.Relais }

// Enrol implements web.Desk: it brings the phone number into E.164 form, and reads the postal code
// and the words for when somebody can come.
func (f frontDesk) Enrol(ctx context.Context, c engine.ClinicID, by engine.UserID, in desk.Enrolment) (desk.Person, error) {
	if in.Phone != "" {
		var err error
		if in.Phone, err = e164Of(in.Phone); err != nil {
			return desk.Person{}, err
		}
	}
	if in.PostalCode != "" {
		home, ok := postal.Locate(in.PostalCode)
		if !ok {
			return desk.Person{}, engine.Errorf(engine.Invalid, "the postal code is not known; write it like H2X 1Y4")
		}
		in.Home = &home
	}
	if in.Home == nil && in.RadiusKm > 0 {
		return desk.Person{}, engine.Errorf(engine.Invalid, "a distance needs a postal code to be measured from")
	}
	if in.Availability != "" {
		var err error
		if in.Windows, err = availability.Parse(in.Availability); err != nil {
			return desk.Person{}, err
		}
	}
	return f.Relais.Enrol(ctx, c, by, in)
}

// ChangeContact implements web.Desk: it brings phone numbers into E.164 form and refuses what is no
// address.
func (f frontDesk) ChangeContact(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.ContactChange) (desk.Record, error) {
	in.Address, in.Proof = strings.TrimSpace(in.Address), strings.TrimSpace(in.Proof)
	switch {
	case in.Action == "archive" || in.Address == "":
	case strings.Contains(in.Address, "@"):
		if a, err := mail.ParseAddress(in.Address); err != nil || a.Address != in.Address {
			return desk.Record{}, engine.Errorf(engine.Invalid, "the mail address is not a valid one")
		}
		if in.Channel != "" && in.Channel != engine.EmailMail {
			return desk.Record{}, engine.Errorf(engine.Invalid, "a phone number is needed for this channel")
		}
	default:
		if in.Channel == engine.EmailMail {
			return desk.Record{}, engine.Errorf(engine.Invalid, "the mail address is not a valid one")
		}
		var err error
		if in.Address, err = e164Of(in.Address); err != nil {
			return desk.Record{}, err
		}
	}
	return f.Relais.ChangeContact(ctx, c, p, by, in)
}

// SetSooner implements web.Desk: it reads the words for when somebody can come.
func (f frontDesk) SetSooner(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.SoonerChange) (desk.Record, error) {
	if in.Consent != nil {
		s := *in.Consent
		s.Proof = strings.TrimSpace(s.Proof)
		if s.Availability != "" {
			var err error
			if s.Windows, err = availability.Parse(s.Availability); err != nil {
				return desk.Record{}, err
			}
		}
		in.Consent = &s
	}
	return f.Relais.SetSooner(ctx, c, p, by, in)
}

func e164Of(number string) (string, error) {
	n, err := phonenumbers.Parse(number, "CA")
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", engine.Errorf(engine.Invalid, "the phone number is not a valid one; write it like 514 555-0142")
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}
