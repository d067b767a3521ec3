package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/transport/oidc"
	"relais/transport/web"
)

// OIDCConfig is a provider of single sign-on.
type OIDCConfig struct {
	Name         string           `yaml:"name"` // what the button says; empty: the issuer's host
	Issuer       string           `yaml:"issuer"`
	ClientID     string           `yaml:"client_id"`
	ClientSecret Secret           `yaml:"client_secret"` // empty: a public client
	Scopes       []string         `yaml:"scopes"`        // beside openid, profile and email
	GroupsClaim  string           `yaml:"groups_claim"`
	Domains      []string         `yaml:"domains"` // of mail addresses that may come; empty: any
	Roles        []OIDCRoleConfig `yaml:"roles"`
}

// OIDCRoleConfig gives a role to one of the provider's groups.
type OIDCRoleConfig struct {
	Group   string   `yaml:"group"`
	Role    string   `yaml:"role"`
	Clinics []string `yaml:"clinics"` // empty: every clinic
}

func (o *OIDCConfig) setDefaults() { *o = OIDCConfig{GroupsClaim: "groups"} }

// oidc checks the provider of single sign-on.
func (c *checker) oidc(cfg *Config) {
	o := cfg.OIDC
	if o.Issuer == "" {
		c.say("oidc.issuer", "is missing; it is the provider's address, for example https://login.example.org/realms/clinic.")
	} else {
		c.url("oidc.issuer", o.Issuer)
	}
	if o.ClientID == "" {
		c.say("oidc.client_id", "is missing; the provider gives it when Relais is registered there with the address %s/sso/callback.", cfg.PublicURL)
	}
	if len(o.Roles) == 0 {
		c.say("oidc.roles", "is empty; nobody who comes from the provider could see anything. Give at least one group a role.")
	}
	if len(o.Roles) > 500 || len(o.Domains) > 100 || len(o.Scopes) > 20 {
		c.say("oidc", "has more than 500 roles, 100 domains or 20 scopes.")
	}
	for i, r := range o.Roles {
		at := fmt.Sprintf("oidc.roles[%d]", i)
		if r.Group == "" {
			c.say(at+".group", "is missing; name one of the groups that the provider puts into the claim %s.", o.GroupsClaim)
		}
		c.oneOf(at+".role", r.Role, roleNames()...)
		for _, id := range r.Clinics {
			if !clinicID.MatchString(id) {
				c.say(at+".clinics", "has %q, which is no clinic's id.", id)
			}
		}
	}
}

func roleNames() []string {
	names := make([]string, len(web.Roles))
	for i, r := range web.Roles {
		names[i] = string(r)
	}
	return names
}

// single joins the provider to the pages.
type single struct{ *oidc.Provider }

// newSingle makes the provider of a configuration; nil when there is none.
func newSingle(cfg *Config) web.Provider {
	o := cfg.OIDC
	if o == nil {
		return nil
	}
	c := oidc.Config{
		Label: o.Name, Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), Redirect: cfg.PublicURL + "/sso/callback",
		Scopes: o.Scopes, GroupsClaim: o.GroupsClaim, Domains: o.Domains,
		Higher: func(a, b string) bool {
			return slices.Index(web.Roles, web.Role(a)) > slices.Index(web.Roles, web.Role(b))
		},
	}
	for _, r := range o.Roles {
		g := oidc.Grant{Group: r.Group, Role: r.Role}
		for _, id := range r.Clinics {
			g.Clinics = append(g.Clinics, engine.ClinicID(id))
		}
		c.Grants = append(c.Grants, g)
	}
	return single{oidc.New(c)}
}

// Person implements web.Provider.
func (s single) Person(ctx context.Context, code, nonce, verifier string) (web.Person, error) {
	p, err := s.Provider.Person(ctx, code, nonce, verifier)
	if err != nil {
		return web.Person{}, err
	}
	who := web.Person{
		Issuer: p.Issuer, Subject: p.Subject, Name: p.Name, Called: p.Called, Everywhere: web.Role(p.Everywhere),
		Roles: make(map[engine.ClinicID]web.Role, len(p.Roles)),
	}
	for c, r := range p.Roles {
		who.Roles[c] = web.Role(r)
	}
	return who, nil
}

// mailInvitation writes to somebody who was invited, in both languages: theirs is not known.
func (p *program) mailInvitation(ctx context.Context, to engine.Email, in web.Invitation) error {
	until := in.Expires.UTC().Format("2006-01-02 15:04") + " UTC"
	m := engine.Message{
		Attempt: engine.AttemptID("invite-" + strings.ToLower(rand.Text()[:16])), Email: to, Lang: engine.French, Valid: time.Minute,
		Subject: "Relais – " + in.Clinic,
		Text: fmt.Sprintf("%s vous invite à rejoindre %s dans Relais. Ouvrez ce lien pour choisir un nom de compte et un mot de passe\u00a0:\n\n%s\n\n"+
			"Il sert une seule fois, jusqu’au %s. Si vous n’attendiez pas cette invitation, ignorez ce courriel.\n\n"+
			"%s invites you to join %s in Relais. Open this link to choose an account name and a password:\n\n%s\n\n"+
			"It works once, until %s. If you did not expect this invitation, ignore this mail.\n", in.By, in.Clinic, in.Link, until, in.By, in.Clinic, in.Link, until),
	}
	if o := p.mail.Send(ctx, m); o.Status != engine.Accepted {
		return errors.New(string(o.Reason) + ": " + o.Detail)
	}
	return nil
}
