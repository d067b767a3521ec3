package twilio_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/sandbox"
	"relais/transport/twilio"
)

// TestCheckBesideServe: a Relais that serves takes the check's webhooks, and is asked for them.
func TestCheckBesideServe(t *testing.T) {
	for name, x := range map[string]struct {
		edit func(*world)
		want string
	}{
		"all is well":          {func(*world) {}, "sign in ok, token ok, sender ok, incoming ok, public address ok, message ok, webhook ok, delivered ok"},
		"lost receipts":        {func(w *world) { _ = w.carrier.SetChaos(sandbox.Chaos{Lost: 1}) }, "sign in ok, token ok, sender ok, incoming ok, public address ok, message ok, webhook ok, delivered ok"},
		"a phone is off":       {func(w *world) { _ = w.carrier.SetLine(patient, sandbox.LineOff) }, "sign in ok, token ok, sender ok, incoming ok, public address ok, message ok, webhook ok, delivered failed"},
		"texts go astray":      {func(w *world) { w.carrier.SetSmsURL("https://demo.twilio.com/welcome") }, "sign in ok, token ok, sender ok, incoming failed, public address ok, message ok, webhook ok, delivered ok"},
		"calls back go astray": {func(w *world) { w.carrier.SetCallURL("") }, "sign in ok, token ok, sender ok, incoming weak, public address ok, message ok, webhook ok, delivered ok"},
		"no answer":            {func(w *world) { _ = w.carrier.SetChaos(sandbox.Chaos{Timeout: 1}) }, "sign in ok, token ok, sender ok, incoming ok, public address ok, message failed, webhook skipped, delivered skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			x.edit(w)
			var got []string
			w.client.Check(t.Context(), twilio.CheckPlan{Text: patient, Wait: 2 * time.Second}, func(s engine.CheckStep) {
				got = append(got, s.Name+" "+string(s.Verdict))
				if s.Sentence == "" || strings.Contains(s.Sentence, patient) {
					t.Errorf("%s: %q", s.Name, s.Sentence)
				}
			})
			if strings.Join(got, ", ") != x.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), x.want)
			}
			if len(w.receipts)+len(w.replies) != 0 {
				t.Error("the check reached the offers")
			}
		})
	}
}

// TestCheckReadsTheAnswerer tells a Relais with another token, and a stranger, from this one.
func TestCheckReadsTheAnswerer(t *testing.T) {
	for name, x := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"another token":    {answer(http.StatusForbidden, "", "not signed"), "refuses the signature"},
		"a stranger":       {answer(http.StatusOK, "", "<html>welcome</html>"), "Something else"},
		"a proxy alone":    {answer(http.StatusBadGateway, "", "x"), "status 502"},
		"an older program": {answer(http.StatusNotFound, "", "x"), "status 404"},
	} {
		c := client(t, x.answer, func(cfg *twilio.Config) { cfg.PublicBase = cfg.BaseURL })
		c.Check(t.Context(), twilio.CheckPlan{}, func(s engine.CheckStep) {
			if s.Name == "public address" && (s.Verdict != engine.CheckFailed || !strings.Contains(s.Sentence, x.want)) {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}

// TestCheckIncomingOfAService: with a messaging service its own address counts, unless it leaves that to
// its numbers.
func TestCheckIncomingOfAService(t *testing.T) {
	for name, x := range map[string]struct {
		service string
		want    engine.Verdict
	}{
		"its own":        {`{"inbound_request_url":"` + public + `/hooks/twilio/sms","use_inbound_webhook_on_number":false}`, engine.CheckOK},
		"another":        {`{"inbound_request_url":"https://elsewhere.example","use_inbound_webhook_on_number":false}`, engine.CheckFailed},
		"its numbers'":   {`{"inbound_request_url":null,"use_inbound_webhook_on_number":true}`, engine.CheckFailed},
		"cannot be read": {`x`, engine.CheckFailed},
	} {
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/PhoneNumbers"):
				answer(http.StatusOK, "", `{"phone_numbers":[{"phone_number":"+1"}]}`)(w, r)
			case strings.HasPrefix(r.URL.Path, "/v1/Services/"):
				answer(http.StatusOK, "", x.service)(w, r)
			case strings.Contains(r.URL.Path, "IncomingPhoneNumbers"):
				answer(http.StatusOK, "", `{"incoming_phone_numbers":[{"phone_number":"+1","capabilities":{"voice":true,"sms":true},"sms_url":"https://elsewhere.example","voice_url":"`+public+`/hooks/twilio/call"}]}`)(w, r)
			default:
				answer(http.StatusOK, "", `{"status":"active"}`)(w, r)
			}
		}, func(cfg *twilio.Config) { cfg.MessagingService = "MG1" })
		c.Check(t.Context(), twilio.CheckPlan{}, func(s engine.CheckStep) {
			if s.Name == "incoming" && s.Verdict != x.want {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}
