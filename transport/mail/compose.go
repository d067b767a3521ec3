package mail

import (
	"bytes"
	"fmt"

	gomail "github.com/wneessen/go-mail"

	"relais/engine"
)

// compose writes the message: plain text first, HTML as the better alternative, the calendar file
// attached.
func (c *Client) compose(m engine.Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithCharset(gomail.CharsetUTF8))
	msg.FromMailAddress(c.from)
	if c.replyTo != nil {
		msg.ReplyToMailAddress(c.replyTo)
	}
	if err := msg.To(string(m.Email)); err != nil {
		return nil, err
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(string(m.Attempt) + "@" + c.domain)
	msg.SetGenHeader(gomail.HeaderContentLang, string(m.Lang))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office answers, please
	if m.Leave != "" {
		msg.SetListUnsubscribe(m.Leave)
		msg.SetListUnsubscribePost()
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	if len(m.Invite) > 0 {
		name := "rendez-vous.ics"
		if m.Lang == engine.English {
			name = "appointment.ics"
		}
		err := msg.AttachReader(name, bytes.NewReader(m.Invite),
			gomail.WithFileContentType("text/calendar; charset=utf-8; method=PUBLISH"))
		if err != nil {
			return nil, fmt.Errorf("mail: attach: %w", err)
		}
	}
	return msg, nil
}
