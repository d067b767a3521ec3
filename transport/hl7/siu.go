package hl7

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"relais/engine"
)

// Limits of one visit.
const (
	maxVisit = 24 * time.Hour
	maxLines = 50 // resources of one appointment
	maxID    = 64 // bytes in an identifier of a person or place
)

// triggers are the events of SIU that are taken. HL7 2.5.1, 10.4.
//
//	S12 booked, S13 rescheduled, S14 modified, S15 cancelled, S16 discontinued, S17 deleted,
//	S18 and S19 a resource added or modified, S20 to S22 a resource cancelled, discontinued, deleted,
//	S23 time blocked, S24 time unblocked, S26 the patient did not come
func isTrigger(s string) bool {
	return len(s) == 3 && "S12" <= s && s <= "S26" && s != "S25"
}

// event is what a message says about the schedule.
type event struct {
	trigger string
	placer  string // SCH-1
	filler  string // SCH-2
	at      time.Time
	lines   []line           // the people of the clinic whose time it takes, and when
	named   []line           // everybody whom it names, also without a time
	booking engine.BookingID // ours: the placer is one of our bookings
}

// line is the time that a visit takes of one person at one place.
type line struct {
	Person engine.PractitionerID `json:"person"`
	Place  engine.PlaceID        `json:"place,omitempty"`
	Start  time.Time             `json:"start"`
	End    time.Time             `json:"end"`
	off    bool                  // the message takes this resource off the visit
}

func (l line) overlaps(o line) bool {
	return l.Person == o.Person && l.Start.Before(o.End) && o.Start.Before(l.End)
}

// reader turns messages of one clinic into events.
type reader struct {
	zone          *time.Location
	practitioners map[string]engine.PractitionerID // theirs to ours
	places        map[string]engine.PlaceID
	onlyPlace     engine.PlaceID
	visit         time.Duration // of a message that does not say how long
}

// event reads a SIU message. An error is a sentence for its sender.
func (r reader) event(m Message, arrived time.Time) (event, error) {
	head := m.First("MSH")
	e := event{trigger: m.trigger(), at: sentTime(m.Field(head, 7).Text(1), r.zone, arrived)}
	sch := m.First("SCH")
	if sch == nil {
		return e, errors.New("the message has no SCH segment")
	}
	e.placer, e.filler = entity(m.Field(sch, 1)), entity(m.Field(sch, 2))
	block := e.trigger == "S23" || e.trigger == "S24"
	if e.placer == "" && e.filler == "" && !block {
		return e, errors.New("SCH-1 and SCH-2 are both empty; one must name the appointment")
	}
	if len(e.placer) > 4*maxID || len(e.filler) > 4*maxID {
		return e, fmt.Errorf("SCH-1 or SCH-2 is longer than %d bytes", 4*maxID)
	}
	e.booking = bookingOf(m.Field(sch, 1))
	var err error
	if e.named, err = r.lines(m, sch, ends(e.trigger)); err == nil {
		e.lines = slices.DeleteFunc(slices.Clone(e.named), func(l line) bool { return l.Person == "" || l.Start.IsZero() })
	}
	return e, err
}

// ends says whether a trigger ends the visit, so that its message need not say when it is.
func ends(trigger string) bool {
	switch trigger {
	case "S15", "S16", "S17", "S20", "S21", "S22", "S26":
		return true
	}
	return false
}

// trigger is MSH-9.2, or what MSH-9.3 says.
func (m Message) trigger() string {
	f := m.Field(m.First("MSH"), 9)
	if t := f.Text(2); t != "" {
		return t
	}
	_, t, _ := strings.Cut(f.Text(3), "_")
	return t
}

// entity writes an entity identifier (EI) as one text: what is not empty of its value and who gave it.
func entity(f Field) string {
	value := f.Text(1)
	if value == "" {
		return ""
	}
	if by := f.Text(2); by != "" {
		value += "^" + by
	}
	return value
}

// group is what stands between two RGS segments, or all of a message without any.
type group struct {
	start, end time.Time
	length     time.Duration
	place      engine.PlaceID
	people     []line
}

// lines finds who is taken for how long. Where a message contradicts itself the nearer word wins: the
// person's own time, then the service's, then that of the whole visit.
func (r reader) lines(m Message, sch Segment, optional bool) ([]line, error) {
	whole, err := r.visitTime(m, sch)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"AIP", "AIG", "PV1"} {
		lines, err := r.people(m, whole, name)
		if err != nil {
			return nil, err
		}
		if len(lines) == 0 {
			continue
		}
		if len(lines) > maxLines {
			return nil, fmt.Errorf("the message names more than %d people", maxLines)
		}
		timed := slices.ContainsFunc(lines, func(l line) bool { return !l.Start.IsZero() })
		if !timed && !optional {
			return nil, errors.New("the message does not say when: SCH-11, TQ1-7, AIS-4 and AIP-6 are empty")
		}
		return lines, nil
	}
	return nil, nil
}

// visitTime is what SCH-11 or TQ1 say of the whole visit, and SCH-9 of its length.
func (r reader) visitTime(m Message, sch Segment) (group, error) {
	g := group{length: duration(m.Field(sch, 9).Text(1), m.Field(sch, 10).Text(1))}
	start, end, length := m.Field(sch, 11).Text(4), m.Field(sch, 11).Text(5), m.Field(sch, 11).Text(3)
	if tq := m.First("TQ1"); tq != nil && start == "" {
		start, end = m.Field(tq, 7).Text(1), m.Field(tq, 8).Text(1)
		length = m.Field(tq, 6).Text(1) + m.Field(tq, 6).Text(2)
	}
	if g.length == 0 && len(length) > 1 { // "M30", or "30M"
		if d := duration(length[1:], length[:1]); d > 0 {
			g.length = d
		} else if digits := strings.TrimRight(length, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"); digits != "" {
			g.length = duration(digits, length[len(digits):])
		}
	}
	var err error
	if g.start, err = r.time("SCH-11.4 or TQ1-7", start); err != nil {
		return g, err
	}
	g.end, err = r.time("SCH-11.5 or TQ1-8", end)
	return g, err
}

func (r reader) time(what, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := parseTime(s, r.zone)
	if err != nil {
		return t, fmt.Errorf("%s %w", what, err)
	}
	return t, nil
}

// resource says where a segment keeps its fields.
type resource struct{ id, start, length int }

func resourceOf(name string) resource {
	switch name {
	case "AIG":
		return resource{3, 8, 11}
	case "AIS":
		return resource{0, 4, 7}
	case "PV1":
		return resource{id: 7}
	}
	return resource{3, 6, 9} // AIP, AIL
}

// people finds the lines that segments of one name give.
func (r reader) people(m Message, whole group, name string) ([]line, error) {
	var out []line
	anywhere := r.anyPlace(m)
	g := whole
	flush := func() {
		for _, l := range g.people {
			if l.Start.IsZero() {
				l.Start = g.start
			}
			l.Place = g.place
			if l.Place == "" {
				l.Place = anywhere
			}
			out = append(out, r.close(l, g, whole))
		}
		g = whole
	}
	for _, s := range m.Segments {
		if s[0] == "RGS" {
			flush()
			continue
		}
		if s[0] != name && s[0] != "AIS" && s[0] != "AIL" {
			continue
		}
		at := resourceOf(s[0])
		var start time.Time
		var err error
		if at.start > 0 {
			if start, err = r.time(fmt.Sprintf("%s-%d", s[0], at.start), m.Field(s, at.start).Text(1)); err != nil {
				return nil, err
			}
		}
		length := time.Duration(0)
		if at.length > 0 {
			length = duration(m.Field(s, at.length).Text(1), m.Field(s, at.length+1).Text(1))
		}
		switch s[0] {
		case "AIS":
			if !start.IsZero() {
				g.start, g.end = start, time.Time{}
			}
			if length > 0 {
				g.length = length
			}
		case "AIL":
			g.place = r.place(m.Field(s, at.id))
		default:
			l := line{Person: r.person(m.Field(s, at.id)), Start: start, off: m.Field(s, 2).Text(1) == "D" && name != "PV1"}
			if length > 0 && !start.IsZero() {
				l.End = start.Add(length)
			} else if length > 0 {
				g.length, g.end = length, time.Time{}
			}
			g.people = append(g.people, l)
		}
	}
	flush()
	return out, nil
}

// close says when a line ends.
func (r reader) close(l line, g, whole group) line {
	length := g.length
	if length <= 0 {
		length = r.visit
	}
	switch {
	case l.Start.IsZero():
	case !l.End.IsZero():
	case l.Start.Equal(g.start) && g.end.After(g.start):
		l.End = g.end
	case l.Start.Equal(whole.start) && g.length == 0 && whole.end.After(l.Start):
		l.End = whole.end
	default:
		l.End = l.Start.Add(length)
	}
	if l.End.Sub(l.Start) > maxVisit {
		l.End = l.Start.Add(maxVisit)
	}
	return l
}

// person is our identifier of somebody, "" for somebody whose time Relais does not fill.
func (r reader) person(f Field) engine.PractitionerID { return r.practitioners[f.Text(1)] }

// place is our identifier of a place (PL): by its point of care, or its facility.
func (r reader) place(f Field) engine.PlaceID {
	for _, component := range []int{1, 4} {
		if p, ok := r.places[f.Text(component)]; ok && f.Text(component) != "" {
			return p
		}
	}
	return r.onlyPlace
}

func (r reader) anyPlace(m Message) engine.PlaceID {
	if s := m.First("AIL"); s != nil {
		return r.place(m.Field(s, 3))
	}
	if s := m.First("PV1"); s != nil {
		return r.place(m.Field(s, 3))
	}
	return r.onlyPlace
}

// bookingOf is the booking of ours that an entity identifier names.
func bookingOf(f Field) engine.BookingID {
	if id := f.Text(1); strings.HasPrefix(id, bookingPrefix) {
		return engine.BookingID(id)
	}
	return ""
}

// bookingPrefix begins every engine.BookingID.
const bookingPrefix = "relais-"
