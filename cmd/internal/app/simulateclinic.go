package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"relais/engine"
	"relais/engine/simulate"
)

// mostClinicRuns keeps a simulation of a clinic within minutes.
const mostClinicRuns = 1000

// clinicFile is a clinic over weeks as a file has it; deploy/clinic.example.yaml explains it.
type clinicFile struct {
	Days          int            `yaml:"days"`
	Warm          int            `yaml:"warm"`
	People        int            `yaml:"people"`
	Arrivals      float64        `yaml:"arrivals"`
	Cancelled     float64        `yaml:"cancelled"`
	Leads         []clinicLead   `yaml:"leads"`
	Length        Duration       `yaml:"length"`
	Acceptance    float64        `yaml:"acceptance"`
	Concentration float64        `yaml:"concentration"`
	SlotShape     float64        `yaml:"slot_shape"`
	Refusals      float64        `yaml:"refusals"`
	Fatigue       float64        `yaml:"fatigue"`
	CloseOutRead  Duration       `yaml:"close_out_read"`
	English       float64        `yaml:"english"`
	Ages          []clinicAge    `yaml:"ages"`
	Distances     []clinicRing   `yaml:"distances"`
	Notices       []clinicNotice `yaml:"notices"`
	Halves        float64        `yaml:"halves"`
	Holding       float64        `yaml:"holding"`
}

type clinicLead struct {
	From  Duration `yaml:"from"`
	Until Duration `yaml:"until"`
	Share float64  `yaml:"share"`
}

type clinicAge struct {
	From  int     `yaml:"from"`
	Until int     `yaml:"until"`
	Share float64 `yaml:"share"`
	SMS   float64 `yaml:"sms"`
	Voice float64 `yaml:"voice"`
	Email float64 `yaml:"email"`
}

type clinicRing struct {
	From  float64 `yaml:"from"`
	Until float64 `yaml:"until"`
	Share float64 `yaml:"share"`
}

type clinicNotice struct {
	Least Duration `yaml:"least"`
	Share float64  `yaml:"share"`
}

// loadClinic reads a clinic; what the file does not say is as in the standard one. The error is a
// *ConfigError.
func loadClinic(path string) (simulate.Clinic, error) {
	c := simulate.StandardClinic()
	f := clinicFile{
		Days: c.Days, Warm: c.Warm, People: c.People, Arrivals: c.Arrivals, Cancelled: c.Cancelled, Length: Duration(c.Length),
		Acceptance: c.Acceptance, Concentration: c.Concentration, SlotShape: c.SlotShape, Refusals: c.Refusals,
		Fatigue: c.Fatigue, CloseOutRead: Duration(c.CloseOutRead), English: c.English, Halves: c.Halves, Holding: c.Holding,
	}
	if err := loadFile(path, "deploy/clinic.example.yaml", &f, func(*checker) {}); err != nil {
		return c, err
	}
	standard := c
	c = simulate.Clinic{
		Days: f.Days, Warm: f.Warm, People: f.People, Arrivals: f.Arrivals, Cancelled: f.Cancelled, Length: time.Duration(f.Length),
		Acceptance: f.Acceptance, Concentration: f.Concentration, SlotShape: f.SlotShape, Refusals: f.Refusals,
		Fatigue: f.Fatigue, CloseOutRead: time.Duration(f.CloseOutRead), English: f.English, Halves: f.Halves, Holding: f.Holding,
	}
	for _, l := range f.Leads {
		c.Leads = append(c.Leads, simulate.Lead{From: time.Duration(l.From), Until: time.Duration(l.Until), Share: l.Share})
	}
	for _, a := range f.Ages {
		reach := slices.Clone(standard.Ages[0].Reach) // the curves of the channels, with this band's shares
		reach[0].Share, reach[1].Share, reach[2].Share = a.SMS, a.Voice, a.Email
		c.Ages = append(c.Ages, simulate.Age{From: a.From, Until: a.Until, Share: a.Share, Reach: reach})
	}
	for _, r := range f.Distances {
		c.Rings = append(c.Rings, simulate.Ring(r))
	}
	for _, n := range f.Notices {
		c.Notices = append(c.Notices, simulate.Notice{Least: time.Duration(n.Least), Share: n.Share})
	}
	if f.Leads == nil {
		c.Leads = standard.Leads
	}
	if f.Ages == nil {
		c.Ages = standard.Ages
	}
	if f.Distances == nil {
		c.Rings = standard.Rings
	}
	if f.Notices == nil {
		c.Notices = standard.Notices
	}
	if err := c.Check(); err != nil {
		return c, &ConfigError{[]Problem{{Where: path, Sentence: err.Error() + "."}}}
	}
	return c, nil
}

// clinicRuns is a clinic that was played again and again under some policies.
type clinicRuns struct {
	clinic     simulate.Clinic
	contenders []simulate.Contender
	seed       uint64
	runs       [][]simulate.ClinicResult // by contender, then run
}

func playClinic(ctx context.Context, c simulate.Clinic, contenders []simulate.Contender, runs int, seed uint64, progress io.Writer) (clinicRuns, error) {
	p := clinicRuns{c, contenders, seed, make([][]simulate.ClinicResult, len(contenders))}
	bar := newBar(runs*len(contenders), progress)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, contender := range contenders {
		p.runs[i] = make([]simulate.ClinicResult, runs)
		for n := range runs {
			group.Go(func() error {
				if ctx.Err() != nil {
					return errStopped
				}
				policy := contender.Policy
				if contender.Informed {
					policy.Accept = c.Acceptance
				}
				// A policy of one's own learns as it will at the clinic; of the known ones their names say it.
				learns := contender.Learns || !slices.Contains(contenderNames(), contender.Name)
				r, err := c.Run(policy, learns, seed+uint64(n)) //nolint:gosec // not negative
				p.runs[i][n] = r
				_ = bar.Add(1) // a terminal that went away is no reason to stop
				return err
			})
		}
	}
	err := group.Wait()
	_ = bar.Finish()
	return p, err
}

// clinicLine is what one policy came to.
type clinicLine struct {
	Name   string        `json:"name"`
	Policy engine.Policy `json:"policy"` // durations in nanoseconds

	Openings      float64          `json:"openings"` // a run
	Fill          float64          `json:"fill"`
	FillErr       float64          `json:"fill_err"` // standard error over the runs
	Short         float64          `json:"short_openings"`
	ShortFill     float64          `json:"short_fill"` // of slots at most 24 hours ahead
	ShortFillErr  float64          `json:"short_fill_err"`
	Chained       []float64        `json:"fills_by_chain_depth"` // a run
	MedianMinutes float64          `json:"median_minutes"`       // waking minutes until the yes
	OffersPerFill float64          `json:"offers_per_fill"`
	LatePerFill   float64          `json:"late_per_fill"` // yeses in vain, when people read that the slot is gone
	Recovered     float64          `json:"minutes_recovered"`
	Sooner        float64          `json:"days_sooner"` // that winners with a later appointment gained, a run
	Capped        float64          `json:"capped"`      // share of looks at a person who fits in which a cap held them back
	Waiting       float64          `json:"waiting"`     // at the end
	Groups        []simulate.Group `json:"groups"`      // of all runs together
}

func (p clinicRuns) line(i int) clinicLine {
	var all simulate.ClinicResult
	var fills, shorts []float64
	for _, r := range p.runs[i] {
		all.Merge(r)
		fills = append(fills, simulate.Share(r.Fills, r.Openings))
		shorts = append(shorts, simulate.Share(r.ShortFills, r.Short))
	}
	n := float64(len(p.runs[i]))
	l := clinicLine{
		Name: p.contenders[i].Name, Policy: p.contenders[i].Policy,
		Openings: float64(all.Openings) / n, Fill: simulate.Share(all.Fills, all.Openings), FillErr: standardError(fills),
		Short: float64(all.Short) / n, ShortFill: simulate.Share(all.ShortFills, all.Short), ShortFillErr: standardError(shorts),
		MedianMinutes: all.Median(), OffersPerFill: simulate.Share(all.Offers, all.Fills), LatePerFill: simulate.Share(all.Late, all.Fills),
		Recovered: all.Recovered / n, Sooner: all.Sooner / n, Capped: all.Capped, Waiting: float64(all.Waiting) / n, Groups: all.Groups,
	}
	for _, c := range all.Chained {
		l.Chained = append(l.Chained, float64(c)/n)
	}
	return l
}

// standardError of the mean of some values.
func standardError(values []float64) float64 {
	n := float64(len(values))
	mean, squares := 0., 0.
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return math.Sqrt(squares / max(1, n-1) / n)
}

// text prints the figures and the fairness report.
func (p clinicRuns) text(w io.Writer) error {
	c := p.clinic
	var b bytes.Buffer
	fmt.Fprintf(&b, "A clinic over %d days, %s, seed %d: %d people, %.3g cancellations a working day, acceptance %.3g %%, fatigue %.3g %% an offer\n\n",
		c.Days, count(len(p.runs[0]), "run"), p.seed, c.People, c.Cancelled, 100*c.Acceptance, 100*c.Fatigue)
	widest := 0
	for _, contender := range p.contenders {
		widest = max(widest, utf8.RuneCountInString(contender.Name))
	}
	fmt.Fprintf(&b, "%-*s  openings           fill    under 24 h           fill   median  offers   late  chained  capped\n", widest, "")
	for i := range p.contenders {
		l := p.line(i)
		chained := 0.
		for _, n := range l.Chained[min(1, len(l.Chained)):] {
			chained += n
		}
		fmt.Fprintf(&b, "%-*s %9.0f  %5.1f ±%3.1f %%  %12.0f  %5.1f ±%3.1f %%  %3.0f min  %6.1f  %5.2f  %7.0f  %4.0f %%\n", widest, l.Name,
			l.Openings, 100*l.Fill, 100*l.FillErr, l.Short, 100*l.ShortFill, 100*l.ShortFillErr,
			l.MedianMinutes, l.OffersPerFill, l.LatePerFill, chained, 100*l.Capped)
	}
	for i := range p.contenders {
		l := p.line(i)
		fmt.Fprintf(&b, "\n%s: who is asked, and who gets a slot\n%-20s  %8s  %17s  %18s  %10s\n", l.Name, "", "on list", "offers a month", "fills 1000 days", "accepted")
		for _, g := range l.Groups {
			days := max(g.Days, 1)
			fmt.Fprintf(&b, "%-9s %-10s  %8.0f  %17.2f  %18.2f  %8.1f %%\n", g.By, g.Name, g.Days/float64(c.Days)/float64(len(p.runs[i])),
				30*float64(g.Sent)/days, 1000*float64(g.Won)/days, 100*simulate.Share(g.Won, g.Sent))
		}
	}
	fmt.Fprint(&b, "\nfill: share of the openings that were filled, with its standard error. late: yeses in vain per fill, when people read that\n"+
		"the slot is gone. chained: fills of later appointments that winners gave up. capped: share of looks at a person who fits in\n"+
		"which a cap held them back. on list: people, on average. offers a month: to one person in 30 days. fills: in 1,000 days on the list.\n"+
		"docs/policy.md says what is assumed.\n")
	_, err := w.Write(b.Bytes())
	return err
}

// json prints the same for programs.
func (p clinicRuns) json(w io.Writer) error {
	out := struct {
		Days     int          `json:"days"`
		Runs     int          `json:"runs"`
		Seed     uint64       `json:"seed"`
		Policies []clinicLine `json:"policies"`
	}{p.clinic.Days, len(p.runs[0]), p.seed, nil}
	for i := range p.contenders {
		out.Policies = append(out.Policies, p.line(i))
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
