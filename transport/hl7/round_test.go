package hl7_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/hl7"
	"relais/transport/sandbox"
)

// kept is a journal in memory.
type kept struct {
	mu      sync.Mutex
	records map[string]hl7.Record
}

func (k *kept) Save(_ context.Context, c engine.ClinicID, records []hl7.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range records {
		if r.Data == nil {
			delete(k.records, string(c)+r.ID)
		} else {
			k.records[string(c)+r.ID] = r
		}
	}
	return nil
}

func (k *kept) Load(_ context.Context, c engine.ClinicID, f func(hl7.Record) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, r := range k.records {
		if strings.HasPrefix(id, string(c)) {
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func montreal(tb testing.TB) *time.Location {
	tb.Helper()
	z, err := time.LoadLocation("America/Toronto")
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

// round is a listener, a record system and the connector of clinic "derma" between them.
type round struct {
	t      testing.TB
	system *sandbox.HL7System
	c      *hl7.Connector
	addr   string
	nudged chan struct{}
	events map[string]int
	told   chan struct{} // an event was counted
	mu     sync.Mutex
	slot   engine.Slot // freed
	filler string      // of the visit that was cancelled
}

func newRound(tb testing.TB, set func(*hl7.Config, *hl7.ListenerConfig)) *round {
	tb.Helper()
	r := &round{t: tb, nudged: make(chan struct{}, 1), events: map[string]int{}, told: make(chan struct{}, 1)}
	var err error
	r.system, err = sandbox.NewHL7System(sandbox.HL7Clinic{
		ID: "derma", Sender: hl7.Party{Application: "SCHED", Facility: "DERMA"}, Receiver: hl7.Party{Application: "RELAIS"}, Zone: montreal(tb),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.system.Close)
	quiet := slog.New(slog.DiscardHandler)
	cfg := hl7.Config{
		Clinic: "derma", Zone: montreal(tb), Journal: &kept{records: map[string]hl7.Record{}},
		Sender: hl7.Party{Application: "SCHED", Facility: "DERMA"}, Receiver: hl7.Party{Application: "RELAIS"},
		SendTo: r.system.Addr(), Practitioners: map[string]engine.PractitionerID{"D7": "gagnon"}, Places: map[string]engine.PlaceID{"PARC": "parc"},
		Nudge: func() {
			select {
			case r.nudged <- struct{}{}:
			default:
			}
		}, Log: quiet,
	}
	lc := hl7.ListenerConfig{Log: quiet, Observe: func(_ engine.ClinicID, event string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events[event]++
		select {
		case r.told <- struct{}{}:
		default:
		}
	}}
	if set != nil {
		set(&cfg, &lc)
	}
	if r.c, err = hl7.New(tb.Context(), cfg); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.c.Close)
	l := hl7.NewListener(lc)
	if err := l.Add(r.c); err != nil {
		tb.Fatal(err)
	}
	listen, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go func() { _ = l.Serve(listen) }()
	tb.Cleanup(l.Close)
	r.addr = listen.Addr().String()
	r.system.SendTo(r.addr)
	return r
}

func (r *round) count(event string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[event]
}

// counted waits until an event was counted n times.
func (r *round) counted(event string, n int) {
	r.t.Helper()
	late := time.After(20 * time.Second)
	for r.count(event) < n {
		select {
		case <-r.told:
		case <-late:
			r.t.Fatalf("%s was not counted %d times: %v", event, n, r.events)
		}
	}
}

// free makes a visit and cancels it, and reads its slot.
func (r *round) free() {
	r.t.Helper()
	start := time.Now().Add(48 * time.Hour).Truncate(time.Hour)
	var err error
	if r.filler, err = r.system.Book(r.t.Context(), "derma", "D7", "PARC", start, start.Add(20*time.Minute)); err != nil {
		r.t.Fatal(err)
	}
	if err := r.system.Cancel(r.t.Context(), "derma", r.filler); err != nil {
		r.t.Fatal(err)
	}
	obs, err := r.c.Snapshot(r.t.Context(), start.Add(-time.Hour), start.Add(time.Hour))
	if err != nil || len(obs.Slots) != 1 {
		r.t.Fatalf("%+v %v", obs, err)
	}
	f := obs.Slots[0]
	r.slot = engine.Slot{ID: "s", Clinic: "derma", Source: f.Source, Practitioner: f.Practitioner, Place: f.Place, Start: f.Start, End: f.End}
	if got := r.status(); got != engine.SlotFree {
		r.t.Fatalf("the slot is %s", got)
	}
}

func (r *round) status() engine.SlotStatus {
	r.t.Helper()
	obs, err := r.c.Read(r.t.Context(), r.slot.Source)
	if err != nil || len(obs.Slots) != 1 {
		r.t.Fatalf("%+v %v", obs, err)
	}
	return obs.Slots[0].Status
}

func (r *round) book(id engine.BookingID) (engine.Booked, error) {
	return r.c.Book(r.t.Context(), engine.Booking{ID: id, Slot: r.slot, Patient: "TREM1^^^CH^MR"})
}

func fault(err error) engine.DMEFault {
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		return f.Fault
	}
	return ""
}

// However a record system answers, a booking is made once, and what it sends of it is no stranger.
func TestBook(t *testing.T) {
	for name, manner := range map[string]sandbox.HL7Manner{
		"answers": sandbox.HL7Answers, "later": sandbox.HL7Later, "shows": sandbox.HL7Shows,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRound(t, nil)
			r.free()
			r.system.Behave(manner)
			first, err := r.book("relais-1")
			if err != nil {
				t.Fatal(err)
			}
			again, err := r.book("relais-1")
			if err != nil || again != first {
				t.Errorf("%v and then %v %v", first, again, err)
			}
			visits := r.system.Visits("derma")
			if len(visits) != 1 || visits[0].Placer != "relais-1" || visits[0].Patient != "TREM1" || visits[0].Person != "D7" || !visits[0].Start.Equal(r.slot.Start) {
				t.Fatalf("%+v", visits)
			}
			if _, err := r.book("relais-2"); fault(err) != engine.DMEConflict {
				t.Errorf("a second booking: %v", err)
			}
			obs, err := r.c.Read(t.Context(), r.slot.Source)
			if err != nil || len(obs.Appointments) != 1 || obs.Appointments[0].Booking != "relais-1" || obs.Appointments[0].Source != first.Appointment {
				t.Errorf("%+v %v", obs, err)
			}
			if err := r.c.Cancel(t.Context(), first.Appointment); err != nil {
				t.Fatal(err)
			}
			if err := r.c.Cancel(t.Context(), first.Appointment); err != nil {
				t.Errorf("cancelled twice: %v", err)
			}
			if n := len(r.system.Visits("derma")); n != 0 || r.status() != engine.SlotFree {
				t.Errorf("%d visits; the slot is %s", n, r.status())
			}
		})
	}
}

// An answer that is lost leaves it open whether the booking was made; the second try finds out.
func TestBookWhoseAnswerIsLost(t *testing.T) {
	r := newRound(t, func(c *hl7.Config, _ *hl7.ListenerConfig) { c.Answer = 100 * time.Millisecond })
	r.free()
	r.system.Behave(sandbox.HL7Silent)
	if _, err := r.book("relais-1"); fault(err) != engine.DMEUnreachable {
		t.Fatalf("%v", err)
	}
	r.system.Behave(sandbox.HL7Answers)
	if _, err := r.book("relais-1"); err != nil {
		t.Fatal(err)
	}
	if visits := r.system.Visits("derma"); len(visits) != 1 {
		t.Errorf("%+v", visits)
	}
}

func TestBookRefused(t *testing.T) {
	r := newRound(t, nil)
	r.free()
	r.system.Behave(sandbox.HL7Refuses)
	if _, err := r.book("relais-1"); fault(err) != engine.DMEConflict {
		t.Fatalf("%v", err)
	}
	if got := r.status(); got == engine.SlotFree {
		t.Error("a slot that the record system refused is still offered")
	}
}

func TestLinkDown(t *testing.T) {
	r := newRound(t, nil)
	r.free()
	r.system.Close()
	if _, err := r.book("relais-1"); fault(err) != engine.DMEUnreachable {
		t.Errorf("%v", err)
	}
	if _, err := r.c.Snapshot(t.Context(), time.Now(), time.Now().Add(time.Hour)); fault(err) != engine.DMEUnreachable {
		t.Errorf("a look: %v", err)
	}
}

func TestChecked(t *testing.T) {
	r := newRound(t, nil)
	r.free()
	var got []string
	r.c.Check(t.Context(), true, func(s engine.CheckStep) { got = append(got, fmt.Sprint(s.Name, " ", s.Verdict)) })
	if want := "messages ok, reach ok, request ok"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	weak := 0
	for _, m := range r.c.Modes() {
		if m.Weak {
			weak++
		}
	}
	if weak < 2 {
		t.Error("HL7 is not said to be weaker than an interface that can be read")
	}
}

// An appointment that was made before Relais listened is cancelled by its identifier all the same, and
// one that cannot be of this record system is not said to be cancelled.
func TestCancelNeverHeardOf(t *testing.T) {
	r := newRound(t, nil)
	r.free()
	filler, err := r.system.Book(t.Context(), "derma", "D7", "PARC", r.slot.Start.Add(time.Hour), r.slot.End.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	deaf := newRound(t, func(c *hl7.Config, _ *hl7.ListenerConfig) { c.SendTo = r.system.Addr() })
	for name, want := range map[string]engine.DMEFault{
		"filler/" + filler: "", "filler/nobody": "", "Appointment/12": engine.DMERejected, "filler/": engine.DMERejected,
	} {
		if err := deaf.c.Cancel(t.Context(), name); fault(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v := r.system.Visits("derma"); len(v) != 0 {
		t.Errorf("it is still there: %+v", v)
	}
}
