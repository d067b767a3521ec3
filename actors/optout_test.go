package actors

import (
	"context"
	"testing"
	"time"

	"relais/engine"
	"relais/storage"
)

// TestStopHoldsByAddress holds that an address which opted out stays so: for another patient, at another
// clinic, enrolled anew, after a restart; until START, or a consent from after it.
func TestStopHoldsByAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.start()
		shared := phone("a", 1)
		early := time.Now()
		w.enrol("a", 1, nil)
		w.wait(time.Minute)
		w.answer(w.says("a", 1, "ARRET"), engine.AnsStopped)
		w.restart()
		of := func(id string, ch engine.Channel, consent time.Time) bool {
			t.Helper()
			p := engine.Patient{
				ID: engine.PatientID(id), Clinic: engine.ClinicID(id[:1]), Lang: engine.French, Source: "Patient/" + id,
				Contacts: []engine.Contact{{Channel: ch, Phone: shared, Consent: consent}},
			}
			if err := w.Add(context.Background(), []engine.Patient{p}, nil); err != nil {
				t.Fatal(err)
			}
			got, _, _ := w.waitlist.patient(p.ID)
			return got.Contacts[0].Usable()
		}
		if of("a2", engine.SMS, early) || of("b2", engine.SMS, early) || of("b3", engine.Voice, early) {
			t.Error("who opted out is on a list again")
		}
		w.wait(time.Minute)
		if !of("b4", engine.SMS, time.Now()) {
			t.Error("who consented after it cannot be reached")
		}
		w.answer(w.says("a", 1, "START"), engine.AnsStarted)
		w.restart()
		if !of("b5", engine.SMS, early) {
			t.Error("START does not hold for others")
		}
		events, err := w.process.store.Timeline(context.Background(), storage.Shared, "opt-out/"+w.address(shared, ""), 0, 10)
		if err != nil || len(events) != 2 {
			t.Errorf("%d words are kept, want both: %v", len(events), err)
		}
		w.private()
	})
}

// TestCarriersOptOutHoldsForOthers: the carrier says that a number opted out, and two patients have it.
func TestCarriersOptOutHoldsForOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		w.enrol("a", 2, func(_ int, p *engine.Patient, _ *engine.Entry) { p.Contacts[0].Phone = phone("a", 1) })
		w.carry = func(engine.Message) (engine.Outcome, time.Duration) {
			return engine.Outcome{Status: engine.Failed, Reason: engine.OptedOut}, 0
		}
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Minute)
		for _, id := range []engine.PatientID{"a1", "a2"} {
			if p, _, _ := w.waitlist.patient(id); p.Contacts[0].OptedOut.IsZero() {
				t.Errorf("%s can still be written to", id)
			}
		}
		w.want()
	})
}

// TestYesAfterStop: who opts out and then takes the place all the same is told at once that it is theirs:
// no message of its own would come.
func TestYesAfterStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		w.wait(time.Minute)
		w.want("a1 offer")
		w.answer(w.says("a", 1, "ARRET"), engine.AnsStopped)
		w.wait(time.Second)
		a := w.says("a", 1, "OUI")
		w.answer(a, engine.AnsBooked)
		if a.Text == "" {
			t.Error("the winner hears nothing")
		}
		w.wait(time.Minute)
		w.want()
	})
}

// TestStopOnThePage: the page stops everything for its person, also where they have no e-mail address.
func TestStopOnThePage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 2, func(i int, p *engine.Patient, _ *engine.Entry) {
			p.Contacts = append(p.Contacts, engine.Contact{Channel: engine.Voice, Phone: phone("a", i+4), Consent: time.Now()})
			if i == 1 {
				p.Contacts = append(p.Contacts, engine.Contact{Channel: engine.EmailMail, Email: "un@example.org", Consent: time.Now()})
			}
		})
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Minute)
		for i, ch := range map[int]engine.Channel{0: engine.Page, 1: engine.EmailMail} { // the second has none
			o, err := w.offerState(context.Background(), w.slot("S1").Offers[i].ID)
			if err != nil {
				t.Fatal(err)
			}
			in := engine.Reply{ID: "press-" + string(o.Offer), Token: o.Token, Channel: ch, Intent: engine.Stop}
			for range 2 { // pressed twice
				a, err := w.Reply(context.Background(), in)
				if err != nil {
					t.Fatal(err)
				}
				w.answer(a, engine.AnsStopped)
			}
			p, _, _ := w.waitlist.patient(o.Person.Patient)
			for _, c := range p.Contacts {
				if c.Usable() {
					t.Errorf("%s is still used after STOP", c.Channel)
				}
			}
		}
	})
}

// TestCallingBack: who calls back is led to the offer that waits for their answer, until it is answered.
func TestCallingBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		none := func() {
			t.Helper()
			if id, err := w.Called(context.Background(), phone("a", 1)); engine.CodeOf(err) != engine.NotFound {
				t.Errorf("%s %v", id, err)
			}
		}
		none()
		w.wait(time.Minute)
		w.want("a1 offer")
		id, err := w.Called(context.Background(), phone("a", 1))
		if err != nil || id.Offer() != w.slot("S1").Offers[0].ID {
			t.Fatalf("%s %v", id, err)
		}
		if s, err := w.Script(context.Background(), id, ""); err != nil || s.Prompt == "" || s.Stop == "" {
			t.Errorf("%+v %v", s, err)
		}
		a, err := w.Reply(context.Background(), engine.Reply{ID: "CA1", Attempt: id, Channel: engine.Voice, Intent: engine.Yes})
		if err != nil {
			t.Fatal(err)
		}
		w.answer(a, engine.AnsBooked)
		w.wait(time.Second)
		none()
	})
}

// TestCalendarFileOfTheWinner: who booked has a file for their calendar on the page, and nobody else has.
func TestCalendarFileOfTheWinner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 2, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer")
		token := func(i int) string {
			o, err := w.offerState(context.Background(), w.slot("S1").Offers[i].ID)
			if err != nil {
				t.Fatal(err)
			}
			return o.Token
		}
		if _, err := w.CalendarFile(context.Background(), token(0)); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("nothing is booked yet: %v", err)
		}
		w.answer(w.says("a", 1, "OUI"), engine.AnsBooked)
		w.wait(time.Second)
		if file, err := w.CalendarFile(context.Background(), token(0)); err != nil || string(file) != "BEGIN" {
			t.Errorf("%q %v", file, err)
		}
		if _, err := w.CalendarFile(context.Background(), token(1)); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("who came too late has one: %v", err)
		}
	})
}
