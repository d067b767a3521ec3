package web

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/websocket"

	"relais/engine"
)

const (
	// A reader may be this far behind. Encoded deltas are shared by all clients of a clinic, so a
	// waiting one costs a client a slice header.
	maxQueued      = 512
	maxQueuedBytes = 1 << 20
	// keepBuffer is the largest buffer that goes back to the pool.
	keepBuffer = 64 << 10
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// client is one open feed: a queue that never blocks who pushes, and a writer that exists only
// while something is queued. It implements desk.Subscriber.
type client struct {
	hub    *hub
	conn   *websocket.Conn
	life   context.Context //nolint:containedctx // of the feed, which outlives its request and whoever pushes
	who    *caller
	from   netip.Addr
	clinic engine.ClinicID
	detach func()
	phase  uint

	mu       sync.Mutex
	snapshot []byte
	deltas   [][]byte
	size     int // of deltas
	ping     []byte
	code     websocket.StatusCode // set once: say goodbye and nothing else
	reason   string
	writing  bool          // a writer exists
	gone     bool          // the connection is over
	idle     chan struct{} // made by finish, closed when the writer ends
	since    time.Time     // of the write under way, zero when there is none
}

// PushSnapshot queues a whole calendar in place of everything that waits: it says more.
func (c *client) PushSnapshot(encoded []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.code != 0 || c.gone {
		return false
	}
	c.snapshot, c.deltas, c.size = encoded, nil, 0
	c.wake()
	return true
}

// PushDelta queues one change. It reports false, and closes the feed with CloseSlow, when too much
// waits already.
func (c *client) PushDelta(_ uint64, encoded []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.code != 0 || c.gone {
		return false
	}
	if len(c.deltas) >= maxQueued || c.size+len(encoded) > maxQueuedBytes {
		c.goodbye(CloseSlow, "resync")
		c.hub.s.metrics.Evicted(EvictQueue)
		return false
	}
	c.deltas = append(c.deltas, encoded)
	c.size += len(encoded)
	c.wake()
	return true
}

// PushEnd sends the browser back for a calendar that was begun anew.
func (c *client) PushEnd() { c.closeWith(CloseRestart, "opened anew") }

// pushPing replaces a ping that still waits.
func (c *client) pushPing(encoded []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.code == 0 && !c.gone {
		c.ping = encoded
		c.wake()
	}
}

// closeWith says goodbye after the message that is being written. The first code wins.
func (c *client) closeWith(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.code == 0 && !c.gone {
		c.goodbye(code, reason)
	}
}

func (c *client) goodbye(code websocket.StatusCode, reason string) {
	c.code, c.reason = code, reason
	c.snapshot, c.deltas, c.size, c.ping = nil, nil, 0, nil
	c.wake()
}

// wake starts the writer unless there is one; c.mu is held.
func (c *client) wake() {
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// write sends what is queued, joined, until nothing is left. It sets no deadline: the sweep finds
// a write that takes longer than writeLimit, and a timer for each would double the price of one.
func (c *client) write() {
	defer func() {
		if p := recover(); p != nil {
			c.hub.s.panicked("", p)
			c.over()
			c.cut()
		}
	}()
	for {
		next, ok := c.take()
		if !ok {
			return
		}
		if next.code != 0 {
			_ = c.conn.Close(next.code, next.reason)
			c.over()
			return
		}
		if err := next.send(c.life, c.conn); err != nil {
			_ = c.conn.CloseNow()
			c.over()
			return
		}
	}
}

// job is what one round of the writer sends.
type job struct {
	snapshot []byte
	deltas   [][]byte
	ping     []byte
	code     websocket.StatusCode
	reason   string
}

// take empties the queue, or ends the writer's term when there is nothing to send.
func (c *client) take() (job, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := job{snapshot: c.snapshot, deltas: c.deltas, ping: c.ping, code: c.code, reason: c.reason}
	if c.gone || (j.snapshot == nil && len(j.deltas) == 0 && j.ping == nil && j.code == 0) {
		c.rest()
		return job{}, false
	}
	c.snapshot, c.deltas, c.size, c.ping = nil, nil, 0, nil
	c.since = c.hub.s.now()
	return j, true
}

// over ends the writer's term and the client with it.
func (c *client) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	c.rest()
}

// rest ends the writer's term; c.mu is held, so a new term cannot begin before it is noted.
func (c *client) rest() {
	c.writing, c.since = false, time.Time{}
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// finish waits for the writer, which may be saying goodbye, and frees the connection.
func (c *client) finish() {
	c.mu.Lock()
	var idle chan struct{}
	if c.writing {
		idle = make(chan struct{})
		c.idle = idle
	} else {
		c.gone = true
	}
	c.mu.Unlock()
	if idle != nil {
		<-idle
	}
	c.over()
	_ = c.conn.CloseNow()
}

func (j job) send(ctx context.Context, conn *websocket.Conn) error {
	b, _ := buffers.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= keepBuffer {
			buffers.Put(b)
		}
	}()
	if j.snapshot != nil {
		b.Reset()
		b.WriteString(`{"snapshot":`)
		b.Write(j.snapshot)
		b.WriteByte('}')
		if err := conn.Write(ctx, websocket.MessageText, b.Bytes()); err != nil {
			return err
		}
	}
	if len(j.deltas) > 0 {
		b.Reset()
		b.WriteString(`{"deltas":[`)
		for i, d := range j.deltas {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(d)
		}
		b.WriteString(`]}`)
		if err := conn.Write(ctx, websocket.MessageText, b.Bytes()); err != nil {
			return err
		}
	}
	if j.ping != nil {
		return conn.Write(ctx, websocket.MessageText, j.ping)
	}
	return nil
}

// stalled reports that one write has taken longer than the network should need, and whether the
// client had been told to go before that.
func (c *client) stalled(now time.Time) (stalled, leaving bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing && !c.since.IsZero() && now.Sub(c.since) > writeLimit, c.code != 0
}

// cut ends the connection without a goodbye. It does not wait.
func (c *client) cut() {
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	go func() { _ = c.conn.CloseNow() }()
}
