package reach

import (
	"slices"
	"time"

	"relais/engine"
)

const (
	maxTries      = 3               // of one message on one contact
	backoff       = 2 * time.Second // doubles with each try
	againAfter    = 30 * time.Second
	maxCalls      = 2 // that rang, an offer
	betweenCalls  = 5 * time.Minute
	saidWithin    = 30 * time.Second // an answer that is being said was heard by then
	maxTexts      = 6                // contacts that get the offer at once
	maxDeliveries = 28
	maxAsking     = 16 // of these, offers and reminders; the rest is kept for telling the outcome
	longestPause  = 15 * time.Second
)

// turn is one Step under way: the state so far, and what is to be done. Deliveries is its own
// copy from the start, Person.Contacts once own was called.
type turn struct {
	State

	now     time.Time
	policy  engine.Policy
	effects []Effect
	changed bool
	owned   bool
	zone    *time.Location
}

func (t *turn) take(in Input) error {
	if b, ok := in.(Begin); ok {
		return t.begin(b)
	}
	if t.Offer == "" {
		return engine.Errorf(engine.NotFound, "there is no such offer")
	}
	switch in := in.(type) {
	case Begin: // taken above
	case Tick:
		t.changed = in.Gen == t.Gen && !t.Wake.IsZero() && !t.now.Before(t.Wake)
	case Handed:
		return t.handed(in)
	case Receipt:
		return t.receipt(in.Receipt)
	case Replied:
		t.replied(in)
	case Heard:
		t.heard(in)
	case Note:
		return t.note(in)
	case Remind:
		t.remind()
	case Close:
		t.close(in)
	case Tell:
		t.tell(in)
	case Suspend:
		t.changed = !t.Suspended
		t.Suspended = true
		if t.Proven == "" && !in.Starting {
			t.exclude(Held)
		}
	case Resume:
		t.changed = t.Suspended
		t.Suspended = false
	case Recovered:
		t.recovered(in)
	case OptOut:
		t.optOut(in)
	default:
		return engine.Errorf(engine.Internal, "unknown input")
	}
	return nil
}

func (t *turn) emit(e ...Effect) { t.effects = append(t.effects, e...) }

// own makes Person.Contacts writable: until then it is the caller's.
func (t *turn) own() {
	if !t.owned {
		t.Person.Contacts = slices.Clone(t.Person.Contacts)
		t.owned = true
	}
}

func (t *turn) begin(in Begin) error {
	if t.Offer != "" {
		return nil
	}
	if in.Offer == "" || in.Slot.Start.IsZero() || in.Deadline.IsZero() {
		return engine.Errorf(engine.Invalid, "an offer needs an identifier, a slot with a start and a deadline")
	}
	if _, err := time.LoadLocation(in.Person.Zone); err != nil || in.Person.Zone == "Local" {
		return engine.Errorf(engine.Invalid, "the person's time zone is not known")
	}
	t.changed = true
	in.Slot.Start, in.Slot.End = in.Slot.Start.Round(0).UTC(), in.Slot.End.Round(0).UTC()
	t.State = State{
		Offer: in.Offer, Clinic: in.Clinic, Slot: in.Slot, Person: in.Person, Token: in.Token,
		Started: t.now, Deadline: in.Deadline.Round(0).UTC(), Gen: t.Gen, Version: t.Version,
	}
	t.own()
	if why := t.invalid(); why != "" {
		t.verdict(Judged{Excluded: why})
	}
	for i, c := range t.Person.Contacts {
		if c.Channel != engine.Voice && t.reachable(i) && len(t.Deliveries) < maxTexts {
			t.queue(engine.MsgOffer, i, 1, t.now)
		}
	}
	return nil
}

// queue adds a delivery, not before due, unless it could not leave in time.
func (t *turn) queue(kind engine.MessageKind, contact, try int, due time.Time) bool {
	d := Delivery{
		ID:   engine.NewAttemptID(t.Offer, len(t.Deliveries)+1),
		Kind: kind, Contact: contact, Channel: t.Person.Contacts[contact].Channel,
		Status: Queued, Try: try,
	}
	var ok bool
	if d.Due, ok = t.opens(d, due); !ok || !d.Due.Before(t.limit(kind)) || len(t.Deliveries) >= maxDeliveries {
		return false
	}
	room := maxAsking
	if d.Channel != engine.Voice {
		room -= maxCalls // retries and reminders leave the calls their place
	}
	if asks(kind) && t.asking() >= room {
		return false
	}
	t.changed = true
	t.Deliveries = append(t.Deliveries, d)
	return true
}

// again adds the next try of a delivery.
func (t *turn) again(d Delivery, wait time.Duration) bool {
	if !t.queue(d.Kind, d.Contact, d.Try+1, t.now.Add(wait)) {
		return false
	}
	t.Deliveries[len(t.Deliveries)-1].Text = d.Text
	return true
}

func (t *turn) find(id engine.AttemptID) (int, error) {
	i := slices.IndexFunc(t.Deliveries, func(d Delivery) bool { return d.ID == id })
	if i < 0 {
		return -1, engine.Errorf(engine.NotFound, "there is no such message of this offer")
	}
	return i, nil
}

// set moves a delivery and reports its first end worth counting.
func (t *turn) set(i int, status DeliveryStatus, reason engine.Reason) {
	d := &t.Deliveries[i]
	t.changed = true
	d.Status, d.Reason = status, reason
	counts := false
	switch status {
	case Unknown, Machine, Answered, Delivered, Failed, Dropped:
		counts = true
	case Accepted:
		counts = d.Channel == engine.EmailMail // a mail server's 250 is the last word there is
	case Queued, Sending, Sent:
	}
	if counts && !d.Counted {
		d.Counted = true
		t.emit(Outcome{Delivery: d.ID, Channel: d.Channel, Kind: d.Kind, Status: status, Reason: reason})
	}
}

func (t *turn) handed(in Handed) error {
	i, err := t.find(in.Attempt)
	if err != nil {
		return err
	}
	o := in.Outcome
	d := &t.Deliveries[i]
	was := d.Status
	t.late(*d, in)
	if was != Sending && was != Unknown { // a receipt was quicker, or this comes twice
		if o.Status == engine.Accepted && d.Left && d.Ref == "" && o.Ref != "" {
			d.Ref = o.Ref
			t.changed = true
		}
		return nil
	}
	switch o.Status {
	case engine.Accepted:
		d.Left = true
		if o.Ref != "" {
			d.Ref = o.Ref
		}
		t.set(i, Accepted, "")
		t.settled(*d, was)
		t.arrivedLate(i, was)
	case engine.Unknown:
		if was == Unknown {
			return nil
		}
		d.Left = true
		d.Ref = o.Ref
		t.set(i, Unknown, unless(o.Reason, engine.NoReceipt))
		t.arrivedLate(i, was)
	case engine.Failed:
		d.Left = false
		t.refused(i, o)
	default:
		return engine.Errorf(engine.Invalid, "a message is accepted, failed or unknown")
	}
	return nil
}

func unless(r, otherwise engine.Reason) engine.Reason {
	if r == "" {
		return otherwise
	}
	return r
}

// refused takes that a delivery certainly did not leave.
func (t *turn) refused(i int, o engine.Outcome) {
	d := &t.Deliveries[i]
	if o.Reason == engine.Dropped {
		if !o.Retry {
			t.set(i, Dropped, engine.Dropped)
			return
		}
		// Held back for now by whoever decides whether it may leave: no try was made, so the same
		// delivery waits, and is asked about less and less often.
		t.changed = true
		d.Status = Queued
		d.Due = t.now.Add(max(o.Wait, time.Second, min(longestPause, t.now.Sub(t.Started)/8)))
		d.At = time.Time{}
		return
	}
	t.set(i, Failed, unless(o.Reason, engine.CarrierDown))
	t.spoilt(d.Contact, d.Reason)
	wait := max(o.Wait, backoff<<(max(1, d.Try)-1))
	if o.Retry && d.Try < maxTries && t.wanted(*d) && t.again(*d, wait) {
		return
	}
	t.otherwise(t.Deliveries[i])
}

// receipt takes the carrier's later word. Each status outranks those before it, so that the order
// of arrival does not matter.
func (t *turn) receipt(r engine.Receipt) error {
	i, err := t.find(r.Attempt)
	if err != nil {
		return err
	}
	d := &t.Deliveries[i]
	var status DeliveryStatus
	switch r.Status {
	case engine.ReceiptSent:
		status = Sent
	case engine.ReceiptAnswered:
		status = Answered
	case engine.ReceiptMachine:
		status = Machine
	case engine.ReceiptDelivered:
		status = Delivered
	case engine.ReceiptFailed:
		status = Failed
	case engine.ReceiptAbsent:
		t.absent(i)
		return nil
	default:
		return engine.Errorf(engine.Invalid, "unknown status of a receipt")
	}
	if d.Channel != engine.Voice && (status == Answered || status == Machine) {
		return engine.Errorf(engine.Invalid, "only a call can be answered")
	}
	if d.Status == Queued || d.Status == Dropped { // it never left, whatever this is about
		return nil
	}
	if d.Ref == "" && r.Ref != "" {
		d.Ref = r.Ref
		t.changed = true
	}
	was := d.Status
	if rank(status) <= rank(was) {
		return nil
	}
	d.Left = true
	switch status {
	case Failed:
		t.set(i, Failed, unless(r.Reason, engine.CarrierDown))
		t.bounced(i)
	case Answered, Delivered:
		t.set(i, status, "")
		t.prove(i, r.At)
	case Queued, Sending, Unknown, Accepted, Sent, Machine, Dropped:
		t.set(i, status, "")
	}
	t.settled(t.Deliveries[i], was)
	t.doubled(i)
	t.arrivedLate(i, was)
	return nil
}

func rank(s DeliveryStatus) int {
	return slices.Index([]DeliveryStatus{
		Queued, Sending, Unknown, Accepted, Sent, Machine, Failed, Answered, Delivered, Dropped,
	}, s)
}

// bounced takes that the carrier had a delivery and could not bring it. Another call of the offer
// is for call to plan.
func (t *turn) bounced(i int) {
	d := t.Deliveries[i]
	t.spoilt(d.Contact, d.Reason)
	wait := againAfter
	if d.Channel == engine.Voice {
		wait = betweenCalls
	}
	again := transient(d.Reason) && t.bounces(d) == 1 && d.Try < maxTries && t.wanted(d) &&
		(d.Channel != engine.Voice || !asks(d.Kind))
	if again && t.again(d, wait) {
		return
	}
	t.otherwise(d)
}

// transient reports whether the same message may get through a little later.
func transient(r engine.Reason) bool {
	switch r {
	case engine.Unreached, engine.Busy, engine.RateLimited, engine.CarrierDown:
		return true
	case engine.BadContact, engine.Landline, engine.OptedOut, engine.Filtered, engine.TooLate,
		engine.AccountFault, engine.Dropped, engine.NoReceipt:
	}
	return false
}

// bounces counts how often the carrier had the message for that contact and could not bring it.
func (t *turn) bounces(of Delivery) int {
	n := 0
	for _, d := range t.Deliveries {
		if d.Kind == of.Kind && d.Contact == of.Contact && d.Text == of.Text && d.Left && d.Status == Failed {
			n++
		}
	}
	return n
}

// spoilt remembers that a contact does not work, and says so.
func (t *turn) spoilt(contact int, reason engine.Reason) {
	switch reason {
	case engine.BadContact, engine.Landline, engine.OptedOut:
	case engine.Filtered, engine.Unreached, engine.Busy, engine.RateLimited, engine.TooLate,
		engine.CarrierDown, engine.AccountFault, engine.Dropped, engine.NoReceipt:
		return
	default: // a word that this program does not know proves nothing
		return
	}
	if !t.Person.Contacts[contact].Usable() {
		return
	}
	t.own()
	if c := &t.Person.Contacts[contact]; reason == engine.OptedOut {
		c.OptedOut = t.now
	} else {
		c.Bad = reason
	}
	t.emit(BadContact{Contact: contact, Reason: reason})
}

// prove notes when a delivery was proven; a message about the offer then reached the person, and
// needs no other try on that contact.
func (t *turn) prove(i int, at time.Time) {
	d := &t.Deliveries[i]
	if d.Proof.IsZero() {
		d.Proof = t.now
		if at = at.Round(0).UTC(); at.Before(t.now) && !at.Before(d.At) { // clocks differ
			d.Proof = at
		}
	}
	if asks(d.Kind) && d.Channel != engine.EmailMail { // a report says that it is in a mailbox, not that somebody looks there
		t.reached(d.Channel, d.Proof)
	}
	for j, o := range t.Deliveries {
		if o.Status == Queued && o.Kind == d.Kind && o.Contact == d.Contact && o.Text == d.Text {
			t.set(j, Dropped, engine.Dropped)
		}
	}
}

func (t *turn) reached(ch engine.Channel, at time.Time) {
	if t.Proven != "" {
		return
	}
	t.Proven, t.ProvenAt = ch, at
	t.emit(Proven{Channel: ch, After: max(0, at.Sub(t.Started))})
}

func (t *turn) replied(in Replied) {
	if in.Said != "" && in.Said != t.Said {
		t.changed = true
		t.Said = in.Said
		for i, d := range t.Deliveries { // nobody is called to hear it again
			if d.Kind == in.Said && d.Channel == engine.Voice && d.Status == Queued {
				t.set(i, Dropped, engine.Dropped)
			}
		}
	}
	if t.Replied {
		return
	}
	t.changed = true
	t.Replied, t.RepliedOn = true, in.Channel
	if in.Channel != engine.Desk { // there the person was reached by somebody else
		t.reached(in.Channel, t.now)
	}
	for i := range t.Deliveries {
		t.hangUp(i)
	}
}

// hangUp ends a call of the offer that was answered elsewhere: by text, on the page, at the desk.
func (t *turn) hangUp(i int) {
	d := t.Deliveries[i]
	if d.Channel == engine.Voice && asks(d.Kind) && d.Ref != "" && t.Replied && t.RepliedOn != engine.Voice && !t.Closed &&
		(d.Status == Accepted || d.Status == Sent || d.Status == Answered) {
		t.emit(Abort{Delivery: d.ID, Ref: d.Ref})
	}
}

func (t *turn) heard(in Heard) {
	if t.Heard {
		return
	}
	t.changed = true
	t.Heard = true
	t.reached(in.Channel, t.now)
}

func (t *turn) recovered(in Recovered) {
	for i := range t.Deliveries {
		if d := &t.Deliveries[i]; d.Status == Sending {
			d.Left = true
			if d.At.Before(in.Began) {
				d.Orphaned = t.now
			}
			t.set(i, Unknown, engine.NoReceipt)
			t.arrivedLate(i, Sending)
		}
	}
}

func (t *turn) optOut(in OptOut) {
	for i, c := range t.Person.Contacts {
		if c.Channel == in.Channel && c.OptedOut.IsZero() {
			t.changed = true
			t.own()
			t.Person.Contacts[i].OptedOut = t.now
		}
	}
}
