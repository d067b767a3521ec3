package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxEntries bounds a transaction.
const maxEntries = 100

var goodID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// done is what one interaction came to.
type done struct {
	status int
	doc    *doc
}

// create makes a resource. With ifNoneExist (a search) an existing match is returned instead.
func (ch *change) create(typ string, body map[string]any, ifNoneExist string) (done, error) {
	if err := typed(typ, "", body); err != nil {
		return done{}, err
	}
	if ifNoneExist != "" {
		params, err := url.ParseQuery(strings.TrimPrefix(ifNoneExist, "?"))
		if err != nil || len(params) == 0 {
			return done{}, fail(http.StatusBadRequest, "invalid", "If-None-Exist must be a search.")
		}
		q, err := parse(typ, params)
		if err != nil {
			return done{}, err
		}
		var found []*doc
		ch.each(typ, func(x *doc) {
			if q.matches(x) {
				found = append(found, x)
			}
		})
		switch len(found) {
		case 0:
		case 1:
			return done{http.StatusOK, found[0]}, nil
		default:
			return done{}, fail(http.StatusPreconditionFailed, "multiple-matches", "Several resources match If-None-Exist.")
		}
	}
	x, err := ch.put(typ, newID(), body)
	return done{http.StatusCreated, x}, err
}

// update replaces a resource, on the condition of ifMatch when there is one. A new id makes it.
func (ch *change) update(typ, id string, body map[string]any, ifMatch string) (done, error) {
	if err := typed(typ, id, body); err != nil {
		return done{}, err
	}
	before, known := ch.get(typ, id)
	if err := ch.precondition(before, ifMatch); err != nil {
		return done{}, err
	}
	x, err := ch.put(typ, id, body)
	if !known || before.Deleted {
		return done{http.StatusCreated, x}, err
	}
	return done{http.StatusOK, x}, err
}

func (ch *change) delete(typ, id, ifMatch string) (done, error) {
	before, known := ch.get(typ, id)
	if !known || before.Deleted {
		return done{status: http.StatusNoContent}, nil
	}
	if err := ch.precondition(before, ifMatch); err != nil {
		return done{}, err
	}
	return done{http.StatusNoContent, ch.remove(before)}, nil
}

// precondition checks an If-Match. It must be a weak ETag with its quotes: a server that ignored
// a malformed one would write without the condition that the caller counts on.
func (ch *change) precondition(x *doc, ifMatch string) error {
	if ifMatch == "" || ch.c.manner.IgnoresIfMatch {
		return nil
	}
	v, ok := strings.CutPrefix(ifMatch, `W/"`)
	v, quoted := strings.CutSuffix(v, `"`)
	n, err := strconv.ParseUint(v, 10, 64)
	if !ok || !quoted || err != nil {
		return fail(http.StatusBadRequest, "invalid", `If-Match must look like W/"3".`)
	}
	if x == nil || x.Deleted || x.Version != n {
		return fail(http.StatusPreconditionFailed, "conflict", "The resource is not at the version of If-Match.")
	}
	return nil
}

// typed checks that a body is of the type, and has the id, that its URL says.
func typed(typ, id string, body map[string]any) error {
	if body["resourceType"] != typ {
		return fail(http.StatusBadRequest, "invalid", "The resourceType of the body is not that of the address.")
	}
	if id == "" {
		return nil
	}
	if !goodID.MatchString(id) {
		return fail(http.StatusBadRequest, "invalid", "The id must be 1 to 64 letters, digits, hyphens and dots.")
	}
	if body["id"] != id {
		return fail(http.StatusBadRequest, "invalid", "The id of the body is not that of the address.")
	}
	return nil
}

// transaction carries out a transaction Bundle on ch: the caller commits all of it or nothing.
// Entries run in the order that FHIR gives: DELETE, POST, PUT, GET.
func (ch *change) transaction(base string, body []byte) (*bundle, error) {
	var in bundle
	if err := json.Unmarshal(body, &in); err != nil || in.ResourceType != "Bundle" {
		return nil, fail(http.StatusBadRequest, "structure", "The body is not a Bundle.")
	}
	if in.Type != "transaction" {
		return nil, fail(http.StatusBadRequest, "not-supported", "Only transaction Bundles are carried out.")
	}
	if len(in.Entry) > maxEntries {
		return nil, fail(http.StatusRequestEntityTooLarge, "too-long", "A transaction has at most %d entries.", maxEntries)
	}
	order := []string{http.MethodDelete, http.MethodPost, http.MethodPut, http.MethodGet}
	results := make([]done, len(in.Entry))
	placed := map[string]string{} // urn:uuid:... -> Appointment/17
	touched := map[string]bool{}
	for _, method := range order {
		for i, e := range in.Entry {
			if e.Request == nil || !slices.Contains(order, e.Request.Method) {
				return nil, fail(http.StatusBadRequest, "required", "Entry %d has no request that is supported.", i)
			}
			if e.Request.Method != method {
				continue
			}
			r, err := ch.entry(e, placed)
			if err != nil {
				return nil, err
			}
			results[i] = r
			if r.doc == nil || method == http.MethodGet {
				continue
			}
			if touched[r.doc.key()] {
				return nil, fail(http.StatusBadRequest, "invalid", "Two entries write the same resource.")
			}
			touched[r.doc.key()] = true
			if strings.HasPrefix(e.FullURL, "urn:uuid:") {
				placed[e.FullURL] = r.doc.key()
			}
		}
	}
	out := &bundle{ResourceType: "Bundle", Type: "transaction-response"}
	for _, r := range results {
		e := bundleEntry{Response: &entryResponse{Status: strconv.Itoa(r.status) + " " + http.StatusText(r.status)}}
		if r.doc != nil {
			e.Response.ETag, e.Response.LastModified = r.doc.etag(), &r.doc.Updated
			e.Response.Location = base + "/" + r.doc.key() + "/_history/" + strconv.FormatUint(r.doc.Version, 10)
			e.Resource = r.doc.Raw
		}
		out.Entry = append(out.Entry, e)
	}
	return out, nil
}

func (ch *change) entry(e bundleEntry, placed map[string]string) (done, error) {
	typ, id, _ := strings.Cut(strings.TrimPrefix(e.Request.URL, "/"), "/")
	if !slices.Contains(kept, typ) || strings.ContainsAny(id, "/?") {
		return done{}, fail(http.StatusBadRequest, "not-supported", "An entry's request.url is not supported.")
	}
	var body map[string]any
	if e.Request.Method == http.MethodPost || e.Request.Method == http.MethodPut {
		raw := string(e.Resource)
		for urn, ref := range placed {
			raw = strings.ReplaceAll(raw, strconv.Quote(urn), strconv.Quote(ref))
		}
		var err error
		if body, err = decode([]byte(raw)); err != nil {
			return done{}, err
		}
	}
	switch e.Request.Method {
	case http.MethodPost:
		return ch.create(typ, body, e.Request.IfNoneExist)
	case http.MethodPut:
		return ch.update(typ, id, body, e.Request.IfMatch)
	case http.MethodDelete:
		return ch.delete(typ, id, e.Request.IfMatch)
	}
	x, ok := ch.get(typ, id)
	if !ok || x.Deleted {
		return done{}, fail(http.StatusNotFound, "not-found", "There is no such %s.", typ)
	}
	return done{http.StatusOK, x}, nil
}
