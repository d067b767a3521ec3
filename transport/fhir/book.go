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

// Book gives the slot to the patient, on the condition that it is still free. Calling it again with
// the same ID, also after an unknown outcome, books once. The faults that are final are DMEConflict
// (somebody else has the slot, or it moved) and DMERejected.
func (c *Client) Book(ctx context.Context, b engine.Booking) (engine.Booked, error) {
	if !isSource(b.Patient) || !isSource(b.Slot.Source) || b.ID == "" {
		return engine.Booked{}, failure(engine.DMERejected, "The booking names no patient or slot that the record system can know.")
	}
	can, err := c.can(ctx)
	if err != nil {
		return engine.Booked{}, err
	}
	// Looking for an earlier success comes first: without it a retry after a timeout would find
	// the slot busy and take our own booking for somebody else's.
	if booked, err := c.own(ctx, b); err != nil {
		return engine.Booked{}, err
	} else if booked != nil {
		return c.confirm(ctx, b, booked.Appointment, can)
	}
	version := ""
	for n := 0; ; n++ {
		slot, err := c.bookable(ctx, b)
		if fault(err) == engine.DMEConflict {
			return c.unlessOwn(ctx, b, can, err)
		}
		if err != nil {
			return engine.Booked{}, err
		}
		source, err := c.write(ctx, b, slot, can)
		if err == nil {
			return c.confirm(ctx, b, source, can)
		}
		if fault(err) != engine.DMEConflict {
			return engine.Booked{}, err
		}
		if booked, err := c.own(ctx, b); err != nil {
			return engine.Booked{}, err
		} else if booked != nil {
			return c.confirm(ctx, b, booked.Appointment, can)
		}
		same := slot.Meta.VersionID == version
		version = slot.Meta.VersionID
		if n+1 >= writeTries && !same {
			return engine.Booked{}, failure(engine.DMEConflict, "The slot kept changing while it was being booked.")
		}
		if !pause(ctx, n) {
			return engine.Booked{}, contradiction(err)
		}
	}
}

// contradiction is said of a slot that cannot be written although it shows as it was when it was
// read. A version that moved unseen is a copy that lags, and may hide our own booking; any other
// conflict is the record system's own rule.
func contradiction(err error) error {
	if mayLag(err) {
		return failure(engine.DMEError, "The record system refuses a write because of a newer state that it does not show.")
	}
	return err
}

func fault(err error) engine.DMEFault {
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		return f.Fault
	}
	return ""
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

// unlessOwn looks on the slot itself before it calls a conflict final: a search can lag behind a
// booking that was just made, and then shows a slot that is busy with nobody on it.
func (c *Client) unlessOwn(ctx context.Context, b engine.Booking, can abilities, conflict error) (engine.Booked, error) {
	for n := 0; ; n++ {
		others := false
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
				return c.confirm(ctx, b, f.Source, can)
			}
			others = others || f.Live
		}
		if others || !mayLag(conflict) || !pause(ctx, n) {
			return engine.Booked{}, conflict
		}
	}
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
	v, err := viewSlot(slot)
	if err != nil {
		return resource{}, err
	}
	if !instant(v.Start).Equal(b.Slot.Start) && !b.Slot.Start.IsZero() {
		return resource{}, failure(engine.DMEConflict, "The slot was moved to another time.")
	}
	switch status := c.slotStatus(v.Status); {
	case status == engine.SlotFree, v.held() == string(b.ID):
	case status == engine.SlotBusy && c.cfg.FreeByAppointment:
	case status == engine.SlotBusy:
		return resource{}, &lagged{failure(engine.DMEConflict, "The slot is not free any more.")}
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

// liveOn lists the live appointments on a slot.
func (c *Client) liveOn(ctx context.Context, slotSource string) ([]engine.AppointmentFact, error) {
	list, err := c.search(ctx, "Appointment", url.Values{"slot": {slotSource}})
	if err != nil {
		return nil, err
	}
	var out []engine.AppointmentFact
	for _, r := range list.list {
		f, err := c.appointmentFact(r)
		if err != nil {
			return nil, err
		}
		if f.Live {
			out = append(out, f)
		}
	}
	return out, nil
}

// write books the slot as it was read and returns the source of the appointment, when the server
// says.
func (c *Client) write(ctx context.Context, b engine.Booking, slot resource, can abilities) (string, error) {
	v, err := viewSlot(slot)
	if err != nil {
		return "", err
	}
	appointment, err := json.Marshal(c.appointment(b, v))
	if err != nil {
		return "", failure(engine.DMERejected, "The booking cannot be written.")
	}
	if !can.transactions {
		return c.writeInSteps(ctx, b, slot, appointment)
	}
	busy, err := slot.with(map[string]any{"status": "busy"})
	if err != nil {
		return "", err
	}
	responses, err := c.transact(ctx, []entry{
		{Resource: busy, Request: conditional(slot)},
		{Resource: appointment, Request: &request{Method: http.MethodPost, URL: "Appointment", IfNoneExist: sameBooking(b)}},
	})
	if err != nil {
		return "", err
	}
	return c.appointmentAt(responses[1].Location), nil
}

// sameBooking is the search for the appointment of a booking.
func sameBooking(b engine.Booking) string {
	return url.Values{"identifier": {identifierToken(BookingSystem, string(b.ID))}}.Encode()
}

// appointmentAt reduces a Location to an appointment's source, or "".
func (c *Client) appointmentAt(location string) string {
	if source := c.source(location); isSource(source) && strings.HasPrefix(source, "Appointment/") {
		return source
	}
	return ""
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

// transact carries out a transaction and returns what came of each entry.
func (c *Client) transact(ctx context.Context, entries []entry) ([]response, error) {
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
	var responses []response
	for _, e := range b.Entry {
		// All or nothing is what a transaction means: a part that failed inside a success leaves
		// the schedule in a state that nobody can vouch for.
		if e.Response == nil || !strings.HasPrefix(e.Response.Status, "2") {
			return nil, failure(engine.DMEMalformed, "The record system carried out a transaction in part.")
		}
		responses = append(responses, *e.Response)
		if source := c.source(e.Response.Location); isSource(source) {
			c.note(source, instant(e.Response.LastModified))
		}
	}
	return responses, nil
}

// confirm reads a booking back: "booked" is said only when the record system shows it, alone on its
// slot. Where two writers got through at once, ours gives way: to a stranger always, and among our own to
// the lowest booking.
func (c *Client) confirm(ctx context.Context, b engine.Booking, source string, can abilities) (engine.Booked, error) {
	booked, err := c.readBack(ctx, b, source)
	if err != nil {
		return engine.Booked{}, err
	}
	if !can.transactions {
		if err := c.finish(ctx, b); err != nil {
			return engine.Booked{}, err
		}
	}
	for n := 0; ; n++ {
		live, err := c.liveOn(ctx, b.Slot.Source)
		if err != nil {
			return engine.Booked{}, err
		}
		live = slices.DeleteFunc(live, func(f engine.AppointmentFact) bool { return f.Source == booked.Appointment })
		if len(live) == 0 {
			return booked, nil
		}
		// Of our own bookings the lowest waits for the others to go. It stays only when it is alone:
		// one that stays had its answer before, and never goes.
		first := !slices.ContainsFunc(live, func(f engine.AppointmentFact) bool { return f.Booking == "" || f.Booking < b.ID })
		if !first || !pause(ctx, n) {
			break
		}
	}
	if err := c.Cancel(ctx, booked.Appointment); err != nil {
		return engine.Booked{}, err
	}
	if err := c.vacate(ctx, b.Slot.Source); err != nil {
		return engine.Booked{}, err
	}
	return engine.Booked{}, failure(engine.DMEConflict, "Another appointment was written on the slot at the same moment; ours was taken back.")
}

// vacate frees a slot that we made busy and that everybody gave up at the same moment: each saw the
// others on it, so that nobody freed it.
func (c *Client) vacate(ctx context.Context, source string) error {
	live, err := c.liveOn(ctx, source)
	if err != nil || len(live) > 0 {
		return err
	}
	slot, there, err := c.read(ctx, source)
	if err != nil || !there {
		return err
	}
	v, err := viewSlot(slot)
	if err != nil || v.Status != "busy" {
		return err
	}
	if err := c.mark(ctx, slot, "free", ""); fault(err) != engine.DMEConflict {
		return err
	}
	return nil // somebody else was quicker
}

// readBack reads what was written, with patience for a copy that lags.
func (c *Client) readBack(ctx context.Context, b engine.Booking, source string) (engine.Booked, error) {
	for n := 0; ; n++ {
		if source == "" {
			booked, err := c.own(ctx, b)
			if err != nil {
				return engine.Booked{}, err
			}
			if booked != nil {
				return *booked, nil
			}
		} else if r, there, err := c.read(ctx, source); err != nil {
			return engine.Booked{}, err
		} else if there {
			return c.asBooked(b, r)
		}
		if !pause(ctx, n) {
			return engine.Booked{}, failure(engine.DMEError, "The record system accepted the booking and does not show it.")
		}
	}
}

func (c *Client) asBooked(b engine.Booking, r resource) (engine.Booked, error) {
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
