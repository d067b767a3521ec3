package reach

import (
	"time"

	"relais/engine"
)

// ProofWithin is how soon an offer must be proven to have reached its person to count as reached.
const ProofWithin = 120 * time.Second

// Why an offer does not count for reach.
const (
	NoContact = "no_contact" // nothing usable: no consent, opted out, or known not to work
	EmailOnly = "email_only" // a mail server's acceptance proves nothing: counted apart
	OffHours  = "hours"      // made outside the hours of every channel that can prove
	Withdrawn = "withdrawn"  // ended within ProofWithin, before an answer
	Held      = "held"       // held back by the record system's state before it was proven
)

// Judged: whether the offer reached its person is decided, once. Valid offers are those with Excluded "".
type Judged struct {
	Excluded string
	Proved   bool
	Channel  engine.Channel // that proved it first; of a miss, that of the first message
	Reason   engine.Reason  // of a miss: of its last message
}

// invalid says why an offer that is being made cannot count.
func (t *turn) invalid() string {
	why := NoContact
	for i, c := range t.Person.Contacts {
		switch {
		case !t.reachable(i):
		case c.Channel == engine.EmailMail:
			if why == NoContact {
				why = EmailOnly
			}
		default:
			if at, ok := t.opens(Delivery{Kind: engine.MsgOffer, Channel: c.Channel}, t.now); ok && at.Equal(t.now) {
				return ""
			}
			why = OffHours
		}
	}
	return why
}

// judge decides when the time is over, or the person answered.
func (t *turn) judge() {
	end := t.Started.Add(ProofWithin)
	if t.Judged || (t.now.Before(end) && !t.Replied) {
		return
	}
	if t.Proven != "" && !t.ProvenAt.After(end) {
		t.verdict(Judged{Proved: true, Channel: t.Proven})
		return
	}
	if t.Replied && t.RepliedOn == engine.Desk { // reached by somebody else before Relais could
		t.verdict(Judged{Excluded: Withdrawn})
		return
	}
	miss := Judged{Reason: engine.NoReceipt}
	for _, d := range t.Deliveries {
		if !asks(d.Kind) {
			continue
		}
		if miss.Channel == "" {
			miss.Channel = d.Channel
		}
		if d.Reason != "" {
			miss.Reason = d.Reason
		}
	}
	t.verdict(miss)
}

func (t *turn) exclude(why string) {
	if !t.Judged && t.now.Before(t.Started.Add(ProofWithin)) {
		t.verdict(Judged{Excluded: why})
	}
}

func (t *turn) verdict(v Judged) {
	t.Judged = true
	t.emit(v)
}
