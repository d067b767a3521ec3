package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
)

// fakeProvider says of a code what it was told to.
type fakeProvider struct {
	people map[string]Person
	err    error
}

func (f *fakeProvider) Name() string { return "Directory" }

func (f *fakeProvider) Address(_ context.Context, state, nonce, verifier string) (string, error) {
	return "https://login.example/auth?" + url.Values{"state": {state}, "nonce": {nonce}, "verifier": {verifier}}.Encode(), f.err
}

func (f *fakeProvider) Person(_ context.Context, code, nonce, verifier string) (Person, error) {
	p, ok := f.people[code]
	if !ok || nonce == "" || len(verifier) < 43 {
		return Person{}, engine.Errorf(engine.Unsigned, "no")
	}
	return p, nil
}

// single comes back from the provider with a code, and gives where the browser is sent and its session.
func (b *bench) single(t *testing.T, code string, change ...func(state string, sso *http.Cookie) (string, *http.Cookie)) (to string, session *http.Cookie) {
	t.Helper()
	w := b.do(call{method: "GET", path: "/sso/start"})
	at, err := w.Result().Location()
	if w.Code != http.StatusSeeOther || err != nil || at.Host != "login.example" {
		t.Fatalf("%d %v", w.Code, at)
	}
	state, sso := at.Query().Get("state"), w.Result().Cookies()[0]
	if !sso.HttpOnly || sso.SameSite != http.SameSiteLaxMode || sso.MaxAge != int(singleLife/time.Second) {
		t.Errorf("%v", sso)
	}
	for _, f := range change {
		state, sso = f(state, sso)
	}
	w = b.do(call{method: "GET", path: "/sso/callback?" + url.Values{"state": {state}, "code": {code}}.Encode(), cookie: sso})
	if w.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, c := range w.Result().Cookies() {
		if c.Name == b.cookieName() && c.MaxAge > 0 {
			session = c
		}
	}
	return w.Header().Get("Location"), session
}

func TestSingleSignOn(t *testing.T) {
	nord := map[engine.ClinicID]Role{"nord": Clerk}
	f := &fakeProvider{people: map[string]Person{
		"zoe":    {Issuer: "i", Subject: "1", Name: "Zoé", Called: "Zoe@clinique.example", Roles: nord},
		"marie":  {Issuer: "i", Subject: "2", Called: "marie", Roles: nord},
		"nobody": {Issuer: "i", Subject: "3", Called: "max"},
	}}
	b := everyRole(t, func(c *Config) { c.Single = f })
	if o := as[SignInOptions](t, b, nil, "GET", "/session/options", "", 200); o.Single != "Directory" || !o.Passkeys {
		t.Errorf("%+v", o)
	}
	to, session := b.single(t, "zoe")
	if to != "/" || session == nil {
		t.Fatal(to, session)
	}
	if me := as[Me](t, b, session, "GET", "/me", "", 200); me.Account != "zoe" || me.Access[0].Role != Clerk {
		t.Errorf("%+v", me)
	}
	// The groups decide at every sign-in.
	f.people["zoe"] = Person{Issuer: "i", Subject: "1", Called: "other", Roles: map[engine.ClinicID]Role{"sud": Manager}}
	if _, session = b.single(t, "zoe"); session == nil {
		t.Fatal("no session")
	}
	if me := as[Me](t, b, session, "GET", "/me", "", 200); me.Account != "zoe" || len(me.Access) != 1 || me.Access[0].Clinic != "sud" {
		t.Errorf("%+v", me)
	}
	// An account of the same name that has a password is somebody else's.
	if _, session = b.single(t, "marie"); session == nil {
		t.Fatal("no session")
	}
	if me := as[Me](t, b, session, "GET", "/me", "", 200); me.Account != "marie-2" {
		t.Errorf("%+v", me)
	}
	if to, session := b.single(t, "nobody"); to != "/?sso=no-role" || session != nil {
		t.Error(to, session)
	}
	if _, ok := b.accounts.accounts["max"]; ok {
		t.Error("somebody without a role has an account")
	}
	if to, session := b.single(t, "guess"); to != "/?sso=refused" || session != nil {
		t.Error(to, session)
	}
	if said := b.trail.said("nord"); !slices.Contains(said, "sign_in zoe  sso") || !slices.Contains(b.trail.said(""), "sign_in_failed   provider_refused") {
		t.Errorf("%q %q", said, b.trail.said(""))
	}
}

func TestSingleSignOnBelongsToOneBrowser(t *testing.T) {
	f := &fakeProvider{people: map[string]Person{"zoe": {Issuer: "i", Subject: "1", Called: "zoe", Everywhere: Operator}}}
	b := everyRole(t, func(c *Config) { c.Single = f })
	for what, change := range map[string]func(string, *http.Cookie) (string, *http.Cookie){
		"no cookie":     func(s string, _ *http.Cookie) (string, *http.Cookie) { return s, nil },
		"another state": func(_ string, c *http.Cookie) (string, *http.Cookie) { return "x", c },
		"a made-up one": func(string, *http.Cookie) (string, *http.Cookie) { return "x", b.singleCookie("x") },
		"too late":      func(s string, c *http.Cookie) (string, *http.Cookie) { b.clock.add(ceremonyLife); return s, c },
	} {
		if to, session := b.single(t, "zoe", change); to != "/?sso=refused" || session != nil {
			t.Errorf("%s: %s %v", what, to, session)
		}
	}
	f.err = engine.Errorf(engine.Unavailable, "away")
	if w := b.do(call{method: "GET", path: "/sso/start"}); !strings.HasSuffix(w.Header().Get("Location"), "?sso=away") {
		t.Error(w.Header())
	}
	if w := b.do(call{method: "GET", path: "/sso/start", from: "198.51.100.7:1"}); w.Header().Get("Cache-Control") != "no-store" {
		t.Error(w.Header())
	}
	off := everyRole(t)
	if w := off.do(call{method: "GET", path: "/sso/start"}); w.Code != http.StatusNotFound {
		t.Errorf("without a provider: %d", w.Code)
	}
}
