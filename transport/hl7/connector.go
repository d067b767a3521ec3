package hl7

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"relais/engine"
)

// Party is an application and its facility, as MSH-3/4 and MSH-5/6 name them: the first component of
// each. An empty one stands for any when messages are taken.
type Party struct{ Application, Facility string }

// Config is what a Connector needs. Clinic, Zone and Practitioners are required.
type Config struct {
	Clinic  engine.ClinicID
	Zone    *time.Location
	Journal Journal // nil: nothing is kept, so nothing can be taken; for Check alone
	// Sender is the record system and Receiver is Relais, in what the record system sends.
	Sender, Receiver Party
	// Peer is a name (DNS or common) that the record system's certificate must have; empty: any
	// certificate that the listener accepts.
	Peer string
	// SendTo is the host:port where the record system takes our requests; empty: nothing can be booked.
	SendTo string
	TLS    *tls.Config // for SendTo; nil: plain
	// Charset is that of messages that name none, and of those that we write; empty: UTF8.
	Charset Charset
	Version string // MSH-12 of what we write; empty: "2.5.1"
	// Practitioners and Places map the record system's identifiers to the clinic's; what is not in
	// them is not the clinic's. A place that is not known is the only one, where there is only one.
	Practitioners map[string]engine.PractitionerID
	Places        map[string]engine.PlaceID
	Service       string        // AIS-3 of the bookings that we write; empty: no AIS
	Visit         time.Duration // the length of a visit that a message does not say; 0: 15 min
	// AcceptAck takes a plain AA of the request for its acceptance, for record systems that never
	// send SRR; otherwise SRR or the SIU of the new appointment is waited for.
	AcceptAck bool
	Answer    time.Duration // how long a request waits for its answer; 0: 10 s
	// Quiet is how long nothing may be heard during Open before the link counts as lost; 0: for ever.
	Quiet time.Duration
	Open  engine.Hours     // of every day, in Zone; the zero value: all day
	Nudge func()           // told that Changes would show something; nil: nobody
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: slog.Default
}

// Connector is one clinic's record system.
type Connector struct {
	cfg    Config
	reader reader
	theirs map[engine.PractitionerID]string
	there  map[engine.PlaceID]string
	out    *link

	mu      sync.Mutex
	p       *picture
	torn    bool // what is in memory is not what was kept
	heard   time.Time
	links   int // open connections that brought a message of this clinic
	skew    time.Duration
	waiting map[string]chan reply // by MSH-10 of the request
}

// New makes a connector and loads what was kept of its picture.
func New(ctx context.Context, cfg Config) (*Connector, error) {
	if cfg.Clinic == "" || cfg.Zone == nil || len(cfg.Practitioners) == 0 {
		return nil, engine.Errorf(engine.Invalid, "an HL7 connector needs a clinic, its zone and practitioners")
	}
	cfg.Charset = cmp.Or(cfg.Charset, UTF8)
	cfg.Version = cmp.Or(cfg.Version, "2.5.1")
	cfg.Visit = cmp.Or(cfg.Visit, 15*time.Minute)
	cfg.Answer = cmp.Or(cfg.Answer, 10*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Nudge == nil {
		cfg.Nudge = func() {}
	}
	c := &Connector{
		cfg: cfg, heard: cfg.Now(), waiting: map[string]chan reply{},
		theirs: map[engine.PractitionerID]string{}, there: map[engine.PlaceID]string{},
		reader: reader{zone: cfg.Zone, practitioners: cfg.Practitioners, places: cfg.Places, visit: cfg.Visit},
	}
	for theirs, ours := range cfg.Practitioners {
		if len(ours) > maxID {
			return nil, engine.Errorf(engine.Invalid, "a practitioner's identifier is longer than %d bytes", maxID)
		}
		c.theirs[ours] = preferred(theirs, string(ours), c.theirs[ours])
	}
	for theirs, ours := range cfg.Places {
		if len(ours) > maxID {
			return nil, engine.Errorf(engine.Invalid, "a place's identifier is longer than %d bytes", maxID)
		}
		c.there[ours] = preferred(theirs, string(ours), c.there[ours])
	}
	if len(c.there) == 1 {
		for ours := range c.there {
			c.reader.onlyPlace = ours
		}
	}
	c.out = newLink(cfg)
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// preferred says under which of several names we write somebody: one that is not our own name for
// them, because only a mapping can have given it.
func preferred(theirs, ours, known string) string {
	switch {
	case known == "" || known == ours:
		return theirs
	case theirs == ours:
		return known
	}
	return min(theirs, known)
}

// Close ends the connection to the record system.
func (c *Connector) Close() { c.out.close() }

func (c *Connector) load(ctx context.Context) error {
	p := newPicture()
	if c.cfg.Journal == nil {
		c.p = p
		return nil
	}
	if err := c.cfg.Journal.Load(ctx, c.cfg.Clinic, p.load); err != nil {
		return fmt.Errorf("load what was kept of the HL7 messages of clinic %s: %w", c.cfg.Clinic, err)
	}
	for _, s := range p.slots {
		p.seq = max(p.seq, s.Seq)
	}
	c.p, c.torn = p, false
	return nil
}

// save keeps what changed in the picture. Without that nothing of it holds: it is loaded anew.
func (c *Connector) save(ctx context.Context) error {
	records, err := c.p.records()
	if c.cfg.Journal == nil {
		err = errors.New("there is nowhere to keep it")
	}
	if err == nil && len(records) > 0 {
		err = c.cfg.Journal.Save(ctx, c.cfg.Clinic, records)
	}
	if err != nil {
		c.torn = true
	}
	return err
}

// whole makes sure that the picture is what was kept.
func (c *Connector) whole(ctx context.Context) error {
	if !c.torn {
		return nil
	}
	return c.load(ctx)
}

// Cursors: "12" is all that has a number up to 12; "12~20" is that, and that the slots freed up to 20
// were shown as they had been before.
//
// A slot that was taken and freed between two looks, or that was never heard of until it was freed,
// must count as freed all the same. So where the other side cannot know that it was taken, one look
// shows it taken and the next one free.
func parseCursor(s string) (from, until uint64, shown bool) {
	a, b, shown := strings.Cut(s, "~")
	from, _ = strconv.ParseUint(a, 10, 64)
	until, _ = strconv.ParseUint(b, 10, 64)
	return from, until, shown
}

// Changes implements actors.DME: what messages changed since the cursor.
func (c *Connector) Changes(ctx context.Context, cursor string) (engine.Observation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(ctx); err != nil {
		return engine.Observation{}, err
	}
	obs := engine.Observation{Skew: c.skew}
	from, until, shown := parseCursor(cursor)
	if from == c.p.seq {
		obs.Cursor = version(from)
		return obs, nil
	}
	if !shown {
		until = c.p.seq
		for _, s := range c.p.slots {
			if s.Freed && s.Seq > from && s.Was > from {
				obs.Slots = append(obs.Slots, s.before())
			}
		}
		if len(obs.Slots) > 0 {
			obs.Cursor = version(from) + "~" + version(until)
			c.cfg.Nudge()
			return obs, nil
		}
	}
	for _, s := range c.p.slots {
		if s.Seq > from && s.Seq <= until {
			obs.Slots = append(obs.Slots, s.fact())
		}
	}
	for _, a := range c.p.appts {
		if a.Seq > from && a.Seq <= until {
			obs.Appointments = append(obs.Appointments, c.p.appointmentFact(a))
		}
	}
	obs.Cursor = version(until)
	if c.p.seq > until {
		c.cfg.Nudge()
	}
	return ordered(obs), nil
}

func ordered(obs engine.Observation) engine.Observation {
	slices.SortFunc(obs.Slots, func(a, b engine.SlotFact) int { return cmp.Compare(a.Source, b.Source) })
	slices.SortFunc(obs.Appointments, func(a, b engine.AppointmentFact) int { return cmp.Compare(a.Source, b.Source) })
	return obs
}

// Snapshot implements actors.DME: all that is known between from and until. It is never complete,
// because nobody can tell what was never sent; what the picture does not have is not gone.
func (c *Connector) Snapshot(ctx context.Context, from, until time.Time) (engine.Observation, error) {
	if c.cfg.SendTo != "" {
		if err := c.out.reach(ctx); err != nil {
			return engine.Observation{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(ctx); err != nil {
		return engine.Observation{}, err
	}
	c.p.prune(c.cfg.Now(), maxSave/2)
	if err := c.save(ctx); err != nil {
		return engine.Observation{}, failure(engine.DMEError, "What the record system sent cannot be kept now.")
	}
	// The look for changes that follows shows again what is here, with what was freed as freed.
	obs := engine.Observation{From: from, Until: until, Skew: c.skew, Cursor: "0~" + version(c.p.seq)}
	defer c.cfg.Nudge()
	for _, s := range c.p.slots {
		if s.Start.Before(from) || !s.Start.Before(until) {
			continue
		}
		f := s.fact()
		if s.Freed {
			f = s.before()
		}
		obs.Slots = append(obs.Slots, f)
	}
	for _, a := range c.p.appts {
		if f := c.p.appointmentFact(a); a.Live && f.End.After(from) && f.Start.Before(until) {
			obs.Appointments = append(obs.Appointments, f)
		}
	}
	return ordered(obs), nil
}

// Read implements actors.DME: one slot as the messages so far have it.
func (c *Connector) Read(ctx context.Context, slot string) (engine.Observation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(ctx); err != nil {
		return engine.Observation{}, err
	}
	obs := engine.Observation{}
	if s := c.p.slots[slot]; s != nil {
		obs.Slots = append(obs.Slots, s.fact())
		for _, a := range c.p.visits[s.Person] {
			if slices.ContainsFunc(a.Lines, s.overlaps) {
				obs.Appointments = append(obs.Appointments, c.p.appointmentFact(a))
			}
		}
	}
	return ordered(obs), nil
}

// usable says why the picture cannot be believed now.
func (c *Connector) usable(ctx context.Context) error {
	if err := c.whole(ctx); err != nil {
		return failure(engine.DMEError, "What the record system sent cannot be read from the store now.")
	}
	now := c.cfg.Now()
	if c.cfg.Quiet > 0 && c.links == 0 && c.open(now) && now.Sub(c.heard) > c.cfg.Quiet {
		return failure(engine.DMEUnreachable, "The record system is not connected and has sent nothing for more than %s.", c.cfg.Quiet)
	}
	return nil
}

// open says whether the record system should be heard at a time: not before Quiet of the opening hours
// has passed.
func (c *Connector) open(now time.Time) bool {
	if c.cfg.Open == (engine.Hours{}) {
		return true
	}
	local := now.In(c.cfg.Zone)
	minute := local.Hour()*60 + local.Minute()
	return minute >= c.cfg.Open.From+int(c.cfg.Quiet.Minutes()) && minute < c.cfg.Open.Until
}

func failure(f engine.DMEFault, format string, args ...any) *engine.DMEFailure {
	return &engine.DMEFailure{Fault: f, Detail: fmt.Sprintf(format, args...)}
}
