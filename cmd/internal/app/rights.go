package app

import (
	"context"
	"encoding/json"

	"relais/actors"
	"relais/engine"
	"relais/engine/desk"
)

// PatientFile implements web.Rights.
func (f frontDesk) PatientFile(ctx context.Context, c engine.ClinicID, p engine.PatientID) ([]byte, error) {
	file, err := f.Relais.PatientFile(ctx, c, p)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(file, "", "  ")
}

// ErasePatient implements web.Rights.
func (f frontDesk) ErasePatient(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, from, why string) (desk.Erasure, error) {
	return f.Relais.ErasePatient(ctx, c, p, actors.Request{Who: by, From: from, Why: why}, true)
}

// CorrectPatient implements web.Rights.
func (f frontDesk) CorrectPatient(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, from string, in desk.Correction) (desk.Record, error) {
	if err := f.Relais.CorrectPatient(ctx, c, p, actors.Request{Who: by, From: from, Why: in.Why}, in); err != nil {
		return desk.Record{}, err
	}
	return f.Patient(ctx, c, p)
}
