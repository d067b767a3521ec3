package reach

import (
	"testing"
	"time"

	"relais/engine"
)

func TestMay(t *testing.T) {
	t.Parallel()
	zone := toronto(t)
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	monday := at("2026-03-02 12:00")
	mark := func(ago, lead time.Duration) engine.Mark {
		return engine.Mark{At: monday.Add(-ago), Start: monday.Add(-ago).Add(lead)}
	}
	with := func(c engine.Contact, change func(*engine.Contact)) engine.Contact {
		change(&c)
		return c
	}
	stopped := func(c *engine.Contact) { c.OptedOut = at("2026-02-01 09:00") }
	broken := func(c *engine.Contact) { c.Bad = engine.BadContact }
	sms, voice, email := contact("sms"), contact("voice"), contact("email")
	const hour, day = time.Hour, 24 * time.Hour
	tests := []struct {
		name     string
		contacts []engine.Contact
		hours    *engine.Hours
		offered  []engine.Mark
		now      time.Time
		lead     time.Duration // 0: three hours
		channel  engine.Channel
		obstacle string
	}{
		{name: "text first", contacts: []engine.Contact{email, voice, sms}, channel: engine.SMS},
		{name: "then a call", contacts: []engine.Contact{email, voice}, channel: engine.Voice},
		{name: "then an e-mail", contacts: []engine.Contact{email}, channel: engine.EmailMail},
		{name: "no contact", obstacle: noConsent},
		{name: "no consent", contacts: []engine.Contact{contact("sms!"), contact("email!")}, obstacle: noConsent},
		{name: "consent for one", contacts: []engine.Contact{contact("sms!"), email}, channel: engine.EmailMail},
		{name: "no address", contacts: []engine.Contact{{Channel: engine.SMS, Consent: monday}}, obstacle: noConsent},
		{name: "no sending channel", contacts: []engine.Contact{{Channel: engine.Page, Phone: "+1", Consent: monday}}, obstacle: noConsent},
		{name: "opted out", contacts: []engine.Contact{with(sms, stopped), contact("email!")}, obstacle: optedOut},
		{name: "opted out of texts only", contacts: []engine.Contact{with(sms, stopped), email}, channel: engine.EmailMail},
		{name: "opted out of the same number", contacts: []engine.Contact{sms, with(sms, stopped)}, obstacle: optedOut},
		{name: "nothing works", contacts: []engine.Contact{with(sms, broken)}, obstacle: noConsent},
		{
			name: "opted out goes before the cap", contacts: []engine.Contact{with(sms, stopped)}, now: at("2026-03-02 03:00"), obstacle: optedOut,
			offered: []engine.Mark{mark(hour, hour), mark(hour, hour), mark(hour, hour)},
		},

		{name: "below the cap", contacts: []engine.Contact{sms}, channel: engine.SMS, offered: []engine.Mark{mark(hour, hour), mark(day, hour)}},
		{name: "at the cap", contacts: []engine.Contact{sms}, obstacle: capped, offered: []engine.Mark{mark(hour, hour), mark(day, hour), mark(6*day, hour)}},
		{name: "at the day's cap", contacts: []engine.Contact{sms}, obstacle: capped, offered: []engine.Mark{mark(hour, hour), mark(23*hour, hour)}},
		{name: "a day has passed", contacts: []engine.Contact{sms}, channel: engine.SMS, offered: []engine.Mark{mark(hour, hour), mark(24*hour, hour)}},
		{name: "a week has passed", contacts: []engine.Contact{sms}, channel: engine.SMS, offered: []engine.Mark{mark(hour, hour), mark(day, hour), mark(7*day, hour)}},
		{name: "distant ones are capped earlier", contacts: []engine.Contact{sms}, lead: 30 * hour, obstacle: capped, offered: []engine.Mark{mark(hour, 2*day), mark(day, 2*day)}},
		{name: "a place is kept for short notice", contacts: []engine.Contact{sms}, lead: 24 * hour, channel: engine.SMS, offered: []engine.Mark{mark(hour, 2*day), mark(day, 2*day)}},
		{name: "near ones do not count as distant", contacts: []engine.Contact{sms}, lead: 30 * hour, channel: engine.SMS, offered: []engine.Mark{mark(hour, 2*day), mark(day, day)}},
		{name: "the cap goes before the hours", contacts: []engine.Contact{sms}, now: at("2026-03-02 23:00"), obstacle: capped, offered: []engine.Mark{mark(0, hour), mark(0, hour), mark(0, hour)}},

		{name: "before eight", contacts: []engine.Contact{sms, voice, email}, now: at("2026-03-02 07:59"), obstacle: offHours},
		{name: "at eight", contacts: []engine.Contact{sms}, now: at("2026-03-02 08:00"), channel: engine.SMS},
		{name: "at nine in the evening", contacts: []engine.Contact{sms}, now: at("2026-03-02 21:00"), obstacle: offHours},
		{name: "too early to call", contacts: []engine.Contact{voice}, now: at("2026-03-02 08:59"), obstacle: offHours},
		{name: "too early to call, so an e-mail", contacts: []engine.Contact{voice, email}, now: at("2026-03-02 08:59"), channel: engine.EmailMail},
		{name: "calls from nine", contacts: []engine.Contact{voice}, now: at("2026-03-02 09:00"), channel: engine.Voice},
		{name: "on Saturday from ten", contacts: []engine.Contact{voice}, now: at("2026-03-07 09:59"), obstacle: offHours},
		{name: "on Saturday at ten", contacts: []engine.Contact{voice}, now: at("2026-03-07 10:00"), channel: engine.Voice},
		{name: "on Sunday until six", contacts: []engine.Contact{voice}, now: at("2026-03-08 18:00"), obstacle: offHours},
		{name: "own hours", contacts: []engine.Contact{sms}, hours: &engine.Hours{From: 6 * 60, Until: 7 * 60}, now: at("2026-03-02 06:30"), channel: engine.SMS},
		{name: "own hours do not widen those of calls", contacts: []engine.Contact{voice}, hours: &engine.Hours{From: 6 * 60, Until: 23 * 60}, now: at("2026-03-02 21:30"), obstacle: offHours},
		{name: "agreed to any time", contacts: []engine.Contact{voice}, hours: &engine.Hours{}, now: at("2026-03-07 03:00"), channel: engine.Voice},
		{name: "hours that never open", contacts: []engine.Contact{sms}, hours: &engine.Hours{From: 600, Until: 300}, obstacle: offHours},
		// On 8 March 2026 the clock jumps from two to three, on 1 November back from two to one.
		{name: "a short day opens by the clock", contacts: []engine.Contact{sms}, now: at("2026-03-08 08:00"), channel: engine.SMS},
		{name: "a short day, a minute before", contacts: []engine.Contact{sms}, now: at("2026-03-08 08:00").Add(-time.Minute), obstacle: offHours},
		{name: "a long day closes by the clock", contacts: []engine.Contact{sms}, now: at("2026-11-01 21:00").Add(-time.Minute), channel: engine.SMS},
		{name: "a long day, closed", contacts: []engine.Contact{sms}, now: at("2026-11-01 21:00"), obstacle: offHours},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := tt.now
			if now.IsZero() {
				now = monday
			}
			lead := tt.lead
			if lead == 0 {
				lead = 3 * time.Hour
			}
			p := engine.Patient{Contacts: tt.contacts, Hours: tt.hours, Offered: tt.offered}
			got := May(p, now.Add(lead), now.UTC(), zone, engine.DefaultPolicy())
			if want := (Verdict{OK: tt.obstacle == "", Channel: tt.channel, Obstacle: tt.obstacle}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestMayWithoutZone(t *testing.T) {
	t.Parallel()
	p := engine.Patient{Contacts: []engine.Contact{contact("sms")}}
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	if v := May(p, now.Add(time.Hour), now, nil, engine.DefaultPolicy()); !v.OK {
		t.Errorf("without a zone the hours are UTC's; got %+v", v)
	}
}

func TestNextOpening(t *testing.T) {
	t.Parallel()
	zone := toronto(t)
	tests := []struct {
		name, from, want string
		hours            engine.Hours
		calls            bool
	}{
		{"open now", "2026-03-02 10:00", "2026-03-02 10:00", engine.Hours{From: 480, Until: 1260}, false},
		{"this morning", "2026-03-02 03:00", "2026-03-02 08:00", engine.Hours{From: 480, Until: 1260}, false},
		{"tomorrow", "2026-03-02 21:00", "2026-03-03 08:00", engine.Hours{From: 480, Until: 1260}, false},
		{"into the short day", "2026-03-07 22:00", "2026-03-08 08:00", engine.Hours{From: 480, Until: 1260}, false},
		{"into the long day", "2026-10-31 22:00", "2026-11-01 08:00", engine.Hours{From: 480, Until: 1260}, false},
		{"at a minute that is skipped", "2026-03-07 22:00", "2026-03-08 03:30", engine.Hours{From: 150, Until: 300}, false},
		{"inside a skipped hour only", "2026-03-07 22:00", "2026-03-09 02:10", engine.Hours{From: 130, Until: 170}, false},
		{"calls on Friday night", "2026-03-06 22:00", "2026-03-07 10:00", engine.Hours{From: 480, Until: 1380}, true},
		{"calls on Sunday night", "2026-03-08 18:00", "2026-03-09 09:00", engine.Hours{From: 480, Until: 1380}, true},
		{"no calls on weekends at eight in the evening", "2026-03-06 21:00", "2026-03-09 19:00", engine.Hours{From: 1140, Until: 1260}, true},
		{"calls at any time", "2026-03-07 03:00", "2026-03-07 03:00", engine.Hours{}, true},
		{"never", "2026-03-02 10:00", "", engine.Hours{From: 600, Until: 300}, false},
		{"never for calls", "2026-03-02 10:00", "", engine.Hours{From: 300, Until: 500}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, err := time.ParseInLocation("2006-01-02 15:04", tt.from, zone)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := hours{zone: zone, person: tt.hours, calls: tt.calls}.next(from)
			if text := got.In(zone).Format("2006-01-02 15:04"); ok != (tt.want != "") || ok && text != tt.want {
				t.Errorf("got %s %t, want %s", text, ok, tt.want)
			}
		})
	}
	if _, ok := (hours{person: engine.Hours{}}).next(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)); ok {
		t.Error("hours without a zone are open")
	}
}
