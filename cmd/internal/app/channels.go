package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/engine/health"
	"relais/transport/carrier"
	"relais/transport/mail"
	"relais/transport/twilio"
)

// openChannels makes the clients of the carriers; a channel without one fails at once.
func (p *program) openChannels(opt *actors.Options) error {
	opt.Senders = map[engine.Channel]actors.Sender{
		engine.SMS: notConfigured{}, engine.Voice: notConfigured{}, engine.EmailMail: notConfigured{},
	}
	opt.Caller = notConfigured{}
	organizer := "relais@localhost"
	if u, err := url.Parse(p.cfg.PublicURL); err == nil && u.Hostname() != "" {
		organizer = "relais@" + u.Hostname()
	}
	opt.Invite = func(b engine.BookingID, c engine.Clinic, l engine.Lang, start, end time.Time) []byte {
		return mail.CalendarFile(organizer, b, c, l, start, end) // of a page; without mail
	}
	accounts, err := p.openTwilio()
	if err != nil {
		return err
	}
	if len(accounts) > 0 {
		p.phones = carrier.New(accounts...)
		p.metrics.watchCarriers(p.phones.Stats)
		opt.Senders[engine.SMS], opt.Senders[engine.Voice], opt.Caller = p.phones, p.phones, p.phones
	}
	if m := p.cfg.Mail; m != nil {
		if err := p.openMail(m, opt); err != nil {
			return err
		}
	}
	return nil
}

// twilios are the configured accounts, first things first.
func (cfg *Config) twilios() []namedTwilio {
	var out []namedTwilio
	for _, t := range []namedTwilio{{"twilio", cfg.Twilio}, {"twilio_second", cfg.TwilioSecond}} {
		if t.TwilioConfig != nil {
			out = append(out, t)
		}
	}
	return out
}

// namedTwilio is an account with the name that its setting and its metrics have.
type namedTwilio struct {
	name string
	*TwilioConfig
}

func (t namedTwilio) client(publicURL string) (*twilio.Client, error) {
	return twilio.New(twilio.Config{
		AccountSID: t.AccountSID, AuthToken: string(t.AuthToken), KeySID: t.KeySID, KeySecret: string(t.KeySecret),
		From: t.From, MessagingService: t.MessagingService, BaseURL: t.BaseURL, PublicBase: publicURL,
	})
}

// openTwilio makes the clients of the telephone accounts, and remembers them for their webhooks.
func (p *program) openTwilio() ([]carrier.Account, error) {
	var accounts []carrier.Account
	for _, t := range p.cfg.twilios() {
		client, err := t.client(p.cfg.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		p.closers = append(p.closers, client.Close)
		p.hooked = append(p.hooked, twilio.HooksAccount{Name: t.name, AuthToken: string(t.AuthToken), Client: client})
		accounts = append(accounts, carrier.Account{
			Name: t.name, Line: client, SegmentsPerSecond: float64(t.TextsPerSecond), CallsPerSecond: float64(t.CallsPerSecond),
		})
	}
	return accounts, nil
}

// mountChannels takes what the carriers send.
func (p *program) mountChannels() error {
	if len(p.hooked) == 0 {
		return nil
	}
	hooks, err := twilio.Hooks(twilio.HooksConfig{
		Accounts: p.hooked, PublicBase: p.cfg.PublicURL, Bounced: p.phones.Bounced,
		Took:     func(hook string, d time.Duration) { p.metrics.webhooks.WithLabelValues(hook).Observe(d.Seconds()) },
		Rejected: func() { p.metrics.refused.WithLabelValues("twilio").Inc() }, Log: p.log,
	}, p.relais)
	if err != nil {
		return err
	}
	p.web.Mount("/hooks/twilio/", hooks)
	return nil
}

// alarm tells a clinic's technical contact that its record system cannot be trusted, or can again.
func (p *program) alarm(id engine.ClinicID, before, now health.Status) {
	s := p.sites.get(id)
	if s == nil || p.mail == nil || s.cfg.Contact == "" {
		return
	}
	c := s.cfg
	m := engine.Message{
		Channel: engine.EmailMail, Clinic: id, Lang: engine.Lang(c.Lang), Email: engine.Email(c.Contact),
		Attempt: engine.AttemptID("alarm-" + strings.ToLower(rand.Text())),
	}
	m.Subject, m.Text = alarmText(c, before, now, p.cfg.PublicURL)
	if m.Text == "" {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if o := p.mail.Send(ctx, m); o.Status != engine.Accepted {
			p.log.Warn("the technical contact could not be told", "clinic", c.ID, "reason", string(o.Reason))
		}
	}()
}

// alarmText is what the technical contact reads; "" when there is nothing to say.
func alarmText(c ClinicConfig, before, now health.Status, page string) (subject, text string) {
	french := c.Lang == string(engine.French)
	switch {
	case now == health.Suspended && french:
		return c.Name + " : Relais est suspendu",
			"Le dossier médical électronique de la clinique ne répond pas comme il le devrait. Relais n’envoie plus rien aux patients jusqu’à ce qu’il réponde de nouveau.\n\nDétails : " + page + "\n"
	case now == health.Suspended:
		return c.Name + ": Relais is suspended",
			"The clinic's record system does not answer as it should. Relais sends nothing to patients until it does again.\n\nDetails: " + page + "\n"
	case now == health.Healthy && before == health.Checking && french:
		return c.Name + " : Relais a repris", "Le dossier médical électronique répond de nouveau et les plages ouvertes ont été vérifiées. Relais a repris.\n"
	case now == health.Healthy && before == health.Checking:
		return c.Name + ": Relais works again", "The record system answers again and the open slots were checked. Relais works again.\n"
	}
	return "", ""
}

// links makes the addresses that stand in messages.
type links string

func (l links) Offer(token string) string { return string(l) + "/o/" + token }

func (l links) Leave(token string) string { return string(l) + "/o/" + token + "/leave" }

func (l links) Own(token string) string { return string(l) + "/p/" + token }

func (l links) Stop(token string) string { return string(l) + "/p/" + token + "/stop" }

func (l links) Prove(token string) string { return string(l) + "/c/" + token }

// notConfigured is a channel without an account: it fails at once, so that others are tried.
type notConfigured struct{}

func (notConfigured) Send(context.Context, engine.Message) engine.Outcome {
	return engine.Outcome{Status: engine.Failed, Reason: engine.AccountFault, Detail: "this channel is not configured"}
}

func (notConfigured) Abort(context.Context, string, engine.Lang, string) error { return nil }
