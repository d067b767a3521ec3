package sandbox

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// SignIn is what a clinic's record system demands of a request. The zero SignIn demands the bearer
// token of the clinic's Seed.
type SignIn struct {
	Open           bool // nothing is demanded
	User, Password string
	// Keys demands SMART Backend Services: they are the public keys of ClientID.
	Keys     *jose.JSONWebKeySet
	ClientID string
	TokenFor time.Duration // how long a token lives; 0: 5 minutes
	// Certificate demands, besides, a client certificate that the listener has verified.
	Certificate bool
}

// Limits of the token endpoint.
const (
	maxTokens    = 1000
	maxAssertion = 5 * time.Minute // SMART App Launch: exp is at most 5 minutes ahead
	tokenFor     = 5 * time.Minute
)

// tokens is what a clinic's token endpoint has given out and has seen.
type tokens struct {
	mu   sync.Mutex
	live map[string]time.Time // until
	used map[string]time.Time // jti, until its assertion expires
}

func (t *tokens) sweep(now time.Time) {
	for _, m := range []map[string]time.Time{t.live, t.used} {
		for k, until := range m {
			if now.After(until) {
				delete(m, k)
			}
		}
	}
}

// Revoke ends every token that a clinic's token endpoint has given out.
func (d *DME) Revoke(clinicID string) error {
	c, ok := d.clinic(clinicID)
	if !ok {
		return fail(http.StatusNotFound, "not-found", "There is no such clinic.")
	}
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	clear(c.tokens.live)
	return nil
}

// signedIn says whether a request carries what the clinic demands.
func (d *DME) signedIn(r *http.Request, c *clinic, m Manner, token string) bool {
	s := m.SignIn
	if s.Certificate && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		return false
	}
	switch {
	case s.Open:
		return true
	case s.User != "":
		user, password, ok := r.BasicAuth()
		return ok && user == s.User && same(password, s.Password)
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return false
	}
	if s.Keys == nil {
		return token != "" && same(given, token)
	}
	now := d.cfg.Now()
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	until, known := c.tokens.live[given]
	return known && now.Before(until)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// smartConfiguration says where tokens are given out.
func (d *DME) smartConfiguration(w http.ResponseWriter, r *http.Request, c *clinic, m Manner) {
	if m.SignIn.Keys == nil {
		answerError(w, fail(http.StatusNotFound, "not-found", "This record system has no sign-in server."))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token_endpoint":                                   baseURL(r, c.id) + "/token",
		"token_endpoint_auth_methods_supported":            []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS384", "ES384"},
		"grant_types_supported":                            []string{"client_credentials"},
		"capabilities":                                     []string{"client-confidential-asymmetric"},
	})
}

// giveToken is the token endpoint: it exchanges an assertion that is in order for a token.
func (d *DME) giveToken(w http.ResponseWriter, r *http.Request, c *clinic, m Manner, body []byte) {
	refuse := func(code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
	}
	form, err := parseForm(body)
	if err != nil || r.Method != http.MethodPost || m.SignIn.Keys == nil {
		refuse("invalid_request")
		return
	}
	if form.Get("grant_type") != "client_credentials" || form.Get("scope") == "" ||
		form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		refuse("invalid_request")
		return
	}
	if !d.accepts(form.Get("client_assertion"), baseURL(r, c.id)+"/token", c, m.SignIn) {
		refuse("invalid_client")
		return
	}
	life := m.SignIn.TokenFor
	if life == 0 {
		life = tokenFor
	}
	token := rand.Text()
	c.tokens.mu.Lock()
	if len(c.tokens.live) < maxTokens {
		c.tokens.live[token] = d.cfg.Now().Add(life)
	}
	c.tokens.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": token, "token_type": "bearer", "expires_in": int(life.Seconds()), "scope": form.Get("scope"),
	})
}

// accepts checks an assertion: the signature by the key that its header names, issuer, subject,
// audience, expiry, and that it was not used before.
func (d *DME) accepts(assertion, audience string, c *clinic, s SignIn) bool {
	token, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil || len(token.Headers) != 1 || token.Headers[0].KeyID == "" {
		return false
	}
	now := d.cfg.Now()
	for _, key := range s.Keys.Key(token.Headers[0].KeyID) {
		var claims jwt.Claims
		if token.Claims(key.Key, &claims) != nil {
			continue
		}
		expected := jwt.Expected{Issuer: s.ClientID, Subject: s.ClientID, AnyAudience: jwt.Audience{audience}, Time: now}
		if claims.ValidateWithLeeway(expected, 0) != nil || claims.Expiry == nil || claims.ID == "" ||
			claims.Expiry.Time().After(now.Add(maxAssertion)) {
			return false
		}
		c.tokens.mu.Lock()
		defer c.tokens.mu.Unlock()
		c.tokens.sweep(now)
		if _, again := c.tokens.used[claims.ID]; again || len(c.tokens.used) >= maxTokens {
			return false
		}
		c.tokens.used[claims.ID] = claims.Expiry.Time()
		return true
	}
	return false
}
