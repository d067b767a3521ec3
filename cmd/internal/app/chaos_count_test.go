package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/engine/wording"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
	"relais/transport/sandbox"
)

// chaosTally is what a run came to. Offers and their proofs are read from the store, what really
// reached phones from the carriers.
type chaosTally struct {
	offers, valid, proved       int
	again, againProved          int // of the valid: to people who were asked before
	excluded                    map[string]int
	missed                      map[string]int
	proofs                      []time.Duration
	claims, kills               int
	starts                      []time.Duration
	loads                       []float64
	over                        time.Duration
	nowhere                     int // missed: no number of theirs exists
	segments                    int // of the texts
	all, allSegments            int // texts of every kind: offers, answers, courtesies, bookings
	unknown                     int // messages whose outcome is unknown at the end
	texts, calls                int // taken by the carriers for offers
	duplicates, afterStop, late int
	unfounded                   int // proven by text or call, and no carrier brought one
}

// chaosSlack is how long a request may be in the carrier's hands before it shows there.
const chaosSlack = time.Second

func (w *chaosWorld) tally() chaosTally {
	w.t.Helper()
	ctx := w.t.Context()
	cfg := w.setup.config()
	key, err := seal.Open(cfg.KeyFile)
	if err != nil {
		w.t.Fatal(err)
	}
	store, err := bolt.Open(cfg.Data, bolt.Options{Sealer: key})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	phones, sent := map[engine.Phone][]sandbox.Item{}, map[engine.OfferID][]sandbox.Item{}
	for phone := range w.people {
		phones[phone] = w.wall.Items(string(phone))
		for _, it := range phones[phone] {
			if id := attemptOf(it); id != "" {
				sent[id.Offer()] = append(sent[id.Offer()], it)
			}
		}
	}
	var offers []reach.State
	n := chaosTally{excluded: map[string]int{}, missed: map[string]int{}, kills: w.kills, starts: w.starts, loads: w.loads, over: w.run.over}
	for _, c := range cfg.Clinics {
		id := engine.ClinicID(c.ID)
		claimed := map[engine.SlotID]time.Time{}
		each(ctx, w.t, store, id, storage.KindSlot, func(s slot.State) {
			events, err := store.Timeline(ctx, id, string(s.Slot.ID), 0, 10_000)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, e := range events {
				if strings.Contains(string(e.Data), `"`+slot.EvClaimed+`"`) {
					claimed[s.Slot.ID] = e.At
					n.claims++
				}
			}
		})
		each(ctx, w.t, store, id, storage.KindOffer, func(of struct{ State reach.State }) {
			if at := claimed[of.State.Offer.Slot()]; !at.IsZero() {
				n.late += w.late(of.State, at, sent[of.State.Offer])
			}
			offers = append(offers, of.State)
		})
		each(ctx, w.t, store, id, storage.KindPatient, func(p engine.Patient) {
			for _, contact := range p.Contacts {
				if contact.Channel == engine.SMS && !contact.OptedOut.IsZero() {
					n.afterStop += afterStop(phones[contact.Phone], contact.OptedOut)
				}
			}
		})
	}
	slices.SortFunc(offers, func(a, b reach.State) int { return a.Started.Compare(b.Started) })
	asked := map[engine.PatientID]bool{}
	for _, s := range offers {
		w.offer(&n, s, asked[s.Person.Patient], sent[s.Offer])
		asked[s.Person.Patient] = true
	}
	for _, items := range phones {
		for _, it := range items {
			if it.Kind == "sms" && !it.Mine {
				segments, _ := wording.Segments(it.Text)
				n.all++
				n.allSegments += segments
			}
		}
	}
	slices.Sort(n.proofs)
	return n
}

func each[T any](ctx context.Context, t *testing.T, s storage.Store, c engine.ClinicID, k storage.Kind, f func(T)) {
	t.Helper()
	for after := ""; ; {
		page, err := s.Scan(ctx, c, k, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range page {
			var v T
			if err := json.Unmarshal(rec.Data, &v); err != nil {
				t.Fatal(err)
			}
			f(v)
			after = rec.Key.ID
		}
		if len(page) == 0 {
			return
		}
	}
}

// attemptOf is the attempt that brought a text or call to a phone; "" for answers to a text.
func attemptOf(it sandbox.Item) engine.AttemptID {
	u, err := url.Parse(it.Callback)
	if err != nil || it.Mine {
		return ""
	}
	return engine.AttemptID(path.Base(u.Path))
}

// asking returns the attempt's delivery when it asks for an answer; what only tells something is not counted.
func asking(s reach.State, it sandbox.Item) (reach.Delivery, bool) {
	id := attemptOf(it)
	i := slices.IndexFunc(s.Deliveries, func(d reach.Delivery) bool {
		return d.ID == id && (d.Kind == engine.MsgOffer || d.Kind == engine.MsgReminder)
	})
	if i < 0 {
		return reach.Delivery{}, false
	}
	return s.Deliveries[i], true
}

// late counts the offer's messages that came to a carrier after its slot was claimed.
func (w *chaosWorld) late(s reach.State, claimed time.Time, items []sandbox.Item) (n int) {
	for _, it := range items {
		if d, ok := asking(s, it); ok && it.At.After(claimed.Add(chaosSlack)) {
			w.t.Logf("%s (%s, try %d, %s) came %v after the claim and %v after it was begun; the offer was closed %v after the claim",
				d.ID, d.Channel, d.Try, d.Status, it.At.Sub(claimed), it.At.Sub(d.At), s.ClosedAt.Sub(claimed))
			n++
		}
	}
	return n
}

// offer counts one offer. again: its person was asked for another slot before.
func (w *chaosWorld) offer(n *chaosTally, s reach.State, again bool, items []sandbox.Item) {
	n.offers++
	asked, delivered, answered, heard := 0, 0, 0, 0
	for _, it := range items {
		if _, ok := asking(s, it); !ok {
			continue
		}
		asked++
		switch {
		case it.Kind == "call":
			n.calls++
			if len(it.Said) > 0 {
				answered++
			}
			if slices.ContainsFunc(it.Said, func(l sandbox.Line) bool { return strings.Contains(l.Say, "Clinique") }) {
				heard++
			}
		default:
			n.texts++
			segments, _ := wording.Segments(it.Text)
			n.segments += segments
			if it.Status == "delivered" {
				delivered++
			}
		}
	}
	n.duplicates += max(0, delivered-1) + max(0, answered-1)
	for _, d := range s.Deliveries {
		if d.Status == reach.Unknown {
			n.unknown++
		}
	}
	end := s.Started.Add(w.run.within)
	if !s.Replied && s.Closed && s.ClosedAt.Before(end) {
		n.excluded[reach.Withdrawn]++
		return
	}
	proved := s.Proven != "" && !s.ProvenAt.After(end)
	n.valid++
	if again {
		n.again++
	}
	if proved {
		n.proved++
		if again {
			n.againProved++
		}
		n.proofs = append(n.proofs, s.ProvenAt.Sub(s.Started))
		if !s.Replied && !s.Heard && (s.Proven == engine.SMS && delivered == 0 || s.Proven == engine.Voice && heard == 0) {
			n.unfounded++
		}
		return
	}
	if asked == 0 && w.nobody(s.Person.Contacts) {
		n.nowhere++
		return
	}
	why := "proof too late"
	if s.Proven == "" {
		why = "never sent"
		var went []string
		for _, d := range s.Deliveries {
			if d.Kind == engine.MsgOffer {
				went = append(went, fmt.Sprintf("%s %s %s", d.Channel, d.Status, d.Reason))
			}
		}
		if went != nil {
			why = strings.Join(went, ", ")
		}
	}
	n.missed[why]++
}

// afterStop counts what came to a phone after its person had opted out, but for the confirmation.
func afterStop(items []sandbox.Item, at time.Time) int {
	n, confirmed := 0, false
	for _, it := range items {
		if it.Mine || !it.At.After(at.Add(chaosSlack)) {
			continue
		}
		if !confirmed && it.Kind == "sms" && len(it.Links) == 0 {
			confirmed = true // or a second later than the store's time of it
			continue
		}
		n++
	}
	return n
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(1, whole)) }

func (n chaosTally) reach() float64 { return percent(n.proved, n.valid) }

func (n chaosTally) reachable() float64 { return percent(n.proved, n.valid-n.nowhere) }

func (n chaosTally) percentile(p int) time.Duration {
	if len(n.proofs) == 0 {
		return 0
	}
	return n.proofs[min(len(n.proofs)-1, len(n.proofs)*p/100)].Round(10 * time.Millisecond)
}

// faults are what must not be; none in a run of what Relais promises.
func (n chaosTally) faults(least float64) []string {
	var bad []string
	check := func(wrong bool, format string, args ...any) {
		if wrong {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	check(n.reach() < least, "reach is %.2f %%", n.reach())
	check(n.duplicates > 0, "%d messages came twice", n.duplicates)
	check(n.afterStop > 0, "%d messages came after the person had opted out", n.afterStop)
	check(n.late > 0, "%d messages left after their slot was claimed", n.late)
	check(n.unfounded > 0, "%d proofs are of texts that no phone has, or of calls in which nobody heard a word of it", n.unfounded)
	return bad
}

func (n chaosTally) String() string {
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("offers, a second", "%d, %.0f", n.offers, float64(n.offers)/n.over.Seconds())
	row("not counted: withdrawn before the time was over", "%d", n.excluded[reach.Withdrawn])
	row("reach: proven / valid", "%d / %d = **%.2f %%**", n.proved, n.valid, n.reach())
	row("the same, without people none of whose numbers exists", "%d / %d = %.2f %%", n.proved, n.valid-n.nowhere, n.reachable())
	row("the same, of people asked before", "%d / %d = %.2f %%", n.againProved, n.again, percent(n.againProved, n.again))
	row("to proof, p50 / p95 / p99", "%v / %v / %v", n.percentile(50), n.percentile(95), n.percentile(99))
	row("texts (segments) / calls taken by carriers", "%d (%d) / %d", n.texts, n.segments, n.calls)
	row("texts (segments) of every kind, an offer", "%.2f (%.2f)", float64(n.all)/float64(max(1, n.offers)), float64(n.allSegments)/float64(max(1, n.offers)))
	row("slots claimed", "%d", n.claims)
	row("messages for claimed slots that left after the claim", "%d", n.late)
	row("duplicates", "%d", n.duplicates)
	row("messages to people who had opted out", "%d", n.afterStop)
	row("outcomes still unknown at the end", "%d", n.unknown)
	row("process killed, longest until it answered again", "%d times, %v", n.kills, slices.Max(append(n.starts, 0)).Round(10*time.Millisecond))
	row("load of the machine, lowest and highest at a start", "%.1f, %.1f", slices.Min(n.loads), slices.Max(n.loads))
	row("missed: no number of theirs exists", "%d", n.nowhere)
	for _, why := range sortedKeys(n.missed) {
		row("missed: "+why, "%d", n.missed[why])
	}
	return b.String()
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// nobody reports whether no number of a person exists.
func (w *chaosWorld) nobody(contacts []engine.Contact) bool {
	return !slices.ContainsFunc(contacts, func(c engine.Contact) bool { return w.carriers[0].Line(string(c.Phone)) != sandbox.LineGone })
}

// machineLoad is the load of the last minute; 0 where the machine does not say.
func machineLoad() (load float64) {
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(text), &load)
	}
	return load
}
