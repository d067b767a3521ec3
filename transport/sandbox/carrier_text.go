package sandbox

import (
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"

	"relais/engine"
)

// message is a text that Relais sent.
type message struct {
	sid, from, to, body, callback string
	status                        string
	code                          int
	made                          time.Time
	fate                          fate
}

// deliver carries one accepted text to its phone and reports on the way.
func (c *CarrierServer) deliver(m *message) {
	defer func() {
		c.mu.Lock()
		c.pending--
		c.mu.Unlock()
	}()
	fail, delay := c.mood()
	c.move(m, "sent", 0)
	if !m.fate.reordered {
		c.report(m.callback, m.fate, m.form(c, "sent", 0))
	}
	if !pause(c.ctx, delay) {
		return
	}
	status, code := "delivered", 0
	switch line := c.line(m.to); {
	case line == LineLandline:
		status, code = "undelivered", 30006
	case line == LineFiltered:
		status, code = "undelivered", 30007
	case fail, m.fate.undelivered, line == LineOff:
		status, code = "undelivered", 30003
	}
	c.move(m, status, code)
	if status == "delivered" {
		c.arrived(Arrival{Phone: m.to, SID: m.sid, Text: m.body})
	}
	if !m.fate.lost {
		c.report(m.callback, m.fate, m.form(c, status, code))
	}
	if m.fate.reordered {
		c.report(m.callback, m.fate, m.form(c, "sent", 0))
	}
}

// arrived tells whoever plays the people.
func (c *CarrierServer) arrived(a Arrival) {
	if c.cfg.Arrived != nil {
		c.spawn(func() { c.cfg.Arrived(a) })
	}
}

// move brings a text to its next status.
func (c *CarrierServer) move(m *message, status string, code int) {
	c.mu.Lock()
	m.status, m.code = status, code
	c.mu.Unlock()
	shown := status
	if status == "undelivered" {
		shown = "failed"
	}
	c.wall.status(m.sid, shown)
}

// form is a status callback of a text.
func (m *message) form(c *CarrierServer, status string, code int) url.Values {
	f := c.form(m.from, m.to)
	f.Set("MessageSid", m.sid)
	f.Set("SmsSid", m.sid)
	f.Set("MessageStatus", status)
	f.Set("SmsStatus", status)
	if code != 0 {
		f.Set("ErrorCode", fmt.Sprint(code))
	}
	return f
}

// report posts a callback as often as fate wants it.
func (c *CarrierServer) report(address string, f fate, form url.Values) {
	if address == "" {
		return
	}
	times := 1
	if f.doubled {
		times = 2
	}
	for range times {
		if _, _, err := c.post(c.ctx, address, form); err != nil && c.ctx.Err() == nil {
			c.log.Warn("sandbox carrier: callback failed", "status", form.Get("MessageStatus")+form.Get("CallStatus"))
		}
	}
}

// Text sends a text that the person of a thread wrote. It returns once the text is on the wall;
// what comes of it shows there.
func (c *CarrierServer) Text(thread, text string) error {
	phone, ok := c.wall.person(thread)
	if !ok {
		return engine.Errorf(engine.NotFound, "There is no such thread.")
	}
	return c.TextFrom(phone, text)
}

// TextFrom sends a text from a number; see Text.
func (c *CarrierServer) TextFrom(phone, text string) error {
	switch {
	case phone == "":
		return engine.Errorf(engine.Invalid, "This person has no phone.")
	case text == "":
		return engine.Errorf(engine.Invalid, "The text is empty.")
	case utf8.RuneCountInString(text) > maxSmsRunes:
		return engine.Errorf(engine.Invalid, "A text has at most %d characters.", maxSmsRunes)
	}
	c.mu.Lock()
	address := c.smsURL
	full := c.pending >= maxPending
	if !full {
		c.pending++
	}
	c.mu.Unlock()
	if full {
		return engine.Errorf(engine.TooMany, "Too many texts are on their way.")
	}
	sid := newSID("SM")
	c.wall.add(phone, Item{ID: sid, Kind: "sms", Mine: true, Text: text, Status: "sent"})
	if !c.spawn(func() { c.receive(sid, phone, address, text) }) {
		return engine.Errorf(engine.Unavailable, "The sandbox is stopping.")
	}
	return nil
}

// receive brings a person's text to Relais and its answer back to the phone.
func (c *CarrierServer) receive(sid, phone, address, text string) {
	defer func() {
		c.mu.Lock()
		c.pending--
		c.mu.Unlock()
	}()
	f := c.form(phone, c.cfg.From)
	f.Set("MessageSid", sid)
	f.Set("SmsSid", sid)
	f.Set("SmsMessageSid", sid)
	f.Set("SmsStatus", "received")
	f.Set("Body", text)
	f.Set("NumMedia", "0")
	f.Set("NumSegments", "1")
	body, _, err := c.post(c.ctx, address, f)
	if err != nil {
		if c.ctx.Err() == nil {
			c.log.Warn("sandbox carrier: text not taken")
		}
		c.wall.status(sid, "failed")
		return
	}
	c.wall.status(sid, "delivered")
	doc, err := parseTwiML(body)
	if err != nil {
		c.log.Warn("sandbox carrier: answer to a text is not TwiML")
		return
	}
	for _, v := range doc {
		if v.name == "Message" && v.words() != "" {
			c.wall.add(phone, Item{ID: newSID("SM"), Kind: "sms", Text: v.words(), Status: "delivered"})
		}
	}
}
