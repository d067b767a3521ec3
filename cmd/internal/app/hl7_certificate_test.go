package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/transport/hl7"
)

// pair writes a certificate and its key as files and returns them; changed is their time of change.
func pair(t *testing.T, name string, until, changed time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(changed.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func put(t *testing.T, path string, data []byte, changed time.Time) {
	t.Helper()
	err := os.WriteFile(path, data, 0o600)
	if err == nil {
		err = os.Chtimes(path, changed, changed)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestHL7CertificateIsReadAgain replaces the files of the listener's certificate while it serves: the
// next connection sees the new one, one in between, when only half is there, the old one.
func TestHL7CertificateIsReadAgain(t *testing.T) {
	dir, began := t.TempDir(), time.Now().Add(-time.Hour).Truncate(time.Second)
	certFile, keyFile := filepath.Join(dir, "hl7.pem"), filepath.Join(dir, "hl7.key")
	cert, key := pair(t, "first", time.Now().Add(time.Hour), began)
	put(t, certFile, cert, began)
	put(t, keyFile, key, began)
	var log strings.Builder
	p := &program{
		cfg: Config{HL7: &HL7ListenConfig{Addr: "127.0.0.1:0", CertFile: certFile, KeyFile: keyFile}}, metrics: newMetrics(), log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	secure, err := p.hl7TLS()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "expires soon") {
		t.Error("nobody is told that the certificate ends in an hour")
	}
	listen, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := hl7.NewListener(hl7.ListenerConfig{TLS: secure, Log: slog.New(slog.DiscardHandler)})
	go func() { _ = l.Serve(listen) }()
	t.Cleanup(l.Close)
	shown := func() string {
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it is looked at, not trusted
		conn, err := d.DialContext(context.WithoutCancel(t.Context()), "tcp", listen.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := shown(); got != "first" {
		t.Fatalf("it shows %s", got)
	}
	until := time.Now().Add(100 * 24 * time.Hour).Truncate(time.Second)
	cert, key = pair(t, "second", until, began.Add(time.Minute))
	put(t, certFile, cert, began.Add(time.Minute))
	if got := shown(); got != "first" {
		t.Errorf("half-way through the renewal it shows %s", got)
	}
	put(t, keyFile, key, began.Add(time.Minute))
	if got := shown(); got != "second" {
		t.Errorf("after the renewal it shows %s", got)
	}
	families, err := p.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	told := time.Time{}
	for _, f := range families {
		if f.GetName() == "relais_hl7_certificate_expiry_timestamp_seconds" {
			told = time.Unix(int64(f.GetMetric()[0].GetGauge().GetValue()), 0)
		}
	}
	if !told.Equal(until) {
		t.Errorf("the metric says %v, want %v", told, until)
	}
}
