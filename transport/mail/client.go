package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	netmail "net/mail"
	"strings"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	gomail "github.com/wneessen/go-mail"

	"relais/engine"
)

// TLS says how the connection is protected.
type TLS string

// The ways. There is no opportunistic one: whoever can strip STARTTLS can read the mail.
const (
	StartTLS TLS = "starttls" // the default: STARTTLS or nothing
	Implicit TLS = "implicit" // TLS from the first byte, usually port 465
	NoTLS    TLS = "none"     // in the clear, for a relay on the same machine
)

// Config says which server to use and who writes. Zero fields take the defaults.
type Config struct {
	Host     string
	Port     int // default 587, with Implicit 465, with NoTLS 25
	Username string
	Password string
	TLS      TLS
	CA       []byte // PEM of the only authorities to trust; nil: the system's
	From     string // for example "Clinique du Parc <rendezvous@clinique.example>"
	ReplyTo  string // "" for none; Addresses goes before it
	HELO     string // default: the domain of From
	Pool     int    // connections; default 4, at most 32
	// Timeout bounds one message, from connecting to the server's last word; default 20 s.
	Timeout time.Duration
	// Wait bounds the wait for a connection to be free; default 30 s.
	Wait time.Duration
	// Addresses gives each message a return path and an address for replies of its own; nil: From.
	Addresses *Addresses
	// DKIM signs messages; nil leaves that to the server.
	DKIM *DKIM
}

const (
	maxPool = 32
	idle    = 4 * time.Minute // servers commonly hang up after 5
)

// The breaker opens when half of at least 10 messages within 30 s failed because of the server,
// and lets one through after 15 s.
const (
	breakerRate   = 0.5
	breakerLeast  = 10
	breakerPeriod = 30 * time.Second
	breakerDelay  = 15 * time.Second
)

// Client sends through one server.
type Client struct {
	cfg     Config
	from    *netmail.Address
	replyTo *netmail.Address
	domain  string

	port      int
	tlsConfig *tls.Config
	breaker   circuitbreaker.CircuitBreaker[any]
	free      chan *link
	close     sync.Once
	closed    chan struct{}
}

// New checks the configuration and makes a Client. Nothing is connected yet.
func New(cfg Config) (*Client, error) {
	if cfg.Host == "" {
		return nil, errors.New("mail: a server is needed")
	}
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil {
		return nil, errors.New("mail: the sender is not an address")
	}
	c := &Client{from: from, closed: make(chan struct{})}
	_, c.domain, _ = strings.Cut(from.Address, "@")
	if cfg.ReplyTo != "" {
		if c.replyTo, err = netmail.ParseAddress(cfg.ReplyTo); err != nil {
			return nil, errors.New("mail: the reply-to is not an address")
		}
	}
	if cfg.TLS == "" {
		cfg.TLS = StartTLS
	}
	if cfg.HELO == "" {
		cfg.HELO = c.domain
	}
	if cfg.Pool <= 0 {
		cfg.Pool = 4
	}
	cfg.Pool = min(cfg.Pool, maxPool)
	if cfg.Timeout <= 0 {
		cfg.Timeout = 20 * time.Second
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 30 * time.Second
	}
	c.cfg = cfg
	if err := c.protect(); err != nil {
		return nil, err
	}
	c.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakerRate, breakerLeast, breakerPeriod).
		WithSuccessThreshold(1).WithDelay(breakerDelay).Build()
	c.free = make(chan *link, cfg.Pool)
	for range cfg.Pool {
		l := &link{}
		if l.dialer, err = c.dialer(l); err != nil {
			return nil, err
		}
		c.free <- l
	}
	return c, nil
}

// protect works out the port and how connections are protected.
func (c *Client) protect() error {
	c.tlsConfig = &tls.Config{ServerName: c.cfg.Host, MinVersion: tls.VersionTLS12}
	if len(c.cfg.CA) > 0 {
		c.tlsConfig.RootCAs = x509.NewCertPool()
		if !c.tlsConfig.RootCAs.AppendCertsFromPEM(c.cfg.CA) {
			return errors.New("mail: the CA holds no certificate")
		}
	}
	usual, ok := map[TLS]int{StartTLS: 587, Implicit: 465, NoTLS: 25}[c.cfg.TLS]
	if !ok {
		return errors.New(`mail: TLS is "starttls", "implicit" or "none"`)
	}
	c.port = cmp.Or(c.cfg.Port, usual)
	return nil
}

// Close says goodbye on idle connections. Messages under way end by themselves; later ones fail.
func (c *Client) Close() {
	c.close.Do(func() {
		close(c.closed)
		for range cap(c.free) {
			select {
			case l := <-c.free:
				l.hangUp()
			default:
				return
			}
		}
	})
}

// Send hands a message to the server, at most once.
func (c *Client) Send(ctx context.Context, m engine.Message) engine.Outcome {
	msg, err := c.compose(m)
	if err != nil {
		return engine.Outcome{Status: engine.Failed, Reason: engine.BadContact, Detail: "the address is malformed"}
	}
	return c.hand(ctx, m, msg)
}

// answer sends the answer to a letter, at most once.
func (c *Client) answer(ctx context.Context, m engine.Message, to *letter) engine.Outcome {
	msg, err := c.composeAnswer(m, to)
	if err != nil {
		return engine.Outcome{Status: engine.Failed, Reason: engine.BadContact, Detail: "the address is malformed"}
	}
	return c.hand(ctx, m, msg)
}

func (c *Client) hand(ctx context.Context, m engine.Message, msg *gomail.Msg) engine.Outcome {
	l, out, ok := c.take(ctx, m.Valid)
	if !ok {
		return out
	}
	defer c.put(l)
	if !c.breaker.TryAcquirePermit() {
		out := failed(engine.CarrierDown, true, "the server keeps failing")
		out.Wait = c.breaker.RemainingDelay()
		return out
	}
	out = c.deliver(ctx, l, msg, m.Still)
	if out.Reason == engine.CarrierDown {
		c.breaker.RecordFailure()
	} else {
		c.breaker.RecordSuccess()
	}
	return out
}

func failed(r engine.Reason, retry bool, detail string) engine.Outcome {
	return engine.Outcome{Status: engine.Failed, Reason: r, Retry: retry, Detail: detail}
}

// take waits for a free link.
func (c *Client) take(ctx context.Context, valid time.Duration) (*link, engine.Outcome, bool) {
	longest := c.cfg.Wait
	if valid > 0 {
		longest = min(longest, valid)
	}
	t := time.NewTimer(longest)
	defer t.Stop()
	select {
	case <-c.closed:
	case l := <-c.free:
		return l, engine.Outcome{}, true
	case <-t.C:
		if valid > 0 && valid <= c.cfg.Wait {
			return nil, failed(engine.TooLate, false, "its time was over before its turn came"), false
		}
		return nil, failed(engine.RateLimited, true, "too many messages wait before this one"), false
	case <-ctx.Done():
	}
	return nil, failed(engine.CarrierDown, true, "stopped while waiting for its turn"), false
}

func (c *Client) put(l *link) {
	select {
	case <-c.closed:
		l.hangUp()
	default:
	}
	c.free <- l
}

// deliver sends on the link. A connection that went stale while idle is opened anew once: nothing
// was sent on it.
func (c *Client) deliver(ctx context.Context, l *link, msg *gomail.Msg, still func() bool) engine.Outcome {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if l.conn != nil && time.Since(l.used) > idle {
		l.hangUp()
	}
	for {
		fresh := l.conn == nil
		if fresh {
			if err := l.dial(ctx); err != nil {
				return dialOutcome(err)
			}
		}
		if still != nil && !still() {
			return failed(engine.Dropped, false, "withdrawn while it waited")
		}
		err := l.send(ctx, msg)
		if err != nil && !msg.IsDelivered() && !fresh && isStale(err) {
			l.cut()
			continue
		}
		// A link whose last word was an error may be in any state; RSET failing after the message
		// was taken comes here too.
		if err != nil {
			l.cut()
		}
		return sendOutcome(msg, err)
	}
}
