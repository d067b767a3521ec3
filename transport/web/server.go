package web

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"relais/engine"
)

// Observer is told what is worth measuring. Its methods are called from many goroutines and must
// not block. No argument carries personal data: routes are patterns, never paths.
type Observer interface {
	// Served is called once a request: route is the pattern that matched, "" when none did.
	Served(route, method string, status int, took time.Duration)
	// Sockets is the number of open feeds, after each change.
	Sockets(n int)
	// Evicted counts feeds that were closed because the reader did not keep up: EvictQueue or
	// EvictStalled.
	Evicted(reason string)
	// Limited counts what a limit refused: one of the Limit constants.
	Limited(what string)
	// Panicked counts recovered panics.
	Panicked()
}

// Reasons of Observer.Evicted.
const (
	EvictQueue   = "queue"   // too much was waiting for the reader
	EvictStalled = "stalled" // one write took longer than the network should need
)

// What Observer.Limited can name.
const (
	LimitSignIn  = "sign_in"
	LimitToken   = "token" // guesses of patients' links
	LimitReply   = "reply" // presses on one patient's page
	LimitSockets = "sockets"
	LimitAPI     = "api"      // calls with an API token
	LimitJoin    = "join"     // people who join or ask for their link
	LimitWho     = "identity" // dates of birth that were tried
)

// SocketLimits bounds the open feeds. A zero takes its default.
type SocketLimits struct {
	Process int // 10,000
	Account int // 100: the browsers of one front desk
	Address int // 500: a network behind one public address; an IPv6 /64 counts as one
}

// Config is what a Server needs. Desk, Offers, Doors, Accounts, PublicBase and Logger are required.
type Config struct {
	Desk     Desk
	Offers   Offers
	Doors    Doors
	Accounts Accounts
	// PublicBase is where browsers reach this server. Its origin is trusted whatever Host a
	// proxy passes on.
	PublicBase *url.URL
	// Secure is set when browsers come by HTTPS: it makes cookies Secure and sends HSTS.
	Secure bool
	// Trying is set when the certificate is a made-up one: a browser that remembered to come by HTTPS only
	// would be shut out of everything else on this host's name. It leaves HSTS out.
	Trying bool
	// Sandbox is set for "relais demo": it adds the /demo page and the flag in /api/v1/me.
	Sandbox bool
	Version string
	// TrustedProxies are the addresses whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	Sockets        SocketLimits
	// Trail keeps the audit log; nil keeps none.
	Trail Trail
	// MailInvitation tells somebody who was invited of their link; nil when no mail can be sent.
	MailInvitation func(ctx context.Context, to engine.Email, in Invitation) error
	// Single is a provider of single sign-on; nil when there is none.
	Single Provider
	// Ready says whether requests can be answered, for /readyz; nil means always.
	Ready   func(context.Context) error
	Now     func() time.Time // nil: time.Now
	Metrics Observer         // nil: nothing is measured
	Logger  *slog.Logger
}

// Server answers HTTP for people and programs. Make one with New, give its Handler to an
// http.Server and call Close before that server's Shutdown: Shutdown does not know of WebSockets.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	handler http.Handler
	now     func() time.Time
	metrics Observer
	log     *slog.Logger
	cost    cost          // of a new password hash
	dummy   string        // a hash for accounts that do not exist
	hashing chan struct{} // holds one element for each hash being computed
	waiting chan struct{} // and one for each sign-in that waits or computes

	signInAccount *limiter[engine.UserID]
	signInAddress *limiter[netip.Addr]
	guesses       *limiter[netip.Addr]
	failures      *limiter[string]   // that are recorded, by account or address
	allFailures   *limiter[struct{}] // in all
	tokens        *limiter[string]   // calls of each API token
	ceremonies    ceremonies         // of passkeys, under way
	roles         sync.Mutex         // held while somebody's role is changed
	passkeys      *webauthn.WebAuthn // nil: the address is not one that passkeys work with
	replies       *limiter[string]
	joinAddress   *limiter[netip.Addr]
	codeAddress   *limiter[netip.Addr]
	joinContact   *limiter[string]
	whoAddress    *limiter[netip.Addr]
	whoKey        []byte // shows who gave a date of birth; a new process asks again

	feed *hub
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// New makes a server. It fails when something required is missing or the embedded page cannot be
// read.
func New(cfg Config) (*Server, error) {
	if cfg.Desk == nil || cfg.Offers == nil || cfg.Doors == nil || cfg.Accounts == nil || cfg.PublicBase == nil || cfg.Logger == nil {
		return nil, errors.New("web: Desk, Offers, Doors, Accounts, PublicBase and Logger are required")
	}
	if cfg.PublicBase.Host == "" || (cfg.PublicBase.Scheme != "http" && cfg.PublicBase.Scheme != "https") {
		return nil, errors.New("web: PublicBase must be an http or https URL with a host")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Metrics == nil {
		cfg.Metrics = unobserved{}
	}
	dummy, err := dummyHash()
	if err != nil {
		return nil, err
	}
	page, err := loadPage(embedded)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, mux: http.NewServeMux(), now: cfg.Now, metrics: cfg.Metrics, log: cfg.Logger,
		cost: defaultCost, dummy: dummy, hashing: make(chan struct{}, maxHashes), waiting: make(chan struct{}, maxSignIns),
		signInAccount: newLimiter[engine.UserID](signInAccountEvery, signInAccountBurst),
		signInAddress: newLimiter[netip.Addr](signInAddressEvery, signInAddressBurst),
		guesses:       newLimiter[netip.Addr](guessEvery, guessBurst),
		failures:      newLimiter[string](failureEvery, failureBurst),
		allFailures:   newLimiter[struct{}](allFailureEvery, allFailureBurst),
		tokens:        newLimiter[string](tokenEvery, tokenBurst),
		replies:       newLimiter[string](replyEvery, replyBurst),
		joinAddress:   newLimiter[netip.Addr](joinEvery, joinBurst),
		codeAddress:   newLimiter[netip.Addr](codeEvery, codeBurst),
		joinContact:   newLimiter[string](contactEvery, contactBurst),
		whoAddress:    newLimiter[netip.Addr](whoEvery, whoBurst),
		whoKey:        []byte(rand.Text() + rand.Text()),
		stop:          make(chan struct{}),
	}
	s.feed = newHub(s)
	if s.passkeys, err = newPasskeys(cfg.PublicBase); err != nil {
		return nil, err
	}
	if err := s.routes(page); err != nil {
		return nil, err
	}
	s.done.Go(s.sweepLoop)
	return s, nil
}

func (s *Server) routes(page *deskPage) error {
	spec, err := newAPI(s, s.mux)
	if err != nil {
		return err
	}
	if err := docsRoutes(s.mux, spec); err != nil {
		return err
	}
	s.mux.HandleFunc("/api/", s.unknownAPI)
	s.mux.HandleFunc("GET /ws/calendar", s.calendar)
	s.patientRoutes()
	s.singleRoutes()
	s.doorRoutes()
	s.ownRoutes()
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "User-agent: *\nDisallow: /")
	})
	s.mux.Handle("/", page.handler(s.cfg.Sandbox))

	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin(s.cfg.PublicBase.Scheme + "://" + s.cfg.PublicBase.Host); err != nil {
		return err
	}
	// A patient's page sends no referrer, so old browsers post "Origin: null" from it. The token in
	// its path is what authorises the press, and no cookie is read.
	guard.AddInsecureBypassPattern("/o/")
	guard.AddInsecureBypassPattern("/c/")
	guard.AddInsecureBypassPattern("/p/")
	guard.AddInsecureBypassPattern("/j/") // anybody may join, from anywhere: what is sent must be shown to be theirs
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, newProblem(engine.Forbidden, "This request comes from another site."))
	}))
	s.handler = s.observe(s.headers(guard.Handler(s.mux)))
	return nil
}

// Mount adds a handler of another package, such as a carrier's hooks or the metrics. The handler
// gets the server's headers, log line and panic guard, and sets its own body limit. Call it before
// Handler; like http.ServeMux it panics when two patterns conflict.
func (s *Server) Mount(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Handler returns what an http.Server serves. Give that server ReadHeaderTimeout 5 s,
// ReadTimeout 30 s, IdleTimeout 2 min and MaxHeaderBytes 32 KiB. Leave WriteTimeout at 0: a mounted
// handler may stream. Feeds and API calls bound their own time.
func (s *Server) Handler() http.Handler { return s.handler }

// Feeds is the number of open feeds.
func (s *Server) Feeds() int { return len(s.feed.all()) }

// Close closes every feed with CloseRestart, so that browsers come back to the next process, and
// refuses new ones. It waits until they are gone or ctx ends, and may be called twice.
func (s *Server) Close(ctx context.Context) error {
	s.once.Do(func() { close(s.stop) })
	err := s.feed.close(ctx)
	s.done.Wait()
	return err
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := s.cfg.Ready(ctx); err != nil {
			s.log.WarnContext(ctx, "not ready", "error", err)
			plain(w, http.StatusServiceUnavailable, "not ready")
			return
		}
	}
	plain(w, http.StatusOK, "ok")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

type unobserved struct{}

func (unobserved) Served(string, string, int, time.Duration) {}
func (unobserved) Sockets(int)                               {}
func (unobserved) Evicted(string)                            {}
func (unobserved) Limited(string)                            {}
func (unobserved) Panicked()                                 {}
