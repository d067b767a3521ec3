package actors

import (
	"context"
	"errors"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

func soonerOf(s engine.Sooner) *desk.Sooner {
	return &desk.Sooner{
		At: when(s.At), Proof: s.Proof, Windows: s.Windows, Places: s.Places, Anyone: s.Anyone,
		NoticeMinutes: int(s.Notice / time.Minute), Class: s.Class,
	}
}

// SetSooner sets a patient's consent to be offered earlier times for any appointment, or withdraws it, and
// returns the patient. The entries that follow from it come or go a moment later. Setting it again keeps
// since when it stands. Errors are engine.NotFound, engine.Invalid without a proof, and engine.Unavailable.
func (r *Relais) SetSooner(ctx context.Context, id engine.ClinicID, pid engine.PatientID, by engine.UserID, in desk.SoonerChange) (desk.Record, error) {
	c, err := r.clinic(id)
	if err != nil {
		return desk.Record{}, err
	}
	if in.Consent != nil && in.Consent.Proof == "" {
		return desk.Record{}, engine.Errorf(engine.Invalid, "say how the patient consented to be seen sooner")
	}
	for try := 0; ; try++ {
		p, version, err := r.patientOf(id, pid)
		if err != nil {
			return desk.Record{}, err
		}
		if in.Consent == nil && p.Sooner == nil {
			return r.Patient(ctx, id, pid)
		}
		now := time.Now().UTC()
		p.Sooner = consented(p.Sooner, in.Consent, now)
		event := "sooner_consented"
		if p.Sooner == nil {
			event = "sooner_withdrawn"
		}
		err = r.store.Commit(ctx, storage.Batch{
			Puts:   []storage.Put{{Key: patientKey(p), Expect: version, Data: encode(p)}},
			Events: []storage.Event{{Clinic: id, Subject: patientSubject(pid), At: now, Data: encode(eventData{Event: event, By: by})}},
		})
		if errors.Is(err, storage.ErrStale) && try < mostRetries {
			r.refreshPatients(ctx, []engine.PatientID{pid})
			continue
		}
		if err != nil {
			return desk.Record{}, unavailable(err)
		}
		r.waitlist.putPatient(p, version+1)
		c.sync.Send(feed{[]engine.PatientID{pid}})
		return r.Patient(ctx, id, pid)
	}
}

// consented is the consent as it is kept.
func consented(was *engine.Sooner, in *desk.Sooner, now time.Time) *engine.Sooner {
	if in == nil {
		return nil
	}
	s := engine.Sooner{
		At: now, Proof: in.Proof, Windows: in.Windows, Places: in.Places, Anyone: in.Anyone,
		Notice: time.Duration(in.NoticeMinutes) * time.Minute, Class: in.Class,
	}
	if was != nil {
		s.At = was.At
	}
	return &s
}
