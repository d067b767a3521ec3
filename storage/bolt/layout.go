package bolt

import (
	"encoding/binary"
	"errors"
	"time"

	"relais/engine"
	"relais/storage"
)

// The buckets. Keys start with the clinic, its length first so that no clinic's keys lie
// between another's.
//
//	records   clinic, kind (a byte), ID         -> version, sealed data
//	events    clinic, number (8 bytes)          -> subject, time, flags, digest, hash, sealed salt and data
//	subjects  clinic, subject, number (8 bytes) -> nothing
//	outbox    clinic, ID                        -> sealed data
//	heads     clinic                            -> number of its newest event, sealed hash of it
//	meta      format, check
const (
	inRecords = iota
	inEvents
	inSubjects
	inOutbox
	inHeads
	buckets // how many there are, meta aside
)

var bucketNames = [buckets][]byte{[]byte("records"), []byte("events"), []byte("subjects"), []byte("outbox"), []byte("heads")}

var (
	metaBucket = []byte("meta")
	formatKey  = []byte("format")
	checkKey   = []byte("check") // a sealed constant: tells a wrong key at once
)

var errValue = errors.New("value too short")

func appendPart(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendRecordPrefix(b []byte, c engine.ClinicID, kind byte) []byte {
	return append(appendPart(b, string(c)), kind)
}

func appendSubjectPrefix(b []byte, c engine.ClinicID, subject string) []byte {
	return appendPart(appendPart(b, string(c)), subject)
}

func appendEventKey(b []byte, c engine.ClinicID, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(appendPart(b, string(c)), seq)
}

// timeLen is the length of a stored time: seconds and nanoseconds, so that every time.Time fits.
const timeLen = 12

func appendTime(b []byte, at time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(at.Unix()))          //nolint:gosec // turned back by readTime
	return binary.BigEndian.AppendUint32(b, uint32(at.Nanosecond())) //nolint:gosec // below 1e9
}

func readTime(b []byte) time.Time {
	sec, nsec := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
	return time.Unix(int64(sec), int64(nsec)).UTC() //nolint:gosec // see appendTime
}

// splitRecord cuts a stored record into its version and sealed data.
func splitRecord(v []byte) (version uint64, sealed []byte, err error) {
	version, n := binary.Uvarint(v)
	if n <= 0 {
		return 0, nil, errValue
	}
	return version, v[n:], nil
}

// The parts of an event's value between its time and its sealed data.
const (
	hashLen  = len(storage.Hash{})
	chainLen = 1 + 2*hashLen // flags, digest, hash
	redacted = 1             // flag
)

// eventValue is a stored event, cut into its parts.
type eventValue struct {
	subject string
	at      time.Time
	flags   byte
	digest  storage.Hash
	hash    storage.Hash
	sealed  []byte
}

// splitEvent cuts a stored event.
func splitEvent(v []byte) (e eventValue, err error) {
	size, n := binary.Uvarint(v)
	if n <= 0 || size > storage.MaxKey || len(v) < n+int(size)+timeLen+chainLen {
		return e, errValue
	}
	v = v[n:]
	e.subject, v = string(v[:size]), v[size:]
	e.at, v = readTime(v), v[timeLen:]
	e.flags, v = v[0], v[1:]
	v = v[copy(e.digest[:], v):]
	e.sealed = v[copy(e.hash[:], v):]
	return e, nil
}

// splitHead cuts a stored head.
func splitHead(v []byte) (seq uint64, sealed []byte, err error) {
	if len(v) < numberLen {
		return 0, nil, errValue
	}
	return binary.BigEndian.Uint64(v), v[numberLen:], nil
}
