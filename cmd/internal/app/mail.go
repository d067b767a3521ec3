package app

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/transport/mail"
)

// openMail makes the client of the mail server.
func (p *program) openMail(m *MailConfig, opt *actors.Options) error {
	client, addresses, err := newMail(m)
	if err != nil {
		return err
	}
	p.mail, p.addresses = client, addresses
	p.closers = append(p.closers, client.Close)
	opt.Senders[engine.EmailMail], opt.Invite = client, client.Invite
	return nil
}

func newMail(m *MailConfig) (*mail.Client, *mail.Addresses, error) {
	cfg := mail.Config{
		Host: m.Host, Port: m.Port, Username: m.Username, Password: string(m.Password),
		TLS: map[string]mail.TLS{"starttls": mail.StartTLS, "tls": mail.Implicit, "none": mail.NoTLS}[m.TLS], From: m.From,
	}
	if m.CAFile != "" {
		pem, err := os.ReadFile(filepath.Clean(m.CAFile))
		if err != nil {
			return nil, nil, fmt.Errorf("read the mail server's authority: %w", err)
		}
		cfg.CA = pem
	}
	if d := m.DKIM; d != nil {
		pem, err := os.ReadFile(filepath.Clean(d.KeyFile))
		if err != nil {
			return nil, nil, fmt.Errorf("read the key that signs mail: %w", err)
		}
		if cfg.DKIM, err = mail.NewDKIM(d.Domain, d.Selector, pem); err != nil {
			return nil, nil, err
		}
	}
	if i := m.Inbound; i != nil {
		var err error
		if cfg.Addresses, err = mail.NewAddresses(i.Domain, string(i.Secret)); err != nil {
			return nil, nil, err
		}
	}
	client, err := mail.New(cfg)
	return client, cfg.Addresses, err
}

// takeMail listens for bounces and replies. The actors must be running.
func (p *program) takeMail() error {
	if p.addresses == nil {
		return nil
	}
	i := p.cfg.Mail.Inbound
	cfg := mail.InboundConfig{
		Addr: i.Addr, Addresses: p.addresses, Client: p.mail, Receiver: p.relais, Log: p.log,
		Count: func(what string) { p.metrics.mailIn.WithLabelValues(what).Inc() },
	}
	if i.CertFile != "" {
		c := &certificate{cert: i.CertFile, key: i.KeyFile}
		if _, err := c.get(nil); err != nil {
			return err
		}
		cfg.TLS = &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
	}
	in, err := mail.StartInbound(cfg)
	if err != nil {
		return err
	}
	p.inbound = in
	p.log.Info("taking bounces and replies by mail", "addr", in.Addr().String())
	return nil
}

func (p *program) stopMail() {
	if p.inbound == nil {
		return
	}
	if err := p.inbound.Close(); err != nil {
		p.log.Warn("incoming mail did not stop well", "error", err)
	}
	p.inbound = nil
}

// certificate reads a certificate again when its file changes, so that a renewed one needs no restart.
type certificate struct {
	cert, key string

	mu   sync.Mutex
	read time.Time // when the file that is in use changed
	pair *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.cert)
	if err == nil && info.ModTime().Equal(c.read) {
		return c.pair, nil
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			c.pair, c.read = &pair, info.ModTime()
		}
	}
	if c.pair == nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	return c.pair, nil // a renewal under way: the old one still serves
}
