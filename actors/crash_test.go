package actors

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
)

// story is a scenario in steps: a wave, a no, a wave, a yes, a chain, a second slot.
func story(w *world) []func() {
	d := w.dmes["a"]
	return []func(){
		func() { d.cancel("S1"); w.wait(5 * time.Second) },
		func() { w.wait(2 * time.Minute) },
		func() { w.says("a", 2, "non"); w.wait(5 * time.Second) },
		func() { w.wait(9 * time.Minute) },
		func() { d.fail(engine.DMEError); w.wait(time.Minute) },
		func() { w.says("a", 1, "oui"); w.wait(5 * time.Second) },
		func() { d.fail(""); w.wait(time.Minute) },
		func() { w.wait(2 * time.Minute) },
		func() { w.do("S2", "pause"); w.wait(5 * time.Second) },
		func() { w.do("S2", "resume"); w.wait(time.Minute) },
		func() {
			for i := 2; i <= 9; i++ {
				w.says("a", i, "oui")
			}
			w.wait(time.Minute)
		},
		func() { w.wait(7 * time.Hour) },
	}
}

// play runs the story and returns every message. restart says after which steps the process dies.
func play(t *testing.T, restart func(step int) bool) (messages []string) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.poll = 5 * time.Second
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		later := w.dmes["a"].add("S2", monday.Add(6*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 9, func(i int, _ *engine.Patient, e *engine.Entry) {
			if i == 1 {
				e.Current = &engine.Appointment{Source: later, Start: monday.Add(6 * time.Hour)}
			}
		})
		w.wait(12 * time.Second)
		for i, step := range story(w) {
			step()
			if restart(i) {
				w.restart()
				w.wait(20 * time.Second) // as long as it takes to look at the record system again
			}
		}
		messages = w.texts()
		w.phase("S1", slot.Booked)
		w.phase("S2", slot.Booked)
	})
	return messages
}

func TestKillAfterEveryStep(t *testing.T) {
	want := play(t, func(int) bool { return false })
	if len(want) < 10 {
		t.Fatalf("a story of little: %q", want)
	}
	for step := range 12 {
		if got := play(t, func(i int) bool { return i == step }); !slices.Equal(got, want) {
			t.Errorf("killed after step %d: %q\nwant %q", step, got, want)
		}
	}
	if got := play(t, func(int) bool { return true }); !slices.Equal(got, want) {
		t.Errorf("killed after every step: %q\nwant %q", got, want)
	}
}

// TestKillAtEveryCommit kills the process at each commit of a cancellation's way, before and after
// it becomes durable.
func TestKillAtEveryCommit(t *testing.T) {
	stride := 6 // -relais.seeds asks for patience: then all of them
	if *seeds > 20 {
		stride = 1
	}
	for _, takesPlace := range []bool{false, true} {
		for at := 1; ; at += stride {
			killed := false
			t.Run(fmt.Sprintf("commit=%d,durable=%v", at, takesPlace), func(t *testing.T) {
				bubble(t, func(t *testing.T) { killed = killAt(t, at, takesPlace) })
			})
			if !killed {
				if at < 20 {
					t.Errorf("only %d commits: the way is longer", at)
				}
				break
			}
		}
	}
}

func killAt(t *testing.T, at int, takesPlace bool) (killed bool) {
	t.Helper()
	s := newSimulation(t, 1, 1, trouble{})
	w := s.world
	w.poll = 15 * time.Second
	left := -1
	w.fail = func(storage.Batch) (error, bool) {
		if left > 0 {
			if left--; left == 0 {
				killed = true
				w.process.dead.Store(true)
				w.process.store.dead.Store(true)
				return storage.ErrClosed, takesPlace
			}
		}
		return nil, false
	}
	s.carry = nil
	w.restart()
	w.wait(12 * time.Second)
	w.disk.mu.Lock()
	left = at
	w.disk.mu.Unlock()
	revive := func() {
		if w.dead.Load() {
			w.restart()
			w.wait(15 * time.Second)
		}
	}
	w.dmes["a"].cancel("S6")
	for range 30 {
		w.wait(4 * time.Second)
		revive()
	}
	offers := w.slotOf("a", "S6").Offers
	if len(offers) != 2 {
		t.Fatalf("%d were asked", len(offers))
	}
	var kind engine.AnswerKind
	for range 5 { // a patient who gets no answer tries again
		a, err := w.process.Reply(context.Background(), engine.Reply{ID: "1", Attempt: engine.NewAttemptID(offers[0].ID, 1), Channel: engine.SMS, Intent: engine.Yes})
		if err == nil {
			kind = a.Kind
			s.answered(a, offers[0].ID)
			break
		}
		revive()
	}
	for range 20 {
		w.wait(3 * time.Second)
		revive()
	}
	w.disk.mu.Lock()
	left = 0 // only the way itself
	w.disk.mu.Unlock()
	revive()
	if kind != engine.AnsBooked && kind != engine.AnsFinalising {
		t.Errorf("the only yes was answered %q", kind)
	}
	if st := w.slotOf("a", "S6"); st.Phase != slot.Booked || st.Winner != offers[0].ID {
		t.Errorf("the slot is %s, won by %s", st.Phase, st.Winner)
	}
	told := 0
	for _, m := range w.messages {
		if m.Kind == engine.MsgBooked && m.Channel == engine.SMS {
			told++
		}
	}
	st, err := w.offerState(context.Background(), offers[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	unknown := slices.ContainsFunc(st.Deliveries, func(d reach.Delivery) bool {
		return d.Kind == engine.MsgBooked && d.Status == reach.Unknown
	})
	if told > 1 || (told == 0 && !unknown) {
		t.Errorf("the winner was told %d times: %+v", told, st.Deliveries)
	}
	w.wait(8 * time.Hour)
	s.settled()
	return killed
}

func TestSendingAtTheCrashIsNotRepeated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 2, nil)
		w.mu.Lock()
		w.lag = 10 * time.Second
		w.mu.Unlock()
		w.wait(time.Minute) // they left, and the carrier has not answered
		w.want("a1 offer", "a2 offer")
		w.crash()
		w.mu.Lock()
		w.lag = 0
		w.mu.Unlock()
		w.wait(time.Second)
		w.start()
		w.wait(30 * time.Minute)
		for _, m := range w.texts() {
			if m != "a1 reminder" && m != "a2 reminder" {
				t.Errorf("sent again: %s", m)
			}
		}
		for _, o := range w.slot("S1").Offers {
			st, err := w.offerState(context.Background(), o.ID)
			if err != nil || st.Deliveries[0].Status != reach.Unknown {
				t.Errorf("what was under way is %q, %v", st.Deliveries[0].Status, err)
			}
		}
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
	})
}

// TestPanicWithWorkWaiting lets an actor fail just when something waits behind the commit under way,
// at every moment of a withdrawal and of a yes: what was promised is done nevertheless.
func TestPanicWithWorkWaiting(t *testing.T) {
	for _, metric := range []string{"delivery", "reached", "offered", "claim", "filled", "write", "alert"} {
		hits := 0
		for offset := time.Duration(0); offset < 400*time.Millisecond; offset += 20 * time.Millisecond {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, 1, func(p *engine.Policy) { p.Grace = 0 })
				w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
				w.slow = func(b storage.Batch) time.Duration {
					if len(b.Puts) > 0 && b.Puts[0].Key.Kind == storage.KindSlot {
						return 5 * time.Millisecond
					}
					return 70 * time.Millisecond
				}
				w.carry = func(m engine.Message) (engine.Outcome, time.Duration) {
					if m.Phone == phone("a", 2) && m.Kind == engine.MsgOffer {
						return engine.Outcome{Status: engine.Failed, Reason: engine.Filtered}, 0
					}
					return engine.Outcome{Status: engine.Accepted}, 0
				}
				w.start()
				w.enrol("a", 3, nil)
				w.wait(10 * time.Second)
				fail := true
				w.mu.Lock()
				w.boom = func(_ engine.ClinicID, m string) bool {
					hit := fail && len(m) > len(metric) && m[:len(metric)] == metric || fail && m == metric
					if hit {
						fail = false
						hits++
					}
					return hit
				}
				w.mu.Unlock()
				w.dmes["a"].cancel("S1")
				for len(w.slot("S1").Offers) == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(offset)
				heard := true
				if metric == "reached" || metric == "claim" || metric == "filled" || metric == "write" {
					a, err := w.text(w.process, "SM1", phone("a", 1), "oui")
					heard = err != nil || a.Kind != engine.AnsNone // before its offer was written nobody can answer it
				} else {
					_, _ = w.act("S1", "withdraw", 0, "", "")
				}
				w.wait(3 * time.Minute)
				w.disk.mu.Lock()
				left := len(w.disk.effects)
				w.disk.mu.Unlock()
				if left > 0 {
					t.Errorf("panic at %q, %v after the wave: %d orders were never carried out", metric, offset, left)
				}
				if heard && unfinished(w.slot("S1")) && metric != "alert" {
					t.Errorf("panic at %q, %v after the wave: the slot is %s", metric, offset, w.slot("S1").Phase)
				}
			})
		}
		if hits == 0 && metric != "alert" {
			t.Errorf("nothing failed at %q", metric)
		}
	}
}

// TestCaughtAtTheDoor: the process dies while a text is at the carrier's door. The next one asks the
// carrier: what it has is not sent again, and what it never got is, once.
func TestCaughtAtTheDoor(t *testing.T) {
	for name, x := range map[string]struct {
		known engine.ReceiptStatus
		late  bool // the carrier did get it
		want  []string
	}{
		"the carrier has it":       {engine.ReceiptDelivered, true, nil},
		"the carrier never got it": {engine.ReceiptAbsent, false, []string{"a1 offer"}},
		"the carrier cannot say":   {"", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, 1, nil)
				w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
				w.carry = func(engine.Message) (engine.Outcome, time.Duration) {
					return engine.Outcome{Status: engine.Accepted}, 10 * time.Second // and it is dead by then
				}
				w.known = func(m engine.Message) engine.ReceiptStatus {
					if m.Handed.IsZero() {
						t.Error("the carrier is not told when it was handed over")
					}
					return x.known
				}
				w.start()
				w.enrol("a", 1, nil)
				w.wait(10 * time.Second)
				w.dmes["a"].cancel("S1")
				w.wait(65 * time.Second) // the grace delay is over
				w.want()
				w.crash()
				w.carry = nil
				w.start()
				w.wait(2 * time.Minute)
				w.want(x.want...)
				w.wait(20 * time.Minute)
				if name == "the carrier never got it" {
					w.want("a1 reminder")
				}
			})
		})
	}
}
