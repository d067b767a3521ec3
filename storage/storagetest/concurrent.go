package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"relais/storage"
)

// testCounter has everybody add one to the same record: no step may be lost or done twice.
func (p *place) testCounter() {
	t := p.t
	const callers, each = 8, 25
	k := slotKey("counter")
	var mu sync.Mutex
	won := map[uint64]int{} // version -> how many were told that they wrote it
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				for {
					rec, err := p.store.Get(ctx, k)
					if err != nil && !errors.Is(err, storage.ErrNotFound) {
						t.Errorf("Get: %v", err)
						return
					}
					err = p.store.Commit(ctx, storage.Batch{
						Puts:   []storage.Put{put(k, rec.Version, fmt.Sprint(rec.Version+1))},
						Events: []storage.Event{{Clinic: "north", Subject: "counter", Data: fmt.Append(nil, rec.Version+1)}},
					})
					if errors.Is(err, storage.ErrStale) {
						continue
					}
					if err != nil {
						t.Errorf("Commit: %v", err)
						return
					}
					mu.Lock()
					won[rec.Version+1]++
					mu.Unlock()
					// What was committed is seen by every read that starts now.
					if now, err := p.store.Get(ctx, k); err != nil || now.Version <= rec.Version {
						t.Errorf("after version %d was committed a read saw %d, %v", rec.Version+1, now.Version, err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	const total = callers * each
	wantRecord(t, p.store, k, total, fmt.Sprint(total))
	for v := uint64(1); v <= total; v++ {
		if won[v] != 1 {
			t.Errorf("version %d was written %d times", v, won[v])
		}
	}
	for i, e := range timeline(t, p.store, "north", "counter", 0, 10_000) {
		if e.Seq != uint64(i+1) || string(e.Data) != fmt.Sprint(i+1) {
			t.Fatalf("event %d says %s at place %d", e.Seq, e.Data, i+1)
		}
	}
}

// testGroupMembers commits good and stale batches at once: each stale one fails alone.
func (p *place) testGroupMembers() {
	t := p.t
	const callers = 64
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(slotKey("taken"), 0, "x")}})
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-start
			id := fmt.Sprintf("%02d", i)
			b := storage.Batch{
				Puts:    []storage.Put{put(slotKey(id), 0, id)},
				Events:  []storage.Event{{Clinic: "north", Subject: id}},
				Effects: []storage.Effect{{Clinic: "north", ID: id}},
			}
			stale := i%3 == 0
			if stale {
				b.Puts = append(b.Puts, put(slotKey("taken"), 0, id))
			}
			err := p.store.Commit(ctx, b)
			if stale && !errors.Is(err, storage.ErrStale) || !stale && err != nil {
				t.Errorf("batch %d: %v, want stale %v", i, err, stale)
			}
		})
	}
	close(start)
	wg.Wait()
	good := 0
	for i := range callers {
		id := fmt.Sprintf("%02d", i)
		events := len(timeline(t, p.store, "north", id, 0, 10))
		if i%3 == 0 {
			wantRecord(t, p.store, slotKey(id), 0, "")
			if events != 0 {
				t.Errorf("stale batch %d left an event", i)
			}
			continue
		}
		good++
		wantRecord(t, p.store, slotKey(id), 1, id)
		if events != 1 {
			t.Errorf("batch %d has %d events, want 1", i, events)
		}
	}
	if got := len(outbox(t, p.store, "north", "", 100)); got != good {
		t.Errorf("outbox has %d effects, want %d", got, good)
	}
}

// testOneWinner races patients for slots, two records a claim: one wins each, and both records
// of a claim move together.
func (p *place) testOneWinner() {
	t := p.t
	const slots, callers = 20, 8
	entry := func(i int) storage.Key {
		return storage.Key{Clinic: "north", Kind: storage.KindEntry, ID: fmt.Sprintf("%03d", i)}
	}
	for s := range slots {
		var winners atomic.Int64
		var winner atomic.Int64
		var wg sync.WaitGroup
		start := make(chan struct{})
		for c := range callers {
			wg.Go(func() {
				<-start
				me := s*callers + c
				err := p.store.Commit(ctx, storage.Batch{Puts: []storage.Put{
					put(entry(me), 0, "claimed"),
					put(slotKey(fmt.Sprint(s)), 0, fmt.Sprint(me)),
				}})
				switch {
				case err == nil:
					winners.Add(1)
					winner.Store(int64(me))
				case !errors.Is(err, storage.ErrStale):
					t.Errorf("Commit: %v", err)
				}
			})
		}
		close(start)
		wg.Wait()
		if winners.Load() != 1 {
			t.Fatalf("slot %d has %d winners", s, winners.Load())
		}
		wantRecord(t, p.store, slotKey(fmt.Sprint(s)), 1, fmt.Sprint(winner.Load()))
	}
	if got := len(scan(t, p.store, "north", storage.KindEntry, "", 1000)); got != slots {
		t.Errorf("%d entries claimed, want %d", got, slots)
	}
}

// testTimelineGapless numbers events from many callers, some of whose batches are refused.
func (p *place) testTimelineGapless() {
	t := p.t
	const callers, each = 16, 20
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(slotKey("taken"), 0, "x")}})
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				data := fmt.Appendf(nil, "%d/%d", c, i)
				b := storage.Batch{Events: []storage.Event{
					{Clinic: "north", Subject: fmt.Sprint(c), Data: data},
					{Clinic: "north", Subject: "all", Data: data},
				}}
				if i%4 == 3 {
					b.Puts = []storage.Put{put(slotKey("taken"), 0, "y")}
				}
				if err := p.store.Commit(ctx, b); (err != nil) != (i%4 == 3) {
					t.Errorf("Commit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	events := timeline(t, p.store, "north", "", 0, 10_000)
	if want := callers * each * 3 / 4 * 2; len(events) != want {
		t.Errorf("%d events, want %d", len(events), want)
	}
	for i, e := range events {
		if e.Seq != uint64(i+1) {
			t.Fatalf("event %d has number %d: a gap", i+1, e.Seq)
		}
		// Events of one batch are neighbours.
		if i%2 == 1 && string(e.Data) != string(events[i-1].Data) {
			t.Fatalf("events %d and %d are of different batches", i, i+1)
		}
	}
	for c := range callers {
		last := -1
		for _, e := range timeline(t, p.store, "north", fmt.Sprint(c), 0, 100) {
			var who, n int
			if _, err := fmt.Sscanf(string(e.Data), "%d/%d", &who, &n); err != nil || who != c || n <= last {
				t.Fatalf("caller %d: event %q after %d", c, e.Data, last)
			}
			last = n
		}
	}
}

func (p *place) testContext() {
	t := p.t
	gone, cancel := context.WithCancel(ctx)
	cancel()
	err := p.store.Commit(gone, storage.Batch{Puts: []storage.Put{put(slotKey("a"), 0, "a")}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v, want context.Canceled", err)
	}
	wantRecord(t, p.store, slotKey("a"), 0, "")
	if _, err := p.store.Get(gone, slotKey("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v, want context.Canceled", err)
	}
	if _, err := p.store.Scan(gone, "north", storage.KindSlot, "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan: %v, want context.Canceled", err)
	}
	if _, err := p.store.Timeline(gone, "north", "", 0, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Timeline: %v, want context.Canceled", err)
	}
	if _, err := p.store.Outbox(gone, "north", "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Outbox: %v, want context.Canceled", err)
	}

	// Whoever gives up while many commit is told the truth: an error that is the context's means
	// that nothing was or will be written.
	outcomes := make([]error, 50)
	raceKey := func(i int) storage.Key { return slotKey(fmt.Sprint("race", i)) }
	var wg sync.WaitGroup
	for i := range outcomes {
		c, cancel := context.WithCancel(ctx)
		wg.Go(cancel)
		wg.Go(func() {
			outcomes[i] = p.store.Commit(c, storage.Batch{Puts: []storage.Put{put(raceKey(i), 0, "x")}})
		})
	}
	wg.Wait()
	for i, err := range outcomes {
		switch {
		case err == nil:
			wantRecord(t, p.store, raceKey(i), 1, "x")
		case errors.Is(err, context.Canceled):
			commit(t, p.store, storage.Batch{Puts: []storage.Put{put(raceKey(i), 0, "y")}})
		default:
			t.Errorf("Commit: %v", err)
		}
	}
}

func (p *place) testClose() {
	t := p.t
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(slotKey("a"), 0, "a")}})
	if err := p.store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := p.store.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	refuse(t, p.store, storage.Batch{Puts: []storage.Put{put(slotKey("b"), 0, "b")}}, storage.ErrClosed)
	refuse(t, p.store, storage.Batch{}, storage.ErrClosed)
	if _, err := p.store.Get(ctx, slotKey("a")); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Get: %v, want ErrClosed", err)
	}
	if _, err := p.store.Scan(ctx, "north", storage.KindSlot, "", 1); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Scan: %v, want ErrClosed", err)
	}
	if _, err := p.store.Timeline(ctx, "north", "", 0, 1); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Timeline: %v, want ErrClosed", err)
	}
	if _, err := p.store.Outbox(ctx, "north", "", 1); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Outbox: %v, want ErrClosed", err)
	}
}

// testCloseDrains closes amid commits: each is either whole and kept, or refused with ErrClosed.
func (p *place) testCloseDrains() {
	t := p.t
	const callers = 32
	var kept sync.Map
	var wg sync.WaitGroup
	first := make(chan struct{}, callers)
	for c := range callers {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", c, i)
				err := p.store.Commit(ctx, storage.Batch{Puts: []storage.Put{put(slotKey(id), 0, id)}})
				if errors.Is(err, storage.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("Commit: %v", err)
					return
				}
				kept.Store(id, true)
				if i == 0 {
					first <- struct{}{}
				}
			}
		})
	}
	<-first
	if err := p.store.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	p.reopen()
	n := 0
	kept.Range(func(id, _ any) bool {
		wantRecord(t, p.store, slotKey(id.(string)), 1, id.(string))
		n++
		return true
	})
	got := 0
	for after := ""; ; {
		page := scan(t, p.store, "north", storage.KindSlot, after, 1000)
		if len(page) == 0 {
			break
		}
		got += len(page)
		after = page[len(page)-1].Key.ID
	}
	if got != n {
		t.Errorf("%d records, %d acknowledged", got, n)
	}
}
