package fhir_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"relais/engine"
	"relais/transport/fhir"
	"relais/transport/sandbox"
)

func steps(t *testing.T, c *fhir.Client, dryRun bool) map[string]engine.CheckStep {
	t.Helper()
	out := map[string]engine.CheckStep{}
	c.Check(t.Context(), dryRun, func(s engine.CheckStep) {
		if s.Sentence == "" || s.Verdict == "" {
			t.Errorf("%+v", s)
		}
		out[s.Name] = s
	})
	return out
}

func TestCheck(t *testing.T) {
	for name, x := range map[string]struct {
		m    sandbox.Manner
		want map[string]engine.Verdict
	}{
		"whole":            {sandbox.Manner{}, map[string]engine.Verdict{"reach": "ok", "capabilities": "ok", "read schedules": "ok", "read slots": "ok", "push": "ok", "dry-run booking": "ok"}},
		"steps":            {sandbox.Manner{NoTransactions: true}, map[string]engine.Verdict{"capabilities": "weak", "dry-run booking": "ok"}},
		"ignores If-Match": {sandbox.Manner{IgnoresIfMatch: true}, map[string]engine.Verdict{"capabilities": "weak", "dry-run booking": "weak"}},
		"steps, ignores":   {sandbox.Manner{IgnoresIfMatch: true, NoTransactions: true}, map[string]engine.Verdict{"dry-run booking": "weak"}},
		"no versions":      {sandbox.Manner{NoVersions: true}, map[string]engine.Verdict{"dry-run booking": "weak"}},
		"no subscriptions": {sandbox.Manner{NoSubscriptions: true}, map[string]engine.Verdict{"push": "weak", "dry-run booking": "ok"}},
		"no sign-in":       {sandbox.Manner{SignIn: sandbox.SignIn{User: "u", Password: "p"}}, map[string]engine.Verdict{"reach": "ok", "sign in": "failed", "dry-run booking": "skipped"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.manner(t, x.m)
			before := w.everything(t)
			c := w.client(t, func(cfg *fhir.Config) {
				cfg.Endpoint, cfg.Secret = "http://127.0.0.1:9/hooks/fhir/rosemont", "a-secret"
			})
			got := steps(t, c, true)
			for step, verdict := range x.want {
				if got[step].Verdict != verdict {
					t.Errorf("%s: %s, want %s: %s", step, got[step].Verdict, verdict, got[step].Sentence)
				}
			}
			if after := w.everything(t); after != before {
				t.Errorf("the check changed something:\n%s\n%s", before, after)
			}
			if got := steps(t, w.client(t, nil), false)["dry-run booking"].Verdict; got != engine.CheckSkipped {
				t.Errorf("a dry run that nobody asked for: %s", got)
			}
		})
	}
}

func TestCheckOfABrokenServer(t *testing.T) {
	for fault, step := range map[string]string{
		"down": "reach", "errors": "reach", "busy": "sign in", "forbidden": "sign in", "garbage": "capabilities", "half": "read schedules",
	} {
		w := newWorld(t)
		if err := w.dme.SetFault("rosemont", fault); err != nil {
			t.Fatal(err)
		}
		got := steps(t, w.client(t, nil), true)
		if got[step].Verdict != engine.CheckFailed {
			t.Errorf("%s: %+v", fault, got)
		}
		if got["dry-run booking"].Verdict != engine.CheckSkipped {
			t.Errorf("%s: a booking was tried after a failure", fault)
		}
	}
}

// TestCheckOfPush says how changes will be told: without a secret, untried, tried, subscribed, switched off.
func TestCheckOfPush(t *testing.T) {
	w := newWorld(t)
	const endpoint = "http://127.0.0.1:9/hooks/fhir/rosemont"
	pushes := func(cfg *fhir.Config) { cfg.Endpoint, cfg.Secret = endpoint, "a-secret" }
	check := func(edit func(*fhir.Config), dryRun bool, verdict engine.Verdict, sentence, mode string) {
		t.Helper()
		c := w.client(t, edit)
		s := steps(t, c, dryRun)["push"]
		if s.Verdict != verdict || !strings.Contains(s.Sentence, sentence) || c.Modes()[0].Mode != mode {
			t.Errorf("%s, %s; want %s, %s: %s", s.Verdict, c.Modes()[0].Mode, verdict, mode, s.Sentence)
		}
	}
	check(nil, true, engine.CheckWeak, "No hook_secret is set", "none")
	check(pushes, false, engine.CheckOK, "relais subscribes when it serves", "rest-hook")
	check(pushes, true, engine.CheckOK, "Subscriptions are taken (requested)", "rest-hook")
	if err := w.client(t, nil).Subscribe(t.Context(), endpoint, "a-secret"); err != nil {
		t.Fatal(err)
	}
	before := w.everything(t)
	check(pushes, true, engine.CheckOK, "asked for and is not active yet", "rest-hook")
	if after := w.everything(t); after != before {
		t.Errorf("the check changed the subscriptions that were there: %s, %s", before, after)
	}
	for status, want := range map[string]struct {
		verdict  engine.Verdict
		sentence string
		mode     string
	}{
		"active": {engine.CheckOK, "Our subscription is active", "rest-hook"},
		"error":  {engine.CheckWeak, "switched our subscription off (error)", "none"},
	} {
		w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			rw.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			rw.WriteHeader(rec.Code)
			_, _ = rw.Write(bytes.ReplaceAll(rec.Body.Bytes(), []byte(`"status":"requested"`), []byte(`"status":"`+status+`"`)))
		})
		check(pushes, true, want.verdict, want.sentence, want.mode)
	}
}

// TestCheckSaysWhatToDo reads the sentences of a check that fails at its first steps.
func TestCheckSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	sentence := func(step string, edit func(*fhir.Config)) string {
		t.Helper()
		return steps(t, w.client(t, edit), false)[step].Sentence
	}
	if got := sentence("reach", func(cfg *fhir.Config) { cfg.BaseURL = "http://127.0.0.1:9/fhir" }); !strings.Contains(got, "nothing takes connections") {
		t.Errorf("nobody there: %s", got)
	}
	if got := sentence("reach", func(cfg *fhir.Config) { cfg.BaseURL = strings.Replace(cfg.BaseURL, "http:", "https:", 1) }); !strings.Contains(got, "does not speak HTTPS") {
		t.Errorf("no TLS there: %s", got)
	}
	tls := httptest.NewTLSServer(w.dme.Handler())
	defer tls.Close()
	if got := sentence("reach", func(cfg *fhir.Config) { cfg.BaseURL = strings.Replace(tls.URL, "https:", "http:", 1) }); !strings.Contains(got, "speaks HTTPS") {
		t.Errorf("TLS there: %s", got)
	}
	if got := sentence("reach", func(cfg *fhir.Config) { cfg.BaseURL = tls.URL }); !strings.Contains(got, "not trusted") {
		t.Errorf("an authority that nobody knows: %s", got)
	}
	if got := sentence("sign in", func(cfg *fhir.Config) { cfg.SignIn = nil }); !strings.Contains(got, "Give it a way to sign in") {
		t.Errorf("no sign-in: %s", got)
	}
	if got := sentence("sign in", func(cfg *fhir.Config) { cfg.SignIn = fhir.Bearer("wrong") }); !strings.Contains(got, "wrong or were withdrawn") {
		t.Errorf("a wrong token: %s", got)
	}
	if err := w.dme.SetFault("rosemont", "forbidden"); err != nil {
		t.Fatal(err)
	}
	if got := sentence("sign in", nil); !strings.Contains(got, "we may not read Schedule") {
		t.Errorf("a token without rights: %s", got)
	}
}

// everything is what the record system shows of its slots and appointments, and its subscriptions.
func (w *world) everything(t *testing.T) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dme/rosemont/fhir/Subscription", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	w.dme.Handler().ServeHTTP(rec, r)
	return fmt.Sprint(w.dme.Records()[0].Appointments, strings.Count(rec.Body.String(), `"criteria"`), " subscriptions")
}
