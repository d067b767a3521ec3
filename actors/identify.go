package actors

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"time"

	"relais/engine"
	"relais/storage"
)

// Where a clinic asks for it, who opens a link gives the patient's date of birth before anything is shown. The
// tries are counted for each link and kept, so that neither a restart nor another address gives more of them.

const (
	whoTries = 5
	whoRest  = 24 * time.Hour // after which a link may be tried again
)

// whoRecord counts the wrong dates that were given for a link.
type whoRecord struct {
	Tries int       `json:"tries"`
	At    time.Time `json:"at"` // the last one
}

func whoKey(c engine.ClinicID, token string) storage.Key {
	return storage.Key{Clinic: c, Kind: storage.KindToken, ID: "who-" + digest(token)}
}

// patientBehind finds whose link it is, an offer's or one to somebody's own page.
func (r *Relais) patientBehind(ctx context.Context, token string) (engine.Patient, error) {
	if p, _, err := r.byOwnToken(token); err == nil {
		return p, nil
	}
	_, offer, err := r.byToken(ctx, token)
	if err != nil {
		return engine.Patient{}, err
	}
	of, err := r.offerState(ctx, offer)
	if err != nil {
		return engine.Patient{}, err
	}
	return r.offered(of.Person.Patient)
}

// offered finds a patient, or the one that they were merged into.
func (r *Relais) offered(id engine.PatientID) (engine.Patient, error) {
	p, _, ok := r.waitlist.patient(id)
	for hops := 0; ok && p.Into != "" && hops < 8; hops++ {
		p, _, ok = r.waitlist.patient(p.Into)
	}
	if !ok {
		return p, engine.Errorf(engine.NotFound, "there is no such patient")
	}
	return p, nil
}

// Identify holds a date of birth against the patient of a link. Wrong ones are counted: after five it is
// engine.TooMany for a day, right or wrong.
func (r *Relais) Identify(ctx context.Context, token, born string) (bool, error) {
	p, err := r.patientBehind(ctx, token)
	if err != nil {
		return false, err
	}
	key, now := whoKey(p.Clinic, token), time.Now().UTC()
	for try := 0; ; try++ {
		rec, err := r.store.Get(ctx, key)
		var w whoRecord
		if err == nil {
			err = json.Unmarshal(rec.Data, &w)
		}
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return false, unavailable(err)
		}
		if now.Sub(w.At) >= whoRest {
			w.Tries = 0
		}
		if w.Tries >= whoTries {
			return false, engine.Errorf(engine.TooMany, "too many dates were tried with this link")
		}
		right := subtle.ConstantTimeCompare([]byte(born), []byte(p.Born.Format(time.DateOnly))) == 1
		if right && rec.Version == 0 {
			return true, nil
		}
		put := storage.Put{Key: key, Expect: rec.Version, Delete: right}
		if !right {
			put.Data = encode(whoRecord{Tries: w.Tries + 1, At: now})
		}
		err = r.store.Commit(ctx, storage.Batch{Puts: []storage.Put{put}})
		switch {
		case errors.Is(err, storage.ErrStale) && try < mostRetries:
			continue
		case err != nil:
			return false, unavailable(err)
		case !right && w.Tries+1 >= whoTries:
			return false, engine.Errorf(engine.TooMany, "too many dates were tried with this link")
		}
		return right, nil
	}
}
