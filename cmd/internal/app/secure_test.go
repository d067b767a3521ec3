package app

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPlainHTTPIsRefused(t *testing.T) {
	main, _ := ownDir(t)
	base, _ := os.ReadFile(main)
	https := strings.Replace(string(base), "http://localhost:8080", "https://relais.example.org", 1)
	for _, test := range []struct{ name, text, want string }{
		{"on this machine", string(base) + "addr: 127.0.0.1:8080\n", ""},
		{"in the open", https + "addr: :8080\n", "could reach Relais without encryption"},
		{"on an address of the network", https + "addr: 192.168.1.5:8080\n", "could reach Relais without encryption"},
		{"behind a proxy", https + "addr: :8080\ntrusted_proxies: [10.0.0.0/8]\n", ""},
		{"no certificate", https + "addr: :443\ntls: {redirect: \":80\"}\n", "names no certificate"},
		{"both", https + "addr: :443\ntls: {local: true, cert_file: x, key_file: y}\n", "keep one of them"},
		{"no key", https + "addr: :443\ntls: {cert_file: x}\n", "go together"},
		{"no such file", https + "addr: :443\ntls: {cert_file: /nowhere/x, key_file: /nowhere/y}\n", "cannot be opened"},
		{"http in public_url", string(base) + "addr: :443\ntls: {local: true}\n", "write https://"},
		{"one port for both", https + "addr: :443\ntls: {local: true, redirect: \":443\"}\n", "that addr does not have"},
		{"for trying", https + "addr: :443\ntls: {local: true, redirect: \":80\"}\n", ""},
	} {
		putText(t, main, test.text)
		_, err := LoadConfig(main, nil, nil)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// TestServeTLS runs the program with a certificate for trying, and with files that are renewed while it runs.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	main, _ := ownDir(t)
	text, _ := os.ReadFile(main)
	data := filepath.Join(filepath.Dir(main), "data")
	secure := strings.Replace(string(text), "http://", "https://", 1)
	putText(t, main, secure)

	dir := filepath.Join(data, "tls-local")
	p := servingTLS(t, main, dir, "--tls-local")
	state, header := p.get(t, "/healthz")
	if state.Version != tls.VersionTLS13 || header.Get("Strict-Transport-Security") != "" {
		t.Errorf("TLS %x, HSTS %q for trying", state.Version, header.Get("Strict-Transport-Security"))
	}
	if !strings.Contains(p.out.String(), "authority.pem") {
		t.Error("it does not say what to trust")
	}
	for _, old := range []*tls.Config{
		{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
		{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
	} {
		old.InsecureSkipVerify = true
		if conn, err := (&tls.Dialer{Config: old}).DialContext(t.Context(), "tcp", p.addr); err == nil {
			_ = conn.Close()
			t.Errorf("an old handshake was accepted: %+v", old)
		}
	}
	p.stop()

	files := filepath.Join(t.TempDir(), "files")
	if err := localCertificate(files, "localhost", time.Now()); err != nil {
		t.Fatal(err)
	}
	putText(t, main, secure+"tls: {cert_file: "+files+"/cert.pem, key_file: "+files+"/key.pem, redirect: \"localhost:0\"}\n")
	p = servingTLS(t, main, files)
	state, header = p.get(t, "/healthz")
	if header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS")
	}
	before := state.PeerCertificates[0].SerialNumber
	if err := os.Remove(filepath.Join(files, "cert.pem")); err != nil {
		t.Fatal(err)
	}
	if state, _ = p.get(t, "/healthz"); state.PeerCertificates[0].SerialNumber.Cmp(before) != 0 {
		t.Error("a renewal under way changed the certificate")
	}
	if err := localCertificate(files, "localhost", time.Now()); err != nil { // the same authority
		t.Fatal(err)
	}
	if state, _ = p.get(t, "/healthz"); state.PeerCertificates[0].SerialNumber.Cmp(before) == 0 {
		t.Error("the renewed certificate is not used")
	}
}

// tlsProcess is a program that serves HTTPS.
type tlsProcess struct {
	*process
	addr string
	out  *output
	pool *x509.CertPool
}

func servingTLS(t *testing.T, main, authority string, flags ...string) *tlsProcess {
	t.Helper()
	p := &tlsProcess{process: starting(t, main, flags...)}
	p.out, p.addr = p.errOut, p.listening()
	pem, err := os.ReadFile(filepath.Join(authority, "authority.pem"))
	if err != nil {
		t.Fatal(err)
	}
	p.pool = x509.NewCertPool()
	p.pool.AppendCertsFromPEM(pem)
	return p
}

// get asks on a connection of its own.
func (p *tlsProcess) get(t *testing.T, path string) (*tls.ConnectionState, http.Header) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: p.pool, ServerName: "localhost", MinVersion: tls.VersionTLS12},
	}}
	resp, err := client.Get("https://" + p.addr + path) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return resp.TLS, resp.Header
}

func TestRedirectToHTTPS(t *testing.T) {
	h := redirectTo("https://relais.example.org")
	for _, test := range []struct {
		method, target string
		status         int
		to             string
	}{
		{"GET", "/o/abc?x=1", http.StatusPermanentRedirect, "https://relais.example.org/o/abc?x=1"},
		{"GET", "//evil.example/x", http.StatusPermanentRedirect, "https://relais.example.org//evil.example/x"},
		{"POST", "/api/v1/session", http.StatusForbidden, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.target, nil))
		if w.Code != test.status || w.Header().Get("Location") != test.to {
			t.Errorf("%s %s: %d to %q, want %d to %q", test.method, test.target, w.Code, w.Header().Get("Location"), test.status, test.to)
		}
	}
}

func TestPlainHTTPFromProxiesOnly(t *testing.T) {
	p := &program{cfg: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	h := p.fromProxies(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for from, want := range map[string]map[string]int{
		"10.1.2.3":  {"/": 200, "/metrics": 200},
		"127.0.0.1": {"/": 200},
		"::1":       {"/": 200},
		"192.0.2.7": {"/": 403, "/o/abc": 403, "/healthz": 200, "/metrics": 200, "/metrics/": 403},
	} {
		for path, status := range want {
			r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
			r.RemoteAddr = net.JoinHostPort(from, "4000")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != status {
				t.Errorf("%s from %s: %d, want %d", path, from, w.Code, status)
			}
		}
	}
}

func TestCertificateForTrying(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	serial := func() string {
		t.Helper()
		if err := localCertificate(dir, "relais.test", now); err != nil {
			t.Fatal(err)
		}
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"relais.test", "localhost", "127.0.0.1", "::1"} {
			if err := pair.Leaf.VerifyHostname(host); err != nil {
				t.Error(err)
			}
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	authority, _ := os.ReadFile(filepath.Join(dir, "authority.pem"))
	if serial() != first {
		t.Error("a good certificate was made again")
	}
	now = now.Add(localHolds - localRenew + time.Hour)
	if serial() == first {
		t.Error("a certificate near its end was not renewed")
	}
	if again, _ := os.ReadFile(filepath.Join(dir, "authority.pem")); string(again) != string(authority) {
		t.Error("the authority was made again: whoever trusts it would be asked anew")
	}
	for _, name := range []string{"key.pem", "authority-key.pem"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}
