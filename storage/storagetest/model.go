package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"relais/engine"
	"relais/storage"
)

// model is a store in the plainest form, to compare with.
type model struct {
	records map[storage.Key]storage.Record
	events  map[engine.ClinicID][]storage.Event
	effects map[storage.EffectKey]storage.Effect
}

func newModel() *model {
	return &model{
		records: map[storage.Key]storage.Record{},
		events:  map[engine.ClinicID][]storage.Event{},
		effects: map[storage.EffectKey]storage.Effect{},
	}
}

func (m *model) commit(b storage.Batch) error {
	for _, p := range b.Puts {
		if m.records[p.Key].Version != p.Expect {
			return storage.ErrStale
		}
	}
	for _, p := range b.Puts {
		if p.Delete {
			delete(m.records, p.Key)
		} else {
			m.records[p.Key] = storage.Record{Key: p.Key, Version: p.Expect + 1, Data: p.Data}
		}
	}
	for _, e := range b.Events {
		e.Seq = uint64(len(m.events[e.Clinic]) + 1)
		m.events[e.Clinic] = append(m.events[e.Clinic], e)
	}
	for _, d := range b.Done {
		delete(m.effects, d)
	}
	for _, e := range b.Effects {
		m.effects[storage.EffectKey{Clinic: e.Clinic, ID: e.ID}] = e
	}
	return nil
}

func (m *model) scan(c engine.ClinicID, k storage.Kind, after string, limit int) []storage.Record {
	var out []storage.Record
	for key, r := range m.records {
		if key.Clinic == c && key.Kind == k && key.ID > after {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b storage.Record) int { return strings.Compare(a.Key.ID, b.Key.ID) })
	return out[:min(limit, len(out))]
}

func (m *model) timeline(c engine.ClinicID, subject string, after uint64, limit int) []storage.Event {
	var out []storage.Event
	for _, e := range m.events[c] {
		if e.Seq > after && (subject == "" || e.Subject == subject) {
			out = append(out, e)
		}
	}
	return out[:min(limit, len(out))]
}

func (m *model) outbox(c engine.ClinicID, after string, limit int) []storage.Effect {
	var out []storage.Effect
	for _, e := range m.effects {
		if e.Clinic == c && e.ID > after {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b storage.Effect) int { return strings.Compare(a.ID, b.ID) })
	return out[:min(limit, len(out))]
}

// Few and nasty names, so that batches meet.
var (
	drawClinic  = rapid.SampledFrom([]engine.ClinicID{storage.Shared, "a", "ab", "a\x00", "\xff"})
	drawKind    = rapid.SampledFrom([]storage.Kind{storage.KindSlot, storage.KindEntry, storage.KindMeta})
	drawID      = rapid.SampledFrom([]string{"\x00", "a", "a\x00", "ab", "b", "\xff", "\xff\xff"})
	drawAfter   = rapid.SampledFrom([]string{"", "\x00", "a", "aa", "b", "\xff"})
	drawSubject = rapid.SampledFrom([]string{"", "a", "ab", "a\x00", "\xff"})
	drawData    = rapid.SliceOfN(rapid.Byte(), 0, 40)
	drawLimit   = rapid.SampledFrom([]int{1, 2, 5, 10_000})
)

func drawBatch(t *rapid.T, m *model) storage.Batch {
	var b storage.Batch
	named := map[storage.Key]bool{}
	for range rapid.IntRange(0, 4).Draw(t, "puts") {
		k := storage.Key{Clinic: drawClinic.Draw(t, "clinic"), Kind: drawKind.Draw(t, "kind"), ID: drawID.Draw(t, "id")}
		if named[k] {
			continue
		}
		named[k] = true
		p := storage.Put{Key: k, Expect: m.records[k].Version, Delete: rapid.IntRange(0, 4).Draw(t, "delete") == 0}
		if !p.Delete {
			p.Data = drawData.Draw(t, "data")
		}
		if rapid.IntRange(0, 9).Draw(t, "stale") == 0 {
			p.Expect += rapid.Uint64Range(1, 3).Draw(t, "off by")
		}
		b.Puts = append(b.Puts, p)
	}
	for range rapid.IntRange(0, 3).Draw(t, "events") {
		b.Events = append(b.Events, storage.Event{
			Clinic: drawClinic.Draw(t, "clinic"), Subject: drawSubject.Draw(t, "subject"), Data: drawData.Draw(t, "data"),
			At: time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "at"), 5).UTC(),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "effects") {
		b.Effects = append(b.Effects, storage.Effect{Clinic: drawClinic.Draw(t, "clinic"), ID: drawID.Draw(t, "id"), Data: drawData.Draw(t, "data")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "done") {
		b.Done = append(b.Done, storage.EffectKey{Clinic: drawClinic.Draw(t, "clinic"), ID: drawID.Draw(t, "id")})
	}
	return b
}

// testModel does random things to the store and to the model and compares what they say. Each
// run of it uses the same place under another clinic's name, so that opening is not repeated.
func (p *place) testModel() {
	t := p.t
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		m := newModel()
		// The run's number is part of all clinics, IDs stay as drawn.
		in := func(c engine.ClinicID) engine.ClinicID { return engine.ClinicID(fmt.Sprintf("%d:%s", run, c)) }
		rename := func(b storage.Batch) storage.Batch {
			b.Puts, b.Events = slices.Clone(b.Puts), slices.Clone(b.Events)
			b.Effects, b.Done = slices.Clone(b.Effects), slices.Clone(b.Done)
			for i := range b.Puts {
				b.Puts[i].Key.Clinic = in(b.Puts[i].Key.Clinic)
			}
			for i := range b.Events {
				b.Events[i].Clinic = in(b.Events[i].Clinic)
			}
			for i := range b.Effects {
				b.Effects[i].Clinic = in(b.Effects[i].Clinic)
			}
			for i := range b.Done {
				b.Done[i].Clinic = in(b.Done[i].Clinic)
			}
			return b
		}
		doCommit := func(r *rapid.T) {
			b := drawBatch(r, m)
			named := rename(b)
			want, got := m.commit(b), p.store.Commit(ctx, named)
			if !errors.Is(got, want) {
				r.Fatalf("Commit: %v, want %v", got, want)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"commit":       doCommit,
			"commit again": doCommit, // commits matter most
			"get": func(r *rapid.T) {
				k := storage.Key{Clinic: drawClinic.Draw(r, "clinic"), Kind: drawKind.Draw(r, "kind"), ID: drawID.Draw(r, "id")}
				want := m.records[k]
				k.Clinic = in(k.Clinic)
				wantRecord(r, p.store, k, want.Version, string(want.Data))
			},
			"scan": func(r *rapid.T) {
				c, k, after, limit := drawClinic.Draw(r, "clinic"), drawKind.Draw(r, "kind"), drawAfter.Draw(r, "after"), drawLimit.Draw(r, "limit")
				got, want := scan(r, p.store, in(c), k, after, limit), m.scan(c, k, after, limit)
				for i := range want {
					want[i].Key.Clinic = in(c)
				}
				same(r, "Scan", got, want)
			},
			"timeline": func(r *rapid.T) {
				c, subject, limit := drawClinic.Draw(r, "clinic"), drawSubject.Draw(r, "subject"), drawLimit.Draw(r, "limit")
				after := rapid.Uint64Range(0, 10).Draw(r, "after")
				got, want := timeline(r, p.store, in(c), subject, after, limit), m.timeline(c, subject, after, limit)
				for i := range want {
					want[i].Clinic = in(c)
				}
				same(r, "Timeline", got, want)
			},
			"outbox": func(r *rapid.T) {
				c, after, limit := drawClinic.Draw(r, "clinic"), drawAfter.Draw(r, "after"), drawLimit.Draw(r, "limit")
				got, want := outbox(r, p.store, in(c), after, limit), m.outbox(c, after, limit)
				for i := range want {
					want[i].Clinic = in(c)
				}
				same(r, "Outbox", got, want)
			},
			"reopen": func(r *rapid.T) {
				if rapid.IntRange(0, 3).Draw(r, "rarely") == 0 {
					p.reopen()
				}
			},
		})
	})
}
