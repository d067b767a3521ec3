package hl7

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// Limits of one message.
const (
	maxSegments = 1000
	maxFields   = 200 // in a segment
	maxRepeats  = 100 // of a field
)

// Delimiters are the characters that part a message, as its MSH segment names them. One that is 0 is
// not used. HL7 2.5.1, chapter 2.5.4.
type Delimiters struct{ Field, Component, Repetition, Escape, Subcomponent byte }

// StandardDelimiters are those of nearly every sender.
var StandardDelimiters = Delimiters{'|', '^', '~', '\\', '&'} //nolint:gochecknoglobals // a constant that Go has no form for

// Charset is how the characters of a message are written, as MSH-18 names it (HL7 table 0211).
type Charset string

// The character sets that are read and written.
const (
	UTF8   Charset = "UNICODE UTF-8"
	Latin1 Charset = "8859/1"
	Latin9 Charset = "8859/15"
)

// charset reads what MSH-18 says; ok is false for one that is not known.
func charset(msh18 string) (Charset, bool) {
	switch strings.ToUpper(strings.TrimSpace(msh18)) {
	case "UNICODE UTF-8", "UTF-8", "UTF8", "UNICODE", "ASCII":
		return UTF8, true
	case "8859/1", "ISO-8859-1", "ISO8859-1", "8859-1":
		return Latin1, true
	case "8859/15", "ISO-8859-15", "8859-15":
		return Latin9, true
	}
	return "", false
}

// table is the mapping of a set of single bytes, nil for UTF-8. Windows-1252 stands for 8859/1: it
// has the same letters, and senders that say the one mean the other.
func (c Charset) table() *charmap.Charmap {
	switch c {
	case Latin1:
		return charmap.Windows1252
	case Latin9:
		return charmap.ISO8859_15
	case UTF8:
	}
	return nil
}

// Segment is one line of a message, parted into fields that are still escaped. Field 0 is the name;
// in MSH, field 1 is the field delimiter and field 2 the others, so that numbers are HL7's.
type Segment []string

// Message is a parsed message.
type Message struct {
	Delimiters
	Charset  Charset
	Segments []Segment
}

// Parse reads a message without its frame. fallback is the character set of one whose MSH-18 is empty.
// It is tolerant where senders differ (LF line ends, bytes that are no characters) and an error says
// in one sentence what cannot be read; it repeats nothing of the message but segment names.
func Parse(text []byte, fallback Charset) (Message, error) {
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), "\r\n\t ")
	d, err := delimiters(text)
	if err != nil {
		return Message{}, err
	}
	m := Message{Delimiters: d, Charset: fallback}
	// Where CR ends segments, LF is part of somebody's prose; without any CR it ends segments itself.
	end := byte('\r')
	if bytes.IndexByte(text, '\r') < 0 {
		end = '\n'
	}
	first, _, _ := bytes.Cut(text, []byte{end})
	if f := bytes.Split(first, []byte{d.Field}); len(f) > 17 {
		named, _, _ := strings.Cut(string(f[17]), string(rune(d.Repetition)))
		if set, ok := charset(named); ok {
			m.Charset = set
		} else if strings.TrimSpace(named) != "" {
			return m, fmt.Errorf("MSH-18 names a character set that is not known; use UNICODE UTF-8 or 8859/1")
		}
	}
	for line := range bytes.SplitSeq(text, []byte{end}) {
		line = bytes.Trim(line, "\n\r")
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if len(m.Segments) == maxSegments {
			return m, fmt.Errorf("the message has more than %d segments", maxSegments)
		}
		s, err := m.segment(line)
		if err != nil {
			return m, fmt.Errorf("segment %d %w", len(m.Segments)+1, err)
		}
		m.Segments = append(m.Segments, s)
	}
	return m, nil
}

func delimiters(text []byte) (Delimiters, error) {
	if len(text) < 5 || string(text[:3]) != "MSH" {
		return Delimiters{}, fmt.Errorf("the message does not begin with MSH")
	}
	d := Delimiters{Field: text[3]}
	others := text[4:min(len(text), 10)]
	if i := bytes.IndexAny(others, string(rune(d.Field))+"\r\n"); i >= 0 {
		others = others[:i]
	}
	if len(others) < 1 || len(others) > 5 {
		return d, fmt.Errorf("MSH-2 must name the delimiters, for example ^~\\&")
	}
	for i, to := range []*byte{&d.Component, &d.Repetition, &d.Escape, &d.Subcomponent} {
		if i < len(others) {
			*to = others[i]
		}
	}
	seen := map[byte]bool{}
	for _, c := range append([]byte{d.Field}, others...) {
		if c <= ' ' || c >= 0x7f || seen[c] || 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' {
			return d, fmt.Errorf("MSH-1 and MSH-2 must name different delimiters that are no letters or digits")
		}
		seen[c] = true
	}
	return d, nil
}

func (m *Message) segment(line []byte) (Segment, error) {
	text := m.decode(line)
	s := Segment(strings.SplitN(text, string(rune(m.Delimiters.Field)), maxFields+2))
	if len(s) > maxFields {
		return nil, fmt.Errorf("has more than %d fields", maxFields)
	}
	s[0] = strings.TrimSpace(s[0])
	if !segmentName(s[0]) {
		return nil, fmt.Errorf("has no name of three letters or digits")
	}
	if s[0] == "MSH" {
		if len(m.Segments) > 0 {
			return nil, fmt.Errorf("is a second MSH")
		}
		s = append(Segment{"MSH", string(rune(m.Delimiters.Field))}, s[1:]...)
	}
	return s, nil
}

func segmentName(s string) bool {
	if len(s) != 3 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func (m *Message) decode(line []byte) string {
	if t := m.Charset.table(); t != nil {
		if out, err := t.NewDecoder().Bytes(line); err == nil {
			return string(out)
		}
	}
	return strings.ToValidUTF8(string(line), "\ufffd")
}

// First returns the first segment of a name, nil when there is none.
func (m Message) First(name string) Segment {
	for _, s := range m.Segments {
		if s[0] == name {
			return s
		}
	}
	return nil
}

// Field returns field n of a segment; one that is not there is empty.
func (m Message) Field(s Segment, n int) Field {
	if n >= len(s) {
		return Field{d: m.Delimiters}
	}
	return Field{m.Delimiters, s[n]}
}

// Escaped makes text safe as a field.
func (m Message) Escaped(s string) string { return m.escape(s) }

// Add appends a segment; each value is a field, raw: made by Components, or plain text through Escaped.
func (m *Message) Add(name string, fields ...string) {
	m.Segments = append(m.Segments, append(Segment{name}, fields...))
}

// Components joins texts, escaped, to the components of one field; empty ones at the end go.
func (m *Message) Components(parts ...string) string {
	for i, p := range parts {
		parts[i] = m.escape(p)
	}
	sep := string(rune(m.Component))
	return strings.TrimRight(strings.Join(parts, sep), sep)
}

// Bytes writes the message, without a frame. A character that its set does not have becomes "?".
func (m Message) Bytes() []byte {
	var out strings.Builder
	for _, s := range m.Segments {
		fields := s
		if s[0] == "MSH" && len(s) > 2 {
			fields = append(Segment{"MSH" + s[1] + s[2]}, s[3:]...)
		}
		sep := string(rune(m.Delimiters.Field))
		out.WriteString(strings.TrimRight(strings.Join(fields, sep), sep+"\n") + "\r")
	}
	t := m.Charset.table()
	if t == nil {
		return []byte(out.String())
	}
	var b []byte
	for _, r := range out.String() {
		c, ok := t.EncodeRune(r)
		if !ok {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}
