package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/sandbox"
)

// chaosSetup is what a process of the chaos run is told.
type chaosSetup struct {
	Addr, Dir, FHIR string
	Carriers        []chaosCarrier // the main account first
	People, Size    int            // of each clinic; asked for one slot
	Enrol           bool           // they are not on the lists yet
	Uncapped        bool           // the same people are asked again and again
	VoiceAfter      time.Duration
}

// chaosCarrier is one account.
type chaosCarrier struct{ SID, Token, From, Base string }

const chaosClinics = 4

func chaosClinicID(i int) string { return fmt.Sprintf("clinique-%d", i+1) }

// config is what an operator with these accounts would write.
func (s chaosSetup) config() Config {
	cfg := DefaultConfig()
	cfg.Addr, cfg.PublicURL = s.Addr, "http://"+s.Addr
	cfg.Data, cfg.KeyFile = filepath.Join(s.Dir, "store"), filepath.Join(s.Dir, "relais.key")
	cfg.Log.Level = "error"
	cfg.Account.Password = "chaos-chaos-chaos"
	s.accounts(&cfg)
	for i := range chaosClinics {
		var c ClinicConfig
		c.setDefaults()
		c.ID, c.Name, c.Address, c.Phone = chaosClinicID(i), fmt.Sprintf("Clinique %d", i+1), "1, rue du Test", "+15145550142"
		p := &c.Policy
		p.Strategy, p.Size, p.MaxAsked = string(engine.Waves), s.Size, s.Size
		p.Grace, p.Reminders, p.Hours = 0, 0, Hours{}
		p.DayCap, p.WeekCap, p.FarCap = 50, 50, 50 // weeks pass in minutes
		if s.Uncapped {
			p.DayCap, p.WeekCap, p.FarCap = 10_000, 10_000, 10_000
		}
		p.VoiceAfter = Duration(s.VoiceAfter)
		p.VoiceReply = Duration(time.Hour) // calls are for whom texts do not reach
		for d := range 3 {
			c.Practitioners = append(c.Practitioners, PractitionerConfig{ID: fmt.Sprintf("dr%d-%d", i, d), Name: "Dre Roy", Specialty: "dermatology"})
		}
		c.Places = []PlaceConfig{{"ici", "Ici", "1, rue du Test", 45.5, -73.6}}
		c.DME.FHIR = &FHIRConfig{BaseURL: fmt.Sprintf("%s/dme/%s/fhir", s.FHIR, c.ID), Token: "chaos", PollEvery: Duration(time.Second)}
		cfg.Clinics = append(cfg.Clinics, c)
	}
	return cfg
}

// chaosPhones are a person's numbers: for texts, and for calls. One person in five has one number.
func chaosPhones(n int) (text, call engine.Phone) {
	text = engine.Phone(fmt.Sprintf("+1514%d", 2_000_000+n))
	if n%5 == 0 {
		return text, text
	}
	return text, engine.Phone(fmt.Sprintf("+1438%d", 2_000_000+n))
}

// chaosPeople are a clinic's patients and wishes.
func chaosPeople(clinic, n int) ([]engine.Patient, []engine.Entry) {
	var patients []engine.Patient
	var entries []engine.Entry
	since := time.Now().UTC().Add(-100 * 24 * time.Hour)
	for i := range n {
		id, c := fmt.Sprintf("c%d-%d", clinic, i), engine.ClinicID(chaosClinicID(clinic))
		text, call := chaosPhones(clinic*n + i)
		patients = append(patients, engine.Patient{
			ID: engine.PatientID(id), Clinic: c, Given: "Camille", Family: "Essai", Lang: engine.French, Source: "Patient/" + id,
			Contacts: []engine.Contact{
				{Channel: engine.SMS, Phone: text, Consent: since, Proof: "chaos"},
				{Channel: engine.Voice, Phone: call, Consent: since, Proof: "chaos"},
			},
		})
		entries = append(entries, engine.Entry{
			ID: engine.EntryID("e" + id), Clinic: c, Patient: engine.PatientID(id), Status: engine.Waiting, Specialty: "dermatology",
			Joined: since.Add(time.Duration(i) * time.Minute),
		})
	}
	return patients, entries
}

// chaosChild is one life of Relais in the chaos run: the program as it is assembled everywhere, with
// people on its lists.
func chaosChild(ctx context.Context, file string) error {
	data, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return err
	}
	var s chaosSetup
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	cfg := s.config()
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr) // first, as relais serve does
	if err != nil {
		return err
	}
	p, err := assemble(ctx, cfg, newLogger(cfg.Log, os.Stderr), false)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.start(ctx); err != nil {
		return err
	}
	for clinic := range chaosClinics {
		if !s.Enrol {
			break
		}
		patients, entries := chaosPeople(clinic, s.People)
		for i := 0; i < len(patients); i += 1000 {
			end := min(len(patients), i+1000)
			if err := p.relais.Add(ctx, patients[i:end], entries[i:end]); err != nil {
				return err
			}
		}
	}
	fmt.Println("ready")
	return p.serve(ctx, listen)
}

// chaosWorld is everything round the process, which outlives it.
type chaosWorld struct {
	t        *testing.T
	run      chaosRun
	setup    chaosSetup
	dme      *sandbox.DME
	wall     *sandbox.Wall
	carriers []*sandbox.CarrierServer
	people   map[engine.Phone]int // number to person
	mu       sync.Mutex
	asked    map[int]int // how many texts with an offer a person has had
	life     *exec.Cmd
	gone     chan struct{}
	kills    int
	starts   []time.Duration // of the lives after a kill, until they answer
	loads    []float64       // of the machine at each start
	closing  atomic.Bool
	hears    func(sandbox.Arrival) // instead of the people of the chaos run
}

func newChaosWorld(t *testing.T, run chaosRun) *chaosWorld {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(err)
	addr := free.Addr().String()
	must(free.Close())
	w := &chaosWorld{t: t, run: run, people: map[engine.Phone]int{}, asked: map[int]int{}, setup: chaosSetup{
		Addr: addr, Dir: dir, People: run.slots*run.size/chaosClinics/run.rounds*11/10 + run.size, Size: run.size, VoiceAfter: run.voiceAfter,
	}}
	w.dme, err = sandbox.OpenDME(filepath.Join(dir, "dme.db"), sandbox.DMEConfig{})
	must(err)
	t.Cleanup(func() { _ = w.dme.Close() })
	fhir := httptest.NewServer(w.dme.Handler())
	t.Cleanup(fhir.Close)
	w.setup.FHIR = fhir.URL
	var book []sandbox.Person
	for n := range chaosClinics * w.setup.People {
		text, call := chaosPhones(n)
		w.people[text], w.people[call] = n, n
		book = append(book, sandbox.Person{Name: "Camille", Phone: string(text)}, sandbox.Person{Name: "Camille", Phone: string(call)})
	}
	w.wall, err = sandbox.OpenWall("", book, nil)
	must(err)
	t.Cleanup(func() { _ = w.wall.Close() })
	for i := range 2 {
		w.carrier(i)
	}
	if run.noFailover {
		w.setup.Carriers = w.setup.Carriers[:1]
	}
	for _, c := range w.setup.config().Clinics {
		_, err := w.dme.SeedClinic(sandbox.Seed{Clinic: c.Clinic(), Token: "chaos", Number: run.seed})
		must(err)
	}
	t.Cleanup(func() { w.end(syscall.SIGKILL) })
	return w
}

// carrier starts the nth account.
func (w *chaosWorld) carrier(n int) {
	account := chaosCarrier{
		SID: fmt.Sprintf("AC%032d", n+1), Token: fmt.Sprintf("token%d", n+1), From: fmt.Sprintf("+1514555010%d", n),
	}
	var c *sandbox.CarrierServer
	c, err := sandbox.StartCarrier(sandbox.CarrierConfig{
		Wall: w.wall, AccountSID: account.SID, AuthToken: account.Token, From: account.From, Seed: w.run.seed,
		SmsURL: "http://" + w.setup.Addr + "/hooks/twilio/sms", Second: w.run.second, Log: slog.New(slog.DiscardHandler),
		Arrived: func(a sandbox.Arrival) { w.arrived(c, a) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetChaos(w.run.chaos); err != nil {
		w.t.Fatal(err)
	}
	account.Base = c.BaseURL()
	if w.run.liar {
		account.Base = w.liar(account.Base)
	}
	w.carriers, w.setup.Carriers = append(w.carriers, c), append(w.setup.Carriers, account)
}

// liar stands before a carrier and says of what was taken without an answer that it was not: as if
// Relais took the unknown for failed.
func (w *chaosWorld) liar(base string) string {
	to, err := url.Parse(base)
	if err != nil {
		w.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	proxy.ErrorHandler = func(rw http.ResponseWriter, _ *http.Request, _ error) {
		rw.Header().Set("Retry-After", "1")
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(rw, `{"code":20429,"status":429,"message":"Too many requests"}`)
	}
	s := httptest.NewServer(proxy)
	w.t.Cleanup(s.Close)
	return s.URL
}

// arrived plays the people: they pick up, some say yes, some want no more messages.
func (w *chaosWorld) arrived(c *sandbox.CarrierServer, a sandbox.Arrival) {
	n, ok := w.people[engine.Phone(a.Phone)]
	if !ok || w.closing.Load() {
		return
	}
	if w.hears != nil {
		w.hears(a)
		return
	}
	if a.Call {
		_ = c.Answer(a.SID) // it may have ended
		return
	}
	if !strings.Contains(a.Text, "OUI ou NON") {
		return
	}
	w.mu.Lock()
	n += w.asked[n] * chaosClinics * w.setup.People // each time they feel different about it
	w.asked[w.people[engine.Phone(a.Phone)]]++
	w.mu.Unlock()
	var says string
	var after time.Duration
	switch {
	case n%97 == 5:
		says, after = "ARRET", w.run.within/60
	case n%250 == 7: // one slot in five is taken before the time is over, and its other offers do not count
		says, after = "OUI", w.run.within/10+w.run.within*time.Duration(n%7)/10
	case n%25 == 3:
		says, after = "OUI", w.run.within*11/10+w.run.within*time.Duration(n%7)/20
	default:
		return
	}
	t := time.NewTimer(after)
	defer t.Stop()
	select {
	case <-t.C:
		_ = c.TextFrom(a.Phone, says)
	case <-w.t.Context().Done():
	}
}

// begin starts a life of the process and waits until it serves.
func (w *chaosWorld) begin() {
	w.t.Helper()
	began := time.Now()
	w.setup.Enrol = w.kills == 0
	file := filepath.Join(w.setup.Dir, "setup.json")
	data, err := json.Marshal(w.setup)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.life = relais(w.t, file)
	w.life.Args[0] = "relais-chaos"
	w.life.Stderr = os.Stderr
	out, err := w.life.StdoutPipe()
	if err == nil {
		err = w.life.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.gone = make(chan struct{})
	line, err := bufio.NewReader(out).ReadString('\n')
	go func(life *exec.Cmd, gone chan struct{}) {
		_, _ = io.Copy(io.Discard, out)
		_ = life.Wait()
		close(gone)
	}(w.life, w.gone)
	if err != nil || line != "ready\n" {
		w.t.Fatalf("the process did not start: %q, %v", line, err)
	}
	if w.kills > 0 {
		w.starts = append(w.starts, time.Since(began))
	}
	w.loads = append(w.loads, machineLoad())
}

// end ends the life that runs.
func (w *chaosWorld) end(how syscall.Signal) {
	if w.life == nil {
		return
	}
	_ = w.life.Process.Signal(how) // it may have ended
	<-w.gone
	w.life = nil
}
