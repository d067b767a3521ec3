package app

import "time"

// DMEConfig is the clinic's record system: exactly one of its fields is set.
type DMEConfig struct {
	FHIR *FHIRConfig `yaml:"fhir"`
	HL7  *HL7Config  `yaml:"hl7"`
}

// pollEvery is the time between looks; 0: the default of the actors.
func (d DMEConfig) pollEvery() time.Duration {
	if d.FHIR != nil {
		return time.Duration(d.FHIR.PollEvery)
	}
	return 0
}

// FHIRConfig is a FHIR R4 server. At most one of Token, Basic and Smart signs in.
type FHIRConfig struct {
	BaseURL        string            `yaml:"base_url"`
	Token          Secret            `yaml:"token"` // bearer
	Basic          *BasicConfig      `yaml:"basic"`
	Smart          *SmartConfig      `yaml:"smart"`
	TLS            DMETLSConfig      `yaml:"tls"`
	HookSecret     Secret            `yaml:"hook_secret"` // empty: no subscription, polling only
	Topics         []string          `yaml:"topics"`      // canonical addresses to subscribe to; empty: R4 criteria
	PollEvery      Duration          `yaml:"poll_every"`
	NoTransactions bool              `yaml:"no_transactions"`
	Specialties    map[string]string `yaml:"specialties"` // the server's code to ours; missing: taken as it is
}

func (f *FHIRConfig) setDefaults() { *f = FHIRConfig{PollEvery: Duration(2 * time.Second)} }

// BasicConfig signs in with a user and a password, at test systems.
type BasicConfig struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
}

// SmartConfig signs in with SMART Backend Services.
type SmartConfig struct {
	ClientID string `yaml:"client_id"`
	Key      Secret `yaml:"key"`       // PEM or JWK
	KeyID    string `yaml:"key_id"`    // empty: the JWK's, or its thumbprint
	TokenURL string `yaml:"token_url"` // empty: asked of the server
	Scope    string `yaml:"scope"`     // empty: what Relais needs
}

// DMETLSConfig is whom to trust and, for mutual TLS, who we are. The files are PEM.
type DMETLSConfig struct {
	CAFile   string `yaml:"ca_file"` // empty: the machine's authorities
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}
