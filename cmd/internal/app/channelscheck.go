package app

import (
	"net"
	"net/mail"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// domain is a name of the DNS in small letters.
var domain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c *checker) twilio(at string, t *TwilioConfig) {
	if !account.MatchString(t.AccountSID) {
		c.say(at+".account_sid", "must be AC and 32 characters of 0-9 and a-f, from the first page of Twilio's console.")
	}
	if t.AuthToken == "" {
		c.say(at+".auth_token", "is missing; it signs what Twilio sends us, so nothing works without it.")
	}
	if (t.KeySID == "") != (t.KeySecret == "") && !c.spoken(at+".key_secret") {
		c.say(at+".key_sid", "and key_secret go together; give both, or neither to sign in with the auth token.")
	} else if t.KeySID != "" && !apiKey.MatchString(t.KeySID) {
		c.say(at+".key_sid", "must be SK and 32 characters of 0-9 and a-f, from the API keys in Twilio's console.")
	}
	if t.From == "" {
		c.say(at+".from", "is missing; it is the number that calls come from, for example +15145550100.")
	} else if !e164.MatchString(t.From) {
		c.say(at+".from", phoneHelp)
	}
	if t.MessagingService != "" && !messaging.MatchString(t.MessagingService) {
		c.say(at+".messaging_service", "must be MG and 32 characters of 0-9 and a-f.")
	}
	if t.BaseURL != "" {
		c.url(at+".base_url", t.BaseURL)
	}
	c.between(at+".texts_per_second", t.TextsPerSecond, 1, 10_000)
	c.between(at+".calls_per_second", t.CallsPerSecond, 1, 1000)
}

// twilioSecond checks the account for fail-over.
func (c *checker) twilioSecond(first, second *TwilioConfig) {
	c.twilio("twilio_second", second)
	switch {
	case first == nil:
		c.say("twilio_second", "takes over from twilio, which is missing; call it twilio.")
	case first.AccountSID == second.AccountSID:
		c.say("twilio_second.account_sid", "is the first account's; another one is needed where the first fails.")
	}
}

func (c *checker) mail(m *MailConfig) {
	if m.Host == "" {
		c.say("mail.host", "is missing; name the mail server, for example smtp.example.org.")
	}
	c.between("mail.port", m.Port, 1, 65535)
	c.oneOf("mail.tls", m.TLS, "starttls", "tls", "none")
	if m.TLS == "none" && m.Host != "" && !isLoopback(m.Host) {
		c.say("mail.tls", "may be none only for a server on this machine; personal data goes over it.")
	}
	if m.From == "" {
		c.say("mail.from", "is missing; it is the sender that patients see, for example Clinic <rdv@example.org>.")
	} else if _, err := mail.ParseAddress(m.From); err != nil {
		c.say("mail.from", "is not a mail address; write for example Clinic <rdv@example.org>.")
	}
	if (m.Username == "") != (m.Password == "") && !c.spoken("mail.password") {
		c.say("mail.username", "and mail.password go together; give both or neither.")
	}
	c.pemFile("mail.ca_file", m.CAFile)
	if m.DKIM != nil {
		c.dkim(m.DKIM)
	}
	if m.Inbound != nil {
		c.inbound(m.Inbound)
	}
}

func (c *checker) pemFile(setting, name string) {
	if name == "" {
		return
	}
	if _, err := os.Stat(name); err != nil {
		c.say(setting, "cannot be opened; name a PEM file that relais may read.")
	}
}

func (c *checker) dkim(d *DKIMConfig) {
	if !domain.MatchString(d.Domain) {
		c.say("mail.dkim.domain", "is not a domain; write the one of mail.from, for example example.org.")
	}
	if !domain.MatchString(d.Selector) {
		c.say("mail.dkim.selector", "is not a selector; write the name before ._domainkey in the DNS, for example relais2026.")
	}
	if d.KeyFile == "" {
		c.say("mail.dkim.key_file", "is missing; name the PEM file of the private key.")
	}
	c.pemFile("mail.dkim.key_file", d.KeyFile)
}

func (c *checker) inbound(i *InboundConfig) {
	host, port, err := net.SplitHostPort(i.Addr)
	if n, e := strconv.Atoi(port); err != nil || e != nil || n < 0 || n > 65535 {
		c.say("mail.inbound.addr", "is %q; write a host and a port, for example :2525.", i.Addr)
	}
	if !domain.MatchString(i.Domain) || !strings.Contains(i.Domain, ".") {
		c.say("mail.inbound.domain", "is not a domain; write the one whose mail comes to mail.inbound.addr, for example reponses.example.org.")
	}
	if len(i.Secret) < 16 {
		c.say("mail.inbound.secret", "is shorter than 16 characters; it signs the addresses that bounces and replies go to.")
	}
	if (i.CertFile == "") != (i.KeyFile == "") {
		c.say("mail.inbound.cert_file", "and mail.inbound.key_file go together; give both or neither.")
	}
	if i.CertFile == "" && err == nil && !isLoopback(host) {
		c.say("mail.inbound.cert_file", "is missing; without a certificate mail.inbound.addr can only be of this machine, for example localhost:2525.")
	}
	c.pemFile("mail.inbound.cert_file", i.CertFile)
	c.pemFile("mail.inbound.key_file", i.KeyFile)
}
