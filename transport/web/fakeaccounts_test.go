package web

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"relais/engine"
)

// fakeAccounts keeps accounts, sessions and passes in maps.
type fakeAccounts struct {
	mu       sync.Mutex
	accounts map[engine.UserID]Account
	sessions map[string]Session
	passes   map[string]Pass
	puts     int
	err      error
}

func find[K comparable, V any](a *fakeAccounts, m map[K]V, key K, what string) (V, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := m[key]
	if a.err == nil && !ok {
		return v, engine.Errorf(engine.NotFound, "there is no such %s", what)
	}
	return v, a.err
}

func (a *fakeAccounts) Account(_ context.Context, id engine.UserID) (Account, error) {
	return find(a, a.accounts, id, "account")
}

func (a *fakeAccounts) Accounts(context.Context) ([]Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.Collect(maps.Values(a.accounts))
	slices.SortFunc(list, func(x, y Account) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return list, a.err
}

func (a *fakeAccounts) PutAccount(_ context.Context, v Account) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounts[v.ID] = v
	return a.err
}

func (a *fakeAccounts) AddAccount(ctx context.Context, v Account) error {
	if _, err := a.Account(ctx, v.ID); err == nil {
		return engine.Errorf(engine.Conflict, "there is an account of that name")
	}
	return a.PutAccount(ctx, v)
}

func (a *fakeAccounts) ChangeAccount(_ context.Context, id engine.UserID, change func(*Account) error) (Account, error) {
	v, err := find(a, a.accounts, id, "account")
	if err != nil {
		return v, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if v.TOTP != nil {
		t := *v.TOTP
		v.TOTP = &t
	}
	if err := change(&v); err != nil {
		return v, err
	}
	a.accounts[id] = v
	return v, nil
}

func (a *fakeAccounts) DropAccount(_ context.Context, id engine.UserID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.accounts, id)
	return a.err
}

func (a *fakeAccounts) Session(_ context.Context, key string) (Session, error) {
	return find(a, a.sessions, key, "session")
}

func (a *fakeAccounts) Sessions(context.Context) ([]Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.sessions)), a.err
}

func (a *fakeAccounts) PutSession(_ context.Context, v Session) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[v.Key] = v
	a.puts++
	return a.err
}

func (a *fakeAccounts) DropSession(_ context.Context, key string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, key)
	return a.err
}

func (a *fakeAccounts) Pass(_ context.Context, key string) (Pass, error) {
	return find(a, a.passes, key, "pass")
}

func (a *fakeAccounts) Passes(_ context.Context, prefix string) (list []Pass, _ error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, p := range a.passes {
		if strings.HasPrefix(key, prefix) {
			list = append(list, p)
		}
	}
	return list, a.err
}

func (a *fakeAccounts) PutPass(_ context.Context, p Pass) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.passes[p.Key] = p
	return a.err
}

func (a *fakeAccounts) TakePass(_ context.Context, key string) (Pass, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.passes[key]
	if !ok {
		return p, engine.Errorf(engine.NotFound, "there is no such pass")
	}
	delete(a.passes, key)
	return p, a.err
}

// fakeTrail remembers what was recorded.
type fakeTrail struct {
	mu   sync.Mutex
	list map[engine.ClinicID][]Trace
}

func (f *fakeTrail) Record(_ context.Context, clinics []engine.ClinicID, t Trace) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range clinics {
		t.Seq = uint64(len(f.list[c]) + 1)
		f.list[c] = append(f.list[c], t)
	}
	return nil
}

func (f *fakeTrail) Traces(_ context.Context, c engine.ClinicID, _ TraceFilter) ([]Trace, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.Clone(f.list[c])
	slices.Reverse(list)
	return list, nil
}

// said lists what a clinic's log says, oldest first: what, who, about and why.
func (f *fakeTrail) said(c engine.ClinicID) (lines []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.list[c] {
		lines = append(lines, strings.TrimSpace(fmt.Sprint(t.What, " ", t.Who, " ", t.About, " ", t.Why)))
	}
	return lines
}
