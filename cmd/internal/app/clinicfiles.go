package app

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/storage/bolt"
	"relais/storage/seal"
)

// Clinics that were set up by the page or by relais clinic init have a file each, in clinics_dir.
const (
	clinicExt    = ".yaml"
	clinicRoot   = "clinic"  // what a mistake in such a file names
	sealedPrefix = "sealed:" // of a secret that only the key file opens
	maxClinics   = 1000
)

// ownFile is one file of clinics_dir, as it was read.
type ownFile struct {
	path string
	d    *decoder
}

// clinicsDir is where the clinics' own files are.
func (cfg *Config) clinicsDir() string {
	if cfg.ClinicsDir != "" {
		return cfg.ClinicsDir
	}
	return filepath.Join(cfg.Data, "clinics")
}

// clinicFiles reads the files of clinics_dir, in the order of their names, and adds their clinics.
func (d *decoder) clinicFiles(cfg *Config) (files []ownFile) {
	list, err := os.ReadDir(cfg.clinicsDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		d.problems = append(d.problems, Problem{cfg.clinicsDir(), "", "the directory of the clinics' files cannot be read; let the user that runs relais read it."})
		return nil
	}
	for _, e := range list {
		if e.IsDir() || !strings.HasSuffix(e.Name(), clinicExt) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if len(files) >= maxClinics {
			d.problems = append(d.problems, Problem{cfg.clinicsDir(), "", "there are more than 1,000 clinics here; run another Relais for the rest."})
			break
		}
		path := filepath.Join(cfg.clinicsDir(), e.Name())
		var c ClinicConfig
		sub := newDecoder(path, "another clinic's", d.env)
		sub.refs = d.refs
		if text, sentence := readConfig(path, sub.example); sentence != "" {
			sub.problems = append(sub.problems, Problem{Where: path, Sentence: sentence})
			c.setDefaults()
		} else {
			c = sub.clinic(text, cfg.KeyFile)
		}
		c.file = path
		cfg.Clinics = append(cfg.Clinics, c)
		files = append(files, ownFile{path, sub})
	}
	return files
}

// clinic reads one clinic, as an element of clinics is written. Its secrets are references or sealed.
func (d *decoder) clinic(text []byte, keyFile string) ClinicConfig {
	var c ClinicConfig
	c.setDefaults()
	d.root, d.strict = clinicRoot, true
	name := strings.TrimSuffix(filepath.Base(d.file), clinicExt)
	d.unseal = func(setting, text string) (string, error) { return unsealSetting(keyFile, name, setting, text) }
	d.decode(text, &c)
	c.secrets = d.secrets
	return c
}

// sealSetting seals a secret for one setting of one clinic: it opens nowhere else.
func (cfg *Config) sealSetting(clinic, setting, value string) (string, error) {
	open := seal.OpenOrCreate
	if bolt.Exists(cfg.Data) {
		open = seal.Open // a new key would open nothing of the store
	}
	sealer, err := open(cfg.KeyFile)
	if err != nil {
		return "", err
	}
	sealed, err := sealer.Seal(settingPlace(clinic, setting), []byte(value))
	if err != nil {
		return "", err
	}
	return sealedPrefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// unsealSetting is the way back. Its error is the end of a sentence.
func unsealSetting(keyFile, clinic, setting, text string) (string, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		var sealer *seal.Sealer
		if sealer, err = seal.Open(keyFile); err != nil {
			return "", errors.New("is sealed, but the key in key_file cannot be used; put the key file back")
		}
		var value []byte
		if value, err = sealer.Open(settingPlace(clinic, setting), sealed); err == nil {
			return string(value), nil
		}
	}
	return "", errors.New("does not open with the key in key_file; it was sealed with another key, for another clinic or setting, or damaged: give the secret anew")
}

func settingPlace(clinic, setting string) seal.Place {
	return seal.Place{Clinic: engine.ClinicID(clinic), Kind: "setting", ID: setting}
}

// clinicText writes a clinic as its file has it: what differs from the defaults, secrets as they were given.
func clinicText(c *ClinicConfig, head string) []byte {
	var b strings.Builder
	for line := range strings.Lines(head) {
		b.WriteString("# " + line)
	}
	if head != "" {
		b.WriteString("\n")
	}
	var plain ClinicConfig
	plain.setDefaults()
	w := yamlWriter{out: &b, secrets: c.secrets}
	w.fields(reflect.ValueOf(c).Elem(), reflect.ValueOf(&plain).Elem(), clinicRoot, 0)
	return []byte(b.String())
}

// yamlWriter writes settings. It writes as little as possible: a default is left out.
type yamlWriter struct {
	out     *strings.Builder
	secrets map[string]string
}

func (w *yamlWriter) line(depth int, format string, args ...any) {
	w.out.WriteString(strings.Repeat("  ", depth) + fmt.Sprintf(format, args...) + "\n")
}

func (w *yamlWriter) fields(v, plain reflect.Value, path string, depth int) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		if name == "" || v.Type().Field(i).PkgPath != "" || reflect.DeepEqual(v.Field(i).Interface(), plain.Field(i).Interface()) {
			continue
		}
		w.value(name, v.Field(i), plain.Field(i), join(path, name), depth)
	}
}

func (w *yamlWriter) value(name string, v, plain reflect.Value, path string, depth int) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if text, ok := w.scalar(v, path); ok {
		w.line(depth, "%s: %s", name, text)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		w.line(depth, "%s:", name)
		if plain.Kind() != reflect.Struct { // what is left out of an optional part is as its defaults are
			plain = reflect.New(v.Type()).Elem()
			setDefaults(plain)
		}
		before := w.out.Len()
		w.fields(v, plain, path, depth+1)
		if w.out.Len() == before { // all of it is as the defaults are, and it must still be there
			text := strings.TrimSuffix(w.out.String(), "\n")
			w.out.Reset()
			w.out.WriteString(text + " {}\n")
		}
	case reflect.Map:
		w.line(depth, "%s:", name)
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			w.value(quoted(k.String()), v.MapIndex(k), reflect.Zero(v.Type().Elem()), join(path, k.String()), depth+1)
		}
	case reflect.Slice:
		w.list(name, v, path, depth)
	default:
		panic("config: a field of a kind that files cannot hold: " + path)
	}
}

func (w *yamlWriter) list(name string, v reflect.Value, path string, depth int) {
	w.line(depth, "%s:", name)
	for i := range v.Len() {
		at := fmt.Sprintf("%s[%d]", path, i)
		if text, ok := w.scalar(v.Index(i), at); ok {
			w.line(depth+1, "- %s", text)
			continue
		}
		item := yamlWriter{out: &strings.Builder{}, secrets: w.secrets}
		item.fields(v.Index(i), reflect.New(v.Index(i).Type()).Elem(), at, 0)
		dash := "- "
		for line := range strings.Lines(item.out.String()) {
			w.line(depth+1, "%s%s", dash, strings.TrimSuffix(line, "\n"))
			dash = "  "
		}
	}
}

// scalar writes a single value.
func (w *yamlWriter) scalar(v reflect.Value, path string) (string, bool) {
	switch value := v.Interface().(type) {
	case Secret:
		return quoted(w.secrets[path]), true
	case Duration:
		return quoted(value.text()), true
	case Hours:
		return quoted(value.text()), true
	case Ages:
		return quoted(value.text()), true
	}
	switch v.Kind() {
	case reflect.String:
		return quoted(v.String()), true
	case reflect.Bool, reflect.Int, reflect.Float64:
		return fmt.Sprint(v.Interface()), true
	default:
		return "", false
	}
}

// quoted writes a string so that YAML reads the same one, as plain as may be.
func quoted(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == "" && s[0] != '-' &&
		!slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, s)
	if plain {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// text writes a duration as a file has it.
func (d Duration) text() string {
	const day = Duration(24 * time.Hour)
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return short(time.Duration(d))
}

// text writes hours as a file has them.
func (h Hours) text() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", h.From/60, h.From%60, h.Until/60, h.Until%60)
}

// text writes ages as a file has them.
func (a Ages) text() string {
	if a.Ages == nil {
		return ""
	}
	return fmt.Sprintf("%d-%d", a.From, a.Until)
}

// replaceFile writes a file whole or not at all, for its owner only.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the directory of %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write beside %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
