package app

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/health"
)

// TestHL7Flood throws garbage and a message of 100 MB at the listener: both are refused, and the clinic on it
// goes on: trusted, its cancellation offered to one person once.
func TestHL7Flood(t *testing.T) {
	system, _ := hl7Clinic(t)
	texts := &instantCarrier{first: map[engine.SlotID]engine.Phone{}}
	p := hl7Program(t, t.TempDir(), system, texts)
	defer stopHL7(p)
	whole := engine.Hours{}
	err := p.relais.Add(t.Context(), []engine.Patient{{
		ID: "p1", Clinic: "physio", Given: "Marie", Family: "Tremblay", Lang: engine.French, Hours: &whole, Source: "DOSSIER1^^^PARC^MR",
		Contacts: []engine.Contact{{Channel: engine.SMS, Phone: "+15145550201", Consent: hallConsent, Proof: "formulaire"}},
	}}, []engine.Entry{{ID: "e1", Clinic: "physio", Patient: "p1", Status: engine.Waiting, Specialty: "physiotherapy", Joined: hallConsent}})
	if err != nil {
		t.Fatal(err)
	}
	throw := func(head string, chunk []byte, times int) (answer string) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.hl7Addr.String())
		if err != nil {
			return ""
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = conn.Write([]byte(head))
		for range times {
			if _, err := conn.Write(chunk); err != nil {
				break
			}
		}
		got := make([]byte, 1<<10)
		n, _ := conn.Read(got)
		return string(got[:n])
	}
	var flood sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		flood.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					throw("", []byte("\x0bMSH|^~\\&|nobody\r\x1c\r\x0b\x00\xff garbage \x1c\r"), 200)
				}
			}
		})
	}
	const size = 100 << 20
	chunk := bytes.Repeat([]byte("A"), 1<<20)
	if answer := throw("\x0bMSH|^~\\&|SCHED|PARC|RELAIS|||", chunk, size/len(chunk)); !strings.Contains(answer, "MSA|AR") {
		t.Errorf("a message of 100 MB is answered %q", answer)
	}
	start := time.Now().Add(48 * time.Hour).Truncate(time.Hour).UTC()
	filler, err := system.Book(t.Context(), "physio", "D7", "P1", start, start.Add(30*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := system.Cancel(t.Context(), "physio", filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "somebody is asked", func() bool { return texts.count() > 0 })
	close(over)
	flood.Wait()
	if s, err := p.relais.Health(t.Context(), "physio"); err != nil || s.Status != health.Healthy || texts.count() != 1 {
		t.Errorf("%+v, %v: %d texts", s, err, texts.count())
	}
}
