package web

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
	"relais/engine/desk"
)

// Problem is what the API answers when it cannot do what was asked (RFC 9457). It never repeats
// what was sent.
//
//nolint:errname // RFC 9457 names it, and so does the description of the API
type Problem struct {
	Type    string      `json:"type" doc:"always about:blank; look at code"`
	Title   string      `json:"title" doc:"the status in words"`
	Status  int         `json:"status"`
	Code    engine.Code `json:"code" doc:"what kind of problem, for programs"`
	Detail  string      `json:"detail" doc:"a sentence in English for a developer or a log"`
	Request string      `json:"request,omitempty" doc:"identifier of the request, also in X-Request-Id"`
	Errors  []Fault     `json:"errors,omitempty" doc:"what is wrong with the input, place by place"`
	Card    *desk.Card  `json:"card,omitempty" doc:"after a conflict: the slot as it is now"`
	// Changed is a pointer so that it is left out where nobody was first.
	Changed *desk.Changed `json:"changed,omitempty" doc:"after a conflict: who changed it meanwhile, and when"`
	Step    Step          `json:"step,omitempty" doc:"of a sign-in: what is still needed"`
	wait    int           // seconds, for Retry-After
}

// Step is what a sign-in still needs.
type Step string

// StepCode asks for the code of an authenticator app, or a recovery code.
const StepCode Step = "code"

// Fault is one thing that is wrong with the input.
type Fault struct {
	Location string `json:"location" doc:"for example body.class or header.Idempotency-Key"`
	Message  string `json:"message"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is application/problem+json.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders adds when to come back.
func (p *Problem) GetHeaders() http.Header {
	if p.wait == 0 {
		return http.Header{}
	}
	return http.Header{"Retry-After": {strconv.Itoa(p.wait)}}
}

// statuses maps the codes to HTTP, once for the API and the patients' pages.
var statuses = map[engine.Code]int{
	engine.Invalid:     http.StatusUnprocessableEntity,
	engine.NotFound:    http.StatusNotFound,
	engine.Conflict:    http.StatusConflict,
	engine.Forbidden:   http.StatusForbidden,
	engine.Unsigned:    http.StatusUnauthorized,
	engine.TooMany:     http.StatusTooManyRequests,
	engine.Unavailable: http.StatusServiceUnavailable,
	engine.StorageFull: http.StatusInsufficientStorage,
	engine.Internal:    http.StatusInternalServerError,
}

func statusOf(c engine.Code) int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// codeOf is the code that a status made by the HTTP layer stands for.
func codeOf(status int) engine.Code {
	for c, s := range statuses {
		if s == status {
			return c
		}
	}
	if status >= 500 {
		return engine.Internal
	}
	return engine.Invalid
}

func newProblem(c engine.Code, detail string) *Problem {
	p := &Problem{Status: statusOf(c), Code: c, Detail: detail}
	if c == engine.TooMany || c == engine.Unavailable {
		p.wait = 30
	}
	return p
}

func internalProblem(request string) *Problem {
	p := newProblem(engine.Internal, "Something went wrong on our side. Quote the request identifier when you report it.")
	p.Request = request
	return p
}

// problem turns an error of the backend into an answer. What is our own fault is logged and not
// told.
func (s *Server) problem(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*engine.Error](err)
	switch {
	case ok && e.Code != engine.Internal:
		p := newProblem(e.Code, e.Message)
		p.Request = requestID(ctx)
		if by, ok := errors.AsType[*engine.Changed](err); ok {
			p.Changed = &desk.Changed{By: by.By, At: by.At}
		}
		return p
	case !ok && errors.Is(err, context.DeadlineExceeded):
		return newProblem(engine.Unavailable, "This took too long; try again.")
	case !ok && errors.Is(err, context.Canceled):
		return newProblem(engine.Unavailable, "The caller went away.")
	}
	s.log.ErrorContext(ctx, "request failed", "request", requestID(ctx), "error", err)
	return internalProblem(requestID(ctx))
}

// complete fills in what follows from the rest.
func (p *Problem) complete() *Problem {
	p.Type = "about:blank"
	p.Title = http.StatusText(p.Status)
	return p
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	maps.Copy(w.Header(), p.GetHeaders())
	if p.Request == "" {
		p.Request = w.Header().Get("X-Request-Id")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p.complete())
}

// tidyProblem replaces huma's own error model, which repeats the values that were sent.
func tidyProblem(ctx huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case *Problem:
		if e.Request == "" {
			e.Request = requestID(ctx.Context())
		}
		return e.complete(), nil
	case *huma.ErrorModel:
		p := &Problem{Status: e.Status, Code: codeOf(e.Status), Request: requestID(ctx.Context())}
		switch e.Status {
		case http.StatusBadRequest:
			p.Detail = "The body is missing or is not valid JSON."
		case http.StatusRequestEntityTooLarge:
			p.Detail = "The body is larger than 1 MiB."
		case http.StatusUnprocessableEntity:
			p.Detail = "The input is not valid; see errors."
		default:
			p.Detail = http.StatusText(e.Status) + "."
		}
		for _, d := range e.Errors {
			if d != nil && e.Status == http.StatusUnprocessableEntity {
				p.Errors = append(p.Errors, Fault{Location: d.Location, Message: d.Message})
			}
		}
		return p.complete(), nil
	}
	return v, nil
}
