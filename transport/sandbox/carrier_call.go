package sandbox

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"relais/engine"
)

const (
	notInProgress = 21220
	defaultRing   = 25 // seconds
	speechRate    = 15 // characters a second
	maxSteps      = 200
	maxKeys       = 32  // waiting to be read
	maxSpoken     = 200 // characters
	gatherWait    = 5   // seconds, Twilio's default
	maxSeconds    = 60  // of a pause or a gather
)

// call is one call from its making to its end. Its status moves queued, ringing, in-progress and
// then to one of the ends.
type call struct {
	sid, from, to string
	start         document
	callback      string
	events        []string
	ring          int // seconds
	amdCallback   string
	made          time.Time
	fate          fate

	picked chan struct{} // closed when the phone is picked up
	done   chan struct{} // closed when the call is over
	keys   chan string

	mu       sync.Mutex
	status   string
	machine  bool // an answering machine picked up, whatever the line is
	answered time.Time
	next     *document          // what to play instead of what is being played
	cut      context.CancelFunc // interrupts what is being played
}

// document is TwiML to play, or the address to fetch it from.
type document struct {
	verbs []verb
	fetch string
	extra url.Values // sent along with the fetch
	base  *url.URL   // what relative addresses refer to
}

// newCall reads the parameters of a call; code is 0 when they make sense.
func (c *CarrierServer) newCall(f url.Values) (k *call, code int, text string) {
	k = &call{
		sid: newSID("CA"), from: f.Get("From"), to: f.Get("To"), callback: f.Get("StatusCallback"),
		events: f["StatusCallbackEvent"], ring: defaultRing, made: time.Now().UTC(), status: "queued",
		picked: make(chan struct{}), done: make(chan struct{}), keys: make(chan string, maxKeys),
	}
	if f.Get("MachineDetection") != "" && f.Get("AsyncAmd") == "true" {
		k.amdCallback = f.Get("AsyncAmdStatusCallback")
	}
	k.fate = c.fate(k.to, k.callback)
	if n, err := strconv.Atoi(f.Get("Timeout")); err == nil && n > 0 && n <= 600 {
		k.ring = n
	}
	if len(k.events) == 0 {
		k.events = []string{"completed"}
	}
	switch {
	case k.from == "":
		return nil, 21213, "A 'From' phone number is required"
	case f.Get("Url") != "":
		u, err := url.Parse(f.Get("Url"))
		if err != nil || u.Host == "" {
			return nil, 21205, "Url is not a valid URL"
		}
		k.start = document{fetch: u.String()}
	case f.Get("Twiml") != "":
		doc, err := parseTwiML([]byte(f.Get("Twiml")))
		if err != nil {
			return nil, 12100, "Document parse failure"
		}
		k.start = document{verbs: doc}
	default:
		return nil, 21205, "Url is not a valid URL"
	}
	return k, 0, ""
}

func (k *call) over() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// is reports whether the call has one of the statuses.
func (k *call) is(statuses ...string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(statuses, k.status)
}

// pick answers the phone.
func (k *call) pick() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pickLocked()
}

func (k *call) pickLocked() bool {
	if k.status != "ringing" {
		return false
	}
	k.status, k.answered = "in-progress", time.Now()
	close(k.picked)
	return true
}

// end brings the call to its end, once.
func (k *call) end(status string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.endLocked(status)
}

func (k *call) endLocked(status string) bool {
	if k.over() {
		return false
	}
	k.status = status
	close(k.done)
	if k.cut != nil {
		k.cut()
	}
	return true
}

// finish is what the API's "completed" and "canceled" do: the latter leaves a call that was
// picked up alone, and says so with the status it returns.
func (k *call) finish(status string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.over():
		return false
	case k.status != "in-progress":
		return k.endLocked("canceled")
	case status == "canceled":
		return true
	}
	return k.endLocked("completed")
}

// redirect plays another document from now on.
func (k *call) redirect(d document) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.status != "in-progress" || k.over() {
		return false
	}
	k.next = &d
	if k.cut != nil {
		k.cut()
	}
	return true
}

// Answer picks up a ringing phone.
func (c *CarrierServer) Answer(sid string) error {
	return c.onCall(sid, (*call).pick, "The phone is not ringing.")
}

// HangUp ends a call, or refuses it while the phone rings.
func (c *CarrierServer) HangUp(sid string) error {
	return c.onCall(sid, func(k *call) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.status == "in-progress" {
			return k.endLocked("completed")
		}
		return k.endLocked("busy")
	}, "The call is over.")
}

// Press presses a key (0-9, * or #), or speaks when key is a word.
func (c *CarrierServer) Press(sid, key string) error {
	key = strings.TrimSpace(key)
	if key == "" || utf8.RuneCountInString(key) > maxSpoken ||
		(len(key) == 1 && !strings.Contains("0123456789*#", key)) {
		return engine.Errorf(engine.Invalid, "A key is 0 to 9, * or #.")
	}
	return c.onCall(sid, func(k *call) bool {
		if !k.is("in-progress") || len(k.keys) == cap(k.keys) {
			return false
		}
		c.wall.say(sid, "person", key) // first, so that what it brings about stands below it
		select {
		case k.keys <- key:
			return true
		default:
			return false
		}
	}, "The call is not under way.")
}

func (c *CarrierServer) onCall(sid string, f func(*call) bool, otherwise string) error {
	k := c.find(sid)
	if k == nil {
		return engine.Errorf(engine.NotFound, "There is no such call any more.")
	}
	if !f(k) {
		return engine.Errorf(engine.Conflict, "%s", otherwise)
	}
	return nil
}

// event posts a status callback when Relais asked for this event.
func (c *CarrierServer) event(k *call, event, status string) {
	last := event == "completed"
	if k.callback == "" || !slices.Contains(k.events, event) || last && k.fate.lost {
		return
	}
	f := c.callForm(k, status)
	if last {
		k.mu.Lock()
		var seconds int
		if !k.answered.IsZero() {
			seconds = int(time.Since(k.answered) / c.cfg.Second)
		}
		k.mu.Unlock()
		f.Set("CallDuration", strconv.Itoa(seconds))
	}
	c.report(k.callback, k.fate, f)
}

func (c *CarrierServer) callForm(k *call, status string) url.Values {
	f := c.form(k.from, k.to)
	f.Set("CallSid", k.sid)
	f.Set("CallStatus", status)
	f.Set("Direction", "outbound-api")
	return f
}

// run lives a call.
func (c *CarrierServer) run(k *call) {
	defer c.hungUp(k)
	line := c.line(k.to)
	if !k.fate.reordered {
		c.event(k, "initiated", "initiated")
	}
	fail, delay := c.mood()
	if !pause(c.ctx, delay) || ((fail || k.fate.undelivered) && k.end("failed")) {
		return
	}
	k.mu.Lock()
	if k.status == "queued" {
		k.status = "ringing"
	}
	k.mu.Unlock()
	c.event(k, "ringing", "ringing")
	if line != LineOff {
		c.arrived(Arrival{Phone: k.to, SID: k.sid, Call: true})
	}
	if !c.ringing(k, line) {
		return
	}
	k.mu.Lock()
	if k.machine {
		line = LineMachine
	}
	k.mu.Unlock()
	c.wall.status(k.sid, "live")
	if line == LineMachine || line == LineSilent {
		c.wall.say(k.sid, "machine", greets)
	}
	c.event(k, "answered", "in-progress")
	if k.fate.reordered {
		c.event(k, "initiated", "initiated")
	}
	if k.amdCallback != "" {
		c.spawn(func() { c.verdict(k, line) })
	}
	c.play(k)
}

// ringing waits until the phone is picked up, and reports whether it was.
func (c *CarrierServer) ringing(k *call, line LineKind) bool {
	machine := line == LineMachine || line == LineSilent || line == LineFax
	ring := time.NewTimer(time.Duration(k.ring) * c.cfg.Second)
	defer ring.Stop()
	if machine && k.ring > machineRings {
		ring.Reset(machineRings * c.cfg.Second)
	}
	select {
	case <-k.picked:
		return true
	case <-k.done:
		return false
	case <-c.ctx.Done():
		return false
	case <-ring.C:
	}
	if machine && k.ring > machineRings && k.pick() {
		return true
	}
	k.mu.Lock()
	if k.status == "ringing" {
		k.endLocked("no-answer")
	}
	k.mu.Unlock()
	return !k.over()
}

// hungUp shows and reports the end.
func (c *CarrierServer) hungUp(k *call) {
	k.end("failed") // the carrier is closing
	c.mu.Lock()
	c.live--
	c.mu.Unlock()
	k.mu.Lock()
	status := k.status
	k.mu.Unlock()
	shown := "ended"
	switch status {
	case "no-answer", "busy":
		shown = "missed"
	case "failed":
		shown = "failed"
	}
	c.wall.status(k.sid, shown)
	c.event(k, "completed", status)
}

// play plays one document after the other until there is none.
func (c *CarrierServer) play(k *call) {
	doc := &k.start
	steps := maxSteps
	for doc != nil && !k.over() {
		ctx, cut := context.WithCancel(c.ctx)
		k.mu.Lock()
		k.cut = cut
		if k.next != nil { // it came before there was anything to interrupt
			doc, k.next = k.next, nil
		}
		if k.over() {
			cut()
		}
		k.mu.Unlock()
		p := &player{c: c, k: k, ctx: ctx, steps: &steps}
		doc = p.document(*doc)
		k.mu.Lock()
		k.cut = nil
		if k.next != nil {
			doc, k.next = k.next, nil
		}
		if doc == nil {
			k.endLocked("completed") // under the lock, so that no redirect is accepted and then lost
		}
		k.mu.Unlock()
		cut()
	}
}
