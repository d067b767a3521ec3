package actors

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/reach"
	"relais/engine/slot"
	"relais/storage"
)

var (
	seeds    = flag.Int("relais.seeds", 4, "how many simulations to run")
	fromSeed = flag.Uint64("relais.from", 1, "the seed of the first simulation")
)

// TestSimulation plays a bad day at three clinics, with every fault there is, and holds what
// happened against the list of what must never happen. A failure names its seed; the order in which
// goroutines run is not part of it, so a rare fault may need several runs of the seed.
func TestSimulation(t *testing.T) {
	for seed := *fromSeed; seed < *fromSeed+uint64(*seeds); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { newSimulation(t, seed, 3, everything).run(90) })
		})
	}
}

// trouble says what goes wrong in a simulation.
type trouble struct{ dme, store, carriers, panics, crashes, staff, shifts bool }

var everything = trouble{dme: true, store: true, carriers: true, panics: true, crashes: true, staff: true, shifts: true}

// simulation is a world with a will of its own.
type simulation struct {
	*world
	trouble
	asking sync.WaitGroup

	rmu sync.Mutex
	rng *rand.Rand

	imu     sync.Mutex // what the invariants need
	holder  map[engine.EntryID]engine.SlotID
	holds   map[engine.SlotID]engine.EntryID
	claimed map[engine.OfferID]bool
	booked  map[engine.OfferID]bool
	offers  map[engine.OfferID]engine.PatientID // that were asked
	claims  map[engine.SlotID]int
	before  map[engine.SlotID]slot.State
	left    map[engine.AttemptID]int
	first   map[string]engine.OfferID // patient and slot -> offer
	once    map[string]int            // offer, kind and contact -> messages
	stopped map[engine.Phone]time.Time
	bounced map[engine.OfferID]bool
	asked   map[engine.PatientID]map[engine.OfferID]time.Time
	broken  map[string]bool

	shut map[engine.ClinicID]bool // closed: nothing is written, nothing leaves

	storeFault float64 // how often a commit fails
	killAt     int     // crash at this many commits from now; 0: not
	panicky    float64
	failing    float64 // how often a carrier fails
}

const perClinic, perSlots = 14, 8

func newSimulation(t *testing.T, seed uint64, clinics int, tr trouble) *simulation {
	t.Helper()
	s := &simulation{
		trouble: tr, rng: rand.New(rand.NewPCG(seed, 7)),
		holder: map[engine.EntryID]engine.SlotID{}, holds: map[engine.SlotID]engine.EntryID{},
		claimed: map[engine.OfferID]bool{}, booked: map[engine.OfferID]bool{}, offers: map[engine.OfferID]engine.PatientID{},
		claims: map[engine.SlotID]int{}, before: map[engine.SlotID]slot.State{}, left: map[engine.AttemptID]int{},
		first: map[string]engine.OfferID{}, once: map[string]int{}, stopped: map[engine.Phone]time.Time{},
		bounced: map[engine.OfferID]bool{}, asked: map[engine.PatientID]map[engine.OfferID]time.Time{}, broken: map[string]bool{},
		shut: map[engine.ClinicID]bool{},
	}
	s.world = newWorld(t, clinics, func(p *engine.Policy) {
		p.Size, p.Every, p.Grace, p.MaxAsked = 2, 4*time.Minute, 20*time.Second, 10
	})
	s.world.poll = 15 * time.Second
	s.disk.watch = s.committed
	s.onLeave = s.leaves
	s.carry = s.carrying
	s.world.fail = s.storing
	s.world.slow = func(storage.Batch) time.Duration { return time.Duration(s.n(30)) * time.Millisecond }
	s.boom = func(engine.ClinicID, string) bool { return s.chance(s.get(&s.panicky)) }
	for id, d := range s.dmes {
		for i := range perSlots {
			d.add(fmt.Sprintf("S%d", i+1), monday.Add(time.Duration(50+20*i)*time.Minute), 20*time.Minute)
		}
		later := d.add("L1", monday.Add(7*time.Hour), 20*time.Minute)
		d.mu.Lock()
		d.appts[later].Patient = "Patient/" + string(id) + "1"
		d.mu.Unlock()
		d.books(d.add("L2", monday.Add(6*time.Hour), 20*time.Minute), "Patient/"+string(id)+"12")
		d.books(d.add("L3", monday.Add(7*time.Hour), 20*time.Minute), "Patient/"+string(id)+"13")
	}
	s.start()
	for id := range s.dmes {
		s.enrol(id, perClinic, func(i int, p *engine.Patient, e *engine.Entry) {
			mail := engine.Contact{Channel: engine.EmailMail, Email: engine.Email(p.ID + "@example.org"), Consent: time.Now()}
			voice := engine.Contact{Channel: engine.Voice, Phone: p.Contacts[0].Phone, Consent: time.Now()}
			switch i {
			case 1: // gives up a later appointment
				d := s.dmes[id]
				d.mu.Lock()
				for source, a := range d.appts {
					if slices.Contains(a.Slots, "L1") {
						e.Current = &engine.Appointment{Source: source, Start: a.Start}
					}
				}
				d.mu.Unlock()
			case 2:
				p.Contacts[0].OptedOut = time.Now()
			case 3:
				p.Contacts[0].Consent = time.Time{}
			case 4:
				p.Hours = &engine.Hours{From: 60, Until: 120} // at night
			case 5:
				for range 3 {
					p.Offered = append(p.Offered, engine.Mark{At: time.Now().Add(-24 * time.Hour), Slot: "x", Start: time.Now()})
				}
			case 6, 7, 8:
				p.Contacts = append(p.Contacts, mail)
			case 9, 10:
				p.Contacts = append(p.Contacts, voice)
			case 12: // on the list, with an appointment that the record system knows of
				p.Sooner = &engine.Sooner{At: time.Now(), Proof: "form"}
			case 13: // on the list for something else
				p.Sooner = &engine.Sooner{At: time.Now().Add(-1000 * time.Hour), Proof: "form"}
				e.Specialty = "cardio"
			}
		})
	}
	return s
}

func (s *simulation) get(f *float64) float64 {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	return *f
}

func (s *simulation) set(f *float64, v float64) {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	*f = v
}

func (s *simulation) n(n int) int {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	return s.rng.IntN(n)
}

func (s *simulation) chance(p float64) bool {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	return p > 0 && s.rng.Float64() < p
}

// broke reports a violation, once.
func (s *simulation) broke(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if !s.broken[what] {
		s.broken[what] = true
		s.t.Errorf("%s: %s", time.Since(monday), what)
	}
}

// storing is the store's trouble.
func (s *simulation) storing(storage.Batch) (error, bool) {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	if s.killAt > 0 {
		if s.killAt--; s.killAt == 0 {
			p := s.process
			p.dead.Store(true)
			p.store.dead.Store(true)
			return storage.ErrClosed, s.rng.IntN(2) == 0
		}
	}
	if s.storeFault == 0 || s.rng.Float64() >= s.storeFault {
		return nil, false
	}
	switch s.rng.IntN(3) {
	case 0:
		return storage.ErrFull, false
	case 1:
		return errors.New("sync: input/output error"), true
	}
	return errors.New("sync: input/output error"), false
}

// carrying is the carriers' trouble.
func (s *simulation) carrying(m engine.Message) (engine.Outcome, time.Duration) {
	wait := time.Duration(s.n(3)) * time.Second
	if !s.chance(s.get(&s.failing)) {
		return engine.Outcome{Status: engine.Accepted}, wait
	}
	switch s.n(5) {
	case 0:
		return engine.Outcome{Status: engine.Unknown, Reason: engine.CarrierDown}, wait
	case 1:
		return engine.Outcome{Status: engine.Accepted}, 20 * time.Second
	case 2:
		return engine.Outcome{Status: engine.Failed, Reason: engine.Landline}, wait
	}
	return engine.Outcome{Status: engine.Failed, Reason: engine.CarrierDown, Retry: true}, wait
}

// committed checks every batch as it becomes durable.
func (s *simulation) committed(b storage.Batch) {
	s.imu.Lock()
	defer s.imu.Unlock()
	for _, p := range b.Puts {
		if s.shut[p.Key.Clinic] {
			s.broke("clinic %s is closed, and %s %s is written", p.Key.Clinic, p.Key.Kind, p.Key.ID)
		}
		if p.Key.Kind != storage.KindSlot {
			continue
		}
		var st slot.State
		if err := json.Unmarshal(p.Data, &st); err != nil {
			s.broke("a slot that cannot be read: %v", err)
			continue
		}
		s.slotCommitted(p.Key.Clinic, st)
	}
}

func (s *simulation) slotCommitted(c engine.ClinicID, st slot.State) {
	id := st.Slot.ID
	var won []slot.Offer
	for _, o := range st.Offers {
		if o.Status == slot.Won {
			won = append(won, o)
		}
		if o.Wave > 0 {
			s.offers[o.ID] = o.Patient
		}
	}
	if before := s.before[id]; st.Phase == slot.Claimed && before.Phase != slot.Claimed {
		s.claims[id]++
	}
	s.before[id] = st
	if entry, ok := s.holds[id]; ok {
		delete(s.holds, id)
		delete(s.holder, entry)
	}
	if st.Phase != slot.Claimed && st.Phase != slot.Booked {
		return
	}
	if len(won) != 1 || won[0].ID != st.Winner {
		s.broke("never 1: slot %s is %s with %d winners", id, st.Phase, len(won))
		return
	}
	if other, ok := s.holder[won[0].Entry]; ok {
		s.broke("never 1: entry %s has slots %s and %s", won[0].Entry, other, id)
	}
	if cur := won[0].Current; strings.HasPrefix(string(won[0].Entry), "auto-") && (cur == nil || !cur.Start.After(st.Slot.Start)) {
		s.broke("%s won %s and gives up %v", won[0].Patient, id, cur)
	}
	s.holder[won[0].Entry], s.holds[id] = id, won[0].Entry
	s.claimed[st.Winner] = true
	if st.Phase == slot.Booked {
		s.booked[st.Winner] = true
		d := s.dmes[c]
		d.mu.Lock()
		if d.booked[st.Booking].IsZero() {
			s.broke("never 5: slot %s is booked, and the record system never had it", id)
		}
		d.mu.Unlock()
	}
}

// leaves checks every message as it leaves.
func (s *simulation) leaves(m sent) {
	offer := m.Attempt.Offer()
	st := s.read(m.Clinic, offer.Slot())
	s.disk.mu.Lock()
	slotAt := s.disk.changed[storage.Key{Clinic: m.Clinic, Kind: storage.KindSlot, ID: string(offer.Slot())}]
	s.disk.mu.Unlock()
	s.mu.Lock()
	healthy, since := s.health[m.Clinic] == "healthy", s.healthAt[m.Clinic]
	s.mu.Unlock()

	s.imu.Lock()
	defer s.imu.Unlock()
	if s.shut[m.Clinic] {
		s.broke("clinic %s is closed, and %s leaves", m.Clinic, m.Kind)
	}
	if s.left[m.Attempt]++; s.left[m.Attempt] > 1 {
		s.broke("attempt %s left twice", m.Attempt)
	}
	key := fmt.Sprint(offer, m.Kind, m.Channel)
	if s.once[key]++; s.once[key] > 1 && !s.bounced[offer] && m.Kind != engine.MsgReminder {
		s.broke("the %s of %s left %d times on %s", m.Kind, offer, s.once[key], m.Channel)
	}
	if at, ok := s.stopped[m.Phone]; ok && m.Phone != "" && at.Before(time.Now()) {
		s.broke("never 4: %s to somebody who opted out", m.Kind)
	}
	if m.Kind == engine.MsgBooked && !s.booked[offer] {
		s.broke("never 2: %s was told \"booked\" before it was durable", offer)
	}
	if m.Kind != engine.MsgOffer && m.Kind != engine.MsgReminder {
		return
	}
	i := slices.IndexFunc(st.Offers, func(o slot.Offer) bool { return o.ID == offer })
	switch {
	case slotAt.Equal(time.Now()): // at this very moment
	case i < 0 || st.Phase != slot.Offering || st.Offers[i].Status != slot.Pending:
		s.broke("never 3: %s of %s left while the slot is %s", m.Kind, offer, st.Phase)
	case st.Suspended || st.Paused:
		s.broke("never 3: %s of %s left while suspended %v, paused %v", m.Kind, offer, st.Suspended, st.Paused)
	case !time.Now().Before(st.Deadline):
		s.broke("never 3: %s of %s left after the deadline", m.Kind, offer)
	}
	if !healthy && since.Before(time.Now()) {
		s.broke("never 3: %s of %s left while the clinic is not healthy", m.Kind, offer)
	}
	s.mayAsk(m, offer)
}

// mayAsk checks that this person may be asked.
func (s *simulation) mayAsk(m sent, offer engine.OfferID) {
	who := s.offers[offer]
	if who == "" {
		s.broke("an offer that no slot made: %s", offer)
		return
	}
	switch strings.TrimLeft(string(who), "abc") {
	case "2", "3", "4", "5":
		s.broke("never 4: %s must not be asked", who)
	}
	key := string(who) + " " + string(offer.Slot())
	if before, ok := s.first[key]; ok && before != offer {
		s.broke("never 4: %s was asked twice for one slot: %s and %s", who, before, offer)
	}
	s.first[key] = offer
	if s.asked[who] == nil {
		s.asked[who] = map[engine.OfferID]time.Time{}
	}
	s.asked[who][offer] = time.Now()
	if cap := s.clinics[0].Policy.WeekCap; len(s.asked[who]) > cap {
		s.broke("never 4: %s was asked for %d slots, the cap is %d", who, len(s.asked[who]), cap)
	}
	if h := time.Now().In(time.FixedZone("EST", -5*3600)).Hour(); h < 8 || h >= 21 {
		s.broke("never 4: %s was asked at %d o'clock", who, h)
	}
}

// run plays so many moves, then lets everything heal and checks what is left.
func (s *simulation) run(moves int) {
	s.wait(12 * time.Second)
	for range moves {
		s.move()
		switch s.n(4) {
		case 0:
			s.wait(time.Duration(s.n(3000)) * time.Millisecond)
		case 1:
			s.wait(time.Duration(s.n(30)) * time.Second)
		case 2:
			s.wait(time.Duration(s.n(150)) * time.Second)
		}
		if s.dead.Load() {
			s.restart()
		}
	}
	s.heal()
	s.wait(7 * time.Hour)
	s.asking.Wait()
	s.settled()
}

func (s *simulation) clinic() engine.ClinicID {
	return engine.ClinicID(rune('a' + s.n(len(s.clinics))))
}

func (s *simulation) source() string { return fmt.Sprintf("S%d", 1+s.n(perSlots)) }

func (s *simulation) move() {
	c := s.clinic()
	d := s.dmes[c]
	switch s.n(19) {
	case 18:
		if s.shifts {
			s.shift(c)
		}
	case 0, 1, 2, 3:
		d.cancel(s.source())
	case 16, 17:
		s.appointments(c)
	case 4:
		switch s.n(4) {
		case 0:
			d.block(s.source())
		default:
			d.takes(s.source())
		}
	case 5, 6, 7, 8:
		s.reply()
	case 9:
		s.receipt()
	case 10:
		if s.dme {
			s.disturb(d)
		}
	case 11:
		if s.trouble.store {
			s.set(&s.storeFault, []float64{0, 0, 0.1, 0.5}[s.n(4)])
		}
	case 12:
		if s.panics {
			s.set(&s.panicky, []float64{0, 0, 0.02, 0.2}[s.n(4)])
		}
	case 13:
		if s.carriers {
			s.set(&s.failing, []float64{0, 0.3, 1}[s.n(3)])
		}
	case 14:
		if s.staff {
			s.clerk(c)
		}
	case 15:
		if !s.crashes {
			return
		}
		if s.n(2) == 0 {
			s.restart()
			return
		}
		s.rmu.Lock()
		s.killAt = 1 + s.rng.IntN(30)
		s.rmu.Unlock()
	}
}

// appointments has the clinic change those of the people who consented to be seen sooner, or their minds.
func (s *simulation) appointments(c engine.ClinicID) {
	d, who := s.dmes[c], engine.PatientID(fmt.Sprint(c, 12+s.n(2)))
	slot := []string{"L2", "L3", s.source()}[s.n(3)]
	d.mu.Lock()
	free, appointment := d.slots[slot].Status == engine.SlotFree, ""
	for id, a := range d.appts {
		if a.Live && a.Patient == "Patient/"+string(who) && a.Booking == "" {
			appointment = id
		}
	}
	d.mu.Unlock()
	switch s.n(4) {
	case 0:
		if free {
			d.joins(slot, "Patient/"+string(who))
		}
	case 1:
		if appointment != "" {
			d.moves(appointment, monday.Add(time.Duration(60+30*s.n(14))*time.Minute))
		}
	case 2:
		d.cancel([]string{"L2", "L3"}[s.n(2)])
	case 3:
		in, p := desk.SoonerChange{}, s.process
		if s.n(3) > 0 {
			in.Consent = &desk.Sooner{Proof: "by phone", Anyone: true}
		}
		s.asking.Go(func() { _, _ = p.SetSooner(context.Background(), c, who, "clerk", in) })
	}
}

func (s *simulation) disturb(d *records) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.delay, d.hang = nil, 0, false
	switch s.n(7) {
	case 0:
		d.fault = &engine.DMEFailure{Fault: engine.DMEUnreachable, Detail: "test"}
	case 1:
		d.fault = &engine.DMEFailure{Fault: engine.DMESignIn, Detail: "test"}
	case 2:
		d.delay = time.Duration(s.n(20)) * time.Second
	case 3:
		d.hang = true
	case 4:
		d.lost = 2
	}
}

// reply has somebody who was written to answer, at any time after.
func (s *simulation) reply() {
	s.mu.Lock()
	if len(s.messages) == 0 {
		s.mu.Unlock()
		return
	}
	messages := s.messages
	s.replies++
	id := fmt.Sprint("SM", s.replies)
	s.mu.Unlock()
	m := messages[max(0, len(messages)-1-s.n(8))]
	word := []string{"oui", "OUI", "yes", "oui", "non", "non", "2", "peut-être", "STOP", "aide"}[s.n(10)]
	p := s.process
	s.asking.Go(func() {
		if m.Phone == "" || s.n(3) == 0 {
			intent, _, _ := reach.Read(word)
			if intent != engine.Yes && intent != engine.No {
				return
			}
			ch := m.Channel
			if ch == engine.EmailMail {
				ch = engine.Page
			}
			a, err := p.Reply(context.Background(), engine.Reply{ID: id, Attempt: m.Attempt, Channel: ch, Intent: intent})
			if err == nil {
				s.answered(a, m.Attempt.Offer())
			}
			return
		}
		a, err := s.text(p, id, m.Phone, word)
		if err != nil {
			return
		}
		if word == "STOP" {
			s.imu.Lock()
			s.stopped[m.Phone] = time.Now()
			s.imu.Unlock()
			return
		}
		s.answered(a, "")
	})
}

// answered checks what a person was told. offer is "" when only the telephone is known.
func (s *simulation) answered(a engine.Answer, offer engine.OfferID) {
	s.imu.Lock()
	defer s.imu.Unlock()
	switch {
	case a.Kind == engine.AnsBooked:
		if offer != "" && !s.booked[offer] {
			s.broke("never 2: %s was answered \"booked\" before it was durable", offer)
		}
	case a.Kind == engine.AnsFinalising:
		if offer != "" && !s.claimed[offer] {
			s.broke("never 2: %s was answered \"finalising\" before it was durable", offer)
		}
	}
}

func (s *simulation) receipt() {
	s.mu.Lock()
	messages := s.messages
	s.mu.Unlock()
	if len(messages) == 0 {
		return
	}
	m := messages[s.n(len(messages))]
	status := []engine.ReceiptStatus{engine.ReceiptDelivered, engine.ReceiptSent, engine.ReceiptFailed}[s.n(3)]
	if status == engine.ReceiptFailed {
		s.imu.Lock()
		s.bounced[m.Attempt.Offer()] = true
		s.imu.Unlock()
	}
	p := s.process
	s.asking.Go(func() {
		_ = p.Receipt(context.Background(), engine.Receipt{
			Attempt: m.Attempt, Ref: "ref-" + string(m.Attempt), Status: status, Reason: engine.Unreached, At: time.Now(),
		})
	})
}

func (s *simulation) clerk(c engine.ClinicID) {
	p, id := s.process, s.slotID(c, s.source())
	act := desk.Action{Action: []string{"pause", "resume", "resume", "send_now", "withdraw", "book", "hold", "free"}[s.n(8)]}
	if act.Action == "book" {
		act.Entry = engine.EntryID(fmt.Sprint(c, 6+s.n(6)))
	}
	key := fmt.Sprint("key", s.n(1000))
	s.asking.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		switch act.Action {
		case "hold", "free":
			_ = p.Hold(ctx, c, "clerk", act.Action == "hold")
		default:
			_, _ = p.Act(ctx, c, id, "clerk", key, act)
		}
	})
}

func (s *simulation) heal() {
	for f := range map[*float64]bool{&s.storeFault: true, &s.panicky: true, &s.failing: true} {
		s.set(f, 0)
	}
	s.rmu.Lock()
	s.killAt = 0
	s.rmu.Unlock()
	for _, d := range s.dmes {
		d.mu.Lock()
		d.fault, d.delay, d.hang, d.lost = nil, 0, false, 0
		d.mu.Unlock()
	}
	if s.dead.Load() {
		s.restart()
	}
	s.wait(2 * time.Minute)
	s.asking.Wait()
	s.openAll()
	s.wait(2 * time.Minute)
	for id := range s.dmes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := s.Hold(ctx, id, "clerk", false); err != nil {
			s.t.Errorf("end of the hold: %v", err)
		}
		cancel()
		for i := range perSlots {
			_, _ = s.Act(context.Background(), id, s.slotID(id, fmt.Sprintf("S%d", i+1)), "clerk", "", desk.Action{Action: "resume"})
		}
	}
}
