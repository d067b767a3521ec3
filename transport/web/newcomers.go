package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
	"relais/engine/desk"
)

type joinDecisionRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    desk.JoinDecision
}

// newcomerCalls are about people who put themselves on the list.
func (s *Server) newcomerCalls(api huma.API) {
	list := operation(http.MethodGet, "/clinics/{clinic}/waitlist/newcomers", "newcomers", "Who joined by themselves, and who fell silent",
		"People who joined by the clinic's link and are to be linked with the record system, and those who did not answer, twice, whether they are still looking.")
	register(s, api, list, func(ctx context.Context, q *ClinicPath) (*reply[desk.Newcomers], error) {
		n, err := s.cfg.Desk.Newcomers(ctx, q.id())
		n.Link = s.joinAddressOf(q.Clinic)
		return answer(n, err)
	})

	search := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/records", "searchRecords", "Look for somebody in the record system",
		"Who has the same name, date of birth and one of the same contacts there. Nothing is changed.")
	register(s, api, search, func(ctx context.Context, q *patientPath) (*reply[desk.Found], error) {
		return answer(s.cfg.Desk.SearchRecords(ctx, q.id(), engine.PatientID(q.Patient)))
	})

	decide := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/joining", "decideJoin", "Link somebody who joined, or refuse them",
		"Linking starts their offers. 409 when somebody else here has the reference, or the person was linked otherwise meanwhile. Answers with who is left.")
	register(s, api, decide, func(ctx context.Context, q *joinDecisionRequest) (*reply[desk.Newcomers], error) {
		n, err := s.cfg.Desk.DecideJoin(ctx, q.id(), engine.PatientID(q.Patient), callerOf(ctx).ID, q.Body)
		n.Link = s.joinAddressOf(q.Clinic)
		return answer(n, err)
	})
}
