package sandbox

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of the rest-hook deliveries.
const (
	hookQueue    = 256
	hookWorkers  = 16
	hookAttempts = 4
	hookPause    = 250 * time.Millisecond // doubles after each attempt
)

// hooks delivers rest-hook notifications. They carry no payload, so notifications of one
// subscription that wait together become one.
type hooks struct {
	d      *DME
	ctx    context.Context //nolint:containedctx // ends with the record system, not with a call
	cancel context.CancelFunc
	queue  chan hook
	work   sync.WaitGroup

	mu      sync.Mutex
	waiting map[hook]bool
}

// hook names a subscription with something to tell.
type hook struct{ clinic, subscription string }

func newHooks(d *DME) *hooks {
	ctx, cancel := context.WithCancel(context.Background())
	h := &hooks{d: d, ctx: ctx, cancel: cancel, queue: make(chan hook, hookQueue), waiting: map[hook]bool{}}
	for range hookWorkers {
		h.work.Go(h.deliverAll)
	}
	return h
}

func (h *hooks) close() {
	h.cancel()
	h.work.Wait()
}

// changed queues the notifications that a write causes. The caller holds c.mu. A record system
// that plays dead tells nobody.
func (h *hooks) changed(c *clinic, written []*doc) {
	if c.fault == "down" {
		return
	}
	for id, s := range c.docs[typeSubscription] {
		if s.Deleted || s.view.Status != "active" && s.view.Status != "requested" {
			continue
		}
		q, err := parseCriteria(s.view.Criteria)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(written, q.matches) {
			h.enqueue(hook{c.id, id})
		}
	}
}

func (h *hooks) enqueue(k hook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting[k] {
		return
	}
	select {
	case h.queue <- k:
		h.waiting[k] = true
	default: // a notification is a hint: the poll finds what a full queue loses
	}
}

func (h *hooks) deliverAll() {
	for {
		select {
		case <-h.ctx.Done():
			return
		case k := <-h.queue:
			h.mu.Lock()
			delete(h.waiting, k)
			h.mu.Unlock()
			h.deliver(k)
		}
	}
}

// deliver posts one notification, a few times when it must, and switches the subscription to
// "error" when nobody takes it, as R4 wants.
func (h *hooks) deliver(k hook) {
	c, ok := h.d.clinic(k.clinic)
	if !ok {
		return
	}
	c.mu.RLock()
	s, ok := c.docs[typeSubscription][k.subscription]
	c.mu.RUnlock()
	if !ok || s.Deleted {
		return
	}
	pause := hookPause
	for attempt := range hookAttempts {
		if attempt > 0 {
			select {
			case <-h.ctx.Done():
				return
			case <-time.After(pause):
			}
			pause *= 2
		}
		if h.post(s.view.Channel) {
			h.mark(c, s, "active")
			return
		}
	}
	h.mark(c, s, "error")
}

func (h *hooks) post(ch channel) bool {
	r, err := http.NewRequestWithContext(h.ctx, http.MethodPost, ch.Endpoint, http.NoBody)
	if err != nil {
		return false
	}
	for _, line := range ch.Header {
		name, value, _ := strings.Cut(line, ":")
		r.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	resp, err := h.d.cfg.Client.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode < http.StatusMultipleChoices
}

func (h *hooks) mark(c *clinic, was *doc, status string) {
	if h.ctx.Err() != nil || was.view.Status == status {
		return
	}
	err := h.d.write(c, func(ch *change) error {
		s, ok := ch.get(typeSubscription, was.ID)
		if !ok || s.Deleted || s.Version != was.Version {
			return nil // it was replaced meanwhile; this outcome is not about the new one
		}
		return ch.edit(s, map[string]any{"status": status})
	})
	if err != nil {
		h.d.cfg.Log.Warn("sandbox: a subscription's status was not kept", "clinic", c.id, "err", err)
	}
}
