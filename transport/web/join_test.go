package web

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"relais/engine"
	"relais/engine/desk"
)

var formType = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}

func (b *bench) post(path string, form url.Values, from string) *httptest.ResponseRecorder {
	return b.do(call{method: "POST", path: path, body: form.Encode(), header: formType, from: from})
}

func joinForm() url.Values {
	return url.Values{
		"press": {"PRESSPRESSPRESSPRESSPRESS2"}, "given": {"Zoé"}, "family": {"Été"}, "day": {"3"}, "month": {"2"}, "year": {"1946"},
		"phone": {"514 555-0142"}, "email": {"zoe@example.org"}, "speaks": {"fr"}, "specialty": {"dermatology"}, "practitioner": {"roy"},
		"place": {"n"}, "postal": {"H2X 1Y4"}, "radius": {"25"}, "at": {"2-0", "2-1", "4-2"}, "notice": {"120"}, "consent": {ConsentVersion},
	}
}

// TestDoorPages: every page of joining, in both languages, is one small request without scripts.
func TestDoorPages(t *testing.T) {
	b := setup(t)
	wrong := joinForm()
	wrong.Del("consent")
	wrong.Set("words", "bleu")
	wrong.Set("given", "")
	for _, lang := range []string{"fr", "en"} {
		q := "?lang=" + lang
		handle := url.Values{"handle": {"handle-of-the-join"}}
		code := func(c string) url.Values { v := url.Values{"code": {c}}; v["handle"] = handle["handle"]; return v }
		for name, w := range map[string]*httptest.ResponseRecorder{
			"join":      b.do(call{method: "GET", path: "/j/nord" + q}),
			"join-bad":  b.post("/j/nord"+q, wrong, ""),
			"join-code": b.post("/j/nord"+q, joinForm(), ""),
			"join-not":  b.post("/j/nord/code"+q, code("111111"), ""),
			"join-done": b.post("/j/nord/code"+q, code(goodCode), ""),
			"join-over": b.post("/j/nord/code"+q, url.Values{"handle": {"other"}, "code": {"1"}}, ""),
			"join-mail": b.do(call{method: "GET", path: "/c/" + goodProof + q}),
			"link":      b.do(call{method: "GET", path: "/j/nord/link" + q}),
			"link-sent": b.post("/j/nord/link"+q, url.Values{"contact": {"zoe@example.org"}}, ""),
			"poster":    b.do(call{method: "GET", path: "/j/nord/poster" + q}),
		} {
			if want := map[bool]int{true: 422, false: 200}[name == "join-bad"]; w.Code != want {
				t.Fatalf("%s: %d %s", name, w.Code, w.Body)
			}
			golden(t, name+"."+lang, w)
			checkStyleHash(t, w)
			body := w.Body.String()
			if len(body) > 30_000 || strings.Contains(body, "<script") || strings.Contains(body, "src=") || strings.Contains(body, "MISSING") {
				t.Errorf("%s: %d bytes, or something to load", name, len(body))
			}
			if w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(body, `lang="`+lang+`-CA"`) {
				t.Errorf("%s: headers or language", name)
			}
		}
		b.doors.tries = 0
	}
}

func TestJoining(t *testing.T) {
	b := setup(t)
	w := b.post("/j/nord", joinForm(), "")
	if w.Code != 200 || len(b.doors.asked) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := desk.JoinRequest{
		Given: "Zoé", Family: "Été", Lang: "fr", Born: "1946-02-03", Phone: "514 555-0142", Email: "zoe@example.org", Specialty: "dermatology",
		Practitioners: []engine.PractitionerID{"roy"}, Places: []engine.PlaceID{"n"}, PostalCode: "H2X 1Y4", RadiusKm: 25,
		Windows:       []engine.Window{{Days: 1 << 2, From: 0, Until: 1080}, {Days: 1 << 4, From: 1020, Until: 1440}},
		NoticeMinutes: 120, Consent: ConsentVersion, Key: "PRESSPRESSPRESSPRESSPRESS2",
	}
	if !reflect.DeepEqual(b.doors.asked[0], want) {
		t.Errorf("%+v", b.doors.asked[0])
	}
	relative := joinForm()
	relative.Set("proxy", "Anne Été")
	if w := b.post("/j/nord", relative, "198.51.100.1:1"); w.Code != 422 { // how they are related is missing
		t.Errorf("%d", w.Code)
	}
	relative.Set("relation", "fille")
	relative.Set("phone", "514 555-0143")
	relative.Set("email", "")
	if w := b.post("/j/nord", relative, "198.51.100.1:1"); w.Code != 200 || b.doors.asked[1].ProxyName != "Anne Été" || b.doors.asked[1].Relation != "fille" {
		t.Errorf("%d %+v", w.Code, b.doors.asked)
	}
}

// TestWhatCannotBeTaken: each field that is wrong is named, and what was written is shown again.
func TestWhatCannotBeTaken(t *testing.T) {
	b := setup(t)
	for field, set := range map[string][2]string{
		desk.FieldConsent: {"consent", "2020-01"}, desk.FieldBorn: {"day", "31"}, desk.FieldWhen: {"words", "bleu"}, desk.FieldName: {"given", " "},
	} {
		f := joinForm()
		f.Set(set[0], set[1])
		f.Set("family", `"><b>Été`)
		w := b.post("/j/nord", f, "198.51.100.2:1")
		body := w.Body.String()
		if w.Code != 422 || !strings.Contains(body, doorWordsOf["fr"].faults[field]) || !strings.Contains(body, `role="alert"`) {
			t.Errorf("%s: %d", field, w.Code)
		}
		if !strings.Contains(body, `value="&#34;&gt;&lt;b&gt;Été"`) || !strings.Contains(body, `value="2-1" aria-label="mardi, après-midi" checked`) {
			t.Errorf("%s: the form was not shown again as it was", field)
		}
	}
	if len(b.doors.asked) != 0 {
		t.Errorf("%+v", b.doors.asked)
	}
}

// TestJoiningIsBounded: neither one address nor one contact can have many codes sent, a program that fills
// every field gets none, and all of them read what everybody reads.
func TestJoiningIsBounded(t *testing.T) {
	b := setup(t)
	usual := b.post("/j/nord", joinForm(), "203.0.113.50:1").Body.String()
	same := func(s string) string {
		return handleField.ReplaceAllString(s, "")
	}
	trap := joinForm()
	trap.Set("website", "https://spam.example")
	if w := b.post("/j/nord", trap, "203.0.113.51:1"); w.Code != 200 || same(w.Body.String()) != same(usual) {
		t.Errorf("a program can tell: %d", w.Code)
	}
	for i := range 5 {
		w := b.post("/j/nord", joinForm(), fmt.Sprintf("203.0.113.%d:1", 60+i))
		if w.Code != 200 || same(w.Body.String()) != same(usual) {
			t.Errorf("the limit of a contact can be told: %d", w.Code)
		}
	}
	if len(b.doors.asked) != contactBurst {
		t.Errorf("%d codes for one contact", len(b.doors.asked))
	}
	asked := len(b.doors.asked)
	for i := range 20 {
		f := joinForm()
		f.Set("phone", fmt.Sprintf("514 555-%04d", i))
		f.Set("email", "")
		b.post("/j/nord", f, "203.0.113.99:1")
	}
	if n := len(b.doors.asked) - asked; n != joinBurst {
		t.Errorf("%d codes from one address", n)
	}
	for i := range 30 {
		b.post("/j/nord/code", url.Values{"handle": {"handle-of-the-join"}, "code": {fmt.Sprint(100_000 + i)}}, "203.0.113.98:1")
	}
	if b.doors.tries > codeBurst {
		t.Errorf("%d codes tried from one address", b.doors.tries)
	}
	large := joinForm()
	large.Set("words", strings.Repeat("a", 40_000))
	if w := b.post("/j/nord", large, "203.0.113.97:1"); w.Code != 413 {
		t.Errorf("%d", w.Code)
	}
	many := joinForm()
	many["at"] = slices.Repeat([]string{"1-1"}, 500)
	if w := b.post("/j/nord", many, "203.0.113.96:1"); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
}

// TestTheAnswerSaysNothing: a link that is asked for is answered the same, whoever asks.
func TestTheAnswerSaysNothing(t *testing.T) {
	b := setup(t)
	known := b.post("/j/nord/link", url.Values{"contact": {"zoe@example.org"}}, "").Body.String()
	if other := b.post("/j/nord/link", url.Values{"contact": {"nobody"}}, "").Body.String(); other != known {
		t.Errorf("%s", other)
	}
	for range 6 {
		if w := b.post("/j/nord/link", url.Values{"contact": {"zoe@example.org"}}, "203.0.113.7:1"); w.Body.String() != known {
			t.Errorf("%d", w.Code)
		}
	}
	if len(b.doors.links) != 1+contactBurst {
		t.Errorf("%d links", len(b.doors.links))
	}
}

func TestReadingADoorChangesNothing(t *testing.T) {
	b := setup(t)
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"} {
		for _, path := range []string{"/j/nord", "/j/nord/code", "/j/nord/link", "/j/nord/poster", "/j/nord/qr.svg", "/c/" + goodProof} {
			b.do(call{method: method, path: path})
		}
	}
	if len(b.doors.asked)+len(b.doors.links)+b.doors.tries != 0 {
		t.Error("reading did something")
	}
	gone := b.do(call{method: "GET", path: "/j/sud"})
	if gone.Code != 404 || gone.Body.String() != b.do(call{method: "GET", path: "/c/short"}).Body.String() ||
		gone.Body.String() != b.do(call{method: "GET", path: "/c/" + strings.Repeat("A", 54)}).Body.String() {
		t.Errorf("%d", gone.Code)
	}
	b.doors.door.Open = false
	if w := b.post("/j/nord", joinForm(), ""); w.Code != 200 || !strings.Contains(w.Body.String(), "ne prend pas d’inscription") || len(b.doors.asked) != 0 {
		t.Errorf("%d", w.Code)
	}
}

func TestEveryWordOfTheDoor(t *testing.T) {
	for lang, w := range doorWordsOf {
		v := reflect.ValueOf(*w)
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.String && f.String() == "" {
				t.Errorf("%s: %s is missing", lang, v.Type().Field(i).Name)
			}
		}
		for field, text := range doorWordsOf[engine.French].faults {
			if w.faults[field] == "" || text == "" {
				t.Errorf("%s: no words for %s", lang, field)
			}
		}
	}
}

// TestGrid: windows are shown in the grid as they were chosen, and what does not fit in words.
func TestGrid(t *testing.T) {
	for _, at := range [][]string{{"2-0", "2-1"}, {"1-2"}, {"0-0", "0-1", "0-2", "6-2"}, nil} {
		windows, ok := windowsFrom(at, "", engine.French)
		back, said := cellsOf(windows, engine.French)
		slices.Sort(back)
		if !ok || !slices.Equal(back, at) || said != "" {
			t.Errorf("%v became %v, %v %q", at, windows, back, said)
		}
	}
	windows, _ := windowsFrom([]string{"3-0"}, "jeudi après 15 h", engine.French)
	at, said := cellsOf(windows, engine.French)
	again, ok := windowsFrom(at, said, engine.French)
	if !ok || !reflect.DeepEqual(windows, again) || said == "" {
		t.Errorf("%v %q %v", at, said, again)
	}
}
