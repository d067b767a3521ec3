package twilio_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/sandbox"
	"relais/transport/twilio"
)

// TestLookAfterALostAnswer: the carrier took a message, its answer and its receipts were lost, and
// asking finds it.
func TestLookAfterALostAnswer(t *testing.T) {
	w := newWorld(t)
	if err := w.carrier.SetChaos(sandbox.Chaos{Timeout: 1, Lost: 1}); err != nil {
		t.Fatal(err)
	}
	if out := w.client.Send(t.Context(), sms()); out.Status != engine.Unknown {
		t.Fatalf("outcome %+v", out)
	}
	w.shown(t, "delivered", status("delivered"))
	r, ok, err := w.client.Look(t.Context(), sms(), "")
	if err != nil || !ok || r.Status != engine.ReceiptDelivered || r.Attempt != attempt || !strings.HasPrefix(r.Ref, "SM") || r.At.IsZero() {
		t.Fatalf("%+v %v %v", r, ok, err)
	}
	if again, ok, err := w.client.Look(t.Context(), sms(), r.Ref); err != nil || !ok || again.Status != r.Status {
		t.Errorf("by its identifier: %+v %v %v", again, ok, err)
	}
	other := sms()
	other.Text = "Autre chose."
	if r, ok, err := w.client.Look(t.Context(), other, ""); !ok || r.Status != engine.ReceiptAbsent || err != nil {
		t.Errorf("other words: %+v %v", r, err)
	}
	other = sms()
	other.Phone = "+15145550177"
	if r, ok, err := w.client.Look(t.Context(), other, ""); !ok || r.Status != engine.ReceiptAbsent || err != nil {
		t.Errorf("somebody else: %+v %v", r, err)
	}
	if _, _, err := w.client.Look(t.Context(), sms(), "SM00000000000000000000000000000000"); engine.CodeOf(err) != engine.NotFound {
		t.Errorf("another account's: %v", err)
	}
	// The same words twice: nobody can say which of the two it is.
	w.client.Send(t.Context(), sms())
	w.shown(t, "both", func(i []sandbox.Item) bool { return len(i) == 2 })
	if r, ok, err := w.client.Look(t.Context(), sms(), ""); ok || err != nil {
		t.Errorf("two alike: %+v %v", r, err)
	}
}

func TestLookAtCalls(t *testing.T) {
	w := newWorld(t)
	if err := w.carrier.SetChaos(sandbox.Chaos{Timeout: 1}); err != nil {
		t.Fatal(err)
	}
	if r, ok, err := w.client.Look(t.Context(), call(), ""); !ok || r.Status != engine.ReceiptAbsent || err != nil {
		t.Errorf("no call yet: %v %v", ok, err)
	}
	if out := w.client.Send(t.Context(), call()); out.Status != engine.Unknown {
		t.Fatalf("outcome %+v", out)
	}
	w.shown(t, "rung out", status("missed"))
	r, ok, err := w.client.Look(t.Context(), call(), "")
	if err != nil || !ok || r.Status != engine.ReceiptFailed || r.Reason != engine.Unreached {
		t.Fatalf("%+v %v %v", r, ok, err)
	}
	if again, ok, err := w.client.Look(t.Context(), call(), r.Ref); err != nil || !ok || again.Reason != engine.Unreached {
		t.Errorf("by its identifier: %+v %v %v", again, ok, err)
	}
}

// TestLookReads goes through what Twilio may list.
func TestLookReads(t *testing.T) {
	at := func(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format(time.RFC1123Z) }
	now, long := at(0), at(7*time.Hour)
	item := func(body, status, made, more string) string {
		return `{"sid":"SM1","direction":"outbound-api","status":"` + status + `","body":"` + body + `","date_created":"` + made + `"` + more + `}`
	}
	words := sms().Text
	for name, x := range map[string]struct {
		items string
		want  engine.ReceiptStatus
		why   engine.Reason
		since time.Duration // it was handed over; 0: nobody says
	}{
		"deleted, made then":     {item("", "delivered", at(30*time.Second), ""), engine.ReceiptDelivered, "", 31 * time.Second},
		"deleted, made before":   {item("", "delivered", at(time.Minute), ""), engine.ReceiptAbsent, "", 31 * time.Second},
		"deleted, made later":    {item("", "delivered", at(0), ""), engine.ReceiptAbsent, "", 2 * time.Minute},
		"deleted, two made then": {item("", "delivered", at(30*time.Second), "") + "," + item("", "sent", at(20*time.Second), ""), "", "", 31 * time.Second},
		"deleted, still queued":  {item("", "queued", at(30*time.Second), ""), "", "", 31 * time.Second},
		"delivered":              {item(words, "delivered", now, ""), engine.ReceiptDelivered, "", 0},
		"failed":                 {item(words, "undelivered", now, `,"error_code":30006`), engine.ReceiptFailed, engine.Landline, 0},
		"still queued":           {item(words, "queued", now, ""), "", "", 0},
		"long ago":               {item(words, "delivered", long, ""), engine.ReceiptAbsent, "", 0},
		"words deleted":          {item("", "delivered", now, ""), "", "", 0},
		"one deleted":            {item(words, "delivered", now, "") + "," + item("", "delivered", now, ""), "", "", 0},
		"an answer of them":      {strings.Replace(item(words, "received", now, ""), "outbound-api", "inbound", 1), engine.ReceiptAbsent, "", 0},
		"nothing":                {"", engine.ReceiptAbsent, "", 0},
	} {
		c := client(t, answer(http.StatusOK, "", `{"messages":[`+x.items+`]}`), nil)
		m := sms()
		if x.since > 0 {
			m.Handed = time.Now().Add(-x.since)
		}
		r, ok, err := c.Look(t.Context(), m, "")
		if err != nil || ok != (x.want != "") || r.Status != x.want || r.Reason != x.why {
			t.Errorf("%s: %+v %v %v", name, r, ok, err)
		}
	}
	for by, want := range map[string]engine.ReceiptStatus{"human": engine.ReceiptAnswered, "machine_end_beep": engine.ReceiptMachine, "": engine.ReceiptSent} {
		c := client(t, answer(http.StatusOK, "", `{"sid":"CA1","status":"completed","answered_by":"`+by+`"}`), nil)
		if r, ok, err := c.Look(t.Context(), call(), "CA1"); err != nil || !ok || r.Status != want {
			t.Errorf("answered by %q: %+v %v", by, r, err)
		}
	}
	c := client(t, answer(http.StatusServiceUnavailable, "", `x`), nil)
	if _, _, err := c.Look(t.Context(), sms(), ""); engine.CodeOf(err) != engine.Unavailable || strings.Contains(err.Error(), patient) {
		t.Errorf("down: %v", err)
	}
	m := sms()
	m.Channel = engine.EmailMail
	if _, _, err := c.Look(t.Context(), m, ""); engine.CodeOf(err) != engine.Invalid {
		t.Errorf("mail: %v", err)
	}
}

// TestTwoAccounts: both accounts' webhooks are taken, each by its own token.
func TestTwoAccounts(t *testing.T) {
	b := &backend{changed: make(chan struct{}, 1)}
	var bounced []string
	handler, err := twilio.Hooks(twilio.HooksConfig{
		Accounts:   []twilio.HooksAccount{{Name: "first", AuthToken: "another"}, {Name: "second", AuthToken: token}},
		PublicBase: public, Bounced: func(name string, to engine.Phone) { bounced = append(bounced, name+" "+string(to)) },
	}, b)
	if err != nil {
		t.Fatal(err)
	}
	h := &hooked{Handler: handler, backend: b}
	stop := inbound()
	stop.Set("Body", "ARRET")
	if w := h.post("/hooks/twilio/sms", stop, nil); w.Code != http.StatusOK || len(b.replies) != 1 || b.replies[0].Intent != engine.Stop {
		t.Errorf("%d %+v", w.Code, b.replies)
	}
	path := "/hooks/twilio/status/" + string(attempt)
	for code, n := range map[string]int{"30006": 0, "30410": 1} {
		bounced = nil
		f := inbound()
		f.Set("To", patient)
		f.Set("MessageStatus", "undelivered")
		f.Set("ErrorCode", code)
		h.post(path, f, nil)
		if len(bounced) != n || n == 1 && bounced[0] != "second "+patient {
			t.Errorf("%s: %q", code, bounced)
		}
	}
	if w := h.post("/hooks/twilio/sms", inbound(), func(r *http.Request) { r.Header.Set("X-Twilio-Signature", "x") }); w.Code != http.StatusForbidden {
		t.Errorf("neither's: %d", w.Code)
	}
}

// TestNine puts the person through to the clinic, from our own number.
func TestNine(t *testing.T) {
	w := newWorld(t)
	out := w.client.Send(t.Context(), call())
	w.until(t, "ringing", func() bool { return w.has(engine.ReceiptSent) })
	if err := w.carrier.Answer(out.Ref); err != nil {
		t.Fatal(err)
	}
	w.shown(t, "the prompt", func(i []sandbox.Item) bool { return len(i[0].Said) > 0 })
	if err := w.carrier.Press(out.Ref, "9"); err != nil {
		t.Fatal(err)
	}
	items := w.shown(t, "the end", status("ended"))
	var said []string
	for _, l := range items[0].Said {
		said = append(said, l.Say)
	}
	got := strings.Join(said, " | ")
	for _, want := range []string{"Nous vous mettons en communication avec la clinique.", "(+15145550110)", "5 1 4 5 5 5 0 1 1 0"} {
		if !strings.Contains(got, want) {
			t.Errorf("said %q, without %q", got, want)
		}
	}
	if len(w.replies) != 0 {
		t.Errorf("replies %+v", w.replies)
	}
	w.until(t, "the proof", func() bool { return w.has(engine.ReceiptDelivered) })
}
