package availability

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"relais/engine"
)

func win(days uint8, from, until int) engine.Window {
	return engine.Window{Days: days, From: from, Until: until}
}

const (
	sun = 1 << iota
	mon
	tue
	wed
	thu
	fri
	sat
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []engine.Window
	}{
		{"", nil},
		{"tous les jours", nil},
		{"anytime", nil},
		{"mardi matin", []engine.Window{win(tue, 0, 720)}},
		{"Le mardi, en matinée", []engine.Window{win(tue, 0, 720)}},
		{"mardi avant-midi", []engine.Window{win(tue, 0, 720)}},
		{"mardi et jeudi matin", []engine.Window{win(tue|thu, 0, 720)}},
		{"mardi matin et jeudi soir", []engine.Window{win(tue, 0, 720), win(thu, 1020, 1440)}},
		{"mardi matin ou après-midi", []engine.Window{win(tue, 0, 1080)}},
		{"mardi matin et soir", []engine.Window{win(tue, 0, 720), win(tue, 1020, 1440)}},
		{"lundi au jeudi après 15 h", []engine.Window{win(mon|tue|wed|thu, 900, 1440)}},
		{"lun-ven avant 10h30", []engine.Window{win(weekdays, 0, 630)}},
		{"en semaine sauf le vendredi", []engine.Window{win(mon|tue|wed|thu, 0, 1440)}},
		{"en semaine, sauf vendredi; samedi matin", []engine.Window{win(sat, 0, 720), win(mon|tue|wed|thu, 0, 1440)}},
		{"fin de semaine", []engine.Window{win(weekend, 0, 1440)}},
		{"la fin de semaine l’après-midi", []engine.Window{win(weekend, 720, 1080)}},
		{"jours ouvrables de 9 h à 11 h", []engine.Window{win(weekdays, 540, 660)}},
		{"entre 13 h et 15 h 30 le lundi", []engine.Window{win(mon, 780, 930)}},
		{"le soir", []engine.Window{win(everyDay, 1020, 1440)}},
		{"vendredi au lundi", []engine.Window{win(fri|sat|sun|mon, 0, 1440)}},
		{"Je suis disponible le jeudi", []engine.Window{win(thu, 0, 1440)}},
		{"MERCREDI APRES-MIDI", []engine.Window{win(wed, 720, 1080)}},
		{"après midi", []engine.Window{win(everyDay, 720, 1080)}},
		{"Tuesday mornings", []engine.Window{win(tue, 0, 720)}},
		{"weekdays except Friday before 10", []engine.Window{win(mon|tue|wed|thu, 0, 600)}},
		{"Mon, Wed and Fri after 3:30 pm", []engine.Window{win(mon|wed|fri, 930, 1440)}},
		{"Saturday 9-11am", []engine.Window{win(sat, 540, 660)}},
		{"Saturday 9 to 5", []engine.Window{win(sat, 540, 1020)}},
		{"Monday to Friday from 8 to noon", []engine.Window{win(weekdays, 480, 720)}},
		{"any day but Sunday", []engine.Window{win(everyDay&^sun, 0, 1440)}},
	} {
		got, err := Parse(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, d)
		}
	}
}

func TestCannotRead(t *testing.T) {
	t.Parallel()
	for text, word := range map[string]string{
		"quand il pleut":              "quand",
		"mardi après":                 "après",
		"mardi 9 h":                   "9",
		"mardi à 25 h":                "à",
		"entre 9 h":                   "entre",
		"mardi 11 h à 10 h 99":        "99",
		"sauf":                        "days",
		"lundi sauf lundi":            "no day",
		"sauf le matin":               "matin",
		strings.Repeat("mardi ", 100): "longer",
	} {
		got, err := Parse(text)
		if err == nil || engine.CodeOf(err) != engine.Invalid || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, %v; want an error with %q", text, got, err, word)
		}
	}
}

// TestSaidBack: what Describe says, Parse reads as the same.
func TestSaidBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		windows := merge(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) engine.Window {
			from := rapid.IntRange(0, 47).Draw(t, "from") * 30
			return win(uint8(rapid.IntRange(1, everyDay).Draw(t, "days")), from, from+30*rapid.IntRange(1, 48-from/30).Draw(t, "long"))
		}), 0, 4).Draw(t, "windows"))
		for _, lang := range []engine.Lang{engine.French, engine.English} {
			text := Describe(windows, lang)
			got, err := Parse(text)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if d := cmp.Diff(windows, got); d != "" {
				t.Fatalf("%q (-want +got):\n%s", text, d)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"mardi matin", "lun-ven 9h-11h", "except", "9 to 5", "’l’", "12 am; .", "entre et"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		windows, err := Parse(text)
		if err != nil {
			return
		}
		for _, w := range windows {
			if w.Days == 0 || w.Days > everyDay || w.From < 0 || w.From >= w.Until || w.Until > dayEnd {
				t.Fatalf("%q: %+v", text, w)
			}
		}
		again, err := Parse(Describe(windows, engine.French))
		if err != nil || !cmp.Equal(windows, again) {
			t.Fatalf("%q: %v, then %v, %v", text, windows, again, err)
		}
	})
}
