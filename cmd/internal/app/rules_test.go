package app

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAlertRules lets Prometheus's own tool check the alerts and play their cases.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	for _, args := range [][]string{
		{"check", "rules", "relais.rules.yaml"}, {"test", "rules", "relais.rules.test.yaml"},
	} {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = filepath.Join("..", "..", "..", "deploy", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// promtool finds Prometheus's own checker.
func promtool(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI needs promtool: apt-get install prometheus")
		}
		t.Skip("the alert rules need promtool: apt-get install prometheus")
	}
	return tool
}

// TestEveryAlertIsExplained wants a heading of the runbook for each alert and none beside, and a line of
// docs/metrics.md for each metric that alerts and dashboard ask for.
func TestEveryAlertIsExplained(t *testing.T) {
	read := func(parts ...string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(append([]string{top}, parts...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	rules, book, metrics := read("deploy", "prometheus", "relais.rules.yaml"), read("docs", "runbook.md"), read("docs", "metrics.md")
	names := func(pattern, text string) []string {
		var out []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	alerts, headings := names(`alert: (\w+)`, rules), names(`(?m)^### (\w+)`, book)
	if len(alerts) == 0 || !slices.Equal(alerts, headings) {
		t.Errorf("alerts %v\nheadings of the runbook %v", alerts, headings)
	}
	tests := read("deploy", "prometheus", "relais.rules.test.yaml")
	for _, a := range alerts {
		if !strings.Contains(tests, "alertname: "+a) {
			t.Errorf("no test tries the alert %s", a)
		}
	}
	used := names(`\b(relais_[a-z0-9_]+)`, rules+read("deploy", "grafana", "relais.json"))
	for _, name := range used {
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if !strings.Contains(metrics, "`"+name+"`") {
			t.Errorf("docs/metrics.md does not know %s", name)
		}
	}
}

// TestDashboardAsksRightly has promtool read the dashboard's questions, as rules.
func TestDashboardAsksRightly(t *testing.T) {
	tool := promtool(t)
	text, err := os.ReadFile(filepath.Join(top, "deploy", "grafana", "relais.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title, Description string
			Targets            []struct{ Expr string }
		}
	}
	decode(t, text, &board)
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	n := 0
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			n++
			expr := strings.NewReplacer("$clinic", ".*", "$__rate_interval", "5m").Replace(q.Expr)
			fmt.Fprintf(&rules, "      - {record: 'asked:%d', expr: %q}\n", n, expr)
		}
		if len(p.Targets) > 0 && p.Description == "" {
			t.Errorf("%s has no description", p.Title)
		}
	}
	if n == 0 {
		t.Fatal("the dashboard asks nothing")
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestEveryThreatNamesATest wants each test that docs/threats.md names to exist.
func TestEveryThreatNamesATest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(top, "docs", "threats.md"))
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, name := range tracked(t) {
		if strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 40 {
		t.Fatalf("%d tests are named", len(named))
	}
	for _, m := range named {
		if !strings.Contains(tests.String(), "func "+m[1]+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
}
