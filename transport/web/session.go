package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"relais/engine"
)

const (
	sessionLife = 12 * time.Hour // since the last request
	// sessionRenew is how old a session's end may be before it is moved: most requests write nothing.
	sessionRenew = 5 * time.Minute

	// A slip of the fingers costs nothing; a list of guesses takes weeks.
	signInAccountBurst = 10
	signInAccountEvery = 30 * time.Second
	signInAddressBurst = 30
	signInAddressEvery = 3 * time.Second
)

// caller is who makes a request.
type caller struct {
	Account
	session string    // its key; "" for a token
	token   *Pass     // nil for a session
	proved  time.Time // when a secret was last shown
	from    string    // for the audit log
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

// errCodeNeeded says that the password was right and the second factor is missing.
func errCodeNeeded() *Problem {
	p := newProblem(engine.Unsigned, "The password is right; send the code of the authenticator app with it.")
	p.Step = StepCode
	return p
}

// signIn checks a password, and a code when the account has a second factor, and opens a session. An account
// that does not exist takes as long as a wrong password and gets the same answer.
func (s *Server) signIn(ctx context.Context, r *http.Request, id engine.UserID, password, code string) (secret string, _ *caller, err error) {
	from := s.address(r)
	account, err := s.provePassword(ctx, from, id, password)
	if err != nil {
		return "", nil, err
	}
	how := "password"
	if account.TOTP != nil {
		if code == "" {
			return "", nil, errCodeNeeded()
		}
		if account, err = s.proveCode(ctx, from, &account, code); err != nil {
			return "", nil, err
		}
		how = "code"
	}
	s.signInAccount.forgive(id)
	return s.openSession(ctx, r, &account, how)
}

// mayTry counts an attempt to sign in.
func (s *Server) mayTry(ctx context.Context, from netip.Addr, id engine.UserID) error {
	now := s.now()
	if s.signInAddress.take(now, from) && (id == "" || s.signInAccount.take(now, id)) {
		return nil
	}
	s.metrics.Limited(LimitSignIn)
	if id != "" {
		if a, err := s.cfg.Accounts.Account(ctx, id); err == nil {
			s.failed(ctx, from, &a, WhyLimited)
		}
	}
	return engine.Errorf(engine.TooMany, "too many attempts; wait a minute")
}

// provePassword checks a password. A hash that is cheaper than the present ones is made anew.
func (s *Server) provePassword(ctx context.Context, from netip.Addr, id engine.UserID, password string) (Account, error) {
	if err := s.mayTry(ctx, from, id); err != nil {
		return Account{}, err
	}
	account, err := s.cfg.Accounts.Account(ctx, id)
	missing := err != nil && engine.CodeOf(err) == engine.NotFound
	if err != nil && !missing {
		return Account{}, err
	}
	none := missing || account.Hash == ""
	hash, fresh := account.Hash, ""
	if none {
		hash = s.dummy
	}
	ok := false
	err = s.compute(ctx, func() (err error) {
		var paid cost
		ok, paid, err = checkPassword(hash, password)
		if ok && !none && paid != s.cost {
			fresh, err = hashWith(s.cost, password)
		}
		return err
	})
	if err != nil {
		return Account{}, err
	}
	if !ok || none {
		if missing {
			s.failed(ctx, from, nil, WhyPassword)
		} else {
			s.failed(ctx, from, &account, WhyPassword)
		}
		return Account{}, errWrongPassword
	}
	if fresh == "" {
		return account, nil
	}
	return s.cfg.Accounts.ChangeAccount(ctx, id, func(a *Account) error {
		if a.Hash == hash {
			a.Hash = fresh
		}
		return nil
	})
}

// proveCode checks the second factor. A code counts once.
func (s *Server) proveCode(ctx context.Context, from netip.Addr, account *Account, code string) (Account, error) {
	wrong := newProblem(engine.Unsigned, "The code is wrong, or was used before; wait for the next one.")
	wrong.Step = StepCode
	had := len(account.Recovery)
	now, err := s.cfg.Accounts.ChangeAccount(ctx, account.ID, func(a *Account) error {
		if !a.secondFactor(s.now(), code) {
			return wrong
		}
		return nil
	})
	switch {
	case err != nil && errors.Is(err, wrong):
		s.failed(ctx, from, account, WhyCode)
	case err == nil && len(now.Recovery) < had:
		s.record(ctx, s.everyClinic(ctx, &now), Trace{Who: now.ID, From: from.String(), What: TracedRecoveryUsed})
	}
	return now, err
}

// openSession opens a session for somebody who proved who they are.
func (s *Server) openSession(ctx context.Context, r *http.Request, account *Account, how string) (string, *caller, error) {
	secret, err := newSecret()
	if err != nil {
		return "", nil, err
	}
	now := s.now()
	session := Session{
		Key: digest(secret), Account: account.ID, Expires: now.Add(sessionLife), Made: now, Proved: now, Used: now,
		From: s.fullAddress(r).String(), Agent: agentOf(r.UserAgent()), How: how,
	}
	if err := s.cfg.Accounts.PutSession(ctx, session); err != nil {
		return "", nil, err
	}
	who := &caller{Account: *account, session: session.Key, proved: now, from: session.From + " session"}
	s.record(ctx, s.everyClinic(ctx, account), Trace{Who: account.ID, From: session.From, What: TracedSignIn, Why: how})
	return secret, who, nil
}

// newSecret makes the secret of a cookie, a link or a token.
func newSecret() (string, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// secretLength is what newSecret gives.
var secretLength = base64.RawURLEncoding.EncodedLen(32)

var errUnsigned = engine.Errorf(engine.Unsigned, "sign in first")

// authenticate finds the caller by an API token or the session cookie. renewed is the cookie to send back when
// the session's end was moved.
func (s *Server) authenticate(ctx context.Context, r *http.Request) (who *caller, renewed *http.Cookie, err error) {
	if header := r.Header.Get("Authorization"); header != "" {
		who, err = s.byToken(ctx, r, header)
		return who, nil, err
	}
	cookie, err := r.Cookie(s.cookieName())
	if err != nil || len(cookie.Value) != secretLength {
		return nil, nil, errUnsigned
	}
	key := digest(cookie.Value)
	session, account, err := s.session(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	now := s.now()
	from := s.fullAddress(r).String()
	if session.Expires.Sub(now) < sessionLife-sessionRenew {
		session.Expires, session.Used, session.From = now.Add(sessionLife), now, from
		if err := s.cfg.Accounts.PutSession(ctx, session); err != nil {
			// A full disk must not sign people out: they can still read.
			s.log.WarnContext(ctx, "session not prolonged", "request", requestID(ctx), "error", err)
		} else {
			renewed = s.cookie(cookie.Value)
		}
	}
	return &caller{Account: account, session: key, proved: session.Proved, from: from + " session"}, renewed, nil
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
	session, account, known := s.session(ctx, key)
	if err := s.cfg.Accounts.DropSession(ctx, key); err != nil && engine.CodeOf(err) != engine.NotFound {
		return err
	}
	s.feed.signedOut(key)
	if known == nil {
		s.record(ctx, s.everyClinic(ctx, &account), Trace{Who: session.Account, From: s.fullAddress(r).String(), What: TracedSignOut})
	}
	return nil
}

// agentOf says in a few words what browser a session belongs to, for its owner to know it by.
func agentOf(header string) string {
	pick := func(names ...string) string {
		for i := 0; i+1 < len(names); i += 2 {
			if strings.Contains(header, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	browser := pick("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "HeadlessChrome/", "Chrome", "Chrome/", "Chrome", "Safari/", "Safari")
	system := pick("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	return strings.Trim(browser+", "+system, ", ")
}
