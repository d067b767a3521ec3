package storagetest

import (
	"strings"

	"relais/engine"
	"relais/storage"
)

// testPrefixes has clinics, subjects and IDs whose bytes run into each other.
func (p *place) testPrefixes() {
	t := p.t
	names := []string{"a", "ab", "a\x00", "\x01a", "b", strings.Repeat("a", 200), strings.Repeat("a", storage.MaxKey)}
	var b storage.Batch
	for _, c := range append([]string{string(storage.Shared)}, names...) {
		clinic := engine.ClinicID(c)
		for _, id := range names {
			b.Puts = append(b.Puts, put(storage.Key{Clinic: clinic, Kind: storage.KindMeta, ID: id}, 0, c+id))
			b.Events = append(b.Events, storage.Event{Clinic: clinic, Subject: id, Data: []byte(c + id)})
			b.Effects = append(b.Effects, storage.Effect{Clinic: clinic, ID: id, Data: []byte(c + id)})
		}
	}
	commit(t, p.store, b)
	for _, c := range append([]string{string(storage.Shared)}, names...) {
		clinic := engine.ClinicID(c)
		if got := scan(t, p.store, clinic, storage.KindMeta, "", 100); len(got) != len(names) {
			t.Errorf("clinic %.10q: scan has %d records, want %d", c, len(got), len(names))
		}
		if got := outbox(t, p.store, clinic, "", 100); len(got) != len(names) {
			t.Errorf("clinic %.10q: outbox has %d effects, want %d", c, len(got), len(names))
		}
		if got := timeline(t, p.store, clinic, "", 0, 100); len(got) != len(names) {
			t.Errorf("clinic %.10q: timeline has %d events, want %d", c, len(got), len(names))
		}
		for _, id := range names {
			got := timeline(t, p.store, clinic, id, 0, 100)
			if len(got) != 1 || string(got[0].Data) != c+id {
				t.Errorf("clinic %.10q, subject %.10q: %d events, want its one", c, id, len(got))
			}
		}
	}
}

func (p *place) testAnyBytes() {
	t := p.t
	want := []string{"\x00", "\x00\x00", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\xff", "b", "é", "\xff", "\xff\xff"}
	for _, id := range []string{"b", "\xff\xff", "\x00", "a\xff", "é", "a", "\x00\xff", "\xff", "a\x00", "\x01", "a\x00b", "\x00\x00"} {
		commit(t, p.store, storage.Batch{
			Puts:    []storage.Put{put(slotKey(id), 0, id)},
			Effects: []storage.Effect{{Clinic: "north", ID: id}},
			Events:  []storage.Event{{Clinic: "north", Subject: id}},
		})
	}
	same(t, "scan", ids(scan(t, p.store, "north", storage.KindSlot, "", 100)), want)
	same(t, "outbox", effectIDs(outbox(t, p.store, "north", "", 100)), want)
	for i, id := range want {
		same(t, "scan after", ids(scan(t, p.store, "north", storage.KindSlot, id, 100)), want[i+1:])
		wantRecord(t, p.store, slotKey(id), 1, id)
		if got := timeline(t, p.store, "north", id, 0, 10); len(got) != 1 || got[0].Subject != id {
			t.Errorf("timeline of %q: %v", id, got)
		}
	}
}
