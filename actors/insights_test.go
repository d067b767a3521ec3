package actors

import (
	"context"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// comes is the record system's word on whether somebody came to the appointment that occupies a slot.
func (d *records) comes(source string, came engine.Attendance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.appts {
		if a.Booking != "" && a.Slots[0] == source {
			a.Came, a.Version = came, d.touch(a.Source)
		}
	}
}

func (w *world) insights(q desk.InsightsQuery) desk.InsightsView {
	w.t.Helper()
	v, err := w.Insights(context.Background(), "a", q)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func TestInsights(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.retention = 10 * 24 * time.Hour
		d := w.dmes["a"]
		d.add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		d.add("S2", monday.Add(4*time.Hour), 30*time.Minute)
		w.start()
		w.enrol("a", 6, nil)
		w.wait(10 * time.Second)
		d.cancel("S1")
		w.wait(70 * time.Second)
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		w.answer(w.says("a", 2, "oui"), engine.AnsTaken)
		w.says("a", 2, "arret")
		w.wait(time.Minute)
		d.cancel("S2")
		w.wait(7 * time.Hour)
		d.comes("S1", engine.Missed)
		w.wait(time.Minute)
		d.comes("S1", engine.Attended) // they were late
		w.wait(time.Minute)
		for _, when := range []string{"now", "after a restart"} {
			v := w.insights(desk.InsightsQuery{})
			r := v.Report
			if r.Freed != 2 || r.Filled != 1 || r.Expired != 1 || r.Late != 1 || r.Minutes != 20 || r.OptOuts != 1 || r.Came != 1 || r.Missed != 0 {
				t.Errorf("%s: %+v", when, r)
			}
			if r.FillRate == nil || *r.FillRate != .5 || r.FillMinutes == nil || *r.FillMinutes < 1 || *r.FillMinutes > 2 || len(r.Steps) != 28 {
				t.Errorf("%s: %+v", when, r)
			}
			if len(r.Reach) != 1 || r.Reach[0].Channel != engine.SMS || r.Reach[0].Tried != r.Offers || r.Reach[0].Answered != 2 {
				t.Errorf("%s, messages: %+v of %d offers", when, r.Reach, r.Offers)
			}
			if v.Kept != 10 || v.Oldest == nil || v.Cut || v.ReachCut != 0 {
				t.Errorf("%s: %+v", when, v)
			}
			w.restart()
			w.wait(10 * time.Second)
		}
		if r := w.insights(desk.InsightsQuery{Specialty: "cardio"}).Report; r.Freed != 0 || r.Equity.All.People != 0 {
			t.Errorf("of another specialty: %+v", r)
		}
		if r := w.insights(desk.InsightsQuery{Practitioner: "dr", From: monday, To: monday}).Report; r.Freed != 2 || len(r.Steps) != 1 || r.Equity.All.People < 5 {
			t.Errorf("of the practitioner: %+v", r)
		}
		if v, err := w.Insights(context.Background(), "b", desk.InsightsQuery{}); err != nil || v.Report.Freed != 0 || v.Report.OptOuts != 0 {
			t.Errorf("another clinic: %+v %v", v.Report, err)
		}
		for _, wrong := range []desk.InsightsQuery{
			{Practitioner: "nobody"}, {From: monday, To: monday.AddDate(0, 0, -1)}, {From: monday.AddDate(-2, 0, 0), To: monday},
		} {
			if _, err := w.Insights(context.Background(), "a", wrong); engine.CodeOf(err) != engine.Invalid {
				t.Errorf("%+v: %v", wrong, err)
			}
		}
		if n := w.attended(); n != 1 {
			t.Errorf("%d attendances are kept, want 1", n)
		}
		w.crash()
		w.wait(12 * 24 * time.Hour)
		w.start()
		w.wait(2 * time.Minute)
		if n := w.attended(); n != 0 {
			t.Errorf("%d attendances are kept although their slots are not", n)
		}
	})
}

// attended counts the attendances in the store.
func (w *world) attended() (n int) {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	for key := range w.disk.records {
		if key.Kind == storage.KindMeta && strings.HasPrefix(key.ID, attendedPrefix) {
			n++
		}
	}
	return n
}

// weeklies are the weekly mails that left, oldest first.
func (w *world) weeklies() (list []sent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.messages {
		if m.Kind == engine.MsgWeekly {
			list = append(list, m)
		}
	}
	return list
}

// sleep lets time pass while no process runs, which costs nothing.
func (w *world) sleep(until time.Time) {
	w.crash()
	w.wait(time.Until(until))
	w.start()
}

// due is when the first mail is: Monday at 7:00 in Montreal.
var due = time.Date(2000, 1, 10, 12, 0, 0, 0, time.UTC)

// The week's mail leaves once, on Monday at seven in the clinic's zone, whatever restarts.
func TestWeeklyMail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 2, nil)
		w.clinics[0].Weekly = "direction@clinique.example"
		d := w.dmes["a"]
		d.add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 6, nil)
		w.wait(10 * time.Second)
		d.cancel("S1")
		w.wait(70 * time.Second)
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		w.wait(5 * time.Minute)
		if n := len(w.weeklies()); n != 0 {
			t.Fatalf("%d mails about a week that nobody asked for", n)
		}
		w.sleep(due.Add(-10 * time.Minute))
		w.wait(9 * time.Minute)
		if n := len(w.weeklies()); n != 0 {
			t.Fatalf("%d mails before their time", n)
		}
		for range 3 {
			w.wait(6 * time.Minute)
			w.restart()
		}
		w.wait(2 * time.Hour)
		all := w.weeklies()
		if len(all) != 1 || all[0].Email != "direction@clinique.example" || all[0].at.Before(due) {
			t.Fatalf("%+v", all)
		}
		for _, want := range []string{"Clinique a", "Semaine du lundi 3\u00a0janvier au dimanche 9\u00a0janvier 2000", "Plages comblées\u00a0: 1 sur 1"} {
			if !strings.Contains(all[0].Text, want) {
				t.Errorf("it does not say %q:\n%s", want, all[0].Text)
			}
		}
		w.sleep(due.AddDate(0, 0, 7).Add(time.Minute))
		w.wait(10 * time.Minute)
		if all := w.weeklies(); len(all) != 2 || !strings.Contains(all[1].Text, "Aucune plage") {
			t.Errorf("a week later: %+v", all)
		}
	})
}

// A server that takes nothing is tried again; a mail that it refuses or that may have left is not.
func TestWeeklyMailThatFails(t *testing.T) {
	for what, tc := range map[string]struct {
		first engine.Outcome
		tries int
	}{
		"tried again":   {engine.Outcome{Status: engine.Failed, Reason: engine.CarrierDown, Retry: true}, 2},
		"refused":       {engine.Outcome{Status: engine.Failed, Reason: engine.BadContact}, 1},
		"may have left": {engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}, 1},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, 1, nil)
				w.clinics[0].Weekly = "direction@clinique.example"
				tried := 0
				w.carry = func(m engine.Message) (engine.Outcome, time.Duration) {
					out := engine.Outcome{Status: engine.Accepted}
					if m.Kind == engine.MsgWeekly {
						if tried++; tried == 1 {
							out = tc.first
						}
					}
					return out, 0
				}
				w.start()
				w.wait(5 * time.Minute)
				w.sleep(due)
				w.wait(2 * time.Hour)
				if tried != tc.tries {
					t.Errorf("it was tried %d times, want %d", tried, tc.tries)
				}
			})
		})
	}
}

// A process that dies while the mail leaves does not send it again in its next life.
func TestWeeklyMailInACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.clinics[0].Weekly = "direction@clinique.example"
		w.start()
		w.wait(5 * time.Minute)
		w.onLeave = func(m sent) {
			if m.Kind == engine.MsgWeekly {
				w.process.store.dead.Store(true) // what it was about to write is lost
			}
		}
		w.sleep(due)
		w.wait(10 * time.Minute)
		w.restart()
		w.wait(time.Hour)
		if n := len(w.weeklies()); n != 1 {
			t.Errorf("%d mails left, want 1", n)
		}
	})
}
