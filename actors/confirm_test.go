package actors

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

// asked is a clinic whose only patient is asked by text to confirm a second number.
func asked(t *testing.T) (w *world, number engine.Phone) {
	t.Helper()
	w = newWorld(t, 1, nil)
	w.start()
	w.enrol("a", 1, nil)
	w.wait(10 * time.Second)
	number = phone("a", 50)
	rec, err := w.contact("a", "a1", desk.ContactChange{Action: "add", Channel: engine.SMS, Address: string(number), Confirm: true})
	if err != nil || rec.Contacts[1].Usable || rec.Contacts[1].Consent != nil || rec.Contacts[1].Asked == nil {
		t.Fatalf("%+v, %v", rec.Contacts, err)
	}
	return w, number
}

func (w *world) second() desk.Contact {
	w.t.Helper()
	rec, err := w.Patient(context.Background(), "a", "a1")
	if err != nil {
		w.t.Fatal(err)
	}
	return rec.Contacts[1]
}

// TestConfirmation: nothing but one question goes to a number before its owner said yes, and the reply is
// the proof.
func TestConfirmation(t *testing.T) {
	for said, want := range map[string]engine.AnswerKind{
		"oui": engine.AnsConsented, "1": engine.AnsConsented, "non": engine.AnsRefusedConsent, "arret": engine.AnsStopped, "": "", "late": engine.AnsNone,
	} {
		bubble(t, func(t *testing.T) {
			w, number := asked(t)
			w.wait(time.Second)
			w.want("a50 confirm")
			w.crash()
			w.restart()
			w.wait(time.Minute)
			w.want() // a question is asked once
			switch said {
			case "":
			case "late":
				w.wait(engine.ConfirmWithin)
				w.answer(w.saysAs("SM1", number, "oui"), want)
			default:
				w.answer(w.saysAs("SM1", number, said), want)
				w.wait(time.Hour)
				again := want
				if want == engine.AnsStopped {
					again = engine.AnsStopped
				}
				w.answer(w.saysAs("SM1", number, said), again) // brought again by the carrier
			}
			c, yes := w.second(), want == engine.AnsConsented
			if c.Usable != yes || yes && (c.Consent == nil || c.Proof != "text SM1") {
				t.Errorf("%q: %+v", said, c)
			}
			w.dmes["a"].add("S1", time.Now().Add(4*time.Hour), 20*time.Minute)
			w.wait(10 * time.Second)
			w.dmes["a"].cancel("S1")
			w.wait(2 * time.Minute)
			if got := slices.Contains(w.texts(), "a50 offer"); got != yes {
				t.Errorf("%q: offered there: %t", said, got)
			}
		})
	}
}

// TestConfirmationIsNeverDoubled: after a crash in the middle of sending nobody knows whether it left.
func TestConfirmationIsNeverDoubled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		w.enrol("a", 1, nil)
		w.wait(10 * time.Second)
		w.mu.Lock()
		w.carry = func(engine.Message) (engine.Outcome, time.Duration) {
			return engine.Outcome{Status: engine.Accepted}, 5 * time.Second
		}
		w.mu.Unlock()
		if _, err := w.contact("a", "a1", desk.ContactChange{Action: "add", Channel: engine.SMS, Address: string(phone("a", 50)), Confirm: true}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.crash()
		w.mu.Lock()
		w.carry = nil
		w.mu.Unlock()
		w.restart()
		w.wait(time.Minute)
		w.want()
		if c := w.second(); c.Question != engine.Unknown || c.Usable {
			t.Errorf("%+v", c)
		}
		// It may have arrived, so it may be answered.
		w.answer(w.says("a", 50, "oui"), engine.AnsConsented)
	})
}

// TestConfirmationThatFails: what certainly did not leave is tried again, and a number that cannot take
// texts is marked.
func TestConfirmationThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		w.enrol("a", 1, nil)
		w.wait(10 * time.Second)
		tries := 0
		w.mu.Lock()
		w.carry = func(engine.Message) (engine.Outcome, time.Duration) {
			if tries++; tries == 1 {
				return engine.Outcome{Status: engine.Failed, Reason: engine.CarrierDown, Retry: true}, 0
			}
			return engine.Outcome{Status: engine.Failed, Reason: engine.Landline}, 0
		}
		w.mu.Unlock()
		for _, in := range []desk.ContactChange{
			{Action: "add", Channel: engine.EmailMail, Address: "a@b.example", Confirm: true},
			{Action: "add", Channel: engine.Voice, Address: "+15145550111", Confirm: true},
			{Action: "add", Channel: engine.SMS, Address: "+15145550111", Confirm: true, Proof: "form"},
			{Action: "add", Channel: engine.SMS, Confirm: true},
		} {
			if _, err := w.contact("a", "a1", in); engine.CodeOf(err) != engine.Invalid {
				t.Errorf("%+v: %v", in, err)
			}
		}
		w.saysAs("SM8", "+15145550112", "STOP")
		if _, err := w.contact("a", "a1", desk.ContactChange{Action: "add", Channel: engine.SMS, Address: "+15145550112", Confirm: true}); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a number that opted out is asked: %v", err)
		}
		if _, err := w.contact("a", "a1", desk.ContactChange{Action: "add", Channel: engine.SMS, Address: string(phone("a", 50)), Confirm: true}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Minute)
		if c := w.second(); tries != 2 || c.Question != engine.Failed || c.Bad != engine.Landline {
			t.Errorf("%d tries, %+v", tries, c)
		}
		w.answer(w.says("a", 50, "oui"), engine.AnsNone)
	})
}

// TestOfferBeforeConfirmation: a yes is for what was read last.
func TestOfferBeforeConfirmation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, number := asked(t)
		w.enrol("a", 50, func(i int, p *engine.Patient, e *engine.Entry) {
			if i == 1 {
				p.ID, e.ID, e.Patient = "x", "x", "x"
				p.Contacts[0].Phone = number
			} else {
				p.ID, e.ID = p.ID+"y", e.ID+"y"
				e.Patient, e.Status = p.ID, engine.Left
			}
		})
		w.wait(time.Hour)
		w.dmes["a"].add("S1", time.Now().Add(4*time.Hour), 20*time.Minute)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Minute)
		if got := w.texts(); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "a50 offer") }) {
			t.Fatalf("%q", got)
		}
		w.answer(w.says("a", 50, "oui"), engine.AnsBooked)
		w.answer(w.says("a", 50, "oui"), engine.AnsConsented)
	})
}
