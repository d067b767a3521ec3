package twilio_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what Twilio signs with
	"encoding/base64"
	"encoding/xml"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"relais/engine"
	"relais/transport/twilio"
)

const public = "https://relais.example"

func sign(address string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	for _, k := range slices.Sorted(maps.Keys(form)) {
		mac.Write([]byte(k + form.Get(k)))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// hooked is the webhooks' handler with a backend behind it.
type hooked struct {
	http.Handler
	*backend
	rejected int
	log      strings.Builder
}

func newHooks(tb testing.TB) *hooked {
	tb.Helper()
	h := &hooked{backend: &backend{changed: make(chan struct{}, 1)}}
	var err error
	h.Handler, err = twilio.Hooks(twilio.HooksConfig{
		Accounts: []twilio.HooksAccount{{Name: "first", AuthToken: token}}, PublicBase: public, Rejected: func() { h.rejected++ },
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	}, h.backend)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// post sends a signed form; edit may spoil the request.
func (h *hooked) post(path string, form url.Values, edit func(*http.Request)) *httptest.ResponseRecorder {
	return h.raw(path, form.Encode(), func(r *http.Request) {
		r.Header.Set("X-Twilio-Signature", sign(public+path, form))
		if edit != nil {
			edit(r)
		}
	})
}

func (h *hooked) raw(path, body string, edit func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, strings.NewReader(body))
	r.RequestURI = path
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	edit(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func inbound() url.Values {
	return url.Values{"MessageSid": {"SM1"}, "From": {"+15145550123"}, "To": {sender}, "Body": {"oui"}}
}

func TestOnlySignedRequestsPass(t *testing.T) {
	good := inbound()
	sig := sign(public+"/hooks/twilio/sms", good)
	for name, x := range map[string]struct {
		path, body, sig string
	}{
		"unsigned":           {"/hooks/twilio/sms", good.Encode(), ""},
		"forged":             {"/hooks/twilio/sms", good.Encode(), "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
		"tampered":           {"/hooks/twilio/sms", strings.Replace(good.Encode(), "oui", "non", 1), sig},
		"appended duplicate": {"/hooks/twilio/sms", good.Encode() + "&From=%2B15145550199", sig},
		"prefixed duplicate": {"/hooks/twilio/sms", "From=%2B15145550199&" + good.Encode(), sig},
		"same duplicate":     {"/hooks/twilio/sms", good.Encode() + "&From=%2B15145550123", sig},
		"field added":        {"/hooks/twilio/sms", good.Encode() + "&x=1", sig},
		"query added":        {"/hooks/twilio/sms?x=1", good.Encode(), sig},
		"other hook":         {"/hooks/twilio/status/" + string(attempt), good.Encode(), sig},
		"not a form":         {"/hooks/twilio/sms", "%zz", sig},
	} {
		h := newHooks(t)
		w := h.raw(x.path, x.body, func(r *http.Request) {
			if x.sig != "" {
				r.Header.Set("X-Twilio-Signature", x.sig)
			}
			// What a proxy or an attacker says of the address counts for nothing.
			r.Host = "relais.example"
			r.Header.Set("X-Forwarded-Host", "relais.example")
		})
		if w.Code != http.StatusForbidden || h.rejected != 1 {
			t.Errorf("%s: status %d, rejected %d", name, w.Code, h.rejected)
		}
		if len(h.replies)+len(h.receipts) != 0 {
			t.Errorf("%s: reached the backend", name)
		}
	}
	h := newHooks(t)
	if w := h.post("/hooks/twilio/sms", good, func(r *http.Request) { r.Host = "elsewhere.example" }); w.Code != http.StatusOK {
		t.Errorf("the Host header matters: %d", w.Code)
	}
}

func TestOddRequests(t *testing.T) {
	h := newHooks(t)
	big := inbound()
	big.Set("Body", strings.Repeat("x", 70_000))
	if w := h.post("/hooks/twilio/sms", big, nil); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("large body: %d", w.Code)
	}
	if w := h.post("/hooks/twilio/sms", inbound(), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("JSON: %d", w.Code)
	}
	if w := h.post("/hooks/twilio/status/nonsense", inbound(), nil); w.Code != http.StatusNotFound {
		t.Errorf("malformed attempt: %d", w.Code)
	}
	if len(h.replies)+len(h.receipts) != 0 {
		t.Error("reached the backend")
	}
}

func TestInboundTexts(t *testing.T) {
	for _, x := range []struct {
		name   string
		edit   func(url.Values)
		intent engine.Intent // "" when the backend must not hear of it
		answer bool
	}{
		{"yes", func(url.Values) {}, engine.Yes, true},
		{"no, nothing to add", func(f url.Values) { f.Set("Body", "NON") }, engine.No, false},
		{"stop", func(f url.Values) { f.Set("Body", "Arrêt") }, engine.Stop, false},
		{"stop, answered by Twilio", func(f url.Values) { f.Set("Body", "oui"); f.Set("OptOutType", "STOP") }, engine.Stop, false},
		{"national number", func(f url.Values) { f.Set("From", "(514) 555-0123") }, engine.Yes, true},
		{"short code", func(f url.Values) { f.Set("From", "12345") }, "", false},
		{"name", func(f url.Values) { f.Set("From", "BANQUE") }, "", false},
		{"no sid", func(f url.Values) { f.Del("MessageSid") }, "", false},
	} {
		h := newHooks(t)
		f := inbound()
		x.edit(f)
		w := h.post("/hooks/twilio/sms", f, nil)
		var doc struct {
			XMLName xml.Name `xml:"Response"`
			Message string   `xml:"Message"`
		}
		if err := xml.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", x.name, w.Code, w.Body)
		}
		if (doc.Message != "") != x.answer {
			t.Errorf("%s: answer %q", x.name, doc.Message)
		}
		if x.intent == "" {
			if len(h.replies) != 0 {
				t.Errorf("%s: reply %+v", x.name, h.replies)
			}
			continue
		}
		if len(h.replies) != 1 || h.replies[0].Intent != x.intent || string(h.replies[0].Phone) != "+15145550123" {
			t.Errorf("%s: replies %+v", x.name, h.replies)
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	h := newHooks(t)
	f := inbound()
	f.Set("Body", strings.Repeat("é", 3000)+"\xff")
	h.post("/hooks/twilio/sms", f, nil)
	if n := len([]rune(h.replies[0].Text)); n != 1600 {
		t.Errorf("%d characters kept", n)
	}
}

func TestReceipts(t *testing.T) {
	for _, x := range []struct {
		form   string
		status engine.ReceiptStatus
		reason engine.Reason
	}{
		{"MessageSid=SM1&MessageStatus=queued", "", ""},
		{"MessageSid=SM1&MessageStatus=sent", engine.ReceiptSent, ""},
		{"MessageSid=SM1&MessageStatus=delivered", engine.ReceiptDelivered, ""},
		{"MessageSid=SM1&MessageStatus=read", engine.ReceiptDelivered, ""},
		{"MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30006", engine.ReceiptFailed, engine.Landline},
		{"MessageSid=SM1&MessageStatus=failed&ErrorCode=30007", engine.ReceiptFailed, engine.Filtered},
		{"MessageSid=SM1&MessageStatus=failed", engine.ReceiptFailed, engine.CarrierDown},
		{"MessageSid=SM1&MessageStatus=canceled", engine.ReceiptFailed, engine.Dropped},
		{"MessageSid=SM1&MessageStatus=new-word", "", ""},
		{"CallSid=CA1&CallStatus=initiated", "", ""},
		{"CallSid=CA1&CallStatus=ringing", engine.ReceiptSent, ""},
		{"CallSid=CA1&CallStatus=in-progress", engine.ReceiptSent, ""},
		{"CallSid=CA1&CallStatus=completed", "", ""},
		{"CallSid=CA1&CallStatus=busy", engine.ReceiptFailed, engine.Busy},
		{"CallSid=CA1&CallStatus=no-answer", engine.ReceiptFailed, engine.Unreached},
		{"CallSid=CA1&CallStatus=failed&SipResponseCode=404", engine.ReceiptFailed, engine.BadContact},
	} {
		h := newHooks(t)
		f, err := url.ParseQuery(x.form)
		if err != nil {
			t.Fatal(err)
		}
		w := h.post("/hooks/twilio/status/"+string(attempt), f, nil)
		if w.Code != http.StatusNoContent {
			t.Errorf("%s: status %d", x.form, w.Code)
		}
		if x.status == "" {
			if len(h.receipts) != 0 {
				t.Errorf("%s: %+v", x.form, h.receipts)
			}
			continue
		}
		if len(h.receipts) != 1 {
			t.Errorf("%s: %+v", x.form, h.receipts)
			continue
		}
		r := h.receipts[0]
		if r.Status != x.status || r.Reason != x.reason || r.Attempt != attempt || r.Ref == "" || r.At.IsZero() {
			t.Errorf("%s: %+v", x.form, r)
		}
	}
}

func TestMachines(t *testing.T) {
	path := "/hooks/twilio/amd/" + string(attempt)
	for by, want := range map[string]engine.ReceiptStatus{
		"human": engine.ReceiptAnswered, "machine_end_beep": engine.ReceiptMachine,
		"machine_start": engine.ReceiptMachine, "fax": engine.ReceiptFailed,
	} {
		h := newHooks(t)
		h.post(path, url.Values{"CallSid": {"CA1"}, "AnsweredBy": {by}}, nil)
		if len(h.receipts) != 1 || h.receipts[0].Status != want {
			t.Errorf("%s: %+v", by, h.receipts)
		}
	}
	// A greeting that says "oui" confirms nothing; a key does.
	h := newHooks(t)
	h.post(path, url.Values{"CallSid": {"CA1"}, "AnsweredBy": {"machine_start"}}, nil)
	digits := "/hooks/twilio/voice/" + string(attempt) + "/digits"
	h.post(digits, url.Values{"CallSid": {"CA1"}, "SpeechResult": {"oui"}, "Confidence": {"0.99"}}, nil)
	if len(h.replies) != 0 {
		t.Errorf("a machine confirmed: %+v", h.replies)
	}
	h.post(digits, url.Values{"CallSid": {"CA1"}, "Digits": {"1"}}, nil)
	if len(h.replies) != 1 {
		t.Errorf("replies %+v", h.replies)
	}
}

func TestVoicemail(t *testing.T) {
	said := make(chan string, 2)
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		said <- r.FormValue("Twiml") + r.FormValue("Status")
		answer(200, "", `{"sid":"CA1","status":"in-progress"}`)(w, r)
	}, nil)
	b := &backend{changed: make(chan struct{}, 1)}
	handler, err := twilio.Hooks(twilio.HooksConfig{Accounts: []twilio.HooksAccount{{AuthToken: token, Client: c}}, PublicBase: public}, b)
	if err != nil {
		t.Fatal(err)
	}
	h := &hooked{Handler: handler, backend: b}
	end := url.Values{"CallSid": {"CA1"}, "AnsweredBy": {"machine_end_beep"}}
	h.post("/hooks/twilio/amd/"+string(attempt), end, nil)
	if got := <-said; !strings.Contains(got, "Rappelez-nous.") || !strings.Contains(got, "<Hangup>") {
		t.Errorf("twiml %s", got)
	}
	b.over = true
	h.post("/hooks/twilio/amd/"+string(attempt), end, nil)
	if got := <-said; got != "completed" {
		t.Errorf("offer over: %s", got)
	}
}

func TestDigits(t *testing.T) {
	path := "/hooks/twilio/voice/" + string(attempt) + "/digits"
	for _, x := range []struct {
		name, query, form string
		intent            engine.Intent
		says              string
		asks              bool
	}{
		{"yes", "", "Digits=1", engine.Yes, "confirmé", false},
		{"no", "", "Digits=2", engine.No, "", false},
		{"other key", "", "Digits=7", "", "pas compris", true},
		{"no, in the English part", "?lang=en", "Digits=2", engine.No, "", false},
		{"English", "", "Digits=3", "", "Hello.", true},
		{"back to French", "?lang=en", "Digits=3", "", "Bonjour.", true},
		{"English, nothing", "?lang=en", "", "", "Hello.", true},
		{"English, nothing again", "?again=1&lang=en", "", "", "Goodbye.", false},
		{"English word", "?lang=en", "SpeechResult=yes&Confidence=0.8", engine.Yes, "confirmé", false},
		{"no such language", "?lang=de", "", "", "Bonjour.", true},
		{"nothing", "", "", "", "Bonjour.", true},
		{"nothing again", "?again=1", "", "", "Au revoir.", false},
		{"sure word", "", "SpeechResult=oui&Confidence=0.8", engine.Yes, "confirmé", false},
		{"unsure word", "", "SpeechResult=oui&Confidence=0.2", "", "pas compris", true},
		{"no confidence", "", "SpeechResult=oui", "", "pas compris", true},
		{"noise again", "?again=1", "SpeechResult=hein&Confidence=0.2", "", "Au revoir.", false},
		{"no more messages", "", "Digits=8", engine.Stop, "", false},
		{"stop, said", "", "SpeechResult=arrêtez&Confidence=0.9", engine.Stop, "", false},
		{"words", "", "SpeechResult=peut-être+mardi&Confidence=0.9", "", "pas compris", true},
		{"words again", "?again=1", "SpeechResult=peut-être+mardi&Confidence=0.9", engine.Unclear, "La clinique vous lira.", false},
	} {
		h := newHooks(t)
		f, err := url.ParseQuery("CallSid=CA1&" + x.form)
		if err != nil {
			t.Fatal(err)
		}
		body := h.post(path+x.query, f, nil).Body.String()
		if x.asks && (!strings.Contains(body, "Pour cesser, le 8.") || !strings.Contains(body, "In English, 3.")) {
			t.Errorf("%s: the choices are not said: %s", x.name, body)
		}
		if !strings.Contains(body, x.says) || strings.Contains(body, "<Gather") != x.asks || (strings.Contains(body, "<Hangup") || strings.Contains(body, "/heard?said=booked<")) == x.asks {
			t.Errorf("%s: %s", x.name, body)
		}
		if (len(h.replies) == 1) != (x.intent != "") || len(h.replies) == 1 && h.replies[0].Intent != x.intent {
			t.Errorf("%s: replies %+v", x.name, h.replies)
		}
	}
}

// TestCalledBack: who calls back the number that called them hears the offer and takes it; nothing is
// proven of the call or text that they did not answer.
func TestCalledBack(t *testing.T) {
	in := url.Values{"CallSid": {"CA9"}, "From": {patient}, "Direction": {"inbound"}}
	h := newHooks(t)
	body := h.post("/hooks/twilio/call", in, nil).Body.String()
	to := regexp.MustCompile(`action="` + public + `([^"]+)"`).FindStringSubmatch(body)
	if to == nil || !strings.Contains(body, "Bonjour.") {
		t.Fatal(body)
	}
	path := strings.ReplaceAll(to[1], "&amp;", "&")
	again := h.post(path, url.Values{"CallSid": {"CA9"}, "Digits": {""}}, nil).Body.String()
	if to = regexp.MustCompile(`action="` + public + `([^"]+)"`).FindStringSubmatch(again); to == nil || !strings.Contains(to[1], "in=1") {
		t.Fatal(again)
	}
	h.post(path, url.Values{"CallSid": {"CA9"}, "Digits": {"1"}}, nil)
	if len(h.replies) != 1 || h.replies[0].Intent != engine.Yes || h.replies[0].Attempt != attempt || len(h.receipts) != 0 {
		t.Errorf("replies %+v, receipts %+v", h.replies, h.receipts)
	}
	in.Set("From", "+15145550177")
	if body = h.post("/hooks/twilio/call", in, nil).Body.String(); !strings.Contains(body, "aucune offre") || !strings.Contains(body, "no open offer") {
		t.Errorf("a stranger hears %s", body)
	}
	in.Set("From", "anonymous")
	if body = h.post("/hooks/twilio/call", in, nil).Body.String(); !strings.Contains(body, "aucune offre") {
		t.Errorf("who hides their number hears %s", body)
	}
	h.broken = true
	in.Set("From", patient)
	if body = h.post("/hooks/twilio/call", in, nil).Body.String(); !strings.Contains(body, "Réessayez") {
		t.Errorf("while the store is down: %s", body)
	}
}

func TestBrokenBackendLogsNobody(t *testing.T) {
	h := newHooks(t)
	h.broken = true
	for path, form := range map[string]url.Values{
		"/hooks/twilio/sms":                                  inbound(),
		"/hooks/twilio/status/" + string(attempt):            {"MessageSid": {"SM1"}, "MessageStatus": {"sent"}, "To": {patient}},
		"/hooks/twilio/voice/" + string(attempt):             {"CallSid": {"CA1"}, "To": {patient}},
		"/hooks/twilio/voice/" + string(attempt) + "/digits": {"CallSid": {"CA1"}, "Digits": {"1"}, "To": {patient}},
	} {
		w := h.post(path, form, nil)
		want := http.StatusOK
		if strings.Contains(path, "status") {
			want = http.StatusServiceUnavailable
		}
		if w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if log := h.log.String(); !strings.Contains(log, "unavailable") || strings.Contains(log, "5145550123") || strings.Contains(log, "oui") {
		t.Errorf("log %s", log)
	}
}

// FuzzHooks sends signed forms of any shape: the answer is always well-formed and nothing panics.
func FuzzHooks(f *testing.F) {
	f.Add(uint8(0), "", "From=%2B15145550123&Body=oui&MessageSid=SM1")
	f.Add(uint8(1), "", "MessageSid=SM1&MessageStatus=failed&ErrorCode=30003")
	f.Add(uint8(2), "", "CallSid=CA1&AnsweredBy=machine_end_beep")
	f.Add(uint8(3), "", "CallSid=CA1")
	f.Add(uint8(4), "again=1", "CallSid=CA1&SpeechResult=o%20u&Confidence=1e9")
	f.Fuzz(func(t *testing.T, which uint8, query, body string) {
		paths := []string{
			"/hooks/twilio/sms", "/hooks/twilio/status/" + string(attempt), "/hooks/twilio/amd/" + string(attempt),
			"/hooks/twilio/voice/" + string(attempt), "/hooks/twilio/voice/" + string(attempt) + "/digits",
		}
		path := paths[int(which)%len(paths)]
		if query != "" {
			path += "?" + url.QueryEscape(query)
		}
		form, err := url.ParseQuery(body)
		h := newHooks(t)
		w := h.raw(path, body, func(r *http.Request) { r.Header.Set("X-Twilio-Signature", sign(public+path, form)) })
		for _, v := range form {
			if len(v) > 1 && w.Code == http.StatusOK {
				t.Fatal("a repeated key passed")
			}
		}
		if err != nil && w.Code == http.StatusOK {
			t.Fatal("a malformed form passed")
		}
		switch w.Code {
		case http.StatusOK:
			var doc struct {
				XMLName xml.Name `xml:"Response"`
			}
			if err := xml.Unmarshal(w.Body.Bytes(), &doc); err != nil {
				t.Fatalf("not TwiML: %v\n%s", err, w.Body)
			}
		case http.StatusNoContent, http.StatusForbidden, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("status %d", w.Code)
		}
	})
}
