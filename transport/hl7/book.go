package hl7

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"relais/engine"
)

// reply is the record system's word on one of our requests.
type reply struct {
	control string           // MSH-10 of the request
	booking engine.BookingID // when it names one
	ok      bool
	code    string // MSA-1
	err     string // ERR-3, or where 2.3 to 2.4 have it
	patient bool   // the error is in PID
	pending bool   // taken, not decided
	placer  string
	filler  string
}

// replyOf reads MSA, ERR and SCH of an answer.
func replyOf(m Message) reply {
	msa, sch, e := m.First("MSA"), m.First("SCH"), m.First("ERR")
	r := reply{
		control: m.Field(msa, 2).Text(1), code: strings.ToUpper(m.Field(msa, 1).Text(1)),
		placer: entity(m.Field(sch, 1)), filler: entity(m.Field(sch, 2)), booking: bookingOf(m.Field(sch, 1)),
		err: m.Field(e, 3).Text(1),
	}
	if r.err == "" {
		r.err = m.Field(e, 1).Sub(4, 1)
	}
	if r.err == "" {
		r.err = m.Field(msa, 6).Text(1)
	}
	r.patient = m.Field(e, 2).Text(1) == "PID" || strings.HasPrefix(m.Field(e, 1).Text(1), "PID")
	switch strings.ToLower(m.Field(sch, 25).Text(1)) {
	case "pending", "waitlist":
		r.pending = true
	}
	if r.booking != "" {
		r.control = controlOf(r.booking, "S01")
	}
	r.ok = r.code == "AA"
	return r
}

// controlOf is MSH-10 of a request: the same one however often it is made, so that the record system
// can tell a second try from a second request. 20 bytes are what every version allows.
func controlOf(booking engine.BookingID, trigger string) string {
	return digest(trigger + "\x00" + string(booking))[:20]
}

// Book implements actors.DME with SRM^S01. It waits for the answer of the application: SRR^S01, on the
// same connection or on the listener, or SIU^S12 of the new appointment. Without one the outcome is not
// known; the next call looks first whether the appointment came meanwhile, and then sends the same
// request again under the same MSH-10.
func (c *Connector) Book(ctx context.Context, b engine.Booking) (engine.Booked, error) {
	if b.ID == "" || b.Patient == "" {
		return engine.Booked{}, failure(engine.DMERejected, "The booking names no patient that the record system can know.")
	}
	if c.cfg.SendTo == "" {
		return engine.Booked{}, failure(engine.DMERejected, "No send_to is configured, so nothing can be booked.")
	}
	if done, booked, err := c.bookable(ctx, b); done {
		return booked, err
	}
	r, err := c.request(ctx, controlOf(b.ID, "S01"), c.booking(b), c.cfg.AcceptAck)
	if err != nil {
		if a := c.own(b.ID); a != "" { // its SIU came all the same
			return engine.Booked{Appointment: a}, nil
		}
		return engine.Booked{}, err
	}
	if !r.ok {
		return engine.Booked{}, c.refused(ctx, b, r)
	}
	return c.booked(ctx, b, r)
}

// bookable looks whether a booking can be asked for; done is set when there is nothing to ask.
func (c *Connector) bookable(ctx context.Context, b engine.Booking) (done bool, booked engine.Booked, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.whole(ctx); err != nil {
		return true, booked, failure(engine.DMEError, "What the record system sent cannot be read from the store now.")
	}
	for _, a := range c.p.appts {
		if a.Booking != b.ID {
			continue
		}
		if a.Live {
			return true, engine.Booked{Appointment: a.Source}, nil
		}
		return true, booked, failure(engine.DMEConflict, "The booking was made and cancelled since.")
	}
	s := c.p.slots[b.Slot.Source]
	if s == nil {
		return true, booked, failure(engine.DMEConflict, "The slot is not known to come from this record system.")
	}
	if s.Status != engine.SlotFree {
		return true, booked, failure(engine.DMEConflict, "The slot is not free any more.")
	}
	return false, booked, nil
}

// own is the live appointment of a booking, "" when there is none.
func (c *Connector) own(b engine.BookingID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.p.appts {
		if a.Booking == b && a.Live {
			return a.Source
		}
	}
	return ""
}

// booked puts an accepted booking into the picture: from now on the slot is taken, by us.
func (c *Connector) booked(ctx context.Context, b engine.Booking, r reply) (engine.Booked, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.whole(ctx)
	if err != nil {
		return engine.Booked{}, failure(engine.DMEError, "The booking was made and cannot be kept now.")
	}
	e := event{trigger: "S12", placer: string(b.ID), filler: r.filler, booking: b.ID, at: c.cfg.Now()}
	if a := c.p.find(event{placer: string(b.ID), filler: r.filler}); a != nil && a.Live && a.Booking == b.ID {
		return engine.Booked{Appointment: a.Source}, nil // its SIU came first
	}
	s := c.p.slots[b.Slot.Source]
	if s == nil {
		return engine.Booked{}, failure(engine.DMEConflict, "The slot is not known any more.")
	}
	e.at = s.At // whatever the record system says of it next is newer
	e.lines = []line{s.line}
	if err = c.p.apply(e); err == nil {
		err = c.save(ctx)
	}
	if err != nil {
		return engine.Booked{}, failure(engine.DMEError, "The booking was made and cannot be kept now.")
	}
	c.cfg.Nudge()
	return engine.Booked{Appointment: c.p.find(e).Source}, nil
}

// refused says what a refusal means. That of a slot closes the slot here: HL7 cannot be asked whether
// it is free, and a record system that said no is believed until it says more.
func (c *Connector) refused(ctx context.Context, b engine.Booking, r reply) error {
	switch {
	case r.patient || r.err == errUnknown:
		return failure(engine.DMERejected, "The record system does not know the patient, or refuses the booking for them (%s %s).", r.code, r.err)
	case r.err == errInternal || r.err == "206" || r.code == "CE":
		return failure(engine.DMEError, "The record system answers with an error of its own (%s %s).", r.code, r.err)
	case r.code == "AR", r.code == "CR":
		return failure(engine.DMERejected, "The record system refuses our requests (%s %s).", r.code, r.err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.whole(ctx); err == nil {
		c.p.shut(b.Slot.Source, c.cfg.Now())
		if err := c.save(ctx); err != nil {
			return failure(engine.DMEError, "The refusal of the booking cannot be kept now.")
		}
		c.cfg.Nudge()
	}
	return failure(engine.DMEConflict, "The record system refuses the booking: the slot is not free there (%s %s).", r.code, r.err)
}

// visitOf returns the appointment that a source names. One that no message told of is asked about by
// the identifier in its name.
func (c *Connector) visitOf(ctx context.Context, source string) (appointment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.whole(ctx); err != nil {
		return appointment{}, failure(engine.DMEError, "What the record system sent cannot be read from the store now.")
	}
	var e event
	by, id, _ := strings.Cut(source, "/")
	switch {
	case by == "filler" && id != "":
		e.filler = id
	case by == "placer" && id != "":
		e.placer = id
	default:
		return appointment{}, failure(engine.DMERejected, "The appointment is not one of this record system; cancel it there by hand.")
	}
	if a := c.p.find(e); a != nil {
		return *a, nil
	}
	return appointment{Source: source, Placer: e.placer, Filler: e.filler, Live: true}, nil
}

// Cancel implements actors.DME with SRM^S04. An appointment that is not live any more, or not known
// there, is a success.
func (c *Connector) Cancel(ctx context.Context, source string) error {
	visit, err := c.visitOf(ctx, source)
	if err != nil || !visit.Live {
		return err
	}
	if c.cfg.SendTo == "" {
		return failure(engine.DMERejected, "No send_to is configured, so nothing can be cancelled.")
	}
	r, err := c.request(ctx, controlOf(engine.BookingID(visit.Source), "S04"), c.cancellation(visit), true)
	if err != nil {
		return err
	}
	if !r.ok && r.err != errUnknown {
		if r.code == "CE" || r.err == errInternal {
			return failure(engine.DMEError, "The record system answers with an error of its own (%s %s).", r.code, r.err)
		}
		return failure(engine.DMERejected, "The record system refuses the cancellation (%s %s).", r.code, r.err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err = c.whole(ctx); err == nil {
		if a := c.p.appts[visit.Source]; a != nil && a.Live {
			err = c.p.apply(event{trigger: "S15", placer: a.Placer, filler: a.Filler, at: a.At})
		}
	}
	if err == nil {
		err = c.save(ctx)
	}
	if err != nil {
		return failure(engine.DMEError, "The cancellation was made and cannot be kept now.")
	}
	c.cfg.Nudge()
	return nil
}

// exchanged is what came of sending a request.
type exchanged struct {
	reply reply
	err   error
}

// ackWithin is how long the acknowledgment may come after the word on the request itself.
const ackWithin = time.Second

// request sends a message and waits for the word of the application on it: on the connection, or as a
// message to the listener. ackIsAll is set where a plain AA is that word.
func (c *Connector) request(ctx context.Context, control string, m Message, ackIsAll bool) (reply, error) {
	later, done := c.expect(control)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Answer)
	acked, now := make(chan struct{}), make(chan exchanged, 1)
	go func() {
		defer cancel()
		now <- c.exchange(ctx, control, m, ackIsAll, acked)
	}()
	select {
	case r := <-later:
		go func() { // the connection is free for the next request once this one is acknowledged
			defer cancel()
			select {
			case <-acked:
			case <-ctx.Done():
			case <-time.After(ackWithin):
			}
		}()
		return r, nil
	case x := <-now:
		return x.reply, x.err
	}
}

// exchange sends a request and reads on until an answer decides it.
func (c *Connector) exchange(ctx context.Context, control string, m Message, ackIsAll bool, acked chan struct{}) (x exchanged) {
	took := sync.OnceFunc(func() { close(acked) })
	x.err = c.out.send(ctx, m.Bytes(), c.cfg.Charset, func(a Message) (ours, last bool) {
		r := replyOf(a)
		if a.Field(a.First("MSA"), 2).Text(1) != control || r.code == "" {
			return false, false
		}
		took()
		if r.code == "CA" || r.pending {
			return true, false
		}
		x.reply = r
		return true, !r.ok || ackIsAll || a.Field(a.First("MSH"), 9).Text(1) == "SRR"
	})
	return x
}

// head begins a message of ours.
func (c *Connector) head(trigger, control string) Message {
	m := Message{Delimiters: StandardDelimiters, Charset: c.cfg.Charset}
	kind := m.Components("SRM", trigger, "SRM_S01")
	if old(c.cfg.Version) {
		kind = m.Components("SRM", trigger)
	}
	m.Add("MSH", "|", `^~\&`, m.escape(c.cfg.Receiver.Application), m.escape(c.cfg.Receiver.Facility),
		m.escape(c.cfg.Sender.Application), m.escape(c.cfg.Sender.Facility), stamp(c.cfg.Now(), c.cfg.Zone), "",
		kind, control, "P", c.cfg.Version, "", "", "", "", "", string(c.cfg.Charset))
	return m
}

// booking writes SRM^S01.
func (c *Connector) booking(b engine.Booking) Message {
	m := c.head("S01", controlOf(b.ID, "S01"))
	s := b.Slot
	minutes := strconv.Itoa(int(s.End.Sub(s.Start).Minutes()))
	m.arq(string(b.ID), "", minutes, stamp(s.Start, c.cfg.Zone), stamp(s.End, c.cfg.Zone))
	m.Add("PID", "1", "", m.patient(b.Patient))
	m.Add("RGS", "1", "A")
	start := stamp(s.Start, c.cfg.Zone)
	if c.cfg.Service != "" {
		m.Add("AIS", "1", "A", m.escape(c.cfg.Service), start, "", "", minutes, "M")
	}
	if place := c.there[s.Place]; place != "" {
		m.Add("AIL", "1", "A", m.escape(place), "", "", start, "", "", minutes, "M")
	}
	m.Add("AIP", "1", "A", m.escape(c.theirs[s.Practitioner]), "", "", start, "", "", minutes, "M")
	return m
}

// cancellation writes SRM^S04.
func (c *Connector) cancellation(a appointment) Message {
	m := c.head("S04", controlOf(engine.BookingID(a.Source), "S04"))
	start, end, minutes := "", "", ""
	if len(a.Lines) > 0 {
		l := a.Lines[0]
		start, end = stamp(l.Start, c.cfg.Zone), stamp(l.End, c.cfg.Zone)
		minutes = strconv.Itoa(int(l.End.Sub(l.Start).Minutes()))
	}
	m.arq(a.Placer, a.Filler, minutes, start, end)
	m.Add("RGS", "1", "D")
	for i, l := range a.Lines {
		m.Add("AIP", strconv.Itoa(i+1), "D", m.escape(c.theirs[l.Person]), "", "", stamp(l.Start, c.cfg.Zone))
	}
	return m
}

// arq adds the segment of the request itself. HL7 2.5.1, 10.6.1.
func (m *Message) arq(placer, filler, minutes, start, end string) {
	unit := ""
	if minutes != "" {
		unit = "M"
	}
	m.Add("ARQ", m.entity(placer), m.entity(filler), "", "", "", m.Components("RELAIS", "Relais"), "", "",
		minutes, unit, m.Components(start, end), "", "", "", m.Components("RELAIS"), "", "", "", m.Components("RELAIS"))
}

// entity writes what entity read.
func (m *Message) entity(s string) string {
	value, by, _ := strings.Cut(s, "^")
	return m.Components(value, by)
}

// patient writes PID-3: an identifier, or id^^^authority^type.
func (m *Message) patient(s string) string { return m.Components(strings.Split(s, "^")...) }
