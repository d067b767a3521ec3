package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/time/rate"

	"relais/engine"
)

// Receiver takes what came by mail. Errors are *engine.Error.
type Receiver interface {
	// Receipt takes a later word on an attempt; it returns once that is kept.
	Receipt(ctx context.Context, in engine.Receipt) error
	// Reply takes a person's answer and says what to tell them. The same ID twice counts once.
	Reply(ctx context.Context, in engine.Reply) (engine.Answer, error)
}

// InboundConfig says where mail comes in. All fields but TLS, Count and Log are needed.
type InboundConfig struct {
	Addr      string      // host and port to listen on
	Addresses *Addresses  // the same that the client writes
	TLS       *tls.Config // for STARTTLS; nil: in the clear, on the loopback only
	Client    *Client     // sends the answers
	Receiver  Receiver
	Count     func(what string) // told what each mail or recipient came to, from any goroutine
	Log       *slog.Logger
}

// What came of a mail, a recipient or a connection: the words that Count is told.
const (
	InReply     = "reply"     // a person answered
	InDelivered = "delivered" // a report: it is in the mailbox
	InBounced   = "bounced"   // a report: it is not
	InDelayed   = "delayed"   // a report that says nothing final
	InComplaint = "complaint" // the person told their provider that it is spam
	InAuto      = "auto"      // out of office and the like; ignored
	InUnknown   = "unknown"   // of an offer that is gone
	InForged    = "forged"    // an address that we did not give out; refused
	InLimited   = "limited"   // over a limit; asked to come back
	InBad       = "bad"       // cannot be read, or is too large; refused
	InLater     = "later"     // we could not keep it; asked to come back
	InMute      = "mute"      // a reply whose answer could not be sent
)

// Words returns all words that Count may be told.
func Words() []string {
	return []string{
		InReply, InDelivered, InBounced, InDelayed, InComplaint, InAuto, InUnknown, InForged, InLimited, InBad, InLater, InMute,
	}
}

const (
	maxInbound   = 256 << 10 // bytes of a message
	maxConns     = 64
	maxConnsOf   = 16 // of one address
	maxForged    = 3  // recipients of one connection
	maxPerHour   = 20 // mails about one attempt
	maxSeen      = 10_000
	maxAnswers   = 16 // on their way
	maxSaid      = 1600
	inboundRate  = 50 // mails a second
	inboundWait  = time.Minute
	takeWithin   = 20 * time.Second
	answerTries  = 3
	answerWithin = 5 * time.Minute
)

// Inbound is an SMTP server for the domain of bounces and replies. It takes one recipient a message,
// at most 256 KB, and only for addresses that were given out: a reply is authenticated by its address,
// not by its sender, which anybody can forge. A mail is acknowledged once what it says is kept.
type Inbound struct {
	cfg     InboundConfig
	server  *smtp.Server
	listen  net.Listener
	rate    *rate.Limiter
	ctx     context.Context //nolint:containedctx // ends with the server
	stop    context.CancelFunc
	work    sync.WaitGroup
	answers chan struct{}

	mu     sync.Mutex
	closed bool
	conns  map[string]int // by address of the far end
	total  int
	seen   map[engine.AttemptID]int
	since  time.Time // when seen was emptied
}

// StartInbound listens. The error says what is wrong with the configuration or the address.
func StartInbound(cfg InboundConfig) (*Inbound, error) {
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("mail: the address to listen on: %w", err)
	}
	if ip := net.ParseIP(host); cfg.TLS == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errors.New("mail: without a certificate mail is taken on the loopback only")
	}
	if cfg.Addresses == nil || cfg.Client == nil || cfg.Receiver == nil {
		return nil, errors.New("mail: incoming mail needs addresses, a client and a receiver")
	}
	if cfg.Count == nil {
		cfg.Count = func(string) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	in := &Inbound{
		cfg: cfg, rate: rate.NewLimiter(inboundRate, inboundRate), answers: make(chan struct{}, maxAnswers),
		conns: map[string]int{}, seen: map[engine.AttemptID]int{},
	}
	in.ctx, in.stop = context.WithCancel(context.Background())
	l, err := (&net.ListenConfig{}).Listen(in.ctx, "tcp", cfg.Addr)
	if err != nil {
		in.stop()
		return nil, fmt.Errorf("mail: listen for mail: %w", err)
	}
	in.listen = &counted{l, in}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{in: in, conn: c}, nil }))
	s.Domain, s.TLSConfig = cfg.Addresses.domain, cfg.TLS
	// Pages of HTML come in lines far longer than RFC 5322 allows.
	s.MaxMessageBytes, s.MaxRecipients, s.MaxLineLength = maxInbound, 1, maxInbound
	s.ReadTimeout, s.WriteTimeout = inboundWait, inboundWait
	s.ErrorLog = quiet{}
	in.server = s
	in.work.Go(func() {
		if err := s.Serve(in.listen); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			cfg.Log.Error("mail is not taken any more", "error", err)
		}
	})
	return in, nil
}

// Addr is where the server listens.
func (in *Inbound) Addr() net.Addr { return in.listen.Addr() }

// Close stops listening, drops connections and waits for what is under way.
func (in *Inbound) Close() error {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.stop()
	err := in.server.Close()
	// A server that has not begun to serve does not know its listener yet, and would never end.
	if e := in.listen.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	in.work.Wait()
	return err
}

// begin counts work that Close waits for; end ends it. It is false when the server closes.
func (in *Inbound) begin() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.closed {
		in.work.Add(1)
	}
	return !in.closed
}

func (in *Inbound) end() { in.work.Done() }

// quiet silences go-smtp: its lines may quote what clients sent.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// counted is a listener that refuses connections over the limits.
type counted struct {
	net.Listener
	in *Inbound
}

func (l *counted) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		if l.in.admit(host) {
			return &countedConn{Conn: c, leave: sync.OnceFunc(func() { l.in.left(host) })}, nil
		}
		l.in.cfg.Count(InLimited)
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, "421 4.7.0 Too many connections\r\n")
		_ = c.Close()
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

func (in *Inbound) admit(host string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.total >= maxConns || in.conns[host] >= maxConnsOf {
		return false
	}
	in.total++
	in.conns[host]++
	return true
}

func (in *Inbound) left(host string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.total--
	if in.conns[host]--; in.conns[host] == 0 {
		delete(in.conns, host)
	}
}

// within reports whether another mail about an attempt is within the limits.
func (in *Inbound) within(id engine.AttemptID) bool {
	if !in.rate.Allow() {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if time.Since(in.since) > time.Hour || len(in.seen) >= maxSeen {
		clear(in.seen)
		in.since = time.Now()
	}
	in.seen[id]++
	return in.seen[id] <= maxPerHour
}
