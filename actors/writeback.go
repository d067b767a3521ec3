package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/health"
	"relais/engine/slot"
)

// write is one change on its way to the record system. It is tried until the record system
// accepts or refuses.
type write struct {
	order   order
	since   time.Time
	tries   int
	running bool
}

type (
	tryWrite struct{ id string }
	wrote    struct {
		id     string
		booked engine.Booked
		free   bool
		err    error
	}
)

// write handles the messages that concern writing to the record system.
func (a *dmeActor) write(c *system.Context, msg any) {
	switch m := msg.(type) {
	case order:
		if a.writes[m.ID] != nil {
			return
		}
		w := &write{order: m, since: time.Now()}
		a.writes[m.ID] = w
		if !a.ready {
			return // tried once the record system's state is loaded
		}
		a.tell()
		a.try(c, w)
	case tryWrite:
		if w := a.writes[m.id]; w != nil && a.ready {
			a.try(c, w)
		}
	case wrote:
		a.wrote(c, m)
	}
}

func (a *dmeActor) try(c *system.Context, w *write) {
	if w.running {
		return
	}
	if wait := a.sync.Health.Brake(time.Now()); wait > 0 {
		c.After(wait, tryWrite{w.order.ID})
		return
	}
	w.running = true
	w.tries++
	if w.order.Do == deedCancel {
		a.giveUp(c, w)
		return
	}
	p, _, ok := a.r.waitlist.patient(w.order.Patient)
	if !ok || w.order.Of == nil {
		a.wrote(c, wrote{id: w.order.ID, err: &engine.DMEFailure{Fault: engine.DMERejected, Detail: "the patient is not known any more"}})
		return
	}
	b := engine.Booking{ID: w.order.Booking, Slot: *w.order.Of, Patient: p.Source}
	id, dme := w.order.ID, a.c.dme
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	system.PipeOn(a.r.writes, c, ctx, func(ctx context.Context) (wrote, error) {
		booked, err := dme.Book(ctx, b)
		m := wrote{id: id, booked: booked, err: err}
		if f := fault(err); f == engine.DMEConflict || f == engine.DMERejected {
			obs, err := dme.Read(ctx, b.Slot.Source)
			m.free = err == nil && freeIn(obs, b.Slot.Source)
		}
		return m, nil
	}, func(m wrote, err error) any {
		cancel()
		if err != nil {
			m = wrote{id: id, err: err}
		}
		return m
	})
}

// giveUp cancels the winner's earlier appointment. That it will free a slot is remembered first,
// so that the freed slot is known as part of a chain however soon it shows.
func (a *dmeActor) giveUp(c *system.Context, w *write) {
	source, id, dme := w.order.Current.Source, w.order.ID, a.c.dme
	cancelIt := func(c *system.Context) {
		ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
		system.PipeOn(a.r.writes, c, ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, dme.Cancel(ctx, source)
		}, func(_ struct{}, err error) any {
			cancel()
			return wrote{id: id, err: err}
		})
	}
	if _, known := a.sync.Chains[source]; known {
		cancelIt(c)
		return
	}
	a.sync.Chains[source] = chainLink{Depth: w.order.Depth, Parent: w.order.Parent, At: time.Now().UTC()}
	a.forgetOldChains()
	a.keepSync(c, cancelIt)
}

// keepChains is how long an appointment that was given up may take to show as freed: one that the record
// system would not cancel waits for somebody to do it by hand, over a long weekend at worst.
const keepChains = 7 * 24 * time.Hour

func (a *dmeActor) forgetOldChains() {
	for source, link := range a.sync.Chains {
		if time.Since(link.At) > keepChains {
			delete(a.sync.Chains, source)
		}
	}
}

func fault(err error) engine.DMEFault {
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		return f.Fault
	}
	return ""
}

func freeIn(obs engine.Observation, source string) bool {
	for _, appt := range obs.Appointments {
		if appt.Live {
			return false
		}
	}
	for _, s := range obs.Slots {
		if s.Source == source {
			return s.Status == engine.SlotFree
		}
	}
	return false
}

func (a *dmeActor) wrote(c *system.Context, m wrote) {
	w := a.writes[m.id]
	if w == nil {
		return
	}
	w.running = false
	metrics, took := a.r.opt.Metrics, time.Since(w.since)
	done, refused := slot.Input(slot.BookingAccepted{Booking: w.order.Booking, Appointment: m.booked.Appointment}), slot.Input(slot.BookingRefused{Booking: w.order.Booking, Free: m.free})
	doneIs, refusedIs := "booked", "refused"
	if w.order.Do == deedCancel {
		source := w.order.Current.Source
		done, refused = slot.GivenUp{Appointment: source}, slot.GivenUp{Appointment: source, Refused: true}
		doneIs, refusedIs = "cancelled", "cancel_refused"
	}
	switch f := fault(m.err); {
	case m.err == nil:
		metrics.WriteBack(a.c.ID, doneIs, took)
		a.settled(w, done)
		c.Self().Send(nudge{}) // see our own write at once
	case (f == engine.DMEConflict || f == engine.DMERejected) && a.doubted():
		// It may have lost more than this slot. Asked again once it can be trusted.
		metrics.WriteBack(a.c.ID, "retried", took)
	case f == engine.DMEConflict, f == engine.DMERejected:
		metrics.WriteBack(a.c.ID, refusedIs, took)
		a.r.opt.Logger.Warn("the record system refused a write", "clinic", a.c.ID, "slot", w.order.Slot, "write", string(w.order.Do), "fault", string(f))
		a.settled(w, refused)
		c.Self().Send(nudge{})
	default:
		metrics.WriteBack(a.c.ID, "retried", took)
		if f != "" {
			a.judge(c, bad(m.err))
		} else {
			w.tries = 0 // it waited here for its turn: the record system is not to blame
		}
		c.After(backoff(w.tries, m.err), tryWrite{m.id})
	}
}

// doubted reports whether a refusal of the record system says nothing, because what it shows is not
// believed or was not seen yet. A suspension by hand alone is no doubt.
func (a *dmeActor) doubted() bool {
	h := a.sync.Health
	return h.Status != health.Healthy && (h.Status == health.Starting || h.Fault != "")
}

// settled hands the record system's word to the slot, whose commit ends the order.
func (a *dmeActor) settled(w *write, in slot.Input) {
	delete(a.writes, w.order.ID)
	a.tell()
	a.r.slots.Ref(w.order.Slot).Send(slotInput{in: in, done: w.order.ID})
}

// backoff doubles from half a second to half a minute, with full jitter, and never less than the
// record system asked for.
func backoff(tries int, err error) time.Duration {
	limit := 500 * time.Millisecond << min(tries, 6)
	wait := time.Duration(rand.Int64N(int64(min(limit, 30*time.Second)))) //nolint:gosec // spreads retries, guards nothing
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		wait = max(wait, f.Wait)
	}
	return wait
}
