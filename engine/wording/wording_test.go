package wording_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"relais/engine"
	"relais/engine/wording"
)

var update = flag.Bool("update", false, "write the golden file again")

func montreal(t *testing.T) *time.Location {
	t.Helper()
	z, err := time.LoadLocation("America/Toronto")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func facts(t *testing.T) wording.Facts {
	t.Helper()
	z := montreal(t)
	return wording.Facts{
		Clinic: "Clinique de dermatologie Rosemont", Address: "3095, rue Beaubien Est, Montréal", Phone: "514 555-0142",
		Start: time.Date(2026, 11, 24, 9, 20, 0, 0, z), Deadline: time.Date(2026, 11, 24, 8, 50, 0, 0, z), Zone: z,
		Code: "482913", Page: "https://relais.example/p/p-k3j5n7q2w4e6r8t1Zk3v8nQmT1yWc0aLxR5uGA",
		Link: "https://relais.example/o/Zk3v8nQmT1yWc0aLxR5uGA", Leave: "https://relais.example/o/Zk3v8nQmT1yWc0aLxR5uGA/leave",
	}
}

var (
	kinds = []engine.MessageKind{
		engine.MsgOffer, engine.MsgReminder, engine.MsgFinalising, engine.MsgBooked,
		engine.MsgRefused, engine.MsgTaken, engine.MsgWithdrawn, engine.MsgEnded,
		engine.MsgJoin, engine.MsgWelcome, engine.MsgLink, engine.MsgStill,
	}
	// written are the kinds that nobody is called about.
	written = map[engine.MessageKind]bool{engine.MsgJoin: true, engine.MsgWelcome: true, engine.MsgLink: true, engine.MsgStill: true}
	answers = []engine.AnswerKind{
		engine.AnsBooked, engine.AnsFinalising, engine.AnsTaken, engine.AnsExpired, engine.AnsWithdrawn, engine.AnsDeclined,
		engine.AnsStopped, engine.AnsStarted, engine.AnsHelp, engine.AnsUnclear, engine.AnsNone, engine.AnsPaused, engine.AnsRefused,
		engine.AnsConsented, engine.AnsRefusedConsent, engine.AnsJoined, engine.AnsNotJoined, engine.AnsStays, engine.AnsLeaves,
	}
	langs    = []engine.Lang{engine.French, engine.English}
	channels = []engine.Channel{engine.SMS, engine.Voice, engine.EmailMail}
)

// Names as clinics of Quebec have them, from short to unreasonable.
var clinics = []string{
	"CLSC", "GMF Laval", "Clinique Sacré-Cœur", "Hôpital de l’Enfant-Jésus", "Clinique médicale Côte-des-Neiges",
	"GMF-U de Saint-Hyacinthe", "Groupe de médecine familiale universitaire de Trois-Rivières",
	"Centre intégré universitaire de santé et de services sociaux du Centre-Sud-de-l’Île-de-Montréal",
	"Clinique dentaire Bégin & Associés", "Centre médical L’Hêtrière", "Santé Ô Naturel", "Clinique Pédiatrique Élan",
	"CUSM – Hôpital général de Montréal", "CLSC de Forestville", "GMF du Cœur-de-l’Île", "Clinique médicale « Le Phare »",
	"Centre hospitalier de l’Université de Montréal (CHUM)", "Polyclinique Pierre-Le Gardeur", "GMF-R Haïti-Montréal",
	"Clinique Physio Plus+ Saint-Jérôme", "Hôtel-Dieu de Lévis", "Centre de santé Tulattavik de l’Ungava",
	"Clinique de l’Œil du Saguenay–Lac-Saint-Jean", "Clinique Nuñez et Müller", "GMF Les Grès", "Clinique familiale des Prairies",
	"Coopérative de solidarité santé de Sainte-Anne-de-la-Pérade", "Clinique d’Évaluation 24/7", "Maison de santé Prévost",
	"Centre local de services communautaires Naskapi de Kawawachikamach",
}

func TestEveryMessageInEveryLanguage(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	f := facts(t)
	for _, lang := range langs {
		for _, kind := range kinds {
			for _, ch := range channels {
				m := wording.Message(kind, ch, lang, f)
				fmt.Fprintf(&b, "== %s %s %s\n", lang, kind, ch)
				for _, part := range []string{m.Subject, m.Text, m.HTML} {
					if part != "" {
						b.WriteString(part + "\n")
					}
				}
				if m.Say != nil {
					fmt.Fprintf(&b, "%s\n(voicemail) %s\n(end) %s\n", m.Say.Prompt, m.Say.Voicemail, m.Say.Goodbye)
				}
			}
		}
		for _, kind := range answers {
			fmt.Fprintf(&b, "== %s answer %s\n%s\n%s\n", lang, kind,
				wording.Answer(kind, engine.SMS, lang, f), wording.Answer(kind, engine.Voice, lang, f))
		}
		fmt.Fprintf(&b, "== %s choose\n%s\n", lang, wording.Choose(lang, []wording.Facts{f, f}, false))
		fmt.Fprintf(&b, "== %s leave\n%s\n", lang, wording.Choose(lang, []wording.Facts{f, f}, true))
	}
	const golden = "testdata/golden.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("texts changed; if on purpose, run go test ./engine/wording -update\n%s", d)
	}
	if strings.Contains(b.String(), "%!") {
		t.Error("a text was written with the wrong arguments")
	}
}

func TestSMSIsOneGSMSegmentForEveryClinicAndDay(t *testing.T) {
	t.Parallel()
	f := facts(t)
	for _, clinic := range clinics {
		f.Clinic = clinic
		for day := 0; day < 380; day += 3 { // every weekday of every month
			f.Start = time.Date(2026, 1, 1+day, 14, 40, 0, 0, f.Zone)
			for _, lang := range langs {
				for _, kind := range kinds {
					m := wording.Message(kind, engine.SMS, lang, f)
					if n, ucs2 := wording.Segments(m.Text); n != 1 || ucs2 {
						t.Fatalf("%s %s is %d segments, UCS-2 %v: %q", lang, kind, n, ucs2, m.Text)
					}
					if strings.Contains(m.Text, "?") && !strings.Contains(m.Text, "NON?") && !written[kind] {
						t.Fatalf("a character was lost: %q", m.Text)
					}
				}
			}
		}
		for _, lang := range langs {
			for _, kind := range answers {
				text := wording.Answer(kind, engine.SMS, lang, f)
				if n, ucs2 := wording.Segments(text); n != 1 || ucs2 {
					t.Errorf("%s answer %s is %d segments, UCS-2 %v: %q", lang, kind, n, ucs2, text)
				}
			}
		}
	}
}

func TestOffersSayWhoWhenHowToAnswerAndHowToStop(t *testing.T) {
	t.Parallel()
	f := facts(t)
	for lang, want := range map[engine.Lang][]string{
		engine.French:  {"Clinique de dermatologie Rosemont", "mardi 24 novembre", "9 h 20", "OUI", "NON", "ARRET"},
		engine.English: {"Clinique de dermatologie Rosemont", "Tuesday, November 24", "9:20 a.m.", "1", "2", "STOP"},
	} {
		text := wording.Message(engine.MsgOffer, engine.SMS, lang, f).Text
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is missing in %q", lang, w, text)
			}
		}
	}
	for _, own := range []engine.Wording{nil, {"offer": {engine.French: {"voice": "Ici {clinic}, {when}: 1 ou 2."}, engine.English: {"voice": "{clinic}, {when}: 1 or 2."}}}} {
		f.Own = own
		for lang, want := range map[engine.Lang][2]string{
			engine.French: {"faites le 8", "press 3"}, engine.English: {"press 8", "faites le 3"},
		} {
			say := wording.Message(engine.MsgOffer, engine.Voice, lang, f).Say
			if !strings.Contains(say.Stop, want[0]) || !strings.Contains(say.Other, want[1]) {
				t.Errorf("%s: a call does not say how to stop or to change the language: %+v", lang, say)
			}
			if say = wording.Message(engine.MsgEnded, engine.Voice, lang, f).Say; say.Stop != "" {
				t.Errorf("%s: a call that asks nothing names a key: %+v", lang, say)
			}
		}
	}
}

func TestNothingPrivateIsSaid(t *testing.T) {
	t.Parallel()
	f := facts(t)
	f.Clinic, f.Doctor = "Clinique Rosemont", "Dre Gagnon"
	private := regexp.MustCompile(`(?i)gagnon|dermato|spécialit|special(ty|ties)|raison|reason|\b(type|tapez|reply|répondez) (yes|cancel|end)\b`)
	for _, lang := range langs {
		for _, kind := range kinds {
			for _, ch := range channels {
				m := wording.Message(kind, ch, lang, f)
				texts := []string{m.Subject, m.Text, m.HTML}
				if m.Say != nil {
					texts = append(texts, m.Say.Prompt, m.Say.Voicemail)
				}
				for _, text := range texts {
					if found := private.FindString(text); found != "" {
						t.Errorf("%s %s %s says %q", lang, kind, ch, found)
					}
				}
			}
		}
	}
}

// TestUnknownFactsLeaveNoHoles: a clinic may have no public number or address.
func TestUnknownFactsLeaveNoHoles(t *testing.T) {
	t.Parallel()
	f := facts(t)
	f.Address, f.Phone, f.Link, f.Leave = "", "", "", ""
	hole := regexp.MustCompile(`  | \.|: *$|\. \.|\b(au|at|Tél\.|Call) ?\.?$|<br><br>|<br></p>`)
	for _, lang := range langs {
		for _, kind := range kinds {
			for _, ch := range []engine.Channel{engine.SMS, engine.Voice} {
				m := wording.Message(kind, ch, lang, f)
				texts := []string{m.Text}
				if m.Say != nil {
					texts = []string{m.Say.Prompt, m.Say.Voicemail, m.Say.Goodbye}
				}
				for _, text := range texts {
					if text == "" && ch == engine.Voice && written[kind] {
						continue
					}
					if text == "" || hole.MatchString(text) {
						t.Errorf("%s %s %s: %q", lang, kind, ch, text)
					}
				}
			}
		}
		m := wording.Message(engine.MsgBooked, engine.EmailMail, lang, f)
		if hole.MatchString(m.HTML) || strings.HasSuffix(m.Text, "\n\n") {
			t.Errorf("%s: %q, %q", lang, m.Text, m.HTML)
		}
		for _, kind := range answers {
			if text := wording.Answer(kind, engine.SMS, lang, wording.Facts{}); text == "" || hole.MatchString(text) {
				t.Errorf("%s answer %s: %q", lang, kind, text)
			}
		}
	}
}

// TestLinkGoesFirst: the link is in the text whenever it fits, and nothing else gives way to it.
func TestLinkGoesFirst(t *testing.T) {
	t.Parallel()
	f := facts(t)
	f.Link = "https://rdv.example/o/Zk3v8nQmT1yWc0aLxR5uGA"
	for name, linked := range map[string]bool{"CLSC": true, "Groupe de médecine familiale universitaire de Trois-Rivières": false} {
		f.Clinic = name
		text := wording.Message(engine.MsgOffer, engine.SMS, engine.French, f).Text
		if strings.Contains(text, f.Link) != linked || !strings.Contains(text, "ARRET") || !strings.Contains(text, "NON") {
			t.Errorf("%q", text)
		}
	}
}

func TestVoicemailOnlyAsksToCallBack(t *testing.T) {
	t.Parallel()
	f := facts(t)
	for _, lang := range langs {
		s := wording.Message(engine.MsgOffer, engine.Voice, lang, f).Say
		if !strings.Contains(s.Voicemail, f.Phone) || strings.Contains(s.Voicemail, "24") {
			t.Errorf("%s voicemail: %q", lang, s.Voicemail)
		}
	}
}

func TestMailEscapes(t *testing.T) {
	t.Parallel()
	f := facts(t)
	f.Clinic = `<script>alert("x")</script>`
	for _, kind := range kinds {
		if m := wording.Message(kind, engine.EmailMail, engine.French, f); strings.Contains(m.HTML, "<script") {
			t.Errorf("%s: HTML from a clinic's name", kind)
		}
	}
}

func TestDay(t *testing.T) {
	t.Parallel()
	z := montreal(t)
	for _, c := range []struct {
		at     time.Time
		fr, en string
	}{
		{time.Date(2026, 11, 24, 9, 20, 0, 0, z), "mardi 24 novembre à 9\u00a0h\u00a020", "Tuesday, November 24 at 9:20 a.m."},
		{time.Date(2026, 8, 1, 14, 0, 0, 0, z), "samedi 1er août à 14\u00a0h", "Saturday, August 1 at 2:00 p.m."},
		{time.Date(2026, 2, 28, 0, 5, 0, 0, z), "samedi 28 février à 0\u00a0h\u00a005", "Saturday, February 28 at 12:05 a.m."},
	} {
		if got := wording.Day(c.at.UTC(), z, engine.French); got != c.fr {
			t.Errorf("got %q, want %q", got, c.fr)
		}
		if got := wording.Day(c.at.UTC(), z, engine.English); got != c.en {
			t.Errorf("got %q, want %q", got, c.en)
		}
	}
}

func TestSegments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		ucs2 bool
	}{
		{"", 1, false},
		{strings.Repeat("é", 160), 1, false},
		{strings.Repeat("é", 161), 2, false},
		{strings.Repeat("€", 80), 1, false}, // two places each
		{strings.Repeat("€", 81), 2, false},
		{strings.Repeat("ê", 70), 1, true},
		{strings.Repeat("ê", 71), 2, true},
		{strings.Repeat("ê", 134), 2, true},
		{strings.Repeat("ê", 135), 3, true},
		{strings.Repeat("🙂", 35), 1, true}, // a surrogate pair each
		{strings.Repeat("🙂", 36), 2, true},
		{strings.Repeat("a", 152) + "€" + strings.Repeat("a", 151), 2, false}, // the € does not lie across
		{strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), 3, false},
		{strings.Repeat("ê", 66) + "🙂" + strings.Repeat("ê", 66), 3, true},
		{strings.Repeat("a", 306), 2, false},
		{strings.Repeat("a", 307), 3, false},
	} {
		if n, ucs2 := wording.Segments(c.text); n != c.n || ucs2 != c.ucs2 {
			t.Errorf("Segments of %d bytes = %d, %v; want %d, %v", len(c.text), n, ucs2, c.n, c.ucs2)
		}
	}
}
