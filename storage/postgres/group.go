package postgres

import (
	"maps"
	"math"
	"slices"

	"relais/storage"
	"relais/storage/seal"
)

// group is what one transaction writes: the batches that go through, laid over each other.
type group struct {
	records map[recordKey]*recordState
	clinics map[string]*clinicState
	effects map[effectKey][]byte // nil: done
	events  []numbered
	targets map[eventKey]bool   // events to redact that are there, as they were read
	redacts map[eventKey][]byte // sealed
	sealer  *seal.Sealer
}

// recordState is a record before and after.
type recordState struct {
	before, now uint64 // versions; 0: there is none
	sealed      []byte
}

// clinicState is a clinic's newest event.
type clinicState struct {
	before, now uint64
	hash        storage.Hash
}

type numbered struct {
	*eventOp

	seq  uint64
	hash storage.Hash
}

// newGroup names everything that the batches touch; the versions come from the database.
func newGroup(jobs []*job, sealer *seal.Sealer) *group {
	g := &group{
		records: map[recordKey]*recordState{}, clinics: map[string]*clinicState{}, effects: map[effectKey][]byte{},
		targets: map[eventKey]bool{}, redacts: map[eventKey][]byte{}, sealer: sealer,
	}
	for _, j := range jobs {
		for i := range j.puts {
			if g.records[j.puts[i].key] == nil {
				g.records[j.puts[i].key] = &recordState{}
			}
		}
		for i := range j.redacts {
			g.targets[j.redacts[i].key] = false
		}
		for i := range j.events {
			if g.clinics[j.events[i].clinic] == nil {
				g.clinics[j.events[i].clinic] = &clinicState{}
			}
		}
	}
	return g
}

// keys returns the records in the order in which every process locks them.
func (g *group) keys() []recordKey {
	return slices.SortedFunc(maps.Keys(g.records), recordKey.compare)
}

// apply lays a batch over what there is, or reports that it is stale and changes nothing.
func (g *group) apply(j *job) error {
	for i := range j.puts {
		p := &j.puts[i]
		if g.records[p.key].now != p.expect || p.expect >= math.MaxInt64 {
			return storage.ErrStale
		}
	}
	for i := range j.redacts {
		if !g.targets[j.redacts[i].key] {
			return storage.ErrStale
		}
	}
	for i := range j.puts {
		p := &j.puts[i]
		r := g.records[p.key]
		if r.sealed = p.sealed; p.sealed == nil {
			r.now = 0
		} else {
			r.now = p.expect + 1
		}
	}
	for i := range j.events {
		op := &j.events[i]
		c := g.clinics[op.clinic]
		c.now++
		e := op.event()
		e.Seq = c.now
		c.hash = storage.Chain(c.hash, &e, op.digest)
		g.events = append(g.events, numbered{op, c.now, c.hash})
	}
	for i := range j.redacts {
		g.redacts[j.redacts[i].key] = j.redacts[i].sealed
	}
	for _, e := range j.effects {
		g.effects[e.key] = e.sealed
	}
	return nil
}
