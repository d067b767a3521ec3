package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds the memory of a limiter, about 100 bytes a bucket.
const maxBuckets = 20_000

// limiter is a token bucket for each key.
type limiter[K comparable] struct {
	every rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[K]*rate.Limiter
}

func newLimiter[K comparable](every time.Duration, burst int) *limiter[K] {
	return &limiter[K]{every: rate.Every(every), burst: burst, buckets: make(map[K]*rate.Limiter)}
}

// take uses one token and reports whether there was one.
func (l *limiter[K]) take(now time.Time, key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bucket(now, key).AllowN(now, 1)
}

// empty reports whether take would be refused, without using a token.
func (l *limiter[K]) empty(now time.Time, key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	return ok && b.TokensAt(now) < 1
}

// forgive fills the bucket again.
func (l *limiter[K]) forgive(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.buckets, key)
}

func (l *limiter[K]) bucket(now time.Time, key K) *rate.Limiter {
	b, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			l.shed(now)
		}
		b = rate.NewLimiter(l.every, l.burst)
		l.buckets[key] = b
	}
	return b
}

// shed drops the buckets that are full again, and when all are in use a tenth of them at random:
// an attacker with that many addresses is beyond what counting addresses can do.
func (l *limiter[K]) shed(now time.Time) {
	for k, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, k)
		}
	}
	for k := range l.buckets {
		if len(l.buckets) < maxBuckets*9/10 {
			return
		}
		delete(l.buckets, k)
	}
}

// address returns what limits on the caller's address count by: the remote address, or when that
// is a trusted proxy the last hop in X-Forwarded-For that is not. An IPv6 address counts by its
// /64, which one subscriber has to itself.
func (s *Server) address(r *http.Request) netip.Addr {
	addr := s.fullAddress(r)
	if addr.Is6() {
		p, err := addr.WithZone("").Prefix(64)
		if err == nil {
			return p.Addr()
		}
	}
	return addr
}

// fullAddress is where a request comes from.
func (s *Server) fullAddress(r *http.Request) netip.Addr {
	addr := parseAddr(r.RemoteAddr)
	if s.trusted(addr) {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && s.trusted(addr); i-- {
			hop := parseAddr(strings.TrimSpace(hops[i]))
			if !hop.IsValid() {
				break
			}
			addr = hop
		}
	}
	return addr
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func parseAddr(s string) netip.Addr {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}
