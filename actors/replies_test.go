package actors

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
)

// family makes two people who share a telephone, and an open offer for each.
func family(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 1, nil)
	w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
	w.dmes["a"].add("S2", monday.Add(5*time.Hour), 20*time.Minute)
	w.start()
	w.enrol("a", 2, func(_ int, p *engine.Patient, _ *engine.Entry) { p.Contacts[0].Phone = phone("a", 1) })
	w.wait(10 * time.Second)
	w.dmes["a"].cancel("S1")
	w.wait(2 * time.Second)
	if _, err := w.act("S1", "send_now", 0, "", ""); err != nil {
		t.Fatal(err)
	}
	w.wait(time.Second)
	w.texts()
	return w
}

func TestWhichOffer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := family(t)
		a := w.saysAs("SM1", phone("a", 1), "OUI")
		w.answer(a, engine.AnsWhich)
		if !strings.Contains(a.Text, "1") || !strings.Contains(a.Text, "2") {
			t.Errorf("the question names no numbers: %q", a.Text)
		}
		w.phase("S1", slot.Offering)
		w.answer(w.saysAs("SM2", phone("a", 1), "3"), engine.AnsWhich)
		w.answer(w.saysAs("SM3", phone("a", 1), "2"), engine.AnsBooked)
		if got := w.slot("S1").Winner; got != w.slot("S1").Offers[1].ID {
			t.Errorf("the second offer was chosen, the winner is %s", got)
		}
		w.answer(w.saysAs("SM3", phone("a", 1), "2"), engine.AnsBooked) // brought twice
		w.answer(w.saysAs("SM1", phone("a", 1), "OUI"), engine.AnsWhich)
	})
}

// TestTwoMeansNo: every offer says "2 if not", so a 2 books nothing where nobody asked which offer is meant,
// and a no is asked which one it leaves.
func TestTwoMeansNo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := family(t)
		w.answer(w.saysAs("SM1", phone("a", 1), "2"), engine.AnsWhich)
		w.phase("S1", slot.Offering)
		a := w.saysAs("SM2", phone("a", 1), "non")
		w.answer(a, engine.AnsWhich)
		if !strings.Contains(a.Text, "laissez-vous") {
			t.Errorf("who says no is asked %q", a.Text)
		}
		w.answer(w.saysAs("SM3", phone("a", 1), "2"), engine.AnsDeclined)
		if o := w.slot("S1").Offers; o[1].Replied.IsZero() || !o[0].Replied.IsZero() {
			t.Errorf("the second was left: %+v", o)
		}
		w.answer(w.saysAs("SM4", phone("a", 1), "1"), engine.AnsBooked) // there is one now: a yes
	})
}

// TestNumberOfAQuestion: a number means what it meant in the question, also when an offer has ended since.
func TestNumberOfAQuestion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := family(t)
		w.answer(w.saysAs("SM1", phone("a", 1), "oui"), engine.AnsWhich)
		first := w.slot("S1").Offers[0]
		if _, err := w.Reply(context.Background(), engine.Reply{Attempt: engine.NewAttemptID(first.ID, 1), Channel: engine.Voice, Intent: engine.No, ID: "CA1"}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.answer(w.saysAs("SM2", phone("a", 1), "2"), engine.AnsBooked) // no "no" to the one that is left
	})
}

func TestReplayedReplyMeansTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 2, nil)
		w.dmes["a"].add("S2", monday.Add(5*time.Hour), 20*time.Minute)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer")
		w.answer(w.saysAs("SMa", phone("a", 1), "oui"), engine.AnsBooked)
		w.answer(w.saysAs("SMb", phone("a", 2), "oui"), engine.AnsTaken)
		w.texts()
		w.dmes["a"].cancel("S2")
		w.wait(2 * time.Minute)
		w.want("a2 offer")
		// The carrier brings the old yes once more: it must not win the new slot.
		w.answer(w.saysAs("SMb", phone("a", 2), "oui"), engine.AnsTaken)
		w.phase("S2", slot.Offering)
		w.restart()
		w.wait(time.Minute)
		w.answer(w.saysAs("SMb", phone("a", 2), "oui"), engine.AnsTaken)
		w.phase("S2", slot.Offering)
		w.answer(w.saysAs("SMc", phone("a", 2), "oui"), engine.AnsBooked)
	})
}

func TestUnknownPhone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		for word, want := range map[string]engine.AnswerKind{"oui": engine.AnsNone, "aide": engine.AnsHelp, "???": engine.AnsNone} {
			if a := w.saysAs("", "+15145559999", word); a.Kind != want || a.Text == "" {
				t.Errorf("%q from a stranger: %+v", word, a)
			}
		}
		if _, err := w.Reply(context.Background(), engine.Reply{Token: "nonesuch", Intent: engine.Yes}); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("a link that was made up: %v", err)
		}
		if _, err := w.Reply(context.Background(), engine.Reply{Attempt: "x.1.1.1", Intent: engine.Yes}); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("an attempt that was made up: %v", err)
		}
		if _, err := w.Reply(context.Background(), engine.Reply{Intent: engine.Yes}); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("a reply of nobody: %v", err)
		}
	})
}

// TestEnrolmentDoesNotUndoStop: whoever enrols the number again at the desk, only its owner lifts a STOP.
func TestEnrolmentDoesNotUndoStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		w.wait(time.Minute)
		w.want("a1 offer")
		w.answer(w.saysAs("SM1", phone("a", 1), "STOP"), engine.AnsStopped)
		w.wait(time.Hour)
		again := desk.Enrolment{
			Given: "Prénom", Family: "Nomdefamille", Lang: engine.French, Phone: string(phone("a", 1)), Channels: []engine.Channel{engine.SMS},
			Proof: "formulaire", Source: "Patient/again", Specialty: "derm",
		}
		p, err := w.Enrol(t.Context(), "a", "clerk", again)
		if err != nil || len(p.Channels) != 0 {
			t.Errorf("%q may be written to, %v", p.Channels, err)
		}
		again.Phone, again.Source = string(phone("a", 2)), "Patient/other"
		if p, err = w.Enrol(t.Context(), "a", "clerk", again); err != nil || len(p.Channels) != 1 {
			t.Errorf("another number: %q, %v", p.Channels, err)
		}
	})
}

func TestStopAndStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 2, func(p *engine.Policy) { p.DayCap = 3 })
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer")
		w.answer(w.saysAs("SM1", phone("a", 1), "ARRÊT"), engine.AnsStopped)
		w.do("S1", "withdraw")
		w.want("a2 withdrawn") // a1 wants nothing any more

		w.restart()
		w.dmes["a"].add("S2", monday.Add(4*time.Hour), 20*time.Minute)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S2")
		w.wait(2 * time.Minute)
		w.want("a2 offer")

		w.answer(w.saysAs("SM2", phone("a", 1), "START"), engine.AnsStarted)
		w.wait(11 * time.Minute)
		if got := w.texts(); !slices.Contains(got, "a1 offer") {
			t.Errorf("%q: who came back is asked again", got)
		}
		w.answer(w.saysAs("SM3", phone("a", 1), "STOP"), engine.AnsStopped)
		w.saysAs("SM2", phone("a", 1), "START") // brought again, late
		w.do("S2", "withdraw")
		w.want("a2 withdrawn")

		// An opt-out holds for somebody who is enrolled later.
		w.saysAs("SM4", "+15145500077", "STOP")
		w.enrol("a", 77, func(i int, p *engine.Patient, e *engine.Entry) {
			p.ID, e.ID = p.ID+"x", e.ID+"x"
			e.Patient = p.ID
			if i != 77 {
				e.Status = engine.Left
			} else {
				p.Contacts[0].Phone = "+15145500077"
			}
		})
		w.dmes["a"].add("S3", monday.Add(6*time.Hour), 20*time.Minute)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S3")
		w.wait(2 * time.Minute)
		w.want("a2 offer")
	})
}

func TestStopHoldsThroughACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 1, func(_ int, p *engine.Patient, _ *engine.Entry) {
			p.Contacts = append(p.Contacts, engine.Contact{Channel: engine.Voice, Phone: p.Contacts[0].Phone, Consent: time.Now()})
		})
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(62 * time.Second)
		w.want("a1 offer")
		// The process dies right after the STOP became durable, before the offer heard of it.
		p := w.process
		w.disk.mu.Lock()
		commits := w.disk.commits
		w.disk.mu.Unlock()
		go func() { _, _ = w.text(p, "SM1", phone("a", 1), "STOP") }()
		for {
			w.disk.mu.Lock()
			now := w.disk.commits
			w.disk.mu.Unlock()
			if now > commits {
				break
			}
			time.Sleep(time.Nanosecond)
		}
		w.restart()
		w.wait(30 * time.Minute)
		w.want() // no call either
	})
}

func TestUnclearIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		w.wait(time.Minute)
		for range 2 { // the carrier brings it twice
			w.answer(w.saysAs("SM1", phone("a", 1), "oui mais pas avant 15 h"), engine.AnsUnclear)
		}
		w.answer(w.says("a", 1, "aide"), engine.AnsHelp)
		w.lines("S1", "opened", "wave", "offered", "unclear")
		d, err := w.Slot(context.Background(), "a", w.slotID("a", "S1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range d.Timeline {
			if e.Event == "unclear" && (e.Detail["text"] != "oui mais pas avant 15 h" || !strings.HasPrefix(e.Who, "Prénoma1")) {
				t.Errorf("kept %+v", e)
			}
		}
		w.private()
	})
}

func TestReceipts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 2, func(p *engine.Policy) { p.Size = 1 })
		w.wait(time.Minute)
		w.want("a1 offer")
		attempt := engine.NewAttemptID(w.slot("S1").Offers[0].ID, 1)
		for _, id := range []engine.AttemptID{"", "x", "a.b.c.d", attempt + "9", engine.NewAttemptID(engine.NewOfferID(w.slotID("a", "S1"), 1, 9), 1)} {
			err := w.Receipt(context.Background(), engine.Receipt{Attempt: id, Status: engine.ReceiptDelivered, At: time.Now()})
			if engine.CodeOf(err) != engine.NotFound {
				t.Errorf("a receipt for %q: %v", id, err)
			}
		}
		failed := engine.Receipt{Attempt: attempt, Ref: "ref-" + string(attempt), Status: engine.ReceiptFailed, Reason: engine.BadContact, At: time.Now()}
		for range 3 {
			if err := w.Receipt(context.Background(), failed); err != nil {
				t.Errorf("receipt: %v", err)
			}
		}
		synctest.Wait()
		w.want("a2 offer") // nothing reaches a1: somebody else is asked
		w.lines("S1", "opened", "wave", "offered", "unreached", "wave", "offered")
		if p, _, _ := w.waitlist.patient("a1"); p.Contacts[0].Bad != engine.BadContact {
			t.Errorf("the number is known to be wrong: %+v", p.Contacts[0].Bad)
		}
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked) // it worked after all, and counts
	})
}

func TestPatientsPage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 2, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer")
		token := w.token(w.slot("S1").Offers[0].ID)
		look := func(want engine.AnswerKind) {
			t.Helper()
			v, err := w.Offer(context.Background(), token)
			if err != nil || v.State != want {
				t.Errorf("the page shows %q, %v; want %q", v.State, err, want)
			}
		}
		look("")
		w.dmes["a"].fail(engine.DMEError)
		a, err := w.Reply(context.Background(), engine.Reply{ID: "W1", Token: token, Channel: engine.Page, Intent: engine.Yes})
		if err != nil || a.Kind != engine.AnsFinalising {
			t.Errorf("yes on the page: %+v, %v", a, err)
		}
		look(engine.AnsFinalising)
		w.dmes["a"].fail("")
		w.wait(2 * time.Minute)
		look(engine.AnsBooked)
		token = w.token(w.slot("S1").Offers[1].ID)
		look(engine.AnsTaken)
	})
}

// TestHeardInACall: somebody whom only calls reach is called again to hear the outcome, unless they are
// known to have heard it.
func TestHeardInACall(t *testing.T) {
	for _, hears := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, 1, func(p *engine.Policy) { p.Size = 1 })
			w.start()
			w.enrol("a", 1, func(_ int, p *engine.Patient, _ *engine.Entry) { p.Contacts[0].Channel = engine.Voice })
			w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
			w.wait(10 * time.Second)
			w.dmes["a"].cancel("S1")
			w.wait(2 * time.Minute)
			w.want("a1 call offer")
			offer := w.slot("S1").Offers[0].ID
			a, err := w.Reply(context.Background(), engine.Reply{ID: "CA1", Attempt: engine.NewAttemptID(offer, 1), Channel: engine.Voice, Intent: engine.Yes})
			if err != nil || a.Kind != engine.AnsBooked {
				t.Fatalf("%+v, %v", a, err)
			}
			if hears {
				if err := w.Heard(context.Background(), engine.NewAttemptID(offer, 1), a.Kind); err != nil {
					t.Fatal(err)
				}
			}
			w.wait(2 * time.Minute)
			if hears {
				w.want()
			} else {
				w.want("a1 call booked")
			}
			if err := w.Heard(context.Background(), "nobody.1", engine.AnsBooked); engine.CodeOf(err) != engine.NotFound {
				t.Errorf("an attempt that was made up: %v", err)
			}
		})
	}
}
