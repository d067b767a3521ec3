package app

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"relais/actors"
	"relais/engine"
	"relais/storage"
	"relais/storage/bolt"
	"relais/storage/seal"
)

// A patient who was offered a slot and wrote back is exported, corrected and erased, while everything runs.
// Afterwards nothing in the store names them, nobody writes to them, and the chain holds.
func TestPatientRights(t *testing.T) {
	data := t.TempDir()
	p := demo(t, data, nil)
	const clinic = "dermatologie"
	p.healthy(clinic)
	_, card, who := p.open(clinic, engine.SMS, 1)
	thread := who[0]
	const words = "est-ce que mon psoriasis peut attendre la fin de mes vacances au lac"
	p.text(thread.ID, words)
	var id engine.PatientID
	eventually(t, "the text waits for the front desk", func() bool {
		for _, a := range p.detail(clinic, string(card.ID)).Asked {
			if a.Patient == thread.Name {
				id = a.ID
			}
		}
		_, _, body := p.do("GET", "/api/v1/clinics/"+clinic+"/unread", nil)
		return id != "" && strings.Contains(string(body), "psoriasis")
	})
	of := []string{"--data", filepath.Join(data, "store"), "--key-file", filepath.Join(data, "relais.key")}
	run := func(args ...string) (int, string) {
		t.Helper()
		return runMain(t, append(args, of...)...)
	}

	code, out := run("patient", "export", clinic, string(id), "--why", "letter of 2 March")
	var file actors.WholeFile
	if err := json.Unmarshal([]byte(out), &file); code != ExitOK || err != nil {
		t.Fatalf("export: exit %d, %v", code, err)
	}
	if file.Patient.Given+" "+file.Patient.Family != thread.Name || len(file.Offers) == 0 || len(file.Entries) == 0 ||
		len(file.Slots) == 0 || len(file.Unread) == 0 || len(file.Timeline) == 0 || !strings.Contains(out, words) || !strings.Contains(out, thread.Phone) {
		t.Errorf("the file is not whole: %d offers, %d entries, %d slots, %d unread, %d lines", len(file.Offers), len(file.Entries), len(file.Slots), len(file.Unread), len(file.Timeline))
	}
	if status, _, body := p.do("POST", "/api/v1/clinics/"+clinic+"/patients/"+string(id)+"/file", nil); status != http.StatusOK || !strings.Contains(string(body), words) {
		t.Errorf("the file by the API: %d", status)
	}
	if code, out := run("patient", "consents", clinic); code != ExitOK || !strings.Contains(out, thread.Phone) || !strings.Contains(out, `"proof"`) {
		t.Errorf("consents: exit %d, %.200s", code, out)
	}

	family := file.Patient.Family
	if code, out := run("patient", "correct", clinic, string(id), "--family", "Quelquun-Autre", "--why", "spelling"); code != ExitOK {
		t.Errorf("correct: exit %d, %s", code, out)
	}
	if code, out := run("patient", "correct", clinic, string(id), "--family", family, "--why", "it was right"); code != ExitOK {
		t.Errorf("correct again: exit %d, %s", code, out)
	}
	if code, out := run("patient", "correct", clinic, string(id), "--born", "tomorrow", "--why", "x x"); code != ExitFailure || !strings.Contains(out, "1958-03-21") {
		t.Errorf("a wrong correction: exit %d, %s", code, out)
	}

	p.must(http.StatusOK, "POST", "/api/v1/clinics/"+clinic+"/patients/"+string(id)+"/erase", map[string]string{"why": "letter of 3 March"}, nil)
	if code, out := run("patient", "erase", clinic, string(id), "--why", "once more"); code != ExitFailure || !strings.Contains(out, "erased already") {
		t.Errorf("erase again: exit %d, %s", code, out)
	}
	if _, out := run("patient", "export", clinic, string(id), "--why", "what is left"); strings.Contains(out, family) || strings.Contains(out, thread.Phone) || strings.Contains(out, "psoriasis") || !strings.Contains(out, `"erased"`) {
		t.Errorf("what is left: %s", out)
	}
	if code, out := run("audit", "verify"); code != ExitOK || !strings.Contains(out, clinic) {
		t.Errorf("audit verify: exit %d, %s", code, out)
	}
	if code, out := run("audit", "export", clinic, "--subject", "audit"); code != ExitOK || !strings.Contains(out, "patient_erased") || !strings.Contains(out, "letter of 3 March") || !strings.Contains(out, "patient_corrected") {
		t.Errorf("audit log: exit %d, %s", code, out)
	}
	if code, out := run("store", "check"); code != ExitOK {
		t.Errorf("store check: exit %d, %s", code, out)
	}
	p.stop()
	demo(t, data, nil).stop() // and it starts again with what is left
	nothingNames(t, data, []string{thread.Name, thread.Phone, thread.Email, "psoriasis"})
}

// nothingNames opens everything in the store and looks for words.
func nothingNames(t *testing.T, data string, words []string) {
	t.Helper()
	sealer, err := seal.Open(filepath.Join(data, "relais.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(filepath.Join(data, "store"), bolt.Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	looked := 0
	look := func(where string, data []byte) {
		looked++
		for _, w := range words {
			if w != "" && strings.Contains(string(data), w) {
				t.Errorf("%s still names the person: %.300s", where, data)
			}
		}
	}
	for _, c := range []engine.ClinicID{storage.Shared, "dermatologie", "famille"} {
		for _, k := range storage.Kinds() {
			recs, err := s.Scan(t.Context(), c, k, "", storage.MaxPage)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range recs {
				look(string(k)+" "+r.Key.ID, r.Data)
			}
		}
		events, err := s.Timeline(t.Context(), c, "", 0, storage.MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			look("event of "+e.Subject, e.Data)
		}
		effects, err := s.Outbox(t.Context(), c, "", storage.MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range effects {
			look("order "+e.ID, e.Data)
		}
	}
	if looked < 100 {
		t.Errorf("only %d values were looked at", looked)
	}
}

func TestIncidents(t *testing.T) {
	dir := t.TempDir()
	data, key := filepath.Join(dir, "data"), filepath.Join(dir, "key")
	sealer, err := seal.OpenOrCreate(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(data, bolt.Options{Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	old, err := json.Marshal(incident{ID: "19990101", What: "long ago"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), storage.Batch{Puts: []storage.Put{{Key: storage.Key{Kind: storage.KindIncident, ID: "19990101"}, Data: old}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		t.Helper()
		return runMain(t, append(args, "--data", data, "--key-file", key)...)
	}
	if code, _ := run("incident", "add", "--what", "a laptop"); code != ExitUsage {
		t.Errorf("without people and risk: exit %d", code)
	}
	code, out := run("incident", "add", "--what", "a laptop was lost", "--people", "about 40", "--risk", "low")
	if code != ExitOK {
		t.Fatalf("add: exit %d, %s", code, out)
	}
	id := strings.Fields(out)[1]
	if code, out := run("incident", "add", "--id", id, "--notified", "nobody: no serious risk"); code != ExitOK {
		t.Fatalf("change: exit %d, %s", code, out)
	}
	code, out = run("incident", "export")
	var i incident
	if err := json.Unmarshal([]byte(out), &i); code != ExitOK || err != nil || i.What != "a laptop was lost" || i.Notified == "" {
		t.Errorf("export: exit %d, %v, %s", code, err, out)
	}
	if code, out := run("incident", "list"); code != ExitOK || !strings.Contains(out, "about 40") || strings.Contains(out, "long ago") {
		t.Errorf("list: exit %d, %s", code, out)
	}
	if code, out := run("incident", "add", "--id", "nothing", "--risk", "x"); code != ExitFailure || !strings.Contains(out, "no incident") {
		t.Errorf("a change of nothing: exit %d, %s", code, out)
	}
}
