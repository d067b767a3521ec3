package app

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"relais/engine"
	"relais/transport/sandbox"
)

// Names as they are common in Quebec. Nobody is meant.
var (
	givenNames = []string{
		"Marie", "Jean", "Sylvie", "Michel", "Nathalie", "Luc", "Julie", "Alain", "Isabelle", "Pierre", "Chantal", "Daniel",
		"Amélie", "Mathieu", "Camille", "Samuel", "Léa", "Félix", "Fatima", "Mehdi", "Linh", "Carlos", "Aïcha", "Olga",
		"Emily", "James", "Sarah", "Kevin", "Grace", "Thomas", "Zoé", "Étienne", "Noémie", "Raphaël", "Hélène", "François",
	}
	familyNames = []string{
		"Tremblay", "Gagnon", "Roy", "Côté", "Bouchard", "Gauthier", "Morin", "Lavoie", "Fortin", "Gagné", "Ouellet", "Pelletier",
		"Bélanger", "Lévesque", "Bergeron", "Leblanc", "Paquette", "Girard", "Simard", "Boucher", "Nguyen", "Haddad", "Silva",
		"Cohen", "Smith", "Brown", "Diallo", "Petrova", "Lefebvre", "Poirier", "Cloutier", "Dubé", "Thériault", "Lachance",
	}
)

// demoPeople are the people on the demo's waitlists. The same seed gives the same people.
type demoPeople struct {
	patients []engine.Patient
	entries  []engine.Entry
}

// sooner says which of these keep no entry: they consented to be seen sooner, and their appointments put
// them on the list.
func sooner(i int) bool { return givesUp(i) && i%10 == 0 }

// givesUp says which of the people have a later appointment that they would give up.
func givesUp(i int) bool { return i%5 == 0 }

func makePeople(seed uint64, n int, now time.Time) demoPeople {
	r := rand.New(rand.NewPCG(seed, 2026)) //nolint:gosec // the same seed gives the same people
	clinics := demoClinics(DemoOptions{WaveEvery: time.Minute})
	var d demoPeople
	anyHour := engine.Hours{}
	for i := range n {
		c := clinics[i%len(clinics)]
		id := fmt.Sprintf("w%04d", i+1)
		p := engine.Patient{
			ID: engine.PatientID(id), Clinic: engine.ClinicID(c.ID), Source: "Patient/" + id, Hours: &anyHour,
			Given: givenNames[r.IntN(len(givenNames))], Family: familyNames[r.IntN(len(familyNames))], Lang: engine.French,
			Born: time.Date(now.Year()-4-i*37%85, time.Month(1+i%12), 1+i%28, 0, 0, 0, 0, time.UTC),
		}
		if r.IntN(5) == 0 {
			p.Lang = engine.English
		}
		area := []string{"514", "438", "450", "579", "418", "581", "819", "873", "367", "263"}[i%10]
		phone := engine.Phone(fmt.Sprintf("+1%s555%04d", area, 101+i/10)) // 555-01xx is kept for stories
		mail := engine.Email(fmt.Sprintf("%s.%d@courriel.example", ascii(p.Given), i+1))
		if i%60 == 11 {
			mail = engine.Email(fmt.Sprintf("gone+%d@courriel.example", i+1)) // taken, then bounces
		}
		p.Contacts = contacts(r.IntN(20), phone, mail)
		if sooner(i) {
			p.Sooner = &engine.Sooner{At: now.UTC().AddDate(0, 0, -30-i%90), Proof: "formulaire 2026-03-02", Anyone: true}
		}
		d.patients = append(d.patients, p)
		d.entries = append(d.entries, entryFor(r, i, c, p, now))
	}
	return d
}

// contacts gives people the channels they have in life: most text, some only answer calls or mail.
func contacts(kind int, phone engine.Phone, mail engine.Email) []engine.Contact {
	consent := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	of := func(ch engine.Channel) engine.Contact {
		c := engine.Contact{Channel: ch, Consent: consent, Proof: "formulaire 2026-03-02"}
		if ch == engine.EmailMail {
			c.Email = mail
		} else {
			c.Phone = phone
		}
		return c
	}
	switch {
	case kind < 9:
		return []engine.Contact{of(engine.SMS), of(engine.EmailMail)}
	case kind < 13:
		return []engine.Contact{of(engine.SMS)}
	case kind < 16:
		return []engine.Contact{of(engine.SMS), of(engine.Voice), of(engine.EmailMail)}
	case kind < 18:
		return []engine.Contact{of(engine.Voice)}
	default:
		return []engine.Contact{of(engine.EmailMail)}
	}
}

func entryFor(r *rand.Rand, i int, c ClinicConfig, p engine.Patient, now time.Time) engine.Entry {
	e := engine.Entry{
		ID: engine.EntryID("e" + string(p.ID)), Clinic: p.Clinic, Patient: p.ID, Status: engine.Waiting,
		Specialty: engine.Specialty(c.Practitioners[0].Specialty), Class: []int{1, 1, 1, 2, 2, 0}[r.IntN(6)],
		Notice: time.Duration(r.IntN(3)) * 30 * time.Minute,
	}
	if r.IntN(4) == 0 {
		e.Practitioners = []engine.PractitionerID{engine.PractitionerID(c.Practitioners[i%len(c.Practitioners)].ID)}
	}
	weekdays := uint8(0b0111110)
	switch r.IntN(8) {
	case 0:
		e.Windows = []engine.Window{{Days: weekdays, From: 8 * 60, Until: 12 * 60}}
	case 1:
		e.Windows = []engine.Window{{Days: weekdays, From: 12 * 60, Until: 18 * 60}}
	}
	where := c.Places[0]
	e.Home = &engine.Point{Lat: where.Lat + (r.Float64()-.5)*.3, Lon: where.Lon + (r.Float64()-.5)*.4}
	e.RadiusKm = []float64{10, 25, 50}[r.IntN(3)]
	e.Joined = now.UTC().Add(-time.Duration(24+r.IntN(200*24)) * time.Hour)
	return e
}

// ascii writes a name as it stands in an address.
func ascii(s string) string {
	return strings.NewReplacer("é", "e", "è", "e", "ë", "e", "ï", "i", "ç", "c", "ô", "o", "É", "E").Replace(strings.ToLower(s))
}

// seed is what a clinic's record system is made from.
func (d demoPeople) seed(c ClinicConfig, token string, number uint64) sandbox.Seed {
	s := sandbox.Seed{Clinic: c.Clinic(), Token: token, Number: number, Later: map[engine.PatientID]engine.PractitionerID{}}
	for i, p := range d.patients {
		if p.Clinic != s.Clinic.ID {
			continue
		}
		s.Patients = append(s.Patients, p)
		if givesUp(i) {
			s.Later[p.ID] = s.Clinic.Practitioners[i%len(s.Clinic.Practitioners)].ID
		}
	}
	return s
}

// phonebook puts names on the wall of phones.
func (d demoPeople) phonebook() []sandbox.Person {
	var people []sandbox.Person
	for _, p := range d.patients {
		person := sandbox.Person{Name: p.Given + " " + p.Family, Lang: string(p.Lang)}
		for _, c := range p.Contacts {
			if c.Phone != "" {
				person.Phone = string(c.Phone)
			}
			if c.Email != "" {
				person.Email = string(c.Email)
			}
		}
		people = append(people, person)
	}
	return people
}

// waitlist is the people and their wishes, with the appointments that they would give up.
func (d demoPeople) waitlist(later map[engine.PatientID]engine.Appointment) ([]engine.Patient, []engine.Entry) {
	entries := make([]engine.Entry, 0, len(d.entries))
	for i, e := range d.entries {
		a, ok := later[e.Patient]
		if ok && sooner(i) {
			continue
		}
		if ok {
			e.Current = &a
		}
		entries = append(entries, e)
	}
	return d.patients, entries
}
