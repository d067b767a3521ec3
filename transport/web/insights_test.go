package web

import (
	"strings"
	"testing"

	"relais/engine/desk"
)

func TestInsights(t *testing.T) {
	b := setup(t)
	cookie := b.login("marie")
	for of, want := range map[string]int{"roy": 1, "tremblay": 0} {
		v := decode[desk.InsightsView](t, b.do(call{method: "GET", path: "/api/v1/clinics/nord/insights?from=2026-01-05&to=2026-01-11&practitioner=" + of, cookie: cookie}))
		if v.From != "2026-01-05" || v.To != "2026-01-11" || v.Report.Freed != want || len(v.Report.Steps) != 7 {
			t.Errorf("of %s: %+v", of, v)
		}
	}
	w := b.do(call{method: "GET", path: "/api/v1/clinics/nord/insights.csv?from=2026-01-05&to=2026-01-11", cookie: cookie})
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "section,item,figure,value\r\nperiod,,freed,1\r\n") ||
		w.Header().Get("Content-Disposition") != `attachment; filename="insights-2026-01-05-2026-01-11.csv"` {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
