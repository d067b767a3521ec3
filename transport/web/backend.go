package web

import (
	"context"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/wording"
)

// Desk is what the front desk's pages need of the rest of Relais. Errors are *engine.Error.
type Desk interface {
	Clinics(ctx context.Context) []desk.ClinicInfo
	Snapshot(ctx context.Context, c engine.ClinicID) (desk.Snapshot, error)
	// Attach starts pushing to sub: the deltas after seq when epoch is current and they are
	// still known, a snapshot otherwise; then every change, without a gap. Pushing stops when a
	// push reports false or detach is called.
	Attach(ctx context.Context, c engine.ClinicID, epoch string, seq uint64, sub desk.Subscriber) (detach func(), err error)
	// Seq is the newest sequence, for pings.
	Seq(c engine.ClinicID) uint64
	Slot(ctx context.Context, c engine.ClinicID, s engine.SlotID) (desk.Detail, error)
	// Act carries out a command. A second call with the same key (idempotency) does nothing and
	// returns the card as it is.
	Act(ctx context.Context, c engine.ClinicID, s engine.SlotID, by engine.UserID, key string, a desk.Action) (desk.Card, error)
	Waitlist(ctx context.Context, c engine.ClinicID, after engine.EntryID, limit int) ([]desk.Person, error)
	// Enrol adds a patient with one entry.
	Enrol(ctx context.Context, c engine.ClinicID, by engine.UserID, e desk.Enrolment) (desk.Person, error)
	// Explain says of the people whose name contains search why they were asked for a slot or not.
	Explain(ctx context.Context, c engine.ClinicID, s engine.SlotID, search string, limit int) ([]desk.Other, error)
	Patient(ctx context.Context, c engine.ClinicID, p engine.PatientID) (desk.Record, error)
	// ChangeContact adds, corrects or archives one contact of a patient; the phone may be written in
	// the national form.
	ChangeContact(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.ContactChange) (desk.Record, error)
	// SetSooner sets or withdraws a patient's consent to be offered earlier times for any appointment.
	SetSooner(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.SoonerChange) (desk.Record, error)
	Broken(ctx context.Context, c engine.ClinicID) ([]desk.Broken, error)
	// Newcomers lists who joined by themselves; SearchRecords looks for one of them in the record system, and
	// DecideJoin links or refuses one.
	Newcomers(ctx context.Context, c engine.ClinicID) (desk.Newcomers, error)
	SearchRecords(ctx context.Context, c engine.ClinicID, p engine.PatientID) (desk.Found, error)
	DecideJoin(ctx context.Context, c engine.ClinicID, p engine.PatientID, by engine.UserID, in desk.JoinDecision) (desk.Newcomers, error)
	// Messages shows every text of the clinic as a patient gets it.
	Messages(ctx context.Context, c engine.ClinicID) ([]wording.Preview, error)
	// Unread lists what patients wrote that no rule could read; SettleUnread answers it, once per key.
	Unread(ctx context.Context, c engine.ClinicID) ([]desk.Unread, error)
	SettleUnread(ctx context.Context, c engine.ClinicID, by engine.UserID, key string, in desk.UnreadEnd) (desk.UnreadOutcome, error)
	// CheckNote shows what a note to a patient would be as an SMS.
	CheckNote(ctx context.Context, c engine.ClinicID, lang engine.Lang, text string) (wording.NoteCheck, error)
	// Mode shows the clinic's mode and what happened, or would have, in the last days; SetMode changes it,
	// once per key.
	Mode(ctx context.Context, c engine.ClinicID, days int) (desk.ModeView, error)
	SetMode(ctx context.Context, c engine.ClinicID, by engine.UserID, key string, set desk.ModeChange) (desk.ModeState, error)
	// Fairness reports on the offers made from one day to another, both included; the zero Time is today,
	// and 90 days in all.
	Fairness(ctx context.Context, c engine.ClinicID, from, to time.Time) (desk.FairnessView, error)
	// Insights reports on the openings of a period.
	Insights(ctx context.Context, c engine.ClinicID, q desk.InsightsQuery) (desk.InsightsView, error)
	Health(ctx context.Context, c engine.ClinicID) (desk.Health, error)
	// Sync is Health with what is behind it, for the panel.
	Sync(ctx context.Context, c engine.ClinicID) (desk.Sync, error)
	// Hold suspends the clinic by hand or ends that; CheckNow looks at the record system now.
	Hold(ctx context.Context, c engine.ClinicID, by engine.UserID, hold bool) error
	CheckNow(ctx context.Context, c engine.ClinicID) error
	List
	Rights
}

// Offers is what the patients' pages need. A token that is unknown, malformed or old gives an
// engine.NotFound error.
type Offers interface {
	Offer(ctx context.Context, token string) (desk.PatientView, error)
	// CalendarFile is the calendar file of what the token's person booked; engine.NotFound while
	// there is nothing booked.
	CalendarFile(ctx context.Context, token string) ([]byte, error)
	// Reply takes an answer and waits a moment for the record system, so that the answer is final
	// when it can be.
	Reply(ctx context.Context, r engine.Reply) (engine.Answer, error)
}

// Doors is what the pages need where people put themselves on a list. Errors are *engine.Error; one of code
// engine.Invalid may have a *desk.FieldError as its cause.
type Doors interface {
	Door(ctx context.Context, c engine.ClinicID) (desk.Door, error)
	// Join takes what somebody says and sends each contact its code. Neither its answer nor its time says
	// whether the person is known.
	Join(ctx context.Context, c engine.ClinicID, in desk.JoinRequest) (handle string, err error)
	ProveCode(ctx context.Context, c engine.ClinicID, handle, code string) (desk.JoinResult, error)
	// Proving says where the link of a mail belongs, and in which language; ProveLink takes the press.
	Proving(ctx context.Context, token string) (desk.Door, engine.Lang, error)
	ProveLink(ctx context.Context, token string) (desk.JoinResult, error)
	// SendLink sends to a telephone or mailbox the links of the people it belongs to, if there are any; its
	// answer does not say.
	SendLink(ctx context.Context, c engine.ClinicID, contact string) error
	// Own is what somebody's own page shows, and ChangeOwn what they change there; for a new contact it returns
	// what its code counts with. A link that leads nowhere gives an engine.NotFound error.
	Own(ctx context.Context, token string) (desk.OwnView, error)
	ChangeOwn(ctx context.Context, token string, in desk.OwnChange) (v desk.OwnView, handle string, err error)
	// Identify holds a date of birth against the patient of a link, an offer's or of their own page. It counts
	// wrong ones, and gives an engine.TooMany error when there were too many.
	Identify(ctx context.Context, token, born string) (bool, error)
}
