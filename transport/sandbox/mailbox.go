package sandbox

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// MailboxConfig says what the sandbox's mail server needs.
type MailboxConfig struct {
	Wall *Wall
	Log  *slog.Logger
}

const (
	maxMail      = 1 << 20 // bytes
	maxMailConns = 64
	maxGreylist  = 1000
	mailTimeout  = 30 * time.Second
)

// MailServer is an SMTP server on the loopback. It demands STARTTLS and a password, and puts what
// it takes on the Wall. Some local parts, up to a "+", fail, for trying what then happens: "unknown"
// does not exist (550), "full" has no room (452), "greylist" is asked to come back once (451), and
// "gone" is taken and bounces after a moment. Reports (RFC 3464) and what people write go to Relais by SMTP; see
// SetRoute.
type MailServer struct {
	wall     *Wall
	log      *slog.Logger
	listen   net.Listener
	server   *smtp.Server
	ca       []byte
	password string
	work     sync.WaitGroup

	outgoing chan struct{}
	quit     chan struct{}

	mu     sync.Mutex
	route  string
	closed bool
	conns  int
	seen   map[string]bool // greylisted addresses that came once
}

const mailUser = "relais"

// StartMailbox listens on a free port of the loopback with a certificate made for this run.
func StartMailbox(cfg MailboxConfig) (*MailServer, error) {
	if cfg.Wall == nil {
		return nil, errors.New("sandbox: the mailbox needs a wall")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cert, ca, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("sandbox: mailbox certificate: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sandbox: mailbox: %w", err)
	}
	m := &MailServer{
		wall: cfg.Wall, log: cfg.Log, listen: l, ca: ca,
		password: rand.Text(), seen: map[string]bool{},
		outgoing: make(chan struct{}, maxOutgoing), quit: make(chan struct{}),
	}
	s := smtp.NewServer(smtp.BackendFunc(m.session))
	s.Domain = "localhost"
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.MaxMessageBytes, s.MaxRecipients, s.MaxLineLength = maxMail, 1, 2000
	s.ReadTimeout, s.WriteTimeout = mailTimeout, mailTimeout
	s.EnableDSN = true
	s.ErrorLog = discard{}
	m.server = s
	m.work.Go(func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			m.log.Error("sandbox mailbox stopped", "error", err)
		}
	})
	return m, nil
}

// Addr is the host and port to connect to.
func (m *MailServer) Addr() (host string, port int) {
	a := m.listen.Addr().(*net.TCPAddr) //nolint:forcetypeassert // a TCP listener has no other
	return a.IP.String(), a.Port
}

// CA returns the PEM of the certificate to trust.
func (m *MailServer) CA() []byte { return m.ca }

// Credentials returns what to sign in with; the password is made for this run.
func (m *MailServer) Credentials() (user, password string) { return mailUser, m.password }

// Close stops listening and drops connections.
func (m *MailServer) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	close(m.quit)
	err := m.server.Close()
	// A server that has not begun to serve does not know its listener yet, and would never end.
	if e := m.listen.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	m.work.Wait()
	return err
}

// selfSigned makes a certificate for the loopback.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Relais sandbox mailbox"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// discard silences go-smtp: its lines may quote what clients sent.
type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func (m *MailServer) session(*smtp.Conn) (smtp.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns >= maxMailConns {
		return nil, smtpError(421, smtp.EnhancedCode{4, 7, 0}, "Too many connections")
	}
	m.conns++
	return &session{m: m}, nil
}

func smtpError(code int, enhanced smtp.EnhancedCode, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// session is one connection.
type session struct {
	m        *MailServer
	signedIn bool
	from     string
	to       string
	notify   bool // when it is in the mailbox
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if subtle.ConstantTimeCompare([]byte(user), []byte(mailUser))&
			subtle.ConstantTimeCompare([]byte(password), []byte(s.m.password)) != 1 {
			return smtp.ErrAuthFailed
		}
		s.signedIn = true
		return nil
	}), nil
}

// failing is the part of an address that says how it fails: "gone" of "gone+3@example.org".
func failing(address string) string {
	local, _, _ := strings.Cut(address, "@")
	word, _, _ := strings.Cut(local, "+")
	return word
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.signedIn {
		return smtpError(530, smtp.EnhancedCode{5, 7, 0}, "Authentication required")
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, opts *smtp.RcptOptions) error {
	to = strings.ToLower(to)
	switch failing(to) {
	case "unknown":
		return smtpError(550, smtp.EnhancedCode{5, 1, 1}, "No such mailbox")
	case "full":
		return smtpError(452, smtp.EnhancedCode{4, 2, 2}, "Mailbox full")
	case "greylist":
		s.m.mu.Lock()
		first := !s.m.seen[to] && len(s.m.seen) < maxGreylist
		if first {
			s.m.seen[to] = true
		}
		s.m.mu.Unlock()
		if first {
			return smtpError(451, smtp.EnhancedCode{4, 7, 1}, "Greylisted, come back later")
		}
	}
	s.to, s.notify = to, opts != nil && slices.Contains(opts.Notify, smtp.DSNNotifySuccess)
	return nil
}

func (s *session) Data(r io.Reader) error {
	it, err := readMail(r)
	if se, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return se // too large
	}
	if err != nil {
		return smtpError(554, smtp.EnhancedCode{5, 6, 0}, "The message cannot be read")
	}
	switch {
	case failing(s.to) == "gone":
		it.Status = "failed"
		s.m.report(s.from, s.to, "failed", "5.1.1")
	case s.notify:
		s.m.report(s.from, s.to, "delivered", "2.0.0")
	}
	s.m.wall.add(s.to, it)
	return nil
}

func (s *session) Reset() { s.from, s.to, s.notify = "", "", false }

func (s *session) Logout() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.conns--
	return nil
}
