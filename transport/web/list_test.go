package web

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/roster"
)

// TestConflictSaysWhoWasFirst: a change made on something older is refused with who changed it, and when.
func TestConflictSaysWhoWasFirst(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	w := b.do(call{
		method: "POST", path: "/api/v1/clinics/nord/patients/p1", cookie: cookie,
		body: `{"revision":7,"given":"Anne","family":"Roy","lang":"fr","source":"Patient/1"}`,
	})
	p := decode[Problem](t, w)
	if w.Code != 409 || p.Code != engine.Conflict || p.Changed == nil || p.Changed.By != "berthe" || !p.Changed.At.Equal(time.Date(2026, 11, 30, 14, 0, 0, 0, time.UTC)) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestWaitlistFile: a file that a person can import may be larger than other bodies, and what is exported is
// a download.
func TestWaitlistFile(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	send := func(n int) int {
		file := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", n)))
		w := b.do(call{method: "POST", path: "/api/v1/clinics/nord/waitlist/import", cookie: cookie, body: `{"dry":true,"file":"` + file + `"}`})
		if w.Code == 200 {
			if got := decode[desk.Import](t, w); got.New != n || got.Done {
				t.Errorf("%d bytes arrived as %+v", n, got)
			}
		}
		return w.Code
	}
	if code := send(roster.MaxBytes); code != 200 {
		t.Errorf("a file of the largest size: %d", code)
	}
	if code := send(2 * roster.MaxBytes); code != 413 {
		t.Errorf("a file of twice that: %d", code)
	}
	w := b.do(call{method: "GET", path: "/api/v1/clinics/nord/waitlist.csv?lang=en", cookie: cookie})
	if w.Code != 200 || w.Body.String() != "\ufeffnord,en\r\n" || !strings.HasPrefix(w.Header().Get("Content-Disposition"), "attachment;") ||
		w.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
}
