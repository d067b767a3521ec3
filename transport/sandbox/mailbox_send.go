package sandbox

import (
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"relais/engine"
)

const (
	maxOutgoing   = 32 // mails on their way to Relais
	maxTyped      = 4000
	outgoingTries = 3
)

// SetRoute says where mail for Relais goes: the host and port of its server for bounces and replies.
// "" is nowhere: reports are dropped and replies refused.
func (m *MailServer) SetRoute(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.route = addr
}

// Reply writes a person's answer to a mail, below it the quoted mail as mail programs do, and sends it
// by SMTP. Errors are *engine.Error.
func (m *MailServer) Reply(mailID, text string) error {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxTyped {
		return engine.Errorf(engine.Invalid, "Write something, at most %d characters.", maxTyped)
	}
	t, to, ok := m.wall.mail(mailID)
	if !ok || to.ReplyTo == "" {
		return engine.Errorf(engine.NotFound, "There is no such mail that can be answered.")
	}
	it := Item{ID: newSID("EM"), Kind: "email", Mine: true, Subject: "Re: " + to.Subject, Text: text, Status: "delivered"}
	head := fmt.Sprintf("From: %s\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@sandbox.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
		(&mail.Address{Name: t.Name, Address: t.Email}).String(), to.ReplyTo, mime.QEncoding.Encode("utf-8", it.Subject), time.Now().Format(time.RFC1123Z), it.ID)
	attribution := "Le " + to.At.Format("2006-01-02 15:04") + ", la clinique a écrit :"
	if t.Lang == string(engine.English) {
		attribution = "On " + to.At.Format("2006-01-02 15:04") + ", the clinic wrote:"
	}
	var body strings.Builder
	w := quotedprintable.NewWriter(&body)
	_, _ = w.Write([]byte(text + "\r\n\r\n" + attribution + "\r\n> " + strings.ReplaceAll(to.Text, "\n", "\r\n> ") + "\r\n"))
	_ = w.Close()
	if err := m.transmit(t.Email, to.ReplyTo, head+body.String()); err != nil {
		it.Status = "failed"
		m.wall.add(t.Email, it)
		return engine.Errorf(engine.Unavailable, "Relais did not take the mail.")
	}
	m.wall.add(t.Email, it)
	return nil
}

// mail finds a mail and its thread.
func (w *Wall) mail(id string) (Thread, Item, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.threads[w.where[id]]
	if t == nil {
		return Thread{}, Item{}, false
	}
	i := slices.IndexFunc(t.Items, func(it Item) bool { return it.ID == id })
	if i < 0 {
		return Thread{}, Item{}, false
	}
	return *t, t.Items[i], true
}

// report tells the return path what became of a mail (RFC 3464), in the background.
func (m *MailServer) report(returnPath, to, action, status string) {
	if returnPath == "" {
		return // nobody to tell, and never a report on a report
	}
	select {
	case m.outgoing <- struct{}{}:
	default:
		return
	}
	text := fmt.Sprintf("From: Mail Delivery System <MAILER-DAEMON@sandbox.example>\r\nTo: <%s>\r\nSubject: Delivery status\r\nDate: %s\r\nMessage-ID: <%s@sandbox.example>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"=_report\"\r\n\r\n"+
		"--=_report\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nThis is what became of your message: %s.\r\n\r\n"+
		"--=_report\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; sandbox.example\r\n\r\nFinal-Recipient: rfc822; %s\r\nAction: %s\r\nStatus: %s\r\n\r\n--=_report--\r\n",
		returnPath, time.Now().Format(time.RFC1123Z), newSID("EM"), action, to, action, status)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.work.Go(func() {
		defer func() { <-m.outgoing }()
		for try := range outgoingTries {
			err := m.transmit("", returnPath, text)
			if e, ok := errors.AsType[*smtp.SMTPError](err); err == nil || ok && !e.Temporary() {
				return
			}
			pause := time.NewTimer(time.Duration(try+1) * time.Second)
			select {
			case <-pause.C:
			case <-m.quit:
				pause.Stop()
				return
			}
		}
		m.log.Warn("a report on a mail could not be delivered")
	})
}

// transmit hands a mail to Relais by SMTP.
func (m *MailServer) transmit(from, to, text string) error {
	m.mu.Lock()
	route := m.route
	m.mu.Unlock()
	if route == "" {
		return errors.New("sandbox: there is no way to Relais")
	}
	c, err := smtp.Dial(route)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	c.CommandTimeout, c.SubmissionTimeout = mailTimeout, mailTimeout
	if err := c.SendMail(from, []string{to}, strings.NewReader(text)); err != nil {
		return err
	}
	return c.Quit()
}
