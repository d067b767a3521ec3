package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
	"relais/transport/fhir"
)

const (
	manyClinics = 1000
	manyChanges = 1200
	changeEvery = time.Second / 20
	manyPoll    = 2 * time.Second
	manySecret  = "a-secret-of-the-farm"
)

// BenchmarkManyClinics connects 1,000 clinics to one process and cancels 20 appointments a second, each in
// another clinic. Each freed slot is given to somebody at once. It reports the time from the cancellation,
// by the record system's clock, to the slot opened, and from the command to the booking in the record
// system. FHIR servers run in a process of their own, on the same machine; the record systems that speak
// HL7 in this one, over one connection to one listener.
func BenchmarkManyClinics(b *testing.B) {
	b.Run("push", func(b *testing.B) {
		manyCancelled(b, func() *crowd { return openCrowd(b, manyClinics, 1, true) })
	})
	b.Run("poll", func(b *testing.B) {
		manyCancelled(b, func() *crowd { return openCrowd(b, manyClinics, 1, false) })
	})
	b.Run("mllp", func(b *testing.B) {
		manyCancelled(b, func() *crowd { return openParties(b, manyClinics, 2) })
	})
}

// stopwatch takes the times that the actors tell.
type stopwatch struct {
	clinicMetrics
	mu       sync.Mutex
	detected []time.Duration
	written  []time.Duration
	refused  int
	given    map[engine.ClinicID]time.Time
	opened   map[engine.ClinicID]chan struct{}
}

func (s *stopwatch) Opened(c engine.ClinicID, detected time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detected = append(s.detected, detected)
	close(s.opened[c])
}

func (s *stopwatch) WriteBack(c engine.ClinicID, outcome string, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if outcome == "booked" {
		s.written = append(s.written, time.Since(s.given[c]))
	} else {
		s.refused++
	}
}

// crowd is Relais with many clinics.
type crowd struct {
	b      *testing.B
	store  storage.Store
	opt    actors.Options
	relais *actors.Relais
	watch  *stopwatch
	cancel func(context.Context, engine.ClinicID, desk.Card) error // in the record system
	// servers are the record systems, when they run in a process of their own.
	servers *os.Process
}

// newCrowd is Relais without clinics and not started.
func newCrowd(b *testing.B) *crowd {
	b.Helper()
	dir := b.TempDir()
	sealer, err := seal.OpenOrCreate(filepath.Join(dir, "key"))
	if err != nil {
		b.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "store"), bolt.Options{Sealer: sealer})
	if err != nil {
		b.Fatal(err)
	}
	m := newMetrics()
	c := &crowd{b: b, store: store, watch: &stopwatch{
		clinicMetrics: clinicMetrics{m, func(engine.ClinicID, health.Status, health.Status) {}},
		given:         map[engine.ClinicID]time.Time{}, opened: map[engine.ClinicID]chan struct{}{},
	}}
	c.opt = actors.Options{
		Store: store, DMEs: map[engine.ClinicID]actors.DME{}, Poll: map[engine.ClinicID]time.Duration{}, Links: links("https://relais.example"),
		Senders: map[engine.Channel]actors.Sender{engine.SMS: notConfigured{}, engine.Voice: notConfigured{}, engine.EmailMail: notConfigured{}},
		Caller:  notConfigured{}, Logger: slog.New(slog.DiscardHandler), Observer: actorFaults{m}, Metrics: c.watch,
		Invite: func(engine.BookingID, engine.Clinic, engine.Lang, time.Time, time.Time) []byte { return nil },
	}
	return c
}

// start runs Relais until the benchmark ends, and waits until every clinic is healthy.
func (c *crowd) start() {
	c.b.Helper()
	var err error
	if c.relais, err = actors.New(c.opt); err != nil {
		c.b.Fatal(err)
	}
	c.b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		c.relais.Stop(ctx)
		_ = c.store.Close()
	})
	began := time.Now()
	if err := c.relais.Start(c.b.Context()); err != nil {
		c.b.Fatal(err)
	}
	clinics := len(c.opt.Clinics)
	c.enrol(clinics)
	c.healthy(clinics)
	c.b.ReportMetric(time.Since(began).Seconds(), "start-s")
}

func openCrowd(b *testing.B, clinics, practitioners int, push bool) *crowd {
	b.Helper()
	address, servers := startFarm(b, clinics, practitioners)
	c := newCrowd(b)
	c.servers = servers
	systems := map[engine.ClinicID]*fhir.Client{}
	for n := range clinics {
		clinic := farmClinic(n, practitioners)
		client, err := fhir.New(fhir.Config{
			Clinic: clinic.ID, BaseURL: address + "/dme/" + string(clinic.ID) + "/fhir", Log: c.opt.Logger, SignIn: fhir.Bearer(farmToken),
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(client.Close)
		systems[clinic.ID] = client
		c.opt.Clinics, c.opt.DMEs[clinic.ID] = append(c.opt.Clinics, clinic), client
		c.opt.Poll[clinic.ID] = manyPoll
		if push {
			c.opt.Poll[clinic.ID] = 2 * manyPoll // finds what a lost hint would have told
		}
	}
	c.cancel = func(ctx context.Context, id engine.ClinicID, card desk.Card) error {
		appointment := fmt.Sprintf("rv-%s-%s", card.Practitioner, card.Start.UTC().Format("20060102T1504"))
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/sandbox/api/dme/"+string(id)+"/appointments/"+appointment+"/cancel", strings.NewReader("{}"))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNoContent {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		return nil
	}
	c.start()
	if push {
		c.subscribe(systems)
	}
	return c
}

func (c *crowd) enrol(clinics int) {
	c.b.Helper()
	for n := range clinics {
		var patients []engine.Patient
		var entries []engine.Entry
		for i := range farmPeople {
			p := farmPatient(n, i)
			patients = append(patients, p)
			entries = append(entries, engine.Entry{ID: engine.EntryID("e" + string(p.ID)), Clinic: p.Clinic, Patient: p.ID, Status: engine.Waiting, Specialty: "dermatology", Joined: time.Now()})
		}
		if err := c.relais.Add(c.b.Context(), patients, entries); err != nil {
			c.b.Fatal(err)
		}
	}
}

// manyWithin bounds every wait of this benchmark.
const manyWithin = 5 * time.Minute

func (c *crowd) healthy(clinics int) {
	c.b.Helper()
	look, end := time.NewTicker(100*time.Millisecond), time.After(manyWithin)
	defer look.Stop()
	for n := 0; n < clinics; {
		s, err := c.relais.Health(c.b.Context(), farmID(n))
		if err == nil && s.Status == health.Healthy {
			n++
			continue
		}
		select {
		case <-look.C:
		case <-end:
			c.b.Fatalf("clinic %d of %d is %s after %v: %s, %v", n, clinics, s.Status, manyWithin, s.Detail, err)
		case <-c.b.Context().Done():
			c.b.Fatal("stopped")
		}
	}
}

// subscribe asks every record system for hints.
func (c *crowd) subscribe(systems map[engine.ClinicID]*fhir.Client) {
	c.b.Helper()
	mux := http.NewServeMux()
	mux.Handle("/hooks/fhir/{clinic}", fhir.HookHandler(func(engine.ClinicID) string { return manySecret }, func(id engine.ClinicID, _ bool) { c.relais.Nudge(id) }, nil))
	server := httptest.NewServer(mux)
	c.b.Cleanup(server.Close)
	for id, client := range systems {
		if err := client.Subscribe(c.b.Context(), server.URL+"/hooks/fhir/"+string(id), manySecret); err != nil {
			c.b.Fatal(err)
		}
	}
}

// free cancels an appointment of a clinic, and gives its slot to the nth person once it is open.
func (c *crowd) free(id engine.ClinicID, nth int, card desk.Card) error {
	ctx, s := c.b.Context(), c.watch
	open := make(chan struct{})
	s.mu.Lock()
	s.opened[id] = open
	s.mu.Unlock()
	if err := c.cancel(ctx, id, card); err != nil {
		return fmt.Errorf("cancel at %s: %w", id, err)
	}
	select {
	case <-open:
	case <-time.After(time.Minute):
		return fmt.Errorf("%s was not opened within a minute", card.ID)
	}
	s.mu.Lock()
	s.given[id] = time.Now()
	s.mu.Unlock()
	entry := engine.EntryID("e" + string(engine.PatientID(fmt.Sprintf("p-%s-%d", strings.TrimPrefix(string(id), "c"), nth))))
	_, err := c.relais.Act(ctx, id, card.ID, "bench", "", desk.Action{Action: "book", Entry: entry})
	return err
}

// reserved is an appointment of a clinic in two days or later.
func (c *crowd) reserved(id engine.ClinicID, nth int) desk.Card {
	c.b.Helper()
	s, err := c.relais.Snapshot(c.b.Context(), id)
	if err != nil {
		c.b.Fatal(err)
	}
	slices.SortFunc(s.Cards, func(a, b desk.Card) int { return a.Start.Compare(b.Start) })
	for _, card := range s.Cards {
		if card.State == desk.Reserved && time.Until(card.Start) > 48*time.Hour {
			if nth--; nth < 0 {
				return card
			}
		}
	}
	c.b.Fatalf("%s has nothing to cancel", id)
	return desk.Card{}
}

func manyCancelled(b *testing.B, connect func() *crowd) {
	b.Helper()
	for b.Loop() {
		c := connect()
		cards := make([]desk.Card, manyChanges)
		for i := range cards {
			cards[i] = c.reserved(farmID(i%manyClinics), i/manyClinics)
		}
		heap, resident, goroutines := footprint(b)
		began, used, theirs := time.Now(), processorTime(b), c.serverTime()
		tick := time.NewTicker(changeEvery)
		var work sync.WaitGroup
		for i, card := range cards {
			<-tick.C
			work.Go(func() {
				if err := c.free(farmID(i%manyClinics), i/manyClinics, card); err != nil {
					b.Error(err)
				}
			})
		}
		work.Wait()
		tick.Stop()
		b.ReportMetric(100*(processorTime(b)-used).Seconds()/time.Since(began).Seconds(), "%-of-a-core")
		if c.servers != nil {
			b.ReportMetric(100*(c.serverTime()-theirs).Seconds()/time.Since(began).Seconds(), "servers-%-of-a-core")
		}
		deadline := time.Now().Add(30 * time.Second)
		for len(c.watch.times()) < manyChanges && time.Now().Before(deadline) {
			<-time.After(100 * time.Millisecond)
		}
		s := c.watch
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.detected) != manyChanges || len(s.written) != manyChanges {
			b.Fatalf("%d of %d seen, %d written", len(s.detected), manyChanges, len(s.written))
		}
		b.ReportMetric(0, "ns/op") // most of it is waiting
		b.ReportMetric(quantile(s.detected, .5), "seen-p50-ms")
		b.ReportMetric(quantile(s.detected, .99), "seen-p99-ms")
		b.ReportMetric(quantile(s.written, .5), "written-p50-ms")
		b.ReportMetric(quantile(s.written, .99), "written-p99-ms")
		b.ReportMetric(float64(s.refused), "tried-again")
		b.ReportMetric(heap, "heap-MiB")
		b.ReportMetric(resident, "resident-MiB")
		b.ReportMetric(float64(goroutines), "goroutines")
	}
}

func (s *stopwatch) times() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverTime is what the process of the record systems has used so far, 0 when there is none.
func (c *crowd) serverTime() time.Duration {
	c.b.Helper()
	if c.servers == nil {
		return 0
	}
	data, err := os.ReadFile("/proc/" + strconv.Itoa(c.servers.Pid) + "/stat")
	if err != nil {
		c.b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ") // after the name, which may hold anything
	fields := strings.Fields(rest)
	sum := 0
	for _, f := range fields[11:13] { // user and system
		n, err := strconv.Atoi(f)
		if err != nil {
			c.b.Fatal(err)
		}
		sum += n
	}
	const ticks = 100 // a second, on every Linux that Go runs on
	return time.Duration(sum) * time.Second / ticks
}

// BenchmarkReconcile reads and compares a record system of 50,000 slots after a suspension ended: the time
// from the word of the front desk to trust.
func BenchmarkReconcile(b *testing.B) {
	const practitioners = 250 // with 24 slots or 16 a day, on ten days
	c := openCrowd(b, 1, practitioners, false)
	id, ctx := farmID(0), b.Context()
	s, err := c.relais.Sync(ctx, id)
	if err != nil {
		b.Fatal(err)
	}
	ours, theirs := processorTime(b), c.serverTime()
	for b.Loop() {
		if err := c.relais.Hold(ctx, id, "bench", true); err != nil {
			b.Fatal(err)
		}
		if err := c.relais.Hold(ctx, id, "bench", false); err != nil {
			b.Fatal(err)
		}
		c.healthy(1)
	}
	b.ReportMetric((processorTime(b)-ours).Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric((c.serverTime()-theirs).Seconds()/float64(b.N), "servers-cpu-s/op")
	heap, resident, _ := footprint(b)
	b.ReportMetric(float64(s.Slots), "slots")
	b.ReportMetric(float64(s.Appointments), "appointments")
	b.ReportMetric(heap, "heap-MiB")
	b.ReportMetric(resident, "resident-MiB")
}
