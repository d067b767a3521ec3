package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

func (w *world) contact(c engine.ClinicID, p engine.PatientID, in desk.ContactChange) (desk.Record, error) {
	return w.ChangeContact(context.Background(), c, p, "clerk", in)
}

func (w *world) broken(c engine.ClinicID) (list []string) {
	w.t.Helper()
	all, err := w.Broken(context.Background(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range all {
		list = append(list, fmt.Sprintf("%s %s %s left %d dated %v", b.Patient, b.Contact.Channel, b.Contact.Bad, b.Left, b.Contact.BadAt != nil || b.Contact.OptedOut != nil))
	}
	return list
}

// TestBrokenContacts follows a number that does not exist from the carrier's word to the desk and
// out of it.
func TestBrokenContacts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		w.do("S1", "send_now")
		w.mu.Lock()
		left := slices.Clone(w.messages)
		w.mu.Unlock()
		for _, m := range left {
			if w.whose(m) == "a1" {
				if err := w.Receipt(context.Background(), engine.Receipt{
					Attempt: m.Attempt, Status: engine.ReceiptFailed, Reason: engine.BadContact, At: time.Now(),
				}); err != nil {
					t.Error(err)
				}
			}
		}
		w.says("a", 2, "stop")
		w.wait(time.Second)
		want := []string{"a1 sms bad_contact left 0 dated true", "a2 sms  left 0 dated true"}
		got := w.broken("a")
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
		was := string(phone("a", 1))
		if _, err := w.contact("a", "a1", desk.ContactChange{Action: "correct", Was: "+15140000000", Address: "+15145550199", Proof: "by phone"}); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a contact that changed meanwhile: %v", err)
		}
		if _, err := w.contact("a", "a1", desk.ContactChange{Action: "correct", Was: was, Address: "+15145550199"}); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("no proof of consent: %v", err)
		}
		if _, err := w.contact("a", "a1", desk.ContactChange{Action: "correct", Was: was, Address: "a@b.ca", Proof: "x"}); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("a mail address for texts: %v", err)
		}
		rec, err := w.contact("a", "a1", desk.ContactChange{Action: "correct", Was: was, Address: "+15145550199", Proof: "by phone"})
		if err != nil {
			t.Fatal(err)
		}
		c := rec.Contacts[0]
		if !c.Usable || c.Address != "+15145550199" || c.Proof != "by phone" || c.Bad != "" || c.Consent == nil {
			t.Errorf("%+v", c)
		}
		if len(rec.Events) != 1 || rec.Events[0].Event != "contact_correct" || rec.Events[0].Who != "clerk" {
			t.Errorf("%+v", rec.Events)
		}
		if len(rec.Offers) != 1 || rec.Offers[0].Status == "" || len(rec.Offers[0].Deliveries) == 0 {
			t.Errorf("the history of offers: %+v", rec.Offers)
		}
		// The number of somebody who opted out stays so, whoever types it in: only its owner opts in again.
		rec, err = w.contact("a", "a3", desk.ContactChange{Action: "add", Channel: engine.SMS, Address: string(phone("a", 2)), Proof: "form"})
		if err != nil || rec.Contacts[1].Usable || rec.Contacts[1].OptedOut == nil {
			t.Errorf("%+v, %v", rec.Contacts, err)
		}
		if rec, err = w.Patient(context.Background(), "a", "a2"); err != nil || rec.Contacts[0].Usable || rec.Contacts[0].OptedOut == nil {
			t.Errorf("who opted out: %+v, %v", rec.Contacts, err)
		}
		if _, err = w.contact("a", "a2", desk.ContactChange{Action: "archive", Was: string(phone("a", 2))}); err != nil {
			t.Error(err)
		}
		if _, err = w.contact("a", "a3", desk.ContactChange{Action: "archive", Index: 1, Was: string(phone("a", 2))}); err != nil {
			t.Error(err)
		}
		if got := w.broken("a"); len(got) != 0 {
			t.Errorf("left on the list: %q", got)
		}
		w.crash()
		w.restart()
		w.wait(10 * time.Second)
		if rec, err = w.Patient(context.Background(), "a", "a1"); err != nil || rec.Contacts[0].Address != "+15145550199" {
			t.Errorf("after a crash: %+v, %v", rec.Contacts, err)
		}
	})
}

// TestPatientsOfOthersDoNotExist: no call of one clinic shows or changes a patient of another.
func TestPatientsOfOthersDoNotExist(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.start()
		w.enrol("a", 1, nil)
		w.enrol("b", 1, func(_ int, p *engine.Patient, _ *engine.Entry) { p.Contacts[0].Bad = engine.BadContact })
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Second)
		ctx := context.Background()
		if _, err := w.Patient(ctx, "a", "b1"); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("patient: %v", err)
		}
		if _, err := w.contact("a", "b1", desk.ContactChange{Action: "archive", Was: string(phone("b", 1))}); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("contact: %v", err)
		}
		if rec, err := w.Patient(ctx, "b", "b1"); err != nil || rec.Contacts[0].Archived != nil {
			t.Errorf("the other clinic's patient changed: %+v, %v", rec, err)
		}
		if got := w.broken("a"); len(got) != 0 {
			t.Errorf("broken: %q", got)
		}
		people, err := w.Explain(ctx, "a", w.slotID("a", "S1"), "Nomdefamille", 20)
		if err != nil || len(people) != 1 || people[0].ID != "a1" {
			t.Errorf("explain: %+v, %v", people, err)
		}
	})
}

// TestExplainNamesEveryReason puts one obstacle into the way of each person.
func TestExplainNamesEveryReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		start := monday.Add(3 * time.Hour)
		want := []string{
			"", "opted_out", "no_consent", "no_contact", "hours", "cap", "notice", "distance", "availability", "dates", "practitioner",
			"specialty", "place", "current", "placed", "claimed", "snoozed", "not_waiting",
		}
		w.enrol("a", len(want), func(i int, p *engine.Patient, e *engine.Entry) {
			c := &p.Contacts[0]
			switch want[i-1] {
			case "opted_out":
				c.OptedOut = time.Now()
			case "no_consent":
				c.Consent = time.Time{}
			case "no_contact":
				c.Bad = engine.BadContact
			case "hours":
				p.Hours = &engine.Hours{From: 1, Until: 2}
			case "cap":
				for range 50 {
					p.Offered = append(p.Offered, engine.Mark{At: time.Now().Add(-time.Hour), Start: start})
				}
			case "notice":
				e.Notice = 24 * time.Hour
			case "distance":
				e.Home, e.RadiusKm = &engine.Point{Lat: 10, Lon: 10}, 1
			case "availability":
				e.Windows = []engine.Window{{Days: 1 << ((start.Weekday() + 2) % 7), From: 0, Until: 1440}}
			case "dates":
				e.NotBefore = start.AddDate(0, 0, 7)
			case "practitioner":
				e.Practitioners = []engine.PractitionerID{"other"}
			case "specialty":
				e.Specialty = "other"
			case "place":
				e.Places = []engine.PlaceID{"other"}
			case "current":
				e.Current = &engine.Appointment{Source: "Appointment/1", Start: start.Add(-time.Hour)}
			case "placed":
				e.Status = engine.Placed
			case "claimed":
				e.Status = engine.Claimed
			case "snoozed":
				e.Status = engine.Snoozed
			case "not_waiting":
				e.Status = engine.Left
			}
		})
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Second)
		ask := func(i int) desk.Other {
			people, err := w.Explain(context.Background(), "a", w.slotID("a", "S1"), fmt.Sprintf("Prénoma%d Nom", i), 20)
			if err != nil || len(people) != 1 {
				t.Fatalf("%d: %+v, %v", i, people, err)
			}
			return people[0]
		}
		for i, obstacle := range want {
			got := ask(i + 1)
			if obstacle == "distance" && got.Obstacle == "" {
				continue // the world's place has no position
			}
			if got.Obstacle != obstacle || (got.Rank > 0) != (obstacle == "") {
				t.Errorf("a%d: %q rank %d, want %q", i+1, got.Obstacle, got.Rank, obstacle)
			}
		}
		if first := ask(1); first.Rank != 1 || first.Channel != engine.SMS || first.Waited < 6 || first.Priority != first.Waited {
			t.Errorf("the terms of the order: %+v", first)
		}
		w.do("S1", "send_now")
		if got := ask(1); got.Obstacle != "asked" {
			t.Errorf("asked already: %q", got.Obstacle)
		}
	})
}

// TestConflictSaysWhoChangedIt: two clerks look at one slot; the later one learns who was quicker, even
// when a wave left in between.
func TestConflictSaysWhoChangedIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 6, nil)
		seen := w.slot("S1").Version
		w.do("S1", "send_now") // a wave leaves: a change without a name on top of the clerk's
		if _, err := w.Act(context.Background(), "a", w.slotID("a", "S1"), "other", "k9", desk.Action{Action: "pause", Revision: seen}); engine.CodeOf(err) != engine.Conflict {
			t.Fatalf("a stale command: %v", err)
		}
		d, err := w.Slot(context.Background(), "a", w.slotID("a", "S1"))
		if err != nil || d.Card.By != "clerk" || d.Card.ByRevision <= seen || d.Card.ByRevision > d.Card.Revision {
			t.Errorf("by %q at %d, seen %d, now %d, %v", d.Card.By, d.Card.ByRevision, seen, d.Card.Revision, err)
		}
		mine := d.Card.Revision
		w.answer(w.says("a", 1, "non"), engine.AnsDeclined) // no clerk
		if d, err = w.Slot(context.Background(), "a", w.slotID("a", "S1")); err != nil || d.Card.ByRevision > mine {
			t.Errorf("a patient's answer is laid at a clerk's door: %+v, %v", d.Card, err)
		}
	})
}

// TestMessagesAreTheClinicsOwn shows texts of one clinic only, and no patient.
func TestMessagesAreTheClinicsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.start()
		w.enrol("a", 2, nil)
		list, err := w.Messages(context.Background(), "a")
		if err != nil || len(list) < 40 {
			t.Fatalf("%d messages, %v", len(list), err)
		}
		for _, p := range list {
			if strings.Contains(p.Text+p.HTML+p.Subject, "Nomdefamille") {
				t.Errorf("a patient's name: %+v", p)
			}
		}
	})
}
