package twilio_test

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"relais/engine"
	"relais/transport/sandbox"
	"relais/transport/twilio"
)

// peer is Twilio's own library for Node, at work beside us.
type peer struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join("peer", "node_modules", "twilio"))
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("Twilio's library for Node is missing: make test installs it in transport/twilio/peer")
		}
		t.Skip("Twilio's library for Node is missing: make test installs it in transport/twilio/peer, where Node is")
	}
	cmd := exec.CommandContext(t.Context(), node, "peer.mjs")
	cmd.Dir = "peer"
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &peer{t, in, bufio.NewScanner(out)}
}

// ask sends one question and reads its answer.
func ask[T any](p *peer, question map[string]any) (answer T) {
	p.t.Helper()
	q, err := json.Marshal(question)
	if err == nil {
		_, err = p.in.Write(append(q, '\n'))
	}
	if err != nil || !p.out.Scan() {
		p.t.Fatalf("Twilio's library does not answer: %v", err)
	}
	if err := json.Unmarshal(p.out.Bytes(), &answer); err != nil {
		p.t.Fatalf("%v: %s", err, p.out.Bytes())
	}
	return answer
}

// TestSignaturesAgainstTwilio: Twilio's library and ours take and refuse the same requests, and
// it takes those that the sandbox signs.
func TestSignaturesAgainstTwilio(t *testing.T) {
	p := newPeer(t)
	asked := 0
	theirs := func(address, sig string, form url.Values) bool {
		flat := map[string]string{}
		for k := range form {
			flat[k] = form.Get(k)
		}
		asked++
		return ask[bool](p, map[string]any{"validate": map[string]any{"token": token, "signature": sig, "url": address, "form": flat}})
	}
	path := "/hooks/twilio/voice/" + string(attempt) + "/digits"
	good := url.Values{"CallSid": {"CA1"}, "Digits": {"7"}, "From": {sender}, "Caller Name": {"Éloïse & fils <é>"}, "empty": {""}}
	for name, x := range map[string]struct {
		query string
		edit  func(form url.Values, sig *string)
	}{
		"as signed":             {"", func(url.Values, *string) {}},
		"with a query":          {"?again=1&lang=en", func(url.Values, *string) {}},
		"a value changed":       {"", func(f url.Values, _ *string) { f.Set("Digits", "1") }},
		"a value added":         {"", func(f url.Values, _ *string) { f.Set("x", "1") }},
		"a value taken out":     {"", func(f url.Values, _ *string) { f.Del("Digits") }},
		"a name changed":        {"", func(f url.Values, _ *string) { f.Del("Digits"); f.Set("digits", "7") }},
		"an empty value gone":   {"", func(f url.Values, _ *string) { f.Del("empty") }},
		"no signature":          {"", func(_ url.Values, s *string) { *s = "" }},
		"the signature cut":     {"", func(_ url.Values, s *string) { *s = (*s)[:20] }},
		"the signature's case":  {"", func(_ url.Values, s *string) { *s = strings.ToUpper(*s) }},
		"another one's":         {"", func(_ url.Values, s *string) { *s = sign(public+"/elsewhere", url.Values{}) }},
		"a character of accent": {"", func(f url.Values, _ *string) { f.Set("Caller Name", "Eloise & fils <e>") }},
	} {
		form := maps.Clone(good)
		sig := sign(public+path+x.query, form)
		x.edit(form, &sig)
		h := newHooks(t)
		w := h.raw(path+x.query, form.Encode(), func(r *http.Request) { r.Header.Set("X-Twilio-Signature", sig) })
		ours := w.Code != http.StatusForbidden
		if their := theirs(public+path+x.query, sig, form); ours != their {
			t.Errorf("%s: Twilio's library says %v, ours %v", name, their, ours)
		}
	}
	seen := sandboxRequests(t)
	for _, r := range seen {
		if !theirs(r.address, r.sig, r.form) {
			t.Errorf("Twilio's library refuses what the sandbox signed: %v", r.form)
		}
		r.form.Set("AccountSid", "ACx")
		if theirs(r.address, r.sig, r.form) {
			t.Error("Twilio's library takes a tampered form")
		}
	}
	if len(seen) < 3 || asked < 18 {
		t.Errorf("%d requests of the sandbox, %d questions", len(seen), asked)
	}
}

type signedRequest struct {
	address, sig string
	form         url.Values
}

// sandboxRequests are webhooks of the sandbox's carrier.
func sandboxRequests(t *testing.T) []signedRequest {
	t.Helper()
	var mu sync.Mutex
	var seen []signedRequest
	var base string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, signedRequest{base + r.RequestURI, r.Header.Get("X-Twilio-Signature"), maps.Clone(r.PostForm)})
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	base = server.URL
	w := newWorld(t)
	c := clientOf(t, w.carrier.BaseURL(), func(c *twilio.Config) { c.PublicBase = server.URL })
	w.carrier.SetSmsURL(server.URL + "/hooks/twilio/sms")
	if out := c.Send(t.Context(), sms()); out.Status != engine.Accepted {
		t.Fatal(out)
	}
	w.shown(t, "delivered", status("delivered"))
	if err := w.carrier.TextFrom(patient, "Oui, à 9 h & merci!"); err != nil {
		t.Fatal(err)
	}
	w.shown(t, "the answer", func(i []sandbox.Item) bool { return len(i) == 2 && i[1].Status == "delivered" })
	mu.Lock()
	defer mu.Unlock()
	return seen
}

// verb is an element of TwiML.
type verb struct {
	Name  string            `json:"name"`
	Attrs map[string]string `json:"attrs"`
	Text  string            `json:"text"`
	In    []verb            `json:"in"`
}

func parse(t *testing.T, doc string) verb {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	stack := []verb{{In: []verb{}}}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return stack[0].In[0]
		}
		if err != nil {
			t.Fatalf("%v: %s", err, doc)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			v := verb{Name: tok.Name.Local, Attrs: map[string]string{}, In: []verb{}}
			for _, a := range tok.Attr {
				v.Attrs[a.Name.Local] = a.Value
			}
			stack = append(stack, v)
		case xml.CharData:
			stack[len(stack)-1].Text += string(tok)
		case xml.EndElement:
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			stack[len(stack)-1].In = append(stack[len(stack)-1].In, v)
		}
	}
}

// TestTwiMLAgainstTwilio: what we say to Twilio is what its own library would build, and every verb
// and attribute is one that its types know, with a value that they allow.
func TestTwiMLAgainstTwilio(t *testing.T) {
	p := newPeer(t)
	c := client(t, answer(http.StatusOK, "", `{}`), nil)
	b := &backend{changed: make(chan struct{}, 1)}
	handler, err := twilio.Hooks(twilio.HooksConfig{Accounts: []twilio.HooksAccount{{AuthToken: token, Client: c}}, PublicBase: public}, b)
	if err != nil {
		t.Fatal(err)
	}
	h := &hooked{Handler: handler, backend: b}
	voice := "/hooks/twilio/voice/" + string(attempt)
	said := url.Values{"CallSid": {"CA1"}}
	with := func(k, v string) url.Values {
		f := maps.Clone(said)
		f.Set(k, v)
		return f
	}
	kinds := map[string]bool{}
	var check func(v verb)
	check = func(v verb) {
		kinds[v.Name] = true
		if v.Name != "Response" && v.Name != "Message" {
			if wrong := ask[[]string](p, map[string]any{"schema": map[string]any{"verb": v.Name, "attrs": v.Attrs}}); len(wrong) > 0 {
				t.Errorf("Twilio's types: %q", wrong)
			}
		}
		for _, in := range v.In {
			check(in)
		}
	}
	for _, x := range []struct {
		path string
		form url.Values
	}{
		{voice, said},
		{voice + "/digits?lang=en", said},
		{voice + "/digits", with("Digits", "1")},
		{voice + "/digits", with("Digits", "3")},
		{voice + "/digits", with("Digits", "8")},
		{voice + "/digits", with("Digits", "9")},
		{voice + "/digits", with("Digits", "7")},
		{voice + "/digits?again=1", said},
		{voice + "/dialed", with("DialCallStatus", "busy")},
		{voice + "/dialed", with("DialCallStatus", "completed")},
		{"/hooks/twilio/sms", inbound()},
		{"/hooks/twilio/call", with("From", patient)},
		{"/hooks/twilio/call", with("From", "+15145550177")},
		{"/hooks/twilio/check/x/voice", said},
	} {
		ours := parse(t, h.post(x.path, x.form, nil).Body.String())
		check(ours)
		theirs := parse(t, ask[string](p, map[string]any{"build": ours}))
		if !reflect.DeepEqual(ours, theirs) {
			t.Errorf("%s %v:\nours   %+v\ntheirs %+v", x.path, x.form, ours, theirs)
		}
	}
	for _, name := range []string{"Gather", "Say", "Dial", "Number", "Hangup", "Message"} {
		if !kinds[name] {
			t.Errorf("no %s was compared", name)
		}
	}
	if wrong := ask[[]string](p, map[string]any{"schema": map[string]any{"verb": "Say", "attrs": map[string]string{"voice": "Polly.Nobody", "x": "1"}}}); len(wrong) != 2 {
		t.Errorf("the types are not read: %q", wrong)
	}
}
