package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
	"relais/engine/desk"
)

// Rights is what patients may ask a clinic to do with what it has about them. Each call is on the audit log
// with its reason.
type Rights interface {
	// PatientFile returns everything about a patient, as JSON.
	PatientFile(ctx context.Context, c engine.ClinicID, p engine.PatientID) ([]byte, error)
	// ErasePatient takes everything personal out; nobody writes to the patient's addresses again.
	ErasePatient(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, from, why string) (desk.Erasure, error)
	// CorrectPatient writes anew who a patient is, and takes what was there before out of the timelines.
	CorrectPatient(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, from string, in desk.Correction) (desk.Record, error)
}

type erasureRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    struct {
		Why string `json:"why" minLength:"3" maxLength:"200" doc:"who asked for it and how, without a name, for example letter of 2026-03-02"`
	} `nameHint:"ErasureRequest"`
}

type correctionRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    desk.Correction
}

type patientFile struct {
	Type        string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// erasing bounds an erasure, which reads all of a clinic's timeline.
const erasing = 2 * time.Minute

func (s *Server) rightsCalls(api huma.API) {
	file := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/file", "patientFile", "Everything about a patient, as a file",
		"For a patient who asks for it: identity, contacts with consent and proof, wishes, offers with deliveries, what they wrote, notes, timelines, and who looked. JSON.")
	file.Responses["200"] = &huma.Response{Description: "The file", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: "object"}}}}
	register(s, api, file, func(ctx context.Context, q *patientPath) (*patientFile, error) {
		body, err := s.cfg.Desk.PatientFile(ctx, q.id(), engine.PatientID(q.Patient))
		if err != nil {
			return nil, err
		}
		return &patientFile{Type: "application/json", Disposition: `attachment; filename="patient-file.json"`, Body: body}, nil
	})

	erase := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/erase", "erasePatient", "Erase a patient",
		"Takes everything personal out of records and timelines, for good. Offers under way end first; 409 while a booking is under way. What stays: anonymous counts, and a digest of each address, so that nobody writes there again.")
	register(s, api, erase, func(ctx context.Context, q *erasureRequest) (*reply[desk.Erasure], error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), erasing) // an erasure begun is carried through
		defer cancel()
		who := callerOf(ctx)
		return answer(s.cfg.Desk.ErasePatient(ctx, q.id(), engine.PatientID(q.Patient), who.ID, who.from, q.Body.Why))
	})

	correct := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/correct", "correctPatient", "Correct who a patient is",
		"What was written down wrong is taken out of the timelines too; a digest of it stays on the audit log. Answers with the patient.")
	register(s, api, correct, func(ctx context.Context, q *correctionRequest) (*reply[desk.Record], error) {
		who := callerOf(ctx)
		return answer(s.cfg.Desk.CorrectPatient(ctx, q.id(), engine.PatientID(q.Patient), who.ID, who.from, q.Body))
	})
}
