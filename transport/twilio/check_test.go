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
		"all is well":    {func(*world) {}, "sign in ok, token ok, sender ok, public address ok, message ok, webhook ok, delivered ok"},
		"lost receipts":  {func(w *world) { _ = w.carrier.SetChaos(sandbox.Chaos{Lost: 1}) }, "sign in ok, token ok, sender ok, public address ok, message ok, webhook ok, delivered ok"},
		"a phone is off": {func(w *world) { _ = w.carrier.SetLine(patient, sandbox.LineOff) }, "sign in ok, token ok, sender ok, public address ok, message ok, webhook ok, delivered failed"},
		"no answer":      {func(w *world) { _ = w.carrier.SetChaos(sandbox.Chaos{Timeout: 1}) }, "sign in ok, token ok, sender ok, public address ok, message failed, webhook skipped, delivered skipped"},
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
