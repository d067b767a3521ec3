package app

import "time"

// HL7ListenConfig is the port where record systems that speak HL7 v2 send their messages (MLLP).
type HL7ListenConfig struct {
	Addr         string `yaml:"addr"`           // host:port; without TLS the host is a private address
	CertFile     string `yaml:"cert_file"`      // PEM; empty: no TLS
	KeyFile      string `yaml:"key_file"`       // PEM
	ClientCAFile string `yaml:"client_ca_file"` // PEM; not empty: senders must show a certificate of it
	Connections  int    `yaml:"connections"`    // at a time
	PerHost      int    `yaml:"per_host"`       // of one address
}

func (h *HL7ListenConfig) setDefaults() {
	*h = HL7ListenConfig{Addr: "127.0.0.1:2575", Connections: 2048, PerHost: 64}
}

// HL7Config is a record system that speaks HL7 v2.
type HL7Config struct {
	Sender        HL7Party          `yaml:"sender"`        // MSH-3 and 4 of what it sends
	Receiver      HL7Party          `yaml:"receiver"`      // MSH-5 and 6 of what it sends: Relais
	Peer          string            `yaml:"peer"`          // a name that its certificate must have; empty: any
	SendTo        string            `yaml:"send_to"`       // host:port that takes bookings
	TLS           bool              `yaml:"tls"`           // to send_to
	CAFile        string            `yaml:"ca_file"`       // empty: the machine's
	CertFile      string            `yaml:"cert_file"`     // ours, when it asks for one
	KeyFile       string            `yaml:"key_file"`      //
	Charset       string            `yaml:"charset"`       // of messages without MSH-18, and of ours
	Version       string            `yaml:"version"`       // MSH-12 of ours
	Practitioners map[string]string `yaml:"practitioners"` // its identifier to ours; missing: taken as it is
	Places        map[string]string `yaml:"places"`        // its identifier to ours; missing: taken as it is
	Service       string            `yaml:"service"`       // AIS-3 of bookings; empty: no AIS
	Visit         Duration          `yaml:"visit"`         // where a message does not say how long
	AcceptAck     bool              `yaml:"accept_ack"`    // a plain AA accepts a booking
	Answer        Duration          `yaml:"answer"`        // how long a request waits
	QuietAfter    Duration          `yaml:"quiet_after"`   // 0: silence is no fault
	Open          Hours             `yaml:"open"`          // when quiet_after counts; not given: always
}

// HL7Party is an application and its facility.
type HL7Party struct {
	Application string `yaml:"application"`
	Facility    string `yaml:"facility"`
}

func (h *HL7Config) setDefaults() {
	*h = HL7Config{
		Charset: "UNICODE UTF-8", Version: "2.5.1", Visit: Duration(15 * time.Minute), Answer: Duration(10 * time.Second),
		Receiver: HL7Party{Application: "RELAIS"},
	}
}
