package app

import (
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"relais/engine/desk"
)

// serving starts `relais serve` on a main file in a process of its own, signed in as its account.
func serving(t *testing.T, main string, flags ...string) *process {
	t.Helper()
	p := starting(t, main, flags...)
	p.url = "http://" + p.listening()
	jar, _ := cookiejar.New(nil) // never fails without options
	p.http = &http.Client{Jar: jar, Timeout: 20 * time.Second}
	p.must(http.StatusOK, "POST", "/api/v1/session", map[string]string{"account": p.account, "password": p.password}, nil)
	return p
}

// starting starts `relais serve`.
func starting(t *testing.T, main string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, errOut: &output{}, gone: make(chan struct{}), account: "desk", password: "correct horse battery"}
	p.cmd = relais(t, append([]string{"serve", "--config", main, "--addr", "127.0.0.1:0"}, flags...)...)
	p.cmd.Env = append(os.Environ(), "RELAIS_ACCOUNT_PASSWORD="+p.password)
	p.cmd.Stderr, p.cmd.Stdout = p.errOut, p.errOut
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the program wrote:\n%s", p.errOut)
		}
	})
	return p
}

// listening waits until the program serves, and returns where.
func (p *process) listening() string {
	t := p.t
	t.Helper()
	at := regexp.MustCompile(`msg=serving addr=(\S+)`)
	eventually(t, "the program serves", func() bool {
		select {
		case <-p.gone:
			t.Fatalf("the program ended: %s", p.errOut)
		default:
		}
		return at.MatchString(p.errOut.String())
	})
	return at.FindStringSubmatch(p.errOut.String())[1]
}

func (p *process) clinics() (ids []string) {
	p.t.Helper()
	var list struct{ Clinics []desk.ClinicInfo }
	p.must(http.StatusOK, "GET", "/api/v1/clinics", nil, &list)
	for _, c := range list.Clinics {
		ids = append(ids, string(c.ID)+" "+c.Name)
	}
	return ids
}

// hangUp sends SIGHUP and waits until the configuration was read, or refused.
func (p *process) hangUp() {
	p.t.Helper()
	n := func() float64 { return p.metric("relais_config_reloads_total") }
	before := n()
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "the configuration is read again", func() bool { return n() > before })
}

// TestReload changes the clinics of a running program by their files and SIGHUP.
func TestReload(t *testing.T) {
	t.Parallel()
	main, dir := ownDir(t)
	p := serving(t, main)
	if got := p.clinics(); len(got) != 0 {
		t.Fatalf("it starts with %q, want no clinic", got)
	}
	file := filepath.Join(dir, "derma.yaml")
	putText(t, file, ownClinic)
	p.hangUp()
	if got := p.clinics(); !slices.Equal(got, []string{"derma Clinique Derma"}) {
		t.Fatalf("after a new file there is %q", got)
	}

	// A mistake changes nothing, and is said with its line.
	putText(t, file, strings.Replace(ownClinic, "Clinique Derma", "Nouveau nom", 1)+"zone: Nowhere\n")
	p.hangUp()
	if got := p.clinics(); !slices.Equal(got, []string{"derma Clinique Derma"}) {
		t.Errorf("a wrong file changed the clinic: %q", got)
	}
	if said := p.errOut.String(); !strings.Contains(said, "derma.yaml:6: clinic.zone") {
		t.Error("the mistake is not in the log with its line")
	}

	// New settings count at once; another record system connects that clinic alone.
	putText(t, filepath.Join(dir, "cardio.yaml"), strings.NewReplacer("derma", "cardio", "Derma", "Cardio").Replace(ownClinic))
	putText(t, file, strings.Replace(ownClinic, "Clinique Derma", "Nouveau nom", 1)+"mode: shadow\n")
	p.hangUp()
	if got := p.clinics(); !slices.Equal(got, []string{"cardio Clinique Cardio", "derma Nouveau nom"}) {
		t.Errorf("the clinics are %q", got)
	}
	var mode desk.ModeView
	p.must(http.StatusOK, "GET", "/api/v1/clinics/derma/mode", nil, &mode)
	if mode.State.Mode != "shadow" {
		t.Errorf("the mode is %s, want shadow", mode.State.Mode)
	}
	putText(t, file, strings.Replace(ownClinic, "localhost:9/", "localhost:10/", 1))
	p.hangUp()
	if got := p.clinics(); !slices.Equal(got, []string{"cardio Clinique Cardio", "derma Clinique Derma"}) {
		t.Errorf("the clinics are %q", got)
	}
	// The record system speaks something else.
	hl7 := strings.Replace(ownClinic, `dme: {fhir: {base_url: "http://localhost:9/fhir"}}`,
		`dme: {hl7: {sender: {application: DME}, send_to: "127.0.0.1:9"}}`, 1) +
		"practitioners: [{id: dr, name: Dre Roy, specialty: derm}]\nplaces: [{id: here, name: Ici}]\n"
	putText(t, file, hl7)
	p.hangUp()
	p.must(http.StatusOK, "GET", "/api/v1/clinics/derma/calendar", nil, nil)
	putText(t, file, strings.Replace(hl7, "Dre Roy", "Dr Roy", 1)) // the same sender, connected anew
	p.hangUp()
	var calendar desk.Snapshot
	p.must(http.StatusOK, "GET", "/api/v1/clinics/derma/calendar", nil, &calendar)
	if len(calendar.Clinic.Practitioners) != 1 || calendar.Clinic.Practitioners[0].Name != "Dr Roy" {
		t.Errorf("the calendar has %+v", calendar.Clinic.Practitioners)
	}

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.hangUp()
	if got := p.clinics(); !slices.Equal(got, []string{"cardio Clinique Cardio"}) {
		t.Errorf("after a removal there is %q", got)
	}
	status, _, _ := p.do("GET", "/api/v1/clinics/derma/calendar", nil)
	if status != http.StatusNotFound {
		t.Errorf("a removed clinic answers %d", status)
	}

	// What counts only after a restart is said.
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	putText(t, main, string(text)+"retention: 30d\nlog: {level: debug}\n")
	p.hangUp()
	said := p.errOut.String()
	if !strings.Contains(said, "count only after a restart") || !strings.Contains(said, "settings=[retention]") {
		t.Error("it is not said that retention needs a restart")
	}
	eventually(t, "the log says more", func() bool { return strings.Contains(p.errOut.String(), "level=DEBUG") })
	if strings.Contains(said, "panic") {
		t.Error("something panicked")
	}
}
