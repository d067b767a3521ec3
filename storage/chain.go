package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"relais/engine"
)

// Timelines are chained: each event's hash covers the hash of the one before, its own number, subject and
// time, and a salted digest of its data. The salt is sealed with the data, so that data can be redacted:
// the digest stays and the chain holds, and nobody can guess from it what the data was. What was redacted is
// named by an event of the same chain, so that nobody can redact in secret.

// Hash is one link of a chain, or the digest of an event's data.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(h) {
		return fmt.Errorf("a hash of %d digits", len(text))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// SaltLen is the length of the salt that goes before an event's data when it is sealed.
const SaltLen = 16

// Salted returns data behind a new salt.
func Salted(data []byte) []byte {
	salted := make([]byte, SaltLen, SaltLen+len(data))
	_, _ = rand.Read(salted) // never fails
	return append(salted, data...)
}

// Digest is the digest of salted data.
func Digest(salted []byte) Hash { return sha256.Sum256(salted) }

// Chain returns the hash of an event whose predecessor has the hash prev; the first one's is zero.
func Chain(prev Hash, e *Event, digest Hash) Hash {
	b := make([]byte, 0, 256)
	b = append(b, "relais event\x01"...)
	b = append(b, prev[:]...)
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	for _, part := range [...]string{string(e.Clinic), e.Subject} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.Unix()))       //nolint:gosec // bits, not a number
	b = binary.BigEndian.AppendUint32(b, uint32(e.At.Nanosecond())) //nolint:gosec // below 1e9
	b = append(b, digest[:]...)
	return sha256.Sum256(b)
}

// RedactedSubject is the subject of the events by which a store names what a batch redacted.
const RedactedSubject = "redacted"

// Redacted is the data of such an event.
type Redacted struct {
	Events []RedactedEvent `json:"redacted"`
}

// RedactedEvent names one event, and the digest of what stands in place of its data now.
type RedactedEvent struct {
	Seq    uint64 `json:"seq"`
	Digest Hash   `json:"digest"`
}

// Redaction takes data out of events for good. Each is given as it was read, with the data that takes the
// place of its own; one that is not there like that makes the batch stale.
type Redaction struct {
	Events []Event
	At     time.Time // of the events that name what was redacted, one for each clinic
}

// Naming returns the events that a store appends for a redaction, given the salted new data of each.
func (r *Redaction) Naming(salted [][]byte) []Event {
	var order []engine.ClinicID
	of := map[engine.ClinicID]*Redacted{}
	for i := range r.Events {
		c := r.Events[i].Clinic
		if of[c] == nil {
			of[c], order = &Redacted{}, append(order, c)
		}
		of[c].Events = append(of[c].Events, RedactedEvent{r.Events[i].Seq, Digest(salted[i])})
	}
	events := make([]Event, 0, len(order))
	for _, c := range order {
		data, _ := json.Marshal(of[c]) // numbers and hashes always can
		events = append(events, Event{Clinic: c, Subject: RedactedSubject, At: r.At, Data: data})
	}
	return events
}

// namingSize is an upper bound of what naming one redacted event takes.
const namingSize = 160

// Link is an event with what chains it.
type Link struct {
	Event

	Opens    bool // its seal opens; else Data and Content mean nothing
	Content  Hash // digest of what its seal holds now
	Digest   Hash // as written beside it: of what its seal held first
	Hash     Hash
	Redacted bool
}

// Head is a clinic's newest event, sealed apart from the timeline, so that its end cannot be cut off
// unnoticed.
type Head struct {
	Clinic engine.ClinicID
	Seq    uint64
	Hash   Hash
	Opens  bool // its seal opens
}

// Chained is what a store offers for looking at its chains.
type Chained interface {
	// Links returns a clinic's events with a number greater than after, in order, at most limit.
	Links(ctx context.Context, c engine.ClinicID, after uint64, limit int) ([]Link, error)
	// Heads returns the heads of all clinics that have events.
	Heads(ctx context.Context) ([]Head, error)
}

// Verdict is what verifying one clinic's chain came to.
type Verdict struct {
	Clinic   engine.ClinicID `json:"clinic"`
	Events   uint64          `json:"events"`
	Redacted int             `json:"redacted"` // of them, all named by later events
	Head     Hash            `json:"head"`     // of the newest event; note it elsewhere to compare one day
	Broken   *Break          `json:"broken,omitempty"`
}

// Break is the first place where a chain does not hold.
type Break struct {
	Seq uint64    `json:"seq"`
	At  time.Time `json:"at,omitzero"` // of that event, where it can be read
	Why string    `json:"why"`
}

// Verify walks a clinic's chain. Its error says that it could not be read, not that it is broken.
func Verify(ctx context.Context, s Chained, head Head) (Verdict, error) {
	v := Verdict{Clinic: head.Clinic}
	redacted, named := map[uint64]Hash{}, map[uint64]Hash{}
	for {
		links, err := s.Links(ctx, head.Clinic, v.Events, MaxPage)
		if err != nil {
			return v, err
		}
		for i := range links {
			l := &links[i]
			if why := v.broken(l); why != "" {
				v.Broken = &Break{Seq: v.Events + 1, At: l.At, Why: why}
				return v, nil
			}
			v.Events, v.Head = l.Seq, l.Hash
			if l.Redacted {
				redacted[l.Seq] = l.Content
			}
			if l.Subject == RedactedSubject {
				var r Redacted
				_ = json.Unmarshal(l.Data, &r) // the chain vouches for it
				for _, e := range r.Events {
					named[e.Seq] = e.Digest
				}
			}
		}
		if len(links) < MaxPage {
			break
		}
	}
	v.Redacted = len(redacted)
	v.Broken = v.secret(redacted, named)
	if v.Broken != nil {
		return v, nil
	}
	switch {
	case !head.Opens:
		v.Broken = &Break{Seq: v.Events, Why: "the sealed head of the chain does not open"}
	case head.Seq != v.Events:
		v.Broken = &Break{Seq: v.Events + 1, Why: fmt.Sprintf("the timeline ends at event %d, and its sealed head is event %d", v.Events, head.Seq)}
	case head.Hash != v.Head:
		v.Broken = &Break{Seq: v.Events, Why: "the newest event is not the one that the sealed head names"}
	}
	return v, nil
}

// broken says why an event does not follow on those before it.
func (v *Verdict) broken(l *Link) string {
	switch {
	case l.Seq != v.Events+1:
		return fmt.Sprintf("event %d is missing; event %d comes next", v.Events+1, l.Seq)
	case l.Hash != Chain(v.Head, &l.Event, l.Digest):
		return "its hash does not follow from the event before and from its number, subject and time"
	case !l.Opens:
		return "its data does not open: it was changed, or sealed with another key"
	case !l.Redacted && l.Content != l.Digest:
		return "its data is not what was written"
	}
	return ""
}

// secret finds the first event that was redacted and is not named, or the other way round.
func (v *Verdict) secret(redacted, named map[uint64]Hash) *Break {
	var first *Break
	note := func(seq uint64, why string) {
		if first == nil || seq < first.Seq {
			first = &Break{Seq: seq, Why: why}
		}
	}
	for seq, content := range redacted {
		if digest, ok := named[seq]; !ok {
			note(seq, "it was redacted, and no event says so")
		} else if digest != content {
			note(seq, "it holds something else than the redaction put there")
		}
	}
	for seq := range named {
		if _, ok := redacted[seq]; !ok {
			note(seq, "a later event says that it was redacted, and it is not")
		}
	}
	return first
}
