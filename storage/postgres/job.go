package postgres

import (
	"cmp"
	"slices"
	"time"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// perItem is about what a put, an event or an effect needs beside its data.
const perItem = 128

// job is one batch, sealed, on its way through the writer.
type job struct {
	puts    []putOp
	events  []eventOp
	redacts []redactOp
	effects []effectOp // those done first
	bytes   int
	err     error
	done    chan error // has room for the answer: the writer never waits for a caller
}

type recordKey struct {
	clinic string
	kind   int16
	id     string
}

func (k recordKey) compare(o recordKey) int {
	return cmp.Or(cmp.Compare(k.clinic, o.clinic), cmp.Compare(k.kind, o.kind), cmp.Compare(k.id, o.id))
}

type putOp struct {
	key    recordKey
	expect uint64
	sealed []byte // nil deletes
}

type eventOp struct {
	clinic, subject string
	atS             int64
	atNs            int32
	digest          storage.Hash
	sealed          []byte
}

// event is the event without data and number.
func (e *eventOp) event() storage.Event {
	return storage.Event{Clinic: engine.ClinicID(e.clinic), Subject: e.subject, At: time.Unix(e.atS, int64(e.atNs)).UTC()}
}

// eventKey names an event as it was read: its subject and time are bound by its seal.
type eventKey struct {
	clinic  string
	seq     uint64
	subject string
	atS     int64
	atNs    int32
}

type redactOp struct {
	key    eventKey
	sealed []byte
}

type effectKey struct{ clinic, id string }

type effectOp struct {
	key    effectKey
	sealed []byte // nil: done
}

// encode seals the batch. It runs in the caller's goroutine, so that sealing uses all processors.
func (s *Store) encode(b storage.Batch) (*job, error) {
	j := &job{done: make(chan error, 1), puts: make([]putOp, 0, len(b.Puts))}
	for i := range b.Puts {
		p := &b.Puts[i]
		kind, _ := p.Key.Kind.Number()
		op := putOp{key: recordKey{string(p.Key.Clinic), int16(kind), p.Key.ID}, expect: p.Expect}
		if !p.Delete {
			var err error
			if op.sealed, err = s.sealer.Seal(seal.Record(p.Key, p.Expect+1), p.Data); err != nil {
				return nil, err
			}
		}
		j.puts = append(j.puts, op)
	}
	slices.SortFunc(j.puts, func(a, b putOp) int { return a.key.compare(b.key) })
	for i := 1; i < len(j.puts); i++ {
		if j.puts[i-1].key == j.puts[i].key {
			return nil, engine.Errorf(engine.Invalid, "a batch puts one record twice")
		}
	}
	for i := range b.Events {
		if err := s.encodeEvent(j, &b.Events[i], storage.Salted(b.Events[i].Data)); err != nil {
			return nil, err
		}
	}
	if len(b.Redact.Events) > 0 {
		if err := s.encodeRedaction(j, &b.Redact); err != nil {
			return nil, err
		}
	}
	for _, d := range b.Done {
		j.effects = append(j.effects, effectOp{key: effectKey{string(d.Clinic), d.ID}})
	}
	for i := range b.Effects {
		e := &b.Effects[i]
		sealed, err := s.sealer.Seal(seal.Effect(e.Clinic, e.ID), e.Data)
		if err != nil {
			return nil, err
		}
		j.effects = append(j.effects, effectOp{effectKey{string(e.Clinic), e.ID}, sealed})
	}
	return j, nil
}

func (s *Store) encodeEvent(j *job, e *storage.Event, salted []byte) error {
	sealed, err := s.sealer.Seal(seal.Event(e.Clinic, e.Subject, e.At), salted)
	j.events = append(j.events, eventOp{string(e.Clinic), e.Subject, e.At.Unix(), int32(e.At.Nanosecond()), storage.Digest(salted), sealed}) //nolint:gosec // below 1e9
	return err
}

func (s *Store) encodeRedaction(j *job, r *storage.Redaction) error {
	salted := make([][]byte, len(r.Events))
	for i := range r.Events {
		e := &r.Events[i]
		salted[i] = storage.Salted(e.Data)
		sealed, err := s.sealer.Seal(seal.Event(e.Clinic, e.Subject, e.At), salted[i])
		if err != nil {
			return err
		}
		key := eventKey{string(e.Clinic), e.Seq, e.Subject, e.At.Unix(), int32(e.At.Nanosecond())} //nolint:gosec // below 1e9
		j.redacts = append(j.redacts, redactOp{key, sealed})
	}
	for _, e := range r.Naming(salted) {
		if err := s.encodeEvent(j, &e, storage.Salted(e.Data)); err != nil {
			return err
		}
	}
	return nil
}
