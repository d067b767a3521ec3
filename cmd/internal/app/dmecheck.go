package app

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// dme checks the record system of a clinic: exactly one is given.
func (c *checker) dme(at string, cl *ClinicConfig) {
	switch d := cl.DME; {
	case d.FHIR == nil && d.HL7 == nil:
		c.say(at+".dme", "is missing; give dme.fhir.base_url, the address of the clinic's FHIR server, or dme.hl7.")
	case d.FHIR != nil && d.HL7 != nil:
		c.say(at+".dme", "gives both fhir and hl7; a clinic has one record system.")
	case d.FHIR != nil:
		c.fhir(at+".dme.fhir", d.FHIR)
	default:
		c.hl7(at, cl)
	}
}

func (c *checker) fhir(at string, f *FHIRConfig) {
	if f.BaseURL == "" {
		c.say(at+".base_url", "is missing; it is the address of the clinic's FHIR server.")
	} else {
		c.url(at+".base_url", f.BaseURL)
	}
	f.BaseURL = strings.TrimRight(f.BaseURL, "/")
	if n := len(f.HookSecret); n > 0 && n < 16 {
		c.say(at+".hook_secret", "is shorter than 16 characters; anybody who guesses it can make Relais look again and again.")
	}
	c.lasts(at+".poll_every", f.PollEvery, time.Second, 10*time.Minute)
	if len(f.Topics) > maxTopics {
		c.say(at+".topics", "has more than %d; name those of slots and appointments only.", maxTopics)
	}
	for i, topic := range f.Topics {
		if u, err := url.Parse(topic); err != nil || !u.IsAbs() {
			c.say(fmt.Sprintf("%s.topics[%d]", at, i), "is no canonical address; it is like https://dme.example/SubscriptionTopic/slots.")
		}
	}
	c.fhirSignIn(at, f)
	if (f.TLS.CertFile == "") != (f.TLS.KeyFile == "") {
		c.say(at+".tls", "needs both cert_file and key_file, or neither.")
	} else if _, err := f.TLS.certificate(); err != nil {
		c.say(at+".tls.cert_file", "cannot be used together with key_file; name a PEM certificate and its key, both readable by relais.")
	}
	if _, err := f.TLS.authorities(); err != nil {
		c.say(at+".tls.ca_file", "cannot be used; name a PEM file of certificates that relais may read.")
	}
}

// maxTopics bounds the topics of a clinic.
const maxTopics = 10

func (c *checker) fhirSignIn(at string, f *FHIRConfig) {
	ways := 0
	for _, set := range []bool{f.Token != "", f.Basic != nil, f.Smart != nil} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		c.say(at, "has more than one way to sign in; keep one of token, basic and smart.")
	}
	if b := f.Basic; b != nil && (b.User == "" || b.Password == "") {
		c.say(at+".basic", "needs user and password.")
	}
	s := f.Smart
	if s == nil {
		return
	}
	if s.ClientID == "" {
		c.say(at+".smart.client_id", "is missing; the record system's administrator gives it out.")
	}
	if s.Key == "" {
		c.say(at+".smart.key", "is missing; it is the private key, as file:/path, RSA or elliptic on P-384.")
	}
	if s.TokenURL != "" {
		c.url(at+".smart.token_url", s.TokenURL)
	}
	if s.ClientID == "" || s.Key == "" {
		return
	}
	if _, err := f.signIn(); err != nil {
		c.say(at+".smart", "cannot be used: %s.", strings.TrimPrefix(err.Error(), "fhir: "))
	}
}
