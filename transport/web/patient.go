package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

const (
	guessBurst = 20
	guessEvery = 10 * time.Second
	replyBurst = 20
	replyEvery = 5 * time.Second

	maxToken = 128
	maxForm  = 4 << 10 // bytes
)

var (
	//go:embed patient.html
	patientSource string
	//go:embed notice.html
	noticeSource string
	//go:embed patient.css
	patientStyle string

	patientTemplate = template.Must(template.New("patient").Parse(patientSource))
	noticeTemplate  = template.Must(template.New("notice").Parse(noticeSource))

	patientPolicy = pagePolicy(patientStyle, "'self'")
)

// pagePolicy allows one style element, by its hash, and an empty icon.
func pagePolicy(style, formAction string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; form-action " +
		formAction + "; base-uri 'none'; frame-ancestors 'none'"
}

// patientPage is what the template shows.
type patientPage struct {
	View           desk.PatientView
	Words          *words
	Say            say
	Style          template.CSS
	Token          string
	Press          string // makes two submits of one page count once
	When, Deadline string
	Dial           string
	Leave          bool
	Result         bool // the page answers a press
	Own, OwnWord   string
}

// patientRoutes registers the patients' pages. Reading one never changes anything: carriers and
// mail scanners open every link they see.
func (s *Server) patientRoutes() {
	s.mux.HandleFunc("GET /o/{token}", s.showOffer)
	s.mux.HandleFunc("GET /o/{token}/leave", s.askLeave)
	s.mux.HandleFunc("POST /o/{token}/who", s.whoOffer)
	s.mux.HandleFunc("GET /o/{token}/who", s.backToOffer)
	s.mux.HandleFunc("GET /o/{token}/yes", s.backToOffer)
	s.mux.HandleFunc("GET /o/{token}/no", s.backToOffer)
	s.mux.HandleFunc("POST /o/{token}/yes", s.press(engine.Yes, engine.Page))
	s.mux.HandleFunc("POST /o/{token}/no", s.press(engine.No, engine.Page))
	// The URL of List-Unsubscribe, with List-Unsubscribe-Post (RFC 8058).
	s.mux.HandleFunc("POST /o/{token}/leave", s.press(engine.Stop, engine.EmailMail))
	s.mux.HandleFunc("POST /o/{token}/leave/all", s.press(engine.Stop, engine.Page))
	s.mux.HandleFunc("GET /o/{token}/calendar", s.calendarFile)
	s.mux.HandleFunc("/o/", func(w http.ResponseWriter, _ *http.Request) {
		s.notice(w, http.StatusNotFound, noticeGone)
	})
}

func (s *Server) showOffer(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	if view, ok := s.view(ctx, w, r); ok {
		s.page(w, r, view, view.State, false)
	}
}

// askLeave shows a button to people who open the unsubscribe link by hand.
func (s *Server) askLeave(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	view, ok := s.view(ctx, w, r)
	if !ok {
		return
	}
	words := speak(r, view)
	s.render(w, r, view, words, say{Title: words.LeaveTitle, Keep: true}, false, true)
}

// backToOffer serves somebody who reloads the address of a press.
func (s *Server) backToOffer(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	if !plausible(token) {
		s.notice(w, http.StatusNotFound, noticeGone)
		return
	}
	private(w)
	to := "/o/" + token
	if lang := r.URL.Query().Get("lang"); wordsOf[engine.Lang(lang)] != nil {
		to += "?lang=" + lang
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// press takes an answer and shows what came of it.
func (s *Server) press(intent engine.Intent, channel engine.Channel) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		see := s.view
		if intent == engine.Stop { // one click ends messages, whoever they are meant for; it shows nothing
			see = s.find
		}
		view, ok := see(ctx, w, r)
		if !ok {
			return
		}
		token := r.PathValue("token")
		if !s.replies.take(s.now(), digest(token)) {
			s.metrics.Limited(LimitReply)
			s.later(w, http.StatusTooManyRequests)
			return
		}
		if err := parseForm(r); err != nil {
			status := http.StatusBadRequest
			if _, large := errors.AsType[*http.MaxBytesError](err); large {
				status = http.StatusRequestEntityTooLarge
			}
			s.notice(w, status, noticeLater)
			return
		}
		answer, err := s.cfg.Offers.Reply(ctx, engine.Reply{
			ID: pressID(token, r.PostFormValue("press"), intent), Token: token, Channel: channel, Intent: intent, At: s.now(),
		})
		if err != nil {
			s.replyFailed(ctx, w, err)
			return
		}
		if intent == engine.Stop && view.Identity && !s.identified(r, view.Subject) {
			s.notice(w, http.StatusOK, noticeStopped)
			return
		}
		if answer.Kind == engine.AnsStopped && channel == engine.Page {
			words := speak(r, view)
			s.render(w, r, view, words, words.AllLeft, true, false)
			return
		}
		if answer.Kind != "" && known(answer.Kind) {
			s.page(w, r, view, answer.Kind, true)
			return
		}
		// An answer without a page of its own, or a press counted before: show how things stand.
		if view, ok = s.view(ctx, w, r); ok {
			s.page(w, r, view, view.State, true)
		}
	}
}

// calendarFile gives who booked a file for their calendar: with a text alone they would have none.
func (s *Server) calendarFile(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	view, ok := s.view(ctx, w, r)
	if !ok {
		return
	}
	file, err := s.cfg.Offers.CalendarFile(ctx, r.PathValue("token"))
	if err != nil {
		s.replyFailed(ctx, w, err)
		return
	}
	private(w)
	w.Header().Set("Content-Type", "text/calendar; charset=utf-8; method=PUBLISH")
	w.Header().Set("Content-Disposition", `attachment; filename="`+speak(r, view).FileName+`"`)
	_, _ = w.Write(file) //nolint:gosec // a calendar file of ours, sent as one and as an attachment
}

// parseForm reads what browsers send and the multipart form that RFC 8058 also allows.
func parseForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	//nolint:gosec // the caller bounded the body
	if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return err
	}
	return nil
}

// pressID is the same for two submits of one page, so that a double press counts once, and another
// for the page loaded again, so that somebody told "paused" can try again.
func pressID(token, press string, intent engine.Intent) string {
	sum := sha256.Sum256([]byte(token + "\x00" + press + "\x00" + string(intent)))
	return "page-" + hex.EncodeToString(sum[:16])
}

func known(k engine.AnswerKind) bool { _, ok := sayings[engine.French][k]; return ok }

// replyFailed is honest about what is known: nothing recorded, or no way to tell.
func (s *Server) replyFailed(ctx context.Context, w http.ResponseWriter, err error) {
	switch p := s.problem(ctx, err); p.Code {
	case engine.NotFound:
		s.notice(w, http.StatusNotFound, noticeGone)
	case engine.TooMany, engine.StorageFull, engine.Invalid, engine.Forbidden, engine.Conflict, engine.Unsigned:
		s.later(w, p.Status)
	case engine.Unavailable, engine.Internal:
		s.notice(w, p.Status, noticeUnsure)
	}
}

// view finds the offer for who may see it: where the clinic asks, who gave the date of birth. When it reports
// false the answer was written.
func (s *Server) view(ctx context.Context, w http.ResponseWriter, r *http.Request) (desk.PatientView, bool) {
	view, ok := s.find(ctx, w, r)
	if ok && view.Identity && !s.identified(r, view.Subject) {
		s.askWho(w, http.StatusOK, view.Clinic, view.Phone, speak(r, view), "/o/"+r.PathValue("token"), nil)
		return view, false
	}
	return view, ok
}

// find finds the offer. When it reports false the answer was written: one page for a token that is
// malformed, unknown or old, with nothing in it that tells which.
func (s *Server) find(ctx context.Context, w http.ResponseWriter, r *http.Request) (desk.PatientView, bool) {
	now, from := s.now(), s.address(r)
	if s.guesses.empty(now, from) {
		s.metrics.Limited(LimitToken)
		s.later(w, http.StatusTooManyRequests)
		return desk.PatientView{}, false
	}
	token := r.PathValue("token")
	if !plausible(token) {
		s.guesses.take(now, from)
		s.notice(w, http.StatusNotFound, noticeGone)
		return desk.PatientView{}, false
	}
	view, err := s.cfg.Offers.Offer(ctx, token)
	if err == nil {
		return view, true
	}
	p := s.problem(ctx, err)
	if p.Code == engine.NotFound {
		s.guesses.take(now, from)
		s.notice(w, http.StatusNotFound, noticeGone)
	} else {
		s.later(w, p.Status)
	}
	return desk.PatientView{}, false
}

// plausible keeps what cannot be a token away from the store and out of URLs we write.
func plausible(token string) bool {
	if len(token) < 8 || len(token) > maxToken {
		return false
	}
	for _, c := range []byte(token) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// speak chooses the language: what was tapped, else what the patient prefers, else French.
func speak(r *http.Request, view desk.PatientView) *words {
	if w := wordsOf[engine.Lang(r.URL.Query().Get("lang"))]; w != nil {
		return w
	}
	if w := wordsOf[view.Lang]; w != nil {
		return w
	}
	return wordsOf[engine.French]
}

func (s *Server) page(w http.ResponseWriter, r *http.Request, view desk.PatientView, state engine.AnswerKind, result bool) {
	words := speak(r, view)
	text, ok := sayings[words.Lang][state]
	if !ok {
		text = sayings[words.Lang][engine.AnsWithdrawn]
	}
	s.render(w, r, view, words, text, result, state != engine.AnsStopped)
}

func (s *Server) render(w http.ResponseWriter, r *http.Request, view desk.PatientView, words *words, text say, result, leave bool) {
	zone := view.Zone
	if zone == nil {
		zone = time.UTC
	}
	p := patientPage{
		View: view, Words: words, Say: text, Token: r.PathValue("token"), Press: rand.Text(), Result: result, Leave: leave,
		Style: template.CSS(patientStyle), //nolint:gosec // embedded text of our own
		When:  words.span(view.Start.In(zone), view.End.In(zone)),
		Dial:  dial(view.Phone),
	}
	if view.Own != "" {
		p.Own, p.OwnWord = "/p/"+view.Own+"?lang="+string(words.Lang), doorWordsOf[words.Lang].Preferences
	}
	if text.Ask && !view.Deadline.IsZero() {
		p.Deadline = words.moment(view.Deadline.In(zone))
	}
	s.send(w, http.StatusOK, patientTemplate, p)
}

// dial leaves of a printed number what a telephone needs.
func dial(phone string) string {
	return strings.Map(func(c rune) rune {
		if c == '+' || (c >= '0' && c <= '9') {
			return c
		}
		return -1
	}, phone)
}

func (s *Server) later(w http.ResponseWriter, status int) {
	w.Header().Set("Retry-After", "60")
	s.notice(w, status, noticeLater)
}

func (s *Server) notice(w http.ResponseWriter, status int, n notice) {
	s.send(w, status, noticeTemplate, struct {
		notice
		Style template.CSS
	}{n, template.CSS(patientStyle)}) //nolint:gosec // embedded text of our own
}

func (s *Server) send(w http.ResponseWriter, status int, t *template.Template, data any) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		s.log.Error("patient page not rendered", "template", t.Name(), "error", err)
		status = http.StatusInternalServerError
		b.Reset()
	}
	private(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", patientPolicy)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// private keeps a page out of caches, other sites' logs and search engines.
func private(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Robots-Tag", "noindex, nofollow, noarchive")
}
