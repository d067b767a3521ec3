package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"relais/engine"
	"relais/engine/simulate"
)

// longList is where a list has enough people for the policy to matter more than the list.
const longList = 50

// comparison is a finished simulation on its way to a reader.
type comparison struct {
	simulate.Comparison

	replications int
	seed         uint64
}

// block is the scenarios that are shown together.
type block struct {
	title string
	short bool
}

func (b block) holds(s simulate.Scenario) bool { return (s.List < longList) == b.short }

// blocks are those that have scenarios.
func (c comparison) blocks() []block {
	var some []block
	for _, b := range []block{
		{fmt.Sprintf("Lists of %d people and more", longList), false},
		{fmt.Sprintf("Lists of fewer than %d people", longList), true},
	} {
		if _, ok := c.Figures(0, b.holds); ok {
			some = append(some, b)
		}
	}
	return some
}

func (c comparison) leads() []time.Duration {
	leads, _, _ := distinct(c.Scenarios)
	return leads
}

func (c comparison) title() string {
	_, lists, acceptances := distinct(c.Scenarios)
	var percent, people []string
	for _, a := range acceptances {
		percent = append(percent, fmt.Sprintf("%.3g", 100*a))
	}
	for _, n := range lists {
		people = append(people, fmt.Sprint(n))
	}
	return fmt.Sprintf("%s, %d openings each, seed %d: lists of %s people, acceptance %s %%", count(len(c.Scenarios), "scenario"),
		c.replications, c.seed, strings.Join(people, "/"), strings.Join(percent, "/"))
}

var columns = []string{"fill", "median", "offers", "late", "(told)", "recovered", "passed", "utility"}

const legend = `fill: share of the slots filled. median: waking minutes until the yes. offers: per fill. late: people who
say yes in vain, per fill; (told) when they read that the slot is gone. recovered: minutes of care per slot.
passed: people passed over per slot, as too slow to answer in time. utility: 1 a fill, less .005 an offer,
.15 a late yes and .01 a waking hour, with its standard error.
`

func cells(f simulate.Figures) []string {
	return []string{
		fmt.Sprintf("%.1f %%", 100*f.Fill), fmt.Sprintf("%.0f min", f.MedianMinutes), fmt.Sprintf("%.1f", f.OffersPerFill),
		fmt.Sprintf("%.2f", f.LatePerFill), fmt.Sprintf("%.2f", f.LateToldPerFill), fmt.Sprintf("%.1f min", f.MinutesRecovered),
		fmt.Sprintf("%.2f", f.PassedOver), fmt.Sprintf("%.3f ±%.3f", f.Utility, f.UtilityErr),
	}
}

// text prints the tables and the picture.
func (c comparison) text(w io.Writer, every bool) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, c.title())
	t := table{name: c.widest()}
	for _, block := range c.blocks() {
		fmt.Fprintf(&b, "\n%s\n", block.title)
		t.row(&b, "", append(columns, c.gainTitle()))
		for _, lead := range c.leads() {
			fmt.Fprintf(&b, "%s before the start\n", simulate.Short(lead))
			c.rows(&b, t, func(s simulate.Scenario) bool { return block.holds(s) && s.Lead == lead })
		}
		fmt.Fprintln(&b, "all")
		c.rows(&b, t, block.holds)
	}
	if every {
		fmt.Fprint(&b, "\nEvery scenario\n")
		for _, scenario := range c.Scenarios {
			fmt.Fprintln(&b, scenario)
			name := scenario.String()
			c.rows(&b, t, func(s simulate.Scenario) bool { return s.String() == name })
		}
	}
	c.picture(&b, t)
	fmt.Fprint(&b, "\n", legend)
	_, err := w.Write(b.Bytes())
	return err
}

// gainTitle heads the column that compares with the first contender, when there are others.
func (c comparison) gainTitle() string {
	if len(c.Contenders) < 2 {
		return ""
	}
	return "over " + c.Contenders[0].Name
}

func (c comparison) rows(w io.Writer, t table, include func(simulate.Scenario) bool) {
	for i, contender := range c.Contenders {
		f, ok := c.Figures(i, include)
		if !ok {
			continue
		}
		gain := ""
		if i > 0 {
			gain = fmt.Sprintf("%+.3f ±%.3f", f.Gain, f.GainErr)
		}
		t.row(w, "  "+contender.Name, append(cells(f), gain))
	}
}

func (c comparison) widest() int {
	widest := 0
	for _, contender := range c.Contenders {
		widest = max(widest, utf8.RuneCountInString(contender.Name)+2)
	}
	return widest
}

// table lines columns up: names to the left, figures to the right.
type table struct{ name int }

var widths = []int{8, 9, 8, 8, 8, 10, 8, 16, 18}

func (t table) row(w io.Writer, name string, values []string) {
	var line strings.Builder
	line.WriteString(name + strings.Repeat(" ", max(0, t.name-utf8.RuneCountInString(name))))
	for i, v := range values {
		line.WriteString(strings.Repeat(" ", max(1, widths[i]-utf8.RuneCountInString(v))) + v)
	}
	fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
}

// scale maps figures to the length of bars. What is more than four times the smallest is cut off, so
// that one extreme does not flatten all others.
type scale struct{ top float64 }

func newScale(values []float64) scale {
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	if low > 0 {
		high = min(high, 4*low)
	}
	return scale{max(high, 1e-9)}
}

// of returns the share of the full length, and whether the bar is cut off.
func (s scale) of(v float64) (share float64, cut bool) { return min(v/s.top, 1), v > s.top*1.000001 }

const barWidth = 24

// bar draws with the eighths of a block that Unicode has.
func (s scale) bar(v float64) string {
	share, cut := s.of(v)
	eighths := int(share*barWidth*8 + .5)
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string(rune('█' + 8 - rest))
	}
	if cut {
		text = strings.Repeat("█", barWidth-1) + "▶"
	}
	return text + strings.Repeat(" ", max(0, barWidth-utf8.RuneCountInString(text)))
}

// picture draws fill and offers a fill side by side.
func (c comparison) picture(w io.Writer, t table) {
	for _, block := range c.blocks() {
		fill, offers := scale{1}, newScale(c.offers(block.holds))
		fmt.Fprintf(w, "\n%s: fill, and offers per fill\n", block.title)
		for i, contender := range c.Contenders {
			f, _ := c.Figures(i, block.holds)
			fmt.Fprintf(w, "  %-*s %s %5.1f %%   %s %6.1f\n", t.name, contender.Name,
				fill.bar(f.Fill), 100*f.Fill, offers.bar(f.OffersPerFill), f.OffersPerFill)
		}
	}
}

func (c comparison) offers(include func(simulate.Scenario) bool) []float64 {
	values := make([]float64, len(c.Contenders))
	for i := range c.Contenders {
		f, _ := c.Figures(i, include)
		values[i] = f.OffersPerFill
	}
	return values
}

type jsonGroup struct {
	Lists string `json:"lists"` // "50 and more" or "fewer than 50"
	Lead  string `json:"lead"`  // "all" or as in "24h"

	simulate.Figures
}

type jsonCell struct {
	Lead       string  `json:"lead"`
	List       int     `json:"list"`
	Acceptance float64 `json:"acceptance"`

	simulate.Figures
}

type jsonContender struct {
	Name     string        `json:"name"`
	Informed bool          `json:"informed"` // plays with the acceptance of each scenario
	Policy   engine.Policy `json:"policy"`   // durations in nanoseconds
	Groups   []jsonGroup   `json:"groups"`
	Cells    []jsonCell    `json:"cells"`
}

// json prints everything for programs.
func (c comparison) json(w io.Writer) error {
	out := struct {
		Replications int             `json:"replications"`
		Seed         uint64          `json:"seed"`
		Policies     []jsonContender `json:"policies"`
	}{c.replications, c.seed, nil}
	for i, contender := range c.Contenders {
		j := jsonContender{Name: contender.Name, Informed: contender.Informed, Policy: contender.Policy}
		for _, block := range c.blocks() {
			lists := fmt.Sprintf("%d and more", longList)
			if block.short {
				lists = fmt.Sprintf("fewer than %d", longList)
			}
			for _, lead := range c.leads() {
				if f, ok := c.Figures(i, func(s simulate.Scenario) bool { return block.holds(s) && s.Lead == lead }); ok {
					j.Groups = append(j.Groups, jsonGroup{lists, simulate.Short(lead), f})
				}
			}
			f, _ := c.Figures(i, block.holds)
			j.Groups = append(j.Groups, jsonGroup{lists, "all", f})
		}
		for _, scenario := range c.Scenarios {
			name := scenario.String()
			f, _ := c.Figures(i, func(s simulate.Scenario) bool { return s.String() == name })
			j.Cells = append(j.Cells, jsonCell{simulate.Short(scenario.Lead), scenario.List, scenario.Acceptance, f})
		}
		out.Policies = append(out.Policies, j)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

// svg draws the picture for pages and print. Every bar has its figure beside it and the description
// says all of them, so nothing hangs on sight or on colour.
func (c comparison) svg() []byte {
	const (
		row, half, gap = 22, 220, 70
		letter         = 8 // pixels that a letter takes at most
	)
	left := max(150, 20+letter*c.widest())
	width := left + 2*(half+gap)
	var body, said bytes.Buffer
	text := func(x, y int, class, s string) {
		fmt.Fprintf(&body, `<text x="%d" y="%d" class="%s">%s</text>`+"\n", x, y, class, html.EscapeString(s))
	}
	bar := func(x, y int, class string, s scale, v float64, label string) {
		share, cut := s.of(v)
		fmt.Fprintf(&body, `<rect x="%d" y="%d" width="%.1f" height="14" rx="2" class="%s"/>`+"\n", x, y-11, share*half, class)
		if cut { // an open end: the bar goes on
			fmt.Fprintf(&body, `<path d="M%d %d l6 10 m4 -10 l6 10" class="cut"/>`+"\n", x+half-24, y-9)
		}
		text(x+int(share*half)+6, y, "figure", label)
	}
	y := 30
	text(10, y, "title", "What policies come to")
	for _, block := range c.blocks() {
		y += 34
		text(10, y, "head", block.title)
		y += row
		text(left, y, "note", "Slots filled")
		text(left+half+gap, y, "note", "Offers per fill")
		fmt.Fprintf(&said, "%s. ", block.title)
		offers := newScale(c.offers(block.holds))
		for i, contender := range c.Contenders {
			f, _ := c.Figures(i, block.holds)
			y += row
			text(10, y, "name", contender.Name)
			fill, per := fmt.Sprintf("%.1f %%", 100*f.Fill), fmt.Sprintf("%.1f", f.OffersPerFill)
			bar(left, y, "fill", scale{1}, f.Fill, fill)
			bar(left+half+gap, y, "offers", offers, f.OffersPerFill, per)
			fmt.Fprintf(&said, "%s fills %s of the slots with %s offers per fill. ", contender.Name, fill, per)
		}
	}
	y += 32
	text(10, y, "note", c.title())
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" lang="en">
<title id="title">Slots filled and offers per fill, by policy</title>
<desc id="desc">%s%s.</desc>
<style>
svg { font: 13px system-ui, sans-serif; background: #fff } text { fill: #1b2733 } .title { font-size: 16px; font-weight: 600 } .head { font-weight: 600 }
.note { fill: #4d5a66; font-size: 12px } .fill { fill: #26794c } .offers { fill: #003aad } .cut { stroke: #fff; stroke-width: 3 }
@media (prefers-color-scheme: dark) { svg { background: #14191f } text { fill: #e8edf2 } .note { fill: #a9b4bf } .fill { fill: #7fd6a4 } .offers { fill: #7aacff } .cut { stroke: #14191f } }
</style>
`, width, y+16, html.EscapeString(said.String()), html.EscapeString(c.title()))
	out.Write(body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}
