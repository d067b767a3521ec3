package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"time"

	"relais/engine"
	"relais/transport/twilio"
)

type channelCommand struct {
	Check channelCheck `cmd:"" help:"Try every step of a text, a call and a mail with the configured accounts, and explain each failure."`
}

type channelCheck struct {
	Config string        `help:"Configuration file; also RELAIS_CONFIG." placeholder:"FILE"`
	Text   string        `help:"Send a test text to this number." placeholder:"+1514..."`
	Call   string        `help:"Place a test call to this number." placeholder:"+1514..."`
	Mail   string        `help:"Send a test mail to this address." placeholder:"ADDRESS"`
	Wait   time.Duration `default:"60s" help:"How long each message may take to arrive."`
	JSON   bool          `name:"json" help:"One JSON object a line: each step as it ends, then the result."`
}

// Help is shown below the flags.
func (*channelCheck) Help() string {
	return `Without --text, --call and --mail nothing is sent: the accounts are only looked at. What is sent says that
it is a test. Every account is tried, the one for fail-over too. Each step prints one line as it ends:

  ok       it works
  weak     it works as far as can be seen, or in a weaker way; the sentence says what that means
  failed   it does not; the sentence says what was found and what to do
  skipped  an earlier step failed

Twilio's callbacks are watched for: while "relais serve" runs, it is asked what came in; otherwise this command
listens at the configured address itself until it is done.

Exit codes: 0 when no step failed, 1 when one did, 2 for a wrong command line or configuration.

Examples:
  relais channel check --config relais.yaml
  relais channel check --config relais.yaml --text +15145550123 --call +15145550123 --mail moi@example.org
  relais channel check --config relais.yaml --text +15145550123 --json | jq -r 'select(.verdict=="failed").sentence'`
}

// Run checks the channels.
func (c *channelCheck) Run(ctx context.Context, io *streams) error {
	path := c.Config
	if path == "" {
		path = io.env["RELAIS_CONFIG"]
	}
	if path == "" {
		return &usageError{errors.New("channel check needs --config FILE; start from deploy/relais.example.yaml")}
	}
	if err := c.plausible(); err != nil {
		return &usageError{err}
	}
	cfg, err := LoadConfig(path, io.env, nil)
	if err != nil {
		return err
	}
	switch {
	case cfg.Twilio == nil && cfg.Mail == nil:
		return &usageError{errors.New(path + " has neither twilio nor mail: there is no channel to check")}
	case cfg.Twilio == nil && (c.Text != "" || c.Call != ""):
		return &usageError{errors.New(path + " has no twilio: nothing can be texted or called")}
	case cfg.Mail == nil && c.Mail != "":
		return &usageError{errors.New(path + " has no mail: nothing can be mailed")}
	}
	return c.check(ctx, cfg, io.out)
}

func (c *channelCheck) plausible() error {
	for flag, number := range map[string]string{"--text": c.Text, "--call": c.Call} {
		if number != "" && !e164.MatchString(number) {
			return fmt.Errorf("%s %s", flag, phoneHelp)
		}
	}
	if c.Mail != "" {
		if _, err := mail.ParseAddress(c.Mail); err != nil {
			return errors.New("--mail is not a mail address")
		}
	}
	if c.Wait < time.Second || c.Wait > time.Hour {
		return fmt.Errorf("--wait is %v; it can be from 1s to 1h", c.Wait)
	}
	return nil
}

func (c *channelCheck) check(ctx context.Context, cfg Config, out io.Writer) error {
	r := &channelReport{checkReport: checkReport{json: c.JSON, out: out, count: map[engine.Verdict]int{}}}
	local, stop, err := listenForChecks(ctx, cfg)
	if err != nil {
		return err
	}
	defer stop()
	for _, t := range cfg.twilios() {
		client, err := t.client(cfg.PublicURL)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		r.begin(t.name)
		client.Check(ctx, twilio.CheckPlan{Text: engine.Phone(c.Text), Call: engine.Phone(c.Call), Wait: c.Wait, Local: local}, r.step)
		client.Close()
	}
	if cfg.Mail != nil {
		client, _, err := newMail(cfg.Mail)
		if err != nil {
			return fmt.Errorf("mail: %w", err)
		}
		r.begin("mail")
		client.Check(ctx, engine.Email(c.Mail), r.step)
		client.Close()
	}
	r.end()
	switch {
	case r.err != nil:
		return fmt.Errorf("write the report: %w", r.err)
	case r.count[engine.CheckFailed] > 0:
		return fmt.Errorf("the channels failed %s", count(r.count[engine.CheckFailed], "step"))
	}
	return nil
}

// listenForChecks takes the webhooks of the check at the configured address, unless another program
// has it: then that is Relais itself, or the check will tell.
func listenForChecks(ctx context.Context, cfg Config) (heard func(string) []string, stop func(), err error) {
	stop = func() {}
	hooked := twilio.HooksConfig{PublicBase: cfg.PublicURL}
	for _, t := range cfg.twilios() {
		hooked.Accounts = append(hooked.Accounts, twilio.HooksAccount{Name: t.name, AuthToken: string(t.AuthToken)})
	}
	if hooked.Accounts == nil {
		return nil, stop, nil
	}
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, stop, nil //nolint:nilerr // somebody listens there already; the check asks them
	}
	handler, heard, err := twilio.CheckHooks(hooked)
	if err != nil {
		_ = listen.Close()
		return nil, stop, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { _ = server.Serve(listen) }()
	return heard, func() { _ = server.Close() }, nil
}

// channelReport prints the check of one channel after the other.
type channelReport struct {
	checkReport

	channel string
}

func (r *channelReport) begin(channel string) {
	r.channel = channel
	if !r.json {
		r.print("%s, step by step:\n", channel)
	}
}

func (r *channelReport) step(s engine.CheckStep) {
	if !r.json {
		r.checkReport.step(s)
		return
	}
	r.steps++
	r.count[s.Verdict]++
	r.line(struct {
		Channel  string         `json:"channel"`
		Step     string         `json:"step"`
		Verdict  engine.Verdict `json:"verdict"`
		Sentence string         `json:"sentence"`
		TookMS   int64          `json:"took_ms"`
	}{r.channel, s.Name, s.Verdict, s.Sentence, s.Took.Milliseconds()})
}

func (r *channelReport) end() {
	verdict := engine.CheckOK
	switch {
	case r.count[engine.CheckFailed] > 0:
		verdict = engine.CheckFailed
	case r.count[engine.CheckWeak] > 0:
		verdict = engine.CheckWeak
	}
	if !r.json {
		r.print("%d ok, %d weak, %d failed, %d skipped.\n",
			r.count[engine.CheckOK], r.count[engine.CheckWeak], r.count[engine.CheckFailed], r.count[engine.CheckSkipped])
		return
	}
	r.line(struct {
		Result  engine.Verdict `json:"result"`
		Steps   int            `json:"steps"`
		Failed  int            `json:"failed"`
		Weak    int            `json:"weak"`
		Skipped int            `json:"skipped"`
	}{verdict, r.steps, r.count[engine.CheckFailed], r.count[engine.CheckWeak], r.count[engine.CheckSkipped]})
}
