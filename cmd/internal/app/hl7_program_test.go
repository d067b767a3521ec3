package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/health"
	"relais/transport/hl7"
	"relais/transport/sandbox"
)

// hl7Serving is the whole program, as it is configured and served, for a clinic whose record system
// speaks HL7 and people who get texts from an account of the sandbox.
func hl7Serving(t *testing.T, system *sandbox.HL7System) (*program, *sandbox.Wall, *sandbox.CarrierServer) {
	t.Helper()
	listen, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + listen.Addr().String()
	wall, err := sandbox.OpenWall("", []sandbox.Person{{Name: "Marie", Phone: "+15145550201"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wall.Close() })
	texts, err := sandbox.StartCarrier(sandbox.CarrierConfig{
		Wall: wall, AccountSID: "AC" + strings.Repeat("0", 32), AuthToken: "secret", From: "+15145550100",
		SmsURL: at + "/hooks/twilio/sms", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = texts.Close() })
	cfg := hl7Config(t, t.TempDir(), system.Addr())
	cfg.Addr, cfg.PublicURL, cfg.Log.Level, cfg.Account.Password = listen.Addr().String(), at, "error", "physio-physio-physio"
	cfg.Mail = DefaultConfig().Mail
	cfg.Twilio = &TwilioConfig{
		AccountSID: "AC" + strings.Repeat("0", 32), AuthToken: "secret", From: "+15145550100", BaseURL: texts.BaseURL(), TextsPerSecond: 10, CallsPerSecond: 1,
	}
	p, err := assemble(t.Context(), cfg, newLogger(cfg.Log, os.Stderr), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.start(t.Context()); err != nil {
		p.close()
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.serve(ctx, listen) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		p.close()
	})
	system.SendTo(p.hl7Addr.String())
	return p, wall, texts
}

// TestHL7OverTexts is one cancellation at a served program: SIU^S15 comes over MLLP, a text goes out
// through the telephone account, the yes comes back as its webhook, SRM^S01 books, and the person reads
// that they have the appointment.
func TestHL7OverTexts(t *testing.T) {
	system, _ := hl7Clinic(t)
	p, wall, texts := hl7Serving(t, system)
	whole := engine.Hours{}
	if err := p.relais.Add(t.Context(), []engine.Patient{{
		ID: "p1", Clinic: "physio", Given: "Marie", Family: "Tremblay", Lang: engine.French, Hours: &whole, Source: "DOSSIER1^^^PARC^MR",
		Contacts: []engine.Contact{{Channel: engine.SMS, Phone: "+15145550201", Consent: hallConsent, Proof: "formulaire"}},
	}}, []engine.Entry{{
		ID: "e1", Clinic: "physio", Patient: "p1", Status: engine.Waiting, Specialty: "physiotherapy", Class: 1, Joined: hallConsent,
	}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the record system is healthy", func() bool {
		s, err := p.relais.Health(t.Context(), "physio")
		return err == nil && s.Status == health.Healthy
	})
	start := time.Now().Add(48 * time.Hour).Truncate(time.Hour).UTC()
	filler, err := system.Book(t.Context(), "physio", "D7", "P1", start, start.Add(30*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := system.Cancel(t.Context(), "physio", filler); err != nil {
		t.Fatal(err)
	}
	received := func() (n int, last string) {
		for _, it := range wall.Items("+15145550201") {
			if !it.Mine {
				n, last = n+1, it.Text
			}
		}
		return n, last
	}
	eventually(t, "the offer is read", func() bool { n, _ := received(); return n == 1 })
	if err := texts.TextFrom("+15145550201", "OUI"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the record system has the booking", func() bool {
		v := system.Visits("physio")
		return len(v) == 1 && strings.HasPrefix(v[0].Placer, "relais-") && v[0].Patient == "DOSSIER1" && v[0].Start.Equal(start)
	})
	eventually(t, "it is confirmed to the person", func() bool {
		_, last := received()
		return strings.Contains(strings.ToLower(last), "confirm")
	})
}

// always answers every message on a port in one way; nil: never.
func always(t *testing.T, answer func(hl7.Message) []byte) (addr string) {
	t.Helper()
	listen, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listen.Close() })
	go func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for in := hl7.NewFrames(conn); ; {
					text, err := in.Next()
					if err != nil {
						return
					}
					if m, err := hl7.Parse(text, hl7.UTF8); err == nil && answer != nil {
						_, _ = conn.Write(answer(m))
					}
				}
			}()
		}
	}()
	return listen.Addr().String()
}

// TestDMECheckOfHL7 tries the connection to good and bad record systems, from the command line.
func TestDMECheckOfHL7(t *testing.T) {
	good, _ := hl7Clinic(t)
	gone, _ := hl7Clinic(t)
	gone.Close()
	web := func(hl7.Message) []byte { return bytes.Repeat([]byte("HTTP/1.1 400 Bad Request\r\n"), 1000) }
	taken := func(m hl7.Message) []byte {
		return hl7.Frame([]byte("MSH|^~\\&|||||20261123||ACK|1|P|2.5\rMSA|CA|" + m.Field(m.First("MSH"), 10).Text(1) + "\r"))
	}
	for name, c := range map[string]struct {
		sendTo string
		sender string // as the configuration has it
		args   []string
		code   int
		want   []string
	}{
		"reach":     {good.Addr(), "SCHED", nil, ExitOK, []string{"skipped  messages", "ok       reach", "skipped  request", "complete look", "silence"}},
		"good":      {good.Addr(), "SCHED", []string{"--dry-run-booking"}, ExitOK, []string{"ok       request", "answers requests"}},
		"not known": {good.Addr(), "OTHER", []string{"--dry-run-booking"}, ExitFailure, []string{"failed   request", "refuses our requests", "check sender, receiver"}},
		"silent":    {always(t, nil), "SCHED", []string{"--dry-run-booking"}, ExitFailure, []string{"failed   request", "did not answer in time"}},
		"no HL7":    {always(t, web), "SCHED", []string{"--dry-run-booking"}, ExitFailure, []string{"failed   request", "not an MLLP message"}},
		"later":     {always(t, taken), "SCHED", []string{"--dry-run-booking"}, ExitOK, []string{"weak     request", "come to relais serve"}},
		"down":      {gone.Addr(), "SCHED", []string{"--dry-run-booking"}, ExitFailure, []string{"failed   reach", "takes no connection at send_to", "skipped  request"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "relais.yaml")
			text := strings.Replace(fmt.Sprintf(hl7YAML, dir, c.sendTo), "      hl7:\n", "      hl7:\n        answer: 1s\n", 1)
			text = strings.Replace(text, "application: SCHED", "application: "+c.sender, 1)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errOut strings.Builder
			code := Main(t.Context(), append([]string{"dme", "check", "physio", "--config", path}, c.args...), nil, &out, &errOut)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%q is not said", w)
				}
			}
			if t.Failed() {
				t.Log("\n" + out.String() + errOut.String())
			}
			if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
				t.Error("the check made a store")
			}
		})
	}
}
