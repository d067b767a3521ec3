package storagetest

import (
	"fmt"
	"strings"

	"relais/engine"
	"relais/storage"
)

func (p *place) testLimits() {
	t := p.t
	long := strings.Repeat("k", storage.MaxKey+1)
	big := make([]byte, storage.MaxData+1)
	many := make([]storage.Event, storage.MaxBatch+1)
	done := make([]storage.EffectKey, storage.MaxBatch+1)
	for i := range many {
		many[i] = storage.Event{Clinic: "north", Subject: "s"}
		done[i] = storage.EffectKey{Clinic: "north", ID: fmt.Sprint(i)}
	}
	heavy := make([]storage.Event, storage.MaxBatchData/storage.MaxData+1)
	for i := range heavy {
		heavy[i] = storage.Event{Clinic: "north", Subject: "s", Data: big[1:]}
	}
	good := put(slotKey("good"), 0, "x")
	for what, b := range map[string]storage.Batch{
		"a long clinic":          {Puts: []storage.Put{put(storage.Key{Clinic: engine.ClinicID(long), Kind: storage.KindSlot, ID: "a"}, 0, "x")}},
		"a long ID":              {Puts: []storage.Put{put(slotKey(long), 0, "x")}},
		"an empty ID":            {Puts: []storage.Put{put(slotKey(""), 0, "x")}},
		"an unknown kind":        {Puts: []storage.Put{put(storage.Key{Clinic: "north", Kind: "letter", ID: "a"}, 0, "x")}},
		"no kind":                {Puts: []storage.Put{put(storage.Key{Clinic: "north", ID: "a"}, 0, "x")}},
		"a record twice":         {Puts: []storage.Put{put(slotKey("a"), 0, "x"), put(slotKey("b"), 0, "x"), put(slotKey("a"), 1, "y")}},
		"large data":             {Puts: []storage.Put{put(slotKey("a"), 0, string(big))}},
		"a large event":          {Events: []storage.Event{{Clinic: "north", Subject: "s", Data: big}}},
		"an event's long clinic": {Events: []storage.Event{{Clinic: engine.ClinicID(long), Subject: "s"}}},
		"a long subject":         {Events: []storage.Event{{Clinic: "north", Subject: long}}},
		"a large effect":         {Effects: []storage.Effect{{Clinic: "north", ID: "e", Data: big}}},
		"an effect's long ID":    {Effects: []storage.Effect{{Clinic: "north", ID: long}}},
		"an effect's empty ID":   {Effects: []storage.Effect{{Clinic: "north"}}},
		"a long ID done":         {Done: []storage.EffectKey{{Clinic: "north", ID: long}}},
		"an empty ID done":       {Done: []storage.EffectKey{{Clinic: "north"}}},
		"too many events":        {Events: many},
		"too many together":      {Events: many[:storage.MaxBatch]},
		"too many done":          {Done: done},
		"too many bytes":         {Events: heavy},
	} {
		b.Puts = append(b.Puts, good)
		wantInvalid(t, what, p.store.Commit(ctx, b))
		wantRecord(t, p.store, good.Key, 0, "")
	}
	if got := timeline(t, p.store, "north", "", 0, 10); len(got) != 0 {
		t.Errorf("refused batches left %d events", len(got))
	}

	for _, limit := range []int{-1, 0, 10_001} {
		_, err := p.store.Scan(ctx, "north", storage.KindSlot, "", limit)
		wantInvalid(t, fmt.Sprintf("Scan with limit %d", limit), err)
		_, err = p.store.Timeline(ctx, "north", "", 0, limit)
		wantInvalid(t, fmt.Sprintf("Timeline with limit %d", limit), err)
		_, err = p.store.Outbox(ctx, "north", "", limit)
		wantInvalid(t, fmt.Sprintf("Outbox with limit %d", limit), err)
	}
	_, err := p.store.Get(ctx, storage.Key{Clinic: "north", Kind: "letter", ID: "a"})
	wantInvalid(t, "Get of an unknown kind", err)
	_, err = p.store.Scan(ctx, "north", "letter", "", 1)
	wantInvalid(t, "Scan of an unknown kind", err)
}

// testLargestBatch commits what is just within each limit.
func (p *place) testLargestBatch() {
	t := p.t
	id := strings.Repeat("k", storage.MaxKey)
	data := strings.Repeat("d", storage.MaxData)
	commit(t, p.store, storage.Batch{Puts: []storage.Put{put(slotKey(id), 0, data)}})
	wantRecord(t, p.store, slotKey(id), 1, data)

	var b storage.Batch
	for i := range storage.MaxBatch {
		b.Puts = append(b.Puts, put(slotKey(fmt.Sprintf("%04d", i)), 0, "x"))
		b.Done = append(b.Done, storage.EffectKey{Clinic: "north", ID: fmt.Sprint(i)})
	}
	commit(t, p.store, b)
	if got := scan(t, p.store, "north", storage.KindSlot, "", 10_000); len(got) != storage.MaxBatch+1 {
		t.Errorf("%d records, want %d", len(got), storage.MaxBatch+1)
	}
}
