package fhir_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"relais/transport/fhir"
)

// served counts the resources that searches for changes bring, behind clocks that go on.
func (w *world) served() *int {
	n := new(int)
	w.cut(func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		body, err := io.ReadAll(rec.Body)
		if err != nil {
			http.Error(rw, "lost", http.StatusInternalServerError)
			return
		}
		if r.URL.Query().Has("_lastUpdated") {
			*n += strings.Count(string(body), `"versionId"`)
		}
		rw.Header().Set("Date", w.now().Format(http.TimeFormat))
		rw.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		rw.WriteHeader(rec.Code)
		_, _ = rw.Write(body)
	})
	return n
}

// TestQuietClinic looks for changes where nothing happens: what was written long ago does not come with
// every look, and what is written then does, also late.
func TestQuietClinic(t *testing.T) {
	w := newWorld(t)
	n := w.served()
	c := w.client(t, func(cfg *fhir.Config) { cfg.Now = w.now })
	cursor := snapshot(t, c).Cursor
	look := func() int {
		t.Helper()
		w.ahead.Add(int64(2 * time.Second))
		*n = 0
		obs, err := c.Changes(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		cursor = obs.Cursor
		return len(obs.Slots) + len(obs.Appointments)
	}
	if look() == 0 {
		t.Error("the first look does not reach back")
	}
	w.ahead.Add(int64(2 * time.Minute))
	look() // moves the mark on
	if got := look(); got != 0 || *n != 0 {
		t.Errorf("a quiet clinic: %d facts, %d resources read", got, *n)
	}
	if err := w.dme.Cancel("rosemont", w.line(t, "booked").ID); err != nil {
		t.Fatal(err)
	}
	w.ahead.Add(int64(50 * time.Second)) // it takes that long to show
	if got := look(); got != 2 {
		t.Errorf("a cancellation that shows after 50 s: %d facts, want the slot and the appointment", got)
	}
}

// TestLateStamps works with a record system whose stamps lag minutes behind its Date: once that is seen,
// looks begin where the newest stamp was.
func TestLateStamps(t *testing.T) {
	w := newWorld(t)
	w.served()
	const behind = 3 * time.Minute // of the stamps, which stay at now, behind the Date
	c := w.client(t, func(cfg *fhir.Config) { cfg.Now = func() time.Time { return w.now().Add(behind) } })
	late := func(h http.Handler, rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", w.now().Add(behind).Format(http.TimeFormat))
		h.ServeHTTP(rw, r)
	}
	w.cut(late)
	cursor := snapshot(t, c).Cursor
	look := func() (facts int) {
		t.Helper()
		obs, err := c.Changes(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		cursor = obs.Cursor
		return len(obs.Slots) + len(obs.Appointments)
	}
	look()
	w.ahead.Add(int64(10 * time.Second))
	first := w.line(t, "booked")
	if err := w.dme.Cancel("rosemont", first.ID); err != nil {
		t.Fatal(err)
	}
	if look() != 0 {
		t.Fatal("the stamps do not lag; this test shows nothing")
	}
	cursor = snapshot(t, c).Cursor // finds it, and why it was not found before
	w.ahead.Add(int64(10 * time.Second))
	look()
	if err := w.dme.Cancel("rosemont", w.line(t, "booked").ID); err != nil {
		t.Fatal(err)
	}
	if look() == 0 {
		t.Error("the next change is missed too")
	}
}
