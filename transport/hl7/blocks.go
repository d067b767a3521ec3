package hl7

import (
	"time"

	"relais/engine"
)

// span is a blocked time of a person.
type span struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// blocks are the blocked times of a person.
type blocks struct {
	Person engine.PractitionerID `json:"person"`
	Spans  []span                `json:"spans"`
	At     time.Time             `json:"at"`
}

// maxSpans bounds the blocked times of a person that are kept.
const maxSpans = 2000

// block takes blocked and unblocked times in.
func (p *picture) block(e event) {
	for _, l := range e.lines {
		b := p.blocks[l.Person]
		if b == nil {
			b = &blocks{Person: l.Person}
			p.blocks[l.Person] = b
		}
		if e.at.Before(b.At) {
			continue
		}
		b.At = e.at
		b.Spans = without(b.Spans, span{l.Start, l.End}, e.at.Add(-keepPast))
		if e.trigger == "S23" && len(b.Spans) < maxSpans {
			b.Spans = append(b.Spans, span{l.Start, l.End})
		}
		p.changed["b"+digest(string(l.Person))] = b
		p.settle(l, e.at, false)
	}
}

// without takes a span out of others, and forgets those that are long over.
func without(list []span, gone span, past time.Time) []span {
	var out []span
	for _, s := range list {
		if s.End.Before(past) {
			continue
		}
		if !s.Start.Before(gone.End) || !gone.Start.Before(s.End) {
			out = append(out, s)
			continue
		}
		if s.Start.Before(gone.Start) {
			out = append(out, span{s.Start, gone.Start})
		}
		if gone.End.Before(s.End) {
			out = append(out, span{gone.End, s.End})
		}
	}
	return out
}
