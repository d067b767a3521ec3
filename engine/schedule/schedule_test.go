package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"relais/engine"
)

var now = time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)

func slot(n, version int, st engine.SlotStatus) engine.SlotFact {
	start := now.Add(time.Duration(n) * time.Hour)
	return engine.SlotFact{Source: fmt.Sprintf("Slot/%d", n), Version: fmt.Sprint(version), Status: st, Start: start, End: start.Add(20 * time.Minute)}
}

func appt(n, version int, live bool) engine.AppointmentFact {
	start := now.Add(time.Duration(n) * time.Hour)
	return engine.AppointmentFact{Source: fmt.Sprintf("Appointment/%d", n), Version: fmt.Sprint(version), Live: live, Slots: []string{fmt.Sprintf("Slot/%d", n)}, Start: start, End: start.Add(20 * time.Minute)}
}

func ours(a engine.AppointmentFact) engine.AppointmentFact { a.Booking = "relais-b"; return a }

func obs(facts ...any) engine.Observation {
	var o engine.Observation
	for _, f := range facts {
		switch f := f.(type) {
		case engine.SlotFact:
			o.Slots = append(o.Slots, f)
		case engine.AppointmentFact:
			o.Appointments = append(o.Appointments, f)
		}
	}
	return o
}

func full(facts ...any) engine.Observation {
	o := obs(facts...)
	o.Complete, o.From, o.Until = true, now.Add(-time.Hour), now.Add(1000*time.Hour)
	return o
}

func say(r Result) string {
	var out []string
	for _, c := range r.Changes {
		switch c := c.(type) {
		case Freed:
			out = append(out, strings.TrimSuffix("freed "+c.Slot.Source+" "+c.Appointment, " "))
		case Occupied:
			out = append(out, strings.TrimSuffix(c.Why+" "+c.Slot.Source+" "+string(c.Booking), " "))
		case Suspect:
			out = append(out, "suspect "+c.Slot.Source)
		}
	}
	if r.Implausible != "" {
		out = append(out, "implausible")
	}
	return strings.Join(out, ", ")
}

func TestScenarios(t *testing.T) {
	type step struct {
		obs  engine.Observation
		want string
	}
	const f, b, x = engine.SlotFree, engine.SlotBusy, engine.SlotBlocked
	moved := slot(5, 2, f)
	moved.Start, moved.End = moved.Start.Add(time.Hour), moved.End.Add(time.Hour)
	noTimes := slot(5, 2, engine.SlotUnknown)
	noTimes.Start, noTimes.End = time.Time{}, time.Time{}
	other := appt(5, 1, true)
	other.Source = "Appointment/77"
	for name, steps := range map[string][]step{
		"first sight is the baseline":        {{obs(slot(1, 1, f), slot(2, 1, b)), ""}},
		"cancelled and freed in one look":    {{obs(slot(5, 1, b), appt(5, 1, true)), ""}, {obs(slot(5, 2, f), appt(5, 2, false)), "freed Slot/5 Appointment/5"}},
		"busy without appointment, freed":    {{obs(slot(5, 1, b)), ""}, {obs(slot(5, 2, f)), "freed Slot/5"}},
		"cancelled first, slot freed later":  {{obs(slot(5, 1, b), appt(5, 1, true)), ""}, {obs(appt(5, 2, false)), "suspect Slot/5"}, {obs(slot(5, 2, f)), "freed Slot/5 Appointment/5"}},
		"slot freed first, then cancelled":   {{obs(slot(5, 1, b), appt(5, 1, true)), ""}, {obs(slot(5, 2, f)), ""}, {obs(appt(5, 2, false)), "freed Slot/5 Appointment/5"}},
		"the same change twice counts once":  {{obs(slot(5, 1, b)), ""}, {obs(slot(5, 2, f), slot(5, 2, f)), "freed Slot/5"}, {obs(slot(5, 2, f)), ""}},
		"an older version is ignored":        {{obs(slot(5, 9, b)), ""}, {obs(slot(5, 8, f)), ""}, {obs(slot(5, 10, f)), "freed Slot/5"}},
		"the past is never freed":            {{obs(slot(-1, 1, b)), ""}, {obs(slot(-1, 2, f)), ""}},
		"blocked is not free":                {{obs(slot(5, 1, b)), ""}, {obs(slot(5, 2, x)), ""}, {obs(slot(5, 3, f)), ""}},
		"unknown is not free":                {{obs(slot(5, 1, f)), ""}, {obs(slot(5, 2, engine.SlotUnknown)), "blocked Slot/5"}},
		"a status nobody knows is not free":  {{obs(slot(5, 1, f)), ""}, {obs(slot(5, 2, "taken")), "blocked Slot/5"}},
		"a slot that lost its times":         {{obs(slot(5, 1, f)), ""}, {obs(noTimes), "blocked Slot/5"}},
		"taken by somebody":                  {{obs(slot(5, 1, f)), ""}, {obs(slot(5, 2, b), other), "taken Slot/5"}},
		"taken by us":                        {{obs(slot(5, 1, f)), ""}, {obs(slot(5, 2, b), ours(appt(5, 1, true))), "taken Slot/5 relais-b"}},
		"an appointment alone takes a slot":  {{obs(slot(5, 1, f)), ""}, {obs(appt(5, 1, true)), "taken Slot/5"}},
		"one appointment replaces another":   {{obs(slot(5, 1, b), appt(5, 1, true)), ""}, {obs(appt(5, 2, false), other), "taken Slot/5"}},
		"one of two appointments is enough":  {{obs(slot(5, 1, b), appt(5, 1, true), other), ""}, {obs(appt(5, 2, false), slot(5, 2, f)), "taken Slot/5"}},
		"moved":                              {{obs(slot(5, 1, f)), ""}, {obs(moved), "moved Slot/5"}},
		"deleted by word":                    {{obs(slot(5, 1, f)), ""}, {obs(slot(5, 2, engine.SlotGone)), "gone Slot/5"}, {obs(slot(5, 2, engine.SlotGone)), ""}},
		"deleted by absence":                 {{obs(slot(5, 1, f), slot(6, 1, b)), ""}, {full(slot(6, 1, b)), "gone Slot/5"}},
		"a late page does not bring it back": {{obs(slot(5, 1, f), slot(6, 1, b)), ""}, {full(slot(6, 1, b)), "gone Slot/5"}, {obs(slot(5, 1, f)), ""}, {full(slot(5, 1, f), slot(6, 1, b)), ""}, {obs(slot(5, 2, b)), "taken Slot/5"}},
		"an appointment that vanished":       {{obs(slot(5, 1, b), appt(5, 1, true)), ""}, {full(slot(5, 1, b)), "suspect Slot/5"}, {full(slot(5, 2, f)), "freed Slot/5 Appointment/5"}},
		"empty is not believed":              {{obs(slot(5, 1, f)), ""}, {full(), "implausible"}, {full(slot(5, 1, f)), ""}},
		"empty at the very start is":         {{full(), ""}, {full(slot(5, 1, f)), ""}},
		"freed while nobody looked":          {{full(slot(5, 1, b), slot(6, 1, b)), ""}, {full(slot(5, 7, f), slot(6, 1, b)), "freed Slot/5"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := New()
			for i, s := range steps {
				r := m.Apply(s.obs, now)
				if got := say(r); got != s.want {
					t.Fatalf("look %d: %q, want %q", i+1, got, s.want)
				}
				if again := m.Apply(s.obs, now); s.want != "implausible" && (say(again) != "" || len(again.Touched) != 0) {
					t.Fatalf("look %d once more: %q, %d touched", i+1, say(again), len(again.Touched))
				}
			}
		})
	}
}

func TestImplausibleDropChangesNothing(t *testing.T) {
	m := New()
	var all []any
	for i := range 30 {
		all = append(all, slot(i+1, 1, engine.SlotBusy), appt(i+1, 1, true))
	}
	m.Apply(full(all...), now)
	before := slices.Collect(keys(m))
	r := m.Apply(full(all[22:]...), now) // 11 of 30 slots are missing
	if r.Implausible == "" || len(r.Changes)+len(r.Touched) != 0 || !slices.Equal(before, slices.Collect(keys(m))) {
		t.Fatalf("11 of 30: %q, %d changes", r.Implausible, len(r.Changes))
	}
	noAppointments := full(all...)
	noAppointments.Appointments = nil
	if r := m.Apply(noAppointments, now); !strings.Contains(r.Implausible, "30 of 30 coming appointments") {
		t.Fatalf("no appointment any more: %q", r.Implausible)
	}
	if r := m.Apply(full(all[20:]...), now); r.Implausible != "" || len(r.Changes) != 10 {
		t.Fatalf("10 of 30 is a third, not more: %q, %d changes", r.Implausible, len(r.Changes))
	}
	m.Believe()
	if r := m.Apply(full(all[58:]...), now); r.Implausible != "" || len(r.Changes) != 19 {
		t.Fatalf("somebody said it is right: %q, %d changes", r.Implausible, len(r.Changes))
	}
	if r := m.Apply(full(), now); r.Implausible == "" {
		t.Fatal("believing lasts for one snapshot")
	}
}

func keys(m *Mirror) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for s, a := range m.All() {
			if !yield(s.Source + s.Version + string(s.Status) + a.Source) {
				return
			}
		}
	}
}

func TestFreedByAppointmentNeedsAFreshRead(t *testing.T) {
	m := New()
	m.FreeByAppointment = true
	m.Apply(obs(slot(5, 1, engine.SlotBusy), appt(5, 1, true)), now)
	if got := say(m.Apply(obs(appt(5, 2, false)), now)); got != "suspect Slot/5" {
		t.Fatalf("cancelled: %q", got)
	}
	read := obs(slot(5, 1, engine.SlotBusy), appt(5, 2, false))
	if got := say(m.ApplyRead("Slot/5", read, now)); got != "freed Slot/5 Appointment/5" {
		t.Fatalf("read: %q", got)
	}
	if got := say(m.Apply(read, now)); got != "" || !m.Bookable("Slot/5") {
		t.Fatalf("the next look takes it back: %q", got)
	}
	strict := New()
	strict.Apply(obs(slot(5, 1, engine.SlotBusy), appt(5, 1, true)), now)
	strict.Apply(obs(appt(5, 2, false)), now)
	if got := say(strict.ApplyRead("Slot/5", read, now)); got != "" {
		t.Fatalf("elsewhere busy is busy: %q", got)
	}
}

func TestReadShowsAnAppointmentDeleted(t *testing.T) {
	m := New()
	m.Apply(obs(slot(5, 1, engine.SlotBusy), appt(5, 1, true)), now)
	if got := say(m.ApplyRead("Slot/5", obs(slot(5, 2, engine.SlotFree)), now)); got != "freed Slot/5 Appointment/5" {
		t.Fatalf("%q", got)
	}
	if a, _ := m.Appointment("Appointment/5"); !a.Gone || a.Live {
		t.Fatalf("%+v", a)
	}
}

func TestOccupantIsOursFirst(t *testing.T) {
	m := New()
	mine := ours(appt(5, 1, true))
	mine.Source = "Appointment/900"
	m.Apply(obs(slot(5, 1, engine.SlotBusy), appt(5, 1, true), mine), now)
	if a, ok := m.Occupant("Slot/5"); !ok || a.Source != "Appointment/900" {
		t.Fatalf("%v %+v", ok, a)
	}
	if _, ok := m.Occupant("Slot/6"); ok {
		t.Fatal("nobody is on a slot that does not exist")
	}
}

func TestKeptFactsBringTheMirrorBack(t *testing.T) {
	m, kept := New(), map[string]Fact{}
	keep := func(list []Fact) {
		for _, f := range list {
			if kept[f.Key] = f; f.Slot == nil && f.Appointment == nil {
				delete(kept, f.Key)
			}
		}
	}
	keep(m.Apply(full(slot(1, 1, engine.SlotBusy), appt(1, 1, true), slot(2, 1, engine.SlotFree), slot(3, 1, engine.SlotBusy)), now).Touched)
	keep(m.Apply(full(slot(1, 1, engine.SlotBusy), appt(1, 2, false), slot(3, 2, engine.SlotFree)), now).Touched)
	keep(m.Prune(now.Add(26 * time.Hour))) // Slot/1 and its appointment ended more than a day ago
	back := New()
	for _, f := range kept {
		back.Load(f)
	}
	if diff := cmp.Diff(slices.Collect(keys(m)), slices.Collect(keys(back))); diff != "" {
		t.Fatal(diff)
	}
	if s, a := back.Len(); s != 2 || a != 0 {
		t.Fatalf("%d slots, %d appointments", s, a)
	}
}

func TestOldFactsAreNotTakenBackIn(t *testing.T) {
	m := New()
	old := slot(-30, 1, engine.SlotBusy)
	if r := m.Apply(full(old, appt(-30, 1, true)), now); len(r.Touched) != 0 {
		t.Fatalf("%d facts of the day before yesterday kept", len(r.Touched))
	}
}

// Facts that carry versions may come in any order, any number of times: what is known in the end
// is the newest version of each, and only the transitions that were really seen are told.
func TestOrderAndDuplicatesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var history []any
		newest := map[string]any{}
		for n := 1; n <= 4; n++ {
			for v := 1; v <= rapid.IntRange(1, 5).Draw(t, "versions"); v++ {
				s := slot(n, v, rapid.SampledFrom([]engine.SlotStatus{engine.SlotFree, engine.SlotBusy, engine.SlotBlocked, engine.SlotUnknown}).Draw(t, "status"))
				a := appt(n, v, rapid.Bool().Draw(t, "live"))
				history = append(history, s, a)
				newest[s.Source], newest[a.Source] = s, a
			}
		}
		seed := rapid.Uint64().Draw(t, "shuffle")
		mixed := append(slices.Clone(history), history[:rapid.IntRange(0, len(history)).Draw(t, "again")]...)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		m, openSlots := New(), map[string]bool{}
		for len(mixed) > 0 {
			n := rapid.IntRange(1, len(mixed)).Draw(t, "look")
			for _, c := range m.Apply(obs(mixed[:n]...), now).Changes {
				switch c := c.(type) {
				case Freed:
					if openSlots[c.Slot.Source] {
						t.Fatalf("%s freed twice", c.Slot.Source)
					}
					openSlots[c.Slot.Source] = true
					if !m.Bookable(c.Slot.Source) {
						t.Fatalf("%s freed and not bookable", c.Slot.Source)
					}
				case Occupied:
					openSlots[c.Slot.Source] = false
				case Suspect:
				}
			}
			mixed = mixed[n:]
		}
		for source, open := range openSlots {
			if open && !m.Bookable(source) {
				t.Fatalf("%s is open and not bookable", source)
			}
		}
		for source, want := range newest {
			switch want := want.(type) {
			case engine.SlotFact:
				if got, _ := m.Slot(source); got != want {
					t.Fatalf("%s is %+v, want %+v", source, got, want)
				}
			case engine.AppointmentFact:
				if got, _ := m.Appointment(source); got.Version != want.Version || got.Live != want.Live {
					t.Fatalf("%s is %+v, want %+v", source, got, want)
				}
			}
		}
	})
}

// A snapshot that is believed leaves exactly its own slots in its window.
func TestSnapshotIsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := New()
		var first, second []any
		want := 0
		for n := 1; n <= 9; n++ {
			st := rapid.SampledFrom([]engine.SlotStatus{engine.SlotFree, engine.SlotBusy, engine.SlotBlocked})
			if rapid.Bool().Draw(t, "known") {
				first = append(first, slot(n, 1, st.Draw(t, "was")))
			}
			if n == 9 || rapid.Bool().Draw(t, "shown") {
				second = append(second, slot(n, 2, st.Draw(t, "is")))
				want++
			}
		}
		m.Apply(full(first...), now)
		r := m.Apply(full(second...), now)
		if r.Implausible != "" {
			t.Fatalf("fewer than %d are never implausible: %s", minDrop, r.Implausible)
		}
		if got := len(slices.Collect(keys(m))); got != want {
			t.Fatalf("%d slots left, want %d", got, want)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	const n = 50_000
	var facts []any
	for i := range n {
		facts = append(facts, slot(i+1, 1, engine.SlotBusy), appt(i+1, 1, true))
	}
	big := obs(facts...)
	big.Complete, big.From, big.Until = true, now, now.Add(2*n*time.Hour)
	b.Run("first snapshot of 50000", func(b *testing.B) {
		for b.Loop() {
			New().Apply(big, now)
		}
	})
	m := New()
	m.Apply(big, now)
	b.Run("same snapshot of 50000", func(b *testing.B) {
		for b.Loop() {
			m.Apply(big, now)
		}
	})
	version := 1
	b.Run("one change among 50000", func(b *testing.B) {
		for b.Loop() {
			version++
			m.Apply(obs(slot(7, version, engine.SlotFree), appt(7, version, version%2 == 0)), now)
		}
	})
}
