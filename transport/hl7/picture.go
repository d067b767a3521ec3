package hl7

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"relais/engine"
)

// maxAppointments bounds a picture: years of a large clinic.
const maxAppointments = 200_000

// keepPast is how long what is over stays in a picture.
const keepPast = 24 * time.Hour

// appointment is a visit as messages told it.
type appointment struct {
	Source  string           `json:"source"`
	Placer  string           `json:"placer,omitempty"`
	Filler  string           `json:"filler,omitempty"`
	Booking engine.BookingID `json:"booking,omitempty"`
	At      time.Time        `json:"at"` // of the newest message
	Live    bool             `json:"live"`
	Lines   []line           `json:"lines,omitempty"`
	Seq     uint64           `json:"seq"`
}

// slot is an interval that a visit took at some time.
type slot struct {
	line
	Status engine.SlotStatus `json:"status"`
	Seq    uint64            `json:"seq"`
	Was    uint64            `json:"was,omitempty"`   // its number before it was freed
	Freed  bool              `json:"freed,omitempty"` // free because a visit ended, and not because time was unblocked
	Shut   bool              `json:"shut,omitempty"`  // not to be booked until a message says more: a no-show, a refusal
	At     time.Time         `json:"at"`              // of the message that changed it
}

func (s *slot) source() string { return sourceOf(s.line) }

// sourceOf names a slot: the same time of the same person at the same place always has the same name.
func sourceOf(l line) string {
	const layout = "20060102T150405Z"
	return strings.Join([]string{
		url.QueryEscape(string(l.Person)), url.QueryEscape(string(l.Place)),
		l.Start.UTC().Format(layout), l.End.UTC().Format(layout),
	}, "|")
}

// picture is what the messages of one clinic came to. It is not safe for concurrent use.
//
// Every change has a number, and a slot or appointment carries that of its last one: a look for
// changes asks for what has a greater number than it knows.
type picture struct {
	seq     uint64
	appts   map[string]*appointment // by source
	ids     map[string]string       // "p"+placer or "f"+filler -> source
	slots   map[string]*slot        // by source
	people  map[engine.PractitionerID]map[string]*slot
	visits  map[engine.PractitionerID]map[string]*appointment // live
	blocks  map[engine.PractitionerID]*blocks
	seen    seen
	changed map[string]any // records to be saved, by ID; nil is a deletion
}

func newPicture() *picture {
	return &picture{
		appts: map[string]*appointment{}, ids: map[string]string{}, slots: map[string]*slot{},
		people: map[engine.PractitionerID]map[string]*slot{},
		visits: map[engine.PractitionerID]map[string]*appointment{},
		blocks: map[engine.PractitionerID]*blocks{}, seen: newSeen(), changed: map[string]any{},
	}
}

// digest keeps identifiers of record systems out of the keys of records.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func (p *picture) keepAppointment(a *appointment) { p.changed["a"+digest(a.Source)] = a }
func (p *picture) keepSlot(s *slot)               { p.changed["s"+digest(s.source())] = s }

// records takes what is to be saved.
func (p *picture) records() ([]Record, error) {
	var out []Record
	for id, v := range p.changed {
		r := Record{ID: id}
		if v != nil {
			data, err := json.Marshal(v)
			if err != nil {
				return nil, fmt.Errorf("write a record of the picture: %w", err)
			}
			r.Data = data
		}
		out = append(out, r)
	}
	clear(p.changed)
	return out, nil
}

// load takes a record in.
func (p *picture) load(r Record) error {
	var err error
	switch {
	case strings.HasPrefix(r.ID, "a"):
		a := &appointment{}
		if err = json.Unmarshal(r.Data, a); err == nil {
			p.put(a)
			p.seq = max(p.seq, a.Seq)
		}
	case strings.HasPrefix(r.ID, "s"):
		s := &slot{}
		if err = json.Unmarshal(r.Data, s); err == nil {
			p.putSlot(s)
			p.seq = max(p.seq, s.Seq)
		}
	case strings.HasPrefix(r.ID, "b"):
		b := &blocks{}
		if err = json.Unmarshal(r.Data, b); err == nil {
			p.blocks[b.Person] = b
		}
	case strings.HasPrefix(r.ID, "d"):
		err = p.seen.load(r)
	}
	if err != nil {
		return fmt.Errorf("read a record of the picture: %w", err)
	}
	return nil
}

func (p *picture) put(a *appointment) {
	p.appts[a.Source] = a
	if a.Placer != "" {
		p.ids["p"+a.Placer] = a.Source
	}
	if a.Filler != "" {
		p.ids["f"+a.Filler] = a.Source
	}
	if a.Live {
		for _, l := range a.Lines {
			if p.visits[l.Person] == nil {
				p.visits[l.Person] = map[string]*appointment{}
			}
			p.visits[l.Person][a.Source] = a
		}
	}
}

// take removes an appointment from the indexes that a change of it makes wrong.
func (p *picture) take(a *appointment) {
	for _, l := range a.Lines {
		delete(p.visits[l.Person], a.Source)
	}
}

func (p *picture) putSlot(s *slot) {
	p.slots[s.source()] = s
	if p.people[s.Person] == nil {
		p.people[s.Person] = map[string]*slot{}
	}
	p.people[s.Person][s.source()] = s
}

// find returns the appointment that an event is about, nil when it is not known. The filler's own
// identifier is the stronger one.
func (p *picture) find(e event) *appointment {
	for _, id := range []string{"f" + e.filler, "p" + e.placer} {
		if a := p.appts[p.ids[id]]; len(id) > 1 && a != nil {
			return a
		}
	}
	return nil
}

// errFull says that a picture is full.
var errFull = fmt.Errorf("more than %d appointments are known; nothing more is taken", maxAppointments) //nolint:gochecknoglobals // a sentinel

// apply takes an event in. When a newer message of the same visit was taken before, nothing changes.
func (p *picture) apply(e event) error {
	if e.trigger == "S23" || e.trigger == "S24" {
		p.block(e)
		return nil
	}
	a := p.find(e)
	if a != nil && e.at.Before(a.At) {
		return nil
	}
	known := a != nil
	if !known {
		if len(e.lines) == 0 {
			return nil // nobody here is concerned
		}
		if len(p.appts) >= maxAppointments {
			return errFull
		}
		a = &appointment{Source: "placer/" + e.placer}
		if e.filler != "" {
			a.Source = "filler/" + e.filler
		}
	}
	before := slices.Clone(a.Lines)
	p.take(a)
	p.change(a, e, known)
	p.seq++
	a.Seq, a.At = p.seq, e.at
	p.put(a)
	p.keepAppointment(a)
	touched := append(before, a.Lines...)
	for _, l := range touched {
		p.slot(l, e.at)
	}
	for _, l := range touched {
		// A no-show is over, whatever its time says: that slot is nobody's to offer.
		p.settle(l, e.at, e.trigger == "S26")
	}
	return nil
}

// change makes an appointment what an event says it is.
func (p *picture) change(a *appointment, e event, known bool) {
	if e.placer != "" {
		a.Placer = e.placer
	}
	if e.filler != "" {
		a.Filler = e.filler
	}
	if e.booking != "" {
		a.Booking = e.booking
	}
	stays := slices.DeleteFunc(slices.Clone(e.lines), func(l line) bool { return l.off })
	switch e.trigger {
	case "S15", "S16", "S17", "S26":
		a.Live = false
		if !known {
			a.Lines = e.lines
		}
	case "S18":
		a.Live = true
		for _, l := range stays {
			if !slices.ContainsFunc(a.Lines, l.overlaps) {
				a.Lines = append(a.Lines, l)
			}
		}
	case "S20", "S21", "S22":
		if !known {
			a.Lines, a.Live = e.lines, false // what it frees was not known; what is left is not told
			return
		}
		marked := slices.ContainsFunc(e.named, func(o line) bool { return o.off })
		a.Lines = slices.DeleteFunc(slices.Clone(a.Lines), func(l line) bool {
			return slices.ContainsFunc(e.named, func(o line) bool { return o.Person == l.Person && o.off == marked })
		})
	default: // S12, S13, S14, S19: the visit as it is now
		a.Live = true
		// One that says nothing of when and who leaves that as it was.
		if len(e.named)+len(e.lines) > 0 || !known {
			a.Lines = stays
		}
	}
}

// slot makes sure that the interval of a line is known.
func (p *picture) slot(l line, at time.Time) {
	if p.slots[sourceOf(l)] != nil {
		return
	}
	l.off = false
	// Before the message that made it known it was taken, or nobody would have told us of it.
	s := &slot{line: l, Status: engine.SlotBusy, At: at}
	p.putSlot(s)
	p.seq++
	s.Seq = p.seq
	p.keepSlot(s)
	for _, a := range p.visits[l.Person] { // they occupy one slot more than we said
		if slices.ContainsFunc(a.Lines, l.overlaps) {
			p.seq++
			a.Seq = p.seq
			p.keepAppointment(a)
		}
	}
}

// settle decides anew about every slot that a line touches.
func (p *picture) settle(l line, at time.Time, shut bool) {
	// The slot of the line itself comes first: of slots that overlap only one can be free.
	var list []*slot
	for source, s := range p.people[l.Person] {
		if s.overlaps(l) {
			list = append(list, s)
			if source == sourceOf(l) {
				list[0], list[len(list)-1] = list[len(list)-1], list[0]
			}
		}
	}
	for _, s := range list {
		status := p.status(s)
		if shut && status == engine.SlotFree {
			s.Shut, status = true, engine.SlotBlocked
			p.keepSlot(s)
		}
		if status == engine.SlotBusy && s.Shut {
			s.Shut = false
			p.keepSlot(s)
		}
		if status == s.Status {
			continue
		}
		was := s.Seq
		// What a freed slot shows for a moment before is of the number between the two.
		p.seq += 2
		s.Freed = status == engine.SlotFree && s.Status == engine.SlotBusy
		s.Was, s.Seq, s.Status, s.At = was, p.seq, status, at
		p.keepSlot(s)
	}
}

func (p *picture) status(s *slot) engine.SlotStatus {
	for _, a := range p.visits[s.Person] {
		if slices.ContainsFunc(a.Lines, s.overlaps) {
			return engine.SlotBusy
		}
	}
	if b := p.blocks[s.Person]; b != nil {
		for _, t := range b.Spans {
			if t.Start.Before(s.End) && s.Start.Before(t.End) {
				return engine.SlotBlocked
			}
		}
	}
	if s.Shut {
		return engine.SlotBlocked
	}
	for _, o := range p.people[s.Person] {
		if o != s && o.Status == engine.SlotFree && o.overlaps(s.line) {
			return engine.SlotGone // another one stands for this time
		}
	}
	return engine.SlotFree
}

// shut takes a slot out of what may be booked until a message says more of it.
func (p *picture) shut(source string, at time.Time) {
	if s := p.slots[source]; s != nil && s.Status == engine.SlotFree {
		p.settle(s.line, at, true)
	}
}

// prune forgets what is over, at most n records of it.
func (p *picture) prune(now time.Time, n int) {
	past := now.Add(-keepPast)
	for source, s := range p.slots {
		if s.End.Before(past) && n > 0 {
			n--
			delete(p.slots, source)
			delete(p.people[s.Person], source)
			p.changed["s"+digest(source)] = nil
		}
	}
	for source, a := range p.appts {
		if n <= 0 {
			return
		}
		if slices.ContainsFunc(a.Lines, func(l line) bool { return !l.End.Before(past) }) || !a.At.Before(past) {
			continue
		}
		n--
		p.take(a)
		delete(p.appts, source)
		for _, id := range []string{"p" + a.Placer, "f" + a.Filler} {
			if p.ids[id] == source {
				delete(p.ids, id)
			}
		}
		p.changed["a"+digest(source)] = nil
	}
}
