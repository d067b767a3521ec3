package app

import (
	"net/mail"
	"os"
)

func (c *checker) twilio(t *TwilioConfig) {
	if !account.MatchString(t.AccountSID) {
		c.say("twilio.account_sid", "must be AC and 32 characters of 0-9 and a-f, from the first page of Twilio's console.")
	}
	if t.AuthToken == "" {
		c.say("twilio.auth_token", "is missing; it signs what Twilio sends us, so nothing works without it.")
	}
	if t.From == "" {
		c.say("twilio.from", "is missing; it is the number that calls come from, for example +15145550100.")
	} else if !e164.MatchString(t.From) {
		c.say("twilio.from", phoneHelp)
	}
	if t.MessagingService != "" && !messaging.MatchString(t.MessagingService) {
		c.say("twilio.messaging_service", "must be MG and 32 characters of 0-9 and a-f.")
	}
	if t.BaseURL != "" {
		c.url("twilio.base_url", t.BaseURL)
	}
	c.between("twilio.texts_per_second", t.TextsPerSecond, 1, 10_000)
	c.between("twilio.calls_per_second", t.CallsPerSecond, 1, 1000)
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
	if m.CAFile != "" {
		if _, err := os.Stat(m.CAFile); err != nil {
			c.say("mail.ca_file", "cannot be opened; name a PEM file that relais may read.")
		}
	}
}
