package sandbox

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"

	"relais/engine"
)

const maxPost = 8 << 10 // bytes

// pages is the API of the sandbox's own pages.
type pages struct {
	wall    *Wall
	carrier *CarrierServer
	dme     *DME // nil: no record system is simulated
}

// Handler serves everything under /sandbox/api/; see api.go. The record systems' changes are
// shown from then on. dme may be nil.
func Handler(w *Wall, c *CarrierServer, dme *DME) http.Handler {
	p := &pages{wall: w, carrier: c, dme: dme}
	mux := http.NewServeMux()
	if dme != nil {
		dme.OnChange(w.Record)
		dme.RegisterDME(mux)
	}
	mux.HandleFunc("GET /sandbox/api/state", p.state)
	mux.HandleFunc("GET /sandbox/api/events", w.events)
	mux.HandleFunc("POST /sandbox/api/threads/{id}/text", do(func(r *http.Request, in struct{ Text string }) error {
		return c.Text(r.PathValue("id"), in.Text)
	}))
	mux.HandleFunc("POST /sandbox/api/calls/{sid}/answer", do(func(r *http.Request, _ struct{}) error {
		return c.Answer(r.PathValue("sid"))
	}))
	mux.HandleFunc("POST /sandbox/api/calls/{sid}/press", do(func(r *http.Request, in struct{ Key string }) error {
		return c.Press(r.PathValue("sid"), in.Key)
	}))
	mux.HandleFunc("POST /sandbox/api/calls/{sid}/hangup", do(func(r *http.Request, _ struct{}) error {
		return c.HangUp(r.PathValue("sid"))
	}))
	mux.HandleFunc("POST /sandbox/api/calls/{sid}/voicemail", do(func(r *http.Request, _ struct{}) error {
		return c.Voicemail(r.PathValue("sid"))
	}))
	mux.HandleFunc("POST /sandbox/api/carrier", do(func(_ *http.Request, in Carrier) error {
		return c.SetFaults(in)
	}))
	// A page of another site must not be able to press the buttons.
	return http.NewCrossOriginProtection().Handler(mux)
}

// MailHandler serves /sandbox/api/mail/.
func MailHandler(m *MailServer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sandbox/api/mail/{id}", do(func(r *http.Request, in struct{ Text string }) error {
		return m.Reply(r.PathValue("id"), in.Text)
	}))
	return http.NewCrossOriginProtection().Handler(mux)
}

func (p *pages) state(w http.ResponseWriter, _ *http.Request) {
	s := State{Threads: p.wall.Threads(), Records: []Record{}, Carrier: p.carrier.Faults()}
	if p.dme != nil {
		s.Records, s.Trickle = p.dme.Records(), p.dme.Trickling()
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s)
}

// do reads a POST's JSON, if any, and answers 204 or the error's sentence.
func do[T any](f func(*http.Request, T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		if r.ContentLength != 0 {
			kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
			if err != nil || kind != "application/json" {
				refuse(w, http.StatusUnsupportedMediaType, "JSON is expected.")
				return
			}
			d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPost))
			if err := d.Decode(&in); err != nil {
				refuse(w, http.StatusBadRequest, "The JSON cannot be read.")
				return
			}
		}
		if err := f(r, in); err != nil {
			refuse(w, statusOf(err), sentence(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func statusOf(err error) int {
	switch engine.CodeOf(err) {
	case engine.NotFound:
		return http.StatusNotFound
	case engine.Conflict:
		return http.StatusConflict
	case engine.TooMany:
		return http.StatusTooManyRequests
	case engine.Invalid, engine.Forbidden, engine.Unsigned, engine.Unavailable, engine.StorageFull, engine.Internal:
	}
	return http.StatusBadRequest
}

func sentence(err error) string {
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return e.Message
	}
	return "It did not work."
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}
