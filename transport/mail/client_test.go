package mail_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/mail"
	"relais/transport/sandbox"
)

// box starts a sandbox mailbox and a client for it.
func box(t *testing.T, edit func(*mail.Config)) (*sandbox.Wall, *mail.Client) {
	t.Helper()
	wall, err := sandbox.OpenWall("", []sandbox.Person{{Name: "Éloïse Tremblay", Email: "Eloise@example.org"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := sandbox.StartMailbox(sandbox.MailboxConfig{Wall: wall})
	if err != nil {
		t.Fatal(err)
	}
	host, port := server.Addr()
	user, password := server.Credentials()
	cfg := mail.Config{
		Host: host, Port: port, Username: user, Password: password, CA: server.CA(),
		From: "Clinique du Parc <rendezvous@clinique.example>", ReplyTo: "accueil@clinique.example",
	}
	if edit != nil {
		edit(&cfg)
	}
	c, err := mail.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = server.Close()
		_ = wall.Close()
	})
	return wall, c
}

func offer(to string) engine.Message {
	return engine.Message{
		Attempt: "20260302T0920Z-abcdef012345.1.1.1", Kind: engine.MsgOffer, Channel: engine.EmailMail, Lang: engine.French,
		Email: engine.Email(to), Subject: "Une place s’est libérée à la clinique",
		Text:  "Bonjour Éloïse,\n\nRépondez ici : https://relais.example/o/abc.\n\nÀ bientôt",
		HTML:  `<p>Bonjour Éloïse, <a href="https://relais.example/o/abc">répondez ici</a></p>`,
		Leave: "https://relais.example/leave/abc",
	}
}

func TestMailArrivesWhole(t *testing.T) {
	wall, c := box(t, nil)
	m := offer("eloise@example.org")
	start := time.Date(2026, 3, 2, 14, 20, 0, 0, time.UTC)
	m.Invite = c.Invite("relais-b1", engine.Clinic{Name: "Clinique du Parc", Address: "1, rue Principale", Phone: "+1 514 555-0100"}, engine.French, start, start.Add(20*time.Minute))
	out := c.Send(t.Context(), m)
	if out.Status != engine.Accepted {
		t.Fatalf("outcome %+v", out)
	}
	if want := "<20260302T0920Z-abcdef012345.1.1.1@clinique.example>"; out.Ref != want {
		t.Errorf("ref %q, want %q", out.Ref, want)
	}
	th := wall.Threads()
	if len(th) != 1 || len(th[0].Items) != 1 {
		t.Fatalf("threads %+v", th)
	}
	it := th[0].Items[0]
	if th[0].Name != "Éloïse Tremblay" || it.Subject != m.Subject || it.HTML != m.HTML {
		t.Errorf("item %+v", it)
	}
	if it.Text != m.Text {
		t.Errorf("text %q, want %q", it.Text, m.Text)
	}
	if len(it.Files) != 1 || it.Files[0].Name != "rendez-vous.ics" || !strings.HasPrefix(it.Files[0].Text, "BEGIN:VCALENDAR\r\n") {
		t.Errorf("files %+v", it.Files)
	}
	if len(it.Links) != 1 || it.Links[0] != "https://relais.example/o/abc" {
		t.Errorf("links %q", it.Links)
	}
}

func TestRefusals(t *testing.T) {
	_, c := box(t, nil)
	for _, x := range []struct {
		to     string
		reason engine.Reason
		retry  bool
	}{
		{"unknown@example.org", engine.BadContact, false},
		{"full@example.org", engine.Unreached, true},
		{"greylist@example.org", engine.RateLimited, true},
		{"not an address", engine.BadContact, false},
	} {
		out := c.Send(t.Context(), offer(x.to))
		if out.Status != engine.Failed || out.Reason != x.reason || out.Retry != x.retry {
			t.Errorf("%s: %+v", x.to, out)
		}
		if strings.Contains(out.Detail, "example.org") {
			t.Errorf("%s: the detail shows the address: %q", x.to, out.Detail)
		}
	}
	// The second time a greylisting server takes it, on the same connection.
	if out := c.Send(t.Context(), offer("greylist@example.org")); out.Status != engine.Accepted {
		t.Errorf("greylist again: %+v", out)
	}
}

func TestWithdrawnWhileWaiting(t *testing.T) {
	wall, c := box(t, nil)
	m := offer("a@example.org")
	m.Still = func() bool { return false }
	if out := c.Send(t.Context(), m); out.Status != engine.Failed || out.Reason != engine.Dropped {
		t.Errorf("outcome %+v", out)
	}
	for _, th := range wall.Threads() {
		if len(th.Items) > 0 {
			t.Errorf("something arrived: %+v", th.Items)
		}
	}
}

func TestAccountFaults(t *testing.T) {
	for name, edit := range map[string]func(*mail.Config){
		"password":  func(c *mail.Config) { c.Password = "wrong" },
		"authority": func(c *mail.Config) { c.CA = nil },
		"plaintext": func(c *mail.Config) { c.TLS = mail.NoTLS },
	} {
		t.Run(name, func(t *testing.T) {
			_, c := box(t, edit)
			if out := c.Send(t.Context(), offer("a@example.org")); out.Status != engine.Failed || out.Reason != engine.AccountFault || out.Retry {
				t.Errorf("outcome %+v", out)
			}
		})
	}
}

// script plays a server without TLS: each step is what to answer to the next line, "" hangs up.
// After "354" lines are read up to the final dot.
func script(t *testing.T, rounds ...[]string) *mail.Client {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for _, steps := range rounds {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			play(conn, steps)
		}
	}()
	c, err := mail.New(mail.Config{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: mail.NoTLS,
		From: "a@clinique.example", Pool: 1, Timeout: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func play(conn net.Conn, steps []string) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	var before string
	for _, s := range steps {
		for before != "" { // the greeting comes unasked
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if !strings.HasPrefix(before, "354") || line == ".\r\n" {
				break
			}
		}
		before = s
		if s == "" {
			return
		}
		if s == "silence" {
			_, _ = in.ReadString('\n') // until the client gives up
			return
		}
		_, _ = fmt.Fprintf(conn, "%s\r\n", s)
	}
}

func TestBrokenServers(t *testing.T) {
	const hi, ok, data = "220 hi", "250 ok", "354 go"
	up := []string{hi, ok, ok} // greeting, EHLO, NOOP
	for _, x := range []struct {
		name   string
		steps  []string
		status engine.OutcomeStatus
		reason engine.Reason
		retry  bool
	}{
		{"lost after the final dot", append(up, ok, ok, data, ""), engine.Unknown, engine.CarrierDown, false},
		{"silent after the final dot", append(up, ok, ok, data, "silence"), engine.Unknown, engine.CarrierDown, false},
		{"lost after 250", append(up, ok, ok, data, ok, ""), engine.Accepted, "", false},
		{"lost before the message", append(up, ok, ok, ""), engine.Failed, engine.CarrierDown, true},
		{"shutting down", []string{"421 bye"}, engine.Failed, engine.CarrierDown, true},
		{"hangs up at once", []string{""}, engine.Failed, engine.CarrierDown, true},
		{"sender refused", append(up, "550 5.7.1 not you"), engine.Failed, engine.AccountFault, false},
		{"no such user", append(up, ok, "550 5.1.1 who"), engine.Failed, engine.BadContact, false},
		{"spam", append(up, ok, ok, data, "554 5.7.1 spam"), engine.Failed, engine.Filtered, false},
		{"try the message later", append(up, ok, ok, data, "451 4.7.1 later"), engine.Failed, engine.RateLimited, true},
		{"shutting down in the middle", append(up, ok, "421 4.3.2 bye"), engine.Failed, engine.CarrierDown, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			out := script(t, x.steps).Send(t.Context(), offer("b@example.org"))
			if out.Status != x.status || out.Reason != x.reason || out.Retry != x.retry {
				t.Errorf("outcome %+v", out)
			}
		})
	}
}

// A server that hangs up idle connections costs nothing: the message goes out on a new one.
func TestStaleConnection(t *testing.T) {
	const hi, ok, data = "220 hi", "250 ok", "354 go"
	whole := []string{hi, ok, ok, ok, ok, data, ok, ok, ok} // ... DATA, dot, NOOP and RSET
	c := script(t, whole, whole)
	for i := range 2 {
		if out := c.Send(t.Context(), offer("b@example.org")); out.Status != engine.Accepted {
			t.Errorf("message %d: %+v", i, out)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	c, err := mail.New(mail.Config{Host: "127.0.0.1", Port: port, From: "a@clinique.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out := c.Send(t.Context(), offer("b@example.org")); out.Status != engine.Failed || !out.Retry || out.Reason != engine.CarrierDown {
		t.Errorf("outcome %+v", out)
	}
}

func TestCancelledSend(t *testing.T) {
	c := script(t, []string{"220 hi", "silence"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out := c.Send(ctx, offer("b@example.org")); out.Status != engine.Failed || !out.Retry {
		t.Errorf("outcome %+v", out)
	}
}

func TestStartTLSMissing(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		if conn, err := l.Accept(); err == nil {
			play(conn, []string{"220 hi", "250 ok", "250 ok"})
		}
	}()
	c, err := mail.New(mail.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, From: "a@clinique.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out := c.Send(t.Context(), offer("b@example.org")); out.Status != engine.Failed || out.Reason != engine.AccountFault {
		t.Errorf("outcome %+v", out)
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]mail.Config{
		"no host":   {From: "a@b.example"},
		"no sender": {Host: "h"},
		"bad TLS":   {Host: "h", From: "a@b.example", TLS: "perhaps"},
		"bad CA":    {Host: "h", From: "a@b.example", CA: []byte("x")},
		"bad reply": {Host: "h", From: "a@b.example", ReplyTo: "x"},
	} {
		if _, err := mail.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	wall, err := sandbox.OpenWall("", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = wall.Close() }()
	server, err := sandbox.StartMailbox(sandbox.MailboxConfig{Wall: wall})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	host, port := server.Addr()
	user, password := server.Credentials()
	c, err := mail.New(mail.Config{Host: host, Port: port, Username: user, Password: password, CA: server.CA(), From: "a@b.example", Pool: 8})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	m := offer("a@example.org")
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if out := c.Send(b.Context(), m); out.Status != engine.Accepted {
				b.Errorf("%+v", out)
				return
			}
		}
	})
}
