package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAlertRules lets Prometheus's own tool check the alerts and play their cases.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI needs promtool: apt-get install prometheus")
		}
		t.Skip("the alert rules need promtool: apt-get install prometheus")
	}
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
