package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"relais/engine"
	"relais/transport/hl7"
)

// openHL7 makes the listener, once; nothing is taken before listenHL7.
func (p *program) openHL7() error {
	if p.hl7 != nil {
		return nil
	}
	if p.cfg.HL7 == nil {
		return engine.Errorf(engine.Conflict, "the setting hl7, where record systems send their messages, counts only after a restart")
	}
	secure, err := p.hl7TLS()
	if err != nil {
		return err
	}
	l := p.cfg.HL7
	p.hl7 = hl7.NewListener(hl7.ListenerConfig{
		TLS: secure, Connections: l.Connections, PerHost: l.PerHost, Log: p.log,
		Observe: func(c engine.ClinicID, event string) { p.metrics.hl7.WithLabelValues(string(c), event).Inc() },
	})
	if p.store != nil { // a check from the command line has none
		p.journal = newHL7Journal(p.store)
	}
	p.closers = append(p.closers, p.hl7.Close)
	return nil
}

func (p *program) connectHL7(ctx context.Context, clinic engine.Clinic, h *HL7Config) (engine.Clinic, recordSystem, error) {
	if err := p.openHL7(); err != nil {
		return clinic, nil, err
	}
	zone, err := time.LoadLocation(clinic.Zone)
	if err != nil {
		return clinic, nil, fmt.Errorf("zone: %w", err)
	}
	out, err := h.clientTLS()
	if err != nil {
		return clinic, nil, err
	}
	practitioners, places := h.people(clinic)
	client, err := hl7.New(ctx, hl7.Config{
		Clinic: clinic.ID, Zone: zone, Journal: p.journal, Sender: hl7.Party(h.Sender), Receiver: hl7.Party(h.Receiver),
		Peer: h.Peer, SendTo: h.SendTo, TLS: out, Charset: hl7.Charset(h.Charset), Version: h.Version,
		Practitioners: practitioners, Places: places, Service: h.Service, Visit: time.Duration(h.Visit),
		AcceptAck: h.AcceptAck, Answer: time.Duration(h.Answer), Quiet: time.Duration(h.QuietAfter), Open: engine.Hours(h.Open),
		Nudge: func() {
			if r := p.nudged.Load(); r != nil {
				r.Nudge(clinic.ID)
			}
		}, Log: p.log,
	})
	if err != nil {
		return clinic, nil, err
	}
	return clinic, client, p.hl7.Add(client)
}

// people maps the record system's identifiers to the clinic's: those that are mapped, and the clinic's
// own as they are.
func (h *HL7Config) people(clinic engine.Clinic) (map[string]engine.PractitionerID, map[string]engine.PlaceID) {
	practitioners, places := map[string]engine.PractitionerID{}, map[string]engine.PlaceID{}
	for _, p := range clinic.Practitioners {
		practitioners[string(p.ID)] = p.ID
	}
	for theirs, ours := range h.Practitioners {
		practitioners[theirs] = engine.PractitionerID(ours)
	}
	for _, p := range clinic.Places {
		places[string(p.ID)] = p.ID
	}
	for theirs, ours := range h.Places {
		places[theirs] = engine.PlaceID(ours)
	}
	return practitioners, places
}

// listenHL7 starts to take messages.
func (p *program) listenHL7(ctx context.Context) error {
	if p.hl7 == nil || p.hl7Addr != nil {
		return nil
	}
	p.nudged.Store(p.relais)
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.cfg.HL7.Addr)
	if err != nil {
		return fmt.Errorf("listen for HL7 on %s: %w", p.cfg.HL7.Addr, err)
	}
	p.hl7Addr = listen.Addr()
	p.log.Info("taking HL7 messages", "addr", p.hl7Addr.String(), "tls", p.cfg.HL7.CertFile != "")
	go func() {
		if err := p.hl7.Serve(listen); err != nil {
			p.log.Error("no HL7 messages are taken any more; start again", "error", err)
		}
	}()
	return nil
}

// hl7TLS is how the listener speaks TLS, nil for plain.
func (p *program) hl7TLS() (*tls.Config, error) {
	l := p.cfg.HL7
	if l.CertFile == "" {
		return nil, nil //nolint:nilnil // no TLS and no failure
	}
	cert := &certificate{cert: l.CertFile, key: l.KeyFile}
	if _, err := cert.get(nil); err != nil {
		return nil, err
	}
	use := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		p.metrics.hl7Until.Set(float64(cert.until().Unix()))
		return cert.get(hello)
	}
	p.metrics.hl7Until.Set(float64(cert.until().Unix()))
	if until := cert.until(); time.Until(until) < warnBefore {
		p.log.Error("the certificate for HL7 expires soon or has expired; put a new one into its place, Relais reads it by itself", "until", until)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: use}
	if l.ClientCAFile != "" {
		pool, err := certPool(l.ClientCAFile)
		if err != nil {
			return nil, err
		}
		cfg.ClientCAs, cfg.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return cfg, nil
}

// clientTLS is how we speak TLS to a record system, nil for plain.
func (h *HL7Config) clientTLS() (*tls.Config, error) {
	if !h.TLS {
		return nil, nil //nolint:nilnil // no TLS and no failure
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if h.CAFile != "" {
		pool, err := certPool(h.CAFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	if h.CertFile != "" {
		cert := &certificate{cert: h.CertFile, key: h.KeyFile}
		if _, err := cert.get(nil); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.get(nil) }
	}
	return cfg, nil
}

func certPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", path)
	}
	return pool, nil
}

// warnBefore is how long before its end somebody is told of a certificate.
const warnBefore = 14 * 24 * time.Hour

func (c *certificate) until() time.Time {
	pair, err := c.get(nil)
	if err != nil || pair.Leaf == nil {
		return time.Time{}
	}
	return pair.Leaf.NotAfter
}
