package sandbox

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxBody   = 1 << 20
	fhirJSON  = "application/fhir+json; charset=utf-8"
	slowDelay = 20 * time.Second
)

// Handler serves FHIR R4 for every clinic under /dme/{clinic}/fhir. A request needs the clinic's
// bearer token.
func (d *DME) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/dme/{clinic}/fhir/{path...}", d.serve)
	mux.HandleFunc("/dme/{clinic}/fhir", d.serve)
	return mux
}

// serve plays the clinic's fault and then, when it allows, answers.
func (d *DME) serve(w http.ResponseWriter, r *http.Request) {
	c, ok := d.clinic(r.PathValue("clinic"))
	if !ok {
		answerError(w, fail(http.StatusNotFound, "not-found", "There is no such record system."))
		return
	}
	c.mu.RLock()
	fault, token := c.fault, c.token
	c.mu.RUnlock()
	switch fault {
	case "down":
		panic(http.ErrAbortHandler) // closes the connection without an answer
	case "errors":
		answerError(w, fail(http.StatusInternalServerError, "exception", "The database does not answer."))
		return
	case "unauthorized":
		answerError(w, fail(http.StatusUnauthorized, "login", "The token was revoked."))
		return
	case "slow":
		select {
		case <-time.After(slowDelay):
		case <-r.Context().Done():
			return
		case <-d.stop:
			return
		}
	case "garbage":
		half := &halfWriter{header: w.Header()}
		d.authorized(half, r, c, token, fault)
		half.flush(w)
		return
	}
	d.authorized(w, r, c, token, fault)
}

// halfWriter cuts an answer in the middle and still calls it a success.
type halfWriter struct {
	header http.Header
	body   bytes.Buffer
}

func (h *halfWriter) Header() http.Header         { return h.header }
func (h *halfWriter) WriteHeader(int)             {}
func (h *halfWriter) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *halfWriter) flush(w http.ResponseWriter) {
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(h.body.Bytes()[:h.body.Len()/2])
}

func (d *DME) authorized(w http.ResponseWriter, r *http.Request, c *clinic, token, fault string) {
	path := strings.Trim(r.PathValue("path"), "/")
	if r.Method == http.MethodGet && path == "metadata" { // R4 leaves the capabilities open to everybody
		answer(w, http.StatusOK, capabilities())
		return
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
		w.Header().Set("WWW-Authenticate", "Bearer")
		answerError(w, fail(http.StatusUnauthorized, "login", "A bearer token of this clinic is needed."))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answerError(w, fail(http.StatusRequestEntityTooLarge, "too-long", "The body is larger than 1 MiB."))
		return
	}
	d.route(w, r, c, path, body, fault == "empty")
}

func (d *DME) route(w http.ResponseWriter, r *http.Request, c *clinic, path string, body []byte, empty bool) {
	base := baseURL(r, c.id)
	typ, id, _ := strings.Cut(path, "/")
	switch {
	case path == "" && r.Method == http.MethodPost:
		var out *bundle
		err := d.write(c, func(ch *change) (err error) {
			out, err = ch.transaction(base, body)
			return err
		})
		if err != nil {
			d.answerFailure(w, err)
			return
		}
		answer(w, http.StatusOK, out)
	case !slices.Contains(kept, typ):
		answerError(w, fail(http.StatusNotFound, "not-supported", "This type is not kept here."))
	case id == "" && r.Method == http.MethodGet:
		d.search(w, c, base, typ, r.URL.Query(), empty)
	case id == "_search" && r.Method == http.MethodPost:
		params, err := url.ParseQuery(string(body))
		if err != nil {
			answerError(w, fail(http.StatusBadRequest, "invalid", "The form cannot be read."))
			return
		}
		d.search(w, c, base, typ, params, empty)
	case id == "" && r.Method == http.MethodPost:
		d.single(w, c, base, body, func(ch *change, b map[string]any) (done, error) {
			return ch.create(typ, b, r.Header.Get("If-None-Exist"))
		})
	case id != "" && !strings.Contains(id, "/"):
		d.resource(w, r, c, base, typ, id, body)
	default:
		answerError(w, fail(http.StatusMethodNotAllowed, "not-supported", "This interaction is not supported."))
	}
}

func (d *DME) resource(w http.ResponseWriter, r *http.Request, c *clinic, base, typ, id string, body []byte) {
	switch r.Method {
	case http.MethodGet:
		c.mu.RLock()
		x, ok := c.docs[typ][id]
		c.mu.RUnlock()
		switch {
		case !ok:
			answerError(w, fail(http.StatusNotFound, "not-found", "There is no such %s.", typ))
		case x.Deleted:
			answerError(w, fail(http.StatusGone, "deleted", "This %s was deleted.", typ))
		default:
			answerDoc(w, base, done{http.StatusOK, x})
		}
	case http.MethodPut:
		d.single(w, c, base, body, func(ch *change, b map[string]any) (done, error) {
			return ch.update(typ, id, b, r.Header.Get("If-Match"))
		})
	case http.MethodDelete:
		err := d.write(c, func(ch *change) error {
			_, err := ch.delete(typ, id, r.Header.Get("If-Match"))
			return err
		})
		if err != nil {
			d.answerFailure(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		answerError(w, fail(http.StatusMethodNotAllowed, "not-supported", "This interaction is not supported."))
	}
}

func (d *DME) search(w http.ResponseWriter, c *clinic, base, typ string, params url.Values, empty bool) {
	out, err := c.searchset(base, typ, params, empty)
	if err != nil {
		d.answerFailure(w, err)
		return
	}
	answer(w, http.StatusOK, out)
}

// single carries out one write of one resource.
func (d *DME) single(w http.ResponseWriter, c *clinic, base string, body []byte, f func(*change, map[string]any) (done, error)) {
	b, err := decode(body)
	if err != nil {
		d.answerFailure(w, err)
		return
	}
	var result done
	err = d.write(c, func(ch *change) (err error) {
		result, err = f(ch, b)
		return err
	})
	if err != nil {
		d.answerFailure(w, err)
		return
	}
	answerDoc(w, base, result)
}

func (d *DME) answerFailure(w http.ResponseWriter, err error) {
	if o, ok := errors.AsType[*outcome](err); ok {
		answerError(w, o)
		return
	}
	d.cfg.Log.Error("sandbox: the record system cannot write", "err", err)
	answerError(w, fail(http.StatusInternalServerError, "exception", "The record system cannot write."))
}

func answerDoc(w http.ResponseWriter, base string, r done) {
	w.Header().Set("ETag", r.doc.etag())
	w.Header().Set("Last-Modified", r.doc.Updated.UTC().Format(http.TimeFormat))
	if r.status == http.StatusCreated {
		w.Header().Set("Location", base+"/"+r.doc.key())
	}
	w.Header().Set("Content-Type", fhirJSON)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.doc.Raw)
}

func answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "cannot encode", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", fhirJSON)
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

func answerError(w http.ResponseWriter, o *outcome) {
	answer(w, o.status, map[string]any{
		"resourceType": "OperationOutcome",
		"issue":        []any{map[string]any{"severity": "error", "code": o.code, "diagnostics": o.text}},
	})
}

func baseURL(r *http.Request, clinic string) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + "/dme/" + clinic + "/fhir"
}

// capabilities is the CapabilityStatement.
func capabilities() map[string]any {
	codes := func(names ...string) []any {
		var out []any
		for _, n := range names {
			out = append(out, map[string]any{"code": n})
		}
		return out
	}
	var resources []any
	for _, typ := range kept {
		resources = append(resources, map[string]any{
			"type": typ, "versioning": "versioned-update", "conditionalCreate": true,
			"interaction": codes("read", "update", "delete", "create", "search-type"),
		})
	}
	return map[string]any{
		"resourceType": "CapabilityStatement", "status": "active", "date": "2026-11-01", "kind": "instance",
		"fhirVersion": "4.0.1", "format": []any{"json"},
		"software": map[string]any{"name": "Relais sandbox"},
		"rest":     []any{map[string]any{"mode": "server", "resource": resources, "interaction": codes("transaction")}},
	}
}
