package actors

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"relais/engine"
)

// records is a clinic's record system: small, and honest about time.
type records struct {
	mu      sync.Mutex
	world   *world
	clinic  engine.ClinicID
	slots   map[string]*engine.SlotFact
	appts   map[string]*engine.AppointmentFact
	changed map[string]int // when a slot or an appointment was last changed
	clock   int
	fault   *engine.DMEFailure // every call fails so
	delay   time.Duration      // of every call
	whole   time.Duration      // of a complete look, besides
	hang    bool               // calls end only with their context
	keeps   bool               // no appointment is cancelled by us
	lost    int                // so many bookings take place, and the answer is lost
	calls   int
	asked   int                            // to book
	booked  map[engine.BookingID]time.Time // ever
	refused map[engine.BookingID]bool
}

func newRecords(w *world, c engine.ClinicID) *records {
	return &records{
		world: w, clinic: c, slots: map[string]*engine.SlotFact{}, appts: map[string]*engine.AppointmentFact{},
		changed: map[string]int{}, booked: map[engine.BookingID]time.Time{}, refused: map[engine.BookingID]bool{},
	}
}

func (d *records) touch(source string) string {
	d.clock++
	d.changed[source] = d.clock
	return strconv.Itoa(d.clock)
}

// add makes a slot with an appointment of somebody, and returns the appointment.
func (d *records) add(source string, start time.Time, length time.Duration) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slots[source] = &engine.SlotFact{
		Source: source, Version: d.touch(source), Status: engine.SlotFree, Practitioner: "dr", Place: "here",
		Specialty: "derm", Start: start.UTC(), End: start.Add(length).UTC(), Changed: time.Now().UTC(),
	}
	return d.occupy(source, "Patient/other", "")
}

func (d *records) occupy(source, patient string, booking engine.BookingID) string {
	s := d.slots[source]
	s.Status, s.Version, s.Changed = engine.SlotBusy, d.touch(source), time.Now().UTC()
	id := "Appointment/" + strconv.Itoa(d.clock)
	d.appts[id] = &engine.AppointmentFact{
		Source: id, Version: d.touch(id), Live: true, Slots: []string{source}, Patient: patient, Booking: booking,
		Start: s.Start, End: s.End,
	}
	return id
}

// takes has somebody book a slot by telephone, when it is free.
func (d *records) takes(source string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slots[source].Status != engine.SlotFree {
		return false
	}
	d.occupy(source, "Patient/caller", "")
	return true
}

// cancel ends what occupies a slot.
func (d *records) cancel(source string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.appts {
		if a.Live && slices.Contains(a.Slots, source) {
			d.end(a)
			return true
		}
	}
	return false
}

func (d *records) end(a *engine.AppointmentFact) {
	a.Live, a.Version = false, d.touch(a.Source)
	for _, source := range a.Slots {
		s := d.slots[source]
		s.Status, s.Version, s.Changed = engine.SlotFree, d.touch(source), time.Now().UTC()
	}
}

// block makes a slot unbookable.
func (d *records) block(source string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.slots[source]
	s.Status, s.Version = engine.SlotBlocked, d.touch(source)
}

func (d *records) fail(f engine.DMEFault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = nil
	if f != "" {
		d.fault = &engine.DMEFailure{Fault: f, Detail: "as the test asks"}
	}
}

// live returns the booking of ours that occupies a slot, and whether anything does.
func (d *records) live(source string) (engine.BookingID, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.appts {
		if a.Live && slices.Contains(a.Slots, source) {
			return a.Booking, true
		}
	}
	return "", false
}

// line is one process's connection to a record system.
type line struct {
	*records
	p *process
}

func (l line) call(ctx context.Context) error {
	l.mu.Lock()
	l.calls++
	fault, delay, hang := l.fault, l.delay, l.hang
	l.mu.Unlock()
	unreachable := &engine.DMEFailure{Fault: engine.DMEUnreachable, Detail: "as the test asks"}
	if hang {
		<-ctx.Done()
		return unreachable
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return unreachable
		}
	}
	if l.p.dead.Load() {
		return unreachable
	}
	if fault != nil {
		return fault
	}
	return nil
}

func (l line) observe(want func(source string) bool) engine.Observation {
	obs := engine.Observation{Cursor: strconv.Itoa(l.clock)}
	for _, id := range slices.Sorted(maps.Keys(l.slots)) {
		if want(id) {
			obs.Slots = append(obs.Slots, *l.slots[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.appts)) {
		if want(id) {
			obs.Appointments = append(obs.Appointments, *l.appts[id])
		}
	}
	return obs
}

func (l line) Changes(ctx context.Context, cursor string) (engine.Observation, error) {
	if err := l.call(ctx); err != nil {
		return engine.Observation{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	since, err := strconv.Atoi(cursor)
	if err != nil {
		return engine.Observation{}, &engine.DMEFailure{Fault: engine.DMEMalformed, Detail: "cursor"}
	}
	return l.observe(func(source string) bool { return l.changed[source] > since }), nil
}

func (l line) Snapshot(ctx context.Context, from, until time.Time) (engine.Observation, error) {
	l.mu.Lock()
	whole := l.whole
	l.mu.Unlock()
	if whole > 0 {
		select {
		case <-time.After(whole):
		case <-ctx.Done():
		}
	}
	if err := l.call(ctx); err != nil {
		return engine.Observation{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	obs := l.observe(func(source string) bool {
		var start time.Time
		if s := l.slots[source]; s != nil {
			start = s.Start
		} else {
			start = l.appts[source].Start
		}
		return !start.Before(from) && start.Before(until)
	})
	obs.Complete, obs.From, obs.Until = true, from, until
	return obs, nil
}

func (l line) Read(ctx context.Context, source string) (engine.Observation, error) {
	if err := l.call(ctx); err != nil {
		return engine.Observation{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.observe(func(id string) bool {
		a := l.appts[id]
		return id == source || (a != nil && slices.Contains(a.Slots, source))
	}), nil
}

func (l line) Book(ctx context.Context, b engine.Booking) (engine.Booked, error) {
	l.mu.Lock()
	l.asked++
	l.mu.Unlock()
	if err := l.call(ctx); err != nil {
		return engine.Booked{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, a := range l.appts {
		if a.Booking == b.ID {
			return engine.Booked{Appointment: id}, nil
		}
	}
	s := l.slots[b.Slot.Source]
	if s == nil || s.Status != engine.SlotFree || !s.Start.Equal(b.Slot.Start) {
		l.refused[b.ID] = true
		return engine.Booked{}, &engine.DMEFailure{Fault: engine.DMEConflict, Detail: "not free"}
	}
	id := l.occupy(b.Slot.Source, b.Patient, b.ID)
	l.booked[b.ID] = time.Now()
	if l.lost > 0 {
		l.lost--
		return engine.Booked{}, &engine.DMEFailure{Fault: engine.DMEUnreachable, Detail: "the answer was lost"}
	}
	return engine.Booked{Appointment: id}, nil
}

func (l line) Cancel(ctx context.Context, appointment string) error {
	if err := l.call(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keeps {
		return &engine.DMEFailure{Fault: engine.DMERejected, Detail: "as the test asks"}
	}
	if a := l.appts[appointment]; a != nil && a.Live {
		l.end(a)
	}
	return nil
}
