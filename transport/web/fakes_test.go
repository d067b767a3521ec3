package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
	"relais/engine/insight"
	"relais/engine/review"
	"relais/engine/slot"
	"relais/engine/wording"
)

// fakeDesk is a small front desk: clinics "nord" and "sud", a numbered calendar that remembers its
// deltas, and one slot.
type fakeDesk struct {
	mode     desk.ModeState
	mu       sync.Mutex
	epoch    string
	seq      uint64
	deltas   [][]byte // of this epoch, from seq 1
	subs     map[int]desk.Subscriber
	nextID   int
	card     desk.Card
	keys     map[string]bool
	people   []desk.Person
	contacts []desk.Contact
	settled  []string
	held     bool
	checks   int
	err      error // given by every call when set
}

func newFakeDesk() *fakeDesk {
	return &fakeDesk{
		epoch: "e1", subs: make(map[int]desk.Subscriber), keys: make(map[string]bool),
		card: desk.Card{ID: "s1", State: desk.Freed, Revision: 3},
	}
}

func (d *fakeDesk) Clinics(context.Context) []desk.ClinicInfo {
	return []desk.ClinicInfo{{ID: "nord", Name: "Clinique Nord"}, {ID: "sud", Name: "Clinique Sud"}}
}

func (d *fakeDesk) snapshot() desk.Snapshot {
	return desk.Snapshot{Epoch: d.epoch, Seq: d.seq, Clinic: desk.ClinicInfo{ID: "nord"}, Cards: []desk.Card{d.card}}
}

func (d *fakeDesk) Snapshot(context.Context, engine.ClinicID) (desk.Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.snapshot(), d.err
}

func (d *fakeDesk) Attach(_ context.Context, _ engine.ClinicID, epoch string, seq uint64, sub desk.Subscriber) (func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if epoch == d.epoch && seq <= d.seq {
		for i := seq; i < d.seq; i++ {
			sub.PushDelta(i+1, d.deltas[i])
		}
	} else {
		b, err := json.Marshal(d.snapshot())
		if err != nil {
			return nil, err
		}
		sub.PushSnapshot(b)
	}
	id := d.nextID
	d.nextID++
	d.subs[id] = sub
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.subs, id)
	}, nil
}

// publish pushes one delta of about size bytes and reports how many subscribers took it.
func (d *fakeDesk) publish(size int) (taken int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	b, err := json.Marshal(desk.Delta{Seq: d.seq, Cards: []desk.Card{{ID: "s1", Why: strings.Repeat("x", size)}}})
	if err != nil {
		panic(err)
	}
	d.deltas = append(d.deltas, b)
	for id, s := range d.subs {
		if s.PushDelta(d.seq, b) {
			taken++
		} else {
			delete(d.subs, id)
		}
	}
	return taken
}

func (d *fakeDesk) Seq(engine.ClinicID) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seq
}

func (d *fakeDesk) Slot(_ context.Context, _ engine.ClinicID, s engine.SlotID) (desk.Detail, error) {
	if d.err != nil {
		return desk.Detail{}, d.err
	}
	if s != d.card.ID {
		return desk.Detail{}, engine.Errorf(engine.NotFound, "there is no such slot")
	}
	return desk.Detail{Card: d.card, Timeline: []desk.Event{{Seq: 1, Event: "opened"}}}, nil
}

func (d *fakeDesk) Act(_ context.Context, _ engine.ClinicID, s engine.SlotID, by engine.UserID, key string, a desk.Action) (desk.Card, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return desk.Card{}, d.err
	}
	if d.keys[key] {
		return d.card, nil
	}
	if a.Revision != d.card.Revision {
		return desk.Card{}, engine.Errorf(engine.Conflict, "somebody changed the slot meanwhile")
	}
	d.keys[key] = true
	d.card.Revision++
	d.card.By = string(by)
	d.card.Paused = a.Action == "pause"
	return d.card, nil
}

func (d *fakeDesk) Waitlist(_ context.Context, _ engine.ClinicID, after engine.EntryID, limit int) ([]desk.Person, error) {
	var out []desk.Person
	for _, p := range d.people {
		if p.Entry > after && len(out) < limit {
			out = append(out, p)
		}
	}
	return out, d.err
}

func (d *fakeDesk) SearchWaitlist(_ context.Context, _ engine.ClinicID, q desk.ListQuery) (desk.ListPage, error) {
	page := desk.ListPage{People: []desk.Person{}}
	for _, p := range d.people {
		if strings.Contains(p.Name, q.Search) && len(page.People) < q.Limit {
			page.People = append(page.People, p)
		}
	}
	return page, d.err
}

func (d *fakeDesk) ChangePatient(ctx context.Context, c engine.ClinicID, p engine.PatientID, _ engine.UserID, in desk.PatientChange) (desk.Record, error) {
	if in.Revision != 1 {
		return desk.Record{}, engine.ChangedBy("berthe", time.Date(2026, 11, 30, 14, 0, 0, 0, time.UTC), "somebody changed this meanwhile")
	}
	return d.Patient(ctx, c, p)
}

func (d *fakeDesk) ChangeProxy(ctx context.Context, c engine.ClinicID, p engine.PatientID, _ engine.UserID, _ desk.ProxyChange) (desk.Record, error) {
	return d.Patient(ctx, c, p)
}

func (d *fakeDesk) ChangeNote(ctx context.Context, c engine.ClinicID, p engine.PatientID, _ engine.UserID, _ desk.NoteChange) (desk.Record, error) {
	return d.Patient(ctx, c, p)
}

func (d *fakeDesk) AddEntry(ctx context.Context, c engine.ClinicID, p engine.PatientID, _ engine.UserID, _ desk.Wish) (desk.Record, error) {
	return d.Patient(ctx, c, p)
}

func (d *fakeDesk) ChangeEntry(ctx context.Context, c engine.ClinicID, _ engine.EntryID, _ engine.UserID, _ desk.EntryChange) (desk.Record, error) {
	return d.Patient(ctx, c, "p1")
}

func (d *fakeDesk) Duplicates(context.Context, engine.ClinicID) ([]desk.Twins, error) {
	return []desk.Twins{}, d.err
}

func (d *fakeDesk) Merge(_ context.Context, _ engine.ClinicID, keep engine.PatientID, _ engine.UserID, _ desk.MergeRequest) (desk.Merge, error) {
	return desk.Merge{Keep: keep, Contacts: []desk.Contact{}, Entries: []desk.MergeEntry{}, Differ: []desk.MergeField{}}, d.err
}

func (d *fakeDesk) ImportWaitlist(_ context.Context, _ engine.ClinicID, _ engine.UserID, file []byte, dry bool) (desk.Import, error) {
	return desk.Import{Done: !dry, New: len(file), Lines: []desk.ImportLine{}, Ignored: []string{}}, d.err
}

func (d *fakeDesk) Export(_ context.Context, c engine.ClinicID, lang engine.Lang) ([]byte, error) {
	return []byte("\ufeff" + string(c) + "," + string(lang) + "\r\n"), d.err
}

func (d *fakeDesk) Enrol(_ context.Context, _ engine.ClinicID, _ engine.UserID, e desk.Enrolment) (desk.Person, error) {
	p := desk.Person{Entry: engine.EntryID(fmt.Sprintf("n%03d", len(d.people))), Name: e.Given + " " + e.Family}
	d.people = append(d.people, p)
	return p, d.err
}

func (d *fakeDesk) Sync(context.Context, engine.ClinicID) (desk.Sync, error) {
	return desk.Sync{Health: desk.Health{Status: health.Healthy, Held: d.held}}, d.err
}

func (d *fakeDesk) Explain(_ context.Context, _ engine.ClinicID, _ engine.SlotID, search string, limit int) ([]desk.Other, error) {
	return []desk.Other{{Entry: "e1", Patient: search, Rank: limit}}, d.err
}

func (d *fakeDesk) Patient(_ context.Context, c engine.ClinicID, p engine.PatientID) (desk.Record, error) {
	return desk.Record{Patient: p, Name: "Zoé of " + string(c), Contacts: d.contacts}, d.err
}

func (d *fakeDesk) ChangeContact(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.ContactChange) (desk.Record, error) {
	d.contacts = append(d.contacts, desk.Contact{Channel: in.Channel, Address: in.Address, Proof: in.Proof + " by " + string(by)})
	return d.Patient(ctx, c, p)
}

func (d *fakeDesk) SetSooner(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.SoonerChange) (desk.Record, error) {
	r, err := d.Patient(ctx, c, p)
	if in.Consent != nil {
		s := *in.Consent
		s.Proof += " by " + string(by)
		r.Sooner = &s
	}
	return r, err
}

func (d *fakeDesk) Broken(context.Context, engine.ClinicID) ([]desk.Broken, error) {
	return []desk.Broken{{Patient: "p1", Name: "Zoé"}}, d.err
}

func (d *fakeDesk) Newcomers(context.Context, engine.ClinicID) (desk.Newcomers, error) {
	return desk.Newcomers{Open: true, Joining: []desk.Joining{{Patient: "p1", Name: "Zoé", Contacts: []desk.Contact{}}}, Quiet: []desk.Quiet{}}, d.err
}

func (d *fakeDesk) SearchRecords(context.Context, engine.ClinicID, engine.PatientID) (desk.Found, error) {
	return desk.Found{Sources: []string{"Patient/17"}, Can: true}, d.err
}

func (d *fakeDesk) DecideJoin(_ context.Context, _ engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.JoinDecision) (desk.Newcomers, error) {
	d.settled = append(d.settled, fmt.Sprintf("%s %s %s %s", by, in.Action, p, in.Source))
	return desk.Newcomers{Joining: []desk.Joining{}, Quiet: []desk.Quiet{}}, d.err
}

func (d *fakeDesk) Unread(context.Context, engine.ClinicID) ([]desk.Unread, error) {
	return []desk.Unread{{ID: "o1", Patient: "Zoé", Channel: engine.SMS, Lang: engine.French, Texts: []desk.UnreadText{{Text: "peut-être"}}}}, d.err
}

func (d *fakeDesk) SettleUnread(_ context.Context, _ engine.ClinicID, by engine.UserID, key string, in desk.UnreadEnd) (desk.UnreadOutcome, error) {
	d.settled = append(d.settled, fmt.Sprintf("%s %s %s %d %q %s", by, key, in.ID, in.Revision, in.Text, in.Decision))
	return desk.UnreadOutcome{Settled: true}, d.err
}

func (d *fakeDesk) CheckNote(_ context.Context, _ engine.ClinicID, _ engine.Lang, text string) (wording.NoteCheck, error) {
	return wording.NoteCheck{Text: text, Segments: 1, Changed: []string{}, Findings: []string{}}, d.err
}

func (d *fakeDesk) Messages(context.Context, engine.ClinicID) ([]wording.Preview, error) {
	return []wording.Preview{{Topic: "offer", Text: "Bonjour"}}, d.err
}

func (d *fakeDesk) Mode(_ context.Context, _ engine.ClinicID, days int) (desk.ModeView, error) {
	return desk.ModeView{State: d.mode, Days: days}, d.err
}

func (d *fakeDesk) SetMode(_ context.Context, _ engine.ClinicID, by engine.UserID, _ string, set desk.ModeChange) (desk.ModeState, error) {
	d.mode = desk.ModeState{Mode: set.Mode, Revision: set.Revision + 1, By: by}
	return d.mode, d.err
}

func (d *fakeDesk) Fairness(_ context.Context, _ engine.ClinicID, from, to time.Time) (desk.FairnessView, error) {
	return desk.FairnessView{
		From: from.Format(time.DateOnly), To: to.Format(time.DateOnly),
		Report: review.Fair([]review.Subject{{Patient: "p", Lang: engine.French, Age: 3, Km: 1, Offers: 1}}),
	}, d.err
}

func (d *fakeDesk) Insights(_ context.Context, id engine.ClinicID, q desk.InsightsQuery) (desk.InsightsView, error) {
	if id != "nord" {
		return desk.InsightsView{}, engine.Errorf(engine.NotFound, "there is no such clinic")
	}
	f := insight.Filter{From: q.From, Until: q.To.AddDate(0, 0, 1), Practitioner: q.Practitioner, Specialty: q.Specialty}
	return desk.InsightsView{
		From: q.From.Format(time.DateOnly), To: q.To.Format(time.DateOnly),
		Report: insight.Look([]slot.State{{
			Slot:     engine.Slot{Start: q.From.Add(30 * time.Hour), End: q.From.Add(31 * time.Hour), Practitioner: "roy"},
			OpenedAt: q.From.Add(time.Hour), Phase: slot.Expired,
		}}, f, insight.Facts{}),
	}, d.err
}

func (d *fakeDesk) Health(context.Context, engine.ClinicID) (desk.Health, error) {
	return desk.Health{Status: health.Healthy, Held: d.held}, d.err
}

func (d *fakeDesk) Hold(_ context.Context, _ engine.ClinicID, _ engine.UserID, hold bool) error {
	d.held = hold
	return d.err
}

func (d *fakeDesk) CheckNow(context.Context, engine.ClinicID) error {
	d.checks++
	return d.err
}

// fakeOffers knows some tokens and counts the replies that count.
type fakeOffers struct {
	mu      sync.Mutex
	views   map[string]desk.PatientView
	answer  engine.AnswerKind // to the next reply
	err     error
	offers  int // calls of Offer
	replies []engine.Reply
}

const goodToken = "Tok3n-of_the-offer-0001"

func newFakeOffers() *fakeOffers {
	zone := time.FixedZone("Montréal", -5*3600)
	start := time.Date(2026, 12, 1, 9, 20, 0, 0, zone)
	return &fakeOffers{answer: engine.AnsBooked, views: map[string]desk.PatientView{goodToken: {
		Lang: engine.French, Clinic: "Clinique <Nord> & fils", Address: "12, rue des Érables, Montréal", Phone: "514 555-0100",
		Doctor: "Dre Anne Roy", Start: start, End: start.Add(20 * time.Minute), Deadline: start.Add(-24*time.Hour - 20*time.Minute),
		Zone: zone, Mail: true,
	}}}
}

func (o *fakeOffers) Offer(_ context.Context, token string) (desk.PatientView, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.offers++
	v, ok := o.views[token]
	if !ok {
		return v, engine.Errorf(engine.NotFound, "there is no such offer")
	}
	return v, nil
}

func (o *fakeOffers) CalendarFile(_ context.Context, token string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.views[token].State != engine.AnsBooked {
		return nil, engine.Errorf(engine.NotFound, "there is no booking of this offer")
	}
	return []byte("BEGIN:VCALENDAR"), nil
}

func (o *fakeOffers) Reply(_ context.Context, r engine.Reply) (engine.Answer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return engine.Answer{}, o.err
	}
	for _, before := range o.replies {
		if before.ID == r.ID {
			return engine.Answer{}, nil
		}
	}
	o.replies = append(o.replies, r)
	v := o.views[r.Token]
	switch r.Intent {
	case engine.Yes:
		v.State = o.answer
	case engine.No:
		v.State = engine.AnsDeclined
	case engine.Stop:
		return engine.Answer{Kind: engine.AnsStopped}, nil
	case engine.Start, engine.Help, engine.Choice, engine.Unclear:
		return engine.Answer{}, engine.Errorf(engine.Invalid, "not for a page")
	}
	o.views[r.Token] = v
	return engine.Answer{Kind: v.State}, nil
}

// counts is an Observer that remembers.
type counts struct {
	mu      sync.Mutex
	sockets int
	evicted map[string]int
	limited map[string]int
	served  map[string]int // "route method status"
	panics  int
	left    chan struct{} // told when the last socket goes
}

func (c *counts) Served(route, method string, status int, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served[fmt.Sprintf("%s %s %d", route, method, status)]++
}

func (c *counts) Sockets(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets = n
	if n == 0 {
		select {
		case c.left <- struct{}{}:
		default:
		}
	}
}

func (c *counts) Evicted(why string)  { c.mu.Lock(); defer c.mu.Unlock(); c.evicted[why]++ }
func (c *counts) Limited(what string) { c.mu.Lock(); defer c.mu.Unlock(); c.limited[what]++ }
func (c *counts) Panicked()           { c.mu.Lock(); defer c.mu.Unlock(); c.panics++ }

// clock is a time that only moves when told.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// locked is a buffer for the log.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

func (l *locked) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// bench is a server with its fakes.
type bench struct {
	*Server
	desk     *fakeDesk
	offers   *fakeOffers
	doors    *fakeDoors
	accounts *fakeAccounts
	trail    *fakeTrail
	counts   *counts
	clock    *clock
	logs     *locked
}

// cheap makes tests quick; the strength of the real cost has its own test.
var cheap = cost{memory: 64, passes: 1, threads: 1}

const goodPassword = "correct horse battery"

func setup(tb testing.TB, change ...func(*Config)) *bench {
	tb.Helper()
	hash, err := hashWith(cheap, goodPassword)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bench{
		desk: newFakeDesk(), offers: newFakeOffers(), doors: newFakeDoors(),
		accounts: &fakeAccounts{
			accounts: map[engine.UserID]Account{"marie": {ID: "marie", Hash: hash, Clinics: []engine.ClinicID{"nord"}}},
			sessions: make(map[string]Session), passes: make(map[string]Pass),
		},
		trail: &fakeTrail{list: make(map[engine.ClinicID][]Trace)},
		counts: &counts{
			evicted: make(map[string]int), limited: make(map[string]int), served: make(map[string]int),
			left: make(chan struct{}, 1),
		},
		clock: &clock{t: time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC)},
		logs:  &locked{},
	}
	cfg := Config{
		Desk: b.desk, Offers: b.offers, Doors: b.doors, Accounts: b.accounts, Trail: b.trail, Version: "test", Now: b.clock.now, Metrics: b.counts,
		PublicBase: &url.URL{Scheme: "https", Host: "relais.example"},
		Logger:     slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	b.Server, err = New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return b
}

// login opens a session without paying for a hash.
func (b *bench) login(id engine.UserID) *http.Cookie {
	secret := fmt.Sprintf("%043d", len(b.accounts.sessions))
	_ = b.accounts.PutSession(context.Background(), Session{
		Key: digest(secret), Account: id, Expires: b.clock.now().Add(sessionLife), Made: b.clock.now(), Proved: b.clock.now(), Used: b.clock.now(),
	})
	return b.cookie(secret)
}

type call struct {
	method, path, body string
	header             map[string]string
	cookie             *http.Cookie
	from               string
}

func (b *bench) do(c call) *httptest.ResponseRecorder {
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequestWithContext(context.Background(), c.method, "https://relais.example/", body)
	u, err := url.ParseRequestURI(c.path)
	if err != nil {
		panic(err)
	}
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.RequestURI = u.Path, u.RawPath, u.RawQuery, c.path
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	if c.cookie != nil {
		r.AddCookie(c.cookie)
	}
	r.RemoteAddr = "203.0.113.9:4711"
	if c.from != "" {
		r.RemoteAddr = c.from
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	return w
}

func decode[T any](tb testing.TB, w *httptest.ResponseRecorder) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		tb.Fatalf("%v in %s", err, w.Body)
	}
	return v
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")
