package actors

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
)

// turnTo changes a clinic's mode as somebody at the desk does.
func (w *world) turnTo(m engine.Mode) desk.ModeState {
	w.t.Helper()
	ctx := context.Background()
	v, err := w.Mode(ctx, "a", 30)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := w.SetMode(ctx, "a", "boss", "", desk.ModeChange{Mode: m, Revision: v.State.Revision})
	if err != nil || s.Mode != m || s.By != "boss" {
		w.t.Fatalf("%+v, %v", s, err)
	}
	return s
}

// watching is a clinic in shadow mode where S1 was freed; size people wait.
func watching(t *testing.T, size int) *world {
	t.Helper()
	w := newWorld(t, 1, nil)
	w.clinics[0].Mode = engine.Shadow
	w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
	w.start()
	w.enrol("a", size, nil)
	w.wait(10 * time.Second)
	w.dmes["a"].cancel("S1")
	w.wait(2 * time.Minute)
	w.want()
	return w
}

func TestFromShadowToAutomatic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watching(t, 5)
		v, err := w.Mode(context.Background(), "a", 30)
		if err != nil || len(v.Would) != 1 || len(v.Would[0].People) != 3 || v.Would[0].People[0].Channel != engine.SMS || v.Review.Would.People != 3 {
			t.Fatalf("%+v, %v", v, err)
		}
		w.turnTo(engine.Approval)
		w.wait(time.Minute)
		w.want()
		w.phase("S1", slot.Approval)
		w.restart() // the mode that was set at the desk counts, not the configuration's
		w.wait(time.Minute)
		w.want()
		w.phase("S1", slot.Approval)

		w.says("a", 1, "STOP") // what shadow mode found is stale by now
		w.turnTo(engine.Automatic)
		w.wait(time.Minute)
		if got := w.texts(); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "a1 offer") }) || len(got) < 3 {
			t.Errorf("sent %q", got)
		}
		w.lines("S1", "opened", "wave", "mode", "mode", "wave", "offered", "offered", "offered")
		v, err = w.Mode(context.Background(), "a", 30)
		if err != nil || v.State.Revision != 2 || v.State.Configured != engine.Shadow || len(v.Changes) != 2 || v.Changes[0].Who != "boss" ||
			v.Changes[0].Detail["was"] != "approval" || len(v.Would) != 0 || v.Review.Did.People != 3 {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// A change that was kept and not told to the slots before the process died is taken up at the start.
func TestModeIsFollowedAfterACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watching(t, 3)
		w.crash()
		w.clinics[0].Mode = engine.Automatic // by the configuration: nothing was set at the desk
		w.start()
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
	})
}

func TestShadowStopsWhatHasNotLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 8, func(i int, p *engine.Patient, _ *engine.Entry) {
			p.Contacts = append(p.Contacts, engine.Contact{Channel: engine.Voice, Phone: phone("a", i), Consent: time.Now()})
		})
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(90 * time.Second)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.turnTo(engine.Shadow)
		w.wait(time.Hour)
		w.want()                                          // no calls to those who were silent, and no further wave
		w.answer(w.says("a", 2, "oui"), engine.AnsBooked) // who was asked may still say yes
		w.want("a2 booked", "a1 taken", "a3 taken")
	})
}

// From automatic to approval nobody more is asked before a clerk approves; what was offered stands.
func TestApprovalHoldsFurtherWaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 8, nil)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer", "a3 offer")
		w.turnTo(engine.Approval)
		w.wait(30 * time.Minute)
		w.want()
		w.phase("S1", slot.Approval)
		w.do("S1", "approve")
		w.wait(time.Second)
		w.want("a4 offer", "a5 offer", "a6 offer")
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
	})
}

func TestModeChangesOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watching(t, 1)
		ctx := context.Background()
		change := desk.ModeChange{Mode: engine.Approval}
		for range 2 {
			if s, err := w.SetMode(ctx, "a", "boss", "key-00001", change); err != nil || s.Mode != engine.Approval || s.Revision != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
		}
		if _, err := w.SetMode(ctx, "a", "other", "key-00002", desk.ModeChange{Mode: engine.Automatic}); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("an old revision: %v", err)
		}
		if _, err := w.SetMode(ctx, "a", "other", "key-00003", desk.ModeChange{Mode: "wild", Revision: 1}); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("an unknown mode: %v", err)
		}
		if _, err := w.SetMode(ctx, "zz", "other", "key-00003", change); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("an unknown clinic: %v", err)
		}
		v, err := w.Mode(ctx, "a", 30)
		if err != nil || len(v.Changes) != 1 || v.State.Mode != engine.Approval || len(v.Plan.French) < 4 || len(v.Plan.English) < 4 {
			t.Errorf("%+v, %v", v, err)
		}
		snap, err := w.Snapshot(ctx, "a")
		if err != nil || snap.Clinic.Mode != engine.Approval {
			t.Errorf("the calendar says %s, %v", snap.Clinic.Mode, err)
		}
	})
}

// A clinic whose configuration lets nothing leave stays in shadow mode, whatever was set before.
func TestWatchOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watching(t, 2)
		w.turnTo(engine.Automatic)
		w.wait(time.Minute)
		w.want("a1 offer", "a2 offer")
		w.crash()
		w.watchOnly = map[engine.ClinicID]string{"a": "No channel."}
		w.start()
		w.wait(time.Minute)
		if m := w.clinics[0].Mode; m != engine.Shadow {
			t.Fatal(m)
		}
		v, err := w.Mode(context.Background(), "a", 30)
		if err != nil || v.State.Mode != engine.Shadow || v.State.Only != "No channel." {
			t.Errorf("%+v, %v", v.State, err)
		}
		_, err = w.SetMode(context.Background(), "a", "boss", "", desk.ModeChange{Mode: engine.Automatic, Revision: v.State.Revision})
		if engine.CodeOf(err) != engine.Conflict {
			t.Error(err)
		}
	})
}

func TestFairnessReport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.clinics[0].Places[0].Point = engine.Point{Lat: 45.5, Lon: -73.6}
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 12, func(i int, p *engine.Patient, e *engine.Entry) {
			p.Born = time.Date(1990, 1, 4, 0, 0, 0, 0, time.UTC) // ten years old until tomorrow
			if i > 6 {
				p.Born = time.Date(1930, 1, 1, 0, 0, 0, 0, time.UTC)
				e.Home, e.RadiusKm = &engine.Point{Lat: 45.6, Lon: -73.6}, 100 // 11 km
			}
		})
		w.wait(10 * time.Second)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Minute)
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		v, err := w.Fairness(context.Background(), "a", time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		r := v.Report
		if r.All.People != 12 || r.All.Offers != 3 || r.All.Fills != 1 || v.To != "2000-01-03" || v.Oldest == nil {
			t.Errorf("%+v", v)
		}
		if len(r.Age) != 2 || r.Age[0].Name != "0-17" || r.Age[0].People != 6 || r.Age[1].Name != "65+" ||
			len(r.Distance) != 2 || r.Distance[0].Name != "5-20" || r.Distance[0].People != 6 || r.Distance[1].Name != "unknown" {
			t.Errorf("%+v", r)
		}
		day := monday.AddDate(0, 0, 1)
		if v, err = w.Fairness(context.Background(), "a", day, day); err != nil || v.Report.All.Offers != 0 {
			t.Errorf("the day after: %+v, %v", v, err)
		}
		if _, err = w.Fairness(context.Background(), "a", day, monday); engine.CodeOf(err) != engine.Invalid {
			t.Error(err)
		}
	})
}
