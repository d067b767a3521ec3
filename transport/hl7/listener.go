package hl7

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"relais/engine"
)

// Limits of a listener, where ListenerConfig says nothing.
const (
	defaultConnections = 2048
	defaultPerHost     = 1100
	firstWithin        = 30 * time.Second // until the first message of a connection that anybody understands
	frameWithin        = 30 * time.Second // for one message to come whole
	writeWithin        = 10 * time.Second
	handshakeWithin    = 10 * time.Second
	keepAlive          = 30 * time.Second
	maxBad             = 20                   // messages in a badWithin that cannot be read or belong to nobody
	badWithin          = time.Minute          //
	minPause           = 5 * time.Millisecond // before connections are taken again
	drainWithin        = time.Second          // after a refusal, so that it is not lost in a reset
)

// Events of a listener, as Observe is told them. The list is closed.
const (
	Accepted   = "accepted"    // a message was taken
	Duplicate  = "duplicate"   // one that was taken before came again
	Refused    = "refused"     // one was answered AE or AR
	Unknown    = "unknown"     // nobody's: MSH-3 to 6 name no clinic
	Unreadable = "unreadable"  // not a message
	TooLarge   = "too_large"   // longer than MaxFrame; the connection is closed
	Flood      = "flood"       // a connection was closed for what it sent
	TooMany    = "connections" // one was not taken: there are too many
	Handshake  = "handshake"   // TLS failed: no certificate, an expired one, no TLS at all
	Slow       = "slow"        // a connection was closed: no message came, or one did not end
)

// ListenerConfig is what a Listener needs; all of it may be left out.
type ListenerConfig struct {
	TLS         *tls.Config // nil: plain, for a private network only
	Connections int         // at a time; 0: 2048
	PerHost     int         // of one address; 0: 1100
	// Observe is told each event with the clinic, "" where there is none. It must not block.
	Observe func(clinic engine.ClinicID, event string)
	Log     *slog.Logger // nil: slog.Default
}

// Listener takes the messages of any number of clinics on one port.
type Listener struct {
	cfg    ListenerConfig
	ctx    context.Context //nolint:containedctx // the life of the listener, which no single call has
	cancel context.CancelFunc
	work   sync.WaitGroup
	warned rate.Sometimes // who floods us must not flood the log; Observe counts all of it

	mu      sync.Mutex
	clinics map[address]*Connector
	conns   map[net.Conn]netip.Addr
	hosts   map[netip.Addr]int
	listens []net.Listener
	closed  bool
}

// address is MSH-3 to 6.
type address struct{ from, to Party }

// NewListener makes a listener without clinics.
func NewListener(cfg ListenerConfig) *Listener {
	if cfg.Connections == 0 {
		cfg.Connections = defaultConnections
	}
	if cfg.PerHost == 0 {
		cfg.PerHost = defaultPerHost
	}
	if cfg.Observe == nil {
		cfg.Observe = func(engine.ClinicID, string) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Listener{
		cfg: cfg, ctx: ctx, cancel: cancel, warned: rate.Sometimes{First: 10, Interval: 10 * time.Second}, clinics: map[address]*Connector{},
		conns: map[net.Conn]netip.Addr{}, hosts: map[netip.Addr]int{},
	}
}

// Add routes the messages of a clinic to its connector, by Config.Sender and Config.Receiver.
func (l *Listener) Add(c *Connector) error {
	at := address{c.cfg.Sender, c.cfg.Receiver}
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.clinics[at]; other != nil {
		return engine.Errorf(engine.Invalid, "clinics %s and %s have the same sender and receiver; their messages could not be told apart", other.cfg.Clinic, c.cfg.Clinic)
	}
	l.clinics[at] = c
	return nil
}

// Remove ends that: what still comes for the clinic is refused as nobody's, so that its sender tries again.
func (l *Listener) Remove(c *Connector) {
	at := address{c.cfg.Sender, c.cfg.Receiver}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clinics[at] == c {
		delete(l.clinics, at)
	}
}

// find returns the clinic of a message: the one that names most of MSH-3 to 6.
func (l *Listener) find(m Message) *Connector {
	head := m.First("MSH")
	var named [4]string
	for i := range named {
		named[i] = m.Field(head, 3+i).Text(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, mask := range masks() {
		at := named
		for i := range at {
			if mask&(1<<i) != 0 {
				at[i] = ""
			}
		}
		if c := l.clinics[address{Party{at[0], at[1]}, Party{at[2], at[3]}}]; c != nil {
			return c
		}
	}
	return nil
}

// masks lists which of four names to leave out, fewest first.
func masks() []int {
	return []int{0, 1, 2, 4, 8, 3, 5, 9, 6, 10, 12, 7, 11, 13, 14, 15}
}

// Serve takes connections until Close. It returns nil after Close, and otherwise why it ended.
func (l *Listener) Serve(listen net.Listener) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return listen.Close()
	}
	l.listens = append(l.listens, listen)
	l.mu.Unlock()
	wait := minPause
	for {
		conn, err := listen.Accept()
		switch {
		case err == nil:
			wait = minPause
			l.accept(conn)
			continue
		case l.ended():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("take an HL7 connection: %w", err)
		}
		// Out of file descriptors, for example: others need theirs to finish.
		select {
		case <-time.After(wait):
			wait = min(2*wait, time.Second)
		case <-l.ctx.Done():
		}
	}
}

func (l *Listener) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Listener) accept(conn net.Conn) {
	host := hostOf(conn)
	l.mu.Lock()
	full := l.closed || len(l.conns) >= l.cfg.Connections || l.hosts[host] >= l.cfg.PerHost
	if !full {
		l.conns[conn] = host
		l.hosts[host]++
		l.work.Add(1)
	}
	l.mu.Unlock()
	if full {
		_ = conn.Close()
		l.cfg.Observe("", TooMany)
		return
	}
	go func() {
		defer l.work.Done()
		defer l.forget(conn)
		l.talk(conn, host)
	}()
}

func hostOf(conn net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

func (l *Listener) forget(conn net.Conn) {
	_ = conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	host := l.conns[conn]
	delete(l.conns, conn)
	if l.hosts[host]--; l.hosts[host] <= 0 {
		delete(l.hosts, host)
	}
}

// Close ends all connections and waits for messages that are being taken.
func (l *Listener) Close() {
	l.mu.Lock()
	l.closed = true
	for _, s := range l.listens {
		_ = s.Close()
	}
	for conn := range l.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // what is being taken is still answered
	}
	l.mu.Unlock()
	l.cancel()
	l.work.Wait()
}

// Connections says how many connections there are.
func (l *Listener) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// peerNames are the names in a certificate.
func peerNames(conn net.Conn) []string {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	var names []string
	for _, cert := range secure.ConnectionState().PeerCertificates[:min(1, len(secure.ConnectionState().PeerCertificates))] {
		names = append(slices.Clone(cert.DNSNames), cert.Subject.CommonName)
	}
	return names
}
