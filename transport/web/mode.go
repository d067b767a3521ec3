package web

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
	"relais/engine/desk"
)

type modeQuery struct {
	ClinicPath
	Days int `query:"days" minimum:"1" maximum:"366" default:"30" doc:"how far to look back"`
}

type modeRequest struct {
	ClinicPath
	Key  string `header:"Idempotency-Key" required:"true" minLength:"8" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"made by the caller for each press; the same key twice acts once"`
	Body desk.ModeChange
}

// Period is a clinic and the days from one to another. It is exported because huma fills what embeds it.
type Period struct {
	ClinicPath

	From string `query:"from" format:"date" doc:"first day, in the clinic's zone; unless given, 90 days in all, of insights 28"`
	To   string `query:"to" format:"date" doc:"last day; today unless given"`
}

// period reads the days; the zero Time is one that was not given.
func (q *Period) period() (from, to time.Time, err error) {
	for _, day := range []struct {
		name, text string
		is         *time.Time
	}{{"from", q.From, &from}, {"to", q.To, &to}} {
		if day.text == "" {
			continue
		}
		if *day.is, err = time.Parse(time.DateOnly, day.text); err != nil {
			return from, to, engine.Errorf(engine.Invalid, "%s is not a day; write it like 2026-03-21", day.name)
		}
	}
	return from, to, nil
}

type csvFile struct {
	Type        string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// modeCalls are about how much Relais does by itself, and for whom.
func (s *Server) modeCalls(api huma.API) {
	view := operation(http.MethodGet, "/clinics/{clinic}/mode", "mode", "What Relais does by itself",
		"The mode, what happened or would have happened in the last days, and what the policy does with a typical slot, in words.")
	register(s, api, view, func(ctx context.Context, q *modeQuery) (*reply[desk.ModeView], error) {
		return answer(s.cfg.Desk.Mode(ctx, q.id(), q.Days))
	})

	set := operation(http.MethodPost, "/clinics/{clinic}/mode", "setMode", "Change what Relais does by itself",
		"Takes effect at once, for open slots too. 409 when somebody changed the mode meanwhile, or the clinic can only be in shadow mode.")
	register(s, api, set, func(ctx context.Context, q *modeRequest) (*reply[desk.ModeState], error) {
		return answer(s.cfg.Desk.SetMode(ctx, q.id(), callerOf(ctx).ID, q.Key, q.Body))
	})

	report := func(ctx context.Context, q *Period) (desk.FairnessView, error) {
		from, to, err := q.period()
		if err != nil {
			return desk.FairnessView{}, err
		}
		return s.cfg.Desk.Fairness(ctx, q.id(), from, to)
	}
	fair := operation(http.MethodGet, "/clinics/{clinic}/fairness", "fairness", "Offers and bookings by group",
		"By language, age and distance, without names. Groups of fewer than 5 people are joined.")
	register(s, api, fair, func(ctx context.Context, q *Period) (*reply[desk.FairnessView], error) {
		return answer(report(ctx, q))
	})

	file := operation(http.MethodGet, "/clinics/{clinic}/fairness.csv", "fairnessFile", "The same as a file", "Comma-separated values, as RFC 4180 has them.")
	file.Responses["200"] = &huma.Response{Description: "The report", Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: "string"}}}}
	register(s, api, file, func(ctx context.Context, q *Period) (*csvFile, error) {
		v, err := report(ctx, q)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := v.Report.WriteCSV(&out); err != nil {
			return nil, err
		}
		return &csvFile{
			Type: "text/csv; charset=utf-8", Disposition: `attachment; filename="fairness-` + v.From + "-" + v.To + `.csv"`, Body: out.Bytes(),
		}, nil
	})
}
