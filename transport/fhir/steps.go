package fhir

import (
	"context"
	"encoding/json"
	"net/http"

	"relais/engine"
)

// HoldSystem is the identifier system of the mark that a slot carries while it is written step by
// step, on servers without transactions: the booking that it is held for, or releaseMark. Whoever
// finds the mark after a crash knows what to finish.
const HoldSystem = "urn:relais:hold"

const releaseMark = "release"

// held is the mark on a slot, or "".
func (v slotView) held() string {
	for _, i := range v.Identifier {
		if i.System == HoldSystem {
			return i.Value
		}
	}
	return ""
}

// marked returns a slot's JSON with another status and mark; "" takes the mark off.
func (r resource) marked(status, mark string) (json.RawMessage, error) {
	v, err := view[struct {
		Identifier []json.RawMessage `json:"identifier"`
	}](r)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, raw := range v.Identifier {
		var i ident
		if json.Unmarshal(raw, &i) != nil || i.System != HoldSystem {
			list = append(list, raw)
		}
	}
	if mark != "" {
		list = append(list, map[string]any{"system": HoldSystem, "value": mark})
	}
	fields := map[string]any{"status": status, "identifier": list}
	if len(list) == 0 {
		fields["identifier"] = nil
	}
	return r.with(fields)
}

// writeInSteps holds the slot, writes the appointment and leaves the rest to finish. When the
// record system refuses the appointment, the hold is taken back. After an unknown outcome the hold
// stays: the next try finds it, and the appointment if there is one.
func (c *Client) writeInSteps(ctx context.Context, b engine.Booking, slot resource, appointment []byte) (string, error) {
	v, err := viewSlot(slot)
	if err != nil {
		return "", err
	}
	before := v.Status
	if v.held() == string(b.ID) {
		before = "free"
	} else if err := c.mark(ctx, slot, "busy-tentative", string(b.ID)); err != nil {
		return "", err
	}
	r, err := c.do(ctx, call{
		method: http.MethodPost, path: "Appointment", body: appointment,
		header: http.Header{"If-None-Exist": {sameBooking(b)}},
	})
	if err == nil && r.status >= 300 {
		err = failure(engine.DMERejected, "The record system takes no appointments (%d).", r.status)
	}
	if f := fault(err); f == engine.DMERejected || f == engine.DMEConflict {
		if back := c.unmark(ctx, b.Slot.Source, string(b.ID), before); back != nil {
			return "", back // tried again as a whole, with the hold
		}
	}
	if err != nil {
		return "", err
	}
	if source := c.appointmentAt(r.header.Get("Location")); source != "" {
		return source, nil
	}
	if made, err := readResource(r.body); err == nil && made.Type == "Appointment" && isSource(made.source()) {
		return made.source(), nil
	}
	return "", nil
}

// finish makes a slot that is still held for a booking busy. The appointment is there already.
func (c *Client) finish(ctx context.Context, b engine.Booking) error {
	return c.unmark(ctx, b.Slot.Source, string(b.ID), "busy")
}

// mark writes a status and a mark on a slot as it was read.
func (c *Client) mark(ctx context.Context, slot resource, status, mark string) error {
	body, err := slot.marked(status, mark)
	if err != nil {
		return err
	}
	return c.replace(ctx, slot, body)
}

// unmark takes a mark off a slot and gives it a status. A slot without the mark is left alone.
func (c *Client) unmark(ctx context.Context, source, mark, status string) error {
	var last error
	for n := 0; n == 0 || fault(last) == engine.DMEConflict && pause(ctx, n-1); n++ {
		slot, there, err := c.read(ctx, source)
		if err != nil || !there {
			return err
		}
		v, err := viewSlot(slot)
		if err != nil || v.held() != mark {
			return err
		}
		if last = c.mark(ctx, slot, status, ""); last == nil {
			return nil
		}
	}
	if fault(last) == engine.DMEConflict {
		return failure(engine.DMEError, "A slot that is held for us cannot be written.")
	}
	return last
}

// replace writes a resource over the version that was read.
func (c *Client) replace(ctx context.Context, r resource, body []byte) error {
	h := http.Header{}
	if match := conditional(r).IfMatch; match != "" {
		h.Set("If-Match", match)
	}
	answer, err := c.do(ctx, call{method: http.MethodPut, path: r.source(), body: body, header: h})
	if err != nil {
		return err
	}
	if answer.status >= 300 {
		return failure(engine.DMEConflict, "What was to be written is gone.")
	}
	if now, err := readResource(answer.body); err == nil && now.source() == r.source() {
		c.note(now.source(), now.Meta.LastUpdated)
	}
	return nil
}

// cancelInSteps marks the slots, cancels the appointment and frees them. An appointment that is
// cancelled already may be one whose slots were left with our mark.
func (c *Client) cancelInSteps(ctx context.Context, r resource, f engine.AppointmentFact) error {
	if f.Live {
		slots, err := c.freedWith(ctx, f)
		if err != nil {
			return err
		}
		for _, slot := range slots {
			if err := c.mark(ctx, slot, "busy", releaseMark); err != nil {
				return err
			}
		}
		body, err := cancelled(r)
		if err != nil {
			return err
		}
		if err := c.replace(ctx, r, body); err != nil {
			return err
		}
	}
	for _, source := range f.Slots {
		others, err := c.liveOn(ctx, source)
		if err != nil {
			return err
		}
		status := "free"
		for _, o := range others {
			if o.Source != f.Source {
				status = "busy" // somebody took it in between: only our mark goes
			}
		}
		if err := c.unmark(ctx, source, releaseMark, status); err != nil {
			return err
		}
	}
	return nil
}
