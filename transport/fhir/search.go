package fhir

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"relais/engine"
)

// found is everything that a search matched.
type found struct {
	list   []resource
	newest time.Time // the latest meta.lastUpdated
	date   time.Time // the server's clock when the search began, zero when it does not say
	skew   time.Duration
}

// search follows every page. A resource that comes twice, because it changed between two pages,
// counts once, as it came last.
func (c *Client) search(ctx context.Context, typ string, q url.Values) (found, error) {
	if q == nil {
		q = url.Values{}
	}
	q.Set("_count", strconv.Itoa(c.cfg.PageSize))
	var out found
	place := map[string]int{}
	at := call{method: http.MethodGet, path: typ, query: q}
	been := map[string]bool{}
	for page := 0; ; page++ {
		if page == maxPages {
			return found{}, failure(engine.DMEMalformed, "A search of the record system has more than %d pages.", maxPages)
		}
		r, err := c.do(ctx, at)
		if err != nil {
			return found{}, err
		}
		if r.status >= 300 {
			return found{}, failure(engine.DMEMalformed, "The record system does not know %s (%d); is the base URL right?", typ, r.status)
		}
		b, err := readBundle(r.body, "searchset")
		if err != nil {
			return found{}, err
		}
		if page == 0 {
			out.date, out.skew = r.date, r.skew
		}
		if err := out.take(b, typ, place); err != nil {
			return found{}, err
		}
		next := nextLink(b)
		if next == "" {
			// A page that lost its "next" would make everything after it look deleted.
			if b.Total != nil && len(out.list) < *b.Total {
				return found{}, failure(engine.DMEMalformed, "The record system announced %d matches and sent %d.", *b.Total, len(out.list))
			}
			return out, nil
		}
		if been[next] {
			return found{}, failure(engine.DMEMalformed, "The pages of a search of the record system go round in a circle.")
		}
		been[next] = true
		if at, err = c.follow(next); err != nil {
			return found{}, err
		}
	}
}

func (f *found) take(b bundle, typ string, place map[string]int) error {
	for _, e := range b.Entry {
		if e.Search != nil && e.Search.Mode == "outcome" {
			continue
		}
		r, err := readFound(e.Resource, typ)
		if err != nil {
			return err
		}
		if r.Type != typ {
			continue // included besides what was asked for
		}
		if r.ID == "" {
			return failure(engine.DMEMalformed, "A %s of the record system has no id.", typ)
		}
		if i, ok := place[r.ID]; ok {
			f.list[i] = r
		} else {
			place[r.ID] = len(f.list)
			f.list = append(f.list, r)
		}
		if r.Meta.LastUpdated.After(f.newest) {
			f.newest = r.Meta.LastUpdated
		}
	}
	return nil
}

func nextLink(b bundle) string {
	for _, l := range b.Link {
		if l.Relation == "next" {
			return l.URL
		}
	}
	return ""
}

// follow makes the request for a next page. It carries the token, so it never leaves the server.
func (c *Client) follow(next string) (call, error) {
	u, err := url.Parse(next)
	if err != nil {
		return call{}, failure(engine.DMEMalformed, "The address of a next page cannot be read.")
	}
	if !u.IsAbs() {
		u = c.base.JoinPath("/").ResolveReference(u)
	}
	if !c.sameOrigin(u.String()) {
		return call{}, failure(engine.DMEMalformed, "The address of a next page leads to another server.")
	}
	return call{method: http.MethodGet, path: u.String()}, nil
}

// looked turns a refusal into a fault of the record system: a look that is refused is no answer
// about the schedule, and nothing may be sent on the strength of it.
func looked(err error) error {
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok && (f.Fault == engine.DMERejected || f.Fault == engine.DMEConflict) {
		return failure(engine.DMEMalformed, "The record system refuses to be read: %s", strings.TrimSpace(f.Detail))
	}
	return err
}
