package app

// TwilioConfig is an account for texts and calls.
type TwilioConfig struct {
	AccountSID       string `yaml:"account_sid"`
	AuthToken        Secret `yaml:"auth_token"` // signs webhooks, and signs in where there is no key
	KeySID           string `yaml:"key_sid"`    // "SK...", an API key to sign in with; or empty
	KeySecret        Secret `yaml:"key_secret"`
	From             string `yaml:"from"`              // E.164; needed for calls
	MessagingService string `yaml:"messaging_service"` // "MG..."; texts leave from its numbers
	BaseURL          string `yaml:"base_url"`          // empty: Twilio's own
	TextsPerSecond   int    `yaml:"texts_per_second"`  // segments that the number or service may send
	CallsPerSecond   int    `yaml:"calls_per_second"`
}

// MailConfig is a mail server to hand mail to.
type MailConfig struct {
	Host     string `yaml:"host"`
	Port     int    `yaml:"port"`
	Username string `yaml:"username"` // empty: no sign-in
	Password Secret `yaml:"password"`
	From     string `yaml:"from"`    // "Clinic <rdv@example.org>"
	TLS      string `yaml:"tls"`     // starttls, tls, none
	CAFile   string `yaml:"ca_file"` // empty: the machine's

	DKIM    *DKIMConfig    `yaml:"dkim"`    // nil: the server signs, or nobody
	Inbound *InboundConfig `yaml:"inbound"` // nil: bounces and replies go to From
}

// DKIMConfig is what mail is signed with.
type DKIMConfig struct {
	Domain   string `yaml:"domain"`
	Selector string `yaml:"selector"`
	KeyFile  string `yaml:"key_file"` // PEM
}

// InboundConfig is where bounces and replies come in.
type InboundConfig struct {
	Addr     string `yaml:"addr"`
	Domain   string `yaml:"domain"`
	Secret   Secret `yaml:"secret"`    // signs the addresses
	CertFile string `yaml:"cert_file"` // PEM, of STARTTLS; empty: in the clear, on this machine only
	KeyFile  string `yaml:"key_file"`
}

func (t *TwilioConfig) setDefaults() { *t = TwilioConfig{TextsPerSecond: 1, CallsPerSecond: 1} }

func (m *MailConfig) setDefaults() { *m = MailConfig{Port: 587, TLS: "starttls"} }
