package twilio_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
	"relais/transport/twilio"
)

// slow is a backend whose answer takes its time.
type slow struct {
	*backend
	after time.Duration
	kind  engine.AnswerKind // of answers asked for before final
	final time.Time
}

func (s *slow) Reply(ctx context.Context, r engine.Reply) (engine.Answer, error) {
	select {
	case <-time.After(s.after):
	case <-ctx.Done():
		return engine.Answer{}, engine.Errorf(engine.Unavailable, "too late")
	}
	a, err := s.backend.Reply(ctx, r)
	if time.Now().Before(s.final) {
		a.Kind, a.Text = s.kind, "Nous finalisons."
	}
	return a, err
}

func (s *slow) Receipt(ctx context.Context, r engine.Receipt) error {
	select {
	case <-time.After(s.after):
	case <-ctx.Done():
		return engine.Errorf(engine.Unavailable, "too late")
	}
	return s.backend.Receipt(ctx, r)
}

// texts is a wire to Twilio that takes every text.
type texts struct{ sent chan url.Values }

func (x texts) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, err
	}
	x.sent <- form
	return &http.Response{
		StatusCode: http.StatusCreated, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"sid":"SM9"}`)), Request: r,
	}, nil
}

func slowHooks(t *testing.T, b *slow, wire texts) (h *hooked, took func() time.Duration) {
	t.Helper()
	c, err := twilio.New(twilio.Config{AccountSID: account, AuthToken: token, From: sender, PublicBase: public})
	if err != nil {
		t.Fatal(err)
	}
	twilio.SetWire(c, wire)
	var last time.Duration
	handler, err := twilio.Hooks(twilio.HooksConfig{
		Accounts: []twilio.HooksAccount{{AuthToken: token, Client: c}}, PublicBase: public,
		Took: func(_ string, d time.Duration) { last = d },
	}, b)
	if err != nil {
		t.Fatal(err)
	}
	return &hooked{Handler: handler, backend: b.backend}, func() time.Duration { return last }
}

// TestAnsweredWithinASecond: whatever the backend takes, the webhook is answered, the reply counts, and
// the text of its answer leaves once.
func TestAnsweredWithinASecond(t *testing.T) {
	for _, x := range []struct {
		after time.Duration
		later bool
	}{{0, false}, {800 * time.Millisecond, false}, {3 * time.Second, true}, {9 * time.Second, true}} {
		synctest.Test(t, func(t *testing.T) {
			wire := texts{make(chan url.Values, 4)}
			b := &slow{backend: &backend{changed: make(chan struct{}, 1)}, after: x.after}
			h, took := slowHooks(t, b, wire)
			body := h.post("/hooks/twilio/sms", inbound(), nil).Body.String()
			if took() >= time.Second || strings.Contains(body, "confirmé") == x.later {
				t.Errorf("%s: answered after %s with %s", x.after, took(), body)
			}
			time.Sleep(x.after + time.Second)
			synctest.Wait()
			if len(b.replies) != 1 || len(wire.sent) != map[bool]int{true: 1}[x.later] {
				t.Fatalf("%s: %d replies, %d texts", x.after, len(b.replies), len(wire.sent))
			}
			if !x.later {
				return
			}
			if form := <-wire.sent; form.Get("To") != "+15145550123" || !strings.Contains(form.Get("Body"), "confirmé") || form.Has("StatusCallback") {
				t.Errorf("%s: %v", x.after, form)
			}
		})
	}
}

// TestLateTrouble: who is owed an answer hears that there is none.
func TestLateTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := texts{make(chan url.Values, 4)}
		h, _ := slowHooks(t, &slow{backend: &backend{changed: make(chan struct{}, 1)}, after: time.Hour}, wire)
		h.post("/hooks/twilio/sms", inbound(), nil)
		stop := inbound()
		stop.Set("OptOutType", "STOP")
		h.post("/hooks/twilio/sms", stop, nil) // nothing is written to somebody who left
		time.Sleep(time.Minute)
		if len(wire.sent) != 1 || !strings.Contains((<-wire.sent).Get("Body"), "n'a pas pu") {
			t.Errorf("%d more texts", len(wire.sent))
		}
		if w := h.post("/hooks/twilio/status/"+string(attempt), url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"delivered"}}, nil); w.Code != http.StatusServiceUnavailable {
			t.Errorf("a receipt that was not kept: %d", w.Code)
		}
	})
}

// TestHangsUpAtTheAnswer: who hangs up after the first words of an answer has heard it, and who hangs up
// before them has not.
func TestHangsUpAtTheAnswer(t *testing.T) {
	for after, heard := range map[time.Duration]int{time.Second: 0, 5 * time.Second: 1} {
		synctest.Test(t, func(t *testing.T) {
			h := newHooks(t)
			call := url.Values{"CallSid": {"CA1"}, "Digits": {"1"}}
			h.post("/hooks/twilio/voice/"+string(attempt)+"/digits", call, nil)
			time.Sleep(after)
			over := url.Values{"CallSid": {"CA1"}, "CallStatus": {"completed"}}
			for range 2 { // the carrier says it twice
				h.post("/hooks/twilio/status/"+string(attempt), over, nil)
			}
			if len(h.heard) != heard || heard > 0 && h.heard[0] != engine.AnsBooked {
				t.Errorf("after %v: heard %v", after, h.heard)
			}
		})
	}
}

var redirect = regexp.MustCompile(`<Redirect>` + public + `([^<]+)</Redirect>`)

// TestOneMoment: a caller is asked to wait, and hears the answer that is final by then; that it was heard
// to its end is known only when the call comes back.
func TestOneMoment(t *testing.T) {
	for _, x := range []struct {
		name         string
		after, final time.Duration
		waits        bool
		says         string
		heard        engine.AnswerKind
	}{
		{"at once", 0, 0, false, "confirmé", engine.AnsBooked},
		{"the record system takes two seconds", 600 * time.Millisecond, 2 * time.Second, true, "confirmé", engine.AnsBooked},
		{"the record system takes an hour", 600 * time.Millisecond, time.Hour, true, "finalisons", engine.AnsFinalising},
		{"no answer at all", time.Hour, 0, true, "n&#39;a pas pu", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &slow{backend: &backend{changed: make(chan struct{}, 1)}, after: x.after, kind: engine.AnsFinalising, final: time.Now().Add(x.final)}
			h, took := slowHooks(t, b, texts{make(chan url.Values, 4)})
			in := url.Values{"CallSid": {"CA1"}, "Digits": {"1"}}
			body := h.post("/hooks/twilio/voice/"+string(attempt)+"/digits", in, nil).Body.String()
			if strings.Contains(body, "Un instant") != x.waits {
				t.Errorf("%s: %s", x.name, body)
			}
			for rounds := 0; !strings.Contains(body, x.says); rounds++ {
				to := redirect.FindStringSubmatch(body)
				if to == nil || rounds > 8 || took() >= time.Second {
					t.Fatalf("%s: round %d, after %s: %s", x.name, rounds, took(), body)
				}
				time.Sleep(time.Second) // the pause
				in.Del("Digits")
				body = h.post(strings.ReplaceAll(to[1], "&amp;", "&"), in, nil).Body.String()
			}
			if len(b.heard) != 0 {
				t.Errorf("%s: heard before it was said", x.name)
			}
			if x.heard == "" {
				time.Sleep(time.Minute) // what goes on after the webhooks ends as well
				return
			}
			to := redirect.FindStringSubmatch(body)
			if to == nil {
				t.Fatalf("%s: %s", x.name, body)
			}
			if body = h.post(to[1], in, nil).Body.String(); !strings.Contains(body, "<Hangup") || len(b.heard) != 1 || b.heard[0] != x.heard {
				t.Errorf("%s: %s, heard %v", x.name, body, b.heard)
			}
		})
	}
	h := newHooks(t)
	for _, q := range []string{"?intent=start&round=1", "?intent=yes", ""} {
		if w := h.post("/hooks/twilio/voice/"+string(attempt)+"/answer"+q, url.Values{"CallSid": {"CA1"}}, nil); w.Code != http.StatusNotFound || len(h.replies) > 0 {
			t.Errorf("%q: %d, %+v", q, w.Code, h.replies)
		}
	}
}
