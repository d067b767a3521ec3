package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/duplicate"
	"relais/engine/roster"
	"relais/engine/slot"
)

func first(t *testing.T, err error, want engine.UserID) {
	t.Helper()
	by, ok := errors.AsType[*engine.Changed](err)
	if engine.CodeOf(err) != engine.Conflict || !ok || by.By != want || by.At.IsZero() {
		t.Errorf("%v does not say that %s was first", err, want)
	}
}

// TestTwoClerks: whoever is second is told who was first, for a patient, an entry, a proxy and a contact, and
// nothing is written over.
func TestTwoClerks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		w.enrol("a", 1, nil)
		ctx := context.Background()
		rec, err := w.Patient(ctx, "a", "a1")
		if err != nil {
			t.Fatal(err)
		}
		as := func(given string, revision uint64) desk.PatientChange {
			return desk.PatientChange{Revision: revision, Given: given, Family: "Roy", Lang: engine.English, Born: "1950-02-03", Source: "Patient/9"}
		}
		after, err := w.ChangePatient(ctx, "a", "a1", "anne", as("Anna", rec.Revision))
		if err != nil || after.Name != "Anna Roy" || after.Born != "1950-02-03" || after.Edited == nil || after.Edited.By != "anne" {
			t.Fatalf("%+v, %v", after, err)
		}
		_, err = w.ChangePatient(ctx, "a", "a1", "berthe", as("Annie", rec.Revision))
		first(t, err, "anne")
		_, err = w.ChangeProxy(ctx, "a", "a1", "berthe", desk.ProxyChange{Revision: rec.Revision, Action: "add", Name: "Luc", Relation: "fils"})
		first(t, err, "anne")
		_, err = w.contact("a", "a1", desk.ContactChange{Action: "archive", Was: "+15140000000"})
		first(t, err, "anne")

		wish := *rec.Entries[0].Wish
		wish.Class, wish.NotBefore, wish.NotAfter = 0, "2026-12-01", "2026-12-24"
		edit := desk.EntryChange{Revision: rec.Entries[0].Revision, Action: "edit", Wish: &wish}
		after, err = w.ChangeEntry(ctx, "a", "a1", "anne", edit)
		if err != nil || after.Entries[0].Wish.NotAfter != "2026-12-24" || after.Entries[0].Wish.NotBefore != "2026-12-01" || after.Entries[0].Class != 0 {
			t.Fatalf("%+v, %v", after.Entries, err)
		}
		_, err = w.ChangeEntry(ctx, "a", "a1", "berthe", edit)
		first(t, err, "anne")
		w.restart()
		again, err := w.Patient(ctx, "a", "a1")
		if err != nil || again.Name != "Anna Roy" || again.Entries[0].Wish.NotAfter != "2026-12-24" || again.Revision != 1 {
			t.Errorf("after a restart: %+v, %v", again, err)
		}
		var said []string
		for _, e := range again.Events {
			said = append(said, e.Event+" "+e.Who)
		}
		if want := []string{"entry_edited anne", "patient_edited anne"}; !slices.Equal(said, want) {
			t.Errorf("the timeline says %q, want %q", said, want)
		}
		if again.Events[1].Detail["source"] == "" || again.Events[1].Detail["born"] != "" {
			t.Errorf("what it was: %v", again.Events[1].Detail)
		}
	})
}

// TestSnooze: who is snoozed is not asked, and waits again on the day, by itself, also after a crash.
func TestSnooze(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 2, nil)
		ctx := context.Background()
		change := func(action, until string) desk.Record {
			t.Helper()
			rec, err := w.Patient(ctx, "a", "a1")
			if err != nil {
				t.Fatal(err)
			}
			rec, err = w.ChangeEntry(ctx, "a", "a1", "anne", desk.EntryChange{Revision: rec.Entries[0].Revision, Action: action, Until: until})
			if err != nil {
				t.Fatal(action, err)
			}
			return rec
		}
		tomorrow := monday.AddDate(0, 0, 1).Format(time.DateOnly)
		if rec := change("snooze", tomorrow); rec.Entries[0].Status != engine.Snoozed || rec.Entries[0].Until == nil {
			t.Fatalf("%+v", rec.Entries[0])
		}
		if _, err := w.ChangeEntry(ctx, "a", "a1", "anne", desk.EntryChange{Revision: 1, Action: "snooze", Until: monday.AddDate(0, 0, -1).Format(time.DateOnly)}); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("a snooze until yesterday: %v", err)
		}
		w.do("S1", "send_now")
		w.mu.Lock()
		for _, m := range w.messages {
			if w.whose(m) == "a1" {
				t.Error("somebody who is snoozed was asked")
			}
		}
		w.mu.Unlock()
		w.crash()
		w.start()
		w.wait(20 * time.Hour)
		if e := w.entry("a1"); e.Status != engine.Waiting || !e.Until.IsZero() {
			t.Errorf("the day has come: %+v", e)
		}
		change("snooze", "")
		w.wait(25 * time.Hour)
		if e := w.entry("a1"); e.Status != engine.Snoozed {
			t.Errorf("a snooze without an end ended: %+v", e)
		}
		change("wake", "")
		change("archive", "")
		if e := w.entry("a1"); e.Status != engine.Left || e.Why != "" {
			t.Errorf("archived: %+v", e)
		}
		change("restore", "")
		if e := w.entry("a1"); e.Status != engine.Waiting {
			t.Errorf("brought back: %+v", e)
		}
	})
}

// TestArchiveEndsOffers: whoever is archived loses their open offer, and is told.
func TestArchiveEndsOffers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		w.do("S1", "send_now")
		w.wait(time.Second)
		if _, err := w.ChangeEntry(context.Background(), "a", "a1", "anne", desk.EntryChange{Action: "archive"}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.answer(w.says("a", 1, "oui"), engine.AnsWithdrawn)
	})
}

// TestProxyAnswers: offers go to the chosen proxy and not to the patient, their yes counts, and their STOP is
// theirs alone.
func TestProxyAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.dmes["a"].add("S2", monday.Add(4*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 1, nil)
		w.wait(10 * time.Second)
		ctx := context.Background()
		rec, err := w.ChangeProxy(ctx, "a", "a1", "anne", desk.ProxyChange{Action: "add", Name: "Luc Roy", Relation: "fils", Lang: engine.English})
		if err != nil {
			t.Fatal(err)
		}
		id := rec.Proxies[0].ID
		if _, err := w.ChangeProxy(ctx, "a", "a1", "anne", desk.ProxyChange{Revision: 1, Action: "choose", ID: id}); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a proxy whom nothing reaches was chosen: %v", err)
		}
		if _, err := w.contact("a", "a1", desk.ContactChange{Action: "add", Channel: engine.SMS, Address: "+15145550777", Proof: "form", Proxy: "x-none"}); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("a contact of a proxy that is not there: %v", err)
		}
		rec, err = w.contact("a", "a1", desk.ContactChange{Action: "add", Channel: engine.SMS, Address: "+15145550777", Proof: "form", Proxy: id})
		if err != nil {
			t.Fatal(err)
		}
		rec, err = w.ChangeProxy(ctx, "a", "a1", "anne", desk.ProxyChange{Revision: rec.Revision, Action: "choose", ID: id})
		if err != nil || !rec.Proxies[0].Chosen || rec.Entries[0].Proxy != "Luc Roy" {
			t.Fatalf("%+v, %v", rec, err)
		}
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Second)
		w.do("S1", "send_now")
		w.wait(time.Second)
		w.mu.Lock()
		if len(w.messages) != 1 || w.messages[0].Phone != "+15145550777" || w.messages[0].Lang != engine.English {
			t.Errorf("the offer went elsewhere: %d messages", len(w.messages))
		}
		w.mu.Unlock()
		w.answer(w.saysAs("r1", "+15145550777", "yes"), engine.AnsBooked)
		if e := w.entry("a1"); e.Status != engine.Placed {
			t.Errorf("%+v", e)
		}
		w.saysAs("r2", "+15145550777", "stop")
		rec, err = w.Patient(ctx, "a", "a1")
		if err != nil || !rec.Contacts[0].Usable || rec.Contacts[1].Usable {
			t.Errorf("after the proxy's STOP: %+v, %v", rec.Contacts, err)
		}
		rec, err = w.ChangeProxy(ctx, "a", "a1", "anne", desk.ProxyChange{Revision: rec.Revision, Action: "archive", ID: id})
		if err != nil || rec.Contacts[1].Archived == nil {
			t.Errorf("an archived proxy: %+v, %v", rec.Contacts, err)
		}
	})
}

// TestNotesAreNowhereElse: a note is with the patient, and neither on the timeline nor in the logs.
func TestNotesAreNowhereElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		w.enrol("a", 1, nil)
		ctx := context.Background()
		rec, err := w.ChangeNote(ctx, "a", "a1", "anne", desk.NoteChange{Action: "add", Text: "  sonnette en panne  "})
		if err != nil || len(rec.Notes) != 1 || rec.Notes[0].Text != "sonnette en panne" || rec.Notes[0].By != "anne" {
			t.Fatalf("%+v, %v", rec.Notes, err)
		}
		for _, e := range rec.Events {
			for _, v := range e.Detail {
				if strings.Contains(v, "sonnette") {
					t.Errorf("the timeline repeats the note: %+v", e)
				}
			}
		}
		if _, err := w.ChangeNote(ctx, "a", "a1", "anne", desk.NoteChange{Action: "add", Text: " "}); engine.CodeOf(err) != engine.Invalid {
			t.Error(err)
		}
		rec, err = w.ChangeNote(ctx, "a", "a1", "berthe", desk.NoteChange{Action: "remove", ID: rec.Notes[0].ID})
		if err != nil || len(rec.Notes) != 0 || rec.Events[0].Event != "note_removed" || rec.Events[0].Who != "berthe" {
			t.Errorf("%+v, %v", rec, err)
		}
	})
}

// TestMerge: one record of two, with the offers, addresses and timelines of both; not while an offer of the
// one that goes is open.
func TestMerge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 2, func(i int, p *engine.Patient, e *engine.Entry) {
			p.Given, p.Family, p.Born = "Anne", "Roy", time.Date(1950, 2, 3, 0, 0, 0, 0, time.UTC)
		})
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Second)
		w.do("S1", "send_now")
		w.wait(time.Second)
		ctx := context.Background()
		twins, err := w.Duplicates(ctx, "a")
		if err != nil || len(twins) != 1 || !twins[0].Sure || !slices.Equal(twins[0].Reasons, []duplicate.Reason{duplicate.SameBirth}) {
			t.Fatalf("%+v, %v", twins, err)
		}
		ask := desk.MergeRequest{Other: "a2", Action: "preview"}
		view, err := w.Merge(ctx, "a", "a1", "anne", ask)
		if err != nil || view.Done || view.Hindrance != "offer" || len(view.Contacts) != 2 {
			t.Fatalf("%+v, %v", view, err)
		}
		ask.Action = "merge"
		if _, err := w.Merge(ctx, "a", "a1", "anne", ask); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("merged under an open offer: %v", err)
		}
		w.do("S1", "withdraw")
		w.wait(time.Second)
		ask.OtherRevision = 7
		_, err = w.Merge(ctx, "a", "a1", "anne", ask)
		if engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a record that changed meanwhile: %v", err)
		}
		ask.OtherRevision = 0
		if view, err = w.Merge(ctx, "a", "a1", "anne", ask); err != nil || !view.Done {
			t.Fatalf("%+v, %v", view, err)
		}
		check := func(when string) {
			t.Helper()
			rec, err := w.Patient(ctx, "a", "a1")
			if err != nil || len(rec.Contacts) != 2 || len(rec.Offers) != 2 || rec.Merged != 1 {
				t.Fatalf("%s: %+v, %v", when, rec, err)
			}
			for _, o := range rec.Offers {
				if o.Status == "" {
					t.Errorf("%s: the history of offers does not follow: %+v", when, o)
				}
			}
			if e := w.entry("a2"); e.Status != engine.Left || e.Why != engine.LeftMerged {
				t.Errorf("%s: the double waits on: %+v", when, e)
			}
			if gone, err := w.Patient(ctx, "a", "a2"); err != nil || gone.Into != "a1" {
				t.Errorf("%s: %+v, %v", when, gone, err)
			}
			if twins, err := w.Duplicates(ctx, "a"); err != nil || len(twins) != 0 {
				t.Errorf("%s: %+v, %v", when, twins, err)
			}
			if _, err := w.ChangeNote(ctx, "a", "a2", "anne", desk.NoteChange{Action: "add", Text: "x"}); engine.CodeOf(err) != engine.Conflict {
				t.Errorf("%s: the record that is gone was changed: %v", when, err)
			}
		}
		check("at once")
		w.restart()
		check("after a restart")
	})
}

// TestDistinct: two people who share a telephone are not shown again.
func TestDistinct(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		w.enrol("a", 2, func(_ int, p *engine.Patient, _ *engine.Entry) { p.Contacts[0].Phone = "+15145550111" })
		ctx := context.Background()
		if twins, err := w.Duplicates(ctx, "a"); err != nil || len(twins) != 1 {
			t.Fatalf("%+v, %v", twins, err)
		}
		if _, err := w.Merge(ctx, "a", "a1", "anne", desk.MergeRequest{Other: "a2", Action: "distinct"}); err != nil {
			t.Fatal(err)
		}
		if twins, err := w.Duplicates(ctx, "a"); err != nil || len(twins) != 0 {
			t.Errorf("%+v, %v", twins, err)
		}
	})
}

var how = roster.Clinic{
	Phone: func(s string) (engine.Phone, bool) { return engine.Phone("+1" + s), len(s) == 10 },
	Mail:  func(s string) bool { return strings.Contains(s, "@") },
}

// TestImport: looked at first, nothing happens; taken in, the good lines are there and the bad ones say why;
// taken in again, nothing happens; and what is exported comes back as nothing new.
func TestImport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		w.enrol("a", 1, func(_ int, p *engine.Patient, _ *engine.Entry) {
			p.Given, p.Family, p.Source, p.Born = "Anne", "Roy", "Patient/1", time.Date(1950, 2, 3, 0, 0, 0, 0, time.UTC)
		})
		ctx := context.Background()
		file := []byte("dossier;nom;prénom;naissance;téléphone;canaux;preuve;spécialité;disponibilités;priorité;note\n" +
			"Patient/1;Roy;Anne;;;;;derm;mardi matin;;rappeler\n" +
			"Patient/2;Côté;Luc;1980-01-01;5145550122;sms;formulaire;derm;;3;\n" +
			"Patient/3;Roy;Anne;1950-02-03;;;;derm;;;\n" +
			"Patient/4;Dubé;;;;;;derm;;;\n")
		run := func(dry bool) string {
			t.Helper()
			got, err := w.Import(ctx, "a", "anne", file, dry, how)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, l := range got.Lines {
				said = append(said, l.Does)
			}
			return strings.Join(said, " ")
		}
		if got, want := run(true), "update new duplicate bad"; got != want {
			t.Fatalf("it would do %q, want %q", got, want)
		}
		if rec, _ := w.Patient(ctx, "a", "a1"); rec.Revision != 0 || len(rec.Notes) != 0 {
			t.Fatalf("a look changed something: %+v", rec)
		}
		if got, want := run(false), "update new duplicate bad"; got != want {
			t.Fatalf("it did %q, want %q", got, want)
		}
		if got, want := run(false), "same same duplicate bad"; got != want {
			t.Errorf("the second time it did %q, want %q", got, want)
		}
		rec, err := w.Patient(ctx, "a", "a1")
		if err != nil || rec.Born == "" || len(rec.Notes) != 1 || len(rec.Entries[0].Wish.Windows) != 1 || rec.Events[0].Who != "anne" {
			t.Errorf("%+v, %v", rec, err)
		}
		page, err := w.SearchWaitlist(ctx, "a", desk.ListQuery{Search: "cote"})
		if err != nil || len(page.People) != 1 || page.People[0].Class != 3 || !slices.Equal(page.People[0].Channels, []engine.Channel{engine.SMS}) || page.Counts[engine.Waiting] != 2 {
			t.Fatalf("%+v, %v", page, err)
		}
		// Who left the list is not put on it again by an old file.
		if _, err := w.ChangeEntry(ctx, "a", page.People[0].Entry, "anne", desk.EntryChange{Revision: 1, Action: "archive"}); err != nil {
			t.Fatal(err)
		}
		if got, want := run(false), "same same duplicate bad"; got != want {
			t.Errorf("after somebody left it did %q, want %q", got, want)
		}
		for _, lang := range []engine.Lang{engine.French, engine.English} {
			out, err := w.Export(ctx, "a", lang)
			if err != nil {
				t.Fatal(err)
			}
			plain := how
			plain.Phone = func(s string) (engine.Phone, bool) {
				return engine.Phone("+1" + strings.NewReplacer(" ", "", "-", "").Replace(s)), true
			}
			got, err := w.Import(ctx, "a", "anne", out, true, plain)
			if err != nil || len(got.Lines) != 1 || got.Lines[0].Does != "same" {
				t.Errorf("what was exported in %s comes back as %+v, %v", lang, got.Lines, err)
			}
		}
	})
}

// TestFreeByHand: a slot that is free though nobody cancelled it is offered when the desk says so, once, and
// not when the record system shows it taken.
func TestFreeByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.dmes["a"].add("S2", monday.Add(4*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 1, nil)
		w.wait(10 * time.Second)
		if _, err := w.act("S1", "free", 0, "k1", ""); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a slot that is taken was freed: %v", err)
		}
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Second)
		w.do("S1", "withdraw") // now it is free there, and offered to nobody
		w.wait(time.Minute)
		for range 2 { // the same press twice
			if _, err := w.act("S1", "free", 0, "k2", ""); err != nil {
				t.Fatal(err)
			}
		}
		w.wait(5 * time.Second)
		w.phase("S1", slot.Freed)
		if s := w.slot("S1"); s.Opening != 2 {
			t.Errorf("opened %d times", s.Opening)
		}
		if _, err := w.act("S1", "free", 0, "k3", ""); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("freed while it is open: %v", err)
		}
		w.do("S1", "send_now")
		w.wait(time.Second)
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		if !slices.Contains(w.events("S1"), "freed_by_hand") {
			t.Errorf("the timeline does not say it: %v", w.events("S1"))
		}
	})
}
