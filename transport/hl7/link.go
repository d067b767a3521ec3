package hl7

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"relais/engine"
)

// dialWithin bounds the making of a connection, with TLS.
const dialWithin = 5 * time.Second

// maxStrays is how many frames that answer nothing of ours are passed over in one exchange.
const maxStrays = 100

// link is our connection to where the record system takes requests. Requests go one at a time: the
// next one leaves after the answer to the last, as MLLP wants it.
type link struct {
	addr   string
	tls    *tls.Config
	answer time.Duration
	turn   chan struct{} // held by who uses what is below
	conn   net.Conn
	in     *frames
	midway bool // in a frame
	mu     sync.Mutex
	closed bool
}

func newLink(cfg Config) *link {
	return &link{addr: cfg.SendTo, tls: cfg.TLS, answer: cfg.Answer, turn: make(chan struct{}, 1)}
}

func (l *link) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return failure(engine.DMEUnreachable, "The record system did not answer in time.")
	}
}

func (l *link) free() { <-l.turn }

// reach makes sure that there is a connection.
func (l *link) reach(ctx context.Context) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.free()
	return l.dial(ctx)
}

func (l *link) dial(ctx context.Context) error {
	if l.conn != nil && l.alive() {
		return nil
	}
	l.drop()
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	d := net.Dialer{KeepAlive: 15 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return failure(engine.DMEUnreachable, "The record system takes no connection at send_to; check the address, and that nothing between blocks the port.")
	}
	if l.tls != nil {
		cfg := l.tls.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName, _, _ = net.SplitHostPort(l.addr)
		}
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return tlsFailure(err)
		}
		conn = secure
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = conn.Close()
		return failure(engine.DMEUnreachable, "Relais is stopping.")
	}
	l.conn, l.in = conn, newFrames(conn, func() { l.midway = true })
	return nil
}

// tlsFailure says why a handshake failed: a certificate is a matter of sign-in, and does not pass by itself.
func tlsFailure(err error) error {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return failure(engine.DMESignIn, "The record system's certificate has expired, or our clock is wrong.")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return failure(engine.DMESignIn, "The record system's certificate is not one that we trust; check tls.ca_file and the name in send_to.")
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return failure(engine.DMESignIn, "The record system refuses our certificate.")
	}
	return failure(engine.DMEUnreachable, "The record system does not speak TLS where bookings are sent.")
}

// alive says whether the other side has not closed an idle connection. What it sent meanwhile answers
// nothing that is still asked.
func (l *link) alive() bool {
	for range maxStrays {
		_ = l.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := l.in.r.ReadByte()
		if err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	return false
}

func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// send writes a request and gives each message that comes back to got, until got says that it was the
// last one or ctx ends. The connection is used again unless it failed in the middle of something.
func (l *link) send(ctx context.Context, request []byte, set Charset, got func(Message) (ours, last bool)) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.free()
	if err := l.dial(ctx); err != nil {
		return err
	}
	conn := l.conn
	_ = conn.SetDeadline(time.Now().Add(l.answer))
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	if _, err := conn.Write(frame(request)); err != nil {
		l.drop()
		return lost(err)
	}
	return l.receive(set, got)
}

// undecided says that a request was taken, and no more. What decides it comes to the listener.
const undecided = "The record system took the request and has not decided in time."

func (l *link) receive(set Charset, got func(Message) (ours, last bool)) error {
	taken := false
	for range maxStrays {
		l.midway = false
		text, err := l.in.next()
		if err != nil {
			if taken && !l.midway && errors.Is(err, os.ErrDeadlineExceeded) {
				return failure(engine.DMEUnreachable, undecided)
			}
			l.drop()
			return lost(err)
		}
		m, err := Parse(text, set)
		if err != nil {
			l.drop()
			return failure(engine.DMEMalformed, "The record system's answer cannot be read.")
		}
		ours, last := got(m)
		if last {
			return nil
		}
		taken = taken || ours
	}
	l.drop()
	return failure(engine.DMEMalformed, "The record system answers other requests than ours.")
}

// lost says what a broken exchange means: what was asked may have happened. A record system that
// speaks TLS 1.3 refuses our certificate only here, after the handshake.
func lost(err error) error {
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return failure(engine.DMESignIn, "The record system refuses our certificate.")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return failure(engine.DMESignIn, "The record system refuses our certificate.")
	}
	switch {
	case errors.Is(err, errNoise), errors.Is(err, errTooLarge):
		return failure(engine.DMEMalformed, "The record system's answer is not an MLLP message.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure(engine.DMEUnreachable, "The record system did not answer in time.")
	}
	return failure(engine.DMEUnreachable, "The record system closed the connection without an answer.")
}
