package actors

import (
	"slices"
	"sync/atomic"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/reach"
	"relais/storage"
)

// offerRecord is an offer's messages as they are stored. Seen names the orders of the outbox that
// were taken, newest last, because one may be delivered twice.
type offerRecord struct {
	State reach.State `json:"state"`
	Seen  []string    `json:"seen,omitempty"`
}

// notifier owns the messages of one offer.
type notifier struct {
	r       *Relais
	c       *clinic
	id      engine.OfferID
	record  offerRecord
	version uint64
	phase   load
	queue   []any
	cancel  func()
	known   bool                      // it was loaded before
	again   bool                      // what was promised must be carried out again after the next load
	asked   map[engine.AttemptID]bool // waiting for the slot's word
	open    *atomic.Bool              // false: an offer's message that waits at a carrier's door must not leave
	closing bool                      // an order to close was heard, and hush: the last word on suspension
	hush    bool
}

type (
	preloadOffer struct {
		record  offerRecord
		version uint64
	}
	loadedOffer struct {
		preloadOffer
		err error
	}
	// askAgain asks the slot again when its word was lost.
	askAgain struct{ attempt engine.AttemptID }
	// suspension says whether the slot lets messages leave.
	suspension struct{ on bool }
	// mayLeave is the slot's word on one message.
	mayLeave struct {
		attempt engine.AttemptID
		verdict leave
	}
	// offerInput is what the rules take together.
	offerInput struct {
		in   []reach.Input
		done string
	}
	receiptAsk   = system.Request[engine.Receipt, struct{}]
	offerAsk     = system.Request[readState, reach.State]
	offerWritten struct {
		work  offerWork
		err   error
		fresh []storage.Record // after storage.ErrStale
	}
	offerWork struct {
		in      []reach.Input // taken together, in one commit
		done    string
		next    offerRecord
		effects []reach.Effect
		orders  []order
		contact []stored[engine.Patient]
		receipt *receiptAsk
	}
)

// leave is a slot's word on whether a message may leave.
type leave uint8

const (
	leaveNever leave = iota
	leaveLater
	leaveYes
)

func newNotifier(r *Relais, id engine.OfferID) *notifier {
	return &notifier{r: r, id: id, open: new(atomic.Bool), asked: map[engine.AttemptID]bool{}}
}

// Receive implements system.Actor.
func (a *notifier) Receive(c *system.Context, msg any) {
	a.c = a.c.present()
	switch m := msg.(type) {
	case system.Started, system.Stopped:
	case system.Restarted:
		a.again = true
		a.load(c)
	case reload:
		if a.phase == unloaded {
			a.load(c)
		}
	case preloadOffer:
		if a.phase == unloaded || a.phase == idle && a.c == nil {
			a.loaded(c, m)
		}
	case loadedOffer:
		if m.err != nil {
			a.phase = unloaded
			c.After(time.Second, reload{})
			return
		}
		a.loaded(c, m.preloadOffer)
	case offerWritten:
		a.phase = idle
		a.written(c, m)
		a.next(c)
	case mayLeave:
		a.leave(c, m)
	default:
		switch m := msg.(type) { // what waits for its turn at the carrier's door stays here at once
		case order:
			a.closing = a.closing || m.Do == deedClose
		case suspension:
			a.hush = m.on
		}
		a.gauge()
		if a.phase == unloaded || (a.phase == idle && a.c == nil) {
			a.load(c)
		}
		if a.phase != idle {
			a.queue = append(a.queue, m)
			return
		}
		a.take(c, m)
		a.next(c)
	}
}

func (a *notifier) key() storage.Key {
	return storage.Key{Clinic: a.c.ID, Kind: storage.KindOffer, ID: string(a.id)}
}

func (a *notifier) next(c *system.Context) {
	for a.phase == idle && len(a.queue) > 0 {
		m := a.queue[0]
		a.queue = a.queue[1:]
		a.take(c, m)
	}
	if a.phase == idle && len(a.queue) == 0 {
		a.queue = nil
		if a.record.State.Wake.IsZero() && !inFlight(a.record.State) {
			c.Idle()
		}
	}
}

func (a *notifier) take(c *system.Context, msg any) {
	if q, ok := msg.(*receiptAsk); ok && a.version == 0 {
		q.Reply(struct{}{}, engine.Errorf(engine.NotFound, "there is no such offer"))
		return
	}
	if a.c == nil {
		return // nobody opened that slot
	}
	switch m := msg.(type) {
	case order:
		a.order(c, m)
	case offerInput:
		if m.done != "" && slices.Contains(a.record.Seen, m.done) {
			return
		}
		a.step(c, offerWork{in: m.in, done: m.done})
	case askAgain:
		if a.asked[m.attempt] {
			a.ask(c, m.attempt)
		}
	case *receiptAsk:
		a.step(c, offerWork{in: []reach.Input{reach.Receipt{Receipt: m.Req}}, receipt: m})
	case *offerAsk:
		m.Reply(a.record.State, nil)
	case suspension:
		if m.on {
			a.step(c, offerWork{in: []reach.Input{reach.Suspend{}}})
		} else {
			a.step(c, offerWork{in: []reach.Input{reach.Resume{}}})
		}
	case wake:
		a.wake(c, m)
	}
}

func (a *notifier) wake(c *system.Context, m wake) {
	s := a.record.State
	if m.gen != s.Gen || s.Wake.IsZero() {
		return
	}
	if time.Now().Before(s.Wake) {
		a.arm(c)
		return
	}
	a.step(c, offerWork{in: []reach.Input{reach.Tick{Gen: m.gen}}})
}

// gauge says to the messages at a carrier's door whether they may leave.
func (a *notifier) gauge() {
	s := a.record.State
	a.open.Store(s.Offer != "" && !s.Closed && !s.Suspended && !a.closing && !a.hush)
}

// optOuts are the channels that the person has left since this offer was made.
func (a *notifier) optOuts() []reach.Input {
	var out []reach.Input
	for _, was := range a.record.State.Person.Contacts {
		if was.OptedOut.IsZero() && (a.r.waitlist.optedOut(a.record.State.Person.Patient, was) || !a.r.stopped(was).IsZero()) {
			out = append(out, reach.OptOut{Channel: was.Channel})
		}
	}
	return out
}

func (a *notifier) arm(c *system.Context) {
	if a.cancel != nil {
		a.cancel()
		a.cancel = nil
	}
	if s := a.record.State; !s.Wake.IsZero() {
		a.cancel = c.At(s.Wake, wake{s.Gen})
	}
}

func (a *notifier) delivery(id engine.AttemptID) (reach.Delivery, bool) {
	for _, d := range a.record.State.Deliveries {
		if d.ID == id {
			return d, true
		}
	}
	return reach.Delivery{}, false
}
