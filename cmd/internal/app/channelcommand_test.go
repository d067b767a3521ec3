package app

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/transport/sandbox"
)

// freePort is an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

const (
	checkedSID    = "AC0000000000000000000000000000000a"
	checkedKey    = "SK0000000000000000000000000000000b"
	checkedNumber = "+15145550100"
	somebody      = "+15145550123"
)

// checkChannels runs relais channel check against a sandbox carrier.
func checkChannels(t *testing.T, edit func(c *sandbox.CarrierServer, settings map[string]string), args ...string) (code int, out, errOut string) {
	t.Helper()
	wall, err := sandbox.OpenWall("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var carrier *sandbox.CarrierServer
	ready := make(chan struct{})
	carrier, err = sandbox.StartCarrier(sandbox.CarrierConfig{
		Wall: wall, AccountSID: checkedSID, AuthToken: "thetoken", KeySID: checkedKey, KeySecret: "thesecret", From: checkedNumber,
		Second: time.Millisecond,
		Arrived: func(a sandbox.Arrival) {
			<-ready
			if a.Call {
				_ = carrier.Answer(a.SID)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	close(ready)
	t.Cleanup(func() {
		_ = carrier.Close()
		_ = wall.Close()
	})
	addr := freePort(t)
	carrier.SetSmsURL("http://" + addr + "/hooks/twilio/sms")
	carrier.SetCallURL("http://" + addr + "/hooks/twilio/call")
	set := map[string]string{"addr": addr, "public": "http://" + addr, "token": "thetoken", "key": checkedKey, "secret": "thesecret", "from": checkedNumber}
	if edit != nil {
		edit(carrier, set)
	}
	file := filepath.Join(t.TempDir(), "relais.yaml")
	text := fmt.Sprintf(`addr: %q
public_url: %q
key_file: keys/relais.key
twilio:
  account_sid: %s
  auth_token: env:TOKEN
  key_sid: %s
  key_secret: env:SECRET
  from: %q
  base_url: %q
clinics:
  - id: dermatologie
    name: Dermatologie
    address: 1, rue Saint-Denis, Montréal
    phone: "+15145550110"
    mode: shadow
    dme: {fhir: {base_url: "http://localhost:1/fhir"}}
`, set["addr"], set["public"], checkedSID, set["key"], set["from"], carrier.BaseURL())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var o, e strings.Builder
	code = Main(t.Context(), append([]string{"channel", "check", "--config", file}, args...), []string{"TOKEN=" + set["token"], "SECRET=" + set["secret"]}, &o, &e)
	for _, private := range []string{somebody, "thetoken", "thesecret", "nottheone"} {
		if strings.Contains(o.String()+e.String(), private) {
			t.Errorf("%s is shown:\n%s%s", private, o.String(), e.String())
		}
	}
	return code, o.String(), e.String()
}

func TestChannelCheck(t *testing.T) {
	t.Parallel()
	code, out, errOut := checkChannels(t, nil, "--text", somebody, "--call", somebody, "--json")
	if code != ExitOK {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	var steps []string
	for line := range strings.Lines(out) {
		var s struct{ Channel, Step, Verdict, Result string }
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		steps = append(steps, s.Step+s.Result+" "+s.Verdict)
	}
	want := "sign in ok; token ok; sender ok; incoming ok; public address ok; message ok; webhook ok; delivered ok; call ok; call webhook ok; picked up ok; ok "
	if got := strings.Join(steps, "; "); got != want {
		t.Errorf("got  %s\nwant %s\n%s", got, want, out)
	}
}

func TestChannelCheckFinds(t *testing.T) {
	t.Parallel()
	type edit = func(*sandbox.CarrierServer, map[string]string)
	for name, x := range map[string]struct {
		edit  edit
		wants []string
	}{
		"a wrong key":      {func(_ *sandbox.CarrierServer, s map[string]string) { s["secret"] = "nottheone" }, []string{"failed   sign in", "refuses the API key", "skipped  sender", "skipped  message", "skipped  delivered"}},
		"a wrong token":    {func(_ *sandbox.CarrierServer, s map[string]string) { s["token"] = "nottheone" }, []string{"ok       sign in", "failed   token", "webhooks would all be refused", "failed   webhook"}},
		"a foreign number": {func(_ *sandbox.CarrierServer, s map[string]string) { s["from"] = "+15145550199" }, []string{"failed   sender", "no such number", "skipped  message"}},
		"texts that go elsewhere": {
			func(c *sandbox.CarrierServer, _ map[string]string) { c.SetSmsURL("https://demo.twilio.com/welcome") },
			[]string{"failed   incoming", "texts do not come to Relais", "/hooks/twilio/sms", "ok       message"},
		},
		"an outage": {
			func(c *sandbox.CarrierServer, _ map[string]string) {
				_ = c.SetChaos(sandbox.Chaos{Outage: sandbox.OutRefused})
			},
			[]string{"failed   sign in", "status 503"},
		},
		"a landline": {
			func(c *sandbox.CarrierServer, _ map[string]string) { _ = c.SetLine(somebody, sandbox.LineLandline) },
			[]string{"ok       message", "ok       webhook", "failed   delivered", "takes no texts"},
		},
		"no such phone": {
			func(c *sandbox.CarrierServer, _ map[string]string) { _ = c.SetLine(somebody, sandbox.LineGone) },
			[]string{"failed   message", "no such number", "skipped  webhook"},
		},
		"a proxy that leads nowhere": {
			func(_ *sandbox.CarrierServer, s map[string]string) { s["public"] = "http://" + freePort(t) },
			[]string{"weak     public address", "failed   webhook", "Open the proxy", "ok       delivered"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := checkChannels(t, x.edit, "--text", somebody, "--wait", "2s")
			if code != ExitFailure || !strings.Contains(errOut, "the channels failed") {
				t.Errorf("exit %d: %s", code, errOut)
			}
			for _, want := range x.wants {
				if !strings.Contains(out, want) {
					t.Errorf("without %q:\n%s", want, out)
				}
			}
		})
	}
}

func TestChannelCheckUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--text", "514"}, {"--mail", "x"}, {"--wait", "0s"}, {"--mail", "a@example.org"}} {
		if code, _, errOut := checkChannels(t, nil, args...); code != ExitUsage || errOut == "" {
			t.Errorf("%q: exit %d %s", args, code, errOut)
		}
	}
}
