package app

import (
	"context"
	"net/mail"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"relais/actors"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/postal"
)

// patientDoor reads what patients type before it reaches the actors.
type patientDoor struct{ *actors.Relais }

// Join implements web.Doors: it brings the phone number into E.164 form, and reads the mail address and the
// postal code.
func (d patientDoor) Join(ctx context.Context, c engine.ClinicID, in desk.JoinRequest) (string, error) {
	var err error
	if in.Phone != "" {
		if in.Phone, err = mobileOf(in.Phone); err != nil {
			return "", err
		}
	}
	if in.Email != "" {
		if in.Email, err = mailboxOf(in.Email); err != nil {
			return "", err
		}
	}
	if in.PostalCode != "" {
		home, ok := postal.Locate(in.PostalCode)
		if !ok {
			return "", desk.Wrong(desk.FieldPostal, "the postal code is not known; write it like H2X 1Y4")
		}
		in.Home = &home
	}
	return d.Relais.Join(ctx, c, in)
}

// SendLink implements web.Doors.
func (d patientDoor) SendLink(ctx context.Context, c engine.ClinicID, contact string) error {
	if strings.Contains(contact, "@") {
		email, err := mailboxOf(contact)
		if err != nil {
			return err
		}
		return d.Relais.SendLink(ctx, c, "", email)
	}
	phone, err := mobileOf(contact)
	if err != nil {
		return err
	}
	return d.Relais.SendLink(ctx, c, phone, "")
}

// ChangeOwn implements web.Doors.
func (d patientDoor) ChangeOwn(ctx context.Context, token string, in desk.OwnChange) (v desk.OwnView, handle string, err error) {
	if in.Phone != "" {
		if in.Phone, err = mobileOf(in.Phone); err != nil {
			return v, "", err
		}
	}
	if in.Email != "" {
		if in.Email, err = mailboxOf(in.Email); err != nil {
			return v, "", err
		}
	}
	if in.PostalCode != "" {
		home, ok := postal.Locate(in.PostalCode)
		if !ok {
			return v, "", desk.Wrong(desk.FieldPostal, "the postal code is not known; write it like H2X 1Y4")
		}
		in.Home = &home
	}
	return d.Relais.ChangeOwn(ctx, token, in)
}

// mobileOf is a number of North America in E.164 form: texts that strangers order go nowhere else, because
// elsewhere a text can cost a hundred times as much.
func mobileOf(number string) (string, error) {
	n, err := phonenumbers.Parse(number, "CA")
	if err != nil || !phonenumbers.IsValidNumber(n) || n.GetCountryCode() != 1 || phonenumbers.GetNumberType(n) == phonenumbers.PREMIUM_RATE {
		return "", desk.Wrong(desk.FieldPhone, "the phone number is not a valid one; write it like 514 555-0142")
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// mailboxOf is a mail address as it is kept: in small letters, so that the same mailbox is the same.
func mailboxOf(address string) (string, error) {
	address = strings.ToLower(strings.TrimSpace(address))
	a, err := mail.ParseAddress(address)
	if err != nil || a.Address != address || !strings.Contains(address[strings.LastIndexByte(address, '@'):], ".") {
		return "", desk.Wrong(desk.FieldEmail, "the mail address is not a valid one")
	}
	return address, nil
}
