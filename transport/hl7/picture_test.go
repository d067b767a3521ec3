package hl7

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestTriggers holds what each kind of message comes to. A step is a trigger, the visit and its time;
// after "=" stands what the rules then hear.
func TestTriggers(t *testing.T) {
	for name, script := range map[string]string{
		"booked and cancelled":               "S12 a D7 09:00 =; S15 a =freed gagnon 09:00",
		"discontinued":                       "S12 a D7 09:00 =; S16 a =freed gagnon 09:00",
		"deleted":                            "S12 a D7 09:00 =; S17 a =freed gagnon 09:00",
		"cancelled before anybody looked":    "S12 a D7 09:00; S15 a =freed gagnon 09:00",
		"cancelled, never heard of before":   "S15 a D7 09:00 =freed gagnon 09:00",
		"cancelled twice":                    "S12 a D7 09:00 =; S15 a =freed gagnon 09:00; S15 a =",
		"no word of when":                    "S15 a D7 =",
		"moved":                              "S12 a D7 09:00 =; S13 a D7 11:00 =freed gagnon 09:00",
		"moved, old time not known":          "S13 a D7 11:00 =",
		"modified in nothing that matters":   "S12 a D7 09:00 =; S14 a D7 09:00 =",
		"given to another doctor":            "S12 a D7 09:00 =; S14 a D8 09:00 =freed gagnon 09:00",
		"given to a doctor we do not know":   "S12 a D7 09:00 =; S14 a D99 09:00 =freed gagnon 09:00",
		"modified without who or when":       "S12 a D7 09:00 =; S14 a =; S15 a =freed gagnon 09:00",
		"a resource more":                    "S12 a D7 09:00 =; S18 a D8 09:00 =; S15 a =freed gagnon 09:00, freed roy 09:00",
		"a resource less":                    "S12 a D7 09:00; S18 a D8 09:00 =; S20 a D8 =freed roy 09:00; S15 a =freed gagnon 09:00",
		"a resource discontinued":            "S12 a D7 09:00; S18 a D8 09:00 =; S21 a D8 =freed roy 09:00; S15 a =freed gagnon 09:00",
		"a resource deleted":                 "S12 a D7 09:00; S18 a D8 09:00 =; S22 a D8 =freed roy 09:00; S15 a =freed gagnon 09:00",
		"a resource at another time":         "S12 a D7 09:00 =; S19 a D7 11:00 =freed gagnon 09:00; S15 a =freed gagnon 11:00",
		"did not come":                       "S12 a D7 09:00 =; S26 a =",
		"did not come, never heard of":       "S26 a D7 09:00 =",
		"did not come, booked again":         "S12 a D7 09:00 =; S26 a =; S12 b D7 09:00 =taken gagnon 09:00; S15 b =freed gagnon 09:00",
		"taken again":                        "S12 a D7 09:00 =; S15 a =freed gagnon 09:00; S12 b D7 09:00 =taken gagnon 09:00",
		"taken in part":                      "S12 a D7 09:00 =; S15 a =freed gagnon 09:00; S12 b D7 09:10 =taken gagnon 09:00",
		"double booked":                      "S12 a D7 09:00 =; S12 b D7 09:00 =; S15 a =taken gagnon 09:00; S15 b =freed gagnon 09:00",
		"moved a little, then cancelled":     "S12 a D7 09:00 =; S13 a D7 09:10 =; S15 a =freed gagnon 09:10, gone gagnon 09:00",
		"blocked":                            "S12 a D7 09:00 =; S15 a =freed gagnon 09:00; S23 x D7 09:00 =blocked gagnon 09:00; S24 x D7 09:00 =",
		"cancelled while blocked":            "S12 a D7 09:00 =; S23 x D7 09:00 =; S15 a =; S24 x D7 09:00 =",
		"blocked in part, unblocked in part": "S12 a D7 09:00 =; S15 a =freed gagnon 09:00; S23 x D7 09:10 =blocked gagnon 09:00; S24 x D7 09:10 =",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.look()
			for step := range strings.SplitSeq(script, "; ") {
				do, want, looks := strings.Cut(step, "=")
				f := append(strings.Fields(do), "", "")
				if v := w.send(f[0], f[1], strings.TrimSpace(f[2]+" "+f[3])); v.code != accepted {
					t.Fatalf("%s is answered %+v", do, v)
				}
				if !looks {
					continue
				}
				// The same must hold for who learns of it only after a restart.
				if got := w.look(); sorted(got) != sorted(want) {
					t.Fatalf("after %s: %q, want %q", do, got, want)
				}
				w.start()
				if got := w.look(); got != "" {
					t.Fatalf("after %s and a restart: %q", do, got)
				}
			}
		})
	}
}

// Every trigger of the schedule's messages is taken, and none but those.
func TestEveryTrigger(t *testing.T) {
	for n := 10; n <= 28; n++ {
		trigger, want := fmt.Sprintf("S%d", n), accepted
		if n < 12 || n > 26 || n == 25 { // S25 is a query, the others are not of the schedule
			want = rejected
		}
		w := newWorld(t)
		if v := w.send(trigger, "a", "D7 09:00"); v.code != want {
			t.Errorf("%s is answered %+v, want %v", trigger, v, want)
		}
	}
}

func sorted(s string) string {
	parts := strings.Split(s, ", ")
	for i := range parts {
		for j := range parts[:i] {
			if parts[i] < parts[j] {
				parts[i], parts[j] = parts[j], parts[i]
			}
		}
	}
	return strings.Join(parts, ", ")
}

// A cancellation that came while nobody looked counts after a restart.
func TestCancelledJustBeforeACrash(t *testing.T) {
	w := newWorld(t)
	w.look()
	w.send("S12", "a", "D7 09:00")
	w.send("S15", "a", "")
	w.start()
	if got := w.look(); got != "freed gagnon 09:00" {
		t.Errorf("%q", got)
	}
}

// A message that overtook an older one of the same visit is not undone by it.
func TestReorderedMessages(t *testing.T) {
	w := newWorld(t)
	w.look()
	w.sendAt(now.Add(-3*time.Minute), "1", "S12", "a", "D7 09:00")
	w.sendAt(now.Add(-1*time.Minute), "3", "S15", "a", "")
	if v := w.sendAt(now.Add(-2*time.Minute), "2", "S14", "a", "D7 09:00"); v.code != accepted {
		t.Error(v)
	}
	if got := w.look(); got != "freed gagnon 09:00" {
		t.Errorf("%q", got)
	}
	w.start()
	w.sendAt(now.Add(-2*time.Minute), "2b", "S14", "a", "D7 09:00")
	if got := w.look(); got != "" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestDuplicates(t *testing.T) {
	w := newWorld(t)
	at := now.Add(-time.Minute)
	first := w.sendAt(at, "7", "S12", "a", "D7 0x:00")
	w.start() // it is remembered over a restart
	again := w.sendAt(at, "7", "S12", "a", "D7 0x:00")
	if first.code != failed || first.dup || again.code != failed || again.text != first.text || !again.dup {
		t.Errorf("%+v and then %+v", first, again)
	}
	// Another message under the same number is not lost.
	if v := w.sendAt(at, "7", "S12", "a", "D7 09:00"); v.code != accepted || v.dup {
		t.Errorf("%+v", v)
	}
	for i := range 2 * maxSeen {
		w.sendAt(at, "n"+digest(string(rune(i))), "S14", "a", "D7 09:00")
	}
	if n := len(w.c.p.seen.byID); n > maxSeen {
		t.Errorf("%d messages are remembered", n)
	}
	records := 0
	for id := range w.journal.records {
		if strings.HasPrefix(id, "derma/d") {
			records++
		}
	}
	if records > maxSeen {
		t.Errorf("%d records of messages are kept", records)
	}
}

// What cannot be kept is refused, so that the sender sends it again; it is not half known meanwhile.
func TestNothingIsAcknowledgedThatIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.look()
	w.send("S12", "a", "D7 09:00")
	w.look()
	w.journal.fails = true
	if v := w.sendAt(now, "9", "S15", "a", ""); v.code != failed {
		t.Fatalf("%+v", v)
	}
	w.journal.fails = false
	if got := w.look(); got != "" {
		t.Errorf("%q", got)
	}
	if v := w.sendAt(now.Add(time.Second), "9", "S15", "a", ""); v.code != accepted || v.dup {
		t.Fatalf("%+v", v)
	}
	if got := w.look(); got != "freed gagnon 09:00" {
		t.Errorf("%q", got)
	}
}

func TestRefusedMessages(t *testing.T) {
	w := newWorld(t)
	for text, want := range map[string]string{
		"MSH|^~\\&|SCHED|CLINIC|||||ADT^A01|1|P|2.5":                                                           rejected,
		"MSH|^~\\&|SCHED|CLINIC|||||SIU^S25|1|P|2.5\rSCH|1|2":                                                  rejected,
		"MSH|^~\\&|SCHED|CLINIC|||||SIU^S12|2|P|2.5":                                                           failed,
		"MSH|^~\\&|SCHED|CLINIC|||||SIU^S12|3|P|2.5\rSCH|||||||||||^^^202612010900":                            failed,
		"MSH|^~\\&|SCHED|CLINIC|||||SIU^S12|4|P|2.5\rSCH|1|2\rAIP|1||D7":                                       failed,
		"MSH|^~\\&|SCHED|CLINIC|||||SIU^S12|5|P|2.5\rSCH|1|2|||||||||^^^yesterday\rAIP|1||D7":                  failed,
		"MSH|^~\\&|SCHED|CLINIC|||||ACK^S12|6|P|2.5":                                                           accepted,
		"MSH|^~\\&|SCHED|CLINIC|||||SIU^S12^SIU_S12|7|P|2.5\rSCH|1|2\rTQ1|1||||||202612010900\rPV1|1|O|||||D7": accepted,
	} {
		v := w.give(text)
		if v.code != want || (want != accepted) != (v.text != "") {
			t.Errorf("%q is answered %+v, want %s", text, v, want)
		}
	}
	if got := w.look(); got != "" {
		t.Errorf("%q", got)
	}
}

// The times of a visit are where different versions and senders put them.
func TestWhereTimesStand(t *testing.T) {
	head := "MSH|^~\\&|SCHED|CLINIC|RELAIS||20261123080000||SIU^S15|1|P|2.5\r"
	for text, want := range map[string]string{
		"SCH|1|2|||||||||^^M20^20261201090000\rAIP|1||D7":                                                         "09:00-09:20",
		"SCH|1|2|||||||||^^^20261201090000^20261201094500\rAIP|1||D7":                                             "09:00-09:45",
		"SCH|1|2|||||||1|H|^^^20261201090000\rAIP|1||D7":                                                          "09:00-10:00",
		"SCH|1|2\rTQ1|1||||||20261201090000|20261201093000\rRGS|1\rAIP|1||D7":                                     "09:00-09:30",
		"SCH|1|2\rRGS|1\rAIS|1||CONS|20261201090000|||25|min\rAIP|1||D7":                                          "09:00-09:25",
		"SCH|1|2|||||||30|min|^^^20261201090000\rAIP|1||D7|||20261201091000|||10|min":                             "09:10-09:20",
		"SCH|1|2|||||||||^^^20261201090000-0800\rAIP|1||D7":                                                       "12:00-12:15",
		"SCH|1|2\rRGS|1\rAIS|1||A|20261201080000|||5\rAIP|1||D99\rRGS|2\rAIS|1||B|20261201090000|||40\rAIP|1||D7": "09:00-09:40",
		"SCH|1|2|||||||90|S|^^^20261201090000\rAIG|1||D7":                                                         "09:00-09:01",
		"SCH|1|2|||||||15||^^^20261201090000\rAIL|1||PARC^12\rAIP|1||D7":                                          "09:00-09:15",
	} {
		w := newWorld(t)
		if v := w.give(head + text); v.code != accepted {
			t.Errorf("%q: %+v", text, v)
			continue
		}
		w.look()
		for s := range w.mirror.All() {
			if got := s.Start.In(zone(t)).Format("15:04-") + s.End.In(zone(t)).Format("15:04"); got != want || s.Place != "parc" {
				t.Errorf("%q: %s at %q, want %s", text, got, s.Place, want)
			}
		}
		if n, _ := w.mirror.Len(); n != 1 {
			t.Errorf("%q: %d slots", text, n)
		}
	}
}

// A patient's name, number and birth date are in messages; nothing of them may be kept.
func TestNoPatientIsKept(t *testing.T) {
	w := newWorld(t)
	w.send("S12", "a", "D7 09:00", "PID|1||TREM99^^^RAMQ||Tremblay^Ginette||19540101|F|||12 rue X||5145550199", "NTE|1||Ginette a peur des aiguilles", "NK1|1|Tremblay^Luc")
	w.look()
	for id, data := range w.journal.records {
		for _, private := range []string{"TREM99", "Tremblay", "Ginette", "1954", "5145550199", "Luc"} {
			if strings.Contains(string(data), private) {
				t.Errorf("%s holds %q", id, private)
			}
		}
	}
}

func TestPruned(t *testing.T) {
	w := newWorld(t)
	w.send("S12", "a", "D7 09:00")
	w.now = now.AddDate(0, 0, 20)
	w.look()
	for id := range w.journal.records {
		if !strings.HasPrefix(id, "derma/d") {
			t.Errorf("%s is kept 20 days later", id)
		}
	}
	if len(w.c.p.appts)+len(w.c.p.slots)+len(w.c.p.ids) != 0 {
		t.Errorf("%+v", w.c.p)
	}
}

func TestSilenceIsToldOnlyInOpeningHours(t *testing.T) {
	w := newWorld(t)
	w.c.cfg.Quiet, w.c.cfg.Open.From, w.c.cfg.Open.Until = 15*time.Minute, 8*60, 17*60
	for at, bad := range map[time.Duration]bool{ // after 08:00
		5 * time.Minute: false, 14 * time.Minute: false, 16 * time.Minute: true, 10 * time.Hour: false, 24*time.Hour + time.Minute: false, 24*time.Hour + 16*time.Minute: true,
	} {
		w.now = now.Add(at)
		if _, err := w.c.Changes(context.Background(), "0"); (err != nil) != bad {
			t.Errorf("after %v: %v", at, err)
		}
	}
	w.c.linked(1)
	w.now = now.Add(3 * time.Hour)
	if _, err := w.c.Changes(context.Background(), "0"); err != nil {
		t.Error("connected:", err)
	}
}
