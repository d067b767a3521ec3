package web

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/health"
)

// OpenAPI returns the description of the HTTP API and of the frames of the live feed as an OpenAPI
// 3.1 document in indented JSON. It needs no backend, and the same program always gives the same
// bytes.
func OpenAPI() ([]byte, error) {
	spec, err := newAPI(&Server{}, http.NewServeMux())
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(spec, "", "  ")
}

func apiConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Relais", Version: "1",
				Description: "What the front desk of a clinic can see and do. Calls need the session cookie that POST /api/v1/session sets. " +
					"The live feed is a WebSocket at /ws/calendar?clinic=&epoch=&seq= whose text messages are Frame.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"session": {Type: "apiKey", In: "cookie", Name: "relais", Description: "Named __Host-relais over HTTPS."},
				},
			},
			Tags: []*huma.Tag{
				{Name: "Session", Description: "Signing in and out."},
				{Name: "Clinic", Description: "The clinics and their record systems."},
				{Name: "Calendar", Description: "Slots, and what can be done with them."},
				{Name: "Waitlist", Description: "Patients who wait."},
			},
		},
		Formats: map[string]huma.Format{
			"application/json": {Marshal: encode, Unmarshal: json.Unmarshal},
			"json":             {Marshal: encode, Unmarshal: json.Unmarshal},
		},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{tidyProblem},
	}
}

func encode(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// choices are the closed sets of the wire types, which Go's strings do not show to a schema.
var choices = map[string][]any{
	"Access.role":           {Operator, Clerk, Manager, Administrator},
	"Access.may[]":          {Look, Work, Steer, Arrange},
	"User.role":             {Operator, Clerk, Manager, Administrator},
	"Invitee.role":          {Operator, Clerk, Manager, Administrator},
	"Invited.role":          {Operator, Clerk, Manager, Administrator},
	"InviteRequest.role":    {Operator, Clerk, Manager, Administrator},
	"UserChange.role":       {Operator, Clerk, Manager, Administrator},
	"APIToken.scopes[]":     {Look, Work, Steer, Arrange},
	"TokenRequest.scopes[]": {Look, Work, Steer, Arrange},
	"Delta.mode":            {engine.Automatic, engine.Approval, engine.Shadow},
	"WouldPerson.channel":   {engine.SMS, engine.Voice, engine.EmailMail},
	"ClinicInfo.mode":       {engine.Automatic, engine.Approval, engine.Shadow},
	"Delivery.channel":      {engine.SMS, engine.Voice, engine.EmailMail, engine.Page, engine.Desk},
	"Delivery.kind": {
		engine.MsgOffer, engine.MsgReminder, engine.MsgFinalising, engine.MsgBooked, engine.MsgRefused, engine.MsgTaken,
		engine.MsgWithdrawn, engine.MsgEnded, engine.MsgNote,
	},
	"Card.state": {
		desk.Free, desk.Reserved, desk.Freed, desk.Approval, desk.Offered, desk.Claimed, desk.Confirmed, desk.Expired,
		desk.Suspended,
	},
	"Card.todo":     {desk.TodoCancel},
	"Health.status": {health.Starting, health.Healthy, health.Suspended, health.Checking},
	"Health.fault": {
		engine.DMEConflict, engine.DMERejected, engine.DMESignIn, engine.DMEUnreachable, engine.DMEBusy, engine.DMEError,
		engine.DMEMalformed,
	},
	"SyncTurn.status": {health.Starting, health.Healthy, health.Suspended, health.Checking},
	"SyncTurn.fault": {
		engine.DMEConflict, engine.DMERejected, engine.DMESignIn, engine.DMEUnreachable, engine.DMEBusy, engine.DMEError,
		engine.DMEMalformed,
	},
	"Person.why":    {engine.LeftBooked, engine.LeftCancelled, engine.LeftPast, engine.LeftWithdrawn, engine.LeftListed, engine.LeftMerged},
	"Person.status": {engine.Waiting, engine.Snoozed, engine.Claimed, engine.Placed, engine.Left, engine.Linking},
	"Problem.step":  {StepCode},
	"Problem.code": {
		engine.Invalid, engine.NotFound, engine.Conflict, engine.Forbidden, engine.Unsigned, engine.TooMany,
		engine.Unavailable, engine.StorageFull, engine.Internal,
	},
	"Other.channel":        {engine.SMS, engine.Voice, engine.EmailMail},
	"Unread.channel":       {engine.SMS, engine.Voice, engine.EmailMail, engine.Page, engine.Desk},
	"Unread.lang":          {engine.French, engine.English},
	"Enrolment.channels[]": {engine.SMS, engine.Voice, engine.EmailMail},
	"Person.channels[]":    {engine.SMS, engine.Voice, engine.EmailMail},
}

// prepareSpec adds the types that no call mentions.
func prepareSpec(spec *huma.OpenAPI) {
	schemas := spec.Components.Schemas
	schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	schemas.Schema(reflect.TypeFor[desk.Frame](), true, "Frame")
}

// finishSpec takes out what huma adds and Relais does not send, and puts in the closed sets.
func finishSpec(spec *huma.OpenAPI) error {
	schemas := spec.Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	for at, values := range choices {
		if err := limitTo(schemas, at, values); err != nil {
			return err
		}
	}
	return nil
}

func limitTo(schemas map[string]*huma.Schema, at string, values []any) error {
	name, field, _ := strings.Cut(at, ".")
	field, items := strings.CutSuffix(field, "[]")
	s, ok := schemas[name]
	if !ok || s.Properties[field] == nil {
		return fmt.Errorf("openapi: no field %s", at)
	}
	p := s.Properties[field]
	if items {
		p = p.Items
	}
	p.Enum = make([]any, len(values))
	for i, v := range values {
		// A named string type would not compare equal to what JSON decodes to.
		p.Enum[i] = fmt.Sprint(v)
	}
	p.PrecomputeMessages()
	return nil
}
