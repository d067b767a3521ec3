package hl7

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// The outcomes of a message, as MSA-1 says them without its mode (HL7 table 0008): A?, and C? for the
// commit acknowledgments of enhanced mode.
const (
	accepted = "A"
	failed   = "E" // cannot be taken as it is, or now
	rejected = "R" // not for us, or not of a kind that is taken
)

// verdict is what a message is told.
type verdict struct {
	code string
	text string // a sentence; "" when it was accepted
	err  string // ERR-3, HL7 table 0357
	dup  bool
}

// Codes of HL7 table 0357 that we use.
const (
	errSegment     = "100" // segment sequence error
	errType        = "102" // data type error
	errUnsupported = "200" // unsupported message type
	errEvent       = "201" // unsupported event code
	errUnknown     = "204" // unknown key identifier
	errInternal    = "207" // application internal error
)

func no(code, errCode, format string, args ...any) verdict {
	return verdict{code: code, err: errCode, text: fmt.Sprintf(format, args...)}
}

// take takes a message of this clinic in. What it says is kept when take returns.
func (c *Connector) take(ctx context.Context, m Message, body string) verdict {
	kind := m.Field(m.First("MSH"), 9).Text(1)
	trigger := m.trigger()
	switch {
	case kind == "ACK":
		return verdict{code: accepted}
	case kind == "SRR":
	case kind != "SIU":
		return no(rejected, errUnsupported, "Only SIU and SRR messages are taken here.")
	case !isTrigger(trigger):
		return no(rejected, errEvent, "Of SIU, the events S12 to S24 and S26 are taken.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = c.cfg.Now()
	if err := c.whole(ctx); err != nil {
		return c.cannotKeep(err)
	}
	id := messageID(m)
	if a, ok := c.p.seen.find(id, body); ok {
		return verdict{code: a.Code, text: a.Text, dup: true}
	}
	v, touched := c.apply(m, kind)
	record, kept := c.p.seen.add(answered{ID: id, Body: body, Code: v.code, Text: v.text})
	c.p.changed[record] = kept
	if err := c.save(ctx); err != nil {
		return c.cannotKeep(err)
	}
	if touched {
		c.cfg.Nudge()
	}
	return v
}

func (c *Connector) cannotKeep(err error) verdict {
	c.cfg.Log.Error("a message of the record system could not be kept; it is asked to send it again", "clinic", c.cfg.Clinic, "error", err)
	return no(failed, errInternal, "The message cannot be kept now; send it again later.")
}

// messageID names a message by MSH-3, 4 and 10.
func messageID(m Message) string {
	head := m.First("MSH")
	return digest(strings.Join([]string{m.Field(head, 3).Text(1), m.Field(head, 4).Text(1), m.Field(head, 10).Text(1)}, "\x00"))
}

// apply changes the picture, or hands an answer to who waits for it.
func (c *Connector) apply(m Message, kind string) (v verdict, touched bool) {
	if kind == "SRR" {
		if r := replyOf(m); !r.pending {
			c.deliver(r)
		}
		return verdict{code: accepted}, false
	}
	e, err := c.reader.event(m, c.cfg.Now())
	if err != nil {
		return no(failed, errType, "%s.", capital(err.Error())), false
	}
	c.skew = max(0, e.at.Sub(c.cfg.Now())) // one that is behind may only have waited to be sent
	before := c.p.seq
	if err := c.p.apply(e); err != nil {
		if errors.Is(err, errFull) {
			return no(failed, errInternal, "%s.", capital(err.Error())), false
		}
		return no(failed, errInternal, "The message cannot be taken now."), false
	}
	if a := c.p.find(e); a != nil && a.Booking != "" && a.Live && e.trigger == "S12" {
		c.deliver(reply{control: controlOf(a.Booking, "S01"), ok: true, code: "AA", placer: a.Placer, filler: a.Filler})
	}
	return verdict{code: accepted}, c.p.seq != before
}

func capital(s string) string {
	if s == "" || strings.HasPrefix(s, "AIS") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// deliver hands an answer to the request that waits for it. Nobody waiting is fine: the request asks
// again, and then finds the visit, or is answered again.
func (c *Connector) deliver(r reply) {
	if ch := c.waiting[r.control]; ch != nil {
		select {
		case ch <- r:
		default: // answered already
		}
	}
}

// linked notes that a connection brings messages of this clinic, or that it ended.
func (c *Connector) linked(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links += n
	c.heard = c.cfg.Now()
}

// expect registers a request that waits for its answer.
func (c *Connector) expect(control string) (<-chan reply, func()) {
	ch := make(chan reply, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[control] = ch
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.waiting[control] == ch {
			delete(c.waiting, control)
		}
	}
}
