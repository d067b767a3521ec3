package sandbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// relais plays what Relais answers to webhooks and remembers them.
type relais struct {
	mu    sync.Mutex
	seen  []string
	twiml map[string]string
	base  string
}

func newRelais(t *testing.T, twiml map[string]string) *relais {
	t.Helper()
	r := &relais{twiml: twiml}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_ = req.ParseForm()
		if req.Header.Get("X-Twilio-Signature") != sign(testToken, r.base+req.RequestURI, req.PostForm) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		f := req.PostForm
		r.seen = append(r.seen, strings.TrimSpace(req.URL.Path+" "+f.Get("CallStatus")+f.Get("MessageStatus")+" "+f.Get("Digits")+f.Get("SpeechResult")+f.Get("AnsweredBy")))
		if doc, ok := r.twiml[req.URL.Path]; ok {
			_, _ = w.Write([]byte(doc))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	r.base = s.URL
	return r
}

func (r *relais) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func (r *relais) form(extra ...string) url.Values {
	f := url.Values{
		"From": {testFrom}, "To": {testPhone}, "Url": {r.base + "/voice"}, "StatusCallback": {r.base + "/status"},
		"StatusCallbackEvent": {"initiated", "ringing", "answered", "completed"},
	}
	for pair := range slices.Chunk(extra, 2) {
		f[pair[0]] = pair[1:]
	}
	return f
}

func said(t Thread) string {
	var out []string
	for _, l := range t.Items[len(t.Items)-1].Said {
		out = append(out, l.Who+": "+l.Say)
	}
	return strings.Join(out, "; ")
}

// pickUp answers once the phone rings.
func pickUp(t *testing.T, c *CarrierServer, sid string) {
	t.Helper()
	whenItRings(t, c.Answer, sid)
}

func whenItRings(t *testing.T, answer func(sid string) error, sid string) {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for answer(sid) != nil {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("it never rang")
		}
	}
}

func TestTwiML(t *testing.T) {
	for _, x := range []struct {
		name  string
		twiml map[string]string
		keys  []string
		want  string
	}{
		{
			"a key cuts the prompt short",
			map[string]string{
				"/voice": `<Response><Gather numDigits="1" action="/got"><Say>` + strings.Repeat("long ", 2000) + `</Say><Say>never</Say></Gather></Response>`,
				"/got":   `<Response><Say>got it</Say><Hangup/><Say>never</Say></Response>`,
			},
			[]string{"1"},
			"person: 1; relais: got it",
		},
		{
			"several digits and the finishing key",
			map[string]string{
				"/voice": `<Response><Gather timeout="60" action="got"><Say>number</Say></Gather></Response>`,
				"/got":   `<Response><Say>thanks</Say></Response>`,
			},
			[]string{"4", "2", "#"},
			"person: 4; person: 2; person: #; relais: thanks",
		},
		{
			"words",
			map[string]string{
				"/voice": `<Response><Gather input="dtmf speech" timeout="60" action="/got"><Say>yes or no</Say></Gather></Response>`,
				"/got":   `<Response><Say>heard</Say></Response>`,
			},
			[]string{"oui merci"},
			"person: oui merci; relais: heard",
		},
		{
			"nothing pressed goes on",
			map[string]string{"/voice": `<Response><Gather timeout="1" action="/got"><Say>press</Say></Gather><Pause length="1"/><Say>bye</Say></Response>`},
			nil, "relais: press; relais: bye",
		},
		{
			"redirect",
			map[string]string{
				"/voice": `<Response><Redirect>/other</Redirect><Say>never</Say></Response>`,
				"/other": `<Response><Say>other</Say></Response>`,
			},
			nil, "relais: other",
		},
		{
			"a redirect to itself ends some time",
			map[string]string{"/voice": `<Response><Redirect>/voice</Redirect></Response>`},
			nil, "",
		},
		{"not TwiML", map[string]string{"/voice": `<html/>`}, nil, "relais: An application error has occurred. Goodbye."},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRelais(t, x.twiml)
			w, c, _ := demo(t, nil)
			sid := dial(t, c, r.form())
			pickUp(t, c, sid)
			for _, k := range x.keys {
				watch(t, w, "the prompt", func(th Thread) bool { return len(th.Items) > 0 && len(th.Items[0].Said) > 0 })
				if err := c.Press(sid, k); err != nil {
					t.Fatal(err)
				}
			}
			th := watch(t, w, "the end", lastIs("ended"))
			got := said(th)
			if len(x.keys) > 0 {
				_, got, _ = strings.Cut(got, "; ") // the prompt itself
			}
			if got != x.want {
				t.Errorf("said %q, want %q", got, x.want)
			}
		})
	}
}

func TestCallLife(t *testing.T) {
	r := newRelais(t, map[string]string{"/voice": `<Response><Say>hello</Say></Response>`})
	w, c, _ := demo(t, nil)
	sid := dial(t, c, r.form("MachineDetection", "DetectMessageEnd", "AsyncAmd", "true", "AsyncAmdStatusCallback", r.base+"/amd"))
	if err := c.Press(sid, "1"); err == nil {
		t.Error("a key was pressed before the phone was picked up")
	}
	pickUp(t, c, sid)
	if err := c.Answer(sid); err == nil {
		t.Error("picked up twice")
	}
	watch(t, w, "the end", lastIs("ended"))
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !slices.Contains(r.heard(), "/status completed") {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("the end was never reported: %q", r.heard())
		}
	}
	got := slices.DeleteFunc(r.heard(), func(s string) bool { return strings.HasPrefix(s, "/amd") })
	want := []string{"/status initiated", "/status ringing", "/status in-progress", "/voice in-progress"}
	if len(got) < 4 || !slices.Equal(got[:4], want) {
		t.Errorf("webhooks %q", got)
	}
	if err := c.HangUp(sid); err == nil {
		t.Error("hung up twice")
	}
}

func TestCallEnds(t *testing.T) {
	for name, x := range map[string]struct {
		do            func(*testing.T, *CarrierServer, string)
		shown, status string
	}{
		"rings out": {func(*testing.T, *CarrierServer, string) {}, "missed", "no-answer"},
		"refused":   {func(_ *testing.T, c *CarrierServer, sid string) { _ = c.HangUp(sid) }, "missed", "busy"},
		"cancelled": {func(t *testing.T, c *CarrierServer, sid string) {
			t.Helper()
			if code, out := rest(t, c, "Calls/"+sid+".json", url.Values{"Twiml": {"<Response/>"}}); code != 400 || out["code"] != float64(21220) {
				t.Errorf("a ringing call was redirected: %d %v", code, out)
			}
			rest(t, c, "Calls/"+sid+".json", url.Values{"Status": {"canceled"}})
		}, "ended", "canceled"},
		"hung up": {func(t *testing.T, c *CarrierServer, sid string) {
			t.Helper()
			pickUp(t, c, sid)
			_ = c.HangUp(sid)
		}, "ended", "completed"},
		"completed by Relais": {func(t *testing.T, c *CarrierServer, sid string) {
			t.Helper()
			pickUp(t, c, sid)
			if code, out := rest(t, c, "Calls/"+sid+".json", url.Values{"Status": {"canceled"}}); code != 200 || out["status"] != "in-progress" {
				t.Errorf("cancelling a live call: %d %v", code, out)
			}
			rest(t, c, "Calls/"+sid+".json", url.Values{"Status": {"completed"}})
		}, "ended", "completed"},
		"redirected by Relais": {func(t *testing.T, c *CarrierServer, sid string) {
			t.Helper()
			pickUp(t, c, sid)
			rest(t, c, "Calls/"+sid+".json", url.Values{"Twiml": {"<Response><Say>too late</Say></Response>"}})
		}, "ended", "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelais(t, map[string]string{"/voice": `<Response><Say>` + strings.Repeat("long ", 5000) + `</Say></Response>`})
			w, c, _ := demo(t, nil)
			sid := dial(t, c, r.form())
			x.do(t, c, sid)
			watch(t, w, x.shown, lastIs(x.shown))
			_, out := rest(t, c, "Calls/"+sid+".json", nil)
			if out["status"] != x.status {
				t.Errorf("status %v", out["status"])
			}
			if code, out := rest(t, c, "Calls/"+sid+".json", url.Values{"Status": {"completed"}}); code != 400 || out["code"] != float64(21220) {
				t.Errorf("an ended call was changed: %d %v", code, out)
			}
		})
	}
}

func TestTextLife(t *testing.T) {
	r := newRelais(t, nil)
	w, c, _ := demo(t, nil)
	form := url.Values{"From": {testFrom}, "To": {testPhone}, "Body": {"Bonjour"}, "StatusCallback": {r.base + "/status"}}
	code, out := rest(t, c, "Messages.json", form)
	if code != 201 || out["status"] != "queued" {
		t.Fatalf("%d %v", code, out)
	}
	watch(t, w, "delivery", lastIs("delivered"))
	if _, got := rest(t, c, "Messages/"+out["sid"].(string)+".json", nil); got["status"] != "delivered" {
		t.Errorf("fetched %v", got)
	}
	if err := c.SetFaults(Carrier{FailShare: 100, DelayMilli: 1}); err != nil {
		t.Fatal(err)
	}
	rest(t, c, "Messages.json", form)
	watch(t, w, "failure", lastIs("failed"))
}

func TestRefusedRequests(t *testing.T) {
	_, c, _ := demo(t, nil)
	text := func(k, v string) url.Values {
		f := url.Values{"From": {testFrom}, "To": {testPhone}, "Body": {"x"}}
		f.Set(k, v)
		return f
	}
	for _, x := range []struct {
		path string
		form url.Values
		code float64
	}{
		{"Messages.json", text("To", "514"), 21211},
		{"Messages.json", text("To", "+15005550004"), 21610},
		{"Messages.json", text("Body", ""), 21602},
		{"Messages.json", text("Body", strings.Repeat("é", 1601)), 21617},
		{"Messages.json", text("From", ""), 21603},
		{"Messages/SMx.json", nil, 20404},
		{"Calls.json", text("Url", ""), 21205},
		{"Calls.json", text("Twiml", "<x/>"), 12100},
		{"Calls/CAx.json", text("Status", "completed"), 20404},
		{"Nothing.json", nil, 20404},
	} {
		if _, out := rest(t, c, x.path, x.form); out["code"] != x.code || out["message"] == "" || out["more_info"] == "" {
			t.Errorf("%s: %v, want %v", x.path, out, x.code)
		}
	}
	if err := c.SetFaults(Carrier{Down: true}); err != nil {
		t.Fatal(err)
	}
	if code, _ := rest(t, c, "Messages.json", text("x", "y")); code != http.StatusServiceUnavailable {
		t.Errorf("down: %d", code)
	}
}

func TestSignIn(t *testing.T) {
	_, c, _ := demo(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.BaseURL()+"/2010-04-01/Accounts/"+testAccount+"/Messages.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(testAccount, "wrong")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestForgetsTheOldest(t *testing.T) {
	_, c, _ := demo(t, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range maxResources + 10 {
		sid := fmt.Sprint("SM", i)
		c.messages[sid] = &message{sid: sid}
		c.keep(sid)
	}
	if len(c.messages) != maxResources || len(c.order) != maxResources || c.messages["SM0"] != nil {
		t.Errorf("%d messages, %d in order", len(c.messages), len(c.order))
	}
}

// FuzzTwiML: whatever the document, reading and playing it ends and does not panic.
func FuzzTwiML(f *testing.F) {
	f.Add([]byte(`<Response><Say>a</Say><Gather input="dtmf speech" numDigits="1" action="/x"><Say>b</Say></Gather><Hangup/></Response>`))
	f.Add([]byte(`<?xml version="1.0"?><Response><Message><Body>x</Body></Message><Redirect/></Response>`))
	f.Add([]byte(`<Response><Pause length="999999999999"/><Gather numDigits="-1" finishOnKey=""/></Response>`))
	w, err := OpenWall("", nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	c, err := StartCarrier(CarrierConfig{Wall: w, AccountSID: testAccount, AuthToken: testToken, From: testFrom, Second: time.Nanosecond, Dial: "127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = c.Close()
		_ = w.Close()
	})
	f.Fuzz(func(t *testing.T, doc []byte) {
		verbs, err := parseTwiML(doc)
		if err != nil {
			return
		}
		k, code, _ := c.newCall(url.Values{"From": {testFrom}, "To": {testPhone}, "Twiml": {string(doc)}})
		if code != 0 {
			t.Fatal("a document that can be read was refused")
		}
		k.start = document{verbs: verbs}
		k.status = "in-progress"
		k.keys <- "1"
		c.play(k)
		if !k.over() {
			t.Fatal("the call goes on")
		}
	})
}
