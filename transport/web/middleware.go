package web

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"relais/engine"
)

type contextKey int

const (
	keyRequest contextKey = iota
	keyCaller
	keyHTTP
)

// requestID returns the identifier of the request that ctx belongs to. It is in the response's
// X-Request-Id, in every problem and in every log line.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(keyRequest).(string)
	return id
}

// recorder remembers the status for the log line.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController and the WebSocket upgrade reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush serves handlers that ask for an http.Flusher, such as event streams.
func (w *recorder) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// observe gives a request its identifier, recovers its panic, and logs and measures it by route.
// Paths and queries are never logged: a patient's link has a token in it.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.now()
		id := rand.Text()
		ctx := context.WithValue(r.Context(), keyRequest, id)
		r = r.WithContext(ctx)
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("X-Request-Id", id)
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				s.panicked(id, p)
				if rec.status == 0 {
					writeProblem(rec, internalProblem(id))
				}
			}
			took := s.now().Sub(start)
			_, route, found := strings.Cut(r.Pattern, " ")
			if !found {
				route = r.Pattern
			}
			method := knownMethod(r.Method)
			s.metrics.Served(route, method, rec.status, took)
			s.log.LogAttrs(ctx, levelOf(rec.status), "request", slog.String("request", id), slog.String("route", route),
				slog.String("method", method), slog.Int("status", rec.status), slog.Duration("took", took))
		}()
		next.ServeHTTP(rec, r)
	})
}

// panicked reports a recovered panic. The value itself is not logged: it may quote what a patient
// wrote. Its type and the stack are enough to find the place.
func (s *Server) panicked(request string, p any) {
	s.metrics.Panicked()
	kind := "other"
	switch p.(type) {
	case error:
		kind = "error"
	case string:
		kind = "string"
	}
	s.log.Error("panic", "request", request, "kind", kind, "stack", string(debug.Stack()))
}

func levelOf(status int) slog.Level {
	if status >= http.StatusInternalServerError {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// knownMethod keeps a made-up method from becoming a metric label.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// headers sets what every response carries; a handler may tighten it.
func (s *Server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		if s.cfg.Secure && !s.cfg.Trying {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if strings.HasPrefix(r.URL.Path, "/api/") {
			h.Set("Cache-Control", "no-store")
			if hasBody(r) && !isJSON(r.Header.Get("Content-Type")) {
				writeProblem(w, &Problem{
					Status: http.StatusUnsupportedMediaType, Code: engine.Invalid,
					Detail: "The body must be JSON: send Content-Type: application/json.",
				})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func hasBody(r *http.Request) bool {
	return r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// callTimeout bounds one call of the API or of a patient's page.
const callTimeout = 20 * time.Second
