package roster_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"relais/engine"
	"relais/engine/roster"
)

func clinic() roster.Clinic {
	return roster.Clinic{
		Lang:          engine.French,
		Practitioners: []engine.Practitioner{{ID: "roy", Name: "Dre Anne Roy", Specialty: "dermatology"}},
		Places:        []engine.Place{{ID: "main", Name: "Pavillon principal"}},
		Phone: func(s string) (engine.Phone, bool) {
			digits := strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return r
				}
				return -1
			}, s)
			return engine.Phone("+1" + digits), len(digits) == 10
		},
		Mail: func(s string) bool { return strings.Contains(s, "@") },
		Now:  time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC),
	}
}

const head = "dossier;nom;prénom;naissance;langue;téléphone;courriel;canaux;preuve;spécialité;professionnels;disponibilités;priorité;couleur\n"

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want roster.Fault // zero: it is a good line
	}{
		"good":            {line: "Patient/1;Roy;Anne;1950-02-03;fr;418 555-0101;;sms;formulaire;dermatology;Dre Anne Roy;mardi matin;1;bleu"},
		"no channels":     {line: "Patient/1;Roy;Anne;;;418 555-0101;a@b.example;;;Dermatology"},
		"no name":         {"Patient/1;;Anne;;;;;;;dermatology", roster.Fault{Column: roster.Family, Why: roster.Missing}},
		"no source":       {";Roy;Anne;;;;;;;dermatology", roster.Fault{Column: roster.Source, Why: roster.Missing}},
		"date":            {"Patient/1;Roy;Anne;03/02/1950;;;;;;dermatology", roster.Fault{Column: roster.Born, Why: roster.Invalid}},
		"born tomorrow":   {"Patient/1;Roy;Anne;2026-12-01;;;;;;dermatology", roster.Fault{Column: roster.Born, Why: roster.Invalid}},
		"language":        {"Patient/1;Roy;Anne;;de;;;;;dermatology", roster.Fault{Column: roster.Lang, Why: roster.Invalid}},
		"phone":           {"Patient/1;Roy;Anne;;;12;;;;dermatology", roster.Fault{Column: roster.Phone, Why: roster.Invalid}},
		"mail":            {"Patient/1;Roy;Anne;;;;nobody;;;dermatology", roster.Fault{Column: roster.Email, Why: roster.Invalid}},
		"channel":         {"Patient/1;Roy;Anne;;;;;fax;p;dermatology", roster.Fault{Column: roster.Channels, Why: roster.Invalid}},
		"channel no mail": {"Patient/1;Roy;Anne;;;;;courriel;p;dermatology", roster.Fault{Column: roster.Email, Why: roster.Missing}},
		"no proof":        {"Patient/1;Roy;Anne;;;418 555-0101;;sms;;dermatology", roster.Fault{Column: roster.Proof, Why: roster.Missing}},
		"specialty":       {"Patient/1;Roy;Anne;;;;;;;astrology", roster.Fault{Column: roster.Specialty, Why: roster.Unknown}},
		"practitioner":    {"Patient/1;Roy;Anne;;;;;;;dermatology;Dr No", roster.Fault{Column: roster.Practitioners, Why: roster.Unknown}},
		"availability":    {"Patient/1;Roy;Anne;;;;;;;dermatology;;quand il pleut", roster.Fault{Column: roster.Availability, Why: roster.Invalid}},
		"class":           {"Patient/1;Roy;Anne;;;;;;;dermatology;;;12", roster.Fault{Column: roster.Class, Why: roster.Invalid}},
		"too many cells":  {"Patient/1;Roy;Anne;;;;;;;dermatology;;;1;;;;x", roster.Fault{Why: roster.Shape}},
		"long":            {"Patient/1;" + strings.Repeat("R", 101) + ";Anne;;;;;;;dermatology", roster.Fault{Column: roster.Family, Why: roster.TooLong}},
		"quotes":          {`Patient/1;"Roy"x;Anne;;;;;;;dermatology`, roster.Fault{Why: roster.Shape}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := roster.Read([]byte(head + c.line + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			good, bad := roster.Check(s, clinic())
			if (c.want == roster.Fault{}) {
				if len(bad) > 0 || len(good) != 1 {
					t.Fatalf("a good line is refused: %+v", bad)
				}
				return
			}
			if len(bad) != 1 || len(bad[0].Faults) != 1 || bad[0].Faults[0] != c.want || bad[0].Number != 2 {
				t.Fatalf("got %+v %+v, want %+v", good, bad, c.want)
			}
		})
	}
}

func TestGoodLine(t *testing.T) {
	s, err := roster.Read([]byte("\ufeff" + head + "Patient/1;Roy;Anne;1950-02-03;anglais;(418) 555-0101;a@b.example;sms, courriel;formulaire;dermatology;roy;mardi matin;1;bleu\n\nPatient/1;Roy;Anne;;;;;;;dermatology\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Ignored) != 1 || s.Ignored[0] != "couleur" {
		t.Errorf("ignored: %v", s.Ignored)
	}
	good, bad := roster.Check(s, clinic())
	if len(good) != 1 || len(bad) != 1 || bad[0].Faults[0].Why != roster.Repeated {
		t.Fatalf("%+v %+v", good, bad)
	}
	p := good[0]
	if p.Lang != engine.English || len(p.Contacts) != 2 || p.Contacts[0].Phone != "+14185550101" || p.Contacts[1].Channel != engine.EmailMail ||
		len(p.Wish.Windows) != 1 || p.Wish.Practitioners[0] != "roy" || p.Wish.Class != 1 || !p.Said[roster.Class] || p.Said[roster.Notice] {
		t.Errorf("%+v", p)
	}
}

func TestReadsWindows1252AndTabs(t *testing.T) {
	file := []byte("source\tfamily\tgiven\tspecialty\nPatient/1\tC\xf4t\xe9\tZo\xeb \x93Z\x94\tdermatology\n")
	s, err := roster.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Lines[0].Cells; got[roster.Family] != "Côté" || got[roster.Given] != "Zoë “Z”" {
		t.Errorf("%v", got)
	}
}

func TestRefusesWhatHasNoLines(t *testing.T) {
	for name, file := range map[string]string{
		"empty": "", "no headings": "a;b\n1;2\n", "only headings": head, "twice": "nom;nom;dossier;prénom;spécialité\n",
		"too many": head + strings.Repeat("x;y;z\n", roster.MaxLines+1), "too large": head + strings.Repeat("x", roster.MaxBytes),
	} {
		if _, err := roster.Read([]byte(file)); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoCellIsAFormula(t *testing.T) {
	for _, cell := range []string{`=HYPERLINK("http://x")`, "+1 418", "-2", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1", "'quoted", "plain"} {
		for _, lang := range []engine.Lang{engine.French, engine.English} {
			var b bytes.Buffer
			if err := roster.Write(&b, lang, []map[roster.Column]string{{roster.Family: cell, roster.Given: "A", roster.Source: "1", roster.Specialty: "d"}}); err != nil {
				t.Fatal(err)
			}
			noFormula(t, b.Bytes(), lang)
			s, err := roster.Read(b.Bytes())
			if err != nil || s.Lines[0].Cells[roster.Family] != strings.TrimSpace(cell) {
				t.Errorf("%q came back as %v (%v)", cell, s.Lines, err)
			}
		}
	}
}

func noFormula(t *testing.T, file []byte, lang engine.Lang) {
	t.Helper()
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\ufeff"))))
	if lang != engine.English {
		r.Comma = ';'
	}
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if first, _ := utf8.DecodeRuneInString(cell); cell != "" && strings.ContainsRune("=+-@\t\r＝＋－＠", first) {
				t.Errorf("a spreadsheet would carry out %q", cell)
			}
		}
	}
}

// FuzzRead holds that no file makes it panic, that line numbers rise, that limits hold, and that what can be
// read can be written and read again without a formula.
func FuzzRead(f *testing.F) {
	f.Add([]byte(head + "Patient/1;Roy;Anne;1950-02-03;fr;418 555-0101;;sms;formulaire;dermatology;Dre Anne Roy;mardi matin;1;bleu\n"))
	f.Add([]byte("source,family,given,specialty\n\"=1\",\"a\"\"b\",'+x,dermatology\n"))
	f.Add([]byte("source\tfamily\tgiven\tspecialty\n\xf4\t\x93\t\x00\td\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := roster.Read(data)
		if err != nil {
			if engine.CodeOf(err) != engine.Invalid {
				t.Fatal(err)
			}
			return
		}
		last := 1
		var out []map[roster.Column]string
		for _, l := range s.Lines {
			if l.Number <= last {
				t.Fatalf("line %d after line %d", l.Number, last)
			}
			last = l.Number
			out = append(out, l.Cells)
		}
		good, bad := roster.Check(s, clinic())
		if len(good)+len(bad) != len(s.Lines) {
			t.Fatalf("%d lines became %d and %d", len(s.Lines), len(good), len(bad))
		}
		var b bytes.Buffer
		if err := roster.Write(&b, engine.English, out); err != nil {
			t.Fatal(err)
		}
		noFormula(t, b.Bytes(), engine.English)
	})
}
