package slot

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/offer"
)

// turn is one Step under way: the state so far, and what is to be done.
type turn struct {
	State

	now     time.Time
	policy  engine.Policy
	mode    engine.Mode
	zone    *time.Location
	effects []Effect
	changed bool
	owned   bool // Offers was copied and may be written to
}

func (t *turn) take(in Input) error {
	switch in := in.(type) {
	case Opened:
		return t.open(in)
	case Tick:
		t.tick(in)
	case Reply:
		return t.reply(in)
	case BookingAccepted:
		t.accepted(in)
	case BookingRefused:
		t.refused(in)
	case GivenUp:
		t.givenUp(in)
	case Taken:
		return t.taken(in)
	case Suspend:
		t.suspend()
	case Resume:
		t.resume()
	case Unreachable:
		return t.unreachable(in)
	case EntryGone:
		t.entryGone(in)
	case ModeChanged:
		t.modeChanged(in)
	case Staff:
		return t.staff(in)
	default:
		return engine.Errorf(engine.Internal, "unknown input")
	}
	return nil
}

// change marks that the state changes in this turn. Only a person at the desk leaves a name.
func (t *turn) change() {
	t.changed = true
	t.By = ""
}

// own makes Offers writable: until then it is the caller's.
func (t *turn) own() {
	if !t.owned {
		t.Offers = slices.Clone(t.Offers)
		t.owned = true
	}
}

func (t *turn) emit(e ...Effect) { t.effects = append(t.effects, e...) }

func (t *turn) note(event string, id engine.OfferID, detail ...string) {
	n := Note{Event: event, Offer: id}
	for i := 0; i+1 < len(detail); i += 2 {
		if n.Detail == nil {
			n.Detail = make(map[string]string, len(detail)/2)
		}
		n.Detail[detail[i]] = detail[i+1]
	}
	t.emit(n)
}

// underway reports whether the opening still looks for somebody.
func (t *turn) underway() bool {
	return t.Phase == Freed || t.Phase == Approval || t.Phase == Offering
}

// arm sets the time of the next Tick: at, or the deadline when nothing is to be done before.
func (t *turn) arm(at time.Time) {
	switch {
	case !t.underway():
		t.Wake = time.Time{}
	case t.Suspended || t.Paused || t.Phase == Approval || at.IsZero() || at.After(t.Deadline):
		t.Wake = t.Deadline
	default:
		t.Wake = at
	}
}

// look arms the next look at what may be sent: now, but never inside the grace.
func (t *turn) look() {
	if t.Phase == Freed && t.HoldUntil.After(t.now) {
		t.arm(t.HoldUntil)
		return
	}
	t.arm(t.now)
}

// end leaves the phases in which something may still be sent.
func (t *turn) end(phase Phase, why string) {
	t.change()
	t.Phase, t.Why = phase, why
	t.Suspended, t.Paused, t.Forward = false, false, false
	t.arm(time.Time{})
}

func (t *turn) open(in Opened) error {
	sl := in.Slot
	if sl.ID == "" || sl.Start.IsZero() || !sl.Start.Before(sl.End) {
		return engine.Errorf(engine.Invalid, "a slot needs an identifier, a start and a later end")
	}
	if t.Slot.ID != "" && t.Slot.ID != sl.ID {
		return engine.Errorf(engine.Invalid, "slot %s cannot be opened as %s", t.Slot.ID, sl.ID)
	}
	if t.underway() || t.Phase == Claimed {
		return nil
	}
	deadline := sl.Start.Add(-t.policy.Notice).Round(0).UTC()
	if !t.now.Before(deadline) || sl.Start.After(t.now.Add(t.policy.Horizon)) || in.Depth > t.policy.ChainDepth {
		return nil
	}
	t.change()
	sl.Start, sl.End = sl.Start.Round(0).UTC(), sl.End.Round(0).UTC()
	asked := slices.Clone(t.Asked)
	for _, o := range t.Offers {
		if !slices.Contains(asked, o.Patient) {
			asked = append(asked, o.Patient)
		}
	}
	t.State = State{
		Slot: sl, Opening: t.Opening + 1, Phase: Freed, Version: t.Version, Gen: t.Gen,
		OpenedAt: t.now, HoldUntil: t.now.Add(max(0, in.Grace)), Deadline: deadline,
		Suspended: in.Suspended, Asked: asked, Depth: in.Depth, Parent: in.Parent, Mode: t.mode,
	}
	t.look()
	t.note(EvOpened, "", "depth", strconv.Itoa(in.Depth))
	if in.Suspended {
		t.note(EvSuspended, "")
	}
	return nil
}

func (t *turn) tick(in Tick) {
	if in.Gen != t.Gen || t.Wake.IsZero() || t.now.Before(t.Wake) {
		return
	}
	switch {
	case !t.underway(): // only a state that this package did not make has a Wake then
	case !t.now.Before(t.Deadline):
		t.expire()
	case t.Suspended || t.Paused || t.Phase == Approval:
		t.change()
		t.arm(t.Deadline)
	case t.Phase == Freed && t.now.Before(t.HoldUntil):
		t.change()
		t.arm(t.HoldUntil)
	case needsApproval(t.State, t.mode): // with people asked already when the mode was another then
		t.change()
		t.Phase = Approval
		t.arm(t.Deadline)
	default:
		t.review(in)
	}
}

// expire ends the opening at its deadline. Whoever did not answer gets no message: the offer
// itself said until when it stood.
func (t *turn) expire() {
	t.end(Expired, "")
	t.closeOffers(Ended, "")
	t.note(EvExpired, "")
	if t.mode != engine.Shadow { // in shadow mode nobody expected it to be filled
		t.emit(Alert{What: "expired"})
	}
}

// closeOffers ends every pending offer; tell is kept back when the clinic wants no courtesy.
func (t *turn) closeOffers(status OfferStatus, tell engine.MessageKind) {
	if !t.policy.Courtesy {
		tell = ""
	}
	t.own()
	for i := range t.Offers {
		if t.Offers[i].Status == Pending {
			t.Offers[i].Status = status
			t.emit(CloseOffer{Offer: t.Offers[i].ID, Tell: tell})
		}
	}
}

// review does what the policy decides: a wave, a reminder, or waiting.
func (t *turn) review(in Tick) {
	if t.mode == engine.Shadow && (t.Wave > 0 || t.Phase == Offering) {
		t.change()
		t.arm(t.Deadline)
		return
	}
	eligible := t.unasked(in.Candidates)
	v := t.view(eligible)
	v.Rates = in.Rates
	d := offer.Decide(v, t.policy)
	chosen := d.Chosen(eligible)

	t.change()
	t.Forward = false
	if t.mode == engine.Shadow {
		t.would(chosen, in.Others)
		return
	}
	if len(chosen) > 0 {
		t.wave(chosen, d)
	}
	if d.Exhausted && !t.Exhausted {
		t.Exhausted = true
		t.note(EvExhausted, "")
		t.emit(Alert{What: "exhausted"})
	}
	if d.Remind {
		t.remind()
	}
	t.arm(d.Next)
}

// unasked drops whom this slot was offered to before, and doubles. The caller has done so
// already; that nobody is asked twice must not hang on that. The result is candidates itself when nobody
// is dropped, as nearly always.
func (t *turn) unasked(candidates []engine.Candidate) []engine.Candidate {
	var seen sieve
	for _, p := range t.Asked {
		seen.add(patients, string(p))
	}
	for i := range t.Offers {
		o := &t.Offers[i]
		seen.add(patients, string(o.Patient))
		seen.add(entries, string(o.Entry))
	}
	fresh := candidates
	shared := true // with the caller
	for i := range candidates {
		c := &candidates[i]
		patient, entry := seen.add(patients, string(c.Patient)), seen.add(entries, string(c.Entry))
		before := fresh
		if shared {
			before = candidates[:i]
		}
		if (patient || entry) && t.known(c, before) {
			if shared {
				fresh, shared = slices.Clone(before), false
			}
			continue
		}
		if !shared {
			fresh = append(fresh, *c)
		}
	}
	return fresh
}

// known reports whether a candidate was asked for this slot, or stands among those before.
func (t *turn) known(c *engine.Candidate, before []engine.Candidate) bool {
	return slices.Contains(t.Asked, c.Patient) ||
		slices.ContainsFunc(t.Offers, func(o Offer) bool { return o.Patient == c.Patient || o.Entry == c.Entry }) ||
		slices.ContainsFunc(before, func(o engine.Candidate) bool { return o.Patient == c.Patient || o.Entry == c.Entry })
}

// sieve remembers which names it saw, and sometimes takes a new one for one of them. It needs no memory of
// its own, which counts: a slot looks at a hundred candidates every few minutes.
type sieve [256]uint64

// What a sieve is told apart by: somebody's entry may have the name of their patient. FNV-1a starts there.
const (
	patients uint32 = 2166136261
	entries  uint32 = patients ^ 0x9e3779b9
)

// add reports whether the name may have been added before.
func (s *sieve) add(kind uint32, name string) bool {
	h := kind
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	h ^= h >> 14
	word, bit := &s[h>>6%256], uint64(1)<<(h%64)
	old := *word&bit != 0
	*word |= bit
	return old
}

func (t *turn) view(eligible []engine.Candidate) offer.View {
	v := offer.View{
		Now: t.now, Deadline: t.Deadline, Zone: t.zone, Last: t.WaveAt, Reminded: t.Reminded,
		Eligible: eligible, Forward: t.Forward, Sent: make([]offer.Sent, 0, len(t.Offers)),
	}
	for i := range t.Offers {
		o := &t.Offers[i]
		v.Sent = append(v.Sent, offer.Sent{
			At: o.At, Channel: o.Channel,
			Declined: o.Status == Declined || o.Status == Unreached,
			Over:     o.Status == Lost || o.Status == Ended || o.Status == Refused,
		})
	}
	return v
}

func (t *turn) wave(chosen []engine.Candidate, d offer.Decision) {
	t.Phase = Offering
	t.Wave++
	t.WaveAt = t.now
	wave := strconv.Itoa(t.Wave)
	detail := []string{"wave", wave, "asked", strconv.Itoa(len(chosen))}
	if d.Rate > 0 { // which chance of a yes adaptive reckoned with
		detail = append(detail, "rate", strconv.FormatFloat(d.Rate, 'f', 3, 64))
	}
	t.note(EvWave, "", detail...)
	t.own()
	for _, c := range chosen {
		o := t.newOffer(c, t.Wave)
		t.Offers = append(t.Offers, o)
		t.emit(MarkOffered{Patient: o.Patient})
		t.note(EvOffered, o.ID, "wave", wave, "channel", string(o.Channel))
		t.emit(StartOffer{Offer: o})
	}
}

func (t *turn) newOffer(c engine.Candidate, wave int) Offer {
	return Offer{
		ID:    engine.NewOfferID(t.Slot.ID, t.Opening, len(t.Offers)+1),
		Entry: c.Entry, Patient: c.Patient, Channel: c.Channel, Current: c.Current,
		Wave: wave, At: t.now, Status: Pending,
	}
}

func (t *turn) remind() {
	t.Reminded++
	for _, o := range t.Offers {
		if o.Status == Pending {
			t.emit(Remind{Offer: o.ID})
			t.note(EvReminded, o.ID)
		}
	}
}

func (t *turn) suspend() {
	if t.Suspended || (!t.underway() && t.Phase != Claimed) {
		return
	}
	t.change()
	t.Suspended = true
	t.arm(t.Deadline)
	t.note(EvSuspended, "")
}

// resume makes whatever became due meanwhile due now; the policy decides what that is.
func (t *turn) resume() {
	if !t.Suspended {
		return
	}
	t.change()
	t.Suspended = false
	t.look()
	t.note(EvResumed, "")
}

func (t *turn) unreachable(in Unreachable) error {
	i, err := t.offer(in.Offer)
	if err != nil {
		return err
	}
	if i < 0 || t.Offers[i].Status != Pending {
		return nil
	}
	t.change()
	t.own()
	t.Offers[i].Status = Unreached
	t.note(EvUnreached, in.Offer)
	t.look()
	return nil
}

// entryGone ends the entry's offer whatever its answer was, so that no later yes claims for an
// entry that may have another slot by now.
func (t *turn) entryGone(in EntryGone) {
	if !t.policy.Courtesy {
		in.Tell = ""
	}
	for i, o := range t.Offers {
		if o.Entry != in.Entry {
			continue
		}
		switch o.Status {
		case Pending:
			t.emit(CloseOffer{Offer: o.ID, Tell: in.Tell})
		case Declined, Unreached:
		case Won, Lost, Ended, Refused:
			continue
		}
		t.change()
		t.own()
		t.Offers[i].Status = Ended
		t.note(EvEntryGone, o.ID)
		if o.Status == Pending {
			t.look()
		}
	}
}

// taken follows the record system, which is the arbiter of the schedule.
func (t *turn) taken(in Taken) error {
	tell := engine.MsgWithdrawn
	switch in.Why {
	case "taken":
		tell = engine.MsgTaken
	case "blocked", "gone", "moved":
	default:
		return engine.Errorf(engine.Invalid, "a slot is taken, blocked, gone or moved")
	}
	switch t.Phase {
	case Freed, Approval, Offering:
		t.end(Closed, in.Why)
		t.closeOffers(Ended, tell)
		t.note(EvTaken, "", "why", in.Why)
	case Booked:
		// Our own booking occupies the slot, so "taken" is what is expected.
		if in.Why != "taken" && t.Why != in.Why {
			t.change()
			t.Why = in.Why
			t.note(EvTaken, "", "why", in.Why)
		}
	case Claimed: // the write-back asks the record system and decides
	case None, Expired, Closed:
	}
	return nil
}

// offer finds an offer of this opening. An index below 0 without an error is an offer of an
// earlier opening, of which no more is known than that it is over.
func (t *turn) offer(id engine.OfferID) (int, error) {
	if i := t.find(id); i >= 0 {
		return i, nil
	}
	for n := 1; n < t.Opening; n++ {
		nth := strings.TrimSuffix(string(engine.NewOfferID(t.Slot.ID, n, 0)), "0")
		if strings.HasPrefix(string(id), nth) {
			return -1, nil
		}
	}
	return -1, engine.Errorf(engine.NotFound, "there is no such offer of this slot")
}

// by marks the person at the desk who changes the slot, on the state and on the notes.
func (t *turn) by(user engine.UserID) {
	t.By = user
	t.Hand = &Hand{By: user, Version: t.Version + 1, At: t.now} // what Step makes of it
	for i, e := range t.effects {
		if n, ok := e.(Note); ok {
			n.By = user
			t.effects[i] = n
		}
	}
}
