package fhir

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/sync/singleflight"

	"relais/engine"
)

// DefaultScope is what a Backend asks for: to read the schedule, and to write slots, appointments
// and subscriptions.
const DefaultScope = "system/Schedule.read system/Practitioner.read system/Location.read " +
	"system/Slot.read system/Slot.write system/Appointment.read system/Appointment.write " +
	"system/Subscription.read system/Subscription.write"

// Lifetimes of what a Backend makes and keeps.
const (
	assertionFor  = 4 * time.Minute // SMART allows 5
	tokenMargin   = 30 * time.Second
	defaultExpiry = 5 * time.Minute // of a token whose server does not say
	maxExpiry     = 24 * time.Hour
)

// BackendConfig is what a Backend needs: ClientID and Key.
type BackendConfig struct {
	ClientID string
	// Key is the private key: PEM (PKCS #8, PKCS #1 or SEC 1), a JWK or a JWK set. RSA of 2048 bits
	// or more signs RS384, an elliptic key on P-384 signs ES384.
	Key   []byte
	KeyID string // the "kid" that the server knows the key by; "": the JWK's, or its thumbprint (RFC 7638)
	// TokenURL is where tokens are given out; "": what the server's .well-known/smart-configuration says.
	TokenURL string
	Scope    string // "": DefaultScope
}

// Backend signs in with SMART Backend Services: a signed assertion is exchanged for a token that
// lives some minutes (HL7 SMART App Launch 2.2, "Backend Services"). It is safe for concurrent use,
// fetches one token at a time, and keeps it until shortly before it expires.
type Backend struct {
	cfg    BackendConfig
	signer jose.Signer
	public jose.JSONWebKey
	flight singleflight.Group

	mu      sync.Mutex
	token   string
	renewAt time.Time
	address string // where tokens are given out, once it is known
}

// NewBackend reads the key; it does not call the server.
func NewBackend(cfg BackendConfig) (*Backend, error) {
	if cfg.ClientID == "" {
		return nil, fmt.Errorf("fhir: the client ID is missing")
	}
	if cfg.TokenURL != "" {
		if u, err := url.Parse(cfg.TokenURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("fhir: the token URL must be like https://host/path")
		}
	}
	key, algorithm, err := readKey(cfg.Key)
	if err != nil {
		return nil, err
	}
	key.KeyID = cmp.Or(cfg.KeyID, key.KeyID)
	if key.KeyID == "" {
		if key.KeyID, err = thumbprint(key); err != nil {
			return nil, err
		}
	}
	cfg.Key, cfg.Scope = nil, cmp.Or(cfg.Scope, DefaultScope)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("fhir: the private key cannot sign %s", algorithm)
	}
	public := key.Public()
	public.Algorithm, public.Use = string(algorithm), "sig"
	return &Backend{cfg: cfg, signer: signer, public: public}, nil
}

// PublicKeys is the JWK set to register with the record system.
func (b *Backend) PublicKeys() ([]byte, error) {
	return json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{b.public}}, "", "  ")
}

func (b *Backend) authorize(ctx context.Context, c *Client, r *http.Request) error {
	token, err := b.get(ctx, c)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// refused forgets the token that was refused, unless another one took its place meanwhile.
func (b *Backend) refused(r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Header.Get("Authorization") == "Bearer "+b.token {
		b.token = ""
	}
	return true
}

func (b *Backend) get(ctx context.Context, c *Client) (string, error) {
	b.mu.Lock()
	token, fresh := b.token, c.cfg.Now().Before(b.renewAt)
	b.mu.Unlock()
	if token != "" && fresh {
		return token, nil
	}
	// The fetch outlives a caller that gives up: the others wait for it too.
	got := b.flight.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout)
		defer cancel()
		return b.fetch(ctx, c)
	})
	select {
	case <-ctx.Done():
		return "", connectionFailure(ctx.Err())
	case r := <-got:
		if r.Err != nil {
			return "", r.Err
		}
		token, _ = r.Val.(string)
		return token, nil
	}
}

// fetch exchanges a new assertion for a token.
func (b *Backend) fetch(ctx context.Context, c *Client) (string, error) {
	address, err := b.tokenURL(ctx, c)
	if err != nil {
		return "", err
	}
	now := c.cfg.Now()
	assertion, err := b.assertion(address, now)
	if err != nil {
		return "", err
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {b.cfg.Scope},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
	r, err := c.exchange(ctx, call{
		method: http.MethodPost, path: address, body: []byte(form.Encode()), bare: true,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
	})
	if err != nil {
		return "", err
	}
	if err := judgeToken(r, now); err != nil {
		b.forgetAddress()
		return "", err
	}
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"`
	}
	if json.Unmarshal(r.body, &answer) != nil || answer.Token == "" || !strings.EqualFold(answer.Type, "bearer") || strings.ContainsAny(answer.Token, "\r\n") {
		return "", failure(engine.DMESignIn, "The sign-in server's answer holds no bearer token.")
	}
	life := defaultExpiry
	if answer.Expires > 0 {
		life = time.Duration(min(answer.Expires, int64(maxExpiry/time.Second))) * time.Second
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.token, b.renewAt = answer.Token, now.Add(life-min(tokenMargin, life/4))
	return answer.Token, nil
}

// judgeToken says what an answer of the token endpoint that holds no token means.
func judgeToken(r reply, now time.Time) error {
	switch {
	case r.status < 300:
		return nil
	case r.status == http.StatusNotFound || r.status == http.StatusGone || r.status < 400:
		return failure(engine.DMESignIn, "There is no sign-in server at the token URL (%d).", r.status)
	case r.status == http.StatusTooManyRequests || r.status >= 500:
		return judge(r.status, r.header, nil, now)
	}
	var answer struct {
		Error string `json:"error"`
	}
	why := ""
	if json.Unmarshal(r.body, &answer) == nil && isCode(strings.ReplaceAll(answer.Error, "_", "-")) {
		why = ", " + answer.Error
	}
	return failure(engine.DMESignIn, "The sign-in server refuses our client ID, key or scope (%d%s).", r.status, why)
}

// assertion is the signed claim of who we are. Each one has its own jti and is used once.
func (b *Backend) assertion(address string, now time.Time) (string, error) {
	text, err := jwt.Signed(b.signer).Claims(jwt.Claims{
		Issuer: b.cfg.ClientID, Subject: b.cfg.ClientID, Audience: jwt.Audience{address}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionFor)),
	}).Serialize()
	if err != nil {
		return "", failure(engine.DMESignIn, "The sign-in request cannot be signed with the private key.")
	}
	return text, nil
}

// tokenURL is the configured address, or the one that the server names.
func (b *Backend) tokenURL(ctx context.Context, c *Client) (string, error) {
	if b.cfg.TokenURL != "" {
		return b.cfg.TokenURL, nil
	}
	b.mu.Lock()
	known := b.address
	b.mu.Unlock()
	if known != "" {
		return known, nil
	}
	r, err := c.exchange(ctx, call{
		method: http.MethodGet, path: ".well-known/smart-configuration", bare: true,
		header: http.Header{"Accept": {"application/json"}},
	})
	if err != nil {
		return "", err
	}
	if r.status == http.StatusTooManyRequests || r.status >= 500 {
		return "", judge(r.status, r.header, nil, c.cfg.Now())
	}
	var smart struct {
		Token string `json:"token_endpoint"`
	}
	if r.status >= 300 || json.Unmarshal(r.body, &smart) != nil {
		return "", failure(engine.DMESignIn, "The server does not say where to sign in (.well-known/smart-configuration, %d); set the token URL.", r.status)
	}
	u, err := url.Parse(smart.Token)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != c.base.Scheme || u.User != nil {
		return "", failure(engine.DMESignIn, "The sign-in address that the server names cannot be used; set the token URL.")
	}
	b.mu.Lock()
	b.address = smart.Token
	b.mu.Unlock()
	return smart.Token, nil
}

// forgetAddress has the sign-in address asked for anew: it may have moved.
func (b *Backend) forgetAddress() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.address = ""
}
