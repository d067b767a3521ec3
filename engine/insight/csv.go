package insight

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"relais/engine/review"
)

// WriteCSV writes the report as comma-separated values (RFC 4180): one figure a line, under the name that it has
// in the API. A figure that there is nothing to reckon from is empty.
func (r Report) WriteCSV(w io.Writer) error {
	t := table{{"section", "item", "figure", "value"}}
	t.add("period", "", "freed", r.Freed, "underway", r.Underway, "filled", r.Filled, "by_hand", r.ByHand, "expired", r.Expired,
		"elsewhere", r.Elsewhere, "withdrawn", r.Withdrawn, "people_asked", r.PeopleAsked, "fill_rate", r.FillRate,
		"fill_minutes", r.FillMinutes, "minutes", r.Minutes, "offers", r.Offers, "offers_per_fill", r.OffersPerFill,
		"late", r.Late, "late_per_fill", r.LatePerFill, "moved", r.Moved, "days_gained", r.DaysGained, "days_median", r.DaysMedian,
		"came", r.Came, "missed", r.Missed, "attend_rate", r.AttendRate, "opt_outs", r.OptOuts)
	kind := "day"
	if r.Weekly {
		kind = "week"
	}
	for _, s := range r.Steps {
		t.add(kind, s.Day, "freed", s.Freed, "filled", s.Filled, "expired", s.Expired, "fill_minutes", s.Minutes)
	}
	for _, l := range r.Leads {
		t.add("lead", l.Name, "filled", l.Filled, "expired", l.Expired, "fill_minutes", l.Minutes)
	}
	for _, c := range r.Chains {
		t.add("chain", strconv.Itoa(c.Depth), "filled", c.Filled)
	}
	for _, c := range r.Reach {
		t.add("reach", string(c.Channel), "tried", c.Tried, "proven", c.Proven, "failed", c.Failed, "answered", c.Answered)
	}
	groups := func(section string, groups ...review.Group) {
		for _, g := range groups {
			t.add(section, g.Name, "people", g.People, "offers", g.Offers, "fills", g.Fills)
		}
	}
	groups("all", r.Equity.All)
	groups("language", r.Equity.Language...)
	groups("age", r.Equity.Age...)
	groups("distance_km", r.Equity.Distance...)
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.WriteAll(t); err != nil {
		return fmt.Errorf("write the insights: %w", err)
	}
	return nil
}

// table is lines of four fields.
type table [][]string

// add adds figures of one item: names and values by turns.
func (t *table) add(section, item string, figures ...any) {
	for i := 0; i+1 < len(figures); i += 2 {
		value := ""
		switch v := figures[i+1].(type) {
		case int:
			value = strconv.Itoa(v)
		case float64:
			value = number(v)
		case *float64:
			if v != nil {
				value = number(*v)
			}
		}
		*t = append(*t, []string{section, item, fmt.Sprint(figures[i]), value})
	}
}

func number(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }
