package hl7_test

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/hl7"
)

// TestSeveralClinics sends the messages of four clinics through one port, and one connection: each reaches the
// clinic that its MSH-3 to 6 name, by any of the four, and the one that names most of them before others.
func TestSeveralClinics(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	l := hl7.NewListener(hl7.ListenerConfig{Log: quiet})
	t.Cleanup(l.Close)
	clinics := map[engine.ClinicID]*hl7.Connector{}
	for id, at := range map[engine.ClinicID][2]hl7.Party{
		"by sending facility":   {{Application: "SCHED", Facility: "NORD"}, {Application: "RELAIS"}},
		"by application":        {{Application: "AGENDA"}, {}},
		"by receiving facility": {{Application: "SCHED"}, {Application: "RELAIS", Facility: "SUD"}},
		"by all four":           {{Application: "SCHED", Facility: "NORD"}, {Application: "RELAIS", Facility: "SUD"}},
	} {
		c, err := hl7.New(t.Context(), hl7.Config{
			Clinic: id, Zone: montreal(t), Journal: &kept{records: map[string]hl7.Record{}}, Sender: at[0], Receiver: at[1],
			Practitioners: map[string]engine.PractitionerID{"D7": "gagnon"}, Log: quiet,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		if err := l.Add(c); err != nil {
			t.Fatal(err)
		}
		clinics[id] = c
		if err := l.Add(c); engine.CodeOf(err) != engine.Invalid {
			t.Errorf("two clinics that cannot be told apart: %v", err)
		}
	}
	listen, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.Serve(listen) }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listen.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := hl7.NewFrames(conn)
	known := map[engine.ClinicID]int{}
	for i, m := range []struct {
		head string
		want engine.ClinicID
	}{
		{"SCHED|NORD|RELAIS|", "by sending facility"},
		{"SCHED|NORD|RELAIS|OUEST", "by sending facility"},
		{"AGENDA|EST|X|Y", "by application"},
		{"SCHED|EST|RELAIS|SUD", "by receiving facility"},
		{"SCHED|NORD|RELAIS|SUD", "by all four"},
		{"SCHED|EST|RELAIS|", ""},
		{"SCHED^1.2.3^ISO|NORD|RELAIS|", "by sending facility"},
	} {
		text := strings.Replace(siu(fmt.Sprint("m", i), ""), "SCHED|DERMA|RELAIS|", m.head, 1)
		text = strings.Replace(text, "SCH||v1|", fmt.Sprintf("SCH||v%d|", i), 1)
		if _, err := conn.Write(hl7.Frame([]byte(text))); err != nil {
			t.Fatal(err)
		}
		code, said := answer(t, in)
		if want := map[bool]string{true: "AR", false: "AA"}[m.want == ""]; code != want {
			t.Errorf("%s is answered %s %q", m.head, code, said)
		}
		if m.want != "" {
			known[m.want]++
		}
		for id, c := range clinics {
			obs, err := c.Snapshot(t.Context(), time.Time{}, time.Now().AddDate(10, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			if len(obs.Appointments) != known[id] {
				t.Errorf("after %s %q has %d visits, want %d", m.head, id, len(obs.Appointments), known[id])
			}
		}
	}
}
