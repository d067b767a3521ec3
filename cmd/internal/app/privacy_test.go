package app

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

// TestNothingPersonalLeaks plays a story with its accidents, and looks for the people in it where
// they must not be: the log, the metrics and what strangers are answered.
func TestNothingPersonalLeaks(t *testing.T) {
	t.Parallel()
	const clinic = "dermatologie"
	p := demo(t, dataDir(t), nil, "--wave-every", "2s", "--patients", "40")
	p.healthy(clinic)
	_, card, who := p.open(clinic, engine.SMS, 1)
	p.text(who[0].ID, "je ne sais pas, appelez Jean au 514 555-0199")
	p.text(who[0].ID, "OUI")
	eventually(t, "the slot is confirmed", func() bool { return p.card(clinic, string(card.ID)).State == desk.Confirmed })
	p.cancel(clinic, 3)
	for _, fault := range []string{"garbage", "errors", "unauthorized"} { // each is logged
		p.fault(clinic, fault)
		p.status(clinic, "suspended")
	}
	p.must(http.StatusNoContent, "POST", "/sandbox/api/carrier", map[string]any{"down": true, "fail_share": 100, "delay_milli": 0}, nil)
	p.cancel("famille", 3)
	eventually(t, "a delivery fails", func() bool { return p.metric("relais_deliveries_total", `status="failed"`) > 0 })

	var tokens []string
	for _, th := range p.state().Threads {
		for _, i := range th.Items {
			for _, l := range i.Links {
				if _, token, ok := strings.Cut(l, "/o/"); ok {
					token, _, _ = strings.Cut(token, "/")
					tokens = append(tokens, token)
				}
			}
		}
	}
	if len(tokens) == 0 {
		t.Fatal("no link was sent")
	}
	stranger := &http.Client{Timeout: 10 * time.Second}
	p.http, stranger = stranger, p.http
	var answers strings.Builder
	for _, path := range []string{
		"/api/v1/clinics/" + clinic + "/calendar", "/api/v1/clinics/" + clinic + "/waitlist", "/api/v1/clinics/" + clinic + "/slots/" + string(card.ID),
		"/ws/calendar?clinic=" + clinic, "/o/" + strings.Repeat("A", 22), "/nothing", "/", "/robots.txt", "/healthz", "/readyz", "/api/openapi.json",
	} {
		_, header, body := p.do("GET", path, nil)
		answers.Write(body)
		for k, v := range header {
			answers.WriteString(k + ": " + strings.Join(v, " ") + "\n")
		}
	}
	_, _, metrics := p.do("GET", "/metrics", nil)
	_, _, page := p.do("GET", "/o/"+tokens[0], nil) // its own page names nobody either
	p.http = stranger
	log := p.errOut.String()

	people := p.state().Threads
	for where, text := range map[string]string{"log": log, "metrics": string(metrics), "answers": answers.String(), "page": string(page)} {
		if text == "" && where != "log" {
			t.Errorf("nothing to look at in the %s", where)
		}
		for _, th := range people {
			for _, secret := range []string{th.Name, th.Phone, strings.TrimPrefix(th.Phone, "+1"), th.Email} {
				if secret != "" && strings.Contains(text, secret) {
					t.Errorf("the %s holds a person's %q", where, secret)
				}
			}
		}
		for _, token := range tokens {
			if strings.Contains(text, token) && where != "page" {
				t.Errorf("the %s holds a patient's link", where)
			}
		}
		if strings.Contains(text, "je ne sais pas") || p.password != "" && strings.Contains(text, p.password) {
			t.Errorf("the %s holds what somebody wrote", where)
		}
	}
}

// TestForgedHooks sends webhooks that no carrier and no record system signed.
func TestForgedHooks(t *testing.T) {
	t.Parallel()
	p := demo(t, dataDir(t), nil)
	p.healthy("dermatologie")
	form := url.Values{"From": {"+15145550101"}, "To": {demoNumber}, "Body": {"OUI"}, "MessageSid": {"SM1"}, "AccountSid": {demoSID}}
	sign := func(key string) string {
		names := make([]string, 0, len(form))
		for k := range form {
			names = append(names, k)
		}
		slices.Sort(names)
		mac := hmac.New(sha1.New, []byte(key))
		mac.Write([]byte(p.url + "/hooks/twilio/sms"))
		for _, k := range names {
			mac.Write([]byte(k + form.Get(k)))
		}
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	for _, signature := range []string{"", "AAAA", sign(""), sign(demoSID), sign(strings.Repeat("0", 32))} {
		for path, source := range map[string]string{"/hooks/twilio/sms": "twilio", "/hooks/fhir/dermatologie": "fhir", "/hooks/fhir/nowhere": "fhir"} {
			before := p.metric("relais_webhooks_refused_total", `source="`+source+`"`)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+path, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if signature != "" {
				req.Header.Set("X-Twilio-Signature", signature)
				req.Header.Set("Authorization", "Bearer "+signature)
			}
			resp, err := p.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s with signature %q: status %d", path, signature, resp.StatusCode)
			}
			if after := p.metric("relais_webhooks_refused_total", `source="`+source+`"`); after != before+1 {
				t.Errorf("%s: relais_webhooks_refused_total went from %v to %v", path, before, after)
			}
		}
	}
}

// TestGuessedLinks tries links until the server has enough of it; every answer looks the same.
func TestGuessedLinks(t *testing.T) {
	t.Parallel()
	p := demo(t, dataDir(t), nil)
	var first string
	limited := false
	for n := range 60 {
		guess := base64.RawURLEncoding.EncodeToString([]byte{byte(n), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
		status, _, body := p.do("GET", "/o/"+guess, nil)
		if status == http.StatusTooManyRequests {
			limited = true
			break
		}
		if first == "" {
			first = string(body)
		}
		if status != http.StatusNotFound || string(body) != first {
			t.Fatalf("guess %d: status %d, another page than before", n, status)
		}
	}
	if !limited || p.metric("relais_limited_total", `what="token"`) == 0 {
		t.Error("nobody stopped the guessing")
	}
}
