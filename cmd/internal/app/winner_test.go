package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
	"relais/transport/sandbox"
)

// winnerRun has patients, the front desk and the clinic race for slots while the process is killed.
type winnerRun struct {
	seed    uint64
	kills   int
	forgets bool // broken on purpose: at each kill the disk loses what it said it had since the kill before
}

// TestOneWinner kills the real server at random moments, KILLS times (6; make winner: 1,000), while people
// say yes and no on their pages, the front desk withdraws slots and gives them away, and the clinic books
// them in its record system. What everybody was told must be linearizable: at most one winner a slot, and
// nobody told something that is forgotten.
func TestOneWinner(t *testing.T) {
	if testing.Short() {
		t.Skip("killing the process takes half a minute")
	}
	t.Parallel()
	run := winnerRun{seed: 7, kills: 6}
	if n, err := strconv.Atoi(os.Getenv("KILLS")); err == nil {
		run.kills = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		run.seed = n
	}
	w := run.play(t)
	lies := w.check()
	t.Logf("seed %d: %s", run.seed, w)
	for _, l := range lies {
		t.Error(l)
	}
	if w.answers[engine.AnsBooked]+w.answers[engine.AnsFinalising] == 0 || w.answers[engine.AnsTaken] == 0 {
		t.Error("nobody won, or nobody came too late: too little happened")
	}
}

// TestOneWinnerCatches puts back, at each kill, the store as it was at the kill before, as a disk does that
// says "written" too early.
func TestOneWinnerCatches(t *testing.T) {
	if os.Getenv("KILLS") == "" {
		t.Skip("needs KILLS: make winner")
	}
	run := winnerRun{seed: 7, kills: 30, forgets: true}
	w := run.play(t)
	lies := w.check()
	if len(lies) == 0 {
		t.Errorf("a disk that forgets was not noticed: %s", w)
		return
	}
	t.Logf("%d lies were found, for example: %s", len(lies), lies[0])
}

// winnerWorld is a run and what was said in it.
type winnerWorld struct {
	*chaosWorld
	run   winnerRun
	start time.Time
	http  *http.Client
	desk  *http.Client

	mu      sync.Mutex
	seen    map[string]bool // tokens that somebody acts on
	history []winnerRecord
	answers map[engine.AnswerKind]int
	result  string
	busy    sync.WaitGroup
	over    chan struct{} // closed when no more kills come
}

// winnerRecord is an operation before its slot is known: a link says no more than its token.
type winnerRecord struct {
	token, slot string // one of them; slot is clinic/identifier in the record system
	do, who     string
	out         engine.AnswerKind
	call, ret   time.Duration
}

const winnerSize = 6 // people asked for a slot

func (run winnerRun) play(t *testing.T) *winnerWorld {
	t.Helper()
	slots := min(1600, max(24, run.kills*3/2))
	w := &winnerWorld{
		chaosWorld: newChaosWorld(t, chaosRun{
			seed: run.seed, slots: slots, size: winnerSize, within: time.Minute, voiceAfter: 2 * time.Hour, second: 20 * time.Millisecond, rounds: 1,
		}),
		run: run, seen: map[string]bool{}, answers: map[engine.AnswerKind]int{}, over: make(chan struct{}),
		http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.desk = &http.Client{Timeout: 10 * time.Second, Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	w.setup.Uncapped = true
	w.setup.People = min(w.setup.People, 20+slots/2) // so that people are asked again and again
	w.hears = func(a sandbox.Arrival) { w.arrive(a) }
	w.start = time.Now()
	w.begin()
	w.signIn()
	dice := rand.New(rand.NewPCG(run.seed, 1))
	freed, deskDone := make(chan struct{}), make(chan struct{})
	go func() { defer close(freed); w.free(slots) }()
	go func() { defer close(deskDone); w.clerk() }()
	data, kept := w.setup.config().Data, filepath.Join(w.setup.Dir, "kept")
	for range run.kills {
		w.pause(time.Duration(300+dice.IntN(1700)) * time.Millisecond)
		w.end(syscall.SIGKILL)
		w.kills++
		if run.forgets {
			w.forget(data, kept)
		}
		w.begin()
	}
	close(w.over)
	<-freed
	<-deskDone
	w.settle()
	w.closing.Store(true)
	w.busy.Wait()
	w.end(syscall.SIGTERM)
	return w
}

// forget swaps the store for its copy of the kill before, and keeps a copy of what it is now.
func (w *winnerWorld) forget(data, kept string) {
	w.t.Helper()
	now := filepath.Join(w.setup.Dir, "now")
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	must(os.RemoveAll(now))
	must(os.CopyFS(now, os.DirFS(data)))
	if _, err := os.Stat(kept); err == nil && w.kills%2 == 0 {
		must(os.RemoveAll(data))
		must(os.CopyFS(data, os.DirFS(kept)))
	}
	must(os.RemoveAll(kept))
	must(os.Rename(now, kept))
}

func (w *winnerWorld) now() time.Duration { return time.Since(w.start) }

func (w *winnerWorld) record(r winnerRecord) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, r)
	w.answers[r.out]++
}

func (w *winnerWorld) signIn() {
	w.t.Helper()
	cfg := w.setup.config()
	body := fmt.Sprintf(`{"account":%q,"password":%q}`, cfg.Account.ID, string(cfg.Account.Password))
	resp, err := w.desk.Post("http://"+w.setup.Addr+"/api/v1/session", "application/json", strings.NewReader(body)) //nolint:noctx // it has a timeout
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("sign in: status %d", resp.StatusCode)
	}
}

// free cancels appointments, as fast as the process is killed.
func (w *winnerWorld) free(slots int) {
	dice := rand.New(rand.NewPCG(w.run.seed, 2))
	var ids [][2]string
	for _, r := range w.dme.Records() {
		for _, a := range r.Appointments {
			if a.Status == "booked" && time.Until(a.Start) > 26*time.Hour {
				ids = append(ids, [2]string{r.Clinic, a.ID})
			}
		}
	}
	dice.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	every := time.Duration(w.run.kills) * 1700 * time.Millisecond / time.Duration(slots)
	for _, id := range ids[:min(slots, len(ids))] {
		if err := w.dme.Cancel(id[0], id[1]); err != nil {
			w.t.Error(err)
		}
		select {
		case <-w.over:
		default:
			w.pause(every)
		}
	}
}

// clerk withdraws slots, gives some to people by hand, and books some in the record system for callers.
func (w *winnerWorld) clerk() {
	dice := rand.New(rand.NewPCG(w.run.seed, 3))
	for {
		select {
		case <-w.over:
			return
		default:
		}
		w.pause(time.Duration(50+dice.IntN(150)) * time.Millisecond)
		clinic := chaosClinicID(dice.IntN(chaosClinics))
		var snap desk.Snapshot
		if !w.get("/api/v1/clinics/"+clinic+"/calendar", &snap) {
			continue
		}
		var open []desk.Card
		for _, c := range snap.Cards {
			if c.State == desk.Offered {
				open = append(open, c)
			}
		}
		if len(open) == 0 {
			continue
		}
		c := open[dice.IntN(len(open))]
		place, ok := w.place(clinic, c)
		if !ok {
			continue
		}
		switch n := dice.IntN(10); {
		case n < 4:
			r := winnerRecord{slot: place, do: doPhone, call: w.now(), out: outNo}
			if err := w.dme.BookByPhone(clinic, strings.TrimPrefix(place, clinic+"/")); err == nil {
				r.out = outOK
			}
			r.ret = w.now()
			w.record(r)
		case n < 6:
			w.act(clinic, place, c, desk.Action{Action: string(slot.Withdraw), Revision: c.Revision}, doWithdraw, "")
		case n < 8:
			var d desk.Detail
			if !w.get("/api/v1/clinics/"+clinic+"/slots/"+string(c.ID), &d) {
				continue
			}
			for _, o := range d.Others {
				if o.Rank > 0 && o.Obstacle == "" {
					w.act(clinic, place, d.Card, desk.Action{Action: "book", Revision: d.Card.Revision, Entry: o.Entry}, doGive, string(o.ID))
					break
				}
			}
		}
	}
}

// place finds a card's slot in the record system.
func (w *winnerWorld) place(clinic string, c desk.Card) (string, bool) {
	for _, r := range w.dme.Records() {
		for _, a := range r.Appointments {
			if r.Clinic == clinic && a.Start.Equal(c.Start) && a.Practitioner == string(c.Practitioner) {
				return clinic + "/" + a.Slot, true
			}
		}
	}
	return "", false
}

func (w *winnerWorld) get(path string, into any) bool {
	resp, err := w.desk.Get("http://" + w.setup.Addr + path) //nolint:noctx // it has a timeout
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(into) == nil
}

// act posts a command of the front desk and keeps what came of it.
func (w *winnerWorld) act(clinic, place string, c desk.Card, a desk.Action, do, who string) {
	body, err := json.Marshal(a)
	if err != nil {
		w.t.Error(err)
		return
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost,
		"http://"+w.setup.Addr+"/api/v1/clinics/"+clinic+"/slots/"+string(c.ID)+"/actions", strings.NewReader(string(body)))
	if err != nil {
		w.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprint("key-", w.now()))
	r := winnerRecord{slot: place, do: do, who: who, call: w.now()}
	resp, err := w.desk.Do(req)
	r.ret = w.now()
	switch {
	case unsent(err):
		return
	case err != nil || resp.StatusCode >= 500:
		r.out = outUnknown
	case resp.StatusCode == http.StatusOK:
		r.out = outOK
	default:
		r.out = outNo
	}
	if err == nil {
		_ = resp.Body.Close()
	}
	w.record(r)
}

// unsent reports an error that says that nobody heard the request.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

var offerLink = regexp.MustCompile(`/o/([A-Za-z0-9_-]{8,})`)

// arrive plays somebody who gets a text: once for each offer, some say yes, some no, some wait.
func (w *winnerWorld) arrive(a sandbox.Arrival) {
	m := offerLink.FindStringSubmatch(a.Text)
	if a.Call || m == nil {
		return
	}
	token := m[1]
	w.mu.Lock()
	known := w.seen[token]
	w.seen[token] = true
	w.mu.Unlock()
	if known {
		return
	}
	who := w.person(a.Phone)
	w.busy.Go(func() {
		n := rand.IntN(100) // a person's whim: only kills and slots follow the seed
		w.pause(time.Duration(rand.IntN(1200)) * time.Millisecond)
		switch {
		case n < 60:
			for range 4 {
				out := w.press(token, who, doClaim, "/yes")
				if out == engine.AnsFinalising || out == engine.AnsPaused {
					w.pause(500 * time.Millisecond)
					w.press(token, who, doRead, "")
				}
				if out != outUnknown && out != outNo {
					return
				}
				w.pause(500 * time.Millisecond) // and again, as people do
			}
		case n < 75:
			w.press(token, who, doDecline, "/no")
		default:
			w.press(token, who, doRead, "")
		}
	})
}

// person is the patient behind a number.
func (w *winnerWorld) person(phone string) string {
	n := w.people[engine.Phone(phone)]
	return fmt.Sprintf("c%d-%d", n/w.setup.People, n%w.setup.People)
}

var pageHeading = regexp.MustCompile(`<h1[^>]*>([^<]*)</h1>`)

// headings are the first lines of the pages, by what they say.
var headings = map[string]engine.AnswerKind{
	"Un rendez-vous s’est libéré":                         outOpen,
	"Votre rendez-vous est confirmé":                      engine.AnsBooked,
	"Votre oui est bien reçu":                             engine.AnsFinalising,
	"Ce rendez-vous vient d’être pris":                    engine.AnsTaken,
	"Le délai pour répondre est passé":                    engine.AnsExpired,
	"Ce rendez-vous n’est plus offert":                    engine.AnsWithdrawn,
	"C’est noté\u00a0: vous ne prenez pas ce rendez-vous": engine.AnsDeclined,
	"Le rendez-vous n’a pas pu être inscrit":              engine.AnsRefused,
	"Cette offre est en pause":                            engine.AnsPaused,
	"Réessayez dans un moment":                            outNo,
	"Vérifiez votre réponse":                              outUnknown,
	"Ce lien ne mène à aucune offre":                      outGone,
}

// press opens somebody's page (button "") or presses a button on it, and keeps what it says.
func (w *winnerWorld) press(token, who, do, button string) engine.AnswerKind {
	address := "http://" + w.setup.Addr + "/o/" + token + button
	r := winnerRecord{token: token, do: do, who: who, call: w.now()}
	var resp *http.Response
	var err error
	if button == "" {
		resp, err = w.http.Get(address) //nolint:noctx // it has a timeout
	} else {
		resp, err = w.http.PostForm(address, url.Values{"press": {fmt.Sprint(r.call)}}) //nolint:noctx // it has a timeout
	}
	var page []byte
	if err == nil {
		page, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	r.ret = w.now()
	switch {
	case unsent(err):
		return outNo
	case err != nil:
		r.out = outUnknown
	default:
		m := pageHeading.FindSubmatch(page)
		if m == nil {
			w.t.Errorf("status %d, a page without a pageHeading: %.300s", resp.StatusCode, page)
			return outUnknown
		}
		kind, ok := headings[string(m[1])]
		if !ok {
			w.t.Errorf("status %d, an unknown page: %s", resp.StatusCode, m[1])
			return outUnknown
		}
		r.out = kind
	}
	w.record(r)
	return r.out
}

// settle waits until nothing is being finished any more, and has everybody look once more.
func (w *winnerWorld) settle() {
	w.t.Helper()
	quiet := 0
	for end := time.Now().Add(2 * time.Minute); quiet < 3; {
		w.pause(500 * time.Millisecond)
		var busy []string
		for i := range chaosClinics {
			var snap desk.Snapshot
			if !w.get("/api/v1/clinics/"+chaosClinicID(i)+"/calendar", &snap) {
				busy = append(busy, chaosClinicID(i)+" does not answer")
				continue
			}
			if snap.Health.Status != "healthy" {
				busy = append(busy, fmt.Sprintf("%s is %s: %s %s", snap.Clinic.ID, snap.Health.Status, snap.Health.Fault, snap.Health.Detail))
			}
			for _, c := range snap.Cards {
				if c.State == desk.Claimed || c.State == desk.Freed && !c.Exhausted { // everybody else may be thinking about another slot
					busy = append(busy, fmt.Sprintf("%s is %s, hold %v, next %v, asked %d", c.ID, c.State, c.Hold, c.Next, c.Asked))
				}
			}
		}
		if quiet++; len(busy) > 0 {
			quiet = 0
		}
		if time.Now().After(end) {
			w.t.Errorf("two minutes after the last kill it is not quiet: %s", strings.Join(busy, "; "))
			break
		}
	}
	w.mu.Lock()
	who := map[string]string{}
	for _, r := range w.history {
		if r.token != "" {
			who[r.token] = r.who
		}
	}
	w.mu.Unlock()
	for token, p := range who {
		w.press(token, p, doRead, "")
	}
}

// check reads the store and the record system, and returns what cannot be true.
func (w *winnerWorld) check() (lies []string) {
	w.t.Helper()
	slots := w.slotsOfTokens()
	final := w.now()
	var history []porcupine.Operation
	add := func(r winnerRecord) {
		if r.token != "" {
			r.slot = slots[r.token]
			if r.slot == "" {
				lies = append(lies, "an offer that was sent is not in the store")
				return
			}
		}
		if r.out == outUnknown {
			r.ret = final + time.Hour // it may still take effect
		}
		history = append(history, porcupine.Operation{
			ClientId: len(history), Input: winnerInput{r.slot, r.do, r.who}, Output: r.out, Call: int64(r.call), Return: int64(r.ret),
		})
	}
	for _, r := range w.history {
		add(r)
	}
	has := map[string]string{} // patient to slot
	for place, who := range w.booked() {
		if who != "" && who != elsewhere {
			if other := has[who]; other != "" {
				lies = append(lies, fmt.Sprintf("one entry has two slots: %s and %s", other, place))
			}
			has[who] = place
		}
		add(winnerRecord{slot: place, do: doFinal, who: who, out: outOK, call: final, ret: final + 1})
	}
	model := winnerModel()
	bySlot := model.Partition(history)
	for _, part := range bySlot {
		if !porcupine.CheckOperations(model, part) {
			var b strings.Builder
			for _, o := range part {
				fmt.Fprintf(&b, "\n   %9.3f to %9.3f s  %s", time.Duration(o.Call).Seconds(), min(time.Duration(o.Return), final).Seconds(), model.DescribeOperation(o.Input, o.Output))
			}
			lies = append(lies, "what was said of slot "+part[0].Input.(winnerInput).Slot+" cannot be true:"+b.String())
		}
	}
	w.result = fmt.Sprintf("%d kills, %d slots, %d operations, answers %v; %d people have a slot; %d lies", w.kills, len(bySlot), len(history), w.answers, len(has), len(lies))
	return lies
}

func (w *winnerWorld) String() string { return w.result }

// slotsOfTokens says which slot of the record system a link is about.
func (w *winnerWorld) slotsOfTokens() map[string]string {
	w.t.Helper()
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
	out := map[string]string{}
	for _, c := range cfg.Clinics {
		id := engine.ClinicID(c.ID)
		source := map[engine.SlotID]string{}
		each(w.t.Context(), w.t, store, id, storage.KindSlot, func(s slot.State) {
			source[s.Slot.ID] = c.ID + "/" + strings.TrimPrefix(s.Slot.Source, "Slot/")
		})
		each(w.t.Context(), w.t, store, id, storage.KindOffer, func(of struct{ State reach.State }) {
			out[of.State.Token] = source[of.State.Offer.Slot()]
		})
	}
	return out
}

// booked says of each slot that was freed who has it in the record system: a patient, elsewhere, or "".
func (w *winnerWorld) booked() map[string]string {
	w.t.Helper()
	touched := map[string]bool{}
	for _, slot := range w.slotsOfTokens() {
		touched[slot] = true
	}
	out := map[string]string{}
	for _, r := range w.dme.Records() {
		for _, a := range r.Appointments {
			place := r.Clinic + "/" + a.Slot
			switch {
			case !touched[place]:
			case a.Status != "booked":
				out[place] = ""
			case !a.Relais:
				out[place] = elsewhere
			default:
				out[place] = w.patientOf(r.Clinic, a.ID)
			}
		}
	}
	return out
}

// patientOf asks the record system whose an appointment is.
func (w *winnerWorld) patientOf(clinic, appointment string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.setup.FHIR+"/dme/"+clinic+"/fhir/Appointment/"+appointment, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer chaos")
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var x struct {
		Participant []struct {
			Actor struct {
				Reference string `json:"reference"`
			} `json:"actor"`
		} `json:"participant"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&x); err != nil {
		w.t.Fatal(err)
	}
	for _, p := range x.Participant {
		if id, ok := strings.CutPrefix(p.Actor.Reference, "Patient/"); ok {
			return id
		}
	}
	w.t.Fatalf("appointment %s has no patient: status %d", appointment, resp.StatusCode)
	return ""
}
