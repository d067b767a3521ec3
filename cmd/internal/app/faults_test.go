package app

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/transport/sandbox"
)

// TestFaults gives a record system every fault it can have: nothing leaves until it can be trusted
// again, a yes is kept and written later, and the other clinic notices nothing.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range sandbox.Faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			p := demo(t, dataDir(t), nil, "--wave-every", "1h")
			p.through(func() { p.fault(faulty, fault) }, func() { p.fault(faulty, "") }, fault == "empty" || fault == "skewed")
		})
	}
}

const faulty = "dermatologie"

// through breaks a clinic's record system while slots are offered, and heals it: nothing leaves in between,
// and nothing is lost or doubled after. takes says that it takes bookings while it is broken.
func (p *process) through(sicken, heal func(), takes bool) {
	t := p.t
	t.Helper()
	const clinic = faulty
	p.healthy(clinic)
	p.healthy("famille")
	mine, claimed, who := p.open(clinic, engine.SMS, 1)
	_, gone, _ := p.open(clinic, engine.SMS, 1)

	sicken()
	p.status(clinic, "suspended")
	if p.metric("relais_dme_status", `clinic="`+clinic+`"`, `status="suspended"`) != 1 {
		t.Error("relais_dme_status does not say suspended")
	}
	if p.metric("relais_suspensions_total", `clinic="`+clinic+`"`) != 1 {
		t.Error("relais_suspensions_total did not rise")
	}
	eventually(t, "an open slot shows as suspended", func() bool { return p.card(clinic, string(gone.ID)).State == desk.Suspended })
	calendar := p.calendar(clinic)
	if h := calendar.Health; h.Detail == "" || h.Fault == "" {
		t.Errorf("the calendar does not say what is wrong: %+v", h)
	}

	// A cancellation, a booking by phone at the clinic, and a yes, while nothing is known.
	before := p.offers()
	freed := p.cancel(clinic, 5)
	for _, a := range p.record(clinic).Appointments {
		if a.Start.Equal(gone.Start) && a.Practitioner == string(gone.Practitioner) {
			p.must(204, "POST", "/sandbox/api/dme/"+clinic+"/slots/"+a.Slot+"/book", struct{}{}, nil)
		}
	}
	p.text(who[0].ID, "OUI")
	if !takes { // those that do say so
		p.told(who[0].ID, "Nous finalisons")
		if s := p.card(clinic, string(claimed.ID)).State; s != desk.Claimed {
			t.Errorf("the slot somebody said yes to is %s", s)
		}
	}
	p.open("famille", engine.SMS, 1) // the other clinic goes on
	if n := p.offers(); n[clinic] != before[clinic] {
		t.Errorf("%v offers left while suspended", n[clinic]-before[clinic])
	}

	heal()
	eventually(t, "a look by hand ends the suspension", func() bool { // the next look by itself may be half a minute away
		p.must(http.StatusOK, "POST", "/api/v1/clinics/"+clinic+"/check", struct{}{}, nil)
		return string(p.calendar(clinic).Health.Status) == "healthy"
	})
	eventually(t, "the yes is booked", func() bool { return p.card(clinic, string(claimed.ID)).State == desk.Confirmed })
	p.told(who[0].ID, "c'est confirmé")
	eventually(t, "the slot that was booked meanwhile is closed", func() bool { return p.over(gone) })
	card := p.opened(clinic, freed)
	eventually(t, "the slot freed meanwhile is offered", func() bool { return p.card(clinic, string(card.ID)).Asked > 0 })
	p.once(mine.Slot)
}

// over says that a slot of the faulty clinic is neither offered nor won.
func (p *process) over(c desk.Card) bool {
	p.t.Helper()
	return !slices.Contains([]desk.State{desk.Offered, desk.Suspended, desk.Freed, desk.Claimed, desk.Confirmed}, p.card(faulty, string(c.ID)).State)
}

// once holds that the record system has one booking of ours on a slot, and that nobody was offered a slot
// twice.
func (p *process) once(slot string) {
	p.t.Helper()
	ours := 0
	for _, a := range p.record(faulty).Appointments {
		if a.Slot == slot && a.Status == "booked" && a.Relais {
			ours++
		}
	}
	if ours != 1 {
		p.t.Errorf("%d bookings of ours on the slot", ours)
	}
	for id := range p.cards(faulty) {
		asked := map[string]int{}
		for _, a := range p.detail(faulty, id).Asked {
			asked[a.Patient]++
			texts := 0
			for _, d := range a.Deliveries {
				if d.Kind == engine.MsgOffer && d.Channel == engine.SMS {
					texts++
				}
			}
			if asked[a.Patient] > 1 || texts > 1 {
				p.t.Errorf("somebody has %d offers and %d texts for the same slot", asked[a.Patient], texts)
			}
		}
	}
}

// offers counts the offers' messages on the wall by clinic.
func (p *process) offers() map[string]int {
	p.t.Helper()
	n := map[string]int{}
	for _, clinic := range []string{"dermatologie", "famille"} {
		for id := range p.cards(clinic) {
			for _, a := range p.detail(clinic, id).Asked {
				for _, d := range a.Deliveries {
					if d.Kind == engine.MsgOffer || d.Kind == engine.MsgReminder {
						n[clinic]++
					}
				}
			}
		}
	}
	return n
}

// TestWaves lets nobody answer: the next wave comes after the configured delay, to others, and
// those who were asked are reminded.
func TestWaves(t *testing.T) {
	t.Parallel()
	const clinic = "dermatologie"
	p := demo(t, dataDir(t), nil, "--wave-every", "2s", "--patients", "12")
	p.healthy(clinic)
	b := browse(t, p, clinic)
	b.read()
	card := p.opened(clinic, p.cancel(clinic, 4))
	id := string(card.ID)
	b.until(func() bool { return b.cards[id].Wave == 1 })
	first := b.cards[id]
	b.until(func() bool { return b.cards[id].Wave == 2 })
	if !b.cards[id].Deadline.Equal(*first.Deadline) {
		t.Errorf("the deadline moved from %v to %v", first.Deadline, b.cards[id].Deadline)
	}
	var d desk.Detail
	eventually(t, "those who did not answer are reminded", func() bool {
		d = p.detail(clinic, id)
		for _, a := range d.Asked {
			for _, m := range a.Deliveries {
				if m.Kind == engine.MsgReminder {
					return true
				}
			}
		}
		return false
	})
	asked, at := map[string]int{}, map[int]time.Time{}
	for _, a := range d.Asked {
		asked[a.Patient]++
		at[a.Wave] = a.At
	}
	for who, n := range asked {
		if n > 1 {
			t.Errorf("%s was asked %d times", who, n)
		}
	}
	if gap := at[2].Sub(at[1]); gap < 2*time.Second {
		t.Errorf("the second wave came %v after the first", gap)
	}
}
