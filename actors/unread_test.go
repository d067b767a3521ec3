package actors

import (
	"context"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

// unreadOf is the only conversation that waits at clinic a.
func (w *world) unreadOf(n int) desk.Unread {
	w.t.Helper()
	list, err := w.Unread(context.Background(), "a")
	if err != nil || len(list) != n {
		w.t.Fatalf("%d wait, want %d: %v", len(list), n, err)
	}
	if n == 0 {
		return desk.Unread{}
	}
	return list[0]
}

func (w *world) settle(u desk.Unread, key, text string, want engine.Code) {
	w.t.Helper()
	err := w.AnswerUnread(context.Background(), "a", "clerk", key, u.ID, desk.UnreadAnswer{Revision: u.Revision, Text: text})
	if (err == nil) != (want == "") || (err != nil && engine.CodeOf(err) != want) {
		w.t.Errorf("answered: %v, want %q", err, want)
	}
}

func TestUnreadWaitsForTheFrontDesk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		w.wait(time.Minute)
		w.want("a1 offer")
		if a := w.says("a", 1, "est-ce avec Dre Roy?"); a.Kind != engine.AnsUnclear || a.Text == "" {
			t.Errorf("the first gets a sentence: %+v", a)
		}
		old := w.unreadOf(1)
		if a := w.says("a", 1, "et où?"); a.Kind != engine.AnsUnclear || a.Text != "" {
			t.Errorf("the second gets none: %+v", a)
		}
		w.restart()
		w.wait(time.Minute)
		u := w.unreadOf(1)
		if len(u.Texts) != 2 || u.Texts[1].Text != "et où?" || !u.Open || !strings.HasPrefix(u.Patient, "Prénoma1") {
			t.Errorf("the front desk sees %+v", u)
		}
		w.settle(old, "k1", "Oui.", engine.Conflict) // there is more to read
		w.settle(u, "k2", strings.Repeat("x", 301), engine.Invalid)
		w.settle(u, "k3", "Oui, rue du Test.", "")
		w.settle(u, "k3", "Oui, rue du Test.", "") // pressed twice
		w.settle(u, "k4", "Non.", engine.NotFound) // somebody else, later
		w.wait(time.Minute)
		w.mu.Lock()
		last := w.messages[len(w.messages)-1]
		w.mu.Unlock()
		if last.Text != "Clinique a: Oui, rue du Test." || last.Before.IsZero() {
			t.Errorf("what left: %+v", last.Text)
		}
		w.want("a1 note")
		w.restart()
		w.wait(time.Minute)
		w.want()
		w.unreadOf(0)
		w.lines("S1", "opened", "wave", "offered", "unclear", "unclear", "unclear_answered")
		w.private()
	})
}

func TestUnreadOfWhoOptedOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 1, nil)
		w.wait(time.Minute)
		w.says("a", 1, "qui êtes-vous donc")
		w.says("a", 1, "ARRET")
		w.texts()
		u := w.unreadOf(1)
		if u.Open {
			t.Error("who opted out can be written to")
		}
		w.settle(u, "", "Bonjour", engine.Conflict)
		w.settle(u, "", "", "")
		w.unreadOf(0)
		w.wait(time.Minute)
		w.want()
	})
}

func TestUnreadQueueIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.start()
		w.enrol("a", mostUnread+1, nil)
		for i := 1; i <= mostUnread+1; i++ {
			w.says("a", i, "bonjour la clinique")
			w.wait(time.Second)
		}
		for range 2 * mostUnreadTexts {
			w.says("a", 2, "encore moi")
		}
		u := w.unreadOf(mostUnread)
		if len(u.Texts) != mostUnreadTexts || u.Earlier != mostUnreadTexts+1 || u.Open {
			t.Errorf("the second waits longest by now: %d texts, %d earlier", len(u.Texts), u.Earlier)
		}
	})
}
