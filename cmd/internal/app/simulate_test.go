package app

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"relais/engine/simulate"
)

// The example is the standard set, so that an operator who copies it starts from what docs/policy.md
// shows.
func TestScenarioExampleIsTheStandardSet(t *testing.T) {
	t.Parallel()
	got, err := loadScenarios(filepath.Join(top, "deploy", "scenario.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, simulate.Standard()) {
		t.Errorf("got %d scenarios, the first %+v, want %+v", len(got), got[0], simulate.Standard()[0])
	}
}

func TestScenarioFileMayLeaveOut(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(file, []byte("leads: [90m]\nrefusals: 0.5\nchannels: [{channel: sms, share: 1, median: 9m, sigma: 1}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := loadScenarios(file)
	if err != nil || len(all) != 9 {
		t.Fatalf("%d scenarios, %v", len(all), err)
	}
	for _, s := range all {
		if s.Lead.Minutes() != 90 || s.Refusals != .5 || s.Concentration != 6 || len(s.Reach) != 1 {
			t.Errorf("got %+v", s)
		}
	}
}

// As many cores as there are, the same figures come out, on paper and for programs.
func TestSimulationDoesNotHangOnTheMachine(t *testing.T) {
	scenarios, contenders := simulate.Standard()[:4], simulate.Contenders()
	run := func(cores int) string {
		t.Helper()
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
		c, err := playAll(t.Context(), scenarios, contenders, 110, 3, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := (comparison{c, 110, 3}).json(&out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if one, many := run(1), run(8); one != many {
		t.Error("one core and eight do not agree")
	}
}

func TestSimulationStops(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := playAll(ctx, simulate.Standard(), simulate.Contenders(), 1000, 1, io.Discard)
	if !errors.Is(err, errStopped) {
		t.Errorf("got %v", err)
	}
}

func played(t *testing.T) comparison {
	t.Helper()
	c, err := playAll(t.Context(), simulate.Standard()[:6], simulate.Contenders(), 10, 1, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return comparison{c, 10, 1}
}

func TestSimulationJSON(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := played(t).json(&out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Replications int
		Policies     []struct {
			Name   string
			Groups []struct {
				Lists, Lead string
				Openings    int
			}
			Cells []struct {
				List     int
				Fill     float64
				Openings int
			}
		}
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Replications != 10 || len(got.Policies) != len(simulate.Contenders()) {
		t.Fatalf("got %+v", got)
	}
	for _, p := range got.Policies {
		openings := 0
		for _, c := range p.Cells {
			openings += c.Openings
		}
		// An hour ahead, short lists and long ones, each by itself and in all.
		if len(p.Groups) != 4 || len(p.Cells) != 6 || openings != 60 || p.Groups[0].Openings != 30 {
			t.Errorf("%s: %+v", p.Name, p)
		}
	}
}

// A chart is well-formed and says its figures to those who do not see it.
func TestSimulationChart(t *testing.T) {
	t.Parallel()
	c := played(t)
	c.Contenders[0].Name = `a<b & "c"`
	var chart struct {
		Role  string `xml:"role,attr"`
		Label string `xml:"aria-labelledby,attr"`
		Title struct {
			ID string `xml:"id,attr"`
		} `xml:"title"`
		Desc struct {
			ID   string `xml:"id,attr"`
			Text string `xml:",chardata"`
		} `xml:"desc"`
		Bars []struct{} `xml:"rect"`
	}
	if err := xml.Unmarshal(c.svg(), &chart); err != nil {
		t.Fatal(err)
	}
	if chart.Role != "img" || chart.Label != chart.Title.ID+" "+chart.Desc.ID {
		t.Errorf("got %+v", chart)
	}
	for _, x := range c.Contenders {
		if !strings.Contains(chart.Desc.Text, x.Name+" fills ") {
			t.Errorf("the description does not speak of %s", x.Name)
		}
	}
	if want := 2 * 2 * len(c.Contenders); len(chart.Bars) != want { // fill and offers, short lists and long
		t.Errorf("%d bars, want %d", len(chart.Bars), want)
	}
}

func TestBars(t *testing.T) {
	t.Parallel()
	s := newScale([]float64{10, 20, 30})
	for v, want := range map[float64]string{
		0: "", 30: strings.Repeat("█", barWidth), 15: strings.Repeat("█", barWidth/2), 15.625: strings.Repeat("█", barWidth/2) + "▌",
	} {
		got := s.bar(v)
		if strings.TrimRight(got, " ") != want || utf8.RuneCountInString(got) != barWidth {
			t.Errorf("%g: %q, want %q", v, got, want)
		}
	}
	if extreme := newScale([]float64{10, 20, 300}); !strings.HasSuffix(extreme.bar(300), "▶") || strings.HasSuffix(extreme.bar(40), "▶") {
		t.Error("an extreme is cut off, and marked")
	}
}
