package review

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"

	"relais/engine"
)

// Few is the size below which a group of people is not shown by itself: with fewer, a count says something
// of somebody.
const Few = 5

// Subject is one patient as one entry or offer shows them.
type Subject struct {
	Patient engine.PatientID
	Lang    engine.Lang
	Age     int     // whole years; negative: not known
	Km      float64 // from home to the place of care; negative: not known
	Offers  int
	Fills   int // offers that were won and booked
}

// Fairness says how offers and bookings spread over the people of a list. It names nobody.
type Fairness struct {
	All      Group   `json:"all"`
	Language []Group `json:"language" nullable:"false"`
	Age      []Group `json:"age" nullable:"false" doc:"in years, on the day of the offer"`
	Distance []Group `json:"distance" nullable:"false" doc:"kilometres as the crow flies"`
}

// Group is the people who have something in common.
type Group struct {
	Name   string `json:"name" doc:"a language, a band such as 18-39 or 20+, unknown; other joins groups of fewer than 5 people"`
	People int    `json:"people" doc:"who wait or were asked in the period"`
	Offers int    `json:"offers"`
	Fills  int    `json:"fills"`
}

// The names that are no band and no language.
const (
	Unknown = "unknown"
	Other   = "other" // groups of fewer than Few people, together
)

// Fair reports on the subjects. Who appears several times counts as one person in each group.
func Fair(subjects []Subject) Fairness {
	all := gather(subjects, func(Subject) string { return "all" })
	f := Fairness{
		All:      Group{Name: "all"},
		Language: veil(gather(subjects, language)),
		Age:      veil(gather(subjects, age)),
		Distance: veil(gather(subjects, distance)),
	}
	if len(all) > 0 {
		f.All = all[0]
	}
	return f
}

func language(s Subject) string {
	if s.Lang == "" {
		return Unknown
	}
	return string(s.Lang)
}

func age(s Subject) string {
	switch {
	case s.Age < 0:
		return Unknown
	case s.Age < 18:
		return "0-17"
	case s.Age < 40:
		return "18-39"
	case s.Age < 65:
		return "40-64"
	}
	return "65+"
}

func distance(s Subject) string {
	switch {
	case s.Km < 0:
		return Unknown
	case s.Km < 5:
		return "0-5"
	case s.Km < 20:
		return "5-20"
	}
	return "20+"
}

// order is how groups are shown; languages come by their own letters.
var order = map[string]int{"0-17": 1, "18-39": 2, "40-64": 3, "65+": 4, "0-5": 1, "5-20": 2, "20+": 3, Unknown: 5, Other: 6} //nolint:gochecknoglobals // a table

func gather(subjects []Subject, name func(Subject) string) []Group {
	groups := map[string]*Group{}
	people := map[string]map[engine.PatientID]bool{}
	for _, s := range subjects {
		n := name(s)
		g := groups[n]
		if g == nil {
			g = &Group{Name: n}
			groups[n], people[n] = g, map[engine.PatientID]bool{}
		}
		people[n][s.Patient] = true
		g.People = len(people[n])
		g.Offers += s.Offers
		g.Fills += s.Fills
	}
	list := make([]Group, 0, len(groups))
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b Group) int { return cmp.Or(order[a.Name]-order[b.Name], cmp.Compare(a.Name, b.Name)) })
	return list
}

// veil joins the groups of fewer than Few people. A single small group would be what is missing from the
// total, so the next smallest joins it until they are enough.
func veil(groups []Group) []Group {
	other := Group{Name: Other}
	for {
		least := -1
		for i, g := range groups {
			if least < 0 || g.People < groups[least].People {
				least = i
			}
		}
		if least < 0 || (groups[least].People >= Few && (other.People == 0 || other.People >= Few)) {
			break
		}
		g := groups[least]
		other.People += g.People
		other.Offers += g.Offers
		other.Fills += g.Fills
		groups = slices.Delete(groups, least, least+1)
	}
	if other.People > 0 {
		groups = append(groups, other)
	}
	return groups
}

// WriteCSV writes the report as comma-separated values (RFC 4180), with a line of headings.
func (f Fairness) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	lines := [][]string{{"dimension", "group", "people", "offers", "fills"}}
	add := func(dimension string, groups ...Group) {
		for _, g := range groups {
			lines = append(lines, []string{dimension, g.Name, strconv.Itoa(g.People), strconv.Itoa(g.Offers), strconv.Itoa(g.Fills)})
		}
	}
	add("all", f.All)
	add("language", f.Language...)
	add("age", f.Age...)
	add("distance_km", f.Distance...)
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("write the fairness report: %w", err)
	}
	return nil
}
