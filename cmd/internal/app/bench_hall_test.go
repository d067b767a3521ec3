package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/engine/health"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
)

// hall is Relais in this process: its real actors, rules and store, between record systems and
// carriers that answer at once.
type hall struct {
	tb     testing.TB
	dir    string
	store  *watchedStore
	relais *actors.Relais
	dmes   map[engine.ClinicID]*instantDME
	wall   *instantCarrier
}

// hallPlan says how large a hall is.
type hallPlan struct {
	clinics, slots int // slots over all clinics
	asked          int // people asked for each slot
	patients       int // over all clinics
	every          time.Duration
}

var hallConsent = time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)

func hallClinic(n int) engine.ClinicID { return engine.ClinicID(fmt.Sprintf("clinic-%02d", n)) }

// openHall starts a hall whose slots are all taken, with the patients waiting.
func openHall(tb testing.TB, plan hallPlan) *hall {
	tb.Helper()
	h := &hall{
		tb: tb, dir: tb.TempDir(), dmes: map[engine.ClinicID]*instantDME{},
		wall: &instantCarrier{first: map[engine.SlotID]engine.Phone{}, more: make(chan struct{}, 1)},
	}
	sealer, err := seal.OpenOrCreate(filepath.Join(h.dir, "key"))
	if err != nil {
		tb.Fatal(err)
	}
	inner, err := bolt.Open(filepath.Join(h.dir, "store"), bolt.Options{Sealer: sealer})
	if err != nil {
		tb.Fatal(err)
	}
	h.store = &watchedStore{Store: inner, seqs: map[engine.ClinicID]uint64{}}
	m := newMetrics()
	opt := actors.Options{
		Store: h.store, DMEs: map[engine.ClinicID]actors.DME{}, Links: links("https://relais.example"),
		Senders: map[engine.Channel]actors.Sender{engine.SMS: h.wall, engine.Voice: notConfigured{}, engine.EmailMail: notConfigured{}},
		Caller:  notConfigured{}, Logger: slog.New(slog.DiscardHandler), Observer: actorFaults{m},
		Metrics: clinicMetrics{m, func(engine.ClinicID, health.Status, health.Status) {}},
		Invite:  func(engine.BookingID, engine.Clinic, engine.Lang, time.Time, time.Time) []byte { return nil },
	}
	policy := engine.DefaultPolicy()
	policy.Strategy = engine.Waves // a wave as large as the hall
	policy.Size, policy.Every, policy.MaxAsked = plan.asked, plan.every, plan.asked
	policy.Grace, policy.Hours, policy.Reminders = 0, engine.Hours{}, 0
	policy.DayCap, policy.WeekCap, policy.FarCap = 50, 50, 50
	policy.VoiceAfter, policy.VoiceReply = 12*time.Hour, 12*time.Hour
	start := time.Now().Add(7 * 24 * time.Hour).UTC().Truncate(time.Hour)
	for n := range plan.clinics {
		id := hallClinic(n)
		dme := &instantDME{bookings: map[string]engine.AppointmentFact{}, open: make(chan struct{})}
		close(dme.open)
		for i := n; i < plan.slots; i += plan.clinics {
			at := start.Add(time.Duration(i/plan.clinics) * 20 * time.Minute)
			source := "Slot/" + strconv.Itoa(i)
			dme.slots = append(dme.slots, engine.SlotFact{
				Source: source, Version: "1", Status: engine.SlotBusy, Practitioner: "p", Place: "here", Specialty: "dermatology",
				Start: at, End: at.Add(20 * time.Minute),
			})
			dme.appts = append(dme.appts, engine.AppointmentFact{
				Source: "Appointment/" + strconv.Itoa(i), Version: "1", Live: true, Slots: []string{source}, Start: at, End: at.Add(20 * time.Minute),
			})
		}
		h.dmes[id], opt.DMEs[id] = dme, dme
		opt.Clinics = append(opt.Clinics, engine.Clinic{
			ID: id, Name: "Clinique du Parc", Address: "4200, avenue du Parc, Montréal", Phone: "514 555-0142", Zone: "America/Toronto",
			Lang: engine.French, Mode: engine.Automatic, Policy: policy,
			Practitioners: []engine.Practitioner{{ID: "p", Name: "Dre Sophie Gagnon", Specialty: "dermatology"}},
			Places:        []engine.Place{{ID: "here", Name: "Clinique du Parc", Point: engine.Point{Lat: 45.52, Lon: -73.59}}},
		})
	}
	if h.relais, err = actors.New(opt); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		if stuck := h.relais.Stop(ctx); len(stuck) > 0 {
			tb.Logf("%d parts did not stop in time", len(stuck))
		}
		if err := inner.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := h.relais.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	h.enrol(plan)
	h.until("every record system is healthy", func() bool {
		for id := range h.dmes {
			if s, err := h.relais.Health(tb.Context(), id); err != nil || s.Status != health.Healthy {
				return false
			}
		}
		return true
	})
	return h
}

func (h *hall) enrol(plan hallPlan) {
	h.tb.Helper()
	whole := engine.Hours{}
	var patients []engine.Patient
	var entries []engine.Entry
	for i := range plan.patients {
		id := engine.PatientID(fmt.Sprintf("w%06d", i))
		clinic := hallClinic(i % plan.clinics)
		patients = append(patients, engine.Patient{
			ID: id, Clinic: clinic, Given: "Marie", Family: "Tremblay", Lang: engine.French, Hours: &whole, Source: "Patient/" + string(id),
			Contacts: []engine.Contact{{Channel: engine.SMS, Phone: engine.Phone(fmt.Sprintf("+1514%07d", i)), Consent: hallConsent, Proof: "formulaire 2026-03-02"}},
		})
		entries = append(entries, engine.Entry{
			ID: "e" + engine.EntryID(id), Clinic: clinic, Patient: id, Status: engine.Waiting, Specialty: "dermatology", Class: 1,
			Joined: hallConsent.Add(time.Duration(i) * time.Minute),
		})
	}
	for len(patients) > 0 {
		n := min(1000, len(patients))
		if err := h.relais.Add(h.tb.Context(), patients[:n], entries[:n]); err != nil {
			h.tb.Fatal(err)
		}
		patients, entries = patients[n:], entries[n:]
	}
}

// free has the record systems free slots, and waits until all who are to be asked were sent their
// offer and nothing is under way. It returns the freed slots.
func (h *hall) free(slots, asked int) []engine.SlotID {
	h.tb.Helper()
	var freed []engine.SlotID
	want := h.wall.count() + slots*asked
	for n := 0; len(freed) < slots; n = (n + 1) % len(h.dmes) {
		freed = append(freed, h.dmes[hallClinic(n)].cancelNext(hallClinic(n)))
	}
	for id := range h.dmes {
		h.relais.Nudge(id)
	}
	h.until("the offers are sent", func() bool { return h.wall.count() >= want })
	h.quiet()
	return freed
}

// until waits for what background work brings about.
func (h *hall) until(what string, done func() bool) {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(h.tb.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			h.tb.Fatalf("still waiting until %s: %d offers sent", what, h.wall.count())
		case <-tick.C:
		}
	}
}

// quiet waits until nothing that was promised is left to do and nothing is being written.
func (h *hall) quiet() {
	h.tb.Helper()
	h.until("nothing is left to do", func() bool {
		for id := range h.dmes {
			left, err := h.store.Outbox(h.tb.Context(), id, "", 1)
			if err != nil {
				h.tb.Fatal(err)
			}
			if len(left) > 0 {
				return false
			}
		}
		for _, s := range h.relais.Stats() {
			if s.Queued > 0 {
				return false
			}
		}
		return h.store.resting(50 * time.Millisecond)
	})
}

// yes has a person text OUI.
func (h *hall) yes(ctx context.Context, from engine.Phone) (engine.AnswerKind, error) {
	a, err := h.relais.Reply(ctx, engine.Reply{ID: rand.Text(), Phone: from, Channel: engine.SMS, Intent: engine.Yes, At: time.Now()})
	return a.Kind, err
}

// instantDME is a record system that answers at once, and tells of changes as a real one does.
type instantDME struct {
	open chan struct{} // closed: bookings are taken

	mu       sync.Mutex
	slots    []engine.SlotFact
	appts    []engine.AppointmentFact
	next     int // to be freed
	changed  []int
	bookings map[string]engine.AppointmentFact // by the slot's source
	log      []engine.AppointmentFact          // bookings in order
}

func (d *instantDME) cancelNext(clinic engine.ClinicID) engine.SlotID {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, a := &d.slots[d.next], &d.appts[d.next]
	s.Status, s.Version, s.Changed, a.Live, a.Version = engine.SlotFree, "2", time.Now(), false, "2"
	d.changed = append(d.changed, d.next)
	d.next++
	return engine.NewSlotID(clinic, s.Source, s.Start)
}

func (d *instantDME) cursor() string { return fmt.Sprintf("%d/%d", len(d.changed), len(d.log)) }

func (d *instantDME) Changes(_ context.Context, cursor string) (engine.Observation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, b, _ := strings.Cut(cursor, "/")
	seen, booked := number(a), number(b)
	o := engine.Observation{Cursor: d.cursor()}
	for _, i := range d.changed[seen:] {
		o.Slots, o.Appointments = append(o.Slots, d.slots[i]), append(o.Appointments, d.appts[i])
	}
	for _, appt := range d.log[booked:] {
		i := slices.IndexFunc(d.slots, func(s engine.SlotFact) bool { return s.Source == appt.Slots[0] })
		o.Slots, o.Appointments = append(o.Slots, d.slots[i]), append(o.Appointments, appt)
	}
	return o, nil
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // our own cursor
	return n
}

func (d *instantDME) Snapshot(_ context.Context, from, until time.Time) (engine.Observation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return engine.Observation{
		Slots: slices.Clone(d.slots), Appointments: slices.Concat(d.appts, d.log), Complete: true, From: from, Until: until, Cursor: d.cursor(),
	}, nil
}

func (d *instantDME) Read(_ context.Context, source string) (engine.Observation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.slots, func(s engine.SlotFact) bool { return s.Source == source })
	if i < 0 {
		return engine.Observation{}, nil
	}
	o := engine.Observation{Slots: []engine.SlotFact{d.slots[i]}, Appointments: []engine.AppointmentFact{d.appts[i]}}
	if b, ok := d.bookings[source]; ok {
		o.Appointments = append(o.Appointments, b)
	}
	return o, nil
}

func (d *instantDME) Book(ctx context.Context, b engine.Booking) (engine.Booked, error) {
	d.mu.Lock()
	open := d.open
	d.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
		return engine.Booked{}, &engine.DMEFailure{Fault: engine.DMEUnreachable, Detail: "no answer"}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if had, ok := d.bookings[b.Slot.Source]; ok {
		if had.Booking == b.ID {
			return engine.Booked{Appointment: had.Source}, nil
		}
		return engine.Booked{}, &engine.DMEFailure{Fault: engine.DMEConflict, Detail: "taken"}
	}
	i := slices.IndexFunc(d.slots, func(s engine.SlotFact) bool { return s.Source == b.Slot.Source })
	d.slots[i].Status, d.slots[i].Version = engine.SlotBusy, "3"
	appt := engine.AppointmentFact{
		Source: "Appointment/ours-" + strconv.Itoa(len(d.log)), Version: "1", Live: true, Slots: []string{b.Slot.Source},
		Patient: b.Patient, Booking: b.ID, Start: b.Slot.Start, End: b.Slot.End,
	}
	d.bookings[b.Slot.Source] = appt
	d.log = append(d.log, appt)
	return engine.Booked{Appointment: appt.Source}, nil
}

func (d *instantDME) Cancel(context.Context, string) error { return nil }

// hold makes bookings wait until the returned function is called.
func (d *instantDME) hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	open := make(chan struct{})
	d.open = open
	return func() { close(open) }
}

func (d *instantDME) booked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// instantCarrier takes every text at once.
type instantCarrier struct {
	mu       sync.Mutex
	offers   int
	first    map[engine.SlotID]engine.Phone // who was asked first
	all      []engine.Phone
	attempts []engine.AttemptID
	more     chan struct{}
}

func (w *instantCarrier) Send(_ context.Context, m engine.Message) engine.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.Kind == engine.MsgOffer {
		w.offers++
		w.all, w.attempts = append(w.all, m.Phone), append(w.attempts, m.Attempt)
		if id := m.Attempt.Offer().Slot(); w.first[id] == "" {
			w.first[id] = m.Phone
		}
	}
	return engine.Outcome{Status: engine.Accepted, Ref: string(m.Attempt)}
}

func (w *instantCarrier) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.offers
}

func (w *instantCarrier) asked(s engine.SlotID) engine.Phone {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first[s]
}

// watchedStore notes what is committed, in the form in which a bare loop can write it again.
type watchedStore struct {
	storage.Store

	mu     sync.Mutex
	note   bool
	noted  []notedCommit
	seqs   map[engine.ClinicID]uint64
	active int
	last   time.Time
	claims map[engine.SlotID]chan struct{} // closed when the slot's claim is durable
}

// notedCommit is one batch that was committed.
type notedCommit struct {
	ops   []bareOp
	claim bool // a person's yes became durable
	at    time.Time
}

func (s *watchedStore) Commit(ctx context.Context, b storage.Batch) error {
	s.mu.Lock()
	s.active++
	s.mu.Unlock()
	err := s.Store.Commit(ctx, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.last = time.Now()
	if err != nil {
		return err
	}
	slot := claimedIn(b)
	if s.note {
		s.noted = append(s.noted, notedCommit{ops: s.bareOps(b), claim: slot != "", at: s.last})
	}
	if done, ok := s.claims[slot]; ok {
		delete(s.claims, slot)
		close(done)
	}
	return nil
}

// claimedIn returns the slot that the batch gives to somebody: it orders the write-back.
func claimedIn(b storage.Batch) engine.SlotID {
	for _, e := range b.Effects {
		if strings.HasPrefix(string(e.Data), `{"do":"book"`) {
			id, _, _ := strings.Cut(e.ID, "/")
			return engine.SlotID(id)
		}
	}
	return ""
}

// watch begins to note commits, and makes a signal for the claim of each slot.
func (s *watchedStore) watch(slots []engine.SlotID) map[engine.SlotID]chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note, s.noted, s.claims = true, nil, map[engine.SlotID]chan struct{}{}
	signals := map[engine.SlotID]chan struct{}{}
	for _, id := range slots {
		c := make(chan struct{})
		s.claims[id], signals[id] = c, c
	}
	return signals
}

func (s *watchedStore) unwatch() []notedCommit {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note = false
	return s.noted
}

// lastCommit is when something was last written.
func (s *watchedStore) lastCommit() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// resting reports whether nothing was written for a while.
func (s *watchedStore) resting(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active == 0 && time.Since(s.last) > d
}
