package app

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/engine/health"
	"relais/transport/twilio"
)

// openChannels makes the clients of the carriers; a channel without one fails at once.
func (p *program) openChannels(opt *actors.Options) error {
	opt.Senders = map[engine.Channel]actors.Sender{
		engine.SMS: notConfigured{}, engine.Voice: notConfigured{}, engine.EmailMail: notConfigured{},
	}
	opt.Caller = notConfigured{}
	opt.Invite = func(engine.BookingID, engine.Clinic, engine.Lang, time.Time, time.Time) []byte { return nil }
	if t := p.cfg.Twilio; t != nil {
		texts, err := twilio.New(twilio.Config{
			AccountSID: t.AccountSID, AuthToken: string(t.AuthToken), From: t.From, MessagingService: t.MessagingService,
			BaseURL: t.BaseURL, PublicBase: p.cfg.PublicURL,
			Limits: twilio.Limits{SegmentsPerSecond: float64(t.TextsPerSecond), CallsPerSecond: float64(t.CallsPerSecond)},
		})
		if err != nil {
			return err
		}
		p.texts = texts
		p.closers = append(p.closers, texts.Close)
		opt.Senders[engine.SMS], opt.Senders[engine.Voice], opt.Caller = texts, texts, texts
	}
	if m := p.cfg.Mail; m != nil {
		if err := p.openMail(m, opt); err != nil {
			return err
		}
	}
	return nil
}

// mountChannels takes what the carriers send.
func (p *program) mountChannels() error {
	if p.texts == nil {
		return nil
	}
	hooks, err := twilio.Hooks(twilio.HooksConfig{
		AuthToken: string(p.cfg.Twilio.AuthToken), PublicBase: p.cfg.PublicURL, Client: p.texts,
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
	i := slices.IndexFunc(p.cfg.Clinics, func(c ClinicConfig) bool { return c.ID == string(id) })
	if i < 0 || p.mail == nil || p.cfg.Clinics[i].Contact == "" {
		return
	}
	c := p.cfg.Clinics[i]
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

// notConfigured is a channel without an account: it fails at once, so that others are tried.
type notConfigured struct{}

func (notConfigured) Send(context.Context, engine.Message) engine.Outcome {
	return engine.Outcome{Status: engine.Failed, Reason: engine.AccountFault, Detail: "this channel is not configured"}
}

func (notConfigured) Abort(context.Context, string, engine.Lang, string) error { return nil }
