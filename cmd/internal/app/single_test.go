package app

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage/bolt"
	"relais/storage/seal"
	"relais/transport/web"
)

// twoClinics is a desk that only says which clinics there are.
type twoClinics struct{ web.Desk }

func (twoClinics) Clinics(context.Context) []desk.ClinicInfo {
	return []desk.ClinicInfo{{ID: "nord", Name: "Nord"}, {ID: "sud", Name: "Sud"}}
}

type noOffers struct{ web.Offers }

type noDoors struct{ web.Doors }

// TestSingleSignOnInTheProgram signs in at a certified OpenID provider through the pages' own addresses, with the
// accounts in a real store: the group of the provider gives the role of the configuration.
func TestSingleSignOnInTheProgram(t *testing.T) {
	peer := filepath.Join("..", "..", "..", "transport", "oidc", "peer")
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(peer, "node_modules", "oidc-provider"))
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("the OpenID provider for Node is missing: make test installs it in transport/oidc/peer")
		}
		t.Skip("the OpenID provider for Node is missing: make test installs it in transport/oidc/peer, where Node is")
	}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	cmd := exec.CommandContext(t.Context(), node, "peer.mjs", server.URL+"/sso/callback")
	cmd.Dir = peer
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
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the provider did not start")
	}
	sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := bolt.Open(t.TempDir(), bolt.Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{PublicURL: server.URL, OIDC: &OIDCConfig{
		Issuer: lines.Text(), ClientID: "relais", ClientSecret: "secret", Roles: []OIDCRoleConfig{{Group: "desk", Role: "clerk", Clinics: []string{"nord"}}},
	}}
	pages, err := web.New(web.Config{
		Desk: twoClinics{}, Offers: noOffers{}, Doors: noDoors{}, Accounts: accounts{store}, Trail: trail{store}, Single: newSingle(&cfg), PublicBase: base,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pages.Close(context.Background()) })
	handler = pages.Handler()

	action := regexp.MustCompile(`action="([^"]+)"`)
	come := func(login string) (to, me string) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/" && r.URL.Host == base.Host {
				return http.ErrUseLastResponse
			}
			return nil
		}}
		send := func(method, at string, form url.Values) (string, *http.Response) {
			r, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			if form != nil {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(body), res
		}
		page, res := send(http.MethodGet, server.URL+"/sso/start", nil)
		for _, form := range []url.Values{{"prompt": {"login"}, "login": {login}, "password": {"x"}}, {"prompt": {"consent"}}} {
			m := action.FindStringSubmatch(page)
			if m == nil {
				t.Fatalf("no form at %s", res.Request.URL)
			}
			at, err := res.Request.URL.Parse(m[1])
			if err != nil {
				t.Fatal(err)
			}
			page, res = send(http.MethodPost, at.String(), form)
		}
		to = res.Header.Get("Location")
		me, _ = send(http.MethodGet, server.URL+"/api/v1/me", nil)
		return to, me
	}
	for range 2 { // the second time the account is there
		to, me := come("marie+desk")
		if to != "/" || !strings.Contains(me, `"account":"marie"`) || !strings.Contains(me, `"clinic":"nord","role":"clerk"`) || strings.Contains(me, "sud") {
			t.Errorf("sent to %s as %s", to, me)
		}
	}
	if to, me := come("luc+others"); to != "/?sso=no-role" || !strings.Contains(me, string(engine.Unsigned)) {
		t.Errorf("sent to %s as %s", to, me)
	}
}
