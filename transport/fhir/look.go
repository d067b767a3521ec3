package fhir

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"relais/engine"
)

// firstReach is how far a look for changes without a cursor goes back.
const firstReach = time.Hour

// Changes returns the slots and appointments that were written since the look that gave cursor.
// What is near the border comes again. With an empty cursor it goes back an hour; a Snapshot gives
// the proper start.
//
// It returns a Snapshot instead when a notification was lost, and always when the record system
// cannot be asked for what changed.
func (c *Client) Changes(ctx context.Context, cursor string) (engine.Observation, error) {
	if obs, done, err := c.whole(ctx); done {
		return obs, err
	}
	from := c.cfg.Now().Add(-firstReach)
	var since time.Time
	if cursor != "" {
		t, err := time.Parse(time.RFC3339Nano, cursor)
		if err != nil {
			return engine.Observation{}, failure(engine.DMERejected, "The place where the last look ended cannot be read.")
		}
		since, from = t, t.Add(-c.cfg.Overlap)
	}
	q := func() url.Values {
		return url.Values{"_lastUpdated": {"ge" + stamp(from)}, "_sort": {"_lastUpdated"}}
	}
	slots, appts, err := c.both(ctx, q(), q())
	if err != nil {
		return engine.Observation{}, err
	}
	if err := c.notEmptied(ctx, slots, appts); err != nil {
		return engine.Observation{}, err
	}
	obs, err := c.observe(ctx, slots, appts)
	if err != nil {
		return engine.Observation{}, err
	}
	if err := c.deletions(ctx, from, &obs); err != nil {
		return engine.Observation{}, err
	}
	c.mu.Lock()
	c.furthest = furthest(c.furthest, obs.Slots)
	c.mu.Unlock()
	if cursor == "" {
		since = from
	}
	if mark := c.watermark(slots, appts); mark.After(since) {
		since = mark
	}
	c.mu.Lock()
	c.promised = since.Add(-c.cfg.Overlap)
	c.mu.Unlock()
	obs.Cursor = since.UTC().Format(time.RFC3339Nano)
	return obs, nil
}

// whole makes the look at everything that takes the place of one at the changes; done is false when
// the changes are enough.
func (c *Client) whole(ctx context.Context) (obs engine.Observation, done bool, err error) {
	can, err := c.can(ctx)
	if err != nil {
		return obs, true, err
	}
	c.mu.Lock()
	w, missed := c.window, c.missed
	c.mu.Unlock()
	if can.changes && !missed || w.until.IsZero() {
		return obs, false, nil
	}
	obs, err = c.Snapshot(ctx, w.from, w.until)
	return obs, true, err
}

// emptyEvery is how often a record system that shows no changes is asked whether it still shows anything.
const emptyEvery = 5 * time.Second

// notEmptied is asked where a look for changes found nothing: that is what a quiet clinic shows, and one that
// has lost its schedule. One with slots ahead is asked for any of them now and then.
func (c *Client) notEmptied(ctx context.Context, slots, appts found) error {
	now := c.cfg.Now()
	c.mu.Lock()
	if len(slots.list)+len(appts.list) > 0 {
		c.shown = now
	}
	ask := c.furthest.After(now) && now.Sub(c.shown) >= emptyEvery
	c.mu.Unlock()
	if !ask {
		return nil
	}
	answer, err := c.do(ctx, call{method: http.MethodGet, path: "Slot", query: url.Values{
		"start": {"ge" + stamp(now)}, "_count": {"1"},
	}})
	if err != nil {
		return looked(err)
	}
	if answer.status >= 300 {
		return failure(engine.DMEMalformed, "The record system does not know Slot (%d); is the base URL right?", answer.status)
	}
	b, err := readBundle(answer.body, "searchset")
	if err != nil {
		return looked(err)
	}
	if len(b.Entry) == 0 {
		return failure(engine.DMEMalformed, "The record system shows nothing of what it showed before.")
	}
	c.mu.Lock()
	c.shown = now
	c.mu.Unlock()
	return nil
}

// furthest is the start of the last slot.
func furthest(last time.Time, slots []engine.SlotFact) time.Time {
	for _, s := range slots {
		if s.Start.After(last) {
			last = s.Start
		}
	}
	return last
}

// Snapshot returns every slot and appointment that starts in [from, until). It fails unless every
// page came.
func (c *Client) Snapshot(ctx context.Context, from, until time.Time) (engine.Observation, error) {
	window := func(param string) url.Values {
		return url.Values{param: {"ge" + stamp(from), "lt" + stamp(until)}}
	}
	if _, err := c.can(ctx); err != nil {
		return engine.Observation{}, err
	}
	c.mu.Lock()
	missed := c.missed
	c.missed, c.window = false, span{from, until}
	c.mu.Unlock()
	obs, err := c.snapshot(ctx, from, until, window)
	if err != nil && missed {
		c.Missed()
	}
	return obs, err
}

// Missed says that a notification was lost: the next look is at everything.
func (c *Client) Missed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missed = true
}

func (c *Client) snapshot(ctx context.Context, from, until time.Time, window func(string) url.Values) (engine.Observation, error) {
	if err := c.loadSchedules(ctx); err != nil {
		return engine.Observation{}, err
	}
	slots, appts, err := c.both(ctx, window("start"), window("date"))
	if err != nil {
		return engine.Observation{}, err
	}
	obs, err := c.observe(ctx, slots, appts)
	if err != nil {
		return engine.Observation{}, err
	}
	c.mu.Lock()
	c.furthest = furthest(time.Time{}, obs.Slots)
	c.mu.Unlock()
	mark := c.watermark(slots, appts)
	if mark.IsZero() {
		mark = c.cfg.Now().Add(-firstReach)
	}
	obs.Complete, obs.From, obs.Until = true, from, until
	obs.Cursor = mark.UTC().Format(time.RFC3339Nano)
	return obs, nil
}

// Read returns one slot and all of its appointments. A slot that is not there is gone.
func (c *Client) Read(ctx context.Context, slotSource string) (engine.Observation, error) {
	slot, there, err := c.read(ctx, slotSource)
	if err != nil {
		return engine.Observation{}, looked(err)
	}
	appts, err := c.search(ctx, "Appointment", url.Values{"slot": {slotSource}})
	if err != nil {
		return engine.Observation{}, looked(err)
	}
	slots := found{skew: appts.skew}
	if there {
		slots.list = []resource{slot}
	}
	obs, err := c.observe(ctx, slots, appts)
	if err != nil {
		return engine.Observation{}, err
	}
	if !there {
		obs.Slots = []engine.SlotFact{{Source: slotSource, Status: engine.SlotGone}}
	}
	return obs, nil
}

// both looks at slots first: a booking writes both at once, so an appointment that belongs to a
// slot seen busy is there when the appointments are looked at.
func (c *Client) both(ctx context.Context, ofSlots, ofAppts url.Values) (slots, appts found, err error) {
	if slots, err = c.search(ctx, "Slot", ofSlots); err != nil {
		return slots, appts, looked(err)
	}
	appts, err = c.search(ctx, "Appointment", ofAppts)
	return slots, appts, looked(err)
}

// settled is how much later than its stamp a change may show, or a server's Date be.
const settled = time.Minute

// watermark is up to where everything was seen, by the clock that stamps the resources. The Date
// of the first answer holds it back: what was written after that may have been missed. It also
// carries it on, so that a clinic in which nothing happens is not read again for what it last wrote;
// not on a server whose stamps were seen to lag more than settled behind its Date.
func (c *Client) watermark(slots, appts found) time.Time {
	mark := slots.newest
	if slots.date.IsZero() {
		return mark // only what came first is sure to have been seen in whole
	}
	if appts.newest.After(mark) {
		mark = appts.newest
	}
	if slots.date.Before(mark) {
		mark = slots.date
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := slots.date.Add(-settled); !c.late && old.After(mark) {
		mark = old
	}
	return mark
}

// observe reduces resources to facts.
func (c *Client) observe(ctx context.Context, slots, appts found) (engine.Observation, error) {
	var err error
	for _, f := range []*found{&slots, &appts} {
		if f.list, err = c.refresh(ctx, f.list); err != nil {
			return engine.Observation{}, looked(err)
		}
	}
	schedules, err := c.schedulesOf(ctx, slots.list)
	if err != nil {
		return engine.Observation{}, err
	}
	obs := engine.Observation{Skew: slots.skew}
	if slots.skew == 0 {
		obs.Skew = appts.skew
	}
	for _, r := range slots.list {
		if c.cfg.Location != "" {
			if _, ours := schedules[c.scheduleOf(r)]; !ours {
				continue
			}
		}
		f, err := c.slotFact(r, schedules)
		if err != nil {
			return engine.Observation{}, err
		}
		if f.Start.IsZero() {
			c.cfg.Log.Warn("fhir: a slot has no usable start and end", "clinic", c.cfg.Clinic, "slot", f.Source)
		}
		obs.Slots = append(obs.Slots, f)
	}
	for _, r := range appts.list {
		f, err := c.appointmentFact(r)
		if err != nil {
			return engine.Observation{}, err
		}
		obs.Appointments = append(obs.Appointments, f)
	}
	return obs, nil
}

// read gets one resource by its source reference; there is false when the server does not have it.
// An answer that is older than one seen before is asked for again.
func (c *Client) read(ctx context.Context, source string) (r resource, there bool, err error) {
	if !isSource(source) {
		return resource{}, false, failure(engine.DMERejected, "The reference to a resource of the record system cannot be used.")
	}
	for n := 0; ; n++ {
		answer, err := c.do(ctx, call{method: http.MethodGet, path: source})
		if err != nil || answer.status >= 300 {
			return resource{}, false, err
		}
		if r, err = readResource(answer.body); err != nil {
			return resource{}, false, err
		}
		if r.source() != source {
			return resource{}, false, failure(engine.DMEMalformed, "The record system answered with another resource than was asked for.")
		}
		if !c.note(source, r.Meta.LastUpdated) {
			return r, true, nil
		}
		if !pause(ctx, n) {
			return resource{}, false, lagging()
		}
	}
}

// refresh reads again what a list shows in an older state than was seen before: it comes from a
// copy that lags, or was written while the list was being sent.
func (c *Client) refresh(ctx context.Context, list []resource) ([]resource, error) {
	var fresh []resource
	for _, r := range list {
		if c.note(r.source(), r.Meta.LastUpdated) {
			var there bool
			var err error
			if r, there, err = c.read(ctx, r.source()); err != nil {
				return nil, err
			} else if !there {
				continue
			}
		}
		fresh = append(fresh, r)
	}
	return fresh, nil
}

func lagging() *engine.DMEFailure {
	return failure(engine.DMEError, "The record system shows an older state than it showed before.")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
