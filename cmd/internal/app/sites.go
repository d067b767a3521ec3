package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"relais/actors"
	"relais/engine"
	"relais/transport/fhir"
	"relais/transport/hl7"
)

// site is a clinic as it runs: its settings, what the actors know of it, and the way to its record system.
type site struct {
	cfg    ClinicConfig
	clinic engine.Clinic
	dme    recordSystem
	stop   context.CancelFunc // ends its subscription; nil: there is none
}

// sites are the clinics that run. Safe for concurrent use.
type sites struct {
	mu sync.RWMutex
	of map[engine.ClinicID]*site
}

func (s *sites) get(id engine.ClinicID) *site {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.of[id]
}

func (s *sites) put(new *site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[engine.ClinicID]*site{}
	}
	s.of[new.clinic.ID] = new
}

func (s *sites) drop(id engine.ClinicID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, id)
}

// all lists them by name.
func (s *sites) all() []*site {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.of), func(a, b *site) int { return strings.Compare(a.cfg.ID, b.cfg.ID) })
}

// newSite connects to a clinic's record system. No actor of the clinic runs meanwhile.
func (p *program) newSite(ctx context.Context, c *ClinicConfig) (*site, error) {
	if err := p.forgetMoved(ctx, c); err != nil {
		return nil, err
	}
	clinic, dme, err := p.connect(ctx, c)
	if err != nil {
		return nil, err
	}
	return &site{cfg: *c, clinic: clinic, dme: dme}, nil
}

// setup is the site as the actors open it.
func (p *program) setup(s *site) actors.Setup {
	return actors.Setup{Clinic: s.clinic, DME: s.dme, Poll: s.cfg.DME.pollEvery(), WatchOnly: p.cfg.watchOnly(&s.cfg)}
}

// subscribeTo asks a site's record system to push, until the site or the program ends.
func (p *program) subscribeTo(s *site) {
	client, ok := s.dme.(*fhir.Client)
	if !ok || s.cfg.DME.FHIR.HookSecret == "" || p.life == nil {
		return
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(p.life)
	go p.subscribe(ctx, s.clinic.ID, client, string(s.cfg.DME.FHIR.HookSecret))
}

// leave ends what a site has outside. The actors of the clinic are stopped, or have another site.
func (p *program) leave(s *site) {
	if s.stop != nil {
		s.stop()
	}
	if c, ok := s.dme.(*hl7.Connector); ok {
		p.hl7.Remove(c)
	}
	s.dme.Close()
}
