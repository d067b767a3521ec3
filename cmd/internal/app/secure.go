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
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// modern are the ciphers of TLS 1.2 that hide what was said before when a key is lost; those of 1.3 all do.
var modern = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// serverTLS is how the program speaks HTTPS; nil when it does not. Certificate files are read again when
// they change.
func (p *program) serverTLS(out io.Writer) (*tls.Config, error) {
	t := p.cfg.TLS
	if t == nil {
		return nil, nil //nolint:nilnil // no TLS and no failure
	}
	cert := &certificate{cert: t.CertFile, key: t.KeyFile}
	if t.Local {
		dir := filepath.Join(p.cfg.Data, "tls-local")
		base, err := url.Parse(p.cfg.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("public_url: %w", err)
		}
		if err := localCertificate(dir, base.Hostname(), time.Now()); err != nil {
			return nil, fmt.Errorf("make a certificate for trying: %w", err)
		}
		cert.cert, cert.key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		fmt.Fprintf(out, "HTTPS with a certificate for trying. Let this browser or machine trust %s, and take it out again afterwards; its key lies beside it.\n",
			filepath.Join(dir, "authority.pem"))
	}
	if _, err := cert.get(nil); err != nil {
		return nil, err
	}
	p.metrics.tlsUntil.Set(float64(cert.until().Unix()))
	if until := cert.until(); time.Until(until) < warnBefore {
		p.log.Error("the certificate expires soon or has expired; put a new one into its place, Relais reads it by itself", "until", until)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: modern, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair, err := cert.get(hello)
			if err == nil {
				p.metrics.tlsUntil.Set(float64(cert.until().Unix()))
			}
			return pair, err
		},
	}, nil
}

// redirect sends plain HTTP to HTTPS, until ctx ends.
func (p *program) redirect(ctx context.Context) error {
	if p.cfg.TLS == nil || p.cfg.TLS.Redirect == "" {
		return nil
	}
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.cfg.TLS.Redirect)
	if err != nil {
		return fmt.Errorf("listen for plain HTTP on %s: %w", p.cfg.TLS.Redirect, err)
	}
	server := &http.Server{
		Handler:           redirectTo(p.cfg.PublicURL),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 10 * time.Second,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	p.log.Info("sending plain HTTP to HTTPS", "addr", listen.Addr().String())
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.Serve(listen); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("plain HTTP is not sent to HTTPS any more", "error", err)
		}
	}()
	return nil
}

// redirectTo answers looks with the way to HTTPS. What somebody sends has travelled in the open already: it is
// refused, so that whoever made the program that sends it notices.
func redirectTo(base string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "Use https.", http.StatusForbidden)
			return
		}
		w.Header().Set("Location", base+r.URL.RequestURI())
		w.WriteHeader(http.StatusPermanentRedirect)
	})
}

// How long the certificates for trying hold: no browser takes more than 398 days.
const (
	localAuthority = 3650 * 24 * time.Hour
	localHolds     = 397 * 24 * time.Hour
	localRenew     = 30 * 24 * time.Hour
)

// localCertificate makes an authority in dir, once, and a certificate of it for this machine and host when
// there is none that holds.
func localCertificate(dir, host string, now time.Time) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	authority, err := tls.LoadX509KeyPair(at("authority.pem"), at("authority-key.pem"))
	if err != nil || now.After(authority.Leaf.NotAfter.Add(-localHolds)) {
		if err == nil || errors.Is(err, os.ErrNotExist) {
			err = makeCertificate(dir, "authority", &x509.Certificate{
				Subject: pkix.Name{CommonName: "Relais, for trying on this machine"}, NotAfter: now.Add(localAuthority),
				IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
			}, nil, now)
		}
		if err != nil {
			return err
		}
		if authority, err = tls.LoadX509KeyPair(at("authority.pem"), at("authority-key.pem")); err != nil {
			return err
		}
	}
	leaf, err := tls.LoadX509KeyPair(at("cert.pem"), at("key.pem"))
	if err == nil && leaf.Leaf.VerifyHostname(host) == nil && now.Before(leaf.Leaf.NotAfter.Add(-localRenew)) &&
		leaf.Leaf.CheckSignatureFrom(authority.Leaf) == nil {
		return nil
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: host}, NotAfter: now.Add(localHolds), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if host != "localhost" {
		template.DNSNames = append(template.DNSNames, host)
	}
	return makeCertificate(dir, "", template, &authority, now)
}

// makeCertificate writes a certificate and its key: NAME.pem and NAME-key.pem, or cert.pem and key.pem.
func makeCertificate(dir, name string, template *x509.Certificate, by *tls.Certificate, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template.SerialNumber, template.NotBefore = serial, now.Add(-time.Hour)
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certFile, keyFile := "cert.pem", "key.pem"
	if name != "" {
		certFile, keyFile = name+".pem", name+"-key.pem"
	}
	if err := replaceFile(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// fromProxies lets plain HTTP through from this machine and from the proxies that are named: everybody else
// would send what they say in the open. What says nothing of anybody may be asked by all.
func (p *program) fromProxies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		addr := from.Addr().Unmap().WithZone("")
		known := err == nil && (addr.IsLoopback() || slices.ContainsFunc(p.cfg.TrustedProxies, func(n netip.Prefix) bool { return n.Contains(addr) }))
		switch r.URL.Path {
		case "/healthz", "/readyz", "/metrics":
			known = true
		}
		if !known {
			w.Header().Set("Connection", "close")
			http.Error(w, "Plain HTTP is taken from the proxies that are named only. Use https.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
