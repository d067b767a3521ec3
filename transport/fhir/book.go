package fhir

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"relais/engine"
)

// writeTries is how often a write is made again because something else about the resource changed
// between reading and writing it.
const writeTries = 3

// Book gives the slot to the patient, on the condition that it is still free, in one transaction.
// Calling it again with the same ID, also after an unknown outcome, books once. The faults that
// are final are DMEConflict (somebody else has the slot, or it moved) and DMERejected.
func (c *Client) Book(ctx context.Context, b engine.Booking) (engine.Booked, error) {
	if !isSource(b.Patient) || !isSource(b.Slot.Source) || b.ID == "" {
		return engine.Booked{}, failure(engine.DMERejected, "The booking names no patient or slot that the record system can know.")
	}
	if err := c.needTransactions(ctx); err != nil {
		return engine.Booked{}, err
	}
	// Looking for an earlier success comes first: without it a retry after a timeout would find
	// the slot busy and take our own booking for somebody else's.
	if booked, err := c.own(ctx, b); err != nil || booked != nil {
		return deref(booked), err
	}
	for range writeTries {
		slot, err := c.bookable(ctx, b)
		if err != nil {
			if fault(err) == engine.DMEConflict {
				return c.unlessOwn(ctx, b, err)
			}
			return engine.Booked{}, err
		}
		source, err := c.write(ctx, b, slot)
		if err == nil {
			return c.verify(ctx, b, source)
		}
		if fault(err) != engine.DMEConflict {
			return engine.Booked{}, err
		}
		if booked, err := c.own(ctx, b); err != nil || booked != nil {
			return deref(booked), err
		}
	}
	return engine.Booked{}, failure(engine.DMEConflict, "The slot kept changing while it was being booked.")
}

func deref(b *engine.Booked) engine.Booked {
	if b == nil {
		return engine.Booked{}
	}
	return *b
}

func fault(err error) engine.DMEFault {
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		return f.Fault
	}
	return ""
}

// needTransactions asks the server once what it can do. A server that says nothing about
// interactions of the whole system is believed to follow R4.
func (c *Client) needTransactions(ctx context.Context) error {
	c.mu.Lock()
	sure := c.transactions
	c.mu.Unlock()
	if sure {
		return nil
	}
	r, err := c.do(ctx, call{method: http.MethodGet, path: "metadata"})
	if err != nil {
		return err
	}
	var statement struct {
		Type string `json:"resourceType"`
		Rest []struct {
			Interaction []struct {
				Code string `json:"code"`
			} `json:"interaction"`
		} `json:"rest"`
	}
	if r.status >= 300 || json.Unmarshal(r.body, &statement) != nil || statement.Type != "CapabilityStatement" {
		return failure(engine.DMEMalformed, "The record system does not say what it can do.")
	}
	declared := false
	for _, rest := range statement.Rest {
		for _, i := range rest.Interaction {
			declared = true
			sure = sure || i.Code == "transaction"
		}
	}
	if declared && !sure {
		return failure(engine.DMERejected, "The record system does not carry out transactions, so a booking cannot be made safe.")
	}
	c.mu.Lock()
	c.transactions = true
	c.mu.Unlock()
	return nil
}

// own looks for the appointment that an earlier call with this ID has made. It returns nil when
// there is none, and a conflict when it was made and cancelled since.
func (c *Client) own(ctx context.Context, b engine.Booking) (*engine.Booked, error) {
	list, err := c.search(ctx, "Appointment", url.Values{"identifier": {identifierToken(BookingSystem, string(b.ID))}})
	if err != nil {
		return nil, err
	}
	ended := false
	for _, r := range list.list {
		f, err := c.appointmentFact(r)
		if err != nil {
			return nil, err
		}
		if f.Booking != b.ID {
			continue
		}
		if f.Live {
			return &engine.Booked{Appointment: f.Source}, nil
		}
		ended = true
	}
	if ended {
		return nil, failure(engine.DMEConflict, "The booking was made and cancelled since.")
	}
	return nil, nil //nolint:nilnil // no booking and no failure
}

// unlessOwn looks on the slot itself before it calls a conflict final: a search by identifier can
// lag behind a booking that was just made.
func (c *Client) unlessOwn(ctx context.Context, b engine.Booking, conflict error) (engine.Booked, error) {
	list, err := c.search(ctx, "Appointment", url.Values{"slot": {b.Slot.Source}})
	if err != nil {
		return engine.Booked{}, err
	}
	for _, r := range list.list {
		f, err := c.appointmentFact(r)
		if err != nil {
			return engine.Booked{}, err
		}
		if f.Live && f.Booking == b.ID {
			return engine.Booked{Appointment: f.Source}, nil
		}
	}
	return engine.Booked{}, conflict
}

// bookable reads the slot and says whether it can be booked, as a conflict when it cannot.
func (c *Client) bookable(ctx context.Context, b engine.Booking) (resource, error) {
	slot, there, err := c.read(ctx, b.Slot.Source)
	if err != nil {
		return resource{}, err
	}
	if !there {
		return resource{}, failure(engine.DMEConflict, "The slot is gone.")
	}
	if slot.Meta.VersionID == "" {
		return resource{}, failure(engine.DMERejected, "The record system gives slots no versions, so a booking cannot be made safe.")
	}
	v, err := view[slotView](slot)
	if err != nil {
		return resource{}, err
	}
	if !instant(v.Start).Equal(b.Slot.Start) && !b.Slot.Start.IsZero() {
		return resource{}, failure(engine.DMEConflict, "The slot was moved to another time.")
	}
	switch status := c.slotStatus(v.Status); {
	case status == engine.SlotFree:
	case status == engine.SlotBusy && c.cfg.FreeByAppointment:
	default:
		return resource{}, failure(engine.DMEConflict, "The slot is not free any more.")
	}
	others, err := c.liveOn(ctx, b.Slot.Source)
	if err != nil {
		return resource{}, err
	}
	if len(others) > 0 {
		return resource{}, failure(engine.DMEConflict, "Another appointment is on the slot.")
	}
	return slot, nil
}

// liveOn lists the sources of the live appointments on a slot.
func (c *Client) liveOn(ctx context.Context, slotSource string) ([]string, error) {
	list, err := c.search(ctx, "Appointment", url.Values{"slot": {slotSource}})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range list.list {
		f, err := c.appointmentFact(r)
		if err != nil {
			return nil, err
		}
		if f.Live {
			out = append(out, f.Source)
		}
	}
	return out, nil
}

// write makes the transaction and returns the source of the appointment, when the server says.
func (c *Client) write(ctx context.Context, b engine.Booking, slot resource) (string, error) {
	busy, err := slot.with(map[string]any{"status": "busy"})
	if err != nil {
		return "", err
	}
	v, err := view[slotView](slot)
	if err != nil {
		return "", err
	}
	appointment, err := json.Marshal(c.appointment(b, v))
	if err != nil {
		return "", failure(engine.DMERejected, "The booking cannot be written.")
	}
	responses, err := c.transact(ctx, []entry{
		{Resource: busy, Request: &request{Method: http.MethodPut, URL: slot.source(), IfMatch: slot.etag()}},
		{Resource: appointment, Request: &request{
			Method: http.MethodPost, URL: "Appointment",
			IfNoneExist: url.Values{"identifier": {identifierToken(BookingSystem, string(b.ID))}}.Encode(),
		}},
	})
	if err != nil {
		return "", err
	}
	if source := c.source(responses[1]); isSource(source) && strings.HasPrefix(source, "Appointment/") {
		return source, nil
	}
	return "", nil
}

func (c *Client) appointment(b engine.Booking, slot slotView) map[string]any {
	person := func(reference string) map[string]any {
		return map[string]any{"actor": map[string]any{"reference": reference}, "status": "accepted"}
	}
	participants := []any{person(b.Patient)}
	c.mu.Lock()
	actors := c.schedules[c.source(slot.Schedule.Reference)].actors
	c.mu.Unlock()
	for _, a := range actors {
		participants = append(participants, person(a.Reference))
	}
	return map[string]any{
		"resourceType": "Appointment",
		"identifier":   []any{map[string]any{"system": BookingSystem, "value": string(b.ID)}},
		"status":       "booked",
		"start":        slot.Start,
		"end":          slot.End,
		"created":      c.cfg.Now().UTC().Format(time.RFC3339),
		"slot":         []any{map[string]any{"reference": b.Slot.Source}},
		"participant":  participants,
	}
}

// transact carries out a transaction and returns the location of each entry's result.
func (c *Client) transact(ctx context.Context, entries []entry) ([]string, error) {
	body, err := json.Marshal(bundle{ResourceType: "Bundle", Type: "transaction", Entry: entries})
	if err != nil {
		return nil, failure(engine.DMERejected, "The transaction cannot be written.")
	}
	r, err := c.do(ctx, call{method: http.MethodPost, body: body})
	if err != nil {
		return nil, err
	}
	if r.status >= 300 {
		return nil, failure(engine.DMERejected, "The record system does not take transactions (%d).", r.status)
	}
	b, err := readBundle(r.body, "transaction-response")
	if err != nil {
		return nil, err
	}
	if len(b.Entry) != len(entries) {
		return nil, failure(engine.DMEMalformed, "The record system answered %d of %d parts of a transaction.", len(b.Entry), len(entries))
	}
	var locations []string
	for _, e := range b.Entry {
		// All or nothing is what a transaction means: a part that failed inside a success leaves
		// the schedule in a state that nobody can vouch for.
		if e.Response == nil || !strings.HasPrefix(e.Response.Status, "2") {
			return nil, failure(engine.DMEMalformed, "The record system carried out a transaction in part.")
		}
		locations = append(locations, e.Response.Location)
	}
	return locations, nil
}

// verify reads the appointment back: "booked" is said only when the record system shows it.
func (c *Client) verify(ctx context.Context, b engine.Booking, source string) (engine.Booked, error) {
	if source == "" {
		booked, err := c.own(ctx, b)
		if err == nil && booked == nil {
			err = failure(engine.DMEMalformed, "The record system accepted the booking and does not show it.")
		}
		return deref(booked), err
	}
	r, there, err := c.read(ctx, source)
	if err != nil {
		return engine.Booked{}, err
	}
	if !there {
		return engine.Booked{}, failure(engine.DMEMalformed, "The record system accepted the booking and does not show it.")
	}
	f, err := c.appointmentFact(r)
	if err != nil {
		return engine.Booked{}, err
	}
	if f.Booking != b.ID || !slices.Contains(f.Slots, b.Slot.Source) {
		return engine.Booked{}, failure(engine.DMEMalformed, "The record system shows another booking than the one that was written.")
	}
	if !f.Live {
		return engine.Booked{}, failure(engine.DMEConflict, "The booking was made and cancelled since.")
	}
	return engine.Booked{Appointment: f.Source}, nil
}

// Cancel cancels an appointment and frees its slots, in one transaction. An appointment that is
// not live any more, or not there, is a success.
func (c *Client) Cancel(ctx context.Context, appointmentSource string) error {
	var last error
	for range writeTries {
		r, there, err := c.read(ctx, appointmentSource)
		if err != nil || !there {
			return err
		}
		f, err := c.appointmentFact(r)
		if err != nil || !f.Live {
			return err
		}
		if err := c.needTransactions(ctx); err != nil {
			return err
		}
		entries, err := c.cancellation(ctx, r, f)
		if err != nil {
			return err
		}
		if _, last = c.transact(ctx, entries); fault(last) != engine.DMEConflict {
			return last
		}
	}
	return last
}

func (c *Client) cancellation(ctx context.Context, r resource, f engine.AppointmentFact) ([]entry, error) {
	cancelled, err := r.with(map[string]any{"status": "cancelled", "cancelationReason": map[string]any{
		"coding": []any{map[string]any{"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "pat"}},
	}})
	if err != nil {
		return nil, err
	}
	entries := []entry{{Resource: cancelled, Request: conditional(r)}}
	for _, source := range f.Slots {
		slot, there, err := c.read(ctx, source)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		v, err := view[slotView](slot)
		if err != nil {
			return nil, err
		}
		others, err := c.liveOn(ctx, source)
		if err != nil {
			return nil, err
		}
		others = slices.DeleteFunc(others, func(s string) bool { return s == f.Source })
		if c.slotStatus(v.Status) != engine.SlotBusy || len(others) > 0 {
			continue
		}
		free, err := slot.with(map[string]any{"status": "free"})
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{Resource: free, Request: conditional(slot)})
	}
	return entries, nil
}

// conditional writes a resource over the version that was read, when the server gives versions.
func conditional(r resource) *request {
	out := &request{Method: http.MethodPut, URL: r.source()}
	if r.Meta.VersionID != "" {
		out.IfMatch = r.etag()
	}
	return out
}
