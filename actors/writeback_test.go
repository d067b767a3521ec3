package actors

import (
	"fmt"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/health"
	"relais/engine/slot"
)

// asks says how often a record system was asked to book since the last call.
func (d *records) asks() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.asked
	d.asked = 0
	return n
}

// TestBreaker lets several people say yes while the record system cannot be used: no booking is tried until a
// look works, and then each is written at once, once.
func TestBreaker(t *testing.T) {
	const wait = 4 * time.Minute
	for name, broken := range map[string]engine.DMEFailure{
		"down":          {Fault: engine.DMEUnreachable},
		"errs":          {Fault: engine.DMEError},
		"signed out":    {Fault: engine.DMESignIn},
		"asked to wait": {Fault: engine.DMEBusy, Wait: wait},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, 1, nil)
				d := w.dmes["a"]
				slots := []string{"S1", "S2", "S3"}
				for i, s := range slots {
					d.add(s, monday.Add(time.Duration(4+i)*time.Hour), 20*time.Minute)
				}
				w.start()
				w.enrol("a", 9, nil)
				w.wait(10 * time.Second)
				for _, s := range slots {
					d.cancel(s)
				}
				w.wait(65 * time.Second)
				d.mu.Lock()
				d.fault = &broken
				d.mu.Unlock()
				w.wait(wait + 30*time.Second)
				w.healthy("a", health.Suspended)
				for i, s := range slots {
					w.answer(w.saysAs(fmt.Sprint("SM", i), patientPhone(w.slot(s).Offers[0].Patient), "oui"), engine.AnsFinalising)
				}
				w.wait(20 * time.Minute)
				if n := d.asks(); n != 0 {
					t.Errorf("asked %d times to book while it could not be used", n)
				}
				d.fail("")
				w.wait(wait + 35*time.Second)
				w.healthy("a", health.Healthy)
				for _, s := range slots {
					w.phase(s, slot.Booked)
				}
				if n := d.asks(); n != len(slots) {
					t.Errorf("%d bookings took %d requests", len(slots), n)
				}
			})
		})
	}
}

// TestRetryAfterHoldsWritesBack asks a trusted record system for nothing, no booking either, while it asked us to
// wait.
func TestRetryAfterHoldsWritesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := freed(t, 3, nil)
		d := w.dmes["a"]
		w.wait(time.Minute)
		d.mu.Lock()
		d.fault = &engine.DMEFailure{Fault: engine.DMEBusy, Wait: 20 * time.Second}
		d.mu.Unlock()
		w.wait(3 * time.Second) // one look hears of it
		w.healthy("a", health.Healthy)
		d.fail("")
		w.says("a", 1, "oui")
		w.wait(10 * time.Second)
		if n := d.asks(); n != 0 {
			t.Errorf("asked %d times to book within the time that it asked us to wait", n)
		}
		w.wait(15 * time.Second)
		w.phase("S1", slot.Booked)
		if n := d.asks(); n != 1 {
			t.Errorf("booked with %d requests", n)
		}
	})
}
