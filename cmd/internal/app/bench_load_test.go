package app

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"relais/engine"
	"relais/storage"
)

// BenchmarkLoad starts the program on a store with a million people on the waitlist, until everybody
// can be ranked. The record system does not answer meanwhile.
func BenchmarkLoad(b *testing.B) {
	const people = 1_000_000
	cfg := DefaultConfig()
	dir := b.TempDir()
	cfg.Data, cfg.KeyFile, cfg.PublicURL = filepath.Join(dir, "data"), filepath.Join(dir, "key"), "http://localhost"
	c := ClinicConfig{}
	c.setDefaults()
	c.ID, c.Name, c.Address, c.Phone, c.Mode = "region", "Région", "1, rue du Test", "+15145550100", string(engine.Shadow)
	c.Practitioners = []PractitionerConfig{{ID: "dr", Name: "Dre Roy", Specialty: "s1"}}
	c.Places = []PlaceConfig{{ID: "here", Name: "Ici", Lat: 45.5, Lon: -73.6}}
	c.DME.FHIR = &FHIRConfig{BaseURL: "http://127.0.0.1:1", PollEvery: Duration(time.Minute)}
	cfg.Clinics = []ClinicConfig{c}
	quiet := slog.New(slog.DiscardHandler)
	p, err := assemble(b.Context(), cfg, quiet, false)
	if err != nil {
		b.Fatal(err)
	}
	fillWaitlist(b, p, people)
	p.close()
	for b.Loop() {
		before := heapMiB()
		p, err := assemble(b.Context(), cfg, quiet, false)
		if err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		if err := p.relais.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(at).Seconds(), "s/start")
		b.ReportMetric(heapMiB()-before, "MiB")
		p.close()
	}
	b.ReportMetric(0, "ns/op")
}

func heapMiB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// fillWaitlist writes n people with a wish each, with the clinic's own keys.
func fillWaitlist(b *testing.B, p *program, n int) {
	b.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	joined := time.Now().UTC()
	var batch storage.Batch
	put := func(kind storage.Kind, id string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		batch.Puts = append(batch.Puts, storage.Put{Key: storage.Key{Clinic: "region", Kind: kind, ID: id}, Data: data})
	}
	for i := range n {
		id := fmt.Sprintf("%07d", i)
		put(storage.KindPatient, "p"+id, engine.Patient{
			ID: engine.PatientID("p" + id), Clinic: "region", Given: "Prénom", Family: "Nom" + id, Lang: engine.French, Source: "Patient/" + id,
			Contacts: []engine.Contact{{Channel: engine.SMS, Phone: engine.Phone("+1514" + id), Consent: joined, Proof: "formulaire"}},
		})
		put(storage.KindEntry, "e"+id, engine.Entry{
			ID: engine.EntryID("e" + id), Clinic: "region", Patient: engine.PatientID("p" + id), Status: engine.Waiting,
			Specialty: engine.Specialty(fmt.Sprintf("s%d", rnd.IntN(20))), Joined: joined.Add(-time.Duration(rnd.IntN(1e6)) * time.Minute),
			Home: &engine.Point{Lat: 45 + 2*rnd.Float64(), Lon: -75 + 4*rnd.Float64()}, RadiusKm: 20, Class: rnd.IntN(4),
		})
		if len(batch.Puts) >= storage.MaxBatch-1 || i == n-1 {
			if err := p.store.Commit(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch.Puts = batch.Puts[:0]
		}
	}
}
