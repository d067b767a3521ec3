package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// doors is a world whose clinic people may join.
func doors(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 1, nil)
	w.clinics[0].Join, w.clinics[0].Still = true, 60*24*time.Hour
	w.start()
	w.wait(10 * time.Second)
	return w
}

func wants(i int, set func(*desk.JoinRequest)) desk.JoinRequest {
	in := desk.JoinRequest{
		Given: "Zoé", Family: fmt.Sprint("Nomdefamille", i), Lang: engine.French, Born: "1946-02-03", Phone: string(phone("a", i)), Specialty: "derm", Consent: "2026-11",
	}
	if set != nil {
		set(&in)
	}
	return in
}

func (w *world) joins(in desk.JoinRequest) string {
	w.t.Helper()
	handle, err := w.Join(context.Background(), "a", in)
	if err != nil || handle == "" {
		w.t.Fatalf("%q %v", handle, err)
	}
	w.wait(time.Second)
	return handle
}

// letters returns the messages that left, and forgets them.
func (w *world) letters() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.messages
	w.messages = nil
	return list
}

func codeIn(m sent) string {
	for word := range strings.FieldsSeq(m.Text) {
		if word = strings.Trim(word, ".,"); len(word) == 6 && strings.Trim(word, "0123456789") == "" {
			return word
		}
	}
	return ""
}

func (w *world) proves(handle, code string) desk.JoinResult {
	w.t.Helper()
	got, err := w.ProveCode(context.Background(), "a", handle, code)
	if err != nil {
		w.t.Fatal(err)
	}
	w.wait(time.Second)
	return got
}

func (w *world) newcomers() desk.Newcomers {
	w.t.Helper()
	n, err := w.Newcomers(context.Background(), "a")
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestJoin: nothing is on the list before the contact is shown, no offer comes before the person is linked, and
// then both come.
func TestJoin(t *testing.T) {
	for _, how := range []string{"code", "oui", "code by text"} {
		bubble(t, func(t *testing.T) {
			w := doors(t)
			handle := w.joins(wants(1, nil))
			out := w.letters()
			if len(out) != 1 || out[0].Kind != engine.MsgJoin || out[0].Phone != phone("a", 1) {
				t.Fatalf("%+v", out)
			}
			if n := w.newcomers(); len(n.Joining) != 0 || !n.Open {
				t.Errorf("%+v", n)
			}
			switch how {
			case "code":
				if got := w.proves(handle, "111111"); got != desk.JoinWrong {
					t.Errorf("%s", got)
				}
				if got := w.proves(handle, codeIn(out[0])); got != desk.JoinProven {
					t.Errorf("%s", got)
				}
				if got := w.proves(handle, codeIn(out[0])); got != desk.JoinOver {
					t.Errorf("a code works twice: %s", got)
				}
			case "oui":
				w.answer(w.saysAs("join1", phone("a", 1), "oui"), engine.AnsJoined)
				w.answer(w.saysAs("join1", phone("a", 1), "oui"), engine.AnsJoined) // brought again
			default:
				w.answer(w.says("a", 1, codeIn(out[0])), engine.AnsJoined)
			}
			w.wait(time.Second)
			w.want("a1 welcome")
			n := w.newcomers()
			if len(n.Joining) != 1 || n.Joining[0].Name != "Zoé Nomdefamille1" || n.Joining[0].Born != "1946-02-03" || !n.Joining[0].Contacts[0].Usable {
				t.Fatalf("%+v", n)
			}
			w.dmes["a"].add("S1", time.Now().Add(6*time.Hour), 20*time.Minute)
			w.wait(10 * time.Second)
			w.dmes["a"].cancel("S1")
			w.wait(5 * time.Minute)
			w.want() // not linked, nothing is offered
			w.restart()
			w.wait(time.Minute)
			if n, err := w.DecideJoin(context.Background(), "a", n.Joining[0].Patient, "clerk", desk.JoinDecision{Action: "link", Source: "Patient/zoe"}); err != nil || len(n.Joining) != 0 {
				t.Fatalf("%+v %v", n, err)
			}
			w.wait(15 * time.Minute)
			w.want("a1 offer")
			w.answer(w.says("a", 1, "oui"), engine.AnsBooked)
			w.wait(time.Minute)
			if got := w.dmes["a"].bookedFor("S1"); got != "Patient/zoe" {
				t.Errorf("booked for %q", got)
			}
		})
	}
}

// TestJoiningSaysNothing: somebody who is on the list gets the link to their page, and the page that asked
// cannot tell; one contact gets few messages, and a number that said STOP none.
func TestJoiningSaysNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := doors(t)
		w.enrol("a", 1, func(_ int, p *engine.Patient, _ *engine.Entry) { p.Given, p.Family = "Zoé", "nomdefamille1" })
		handle := w.joins(wants(1, nil))
		w.want("a1 link")
		if got := w.proves(handle, "123456"); got != desk.JoinWrong {
			t.Errorf("%s", got)
		}
		for range 5 {
			w.joins(wants(1, nil))
		}
		w.want("a1 link", "a1 link") // three in all
		w.says("a", 7, "arret")
		w.joins(wants(7, nil))
		w.want()
		if n := w.newcomers(); len(n.Joining) != 0 {
			t.Errorf("%+v", n)
		}
		if n := w.entries("a"); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
}

func (w *world) entries(c engine.ClinicID) int {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	n := 0
	for k := range w.disk.records {
		if k.Clinic == c && k.Kind == storage.KindEntry {
			n++
		}
	}
	return n
}

// TestCodesAreCounted: after five wrong codes, and after three days, none counts.
func TestCodesAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := doors(t)
		handle := w.joins(wants(1, nil))
		code := codeIn(w.letters()[0])
		for range joinTries {
			w.proves(handle, "100000")
		}
		w.restart()
		w.wait(time.Minute)
		if got := w.proves(handle, code); got != desk.JoinOver {
			t.Errorf("%s", got)
		}
		late := w.joins(wants(2, nil))
		code = codeIn(w.letters()[0])
		w.wait(JoinWithin + time.Minute)
		if got := w.proves(late, code); got != desk.JoinOver {
			t.Errorf("%s", got)
		}
		w.wait(2 * roundEvery)
		w.disk.mu.Lock()
		defer w.disk.mu.Unlock()
		for k := range w.disk.records {
			if k.Kind == storage.KindJoin {
				t.Error("what was said is kept")
			}
		}
	})
}

// TestJoinForARelative: the offers go to who signed the relative up; a mailbox is shown by its link.
func TestJoinForARelative(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := doors(t)
		w.joins(wants(1, func(in *desk.JoinRequest) {
			in.Phone, in.Email, in.ProxyName, in.Relation = "", "anne@example.org", "Anne", "fille"
		}))
		m := w.letters()[0]
		at := strings.Index(m.Text, "/c/")
		token := strings.Fields(m.Text[at+3:])[0]
		if d, lang, err := w.Proving(context.Background(), token); err != nil || d.Clinic != "a" || lang != engine.French {
			t.Fatalf("%+v %s %v", d, lang, err)
		}
		if _, _, err := w.Proving(context.Background(), token[:53]+"x"); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("%v", err)
		}
		got, err := w.ProveLink(context.Background(), token)
		if err != nil || got != desk.JoinProven {
			t.Fatalf("%s %v", got, err)
		}
		w.wait(time.Second)
		w.want("anne email welcome")
		n := w.newcomers()
		if len(n.Joining) != 1 || n.Joining[0].Relation != "Anne (fille)" {
			t.Fatalf("%+v", n)
		}
		if _, err := w.DecideJoin(context.Background(), "a", n.Joining[0].Patient, "clerk", desk.JoinDecision{Action: "refuse"}); err != nil {
			t.Fatal(err)
		}
		if n := w.newcomers(); len(n.Joining) != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// TestLettersAreNeverDoubled: a process that dies at any moment of sending a code sends it at most once.
func TestLettersAreNeverDoubled(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 4 * time.Second} {
		bubble(t, func(t *testing.T) {
			w := doors(t)
			w.mu.Lock()
			w.lag = 3 * time.Second // the carrier took it; its word comes later
			w.mu.Unlock()
			if _, err := w.Join(context.Background(), "a", wants(1, nil)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			w.restart()
			w.wait(time.Hour)
			if got := w.texts(); len(got) > 1 {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestStillLooking: who is silent is asked twice, then rests, and the front desk is told; any answer counts.
func TestStillLooking(t *testing.T) {
	const day = 24 * time.Hour
	silent := func(times int, asked time.Duration) func(int, *engine.Patient, *engine.Entry) {
		return func(_ int, p *engine.Patient, e *engine.Entry) {
			e.Joined = monday.Add(-90 * day)
			if times > 0 {
				p.Still = &engine.Still{Times: times, Asked: monday.Add(-asked)}
			}
		}
	}
	for name, c := range map[string]struct {
		times  int
		asked  time.Duration
		leaves []string
		says   string
		status engine.EntryStatus
	}{
		"asked":          {0, 0, []string{"a1 still"}, "", engine.Waiting},
		"asked, stays":   {0, 0, []string{"a1 still"}, "oui", engine.Waiting},
		"asked, leaves":  {0, 0, []string{"a1 still"}, "2", engine.Left},
		"not yet again":  {1, 12 * day, nil, "", engine.Waiting},
		"again":          {1, 14 * day, []string{"a1 still"}, "", engine.Waiting},
		"again, stays":   {1, 14 * day, []string{"a1 still"}, "oui", engine.Waiting},
		"silent":         {2, 14 * day, nil, "", engine.Snoozed},
		"silent, stays":  {2, 14 * day, nil, "oui", engine.Waiting},
		"silent, leaves": {2, 14 * day, nil, "non", engine.Left},
	} {
		bubble(t, func(t *testing.T) {
			w := doors(t)
			w.enrol("a", 1, silent(c.times, c.asked))
			w.enrol("a", 2, func(i int, p *engine.Patient, e *engine.Entry) { // heard of last week
				p.ID, e.ID, e.Patient = engine.PatientID(fmt.Sprint("b", i)), engine.EntryID(fmt.Sprint("b", i)), engine.PatientID(fmt.Sprint("b", i))
				p.Contacts[0].Phone, p.Alive, e.Joined = phone("a", 20+i), monday.Add(-7*day), monday.Add(-90*day)
			})
			w.wait(2 * time.Hour)
			w.want(c.leaves...)
			w.restart()
			w.wait(2 * time.Hour)
			w.want() // once
			if quiet := w.newcomers().Quiet; (len(quiet) == 1) != (c.times == stillTimes) {
				t.Errorf("%s: %+v", name, quiet)
			}
			if c.says != "" {
				want := map[string]engine.AnswerKind{"oui": engine.AnsStays, "non": engine.AnsLeaves, "2": engine.AnsLeaves}[c.says]
				w.answer(w.saysAs("SM1", phone("a", 1), c.says), want)
				w.answer(w.saysAs("SM1", phone("a", 1), c.says), want)
			}
			if e := w.entry("a1"); e.Status != c.status || e.Quiet != (c.status == engine.Snoozed) {
				t.Errorf("%s: %+v", name, e)
			}
		})
	}
}

// TestStillWithinHours: nobody is asked at night, nor in shadow mode, nor where the clinic does not want it.
func TestStillWithinHours(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := doors(t)
		w.wait(12 * time.Hour) // past nine in the evening
		w.enrol("a", 1, func(_ int, _ *engine.Patient, e *engine.Entry) { e.Joined = monday.AddDate(0, 0, -90) })
		w.wait(4 * time.Hour)
		w.want()
		w.wait(8 * time.Hour)
		w.want("a1 still")
	})
}

// TestOwnPage: the link leads to the page of one person, until it is made void.
func TestOwnPage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := context.Background()
		w := doors(t)
		w.enrol("a", 2, nil)
		if err := w.SendLink(ctx, "a", string(phone("a", 1)), ""); err != nil {
			t.Fatal(err)
		}
		if err := w.SendLink(ctx, "a", string(phone("a", 99)), ""); err != nil { // nobody's
			t.Fatal(err)
		}
		w.wait(time.Second)
		out := w.letters()
		if len(out) != 1 || out[0].Phone != phone("a", 1) {
			t.Fatalf("%+v", out)
		}
		token := strings.Fields(out[0].Text[strings.Index(out[0].Text, "/p/")+3:])[0]
		v, err := w.Own(ctx, token)
		if err != nil || len(v.Wishes) != 1 || len(v.Contacts) != 1 || v.Contacts[0].Shown != "••• 0001" || !v.Contacts[0].Here || !v.Linked {
			t.Fatalf("%+v %v", v, err)
		}
		if o := v.Wishes[0].Outlook; o.From != 10 || o.Until != 0 || o.Half != 0 {
			t.Errorf("%+v", o)
		}
		for _, bad := range []string{"", "a1", strings.Replace(token, "a1", "a2", 1), token[:len(token)-1] + "A", token + "A"} {
			if _, err := w.Own(ctx, bad); engine.CodeOf(err) != engine.NotFound && bad != token {
				t.Errorf("%q: %v", bad, err)
			}
		}
		change := func(in desk.OwnChange) desk.OwnView {
			t.Helper()
			v, _, err := w.ChangeOwn(ctx, token, in)
			if err != nil {
				t.Fatalf("%+v: %v", in, err)
			}
			return v
		}
		v = change(desk.OwnChange{Action: desk.OwnWishes, Entry: "a1", NoticeMinutes: 120, Windows: []engine.Window{{Days: 2, From: 0, Until: 720}}})
		if e := w.entry("a1"); e.Notice != 2*time.Hour || len(e.Windows) != 1 || e.Edit.By != ByPatient {
			t.Errorf("%+v", e)
		}
		if _, _, err := w.ChangeOwn(ctx, token, desk.OwnChange{Action: desk.OwnWishes, Entry: "a2"}); engine.CodeOf(err) != engine.Conflict {
			t.Errorf("somebody else's wish was changed: %v", err)
		}
		change(desk.OwnChange{Action: desk.OwnSnooze, Until: time.Now().Add(72 * time.Hour).Format(time.DateOnly)})
		if e := w.entry("a1"); e.Status != engine.Snoozed || e.Until.IsZero() {
			t.Errorf("%+v", e)
		}
		w.wait(73 * time.Hour)
		if e := w.entry("a1"); e.Status != engine.Waiting {
			t.Errorf("the pause does not end: %+v", e)
		}
		v = change(desk.OwnChange{Action: desk.OwnStop, Index: 0, Was: v.Contacts[0].Shown})
		if !v.Contacts[0].Stopped {
			t.Errorf("%+v", v.Contacts)
		}
		v = change(desk.OwnChange{Action: desk.OwnResume, Index: 0, Was: v.Contacts[0].Shown})
		if v.Contacts[0].Stopped || !v.Contacts[0].Usable {
			t.Errorf("%+v", v.Contacts)
		}
		_, handle, err := w.ChangeOwn(ctx, token, desk.OwnChange{Action: desk.OwnAdd, Phone: string(phone("a", 50)), Consent: "2026-11"})
		w.wait(time.Second)
		if out := w.letters(); err != nil || len(out) != 1 || w.proves(handle, codeIn(out[0])) != desk.JoinProven {
			t.Fatalf("%v %+v", err, out)
		}
		if v, _ = w.Own(ctx, token); len(v.Contacts) != 2 || !v.Contacts[1].Usable || w.entries("a") != 2 {
			t.Errorf("%+v", v.Contacts)
		}
		change(desk.OwnChange{Action: desk.OwnRenew})
		w.wait(time.Second)
		if out := w.letters(); len(out) != 1 || strings.Contains(out[0].Text, token) {
			t.Errorf("%+v", out)
		}
		if _, err := w.Own(ctx, token); engine.CodeOf(err) != engine.NotFound {
			t.Errorf("the old link works: %v", err)
		}
		if !slices.Contains(w.patientEventsOf("a1"), "own_snooze") {
			t.Errorf("%v", w.patientEventsOf("a1"))
		}
	})
}

// bookedFor is whom the record system has on a slot.
func (d *records) bookedFor(source string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.appts {
		if a.Live && slices.Contains(a.Slots, source) {
			return a.Patient
		}
	}
	return ""
}

func (w *world) patientEventsOf(id engine.PatientID) (list []string) {
	rec, err := w.Patient(context.Background(), "a", id)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range rec.Events {
		list = append(list, e.Event)
	}
	return list
}
