package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"relais/actors"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
	"relais/storage/bolt"
	"relais/storage/seal"
	"relais/transport/fhir"
	"relais/transport/mail"
	"relais/transport/twilio"
	"relais/transport/web"
)

// runServe runs a configuration until ctx ends.
func runServe(ctx context.Context, cfg Config, out io.Writer) error {
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Addr, err)
	}
	p, err := assemble(ctx, cfg, newLogger(cfg.Log, out), false)
	if err != nil {
		_ = listen.Close()
		return err
	}
	defer p.close()
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

func newLogger(cfg LogConfig, out io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // checked with the configuration
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
	mail     *mail.Client // nil: not configured
	dmes     map[engine.ClinicID]*fhir.Client
	closers  []func()
	stopping []func() // called when the server stops, to end what streams
	password string   // of the account that was just made
}

// assemble opens the store and joins all parts; nothing runs yet.
func assemble(ctx context.Context, cfg Config, log *slog.Logger, sandbox bool) (p *program, err error) {
	p = &program{cfg: cfg, log: log, metrics: newMetrics(), dmes: map[engine.ClinicID]*fhir.Client{}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := p.openStore(); err != nil {
		return p, err
	}
	opt := actors.Options{
		Store: p.store, DMEs: map[engine.ClinicID]actors.DME{}, Poll: map[engine.ClinicID]time.Duration{},
		Senders: map[engine.Channel]actors.Sender{
			engine.SMS: notConfigured{}, engine.Voice: notConfigured{}, engine.EmailMail: notConfigured{},
		},
		Caller: notConfigured{}, Links: links(cfg.PublicURL), Invite: mail.Invite,
		Metrics: clinicMetrics{p.metrics, p.alarm}, Observer: actorFaults{p.metrics}, Logger: log,
	}
	var texts *twilio.Client
	if t := cfg.Twilio; t != nil {
		texts, err = twilio.New(twilio.Config{
			AccountSID: t.AccountSID, AuthToken: string(t.AuthToken), From: t.From, MessagingService: t.MessagingService,
			BaseURL: t.BaseURL, PublicBase: cfg.PublicURL,
			Limits: twilio.Limits{SegmentsPerSecond: float64(t.TextsPerSecond), CallsPerSecond: float64(t.CallsPerSecond)},
		})
		if err != nil {
			return p, err
		}
		p.closers = append(p.closers, texts.Close)
		opt.Senders[engine.SMS], opt.Senders[engine.Voice], opt.Caller = texts, texts, texts
	}
	if m := cfg.Mail; m != nil {
		client, err := newMail(m)
		if err != nil {
			return p, err
		}
		p.closers = append(p.closers, client.Close)
		opt.Senders[engine.EmailMail] = client
		p.mail = client
	}
	for i := range cfg.Clinics {
		clinic, err := p.connect(ctx, &cfg.Clinics[i])
		if err != nil {
			return p, err
		}
		opt.Clinics = append(opt.Clinics, clinic)
		opt.DMEs[clinic.ID] = p.dmes[clinic.ID]
		opt.Poll[clinic.ID] = time.Duration(cfg.Clinics[i].DME.FHIR.PollEvery)
	}
	if p.relais, err = actors.New(opt); err != nil {
		return p, err
	}
	p.metrics.watchActors(p.relais.Stats)
	return p, p.buildWeb(texts, sandbox)
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

func newMail(m *MailConfig) (*mail.Client, error) {
	cfg := mail.Config{
		Host: m.Host, Port: m.Port, Username: m.Username, Password: string(m.Password),
		TLS: map[string]mail.TLS{"starttls": mail.StartTLS, "tls": mail.Implicit, "none": mail.NoTLS}[m.TLS], From: m.From,
	}
	if m.CAFile != "" {
		pem, err := os.ReadFile(filepath.Clean(m.CAFile))
		if err != nil {
			return nil, fmt.Errorf("read the mail server's authority: %w", err)
		}
		cfg.CA = pem
	}
	return mail.New(cfg)
}

// discoverWithin bounds the wait for a record system at start; it is asked only for what the
// configuration does not say.
const discoverWithin = 5 * time.Second

// connect makes a clinic and the client of its record system.
func (p *program) connect(ctx context.Context, c *ClinicConfig) (engine.Clinic, error) {
	clinic := c.Clinic()
	clinic.Phone = nationalNumber(clinic.Phone)
	f := c.DME.FHIR
	specialties := map[string]engine.Specialty{}
	for theirs, ours := range f.Specialties {
		specialties[theirs] = engine.Specialty(ours)
	}
	client, err := fhir.New(fhir.Config{
		Clinic: clinic.ID, BaseURL: f.BaseURL, Specialties: specialties, Log: p.log,
		Token: func(context.Context) (string, error) { return string(f.Token), nil },
	})
	if err != nil {
		return clinic, fmt.Errorf("clinic %s: %w", c.ID, err)
	}
	p.dmes[clinic.ID] = client
	p.closers = append(p.closers, client.Close)
	if len(clinic.Practitioners) > 0 && len(clinic.Places) > 0 {
		return clinic, nil
	}
	ctx, cancel := context.WithTimeout(ctx, discoverWithin)
	defer cancel()
	dir, err := client.Discover(ctx)
	if err != nil {
		p.log.Warn("the record system does not say who works where; name practitioners and places in the configuration, or start again when it answers",
			"clinic", c.ID, "error", err)
		return clinic, nil
	}
	if len(clinic.Practitioners) == 0 {
		clinic.Practitioners = dir.Practitioners
	}
	if len(clinic.Places) == 0 {
		clinic.Places = dir.Places
	}
	return clinic, nil
}

// nationalNumber writes a clinic's number as people there read it.
func nationalNumber(e164 string) string {
	n, err := phonenumbers.Parse(e164, "CA")
	if err != nil {
		return e164
	}
	return phonenumbers.Format(n, phonenumbers.NATIONAL)
}

func (p *program) buildWeb(texts *twilio.Client, sandbox bool) error {
	base, err := url.Parse(p.cfg.PublicURL)
	if err != nil {
		return fmt.Errorf("public_url: %w", err)
	}
	p.web, err = web.New(web.Config{
		Desk: frontDesk{p.relais}, Offers: p.relais, Accounts: accounts{p.store}, PublicBase: base,
		Secure: base.Scheme == "https", Sandbox: sandbox, Version: Version(), TrustedProxies: p.cfg.TrustedProxies,
		Sockets: web.SocketLimits{Process: p.cfg.Limits.FeedClients}, Metrics: webMetrics{p.metrics}, Logger: p.log,
	})
	if err != nil {
		return err
	}
	p.web.Mount("GET /metrics", promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{}))
	secrets := map[engine.ClinicID]string{}
	for _, c := range p.cfg.Clinics {
		secrets[engine.ClinicID(c.ID)] = string(c.DME.FHIR.HookSecret)
	}
	p.web.Mount("/hooks/fhir/{clinic}", fhir.HookHandler(
		func(c engine.ClinicID) string { return secrets[c] }, p.relais.Nudge,
		func(engine.ClinicID) { p.metrics.refused.WithLabelValues("fhir").Inc() }))
	if texts == nil {
		return nil
	}
	hooks, err := twilio.Hooks(twilio.HooksConfig{
		AuthToken: string(p.cfg.Twilio.AuthToken), PublicBase: p.cfg.PublicURL, Client: texts,
		Rejected: func() { p.metrics.refused.WithLabelValues("twilio").Inc() }, Log: p.log,
	}, p.relais)
	if err != nil {
		return err
	}
	p.web.Mount("/hooks/twilio/", hooks)
	return nil
}

// start loads the store, starts the actors and makes the first account.
func (p *program) start(ctx context.Context) error {
	if err := p.relais.Start(ctx); err != nil {
		return err
	}
	for i := range p.cfg.Clinics {
		c := &p.cfg.Clinics[i]
		if c.DME.FHIR.HookSecret != "" {
			go p.subscribe(ctx, engine.ClinicID(c.ID), string(c.DME.FHIR.HookSecret))
		}
	}
	return p.ensureAccount(ctx)
}

// subscribeEvery is how often a subscription is looked after: servers switch them off when they
// could not deliver.
const subscribeEvery = 5 * time.Minute

func (p *program) subscribe(ctx context.Context, c engine.ClinicID, secret string) {
	endpoint := p.cfg.PublicURL + "/hooks/fhir/" + url.PathEscape(string(c))
	for {
		err := p.dmes[c].Subscribe(ctx, endpoint, secret)
		wait := subscribeEvery
		if err != nil && ctx.Err() == nil {
			p.log.Warn("the record system takes no subscription now; polling goes on", "clinic", c, "error", err)
			wait = 30 * time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (p *program) ensureAccount(ctx context.Context) error {
	a := accounts{p.store}
	id := engine.UserID(p.cfg.Account.ID)
	var clinics []engine.ClinicID
	for _, c := range p.cfg.Clinics {
		clinics = append(clinics, engine.ClinicID(c.ID))
	}
	acc, err := a.Account(ctx, id)
	if err == nil {
		if slices.Equal(acc.Clinics, clinics) {
			return nil
		}
		acc.Clinics = clinics
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
	return a.PutAccount(ctx, web.Account{ID: id, Hash: hash, Clinics: clinics})
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
	go func() { failed <- server.Serve(listen) }()
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
	if p.relais != nil { // start failed: nothing is under way
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		p.relais.Stop(ctx)
	}
	for _, f := range slices.Backward(p.closers) {
		f()
	}
}

// alarm tells a clinic's technical contact that its record system cannot be trusted, or can again.
func (p *program) alarm(id engine.ClinicID, before, now health.Status) {
	i := slices.IndexFunc(p.cfg.Clinics, func(c ClinicConfig) bool { return c.ID == string(id) })
	if i < 0 || p.mail == nil || p.cfg.Clinics[i].Contact == "" {
		return
	}
	c := p.cfg.Clinics[i]
	m := engine.Message{
		Channel: engine.EmailMail, Clinic: id, Lang: engine.Lang(c.Lang), Email: engine.Email(c.Contact),
		Attempt: engine.AttemptID("alarm-" + strings.ToLower(rand.Text())),
	}
	m.Subject, m.Text = alarmText(c, before, now, p.cfg.PublicURL)
	if m.Text == "" {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if o := p.mail.Send(ctx, m); o.Status != engine.Accepted {
			p.log.Warn("the technical contact could not be told", "clinic", c.ID, "reason", string(o.Reason))
		}
	}()
}

// alarmText is what the technical contact reads; "" when there is nothing to say.
func alarmText(c ClinicConfig, before, now health.Status, page string) (subject, text string) {
	french := c.Lang == string(engine.French)
	switch {
	case now == health.Suspended && french:
		return c.Name + " : Relais est suspendu",
			"Le dossier médical électronique de la clinique ne répond pas comme il le devrait. Relais n’envoie plus rien aux patients jusqu’à ce qu’il réponde de nouveau.\n\nDétails : " + page + "\n"
	case now == health.Suspended:
		return c.Name + ": Relais is suspended",
			"The clinic's record system does not answer as it should. Relais sends nothing to patients until it does again.\n\nDetails: " + page + "\n"
	case now == health.Healthy && before == health.Checking && french:
		return c.Name + " : Relais a repris", "Le dossier médical électronique répond de nouveau et les plages ouvertes ont été vérifiées. Relais a repris.\n"
	case now == health.Healthy && before == health.Checking:
		return c.Name + ": Relais works again", "The record system answers again and the open slots were checked. Relais works again.\n"
	}
	return "", ""
}

// links makes the addresses that stand in messages.
type links string

func (l links) Offer(token string) string { return string(l) + "/o/" + token }
func (l links) Leave(token string) string { return string(l) + "/o/" + token + "/leave" }

// notConfigured is a channel without an account: it fails at once, so that others are tried.
type notConfigured struct{}

func (notConfigured) Send(context.Context, engine.Message) engine.Outcome {
	return engine.Outcome{Status: engine.Failed, Reason: engine.AccountFault, Detail: "this channel is not configured"}
}

func (notConfigured) Abort(context.Context, string, engine.Lang, string) error { return nil }

// frontDesk reads what people type before it reaches the actors.
type frontDesk struct{ *actors.Relais }

// Enrol implements web.Desk: it brings the phone number into E.164 form.
func (f frontDesk) Enrol(ctx context.Context, c engine.ClinicID, by engine.UserID, in desk.Enrolment) (desk.Person, error) {
	if in.Phone != "" {
		n, err := phonenumbers.Parse(in.Phone, "CA")
		if err != nil || !phonenumbers.IsValidNumber(n) {
			return desk.Person{}, engine.Errorf(engine.Invalid, "the phone number is not a valid one; write it like 514 555-0142")
		}
		in.Phone = phonenumbers.Format(n, phonenumbers.E164)
	}
	return f.Relais.Enrol(ctx, c, by, in)
}
