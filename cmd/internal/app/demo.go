package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"relais/engine"
	"relais/transport/sandbox"
)

// trickleEvery is how often the demo cancels an appointment by itself.
const trickleEvery = 45 * time.Second

// runDemo runs Relais with a sandbox at the far end of every protocol until ctx ends. Relais gets
// a configuration like any other; only the addresses in it lead back into this process.
func runDemo(ctx context.Context, opt DemoOptions, out io.Writer) error {
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", opt.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; choose another address with --addr", opt.Addr, err)
	}
	defer func() { _ = listen.Close() }()
	log := newLogger(LogConfig{Level: "warn", Format: "text"}, os.Stderr)

	world, err := openWorld(ctx, opt, log)
	if err != nil {
		return err
	}
	defer world.close()
	cfg := world.config(opt, "http://"+publicHost(opt.Addr, listen.Addr()))
	return world.play(ctx, cfg, listen, log, out)
}

// play runs Relais in a world until ctx ends.
func (w *world) play(ctx context.Context, cfg Config, listen net.Listener, log *slog.Logger, out io.Writer) error {
	p, err := assemble(ctx, cfg, log, true)
	if err != nil {
		return err
	}
	defer p.close()
	p.web.Mount("/sandbox/api/mail/", sandbox.MailHandler(w.mailbox))
	p.web.Mount("/sandbox/api/", sandbox.Handler(w.wall, w.carrier, w.dme))
	p.stopping = append(p.stopping, w.wall.DropWatchers)
	if err := p.start(ctx); err != nil {
		return err
	}
	if err := w.enrol(ctx, p); err != nil {
		return err
	}
	w.mailbox.SetRoute(p.inbound.Addr().String())
	w.carrier.SetSmsURL(cfg.PublicURL + "/hooks/twilio/sms")
	w.carrier.SetCallURL(cfg.PublicURL + "/hooks/twilio/call")
	w.dme.SetTrickle(!w.opt.Quiet)
	go w.dme.Trickle(ctx, trickleEvery)
	go w.extend(ctx)

	if err := announce(out, w.opt, cfg.PublicURL, cfg.Account.ID, p.password); err != nil {
		return err
	}
	return p.serve(ctx, listen)
}

// publicHost is where a browser on this machine finds the listener.
func publicHost(addr string, bound net.Addr) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(bound.String())
	return net.JoinHostPort(host, port)
}

func announce(out io.Writer, opt DemoOptions, base, account, password string) error {
	if opt.JSON {
		return json.NewEncoder(out).Encode(map[string]string{
			"url": base, "demo_url": base + "/demo", "metrics_url": base + "/metrics", "account": account, "password": password,
		})
	}
	shown := cmp.Or(password, "as printed at the first start; remove "+opt.Data+" to begin anew")
	_, err := fmt.Fprintf(out, `Relais demo is ready.

  Demo page    %s/demo     calendar, phones and record system side by side
  Front desk   %s/
  Account      %s
  Password     %s

  API          %s/api/docs
  Metrics      %s/metrics
  Data         %s (kept; stop with Ctrl-C, start again and everything goes on)

`, base, base, account, shown, base, base, opt.Data)
	return err
}

// world is everything outside of Relais.
type world struct {
	opt     DemoOptions
	people  demoPeople
	dir     string
	dme     *sandbox.DME
	wall    *sandbox.Wall
	carrier *sandbox.CarrierServer
	mailbox *sandbox.MailServer
	fhir    *http.Server
	fhirURL string
	token   string // of the record systems
	later   map[engine.PatientID]engine.Appointment
	closers []func()

	carrierToken string
}

func openWorld(ctx context.Context, opt DemoOptions, log *slog.Logger) (w *world, err error) {
	w = &world{opt: opt, people: makePeople(opt.Seed, opt.Patients, time.Now()), dir: filepath.Join(opt.Data, "sandbox"), token: rand.Text(), carrierToken: rand.Text()}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return w, fmt.Errorf("make the demo's directory: %w", err)
	}
	if w.dme, err = sandbox.OpenDME(filepath.Join(w.dir, "dme.db"), sandbox.DMEConfig{Log: log}); err != nil {
		return w, err
	}
	w.closes(w.dme.Close)
	w.later = map[engine.PatientID]engine.Appointment{}
	for _, c := range demoClinics(opt) {
		held, err := w.dme.SeedClinic(w.people.seed(c, w.token, opt.Seed))
		if err != nil {
			return w, err
		}
		if err := w.dme.SetManner(c.ID, sandbox.Manner{History: true}); err != nil {
			return w, err
		}
		maps.Copy(w.later, held)
	}
	if w.wall, err = sandbox.OpenWall(filepath.Join(w.dir, "wall.db"), w.people.phonebook(), log); err != nil {
		return w, err
	}
	w.closes(w.wall.Close)
	w.carrier, err = sandbox.StartCarrier(sandbox.CarrierConfig{
		Wall: w.wall, AccountSID: demoSID, AuthToken: w.carrierToken, From: demoNumber, Seed: opt.Seed, Log: log,
	})
	if err != nil {
		return w, err
	}
	w.closes(w.carrier.Close)
	if w.mailbox, err = sandbox.StartMailbox(sandbox.MailboxConfig{Wall: w.wall, Log: log}); err != nil {
		return w, err
	}
	w.closes(w.mailbox.Close)
	return w, w.serveFHIR(ctx)
}

// closes remembers to close a part, in reverse order.
func (w *world) closes(f func() error) {
	w.closers = append(w.closers, func() { _ = f() })
}

func (w *world) close() {
	for _, f := range slices.Backward(w.closers) {
		f()
	}
}

// serveFHIR puts the record systems behind a listener of their own, as outside as they can be.
func (w *world) serveFHIR(ctx context.Context) error {
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the sandbox's record systems: %w", err)
	}
	w.fhir = &http.Server{Handler: w.dme.Handler(), ReadHeaderTimeout: 5 * time.Second}
	w.fhirURL = "http://" + listen.Addr().String()
	go func() {
		if err := w.fhir.Serve(listen); !errors.Is(err, http.ErrServerClosed) {
			slog.Default().Error("the sandbox's record systems stopped", "error", err)
		}
	}()
	w.closes(w.fhir.Close)
	return nil
}

// extend keeps the schedules two weeks long.
func (w *world) extend(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = w.dme.Extend()
		}
	}
}

// The sandbox's Twilio account.
const (
	demoSID    = "AC00000000000000000000000000000001"
	demoNumber = "+15145550100"
)

// config is what an operator would write, with the sandbox's addresses.
func (w *world) config(opt DemoOptions, base string) Config {
	cfg := DefaultConfig()
	cfg.Addr, cfg.PublicURL = opt.Addr, base
	cfg.Data, cfg.KeyFile = filepath.Join(opt.Data, "store"), filepath.Join(opt.Data, "relais.key")
	cfg.Account.ID = "accueil"
	cfg.Twilio = &TwilioConfig{
		AccountSID: demoSID, AuthToken: Secret(w.carrierToken), From: demoNumber, BaseURL: w.carrier.BaseURL(),
		TextsPerSecond: 100, CallsPerSecond: 50,
	}
	host, port := w.mailbox.Addr()
	user, password := w.mailbox.Credentials()
	ca := filepath.Join(w.dir, "mailbox-ca.pem")
	_ = os.WriteFile(ca, w.mailbox.CA(), 0o600) // a missing file is reported when it is read
	cfg.Mail = &MailConfig{
		Host: host, Port: port, Username: user, Password: Secret(password), TLS: "starttls", CAFile: ca,
		From:    "Relais <offres@relais.example>",
		Inbound: &InboundConfig{Addr: "127.0.0.1:0", Domain: "retour.relais.example", Secret: Secret(rand.Text())},
	}
	for _, c := range demoClinics(opt) {
		c.DME.FHIR = &FHIRConfig{
			BaseURL: fmt.Sprintf("%s/dme/%s/fhir", w.fhirURL, c.ID), Token: Secret(w.token),
			HookSecret: Secret(rand.Text()), PollEvery: Duration(2 * time.Second),
		}
		cfg.Clinics = append(cfg.Clinics, c)
	}
	return cfg
}

// enrol puts the demo's people on the waitlists, once.
func (w *world) enrol(ctx context.Context, p *program) error {
	patients, entries := w.people.waitlist(w.later)
	const step = 500
	for len(patients) > 0 {
		n, m := min(step, len(patients)), min(step, len(entries))
		err := p.relais.Add(ctx, patients[:n], entries[:m])
		switch {
		case err == nil:
		case engine.CodeOf(err) == engine.Conflict: // they are there since the first start
			return nil
		default:
			return fmt.Errorf("put the demo's people on the waitlists: %w", err)
		}
		patients, entries = patients[n:], entries[m:]
	}
	return nil
}

// demoClinics are the two clinics.
func demoClinics(opt DemoOptions) []ClinicConfig {
	policy := func() PolicyConfig {
		var c ClinicConfig
		c.setDefaults()
		p := c.Policy
		p.Strategy, p.Size, p.Every = string(engine.Waves), 3, Duration(opt.WaveEvery)
		p.Grace = 0 // in the demo a cancellation is one at once
		p.VoiceAfter, p.VoiceReply = Duration(20*time.Second), Duration(min(opt.WaveEvery/2, 30*time.Second))
		p.Hours = Hours{} // the demo's people said they may be reached at any hour
		p.DayCap, p.WeekCap, p.FarCap = 50, 50, 50
		return p
	}
	clinic := func(id, name, address, phone string) ClinicConfig {
		var c ClinicConfig
		c.setDefaults()
		c.ID, c.Name, c.Address, c.Phone, c.Policy, c.Join = id, name, address, phone, policy(), true
		return c
	}
	derma := clinic("dermatologie", "Clinique de dermatologie du Parc", "4200, avenue du Parc, Montréal", "+15145550142")
	derma.Practitioners = []PractitionerConfig{
		{ID: "gagnon", Name: "Dre Sophie Gagnon", Specialty: "dermatology"},
		{ID: "nguyen", Name: "Dr Minh Nguyen", Specialty: "dermatology"},
		{ID: "roy", Name: "Dre Claire Roy", Specialty: "dermatology"},
	}
	derma.Places = []PlaceConfig{{"parc", "Clinique du Parc", "4200, avenue du Parc, Montréal", 45.5222, -73.5897}}
	family := clinic("famille", "Groupe de médecine familiale Rosemont", "3095, rue Beaubien Est, Montréal", "+15145550177")
	family.Practitioners = []PractitionerConfig{
		{ID: "tremblay", Name: "Dr Marc Tremblay", Specialty: "family-medicine"},
		{ID: "haddad", Name: "Dre Leïla Haddad", Specialty: "family-medicine"},
		{ID: "bouchard", Name: "Dre Anne Bouchard", Specialty: "family-medicine"},
	}
	family.Places = []PlaceConfig{{"rosemont", "GMF Rosemont", "3095, rue Beaubien Est, Montréal", 45.5530, -73.5690}}
	return []ClinicConfig{derma, family}
}
