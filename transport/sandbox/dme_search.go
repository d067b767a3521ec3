package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Page sizes of a search.
const (
	defaultCount = 100
	maxCount     = 1000
)

type match func(*doc) bool

// criteria is a search that was understood.
type criteria struct {
	typ   string
	match []match
	sort  string // "_id", "start" or "_lastUpdated"; with "-" in front: backwards
	count int
	after string // the sort key of the last one of the page before
}

func (q *criteria) matches(x *doc) bool {
	if x.Type != q.typ || x.Deleted {
		return false
	}
	for _, m := range q.match {
		if !m(x) {
			return false
		}
	}
	return true
}

// parse understands a search, or says which part of it is not supported: what is silently ignored
// would hand out more than was asked for.
func parse(typ string, params url.Values) (*criteria, error) {
	q := &criteria{typ: typ, sort: "_id", count: defaultCount}
	for name, values := range params {
		for _, value := range values {
			if err := q.add(name, value); err != nil {
				return nil, err
			}
		}
	}
	return q, nil
}

// parseCriteria reads the criteria of a subscription: "Slot?status=free".
func parseCriteria(s string) (*criteria, error) {
	typ, query, _ := strings.Cut(s, "?")
	if !slices.Contains(kept, typ) {
		return nil, fail(http.StatusUnprocessableEntity, "not-supported", "The criteria must begin with a type that is kept here.")
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, fail(http.StatusUnprocessableEntity, "invalid", "The criteria cannot be read.")
	}
	return parse(typ, params)
}

func (q *criteria) add(name, value string) error {
	if value == "" && name != "_after" {
		return fail(http.StatusBadRequest, "invalid", "The search parameter %s is empty.", name)
	}
	oneOf := func(of func(*doc, string) bool) {
		options := strings.Split(value, ",")
		q.match = append(q.match, func(x *doc) bool {
			return slices.ContainsFunc(options, func(o string) bool { return of(x, o) })
		})
	}
	is := func(typ ...string) bool { return slices.Contains(typ, q.typ) }
	switch {
	case name == "_count":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fail(http.StatusBadRequest, "invalid", "_count must be a number above 0.")
		}
		q.count = min(n, maxCount)
	case name == "_sort":
		if !slices.Contains([]string{"_id", "_lastUpdated", "start", "date"}, strings.TrimPrefix(value, "-")) {
			return fail(http.StatusBadRequest, "not-supported", "Sorting is by _id, _lastUpdated, start or date.")
		}
		q.sort = value
	case name == "_total":
	case name == "_after":
		q.after = value
	case name == "_id":
		oneOf(func(x *doc, v string) bool { return x.ID == v })
	case name == "_lastUpdated":
		return q.addTime(value, func(x *doc) time.Time { return x.Updated })
	case name == "start" && is(typeSlot), name == "date" && is(typeAppointment):
		return q.addTime(value, func(x *doc) time.Time { return x.view.Start })
	case name == "status" && is(typeSlot, typeAppointment, typeSubscription):
		oneOf(func(x *doc, v string) bool { return x.view.Status == v })
	case name == "schedule" && is(typeSlot):
		oneOf(func(x *doc, v string) bool { return refers(x.view.Schedule, typeSchedule, v) })
	case name == "slot" && is(typeAppointment):
		oneOf(func(x *doc, v string) bool {
			return slices.ContainsFunc(x.view.Slot, func(r reference) bool { return refers(r, typeSlot, v) })
		})
	case name == "actor" && is(typeSchedule):
		oneOf(func(x *doc, v string) bool {
			return slices.ContainsFunc(x.view.Actor, func(r reference) bool { return r.Reference == v })
		})
	case (name == "patient" || name == "practitioner" || name == "location" || name == "actor") && is(typeAppointment):
		typ := map[string]string{"patient": typePatient, "practitioner": typePractitioner, "location": typeLocation}[name]
		oneOf(func(x *doc, v string) bool {
			return slices.ContainsFunc(x.view.Participant, func(a actor) bool { return refers(a.Actor, typ, v) })
		})
	case name == "identifier" && is(typeSlot, typeAppointment, typePatient, typePractitioner, typeLocation, typeSchedule):
		oneOf(func(x *doc, v string) bool {
			system, code, piped := strings.Cut(v, "|")
			return slices.ContainsFunc(x.view.Identifier, func(i identifier) bool {
				if !piped {
					return i.Value == v
				}
				return i.System == system && (code == "" || i.Value == code)
			})
		})
	case name == "birthdate" && is(typePatient):
		oneOf(func(x *doc, v string) bool { return x.view.BirthDate == v })
	case name == "family" && is(typePatient): // begins with, as R4 has it
		oneOf(func(x *doc, v string) bool {
			return slices.ContainsFunc(x.view.Name, func(n humanName) bool { return strings.HasPrefix(strings.ToLower(n.Family), strings.ToLower(v)) })
		})
	case name == "url" && is(typeSubscription):
		oneOf(func(x *doc, v string) bool { return x.view.Channel.Endpoint == v })
	case name == "criteria" && is(typeSubscription):
		q.match = append(q.match, func(x *doc) bool { return x.view.Criteria == value })
	default:
		return fail(http.StatusBadRequest, "not-supported", "The search parameter %s is not supported for %s.", name, q.typ)
	}
	return nil
}

func refers(r reference, typ, v string) bool {
	return r.Reference == v || typ != "" && r.Reference == typ+"/"+v
}

// addTime adds a comparison such as ge2026-11-24T14:00:00Z.
func (q *criteria) addTime(value string, of func(*doc) time.Time) error {
	op := "eq"
	if len(value) > 2 && value[0] >= 'a' && value[0] <= 'z' {
		op, value = value[:2], value[2:]
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, value); err != nil {
			return fail(http.StatusBadRequest, "invalid", "A time must be an instant with its zone, or a date.")
		}
	}
	tests := map[string]func(time.Time) bool{
		"ge": func(x time.Time) bool { return !x.Before(t) },
		"gt": func(x time.Time) bool { return x.After(t) },
		"le": func(x time.Time) bool { return !x.After(t) },
		"lt": func(x time.Time) bool { return x.Before(t) },
		"eq": func(x time.Time) bool { return x.Equal(t) },
	}
	test, ok := tests[op]
	if !ok {
		return fail(http.StatusBadRequest, "not-supported", "The time prefix %s is not supported.", op)
	}
	q.match = append(q.match, func(x *doc) bool { return test(of(x)) })
	return nil
}

// sortKey is where a document stands in the order of a search. It is unique, so a page can start
// right after the last one of the page before, whatever was written in between.
func (q *criteria) sortKey(x *doc) string {
	const layout = "2006-01-02T15:04:05.000000000"
	switch strings.TrimPrefix(q.sort, "-") {
	case "_lastUpdated":
		return x.Updated.UTC().Format(layout) + "|" + x.ID
	case "start", "date":
		return x.view.Start.UTC().Format(layout) + "|" + x.ID
	}
	return x.ID
}

// find runs a search: one page, how many match in all, and the key of the last one on the page
// when there are more.
func (c *clinic) find(q *criteria) (page []*doc, total int, next string) {
	type hit struct {
		key string
		doc *doc
	}
	back := strings.HasPrefix(q.sort, "-")
	order := func(a, b hit) int {
		if back {
			a, b = b, a
		}
		return cmp.Compare(a.key, b.key)
	}
	var hits []hit // what may be on the page, and the one after it; never much more
	full := false  // there are as many already, and the last of them is the last in order
	c.mu.RLock()
	for _, x := range c.docs[q.typ] {
		if !q.matches(x) {
			continue
		}
		total++
		h := hit{q.sortKey(x), x}
		if q.after != "" && order(h, hit{key: q.after}) <= 0 || full && order(h, hits[q.count]) >= 0 {
			continue
		}
		if hits = append(hits, h); len(hits) > 2*q.count+1 {
			slices.SortFunc(hits, order)
			hits, full = hits[:q.count+1], true
		}
	}
	c.mu.RUnlock()
	slices.SortFunc(hits, order)
	if len(hits) > q.count {
		hits = hits[:q.count]
		next = hits[len(hits)-1].key
	}
	for _, h := range hits {
		page = append(page, h.doc)
	}
	return page, total, next
}

type bundle struct {
	ResourceType string        `json:"resourceType"`
	Type         string        `json:"type"`
	Total        *int          `json:"total,omitempty"`
	Link         []bundleLink  `json:"link,omitempty"`
	Entry        []bundleEntry `json:"entry,omitempty"`
}

type bundleLink struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type bundleEntry struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
	Search   *searchMode     `json:"search,omitempty"`
	Request  *entryRequest   `json:"request,omitempty"`
	Response *entryResponse  `json:"response,omitempty"`
}

type searchMode struct {
	Mode string `json:"mode"`
}

type entryRequest struct {
	Method      string `json:"method"`
	URL         string `json:"url"`
	IfMatch     string `json:"ifMatch,omitempty"`
	IfNoneExist string `json:"ifNoneExist,omitempty"`
}

type entryResponse struct {
	Status       string     `json:"status"`
	Location     string     `json:"location,omitempty"`
	ETag         string     `json:"etag,omitempty"`
	LastModified *time.Time `json:"lastModified,omitempty"`
}

// searchset answers a search. An empty one is what the fault of that name makes of any search.
func (c *clinic) searchset(base, typ string, params url.Values, empty bool) (*bundle, error) {
	q, err := parse(typ, params)
	if err != nil {
		return nil, err
	}
	var page []*doc
	var total int
	var next string
	if !empty {
		page, total, next = c.find(q)
	}
	out := &bundle{ResourceType: "Bundle", Type: "searchset", Total: &total}
	out.Link = []bundleLink{{Relation: "self", URL: base + "/" + typ + "?" + params.Encode()}}
	if next != "" {
		params.Set("_after", next)
		out.Link = append(out.Link, bundleLink{Relation: "next", URL: base + "/" + typ + "?" + params.Encode()})
	}
	for _, x := range page {
		out.Entry = append(out.Entry, bundleEntry{FullURL: base + "/" + x.key(), Resource: x.Raw, Search: &searchMode{Mode: "match"}})
	}
	return out, nil
}

// history answers what was last written of a type since a time, the newest first, with what was deleted. Of each
// resource it has the newest version only.
func (s serving) history(w http.ResponseWriter, base, typ string, params url.Values) {
	since, err := time.Parse(time.RFC3339Nano, params.Get("_since"))
	if err != nil {
		answerError(w, fail(http.StatusBadRequest, "invalid", "_since must be an instant with its zone."))
		return
	}
	var page []*doc
	if s.fault != "empty" {
		from := s.c.copy()
		from.mu.RLock()
		for _, x := range from.docs[typ] {
			if !x.Updated.Before(since) {
				page = append(page, x)
			}
		}
		from.mu.RUnlock()
	}
	slices.SortFunc(page, func(a, b *doc) int { return b.Updated.Compare(a.Updated) })
	out := &bundle{ResourceType: "Bundle", Type: "history", Link: []bundleLink{{Relation: "self", URL: base + "/" + typ + "/_history?" + params.Encode()}}}
	for _, x := range page[:min(len(page), maxCount)] {
		updated := x.Updated.UTC()
		e := bundleEntry{FullURL: base + "/" + x.key(), Response: &entryResponse{Status: "200 OK", ETag: x.etag(), LastModified: &updated}}
		if x.Deleted {
			e.Request = &entryRequest{Method: http.MethodDelete, URL: x.key()}
		} else {
			e.Request, e.Resource = &entryRequest{Method: http.MethodPut, URL: x.key()}, s.served(x.Raw)
		}
		out.Entry = append(out.Entry, e)
	}
	answer(w, http.StatusOK, out)
}
