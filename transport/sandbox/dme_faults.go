package sandbox

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// What the faults do.
const (
	slowDelay = 20 * time.Second
	busyFor   = 2 * time.Second // the Retry-After of "busy"
	lorisPace = 500 * time.Millisecond
	hugeBody  = 100 << 20
	skewBy    = time.Hour
)

// play answers a request as the clinic's fault has it.
func (s serving) play(w http.ResponseWriter, r *http.Request) {
	switch s.fault {
	case "down":
		panic(http.ErrAbortHandler) // closes the connection without an answer
	case "errors":
		answerError(w, fail(http.StatusInternalServerError, "exception", "The database does not answer."))
	case "unauthorized":
		answerError(w, fail(http.StatusUnauthorized, "login", "The token was revoked."))
	case "forbidden":
		answerError(w, fail(http.StatusForbidden, "forbidden", "This client may not read schedules."))
	case "busy":
		w.Header().Set("Retry-After", fmt.Sprint(int(busyFor.Seconds())))
		answerError(w, fail(http.StatusTooManyRequests, "throttled", "Too many requests."))
	case "slow":
		select {
		case <-time.After(slowDelay):
			s.answer(w, r)
		case <-r.Context().Done():
		case <-s.d.stop:
		}
	case "trickle":
		s.trickle(w, r)
	case "garbage":
		half := &halfWriter{header: w.Header()}
		s.answer(half, r)
		half.flush(w)
	case "huge":
		s.huge(w, r)
	case "skewed":
		w.Header().Set("Date", s.d.cfg.Now().Add(-skewBy).UTC().Format(http.TimeFormat))
		s.answer(w, r)
	default:
		s.answer(w, r)
	}
}

// trickle sends an answer a byte at a time, slower than anybody waits.
func (s serving) trickle(w http.ResponseWriter, r *http.Request) {
	whole := &halfWriter{header: w.Header()}
	s.answer(whole, r)
	for _, b := range whole.body.Bytes() {
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush() // a writer that cannot flush is slower still
		select {
		case <-time.After(lorisPace):
		case <-r.Context().Done():
			return
		case <-s.d.stop:
			return
		}
	}
}

// huge sends a success of 100 MB, as long as anybody reads it.
func (s serving) huge(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", fhirJSON)
	_, err := w.Write([]byte(`{"resourceType":"Bundle","type":"searchset","entry":[`))
	blanks := bytes.Repeat([]byte(" "), 1<<16)
	for sent := 0; sent < hugeBody && err == nil && r.Context().Err() == nil; sent += len(blanks) {
		_, err = w.Write(blanks)
	}
	_, _ = w.Write([]byte("]}"))
}

// lose takes half of a page and every page after it away, without a word.
func (s serving) lose(out *bundle) {
	if s.fault != "half" {
		return
	}
	keep := len(out.Entry) / 2
	out.Entry = out.Entry[:keep]
	out.Link = out.Link[:1]
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

// topicExtension lists the topics of the R5 Backport in a CapabilityStatement.
const topicExtension = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capability-subscriptiontopic-canonical"
