package actors

import (
	"encoding/json"
	"errors"

	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
)

var errUnreadable = errors.New("it cannot be read")

// Readable says whether this program understands a record of the store, for a check of all of it.
func Readable(rec storage.Record) error {
	var into any
	switch rec.Key.Kind {
	case storage.KindSlot:
		into = &slot.State{}
	case storage.KindOffer:
		into = &offerRecord{}
	case storage.KindEntry:
		into = &engine.Entry{}
	case storage.KindPatient:
		into = &engine.Patient{}
	case storage.KindSchedule:
		into = &engine.SlotFact{}
	case storage.KindSync:
		into = &syncRecord{}
	case storage.KindToken:
		into = &tokenRecord{}
	case storage.KindOptOut:
		into = &optOutRecord{}
	case storage.KindReply:
		into = &replyRecord{}
	case storage.KindUnread:
		into = &unreadRecord{}
	case storage.KindAccount, storage.KindSession, storage.KindHL7, storage.KindJoin, storage.KindPass, storage.KindIncident:
		into = &json.RawMessage{}
	case storage.KindMeta: // keys and addresses as they are
		return nil
	default: // Check refused it before
		return nil
	}
	if json.Unmarshal(rec.Data, into) != nil { // the cause may quote personal data
		return errUnreadable
	}
	return nil
}

// ReadableEffect is Readable for an order of the outbox.
func ReadableEffect(e storage.Effect) error {
	if json.Unmarshal(e.Data, &order{}) != nil {
		return errUnreadable
	}
	return nil
}
