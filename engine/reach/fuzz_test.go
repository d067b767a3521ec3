package reach

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"relais/engine"

	"github.com/google/go-cmp/cmp"
)

// FuzzStep feeds sequences of inputs, four bytes each, and checks after every one what must never
// happen. The first bytes choose the person and the hour.
func FuzzStep(f *testing.F) {
	add := func(ops ...byte) { f.Add(append([]byte{0xff, 9, 0}, ops...)) }
	const wake, handed, receipt = 0, 4, 7
	add(wake, 0, 0, 0, handed, 0, 0, 0, receipt, 0, 3, 1, wake, 0, 0, 0, handed, 2, 0, 0, receipt, 2, 1, 0)
	add(wake, 0, 0, 0, handed, 0, 2, 0, handed, 1, 4, 0, wake, 0, 0, 0, 14, 0, 0, 0, wake, 0, 0, 0)
	add(wake, 0, 0, 0, handed, 0, 0, 0, 11, 1, 0, 0, wake, 0, 0, 0, 12, 1, 0, 0, wake, 0, 0, 0)
	add(13, 0, 0, 0, 13, 1, 0, 0, wake, 0, 0, 0, 10, 0, 0, 0, 15, 0, 0, 0, 12, 0, 0, 0, wake, 0, 0, 0)
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
	for seed := range uint64(160) {
		r := rand.New(rand.NewPCG(seed, 1))
		draw := func(n uint32) byte { return byte(r.Uint32N(n) & 255) }
		w := newWorld(t, draw(256), draw(256), draw(256))
		for range 50 {
			op := [4]byte{draw(256), draw(256), draw(256), draw(60)}
			if r.Uint32N(3) == 0 {
				op[0] = 0 // else little would ever leave
			}
			w.play(op)
		}
		w.settle()
		w.tally(reached)
	}
	for _, what := range []string{
		"sms offer delivered", "email offer accepted", "voice offer answered", "voice offer machine", "sms offer unknown",
		"sms reminder delivered", "sms booked delivered", "email booked accepted", "voice booked delivered", "sms taken accepted",
		"two calls", "retried", "exhausted", "abort", "bad contact", "proven",
	} {
		if reached[what] == 0 {
			t.Errorf("%s was never reached; the sequences prove little", what)
		}
	}
	t.Log(reached)
}

// TestReceiptsInAnyOrder delivers a carrier's words in every order, some of them twice: the message
// ends in the same place.
func TestReceiptsInAnyOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		channel engine.Channel
		words   []engine.ReceiptStatus
		want    DeliveryStatus
	}{
		{engine.SMS, []engine.ReceiptStatus{engine.ReceiptSent, engine.ReceiptDelivered}, Delivered},
		{engine.SMS, []engine.ReceiptStatus{engine.ReceiptSent, engine.ReceiptFailed}, Failed},
		{engine.SMS, []engine.ReceiptStatus{engine.ReceiptSent, engine.ReceiptFailed, engine.ReceiptDelivered}, Delivered},
		{engine.Voice, []engine.ReceiptStatus{engine.ReceiptSent, engine.ReceiptMachine}, Machine},
		{engine.Voice, []engine.ReceiptStatus{engine.ReceiptSent, engine.ReceiptAnswered, engine.ReceiptDelivered}, Delivered},
		{engine.Voice, []engine.ReceiptStatus{engine.ReceiptSent, engine.ReceiptMachine, engine.ReceiptAnswered}, Answered},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.channel, tt.words), func(t *testing.T) {
			t.Parallel()
			id := engine.NewAttemptID(theOffer, 1)
			inputs := []Input{Handed{Attempt: id, Outcome: engine.Outcome{Status: engine.Accepted, Ref: "r"}}}
			for _, s := range tt.words {
				inputs = append(inputs, Receipt{engine.Receipt{Attempt: id, Ref: "r", Status: s}})
			}
			inputs = append(inputs, inputs[len(inputs)-1])
			permute(inputs, 0, func(order []Input) {
				p := &player{t: t, zone: toronto(t), policy: engine.DefaultPolicy(), now: time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)}
				p.s = begun(t, p.now, string(tt.channel))
				for _, in := range order {
					next, _, err := Step(p.s, in, p.now, p.policy)
					if err != nil {
						t.Fatal(err)
					}
					p.s = next
				}
				if d := p.s.Deliveries[0]; d.Status != tt.want || d.Ref != "r" || !d.Left {
					t.Errorf("%v end in %+v, want %s", order, d, tt.want)
				}
			})
		})
	}
}

// begun returns an offer whose first message is at the carrier's door.
func begun(t *testing.T, now time.Time, contacts ...string) State {
	t.Helper()
	p := &player{t: t, zone: toronto(t), policy: engine.DefaultPolicy(), now: now}
	s, _, err := Step(State{}, p.begin(append([]string{"14:00"}, contacts...)), now, p.policy)
	if err != nil {
		t.Fatal(err)
	}
	if s, _, err = Step(s, Tick{s.Gen}, now, p.policy); err != nil || s.Deliveries[0].Status != Sending {
		t.Fatal("nothing is being sent")
	}
	return s
}

func permute(in []Input, from int, f func([]Input)) {
	if from == len(in) {
		f(in)
		return
	}
	for i := from; i < len(in); i++ {
		in[from], in[i] = in[i], in[from]
		permute(in, from+1, f)
		in[from], in[i] = in[i], in[from]
	}
}

// world is the caller of Step, and a record of everything it was ever told to do.
type world struct {
	t      *testing.T
	s      State
	text   string // of s
	now    time.Time
	policy engine.Policy
	zone   *time.Location
	steps  int

	contacts []engine.Contact // what may be used, as far as the world knows
	counted  map[engine.AttemptID]bool
	judged   int
	proven   int
	reported int
	aborts   map[engine.AttemptID]bool
}

func newWorld(t *testing.T, a, b, c byte) *world {
	t.Helper()
	w := &world{
		t: t, policy: engine.DefaultPolicy(), zone: toronto(t),
		counted: map[engine.AttemptID]bool{}, aborts: map[engine.AttemptID]bool{},
	}
	// The Friday before the clocks change, so that weekend, night and a short day are close.
	w.now = time.Date(2026, 3, 6, int(b%24), int(c%60), 0, 0, w.zone).UTC()
	w.policy.Reminders = int(c % 3)
	p := &player{t: t, zone: w.zone, policy: w.policy, now: w.now}
	words := []string{w.now.In(w.zone).Add(time.Duration(1+int(b/24)*7) * time.Hour).Format("2006-01-02T15:04")}
	for i, contact := range []string{"sms", "email", "voice", "sms2", "voice2", "sms!", "email2!", "sms"} {
		if a&(1<<i) != 0 {
			words = append(words, contact)
		}
	}
	switch c / 60 {
	case 1:
		words = append(words, "hours=0-0")
	case 2:
		words = append(words, "hours=600-720")
	}
	in := p.begin(words)
	w.contacts = slices.Clone(in.Person.Contacts)
	w.step(in)
	return w
}

func (w *world) play(op [4]byte) {
	w.now = w.now.Add(time.Duration(op[3]) * 3 * time.Second)
	attempt := engine.NewAttemptID(theOffer, 1)
	if n := len(w.s.Deliveries); n > 0 {
		attempt = w.s.Deliveries[int(op[1])%n].ID
	}
	// What is at a carrier's door, or in its hands, is what one mostly hears about.
	var busy []engine.AttemptID
	for _, d := range w.s.Deliveries {
		if d.Status == Sending || (d.Status == Accepted || d.Status == Sent) && op[0]%18 >= 7 {
			busy = append(busy, d.ID)
		}
	}
	if len(busy) > 0 && op[1] < 200 {
		attempt = busy[int(op[1])%len(busy)]
	}
	if op[1] == 255 {
		attempt = engine.NewAttemptID(theOffer, 99)
	}
	reasons := []engine.Reason{
		engine.Unreached, engine.Busy, engine.Filtered, engine.CarrierDown, engine.RateLimited,
		engine.BadContact, engine.Landline, engine.OptedOut, engine.Dropped, engine.TooLate, engine.AccountFault, "",
	}
	channels := []engine.Channel{engine.SMS, engine.Voice, engine.EmailMail, engine.Page, engine.Desk}
	var in Input
	switch op[0] % 18 {
	case 0, 1, 2: // the caller does its duty
		if w.now.Before(w.s.Wake) {
			w.now = w.s.Wake
		}
		in = Tick{w.s.Gen}
	case 3:
		in = Tick{w.s.Gen - uint64(op[1]%2)}
	case 4, 5, 6:
		o := engine.Outcome{Status: engine.Accepted, Ref: "r"}
		if op[2]%4 == 0 {
			o = engine.Outcome{
				Status: engine.Failed, Reason: reasons[int(op[2]/4)%len(reasons)],
				Retry: op[3]%2 == 0, Wait: time.Duration(op[3]%5) * time.Second,
			}
		} else if op[2]%7 == 0 {
			o = engine.Outcome{Status: engine.Unknown}
		}
		in = Handed{Attempt: attempt, Outcome: o}
	case 7, 8, 9:
		status := []engine.ReceiptStatus{
			engine.ReceiptSent, engine.ReceiptAnswered, engine.ReceiptMachine, engine.ReceiptDelivered, engine.ReceiptFailed, engine.ReceiptAbsent, "odd",
		}[op[2]%7]
		in = Receipt{engine.Receipt{
			Attempt: attempt, Ref: "r", Status: status, Reason: reasons[int(op[2]/7)%len(reasons)],
			At: w.now.Add(-time.Duration(op[3]) * time.Second),
		}}
	case 10:
		in = Replied{Channel: channels[op[1]%5]}
		if op[2]%4 > 0 {
			in = Remind{}
		}
	case 11:
		in = Close{Tell: []engine.MessageKind{"", engine.MsgTaken, engine.MsgWithdrawn}[op[1]%3]}
		if op[2]%2 > 0 {
			in = Remind{}
		}
	case 12:
		in = Tell{[]engine.MessageKind{engine.MsgBooked, engine.MsgFinalising, engine.MsgRefused}[op[1]%3], channels[op[2]%5]}
	case 13:
		in = Suspend{}
	case 14:
		in = Resume{}
	case 15:
		in = Recovered{}
		if op[1]%2 > 0 {
			in = Recovered{Began: w.now}
		}
	case 16:
		if op[2]%3 > 0 {
			return
		}
		in = OptOut{channels[op[1]%3]}
	default:
		in = Begin{Offer: "other", Slot: engine.Slot{Start: w.now}, Deadline: w.now}
	}
	w.step(in)
}

// settle lets everything that waits leave or end.
func (w *world) settle() {
	for range 200 {
		if w.s.Wake.IsZero() {
			break
		}
		if w.now.Before(w.s.Wake) {
			w.now = w.s.Wake
		}
		w.step(Tick{w.s.Gen})
	}
	if !w.s.Wake.IsZero() {
		w.t.Fatalf("the offer never ends: %s", encode(w.t, w.s))
	}
	w.now = w.s.Slot.Start.Add(time.Second)
	w.step(Resume{})
	w.step(Close{})
	if slices.ContainsFunc(w.s.Deliveries, func(d Delivery) bool { return d.Status == Queued }) {
		w.t.Fatalf("something waits for ever: %s", encode(w.t, w.s))
	}
}

func (w *world) tally(reached map[string]int) {
	for _, d := range w.s.Deliveries {
		reached[fmt.Sprintf("%s %s %s", d.Channel, d.Kind, d.Status)]++
		if d.Try > 1 && d.Channel != engine.Voice {
			reached["retried"]++
		}
	}
	if w.calls(w.s) == maxCalls {
		reached["two calls"]++
	}
	reached["exhausted"] += w.reported
	reached["abort"] += len(w.aborts)
	reached["proven"] += w.proven
	for _, c := range w.contacts {
		if c.Bad != "" {
			reached["bad contact"]++
		}
	}
}

func (w *world) step(in Input) {
	t := w.t
	w.steps++
	text := w.text
	if text == "" {
		text = encode(t, w.s)
	}
	var before State
	if err := json.Unmarshal([]byte(text), &before); err != nil {
		t.Fatal(err)
	}

	next, effects, err := Step(w.s, in, w.now, w.policy)

	if encode(t, w.s) != text {
		t.Fatalf("%#v changed its argument", in)
	}
	again, effects2, err2 := Step(before, in, w.now, w.policy)
	result := encode(t, next)
	if encode(t, again) != result || !reflect.DeepEqual(effects, effects2) || (err == nil) != (err2 == nil) {
		t.Fatalf("%#v does something else after a reload:\n%s", in, cmp.Diff(effects, effects2))
	}
	if err != nil && engine.CodeOf(err) == engine.Internal {
		t.Fatal(err)
	}
	w.checkVersions(in, next, effects, text == result)
	w.checkDeliveries(in, next)
	w.checkWake(in, next)
	if o, ok := in.(OptOut); ok {
		for i, c := range w.contacts {
			if c.Channel == o.Channel && c.OptedOut.IsZero() {
				w.contacts[i].OptedOut = w.now
			}
		}
	}
	for _, e := range effects {
		w.checkEffect(e, next)
	}
	w.checkEnd(next)
	w.s, w.text = next, result
}

func (w *world) checkVersions(in Input, next State, effects []Effect, same bool) {
	switch next.Version {
	case w.s.Version:
		if !same || len(effects) > 0 {
			w.t.Fatalf("%#v changed the state or does something, and the version stands", in)
		}
	case w.s.Version + 1:
	default:
		w.t.Fatalf("version %d after %d", next.Version, w.s.Version)
	}
	moved := !next.Wake.Equal(w.s.Wake)
	if (moved && next.Gen != w.s.Gen+1) || (!moved && next.Gen != w.s.Gen) {
		w.t.Fatalf("%#v: wake %s -> %s, generation %d -> %d", in, w.s.Wake, next.Wake, w.s.Gen, next.Gen)
	}
	if w.s.Offer != "" && next.Offer != w.s.Offer {
		w.t.Fatalf("%#v made another offer", in)
	}
}

// checkDeliveries holds that nothing is forgotten and no status goes back, but for a message that
// the slot held back before it left.
func (w *world) checkDeliveries(in Input, next State) {
	t := w.t
	if len(next.Deliveries) < len(w.s.Deliveries) || len(next.Deliveries) > maxDeliveries {
		t.Fatalf("%d deliveries after %d", len(next.Deliveries), len(w.s.Deliveries))
	}
	for i, d := range next.Deliveries {
		if d.ID != engine.NewAttemptID(theOffer, i+1) || d.Channel != w.contacts[d.Contact].Channel || d.Try > maxTries {
			t.Fatalf("%+v is number %d", d, i)
		}
		if i >= len(w.s.Deliveries) {
			continue
		}
		was := w.s.Deliveries[i]
		if d.Kind != was.Kind || d.Contact != was.Contact || d.Try != was.Try || d.Counted != (d.Counted || was.Counted) {
			t.Fatalf("%#v made %+v of %+v", in, d, was)
		}
		h, ok := in.(Handed)
		heldBack := ok && h.Attempt == d.ID && h.Outcome.Reason == engine.Dropped && !was.Left && (d.Status == Queued || d.Status == Dropped)
		unknownFailed := was.Status == Unknown && ok && d.Status == Dropped
		if rank(d.Status) < rank(was.Status) && !heldBack && !unknownFailed && !(was.Status == Unknown && d.Status == Queued && ok) {
			t.Fatalf("%#v moved %s back to %s", in, was.Status, d.Status)
		}
		if was.Status == Dropped && d.Status != Dropped {
			t.Fatalf("%#v moved a dropped message to %s", in, d.Status)
		}
	}
}

func (w *world) checkWake(in Input, next State) {
	t := w.t
	var due time.Time
	for _, d := range next.Deliveries {
		if d.Status != Queued || (next.Suspended && (d.Kind == engine.MsgOffer || d.Kind == engine.MsgReminder)) {
			continue
		}
		if due.IsZero() || d.Due.Before(due) {
			due = d.Due
		}
		if !d.Due.Before(next.Slot.Start) {
			t.Fatalf("%+v waits beyond the slot", d)
		}
	}
	for _, d := range next.Deliveries {
		if at, ok := lookAt(d); ok && (due.IsZero() || at.Before(due)) {
			due = at
		}
	}
	if end := next.Started.Add(2 * time.Minute); next.Offer != "" && !next.Judged && (due.IsZero() || end.Before(due)) {
		due = end
	}
	if !due.Equal(next.Wake) {
		t.Fatalf("wakes at %s, due at %s", next.Wake, due)
	}
	tick, ok := in.(Tick)
	if !ok {
		return
	}
	valid := tick.Gen == w.s.Gen && !w.s.Wake.IsZero() && !w.now.Before(w.s.Wake)
	if !valid && next.Version != w.s.Version {
		t.Fatalf("a stale or early tick changes something")
	}
	if valid && !next.Wake.IsZero() && !next.Wake.After(w.now) && len(next.Deliveries) == len(w.s.Deliveries) {
		t.Fatalf("a tick at %s leaves a wake at %s", w.now, next.Wake)
	}
}

func (w *world) checkEffect(e Effect, next State) {
	t := w.t
	get := func(id engine.AttemptID) Delivery {
		i := slices.IndexFunc(next.Deliveries, func(d Delivery) bool { return d.ID == id })
		if i < 0 {
			t.Fatalf("%s of nothing", describe(e))
		}
		return next.Deliveries[i]
	}
	switch e := e.(type) {
	case Send:
		w.checkSend(get(e.Delivery), next)
	case Abort:
		d := get(e.Delivery)
		if d.Channel != engine.Voice || !(next.Closed || next.Replied) || w.aborts[d.ID] || e.Ref != d.Ref || e.Ref == "" {
			t.Fatalf("%s of %+v", describe(e), d)
		}
		w.aborts[d.ID] = true
	case Exhausted:
		w.reported++
		if next.Closed || next.Replied || w.reported > 1 {
			t.Fatalf("exhausted %d times: %s", w.reported, encode(t, next))
		}
		for _, d := range next.Deliveries {
			if asks(d.Kind) && d.Status != Failed && d.Status != Dropped {
				t.Fatalf("exhausted with %+v", d)
			}
		}
	case BadContact:
		c := &w.contacts[e.Contact]
		if !c.Usable() {
			t.Fatalf("%s twice", describe(e))
		}
		c.Bad = e.Reason
	case Proven:
		if w.proven++; w.proven > 1 || e.After < 0 {
			t.Fatalf("proven %d times, after %s", w.proven, e.After)
		}
	case Outcome:
		if d := get(e.Delivery); w.counted[d.ID] || !d.Counted {
			t.Fatalf("%s of %+v", describe(e), d)
		}
		w.counted[e.Delivery] = true
	case Judged:
		if w.judged++; w.judged > 1 || (e.Proved && next.Proven == "") {
			t.Fatalf("judged %d times: %+v", w.judged, e)
		}
	case Look:
		if d := get(e.Delivery); d.Channel == engine.EmailMail || !d.Left {
			t.Fatalf("%s of %+v", describe(e), d)
		}
	case Settled, Duplicate, LeftLate:
	default:
		t.Fatalf("unknown effect %T", e)
	}
}

func (w *world) checkSend(d Delivery, next State) {
	t := w.t
	c := w.contacts[d.Contact]
	if d.Status != Sending || d.Due.After(w.now) || !c.Usable() || !w.now.Before(next.Slot.Start) {
		t.Fatalf("%+v leaves to %+v", d, c.Channel)
	}
	asking := d.Kind == engine.MsgOffer || d.Kind == engine.MsgReminder
	if asking && (next.Closed || next.Replied || next.Suspended || !w.now.Before(next.Deadline)) {
		t.Fatalf("%+v leaves from %s", d, encode(t, next))
	}
	if asking || d.Kind == next.Told || d.Channel == engine.Voice {
		w.checkHours(d)
	}
	for _, o := range next.Deliveries {
		twin := w.contacts[o.Contact].Phone == c.Phone && w.contacts[o.Contact].Email == c.Email && o.Channel == d.Channel
		if o.ID == d.ID || o.Kind != d.Kind || !twin {
			continue
		}
		switch o.Status {
		case Failed, Dropped, Queued:
		case Machine:
			if d.Channel != engine.Voice {
				t.Fatalf("a machine took %+v", o)
			}
		case Accepted, Sent, Delivered:
			if d.Kind == engine.MsgReminder && next.Reminded > 1 {
				continue // the next round
			}
			fallthrough
		case Sending, Unknown, Answered:
			t.Fatalf("%+v leaves although %+v did", d, o)
		}
	}
	if w.calls(next) > maxCalls {
		t.Fatalf("call number %d: %s", w.calls(next), encode(t, next))
	}
}

// calls counts those of the offer that may have rung.
func (w *world) calls(s State) int {
	n := 0
	for _, d := range s.Deliveries {
		if d.Channel == engine.Voice && asks(d.Kind) && (d.Left || d.Status == Sending) {
			n++
		}
	}
	return n
}

// checkHours knows the rules by the clock on the wall, written out.
func (w *world) checkHours(d Delivery) {
	h := w.s.Person.Hours
	if h.From == h.Until {
		return
	}
	local := w.now.In(w.zone)
	minute := local.Hour()*60 + local.Minute()
	ok := minute >= h.From && minute < h.Until
	if d.Channel == engine.Voice {
		if local.Weekday() == time.Saturday || local.Weekday() == time.Sunday {
			ok = ok && local.Hour() >= 10 && local.Hour() < 18
		} else {
			ok = ok && local.Hour() >= 9 && minute < 21*60+30
		}
	}
	if !ok {
		w.t.Fatalf("%+v leaves at %s", d, local)
	}
}

// checkEnd holds that an offer that can go no further says so: with nothing under way and no
// answer, somebody else must be asked.
func (w *world) checkEnd(next State) {
	if next.Closed || next.Replied || next.Reported || !w.now.Before(next.Deadline) || next.Version == w.s.Version {
		return
	}
	if !slices.ContainsFunc(next.Deliveries, func(d Delivery) bool {
		return (d.Kind == engine.MsgOffer || d.Kind == engine.MsgReminder) && d.Status != Failed && d.Status != Dropped
	}) {
		w.t.Fatalf("nobody is told that the offer is exhausted: %s", encode(w.t, next))
	}
}

// FuzzRead holds what must be true of every text.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"OUI", "oui svp!", "1️⃣", "Arrêt", "3", "non merci", "oui mais pas mardi", "\xff", "١", "Ｏ Ｕ Ｉ", "stop all"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		intent, number, lang := Read(text)
		switch intent {
		case engine.Yes, engine.No, engine.Stop, engine.Start, engine.Help, engine.Choice, engine.Unclear:
		default:
			t.Fatalf("%q is %q", text, intent)
		}
		if number < 0 || number > 9 || (intent == engine.Choice) != (number > 2) ||
			(number == 1 && intent != engine.Yes) || (number == 2 && intent != engine.No) {
			t.Fatalf("%q is %s %d", text, intent, number)
		}
		if lang != "" && lang != engine.French && lang != engine.English {
			t.Fatalf("%q is in %q", text, lang)
		}
		if intent == engine.Unclear && (number != 0 || lang != "") {
			t.Fatalf("%q is unclear, and %d in %q", text, number, lang)
		}
		if utf8.RuneCountInString(text) < maxText-40 {
			i, n, l := Read("  \n" + text + " !\u00a0🙂")
			if i != intent || n != number || l != lang {
				t.Fatalf("%q is %s %d %q, and in other clothes %s %d %q", text, intent, number, lang, i, n, l)
			}
			if i, _, _ := Read(text + " mais pas mardi"); i != engine.Unclear {
				t.Fatalf("%q with a condition is %s", text, i)
			}
		}
	})
}
