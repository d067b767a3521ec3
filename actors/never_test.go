package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/storage"
)

// These tests hold the list of what must never happen, each point by itself. TestSimulation and
// TestKillAtEveryCommit hold all of it at once.

func TestNever1TwoWinners(t *testing.T) {
	for round := range 20 {
		bubble(t, func(t *testing.T) {
			s := newSimulation(t, uint64(round), 1, trouble{})
			s.carry = nil
			s.wait(10 * time.Second)
			for i := range perSlots {
				s.dmes["a"].cancel(fmt.Sprintf("S%d", i+1))
			}
			s.wait(2 * time.Minute)
			// Everybody says no to what they have, is asked for another slot, and then says yes to
			// both at once, while the desk gives them a third.
			offers := map[engine.PatientID][]engine.AttemptID{}
			gather := func() {
				for _, m := range s.messages {
					who := s.offers[m.Attempt.Offer()]
					if m.Kind == engine.MsgOffer && !slices.Contains(offers[who], m.Attempt) {
						offers[who] = append(offers[who], m.Attempt)
					}
				}
			}
			say := func(p *process, a engine.AttemptID, intent engine.Intent) {
				answer, err := p.Reply(context.Background(), engine.Reply{Attempt: a, Channel: engine.SMS, Intent: intent})
				if err == nil {
					s.answered(answer, a.Offer())
				}
			}
			for range 3 {
				gather()
				for _, list := range offers {
					say(s.process, list[len(list)-1], engine.No)
				}
				s.wait(10 * time.Second)
			}
			gather()
			several := 0
			var all sync.WaitGroup
			for who, list := range offers {
				if len(list) > 1 {
					several++
				}
				for _, a := range list {
					all.Go(func() { say(s.process, a, engine.Yes) })
				}
				all.Go(func() {
					_, _ = s.act(s.source(), "book", 0, "", string(who))
				})
			}
			all.Wait()
			s.wait(time.Minute)
			if len(s.holder) < 2 || several == 0 {
				t.Errorf("%d won, %d had several offers: this proves nothing", len(s.holder), several)
			}
		})
	}
}

func TestNever2ToldWhatACrashForgets(t *testing.T) {
	// The store takes a commit, and its answer comes only a while later: nobody may be told before.
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.disk.mu.Lock()
		w.store.fail = func(b storage.Batch) (error, bool) {
			if slices.ContainsFunc(b.Puts, func(p storage.Put) bool { return p.Key.Kind == storage.KindSlot }) {
				w.process.dead.Store(true)
				w.process.store.dead.Store(true)
				return storage.ErrClosed, false // the machine stops within the write
			}
			return nil, false
		}
		w.disk.mu.Unlock()
		if a, err := w.text(w.process, "SM1", phone("a", 1), "oui"); err == nil {
			t.Errorf("was told %q", a.Kind)
		}
		w.wait(10 * time.Second)
		w.want()
		w.restart()
		w.wait(20 * time.Second)
		w.phase("S1", slot.Offering)
		w.answer(w.saysAs("SM1", phone("a", 1), "oui"), engine.AnsBooked)
		w.restart()
		w.phase("S1", slot.Booked)
	})
}

func TestNever3LeavesTooLate(t *testing.T) {
	ends := map[string]func(w *world){
		"claimed":   func(w *world) { w.says("a", 1, "oui") },
		"withdrawn": func(w *world) { w.do("S1", "withdraw") },
		"taken":     func(w *world) { w.dmes["a"].takes("S1"); w.wait(3 * time.Second) },
		"suspended": func(w *world) { w.dmes["a"].fail(engine.DMESignIn); w.wait(3 * time.Second) },
		"held":      func(w *world) { _ = w.Hold(context.Background(), "a", "clerk", true) },
		"paused":    func(w *world) { w.do("S1", "pause") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := freed(t, 3, nil)
				w.mu.Lock()
				w.carry = func(m engine.Message) (engine.Outcome, time.Duration) {
					if m.Phone == phone("a", 1) || m.Kind != engine.MsgOffer {
						return engine.Outcome{Status: engine.Accepted}, 0
					}
					return engine.Outcome{Status: engine.Accepted}, 15 * time.Second // waits at the carrier's door
				}
				w.mu.Unlock()
				w.wait(time.Minute)
				w.want("a1 offer")
				end(w)
				w.wait(25 * time.Second)
				if got := w.texts(); slices.Contains(got, "a2 offer") || slices.Contains(got, "a3 offer") {
					t.Errorf("%q", got)
				}
				if name == "paused" {
					w.do("S1", "resume")
				} else {
					_ = w.Hold(context.Background(), "a", "clerk", false)
					w.dmes["a"].fail("")
				}
				w.wait(2 * time.Minute)
				got := w.texts()
				goesOn := name == "suspended" || name == "held" || name == "paused"
				if slices.Contains(got, "a2 offer") != goesOn || slices.Contains(got, "a3 offer") != goesOn {
					t.Errorf("%q once it is over", got)
				}
			})
		})
	}
}

func TestNever4AsksWhoMustNotBeAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		d := w.dmes["a"]
		d.add("S1", monday.Add(8*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 9, func(i int, p *engine.Patient, e *engine.Entry) {
			c := &p.Contacts[0]
			switch i {
			case 1:
				c.OptedOut = time.Now()
			case 2:
				c.Consent = time.Time{}
			case 3:
				p.Hours = &engine.Hours{From: 60, Until: 120}
			case 4:
				for range 3 {
					p.Offered = append(p.Offered, engine.Mark{At: time.Now().Add(-time.Hour), Slot: "x", Start: time.Now()})
				}
			case 5:
				p.Zone = "Asia/Tokyo" // where it is night
			case 6:
				e.Status = engine.Snoozed
			case 7:
				c.Bad = engine.BadContact
			}
		})
		w.wait(10 * time.Second)
		d.cancel("S1")
		w.wait(2 * time.Minute)
		w.want("a8 offer", "a9 offer")
		w.do("S1", "withdraw")
		w.want("a8 withdrawn", "a9 withdrawn")
		d.takes("S1")
		w.wait(5 * time.Second)
		d.cancel("S1") // the same slot comes back: who was asked is not asked again
		w.wait(30 * time.Minute)
		w.want()
		if s := w.slot("S1"); s.Opening != 2 {
			t.Errorf("opening %d", s.Opening)
		}
	})
}

func TestNever5BookingThatIsNotThere(t *testing.T) {
	for _, fault := range []engine.DMEFault{engine.DMEUnreachable, engine.DMEBusy, engine.DMEError, engine.DMESignIn, engine.DMEMalformed} {
		bubble(t, func(t *testing.T) {
			w := freed(t, 2, nil)
			w.wait(time.Minute)
			w.want("a1 offer", "a2 offer")
			w.dmes["a"].fail(fault)
			w.answer(w.says("a", 1, "oui"), engine.AnsFinalising)
			w.wait(10 * time.Minute)
			if got := w.texts(); slices.Contains(got, "a1 booked") {
				t.Errorf("%s: %q", fault, got)
			}
			snap, err := w.Snapshot(context.Background(), "a")
			if c := cardOf(snap, w.slotID("a", "S1")); err != nil || c.State != desk.Claimed || snap.Health.Writing != 1 {
				t.Errorf("%s: card %q, %d being written, %v", fault, c.State, snap.Health.Writing, err)
			}
			w.restart()
			w.dmes["a"].fail("")
			w.wait(time.Minute)
			w.phase("S1", slot.Booked)
			if got := w.texts(); !slices.Contains(got, "a1 booked") {
				t.Errorf("%s: %q after the heal", fault, got)
			}
		})
	}
}

func TestNever6LosesAFact(t *testing.T) {
	bubble(t, func(t *testing.T) { newSimulation(t, 6, 2, trouble{store: true, crashes: true}).run(60) })
}

func TestNever7TellsWhoItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSimulation(t, 9, 2, trouble{panics: true, dme: true, carriers: true})
		s.set(&s.panicky, 0.5)
		s.wait(time.Minute)
		s.run(60)
		if len(s.log.String()) < 1000 || len(s.metrics) < 100 {
			t.Error("too little was written to prove anything")
		}
		if !strings.Contains(s.log.String(), "actor panicked") {
			t.Error("no panic was logged")
		}
	})
}

// TestNever8OneClinicFeelsAnother lets everything of clinic a fail, and wants clinic b to live as if
// nothing were.
func TestNever8OneClinicFeelsAnother(t *testing.T) {
	day := func(broken bool) (log []string) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, 2, nil)
			for _, c := range []engine.ClinicID{"a", "b"} {
				w.dmes[c].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
				w.dmes[c].add("S2", monday.Add(4*time.Hour), 20*time.Minute)
			}
			var mu sync.Mutex
			w.onLeave = func(m sent) {
				mu.Lock()
				defer mu.Unlock()
				if m.Clinic == "b" {
					log = append(log, fmt.Sprint(m.at.Sub(monday), " ", w.whose(m), " ", m.Kind))
				}
			}
			w.start()
			w.enrol("a", 9, nil)
			w.enrol("b", 9, nil)
			w.wait(10 * time.Second)
			if broken {
				w.mu.Lock()
				w.boom = func(c engine.ClinicID, _ string) bool { return c == "a" }
				w.carry = func(m engine.Message) (engine.Outcome, time.Duration) {
					if m.Clinic == "a" {
						return engine.Outcome{Status: engine.Unknown}, 29 * time.Second
					}
					return engine.Outcome{Status: engine.Accepted}, 0
				}
				w.mu.Unlock()
				d := w.dmes["a"]
				d.mu.Lock()
				d.hang = true
				d.mu.Unlock()
			}
			for _, c := range []engine.ClinicID{"a", "b"} {
				w.dmes[c].cancel("S1")
				w.dmes[c].cancel("S2")
			}
			w.wait(70 * time.Second)
			if broken {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_ = w.Hold(ctx, "a", "clerk", true)
				cancel()
			}
			w.answer(w.says("b", 1, "oui"), engine.AnsBooked)
			w.answer(w.says("b", 4, "non"), engine.AnsDeclined)
			w.wait(4 * time.Hour)
			synctest.Wait()
			if one, two := w.slotOf("b", "S1").Phase, w.slotOf("b", "S2").Phase; (one == slot.Booked) == (two == slot.Booked) {
				t.Errorf("broken %v: clinic b's slots are %s and %s", broken, one, two)
			}
			if broken && w.faults["panic dme"]+w.faults["panic clinic"]+w.faults["panic slot"] < 10 {
				t.Errorf("clinic a was not broken enough: %v", w.faults)
			}
		})
		slices.Sort(log)
		return log
	}
	want, got := day(false), day(true)
	if len(want) < 10 {
		t.Fatalf("a quiet day proves nothing: %q", want)
	}
	if !slices.Equal(shift(got), shift(want)) {
		t.Errorf("clinic b felt it: %q\nwant %q", got, want)
	}
}

// shift drops the fractions of a second: Hold of the broken clinic may take one.
func shift(log []string) []string {
	out := make([]string, 0, len(log))
	for _, l := range log {
		at, what, _ := strings.Cut(l, " ")
		d, _ := time.ParseDuration(at)
		out = append(out, fmt.Sprint(d.Round(10*time.Second), " ", what))
	}
	slices.Sort(out)
	return out
}
