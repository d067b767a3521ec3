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
	"relais/engine/roster"
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

// ImportWaitlist implements web.Desk: it knows what a telephone number and a mail address look like.
func (f frontDesk) ImportWaitlist(ctx context.Context, c engine.ClinicID, by engine.UserID, file []byte, dry bool) (desk.Import, error) {
	return f.Import(ctx, c, by, file, dry, roster.Clinic{
		Phone: func(number string) (engine.Phone, bool) {
			e164, err := e164Of(number)
			return engine.Phone(e164), err == nil
		},
		Mail: func(address string) bool {
			a, err := mail.ParseAddress(address)
			return err == nil && a.Address == address
		},
	})
}

// ChangeEntry implements web.Desk: it reads the wish as people write it.
func (f frontDesk) ChangeEntry(ctx context.Context, c engine.ClinicID, e engine.EntryID, by engine.UserID, in desk.EntryChange) (desk.Record, error) {
	if in.Wish != nil {
		w, err := readWish(*in.Wish)
		if err != nil {
			return desk.Record{}, err
		}
		in.Wish = &w
	}
	return f.Relais.ChangeEntry(ctx, c, e, by, in)
}

// AddEntry implements web.Desk: it reads the wish as people write it.
func (f frontDesk) AddEntry(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, w desk.Wish) (desk.Record, error) {
	w, err := readWish(w)
	if err != nil {
		return desk.Record{}, err
	}
	return f.Relais.AddEntry(ctx, c, p, by, w)
}

// ChangePatient implements web.Desk: it takes blanks away from the ends of what was typed.
func (f frontDesk) ChangePatient(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.PatientChange) (desk.Record, error) {
	in.Given, in.Family, in.Source = strings.TrimSpace(in.Given), strings.TrimSpace(in.Family), strings.TrimSpace(in.Source)
	return f.Relais.ChangePatient(ctx, c, p, by, in)
}

// readWish reads the words for when somebody can come, and the postal code.
func readWish(w desk.Wish) (desk.Wish, error) {
	if w.Availability != "" {
		var err error
		if w.Windows, err = availability.Parse(w.Availability); err != nil {
			return w, err
		}
	}
	if w.PostalCode != "" {
		home, ok := postal.Locate(w.PostalCode)
		if !ok {
			return w, engine.Errorf(engine.Invalid, "the postal code is not known; write it like H2X 1Y4")
		}
		w.Home, w.Located = &home, true
	}
	return w, nil
}

func e164Of(number string) (string, error) {
	n, err := phonenumbers.Parse(number, "CA")
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", engine.Errorf(engine.Invalid, "the phone number is not a valid one; write it like 514 555-0142")
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}
