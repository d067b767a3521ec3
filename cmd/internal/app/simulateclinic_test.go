package app

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"relais/engine/simulate"
)

// An operator who copies the example starts from what docs/policy.md shows.
func TestClinicExampleIsTheStandardOne(t *testing.T) {
	t.Parallel()
	got, err := loadClinic(filepath.Join(top, "deploy", "clinic.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, simulate.StandardClinic()) {
		t.Errorf("got %+v, want %+v", got, simulate.StandardClinic())
	}
}

func TestSimulateAClinic(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clinic.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (int, string) {
		var out strings.Builder
		code := Main(context.Background(), append([]string{"simulate", "--clinic", file, "--policy", "waves-3-10", "--replications", "2"}, args...), nil, &out, &out)
		return code, out.String()
	}
	write("days: 5\nwarm: 1\npeople: 60\ncancelled: 3\n")
	code, text := run()
	for _, want := range []string{"A clinic over 5 days, 2 runs", "waves-3-10: who is asked", "language  fr", "age       65-100", "distance  15-40 km"} {
		if code != ExitOK || !strings.Contains(text, want) {
			t.Errorf("exit %d, no %q in:\n%s", code, want, text)
		}
	}
	var got struct {
		Runs     int
		Policies []clinicLine
	}
	code, text = run("--json")
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != ExitOK {
		t.Fatalf("exit %d, %v: %s", code, err, text)
	}
	if got.Runs != 2 || len(got.Policies) != 1 || got.Policies[0].Openings == 0 || len(got.Policies[0].Groups) != 9 {
		t.Errorf("%+v", got)
	}
	for text, say := range map[string]string{
		"people: 0\n": "people", "fatigue: 2\n": "shares must be", "fatigues: .1\n": "fatigue", "leads: [{from: 2h, until: 24h, share: .5}]\n": "add up to 1",
	} {
		write(text)
		if code, out := run(); code != ExitUsage || !strings.Contains(out, say) {
			t.Errorf("%q: exit %d, %s", text, code, out)
		}
	}
	if code, out := run("--cells"); code != ExitUsage || !strings.Contains(out, "goes with neither") {
		t.Errorf("exit %d, %s", code, out)
	}
}
