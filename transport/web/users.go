package web

import (
	"context"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
)

const (
	invitationLife = 72 * time.Hour
	resetLife      = 24 * time.Hour
	// maxInvitations of a clinic may wait.
	maxInvitations = 100
)

// accountForm is what an account may be called. It stands in logs and URLs.
var accountForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,63}$`)

// User is somebody with a role in the clinic.
type User struct {
	Account   engine.UserID `json:"account"`
	Name      string        `json:"name"`
	Role      Role          `json:"role"`
	Suspended bool          `json:"suspended"`
	Passkeys  int           `json:"passkeys"`
	TOTP      bool          `json:"totp"`
	Single    bool          `json:"single" doc:"comes by single sign-on: the provider's groups decide on the role"`
	Fixed     bool          `json:"fixed" doc:"has its role in every clinic; only somebody of whom the same is true changes it"`
	Self      bool          `json:"self"`
	Used      *time.Time    `json:"used,omitempty" doc:"the latest use of a session"`
}

// Invitee is an invitation that waits.
type Invitee struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Role    Role          `json:"role"`
	By      engine.UserID `json:"by"`
	Expires time.Time     `json:"expires"`
}

// Users are the people of a clinic.
type Users struct {
	Users       []User    `json:"users" nullable:"false"`
	Invitations []Invitee `json:"invitations" nullable:"false"`
	Mail        bool      `json:"mail" doc:"an invitation can be mailed"`
}

// InvitationLink lets one person in, once.
type InvitationLink struct {
	Link    string    `json:"link" doc:"shown this once; what counts stands behind the #, which browsers send to nobody"`
	Expires time.Time `json:"expires"`
	Mailed  bool      `json:"mailed"`
	Failed  bool      `json:"failed" doc:"it should have been mailed and was not"`
}

// Invitation is what somebody who was invited is told by mail.
type Invitation struct {
	Clinic  string
	Link    string
	By      engine.UserID
	Expires time.Time
}

type userPath struct {
	ClinicPath
	User string `path:"user" maxLength:"100"`
}

type inviteRequest struct {
	ClinicPath
	Body struct {
		Role Role   `json:"role"`
		Name string `json:"name" minLength:"1" maxLength:"80" doc:"who it is, for the list"`
		Mail string `json:"mail,omitempty" maxLength:"254" doc:"where to send the link; it is not kept"`
	} `nameHint:"InviteRequest"`
}

type userRequest struct {
	ClinicPath
	User string `path:"user" maxLength:"100"`
	Body struct {
		Role      Role  `json:"role,omitempty"`
		Suspended *bool `json:"suspended,omitempty"`
	} `nameHint:"UserChange"`
}

type invitationPath struct {
	ClinicPath
	ID string `path:"id" maxLength:"100"`
}

func (s *Server) userCalls(api huma.API) {
	list := operation(http.MethodGet, "/clinics/{clinic}/users", "users", "The people of a clinic", "Their roles, and the invitations that wait.")
	register(s, api, list, func(ctx context.Context, q *ClinicPath) (*reply[Users], error) {
		return answer(s.users(ctx, callerOf(ctx), q.id()))
	})

	invite := operation(http.MethodPost, "/clinics/{clinic}/users/invitations", "invite", "Invite somebody",
		"Makes a link that works once, within 72 hours. It is mailed when an address is given and mail is configured.")
	invite.DefaultStatus = http.StatusCreated
	register(s, api, invite, func(ctx context.Context, q *inviteRequest) (*reply[InvitationLink], error) {
		return answer(s.invite(ctx, callerOf(ctx), q))
	})

	withdraw := operation(http.MethodDelete, "/clinics/{clinic}/users/invitations/{id}", "withdrawInvitation", "Withdraw an invitation", "Its link stops working.")
	withdraw.DefaultStatus = http.StatusNoContent
	register(s, api, withdraw, func(ctx context.Context, q *invitationPath) (*nothing, error) {
		return &nothing{}, s.withdraw(ctx, callerOf(ctx), q.id(), q.ID)
	})

	change := operation(http.MethodPost, "/clinics/{clinic}/users/{user}", "changeUser", "Change a role, or let it rest",
		"Takes effect at once, for open pages too. 409 when no administrator would be left.")
	register(s, api, change, func(ctx context.Context, q *userRequest) (*reply[Users], error) {
		who := callerOf(ctx)
		if err := s.changeUser(ctx, who, q.id(), engine.UserID(q.User), q.Body.Role, q.Body.Suspended); err != nil {
			return nil, err
		}
		return answer(s.users(ctx, who, q.id()))
	})

	remove := operation(http.MethodDelete, "/clinics/{clinic}/users/{user}", "removeUser", "Take somebody out of the clinic",
		"Somebody without any clinic has no account any more. 409 when no administrator would be left.")
	remove.DefaultStatus = http.StatusNoContent
	register(s, api, remove, func(ctx context.Context, q *userPath) (*nothing, error) {
		return &nothing{}, s.removeUser(ctx, callerOf(ctx), q.id(), engine.UserID(q.User))
	})

	reset := operation(http.MethodPost, "/clinics/{clinic}/users/{user}/reset", "resetUser", "Let somebody in again who is locked out",
		"Makes a link that works once, within 24 hours, to choose a new password with. Using it ends the sessions, the second factor, the passkeys and the API tokens of the account.")
	reset.DefaultStatus = http.StatusCreated
	register(s, api, reset, func(ctx context.Context, q *userPath) (*reply[InvitationLink], error) {
		return answer(s.resetUser(ctx, callerOf(ctx), q.id(), engine.UserID(q.User)))
	})
	s.invitationCalls(api)
}

func (s *Server) users(ctx context.Context, who *caller, c engine.ClinicID) (Users, error) {
	list := Users{Users: []User{}, Invitations: []Invitee{}, Mail: s.cfg.MailInvitation != nil}
	all, err := s.cfg.Accounts.Accounts(ctx)
	if err != nil {
		return list, err
	}
	sessions, err := s.cfg.Accounts.Sessions(ctx)
	if err != nil {
		return list, err
	}
	used := map[engine.UserID]time.Time{}
	for i := range sessions {
		if v := &sessions[i]; v.Used.After(used[v.Account]) {
			used[v.Account] = v.Used
		}
	}
	for i := range all {
		a := &all[i]
		role := a.role(c)
		if role == "" {
			continue
		}
		u := User{
			Account: a.ID, Name: a.Name, Role: role, Suspended: a.Role(c) == "", Passkeys: len(a.Passkeys), TOTP: a.TOTP != nil,
			Single: a.Single, Fixed: a.Everywhere != "", Self: a.ID == who.ID,
		}
		if at, ok := used[a.ID]; ok {
			u.Used = &at
		}
		list.Users = append(list.Users, u)
	}
	invitations, err := s.invitationsOf(ctx, c)
	for i := range invitations {
		p := &invitations[i]
		list.Invitations = append(list.Invitations, Invitee{ID: shortID(p.Key), Name: p.Name, Role: p.Role, By: p.By, Expires: p.Expires})
	}
	return list, err
}

// invitationsOf lists the invitations of a clinic that wait, and clears away those that are over.
func (s *Server) invitationsOf(ctx context.Context, c engine.ClinicID) ([]Pass, error) {
	all, err := s.cfg.Accounts.Passes(ctx, PassInvitation)
	if err != nil {
		return nil, err
	}
	var list []Pass
	for _, p := range all {
		switch {
		case !s.now().Before(p.Expires):
			if _, err := s.cfg.Accounts.TakePass(ctx, p.Key); err != nil && engine.CodeOf(err) != engine.NotFound {
				return nil, err
			}
		case p.Clinic == c:
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Pass) int { return a.Expires.Compare(b.Expires) })
	return list, nil
}

func (s *Server) link(secret string) string {
	return s.cfg.PublicBase.JoinPath("/invite").String() + "#" + secret
}

func (s *Server) invite(ctx context.Context, who *caller, q *inviteRequest) (InvitationLink, error) {
	if !slices.Contains(Roles, q.Body.Role) {
		return InvitationLink{}, engine.Errorf(engine.Invalid, "the role is operator, clerk, manager or administrator")
	}
	to := strings.TrimSpace(q.Body.Mail)
	if to != "" {
		if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
			return InvitationLink{}, engine.Errorf(engine.Invalid, "the mail address is not a valid one")
		}
		if s.cfg.MailInvitation == nil {
			return InvitationLink{}, engine.Errorf(engine.Invalid, "no mail server is configured; invite without an address and hand the link over")
		}
	}
	waiting, err := s.invitationsOf(ctx, q.id())
	if err != nil {
		return InvitationLink{}, err
	}
	if len(waiting) >= maxInvitations {
		return InvitationLink{}, engine.Errorf(engine.TooMany, "%d invitations wait; withdraw some first", maxInvitations)
	}
	secret, err := newSecret()
	if err != nil {
		return InvitationLink{}, err
	}
	p := Pass{
		Key: PassInvitation + digest(secret), Clinic: q.id(), Role: q.Body.Role, Name: strings.TrimSpace(q.Body.Name), By: who.ID,
		Made: s.now(), Expires: s.now().Add(invitationLife),
	}
	if err := s.cfg.Accounts.PutPass(ctx, p); err != nil {
		return InvitationLink{}, err
	}
	s.record(ctx, []engine.ClinicID{p.Clinic}, Trace{Who: who.ID, From: who.from, What: TracedInvited, About: shortID(p.Key), Why: string(p.Role)})
	l := InvitationLink{Link: s.link(secret), Expires: p.Expires}
	if to != "" {
		err := s.cfg.MailInvitation(ctx, engine.Email(to), Invitation{Clinic: s.clinicName(ctx, p.Clinic), Link: l.Link, By: who.ID, Expires: p.Expires})
		l.Mailed, l.Failed = err == nil, err != nil
		if err != nil {
			s.log.WarnContext(ctx, "invitation not mailed", "request", requestID(ctx), "error", err)
		}
	}
	return l, nil
}

func (s *Server) clinicName(ctx context.Context, id engine.ClinicID) string {
	for _, c := range s.cfg.Desk.Clinics(ctx) {
		if c.ID == id {
			return c.Name
		}
	}
	return string(id)
}

func (s *Server) withdraw(ctx context.Context, who *caller, c engine.ClinicID, id string) error {
	list, err := s.invitationsOf(ctx, c)
	if err != nil {
		return err
	}
	for i := range list {
		if shortID(list[i].Key) == id {
			if _, err := s.cfg.Accounts.TakePass(ctx, list[i].Key); err != nil {
				return err
			}
			s.record(ctx, []engine.ClinicID{c}, Trace{Who: who.ID, From: who.from, What: TracedUninvited, About: id})
			return nil
		}
	}
	return engine.Errorf(engine.NotFound, "there is no such invitation")
}

// user finds somebody of the clinic whom the caller may change.
func (s *Server) user(ctx context.Context, who *caller, c engine.ClinicID, id engine.UserID) (Account, error) {
	a, err := s.cfg.Accounts.Account(ctx, id)
	if (err == nil && a.role(c) == "") || engine.CodeOf(err) == engine.NotFound && err != nil {
		return a, engine.Errorf(engine.NotFound, "there is no such user in this clinic")
	}
	if err == nil && a.Everywhere != "" && who.Everywhere != Administrator {
		err = engine.Errorf(engine.Forbidden, "this account has its role in every clinic; only an administrator of all clinics can change it")
	}
	return a, err
}

// keepAdministrator refuses to take away the last administrator of a clinic. s.roles is held.
func (s *Server) keepAdministrator(ctx context.Context, c engine.ClinicID, without engine.UserID) error {
	all, err := s.cfg.Accounts.Accounts(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].ID != without && all[i].Role(c) == Administrator {
			return nil
		}
	}
	return engine.Errorf(engine.Conflict, "this is the last administrator of the clinic; make somebody else one first")
}

func (s *Server) changeUser(ctx context.Context, who *caller, c engine.ClinicID, id engine.UserID, role Role, suspended *bool) error {
	if role != "" && !slices.Contains(Roles, role) {
		return engine.Errorf(engine.Invalid, "the role is operator, clerk, manager or administrator")
	}
	s.roles.Lock() // nobody else takes an administrator away meanwhile
	defer s.roles.Unlock()
	was, err := s.user(ctx, who, c, id)
	if err != nil {
		return err
	}
	if was.Role(c) == Administrator && (role != "" && role != Administrator || suspended != nil && *suspended) {
		if err := s.keepAdministrator(ctx, c, id); err != nil {
			return err
		}
	}
	now, err := s.cfg.Accounts.ChangeAccount(ctx, id, func(a *Account) error {
		a.settle()
		if role != "" && role != a.role(c) {
			a.setRole(c, role)
		}
		if suspended != nil {
			a.Suspended = slices.DeleteFunc(slices.Clone(a.Suspended), func(x engine.ClinicID) bool { return x == c })
			if *suspended {
				a.Suspended = append(a.Suspended, c)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if was.role(c) != now.role(c) {
		s.record(ctx, []engine.ClinicID{c}, Trace{Who: who.ID, From: who.from, What: TracedRole, About: string(id), Why: string(now.role(c))})
	}
	if before, after := was.Role(c) == "", now.Role(c) == ""; before != after {
		what := TracedResumed
		if after {
			what = TracedSuspended
		}
		s.record(ctx, []engine.ClinicID{c}, Trace{Who: who.ID, From: who.from, What: what, About: string(id)})
	}
	s.feed.lookAgain(&now)
	return nil
}

func (s *Server) removeUser(ctx context.Context, who *caller, c engine.ClinicID, id engine.UserID) error {
	s.roles.Lock()
	defer s.roles.Unlock()
	was, err := s.user(ctx, who, c, id)
	if err != nil {
		return err
	}
	if was.Everywhere != "" {
		return engine.Errorf(engine.Conflict, "this account has its role in every clinic; let it rest, or take it away with relais user remove")
	}
	if was.Role(c) == Administrator {
		if err := s.keepAdministrator(ctx, c, id); err != nil {
			return err
		}
	}
	now, err := s.cfg.Accounts.ChangeAccount(ctx, id, func(a *Account) error {
		a.settle()
		a.setRole(c, "")
		a.Suspended = slices.DeleteFunc(slices.Clone(a.Suspended), func(x engine.ClinicID) bool { return x == c })
		return nil
	})
	if err != nil {
		return err
	}
	if len(now.Roles) == 0 {
		err = s.dropAccount(ctx, &now)
	}
	s.feed.lookAgain(&now)
	s.record(ctx, []engine.ClinicID{c}, Trace{Who: who.ID, From: who.from, What: TracedRemoved, About: string(id)})
	return err
}

// dropAccount removes an account and everything that leads to it.
func (s *Server) dropAccount(ctx context.Context, a *Account) error {
	if _, err := s.endSessions(ctx, a.ID, func(*Session) bool { return true }); err != nil {
		return err
	}
	if err := s.dropPasses(ctx, a.ID, PassToken, PassHandle, PassSingle, PassReset); err != nil {
		return err
	}
	return s.cfg.Accounts.DropAccount(ctx, a.ID)
}

func (s *Server) dropPasses(ctx context.Context, id engine.UserID, prefixes ...string) error {
	for _, prefix := range prefixes {
		list, err := s.cfg.Accounts.Passes(ctx, prefix)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].Account != id {
				continue
			}
			if _, err := s.cfg.Accounts.TakePass(ctx, list[i].Key); err != nil && engine.CodeOf(err) != engine.NotFound {
				return err
			}
		}
	}
	return nil
}

// resetUser makes a link that lets somebody choose a new password. Who may use it may act wherever the account
// may: so the caller must administer all of that.
func (s *Server) resetUser(ctx context.Context, who *caller, c engine.ClinicID, id engine.UserID) (InvitationLink, error) {
	a, err := s.user(ctx, who, c, id)
	if err != nil {
		return InvitationLink{}, err
	}
	if a.Single {
		return InvitationLink{}, engine.Errorf(engine.Conflict, "this account comes by single sign-on; its provider lets it in again")
	}
	for _, other := range s.everyClinic(ctx, &a) {
		if !who.may(other, Arrange) {
			return InvitationLink{}, engine.Errorf(engine.Forbidden, "this account has a role in another clinic too; an administrator of all its clinics can reset it, or the operator with relais user reset")
		}
	}
	if err := s.dropPasses(ctx, id, PassReset); err != nil {
		return InvitationLink{}, err
	}
	secret, err := newSecret()
	if err != nil {
		return InvitationLink{}, err
	}
	p := Pass{Key: PassReset + digest(secret), Account: id, Clinic: c, By: who.ID, Made: s.now(), Expires: s.now().Add(resetLife)}
	if err := s.cfg.Accounts.PutPass(ctx, p); err != nil {
		return InvitationLink{}, err
	}
	s.record(ctx, s.everyClinic(ctx, &a), Trace{Who: who.ID, From: who.from, What: TracedReset, About: string(id)})
	return InvitationLink{Link: s.link(secret), Expires: p.Expires}, nil
}
