// Package storagetest proves that a store keeps the promises of package storage. A store's test
// is one call of Run.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"relais/engine"
	"relais/storage"
)

// Fresh makes a new, empty place for a store and returns a function that opens the store there.
// Opening again after Close gives the same data. Cleaning up is Fresh's business, closing what
// it opened is the suite's.
type Fresh func(t *testing.T) (open func() (storage.Store, error))

// Run runs the whole suite; each test has a place of its own.
func Run(t *testing.T, fresh Fresh) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*place)
	}{
		{"Versions", (*place).testVersions},
		{"Atomic", (*place).testAtomic},
		{"Deletion", (*place).testDeletion},
		{"Counter", (*place).testCounter},
		{"GroupMembers", (*place).testGroupMembers},
		{"OneWinner", (*place).testOneWinner},
		{"Timeline", (*place).testTimeline},
		{"TimelineGapless", (*place).testTimelineGapless},
		{"TimelinePaging", (*place).testTimelinePaging},
		{"Outbox", (*place).testOutbox},
		{"ScanPaging", (*place).testScanPaging},
		{"Prefixes", (*place).testPrefixes},
		{"AnyBytes", (*place).testAnyBytes},
		{"Kinds", (*place).testKinds},
		{"Limits", (*place).testLimits},
		{"LargestBatch", (*place).testLargestBatch},
		{"Context", (*place).testContext},
		{"Close", (*place).testClose},
		{"CloseDrains", (*place).testCloseDrains},
		{"Reopen", (*place).testReopen},
		{"CallerOwns", (*place).testCallerOwns},
		{"Model", (*place).testModel},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &place{t: t, open: fresh(t)}
			p.reopen()
			t.Cleanup(func() { _ = p.store.Close() })
			test.run(p)
		})
	}
}

// place is a store under test that can be closed and opened again.
type place struct {
	t     *testing.T
	open  func() (storage.Store, error)
	store storage.Store
}

func (p *place) reopen() {
	p.t.Helper()
	if p.store != nil {
		if err := p.store.Close(); err != nil {
			p.t.Fatalf("Close: %v", err)
		}
	}
	s, err := p.open()
	if err != nil {
		p.t.Fatalf("open: %v", err)
	}
	p.store = s
}

// check is what the helpers below need of *testing.T and *rapid.T.
type check interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

var ctx = context.Background()

func slotKey(id string) storage.Key {
	return storage.Key{Clinic: "north", Kind: storage.KindSlot, ID: id}
}

func put(k storage.Key, expect uint64, data string) storage.Put {
	return storage.Put{Key: k, Expect: expect, Data: []byte(data)}
}

func commit(t check, s storage.Store, b storage.Batch) {
	t.Helper()
	if err := s.Commit(ctx, b); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func refuse(t check, s storage.Store, b storage.Batch, want error) {
	t.Helper()
	if err := s.Commit(ctx, b); !errors.Is(err, want) {
		t.Errorf("Commit: %v, want %v", err, want)
	}
}

func wantRecord(t check, s storage.Store, k storage.Key, version uint64, data string) {
	t.Helper()
	got, err := s.Get(ctx, k)
	if version == 0 {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Get(%v) = version %d, %v; want ErrNotFound", k, got.Version, err)
		}
		return
	}
	if err != nil {
		t.Errorf("Get(%v): %v", k, err)
		return
	}
	if got.Key != k || got.Version != version || string(got.Data) != data {
		t.Errorf("Get(%v) = %v, version %d, %d bytes %.40q; want version %d, %d bytes %.40q",
			k, got.Key, got.Version, len(got.Data), got.Data, version, len(data), data)
	}
}

// same compares without telling nil from empty: a store need not.
func same(t check, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func wantInvalid(t check, what string, err error) {
	t.Helper()
	if err == nil || engine.CodeOf(err) != engine.Invalid {
		t.Errorf("%s: %v, want an engine.Invalid error", what, err)
	}
}

func timeline(t check, s storage.Store, c engine.ClinicID, subject string, after uint64, limit int) []storage.Event {
	t.Helper()
	events, err := s.Timeline(ctx, c, subject, after, limit)
	if err != nil {
		t.Fatalf("Timeline: %v", err)
	}
	return events
}

func outbox(t check, s storage.Store, c engine.ClinicID, after string, limit int) []storage.Effect {
	t.Helper()
	effects, err := s.Outbox(ctx, c, after, limit)
	if err != nil {
		t.Fatalf("Outbox: %v", err)
	}
	return effects
}

func scan(t check, s storage.Store, c engine.ClinicID, k storage.Kind, after string, limit int) []storage.Record {
	t.Helper()
	recs, err := s.Scan(ctx, c, k, after, limit)
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return recs
}

func ids(recs []storage.Record) []string {
	out := make([]string, 0, len(recs))
	for _, r := range recs {
		out = append(out, r.Key.ID)
	}
	return out
}

func effectIDs(effects []storage.Effect) []string {
	out := make([]string, 0, len(effects))
	for _, e := range effects {
		out = append(out, e.ID)
	}
	return out
}

func (p *place) testVersions() {
	t := p.t
	k := slotKey("a")
	wantRecord(t, p.store, k, 0, "")
	refuse(t, p.store, storage.Batch{Puts: []storage.Put{put(k, 1, "x")}}, storage.ErrStale)
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(k, 0, "one")}})
	wantRecord(t, p.store, k, 1, "one")
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(k, 1, "two")}})
	wantRecord(t, p.store, k, 2, "two")
	for _, expect := range []uint64{0, 1, 3, math.MaxUint64} {
		refuse(t, p.store, storage.Batch{Puts: []storage.Put{put(k, expect, "x")}}, storage.ErrStale)
	}
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(k, 2, "")}})
	wantRecord(t, p.store, k, 3, "")
	commit(t, p.store, storage.Batch{}) // nothing is a batch too
}

func (p *place) testAtomic() {
	t := p.t
	commit(t, p.store, storage.Batch{
		Puts:    []storage.Put{put(slotKey("z"), 0, "z")},
		Effects: []storage.Effect{{Clinic: "north", ID: "old", Data: []byte("old")}},
	})
	// The stale put comes last: whatever a store wrote before it must be gone.
	refuse(t, p.store, storage.Batch{
		Puts:    []storage.Put{put(slotKey("a"), 0, "a"), put(slotKey("b"), 0, "b"), put(slotKey("z"), 0, "zz")},
		Events:  []storage.Event{{Clinic: "north", Subject: "a", Data: []byte("e")}},
		Effects: []storage.Effect{{Clinic: "north", ID: "new", Data: []byte("new")}},
		Done:    []storage.EffectKey{{Clinic: "north", ID: "old"}},
	}, storage.ErrStale)
	wantRecord(t, p.store, slotKey("a"), 0, "")
	wantRecord(t, p.store, slotKey("b"), 0, "")
	wantRecord(t, p.store, slotKey("z"), 1, "z")
	same(t, "timeline", timeline(t, p.store, "north", "", 0, 10), []storage.Event(nil))
	same(t, "outbox", effectIDs(outbox(t, p.store, "north", "", 10)), []string{"old"})
	// And no number was used up.
	commit(t, p.store, storage.Batch{Events: []storage.Event{{Clinic: "north", Subject: "a"}}})
	if e := timeline(t, p.store, "north", "", 0, 10); len(e) != 1 || e[0].Seq != 1 {
		t.Errorf("first event: %v, want number 1", e)
	}
}

func (p *place) testDeletion() {
	t := p.t
	k := slotKey("a")
	del := func(expect uint64) storage.Batch {
		return storage.Batch{Puts: []storage.Put{{Key: k, Expect: expect, Delete: true}}}
	}
	commit(t, p.store, del(0)) // there is nothing, as expected
	refuse(t, p.store, del(1), storage.ErrStale)
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(k, 0, "a"), put(slotKey("b"), 0, "b")}})
	refuse(t, p.store, del(0), storage.ErrStale)
	commit(t, p.store, del(1))
	wantRecord(t, p.store, k, 0, "")
	wantRecord(t, p.store, slotKey("b"), 1, "b")
	same(t, "scan", ids(scan(t, p.store, "north", storage.KindSlot, "", 10)), []string{"b"})
	refuse(t, p.store, storage.Batch{Puts: []storage.Put{put(k, 1, "x")}}, storage.ErrStale)
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(k, 0, "again")}})
	wantRecord(t, p.store, k, 1, "again")
}

func (p *place) testTimeline() {
	t := p.t
	// A zone, nanoseconds and the far ends: a store must bring the instant back.
	at := time.Date(2026, 3, 1, 9, 30, 0, 123456789, time.FixedZone("", -5*3600))
	commit(t, p.store, storage.Batch{Events: []storage.Event{
		{Clinic: "north", Subject: "a", At: at, Data: []byte("1"), Seq: 99},
		{Clinic: "north", Subject: "b", At: time.Time{}, Data: []byte("2")},
		{Clinic: "south", Subject: "a", At: at, Data: []byte("south")},
		{Clinic: "north", Subject: "a", At: at.Add(-time.Hour), Data: nil},
		{Clinic: "north", At: at, Data: []byte("about the clinic")},
	}})
	e1 := storage.Event{Clinic: "north", Subject: "a", At: at.UTC(), Data: []byte("1"), Seq: 1}
	e2 := storage.Event{Clinic: "north", Subject: "b", Data: []byte("2"), Seq: 2}
	e3 := storage.Event{Clinic: "north", Subject: "a", At: at.Add(-time.Hour).UTC(), Seq: 3}
	e4 := storage.Event{Clinic: "north", At: at.UTC(), Data: []byte("about the clinic"), Seq: 4}
	same(t, "clinic", timeline(t, p.store, "north", "", 0, 10), []storage.Event{e1, e2, e3, e4})
	same(t, "subject a", timeline(t, p.store, "north", "a", 0, 10), []storage.Event{e1, e3})
	same(t, "subject b", timeline(t, p.store, "north", "b", 0, 10), []storage.Event{e2})
	same(t, "a after 1", timeline(t, p.store, "north", "a", 1, 10), []storage.Event{e3})
	same(t, "a after 2", timeline(t, p.store, "north", "a", 2, 10), []storage.Event{e3})
	same(t, "after the last", timeline(t, p.store, "north", "", 4, 10), []storage.Event(nil))
	same(t, "after all", timeline(t, p.store, "north", "", math.MaxUint64, 10), []storage.Event(nil))
	same(t, "nobody", timeline(t, p.store, "north", "c", 0, 10), []storage.Event(nil))
	same(t, "no clinic", timeline(t, p.store, "west", "", 0, 10), []storage.Event(nil))
	if e := timeline(t, p.store, "south", "", 0, 10); len(e) != 1 || e[0].Seq != 1 {
		t.Errorf("south: %v, want its own number 1", e)
	}
	if got := timeline(t, p.store, "north", "a", 0, 10)[0].At.Location(); got != time.UTC {
		t.Errorf("zone of a time = %v, want UTC", got)
	}
}

func (p *place) testTimelinePaging() {
	t := p.t
	const n = 25
	var want []uint64
	for i := range n {
		subject := "even"
		if i%2 == 1 {
			subject = "odd"
			want = append(want, uint64(i+1))
		}
		commit(t, p.store, storage.Batch{Events: []storage.Event{{Clinic: "north", Subject: subject}}})
	}
	for _, limit := range []int{1, 3, 10_000} {
		var got []uint64
		for after := uint64(0); ; {
			page := timeline(t, p.store, "north", "odd", after, limit)
			if len(page) > limit {
				t.Fatalf("a page of %d, limit %d", len(page), limit)
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				got = append(got, e.Seq)
			}
			after = got[len(got)-1]
		}
		same(t, fmt.Sprintf("pages of %d", limit), got, want)
	}
}

func (p *place) testOutbox() {
	t := p.t
	effect := func(id string) storage.Effect {
		return storage.Effect{Clinic: "north", ID: id, Data: []byte("do " + id)}
	}
	done := func(ids ...string) (keys []storage.EffectKey) {
		for _, id := range ids {
			keys = append(keys, storage.EffectKey{Clinic: "north", ID: id})
		}
		return keys
	}
	commit(t, p.store, storage.Batch{Effects: []storage.Effect{
		effect("3"), effect("1"), effect("2"), {Clinic: "south", ID: "1", Data: []byte("south")},
	}})
	same(t, "order", outbox(t, p.store, "north", "", 10), []storage.Effect{effect("1"), effect("2"), effect("3")})
	same(t, "page", outbox(t, p.store, "north", "1", 1), []storage.Effect{effect("2")})
	commit(t, p.store, storage.Batch{Done: done("2", "never", "1")})
	same(t, "after done", effectIDs(outbox(t, p.store, "north", "", 10)), []string{"3"})
	commit(t, p.store, storage.Batch{Done: done("2")}) // done twice is done
	if got := outbox(t, p.store, "south", "", 10); len(got) != 1 {
		t.Errorf("another clinic's outbox has %d effects, want 1", len(got))
	}
	changed := storage.Effect{Clinic: "north", ID: "3", Data: []byte("do it otherwise")}
	commit(t, p.store, storage.Batch{Effects: []storage.Effect{changed}})
	same(t, "the same ID replaces", outbox(t, p.store, "north", "", 10), []storage.Effect{changed})
	commit(t, p.store, storage.Batch{Effects: []storage.Effect{effect("3")}, Done: done("3")})
	same(t, "done comes before effects", outbox(t, p.store, "north", "", 10), []storage.Effect{effect("3")})
}

func (p *place) testScanPaging() {
	t := p.t
	var b storage.Batch
	var want []string
	for i := range 300 {
		id := fmt.Sprintf("%03d", i)
		want = append(want, id)
		b.Puts = append(b.Puts, put(slotKey(id), 0, "data "+id))
	}
	commit(t, p.store, b)
	for _, limit := range []int{7, 300, 10_000} {
		var got []string
		for after := ""; ; {
			page := scan(t, p.store, "north", storage.KindSlot, after, limit)
			if len(page) > limit {
				t.Fatalf("a page of %d, limit %d", len(page), limit)
			}
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				if r.Version != 1 || string(r.Data) != "data "+r.Key.ID || r.Key != slotKey(r.Key.ID) {
					t.Errorf("record %+v", r)
				}
			}
			got = append(got, ids(page)...)
			after = got[len(got)-1]
		}
		same(t, fmt.Sprintf("pages of %d", limit), got, want)
	}
	same(t, "after an ID that is not there", ids(scan(t, p.store, "north", storage.KindSlot, "0995", 1)), []string{"100"})
}

func (p *place) testKinds() {
	t := p.t
	kinds := storage.Kinds()
	var b storage.Batch
	for _, k := range kinds {
		b.Puts = append(b.Puts, put(storage.Key{Clinic: "north", Kind: k, ID: "a"}, 0, string(k)))
	}
	commit(t, p.store, b)
	for _, k := range kinds {
		got := scan(t, p.store, "north", k, "", 10)
		if len(got) != 1 || string(got[0].Data) != string(k) || got[0].Key.Kind != k {
			t.Errorf("kind %s: %+v", k, got)
		}
	}
}

func (p *place) testReopen() {
	t := p.t
	b := storage.Batch{
		Puts:    []storage.Put{put(slotKey("a"), 0, "a"), put(slotKey("b"), 0, "b")},
		Events:  []storage.Event{{Clinic: "north", Subject: "a", Data: []byte("1")}, {Clinic: "north", Subject: "b", Data: []byte("2")}},
		Effects: []storage.Effect{{Clinic: "north", ID: "x", Data: []byte("x")}},
	}
	commit(t, p.store, b)
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(slotKey("a"), 1, "aa")}})
	p.reopen()
	wantRecord(t, p.store, slotKey("a"), 2, "aa")
	wantRecord(t, p.store, slotKey("b"), 1, "b")
	same(t, "outbox", outbox(t, p.store, "north", "", 10), b.Effects)
	commit(t, p.store, storage.Batch{Events: []storage.Event{{Clinic: "north", Subject: "a", Data: []byte("3")}}})
	var got []uint64
	for _, e := range timeline(t, p.store, "north", "a", 0, 10) {
		got = append(got, e.Seq)
	}
	same(t, "numbers go on", got, []uint64{1, 3})
}

func (p *place) testCallerOwns() {
	t := p.t
	data := []byte("data")
	b := storage.Batch{
		Puts:    []storage.Put{{Key: slotKey("a"), Data: data}},
		Events:  []storage.Event{{Clinic: "north", Subject: "a", Data: data}},
		Effects: []storage.Effect{{Clinic: "north", ID: "a", Data: data}},
	}
	commit(t, p.store, b)
	copy(data, "XXXX") // the store must not look at what it was given any more
	for range 2 {
		rec, err := p.store.Get(ctx, slotKey("a"))
		if err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string][]byte{
			"Get":      rec.Data,
			"Scan":     scan(t, p.store, "north", storage.KindSlot, "", 1)[0].Data,
			"Timeline": timeline(t, p.store, "north", "a", 0, 1)[0].Data,
			"Outbox":   outbox(t, p.store, "north", "", 1)[0].Data,
		} {
			if !bytes.Equal(got, []byte("data")) {
				t.Errorf("%s = %q, want data", what, got)
			}
			copy(got, "YYYY") // and the next round must not see this
			_ = append(got, "more"...)
		}
	}
}
