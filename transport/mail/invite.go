package mail

import (
	"time"

	ics "github.com/arran4/golang-ical"

	"relais/engine"
)

// Invite writes the calendar file of a booking, for engine.Message.Invite, in the name of the sender.
func (c *Client) Invite(booking engine.BookingID, clinic engine.Clinic, lang engine.Lang, start, end time.Time) []byte {
	return CalendarFile(c.from.Address, booking, clinic, lang, start, end)
}

// CalendarFile writes the calendar file of a booking. It says clinic, place
// and time and nothing else of the visit. Its UID is the booking's, so the same booking sent
// twice is one entry of the calendar.
//
// It is published, not requested (RFC 5546): a request asks for an RSVP, which the clinic would have
// to read beside the answer that it has already.
func CalendarFile(organizer string, booking engine.BookingID, clinic engine.Clinic, lang engine.Lang, start, end time.Time) []byte {
	summary, ask := "Rendez-vous : "+clinic.Name, "Pour modifier ou annuler, appelez la clinique : "+clinic.Phone
	if lang == engine.English {
		summary, ask = "Appointment: "+clinic.Name, "To change or cancel, call the clinic: "+clinic.Phone
	}
	cal := ics.NewCalendarFor("Relais")
	cal.SetMethod(ics.MethodPublish)
	e := cal.AddEvent(string(booking))
	e.SetDtStampTime(time.Now().UTC())
	e.SetSequence(0)
	e.SetStatus(ics.ObjectStatusConfirmed)
	e.SetOrganizer(organizer) // publishing wants one; the library writes names in it wrongly
	e.SetStartAt(start.UTC())
	e.SetEndAt(end.UTC())
	e.SetSummary(summary)
	if clinic.Phone != "" {
		e.SetDescription(ask)
	}
	if clinic.Address != "" {
		e.SetLocation(clinic.Address)
	}
	return []byte(cal.Serialize(ics.WithNewLineWindows))
}
