package actors

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/health"
)

// startApart is the time between the first looks of two clinics, on average: a thousand of them at once
// would need the memory and the processor for all of their schedules together.
const startApart = 10 * time.Millisecond

// look looks at the record system, whole or only at what changed.
func (a *dmeActor) look(c *system.Context) {
	if !a.ready || a.looking {
		return
	}
	a.looking, a.again = true, false
	a.looks++
	n, now := a.looks, time.Now()
	a.began = now
	h := a.sync.Health
	full := a.full || a.cursor == "" || h.Status != health.Healthy || now.Sub(h.LastFull) >= a.fullAfter
	if full { // many clinics that began together must not read everything together
		a.fullAfter = fullEvery - rand.N(fullEvery/2) //nolint:gosec // spreads looks, guards nothing
	}
	if a.resume && a.full { // quick, and shows what was freed meanwhile; the complete look follows at once
		full, a.resume, a.again = false, false, true
	} else {
		a.full = false
	}
	cursor, dme := a.cursor, a.c.dme
	from, until := a.window(now)
	pool := a.r.looks
	if full && h.Failures == 0 { // those that fail mostly wait, and must not hold up the others
		pool = a.r.wholes
	}
	system.PipeOn(pool, c, context.Background(), func(ctx context.Context) (engine.Observation, error) {
		ctx, cancel := context.WithTimeout(ctx, lookWithin) // from its turn on: its wait here is not the record system's
		defer cancel()
		if full {
			return dme.Snapshot(ctx, from, until)
		}
		return dme.Changes(ctx, cursor)
	}, func(obs engine.Observation, err error) any { return looked{n, obs, full, err} })
}

// resumeWithin is how old a cursor may be that was kept when the process ended.
const resumeWithin = time.Hour

// lookWithin bounds one look; a record system that needs longer cannot be followed.
const lookWithin = 30 * time.Second

// window is what is mirrored: the clinic's whole day, to the horizon of its policy.
func (a *dmeActor) window(now time.Time) (from, until time.Time) {
	local := now.In(a.c.zone)
	from = time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, a.c.zone)
	return from.UTC(), now.Add(a.c.Policy.Horizon).UTC()
}

func (a *dmeActor) nudged(c *system.Context) {
	switch {
	case a.looking:
		a.again = true
	case time.Now().Before(a.sync.Health.RetryAt): // a hint does not outrank a record system that asked us to wait
	default:
		a.look(c)
	}
}

// restFor is how many times as long as the last look for changes took the next one waits at least: a record
// system that is slow because of too many looks is not asked for more of them. It waits no longer than lets a
// change that just missed a look be seen by the end of the next within seenWithin. While so many looks run at
// once that this process itself is what is slow, that cannot be held, and the rest is restMost at most, well
// below the time after which nobody trusts what was not looked at.
const (
	restFor    = 4
	seenWithin = 4500 * time.Millisecond
	restMost   = health.MaxStale / 6
	crowdOf    = 3 // a look of every third clinic at once
)

func rest(took time.Duration, crowded bool) time.Duration {
	if crowded {
		return min(restFor*took, restMost)
	}
	return min(restFor*took, seenWithin-2*took)
}

func (a *dmeActor) crowded() bool { return a.r.looks.Running() > max(8, a.r.hall.len()/crowdOf) }

// poll is the longest time between two looks that work.
func (a *dmeActor) poll() time.Duration { return cmp.Or(a.c.poll, defaultPoll) }

// spread draws a time of at most d, so that the looks of many clinics that began together drift apart.
func spread(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:gosec // spreads looks, guards nothing
}

// schedule arms the next look.
func (a *dmeActor) schedule(c *system.Context) {
	a.looking = false
	if a.cancel != nil {
		a.cancel()
	}
	after := max(spread(a.poll()), rest(a.took, a.crowded()))
	if wait := time.Until(a.sync.Health.RetryAt); wait > after || (wait > 0 && a.sync.Health.Failures > 0) {
		after = wait
	} else if a.again {
		after = 0
	}
	a.cancel = c.After(after, lookNow{})
}

func (a *dmeActor) looked(c *system.Context, m looked) {
	if !a.ready || m.n != a.looks {
		return
	}
	if !m.full {
		a.took = time.Since(a.began)
	}
	if m.err != nil {
		a.full = a.full || m.full
		a.judge(c, bad(m.err))
		a.schedule(c)
		return
	}
	a.apply(c, a.mirror.Apply(m.obs, time.Now()), m.obs, m.full)
}

func bad(err error) health.Input {
	in := health.Bad{Fault: engine.DMEUnreachable, Detail: "The record system does not answer.", Jitter: rand.Float64()} //nolint:gosec // spreads retries, guards nothing
	if f, ok := errors.AsType[*engine.DMEFailure](err); ok {
		in.Fault, in.Detail, in.Wait = f.Fault, f.Detail, f.Wait
	}
	return in
}

// readAgain looks at one slot that contradicts itself.
func (a *dmeActor) readAgain(c *system.Context, source string) {
	dme := a.c.dme
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	system.PipeOn(a.r.looks, c, ctx, func(ctx context.Context) (engine.Observation, error) {
		return dme.Read(ctx, source)
	}, func(obs engine.Observation, err error) any {
		cancel()
		return reread{source, obs, err}
	})
}

func (a *dmeActor) reread(c *system.Context, m reread) {
	if !a.ready {
		return // a complete look follows
	}
	if m.err != nil {
		a.full = true // the next look takes everything in again
		a.judge(c, bad(m.err))
		return
	}
	if a.looking { // one observation at a time: its commit is under way
		c.After(50*time.Millisecond, m)
		return
	}
	a.looking = true
	a.apply(c, a.mirror.ApplyRead(m.slot, m.obs, time.Now()), engine.Observation{}, false)
}
