package waiting

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
)

var now = time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)

func at(days int) time.Time { return now.Add(time.Duration(days) * 24 * time.Hour) }

func appt(source string, day int) Appointment {
	return Appointment{Source: source, Start: at(day), Live: true, Specialty: "derm", Practitioner: "dr", Place: "here"}
}

func patient(sooner bool) engine.Patient {
	p := engine.Patient{ID: "p", Clinic: "c", Source: "Patient/1"}
	if sooner {
		p.Sooner = &engine.Sooner{At: at(-10), Proof: "form", Notice: time.Hour}
	}
	return p
}

func byHand(current string, day int) engine.Entry {
	e := engine.Entry{ID: "hand", Clinic: "c", Patient: "p", Status: engine.Waiting, Specialty: "derm", Joined: at(-20)}
	if current != "" {
		e.Current = &engine.Appointment{Source: current, Start: at(day)}
	}
	return e
}

// settle keeps what Derive says, as the caller does.
func (k Known) settle(changes []Change) Known {
	k.Entries = slices.Clone(k.Entries)
	for _, ch := range changes {
		k.Entries = slices.DeleteFunc(k.Entries, func(e engine.Entry) bool { return e.ID == ch.Entry.ID })
		if !ch.Drop {
			k.Entries = append(k.Entries, ch.Entry)
		}
	}
	return k
}

// said is what Derive says, in words.
func said(k Known, at time.Time) []string {
	list := []string{}
	for _, ch := range Derive(k, at) {
		e := ch.Entry
		name := string(e.ID)
		if e.Auto {
			name = "auto"
		}
		line := fmt.Sprint(name, " ", ch.Event, " ", e.Status)
		if ch.Drop {
			line = name + " dropped"
		}
		if e.Current != nil {
			line += " " + e.Current.Source
		}
		if e.Why != "" {
			line += " " + string(e.Why)
		}
		list = append(list, line)
	}
	return list
}

func TestDerive(t *testing.T) {
	cancelled, ours, fresh, other := appt("A1", 5), appt("A1", 5), appt("A1", 5), appt("A1", 5)
	cancelled.Live, ours.Ours, other.Specialty = false, true, "cardio"
	fresh.Seen, ours.Seen = at(-1), at(-1)
	tied := byHand("A1", 5)
	tied.Tied = true
	won := byHand("A1", 5)
	won.Status = engine.Placed
	left := byHand("", 0)
	left.Status = engine.Left
	twin := map[string]bool{"A1": true}
	for name, c := range map[string]struct {
		Known
		want []string
	}{
		"nobody asked":               {Known{Patient: patient(false), Appointments: []Appointment{appt("A1", 5)}}, nil},
		"sooner":                     {Known{Patient: patient(true), Appointments: []Appointment{appt("A2", 9), appt("A1", 5)}}, []string{"auto entry_added waiting A1", "auto entry_added waiting A2"}},
		"not what is past":           {Known{Patient: patient(true), Appointments: []Appointment{appt("A1", -1), cancelled}}, nil},
		"a winner's is on its way":   {Known{Patient: patient(true), Appointments: []Appointment{appt("A1", 5)}, Entries: []engine.Entry{won}}, nil},
		"listed by hand":             {Known{Patient: patient(true), Appointments: []Appointment{appt("A1", 5)}, Entries: []engine.Entry{byHand("A1", 5)}}, nil},
		"another record stands":      {Known{Patient: patient(true), Appointments: []Appointment{appt("A1", 5)}, Elsewhere: twin}, nil},
		"tied":                       {Known{Patient: patient(true), Appointments: []Appointment{appt("A1", 5)}, Entries: []engine.Entry{byHand("", 0)}}, []string{"hand entry_tied waiting A1"}},
		"another need":               {Known{Patient: patient(true), Appointments: []Appointment{other}, Entries: []engine.Entry{byHand("", 0)}}, []string{"auto entry_added waiting A1"}},
		"booked elsewhere":           {Known{Patient: patient(false), Appointments: []Appointment{fresh}, Entries: []engine.Entry{byHand("", 0)}}, []string{"hand entry_closed left booked"}},
		"booked by us":               {Known{Patient: patient(false), Appointments: []Appointment{ours}, Entries: []engine.Entry{byHand("", 0)}}, nil},
		"booked before they came":    {Known{Patient: patient(false), Appointments: []Appointment{appt("A1", 5)}, Entries: []engine.Entry{byHand("", 0)}}, nil},
		"booked for something else":  {Known{Patient: patient(false), Appointments: []Appointment{func() Appointment { o := fresh; o.Specialty = "cardio"; return o }()}, Entries: []engine.Entry{byHand("", 0)}}, nil},
		"off the list stays off":     {Known{Patient: patient(true), Appointments: []Appointment{fresh}, Entries: []engine.Entry{left}}, []string{"auto entry_added waiting A1"}},
		"by hand, moved":             {Known{Patient: patient(false), Appointments: []Appointment{appt("A1", 7)}, Entries: []engine.Entry{byHand("A1", 5)}}, []string{"hand entry_moved waiting A1"}},
		"by hand, cancelled":         {Known{Patient: patient(false), Appointments: []Appointment{cancelled}, Entries: []engine.Entry{byHand("A1", 5)}}, []string{"hand entry_untied waiting"}},
		"by hand, moved to another":  {Known{Patient: patient(true), Appointments: []Appointment{cancelled, appt("A2", 8)}, Entries: []engine.Entry{byHand("A1", 5)}}, []string{"hand entry_tied waiting A2"}},
		"by hand, out of sight":      {Known{Patient: patient(false), Entries: []engine.Entry{byHand("A1", 5)}}, nil},
		"by hand, past":              {Known{Patient: patient(false), Entries: []engine.Entry{byHand("A1", -1)}}, []string{"hand entry_closed left A1 past"}},
		"by hand, consent withdrawn": {Known{Patient: patient(false), Appointments: []Appointment{appt("A1", 5)}, Entries: []engine.Entry{tied}}, []string{"hand entry_closed left A1 booked"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := fmt.Sprintf("%+v", c.Known)
			if got := said(c.Known, now); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if fmt.Sprintf("%+v", c.Known) != before {
				t.Error("the arguments were changed")
			}
			if again := said(c.settle(Derive(c.Known, now)), now); len(again) > 0 {
				t.Errorf("says more when it was kept: %q", again)
			}
		})
	}
}

// TestLifeOfAutomatic follows one entry through everything that can happen to its appointment.
func TestLifeOfAutomatic(t *testing.T) {
	k := Known{Patient: patient(true), Appointments: []Appointment{appt("A1", 5)}}
	step := func(what string, change func(), when time.Time, want ...string) {
		t.Helper()
		if change != nil {
			change()
		}
		if got := said(k, when); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		k = k.settle(Derive(k, when))
	}
	a := &k.Appointments[0]
	step("consent", nil, now, "auto entry_added waiting A1")
	id := k.Entries[0].ID
	if e := k.Entries[0]; e.Practitioners[0] != "dr" || e.Places[0] != "here" || e.Notice != time.Hour || !e.Joined.Equal(at(-10)) || e.Specialty != "derm" {
		t.Errorf("%+v", e)
	}
	step("moved", func() { a.Start, a.Practitioner = at(6), "other" }, now, "auto entry_moved waiting A1")
	if e := k.Entries[0]; !e.Current.Start.Equal(at(6)) || e.Practitioners[0] != "other" {
		t.Errorf("moved: %+v", e)
	}
	step("other wishes", func() {
		k.Patient.Sooner = &engine.Sooner{At: at(-10), Anyone: true, Places: []engine.PlaceID{"x", "y"}, Windows: []engine.Window{{Days: 2, From: 480, Until: 720}}}
	}, now, "auto entry_moved waiting A1")
	if e := k.Entries[0]; len(e.Practitioners) != 0 || len(e.Places) != 2 || len(e.Windows) != 1 {
		t.Errorf("other wishes: %+v", e)
	}
	step("cancelled", func() { a.Live = false }, now, "auto entry_closed left A1 cancelled")
	step("made again", func() { a.Live, a.Seen = true, at(0) }, now, "auto entry_back waiting A1")
	if e := k.Entries[0]; !e.Joined.Equal(at(0)) || e.Why != "" {
		t.Errorf("made again: %+v", e)
	}
	step("won", func() { k.Entries[0].Status = engine.Claimed }, now)
	step("consent withdrawn while it wins", func() { k.Patient.Sooner = nil }, now)
	step("lost it", func() { k.Entries[0].Status = engine.Waiting; k.Entries[0].Lost = 1 }, now, "auto entry_closed left A1 withdrawn")
	step("consent again", func() { k.Patient = patient(true) }, now, "auto entry_back waiting A1")
	if k.Entries[0].Lost != 1 {
		t.Error("the claim that was lost is forgotten")
	}
	step("listed by hand", func() { k.Entries = append(k.Entries, byHand("A1", 6)) }, now, "auto entry_closed left A1 listed")
	step("off the list", func() {
		for i := range k.Entries {
			if !k.Entries[i].Auto {
				k.Entries[i].Status = engine.Left
			}
		}
	}, now, "auto entry_back waiting A1")
	step("past", nil, at(6), "auto entry_closed left A1 past")
	step("long past, and the record system forgot it", func() { k.Appointments = nil }, at(35))
	step("longer past", nil, at(37), "auto dropped A1 past")
	if slices.ContainsFunc(k.Entries, func(e engine.Entry) bool { return e.ID == id }) {
		t.Error("it is still there")
	}
}

func TestTheirOwnNoStays(t *testing.T) {
	k := Known{Patient: patient(true), Appointments: []Appointment{appt("A1", 5)}}
	k = k.settle(Derive(k, now))
	k.Entries[0].Status = engine.Left // by the person or the desk: no reason of ours
	if got := said(k, now); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestMostAuto(t *testing.T) {
	k := Known{Patient: patient(true)}
	for i := range 3 * MostAuto {
		k.Appointments = append(k.Appointments, appt(fmt.Sprint("A", i), 30-i))
	}
	changes := Derive(k, now)
	if len(changes) != MostAuto || changes[0].Entry.Current.Source != fmt.Sprint("A", 3*MostAuto-1) {
		t.Errorf("%d entries, first %+v", len(changes), changes[0].Entry.Current)
	}
	if again := Derive(k.settle(changes), now); len(again) > 0 {
		t.Errorf("%d more", len(again))
	}
}

// FuzzDerive holds what must be true whatever is known: nothing is said twice, no appointment has two
// entries on the list, nobody waits by a consent that is not there, and what won a slot stays as it is.
func FuzzDerive(f *testing.F) {
	f.Add([]byte("sooner and everything"), uint8(3), true)
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 255, 254, 128, 64, 32}, uint8(9), false)
	f.Fuzz(func(t *testing.T, data []byte, shape uint8, sooner bool) {
		k := Known{Patient: patient(sooner)}
		take := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b) % n
		}
		for i := range int(shape % 5) {
			a := appt(fmt.Sprint("A", i), take(12)-3)
			a.Live, a.Ours, a.Seen = take(4) > 0, take(4) == 0, at(-take(40))
			a.Specialty = []engine.Specialty{"derm", "cardio", ""}[take(3)]
			k.Appointments = append(k.Appointments, a)
		}
		for i := range int(shape/5) % 5 {
			e := byHand([]string{"", "A0", "A1", "A9"}[take(4)], take(12)-3)
			e.ID = engine.EntryID(fmt.Sprint("e", i))
			e.Status = []engine.EntryStatus{engine.Waiting, engine.Snoozed, engine.Claimed, engine.Placed, engine.Left}[take(5)]
			e.Tied = e.Current != nil && take(2) == 0
			if e.Current != nil && take(2) == 0 {
				e.ID, e.Auto, e.Tied = ID(k.Patient, e.Current.Source), true, false
			}
			if !slices.ContainsFunc(k.Entries, func(o engine.Entry) bool { return o.ID == e.ID }) {
				k.Entries = append(k.Entries, e)
			}
		}
		changes := Derive(k, now)
		seen := map[engine.EntryID]bool{}
		for _, ch := range changes {
			if seen[ch.Entry.ID] {
				t.Fatalf("%s changes twice", ch.Entry.ID)
			}
			seen[ch.Entry.ID] = true
			for _, e := range k.Entries {
				if e.ID == ch.Entry.ID && (e.Status == engine.Claimed || e.Status == engine.Placed) && !ch.Drop {
					t.Fatalf("a winner is changed to %+v", ch.Entry)
				}
				if e.ID == ch.Entry.ID && !ch.Drop && reflect.DeepEqual(e, ch.Entry) {
					t.Fatalf("%s %q changes nothing", e.ID, ch.Event)
				}
			}
		}
		after := k.settle(changes)
		if again := said(after, now); len(again) > 0 {
			t.Fatalf("said %q, then %q", said(k, now), again)
		}
		of := map[string][]string{}
		for _, e := range after.Entries {
			if e.Auto && open(e) {
				if !sooner {
					t.Fatal("waits without consent")
				}
				of[e.Current.Source] = append(of[e.Current.Source], string(e.ID))
			}
		}
		for source, ids := range of {
			if len(ids) > 1 {
				t.Fatalf("%s has %s", source, strings.Join(ids, " "))
			}
		}
	})
}
