package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"relais/engine"
	"relais/engine/desk"
)

// live is a bench behind a real listener.
type live struct {
	*bench
	http *httptest.Server
}

func listen(tb testing.TB, change ...func(*Config)) *live {
	tb.Helper()
	b := setup(tb, change...)
	l := &live{bench: b, http: httptest.NewServer(b.Handler())}
	tb.Cleanup(l.http.Close)
	return l
}

func (l *live) dial(tb testing.TB, query string, cookie *http.Cookie, header ...string) (conn *websocket.Conn, status int, err error) {
	tb.Helper()
	h := http.Header{}
	if cookie != nil {
		h.Set("Cookie", cookie.String())
	}
	if len(header) == 2 {
		h.Set(header[0], header[1])
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, l.http.URL+"/ws/calendar?"+query, &websocket.DialOptions{HTTPHeader: h})
	if res != nil {
		status = res.StatusCode
		if res.Body != nil {
			_ = res.Body.Close()
		}
	}
	if err == nil {
		conn.SetReadLimit(-1)
		tb.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, status, err
}

func (l *live) join(tb testing.TB, query string) *websocket.Conn {
	tb.Helper()
	conn, _, err := l.dial(tb, query, l.login("marie"))
	if err != nil {
		tb.Fatal(err)
	}
	return conn
}

func next(tb testing.TB, conn *websocket.Conn) (desk.Frame, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	kind, b, err := conn.Read(ctx)
	if err != nil {
		return desk.Frame{}, err
	}
	if kind != websocket.MessageText {
		tb.Errorf("message type %v", kind)
	}
	var f desk.Frame
	if err := json.Unmarshal(b, &f); err != nil {
		tb.Fatalf("%v in %.200s", err, b)
	}
	set := 0
	for _, one := range []bool{f.Snapshot != nil, f.Deltas != nil, f.Ping != nil} {
		if one {
			set++
		}
	}
	if set != 1 {
		tb.Errorf("%d fields set in %.200s", set, b)
	}
	return f, nil
}

func mustNext(tb testing.TB, conn *websocket.Conn) desk.Frame {
	tb.Helper()
	f, err := next(tb, conn)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// closed reads until the end and returns the close code.
func closed(tb testing.TB, conn *websocket.Conn) websocket.StatusCode {
	tb.Helper()
	for {
		if _, err := next(tb, conn); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// seqs reads deltas until last and returns their numbers.
func seqs(tb testing.TB, conn *websocket.Conn, last uint64) (got []uint64) {
	tb.Helper()
	for {
		for _, d := range mustNext(tb, conn).Deltas {
			got = append(got, d.Seq)
			if d.Seq == last {
				return got
			}
		}
	}
}

func TestFeedStartsWithASnapshotAndGoesOn(t *testing.T) {
	l := listen(t)
	l.desk.publish(10)
	conn := l.join(t, "clinic=nord")
	f := mustNext(t, conn)
	if f.Snapshot == nil || f.Snapshot.Seq != 1 || f.Snapshot.Epoch != "e1" {
		t.Fatalf("%+v", f)
	}
	for range 5 {
		l.desk.publish(10)
	}
	if got := fmt.Sprint(seqs(t, conn, 6)); got != "[2 3 4 5 6]" {
		t.Error(got)
	}
}

func TestFeedResumes(t *testing.T) {
	l := listen(t)
	for range 5 {
		l.desk.publish(10)
	}
	conn := l.join(t, "clinic=nord&epoch=e1&seq=2")
	l.desk.publish(10)
	if got := fmt.Sprint(seqs(t, conn, 6)); got != "[3 4 5 6]" {
		t.Error(got)
	}
	for _, query := range []string{"clinic=nord&epoch=other&seq=2", "clinic=nord&epoch=e1&seq=99"} {
		if f := mustNext(t, l.join(t, query)); f.Snapshot == nil || f.Snapshot.Seq != 6 {
			t.Errorf("%s: %+v", query, f)
		}
	}
}

func TestFeedRefusals(t *testing.T) {
	l := listen(t)
	for name, c := range map[string]struct {
		query  string
		signed bool
		header []string
		status int
	}{
		"no session":   {"clinic=nord", false, nil, 401},
		"other origin": {"clinic=nord", true, []string{"Origin", "https://evil.example"}, 403},
		"null origin":  {"clinic=nord", true, []string{"Origin", "null"}, 403},
		"plain origin": {"clinic=nord", true, []string{"Origin", "http://relais.example"}, 403},
		"bad seq":      {"clinic=nord&epoch=e1&seq=-1", true, nil, 422},
		"long epoch":   {"clinic=nord&epoch=" + strings.Repeat("x", 200), true, nil, 422},
	} {
		var cookie *http.Cookie
		if c.signed {
			cookie = l.login("marie")
		}
		_, status, err := l.dial(t, c.query, cookie, c.header...)
		if err == nil || status != c.status {
			t.Errorf("%s: %d %v", name, status, err)
		}
	}
	if _, _, err := l.dial(t, "clinic=nord", l.login("marie"), "Origin", "https://relais.example"); err != nil {
		t.Errorf("own origin behind a proxy: %v", err)
	}
	for _, clinic := range []string{"sud", "nowhere", ""} {
		if code := closed(t, l.join(t, "clinic="+clinic)); code != CloseUnknown {
			t.Errorf("clinic %q: %d", clinic, code)
		}
	}
	l.desk.mu.Lock()
	l.desk.err = engine.Errorf(engine.Unavailable, "elsewhere")
	l.desk.mu.Unlock()
	if code := closed(t, l.join(t, "clinic=nord")); code != websocket.StatusTryAgainLater {
		t.Errorf("desk away: %d", code)
	}
	if w := l.do(call{method: "GET", path: "/ws/calendar?clinic=nord", cookie: l.login("marie")}); w.Code != http.StatusUpgradeRequired {
		t.Errorf("plain GET: %d", w.Code)
	}
}

func TestFeedIsReadOnly(t *testing.T) {
	l := listen(t)
	conn := l.join(t, "clinic=nord")
	mustNext(t, conn)
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("x", 10_000))); err != nil {
		t.Fatal(err)
	}
	if code := closed(t, conn); code != websocket.StatusPolicyViolation {
		t.Errorf("%d", code)
	}
}

// A browser that does not read fills its socket, then its queue, and is told to come back.
func TestSlowReaderIsEvicted(t *testing.T) {
	l := listen(t)
	slow, quick := l.join(t, "clinic=nord"), l.join(t, "clinic=nord")
	mustNext(t, quick)
	evicted := false
	for range 1000 {
		taken := l.desk.publish(100_000)
		if taken == 0 {
			t.Fatal("the quick reader was evicted too")
		}
		seqs(t, quick, l.desk.Seq("nord"))
		if taken == 1 {
			evicted = true
			break
		}
	}
	if !evicted {
		t.Fatal("100 MB waited for a reader that does not read")
	}
	if code := closed(t, slow); code != CloseSlow {
		t.Errorf("slow reader: %d", code)
	}
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	if l.counts.evicted[EvictQueue] != 1 {
		t.Errorf("%v", l.counts.evicted)
	}
}

// A write that the network does not take for longer than writeLimit is cut by the sweep.
func TestStalledWriteIsCut(t *testing.T) {
	l := listen(t)
	conn := l.join(t, "clinic=nord")
	mustNext(t, conn)
	l.settle()
	c := l.feed.all()[0]
	c.PushSnapshot([]byte(`"` + strings.Repeat("x", 32<<20) + `"`)) // more than a socket's buffers hold
	for !writing(c) {
		runtime.Gosched()
	}
	l.feed.sweep(t.Context())
	if stalled, _ := c.stalled(l.clock.now()); stalled {
		t.Fatal("stalled at once")
	}
	l.clock.add(writeLimit + time.Second)
	l.feed.sweep(t.Context())
	<-l.counts.left
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	if l.counts.evicted[EvictStalled] != 1 || l.counts.sockets != 0 {
		t.Errorf("%v, %d sockets", l.counts.evicted, l.counts.sockets)
	}
}

// writing reports that the writer took something to send.
func writing(c *client) bool { c.mu.Lock(); defer c.mu.Unlock(); return !c.since.IsZero() }

// settle waits until every writer has ended its term, so that moving the clock does not make a
// write that is just over look like one that takes hours.
func (l *live) settle() {
	for _, c := range l.feed.all() {
		for busy := true; busy; runtime.Gosched() {
			c.mu.Lock()
			busy = c.writing
			c.mu.Unlock()
		}
	}
}

func TestPings(t *testing.T) {
	l := listen(t)
	conn := l.join(t, "clinic=nord")
	mustNext(t, conn)
	l.feed.sweep(t.Context())
	if f := mustNext(t, conn); f.Ping == nil || f.Ping.Seq != 0 || !f.Ping.Now.Equal(l.clock.now()) {
		t.Fatalf("%+v", f)
	}
	l.feed.sweep(t.Context())
	l.desk.mu.Lock()
	l.desk.seq = 7 // a change whose delta never came
	l.desk.mu.Unlock()
	// The first sweep that sees 7 may be ahead of a delta under way; the one after is not.
	for range 2 * pingSweeps {
		l.feed.sweep(t.Context())
	}
	for {
		f := mustNext(t, conn)
		if f.Ping == nil {
			t.Fatalf("%+v", f)
		}
		if f.Ping.Seq == 7 {
			return
		}
		if f.Ping.Seq != 0 {
			t.Fatalf("%+v", f.Ping)
		}
	}
}

func TestFeedEndsWithItsSession(t *testing.T) {
	for name, end := range map[string]func(*live, *http.Cookie){
		"signed out here": func(l *live, c *http.Cookie) { l.do(call{method: "DELETE", path: "/api/v1/session", cookie: c}) },
		"dropped elsewhere": func(l *live, c *http.Cookie) {
			_ = l.accounts.DropSession(context.Background(), digest(c.Value))
		},
		"expired": func(l *live, _ *http.Cookie) { l.clock.add(sessionLife) },
		"clinic taken away": func(l *live, _ *http.Cookie) {
			_ = l.accounts.PutAccount(context.Background(), Account{ID: "marie"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			cookie := l.login("marie")
			conn, _, err := l.dial(t, "clinic=nord", cookie)
			if err != nil {
				t.Fatal(err)
			}
			mustNext(t, conn)
			l.settle()
			end(l, cookie)
			for range pingSweeps {
				l.feed.sweep(t.Context())
			}
			if code := closed(t, conn); code != CloseSignedOut {
				t.Errorf("%d", code)
			}
		})
	}
}

func TestFeedOutlivesAStoreThatIsAway(t *testing.T) {
	l := listen(t)
	conn := l.join(t, "clinic=nord")
	mustNext(t, conn)
	l.accounts.mu.Lock()
	l.accounts.err = engine.Errorf(engine.Unavailable, "away")
	l.accounts.mu.Unlock()
	for range pingSweeps {
		l.feed.sweep(t.Context())
	}
	if f := mustNext(t, conn); f.Ping == nil {
		t.Errorf("%+v", f)
	}
}

func TestFeedsAreLimited(t *testing.T) {
	l := listen(t, func(c *Config) { c.Sockets = SocketLimits{Process: 4, Account: 2, Address: 3} })
	l.accounts.accounts["luc"] = Account{ID: "luc", Clinics: []engine.ClinicID{"nord"}}
	refused := func(who engine.UserID, status int) {
		t.Helper()
		if _, got, err := l.dial(t, "clinic=nord", l.login(who)); err == nil || got != status {
			t.Errorf("%d %v", got, err)
		}
	}
	first := l.join(t, "clinic=nord")
	l.join(t, "clinic=nord")
	refused("marie", 429) // of the account
	if _, _, err := l.dial(t, "clinic=nord", l.login("luc")); err != nil {
		t.Fatal(err)
	}
	refused("luc", 429) // of the address
	if err := l.feed.reserve("other", loopback.Addr()); err != nil {
		t.Fatal(err)
	}
	refused("luc", 503) // of the process
	l.feed.release("other", loopback.Addr())
	l.counts.mu.Lock()
	if l.counts.limited[LimitSockets] != 3 {
		t.Errorf("%v", l.counts.limited)
	}
	l.counts.mu.Unlock()
	// A feed that ends gives its place back.
	if err := first.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	for {
		l.feed.mu.Lock()
		n := l.feed.reserved
		l.feed.mu.Unlock()
		if n == 2 {
			break
		}
		runtime.Gosched()
	}
	l.join(t, "clinic=nord")
}

func TestCloseSendsEverybodyAway(t *testing.T) {
	l := listen(t)
	conns := []*websocket.Conn{l.join(t, "clinic=nord"), l.join(t, "clinic=nord")}
	done := make(chan error, 1)
	go func() { done <- l.Close(context.Background()) }()
	for _, conn := range conns {
		if code := closed(t, conn); code != CloseRestart {
			t.Errorf("%d", code)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, status, err := l.dial(t, "clinic=nord", l.login("marie")); err == nil || status != 503 {
		t.Errorf("after close: %d %v", status, err)
	}
	if len(l.desk.subs) != 0 {
		t.Error("a subscriber stayed attached")
	}
}

func TestCloseDoesNotWaitForever(t *testing.T) {
	l := listen(t)
	conn := l.join(t, "clinic=nord")
	_ = conn // never reads, so never answers the goodbye
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Close(ctx); err == nil {
		t.Error("closed without the goodbye")
	}
	<-l.counts.left
}

// raw opens a feed over a bare connection, so that a benchmark pays for the server's side only.
func (l *live) raw(tb testing.TB, cookie *http.Cookie) (net.Conn, *bufio.Reader) {
	tb.Helper()
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", l.http.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /ws/calendar?clinic=nord HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: %s\r\n\r\n", cookie)
	if err != nil {
		tb.Fatal(err)
	}
	r := bufio.NewReaderSize(conn, 1024)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatal(res, err)
	}
	_ = res.Body.Close()
	return conn, r
}

var roomy = func(c *Config) { c.Sockets = SocketLimits{Process: 100_000, Account: 100_000, Address: 100_000} }

// BenchmarkBytesPerClient measures heap and stacks of idle feeds, the bare client side included.
func BenchmarkBytesPerClient(b *testing.B) {
	const clients = 1000
	l := listen(b, roomy)
	cookie := l.login("marie")
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	for b.Loop() {
		before := used()
		conns := make([]net.Conn, clients)
		for i := range conns {
			conn, r := l.raw(b, cookie)
			conns[i] = conn
			skipFrame(b, r)
		}
		b.ReportMetric(float64(used()-before)/clients, "B/client")
		for _, c := range conns {
			_ = c.Close()
		}
		<-l.counts.left
	}
}

// skipFrame reads one unmasked frame.
func skipFrame(tb testing.TB, r *bufio.Reader) {
	tb.Helper()
	head := make([]byte, 2)
	read := func(n int) {
		for range n {
			if _, err := r.ReadByte(); err != nil {
				tb.Error(err)
				return
			}
		}
	}
	for i := range head {
		c, err := r.ReadByte()
		if err != nil {
			return
		}
		head[i] = c
	}
	n := int(head[1])
	switch n {
	case 126:
		a, _ := r.ReadByte()
		c, _ := r.ReadByte()
		n = int(a)<<8 | int(c)
	case 127:
		tb.Fatal("a frame too large for this test")
	}
	read(n)
}

// BenchmarkFanOut pushes one 300-byte delta to 1000 clients of one clinic and waits for all of
// them to have it.
func BenchmarkFanOut(b *testing.B) {
	const clients = 1000
	l := listen(b, roomy)
	cookie := l.login("marie")
	got := make(chan struct{}, clients)
	for range clients {
		_, r := l.raw(b, cookie)
		skipFrame(b, r)
		go func() {
			for {
				if _, err := r.Peek(1); err != nil {
					return
				}
				skipFrame(b, r)
				got <- struct{}{}
			}
		}()
	}
	b.ResetTimer()
	rounds := 0
	for b.Loop() {
		rounds++
		l.desk.publish(200)
		for range clients {
			<-got
		}
	}
	b.ReportMetric(float64(rounds*clients)/b.Elapsed().Seconds(), "deliveries/s")
}

// BenchmarkBurst pushes 10 deltas at once: what waits travels joined.
func BenchmarkBurst(b *testing.B) {
	const clients, burst = 1000, 10
	l := listen(b, roomy)
	cookie := l.login("marie")
	got := make(chan int, clients)
	for range clients {
		_, r := l.raw(b, cookie)
		skipFrame(b, r)
		go func() {
			frame := bufio.NewScanner(r)
			frame.Buffer(make([]byte, 1<<20), 1<<20)
			frame.Split(func(data []byte, _ bool) (int, []byte, error) {
				if i := strings.Index(string(data), `"seq":`); i >= 0 {
					return i + 6, data[i : i+6], nil
				}
				return max(0, len(data)-6), nil, nil
			})
			for frame.Scan() {
				got <- 1
			}
		}()
	}
	b.ResetTimer()
	rounds := 0
	for b.Loop() {
		rounds++
		for range burst {
			l.desk.publish(200)
		}
		for range clients * burst {
			<-got
		}
	}
	b.ReportMetric(float64(rounds*clients*burst)/b.Elapsed().Seconds(), "deliveries/s")
}

// FuzzCalendarQuery: whatever the query, the answer is a refusal in words or an upgrade, and
// nothing panics.
func FuzzCalendarQuery(f *testing.F) {
	for _, q := range []string{"", "clinic=nord&epoch=e1&seq=1", "clinic=%zz", "seq=18446744073709551616", "clinic=;", "epoch=\x00&clinic=nord"} {
		f.Add(q)
	}
	b := setup(f)
	cookie := b.login("marie")
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/ws/calendar", "/api/v1/clinics/nord/waitlist"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://relais.example"+path, nil)
			r.URL.RawQuery = query
			r.AddCookie(cookie)
			w := httptest.NewRecorder()
			b.Handler().ServeHTTP(w, r)
			switch w.Code {
			case 200, 400, 422, http.StatusUpgradeRequired:
			default:
				t.Errorf("%s?%q: %d %s", path, query, w.Code, w.Body)
			}
		}
		if b.counts.panics != 0 {
			t.Error("a panic")
		}
	})
}
