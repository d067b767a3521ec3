package web

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"relais/engine"
	"relais/engine/desk"
)

// Close codes of the live feed, beside the protocol's own. After CloseSlow, CloseRestart and any
// code that is not listed, and after a connection lost without a code, a page connects again with
// the epoch and sequence it has.
const (
	// CloseSlow: the reader did not keep up. What it missed was dropped: come back and catch up.
	CloseSlow websocket.StatusCode = 4001
	// CloseRestart: the process stops or moves. Come back after a second or so, not all at once.
	CloseRestart websocket.StatusCode = 4002
	// CloseSignedOut: the session ended, or the account may not see the clinic any more. Sign in.
	CloseSignedOut websocket.StatusCode = 4003
	// CloseUnknown: there is no such clinic for this account. Do not come back.
	CloseUnknown websocket.StatusCode = 4004
)

const (
	sweepEvery = 5 * time.Second
	// pingSweeps is how many sweeps lie between two pings, and two session checks, of one feed: 15 s.
	pingSweeps = 3
	// writeLimit is how long one write may take before the connection is cut.
	writeLimit = 10 * time.Second
)

// hub knows every open feed. One sweep does for all of them what needs a clock: pings, session
// checks and write deadlines.
type hub struct {
	s      *Server
	limits SocketLimits

	mu        sync.Mutex
	clients   map[*client]struct{}
	accounts  map[engine.UserID]int
	addresses map[netip.Addr]int
	reserved  int
	next      uint
	closed    bool
	empty     chan struct{} // closed when closed is set and the last client left

	sweeping sync.Mutex                 // one sweep at a time; it guards what follows
	sweeps   uint                       // so far
	seqs     map[engine.ClinicID]uint64 // of the sweep before
}

func newHub(s *Server) *hub {
	l := s.cfg.Sockets
	for _, d := range []struct {
		at   *int
		some int
	}{{&l.Process, 10_000}, {&l.Account, 100}, {&l.Address, 500}} {
		if *d.at == 0 {
			*d.at = d.some
		}
	}
	return &hub{
		s: s, limits: l, clients: make(map[*client]struct{}), accounts: make(map[engine.UserID]int),
		addresses: make(map[netip.Addr]int), empty: make(chan struct{}), seqs: make(map[engine.ClinicID]uint64),
	}
}

// reserve takes a place before the upgrade, so that a refusal can still be an HTTP answer.
func (h *hub) reserve(account engine.UserID, from netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return engine.Errorf(engine.Unavailable, "the server is stopping")
	case h.reserved >= h.limits.Process:
		return engine.Errorf(engine.Unavailable, "too many live feeds are open")
	case h.accounts[account] >= h.limits.Account:
		return engine.Errorf(engine.TooMany, "too many live feeds are open for this account")
	case h.addresses[from] >= h.limits.Address:
		return engine.Errorf(engine.TooMany, "too many live feeds are open from this address")
	}
	h.reserved++
	h.accounts[account]++
	h.addresses[from]++
	return nil
}

func (h *hub) release(account engine.UserID, from netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reserved--
	if h.accounts[account]--; h.accounts[account] == 0 {
		delete(h.accounts, account)
	}
	if h.addresses[from]--; h.addresses[from] == 0 {
		delete(h.addresses, from)
	}
	if h.closed && h.reserved == 0 {
		close(h.empty)
	}
}

func (h *hub) add(c *client) {
	h.mu.Lock()
	c.phase = h.next % pingSweeps
	h.next++
	h.clients[c] = struct{}{}
	n, closed := len(h.clients), h.closed
	h.mu.Unlock()
	h.s.metrics.Sockets(n)
	if closed {
		c.closeWith(CloseRestart, "restart")
	}
}

func (h *hub) remove(c *client) {
	h.mu.Lock()
	delete(h.clients, c)
	n := len(h.clients)
	h.mu.Unlock()
	h.s.metrics.Sockets(n)
}

func (h *hub) all() []*client {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.clients))
}

// signedOut closes the feeds of a session that ended here; the sweep finds what ended elsewhere.
func (h *hub) signedOut(session string) {
	for _, c := range h.all() {
		if c.who.session == session {
			c.closeWith(CloseSignedOut, "signed out")
		}
	}
}

// lookAgain closes the feeds of an account that may not see their clinic any more.
func (h *hub) lookAgain(a *Account) {
	for _, c := range h.all() {
		if c.who.ID == a.ID && !a.Role(c.clinic).May(Look) {
			c.closeWith(CloseSignedOut, "signed out")
		}
	}
}

func (h *hub) close(ctx context.Context) error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		if h.reserved == 0 {
			close(h.empty)
		}
	}
	h.mu.Unlock()
	for _, c := range h.all() {
		c.closeWith(CloseRestart, "restart")
	}
	select {
	case <-h.empty:
		return nil
	case <-ctx.Done():
		for _, c := range h.all() {
			c.cut()
		}
		return ctx.Err()
	}
}

func (s *Server) sweepLoop() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			ctx, cancel := context.WithTimeout(context.Background(), sweepEvery)
			s.feed.sweep(ctx)
			cancel()
		}
	}
}

// sweep cuts stalled connections; a third of the feeds in turn is pinged and has its session
// looked up again.
func (h *hub) sweep(ctx context.Context) {
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	now := h.s.now()
	pings := make(map[engine.ClinicID][]byte)
	checked := make(map[string]*caller)
	seqs := make(map[engine.ClinicID]uint64)
	for _, c := range h.all() {
		if stalled, leaving := c.stalled(now); stalled {
			if !leaving {
				h.s.metrics.Evicted(EvictStalled)
			}
			c.cut()
			continue
		}
		if _, ok := seqs[c.clinic]; !ok {
			seqs[c.clinic] = h.s.cfg.Desk.Seq(c.clinic)
		}
		if c.phase != h.sweeps%pingSweeps {
			continue
		}
		if !h.mayStay(ctx, c, checked) {
			c.closeWith(CloseSignedOut, "signed out")
			continue
		}
		if _, ok := pings[c.clinic]; !ok {
			pings[c.clinic] = h.ping(c.clinic, seqs[c.clinic], now)
		}
		c.pushPing(pings[c.clinic])
	}
	h.seqs = seqs
	h.sweeps++
}

// ping names the newest sequence of one sweep ago: a delta published this instant may still be on
// its way to the queue, and a ping that overtook it would send the page back for nothing.
func (h *hub) ping(c engine.ClinicID, seq uint64, now time.Time) []byte {
	if before, ok := h.seqs[c]; ok && before < seq {
		seq = before
	}
	b, err := json.Marshal(desk.Frame{Ping: &desk.Ping{Seq: seq, Now: now.UTC()}})
	if err != nil {
		return nil
	}
	return b
}

// mayStay looks a session up once a sweep. When the store does not answer the feed stays: it only
// shows what the session was already allowed to see.
func (h *hub) mayStay(ctx context.Context, c *client, checked map[string]*caller) bool {
	key := c.who.session
	if c.who.token != nil {
		key = c.who.token.Key
	}
	who, ok := checked[key]
	if !ok {
		var account Account
		var err error
		now := &caller{session: c.who.session}
		if c.who.token != nil {
			var token Pass
			token, account, err = h.s.token(ctx, key)
			now.token = &token
		} else {
			_, account, err = h.s.session(ctx, key)
		}
		switch {
		case err == nil:
			now.Account = account
			who = now
		case engine.CodeOf(err) == engine.Unsigned:
		default:
			h.s.log.WarnContext(ctx, "session of a live feed not checked", "error", err)
			who = c.who
		}
		checked[key] = who
	}
	return who != nil && who.may(c.clinic, Look)
}

// calendar upgrades GET /ws/calendar?clinic=&epoch=&seq= to the live feed: text messages, each one
// desk.Frame. Without a session the answer is 401, before the upgrade.
func (s *Server) calendar(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	who, renewed, err := s.authenticate(ctx, r)
	if err != nil {
		writeProblem(w, s.problem(ctx, err))
		return
	}
	q := r.URL.Query()
	clinic, epoch := engine.ClinicID(q.Get("clinic")), q.Get("epoch")
	seq, err := strconv.ParseUint(q.Get("seq"), 10, 64)
	if len(clinic) > 64 || len(epoch) > 128 || (err != nil && q.Get("seq") != "") {
		writeProblem(w, newProblem(engine.Invalid, "clinic and epoch are identifiers, seq is a number."))
		return
	}
	from := s.address(r)
	if err := s.feed.reserve(who.ID, from); err != nil {
		s.metrics.Limited(LimitSockets)
		writeProblem(w, s.problem(ctx, err))
		return
	}
	if renewed != nil {
		http.SetCookie(w, renewed)
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{
		s.cfg.PublicBase.Scheme + "://" + s.cfg.PublicBase.Host,
	}})
	if err != nil {
		s.feed.release(who.ID, from)
		return // Accept has answered
	}
	c := &client{hub: s.feed, conn: conn, life: context.Background(), who: who, from: from, clinic: clinic, detach: func() {}}
	s.feed.add(c)
	// The reader has a goroutine of its own, so that this one's deep stack and request go free.
	defer func() { go c.read() }()
	if !who.may(clinic, Look) {
		c.closeWith(CloseUnknown, "no such clinic")
	} else if detach, err := s.cfg.Desk.Attach(ctx, clinic, epoch, seq, c); err != nil {
		code, reason := websocket.StatusTryAgainLater, "try again later"
		if engine.CodeOf(err) == engine.NotFound {
			code, reason = CloseUnknown, "no such clinic"
		}
		c.closeWith(code, reason)
	} else {
		c.detach = detach
	}
}

// read notices that the browser went away, and closes the feed of one that sends something.
func (c *client) read() {
	defer c.end()
	if _, _, err := c.conn.Reader(c.life); err == nil {
		c.closeWith(websocket.StatusPolicyViolation, "this feed is read-only")
	}
}

// end takes the client out of everything. It waits for a goodbye that is under way.
func (c *client) end() {
	if p := recover(); p != nil {
		c.hub.s.panicked("", p)
	}
	c.detach()
	c.finish()
	c.hub.remove(c)
	c.hub.release(c.who.ID, c.from)
}
