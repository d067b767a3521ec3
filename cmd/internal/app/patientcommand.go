package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"relais/actors"
	"relais/engine"
	"relais/engine/desk"
	"relais/storage"
)

// PrivacyConfig says how long what is personal is kept.
type PrivacyConfig struct {
	Patients  Duration `yaml:"patients"`  // after their last activity
	Timelines Duration `yaml:"timelines"` // what lines say about a person
	Replies   Duration `yaml:"replies"`   // what patients wrote
}

func (c *checker) privacy(p *PrivacyConfig) {
	const day, longest = 24 * time.Hour, 3650 * 24 * time.Hour
	c.lasts("privacy.patients", p.Patients, 90*day, longest)
	c.lasts("privacy.timelines", p.Timelines, 30*day, longest)
	c.lasts("privacy.replies", p.Replies, day, longest)
}

func (p PrivacyConfig) keep() actors.Keep {
	return actors.Keep{Patients: time.Duration(p.Patients), Timelines: time.Duration(p.Timelines), Replies: time.Duration(p.Replies)}
}

type patientCommand struct {
	Export   patientExport   `cmd:"" help:"Print everything that the store has about a patient, as JSON."`
	Erase    patientErase    `cmd:"" help:"Take everything personal about a patient out of the store, for good."`
	Correct  patientCorrect  `cmd:"" help:"Correct who a patient is, and take what was there before out of the timelines."`
	Consents patientConsents `cmd:"" help:"List the consents of a clinic's patients with their proofs, as JSON lines."`
}

// onePatient names a patient. Names are looked up at the front desk, whose page shows the identifier.
type onePatient struct {
	storeFlags

	Clinic  string `arg:"" help:"Identifier of the clinic."`
	Patient string `arg:"" help:"Identifier of the patient, as in the address of their page at the front desk."`
}

type patientRequest struct {
	Clinic  engine.ClinicID  `json:"clinic"`
	Patient engine.PatientID `json:"patient"`
	Who     string           `json:"who"`
	Why     string           `json:"why,omitempty"`
	Correct desk.Correction  `json:"correct"`
}

func (o *onePatient) request(why string) patientRequest {
	return patientRequest{Clinic: engine.ClinicID(o.Clinic), Patient: engine.PatientID(o.Patient), Who: operator(), Why: why}
}

func (q *patientRequest) of() actors.Request {
	return actors.Request{Who: engine.UserID(q.Who), From: "command line", Why: q.Why}
}

type patientExport struct {
	onePatient
	Why string `help:"Who asked for it and how, without a name; kept on the audit log." required:"" placeholder:"TEXT"`
}

// Run prints the file.
func (p *patientExport) Run(ctx context.Context, io *streams) error {
	var file json.RawMessage
	if err := p.ask(ctx, io, "patient_export", p.request(p.Why), &file); err != nil {
		return err
	}
	var out any
	if err := json.Unmarshal(file, &out); err != nil {
		return err
	}
	enc := json.NewEncoder(io.out)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func (c *control) exportPatient(ctx context.Context, in patientRequest, _ func(string)) (file actors.WholeFile, err error) {
	if c.relais != nil {
		file, err = c.relais.PatientFile(ctx, in.Clinic, in.Patient)
	} else {
		file, err = actors.ReadPatientFile(ctx, c.store, in.Clinic, in.Patient)
	}
	if err == nil {
		c.noteDown(ctx, record(in.Clinic, in.Who, "patient_exported", string(in.Patient), in.Why))
	}
	return file, err
}

// needsActors refuses what only the running program can do.
func (c *control) needsActors() error {
	if c.relais == nil {
		return engine.Errorf(engine.Unavailable, "this needs relais serve to run, which ends the person's offers first; start it")
	}
	return nil
}

type patientErase struct {
	onePatient
	Why string `help:"Who asked for it and how, without a name; kept on the audit log." required:"" placeholder:"TEXT"`
}

// Help is printed below the flags.
func (patientErase) Help() string {
	return `Offers under way end first. What stays: anonymous counts, an identifier that leads nowhere, and a digest of each address, so
that nobody writes there again. Backups hold the person until they are deleted; docs/privacy.md says what else to do.`
}

// Run erases and says what that came to.
func (p *patientErase) Run(ctx context.Context, io *streams) error {
	var e desk.Erasure
	if err := p.ask(ctx, io, "patient_erase", p.request(p.Why), &e); err != nil {
		return err
	}
	fmt.Fprintf(io.out, "Patient %s was erased: %d entries, %d offers, %d unread replies and the personal data of %d lines of timelines. Nobody writes to their %d addresses again.\n",
		e.Patient, e.Entries, e.Offers, e.Replies, e.Lines, e.Silenced)
	return nil
}

func (c *control) erasePatient(ctx context.Context, in patientRequest, _ func(string)) (e desk.Erasure, err error) {
	if err := c.needsActors(); err != nil {
		return e, err
	}
	return c.relais.ErasePatient(ctx, in.Clinic, in.Patient, in.of(), true)
}

type patientCorrect struct {
	onePatient
	Why    string  `help:"Who asked for it and how, without a name; kept on the audit log." required:"" placeholder:"TEXT"`
	Given  *string `help:"Given name." placeholder:"NAME"`
	Family *string `help:"Family name." placeholder:"NAME"`
	Born   *string `help:"Date of birth, like 1958-03-21." placeholder:"DAY"`
	Lang   *string `help:"Language, fr or en." placeholder:"LANG"`
}

// Run corrects.
func (p *patientCorrect) Run(ctx context.Context, io *streams) error {
	in := p.request(p.Why)
	in.Correct = desk.Correction{Given: p.Given, Family: p.Family, Born: p.Born, Lang: (*engine.Lang)(p.Lang)}
	var done struct{}
	if err := p.ask(ctx, io, "patient_correct", in, &done); err != nil {
		return err
	}
	fmt.Fprintln(io.out, "Corrected. What was there before is a digest on the audit log.")
	return nil
}

func (c *control) correctPatient(ctx context.Context, in patientRequest, _ func(string)) (done struct{}, err error) {
	if err := c.needsActors(); err != nil {
		return done, err
	}
	return done, c.relais.CorrectPatient(ctx, in.Clinic, in.Patient, in.of(), in.Correct)
}

type patientConsents struct {
	storeFlags

	Clinic string `arg:"" help:"Identifier of the clinic."`
}

// consent is one line of the list.
type consent struct {
	Patient  engine.PatientID `json:"patient"`
	Channel  engine.Channel   `json:"channel"`
	Address  string           `json:"address"`
	Since    time.Time        `json:"since,omitzero"`
	Proof    string           `json:"proof,omitempty"`
	OptedOut time.Time        `json:"opted_out,omitzero"`
	Asked    time.Time        `json:"asked,omitzero"`
	Sooner   *engine.Sooner   `json:"sooner,omitempty"` // the consent to be moved to an earlier time
}

// Run prints the lines.
func (p *patientConsents) Run(ctx context.Context, io *streams) error {
	var lines int
	in := patientRequest{Clinic: engine.ClinicID(p.Clinic), Who: operator()}
	return p.asking(ctx, io, io.out, "consents", in, &lines)
}

func (c *control) listConsents(ctx context.Context, in patientRequest, say func(string)) (lines int, err error) {
	for after := ""; ; {
		page, err := c.store.Scan(ctx, in.Clinic, storage.KindPatient, after, 1000)
		if err != nil {
			return lines, err
		}
		for _, rec := range page {
			after = rec.Key.ID
			var p engine.Patient
			if err := json.Unmarshal(rec.Data, &p); err != nil {
				return lines, err
			}
			for _, x := range p.Contacts {
				line, _ := json.Marshal(consent{ // its parts always can
					Patient: p.ID, Channel: x.Channel, Address: string(x.Phone) + string(x.Email), Since: x.Consent, Proof: x.Proof,
					OptedOut: x.OptedOut, Asked: x.Asked, Sooner: p.Sooner,
				})
				say(string(line))
				lines++
			}
		}
		if len(page) == 0 {
			c.noteDown(ctx, record(in.Clinic, in.Who, "consents_listed", "", ""))
			return lines, nil
		}
	}
}
