package mail

import (
	"strings"
	"testing"

	"relais/engine"
	"relais/engine/reach"
)

func TestAbove(t *testing.T) {
	for _, x := range []struct{ name, text, want string }{
		{"bare", "OUI", "OUI"},
		{"Gmail, French", "Oui merci\r\n\r\nLe mar. 24 nov. 2026 à 09:20, Clinique du Parc <rdv@clinique.example> a écrit :\r\n\r\n> Une place s’est libérée\r\n> NON\r\n", "Oui merci"},
		{"Gmail, broken line", "Oui\n\nLe mar. 24 nov. 2026 à 09:20, Clinique du Parc <rdv@clinique.example>\na écrit :\n\n> texte", "Oui"},
		{"Gmail, English", "Yes\n\nOn Tue, Nov 24, 2026 at 9:20 AM Clinic <rdv@clinic.example>\nwrote:\n> text", "Yes"},
		{"Outlook, French", "Non\n\n________________________________\nDe : Clinique du Parc\nEnvoyé : mardi 24 novembre 2026 09:20\nÀ : Éloïse\n\nUne place", "Non"},
		{"Outlook, no line", "Non\n\nDe : Clinique du Parc\nEnvoyé : mardi 24 novembre 2026 09:20\nÀ : Éloïse\n\nUne place", "Non"},
		{"Outlook, English", "No\n\n-----Original Message-----\nFrom: Clinic\nSent: Tuesday\n", "No"},
		{"bold header", "Yes\n\n*From:* Clinic <rdv@clinic.example>\n*Sent:* Tuesday\n", "Yes"},
		{"iPhone", "Oui\n\nEnvoyé de mon iPhone\n\n> Le 24 nov. 2026 à 09:20, Clinique <a@b.example> a écrit :\n", "Oui"},
		{"Android", "1\n\nSent from my Galaxy", "1"},
		{"signature", "Oui\n-- \nÉloïse Tremblay\n514 555-0142", "Oui"},
		{"name", "Oui\n\nÉloïse Tremblay", "Oui"},
		{"first name", "Oui,\nÉloïse", "Oui,"},
		{"more words stay", "Oui\n\nmais pas mardi", "Oui\n\nmais pas mardi"},
		{"a sentence that begins with le", "Le matin, oui", "Le matin, oui"},
		{"nothing above", "> Une place\n\nOui", ""},
		{"empty", "", ""},
	} {
		if got := above(x.text, "Éloïse Tremblay"); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}

func TestPlainOf(t *testing.T) {
	for _, x := range []struct{ name, page, want string }{
		{"Gmail", `<div dir="ltr">Oui&nbsp;merci</div><br><div class="gmail_quote"><div class="gmail_attr">Le 24 a écrit :</div>NON</div>`, "Oui merci"},
		{"Outlook", `<html><head><style>p{color:red}</style></head><body><p>Yes</p><div id="divRplyFwdMsg">From: x</div></body></html>`, "Yes"},
		{"Apple", `<body>Oui<br><br>Envoyé de mon iPhone<blockquote type="cite">NON</blockquote></body>`, "Oui"},
		{"script", `<script>document.write("NON")</script>Oui`, "Oui"},
		{"line", "Oui\n<hr>NON", "Oui"},
	} {
		if got := above(plainOf(x.page), ""); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}

// TestWhatPeopleMean reads whole mails: what is not plainly a yes must never become one.
func TestWhatPeopleMean(t *testing.T) {
	const from = "From: =?utf-8?q?=C3=89lo=C3=AFse?= Tremblay <e@example.org>\r\nMessage-ID: <1@example.org>\r\n"
	for _, x := range []struct {
		name, mail string
		want       engine.Intent
	}{
		{"plain", "Subject: Re: Une place\r\n\r\nOUI\r\n", engine.Yes},
		{"quoted-printable", "Subject: Re: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nARR=C3=8AT\r\n", engine.Stop},
		{"latin-1", "Subject: Re: x\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nARR\xcaT\r\n", engine.Stop},
		{"HTML only", "Subject: Re: x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+T3VpPC9wPjxibG9ja3F1b3RlPk5vbjwvYmxvY2txdW90ZT4=\r\n", engine.Yes},
		{"both parts", "Subject: Re: x\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nNon\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Non\r\n--b--\r\n", engine.No},
		{"by subject", "Subject: STOP\r\n\r\n\r\n", engine.Stop},
		{"the subject of an answer says nothing", "Subject: Re: Oui\r\n\r\n\r\n", engine.Unclear},
		{"condition", "Subject: Re: x\r\n\r\nOui mais pas mardi\r\n", engine.Unclear},
		{"condition below", "Subject: Re: x\r\n\r\nOui\r\n\r\nmais pas mardi\r\n", engine.Unclear},
		{"an attached text is not an answer", "Subject: Re: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nOui\r\n--b--\r\n", engine.Unclear},
	} {
		l, err := read([]byte(from + x.mail))
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		if got, _, _ := reach.Read(l.said()); got != x.want || l.auto {
			t.Errorf("%s: %q is %q, want %q (automatic: %v)", x.name, l.said(), got, x.want, l.auto)
		}
	}
}

func TestAutomatic(t *testing.T) {
	for _, head := range []string{
		"Auto-Submitted: auto-replied (vacation)", "X-Auto-Response-Suppress: All", "Precedence: bulk", "Precedence: Auto_Reply",
		"X-Autoreply: yes", "List-Id: <x.example.org>", "Return-Path: <>", "Content-Type: multipart/report; boundary=b; report-type=disposition-notification",
	} {
		l, err := read([]byte(head + "\r\n\r\n--b\r\n\r\nOUI\r\n--b--\r\n"))
		if err != nil || !l.auto {
			t.Errorf("%s: a person's (%v)", head, err)
		}
	}
	if l, err := read([]byte("Auto-Submitted: no\r\n\r\nOUI\r\n")); err != nil || l.auto {
		t.Errorf("Auto-Submitted: no is not a person's (%v)", err)
	}
}

func TestVerdict(t *testing.T) {
	group := func(lines ...string) []byte {
		return []byte("Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; a@example.org\r\n" + strings.Join(lines, "\r\n") + "\r\n")
	}
	for _, x := range []struct {
		name   string
		status []byte
		want   engine.ReceiptStatus
		why    engine.Reason
	}{
		{"no such mailbox", group("Action: failed", "Status: 5.1.1"), engine.ReceiptFailed, engine.BadContact},
		{"no such domain", group("Action: failed", "Status: 5.4.4"), engine.ReceiptFailed, engine.BadContact},
		{"closed account", group("Action: FAILED", "Status: 5.2.1 (closed)"), engine.ReceiptFailed, engine.BadContact},
		{"full", group("Action: failed", "Status: 5.2.2"), engine.ReceiptFailed, engine.Unreached},
		{"gave up", group("Action: failed", "Status: 4.4.7"), engine.ReceiptFailed, engine.Unreached},
		{"spam", group("Action: failed", "Status: 5.7.1"), engine.ReceiptFailed, engine.Filtered},
		{"our signature", group("Action: failed", "Status: 5.7.26"), engine.ReceiptFailed, engine.AccountFault},
		{"only the diagnosis tells", group("Action: failed", "Status: 5.0.0", "Diagnostic-Code: smtp; 550 5.1.1 who?"), engine.ReceiptFailed, engine.BadContact},
		{"nothing tells", group("Action: failed", "Status: 5.0.0", "Diagnostic-Code: x-unix; 67"), engine.ReceiptFailed, engine.Unreached},
		{"delivered", group("Action: delivered", "Status: 2.0.0"), engine.ReceiptDelivered, ""},
		{"relayed", group("Action: relayed", "Status: 2.0.0"), engine.ReceiptSent, ""},
		{"delayed", group("Action: delayed", "Status: 4.4.1"), "", ""},
		{"empty", nil, "", ""},
		{"folded", group("Action:", " failed", "Status:", "\t5.1.1"), engine.ReceiptFailed, engine.BadContact},
	} {
		got, why, ok := verdict(x.status)
		if got != x.want || why != x.why || ok != (x.want != "") {
			t.Errorf("%s: %q %q %v", x.name, got, why, ok)
		}
	}
}

func TestAddresses(t *testing.T) {
	a, err := NewAddresses("Retour.Example.org", "0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewAddresses("retour.example.org", "0123456789abcdeX")
	if err != nil {
		t.Fatal(err)
	}
	const id engine.AttemptID = "20260302T0920Z-abcdef012345.12.345.6"
	bounce, reply := a.Bounce(id), a.Reply(id)
	for _, address := range []string{bounce, strings.ToUpper(bounce), "<" + bounce + ">"} {
		if kind, got, ok := a.open(address); !ok || kind != toBounce || got != id {
			t.Errorf("%s: %q %q %v", address, kind, got, ok)
		}
	}
	for _, forged := range []string{
		"", "@", bounce[:len(bounce)-1], strings.Replace(bounce, ".6.", ".7.", 1), strings.Replace(reply, "reply", "bounce", 1),
		strings.Replace(bounce, "retour", "autre", 1), other.Bounce(id), "bounce@retour.example.org", "bounce+@retour.example.org",
		"bounce+..@retour.example.org", "postmaster@retour.example.org", "bounce+" + string(id) + "@retour.example.org",
		strings.Replace(bounce, ".12.", ".012.", 1), bounce + "@retour.example.org",
	} {
		if kind, got, ok := a.open(forged); ok {
			t.Errorf("%q was taken as %q %q", forged, kind, got)
		}
	}
	if kind, _, ok := a.open(a.Complaints()); !ok || kind != toComplaint {
		t.Error("the address of complaints is not known")
	}
	for _, none := range []engine.AttemptID{"", "alarm-x", id + ".7", "20260302T0920Z-abcdef012345.999999999.999999999.999999999"} {
		if got := a.Bounce(none); got != "" {
			t.Errorf("%s: %q", none, got)
		}
	}
	if len(bounce)-len("@retour.example.org") > mostLocal {
		t.Error("the local part is too long")
	}
	if _, err := NewAddresses("retour.example.org", "short"); err == nil {
		t.Error("a short secret was taken")
	}
	if _, err := NewAddresses("retour .example.org", "0123456789abcdef"); err == nil {
		t.Error("a bad domain was taken")
	}
}

func FuzzLetter(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\nOUI\r\n\r\nLe 24 a écrit :\r\n> x"))
	f.Add([]byte("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nA: b\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a\r\n\r\nb\r\n--b--"))
	f.Add([]byte("Content-Type: text/html\r\n\r\n<p>Oui<blockquote>"))
	f.Add([]byte("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nOriginal-Mail-From: x\r\n--b--"))
	a, err := NewAddresses("retour.example.org", "0123456789abcdef")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := read(raw)
		if err != nil {
			return
		}
		if said := []rune(l.said()); len(said) > maxSaid {
			t.Errorf("%d characters", len(said))
		}
		if s, why, ok := verdict(l.status); ok != (s != "") || (s == engine.ReceiptFailed) != (why != "") {
			t.Errorf("verdict %q %q %v", s, why, ok)
		}
		if id, ok := a.complained(l); ok {
			t.Errorf("a complaint about %q that nobody signed", id)
		}
	})
}

func FuzzAddress(f *testing.F) {
	a, err := NewAddresses("retour.example.org", "0123456789abcdef")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.Bounce("20260302T0920Z-abcdef012345.1.2.3"))
	f.Fuzz(func(t *testing.T, address string) {
		kind, id, ok := a.open(address)
		if ok && kind == toBounce && !strings.EqualFold(strings.Trim(address, "<> "), a.Bounce(id)) {
			t.Errorf("%q is taken for %q", address, a.Bounce(id))
		}
	})
}
