package app

import (
	"cmp"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/engine"
	"relais/storage/seal"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// ConfigError is a configuration with mistakes, all of them.
type ConfigError struct{ Problems []Problem }

func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// LoadConfig reads the file at path, applies the environment and then flags over it, and checks the
// whole. A path of "" means no file. The error is a *ConfigError.
func LoadConfig(path string, env environment, flags func(*Config)) (Config, error) {
	cfg := DefaultConfig()
	d := newDecoder("configuration", "deploy/relais.example.yaml", env)
	if path != "" {
		d.file = path
		text, sentence := readConfig(path, d.example)
		if sentence != "" {
			return cfg, &ConfigError{[]Problem{{Where: path, Sentence: sentence}}}
		}
		d.decode(text, &cfg)
	}
	d.environ(&cfg)
	if flags != nil {
		flags(&cfg)
	}
	files := d.clinicFiles(&cfg)
	d.strangers()
	// A file that cannot be read as YAML has nothing to check; other mistakes do not hide more.
	if len(d.lines) > 0 || path == "" {
		c := &checker{d}
		c.config(&cfg, files)
	}
	for _, f := range files {
		slices.SortStableFunc(f.d.problems, func(a, b Problem) int { return cmp.Compare(lineOf(a), lineOf(b)) })
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(lineOf(a), lineOf(b)) })
	}
	for _, f := range files {
		d.problems = append(d.problems, f.d.problems...)
	}
	if len(d.problems) > 0 {
		return cfg, &ConfigError{d.problems}
	}
	return cfg, nil
}

func lineOf(p Problem) int {
	n, _ := strconv.Atoi(p.Where[strings.LastIndexByte(p.Where, ':')+1:])
	return n
}

func readConfig(path, example string) (text []byte, sentence string) {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return nil, "there is no such file; copy " + example + " and edit it."
	case err != nil:
		return nil, "the file cannot be opened; let the user that runs relais read it."
	case info.IsDir():
		return nil, "this is a directory; name the file in it."
	case info.Size() > maxConfig:
		return nil, "the file is larger than 1 MB; it cannot be a configuration."
	}
	text, err = os.ReadFile(path)
	if err != nil {
		return nil, "the file cannot be read; let the user that runs relais read it."
	}
	return text, ""
}

// checker holds the rules that a single value does not show.
type checker struct{ d *decoder }

// say records a problem of a setting at the line, or the variable, that it came from; of a setting
// that is missing at the line of what should hold it.
func (c *checker) say(setting, format string, args ...any) {
	if name, ok := c.d.origin[strings.ReplaceAll(setting, ".", "_")]; ok {
		c.d.problems = append(c.d.problems, Problem{"environment", name, fmt.Sprintf(format, args...)})
		return
	}
	line := 0
	for at := setting; at != "" && line == 0; {
		line = c.d.lines[at]
		at = at[:max(strings.LastIndexByte(at, '.'), 0)]
	}
	if c.spoken(setting) {
		return
	}
	c.d.problem(line, setting, format, args...)
}

// spoken is true when there is a complaint already of the setting or of what holds it: a second one,
// of the value that stands in for the wrong one, would only confuse.
func (c *checker) spoken(setting string) bool {
	return slices.ContainsFunc(c.d.problems, func(p Problem) bool {
		return p.Setting == setting || strings.HasPrefix(setting, p.Setting+".")
	})
}

func (c *checker) oneOf(setting, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.say(setting, "is %q; it can be %s.", value, strings.Join(allowed, ", "))
	}
}

func (c *checker) between(setting string, value, low, high int) {
	if value < low || value > high {
		c.say(setting, "is %d; it can be from %d to %d.", value, low, high)
	}
}

func (c *checker) lasts(setting string, value Duration, low, high time.Duration) {
	if v := time.Duration(value); v < low || v > high {
		c.say(setting, "is %s; it can be from %s to %s.", short(v), short(low), short(high))
	}
}

// short writes 10m, where Go writes 10m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// url checks an address of a server. Plain http is for the machine itself only.
func (c *checker) url(setting, value string) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		c.say(setting, "is not a web address; write it whole, for example https://relais.example.org.")
		return
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		c.say(setting, "must have no user, ? or #; secrets have settings of their own.")
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		c.say(setting, "must begin with https:// because personal data goes over it; http:// is for this machine only.")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var (
	clinicID  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	userID    = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)
	e164      = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)
	account   = regexp.MustCompile(`^AC[0-9a-f]{32}$`)
	messaging = regexp.MustCompile(`^MG[0-9a-f]{32}$`)
	apiKey    = regexp.MustCompile(`^SK[0-9a-f]{32}$`)
)

const phoneHelp = "is not a telephone number; write it as +15145550100."

func (c *checker) config(cfg *Config, files []ownFile) {
	if host, port, err := net.SplitHostPort(cfg.Addr); err != nil {
		c.say("addr", "is %q; write a host and a port, for example localhost:8080 or :8080.", cfg.Addr)
	} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		c.say("addr", "has the port %q after %q; write a number from 1 to 65535.", port, host)
	}
	if cfg.PublicURL == "" {
		c.say("public_url", "is missing; it is the address that patients' links and carriers use, for example https://relais.example.org.")
	} else {
		c.url("public_url", cfg.PublicURL)
	}
	c.tls(cfg)
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	if cfg.Data == "" {
		c.say("data", "is empty; name the directory where Relais keeps its data.")
	}
	c.keyFile(cfg)
	c.backup(&cfg.Backup, cfg.Data)
	c.privacy(&cfg.Privacy)
	c.oneOf("log.level", cfg.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", cfg.Log.Format, "text", "json")
	if !userID.MatchString(cfg.Account.ID) {
		c.say("account.id", "is %q; use up to 64 letters, digits, dots, hyphens, _ or @.", cfg.Account.ID)
	}
	if n := len(cfg.Account.Password); n > 0 && n < 12 {
		c.say("account.password", "is shorter than 12 characters; choose a longer one, or leave it out and Relais makes one.")
	}
	c.lasts("retention", cfg.Retention, 2*24*time.Hour, 3650*24*time.Hour)
	c.between("limits.feed_clients", cfg.Limits.FeedClients, 1, 100_000)
	if cfg.Twilio != nil {
		c.twilio("twilio", cfg.Twilio)
	}
	if cfg.TwilioSecond != nil {
		c.twilioSecond(cfg.Twilio, cfg.TwilioSecond)
	}
	if cfg.Mail != nil {
		c.mail(cfg.Mail)
	}
	if cfg.OIDC != nil {
		c.oidc(cfg)
	}
	c.clinics(cfg, files)
	c.hl7Listener(cfg)
}

// keyFile keeps the key away from the data it opens: a copied directory must not open itself.
func (c *checker) keyFile(cfg *Config) {
	if cfg.KeyFile == "" {
		c.say("key_file", "is missing; name a file outside of data for the key that seals personal data, for example /etc/relais/relais.key. Relais makes it on its first start.")
		return
	}
	if err := seal.CheckSource(cfg.KeyFile); err != nil {
		c.say("key_file", "is %q, which keys cannot come from here; name a file, or env:NAME for a variable that holds the keyset.", cfg.KeyFile)
		return
	}
	if _, variable := seal.Variable(cfg.KeyFile); variable {
		return
	}
	data, err1 := filepath.Abs(cfg.Data)
	key, err2 := filepath.Abs(cfg.KeyFile)
	if err1 != nil || err2 != nil || cfg.Data == "" {
		return
	}
	if rel, err := filepath.Rel(data, key); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		c.say("key_file", "lies inside data; keep it elsewhere, or a copy of the data opens itself.")
	}
}

// clinics checks those of the main file, and each file of clinics_dir. None at all is fine: the page for
// settings, or relais clinic init, makes the first one.
func (c *checker) clinics(cfg *Config, files []ownFile) {
	if len(cfg.Clinics) > maxClinics {
		c.say("clinics", "has more than 1,000 entries, with those of clinics_dir; run another Relais for the rest.")
		return
	}
	seen := map[string]string{}
	sends, inFiles := false, len(cfg.Clinics)-len(files)
	for i := range cfg.Clinics {
		cl, at, with, name := &cfg.Clinics[i], fmt.Sprintf("clinics[%d]", i), c, fmt.Sprintf("clinics[%d]", i)
		if i >= inFiles {
			at, with, name = clinicRoot, &checker{files[i-inFiles].d}, cl.file
			if len(with.d.lines) == 0 {
				continue // it cannot be read: said already
			}
			if want := strings.TrimSuffix(filepath.Base(cl.file), clinicExt); cl.ID != want && cl.ID != "" {
				with.say(at+".id", "is %q, but the file is named for %q; rename one of them.", cl.ID, want)
			}
		}
		if first, ok := seen[cl.ID]; ok {
			with.say(at+".id", "is %q as that of %s; each clinic needs its own.", cl.ID, first)
		}
		seen[cl.ID] = name
		if cl.Mode != string(engine.Shadow) {
			sends = true
			if cfg.Twilio == nil && cfg.Mail == nil && i >= inFiles {
				with.say(at+".mode", "would send offers, but the main configuration gives neither twilio nor mail; add one there, or write mode: shadow to only watch.")
			}
		}
		with.clinic(at, cl)
		with.wording(at+".wording", cl, cfg.PublicURL)
	}
	if sends && cfg.Twilio == nil && cfg.Mail == nil && inFiles > 0 {
		c.say("clinics", "would send offers, but neither twilio nor mail is given; add one, or set mode: shadow to only watch.")
	}
}

func (c *checker) clinic(at string, cl *ClinicConfig) {
	if !clinicID.MatchString(cl.ID) {
		c.say(at+".id", "is %q; use up to 40 small letters, digits and hyphens.", cl.ID)
	}
	if cl.Name == "" {
		c.say(at+".name", "is missing; patients read it in every message.")
	}
	if cl.Address == "" {
		c.say(at+".address", "is missing; patients read it on their page.")
	}
	if !e164.MatchString(cl.Phone) {
		c.say(at+".phone", phoneHelp)
	}
	if _, err := time.LoadLocation(cl.Zone); err != nil || cl.Zone == "" || cl.Zone == "Local" {
		c.say(at+".zone", "%q is not a time zone; write a name such as America/Toronto.", cl.Zone)
	}
	c.oneOf(at+".lang", cl.Lang, string(engine.French), string(engine.English))
	c.oneOf(at+".mode", cl.Mode, string(engine.Automatic), string(engine.Approval), string(engine.Shadow))
	c.oneOf(at+".identity", cl.Identity, identityNone, identityBirth)
	if cl.Still != 0 {
		c.lasts(at+".still", cl.Still, 7*24*time.Hour, 730*24*time.Hour)
	}
	if cl.Contact != "" {
		if _, err := mail.ParseAddress(cl.Contact); err != nil {
			c.say(at+".contact", "is not a mail address.")
		}
	}
	if cl.Weekly != "" {
		if a, err := mail.ParseAddress(cl.Weekly); err != nil || a.Address != cl.Weekly {
			c.say(at+".weekly", "is not a mail address; write only that, such as direction@clinique.example.")
		}
	}
	c.policy(at+".policy", &cl.Policy)
	c.staff(at, cl)
	c.dme(at, cl)
	c.webhooks(at+".webhooks", cl.Webhooks)
}

func (c *checker) policy(at string, p *PolicyConfig) {
	c.oneOf(at+".strategy", p.Strategy, string(engine.Adaptive), string(engine.Waves), string(engine.OneByOne))
	c.between(at+".size", p.Size, 1, 100)
	c.lasts(at+".every", p.Every, time.Minute, 24*time.Hour)
	if p.Accept != 0 && !(p.Accept >= .02 && p.Accept <= .5) {
		c.say(at+".accept", "is %v; it can be from 0.02 to 0.5, or 0 when it is not known.", p.Accept)
	}
	c.between(at+".max_asked", p.MaxAsked, 1, 1000)
	c.between(at+".reminders", p.Reminders, 0, 3)
	c.lasts(at+".grace", p.Grace, 0, time.Hour)
	c.lasts(at+".notice", p.Notice, 0, 7*24*time.Hour)
	c.lasts(at+".horizon", p.Horizon, time.Hour, 365*24*time.Hour)
	c.between(at+".week_cap", p.WeekCap, 1, 50)
	c.between(at+".day_cap", p.DayCap, 1, 50)
	c.between(at+".far_cap", p.FarCap, 0, p.WeekCap)
	c.between(at+".chain_depth", p.ChainDepth, 0, 10)
	c.lasts(at+".voice_after", p.VoiceAfter, 10*time.Second, time.Hour)
	c.lasts(at+".voice_reply", p.VoiceReply, 10*time.Second, time.Hour)
	if p.Horizon < p.Notice {
		c.say(at+".horizon", "is shorter than notice; no slot could ever be offered.")
	}
}

func (c *checker) staff(at string, cl *ClinicConfig) {
	ids := map[string]bool{}
	for i, p := range cl.Practitioners {
		setting := fmt.Sprintf("%s.practitioners[%d]", at, i)
		if p.ID == "" || p.Name == "" || p.Specialty == "" {
			c.say(setting, "needs id, name and specialty.")
		}
		for _, lang := range p.Langs {
			c.oneOf(setting+".langs", lang, string(engine.French), string(engine.English))
		}
		if ids["p "+p.ID] {
			c.say(setting, "has the id %q of another one above.", p.ID)
		}
		ids["p "+p.ID] = true
	}
	for i, p := range cl.Places {
		setting := fmt.Sprintf("%s.places[%d]", at, i)
		if p.ID == "" || p.Name == "" {
			c.say(setting, "needs id and name.")
		}
		if ids["l "+p.ID] {
			c.say(setting, "has the id %q of another one above.", p.ID)
		}
		ids["l "+p.ID] = true
		if p.Lat < -90 || p.Lat > 90 || p.Lon < -180 || p.Lon > 180 {
			c.say(setting, "lies nowhere on earth; lat goes from -90 to 90 and lon from -180 to 180.")
		}
	}
}
