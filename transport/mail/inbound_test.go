package mail_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"relais/engine"
	"relais/transport/mail"
	"relais/transport/sandbox"
)

const attempt engine.AttemptID = "20260302T0920Z-abcdef012345.1.1.1"

// receiver keeps what it is given and says what it is told to.
type receiver struct {
	mu       sync.Mutex
	receipts []engine.Receipt
	replies  []engine.Reply
	answer   engine.Answer
	err      error
	came     chan struct{}
}

func (r *receiver) Receipt(_ context.Context, in engine.Receipt) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receipts = append(r.receipts, in)
	r.came <- struct{}{}
	return r.err
}

func (r *receiver) Reply(_ context.Context, in engine.Reply) (engine.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replies = append(r.replies, in)
	return r.answer, r.err
}

// office is a sandbox mailbox and Relais's two ends: the client and the inbound server.
type office struct {
	*receiver

	addresses *mail.Addresses
	client    *mail.Client
	inbound   *mail.Inbound
	mailbox   *sandbox.MailServer
	wall      *sandbox.Wall
	log       bytes.Buffer

	counts chan string
}

func openOffice(t *testing.T) *office {
	t.Helper()
	o := &office{receiver: &receiver{came: make(chan struct{}, 100)}, counts: make(chan string, 1000)}
	var err error
	if o.addresses, err = mail.NewAddresses("retour.clinique.example", "a secret of some length"); err != nil {
		t.Fatal(err)
	}
	if o.wall, err = sandbox.OpenWall("", []sandbox.Person{{Name: "Éloïse Tremblay", Email: "eloise@example.org", Lang: "fr"}}, nil); err != nil {
		t.Fatal(err)
	}
	if o.mailbox, err = sandbox.StartMailbox(sandbox.MailboxConfig{Wall: o.wall}); err != nil {
		t.Fatal(err)
	}
	host, port := o.mailbox.Addr()
	user, password := o.mailbox.Credentials()
	if o.client, err = mail.New(mail.Config{
		Host: host, Port: port, Username: user, Password: password, CA: o.mailbox.CA(),
		From: "Clinique du Parc <rendezvous@clinique.example>", Addresses: o.addresses,
	}); err != nil {
		t.Fatal(err)
	}
	if o.inbound, err = mail.StartInbound(mail.InboundConfig{
		Addr: "127.0.0.1:0", Addresses: o.addresses, Client: o.client, Receiver: o.receiver,
		Count: func(what string) { o.counts <- what },
		Log:   slog.New(slog.NewTextHandler(&o.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}); err != nil {
		t.Fatal(err)
	}
	o.mailbox.SetRoute(o.inbound.Addr().String())
	t.Cleanup(func() {
		if err := o.inbound.Close(); err != nil {
			t.Error(err)
		}
		o.client.Close()
		_ = o.mailbox.Close()
		_ = o.wall.Close()
		if strings.Contains(o.log.String(), "@") {
			t.Errorf("the log shows an address: %s", o.log.String())
		}
	})
	return o
}

// post hands a mail to the inbound server.
func (o *office) post(t *testing.T, from, to, text string) error {
	t.Helper()
	c, err := smtp.Dial(o.inbound.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.SendMail(from, []string{to}, strings.NewReader(text))
}

func (o *office) counted(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-o.counts:
		if got != want {
			t.Errorf("counted as %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("nothing was counted, want %q", want)
	}
}

// items waits until a thread of the wall has n items.
func (o *office) items(t *testing.T, n int) []sandbox.Item {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if items := o.wall.Threads()[0].Items; len(items) >= n {
			return items
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("not %d items: %+v", n, o.wall.Threads())
		}
	}
}

// A mail that its server took bounces over SMTP, and one that arrived is proven.
func TestReportsComeBack(t *testing.T) {
	for to, want := range map[string]engine.Receipt{
		"gone+1@example.org": {Attempt: attempt, Status: engine.ReceiptFailed, Reason: engine.BadContact},
		"eloise@example.org": {Attempt: attempt, Status: engine.ReceiptDelivered},
	} {
		o := openOffice(t)
		if out := o.client.Send(t.Context(), offer(to)); out.Status != engine.Accepted {
			t.Fatalf("outcome %+v", out)
		}
		<-o.came
		o.mu.Lock()
		got := o.receipts[0]
		o.mu.Unlock()
		if got.At.IsZero() {
			t.Error("no time")
		}
		if got.At = (time.Time{}); got != want {
			t.Errorf("%s: %+v", to, got)
		}
	}
}

// A person answers in their mail program and reads what it came to, and may answer that in turn.
func TestReplyAndAnswer(t *testing.T) {
	o := openOffice(t)
	o.answer = engine.Answer{Kind: engine.AnsDeclined, Lang: engine.French, Text: "C’est noté."}
	if out := o.client.Send(t.Context(), offer("eloise@example.org")); out.Status != engine.Accepted {
		t.Fatalf("outcome %+v", out)
	}
	first := o.items(t, 1)[0]
	if err := o.mailbox.Reply(first.ID, "Non merci"); err != nil {
		t.Fatal(err)
	}
	items := o.items(t, 3)
	answer := items[slices.IndexFunc(items, func(i sandbox.Item) bool { return !i.Mine && i.ID != first.ID })]
	if answer.Text != "C’est noté.\n" || answer.Subject != "Re: Une place s’est libérée à la clinique" {
		t.Errorf("answer %+v", answer)
	}
	if err := o.mailbox.Reply(answer.ID, "ARRÊT"); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.replies) != 2 || o.replies[0].Intent != engine.No || o.replies[1].Intent != engine.Stop || o.replies[0].ID == o.replies[1].ID {
		t.Fatalf("replies %+v", o.replies)
	}
	for _, r := range o.replies {
		if r.Attempt != attempt || r.Channel != engine.EmailMail || r.Token != "" || r.Phone != "" || r.At.IsZero() {
			t.Errorf("reply %+v", r)
		}
	}
}

const words = "From: a@example.org\r\nSubject: Re: x\r\nMessage-ID: <1@example.org>\r\n\r\nOUI\r\n"

func report(boundary, kind, part string) string {
	return "Content-Type: multipart/report; report-type=" + kind + "; boundary=" + boundary + "\r\n\r\n--" + boundary +
		"\r\n\r\nSorry\r\n--" + boundary + "\r\n" + part + "\r\n--" + boundary + "--\r\n"
}

// complaint is a provider's feedback report with the headers of our message.
func complaint(feedback, replyTo string) string {
	return report("b", "feedback-report", "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: "+feedback+"\r\nVersion: 1\r\nUser-Agent: x/1\r\n"+
		"\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: rendezvous@clinique.example\r\nReply-To: <"+replyTo+">\r\n")
}

func TestWhatComesIn(t *testing.T) {
	o := openOffice(t)
	bounce, reply := o.addresses.Bounce(attempt), o.addresses.Reply(attempt)
	dsn := report("b", "delivery-status", "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n")
	for _, x := range []struct {
		name, from, to, text string
		counted              string
		code                 int // 0: taken
		replies, receipts    int
		err                  error
	}{
		{name: "a reply", from: "a@example.org", to: reply, text: words, counted: mail.InReply, replies: 1},
		{name: "words at the address of bounces", from: "a@example.org", to: bounce, text: words, counted: mail.InAuto},
		{name: "a report at the address of replies", to: reply, text: dsn, counted: mail.InAuto},
		{name: "a bounce", to: bounce, text: dsn, counted: mail.InBounced, receipts: 1},
		{name: "a delay", to: bounce, text: strings.Replace(dsn, "failed", "delayed", 1), counted: mail.InDelayed},
		{name: "out of office", from: "a@example.org", to: reply, text: "Auto-Submitted: auto-replied\r\n" + words, counted: mail.InAuto},
		{name: "from nobody", to: reply, text: words, counted: mail.InAuto},
		{name: "a complaint", from: "fbl@provider.example", to: o.addresses.Complaints(), text: complaint("abuse", reply), counted: mail.InComplaint, replies: 1},
		{name: "a complaint that is none", from: "fbl@provider.example", to: o.addresses.Complaints(), text: complaint("not-spam", reply), counted: mail.InBad, code: 554},
		{name: "a forged complaint", from: "fbl@provider.example", to: o.addresses.Complaints(), text: complaint("abuse", strings.Replace(reply, ".1.1.1.", ".1.1.2.", 1)), counted: mail.InBad, code: 554},
		{name: "words at the address of complaints", from: "a@example.org", to: o.addresses.Complaints(), text: words, counted: mail.InBad, code: 554},
		{name: "a forged address", from: "a@example.org", to: strings.Replace(reply, ".1.1.1.", ".1.1.2.", 1), counted: mail.InForged, code: 550},
		{name: "an unsigned address", from: "a@example.org", to: "postmaster@retour.clinique.example", counted: mail.InForged, code: 550},
		{name: "another domain", from: "a@example.org", to: "a@example.org", counted: mail.InForged, code: 550},
		{name: "too large", from: "a@example.org", to: reply, text: words + strings.Repeat("x\r\n", 100_000), counted: mail.InBad, code: 552},
		{name: "no message", from: "a@example.org", to: reply, text: "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nx", counted: mail.InBad, code: 554},
		{name: "an offer that is gone", from: "a@example.org", to: reply, text: words, counted: mail.InUnknown, replies: 1, err: engine.Errorf(engine.NotFound, "gone")},
		{name: "no room in the store", from: "a@example.org", to: reply, text: words, counted: mail.InLater, code: 451, replies: 1, err: engine.Errorf(engine.StorageFull, "full")},
		{name: "a bounce and no store", to: bounce, text: dsn, counted: mail.InLater, code: 451, receipts: 1, err: engine.Errorf(engine.Unavailable, "down")},
	} {
		o.mu.Lock()
		o.replies, o.receipts, o.err = nil, nil, x.err
		o.mu.Unlock()
		err := o.post(t, x.from, x.to, x.text)
		o.counted(t, x.counted)
		code := 0
		if e, ok := err.(*smtp.SMTPError); ok { //nolint:errorlint // the client returns it bare
			code = e.Code
		}
		if code != x.code || (err != nil) != (x.code != 0) {
			t.Errorf("%s: %v", x.name, err)
		}
		o.mu.Lock()
		if len(o.replies) != x.replies || len(o.receipts) != x.receipts {
			t.Errorf("%s: replies %+v, receipts %+v", x.name, o.replies, o.receipts)
		}
		if x.counted == mail.InComplaint && (o.replies[0].Intent != engine.Stop || o.replies[0].Attempt != attempt) {
			t.Errorf("%s: %+v", x.name, o.replies[0])
		}
		o.mu.Unlock()
	}
}

// Whoever begins with STOP is heard, whatever follows; a yes with conditions goes to a person.
func TestStopAboveMore(t *testing.T) {
	o := openOffice(t)
	for text, want := range map[string]engine.Intent{
		"STOP\r\nvous m'écrivez trop\r\n": engine.Stop, "Oui\r\nmais plus tard\r\n": engine.Unclear,
	} {
		if err := o.post(t, "a@example.org", o.addresses.Reply(attempt), "Subject: Re: x\r\n\r\n"+text); err != nil {
			t.Fatal(err)
		}
		o.counted(t, mail.InReply)
		o.mu.Lock()
		if got := o.replies[len(o.replies)-1]; got.Intent != want || got.Text == "" {
			t.Errorf("%q: %+v", text, got)
		}
		o.mu.Unlock()
	}
}

func TestInboundLimits(t *testing.T) {
	o := openOffice(t)
	reply := o.addresses.Reply(attempt)
	c, err := smtp.Dial(o.inbound.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Mail("a@example.org", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(reply, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(o.addresses.Bounce(attempt), nil); err == nil {
		t.Error("a second recipient was taken")
	}
	_ = c.Quit()

	// Somebody guesses addresses: the third wrong one ends the connection.
	g, err := smtp.Dial(o.inbound.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	if err := g.Mail("a@example.org", nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_ = g.Rcpt("reply+x@retour.clinique.example", nil)
		o.counted(t, mail.InForged)
	}
	if err := g.Noop(); err == nil {
		t.Error("the connection goes on")
	}

	// More mails about one attempt than anybody writes.
	var refused error
	for range 30 {
		if refused = o.post(t, "a@example.org", reply, words); refused != nil {
			break
		}
	}
	if e, ok := refused.(*smtp.SMTPError); !ok || e.Code != 451 { //nolint:errorlint // the client returns it bare
		t.Errorf("too many mails: %v", refused)
	}
}

func TestInboundConnections(t *testing.T) {
	o := openOffice(t)
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	greeting := func() string {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", o.inbound.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		b := make([]byte, 3)
		_, _ = c.Read(b)
		return string(b)
	}
	for i := range 16 {
		if g := greeting(); g != "220" {
			t.Fatalf("connection %d: %q", i, g)
		}
	}
	if g := greeting(); g != "421" {
		t.Errorf("one too many: %q", g)
	}
}

func TestInboundConfig(t *testing.T) {
	a, err := mail.NewAddresses("retour.clinique.example", "a secret of some length")
	if err != nil {
		t.Fatal(err)
	}
	_, c := box(t, nil)
	for name, cfg := range map[string]mail.InboundConfig{
		"in the clear for all": {Addr: ":0", Addresses: a, Client: c, Receiver: &receiver{}},
		"no receiver":          {Addr: "127.0.0.1:0", Addresses: a, Client: c},
		"no port":              {Addr: "127.0.0.1", Addresses: a, Client: c, Receiver: &receiver{}},
	} {
		if in, err := mail.StartInbound(cfg); err == nil {
			_ = in.Close()
			t.Errorf("%s: started", name)
		}
	}
}
