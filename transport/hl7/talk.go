package hl7

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// talk reads and answers the messages of one connection, one at a time, until it ends or is closed for
// what it sends.
func (l *Listener) talk(plain net.Conn, host netip.Addr) {
	conn := plain
	if tcp, ok := plain.(*net.TCPConn); ok {
		_ = tcp.SetKeepAlivePeriod(keepAlive)
	}
	if l.cfg.TLS != nil {
		secure := tls.Server(plain, l.cfg.TLS)
		ctx, cancel := context.WithTimeout(l.ctx, handshakeWithin)
		err := secure.HandshakeContext(ctx)
		cancel()
		if err != nil {
			l.cfg.Observe("", Handshake)
			l.warned.Do(func() { l.cfg.Log.Warn("an HL7 connection was refused: TLS failed", "from", host, "error", err) })
			return
		}
		conn = secure
	}
	c := &conversation{l: l, conn: conn, host: host, names: peerNames(conn), clinics: map[*Connector]bool{}}
	defer c.end()
	c.in = newFrames(conn, func() { _ = conn.SetReadDeadline(time.Now().Add(frameWithin)) })
	for l.ctx.Err() == nil {
		deadline := time.Time{} // senders keep a connection open all day; TCP notices one that is dead
		if len(c.clinics) == 0 {
			deadline = time.Now().Add(firstWithin)
		}
		_ = conn.SetReadDeadline(deadline)
		if l.ctx.Err() != nil {
			return
		}
		text, err := c.in.next()
		if err != nil {
			c.failed(text, err)
			return
		}
		if !c.message(text) {
			return
		}
	}
}

// conversation is one connection.
type conversation struct {
	l       *Listener
	conn    net.Conn
	host    netip.Addr
	names   []string
	in      *frames
	clinics map[*Connector]bool // that it brought a message of
	bad     int                 // messages since badFrom
	badFrom time.Time
}

func (c *conversation) end() {
	for clinic := range c.clinics {
		clinic.linked(-1)
	}
}

// message takes one message and answers it. It returns false when the connection is to be closed.
func (c *conversation) message(text []byte) bool {
	m, err := Parse(text, UTF8)
	if err != nil {
		c.l.cfg.Observe("", Unreadable)
		return c.tolerated() && c.write(ack(unreadable(m), "A", no(rejected, errSegment, "%s.", capital(err.Error())), time.Now()))
	}
	clinic := c.l.find(m)
	if clinic == nil || clinic.cfg.Peer != "" && !slices.Contains(c.names, clinic.cfg.Peer) {
		c.l.cfg.Observe("", Unknown)
		v := no(rejected, errUnknown, "No clinic is configured for these MSH-3, MSH-4, MSH-5 and MSH-6.")
		if clinic != nil {
			v = no(rejected, errUnknown, "The certificate of this connection is not that of the clinic's record system.")
		}
		return c.tolerated() && c.reply(m, v)
	}
	if m.Field(m.First("MSH"), 18).Empty() && clinic.cfg.Charset != UTF8 {
		m, _ = Parse(text, clinic.cfg.Charset)
	}
	if !c.clinics[clinic] {
		c.clinics[clinic] = true
		clinic.linked(1)
	}
	v := clinic.take(c.l.ctx, m, digest(string(text)))
	id := clinic.cfg.Clinic
	switch {
	case v.dup:
		c.l.cfg.Observe(id, Duplicate)
	case v.code == accepted:
		c.l.cfg.Observe(id, Accepted)
	default:
		c.l.cfg.Observe(id, Refused)
		c.l.warned.Do(func() {
			c.l.cfg.Log.Warn("an HL7 message was refused", "clinic", id, "answer", "A"+v.code, "why", v.text)
		})
	}
	return c.reply(m, v)
}

// unreadable is what can be answered to something that is no message.
func unreadable(m Message) Message {
	if head := m.First("MSH"); head != nil {
		return m
	}
	m.Delimiters, m.Charset = StandardDelimiters, UTF8
	m.Segments = []Segment{{"MSH", "|", `^~\&`, "", "", "", "", "", "", "", "", "P", "2.5.1"}}
	return m
}

func (c *conversation) reply(m Message, v verdict) bool {
	for _, a := range answers(m, v, time.Now()) {
		if !c.write(a) {
			return false
		}
	}
	return true
}

func (c *conversation) write(message []byte) bool {
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err := c.conn.Write(frame(message))
	return err == nil
}

// tolerated counts what no clinic can use, and says whether the connection may go on.
func (c *conversation) tolerated() bool {
	if now := time.Now(); now.Sub(c.badFrom) > badWithin {
		c.bad, c.badFrom = 0, now
	}
	if c.bad++; c.bad <= maxBad {
		return true
	}
	c.l.cfg.Observe("", Flood)
	c.l.warned.Do(func() {
		c.l.cfg.Log.Warn("an HL7 connection was closed: too much of what it sends is not for any clinic here", "from", c.host)
	})
	return false
}

// failed closes a connection that cannot be read on, with an answer where one helps.
func (c *conversation) failed(text []byte, err error) {
	switch {
	case errors.Is(err, errTooLarge):
		c.l.cfg.Observe("", TooLarge)
		c.l.warned.Do(func() { c.l.cfg.Log.Warn("an HL7 connection was closed: a message is too large", "from", c.host) })
		m, _ := Parse(text, UTF8)
		c.write(ack(unreadable(m), "A", no(rejected, errSegment, "The message is larger than %d bytes.", MaxFrame), time.Now()))
		c.drain()
	case errors.Is(err, errNoise):
		c.l.cfg.Observe("", Flood)
		c.l.warned.Do(func() {
			c.l.cfg.Log.Warn("an HL7 connection was closed: what it sends is not framed as MLLP", "from", c.host)
		})
	case errors.Is(err, os.ErrDeadlineExceeded) && c.l.ctx.Err() == nil:
		c.l.cfg.Observe("", Slow)
	}
}

// drain reads on for a moment: a connection that is closed while more is coming is reset, and the
// answer lost with it.
func (c *conversation) drain() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(drainWithin))
	_, _ = io.Copy(io.Discard, c.in.r)
}
