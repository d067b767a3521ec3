package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
)

// Invited is what a link offers, before it is used.
type Invited struct {
	Kind    string        `json:"kind" enum:"invitation,reset"`
	Clinic  string        `json:"clinic" doc:"the clinic's name"`
	Role    Role          `json:"role,omitempty" doc:"of an invitation"`
	Name    string        `json:"name,omitempty" doc:"as whoever invited wrote it"`
	Account engine.UserID `json:"account,omitempty" doc:"of a reset: whose it is"`
	Expires time.Time     `json:"expires"`
}

type invitationRequest struct {
	Body struct {
		Link string `json:"link" minLength:"1" maxLength:"100" doc:"what stands behind the # of the link"`
	} `nameHint:"InvitationLook"`
}

type acceptRequest struct {
	Body struct {
		Link     string `json:"link" minLength:"1" maxLength:"100" doc:"what stands behind the # of the link"`
		Account  string `json:"account,omitempty" maxLength:"64" doc:"of an invitation: the name to sign in with from now on"`
		Password string `json:"password" minLength:"1" maxLength:"1024"`
		Existing bool   `json:"existing,omitempty" doc:"the account is there already: the role is added to it"`
		Code     string `json:"code,omitempty" maxLength:"32" doc:"of an existing account with a second factor"`
	} `nameHint:"Acceptance"`
}

var errLink = engine.Errorf(engine.NotFound, "this link was used, withdrawn, or is too old; ask for a new one")

func (s *Server) invitationCalls(api huma.API) {
	look := operation(http.MethodPost, "/invitation", "invitation", "What a link offers", "Looking does not use it up.")
	look.Security, look.Middlewares = nil, huma.Middlewares{s.withRequest}
	register(s, api, look, func(ctx context.Context, q *invitationRequest) (*reply[Invited], error) {
		p, err := s.invitation(ctx, requestOf(ctx), q.Body.Link)
		if err != nil {
			return nil, err
		}
		in := Invited{Kind: "invitation", Clinic: s.clinicName(ctx, p.Clinic), Role: p.Role, Name: p.Name, Expires: p.Expires}
		if strings.HasPrefix(p.Key, PassReset) {
			in.Kind, in.Account = "reset", p.Account
		}
		return &reply[Invited]{Body: in}, nil
	})

	accept := operation(http.MethodPost, "/invitation/accept", "acceptInvitation", "Use a link", "Makes the account, adds the role to an existing one, or sets a new password; then opens a session and sets its cookie.")
	accept.Security, accept.Middlewares = nil, huma.Middlewares{s.withRequest}
	register(s, api, accept, func(ctx context.Context, q *acceptRequest) (*signInReply, error) {
		r := requestOf(ctx)
		p, err := s.invitation(ctx, r, q.Body.Link)
		if err != nil {
			return nil, err
		}
		var account Account
		switch {
		case strings.HasPrefix(p.Key, PassReset):
			account, err = s.useReset(ctx, r, &p, q.Body.Password)
		case q.Body.Existing:
			account, err = s.joinExisting(ctx, r, &p, engine.UserID(q.Body.Account), q.Body.Password, q.Body.Code)
		default:
			account, err = s.joinNew(ctx, r, &p, engine.UserID(strings.ToLower(strings.TrimSpace(q.Body.Account))), q.Body.Password)
		}
		if err != nil {
			return nil, err
		}
		secret, who, err := s.openSession(ctx, r, &account, "invitation")
		if err != nil {
			return nil, err
		}
		return &signInReply{Cookie: s.cookie(secret).String(), Body: s.me(ctx, who)}, nil
	})
}

// invitation finds a link that is still good. Guesses are limited by address.
func (s *Server) invitation(ctx context.Context, r *http.Request, secret string) (Pass, error) {
	from, now := s.address(r), s.now()
	if s.guesses.empty(now, from) {
		s.metrics.Limited(LimitToken)
		return Pass{}, engine.Errorf(engine.TooMany, "too many attempts; wait a minute")
	}
	for _, prefix := range []string{PassInvitation, PassReset} {
		p, err := s.cfg.Accounts.Pass(ctx, prefix+digest(secret))
		if err == nil && now.Before(p.Expires) {
			return p, nil
		}
		if err != nil && engine.CodeOf(err) != engine.NotFound {
			return p, err
		}
	}
	s.guesses.take(now, from)
	return Pass{}, errLink
}

// use takes the link: of two that use it at once one is too late.
func (s *Server) use(ctx context.Context, p *Pass) error {
	if _, err := s.cfg.Accounts.TakePass(ctx, p.Key); err != nil {
		if engine.CodeOf(err) == engine.NotFound {
			return errLink
		}
		return err
	}
	return nil
}

func (s *Server) joined(ctx context.Context, r *http.Request, p *Pass, id engine.UserID) {
	s.record(ctx, []engine.ClinicID{p.Clinic}, Trace{Who: id, From: s.fullAddress(r).String(), What: TracedJoined, About: shortID(p.Key), Why: string(p.Role)})
}

func (s *Server) joinNew(ctx context.Context, r *http.Request, p *Pass, id engine.UserID, password string) (Account, error) {
	if !accountForm.MatchString(string(id)) {
		return Account{}, engine.Errorf(engine.Invalid, "an account's name has 2 to 64 letters a to z, digits, points, hyphens and underscores")
	}
	taken := engine.Errorf(engine.Conflict, "there is an account of that name; choose another, or say that it is yours")
	if _, err := s.cfg.Accounts.Account(ctx, id); err == nil {
		s.guesses.take(s.now(), s.address(r))
		return Account{}, taken
	}
	hash, err := s.setPassword(ctx, id, password)
	if err != nil {
		return Account{}, err
	}
	a := Account{ID: id, Name: p.Name, Hash: hash, Roles: map[engine.ClinicID]Role{p.Clinic: p.Role}, Made: s.now()}
	if err := s.use(ctx, p); err != nil {
		return a, err
	}
	if err := s.cfg.Accounts.AddAccount(ctx, a); err != nil {
		// Somebody else took the name at this moment: the link is good for another.
		if engine.CodeOf(err) == engine.Conflict {
			err = taken
		}
		if back := s.cfg.Accounts.PutPass(ctx, *p); back != nil {
			return a, back
		}
		return a, err
	}
	s.joined(ctx, r, p, id)
	return a, nil
}

func (s *Server) joinExisting(ctx context.Context, r *http.Request, p *Pass, id engine.UserID, password, code string) (Account, error) {
	from := s.address(r)
	a, err := s.provePassword(ctx, from, id, password)
	if err != nil {
		return a, err
	}
	if a.TOTP != nil {
		if code == "" {
			return a, errCodeNeeded()
		}
		if a, err = s.proveCode(ctx, from, &a, code); err != nil {
			return a, err
		}
	}
	s.signInAccount.forgive(id)
	if err := s.use(ctx, p); err != nil {
		return a, err
	}
	a, err = s.cfg.Accounts.ChangeAccount(ctx, id, func(a *Account) error {
		a.settle()
		a.setRole(p.Clinic, p.Role)
		return nil
	})
	if err == nil {
		s.joined(ctx, r, p, id)
	}
	return a, err
}

// useReset sets a new password, and ends everything else that let the account in: who asked for a reset may not
// be the only one who knew it.
func (s *Server) useReset(ctx context.Context, r *http.Request, p *Pass, password string) (Account, error) {
	hash, err := s.setPassword(ctx, p.Account, password)
	if err != nil {
		return Account{}, err
	}
	if err := s.use(ctx, p); err != nil {
		return Account{}, err
	}
	a, err := s.cfg.Accounts.ChangeAccount(ctx, p.Account, func(a *Account) error {
		a.Hash, a.TOTP, a.Recovery, a.Passkeys = hash, nil, nil, nil
		return nil
	})
	if err != nil {
		return a, err
	}
	s.record(ctx, s.everyClinic(ctx, &a), Trace{Who: a.ID, From: s.fullAddress(r).String(), What: TracedResetUsed})
	if err := s.dropPasses(ctx, a.ID, PassToken); err != nil {
		return a, err
	}
	_, err = s.endSessions(ctx, a.ID, func(*Session) bool { return true })
	return a, err
}
