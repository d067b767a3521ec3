package app

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
	"relais/storage"
	"relais/transport/hl7"
	"relais/transport/sandbox"
)

const hl7YAML = `
public_url: https://relais.example
data: %[1]s/data
key_file: %[1]s/key
mail: { host: localhost, from: Relais <relais@example.org> }
hl7: { addr: "127.0.0.1:0" }
clinics:
  - id: physio
    name: Physio du Parc
    address: 1, rue Principale, Montréal
    phone: "+15145550142"
    practitioners:
      - { id: lavoie, name: Jean Lavoie, specialty: physiotherapy }
    places:
      - { id: parc, name: Parc, address: "1, rue Principale", lat: 45.5, lon: -73.6 }
    policy: { strategy: waves, size: 1, grace: 0s, notice: 0s, hours: 00:00-24:00 }
    dme:
      hl7:
        sender: { application: SCHED, facility: PARC }
        receiver: { application: RELAIS }
        send_to: %[2]s
        practitioners: { "D7": lavoie }
        places: { "P1": parc }
`

// hl7Config reads the configuration of a clinic whose record system takes requests at an address.
func hl7Config(tb testing.TB, dir, sendTo string) Config {
	tb.Helper()
	path := filepath.Join(dir, "relais.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, hl7YAML, dir, sendTo), 0o600); err != nil {
		tb.Fatal(err)
	}
	cfg, err := LoadConfig(path, environment{}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// hl7Program is the program as it is configured, with a clinic whose record system speaks HL7, and a
// carrier that takes texts at once.
func hl7Program(tb testing.TB, dir string, system *sandbox.HL7System, texts *instantCarrier) *program {
	tb.Helper()
	cfg := hl7Config(tb, dir, system.Addr())
	var err error
	p := &program{cfg: cfg, log: slog.New(slog.DiscardHandler), metrics: newMetrics()}
	if err := p.openStore(); err != nil {
		tb.Fatal(err)
	}
	opt := actors.Options{
		Store: p.store, Links: links("https://relais.example"), Caller: notConfigured{}, Logger: p.log, Observer: actorFaults{p.metrics},
		Senders: map[engine.Channel]actors.Sender{engine.SMS: texts, engine.Voice: notConfigured{}, engine.EmailMail: notConfigured{}},
		Metrics: clinicMetrics{p.metrics, func(engine.ClinicID, health.Status, health.Status) {}},
		Invite:  func(engine.BookingID, engine.Clinic, engine.Lang, time.Time, time.Time) []byte { return nil },
	}
	if err := p.connectAll(tb.Context(), &opt); err != nil {
		tb.Fatal(err)
	}
	if p.relais, err = actors.New(opt); err != nil {
		tb.Fatal(err)
	}
	if err := p.relais.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if err := p.listenHL7(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	system.SendTo(p.hl7Addr.String())
	return p
}

func hl7Clinic(tb testing.TB) (*sandbox.HL7System, *time.Location) {
	tb.Helper()
	zone, err := time.LoadLocation("America/Toronto")
	if err != nil {
		tb.Fatal(err)
	}
	system, err := sandbox.NewHL7System(sandbox.HL7Clinic{
		ID: "physio", Zone: zone, Sender: hl7.Party{Application: "SCHED", Facility: "PARC"}, Receiver: hl7.Party{Application: "RELAIS"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(system.Close)
	return system, zone
}

// TestHL7Story is the way of one cancellation at a clinic whose record system speaks HL7 v2: SIU^S15,
// the offer, the yes, SRM^S01, and the record system's own SIU^S12 of it, which is no stranger; then
// the same after a restart in between.
func TestHL7Story(t *testing.T) {
	system, _ := hl7Clinic(t)
	texts := &instantCarrier{first: map[engine.SlotID]engine.Phone{}}
	dir := t.TempDir()
	p := hl7Program(t, dir, system, texts)
	healthy := func() {
		eventually(t, "the record system is healthy", func() bool {
			s, err := p.relais.Health(t.Context(), "physio")
			return err == nil && s.Status == health.Healthy
		})
	}
	healthy()
	whole := engine.Hours{}
	for _, n := range []string{"1", "2"} {
		err := p.relais.Add(t.Context(), []engine.Patient{{
			ID: engine.PatientID("p" + n), Clinic: "physio", Given: "Marie", Family: "Tremblay", Lang: engine.French, Hours: &whole, Source: "DOSSIER" + n + "^^^PARC^MR",
			Contacts: []engine.Contact{{Channel: engine.SMS, Phone: engine.Phone("+1514555020" + n), Consent: hallConsent, Proof: "formulaire"}},
		}}, []engine.Entry{{
			ID: engine.EntryID("e" + n), Clinic: "physio", Patient: engine.PatientID("p" + n), Status: engine.Waiting, Specialty: "physiotherapy", Class: 1, Joined: hallConsent,
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now().Add(48 * time.Hour).Truncate(time.Hour).UTC()
	for round, manner := range []sandbox.HL7Manner{sandbox.HL7Answers, sandbox.HL7Later} {
		system.Behave(manner)
		at := start.Add(time.Duration(round) * 24 * time.Hour)
		filler, err := system.Book(t.Context(), "physio", "D7", "P1", at, at.Add(30*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if err := system.Cancel(t.Context(), "physio", filler); err != nil {
			t.Fatal(err)
		}
		eventually(t, "somebody is asked", func() bool { return texts.count() == round+1 })
		phone := texts.all[round]
		if _, err := p.relais.Reply(t.Context(), engine.Reply{ID: rand.Text(), Phone: phone, Channel: engine.SMS, Intent: engine.Yes, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		const layout = "20060102T150405Z"
		id := engine.NewSlotID("physio", "lavoie|parc|"+at.Format(layout)+"|"+at.Add(30*time.Minute).Format(layout), at)
		eventually(t, "the slot is booked", func() bool {
			d, err := p.relais.Slot(t.Context(), "physio", id)
			return err == nil && d.Card.State == desk.Confirmed
		})
		visits := system.Visits("physio")
		if len(visits) != round+1 {
			t.Fatalf("the record system has %+v", visits)
		}
		for _, v := range visits {
			if !strings.HasPrefix(v.Placer, "relais-") || !strings.HasPrefix(v.Patient, "DOSSIER") {
				t.Errorf("%+v", v)
			}
		}
		stopHL7(p)
		p = hl7Program(t, dir, system, texts)
		healthy()
		if d, err := p.relais.Slot(t.Context(), "physio", id); err != nil || d.Card.State != desk.Confirmed {
			t.Errorf("after a restart: %v %v", d.Card.State, err)
		}
	}
	stopHL7(p)
}

func stopHL7(p *program) {
	p.hl7.Close()
	p.close()
}

// A clinic whose record system spoke FHIR before keeps nothing of that schedule, and one that spoke
// HL7 all the time keeps what it heard.
func TestMovedToHL7(t *testing.T) {
	system, _ := hl7Clinic(t)
	texts := &instantCarrier{first: map[engine.SlotID]engine.Phone{}}
	dir := t.TempDir()
	p := hl7Program(t, dir, system, texts)
	start := time.Now().Add(48 * time.Hour).Truncate(time.Hour).UTC()
	if _, err := system.Book(t.Context(), "physio", "D7", "P1", start, start.Add(30*time.Minute)); err != nil {
		t.Fatal(err)
	}
	count := func(k storage.Kind) int {
		list, err := p.store.Scan(t.Context(), "physio", k, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	again := func() {
		stopHL7(p)
		p = hl7Program(t, dir, system, texts)
	}
	again()
	if count(storage.KindHL7) == 0 {
		t.Fatal("what was heard is forgotten at every start")
	}
	eventually(t, "the slot is in the mirror", func() bool { return count(storage.KindSchedule) > 0 })
	spoke := storage.Key{Clinic: "physio", Kind: storage.KindMeta, ID: "dme"}
	rec, err := p.store.Get(t.Context(), spoke)
	if err != nil || string(rec.Data) != "hl7" {
		t.Fatalf("%q %v", rec.Data, err)
	}
	if err := p.store.Commit(t.Context(), storage.Batch{Puts: []storage.Put{{Key: spoke, Expect: rec.Version, Data: []byte("fhir")}}}); err != nil {
		t.Fatal(err)
	}
	again()
	if n, m := count(storage.KindHL7), count(storage.KindSchedule); n+m != 0 {
		t.Errorf("%d and %d records of the old schedule are kept", n, m)
	}
	stopHL7(p)
}
