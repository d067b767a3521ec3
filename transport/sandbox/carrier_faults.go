package sandbox

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"relais/engine"
)

// LineKind is what hangs at the end of a telephone number.
type LineKind string

// The lines. Gone and Landline are known to the carrier by number, as they are to a real one.
const (
	LinePerson   LineKind = ""         // a phone in somebody's hand: they read texts and pick up when they like
	LineGone     LineKind = "gone"     // no such number: refused with 21211
	LineLandline LineKind = "landline" // takes no texts: accepted, then undelivered with 30006; calls ring
	LineFiltered LineKind = "filtered" // its network drops our texts: undelivered with 30007; calls ring
	LineOff      LineKind = "off"      // texts: undelivered with 30003; calls: no answer
	LineMachine  LineKind = "machine"  // texts arrive; calls are taken by voicemail (machine_end_beep)
	LineSilent   LineKind = "silent"   // the same, a voicemail without a beep (machine_end_silence)
	LineFax      LineKind = "fax"      // the same, a fax machine
	LineUnsure   LineKind = "unsure"   // a person whom the carrier does not recognise as one (unknown)
)

var lines = []LineKind{
	LinePerson, LineGone, LineLandline, LineFiltered, LineOff, LineMachine, LineSilent, LineFax, LineUnsure,
}

// Outage is how a whole account fails.
type Outage string

// The outages.
const (
	NoOutage      Outage = ""
	OutRefused    Outage = "unavailable"  // 503: certainly not taken
	OutErrors     Outage = "errors"       // 500: nobody knows
	OutSilent     Outage = "silent"       // takes the request and never answers; nothing is sent
	OutSuspended  Outage = "unauthorized" // 401 with 20003, as for a closed account
	OutOverloaded Outage = "overloaded"   // 429 with Retry-After 1
)

var outages = []Outage{NoOutage, OutRefused, OutErrors, OutSilent, OutSuspended, OutOverloaded}

// Chaos is how badly a carrier works; the zero value works well. Shares are from 0 to 1. What
// happens to a message depends only on the seed, its number and its callback address, which holds
// the attempt: the same run goes wrong in the same places, whatever the order.
type Chaos struct {
	Outage Outage

	// Of requests.
	Refused float64 // 429 or 503 before anything happened: trying again works
	Timeout float64 // taken, and the connection ends without an answer

	// Of what was taken.
	Undelivered float64 // texts: 30003; calls: failed
	Lost        float64 // the last callback never comes
	Doubled     float64 // every callback comes twice
	Reordered   float64 // the last callback comes before the others

	// Lines is which share of all numbers is such a line; numbers set with SetLine are not counted.
	Lines map[LineKind]float64
}

// SetChaos changes how badly the carrier works, from the next request on. It is beside SetFaults,
// which the demo's page uses.
func (c *CarrierServer) SetChaos(x Chaos) error {
	total := 0.0
	for line, share := range x.Lines {
		if !slices.Contains(lines, line) {
			return engine.Errorf(engine.Invalid, "There is no such line.")
		}
		total += share
	}
	for _, share := range []float64{x.Refused, x.Timeout, x.Undelivered, x.Lost, x.Doubled, x.Reordered, total} {
		if !(share >= 0 && share <= 1) {
			return engine.Errorf(engine.Invalid, "A share is from 0 to 1, and those of the lines are 1 at most together.")
		}
	}
	if !slices.Contains(outages, x.Outage) {
		return engine.Errorf(engine.Invalid, "There is no such outage.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chaos = x
	return nil
}

// SetLine says what hangs at a number.
func (c *CarrierServer) SetLine(phone string, l LineKind) error {
	if !slices.Contains(lines, l) {
		return engine.Errorf(engine.Invalid, "There is no such line.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines[phone] = l
	return nil
}

// Line returns what hangs at a number.
func (c *CarrierServer) Line(phone string) LineKind { return c.line(phone) }

// line returns what hangs at a number; c.mu is not held.
func (c *CarrierServer) line(phone string) LineKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.lines[phone]; ok {
		return l
	}
	drawn := c.draw("line", phone).Float64()
	for _, l := range lines { // in this order, so that the draw means the same each time
		if drawn -= c.chaos.Lines[l]; drawn < 0 {
			return l
		}
	}
	return LinePerson
}

// draw makes the dice of one thing.
func (c *CarrierServer) draw(what, key string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what + "\x00" + key))
	return rand.New(rand.NewPCG(c.cfg.Seed, h.Sum64())) //nolint:gosec // repeatable on purpose
}

// fate is what happens to one message or call.
type fate struct {
	refused, timeout, undelivered, lost, doubled, reordered bool
}

// fate draws what happens to the message or call with that number and callback.
func (c *CarrierServer) fate(to, callback string) fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, x := c.draw("fate", to+"\x00"+callback), c.chaos
	happens := func(share float64) bool { return d.Float64() < share }
	return fate{
		refused: happens(x.Refused), timeout: happens(x.Timeout), undelivered: happens(x.Undelivered),
		lost: happens(x.Lost), doubled: happens(x.Doubled), reordered: happens(x.Reordered),
	}
}
