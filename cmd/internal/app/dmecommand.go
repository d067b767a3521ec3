package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"relais/engine"
)

type dmeCommand struct {
	Check dmeCheck `cmd:"" help:"Try every step that Relais takes with a clinic's record system, and explain each failure."`
}

type dmeCheck struct {
	Clinic        string        `arg:"" help:"The clinic's id in the configuration."`
	Config        string        `help:"Configuration file; also RELAIS_CONFIG." placeholder:"FILE"`
	DryRunBooking bool          `help:"Also try a booking and subscriptions, as far as the record system allows without leaving any behind."`
	JSON          bool          `name:"json" help:"One JSON object a line: each step as it ends, then the result."`
	Timeout       time.Duration `default:"2m" help:"Give up after this long; what was not tried by then fails."`
}

// Help is shown below the flags.
func (*dmeCheck) Help() string {
	return `Nothing is sent to anybody, nothing of the store is opened, and the check can run beside "relais serve".
Each step prints one line as it ends:

  ok       it works
  weak     it works, but in a weaker way; the sentence says what that means for the clinic
  failed   it does not; the sentence says what was found and what to do
  skipped  an earlier step failed, or the configuration does not ask for it

Exit codes: 0 when no step failed, 1 when one did, 2 for a wrong command line or configuration.

Examples:
  relais dme check derma --config relais.yaml
  relais dme check derma --config relais.yaml --dry-run-booking
  relais dme check derma --config relais.yaml --json | jq -r 'select(.verdict=="failed").sentence'`
}

// Run checks one clinic's record system.
func (d *dmeCheck) Run(ctx context.Context, io *streams) error {
	path := d.Config
	if path == "" {
		path = io.env["RELAIS_CONFIG"]
	}
	if path == "" {
		return &usageError{errors.New("dme check needs --config FILE; start from deploy/relais.example.yaml")}
	}
	if d.Timeout <= 0 {
		return &usageError{fmt.Errorf("--timeout is %v; it has to be longer than nothing", d.Timeout)}
	}
	cfg, err := LoadConfig(path, io.env, nil)
	if err != nil {
		return err
	}
	var known []string
	for i := range cfg.Clinics {
		if known = append(known, cfg.Clinics[i].ID); known[i] == d.Clinic {
			return d.check(ctx, cfg, &cfg.Clinics[i], io.out)
		}
	}
	return &usageError{fmt.Errorf("%s has no clinic %q; it has %s", path, d.Clinic, strings.Join(known, ", "))}
}

func (d *dmeCheck) check(ctx context.Context, cfg Config, c *ClinicConfig, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	p := &program{cfg: cfg, log: slog.New(slog.DiscardHandler), metrics: newMetrics()}
	defer p.close()
	r := &checkReport{clinic: c.ID, json: d.JSON, out: out}
	r.title(c.Name)
	_, dme, err := p.connect(ctx, c)
	if err != nil {
		return fmt.Errorf("clinic %s: %w", c.ID, err)
	}
	defer dme.Close()
	dme.Check(ctx, d.DryRunBooking, r.step)
	r.end(dme.Modes())
	switch {
	case r.err != nil:
		return fmt.Errorf("write the report: %w", r.err)
	case r.count[engine.CheckFailed] > 0:
		return fmt.Errorf("the record system of clinic %s failed %s", c.ID, count(r.count[engine.CheckFailed], "step"))
	}
	return nil
}

// checkReport prints a check while it goes on.
type checkReport struct {
	clinic string
	json   bool
	out    io.Writer
	steps  int
	count  map[engine.Verdict]int
	err    error // the first of the writer
}

func (r *checkReport) print(format string, args ...any) {
	if _, err := fmt.Fprintf(r.out, format, args...); err != nil && r.err == nil {
		r.err = err
	}
}

func (r *checkReport) line(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		r.err = err
		return
	}
	r.print("%s\n", text)
}

func (r *checkReport) title(name string) {
	r.count = map[engine.Verdict]int{}
	if !r.json {
		r.print("The record system of %s (%s), step by step:\n", r.clinic, name)
	}
}

func (r *checkReport) step(s engine.CheckStep) {
	r.steps++
	r.count[s.Verdict]++
	if r.json {
		r.line(struct {
			Clinic   string         `json:"clinic"`
			Step     string         `json:"step"`
			Verdict  engine.Verdict `json:"verdict"`
			Sentence string         `json:"sentence"`
			TookMS   int64          `json:"took_ms"`
		}{r.clinic, s.Name, s.Verdict, s.Sentence, s.Took.Milliseconds()})
		return
	}
	r.print("  %-7s  %-18s %6.2f s  %s\n", s.Verdict, s.Name, s.Took.Seconds(), s.Sentence)
}

// end prints what it came to and how things are done with the record system.
func (r *checkReport) end(modes []engine.DMEMode) {
	verdict := engine.CheckOK
	switch {
	case r.count[engine.CheckFailed] > 0:
		verdict = engine.CheckFailed
	case r.count[engine.CheckWeak] > 0:
		verdict = engine.CheckWeak
	}
	if r.json {
		r.line(struct {
			Clinic  string           `json:"clinic"`
			Result  engine.Verdict   `json:"result"`
			Steps   int              `json:"steps"`
			Failed  int              `json:"failed"`
			Weak    int              `json:"weak"`
			Skipped int              `json:"skipped"`
			Modes   []engine.DMEMode `json:"modes"`
		}{r.clinic, verdict, r.steps, r.count[engine.CheckFailed], r.count[engine.CheckWeak], r.count[engine.CheckSkipped], modes})
		return
	}
	if verdict != engine.CheckFailed && len(modes) > 0 {
		r.print("How things are done with it:\n")
		for _, m := range modes {
			weak := ""
			if m.Weak {
				weak = " (weaker)"
			}
			r.print("  %s: %s%s. %s\n", m.What, m.Mode, weak, m.Sentence)
		}
	}
	r.print("%d ok, %d weak, %d failed, %d skipped.\n",
		r.count[engine.CheckOK], r.count[engine.CheckWeak], r.count[engine.CheckFailed], r.count[engine.CheckSkipped])
}
