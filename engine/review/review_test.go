package review

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"relais/engine"
	"relais/engine/offer"
	"relais/engine/slot"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func opened(days int, s slot.State) slot.State {
	s.OpenedAt = noon.Add(-time.Duration(days) * 24 * time.Hour)
	return s
}

func TestLook(t *testing.T) {
	t.Parallel()
	won := func(minutes, wave int) []slot.Offer {
		at := noon.Add(-24*time.Hour + time.Duration(minutes)*time.Minute)
		return []slot.Offer{
			{ID: "s.1.1", Channel: engine.SMS, Wave: wave, Status: slot.Won, Replied: at},
			{ID: "s.1.2", Channel: engine.Voice, Wave: wave, Status: slot.Lost},
		}
	}
	states := []slot.State{
		opened(1, slot.State{Mode: engine.Shadow, Phase: slot.Expired, Would: []slot.Would{{Channel: engine.SMS}, {Channel: engine.EmailMail}}}),
		opened(2, slot.State{Mode: engine.Shadow, Phase: slot.Closed, Why: "taken"}),
		opened(1, slot.State{Mode: engine.Approval, Phase: slot.Booked, Approved: true, Winner: "s.1.1", Offers: won(10, 1)}),
		opened(1, slot.State{Mode: engine.Automatic, Phase: slot.Booked, Winner: "s.1.1", Offers: won(40, 1)}),
		opened(1, slot.State{Mode: engine.Automatic, Phase: slot.Booked, Winner: "s.1.1", Offers: won(2, 0)}), // given by the desk
		opened(1, slot.State{Mode: engine.Approval, Phase: slot.Approval}),
		opened(1, slot.State{Mode: engine.Approval, Phase: slot.Expired}),
		opened(1, slot.State{Mode: engine.Automatic, Phase: slot.Closed, Why: "withdrawn"}),
		opened(31, slot.State{Mode: engine.Automatic, Phase: slot.Expired}),            // before the period
		opened(0, slot.State{Mode: engine.Automatic, Phase: slot.Freed}),               // at its end: after it
		opened(1, slot.State{Phase: slot.None, Slot: engine.Slot{ID: "never opened"}}), // not an opening
	}
	want := Review{
		Freed: 8, Waiting: 1, Approved: 1, Left: 1, Filled: 2, FillMinutes: 25, Elsewhere: 1, Expired: 2,
		Would: Asking{Slots: 2, Asked: 1, People: 2, SMS: 1, Email: 1},
		Did:   Asking{Slots: 6, Asked: 2, People: 4, SMS: 2, Voice: 2},
	}
	if diff := cmp.Diff(want, Look(states, noon.Add(-30*24*time.Hour), noon)); diff != "" {
		t.Error(diff)
	}
}

func crowd(lang engine.Lang, n, age int, km float64, offers, fills int) []Subject {
	var list []Subject
	for i := range n {
		s := Subject{Patient: engine.PatientID(string(lang) + string(rune('0'+age)) + string(rune('A'+i))), Lang: lang, Age: age, Km: km}
		if i < offers {
			s.Offers = 1
		}
		if i < fills {
			s.Fills = 1
		}
		list = append(list, s)
	}
	return list
}

func TestFair(t *testing.T) {
	t.Parallel()
	subjects := append(crowd("fr", 12, 17, 4.9, 6, 2), crowd("en", 7, 18, 5, 4, 1)...)
	subjects = append(subjects, crowd("en", 6, 65, -1, 1, 0)...)
	subjects = append(subjects, subjects[0]) // the same person asked twice
	want := Fairness{
		All:      Group{"all", 25, 12, 4},
		Language: []Group{{"en", 13, 5, 1}, {"fr", 12, 7, 3}},
		Age:      []Group{{"0-17", 12, 7, 3}, {"18-39", 7, 4, 1}, {"65+", 6, 1, 0}},
		Distance: []Group{{"0-5", 12, 7, 3}, {"5-20", 7, 4, 1}, {"unknown", 6, 1, 0}},
	}
	got := Fair(subjects)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := got.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.HasPrefix(text, "dimension,group,people,offers,fills\r\nall,all,25,12,4\r\nlanguage,en,13,5,1\r\n") ||
		!strings.Contains(text, "\r\ndistance_km,unknown,6,1,0\r\n") {
		t.Errorf("%q", text)
	}
}

// A small group is not shown, and cannot be worked out from the total either.
func TestFewAreNotBrokenDown(t *testing.T) {
	t.Parallel()
	one := append(crowd("fr", 30, 20, 1, 0, 0), crowd("fr", 9, 50, 1, 0, 0)...)
	one = append(one, crowd("en", 4, 70, 1, 3, 1)...)
	f := Fair(one)
	if diff := cmp.Diff([]Group{{"18-39", 30, 0, 0}, {"other", 13, 3, 1}}, f.Age); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Group{{"other", 43, 3, 1}}, f.Language); diff != "" {
		t.Error(diff)
	}
	for _, n := range []int{0, 1, 4} {
		f := Fair(crowd("fr", n, 3, 1, n, 0))
		if len(f.Language) > 1 || len(f.Age) > 1 || f.All.People != n {
			t.Errorf("%d people: %+v", n, f)
		}
	}
}

func TestPreviewFollowsThePolicy(t *testing.T) {
	t.Parallel()
	p := engine.DefaultPolicy()
	p.Strategy = engine.Waves
	plan := Preview(p, offer.Rates{})
	first := plan.Steps[0]
	if first.Ask != 3 || first.At.Format("15:04") != "10:01" || plan.AfterNo != 1 || plan.Steps[1].At.Format("15:04") != "10:11" {
		t.Errorf("%+v", plan)
	}
	sum := 0
	for _, s := range plan.Steps {
		sum += s.Ask
		if !s.At.Before(plan.Deadline) {
			t.Errorf("a step at %s, past %s", s.At, plan.Deadline)
		}
	}
	if sum != 40 || !plan.Steps[len(plan.Steps)-1].Remind {
		t.Errorf("%d asked, then %+v", sum, plan.Steps[len(plan.Steps)-1])
	}
	p.MaxAsked = 5
	if s := Preview(p, offer.Rates{}).Steps; s[0].Ask+s[1].Ask != 5 {
		t.Errorf("%+v", s)
	}
	p.Hours = engine.Hours{From: 11 * 60, Until: 12 * 60}
	if s := Preview(p, offer.Rates{}).Steps; s[0].At.Format("15:04") != "11:00" {
		t.Errorf("%+v", s)
	}
	p.Horizon = time.Hour
	if !Preview(p, offer.Rates{}).TooFar {
		t.Error("beyond the horizon")
	}
	p.Horizon, p.Notice = 48*time.Hour, 5*time.Hour
	if !Preview(p, offer.Rates{}).TooLate {
		t.Error("inside the notice")
	}
}

func TestSay(t *testing.T) {
	t.Parallel()
	p := engine.DefaultPolicy()
	p.Strategy = engine.Waves
	plan := Preview(p, offer.Rates{})
	fr := strings.ReplaceAll(strings.Join(plan.Say(engine.French, engine.Approval), "\n"), "\u00a0", " ")
	wantFr := `Prenons une plage libérée à 10 h pour 15 h, avec 40 personnes sur la liste dont aucune ne répond.
Rien ne part avant l’approbation d’une personne de l’accueil; les heures comptent à partir de là.
À 10 h 01, Relais écrit à 3 personnes.
Si l’une refuse entretemps, Relais écrit aussitôt à 1 autre personne.
À 10 h 11, à 3 autres personnes (6 en tout).
À 10 h 21, à 3 autres personnes (9 en tout).
À 10 h 31, à 3 autres personnes (12 en tout).
Et ainsi de suite jusqu’à 12 h 11 : 40 personnes en tout.
À 12 h 21, celles qui n’ont pas répondu reçoivent un rappel.
À 14 h 30, l’offre prend fin et la plage revient à l’accueil.
Au premier oui, la plage est réservée et plus personne n’est joint.`
	if diff := cmp.Diff(wantFr, fr); diff != "" {
		t.Error(diff)
	}
	en := plan.Say(engine.English, engine.Automatic)
	if en[1] != "At 10:01 Relais writes to 3 people." || en[2] != "If one of them refuses meanwhile, Relais writes to 1 other person at once." {
		t.Errorf("%q", en)
	}
	if s := plan.Say(engine.English, engine.Shadow); s[1] != "Nothing leaves: Relais only notes what follows." {
		t.Errorf("%q", s)
	}
	adaptive := Preview(engine.DefaultPolicy(), offer.Rates{})
	t.Log(strings.Join(adaptive.Say(engine.English, engine.Automatic), "\n"))
	if len(adaptive.Steps) == 0 || adaptive.Steps[0].Ask < 1 {
		t.Errorf("%+v", adaptive)
	}
}
