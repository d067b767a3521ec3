package hl7

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Field is a field, or one repetition of it.
type Field struct {
	d   Delimiters
	raw string
}

// Empty says whether nothing is in the field, or HL7's explicit nothing ("").
func (f Field) Empty() bool { return strings.TrimSpace(f.raw) == "" || f.raw == `""` }

// Repetitions parts the field where it repeats.
func (f Field) Repetitions() []Field {
	var out []Field
	for _, part := range cut(f.raw, f.d.Repetition, maxRepeats) {
		out = append(out, Field{f.d, part})
	}
	return out
}

// Text returns a component (from 1) of the first repetition, up to its first subcomponent.
func (f Field) Text(component int) string { return f.Sub(component, 1) }

// Sub returns a subcomponent (from 1) of a component of the first repetition.
func (f Field) Sub(component, sub int) string {
	part := nth(nth(f.raw, f.d.Repetition, 1), f.d.Component, component)
	text := strings.TrimSpace(f.d.unescape(nth(part, f.d.Subcomponent, sub)))
	if text == `""` {
		return ""
	}
	return text
}

func cut(s string, sep byte, limit int) []string {
	if sep == 0 {
		return []string{s}
	}
	return strings.SplitN(s, string(rune(sep)), limit)
}

// nth returns the nth part (from 1), "" when there are fewer.
func nth(s string, sep byte, n int) string {
	for ; sep != 0; n-- {
		part, rest, more := strings.Cut(s, string(rune(sep)))
		if n == 1 {
			return part
		}
		if !more {
			return ""
		}
		s = rest
	}
	if n == 1 {
		return s
	}
	return ""
}

// unescape resolves escape sequences; one that is not known stays as it is. HL7 2.5.1, 2.7.
func (d Delimiters) unescape(s string) string {
	if d.Escape == 0 || strings.IndexByte(s, d.Escape) < 0 {
		return s
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, string(rune(d.Escape)))
		out.WriteString(before)
		if !found {
			return out.String()
		}
		code, after, closed := strings.Cut(rest, string(rune(d.Escape)))
		if text, ok := d.meaning(code); closed && ok {
			out.WriteString(text)
			s = after
			continue
		}
		out.WriteByte(d.Escape)
		s = rest
	}
}

func (d Delimiters) meaning(code string) (string, bool) {
	for _, c := range []struct {
		code string
		is   byte
	}{{"F", d.Field}, {"S", d.Component}, {"R", d.Repetition}, {"E", d.Escape}, {"T", d.Subcomponent}} {
		if code == c.code && c.is != 0 {
			return string(rune(c.is)), true
		}
	}
	switch {
	case code == ".br":
		return "\n", true
	case code == "H", code == "N": // highlighting
		return "", true
	case strings.HasPrefix(code, "X"):
		b, err := hex.DecodeString(code[1:])
		if err != nil || len(b) == 0 || !utf8.Valid(b) {
			return "", false
		}
		return string(b), true
	}
	return "", false
}

// escape makes text safe inside a field of a message that we write. Control characters have no
// place in one, and would break frames.
func (d Delimiters) escape(s string) string {
	var out strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		code := ""
		switch {
		case r == rune(d.Field):
			code = "F"
		case r == rune(d.Component):
			code = "S"
		case r == rune(d.Repetition):
			code = "R"
		case r == rune(d.Escape):
			code = "E"
		case r == rune(d.Subcomponent):
			code = "T"
		case r == '\n':
			code = ".br"
		case r < ' ' || r == 0x7f:
			continue
		}
		if code == "" {
			out.WriteRune(r)
			continue
		}
		out.WriteString(string(rune(d.Escape)) + code + string(rune(d.Escape)))
	}
	return out.String()
}
