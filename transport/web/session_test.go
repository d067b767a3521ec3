package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"relais/engine"
)

func signIn(b *bench, account, password, from string) (int, *http.Cookie, string) {
	w := b.do(call{method: "POST", path: "/api/v1/session", body: `{"account":"` + account + `","password":"` + password + `"}`, from: from})
	for _, c := range w.Result().Cookies() {
		if c.Name == b.cookieName() {
			return w.Code, c, w.Body.String()
		}
	}
	return w.Code, nil, w.Body.String()
}

func TestSignInAndOut(t *testing.T) {
	b := setup(t, func(c *Config) { c.Secure = true; c.Sandbox = true })
	status, cookie, body := signIn(b, "marie", goodPassword, "")
	if status != 200 || cookie == nil || !strings.Contains(body, `"nord"`) || strings.Contains(body, "sud") || !strings.Contains(body, `"sandbox":true`) {
		t.Fatalf("%d %s", status, body)
	}
	if cookie.Name != "__Host-relais" || !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie: %v", cookie)
	}
	for key := range b.accounts.sessions {
		if strings.Contains(key, cookie.Value) || len(key) != 64 {
			t.Error("the store holds the secret itself")
		}
	}
	if w := b.do(call{method: "GET", path: "/api/v1/me", cookie: cookie}); w.Code != 200 {
		t.Errorf("me: %d", w.Code)
	}
	w := b.do(call{method: "DELETE", path: "/api/v1/session", cookie: cookie})
	if w.Code != 204 || len(b.accounts.sessions) != 0 || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("sign out: %d %v", w.Code, w.Header())
	}
	if w := b.do(call{method: "GET", path: "/api/v1/me", cookie: cookie}); w.Code != 401 {
		t.Errorf("me after signing out: %d", w.Code)
	}
	if w := b.do(call{method: "DELETE", path: "/api/v1/session"}); w.Code != 204 {
		t.Errorf("signing out twice: %d", w.Code)
	}
	if logs := b.logs.String(); strings.Contains(logs, cookie.Value) || strings.Contains(logs, goodPassword) {
		t.Error("a secret is in the log")
	}
}

func TestWrongPasswordAndUnknownAccountLookTheSame(t *testing.T) {
	b := setup(t)
	strip := func(s string) string { before, _, _ := strings.Cut(s, `"request"`); return before }
	s1, c1, wrong := signIn(b, "marie", "not the password", "")
	s2, c2, unknown := signIn(b, "nobody", goodPassword, "")
	if s1 != 401 || s2 != 401 || c1 != nil || c2 != nil || strip(wrong) != strip(unknown) {
		t.Errorf("%d %s\n%d %s", s1, wrong, s2, unknown)
	}
	// An unknown account is compared with a real hash of full cost, so it takes as long.
	if ok, paid, err := checkPassword(b.dummy, goodPassword); ok || err != nil || paid != defaultCost {
		t.Errorf("dummy: %v %v %v", ok, paid, err)
	}
}

func TestOldHashesAreRenewed(t *testing.T) {
	b := setup(t)
	before := b.accounts.accounts["marie"].Hash
	if status, _, body := signIn(b, "marie", goodPassword, ""); status != 200 {
		t.Fatal(status, body)
	}
	after := b.accounts.accounts["marie"].Hash
	ok, paid, err := checkPassword(after, goodPassword)
	if after == before || !ok || err != nil || paid != defaultCost {
		t.Errorf("renewed hash: %v %v %v", ok, paid, err)
	}
}

func TestSignInLimits(t *testing.T) {
	b := setup(t)
	b.dummy = b.accounts.accounts["marie"].Hash // cheap
	last := 0
	for range signInAccountBurst + 1 {
		last, _, _ = signIn(b, "marie", "not the password", "")
	}
	if last != 429 || b.counts.limited[LimitSignIn] != 1 {
		t.Errorf("account: %d %v", last, b.counts.limited)
	}
	if status, _, _ := signIn(b, "marie", goodPassword, "198.51.100.7:1"); status != 429 {
		t.Errorf("the account's limit depends on the address: %d", status)
	}
	b.clock.add(signInAccountEvery)
	if status, _, body := signIn(b, "marie", goodPassword, ""); status != 200 {
		t.Errorf("after waiting: %d %s", status, body)
	}
	for i := range signInAddressBurst + 1 {
		last, _, _ = signIn(b, "nobody"+string(rune('a'+i)), "not the password", "")
	}
	if last != 429 {
		t.Errorf("address: %d", last)
	}
	if status, _, _ := signIn(b, "nobody", "not the password", "198.51.100.8:1"); status != 401 {
		t.Errorf("another address: %d", status)
	}
}

func TestSessionsSlideAndEnd(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	puts := b.accounts.puts
	me := call{method: "GET", path: "/api/v1/me", cookie: cookie}
	b.clock.add(4 * time.Minute)
	if w := b.do(me); w.Code != 200 || b.accounts.puts != puts || len(w.Result().Cookies()) != 0 {
		t.Errorf("a young session was written: %d", w.Code)
	}
	b.clock.add(11 * time.Hour)
	if w := b.do(me); w.Code != 200 || b.accounts.puts != puts+1 || len(w.Result().Cookies()) != 1 {
		t.Errorf("the session did not slide: %d", w.Code)
	}
	b.clock.add(11 * time.Hour)
	if w := b.do(me); w.Code != 200 {
		t.Errorf("22 hours in: %d", w.Code)
	}
	b.clock.add(sessionLife)
	if w := b.do(me); w.Code != 401 || len(b.accounts.sessions) != 0 {
		t.Errorf("after its end: %d, %d sessions", w.Code, len(b.accounts.sessions))
	}
}

func TestSessionOfARemovedAccount(t *testing.T) {
	b := setup(t)
	if w := b.do(call{method: "GET", path: "/api/v1/me", cookie: b.login("ghost")}); w.Code != 401 {
		t.Errorf("%d", w.Code)
	}
	b.accounts.err = engine.Errorf(engine.Unavailable, "store is away")
	if w := b.do(call{method: "GET", path: "/api/v1/me", cookie: b.login("marie")}); w.Code != 503 {
		t.Errorf("a store that is away signs people out: %d", w.Code)
	}
}

func TestHashPassword(t *testing.T) {
	for _, bad := range []string{"", "short", strings.Repeat("x", MaxPassword+1)} {
		if _, err := HashPassword(bad); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("%d characters: %v", len(bad), err)
		}
	}
	h, err := HashPassword("été à la clinique")
	if err != nil || !strings.HasPrefix(h, "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Fatal(h, err)
	}
	if ok, _, err := checkPassword(h, "été à la clinique"); !ok || err != nil {
		t.Error(ok, err)
	}
	if ok, _, err := checkPassword(h, "ete a la clinique"); ok || err != nil {
		t.Error(ok, err)
	}
}

func TestDamagedHashesAreRefused(t *testing.T) {
	good, err := hashWith(cheap, "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{
		"", "x", "$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAA", strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=64", "m=99999999", 1), strings.Replace(good, "t=1", "t=0", 1), good[:len(good)-4], good + "!",
		strings.Replace(good, "p=1", "p=0", 1),
	} {
		if ok, _, err := checkPassword(h, "x"); ok || err == nil {
			t.Errorf("%q: %v %v", h, ok, err)
		}
	}
}

func TestSignInsAreBounded(t *testing.T) {
	b := setup(t)
	for range maxSignIns {
		b.waiting <- struct{}{}
	}
	if status, _, _ := signIn(b, "marie", goodPassword, ""); status != 503 {
		t.Errorf("one too many: %d", status)
	}
	for range maxSignIns {
		<-b.waiting
	}
	for range maxHashes {
		b.hashing <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.compute(ctx, func() error { t.Error("computed"); return nil }); err == nil {
		t.Error("a third hash at once")
	}
	for range maxHashes {
		<-b.hashing
	}
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		if _, err := hashWith(defaultCost, goodPassword); err != nil {
			b.Fatal(err)
		}
	}
}
