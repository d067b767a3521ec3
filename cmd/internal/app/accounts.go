package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"relais/engine"
	"relais/storage"
	"relais/transport/web"
)

// accounts keeps the front desk's accounts and sessions in the store.
type accounts struct{ store storage.Store }

func sharedKey(k storage.Kind, id string) storage.Key {
	return storage.Key{Clinic: storage.Shared, Kind: k, ID: id}
}

func (a accounts) get(ctx context.Context, k storage.Key, into any) error {
	rec, err := a.store.Get(ctx, k)
	if errors.Is(err, storage.ErrNotFound) {
		return engine.Errorf(engine.NotFound, "there is no such record")
	}
	if err != nil {
		return storeError(err)
	}
	return json.Unmarshal(rec.Data, into)
}

// put writes whatever stands there; the last one wins.
func (a accounts) put(ctx context.Context, k storage.Key, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	for {
		rec, err := a.store.Get(ctx, k)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return storeError(err)
		}
		err = a.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: k, Expect: rec.Version, Data: data}}})
		if !errors.Is(err, storage.ErrStale) {
			return storeError(err)
		}
	}
}

func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrFull):
		return &engine.Error{Code: engine.StorageFull, Message: "there is no space left to keep this", Err: err}
	}
	return &engine.Error{Code: engine.Unavailable, Message: "the store does not answer", Err: err}
}

// take removes a record and returns what it was.
func (a accounts) take(ctx context.Context, k storage.Key, into any) error {
	rec, err := a.store.Get(ctx, k)
	if err == nil {
		err = a.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: k, Expect: rec.Version, Delete: true}}})
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return engine.Errorf(engine.NotFound, "there is no such record")
	case errors.Is(err, storage.ErrStale): // used or taken at this moment: once more
		return a.take(ctx, k, into)
	case err != nil:
		return storeError(err)
	}
	return json.Unmarshal(rec.Data, into)
}

// all lists the records of a kind whose identifiers start with prefix.
func all[T any](ctx context.Context, store storage.Store, k storage.Kind, prefix string) (list []T, err error) {
	for after := prefix; ; {
		page, err := store.Scan(ctx, storage.Shared, k, after, accountsPage)
		if err != nil {
			return nil, storeError(err)
		}
		for _, rec := range page {
			if !strings.HasPrefix(rec.Key.ID, prefix) {
				return list, nil
			}
			after = rec.Key.ID
			var v T
			if err := json.Unmarshal(rec.Data, &v); err != nil {
				return nil, fmt.Errorf("a record of kind %s: %w", k, err)
			}
			list = append(list, v)
		}
		if len(page) < accountsPage {
			return list, nil
		}
	}
}

const accountsPage = 1000

// Account implements web.Accounts.
func (a accounts) Account(ctx context.Context, id engine.UserID) (acc web.Account, err error) {
	err = a.get(ctx, sharedKey(storage.KindAccount, string(id)), &acc)
	return acc, err
}

// PutAccount implements web.Accounts.
func (a accounts) PutAccount(ctx context.Context, acc web.Account) error {
	return a.put(ctx, sharedKey(storage.KindAccount, string(acc.ID)), acc)
}

// Accounts implements web.Accounts.
func (a accounts) Accounts(ctx context.Context) ([]web.Account, error) {
	return all[web.Account](ctx, a.store, storage.KindAccount, "")
}

// AddAccount implements web.Accounts.
func (a accounts) AddAccount(ctx context.Context, acc web.Account) error {
	data, err := json.Marshal(acc)
	if err != nil {
		return err
	}
	err = a.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: sharedKey(storage.KindAccount, string(acc.ID)), Data: data}}})
	if errors.Is(err, storage.ErrStale) {
		return engine.Errorf(engine.Conflict, "there is an account of that name")
	}
	return storeError(err)
}

// ChangeAccount implements web.Accounts.
func (a accounts) ChangeAccount(ctx context.Context, id engine.UserID, change func(*web.Account) error) (web.Account, error) {
	k := sharedKey(storage.KindAccount, string(id))
	for {
		var acc web.Account
		rec, err := a.store.Get(ctx, k)
		if errors.Is(err, storage.ErrNotFound) {
			return acc, engine.Errorf(engine.NotFound, "there is no such account")
		}
		if err != nil {
			return acc, storeError(err)
		}
		if err := json.Unmarshal(rec.Data, &acc); err != nil {
			return acc, err
		}
		if err := change(&acc); err != nil {
			return acc, err
		}
		data, err := json.Marshal(acc)
		if err != nil {
			return acc, err
		}
		err = a.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: k, Expect: rec.Version, Data: data}}})
		if !errors.Is(err, storage.ErrStale) {
			return acc, storeError(err)
		}
	}
}

// DropAccount implements web.Accounts.
func (a accounts) DropAccount(ctx context.Context, id engine.UserID) error {
	var was web.Account
	return a.take(ctx, sharedKey(storage.KindAccount, string(id)), &was)
}

// Sessions implements web.Accounts.
func (a accounts) Sessions(ctx context.Context) ([]web.Session, error) {
	return all[web.Session](ctx, a.store, storage.KindSession, "")
}

// Pass implements web.Accounts.
func (a accounts) Pass(ctx context.Context, key string) (p web.Pass, err error) {
	err = a.get(ctx, sharedKey(storage.KindPass, key), &p)
	return p, err
}

// Passes implements web.Accounts.
func (a accounts) Passes(ctx context.Context, prefix string) ([]web.Pass, error) {
	return all[web.Pass](ctx, a.store, storage.KindPass, prefix)
}

// PutPass implements web.Accounts.
func (a accounts) PutPass(ctx context.Context, p web.Pass) error {
	return a.put(ctx, sharedKey(storage.KindPass, p.Key), p)
}

// TakePass implements web.Accounts.
func (a accounts) TakePass(ctx context.Context, key string) (p web.Pass, err error) {
	err = a.take(ctx, sharedKey(storage.KindPass, key), &p)
	return p, err
}

// Session implements web.Accounts.
func (a accounts) Session(ctx context.Context, key string) (s web.Session, err error) {
	err = a.get(ctx, sharedKey(storage.KindSession, key), &s)
	return s, err
}

// PutSession implements web.Accounts.
func (a accounts) PutSession(ctx context.Context, s web.Session) error {
	return a.put(ctx, sharedKey(storage.KindSession, s.Key), s)
}

// DropSession implements web.Accounts.
func (a accounts) DropSession(ctx context.Context, key string) error {
	var was web.Session
	err := a.take(ctx, sharedKey(storage.KindSession, key), &was)
	if err == nil || engine.CodeOf(err) == engine.NotFound {
		return nil
	}
	return err
}
