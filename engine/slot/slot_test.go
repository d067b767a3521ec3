package slot

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"relais/engine"

	"pgregory.net/rapid"
)

// A state whose Wake is not the deadline while nothing may leave is not one that Step makes. Even
// so nobody is asked.
func TestSilenceDoesNotHangOnWake(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	policy := engine.DefaultPolicy()
	s, _, err := Step(State{}, Opened{Slot: theSlot(now.Add(4 * time.Hour))}, now, policy, engine.Automatic, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, silence := range map[string]func(*State){
		"suspended": func(s *State) { s.Suspended = true },
		"paused":    func(s *State) { s.Paused = true },
		"approval":  func(s *State) { s.Phase = Approval },
		"grace":     func(s *State) { s.HoldUntil = now.Add(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s
			silence(&s)
			if WantsCandidates(s, now, policy, engine.Automatic) {
				t.Error("candidates are wanted")
			}
			next, effects, err := Step(s, Tick{Gen: s.Gen, Candidates: people(0, 3)}, now, policy, engine.Automatic, nil)
			if err != nil || len(effects) > 0 {
				t.Errorf("did %v, %v", effects, err)
			}
			if !next.Wake.After(now) {
				t.Errorf("would wake again at %s", next.Wake)
			}
		})
	}
}

func TestOpenedRefusesNonsense(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	good := theSlot(now.Add(4 * time.Hour))
	other, nameless, endless, backward := good, good, good, good
	other.ID = "other"
	nameless.ID = ""
	endless.End = time.Time{}
	backward.End = good.Start
	policy := engine.DefaultPolicy()
	s, _, err := Step(State{}, Opened{Slot: good}, now, policy, engine.Automatic, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		from State
		slot engine.Slot
	}{
		{"another slot", s, other},
		{"no identifier", State{}, nameless},
		{"no end", State{}, endless},
		{"ends when it starts", State{}, backward},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := Step(tc.from, Opened{Slot: tc.slot}, now, policy, engine.Automatic, nil); engine.CodeOf(err) != engine.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Times are stored in UTC whatever the caller's zone, without the reading of a monotonic clock.
func TestTimesAreUTC(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("EST", -5*3600)
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, zone)
	s, _, err := Step(State{}, Opened{Slot: theSlot(now.Add(4 * time.Hour))}, now, engine.DefaultPolicy(), engine.Automatic, zone)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]time.Time{
		"start": s.Slot.Start, "end": s.Slot.End, "opened": s.OpenedAt,
		"hold": s.HoldUntil, "deadline": s.Deadline, "wake": s.Wake,
	} {
		if at.Location() != time.UTC {
			t.Errorf("%s is in %s", name, at.Location())
		}
	}
}

// BenchmarkClaim is the step between a yes and its commit, with the most people that the default
// policy asks.
func BenchmarkClaim(b *testing.B) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	policy := engine.DefaultPolicy()
	policy.Size = policy.MaxAsked
	step := func(s State, in Input) State {
		next, _, err := Step(s, in, now, policy, engine.Automatic, time.UTC)
		if err != nil {
			b.Fatal(err)
		}
		return next
	}
	s := step(State{}, Opened{Slot: theSlot(now.Add(4 * time.Hour))})
	s = step(s, Tick{Gen: s.Gen, Candidates: people(0, policy.MaxAsked)})
	yes := Reply{Offer: s.Offers[30].ID, Yes: true, Channel: engine.SMS, ID: "r"}
	b.ReportAllocs()
	for b.Loop() {
		if step(s, yes).Phase != Claimed {
			b.Fatal("not claimed")
		}
	}
}

// BenchmarkLate is what all others of a race cost.
func BenchmarkLate(b *testing.B) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	policy := engine.DefaultPolicy()
	policy.Size = policy.MaxAsked
	s, _, _ := Step(State{}, Opened{Slot: theSlot(now.Add(4 * time.Hour))}, now, policy, engine.Automatic, time.UTC)
	s, _, _ = Step(s, Tick{Gen: s.Gen, Candidates: people(0, policy.MaxAsked)}, now, policy, engine.Automatic, time.UTC)
	s, _, err := Step(s, Reply{Offer: s.Offers[30].ID, Yes: true}, now, policy, engine.Automatic, time.UTC)
	if err != nil {
		b.Fatal(err)
	}
	late := Reply{Offer: s.Offers[31].ID, Yes: true, Channel: engine.SMS, ID: "r"}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Step(s, late, now, policy, engine.Automatic, time.UTC); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWave is one wave of three out of fifty candidates.
func BenchmarkWave(b *testing.B) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	policy := engine.DefaultPolicy()
	s, _, err := Step(State{}, Opened{Slot: theSlot(now.Add(4 * time.Hour))}, now, policy, engine.Automatic, time.UTC)
	if err != nil {
		b.Fatal(err)
	}
	tick := Tick{Gen: s.Gen, Candidates: people(0, 50)}
	b.ReportAllocs()
	for b.Loop() {
		if next, _, _ := Step(s, tick, now, policy, engine.Automatic, time.UTC); len(next.Offers) != 3 {
			b.Fatal("no wave")
		}
	}
}

// However names repeat, nobody is asked twice: the quick look at names agrees with a slow one.
func TestUnaskedAgreesWithASlowLook(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) string { return strconv.Itoa(rapid.IntRange(0, 150).Draw(t, "n")) })
		var s turn
		patients, entries := map[engine.PatientID]bool{}, map[engine.EntryID]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "offers") {
			o := Offer{Patient: engine.PatientID("p" + name.Draw(t, "patient")), Entry: engine.EntryID("e" + name.Draw(t, "entry"))}
			patients[o.Patient], entries[o.Entry] = true, true
			s.Offers = append(s.Offers, o)
		}
		for range rapid.IntRange(0, 10).Draw(t, "asked") {
			p := engine.PatientID("p" + name.Draw(t, "before"))
			patients[p] = true
			s.Asked = append(s.Asked, p)
		}
		var all, want []engine.Candidate
		for range rapid.IntRange(0, 100).Draw(t, "candidates") {
			c := engine.Candidate{Patient: engine.PatientID("p" + name.Draw(t, "patient")), Entry: engine.EntryID("e" + name.Draw(t, "entry"))}
			all = append(all, c)
			if !patients[c.Patient] && !entries[c.Entry] {
				patients[c.Patient], entries[c.Entry] = true, true
				want = append(want, c)
			}
		}
		given := slices.Clone(all)
		got := s.unasked(all)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if !slices.Equal(all, given) {
			t.Fatal("the caller's list changed")
		}
	})
}
