package web

import (
	"context"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
)

// provedFor is how long after showing a secret somebody may change what lets them in.
const provedFor = 15 * time.Minute

// fresh refuses what needs a secret that was shown a short while ago: a browser left alone must not be enough to
// take an account over.
func (s *Server) fresh(who *caller) error {
	if s.now().Sub(who.proved) > provedFor {
		return engine.Errorf(engine.Forbidden, "confirm first that it is you: POST /api/v1/account/confirm with the password, or sign in again")
	}
	return nil
}

// OwnAccount is an account as its owner sees it.
type OwnAccount struct {
	Account  engine.UserID `json:"account"`
	Name     string        `json:"name"`
	Fresh    bool          `json:"fresh" doc:"a secret was shown within 15 minutes: what lets the account in may be changed"`
	Password bool          `json:"password" doc:"it has one"`
	Single   bool          `json:"single" doc:"single sign-on made it; its roles follow the provider's groups"`
	TOTP     *time.Time    `json:"totp,omitempty" doc:"since when a code is asked for after the password"`
	Recovery int           `json:"recovery" doc:"recovery codes that are left"`
	// CanPasskey is false when the server's address is one that browsers make no passkeys for.
	CanPasskey bool          `json:"can_passkey"`
	Passkeys   []OwnPasskey  `json:"passkeys" nullable:"false"`
	Sessions   []OwnSession  `json:"sessions" nullable:"false"`
	Tokens     []APIToken    `json:"tokens" nullable:"false"`
	Clinics    []OwnedClinic `json:"clinics" nullable:"false"`
}

// OwnedClinic is a clinic and what the account is there.
type OwnedClinic struct {
	Access
	Name string `json:"name"`
}

// OwnPasskey is a passkey of the account.
type OwnPasskey struct {
	ID   string     `json:"id"`
	Name string     `json:"name"`
	Made time.Time  `json:"made"`
	Used *time.Time `json:"used,omitempty"`
}

// OwnSession is a sign-in of the account.
type OwnSession struct {
	ID    string    `json:"id"`
	Here  bool      `json:"here" doc:"the one that asks"`
	Agent string    `json:"agent" doc:"browser and system"`
	From  string    `json:"from" doc:"address at the last use"`
	How   string    `json:"how"`
	Made  time.Time `json:"made"`
	Used  time.Time `json:"used" doc:"to within five minutes"`
}

type confirmRequest struct {
	Body struct {
		Password string `json:"password" minLength:"1" maxLength:"1024"`
		Code     string `json:"code,omitempty" maxLength:"32"`
	} `nameHint:"Confirmation"`
}

type passwordRequest struct {
	Body struct {
		Old string `json:"old,omitempty" maxLength:"1024" doc:"not needed when the account has none"`
		New string `json:"new" minLength:"1" maxLength:"1024" doc:"12 to 256 characters, and none of the commonest"`
	} `nameHint:"PasswordChange"`
}

type codeRequest struct {
	Body struct {
		Code string `json:"code" minLength:"6" maxLength:"32"`
	} `nameHint:"Code"`
}

// RecoveryCodes replace the authenticator app when it is lost; each counts once.
type RecoveryCodes struct {
	Codes []string `json:"codes" nullable:"false" doc:"shown this once"`
}

func (s *Server) own(ctx context.Context, who *caller) (OwnAccount, error) {
	a := OwnAccount{
		Account: who.ID, Name: who.Name, Fresh: s.fresh(who) == nil, Password: who.Hash != "", Single: who.Single,
		Recovery: len(who.Recovery), CanPasskey: s.passkeys != nil, Passkeys: []OwnPasskey{}, Sessions: []OwnSession{}, Tokens: []APIToken{}, Clinics: []OwnedClinic{},
	}
	if who.TOTP != nil {
		a.TOTP = &who.TOTP.Since
	}
	for i := range who.Passkeys {
		k := &who.Passkeys[i]
		p := OwnPasskey{ID: keyID(k), Name: k.Name, Made: k.Made}
		if !k.Used.IsZero() {
			p.Used = &k.Used
		}
		a.Passkeys = append(a.Passkeys, p)
	}
	sessions, err := s.sessionsOf(ctx, who.ID)
	if err != nil {
		return a, err
	}
	for i := range sessions {
		v := &sessions[i]
		a.Sessions = append(a.Sessions, OwnSession{
			ID: shortID(v.Key), Here: v.Key == who.session, Agent: v.Agent, From: v.From, How: v.How, Made: v.Made, Used: v.Used,
		})
	}
	tokens, err := s.tokensOf(ctx, who.ID)
	if err != nil {
		return a, err
	}
	for i := range tokens {
		a.Tokens = append(a.Tokens, tokens[i].apiToken())
	}
	for _, c := range s.clinics(ctx, who) {
		a.Clinics = append(a.Clinics, OwnedClinic{Access: who.access(c.ID), Name: c.Name})
	}
	return a, nil
}

func keyID(p *Passkey) string { return hex.EncodeToString(p.Key.ID[:min(12, len(p.Key.ID))]) }

// sessionsOf lists the sessions of an account that are good, the latest used first.
func (s *Server) sessionsOf(ctx context.Context, id engine.UserID) ([]Session, error) {
	all, err := s.cfg.Accounts.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now()
	mine := slices.DeleteFunc(all, func(v Session) bool { return v.Account != id || !now.Before(v.Expires) })
	slices.SortFunc(mine, func(a, b Session) int { return b.Used.Compare(a.Used) })
	return mine, nil
}

// endSessions ends the sessions of an account that which picks, and their feeds.
func (s *Server) endSessions(ctx context.Context, id engine.UserID, which func(*Session) bool) (ended int, err error) {
	list, err := s.sessionsOf(ctx, id)
	if err != nil {
		return 0, err
	}
	for i := range list {
		if !which(&list[i]) {
			continue
		}
		if err := s.cfg.Accounts.DropSession(ctx, list[i].Key); err != nil && engine.CodeOf(err) != engine.NotFound {
			return ended, err
		}
		s.feed.signedOut(list[i].Key)
		ended++
	}
	return ended, nil
}

// setPassword hashes a new password after looking at it.
func (s *Server) setPassword(ctx context.Context, id engine.UserID, password string) (hash string, err error) {
	if err := GoodPassword(password, string(id)); err != nil {
		return "", err
	}
	err = s.compute(ctx, func() (err error) {
		hash, err = hashWith(s.cost, password)
		return err
	})
	return hash, err
}

func (s *Server) accountCalls(api huma.API) {
	own := operation(http.MethodGet, "/account", "account", "The own account", "What lets it in, its sessions and its API tokens.")
	register(s, api, own, func(ctx context.Context, _ *nothing) (*reply[OwnAccount], error) {
		return answer(s.own(ctx, callerOf(ctx)))
	})

	confirm := operation(http.MethodPost, "/account/confirm", "confirmAccount", "Show that it is you",
		"With the password, and a code when the account has a second factor. For 15 minutes after that what lets the account in may be changed.")
	confirm.DefaultStatus = http.StatusNoContent
	register(s, api, confirm, func(ctx context.Context, q *confirmRequest) (*nothing, error) {
		return &nothing{}, s.confirm(ctx, callerOf(ctx), q.Body.Password, q.Body.Code)
	})

	password := operation(http.MethodPost, "/account/password", "changePassword", "Change the password",
		"Ends every other session of the account.")
	password.DefaultStatus = http.StatusNoContent
	register(s, api, password, func(ctx context.Context, q *passwordRequest) (*nothing, error) {
		return &nothing{}, s.changePassword(ctx, callerOf(ctx), q.Body.Old, q.Body.New)
	})

	end := operation(http.MethodDelete, "/account/sessions/{id}", "endSession", "End one session", "And its live feeds.")
	end.DefaultStatus = http.StatusNoContent
	register(s, api, end, func(ctx context.Context, q *idPath) (*nothing, error) {
		who := callerOf(ctx)
		n, err := s.endSessions(ctx, who.ID, func(v *Session) bool { return shortID(v.Key) == q.ID })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, engine.Errorf(engine.NotFound, "there is no such session")
		}
		s.recordOwn(ctx, who, TracedSessionEnded, q.ID)
		return &nothing{}, nil
	})

	others := operation(http.MethodDelete, "/account/sessions", "endOtherSessions", "End every other session", "All but the one that asks.")
	others.DefaultStatus = http.StatusNoContent
	register(s, api, others, func(ctx context.Context, _ *nothing) (*nothing, error) {
		who := callerOf(ctx)
		n, err := s.endSessions(ctx, who.ID, func(v *Session) bool { return v.Key != who.session })
		if err == nil && n > 0 {
			s.recordOwn(ctx, who, TracedSessionEnded, "others")
		}
		return &nothing{}, err
	})
	s.secondFactorCalls(api)
}

func (s *Server) secondFactorCalls(api huma.API) {
	begin := operation(http.MethodPost, "/account/totp/begin", "beginTOTP", "Begin with an authenticator app",
		"Gives a secret for the app. Nothing changes until a code of it comes back.")
	register(s, api, begin, func(ctx context.Context, _ *nothing) (*reply[TOTPOffer], error) {
		who := callerOf(ctx)
		if err := s.fresh(who); err != nil {
			return nil, err
		}
		t, err := newTOTP()
		if err != nil {
			return nil, err
		}
		if err := s.ceremonies.put(s.now(), "totp "+who.session, ceremony{totp: t}); err != nil {
			return nil, err
		}
		return answer(t.offer(s.cfg.PublicBase.Hostname(), who.ID))
	})

	on := operation(http.MethodPost, "/account/totp", "confirmTOTP", "Ask for codes from now on",
		"With a first code of the app. Answers with recovery codes, shown this once.")
	register(s, api, on, func(ctx context.Context, q *codeRequest) (*reply[RecoveryCodes], error) {
		who := callerOf(ctx)
		if err := s.mayTry(ctx, s.address(requestOf(ctx)), who.ID); err != nil {
			return nil, err
		}
		c, ok := s.ceremonies.look(s.now(), "totp "+who.session)
		if !ok || c.totp == nil {
			return nil, engine.Errorf(engine.Conflict, "begin again: the secret was not confirmed within 10 minutes")
		}
		t := *c.totp
		if !t.take(s.now(), q.Body.Code) {
			return nil, engine.Errorf(engine.Invalid, "the code is not the one that the app should show now; look at the clock of the phone")
		}
		t.Since = s.now()
		s.ceremonies.take(s.now(), "totp "+who.session)
		shown, kept := newRecovery()
		_, err := s.cfg.Accounts.ChangeAccount(ctx, who.ID, func(a *Account) error {
			a.TOTP, a.Recovery = &t, kept
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.recordOwn(ctx, who, TracedTOTPOn, "")
		return &reply[RecoveryCodes]{Body: RecoveryCodes{Codes: shown}}, nil
	})

	off := operation(http.MethodDelete, "/account/totp", "dropTOTP", "Ask for no codes any more", "The recovery codes end too.")
	off.DefaultStatus = http.StatusNoContent
	register(s, api, off, func(ctx context.Context, _ *nothing) (*nothing, error) {
		who := callerOf(ctx)
		if err := s.fresh(who); err != nil {
			return nil, err
		}
		_, err := s.cfg.Accounts.ChangeAccount(ctx, who.ID, func(a *Account) error {
			a.TOTP, a.Recovery = nil, nil
			return nil
		})
		if err == nil {
			s.recordOwn(ctx, who, TracedTOTPOff, "")
		}
		return &nothing{}, err
	})

	codes := operation(http.MethodPost, "/account/recovery", "newRecoveryCodes", "Make new recovery codes", "The old ones end.")
	register(s, api, codes, func(ctx context.Context, _ *nothing) (*reply[RecoveryCodes], error) {
		who := callerOf(ctx)
		if err := s.fresh(who); err != nil {
			return nil, err
		}
		shown, kept := newRecovery()
		_, err := s.cfg.Accounts.ChangeAccount(ctx, who.ID, func(a *Account) error {
			if a.TOTP == nil {
				return engine.Errorf(engine.Conflict, "recovery codes need an authenticator app that they stand in for")
			}
			a.Recovery = kept
			return nil
		})
		if err == nil {
			s.recordOwn(ctx, who, TracedRecoveryCodes, "")
		}
		return answer(RecoveryCodes{Codes: shown}, err)
	})
}

func (s *Server) confirm(ctx context.Context, who *caller, password, code string) error {
	from := s.address(requestOf(ctx))
	account, err := s.provePassword(ctx, from, who.ID, password)
	if err != nil {
		if engine.CodeOf(err) == engine.Unsigned { // 401 would say that the session is over
			err = engine.Errorf(engine.Invalid, "the password is wrong")
		}
		return err
	}
	if account.TOTP != nil {
		if _, err := s.proveCode(ctx, from, &account, code); err != nil {
			return engine.Errorf(engine.Invalid, "the code is missing or wrong")
		}
	}
	s.signInAccount.forgive(who.ID)
	session, err := s.cfg.Accounts.Session(ctx, who.session)
	if err != nil {
		return unsignedIfMissing(err)
	}
	session.Proved = s.now()
	return s.cfg.Accounts.PutSession(ctx, session)
}

func (s *Server) changePassword(ctx context.Context, who *caller, was, password string) error {
	if who.Hash == "" {
		if err := s.fresh(who); err != nil {
			return err
		}
	} else if _, err := s.provePassword(ctx, s.address(requestOf(ctx)), who.ID, was); err != nil {
		if engine.CodeOf(err) == engine.Unsigned {
			err = engine.Errorf(engine.Invalid, "the present password is wrong")
		}
		return err
	}
	hash, err := s.setPassword(ctx, who.ID, password)
	if err != nil {
		return err
	}
	_, err = s.cfg.Accounts.ChangeAccount(ctx, who.ID, func(a *Account) error {
		a.Hash = hash
		return nil
	})
	if err != nil {
		return err
	}
	s.recordOwn(ctx, who, TracedPassword, "")
	_, err = s.endSessions(ctx, who.ID, func(v *Session) bool { return v.Key != who.session })
	return err
}
