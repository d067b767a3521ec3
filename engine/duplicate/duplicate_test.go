package duplicate_test

import (
	"slices"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/duplicate"
)

func born(day string) time.Time {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic(err)
	}
	return t
}

func sms(number string) engine.Contact {
	return engine.Contact{Channel: engine.SMS, Phone: engine.Phone(number), Consent: born("2026-01-02"), Proof: "form"}
}

func TestFind(t *testing.T) {
	people := []engine.Patient{
		{ID: "1", Given: "Anne-Marie", Family: "Côté", Born: born("1950-02-03"), Source: "Patient/1", Contacts: []engine.Contact{sms("+15145550101")}},
		{ID: "2", Given: "anne marie", Family: "COTE", Born: born("1950-02-03"), Source: "Patient/2"},
		{ID: "3", Given: "Luc", Family: "Côté", Born: born("1980-01-01"), Source: "Patient/3", Contacts: []engine.Contact{sms("+15145550101")}},
		{ID: "4", Given: "Jeanne", Family: "Roy", Source: "Patient/4"},
		{ID: "5", Given: "Jeannine", Family: "Roy", Source: "Patient/5", Sources: []string{"Patient/4"}},
		{ID: "6", Given: "Anne-Marie", Family: "Côté", Born: born("1950-02-03"), Source: "Patient/1", Into: "1"},
	}
	got := duplicate.Find(people)
	if len(got) != 3 {
		t.Fatalf("%d pairs, want 3: %v", len(got), got)
	}
	for _, want := range []duplicate.Pair{
		{A: "1", B: "2", Reasons: []duplicate.Reason{duplicate.SameBirth}, Sure: true},
		{A: "4", B: "5", Reasons: []duplicate.Reason{duplicate.SameSource}, Sure: true},
		{A: "1", B: "3", Reasons: []duplicate.Reason{duplicate.SamePhone}},
	} {
		if !slices.ContainsFunc(got, func(p duplicate.Pair) bool {
			return p.A == want.A && p.B == want.B && p.Sure == want.Sure && slices.Equal(p.Reasons, want.Reasons)
		}) {
			t.Errorf("%v is not among %v", want, got)
		}
	}
	if got[2].Sure {
		t.Errorf("two people who share a telephone come before sure ones: %v", got)
	}
	people[2].Distinct = []engine.PatientID{"1"}
	if got := duplicate.Find(people); len(got) != 2 {
		t.Errorf("a pair that was said to be two people is still there: %v", got)
	}
}

func TestMergeLosesNothing(t *testing.T) {
	early, late := born("2026-01-10"), born("2026-02-10")
	stopped := sms("+15145550101")
	stopped.OptedOut = late
	keep := engine.Patient{
		ID: "1", Given: "Anne", Family: "Côté", Lang: engine.French, Source: "Patient/1",
		Contacts: []engine.Contact{sms("+15145550101")}, Offered: []engine.Mark{{At: late, Slot: "b"}}, Notes: []engine.Note{{ID: "n2", At: late}},
	}
	other := engine.Patient{
		ID: "2", Given: "Ann", Family: "Côté", Lang: engine.French, Born: born("1950-02-03"), Source: "Patient/2",
		Contacts: []engine.Contact{stopped, sms("+15145550102")}, Offered: []engine.Mark{{At: early, Slot: "a"}}, Notes: []engine.Note{{ID: "n1", At: early}},
		Proxies: []engine.Proxy{{ID: "x", Name: "Luc"}}, Was: []engine.PatientID{"0"},
	}
	entry := func(id engine.EntryID, of engine.PatientID, s engine.Specialty, joined time.Time, class int) engine.Entry {
		return engine.Entry{ID: id, Patient: of, Specialty: s, Status: engine.Waiting, Joined: joined, Class: class}
	}
	m := duplicate.Merge(keep, other,
		[]engine.Entry{entry("e1", "1", "derm", late, 2)},
		[]engine.Entry{entry("e2", "2", "derm", early, 3), entry("e3", "2", "cardio", late, 1), {ID: "e4", Patient: "2", Status: engine.Placed}})
	k := m.Kept
	if k.Given != "Anne" || !k.Born.Equal(other.Born) || len(k.Contacts) != 2 || len(k.Offered) != 2 || len(k.Notes) != 2 || len(k.Proxies) != 1 {
		t.Errorf("kept: %+v", k)
	}
	if k.Offered[0].Slot != "a" || k.Notes[0].ID != "n1" {
		t.Errorf("what both had is not in order of time")
	}
	if !k.Contacts[0].OptedOut.Equal(late) {
		t.Error("a STOP was forgotten")
	}
	if !slices.Equal(k.Was, []engine.PatientID{"2", "0"}) || !slices.Equal(k.Sources, []string{"Patient/2"}) {
		t.Errorf("where it comes from: %v %v", k.Was, k.Sources)
	}
	if m.Gone.Into != "1" || m.Gone.Source != "" || len(m.Gone.Contacts) != 0 {
		t.Errorf("gone: %+v", m.Gone)
	}
	if len(m.Differ) != 2 || m.Differ[0] != (duplicate.Difference{Field: duplicate.Given, Kept: "Anne", Other: "Ann"}) {
		t.Errorf("differences: %v", m.Differ)
	}
	by := map[engine.EntryID]engine.Entry{}
	for _, e := range m.Changed {
		by[e.ID] = e
	}
	if e := by["e1"]; !e.Joined.Equal(early) || e.Class != 2 || e.Status != engine.Waiting {
		t.Errorf("the entry that goes on: %+v", e)
	}
	if e := by["e2"]; e.Status != engine.Left || e.Why != engine.LeftMerged {
		t.Errorf("its double: %+v", e)
	}
	if e := by["e3"]; e.Patient != "1" || e.Status != engine.Waiting {
		t.Errorf("the other wish: %+v", e)
	}
	if _, moved := by["e4"]; moved {
		t.Error("a booking of the past was rewritten")
	}
	if keep.Contacts[0].OptedOut != (time.Time{}) || len(keep.Was) != 0 {
		t.Error("the argument was changed")
	}
}
