package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	testAccount = "ACtest"
	testToken   = "token"
	testFrom    = "+15145550100"
	testPhone   = "+15145550123"
)

// demo is a wall, a carrier and the pages' API over HTTP. hook plays Relais.
func demo(t *testing.T, hook http.HandlerFunc) (*Wall, *CarrierServer, string) {
	t.Helper()
	if hook == nil {
		hook = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	}
	relais := httptest.NewServer(hook)
	t.Cleanup(relais.Close)
	w, err := OpenWall("", []Person{{Name: "Luc Roy", Phone: testPhone, Email: "luc@example.org", Lang: "fr"}, {Name: "Ana", Email: "ana@example.org"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := StartCarrier(CarrierConfig{
		Wall: w, AccountSID: testAccount, AuthToken: testToken, From: testFrom,
		SmsURL: relais.URL + "/sms", Second: 2 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	pages := httptest.NewServer(Handler(w, c, nil))
	t.Cleanup(func() {
		pages.Close()
		_ = c.Close()
		_ = w.Close()
	})
	return w, c, pages.URL + "/sandbox/api/"
}

// send posts JSON and returns the status and the error's sentence.
func send(t *testing.T, address, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct{ Error string }
	_ = json.NewDecoder(resp.Body).Decode(&out)
	return resp.StatusCode, out.Error
}

func state(t *testing.T, api string) State {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"state", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var s State
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// dial places a call through the REST API and returns its SID.
func dial(t *testing.T, c *CarrierServer, form url.Values) string {
	t.Helper()
	code, out := rest(t, c, "Calls.json", form)
	if code != http.StatusCreated {
		t.Fatalf("call: %d %v", code, out)
	}
	return out["sid"].(string)
}

func rest(t *testing.T, c *CarrierServer, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.BaseURL()+"/2010-04-01/Accounts/"+testAccount+"/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(testAccount, testToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out
}

// watch waits until a thread on the wall is as ok wants it.
func watch(t *testing.T, w *Wall, what string, ok func(Thread) bool) Thread {
	t.Helper()
	s := w.watch()
	defer w.unwatch(s)
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for {
		for _, th := range w.Threads() {
			if ok(th) {
				return th
			}
		}
		select {
		case <-s.events:
		case <-limit.C:
			t.Fatalf("never shown: %s\n%+v", what, w.Threads())
		}
	}
}

func lastIs(status string) func(Thread) bool {
	return func(t Thread) bool { return len(t.Items) > 0 && t.Items[len(t.Items)-1].Status == status }
}

func TestPages(t *testing.T) {
	w, _, api := demo(t, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(rw, `<Response><Message>Merci &amp; à bientôt: %s</Message></Response>`, r.FormValue("Body"))
	})
	s := state(t, api)
	if len(s.Threads) != 2 || s.Records == nil || s.Threads[0].Items == nil {
		t.Fatalf("state %+v", s)
	}
	luc := threadID(testPhone)
	if code, msg := send(t, api+"threads/"+luc+"/text", `{"text":"OUI"}`); code != http.StatusNoContent {
		t.Fatalf("text: %d %s", code, msg)
	}
	th := watch(t, w, "the answer", func(th Thread) bool { return len(th.Items) == 2 && th.Items[0].Status == "delivered" })
	if th.Name != "Luc Roy" || !th.Items[0].Mine || th.Items[1].Text != "Merci & à bientôt: OUI" {
		t.Errorf("thread %+v", th)
	}
	for _, x := range []struct {
		path, body string
		code       int
	}{
		{"threads/nobody/text", `{"text":"OUI"}`, 404},
		{"threads/" + luc + "/text", `{"text":""}`, 400},
		{"threads/" + luc + "/text", `{"text":"` + strings.Repeat("x", 1601) + `"}`, 400},
		{"threads/" + luc + "/text", `{`, 400},
		{"threads/" + threadID("ana@example.org") + "/text", `{"text":"OUI"}`, 400},
		{"calls/CAx/answer", "", 404},
		{"calls/CAx/hangup", "", 404},
		{"calls/CAx/press", `{"key":"1"}`, 404},
		{"calls/CAx/press", `{"key":"x"}`, 400},
		{"carrier", `{"fail_share":101}`, 400},
		{"carrier", `{"delay_milli":-1}`, 400},
		{"carrier", `{"down":true,"fail_share":5,"delay_milli":10}`, 204},
	} {
		code, msg := send(t, api+x.path, x.body)
		if code != x.code || (code != 204) != (msg != "") {
			t.Errorf("%s %s: %d %q", x.path, x.body, code, msg)
		}
	}
	if got := state(t, api).Carrier; got != (Carrier{Down: true, FailShare: 5, DelayMilli: 10}) {
		t.Errorf("carrier %+v", got)
	}
}

func TestOtherSitesCannotPress(t *testing.T) {
	_, _, api := demo(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"calls/CA1/answer", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestEvents(t *testing.T) {
	w, _, api := demo(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	in := bufio.NewScanner(resp.Body)
	next := func() (event, data string) {
		for in.Scan() {
			switch line := in.Text(); {
			case strings.HasPrefix(line, "event: "):
				event = line[7:]
			case strings.HasPrefix(line, "data: "):
				return event, line[6:]
			}
		}
		t.Fatal("the stream ended")
		return "", ""
	}
	if in.Scan(); in.Text() != "retry: 1000" {
		t.Errorf("first line %q", in.Text())
	}
	w.add(testPhone, Item{ID: "SM1", Kind: "sms", Text: "Bonjour\nhttps://relais.example/o/x.", Status: "queued"})
	event, data := next()
	var th Thread
	if err := json.Unmarshal([]byte(data), &th); err != nil || event != "thread" {
		t.Fatalf("%s %s", event, data)
	}
	if th.Name != "Luc Roy" || len(th.Items) != 1 || len(th.Items[0].Links) != 1 || th.Items[0].Links[0] != "https://relais.example/o/x" {
		t.Errorf("thread %+v", th)
	}
	w.Record(Record{Clinic: "parc"})
	if event, data := next(); event != "dme" || !strings.Contains(data, `"parc"`) {
		t.Errorf("%s %s", event, data)
	}
}

func TestSlowWatcherIsDropped(t *testing.T) {
	w, _, _ := demo(t, nil)
	slow := w.watch()
	for i := range maxBehind + 1 {
		w.add(testPhone, Item{ID: fmt.Sprint("SM", i), Kind: "sms"})
	}
	n := 0
	for range slow.events { // ends because it was closed
		n++
	}
	if n != maxBehind {
		t.Errorf("%d events", n)
	}
	var all []*subscriber
	for range maxWatchers {
		s := w.watch()
		if s == nil {
			t.Fatal("refused below the limit")
		}
		all = append(all, s)
	}
	if w.watch() != nil {
		t.Error("one too many")
	}
	w.unwatch(all[0])
	if w.watch() == nil {
		t.Error("refused though one left")
	}
}

func TestWallIsBounded(t *testing.T) {
	w, err := OpenWall("", []Person{{Name: "Luc", Phone: testPhone}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	for i := range maxItems + 7 {
		w.add(testPhone, Item{ID: fmt.Sprint("SM", i), Kind: "sms"})
	}
	w.status("SM0", "delivered") // scrolled away: nothing to do
	for i := range maxThreads + 5 {
		w.add(fmt.Sprintf("+1514%07d", i), Item{ID: fmt.Sprint("X", i), Kind: "sms"})
	}
	if len(w.threads) != maxThreads || len(w.where) > maxThreads+maxItems || len(w.owner) != maxThreads {
		t.Errorf("%d threads, %d items, %d owners", len(w.threads), len(w.where), len(w.owner))
	}
	th := w.threads[threadID(testPhone)]
	if th == nil || len(th.Items) != maxItems || th.Items[0].ID != "SM7" {
		t.Errorf("known person's thread %+v", th)
	}
	for range maxLines + 5 {
		w.say("SM8", "relais", "x")
	}
	if n := len(th.Items[1].Said); n != maxLines {
		t.Errorf("%d lines", n)
	}
}

func TestWallSurvivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wall.db")
	people := []Person{{Name: "Luc", Phone: testPhone}}
	w, err := OpenWall(path, people, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.add(testPhone, Item{ID: "SM1", Kind: "sms", Text: "un", Status: "delivered"})
	w.add(testPhone, Item{ID: "CA1", Kind: "call", Status: "live"})
	w.add(testPhone, Item{ID: "CA2", Kind: "call", Status: "ringing"})
	w.add(testPhone, Item{ID: "SM2", Kind: "sms", Status: "queued"})
	w.add("+15145550199", Item{ID: "SM3", Kind: "sms", Text: "inconnu", Status: "delivered"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	people[0].Name = "Luc Roy"
	if w, err = OpenWall(path, people, nil); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	byName := map[string]Thread{}
	for _, th := range w.Threads() {
		byName[th.Name] = th
	}
	var got []string
	for _, it := range byName["Luc Roy"].Items {
		got = append(got, it.ID+" "+it.Status)
	}
	if want := "SM1 delivered, CA1 ended, CA2 ended, SM2 failed"; strings.Join(got, ", ") != want {
		t.Errorf("items %q", got)
	}
	if len(byName["+15145550199"].Items) != 1 {
		t.Errorf("threads %+v", byName)
	}
	w.Know(Person{Name: "Inconnu", Phone: "+15145550199", Email: "I@example.org"})
	w.add("i@example.org", Item{ID: "EM1", Kind: "email", Status: "delivered"})
	if th := w.threads[threadID("+15145550199")]; th.Name != "Inconnu" || len(th.Items) != 2 {
		t.Errorf("thread of somebody known later %+v", th)
	}
	w.status("SM1", "read")
	if th := w.threads[threadID(testPhone)]; th.Items[0].Status != "read" {
		t.Error("an item that was loaded cannot be changed")
	}
}
