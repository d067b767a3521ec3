package web

import (
	"context"

	"relais/engine"
	"relais/engine/desk"
)

func (d *fakeDesk) PatientFile(_ context.Context, _ engine.ClinicID, p engine.PatientID) ([]byte, error) {
	return []byte(`{"patient":"` + string(p) + `"}`), d.err
}

func (d *fakeDesk) ErasePatient(_ context.Context, _ engine.ClinicID, p engine.PatientID, _ engine.UserID, _, _ string) (desk.Erasure, error) {
	return desk.Erasure{Patient: p}, d.err
}

func (d *fakeDesk) CorrectPatient(ctx context.Context, c engine.ClinicID, p engine.PatientID, _ engine.UserID, _ string, _ desk.Correction) (desk.Record, error) {
	return d.Patient(ctx, c, p)
}
