package app

import (
	"context"
	"fmt"
	"time"

	"relais/engine"
	"relais/storage"
	"relais/storage/seal"
)

type keyCommand struct {
	New    keyNew    `cmd:"" help:"Print a new keyset, or one with a new key before those of another, for a variable of the environment."`
	Reseal keyReseal `cmd:"" help:"Seal everything with the newest key of the keyset, while Relais runs."`
	Rotate keyRotate `cmd:"" help:"Make a new key, seal everything with it while Relais runs, and take the older key out of use."`
}

type keyRotate struct{ storeFlags }

// Help is printed below the flags.
func (keyRotate) Help() string {
	return `The new key is written to the key file before anything is sealed with it, and the older one stays there until nothing in the
store needs it: whatever stops this halfway, run it again. Backups taken before need the older key: the key file as it was
is kept beside, with the date in its name. Keep it as long as those backups, apart from them; then destroy it.`
}

type keyNew struct {
	From string `help:"File or env:NAME with the keyset that gets a new key; without it, the keyset is new." placeholder:"SOURCE"`
}

// Run prints the secret: nothing else goes to the output.
func (k *keyNew) Run(io *streams) (err error) {
	var text []byte
	if k.From == "" {
		text, err = seal.Generate()
	} else if text, err = seal.Text(k.From); err == nil {
		text, err = seal.Rotated(text)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(io.out, string(text))
	return err
}

type keyReseal struct{ storeFlags }

// Help is printed below the flags.
func (keyReseal) Help() string {
	return `For keys that come from a variable of the environment, which relais key rotate cannot change:

  relais key new --from env:RELAIS_KEY    a keyset with a new key; set the variable to it and restart relais serve
  relais key reseal --config relais.yaml  afterwards nothing needs the older key; backups from before do`
}

// Run seals anew.
func (k *keyReseal) Run(ctx context.Context, io *streams) error {
	var values int
	if err := k.ask(ctx, io, "key_reseal", verifyRequest{}, &values); err != nil {
		return err
	}
	fmt.Fprintf(io.out, "%s sealed anew; nothing in the store needs an older key any more.\n", count(values, "value"))
	return nil
}

func (c *control) reseal(ctx context.Context, _ verifyRequest, say func(string)) (values int, err error) {
	told := 0
	values, err = c.store.Reseal(ctx, func(n int) {
		if n-told >= sayEvery {
			told = n
			say(fmt.Sprintf("%d values sealed anew", n))
		}
	})
	if err != nil {
		return values, fmt.Errorf("seal anew (nothing is lost while the older key is there; run it again): %w", err)
	}
	left, err := c.store.Older(ctx)
	if err != nil {
		return values, err
	}
	if left > 0 {
		return values, engine.Errorf(engine.Conflict, "%d values are still sealed with an older key; run it again", left)
	}
	return values, nil
}

type rotated struct {
	Values int    `json:"values"`
	Kept   string `json:"kept"`
}

// Run rotates.
func (k *keyRotate) Run(ctx context.Context, io *streams) error {
	var done rotated
	if err := k.ask(ctx, io, "key_rotate", verifyRequest{}, &done); err != nil {
		return err
	}
	fmt.Fprintf(io.out, "A new key seals the store; %s sealed anew, and nothing needs the older key any more.\n", count(done.Values, "value"))
	fmt.Fprintf(io.out, "Backups from before need %s. Put a copy of the new key file away, apart from the backups.\n", done.Kept)
	return nil
}

// sayEvery is after how many values progress is told.
const sayEvery = 10_000

func (c *control) rotateKey(ctx context.Context, _ verifyRequest, say func(string)) (done rotated, err error) {
	if c.keys == nil {
		return done, engine.Errorf(engine.Unavailable, "this program has no key file to rotate")
	}
	if err := c.keys.rotate(); err != nil {
		return done, err
	}
	say("a new key is in the key file")
	if done.Values, err = c.reseal(ctx, verifyRequest{}, say); err != nil {
		return done, err
	}
	if done.Kept, err = c.keys.retire(time.Now()); err != nil {
		return done, err
	}
	c.noteDown(ctx, record(storage.Shared, operator(), "key_rotated", "", ""))
	return done, nil
}
