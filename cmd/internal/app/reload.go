package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/transport/hl7"
)

// reloadWithin bounds the change of one clinic.
const reloadWithin = time.Minute

// reloaded is what a new configuration came to.
type reloaded struct {
	opened, changed, closed []string
	restart                 []string // settings that changed and count only after a restart
}

// watchReload reads the configuration again at each SIGHUP, until ctx ends.
func (p *program) watchReload(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				_, _ = p.reload(ctx) // said in the log
			}
		}
	}()
}

// reload reads the configuration again. One with a mistake changes nothing, and the mistakes are logged and
// returned as a *ConfigError. Clinics are opened, changed and closed while the others go on.
func (p *program) reload(ctx context.Context) (done reloaded, err error) {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	defer func() {
		result := "ok"
		if err != nil {
			result = "failed"
		}
		if _, refused := errors.AsType[*ConfigError](err); refused {
			result = "refused"
		}
		p.metrics.reloads.WithLabelValues(result).Inc()
		if err == nil {
			p.metrics.reloadedAt.SetToCurrentTime()
		}
	}()
	if p.load == nil {
		return done, engine.Errorf(engine.Conflict, "this program has no configuration file to read again")
	}
	next, err := p.load()
	if err != nil {
		if wrong, ok := errors.AsType[*ConfigError](err); ok {
			for _, problem := range wrong.Problems {
				p.log.Error("the new configuration has a mistake; nothing was changed", "mistake", problem.String())
			}
		}
		return done, err
	}
	done.restart = p.reloadRest(&next)
	err = p.reloadClinics(ctx, next.Clinics, &done)
	p.log.Info("the configuration was read again", "opened", done.opened, "changed", done.changed, "closed", done.closed, "failed", err != nil)
	if len(done.restart) > 0 {
		p.log.Warn("these settings changed and count only after a restart", "settings", done.restart)
	}
	return done, err
}

// reloadRest takes up what counts at once of the settings beside the clinics, and lists the others.
func (p *program) reloadRest(next *Config) (restart []string) {
	next.PublicURL = strings.TrimRight(next.PublicURL, "/")
	now, then := reflect.ValueOf(&p.cfg).Elem(), reflect.ValueOf(next).Elem()
	for i := range now.NumField() {
		name := now.Type().Field(i).Tag.Get("yaml")
		if name == "clinics" || name == "" || reflect.DeepEqual(now.Field(i).Interface(), then.Field(i).Interface()) {
			continue
		}
		if name == "log" && next.Log.Format == p.cfg.Log.Format {
			p.level.Set(levelOf(next.Log))
			p.cfg.Log.Level = next.Log.Level
			continue
		}
		restart = append(restart, name)
	}
	return restart
}

// reloadClinics brings the clinics that run in line with those of the configuration. What fails for one does
// not keep the others from it.
func (p *program) reloadClinics(ctx context.Context, clinics []ClinicConfig, done *reloaded) error {
	var failed []error
	note := func(what, id string, err error, list *[]string) {
		if err == nil {
			*list = append(*list, id)
			return
		}
		p.log.Error("a clinic is not as the configuration says", "clinic", id, "to be", what, "error", err)
		failed = append(failed, fmt.Errorf("clinic %s: %w", id, err))
	}
	wanted := map[string]bool{}
	for i := range clinics {
		wanted[clinics[i].ID] = true
	}
	for _, s := range p.sites.all() {
		if !wanted[s.cfg.ID] {
			note("closed", s.cfg.ID, p.closeSite(ctx, s), &done.closed)
		}
	}
	for i := range clinics {
		c := &clinics[i]
		switch s := p.sites.get(engine.ClinicID(c.ID)); {
		case s == nil:
			note("opened", c.ID, p.openSite(ctx, c), &done.opened)
		case !reflect.DeepEqual(s.cfg, *c):
			note("changed", c.ID, p.changeSite(ctx, s, c), &done.changed)
		}
	}
	return errors.Join(failed...)
}

func (p *program) openSite(ctx context.Context, c *ClinicConfig) error {
	ctx, cancel := context.WithTimeout(ctx, reloadWithin)
	defer cancel()
	s, err := p.newSite(ctx, c)
	if err != nil {
		return err
	}
	if err := p.relais.Open(ctx, p.setup(s)); err != nil {
		p.leave(s)
		return err
	}
	p.sites.put(s)
	p.subscribeTo(s)
	return errors.Join(p.told.set(s.clinic.ID, c.Webhooks), p.listenHL7(p.life))
}

func (p *program) closeSite(ctx context.Context, s *site) error {
	ctx, cancel := context.WithTimeout(ctx, reloadWithin)
	defer cancel()
	if err := p.told.set(s.clinic.ID, nil); err != nil { // they keep their place in the store
		return err
	}
	if err := p.relais.Close(ctx, s.clinic.ID); err != nil {
		return err
	}
	p.sites.drop(s.clinic.ID)
	p.leave(s)
	p.metrics.forget(s.clinic.ID)
	return nil
}

// changeSite gives a clinic new settings. Only when those of its record system changed, or what it depends
// on, is it connected anew.
func (p *program) changeSite(ctx context.Context, s *site, c *ClinicConfig) error {
	if !reflect.DeepEqual(s.cfg.Webhooks, c.Webhooks) {
		if err := p.told.set(s.clinic.ID, c.Webhooks); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, reloadWithin)
	defer cancel()
	if s.sameConnection(c) {
		next := &site{cfg: *c, clinic: c.Clinic(), dme: s.dme, stop: s.stop}
		next.clinic.Phone = nationalNumber(next.clinic.Phone)
		p.discover(ctx, &next.clinic, s)
		if err := p.relais.Replace(ctx, p.setup(next)); err != nil {
			return err
		}
		p.sites.put(next)
		return nil
	}
	var next *site
	setup := actors.Setup{Clinic: c.Clinic(), Poll: c.DME.pollEvery(), WatchOnly: p.cfg.watchOnly(c)}
	setup.Clinic.Phone = nationalNumber(setup.Clinic.Phone)
	setup.Connect = func(ctx context.Context) (actors.DME, error) {
		old, isHL7 := s.dme.(*hl7.Connector)
		if isHL7 {
			p.hl7.Remove(old) // it may have the same sender as the new one
		}
		var err error
		if next, err = p.newSite(ctx, c); err != nil {
			if isHL7 {
				err = errors.Join(err, p.hl7.Add(old))
			}
			return nil, err
		}
		return next.dme, nil
	}
	err := p.relais.Replace(ctx, setup)
	if next == nil {
		return err
	}
	p.leave(s)
	p.sites.put(next)
	if err == nil {
		// What the record system says of who works where was not known before.
		err = p.relais.Replace(ctx, p.setup(next))
	}
	p.subscribeTo(next)
	return errors.Join(err, p.listenHL7(p.life))
}

// sameConnection reports whether new settings leave the connection to the record system as it is.
func (s *site) sameConnection(c *ClinicConfig) bool {
	if !reflect.DeepEqual(s.cfg.DME, c.DME) || s.cfg.Zone != c.Zone {
		return false
	}
	return c.DME.HL7 == nil || reflect.DeepEqual(s.cfg.Practitioners, c.Practitioners) && reflect.DeepEqual(s.cfg.Places, c.Places)
}
