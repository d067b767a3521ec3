package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"relais/engine"
	"relais/engine/availability"
	"relais/engine/desk"
)

// Me is who is signed in and what they may see.
type Me struct {
	Account engine.UserID     `json:"account"`
	Clinics []desk.ClinicInfo `json:"clinics" nullable:"false"`
	Access  []Access          `json:"access" nullable:"false" doc:"what the account may do in each of the clinics"`
	Sandbox bool              `json:"sandbox" doc:"the process is a demo with a pretend record system and pretend phones"`
	Version string            `json:"version"`
}

// ClinicList is every clinic that the account may see.
type ClinicList struct {
	Clinics []desk.ClinicInfo `json:"clinics" nullable:"false"`
}

// People is one page of a waitlist.
type People struct {
	People []desk.Person  `json:"people" nullable:"false"`
	Next   engine.EntryID `json:"next,omitempty" doc:"pass it as after for the next page; absent on the last one"`
}

type reply[T any] struct{ Body T }

type nothing struct{}

func answer[T any](v T, err error) (*reply[T], error) {
	if err != nil {
		return nil, err
	}
	return &reply[T]{Body: v}, nil
}

// register adds a call whose errors become problems.
func register[I, O any](s *Server, api huma.API, op huma.Operation, f func(context.Context, *I) (*O, error)) {
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

type signInRequest struct {
	Body struct {
		Account  string `json:"account" minLength:"1" maxLength:"100"`
		Password string `json:"password" minLength:"1" maxLength:"1024"`
		Code     string `json:"code,omitempty" maxLength:"32" doc:"of the authenticator app, or a recovery code; needed when the answer's step is code"`
	} `nameHint:"SignIn"`
}

type signInReply struct {
	Cookie string `header:"Set-Cookie"`
	Body   Me
}

type signOutReply struct {
	Cookie string `header:"Set-Cookie"`
}

// ClinicPath is the part of a path that names a clinic. It is exported so that huma looks inside
// when it is embedded.
type ClinicPath struct {
	Clinic string `path:"clinic" maxLength:"64" doc:"a clinic's identifier"`
}

func (p ClinicPath) id() engine.ClinicID { return engine.ClinicID(p.Clinic) }

type slotPath struct {
	ClinicPath
	Slot string `path:"slot" maxLength:"128" doc:"a slot's identifier"`
}

type actionRequest struct {
	ClinicPath
	Slot string `path:"slot" maxLength:"128" doc:"a slot's identifier"`
	Key  string `header:"Idempotency-Key" required:"true" minLength:"8" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"made by the caller for each press; the same key twice acts once"`
	Body desk.Action
}

type waitlistQuery struct {
	ClinicPath
	After string `query:"after" maxLength:"128" doc:"next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type availabilityRequest struct {
	ClinicPath
	Body struct {
		Text string      `json:"text" maxLength:"500" doc:"for example: mardi matin, jeudi après 15 h"`
		Lang engine.Lang `json:"lang" enum:"fr,en" doc:"of what is said back"`
	} `nameHint:"AvailabilityText"`
}

// Availability is when somebody can come, as it was understood.
type Availability struct {
	Windows []engine.Window `json:"windows" doc:"none: any time"`
	Said    string          `json:"said" doc:"the same in words; empty for any time"`
}

type enrolRequest struct {
	ClinicPath
	Body desk.Enrolment
}

type holdRequest struct {
	ClinicPath
	Body struct {
		Hold bool `json:"hold" doc:"true suspends the clinic by hand, false ends that"`
	} `nameHint:"Hold"`
}

var cookieSecurity = []map[string][]string{{"session": {}}}

// operation fills in what all calls share: who may call, and that any error is a Problem.
func operation(method, path, id, summary, description string) huma.Operation {
	return huma.Operation{
		Method: method, Path: "/api/v1" + path, OperationID: id, Summary: summary, Description: description,
		Tags: []string{tagOf(path)}, Security: cookieSecurity, MaxBodyBytes: maxBody,
		Responses: map[string]*huma.Response{"default": {
			Description: "What went wrong, as RFC 9457",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}},
		}},
	}
}

// maxBody is one byte over 1 MiB: huma refuses a body that reaches the limit.
const maxBody = 1<<20 + 1

func tagOf(path string) string {
	switch {
	case strings.Contains(path, "/waitlist"), strings.Contains(path, "/patients"), strings.Contains(path, "/contacts"), strings.Contains(path, "/unread"):
		return "Waitlist"
	case strings.Contains(path, "/slots") || strings.HasSuffix(path, "/calendar"):
		return "Calendar"
	case strings.HasPrefix(path, "/clinics"):
		return "Clinic"
	}
	return "Session"
}

// newAPI registers every call on the mux and returns their description.
func newAPI(s *Server, mux *http.ServeMux) (*huma.OpenAPI, error) {
	api := humago.New(mux, apiConfig())
	prepareSpec(api.OpenAPI())
	api.UseMiddleware(s.guard)
	s.sessionCalls(api)
	s.clinicCalls(api)
	s.slotCalls(api)
	s.waitlistCalls(api)
	s.peopleCalls(api)
	s.listCalls(api)
	s.newcomerCalls(api)
	s.rightsCalls(api)
	s.modeCalls(api)
	s.optionCalls(api)
	s.accountCalls(api)
	s.passkeyCalls(api)
	s.tokenCalls(api)
	s.userCalls(api)
	s.auditCalls(api)
	s.insightsCalls(api)
	return api.OpenAPI(), finishSpec(api.OpenAPI())
}

// guard lets a call through when its session is good and the account's role in the clinic is enough.
// A clinic of somebody else looks like one that does not exist.
func (s *Server) guard(hc huma.Context, next func(huma.Context)) {
	ctx, cancel := context.WithTimeout(hc.Context(), callTimeout)
	defer cancel()
	hc = huma.WithContext(hc, ctx)
	need := needs[hc.Operation().OperationID]
	if need == Public {
		next(hc)
		return
	}
	r, w := humago.Unwrap(hc)
	who, renewed, err := s.authenticate(ctx, r)
	if err != nil {
		writeProblem(w, s.problem(ctx, err))
		return
	}
	if renewed != nil {
		http.SetCookie(w, renewed)
	}
	c := engine.ClinicID(hc.Param("clinic"))
	if c != "" && !who.may(c, Look) {
		writeProblem(w, newProblem(engine.NotFound, "There is no such clinic."))
		return
	}
	if need == Self && who.token != nil {
		writeProblem(w, newProblem(engine.Forbidden, "An API token cannot manage an account; sign in."))
		return
	}
	if need != Own && need != Self && !who.may(c, need) {
		writeProblem(w, newProblem(engine.Forbidden, "Your role in this clinic does not allow this; an administrator of the clinic can change it."))
		return
	}
	hc = huma.WithValue(huma.WithValue(huma.WithValue(hc, keyCaller, who), keyHTTP, r), engine.OriginKey{}, who.from)
	next(hc)
	if op := hc.Operation(); hc.Status() < http.StatusMultipleChoices && recorded(op) {
		s.recordCall(ctx, op, r, who)
	}
}

// withRequest carries the request to the calls that read its cookie or address.
func (s *Server) withRequest(hc huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(hc)
	next(huma.WithValue(hc, keyHTTP, r))
}

func requestOf(ctx context.Context) *http.Request {
	r, _ := ctx.Value(keyHTTP).(*http.Request)
	return r
}

func (s *Server) sessionCalls(api huma.API) {
	in := operation(http.MethodPost, "/session", "signIn", "Sign in", "Opens a session and sets its cookie. A session ends 12 hours after its last call.")
	in.Security, in.Middlewares = nil, huma.Middlewares{s.withRequest}
	register(s, api, in, func(ctx context.Context, q *signInRequest) (*signInReply, error) {
		r := requestOf(ctx)
		secret, who, err := s.signIn(ctx, r, engine.UserID(q.Body.Account), q.Body.Password, q.Body.Code)
		if err != nil {
			return nil, err
		}
		return &signInReply{Cookie: s.cookie(secret).String(), Body: s.me(ctx, who)}, nil
	})

	out := operation(http.MethodDelete, "/session", "signOut", "Sign out", "Ends the session and its live feeds. It works without a session too.")
	out.Security, out.Middlewares, out.DefaultStatus = nil, huma.Middlewares{s.withRequest}, http.StatusNoContent
	register(s, api, out, func(ctx context.Context, _ *nothing) (*signOutReply, error) {
		if err := s.signOut(ctx, requestOf(ctx)); err != nil {
			return nil, err
		}
		return &signOutReply{Cookie: s.cookie("").String()}, nil
	})

	me := operation(http.MethodGet, "/me", "me", "Who is signed in", "The account and its clinics.")
	register(s, api, me, func(ctx context.Context, _ *nothing) (*reply[Me], error) {
		return &reply[Me]{Body: s.me(ctx, callerOf(ctx))}, nil
	})
}

func (s *Server) me(ctx context.Context, who *caller) Me {
	me := Me{Account: who.ID, Clinics: s.clinics(ctx, who), Access: []Access{}, Sandbox: s.cfg.Sandbox, Version: s.cfg.Version}
	for i := range me.Clinics {
		me.Access = append(me.Access, who.access(me.Clinics[i].ID))
	}
	return me
}

func (s *Server) clinics(ctx context.Context, who *caller) []desk.ClinicInfo {
	mine := []desk.ClinicInfo{}
	for _, c := range s.cfg.Desk.Clinics(ctx) {
		if who.may(c.ID, Look) {
			mine = append(mine, c)
		}
	}
	return mine
}

func (s *Server) clinicCalls(api huma.API) {
	list := operation(http.MethodGet, "/clinics", "clinics", "List the clinics", "Those the account may see.")
	register(s, api, list, func(ctx context.Context, _ *nothing) (*reply[ClinicList], error) {
		return &reply[ClinicList]{Body: ClinicList{Clinics: s.clinics(ctx, callerOf(ctx))}}, nil
	})

	state := operation(http.MethodGet, "/clinics/{clinic}/health", "health", "Health of the record system", "Whether the clinic's record system can be trusted now, and what waits because it cannot.")
	register(s, api, state, func(ctx context.Context, q *ClinicPath) (*reply[desk.Health], error) {
		return answer(s.cfg.Desk.Health(ctx, q.id()))
	})

	sync := operation(http.MethodGet, "/clinics/{clinic}/sync", "sync", "How the record system is followed", "The last looks and hints, the delay, the clocks, what waits to be written, how things are done with it, and what happened lately.")
	register(s, api, sync, func(ctx context.Context, q *ClinicPath) (*reply[desk.Sync], error) {
		return answer(s.cfg.Desk.Sync(ctx, q.id()))
	})

	hold := operation(http.MethodPost, "/clinics/{clinic}/hold", "hold", "Suspend by hand", "While a clinic is held nothing is sent for it. Answers with the health afterwards.")
	register(s, api, hold, func(ctx context.Context, q *holdRequest) (*reply[desk.Health], error) {
		if err := s.cfg.Desk.Hold(ctx, q.id(), callerOf(ctx).ID, q.Body.Hold); err != nil {
			return nil, err
		}
		return answer(s.cfg.Desk.Health(ctx, q.id()))
	})

	check := operation(http.MethodPost, "/clinics/{clinic}/check", "check", "Look at the record system now", "Answers with the health afterwards.")
	register(s, api, check, func(ctx context.Context, q *ClinicPath) (*reply[desk.Health], error) {
		if err := s.cfg.Desk.CheckNow(ctx, q.id()); err != nil {
			return nil, err
		}
		return answer(s.cfg.Desk.Health(ctx, q.id()))
	})
}

func (s *Server) slotCalls(api huma.API) {
	calendar := operation(http.MethodGet, "/clinics/{clinic}/calendar", "calendar", "The calendar as it is", "The same snapshot that the live feed starts with. Follow it with /ws/calendar.")
	register(s, api, calendar, func(ctx context.Context, q *ClinicPath) (*reply[desk.Snapshot], error) {
		return answer(s.cfg.Desk.Snapshot(ctx, q.id()))
	})

	slot := operation(http.MethodGet, "/clinics/{clinic}/slots/{slot}", "slot", "Everything about one slot", "Who was asked, who else fits or why not, and the timeline.")
	register(s, api, slot, func(ctx context.Context, q *slotPath) (*reply[desk.Detail], error) {
		return answer(s.cfg.Desk.Slot(ctx, q.id(), engine.SlotID(q.Slot)))
	})

	act := operation(http.MethodPost, "/clinics/{clinic}/slots/{slot}/actions", "act", "Act on a slot",
		"Send the revision of the card the person was looking at. When somebody changed the slot meanwhile the answer is 409 with the card as it is now.")
	register(s, api, act, func(ctx context.Context, q *actionRequest) (*reply[desk.Card], error) {
		slot := engine.SlotID(q.Slot)
		card, err := s.cfg.Desk.Act(ctx, q.id(), slot, callerOf(ctx).ID, q.Key, q.Body)
		if err == nil {
			return &reply[desk.Card]{Body: card}, nil
		}
		p := s.problem(ctx, err)
		if p.Code == engine.Conflict {
			if d, err := s.cfg.Desk.Slot(ctx, q.id(), slot); err == nil {
				p.Card = &d.Card
			}
		}
		return nil, p
	})
}

func (s *Server) waitlistCalls(api huma.API) {
	list := operation(http.MethodGet, "/clinics/{clinic}/waitlist", "waitlist", "A page of the waitlist", "In the order of entry identifiers.")
	register(s, api, list, func(ctx context.Context, q *waitlistQuery) (*reply[People], error) {
		people, err := s.cfg.Desk.Waitlist(ctx, q.id(), engine.EntryID(q.After), q.Limit)
		if err != nil {
			return nil, err
		}
		body := People{People: append([]desk.Person{}, people...)}
		if len(people) >= q.Limit {
			body.Next = people[len(people)-1].Entry
		}
		return &reply[People]{Body: body}, nil
	})

	when := operation(http.MethodPost, "/clinics/{clinic}/waitlist/availability", "readAvailability", "Read when somebody can come", "In their own words, French or English; what was understood is said back.")
	register(s, api, when, func(_ context.Context, q *availabilityRequest) (*reply[Availability], error) {
		windows, err := availability.Parse(q.Body.Text)
		if err != nil {
			return nil, err
		}
		return &reply[Availability]{Body: Availability{Windows: append([]engine.Window{}, windows...), Said: availability.Describe(windows, q.Body.Lang)}}, nil
	})

	enrol := operation(http.MethodPost, "/clinics/{clinic}/waitlist", "enrol", "Add a patient", "A new patient with one wish.")
	enrol.DefaultStatus = http.StatusCreated
	register(s, api, enrol, func(ctx context.Context, q *enrolRequest) (*reply[desk.Person], error) {
		return answer(s.cfg.Desk.Enrol(ctx, q.id(), callerOf(ctx).ID, q.Body))
	})
}

// unknownAPI answers for paths under /api/ that are no call, and for wrong methods on those that
// are.
func (s *Server) unknownAPI(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != "" && pattern != "/api/" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		writeProblem(w, newProblem(engine.NotFound, "There is no such call; /api/docs lists them."))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeProblem(w, &Problem{Status: http.StatusMethodNotAllowed, Code: engine.Invalid, Detail: "This call has another method; see the Allow header."})
}
