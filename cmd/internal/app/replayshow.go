package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"relais/engine"
	"relais/engine/simulate"
)

// replayed is one line of the report.
type replayed struct {
	Name   string         `json:"name"`
	Policy *engine.Policy `json:"policy,omitempty"` // durations in nanoseconds; of the past, none: it may have changed meanwhile

	Fill          float64 `json:"fill"`           // share of the openings
	FillLow       float64 `json:"fill_low"`       // nine tenths of the draws lie between
	FillHigh      float64 `json:"fill_high"`      //
	MedianMinutes float64 `json:"median_minutes"` // inside sending hours, until the yes
	OffersPerFill float64 `json:"offers_per_fill"`
	LatePerFill   float64 `json:"late_per_fill"`     // yeses in vain, when people read within 3 minutes that the slot is gone
	Recovered     float64 `json:"minutes_recovered"` // of care, in all openings together
}

func lineOfReplay(name string, policy *engine.Policy, draws []simulate.Tally) replayed {
	all := simulate.Summarize(merged(draws))
	fills := make([]float64, len(draws))
	for i, d := range draws {
		fills[i] = simulate.Summarize(d).Fill
	}
	slices.Sort(fills)
	edge := len(fills) / 20
	return replayed{
		Name: name, Policy: policy, Fill: all.Fill, FillLow: fills[edge], FillHigh: fills[len(fills)-1-edge],
		MedianMinutes: all.MedianMinutes, OffersPerFill: all.OffersPerFill, LatePerFill: all.LateToldPerFill,
		Recovered: all.MinutesRecovered * float64(all.Openings) / float64(len(draws)),
	}
}

func merged(draws []simulate.Tally) simulate.Tally {
	var all simulate.Tally
	for _, d := range draws {
		all.Merge(d)
	}
	return all
}

func (p *replay) lines() []replayed {
	lines := []replayed{lineOfReplay("what happened", nil, []simulate.Tally{p.facts})}
	for i, c := range p.contenders {
		name := c.Name
		if i == 0 {
			name = replayOwn + ", again"
		}
		lines = append(lines, lineOfReplay(name, &c.Policy, p.played[i]))
	}
	return lines
}

var replayColumns = []string{"fill", "of draws", "median", "offers", "late", "recovered"}

// text prints the report.
func (p *replay) text(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s, %s; %d draws\n", p.clinic.ID, count(len(p.past), "past opening"), p.span(), p.draws)
	fmt.Fprintf(&b, "Available: %s.\n\n", p.available())
	lines := p.lines()
	t := table{}
	for _, l := range lines {
		t.name = max(t.name, utf8.RuneCountInString(l.Name)+2)
	}
	t.row(&b, "", replayColumns)
	for i, l := range lines {
		between := ""
		if i > 0 {
			between = fmt.Sprintf("%.0f-%.0f", 100*l.FillLow, 100*l.FillHigh)
		}
		t.row(&b, l.Name, []string{
			fmt.Sprintf("%.1f %%", 100*l.Fill), between, fmt.Sprintf("%.0f min", l.MedianMinutes),
			fmt.Sprintf("%.1f", l.OffersPerFill), fmt.Sprintf("%.2f", l.LatePerFill), fmt.Sprintf("%.0f min", l.Recovered),
		})
	}
	fmt.Fprint(&b, "\nfill: share of the openings; of draws: what nine tenths of the draws lie between. median: minutes inside sending hours\n"+
		"until the yes. offers: per fill. late: yeses in vain per fill. recovered: minutes of care, all openings together.\n"+
		"Compare the other policies with \""+replayOwn+", again\": both rest on the same draws. How far that line is\n"+
		"from \"what happened\" is how far the replay can be trusted.\n")
	fmt.Fprint(&b, "\nWhat this cannot know\n")
	for _, s := range p.unknown() {
		fmt.Fprintf(&b, "- %s\n", s)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p *replay) span() string {
	return fmt.Sprintf("opened from %s to %s", p.past[0].State.OpenedAt.In(p.zone).Format(time.DateOnly),
		p.past[len(p.past)-1].State.OpenedAt.In(p.zone).Format(time.DateOnly))
}

// unknown lists what the figures rest on besides facts. It is printed in full each time: whoever reads the
// table reads this.
func (p *replay) unknown() []string {
	list := []string{
		fmt.Sprintf("What people who were never asked would have said: %d places on the lists of these openings, against %d offers that were made."+
			" Their answers are drawn from what this clinic learned up to today, its own past included.", p.unasked, p.asked),
		fmt.Sprintf("What %d of the %d who were asked would still have said: they were silent when it was over. It is drawn, given their silence.", p.silent, p.asked),
		"Whether people would answer alike at another hour: who answered is taken to answer the same, as many waking minutes after being asked.",
		"Who was on the list then: it is put together from today's entries. Those who left since are missing, and whoever changed wishes, contacts or consent counts with those of today.",
		"What an opening does to the next: each is played by itself, with the caps that the past came to. Another policy would have used up other people's offers, placed others, and freed other later appointments.",
		"Outages: an offer that reached nobody then reaches nobody now, and one that was never made is taken to arrive. Reminders and the call after a silent text change nothing here.",
		"Whether the record system would have taken another booking, and what staff would have done: openings that were taken away end at the same moment here.",
		"People's own hours: everybody is asked and answers in the clinic's sending hours. Answers' delays are those that docs/policy.md assumes.",
	}
	reasons := []struct {
		why  simulate.Omitted
		text string
	}{
		{simulate.OmitSilent, "in which nobody was asked"},
		{simulate.OmitHeld, "suspended or paused for a while"},
		{simulate.OmitDesk, "given away by the front desk by other means"},
		{simulate.OmitRefused, "in which the record system refused a booking"},
	}
	for _, r := range reasons {
		if n := p.omitted[r.why]; n > 0 {
			list = append(list, fmt.Sprintf("Not played: %s %s.", count(n, "opening"), r.text))
		}
	}
	if p.running > 0 {
		list = append(list, fmt.Sprintf("Not played: %s still under way.", count(p.running, "opening")))
	}
	if p.earlier > 0 {
		list = append(list, fmt.Sprintf("Not played: %s of slots that were freed again later; only the last one is kept in full.", count(p.earlier, "earlier opening")))
	}
	if len(p.past) < fewestForReplays {
		list = append(list, fmt.Sprintf("Much at all: with %s, luck weighs more than any policy.", count(len(p.past), "opening")))
	}
	return list
}

// json prints the report for programs.
func (p *replay) json(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Clinic    engine.ClinicID          `json:"clinic"`
		Openings  int                      `json:"openings"`
		From      time.Time                `json:"from"` // of the first opening that was played
		To        time.Time                `json:"to"`
		Available int                      `json:"available"` // finished openings that the store has
		First     time.Time                `json:"first"`
		Last      time.Time                `json:"last"`
		Draws     int                      `json:"draws"`
		Lines     []replayed               `json:"lines"` // what happened, its own policy again, the others
		Omitted   map[simulate.Omitted]int `json:"omitted,omitempty"`
		Unknown   []string                 `json:"unknown"`
	}{
		p.clinic.ID, len(p.past), p.past[0].State.OpenedAt, p.past[len(p.past)-1].State.OpenedAt, p.kept, p.first, p.last,
		p.draws, p.lines(), p.omitted, p.unknown(),
	})
}
