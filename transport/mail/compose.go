package mail

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"relais/engine"
)

// compose writes the message: plain text first, HTML as the better alternative, the calendar file
// attached.
func (c *Client) compose(m engine.Message) (*gomail.Msg, error) {
	msg, err := c.envelope(m)
	if err != nil {
		return nil, err
	}
	msg.SetMessageIDWithValue(string(m.Attempt) + "@" + c.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office answers, please
	if m.Leave != "" {
		ways := []string{"<" + m.Leave + ">"}
		if to := c.replyAddress(m.Attempt); to != "" {
			ways = append(ways, "<mailto:"+strings.Replace(to, "+", "%2B", 1)+"?subject=STOP>")
		}
		msg.SetGenHeader(gomail.HeaderListUnsubscribe, strings.Join(ways, ", "))
		msg.SetListUnsubscribePost()
	}
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	if len(m.Invite) > 0 {
		name := "rendez-vous.ics"
		if m.Lang == engine.English {
			name = "appointment.ics"
		}
		err := msg.AttachReader(name, bytes.NewReader(m.Invite),
			gomail.WithFileContentType(gomail.ContentType("text/calendar; charset=utf-8; method=PUBLISH")))
		if err != nil {
			return nil, fmt.Errorf("mail: attach: %w", err)
		}
	}
	return msg, nil
}

// composeAnswer writes the answer to a letter, which can be answered in turn.
func (c *Client) composeAnswer(m engine.Message, to *letter) (*gomail.Msg, error) {
	m.Subject = cmp.Or(clip(to.subject), "Relais")
	if re, _, answer := strings.Cut(m.Subject, ":"); !answer || len(re) > 3 {
		m.Subject = "Re: " + m.Subject
	}
	msg, err := c.envelope(m)
	if err != nil {
		return nil, err
	}
	msg.SetMessageIDWithValue("re-" + to.id + "-" + string(m.Attempt) + "@" + c.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-replied")
	if refForm.MatchString(to.ref) {
		msg.SetGenHeader(gomail.HeaderInReplyTo, to.ref)
		msg.SetGenHeader(gomail.HeaderReferences, to.ref)
	}
	if c.cfg.Addresses != nil { // a report on an answer says nothing of the offer's message
		if err := msg.EnvelopeFrom(c.replyAddress(m.Attempt)); err != nil {
			return nil, err
		}
	}
	return msg, nil
}

// envelope begins a message: who writes to whom, where answers and bounces go, and the plain text.
func (c *Client) envelope(m engine.Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithCharset(gomail.CharsetUTF8))
	msg.FromMailAddress(c.from)
	if c.cfg.DKIM != nil {
		msg.SetDKIM(c.cfg.DKIM.signer())
	}
	if c.replyTo != nil {
		msg.ReplyToMailAddress(c.replyTo)
	}
	if to := c.replyAddress(m.Attempt); to != "" {
		if err := msg.ReplyTo(to); err != nil {
			return nil, err
		}
		if err := msg.EnvelopeFrom(c.cfg.Addresses.Bounce(m.Attempt)); err != nil {
			return nil, err
		}
	}
	if err := msg.To(string(m.Email)); err != nil {
		return nil, err
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetGenHeader(gomail.HeaderContentLang, string(m.Lang))
	msg.SetGenHeader("X-Auto-Response-Suppress", "OOF, AutoReply")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	return msg, nil
}

// replyAddress is where an answer to an attempt's message goes; "" when mail does not come in.
func (c *Client) replyAddress(id engine.AttemptID) string {
	if c.cfg.Addresses == nil {
		return ""
	}
	return c.cfg.Addresses.Reply(id)
}
