package app

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"relais/actors"
	"relais/engine"
	"relais/engine/slot"
	"relais/storage"
	"relais/transport/webhook"
)

// WebhookConfig is a program outside that is told what happens to a clinic's slots.
type WebhookConfig struct {
	URL    string   `yaml:"url"`
	Secret Secret   `yaml:"secret"` // signs what is sent
	Events []string `yaml:"events"` // empty: all
}

const mostWebhooks = 10 // of a clinic

func (c *checker) webhooks(at string, hooks []WebhookConfig) {
	if len(hooks) > mostWebhooks {
		c.say(at, "has more than %d entries.", mostWebhooks)
	}
	for i, h := range hooks {
		at := fmt.Sprintf("%s[%d]", at, i)
		c.url(at+".url", h.URL)
		if _, err := h.sender(nil, nil, nil); err != nil {
			c.say(at, "is wrong: %v.", err)
		}
	}
}

func (h WebhookConfig) sender(src webhook.Source, note webhook.Observer, log *slog.Logger) (*webhook.Sender, error) {
	return webhook.New(webhook.Config{URL: h.URL, Secret: string(h.Secret), Types: h.Events, Source: src, Observer: note, Log: log})
}

// webhookTypes are the events of timelines that are told, by the name they are told under.
var webhookTypes = map[string]string{
	slot.EvOpened: "slot.opened", slot.EvApproved: "slot.approved", slot.EvWave: "slot.wave", slot.EvClaimed: "slot.claimed",
	slot.EvBooked: "slot.booked", slot.EvRefused: "slot.refused", slot.EvTaken: "slot.taken", slot.EvPaused: "slot.paused",
	slot.EvUnpaused: "slot.unpaused", slot.EvSuspended: "slot.suspended", slot.EvResumed: "slot.resumed",
	slot.EvWithdrawn: "slot.withdrawn", slot.EvExpired: "slot.expired", slot.EvExhausted: "slot.exhausted",
	slot.EvOffered: "offer.made", slot.EvReminded: "offer.reminded", slot.EvDeclined: "offer.declined",
	slot.EvUnreached: "offer.unreached", slot.EvLate: "offer.late", slot.EvEntryGone: "offer.ended",
	slot.EvGivenUp: "appointment.given_up", slot.EvCancelled: "appointment.cancelled", slot.EvKept: "appointment.kept",
}

// webhookSource is a clinic's timeline as one subscription follows it.
type webhookSource struct {
	store  storage.Store
	clinic engine.ClinicID
	key    storage.Key
}

// newWebhookSource keeps the cursor under a digest of the address, so that a subscription that is taken out and put
// back goes on where it was, and one with another address begins now.
func newWebhookSource(s storage.Store, c engine.ClinicID, url string) *webhookSource {
	sum := sha256.Sum256([]byte(url))
	return &webhookSource{s, c, storage.Key{Clinic: c, Kind: storage.KindMeta, ID: "webhook/" + hex.EncodeToString(sum[:8])}}
}

// Events implements webhook.Source.
func (w *webhookSource) Events(ctx context.Context, after uint64, limit int) ([]webhook.Event, uint64, error) {
	happened, next, err := actors.Happenings(ctx, w.store, w.clinic, after, limit)
	if err != nil {
		return nil, after, err
	}
	var events []webhook.Event
	for _, h := range happened {
		if name := webhookTypes[h.Event]; name != "" {
			events = append(events, webhook.Event{Seq: h.Seq, Type: name, At: h.At, Clinic: w.clinic, Slot: h.Slot, Offer: h.Offer, Detail: h.Detail})
		}
	}
	return events, next, nil
}

// Cursor implements webhook.Source.
func (w *webhookSource) Cursor(ctx context.Context) (uint64, error) {
	rec, err := w.store.Get(ctx, w.key)
	if errors.Is(err, storage.ErrNotFound) {
		place, err := actors.NewestSeq(ctx, w.store, w.clinic)
		if err != nil {
			return 0, err
		}
		return place, w.Keep(ctx, place)
	}
	if err != nil {
		return 0, err
	}
	if len(rec.Data) != 8 {
		return 0, errors.New("the cursor of a webhook cannot be read")
	}
	return binary.BigEndian.Uint64(rec.Data), nil
}

// Keep implements webhook.Source.
func (w *webhookSource) Keep(ctx context.Context, place uint64) error {
	rec, err := w.store.Get(ctx, w.key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	data := binary.BigEndian.AppendUint64(nil, place)
	return w.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: w.key, Expect: rec.Version, Data: data}}})
}

// webhooks runs the subscriptions of the clinics that run.
type webhooks struct {
	store storage.Store
	told  *prometheus.CounterVec
	log   *slog.Logger

	mu   sync.Mutex
	runs map[engine.ClinicID]func() // ends those of a clinic and waits until they ended
}

func newWebhooks(store storage.Store, m *metrics, log *slog.Logger) *webhooks {
	return &webhooks{store: store, told: m.webhooksOut, log: log, runs: map[engine.ClinicID]func(){}}
}

// set runs a clinic's subscriptions in place of those it had; none ends them.
func (w *webhooks) set(c engine.ClinicID, hooks []WebhookConfig) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if end := w.runs[c]; end != nil {
		end()
		delete(w.runs, c)
	}
	if len(hooks) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, h := range hooks {
		s, err := h.sender(newWebhookSource(w.store, c, h.URL), func(what string) { w.told.WithLabelValues(string(c), what).Inc() }, w.log)
		if err != nil {
			cancel()
			return err
		}
		running.Go(func() { s.Run(ctx) })
	}
	w.runs[c] = func() { cancel(); running.Wait() }
	return nil
}

func (p *program) startWebhooks() error {
	p.told = newWebhooks(p.store, p.metrics, p.log)
	p.closers = append(p.closers, p.told.close) // before the store
	for i := range p.cfg.Clinics {
		if err := p.told.set(engine.ClinicID(p.cfg.Clinics[i].ID), p.cfg.Clinics[i].Webhooks); err != nil {
			return err
		}
	}
	return nil
}

func (w *webhooks) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c, end := range w.runs {
		end()
		delete(w.runs, c)
	}
}

type webhookCommand struct {
	Check webhookCheck `cmd:"" help:"Send a test event to the programs that a clinic tells, and say what each answered."`
}

type webhookCheck struct {
	Clinic string `arg:"" help:"The clinic's id in the configuration."`
	Config string `help:"Configuration file; also RELAIS_CONFIG." placeholder:"FILE"`
}

// Help is printed below the flags.
func (webhookCheck) Help() string {
	return `The event has the type "test" and is signed as all are, so the receiver's own check is tried too. It is sent once.

docs/api.md says what is sent, and how to check a signature.`
}

// Run sends the test events.
func (w *webhookCheck) Run(ctx context.Context, io *streams) error {
	cfg, err := configOf(w.Config, io, "webhook check")
	if err != nil {
		return err
	}
	for i := range cfg.Clinics {
		if cl := &cfg.Clinics[i]; cl.ID == w.Clinic {
			return cl.testWebhooks(ctx, io)
		}
	}
	return &usageError{fmt.Errorf("no clinic of the configuration has the id %q", w.Clinic)}
}

func (cl *ClinicConfig) testWebhooks(ctx context.Context, io *streams) error {
	if len(cl.Webhooks) == 0 {
		return fmt.Errorf("clinic %s tells nobody; add webhooks to it", cl.ID)
	}
	failed := 0
	for _, h := range cl.Webhooks {
		s, err := h.sender(nil, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		status, took, err := s.Test(ctx, engine.ClinicID(cl.ID))
		switch {
		case err != nil:
			failed++
			fmt.Fprintf(io.out, "failed   %s: no answer: %v\n", h.URL, err)
		case status < 200 || status > 299:
			failed++
			fmt.Fprintf(io.out, "failed   %s: answered %d; 2xx means that the event was taken\n", h.URL, status)
		default:
			fmt.Fprintf(io.out, "ok       %s: answered %d after %s\n", h.URL, status, brief(took.Round(time.Millisecond)))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d programs did not take the test event", failed, len(cl.Webhooks))
	}
	return nil
}
