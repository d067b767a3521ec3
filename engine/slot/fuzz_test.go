package slot

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"relais/engine"

	"github.com/google/go-cmp/cmp"
)

// FuzzStep feeds sequences of inputs, four bytes each, and checks after every one what must never
// happen. The first bytes choose the policy.
func FuzzStep(f *testing.F) {
	add := func(ops ...byte) { f.Add(append([]byte{0, 3, 1}, ops...)) }
	const open, wake, yes, no, accept, refuse = 0, 1, 3, 4, 5, 6
	add(open, 200, 1, 0, wake, 9, 0, 0, yes, 1, 0, 0, accept, 0, 0, 0)
	add(open, 200, 1, 0, wake, 9, 0, 0, no, 0, 0, 0, wake, 20, 0, 0, yes, 0, 0, 0, refuse, 1, 0, 0, wake, 30, 0, 0)
	add(open, 90, 0, 0, wake, 3, 0, 0, wake, 0, 0, 0, wake, 0, 0, 0, wake, 0, 0, 0, wake, 0, 0, 0)
	add(open, 90, 1, 0, wake, 9, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, yes, 2, 9, 0, 9, 0, 0, 0, accept, 0, 0, 0, open, 200, 0, 0)
	add(open, 90, 1, 0, wake, 9, 0, 0, 12, 4, 0, 0, 13, 5, 7, 0, 10, 1, 0, 0, 11, 2, 0, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 3 {
			return
		}
		w := newWorld(t, data[0], data[1], data[2])
		for data = data[3:]; len(data) >= 4 && w.steps < 200; data = data[4:] {
			w.play([4]byte(data))
		}
		w.settle()
	})
}

// TestRandomSequences plays longer sequences than the fuzzer finds by itself, always the same
// ones, and checks that they reach what matters.
func TestRandomSequences(t *testing.T) {
	t.Parallel()
	reached := map[string]int{}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		draw := func(n uint32) byte { return byte(r.Uint32N(n) & 255) }
		w := newWorld(t, draw(256), draw(256), draw(256))
		for range 60 {
			op := [4]byte{draw(256), draw(256), draw(256), draw(40)}
			// Left to chance alone, most slots would never open, or nobody would be asked.
			switch {
			case !w.s.waits() && w.s.Phase != Claimed && r.Uint32N(2) == 0:
				op[0], op[2] = 0, op[2]&3
			case w.s.Phase == Freed && r.Uint32N(2) == 0:
				op[0], op[1] = 1, 8+draw(30)
			case op[0]%18 == 9 && r.Uint32N(3) > 0:
				op[0] = 3
			}
			w.play(op)
			reached[string(w.s.Phase)]++
			if w.s.Opening > 1 && len(w.s.Offers) > 0 {
				reached["reopened"]++
			}
			if slices.ContainsFunc(w.s.Offers, func(o Offer) bool { return o.Status == Refused }) && w.s.Phase == Offering {
				reached["refused and going on"]++
			}
			if w.s.Reminded > 0 {
				reached["reminded"]++
			}
		}
		w.settle()
	}
	for _, what := range []string{
		"freed", "approval", "offering", "claimed", "booked", "expired", "closed", "reopened", "refused and going on", "reminded",
	} {
		if reached[what] < 40 {
			t.Errorf("%s was reached %d times; the sequences prove little", what, reached[what])
		}
	}
	t.Log(reached)
}

// world is the caller of Step, and a record of everything it was ever told to do.
type world struct {
	t      *testing.T
	s      State
	now    time.Time
	policy engine.Policy
	mode   engine.Mode
	steps  int

	started map[engine.OfferID]bool
	asked   map[engine.PatientID]bool // by a wave, in any opening
	ended   map[engine.OfferID]bool   // closed, and so silent for ever
	marked  int
	written map[engine.BookingID]bool
	reminds map[engine.OfferID]int
	claims  map[engine.EntryID]engine.EntryStatus
}

func newWorld(t *testing.T, a, b, c byte) *world {
	t.Helper()
	p := engine.DefaultPolicy()
	p.Strategy = []engine.Strategy{engine.Waves, engine.OneByOne, engine.Adaptive}[a%3]
	p.Size, p.MaxAsked = int(b%5), int(b/5%12)+3
	p.Reminders, p.Courtesy = int(c%3), c&4 == 0
	return &world{
		t: t, policy: p, mode: []engine.Mode{engine.Automatic, engine.Approval, engine.Shadow}[a/3%3],
		now:     time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
		started: map[engine.OfferID]bool{}, asked: map[engine.PatientID]bool{}, ended: map[engine.OfferID]bool{},
		written: map[engine.BookingID]bool{}, reminds: map[engine.OfferID]int{},
		claims: map[engine.EntryID]engine.EntryStatus{},
	}
}

func people(from, n int) []engine.Candidate {
	var cs []engine.Candidate
	for i := range n {
		channel := []engine.Channel{engine.SMS, engine.Voice, engine.EmailMail}[(from+i)%3]
		c := candidate(fmt.Sprintf("e%d/%s", from+i, channel))
		if i%4 == 0 {
			c.Current = &engine.Appointment{Source: "Appointment/1"}
		}
		cs = append(cs, c)
	}
	return cs
}

// pick returns an offer of this opening or one that does not exist.
func (w *world) pick(n byte) engine.OfferID {
	if len(w.s.Offers) == 0 || n == 255 {
		return engine.NewOfferID("slot", int(n)%4, int(n))
	}
	return w.s.Offers[int(n)%len(w.s.Offers)].ID
}

func (w *world) play(op [4]byte) {
	w.now = w.now.Add(time.Duration(op[3]) * 7 * time.Second)
	n := op[1]
	booking := w.s.Booking
	if op[2]%8 == 7 {
		booking = "relais-other"
	}
	var in Input
	switch op[0] % 18 {
	case 0:
		in = Opened{
			Slot:  theSlot(w.now.Add(time.Duration(20+2*int(n)) * time.Minute)),
			Grace: time.Duration(op[2]%4) * time.Minute, Depth: int(op[2] / 64), Suspended: op[2]&32 != 0,
		}
	case 1: // the caller does its duty
		if w.now.Before(w.s.Wake) {
			w.now = w.s.Wake
		}
		in = Tick{Gen: w.s.Gen}
		if WantsCandidates(w.s, w.now, w.policy, w.mode) {
			in = Tick{Gen: w.s.Gen, Candidates: people(int(op[2]), int(n%40))}
		}
	case 2: // the caller does not: candidates nobody wanted, early, or stale
		if op[2]%2 == 1 && w.now.Before(w.s.Wake) {
			w.now = w.s.Wake
		}
		in = Tick{Gen: w.s.Gen - uint64(op[2]%2), Candidates: people(0, int(n%40))}
	case 3, 4:
		in = Reply{
			Offer: w.pick(n), Yes: op[0]%18 == 3, ID: "r",
			Channel: []engine.Channel{engine.SMS, engine.Page}[op[2]%2],
		}
	case 5:
		in = BookingAccepted{Booking: booking}
	case 6:
		in = BookingRefused{Booking: booking, Free: n%2 == 1}
	case 7:
		in = Suspend{}
	case 8:
		in = Resume{}
	case 9:
		in = Taken{Why: []string{"taken", "blocked", "gone", "moved", "else"}[n%5]}
	case 10:
		in = Unreachable{Offer: w.pick(n)}
	case 11:
		in = EntryGone{Entry: engine.EntryID(fmt.Sprintf("e%d", n%40))}
	case 12, 13:
		action := []StaffAction{Approve, Pause, Unpause, SendNow, Withdraw, Give, Settle}[n%7]
		st := Staff{Action: action, By: "desk", Revision: w.s.Version * uint64(op[2]%3)}
		if op[0]%18 == 13 {
			c := people(int(op[2]), 1)[0]
			st.For = &c
		}
		in = st
	case 15:
		in = GivenUp{Appointment: fmt.Sprintf("Appointment/%d", n%40), Refused: op[2]%2 == 1}
	case 14:
		w.mode = []engine.Mode{engine.Automatic, engine.Approval, engine.Shadow}[n%3]
		if op[2]%2 == 0 { // the caller tells it later, or never
			return
		}
		in = ModeChanged{By: "desk"}
	default:
		in = Tick{Gen: w.s.Gen}
	}
	w.step(in)
}

// settle waits until the deadline: whoever was asked has an end then.
func (w *world) settle() {
	if w.s.Phase == Claimed {
		w.step(BookingRefused{Booking: w.s.Booking})
	}
	for range 500 {
		if w.s.Wake.IsZero() {
			break
		}
		if w.now.Before(w.s.Wake) {
			w.now = w.s.Wake
		}
		w.step(Tick{Gen: w.s.Gen})
	}
	if !w.s.Wake.IsZero() {
		w.t.Fatalf("the slot never ends: %s", summary(w.s))
	}
	for _, o := range w.s.Offers {
		if w.started[o.ID] && o.Status == Pending {
			w.t.Errorf("offer %s has no end", o.ID)
		}
	}
}

func encode(t *testing.T, s State) string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (w *world) step(in Input) {
	t := w.t
	w.steps++
	before := reload(t, w.s)
	text := encode(t, w.s)
	wanted := WantsCandidates(w.s, w.now, w.policy, w.mode)

	next, effects, err := Step(w.s, in, w.now, w.policy, w.mode, time.UTC)

	if encode(t, w.s) != text {
		t.Fatalf("%#v changed its argument", in)
	}
	again, effects2, err2 := Step(before, in, w.now, w.policy, w.mode, time.UTC)
	result := encode(t, next)
	if encode(t, again) != result || !cmp.Equal(effects, effects2) || (err == nil) != (err2 == nil) {
		t.Fatalf("%#v does something else after a reload:\n%s", in, cmp.Diff(effects, effects2))
	}
	if err != nil && (len(effects) > 0 || result != text) {
		t.Fatalf("%#v was refused and still did something", in)
	}
	w.checkVersions(in, next, effects, text == result)
	tick, ok := in.(Tick)
	if ok && tick.Gen != w.s.Gen && next.Version != w.s.Version {
		t.Fatalf("a stale tick made %s", summary(next))
	}
	if ok && tick.Gen == w.s.Gen && !w.s.Wake.IsZero() && !w.now.Before(w.s.Wake) {
		if !next.Wake.IsZero() && !next.Wake.After(w.now) {
			t.Fatalf("a tick leaves %s, not after %s", summary(next), w.now)
		}
	}
	if next.Wake.IsZero() == next.waits() {
		t.Fatalf("no wake while under way, or one after the end: %s", summary(next))
	}
	if next.waits() && next.Wake.After(next.Deadline) {
		t.Fatalf("wakes after its deadline: %s", summary(next))
	}
	w.checkEffects(in, next, effects, wanted, err != nil)
	w.checkOffers(next)
	w.s = next
}

func (s State) waits() bool { return s.Phase == Freed || s.Phase == Approval || s.Phase == Offering }

func (w *world) checkVersions(in Input, next State, effects []Effect, same bool) {
	t := w.t
	switch next.Version {
	case w.s.Version:
		if !same {
			t.Fatalf("%#v changed the state and not the version", in)
		}
		for _, e := range effects {
			if _, ok := e.(Answer); !ok {
				t.Fatalf("%#v changed nothing and does %s", in, describe(e))
			}
		}
	case w.s.Version + 1:
	default:
		t.Fatalf("version %d after %d", next.Version, w.s.Version)
	}
	moved := !next.Wake.Equal(w.s.Wake)
	if (moved && next.Gen != w.s.Gen+1) || (!moved && next.Gen != w.s.Gen) {
		t.Fatalf("%#v: wake %s -> %s, generation %d -> %d", in, w.s.Wake, next.Wake, w.s.Gen, next.Gen)
	}
}

func (w *world) checkEffects(in Input, next State, effects []Effect, wanted, refused bool) {
	t := w.t
	answers, alerts := 0, 0
	for _, e := range effects {
		switch e := e.(type) {
		case StartOffer:
			o := e.Offer
			if w.started[o.ID] || w.asked[o.Patient] || slices.Contains(w.s.Asked, o.Patient) {
				t.Fatalf("asked twice: %s", describe(e))
			}
			if w.s.Phase == Freed && w.now.Before(w.s.HoldUntil) {
				t.Fatalf("asked inside the grace: %s", describe(e))
			}
			if !wanted || !MayLeave(next, o.ID) || !w.now.Before(next.Deadline) || w.mode == engine.Shadow {
				t.Fatalf("nobody may be asked now: %s in %s", describe(e), summary(next))
			}
			if w.mode == engine.Approval && !w.s.Approved {
				t.Fatalf("not approved: %s", describe(e))
			}
			w.started[o.ID], w.asked[o.Patient] = true, true
		case MarkOffered:
			w.marked++
		case Remind:
			w.reminds[e.Offer]++
			if !MayLeave(next, e.Offer) || w.ended[e.Offer] || w.reminds[e.Offer] > w.policy.Reminders {
				t.Fatalf("%s in %s", describe(e), summary(next))
			}
		case CloseOffer:
			if !w.started[e.Offer] || w.ended[e.Offer] || MayLeave(next, e.Offer) || e.Offer == next.Winner {
				t.Fatalf("%s in %s", describe(e), summary(next))
			}
			if e.Tell != "" && !w.policy.Courtesy {
				t.Fatalf("%s against the policy", describe(e))
			}
			w.ended[e.Offer] = true
		case WriteBooking:
			if next.Phase != Claimed || w.s.Phase == Claimed || e.Booking != next.Booking || w.written[e.Booking] {
				t.Fatalf("%s in %s", describe(e), summary(next))
			}
			w.written[e.Booking] = true
		case Tell:
			if (e.What == engine.MsgBooked) != (next.Phase == Booked) || w.s.Phase != Claimed || e.Offer != w.s.Winner {
				t.Fatalf("%s in %s", describe(e), summary(next))
			}
		case SettleEntry:
			if e.Status == engine.Claimed && w.s.Phase == Claimed || e.Status != engine.Claimed && w.claims[e.Entry] != engine.Claimed {
				t.Fatalf("%s after %s", describe(e), w.claims[e.Entry])
			}
			w.claims[e.Entry] = e.Status
		case Answer:
			answers++
			w.checkAnswer(e, next)
		case CancelCurrent:
			if next.Phase != Booked || w.s.Phase != Claimed {
				t.Fatalf("%s in %s", describe(e), summary(next))
			}
		case Alert:
			alerts++
		case Note:
		default:
			t.Fatalf("unknown effect %T", e)
		}
	}
	if w.marked != len(w.started) {
		t.Fatalf("%d marks for %d offers", w.marked, len(w.started))
	}
	if alerts > 1 {
		t.Fatalf("%d alerts at once", alerts)
	}
	// A reply that is refused, to an offer that does not exist, has an error for an answer.
	if _, ok := in.(Reply); ok != (answers == 1) && (!ok || !refused) {
		t.Fatalf("%d answers to %#v", answers, in)
	}
}

func (w *world) checkAnswer(a Answer, next State) {
	i := next.find(a.Offer)
	won := i >= 0 && next.Offers[i].Status == Won
	honest := !won
	if a.Kind == engine.AnsFinalising || a.Kind == engine.AnsBooked {
		honest = won && (a.Kind == engine.AnsBooked) == (next.Phase == Booked)
	}
	if honest {
		return
	}
	w.t.Fatalf("%s in %s", describe(a), summary(next))
}

func (w *world) checkOffers(s State) {
	t := w.t
	won := 0
	sent := 0
	ids := map[engine.OfferID]bool{}
	for _, o := range s.Offers {
		if ids[o.ID] {
			t.Fatalf("two offers %s", o.ID)
		}
		ids[o.ID] = true
		if MayLeave(s, o.ID) != (s.Phase == Offering && o.Status == Pending && !s.Suspended && !s.Paused) {
			t.Fatalf("MayLeave is wrong for %s in %s", o.ID, summary(s))
		}
		if o.Wave > 0 {
			sent++
		}
		switch o.Status {
		case Won:
			won++
			if o.ID != s.Winner || s.Booking != engine.NewBookingID(o.ID) {
				t.Fatalf("%s won, the winner is %s", o.ID, s.Winner)
			}
		case Pending:
			if (s.Phase != Offering && s.Phase != Approval) || w.ended[o.ID] {
				t.Fatalf("%s is pending in %s", o.ID, summary(s))
			}
		case Lost, Ended:
			// Declined and unreached ones ended without a message of their own.
			if w.started[o.ID] && !w.ended[o.ID] && o.Replied.IsZero() && !w.silent(o.ID) {
				t.Fatalf("%s was never closed", o.ID)
			}
		case Declined, Unreached, Refused:
		}
	}
	taken := s.Phase == Claimed || s.Phase == Booked
	if (taken && won != 1) || (!taken && (won != 0 || s.Winner != "" || s.Booking != "")) {
		t.Fatalf("%d winners in %s", won, summary(s))
	}
	if sent > w.policy.MaxAsked {
		t.Fatalf("%d asked of at most %d", sent, w.policy.MaxAsked)
	}
}

// silent reports whether the offer had its end before: a no, or nobody reached.
func (w *world) silent(id engine.OfferID) bool {
	i := w.s.find(id)
	return i >= 0 && w.s.Offers[i].Status != Pending
}
