package hl7

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errTime = errors.New("is no time; write it as YYYYMMDDHHMM")

// parseTime reads a time stamp (HL7 2.5.1, 2.A.22): YYYYMMDDHHMM[SS[.S[S[S[S]]]]][+/-ZZZZ]. One without
// an offset is of the given zone. A time that the zone skips in spring is moved forward by what it skips;
// of one that it has twice in autumn the first is meant.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	s = strings.TrimSpace(s)
	var layout string
	text := s
	offset := strings.LastIndexAny(s, "+-")
	if offset > 0 {
		text = s[:offset]
	}
	if whole, fraction, ok := strings.Cut(text, "."); ok {
		if len(whole) != 14 || len(fraction) == 0 || len(fraction) > 4 {
			return time.Time{}, errTime
		}
		layout = "20060102150405." + strings.Repeat("0", len(fraction))
	} else {
		switch len(text) {
		case 12:
			layout = "200601021504"
		case 14:
			layout = "20060102150405"
		default:
			return time.Time{}, errTime
		}
	}
	if offset > 0 {
		t, err := time.Parse(layout+"-0700", s)
		if err != nil {
			return time.Time{}, errTime
		}
		return t.UTC(), nil
	}
	wall, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, errTime
	}
	return local(wall, zone)[0], nil
}

// local returns the instants at which the clocks of a zone show a wall time, the first one first. One
// that is skipped gives what the clocks show as much later.
func local(wall time.Time, zone *time.Location) []time.Time {
	var out []time.Time
	_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(zone).Zone()
	for _, offset := range []int{max(before, after), min(before, after)} {
		t := wall.Add(-time.Duration(offset) * time.Second)
		if _, is := t.In(zone).Zone(); is == offset && (len(out) == 0 || !out[0].Equal(t)) {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		out = append(out, wall.Add(-time.Duration(before)*time.Second))
	}
	return out
}

// sentTime reads MSH-7. Where the clocks were put back, the one of two times that is nearer to its
// arrival is meant: or everything sent in the second of two equal hours would seem old.
func sentTime(s string, zone *time.Location, arrived time.Time) time.Time {
	t, err := parseTime(s, zone)
	if err != nil {
		return arrived
	}
	if strings.ContainsAny(s, "+-") {
		return t
	}
	_, offset := t.In(zone).Zone()
	for _, other := range local(t.Add(time.Duration(offset)*time.Second), zone) {
		if other.Sub(arrived).Abs() < t.Sub(arrived).Abs() {
			t = other
		}
	}
	return t
}

// duration reads a number and its unit (HL7 table 0335 and UCUM; minutes when nothing is said).
func duration(number, unit string) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n > 0 && n < 1e6) {
		return 0
	}
	each := time.Minute
	switch u := strings.ToUpper(strings.TrimSpace(unit)); {
	case strings.HasPrefix(u, "S"):
		each = time.Second
	case strings.HasPrefix(u, "H"):
		each = time.Hour
	case strings.HasPrefix(u, "D"):
		each = 24 * time.Hour
	}
	return time.Duration(n * float64(each))
}

// stamp writes an instant with the zone's offset.
func stamp(t time.Time, zone *time.Location) string { return t.In(zone).Format("20060102150405-0700") }
