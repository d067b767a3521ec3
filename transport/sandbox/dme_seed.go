package sandbox

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"relais/engine"
)

// The shape of a seeded schedule.
const (
	seedDays    = 14 // calendar days from today; weekends stay empty
	openMinute  = 8*60 + 30
	closeMinute = 16*60 + 30
	lunchFrom   = 12 * 60
	lunchUntil  = 13 * 60
	bookedShare = 92 // percent
	fillers     = 80 // patients who are on no waitlist
	keepPast    = 7 * 24 * time.Hour
)

// Seed describes one clinic's record system.
type Seed struct {
	Clinic   engine.Clinic // its practitioners, first place and zone are used
	Token    string        // the bearer token that requests must carry
	Patients []engine.Patient
	// Later gives patients an appointment with a practitioner in the second week, which they can
	// give up for an earlier one.
	Later  map[engine.PatientID]engine.PractitionerID
	Number uint64 // the same number makes the same schedule
}

// SeedClinic makes the clinic's record system, or opens it again: what is there stays as it is,
// missing days are added. It returns the appointments of the patients in Later that still stand.
func (d *DME) SeedClinic(s Seed) (map[engine.PatientID]engine.Appointment, error) {
	zone, err := time.LoadLocation(s.Clinic.Zone)
	if err != nil {
		return nil, fmt.Errorf("sandbox: zone of clinic %s: %w", s.Clinic.ID, err)
	}
	if len(s.Clinic.Places) == 0 || len(s.Clinic.Practitioners) == 0 || s.Token == "" {
		return nil, fmt.Errorf("sandbox: clinic %s needs a place, a practitioner and a token", s.Clinic.ID)
	}
	d.mu.Lock()
	c, ok := d.clinics[string(s.Clinic.ID)]
	if !ok {
		c = newClinic(string(s.Clinic.ID))
		d.clinics[c.id] = c
	}
	d.mu.Unlock()

	c.mu.Lock()
	c.token, c.seed = s.Token, s
	if c.name != s.Clinic.Name {
		c.name = s.Clinic.Name
		err = d.keepSettings(c)
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := d.fill(c, zone); err != nil {
		return nil, err
	}
	return d.held(c), nil
}

// Extend adds the days that have come into the horizon and forgets those long past, for every
// clinic that was seeded.
func (d *DME) Extend() error {
	for _, c := range d.all() {
		c.mu.RLock()
		zoneName := c.seed.Clinic.Zone
		c.mu.RUnlock()
		if zoneName == "" {
			continue // kept from an earlier run and not seeded in this one
		}
		zone, err := time.LoadLocation(zoneName)
		if err != nil {
			return fmt.Errorf("sandbox: zone of clinic %s: %w", c.id, err)
		}
		if err := d.fill(c, zone); err != nil {
			return err
		}
		if err := d.forget(c); err != nil {
			return err
		}
	}
	return nil
}

func (d *DME) fill(c *clinic, zone *time.Location) error {
	return d.write(c, func(ch *change) error {
		g := &grower{ch: ch, seed: c.seed, zone: zone, later: map[engine.PractitionerID][]engine.Patient{}}
		if _, known := ch.get(typeLocation, string(c.seed.Clinic.Places[0].ID)); !known {
			for _, p := range c.seed.Patients {
				if doctor, ok := c.seed.Later[p.ID]; ok {
					g.later[doctor] = append(g.later[doctor], p)
				}
			}
		}
		g.people()
		today := ch.now.In(zone)
		for day := range seedDays {
			date := time.Date(today.Year(), today.Month(), today.Day()+day, 0, 0, 0, 0, zone)
			if wd := date.Weekday(); wd == time.Saturday || wd == time.Sunday {
				continue
			}
			for i, p := range c.seed.Clinic.Practitioners {
				g.day(i, p, date, day >= seedDays/2)
			}
		}
		return g.err
	})
}

// grower writes a clinic's schedule. Its first error stops it.
type grower struct {
	ch    *change
	seed  Seed
	zone  *time.Location
	later map[engine.PractitionerID][]engine.Patient
	err   error
}

type object = map[string]any

// add writes a resource unless there is one, deleted or not.
func (g *grower) add(typ, id string, body object) {
	if _, known := g.ch.get(typ, id); known || g.err != nil {
		return
	}
	_, g.err = g.ch.put(typ, id, body)
}

func (g *grower) people() {
	place := g.seed.Clinic.Places[0]
	g.add(typeLocation, string(place.ID), object{
		"status": "active", "name": place.Name, "address": object{"text": place.Address},
		"position": object{"longitude": place.Point.Lon, "latitude": place.Point.Lat},
	})
	for _, p := range g.seed.Clinic.Practitioners {
		g.add(typePractitioner, string(p.ID), object{"active": true, "name": []any{object{"text": p.Name}}})
		g.add(typeSchedule, string(p.ID), object{
			"active":    true,
			"specialty": []any{object{"coding": []any{object{"code": string(p.Specialty)}}}},
			"actor": []any{
				object{"reference": typePractitioner + "/" + string(p.ID), "display": p.Name},
				object{"reference": typeLocation + "/" + string(place.ID), "display": place.Name},
			},
		})
	}
	for _, p := range g.seed.Patients {
		id := strings.TrimPrefix(p.Source, typePatient+"/")
		g.add(typePatient, id, patientOf(p))
	}
	for i := range fillers {
		g.add(typePatient, fillerID(i), object{"name": []any{object{"family": fillerFamily[i/len(fillerGiven)%len(fillerFamily)], "given": []any{fillerGiven[i%len(fillerGiven)]}}}})
	}
}

// patientOf is a patient as the record system has them.
func patientOf(p engine.Patient) object {
	o := object{"name": []any{object{"family": p.Family, "given": []any{p.Given}}}}
	if !p.Born.IsZero() {
		o["birthDate"] = p.Born.Format(time.DateOnly)
	}
	var telecom []any
	for _, c := range p.Contacts {
		if c.Phone != "" && c.Channel == engine.SMS {
			telecom = append(telecom, object{"system": "phone", "value": string(c.Phone)})
		}
		if c.Email != "" {
			telecom = append(telecom, object{"system": "email", "value": string(c.Email)})
		}
	}
	if telecom != nil {
		o["telecom"] = telecom
	}
	return o
}

func fillerID(i int) string { return fmt.Sprintf("habitue-%02d", i) }

var (
	fillerGiven  = []string{"Agathe", "Benoît", "Cécile", "Denis", "Estelle", "Fernand", "Ginette", "Hervé", "Ivan", "Jocelyne"}
	fillerFamily = []string{"Arsenault", "Bissonnette", "Charbonneau", "Desrosiers", "Émond", "Faucher", "Grenier", "Hamelin"}
)

// day writes one practitioner's slots of one day. Slots are 20 minutes, or 30 for every second
// practitioner.
func (g *grower) day(nth int, p engine.Practitioner, date time.Time, secondWeek bool) {
	minutes := 20 + 10*(nth%2)
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(p.ID) + date.Format(time.DateOnly)))
	rng := rand.New(rand.NewPCG(g.seed.Number, h.Sum64())) //nolint:gosec // a schedule to look at, the same at each start
	for from := openMinute; from+minutes <= closeMinute; from += minutes {
		start := time.Date(date.Year(), date.Month(), date.Day(), 0, from, 0, 0, g.zone).UTC()
		end := start.Add(time.Duration(minutes) * time.Minute)
		id := string(p.ID) + "-" + start.Format("20060102T1504")
		lunch := from < lunchUntil && from+minutes > lunchFrom
		booked := rng.IntN(100) < bookedShare
		filler := fillerID(rng.IntN(fillers))
		if _, known := g.ch.get(typeSlot, id); known {
			continue
		}
		status := "free"
		switch {
		case lunch:
			status = "busy-unavailable"
		case booked:
			status = "busy"
		}
		g.add(typeSlot, id, object{
			"schedule": object{"reference": typeSchedule + "/" + string(p.ID)}, "status": status,
			"start": start.Format(time.RFC3339), "end": end.Format(time.RFC3339),
		})
		if status != "busy" {
			continue
		}
		patient := typePatient + "/" + filler
		if wait := g.later[p.ID]; secondWeek && len(wait) > 0 {
			patient, g.later[p.ID] = wait[0].Source, wait[1:]
		}
		g.add(typeAppointment, "rv-"+id, appointment(id, patient, p.ID, g.seed.Clinic.Places[0].ID, start, end))
	}
}

func appointment(slot, patient string, p engine.PractitionerID, place engine.PlaceID, start, end time.Time) object {
	person := func(ref string) object {
		return object{"actor": object{"reference": ref}, "status": "accepted"}
	}
	return object{
		"status": "booked", "start": start.Format(time.RFC3339), "end": end.Format(time.RFC3339),
		"slot":        []any{object{"reference": typeSlot + "/" + slot}},
		"participant": []any{person(patient), person(typePractitioner + "/" + string(p)), person(typeLocation + "/" + string(place))},
	}
}

// held finds the coming appointments of the patients in Later.
func (d *DME) held(c *clinic) map[engine.PatientID]engine.Appointment {
	c.mu.RLock()
	defer c.mu.RUnlock()
	bySource := map[string]engine.PatientID{}
	for _, p := range c.seed.Patients {
		if _, ok := c.seed.Later[p.ID]; ok {
			bySource[p.Source] = p.ID
		}
	}
	now, out := d.cfg.Now(), map[engine.PatientID]engine.Appointment{}
	for _, x := range c.docs[typeAppointment] {
		if !x.live() || x.ours() || x.view.Start.Before(now) {
			continue
		}
		for _, a := range x.view.Participant {
			if id, ok := bySource[a.Actor.Reference]; ok {
				out[id] = engine.Appointment{Source: x.key(), Start: x.view.Start}
			}
		}
	}
	return out
}

// forget drops slots and appointments that ended long ago, without a trace: an archive, not a
// deletion that anybody is told about.
func (d *DME) forget(c *clinic) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := d.cfg.Now().Add(-keepPast)
	var old []*doc
	for _, typ := range []string{typeSlot, typeAppointment} {
		for _, x := range c.docs[typ] {
			if end := x.view.End; !end.IsZero() && end.Before(limit) || x.Deleted && x.Updated.Before(limit) {
				old = append(old, x)
			}
		}
	}
	if len(old) == 0 {
		return nil
	}
	err := d.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(c.id))
		for _, x := range old {
			if err := b.Delete([]byte(x.key())); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sandbox: forget the past: %w", err)
	}
	for _, x := range old {
		delete(c.docs[x.Type], x.ID)
	}
	d.announce(c)
	return nil
}

// Trickle plays patients who cancel: every so often one booked appointment, at least two hours
// and at most three days ahead, while SetTrickle has it switched on. It also keeps the schedules
// from running dry. It returns when ctx ends.
func (d *DME) Trickle(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	extended := d.cfg.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.stop:
			return
		case <-tick.C:
		}
		if now := d.cfg.Now(); now.Sub(extended) > time.Hour {
			extended = now
			if err := d.Extend(); err != nil {
				d.cfg.Log.Warn("sandbox: the schedule was not extended", "err", err)
			}
		}
		if d.Trickling() {
			if _, err := d.CancelOne(); err != nil {
				d.cfg.Log.Warn("sandbox: no cancellation came of the trickle", "err", err)
			}
		}
	}
}

// CancelOne cancels one random appointment of those that Trickle takes, and says of which clinic.
// With nothing to cancel it returns "".
func (d *DME) CancelOne() (string, error) {
	now := d.cfg.Now()
	type pick struct{ clinic, id string }
	var picks []pick
	for _, c := range d.all() {
		c.mu.RLock()
		for id, x := range c.docs[typeAppointment] {
			if x.live() && !x.ours() && x.view.Start.After(now.Add(2*time.Hour)) && x.view.Start.Before(now.Add(72*time.Hour)) {
				picks = append(picks, pick{c.id, id})
			}
		}
		c.mu.RUnlock()
	}
	if len(picks) == 0 {
		return "", nil
	}
	p := picks[rand.IntN(len(picks))] //nolint:gosec // who cancels in a demo is no secret
	return p.clinic, d.Cancel(p.clinic, p.id)
}

// SetTrickle switches the trickle on or off.
func (d *DME) SetTrickle(on bool) {
	d.mu.Lock()
	d.trickle = on
	d.mu.Unlock()
	for _, c := range d.all() {
		c.mu.Lock()
		d.announce(c)
		c.mu.Unlock()
	}
}

// Trickling says whether the trickle is switched on.
func (d *DME) Trickling() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.trickle
}

// clerk writes what a person at the clinic does, with its errors as sentences.
func (d *DME) clerk(clinicID string, f func(*change) error) error {
	c, ok := d.clinic(clinicID)
	if !ok {
		return fail(http.StatusNotFound, "not-found", "There is no such clinic.")
	}
	return d.write(c, f)
}
