package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/slot"
	"relais/storage"
)

// modeRecord is a clinic's mode as somebody set it at the desk. Before that there is none, and the
// configuration's counts.
type modeRecord struct {
	Mode    engine.Mode   `json:"mode"`
	By      engine.UserID `json:"by"`
	At      time.Time     `json:"at"`
	version uint64        // of the record; 0: from the configuration
}

func modeKey(c engine.ClinicID) storage.Key {
	return storage.Key{Clinic: c, Kind: storage.KindMeta, ID: "mode"}
}

// modeSubject is where the timeline keeps the changes of a clinic's mode.
const modeSubject = "mode"

// mode is what Relais does by itself at the clinic now.
func (c *clinic) mode() engine.Mode { return c.moded.Load().Mode }

// loadMode takes up what was set at the desk.
func (r *Relais) loadMode(ctx context.Context, c *clinic) error {
	rec, err := r.store.Get(ctx, modeKey(c.ID))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m := modeRecord{version: rec.Version}
	if err := json.Unmarshal(rec.Data, &m); err != nil {
		return fmt.Errorf("the mode of clinic %s: %w", c.ID, err)
	}
	if r.mayBecome(c, m.Mode) != nil { // the configuration lost what it needs
		r.opt.Logger.Warn("the mode set at the desk is not possible any more; the clinic is in shadow mode", "clinic", c.ID, "mode", m.Mode)
		m.Mode = engine.Shadow
	} else if m.Mode != c.Mode {
		r.opt.Logger.Info("the mode set at the desk counts, not the configuration's", "clinic", c.ID, "mode", m.Mode, "configured", c.Mode)
	}
	c.moded.Store(&m)
	return nil
}

// SetMode changes what Relais does by itself at a clinic, once per key. From the moment it returns nothing
// leaves that the new mode does not allow; offers that were made can be answered. It fails with
// engine.Conflict when somebody changed the mode after the revision in set.
func (r *Relais) SetMode(ctx context.Context, id engine.ClinicID, by engine.UserID, key string, set desk.ModeChange) (desk.ModeState, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.ModeState{}, err
	}
	if err := r.mayBecome(c, set.Mode); err != nil {
		return desk.ModeState{}, err
	}
	c.moding.Lock()
	defer c.moding.Unlock()
	if key != "" {
		_, err := r.store.Get(ctx, commandKey(c.ID, key))
		if err == nil { // carried out before
			return r.modeState(c), nil
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return desk.ModeState{}, unavailable(err)
		}
	}
	was := c.moded.Load()
	if set.Revision != was.version {
		return desk.ModeState{}, engine.ChangedBy(was.By, was.At, "Somebody changed the mode meanwhile. Look at it again before you decide.")
	}
	if set.Mode == was.Mode {
		return r.modeState(c), nil
	}
	now := &modeRecord{Mode: set.Mode, By: by, At: time.Now().UTC(), version: was.version + 1}
	b := storage.Batch{
		Puts: []storage.Put{{Key: modeKey(c.ID), Expect: was.version, Data: encode(now)}},
		Events: []storage.Event{{Clinic: c.ID, Subject: modeSubject, At: now.At, Data: encode(eventData{
			Event: slot.EvMode, By: by, From: originOf(ctx), Detail: map[string]string{"was": string(was.Mode), "mode": string(set.Mode)},
		})}},
	}
	if key != "" {
		b.Puts = append(b.Puts, storage.Put{Key: commandKey(c.ID, key), Data: []byte("{}")})
	}
	if err := r.store.Commit(ctx, b); err != nil {
		// Whether it took place is not known: the store says which mode counts.
		if again := r.loadMode(context.WithoutCancel(ctx), c); again == nil && c.moded.Load().version > was.version {
			r.spreadMode(c)
		}
		return desk.ModeState{}, unavailable(err)
	}
	c.moded.Store(now)
	r.spreadMode(c)
	return r.modeState(c), nil
}

// mayBecome refuses a mode in which offers could not leave, or not be booked.
func (r *Relais) mayBecome(c *clinic, m engine.Mode) error {
	switch m {
	case engine.Shadow:
		return nil
	case engine.Approval, engine.Automatic:
		if why := c.watchOnly; why != "" {
			return engine.Errorf(engine.Conflict, "%s", why)
		}
		return nil
	}
	return engine.Errorf(engine.Invalid, "there is no such mode")
}

func (r *Relais) spreadMode(c *clinic) {
	c.boss.Send(follow{})
	c.calendar.Send(modeView{c.mode()})
}

func (r *Relais) modeState(c *clinic) desk.ModeState {
	m := c.moded.Load()
	return desk.ModeState{
		Mode: m.Mode, Revision: m.version, Configured: c.Mode, By: m.By, Since: when(m.At), Only: c.watchOnly,
	}
}

// follow asks a clinic's open slots to go on by its present mode.
type follow struct{}

// follow tells the slot that the clinic's mode changed, if it does not know.
func (a *slotActor) follow(c *system.Context) {
	if a.phase == idle && a.c != nil && slot.Behind(a.state, a.c.mode()) {
		m := a.c.moded.Load()
		a.step(c, slotWork{in: slot.ModeChanged{By: m.By}, mode: m.Mode})
	}
}

// hindered counts who on the clinic's list cannot be asked for the slot now, by obstacle.
func (w *waitlist) hindered(c *clinic, s slot.State, now time.Time) map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := askedBefore(s)
	q := c.query(s.Slot, now)
	counts := map[string]int{}
	for _, id := range w.clinics[c.ID] {
		e := w.entries[id].value
		o, fits := w.index.Explain(id, q)
		if fits {
			cand := w.terms(e, now)
			o = w.obstacle(c, s.Slot, asked, &cand, now)
		}
		if o = w.precise(e, o); o != "" && e.Status != engine.Left {
			counts[string(o)]++
		}
	}
	return counts
}
