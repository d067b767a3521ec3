package app

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"relais/actors/system"
	"relais/transport/carrier"
)

// metricDoc is a metric as docs/metrics.md describes it.
type metricDoc struct{ kind, labels string }

// described reads the tables of docs/metrics.md.
func described(t *testing.T) map[string]metricDoc {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]metricDoc{}
	for line := range strings.Lines(string(text)) {
		cell := strings.Split(line, "|")
		if len(cell) < 8 || !strings.HasPrefix(cell[1], " `relais_") {
			continue
		}
		name := strings.Trim(cell[1], " `")
		if _, twice := found[name]; twice {
			t.Errorf("docs/metrics.md describes %s twice", name)
		}
		for i, what := range []string{"type", "unit", "labels", "meaning", "what to do"} {
			if strings.TrimSpace(cell[i+2]) == "" {
				t.Errorf("docs/metrics.md says no %s for %s", what, name)
			}
		}
		var labels []string
		for l := range strings.SplitSeq(strings.TrimSpace(cell[4]), ", ") {
			if l != "none" {
				labels = append(labels, strings.Trim(l, "`"))
			}
		}
		slices.Sort(labels)
		found[name] = metricDoc{strings.TrimSpace(cell[2]), strings.Join(labels, ",")}
	}
	return found
}

var descPattern = regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{(.*)\}\}`)

// TestMetricsAreDescribed holds docs/metrics.md against what is registered, both ways.
func TestMetricsAreDescribed(t *testing.T) {
	m := newMetrics()
	m.watchActors(func() []system.KindStats { return nil })
	m.watchCarriers(func() []carrier.Stat { return nil })
	descs := make(chan *prometheus.Desc)
	go func() {
		m.registry.Describe(descs)
		close(descs)
	}()
	doc := described(t)
	have := map[string]bool{}
	for d := range descs {
		part := descPattern.FindStringSubmatch(d.String())
		if part == nil {
			t.Fatalf("cannot read %s", d)
		}
		name := part[1]
		if !strings.HasPrefix(name, "relais_") {
			continue // the runtime's own
		}
		have[name] = true
		labels := strings.Split(part[2], ",")
		slices.Sort(labels)
		switch is, ok := doc[name]; {
		case !ok:
			t.Errorf("docs/metrics.md does not describe %s", name)
		case is.labels != strings.Join(labels, ","):
			t.Errorf("docs/metrics.md gives %s the labels %q; it has %q", name, is.labels, strings.Join(labels, ","))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		if !have[name] {
			t.Errorf("docs/metrics.md describes %s, which does not exist", name)
		}
	}
	if len(have) == 0 {
		t.Error("no metric of ours is registered")
	}
}

// TestMetricsPassPromtool has Prometheus's own tool judge what the demo answers.
func TestMetricsPassPromtool(t *testing.T) {
	p := demo(t, t.TempDir(), nil)
	status, _, text := p.do("GET", "/metrics", nil)
	if status != http.StatusOK {
		t.Fatalf("GET /metrics: %d", status)
	}
	doc := described(t)
	ours := 0
	for line := range strings.Lines(string(text)) {
		word := strings.Fields(line)
		if len(word) != 4 || word[1] != "TYPE" || !strings.HasPrefix(word[2], "relais_") {
			continue
		}
		ours++
		if doc[word[2]].kind != word[3] {
			t.Errorf("docs/metrics.md says that %s is a %s; it is a %s", word[2], doc[word[2]].kind, word[3])
		}
	}
	if ours < 5 {
		t.Errorf("/metrics shows %d metrics of Relais", ours)
	}
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is missing; it is in Debian's prometheus package")
		}
		t.Skip("needs promtool, from Debian's prometheus package")
	}
	check := exec.CommandContext(t.Context(), tool, "check", "metrics")
	check.Stdin = bytes.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
