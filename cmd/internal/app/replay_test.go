package app

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"relais/engine"
	"relais/engine/desk"
)

// A run of the program leaves a past that can be played under another policy, by anybody who has the
// configuration, once the program is stopped; and nobody is named.
func TestReplayOfARun(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := demo(t, dir, nil, "--wave-every", "1h")
	p.healthy("dermatologie")
	one := browse(t, p, "dermatologie")
	one.read()
	_, card, who := p.open("dermatologie", engine.SMS, 1)
	p.text(who[0].ID, "OUI")
	one.sees(string(card.ID), desk.Confirmed)
	var names []string
	for _, thread := range p.state().Threads {
		names = append(names, thread.Name, thread.ID)
	}

	file := filepath.Join(t.TempDir(), "relais.yaml")
	text := "addr: localhost:0\npublic_url: http://localhost:8080\ndata: " + filepath.Join(dir, "store") +
		"\nkey_file: " + filepath.Join(dir, "relais.key") + `
clinics:
  - id: dermatologie
    name: Here
    address: 1, rue Ici
    phone: "+15145550110"
    mode: shadow
    policy: {strategy: waves, size: 3, every: 1h, hours: 00:00-24:00, week_cap: 50, far_cap: 50}
    practitioners: [{id: roy, name: Dre Roy, specialty: dermatology}]
    places: [{id: parc, name: Parc, address: Parc, lat: 45.5222, lon: -73.5897}]
    dme: {fhir: {base_url: http://localhost:9/fhir}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		t.Helper()
		var out strings.Builder
		code := Main(context.Background(), append([]string{"replay", "dermatologie", "--config", file, "--policy", "blast"}, args...), nil, &out, &out)
		for _, name := range names {
			if name != "" && strings.Contains(out.String(), name) {
				t.Error("the report names somebody")
			}
		}
		return code, out.String()
	}
	if code, out := run(); code != ExitFailure || !strings.Contains(out, "stop it first, or copy") {
		t.Errorf("while the program runs: exit %d, %s", code, out)
	}
	p.stop()
	code, out := run()
	for _, want := range []string{"What this cannot know", "what happened", "its own policy, again", "blast", "Available: its store has ", "People's own hours"} {
		if code != ExitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in:\n%s", code, want, out)
		}
	}
	var got struct {
		Openings, Available int
		Lines               []replayed
		Unknown             []string
	}
	code, out = run("--json", "--draws", "10")
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != ExitOK {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if got.Openings < 1 || got.Available < got.Openings || len(got.Lines) != 3 || len(got.Unknown) < 8 {
		t.Fatalf("%+v", got)
	}
	happened, again, blast := got.Lines[0], got.Lines[1], got.Lines[2]
	if happened.Fill <= 0 || happened.OffersPerFill < 1 || again.Fill < happened.Fill-1e-9 {
		t.Errorf("it happened %+v, and again %+v", happened, again)
	}
	if blast.OffersPerFill <= 2*happened.OffersPerFill || blast.Policy == nil {
		t.Errorf("blast asks everybody: %+v", blast)
	}
	if again := func() string { _, out := run("--json", "--draws", "10"); return out }(); again != out {
		t.Error("the same seed gives another report")
	}
	for flag, say := range map[string]string{"--from=2026-3-1": "write a day as", "--to=2001-01-01": "no opening to play", "--draws=1": "from 2 to"} {
		if code, out := run(flag); code == ExitOK || !strings.Contains(out, say) {
			t.Errorf("%s: exit %d, %s", flag, code, out)
		}
	}
}
