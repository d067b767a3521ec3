package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
)

// Provider is an outside provider of single sign-on. Its errors are *engine.Error: Unsigned for somebody whom it,
// or the rules of who may come, refuse; Unavailable when it does not answer.
type Provider interface {
	// Name is what the button says.
	Name() string
	// Address is where the browser goes. state comes back with it; nonce and verifier are kept here.
	Address(ctx context.Context, state, nonce, verifier string) (string, error)
	// Person exchanges what the provider sent back for who it is.
	Person(ctx context.Context, code, nonce, verifier string) (Person, error)
}

// Person is who somebody is to a provider, and what their groups give them.
type Person struct {
	Issuer, Subject string // together they never change
	Name            string // to show
	Called          string // what an account could be called
	Roles           map[engine.ClinicID]Role
	Everywhere      Role
}

// singleLife is how long somebody may take at the provider.
const singleLife = 10 * time.Minute

// SignInOptions are the ways in that this server offers besides a password.
type SignInOptions struct {
	Passkeys bool   `json:"passkeys"`
	Single   string `json:"single,omitempty" doc:"name of the provider of single sign-on; it begins at /sso/start"`
}

func (s *Server) optionCalls(api huma.API) {
	options := operation(http.MethodGet, "/session/options", "signInOptions", "The ways to sign in", "Besides a password.")
	options.Security = nil
	register(s, api, options, func(context.Context, *nothing) (*reply[SignInOptions], error) {
		o := SignInOptions{Passkeys: s.passkeys != nil}
		if s.cfg.Single != nil {
			o.Single = s.cfg.Single.Name()
		}
		return &reply[SignInOptions]{Body: o}, nil
	})
}

func (s *Server) singleRoutes() {
	if s.cfg.Single == nil {
		return
	}
	s.mux.HandleFunc("GET /sso/start", s.startSingle)
	s.mux.HandleFunc("GET /sso/callback", s.finishSingle)
}

func (s *Server) singleCookie(state string) *http.Cookie {
	c := s.cookie(state) //nolint:gosec // cookie sets what it needs
	c.Name += "-sso"
	if state != "" {
		c.MaxAge = int(singleLife / time.Second)
	}
	return c
}

// startSingle sends the browser to the provider. The state is bound to this browser by a cookie: nobody can make
// somebody else finish a sign-in that they began.
func (s *Server) startSingle(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	w.Header().Set("Cache-Control", "no-store")
	if s.mayTry(ctx, s.address(r), "") != nil {
		http.Redirect(w, r, "/?sso=limited", http.StatusSeeOther)
		return
	}
	state, nonce, verifier := rand.Text(), rand.Text(), rand.Text()+rand.Text()
	at, err := s.cfg.Single.Address(ctx, state, nonce, verifier)
	if err == nil {
		err = s.ceremonies.put(s.now(), "sso "+state, ceremony{nonce: nonce, verifier: verifier})
	}
	if err != nil {
		s.log.WarnContext(ctx, "single sign-on did not begin", "request", requestID(ctx), "error", err)
		http.Redirect(w, r, "/?sso=away", http.StatusSeeOther)
		return
	}
	http.SetCookie(w, s.singleCookie(state))
	http.Redirect(w, r, at, http.StatusSeeOther)
}

// finishSingle takes what the browser brings back.
func (s *Server) finishSingle(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	w.Header().Set("Cache-Control", "no-store")
	http.SetCookie(w, s.singleCookie(""))
	secret, err := s.single(ctx, r)
	switch {
	case err == nil:
		http.SetCookie(w, s.cookie(secret))
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	case engine.CodeOf(err) == engine.Forbidden:
		http.Redirect(w, r, "/?sso=no-role", http.StatusSeeOther)
	case engine.CodeOf(err) == engine.Unsigned, engine.CodeOf(err) == engine.Conflict:
		http.Redirect(w, r, "/?sso=refused", http.StatusSeeOther)
	default:
		http.Redirect(w, r, "/?sso=away", http.StatusSeeOther)
	}
	s.log.WarnContext(ctx, "single sign-on refused", "request", requestID(ctx), "error", err)
}

func (s *Server) single(ctx context.Context, r *http.Request) (secret string, err error) {
	from, q := s.address(r), r.URL.Query()
	state := q.Get("state")
	cookie, err := r.Cookie(s.singleCookie("").Name)
	if err != nil || state == "" || cookie.Value != state {
		return "", engine.Errorf(engine.Conflict, "this browser did not begin that sign-in, or too long ago")
	}
	c, ok := s.ceremonies.take(s.now(), "sso "+state)
	if !ok || c.verifier == "" {
		return "", engine.Errorf(engine.Conflict, "begin again: the sign-in is over")
	}
	if q.Get("error") != "" || q.Get("code") == "" || len(q.Get("code")) > 4096 {
		s.failed(ctx, from, nil, WhySingle)
		return "", engine.Errorf(engine.Unsigned, "the provider refused the sign-in")
	}
	p, err := s.cfg.Single.Person(ctx, q.Get("code"), c.nonce, c.verifier)
	if err != nil {
		if engine.CodeOf(err) == engine.Unsigned {
			s.failed(ctx, from, nil, WhySingle)
		}
		return "", err
	}
	account, err := s.accountOf(ctx, &p)
	if err != nil {
		return "", err
	}
	if account.Everywhere == "" && len(account.Roles) == 0 {
		s.failed(ctx, from, account, WhyNoRole)
		return "", engine.Errorf(engine.Forbidden, "none of this person's groups has a role here; see oidc.roles in the configuration")
	}
	secret, _, err = s.openSession(ctx, r, account, "sso")
	return secret, err
}

// accountOf finds or makes the account of somebody whom the provider knows, and gives it the roles of their groups.
// An account of the same name that the provider did not make is never taken over.
func (s *Server) accountOf(ctx context.Context, p *Person) (*Account, error) {
	key := PassSingle + digest(p.Issuer+"\n"+p.Subject)
	pass, err := s.cfg.Accounts.Pass(ctx, key)
	if err == nil {
		account, err := s.cfg.Accounts.ChangeAccount(ctx, pass.Account, func(a *Account) error {
			a.Roles, a.Everywhere = p.Roles, p.Everywhere
			a.Name = cmp.Or(p.Name, a.Name)
			return nil
		})
		if err == nil {
			s.feed.lookAgain(&account)
		}
		if engine.CodeOf(err) != engine.NotFound || err == nil {
			return &account, err
		}
	} else if engine.CodeOf(err) != engine.NotFound {
		return nil, err
	}
	account := Account{Name: p.Name, Roles: p.Roles, Everywhere: p.Everywhere, Single: true, Made: s.now()}
	if account.Everywhere == "" && len(account.Roles) == 0 {
		return &account, nil // not kept
	}
	called := accountName(p.Called)
	for n := 1; n <= 50; n++ {
		account.ID = engine.UserID(called)
		if n > 1 {
			account.ID = engine.UserID(fmt.Sprintf("%s-%d", called, n))
		}
		err := s.cfg.Accounts.AddAccount(ctx, account)
		if err == nil {
			return &account, s.cfg.Accounts.PutPass(ctx, Pass{Key: key, Account: account.ID, Made: s.now()})
		}
		if engine.CodeOf(err) != engine.Conflict {
			return nil, err
		}
	}
	return nil, engine.Errorf(engine.Conflict, "too many accounts have this name")
}

// accountName makes of what a provider calls somebody the name of an account.
func accountName(called string) string {
	called, _, _ = strings.Cut(strings.ToLower(called), "@")
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, called), ".-_")
	if len(name) > 50 {
		name = name[:50]
	}
	if !accountForm.MatchString(name) {
		return "sso-" + strings.ToLower(rand.Text()[:8])
	}
	return name
}
