package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"relais/engine"
)

// CarrierConfig says how the sandbox's carrier behaves.
type CarrierConfig struct {
	Wall       *Wall
	AccountSID string // letters and digits, starting with AC
	AuthToken  string // letters and digits
	// KeySID and KeySecret are an API key that signs in as well as the token does; or "".
	KeySID, KeySecret string
	Service           string // SID of the messaging service that From belongs to; or ""
	From              string // the number that texts to Relais are sent to
	SmsURL            string // where Relais takes texts; see SetSmsURL
	// Dial is a host:port that webhooks connect to whatever their URL says, for when the public
	// address does not lead back here; or "".
	Dial string
	// Second is the length of one second of a call: ringing, pauses and speech. Default 1 s;
	// tests make it short.
	Second time.Duration
	Seed   uint64 // decides which messages fail
	// Arrived is told of each text that was delivered and each phone that rings, on a goroutine of
	// its own; nil for nobody. A run without people answers from here.
	Arrived func(Arrival)
	Log     *slog.Logger
}

// Arrival is a text on somebody's phone, or a phone that rings.
type Arrival struct {
	Phone string
	SID   string // for Answer, Press and HangUp
	Call  bool
	Text  string // "" for a call
}

const (
	maxDelay     = 60_000 // ms
	maxPending   = 10_000 // texts on their way
	maxCalls     = 500    // at once
	maxResources = 20_000 // texts and calls that can be fetched
	maxHooks     = 64     // webhooks at once
	hookTimeout  = 15 * time.Second
	maxSmsRunes  = 1600
)

// CarrierServer is a carrier that speaks the part of Twilio's REST API (2010-04-01) that Relais
// uses, and whose phones hang on the Wall. Twilio's magic numbers fail the way they do there:
// +15005550001 is invalid, ...0002 has no route, ...0004 opted out and ...0009 takes no texts.
type CarrierServer struct {
	cfg    CarrierConfig
	wall   *Wall
	log    *slog.Logger
	listen net.Listener
	server *http.Server
	hooks  *http.Client
	slots  chan struct{} // one for each webhook under way

	ctx  context.Context //nolint:containedctx // ends everything the carrier does on its own
	stop context.CancelFunc
	work sync.WaitGroup

	mu       sync.Mutex
	faults   Carrier
	chaos    Chaos
	lines    map[string]LineKind
	smsURL   string
	callURL  string // of calls to the number: only shown, for nobody calls in here
	dice     *mathrand.Rand
	pending  int
	messages map[string]*message
	calls    map[string]*call
	order    []string // SIDs of messages and calls, oldest first
	live     int      // calls that are not over
	closed   bool
}

// StartCarrier listens on a free port of the loopback.
func StartCarrier(cfg CarrierConfig) (*CarrierServer, error) {
	if cfg.Wall == nil || cfg.AccountSID == "" || cfg.AuthToken == "" {
		return nil, errors.New("sandbox: the carrier needs a wall, an account and its token")
	}
	if cfg.Second <= 0 {
		cfg.Second = time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		stop()
		return nil, fmt.Errorf("sandbox: carrier: %w", err)
	}
	wire := &http.Transport{MaxIdleConnsPerHost: maxHooks, IdleConnTimeout: time.Minute}
	if cfg.Dial != "" {
		d := &net.Dialer{Timeout: 5 * time.Second}
		wire.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, cfg.Dial)
		}
	}
	c := &CarrierServer{
		cfg: cfg, wall: cfg.Wall, log: cfg.Log, listen: l, smsURL: cfg.SmsURL,
		hooks: &http.Client{
			Transport: wire, Timeout: hookTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		slots: make(chan struct{}, maxHooks),
		ctx:   ctx, stop: stop,
		dice:     mathrand.New(mathrand.NewPCG(cfg.Seed, 1)), //nolint:gosec // repeatable on purpose
		messages: map[string]*message{}, calls: map[string]*call{}, lines: map[string]LineKind{},
	}
	c.server = &http.Server{
		Handler: c.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	c.work.Go(func() {
		if err := c.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.log.Error("sandbox carrier stopped", "error", err)
		}
	})
	return c, nil
}

// BaseURL is where the API is, for the adapter's BaseURL.
func (c *CarrierServer) BaseURL() string { return "http://" + c.listen.Addr().String() }

// SetCallURL says where the number's incoming calls go.
func (c *CarrierServer) SetCallURL(u string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callURL = u
}

// SetSmsURL says where Relais takes texts, once its own address is known.
func (c *CarrierServer) SetSmsURL(u string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.smsURL = u
}

// Close ends calls and deliveries under way and stops listening.
func (c *CarrierServer) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	err := c.server.Close()
	c.work.Wait()
	c.hooks.CloseIdleConnections()
	return err
}

// spawn runs f until it ends; false when the carrier is closing.
func (c *CarrierServer) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Go(f)
	return true
}

// Faults returns the carrier's behaviour.
func (c *CarrierServer) Faults() Carrier {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults
}

// SetFaults changes the carrier's behaviour from the next message on.
func (c *CarrierServer) SetFaults(f Carrier) error {
	if f.FailShare < 0 || f.FailShare > 100 {
		return engine.Errorf(engine.Invalid, "The share of failures is a percentage, 0 to 100.")
	}
	if f.DelayMilli < 0 || f.DelayMilli > maxDelay {
		return engine.Errorf(engine.Invalid, "The delay is 0 to %d ms.", maxDelay)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = f
	return nil
}

// mood draws what the demo's page wants to happen to the next message.
func (c *CarrierServer) mood() (fail bool, delay time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dice.IntN(100) < c.faults.FailShare, time.Duration(c.faults.DelayMilli) * time.Millisecond
}

// keep remembers a resource for fetching and forgets the oldest; c.mu is held.
func (c *CarrierServer) keep(sid string) {
	c.order = append(c.order, sid)
	for len(c.order) > maxResources {
		old := c.order[0]
		if k := c.calls[old]; k != nil && !k.over() {
			break // a call under way is still needed; it is forgotten next time
		}
		delete(c.messages, old)
		delete(c.calls, old)
		c.order = c.order[1:]
	}
}

// newSID makes an identifier the way Twilio's look.
func newSID(prefix string) string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return prefix + hex.EncodeToString(b)
}

// pause waits, and reports whether it waited to the end.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
