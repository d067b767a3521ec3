package actors

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"relais/engine"
	"relais/storage"
)

// Keep says how long what is personal is kept; 0: for ever.
type Keep struct {
	Patients  time.Duration // after their last sign of activity, when they wait for nothing
	Timelines time.Duration // what lines of timelines say about a person; the lines stay
	Replies   time.Duration // what patients wrote
}

// retention is what asks for an erasure because it is time.
var retention = Request{Who: "retention", From: "relais", Why: "retention period"}

// keptUntil is how far lines of a clinic's timelines were looked at already.
type keptUntil struct {
	Timelines uint64 `json:"timelines"`
	Replies   uint64 `json:"replies"`
}

func keptKey(c engine.ClinicID) storage.Key {
	return storage.Key{Clinic: c, Kind: storage.KindMeta, ID: "kept"}
}

// forgotten counts what one day's look took out.
type forgotten struct{ patients, lines, replies int }

// forgetOld takes out what is kept for long enough.
func (r *Relais) forgetOld(ctx context.Context, c *clinic, now time.Time) (n forgotten, err error) {
	k := r.opt.Keep
	if k.Replies > 0 {
		if n.replies, err = r.forgetReplies(ctx, c, now.Add(-k.Replies)); err != nil {
			return n, err
		}
	}
	if n.lines, err = r.forgetLines(ctx, c, now); err != nil || k.Patients <= 0 {
		return n, err
	}
	for _, p := range r.inactive(c.ID, now.Add(-k.Patients)) {
		_, err := r.ErasePatient(ctx, c.ID, p, retention, false)
		switch code := engine.CodeOf(err); {
		case err == nil:
			n.patients++
		case code != engine.Conflict && code != engine.NotFound: // those are for tomorrow
			return n, err
		}
	}
	return n, nil
}

// inactive lists the patients who wait for nothing and of whom nothing was heard since until.
func (r *Relais) inactive(c engine.ClinicID, until time.Time) (list []engine.PatientID) {
	w := r.waitlist
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.patients {
		p := s.value
		if p.Clinic != c || !p.Erased.IsZero() || p.Into != "" || lastActive(p).After(until) {
			continue
		}
		waits := false
		for _, e := range w.of[id] {
			v := w.entries[e].value
			waits = waits || mayClaim(v) || v.Status == engine.Claimed || v.Status == engine.Linking || v.Joined.After(until) || v.Edit.At.After(until) ||
				v.Current != nil && v.Current.Start.After(until)
		}
		if !waits && p.Sooner == nil {
			list = append(list, id)
		}
	}
	return list
}

// lastActive is the newest moment that a patient's record tells of.
func lastActive(p engine.Patient) time.Time {
	last := p.Edit.At
	note := func(at time.Time) {
		if at.After(last) {
			last = at
		}
	}
	note(p.Alive)
	for _, c := range p.Contacts {
		note(c.Consent)
		note(c.OptedOut)
		note(c.Asked)
	}
	for _, m := range p.Offered {
		note(m.At)
		note(m.Start)
	}
	for _, n := range p.Notes {
		note(n.At)
	}
	return last
}

// forgetReplies deletes conversations that waited for the front desk for too long.
func (r *Relais) forgetReplies(ctx context.Context, c *clinic, until time.Time) (n int, err error) {
	for _, u := range c.unread.list() {
		if u.value.Since.After(until) {
			continue
		}
		id := u.value.id()
		err := r.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: unreadKey(c.ID, id), Expect: u.version, Delete: true}}})
		if errors.Is(err, storage.ErrStale) { // somebody wrote again
			continue
		}
		if err != nil {
			return n, err
		}
		c.unread.remove(id)
		n++
	}
	return n, nil
}

// forgetLines takes what is personal out of lines that are old enough, going on where it ended the last time.
func (r *Relais) forgetLines(ctx context.Context, c *clinic, now time.Time) (n int, err error) {
	k := r.opt.Keep
	var at keptUntil
	rec, err := r.store.Get(ctx, keptKey(c.ID))
	if err == nil {
		err = json.Unmarshal(rec.Data, &at)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return 0, err
	}
	was := at
	for _, pass := range []struct {
		keep time.Duration
		from *uint64
		old  func(storage.Event) ([]byte, bool)
	}{
		{k.Replies, &at.Replies, withoutText},
		{k.Timelines, &at.Timelines, func(e storage.Event) ([]byte, bool) { return bare(e.Data), !isBare(e.Data) }},
	} {
		if pass.keep <= 0 {
			continue
		}
		m, err := r.forgetPass(ctx, c, now, now.Add(-pass.keep), pass.from, pass.old)
		if n += m; err != nil {
			return n, err
		}
	}
	if at == was {
		return n, nil
	}
	return n, r.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: keptKey(c.ID), Expect: rec.Version, Data: encode(at)}}})
}

var errYoung = errors.New("young enough to stay")

func (r *Relais) forgetPass(ctx context.Context, c *clinic, now, until time.Time, from *uint64, old func(storage.Event) ([]byte, bool)) (n int, err error) {
	var gone []storage.Event
	newest := *from
	flush := func() error {
		if len(gone) > 0 {
			if err := r.store.Commit(ctx, storage.Batch{Redact: storage.Redaction{Events: gone, At: now.UTC()}}); err != nil {
				return err
			}
		}
		n += len(gone)
		gone, *from = gone[:0], newest
		return nil
	}
	err = r.files().timeline(ctx, c.ID, *from, func(e storage.Event) error {
		if e.At.After(until) {
			return errYoung
		}
		newest = e.Seq
		if e.Subject == auditSubject || e.Subject == storage.RedactedSubject {
			return nil
		}
		if data, change := old(e); change {
			gone = append(gone, withData(e, data))
		}
		if len(gone) == redactTogether {
			return flush()
		}
		return nil
	})
	if err != nil && !errors.Is(err, errYoung) {
		return n, err
	}
	return n, flush()
}

// withoutText is the data of an event without the words of a patient, or of the answer to them.
func withoutText(e storage.Event) ([]byte, bool) {
	var data eventData
	if json.Unmarshal(e.Data, &data) != nil || data.Detail["text"] == "" || !strings.HasPrefix(data.Event, "unclear") {
		return nil, false
	}
	delete(data.Detail, "text")
	return encode(data), true
}
