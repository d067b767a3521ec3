package twilio_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/twilio"
)

const (
	account = "AC0123456789abcdef0123456789abcdef"
	token   = "0123456789abcdef0123456789abcdef"
	sender  = "+15145550100"
	patient = "+15145550123"
	attempt = engine.AttemptID("20260302T0920Z-abcdef012345.1.1.1")
)

// client makes a Client of a server that f plays.
func client(t *testing.T, f http.HandlerFunc, edit func(*twilio.Config)) *twilio.Client {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return clientOf(t, s.URL, edit)
}

func clientOf(tb testing.TB, base string, edit func(*twilio.Config)) *twilio.Client {
	tb.Helper()
	cfg := twilio.Config{
		AccountSID: account, AuthToken: token, From: sender, BaseURL: base, PublicBase: "https://relais.example/",
	}
	if edit != nil {
		edit(&cfg)
	}
	c, err := twilio.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func sms() engine.Message {
	return engine.Message{
		Attempt: attempt, Kind: engine.MsgOffer, Channel: engine.SMS, Lang: engine.French,
		Phone: patient, Text: "Clinique: rendez-vous libre mardi 9 h 20. OUI pour accepter.", Valid: 10 * time.Minute,
	}
}

func call() engine.Message {
	return engine.Message{
		Attempt: attempt, Kind: engine.MsgOffer, Channel: engine.Voice, Lang: engine.French, Phone: patient,
		Say: &engine.Script{Lang: engine.French, Prompt: "Bonjour.", Stop: "Pour cesser, le 8.", Other: "In English, 3.", Voicemail: "Rappelez-nous.", Goodbye: "Au revoir."},
	}
}

func answer(status int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestOutcomes(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	reset := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	for _, x := range []struct {
		name   string
		server http.HandlerFunc
		want   engine.Outcome // Detail is not compared
	}{
		{"taken", answer(201, "", `{"sid":"SM1","status":"queued"}`), engine.Outcome{Status: engine.Accepted, Ref: "SM1"}},
		{"no sid", answer(201, "", `{}`), engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}},
		{"cut answer", answer(201, "", `{"sid":"S`), engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}},
		{"opted out", answer(400, "", `{"code":21610,"status":400,"message":"m"}`), engine.Outcome{Status: engine.Failed, Reason: engine.OptedOut}},
		{"signed out", answer(401, "", `{"code":20003,"status":401}`), engine.Outcome{Status: engine.Failed, Reason: engine.AccountFault}},
		{"too many", answer(429, "7", `{"code":20429,"status":429}`), engine.Outcome{Status: engine.Failed, Reason: engine.RateLimited, Retry: true, Wait: 7 * time.Second}},
		{"too many, no JSON", answer(429, "3", `slow down`), engine.Outcome{Status: engine.Failed, Reason: engine.RateLimited, Retry: true, Wait: 3 * time.Second}},
		{"unavailable", answer(503, "2", `<html>`), engine.Outcome{Status: engine.Failed, Reason: engine.CarrierDown, Retry: true, Wait: 2 * time.Second}},
		{"bad gateway", answer(502, "", `<html>`), engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}},
		{"server error in JSON", answer(500, "", `{"code":20500,"status":500}`), engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}},
		{"redirect", answer(307, "", ``), engine.Outcome{Status: engine.Failed, Reason: engine.AccountFault}},
		{"no answer", hang, engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}},
		{"reset", reset, engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				x.server(w, r)
			}, func(cfg *twilio.Config) { cfg.Timeout = 500 * time.Millisecond })
			for _, m := range []engine.Message{sms(), call()} {
				got := c.Send(t.Context(), m)
				if strings.Contains(got.Detail, patient) || strings.Contains(got.Detail, account) {
					t.Errorf("%s: detail %q", m.Channel, got.Detail)
				}
				got.Detail = ""
				if got != x.want {
					t.Errorf("%s: %+v, want %+v", m.Channel, got, x.want)
				}
			}
			if n := calls.Load(); n != 2 {
				t.Errorf("%d requests for 2 messages", n)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	_ = l.Close()
	out := clientOf(t, base, nil).Send(t.Context(), sms())
	if out.Status != engine.Failed || !out.Retry || out.Reason != engine.CarrierDown {
		t.Errorf("outcome %+v", out)
	}
}

func TestRequestOfAText(t *testing.T) {
	got := make(chan *http.Request, 1)
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got <- r
		answer(201, "", `{"sid":"SM1"}`)(w, r)
	}, func(cfg *twilio.Config) { cfg.MessagingService, cfg.KeySID, cfg.KeySecret = "MG1", "SK1", "secret" })
	c.Send(t.Context(), sms())
	r := <-got
	if r.URL.Path != "/2010-04-01/Accounts/"+account+"/Messages.json" {
		t.Errorf("path %s", r.URL.Path)
	}
	if user, pass, _ := r.BasicAuth(); user != "SK1" || pass != "secret" {
		t.Errorf("signed in as %s", user)
	}
	for k, want := range map[string]string{
		"To": patient, "MessagingServiceSid": "MG1", "From": "", "ContentRetention": "discard",
		"StatusCallback": "https://relais.example/hooks/twilio/status/" + string(attempt),
	} {
		if v := r.Form.Get(k); v != want {
			t.Errorf("%s: %q, want %q", k, v, want)
		}
	}
	if v := r.Form.Get("ValidityPeriod"); v != "600" {
		t.Errorf("validity %s", v)
	}
}

func TestMessagesThatCannotBeSent(t *testing.T) {
	c := client(t, func(http.ResponseWriter, *http.Request) { t.Error("it left") }, nil)
	for name, edit := range map[string]func(*engine.Message){
		"no phone":  func(m *engine.Message) { m.Phone = "" },
		"no text":   func(m *engine.Message) { m.Text = "" },
		"no script": func(m *engine.Message) { m.Channel = engine.Voice },
		"mail":      func(m *engine.Message) { m.Channel = engine.EmailMail },
	} {
		m := sms()
		edit(&m)
		if out := c.Send(t.Context(), m); out.Status != engine.Failed || out.Retry {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

func TestConfig(t *testing.T) {
	good := twilio.Config{AccountSID: account, AuthToken: token, From: sender, PublicBase: "https://relais.example"}
	for name, edit := range map[string]func(*twilio.Config){
		"account":  func(c *twilio.Config) { c.AccountSID = "x" },
		"token":    func(c *twilio.Config) { c.AuthToken = "" },
		"half key": func(c *twilio.Config) { c.KeySID = "SK1" },
		"sender":   func(c *twilio.Config) { c.From = "" },
		"public":   func(c *twilio.Config) { c.PublicBase = "relais.example" },
		"base":     func(c *twilio.Config) { c.BaseURL = "x" },
	} {
		cfg := good
		edit(&cfg)
		if _, err := twilio.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
