package app

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"relais/engine"
	"relais/engine/offer"
	"relais/engine/review"
)

type policyCommand struct {
	Preview policyPreview `cmd:"" help:"Say what happens to a slot that is freed at 10:00 for 15:00 while nobody answers, by the live rule."`
}

type policyPreview struct {
	Clinic string `arg:"" help:"Identifier of the clinic, as in the configuration."`
	Config string `help:"Configuration file; also RELAIS_CONFIG." placeholder:"FILE"`
	Lang   string `help:"fr or en; the clinic's own unless given." enum:",fr,en" default:""`
}

// Run prints the sentences.
func (p *policyPreview) Run(io *streams) error {
	path := cmp.Or(p.Config, io.env["RELAIS_CONFIG"])
	if path == "" {
		return &usageError{errors.New("this needs --config FILE; start from deploy/relais.example.yaml")}
	}
	cfg, err := LoadConfig(path, io.env, nil)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(cfg.Clinics, func(c ClinicConfig) bool { return c.ID == p.Clinic })
	if i < 0 {
		return &usageError{fmt.Errorf("there is no clinic %q in %s", p.Clinic, path)}
	}
	clinic := cfg.Clinics[i].Clinic()
	plan := review.Preview(clinic.Policy, offer.Rates{})
	for _, sentence := range plan.Say(cmp.Or(engine.Lang(p.Lang), clinic.Lang), clinic.Mode) {
		fmt.Fprintln(io.out, sentence)
	}
	return nil
}

// watchOnly says why a clinic of the configuration can only be in shadow mode; "" when it need not be.
func (cfg *Config) watchOnly(c *ClinicConfig) string {
	switch {
	case cfg.Twilio == nil && cfg.Mail == nil:
		return "No channel to patients is configured; add twilio or mail to the configuration first."
	case c.DME.HL7 != nil && c.DME.HL7.SendTo == "":
		return "Bookings cannot be sent to the record system; add send_to to its configuration first."
	}
	return ""
}
