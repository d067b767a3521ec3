package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/availability"
	"relais/engine/desk"
)

// choice is one thing that can be chosen in a form.
type choice struct {
	ID, Name string
	On       bool
}

// dayRow is one day of the grid of times.
type dayRow struct {
	Name  string
	Cells []choice
}

// fields are a form as it was sent, to be shown again when something in it is wrong.
type fields struct {
	Given, Family, Day, Month, Year string
	ProxyName, Relation             string
	Phone, Email, Lang              string
	Calls                           bool
	Postal, Words                   string
}

// wishForm is the part of a form that says what somebody waits for.
type wishForm struct {
	Practitioners, Places, Radii, Notices []choice
	SomePractitioner, SomePlace           bool
	Parts                                 []string
	Days                                  []dayRow
}

// partsOfDay are the columns of the grid: a slot must lie inside.
var partsOfDay = []struct{ from, until int }{{0, 12 * 60}, {12 * 60, 18 * 60}, {17 * 60, 24 * 60}}

var (
	radii   = []int{0, 5, 10, 25, 50, 100}
	notices = []int{0, 120, 360, 1440, 2880, 10080} // minutes
)

// wishOf is what somebody waits for, as a form has it.
type wishOf struct {
	practitioners []engine.PractitionerID
	places        []engine.PlaceID
	radius        int
	notice        int // minutes
	at            []string
}

// newWishForm lays out the choices of a clinic, with what was chosen.
func newWishForm(d desk.Door, w *words, dw *doorWords, in wishOf, practitioners []engine.Practitioner) wishForm {
	f := wishForm{Parts: []string{dw.Morning, dw.Afternoon, dw.Evening}, SomePlace: len(in.places) > 0 || in.radius > 0, SomePractitioner: len(in.practitioners) > 0}
	for _, p := range practitioners {
		f.Practitioners = append(f.Practitioners, choice{string(p.ID), p.Name, slices.Contains(in.practitioners, p.ID)})
	}
	for _, p := range d.Places {
		f.Places = append(f.Places, choice{string(p.ID), p.Name, slices.Contains(in.places, p.ID)})
	}
	for _, km := range radii {
		name := dw.Anywhere
		if km > 0 {
			name = fmt.Sprintf(dw.Km, km)
		}
		f.Radii = append(f.Radii, choice{strconv.Itoa(km), name, km == in.radius})
	}
	if in.radius > 0 && !slices.Contains(radii, in.radius) {
		f.Radii = append(f.Radii, choice{strconv.Itoa(in.radius), fmt.Sprintf(dw.Km, in.radius), true})
	}
	all := notices
	if !slices.Contains(all, in.notice) {
		all = append(slices.Clone(all), in.notice)
		slices.Sort(all)
	}
	for _, minutes := range all {
		f.Notices = append(f.Notices, choice{strconv.Itoa(minutes), dw.notice(minutes), minutes == in.notice})
	}
	for i := range 7 {
		day := (i + 1) % 7 // a week starts on Monday
		row := dayRow{Name: w.days[day]}
		for part := range partsOfDay {
			id := fmt.Sprintf("%d-%d", day, part)
			row.Cells = append(row.Cells, choice{id, row.Name + ", " + strings.ToLower(f.Parts[part]), slices.Contains(in.at, id)})
		}
		f.Days = append(f.Days, row)
	}
	return f
}

func (w *doorWords) notice(minutes int) string {
	switch {
	case minutes <= 0:
		return w.NoNotice
	case minutes < 1440:
		return fmt.Sprintf(w.HoursOf, max(1, minutes/60))
	case minutes < 2880:
		return w.DayOf
	}
	return fmt.Sprintf(w.DaysOf, minutes/1440)
}

// windowsOf reads the cells of the grid; those that are none are ignored.
func windowsOf(at []string) (list []engine.Window) {
	for _, cell := range at {
		d, p, _ := strings.Cut(cell, "-")
		day, err1 := strconv.Atoi(d)
		part, err2 := strconv.Atoi(p)
		if err1 == nil && err2 == nil && day >= 0 && day < 7 && part >= 0 && part < len(partsOfDay) {
			list = append(list, engine.Window{Days: 1 << day, From: partsOfDay[part].from, Until: partsOfDay[part].until})
		}
	}
	return list
}

// cellsOf lays windows out on the grid. What does not fit there is said in words.
func cellsOf(windows []engine.Window, lang engine.Lang) (at []string, words string) {
	var rest []engine.Window
	for _, w := range windows {
		from, until := 24*60, 0
		var parts []int
		for part, p := range partsOfDay {
			if w.From <= p.from && w.Until >= p.until {
				parts, from, until = append(parts, part), min(from, p.from), max(until, p.until)
			}
		}
		if from != w.From || until != w.Until {
			rest = append(rest, w)
			continue
		}
		for day := range 7 {
			for _, part := range parts {
				if w.Days>>day&1 == 1 {
					at = append(at, fmt.Sprintf("%d-%d", day, part))
				}
			}
		}
	}
	if len(rest) > 0 {
		words = availability.Describe(rest, lang)
	}
	return at, words
}

// takeWish reads that part of a form.
func takeWish(form url.Values) (in wishOf) {
	for _, p := range limited(form["practitioner"]) {
		in.practitioners = append(in.practitioners, engine.PractitionerID(p))
	}
	for _, p := range limited(form["place"]) {
		in.places = append(in.places, engine.PlaceID(p))
	}
	in.radius = atMost(form.Get("radius"), 500)
	in.notice = atMost(form.Get("notice"), 20160)
	in.at = limited(form["at"])
	return in
}

// limited bounds how much of one thing can be chosen.
func limited(list []string) []string { return list[:min(len(list), 50)] }

func atMost(s string, most int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return min(max(0, n), most)
}

// birthDate puts the three fields of a date of birth together; "" when all are empty. ok is false for what is
// no date.
func birthDate(form url.Values) (born string, ok bool) {
	d, m, y := strings.TrimSpace(form.Get("day")), strings.TrimSpace(form.Get("month")), strings.TrimSpace(form.Get("year"))
	if d == "" && m == "" && y == "" {
		return "", true
	}
	day, err1 := strconv.Atoi(d)
	month, err2 := strconv.Atoi(m)
	year, err3 := strconv.Atoi(y)
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if err1 != nil || err2 != nil || err3 != nil || t.Day() != day || int(t.Month()) != month || t.Year() != year {
		return "", false
	}
	return t.Format(time.DateOnly), true
}

// short bounds a line that people wrote.
func short(s string, most int) string {
	r := []rune(strings.TrimSpace(s))
	return string(r[:min(len(r), most)])
}
