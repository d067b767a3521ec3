package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/transport/sandbox"
)

// process is `relais demo` in a process of its own: this test binary under the program's name.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	errOut   *output
	url      string
	account  string
	password string
	http     *http.Client
	gone     chan struct{} // closed when the process has ended
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// relais prepares the program with arguments.
func relais(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...) //nolint:gosec // this binary again
	cmd.Args[0] = "relais"
	return cmd
}

// demo starts the demo on dir, quiet, and waits until it is ready. jar keeps the session between
// processes; nil makes a new one, signed in.
func demo(t *testing.T, dir string, jar http.CookieJar, flags ...string) *process {
	t.Helper()
	args := append([]string{"demo", "--data", dir, "--json", "--quiet"}, flags...)
	if !strings.Contains(strings.Join(flags, " "), "--addr") {
		args = append(args, "--addr", "127.0.0.1:0")
	}
	p := &process{t: t, cmd: relais(t, args...), errOut: &output{}, gone: make(chan struct{})}
	p.cmd.Stderr = p.errOut
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		_ = p.cmd.Wait()
		t.Fatalf("the demo did not start: %v\n%s", err, p.errOut)
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait() // killed or stopped: the tests look at what it left
		close(p.gone)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the program wrote:\n%s", p.errOut)
		}
	})
	var ready struct{ URL, Account, Password string }
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	p.url, p.account, p.password = ready.URL, ready.Account, ready.Password
	if jar == nil {
		jar, _ = cookiejar.New(nil) // never fails without options
	}
	p.http = &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if p.password != "" {
		p.must(http.StatusOK, "POST", "/api/v1/session", map[string]string{"account": p.account, "password": p.password}, nil)
	}
	return p
}

// kill ends the process as a power cut does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended before
	<-p.gone
}

// stop ends the process as an operator does.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended before
	select {
	case <-p.gone:
	case <-time.After(20 * time.Second):
		p.t.Error("the process did not stop within 20 seconds of SIGTERM")
		p.kill()
	}
}

// addr is where the process listens, as a flag for the next one.
func (p *process) addr() []string {
	return []string{"--addr", strings.TrimPrefix(p.url, "http://")}
}

// do sends a request with a JSON body, or a given one, and returns status, headers and body.
func (p *process) do(method, path string, body any) (int, http.Header, []byte) {
	p.t.Helper()
	status, header, data, err := p.try(method, path, body)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, header, data
}

func (p *process) try(method, path string, body any) (int, http.Header, []byte, error) {
	var r io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case string:
		r, kind = strings.NewReader(b), "application/x-www-form-urlencoded"
	case []byte:
		r = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return 0, nil, nil, err
		}
		r = bytes.NewReader(data)
	}
	if !strings.HasPrefix(path, "http") {
		path = p.url + path
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, path, r)
	if err != nil {
		return 0, nil, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, data, err
}

// must wants a status, and decodes the answer into into unless it is nil.
func (p *process) must(want int, method, path string, body, into any) {
	p.t.Helper()
	status, _, data := p.do(method, path, body)
	if status != want {
		p.t.Fatalf("%s %s: status %d, want %d: %.300s", method, path, status, want, data)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			p.t.Fatalf("%s %s: %v: %.300s", method, path, err, data)
		}
	}
}

// eventually polls a process, whose events no test can wait for, until ok says so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	const within = time.Minute // far more than anything needs: only a hang gets there
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(within)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited %v in vain: %s", within, what)
		case <-t.Context().Done():
			t.Fatalf("the test ended while waiting: %s", what)
		}
	}
}

func (p *process) state() sandbox.State {
	p.t.Helper()
	var s sandbox.State
	p.must(http.StatusOK, "GET", "/sandbox/api/state", nil, &s)
	return s
}

func (p *process) calendar(clinic string) desk.Snapshot {
	p.t.Helper()
	var s desk.Snapshot
	p.must(http.StatusOK, "GET", "/api/v1/clinics/"+clinic+"/calendar", nil, &s)
	return s
}

// cards are the slots that Relais looks after, by id.
func (p *process) cards(clinic string) map[string]desk.Card {
	p.t.Helper()
	cards := map[string]desk.Card{}
	for _, c := range p.calendar(clinic).Cards {
		if c.State != desk.Reserved && c.State != desk.Free {
			cards[string(c.ID)] = c
		}
	}
	return cards
}

func (p *process) card(clinic, id string) desk.Card {
	p.t.Helper()
	for _, c := range p.calendar(clinic).Cards {
		if string(c.ID) == id {
			return c
		}
	}
	return desk.Card{}
}

func (p *process) record(clinic string) sandbox.Record {
	p.t.Helper()
	for _, r := range p.state().Records {
		if r.Clinic == clinic {
			return r
		}
	}
	p.t.Fatalf("no clinic %s", clinic)
	return sandbox.Record{}
}

func (p *process) appointment(clinic, slot string) sandbox.Appointment {
	p.t.Helper()
	for _, a := range p.record(clinic).Appointments {
		if a.Slot == slot {
			return a
		}
	}
	p.t.Fatalf("no slot %s", slot)
	return sandbox.Appointment{}
}

// cancel cancels the nth appointment that lies more than a day ahead.
func (p *process) cancel(clinic string, nth int) sandbox.Appointment {
	p.t.Helper()
	for _, a := range p.record(clinic).Appointments {
		if a.Status != "booked" || a.Relais || time.Until(a.Start) < 26*time.Hour {
			continue
		}
		if nth--; nth < 0 {
			p.must(http.StatusNoContent, "POST", fmt.Sprintf("/sandbox/api/dme/%s/appointments/%s/cancel", clinic, a.ID), struct{}{}, nil)
			return a
		}
	}
	p.t.Fatal("no appointment to cancel")
	return sandbox.Appointment{}
}

// opened waits until the slot of an appointment that was cancelled is on the calendar.
func (p *process) opened(clinic string, a sandbox.Appointment) desk.Card {
	p.t.Helper()
	var card desk.Card
	eventually(p.t, "the cancelled appointment opens", func() bool {
		for _, c := range p.cards(clinic) {
			if c.Start.Equal(a.Start) && string(c.Practitioner) == a.Practitioner {
				card = c
				return true
			}
		}
		return false
	})
	return card
}

func (p *process) fault(clinic, fault string) {
	p.t.Helper()
	p.must(http.StatusNoContent, "POST", "/sandbox/api/dme/"+clinic+"/fault", map[string]string{"fault": fault}, nil)
}

func (p *process) text(thread, text string) {
	p.t.Helper()
	p.must(http.StatusNoContent, "POST", "/sandbox/api/threads/"+thread+"/text", map[string]string{"text": text}, nil)
}

// metric sums the samples of a metric whose labels contain all of with.
func (p *process) metric(name string, with ...string) float64 {
	p.t.Helper()
	_, _, body := p.do("GET", "/metrics", nil)
	sum := 0.0
	for line := range strings.Lines(string(body)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if !ok {
			series, value, ok = strings.Cut(strings.TrimSpace(line), " ")
		}
		head, labels, _ := strings.Cut(series, "{")
		if !ok || head != name {
			continue
		}
		all := true
		for _, w := range with {
			all = all && strings.Contains(labels, w)
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil && all {
			sum += v
		}
	}
	return sum
}

// phone is a person who has a message of a kind about a slot.
type phone struct {
	thread sandbox.Thread
	item   sandbox.Item
}

// thread is one person's phone as it is now.
func (p *process) thread(id string) sandbox.Thread {
	p.t.Helper()
	for _, t := range p.state().Threads {
		if t.ID == id {
			return t
		}
	}
	return sandbox.Thread{}
}

// told waits until a thread holds an item of Relais with text in it.
func (p *process) told(id, text string) sandbox.Item {
	p.t.Helper()
	var found sandbox.Item
	eventually(p.t, "somebody is told «"+text+"»", func() bool {
		for _, i := range p.thread(id).Items {
			if !i.Mine && strings.Contains(i.Subject+"\n"+i.Text, text) {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

func (p *process) healthy(clinic string) {
	p.t.Helper()
	p.status(clinic, "healthy")
}

func (p *process) status(clinic, status string) {
	p.t.Helper()
	eventually(p.t, clinic+" becomes "+status, func() bool { return string(p.calendar(clinic).Health.Status) == status })
}

// soon is a context for one connection of a test.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func dataDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data")
}

func (p *process) detail(clinic, id string) desk.Detail {
	p.t.Helper()
	var d desk.Detail
	p.must(http.StatusOK, "GET", "/api/v1/clinics/"+clinic+"/slots/"+id, nil, &d)
	return d
}

// asked are the phones of those who were asked for a slot over a channel, as soon as all were sent
// something.
func (p *process) asked(clinic, id string, channel engine.Channel) []sandbox.Thread {
	p.t.Helper()
	var d desk.Detail
	eventually(p.t, "everybody who is asked is sent something", func() bool {
		d = p.detail(clinic, id)
		for _, a := range d.Asked {
			if len(a.Deliveries) == 0 || a.Deliveries[0].Status == "sending" || a.Deliveries[0].Status == "queued" {
				return false
			}
		}
		return len(d.Asked) > 0
	})
	var out []sandbox.Thread
	threads := p.state().Threads
	for _, a := range d.Asked {
		if a.Deliveries[0].Channel != channel {
			continue
		}
		for _, t := range threads {
			if t.Name == a.Patient && len(t.Items) > 0 {
				out = append(out, t)
			}
		}
	}
	return out
}

// open cancels appointments until one is offered to at least n people over a channel.
func (p *process) open(clinic string, channel engine.Channel, n int) (sandbox.Appointment, desk.Card, []sandbox.Thread) {
	p.t.Helper()
	for range 12 {
		a := p.cancel(clinic, 2)
		card := p.opened(clinic, a)
		if who := p.asked(clinic, string(card.ID), channel); len(who) >= n {
			return a, card, who
		}
	}
	p.t.Fatalf("nobody is asked by %s", channel)
	return sandbox.Appointment{}, desk.Card{}, nil
}

// call is a call on a thread.
func (p *process) call(thread, id string) sandbox.Item {
	p.t.Helper()
	for _, i := range p.thread(thread).Items {
		if i.ID == id {
			return i
		}
	}
	p.t.Fatalf("no call %s", id)
	return sandbox.Item{}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v: %.200s", err, data)
	}
}
