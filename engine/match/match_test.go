package match_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"relais/engine"
	"relais/engine/match"
)

var montreal = zone("America/Toronto")

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

// Tuesday, 24 November 2026, 9:20 to 9:40 in Montreal.
var (
	start = time.Date(2026, 11, 24, 9, 20, 0, 0, montreal)
	slot  = engine.Slot{
		Clinic: "rosemont", Practitioner: "tremblay", Place: "main", Specialty: "dermatology",
		Start: start.UTC(), End: start.Add(20 * time.Minute).UTC(),
	}
	query = match.Query{
		Slot: slot, Place: engine.Point{Lat: 45.54, Lon: -73.59}, Zone: montreal,
		Now: start.Add(-24 * time.Hour).UTC(), Limit: 10,
	}
)

func entry(change func(*engine.Entry)) engine.Entry {
	e := engine.Entry{
		ID: "e1", Clinic: "rosemont", Patient: "p1", Status: engine.Waiting, Specialty: "dermatology",
		Joined: start.AddDate(0, 0, -30).UTC(),
	}
	if change != nil {
		change(&e)
	}
	return e
}

func TestObstacles(t *testing.T) {
	t.Parallel()
	tuesdays := uint8(1 << time.Tuesday)
	for _, c := range []struct {
		name   string
		want   match.Obstacle
		change func(*engine.Entry)
	}{
		{"fits", "", nil},
		{"snoozed", match.NotWaiting, func(e *engine.Entry) { e.Status = engine.Snoozed }},
		{"another clinic", match.NotWaiting, func(e *engine.Entry) { e.Clinic = "laval" }},
		{"another specialty", match.Specialty, func(e *engine.Entry) { e.Specialty = "family" }},
		{"another practitioner", match.Practitioner, func(e *engine.Entry) { e.Practitioners = []engine.PractitionerID{"roy"} }},
		{"this practitioner among others", "", func(e *engine.Entry) { e.Practitioners = []engine.PractitionerID{"roy", "tremblay"} }},
		{"another place", match.Place, func(e *engine.Entry) { e.Places = []engine.PlaceID{"annex"} }},
		{"named place outweighs distance", "", func(e *engine.Entry) {
			e.Places, e.Home, e.RadiusKm = []engine.PlaceID{"main"}, &engine.Point{Lat: 46.81, Lon: -71.21}, 5
		}},
		{"too far", match.Distance, func(e *engine.Entry) { e.Home, e.RadiusKm = &engine.Point{Lat: 46.81, Lon: -71.21}, 100 }},
		{"near enough", "", func(e *engine.Entry) { e.Home, e.RadiusKm = &engine.Point{Lat: 46.81, Lon: -71.21}, 300 }},
		{"tuesday morning", "", func(e *engine.Entry) { e.Windows = []engine.Window{{Days: tuesdays, From: 8 * 60, Until: 12 * 60}} }},
		{"window ends inside the slot", match.Availability, func(e *engine.Entry) {
			e.Windows = []engine.Window{{Days: tuesdays, From: 8 * 60, Until: 9*60 + 30}}
		}},
		{"window fits to the minute", "", func(e *engine.Entry) {
			e.Windows = []engine.Window{{Days: tuesdays, From: 9*60 + 20, Until: 9*60 + 40}}
		}},
		{"only wednesdays", match.Availability, func(e *engine.Entry) {
			e.Windows = []engine.Window{{Days: 1 << time.Wednesday, From: 0, Until: 24 * 60}}
		}},
		{"not yet", match.Dates, func(e *engine.Entry) { e.NotBefore = start.Add(time.Second) }},
		{"too late for them", match.Dates, func(e *engine.Entry) { e.NotAfter = start.Add(-time.Second) }},
		{"notice just enough", "", func(e *engine.Entry) { e.Notice = 24 * time.Hour }},
		{"notice too short", match.Notice, func(e *engine.Entry) { e.Notice = 24*time.Hour + time.Second }},
		{"has an appointment as early", match.Current, func(e *engine.Entry) { e.Current = &engine.Appointment{Start: start} }},
		{"has a later appointment", "", func(e *engine.Entry) { e.Current = &engine.Appointment{Start: start.Add(time.Minute)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := match.New()
			x.Put(entry(c.change), 0)
			got, ok := x.Explain("e1", query)
			if got != c.want || ok != (c.want == "") {
				t.Errorf("Explain = %q, %v; want %q", got, ok, c.want)
			}
			if n := len(x.Rank(nil, query)); (n == 1) != (c.want == "") {
				t.Errorf("Rank found %d", n)
			}
		})
	}
	if o, ok := match.New().Explain("nobody", query); ok || o != match.NotWaiting {
		t.Errorf("an unknown entry: %q, %v", o, ok)
	}
}

func TestSlotOverMidnight(t *testing.T) {
	t.Parallel()
	q := query
	q.Slot.Start = time.Date(2026, 11, 24, 23, 50, 0, 0, montreal)
	q.Slot.End = q.Slot.Start.Add(20 * time.Minute)
	x := match.New()
	x.Put(entry(func(e *engine.Entry) { e.Windows = []engine.Window{{Days: 1 << time.Tuesday, From: 0, Until: 24 * 60}} }), 0)
	if o, _ := x.Explain("e1", q); o != match.Availability {
		t.Errorf("a slot that ends tomorrow fits a window that ends today: %q", o)
	}
}

// In Montreal the clock goes back on 1 November 2026: windows are wall-clock times.
func TestWindowsFollowTheWallClock(t *testing.T) {
	t.Parallel()
	x := match.New()
	x.Put(entry(func(e *engine.Entry) { e.Windows = []engine.Window{{Days: 127, From: 9 * 60, Until: 10 * 60}} }), 0)
	for _, day := range []int{30, 33} { // before and after
		q := query
		q.Now = time.Date(2026, 10, 1, 0, 0, 0, 0, montreal)
		q.Slot.Start = time.Date(2026, 10, day, 9, 0, 0, 0, montreal)
		q.Slot.End = q.Slot.Start.Add(time.Hour)
		if o, ok := x.Explain("e1", q); !ok {
			t.Errorf("October %d: %q", day, o)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	x := match.New()
	put := func(id string, class, lost, offered, daysAgo int) {
		x.Put(entry(func(e *engine.Entry) {
			e.ID, e.Patient, e.Class, e.Lost = engine.EntryID(id), engine.PatientID(id), class, lost
			e.Joined = start.AddDate(0, 0, -daysAgo)
		}), offered)
	}
	put("waited-long", 1, 0, 0, 100)
	put("waited-less", 1, 0, 0, 50)
	put("tired", 1, 0, 11, 100) // 100 days less 55
	put("lost-before", 1, 1, 0, 1)
	put("pressing", 0, 0, 0, 1)
	put("tie-b", 2, 0, 0, 7)
	put("tie-a", 2, 0, 0, 7)
	var got []string
	for _, c := range x.Rank(nil, query) {
		got = append(got, string(c.Entry))
	}
	want := []string{"pressing", "lost-before", "waited-long", "waited-less", "tired", "tie-a", "tie-b"}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestKilometres(t *testing.T) {
	t.Parallel()
	montrealCity, quebec := engine.Point{Lat: 45.5019, Lon: -73.5674}, engine.Point{Lat: 46.8139, Lon: -71.2080}
	if d := match.Kilometres(montrealCity, quebec); math.Abs(d-233) > 3 { // geodesic: 233 km
		t.Errorf("Montreal to Quebec: %.1f km", d)
	}
	if d := match.Kilometres(quebec, quebec); d != 0 {
		t.Errorf("to itself: %v", d)
	}
}

// naive is the meaning of Rank, written without an index.
func naive(entries map[engine.EntryID]engine.Entry, offered map[engine.EntryID]int, q match.Query) []engine.EntryID {
	x := match.New()
	for id, e := range entries {
		x.Put(e, offered[id])
	}
	var fits []engine.Entry
	for id, e := range entries {
		if _, ok := x.Explain(id, q); ok {
			fits = append(fits, e)
		}
	}
	priority := func(e engine.Entry) float64 {
		return q.Now.Sub(e.Joined).Hours()/24 - 5*float64(offered[e.ID])
	}
	slices.SortFunc(fits, func(a, b engine.Entry) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(b.Lost, a.Lost),
			cmp.Compare(priority(b), priority(a)), cmp.Compare(a.ID, b.ID))
	})
	var ids []engine.EntryID
	for _, e := range fits[:min(q.Limit, len(fits))] {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestRankAgainstPlainSort(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := match.New()
		entries, offered := map[engine.EntryID]engine.Entry{}, map[engine.EntryID]int{}
		for range rapid.IntRange(0, 1500).Draw(t, "operations") {
			id := engine.EntryID(fmt.Sprintf("e%d", rapid.IntRange(0, 900).Draw(t, "id")))
			if rapid.IntRange(0, 4).Draw(t, "what") == 0 {
				x.Remove(id)
				delete(entries, id)
				delete(offered, id)
				continue
			}
			e := entry(func(e *engine.Entry) {
				e.ID, e.Patient = id, engine.PatientID(id)
				e.Class = rapid.IntRange(0, 2).Draw(t, "class")
				e.Lost = rapid.IntRange(0, 1).Draw(t, "lost")
				e.Joined = start.Add(-time.Duration(rapid.IntRange(0, 90).Draw(t, "days")) * 24 * time.Hour)
				if rapid.IntRange(0, 3).Draw(t, "specialty") == 0 {
					e.Specialty = "family"
				}
			})
			entries[id], offered[id] = e, rapid.IntRange(0, 3).Draw(t, "offered")
			x.Put(e, offered[id])
		}
		q := query
		q.Limit = rapid.IntRange(1, 1000).Draw(t, "limit")
		var got []engine.EntryID
		for _, c := range x.Rank(nil, q) {
			got = append(got, c.Entry)
		}
		if d := gocmp.Diff(naive(entries, offered, q), got); d != "" {
			t.Fatal(d)
		}
		if x.Len() != len(entries) {
			t.Fatalf("Len = %d, want %d", x.Len(), len(entries))
		}
		for id, e := range entries {
			if got, ok := x.Get(id); !ok || !gocmp.Equal(got, e) {
				t.Fatalf("Get(%s) = %v, %v", id, got, ok)
			}
		}
	})
}

func TestAcceptSeesTheOrderAndStopsAtTheLimit(t *testing.T) {
	t.Parallel()
	x := match.New()
	for i := range 2000 {
		x.Put(entry(func(e *engine.Entry) {
			e.ID = engine.EntryID(fmt.Sprintf("e%04d", i))
			e.Patient = engine.PatientID(e.ID)
		}), 0)
	}
	q, seen := query, 0
	q.Limit = 5
	q.Accept = func(c *engine.Candidate) bool {
		c.Channel = engine.SMS
		seen++
		return seen%2 == 0
	}
	got := x.Rank(nil, q)
	if len(got) != 5 || seen != 10 || got[4].Entry != "e0009" || got[0].Channel != engine.SMS {
		t.Errorf("asked about %d, got %v", seen, got)
	}
}

// BenchmarkRank asks for the best 50 of a million entries in 200 clinics, a fifth of which can come.
func BenchmarkRank(b *testing.B) {
	x := match.New()
	for i := range 1_000_000 {
		x.Put(entry(func(e *engine.Entry) {
			e.ID = engine.EntryID(fmt.Sprintf("e%07d", i))
			e.Clinic = engine.ClinicID(fmt.Sprintf("c%03d", i%200))
			e.Joined = start.Add(-time.Duration(i*7919%90_000) * time.Minute)
			e.Class = i % 3
			if i%5 != 0 {
				e.Windows = []engine.Window{{Days: 1 << time.Monday, From: 0, Until: 24 * 60}}
			}
		}), i%3)
	}
	q := query
	q.Limit = 50
	var dst []engine.Candidate
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.Slot.Clinic = engine.ClinicID(fmt.Sprintf("c%03d", i%200))
		dst = x.Rank(dst[:0], q)
	}
}

func BenchmarkPut(b *testing.B) {
	x := match.New()
	e := entry(nil)
	for i := range 1_000_000 {
		e.ID = engine.EntryID(fmt.Sprintf("e%07d", i))
		e.Joined = start.Add(-time.Duration(i*7919%90_000) * time.Minute)
		x.Put(e, 0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.ID = engine.EntryID(fmt.Sprintf("e%07d", i%1_000_000))
		e.Joined = start.Add(-time.Duration(i*31%90_000) * time.Minute)
		x.Put(e, 0)
	}
}
