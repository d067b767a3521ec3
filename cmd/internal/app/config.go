package app

import (
	"encoding"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"relais/engine"
)

// Config is everything that an operator decides. docs/configuration.md explains each setting.
type Config struct {
	Addr           string           `yaml:"addr"`            // host:port to listen on
	PublicURL      string           `yaml:"public_url"`      // what patients and carriers reach, without a slash at the end
	Data           string           `yaml:"data"`            // directory of the store
	Retention      Duration         `yaml:"retention"`       // how long finished slots and their offers are kept after the slot's end
	KeyFile        string           `yaml:"key_file"`        // the key that seals personal data; made on first start
	TrustedProxies []netip.Prefix   `yaml:"trusted_proxies"` // whose X-Forwarded-For is believed
	TLS            *TLSConfig       `yaml:"tls"`             // nil: plain HTTP, on this machine or behind trusted_proxies
	Log            LogConfig        `yaml:"log"`
	Account        AccountConfig    `yaml:"account"`
	Limits         LimitsConfig     `yaml:"limits"`
	Backup         BackupConfig     `yaml:"backup"`
	Privacy        PrivacyConfig    `yaml:"privacy"`
	Twilio         *TwilioConfig    `yaml:"twilio"`        // nil: no texts and no calls
	TwilioSecond   *TwilioConfig    `yaml:"twilio_second"` // takes over while the first fails; nil: nobody does
	Mail           *MailConfig      `yaml:"mail"`          // nil: no mail
	OIDC           *OIDCConfig      `yaml:"oidc"`          // nil: no single sign-on
	HL7            *HL7ListenConfig `yaml:"hl7"`           // nil: no clinic's record system speaks HL7 v2
	ClinicsDir     string           `yaml:"clinics_dir"`   // one file a clinic; empty: clinics in data
	Clinics        []ClinicConfig   `yaml:"clinics"`
}

// LogConfig says what is logged and how.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// AccountConfig is the front-desk account made when there is none.
type AccountConfig struct {
	ID       string `yaml:"id"`
	Password Secret `yaml:"password"` // empty: made up and printed once
}

// LimitsConfig bounds what outsiders can use.
type LimitsConfig struct {
	FeedClients int `yaml:"feed_clients"` // browsers connected to the live feed
}

// ClinicConfig is one clinic.
type ClinicConfig struct {
	file    string            // of clinics_dir that it was read from; empty: the main file
	secrets map[string]string // what its file says of each secret, by setting: a reference or what is sealed

	ID            string               `yaml:"id"`
	Name          string               `yaml:"name"`
	Address       string               `yaml:"address"`
	Phone         string               `yaml:"phone"` // E.164, shown to patients
	Zone          string               `yaml:"zone"`
	Lang          string               `yaml:"lang"`
	Mode          string               `yaml:"mode"`
	ShowDoctor    bool                 `yaml:"show_doctor"`
	Join          bool                 `yaml:"join"`     // people may put themselves on the list by a public link
	Identity      string               `yaml:"identity"` // what a patient's link asks first: none, birth_date
	Still         Duration             `yaml:"still"`    // without a sign of life for so long, people are asked whether they are still looking; 0: never
	Weekly        string               `yaml:"weekly"`   // e-mail of who gets the week's figures; empty: nobody
	Contact       string               `yaml:"contact"`  // e-mail of who is told that the record system fails
	Policy        PolicyConfig         `yaml:"policy"`
	Practitioners []PractitionerConfig `yaml:"practitioners"`
	Places        []PlaceConfig        `yaml:"places"`
	DME           DMEConfig            `yaml:"dme"`
	Webhooks      []WebhookConfig      `yaml:"webhooks"` // programs that are told what happens to slots
	// Wording is what the clinic says in its own way: topic, language, part.
	Wording map[string]map[string]map[string]string `yaml:"wording"`
}

// PolicyConfig is engine.Policy as it is written in a file.
type PolicyConfig struct {
	Strategy   string   `yaml:"strategy"`
	Size       int      `yaml:"size"`
	Every      Duration `yaml:"every"`
	Accept     float64  `yaml:"accept"`
	MaxAsked   int      `yaml:"max_asked"`
	Reminders  int      `yaml:"reminders"`
	Grace      Duration `yaml:"grace"`
	Notice     Duration `yaml:"notice"`
	Horizon    Duration `yaml:"horizon"`
	Hours      Hours    `yaml:"hours"`
	DayCap     int      `yaml:"day_cap"`
	WeekCap    int      `yaml:"week_cap"`
	FarCap     int      `yaml:"far_cap"`
	ChainDepth int      `yaml:"chain_depth"`
	Courtesy   bool     `yaml:"courtesy"`
	VoiceAfter Duration `yaml:"voice_after"`
	VoiceReply Duration `yaml:"voice_reply"`
}

// PractitionerConfig names somebody whose time is booked.
type PractitionerConfig struct {
	ID        string   `yaml:"id"`
	Name      string   `yaml:"name"`
	Specialty string   `yaml:"specialty"`
	Langs     []string `yaml:"langs"` // served; empty: any
	Ages      Ages     `yaml:"ages"`  // of the patients seen, for example 0-17; empty: any
}

// PlaceConfig names a place of care.
type PlaceConfig struct {
	ID      string  `yaml:"id"`
	Name    string  `yaml:"name"`
	Address string  `yaml:"address"`
	Lat     float64 `yaml:"lat"`
	Lon     float64 `yaml:"lon"`
}

// DefaultConfig returns the settings of an operator who decided nothing.
func DefaultConfig() Config {
	return Config{
		Addr:      "localhost:8080",
		Data:      "data",
		Retention: Duration(90 * 24 * time.Hour),
		Log:       LogConfig{Level: "info", Format: "text"},
		Account:   AccountConfig{ID: "desk"},
		Limits:    LimitsConfig{FeedClients: 2000},
		Backup:    BackupConfig{Every: Duration(24 * time.Hour), Keep: 14},
		Privacy:   PrivacyConfig{Patients: Duration(730 * 24 * time.Hour), Timelines: Duration(365 * 24 * time.Hour), Replies: Duration(90 * 24 * time.Hour)},
	}
}

// defaulter is a part of the configuration that lists or optional parts create.
type defaulter interface{ setDefaults() }

func (c *ClinicConfig) setDefaults() {
	p := engine.DefaultPolicy()
	*c = ClinicConfig{
		Zone: "America/Toronto", Lang: string(engine.French), Mode: string(engine.Automatic),
		Identity: identityNone, Still: Duration(60 * 24 * time.Hour),
		Policy: PolicyConfig{
			Strategy: string(p.Strategy), Size: p.Size, Every: Duration(p.Every), Accept: p.Accept, MaxAsked: p.MaxAsked,
			Reminders: p.Reminders, Grace: Duration(p.Grace), Notice: Duration(p.Notice),
			Horizon: Duration(p.Horizon), Hours: Hours(p.Hours), DayCap: p.DayCap, WeekCap: p.WeekCap, FarCap: p.FarCap,
			ChainDepth: p.ChainDepth, Courtesy: p.Courtesy,
			VoiceAfter: Duration(p.VoiceAfter), VoiceReply: Duration(p.VoiceReply),
		},
	}
}

// What a patient's link may ask before it shows anything.
const (
	identityNone  = "none"
	identityBirth = "birth_date"
)

// Clinic returns the clinic as the rest of Relais knows it.
func (c *ClinicConfig) Clinic() engine.Clinic {
	clinic := engine.Clinic{
		ID: engine.ClinicID(c.ID), Name: c.Name, Address: c.Address, Phone: c.Phone, Zone: c.Zone,
		Lang: engine.Lang(c.Lang), Mode: engine.Mode(c.Mode), ShowDoctor: c.ShowDoctor,
		Join: c.Join, Identity: c.Identity == identityBirth, Still: time.Duration(c.Still),
		Weekly: engine.Email(c.Weekly), Policy: c.Policy.Policy(),
	}
	for _, p := range c.Practitioners {
		clinic.Practitioners = append(clinic.Practitioners, engine.Practitioner{
			ID: engine.PractitionerID(p.ID), Name: p.Name, Specialty: engine.Specialty(p.Specialty), Ages: p.Ages.Ages,
		})
		for _, lang := range p.Langs {
			last := &clinic.Practitioners[len(clinic.Practitioners)-1]
			last.Langs = append(last.Langs, engine.Lang(lang))
		}
	}
	for _, p := range c.Places {
		clinic.Places = append(clinic.Places, engine.Place{
			ID: engine.PlaceID(p.ID), Name: p.Name, Address: p.Address,
			Point: engine.Point{Lat: p.Lat, Lon: p.Lon},
		})
	}
	for topic, langs := range c.Wording {
		for lang, parts := range langs {
			if clinic.Wording == nil {
				clinic.Wording = engine.Wording{}
			}
			if clinic.Wording[topic] == nil {
				clinic.Wording[topic] = map[engine.Lang]map[string]string{}
			}
			clinic.Wording[topic][engine.Lang(lang)] = parts
		}
	}
	return clinic
}

// Policy returns the policy as the rules know it.
func (p *PolicyConfig) Policy() engine.Policy {
	return engine.Policy{
		Strategy: engine.Strategy(p.Strategy), Size: p.Size, Every: time.Duration(p.Every),
		Accept: p.Accept, MaxAsked: p.MaxAsked, Reminders: p.Reminders, Grace: time.Duration(p.Grace),
		Notice: time.Duration(p.Notice), Horizon: time.Duration(p.Horizon), Hours: engine.Hours(p.Hours),
		DayCap: p.DayCap, WeekCap: p.WeekCap, FarCap: p.FarCap, ChainDepth: p.ChainDepth, Courtesy: p.Courtesy,
		VoiceAfter: time.Duration(p.VoiceAfter), VoiceReply: time.Duration(p.VoiceReply),
	}
}

var (
	_ encoding.TextUnmarshaler = (*Duration)(nil)
	_ encoding.TextUnmarshaler = (*Hours)(nil)
	_ encoding.TextUnmarshaler = (*Ages)(nil)
)

// Duration is a time.Duration that a file may also give in days: "90s", "10m", "60d".
type Duration time.Duration

// UnmarshalText reads a duration. Its error is the end of a sentence.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 3650 {
			*d = Duration(time.Duration(n) * 24 * time.Hour)
			return nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration; write a number with a unit, for example 90s, 10m, 2h or 60d", s)
	}
	*d = Duration(v)
	return nil
}

// Hours is engine.Hours written as "08:00-21:00".
type Hours engine.Hours

// UnmarshalText reads hours. Its error is the end of a sentence.
func (h *Hours) UnmarshalText(text []byte) error {
	from, until, ok := strings.Cut(string(text), "-")
	f, okFrom := minutes(strings.TrimSpace(from))
	u, okUntil := minutes(strings.TrimSpace(until))
	if !ok || !okFrom || !okUntil || f >= u {
		return fmt.Errorf("%q is not a time of day; write it as 08:00-21:00, the earlier hour first", text)
	}
	*h = Hours{From: f, Until: u}
	return nil
}

// Ages is engine.Ages written as "0-17", or as "65-" without an upper limit.
type Ages struct{ *engine.Ages }

// UnmarshalText reads ages. Its error is the end of a sentence.
func (a *Ages) UnmarshalText(text []byte) error {
	const oldest = 150
	low, high, ok := strings.Cut(strings.TrimSpace(string(text)), "-")
	from, err := strconv.Atoi(strings.TrimSpace(low))
	until := oldest
	if high = strings.TrimSpace(high); high != "" && err == nil {
		until, err = strconv.Atoi(high)
	}
	if !ok || err != nil || from < 0 || until < from || until > oldest {
		return fmt.Errorf("%q is not a range of years; write it as 0-17, 18-64 or 65-", text)
	}
	a.Ages = &engine.Ages{From: from, Until: until}
	return nil
}

// minutes reads "08:30" as minutes from midnight; "24:00" is the end of the day.
func minutes(s string) (int, bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil
}
