package web

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"relais/engine"
)

// Account is somebody who signs in.
type Account struct {
	ID         engine.UserID            `json:"id"` // also the name to sign in with
	Name       string                   `json:"name,omitempty"`
	Hash       string                   `json:"hash"` // "": no password
	Roles      map[engine.ClinicID]Role `json:"roles,omitempty"`
	Everywhere Role                     `json:"everywhere,omitempty"` // in every clinic that Roles does not name
	Clinics    []engine.ClinicID        `json:"clinics,omitempty"`    // of records written before there were roles: administrator of these
	Suspended  []engine.ClinicID        `json:"suspended,omitempty"`  // where the role rests
	Made       time.Time                `json:"made,omitzero"`

	Handle   []byte    `json:"handle,omitempty"` // what its passkeys know it by
	Passkeys []Passkey `json:"passkeys,omitempty"`
	TOTP     *TOTP     `json:"totp,omitempty"`
	Recovery []string  `json:"recovery,omitempty"` // digests of codes that are still good
	// Single is set when single sign-on made the account: its roles follow the provider's groups.
	Single bool `json:"single,omitempty"`
}

// Passkey is one key of an account.
type Passkey struct {
	Name string              `json:"name"`
	Made time.Time           `json:"made"`
	Used time.Time           `json:"used,omitzero"`
	Key  webauthn.Credential `json:"key"`
}

// TOTP is the second factor of a password.
type TOTP struct {
	Secret []byte    `json:"secret"`
	Since  time.Time `json:"since"`
	Last   int64     `json:"last"` // step of the last code that was taken: none counts twice
}

// Role returns what the account is in a clinic, "" when nothing.
func (a *Account) Role(c engine.ClinicID) Role {
	if slices.Contains(a.Suspended, c) {
		return ""
	}
	return a.role(c)
}

// role is Role of an account that is not suspended.
func (a *Account) role(c engine.ClinicID) Role {
	if r, ok := a.Roles[c]; ok {
		return r
	}
	if a.Everywhere != "" {
		return a.Everywhere
	}
	if slices.Contains(a.Clinics, c) {
		return Administrator
	}
	return ""
}

// Session is a sign-in. Its key is the digest of the cookie's secret.
type Session struct {
	Key     string        `json:"key"`
	Account engine.UserID `json:"account"`
	Expires time.Time     `json:"expires"`
	Made    time.Time     `json:"made,omitzero"`
	Proved  time.Time     `json:"proved,omitzero"` // when a secret was last shown
	Used    time.Time     `json:"used,omitzero"`   // to within sessionRenew
	From    string        `json:"from,omitempty"`  // address at the last use
	Agent   string        `json:"agent,omitempty"` // browser and system, in a few words
	How     string        `json:"how,omitempty"`   // password, code, passkey, sso, invitation
}

// Pass is a record that lets somebody in or leads to an account. What kind it is shows in its key: one of
// the Pass prefixes, and the digest of a secret or of an outside identity.
type Pass struct {
	Key     string          `json:"key"`
	Account engine.UserID   `json:"account,omitempty"` // whom it is for
	Clinic  engine.ClinicID `json:"clinic,omitempty"`
	Role    Role            `json:"role,omitempty"` // of an invitation
	Name    string          `json:"name,omitempty"` // of a token, or of somebody who is invited
	Scopes  []Permission    `json:"scopes,omitempty"`
	By      engine.UserID   `json:"by,omitempty"` // who made it
	Made    time.Time       `json:"made"`
	Expires time.Time       `json:"expires,omitzero"` // the zero Time: never
	Used    time.Time       `json:"used,omitzero"`
}

// Prefixes of a Pass's key.
const (
	PassInvitation = "invitation:" // digest of the link's secret
	PassReset      = "reset:"      // digest of the link's secret
	PassToken      = "token:"      // digest of an API token
	PassHandle     = "handle:"     // digest of what passkeys know an account by
	PassSingle     = "single:"     // digest of the provider and its name for somebody
)

// Accounts keeps accounts, sessions and passes. A missing one gives an engine.NotFound error.
type Accounts interface {
	Account(ctx context.Context, id engine.UserID) (Account, error)
	Accounts(ctx context.Context) ([]Account, error)
	PutAccount(ctx context.Context, a Account) error
	// AddAccount writes an account, or gives an engine.Conflict error when there is one of that name.
	AddAccount(ctx context.Context, a Account) error
	// ChangeAccount reads an account, changes it and writes it, and nobody else between; an error of
	// change, which may be called more than once, is returned and nothing is written.
	ChangeAccount(ctx context.Context, id engine.UserID, change func(*Account) error) (Account, error)
	DropAccount(ctx context.Context, id engine.UserID) error

	Session(ctx context.Context, key string) (Session, error)
	// Sessions lists all, in no order; some may be over.
	Sessions(ctx context.Context) ([]Session, error)
	PutSession(ctx context.Context, s Session) error
	DropSession(ctx context.Context, key string) error

	Pass(ctx context.Context, key string) (Pass, error)
	Passes(ctx context.Context, prefix string) ([]Pass, error)
	PutPass(ctx context.Context, p Pass) error
	// TakePass removes a pass. Of two that take it at once one gets engine.NotFound.
	TakePass(ctx context.Context, key string) (Pass, error)
}

// Trace is one line of a clinic's audit log: identifiers and closed words only, never what somebody typed.
type Trace struct {
	Seq   uint64        `json:"seq,omitempty"`
	At    time.Time     `json:"at"`
	Who   engine.UserID `json:"who,omitempty"`   // "": nobody who is known
	From  string        `json:"from,omitempty"`  // address, and by what: session, token and its identifier, or the command line
	What  string        `json:"what"`            // the call's identifier, or one of the Traced constants
	About string        `json:"about,omitempty"` // identifiers of what it was done to
	Why   string        `json:"why,omitempty"`   // a reason from a closed list, or the role or scopes that were given
}

// TraceFilter says which traces to list, newest first.
type TraceFilter struct {
	Who, What, About string
	Since, Until     time.Time
	Before           uint64 // only older than this one
	Limit            int
}

// Trail keeps the audit log of each clinic; engine's empty clinic has what belongs to none.
type Trail interface {
	Record(ctx context.Context, clinics []engine.ClinicID, t Trace) error
	Traces(ctx context.Context, c engine.ClinicID, f TraceFilter) ([]Trace, error)
}

// settle writes the roles of an old record as they are written now.
func (a *Account) settle() {
	for _, c := range a.Clinics {
		if _, ok := a.Roles[c]; !ok {
			a.setRole(c, Administrator)
		}
	}
	a.Clinics = nil
}

// setRole gives a role in a clinic, or takes it away. The map is a new one: others may read the old.
func (a *Account) setRole(c engine.ClinicID, r Role) {
	roles := maps.Clone(a.Roles)
	if roles == nil {
		roles = map[engine.ClinicID]Role{}
	}
	if roles[c] = r; r == "" {
		delete(roles, c)
	}
	a.Roles = roles
}
