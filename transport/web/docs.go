package web

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsSource string

// docsStyle is the style of the page that describes the API. It stands alone so that its hash can
// be named in the page's policy.
//
//go:embed docs.css
var docsStyle string

type docsField struct {
	Name, Kind, Link, Doc string
	Required              bool
}

type docsCall struct {
	ID, Method, Path, Summary, Description string
	Open                                   bool // needs no session
	Params                                 []docsField
	Body                                   *docsField
	Answers                                []docsField
}

type docsGroup struct {
	Name, Doc string
	Calls     []docsCall
}

type docsType struct {
	Name   string
	Fields []docsField
}

type docsPage struct {
	Title, Version, Description string
	Style                       template.CSS
	Groups                      []docsGroup
	Types                       []docsType
}

// docsRoutes serves the description as JSON, as YAML and as a page that loads nothing else.
func docsRoutes(mux *http.ServeMux, spec *huma.OpenAPI) error {
	asJSON, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	asYAML, err := spec.YAML()
	if err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	page, err := renderDocs(spec)
	if err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	serve := func(pattern, contentType, policy string, body []byte) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-cache")
			if policy != "" {
				w.Header().Set("Content-Security-Policy", policy)
			}
			_, _ = w.Write(body)
		})
	}
	serve("GET /api/openapi.json", "application/vnd.oai.openapi+json", "", asJSON)
	serve("GET /api/openapi.yaml", "application/vnd.oai.openapi+yaml", "", asYAML)
	serve("GET /api/docs", "text/html; charset=utf-8", pagePolicy(docsStyle, "'none'"), page)
	return nil
}

func renderDocs(spec *huma.OpenAPI) ([]byte, error) {
	p := docsPage{
		Title: spec.Info.Title, Version: spec.Info.Version, Description: spec.Info.Description,
		Style: template.CSS(docsStyle), //nolint:gosec // embedded text of our own
	}
	for _, tag := range spec.Tags {
		g := docsGroup{Name: tag.Name, Doc: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(spec.Paths)) {
			item := spec.Paths[path]
			for _, op := range []*huma.Operation{item.Get, item.Post, item.Delete} {
				if op != nil && slices.Contains(op.Tags, tag.Name) {
					g.Calls = append(g.Calls, describeCall(op))
				}
			}
		}
		p.Groups = append(p.Groups, g)
	}
	schemas := spec.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		p.Types = append(p.Types, docsType{Name: name, Fields: describeFields(schemas[name])})
	}
	t, err := template.New("docs").Parse(docsSource)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}

func describeCall(op *huma.Operation) docsCall {
	c := docsCall{
		ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description,
		Open: len(op.Security) == 0,
	}
	for _, p := range op.Parameters {
		f := docsField{Name: p.In + " " + p.Name, Doc: p.Description, Required: p.Required}
		f.Kind, f.Link = kindOf(p.Schema)
		c.Params = append(c.Params, f)
	}
	if op.RequestBody != nil {
		if m := op.RequestBody.Content["application/json"]; m != nil {
			c.Body = &docsField{}
			c.Body.Kind, c.Body.Link = kindOf(m.Schema)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		f := docsField{Name: status, Doc: r.Description}
		for _, m := range r.Content {
			f.Kind, f.Link = kindOf(m.Schema)
		}
		c.Answers = append(c.Answers, f)
	}
	return c
}

func describeFields(s *huma.Schema) []docsField {
	var fields []docsField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		f := docsField{Name: name, Doc: p.Description, Required: slices.Contains(s.Required, name)}
		f.Kind, f.Link = kindOf(p)
		fields = append(fields, f)
	}
	return fields
}

// kindOf says in a few words what a value is, and which type to look at.
func kindOf(s *huma.Schema) (kind, link string) {
	if s == nil {
		return "", ""
	}
	if s.Ref != "" {
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return name, name
	}
	kind = s.Type
	switch {
	case s.Type == huma.TypeArray:
		kind, link = kindOf(s.Items)
		kind = "list of " + kind
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		kind = "one of " + strings.Join(words, ", ")
	case s.Format != "":
		kind += " (" + s.Format + ")"
	}
	if s.Nullable {
		kind += " or null"
	}
	return kind, link
}
