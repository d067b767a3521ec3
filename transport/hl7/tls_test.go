package hl7_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/hl7"
)

// certificate makes one for a name that is signed by parent, or by itself.
func certificate(t *testing.T, name string, parent *tls.Certificate, until time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: parent == nil, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{name + ".example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signer, by := any(key), template
	if parent != nil {
		signer, by = parent.PrivateKey, parent.Leaf
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func pool(of ...*tls.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range of {
		p.AddCert(c.Leaf)
	}
	return p
}

// identity is a TLS configuration that shows a certificate whatever the other side asks for; nil shows none.
func identity(c, trust *tls.Certificate) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if trust != nil {
		cfg.RootCAs = pool(trust)
	}
	if c != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	return cfg
}

// TestMutualTLS sends over connections of all kinds to a listener that asks for certificates.
func TestMutualTLS(t *testing.T) {
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	authority, stranger := certificate(t, "authority", nil, soon), certificate(t, "authority", nil, soon)
	r := newRound(t, func(c *hl7.Config, l *hl7.ListenerConfig) {
		c.Peer = "derma.example"
		l.TLS = &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certificate(t, "relais", authority, soon)},
			ClientCAs: pool(authority), ClientAuth: tls.RequireAndVerifyClientCert,
		}
	})
	for name, c := range map[string]struct {
		cfg   *tls.Config
		want  string // the answer; "" when there is none
		event string
	}{
		"the clinic's":            {identity(certificate(t, "derma", authority, soon), authority), "AA", hl7.Accepted},
		"of another clinic":       {identity(certificate(t, "physio", authority, soon), authority), "AR", hl7.Unknown},
		"none":                    {identity(nil, authority), "", hl7.Handshake},
		"of another authority":    {identity(certificate(t, "derma", stranger, soon), authority), "", hl7.Handshake},
		"expired":                 {identity(certificate(t, "derma", authority, past), authority), "", hl7.Handshake},
		"it does not trust ours":  {identity(certificate(t, "derma", authority, soon), stranger), "", hl7.Handshake},
		"no TLS, to a TLS port":   {nil, "", hl7.Handshake},
		"too old a version, ours": {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, RootCAs: pool(authority)}, "", hl7.Handshake}, //nolint:gosec // what is refused
	} {
		t.Run(name, func(t *testing.T) {
			before := r.count(c.event)
			conn := r.dial()
			if c.cfg != nil {
				c.cfg.ServerName = "127.0.0.1"
				conn = tls.Client(conn, c.cfg)
			}
			_, _ = conn.Write(hl7.Frame([]byte(siu(name, ""))))
			code := ""
			if b, err := hl7.NewFrames(conn).Next(); err == nil {
				m, _ := hl7.Parse(b, hl7.UTF8)
				code = m.Field(m.First("MSA"), 1).Text(1)
			} else if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
				t.Error("the connection was not closed")
			}
			_ = conn.Close()
			if code != c.want {
				t.Errorf("the answer is %q, want %q", code, c.want)
			}
			r.counted(c.event, before+1)
		})
	}
}

// TestRequestsOverTLS books at record systems that show and want certificates.
func TestRequestsOverTLS(t *testing.T) {
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	authority, stranger := certificate(t, "authority", nil, soon), certificate(t, "authority", nil, soon)
	good, ours := certificate(t, "dme", authority, soon), certificate(t, "relais", authority, soon)
	for name, c := range map[string]struct {
		theirs *tls.Certificate // nil: plain
		asks   tls.ClientAuthType
		ours   *tls.Config
		want   string // in the failure; "" for none
	}{
		"trusted":                 {good, tls.NoClientCert, identity(nil, authority), ""},
		"mutual":                  {good, tls.RequireAndVerifyClientCert, identity(ours, authority), ""},
		"mutual, none of ours":    {good, tls.RequireAndVerifyClientCert, identity(nil, authority), "refuses our certificate"},
		"mutual, ours is strange": {good, tls.RequireAndVerifyClientCert, identity(certificate(t, "relais", stranger, soon), authority), "refuses our certificate"},
		"mutual, ours expired":    {good, tls.RequireAndVerifyClientCert, identity(certificate(t, "relais", authority, past), authority), "refuses our certificate"},
		"expired":                 {certificate(t, "dme", authority, past), tls.NoClientCert, identity(nil, authority), "has expired"},
		"of another authority":    {certificate(t, "dme", stranger, soon), tls.NoClientCert, identity(nil, authority), "not one that we trust"},
		"plain":                   {nil, tls.NoClientCert, identity(nil, authority), "does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRound(t, func(cfg *hl7.Config, _ *hl7.ListenerConfig) {
				cfg.SendTo, cfg.TLS = secure(t, cfg.SendTo, c.theirs, c.asks, pool(authority)), c.ours
			})
			if c.want == "" {
				r.free()
				if _, err := r.book("relais-1"); err != nil {
					t.Error(err)
				}
				return
			}
			var said []string
			r.c.Check(t.Context(), true, func(s engine.CheckStep) {
				if s.Verdict == engine.CheckFailed {
					said = append(said, s.Sentence)
				}
			})
			if len(said) == 0 || !strings.Contains(said[0], c.want) {
				t.Errorf("the check says %q, want %q", said, c.want)
			}
		})
	}
}

// secure puts TLS before a record system that has none, and says where. Without a certificate what
// it answers to a handshake is no TLS.
func secure(t *testing.T, to string, cert *tls.Certificate, asks tls.ClientAuthType, trust *x509.CertPool) string {
	t.Helper()
	listen, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listen.Addr().String()
	if cert != nil {
		listen = tls.NewListener(listen, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}, ClientAuth: asks, ClientCAs: trust})
	}
	t.Cleanup(func() { _ = listen.Close() })
	go func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			go pass(t.Context(), conn, to, cert != nil)
		}
	}()
	return addr
}

func pass(ctx context.Context, conn net.Conn, to string, on bool) {
	defer func() { _ = conn.Close() }()
	if !on {
		_, _ = conn.Write([]byte("no TLS here\r\n"))
		return
	}
	if s, ok := conn.(*tls.Conn); ok && s.HandshakeContext(ctx) != nil {
		return
	}
	up, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	go func() {
		_, _ = io.Copy(up, conn)
		_ = up.Close()
	}()
	_, _ = io.Copy(conn, up)
}
