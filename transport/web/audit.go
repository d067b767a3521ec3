package web

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
)

// What the audit log says beside the identifiers of calls.
const (
	TracedSignIn        = "sign_in"
	TracedSignInFailed  = "sign_in_failed"
	TracedSignOut       = "sign_out"
	TracedSessionEnded  = "session_ended"
	TracedPassword      = "password_changed"
	TracedTOTPOn        = "totp_on"
	TracedTOTPOff       = "totp_off"
	TracedRecoveryCodes = "recovery_codes_made"
	TracedRecoveryUsed  = "recovery_code_used"
	TracedPasskeyAdded  = "passkey_added"
	TracedPasskeyGone   = "passkey_removed"
	TracedToken         = "token_made"
	TracedTokenGone     = "token_removed"
	TracedInvited       = "user_invited"
	TracedUninvited     = "invitation_withdrawn"
	TracedJoined        = "user_joined"
	TracedRole          = "role_changed"
	TracedSuspended     = "user_suspended"
	TracedResumed       = "user_resumed"
	TracedRemoved       = "user_removed"
	TracedReset         = "user_reset"
	TracedResetUsed     = "reset_used"
)

// Reasons of a failed sign-in.
const (
	WhyPassword = "wrong_password"
	WhyCode     = "wrong_code"
	WhyPasskey  = "wrong_passkey"
	WhyLimited  = "limited"
	WhyNoRole   = "no_role"
	WhySingle   = "provider_refused"
	WhyToken    = "wrong_token"
)

// Failures are recorded so often for one account or address, and so often in all: a log that anybody can
// fill is no log.
const (
	failureBurst    = 10
	failureEvery    = time.Minute
	allFailureBurst = 200
	allFailureEvery = 5 * time.Second
)

// seen are the calls that change nothing and are recorded all the same: somebody looked at a patient, or took
// data away.
var seen = map[string]bool{"patient": true, "fairnessFile": true, "exportWaitlist": true}

// unrecorded are the calls by POST that only read.
var unrecorded = map[string]bool{"readAvailability": true, "checkNote": true, "searchWaitlist": true, "explain": true}

// recorded reports whether a call that went well belongs on the audit log. What this package records itself,
// in more words, does not.
func recorded(op *huma.Operation) bool {
	switch needs[op.OperationID] {
	case Public, Own, Self:
		return false
	case Look, Work, Steer, Arrange:
	}
	if strings.Contains(op.Path, "/users") {
		return false
	}
	return seen[op.OperationID] || op.Method != http.MethodGet && !unrecorded[op.OperationID]
}

// recordCall puts a call that went well on the clinic's audit log.
func (s *Server) recordCall(ctx context.Context, op *huma.Operation, r *http.Request, who *caller) {
	var about []string
	for part := range strings.SplitSeq(op.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && name != "clinic}" {
			about = append(about, r.PathValue(strings.TrimSuffix(name, "}")))
		}
	}
	s.record(ctx, []engine.ClinicID{engine.ClinicID(r.PathValue("clinic"))}, Trace{
		Who: who.ID, From: who.from, What: op.OperationID, About: strings.Join(about, " "),
	})
}

// record writes to the audit log. A log that cannot be written does not undo what was done, so the failure is
// only reported.
func (s *Server) record(ctx context.Context, clinics []engine.ClinicID, t Trace) {
	if s.cfg.Trail == nil {
		return
	}
	t.At = s.now().UTC()
	if err := s.cfg.Trail.Record(context.WithoutCancel(ctx), clinics, t); err != nil {
		s.log.ErrorContext(ctx, "audit record not written", "request", requestID(ctx), "what", t.What, "error", err)
	}
}

// everyClinic lists the clinics that somebody has a role in, for what is about the whole account; the empty
// clinic when there is none.
func (s *Server) everyClinic(ctx context.Context, a *Account) []engine.ClinicID {
	list := slices.Collect(maps.Keys(a.Roles))
	for _, c := range s.cfg.Desk.Clinics(ctx) {
		if _, named := a.Roles[c.ID]; !named && a.role(c.ID) != "" {
			list = append(list, c.ID)
		}
	}
	if len(list) == 0 {
		return []engine.ClinicID{""}
	}
	slices.Sort(list)
	return list
}

// recordOwn puts what somebody did to their own account on the log of each of their clinics.
func (s *Server) recordOwn(ctx context.Context, who *caller, what, about string) {
	s.record(ctx, s.everyClinic(ctx, &who.Account), Trace{Who: who.ID, From: who.from, What: what, About: about})
}

// failed records a sign-in that was refused. account is nil when there is none of that name; the name itself
// is not kept: people type passwords there.
func (s *Server) failed(ctx context.Context, from netip.Addr, account *Account, why string) {
	key := from.String()
	t := Trace{What: TracedSignInFailed, From: from.String(), Why: why}
	clinics := []engine.ClinicID{""}
	if account != nil {
		key, t.Who = "account "+string(account.ID), account.ID
		clinics = s.everyClinic(ctx, account)
	}
	now := s.now()
	if s.failures.take(now, key) && s.allFailures.take(now, struct{}{}) {
		s.record(ctx, clinics, t)
	}
}

type auditQuery struct {
	ClinicPath
	Who    string `query:"who" maxLength:"100" doc:"only of this account"`
	What   string `query:"what" maxLength:"64" doc:"only of this kind"`
	About  string `query:"about" maxLength:"200" doc:"only about this identifier"`
	Since  string `query:"since" format:"date-time"`
	Until  string `query:"until" format:"date-time"`
	Before uint64 `query:"before" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

// AuditLog is a page of a clinic's audit log, newest first.
type AuditLog struct {
	Traces []Trace `json:"traces" nullable:"false"`
	Next   uint64  `json:"next,omitempty" doc:"pass it as before for older ones; absent on the last page"`
}

func (s *Server) auditCalls(api huma.API) {
	list := operation(http.MethodGet, "/clinics/{clinic}/audit", "audit", "The audit log",
		"Who did or saw what, when and from where: sign-ins, commands, settings, users, views of patients' records and exports. Newest first.")
	register(s, api, list, func(ctx context.Context, q *auditQuery) (*reply[AuditLog], error) {
		f := TraceFilter{Who: q.Who, What: q.What, About: q.About, Before: q.Before, Limit: cmp.Or(q.Limit, 100)}
		for _, at := range []struct {
			text string
			is   *time.Time
		}{{q.Since, &f.Since}, {q.Until, &f.Until}} {
			if at.text == "" {
				continue
			}
			var err error
			if *at.is, err = time.Parse(time.RFC3339, at.text); err != nil {
				return nil, engine.Errorf(engine.Invalid, "write a time like 2026-03-21T08:00:00Z")
			}
		}
		if s.cfg.Trail == nil {
			return &reply[AuditLog]{Body: AuditLog{Traces: []Trace{}}}, nil
		}
		traces, err := s.cfg.Trail.Traces(ctx, q.id(), f)
		if err != nil {
			return nil, err
		}
		log := AuditLog{Traces: append([]Trace{}, traces...)}
		if len(traces) >= f.Limit {
			log.Next = traces[len(traces)-1].Seq
		}
		return &reply[AuditLog]{Body: log}, nil
	})
}
