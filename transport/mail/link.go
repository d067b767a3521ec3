package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// link is one place of the pool; conn is nil until somebody needs it. It is used by one goroutine
// at a time.
type link struct {
	dialer *gomail.Client
	raw    net.Conn
	conn   *smtp.Client
	used   time.Time

	// go-mail watches the context only until the connection stands; while dialing, ctx closes it
	// until unwatch is called.
	ctx     context.Context //nolint:containedctx // of the dialing under way
	unwatch func() bool
}

// dialer makes the go-mail client of a link. go-mail hides its connection, so the link catches
// it, to be able to cut it.
func (c *Client) dialer(l *link) (*gomail.Client, error) {
	cfg, t := c.cfg, c.tlsConfig
	d := &net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}
	policy := gomail.NoTLS
	if cfg.TLS == StartTLS {
		policy = gomail.TLSMandatory
	}
	opts := []gomail.Option{
		gomail.WithPort(c.port), gomail.WithTimeout(cfg.Timeout), gomail.WithHELO(cfg.HELO),
		gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(t),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			l.raw = conn
			l.unwatch = context.AfterFunc(l.ctx, func() { _ = conn.Close() }) //nolint:contextcheck // go-mail's own context ends too early
			if cfg.TLS != Implicit {
				return conn, nil
			}
			tc := tls.Client(conn, t)
			if err := tc.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return nil, err
			}
			return tc, nil
		}),
	}
	if cfg.Addresses != nil { // reports come back to us, without the text
		opts = append(opts, gomail.WithDSNMailReturnType(gomail.DSNMailReturnHeadersOnly),
			gomail.WithDSNRcptNotifyType(gomail.DSNRcptNotifyFailure, gomail.DSNRcptNotifySuccess))
	}
	auth := gomail.SMTPAuthAutoDiscover
	if cfg.TLS == Implicit {
		// Discovery takes a connection that we dialed for one in the clear and would refuse PLAIN.
		auth = gomail.SMTPAuthPlain
	}
	if cfg.Username != "" {
		opts = append(opts, gomail.WithSMTPAuth(auth), gomail.WithUsername(cfg.Username), gomail.WithPassword(cfg.Password))
	}
	g, err := gomail.NewClient(cfg.Host, opts...)
	if err != nil {
		return nil, errors.New("mail: the configuration is not usable: " + err.Error())
	}
	return g, nil
}

func isStale(err error) bool {
	e, ok := errors.AsType[*gomail.SendError](err)
	return ok && e.Reason == gomail.ErrConnCheck
}

func (l *link) dial(ctx context.Context) error {
	l.raw, l.ctx, l.unwatch = nil, ctx, func() bool { return true }
	conn, err := l.dialer.DialToSMTPClientWithContext(ctx)
	l.unwatch()
	if err != nil {
		if l.raw != nil {
			_ = l.raw.Close() // go-mail leaves it open when the greeting, TLS or sign-in fails
			l.raw = nil
		}
		return err
	}
	l.conn, l.used = conn, time.Now()
	return nil
}

func (l *link) send(ctx context.Context, msg *gomail.Msg) error {
	raw := l.raw
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	err := l.dialer.SendWithSMTPClient(l.conn, msg)
	l.used = time.Now()
	return err
}

// cut drops the connection without a word.
func (l *link) cut() {
	if l.raw != nil {
		_ = l.raw.Close()
	}
	l.raw, l.conn = nil, nil
}

// hangUp says goodbye.
func (l *link) hangUp() {
	if l.conn != nil {
		_ = l.raw.SetDeadline(time.Now().Add(time.Second))
		_ = l.conn.Quit()
	}
	l.cut()
}
