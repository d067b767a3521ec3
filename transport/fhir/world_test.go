package fhir_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relais/engine"
	"relais/transport/fhir"
	"relais/transport/sandbox"
)

const token = "a-token-of-the-clinic"

// Tuesday morning in Montréal.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is a sandbox record system behind a wire that can be cut.
type world struct {
	dme    *sandbox.DME
	server *httptest.Server
	ahead  atomic.Int64 // how far the clocks went on, both
	wire   atomic.Pointer[func(http.Handler, http.ResponseWriter, *http.Request)]
}

func seed() sandbox.Seed {
	s := sandbox.Seed{Token: token, Number: 7, Clinic: engine.Clinic{
		ID: "rosemont", Name: "Clinique Rosemont", Zone: "America/Toronto",
		Places:        []engine.Place{{ID: "lieu", Name: "Rosemont", Address: "1 rue Masson", Point: engine.Point{Lat: 45.5, Lon: -73.6}}},
		Practitioners: []engine.Practitioner{{ID: "roy", Name: "Dre Roy", Specialty: "dermatology"}, {ID: "cote", Name: "Dr Côté", Specialty: "dermatology"}},
	}}
	for i := range 60 {
		s.Patients = append(s.Patients, engine.Patient{ID: engine.PatientID(fmt.Sprint("p", i)), Given: "Zénobie", Family: "Xyzzy", Source: fmt.Sprintf("Patient/p%d", i)})
	}
	for i := range s.Patients[:3] { // all of one name, two of them of one day
		s.Patients[i].Born = time.Date(1946, 2, 3+i/2, 0, 0, 0, 0, time.UTC)
		s.Patients[i].Contacts = []engine.Contact{{Channel: engine.SMS, Phone: engine.Phone(fmt.Sprintf("+1514555010%d", i))}}
	}
	s.Later = map[engine.PatientID]engine.PractitionerID{"p1": "roy", "p2": "cote"}
	return s
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{}
	dme, err := sandbox.OpenDME(filepath.Join(tb.TempDir(), "dme.db"), sandbox.DMEConfig{Now: w.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	w.dme = dme
	if _, err := dme.SeedClinic(seed()); err != nil {
		tb.Fatal(err)
	}
	handler := dme.Handler()
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", now.Format(http.TimeFormat))
		if f := w.wire.Load(); f != nil {
			(*f)(handler, rw, r)
			return
		}
		handler.ServeHTTP(rw, r)
	}))
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tb.Cleanup(func() {
		w.server.Close()
		if err := dme.Close(); err != nil {
			tb.Error(err)
		}
	})
	return w
}

func (w *world) now() time.Time { return now.Add(time.Duration(w.ahead.Load())) }

func (w *world) cut(f func(http.Handler, http.ResponseWriter, *http.Request)) { w.wire.Store(&f) }

func (w *world) client(tb testing.TB, edit func(*fhir.Config)) *fhir.Client {
	tb.Helper()
	cfg := fhir.Config{
		Clinic: "rosemont", BaseURL: w.server.URL + "/dme/rosemont/fhir",
		SignIn: fhir.Bearer(token),
		Now:    func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&cfg)
	}
	c, err := fhir.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// line finds the first line of the record system with a status, tomorrow or later.
func (w *world) line(t *testing.T, status string) sandbox.Appointment {
	t.Helper()
	for _, a := range w.dme.Records()[0].Appointments {
		if a.Status == status && a.Start.After(now.Add(24*time.Hour)) {
			return a
		}
	}
	t.Fatalf("no slot is %s", status)
	return sandbox.Appointment{}
}

func booking(id string, a sandbox.Appointment, patient int) engine.Booking {
	return engine.Booking{ID: engine.BookingID(id), Patient: fmt.Sprintf("Patient/p%d", patient), Slot: engine.Slot{Source: "Slot/" + a.Slot, Start: a.Start, End: a.End}}
}

func faultOf(t *testing.T, err error) engine.DMEFault {
	t.Helper()
	f, ok := errors.AsType[*engine.DMEFailure](err)
	if !ok {
		t.Fatalf("not a DMEFailure: %v", err)
	}
	if f.Detail == "" || strings.Contains(f.Detail, "Xyzzy") || strings.Contains(f.Detail, token) || strings.Contains(f.Detail, "127.0.0.1") {
		t.Errorf("the words of the failure: %q", f.Detail)
	}
	return f.Fault
}

func wantFault(t *testing.T, err error, want engine.DMEFault) {
	t.Helper()
	if err == nil {
		t.Fatalf("no failure, want %s", want)
	}
	if got := faultOf(t, err); got != want {
		t.Fatalf("%v, want %s", err, want)
	}
}
