package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"relais/engine"

	"github.com/google/go-cmp/cmp"
)

const minimal = `
public_url: http://localhost:8080
key_file: %s/relais.key
mail: {host: localhost, tls: none, from: rdv@example.org}
clinics:
  - {id: a, name: A, address: Here, phone: +15145550110, dme: {fhir: {base_url: "http://localhost:9/fhir"}}}
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "relais.yaml")
	if strings.Contains(text, "%s") {
		text = fmt.Sprintf(text, t.TempDir())
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// privateKey makes a key that signs ES384, as PEM.
func privateKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestExampleIsComplete loads the example of the repository and requires every setting of the
// program to be in it or in the documentation's list.
func TestExampleIsComplete(t *testing.T) {
	path := filepath.Join("..", "..", "..", "deploy", "relais.example.yaml")
	env := environment{
		"TWILIO_AUTH_TOKEN": "t", "SMTP_PASSWORD": "s", "PLATEAU_FHIR_TOKEN": "p",
		"PLATEAU_HOOK_SECRET": "0123456789abcdef", "PLATEAU_WEBHOOK_SECRET": "0123456789abcdef01234567", "ROSEMONT_FHIR_KEY": privateKey(t),
	}
	cfg, err := LoadConfig(path, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Clinics) != 3 || cfg.Twilio == nil || cfg.Mail == nil || cfg.Clinics[0].DME.FHIR.HookSecret != "0123456789abcdef" {
		t.Errorf("the example lost something: %+v", cfg)
	}
	doc, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range settings(reflect.TypeFor[Config](), "") {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/configuration.md does not explain %s", name)
		}
	}
	for _, name := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(string(doc), -1) {
		if !slices.Contains(settings(reflect.TypeFor[Config](), ""), name[1]) {
			t.Errorf("docs/configuration.md explains %s, which does not exist", name[1])
		}
	}
}

// settings lists the names of all settings, those in lists with [].
func settings(typ reflect.Type, prefix string) []string {
	var names []string
	for f := range typ.Fields() {
		if f.Tag.Get("yaml") == "" {
			continue
		}
		name, typ := join(prefix, f.Tag.Get("yaml")), f.Type
		if typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct && !isScalar(reflect.New(typ.Elem()).Elem()) {
			name, typ = name+"[]", typ.Elem()
		}
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() == reflect.Struct && !isScalar(reflect.New(typ).Elem()) {
			names = append(names, settings(typ, name)...)
			continue
		}
		names = append(names, name)
	}
	return names
}

func TestDefaultsAreValidAndThePolicyIsTheEngines(t *testing.T) {
	cfg, err := LoadConfig(write(t, minimal), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	clinic := cfg.Clinics[0].Clinic()
	if diff := cmp.Diff(engine.DefaultPolicy(), clinic.Policy); diff != "" {
		t.Error(diff)
	}
	if clinic.Zone != "America/Toronto" || clinic.Lang != engine.French || clinic.Mode != engine.Automatic {
		t.Errorf("%+v", clinic)
	}
	if cfg.Clinics[0].DME.FHIR.PollEvery != Duration(2*time.Second) || cfg.Mail.Port != 587 {
		t.Errorf("%+v %+v", cfg.Clinics[0].DME.FHIR, cfg.Mail)
	}
}

func TestFlagsGoOverVariablesOverFile(t *testing.T) {
	path := write(t, "addr: file:1\ndata: file-data\nlog: {level: warn}\n"+minimal)
	env := environment{"RELAIS_ADDR": "env:2", "RELAIS_DATA": "env-data", "RELAIS_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1/32"}
	flags := serveCommand{Addr: "flag:3"}
	cfg, err := LoadConfig(path, env, flags.apply)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Addr != "flag:3" || cfg.Data != "env-data" || cfg.Log.Level != "warn" || len(cfg.TrustedProxies) != 2 {
		t.Errorf("%+v", cfg)
	}
}

func TestPartComesToLifeByVariables(t *testing.T) {
	env := environment{
		"RELAIS_TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef",
		"RELAIS_TWILIO_AUTH_TOKEN":  "token", "RELAIS_TWILIO_FROM": "+15145550100",
	}
	cfg, err := LoadConfig(write(t, minimal), env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Twilio == nil || cfg.Twilio.AuthToken != "token" {
		t.Errorf("%+v", cfg.Twilio)
	}
}

func TestSecretsAreResolvedAndNeverPrinted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]Secret{"file:" + file: "from-a-file", "env:NAME": "from-env", "plain": "plain"} {
		var s Secret
		if err := s.resolve(text, func(string) string { return "from-env" }); err != nil || s != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	var out strings.Builder
	s := Secret("hush-hush")
	fmt.Fprintf(&out, "%v %s %q %x %+v %#v", s, s, s, s, MailConfig{Password: s}, &MailConfig{Password: s})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "in", MailConfig{Password: s})
	if strings.Contains(out.String(), "hush") || strings.Contains(out.String(), fmt.Sprintf("%x", "hush")) {
		t.Error(out.String())
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"file:" + empty, "file:" + t.TempDir(), "file:/does/not/exist", "env:NOTHING"} {
		if err := s.resolve(text, func(string) string { return "" }); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

func TestDurationsAndHours(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "60d": 60 * 24 * time.Hour, "1h30m": 90 * time.Minute} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "99999d", "10", "ten minutes"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted as %v", text, time.Duration(d))
		}
	}
	var h Hours
	if err := h.UnmarshalText([]byte("08:30 - 24:00")); err != nil || h != (Hours{From: 510, Until: 1440}) {
		t.Errorf("%v %v", h, err)
	}
	for _, text := range []string{"", "8-9", "21:00-08:00", "08:00", "25:00-26:00"} {
		if err := h.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// FuzzConfig feeds any text: mistakes are told, never a panic, and always with a sentence.
func FuzzConfig(f *testing.F) {
	f.Add("addr: 1\nclinics: [{id: {}}, null, 7]")
	f.Add(minimal)
	f.Add("? [a, b]\n: c\n<<: {x: 1}\nclinics: &x {a: *x}")
	f.Add("log:\n  level: |\n    info\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file:") {
			return // would read files of this machine
		}
		d := &decoder{file: "f", lines: map[string]int{}, origin: map[string]string{}, refs: map[string]bool{}}
		cfg := DefaultConfig()
		d.decode([]byte(text), &cfg)
		(&checker{d}).config(&cfg, nil)
		for _, p := range d.problems {
			if p.Sentence == "" || p.Where == "" {
				t.Errorf("a problem without words: %+v", p)
			}
		}
	})
}
