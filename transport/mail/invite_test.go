package mail

import (
	"bytes"
	"testing"
	"time"

	"github.com/emersion/go-ical"

	"relais/engine"
)

// TestInvite has the calendar files read by another library.
func TestInvite(t *testing.T) {
	c, err := New(Config{Host: "localhost", From: "rendezvous@clinique.example"})
	if err != nil {
		t.Fatal(err)
	}
	clinic := engine.Clinic{Name: `Clinique, du "Parc" ; été`, Address: "1, rue Principale\nMontréal", Phone: "+1 514 555-0100"}
	start := time.Date(2026, 3, 2, 14, 20, 0, 0, time.UTC)
	raw := c.Invite("relais-x.1.1", clinic, engine.English, start, start.Add(20*time.Minute))
	cal, err := ical.NewDecoder(bytes.NewReader(raw)).Decode()
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if got := cal.Props.Get(ical.PropMethod); got == nil || got.Value != "PUBLISH" {
		t.Errorf("method %+v, want PUBLISH", got)
	}
	if len(cal.Events()) != 1 {
		t.Fatalf("%d events", len(cal.Events()))
	}
	e := cal.Events()[0]
	for name, want := range map[string]string{
		ical.PropUID: "relais-x.1.1", ical.PropStatus: "CONFIRMED", ical.PropSequence: "0",
		ical.PropSummary: "Appointment: " + clinic.Name, ical.PropLocation: clinic.Address, ical.PropOrganizer: "mailto:rendezvous@clinique.example",
	} {
		p := e.Props.Get(name)
		if p == nil {
			t.Errorf("no %s", name)
			continue
		}
		got, err := p.Text()
		if name == ical.PropSequence || name == ical.PropOrganizer {
			got, err = p.Value, nil
		}
		if err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", name, got, want, err)
		}
	}
	from, err := e.DateTimeStart(time.UTC)
	until, err2 := e.DateTimeEnd(time.UTC)
	if err != nil || err2 != nil || !from.Equal(start) || !until.Equal(start.Add(20*time.Minute)) {
		t.Errorf("from %v until %v (%v, %v)", from, until, err, err2)
	}
	for line := range bytes.Lines(raw) {
		if len(line) > 77 || !bytes.HasSuffix(line, []byte("\r\n")) {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
	}
}
