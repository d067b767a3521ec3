package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"relais/engine"
	"relais/storage"
	"relais/transport/web"
)

// userCommand changes accounts while nothing else has the store open: for the operator, and for an administrator
// who is locked out.
type userCommand struct {
	Add    userAdd    `cmd:"" help:"Make an account."`
	List   userList   `cmd:"" help:"List the accounts and their roles."`
	Reset  userReset  `cmd:"" help:"Give an account a new password, and end everything else that lets it in."`
	Remove userRemove `cmd:"" help:"Remove an account."`
}

type userAdd struct {
	storeFlags
	Account string   `arg:"" help:"Name to sign in with."`
	Name    string   `help:"Name to show." placeholder:"NAME"`
	Role    string   `help:"operator, clerk, manager or administrator." enum:"operator,clerk,manager,administrator" default:"clerk"`
	Clinic  []string `help:"Clinic to have the role in; may be given again. Without it the role counts in every clinic." placeholder:"CLINIC"`
}

type userList struct {
	storeFlags
}

type userReset struct {
	storeFlags
	Account string `arg:"" help:"Name of the account."`
}

type userRemove struct {
	storeFlags
	Account string `arg:"" help:"Name of the account."`
}

// withAccounts opens the accounts of a store that no other program has open.
func (s *storeFlags) withAccounts(io *streams, f func(accounts, Config) error) (err error) {
	cfg, err := s.settings(io)
	if err != nil {
		return err
	}
	store, err := openExisting(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return f(accounts{store}, cfg)
}

// note puts what the operator did on the audit log of the account's clinics.
func (a accounts) note(ctx context.Context, cfg Config, acc *web.Account, what, why string) error {
	clinics := slices.Sorted(maps.Keys(acc.Roles))
	for i := range cfg.Clinics {
		if id := engine.ClinicID(cfg.Clinics[i].ID); acc.Role(id) != "" && !slices.Contains(clinics, id) {
			clinics = append(clinics, id)
		}
	}
	if len(clinics) == 0 {
		clinics = []engine.ClinicID{storage.Shared}
	}
	return trail(a).Record(ctx, clinics, web.Trace{
		At: time.Now().UTC(), Who: engine.UserID(operator()), From: "command line", What: what, About: string(acc.ID), Why: why,
	})
}

func newPassword() (password, hash string, err error) {
	password = strings.ToLower(rand.Text()[:20])
	hash, err = web.HashPassword(password)
	return password, hash, err
}

// Run makes an account and prints its password.
func (u *userAdd) Run(ctx context.Context, io *streams) error {
	if !userID.MatchString(u.Account) {
		return &usageError{errors.New("an account has up to 64 letters, digits, dots, hyphens, _ or @")}
	}
	return u.withAccounts(io, func(a accounts, cfg Config) error {
		password, hash, err := newPassword()
		if err != nil {
			return err
		}
		acc := web.Account{ID: engine.UserID(u.Account), Name: u.Name, Hash: hash, Made: time.Now()}
		if len(u.Clinic) == 0 {
			acc.Everywhere = web.Role(u.Role)
		} else {
			acc.Roles = map[engine.ClinicID]web.Role{}
		}
		for _, c := range u.Clinic {
			if !clinicID.MatchString(c) {
				return &usageError{fmt.Errorf("%q is no clinic's id", c)}
			}
			acc.Roles[engine.ClinicID(c)] = web.Role(u.Role)
		}
		if err := a.AddAccount(ctx, acc); err != nil {
			return err
		}
		fmt.Fprintf(io.out, "Account %s, password %s (shown this once; change it under Your account)\n", u.Account, password)
		return a.note(ctx, cfg, &acc, web.TracedJoined, u.Role)
	})
}

// Run lists the accounts.
func (u *userList) Run(ctx context.Context, io *streams) error {
	return u.withAccounts(io, func(a accounts, _ Config) error {
		list, err := a.Accounts(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ACCOUNT\tNAME\tROLES\tSIGNS IN WITH")
		for i := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", list[i].ID, cmp.Or(list[i].Name, "-"), rolesText(&list[i]), waysText(&list[i]))
		}
		return w.Flush()
	})
}

func rolesText(a *web.Account) string {
	var parts []string
	if a.Everywhere != "" {
		parts = append(parts, "everywhere "+string(a.Everywhere))
	}
	for c, r := range a.Roles {
		parts = append(parts, string(c)+" "+string(r))
	}
	for _, c := range a.Clinics {
		parts = append(parts, string(c)+" "+string(a.Role(c)))
	}
	slices.Sort(parts)
	for _, c := range a.Suspended {
		parts = append(parts, "suspended in "+string(c))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

func waysText(a *web.Account) string {
	var parts []string
	if a.Hash != "" {
		parts = append(parts, "password")
	}
	if a.TOTP != nil {
		parts = append(parts, "code")
	}
	if n := len(a.Passkeys); n > 0 {
		parts = append(parts, fmt.Sprintf("%d passkeys", n))
	}
	if a.Single {
		parts = append(parts, "single sign-on")
	}
	return strings.Join(parts, ", ")
}

// Run gives an account a new password and prints it.
func (u *userReset) Run(ctx context.Context, io *streams) error {
	return u.withAccounts(io, func(a accounts, cfg Config) error {
		password, hash, err := newPassword()
		if err != nil {
			return err
		}
		acc, err := a.ChangeAccount(ctx, engine.UserID(u.Account), func(acc *web.Account) error {
			acc.Hash, acc.TOTP, acc.Recovery, acc.Passkeys, acc.Suspended = hash, nil, nil, nil, nil
			return nil
		})
		if err != nil {
			return err
		}
		if err := a.forget(ctx, acc.ID); err != nil {
			return err
		}
		fmt.Fprintf(io.out, "Account %s, password %s (shown this once; change it under Your account)\n", u.Account, password)
		return a.note(ctx, cfg, &acc, web.TracedResetUsed, "")
	})
}

// Run removes an account.
func (u *userRemove) Run(ctx context.Context, io *streams) error {
	return u.withAccounts(io, func(a accounts, cfg Config) error {
		acc, err := a.Account(ctx, engine.UserID(u.Account))
		if err != nil {
			return err
		}
		if u.Account == cfg.Account.ID {
			return errors.New("this is the account that the configuration names (account.id): relais serve would make it again; name another one there first")
		}
		if err := a.forget(ctx, acc.ID); err != nil {
			return err
		}
		if err := a.DropAccount(ctx, acc.ID); err != nil {
			return err
		}
		fmt.Fprintf(io.out, "Account %s is gone.\n", u.Account)
		return a.note(ctx, cfg, &acc, web.TracedRemoved, "")
	})
}

// forget ends the sessions, tokens and other passes of an account.
func (a accounts) forget(ctx context.Context, id engine.UserID) error {
	sessions, err := a.Sessions(ctx)
	if err != nil {
		return err
	}
	for i := range sessions {
		if sessions[i].Account == id {
			if err := a.DropSession(ctx, sessions[i].Key); err != nil {
				return err
			}
		}
	}
	passes, err := a.Passes(ctx, "")
	if err != nil {
		return err
	}
	for i := range passes {
		if passes[i].Account == id && !strings.HasPrefix(passes[i].Key, web.PassHandle) {
			if _, err := a.TakePass(ctx, passes[i].Key); err != nil && engine.CodeOf(err) != engine.NotFound {
				return err
			}
		}
	}
	return nil
}
