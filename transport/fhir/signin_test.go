package fhir_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"relais/engine"
	"relais/transport/fhir"
	"relais/transport/sandbox"
)

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// registered makes a Backend and registers its public key with the record system.
func (w *world) registered(t *testing.T, cfg fhir.BackendConfig, tokenFor time.Duration) *fhir.Backend {
	t.Helper()
	if cfg.ClientID == "" {
		cfg.ClientID = "relais"
	}
	b, err := fhir.NewBackend(cfg)
	if err != nil {
		t.Fatal(err)
	}
	text, err := b.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(text, &keys); err != nil || !keys.Keys[0].IsPublic() {
		t.Fatalf("%v: %s", err, text)
	}
	w.manner(t, sandbox.Manner{SignIn: sandbox.SignIn{Keys: &keys, ClientID: "relais", TokenFor: tokenFor}})
	return b
}

func (w *world) manner(t *testing.T, m sandbox.Manner) {
	t.Helper()
	if err := w.dme.SetManner("rosemont", m); err != nil {
		t.Fatal(err)
	}
}

func (w *world) signedIn(t *testing.T, s fhir.SignIn) error {
	t.Helper()
	_, err := w.client(t, func(cfg *fhir.Config) { cfg.SignIn = s }).Changes(t.Context(), "")
	return err
}

func TestSmartBackendServices(t *testing.T) {
	short := rsaKey(t, 2048)
	jwk, err := json.Marshal(jose.JSONWebKey{Key: ecKey(t, elliptic.P384()), KeyID: "from-the-jwk"})
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{
		"RS384, PKCS #8": pkcs8(t, short),
		"RS384, PKCS #1": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(short)}),
		"ES384, PKCS #8": pkcs8(t, ecKey(t, elliptic.P384())),
		"ES384, JWK":     jwk,
		"ES384, JWK set": []byte(`{"keys":[` + string(jwk) + `]}`),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := w.signedIn(t, w.registered(t, fhir.BackendConfig{Key: key}, 0)); err != nil {
				t.Error(err)
			}
			given := w.server.URL + "/dme/rosemont/fhir/token"
			if err := w.signedIn(t, w.registered(t, fhir.BackendConfig{Key: key, KeyID: "registered", TokenURL: given}, 0)); err != nil {
				t.Error(err)
			}
			// The record system knows another key under the same name, then another client.
			w.registered(t, fhir.BackendConfig{Key: pkcs8(t, ecKey(t, elliptic.P384())), KeyID: "k"}, 0)
			stranger, err := fhir.NewBackend(fhir.BackendConfig{ClientID: "relais", Key: key, KeyID: "k"})
			if err != nil {
				t.Fatal(err)
			}
			wantFault(t, w.signedIn(t, stranger), engine.DMESignIn)
			wantFault(t, w.signedIn(t, w.registered(t, fhir.BackendConfig{ClientID: "another", Key: key}, 0)), engine.DMESignIn)
		})
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	public, err := json.Marshal(jose.JSONWebKey{Key: ecKey(t, elliptic.P384()).Public()})
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{
		"none": nil, "text": []byte("secret-of-ours"), "a short RSA key": pkcs8(t, rsaKey(t, 1024)),
		"P-256": pkcs8(t, ecKey(t, elliptic.P256())), "a public JWK": public,
		"locked": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}),
	} {
		_, err := fhir.NewBackend(fhir.BackendConfig{ClientID: "relais", Key: key})
		if err == nil || strings.Contains(err.Error(), "secret-of-ours") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// counted counts the tokens that are given out.
func (w *world) counted() *atomic.Int32 {
	var tokens atomic.Int32
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			tokens.Add(1)
		}
		h.ServeHTTP(rw, r)
	})
	return &tokens
}

func TestTokenIsKeptAndRenewed(t *testing.T) {
	w := newWorld(t)
	tokens := w.counted()
	signIn := w.registered(t, fhir.BackendConfig{Key: pkcs8(t, ecKey(t, elliptic.P384()))}, 5*time.Minute)
	c := w.client(t, func(cfg *fhir.Config) {
		cfg.SignIn = signIn
		cfg.Now = func() time.Time { return w.now() }
	})
	var all sync.WaitGroup
	for range 20 { // many need the first one at once
		all.Go(func() {
			if _, err := c.Read(t.Context(), "Slot/x"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := tokens.Load(); n != 1 {
		t.Fatalf("%d tokens for the first requests", n)
	}
	look := func(want int32) {
		t.Helper()
		if _, err := c.Read(t.Context(), "Slot/x"); err != nil {
			t.Fatal(err)
		}
		if n := tokens.Load(); n != want {
			t.Fatalf("%d tokens, want %d", n, want)
		}
	}
	w.ahead.Store(int64(4 * time.Minute))
	look(1)
	w.ahead.Store(int64(4*time.Minute + 31*time.Second)) // about to expire
	look(2)
	if err := w.dme.Revoke("rosemont"); err != nil {
		t.Fatal(err)
	}
	look(3) // refused once, and a new one was fetched
	if err := w.dme.SetFault("rosemont", "forbidden"); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(t.Context(), "Slot/x")
	wantFault(t, err, engine.DMESignIn)
	if n := tokens.Load(); n != 3 {
		t.Fatalf("a 403 fetched a token: %d", n)
	}
}

// A 401 that a new token does not mend is a failure, after one new token.
func TestRefusedForGood(t *testing.T) {
	w := newWorld(t)
	signIn := w.registered(t, fhir.BackendConfig{Key: pkcs8(t, ecKey(t, elliptic.P384()))}, 0)
	var tokens, looks atomic.Int32
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/token"):
			tokens.Add(1)
		case strings.Contains(r.URL.Path, "/Slot"):
			looks.Add(1)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(rw, r)
	})
	_, err := w.client(t, func(cfg *fhir.Config) { cfg.SignIn = signIn }).Read(t.Context(), "Slot/x")
	wantFault(t, err, engine.DMESignIn)
	if tokens.Load() != 2 || looks.Load() != 2 {
		t.Errorf("%d tokens, %d looks", tokens.Load(), looks.Load())
	}
}

func TestSignInServerFails(t *testing.T) {
	key := pkcs8(t, ecKey(t, elliptic.P384()))
	for name, x := range map[string]struct {
		status int
		body   string
		want   engine.DMEFault
	}{
		"down":         {500, "", engine.DMEError},
		"asks to wait": {429, "", engine.DMEBusy},
		"not there":    {404, "", engine.DMESignIn},
		"refuses":      {400, `{"error":"invalid_scope","error_description":"Xyzzy"}`, engine.DMESignIn},
		"no token":     {200, `{"token_type":"bearer"}`, engine.DMESignIn},
		"not a bearer": {200, `{"access_token":"a","token_type":"mac"}`, engine.DMESignIn},
		"injection":    {200, `{"access_token":"a\r\nX: y","token_type":"bearer"}`, engine.DMESignIn},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			signIn := w.registered(t, fhir.BackendConfig{Key: key}, 0)
			w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/token") {
					rw.WriteHeader(x.status)
					_, _ = rw.Write([]byte(x.body))
					return
				}
				h.ServeHTTP(rw, r)
			})
			wantFault(t, w.signedIn(t, signIn), x.want)
		})
	}
	t.Run("no discovery", func(t *testing.T) {
		w := newWorld(t) // bearer: it names no sign-in server
		b, err := fhir.NewBackend(fhir.BackendConfig{ClientID: "relais", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		wantFault(t, w.signedIn(t, b), engine.DMESignIn)
	})
}

func TestOtherSignIns(t *testing.T) {
	w := newWorld(t)
	user, word := "relais", "mot de passe"
	for name, x := range map[string]struct {
		demands sandbox.SignIn
		right   fhir.SignIn
		wrong   []fhir.SignIn
	}{
		"none":   {sandbox.SignIn{Open: true}, nil, nil},
		"basic":  {sandbox.SignIn{User: user, Password: word}, fhir.Basic{User: user, Password: word}, []fhir.SignIn{nil, fhir.Basic{User: "relais"}, fhir.Bearer(token)}},
		"bearer": {sandbox.SignIn{}, fhir.Bearer(token), []fhir.SignIn{nil, fhir.Bearer("x"), fhir.Basic{User: "relais", Password: token}}},
	} {
		t.Run(name, func(t *testing.T) {
			w.manner(t, sandbox.Manner{SignIn: x.demands})
			if err := w.signedIn(t, x.right); err != nil {
				t.Error(err)
			}
			for _, s := range x.wrong {
				wantFault(t, w.signedIn(t, s), engine.DMESignIn)
			}
		})
	}
}

// certificate makes one that is signed by parent, or by itself.
func certificate(t *testing.T, parent *tls.Certificate, until time.Time) *tls.Certificate {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "essai"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: parent == nil, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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

func TestMutualTLS(t *testing.T) {
	w := newWorld(t)
	w.manner(t, sandbox.Manner{SignIn: sandbox.SignIn{Certificate: true}})
	soon := time.Now().Add(time.Hour)
	authority, other := certificate(t, nil, soon), certificate(t, nil, soon)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	serve := func(own *tls.Certificate, auth tls.ClientAuthType) string {
		s := httptest.NewUnstartedServer(w.dme.Handler())
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*own}, ClientCAs: pool, ClientAuth: auth}
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL + "/dme/rosemont/fhir"
	}
	good := serve(certificate(t, authority, soon), tls.RequireAndVerifyClientCert)
	lax := serve(certificate(t, authority, soon), tls.VerifyClientCertIfGiven)
	expired := serve(certificate(t, authority, time.Now().Add(-time.Hour)), tls.NoClientCert)
	for name, x := range map[string]struct {
		address string
		ours    *tls.Certificate
		words   string // "" for success
	}{
		"ours":                    {good, certificate(t, authority, soon), ""},
		"none":                    {good, nil, "certificate of ours"},
		"of another authority":    {good, certificate(t, other, soon), "certificate of ours"},
		"ours, expired":           {good, certificate(t, authority, time.Now().Add(-time.Hour)), "certificate of ours"},
		"none, refused over HTTP": {lax, nil, "401"},
		"theirs has expired":      {expired, certificate(t, authority, soon), "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.client(t, func(cfg *fhir.Config) {
				cfg.BaseURL, cfg.CA, cfg.Now = x.address, pool, time.Now
				if x.ours != nil {
					cfg.ClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return x.ours, nil }
				}
			})
			_, err := c.Changes(t.Context(), "")
			if x.words == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			for n := 0; n < 10 && faultOf(t, err) == engine.DMEUnreachable; n++ { // a reset can overtake the alert
				_, err = c.Changes(t.Context(), "")
			}
			wantFault(t, err, engine.DMESignIn)
			if !strings.Contains(err.Error(), x.words) {
				t.Errorf("%v, want %q in it", err, x.words)
			}
		})
	}
}
