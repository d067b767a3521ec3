package app

import "time"

// DMEConfig is the clinic's record system.
type DMEConfig struct {
	FHIR *FHIRConfig `yaml:"fhir"`
}

// pollEvery is the time between looks; 0: the default of the actors.
func (d DMEConfig) pollEvery() time.Duration {
	if d.FHIR != nil {
		return time.Duration(d.FHIR.PollEvery)
	}
	return 0
}

// FHIRConfig is a FHIR R4 server.
type FHIRConfig struct {
	BaseURL     string            `yaml:"base_url"`
	Token       Secret            `yaml:"token"`       // bearer; empty: none
	HookSecret  Secret            `yaml:"hook_secret"` // empty: no subscription, polling only
	PollEvery   Duration          `yaml:"poll_every"`
	Specialties map[string]string `yaml:"specialties"` // the server's code to ours; missing: taken as it is
}

func (f *FHIRConfig) setDefaults() { *f = FHIRConfig{PollEvery: Duration(2 * time.Second)} }
