// Package storage is the contract between the actors and what keeps their state. Packages bolt
// and, for several nodes, postgres fulfil it; package storagetest proves that they do.
//
// Guarantees of every Store:
//   - Commit is atomic and durable when it returns nil. A crash leaves all of a batch or nothing.
//   - Commits of one process are ordered: a read that starts after Commit returned sees it.
//   - Concurrent commits share syncs to disk; none waits for a timer.
//   - Data is sealed before it is written, with a key that is not in the store. Keys, kinds and
//     times are not sealed and must not hold personal data.
//   - All methods are safe for concurrent use. Slices that are returned belong to the caller.
package storage

import (
	"context"
	"errors"
	"time"

	"relais/engine"
)

// Kind says what a record is. The list is closed, so that stores can lay kinds out apart.
type Kind string

// The kinds.
const (
	KindSlot     Kind = "slot"
	KindOffer    Kind = "offer" // reach.State
	KindEntry    Kind = "entry"
	KindPatient  Kind = "patient"
	KindSchedule Kind = "schedule" // one fact of the record system's schedule
	KindSync     Kind = "sync"     // health and watermark of a record system
	KindToken    Kind = "token"    // digest of an offer's token -> where it belongs
	KindOptOut   Kind = "opt_out"  // digest of a contact
	KindReply    Kind = "reply"    // identifiers of replies that were counted
	KindAccount  Kind = "account"
	KindSession  Kind = "session"
	KindPass     Kind = "pass" // what lets somebody in or leads to an account: invitations, API tokens
	KindMeta     Kind = "meta"
	KindHL7      Kind = "hl7"      // what the messages of a record system came to
	KindUnread   Kind = "unread"   // replies that wait for the front desk
	KindIncident Kind = "incident" // the register of confidentiality incidents
	KindJoin     Kind = "join"     // who asked to join the list and has not shown that the contact is theirs
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{
		KindSlot, KindOffer, KindEntry, KindPatient, KindSchedule, KindSync, KindToken, KindOptOut, KindReply,
		KindAccount, KindSession, KindMeta, KindUnread, KindHL7, KindJoin, KindPass, KindIncident,
	}
}

// Shared is the clinic of records that belong to no clinic.
const Shared engine.ClinicID = ""

// Limits of one Commit. Larger ones are refused with an engine.Invalid error.
const (
	MaxBatch     = 4096     // puts, events and effects together; as many may be done
	MaxData      = 1 << 20  // bytes in one record, event or effect
	MaxBatchData = 16 << 20 // bytes of data in one batch
	MaxKey       = 256      // bytes in a clinic, an ID or a subject
)

// Key names a record. IDs sort as bytes; scans return them in that order.
type Key struct {
	Clinic engine.ClinicID
	Kind   Kind
	ID     string
}

// Record is a stored value. Version counts its changes from 1.
type Record struct {
	Key     Key
	Version uint64
	Data    []byte
}

// Put writes or deletes a record, if its version is still Expect (0: it does not exist).
// After a put the version is Expect+1.
type Put struct {
	Key    Key
	Expect uint64
	Data   []byte
	Delete bool
}

// Event is one line of a timeline, never changed once written, save that its data can be redacted. The
// store numbers it, and chains it to the one before.
type Event struct {
	Clinic  engine.ClinicID
	Subject string // what it is about, for example a SlotID
	At      time.Time
	Data    []byte
	Seq     uint64 // set when it is read, ignored by Commit: 1, 2, 3 ... in each clinic
}

// Effect is something to carry out after the commit, at least once. It stays until a batch names
// it in Done.
type Effect struct {
	Clinic engine.ClinicID
	ID     string // unique in its clinic; sorts in the order to carry out
	Data   []byte
}

// Batch is what one Commit writes. It names no record twice, no ID is empty, and Done is carried
// out before Effects: an effect may replace itself. An effect with the ID of one that is not done
// replaces it.
type Batch struct {
	Puts    []Put
	Events  []Event
	Effects []Effect
	Done    []EffectKey // removed; one that is not there is ignored
	Redact  Redaction   // events whose data goes
}

// EffectKey names an effect.
type EffectKey struct {
	Clinic engine.ClinicID
	ID     string
}

// ErrStale says that a record was changed by somebody else: read it again.
var ErrStale = errors.New("storage: the record was changed meanwhile")

// ErrNotFound says that there is no such record.
var ErrNotFound = errors.New("storage: no such record")

// ErrFull says that the store cannot take more: no space, or it was made read-only. Reading goes
// on; writing works again by itself once there is space.
var ErrFull = errors.New("storage: no space left")

// ErrClosed says that the store was closed.
var ErrClosed = errors.New("storage: closed")

// Store keeps what Relais must not forget.
type Store interface {
	// Commit writes all of the batch or nothing. Errors: ErrStale, ErrFull, ErrClosed, an
	// engine.Invalid error for a batch beyond the limits; ctx only bounds the wait to be taken
	// up: once a batch is being written its outcome is waited for.
	Commit(ctx context.Context, b Batch) error
	// Get returns one record or ErrNotFound.
	Get(ctx context.Context, k Key) (Record, error)
	// Scan returns records of a clinic and kind with IDs greater than after, in order, at most
	// limit (1 to 10,000).
	Scan(ctx context.Context, c engine.ClinicID, k Kind, after string, limit int) ([]Record, error)
	// Timeline returns a subject's events with Seq greater than after, in order, at most limit.
	// With subject "" it returns the whole clinic's.
	Timeline(ctx context.Context, c engine.ClinicID, subject string, after uint64, limit int) ([]Event, error)
	// Outbox returns the effects of a clinic that are not done, in order, after the given ID.
	Outbox(ctx context.Context, c engine.ClinicID, after string, limit int) ([]Effect, error)
	// Close waits for commits under way and closes the store.
	Close() error
}
