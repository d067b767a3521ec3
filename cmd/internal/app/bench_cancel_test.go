package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/storage"
	"relais/transport/sandbox"
)

// BenchmarkCancellation cancels appointments in the demo's record systems, a good number a second, and
// reports the time from the cancellation to the first message of its slot in a carrier's hands. Both
// ends of that are the sandbox's: Relais sees the cancellation over FHIR and sends over the carrier's
// HTTP and the mailbox's SMTP, as it does in production.
func BenchmarkCancellation(b *testing.B) {
	b.Run("hook", func(b *testing.B) { cancellations(b, true) })
	b.Run("poll", func(b *testing.B) { cancellations(b, false) })
}

const (
	cancelled   = 120
	cancelEvery = 150 * time.Millisecond // on average; the spacing is drawn, so that it follows no poll's beat
)

func cancellations(b *testing.B, hook bool) {
	b.Helper()
	for b.Loop() {
		w, p := demoInside(b, hook)
		appointments := w.later24(b)
		rnd := rand.New(rand.NewPCG(1, 2))
		at, first := map[engine.SlotID]time.Time{}, map[engine.SlotID]time.Time{}
		for i, a := range appointments[:cancelled] {
			if i%30 == 29 { // the wall shows no more than the last 300 people
				firstMessages(b, p, w.wall, at, first)
			}
			at[a.slot] = time.Now()
			if err := w.dme.Cancel(a.clinic, a.id); err != nil {
				b.Fatal(err)
			}
			wait := time.NewTimer(time.Duration(rnd.Int64N(int64(2 * cancelEvery))))
			select {
			case <-wait.C:
			case <-b.Context().Done():
				b.Fatal("stopped")
			}
		}
		deadline := time.After(15 * time.Second)
		look := time.NewTicker(500 * time.Millisecond)
		for len(first) < len(at) {
			select {
			case <-look.C:
				firstMessages(b, p, w.wall, at, first)
				continue
			case <-deadline:
			}
			break
		}
		look.Stop()
		if len(first) < len(at) {
			b.Fatalf("%d of %d cancellations led to a message", len(first), len(at))
		}
		var took []time.Duration
		for id, sent := range first {
			took = append(took, sent.Sub(at[id]))
		}
		b.ReportMetric(0, "ns/op") // most of it is waiting
		b.ReportMetric(quantile(took, .5), "p50-ms")
		b.ReportMetric(quantile(took, .99), "p99-ms")
		b.ReportMetric(quantile(took, 1), "max-ms")
		b.ReportMetric(float64(len(took)), "cancellations")
	}
}

// demoInside runs the demo in this process, with record systems that send hints or not.
func demoInside(b *testing.B, hook bool) (*world, *program) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	opt := DemoOptions{Addr: "127.0.0.1:0", Data: b.TempDir(), Quiet: true, WaveEvery: time.Hour, Seed: 1, Patients: 900}
	log := slog.New(slog.DiscardHandler)
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", opt.Addr)
	if err != nil {
		b.Fatal(err)
	}
	w, err := openWorld(ctx, opt, log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.close)
	base := "http://" + listen.Addr().String()
	cfg := w.config(opt, base)
	for i := range cfg.Clinics {
		// A call is no first message here: it comes when texts do not get through.
		cfg.Clinics[i].Policy.VoiceAfter, cfg.Clinics[i].Policy.VoiceReply = Duration(time.Hour), Duration(time.Hour)
		if !hook {
			cfg.Clinics[i].DME.FHIR.HookSecret = ""
		}
	}
	p, err := assemble(ctx, cfg, log, true)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.close)
	served := make(chan error, 1)
	b.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	})
	go func() { served <- p.serve(ctx, listen) }()
	if err := p.start(ctx); err != nil {
		b.Fatal(err)
	}
	if err := w.enrol(ctx, p); err != nil {
		b.Fatal(err)
	}
	w.carrier.SetSmsURL(base + "/hooks/twilio/sms")
	h := &hall{tb: b, wall: &instantCarrier{}}
	h.until("the record systems are healthy", func() bool {
		for _, c := range cfg.Clinics {
			s, err := p.relais.Health(ctx, engine.ClinicID(c.ID))
			if err != nil || s.Status != "healthy" {
				return false
			}
			// The first cancellation must find its subscription: it is made by itself after the start.
			if hook && !w.subscribed(b, c.ID) {
				return false
			}
		}
		return true
	})
	return w, p
}

// subscribed reports whether Relais asked a record system for hints.
func (w *world) subscribed(b *testing.B, clinic string) bool {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, w.fhirURL+"/dme/"+clinic+"/fhir/Subscription?status=active,requested", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var found struct{ Entry []json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&found); err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("search the subscriptions: %d, %v", res.StatusCode, err)
	}
	return len(found.Entry) > 0
}

type toCancel struct {
	clinic, id string
	slot       engine.SlotID
}

// later24 lists appointments that start in a day or later, of both clinics in turn.
func (w *world) later24(b *testing.B) []toCancel {
	b.Helper()
	var lists [][]toCancel
	for _, r := range w.dme.Records() {
		var list []toCancel
		for _, a := range r.Appointments {
			if a.ID != "" && a.Status == "booked" && time.Until(a.Start) > 24*time.Hour {
				clinic := engine.ClinicID(r.Clinic)
				list = append(list, toCancel{r.Clinic, a.ID, engine.NewSlotID(clinic, "Slot/"+a.Slot, a.Start)})
			}
		}
		if len(list) < cancelled/2 {
			b.Fatalf("%s has %d appointments to cancel", r.Clinic, len(list))
		}
		lists = append(lists, list)
	}
	var all []toCancel
	for i := range cancelled / len(lists) {
		for _, l := range lists {
			all = append(all, l[i])
		}
	}
	return all
}

// firstMessages notes when the first text or mail about each cancelled slot was taken: a text by the
// attempt that brought it, since not every text has room for a link, a mail by its links.
func firstMessages(b *testing.B, p *program, wall *sandbox.Wall, at, first map[engine.SlotID]time.Time) {
	b.Helper()
	for _, t := range wall.Threads() {
		for _, item := range t.Items {
			if item.Mine {
				continue
			}
			about := []engine.SlotID{attemptOf(item).Offer().Slot()}
			for _, link := range item.Links {
				about = append(about, slotOfLink(b, p, strings.TrimSuffix(link, "/no")))
			}
			for _, id := range about {
				if _, ours := at[id]; !ours {
					continue
				}
				if was, ok := first[id]; !ok || item.At.Before(was) {
					first[id] = item.At
				}
			}
		}
	}
}

// slotOfLink looks up, as Relais does, which slot a patient's link is about; "" for other links.
func slotOfLink(b *testing.B, p *program, link string) engine.SlotID {
	b.Helper()
	_, token, ok := strings.Cut(link, "/o/")
	if !ok {
		return ""
	}
	token, _, _ = strings.Cut(token, "/")
	sum := sha256.Sum256([]byte(token))
	rec, err := p.store.Get(b.Context(), storage.Key{Clinic: storage.Shared, Kind: storage.KindToken, ID: hex.EncodeToString(sum[:16])})
	if err != nil {
		b.Fatalf("a link leads nowhere: %v", err)
	}
	var where struct{ Offer engine.OfferID }
	if err := json.Unmarshal(rec.Data, &where); err != nil {
		b.Fatal(err)
	}
	return where.Offer.Slot()
}
