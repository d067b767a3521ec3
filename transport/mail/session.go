package mail

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"relais/engine"
	"relais/engine/reach"
)

// session is one connection of the inbound server, between two STARTTLS.
type session struct {
	in     *Inbound
	conn   *smtp.Conn
	from   string
	kind   string
	id     engine.AttemptID
	forged int
}

func refuse(code int, enhanced smtp.EnhancedCode, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt implements smtp.Session: it takes an address that we gave out, and no other.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	kind, id, ok := s.in.cfg.Addresses.open(to)
	if !ok {
		s.in.cfg.Count(InForged)
		if s.forged++; s.forged >= maxForged {
			_ = s.conn.Conn().Close() // somebody guesses
		}
		return refuse(550, smtp.EnhancedCode{5, 1, 1}, "No such address")
	}
	if !s.in.within(id) {
		s.in.cfg.Count(InLimited)
		return refuse(451, smtp.EnhancedCode{4, 7, 1}, "Too many messages, come back later")
	}
	s.kind, s.id = kind, id
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	if !s.in.begin() {
		return refuse(421, smtp.EnhancedCode{4, 3, 2}, "Shutting down")
	}
	defer s.in.end()
	raw, err := io.ReadAll(r)
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok { // too large
		s.in.cfg.Count(InBad)
		return e
	}
	if err != nil {
		return refuse(451, smtp.EnhancedCode{4, 4, 2}, "The message did not come whole")
	}
	l, err := read(raw)
	if err != nil {
		s.in.cfg.Count(InBad)
		return refuse(554, smtp.EnhancedCode{5, 6, 0}, "The message cannot be read")
	}
	ctx, cancel := context.WithTimeout(s.in.ctx, takeWithin)
	defer cancel()
	what, err := s.take(ctx, l)
	switch engine.CodeOf(err) {
	case engine.NotFound, engine.Invalid, engine.Forbidden, engine.Unsigned, engine.Conflict:
		what, err = InUnknown, nil // coming back would not help
	case engine.Unavailable, engine.TooMany, engine.StorageFull, engine.Internal:
	}
	if err != nil {
		s.in.cfg.Count(InLater)
		return refuse(451, smtp.EnhancedCode{4, 3, 0}, "It could not be kept, come back later")
	}
	s.in.cfg.Count(what)
	if what == InBad {
		return refuse(554, smtp.EnhancedCode{5, 6, 0}, "Only feedback reports on our own messages are taken here")
	}
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.kind, s.id = "", "", "" }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// take hands on what a mail says. Reports count at the address of bounces only, people's words at the
// one of replies only.
func (s *session) take(ctx context.Context, l *letter) (string, error) {
	if id, ok := s.in.cfg.Addresses.complained(l); ok && (s.id == "" || s.id == id) {
		_, err := s.in.cfg.Receiver.Reply(ctx, engine.Reply{
			ID: "mail:" + string(id) + ":" + l.id, Attempt: id, Channel: engine.EmailMail, Intent: engine.Stop, At: time.Now().UTC(),
		})
		return InComplaint, err
	}
	switch {
	case s.kind == toComplaint:
		return InBad, nil
	case s.kind == toBounce && l.status != nil:
		status, reason, final := verdict(l.status)
		if !final {
			return InDelayed, nil
		}
		what := InDelivered
		if status == engine.ReceiptFailed {
			what = InBounced
		}
		return what, s.in.cfg.Receiver.Receipt(ctx, engine.Receipt{Attempt: s.id, Status: status, Reason: reason, At: time.Now().UTC()})
	case s.kind == toBounce, l.auto, s.from == "":
		return InAuto, nil
	}
	return InReply, s.reply(ctx, l)
}

// reply takes a person's answer and sends them what it came to.
func (s *session) reply(ctx context.Context, l *letter) error {
	r := engine.Reply{
		ID: "mail:" + string(s.id) + ":" + l.id, Attempt: s.id, Channel: engine.EmailMail, Text: l.said(), At: time.Now().UTC(),
	}
	r.Intent, r.Number, r.Lang = reach.Read(r.Text)
	if r.Intent == engine.Unclear {
		// Whoever begins with STOP wants to hear no more, whatever follows.
		first, _, _ := strings.Cut(r.Text, "\n")
		if intent, _, lang := reach.Read(first); intent == engine.Stop {
			r.Intent, r.Lang = intent, lang
		}
	}
	answer, err := s.in.cfg.Receiver.Reply(ctx, r)
	if err != nil || answer.Text == "" {
		return err
	}
	s.in.answer(engine.Message{ //nolint:contextcheck // it outlives the mail that it answers
		Attempt: s.id, Channel: engine.EmailMail, Lang: answer.Lang, Email: engine.Email(s.from), Text: answer.Text + "\n",
	}, l)
	return nil
}

// answer sends in the background: what was said is kept already, and the other server should not wait.
func (in *Inbound) answer(m engine.Message, l *letter) {
	select {
	case in.answers <- struct{}{}:
	default:
		in.cfg.Count(InMute)
		return
	}
	in.work.Go(func() { // Data, which calls this, is counted already
		defer func() { <-in.answers }()
		ctx, cancel := context.WithTimeout(in.ctx, answerWithin)
		defer cancel()
		for range answerTries {
			out := in.cfg.Client.answer(ctx, m, l)
			if out.Status == engine.Accepted {
				return
			}
			in.cfg.Log.Debug("an answer by mail did not leave", "status", out.Status, "reason", out.Reason)
			if !out.Retry {
				break
			}
			pause := time.NewTimer(max(out.Wait, time.Second))
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
			}
		}
		in.cfg.Count(InMute)
	})
}
