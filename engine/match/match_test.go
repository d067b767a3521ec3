package match_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
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

// fits is the meaning of the rules, written without an index.
func fits(e engine.Entry, q match.Query) bool {
	s := q.Slot
	local, end := s.Start.In(q.Zone), s.End.In(q.Zone)
	inWindow := len(e.Windows) == 0
	for _, w := range e.Windows {
		y, m, d := local.Date()
		opens := time.Date(y, m, d, 0, w.From, 0, 0, q.Zone)
		closes := time.Date(y, m, d, 0, w.Until, 0, 0, q.Zone)
		if w.Days>>int(local.Weekday())&1 == 1 && !local.Before(opens) && !end.After(closes) {
			inWindow = true
		}
	}
	near, travel := true, time.Duration(0)
	if len(e.Places) > 0 {
		near = slices.Contains(e.Places, s.Place)
	} else if e.Home != nil && e.RadiusKm > 0 && q.Place != (engine.Point{}) {
		km := match.Kilometres(*e.Home, q.Place)
		near, travel = km <= e.RadiusKm, match.Travel(km).Truncate(time.Second)
	}
	return e.Status == engine.Waiting && e.Clinic == s.Clinic && e.Specialty == s.Specialty && near && inWindow &&
		(len(e.Practitioners) == 0 || slices.Contains(e.Practitioners, s.Practitioner)) &&
		(e.NotBefore.IsZero() || !s.Start.Before(e.NotBefore)) && (e.NotAfter.IsZero() || !s.End.After(e.NotAfter)) &&
		!q.Now.Add(e.Notice+travel).After(s.Start) && !q.Now.After(s.Start) &&
		(e.Current == nil || e.Current.Start.After(s.Start))
}

// naive is the meaning of Rank: filter, sort, cut.
func naive(entries map[engine.EntryID]engine.Entry, offered map[engine.EntryID]int, refuse map[engine.EntryID]bool, q match.Query) []engine.EntryID {
	var fit []engine.Entry
	for id, e := range entries {
		if fits(e, q) && !refuse[id] {
			fit = append(fit, e)
		}
	}
	since := func(e engine.Entry) time.Time {
		return e.Joined.Add(time.Duration(offered[e.ID]) * match.OfferCost)
	}
	slices.SortFunc(fit, func(a, b engine.Entry) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(b.Lost, a.Lost),
			since(a).Compare(since(b)), cmp.Compare(a.ID, b.ID))
	})
	var ids []engine.EntryID
	for _, e := range fit[:min(q.Limit, len(fit))] {
		ids = append(ids, e.ID)
	}
	return ids
}

func pick[T any](t *rapid.T, name string, of ...T) T { return rapid.SampledFrom(of).Draw(t, name) }

// around draws a position near where the slot may be: in Montreal, in the far north, at the date
// line or anywhere.
func around(t *rapid.T, centre engine.Point) engine.Point {
	if rapid.IntRange(0, 9).Draw(t, "far") == 0 {
		return engine.Point{Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, "lon")}
	}
	p := engine.Point{
		Lat: centre.Lat + rapid.Float64Range(-2, 2).Draw(t, "dlat"),
		Lon: centre.Lon + rapid.Float64Range(-3, 3).Draw(t, "dlon"),
	}
	p.Lat = max(-90, min(90, p.Lat))
	if p.Lon > 180 {
		p.Lon -= 360
	}
	return p
}

func anyEntry(t *rapid.T, id engine.EntryID, centre engine.Point) engine.Entry {
	e := engine.Entry{
		ID: id, Patient: engine.PatientID(id),
		Clinic:    pick[engine.ClinicID](t, "clinic", "rosemont", "rosemont", "rosemont", "laval"),
		Status:    pick(t, "status", engine.Waiting, engine.Waiting, engine.Waiting, engine.Snoozed),
		Specialty: pick[engine.Specialty](t, "specialty", "dermatology", "dermatology", "family"),
		Class:     rapid.IntRange(0, 2).Draw(t, "class"),
		Lost:      rapid.IntRange(0, 1).Draw(t, "lost"),
		Joined:    start.Add(-time.Duration(rapid.IntRange(0, 40).Draw(t, "days")) * 24 * time.Hour).UTC(),
		Notice:    pick(t, "notice", 0, 0, time.Hour, 24*time.Hour, 24*time.Hour+time.Nanosecond),
	}
	switch rapid.IntRange(0, 4).Draw(t, "where") {
	case 0:
		e.Places = rapid.SliceOfN(rapid.SampledFrom([]engine.PlaceID{"main", "annex", "north"}), 1, 3).Draw(t, "places")
	case 1:
	default:
		home := around(t, centre)
		e.Home, e.RadiusKm = &home, pick[float64](t, "radius", 0, 3, 5, 12, 40, 80, 150, 160, 400)
	}
	if rapid.Bool().Draw(t, "choosy") {
		e.Practitioners = []engine.PractitionerID{pick[engine.PractitionerID](t, "practitioner", "tremblay", "roy")}
	}
	for range rapid.IntRange(0, 2).Draw(t, "windows") {
		e.Windows = append(e.Windows, engine.Window{
			Days: rapid.Uint8Range(0, 127).Draw(t, "on"),
			From: pick(t, "from", 0, 8*60, 9*60+20, 9*60+21), Until: pick(t, "until", 9*60+39, 9*60+40, 12*60, 24*60),
		})
	}
	at := start.Add(pick(t, "offset", -time.Hour, -time.Nanosecond, 0, time.Nanosecond, 20*time.Minute, time.Hour)).UTC()
	switch rapid.IntRange(0, 5).Draw(t, "dates") {
	case 0:
		e.NotBefore = at
	case 1:
		e.NotAfter = at
	case 2:
		e.Current = &engine.Appointment{Start: at}
	}
	return e
}

// TestIndexAgainstPlainSort plays random lists against the plain meaning: who, in what order, and
// that Explain agrees, wherever on earth the slot is.
func TestIndexAgainstPlainSort(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := match.New()
		entries, offered := map[engine.EntryID]engine.Entry{}, map[engine.EntryID]int{}
		q := query
		q.Place = pick(t, "place", query.Place, engine.Point{Lat: 62.42, Lon: -77.91}, engine.Point{Lat: -17, Lon: 179.5},
			engine.Point{Lat: 89, Lon: 10}, engine.Point{})
		for i := range rapid.IntRange(0, 120).Draw(t, "operations") {
			id := engine.EntryID(fmt.Sprintf("e%d", i%80))
			if i >= 80 && rapid.Bool().Draw(t, "remove") {
				x.Remove(id)
				delete(entries, id)
				delete(offered, id)
				continue
			}
			entries[id], offered[id] = anyEntry(t, id, q.Place), rapid.IntRange(0, 3).Draw(t, "offered")
			x.Put(entries[id], offered[id])
		}
		// Accept refuses some, and knows of more offers than the index does.
		refuse, more := map[engine.EntryID]bool{}, map[engine.EntryID]int{}
		for id := range entries {
			refuse[id] = rapid.IntRange(0, 4).Draw(t, "refuse") == 0
			more[id] = offered[id] + rapid.IntRange(0, 2).Draw(t, "more")
		}
		asked := map[engine.EntryID]bool{}
		q.Limit = rapid.IntRange(0, 90).Draw(t, "limit")
		q.Accept = func(c *engine.Candidate) bool {
			if asked[c.Entry] {
				t.Fatalf("asked twice about %s", c.Entry)
			}
			asked[c.Entry] = true
			c.Offered = more[c.Entry]
			return !refuse[c.Entry]
		}
		var got []engine.EntryID
		for _, c := range x.Rank(nil, q) {
			got = append(got, c.Entry)
			if want := c.Waited - 5*float64(more[c.Entry]); math.Abs(c.Priority-want) > 1e-9 {
				t.Fatalf("priority of %s: %v, want %v", c.Entry, c.Priority, want)
			}
		}
		if d := gocmp.Diff(naive(entries, more, refuse, q), got); d != "" {
			t.Fatal(d)
		}
		waiting := 0
		for _, e := range entries {
			if e.Status == engine.Waiting {
				waiting++
			}
		}
		if x.Len() != waiting {
			t.Fatalf("Len = %d, want %d", x.Len(), waiting)
		}
		for id, e := range entries {
			if o, ok := x.Explain(id, q); ok != fits(e, q) || ok != (o == "") {
				t.Fatalf("Explain(%s) = %q, %v", id, o, ok)
			}
		}
	})
}

// TestNearAndFar puts homes just inside and just outside their distance, in every direction.
func TestNearAndFar(t *testing.T) {
	t.Parallel()
	for _, place := range []engine.Point{
		query.Place, {Lat: 62.42, Lon: -77.91}, {Lat: -45, Lon: 170}, {Lat: 0.1, Lon: 0.1}, {Lat: -17, Lon: 179.9}, {Lat: 84, Lon: -60}, {Lat: 89.9, Lon: 10},
	} {
		t.Run(fmt.Sprintf("%v", place), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(7, 8))
			x, q := match.New(), query
			q.Place, q.Limit = place, 100_000
			var want, got []engine.EntryID
			for i := range 8000 {
				radius := []float64{1, 5, 7, 10, 20, 39, 40, 50, 51, 80, 160, 300}[rnd.IntN(12)]
				bearing, away := rnd.Float64()*2*math.Pi, radius*(.98+.04*rnd.Float64())/6371
				lat, lon := place.Lat*math.Pi/180, place.Lon*math.Pi/180
				lat2 := math.Asin(math.Sin(lat)*math.Cos(away) + math.Cos(lat)*math.Sin(away)*math.Cos(bearing))
				lon2 := lon + math.Atan2(math.Sin(bearing)*math.Sin(away)*math.Cos(lat), math.Cos(away)-math.Sin(lat)*math.Sin(lat2))
				home := engine.Point{Lat: lat2 * 180 / math.Pi, Lon: math.Remainder(lon2*180/math.Pi, 360)}
				e := entry(func(e *engine.Entry) {
					e.ID, e.Home, e.RadiusKm = engine.EntryID(fmt.Sprintf("e%05d", i)), &home, radius
				})
				x.Put(e, 0)
				if fits(e, q) {
					want = append(want, e.ID)
				}
			}
			for _, c := range x.Rank(nil, q) {
				got = append(got, c.Entry)
			}
			if len(want) < 3000 || !slices.Equal(want, got) {
				t.Errorf("%d of 8000 fit, Rank found %d", len(want), len(got))
			}
		})
	}
}

// TestLongListsStaySorted fills and empties one bucket in every order that splits and joins its
// blocks.
func TestLongListsStaySorted(t *testing.T) {
	t.Parallel()
	for name, day := range map[string]func(i int) int{
		"rising":  func(i int) int { return i },
		"falling": func(i int) int { return -i },
		"mixed":   func(i int) int { return i * 7919 % 3001 },
		"equal":   func(int) int { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := match.New()
			entries := map[engine.EntryID]engine.Entry{}
			check := func() {
				t.Helper()
				q := query
				q.Limit = 5000
				var got []engine.EntryID
				for _, c := range x.Rank(nil, q) {
					got = append(got, c.Entry)
				}
				if d := gocmp.Diff(naive(entries, nil, nil, q), got); d != "" {
					t.Fatal(d)
				}
			}
			for i := range 3000 {
				e := entry(func(e *engine.Entry) {
					e.ID = engine.EntryID(fmt.Sprintf("e%04d", i))
					e.Joined = start.Add(time.Duration(day(i)) * time.Hour).UTC()
				})
				entries[e.ID] = e
				x.Put(e, 0)
			}
			check()
			for i := range 3000 {
				if i%7 != 0 {
					id := engine.EntryID(fmt.Sprintf("e%04d", i))
					x.Remove(id)
					delete(entries, id)
				}
			}
			check()
			for id := range entries {
				x.Remove(id)
				delete(entries, id)
			}
			check()
			if x.Len() != 0 {
				t.Errorf("%d entries are left", x.Len())
			}
		})
	}
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

// TestAcceptKnowsMoreOffers: an offer made since the entry was put moves a candidate to its exact
// place, also past entries that the limit would have cut off.
func TestAcceptKnowsMoreOffers(t *testing.T) {
	t.Parallel()
	x := match.New()
	for i := range 20 { // e00 joined 20 days ago, e19 yesterday
		x.Put(entry(func(e *engine.Entry) {
			e.ID = engine.EntryID(fmt.Sprintf("e%02d", i))
			e.Joined = start.AddDate(0, 0, i-20)
		}), 0)
	}
	q := query
	q.Limit = 7
	q.Accept = func(c *engine.Candidate) bool {
		if c.Entry <= "e02" {
			c.Offered = 1 + 2*int(c.Entry[2]&1) // e01 had three, its neighbours one
		}
		return true
	}
	var got []engine.EntryID
	for _, c := range x.Rank(nil, q) {
		got = append(got, c.Entry)
	}
	want := []engine.EntryID{"e03", "e04", "e00", "e05", "e06", "e02", "e07"}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 9, 20, 0, 0, montreal)
	born := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	children, french := &engine.Ages{From: 2, Until: 17}, []engine.Lang{engine.French}
	for name, c := range map[string]struct {
		by   engine.Practitioner
		p    engine.Patient
		want match.Obstacle
	}{
		"anybody":                  {want: ""},
		"language":                 {by: engine.Practitioner{Langs: french}, p: engine.Patient{Lang: engine.French}},
		"other language":           {by: engine.Practitioner{Langs: french}, p: engine.Patient{Lang: engine.English}, want: match.Language},
		"age not known":            {by: engine.Practitioner{Ages: children}, want: match.Age},
		"2 on that day":            {by: engine.Practitioner{Ages: children}, p: engine.Patient{Born: born(2024, 11, 24)}},
		"2 on the next day":        {by: engine.Practitioner{Ages: children}, p: engine.Patient{Born: born(2024, 11, 25)}, want: match.Age},
		"still 17":                 {by: engine.Practitioner{Ages: children}, p: engine.Patient{Born: born(2008, 11, 25)}},
		"18 on that day":           {by: engine.Practitioner{Ages: children}, p: engine.Patient{Born: born(2008, 11, 24)}, want: match.Age},
		"born later in the year":   {by: engine.Practitioner{Ages: &engine.Ages{From: 65, Until: 150}}, p: engine.Patient{Born: born(1961, 12, 1)}, want: match.Age},
		"born earlier in the year": {by: engine.Practitioner{Ages: &engine.Ages{From: 65, Until: 150}}, p: engine.Patient{Born: born(1961, 3, 1)}},
	} {
		if got := match.Serves(&c.by, &c.p, at); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
