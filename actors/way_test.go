package actors

import (
	"context"
	"slices"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/storage"
)

// lines is a timeline without its deliveries.
func (w *world) lines(source string, want ...string) {
	w.t.Helper()
	got := slices.DeleteFunc(w.events(source), func(e string) bool { return e == "delivery" })
	if !slices.Equal(got, want) {
		w.t.Errorf("timeline %q\nwant %q", got, want)
	}
}

func TestWayOfOneCancellation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		w.phase("S1", slot.Freed)
		w.want() // the grace: an edit is not a cancellation
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.answer(w.says("a", 2, "OUI"), engine.AnsBooked)
		w.want("a1 taken", "a2 booked", "a3 taken")
		w.phase("S1", slot.Booked)
		if b, _ := w.dmes["a"].live("S1"); b == "" {
			t.Error("the record system does not have the booking")
		}
		if e := w.entry("a2"); e.Status != engine.Placed || e.Slot != w.slotID("a", "S1") {
			t.Errorf("the winner's entry is %q for %q", e.Status, e.Slot)
		}
		w.answer(w.says("a", 1, "oui"), engine.AnsTaken)
		w.answer(w.says("a", 2, "oui"), engine.AnsBooked)
		w.wait(4 * time.Hour)
		w.want()
		w.lines("S1", "opened", "wave", "offered", "offered", "offered", "claimed", "booked", "late")
		w.private()
	})
}

func TestGraceOfAnEdit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		w.wait(30 * time.Second)
		w.dmes["a"].takes("S1") // moved to another patient within the grace
		w.wait(2 * time.Hour)
		w.want()
		w.phase("S1", slot.Closed)
		w.lines("S1", "opened", "taken")
	})
}

func TestNoIsReplacedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.answer(w.says("a", 1, "non"), engine.AnsDeclined)
		w.want("a4 offer")
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked) // a no can be taken back
		w.want("a1 booked", "a2 taken", "a3 taken", "a4 taken")
	})
}

func TestNobodyAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.wait(9 * time.Minute)
		w.want()
		w.wait(2 * time.Minute)
		w.want("a4 offer", "a5 offer") // the configured delay
		w.wait(10 * time.Minute)
		w.want("a1 reminder", "a2 reminder", "a3 reminder", "a4 reminder", "a5 reminder")
		w.wait(3 * time.Hour)
		w.want()
		w.phase("S1", slot.Expired)
		w.answer(w.says("a", 1, "oui"), engine.AnsExpired)
		for _, id := range []string{"a1", "a5"} {
			if e := w.entry(id); e.Status != engine.Waiting {
				t.Errorf("%s lost the place on the list: %s", id, e.Status)
			}
		}
		if got := w.events("S1"); !slices.Contains(got, "exhausted") || got[len(got)-2] != "expired" && got[len(got)-1] != "expired" {
			t.Errorf("timeline %q", got)
		}
	})
}

func TestApprovalMode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.clinics[0].Mode = engine.Approval
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 2, nil)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(time.Hour)
		w.want()
		w.phase("S1", slot.Approval)
		w.restart()
		w.wait(time.Minute)
		w.want()
		w.do("S1", "approve")
		w.want("a1 offer", "a2 offer")
		w.answer(w.says("a", 1, "1"), engine.AnsBooked)
		w.lines("S1", "opened", "approved", "wave", "offered", "offered", "claimed", "booked")
	})
}

func TestShadowMode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.clinics[0].Mode = engine.Shadow
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 2, nil)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(4 * time.Hour)
		w.want()
		w.phase("S1", slot.Expired)
		w.lines("S1", "opened", "wave", "expired")
		if e := w.entry("a1"); e.Status != engine.Waiting {
			t.Errorf("shadow mode changed an entry to %s", e.Status)
		}
	})
}

func TestFrontDesk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 6, nil)
		w.do("S1", "send_now") // ends the grace
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.do("S1", "pause")
		w.wait(30 * time.Minute)
		w.want()
		w.do("S1", "resume")
		w.want("a4 offer", "a5 offer", "a6 offer")

		stale := w.slot("S1").Version
		w.answer(w.says("a", 1, "non"), engine.AnsDeclined)
		if _, err := w.act("S1", "withdraw", stale, "k1", ""); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a command on an old revision: %v, want a conflict", err)
		}
		w.wait(time.Second)
		w.phase("S1", slot.Offering)
		card, err := w.act("S1", "withdraw", w.slot("S1").Version, "k1", "")
		if err != nil || card.Why != "withdrawn" || card.By != "clerk" {
			t.Errorf("withdraw: %+v, %v", card, err)
		}
		again, err := w.act("S1", "withdraw", stale, "k1", "") // the same click, sent twice
		if err != nil || again.Revision != card.Revision {
			t.Errorf("the same command again: %+v, %v", again, err)
		}
		w.want("a2 withdrawn", // a1 had declined
			"a3 withdrawn", "a4 withdrawn", "a5 withdrawn", "a6 withdrawn")
		w.answer(w.says("a", 2, "oui"), engine.AnsWithdrawn)
		if _, err := w.act("S1", "send_now", 0, "k2", ""); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a command on a closed slot: %v", err)
		}
		if _, err := w.Act(context.Background(), "a", "20000103T1700Z-nonesuch", "clerk", "k3", desk.Action{Action: "pause"}); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("a command on a slot that does not exist: %v", err)
		}
	})
}

func TestSameCommandAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		errs := make(chan error, 8)
		for range cap(errs) {
			go func() { _, err := w.act("S1", "pause", 0, "one key", ""); errs <- err }()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Errorf("a double of a command failed: %v", err)
			}
		}
		w.lines("S1", "opened", "paused")
	})
}

func TestBookByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		if _, err := w.act("S1", "book", 0, "k1", "a5"); err != nil {
			t.Fatal(err)
		}
		w.want("a1 taken", "a2 taken", "a3 taken", "a5 booked")
		w.phase("S1", slot.Booked)
		if _, err := w.act("S1", "book", 0, "k2", "a4"); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("a second booking: %v", err)
		}
		if _, err := w.act("S1", "book", 0, "k3", "a5"); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("booking somebody who has a slot: %v", err)
		}
	})
}

// TestWhomThePractitionerSees: language and age are asked of the practitioner, and the others are told why.
func TestWhomThePractitionerSees(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.clinics[0].Practitioners[0].Langs = []engine.Lang{engine.French}
		w.clinics[0].Practitioners[0].Ages = &engine.Ages{From: 0, Until: 17}
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 4, func(i int, p *engine.Patient, _ *engine.Entry) {
			p.Born = monday.AddDate(-10, 0, 0)
			switch i {
			case 1:
				p.Lang = engine.English
			case 2:
				p.Born = monday.AddDate(-40, 0, 0)
			case 3:
				p.Born = time.Time{}
			}
		})
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(time.Minute + 2*time.Second)
		w.want("a4 offer")
		others, err := w.Explain(t.Context(), "a", w.slot("S1").Slot.ID, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		want := map[engine.EntryID]string{"a1": "language", "a2": "age", "a3": "age", "a4": "asked"}
		for _, o := range others {
			if o.Obstacle != want[o.Entry] {
				t.Errorf("%s: %q, want %q", o.Entry, o.Obstacle, want[o.Entry])
			}
		}
		if len(others) != len(want) {
			t.Errorf("%d are explained, want %d", len(others), len(want))
		}
	})
}

func TestRefusedByTheRecordSystem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 9, nil)
		w.wait(11 * time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer", "a4 offer", "a5 offer", "a6 offer")
		w.dmes["a"].takes("S1") // a second before our write
		w.answer(w.says("a", 5, "oui"), engine.AnsRefused)
		w.want("a1 taken", "a2 taken", "a3 taken", "a4 taken", "a5 refused", "a6 taken")
		w.phase("S1", slot.Closed)
		if e := w.entry("a5"); e.Status != engine.Waiting || e.Lost != 1 {
			t.Errorf("who lost through no fault of theirs: %+v", e)
		}
		d, err := w.Slot(context.Background(), "a", w.slotID("a", "S1"))
		if err != nil {
			t.Fatal(err)
		}
		var story []string
		for _, e := range d.Timeline {
			story = append(story, e.Event)
		}
		if !slices.Contains(story, "claimed") || !slices.Contains(story, "refused") {
			t.Errorf("the timeline tells %q", story)
		}
		w.dmes["a"].add("S2", monday.Add(4*time.Hour), 20*time.Minute)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S2")
		w.wait(2 * time.Minute)
		w.want("a5 offer", "a7 offer", "a8 offer") // who lost goes first, before those who were not asked yet
	})
}

func TestSlowRecordSystem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.dmes["a"].mu.Lock()
		w.dmes["a"].delay, w.dmes["a"].lost = 4*time.Second, 1 // and the first answer is lost
		w.dmes["a"].mu.Unlock()
		asked := time.Now()
		a := w.says("a", 1, "oui")
		if w.answer(a, engine.AnsFinalising); a.Text != "" || time.Since(asked) >= time.Second {
			t.Errorf("after %s: %q", time.Since(asked), a.Text) // a webhook waits for it
		}
		w.want("a2 taken", "a3 taken")
		w.wait(finalWithin - time.Since(asked) - time.Millisecond)
		w.want()
		w.wait(2 * time.Millisecond)
		w.want("a1 finalising")
		if a = w.says("a", 1, "oui"); a.Kind != engine.AnsFinalising || a.Text == "" {
			t.Errorf("who asks again is told at once: %+v", a)
		}
		w.wait(time.Minute)
		w.want("a1 booked")
		w.answer(w.says("a", 2, "oui"), engine.AnsTaken)
	})
}

func TestChain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		d := w.dmes["a"]
		d.add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		later := d.add("S2", monday.Add(5*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 4, func(i int, _ *engine.Patient, e *engine.Entry) {
			if i == 1 {
				e.Current = &engine.Appointment{Source: later, Start: monday.Add(5 * time.Hour)}
			}
		})
		w.wait(10 * time.Second)
		d.cancel("S1")
		w.wait(70 * time.Second)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		w.wait(5 * time.Second)
		w.want("a1 booked", "a2 taken", "a3 taken", "a2 offer", "a3 offer", "a4 offer") // without a grace
		if s := w.slot("S2"); s.Depth != 1 || s.Parent != w.slotID("a", "S1") {
			t.Errorf("the freed later appointment: depth %d, parent %q", s.Depth, s.Parent)
		}
	})
}

// chained cancels S1, whose first yes comes from somebody with a later appointment at S2.
func chained(t *testing.T, keeps bool) *world {
	t.Helper()
	w := newWorld(t, 1, nil)
	d := w.dmes["a"]
	d.keeps = keeps
	d.add("S1", monday.Add(3*time.Hour), 20*time.Minute)
	later := d.add("S2", monday.Add(75*time.Hour), 20*time.Minute)
	w.start()
	w.enrol("a", 4, func(i int, _ *engine.Patient, e *engine.Entry) {
		if i == 1 {
			e.Current = &engine.Appointment{Source: later, Start: monday.Add(75 * time.Hour)}
		}
	})
	w.wait(10 * time.Second)
	d.cancel("S1")
	w.wait(70 * time.Second)
	w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
	w.wait(5 * time.Second)
	return w
}

func TestChainIsShownAfterARestartToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := chained(t, false)
		look := func() {
			t.Helper()
			for _, source := range []string{"S1", "S2"} {
				d, err := w.Slot(context.Background(), "a", w.slotID("a", source))
				if err != nil || len(d.Chain) != 2 {
					t.Fatalf("from %s: %d links, %v", source, len(d.Chain), err)
				}
				first, second := d.Chain[0], d.Chain[1]
				if first.Card.ID != w.slotID("a", "S1") || first.GainedMinutes != 72*60 || !first.Was.Equal(monday.Add(75*time.Hour)) {
					t.Errorf("from %s, the first link: %+v", source, first)
				}
				if second.Card.ID != w.slotID("a", "S2") || second.Was != nil || second.Card.Depth != 1 {
					t.Errorf("from %s, the second link: %+v", source, second)
				}
			}
		}
		look()
		if got := w.events("S1"); !slices.Contains(got, "cancelled") {
			t.Errorf("timeline %q does not say that the later appointment is cancelled", got)
		}
		w.crash()
		w.start()
		w.wait(10 * time.Second)
		look()
	})
}

// metered counts how often something was told to the metrics.
func (w *world) metered(what string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.metrics {
		if m == what {
			n++
		}
	}
	return n
}

func TestLaterAppointmentThatIsNotCancelledIsForSomebodyToDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := chained(t, true)
		card := func() desk.Card {
			t.Helper()
			d, err := w.Slot(context.Background(), "a", w.slotID("a", "S1"))
			if err != nil {
				t.Fatal(err)
			}
			return d.Card
		}
		if c := card(); c.Todo != desk.TodoCancel || c.State != desk.Confirmed {
			t.Fatalf("the card: %+v", c)
		}
		if got := w.events("S1"); !slices.Contains(got, "kept") {
			t.Errorf("timeline %q", got)
		}
		if w.metered("alert cancel_refused") != 1 || w.metered("write cancel_refused") != 1 {
			t.Errorf("metrics %q", w.metrics)
		}
		w.crash() // nothing is asked for, or told, once more
		w.start()
		w.wait(10 * time.Second)
		if c := card(); c.Todo != desk.TodoCancel || w.metered("alert cancel_refused") != 1 {
			t.Fatalf("after a restart: %+v", c)
		}
		// Somebody cancels it by hand a day later: it is done, and the slot goes round as part of the chain.
		w.wait(24 * time.Hour)
		w.dmes["a"].cancel("S2")
		w.wait(10 * time.Second)
		if s := w.slot("S2"); card().Todo != "" || s.Depth != 1 {
			t.Errorf("cancelled by hand: %+v, depth %d", card(), s.Depth)
		}
	})
}

func TestDeskSettlesALaterAppointment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := chained(t, true)
		w.do("S1", "settle")
		d, err := w.Slot(context.Background(), "a", w.slotID("a", "S1"))
		if err != nil || d.Card.Todo != "" || !slices.Contains(w.events("S1"), "settled") {
			t.Errorf("%+v, %v", d.Card, err)
		}
		if _, err := w.act("S1", "settle", 0, "", ""); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("settled twice: %v", err)
		}
	})
}

func TestEscalationToACall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 2, func(_ int, p *engine.Patient, _ *engine.Entry) {
			p.Contacts = append(p.Contacts,
				engine.Contact{Channel: engine.EmailMail, Email: engine.Email(p.ID + "@example.org"), Consent: time.Now()},
				engine.Contact{Channel: engine.Voice, Phone: p.Contacts[0].Phone, Consent: time.Now()})
		})
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(62 * time.Second)
		w.want("a1 offer", "a1 email offer", "a2 offer", "a2 email offer")
		w.answer(w.says("a", 2, "non"), engine.AnsDeclined)
		w.wait(2 * time.Minute)
		w.want("a1 call offer") // no proof of delivery; who answered is not called
		call := engine.NewAttemptID(w.slot("S1").Offers[0].ID, 3)
		script, err := w.Script(context.Background(), call, "")
		if err != nil || script.Prompt == "" {
			t.Fatalf("script of the call: %+v, %v", script, err)
		}
		// Somebody else gets it while the telephone rings: the call ends with a sentence.
		w.do("S1", "withdraw")
		if len(w.aborted) != 1 {
			t.Errorf("calls ended: %q", w.aborted)
		}
		if _, err := w.Script(context.Background(), call, ""); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("script of a call for an offer that is over: %v", err)
		}
		a, err := w.Reply(context.Background(), engine.Reply{ID: "CA1", Attempt: call, Channel: engine.Voice, Intent: engine.Yes})
		if err != nil || a.Kind != engine.AnsWithdrawn || a.Text == "" {
			t.Errorf("a key pressed too late: %+v, %v", a, err)
		}
	})
}

func TestStoreFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		full := true
		w.disk.mu.Lock()
		w.store.fail = func(storage.Batch) (error, bool) {
			if full {
				return storage.ErrFull, false
			}
			return nil, false
		}
		w.disk.mu.Unlock()
		_, err := w.text(w.process, "SM900", phone("a", 1), "oui")
		if engine.CodeOf(err) != engine.StorageFull {
			t.Errorf("a yes that cannot be kept: %v", err)
		}
		if _, err := w.act("S1", "withdraw", 0, "k", ""); engine.CodeOf(err) != engine.StorageFull {
			t.Errorf("a command that cannot be kept: %v", err)
		}
		w.phase("S1", slot.Offering)
		w.disk.mu.Lock()
		full = false
		w.disk.mu.Unlock()
		w.wait(2 * time.Second)
		w.answer(w.saysAs("SM900", phone("a", 1), "oui"), engine.AnsBooked) // the carrier tries again
		w.want("a1 booked", "a2 taken", "a3 taken")
	})
}
