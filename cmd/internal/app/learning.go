package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
)

type learningCommand struct {
	Show  learningShow  `cmd:"" help:"Show how often the offers of a clinic are accepted, as its adaptive strategy believes."`
	Reset learningReset `cmd:"" help:"Forget it: the clinic starts again from its policy's accept, or from 10 %."`
}

// learningClinic names a clinic of a configuration whose store no other program has open.
type learningClinic struct {
	Clinic string `arg:"" help:"Identifier of the clinic, as in the configuration."`
	Config string `help:"Configuration file; also RELAIS_CONFIG." placeholder:"FILE"`
}

const learnedElsewhere = "look at relais_learned_acceptance in its /metrics"

type learningShow struct{ learningClinic }

type learningReset struct{ learningClinic }

// open opens the store of the configuration. The caller closes it. otherwise is what to do when another
// program has it open.
func (l *learningClinic) open(io *streams, otherwise string) (clinic engine.Clinic, store *bolt.Store, err error) {
	path := l.Config
	if path == "" {
		path = io.env["RELAIS_CONFIG"]
	}
	if path == "" {
		return clinic, nil, &usageError{errors.New("this needs --config FILE, the one that relais serve runs with")}
	}
	cfg, err := LoadConfig(path, io.env, nil)
	if err != nil {
		return clinic, nil, err
	}
	i := slices.IndexFunc(cfg.Clinics, func(c ClinicConfig) bool { return c.ID == l.Clinic })
	if i < 0 {
		return clinic, nil, &usageError{fmt.Errorf("there is no clinic %q in %s", l.Clinic, path)}
	}
	clinic = cfg.Clinics[i].Clinic()
	if !bolt.Exists(cfg.Data) {
		return clinic, nil, fmt.Errorf("there is no store in %s", cfg.Data)
	}
	sealer, err := seal.Open(cfg.KeyFile)
	if err != nil {
		return clinic, nil, err
	}
	store, err = bolt.Open(cfg.Data, bolt.Options{Sealer: sealer})
	if errors.Is(err, bolt.ErrLocked) {
		err = fmt.Errorf("relais serve has the store in %s open; stop it first, or %s", cfg.Data, otherwise)
	}
	return clinic, store, err
}

// Run prints what the clinic learned.
func (l *learningShow) Run(ctx context.Context, io *streams) (err error) {
	clinic, store, err := l.open(io, learnedElsewhere)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	cells, _, err := actors.Learning(ctx, store, clinic.ID)
	if err != nil {
		return err
	}
	if cells.Openings == 0 {
		fmt.Fprintf(io.out, "%s has learned nothing yet.\n", clinic.ID)
	} else {
		fmt.Fprintf(io.out, "%s learned from %s, the last one on %s.\n", clinic.ID, count(cells.Openings, "opening"), cells.At.Format(time.DateOnly))
	}
	fmt.Fprintf(io.out, "%-8s %-8s %10s %8s %8s\n", "lead", "channel", "accepted", "yeses", "offers")
	for _, c := range cells.Show(clinic.Policy.Accept) {
		fmt.Fprintf(io.out, "%-8s %-8s %8.1f %% %8.1f %8.1f\n", c.Lead, c.Channel, 100*c.Accept, c.Yes, c.Exposure)
	}
	return nil
}

// Run makes the clinic forget.
func (l *learningReset) Run(ctx context.Context, io *streams) (err error) {
	clinic, store, err := l.open(io, learnedElsewhere)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	cells, version, err := actors.Learning(ctx, store, clinic.ID)
	if err != nil {
		return err
	}
	if version > 0 {
		put := storage.Put{Key: actors.LearningKey(clinic.ID), Expect: version, Delete: true}
		if err := store.Commit(ctx, storage.Batch{Puts: []storage.Put{put}}); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(io.out, "%s forgot what it learned from %s.\n", clinic.ID, count(cells.Openings, "opening"))
	return err
}
