package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	maxBody  = 1 << 20
	fhirJSON = "application/fhir+json; charset=utf-8"
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
	s := serving{d: d, c: c, fault: c.fault, token: c.token, manner: c.manner}
	c.mu.RUnlock()
	s.play(w, r)
}

// serving is one request to a clinic's record system as it is now.
type serving struct {
	d      *DME
	c      *clinic
	fault  string
	token  string
	manner Manner
}

func (s serving) answer(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(r.PathValue("path"), "/")
	switch {
	case r.Method == http.MethodGet && path == "metadata": // R4 leaves the capabilities open to everybody
		answer(w, http.StatusOK, s.manner.capabilities())
		return
	case r.Method == http.MethodGet && path == ".well-known/smart-configuration":
		s.d.smartConfiguration(w, r, s.c, s.manner)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answerError(w, fail(http.StatusRequestEntityTooLarge, "too-long", "The body is larger than 1 MiB."))
		return
	}
	if path == "token" {
		s.d.giveToken(w, r, s.c, s.manner, body)
		return
	}
	if !s.d.signedIn(r, s.c, s.manner, s.token) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		answerError(w, fail(http.StatusUnauthorized, "login", "This clinic's record system demands another sign-in."))
		return
	}
	s.route(w, r, path, body)
}

func (s serving) route(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	d, c := s.d, s.c
	base := baseURL(r, c.id)
	typ, id, _ := strings.Cut(path, "/")
	switch {
	case path == "" && s.manner.NoTransactions, typ == typeSubscription && s.manner.NoSubscriptions:
		answerError(w, fail(http.StatusNotFound, "not-supported", "This interaction is not supported."))
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
		s.search(w, base, typ, r.URL.Query())
	case id == "_history" && r.Method == http.MethodGet && s.manner.History:
		s.history(w, base, typ, r.URL.Query())
	case id == "_search" && r.Method == http.MethodPost:
		params, err := parseForm(body)
		if err != nil {
			answerError(w, fail(http.StatusBadRequest, "invalid", "The form cannot be read."))
			return
		}
		s.search(w, base, typ, params)
	case id == "" && r.Method == http.MethodPost:
		s.single(w, base, body, func(ch *change, b map[string]any) (done, error) {
			return ch.create(typ, b, r.Header.Get("If-None-Exist"))
		})
	case id != "" && !strings.Contains(id, "/"):
		s.resource(w, r, base, typ, id, body)
	default:
		answerError(w, fail(http.StatusMethodNotAllowed, "not-supported", "This interaction is not supported."))
	}
}

func (s serving) resource(w http.ResponseWriter, r *http.Request, base, typ, id string, body []byte) {
	d, c := s.d, s.c
	switch r.Method {
	case http.MethodGet:
		from := c.copy()
		from.mu.RLock()
		x, ok := from.docs[typ][id]
		from.mu.RUnlock()
		switch {
		case !ok:
			answerError(w, fail(http.StatusNotFound, "not-found", "There is no such %s.", typ))
		case x.Deleted:
			answerError(w, fail(http.StatusGone, "deleted", "This %s was deleted.", typ))
		default:
			s.doc(w, base, done{http.StatusOK, x})
		}
	case http.MethodPut:
		s.single(w, base, body, func(ch *change, b map[string]any) (done, error) {
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

func (s serving) search(w http.ResponseWriter, base, typ string, params url.Values) {
	if s.manner.IgnoresLastUpdated {
		params.Del("_lastUpdated")
	}
	out, err := s.c.copy().searchset(base, typ, params, s.fault == "empty")
	if err != nil {
		s.d.answerFailure(w, err)
		return
	}
	s.lose(out)
	for i := range out.Entry {
		out.Entry[i].Resource = s.served(out.Entry[i].Resource)
	}
	answer(w, http.StatusOK, out)
}

// single carries out one write of one resource.
func (s serving) single(w http.ResponseWriter, base string, body []byte, f func(*change, map[string]any) (done, error)) {
	d, c := s.d, s.c
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
	s.doc(w, base, result)
}

func (d *DME) answerFailure(w http.ResponseWriter, err error) {
	if o, ok := errors.AsType[*outcome](err); ok {
		answerError(w, o)
		return
	}
	d.cfg.Log.Error("sandbox: the record system cannot write", "err", err)
	answerError(w, fail(http.StatusInternalServerError, "exception", "The record system cannot write."))
}

// served is a resource as this record system shows it.
func (s serving) served(raw json.RawMessage) json.RawMessage {
	if !s.manner.NoVersions {
		return raw
	}
	body, err := decode(raw)
	if err != nil {
		return raw
	}
	if meta, ok := body["meta"].(map[string]any); ok {
		delete(meta, "versionId")
	}
	bare, err := json.Marshal(body)
	if err != nil {
		return raw
	}
	return bare
}

func (s serving) doc(w http.ResponseWriter, base string, r done) {
	if !s.manner.NoVersions {
		w.Header().Set("ETag", r.doc.etag())
	}
	w.Header().Set("Last-Modified", r.doc.Updated.UTC().Format(http.TimeFormat))
	if r.status == http.StatusCreated {
		w.Header().Set("Location", base+"/"+r.doc.key())
	}
	w.Header().Set("Content-Type", fhirJSON)
	w.WriteHeader(r.status)
	_, _ = w.Write(s.served(r.doc.Raw))
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

func parseForm(body []byte) (url.Values, error) { return url.ParseQuery(string(body)) }

// capabilities is the CapabilityStatement.
func (m Manner) capabilities() map[string]any {
	codes := func(names ...string) []any {
		var out []any
		for _, n := range names {
			out = append(out, map[string]any{"code": n})
		}
		return out
	}
	interactions := []string{"read", "update", "delete", "create", "search-type"}
	if m.History {
		interactions = append(interactions, "history-type")
	}
	var resources []any
	for _, typ := range kept {
		if typ == typeSubscription && m.NoSubscriptions {
			continue
		}
		versioning := "versioned-update"
		if m.NoVersions || m.IgnoresIfMatch {
			versioning = "versioned"
		}
		r := map[string]any{
			"type": typ, "versioning": versioning, "conditionalCreate": true,
			"interaction": codes(interactions...),
		}
		if typ == typeSubscription {
			var topics []any
			for _, t := range m.Topics {
				topics = append(topics, map[string]any{"url": topicExtension, "valueCanonical": t})
			}
			if topics != nil {
				r["extension"] = topics
			}
		}
		resources = append(resources, r)
	}
	whole := "transaction"
	if m.NoTransactions {
		whole = "search-system"
	}
	return map[string]any{
		"resourceType": "CapabilityStatement", "status": "active", "date": "2026-11-01", "kind": "instance",
		"fhirVersion": "4.0.1", "format": []any{"json"},
		"software": map[string]any{"name": "Relais sandbox"},
		"rest":     []any{map[string]any{"mode": "server", "resource": resources, "interaction": codes(whole)}},
	}
}
