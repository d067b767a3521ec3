package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/netip"
	"time"

	"relais/engine"
)

const (
	sessionLife = 12 * time.Hour // since the last request
	// sessionRenew is how old a session's end may be before it is moved: most requests write nothing.
	sessionRenew = 30 * time.Minute

	// A slip of the fingers costs nothing; a list of guesses takes weeks.
	signInAccountBurst = 10
	signInAccountEvery = 30 * time.Second
	signInAddressBurst = 30
	signInAddressEvery = 3 * time.Second
)

// caller is who makes a request.
type caller struct {
	Account
	session string // its key
}

func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(keyCaller).(*caller)
	return c
}

// cookieName carries the __Host- prefix where browsers honour it: only this host, over HTTPS, may
// set such a cookie.
func (s *Server) cookieName() string {
	if s.cfg.Secure {
		return "__Host-relais"
	}
	return "relais"
}

func (s *Server) cookie(secret string) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Secure follows the configuration: a demo on localhost has no HTTPS
		Name: s.cookieName(), Value: secret, Path: "/", MaxAge: int(sessionLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.cfg.Secure,
	}
	if secret == "" {
		c.MaxAge = -1
	}
	return c
}

// digest is the key of a session. Somebody who reads the store learns no secret.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

var errWrongPassword = engine.Errorf(engine.Unsigned, "the account or the password is wrong")

// signIn checks a password and opens a session. An account that does not exist takes as long as a
// wrong password and gets the same answer.
func (s *Server) signIn(ctx context.Context, from netip.Addr, id engine.UserID, password string) (secret string, _ *caller, err error) {
	now := s.now()
	if !s.signInAddress.take(now, from) || !s.signInAccount.take(now, id) {
		s.metrics.Limited(LimitSignIn)
		return "", nil, engine.Errorf(engine.TooMany, "too many attempts; wait a minute")
	}
	account, err := s.cfg.Accounts.Account(ctx, id)
	missing := err != nil && engine.CodeOf(err) == engine.NotFound
	if err != nil && !missing {
		return "", nil, err
	}
	hash := account.Hash
	if missing {
		hash = s.dummy
	}
	ok, old := false, account.Hash
	err = s.compute(ctx, func() (err error) {
		var paid cost
		ok, paid, err = checkPassword(hash, password)
		if ok && !missing && paid != defaultCost {
			account.Hash, err = hashWith(defaultCost, password)
		}
		return err
	})
	if err != nil {
		return "", nil, err
	}
	if !ok || missing {
		return "", nil, errWrongPassword
	}
	s.signInAccount.forgive(id)
	if account.Hash != old {
		if err := s.cfg.Accounts.PutAccount(ctx, account); err != nil {
			return "", nil, err
		}
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", nil, err
	}
	secret = base64.RawURLEncoding.EncodeToString(raw)
	session := Session{Key: digest(secret), Account: id, Expires: now.Add(sessionLife)}
	if err := s.cfg.Accounts.PutSession(ctx, session); err != nil {
		return "", nil, err
	}
	return secret, &caller{Account: account, session: session.Key}, nil
}

var errUnsigned = engine.Errorf(engine.Unsigned, "sign in first")

// authenticate finds the caller by the session cookie. renewed is the cookie to send back when the
// session's end was moved.
func (s *Server) authenticate(ctx context.Context, r *http.Request) (who *caller, renewed *http.Cookie, err error) {
	cookie, err := r.Cookie(s.cookieName())
	if err != nil || len(cookie.Value) != base64.RawURLEncoding.EncodedLen(32) {
		return nil, nil, errUnsigned
	}
	key := digest(cookie.Value)
	session, account, err := s.session(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	now := s.now()
	if session.Expires.Sub(now) < sessionLife-sessionRenew {
		session.Expires = now.Add(sessionLife)
		if err := s.cfg.Accounts.PutSession(ctx, session); err != nil {
			// A full disk must not sign people out: they can still read.
			s.log.WarnContext(ctx, "session not prolonged", "request", requestID(ctx), "error", err)
		} else {
			renewed = s.cookie(cookie.Value)
		}
	}
	return &caller{Account: account, session: key}, renewed, nil
}

// session loads a session that is still good and its account.
func (s *Server) session(ctx context.Context, key string) (Session, Account, error) {
	session, err := s.cfg.Accounts.Session(ctx, key)
	if err != nil {
		return Session{}, Account{}, unsignedIfMissing(err)
	}
	if !s.now().Before(session.Expires) {
		if err := s.cfg.Accounts.DropSession(ctx, key); err != nil && engine.CodeOf(err) != engine.NotFound {
			s.log.WarnContext(ctx, "expired session not dropped", "request", requestID(ctx), "error", err)
		}
		return Session{}, Account{}, errUnsigned
	}
	account, err := s.cfg.Accounts.Account(ctx, session.Account)
	if err != nil {
		return Session{}, Account{}, unsignedIfMissing(err)
	}
	return session, account, nil
}

func unsignedIfMissing(err error) error {
	if engine.CodeOf(err) == engine.NotFound {
		return errUnsigned
	}
	return err
}

// signOut ends a session and its feeds.
func (s *Server) signOut(ctx context.Context, r *http.Request) error {
	cookie, err := r.Cookie(s.cookieName())
	if err != nil {
		return nil //nolint:nilerr // somebody without a cookie is signed out already
	}
	key := digest(cookie.Value)
	if err := s.cfg.Accounts.DropSession(ctx, key); err != nil && engine.CodeOf(err) != engine.NotFound {
		return err
	}
	s.feed.signedOut(key)
	return nil
}
