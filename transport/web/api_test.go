package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

// enrolment is a body that POST waitlist takes.
const enrolment = `{"given":"Zoé","family":"Tremblay","lang":"fr","phone":"514 555-0199","channels":["sms"],` +
	`"proof":"form 2026-03-02","source":"Patient/17","specialty":"dermatology"}`

type route struct {
	method, path, body string
	status             int
}

// routes are all calls that need a session, as "nord" would make them.
var routes = []route{
	{"GET", "/api/v1/me", "", 200},
	{"GET", "/api/v1/clinics", "", 200},
	{"GET", "/api/v1/clinics/nord/calendar", "", 200},
	{"GET", "/api/v1/clinics/nord/slots/s1", "", 200},
	{"POST", "/api/v1/clinics/nord/slots/s1/actions", `{"action":"pause","revision":3}`, 200},
	{"GET", "/api/v1/clinics/nord/waitlist?after=a&limit=10", "", 200},
	{"POST", "/api/v1/clinics/nord/waitlist/search", `{"search":"Zo"}`, 200},
	{"POST", "/api/v1/clinics/nord/waitlist", enrolment, 201},
	{"POST", "/api/v1/clinics/nord/slots/s1/explain", `{"search":"Zo"}`, 200},
	{"GET", "/api/v1/clinics/nord/patients/p1", "", 200},
	{"POST", "/api/v1/clinics/nord/patients/p1/contacts", `{"action":"add","channel":"sms","address":"514 555-0142","proof":"by phone"}`, 200},
	{"GET", "/api/v1/clinics/nord/contacts/broken", "", 200},
	{"GET", "/api/v1/clinics/nord/messages", "", 200},
	{"POST", "/api/v1/clinics/nord/messages/check", `{"lang":"fr","text":"Oui"}`, 200},
	{"GET", "/api/v1/clinics/nord/unread", "", 200},
	{"POST", "/api/v1/clinics/nord/unread", `{"id":"o1","revision":2,"text":"Oui","decision":"yes"}`, 200},
	{"GET", "/api/v1/clinics/nord/health", "", 200},
	{"GET", "/api/v1/clinics/nord/mode?days=30", "", 200},
	{"POST", "/api/v1/clinics/nord/mode", `{"mode":"automatic","revision":2}`, 200},
	{"GET", "/api/v1/clinics/nord/fairness?from=2026-01-01&to=2026-03-31", "", 200},
	{"GET", "/api/v1/clinics/nord/fairness.csv", "", 200},
	{"GET", "/api/v1/clinics/nord/insights?from=2026-01-01&to=2026-03-31&practitioner=roy", "", 200},
	{"GET", "/api/v1/clinics/nord/insights.csv?from=2026-01-01&to=2026-01-31", "", 200},
	{"POST", "/api/v1/clinics/nord/hold", `{"hold":true}`, 200},
	{"POST", "/api/v1/clinics/nord/check", "", 200},
}

var withKey = map[string]string{"Idempotency-Key": "press-0001"}

func TestEveryCallAnswers(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	for _, r := range routes {
		w := b.do(call{method: r.method, path: r.path, body: r.body, cookie: cookie, header: withKey})
		if w.Code != r.status {
			t.Errorf("%s %s: %d %s", r.method, r.path, w.Code, w.Body)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", r.path, got)
		}
	}
	if got := fmt.Sprint(b.desk.settled); got != `[marie press-0001 o1 2 "Oui" yes]` || len(b.desk.contacts) != 1 || b.desk.contacts[0].Proof != "by phone by marie" {
		t.Errorf("settled %s, contacts %+v", got, b.desk.contacts)
	}
	if b.desk.mode.Mode != engine.Automatic || b.desk.mode.By != "marie" || b.desk.mode.Revision != 3 {
		t.Errorf("mode %+v", b.desk.mode)
	}
	if !b.desk.held || b.desk.checks != 1 || !b.desk.card.Paused || b.desk.card.By != "marie" {
		t.Errorf("the commands did not reach the desk: %+v", b.desk.card)
	}
}

func TestEveryCallNeedsASession(t *testing.T) {
	b := setup(t)
	for _, r := range routes {
		w := b.do(call{method: r.method, path: r.path, body: r.body, header: withKey})
		p := decode[Problem](t, w)
		if w.Code != 401 || p.Code != engine.Unsigned || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s", r.method, r.path, w.Code, w.Body)
		}
	}
	if b.desk.held || b.desk.mode.Mode != "" || b.desk.checks != 0 || b.desk.card.Paused || len(b.desk.people) != 0 || len(b.desk.contacts) != 0 || len(b.desk.settled) != 0 {
		t.Error("a call without a session changed something")
	}
}

func TestOtherClinicLooksMissing(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	for _, r := range routes {
		if !strings.Contains(r.path, "nord") {
			continue
		}
		var bodies [2]string
		for i, clinic := range []string{"sud", "nowhere"} {
			w := b.do(call{method: r.method, path: strings.Replace(r.path, "nord", clinic, 1), body: r.body, cookie: cookie, header: withKey})
			p := decode[Problem](t, w)
			p.Request = ""
			if w.Code != 404 {
				t.Errorf("%s %s: %d", r.method, r.path, w.Code)
			}
			bodies[i] = fmt.Sprint(p)
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s tells an existing clinic from a missing one", r.path)
		}
	}
	if b.desk.held || b.desk.mode.Mode != "" || b.desk.checks != 0 || b.desk.card.Paused || len(b.desk.people) != 0 || len(b.desk.contacts) != 0 || len(b.desk.settled) != 0 {
		t.Error("a call on another clinic changed something")
	}
	list := decode[ClinicList](t, b.do(call{method: "GET", path: "/api/v1/clinics", cookie: cookie}))
	if len(list.Clinics) != 1 || list.Clinics[0].ID != "nord" {
		t.Errorf("clinics: %+v", list)
	}
}

func TestBadInput(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	act := "/api/v1/clinics/nord/slots/s1/actions"
	for name, c := range map[string]struct {
		call
		status int
		in     string // of the body
	}{
		"malformed":       {call{method: "POST", path: act, body: `{"action":`}, 400, "not valid JSON"},
		"empty":           {call{method: "POST", path: act}, 400, "missing"},
		"unknown field":   {call{method: "POST", path: act, body: `{"action":"pause","revision":3,"secret":1}`}, 422, "unexpected property"},
		"missing field":   {call{method: "POST", path: act, body: `{"action":"pause"}`}, 422, "revision"},
		"unknown action":  {call{method: "POST", path: act, body: `{"action":"explode","revision":3}`}, 422, "body.action"},
		"wrong type":      {call{method: "POST", path: act, body: `{"action":"pause","revision":"3"}`}, 422, "body.revision"},
		"not an object":   {call{method: "POST", path: act, body: `[]`}, 422, "body"},
		"not JSON":        {call{method: "POST", path: act, body: "a=b", header: map[string]string{"Content-Type": "text/plain"}}, 415, "application/json"},
		"too large":       {call{method: "POST", path: act, body: `{"action":"` + strings.Repeat("x", 1<<20) + `"}`}, 413, "1 MiB"},
		"bad limit":       {call{method: "GET", path: "/api/v1/clinics/nord/waitlist?limit=0"}, 422, "query.limit"},
		"huge limit":      {call{method: "GET", path: "/api/v1/clinics/nord/waitlist?limit=9999999999999999999"}, 422, "query.limit"},
		"no such slot":    {call{method: "GET", path: "/api/v1/clinics/nord/slots/zz"}, 404, "no such slot"},
		"no such call":    {call{method: "GET", path: "/api/v1/nothing"}, 404, "/api/docs"},
		"wrong method":    {call{method: "POST", path: "/api/v1/me", body: "{}"}, 405, "Allow"},
		"bad class":       {call{method: "POST", path: "/api/v1/clinics/nord/waitlist", body: strings.Replace(enrolment, `"lang"`, `"class":-1,"lang"`, 1)}, 422, "body.class"},
		"bad channel":     {call{method: "POST", path: "/api/v1/clinics/nord/waitlist", body: strings.Replace(enrolment, `["sms"]`, `["pigeon"]`, 1)}, 422, "body.channels"},
		"no channel":      {call{method: "POST", path: "/api/v1/clinics/nord/waitlist", body: strings.Replace(enrolment, `["sms"]`, `[]`, 1)}, 422, "body.channels"},
		"short key":       {call{method: "POST", path: act, body: `{"action":"pause","revision":3}`, header: map[string]string{"Idempotency-Key": "x"}}, 422, "Idempotency-Key"},
		"key with spaces": {call{method: "POST", path: act, body: `{"action":"pause","revision":3}`, header: map[string]string{"Idempotency-Key": "a b c d e f"}}, 422, "Idempotency-Key"},
	} {
		c.cookie = cookie
		if c.header == nil || c.header["Idempotency-Key"] == "" {
			h := map[string]string{"Idempotency-Key": "press-0001"}
			maps.Copy(h, c.header)
			c.header = h
		}
		w := b.do(c.call)
		p := decode[Problem](t, w)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.in) || p.Status != c.status || p.Title == "" || p.Detail == "" || p.Request == "" {
			t.Errorf("%s: %d %.300s", name, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", name, w.Header().Get("Content-Type"))
		}
	}
	w := b.do(call{method: "POST", path: act, body: `{"action":"pause","revision":3}`, cookie: cookie})
	if w.Code != 422 || !strings.Contains(w.Body.String(), "Idempotency-Key") {
		t.Errorf("without key: %d %s", w.Code, w.Body)
	}
	if b.desk.card.Revision != 3 || len(b.desk.people) != 0 {
		t.Error("bad input changed something")
	}
}

func TestBodyOfExactlyOneMiBIsRead(t *testing.T) {
	b := setup(t)
	body := `{"hold":true` + strings.Repeat(" ", 1<<20-13) + `}`
	w := b.do(call{method: "POST", path: "/api/v1/clinics/nord/hold", body: body, cookie: b.login("marie")})
	if len(body) != 1<<20 || w.Code != 200 {
		t.Errorf("%d bytes: %d %s", len(body), w.Code, w.Body)
	}
}

// A problem must not repeat what was sent: it may be somebody's name.
func TestProblemsDoNotEchoInput(t *testing.T) {
	b := setup(t)
	w := b.do(call{
		method: "POST", path: "/api/v1/clinics/nord/waitlist", cookie: b.login("marie"),
		body: strings.Replace(enrolment, `"lang":"fr"`, `"lang":"Desrosiers"`, 1),
	})
	if w.Code != 422 || strings.Contains(w.Body.String(), "Desrosiers") || strings.Contains(w.Body.String(), "Tremblay") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestConflictSaysWhatChanged(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	c := call{method: "POST", path: "/api/v1/clinics/nord/slots/s1/actions", body: `{"action":"pause","revision":3}`, cookie: cookie, header: withKey}
	first := decode[desk.Card](t, b.do(c))
	again := decode[desk.Card](t, b.do(c))
	if first.Revision != 4 || again.Revision != 4 {
		t.Errorf("the same key acted twice: %d, %d", first.Revision, again.Revision)
	}
	c.header = map[string]string{"Idempotency-Key": "press-0002"}
	w := b.do(c)
	p := decode[Problem](t, w)
	if w.Code != 409 || p.Code != engine.Conflict || p.Card == nil || p.Card.Revision != 4 || p.Card.By != "marie" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestCodesBecomeStatuses(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	for code, status := range map[engine.Code]int{
		engine.Invalid: 422, engine.NotFound: 404, engine.Conflict: 409, engine.Forbidden: 403, engine.Unsigned: 401,
		engine.TooMany: 429, engine.Unavailable: 503, engine.StorageFull: 507, engine.Internal: 500,
	} {
		b.desk.err = fmt.Errorf("wrapped: %w", engine.Errorf(code, "the sentence"))
		w := b.do(call{method: "GET", path: "/api/v1/clinics/nord/calendar", cookie: cookie})
		p := decode[Problem](t, w)
		if w.Code != status || p.Code != code {
			t.Errorf("%s: %d %s", code, w.Code, w.Body)
		}
		if told := p.Detail == "the sentence"; told != (code != engine.Internal) {
			t.Errorf("%s: %s", code, p.Detail)
		}
		if wait := w.Header().Get("Retry-After"); (wait != "") != (status == 429 || status == 503) {
			t.Errorf("%s: Retry-After %q", code, wait)
		}
	}
	b.desk.err = errors.New("disk is on fire at sector 7")
	w := b.do(call{method: "GET", path: "/api/v1/clinics/nord/calendar", cookie: cookie})
	if w.Code != 500 || strings.Contains(w.Body.String(), "fire") || !strings.Contains(b.logs.String(), "sector 7") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	b.desk.err = fmt.Errorf("ask: %w", context.DeadlineExceeded)
	if w := b.do(call{method: "GET", path: "/api/v1/clinics/nord/calendar", cookie: cookie}); w.Code != 503 {
		t.Errorf("deadline: %d", w.Code)
	}
}

func TestWaitlistPages(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	for i := range 5 {
		b.desk.people = append(b.desk.people, desk.Person{Entry: engine.EntryID(fmt.Sprintf("e%d", i)), Name: "Zoé"})
	}
	var got []engine.EntryID
	path := "/api/v1/clinics/nord/waitlist?limit=2"
	for next := ""; ; {
		page := decode[People](t, b.do(call{method: "GET", path: path + next, cookie: cookie}))
		for _, p := range page.People {
			got = append(got, p.Entry)
		}
		if page.Next == "" {
			break
		}
		next = "&after=" + string(page.Next)
	}
	if fmt.Sprint(got) != "[e0 e1 e2 e3 e4]" {
		t.Errorf("pages: %v", got)
	}
	w := b.do(call{method: "POST", path: "/api/v1/clinics/nord/waitlist/search", body: `{"search":"nobody"}`, cookie: cookie})
	if strings.TrimSpace(w.Body.String()) != `{"people":[],"found":0,"counts":null}` {
		t.Errorf("empty page: %s", w.Body)
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	hold := call{method: "POST", path: "/api/v1/clinics/nord/hold", body: `{"hold":true}`, cookie: cookie}
	for _, h := range []map[string]string{
		{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
	} {
		hold.header = h
		if w := b.do(hold); w.Code != 403 || decode[Problem](t, w).Code != engine.Forbidden {
			t.Errorf("%v: %d %s", h, w.Code, w.Body)
		}
	}
	if b.desk.held {
		t.Error("another site held the clinic")
	}
	for _, h := range []map[string]string{{"Origin": "https://relais.example"}, {"Sec-Fetch-Site": "same-origin"}, {}} {
		hold.header = h
		if w := b.do(hold); w.Code != 200 {
			t.Errorf("%v: %d %s", h, w.Code, w.Body)
		}
	}
}

func TestPanicsAreRecoveredAndCounted(t *testing.T) {
	b := setup(t)
	b.Mount("/boom", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("Zoé Tremblay") }))
	w := b.do(call{method: "GET", path: "/boom"})
	if p := decode[Problem](t, w); w.Code != 500 || p.Code != engine.Internal || p.Request == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if b.counts.panics != 1 || b.counts.served["/boom GET 500"] != 1 {
		t.Errorf("%+v", b.counts.served)
	}
	if logs := b.logs.String(); strings.Contains(logs, "Tremblay") || !strings.Contains(logs, "api_test.go") {
		t.Errorf("log: %s", logs)
	}
}

func TestRequestsAreMeasuredByRoute(t *testing.T) {
	b := setup(t)
	b.do(call{method: "GET", path: "/api/v1/clinics/nord/slots/s1", cookie: b.login("marie")})
	b.do(call{method: "BREW", path: "/healthz"})
	if b.counts.served["/api/v1/clinics/{clinic}/slots/{slot} GET 200"] != 1 || b.counts.served["/ other 405"] != 1 {
		t.Errorf("%v", b.counts.served)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	ready := error(nil)
	b := setup(t, func(c *Config) { c.Ready = func(context.Context) error { return ready } })
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/robots.txt": 200} {
		if w := b.do(call{method: "GET", path: path}); w.Code != status {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	ready = errors.New("store is loading")
	if w := b.do(call{method: "GET", path: "/readyz"}); w.Code != 503 || strings.Contains(w.Body.String(), "store") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSecurityHeaders(t *testing.T) {
	b := setup(t, func(c *Config) { c.Secure = true })
	b.Mount("GET /extra", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, 200, "x") }))
	for _, path := range []string{"/healthz", "/extra", "/api/v1/me", "/api/docs", "/o/xxxxxxxxxxxx", "/", "/nothing"} {
		h := b.do(call{method: "GET", path: path}).Header()
		for k, v := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Strict-Transport-Security": "max-age=31536000",
		} {
			if h.Get(k) != v {
				t.Errorf("%s: %s is %q", path, k, h.Get(k))
			}
		}
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %q", path, csp)
		}
		if h.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", path)
		}
	}
	if h := setup(t).do(call{method: "GET", path: "/healthz"}).Header(); h.Get("Strict-Transport-Security") != "" {
		t.Error("HSTS over plain HTTP")
	}
}

func TestAddress(t *testing.T) {
	b := setup(t, func(c *Config) {
		c.TrustedProxies = []netip.Prefix{loopback, netip.MustParsePrefix("10.0.0.0/8")}
	})
	for _, c := range []struct{ remote, forwarded, want string }{
		{"203.0.113.9:1", "", "203.0.113.9"},
		{"203.0.113.9:1", "198.51.100.1", "203.0.113.9"}, // not a proxy of ours: its word counts for nothing
		{"127.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"127.0.0.1:1", "1.2.3.4, 198.51.100.1, 10.0.0.7", "198.51.100.1"}, // only the last hop we do not trust
		{"127.0.0.1:1", "nonsense", "127.0.0.1"},
		{"127.0.0.1:1", "", "127.0.0.1"},
		{"127.0.0.1:1", "10.0.0.7", "10.0.0.7"},
		{"[2001:db8:1:2:3::4]:1", "", "2001:db8:1:2::"},
		{"[::ffff:203.0.113.9]:1", "", "203.0.113.9"},
		{"[fe80::1%eth0]:1", "", "fe80::"},
		{"garbage", "", "invalid IP"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := b.address(r).String(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter[int](time.Minute, 1)
	now := time.Now()
	for i := range maxBuckets + 10 {
		if !l.take(now, i) {
			t.Fatal("a new key was refused")
		}
		if l.take(now, i) {
			t.Fatal("a second token came out of one")
		}
	}
	if n := len(l.buckets); n > maxBuckets {
		t.Errorf("%d buckets", n)
	}
	for i := range maxBuckets + 10 {
		l.take(now.Add(time.Hour), i)
	}
	if n := len(l.buckets); n > maxBuckets {
		t.Errorf("%d buckets", n)
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration was taken")
	}
}

func TestOpenAPI(t *testing.T) {
	raw, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenAPI()
	if err != nil || string(again) != string(raw) {
		t.Error("two descriptions differ")
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if doc["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", doc["openapi"])
	}
	paths, _ := doc["paths"].(map[string]any)
	for _, r := range append([]route{{method: "POST", path: "/api/v1/session"}, {method: "DELETE", path: "/api/v1/session"}}, routes...) {
		path, _, _ := strings.Cut(r.path, "?")
		path = strings.NewReplacer("nord", "{clinic}", "s1", "{slot}", "p1", "{patient}").Replace(path)
		item, _ := paths[path].(map[string]any)
		op, ok := item[strings.ToLower(r.method)].(map[string]any)
		if !ok {
			t.Errorf("%s %s is not described", r.method, path)
			continue
		}
		if secured := op["security"] != nil; secured == strings.HasSuffix(path, "/session") {
			t.Errorf("%s %s: security %v", r.method, path, op["security"])
		}
	}
	schemas, _ := doc["components"].(map[string]any)["schemas"].(map[string]any)
	for _, name := range []string{"Frame", "Snapshot", "Delta", "Ping", "Card", "Problem", "Detail", "Enrolment"} {
		if schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
	refs := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				refs++
				name, found := strings.CutPrefix(ref, "#/components/schemas/")
				if !found || schemas[name] == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(doc)
	if refs < 20 {
		t.Errorf("only %d references", refs)
	}
	if s := string(raw); strings.Contains(s, "ErrorModel") || !strings.Contains(s, `"suspended"`) {
		t.Error("huma's error model is still there, or the states are not")
	}
}

func TestDocsLoadNothing(t *testing.T) {
	b := setup(t)
	w := b.do(call{method: "GET", path: "/api/docs"})
	body := w.Body.String()
	if w.Code != 200 || strings.Contains(body, "<script") || strings.Contains(body, "http://") || strings.Contains(body, "https://") {
		t.Errorf("%d, or the page loads something", w.Code)
	}
	for _, want := range []string{"/api/v1/clinics/{clinic}/slots/{slot}/actions", `id="type-Frame"`, "Idempotency-Key", "one of free, reserved"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	checkStyleHash(t, w)
	for path, kind := range map[string]string{"/api/openapi.json": "openapi+json", "/api/openapi.yaml": "openapi+yaml"} {
		if w := b.do(call{method: "GET", path: path}); w.Code != 200 || !strings.Contains(w.Header().Get("Content-Type"), kind) || w.Body.Len() < 5000 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
