package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/postal"
)

type clinicInit struct {
	clinicsOf
	ID           string        `name:"id" help:"Identifier: small letters, digits, hyphens; never changes."`
	Name         string        `help:"Name, as patients read it."`
	Address      string        `help:"Address, as patients read it."`
	Phone        string        `help:"Public telephone, 514 555-0110 or +15145550110."`
	Zone         string        `help:"Time zone, for example America/Toronto."`
	Lang         string        `help:"fr or en: the language where a patient's is not known."`
	Practitioner []string      `sep:"none" help:"Somebody whose time is booked, as ID:NAME:SPECIALTY; repeat it." placeholder:"ID:NAME:SPECIALTY"`
	Place        []string      `sep:"none" help:"A place of care, as ID:NAME:ADDRESS:POSTAL-CODE; repeat it." placeholder:"ID:NAME:ADDRESS:CODE"`
	Hours        string        `help:"When people may be messaged, for example 08:00-20:00."`
	Strategy     string        `help:"adaptive, waves or one-by-one."`
	Mode         string        `help:"shadow (sends nothing), approval or automatic."`
	FHIR         string        `name:"fhir" help:"Address of the record system's FHIR server." placeholder:"URL"`
	Token        string        `help:"Its token, as file:/path or env:NAME." placeholder:"REF"`
	HL7          string        `name:"hl7" help:"Application and facility that an HL7 record system puts into MSH-3 and MSH-4, as APPLICATION:FACILITY." placeholder:"APP:FACILITY"`
	SendTo       string        `help:"Where the HL7 record system takes bookings, as host:port." placeholder:"ADDR"`
	Yes          bool          `help:"Ask nothing: flags and defaults are all there is."`
	Replace      bool          `help:"Replace the file of this clinic if there is one."`
	Offline      bool          `help:"Do not try the record system."`
	Timeout      time.Duration `default:"1m" help:"Give up on the record system after this long."`
}

// Help is shown below the flags.
func (*clinicInit) Help() string {
	return `What a flag does not give is asked on the terminal; Enter takes the value in brackets. Nothing is written before
the end, and a mistake is said at once. The clinic begins in shadow mode: it shows what it would send, and sends nothing.

Examples:
  relais clinic init --config relais.yaml
  relais clinic init --config relais.yaml --yes --id derma --name "Clinique Derma" --address "1, rue Saint-Denis, Montréal" \
    --phone "514 555-0110" --practitioner "tremblay:Dre Anne Tremblay:dermatology" --place "main:Clinique Derma:1, rue Saint-Denis:H2X 1Y4" \
    --fhir https://dme.example.org/fhir --token file:/etc/relais/derma.token`
}

// errGone says that the terminal closed before everything was answered.
var errGone = errors.New("the answers ended before the clinic was described; nothing was written")

// Run sets up a clinic.
func (k *clinicInit) Run(ctx context.Context, s *streams) error {
	path, err := k.path(s)
	if err != nil {
		return err
	}
	cfg, err := LoadConfig(path, s.env, nil)
	if err != nil {
		return err
	}
	g := &guide{in: bufio.NewScanner(io.LimitReader(s.in, 1<<20)), out: s.out, silent: k.Yes}
	c := defaultClinic()
	if err := k.describe(g, cfg, &c); err != nil {
		return err
	}
	file := filepath.Join(cfg.clinicsDir(), c.ID+clinicExt)
	if exists(file) && !k.Replace {
		return &usageError{fmt.Errorf("%s is there already; choose another id, or use --replace", file)}
	}
	fmt.Fprintln(s.out, "\nWhat its policy does:")
	sayPolicy(s, &c)
	checked, err := checkClinic(cfg, file, clinicText(&c, ""), s.env)
	if err != nil {
		return err
	}
	if !k.Offline {
		fmt.Fprintln(s.out)
		if err := (&dmeCheck{Timeout: k.Timeout}).check(ctx, cfg, &checked, s.out); err != nil {
			fmt.Fprintf(s.out, "\n%v.\n", err)
			keep, err := g.yes("Write the clinic all the same", true)
			if err != nil || !keep {
				return errors.Join(err, errors.New("nothing was written"))
			}
		}
	}
	if _, err := writeClinic(cfg, &c, s.env); err != nil {
		return err
	}
	fmt.Fprintf(s.out, `
%s is written. Next:
  1. A running relais takes it up with: kill -HUP its process (systemctl reload relais); else: relais serve --config %s
  2. Sign in at %s and look at its calendar. In %s mode %s
  3. Its messages: relais wording preview %s
  4. relais clinic check %s --config %s tries everything again.
`, file, path, cfg.PublicURL, c.Mode, modeMeans(c.Mode), path, c.ID, path)
	return nil
}

func modeMeans(mode string) string {
	switch mode {
	case string(engine.Shadow):
		return "nothing is sent: it shows what would be. Change the mode there when you like what you see."
	case string(engine.Approval):
		return "each freed slot waits for a person's approval."
	}
	return "freed slots are offered by themselves."
}

// describe fills in the clinic, from flags and from answers.
func (k *clinicInit) describe(g *guide, cfg Config, c *ClinicConfig) error {
	free := func(id string) error {
		if !clinicID.MatchString(id) {
			return errors.New("use up to 40 small letters, digits and hyphens")
		}
		for i := range cfg.Clinics {
			if cfg.Clinics[i].ID == id && !(k.Replace && cfg.Clinics[i].file != "") {
				return fmt.Errorf("there is a clinic %q already", id)
			}
		}
		return nil
	}
	g.text("Name, as patients read it", k.Name, "", needed, &c.Name)
	g.text("Identifier", k.ID, slug(c.Name), free, &c.ID)
	g.text("Address", k.Address, "", needed, &c.Address)
	g.text("Public telephone", k.Phone, "", phoneInto(&c.Phone), new(string))
	g.text("Time zone", k.Zone, c.Zone, zoneKnown, &c.Zone)
	g.text("Language where a patient's is not known (fr, en)", k.Lang, c.Lang, oneOf("fr", "en"), &c.Lang)
	hours := c.Policy.Hours.text()
	g.text("Hours in which people may be messaged", k.Hours, hours, func(s string) error { return c.Policy.Hours.UnmarshalText([]byte(s)) }, new(string))
	g.list("Practitioner, as ID:NAME:SPECIALTY", k.Practitioner, func(s string) error {
		part := strings.SplitN(s, ":", 3)
		if len(part) != 3 || part[0] == "" || part[1] == "" || part[2] == "" {
			return errors.New("write it as tremblay:Dre Anne Tremblay:dermatology")
		}
		c.Practitioners = append(c.Practitioners, PractitionerConfig{ID: part[0], Name: part[1], Specialty: part[2]})
		return nil
	})
	g.list("Place, as ID:NAME:ADDRESS:POSTAL-CODE", k.Place, func(s string) error { return placeInto(c, s) })
	kind := "fhir"
	if k.HL7 != "" {
		kind = "hl7"
	}
	if k.FHIR == "" && k.HL7 == "" {
		g.text("Record system (fhir, hl7)", "", kind, oneOf("fhir", "hl7"), &kind)
	}
	if kind == "hl7" {
		k.describeHL7(g, c)
	} else {
		k.describeFHIR(g, cfg, c)
	}
	g.text("Strategy (adaptive, waves, one-by-one)", k.Strategy, c.Policy.Strategy, oneOf("adaptive", "waves", "one-by-one"), &c.Policy.Strategy)
	g.text("Mode (shadow, approval, automatic)", k.Mode, c.Mode, oneOf("shadow", "approval", "automatic"), &c.Mode)
	return g.err
}

func (k *clinicInit) describeFHIR(g *guide, cfg Config, c *ClinicConfig) {
	c.DME.FHIR = &FHIRConfig{}
	c.DME.FHIR.setDefaults()
	g.text("Address of its FHIR server", k.FHIR, "", needed, &c.DME.FHIR.BaseURL)
	const setting = clinicRoot + ".dme.fhir.token"
	var token string
	g.text("Token, as file:/path, env:NAME or the token itself, which is sealed (Enter: none)", k.Token, "-", func(string) error { return nil }, &token)
	if token == "" || token == "-" {
		return
	}
	c.DME.FHIR.Token = Secret(token)
	if strings.HasPrefix(token, "file:") || strings.HasPrefix(token, "env:") {
		c.secrets[setting] = token
		return
	}
	sealed, err := cfg.sealSetting(c.ID, setting, token)
	if err != nil && g.err == nil {
		g.err = err
	}
	c.secrets[setting] = sealed
}

func (k *clinicInit) describeHL7(g *guide, c *ClinicConfig) {
	c.DME.HL7 = &HL7Config{}
	c.DME.HL7.setDefaults()
	g.text("What it puts into MSH-3 and MSH-4, as APPLICATION:FACILITY", k.HL7, "", func(s string) error {
		c.DME.HL7.Sender.Application, c.DME.HL7.Sender.Facility, _ = strings.Cut(s, ":")
		return needed(s)
	}, new(string))
	g.text("Where it takes bookings, as host:port (Enter: nowhere, only watch)", k.SendTo, "-", func(s string) error {
		if s != "-" {
			c.DME.HL7.SendTo = s
		}
		return nil
	}, new(string))
}

// guide asks on a terminal, or takes what flags gave.
type guide struct {
	in     *bufio.Scanner
	out    io.Writer
	silent bool
	err    error // the first; nothing is asked after it
}

// text takes one value: of a flag, of the terminal, or the default. A wrong answer is asked again; a wrong
// flag is an error.
func (g *guide) text(label, flag, byDefault string, check func(string) error, into *string) {
	if g.err != nil {
		return
	}
	if flag != "" || g.silent {
		value := flag
		if value == "" {
			value = byDefault
		}
		if err := check(value); err != nil {
			g.err = &usageError{fmt.Errorf("%s: %w", label, err)}
			return
		}
		*into = value
		return
	}
	for {
		answer, ok := g.ask(label, byDefault)
		if !ok {
			g.err = errGone
			return
		}
		if err := check(answer); err != nil {
			fmt.Fprintf(g.out, "  %v.\n", err)
			continue
		}
		*into = answer
		return
	}
}

// list takes any number of values.
func (g *guide) list(label string, flags []string, add func(string) error) {
	if g.err != nil {
		return
	}
	for _, value := range flags {
		if err := add(value); err != nil {
			g.err = &usageError{fmt.Errorf("%s: %w", label, err)}
			return
		}
	}
	for n := len(flags) + 1; !g.silent && len(flags) == 0; {
		answer, ok := g.ask(fmt.Sprintf("%s, number %d (Enter: no more)", label, n), "")
		if !ok {
			g.err = errGone
			return
		}
		if answer == "" {
			return
		}
		if err := add(answer); err != nil {
			fmt.Fprintf(g.out, "  %v.\n", err)
			continue
		}
		n++
	}
}

func (g *guide) yes(label string, otherwise bool) (bool, error) {
	if g.silent {
		return otherwise, nil
	}
	answer, ok := g.ask(label+" (y, n)", "n")
	if !ok {
		return false, errGone
	}
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "o"), nil
}

func (g *guide) ask(label, byDefault string) (string, bool) {
	if byDefault == "" || byDefault == "-" {
		fmt.Fprintf(g.out, "%s: ", label)
	} else {
		fmt.Fprintf(g.out, "%s [%s]: ", label, byDefault)
	}
	if !g.in.Scan() {
		fmt.Fprintln(g.out)
		return "", false
	}
	if answer := strings.TrimSpace(g.in.Text()); answer != "" {
		return answer, true
	}
	return byDefault, true
}

func needed(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("this is needed")
	}
	return nil
}

func zoneKnown(s string) error {
	if _, err := time.LoadLocation(s); err != nil || s == "" || s == "Local" {
		return fmt.Errorf("%q is not a time zone; write a name such as America/Toronto", s)
	}
	return nil
}

func oneOf(allowed ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(allowed, s) {
			return nil
		}
		return fmt.Errorf("%q is none of %s", s, strings.Join(allowed, ", "))
	}
}

func phoneInto(into *string) func(string) error {
	return func(s string) (err error) {
		*into, err = e164Of(s)
		return err
	}
}

// placeInto adds a place, where its postal code is.
func placeInto(c *ClinicConfig, s string) error {
	part := strings.Split(s, ":")
	if len(part) < 4 || part[0] == "" || part[1] == "" {
		return errors.New("write it as main:Clinique Derma:1, rue Saint-Denis, Montréal:H2X 1Y4")
	}
	code := part[len(part)-1]
	at, ok := postal.Locate(code)
	if !ok {
		return fmt.Errorf("the postal code %q is not known; write it like H2X 1Y4", code)
	}
	round := func(f float64) float64 {
		f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'f', 4, 64), 64)
		return f
	}
	c.Places = append(c.Places, PlaceConfig{
		ID: part[0], Name: part[1], Address: strings.Join(part[2:len(part)-1], ":"), Lat: round(at.Lat), Lon: round(at.Lon),
	})
	return nil
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slug proposes an identifier.
func slug(name string) string {
	plain := strings.NewReplacer("é", "e", "è", "e", "ê", "e", "à", "a", "â", "a", "ô", "o", "î", "i", "ï", "i", "ç", "c", "û", "u", "ù", "u", "œ", "oe").
		Replace(strings.ToLower(name))
	s := strings.Trim(notSlug.ReplaceAllString(plain, "-"), "-")
	return strings.TrimRight(s[:min(len(s), 40)], "-")
}
