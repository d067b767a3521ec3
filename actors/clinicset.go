package actors

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/health"
	"relais/engine/match"
	"relais/engine/offer"
)

// Setup is a clinic with what it works with.
type Setup struct {
	Clinic engine.Clinic
	DME    DME
	// Connect makes the record system anew, for Replace: it is called while no actor of the clinic runs,
	// and when it fails the clinic goes on as it was. nil: DME is it.
	Connect func(ctx context.Context) (DME, error)
	Poll    time.Duration // between looks at the record system; 0: 2 s
	// WatchOnly says, in a sentence for the desk, why the clinic can only be in shadow mode; "": it need not.
	WatchOnly string
}

// clinic is a clinic's settings, and the life that its actors share. It is never changed: when the
// settings are, another one takes its place, and who holds this one finds that by present.
type clinic struct {
	engine.Clinic
	zone      *time.Location
	points    map[engine.PlaceID]engine.Point
	staff     map[engine.PractitionerID]*engine.Practitioner
	dme       DME
	poll      time.Duration
	watchOnly string
	*life
}

// life is what the actors of one clinic share from its opening to its closing. The addresses are set
// before anybody else knows of it.
type life struct {
	newest atomic.Pointer[clinic]
	stage  atomic.Int32
	before *clinic       // the life that this one follows at once, or nil
	loaded chan struct{} // closed when the opening is over, one way or the other
	done   chan struct{} // closed when the closing is

	boss     system.Ref // the clinic actor
	sync     system.Ref // the dme actor
	calendar system.Ref
	asker    system.Ref
	unread   *unread
	seq      atomic.Uint64 // newest sequence of the calendar
	// gate is not 0 while messages may leave: the record system was seen whole since the process
	// started and can be trusted. It counts the times it was opened, so that a slot which has not
	// been compared since the last time is told from one that has.
	gate atomic.Uint64
	// learned is how often offers are accepted here, by what openings showed; nil: not loaded.
	learned atomic.Pointer[offer.Cells]
	// shut closes the gate at once, whatever the clinic actor is busy with, and heard is when the
	// dme actor was last alive (Unix nanoseconds): without it nobody would notice that trust is over.
	shut  atomic.Bool
	heard atomic.Int64
	// moded is the mode as it was kept at the desk or, before that, as the configuration gives it; moding
	// lets one change after the other.
	moded  atomic.Pointer[modeRecord]
	moding sync.Mutex

	outlooks outlooks
}

// The stages of a life.
const (
	stageOpening int32 = iota // being loaded
	stageOpen
	stageClosing // its actors are being stopped; afterwards too
)

// newClinic puts a clinic together, in a life of its own when of is nil.
func newClinic(s Setup, of *life) (*clinic, error) {
	zone, err := time.LoadLocation(s.Clinic.Zone)
	if err != nil {
		return nil, fmt.Errorf("clinic %s: time zone %q is not known: %w", s.Clinic.ID, s.Clinic.Zone, err)
	}
	if s.DME == nil && s.Connect == nil {
		return nil, fmt.Errorf("clinic %s has no record system", s.Clinic.ID)
	}
	c := &clinic{
		Clinic: s.Clinic, zone: zone, points: map[engine.PlaceID]engine.Point{}, staff: map[engine.PractitionerID]*engine.Practitioner{},
		dme: s.DME, poll: s.Poll, watchOnly: s.WatchOnly, life: of,
	}
	c.Practitioners = slices.Clone(c.Practitioners)
	for i := range c.Practitioners {
		c.staff[c.Practitioners[i].ID] = &c.Practitioners[i]
	}
	for _, p := range c.Places {
		c.points[p.ID] = p.Point
	}
	if of == nil {
		c.life = &life{unread: newUnread(), loaded: make(chan struct{}), done: make(chan struct{})}
		c.moded.Store(&modeRecord{Mode: c.Mode})
		c.newest.Store(c)
	}
	return c, nil
}

// present is the clinic with its newest settings; nil for none.
func (c *clinic) present() *clinic {
	if c == nil {
		return nil
	}
	return c.newest.Load()
}

func (c *clinic) isOpen() bool    { return c.stage.Load() == stageOpen }
func (c *clinic) isClosing() bool { return c.stage.Load() == stageClosing }

// opened says that everything is loaded.
func (c *clinic) opened() {
	c.stage.Store(stageOpen)
	close(c.loaded)
}

// opening is the number of the gate's present opening; 0 while nothing may leave.
func (c *clinic) opening() uint64 {
	if c.shut.Load() || time.Now().UnixNano()-c.heard.Load() > int64(health.MaxStale) {
		return 0
	}
	return c.gate.Load()
}

func (c *clinic) query(s engine.Slot, now time.Time) match.Query {
	return match.Query{Slot: s, Place: c.points[s.Place], Zone: c.zone, Now: now}
}

// personZone is the patient's own zone, or the clinic's.
func (c *clinic) personZone(p engine.Patient) *time.Location {
	if p.Zone != "" {
		if zone, err := time.LoadLocation(p.Zone); err == nil {
			return zone
		}
	}
	return c.zone
}

// hall knows the clinics that are open here, or about to be. Safe for concurrent use.
type hall struct {
	mu      sync.RWMutex
	clinics map[engine.ClinicID]*clinic
	seqs    map[engine.ClinicID]uint64        // where the calendars of those that closed ended
	turns   map[engine.ClinicID]chan struct{} // one opening, change or closing of a clinic at a time
}

func newHall() *hall {
	return &hall{clinics: map[engine.ClinicID]*clinic{}, seqs: map[engine.ClinicID]uint64{}, turns: map[engine.ClinicID]chan struct{}{}}
}

func (h *hall) get(id engine.ClinicID) *clinic {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.clinics[id]
}

func (h *hall) enter(c *clinic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clinics[c.ID] = c
}

// remember keeps where the calendar of a life ends: a page that comes back to a later one must not take
// that one's numbers for the ones it has.
func (h *hall) remember(c *clinic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seqs[c.ID] = max(h.seqs[c.ID], c.seq.Load())
}

// leave forgets a clinic, if it is still this one.
func (h *hall) leave(c *clinic) {
	h.remember(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.clinics[c.ID]; now != nil && now.life == c.life {
		delete(h.clinics, c.ID)
	}
}

// begin is the sequence from which a new life's calendar goes on.
func (h *hall) begin(id engine.ClinicID) uint64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if last, known := h.seqs[id]; known {
		return last + 1
	}
	return 0
}

// turn waits until nobody else opens, changes or closes the clinic.
func (h *hall) turn(ctx context.Context, id engine.ClinicID) (done func(), err error) {
	h.mu.Lock()
	if h.turns[id] == nil {
		h.turns[id] = make(chan struct{}, 1)
	}
	turn := h.turns[id]
	h.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, errFenced
	}
}

func (h *hall) all() []*clinic {
	h.mu.RLock()
	defer h.mu.RUnlock()
	list := make([]*clinic, 0, len(h.clinics))
	for _, c := range h.clinics {
		list = append(list, c)
	}
	return list
}

func (h *hall) len() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.clinics)
}

// isFirst says whether a clinic is the one that looks after what is shared.
func (h *hall) isFirst(id engine.ClinicID) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for other := range h.clinics {
		if other < id {
			return false
		}
	}
	return true
}
