package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"relais/engine"
	"relais/transport/hl7"
)

// HL7Clinic is one clinic of an HL7System: what it writes into MSH-3/4 and 5/6.
type HL7Clinic struct {
	ID               engine.ClinicID
	Sender, Receiver hl7.Party
	Zone             *time.Location
}

// HL7Manner is how a record system answers requests.
type HL7Manner string

// The manners.
const (
	HL7Answers HL7Manner = ""        // SRR at once
	HL7Later   HL7Manner = "later"   // CA, and SRR as a message of its own
	HL7Shows   HL7Manner = "shows"   // AA, and the SIU of the new appointment
	HL7Refuses HL7Manner = "refuses" // AE: the slot is not free
	HL7Silent  HL7Manner = "silent"  // takes the request, makes the booking, and answers nothing
)

// HL7System plays the record systems of many clinics that speak HL7 v2 over MLLP: it sends SIU to
// Relais over one connection for all of them, each message again until it is acknowledged, and takes
// SRM on a port of its own. It is safe for concurrent use.
type HL7System struct {
	listen  net.Listener
	to      atomic.Pointer[string]
	control atomic.Uint64
	work    sync.WaitGroup
	ctx     context.Context //nolint:containedctx // the life of the system
	cancel  context.CancelFunc
	send    chan *hl7Out

	mu      sync.Mutex
	clinics map[engine.ClinicID]*hl7Book
	manner  HL7Manner
	conns   map[net.Conn]bool
}

// hl7Book is a clinic's appointments.
type hl7Book struct {
	HL7Clinic
	next  int
	visit map[string]*HL7Visit
	asked map[string]string // MSH-10 of requests -> the visit or "" when refused
}

// HL7Visit is an appointment of an HL7System.
type HL7Visit struct {
	Filler, Placer string // SCH-2 and SCH-1
	Person, Place  string
	Start, End     time.Time
	Cancelled      bool
	Patient        string // PID-3.1, as the request had it
}

// hl7Out is a message on its way to Relais.
type hl7Out struct {
	text []byte
	done chan error
}

// NewHL7System starts a record system with a port on this machine. Close ends it.
func NewHL7System(clinics ...HL7Clinic) (*HL7System, error) {
	listen, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for HL7 requests: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &HL7System{
		listen: listen, ctx: ctx, cancel: cancel, clinics: map[engine.ClinicID]*hl7Book{},
		send: make(chan *hl7Out), conns: map[net.Conn]bool{},
	}
	for _, c := range clinics {
		h.clinics[c.ID] = &hl7Book{HL7Clinic: c, visit: map[string]*HL7Visit{}, asked: map[string]string{}}
	}
	h.work.Go(h.accept)
	h.work.Go(h.deliver)
	return h, nil
}

// Addr is where requests are taken.
func (h *HL7System) Addr() string { return h.listen.Addr().String() }

// SendTo says where Relais listens; messages wait until then.
func (h *HL7System) SendTo(addr string) { h.to.Store(&addr) }

// Behave says how requests are answered from now on.
func (h *HL7System) Behave(m HL7Manner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.manner = m
}

// Close ends all connections.
func (h *HL7System) Close() {
	h.cancel()
	_ = h.listen.Close()
	h.mu.Lock()
	for c := range h.conns {
		_ = c.Close()
	}
	h.mu.Unlock()
	h.work.Wait()
}

// Book makes an appointment and tells Relais (SIU^S12). It returns when Relais has acknowledged it.
func (h *HL7System) Book(ctx context.Context, clinic engine.ClinicID, person, place string, start, end time.Time) (filler string, err error) {
	h.mu.Lock()
	b := h.clinics[clinic]
	if b == nil {
		h.mu.Unlock()
		return "", errors.New("no such clinic")
	}
	v := b.add(HL7Visit{Person: person, Place: place, Start: start, End: end})
	text := h.siu(b, "S12", v)
	h.mu.Unlock()
	return v.Filler, h.tell(ctx, text)
}

// Cancel cancels an appointment and tells Relais (SIU^S15). It returns when Relais has acknowledged it.
func (h *HL7System) Cancel(ctx context.Context, clinic engine.ClinicID, filler string) error {
	h.mu.Lock()
	b := h.clinics[clinic]
	if b == nil || b.visit[filler] == nil {
		h.mu.Unlock()
		return errors.New("no such appointment")
	}
	v := b.visit[filler]
	v.Cancelled = true
	text := h.siu(b, "S15", v)
	h.mu.Unlock()
	return h.tell(ctx, text)
}

// Visits are the appointments of a clinic that are not cancelled.
func (h *HL7System) Visits(clinic engine.ClinicID) []HL7Visit {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []HL7Visit
	for _, v := range h.clinics[clinic].visit {
		if !v.Cancelled {
			out = append(out, *v)
		}
	}
	return out
}

func (b *hl7Book) add(v HL7Visit) *HL7Visit {
	b.next++
	v.Filler = string(b.ID) + "-" + strconv.Itoa(b.next)
	b.visit[v.Filler] = &v
	return &v
}

// free says whether somebody's time is free.
func (b *hl7Book) free(person string, start, end time.Time) bool {
	for _, v := range b.visit {
		if !v.Cancelled && v.Person == person && v.Start.Before(end) && start.Before(v.End) {
			return false
		}
	}
	return true
}

const hl7Time = "20060102150405"

// head begins a message of a clinic.
func (h *HL7System) head(b *hl7Book, kind, trigger string) hl7.Message {
	m := hl7.Message{Delimiters: hl7.StandardDelimiters, Charset: hl7.UTF8}
	m.Add("MSH", "|", `^~\&`, m.Escaped(b.Sender.Application), m.Escaped(b.Sender.Facility),
		m.Escaped(b.Receiver.Application), m.Escaped(b.Receiver.Facility),
		time.Now().In(b.Zone).Format("20060102150405.0000-0700"), "", m.Components(kind, trigger),
		"S"+strconv.FormatUint(h.control.Add(1), 10), "P", "2.5.1")
	return m
}

// siu writes an appointment as its record system does: zoneless times of the clinic.
func (h *HL7System) siu(b *hl7Book, trigger string, v *HL7Visit) []byte {
	m := h.head(b, "SIU", trigger)
	status := "Booked" // also of a cancellation: the trigger is what counts
	start, end := v.Start.In(b.Zone).Format(hl7Time), v.End.In(b.Zone).Format(hl7Time)
	minutes := strconv.Itoa(int(v.End.Sub(v.Start).Minutes()))
	fields := make([]string, 25)
	fields[0], fields[1], fields[5], fields[8], fields[9] = m.Escaped(v.Placer), m.Escaped(v.Filler), "ROUTINE", minutes, "min"
	fields[10], fields[24] = m.Components("", "", minutes, start, end), status
	m.Add("SCH", fields...)
	m.Add("PID", "1", "", "000000^^^SANDBOX^MR", "", m.Components("Essai", "Patient"))
	m.Add("RGS", "1", "A")
	m.Add("AIL", "1", "A", m.Components(v.Place))
	m.Add("AIP", "1", "A", m.Components(v.Person, "Médecin"))
	return m.Bytes()
}

// tell hands a message to the one connection and waits for its acknowledgment.
func (h *HL7System) tell(ctx context.Context, text []byte) error {
	o := &hl7Out{text: text, done: make(chan error, 1)}
	select {
	case h.send <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-h.ctx.Done():
		return h.ctx.Err()
	}
	select {
	case err := <-o.done:
		return err
	case <-h.ctx.Done():
		return h.ctx.Err()
	}
}

// deliver sends messages one at a time, each until it is acknowledged.
func (h *HL7System) deliver() {
	var conn net.Conn
	var in *hl7.Frames
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for {
		var o *hl7Out
		select {
		case o = <-h.send:
		case <-h.ctx.Done():
			return
		}
		for h.ctx.Err() == nil {
			if conn == nil {
				if conn, in = h.dial(); conn == nil {
					h.pause()
					continue
				}
			}
			code, err := exchange(conn, in, o.text)
			if err != nil {
				_ = conn.Close()
				conn = nil
				h.pause()
				continue
			}
			if code == "AA" || code == "CA" {
				o.done <- nil
			} else {
				o.done <- errors.New("Relais answers " + code)
			}
			break
		}
	}
}

func (h *HL7System) pause() {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-h.ctx.Done():
	}
}

func (h *HL7System) dial() (net.Conn, *hl7.Frames) {
	to := h.to.Load()
	if to == nil {
		return nil, nil
	}
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(h.ctx, "tcp", *to)
	if err != nil {
		return nil, nil
	}
	return conn, hl7.NewFrames(conn)
}

func exchange(conn net.Conn, in *hl7.Frames, text []byte) (string, error) {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(hl7.Frame(text)); err != nil {
		return "", err
	}
	answer, err := in.Next()
	if err != nil {
		return "", err
	}
	m, err := hl7.Parse(answer, hl7.UTF8)
	if err != nil {
		return "", err
	}
	return strings.ToUpper(m.Field(m.First("MSA"), 1).Text(1)), nil
}
