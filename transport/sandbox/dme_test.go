package sandbox

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"relais/engine"
)

// Tuesday, 7 in the morning in Montréal.
var dmeNow = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func dmeSeed(id engine.ClinicID) Seed {
	return Seed{
		Token: "token-" + string(id), Number: 3,
		Clinic: engine.Clinic{
			ID: id, Name: "Clinique", Zone: "America/Toronto",
			Places:        []engine.Place{{ID: "lieu", Name: "Rosemont"}},
			Practitioners: []engine.Practitioner{{ID: "roy", Name: "Dre Roy", Specialty: "dermatology"}, {ID: "cote", Name: "Dr Côté", Specialty: "dermatology"}},
		},
		Patients: []engine.Patient{{ID: "p1", Given: "Ève", Family: "Roy", Source: "Patient/p1"}},
		Later:    map[engine.PatientID]engine.PractitionerID{"p1": "roy"},
	}
}

func openDME(t *testing.T, path string, clock func() time.Time) *DME {
	t.Helper()
	d, err := OpenDME(path, DMEConfig{Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func newDME(t *testing.T) *DME {
	t.Helper()
	d := openDME(t, filepath.Join(t.TempDir(), "dme.db"), func() time.Time { return dmeNow })
	if _, err := d.SeedClinic(dmeSeed("a")); err != nil {
		t.Fatal(err)
	}
	return d
}

// ask makes one FHIR request to clinic a. Headers are "Name: value".
func ask(t *testing.T, d *DME, method, path, body string, headers ...string) (int, map[string]any, http.Header) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/dme/a/fhir"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer token-a")
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, r)
	var out map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	return w.Code, out, w.Header()
}

func pickLine(t *testing.T, d *DME, status string) Appointment {
	t.Helper()
	for _, a := range d.Records()[0].Appointments {
		if a.Status == status && a.Start.After(dmeNow.Add(24*time.Hour)) {
			return a
		}
	}
	t.Fatalf("no line is %s", status)
	return Appointment{}
}

func TestSeedLooksLikeAClinic(t *testing.T) {
	d := newDME(t)
	count, days := map[string]int{}, map[string]bool{}
	for _, a := range d.Records()[0].Appointments {
		count[a.Status]++
		local := a.Start.In(mustZone(t))
		days[local.Format(time.DateOnly)] = true
		if wd := local.Weekday(); wd == time.Saturday || wd == time.Sunday || a.Practitioner == "" || local.Hour() < 8 || local.Hour() > 16 {
			t.Fatalf("%+v", a)
		}
		if (a.Status == "booked") != (a.Patient != "" && a.ID != "") {
			t.Fatalf("%+v", a)
		}
	}
	if len(days) != 10 || !days["2026-11-24"] {
		t.Errorf("%d working days: %v", len(days), days)
	}
	if share := 100 * count["booked"] / (count["booked"] + count["free"]); share < 88 || share > 96 {
		t.Errorf("%d %% booked", share)
	}
	if count["blocked"] == 0 || count["free"] == 0 {
		t.Errorf("%v", count)
	}
}

func mustZone(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/Toronto")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestNothingIsForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dme.db")
	clock := dmeNow
	d := openDME(t, path, func() time.Time { return clock })
	held, err := d.SeedClinic(dmeSeed("a"))
	if err != nil || held["p1"].Source == "" || held["p1"].Start.Before(dmeNow.AddDate(0, 0, 6)) {
		t.Fatalf("%+v %v", held, err)
	}
	id := pickLine(t, d, "booked").ID
	if err := d.Cancel("a", id); err != nil {
		t.Fatal(err)
	}
	if err := d.SetFault("a", "errors"); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(d.Records())
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openDME(t, path, func() time.Time { return clock })
	again, err := d.SeedClinic(dmeSeed("a"))
	if err != nil || again["p1"] != held["p1"] {
		t.Fatalf("%+v %v", again, err)
	}
	if after := fmt.Sprint(d.Records()); after != before {
		t.Fatal("the record system changed over a restart")
	}

	// Ten days later there are ten more days, and what is long past is gone.
	clock = clock.AddDate(0, 0, 10)
	if err := d.Extend(); err != nil {
		t.Fatal(err)
	}
	lines := d.Records()[0].Appointments
	if last := lines[len(lines)-1].Start; last.Before(clock.AddDate(0, 0, 11)) {
		t.Errorf("the schedule ends on %s", last)
	}
	status, _, _ := ask(t, d, "GET", "/Slot/roy-20261124T1330", "")
	if err := d.SetFault("a", ""); err != nil {
		t.Fatal(err)
	}
	gone, _, _ := ask(t, d, "GET", "/Slot/roy-20261124T1330", "")
	if status != http.StatusInternalServerError || gone != http.StatusNotFound {
		t.Errorf("%d, %d", status, gone)
	}
}

func TestTheFileOfAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dme.db")
	openDME(t, path, time.Now)
	if d, err := OpenDME(path, DMEConfig{}); err == nil {
		t.Error("the same file was opened twice", d.Close())
	}
}

func TestInteractions(t *testing.T) {
	d := newDME(t)
	const patient = `{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"7"}],"multipleBirthInteger":12345678901234567890}`
	code, made, h := ask(t, d, "POST", "/Patient", patient, "If-None-Exist: identifier=urn:x|7")
	if code != http.StatusCreated || h.Get("ETag") != `W/"1"` || h.Get("Last-Modified") == "" || !strings.Contains(h.Get("Location"), "/dme/a/fhir/Patient/") {
		t.Fatalf("%d %v", code, h)
	}
	id := made["id"].(string)
	if code, again, _ := ask(t, d, "POST", "/Patient", patient, "If-None-Exist: identifier=urn:x|7"); code != http.StatusOK || again["id"] != id {
		t.Fatalf("%d %v", code, again)
	}
	put := strings.Replace(patient, `{`, `{"id":"`+id+`",`, 1)
	for _, step := range []struct {
		method, path, body, header string
		want                       int
	}{
		{"PUT", "/Patient/" + id, put, `If-Match: W/"1"`, 200},
		{"PUT", "/Patient/" + id, put, `If-Match: W/"1"`, 412},
		{"PUT", "/Patient/" + id, put, `If-Match: 2`, 400}, // silently ignored elsewhere, which is worse
		{"PUT", "/Patient/other", put, "", 400},
		{"POST", "/Patient", `{"resourceType":"Slot"}`, "", 400},
		{"POST", "/Patient", `{`, "", 400},
		{"POST", "/Patient", `[]`, "", 400},
		{"POST", "/Slot", `{"resourceType":"Slot","status":"free"}`, "", 422},
		{"POST", "/Slot", `{"resourceType":"Slot","schedule":{"reference":"Schedule/roy"},"status":"taken","start":"2026-11-24T12:00:00Z","end":"2026-11-24T12:20:00Z"}`, "", 422},
		{"POST", "/Slot", `{"resourceType":"Slot","schedule":[]}`, "", 422},
		{"POST", "/Subscription", `{"resourceType":"Subscription","criteria":"Slot?colour=red","channel":{"type":"rest-hook","endpoint":"http://x"}}`, "", 400},
		{"GET", "/Patient/nobody", "", "", 404},
		{"GET", "/Claim/1", "", "", 404},
		{"GET", "/Slot?colour=red", "", "", 400},
		{"GET", "/Slot?start=tomorrow", "", "", 400},
		{"GET", "/Slot?_count=-1", "", "", 400},
		{"PATCH", "/Patient/" + id, "", "", 405},
		{"DELETE", "/Patient/" + id, "", `If-Match: W/"1"`, 412},
		{"DELETE", "/Patient/" + id, "", "", 204},
		{"GET", "/Patient/" + id, "", "", 410},
		{"GET", "/metadata", "", "Authorization: none", 200},
		{"GET", "/Patient", "", "Authorization: Bearer token-b", 401},
		{"GET", "/Patient", "", "Authorization: none", 401},
		{"POST", "/Patient", `"` + strings.Repeat("x", maxBody) + `"`, "", 413},
	} {
		code, body, _ := ask(t, d, step.method, step.path, step.body, step.header)
		if code != step.want {
			t.Errorf("%s %s %s: %d, want %d", step.method, step.path, step.header, code, step.want)
		}
		if code >= 400 && body["resourceType"] != "OperationOutcome" {
			t.Errorf("%s %s: %d without an OperationOutcome", step.method, step.path, code)
		}
	}
}

func TestSearchPagesSurviveWritesInBetween(t *testing.T) {
	d := newDME(t)
	_, all, _ := ask(t, d, "GET", "/Slot?_count=1000", "")
	want := int(all["total"].(float64))
	seen, path, pages := map[string]bool{}, "/Slot?_sort=start&_count=50", 0
	for path != "" {
		_, page, _ := ask(t, d, "GET", path, "")
		path = ""
		for _, l := range page["link"].([]any) {
			if l := l.(map[string]any); l["relation"] == "next" {
				_, path, _ = strings.Cut(l["url"].(string), "/dme/a/fhir")
			}
		}
		for _, e := range page["entry"].([]any) {
			seen[e.(map[string]any)["resource"].(map[string]any)["id"].(string)] = true
		}
		if pages++; pages == 2 { // a slot of the first page is deleted: none of the later ones may be skipped
			if code, _, _ := ask(t, d, "DELETE", "/Slot/roy-20261124T1330", ""); code != http.StatusNoContent {
				t.Fatal(code)
			}
		}
	}
	if len(seen) != want || pages < 3 {
		t.Fatalf("%d of %d slots on %d pages", len(seen), want, pages)
	}
	code, page, _ := ask(t, d, "GET", "/Slot?status=free&start=ge2026-11-25T00:00:00Z&start=lt2026-11-26T00:00:00Z&schedule=Schedule/roy,cote", "")
	if code != http.StatusOK || page["total"].(float64) == 0 {
		t.Fatalf("%d %v", code, page)
	}
	if _, page, _ = ask(t, d, "GET", "/Slot?_lastUpdated=gt2026-11-24T12:00:00Z", ""); page["total"].(float64) != 0 {
		t.Errorf("%v changed later than ever", page["total"])
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	d := newDME(t)
	free := pickLine(t, d, "free")
	_, slot, _ := ask(t, d, "GET", "/Slot/"+free.Slot, "")
	slot["status"] = "busy"
	raw, err := json.Marshal(slot)
	if err != nil {
		t.Fatal(err)
	}
	tx := func(version, appointment string) string {
		return fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[
			{"request":{"method":"PUT","url":"Slot/%s","ifMatch":"W/\"%s\""},"resource":%s},
			{"fullUrl":"urn:uuid:1","request":{"method":"POST","url":"Appointment","ifNoneExist":"identifier=urn:relais:booking|1"},"resource":%s}]}`, free.Slot, version, raw, appointment)
	}
	good := fmt.Sprintf(`{"resourceType":"Appointment","status":"booked","identifier":[{"system":"urn:relais:booking","value":"1"}],"slot":[{"reference":"Slot/%s"}],"participant":[{"actor":{"reference":"Patient/p1"},"status":"accepted"}]}`, free.Slot)
	for _, x := range []struct {
		version, appointment string
		want                 int
	}{
		{"1", `{"resourceType":"Appointment","status":"booked"}`, 422}, // after the PUT in the order of the work
		{"9", good, 412},
	} {
		if code, _, _ := ask(t, d, "POST", "", tx(x.version, x.appointment)); code != x.want {
			t.Errorf("%d, want %d", code, x.want)
		}
		if _, s, _ := ask(t, d, "GET", "/Slot/"+free.Slot, ""); s["status"] != "free" {
			t.Fatal("half of a transaction was kept")
		}
		if _, found, _ := ask(t, d, "GET", "/Appointment?identifier=urn:relais:booking|1", ""); found["total"].(float64) != 0 {
			t.Fatal("half of a transaction was kept")
		}
	}
	code, done, _ := ask(t, d, "POST", "", tx("1", good))
	if code != http.StatusOK || done["type"] != "transaction-response" || len(done["entry"].([]any)) != 2 {
		t.Fatalf("%d %v", code, done)
	}
	if line := d.Records()[0].Appointments; !contains(line, free.Slot, "booked", "Ève Roy", true) {
		t.Error("the record does not show the booking of Relais")
	}
	if code, _, _ := ask(t, d, "POST", "/Appointment", strings.Replace(good, `"value":"1"`, `"value":"2"`, 1)); code != http.StatusConflict {
		t.Errorf("a second appointment on the slot: %d", code)
	}
	for _, bad := range []string{`{"resourceType":"Bundle","type":"batch"}`, `{"resourceType":"Bundle","type":"transaction","entry":[{}]}`, `x`, `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"PUT","url":"Claim/1"}}]}`} {
		if code, _, _ := ask(t, d, "POST", "", bad); code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, code)
		}
	}
}

func contains(lines []Appointment, slot, status, patient string, relais bool) bool {
	for _, a := range lines {
		if a.Slot == slot {
			return a.Status == status && a.Patient == patient && a.Relais == relais
		}
	}
	return false
}

func TestDeskRoutes(t *testing.T) {
	d := newDME(t)
	mux := http.NewServeMux()
	d.RegisterDME(mux)
	post := func(path, body string) int {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sandbox/api"+path, strings.NewReader(body)))
		if w.Code >= 400 && !strings.Contains(w.Body.String(), `"error":"`) {
			t.Errorf("%s: %d without a sentence: %s", path, w.Code, w.Body)
		}
		return w.Code
	}
	booked, free := pickLine(t, d, "booked"), pickLine(t, d, "free")
	for _, x := range []struct {
		path, body string
		want       int
	}{
		{"/dme/a/appointments/" + booked.ID + "/cancel", "", 204},
		{"/dme/a/appointments/" + booked.ID + "/cancel", "", 204},
		{"/dme/a/appointments/nowhere/cancel", "", 404},
		{"/dme/z/appointments/nowhere/cancel", "", 404},
		{"/dme/a/slots/" + free.Slot + "/book", "", 204},
		{"/dme/a/slots/" + free.Slot + "/book", "", 409},
		{"/dme/a/slots/nowhere/book", "", 404},
		{"/dme/a/fault", `{"fault":"down"}`, 204},
		{"/dme/a/fault", `{"fault":"gremlins"}`, 400},
		{"/dme/a/fault", `{}`, 400},
		{"/trickle", `{"on":true}`, 204},
		{"/trickle", `{"on":true} {}`, 400},
		{"/trickle", ``, 400},
	} {
		if got := post(x.path, x.body); got != x.want {
			t.Errorf("%s %s: %d, want %d", x.path, x.body, got, x.want)
		}
	}
	r := d.Records()[0]
	if !contains(r.Appointments, booked.Slot, "cancelled", booked.Patient, false) || r.Fault != "down" || !d.Trickling() {
		t.Error("the record does not show it")
	}
}

func TestTrickleStaysInItsWindow(t *testing.T) {
	d := newDME(t)
	for range 25 {
		clinic, err := d.CancelOne()
		if err != nil || clinic != "a" {
			t.Fatalf("%q %v", clinic, err)
		}
	}
	n := 0
	for _, a := range d.Records()[0].Appointments {
		if a.Status == "cancelled" {
			n++
			if a.Start.Before(dmeNow.Add(2*time.Hour)) || a.Start.After(dmeNow.Add(72*time.Hour)) {
				t.Errorf("cancelled at %s", a.Start)
			}
		}
	}
	if n != 25 {
		t.Errorf("%d cancelled", n)
	}
}

func TestWatchersAndHooks(t *testing.T) {
	d := newDME(t)
	var calls atomic.Int32
	nudged := make(chan http.Header, 16)
	taker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway) // the first attempt fails
			return
		}
		nudged <- r.Header
	}))
	defer taker.Close()
	sub := fmt.Sprintf(`{"resourceType":"Subscription","status":"requested","criteria":"Appointment?status=cancelled","channel":{"type":"rest-hook","endpoint":%q,"header":["X-Relais-Hook: s"]}}`, taker.URL)
	code, made, _ := ask(t, d, "POST", "/Subscription", sub)
	if code != http.StatusCreated {
		t.Fatal(code, made)
	}
	told := make(chan Record, 64)
	d.OnChange(func(r Record) { told <- r })
	line := pickLine(t, d, "booked")
	if err := d.BookByPhone("a", pickLine(t, d, "free").Slot); err != nil { // matches no criteria
		t.Fatal(err)
	}
	if err := d.Cancel("a", line.ID); err != nil {
		t.Fatal(err)
	}
	if h := <-nudged; h.Get("X-Relais-Hook") != "s" {
		t.Errorf("%v", h)
	}
	for r := range told {
		if contains(r.Appointments, line.Slot, "cancelled", line.Patient, false) {
			break
		}
	}
	for r := range told { // the delivery switches the subscription on, which is a change too
		_ = r
		if _, s, _ := ask(t, d, "GET", "/Subscription/"+made["id"].(string), ""); s["status"] == "active" {
			break
		}
	}
	if calls.Load() != 2 {
		t.Errorf("%d posts for one change", calls.Load())
	}
}

// Many write at once, from several clinics: each version is given once.
func TestConcurrentWrites(t *testing.T) {
	d := newDME(t)
	free := pickLine(t, d, "free")
	var wins atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if d.BookByPhone("a", free.Slot) == nil {
				wins.Add(1)
			}
			d.Records()
		})
	}
	all.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d booked one slot", wins.Load())
	}
}
