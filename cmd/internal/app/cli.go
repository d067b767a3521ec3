// Package app is the program: its command line, its configuration, and the wiring that joins the
// rules, the actors, the store and the transports. It is the only reader of configuration; every
// other package gets what it needs through its constructors.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"relais/transport/web"
)

// Exit codes of the program.
const (
	ExitOK      = 0
	ExitFailure = 1 // it ran and failed
	ExitUsage   = 2 // the command line or the configuration is wrong; nothing was started
)

const about = `Relais fills the appointment slots that clinics lose to cancellations: it sees a slot freed in the
clinic's record system, asks the right people on the waitlist by text, call and mail, gives it to the
first who says yes, and writes the booking back.`

const examples = `
Examples:
  relais demo                              try everything in this process, on http://localhost:8080
  relais demo --addr :9090 --wave-every 30s
  relais simulate --compare                which policy fills most, with the fewest messages
  relais replay derma --config relais.yaml --policy mine.yaml   the clinic's own past under another policy
  relais config check relais.yaml          say every mistake in a configuration
  relais clinic init --config relais.yaml  set up a clinic, step by step
  relais wording preview relais.yaml       every message as a patient gets it
  relais dme check derma --config relais.yaml   try every step with a clinic's record system
  relais channel check --config relais.yaml --text +15145550123   send a test text and report every hop
  relais serve --config relais.yaml        run it for real
  relais status --config relais.yaml       how the running program is doing
  relais backup --config relais.yaml --to /mnt/backup   a copy of the store, checked, while it runs
  RELAIS_LOG_LEVEL=debug relais serve --config relais.yaml

Settings come from the file, then from variables RELAIS_*, then from flags; the last one wins.
Exit codes: 0 fine, 1 failed while running, 2 wrong command line or configuration.
`

type commands struct {
	Serve    serveCommand    `cmd:"" help:"Run Relais with a configuration."`
	Demo     demoCommand     `cmd:"" help:"Run Relais with two made-up clinics and everything they need, in this process."`
	Simulate simulateCommand `cmd:"" help:"Play policies against made-up patients and compare them."`
	Replay   replayCommand   `cmd:"" help:"Play a clinic's own past openings under another policy, while relais serve is stopped."`
	Learning learningCommand `cmd:"" help:"Look at what a clinic learned of its offers, while relais serve is stopped."`
	Policy   policyCommand   `cmd:"" help:"Say what a clinic's policy does, in words."`
	Status   statusCommand   `cmd:"" help:"Say how the running Relais is doing."`
	Backup   backupCommand   `cmd:"" help:"Copy the store, while it runs or not, and check the copy."`
	Restore  restoreCommand  `cmd:"" help:"Make a store in a new directory from a backup."`
	Key      keyCommand      `cmd:"" help:"The key that seals the store."`
	Store    storeCommand    `cmd:"" help:"Look at the store."`
	Patient  patientCommand  `cmd:"" help:"What patients have a right to: their whole file, erasure, correction; and the list of consents."`
	Incident incidentCommand `cmd:"" help:"The register of confidentiality incidents."`
	Audit    auditCommand    `cmd:"" help:"Verify and export the chained timelines."`
	Config   configCommand   `cmd:"" help:"Look at a configuration."`
	Clinic   clinicCommand   `cmd:"" help:"Set up, list and check clinics."`
	DME      dmeCommand      `cmd:"" name:"dme" help:"Try the connection to a clinic's record system."`
	User     userCommand     `cmd:"" help:"Make, list, reset and remove accounts, while relais serve is stopped."`
	Channel  channelCommand  `cmd:"" help:"Look at the channels to patients."`
	Webhook  webhookCommand  `cmd:"" help:"Try the programs that are told what happens to slots."`
	Wording  wordingCommand  `cmd:"" help:"List, check and preview what patients are told."`
	Openapi  openapiCommand  `cmd:"" name:"openapi" help:"Print the OpenAPI 3.1 description of the HTTP API."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// streams are what a command reads and writes besides its arguments.
type streams struct {
	in       io.Reader
	out, err io.Writer
	env      environment
}

// Main runs the command line args and returns the exit code. It returns soon after ctx ends.
func Main(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	io := &streams{in: os.Stdin, out: out, err: errOut, env: environment{}}
	for _, pair := range environ {
		if name, value, _ := strings.Cut(pair, "="); value != "" {
			io.env[name] = value
		}
	}
	err := run(ctx, args, io)
	var usage *usageError
	var config *ConfigError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "relais: %v\nTry: relais --help\n", err)
		return ExitUsage
	case errors.As(err, &config):
		fmt.Fprintln(errOut, err)
		return ExitUsage
	default:
		fmt.Fprintf(errOut, "relais: %v\n", err)
		return ExitFailure
	}
}

// usageError is a command line that cannot be carried out.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func run(ctx context.Context, args []string, io *streams) error {
	type helped struct{} // kong expects the process to end after --help
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("relais"), kong.Description(about), kong.UsageOnError(),
		kong.Writers(io.out, io.err), kong.Exit(func(int) { panic(helped{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(help), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(io),
	)
	if err != nil {
		return fmt.Errorf("build the command line: %w", err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, done, err := func() (parsed *kong.Context, done bool, err error) {
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(helped); !ok {
					panic(r)
				}
				done = true
			}
		}()
		parsed, err = parser.Parse(args)
		return parsed, false, err
	}()
	switch {
	case done:
		return nil
	case err != nil:
		return &usageError{err}
	}
	return parsed.Run()
}

// help prints kong's page, and examples below the first one.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	if ctx.Selected() == nil {
		_, err := io.WriteString(ctx.Stdout, examples)
		return err
	}
	return nil
}

// configOf reads the file that a flag or RELAIS_CONFIG names.
func configOf(path string, io *streams, command string) (Config, error) {
	if path == "" {
		path = io.env["RELAIS_CONFIG"]
	}
	if path == "" {
		return Config{}, &usageError{fmt.Errorf("%s needs --config FILE; start from deploy/relais.example.yaml", command)}
	}
	return LoadConfig(path, io.env, nil)
}

type serveCommand struct {
	Config    string `help:"Configuration file; also RELAIS_CONFIG." placeholder:"FILE"`
	Addr      string `help:"Listen here instead, as host:port." placeholder:"ADDR"`
	PublicURL string `name:"public-url" help:"Address that patients and carriers reach." placeholder:"URL"`
	Data      string `help:"Directory of the store." placeholder:"DIR"`
	LogLevel  string `help:"debug, info, warn or error." placeholder:"LEVEL"`
	LogFormat string `help:"text or json." placeholder:"FORMAT"`
	TLSLocal  bool   `name:"tls-local" help:"Speak HTTPS with a certificate that Relais makes, for trying."`
}

// Run serves until ctx ends.
func (s *serveCommand) Run(ctx context.Context, io *streams) error {
	path := s.Config
	if path == "" {
		path = io.env["RELAIS_CONFIG"]
	}
	if path == "" {
		return &usageError{errors.New("serve needs --config FILE; start from deploy/relais.example.yaml")}
	}
	cfg, err := LoadConfig(path, io.env, s.apply)
	if err != nil {
		return err
	}
	load := func() (Config, error) { return LoadConfig(path, io.env, s.apply) }
	return runServe(ctx, cfg, load, io.out)
}

// apply sets what was given on the command line.
func (s *serveCommand) apply(cfg *Config) {
	for _, flag := range []struct {
		value  string
		target *string
	}{
		{s.Addr, &cfg.Addr},
		{s.PublicURL, &cfg.PublicURL},
		{s.Data, &cfg.Data},
		{s.LogLevel, &cfg.Log.Level},
		{s.LogFormat, &cfg.Log.Format},
	} {
		if flag.value != "" {
			*flag.target = flag.value
		}
	}
	if s.TLSLocal {
		cfg.TLS = &TLSConfig{Local: true}
	}
}

// DemoOptions are the choices of `relais demo`.
type DemoOptions struct {
	Addr      string        `default:"localhost:8080" help:"Listen here, as host:port; port 0 takes a free one."`
	Data      string        `default:"./data" help:"Directory of the store; kept between runs."`
	JSON      bool          `name:"json" help:"Print one line of JSON with the addresses and the account when ready."`
	Quiet     bool          `help:"Nothing is cancelled by itself."`
	WaveEvery time.Duration `default:"90s" help:"Time between waves of offers."`
	Seed      uint64        `default:"1" help:"Another number gives other people and appointments."`
	Patients  int           `default:"200" help:"People on the waitlists, from 10 to 5000."`
}

type demoCommand struct {
	DemoOptions
}

// Run shows the demo until ctx ends.
func (d *demoCommand) Run(ctx context.Context, io *streams) error {
	if d.Patients < 10 || d.Patients > 5000 {
		return &usageError{fmt.Errorf("--patients is %d; it can be from 10 to 5000", d.Patients)}
	}
	if d.WaveEvery < time.Second || d.WaveEvery > time.Hour {
		return &usageError{fmt.Errorf("--wave-every is %v; it can be from 1s to 1h", d.WaveEvery)}
	}
	return runDemo(ctx, d.DemoOptions, io.out)
}

type configCommand struct {
	Check checkCommand `cmd:"" help:"Say every mistake in a configuration, with its line and what to do."`
}

type checkCommand struct {
	File string `arg:"" help:"Configuration file."`
}

// Run prints what is wrong, or what the configuration sets up.
func (c *checkCommand) Run(io *streams) error {
	cfg, err := LoadConfig(c.File, io.env, nil)
	if err != nil {
		if config, ok := errors.AsType[*ConfigError](err); ok {
			return fmt.Errorf("%w\n%s in all; nothing was started", config, count(len(config.Problems), "mistake"))
		}
		return err
	}
	var channels []string
	if cfg.Twilio != nil {
		channels = append(channels, "texts and calls by Twilio")
	}
	if cfg.Mail != nil {
		channels = append(channels, "mail by "+cfg.Mail.Host)
	}
	if channels == nil {
		channels = append(channels, "nothing sent (shadow mode)")
	}
	fmt.Fprintf(io.out, "The configuration is fine: %s, %s, on %s as %s.\n",
		count(len(cfg.Clinics), "clinic"), strings.Join(channels, ", "), cfg.Addr, cfg.PublicURL)
	for _, clinic := range cfg.Clinics {
		fmt.Fprintf(io.out, "%s starts in %s mode", clinic.ID, clinic.Mode)
		if why := cfg.watchOnly(&clinic); why != "" {
			fmt.Fprintf(io.out, " and stays there: %s\n", why)
			continue
		}
		fmt.Fprintln(io.out, "; a change at the front desk wins over this.")
	}
	return nil
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

type openapiCommand struct{}

// Run prints the description.
func (openapiCommand) Run(io *streams) error {
	text, err := web.OpenAPI()
	if err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	_, err = fmt.Fprintln(io.out, string(text))
	return err
}

type versionCommand struct{}

// Run prints what was built from what.
func (versionCommand) Run(io *streams) error {
	_, err := fmt.Fprintln(io.out, "relais", Version(), runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	return err
}

// Version is the module's version, or the commit that the program was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if commit == "" {
		return "development"
	}
	return commit + dirty
}
