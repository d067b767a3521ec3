package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/transport/fhir"
	"relais/transport/sandbox"
)

// bent is the demo in this process, where a test can bend the wire to the record systems: bend may change
// what is configured.
func bent(t *testing.T, bend func(*world, *Config)) (*process, *world, Config) {
	t.Helper()
	opt := DemoOptions{Addr: "127.0.0.1:0", Data: t.TempDir(), JSON: true, Quiet: true, WaveEvery: time.Hour, Seed: 1, Patients: 200}
	listen, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", opt.Addr)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	w, err := openWorld(t.Context(), opt, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	cfg := w.config(opt, "http://"+listen.Addr().String())
	bend(w, &cfg)
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := w.play(ctx, cfg, listen, log, write)
		_ = write.CloseWithError(io.ErrUnexpectedEOF) // ends the wait below when it did not start
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(read).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the demo did not start: %v", err)
	}
	var ready struct{ URL, Account, Password string }
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil) // never fails without options
	p := &process{t: t, url: ready.URL, http: &http.Client{Jar: jar, Timeout: 20 * time.Second}}
	p.must(http.StatusOK, "POST", "/api/v1/session", map[string]string{"account": ready.Account, "password": ready.Password}, nil)
	return p, w, cfg
}

// TestExpiredCertificate lets the certificate of a record system expire while slots are offered, and renews it.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	var shown atomic.Pointer[tls.Certificate]
	var good, old tls.Certificate
	var server *httptest.Server
	p, _, _ := bent(t, func(w *world, cfg *Config) {
		var authorities []byte
		for into, until := range map[*tls.Certificate]time.Time{&good: time.Now().Add(time.Hour), &old: time.Now().Add(-time.Minute)} {
			cert, key := pair(t, "dme", until, time.Now())
			parsed, err := tls.X509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			*into, authorities = parsed, append(authorities, cert...)
		}
		ca := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, authorities, 0o600); err != nil {
			t.Fatal(err)
		}
		shown.Store(&good)
		server = httptest.NewUnstartedServer(w.dme.Handler())
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.TLS = &tls.Config{
			MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*shown.Load()}}, nil
			},
		}
		server.StartTLS()
		t.Cleanup(server.Close)
		f := cfg.Clinics[0].DME.FHIR
		f.BaseURL, f.TLS.CAFile = server.URL+"/dme/"+faulty+"/fhir", ca
	})
	show := func(c *tls.Certificate) func() {
		return func() {
			shown.Store(c)
			server.CloseClientConnections()
		}
	}
	p.through(func() {
		show(&old)()
		eventually(t, "the desk says why", func() bool { return strings.Contains(p.calendar(faulty).Health.Detail, "certificate has expired") })
	}, show(&good), false)
}

// TestOddRecordSystems works with record systems that are no fault and no help: reads that lag behind writes,
// writes on which no condition is honoured, pushes that come many times and late. A slot is offered, won and
// booked once, another is lost to the clinic's own desk, and the clinic is never suspended.
func TestOddRecordSystems(t *testing.T) {
	t.Parallel()
	for name, manner := range map[string]sandbox.Manner{
		"stale reads":      {StaleReads: 3},
		"ignores If-Match": {IgnoresIfMatch: true},
		"nothing helps":    {IgnoresIfMatch: true, NoTransactions: true, NoVersions: true, IgnoresLastUpdated: true, NoSubscriptions: true},
		"pushes":           {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, w, cfg := bent(t, func(w *world, _ *Config) {
				if err := w.dme.SetManner(faulty, manner); err != nil {
					t.Fatal(err)
				}
			})
			if name == "pushes" {
				storm(t, p.url, string(cfg.Clinics[0].DME.FHIR.HookSecret))
			}
			p.healthy(faulty)
			won, card, who := p.open(faulty, engine.SMS, 1)
			lost, other, asked := p.open(faulty, engine.SMS, 1)
			p.text(who[0].ID, "OUI")
			p.told(who[0].ID, "c'est confirmé")
			if err := w.dme.BookByPhone(faulty, lost.Slot); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the slot that the clinic booked closes", func() bool { return p.over(other) })
			p.text(asked[0].ID, "OUI")
			eventually(t, "the yes to it wins nothing", func() bool {
				n := len(p.thread(asked[0].ID).Items)
				return n > 2 && p.over(other)
			})
			if s := p.card(faulty, string(card.ID)).State; s != desk.Confirmed {
				t.Errorf("the slot that was won is %s", s)
			}
			p.once(won.Slot)
			for _, a := range p.record(faulty).Appointments {
				if a.Slot == lost.Slot && a.Relais {
					t.Error("the clinic's booking was written over")
				}
			}
			if n := p.metric("relais_suspensions_total", `clinic="`+faulty+`"`); n != 0 {
				t.Errorf("suspended %v times", n)
			}
		})
	}
}

// storm pushes to Relais until the test ends, at any moment and several times.
func storm(t *testing.T, url, secret string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var pushing sync.WaitGroup
	t.Cleanup(func() {
		stop()
		pushing.Wait()
	})
	for range 3 {
		pushing.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/hooks/fhir/"+faulty, http.NoBody)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set(fhir.HookHeader, secret)
				if resp, err := http.DefaultClient.Do(req); err == nil {
					_ = resp.Body.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(rand.N(40 * time.Millisecond)):
				}
			}
		})
	}
}

// TestDeletedWhileOffered deletes the slot that people were asked for, instead of booking it: it closes as soon as
// the record system's history shows it or, where there is none, a complete look.
func TestDeletedWhileOffered(t *testing.T) {
	t.Parallel()
	for name, manner := range map[string]sandbox.Manner{"history": {History: true}, "complete look": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, w, _ := bent(t, func(w *world, _ *Config) {
				if err := w.dme.SetManner(faulty, manner); err != nil {
					t.Fatal(err)
				}
			})
			p.healthy(faulty)
			gone, card, who := p.open(faulty, engine.SMS, 1)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, w.fhirURL+"/dme/"+faulty+"/fhir/Slot/"+gone.Slot, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+w.token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent {
				t.Fatalf("the slot could not be deleted: %d", resp.StatusCode)
			}
			before := p.offers()[faulty]
			if !manner.History { // the next complete look is minutes away; resuming asks for one
				p.must(http.StatusOK, "POST", "/api/v1/clinics/"+faulty+"/hold", map[string]bool{"hold": true}, nil)
				p.must(http.StatusOK, "POST", "/api/v1/clinics/"+faulty+"/hold", map[string]bool{"hold": false}, nil)
			}
			eventually(t, "the deleted slot closes", func() bool { return p.over(card) })
			p.told(who[0].ID, "n'est plus offerte")
			p.text(who[0].ID, "OUI")
			eventually(t, "the yes is answered", func() bool {
				items := p.thread(who[0].ID).Items
				return len(items) > 3 && !items[len(items)-1].Mine
			})
			if !p.over(card) {
				t.Errorf("the deleted slot is %s", p.card(faulty, string(card.ID)).State)
			}
			if n := p.offers()[faulty]; n > before {
				t.Errorf("%d more offers after a slot was gone", n-before)
			}
			for _, a := range p.record(faulty).Appointments {
				if a.Slot == gone.Slot && a.Relais {
					t.Error("booked on a slot that is gone")
				}
			}
		})
	}
}
