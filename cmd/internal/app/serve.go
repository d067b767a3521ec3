package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nyaruka/phonenumbers"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"relais/actors"
	"relais/engine"
	"relais/storage/bolt"
	"relais/storage/seal"
	"relais/transport/carrier"
	"relais/transport/hl7"
	"relais/transport/mail"
	"relais/transport/twilio"
	"relais/transport/web"
)

// runServe runs a configuration until ctx ends.
func runServe(ctx context.Context, cfg Config, load func() (Config, error), out io.Writer) error {
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Addr, err)
	}
	level := new(slog.LevelVar)
	level.Set(levelOf(cfg.Log))
	p, err := assemble(ctx, cfg, loggerAt(level, cfg.Log, out), false)
	if err != nil {
		_ = listen.Close()
		return err
	}
	defer p.close()
	p.load, p.level = load, level
	if p.secure, err = p.serverTLS(out); err == nil {
		err = p.redirect(ctx)
	}
	if err != nil {
		_ = listen.Close()
		return err
	}
	p.watchReload(ctx)
	if err := p.start(ctx); err != nil {
		_ = listen.Close()
		return err
	}
	p.log.Info("serving", "addr", listen.Addr().String(), "clinics", len(cfg.Clinics))
	if p.password != "" {
		fmt.Fprintf(out, "Front desk account %s, password %s (shown this once)\n", cfg.Account.ID, p.password)
	}
	return p.serve(ctx, listen)
}

func levelOf(cfg LogConfig) slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // checked with the configuration
	return level
}

func newLogger(cfg LogConfig, out io.Writer) *slog.Logger { return loggerAt(levelOf(cfg), cfg, out) }

// loggerAt is newLogger with a level that may change.
func loggerAt(level slog.Leveler, cfg LogConfig, out io.Writer) *slog.Logger {
	opt := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, opt))
	}
	return slog.New(slog.NewTextHandler(out, opt))
}

// program is Relais put together.
type program struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	store    *bolt.Store
	relais   *actors.Relais
	web      *web.Server
	phones   *carrier.Group // nil: not configured
	hooked   []twilio.HooksAccount
	mail     *mail.Client  // nil: not configured
	inbound  *mail.Inbound // nil: mail does not come in
	sites    sites
	hl7      *hl7.Listener // nil: no record system speaks HL7 v2
	hl7Addr  net.Addr      // where it listens
	journal  hl7.Journal
	nudged   atomic.Pointer[actors.Relais] // who hears of messages: set once it runs
	closers  []func()
	stopping []func() // called when the server stops, to end what streams
	password string   // of the account that was just made

	load      func() (Config, error) // reads the configuration again; nil: it came from no file
	reloading sync.Mutex
	level     *slog.LevelVar  // the least that is logged
	secure    *tls.Config     // how it speaks HTTPS; nil: it does not
	life      context.Context //nolint:containedctx // of the program while it serves
	backups   *backups
	keys      *keyFile
	addresses *mail.Addresses // of bounces and replies; nil: mail does not come in
	told      *webhooks       // programs outside that are told of events
}

// assemble opens the store and joins all parts; nothing runs yet.
func assemble(ctx context.Context, cfg Config, log *slog.Logger, sandbox bool) (p *program, err error) {
	p = &program{cfg: cfg, log: log, metrics: newMetrics()}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := p.openStore(); err != nil {
		return p, err
	}
	p.backups = newBackups(p)
	opt := actors.Options{
		Store:   p.store,
		Links:   links(cfg.PublicURL),
		Pages:   cfg.PublicURL,
		Metrics: clinicMetrics{p.metrics, p.alarm}, Observer: actorFaults{p.metrics}, Logger: log,
		Retention: time.Duration(cfg.Retention), Keep: cfg.Privacy.keep(), WatchOnly: map[engine.ClinicID]string{},
	}
	for i := range cfg.Clinics {
		if why := cfg.watchOnly(&cfg.Clinics[i]); why != "" {
			opt.WatchOnly[engine.ClinicID(cfg.Clinics[i].ID)] = why
		}
	}
	if err := p.openChannels(&opt); err != nil {
		return p, err
	}
	if err := p.connectAll(ctx, &opt); err != nil {
		return p, err
	}
	if p.relais, err = actors.New(opt); err != nil {
		return p, err
	}
	p.metrics.watchActors(p.relais.Stats)
	return p, p.buildWeb(sandbox)
}

// openStore opens the sealed store, with its key.
func (p *program) openStore() error {
	open := seal.OpenOrCreate
	if bolt.Exists(p.cfg.Data) {
		open = seal.Open // a new key would open nothing of what is there
	}
	sealer, err := open(p.cfg.KeyFile)
	if errors.Is(err, seal.ErrNoKey) {
		return fmt.Errorf("the store in %s was sealed with a key that is not in %s; put the key file back: without it nothing of the store can be read", p.cfg.Data, p.cfg.KeyFile)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	p.keys = &keyFile{p.cfg.KeyFile, sealer}
	p.store, err = bolt.Open(p.cfg.Data, bolt.Options{Sealer: sealer, Observe: p.metrics.committed})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, func() {
		if err := p.store.Close(); err != nil {
			p.log.Error("the store did not close cleanly", "error", err)
		}
	})
	return nil
}

// nationalNumber writes a clinic's number as people there read it.
func nationalNumber(e164 string) string {
	n, err := phonenumbers.Parse(e164, "CA")
	if err != nil {
		return e164
	}
	return phonenumbers.Format(n, phonenumbers.NATIONAL)
}

func (p *program) buildWeb(sandbox bool) error {
	base, err := url.Parse(p.cfg.PublicURL)
	if err != nil {
		return fmt.Errorf("public_url: %w", err)
	}
	cfg := web.Config{
		Desk: frontDesk{p.relais}, Offers: p.relais, Doors: patientDoor{p.relais}, Accounts: accounts{p.store}, Trail: trail{p.store},
		Single: newSingle(&p.cfg), PublicBase: base,
		Secure: base.Scheme == "https", Trying: p.cfg.TLS != nil && p.cfg.TLS.Local, Sandbox: sandbox, Version: Version(), TrustedProxies: p.cfg.TrustedProxies,
		Sockets: web.SocketLimits{Process: p.cfg.Limits.FeedClients}, Metrics: webMetrics{p.metrics}, Logger: p.log,
	}
	if p.mail != nil {
		cfg.MailInvitation = p.mailInvitation
	}
	if p.web, err = web.New(cfg); err != nil {
		return err
	}
	p.web.Mount("GET /metrics", promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{}))
	p.mountDMEs()
	return p.mountChannels()
}

// start loads the store, starts the actors and makes the first account.
func (p *program) start(ctx context.Context) error {
	if err := p.relais.Start(ctx); err != nil {
		return err
	}
	if err := p.takeMail(); err != nil {
		return err
	}
	p.subscribeAll(ctx)
	if err := p.listenHL7(ctx); err != nil {
		return err
	}
	if err := p.startWebhooks(); err != nil {
		return err
	}
	p.listenControl(ctx)
	p.startBackups(ctx)
	return p.ensureAccount(ctx)
}

// ensureAccount makes the account that the configuration names, and sees to it that it administers
// every clinic: somebody must be able to let the others in.
func (p *program) ensureAccount(ctx context.Context) error {
	a := accounts{p.store}
	id := engine.UserID(p.cfg.Account.ID)
	acc, err := a.Account(ctx, id)
	if err == nil {
		if acc.Everywhere == web.Administrator {
			return nil
		}
		acc.Everywhere, acc.Roles, acc.Clinics = web.Administrator, nil, nil
		return a.PutAccount(ctx, acc)
	}
	if engine.CodeOf(err) != engine.NotFound {
		return err
	}
	password := string(p.cfg.Account.Password)
	if password == "" {
		password = strings.ToLower(rand.Text()[:20])
		p.password = password
	}
	hash, err := web.HashPassword(password)
	if err != nil {
		return err
	}
	return a.PutAccount(ctx, web.Account{ID: id, Hash: hash, Everywhere: web.Administrator})
}

// stopWithin bounds a graceful stop.
const stopWithin = 8 * time.Second

// serve answers until ctx ends, and then stops in order: people first, actors next, the store last.
func (p *program) serve(ctx context.Context, listen net.Listener) error {
	server := &http.Server{
		Handler: p.web.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	for _, f := range p.stopping {
		server.RegisterOnShutdown(f)
	}
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig = p.secure; p.secure != nil {
			failed <- server.ServeTLS(listen, "", "")
			return
		}
		server.Handler = p.fromProxies(server.Handler)
		failed <- server.Serve(listen)
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	closed := p.web.Close(stop)
	if e := server.Shutdown(stop); e != nil {
		_ = server.Close()
	}
	p.stopMail()
	if p.hl7 != nil {
		p.hl7.Close()
	}
	if stuck := p.relais.Stop(stop); len(stuck) > 0 {
		p.log.Warn("some work did not stop in time; it is in the store and goes on at the next start", "stuck", len(stuck))
	}
	p.relais = nil
	p.log.Info("stopped")
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, closed)
}

func (p *program) close() {
	p.stopMail()
	if p.relais != nil { // start failed: nothing is under way
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		p.relais.Stop(ctx)
	}
	for _, f := range slices.Backward(p.closers) {
		f()
	}
}
