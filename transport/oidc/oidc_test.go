package oidc_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"relais/engine"
	"relais/transport/oidc"
)

const redirect = "http://relais.example/sso/callback"

// peer starts oidc-provider, a certified OpenID provider for Node, and gives its issuer.
func peer(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join("peer", "node_modules", "oidc-provider"))
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("the OpenID provider for Node is missing: make test installs it in transport/oidc/peer")
		}
		t.Skip("the OpenID provider for Node is missing: make test installs it in transport/oidc/peer, where Node is")
	}
	cmd := exec.CommandContext(t.Context(), node, "peer.mjs", redirect)
	cmd.Dir = "peer"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the provider did not start")
	}
	return lines.Text()
}

func config(issuer string) oidc.Config {
	order := []string{"operator", "clerk", "manager", "administrator"}
	return oidc.Config{
		Issuer: issuer, ClientID: "relais", ClientSecret: "secret", Redirect: redirect,
		Grants: []oidc.Grant{
			{Group: "desk", Role: "clerk", Clinics: []engine.ClinicID{"nord"}},
			{Group: "chiefs", Role: "manager", Clinics: []engine.ClinicID{"nord", "sud"}},
			{Group: "it", Role: "operator"},
		},
		Higher: func(a, b string) bool { return slices.Index(order, a) > slices.Index(order, b) },
	}
}

var action = regexp.MustCompile(`action="([^"]+)"`)

// browse signs in at the provider as a browser would, and gives what it brings back.
func browse(t *testing.T, at, login string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirect) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	send := func(r *http.Request) (string, *url.URL) {
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if to, err := res.Location(); err == nil {
			return string(body), to
		}
		return string(body), res.Request.URL
	}
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, now := send(get)
	for _, form := range []url.Values{{"prompt": {"login"}, "login": {login}, "password": {"x"}}, {"prompt": {"consent"}}} {
		if strings.HasPrefix(now.String(), redirect) {
			break
		}
		m := action.FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no form at %s", now)
		}
		to, err := now.Parse(m[1])
		if err != nil {
			t.Fatal(err)
		}
		post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.String(), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		page, now = send(post)
	}
	if !strings.HasPrefix(now.String(), redirect) {
		t.Fatalf("the provider did not send the browser back but to %s", now)
	}
	return now.Query()
}

const verifier = "a-verifier-of-at-least-forty-three-characters-as-rfc-7636-asks"

func come(t *testing.T, p *oidc.Provider, login string) (oidc.Person, error) {
	t.Helper()
	at, err := p.Address(t.Context(), "state-1", "nonce-1", verifier)
	if err != nil {
		t.Fatal(err)
	}
	q := browse(t, at, login)
	if q.Get("state") != "state-1" {
		t.Errorf("state %q", q.Get("state"))
	}
	return p.Person(t.Context(), q.Get("code"), "nonce-1", verifier)
}

func TestSignInAtARealProvider(t *testing.T) {
	issuer := peer(t)
	p := oidc.New(config(issuer))
	marie, err := come(t, p, "marie+desk+it")
	if err != nil {
		t.Fatal(err)
	}
	if marie.Issuer != issuer || marie.Subject != "marie+desk+it" || marie.Name != "Name of marie" || marie.Called != "marie" ||
		marie.Roles["nord"] != "clerk" || marie.Roles["sud"] != "" || marie.Everywhere != "operator" {
		t.Errorf("%+v", marie)
	}
	luc, err := come(t, p, "luc+desk+chiefs")
	if err != nil || luc.Roles["nord"] != "manager" || luc.Roles["sud"] != "manager" || luc.Everywhere != "" {
		t.Errorf("%+v %v", luc, err)
	}
	if zoe, err := come(t, p, "zoe"); err != nil || len(zoe.Roles) != 0 || zoe.Everywhere != "" {
		t.Errorf("%+v %v", zoe, err)
	}
	if p.Name() != strings.TrimPrefix(issuer, "http://") {
		t.Error(p.Name())
	}
}

func TestWhatAProviderRefuses(t *testing.T) {
	issuer := peer(t)
	p := oidc.New(config(issuer))
	at := func() string {
		a, err := p.Address(t.Context(), "s", "n", verifier)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for what, try := range map[string]func() error{
		"another verifier": func() error {
			_, err := p.Person(t.Context(), browse(t, at(), "marie+desk").Get("code"), "n", verifier+"x")
			return err
		},
		"another nonce": func() error {
			_, err := p.Person(t.Context(), browse(t, at(), "marie+desk").Get("code"), "other", verifier)
			return err
		},
		"a code used twice": func() error {
			code := browse(t, at(), "marie+desk").Get("code")
			if _, err := p.Person(t.Context(), code, "n", verifier); err != nil {
				t.Error(err)
			}
			_, err := p.Person(t.Context(), code, "n", verifier)
			return err
		},
		"a made-up code": func() error {
			_, err := p.Person(t.Context(), "x", "n", verifier)
			return err
		},
	} {
		if err := try(); err == nil || engine.CodeOf(err) != engine.Unsigned {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDomains(t *testing.T) {
	issuer := peer(t)
	cfg := config(issuer)
	cfg.Domains = []string{"Clinique.example"}
	if _, err := come(t, oidc.New(cfg), "marie+desk"); err != nil {
		t.Error(err)
	}
	if _, err := come(t, oidc.New(cfg), "unverified+desk"); engine.CodeOf(err) != engine.Unsigned || err == nil {
		t.Errorf("an address that is not verified: %v", err)
	}
	cfg.Domains = []string{"other.example"}
	if _, err := come(t, oidc.New(cfg), "marie+desk"); engine.CodeOf(err) != engine.Unsigned || err == nil {
		t.Errorf("another domain: %v", err)
	}
}

func TestAProviderThatIsAwayComesBack(t *testing.T) {
	var up bool
	var self string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"issuer":"`+self+`","authorization_endpoint":"`+self+`/auth","token_endpoint":"`+self+`/token","jwks_uri":"`+self+`/jwks"}`)
	}))
	defer server.Close()
	self = server.URL
	p := oidc.New(config(self))
	if _, err := p.Address(context.Background(), "s", "n", verifier); engine.CodeOf(err) != engine.Unavailable || err == nil {
		t.Errorf("%v", err)
	}
	up = true
	at, err := p.Address(context.Background(), "s", "n", verifier)
	if err != nil || !strings.Contains(at, "code_challenge_method=S256") || !strings.Contains(at, "nonce=n") || !strings.Contains(at, "state=s") {
		t.Errorf("%s %v", at, err)
	}
}
