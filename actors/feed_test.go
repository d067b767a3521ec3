package actors

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/engine/waiting"
	"relais/storage"
)

// books gives an appointment of the record system to a patient.
func (d *records) books(appointment, patient string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.appts[appointment]
	a.Patient, a.Version = patient, d.touch(appointment)
}

// joins puts a patient into a free slot, by telephone, and returns the appointment.
func (d *records) joins(source, patient string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.occupy(source, patient, "")
}

// moves brings an appointment with its slot to another time.
func (d *records) moves(appointment string, start time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.appts[appointment]
	length := a.End.Sub(a.Start)
	a.Start, a.End, a.Version = start.UTC(), start.Add(length).UTC(), d.touch(appointment)
	s := d.slots[a.Slots[0]]
	s.Start, s.End, s.Version = a.Start, a.End, d.touch(s.Source)
}

func (d *records) alive(appointment string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.appts[appointment].Live
}

// feeders makes a world where nobody is on the list: a1 has a later appointment in slot L1 and consented
// to be seen sooner, and S1 was just cancelled.
func feeders(t *testing.T) (w *world, later string) {
	t.Helper()
	w = newWorld(t, 1, nil)
	d := w.dmes["a"]
	d.add("S1", monday.Add(3*time.Hour), 20*time.Minute)
	later = d.add("L1", monday.Add(7*time.Hour), 20*time.Minute)
	d.books(later, "Patient/a1")
	w.start()
	w.consents(1)
	w.wait(10 * time.Second)
	return w, later
}

// consents adds patient i, who is on no list and consents to be seen sooner.
func (w *world) consents(i int) {
	w.t.Helper()
	id := engine.PatientID("a" + string(rune('0'+i)))
	p := engine.Patient{
		ID: id, Clinic: "a", Given: "Prénom" + string(id), Family: "Nomdefamille" + string(id), Lang: engine.French, Source: "Patient/" + string(id),
		Contacts: []engine.Contact{{Channel: engine.SMS, Phone: phone("a", i), Consent: time.Now()}},
		Sooner:   &engine.Sooner{At: time.Now().UTC(), Proof: "form"},
	}
	if err := w.Add(context.Background(), []engine.Patient{p}, nil); err != nil {
		w.t.Fatal(err)
	}
}

// wish is the entry that follows an appointment of a patient, as the store has it.
func (w *world) wish(p engine.PatientID, appointment string) engine.Entry {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	id := waiting.ID(engine.Patient{ID: p, Clinic: "a"}, appointment)
	var e engine.Entry
	_ = json.Unmarshal(w.disk.records[storage.Key{Clinic: "a", Kind: storage.KindEntry, ID: string(id)}].Data, &e)
	return e
}

// stands checks where an entry stands, in the store and in memory.
func (w *world) stands(e engine.Entry, status engine.EntryStatus, why engine.LeftWhy) {
	w.t.Helper()
	if e.Status != status || e.Why != why {
		w.t.Errorf("%s is %q %q, want %q %q", e.ID, e.Status, e.Why, status, why)
	}
	if m, _, _ := w.waitlist.entry(e.ID); m.Status != e.Status || m.Why != e.Why {
		w.t.Errorf("%s is %q %q in memory", e.ID, m.Status, m.Why)
	}
}

func TestSoonerFeedsTheList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, later := feeders(t)
		d := w.dmes["a"]
		e := w.wish("a1", later)
		w.stands(e, engine.Waiting, "")
		if !e.Auto || !e.Current.Start.Equal(monday.Add(7*time.Hour)) || e.Specialty != "derm" {
			t.Errorf("%+v", e)
		}
		d.cancel("S1")
		w.wait(90 * time.Second)
		w.want("a1 offer")
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		w.wait(10 * time.Second)
		w.want("a1 booked")
		if d.alive(later) {
			t.Error("the later appointment was not given up")
		}
		w.stands(w.wish("a1", later), engine.Placed, "")
		if l := w.slot("L1"); l.Depth != 1 || l.Parent != w.slotID("a", "S1") {
			t.Errorf("the later slot does not go round: %+v", l)
		}
		// The booking that was won is an appointment like any other.
		b, _ := d.live("S1")
		d.mu.Lock()
		var won string
		for id, a := range d.appts {
			if a.Booking == b {
				won = id
			}
		}
		d.mu.Unlock()
		w.stands(w.wish("a1", won), engine.Waiting, "")
		w.wait(8 * time.Hour)
		w.stands(w.wish("a1", won), engine.Left, engine.LeftPast)
		w.want()
		w.private()
	})
}

// TestSoonerFollowsTheAppointment: the offer ends kindly as soon as it does not help any more.
func TestSoonerFollowsTheAppointment(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, later string)
		status engine.EntryStatus
		why    engine.LeftWhy
		texts  []string
	}{
		"cancelled":       {func(w *world, _ string) { w.dmes["a"].cancel("L1") }, engine.Left, engine.LeftCancelled, []string{"a1 ended"}},
		"as early":        {func(w *world, later string) { w.dmes["a"].moves(later, monday.Add(2*time.Hour)) }, engine.Waiting, "", []string{"a1 ended"}},
		"later still":     {func(w *world, later string) { w.dmes["a"].moves(later, monday.Add(9*time.Hour)) }, engine.Waiting, "", nil},
		"somebody else's": {func(w *world, later string) { w.dmes["a"].books(later, "Patient/other") }, engine.Left, engine.LeftCancelled, []string{"a1 ended"}},
		"withdrawn": {func(w *world, _ string) {
			if _, err := w.SetSooner(context.Background(), "a", "a1", "clerk", desk.SoonerChange{}); err != nil {
				w.t.Error(err)
			}
		}, engine.Left, engine.LeftWithdrawn, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, later := feeders(t)
				w.dmes["a"].cancel("S1")
				w.wait(90 * time.Second)
				w.want("a1 offer")
				c.change(w, later)
				w.wait(6 * time.Minute) // a complete look, at most
				w.want(c.texts...)
				w.stands(w.wish("a1", later), c.status, c.why)
				helps := name == "later still"
				if got := pendingIn(w.slot("S1"), w.slot("S1").Offers[0].ID); got != helps {
					t.Errorf("the offer is open: %v", got)
				}
				a := w.says("a", 1, "oui")
				w.wait(10 * time.Second)
				if _, taken := w.dmes["a"].live("S1"); taken != helps || (a.Kind == engine.AnsBooked) != helps {
					t.Errorf("answered %q, booked %v", a.Kind, taken)
				}
				if helps && w.dmes["a"].alive(later) {
					t.Error("both appointments stand")
				}
			})
		})
	}
}

// TestMovedAppointmentIsTheOneGivenUp: the offer was made before the entry had its appointment.
func TestMovedAppointmentIsTheOneGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		d := w.dmes["a"]
		first := d.add("L1", monday.Add(7*time.Hour), 20*time.Minute)
		if _, err := w.SetSooner(context.Background(), "a", "a1", "clerk", desk.SoonerChange{Consent: &desk.Sooner{Proof: "by phone"}}); err != nil {
			t.Fatal(err)
		}
		w.wait(70 * time.Second)
		w.want("a1 offer")
		d.books(first, "Patient/a1")
		w.wait(10 * time.Second)
		if e := w.entry("a1"); !e.Tied || e.Current == nil || e.Current.Source != first {
			t.Errorf("%+v", e)
		}
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		w.wait(10 * time.Second)
		if d.alive(first) {
			t.Error("both appointments stand")
		}
	})
}

func TestBookedElsewhereEndsTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		d := w.dmes["a"]
		for i, s := range []string{"S1", "S2", "S3"} {
			d.add(s, monday.Add(time.Duration(3+i)*time.Hour), 20*time.Minute)
		}
		had := d.add("L1", monday.Add(7*time.Hour), 20*time.Minute)
		d.books(had, "Patient/a2") // before they came: why they wait
		d.cancel("S2")
		d.cancel("S3")
		w.start()
		w.enrol("a", 3, nil)
		w.wait(10 * time.Second)
		d.cancel("S1")
		w.wait(90 * time.Second)
		w.want("a1 offer", "a2 offer", "a3 offer")
		d.joins("S2", "Patient/a1")
		w.wait(10 * time.Second)
		w.want("a1 ended")
		w.stands(w.entry("a1"), engine.Left, engine.LeftBooked)
		w.stands(w.entry("a2"), engine.Waiting, "")
		if !slices.Contains(w.events("S1"), slot.EvEntryGone) {
			t.Errorf("timeline %q", w.events("S1"))
		}
		rec, err := w.Patient(context.Background(), "a", "a1")
		if err != nil || rec.Entries[0].Why != engine.LeftBooked || len(rec.Events) != 1 || rec.Events[0].Detail["why"] != "booked" {
			t.Errorf("the record says %+v, %+v, %v", rec.Entries, rec.Events, err)
		}
		// What we book ourselves ends nobody's wait but the winner's.
		w.answer(w.says("a", 3, "oui"), engine.AnsBooked)
		w.wait(6 * time.Minute)
		w.stands(w.entry("a3"), engine.Placed, "")
		w.stands(w.entry("a2"), engine.Waiting, "")
		w.restart()
		w.wait(10 * time.Minute)
		w.stands(w.entry("a1"), engine.Left, engine.LeftBooked)
		w.stands(w.entry("a2"), engine.Waiting, "")
	})
}

// TestFeedSurvives kills the process at each commit of the day in turn: afterwards nobody has two
// appointments, or a wish that the record system does not bear out.
func TestFeedSurvives(t *testing.T) {
	for kill := 1; kill <= 24; kill++ {
		for _, took := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				w, later := feeders(t)
				d, left := w.dmes["a"], kill
				w.disk.mu.Lock()
				w.store.fail = func(storage.Batch) (error, bool) {
					if left--; left == 0 {
						w.process.dead.Store(true)
						w.process.store.dead.Store(true)
						return storage.ErrClosed, took
					}
					return nil, false
				}
				w.disk.mu.Unlock()
				step := func(f func(), d time.Duration) {
					f()
					w.wait(d)
					if w.dead.Load() {
						w.restart()
						w.wait(20 * time.Second)
					}
				}
				step(func() { d.moves(later, monday.Add(8*time.Hour)) }, 10*time.Second)
				step(func() { d.cancel("S1") }, 100*time.Second)
				for _, id := range []string{"SM1", "SM2", "SM3"} { // the offer may have come late
					step(func() { _, _ = w.text(w.process, id, phone("a", 1), "oui") }, time.Minute)
				}
				w.wait(10 * time.Minute)
				w.phase("S1", slot.Booked)
				if d.alive(later) {
					t.Errorf("killed at %d %v: both appointments stand", kill, took)
				}
				w.stands(w.wish("a1", later), engine.Placed, "")
			})
		}
	}
}

// TestSoonerAtTheDesk sets the consent and withdraws it, and reads what follows.
func TestSoonerAtTheDesk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		d := w.dmes["a"]
		later := d.add("L1", monday.Add(7*time.Hour), 20*time.Minute)
		d.books(later, "Patient/a1")
		w.start()
		w.enrol("a", 1, func(_ int, _ *engine.Patient, e *engine.Entry) { e.Specialty = "cardio" })
		w.wait(10 * time.Second)
		ctx := context.Background()
		yes := desk.SoonerChange{Consent: &desk.Sooner{Proof: "by phone", NoticeMinutes: 90, Anyone: true}}
		if _, err := w.SetSooner(ctx, "b", "a1", "clerk", yes); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("another clinic's patient: %v", err)
		}
		if _, err := w.SetSooner(ctx, "a", "a1", "clerk", desk.SoonerChange{Consent: &desk.Sooner{}}); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("no proof: %v", err)
		}
		if _, err := w.SetSooner(ctx, "a", "a1", "clerk", yes); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		rec, err := w.Patient(ctx, "a", "a1")
		if err != nil || rec.Sooner == nil || rec.Sooner.NoticeMinutes != 90 || rec.Sooner.Proof != "by phone" || rec.Sooner.At == nil {
			t.Fatalf("%+v, %v", rec.Sooner, err)
		}
		i := slices.IndexFunc(rec.Entries, func(p desk.Person) bool { return p.Auto })
		if len(rec.Entries) != 2 || i < 0 || !rec.Entries[i].Current.Equal(monday.Add(7*time.Hour)) {
			t.Fatalf("%+v", rec.Entries)
		}
		people, err := w.Waitlist(ctx, "a", "", 10)
		if err != nil || !slices.ContainsFunc(people, func(p desk.Person) bool { return p.Auto && p.Status == engine.Waiting }) {
			t.Errorf("%+v, %v", people, err)
		}
		w.restart()
		w.wait(10 * time.Second)
		if _, err := w.SetSooner(ctx, "a", "a1", "clerk", desk.SoonerChange{}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		rec, _ = w.Patient(ctx, "a", "a1")
		if rec.Sooner != nil {
			t.Errorf("%+v", rec.Sooner)
		}
		var events []string
		for _, e := range rec.Events {
			events = append(events, e.Event)
		}
		if got := strings.Join(events, " "); got != "entry_closed sooner_withdrawn entry_added sooner_consented" {
			t.Errorf("events %q", got)
		}
		w.stands(w.wish("a1", later), engine.Left, engine.LeftWithdrawn)
		if e := w.entry("a1"); e.Status != engine.Waiting {
			t.Errorf("the wish by hand is %s", e.Status)
		}
	})
}

// TestWhoLostARaceGoesFirst and who was asked often goes last, through the actors.
func TestWhoLostARaceGoesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, func(p *engine.Policy) { p.Strategy = engine.OneByOne })
		d := w.dmes["a"]
		for i, s := range []string{"S1", "S2", "S3"} {
			d.add(s, monday.Add(time.Duration(3+i)*time.Hour), 20*time.Minute)
		}
		w.start()
		w.enrol("a", 4, nil) // a1 waits longest, by minutes
		w.wait(10 * time.Second)
		d.cancel("S1")
		w.wait(70 * time.Second)
		w.want("a1 offer")
		w.says("a", 1, "non")
		w.want("a2 offer")
		w.says("a", 2, "non")
		w.want("a3 offer")
		// The record system gives the slot to somebody else at the moment of a3's yes.
		d.takes("S1")
		if a := w.says("a", 3, "oui"); a.Kind != engine.AnsRefused {
			t.Errorf("answered %q", a.Kind)
		}
		w.wait(10 * time.Second)
		w.texts()
		if e := w.entry("a3"); e.Lost != 1 || e.Status != engine.Waiting {
			t.Errorf("%+v", e)
		}
		d.cancel("S2")
		w.wait(70 * time.Second)
		w.want("a3 offer") // lost the race
		w.says("a", 3, "non")
		w.want("a4 offer") // not a1 nor a2, who were asked for S1
		w.restart()
		w.wait(10 * time.Second)
		w.says("a", 4, "non")
		w.want("a1 offer") // asked once, as a2 was, and has waited longer
	})
}
