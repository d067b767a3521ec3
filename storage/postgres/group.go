package postgres

import (
	"maps"
	"math"
	"slices"

	"relais/storage"
)

// group is what one transaction writes: the batches that go through, laid over each other.
type group struct {
	records map[recordKey]*recordState
	clinics map[string]*clinicState
	effects map[effectKey][]byte // nil: done
	events  []numbered
}

// recordState is a record before and after.
type recordState struct {
	before, now uint64 // versions; 0: there is none
	sealed      []byte
}

type clinicState struct{ before, now uint64 } // number of the newest event

type numbered struct {
	*eventOp
	seq uint64
}

// newGroup names everything that the batches touch; the versions come from the database.
func newGroup(jobs []*job) *group {
	g := &group{records: map[recordKey]*recordState{}, clinics: map[string]*clinicState{}, effects: map[effectKey][]byte{}}
	for _, j := range jobs {
		for i := range j.puts {
			if g.records[j.puts[i].key] == nil {
				g.records[j.puts[i].key] = &recordState{}
			}
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
		c := g.clinics[j.events[i].clinic]
		c.now++
		g.events = append(g.events, numbered{&j.events[i], c.now})
	}
	for _, e := range j.effects {
		g.effects[e.key] = e.sealed
	}
	return nil
}
