package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"relais/actors/system"
	"relais/engine"
)

// Clinics come and go while the system runs. A life begins with Open and ends with Close: after Close no
// actor of the clinic runs and nothing of it is written, so another process may open it. What was promised
// and not done waits in the store, as after a crash.

// closeGrace is how long the actors of a clinic may finish what they have at hand before they are stopped:
// a message in a carrier's hands, a booking on its way. What takes longer goes on as after a crash.
const closeGrace = 3 * time.Second

// Open opens a clinic: everything is loaded from the store, and nothing leaves before its record system was
// looked at. It fails with engine.Conflict when the clinic is open already.
func (r *Relais) Open(ctx context.Context, s Setup) error {
	done, err := r.hall.turn(ctx, s.Clinic.ID)
	if err != nil {
		return err
	}
	defer done()
	if r.hall.get(s.Clinic.ID) != nil {
		return engine.Errorf(engine.Conflict, "clinic %s is open already", s.Clinic.ID)
	}
	c, err := newClinic(s, nil)
	if err != nil {
		return err
	}
	return r.begin(ctx, c)
}

// Close ends a clinic's life here. People who come for it meanwhile wait, afterwards there is no such clinic.
// It fails when something did not end before ctx did; nothing is written even then, and Close may be called
// again.
func (r *Relais) Close(ctx context.Context, id engine.ClinicID) error {
	done, err := r.hall.turn(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	c := r.hall.get(id)
	if c == nil {
		return engine.Errorf(engine.NotFound, "there is no such clinic")
	}
	if err := r.finish(ctx, c); err != nil {
		return err
	}
	r.forgetClinic(c)
	r.hall.leave(c)
	close(c.done)
	r.resize(r.hall.len())
	return nil
}

// Replace gives an open clinic new settings. With the same record system and zone they count from the next
// message of each actor on; otherwise the clinic is closed and opened, and people who come meanwhile wait.
// Waves and deadlines that were decided stay as they are.
func (r *Relais) Replace(ctx context.Context, s Setup) error {
	done, err := r.hall.turn(ctx, s.Clinic.ID)
	if err != nil {
		return err
	}
	defer done()
	was := r.hall.get(s.Clinic.ID)
	if was == nil {
		return engine.Errorf(engine.NotFound, "there is no such clinic")
	}
	if was.isOpen() && s.Connect == nil && was.dme == s.DME && was.Zone == s.Clinic.Zone {
		return r.change(was, s)
	}
	if _, err := newClinic(s, nil); err != nil {
		return err
	}
	if err := r.finish(ctx, was); err != nil {
		return err
	}
	r.hall.remember(was)
	r.waitlist.forgetAsked(was.ID) // the store says it anew
	defer close(was.done)          // those who wait find the new life, or none
	var failed error
	if s.Connect != nil {
		if s.DME, failed = s.Connect(ctx); failed != nil {
			s = was.setup()
		}
	}
	c, err := newClinic(s, nil)
	if err != nil {
		return err
	}
	c.before = was
	return errors.Join(failed, r.begin(ctx, c))
}

// setup is what the clinic was put together from.
func (c *clinic) setup() Setup {
	return Setup{Clinic: c.Clinic, DME: c.dme, Poll: c.poll, WatchOnly: c.watchOnly}
}

// change puts new settings into a life that goes on.
func (r *Relais) change(was *clinic, s Setup) error {
	c, err := newClinic(s, was.life)
	if err != nil {
		return err
	}
	c.moding.Lock()
	defer c.moding.Unlock()
	c.newest.Store(c)
	r.hall.enter(c)
	m := *c.moded.Load()
	if m.version == 0 {
		m.Mode = c.Mode
	}
	if r.mayBecome(c, m.Mode) != nil {
		m.Mode = engine.Shadow
	}
	c.moded.Store(&m)
	r.spreadMode(c)
	c.calendar.Send(clinicView{})
	return nil
}

// begin loads a clinic and lets it be seen.
func (r *Relais) begin(ctx context.Context, c *clinic) error {
	c.seq.Store(r.hall.begin(c.ID))
	r.hall.enter(c)
	r.resize(r.hall.len())
	r.fence.open(c.ID)
	err := r.load(ctx, c, false)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("load clinic %s: %w", c.ID, err)
	if e := r.finish(context.WithoutCancel(ctx), c); e != nil {
		return fmt.Errorf("%w; and it could not be closed again: %w", err, e)
	}
	r.forgetClinic(c)
	r.hall.leave(c)
	close(c.loaded)
	close(c.done)
	return err
}

// finish stops the actors of a clinic, those first that give work to others, and shuts the fence.
func (r *Relais) finish(ctx context.Context, c *clinic) error {
	c.stage.Store(stageClosing) // from here on no slot or offer of the clinic is taken up
	c.shut.Store(true)
	c.gate.Store(0)
	grace, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	left := func() time.Duration {
		end, _ := grace.Deadline()
		return max(0, time.Until(end))
	}
	stuck := r.sys.Halt(ctx, left(), c.sync, c.asker)
	var slots, offers []system.Ref
	r.slots.Each(func(id engine.SlotID, ref system.Ref) {
		if of := r.clinicOf(id); of != nil && of.life == c.life {
			slots = append(slots, ref)
		}
	})
	stuck = append(stuck, r.sys.Halt(ctx, left(), slots...)...)
	r.offers.Each(func(id engine.OfferID, ref system.Ref) {
		if of := r.clinicOf(id.Slot()); of != nil && of.life == c.life {
			offers = append(offers, ref)
		}
	})
	stuck = append(stuck, r.sys.Halt(ctx, left(), offers...)...)
	stuck = append(stuck, r.sys.Halt(ctx, left(), c.boss, c.calendar)...)
	r.fence.shut(c.ID)
	if len(stuck) > 0 {
		return engine.Errorf(engine.Unavailable, "clinic %s could not be closed in time: %s", c.ID, strings.Join(stuck[:min(len(stuck), 5)], ", "))
	}
	return nil
}

// settled waits while a clinic is being opened or closed, and returns it as it is then.
func (r *Relais) settled(ctx context.Context, c *clinic) (*clinic, error) {
	for {
		now := r.hall.get(c.ID)
		if now == nil {
			return nil, engine.Errorf(engine.NotFound, "there is no such clinic")
		}
		var over chan struct{}
		switch now.stage.Load() {
		case stageOpen:
			return now, nil
		case stageOpening:
			over = now.loaded
		case stageClosing:
			over = now.done
		}
		select {
		case <-over:
		case <-ctx.Done():
			return nil, errFenced
		}
	}
}

// workingOn is the clinic of a slot, unless it closes: then nobody takes the slot up.
func (r *Relais) workingOn(id engine.SlotID) *clinic {
	c := r.clinicOf(id)
	if c == nil || c.isClosing() {
		return nil
	}
	return c
}

// noSlot is what somebody is told who comes for a slot that nobody takes up.
func (r *Relais) noSlot(id engine.SlotID) error {
	if r.clinicOf(id) != nil {
		return errFenced
	}
	return engine.Errorf(engine.NotFound, "there is no such slot")
}

// forgetClinic lets go of what is kept in memory of a clinic.
func (r *Relais) forgetClinic(c *clinic) {
	r.where.Range(func(id, of any) bool {
		if of.(*clinic).life == c.life {
			r.where.Delete(id)
			r.next.Delete(id)
		}
		return true
	})
	r.replies.forget(c.ID)
	r.waitlist.forgetClinic(c.ID)
	r.joins.forget(c.ID)
}

// resize gives the work on record systems as many workers as there are clinics: one that is slow must not
// hold up another.
func (r *Relais) resize(n int) {
	r.looks.Resize(max(8, n), 2*n+8)
	r.wholes.Resize(wholeLooks, 2*n+8)
	r.writes.Resize(max(8, n), 64*n+64)
}

// forget lets go of the offers of a clinic.
func (r *replies) forget(id engine.ClinicID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for phone, list := range r.phones {
		list = slices.DeleteFunc(list, func(k known) bool {
			if k.clinic.ID == id {
				delete(r.offers, k.offer)
			}
			return k.clinic.ID == id
		})
		r.phones[phone] = list
		if len(list) == 0 {
			delete(r.phones, phone)
		}
	}
}

// forgetClinic lets go of a clinic's patients and entries.
func (w *waitlist) forgetClinic(id engine.ClinicID) {
	w.forget(w.entriesOf(id))
	w.mu.Lock()
	defer w.mu.Unlock()
	for pid, p := range w.patients {
		if p.value.Clinic != id {
			continue
		}
		for _, c := range p.value.Contacts {
			drop(w.phones, c.Phone, pid)
			drop(w.emails, c.Email, pid)
		}
		delete(w.sources, source{id, p.value.Source})
		delete(w.pending, pid)
		delete(w.reserved, pid)
		delete(w.of, pid)
		delete(w.patients, pid)
	}
	delete(w.clinics, id)
	delete(w.rested, id)
	delete(w.tied, id)
}

func (w *waitlist) entriesOf(id engine.ClinicID) []engine.EntryID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.clinics[id])
}

// forgetAsked lets go of who is being asked at a clinic.
func (w *waitlist) forgetAsked(id engine.ClinicID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for pid := range w.pending {
		if w.patients[pid].value.Clinic == id {
			delete(w.pending, pid)
		}
	}
	for pid := range w.reserved {
		if w.patients[pid].value.Clinic == id {
			delete(w.reserved, pid)
		}
	}
}
