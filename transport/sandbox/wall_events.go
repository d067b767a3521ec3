package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	maxWatchers = 32
	maxBehind   = 256 // events a watcher may be late
	heartbeat   = 15 * time.Second
	writeTime   = 10 * time.Second // for one event to leave
)

// subscriber is one page that watches. Its channel is closed when it is too slow: the page
// connects again and reads the state.
type subscriber struct{ events chan []byte }

// watch adds a subscriber; nil when there are too many.
func (w *Wall) watch() *subscriber {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.subs) >= maxWatchers {
		return nil
	}
	s := &subscriber{events: make(chan []byte, maxBehind)}
	w.subs[s] = struct{}{}
	return s
}

func (w *Wall) unwatch(s *subscriber) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(s)
}

func (w *Wall) drop(s *subscriber) {
	if _, ok := w.subs[s]; ok {
		delete(w.subs, s)
		close(s.events)
	}
}

// DropWatchers ends all event streams, so that an HTTP server can shut down without waiting for
// pages to be closed.
func (w *Wall) DropWatchers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.subs {
		w.drop(s)
	}
}

// publish encodes once and never waits; w.mu is held.
func (w *Wall) publish(event string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		w.log.Error("sandbox event not encoded", "event", event)
		return
	}
	frame := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, data)
	for s := range w.subs {
		select {
		case s.events <- frame:
		default:
			w.drop(s)
		}
	}
}

// Record shows a record system's change to everybody who watches.
func (w *Wall) Record(r Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.publish("dme", r)
}

// events streams changes as server-sent events.
func (w *Wall) events(rw http.ResponseWriter, r *http.Request) {
	s := w.watch()
	if s == nil {
		refuse(rw, http.StatusTooManyRequests, "Too many pages watch the sandbox.")
		return
	}
	defer w.unwatch(s)
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(rw)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	frame := []byte("retry: 1000\n\n")
	for {
		// The server's own write timeout is for whole answers; this one has no end.
		_ = out.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := rw.Write(frame); err != nil {
			return
		}
		if out.Flush() != nil {
			return
		}
		var ok bool
		select {
		case frame, ok = <-s.events:
			if !ok {
				return
			}
		case <-beat.C:
			frame = []byte(": beat\n\n")
		case <-r.Context().Done():
			return
		}
	}
}
