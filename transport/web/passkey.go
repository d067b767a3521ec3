package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"relais/engine"
)

const (
	ceremonyLife  = 10 * time.Minute
	maxCeremonies = 2000
	// maxPasskeys an account may have.
	maxPasskeys = 20
)

// ceremony is what the server remembers between the two halves of something: the challenge of a passkey, or the
// secret of an authenticator app.
type ceremony struct {
	passkey *webauthn.SessionData
	totp    *TOTP
	account engine.UserID
	until   time.Time

	nonce, verifier string // of single sign-on
}

// ceremonies are in memory: one that is lost is begun again.
type ceremonies struct {
	mu  sync.Mutex
	all map[string]ceremony
}

func (c *ceremonies) put(now time.Time, id string, v ceremony) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]ceremony{}
	}
	if len(c.all) >= maxCeremonies {
		for k, old := range c.all {
			if now.After(old.until) {
				delete(c.all, k)
			}
		}
	}
	if len(c.all) >= maxCeremonies {
		return engine.Errorf(engine.TooMany, "too many people are signing in; try again in a moment")
	}
	v.until = now.Add(ceremonyLife)
	c.all[id] = v
	return nil
}

func (c *ceremonies) look(now time.Time, id string) (ceremony, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.all[id]
	return v, ok && now.Before(v.until)
}

// take ends a ceremony: an answer counts once.
func (c *ceremonies) take(now time.Time, id string) (ceremony, bool) {
	v, ok := c.look(now, id)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, id)
	return v, ok
}

// newPasskeys is for the public address; nil for an address of numbers, which browsers make no passkeys for.
func newPasskeys(base *url.URL) (*webauthn.WebAuthn, error) {
	host := base.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return nil, nil //nolint:nilnil // documented: no passkeys there
	}
	return webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "Relais", RPOrigins: []string{base.Scheme + "://" + base.Host},
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
		AttestationPreference: protocol.PreferNoAttestation,
	})
}

// keyHolder is an account as the passkey library asks for it.
type keyHolder struct{ *Account }

func (k keyHolder) WebAuthnID() []byte          { return k.Handle }
func (k keyHolder) WebAuthnName() string        { return string(k.ID) }
func (k keyHolder) WebAuthnDisplayName() string { return cmpName(k.Account) }
func (k keyHolder) WebAuthnCredentials() []webauthn.Credential {
	list := make([]webauthn.Credential, len(k.Passkeys))
	for i := range k.Passkeys {
		list[i] = k.Passkeys[i].Key
	}
	return list
}

func cmpName(a *Account) string {
	if a.Name != "" {
		return a.Name
	}
	return string(a.ID)
}

// PasskeyChallenge begins something with a passkey.
type PasskeyChallenge struct {
	Ceremony string          `json:"ceremony" doc:"to be sent back with the browser's answer"`
	Options  json.RawMessage `json:"options" doc:"for navigator.credentials"`
}

type passkeyAnswer struct {
	Body struct {
		Ceremony string          `json:"ceremony" minLength:"1" maxLength:"100"`
		Name     string          `json:"name,omitempty" maxLength:"60" doc:"of a new passkey"`
		Answer   json.RawMessage `json:"answer" doc:"the credential of navigator.credentials, as its toJSON gives it"`
	} `nameHint:"PasskeyAnswer"`
}

var (
	errNoPasskeys = engine.Errorf(engine.Invalid, "passkeys need a public address with a name in it, not with numbers")
	errPasskey    = engine.Errorf(engine.Unsigned, "the passkey was not accepted")
)

func (s *Server) passkeyCalls(api huma.API) {
	begin := operation(http.MethodPost, "/session/passkey/begin", "beginPasskeySignIn", "Begin to sign in with a passkey", "Answers with a challenge for the browser.")
	begin.Security, begin.Middlewares = nil, huma.Middlewares{s.withRequest}
	register(s, api, begin, func(ctx context.Context, _ *nothing) (*reply[PasskeyChallenge], error) {
		if s.passkeys == nil {
			return nil, errNoPasskeys
		}
		if err := s.mayTry(ctx, s.address(requestOf(ctx)), ""); err != nil {
			return nil, err
		}
		options, session, err := s.passkeys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
		if err != nil {
			return nil, err
		}
		return answer(s.challenge(options.Response, ceremony{passkey: session}))
	})

	in := operation(http.MethodPost, "/session/passkey", "passkeySignIn", "Sign in with a passkey", "Opens a session and sets its cookie. A passkey is two factors in one: no code is asked for.")
	in.Security, in.Middlewares = nil, huma.Middlewares{s.withRequest}
	register(s, api, in, func(ctx context.Context, q *passkeyAnswer) (*signInReply, error) {
		r := requestOf(ctx)
		account, err := s.provePasskey(ctx, r, q.Body.Ceremony, q.Body.Answer)
		if err != nil {
			return nil, err
		}
		secret, who, err := s.openSession(ctx, r, account, "passkey")
		if err != nil {
			return nil, err
		}
		return &signInReply{Cookie: s.cookie(secret).String(), Body: s.me(ctx, who)}, nil
	})

	first := operation(http.MethodPost, "/account/passkeys/begin", "beginPasskey", "Begin to add a passkey", "Answers with a challenge for the browser.")
	register(s, api, first, func(ctx context.Context, _ *nothing) (*reply[PasskeyChallenge], error) {
		return answer(s.beginPasskey(ctx, callerOf(ctx)))
	})

	add := operation(http.MethodPost, "/account/passkeys", "addPasskey", "Add a passkey", "With what the browser made of the challenge.")
	add.DefaultStatus = http.StatusCreated
	register(s, api, add, func(ctx context.Context, q *passkeyAnswer) (*reply[OwnPasskey], error) {
		return answer(s.addPasskey(ctx, callerOf(ctx), q.Body.Ceremony, strings.TrimSpace(q.Body.Name), q.Body.Answer))
	})

	drop := operation(http.MethodDelete, "/account/passkeys/{id}", "dropPasskey", "Remove a passkey", "It opens nothing from now on.")
	drop.DefaultStatus = http.StatusNoContent
	register(s, api, drop, func(ctx context.Context, q *idPath) (*nothing, error) {
		return &nothing{}, s.dropPasskey(ctx, callerOf(ctx), q.ID)
	})
}

func (s *Server) challenge(options any, c ceremony) (PasskeyChallenge, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return PasskeyChallenge{}, err
	}
	id := rand.Text()
	return PasskeyChallenge{Ceremony: id, Options: text}, s.ceremonies.put(s.now(), id, c)
}

func (s *Server) provePasskey(ctx context.Context, r *http.Request, id string, text []byte) (*Account, error) {
	from := s.address(r)
	if s.passkeys == nil {
		return nil, errNoPasskeys
	}
	if err := s.mayTry(ctx, from, ""); err != nil {
		return nil, err
	}
	c, ok := s.ceremonies.take(s.now(), id)
	if !ok || c.passkey == nil || c.account != "" {
		return nil, engine.Errorf(engine.Conflict, "begin again: the challenge is over")
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(text)
	if err != nil {
		return nil, engine.Errorf(engine.Invalid, "this is not what a browser makes of a challenge")
	}
	var account Account
	var away error // of the store
	find := func(_, handle []byte) (webauthn.User, error) {
		pass, err := s.cfg.Accounts.Pass(ctx, PassHandle+digest(string(handle)))
		if err == nil {
			account, err = s.cfg.Accounts.Account(ctx, pass.Account)
		}
		if err != nil && engine.CodeOf(err) != engine.NotFound {
			away = err
		}
		return keyHolder{&account}, err
	}
	_, used, err := s.passkeys.ValidatePasskeyLogin(find, *c.passkey, parsed)
	switch {
	case away != nil:
		return nil, away
	case err != nil || used.Authenticator.CloneWarning:
		known := &account
		if account.ID == "" {
			known = nil
		}
		s.failed(ctx, from, known, WhyPasskey)
		return nil, errPasskey
	}
	account, err = s.cfg.Accounts.ChangeAccount(ctx, account.ID, func(a *Account) error {
		for i := range a.Passkeys {
			if bytes.Equal(a.Passkeys[i].Key.ID, used.ID) {
				used.Attestation = webauthn.CredentialAttestation{}
				a.Passkeys[i].Key, a.Passkeys[i].Used = *used, s.now()
				return nil
			}
		}
		return errPasskey // removed at this moment
	})
	return &account, err
}

func (s *Server) beginPasskey(ctx context.Context, who *caller) (PasskeyChallenge, error) {
	if s.passkeys == nil {
		return PasskeyChallenge{}, errNoPasskeys
	}
	if err := s.fresh(who); err != nil {
		return PasskeyChallenge{}, err
	}
	account := who.Account
	if len(account.Handle) == 0 {
		handle := make([]byte, 32)
		if _, err := rand.Read(handle); err != nil {
			return PasskeyChallenge{}, err
		}
		var err error
		account, err = s.cfg.Accounts.ChangeAccount(ctx, who.ID, func(a *Account) error {
			if len(a.Handle) == 0 {
				a.Handle = handle
			}
			return nil
		})
		if err != nil {
			return PasskeyChallenge{}, err
		}
	}
	if err := s.cfg.Accounts.PutPass(ctx, Pass{Key: PassHandle + digest(string(account.Handle)), Account: who.ID, Made: s.now()}); err != nil {
		return PasskeyChallenge{}, err
	}
	holder := keyHolder{&account}
	options, session, err := s.passkeys.BeginRegistration(holder,
		webauthn.WithExclusions(webauthn.Credentials(holder.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return PasskeyChallenge{}, err
	}
	return s.challenge(options.Response, ceremony{passkey: session, account: who.ID})
}

func (s *Server) addPasskey(ctx context.Context, who *caller, id, name string, text []byte) (OwnPasskey, error) {
	if s.passkeys == nil {
		return OwnPasskey{}, errNoPasskeys
	}
	if err := s.fresh(who); err != nil {
		return OwnPasskey{}, err
	}
	c, ok := s.ceremonies.take(s.now(), id)
	if !ok || c.passkey == nil || c.account != who.ID {
		return OwnPasskey{}, engine.Errorf(engine.Conflict, "begin again: the challenge is over")
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(text)
	if err != nil {
		return OwnPasskey{}, engine.Errorf(engine.Invalid, "this is not what a browser makes of a challenge")
	}
	key, err := s.passkeys.CreateCredential(keyHolder{&who.Account}, *c.passkey, parsed)
	if err != nil {
		return OwnPasskey{}, engine.Errorf(engine.Invalid, "the passkey was not accepted; try again, and let the device check that it is you")
	}
	key.Attestation = webauthn.CredentialAttestation{} // kilobytes that nobody reads
	if name == "" {
		name = agentOf(requestOf(ctx).UserAgent())
	}
	p := Passkey{Name: name, Made: s.now(), Key: *key}
	_, err = s.cfg.Accounts.ChangeAccount(ctx, who.ID, func(a *Account) error {
		if len(a.Passkeys) >= maxPasskeys {
			return engine.Errorf(engine.TooMany, "an account has at most %d passkeys; remove one first", maxPasskeys)
		}
		a.Passkeys = append(append([]Passkey{}, a.Passkeys...), p)
		return nil
	})
	if err != nil {
		return OwnPasskey{}, err
	}
	s.recordOwn(ctx, who, TracedPasskeyAdded, keyID(&p))
	return OwnPasskey{ID: keyID(&p), Name: p.Name, Made: p.Made}, nil
}

var errNoPasskey = errors.New("no such passkey")

func (s *Server) dropPasskey(ctx context.Context, who *caller, id string) error {
	if err := s.fresh(who); err != nil {
		return err
	}
	_, err := s.cfg.Accounts.ChangeAccount(ctx, who.ID, func(a *Account) error {
		left := []Passkey{}
		for i := range a.Passkeys {
			if keyID(&a.Passkeys[i]) != id {
				left = append(left, a.Passkeys[i])
			}
		}
		switch {
		case len(left) == len(a.Passkeys):
			return errNoPasskey
		case len(left) == 0 && a.Hash == "" && !a.Single:
			return engine.Errorf(engine.Conflict, "nothing else lets this account in; set a password first")
		}
		a.Passkeys = left
		return nil
	})
	if errors.Is(err, errNoPasskey) {
		return engine.Errorf(engine.NotFound, "there is no such passkey")
	}
	if err == nil {
		s.recordOwn(ctx, who, TracedPasskeyGone, id)
	}
	return err
}
