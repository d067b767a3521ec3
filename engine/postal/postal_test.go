package postal

import (
	"strings"
	"testing"

	"relais/engine"
	"relais/engine/match"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	for code, near := range map[string]engine.Point{
		"H2X 1Y4":      {Lat: 45.515, Lon: -73.57}, // Montreal, Plateau
		"h2x1y4":       {Lat: 45.515, Lon: -73.57},
		"G1R-4P5":      {Lat: 46.81, Lon: -71.21}, // Quebec, the old town
		"G7H":          {Lat: 48.43, Lon: -71.06}, // Saguenay
		"J8X\u00a01A1": {Lat: 45.43, Lon: -75.73}, // Gatineau
		"V6B 1A1":      {Lat: 49.28, Lon: -123.11},
		" a1a 1a1 ":    {Lat: 47.57, Lon: -52.72},
	} {
		p, ok := Locate(code)
		if !ok || match.Kilometres(p, near) > 5 {
			t.Errorf("Locate(%q) = %v, %v; want near %v", code, p, ok, near)
		}
	}
	for _, code := range []string{"", "H", "H2", "H2X1", "H2X 1Y", "12345", "H2X 1Y44", "HHX 1Y4", "Z9Z 9Z9", "é2X"} {
		if p, ok := Locate(code); ok {
			t.Errorf("Locate(%q) = %v; want none", code, p)
		}
	}
}

// TestEveryLine holds the table to what Locate relies on.
func TestEveryLine(t *testing.T) {
	t.Parallel()
	if len(areas)%lineLen != 0 {
		t.Fatalf("%d bytes are not lines of %d", len(areas), lineLen)
	}
	last := ""
	for line := range strings.Lines(areas) {
		code := line[:codeLen]
		p, ok := Locate(code)
		if !ok || code <= last || p.Lat < 41 || p.Lat > 84 || p.Lon < -142 || p.Lon > -52 {
			t.Errorf("%q: %v, %v", line, p, ok)
		}
		last = code
	}
}
