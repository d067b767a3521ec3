package mail_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-msgauth/dkim"

	"relais/engine"
	"relais/transport/mail"
)

// mailpit is a mail server that we did not write.
type mailpit struct {
	api  string
	port int
	ca   []byte
}

const mailpitHelp = "needs Mailpit, a mail server for tests: make mailpit"

// startMailpit runs the program on free ports, with STARTTLS and a password.
func startMailpit(t *testing.T) *mailpit {
	t.Helper()
	program, err := exec.LookPath("mailpit")
	if err != nil {
		out, e := exec.CommandContext(t.Context(), "go", "env", "GOPATH").Output()
		program = filepath.Join(strings.TrimSpace(string(out)), "bin", "mailpit")
		if _, err = os.Stat(program); e != nil || err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(mailpitHelp)
			}
			t.Skip(mailpitHelp)
		}
	}
	dir := t.TempDir()
	m := &mailpit{}
	cert, key := m.certificate(t, dir)
	users := filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("relais:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.port = freePort(t)
	web := freePort(t)
	m.api = fmt.Sprintf("http://127.0.0.1:%d/api/v1/", web)
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "--disable-version-check", "--smtp-disable-rdns", "--enable-chaos",
		"--database", filepath.Join(dir, "mails.db"), "--max", "5000",
		"--smtp", fmt.Sprintf("127.0.0.1:%d", m.port), "--listen", fmt.Sprintf("127.0.0.1:%d", web),
		"--smtp-tls-cert", cert, "--smtp-tls-key", key, "--smtp-require-starttls", "--smtp-auth-file", users)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() { <-ended }) // the test's context has ended by then
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", m.port)); err == nil {
			_ = c.Close()
			if m.get(t, "info", nil) {
				return m
			}
		}
		select {
		case <-ended:
			t.Fatalf("mailpit ended:\n%s", log.String())
		case <-deadline:
			t.Fatal("mailpit does not answer")
		case <-look.C:
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (m *mailpit) certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	m.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, text := range map[string][]byte{cert: m.ca, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func (m *mailpit) client(t *testing.T, edit func(*mail.Config)) *mail.Client {
	t.Helper()
	cfg := mail.Config{
		Host: "127.0.0.1", Port: m.port, Username: "relais", Password: "secret", CA: m.ca,
		From: "Clinique du Parc <rendezvous@clinique.example>",
	}
	if edit != nil {
		edit(&cfg)
	}
	c, err := mail.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// get asks Mailpit's API; into is a *[]byte or what JSON is decoded into.
func (m *mailpit) get(t *testing.T, path string, into any) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.api+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	switch into := into.(type) {
	case nil:
	case *[]byte:
		*into = body
	default:
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return true
}

type trigger struct{ ErrorCode, Probability int }

func (m *mailpit) chaos(t *testing.T, sender, recipient, authentication trigger) {
	t.Helper()
	body, err := json.Marshal(map[string]trigger{"Sender": sender, "Recipient": recipient, "Authentication": authentication})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, m.api+"chaos", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("chaos: %s", resp.Status)
	}
}

type stored struct{ ID, MessageID string }

func (m *mailpit) list(t *testing.T) []stored {
	t.Helper()
	var page struct{ Messages []stored }
	if !m.get(t, "messages?limit=5000", &page) {
		t.Fatal("mailpit lists nothing")
	}
	return page.Messages
}

// TestMailpitReadsIt sends through a server of another make and reads back what it understood.
func TestMailpitReadsIt(t *testing.T) {
	m := startMailpit(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := mail.NewDKIM("clinique.example", "relais", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := mail.NewAddresses("retour.clinique.example", "a secret of some length")
	if err != nil {
		t.Fatal(err)
	}
	c := m.client(t, func(cfg *mail.Config) { cfg.DKIM, cfg.Addresses = signer, addresses })
	start := time.Date(2026, 3, 2, 14, 20, 0, 0, time.UTC)
	o := offer("eloise@example.org")
	o.Invite = c.Invite("relais-b1", engine.Clinic{Name: "Clinique du Parc", Address: "1, rue Principale"}, engine.French, start, start.Add(20*time.Minute))
	if got, said := steps(t, c, ""); got[3] != "sign in ok" || got[4] != "sender ok" {
		t.Errorf("check %q\n%s", got, said)
	}
	if out := c.Send(t.Context(), o); out.Status != engine.Accepted {
		t.Fatalf("outcome %+v", out)
	}
	list := m.list(t)
	if len(list) != 1 {
		t.Fatalf("%d mails", len(list))
	}
	type address struct{ Address string }
	var got struct {
		Subject, Text, HTML, ReturnPath, MessageID string
		From                                       address
		To, ReplyTo                                []address
		ListUnsubscribe                            struct {
			Links              []string
			Errors, HeaderPost string
		}
		Attachments []struct{ PartID, FileName, ContentType string }
	}
	if !m.get(t, "message/"+list[0].ID, &got) {
		t.Fatal("mailpit does not show the mail")
	}
	if got.Subject != o.Subject || strings.TrimSpace(strings.ReplaceAll(got.Text, "\r\n", "\n")) != o.Text || strings.TrimSpace(got.HTML) != o.HTML ||
		got.From.Address != "rendezvous@clinique.example" || len(got.To) != 1 || got.To[0].Address != "eloise@example.org" {
		t.Errorf("read back %+v", got)
	}
	if got.ReturnPath != addresses.Bounce(o.Attempt) || len(got.ReplyTo) != 1 || got.ReplyTo[0].Address != addresses.Reply(o.Attempt) {
		t.Errorf("return path %q, reply to %+v", got.ReturnPath, got.ReplyTo)
	}
	if u := got.ListUnsubscribe; u.Errors != "" || len(u.Links) != 2 || u.Links[0] != o.Leave || u.HeaderPost != "List-Unsubscribe=One-Click" {
		t.Errorf("unsubscribe %+v", u)
	}
	if len(got.Attachments) != 1 || got.Attachments[0].FileName != "rendez-vous.ics" || got.Attachments[0].ContentType != "text/calendar" {
		t.Fatalf("attachments %+v", got.Attachments)
	}
	var file, raw []byte
	if !m.get(t, "message/"+list[0].ID+"/part/"+got.Attachments[0].PartID, &file) || !m.get(t, "message/"+list[0].ID+"/raw", &raw) {
		t.Fatal("mailpit does not give the parts")
	}
	cal, err := ical.NewDecoder(bytes.NewReader(file)).Decode()
	if err != nil || len(cal.Events()) != 1 {
		t.Fatalf("calendar: %v\n%s", err, file)
	}
	signatures, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) {
		return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey))}, nil
	}})
	if err != nil || len(signatures) != 1 || signatures[0].Err != nil {
		t.Errorf("DKIM: %v %+v\n%s", err, signatures, raw)
	}
}

// TestMailpitInAMood sends while the server refuses senders, recipients and sign-ins at random: every
// mail that was accepted is there once, and no other.
func TestMailpitInAMood(t *testing.T) {
	const calm, mails, tries = 100, 250, 60
	m := startMailpit(t)
	for name, chaos := range map[string][3]trigger{
		"greylisting":         {{451, 20}, {451, 20}, {535, 0}},
		"shutting down":       {{421, 15}, {421, 15}, {535, 0}},
		"sign-in":             {{451, 10}, {450, 10}, {535, 15}},
		"refusing for good":   {{451, 0}, {550, 30}, {535, 0}},
		"sender not accepted": {{553, 30}, {451, 0}, {535, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			c := m.client(t, func(cfg *mail.Config) { cfg.Pool = 4 })
			var mu sync.Mutex
			want, tally := map[string]bool{}, map[string]int{}
			slug := strings.ReplaceAll(name, " ", "")
			send := func(from, until int) {
				var work sync.WaitGroup
				next := make(chan int, mails)
				for i := from; i < until; i++ {
					next <- i
				}
				close(next)
				for range 8 {
					work.Go(func() {
						for i := range next {
							o := offer(fmt.Sprintf("person%d@example.org", i))
							o.Attempt = engine.AttemptID(fmt.Sprintf("%s-%d", slug, i))
							out := insist(t.Context(), c, o, tries)
							mu.Lock()
							want[fmt.Sprintf("%s-%d@clinique.example", slug, i)] = out.Status == engine.Accepted
							tally[string(out.Status)+" "+string(out.Reason)]++
							mu.Unlock()
						}
					})
				}
				work.Wait()
			}
			send(0, calm) // so many good ones that the breaker stays closed, by whatever chance
			m.chaos(t, chaos[0], chaos[1], chaos[2])
			send(calm, mails)
			m.chaos(t, trigger{451, 0}, trigger{451, 0}, trigger{535, 0})
			seen := map[string]int{}
			for _, s := range m.list(t) {
				seen[s.MessageID]++
			}
			for id, accepted := range want {
				if n := seen[id]; accepted && n != 1 || !accepted && n != 0 {
					t.Errorf("%s: accepted %v, there %d times", id, accepted, n)
				}
			}
			t.Log(tally)
			for out, n := range tally {
				if strings.HasPrefix(name, "refusing") && out == "failed bad_contact" || strings.HasPrefix(name, "sender") && out == "failed account" || name == "sign-in" && out == "failed account" {
					if n == 0 || n == mails {
						t.Errorf("%d of %d: %s", n, mails, out)
					}
				} else if out != "accepted " {
					t.Errorf("%d mails: %s", n, out)
				}
			}
		})
	}
}

// insist sends until the outcome is final, as its Retry says, without the waits.
func insist(ctx context.Context, c *mail.Client, m engine.Message, tries int) engine.Outcome {
	var out engine.Outcome
	for range tries {
		if out = c.Send(ctx, m); out.Status != engine.Failed || !out.Retry {
			return out
		}
	}
	return out
}
