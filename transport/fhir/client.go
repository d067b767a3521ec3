package fhir

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"relais/engine"
)

// BookingSystem is the identifier system of the bookings that Relais writes; the value is an
// engine.BookingID.
const BookingSystem = "urn:relais:booking"

// Limits of one exchange.
const (
	maxBody        = 8 << 20
	maxPages       = 200
	defaultPage    = 500
	defaultTimeout = 10 * time.Second
	defaultOverlap = 5 * time.Second
)

// Config is what a Client needs. Only Clinic and BaseURL are required.
type Config struct {
	Clinic  engine.ClinicID
	BaseURL string // of the FHIR server, for example "https://dme.example/fhir"
	SignIn  SignIn // nil: none
	// HTTPClient replaces the client that New makes; CA and ClientCertificate are not used then.
	HTTPClient *http.Client
	CA         *x509.CertPool // nil: the system's
	// ClientCertificate is asked for our certificate at each handshake in which the server wants
	// one (mutual TLS); nil: there is none.
	ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	Timeout           time.Duration // of one request; 0: 10 s
	PageSize          int           // resources a page; 0: 500
	// Overlap is how far each look for changes reaches back before the last one, for servers
	// whose commits become visible out of order; 0: 5 s.
	Overlap time.Duration
	// Topics are the canonical addresses of the topics to subscribe to, on a server that has them
	// (R5 Backport); empty: R4 criteria.
	Topics []string
	// Endpoint and Secret are what Subscribe will be given, for Check; empty: nothing is to be pushed.
	Endpoint, Secret string
	// NoTransactions is for servers that take transactions and do not undo one that fails: bookings
	// are written step by step.
	NoTransactions bool
	// Location restricts the clinic to the schedules that name this place ("Location/3"), when
	// the server holds several clinics.
	Location string
	// Specialties maps the server's specialty codes to the clinic's; a code that is not in it
	// stands for itself.
	Specialties map[string]engine.Specialty
	// SlotStatuses and LiveStatuses name statuses beyond R4's, or rebind R4's: what a slot status
	// means, and whether an appointment status occupies its slots.
	SlotStatuses map[string]engine.SlotStatus
	LiveStatuses map[string]bool
	// FreeByAppointment is for servers that leave a slot busy when its appointment is cancelled:
	// a busy slot without a live appointment may be booked.
	FreeByAppointment bool
	Now               func() time.Time // nil: time.Now
	Log               *slog.Logger     // nil: slog.Default
}

// Client is one clinic's record system.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client

	mu        sync.Mutex
	schedules map[string]schedule
	known     *abilities // replaced, never written to; nil: nothing was learned yet
	seen      map[string]sight
	push      string            // how the record system tells us of changes
	missed    bool              // a notification was lost: the next look is a full one
	window    span              // of the last Snapshot
	furthest  time.Time         // where the last slot starts that was shown
	shown     time.Time         // when it last showed slots or appointments at all
	promised  time.Time         // no change with an older stamp should show any more
	late      bool              // one did
	histories time.Time         // up to where the histories were read
	historyAt time.Time         // when
	tombs     map[string]string // resources that were deleted, and their last version
}

type span struct{ from, until time.Time }

// New checks the configuration; it does not call the server.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(cfg.BaseURL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.User != nil {
		return nil, fmt.Errorf("fhir: base URL of clinic %s must be like https://host/path", cfg.Clinic)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.PageSize <= 0 {
		cfg.PageSize = defaultPage
	}
	if cfg.Overlap <= 0 {
		cfg.Overlap = defaultOverlap
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	c := &Client{cfg: cfg, base: base, http: cfg.HTTPClient, seen: map[string]sight{}, tombs: map[string]string{}, push: pushNone}
	if c.http == nil {
		c.http = newHTTPClient(&cfg)
	}
	return c, nil
}

func newHTTPClient(cfg *Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.CA, GetClientCertificate: cfg.ClientCertificate},
			TLSHandshakeTimeout:    5 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           32,
			MaxIdleConnsPerHost:    16,
			MaxConnsPerHost:        64,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would carry the token to an address that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close ends the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// reply is what the server answered with a status below 400.
type reply struct {
	status int
	header http.Header
	body   []byte
	date   time.Time     // the server's clock, zero when it does not say
	skew   time.Duration // the server's clock minus ours
	again  bool          // it refused our token, and a new one can be had
}

// call is one request. Path is below the base, or a whole address.
type call struct {
	method, path string
	query        url.Values
	body         []byte
	header       http.Header
	bare         bool // without signing in
}

// do makes one request and turns everything but a success into a failure. A 404 or 410 is
// returned as a reply with that status, for the caller to judge. When the server does not take our
// token any more, a new one is fetched and the request made once again.
func (c *Client) do(ctx context.Context, in call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	r, err := c.exchange(ctx, in)
	if err == nil && r.again {
		r, err = c.exchange(ctx, in)
	}
	if err != nil {
		return reply{}, err
	}
	return r, judge(r.status, r.header, r.body, c.cfg.Now())
}

// exchange makes one request, whatever the answer is.
func (c *Client) exchange(ctx context.Context, in call) (reply, error) {
	req, err := c.request(ctx, in)
	if err != nil {
		return reply{}, err
	}
	sent := c.cfg.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, connectionFailure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return reply{}, connectionFailure(err)
	}
	if len(body) > maxBody {
		return reply{}, failure(engine.DMEMalformed, "An answer of the record system is larger than 8 MiB.")
	}
	out := reply{status: resp.StatusCode, header: resp.Header, body: body}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		out.date = date
		out.skew = skewOf(date, sent, c.cfg.Now())
	}
	out.again = resp.StatusCode == http.StatusUnauthorized && c.cfg.SignIn != nil && !in.bare && c.cfg.SignIn.refused(req)
	return out, nil
}

func (c *Client) request(ctx context.Context, in call) (*http.Request, error) {
	target := in.path
	if !strings.Contains(target, "://") {
		target = c.base.String()
		if in.path != "" {
			target += "/" + in.path
		}
	}
	if len(in.query) > 0 {
		target += "?" + in.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, in.method, target, bytes.NewReader(in.body))
	if err != nil {
		return nil, failure(engine.DMEMalformed, "An address of the record system cannot be used.")
	}
	req.Header.Set("Accept", "application/fhir+json")
	if in.body != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	if in.method == http.MethodGet {
		req.Header.Set("Cache-Control", "no-cache") // what a cache remembers is no look
	}
	maps.Copy(req.Header, in.header)
	if c.cfg.SignIn != nil && !in.bare {
		if err := c.cfg.SignIn.authorize(ctx, c, req); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// skewOf compares a Date header, which is cut to the second, with the span of the request, and
// gives the benefit of the doubt.
func skewOf(date, sent, received time.Time) time.Duration {
	switch {
	case date.Add(time.Second).Before(sent):
		return date.Add(time.Second).Sub(sent)
	case date.After(received):
		return date.Sub(received)
	}
	return 0
}

func judge(status int, h http.Header, body []byte, now time.Time) error {
	if status < 300 || status == http.StatusNotFound || status == http.StatusGone {
		return nil
	}
	issue := issueCode(body)
	switch {
	case status < 400:
		return failure(engine.DMEMalformed, "The record system redirects elsewhere, which is not followed.")
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return failure(engine.DMESignIn, "The record system does not let us in (%d).", status)
	case status == http.StatusConflict:
		return failure(engine.DMEConflict, "The record system says that something changed meanwhile (%d%s).", status, issue)
	case status == http.StatusPreconditionFailed:
		return &lagged{failure(engine.DMEConflict, "The record system says that something changed meanwhile (%d%s).", status, issue)}
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && h.Get("Retry-After") != "":
		f := failure(engine.DMEBusy, "The record system asks to wait (%d).", status)
		f.Wait = retryAfter(h.Get("Retry-After"), now)
		return f
	case status >= 500:
		return failure(engine.DMEError, "The record system has an error of its own (%d%s).", status, issue)
	}
	return failure(engine.DMERejected, "The record system refuses the request (%d%s).", status, issue)
}

// retryAfter reads seconds or a date.
func retryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
		return time.Duration(min(max(n, 0), 86400)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// issueCode gives the code of an OperationOutcome's first issue, and none of its prose: that may
// name a patient.
func issueCode(body []byte) string {
	var o struct {
		Issue []struct {
			Code string `json:"code"`
		} `json:"issue"`
	}
	if json.Unmarshal(body, &o) != nil || len(o.Issue) == 0 || !isCode(o.Issue[0].Code) {
		return ""
	}
	return ", " + o.Issue[0].Code
}

// isCode says whether s looks like a code of FHIR's issue-type list.
func isCode(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && r != '-' {
			return false
		}
	}
	return s != "" && len(s) < 24
}

// lagged is a conflict that a copy that lags behind our own write would explain too.
type lagged struct{ why *engine.DMEFailure }

func (e *lagged) Error() string { return e.why.Error() }
func (e *lagged) Unwrap() error { return e.why }

func mayLag(err error) bool {
	_, ok := errors.AsType[*lagged](err)
	return ok
}

func failure(f engine.DMEFault, format string, args ...any) *engine.DMEFailure {
	return &engine.DMEFailure{Fault: f, Detail: fmt.Sprintf(format, args...)}
}

// connectionFailure says why there is no answer, without the address or anything else that the
// error carries.
func connectionFailure(err error) *engine.DMEFailure {
	switch {
	case ourCertificate(err):
		return failure(engine.DMESignIn, "The record system wants a certificate of ours that it can trust, or the one it has from us has expired.")
	case expired(err):
		return failure(engine.DMESignIn, "The record system's certificate has expired or is not valid yet.")
	case theirCertificate(err):
		return failure(engine.DMESignIn, "The record system's certificate is not trusted or is for another name.")
	}
	if errors.Is(err, context.Canceled) {
		return failure(engine.DMEUnreachable, "The request to the record system was given up.")
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return failure(engine.DMEUnreachable, "The record system did not answer in time.")
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return failure(engine.DMEUnreachable, "The name of the record system's server is not known.")
	}
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return failure(engine.DMEUnreachable, "The record system does not speak HTTPS at this address and port.")
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure(engine.DMEUnreachable, "The record system cannot be reached: nothing takes connections at its address and port.")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return failure(engine.DMEUnreachable, "The record system cannot be reached: no way leads to its network.")
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return failure(engine.DMEUnreachable, "The record system cannot be reached.")
	}
	return failure(engine.DMEUnreachable, "The record system closed the connection without an answer.")
}

func theirCertificate(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

func expired(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// ourCertificate reads the alert by which a server says what it thinks of our certificate. The
// standard library gives alerts no type of their own, only the operation and words.
func ourCertificate(err error) bool {
	alert, ok := errors.AsType[*net.OpError](err)
	if !ok || alert.Op != "remote error" || alert.Err == nil {
		return false
	}
	words := alert.Err.Error()
	return strings.Contains(words, "certificate") || strings.Contains(words, "access denied") || strings.Contains(words, "handshake failure")
}
