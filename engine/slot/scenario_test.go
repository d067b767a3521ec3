package slot

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"relais/engine"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the results in testdata")

// TestScenarios plays testdata/*.txt: one input a line, a blank line, then for each input what
// is to be done and where the slot stands. Before every input the state goes through JSON, as
// after a crash, so nothing can hang on what is only in memory.
//
//	policy [waves|one-by-one|adaptive] [size=3] [every=10m] [max=60] [reminders=1] [courtesy=false] [chain=3] [horizon=1440h]
//	mode automatic|approval|shadow  what the next inputs are given; the slot is not told
//	changed                      the slot is told that the mode changed
//	at 9:05                      the clock, on 2 March 2026, UTC
//	wake [ann bob/voice cid+]    the clock goes to State.Wake, and ticks with these candidates; + has a later appointment
//	tick [gen=N] [ann ...]       ticks without moving the clock
//	open 14:00 [grace=1m] [depth=N] [suspended] | accepted | refused [free] | cancelled|kept APPOINTMENT | taken WHY | suspend | resume
//	yes|no OFFER [channel] | unreachable OFFER | gone ENTRY
//	approve|pause|resume!|send_now|withdraw|book NAME [rev=N]   staff
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			inputs, want, _ := strings.Cut(string(raw), "\n\n")
			got := play(t, strings.Split(strings.TrimSpace(inputs), "\n"))
			if *update {
				text := strings.TrimSpace(inputs) + "\n\n" + got
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
			}
		})
	}
}

type player struct {
	t      *testing.T
	s      State
	now    time.Time
	policy engine.Policy
	mode   engine.Mode
	out    strings.Builder
}

func clock(t *testing.T, text string) time.Time {
	t.Helper()
	c, err := time.Parse("15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(2026, 3, 2, c.Hour(), c.Minute(), 0, 0, time.UTC)
}

func play(t *testing.T, lines []string) string {
	t.Helper()
	p := &player{t: t, policy: engine.DefaultPolicy(), mode: engine.Automatic}
	p.policy.Strategy = engine.Waves // unless the scenario says otherwise
	p.now = clock(t, "9:00")
	for _, line := range lines {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p.line(line)
	}
	return p.out.String()
}

func (p *player) line(line string) {
	p.t.Helper()
	f := strings.Fields(line)
	switch f[0] {
	case "policy":
		p.setPolicy(f[1:])
		return
	case "mode":
		p.mode = engine.Mode(f[1])
		return
	case "at":
		p.now = clock(p.t, f[1])
		return
	case "wake":
		if p.s.Wake.IsZero() {
			p.t.Fatalf("%s: the slot has no wake time", line)
		}
		p.now = p.s.Wake
	}
	in := p.input(f)
	if tick, ok := in.(Tick); ok && len(tick.Candidates) > 0 && !WantsCandidates(p.s, p.now, p.policy, p.mode) {
		fmt.Fprintf(&p.out, "%s %s\n  candidates not wanted\n", p.now.Format("15:04"), line)
		tick.Candidates = nil
		in = tick
	} else {
		fmt.Fprintf(&p.out, "%s %s\n", p.now.Format("15:04"), line)
	}
	p.s = reload(p.t, p.s)
	next, effects, err := Step(p.s, in, p.now, p.policy, p.mode, time.UTC)
	if err != nil {
		fmt.Fprintf(&p.out, "  %s: %v\n", engine.CodeOf(err), err)
	}
	for _, e := range effects {
		fmt.Fprintf(&p.out, "  %s\n", describe(e))
	}
	if next.Version == p.s.Version {
		p.out.WriteString("  = unchanged\n")
	} else {
		fmt.Fprintf(&p.out, "  = %s\n", summary(next))
	}
	p.s = next
}

func reload(t *testing.T, s State) State {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back State
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func (p *player) setPolicy(words []string) {
	for _, w := range words {
		key, value, set := strings.Cut(w, "=")
		if !set {
			p.policy.Strategy = engine.Strategy(w)
			continue
		}
		n, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch key {
		case "size":
			p.policy.Size = n
		case "every":
			p.policy.Every = d
		case "max":
			p.policy.MaxAsked = n
		case "reminders":
			p.policy.Reminders = n
		case "chain":
			p.policy.ChainDepth = n
		case "horizon":
			p.policy.Horizon = d
		case "courtesy":
			p.policy.Courtesy = value == "true"
		default:
			p.t.Fatalf("unknown policy %s", w)
		}
	}
}

func (p *player) offer(n string) engine.OfferID {
	if strings.Contains(n, ".") { // of another opening
		return engine.OfferID(string(p.s.Slot.ID) + "." + n)
	}
	i, err := strconv.Atoi(n)
	if err != nil {
		p.t.Fatal(err)
	}
	return engine.NewOfferID(p.s.Slot.ID, p.s.Opening, i)
}

func (p *player) input(f []string) Input {
	p.t.Helper()
	switch f[0] {
	case "wake", "tick":
		in := Tick{Gen: p.s.Gen}
		for _, w := range f[1:] {
			if g, ok := strings.CutPrefix(w, "gen="); ok {
				in.Gen, _ = strconv.ParseUint(g, 10, 64)
				continue
			}
			in.Candidates = append(in.Candidates, candidate(w))
		}
		return in
	case "open":
		in := Opened{Slot: theSlot(clock(p.t, f[1])), Grace: p.policy.Grace}
		for _, w := range f[2:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "grace":
				in.Grace, _ = time.ParseDuration(value)
			case "depth":
				in.Depth, _ = strconv.Atoi(value)
				in.Parent = "parent"
			case "suspended":
				in.Suspended = true
			}
		}
		return in
	case "yes", "no":
		in := Reply{Offer: p.offer(f[1]), Yes: f[0] == "yes", Channel: engine.SMS, ID: "r"}
		if len(f) > 2 {
			in.Channel = engine.Channel(f[2])
		}
		return in
	case "accepted", "refused":
		booking := p.s.Booking
		if i := slices.IndexFunc(f, func(w string) bool { return strings.HasPrefix(w, "of=") }); i > 0 {
			booking = engine.NewBookingID(p.offer(f[i][3:]))
		}
		if f[0] == "accepted" {
			return BookingAccepted{Booking: booking, Appointment: "Appointment/9"}
		}
		return BookingRefused{Booking: booking, Free: slices.Contains(f, "free")}
	case "cancelled", "kept":
		return GivenUp{Appointment: f[1], Refused: f[0] == "kept"}
	case "taken":
		return Taken{Why: f[1]}
	case "suspend":
		return Suspend{}
	case "resume":
		return Resume{}
	case "unreachable":
		return Unreachable{Offer: p.offer(f[1])}
	case "changed":
		return ModeChanged{By: "boss"}
	case "gone":
		return EntryGone{Entry: engine.EntryID(f[1])}
	}
	in := Staff{Action: StaffAction(strings.TrimSuffix(f[0], "!")), By: "desk"}
	for _, w := range f[1:] {
		if r, ok := strings.CutPrefix(w, "rev="); ok {
			in.Revision, _ = strconv.ParseUint(r, 10, 64)
			continue
		}
		c := candidate(w)
		in.For = &c
	}
	return in
}

func theSlot(start time.Time) engine.Slot {
	return engine.Slot{
		ID: "slot", Clinic: "nord", Source: "Slot/42", Practitioner: "roy", Place: "main",
		Specialty: "dermatology", Start: start, End: start.Add(20 * time.Minute),
	}
}

func candidate(w string) engine.Candidate {
	name, current := strings.CutSuffix(w, "+")
	name, channel, other := strings.Cut(name, "/")
	c := engine.Candidate{Entry: engine.EntryID(name), Patient: engine.PatientID("p-" + name), Channel: engine.SMS}
	if other {
		c.Channel = engine.Channel(channel)
	}
	if current {
		c.Current = &engine.Appointment{
			Source: "Appointment/" + name,
			Start:  time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC),
		}
	}
	return c
}

func describe(e Effect) string {
	switch e := e.(type) {
	case SettleEntry:
		return fmt.Sprintf("settle %s %s%s", e.Entry, e.Status, when(e.Lost, ", lost"))
	case MarkOffered:
		return fmt.Sprintf("mark %s", e.Patient)
	case Note:
		var b strings.Builder
		fmt.Fprintf(&b, "note %s", e.Event)
		if e.Offer != "" {
			fmt.Fprintf(&b, " %s", e.Offer)
		}
		if e.By != "" {
			fmt.Fprintf(&b, " by %s", e.By)
		}
		for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
			fmt.Fprintf(&b, " %s=%s", k, e.Detail[k])
		}
		return b.String()
	case StartOffer:
		return fmt.Sprintf("start %s to %s on %s", e.Offer.ID, e.Offer.Patient, e.Offer.Channel)
	case Remind:
		return fmt.Sprintf("remind %s", e.Offer)
	case CloseOffer:
		return fmt.Sprintf("close %s, %s", e.Offer, when(e.Tell == "", "silently")+when(e.Tell != "", "tell "+string(e.Tell)))
	case Tell:
		return fmt.Sprintf("tell %s %s on %s", e.Offer, e.What, e.Channel)
	case WriteBooking:
		return fmt.Sprintf("book %s for %s", e.Booking, e.Patient)
	case CancelCurrent:
		return fmt.Sprintf("cancel %s of %s, depth %d", e.Appointment.Source, e.Entry, e.Depth)
	case Alert:
		return fmt.Sprintf("alert %s", e.What)
	case Answer:
		return fmt.Sprintf("answer %s %s", e.Offer, e.Kind)
	default:
		return fmt.Sprintf("unknown effect %T", e)
	}
}

func when(ok bool, text string) string {
	if ok {
		return text
	}
	return ""
}

func summary(s State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v%d %s", s.Version, s.Phase)
	if s.Opening > 1 {
		fmt.Fprintf(&b, " opening %d, asked before %v", s.Opening, s.Asked)
	}
	b.WriteString(when(s.Suspended, " suspended") + when(s.Paused, " paused") + when(s.Approved, " approved") +
		when(s.Exhausted, " exhausted") + when(s.Forward, " forward"))
	if s.Why != "" {
		fmt.Fprintf(&b, " (%s)", s.Why)
	}
	if s.Later != "" {
		fmt.Fprintf(&b, ", later %s", s.Later)
	}
	if s.By != "" {
		fmt.Fprintf(&b, " by %s", s.By)
	}
	if s.Wake.IsZero() {
		b.WriteString(", no wake")
	} else {
		fmt.Fprintf(&b, ", wake %s gen %d", s.Wake.Format("15:04"), s.Gen)
	}
	for i, o := range s.Offers {
		b.WriteString(when(i == 0, ";"))
		fmt.Fprintf(&b, " %s:%s", o.Entry, o.Status)
	}
	return b.String()
}
