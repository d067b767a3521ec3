package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"relais/engine"
)

// fewDays is when a certificate that ends soon is worth a word.
const fewDays = 21

// Check tries the way of a mail, step by step, and tells each step as it ends: resolve, connect,
// TLS, sign in, sender and message. The last message is a real
// one, sent to the address; "" leaves it out. A step after one that failed is skipped. It takes at
// most three times Config.Timeout, uses connections of its own, and is safe for concurrent use.
func (c *Client) Check(ctx context.Context, to engine.Email, step func(engine.CheckStep)) {
	k := &checking{Client: c, step: step}
	ctx, cancel := context.WithTimeout(ctx, 3*c.cfg.Timeout)
	defer cancel()
	defer func() {
		if k.link != nil {
			k.link.hangUp()
		}
	}()
	k.do(ctx, "resolve", k.resolve)
	k.do(ctx, "connect", k.connect)
	k.do(ctx, "TLS", k.tls)
	k.do(ctx, "sign in", k.signIn)
	k.do(ctx, "sender", k.sender)
	k.do(ctx, "message", func(ctx context.Context) (engine.Verdict, string) { return k.message(ctx, to) })
}

// checking is one check under way.
type checking struct {
	*Client

	step   func(engine.CheckStep)
	failed bool
	link   *link
}

// do runs one step, unless an earlier one failed.
func (k *checking) do(ctx context.Context, name string, run func(context.Context) (engine.Verdict, string)) {
	s := engine.CheckStep{Name: name, Verdict: engine.CheckSkipped, Sentence: "An earlier step failed."}
	if !k.failed {
		start := time.Now()
		s.Verdict, s.Sentence = run(ctx)
		s.Took = time.Since(start)
		k.failed = s.Verdict == engine.CheckFailed
	}
	k.step(s)
}

func (k *checking) resolve(ctx context.Context) (engine.Verdict, string) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, k.cfg.Host)
	if err != nil {
		return engine.CheckFailed, "The server's name is not found: correct mail.host, or the machine's DNS."
	}
	return engine.CheckOK, fmt.Sprintf("The server has %d address(es).", len(addresses))
}

func (k *checking) dial(ctx context.Context) (net.Conn, error) {
	d := &net.Dialer{Timeout: k.cfg.Timeout}
	return d.DialContext(ctx, "tcp", net.JoinHostPort(k.cfg.Host, strconv.Itoa(k.port)))
}

// open connects and reads the greeting, without TLS unless that comes first.
func (k *checking) open(ctx context.Context) (*smtp.Client, func(), error) {
	conn, err := k.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	end := func() {
		stop()
		_ = conn.Close()
	}
	_ = conn.SetDeadline(time.Now().Add(k.cfg.Timeout))
	if k.cfg.TLS == Implicit {
		conn = tls.Client(conn, k.tlsConfig)
	}
	s, err := smtp.NewClient(conn, k.cfg.Host)
	if err == nil {
		err = s.Hello(k.cfg.HELO)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return s, func() { _ = s.Quit(); end() }, nil
}

func (k *checking) connect(ctx context.Context) (engine.Verdict, string) {
	if k.cfg.TLS == Implicit { // the greeting comes only after TLS, which is the next step
		conn, err := k.dial(ctx)
		if err != nil {
			return k.unreachable()
		}
		_ = conn.Close()
		return engine.CheckOK, "The server answers."
	}
	_, end, err := k.open(ctx)
	if _, network := errors.AsType[net.Error](err); network {
		return k.unreachable()
	}
	if err != nil {
		return engine.CheckFailed, "Something answers, but not as a mail server: correct mail.host, mail.port or mail.tls (" + dialOutcome(err).Detail + ")."
	}
	end()
	return engine.CheckOK, "The server answers and greets."
}

func (k *checking) unreachable() (engine.Verdict, string) {
	return engine.CheckFailed, fmt.Sprintf("Nothing answers at port %d: correct mail.host and mail.port, or open the way in the firewall.", k.port)
}

func (k *checking) tls(ctx context.Context) (engine.Verdict, string) {
	if k.cfg.TLS == NoTLS {
		return engine.CheckSkipped, "mail.tls is none: the server is on this machine."
	}
	s, end, err := k.open(ctx)
	if err == nil {
		defer end()
		if k.cfg.TLS == StartTLS {
			if ok, _ := s.Extension("STARTTLS"); !ok {
				return engine.CheckFailed, "The server does not offer STARTTLS: use mail.tls tls with its port, or another port."
			}
			err = s.StartTLS(k.tlsConfig)
		}
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return engine.CheckFailed, "The server's certificate is not trusted or is for another name: correct mail.host, or name its authority in mail.ca_file."
	}
	if err != nil {
		return engine.CheckFailed, "TLS did not come about: correct mail.tls or mail.port."
	}
	state, _ := s.TLSConnectionState()
	if len(state.PeerCertificates) == 0 {
		return engine.CheckFailed, "The server showed no certificate."
	}
	days := int(time.Until(state.PeerCertificates[0].NotAfter).Hours() / 24)
	sentence := fmt.Sprintf("%s; the server's certificate is good for %d more days.", tls.VersionName(state.Version), days)
	if days < fewDays {
		return engine.CheckWeak, sentence + " Have it renewed."
	}
	return engine.CheckOK, sentence
}

// signIn opens a connection in the very way that messages do.
func (k *checking) signIn(ctx context.Context) (engine.Verdict, string) {
	l := &link{}
	var err error
	if l.dialer, err = k.dialer(l); err != nil {
		return engine.CheckFailed, "The configuration cannot be used."
	}
	if err := l.dial(ctx); err != nil {
		o := dialOutcome(err)
		if o.Reason == engine.AccountFault && k.cfg.Username != "" {
			return engine.CheckFailed, "The server does not let us in: correct mail.username and mail.password (" + o.Detail + ")."
		}
		return engine.CheckFailed, "The server ended the connection (" + o.Detail + "): try again."
	}
	k.link = l
	if k.cfg.Username == "" {
		return engine.CheckSkipped, "There is no mail.username: the server must take mail from this machine without one."
	}
	return engine.CheckOK, "The server let us in."
}

func (k *checking) sender(context.Context) (engine.Verdict, string) {
	err := k.link.conn.Mail("<" + k.from.Address + ">")
	if err == nil {
		err = k.link.conn.Reset()
	}
	if err != nil {
		return engine.CheckFailed, "The server does not take mail from mail.from (" + dialOutcome(err).Detail + "): use an address of this account."
	}
	return engine.CheckOK, "The server takes mail from mail.from."
}

func (k *checking) message(ctx context.Context, to engine.Email) (engine.Verdict, string) {
	if to == "" {
		return engine.CheckSkipped, "No address was given to send a message to."
	}
	m := engine.Message{
		Attempt: engine.AttemptID("check-" + strings.ToLower(rand.Text())), Channel: engine.EmailMail, Lang: engine.French, Email: to,
		Subject: "Relais : message d’essai / test message",
		Text:    "Ce message vérifie que Relais peut envoyer des courriels. Rien n’est à faire.\n\nThis message checks that Relais can send mail. There is nothing to do.\n",
	}
	msg, err := k.compose(m)
	if err != nil {
		return engine.CheckFailed, "The address to send to is malformed."
	}
	switch out := sendOutcome(msg, k.link.send(ctx, msg)); out.Status {
	case engine.Accepted:
		return engine.CheckOK, "The server took the message: look whether it arrives, and not among spam."
	case engine.Unknown:
		return engine.CheckWeak, "The link broke after the message: look whether it arrives."
	case engine.Failed:
		if out.Retry {
			return engine.CheckWeak, "The server asks to try again later (" + out.Detail + ")."
		}
		return engine.CheckFailed, "The server refused the message (" + out.Detail + ")."
	}
	return engine.CheckFailed, "The server gave no answer that can be read."
}
