package fhir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"relais/engine"
)

// oneAnswer is a server that says the same to every request.
type oneAnswer string

func (a oneAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}

func clientOf(tb testing.TB, answer string) *Client {
	tb.Helper()
	c, err := New(Config{Clinic: "c", BaseURL: "http://dme.example/fhir", HTTPClient: &http.Client{Transport: oneAnswer(answer)}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	c.known = &abilities{transactions: true, conditional: true, changes: true, at: time.Now().AddDate(10, 0, 0)}
	return c
}

// Whatever a server sends: a failure of the closed list, or facts that are whole.
func FuzzLook(f *testing.F) {
	f.Add(`{"resourceType":"Bundle","type":"searchset","total":1,"entry":[{"resource":{"resourceType":"Slot","id":"1","meta":{"versionId":"3"},"status":"free","start":"2026-11-25T10:00:00-05:00","end":"2026-11-25T10:20:00-05:00"}}]}`)
	f.Add(`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Appointment","id":"1","slot":[{}],"participant":[{"actor":{"reference":"http://dme.example/fhir/Patient/1/_history/2"}}]}}]}`)
	f.Add(`{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"//evil/"}]}`)
	f.Add(`{"resourceType":"Slot","id":"1"}`)
	f.Add(`null`)
	f.Add(`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":null}]}`)
	f.Add(`{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://dme.example/fhir/Slot?page=2"}]}`)
	f.Fuzz(func(t *testing.T, answer string) {
		if len(answer) > 1<<16 {
			return // longer ones only take longer
		}
		synctest.Test(t, func(t *testing.T) { lookAt(t, answer) }) // patience with a copy that lags takes no time
	})
}

func lookAt(t *testing.T, answer string) {
	t.Helper()
	c := clientOf(t, answer)
	for _, look := range []func() (engine.Observation, error){
		func() (engine.Observation, error) { return c.Changes(t.Context(), "") },
		func() (engine.Observation, error) { return c.Read(t.Context(), "Slot/1") },
	} {
		obs, err := look()
		if err != nil {
			if _, ok := errors.AsType[*engine.DMEFailure](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			continue
		}
		for _, s := range obs.Slots {
			if s.Source == "" || s.Status == engine.SlotFree && !s.End.After(s.Start) {
				t.Fatalf("%+v", s)
			}
		}
		for _, a := range obs.Appointments {
			if a.Source == "" || a.Live && a.Gone {
				t.Fatalf("%+v", a)
			}
		}
	}
	if _, err := c.Book(t.Context(), engine.Booking{ID: "b", Patient: "Patient/1", Slot: engine.Slot{Source: "Slot/1"}}); err == nil {
		// One answer to everything can be a booking only if it is our appointment.
		if !strings.Contains(answer, BookingSystem) {
			t.Fatal("booked out of nothing")
		}
	}
}

// Whatever a history holds: a failure of the closed list, or deletions of resources that can be asked for.
func FuzzHistory(f *testing.F) {
	f.Add(`{"resourceType":"Bundle","type":"history","entry":[{"fullUrl":"http://dme.example/fhir/Slot/1","request":{"method":"DELETE","url":"Slot/1"},"response":{"status":"204","etag":"W/\"3\"","lastModified":"2026-11-20T10:00:00Z"}}]}`)
	f.Add(`{"resourceType":"Bundle","type":"history","link":[{"relation":"next","url":"http://dme.example/fhir/Slot/_history?p=2"}],"entry":[{"request":{"method":"PUT","url":"Slot/1/_history/2"},"resource":{"resourceType":"Slot","id":"1"}}]}`)
	f.Add(`{"resourceType":"Bundle","type":"history","entry":[{"request":{"method":"DELETE","url":"Slot/../x"}},{"resource":null}]}`)
	f.Fuzz(func(t *testing.T, answer string) {
		if len(answer) > 1<<16 {
			return
		}
		gone, _, _, err := clientOf(t, answer).history(t.Context(), "Slot", time.Now())
		if _, ours := errors.AsType[*engine.DMEFailure](err); err != nil && !ours {
			t.Fatalf("%T: %v", err, err)
		}
		for _, g := range gone {
			if !isSource(g.source) || !strings.HasPrefix(g.source, "Slot/") {
				t.Fatalf("%+v", g)
			}
		}
	})
}

// Read in one pass or in two, a resource says the same.
func FuzzFound(f *testing.F) {
	f.Add(`{"resourceType":"Slot","id":"1","meta":{"versionId":"3","lastUpdated":"2026-11-20T10:00:00.000Z"},"status":"free","schedule":{"reference":"Schedule/1"},"specialty":[{"coding":[{"code":"x"}]}]}`)
	f.Add(`{"resourceType":"Appointment","id":"1","status":"booked","slot":[{"reference":"Slot/1"}],"participant":[{"actor":{"reference":"Patient/1"}}]}`)
	f.Add(`{"resourceType":"Slot","status":3}`)
	f.Fuzz(func(t *testing.T, raw string) {
		for _, typ := range []string{"Slot", "Appointment"} {
			one, err := readFound([]byte(raw), typ)
			two, want := readResource([]byte(raw))
			if (err == nil) != (want == nil) {
				t.Fatalf("%v, in two passes %v", err, want)
			}
			if err != nil {
				continue
			}
			slot, appt := one.slot, one.appt
			if one.slot, one.appt = nil, nil; !reflect.DeepEqual(one, two) {
				t.Fatalf("%+v, in two passes %+v", one, two)
			}
			if v, err := view[slotView](two); slot != nil && (err != nil || !reflect.DeepEqual(*slot, v)) {
				t.Fatalf("%+v, in two passes %+v, %v", *slot, v, err)
			}
			if v, err := view[appointmentView](two); appt != nil && (err != nil || !reflect.DeepEqual(*appt, v)) {
				t.Fatalf("%+v, in two passes %+v, %v", *appt, v, err)
			}
		}
	})
}

// What is not edited comes back as it was sent, digit by digit.
func FuzzWith(f *testing.F) {
	f.Add(`{"resourceType":"Slot","status":"free","x":1.50,"extension":[{"valueDecimal":0.10}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := readResource([]byte(raw))
		if err != nil {
			return // refused, as it should be
		}
		out, err := r.with(map[string]any{"status": "busy"})
		if err != nil {
			t.Skip()
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal([]byte(raw), &before) != nil || json.Unmarshal(out, &after) != nil {
			t.Fatalf("%s", out)
		}
		if string(after["status"]) != `"busy"` {
			t.Fatalf("%s", out)
		}
		delete(before, "status")
		delete(after, "status")
		if len(before) != len(after) {
			t.Fatalf("%d fields became %d", len(before), len(after))
		}
		for k, v := range before {
			want, err := json.Marshal(v) // compacts and escapes as an encoder does, keeps digits
			if err != nil || string(want) != string(after[k]) {
				t.Fatalf("%q: %s became %s", k, v, after[k])
			}
		}
	})
}

// Whatever a notification holds: no panic, and only an event's count can speak of a gap.
func FuzzNotice(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"SubscriptionStatus","subscription":{"reference":"Subscription/1"},"eventsSinceSubscriptionStart":"3","notificationEvent":[{"eventNumber":3}]}}]}`))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Parameters","parameter":[{"name":"subscription","valueReference":{"reference":"Subscription/1"}},{"name":"events-since-subscription-start","valueString":"9"},{"name":"notification-event","part":[{"name":"event-number","valueString":"9"}]}]}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h := &hook{counts: map[string]uint64{}}
		if h.missed("c", body) {
			t.Fatal("the first notification shows a gap")
		}
		if n, ok := readNotice(body); ok && n.subscription == "" {
			t.Fatalf("%+v", n)
		}
		h.missed("c", body)
	})
}

func BenchmarkSnapshot(b *testing.B) {
	const n = 1000
	var list strings.Builder
	for i := range n {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, `{"resource":{"resourceType":"Slot","id":"s%d","meta":{"versionId":"3","lastUpdated":"2026-11-20T10:00:00.000Z"},"schedule":{"reference":"Schedule/1"},"status":"busy","start":"2026-11-25T10:00:00-05:00","end":"2026-11-25T10:20:00-05:00"}}`, i)
	}
	c := clientOf(b, `{"resourceType":"Bundle","type":"searchset","entry":[`+list.String()+`]}`)
	c.schedules = map[string]schedule{"Schedule/1": {practitioner: "1"}}
	b.ReportAllocs()
	for b.Loop() {
		obs, err := c.Changes(context.Background(), "")
		if err != nil || len(obs.Slots) != n {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/slot")
}

func TestSkewIsGivenTheBenefitOfTheDoubt(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 700_000_000, time.UTC)
	for date, want := range map[time.Time]time.Duration{
		at.Truncate(time.Second):                        0, // Date is cut to the second
		at.Truncate(time.Second).Add(time.Second):       0, // the answer came 900 ms later
		at.Truncate(time.Second).Add(-10 * time.Second): -9700 * time.Millisecond,
		at.Truncate(time.Second).Add(10 * time.Second):  8400 * time.Millisecond,
	} {
		if got := skewOf(date, at, at.Add(900*time.Millisecond)); got != want {
			t.Errorf("%s: %s, want %s", date, got, want)
		}
	}
}
