package app

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"relais/engine"
)

// checkDME runs relais dme check against the demo's record systems, one of which is set to a fault.
func checkDME(t *testing.T, fault, token string, args ...string) (code int, out, errOut string) {
	t.Helper()
	ctx := t.Context()
	w, err := openWorld(ctx, DemoOptions{Data: t.TempDir(), Seed: 1, Patients: 10, Quiet: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	if fault != "" {
		if err := w.dme.SetFault("dermatologie", fault); err != nil {
			t.Fatal(err)
		}
	}
	if token == "" {
		token = w.token
	}
	file := filepath.Join(t.TempDir(), "relais.yaml")
	text := `public_url: https://relais.example.org
key_file: keys/relais.key
clinics:
  - id: dermatologie
    name: Dermatologie
    address: 1, rue Saint-Denis, Montréal
    phone: "+15145550110"
    mode: shadow
    dme: {fhir: {base_url: "` + w.fhirURL + `/dme/dermatologie/fhir", token: "env:TOKEN"}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var o, e strings.Builder
	code = Main(ctx, append([]string{"dme", "check", "--config", file}, args...), []string{"TOKEN=" + token}, &o, &e)
	return code, o.String(), e.String()
}

func TestDMECheck(t *testing.T) {
	t.Parallel()
	code, out, errOut := checkDME(t, "", "", "dermatologie")
	if code != ExitOK || strings.Contains(out, " failed  ") || !strings.Contains(out, "  ok       read slots") || !strings.Contains(out, " 0 failed, ") {
		t.Errorf("a good one: exit %d\n%s%s", code, out, errOut)
	}
	code, out, errOut = checkDME(t, "", "not-the-token", "dermatologie")
	if code != ExitFailure || !strings.Contains(out, "  failed   sign in") || !strings.Contains(out, "  skipped  read slots") || !strings.Contains(errOut, "failed 1 step") {
		t.Errorf("a wrong token: exit %d\n%s%s", code, out, errOut)
	}
	if strings.Contains(out+errOut, "not-the-token") {
		t.Error("the token is in the report")
	}
}

func TestDMECheckAsJSON(t *testing.T) {
	t.Parallel()
	code, out, _ := checkDME(t, "", "not-the-token", "dermatologie", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var step struct {
		Clinic, Step, Sentence string
		Verdict                engine.Verdict
	}
	var end struct {
		Result        engine.Verdict
		Steps, Failed int
	}
	if err := json.Unmarshal([]byte(lines[1]), &step); err != nil || step.Step != "sign in" || step.Verdict != engine.CheckFailed || step.Sentence == "" || step.Clinic != "dermatologie" {
		t.Errorf("the second step: %v %+v", err, step)
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil || end.Result != engine.CheckFailed || end.Failed != 1 || end.Steps != len(lines)-1 || code != ExitFailure {
		t.Errorf("the end: %v %+v, exit %d", err, end, code)
	}
}

func TestDMECheckOfNobody(t *testing.T) {
	t.Parallel()
	if code, _, errOut := checkDME(t, "", "", "nobody"); code != ExitUsage || !strings.Contains(errOut, `no clinic "nobody"; it has dermatologie`) {
		t.Errorf("exit %d: %s", code, errOut)
	}
	var o, e strings.Builder
	if code := Main(t.Context(), []string{"dme", "check", "x"}, nil, &o, &e); code != ExitUsage || !strings.Contains(e.String(), "--config") {
		t.Errorf("exit %d: %s", code, e.String())
	}
	if code := Main(t.Context(), []string{"dme", "check", "--help"}, nil, &o, &e); code != ExitOK || !strings.Contains(o.String(), "--dry-run-booking") || !strings.Contains(o.String(), "Exit codes: 0 when no step failed") {
		t.Errorf("help: exit %d\n%s", code, o.String())
	}
}
