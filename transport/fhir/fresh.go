package fhir

import (
	"context"
	"time"
)

// A record system may answer from a copy that lags behind what was just written to it. What was
// seen once is remembered, so that an older state is not taken for news.

// seenFor is how long an older state counts as stale; after that it may be a restored backup.
const seenFor = 2 * time.Minute

// maxSeen bounds the resources that are remembered.
const maxSeen = 50_000

// patience is how long we wait, time after time, for a copy to catch up.
var patience = [...]time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

type sight struct{ updated, at time.Time }

// note remembers the state of a resource and says whether it is older than one seen before.
func (c *Client) note(source string, updated time.Time) (stale bool) {
	if updated.IsZero() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	before, ok := c.seen[source]
	if ok && updated.Before(before.updated) && now.Sub(before.at) < seenFor {
		return true
	}
	if !ok && len(c.seen) >= maxSeen {
		clear(c.seen)
	}
	if ok && updated.Equal(before.updated) {
		return false // at stays when this state was first seen
	}
	c.late = c.late || ok && updated.Before(c.promised)
	c.seen[source] = sight{updated, now}
	return false
}

// pause waits for the n-th time; false when patience or ctx is over.
func pause(ctx context.Context, n int) bool {
	if n >= len(patience) {
		return false
	}
	t := time.NewTimer(patience[n])
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
