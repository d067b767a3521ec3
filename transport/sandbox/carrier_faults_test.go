package sandbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// text is a request for a text of one attempt.
func (r *relais) text(to, attempt string) url.Values {
	return url.Values{"From": {testFrom}, "To": {to}, "Body": {"Bonjour"}, "StatusCallback": {r.base + "/status/" + attempt}}
}

// until waits for what was heard to be as wanted.
func (r *relais) until(t *testing.T, what string, ok func([]string) bool) {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok(r.heard()) {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("never: %s; heard %q", what, r.heard())
		}
	}
}

func TestLines(t *testing.T) {
	for line, x := range map[LineKind]struct {
		code   int     // of the request
		fault  float64 // of the request
		status string
		why    any
	}{
		LinePerson:   {201, 0, "delivered", nil},
		LineGone:     {400, 21211, "", nil},
		LineLandline: {201, 0, "undelivered", 30006.0},
		LineFiltered: {201, 0, "undelivered", 30007.0},
		LineOff:      {201, 0, "undelivered", 30003.0},
		LineMachine:  {201, 0, "delivered", nil},
	} {
		t.Run(string(line), func(t *testing.T) {
			r := newRelais(t, nil)
			_, c, _ := demo(t, nil)
			if err := c.SetLine(testPhone, line); err != nil {
				t.Fatal(err)
			}
			code, out := rest(t, c, "Messages.json", r.text(testPhone, "a"))
			if code != x.code || x.fault != 0 && out["code"] != x.fault {
				t.Fatalf("%d %v", code, out)
			}
			if x.status == "" {
				return
			}
			r.until(t, "the end", func(h []string) bool { return slices.Contains(h, "/status/a "+x.status) })
			if _, got := rest(t, c, "Messages/"+out["sid"].(string)+".json", nil); got["error_code"] != x.why {
				t.Errorf("error %v", got["error_code"])
			}
		})
	}
}

func TestWhoPicksUp(t *testing.T) {
	for line, want := range map[LineKind]string{
		LineMachine: "machine_end_beep", LineSilent: "machine_end_silence", LineFax: "fax", LineUnsure: "unknown", LinePerson: "human",
	} {
		t.Run(string(line), func(t *testing.T) {
			r := newRelais(t, map[string]string{"/voice": `<Response><Say>` + strings.Repeat("long ", 5000) + `</Say></Response>`})
			_, c, _ := demo(t, nil)
			if err := c.SetLine(testPhone, line); err != nil {
				t.Fatal(err)
			}
			sid := dial(t, c, r.form("MachineDetection", "DetectMessageEnd", "AsyncAmd", "true", "AsyncAmdStatusCallback", r.base+"/amd"))
			if line == LinePerson || line == LineUnsure {
				pickUp(t, c, sid)
			}
			r.until(t, "the verdict", func(h []string) bool { return slices.Contains(h, "/amd in-progress "+want) })
		})
	}
}

// A machine that somebody of the demo lets answer is one for Relais, and seen on the wall.
func TestVoicemail(t *testing.T) {
	r := newRelais(t, map[string]string{"/voice": `<Response><Say>` + strings.Repeat("long ", 5000) + `</Say></Response>`})
	w, c, api := demo(t, nil)
	sid := dial(t, c, r.form("MachineDetection", "DetectMessageEnd", "AsyncAmd", "true", "AsyncAmdStatusCallback", r.base+"/amd"))
	whenItRings(t, c.Voicemail, sid)
	r.until(t, "the verdict", func(h []string) bool { return slices.Contains(h, "/amd in-progress machine_end_beep") })
	watch(t, w, "the greeting", func(th Thread) bool {
		said := th.Items[len(th.Items)-1].Said
		return len(said) > 0 && said[0].Who == "machine"
	})
	if status, _ := send(t, api+"calls/"+sid+"/voicemail", ""); status != http.StatusConflict {
		t.Errorf("a second machine: %d", status)
	}
}

func TestChaosOfCallbacks(t *testing.T) {
	for name, x := range map[string]struct {
		chaos Chaos
		want  []string
	}{
		"none":      {Chaos{}, []string{"sent", "delivered"}},
		"failing":   {Chaos{Undelivered: 1}, []string{"sent", "undelivered"}},
		"doubled":   {Chaos{Doubled: 1}, []string{"sent", "sent", "delivered", "delivered"}},
		"reordered": {Chaos{Reordered: 1}, []string{"delivered", "sent"}},
		"lost":      {Chaos{Lost: 1}, []string{"sent"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelais(t, nil)
			w, c, _ := demo(t, nil)
			if err := c.SetChaos(x.chaos); err != nil {
				t.Fatal(err)
			}
			rest(t, c, "Messages.json", r.text(testPhone, "a"))
			watch(t, w, "the end", func(th Thread) bool { return lastIs("delivered")(th) || lastIs("failed")(th) })
			r.until(t, "what should come", func(h []string) bool { return len(h) >= len(x.want) })
			if err := c.Close(); err != nil { // waits for what is under way
				t.Fatal(err)
			}
			var got []string
			for _, h := range r.heard() {
				got = append(got, strings.TrimPrefix(h, "/status/a "))
			}
			if !slices.Equal(got, x.want) {
				t.Errorf("heard %q, want %q", got, x.want)
			}
		})
	}
}

// TestChaosBySeed: the same seed goes wrong in the same places, another one elsewhere, and as often
// as was asked for.
func TestChaosBySeed(t *testing.T) {
	wrong := func(seed uint64) (refused, gone []int) {
		c := &CarrierServer{cfg: CarrierConfig{Seed: seed}, lines: map[string]LineKind{}}
		if err := c.SetChaos(Chaos{Refused: 0.05, Lines: map[LineKind]float64{LineGone: 0.03, LineOff: 0.1}}); err != nil {
			t.Fatal(err)
		}
		for i := range 4000 {
			to := fmt.Sprintf("+1514555%04d", i)
			if c.fate(to, fmt.Sprint("https://x/", i)).refused {
				refused = append(refused, i)
			}
			if c.line(to) == LineGone {
				gone = append(gone, i)
			}
		}
		return refused, gone
	}
	refused, gone := wrong(7)
	again, _ := wrong(7)
	other, _ := wrong(8)
	if !slices.Equal(refused, again) || slices.Equal(refused, other) {
		t.Error("not by seed")
	}
	if n := len(refused); n < 150 || n > 250 {
		t.Errorf("%d of 4000 refused, want about 200", n)
	}
	if n := len(gone); n < 80 || n > 160 {
		t.Errorf("%d of 4000 gone, want about 120", n)
	}
	c := &CarrierServer{}
	for _, x := range []Chaos{{Refused: 1.1}, {Lost: -1}, {Outage: "x"}, {Lines: map[LineKind]float64{"x": 0.1}}, {Lines: map[LineKind]float64{LineGone: 0.6, LineOff: 0.6}}} {
		if c.SetChaos(x) == nil {
			t.Errorf("%+v was taken", x)
		}
	}
}

// TestTimeoutIsTaken: the line is cut, and the message is on its way all the same.
func TestTimeoutIsTaken(t *testing.T) {
	r := newRelais(t, nil)
	w, c, _ := demo(t, nil)
	if err := c.SetChaos(Chaos{Timeout: 1}); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.BaseURL()+"/2010-04-01/Accounts/"+testAccount+"/Messages.json", strings.NewReader(r.text(testPhone, "a").Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(testAccount, testToken)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("answered %d", resp.StatusCode)
	}
	watch(t, w, "delivery", lastIs("delivered"))
	_, out := rest(t, c, "Messages.json?To="+url.QueryEscape(testPhone), nil)
	if list := out["messages"].([]any); len(list) != 1 || list[0].(map[string]any)["body"] != "Bonjour" {
		t.Errorf("listed %v", out)
	}
	if _, out := rest(t, c, "Messages.json?To=%2B15145550199", nil); len(out["messages"].([]any)) != 0 {
		t.Errorf("somebody else's: %v", out)
	}
	if _, out := rest(t, c, "Messages.json?DateSent%3E="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339), nil); len(out["messages"].([]any)) != 0 {
		t.Errorf("of the future: %v", out)
	}
}

func TestOutages(t *testing.T) {
	_, c, _ := demo(t, nil)
	for outage, want := range map[Outage]int{OutRefused: 503, OutErrors: 500, OutSuspended: 401, OutOverloaded: 429, NoOutage: 404} {
		if err := c.SetChaos(Chaos{Outage: outage}); err != nil {
			t.Fatal(err)
		}
		if code, out := rest(t, c, "Messages/SM1.json", nil); code != want {
			t.Errorf("%s: %d %v", outage, code, out)
		}
	}
	if err := c.SetChaos(Chaos{Outage: OutSilent}); err != nil {
		t.Fatal(err)
	}
	quick := http.Client{Timeout: 100 * time.Millisecond}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.BaseURL()+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Path = "/2010-04-01/Accounts/" + testAccount + "/Messages/SM1.json"
	if resp, err := quick.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("silent: answered %d", resp.StatusCode)
	}
}

// TestArrived: whoever plays the people is told, and can answer.
func TestArrived(t *testing.T) {
	r := newRelais(t, nil)
	w, err := OpenWall("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var c *CarrierServer
	ready := make(chan struct{})
	c, err = StartCarrier(CarrierConfig{
		Wall: w, AccountSID: testAccount, AuthToken: testToken, From: testFrom, SmsURL: r.base + "/sms", Second: time.Millisecond,
		Arrived: func(a Arrival) {
			<-ready
			if a.Call {
				_ = c.Answer(a.SID)
				return
			}
			_ = c.TextFrom(a.Phone, "OUI")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = w.Close()
	})
	close(ready)
	rest(t, c, "Messages.json", r.text(testPhone, "a"))
	r.until(t, "the answer", func(h []string) bool { return slices.Contains(h, "/sms") })
	dial(t, c, r.form())
	r.until(t, "the call", func(h []string) bool { return slices.Contains(h, "/status in-progress") })
}

// BenchmarkCarrier: texts taken, delivered and reported (two callbacks each).
func BenchmarkCarrier(b *testing.B) {
	var heard atomic.Int64
	hooks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) }))
	defer hooks.Close()
	w, err := OpenWall("", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	c, err := StartCarrier(CarrierConfig{Wall: w, AccountSID: testAccount, AuthToken: testToken, From: testFrom, Second: time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			form := url.Values{"From": {testFrom}, "To": {fmt.Sprintf("+1514555%04d", i%5000)}, "Body": {"x"}, "StatusCallback": {hooks.URL}}
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, c.BaseURL()+"/2010-04-01/Accounts/"+testAccount+"/Messages.json", strings.NewReader(form.Encode()))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.SetBasicAuth(testAccount, testToken)
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusTooManyRequests { // it is full: wait for it
				time.Sleep(time.Millisecond)
			}
		}
	})
	_ = c.Close()
	_ = w.Close()
	b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "texts/s")
}
