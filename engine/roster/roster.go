// Package roster reads and writes a waitlist as comma-separated values, as spreadsheets save them.
//
// Read takes UTF-8 (with or without its mark) and Windows-1252, commas, semicolons and tabs, and headings in
// French or English. It never fails on a single line: what is wrong with one is said of it. Write gives what
// Read takes, and no cell that a spreadsheet would carry out as a formula.
package roster

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"relais/engine"
)

// Column is one thing that a line says. The list is closed.
type Column string

// The columns, in the order in which they are written.
const (
	Source        Column = "source"
	Family        Column = "family"
	Given         Column = "given"
	Born          Column = "born"
	Lang          Column = "lang"
	Phone         Column = "phone"
	Email         Column = "email"
	Channels      Column = "channels"
	Proof         Column = "proof"
	Specialty     Column = "specialty"
	Practitioners Column = "practitioners"
	Places        Column = "places"
	Availability  Column = "availability"
	PostalCode    Column = "postal_code"
	Radius        Column = "radius_km"
	Notice        Column = "notice_minutes"
	Class         Column = "class"
	Joined        Column = "joined"
	Note          Column = "note"
	Status        Column = "status" // written, not read
)

// Columns are all of them.
var Columns = []Column{
	Source, Family, Given, Born, Lang, Phone, Email, Channels, Proof, Specialty, Practitioners, Places, Availability,
	PostalCode, Radius, Notice, Class, Joined, Note, Status,
}

// needed are the columns without which no line can be read.
var needed = []Column{Source, Family, Given, Specialty}

// french are the headings in French; in English they are the columns' own names.
var french = map[Column]string{
	Source: "dossier", Family: "nom", Given: "prénom", Born: "naissance", Lang: "langue", Phone: "téléphone", Email: "courriel",
	Channels: "canaux", Proof: "preuve", Specialty: "spécialité", Practitioners: "professionnels", Places: "lieux",
	Availability: "disponibilités", PostalCode: "code postal", Radius: "distance km", Notice: "préavis min", Class: "priorité",
	Joined: "inscription", Note: "note", Status: "état",
}

// Heading is what a column is called.
func Heading(c Column, lang engine.Lang) string {
	if lang == engine.English {
		return string(c)
	}
	return french[c]
}

// Limits of what is read.
const (
	MaxBytes = 2 << 20
	MaxLines = 5000
	maxCell  = 2000 // bytes
)

// Line is one line of the file below the headings.
type Line struct {
	Number int // in the file, from 1, as an editor counts records
	Cells  map[Column]string
	Faults []Fault
}

// Fault is one thing that is wrong with a line.
type Fault struct {
	Column Column // "": the whole line
	Why    Why
}

// Why is what is wrong. The list is closed.
type Why string

// The reasons.
const (
	Missing  Why = "missing"  // the cell is empty and must not be
	TooLong  Why = "too_long" // more than the field holds
	Invalid  Why = "invalid"  // it is not what the column holds
	Unknown  Why = "unknown"  // the clinic has no such thing
	Shape    Why = "shape"    // the line has more cells than there are headings, or its quotes do not close
	Repeated Why = "repeated" // an earlier line says the same of the same person
)

// Sheet is what was read.
type Sheet struct {
	Lines   []Line
	Ignored []string // headings that are no column of ours
}

// Read reads a file. It fails with engine.Invalid when no line can be read at all.
func Read(data []byte) (Sheet, error) {
	if len(data) > MaxBytes {
		return Sheet{}, engine.Errorf(engine.Invalid, "the file has more than %d MiB; split it", MaxBytes>>20)
	}
	text := decode(data)
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = separator(text), -1, true
	head, err := r.Read()
	if err != nil {
		return Sheet{}, engine.Errorf(engine.Invalid, "the file is empty, or its first line is no list of headings")
	}
	var s Sheet
	columns := make([]Column, len(head))
	for i, h := range head {
		c, ok := columnOf(h)
		switch {
		case !ok:
			if h = strings.TrimSpace(h); h != "" && len(s.Ignored) < 50 {
				s.Ignored = append(s.Ignored, cut(h, 80))
			}
		case slices.Contains(columns[:i], c):
			return s, engine.Errorf(engine.Invalid, "the heading %q stands there twice", Heading(c, engine.English))
		default:
			columns[i] = c
		}
	}
	for _, c := range needed {
		if !slices.Contains(columns, c) {
			return s, engine.Errorf(engine.Invalid, "the heading %q (%s) is missing in the first line", Heading(c, engine.French), Heading(c, engine.English))
		}
	}
	for number := 2; ; number++ {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if len(s.Lines) >= MaxLines {
			return s, engine.Errorf(engine.Invalid, "the file has more than %d lines; split it", MaxLines)
		}
		line := Line{Number: number, Cells: map[Column]string{}}
		if err != nil {
			line.Faults = append(line.Faults, Fault{Why: Shape})
			s.Lines = append(s.Lines, line)
			continue
		}
		if !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
			continue
		}
		line.fill(columns, cells)
		s.Lines = append(s.Lines, line)
	}
	if len(s.Lines) == 0 {
		return s, engine.Errorf(engine.Invalid, "there is nothing below the headings")
	}
	return s, nil
}

func (l *Line) fill(columns []Column, cells []string) {
	for i, cell := range cells {
		cell = unguard(strings.TrimSpace(cell))
		if i >= len(columns) {
			if cell != "" {
				l.Faults = append(l.Faults, Fault{Why: Shape})
				return
			}
			continue
		}
		if columns[i] == "" || columns[i] == Status || cell == "" {
			continue
		}
		if len(cell) > maxCell {
			l.Faults = append(l.Faults, Fault{columns[i], TooLong})
			continue
		}
		l.Cells[columns[i]] = cell
	}
}

// columnOf finds a column by its heading, whatever its case and accents.
func columnOf(heading string) (Column, bool) {
	h := fold(heading)
	for _, c := range Columns {
		if h == fold(string(c)) || h == fold(french[c]) {
			return c, true
		}
	}
	return "", false
}

var letters = strings.NewReplacer("é", "e", "è", "e", "ê", "e", "à", "a", "_", " ", "-", " ", "\u00a0", " ")

func fold(s string) string {
	return strings.Join(strings.Fields(letters.Replace(strings.ToLower(s))), " ")
}

// separator is the sign that stands between the headings.
func separator(text string) rune {
	first, _, _ := strings.Cut(text, "\n")
	best, most := ',', strings.Count(first, ",")
	for _, r := range ";\t" {
		if n := strings.Count(first, string(r)); n > most {
			best, most = r, n
		}
	}
	return best
}

// decode reads UTF-8, and Windows-1252 where it is none: what spreadsheets save on older systems.
func decode(data []byte) string {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if utf8.Valid(data) {
		return string(data)
	}
	var b strings.Builder
	b.Grow(len(data) + len(data)/8)
	for _, c := range data {
		if c >= 0x80 && c < 0xa0 {
			b.WriteRune(windows1252[c-0x80])
		} else {
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}

// windows1252 are the characters from 0x80 to 0x9f; the others are those of Unicode.
var windows1252 = [32]rune{
	'€', '\ufffd', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\ufffd', 'Ž', '\ufffd',
	'\ufffd', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\ufffd', 'ž', 'Ÿ',
}

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

// Write writes lines with their headings. French files have semicolons, which spreadsheets in French
// expect; all begin with the mark of UTF-8.
func Write(out io.Writer, lang engine.Lang, lines []map[Column]string) error {
	if _, err := io.WriteString(out, "\ufeff"); err != nil {
		return err
	}
	w := csv.NewWriter(out)
	w.UseCRLF = true
	if lang != engine.English {
		w.Comma = ';'
	}
	row := make([]string, len(Columns))
	for i, c := range Columns {
		row[i] = Heading(c, lang)
	}
	if err := w.Write(row); err != nil {
		return err
	}
	for _, l := range lines {
		for i, c := range Columns {
			row[i] = guard(l[c])
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// risky are the first characters that make a spreadsheet take a cell for a formula.
const risky = "=+-@\t\r＝＋－＠"

// guard keeps a spreadsheet from carrying a cell out.
func guard(cell string) string {
	cell = strings.TrimSpace(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\x00", "").Replace(cell))
	if r, _ := utf8.DecodeRuneInString(cell); cell != "" && (strings.ContainsRune(risky, r) || r == '\'') {
		return "'" + cell
	}
	return cell
}

// unguard takes the guard away again.
func unguard(cell string) string {
	rest, ok := strings.CutPrefix(cell, "'")
	if r, _ := utf8.DecodeRuneInString(rest); ok && rest != "" && (strings.ContainsRune(risky, r) || r == '\'') {
		return rest
	}
	return cell
}
