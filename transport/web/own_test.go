package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"relais/engine"
)

// TestOwnPages: somebody's own page and what it answers are one small request without scripts, in both
// languages.
func TestOwnPages(t *testing.T) {
	for _, lang := range []string{"fr", "en"} {
		b := setup(t)
		b.doors.still = true
		q := "?lang=" + lang
		at := "/p/" + goodOwn
		pages := map[string]*httptest.ResponseRecorder{
			"own":           b.do(call{method: "GET", path: at + q}),
			"own-paused":    b.post(at+"/snooze"+q, url.Values{"until": {"2026-12-24"}}, ""),
			"own-bad":       b.post(at+"/snooze"+q, url.Values{"until": {"2020-12-24"}}, ""),
			"own-left":      b.post(at+"/leave"+q, url.Values{"x": {"1"}}, ""),
			"own-withdrawn": b.post(at+"/withdraw"+q, url.Values{"x": {"1"}}, ""),
			"own-stop":      b.do(call{method: "GET", path: at + "/stop" + q}),
		}
		b.doors.identity = true
		pages["own-who"] = b.do(call{method: "GET", path: at + q})
		for name, w := range pages {
			if want := map[bool]int{true: 422, false: 200}[name == "own-bad"]; w.Code != want {
				t.Fatalf("%s: %d", name, w.Code)
			}
			golden(t, name+"."+lang, w)
			checkStyleHash(t, w)
			body := w.Body.String()
			if len(body) > 30_000 || strings.Contains(body, "<script") || strings.Contains(body, "src=") || strings.Contains(body, "%!") {
				t.Errorf("%s: %d bytes, or something to load or to fill in", name, len(body))
			}
			for k, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow, noarchive"} {
				if w.Header().Get(k) != want {
					t.Errorf("%s: %s is %q", name, k, w.Header().Get(k))
				}
			}
		}
	}
}

func TestChangingTheOwnPage(t *testing.T) {
	b := setup(t)
	at := "/p/" + goodOwn
	b.post(at+"/wish", url.Values{"entry": {"e1"}, "at": {"1-0"}, "words": {"jeudi après 15 h"}, "postal": {"H2X"}, "radius": {"25"}, "notice": {"45"}, "place": {"s"}}, "")
	b.post(at+"/person", url.Values{"speaks": {"en"}, "from": {"540"}, "to": {"1080"}}, "")
	b.post(at+"/stop", url.Values{"List-Unsubscribe": {"One-Click"}}, "") // a mail program
	b.post(at+"/add", url.Values{"contact": {"zoe@example.org"}, "consent": {ConsentVersion}}, "")
	if len(b.doors.changes) != 4 {
		t.Fatalf("%+v", b.doors.changes)
	}
	wish := b.doors.changes[0]
	if wish.Entry != "e1" || len(wish.Windows) != 2 || wish.PostalCode != "H2X" || wish.RadiusKm != 25 || wish.NoticeMinutes != 45 || wish.Places[0] != "s" {
		t.Errorf("%+v", wish)
	}
	if p := b.doors.changes[1]; p.Lang != "en" || *p.Hours != (engine.Hours{From: 540, Until: 1080}) {
		t.Errorf("%+v", p)
	}
	if s := b.doors.changes[2]; s.Index != 0 || s.Was != "••• 0142" {
		t.Errorf("%+v", s)
	}
	if w := b.post(at+"/add", url.Values{"contact": {"zoe@example.org"}}, ""); w.Code != 422 || len(b.doors.changes) != 4 { // without consent
		t.Errorf("%d", w.Code)
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		for _, end := range []string{"", "/wish", "/leave", "/withdraw", "/stop", "/renew"} {
			b.do(call{method: method, path: at + end})
		}
	}
	if len(b.doors.changes) != 4 {
		t.Error("reading changed something")
	}
	for range 40 {
		b.post(at+"/wake", url.Values{"x": {"1"}}, "")
	}
	if n := len(b.doors.changes) - 4; n > replyBurst {
		t.Errorf("%d presses", n)
	}
}

// TestIdentity: where the clinic asks, nothing is shown or done before the date of birth is given; it is in no
// address, cookie or log, and wrong ones end.
func TestIdentity(t *testing.T) {
	for _, at := range []string{"/p/" + goodOwn, "/o/" + goodToken} {
		b := setup(t)
		b.doors.identity = true
		v := b.offers.views[goodToken]
		v.Identity, v.Subject = true, "0123456789abcdef"
		b.offers.views[goodToken] = v
		shown := func(w *httptest.ResponseRecorder) bool {
			body := w.Body.String()
			return strings.Contains(body, "0142") || strings.Contains(body, "Dre Anne Roy") || strings.Contains(body, "décembre") || strings.Contains(body, "Dermatologie")
		}
		date := func(day, from string) *httptest.ResponseRecorder {
			return b.post(at+"/who", url.Values{"day": {day}, "month": {"2"}, "year": {"1946"}}, from)
		}
		for _, w := range []*httptest.ResponseRecorder{
			b.do(call{method: "GET", path: at}), b.post(at+"/yes", url.Values{"press": {"P"}}, ""), b.post(at+"/withdraw", url.Values{"x": {"1"}}, ""), date("4", ""),
			b.post(at+"/who", url.Values{"day": {"x"}}, ""),
		} {
			if shown(w) {
				t.Errorf("%s shows something: %s", at, w.Body)
			}
		}
		if len(b.offers.replies)+len(b.doors.changes) != 0 {
			t.Errorf("something was done: %+v %+v", b.offers.replies, b.doors.changes)
		}
		w := date("3", "")
		cookies := (&http.Response{Header: w.Header()}).Cookies()
		if w.Code != 303 || w.Header().Get("Location") != at+"?lang=fr" || len(cookies) != 1 || !cookies[0].HttpOnly {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		if w := b.do(call{method: "GET", path: at, cookie: cookies[0]}); !shown(w) {
			t.Errorf("%s: not shown to who gave the date", at)
		}
		forged := *cookies[0]
		forged.Value = strings.Replace(forged.Value, forged.Value[:10], "9999999999", 1)
		if w := b.do(call{method: "GET", path: at, cookie: &forged}); shown(w) {
			t.Error("a forged cookie works")
		}
		b.clock.add(whoLasts + 1)
		if w := b.do(call{method: "GET", path: at, cookie: cookies[0]}); shown(w) {
			t.Error("a cookie lasts for ever")
		}
		for range 4 {
			date("4", "198.51.100.9:1")
		}
		if w := date("3", "198.51.100.10:1"); w.Code != 429 || !strings.Contains(w.Body.String(), "514 555-0100") {
			t.Errorf("%d", w.Code)
		}
		b.doors.dates = nil
		for range 30 {
			date("4", "198.51.100.11:1")
			b.doors.dates = b.doors.dates[:min(1, len(b.doors.dates))]
		}
		if b.counts.limited[LimitWho] == 0 {
			t.Error("an address may try for ever")
		}
		if log := b.logs.String(); strings.Contains(log, "1946") || strings.Contains(log, goodOwn) {
			t.Error("the log says too much")
		}
	}
	// Unsubscribing asks nothing, and shows nothing.
	b := setup(t)
	v := b.offers.views[goodToken]
	v.Identity, v.Subject = true, "0123456789abcdef"
	b.offers.views[goodToken] = v
	w := b.post("/o/"+goodToken+"/leave", url.Values{"List-Unsubscribe": {"One-Click"}}, "")
	if w.Code != 200 || len(b.offers.replies) != 1 || strings.Contains(w.Body.String(), "décembre") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
