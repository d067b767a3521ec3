package web

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"relais/engine"
	"relais/engine/desk"
)

type insightsQuery struct {
	Period

	Practitioner string `query:"practitioner" maxLength:"64" doc:"only openings of this one"`
	Specialty    string `query:"specialty" maxLength:"64" doc:"only openings of this one"`
}

// insightsCalls are about what a clinic's openings came to.
func (s *Server) insightsCalls(api huma.API) {
	report := func(ctx context.Context, q *insightsQuery) (v desk.InsightsView, err error) {
		ask := desk.InsightsQuery{Practitioner: engine.PractitionerID(q.Practitioner), Specialty: engine.Specialty(q.Specialty)}
		if ask.From, ask.To, err = q.period(); err != nil {
			return v, err
		}
		return s.cfg.Desk.Insights(ctx, q.id(), ask)
	}
	view := operation(http.MethodGet, "/clinics/{clinic}/insights", "insights", "What the openings of a period came to",
		"Counts, without names. 28 days unless given; docs/insights.md says how each figure is reckoned.")
	register(s, api, view, func(ctx context.Context, q *insightsQuery) (*reply[desk.InsightsView], error) {
		return answer(report(ctx, q))
	})

	file := operation(http.MethodGet, "/clinics/{clinic}/insights.csv", "insightsFile", "The same as a file",
		"Comma-separated values, as RFC 4180 has them: section, item, figure, value.")
	file.Responses["200"] = &huma.Response{Description: "The report", Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: "string"}}}}
	register(s, api, file, func(ctx context.Context, q *insightsQuery) (*csvFile, error) {
		v, err := report(ctx, q)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := v.Report.WriteCSV(&out); err != nil {
			return nil, err
		}
		return &csvFile{
			Type: "text/csv; charset=utf-8", Disposition: `attachment; filename="insights-` + v.From + "-" + v.To + `.csv"`, Body: out.Bytes(),
		}, nil
	})
}
