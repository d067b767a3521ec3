package sandbox

import (
	"maps"
	"net/http"
)

// Manner is how a clinic's record system differs from a whole FHIR server that takes a bearer
// token. The zero Manner does not differ. It is not kept across restarts.
type Manner struct {
	SignIn             SignIn
	NoTransactions     bool // a transaction Bundle is refused, and not declared
	NoVersions         bool // resources carry no versionId and no ETag
	IgnoresIfMatch     bool
	IgnoresLastUpdated bool // a search by _lastUpdated finds everything
	NoSubscriptions    bool
	History            bool     // the history of a type can be read, with what was deleted
	Topics             []string // topics of the R5 Backport that can be subscribed to
	StaleReads         int      // so many reads after a write are answered from a copy without it
}

// SetManner changes how a clinic's record system behaves.
func (d *DME) SetManner(clinicID string, m Manner) error {
	c, ok := d.clinic(clinicID)
	if !ok {
		return fail(http.StatusNotFound, "not-found", "There is no such clinic.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manner, c.before, c.stale = m, nil, 0
	return nil
}

// outdate remembers what a write replaces, for the reads that are to come from a copy without it.
// The caller holds c.mu.
func (c *clinic) outdate(keys []string, now map[string]*doc) {
	if c.manner.StaleReads == 0 {
		return
	}
	if c.before == nil {
		c.before = map[string]*doc{}
	}
	for _, key := range keys {
		if _, ok := c.before[key]; !ok {
			c.before[key] = c.docs[now[key].Type][now[key].ID] // nil: there was none
		}
	}
	c.stale = c.manner.StaleReads
}

// copy returns what a read is answered from: the clinic itself, or its state before the last writes.
func (c *clinic) copy() *clinic {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stale == 0 {
		c.before = nil
		return c
	}
	c.stale--
	old := newClinic(c.id)
	for typ, docs := range c.docs {
		old.docs[typ] = maps.Clone(docs)
	}
	for key, x := range c.before {
		typ, id := splitKey(key)
		if x == nil {
			delete(old.docs[typ], id)
		} else {
			old.docs[typ][id] = x
		}
	}
	return old
}
