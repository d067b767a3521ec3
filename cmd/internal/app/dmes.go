package app

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/transport/fhir"
)

// recordSystem is what the program asks of the client of a clinic's record system, whatever it speaks.
type recordSystem interface {
	actors.DME
	actors.Describer
	// Check tries everything that is asked of the record system, and tells step how each part went.
	Check(ctx context.Context, dryRun bool, step func(engine.CheckStep))
	Close()
}

// connectAll makes the clients of the clinics' record systems.
func (p *program) connectAll(ctx context.Context, opt *actors.Options) error {
	opt.DMEs, opt.Poll = map[engine.ClinicID]actors.DME{}, map[engine.ClinicID]time.Duration{}
	for i := range p.cfg.Clinics {
		c := &p.cfg.Clinics[i]
		s, err := p.newSite(ctx, c)
		if err != nil {
			return fmt.Errorf("clinic %s: %w", c.ID, err)
		}
		p.sites.put(s)
		opt.Clinics = append(opt.Clinics, s.clinic)
		opt.DMEs[s.clinic.ID] = s.dme
		opt.Poll[s.clinic.ID] = c.DME.pollEvery()
	}
	return nil
}

// mountDMEs takes what the record systems push.
func (p *program) mountDMEs() {
	told := func(c engine.ClinicID, missed bool) {
		if s := p.sites.get(c); s != nil {
			if client, ok := s.dme.(*fhir.Client); ok && missed {
				client.Missed()
			}
		}
		p.relais.Nudge(c)
	}
	p.web.Mount("/hooks/fhir/{clinic}", fhir.HookHandler(
		func(c engine.ClinicID) string {
			if s := p.sites.get(c); s != nil && s.cfg.DME.FHIR != nil {
				return string(s.cfg.DME.FHIR.HookSecret)
			}
			return ""
		}, told,
		func(engine.ClinicID) { p.metrics.refused.WithLabelValues("fhir").Inc() }))
}

// subscribeAll asks the record systems to push; it works until ctx ends.
func (p *program) subscribeAll(ctx context.Context) {
	p.life = ctx
	for _, s := range p.sites.all() {
		p.subscribeTo(s)
	}
}

// discoverWithin bounds the wait for a record system at start; it is asked only for what the
// configuration does not say.
const discoverWithin = 5 * time.Second

// connect makes a clinic and the client of its record system.
func (p *program) connect(ctx context.Context, c *ClinicConfig) (engine.Clinic, recordSystem, error) {
	clinic := c.Clinic()
	clinic.Phone = nationalNumber(clinic.Phone)
	if c.DME.HL7 != nil {
		return p.connectHL7(ctx, clinic, c.DME.HL7)
	}
	return p.connectFHIR(ctx, clinic, c.DME.FHIR)
}

func (p *program) connectFHIR(ctx context.Context, clinic engine.Clinic, f *FHIRConfig) (engine.Clinic, recordSystem, error) {
	specialties := map[string]engine.Specialty{}
	for theirs, ours := range f.Specialties {
		specialties[theirs] = engine.Specialty(ours)
	}
	signIn, err := f.signIn()
	if err != nil {
		return clinic, nil, err
	}
	authorities, err := f.TLS.authorities()
	if err != nil {
		return clinic, nil, err
	}
	certificate, err := f.TLS.certificate()
	if err != nil {
		return clinic, nil, err
	}
	endpoint := ""
	if f.HookSecret != "" {
		endpoint = p.hookOf(clinic.ID)
	}
	client, err := fhir.New(fhir.Config{
		Endpoint: endpoint, Secret: string(f.HookSecret), Clinic: clinic.ID, BaseURL: f.BaseURL, Specialties: specialties, Log: p.log,
		SignIn: signIn, CA: authorities, ClientCertificate: certificate, Topics: f.Topics, NoTransactions: f.NoTransactions,
	})
	if err != nil {
		return clinic, nil, err
	}
	p.discover(ctx, &clinic, &site{clinic: clinic, dme: client})
	return clinic, client, nil
}

// discover asks the record system who works where, when the configuration does not say. When it does not
// answer, what the site knew before counts.
func (p *program) discover(ctx context.Context, clinic *engine.Clinic, s *site) {
	client, ok := s.dme.(*fhir.Client)
	if !ok || len(clinic.Practitioners) > 0 && len(clinic.Places) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, discoverWithin)
	defer cancel()
	dir, err := client.Discover(ctx)
	if err != nil {
		p.log.Warn("the record system does not say who works where; name practitioners and places in the configuration, or read it again when it answers",
			"clinic", clinic.ID, "error", err)
		dir.Practitioners, dir.Places = s.clinic.Practitioners, s.clinic.Places
	}
	if len(clinic.Practitioners) == 0 {
		clinic.Practitioners = dir.Practitioners
	}
	if len(clinic.Places) == 0 {
		clinic.Places = dir.Places
	}
}

// subscribeEvery is how often a subscription is looked after: servers switch them off when they
// could not deliver.
const subscribeEvery = 5 * time.Minute

// hookOf is where a clinic's record system posts its notifications.
func (p *program) hookOf(c engine.ClinicID) string {
	return p.cfg.PublicURL + "/hooks/fhir/" + url.PathEscape(string(c))
}

func (p *program) subscribe(ctx context.Context, c engine.ClinicID, client *fhir.Client, secret string) {
	for {
		err := client.Subscribe(ctx, p.hookOf(c), secret)
		wait := subscribeEvery
		if err != nil && ctx.Err() == nil {
			p.log.Warn("the record system takes no subscription now; polling goes on", "clinic", c, "error", err)
			wait = 30 * time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
