package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"relais/engine"
	"relais/engine/simulate"
)

// The limits of one simulation keep it within minutes.
const (
	mostReplications = 100_000
	mostScenarios    = 1000
	mostContenders   = 20

	standardReplications = 400
	standardRuns         = 20
)

type simulateCommand struct {
	Policy       []string `help:"A policy by name, or a file with one; may be given again, the first is what the others are measured against." placeholder:"NAME|FILE" sep:"none"`
	Compare      bool     `help:"Play all known policies side by side, and those of --policy."`
	Scenario     string   `help:"File with the settings to play; without it, the 36 of docs/policy.md." placeholder:"FILE"`
	Clinic       string   `help:"Play a whole clinic over weeks instead: a file, or standard for that of docs/policy.md." placeholder:"FILE"`
	Replications int      `help:"Openings in each scenario (400), or runs of a clinic (20)."`
	Seed         uint64   `default:"1" help:"Another number gives other people."`
	Cells        bool     `help:"Print every scenario as well."`
	JSON         bool     `name:"json" help:"Print JSON."`
	SVG          string   `name:"svg" help:"Write a chart to this file." placeholder:"FILE"`
}

// Help is printed below the flags.
func (simulateCommand) Help() string {
	return `Slots are freed on a clock that jumps, before people whose minds are drawn at random, and the rules
of the running program decide whom to ask and when. The same seed gives the same figures, however many cores play.

Policies: ` + strings.Join(contenderNames(), ", ") + `.
A file holds a policy as in relais.yaml:

  policy: {strategy: waves, size: 4, every: 12m, hours: 08:00-20:00}

Examples:
  relais simulate --compare
  relais simulate --policy waves-3-10 --policy mine.yaml
  relais simulate --compare --replications 4000 --svg policies.svg
  relais simulate --clinic deploy/clinic.example.yaml --policy adaptive --policy waves-3-10
  relais simulate --policy adaptive --scenario deploy/scenario.example.yaml --json

docs/policy.md explains the policies, the columns and what they cannot say.`
}

func contenderNames() []string {
	var names []string
	for _, c := range simulate.Contenders() {
		names = append(names, c.Name)
	}
	return names
}

// Run plays and prints.
func (s *simulateCommand) Run(ctx context.Context, io *streams) error {
	if s.Replications == 0 {
		s.Replications = standardReplications
		if s.Clinic != "" {
			s.Replications = standardRuns
		}
	}
	if s.Replications < 2 || s.Replications > mostReplications {
		return &usageError{fmt.Errorf("--replications is %d; it can be from 2 to %d", s.Replications, mostReplications)}
	}
	contenders, err := s.contenders()
	if err != nil {
		return err
	}
	if s.Clinic != "" {
		return s.overWeeks(ctx, io, contenders)
	}
	scenarios := simulate.Standard()
	if s.Scenario != "" {
		if scenarios, err = loadScenarios(s.Scenario); err != nil {
			return err
		}
	}
	result, err := playAll(ctx, scenarios, contenders, s.Replications, s.Seed, io.err)
	if err != nil {
		return err
	}
	show := comparison{result, s.Replications, s.Seed}
	if s.SVG != "" {
		if err := os.WriteFile(s.SVG, show.svg(), 0o644); err != nil { //nolint:gosec // a chart is for everybody to read
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	if s.JSON {
		return show.json(io.out)
	}
	return show.text(io.out, s.Cells)
}

// overWeeks plays a clinic.
func (s *simulateCommand) overWeeks(ctx context.Context, io *streams, contenders []simulate.Contender) error {
	switch {
	case s.Scenario != "", s.SVG != "", s.Cells:
		return &usageError{errors.New("--clinic goes with neither --scenario nor --svg nor --cells")}
	case s.Replications > mostClinicRuns:
		return &usageError{fmt.Errorf("--replications is %d; a clinic can be played up to %d times", s.Replications, mostClinicRuns)}
	}
	clinic := simulate.StandardClinic()
	if s.Clinic != "standard" {
		var err error
		if clinic, err = loadClinic(s.Clinic); err != nil {
			return err
		}
	}
	played, err := playClinic(ctx, clinic, contenders, s.Replications, s.Seed, io.err)
	if err != nil {
		return err
	}
	if s.JSON {
		return played.json(io.out)
	}
	return played.text(io.out)
}

// contenders are the policies that the command line asks for, without doubles.
func (s *simulateCommand) contenders() ([]simulate.Contender, error) {
	known := simulate.Contenders()
	var chosen []simulate.Contender
	for _, name := range s.Policy {
		c, err := contenderNamed(name, known)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(chosen, func(o simulate.Contender) bool { return o.Name == c.Name }) {
			return nil, &usageError{fmt.Errorf("two policies are called %q; give one of the files another name", c.Name)}
		}
		chosen = append(chosen, c)
	}
	for _, c := range known {
		if s.Compare && !slices.ContainsFunc(chosen, func(o simulate.Contender) bool { return o.Name == c.Name }) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return nil, &usageError{errors.New("simulate needs --compare or --policy NAME; names: " + strings.Join(contenderNames(), ", "))}
	}
	if len(chosen) > mostContenders {
		return nil, &usageError{fmt.Errorf("there are %d policies; up to %d can be compared", len(chosen), mostContenders)}
	}
	return chosen, nil
}

func contenderNamed(name string, known []simulate.Contender) (simulate.Contender, error) {
	if i := slices.IndexFunc(known, func(c simulate.Contender) bool { return c.Name == name }); i >= 0 {
		return known[i], nil
	}
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
		policy, err := loadPolicy(name)
		return simulate.Contender{Name: strings.TrimSuffix(filepath.Base(name), ext), Policy: policy}, err
	}
	return simulate.Contender{}, &usageError{fmt.Errorf(
		"--policy %q is neither a known policy nor a .yaml file; %s", name, suggest(name, contenderNames()))}
}

type policyFile struct {
	Policy PolicyConfig `yaml:"policy"`
}

// loadPolicy reads a policy as a clinic's configuration has it. The error is a *ConfigError.
func loadPolicy(path string) (engine.Policy, error) {
	var clinic ClinicConfig
	clinic.setDefaults()
	file := policyFile{clinic.Policy}
	err := loadFile(path, "deploy/relais.example.yaml", &file, func(c *checker) { c.policy("policy", &file.Policy) })
	return file.Policy.Policy(), err
}

// loadFile fills target from a file and checks it. The error is a *ConfigError with every mistake.
func loadFile(path, example string, target any, check func(*checker)) error {
	text, sentence := readConfig(path, example)
	if sentence != "" {
		return &ConfigError{[]Problem{{Where: path, Sentence: sentence}}}
	}
	d := newDecoder(path, example, nil)
	d.decode(text, target)
	if len(d.lines) > 0 {
		check(&checker{d})
	}
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(lineOf(a), lineOf(b)) })
	return &ConfigError{d.problems}
}

// scenarioFile is a grid of scenarios as a file has it; deploy/scenario.example.yaml explains it.
type scenarioFile struct {
	Leads         []Duration      `yaml:"leads"`
	Lists         []int           `yaml:"lists"`
	Acceptances   []float64       `yaml:"acceptances"`
	Freed         Hours           `yaml:"freed"`
	Awake         Hours           `yaml:"awake"`
	Length        Duration        `yaml:"length"`
	Channels      []scenarioReach `yaml:"channels"`
	Concentration float64         `yaml:"concentration"`
	SlotShape     float64         `yaml:"slot_shape"`
	Refusals      float64         `yaml:"refusals"`
	CloseOutRead  Duration        `yaml:"close_out_read"`
}

type scenarioReach struct {
	Channel string   `yaml:"channel"`
	Share   float64  `yaml:"share"`
	Median  Duration `yaml:"median"`
	Sigma   float64  `yaml:"sigma"`
}

// loadScenarios reads a file of scenarios; what it does not say is as in the standard ones. The error
// is a *ConfigError.
func loadScenarios(path string) ([]simulate.Scenario, error) {
	base := simulate.Standard()[0]
	file := scenarioFile{
		Freed: Hours(base.Freed), Awake: Hours(base.Awake), Length: Duration(base.Length),
		Concentration: base.Concentration, SlotShape: base.SlotShape,
		Refusals: base.Refusals, CloseOutRead: Duration(base.CloseOutRead),
	}
	if err := loadFile(path, "deploy/scenario.example.yaml", &file, file.check); err != nil {
		return nil, err
	}
	base.Freed, base.Awake, base.Length = engine.Hours(file.Freed), engine.Hours(file.Awake), time.Duration(file.Length)
	base.Concentration, base.SlotShape = file.Concentration, file.SlotShape
	base.Refusals, base.CloseOutRead = file.Refusals, time.Duration(file.CloseOutRead)
	if file.Channels != nil {
		base.Reach = nil
	}
	for _, c := range file.Channels {
		base.Reach = append(base.Reach, simulate.Reach{
			Channel: engine.Channel(c.Channel), Share: c.Share, Median: time.Duration(c.Median), Sigma: c.Sigma,
		})
	}
	leads, lists, acceptances := distinct(simulate.Standard())
	if file.Leads != nil {
		leads = nil
	}
	for _, lead := range file.Leads {
		leads = append(leads, time.Duration(lead))
	}
	lists = cmpOr(file.Lists, lists)
	acceptances = cmpOr(file.Acceptances, acceptances)
	all := simulate.Grid(base, leads, lists, acceptances)
	for _, s := range all {
		if err := s.Check(); err != nil { // the checks above say more; this one is sure
			return nil, &ConfigError{[]Problem{{Where: path, Sentence: err.Error() + "."}}}
		}
	}
	return all, nil
}

func cmpOr[T any](given, standard []T) []T {
	if given != nil {
		return given
	}
	return standard
}

// distinct returns the leads, lists and acceptances of scenarios, in their order.
func distinct(all []simulate.Scenario) (leads []time.Duration, lists []int, acceptances []float64) {
	for _, s := range all {
		if !slices.Contains(leads, s.Lead) {
			leads = append(leads, s.Lead)
		}
		if !slices.Contains(lists, s.List) {
			lists = append(lists, s.List)
		}
		if !slices.Contains(acceptances, s.Acceptance) {
			acceptances = append(acceptances, s.Acceptance)
		}
	}
	return leads, lists, acceptances
}

func (f *scenarioFile) check(c *checker) {
	for i, lead := range f.Leads {
		c.lasts(fmt.Sprintf("leads[%d]", i), lead, time.Minute, simulate.MostLead)
	}
	for i, list := range f.Lists {
		c.between(fmt.Sprintf("lists[%d]", i), list, 1, simulate.MostList)
	}
	for i, a := range f.Acceptances {
		c.within(fmt.Sprintf("acceptances[%d]", i), a, .001, .999)
	}
	if n := max(1, len(f.Leads)) * max(1, len(f.Lists)) * max(1, len(f.Acceptances)); n > mostScenarios {
		c.say("leads", "with every list and acceptance are %d scenarios; there can be up to %d.", n, mostScenarios)
	}
	c.lasts("length", f.Length, time.Minute, 24*time.Hour)
	c.within("concentration", f.Concentration, .01, 1e6)
	c.within("slot_shape", f.SlotShape, .01, 1e6)
	c.within("refusals", f.Refusals, 0, 1)
	c.lasts("close_out_read", f.CloseOutRead, 0, 7*24*time.Hour)
	sum := 0.
	for i, r := range f.Channels {
		at := fmt.Sprintf("channels[%d]", i)
		c.oneOf(at+".channel", r.Channel, string(engine.SMS), string(engine.Voice), string(engine.EmailMail))
		c.within(at+".share", r.Share, 0, 1)
		c.lasts(at+".median", r.Median, time.Second, 30*24*time.Hour)
		c.within(at+".sigma", r.Sigma, .01, 10)
		sum += r.Share
	}
	if f.Channels != nil && (sum < .999999 || sum > 1.000001) {
		c.say("channels", "have shares that add up to %.4g; make them add up to 1.", sum)
	}
}

func (c *checker) within(setting string, value, low, high float64) {
	if !(value >= low && value <= high) {
		c.say(setting, "is %v; it can be from %v to %v.", value, low, high)
	}
}

// playAll spreads the parts of a comparison over the machine's cores. The result does not depend on
// how many there are.
func playAll(
	ctx context.Context, scenarios []simulate.Scenario, contenders []simulate.Contender,
	replications int, seed uint64, progress io.Writer,
) (simulate.Comparison, error) {
	// The rules leave much garbage and keep a few MB: collecting less often saves a third of the time, and the
	// heap stays below some 200 MB.
	defer debug.SetGCPercent(debug.SetGCPercent(4000))
	parts := simulate.Parts(len(scenarios), replications)
	results := make([][]simulate.Tally, len(parts))
	bar := newBar(len(parts), progress)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, part := range parts {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return errStopped
			}
			played, err := simulate.Play(scenarios[part.Cell], part, contenders, seed)
			results[i] = played
			_ = bar.Add(1) // a terminal that went away is no reason to stop
			return err
		})
	}
	err := group.Wait()
	_ = bar.Finish()
	if err == nil && slices.ContainsFunc(results, func(r []simulate.Tally) bool { return r == nil }) {
		err = errStopped
	}
	if err != nil {
		return simulate.Comparison{}, err
	}
	return simulate.Compare(scenarios, contenders, parts, results)
}

var errStopped = errors.New("stopped before the end; nothing was printed")

// newBar shows progress on a terminal only.
func newBar(parts int, w io.Writer) *progressbar.ProgressBar {
	file, ok := w.(*os.File)
	visible := ok && term.IsTerminal(int(file.Fd()))
	return progressbar.NewOptions(parts,
		progressbar.OptionSetWriter(w), progressbar.OptionSetVisibility(visible),
		progressbar.OptionSetDescription("Playing"), progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
	)
}
