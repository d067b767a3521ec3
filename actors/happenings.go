package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
)

// Happening is one line of a slot's timeline, for programs outside. Nothing in it says who a patient is.
type Happening struct {
	Seq    uint64 // in the clinic, rising
	At     time.Time
	Event  string // slot.EvOpened and so on
	Slot   engine.Slot
	Offer  engine.OfferID // "": about the slot as a whole
	Detail map[string]string
}

// Happenings reads what happened to a clinic's slots after a place in its timeline, at most limit lines of it.
// next is the last place that was read, after when nothing came. Of a slot that is not kept any more only the
// identifier is known.
func Happenings(ctx context.Context, s storage.Store, c engine.ClinicID, after uint64, limit int) (out []Happening, next uint64, err error) {
	events, err := s.Timeline(ctx, c, "", after, limit)
	if err != nil {
		return nil, after, err
	}
	slots := map[string]engine.Slot{}
	next = after
	for _, e := range events {
		next = e.Seq
		if !namesSlot(e.Subject) {
			continue // about a patient, a mode or an account
		}
		var data eventData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return nil, after, fmt.Errorf("event %d of clinic %s: %w", e.Seq, c, err)
		}
		of, ok := slots[e.Subject]
		if !ok {
			if of, err = slotNamed(ctx, s, c, e.Subject); err != nil {
				return nil, after, err
			}
			slots[e.Subject] = of
		}
		out = append(out, Happening{Seq: e.Seq, At: e.At, Event: data.Event, Slot: of, Offer: data.Offer, Detail: data.Detail})
	}
	return out, next, nil
}

// namesSlot reports whether a subject is a slot's identifier; see engine.NewSlotID.
func namesSlot(subject string) bool {
	start, _, ok := strings.Cut(subject, "Z-")
	if !ok {
		return false
	}
	_, err := time.Parse("20060102T1504", start)
	return err == nil
}

func slotNamed(ctx context.Context, s storage.Store, c engine.ClinicID, id string) (engine.Slot, error) {
	rec, err := s.Get(ctx, storage.Key{Clinic: c, Kind: storage.KindSlot, ID: id})
	if errors.Is(err, storage.ErrNotFound) {
		return engine.Slot{ID: engine.SlotID(id), Clinic: c}, nil
	}
	if err != nil {
		return engine.Slot{}, err
	}
	var state slot.State
	if err := json.Unmarshal(rec.Data, &state); err != nil {
		return engine.Slot{}, fmt.Errorf("slot %s: %w", id, err)
	}
	return state.Slot, nil
}

// NewestSeq is the place of the newest line of a clinic's timeline; 0 when it has none. Places have no gaps, so
// some reads find it.
func NewestSeq(ctx context.Context, s storage.Store, c engine.ClinicID) (uint64, error) {
	// after(n) says whether there is a line after place n.
	after := func(n uint64) (bool, error) {
		events, err := s.Timeline(ctx, c, "", n, 1)
		return len(events) > 0, err
	}
	low, high := uint64(0), uint64(1) // the answer is at least low; in the end there is nothing after high
	for {
		more, err := after(high)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		low, high = high+1, high*2
	}
	for low < high {
		mid := low + (high-low)/2
		more, err := after(mid)
		if err != nil {
			return 0, err
		}
		if more {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, nil
}
