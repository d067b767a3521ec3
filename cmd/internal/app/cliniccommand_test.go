package app

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// runWith runs a command line with what somebody types.
func runWith(t *testing.T, typed string, args ...string) (string, error) {
	t.Helper()
	var b bytes.Buffer
	err := run(t.Context(), args, &streams{in: strings.NewReader(typed), out: &b, err: &b, env: environment{}})
	return b.String(), err
}

// TestClinicInTenMinutes goes the way of an operator: a clinic by the terminal, its check, a running
// program that takes it up, a change by its file, and its end.
func TestClinicInTenMinutes(t *testing.T) {
	t.Parallel()
	main, dir := ownDir(t)
	p := serving(t, main)

	out, err := runWith(t, strings.Join([]string{
		"Clinique Été du Parc",         // the name
		"",                             // the identifier that is proposed
		"1, rue Saint-Denis, Montréal", // the address
		"12",                           // no telephone
		"514 555-0110",
		"Amérique/Montréal", // no zone
		"",
		"", // the language
		"25:00-26:00",
		"09:00-20:00",
		"tremblay",
		"tremblay:Dre Anne Tremblay:dermatologie",
		"roy:Dr Luc Roy:cardiologie",
		"",
		"main:Le Parc:1, rue Saint-Denis, Montréal:ZZZ",
		"main:Le Parc:1, rue Saint-Denis, Montréal:H2X 1Y4",
		"",
		"", // FHIR
		"http://localhost:9/fhir",
		"s3cr3t-token-of-the-dme",
		"waves",
		"",
		"y", // all the same: the record system does not answer
	}, "\n")+"\n", "clinic", "init", "--config", main, "--timeout", "20s")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"write it like 514 555-0142", "is not a time zone", "is not a time of day", "write it as tremblay:", "the postal code \"ZZZ\" is not known",
		"[clinique-ete-du-parc]", "failed", "kill -HUP", "nothing is sent",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if !strings.Contains(out, "15\u00a0h") {
		t.Error("the policy is not told in words")
	}
	file := filepath.Join(dir, "clinique-ete-du-parc.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cr3t") || !strings.Contains(string(text), "sealed:") {
		t.Errorf("the secret stands in the file:\n%s", text)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	if t.Failed() {
		t.Log(out, string(text))
	}

	show, err := runWith(t, "", "clinic", "show", "clinique-ete-du-parc", "--config", main)
	if err != nil || strings.Contains(show, "s3cr3t") || !strings.Contains(show, `token: "(not shown)"`) || !strings.Contains(show, "45.5") {
		t.Errorf("show says %v\n%s", err, show)
	}
	check, err := runWith(t, "", "clinic", "check", "clinique-ete-du-parc", "--config", main, "--offline")
	if err != nil || !strings.Contains(check, "are fine") {
		t.Errorf("check says %v\n%s", err, check)
	}
	list, err := runWith(t, "", "clinic", "list", "--config", main)
	if err != nil || !strings.Contains(list, "shadow") || !strings.Contains(list, file) {
		t.Errorf("list says %v\n%s", err, list)
	}

	p.hangUp()
	if got := p.clinics(); !slices.Equal(got, []string{"clinique-ete-du-parc Clinique Été du Parc"}) {
		t.Fatalf("the running program has %q", got)
	}
	p.must(http.StatusOK, "GET", "/api/v1/clinics/clinique-ete-du-parc/calendar", nil, nil)
	if strings.Contains(p.errOut.String(), "s3cr3t") {
		t.Error("the log has the secret")
	}
}

func TestClinicInitByFlags(t *testing.T) {
	main, dir := ownDir(t)
	flags := []string{
		"clinic", "init", "--config", main, "--yes", "--offline", "--id", "derma", "--name", "Clinique Derma", "--address", "1, rue Saint-Denis, Montréal",
		"--phone", "514 555-0110", "--practitioner", "tremblay:Dre Anne Tremblay:dermatology",
		"--place", "main:Clinique Derma:1, rue Saint-Denis:H2X 1Y4", "--hl7", "DME:CLINIC", "--send-to", "127.0.0.1:2576", "--mode", "automatic",
	}
	if out, err := runWith(t, "", flags...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cfg, err := LoadConfig(main, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := cfg.Clinics[0]
	if c.DME.HL7.Sender.Facility != "CLINIC" || c.DME.HL7.SendTo == "" || c.Places[0].Lat < 45 || c.Phone != "+15145550110" || c.Mode != "automatic" {
		t.Errorf("it reads %+v", c)
	}
	// Neither what is there nor what is wrong is written over.
	before, _ := os.ReadFile(filepath.Join(dir, "derma.yaml"))
	for _, wrong := range [][]string{flags, append(slices.Clone(flags), "--replace", "--zone", "Nowhere"), append(slices.Clone(flags), "--replace", "--mode", "loud")} {
		if out, err := runWith(t, "", wrong...); err == nil {
			t.Errorf("accepted: %s", out)
		}
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "derma.yaml")); !bytes.Equal(before, after) {
		t.Error("a refused command changed the file")
	}
	if _, err := runWith(t, "Clinique", "clinic", "init", "--config", main); err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("a terminal that closes gives %v", err)
	}
}
