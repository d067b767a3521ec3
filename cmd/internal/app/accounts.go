package app

import (
	"context"
	"encoding/json"
	"errors"

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

// Account implements web.Accounts.
func (a accounts) Account(ctx context.Context, id engine.UserID) (acc web.Account, err error) {
	err = a.get(ctx, sharedKey(storage.KindAccount, string(id)), &acc)
	return acc, err
}

// PutAccount implements web.Accounts.
func (a accounts) PutAccount(ctx context.Context, acc web.Account) error {
	return a.put(ctx, sharedKey(storage.KindAccount, string(acc.ID)), acc)
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
	k := sharedKey(storage.KindSession, key)
	rec, err := a.store.Get(ctx, k)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return storeError(err)
	}
	err = a.store.Commit(ctx, storage.Batch{Puts: []storage.Put{{Key: k, Expect: rec.Version, Delete: true}}})
	if errors.Is(err, storage.ErrStale) { // used or dropped at this moment: once more
		return a.DropSession(ctx, key)
	}
	return storeError(err)
}
