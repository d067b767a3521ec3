package hl7

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/schedule"
)

// memory is a journal that can fail.
type memory struct {
	mu      sync.Mutex
	records map[string][]byte
	fails   bool
}

func (j *memory) Save(_ context.Context, c engine.ClinicID, records []Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fails {
		return errors.New("disk")
	}
	for _, r := range records {
		if r.Data == nil {
			delete(j.records, string(c)+"/"+r.ID)
		} else {
			j.records[string(c)+"/"+r.ID] = slices.Clone(r.Data)
		}
	}
	return nil
}

func (j *memory) Load(_ context.Context, c engine.ClinicID, f func(Record) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(j.records)) {
		if at, ok := strings.CutPrefix(id, string(c)+"/"); ok {
			if err := f(Record{ID: at, Data: j.records[id]}); err != nil {
				return err
			}
		}
	}
	return nil
}

// now is a Monday morning at the clinic, in winter.
var now = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant that Go has no form for

// world is a connector that takes messages, and a mirror that follows it as the actors do.
type world struct {
	t       testing.TB
	c       *Connector
	journal *memory
	mirror  *schedule.Mirror
	cursor  string
	n       int
	now     time.Time
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{t: tb, journal: &memory{records: map[string][]byte{}}, mirror: schedule.New(), now: now}
	w.start()
	return w
}

// start makes a connector of what the journal kept, as after a restart.
func (w *world) start() {
	c, err := New(context.Background(), Config{
		Clinic: "derma", Zone: zone(w.t), Journal: w.journal, Sender: Party{"SCHED", "CLINIC"}, Receiver: Party{"RELAIS", ""},
		Practitioners: map[string]engine.PractitionerID{"D7": "gagnon", "D8": "roy"}, Places: map[string]engine.PlaceID{"PARC": "parc"},
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.c, w.cursor = c, ""
}

// send gives a message of the world to the connector: the trigger, the filler's identifier, and who is
// taken when, as "D7 09:00" of 1 December; more segments may follow.
func (w *world) send(trigger, filler, what string, more ...string) verdict {
	w.n++
	return w.sendAt(w.now.Add(time.Duration(w.n)*time.Millisecond), fmt.Sprint("M", w.n), trigger, filler, what, more...)
}

func (w *world) sendAt(at time.Time, control, trigger, filler, what string, more ...string) verdict {
	who, hour, _ := strings.Cut(what, " ")
	text := fmt.Sprintf("MSH|^~\\&|SCHED|CLINIC|RELAIS||%s||SIU^%s|%s|P|2.3.1\nSCH||%s|||||||20|min|", at.UTC().Format("20060102150405.0000-0700"), trigger, control, filler)
	if hour != "" {
		text += "^^^20261201" + strings.ReplaceAll(hour, ":", "") + "00"
	}
	text += "||||||||||||||Cancelled\n"
	if who != "" {
		text += "AIP|1|A|" + who + "^Somebody\n"
	}
	return w.give(text + strings.Join(more, "\n"))
}

func (w *world) give(text string) verdict {
	w.t.Helper()
	m, err := Parse([]byte(text), UTF8)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.c.take(context.Background(), m, digest(text))
}

// look follows the connector until it has nothing new, and says what changed: "freed gagnon 09:00".
func (w *world) look() string {
	w.t.Helper()
	var out []string
	for range 10 {
		var obs engine.Observation
		var err error
		before := w.cursor
		if w.cursor == "" {
			obs, err = w.c.Snapshot(context.Background(), now.Add(-13*time.Hour), now.AddDate(0, 0, 60))
		} else {
			obs, err = w.c.Changes(context.Background(), w.cursor)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.cursor = obs.Cursor
		res := w.mirror.Apply(obs, w.now)
		if res.Implausible != "" {
			w.t.Fatal(res.Implausible)
		}
		for _, ch := range res.Changes {
			out = append(out, w.words(ch))
		}
		if before == obs.Cursor {
			return strings.Join(out, ", ")
		}
	}
	w.t.Fatal("the looks do not end")
	return ""
}

func (w *world) words(ch schedule.Change) string {
	at := func(s engine.SlotFact) string {
		return string(s.Practitioner) + " " + s.Start.In(zone(w.t)).Format("15:04")
	}
	switch ch := ch.(type) {
	case schedule.Freed:
		return "freed " + at(ch.Slot)
	case schedule.Occupied:
		s := ch.Why + " " + at(ch.Slot)
		if ch.Booking != "" {
			s += " by " + string(ch.Booking)
		}
		return s
	case schedule.Suspect:
		return "suspect " + at(ch.Slot)
	}
	return "?"
}
