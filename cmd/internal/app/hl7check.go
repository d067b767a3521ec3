package app

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"relais/engine"
)

// hl7Listener checks the port, and that messages of two clinics can be told apart.
func (c *checker) hl7Listener(cfg *Config) {
	senders := map[[2]HL7Party]string{}
	for i := range cfg.Clinics {
		h := cfg.Clinics[i].DME.HL7
		if h == nil {
			continue
		}
		if cfg.HL7 == nil {
			c.say("hl7", "is missing; give hl7.addr, where clinic %s's record system sends its messages.", cfg.Clinics[i].ID)
			return
		}
		at := [2]HL7Party{h.Sender, h.Receiver}
		if other, ok := senders[at]; ok {
			c.say("clinics", "%s and %s have the same dme.hl7.sender and receiver; their messages could not be told apart.", other, cfg.Clinics[i].ID)
		}
		senders[at] = cfg.Clinics[i].ID
	}
	if cfg.HL7 == nil {
		return
	}
	l := cfg.HL7
	c.between("hl7.connections", l.Connections, 1, 100_000)
	c.between("hl7.per_host", l.PerHost, 1, 100_000)
	c.pair("hl7", l.CertFile, l.KeyFile)
	c.readable("hl7.client_ca_file", l.ClientCAFile)
	if l.ClientCAFile != "" && l.CertFile == "" {
		c.say("hl7.client_ca_file", "needs cert_file and key_file; only TLS knows certificates.")
	}
	c.mllp("hl7.addr", l.Addr, l.CertFile != "")
}

// mllp checks a host and port of MLLP. Without TLS it is for a private network.
func (c *checker) mllp(setting, addr string, secure bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		c.say(setting, "is %q; write a host and a port, for example 10.0.0.5:2575.", addr)
		return
	}
	if ip, err := netip.ParseAddr(host); !secure && host != "localhost" && (err != nil || !ip.IsPrivate() && !ip.IsLoopback()) {
		c.say(setting, "is not an address of a private network, such as 10.0.0.5; personal data goes over it, so give one or use TLS.")
	}
}

// pair checks a certificate and its key.
func (c *checker) pair(at, cert, key string) {
	if (cert == "") != (key == "") {
		c.say(at+".cert_file", "and %s.key_file go together; give both or neither.", at)
		return
	}
	c.readable(at+".cert_file", cert)
	c.readable(at+".key_file", key)
}

func (c *checker) readable(setting, path string) {
	if path == "" {
		return
	}
	if f, err := os.Open(path); err != nil {
		c.say(setting, "cannot be opened; name a PEM file that relais may read.")
	} else {
		_ = f.Close()
	}
}

func (c *checker) hl7(clinic string, cl *ClinicConfig) {
	h, at := cl.DME.HL7, clinic+".dme.hl7"
	if h.Sender == (HL7Party{}) {
		c.say(at+".sender", "is missing; give the application and facility that the record system puts into MSH-3 and MSH-4.")
	}
	c.oneOf(at+".charset", h.Charset, "UNICODE UTF-8", "8859/1", "8859/15")
	c.oneOf(at+".version", h.Version, "2.3", "2.3.1", "2.4", "2.5", "2.5.1")
	c.lasts(at+".visit", h.Visit, time.Minute, 8*time.Hour)
	c.lasts(at+".answer", h.Answer, time.Second, 25*time.Second)
	if h.QuietAfter != 0 {
		c.lasts(at+".quiet_after", h.QuietAfter, time.Minute, 24*time.Hour)
	}
	if h.SendTo != "" {
		c.mllp(at+".send_to", h.SendTo, h.TLS)
	} else if cl.Mode != string(engine.Shadow) {
		c.say(at+".send_to", "is missing; it is where bookings are sent. Without it, set mode: shadow to only watch.")
	}
	if !h.TLS && (h.CAFile != "" || h.CertFile != "") {
		c.say(at+".tls", "is false, but certificates are given; set it to true.")
	}
	c.pair(at, h.CertFile, h.KeyFile)
	c.readable(at+".ca_file", h.CAFile)
	if len(cl.Practitioners) == 0 {
		c.say(clinic+".practitioners", "is empty; HL7 has no list of who works at a clinic, so name those whose slots Relais fills.")
	}
	if len(cl.Places) == 0 {
		c.say(clinic+".places", "is empty; HL7 has no list of places, so name at least one.")
	}
	for theirs, ours := range h.Practitioners {
		if !slices.ContainsFunc(cl.Practitioners, func(p PractitionerConfig) bool { return p.ID == ours }) {
			c.say(at+".practitioners."+theirs, "is %q, which is no id of %s.practitioners.", ours, clinic)
		}
	}
	for theirs, ours := range h.Places {
		if !slices.ContainsFunc(cl.Places, func(p PlaceConfig) bool { return p.ID == ours }) {
			c.say(at+".places."+theirs, "is %q, which is no id of %s.places.", ours, clinic)
		}
	}
}
