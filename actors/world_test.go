package actors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
	"relais/engine/offer"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
)

// sent is a message that a carrier has taken.
type sent struct {
	at time.Time
	engine.Message
}

// carrier is one process's way to the carriers.
type carrier struct{ p *process }

func (c carrier) Send(ctx context.Context, m engine.Message) engine.Outcome {
	w := c.p.w
	out, wait := engine.Outcome{Status: engine.Accepted, Ref: "ref-" + string(m.Attempt)}, time.Duration(0)
	w.mu.Lock()
	carry, lag := w.carry, w.lag
	w.mu.Unlock()
	if carry != nil {
		out, wait = carry(m)
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return engine.Outcome{Status: engine.Failed, Reason: engine.CarrierDown, Retry: true}
		}
	}
	if c.p.dead.Load() {
		return engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}
	}
	if m.Still != nil && !m.Still() {
		return engine.Outcome{Status: engine.Failed, Reason: engine.Dropped}
	}
	if out.Status == engine.Failed {
		return out
	}
	if out.Ref == "" {
		out.Ref = "ref-" + string(m.Attempt)
	}
	w.left(m)
	time.Sleep(lag)
	return out
}

// Look says what the test says; nothing, where it says nothing.
func (c carrier) Look(_ context.Context, m engine.Message, _ string) (engine.Receipt, bool, error) {
	c.p.w.mu.Lock()
	defer c.p.w.mu.Unlock()
	if c.p.w.known == nil {
		return engine.Receipt{}, false, nil
	}
	s := c.p.w.known(m)
	return engine.Receipt{Status: s, At: time.Now()}, s != "", nil
}

func (c carrier) Abort(_ context.Context, ref string, _ engine.Lang, say string) error {
	c.p.w.mu.Lock()
	defer c.p.w.mu.Unlock()
	c.p.w.aborted = append(c.p.w.aborted, ref+" "+say)
	return nil
}

type links struct{}

func (links) Offer(token string) string { return "https://relais.example/o/" + token }
func (links) Own(token string) string   { return "https://relais.example/p/" + token }
func (links) Stop(token string) string  { return "https://relais.example/p/" + token + "/stop" }
func (links) Prove(token string) string { return "https://relais.example/c/" + token }
func (links) Leave(token string) string { return "https://relais.example/l/" + token }

// counts is the Metrics of a world.
type counts struct {
	w *world
	p *process
}

func (m counts) add(c engine.ClinicID, what string) {
	if m.p.dead.Load() {
		return
	}
	m.w.mu.Lock()
	m.w.metrics = append(m.w.metrics, what)
	hit := m.w.boom != nil && m.w.boom(c, what) // within the lock: it may count
	m.w.mu.Unlock()
	if hit {
		panic("as the test asks: +15145550000")
	}
}

func (m counts) Opened(c engine.ClinicID, _ time.Duration) { m.add(c, "opened") }
func (m counts) Offered(c engine.ClinicID, n int)          { m.add(c, fmt.Sprint("offered ", n)) }
func (m counts) FirstMessage(c engine.ClinicID, _ time.Duration) {
	m.add(c, "first message")
}
func (m counts) Filled(c engine.ClinicID, _ time.Duration) { m.add(c, "filled") }
func (m counts) Claim(c engine.ClinicID, outcome string)   { m.add(c, "claim "+outcome) }

func (m counts) Reached(ch engine.Channel, _ time.Duration) { m.add("", "reached "+string(ch)) }
func (m counts) Judged(c engine.ClinicID, v reach.Judged) {
	m.add(c, fmt.Sprintf("judged %s %v %s %s", v.Excluded, v.Proved, v.Channel, v.Reason))
}

func (m counts) Settled(ch engine.Channel, expired bool) {
	m.add("", fmt.Sprintf("settled %s %v", ch, expired))
}

func (m counts) Looked(ch engine.Channel, found bool) {
	m.add("", fmt.Sprintf("looked %s %v", ch, found))
}

func (m counts) Duplicate(ch engine.Channel) { m.add("", "duplicate "+string(ch)) }

func (m counts) LeftLate(ch engine.Channel)                   { m.add("", "late "+string(ch)) }
func (m counts) Alert(c engine.ClinicID, what string)         { m.add(c, "alert "+what) }
func (m counts) Learned(c engine.ClinicID, _ []offer.Learned) { m.add(c, "learned") }
func (m counts) Letter(c engine.ClinicID, ch engine.Channel, k engine.MessageKind, s engine.OutcomeStatus) {
	m.add(c, fmt.Sprintf("letter %s %s %s", ch, k, s))
}
func (m counts) Joined(c engine.ClinicID, what string)                  { m.add(c, "join "+what) }
func (m counts) OpenSlots(c engine.ClinicID, n int)                     { m.add(c, fmt.Sprint("open ", n)) }
func (m counts) WriteBack(c engine.ClinicID, o string, _ time.Duration) { m.add(c, "write "+o) }
func (m counts) Delivery(ch engine.Channel, k engine.MessageKind, s reach.DeliveryStatus, r engine.Reason) {
	m.add("", fmt.Sprintf("delivery %s %s %s %s", ch, k, s, r))
}

func (m counts) Health(c engine.ClinicID, before, now health.Status) {
	if before != now && !m.p.dead.Load() {
		m.w.mu.Lock()
		m.w.health[c] = now
		m.w.healthAt[c] = time.Now()
		m.w.mu.Unlock()
	}
	m.add(c, "health "+string(now))
}

func (m counts) Panicked(kind string) { m.w.count("panic " + kind) }
func (m counts) Dropped(kind, reason string) {
	m.w.count("drop " + kind + " " + reason)
}

// process is one life of Relais on the world's disk.
type process struct {
	*Relais
	w     *world
	store *memory
	dead  atomic.Bool
}

// world is everything around Relais, and what happened there.
type world struct {
	t       *testing.T
	disk    *disk
	clinics []engine.Clinic
	dmes    map[engine.ClinicID]*records
	*process

	mu   sync.Mutex
	fail func(storage.Batch) (error, bool)
	slow func(storage.Batch) time.Duration // commits
	poll time.Duration
	// retention is how long the processes keep the past; 0: for ever.
	retention time.Duration
	keep      Keep
	watchOnly map[engine.ClinicID]string
	lag       time.Duration // between a message's leaving and the carrier's word
	carry     func(engine.Message) (engine.Outcome, time.Duration)
	known     func(engine.Message) engine.ReceiptStatus // what the carrier says when it is asked; nil: nothing
	boom      func(engine.ClinicID, string) bool
	onLeave   func(sent)
	messages  []sent
	aborted   []string
	metrics   []string
	faults    map[string]int
	health    map[engine.ClinicID]health.Status
	healthAt  map[engine.ClinicID]time.Time
	log       bytes.Buffer
	stopping  sync.WaitGroup
	replies   int
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[what]++
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) left(m engine.Message) {
	s := sent{time.Now(), m}
	s.Still = nil
	w.mu.Lock()
	w.messages = append(w.messages, s)
	look := w.onLeave
	w.mu.Unlock()
	if look != nil {
		look(s)
	}
}

// monday is a quarter past nine in Montreal on a working day.
var monday = time.Date(2000, 1, 3, 14, 15, 0, 0, time.UTC)

// newWorld makes clinics a, b, c ... Call start. It must be called inside a bubble.
func newWorld(t *testing.T, clinics int, set func(*engine.Policy)) *world {
	t.Helper()
	time.Sleep(time.Until(monday))
	w := &world{
		t: t, disk: newDisk(), dmes: map[engine.ClinicID]*records{}, faults: map[string]int{},
		health: map[engine.ClinicID]health.Status{}, healthAt: map[engine.ClinicID]time.Time{},
	}
	for i := range clinics {
		p := engine.DefaultPolicy()
		p.Strategy = engine.Waves // so that a test can count whom is asked when
		if set != nil {
			set(&p)
		}
		id := engine.ClinicID(rune('a' + i))
		w.clinics = append(w.clinics, engine.Clinic{
			ID: id, Name: "Clinique " + string(id), Address: "1, rue du Test", Phone: "514 555-0000",
			Zone: "America/Toronto", Lang: engine.French, Mode: engine.Automatic, Policy: p,
			Practitioners: []engine.Practitioner{{ID: "dr", Name: "Dre Roy", Specialty: "derm"}},
			Places:        []engine.Place{{ID: "here", Name: "Ici"}},
		})
		w.dmes[id] = newRecords(w, id)
	}
	t.Cleanup(w.end)
	return w
}

// start runs a new process on the disk.
func (w *world) start() {
	w.t.Helper()
	p := &process{w: w, store: &memory{disk: w.disk}}
	p.store.fail, p.store.slow = w.fail, w.slow
	poll := map[engine.ClinicID]time.Duration{}
	if w.poll > 0 {
		for id := range w.dmes {
			poll[id] = w.poll
		}
	}
	dmes := map[engine.ClinicID]DME{}
	for id, d := range w.dmes {
		dmes[id] = line{d, p}
	}
	c := carrier{p}
	r, err := New(Options{
		Store: p.store, Poll: poll, Retention: w.retention, Keep: w.keep, WatchOnly: w.watchOnly, Clinics: w.clinics, DMEs: dmes, Caller: c, Links: links{}, Metrics: counts{w, p}, Observer: counts{w, p},
		Senders: map[engine.Channel]Sender{engine.SMS: c, engine.Voice: c, engine.EmailMail: c},
		Invite: func(engine.BookingID, engine.Clinic, engine.Lang, time.Time, time.Time) []byte {
			return []byte("BEGIN")
		},
		Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p.Relais = r
	w.process = p
	if err := r.Start(context.Background()); err != nil && !p.store.dead.Load() {
		w.t.Fatalf("start: %v", err)
	}
}

// setup is clinic c as this process was started with.
func (p *process) setup(c engine.ClinicID) Setup {
	i := slices.IndexFunc(p.w.clinics, func(ec engine.Clinic) bool { return ec.ID == c })
	return Setup{Clinic: p.w.clinics[i], DME: line{p.w.dmes[c], p}, Poll: p.w.poll, WatchOnly: p.w.watchOnly[c]}
}

// crash ends the process between two instructions: what it holds is gone, and nothing more of it
// is felt outside.
func (w *world) crash() {
	p := w.process
	p.dead.Store(true)
	p.store.dead.Store(true)
	w.stopping.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Stop(ctx)
	})
}

func (w *world) restart() {
	w.t.Helper()
	w.crash()
	w.start()
}

func (w *world) end() {
	if w.process != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		if stuck := w.Stop(ctx); len(stuck) > 0 {
			w.t.Errorf("did not stop: %v", stuck)
		}
	}
	w.stopping.Wait()
	for what, n := range w.faults {
		if strings.HasPrefix(what, "drop  engine") {
			w.t.Errorf("%d times %q", n, what)
		}
	}
	if w.t.Failed() && testing.Verbose() {
		w.t.Log(w.log.String())
	}
}

func (w *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// enrol puts n people with a telephone on a clinic's list: a1, a2 ...
func (w *world) enrol(c engine.ClinicID, n int, set func(i int, p *engine.Patient, e *engine.Entry)) {
	w.t.Helper()
	var patients []engine.Patient
	var entries []engine.Entry
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("%s%d", c, i)
		p := engine.Patient{
			ID: engine.PatientID(name), Clinic: c, Given: "Prénom" + name, Family: "Nomdefamille" + name, Lang: engine.French,
			Source:   "Patient/" + name,
			Contacts: []engine.Contact{{Channel: engine.SMS, Phone: phone(c, i), Consent: time.Now()}},
		}
		e := engine.Entry{
			ID: engine.EntryID(name), Clinic: c, Patient: p.ID, Status: engine.Waiting, Specialty: "derm",
			Joined: monday.Add(-time.Duration(10_000-i) * time.Minute),
		}
		if set != nil {
			set(i, &p, &e)
		}
		patients, entries = append(patients, p), append(entries, e)
	}
	if err := w.Add(context.Background(), patients, entries); err != nil {
		w.t.Fatal(err)
	}
}

func phone(c engine.ClinicID, i int) engine.Phone {
	return engine.Phone(fmt.Sprintf("+1514%d%05d", 55+int(c[0]-'a'), i))
}

// slot returns what the disk has of a slot of clinic a.
func (w *world) slot(source string) slot.State { return w.slotOf("a", source) }

func (w *world) slotOf(c engine.ClinicID, source string) slot.State {
	w.t.Helper()
	return w.read(c, w.slotID(c, source))
}

func (w *world) slotID(c engine.ClinicID, source string) engine.SlotID {
	d := w.dmes[c]
	d.mu.Lock()
	defer d.mu.Unlock()
	return engine.NewSlotID(c, source, d.slots[source].Start)
}

func (w *world) read(c engine.ClinicID, id engine.SlotID) slot.State {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	var s slot.State
	if r, ok := w.disk.records[storage.Key{Clinic: c, Kind: storage.KindSlot, ID: string(id)}]; ok {
		if err := json.Unmarshal(r.Data, &s); err != nil {
			w.t.Error(err)
		}
	}
	return s
}

func (w *world) entry(id string) engine.Entry {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	var e engine.Entry
	_ = json.Unmarshal(w.disk.records[storage.Key{Clinic: engine.ClinicID(id[:1]), Kind: storage.KindEntry, ID: id}].Data, &e)
	return e
}

func (w *world) phase(source string, want slot.Phase) {
	w.t.Helper()
	if s := w.slot(source); s.Phase != want {
		w.t.Errorf("slot %s is %q (why %q, suspended %v), want %q", source, s.Phase, s.Why, s.Suspended, want)
	}
}

// texts lists the messages that left since the last call, as "a1 offer".
func (w *world) texts() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []string{}
	for _, m := range w.messages {
		list = append(list, w.whose(m)+" "+string(m.Kind))
	}
	slices.Sort(list)
	w.messages = nil
	return list
}

// whose is the patient of a message: telephone numbers and mailboxes tell.
func (w *world) whose(m sent) string {
	if m.Email != "" {
		return strings.TrimSuffix(string(m.Email), "@example.org") + " email"
	}
	digits := string(m.Phone)[5:]
	n, _ := strconv.Atoi(digits[2:])
	c, _ := strconv.Atoi(digits[:2])
	name := fmt.Sprintf("%c%d", 'a'+c-55, n)
	if m.Channel == engine.Voice {
		name += " call"
	}
	return name
}

func (w *world) want(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.texts(); !slices.Equal(got, want) {
		w.t.Errorf("%s sent %q\nwant %q", time.Since(monday), got, want)
	}
}

// says is an SMS from person i of a clinic; the identifier is new each time.
func (w *world) says(c engine.ClinicID, i int, text string) engine.Answer {
	w.t.Helper()
	w.mu.Lock()
	w.replies++
	id := fmt.Sprint("SM", w.replies)
	w.mu.Unlock()
	return w.saysAs(id, phone(c, i), text)
}

func (w *world) saysAs(id string, from engine.Phone, text string) engine.Answer {
	w.t.Helper()
	a, err := w.text(w.process, id, from, text)
	if err != nil {
		w.t.Errorf("%q failed: %v", text, err)
	}
	return a
}

func (w *world) text(p *process, id string, from engine.Phone, text string) (engine.Answer, error) {
	intent, number, lang := reach.Read(text)
	return p.Reply(context.Background(), engine.Reply{
		ID: id, Phone: from, Channel: engine.SMS, Intent: intent, Number: number, Lang: lang, Text: text, At: time.Now(),
	})
}

func (w *world) answer(a engine.Answer, want engine.AnswerKind) {
	w.t.Helper()
	if a.Kind != want {
		w.t.Errorf("answered %q, want %q", a.Kind, want)
	}
}

// act is a command of the front desk on a slot of clinic a.
func (w *world) act(source, action string, revision uint64, key, entry string) (desk.Card, error) {
	return w.Act(context.Background(), "a", w.slotID("a", source), "clerk", key,
		desk.Action{Action: action, Revision: revision, Entry: engine.EntryID(entry)})
}

func (w *world) do(source, action string) {
	w.t.Helper()
	if _, err := w.act(source, action, 0, "", ""); err != nil {
		w.t.Errorf("%s: %v", action, err)
	}
	synctest.Wait()
}

// events lists the timeline of a slot of clinic a.
func (w *world) events(source string) []string {
	w.t.Helper()
	d, err := w.Slot(context.Background(), "a", w.slotID("a", source))
	if err != nil {
		w.t.Fatal(err)
	}
	list := []string{}
	for _, e := range d.Timeline {
		list = append(list, e.Event)
	}
	return list
}

// freed makes a world of one clinic with n people and one slot, S1, in three hours, that was just
// cancelled and seen.
func freed(t *testing.T, n int, set func(*engine.Policy)) *world {
	t.Helper()
	w := newWorld(t, 1, set)
	w.dmes["a"].add("S1", monday.Add(3*time.Hour), 20*time.Minute)
	w.start()
	w.enrol("a", n, nil)
	w.wait(10 * time.Second)
	w.dmes["a"].cancel("S1")
	w.wait(2 * time.Second)
	return w
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
