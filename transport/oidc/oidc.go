// Package oidc lets people come in through a provider of OpenID Connect, such as the clinic's own directory. It asks
// by the authorization code flow with PKCE, a state and a nonce, and turns the provider's groups into roles.
//
// A Provider is safe for concurrent use. It reads the provider's description when somebody first signs in, and again
// when that failed: a provider that is away does not keep the program from starting.
package oidc

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"relais/engine"
)

// Grant gives a role to the people of one of the provider's groups.
type Grant struct {
	Group   string
	Role    string
	Clinics []engine.ClinicID // none: every clinic
}

// Config says which provider, and whom to let in. Issuer, ClientID and Redirect are required.
type Config struct {
	Label        string // what the button says
	Issuer       string
	ClientID     string
	ClientSecret string // "": a public client, with PKCE alone
	Redirect     string // where the provider sends people back to
	Scopes       []string
	GroupsClaim  string // default groups
	Domains      []string
	Grants       []Grant
	// Higher says which of two roles may more; it decides when several groups give one.
	Higher func(a, b string) bool
	// Client reaches the provider; nil: one with a timeout of 10 s.
	Client *http.Client
}

// Person is who somebody is to the provider.
type Person struct {
	Issuer, Subject, Name, Called string
	Roles                         map[engine.ClinicID]string
	Everywhere                    string
}

// Provider is one provider.
type Provider struct {
	cfg    Config
	client *http.Client

	mu       sync.Mutex
	provider *gooidc.Provider
}

// maxAnswer bounds what the provider may send.
const maxAnswer = 1 << 20

// New makes a Provider. Nothing is connected yet.
func New(cfg Config) *Provider {
	client := cfg.Client
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	bounded := *client
	bounded.Transport = limited{cmp.Or[http.RoundTripper](client.Transport, http.DefaultTransport)}
	cfg.GroupsClaim = cmp.Or(cfg.GroupsClaim, "groups")
	return &Provider{cfg: cfg, client: &bounded}
}

// limited cuts answers that are too long.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
	}
	return res, err
}

// Name is what the button says.
func (p *Provider) Name() string { return cmp.Or(p.cfg.Label, hostOf(p.cfg.Issuer)) }

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}

// discover reads the provider's description, once it answers.
func (p *Provider) discover(ctx context.Context) (*gooidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.provider != nil {
		return p.provider, nil
	}
	// The keys are fetched again later, when this request is long over.
	found, err := gooidc.NewProvider(gooidc.ClientContext(context.WithoutCancel(ctx), p.client), p.cfg.Issuer)
	if err != nil {
		return nil, &engine.Error{Code: engine.Unavailable, Message: "the provider of single sign-on does not answer as OpenID Connect wants", Err: err}
	}
	p.provider = found
	return found, nil
}

func (p *Provider) oauth(found *gooidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: p.cfg.Redirect,
		Scopes: append([]string{gooidc.ScopeOpenID, "profile", "email"}, p.cfg.Scopes...),
	}
}

// Address is where the browser goes to sign in.
func (p *Provider) Address(ctx context.Context, state, nonce, verifier string) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return p.oauth(found).AuthCodeURL(state, gooidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// Person exchanges what the browser brought back for who it is.
func (p *Provider) Person(ctx context.Context, code, nonce, verifier string) (Person, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	ctx = gooidc.ClientContext(ctx, p.client)
	token, err := p.oauth(found).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response.StatusCode < http.StatusInternalServerError {
			return Person{}, &engine.Error{Code: engine.Unsigned, Message: "the provider did not take the code", Err: errors.New(refused.ErrorCode)}
		}
		return Person{}, &engine.Error{Code: engine.Unavailable, Message: "the provider of single sign-on does not answer", Err: err}
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Person{}, engine.Errorf(engine.Unsigned, "the provider sent no identity")
	}
	id, err := found.Verifier(&gooidc.Config{ClientID: p.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Person{}, &engine.Error{Code: engine.Unsigned, Message: "the identity is not signed as it should be", Err: err}
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return Person{}, engine.Errorf(engine.Unsigned, "the identity belongs to another sign-in")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return Person{}, &engine.Error{Code: engine.Unsigned, Message: "the identity cannot be read", Err: err}
	}
	// Some providers tell groups and addresses only when they are asked for them.
	if claims[p.cfg.GroupsClaim] == nil || claims["email"] == nil {
		if info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token)); err == nil && info.Subject == id.Subject {
			more := map[string]any{}
			if info.Claims(&more) == nil {
				for k, v := range more {
					if _, ok := claims[k]; !ok {
						claims[k] = v
					}
				}
			}
		}
	}
	return p.person(id.Issuer, id.Subject, claims)
}

func text(claims map[string]any, name string) string {
	s, _ := claims[name].(string)
	return s
}

// person applies the rules of who may come and as what.
func (p *Provider) person(issuer, subject string, claims map[string]any) (Person, error) {
	mail := text(claims, "email")
	if len(p.cfg.Domains) > 0 {
		_, domain, _ := strings.Cut(mail, "@")
		verified, _ := claims["email_verified"].(bool)
		if !verified || !slices.ContainsFunc(p.cfg.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
			return Person{}, engine.Errorf(engine.Unsigned, "this person has no verified mail address in a domain that oidc.domains lists")
		}
	}
	who := Person{
		Issuer: issuer, Subject: subject, Name: cmp.Or(text(claims, "name"), text(claims, "preferred_username")),
		Called: cmp.Or(text(claims, "preferred_username"), mail, text(claims, "name")), Roles: map[engine.ClinicID]string{},
	}
	var groups []string
	switch list := claims[p.cfg.GroupsClaim].(type) {
	case string:
		groups = []string{list}
	case []any:
		for _, g := range list {
			if s, ok := g.(string); ok {
				groups = append(groups, s)
			}
		}
	}
	better := func(was, is string) string {
		if was == "" || p.cfg.Higher(is, was) {
			return is
		}
		return was
	}
	for _, g := range p.cfg.Grants {
		if !slices.Contains(groups, g.Group) {
			continue
		}
		if len(g.Clinics) == 0 {
			who.Everywhere = better(who.Everywhere, g.Role)
		}
		for _, c := range g.Clinics {
			who.Roles[c] = better(who.Roles[c], g.Role)
		}
	}
	// A role everywhere is not made smaller by a group of one clinic.
	for c, r := range who.Roles {
		if who.Everywhere != "" {
			who.Roles[c] = better(r, who.Everywhere)
		}
	}
	return who, nil
}
