package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"relais/actors"
	"relais/engine"
	"relais/engine/offer"
	"relais/engine/simulate"
)

type replayCommand struct {
	learningClinic

	From   string   `help:"First day of the openings to play, as 2026-03-02, in the clinic's zone; without it, from the first one that is kept." placeholder:"DAY"`
	To     string   `help:"Last day, included; without it, to the last one." placeholder:"DAY"`
	Policy []string `help:"The other policy: a name as in relais simulate, or a file with one; may be given again." placeholder:"NAME|FILE" sep:"none" required:""`
	Draws  int      `default:"40" help:"How often what is not known is drawn."`
	Seed   uint64   `default:"1" help:"Another number gives other draws."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

// Help is printed below the flags.
func (replayCommand) Help() string {
	return `Takes the openings that the store still has, with the offers, times and answers that there were, and lets the
rules of the running program decide again under another policy. What is not known, above all what people who were never
asked would have said, is drawn; the report lists it. Nothing in the store is changed, and nothing about a person is printed.

The store is locked while relais serve runs: stop it, or copy its directory and point data: of a copy of the configuration to it.

Examples:
  relais replay derma --config relais.yaml --policy waves-3-10
  relais replay derma --config relais.yaml --from 2026-03-01 --to 2026-03-31 --policy mine.yaml --json

docs/policy.md explains the columns.`
}

const (
	mostDraws        = 1000
	replayLeast      = 100 // people whom a policy may reach beyond those who were asked, at least
	replayParts      = 64  // openings in one part of the work
	replayOwn        = "its own policy"
	replayElsewhere  = "copy the store's directory and point data: of a copy of the configuration to it"
	fewestForReplays = 30
)

// Run plays and prints.
func (r *replayCommand) Run(ctx context.Context, io *streams) (err error) {
	if r.Draws < 2 || r.Draws > mostDraws {
		return &usageError{fmt.Errorf("--draws is %d; it can be from 2 to %d", r.Draws, mostDraws)}
	}
	known := simulate.Contenders()
	var others []simulate.Contender
	for _, name := range r.Policy {
		c, err := contenderNamed(name, known)
		if err != nil {
			return err
		}
		if c.Name == replayOwn || slices.ContainsFunc(others, func(o simulate.Contender) bool { return o.Name == c.Name }) {
			return &usageError{fmt.Errorf("two policies are called %q; give one of the files another name", c.Name)}
		}
		others = append(others, c)
	}
	clinic, store, err := r.open(io, replayElsewhere)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	zone, err := time.LoadLocation(clinic.Zone)
	if err != nil {
		return err
	}
	from, to, err := r.days(zone)
	if err != nil {
		return err
	}
	cells, _, err := actors.Learning(ctx, store, clinic.ID)
	if err != nil {
		return err
	}
	history, err := actors.ReadHistory(ctx, store, clinic.ID)
	if err != nil {
		return err
	}
	p := newReplay(clinic, zone, history, cells, from, to)
	if len(p.past) == 0 {
		return fmt.Errorf("%s has no opening to play between these days; %s", clinic.ID, p.available())
	}
	p.contenders = append([]simulate.Contender{{Name: replayOwn, Policy: clinic.Policy}}, others...)
	p.listOthers(history)
	if err := p.play(ctx, r.Draws, r.Seed, io.err); err != nil {
		return err
	}
	if r.JSON {
		return p.json(io.out)
	}
	return p.text(io.out)
}

// days reads --from and --to: from the start of the one to the end of the other.
func (r *replayCommand) days(zone *time.Location) (from, to time.Time, err error) {
	for _, d := range []struct {
		flag, value string
		days        int
		at          *time.Time
	}{{"--from", r.From, 0, &from}, {"--to", r.To, 1, &to}} {
		if d.value == "" {
			continue
		}
		day, err := time.ParseInLocation(time.DateOnly, d.value, zone)
		if err != nil {
			return from, to, &usageError{fmt.Errorf("%s is %q; write a day as 2026-03-02", d.flag, d.value)}
		}
		*d.at = day.AddDate(0, 0, d.days)
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, &usageError{errors.New("--to is before --from")}
	}
	return from, to, nil
}

// replay is a clinic's past on its way through other policies.
type replay struct {
	clinic      engine.Clinic
	zone        *time.Location
	first, last time.Time // openings that the store has
	kept        int
	running     int
	earlier     int
	omitted     map[simulate.Omitted]int
	past        []simulate.Past
	contenders  []simulate.Contender // the clinic's own policy first
	draws       int
	facts       simulate.Tally
	played      [][]simulate.Tally // by contender, then draw
	asked       int                // offers that were made
	silent      int                // of these, who had not answered when it was over
	unasked     int                // people who could have been asked, all openings together
}

func newReplay(clinic engine.Clinic, zone *time.Location, h actors.History, cells offer.Cells, from, to time.Time) *replay {
	p := &replay{clinic: clinic, zone: zone, kept: len(h.Openings), running: h.Running, earlier: h.Earlier, omitted: map[simulate.Omitted]int{}}
	for _, o := range h.Openings {
		at := o.State.OpenedAt
		if p.first.IsZero() {
			p.first = at
		}
		p.last = at
		if at.Before(from) || (!to.IsZero() && !at.Before(to)) {
			continue
		}
		past := simulate.Past{
			State: o.State, Ended: o.Ended, Rates: cells.Rates(clinic.Policy.Accept), Hours: clinic.Policy.Hours, Zone: zone,
		}
		if why := past.Omit(o.Held); why != simulate.Playable {
			p.omitted[why]++
			continue
		}
		p.past = append(p.past, past)
	}
	return p
}

// available says what the store has.
func (p *replay) available() string {
	if p.kept == 0 {
		return "its store has no finished opening"
	}
	return fmt.Sprintf("its store has %s from %s to %s (retention: lets older ones go)", count(p.kept, "finished opening"),
		p.first.In(p.zone).Format(time.DateOnly), p.last.In(p.zone).Format(time.DateOnly))
}

// listOthers finds out who could have been asked besides. It looks at all openings, so that caps count.
func (p *replay) listOthers(h actors.History) {
	all := make([]simulate.Past, len(h.Openings))
	for i, o := range h.Openings {
		all[i] = simulate.Past{State: o.State, Ended: o.Ended, Zone: p.zone}
	}
	list := simulate.NewList(p.clinic, p.zone, h.Entries, h.Patients, all)
	limit := replayLeast
	for _, c := range p.contenders {
		limit = max(limit, min(c.Policy.MaxAsked, simulate.MostList))
	}
	places := map[engine.PlaceID]engine.Point{}
	for _, place := range p.clinic.Places {
		places[place.ID] = place.Point
	}
	for i := range p.past {
		s := p.past[i].State
		p.past[i].Others = list.Others(s, places[s.Slot.Place], limit)
		p.unasked += len(p.past[i].Others)
		for _, o := range s.Offers {
			if o.Wave == 0 {
				continue
			}
			p.asked++
			if o.Replied.IsZero() {
				p.silent++
			}
		}
	}
}

// play spreads the openings over the machine's cores; the result does not depend on how many there are.
func (p *replay) play(ctx context.Context, draws int, seed uint64, progress io.Writer) error {
	p.draws, p.facts = draws, simulate.Facts(p.past)
	policies := make([]engine.Policy, len(p.contenders))
	for i, c := range p.contenders {
		policies[i] = c.Policy
	}
	parts := slices.Collect(slices.Chunk(p.past, replayParts))
	results := make([][][]simulate.Tally, len(parts))
	bar := newBar(len(p.past), progress)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, part := range parts {
		group.Go(func() error {
			played, err := simulate.Replay(part, policies, draws, seed+uint64(i)*0x9e3779b97f4a7c15, func() error { //nolint:gosec // not negative
				_ = bar.Add(1) // a terminal that went away is no reason to stop
				if ctx.Err() != nil {
					return errStopped
				}
				return nil
			})
			results[i] = played
			return err
		})
	}
	err := group.Wait()
	_ = bar.Finish()
	if err != nil {
		return err
	}
	p.played = results[0]
	for _, more := range results[1:] {
		for i := range more {
			for d := range more[i] {
				p.played[i][d].Merge(more[i][d])
			}
		}
	}
	return nil
}
