package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
	"relais/engine/slot"
)

func (w *world) healthy(c engine.ClinicID, want health.Status) {
	w.t.Helper()
	h, err := w.Health(context.Background(), c)
	if err != nil || h.Status != want {
		w.t.Errorf("clinic %s is %q (%s), %v; want %q", c, h.Status, h.Detail, err, want)
	}
}

func TestSuspension(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		d := w.dmes["a"]
		for i, s := range []string{"S1", "S2", "S3"} {
			d.add(s, monday.Add(time.Duration(4+i)*time.Hour), 20*time.Minute)
		}
		w.start()
		w.enrol("a", 9, nil)
		w.wait(10 * time.Second)
		d.cancel("S1")
		d.cancel("S2")
		w.wait(65 * time.Second)
		w.want("a1 offer", "a2 offer", "a3 offer", "a4 offer", "a5 offer", "a6 offer")
		first := w.slot("S1").Offers[0]

		d.fail(engine.DMEError)
		w.wait(30 * time.Second)
		w.healthy("a", health.Suspended)
		if !w.slot("S1").Suspended || !w.slot("S2").Suspended {
			t.Error("the open slots are not suspended")
		}
		if s, err := w.Snapshot(context.Background(), "a"); err != nil || cardOf(s, w.slotID("a", "S2")).State != desk.Suspended {
			t.Errorf("the calendar does not say so: %v", err)
		}
		w.answer(w.saysAs("SM1", patientPhone(first.Patient), "oui"), engine.AnsFinalising)
		w.phase("S1", slot.Claimed)
		if _, err := w.act("S2", "send_now", 0, "", ""); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("send_now while suspended: %v", err)
		}
		w.wait(30 * time.Minute)
		w.want(string(first.Patient) + " finalising") // no wave, no reminder, no courtesy
		d.takes("S2")
		d.cancel("S3") // freed while nobody could look
		w.wait(time.Minute)
		w.want()

		d.fail("")
		w.wait(time.Minute) // one complete look, and everything is compared before anything leaves
		w.healthy("a", health.Healthy)
		w.phase("S2", slot.Closed)
		w.phase("S1", slot.Booked)
		got := w.texts()
		for _, o := range w.slot("S2").Offers {
			if name := string(o.Patient) + " taken"; !slices.Contains(got, name) {
				t.Errorf("%q: %s is missing", got, name)
			}
		}
		if name := string(first.Patient) + " booked"; !slices.Contains(got, name) {
			t.Errorf("%q: %s is missing", got, name)
		}
		w.wait(2 * time.Minute)
		if n := len(w.texts()); n != 3 || w.slot("S3").Phase != slot.Offering {
			t.Errorf("S3 is %s, %d messages: it goes on after the heal", w.slot("S3").Phase, n)
		}
	})
}

func cardOf(s desk.Snapshot, id engine.SlotID) desk.Card {
	i := slices.IndexFunc(s.Cards, func(c desk.Card) bool { return c.ID == id })
	if i < 0 {
		return desk.Card{}
	}
	return s.Cards[i]
}

func patientPhone(p engine.PatientID) engine.Phone {
	return phone(engine.ClinicID(p[:1]), int(p[1]-'0'))
}

func TestSuspendedThroughARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 6, nil)
		d := w.dmes["a"]
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		d.fail(engine.DMESignIn)
		w.wait(5 * time.Second)
		w.restart()
		w.wait(20 * time.Minute)
		w.want()
		w.restart()
		d.fail("")
		w.wait(40 * time.Second)
		w.want("a4 offer", "a5 offer", "a6 offer") // what became due meanwhile
	})
}

func TestNothingLeavesBeforeTheFirstLook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 6, nil)
		d := w.dmes["a"]
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.crash()
		d.takes("S1") // while nobody looked
		d.mu.Lock()
		d.delay = 20 * time.Second
		d.mu.Unlock()
		w.wait(15 * time.Minute) // a wave became due
		w.start()
		w.wait(19 * time.Second)
		w.want()
		if n := len(w.slot("S1").Offers); n != 3 {
			t.Errorf("%d people chosen on what may not be true any more", n)
		}
		w.wait(60 * time.Second) // courtesies wait for trust
		w.want("a1 taken", "a2 taken", "a3 taken")
		w.phase("S1", slot.Closed)
	})
}

// TestWatermarkIsKept frees a slot while the process is down: the looks go on where they were, so it shows before
// the complete look has ended, and nobody hears of it until then.
func TestWatermarkIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		d := w.dmes["a"]
		for i, s := range []string{"S1", "S2"} {
			d.add(s, monday.Add(time.Duration(4+i)*time.Hour), 20*time.Minute)
		}
		w.start()
		w.enrol("a", 3, nil)
		w.wait(10 * time.Second)
		w.crash()
		d.cancel("S2")
		d.mu.Lock()
		d.whole = 25 * time.Second
		d.mu.Unlock()
		w.wait(10 * time.Minute)
		w.start()
		w.wait(5 * time.Second)
		w.healthy("a", health.Starting)
		w.phase("S2", slot.Freed)
		w.want()
		w.wait(2 * time.Minute)
		w.healthy("a", health.Healthy)
		w.want("a1 offer", "a2 offer", "a3 offer")
	})
}

func TestHoldByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 6, nil)
		ctx := context.Background()
		if err := w.Hold(ctx, "a", "clerk", true); err != nil {
			t.Fatal(err)
		}
		w.restart() // the answer came when it was kept
		w.wait(15 * time.Minute)
		w.want()
		w.healthy("a", health.Suspended)
		if err := w.Hold(ctx, "a", "clerk", false); err != nil {
			t.Fatal(err)
		}
		w.wait(5 * time.Second)
		w.healthy("a", health.Healthy)
		w.want("a1 offer", "a2 offer", "a3 offer")
		if err := w.Hold(ctx, "z", "clerk", true); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("a hold of no clinic: %v", err)
		}
	})
}

// TestSlotThatComesWithTheHeal opens many slots by the very look that ends a suspension.
func TestSlotThatComesWithTheHeal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, func(p *engine.Policy) { p.Size = 1 })
		d := w.dmes["a"]
		names := []string{"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8"}
		for i, s := range names {
			d.add(s, monday.Add(time.Duration(200+i)*time.Minute), time.Minute)
		}
		w.start()
		w.enrol("a", 30, nil)
		w.wait(10 * time.Second)
		for range 5 {
			d.fail(engine.DMEError)
			w.wait(time.Minute)
			for _, s := range names {
				d.takes(s)
				d.cancel(s)
			}
			d.fail("")
			w.wait(3 * time.Minute)
			for _, s := range names {
				if st := w.slot(s); st.Suspended {
					t.Errorf("%s is still suspended", s)
				}
				if st := w.slot(s); st.Phase == slot.Freed {
					t.Errorf("%s still waits", s)
				}
			}
		}
	})
}

func TestTrustComesBackAfterPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 30, nil)
		w.wait(time.Minute)
		w.texts()
		// The clinic's, the record system's and the calendar's actors fail one after the other.
		for _, what := range []string{"open ", "health", "opened"} {
			once := true
			w.mu.Lock()
			w.boom = func(_ engine.ClinicID, m string) bool {
				hit := once && len(m) >= len(what) && m[:len(what)] == what
				once = once && !hit
				return hit
			}
			w.mu.Unlock()
			w.dmes["a"].add("X"+what, monday.Add(5*time.Hour), 20*time.Minute)
			w.wait(10 * time.Second)
			w.dmes["a"].cancel("X" + what)
			w.wait(10 * time.Second)
			w.dmes["a"].fail(engine.DMEError)
			w.wait(30 * time.Second)
			w.dmes["a"].fail("")
			w.wait(2 * time.Minute)
			w.healthy("a", health.Healthy)
			if s := w.slot("X" + what); s.Phase != slot.Offering || s.Suspended {
				t.Errorf("after a panic at %q the slot is %s, suspended %v", what, s.Phase, s.Suspended)
			}
		}
		synctest.Wait()
		if w.faults["panic clinic"] == 0 || w.faults["panic dme"] == 0 || w.faults["panic slot"] == 0 {
			t.Errorf("not everything failed: %v", w.faults)
		}
	})
}

func TestSyncTellsWhatHappened(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		d := w.dmes["a"]
		d.add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 1, nil)
		w.wait(10 * time.Second)
		look := func() desk.Sync {
			t.Helper()
			s, err := w.Sync(context.Background(), "a")
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := look(); s.LastPush != nil || s.LagMS != nil || s.Health.LastGood == nil || time.Since(*s.Health.LastGood) > 3*time.Second || s.Slots != 1 {
			t.Errorf("quiet: %+v", s)
		}
		d.cancel("S1")
		w.wait(time.Second)
		w.Nudge("a")
		w.wait(time.Second)
		s := look()
		if s.LastPush == nil || time.Since(*s.LastPush) != time.Second || s.LagMS == nil || *s.LagMS > 1000 {
			t.Errorf("after a hint: %+v", s)
		}
		w.wait(time.Minute)
		d.fail(engine.DMEUnreachable)
		w.says("a", 1, "oui")
		w.wait(30 * time.Second)
		s = look()
		if len(s.Pending) != 1 || s.Pending[0].Slot != w.slotID("a", "S1") || s.Pending[0].Tries < 1 || s.Health.Writing != 1 {
			t.Errorf("a booking that waits: %+v", s.Pending)
		}
		if s.Health.Status != health.Suspended || s.Log[0].Fault != engine.DMEUnreachable || s.Log[0].Detail == "" {
			t.Errorf("the history: %+v", s.Log)
		}
		told := s.Log[0].At
		w.crash() // the history outlives the process
		w.start()
		w.wait(10 * time.Second)
		found := false
		for _, l := range look().Log {
			found = found || l.At.Equal(told)
		}
		if !found {
			t.Errorf("after a restart the history is %+v", look().Log)
		}
	})
}

// A schedule that shrinks by more than a third opens nothing and suspends; a person who says that it is
// right ends that at once.
func TestShrunkenScheduleIsNotBelieved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		d := w.dmes["a"]
		for i := range 30 {
			d.add(fmt.Sprintf("S%d", i), monday.Add(time.Duration(180+20*i)*time.Minute), 20*time.Minute)
		}
		w.start()
		w.enrol("a", 3, nil)
		w.wait(10 * time.Second)
		w.healthy("a", health.Healthy)
		d.mu.Lock()
		for i := range 12 {
			delete(d.slots, fmt.Sprintf("S%d", i))
		}
		for id, a := range d.appts {
			if d.slots[a.Slots[0]] == nil {
				delete(d.appts, id)
			}
		}
		d.mu.Unlock()
		w.wait(6 * time.Minute) // the next complete look shows it
		w.healthy("a", health.Suspended)
		d.cancel("S20")
		w.wait(5 * time.Minute)
		w.healthy("a", health.Suspended)
		w.want()
		h, err := w.Health(context.Background(), "a")
		if err != nil || h.Fault != engine.DMEMalformed || !strings.Contains(h.Detail, "12 of 30") {
			t.Errorf("%+v, %v", h, err)
		}
		if err := w.Hold(context.Background(), "a", "clerk", false); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.healthy("a", health.Healthy)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
	})
}
