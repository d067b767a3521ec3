package web

import (
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"relais/engine"
)

var update = flag.Bool("update", false, "rewrite the golden pages")

var handleField = regexp.MustCompile(`name="handle" value="[^"]+"`)

var pressField = regexp.MustCompile(`name="press" value="[A-Z2-7]+"`)

var styleElement = regexp.MustCompile(`(?s)<style>(.*?)</style>`)

// checkStyleHash computes the hash as a browser does.
func checkStyleHash(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	m := styleElement.FindAllStringSubmatch(w.Body.String(), -1)
	if len(m) != 1 {
		t.Fatalf("%d style elements", len(m))
	}
	sum := sha256.Sum256([]byte(m[0][1]))
	want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, want) {
		t.Errorf("the policy %q forbids the page's own style %s", csp, want)
	}
	if strings.Contains(w.Body.String(), " style=") {
		t.Error("a style attribute, which the policy forbids")
	}
}

var patientStates = map[string]engine.AnswerKind{
	"open": "", "booked": engine.AnsBooked, "finalising": engine.AnsFinalising, "taken": engine.AnsTaken,
	"expired": engine.AnsExpired, "withdrawn": engine.AnsWithdrawn, "declined": engine.AnsDeclined,
	"refused": engine.AnsRefused, "paused": engine.AnsPaused, "stopped": engine.AnsStopped,
}

func golden(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	// One style and one random value would only make the pages harder to compare.
	got := styleElement.ReplaceAllString(pressField.ReplaceAllString(w.Body.String(), `name="press" value="…"`), "<style>…</style>")
	path := filepath.Join("testdata", "patient", name+".html")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look, then run with -update:\n%s", path, got)
	}
}

func TestPatientPages(t *testing.T) {
	b := setup(t)
	for name, state := range patientStates {
		for _, lang := range []string{"fr", "en"} {
			v := b.offers.views[goodToken]
			v.State = state
			b.offers.views[goodToken] = v
			w := b.do(call{method: "GET", path: "/o/" + goodToken + "?lang=" + lang})
			body := w.Body.String()
			if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("%s: %d", name, w.Code)
			}
			golden(t, name+"."+lang, w)
			checkStyleHash(t, w)
			for k, want := range map[string]string{
				"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow, noarchive",
			} {
				if w.Header().Get(k) != want {
					t.Errorf("%s: %s is %q", name, k, w.Header().Get(k))
				}
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "form-action 'self'") {
				t.Errorf("%s: %s", name, csp)
			}
			if w.Body.Len() > 30_000 || strings.Contains(body, "<script") || strings.Contains(body, "src=") {
				t.Errorf("%s: %d bytes, or something to load", name, w.Body.Len())
			}
			if !strings.Contains(body, `lang="`+lang+`-CA"`) {
				t.Errorf("%s: language", name)
			}
			if asks := strings.Contains(body, "/yes?"); asks != (state == "") {
				t.Errorf("%s: buttons %v", name, asks)
			}
		}
	}
	if len(b.offers.replies) != 0 {
		t.Error("reading pages answered")
	}
}

func TestLanguageOfThePatientPage(t *testing.T) {
	b := setup(t)
	french, english := "Un rendez-vous s’est libéré", "An appointment has opened up"
	for _, c := range []struct {
		stored engine.Lang
		query  string
		want   string
	}{
		{"fr", "", french},
		{"en", "", english},
		{"", "", french},
		{"fr", "?lang=en", english},
		{"en", "?lang=fr", french},
		{"en", "?lang=de", english},
		{"en", "?lang=%zz", english},
	} {
		v := b.offers.views[goodToken]
		v.Lang = c.stored
		b.offers.views[goodToken] = v
		if w := b.do(call{method: "GET", path: "/o/" + goodToken + c.query}); !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

func form(path, press string) call {
	return call{method: "POST", path: path, body: "press=" + press, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}
}

func TestPressing(t *testing.T) {
	b := setup(t)
	open := b.do(call{method: "GET", path: "/o/" + goodToken}).Body.String()
	m := regexp.MustCompile(`name="press" value="([A-Z2-7]{26})"`).FindStringSubmatch(open)
	if m == nil {
		t.Fatal("no press field")
	}
	for range 2 { // a double press counts once and shows the same
		w := b.do(form("/o/"+goodToken+"/yes?lang=en", m[1]))
		if w.Code != 200 || !strings.Contains(w.Body.String(), "Your appointment is confirmed") || !strings.Contains(w.Body.String(), `role="status"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if len(b.offers.replies) != 1 {
		t.Fatalf("%d replies", len(b.offers.replies))
	}
	r := b.offers.replies[0]
	if r.Token != goodToken || r.Channel != engine.Page || r.Intent != engine.Yes || !r.At.Equal(b.clock.now()) || strings.Contains(r.ID, goodToken) || r.Phone != "" || r.Attempt != "" {
		t.Errorf("%+v", r)
	}
	// Loaded again, a page's press is a new one.
	if a, b := pressID("t", "A", engine.Yes), pressID("t", "B", engine.Yes); a == b || pressID("t", "A", engine.No) == a {
		t.Error("presses share an identifier")
	}
	if w := b.do(call{method: "GET", path: "/o/" + goodToken}); !strings.Contains(w.Body.String(), "Votre rendez-vous est confirmé") {
		t.Error("the page forgot the answer")
	}
}

func TestDeclining(t *testing.T) {
	b := setup(t)
	w := b.do(form("/o/"+goodToken+"/no", "X"))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "vous ne prenez pas ce rendez-vous") || b.offers.replies[0].Intent != engine.No {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOneClickUnsubscribe(t *testing.T) {
	multipart := "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n"
	for kind, body := range map[string]string{
		"application/x-www-form-urlencoded": "List-Unsubscribe=One-Click", "multipart/form-data; boundary=x": multipart,
	} {
		b := setup(t)
		if w := b.do(call{method: "GET", path: "/o/" + goodToken + "/leave"}); w.Code != 200 || !strings.Contains(w.Body.String(), "/leave?lang=fr") || len(b.offers.replies) != 0 {
			t.Errorf("GET leave: %d, %d replies", w.Code, len(b.offers.replies))
		}
		w := b.do(call{method: "POST", path: "/o/" + goodToken + "/leave", body: body, header: map[string]string{"Content-Type": kind}})
		if w.Code != 200 || !strings.Contains(w.Body.String(), "Vous ne recevrez plus d’offres par courriel") {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
		if len(b.offers.replies) != 1 || b.offers.replies[0].Intent != engine.Stop || b.offers.replies[0].Channel != engine.EmailMail {
			t.Errorf("%+v", b.offers.replies)
		}
	}
}

// TestLeaveEverything: who has no e-mail is not told that e-mails stop, and can stop everything.
func TestLeaveEverything(t *testing.T) {
	b := setup(t)
	v := b.offers.views[goodToken]
	v.Mail = false
	b.offers.views[goodToken] = v
	page := b.do(call{method: "GET", path: "/o/" + goodToken}).Body.String()
	if strings.Contains(page, "par courriel") || !strings.Contains(page, "/leave/all?lang=fr") {
		t.Errorf("the page offers what does not help: %s", page)
	}
	w := b.do(form("/o/"+goodToken+"/leave/all", "X"))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "Vous ne recevrez plus d’offres") || strings.Contains(w.Body.String(), "/leave") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if r := b.offers.replies; len(r) != 1 || r[0].Intent != engine.Stop || r[0].Channel != engine.Page {
		t.Errorf("%+v", r)
	}
}

// TestCalendarFile: there is one for who booked, and for nobody else.
func TestCalendarFile(t *testing.T) {
	b := setup(t)
	path := "/o/" + goodToken + "/calendar"
	if w := b.do(call{method: "GET", path: path}); w.Code != 404 || strings.Contains(b.do(call{method: "GET", path: "/o/" + goodToken}).Body.String(), "/calendar") {
		t.Errorf("before the booking: %d", w.Code)
	}
	b.do(form("/o/"+goodToken+"/yes", "X"))
	if page := b.do(call{method: "GET", path: "/o/" + goodToken}).Body.String(); !strings.Contains(page, `href="`+path+`?lang=fr"`) {
		t.Errorf("the page has no calendar file: %s", page)
	}
	w := b.do(call{method: "GET", path: path + "?lang=en"})
	if h := w.Header(); w.Code != 200 || !strings.HasPrefix(h.Get("Content-Type"), "text/calendar") || !strings.Contains(h.Get("Content-Disposition"), `"appointment.ics"`) || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, h)
	}
}

func TestReadingNeverChangesAnything(t *testing.T) {
	b := setup(t)
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"} {
		for _, end := range []string{"", "/yes", "/no", "/leave", "/leave/all", "/calendar", "/", "/yes/"} {
			w := b.do(call{method: method, path: "/o/" + goodToken + end})
			if method == "HEAD" && end == "" && w.Code != 200 {
				t.Errorf("HEAD: %d", w.Code)
			}
			if method == "GET" && (end == "/yes" || end == "/no") && (w.Code != 303 || w.Header().Get("Location") != "/o/"+goodToken) {
				t.Errorf("GET %s: %d %s", end, w.Code, w.Header().Get("Location"))
			}
		}
	}
	if len(b.offers.replies) != 0 {
		t.Errorf("%+v", b.offers.replies)
	}
}

func TestUnknownTokensShareOnePage(t *testing.T) {
	b := setup(t)
	first := ""
	for i, path := range []string{
		"/o/Unknown-token-000000001", "/o/x", "/o/", "/o/" + strings.Repeat("a", 500), "/o/%2e%2e%2fetc", "/o/bad%20token%20here", "/o/<script>",
		"/o/Unknown-token-000000001/yes", "/o/Unknown-token-000000001/leave", "/o/a/b/c", "/o/Unknown-token-000000001?lang=en",
	} {
		b.clock.add(guessEvery)
		method := "GET"
		if strings.HasSuffix(path, "/yes") {
			method = "POST"
		}
		w := b.do(call{method: method, path: path})
		if i == 0 {
			first = w.Body.String()
			golden(t, "gone", w)
			checkStyleHash(t, w)
		}
		if w.Code != 404 || w.Body.String() != first || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
	if len(b.offers.replies) != 0 {
		t.Error("a made-up token answered")
	}
}

func TestGuessesAreLimited(t *testing.T) {
	b := setup(t)
	for range guessBurst {
		if w := b.do(call{method: "GET", path: "/o/Unknown-token-000000001"}); w.Code != 404 {
			t.Fatal(w.Code)
		}
	}
	calls := b.offers.offers
	w := b.do(call{method: "GET", path: "/o/" + goodToken})
	if w.Code != 429 || w.Header().Get("Retry-After") == "" || b.offers.offers != calls || b.counts.limited[LimitToken] != 1 {
		t.Errorf("%d, %d calls", w.Code, b.offers.offers-calls)
	}
	golden(t, "later", w)
	if w := b.do(call{method: "GET", path: "/o/" + goodToken, from: "198.51.100.7:1"}); w.Code != 200 {
		t.Errorf("another address: %d", w.Code)
	}
	b.clock.add(guessEvery)
	if w := b.do(call{method: "GET", path: "/o/" + goodToken}); w.Code != 200 {
		t.Errorf("after waiting: %d", w.Code)
	}
	// Good links cost nothing.
	for range guessBurst * 2 {
		if w := b.do(call{method: "GET", path: "/o/" + goodToken, from: "198.51.100.7:1"}); w.Code != 200 {
			t.Fatal(w.Code)
		}
	}
}

func TestPressesAreLimited(t *testing.T) {
	b := setup(t)
	last := 0
	for range replyBurst + 1 {
		last = b.do(form("/o/"+goodToken+"/no", "X")).Code
	}
	if last != 429 || b.counts.limited[LimitReply] != 1 {
		t.Errorf("%d", last)
	}
}

func TestFailedPressesAreHonest(t *testing.T) {
	b := setup(t)
	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{engine.Errorf(engine.StorageFull, "disk full"), 507, "aucune réponse n’a été enregistrée"},
		{engine.Errorf(engine.TooMany, "busy"), 429, "aucune réponse n’a été enregistrée"},
		{engine.Errorf(engine.Unavailable, "away"), 503, "Nous ne savons pas"},
		{engine.Errorf(engine.Internal, "bug in line 7"), 500, "Nous ne savons pas"},
		{engine.Errorf(engine.NotFound, "gone"), 404, "Ce lien ne mène à aucune offre"},
	} {
		b.offers.err = c.err
		b.clock.add(time.Minute)
		w := b.do(form("/o/"+goodToken+"/yes", "X"))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), c.err.Error()) {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
	}
	b.offers.err = nil
	w := b.do(form("/o/"+goodToken+"/yes", strings.Repeat("x", maxForm)))
	if w.Code != 413 || len(b.offers.replies) != 0 {
		t.Errorf("large form: %d", w.Code)
	}
}

// An old browser posts "Origin: null" from a page without referrer; the token is what counts.
func TestPatientsPressFromOldBrowsers(t *testing.T) {
	b := setup(t)
	c := form("/o/"+goodToken+"/yes", "X")
	c.header["Origin"] = "null"
	if w := b.do(c); w.Code != 200 || len(b.offers.replies) != 1 {
		t.Errorf("%d", w.Code)
	}
}

func TestTokensStayOutOfTheLog(t *testing.T) {
	b := setup(t)
	for _, end := range []string{"", "/yes", "/no", "/leave"} {
		b.do(call{method: "GET", path: "/o/" + goodToken + end})
		b.do(form("/o/"+goodToken+end, "X"))
	}
	b.offers.err = engine.Errorf(engine.Internal, "store broke")
	b.do(form("/o/"+goodToken+"/yes", "Y"))
	if logs := b.logs.String(); strings.Contains(logs, goodToken) || !strings.Contains(logs, "/o/{token}/yes") || !strings.Contains(logs, "store broke") {
		t.Error(logs)
	}
	for route := range b.counts.served {
		if strings.Contains(route, goodToken) {
			t.Error(route)
		}
	}
}

func TestWords(t *testing.T) {
	for state := range sayings[engine.French] {
		fr, en := sayings[engine.French][state], sayings[engine.English][state]
		if fr.Title == "" || en.Title == "" || len(fr.Text) != len(en.Text) || fr.Ask != en.Ask || fr.Again != en.Again || fr.Keep != en.Keep {
			t.Errorf("%q differs between the languages", state)
		}
	}
	fr, en := wordsOf[engine.French], wordsOf[engine.English]
	at := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{fr.day(at), "mardi\u00a01er\u00a0décembre"},
		{fr.clock(at), "9\u00a0h"},
		{fr.clock(at.Add(5 * time.Minute)), "9\u00a0h\u00a005"},
		{fr.clock(at.Add(8 * time.Hour)), "17\u00a0h"},
		{en.day(at), "Tuesday, December\u00a01"},
		{en.clock(at.Add(20 * time.Minute)), "9:20\u00a0a.m."},
		{en.clock(at.Add(3 * time.Hour)), "12:00\u00a0p.m."},
		{en.moment(at), "Tuesday, December\u00a01, 9:00\u00a0a.m."},
		{dial("+1 (514) 555-0100"), "+15145550100"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// FuzzPatientPath: whatever the token and the query, the answer is one of the known pages, nothing
// is answered for the patient, and the text given is not repeated raw.
func FuzzPatientPath(f *testing.F) {
	for _, s := range []string{goodToken, "", "..", "a/b", "<script>alert(1)</script>", "é", "%00", "\x00", strings.Repeat("A", 200)} {
		f.Add(s, "fr")
		f.Add(goodToken, s)
	}
	b := setup(f)
	f.Fuzz(func(t *testing.T, token, lang string) {
		b.clock.add(time.Hour)
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://relais.example/o/x", nil)
		r.URL.Path = "/o/" + token
		r.URL.RawQuery = "lang=" + lang
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, r)
		switch w.Code {
		case 200, 301, 303, 307, 308, 404:
		default:
			t.Errorf("%d for %q", w.Code, token)
		}
		if w.Code == 200 && token != goodToken && !strings.HasPrefix(token, goodToken+"/leave") {
			t.Errorf("%q shows an offer", token)
		}
		if strings.Contains(w.Body.String(), "<script") {
			t.Error("a script in the page")
		}
		if len(b.offers.replies) != 0 {
			t.Error("a GET answered")
		}
	})
}
