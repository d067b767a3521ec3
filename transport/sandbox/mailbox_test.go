package sandbox

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

func TestReadMail(t *testing.T) {
	for _, x := range []struct {
		name, mail            string
		subject, text, inHTML string
		bad                   bool
	}{
		{"plain", "Subject: a\r\n\r\nbody\r\n", "a", "body\n", "", false},
		{"words", "Subject: =?UTF-8?Q?d=C3=A9j=C3=A0?=\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9t=C3=A9", "déjà", "été", "", false},
		{"latin", "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9", "", "é", "", false},
		{"base64", "Content-Transfer-Encoding: base64\r\n\r\nYm9uam91\r\ncg==", "", "bonjour", "", false},
		{
			"alternative and file",
			"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\nplain\r\n--a\r\nContent-Type: text/html\r\n\r\n<p>h\r\n--a--\r\n--m\r\nContent-Type: text/calendar\r\nContent-Disposition: attachment; filename=\"x.ics\"\r\n\r\nBEGIN\r\n--m--\r\n",
			"", "plain", "<p>h", false,
		},
		{"cut", "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: text/plain\r\n\r\nplain", "", "", "", true},
		{"no header", "\x00", "", "", "", true},
		{"bad base64", "Content-Transfer-Encoding: base64\r\n\r\n***", "", "", "", true},
	} {
		it, err := readMail(strings.NewReader(x.mail))
		if (err != nil) != x.bad || !x.bad && (it.Subject != x.subject || it.Text != x.text || it.HTML != x.inHTML) {
			t.Errorf("%s: %v %+v", x.name, err, it)
		}
	}
	it, err := readMail(strings.NewReader("Content-Type: text/calendar\r\nContent-Disposition: attachment; filename=\"x.ics\"\r\n\r\nBEGIN"))
	if err != nil || len(it.Files) != 1 || it.Files[0] != (File{Name: "x.ics", Kind: "text/calendar", Text: "BEGIN"}) || it.Text != "" {
		t.Errorf("file: %v %+v", err, it)
	}
	deep := ""
	for i := range 10 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	if _, err := readMail(strings.NewReader(deep)); err == nil {
		t.Error("endless nesting was taken")
	}
}

func FuzzReadMail(f *testing.F) {
	f.Add([]byte("Subject: =?UTF-8?Q?d=C3=A9j=C3=A0?=\r\n\r\nx"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\nplain\r\n--m--"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = readMail(strings.NewReader(string(b))) })
}

func TestMailboxNeedsTLSAndPassword(t *testing.T) {
	w, err := OpenWall("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := StartMailbox(MailboxConfig{Wall: w})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = m.Close()
		_ = w.Close()
	}()
	host, port := m.Addr()
	addr := fmt.Sprintf("%s:%d", host, port)
	plain, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	user, password := m.Credentials()
	if err := plain.Auth(sasl.NewPlainClient("", user, password)); err == nil {
		t.Error("the password was taken in the clear")
	}
	if err := plain.Mail("a@example.org", nil); err == nil {
		t.Error("mail without signing in")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(m.CA())
	c, err := smtp.DialStartTLS(addr, &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Auth(sasl.NewPlainClient("", user, "wrong")); err == nil {
		t.Error("wrong password")
	}
	if err := c.Auth(sasl.NewPlainClient("", user, password)); err != nil {
		t.Fatal(err)
	}
	if err := c.SendMail("a@example.org", []string{"b@example.org"}, strings.NewReader(strings.Repeat("x", maxMail+10))); err == nil {
		t.Error("too large a mail was taken")
	}
}

// TestMailboxClosesAtOnce closes mailboxes before they had time to serve.
func TestMailboxClosesAtOnce(t *testing.T) {
	wall, err := OpenWall("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = wall.Close() }()
	for range 20 {
		m, err := StartMailbox(MailboxConfig{Wall: wall})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
