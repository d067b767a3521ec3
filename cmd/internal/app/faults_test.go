package app

import (
	"net/http"
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
			const clinic = "dermatologie"
			p := demo(t, dataDir(t), nil, "--wave-every", "1h")
			p.healthy(clinic)
			p.healthy("famille")
			_, claimed, who := p.open(clinic, engine.SMS, 1)
			_, gone, _ := p.open(clinic, engine.SMS, 1)

			p.fault(clinic, fault)
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
			if fault != "empty" && fault != "skewed" { // those still take bookings, and say so
				p.told(who[0].ID, "Nous finalisons")
				if s := p.card(clinic, string(claimed.ID)).State; s != desk.Claimed {
					t.Errorf("the slot somebody said yes to is %s", s)
				}
			}
			p.open("famille", engine.SMS, 1) // the other clinic goes on
			if n := p.offers(); n[clinic] != before[clinic] {
				t.Errorf("%v offers left while suspended", n[clinic]-before[clinic])
			}

			p.fault(clinic, "")
			eventually(t, "a look by hand ends the suspension", func() bool { // the next look by itself may be half a minute away
				p.must(http.StatusOK, "POST", "/api/v1/clinics/"+clinic+"/check", struct{}{}, nil)
				return string(p.calendar(clinic).Health.Status) == "healthy"
			})
			eventually(t, "the yes is booked", func() bool { return p.card(clinic, string(claimed.ID)).State == desk.Confirmed })
			p.told(who[0].ID, "c'est confirmé")
			eventually(t, "the slot that was booked meanwhile is closed", func() bool {
				s := p.card(clinic, string(gone.ID)).State
				return s != desk.Offered && s != desk.Suspended && s != desk.Freed
			})
			card := p.opened(clinic, freed)
			eventually(t, "the slot freed meanwhile is offered", func() bool { return p.card(clinic, string(card.ID)).Asked > 0 })
		})
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
