package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// bookingSystem is the identifier system of the bookings that Relais writes.
const bookingSystem = "urn:relais:booking"

func (x *doc) ours() bool {
	return slices.ContainsFunc(x.view.Identifier, func(i identifier) bool { return i.System == bookingSystem })
}

// Records shows every clinic's record system, from today on.
func (d *DME) Records() []Record {
	var out []Record
	for _, c := range d.all() {
		out = append(out, d.record(c))
	}
	return out
}

func (d *DME) record(c *clinic) Record {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r := Record{Clinic: c.id, Name: c.name, Fault: c.fault, Changed: c.changed, Practitioners: []Named{}, Appointments: []Appointment{}}
	for _, p := range c.seed.Clinic.Practitioners {
		r.Practitioners = append(r.Practitioners, Named{ID: string(p.ID), Name: p.Name})
	}
	today := d.cfg.Now()
	if zone, err := time.LoadLocation(c.seed.Clinic.Zone); err == nil {
		today = today.In(zone)
	}
	midnight := time.Date(today.Year(), today.Month(), today.Day(), 0, 0, 0, 0, today.Location())
	on := c.onSlots()
	for _, s := range c.docs[typeSlot] {
		if s.Deleted || s.view.Start.Before(midnight) || s.view.Status == "entered-in-error" {
			continue
		}
		r.Appointments = append(r.Appointments, c.line(s, on[s.key()]))
	}
	slices.SortFunc(r.Appointments, func(a, b Appointment) int {
		if n := a.Start.Compare(b.Start); n != 0 {
			return n
		}
		return strings.Compare(a.Slot, b.Slot)
	})
	return r
}

// onSlots finds the appointment to show on each slot: the live one, or else the one that was
// cancelled last.
func (c *clinic) onSlots() map[string]*doc {
	on := make(map[string]*doc, len(c.docs[typeAppointment]))
	for _, x := range c.docs[typeAppointment] {
		if x.Deleted {
			continue
		}
		for _, s := range x.view.Slot {
			if other, ok := on[s.Reference]; !ok || x.live() || !other.live() && x.Updated.After(other.Updated) {
				on[s.Reference] = x
			}
		}
	}
	return on
}

func (c *clinic) line(s, x *doc) Appointment {
	a := Appointment{Slot: s.ID, Start: s.view.Start, End: s.view.End, Status: "blocked"}
	if sched, ok := c.docs[typeSchedule][strings.TrimPrefix(s.view.Schedule.Reference, typeSchedule+"/")]; ok {
		for _, r := range sched.view.Actor {
			if id, ok := strings.CutPrefix(r.Reference, typePractitioner+"/"); ok {
				a.Practitioner = id
			}
		}
	}
	switch s.view.Status {
	case "free":
		a.Status = "free"
	case "busy", "busy-tentative":
		a.Status = "booked"
	}
	if x == nil {
		return a
	}
	switch {
	case x.live():
		a.Status = "booked"
	case a.Status == "free":
		a.Status = "cancelled"
	default:
		return a
	}
	a.ID, a.Relais = x.ID, x.ours()
	for _, p := range x.view.Participant {
		if id, ok := strings.CutPrefix(p.Actor.Reference, typePatient+"/"); ok {
			a.Patient = c.patientName(id)
		}
	}
	return a
}

func (c *clinic) patientName(id string) string {
	x, ok := c.docs[typePatient][id]
	if !ok || x.Deleted {
		return ""
	}
	var p struct {
		Name []struct {
			Text   string   `json:"text"`
			Family string   `json:"family"`
			Given  []string `json:"given"`
		} `json:"name"`
	}
	if err := json.Unmarshal(x.Raw, &p); err != nil || len(p.Name) == 0 {
		return ""
	}
	if p.Name[0].Text != "" {
		return p.Name[0].Text
	}
	return strings.TrimSpace(strings.Join(p.Name[0].Given, " ") + " " + p.Name[0].Family)
}

// Cancel plays a patient who cancels at the clinic: the appointment is cancelled and its slots
// become free, in one write. An appointment that is cancelled already is left as it is.
func (d *DME) Cancel(clinicID, appointmentID string) error {
	return d.clerk(clinicID, func(ch *change) error {
		x, ok := ch.get(typeAppointment, appointmentID)
		if !ok || x.Deleted {
			return fail(http.StatusNotFound, "not-found", "There is no such appointment.")
		}
		if !x.live() {
			return nil
		}
		err := ch.edit(x, object{"status": "cancelled", "cancelationReason": object{"coding": []any{object{
			"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "pat",
		}}}})
		if err != nil {
			return err
		}
		for _, r := range x.view.Slot {
			s, ok := ch.get(typeSlot, strings.TrimPrefix(r.Reference, typeSlot+"/"))
			if !ok || s.Deleted || s.view.Status != "busy" {
				continue
			}
			if err := ch.edit(s, object{"status": "free"}); err != nil {
				return err
			}
		}
		return nil
	})
}

// BookByPhone plays somebody who takes a free slot by calling the clinic.
func (d *DME) BookByPhone(clinicID, slotID string) error {
	return d.clerk(clinicID, func(ch *change) error {
		s, ok := ch.get(typeSlot, slotID)
		if !ok || s.Deleted {
			return fail(http.StatusNotFound, "not-found", "There is no such slot.")
		}
		if s.view.Status != "free" {
			return fail(http.StatusConflict, "conflict", "The slot is not free.")
		}
		if err := ch.edit(s, object{"status": "busy"}); err != nil {
			return err
		}
		line := ch.c.line(s, nil)
		body := object{
			"resourceType": typeAppointment, "status": "booked",
			"start": s.view.Start.Format(time.RFC3339), "end": s.view.End.Format(time.RFC3339),
			"slot": []any{object{"reference": s.key()}},
			"participant": []any{
				object{"actor": object{"reference": typePatient + "/" + fillerID(int(ch.now.UnixMilli()%fillers))}, "status": "accepted"},
				object{"actor": object{"reference": typePractitioner + "/" + line.Practitioner}, "status": "accepted"},
			},
		}
		_, err := ch.create(typeAppointment, body, "")
		return err
	})
}

// SetFault gives a clinic's record system one of Faults, or with "" heals it. It survives a
// restart.
func (d *DME) SetFault(clinicID, fault string) error {
	if fault != "" && !slices.Contains(Faults, fault) {
		return fail(http.StatusBadRequest, "invalid", "There is no such fault.")
	}
	c, ok := d.clinic(clinicID)
	if !ok {
		return fail(http.StatusNotFound, "not-found", "There is no such clinic.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.fault
	c.fault = fault
	if err := d.keepSettings(c); err != nil {
		c.fault = before
		return err
	}
	return nil
}

// RegisterDME adds the record system's routes of the sandbox's own pages (see api.go) to mux.
func (d *DME) RegisterDME(mux *http.ServeMux) {
	mux.HandleFunc("POST /sandbox/api/dme/{clinic}/appointments/{id}/cancel", func(w http.ResponseWriter, r *http.Request) {
		d.pageAnswer(w, d.Cancel(r.PathValue("clinic"), r.PathValue("id")))
	})
	mux.HandleFunc("POST /sandbox/api/dme/{clinic}/slots/{id}/book", func(w http.ResponseWriter, r *http.Request) {
		d.pageAnswer(w, d.BookByPhone(r.PathValue("clinic"), r.PathValue("id")))
	})
	mux.HandleFunc("POST /sandbox/api/dme/{clinic}/fault", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Fault *string `json:"fault"`
		}
		if err := pageBody(w, r, &body); err != nil || body.Fault == nil {
			d.pageAnswer(w, fail(http.StatusBadRequest, "invalid", `The body must be {"fault":"..."}.`))
			return
		}
		d.pageAnswer(w, d.SetFault(r.PathValue("clinic"), *body.Fault))
	})
	mux.HandleFunc("POST /sandbox/api/trickle", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			On *bool `json:"on"`
		}
		if err := pageBody(w, r, &body); err != nil || body.On == nil {
			d.pageAnswer(w, fail(http.StatusBadRequest, "invalid", `The body must be {"on":true} or {"on":false}.`))
			return
		}
		d.SetTrickle(*body.On)
		d.pageAnswer(w, nil)
	})
}

func pageBody(w http.ResponseWriter, r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("sandbox: more than one value")
	}
	return nil
}

func (d *DME) pageAnswer(w http.ResponseWriter, err error) {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	status, text := http.StatusInternalServerError, "The record system cannot write."
	if o, ok := errors.AsType[*outcome](err); ok {
		status, text = o.status, o.text
	} else {
		d.cfg.Log.Error("sandbox: the record system cannot write", "err", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}
