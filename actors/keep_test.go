package actors

import (
	"context"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/storage"
)

// What patients wrote goes first, then what lines say about them, then who waits for nothing; who waits stays.
func TestPeriodsAreKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const day = 24 * time.Hour
		w := newWorld(t, 1, nil)
		w.retention = 2 * day
		w.poll = 30 * time.Second
		w.keep = Keep{Replies: 36 * time.Hour, Timelines: 60 * time.Hour, Patients: 84 * time.Hour}
		w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
		w.start()
		w.enrol("a", 3, nil)
		w.wait(time.Minute)
		w.dmes["a"].cancel("S1")
		w.wait(2 * time.Minute)
		winner := engine.PatientID("")
		w.says("a", 2, "mon psoriasis peut-il attendre")
		w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
		w.wait(time.Minute)
		for _, o := range w.slot("S1").Offers {
			if o.ID == w.slot("S1").Winner {
				winner = o.Patient
			}
		}
		holds := func(words string) bool {
			lines, err := w.Relais.store.Timeline(context.Background(), "a", "", 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range lines {
				if strings.Contains(string(e.Data), words) {
					return true
				}
			}
			return false
		}
		if !holds("psoriasis") || winner == "" || w.stored(storage.KindUnread) != 1 {
			t.Fatalf("nothing to forget: winner %q, %d unread", winner, w.stored(storage.KindUnread))
		}
		lines := len(w.disk.events["a"])
		w.wait(day)
		if !holds("psoriasis") || w.stored(storage.KindUnread) != 1 {
			t.Error("a day later what was written is gone already")
		}
		w.wait(day)
		if holds("psoriasis") || w.stored(storage.KindUnread) != 0 {
			t.Error("two days later what was written is still there")
		}
		if !holds(`"detail":{`) {
			t.Error("two days later the lines say nothing any more")
		}
		w.wait(day)
		if holds(`"until"`) || holds(`"specialty"`) {
			t.Error("three days later the lines still say what somebody waited for")
		}
		if p, _, ok := w.waitlist.patient(winner); !ok || !p.Erased.IsZero() {
			t.Errorf("three days later the winner is %+v", p.Erased)
		}
		w.wait(2 * day)
		if p, _, _ := w.waitlist.patient(winner); p.Erased.IsZero() || len(p.Contacts) != 0 {
			t.Error("after their period the winner, who waits for nothing, is still known")
		}
		waiting := 0
		for _, e := range w.waitlist.list("a", func(e engine.Entry, _ engine.Patient) bool { return mayClaim(e) }) {
			if p, _, _ := w.waitlist.patient(e.Patient); p.Erased.IsZero() && len(p.Contacts) > 0 {
				waiting++
			}
		}
		if waiting != 2 {
			t.Errorf("%d people who wait are known, want 2", waiting)
		}
		if now := len(w.disk.events["a"]); now < lines {
			t.Errorf("%d lines of %d are left", now, lines)
		}
	})
}
