package reach

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine may have no zones

	"relais/engine"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the results in testdata")

// TestScenarios plays testdata/*.txt: one input a line, a blank line, then for each input what
// is to be done and where the offer stands. Before every input the state goes through JSON, as
// after a crash, so nothing can hang on what is only in memory. The clock shows Toronto.
//
//	policy [after=90s] [reply=180s] [reminders=1]
//	at [2026-03-02] 9:05[:30]    the clock
//	wait 30s
//	begin 14:00 [deadline=13:30] [hours=480-1260] CONTACT ...    slot at 14:00 of the same day, or begin 2026-03-03T9:00
//	                             a contact is sms, voice, email or two of a kind: sms2; ! has no consent
//	wake                         the clock goes to State.Wake, and ticks
//	tick [gen=N]
//	ok|unknown N [ref] | fail N REASON [retry] [wait=5s]     what handing delivery N came to
//	receipt N STATUS [REASON] [ref=R]
//	replied CHANNEL [KIND] | heard CHANNEL | note TEXT | remind | close [KIND] | tell KIND CHANNEL | suspend [starting] | resume | recovered [panicked] | optout CHANNEL
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

func toronto(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/Toronto")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

type player struct {
	t      *testing.T
	zone   *time.Location
	s      State
	now    time.Time
	policy engine.Policy
	out    strings.Builder
}

func play(t *testing.T, lines []string) string {
	t.Helper()
	p := &player{t: t, zone: toronto(t), policy: engine.DefaultPolicy()}
	p.now = time.Date(2026, 3, 2, 9, 0, 0, 0, p.zone) // a Monday
	for _, line := range lines {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p.line(line)
	}
	return p.out.String()
}

// clock reads a time of the day that the clock shows, or of another one.
func (p *player) clock(text string) time.Time {
	p.t.Helper()
	date, clock, other := strings.Cut(text, "T")
	if !other {
		date, clock = p.now.In(p.zone).Format("2006-01-02"), text
	}
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	at, err := time.ParseInLocation("2006-01-02 15:04:05", date+" "+clock, p.zone)
	if err != nil {
		p.t.Fatal(err)
	}
	return at
}

func (p *player) show(at time.Time) string {
	at = at.In(p.zone)
	if y, m, d := p.now.In(p.zone).Date(); at.Year() != y || at.Month() != m || at.Day() != d {
		return at.Format("2006-01-02T15:04:05")
	}
	return at.Format("15:04:05")
}

func (p *player) line(line string) {
	p.t.Helper()
	f := strings.Fields(line)
	switch f[0] {
	case "policy":
		p.setPolicy(f[1:])
		return
	case "at":
		p.now = p.clock(f[1])
		return
	case "wait":
		p.now = p.now.Add(p.duration(f[1]))
		return
	case "wake":
		if p.s.Wake.IsZero() {
			p.t.Fatalf("%s: the offer has no wake time", line)
		}
		if p.now.Before(p.s.Wake) {
			p.now = p.s.Wake
		}
	}
	in := p.input(f)
	fmt.Fprintf(&p.out, "%s %s\n", p.now.In(p.zone).Format("15:04:05"), line)
	p.s = reload(p.t, p.s)
	next, effects, err := Step(p.s, in, p.now, p.policy)
	if err != nil {
		fmt.Fprintf(&p.out, "  %s: %v\n", engine.CodeOf(err), err)
	}
	for _, e := range effects {
		fmt.Fprintf(&p.out, "  %s\n", describe(e))
	}
	if next.Version == p.s.Version {
		p.out.WriteString("  = unchanged\n")
	} else {
		p.summary(next)
	}
	p.s = next
}

func reload(t *testing.T, s State) State {
	t.Helper()
	var back State
	if err := json.Unmarshal([]byte(encode(t, s)), &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func encode(t *testing.T, s State) string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (p *player) duration(text string) time.Duration {
	p.t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *player) number(text string) int {
	p.t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *player) setPolicy(words []string) {
	for _, w := range words {
		switch key, value, _ := strings.Cut(w, "="); key {
		case "after":
			p.policy.VoiceAfter = p.duration(value)
		case "reply":
			p.policy.VoiceReply = p.duration(value)
		case "reminders":
			p.policy.Reminders = p.number(value)
		default:
			p.t.Fatalf("unknown policy %s", w)
		}
	}
}

const theOffer engine.OfferID = "20260302T1900Z-abc.1.1"

func (p *player) attempt(n string) engine.AttemptID {
	return engine.NewAttemptID(theOffer, p.number(n))
}

func (p *player) begin(f []string) Begin {
	in := Begin{Offer: theOffer, Clinic: "nord", Token: "token", Person: Person{
		Patient: "p-ann", Lang: engine.French, Zone: "America/Toronto", Hours: p.policy.Hours,
	}}
	in.Slot = engine.Slot{ID: "20260302T1900Z-abc", Clinic: "nord", Start: p.clock(f[0])}
	in.Slot.End = in.Slot.Start.Add(20 * time.Minute)
	in.Deadline = in.Slot.Start.Add(-30 * time.Minute)
	for _, w := range f[1:] {
		switch key, value, set := strings.Cut(w, "="); {
		case !set:
			in.Person.Contacts = append(in.Person.Contacts, contact(w))
		case key == "deadline":
			in.Deadline = p.clock(value)
		case key == "zone":
			in.Person.Zone = value
		case key == "hours":
			from, until, _ := strings.Cut(value, "-")
			in.Person.Hours = engine.Hours{From: p.number(from), Until: p.number(until)}
		default:
			p.t.Fatalf("unknown word %s", w)
		}
	}
	return in
}

// contact makes one from its channel; a digit behind it makes another address of that channel.
func contact(w string) engine.Contact {
	name, refused := strings.CutSuffix(w, "!")
	c := engine.Contact{Channel: engine.Channel(strings.TrimRight(name, "0123456789"))}
	if c.Channel == engine.EmailMail {
		c.Email = engine.Email(name + "@example.org")
	} else {
		c.Phone = engine.Phone("+1514555" + name)
	}
	if !refused {
		c.Consent = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	}
	return c
}

func (p *player) input(f []string) Input {
	p.t.Helper()
	rest := ""
	if len(f) > 1 {
		rest = f[1]
	}
	switch f[0] {
	case "begin":
		return p.begin(f[1:])
	case "wake", "tick":
		in := Tick{Gen: p.s.Gen}
		if gen, ok := strings.CutPrefix(rest, "gen="); ok {
			in.Gen = uint64(p.number(gen))
		}
		return in
	case "ok", "unknown", "fail":
		return p.handed(f)
	case "receipt":
		r := engine.Receipt{Attempt: p.attempt(f[1]), Ref: "r" + f[1], Status: engine.ReceiptStatus(f[2]), At: p.now}
		for _, w := range f[3:] {
			if ref, ok := strings.CutPrefix(w, "ref="); ok {
				r.Ref = ref
			} else {
				r.Reason = engine.Reason(w)
			}
		}
		return Receipt{r}
	case "replied":
		in := Replied{Channel: engine.Channel(rest)}
		if len(f) > 2 {
			in.Said = engine.MessageKind(f[2])
		}
		return in
	case "heard":
		return Heard{engine.Channel(rest)}
	case "note":
		return Note{Text: rest, Phone: p.s.Person.Contacts[0].Phone}
	case "remind":
		return Remind{}
	case "close":
		return Close{Tell: engine.MessageKind(rest)}
	case "tell":
		return Tell{engine.MessageKind(f[1]), engine.Channel(f[2])}
	case "suspend":
		return Suspend{Starting: rest == "starting"}
	case "resume":
		return Resume{}
	case "recovered":
		if rest == "panicked" { // the process lives
			return Recovered{}
		}
		return Recovered{Began: p.now}
	case "optout":
		return OptOut{engine.Channel(rest)}
	}
	p.t.Fatalf("unknown input %v", f)
	return nil
}

func (p *player) handed(f []string) Handed {
	in := Handed{Attempt: p.attempt(f[1])}
	switch f[0] {
	case "ok":
		in.Outcome = engine.Outcome{Status: engine.Accepted, Ref: "r" + f[1]}
	case "unknown":
		in.Outcome = engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}
	case "fail":
		in.Outcome = engine.Outcome{Status: engine.Failed, Reason: engine.Reason(f[2])}
		for _, w := range f[3:] {
			if wait, ok := strings.CutPrefix(w, "wait="); ok {
				in.Outcome.Wait = p.duration(wait)
			} else {
				in.Outcome.Retry = w == "retry"
			}
		}
	}
	return in
}

func nth(id engine.AttemptID) string { return string(id[strings.LastIndexByte(string(id), '.')+1:]) }

func describe(e Effect) string {
	switch e := e.(type) {
	case Send:
		return "send " + nth(e.Delivery)
	case Abort:
		return fmt.Sprintf("abort %s (%s), say %s", nth(e.Delivery), e.Ref, e.What)
	case Exhausted:
		return "exhausted"
	case BadContact:
		return fmt.Sprintf("contact %d is bad: %s", e.Contact, e.Reason)
	case Proven:
		return fmt.Sprintf("proven on %s after %s", e.Channel, e.After)
	case Outcome:
		return strings.TrimSpace(fmt.Sprintf("outcome %s: %s by %s %s %s", nth(e.Delivery), e.Kind, e.Channel, e.Status, e.Reason))
	case Look:
		return "look " + nth(e.Delivery)
	case Settled:
		return strings.Replace(fmt.Sprintf("settled by %s, expired", e.Channel), ", expired", map[bool]string{true: ", expired"}[e.Expired], 1)
	case Duplicate:
		return fmt.Sprintf("duplicate by %s", e.Channel)
	case LeftLate:
		return fmt.Sprintf("left late by %s", e.Channel)
	case Judged:
		switch {
		case e.Excluded != "":
			return "judged: not counted, " + e.Excluded
		case e.Proved:
			return fmt.Sprintf("judged: reached by %s", e.Channel)
		}
		return fmt.Sprintf("judged: missed by %s, %s", e.Channel, e.Reason)
	default:
		return fmt.Sprintf("unknown effect %T", e)
	}
}

func (p *player) summary(s State) {
	fmt.Fprintf(&p.out, "  = v%d", s.Version)
	for _, flag := range []struct {
		set  bool
		name string
	}{{s.Closed, "closed"}, {s.Suspended, "suspended"}, {s.Replied, "replied"}, {s.Proven != "", "proven"}, {s.Reported, "exhausted"}} {
		if flag.set {
			p.out.WriteString(" " + flag.name)
		}
	}
	if s.Wake.IsZero() {
		p.out.WriteString(", no wake\n")
	} else {
		fmt.Fprintf(&p.out, ", wake %s gen %d\n", p.show(s.Wake), s.Gen)
	}
	for i, d := range s.Deliveries {
		if i < len(p.s.Deliveries) && cmp.Equal(reload(p.t, State{Deliveries: []Delivery{d}}).Deliveries[0], p.s.Deliveries[i]) {
			continue
		}
		fmt.Fprintf(&p.out, "    %s %s to %d by %s: %s", nth(d.ID), d.Kind, d.Contact, d.Channel, d.Status)
		if d.Reason != "" {
			fmt.Fprintf(&p.out, " (%s)", d.Reason)
		}
		if d.Try > 1 {
			fmt.Fprintf(&p.out, ", try %d", d.Try)
		}
		if d.Status == Queued {
			fmt.Fprintf(&p.out, ", due %s", p.show(d.Due))
		}
		p.out.WriteByte('\n')
	}
}
