package bolt

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

// job is one batch, encoded and sealed, on its way through the writer. All its slices lie in
// one buffer that is used again after the answer.
type job struct {
	records []recordOp
	events  []eventOp
	redacts []redactOp
	anew    []anew // of a job that changes nothing but seals
	effects []effectOp
	buf     []byte
	bytes   int
	err     error      // what done will say, set by the writer
	done    chan error // has room for the answer: the writer never waits for a caller
}

type recordOp struct {
	key, value []byte // a nil value deletes
	expect     uint64
}

type eventOp struct {
	of     storage.Event // without data; numbered by the writer
	key    []byte        // ends in 8 bytes for the number
	index  []byte        // the same for the index by subject; nil when the event has no subject
	digest storage.Hash
	value  []byte
	hash   []byte // the part of value for it
}

// redactOp puts sealed data in place of an event's.
type redactOp struct {
	key     []byte
	subject string
	at      time.Time
	sealed  []byte
}

type effectOp struct {
	key, value []byte // a nil value deletes
}

// keepBuf is the largest buffer kept for another job.
const keepBuf = 64 << 10

var jobs = sync.Pool{New: func() any { return &job{done: make(chan error, 1)} }}

// release returns the job for use by another batch, after it was answered.
func (j *job) release() {
	clear(j.records)
	clear(j.events)
	clear(j.redacts)
	clear(j.effects)
	buf := j.buf[:0]
	if cap(buf) > keepBuf {
		buf = nil
	}
	*j = job{records: j.records[:0], events: j.events[:0], redacts: j.redacts[:0], effects: j.effects[:0], buf: buf, done: j.done}
	jobs.Put(j)
}

// part cuts what was appended since start out of the buffer, so that appending to the part
// cannot run into its neighbour.
func (j *job) part(start int) []byte { return j.buf[start:len(j.buf):len(j.buf)] }

// Upper bounds of what keys and values need beside their data.
const (
	partLen   = 2 // the length before a clinic or a subject
	numberLen = 8
)

// measure checks the batch against the limits and returns an upper bound of its encoded size.
func measure(b *storage.Batch) (int, error) {
	size, err := b.Check()
	if err != nil {
		return 0, err
	}
	for i := range b.Puts {
		k := &b.Puts[i].Key
		size += partLen + len(k.Clinic) + 1 + len(k.ID) + binary.MaxVarintLen64 + seal.Overhead
	}
	for _, events := range [...][]storage.Event{b.Events, b.Redact.Events} {
		for i := range events {
			size += eventSize(&events[i])
		}
	}
	for i := range b.Redact.Events { // at most one more event for each, that names it
		size += eventSize(&storage.Event{Clinic: b.Redact.Events[i].Clinic, Subject: storage.RedactedSubject})
	}
	for i := range b.Effects {
		size += partLen + len(b.Effects[i].Clinic) + len(b.Effects[i].ID) + seal.Overhead
	}
	for i := range b.Done {
		size += partLen + len(b.Done[i].Clinic) + len(b.Done[i].ID)
	}
	return size, nil
}

func eventSize(e *storage.Event) int {
	return 2*(partLen+len(e.Clinic)+partLen+len(e.Subject)+numberLen) + timeLen + chainLen + storage.SaltLen + seal.Overhead
}

// encode seals the batch into a job. It runs in the caller's goroutine, so that sealing uses all
// processors while the writer waits for the disk.
func (s *Store) encode(b storage.Batch, size int) (*job, error) {
	j := jobs.Get().(*job)
	j.bytes = size
	j.buf = slices.Grow(j.buf, size) // never grows again, so slices of it stay valid
	for i := range b.Puts {
		p := &b.Puts[i]
		kind, _ := p.Key.Kind.Number()
		op := recordOp{expect: p.Expect}
		at := len(j.buf)
		j.buf = append(appendRecordPrefix(j.buf, p.Key.Clinic, kind), p.Key.ID...)
		op.key = j.part(at)
		if !p.Delete {
			version := p.Expect + 1
			sealed, err := s.sealer.Seal(seal.Record(p.Key, version), p.Data)
			if err != nil {
				return nil, err
			}
			at = len(j.buf)
			j.buf = append(binary.AppendUvarint(j.buf, version), sealed...)
			op.value = j.part(at)
		}
		j.records = append(j.records, op)
	}
	// In key order neighbours share pages, and a key named twice shows.
	slices.SortFunc(j.records, func(a, b recordOp) int { return bytes.Compare(a.key, b.key) })
	for i := 1; i < len(j.records); i++ {
		if bytes.Equal(j.records[i-1].key, j.records[i].key) {
			return nil, engine.Errorf(engine.Invalid, "a batch puts one record twice")
		}
	}
	for i := range b.Events {
		if err := s.encodeEvent(j, &b.Events[i]); err != nil {
			return nil, err
		}
	}
	if err := s.encodeRedaction(j, &b.Redact); err != nil {
		return nil, err
	}
	for _, d := range b.Done {
		at := len(j.buf)
		j.buf = append(appendPart(j.buf, string(d.Clinic)), d.ID...)
		j.effects = append(j.effects, effectOp{key: j.part(at)})
	}
	for i := range b.Effects {
		e := &b.Effects[i]
		sealed, err := s.sealer.Seal(seal.Effect(e.Clinic, e.ID), e.Data)
		if err != nil {
			return nil, err
		}
		at := len(j.buf)
		j.buf = append(appendPart(j.buf, string(e.Clinic)), e.ID...)
		op := effectOp{key: j.part(at)}
		at = len(j.buf)
		j.buf = append(j.buf, sealed...)
		op.value = j.part(at)
		j.effects = append(j.effects, op)
	}
	return j, nil
}

func (s *Store) encodeEvent(j *job, e *storage.Event) error {
	salted := storage.Salted(e.Data)
	sealed, err := s.sealer.Seal(seal.Event(e.Clinic, e.Subject, e.At), salted)
	if err != nil {
		return err
	}
	op := eventOp{of: storage.Event{Clinic: e.Clinic, Subject: e.Subject, At: e.At}, digest: storage.Digest(salted)}
	at := len(j.buf)
	j.buf = appendEventKey(j.buf, e.Clinic, 0)
	op.key = j.part(at)
	if e.Subject != "" {
		at = len(j.buf)
		j.buf = binary.BigEndian.AppendUint64(appendSubjectPrefix(j.buf, e.Clinic, e.Subject), 0)
		op.index = j.part(at)
	}
	at = len(j.buf)
	j.buf = append(appendTime(appendPart(j.buf, e.Subject), e.At), 0)
	j.buf = append(j.buf, op.digest[:]...)
	hash := len(j.buf)
	j.buf = append(j.buf, make([]byte, hashLen)...)
	j.buf = append(j.buf, sealed...)
	op.value = j.part(at)
	op.hash = j.buf[hash : hash+hashLen]
	j.events = append(j.events, op)
	return nil
}

func (s *Store) encodeRedaction(j *job, r *storage.Redaction) error {
	if len(r.Events) == 0 {
		return nil
	}
	salted := make([][]byte, len(r.Events))
	for i := range r.Events {
		e := &r.Events[i]
		salted[i] = storage.Salted(e.Data)
		sealed, err := s.sealer.Seal(seal.Event(e.Clinic, e.Subject, e.At), salted[i])
		if err != nil {
			return err
		}
		at := len(j.buf)
		j.buf = appendEventKey(j.buf, e.Clinic, e.Seq)
		op := redactOp{key: j.part(at), subject: e.Subject, at: e.At}
		at = len(j.buf)
		j.buf = append(j.buf, sealed...)
		op.sealed = j.part(at)
		j.redacts = append(j.redacts, op)
	}
	for _, e := range r.Naming(salted) {
		if err := s.encodeEvent(j, &e); err != nil {
			return err
		}
	}
	return nil
}
