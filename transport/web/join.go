package web

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/availability"
	"relais/engine/desk"
)

// How often people may join and ask for their link. A contact is counted by its digest.
const (
	joinBurst    = 8 // of one address
	joinEvery    = 5 * time.Minute
	codeBurst    = 20 // of one address
	codeEvery    = time.Minute
	contactBurst = 3 // of one contact
	contactEvery = 20 * time.Minute

	maxWishForm = 32 << 10 // bytes
)

var (
	//go:embed layout.html
	layoutSource string
	//go:embed join.html
	joinSource string

	doorTemplate = template.Must(template.New("door").Parse(layoutSource + joinSource + ownSource))
)

// doorPage is what the templates of joining show.
type doorPage struct {
	Words   *words
	W       *doorWords
	Style   template.CSS
	Clinic  string
	ID      engine.ClinicID
	Title   string
	Text    []string
	Other   string // the same page in the other language
	Result  bool
	Faults  []string
	Phone   string
	Dial    string
	Action  string
	Press   string
	Handle  string
	Again   string
	Address string

	F           fields
	Specialties []choice
	NeedBorn    bool
	ConsentText string
	Version     string
	wishForm
	QR      template.HTML
	Confirm string // of a button
	Suffix  string // keeps identifiers of several forms on one page apart
}

// wrongField is the field that an error blames; "" for none.
func wrongField(err error) string {
	if field, ok := errors.AsType[*desk.FieldError](err); ok {
		return field.Field
	}
	return ""
}

func (s *Server) doorRoutes() {
	s.mux.HandleFunc("GET /j/{clinic}", s.showDoor)
	s.mux.HandleFunc("POST /j/{clinic}", s.join)
	s.mux.HandleFunc("GET /j/{clinic}/code", s.backToDoor)
	s.mux.HandleFunc("POST /j/{clinic}/code", s.showCode)
	s.mux.HandleFunc("GET /j/{clinic}/link", s.askLink)
	s.mux.HandleFunc("POST /j/{clinic}/link", s.sendLink)
	s.mux.HandleFunc("GET /j/{clinic}/qr.svg", s.showQR)
	s.mux.HandleFunc("GET /j/{clinic}/poster", s.showPoster)
	s.mux.HandleFunc("GET /c/{token}", s.askProve)
	s.mux.HandleFunc("POST /c/{token}", s.proveLink)
	gone := func(w http.ResponseWriter, _ *http.Request) { s.notice(w, http.StatusNotFound, noticeNowhere) }
	s.mux.HandleFunc("/j/", gone)
	s.mux.HandleFunc("/c/", gone)
}

// door finds the clinic; when it reports false the answer was written.
func (s *Server) door(ctx context.Context, w http.ResponseWriter, r *http.Request) (desk.Door, bool) {
	d, err := s.cfg.Doors.Door(ctx, engine.ClinicID(r.PathValue("clinic")))
	switch {
	case err == nil:
		return d, true
	case engine.CodeOf(err) == engine.NotFound:
		s.notice(w, http.StatusNotFound, noticeNowhere)
	default:
		s.later(w, s.problem(ctx, err).Status)
	}
	return d, false
}

// tapped is the language that was tapped, else the clinic's.
func tapped(r *http.Request, otherwise engine.Lang) *words {
	if w := wordsOf[engine.Lang(r.URL.Query().Get("lang"))]; w != nil {
		return w
	}
	if w := wordsOf[otherwise]; w != nil {
		return w
	}
	return wordsOf[engine.French]
}

// newDoorPage begins a page of a clinic; path is where it is, for the link to the other language.
func newDoorPage(d desk.Door, w *words, path, title string, text ...string) doorPage {
	p := doorPage{
		Words: w, W: doorWordsOf[w.Lang], Style: template.CSS(patientStyle), //nolint:gosec // embedded text of our own
		Clinic: d.Name, ID: d.Clinic, Title: title, Text: text, Phone: d.Phone, Dial: dial(d.Phone),
	}
	if path != "" {
		p.Other = path + "?lang=" + string(w.Other)
	}
	return p
}

func (s *Server) doorSend(w http.ResponseWriter, status int, name string, p doorPage) {
	s.send(w, status, doorTemplate.Lookup(name), p)
}

func (s *Server) showDoor(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	if d, ok := s.door(ctx, w, r); ok {
		words := tapped(r, d.Lang)
		s.joinForm(w, http.StatusOK, d, words, desk.JoinRequest{Lang: words.Lang}, fields{Lang: string(words.Lang)}, wishOf{}, nil)
	}
}

// closed answers for a clinic that nobody can join by themselves.
func (s *Server) closed(w http.ResponseWriter, d desk.Door, words *words) {
	dw := doorWordsOf[words.Lang]
	s.doorSend(w, http.StatusOK, "said", newDoorPage(d, words, "/j/"+string(d.Clinic), dw.ClosedTitle, dw.ClosedText))
}

func (s *Server) joinForm(w http.ResponseWriter, status int, d desk.Door, words *words, in desk.JoinRequest, f fields, wish wishOf, faults []string) {
	if !d.Open {
		s.closed(w, d, words)
		return
	}
	dw := doorWordsOf[words.Lang]
	p := newDoorPage(d, words, "/j/"+string(d.Clinic), dw.JoinTitle, dw.Intro)
	p.Action, p.Press = "/j/"+string(d.Clinic)+"?lang="+string(words.Lang), rand.Text()
	p.F, p.Faults, p.NeedBorn, p.ConsentText, p.Version = f, faults, d.Born, dw.ConsentText, ConsentVersion
	for _, doctor := range d.Practitioners {
		id := string(doctor.Specialty)
		if !slices.ContainsFunc(p.Specialties, func(c choice) bool { return c.ID == id }) {
			p.Specialties = append(p.Specialties, choice{id, dw.specialty(doctor.Specialty), doctor.Specialty == in.Specialty})
		}
	}
	p.wishForm = newWishForm(d, words, dw, wish, d.Practitioners)
	s.doorSend(w, status, "form", p)
}

// formOf reads a posted form of bounded size; when it reports false the answer was written.
func (s *Server) formOf(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxWishForm)
	err := parseForm(r)
	if err == nil {
		return true
	}
	status := http.StatusBadRequest
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		status = http.StatusRequestEntityTooLarge
	}
	s.notice(w, status, noticeLater)
	return false
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	d, ok := s.door(ctx, w, r)
	if !ok || !s.formOf(w, r) {
		return
	}
	words := tapped(r, d.Lang)
	dw := doorWordsOf[words.Lang]
	if !d.Open {
		s.closed(w, d, words)
		return
	}
	if s.joinAddress.empty(s.now(), s.address(r)) {
		s.busy(w, d, words)
		return
	}
	in, f, wish, wrong := readJoin(r, words)
	if r.PostForm.Get("website") != "" { // a program filled what people do not see
		s.metrics.Limited(LimitJoin)
		s.codeForm(w, d, words, rand.Text(), dw.SentTitle, nil, dw.SentText, dw.SentText2)
		return
	}
	for _, contact := range []string{in.Phone, in.Email} {
		if contact != "" && len(wrong) == 0 && !s.joinContact.take(s.now(), digest("join\x00"+strings.ToLower(contact))) {
			s.metrics.Limited(LimitJoin)
			s.codeForm(w, d, words, rand.Text(), dw.SentTitle, nil, dw.SentText, dw.SentText2) // as always
			return
		}
	}
	var handle string
	if len(wrong) == 0 {
		var err error
		handle, err = s.cfg.Doors.Join(ctx, d.Clinic, in)
		switch field := wrongField(err); {
		case field != "":
			wrong = append(wrong, field)
		case engine.CodeOf(err) == engine.TooMany && err != nil:
			s.busy(w, d, words)
			return
		case err != nil:
			s.replyFailed(ctx, w, err)
			return
		default: // a form that is sent back to be mended costs nothing
			s.joinAddress.take(s.now(), s.address(r))
		}
	}
	if len(wrong) > 0 {
		var faults []string
		for _, field := range wrong {
			faults = append(faults, dw.faults[field])
		}
		s.joinForm(w, http.StatusUnprocessableEntity, d, words, in, f, wish, faults)
		return
	}
	s.codeForm(w, d, words, handle, dw.SentTitle, nil, dw.SentText, dw.SentText2)
}

func (s *Server) busy(w http.ResponseWriter, d desk.Door, words *words) {
	dw := doorWordsOf[words.Lang]
	s.metrics.Limited(LimitJoin)
	w.Header().Set("Retry-After", "3600")
	s.doorSend(w, http.StatusTooManyRequests, "said", newDoorPage(d, words, "", dw.BusyTitle, dw.BusyText))
}

// readJoin reads the form, and says which fields cannot be taken.
func readJoin(r *http.Request, words *words) (in desk.JoinRequest, f fields, wish wishOf, wrong []string) {
	form := r.PostForm
	f = fields{
		Given: short(form.Get("given"), 60), Family: short(form.Get("family"), 60), Day: short(form.Get("day"), 2), Month: short(form.Get("month"), 2),
		Year: short(form.Get("year"), 4), ProxyName: short(form.Get("proxy"), 80), Relation: short(form.Get("relation"), 40),
		Phone: short(form.Get("phone"), 24), Email: short(form.Get("email"), 120), Lang: form.Get("speaks"), Calls: form.Get("calls") != "",
		Postal: short(form.Get("postal"), 8), Words: short(form.Get("words"), 200),
	}
	if wordsOf[engine.Lang(f.Lang)] == nil {
		f.Lang = string(words.Lang)
	}
	wish = takeWish(form)
	in = desk.JoinRequest{
		Given: f.Given, Family: f.Family, Lang: engine.Lang(f.Lang), Phone: f.Phone, Email: f.Email, Calls: f.Calls && f.Phone != "",
		Specialty: engine.Specialty(short(form.Get("specialty"), 64)), Practitioners: wish.practitioners, Places: wish.places, PostalCode: f.Postal,
		RadiusKm: float64(wish.radius), NoticeMinutes: wish.notice, ProxyName: f.ProxyName, Relation: f.Relation, Key: short(form.Get("press"), 40),
	}
	if form.Get("consent") == ConsentVersion {
		in.Consent = ConsentVersion
	} else {
		wrong = append(wrong, desk.FieldConsent)
	}
	born, ok := birthDate(form)
	if !ok {
		wrong = append(wrong, desk.FieldBorn)
	}
	in.Born = born
	if in.PostalCode == "" {
		in.RadiusKm = 0
	}
	windows, ok := windowsFrom(wish.at, f.Words, words.Lang)
	if !ok {
		wrong = append(wrong, desk.FieldWhen)
	}
	in.Windows = windows
	if (f.ProxyName == "") != (f.Relation == "") {
		wrong = append(wrong, desk.FieldName)
	}
	return in, f, wish, wrong
}

// windowsFrom joins the cells of the grid and what was said in words.
func windowsFrom(at []string, said string, lang engine.Lang) ([]engine.Window, bool) {
	spoken, err := availability.Parse(said)
	if err != nil {
		return nil, false
	}
	all := append(windowsOf(at), spoken...)
	joined, err := availability.Parse(availability.Describe(all, lang)) // overlapping parts of a day become one
	return joined, err == nil
}

func (s *Server) codeForm(w http.ResponseWriter, d desk.Door, words *words, handle, title string, faults []string, text ...string) {
	p := newDoorPage(d, words, "", title, text...)
	p.Handle, p.Result, p.Faults = handle, true, faults
	s.doorSend(w, http.StatusOK, "code", p)
}

// backToDoor serves somebody who reloads the address of a press.
func (s *Server) backToDoor(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	if d, ok := s.door(ctx, w, r); ok {
		private(w)
		w.Header().Set("Location", "/j/"+string(d.Clinic))
		w.WriteHeader(http.StatusSeeOther)
	}
}

func (s *Server) showCode(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	d, ok := s.door(ctx, w, r)
	if !ok || !s.formOf(w, r) {
		return
	}
	words := tapped(r, d.Lang)
	if !s.codeAddress.take(s.now(), s.address(r)) {
		s.busy(w, d, words)
		return
	}
	handle := short(r.PostForm.Get("handle"), 64)
	result, err := s.cfg.Doors.ProveCode(ctx, d.Clinic, handle, short(r.PostForm.Get("code"), 20))
	if err != nil {
		s.replyFailed(ctx, w, err)
		return
	}
	s.proven(w, d, words, result, handle)
}

// proven says what showing a contact came to.
func (s *Server) proven(w http.ResponseWriter, d desk.Door, words *words, result desk.JoinResult, handle string) {
	dw := doorWordsOf[words.Lang]
	p := newDoorPage(d, words, "", dw.DoneTitle, dw.DoneText, dw.DoneText2)
	p.Result = true
	switch result {
	case desk.JoinProven:
		p.Handle = handle
	case desk.JoinAlready:
		p.Title, p.Text = dw.AlreadyTitle, []string{dw.AlreadyText}
	case desk.JoinWrong:
		s.codeForm(w, d, words, handle, dw.WrongTitle, []string{dw.WrongText})
		return
	case desk.JoinOver:
		p.Title, p.Text, p.Again = dw.OverTitle, []string{dw.OverText}, "/j/"+string(d.Clinic)+"?lang="+string(words.Lang)
	}
	s.doorSend(w, http.StatusOK, "said", p)
}

// askProve shows a button to who opens the link of a mail: mail scanners open it too.
func (s *Server) askProve(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	d, words, ok := s.proving(ctx, w, r)
	if !ok {
		return
	}
	dw := doorWordsOf[words.Lang]
	p := newDoorPage(d, words, "/c/"+r.PathValue("token"), dw.MailTitle, dw.MailText)
	p.Action = "/c/" + r.PathValue("token") + "?lang=" + string(words.Lang)
	p.Confirm = dw.ConfirmMail
	s.doorSend(w, http.StatusOK, "press", p)
}

// proving finds what the link of a mail shows; when it reports false the answer was written.
func (s *Server) proving(ctx context.Context, w http.ResponseWriter, r *http.Request) (desk.Door, *words, bool) {
	now, from := s.now(), s.address(r)
	token := r.PathValue("token")
	if s.guesses.empty(now, from) {
		s.metrics.Limited(LimitToken)
		s.later(w, http.StatusTooManyRequests)
		return desk.Door{}, nil, false
	}
	if !plausible(token) {
		s.guesses.take(now, from)
		s.notice(w, http.StatusNotFound, noticeNowhere)
		return desk.Door{}, nil, false
	}
	d, lang, err := s.cfg.Doors.Proving(ctx, token)
	switch {
	case err == nil:
		return d, tapped(r, lang), true
	case engine.CodeOf(err) == engine.NotFound:
		s.guesses.take(now, from)
		s.notice(w, http.StatusNotFound, noticeNowhere)
	default:
		s.later(w, s.problem(ctx, err).Status)
	}
	return d, nil, false
}

func (s *Server) proveLink(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	d, words, ok := s.proving(ctx, w, r)
	if !ok {
		return
	}
	result, err := s.cfg.Doors.ProveLink(ctx, r.PathValue("token"))
	if err != nil {
		s.replyFailed(ctx, w, err)
		return
	}
	s.proven(w, d, words, result, "")
}

func (s *Server) askLink(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	d, ok := s.door(ctx, w, r)
	if !ok {
		return
	}
	words := tapped(r, d.Lang)
	dw := doorWordsOf[words.Lang]
	path := "/j/" + string(d.Clinic) + "/link"
	p := newDoorPage(d, words, path, dw.LinkTitle, dw.LinkText)
	p.Action = path + "?lang=" + string(words.Lang)
	s.doorSend(w, http.StatusOK, "link", p)
}

// sendLink answers the same whether somebody is known or not.
func (s *Server) sendLink(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	d, ok := s.door(ctx, w, r)
	if !ok || !s.formOf(w, r) {
		return
	}
	words := tapped(r, d.Lang)
	if !s.joinAddress.take(s.now(), s.address(r)) {
		s.busy(w, d, words)
		return
	}
	contact := short(r.PostForm.Get("contact"), 120)
	switch {
	case contact == "", r.PostForm.Get("website") != "":
	case !s.joinContact.take(s.now(), digest("link\x00"+strings.ToLower(contact))):
		s.metrics.Limited(LimitJoin)
	default:
		if err := s.cfg.Doors.SendLink(ctx, d.Clinic, contact); err != nil && engine.CodeOf(err) != engine.Invalid {
			s.replyFailed(ctx, w, err)
			return
		}
	}
	dw := doorWordsOf[words.Lang]
	p := newDoorPage(d, words, "", dw.LinkSentTitle, dw.LinkSentText)
	p.Result = true
	s.doorSend(w, http.StatusOK, "said", p)
}
