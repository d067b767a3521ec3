package reach

import (
	"time"

	"relais/engine"
)

// When a carrier is asked what became of a message, counted from when it was handed over. The last
// moment is when nobody waits for an answer any more.
var (
	looksUnknown = []time.Duration{5 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
	looksSilent  = []time.Duration{30 * time.Second, 75 * time.Second, 5 * time.Minute, 15 * time.Minute}
	// Of one whose process died, counted from when that was found out.
	looksOrphaned = []time.Duration{3 * time.Second, 12 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
)

// absentAfter is when a carrier would have shown by itself what a process that died had sent.
const absentAfter = 10 * time.Second

// lookAt says when to ask for a delivery next; ok is false when its end is known or was given up.
func lookAt(d Delivery) (at time.Time, ok bool) {
	looks, from := looksSilent, d.At
	switch d.Status {
	case Unknown:
		looks = looksUnknown
		if !d.Orphaned.IsZero() {
			looks, from = looksOrphaned, d.Orphaned
		}
	case Accepted, Sent, Answered:
	case Queued, Sending, Machine, Delivered, Failed, Dropped:
		return time.Time{}, false
	}
	if d.Channel == engine.EmailMail || d.Looks >= len(looks) {
		return time.Time{}, false
	}
	return from.Add(looks[d.Looks]), true
}

// absent takes that the carrier has no message that may be this one. Where the process that sent it died
// a while before, it never left: it is no blind try to send it now. Of every other it proves nothing, for
// the request may still be on its way.
func (t *turn) absent(i int) {
	d := t.Deliveries[i]
	if d.Status != Unknown || d.Orphaned.IsZero() || t.now.Before(d.Orphaned.Add(absentAfter)) {
		return
	}
	t.Deliveries[i].Left = false
	t.refused(i, engine.Outcome{Status: engine.Failed, Reason: engine.CarrierDown, Retry: true})
	t.settled(t.Deliveries[i], Unknown)
}

// lost reports whether a text must be taken for lost: nobody knows whether it left, its carrier was asked,
// and had no word of it until it was to be asked again. It is still never repeated.
func (t *turn) lost(d Delivery) bool {
	from := d.At
	if !d.Orphaned.IsZero() {
		from = d.Orphaned
	}
	return d.Status == Unknown && d.Channel == engine.SMS && d.Looks > 0 && !t.now.Before(from.Add(looksUnknown[1]))
}

// look asks for what is due.
func (t *turn) look() {
	for i := range t.Deliveries {
		d := &t.Deliveries[i]
		asked := false
		for at, ok := lookAt(*d); ok && !at.After(t.now); at, ok = lookAt(*d) { // after a long sleep once
			d.Looks++
			t.changed, asked = true, true
		}
		if !asked {
			continue
		}
		if _, more := lookAt(*d); more {
			t.emit(Look{Delivery: d.ID})
		} else if d.Status == Unknown {
			t.emit(Settled{Channel: d.Channel, Expired: true})
		}
	}
}

// settled says that the outcome of an unknown delivery is known.
func (t *turn) settled(d Delivery, was DeliveryStatus) {
	if was == Unknown && d.Status != Unknown {
		t.emit(Settled{Channel: d.Channel})
	}
}

// doubled says that a message which just arrived had arrived before by another try.
func (t *turn) doubled(i int) {
	d := t.Deliveries[i]
	if d.Status != Delivered {
		return
	}
	for j, o := range t.Deliveries {
		if j != i && o.Status == Delivered && o.Kind == d.Kind && o.Contact == d.Contact && o.Text == d.Text && o.Try != d.Try {
			t.emit(Duplicate{Channel: d.Channel})
			return
		}
	}
}

// late says that a message left for an offer that had ended.
func (t *turn) late(d Delivery, in Handed) {
	if asks(d.Kind) && t.Closed && in.Outcome.Status != engine.Failed && in.Left.After(t.ClosedAt.Add(time.Second)) {
		t.changed = true
		t.emit(LeftLate{Channel: d.Channel})
	}
}
