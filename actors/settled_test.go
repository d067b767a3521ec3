package actors

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
)

// settled checks the end: nothing is open, nothing was lost, nothing was said to the wrong ear.
func (s *simulation) settled() {
	synctest.Wait()
	t := s.t
	s.disk.mu.Lock()
	effects := slices.Collect(maps.Keys(s.disk.effects))
	records := maps.Clone(s.disk.records)
	s.disk.mu.Unlock()
	for _, e := range effects {
		t.Errorf("never carried out: %s %s", e.Clinic, e.ID)
	}
	events := map[string]map[string]int{}
	for _, list := range s.disk.events {
		for _, e := range list {
			var data eventData
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			if events[e.Subject] == nil {
				events[e.Subject] = map[string]int{}
			}
			events[e.Subject][data.Event]++
		}
	}
	offered, delivered := map[string]int{}, map[string]int{}
	for o := range s.offers {
		offered[string(o.Slot())]++
	}
	told := map[engine.OfferID]reach.State{}
	for k, r := range records {
		if k.Kind != storage.KindOffer {
			continue
		}
		var of offerRecord
		if err := json.Unmarshal(r.Data, &of); err != nil {
			t.Fatal(err)
		}
		told[of.State.Offer] = of.State
		for _, d := range of.State.Deliveries {
			if d.Counted {
				delivered[string(of.State.Slot.ID)]++
			}
			if d.Status == reach.Sending {
				t.Errorf("%s is being sent for ever", d.ID)
			}
		}
	}
	for o, who := range s.offers {
		if _, ok := told[o]; !ok {
			t.Errorf("offer %s of %s never began", o, who)
		}
	}
	opened := 0
	for k, r := range records {
		if k.Kind != storage.KindSlot {
			continue
		}
		var st slot.State
		if err := json.Unmarshal(r.Data, &st); err != nil {
			t.Fatal(err)
		}
		opened++
		s.gaveUp(k.Clinic, st)
		if unfinished(st) {
			t.Errorf("slot %s is still %s (suspended %v, paused %v, wake %s)", k.ID, st.Phase, st.Suspended, st.Paused, st.Wake)
		}
		got := events[k.ID]
		if got["opened"] != st.Opening || got["offered"] != offered[k.ID] || got["claimed"] != s.claims[st.Slot.ID] || got["delivery"] != delivered[k.ID] {
			t.Errorf("never 6: timeline of %s is %v; there were %d openings, %d offers, %d claims, %d deliveries",
				k.ID, got, st.Opening, offered[k.ID], s.claims[st.Slot.ID], delivered[k.ID])
		}
		if st.Phase == slot.Booked && !slices.ContainsFunc(told[st.Winner].Deliveries, func(d reach.Delivery) bool { return d.Kind == engine.MsgBooked }) {
			if c := told[st.Winner].Person.Contacts; len(c) > 0 && c[0].Usable() {
				t.Errorf("the winner of %s was never told", k.ID)
			}
		}
	}
	s.followed(records)
	if opened == 0 {
		t.Error("no slot was opened: the simulation proves nothing")
	}
	for c, d := range s.dmes {
		for source := range d.slots {
			booking, _ := d.live(source)
			if st := s.slotOf(c, source); booking != "" && (st.Phase != slot.Booked || st.Booking != booking) {
				t.Errorf("%s of clinic %s has our booking %s, and is %s with %s", source, c, booking, st.Phase, st.Booking)
			}
		}
		snap, err := s.Snapshot(context.Background(), c)
		if err != nil {
			t.Errorf("snapshot: %v", err)
		}
		for _, card := range snap.Cards {
			if st := s.read(c, card.ID); card.State == desk.Confirmed && d.booked[st.Booking].IsZero() {
				t.Errorf("never 5: card %s is confirmed, and the record system never had it", card.ID)
			}
		}
		if snap.Health.Status != "healthy" {
			t.Errorf("clinic %s is %s at the end: %s", c, snap.Health.Status, snap.Health.Detail)
		}
	}
	if w := s.waitlist; len(w.pending) > 0 || len(w.reserved) > 0 {
		t.Errorf("left behind: pending %v, reserved %v", w.pending, w.reserved)
	}
	s.private()
	counted := map[string]int{}
	for _, m := range s.metrics {
		word, _, _ := strings.Cut(m, " ")
		if word == "claim" || word == "write" {
			word = m
		}
		counted[word]++
	}
	t.Logf("%d commits, %d messages, %v, %v", s.disk.commits, len(s.messages), counted, s.faults)
}

// private checks that nothing personal stands where anybody may read.
func (w *world) private() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.log.String() + strings.Join(w.metrics, "\n")
	for _, word := range []string{"Prénom", "Nomdefamille", "+1514", "514555", "@example.org", "relais.example/o/"} {
		if i := strings.Index(text, word); i >= 0 {
			w.t.Errorf("never 7: %q stands in the log or the metrics: %s", word, text[max(0, i-200):min(len(text), i+80)])
		}
	}
	for _, m := range w.messages {
		if i := strings.Index(m.Text, "/o/"); i >= 0 {
			token, _, _ := strings.Cut(m.Text[i+3:], " ")
			if token != "" && strings.Contains(text, token) {
				w.t.Errorf("never 7: the secret of a link stands in the log or the metrics")
			}
		}
	}
}

// gaveUp checks that nobody was left with two appointments.
func (s *simulation) gaveUp(c engine.ClinicID, st slot.State) {
	for _, o := range st.Offers {
		if o.ID == st.Winner && o.Current != nil && st.Phase == slot.Booked && s.dmes[c].alive(o.Current.Source) {
			s.t.Errorf("%s won %s and still has %s", o.Patient, st.Slot.ID, o.Current.Source)
		}
	}
}

// followed checks that the list says of appointments what the record systems say.
func (s *simulation) followed(records map[storage.Key]storage.Record) {
	made := 0
	for k, r := range records {
		if k.Kind != storage.KindEntry {
			continue
		}
		var e engine.Entry
		if err := json.Unmarshal(r.Data, &e); err != nil {
			s.t.Fatal(err)
		}
		if m, version, _ := s.waitlist.entry(e.ID); version != r.Version || m.Status != e.Status {
			s.t.Errorf("%s is %s in the store, and %s in memory", e.ID, e.Status, m.Status)
		}
		if e.Auto {
			made++
		}
		if e.Current == nil || !mayClaim(e) {
			continue
		}
		d := s.dmes[k.Clinic]
		d.mu.Lock()
		a := *d.appts[e.Current.Source]
		d.mu.Unlock()
		if !a.Live || !a.Start.Equal(e.Current.Start) || a.Start.Before(time.Now().Add(-6*time.Minute)) {
			s.t.Errorf("%s of %s is %s for %v; the record system says %+v", e.ID, e.Patient, e.Status, e.Current, a)
		}
		if p, _, _ := s.waitlist.patient(e.Patient); (e.Auto || e.Tied) && p.Sooner == nil {
			s.t.Errorf("%s waits without consent", e.ID)
		}
	}
	if made == 0 {
		s.t.Error("no appointment made anybody a candidate: the simulation proves little")
	}
}
