package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
)

// History is what a store still has of a clinic's past.
type History struct {
	Openings []PastOpening // over, in order of their opening
	Running  int           // openings that are not over
	Earlier  int           // openings of slots that were opened again since: their offers are not kept together any more
	Entries  []engine.Entry
	Patients map[engine.PatientID]engine.Patient
}

// PastOpening is the last opening of a slot, and what its timeline adds.
type PastOpening struct {
	State slot.State
	Ended time.Time // of the event that ended it; zero when the timeline does not say
	Held  bool      // suspended by the record system's health or paused by the desk for a while
}

// ReadHistory reads the past of a clinic. It writes nothing. Slots that ended longer ago than the retention
// says are not there any more.
func ReadHistory(ctx context.Context, s storage.Store, c engine.ClinicID) (History, error) {
	h := History{Patients: map[engine.PatientID]engine.Patient{}}
	err := scanAll(ctx, s, c, storage.KindSlot, func(state slot.State) error {
		h.Earlier += max(0, state.Opening-1)
		switch state.Phase {
		case slot.None:
			return nil
		case slot.Freed, slot.Approval, slot.Offering, slot.Claimed:
			h.Running++
			return nil
		case slot.Booked, slot.Expired, slot.Closed:
		}
		past := PastOpening{State: state}
		err := past.follow(ctx, s, c)
		h.Openings = append(h.Openings, past)
		return err
	})
	if err != nil {
		return h, err
	}
	slices.SortStableFunc(h.Openings, func(a, b PastOpening) int { return a.State.OpenedAt.Compare(b.State.OpenedAt) })
	err = scanAll(ctx, s, c, storage.KindEntry, func(e engine.Entry) error {
		h.Entries = append(h.Entries, e)
		return nil
	})
	if err != nil {
		return h, err
	}
	return h, scanAll(ctx, s, c, storage.KindPatient, func(p engine.Patient) error {
		h.Patients[p.ID] = p
		return nil
	})
}

// follow reads the timeline of the opening.
func (p *PastOpening) follow(ctx context.Context, s storage.Store, c engine.ClinicID) error {
	for after := uint64(0); ; {
		events, err := s.Timeline(ctx, c, string(p.State.Slot.ID), after, pageSize)
		if err != nil {
			return err
		}
		for _, e := range events {
			after = e.Seq
			if e.At.Before(p.State.OpenedAt) { // of an earlier opening
				continue
			}
			var data eventData
			if err := json.Unmarshal(e.Data, &data); err != nil {
				return fmt.Errorf("the timeline of a slot: %w", err)
			}
			switch data.Event {
			case slot.EvBooked, slot.EvExpired, slot.EvTaken, slot.EvWithdrawn, slot.EvRefused:
				if p.Ended.IsZero() || p.State.Phase != slot.Booked { // what is seen of a booked slot later is no end
					p.Ended = e.At
				}
			case slot.EvSuspended, slot.EvPaused:
				p.Held = true
			}
		}
		if len(events) < pageSize {
			return nil
		}
	}
}

// scanAll decodes every record of a kind.
func scanAll[T any](ctx context.Context, s storage.Store, c engine.ClinicID, k storage.Kind, take func(T) error) error {
	for after := ""; ; {
		page, err := s.Scan(ctx, c, k, after, pageSize)
		if err != nil {
			return err
		}
		for _, rec := range page {
			after = rec.Key.ID
			var v T
			if err := json.Unmarshal(rec.Data, &v); err != nil {
				return fmt.Errorf("a record of kind %s: %w", k, err)
			}
			if err := take(v); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
	}
}
