package twilio

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

const (
	maxAnswer  = 256 << 10 // bytes of an answer that are read
	maxConns   = 16        // to Twilio
	idleConns  = 90 * time.Second
	dialing    = 5 * time.Second
	maxWaiting = 5 * time.Minute // longest Retry-After that is believed
)

// newWire makes the connections that all calls share.
func newWire() *http.Transport {
	d := &net.Dialer{Timeout: dialing, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         d.DialContext,
		ForceAttemptHTTP2:   true,
		MaxConnsPerHost:     maxConns,
		MaxIdleConnsPerHost: maxConns, // the default of 2 halves the rate
		IdleConnTimeout:     idleConns,
		TLSHandshakeTimeout: dialing,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

// exchange is one request and its answer. It gives twilio-go, which knows neither contexts nor
// other hosts, both; and it remembers what twilio-go throws away: whether the request left, the
// status and Retry-After.
type exchange struct {
	ctx  context.Context //nolint:containedctx // twilio-go makes its requests without one
	wire http.RoundTripper
	base *url.URL // scheme and host to use instead, or nil

	wrote  atomic.Bool // set by the transport's goroutines
	status int
	wait   time.Duration
}

// RoundTrip sends the request and reads the whole answer, so that nothing is left to drain.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{WroteHeaders: func() { x.wrote.Store(true) }}
	req = req.Clone(httptrace.WithClientTrace(x.ctx, trace))
	if x.base != nil {
		req.URL.Scheme, req.URL.Host, req.Host = x.base.Scheme, x.base.Host, x.base.Host
	}
	resp, err := x.wire.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	x.status = resp.StatusCode
	x.wait = retryAfter(resp.Header.Get("Retry-After"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// retryAfter reads a header in seconds; Twilio does not use dates there.
func retryAfter(v string) time.Duration {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxWaiting)
}

// begin prepares one exchange under ctx.
func (c *Client) begin(ctx context.Context) (*exchange, *api.ApiService) {
	x := &exchange{ctx: ctx, wire: c.wire, base: c.base}
	tc := &client.Client{
		Credentials: client.NewCredentials(c.user, c.pass),
		HTTPClient: &http.Client{
			Transport:     x,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	tc.SetAccountSid(c.cfg.AccountSID)
	return x, api.NewApiService(&client.RequestHandler{Client: tc})
}
