// Package webhook tells programs outside what happens to a clinic's slots: one signed POST for each event, in
// order, at least once. Signatures follow Standard Webhooks 1.0 (standardwebhooks.com), so that receivers can
// check them with a library of theirs.
//
// A Sender follows a clinic's timeline with a cursor, so nothing is lost over a restart, and an event that was
// taken before the cursor was kept comes once more, with the same identifier. While a receiver fails its events
// wait and are tried again after a growing time, for Patience at most each; the events behind them wait too.
//
// A Sender is used by one goroutine, in Run. No event says who a patient is.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/engine"
)

// Event is one thing that happened.
type Event struct {
	Seq    uint64 // its place in the clinic's timeline
	Type   string // one of Types
	At     time.Time
	Clinic engine.ClinicID
	Slot   engine.Slot // of a slot that is not kept any more only the identifier is known
	Offer  engine.OfferID
	Detail map[string]string // counts, channels, words of closed lists, references of the record system
}

// Types are the events that there are.
var Types = []string{
	"slot.opened", "slot.approved", "slot.wave", "slot.claimed", "slot.booked", "slot.refused", "slot.taken", "slot.paused",
	"slot.unpaused", "slot.suspended", "slot.resumed", "slot.withdrawn", "slot.expired", "slot.exhausted",
	"offer.made", "offer.reminded", "offer.declined", "offer.unreached", "offer.late", "offer.ended",
	"appointment.given_up", "appointment.cancelled", "appointment.kept",
}

// Limits of a Sender.
const (
	Patience = 72 * time.Hour   // an event that nobody took for so long is given up
	timeout  = 15 * time.Second // of one POST
	slowest  = 2 * time.Hour    // between two tries
	quickest = 5 * time.Second
	batch    = 200     // events read at once
	mostBody = 4 << 10 // of an answer, which is thrown away
)

// Source is the clinic's timeline.
type Source interface {
	// Events returns what happened after a place of the timeline, in order, and the last place that was read.
	Events(ctx context.Context, after uint64, limit int) (events []Event, next uint64, err error)
	// Cursor returns the place that Keep kept last; for a new subscription the newest one.
	Cursor(ctx context.Context) (uint64, error)
	Keep(ctx context.Context, place uint64) error
}

// Observer counts what came of events: Sent, Retried, Dropped. It must not block.
type Observer func(what string)

// What an Observer is told.
const (
	Sent    = "sent"
	Retried = "retried"
	Dropped = "dropped" // Patience was over, or the receiver is gone (410)
)

// Config is one subscription.
type Config struct {
	URL      string
	Secret   string   // the key, or whsec_ and the key in base64
	Types    []string // empty: all
	Source   Source
	Every    time.Duration // between looks at the timeline; 0: 1 s
	Observer Observer      // nil: nobody counts
	Log      *slog.Logger
	Client   *http.Client // nil: one that follows no redirect
	Now      func() time.Time
}

// Sender delivers one subscription.
type Sender struct {
	cfg  Config
	key  []byte
	host string // for the log
}

// New checks a subscription.
func New(cfg Config) (*Sender, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("the address of a webhook is an https URL")
	}
	key := []byte(cfg.Secret)
	if coded, ok := strings.CutPrefix(cfg.Secret, "whsec_"); ok {
		if key, err = base64.StdEncoding.DecodeString(coded); err != nil {
			return nil, errors.New("the secret of a webhook after whsec_ is base64")
		}
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, errors.New("the secret of a webhook has 24 to 64 bytes")
	}
	for _, t := range cfg.Types {
		if !slices.Contains(Types, t) {
			return nil, fmt.Errorf("%q is no event; they are %s", t, strings.Join(Types, ", "))
		}
	}
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Observer == nil {
		cfg.Observer = func(string) {}
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Sender{cfg: cfg, key: key, host: u.Host}, nil
}

// Run delivers until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	place, known := uint64(0), false
	for ctx.Err() == nil {
		if !known {
			var err error
			if place, err = s.cfg.Source.Cursor(ctx); err != nil {
				s.pause(ctx, quickest)
				continue
			}
			known = true
		}
		events, next, err := s.cfg.Source.Events(ctx, place, batch)
		if err != nil || next == place {
			s.pause(ctx, s.cfg.Every)
			continue
		}
		for _, e := range events {
			if (len(s.cfg.Types) > 0 && !slices.Contains(s.cfg.Types, e.Type)) || !slices.Contains(Types, e.Type) {
				continue
			}
			if !s.deliver(ctx, e) {
				return
			}
			place = e.Seq
			s.keep(ctx, place)
		}
		place = next
		s.keep(ctx, place)
	}
}

// keep moves the cursor. When that fails the events come once more after a restart.
func (s *Sender) keep(ctx context.Context, place uint64) {
	if err := s.cfg.Source.Keep(ctx, place); err != nil && ctx.Err() == nil {
		s.cfg.Log.Warn("the place of a webhook was not kept", "host", s.host, "error", err)
	}
}

func (s *Sender) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// deliver tries until the event is taken or given up; false means that ctx ended.
func (s *Sender) deliver(ctx context.Context, e Event) bool {
	body, err := Body(e)
	if err != nil {
		s.cfg.Log.Error("a webhook cannot be written", "event", e.Type, "error", err)
		return true
	}
	id := ID(e)
	for wait := quickest; ; wait = min(2*wait, slowest) {
		status, after, err := s.post(ctx, id, body)
		now := s.cfg.Now()
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil && status >= 200 && status < 300:
			s.cfg.Observer(Sent)
			return true
		case status == http.StatusGone || now.Sub(e.At) > Patience:
			s.cfg.Observer(Dropped)
			s.cfg.Log.Warn("a webhook was given up", "host", s.host, "event", e.Type, "clinic", e.Clinic, "seq", e.Seq, "status", status)
			return true
		}
		s.cfg.Observer(Retried)
		s.cfg.Log.Info("a webhook is tried again later", "host", s.host, "event", e.Type, "clinic", e.Clinic, "seq", e.Seq, "status", status)
		// Full jitter, so that many clinics do not come back to a receiver at the same moment.
		s.pause(ctx, max(after, time.Duration(rand.Int64N(int64(wait)))+wait/10)) //nolint:gosec // nobody gains by guessing it
	}
}

// post sends once. A status of 0 means that there was no answer; after is what Retry-After asks for.
func (s *Sender) post(ctx context.Context, id string, body []byte) (status int, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	at := s.cfg.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Relais")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", s.sign(id, at, body))
	res, err := s.cfg.Client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, mostBody) // so that the connection serves again
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
		after = min(time.Duration(n)*time.Second, slowest)
	}
	return res.StatusCode, after, nil
}

// Test sends one event of type "test" and returns the status of the answer and the time it took.
func (s *Sender) Test(ctx context.Context, c engine.ClinicID) (status int, took time.Duration, err error) {
	began := s.cfg.Now()
	body, err := Body(Event{Type: "test", At: began, Clinic: c})
	if err != nil {
		return 0, 0, err
	}
	status, _, err = s.post(ctx, "evt_test_"+strconv.FormatInt(began.UnixNano(), 36), body)
	return status, s.cfg.Now().Sub(began), err
}

// sign makes the symmetric signature of Standard Webhooks: HMAC-SHA256 over id, time and body.
func (s *Sender) sign(id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, s.key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// ID names an event: the same one however often it is sent.
func ID(e Event) string { return "evt_" + string(e.Clinic) + "_" + strconv.FormatUint(e.Seq, 10) }

// Body is what is posted for an event.
func Body(e Event) ([]byte, error) {
	type slot struct {
		ID           engine.SlotID         `json:"id"`
		Start        time.Time             `json:"start,omitzero"`
		End          time.Time             `json:"end,omitzero"`
		Practitioner engine.PractitionerID `json:"practitioner,omitempty"`
		Place        engine.PlaceID        `json:"place,omitempty"`
		Specialty    engine.Specialty      `json:"specialty,omitempty"`
		Source       string                `json:"source,omitempty"`
	}
	type data struct {
		Clinic engine.ClinicID   `json:"clinic"`
		Seq    uint64            `json:"seq"`
		Slot   slot              `json:"slot"`
		Offer  engine.OfferID    `json:"offer,omitempty"`
		Detail map[string]string `json:"detail,omitempty"`
	}
	return json.Marshal(struct {
		Type string    `json:"type"`
		At   time.Time `json:"timestamp"`
		Data data      `json:"data"`
	}{e.Type, e.At.UTC(), data{
		Clinic: e.Clinic, Seq: e.Seq, Offer: e.Offer, Detail: e.Detail,
		Slot: slot{e.Slot.ID, e.Slot.Start, e.Slot.End, e.Slot.Practitioner, e.Slot.Place, e.Slot.Specialty, e.Slot.Source},
	}})
}
