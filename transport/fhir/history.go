package fhir

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"relais/engine"
)

// A server that keeps a history by type shows in it what was deleted, which no search does.

const (
	// historyEvery is how often what was deleted is asked for.
	historyEvery = 4 * time.Second
	// historyPages bounds one reading of a history; what changed more than that is read as a whole.
	historyPages = 5
	// mostGone is how many deletions at once are taken at their word. More of them may be a schedule that
	// was lost, and only a complete look can tell.
	mostGone = 10
)

// tombstone is a resource that was deleted.
type tombstone struct {
	source, version string
	at              time.Time
}

// remembers tries whether the history of a type can be read from a time on: nothing was written in the far
// future.
func (c *Client) remembers(ctx context.Context) (bool, error) {
	for _, typ := range historyTypes {
		r, err := c.do(ctx, call{method: http.MethodGet, path: typ + "/_history", query: url.Values{
			"_since": {stamp(c.cfg.Now().AddDate(50, 0, 0))}, "_count": {"1"},
		}})
		switch fault(err) { //nolint:exhaustive // the rest says that there is none for us
		case "":
		case engine.DMEUnreachable, engine.DMEBusy:
			return false, err
		default:
			return false, nil
		}
		b, err := readBundle(r.body, "history")
		if r.status >= 300 || err != nil || len(b.Entry) > 0 {
			return false, nil //nolint:nilerr // it is no history that we can read
		}
	}
	return true, nil
}

var historyTypes = [...]string{"Slot", "Appointment"}

// deletions adds what was deleted lately to what a look for changes showed. It asks the server whether each is
// gone indeed. When there are too many, the next look is at everything.
func (c *Client) deletions(ctx context.Context, from time.Time, obs *engine.Observation) error {
	now := c.cfg.Now()
	c.mu.Lock()
	known, since := c.known, c.histories
	due := known != nil && known.history && now.Sub(c.historyAt) >= historyEvery
	c.mu.Unlock()
	if !due {
		return nil
	}
	if since.IsZero() {
		since = from
	}
	var fresh []tombstone
	next := since
	for i, typ := range historyTypes {
		list, date, whole, err := c.history(ctx, typ, since)
		switch fault(err) {
		case "":
		case engine.DMEUnreachable, engine.DMEBusy, engine.DMEError:
			return err
		case engine.DMESignIn, engine.DMEMalformed, engine.DMERejected, engine.DMEConflict:
			c.change(func(a *abilities) { a.history = false }) // complete looks do without it
			c.Missed()
			return nil
		}
		if !whole {
			c.Missed()
		}
		if mark := date.Add(-settled); i == 0 && mark.After(since) {
			next = mark
		}
		fresh = append(fresh, list...)
	}
	c.mu.Lock()
	c.historyAt, c.histories = now, next
	if len(c.tombs) > maxSeen {
		clear(c.tombs)
	}
	fresh = slices.DeleteFunc(fresh, func(t tombstone) bool {
		was, ok := c.tombs[t.source]
		c.tombs[t.source] = t.version
		return ok && was == t.version
	})
	c.mu.Unlock()
	if len(fresh) > mostGone {
		c.Missed()
		return nil
	}
	for _, t := range fresh {
		_, there, err := c.read(ctx, t.source)
		if err != nil {
			c.Missed() // it counts as seen here
			return looked(err)
		}
		switch {
		case there:
		case strings.HasPrefix(t.source, "Slot/"):
			obs.Slots = append(obs.Slots, engine.SlotFact{Source: t.source, Version: t.version, Status: engine.SlotGone, Changed: t.at})
		default:
			obs.Appointments = append(obs.Appointments, engine.AppointmentFact{Source: t.source, Version: t.version, Gone: true})
		}
	}
	return nil
}

// history lists what was deleted of a type since a time and not made again. Whole is false when there is more
// than is read.
func (c *Client) history(ctx context.Context, typ string, since time.Time) (gone []tombstone, date time.Time, whole bool, err error) {
	at := call{method: http.MethodGet, path: typ + "/_history", query: url.Values{"_since": {stamp(since)}}}
	newest := map[string]bool{} // those whose newest entry was read: a history begins with it
	for page := range historyPages {
		r, err := c.do(ctx, at)
		if err != nil {
			return nil, date, false, err
		}
		if r.status >= 300 {
			return nil, date, false, failure(engine.DMERejected, "The history of %s is not there any more (%d).", typ, r.status)
		}
		b, err := readBundle(r.body, "history")
		if err != nil {
			return nil, date, false, err
		}
		if page == 0 {
			date = r.date
		}
		for _, e := range b.Entry {
			source := c.entrySource(e, typ)
			if source == "" || newest[source] {
				continue
			}
			newest[source] = true
			if e.Request != nil && e.Request.Method == http.MethodDelete {
				gone = append(gone, tombstone{source, entryVersion(e), entryTime(e)})
			}
		}
		next := nextLink(b)
		if next == "" {
			return gone, date, true, nil
		}
		if at, err = c.follow(next); err != nil {
			return nil, date, false, err
		}
	}
	return gone, date, false, nil
}

// entrySource is the resource that an entry of a history is about, or "".
func (c *Client) entrySource(e entry, typ string) string {
	addresses := []string{e.FullURL}
	if e.Request != nil {
		addresses = append(addresses, e.Request.URL)
	}
	for _, address := range addresses {
		if source := c.source(address); strings.HasPrefix(source, typ+"/") && isSource(source) {
			return source
		}
	}
	if r, err := readResource(e.Resource); err == nil && r.Type == typ && isSource(r.source()) {
		return r.source()
	}
	return ""
}

// entryVersion is the version that a deletion made, or "" when the server does not say.
func entryVersion(e entry) string {
	if e.Response == nil {
		return ""
	}
	return strings.Trim(strings.TrimPrefix(e.Response.ETag, "W/"), `"`)
}

func entryTime(e entry) time.Time {
	if e.Response == nil {
		return time.Time{}
	}
	return instant(e.Response.LastModified)
}
