package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
)

const (
	// tokenStart lets scanners of leaked secrets know one when they see it.
	tokenStart = "relais_"
	// An API token may make so many calls at once, and ten a second for ever.
	tokenBurst = 100
	tokenEvery = 100 * time.Millisecond
	// maxTokens an account may have.
	maxTokens = 20
	// tokenUseEvery is how often its last use is written down.
	tokenUseEvery = 5 * time.Minute
)

// byToken finds the caller by an API token.
func (s *Server) byToken(ctx context.Context, r *http.Request, header string) (*caller, error) {
	scheme, secret, _ := strings.Cut(header, " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") || len(secret) != len(tokenStart)+secretLength || !strings.HasPrefix(secret, tokenStart) {
		return nil, engine.Errorf(engine.Unsigned, "the Authorization header needs: Bearer and an API token")
	}
	from, now := s.address(r), s.now()
	if s.signInAddress.empty(now, from) {
		s.metrics.Limited(LimitSignIn)
		return nil, engine.Errorf(engine.TooMany, "too many attempts; wait a minute")
	}
	token, account, err := s.token(ctx, PassToken+digest(secret))
	if err != nil {
		if engine.CodeOf(err) == engine.Unsigned {
			s.signInAddress.take(now, from)
			s.failed(ctx, from, nil, WhyToken)
		}
		return nil, err
	}
	if !s.tokens.take(now, token.Key) {
		s.metrics.Limited(LimitAPI)
		return nil, engine.Errorf(engine.TooMany, "this token makes too many calls; ten a second are fine")
	}
	if now.Sub(token.Used) > tokenUseEvery {
		token.Used = now
		if err := s.cfg.Accounts.PutPass(ctx, token); err != nil {
			s.log.WarnContext(ctx, "use of a token not written down", "request", requestID(ctx), "error", err)
		}
	}
	return &caller{Account: account, token: &token, from: s.fullAddress(r).String() + " token " + shortID(token.Key)}, nil
}

// token loads a token that is still good, and whose it is.
func (s *Server) token(ctx context.Context, key string) (Pass, Account, error) {
	bad := engine.Errorf(engine.Unsigned, "the API token is wrong, over or removed")
	token, err := s.cfg.Accounts.Pass(ctx, key)
	if err == nil && !token.Expires.IsZero() && !s.now().Before(token.Expires) {
		return token, Account{}, bad
	}
	if err != nil {
		if engine.CodeOf(err) == engine.NotFound {
			err = bad
		}
		return token, Account{}, err
	}
	account, err := s.cfg.Accounts.Account(ctx, token.Account)
	if err != nil && engine.CodeOf(err) == engine.NotFound {
		err = bad
	}
	return token, account, err
}

// shortID names a session or a pass to people: it opens nothing.
func shortID(key string) string {
	_, id, found := strings.Cut(key, ":")
	if !found {
		id = key
	}
	return id[:min(12, len(id))]
}

// APIToken is a token as its owner sees it.
type APIToken struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Clinic  engine.ClinicID `json:"clinic"`
	Scopes  []Permission    `json:"scopes" nullable:"false"`
	Made    time.Time       `json:"made"`
	Expires time.Time       `json:"expires"`
	Used    *time.Time      `json:"used,omitempty" doc:"to within five minutes"`
}

// NewToken is a token when it is made.
type NewToken struct {
	Token  APIToken `json:"token"`
	Secret string   `json:"secret" doc:"for the header Authorization: Bearer; it is not shown again"`
}

type tokenRequest struct {
	Body struct {
		Name   string       `json:"name" minLength:"1" maxLength:"60" doc:"what it is for"`
		Clinic string       `json:"clinic" minLength:"1" maxLength:"64"`
		Scopes []Permission `json:"scopes" minItems:"1" maxItems:"4" doc:"what it may do there, as long as its owner may"`
		Days   int          `json:"days" minimum:"1" maximum:"730" doc:"how long it lives"`
	} `nameHint:"TokenRequest"`
}

type idPath struct {
	ID string `path:"id" maxLength:"100"`
}

// tokensOf lists the tokens of an account, the newest first.
func (s *Server) tokensOf(ctx context.Context, id engine.UserID) ([]Pass, error) {
	all, err := s.cfg.Accounts.Passes(ctx, PassToken)
	if err != nil {
		return nil, err
	}
	mine := slices.DeleteFunc(all, func(p Pass) bool { return p.Account != id })
	slices.SortFunc(mine, func(a, b Pass) int { return b.Made.Compare(a.Made) })
	return mine, nil
}

func (p *Pass) apiToken() APIToken {
	t := APIToken{ID: shortID(p.Key), Name: p.Name, Clinic: p.Clinic, Scopes: p.Scopes, Made: p.Made, Expires: p.Expires}
	if !p.Used.IsZero() {
		t.Used = &p.Used
	}
	return t
}

func (s *Server) tokenCalls(api huma.API) {
	create := operation(http.MethodPost, "/account/tokens", "makeToken", "Make an API token",
		"For a program that acts in one clinic on the account's behalf. Its secret is in this answer and nowhere else.")
	create.DefaultStatus = http.StatusCreated
	register(s, api, create, func(ctx context.Context, q *tokenRequest) (*reply[NewToken], error) {
		return answer(s.makeToken(ctx, callerOf(ctx), q))
	})

	drop := operation(http.MethodDelete, "/account/tokens/{id}", "dropToken", "Remove an API token", "It stops working at once.")
	drop.DefaultStatus = http.StatusNoContent
	register(s, api, drop, func(ctx context.Context, q *idPath) (*nothing, error) {
		who := callerOf(ctx)
		mine, err := s.tokensOf(ctx, who.ID)
		if err != nil {
			return nil, err
		}
		for i := range mine {
			if shortID(mine[i].Key) != q.ID {
				continue
			}
			if _, err := s.cfg.Accounts.TakePass(ctx, mine[i].Key); err != nil {
				return nil, err
			}
			s.record(ctx, []engine.ClinicID{mine[i].Clinic}, Trace{Who: who.ID, From: who.from, What: TracedTokenGone, About: q.ID})
			return &nothing{}, nil
		}
		return nil, engine.Errorf(engine.NotFound, "there is no such token")
	})
}

func (s *Server) makeToken(ctx context.Context, who *caller, q *tokenRequest) (NewToken, error) {
	if err := s.fresh(who); err != nil {
		return NewToken{}, err
	}
	clinic := engine.ClinicID(q.Body.Clinic)
	scopes := slices.Compact(slices.Sorted(slices.Values(q.Body.Scopes)))
	for _, p := range scopes {
		if !slices.Contains(granted[Administrator], p) || !who.may(clinic, p) {
			return NewToken{}, engine.Errorf(engine.Forbidden, "a token can only do what you may do in that clinic yourself")
		}
	}
	if !slices.Contains(scopes, Look) {
		scopes = append(scopes, Look) // nothing works without
	}
	mine, err := s.tokensOf(ctx, who.ID)
	if err != nil {
		return NewToken{}, err
	}
	if len(mine) >= maxTokens {
		return NewToken{}, engine.Errorf(engine.TooMany, "an account has at most %d tokens; remove one first", maxTokens)
	}
	secret, err := newSecret()
	if err != nil {
		return NewToken{}, err
	}
	secret = tokenStart + secret
	now := s.now()
	p := Pass{
		Key: PassToken + digest(secret), Account: who.ID, Clinic: clinic, Name: strings.TrimSpace(q.Body.Name), Scopes: scopes,
		By: who.ID, Made: now, Expires: now.AddDate(0, 0, q.Body.Days),
	}
	if err := s.cfg.Accounts.PutPass(ctx, p); err != nil {
		return NewToken{}, err
	}
	s.record(ctx, []engine.ClinicID{clinic}, Trace{Who: who.ID, From: who.from, What: TracedToken, About: shortID(p.Key), Why: scopesText(scopes)})
	return NewToken{Token: p.apiToken(), Secret: secret}, nil
}

// scopesText joins permissions for the audit log.
func scopesText(list []Permission) string {
	text := make([]string, len(list))
	for i, p := range list {
		text[i] = string(p)
	}
	return strings.Join(text, " ")
}
