package app

import (
	"net/http"
	"strings"
	"testing"

	"relais/engine"
	"relais/engine/desk"
	"relais/transport/sandbox"
)

// mails are those that Relais sent to a thread.
func (p *process) mails(thread string) []sandbox.Item {
	var list []sandbox.Item
	for _, i := range p.thread(thread).Items {
		if i.Kind == "email" && !i.Mine {
			list = append(list, i)
		}
	}
	return list
}

// gotMail waits for a mail to a thread that says something.
func (p *process) gotMail(thread, what string) {
	p.t.Helper()
	eventually(p.t, "a mail says "+what, func() bool {
		for _, m := range p.mails(thread) {
			if strings.Contains(m.Subject+m.Text, what) {
				return true
			}
		}
		return false
	})
}

// TestMailIsAnswered answers offers in the mail program: a yes books and brings the calendar file, a
// no is noted, STOP is confirmed and ends the mails, one click does the same.
func TestMailIsAnswered(t *testing.T) {
	t.Parallel()
	p := demo(t, dataDir(t), nil, "--wave-every", "1h")
	p.healthy("famille")
	bounces := 0
	offer := func() (desk.Card, string, sandbox.Item) {
		t.Helper()
		for range 6 {
			_, card, who := p.open("famille", engine.EmailMail, 1)
			for _, w := range who {
				list := p.mails(w.ID)
				if m := list[len(list)-1]; m.Status == "delivered" {
					return card, w.ID, m
				}
				bounces++ // an address that the server takes, and then does not
			}
		}
		t.Fatal("nobody has a mailbox")
		return desk.Card{}, "", sandbox.Item{}
	}
	answer := func(m sandbox.Item, text string) {
		t.Helper()
		p.must(http.StatusNoContent, "POST", "/sandbox/api/mail/"+m.ID, map[string]string{"text": text}, nil)
	}

	card, who, m := offer()
	answer(m, "Oui, peut-être mardi?")
	p.gotMail(who, "Re: "+m.Subject)
	if c := p.card("famille", string(card.ID)); c.State != desk.Offered {
		t.Fatalf("what is no answer made the card %s", c.State)
	}
	answer(m, "Oui merci")
	eventually(t, "the slot is confirmed", func() bool { return p.card("famille", string(card.ID)).State == desk.Confirmed })
	eventually(t, "the calendar file comes", func() bool {
		for _, m := range p.mails(who) {
			if len(m.Files) == 1 && m.Files[0].Kind == "text/calendar" && strings.Contains(m.Files[0].Text, "\nBEGIN:VEVENT") {
				return true
			}
		}
		return false
	})

	card, _, m = offer()
	answer(m, "Non merci")
	eventually(t, "the card counts who declined", func() bool { return p.card("famille", string(card.ID)).Declined == 1 })

	_, who, m = offer()
	before := len(p.mails(who))
	answer(m, "ARRÊT")
	eventually(t, "the stop is confirmed", func() bool { return len(p.mails(who)) > before })

	_, who, m = offer()
	if m.Leave == "" {
		t.Fatal("the mail has no one-click unsubscription")
	}
	if status, _, page := p.do("POST", m.Leave, "List-Unsubscribe=One-Click"); status != http.StatusOK {
		t.Errorf("one click: %d %.300s", status, page)
	}
	if n := p.metric("relais_mail_in_total", `what="reply"`); n != 4 {
		t.Errorf("the metrics count %v replies, not 4", n)
	}
	eventually(t, "the bounces are counted", func() bool { return p.metric("relais_mail_in_total", `what="bounced"`) >= float64(bounces) })
	if p.metric("relais_mail_in_total", `what="delivered"`) == 0 {
		t.Error("no mail was proven delivered")
	}
}
