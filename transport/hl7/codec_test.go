package hl7

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const siu = "MSH|^~\\&|SCHED|CLINIC|RELAIS|CLINIC|20261123140000||SIU^S12^SIU_S12|M1|P|2.5.1||||||8859/1\r" +
	"SCH|P-1|F-9^SCHED|||||ROUTINE|OFFICE|30|m|^^30^20261201090000^20261201093000\r" +
	"PID|1||12345^^^MRN||O\\T\\Brien^Zo\xeb~second\r" +
	"AIP|1|A|D7^Gagnon^Sophie"

func parse(tb testing.TB, text string) Message {
	tb.Helper()
	m, err := Parse([]byte(text), UTF8)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestParseMessage(t *testing.T) {
	for name, text := range map[string]string{
		"CR": siu, "LF": strings.ReplaceAll(siu, "\r", "\n"), "CRLF": strings.ReplaceAll(siu, "\r", "\r\n"),
		"blank lines": "\r\n" + strings.ReplaceAll(siu, "\r", "\r\r"),
		"delimiters":  strings.NewReplacer("|", "#", "^", "*", "~", "%", "\\", "!", "&", "@", "^~\\&", "*%!@").Replace(siu),
	} {
		t.Run(name, func(t *testing.T) {
			m := parse(t, text)
			pid := m.First("PID")
			want := "O" + string(rune(m.Subcomponent)) + "Brien"
			if got := m.Field(pid, 5).Text(1); got != want {
				t.Errorf("PID-5.1 is %q, want %q", got, want)
			}
			if got := m.Field(pid, 5).Text(2); got != "Zoë" {
				t.Errorf("PID-5.2 is %q", got)
			}
			if n := len(m.Field(pid, 5).Repetitions()); n != 2 {
				t.Errorf("PID-5 repeats %d times", n)
			}
			if got := m.Field(m.First("MSH"), 10).Text(1) + m.trigger(); got != "M1S12" {
				t.Error(got)
			}
			if back := parse(t, string(m.Bytes())); len(back.Segments) != len(m.Segments) || back.Field(back.First("PID"), 5).raw != m.Field(pid, 5).raw {
				t.Errorf("written and read again: %q", back.Segments)
			}
		})
	}
}

func TestParseRefusesWhatIsNoMessage(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "not MSH": "PID|1", "no delimiters": "MSH|", "letters": "MSHabcde|x", "twice the same": "MSH|^^\\&|x",
		"set": strings.Replace(siu, "8859/1", "EBCDIC", 1), "name": siu + "\rthis is prose", "MSH twice": siu + "\r" + siu,
		"segments": siu + strings.Repeat("\rNTE|1", maxSegments), "fields": siu + "\rNTE" + strings.Repeat("|", maxFields+5),
	} {
		if _, err := Parse([]byte(text), UTF8); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestLineFeedsInsideASegmentAreProse(t *testing.T) {
	m := parse(t, siu+"\rNTE|1||line one\nline two")
	if got := m.Field(m.First("NTE"), 3).Text(1); got != "line one\nline two" {
		t.Errorf("%q", got)
	}
}

func TestEscapes(t *testing.T) {
	d := StandardDelimiters
	for in, want := range map[string]string{
		`a\F\b\S\c\R\d\E\e\T\f`: `a|b^c~d\e&f`, `\X0D\x`: "\rx", `\H\bold\N\`: "bold", `a\.br\b`: "a\nb",
		`\Z9\kept`: `\Z9\kept`, `open\`: `open\`, `\XZZ\`: `\XZZ\`,
	} {
		if got := d.unescape(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
	for _, s := range []string{`|^~\&`, "Zoë & fils", `\F\`, "a\nb"} {
		if got := d.unescape(d.escape(s)); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	}
}

func TestFrames(t *testing.T) {
	big := strings.Repeat("x", MaxFrame+2)
	for name, c := range map[string]struct {
		in   string
		want []string
		err  error
	}{
		"one":        {"\x0bA\x1c\r", []string{"A"}, nil},
		"coalesced":  {"\x0bA\x1c\r\x0bB\x1c\r", []string{"A", "B"}, nil},
		"no CR":      {"\x0bA\x1c\x0bB\x1c", []string{"A", "B"}, nil},
		"blanks":     {"\r\n\x0bA\x1c\r\n\x0bB\x1c\r", []string{"A", "B"}, nil},
		"cut short":  {"\x0bhalf\x0bA\x1c\r", []string{"A"}, nil},
		"line ends":  {strings.Repeat("\x0bA\x1c\r\n", maxNoise), slices.Repeat([]string{"A"}, maxNoise), nil},
		"noise":      {strings.Repeat("x", maxNoise+1), nil, errNoise},
		"large":      {"\x0b" + big, []string{big[:MaxFrame]}, errTooLarge},
		"large, end": {"\x0b" + big + "\x1c\r", []string{big[:MaxFrame]}, errTooLarge},
	} {
		for kind, r := range map[string]*frames{
			"whole": newFrames(strings.NewReader(c.in), func() {}), "bytes": newFrames(iotest.OneByteReader(strings.NewReader(c.in)), func() {}),
		} {
			var got []string
			var err error
			for err == nil {
				var b []byte
				if b, err = r.next(); b != nil {
					got = append(got, string(b))
				}
			}
			if strings.Join(got, "|") != strings.Join(c.want, "|") || c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %d messages, %v", name, kind, len(got), err)
			}
		}
	}
}

func zone(tb testing.TB) *time.Location {
	tb.Helper()
	z, err := time.LoadLocation("America/Toronto")
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

func TestTimes(t *testing.T) {
	for in, want := range map[string]string{
		"202612010900":          "2026-12-01T14:00:00Z",
		"20261201090000":        "2026-12-01T14:00:00Z",
		"20261201090000.1234":   "2026-12-01T14:00:00.1234Z",
		"20261201090000-0800":   "2026-12-01T17:00:00Z",
		"20261201090000.5+0000": "2026-12-01T09:00:00.5Z",
		"20260308023000":        "2026-03-08T07:30:00Z", // skipped: 03:30 by the clocks
		"20261101013000":        "2026-11-01T05:30:00Z", // twice: the first
		"20261101013000-0500":   "2026-11-01T06:30:00Z",
		"2026":                  "", "20261301": "", "20261301090000": "", "x": "", "": "", "20261201090000+99": "",
		"20261201090000.": "", "20261201090000.12345": "",
	} {
		got, err := parseTime(in, zone(t))
		if want == "" {
			if err == nil {
				t.Errorf("%q gives %v", in, got)
			}
			continue
		}
		if err != nil || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q gives %v, %v; want %s", in, got.UTC().Format(time.RFC3339Nano), err, want)
		}
	}
}

// A message that was sent in the second of two equal hours must not look older than one of the first.
func TestSentTimeWhenClocksGoBack(t *testing.T) {
	z := zone(t)
	second := time.Date(2026, 11, 1, 6, 30, 0, 0, time.UTC)
	if got := sentTime("20261101013000", z, second.Add(time.Second)); !got.Equal(second) {
		t.Error(got)
	}
	if got := sentTime("20261101013000", z, second.Add(-time.Hour)); !got.Equal(second.Add(-time.Hour)) {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(siu))
	f.Add([]byte("MSH|^~\\&#|a\nSCH|\\X41\\&^~"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text, Latin1)
		if err != nil {
			return
		}
		for _, s := range m.Segments {
			for i := range s {
				for _, r := range m.Field(s, i).Repetitions() {
					r.Sub(2, 2)
				}
			}
		}
		written := m.Bytes()
		again, err := Parse(written, m.Charset)
		if err != nil {
			t.Fatalf("%q was written as %q and cannot be read: %v", text, written, err)
		}
		if twice := again.Bytes(); !bytes.Equal(written, twice) {
			t.Fatalf("%q and then %q", written, twice)
		}
		if _, err := (reader{zone: time.UTC, visit: time.Minute}).event(m, time.Now()); err != nil && err.Error() == "" {
			t.Fatal("an error without a sentence")
		}
	})
}

func FuzzEscape(f *testing.F) {
	f.Add(`a|b^c\F\ é`)
	f.Fuzz(func(t *testing.T, s string) {
		d := StandardDelimiters
		e := d.escape(s)
		if strings.ContainsAny(e, "|^~&\r\n\x0b\x1c") {
			t.Fatalf("%q has delimiters in it", e)
		}
		clean := d.unescape(e)
		if d.unescape(d.escape(clean)) != clean {
			t.Fatalf("%q", clean)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x0bA\x1c\r\x0bB\x1c"))
	f.Fuzz(func(t *testing.T, in []byte) {
		read := func(r *frames) (all [][]byte, err error) {
			for err == nil {
				var b []byte
				if b, err = r.next(); err == nil {
					all = append(all, b)
				}
			}
			return all, err
		}
		whole, err1 := read(newFrames(bytes.NewReader(in), func() {}))
		parts, err2 := read(newFrames(iotest.OneByteReader(bytes.NewReader(in)), func() {}))
		if len(whole) != len(parts) || !errors.Is(err1, err2) {
			t.Fatalf("%d and %d, %v and %v", len(whole), len(parts), err1, err2)
		}
		for i := range whole {
			if !bytes.Equal(whole[i], parts[i]) || bytes.IndexByte(whole[i], frameStart) >= 0 {
				t.Fatalf("%q and %q", whole[i], parts[i])
			}
		}
	})
}
