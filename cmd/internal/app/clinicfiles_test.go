package app

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"relais/storage/seal"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// ownDir makes a main file without clinics, and returns it with the directory of the clinics' own files.
func ownDir(t *testing.T) (main, dir string) {
	t.Helper()
	base := t.TempDir()
	main, dir = filepath.Join(base, "relais.yaml"), filepath.Join(base, "data", "clinics")
	text := "public_url: http://localhost:8080\nkey_file: " + base + "/relais.key\ndata: " + base + "/data\nmail: {host: localhost, tls: none, from: rdv@example.org}\nhl7: {addr: \"127.0.0.1:0\"}\n"
	putText(t, main, text)
	return main, dir
}

func putText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const ownClinic = `id: derma
name: Clinique Derma
address: 1, rue Saint-Denis, Montréal
phone: +15145550110
dme: {fhir: {base_url: "http://localhost:9/fhir"}}
`

func TestClinicsHaveFilesOfTheirOwn(t *testing.T) {
	main, dir := ownDir(t)
	if cfg, err := LoadConfig(main, nil, nil); err != nil || len(cfg.Clinics) != 0 {
		t.Fatalf("without any clinic: %v, %d clinics", err, len(cfg.Clinics))
	}
	putText(t, filepath.Join(dir, "derma.yaml"), ownClinic)
	putText(t, filepath.Join(dir, "cardio.yaml"), strings.ReplaceAll(ownClinic, "derma", "cardio"))
	putText(t, filepath.Join(dir, ".new-123"), "half written")
	putText(t, filepath.Join(dir, "README.txt"), "not a clinic")
	cfg, err := LoadConfig(main, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Clinics) != 2 || cfg.Clinics[0].ID != "cardio" || cfg.Clinics[1].ID != "derma" || cfg.Clinics[1].file == "" {
		t.Errorf("read %+v", cfg.Clinics)
	}
}

func TestMistakesOfAClinicsFileHaveTheirLine(t *testing.T) {
	main, dir := ownDir(t)
	putText(t, filepath.Join(dir, "derma.yaml"), strings.Replace(ownClinic, "name:", "nom:", 1)+"zone: Nowhere\npolicy: {size: 500}\nmode: shadoww\n")
	putText(t, filepath.Join(dir, "twin.yaml"), ownClinic)
	putText(t, filepath.Join(dir, "open.yaml"), strings.Replace(ownClinic, "id: derma", "id: open", 1)+"contact: nobody\n")
	putText(t, filepath.Join(dir, "token.yaml"), strings.NewReplacer("id: derma", "id: token", "fhir\"}", "fhir\", token: s3cr3t-in-the-open}").Replace(ownClinic))
	putText(t, filepath.Join(dir, "broken.yaml"), "id: [\n")
	_, err := LoadConfig(main, nil, nil)
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{
		"derma.yaml:2: clinic.nom is not a setting; did you mean name?",
		"derma.yaml:6: clinic.zone \"Nowhere\" is not a time zone",
		"derma.yaml:7: clinic.policy.size is 500",
		"derma.yaml:8: clinic.mode is \"shadoww\"",
		"twin.yaml:1: clinic.id is \"derma\", but the file is named for \"twin\"",
		"open.yaml:6: clinic.contact is not a mail address",
		"token.yaml:5: clinic.dme.fhir.token is a secret in the open",
		"broken.yaml:1: this is not valid YAML",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %q", want)
		}
	}
	if strings.Contains(err.Error(), "s3cr3t") {
		t.Error("a mistake shows a secret")
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestSealedSecretsOpenForTheirSettingOnly(t *testing.T) {
	main, dir := ownDir(t)
	key := filepath.Join(filepath.Dir(main), "relais.key")
	sealed, err := (&Config{KeyFile: key}).sealSetting("derma", "clinic.dme.fhir.token", "s3cr3t")
	if err != nil {
		t.Fatal(err)
	}
	with := func(id, setting string) string {
		return strings.NewReplacer("id: derma", "id: "+id, "fhir\"}", "fhir\", "+setting+": \""+sealed+"\"}").Replace(ownClinic)
	}
	putText(t, filepath.Join(dir, "derma.yaml"), with("derma", "token"))
	cfg, err := LoadConfig(main, nil, nil)
	if err != nil || cfg.Clinics[0].DME.FHIR.Token != "s3cr3t" {
		t.Fatalf("the secret did not open: %v", err)
	}
	putText(t, filepath.Join(dir, "derma.yaml"), with("derma", "hook_secret"))
	if _, err := LoadConfig(main, nil, nil); err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("a secret opened for another setting: %v", err)
	}
	_ = os.Remove(filepath.Join(dir, "derma.yaml"))
	putText(t, filepath.Join(dir, "cardio.yaml"), with("cardio", "token"))
	if _, err := LoadConfig(main, nil, nil); err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("a secret opened for another clinic: %v", err)
	}
	if err := seal.Rotate(key); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, "cardio.yaml"))
	putText(t, filepath.Join(dir, "derma.yaml"), with("derma", "token"))
	if _, err := LoadConfig(main, nil, nil); err != nil {
		t.Errorf("after a rotation of the key: %v", err)
	}
}

// What is written is read as the same, whatever it holds, and a second writing is the same text.
func TestClinicsAreWrittenAsTheyAreRead(t *testing.T) {
	example, err := LoadConfig(filepath.Join("..", "..", "..", "deploy", "relais.example.yaml"), environment{
		"TWILIO_AUTH_TOKEN": "t", "SMTP_PASSWORD": "s", "PLATEAU_FHIR_TOKEN": "p",
		"PLATEAU_HOOK_SECRET": "0123456789abcdef", "ROSEMONT_FHIR_KEY": privateKey(t),
		"PLATEAU_WEBHOOK_SECRET": "whsec_" + strings.Repeat("YWFh", 11),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	odd := example.Clinics[0]
	odd.Name, odd.Address = "L’« Été » : \"50 %\" # ok\\", "ligne 1\nligne 2\tfin\u0085"
	odd.Policy.Hours, odd.Policy.VoiceAfter, odd.Policy.Courtesy = Hours{From: 0, Until: 1440}, Duration(91*time.Second), false
	odd.Practitioners = append(odd.Practitioners, PractitionerConfig{ID: "no", Name: "yes", Specialty: "null", Langs: []string{"fr"}})
	odd.DME.FHIR.Specialties = map[string]string{"http://x|12: \"a\"": "derm", "true": "on"}
	for _, c := range append(example.Clinics, odd) {
		c.secrets, c.Webhooks = map[string]string{}, nil
		if f := c.DME.FHIR; f != nil {
			f.Token, f.HookSecret, f.Smart, f.TLS = "", "", nil, DMETLSConfig{}
		}
		text := clinicText(&c, "Comes first.\nThen the rest.\n")
		d := newDecoder(c.ID+clinicExt, "", nil)
		read := d.clinic(text, "")
		if len(d.problems) > 0 {
			t.Errorf("%v\n%s", d.problems, text)
			continue
		}
		if diff := cmp.Diff(c, read, cmpopts.IgnoreUnexported(ClinicConfig{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("clinic %s: %s\n%s", c.ID, diff, text)
		}
		if again := clinicText(&read, "Comes first.\nThen the rest.\n"); string(again) != string(text) {
			t.Errorf("written again:\n%s\nthe first time:\n%s", again, text)
		}
	}
	if kinds := settings(reflect.TypeFor[ClinicConfig](), ""); len(kinds) < 40 {
		t.Errorf("only %d settings were looked at", len(kinds))
	}
}
