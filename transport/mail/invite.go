package mail

import (
	"time"

	ics "github.com/arran4/golang-ical"

	"relais/engine"
)

// Invite writes the calendar file of a booking, for engine.Message.Invite. It says clinic, place
// and time and nothing else of the visit. Its UID is the booking's, so the same booking sent
// twice is one entry of the calendar.
//
// It is published, not requested (RFC 5546): a request asks for an RSVP, which would go to an
// address that nobody reads.
func Invite(booking engine.BookingID, c engine.Clinic, lang engine.Lang, start, end time.Time) []byte {
	summary, ask := "Rendez-vous : "+c.Name, "Pour modifier ou annuler, appelez la clinique : "+c.Phone
	if lang == engine.English {
		summary, ask = "Appointment: "+c.Name, "To change or cancel, call the clinic: "+c.Phone
	}
	cal := ics.NewCalendarFor("Relais")
	cal.SetMethod(ics.MethodPublish)
	e := cal.AddEvent(string(booking))
	e.SetDtStampTime(time.Now().UTC())
	e.SetSequence(0)
	e.SetStatus(ics.ObjectStatusConfirmed)
	e.SetStartAt(start.UTC())
	e.SetEndAt(end.UTC())
	e.SetSummary(summary)
	if c.Phone != "" {
		e.SetDescription(ask)
	}
	if c.Address != "" {
		e.SetLocation(c.Address)
	}
	return []byte(cal.Serialize(ics.WithNewLineWindows))
}
