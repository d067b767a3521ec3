package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/storage"
)

// anew is a record system that was connected anew.
type anew struct{ DME }

// shift closes a clinic and opens it again, or gives it new settings, while everything goes on.
func (s *simulation) shift(c engine.ClinicID) {
	p, how, pause := s.process, s.n(3), time.Duration(s.n(40))*time.Second
	s.asking.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		set := p.setup(c)
		switch how {
		case 0:
			set.Clinic.Policy.Size = 1 + s.n(4)
			_ = p.Replace(ctx, set)
		case 1:
			set.DME = &anew{set.DME}
			_ = p.Replace(ctx, set)
		case 2:
			s.imu.Lock()
			busy := s.shut[c]
			s.imu.Unlock()
			if busy {
				return
			}
			if err := p.Close(ctx, c); err != nil || p.dead.Load() {
				return
			}
			s.imu.Lock()
			s.shut[c] = true
			s.imu.Unlock()
			time.Sleep(pause)
			s.imu.Lock()
			delete(s.shut, c)
			s.imu.Unlock()
			_ = p.Open(context.Background(), set)
		}
	})
}

// openAll opens every clinic that a failing store kept closed.
func (s *simulation) openAll() {
	for id := range s.dmes {
		switch c := s.hall.get(id); {
		case c == nil:
		case !c.isOpen():
			if err := s.Close(context.Background(), id); err != nil {
				s.t.Errorf("close clinic %s: %v", id, err)
			}
		default:
			continue
		}
		if err := s.Open(context.Background(), s.setup(id)); err != nil {
			s.t.Errorf("open clinic %s: %v", id, err)
		}
	}
}

// alive lists the actors of a clinic.
func (w *world) alive(c engine.ClinicID) (names []string) {
	w.slots.Each(func(id engine.SlotID, _ system.Ref) {
		if strings.HasPrefix(string(id), string(c)) {
			names = append(names, "slot "+string(id))
		}
	})
	w.offers.Each(func(id engine.OfferID, _ system.Ref) {
		if strings.HasPrefix(string(id), string(c)) {
			names = append(names, "notifier "+string(id))
		}
	})
	for _, k := range w.Stats() {
		if slices.Contains([]string{"clinic", "dme", "calendar", "asker"}, k.Kind) && k.Actors != w.hall.len() {
			names = append(names, fmt.Sprintf("%d of %s", k.Actors, k.Kind))
		}
	}
	return names
}

// writes lists the clinics whose records are written from now on.
func (w *world) writes() (of func() []engine.ClinicID) {
	var mu sync.Mutex
	var seen []engine.ClinicID
	w.disk.watch = func(b storage.Batch) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range b.Puts {
			if !slices.Contains(seen, p.Key.Clinic) {
				seen = append(seen, p.Key.Clinic)
			}
		}
	}
	return func() []engine.ClinicID {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func TestAClosedClinicIsStill(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		for _, d := range w.dmes {
			d.add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		}
		w.start()
		w.enrol("a", 8, nil)
		w.enrol("b", 8, nil)
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.dmes["b"].cancel("S1")
		w.wait(70 * time.Second)
		w.want("a1 offer", "a2 offer", "a3 offer", "b1 offer", "b2 offer", "b3 offer")

		desk := &page{}
		if _, err := w.Attach(context.Background(), "a", "", 0, desk); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		if names := w.alive("a"); len(names) > 0 {
			t.Errorf("alive after Close: %v", names)
		}
		if desk.ends != 1 {
			t.Errorf("the page was sent back %d times, want once", desk.ends)
		}
		written := w.writes()
		answer, err := w.text(w.process, "SM-closed", phone("a", 1), "oui")
		if err != nil || answer.Kind != engine.AnsNone {
			t.Errorf("a reply to a closed clinic: %q, %v", answer.Kind, err)
		}
		if _, err := w.Snapshot(context.Background(), "a"); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("a closed clinic shows a calendar: %v", err)
		}
		if _, err := w.Enrol(context.Background(), "a", "clerk", enrolment()); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("a closed clinic enrols: %v", err)
		}
		if err := w.Add(context.Background(), []engine.Patient{{ID: "late", Clinic: "a"}}, nil); engine.CodeOf(err) != engine.Unavailable {
			t.Errorf("somebody was added to a closed clinic: %v", err)
		}
		w.wait(30 * time.Minute)
		if texts := w.texts(); !slices.Contains(texts, "b8 offer") || slices.ContainsFunc(texts, func(s string) bool { return s[0] == 'a' }) {
			t.Errorf("sent %q, want offers of b and nothing of a", texts)
		}
		if of := written(); slices.Contains(of, "a") || !slices.Contains(of, "b") {
			t.Errorf("written: %q, want b and not a", of)
		}
		if names := w.alive("a"); len(names) > 0 {
			t.Errorf("alive later: %v", names)
		}

		w.disk.watch = nil
		if err := w.Open(context.Background(), w.setup("a")); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Second)
		w.answer(w.says("a", 2, "oui"), engine.AnsBooked)
		w.phase("S1", slot.Booked)
		w.wait(time.Second)
		if texts := w.texts(); !slices.Contains(texts, "a2 booked") {
			t.Errorf("sent %q, want the booking told", texts)
		}
	})
}

func enrolment() desk.Enrolment {
	return desk.Enrolment{Given: "Anne", Family: "Test", Specialty: "derm", Phone: "+15145550199", Channels: []engine.Channel{engine.SMS}, Proof: "form"}
}

func TestOpenAndCloseRefuse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		ctx := context.Background()
		if err := w.Open(ctx, w.setup("a")); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("opened twice: %v", err)
		}
		if err := w.Close(ctx, "zz"); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("closed what is not there: %v", err)
		}
		bad := w.setup("a")
		bad.Clinic.Zone = "Nowhere/Land"
		if err := w.Replace(ctx, bad); err == nil {
			t.Error("a clinic got a zone that does not exist")
		}
		if _, err := w.Snapshot(ctx, "a"); err != nil {
			t.Errorf("after a refused change: %v", err)
		}
	})
}

// A clinic that cannot be loaded is not half open, and opens once it can be.
func TestOpenThatFailsLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		w.wait(70 * time.Second)
		ctx := context.Background()
		if err := w.Close(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		key := storage.Key{Clinic: "a", Kind: storage.KindSlot, ID: string(w.slotID("a", "S1"))}
		w.disk.mu.Lock()
		good := w.disk.records[key]
		bad := good
		bad.Data = []byte("{")
		w.disk.records[key] = bad
		w.disk.mu.Unlock()
		if err := w.Open(ctx, w.setup("a")); err == nil {
			t.Fatal("a clinic opened with a record that nobody can read")
		}
		if names := w.alive("a"); len(names) > 0 {
			t.Errorf("alive: %v", names)
		}
		w.disk.mu.Lock()
		w.disk.records[key] = good
		w.disk.mu.Unlock()
		if err := w.Open(ctx, w.setup("a")); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Second)
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
	})
}

// New settings count at once, without a new calendar for those who watch.
func TestReplaceCountsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 12, nil)
		w.wait(70 * time.Second)
		w.want("a1 offer", "a2 offer", "a3 offer")
		watching := &page{}
		if _, err := w.Attach(context.Background(), "a", "", 0, watching); err != nil {
			t.Fatal(err)
		}
		set := w.setup("a")
		set.Clinic.Name, set.Clinic.Policy.Size = "Clinique du Parc", 5
		set.Clinic.Places = append(set.Clinic.Places, engine.Place{ID: "there", Name: "Là"})
		if err := w.Replace(context.Background(), set); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Minute)
		w.want("a4 offer", "a5 offer", "a6 offer", "a7 offer", "a8 offer")
		if watching.ends != 0 || watching.snapshots != 1 || watching.gaps != 0 {
			t.Errorf("the page was sent back %d times, got %d calendars and missed %d changes", watching.ends, watching.snapshots, watching.gaps)
		}
		s, err := w.Snapshot(context.Background(), "a")
		if err != nil || s.Clinic.Name != "Clinique du Parc" || len(s.Clinic.Places) != 2 {
			t.Errorf("pages say %q with %d places (%v)", s.Clinic.Name, len(s.Clinic.Places), err)
		}
		if s.Health.Status != "healthy" {
			t.Errorf("the record system is %s", s.Health.Status)
		}
	})
}

// The mode of the configuration counts until somebody set one at the desk, and never beyond what may be.
func TestReplaceAndTheMode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		mode := func() engine.Mode { return w.hall.get("a").mode() }
		set := w.setup("a")
		set.Clinic.Mode = engine.Shadow
		replace := func() {
			t.Helper()
			if err := w.Replace(context.Background(), set); err != nil {
				t.Fatal(err)
			}
			w.wait(time.Second)
		}
		replace()
		if mode() != engine.Shadow {
			t.Errorf("the mode is %s, want the new configuration's", mode())
		}
		w.wait(2 * time.Minute)
		w.want()
		if _, err := w.SetMode(context.Background(), "a", "clerk", "", desk.ModeChange{Mode: engine.Approval}); err != nil {
			t.Fatal(err)
		}
		set.Clinic.Mode = engine.Automatic
		replace()
		if mode() != engine.Approval {
			t.Errorf("the mode is %s, want what was set at the desk", mode())
		}
		set.WatchOnly = "No way to send."
		replace()
		if mode() != engine.Shadow {
			t.Errorf("the mode is %s, want shadow: nothing can be sent", mode())
		}
	})
}

// A yes that comes while the record system is connected anew waits, and wins.
func TestAYesWaitsForAClinicThatIsOpenedAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 5, nil)
		w.wait(70 * time.Second)
		w.want("a1 offer", "a2 offer", "a3 offer")
		watching := &page{}
		if _, err := w.Attach(context.Background(), "a", "", 0, watching); err != nil {
			t.Fatal(err)
		}
		// The actors are busy with a commit, so that the closing takes its time.
		w.process.store.slow = func(storage.Batch) time.Duration { return 2 * time.Second }
		var closing sync.WaitGroup
		closing.Go(func() { _, _ = w.text(w.process, "SM-no", phone("a", 3), "non") })
		time.Sleep(2100 * time.Millisecond) // the reply is kept, the slot's change is on its way
		closing.Go(func() {
			set := w.setup("a")
			set.DME = &anew{set.DME}
			if err := w.Replace(context.Background(), set); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		if w.hall.get("a").isOpen() {
			t.Fatal("the clinic is open: the test shows nothing")
		}
		if _, err := w.Snapshot(context.Background(), "a"); engine.CodeOf(err) != engine.Unavailable {
			t.Errorf("a clinic on its way says %v, want that it is unavailable", err)
		}
		a, err := w.text(w.process, "SM-yes", phone("a", 2), "oui")
		if err != nil || (a.Kind != engine.AnsBooked && a.Kind != engine.AnsFinalising) {
			t.Errorf("the yes got %q, %v", a.Kind, err)
		}
		closing.Wait()
		w.wait(time.Minute)
		w.phase("S1", slot.Booked)
		if watching.ends != 1 {
			t.Errorf("the page was sent back %d times, want once", watching.ends)
		}
		// It comes back with what it has, and is not taken for up to date.
		again := &page{}
		if _, err := w.Attach(context.Background(), "a", watching.epoch, watching.seq, again); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		if again.snapshots != 1 {
			t.Errorf("the page that came back got %d calendars, want one", again.snapshots)
		}
	})
}

// Closing one clinic whose record system hangs does not wait for it, nor hold up another clinic.
func TestCloseDoesNotWaitForADeadRecordSystem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.start()
		w.wait(10 * time.Second)
		d := w.dmes["a"]
		d.mu.Lock()
		d.hang = true
		d.mu.Unlock()
		w.wait(5 * time.Second)
		began := time.Now()
		if err := w.Close(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > closeGrace+time.Second {
			t.Errorf("closing took %v", took)
		}
		if running, waiting := w.sys.Work(); running+waiting > 1 { // b may be looking
			t.Errorf("%d calls run and %d wait after Close", running, waiting)
		}
	})
}

// Many clinics open and close at once while others work.
func TestManyOpenAndClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 20, nil)
		w.start()
		w.wait(time.Minute)
		var all sync.WaitGroup
		var failed atomic.Int64
		for _, c := range w.clinics {
			all.Go(func() {
				for range 5 {
					if w.Close(context.Background(), c.ID) != nil || w.Open(context.Background(), w.setup(c.ID)) != nil {
						failed.Add(1)
					}
				}
			})
		}
		all.Wait()
		w.wait(time.Minute)
		if failed.Load() > 0 {
			t.Errorf("%d failed", failed.Load())
		}
		for _, c := range w.clinics {
			if s, err := w.Snapshot(context.Background(), c.ID); err != nil || s.Health.Status != "healthy" {
				t.Errorf("clinic %s is %s, %v", c.ID, s.Health.Status, err)
			}
		}
	})
}
