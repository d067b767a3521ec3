package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/wording"
)

// Candidates are people and why they are asked for a slot or not.
type Candidates struct {
	People []desk.Other `json:"people" nullable:"false"`
}

// BrokenContacts are the contacts that no longer work.
type BrokenContacts struct {
	Contacts []desk.Broken `json:"contacts" nullable:"false"`
}

// Messages are the texts of a clinic.
type Messages struct {
	Messages []wording.Preview `json:"messages" nullable:"false"`
}

// UnreadReplies are the replies that wait for a person.
type UnreadReplies struct {
	Unread []desk.Unread `json:"unread" nullable:"false"`
}

type settleRequest struct {
	ClinicPath
	Key  string `header:"Idempotency-Key" required:"true" minLength:"8" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"made by the caller for each press; the same key twice acts once"`
	Body desk.UnreadEnd
}

type noteRequest struct {
	ClinicPath
	Body struct {
		Lang engine.Lang `json:"lang" enum:"fr,en"`
		Text string      `json:"text" maxLength:"300"`
	} `nameHint:"NoteText"`
}

type explainRequest struct {
	ClinicPath
	Slot string `path:"slot" maxLength:"128" doc:"a slot's identifier"`
	Body struct {
		Search string `json:"search" minLength:"1" maxLength:"100" doc:"part of a name"`
	} `nameHint:"ExplainSearch"`
}

type patientPath struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
}

type contactRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    desk.ContactChange
}

type soonerRequest struct {
	ClinicPath
	Patient string `path:"patient" maxLength:"128" doc:"a patient's identifier"`
	Body    desk.SoonerChange
}

// mostExplained bounds the answer to one search.
const mostExplained = 20

// peopleCalls are about single patients. What is looked for travels in bodies, so that names and
// addresses stay out of URLs.
func (s *Server) peopleCalls(api huma.API) {
	explain := operation(http.MethodPost, "/clinics/{clinic}/slots/{slot}/explain", "explain", "Why somebody is asked or not",
		"Of at most 20 people whose name contains the search: their rank for the slot with its terms, or what stands in the way.")
	register(s, api, explain, func(ctx context.Context, q *explainRequest) (*reply[Candidates], error) {
		people, err := s.cfg.Desk.Explain(ctx, q.id(), engine.SlotID(q.Slot), q.Body.Search, mostExplained)
		return answer(Candidates{People: people}, err)
	})

	patient := operation(http.MethodGet, "/clinics/{clinic}/patients/{patient}", "patient", "Everything about one patient",
		"Contacts with consent and proof, wishes, and the offers of the last 30 days.")
	register(s, api, patient, func(ctx context.Context, q *patientPath) (*reply[desk.Record], error) {
		return answer(s.cfg.Desk.Patient(ctx, q.id(), engine.PatientID(q.Patient)))
	})

	contact := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/contacts", "changeContact", "Add, correct or archive a contact",
		"Answers with the patient afterwards; 409 when the contact was changed meanwhile. An address that opted out stays so: only its owner can opt in again.")
	register(s, api, contact, func(ctx context.Context, q *contactRequest) (*reply[desk.Record], error) {
		return answer(s.cfg.Desk.ChangeContact(ctx, q.id(), engine.PatientID(q.Patient), callerOf(ctx).ID, q.Body))
	})

	sooner := operation(http.MethodPost, "/clinics/{clinic}/patients/{patient}/sooner", "setSooner", "Consent to be seen sooner",
		"Sets a patient's consent to be offered earlier times for any appointment that the record system shows, or withdraws it. The entries that follow from it come or go a moment later. Answers with the patient.")
	register(s, api, sooner, func(ctx context.Context, q *soonerRequest) (*reply[desk.Record], error) {
		return answer(s.cfg.Desk.SetSooner(ctx, q.id(), engine.PatientID(q.Patient), callerOf(ctx).ID, q.Body))
	})

	broken := operation(http.MethodGet, "/clinics/{clinic}/contacts/broken", "brokenContacts", "Contacts that no longer work",
		"Wrong numbers, mailboxes that do not exist and people who opted out, the latest first, until somebody corrects or archives them. At most 200.")
	register(s, api, broken, func(ctx context.Context, q *ClinicPath) (*reply[BrokenContacts], error) {
		list, err := s.cfg.Desk.Broken(ctx, q.id())
		return answer(BrokenContacts{Contacts: list}, err)
	})

	messages := operation(http.MethodGet, "/clinics/{clinic}/messages", "messages", "Every message as a patient gets it",
		"In both languages and on every channel, filled in with the clinic's names and the longest date.")
	register(s, api, messages, func(ctx context.Context, q *ClinicPath) (*reply[Messages], error) {
		list, err := s.cfg.Desk.Messages(ctx, q.id())
		return answer(Messages{Messages: list}, err)
	})
	s.unreadCalls(api)
}

func (s *Server) unreadCalls(api huma.API) {
	list := operation(http.MethodGet, "/clinics/{clinic}/unread", "unread", "Replies that nobody could read",
		"What patients wrote that is no clear answer, the one that waits longest first. At most 500.")
	register(s, api, list, func(ctx context.Context, q *ClinicPath) (*reply[UnreadReplies], error) {
		list, err := s.cfg.Desk.Unread(ctx, q.id())
		return answer(UnreadReplies{Unread: list}, err)
	})

	settle := operation(http.MethodPost, "/clinics/{clinic}/unread", "settleUnread", "Answer such a reply, or mark it done",
		"Writes to the person, answers the offer on their behalf, or both; neither marks it done. 404 when somebody settled it before, 409 when the person wrote more meanwhile.")
	register(s, api, settle, func(ctx context.Context, q *settleRequest) (*reply[desk.UnreadOutcome], error) {
		return answer(s.cfg.Desk.SettleUnread(ctx, q.id(), callerOf(ctx).ID, q.Key, q.Body))
	})

	note := operation(http.MethodPost, "/clinics/{clinic}/messages/check", "checkNote", "Read a note before it leaves",
		"What the text would be as an SMS, how many segments it takes, and what should not be in it.")
	register(s, api, note, func(ctx context.Context, q *noteRequest) (*reply[wording.NoteCheck], error) {
		return answer(s.cfg.Desk.CheckNote(ctx, q.id(), q.Body.Lang, q.Body.Text))
	})
}
