package fhir

import (
	"context"
	"net/http"
	"slices"

	"relais/engine"
)

// Cancel cancels an appointment and frees its slots. An appointment that is not live any more, or
// not there, is a success.
func (c *Client) Cancel(ctx context.Context, appointmentSource string) error {
	var last error
	for range writeTries {
		r, there, err := c.read(ctx, appointmentSource)
		if err != nil || !there {
			return err
		}
		f, err := c.appointmentFact(r)
		if err != nil {
			return err
		}
		can, err := c.can(ctx)
		if err != nil {
			return err
		}
		switch {
		case !can.transactions:
			last = c.cancelInSteps(ctx, r, f)
		case !f.Live:
			return nil
		default:
			last = c.cancelAtOnce(ctx, r, f)
		}
		if fault(last) != engine.DMEConflict {
			return last
		}
	}
	return last
}

func (c *Client) cancelAtOnce(ctx context.Context, r resource, f engine.AppointmentFact) error {
	cancelled, err := cancelled(r)
	if err != nil {
		return err
	}
	entries := []entry{{Resource: cancelled, Request: conditional(r)}}
	slots, err := c.freedWith(ctx, f)
	if err != nil {
		return err
	}
	for _, slot := range slots {
		free, err := slot.with(map[string]any{"status": "free"})
		if err != nil {
			return err
		}
		entries = append(entries, entry{Resource: free, Request: conditional(slot)})
	}
	_, err = c.transact(ctx, entries)
	return err
}

func cancelled(r resource) ([]byte, error) {
	return r.with(map[string]any{"status": "cancelled", "cancelationReason": map[string]any{
		"coding": []any{map[string]any{"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "pat"}},
	}})
}

// freedWith reads the slots that become free with an appointment: those that are busy with nothing
// else on them.
func (c *Client) freedWith(ctx context.Context, f engine.AppointmentFact) ([]resource, error) {
	var slots []resource
	for _, source := range f.Slots {
		slot, there, err := c.read(ctx, source)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		v, err := viewSlot(slot)
		if err != nil {
			return nil, err
		}
		others, err := c.liveOn(ctx, source)
		if err != nil {
			return nil, err
		}
		others = slices.DeleteFunc(others, func(o engine.AppointmentFact) bool { return o.Source == f.Source })
		if c.slotStatus(v.Status) == engine.SlotBusy && len(others) == 0 {
			slots = append(slots, slot)
		}
	}
	return slots, nil
}

// conditional writes a resource over the version that was read, when the server gives versions.
func conditional(r resource) *request {
	out := &request{Method: http.MethodPut, URL: r.source()}
	if r.Meta.VersionID != "" {
		out.IfMatch = r.etag()
	}
	return out
}
