package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
)

// Who gave a patient's date of birth is remembered by a cookie for a while: the date itself is in no address,
// no log and no cookie.

const (
	whoLasts = 30 * time.Minute
	whoBurst = 10 // dates of one address
	whoEvery = 2 * time.Minute
)

func whoCookie(subject string) string { return "who-" + subject[:min(8, len(subject))] }

// proofOf shows until when somebody is known to have given the date of birth of a patient.
func (s *Server) proofOf(subject string, until time.Time) string {
	mac := hmac.New(sha256.New, s.whoKey)
	mac.Write([]byte(subject + "\x00" + strconv.FormatInt(until.Unix(), 10)))
	return strconv.FormatInt(until.Unix(), 10) + "." + hex.EncodeToString(mac.Sum(nil))
}

// identified reports whether who asks gave the patient's date of birth a moment ago.
func (s *Server) identified(r *http.Request, subject string) bool {
	c, err := r.Cookie(whoCookie(subject))
	if err != nil {
		return false
	}
	at, _, _ := strings.Cut(c.Value, ".")
	unix, err := strconv.ParseInt(at, 10, 64)
	until := time.Unix(unix, 0)
	return err == nil && s.now().Before(until) && hmac.Equal([]byte(c.Value), []byte(s.proofOf(subject, until)))
}

// askWho shows the form for the date of birth, and nothing of the patient.
func (s *Server) askWho(w http.ResponseWriter, status int, clinic, phone string, words *words, path string, faults []string) {
	dw := doorWordsOf[words.Lang]
	p := newDoorPage(desk.Door{Name: clinic, Phone: phone}, words, path, dw.WhoTitle, dw.WhoText)
	p.Action, p.Faults, p.NeedBorn = path+"/who?lang="+string(words.Lang), faults, true
	s.doorSend(w, status, "who", p)
}

// takeWho takes a date of birth. When it reports true the answer is a way back to the page.
func (s *Server) takeWho(ctx context.Context, w http.ResponseWriter, r *http.Request, subject, clinic, phone string, words *words, path string) {
	dw := doorWordsOf[words.Lang]
	locked := func() {
		s.metrics.Limited(LimitWho)
		p := newDoorPage(desk.Door{Name: clinic, Phone: phone}, words, "", dw.WhoLocked, dw.WhoLockedText)
		s.doorSend(w, http.StatusTooManyRequests, "said", p)
	}
	if !s.whoAddress.take(s.now(), s.address(r)) {
		locked()
		return
	}
	if !s.formOf(w, r) {
		return
	}
	born, ok := birthDate(r.PostForm)
	if !ok || born == "" {
		s.askWho(w, http.StatusUnprocessableEntity, clinic, phone, words, path, []string{dw.faults[desk.FieldBorn]})
		return
	}
	right, err := s.cfg.Doors.Identify(ctx, r.PathValue("token"), born)
	switch {
	case err != nil && engine.CodeOf(err) == engine.TooMany:
		locked()
	case err != nil:
		s.replyFailed(ctx, w, err)
	case !right:
		s.askWho(w, http.StatusUnprocessableEntity, clinic, phone, words, path, []string{dw.WhoWrong})
	default:
		until := s.now().Add(whoLasts)
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure follows the configuration: a demo on localhost has no HTTPS
			Name: whoCookie(subject), Value: s.proofOf(subject, until), Path: "/", MaxAge: int(whoLasts.Seconds()),
			HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteLaxMode,
		})
		private(w)
		w.Header().Set("Location", path+"?lang="+string(words.Lang))
		w.WriteHeader(http.StatusSeeOther)
	}
}

// whoOffer takes the date of birth that an offer's page asked for.
func (s *Server) whoOffer(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	if view, ok := s.find(ctx, w, r); ok {
		s.takeWho(ctx, w, r, view.Subject, view.Clinic, view.Phone, speak(r, view), "/o/"+r.PathValue("token"))
	}
}
