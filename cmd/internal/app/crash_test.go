package app

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"relais/engine/desk"
	"relais/transport/sandbox"
)

// crashes is how often TestCrashes kills the process; CRASHES in the environment changes it.
func crashes() int {
	if n, err := strconv.Atoi(os.Getenv("CRASHES")); err == nil {
		return n
	}
	return 6
}

// TestCrashes kills the process at random moments of its work. On the same data nothing is lost,
// nobody is written to twice, deadlines stand, and the session goes on.
func TestCrashes(t *testing.T) {
	t.Parallel()
	const clinic = "dermatologie"
	dir := dataDir(t)
	p := demo(t, dir, nil, "--wave-every", "3s")
	p.healthy(clinic)
	var cancelled []sandbox.Appointment
	used := map[time.Time]bool{} // one slot at a time of day, so that texts tell slots apart
	before := map[string]desk.Card{}
	for range crashes() {
		done := make(chan struct{})
		killed := time.AfterFunc(time.Duration(rand.IntN(2500))*time.Millisecond, func() { p.kill(); close(done) })
		for n := 0; ; n++ {
			next, ok := p.disturb(clinic, n, before, used)
			if !ok {
				break
			}
			if next.ID != "" {
				cancelled = append(cancelled, next)
			}
			status, cards := p.tryCards(clinic)
			if status != http.StatusOK {
				break
			}
			before = cards
		}
		<-done
		killed.Stop()
		p = demo(t, dir, p.http.Jar, append(p.addr(), "--wave-every", "3s")...)
		if p.password != "" {
			t.Fatal("the account was made again")
		}
		status, after := p.tryCards(clinic)
		if status != http.StatusOK {
			t.Fatalf("the session did not survive: status %d", status)
		}
		checkCards(t, before, after)
	}
	p.healthy(clinic)
	for _, a := range cancelled {
		p.opened(clinic, a)
	}
	// Everybody who has an offer on the phone says yes and gets an answer. Whoever wrote right before a crash
	// and heard nothing writes again.
	eventually(t, "every yes is answered", func() bool {
		quiet := true
		for _, c := range p.cards(clinic) {
			quiet = quiet && c.State != desk.Claimed
		}
		for _, th := range p.state().Threads {
			if offered(th) {
				p.text(th.ID, "OUI")
				quiet = false
			}
			if n := len(th.Items); n > 0 && th.Items[n-1].Mine {
				quiet = false
				if time.Since(th.Items[n-1].At) > 5*time.Second {
					p.text(th.ID, th.Items[n-1].Text)
				}
			}
		}
		return quiet
	})
	p.checkWall(clinic)
	p.checkBookings(clinic)
}

// offered reports whether the last text that somebody got is an offer.
func offered(t sandbox.Thread) bool {
	if len(t.Items) == 0 {
		return false
	}
	last := t.Items[len(t.Items)-1]
	return last.Kind == "sms" && !last.Mine && strings.Contains(last.Text, "OUI")
}

// disturb does something that people do; ok is false when the process is gone.
func (p *process) disturb(clinic string, n int, cards map[string]desk.Card, used map[time.Time]bool) (cancelled sandbox.Appointment, ok bool) {
	var s sandbox.State
	if !p.ask("/sandbox/api/state", &s) {
		return cancelled, false
	}
	open := 0
	for _, c := range cards {
		if c.State == desk.Freed || c.State == desk.Offered {
			open++
		}
	}
	if n%3 == 0 && open < 5 {
		for _, r := range s.Records {
			if r.Clinic != clinic {
				continue
			}
			for _, a := range r.Appointments {
				if a.Status != "booked" || a.Relais || used[a.Start] || time.Until(a.Start) < 26*time.Hour {
					continue
				}
				used[a.Start] = true
				status, _, _, err := p.try("POST", fmt.Sprintf("/sandbox/api/dme/%s/appointments/%s/cancel", clinic, a.ID), struct{}{})
				if err != nil {
					return cancelled, false
				}
				if status != http.StatusNoContent {
					p.t.Fatalf("cancel: status %d", status)
				}
				return a, true
			}
		}
		return cancelled, true
	}
	for _, th := range s.Threads {
		if offered(th) && rand.IntN(3) == 0 {
			_, _, _, err := p.try("POST", "/sandbox/api/threads/"+th.ID+"/text", map[string]string{"text": []string{"OUI", "NON"}[n%2]})
			return cancelled, err == nil
		}
	}
	return cancelled, true
}

// checkCards compares the calendar before a crash with the one after it.
func checkCards(t *testing.T, before, after map[string]desk.Card) {
	t.Helper()
	for id, b := range before {
		a, ok := after[id]
		switch {
		case !ok:
			t.Errorf("the card %s (%s) is gone", id, b.State)
		case a.Revision < b.Revision:
			t.Errorf("the card %s went back from revision %d to %d", id, b.Revision, a.Revision)
		case b.State == desk.Confirmed && a.State != desk.Confirmed && a.State != desk.Suspended:
			t.Errorf("the card %s was confirmed and is %s", id, a.State)
		case a.Deadline != nil && b.Deadline != nil && !a.Deadline.Equal(*b.Deadline):
			t.Errorf("the deadline of %s moved from %v to %v", id, b.Deadline, a.Deadline)
		case a.Declined == b.Declined && a.Pending == b.Pending && a.Wave == b.Wave && a.Next != nil && b.Next != nil && a.State == b.State && !a.Next.Equal(*b.Next):
			t.Errorf("the next wave of %s moved from %v to %v:\n%+v\n%+v", id, b.Next, a.Next, b, a)
		}
	}
}

// ask reads JSON; false means that the process is gone.
func (p *process) ask(path string, into any) bool {
	p.t.Helper()
	status, _, body, err := p.try("GET", path, nil)
	if err != nil {
		return false
	}
	if status != http.StatusOK {
		p.t.Fatalf("%s: status %d: %.200s", path, status, body)
	}
	decode(p.t, body, into)
	return true
}

func (p *process) tryCards(clinic string) (int, map[string]desk.Card) {
	p.t.Helper()
	status, _, body, err := p.try("GET", "/api/v1/clinics/"+clinic+"/calendar", nil)
	if err != nil || status != http.StatusOK {
		return status, nil
	}
	var s desk.Snapshot
	decode(p.t, body, &s)
	cards := map[string]desk.Card{}
	for _, c := range s.Cards {
		if c.State != desk.Reserved && c.State != desk.Free {
			cards[string(c.ID)] = c
		}
	}
	return status, cards
}

// checkWall wants no text twice on one phone. A chain may free a second slot at the same hour, whose texts
// read the same: then there may be one for each of them.
func (p *process) checkWall(clinic string) {
	p.t.Helper()
	times, hours := map[string]int{}, map[string]int{} // slots at a moment, and the most at one hour of any day
	for _, c := range p.cards(clinic) {
		times[c.Day+c.From]++
		hour, minute, _ := strings.Cut(strings.TrimPrefix(c.From, "0"), ":")
		hour += " h " + minute
		hours[hour] = max(hours[hour], times[c.Day+c.From])
	}
	for _, th := range p.state().Threads {
		seen := map[string]int{}
		for _, i := range th.Items {
			about := strings.Contains(i.Text, "libère") || strings.Contains(i.Text, "confirmé") || strings.Contains(i.Text, "est prise")
			if i.Mine || i.Kind == "call" || !about {
				continue
			}
			key := i.Kind + i.Subject + i.Text
			seen[key]++
			may := 1
			for hour, slots := range hours {
				if strings.Contains(" "+strings.ReplaceAll(i.Text, "\u00a0", " "), " "+hour) {
					may = max(may, slots)
				}
			}
			if seen[key] > may {
				p.t.Errorf("a phone got this %d times: %.120s", seen[key], i.Text)
				for _, i := range th.Items {
					p.t.Logf("   %s %s mine=%v %s %.90s", i.At.Format("15:04:05.000"), i.Kind, i.Mine, i.Status, i.Text)
				}
			}
		}
	}
}

// checkBookings wants each confirmed card in the record system once, for the same person.
func (p *process) checkBookings(clinic string) {
	p.t.Helper()
	record := p.record(clinic)
	confirmed := 0
	for id, c := range p.cards(clinic) {
		if c.State != desk.Confirmed {
			continue
		}
		confirmed++
		found := false
		for _, a := range record.Appointments {
			if a.Start.Equal(c.Start) && a.Practitioner == string(c.Practitioner) {
				found = a.Status == "booked" && a.Relais && a.Patient == c.Patient
			}
		}
		if !found {
			p.t.Errorf("the record system does not show the booking of %s", id)
		}
		// Whoever got it may have moved up since, and it went round again.
		booked, opened := 0, 0
		for _, e := range p.detail(clinic, id).Timeline {
			switch e.Event {
			case "booked":
				booked++
			case "opened":
				opened++
			}
		}
		if booked < 1 || booked > opened {
			p.t.Errorf("%s was booked %d times in %d openings", id, booked, opened)
		}
	}
	if p.metric("relais_openings_total") > 0 && p.metric("relais_detection_seconds_count") == 0 {
		p.t.Error("no opening was measured from the change in the record system")
	}
	if confirmed == 0 {
		p.t.Error("nothing was booked")
	}
	p.t.Logf("%d cards confirmed, %v offers, %v deliveries", confirmed, p.metric("relais_offers_total"), p.metric("relais_deliveries_total"))
}
