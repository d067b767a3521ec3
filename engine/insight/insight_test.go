package insight_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/insight"
	"relais/engine/reach"
	"relais/engine/slot"
)

var (
	montreal, _ = time.LoadLocation("America/Toronto")
	monday      = time.Date(2026, 3, 2, 9, 0, 0, 0, montreal)
	march       = insight.Filter{From: time.Date(2026, 3, 1, 0, 0, 0, 0, montreal), Until: time.Date(2026, 4, 1, 0, 0, 0, 0, montreal)}
)

// opening is a slot of 30 minutes that was opened at a time, so long before its start.
func opening(at time.Time, lead time.Duration, phase slot.Phase, offers ...slot.Offer) slot.State {
	start := at.Add(lead)
	s := slot.State{
		Slot:  engine.Slot{ID: "s", Start: start, End: start.Add(30 * time.Minute), Practitioner: "roy", Specialty: "dermatology"},
		Phase: phase, OpenedAt: at, Deadline: start.Add(-30 * time.Minute), Mode: engine.Automatic, Opening: 1, Offers: offers,
	}
	for _, o := range offers {
		if o.Status == slot.Won {
			s.Winner = o.ID
		}
	}
	return s
}

func offered(id string, status slot.OfferStatus, replied time.Time) slot.Offer {
	return slot.Offer{ID: engine.OfferID(id), Patient: engine.PatientID("p" + id), Wave: 1, At: monday, Status: status, Replied: replied}
}

func is(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	if got == nil || math.Abs(*got-want) > 1e-9 {
		t.Errorf("%s is %v, want %g", what, got, want)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	quick, slow := monday.Add(10*time.Minute), monday.Add(30*time.Minute)
	won := offered("1", slot.Won, quick)
	won.Current = &engine.Appointment{Start: monday.Add(24*time.Hour + 10*24*time.Hour)}
	first := opening(monday, 24*time.Hour, slot.Booked, won, offered("2", slot.Lost, quick.Add(time.Hour)), offered("3", slot.Lost, time.Time{}),
		offered("4", slot.Declined, monday.Add(time.Minute)))
	first.Booking = "b1"
	second := opening(monday, time.Hour, slot.Booked, offered("5", slot.Won, slow))
	second.Booking, second.Depth = "b2", 1
	hand := offered("6", slot.Won, slow)
	hand.Wave = 0
	withdrawn := opening(monday, time.Hour, slot.Closed, offered("2", slot.Ended, quick)) // the same person as above
	withdrawn.Why = "withdrawn"
	shadow := opening(monday, time.Hour, slot.Expired)
	shadow.Mode = engine.Shadow
	other := opening(monday, time.Hour, slot.Expired)
	other.Slot.Practitioner = "tremblay"
	all := []slot.State{
		first, second, opening(monday, time.Hour, slot.Booked, hand), withdrawn, shadow, other,
		opening(monday, time.Hour, slot.Expired, offered("7", slot.Ended, monday.Add(2*time.Hour)), offered("8", slot.Ended, time.Time{})),
		opening(monday.AddDate(0, 0, 1), time.Hour, slot.Closed), // taken in the record system
		opening(monday.AddDate(0, 0, 1), time.Hour, slot.Offering, offered("9", slot.Pending, time.Time{})),
		opening(march.From.Add(-time.Second), time.Hour, slot.Expired), // too early
		opening(march.Until, time.Hour, slot.Expired),                  // too late
	}
	r := insight.Look(all, march, insight.Facts{
		Zone: montreal, OptOuts: 3,
		Came: map[engine.BookingID]engine.Attendance{"b1": engine.Attended, "b2": engine.Missed, "b3": engine.Attended},
	})
	counts := fmt.Sprint(r.Freed, r.Underway, r.Filled, r.ByHand, r.Expired, r.Elsewhere, r.Withdrawn, r.PeopleAsked, r.Offers, r.Late, r.Moved, r.Came, r.Missed, r.OptOuts, r.Minutes)
	if counts != "8 1 2 1 2 1 1 8 9 3 1 1 1 3 60" {
		t.Error(counts)
	}
	is(t, "the fill rate", r.FillRate, .5)
	is(t, "the median", r.FillMinutes, 20)
	is(t, "offers a fill", r.OffersPerFill, 4) // 8 of the 9: one opening is under way
	is(t, "late a fill", r.LatePerFill, 1.5)
	is(t, "days", r.DaysMedian, 10)
	is(t, "attendance", r.AttendRate, .5)
	if len(r.Chains) != 2 || r.Chains[0].Filled != 1 || r.Chains[1].Filled != 1 {
		t.Errorf("chains: %+v", r.Chains)
	}
	if r.Leads[0].Filled != 1 || r.Leads[0].Expired != 2 || r.Leads[2].Filled != 1 {
		t.Errorf("leads: %+v", r.Leads)
	}
	if len(r.Steps) != 31 || r.Weekly || r.Steps[1].Day != "2026-03-02" || r.Steps[1].Filled != 2 || r.Steps[2].Freed != 2 {
		t.Errorf("steps: %+v", r.Steps)
	}

	one := march
	one.Practitioner = "tremblay"
	if r := insight.Look(all, one, insight.Facts{Zone: montreal}); r.Freed != 1 || r.Expired != 1 || r.FillRate == nil || *r.FillRate != 0 || r.FillMinutes != nil {
		t.Errorf("of one practitioner: %+v", r)
	}
}

// A long period is shown by weeks that begin on Mondays, also where the clocks change, and every opening
// falls into one of them.
func TestWeeks(t *testing.T) {
	t.Parallel()
	f := insight.Filter{From: time.Date(2026, 1, 1, 0, 0, 0, 0, montreal), Until: time.Date(2026, 4, 1, 0, 0, 0, 0, montreal)}
	var all []slot.State
	for at := f.From; at.Before(f.Until); at = at.Add(7 * time.Hour) {
		all = append(all, opening(at, time.Hour, slot.Expired))
	}
	r := insight.Look(all, f, insight.Facts{Zone: montreal})
	sum := 0
	for _, s := range r.Steps {
		day, err := time.Parse(time.DateOnly, s.Day)
		if err != nil || day.Weekday() != time.Monday {
			t.Errorf("a week begins on %s", s.Day)
		}
		sum += s.Expired
	}
	if !r.Weekly || r.Steps[0].Day != "2025-12-29" || sum != len(all) || r.Expired != len(all) {
		t.Errorf("%d of %d in %+v", sum, len(all), r.Steps)
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	r := insight.Look(nil, march, insight.Facts{Zone: montreal})
	if r.FillRate != nil || r.FillMinutes != nil || r.OffersPerFill != nil || r.AttendRate != nil || len(r.Steps) != 31 {
		t.Errorf("%+v", r)
	}
	var out strings.Builder
	if err := r.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil || len(lines) < 100 || strings.Join(lines[9], ",") != "period,,fill_rate," {
		t.Errorf("%v %q", err, lines[:12])
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	left := func(ch engine.Channel, status reach.DeliveryStatus, proven bool) reach.Delivery {
		d := reach.Delivery{Kind: engine.MsgOffer, Channel: ch, Status: status, At: monday}
		if proven {
			d.Proof = monday
		}
		return d
	}
	var m insight.Messages
	for _, s := range []reach.State{
		{Deliveries: []reach.Delivery{left(engine.SMS, reach.Delivered, true)}, Proven: engine.SMS, Replied: true, RepliedOn: engine.SMS},
		{Deliveries: []reach.Delivery{left(engine.SMS, reach.Failed, false), left(engine.Voice, reach.Delivered, true)}, Proven: engine.Voice},
		{Deliveries: []reach.Delivery{{Kind: engine.MsgOffer, Channel: engine.EmailMail, Status: reach.Dropped}}}, // never left
		{Deliveries: []reach.Delivery{left(engine.EmailMail, reach.Sent, false)}, Replied: true, RepliedOn: engine.Page},
	} {
		m.Add(&s)
	}
	want := []insight.Reach{
		{Channel: engine.SMS, Tried: 2, Proven: 1, Failed: 1, Answered: 1},
		{Channel: engine.Voice, Tried: 1, Proven: 1},
		{Channel: engine.EmailMail, Tried: 1},
	}
	if got := m.Reach(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v", got)
	}
}
