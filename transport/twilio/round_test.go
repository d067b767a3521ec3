package twilio_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/sandbox"
	"relais/transport/twilio"
)

// backend is a small Relais: it remembers what comes and answers yes with "booked".
type backend struct {
	mu       sync.Mutex
	changed  chan struct{} // capacity 1
	replies  []engine.Reply
	receipts []engine.Receipt
	heard    []engine.AnswerKind
	over     bool
	broken   bool
}

func (b *backend) poke() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

func (b *backend) Reply(_ context.Context, r engine.Reply) (engine.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return engine.Answer{}, engine.Errorf(engine.Unavailable, "down")
	}
	b.replies = append(b.replies, r)
	b.poke()
	if r.Intent == engine.Yes {
		return engine.Answer{Kind: engine.AnsBooked, Lang: engine.French, Text: "C'est confirmé <mardi> & merci."}, nil
	}
	if r.Intent == engine.Unclear {
		return engine.Answer{Kind: engine.AnsUnclear, Lang: engine.French, Text: "La clinique vous lira."}, nil
	}
	return engine.Answer{Kind: engine.AnsDeclined}, nil
}

func (b *backend) Receipt(_ context.Context, r engine.Receipt) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return engine.Errorf(engine.Unavailable, "down")
	}
	b.receipts = append(b.receipts, r)
	b.poke()
	return nil
}

func (b *backend) Script(_ context.Context, _ engine.AttemptID, lang engine.Lang) (engine.Script, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return engine.Script{}, engine.Errorf(engine.NotFound, "over")
	}
	if b.broken {
		return engine.Script{}, engine.Errorf(engine.Unavailable, "down")
	}
	s := *call().Say
	s.Clinic = "514 555-0110"
	if lang == engine.English {
		s.Lang, s.Prompt, s.Goodbye = lang, "Hello.", "Goodbye."
	}
	return s, nil
}

func (b *backend) Called(_ context.Context, from engine.Phone) (engine.AttemptID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.broken:
		return "", engine.Errorf(engine.Unavailable, "down")
	case from != patient || b.over:
		return "", engine.Errorf(engine.NotFound, "none")
	}
	return attempt, nil
}

func (b *backend) Heard(_ context.Context, _ engine.AttemptID, k engine.AnswerKind) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, k)
	b.poke()
	return nil
}

func (b *backend) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// until waits for something to be true of what came.
func (b *backend) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for {
		b.mu.Lock()
		done := ok()
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-b.changed:
		case <-limit.C:
			t.Fatalf("never came: %s\nreplies %+v\nreceipts %+v", what, b.replies, b.receipts)
		}
	}
}

func (b *backend) has(s engine.ReceiptStatus) bool {
	return slices.ContainsFunc(b.receipts, func(r engine.Receipt) bool { return r.Status == s && r.Attempt == attempt })
}

// world is a sandbox carrier, the adapter and its webhooks, joined over loopback.
type world struct {
	*backend
	client   *twilio.Client
	carrier  *sandbox.CarrierServer
	wall     *sandbox.Wall
	rejected int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{backend: &backend{changed: make(chan struct{}, 1)}}
	var err error
	if w.wall, err = sandbox.OpenWall("", []sandbox.Person{{Name: "Luc Roy", Phone: patient, Lang: "fr"}}, nil); err != nil {
		t.Fatal(err)
	}
	w.carrier, err = sandbox.StartCarrier(sandbox.CarrierConfig{
		Wall: w.wall, AccountSID: account, AuthToken: token, From: sender, Second: 4 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	var hooks http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { hooks.ServeHTTP(rw, r) }))
	w.client = clientOf(t, w.carrier.BaseURL(), func(c *twilio.Config) { c.PublicBase = server.URL })
	hooks, err = twilio.Hooks(twilio.HooksConfig{
		Accounts: []twilio.HooksAccount{{Name: "first", AuthToken: token, Client: w.client}}, PublicBase: server.URL,
		Rejected: func() { w.set(func() { w.rejected++ }) },
	}, w.backend)
	if err != nil {
		t.Fatal(err)
	}
	w.carrier.SetSmsURL(server.URL + "/hooks/twilio/sms")
	w.carrier.SetCallURL(server.URL + "/hooks/twilio/call")
	t.Cleanup(func() {
		_ = w.carrier.Close()
		server.Close()
		_ = w.wall.Close()
		if w.rejected != 0 {
			t.Errorf("%d webhooks of the carrier were rejected", w.rejected)
		}
	})
	return w
}

// shown waits until the wall shows what ok wants in the patient's thread.
func (w *world) shown(t *testing.T, what string, ok func([]sandbox.Item) bool) []sandbox.Item {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		items := w.wall.Threads()[0].Items
		if ok(items) {
			return items
		}
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("never shown: %s\n%+v", what, items)
		}
	}
}

func status(s string) func([]sandbox.Item) bool {
	return func(items []sandbox.Item) bool { return len(items) > 0 && items[len(items)-1].Status == s }
}

func TestTextAndReply(t *testing.T) {
	w := newWorld(t)
	out := w.client.Send(t.Context(), sms())
	if out.Status != engine.Accepted {
		t.Fatalf("outcome %+v", out)
	}
	w.until(t, "delivered", func() bool { return w.has(engine.ReceiptSent) && w.has(engine.ReceiptDelivered) })
	if w.receipts[0].Ref != out.Ref {
		t.Errorf("receipt %+v of %s", w.receipts[0], out.Ref)
	}
	th := w.wall.Threads()[0]
	if th.Name != "Luc Roy" || th.Items[0].Text != sms().Text {
		t.Errorf("thread %+v", th)
	}
	if err := w.carrier.Text(th.ID, "Oui!"); err != nil {
		t.Fatal(err)
	}
	items := w.shown(t, "the answer", func(i []sandbox.Item) bool { return len(i) == 3 })
	if !items[1].Mine || items[2].Mine || items[2].Text != "C'est confirmé <mardi> & merci." {
		t.Errorf("items %+v", items)
	}
	r := w.replies[0]
	if r.Intent != engine.Yes || string(r.Phone) != patient || r.Channel != engine.SMS || r.ID == "" || r.Text != "Oui!" {
		t.Errorf("reply %+v", r)
	}
}

func TestBackendDown(t *testing.T) {
	w := newWorld(t)
	w.set(func() { w.broken = true })
	if err := w.carrier.Text(w.wall.Threads()[0].ID, "OUI"); err != nil {
		t.Fatal(err)
	}
	items := w.shown(t, "the answer", func(i []sandbox.Item) bool { return len(i) == 2 })
	if items[1].Text != "Désolé, votre réponse n'a pas pu être enregistrée. Réessayez dans quelques minutes." {
		t.Errorf("answer %q", items[1].Text)
	}
}

func TestFailureAfterAcceptance(t *testing.T) {
	w := newWorld(t)
	if err := w.carrier.SetFaults(sandbox.Carrier{FailShare: 100}); err != nil {
		t.Fatal(err)
	}
	w.client.Send(t.Context(), sms())
	w.until(t, "failed", func() bool {
		return slices.ContainsFunc(w.receipts, func(r engine.Receipt) bool {
			return r.Status == engine.ReceiptFailed && r.Reason == engine.Unreached
		})
	})
	w.shown(t, "failed", status("failed"))
}

func TestCarrierDown(t *testing.T) {
	w := newWorld(t)
	if err := w.carrier.SetFaults(sandbox.Carrier{Down: true}); err != nil {
		t.Fatal(err)
	}
	if out := w.client.Send(t.Context(), sms()); out.Status != engine.Failed || out.Reason != engine.CarrierDown || !out.Retry {
		t.Errorf("outcome %+v", out)
	}
}

func TestMagicNumbers(t *testing.T) {
	w := newWorld(t)
	for phone, want := range map[engine.Phone]engine.Reason{
		"+15005550001": engine.BadContact, "+15005550002": engine.BadContact,
		"+15005550004": engine.OptedOut, "+15005550009": engine.BadContact, "5": engine.BadContact,
	} {
		m := sms()
		m.Phone = phone
		if out := w.client.Send(t.Context(), m); out.Status != engine.Failed || out.Reason != want {
			t.Errorf("%s: %+v", string(phone), out)
		}
	}
}

func TestCallAnsweredWithAKey(t *testing.T) {
	w := newWorld(t)
	out := w.client.Send(t.Context(), call())
	w.shown(t, "ringing", status("ringing"))
	w.until(t, "ringing", func() bool { return w.has(engine.ReceiptSent) })
	if err := w.carrier.Answer(out.Ref); err != nil {
		t.Fatal(err)
	}
	w.shown(t, "the prompt", func(i []sandbox.Item) bool { return len(i[0].Said) > 0 && i[0].Said[0].Say == "Bonjour." })
	if err := w.carrier.Press(out.Ref, "1"); err != nil {
		t.Fatal(err)
	}
	items := w.shown(t, "the end", status("ended"))
	last := items[0].Said[len(items[0].Said)-1]
	if last.Say != "C'est confirmé <mardi> & merci." {
		t.Errorf("said %+v", items[0].Said)
	}
	r := w.replies[0]
	if r.Intent != engine.Yes || r.Attempt != attempt || r.Channel != engine.Voice || r.ID != out.Ref || r.Phone != "" {
		t.Errorf("reply %+v", r)
	}
	w.until(t, "the proof", func() bool { return w.has(engine.ReceiptDelivered) })
}

func TestCallAnsweredInWords(t *testing.T) {
	w := newWorld(t)
	out := w.client.Send(t.Context(), call())
	w.shown(t, "ringing", status("ringing"))
	w.until(t, "ringing", func() bool { return w.has(engine.ReceiptSent) })
	if err := w.carrier.Answer(out.Ref); err != nil {
		t.Fatal(err)
	}
	w.shown(t, "the prompt", func(i []sandbox.Item) bool { return len(i[0].Said) > 0 })
	if err := w.carrier.Press(out.Ref, "oui"); err != nil {
		t.Fatal(err)
	}
	w.shown(t, "the end", status("ended"))
	if r := w.replies[0]; r.Intent != engine.Yes {
		t.Errorf("reply %+v", r)
	}
}

func TestCallWithoutAKey(t *testing.T) {
	w := newWorld(t)
	out := w.client.Send(t.Context(), call())
	w.until(t, "ringing", func() bool { return w.has(engine.ReceiptSent) })
	if err := w.carrier.Answer(out.Ref); err != nil {
		t.Fatal(err)
	}
	items := w.shown(t, "the end", status("ended"))
	var said []string
	for _, l := range items[0].Said {
		said = append(said, l.Say)
	}
	if want := []string{"Bonjour.", "Pour cesser, le 8.", "In English, 3.", "Bonjour.", "Pour cesser, le 8.", "In English, 3.", "Au revoir."}; !slices.Equal(said, want) {
		t.Errorf("said %q", said)
	}
	// A person heard the whole prompt.
	w.until(t, "proof", func() bool { return w.has(engine.ReceiptDelivered) })
	if len(w.replies) != 0 {
		t.Errorf("replies %+v", w.replies)
	}
}

func TestCallNobodyAnswers(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(*world, string) error
		want engine.Reason
	}{
		"rings out": {func(*world, string) error { return nil }, engine.Unreached},
		"refused":   {func(w *world, sid string) error { return w.carrier.HangUp(sid) }, engine.Busy},
		"cancelled": {func(w *world, sid string) error {
			return w.client.Abort(context.Background(), sid, engine.French, "Trop tard.")
		}, engine.Dropped},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			out := w.client.Send(t.Context(), call())
			w.shown(t, "ringing", func(i []sandbox.Item) bool { return len(i) > 0 })
			if err := end.do(w, out.Ref); err != nil {
				t.Fatal(err)
			}
			w.until(t, "the failure", func() bool {
				return slices.ContainsFunc(w.receipts, func(r engine.Receipt) bool {
					return r.Status == engine.ReceiptFailed && r.Reason == end.want
				})
			})
		})
	}
}

func TestAbortLiveCall(t *testing.T) {
	w := newWorld(t)
	out := w.client.Send(t.Context(), call())
	w.until(t, "ringing", func() bool { return w.has(engine.ReceiptSent) })
	if err := w.carrier.Answer(out.Ref); err != nil {
		t.Fatal(err)
	}
	w.shown(t, "the prompt", func(i []sandbox.Item) bool { return len(i[0].Said) > 0 })
	if err := w.client.Abort(t.Context(), out.Ref, engine.French, "Ce rendez-vous vient d'être pris."); err != nil {
		t.Fatal(err)
	}
	items := w.shown(t, "the end", status("ended"))
	if last := items[0].Said[len(items[0].Said)-1].Say; last != "Ce rendez-vous vient d'être pris." {
		t.Errorf("last said %q", last)
	}
	// A call that is over is nothing to worry about; one that was never there is another account's.
	for _, say := range []string{"Encore.", ""} {
		if err := w.client.Abort(t.Context(), out.Ref, engine.French, say); err != nil {
			t.Errorf("over, %q: %v", say, err)
		}
		err := w.client.Abort(t.Context(), "CA00000000000000000000000000000000", engine.French, say)
		if engine.CodeOf(err) != engine.NotFound {
			t.Errorf("never there, %q: %v", say, err)
		}
	}
}

func TestOfferOverWhenPickedUp(t *testing.T) {
	w := newWorld(t)
	w.set(func() { w.over = true })
	out := w.client.Send(t.Context(), call())
	w.until(t, "ringing", func() bool { return w.has(engine.ReceiptSent) })
	if err := w.carrier.Answer(out.Ref); err != nil {
		t.Fatal(err)
	}
	items := w.shown(t, "the end", status("ended"))
	if said := items[0].Said; len(said) != 1 || said[0].Say != "Ce rendez-vous n'est plus offert. Votre place sur la liste d'attente est gardée. Au revoir." {
		t.Errorf("said %+v", said)
	}
}

func BenchmarkSend(b *testing.B) {
	wall, err := sandbox.OpenWall("", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = wall.Close() }()
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer hooks.Close()
	carrier, err := sandbox.StartCarrier(sandbox.CarrierConfig{Wall: wall, AccountSID: account, AuthToken: token, From: sender})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = carrier.Close() }()
	c := clientOf(b, carrier.BaseURL(), func(c *twilio.Config) { c.PublicBase = hooks.URL })
	m := sms()
	b.SetParallelism(8)
	var limited atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			switch out := c.Send(b.Context(), m); {
			case out.Reason == engine.RateLimited:
				limited.Add(1)
			case out.Status != engine.Accepted:
				b.Errorf("%+v", out)
				return
			}
		}
	})
	if n := limited.Load(); n > 0 {
		b.Logf("%d refused for the carrier's queue", n)
	}
}
