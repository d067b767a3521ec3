package app

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/transport/hl7"
	"relais/transport/sandbox"
)

// openParties is Relais with many clinics whose record systems speak HL7 v2: one peer plays them all, over
// one connection to one listener. Each clinic has some visits in three days.
func openParties(b *testing.B, clinics, visits int) *crowd {
	b.Helper()
	zone, err := time.LoadLocation("America/Toronto")
	if err != nil {
		b.Fatal(err)
	}
	relais := hl7.Party{Application: "RELAIS"}
	var parties []sandbox.HL7Clinic
	for n := range clinics {
		parties = append(parties, sandbox.HL7Clinic{ID: farmID(n), Zone: zone, Sender: hl7.Party{Application: "SCHED", Facility: string(farmID(n))}, Receiver: relais})
	}
	peer, err := sandbox.NewHL7System(parties...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(peer.Close)
	c := newCrowd(b)
	listener, journal := hl7.NewListener(hl7.ListenerConfig{Log: c.opt.Logger}), newHL7Journal(c.store)
	b.Cleanup(listener.Close)
	for n, party := range parties {
		clinic := farmClinic(n, 1)
		client, err := hl7.New(b.Context(), hl7.Config{
			Clinic: clinic.ID, Zone: zone, Journal: journal, Sender: party.Sender, Receiver: relais, SendTo: peer.Addr(),
			Practitioners: map[string]engine.PractitionerID{"dr0": "dr0"}, Places: map[string]engine.PlaceID{"place": "place"},
			Nudge: func() { c.relais.Nudge(clinic.ID) }, Log: c.opt.Logger,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(client.Close)
		if err := listener.Add(client); err != nil {
			b.Fatal(err)
		}
		c.opt.Clinics, c.opt.DMEs[clinic.ID] = append(c.opt.Clinics, clinic), client
		c.opt.Poll[clinic.ID] = manyPoll
	}
	fillers := map[string]string{}
	at := func(id engine.ClinicID, start time.Time) string { return fmt.Sprint(id, " ", start.Unix()) }
	c.cancel = func(ctx context.Context, id engine.ClinicID, card desk.Card) error {
		return peer.Cancel(ctx, id, fillers[at(id, card.Start)])
	}
	c.start()
	listen, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = listener.Serve(listen) }()
	peer.SendTo(listen.Addr().String())
	first := time.Now().Add(72 * time.Hour).Truncate(time.Hour).UTC()
	for n := range clinics {
		for v := range visits {
			start := first.Add(time.Duration(v) * time.Hour)
			filler, err := peer.Book(b.Context(), farmID(n), "dr0", "place", start, start.Add(20*time.Minute))
			if err != nil {
				b.Fatal(err)
			}
			fillers[at(farmID(n), start)] = filler
		}
	}
	return c
}
