package storagetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"relais/engine"
	"relais/storage"
)

// RunChained runs what a store that chains its timelines must do beside Run.
func RunChained(t *testing.T, fresh Fresh) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*place)
	}{
		{"Chain", (*place).testChain},
		{"ChainTogether", (*place).testChainTogether},
		{"Redaction", (*place).testRedaction},
		{"RedactionStale", (*place).testRedactionStale},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &place{t: t, open: fresh(t)}
			p.reopen()
			t.Cleanup(func() { _ = p.store.Close() })
			test.run(p)
		})
	}
}

func (p *place) chained() storage.Chained {
	p.t.Helper()
	c, ok := p.store.(storage.Chained)
	if !ok {
		p.t.Fatal("the store chains nothing")
	}
	return c
}

// sound verifies all chains and returns them by clinic.
func (p *place) sound() map[engine.ClinicID]storage.Verdict {
	p.t.Helper()
	heads, err := p.chained().Heads(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	all := map[engine.ClinicID]storage.Verdict{}
	for _, h := range heads {
		v, err := storage.Verify(ctx, p.chained(), h)
		if err != nil {
			p.t.Fatal(err)
		}
		if v.Broken != nil {
			p.t.Errorf("the chain of %q is broken: %+v", h.Clinic, *v.Broken)
		}
		all[h.Clinic] = v
	}
	return all
}

func (p *place) links(c engine.ClinicID) []storage.Link {
	p.t.Helper()
	links, err := p.chained().Links(ctx, c, 0, storage.MaxPage)
	if err != nil {
		p.t.Fatal(err)
	}
	return links
}

func (p *place) testChain() {
	t := p.t
	if heads, err := p.chained().Heads(ctx); err != nil || len(heads) != 0 {
		t.Errorf("an empty store has %d heads, %v", len(heads), err)
	}
	at := time.Date(2026, 3, 1, 9, 0, 0, 5, time.UTC)
	for i := range 3 {
		commit(t, p.store, storage.Batch{Events: []storage.Event{
			{Clinic: "north", Subject: "a", At: at, Data: fmt.Append(nil, i)},
			{Clinic: "south", Subject: "a", At: at, Data: fmt.Append(nil, i)},
			{Clinic: "north", At: at},
			{Clinic: storage.Shared, Subject: "s", At: at},
		}})
		p.reopen()
	}
	all := p.sound()
	if len(all) != 3 || all["north"].Events != 6 || all["south"].Events != 3 || all[storage.Shared].Events != 3 {
		t.Errorf("verified %+v", all)
	}
	north, south := p.links("north"), p.links("south")
	if north[0].Hash == south[0].Hash {
		t.Error("two clinics have the same hash for the same event")
	}
	if north[1].Digest == north[3].Digest {
		t.Error("two events without data have the same digest: there is no salt")
	}
	for _, l := range north {
		if !l.Opens || l.Redacted || l.Content != l.Digest {
			t.Errorf("link %+v", l)
		}
	}
	if v := all["north"]; v.Head != north[5].Hash || north[5].Hash != storage.Chain(north[4].Hash, &north[5].Event, north[5].Digest) {
		t.Error("the head is not the hash of the newest event")
	}
}

func (p *place) testChainTogether() {
	t := p.t
	const callers, each = 16, 20
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				b := storage.Batch{
					Events: []storage.Event{{Clinic: "north", Subject: fmt.Sprint(c)}, {Clinic: "south"}, {Clinic: "north", Data: []byte("x")}},
					Puts:   []storage.Put{put(slotKey("one"), 0, "x")}, // only one of all of them is not stale
				}
				if i > 0 {
					b.Puts = nil
				}
				_ = p.store.Commit(ctx, b)
			}
		})
	}
	wg.Wait()
	const batches = 1 + callers*(each-1)
	if all := p.sound(); all["north"].Events != 2*batches || all["south"].Events != batches {
		t.Errorf("%d and %d events, want %d and %d", all["north"].Events, all["south"].Events, 2*batches, batches)
	}
}

func (p *place) testRedaction() {
	t := p.t
	at := time.Date(2026, 3, 1, 9, 0, 0, 7, time.UTC)
	for i := range 5 {
		commit(t, p.store, storage.Batch{Events: []storage.Event{
			{Clinic: "north", Subject: "a", At: at, Data: fmt.Appendf(nil, "Tremblay %d", i)},
			{Clinic: "south", At: at, Data: []byte("Tremblay")},
		}})
	}
	before := p.sound()["north"]
	first := p.links("north")
	events := timeline(t, p.store, "north", "a", 0, 10)[1:3]
	for i := range events {
		events[i].Data = fmt.Appendf(nil, "erased %d", i)
	}
	south := timeline(t, p.store, "south", "", 0, 10)[4]
	south.Data = nil
	later := at.Add(time.Hour)
	commit(t, p.store, storage.Batch{
		Puts:   []storage.Put{put(slotKey("a"), 0, "erased")},
		Events: []storage.Event{{Clinic: "north", Subject: "b", At: at}},
		Redact: storage.Redaction{Events: append(events, south), At: later},
	})
	for range 2 {
		all := p.sound()
		if v := all["north"]; v.Redacted != 2 || v.Events != before.Events+2 || all["south"].Redacted != 1 {
			t.Errorf("after the redaction: %+v", all)
		}
		got := timeline(t, p.store, "north", "a", 0, 10)
		for i, want := range []string{"Tremblay 0", "erased 0", "erased 1", "Tremblay 3", "Tremblay 4"} {
			if string(got[i].Data) != want || !got[i].At.Equal(at) {
				t.Errorf("event %d is %q of %v, want %q", got[i].Seq, got[i].Data, got[i].At, want)
			}
		}
		p.reopen()
	}
	now := p.links("north")
	for i, l := range first {
		if l.Digest != now[i].Digest || l.Hash != now[i].Hash || now[i].Redacted != (i == 1 || i == 2) {
			t.Errorf("link %d changed: %+v", i, now[i])
		}
	}
	named := timeline(t, p.store, "north", storage.RedactedSubject, 0, 10)
	if len(named) != 1 || !named[0].At.Equal(later) || named[0].Seq != 7 {
		t.Errorf("the redaction is named by %+v", named)
	}
	again := timeline(t, p.store, "north", "a", 0, 10)[1]
	again.Data = []byte("erased twice")
	commit(t, p.store, storage.Batch{Redact: storage.Redaction{Events: []storage.Event{again}, At: later}})
	if v := p.sound()["north"]; v.Redacted != 2 {
		t.Errorf("after a second redaction: %+v", v)
	}
}

func (p *place) testRedactionStale() {
	t := p.t
	at := time.Date(2026, 3, 1, 9, 0, 0, 7, time.UTC)
	commit(t, p.store, storage.Batch{Events: []storage.Event{{Clinic: "north", Subject: "a", At: at, Data: []byte("1")}}})
	e := timeline(t, p.store, "north", "a", 0, 10)[0]
	for what, change := range map[string]func(*storage.Event){
		"clinic":  func(e *storage.Event) { e.Clinic = "south" },
		"number":  func(e *storage.Event) { e.Seq = 2 },
		"subject": func(e *storage.Event) { e.Subject = "b" },
		"time":    func(e *storage.Event) { e.At = at.Add(1) },
	} {
		wrong := e
		change(&wrong)
		b := storage.Batch{Redact: storage.Redaction{Events: []storage.Event{wrong}, At: at}, Puts: []storage.Put{put(slotKey("a"), 0, "x")}}
		if err := p.store.Commit(ctx, b); err == nil {
			t.Errorf("another %s: redacted", what)
		}
		wantRecord(t, p.store, slotKey("a"), 0, "")
	}
	refuse(t, p.store, storage.Batch{
		Puts:   []storage.Put{put(slotKey("a"), 1, "x")},
		Redact: storage.Redaction{Events: []storage.Event{e}, At: at},
	}, storage.ErrStale)
	if got := timeline(t, p.store, "north", "", 0, 10); len(got) != 1 || string(got[0].Data) != "1" {
		t.Errorf("stale batches changed the timeline: %+v", got)
	}
	if v := p.sound()["north"]; v.Redacted != 0 || v.Events != 1 {
		t.Errorf("%+v", v)
	}
}
