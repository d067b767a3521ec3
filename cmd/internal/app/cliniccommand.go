package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/offer"
	"relais/engine/review"
)

type clinicCommand struct {
	Init  clinicInit  `cmd:"" help:"Set up a clinic, step by step or by flags, and write its file."`
	List  clinicList  `cmd:"" help:"List the clinics, and where each is described."`
	Show  clinicShow  `cmd:"" help:"Show a clinic's settings as a file would have them; secrets are not shown."`
	Check clinicCheck `cmd:"" help:"Say every mistake of a clinic, what its policy does, and try its record system."`
}

// clinicsOf names a configuration.
type clinicsOf struct {
	Config string `help:"Configuration file; also RELAIS_CONFIG." placeholder:"FILE"`
}

func (c *clinicsOf) path(io *streams) (string, error) {
	path := cmp.Or(c.Config, io.env["RELAIS_CONFIG"])
	if path == "" {
		return "", &usageError{errors.New("this needs --config FILE; start from deploy/relais.example.yaml")}
	}
	return path, nil
}

// find loads the configuration and one clinic of it.
func (c *clinicsOf) find(io *streams, id string) (cfg Config, clinic *ClinicConfig, err error) {
	path, err := c.path(io)
	if err != nil {
		return cfg, nil, err
	}
	if cfg, err = LoadConfig(path, io.env, nil); err != nil {
		return cfg, nil, err
	}
	i := slices.IndexFunc(cfg.Clinics, func(c ClinicConfig) bool { return c.ID == id })
	if i < 0 {
		known := make([]string, len(cfg.Clinics))
		for i := range cfg.Clinics {
			known[i] = cfg.Clinics[i].ID
		}
		return cfg, nil, &usageError{fmt.Errorf("there is no clinic %q; there is %s", id, cmp.Or(strings.Join(known, ", "), "none"))}
	}
	return cfg, &cfg.Clinics[i], nil
}

type clinicList struct{ clinicsOf }

// Run prints a line for each clinic.
func (l *clinicList) Run(io *streams) error {
	path, err := l.path(io)
	if err != nil {
		return err
	}
	cfg, err := LoadConfig(path, io.env, nil)
	if err != nil {
		return err
	}
	if len(cfg.Clinics) == 0 {
		fmt.Fprintln(io.out, "There is no clinic yet; set one up with: relais clinic init --config "+path)
	}
	for i := range cfg.Clinics {
		c := &cfg.Clinics[i]
		fmt.Fprintf(io.out, "%-24s %-10s %-5s %s (%s)\n", c.ID, c.Mode, c.DME.kind(), c.Name, cmp.Or(c.file, path))
	}
	return nil
}

type clinicShow struct {
	Clinic string `arg:"" help:"Identifier of the clinic."`
	clinicsOf
}

// Run prints the settings that differ from the defaults.
func (s *clinicShow) Run(io *streams) error {
	_, c, err := s.find(io, s.Clinic)
	if err != nil {
		return err
	}
	shown := *c
	shown.secrets = hiddenSecrets(c)
	_, err = io.out.Write(clinicText(&shown, ""))
	return err
}

// hiddenSecrets says of each secret where it comes from, but not what it is.
func hiddenSecrets(c *ClinicConfig) map[string]string {
	shown := map[string]string{}
	for at, text := range c.secrets {
		shown[at] = "(not shown)"
		if strings.HasPrefix(text, "file:") || strings.HasPrefix(text, "env:") {
			shown[at] = text
		}
	}
	return shown
}

type clinicCheck struct {
	Clinic  string        `arg:"" help:"Identifier of the clinic."`
	Offline bool          `help:"Do not connect to the record system."`
	Timeout time.Duration `default:"2m" help:"Give up on the record system after this long."`
	clinicsOf
}

// Run checks what can be known, and then the record system itself.
func (k *clinicCheck) Run(ctx context.Context, io *streams) error {
	cfg, c, err := k.find(io, k.Clinic)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.out, "The settings of %s (%s) are fine.\n", c.ID, c.Name)
	sayPolicy(io, c)
	if why := cfg.watchOnly(c); why != "" {
		fmt.Fprintf(io.out, "It stays in shadow mode: %s\n", why)
	}
	if k.Offline {
		return nil
	}
	return (&dmeCheck{Timeout: k.Timeout}).check(ctx, cfg, c, io.out)
}

// sayPolicy tells in words what the clinic's policy does.
func sayPolicy(io *streams, c *ClinicConfig) {
	clinic := c.Clinic()
	for _, sentence := range review.Preview(clinic.Policy, offer.Rates{}).Say(clinic.Lang, clinic.Mode) {
		fmt.Fprintln(io.out, "  "+sentence)
	}
}

// checkClinic says every mistake of a clinic that is about to be written to path, with the lines of its text.
func checkClinic(cfg Config, path string, text []byte, env environment) (ClinicConfig, error) {
	d := newDecoder(path, "", env)
	c := d.clinic(text, cfg.KeyFile)
	c.file = path
	others := slices.DeleteFunc(slices.Clone(cfg.Clinics), func(o ClinicConfig) bool { return o.file == path })
	cfg.Clinics = append(others, c)
	(&checker{d}).clinics(&cfg, []ownFile{{path, d}})
	main := newDecoder("configuration", "", env)
	(&checker{main}).hl7Listener(&cfg)
	if problems := append(d.problems, main.problems...); len(problems) > 0 {
		return c, &ConfigError{problems}
	}
	return c, nil
}

// writeClinic checks a clinic and writes its file.
func writeClinic(cfg Config, c *ClinicConfig, env environment) (path string, err error) {
	path = filepath.Join(cfg.clinicsDir(), c.ID+clinicExt)
	text := clinicText(c, "A clinic of Relais. Settings that are not here are as their defaults; docs/configuration.md explains each.\n")
	if _, err := checkClinic(cfg, path, text, env); err != nil {
		return path, err
	}
	return path, replaceFile(path, text)
}

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// defaultClinic is where a new clinic begins: it sends nothing before somebody says so.
func defaultClinic() ClinicConfig {
	var c ClinicConfig
	c.setDefaults()
	c.Mode, c.secrets = string(engine.Shadow), map[string]string{}
	return c
}
