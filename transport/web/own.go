package web

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"relais/engine"
	"relais/engine/desk"
	"relais/engine/outlook"
)

//go:embed own.html
var ownSource string

// ownPage is what the template of somebody's own page shows.
type ownPage struct {
	doorPage
	Base     string
	Done     string
	Asked    bool
	Paused   bool
	Tomorrow string
	Wishes   []ownWish
	Contacts []ownContact
	From, To []choice
	Offers   []string
}

type ownWish struct {
	Entry    engine.EntryID
	Title    string
	Lines    []string
	Editable bool
	Form     doorPage
}

type ownContact struct {
	desk.OwnContact
	Name, State          string
	Stop, Resume, Remove bool
}

func (s *Server) ownRoutes() {
	s.mux.HandleFunc("GET /p/{token}", s.showOwn)
	s.mux.HandleFunc("POST /p/{token}/who", s.whoOwn)
	s.mux.HandleFunc("GET /p/{token}/stop", s.askStop)
	s.mux.HandleFunc("GET /p/{token}/{what}", s.backToOwn)
	s.mux.HandleFunc("POST /p/{token}/{what}", s.changeOwn)
	s.mux.HandleFunc("/p/", func(w http.ResponseWriter, _ *http.Request) { s.notice(w, http.StatusNotFound, noticeNowhere) })
}

// ownView finds the page of a link; when it reports false the answer was written.
func (s *Server) ownView(ctx context.Context, w http.ResponseWriter, r *http.Request) (desk.OwnView, bool) {
	now, from, token := s.now(), s.address(r), r.PathValue("token")
	if s.guesses.empty(now, from) {
		s.metrics.Limited(LimitToken)
		s.later(w, http.StatusTooManyRequests)
		return desk.OwnView{}, false
	}
	if !plausible(token) {
		s.guesses.take(now, from)
		s.notice(w, http.StatusNotFound, noticeNowhere)
		return desk.OwnView{}, false
	}
	v, err := s.cfg.Doors.Own(ctx, token)
	switch {
	case err == nil:
		return v, true
	case engine.CodeOf(err) == engine.NotFound:
		s.guesses.take(now, from)
		s.notice(w, http.StatusNotFound, noticeNowhere)
	default:
		s.later(w, s.problem(ctx, err).Status)
	}
	return v, false
}

// knownOwn is ownView for who gave the date of birth, where that is asked.
func (s *Server) knownOwn(ctx context.Context, w http.ResponseWriter, r *http.Request) (desk.OwnView, *words, bool) {
	v, ok := s.ownView(ctx, w, r)
	if !ok {
		return v, nil, false
	}
	words := tapped(r, v.Lang)
	if v.Identity && !s.identified(r, v.Subject) {
		s.askWho(w, http.StatusOK, v.Door.Name, v.Door.Phone, words, "/p/"+r.PathValue("token"), nil)
		return v, words, false
	}
	return v, words, true
}

func (s *Server) whoOwn(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	if v, ok := s.ownView(ctx, w, r); ok {
		s.takeWho(ctx, w, r, v.Subject, v.Door.Name, v.Door.Phone, tapped(r, v.Lang), "/p/"+r.PathValue("token"))
	}
}

func (s *Server) showOwn(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	if v, words, ok := s.knownOwn(ctx, w, r); ok {
		s.ownPage(w, r, http.StatusOK, v, words, "", nil)
	}
}

// backToOwn serves somebody who reloads the address of a press.
func (s *Server) backToOwn(w http.ResponseWriter, r *http.Request) {
	if !plausible(r.PathValue("token")) {
		s.notice(w, http.StatusNotFound, noticeNowhere)
		return
	}
	private(w)
	w.Header().Set("Location", "/p/"+r.PathValue("token"))
	w.WriteHeader(http.StatusSeeOther)
}

// askStop shows a button to who opens the unsubscribe link of a mail by hand.
func (s *Server) askStop(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	v, ok := s.ownView(ctx, w, r)
	if !ok {
		return
	}
	words := tapped(r, v.Lang)
	p := newDoorPage(v.Door, words, "/p/"+r.PathValue("token")+"/stop", words.LeaveTitle)
	p.Action = "/p/" + r.PathValue("token") + "/stop?lang=" + string(words.Lang)
	p.Confirm = doorWordsOf[words.Lang].Stop
	s.doorSend(w, http.StatusOK, "press", p)
}

func (s *Server) changeOwn(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	what, token := r.PathValue("what"), r.PathValue("token")
	var v desk.OwnView
	var words *words
	var ok bool
	if what == desk.OwnStop { // the URL of List-Unsubscribe: it shows nothing, so nobody need say who they are
		v, ok = s.ownView(ctx, w, r)
		words = tapped(r, v.Lang)
	} else {
		v, words, ok = s.knownOwn(ctx, w, r)
	}
	if !ok || !s.formOf(w, r) {
		return
	}
	if !s.replies.take(s.now(), digest(token)) {
		s.metrics.Limited(LimitReply)
		s.later(w, http.StatusTooManyRequests)
		return
	}
	dw := doorWordsOf[words.Lang]
	in, wrong := readOwn(r, what, v, words)
	var next desk.OwnView
	var handle string
	if wrong == "" {
		var err error
		next, handle, err = s.cfg.Doors.ChangeOwn(ctx, token, in)
		switch field := wrongField(err); {
		case field != "":
			wrong = field
		case engine.CodeOf(err) == engine.Conflict && err != nil: // it was older than what it changes: show it anew
			s.ownPage(w, r, http.StatusConflict, v, words, "", nil)
			return
		case err != nil:
			s.replyFailed(ctx, w, err)
			return
		}
	}
	switch {
	case wrong != "":
		s.ownPage(w, r, http.StatusUnprocessableEntity, v, words, "", []string{dw.faults[wrong]})
	case what == desk.OwnAdd:
		s.codeForm(w, v.Door, words, handle, dw.SentTitle, nil, dw.SentText)
	case dw.bye(what) != "" || what == desk.OwnStop && v.Identity && !s.identified(r, v.Subject):
		text := dw.bye(what)
		if text == "" {
			text = dw.DoneStop
		}
		p := newDoorPage(v.Door, words, "", dw.ByeTitle, text)
		p.Result = true
		s.doorSend(w, http.StatusOK, "said", p)
	default:
		s.ownPage(w, r, http.StatusOK, next, words, dw.done(what), nil)
	}
}

// bye is what is said after a change that ends the page.
func (w *doorWords) bye(what string) string {
	switch what {
	case desk.OwnLeave:
		return w.ByeLeft
	case desk.OwnWithdraw:
		return w.ByeWithdrawn
	case desk.OwnRenew:
		return w.ByeRenewed
	case desk.OwnRemove:
		return w.ByeRemoved
	}
	return ""
}

func (w *doorWords) done(what string) string {
	switch what {
	case desk.OwnSnooze:
		return w.DonePaused
	case desk.OwnWake:
		return w.DoneWoken
	case desk.OwnStay:
		return w.DoneStay
	case desk.OwnStop:
		return w.DoneStop
	case desk.OwnResume:
		return w.DoneResume
	}
	return w.DoneSaved
}

// readOwn reads what was pressed, and the field that cannot be taken.
func readOwn(r *http.Request, what string, v desk.OwnView, words *words) (in desk.OwnChange, wrong string) {
	form := r.PostForm
	in = desk.OwnChange{Action: what, Index: atMost(form.Get("i"), 100), Was: short(form.Get("was"), 120), Until: short(form.Get("until"), 10)}
	switch what {
	case desk.OwnWishes:
		wish := takeWish(form)
		windows, ok := windowsFrom(wish.at, short(form.Get("words"), 200), words.Lang)
		if !ok {
			return in, desk.FieldWhen
		}
		in.Entry, in.Practitioners, in.Places, in.Windows = engine.EntryID(short(form.Get("entry"), 64)), wish.practitioners, wish.places, windows
		in.PostalCode, in.RadiusKm, in.NoticeMinutes = short(form.Get("postal"), 8), float64(wish.radius), wish.notice
	case desk.OwnPerson:
		in.Lang = engine.Lang(form.Get("speaks"))
		if wordsOf[in.Lang] == nil {
			in.Lang = words.Lang
		}
		if form.Get("from") != "" && form.Get("to") != "" {
			in.Hours = &engine.Hours{From: atMost(form.Get("from"), 24*60), Until: atMost(form.Get("to"), 24*60)}
		}
	case desk.OwnAdd:
		contact := short(form.Get("contact"), 120)
		if strings.Contains(contact, "@") {
			in.Email = contact
		} else {
			in.Phone = contact
		}
		if in.Consent = form.Get("consent"); in.Consent != ConsentVersion {
			return in, desk.FieldConsent
		}
	case desk.OwnStop:
		if !form.Has("i") { // by the mail's own link: where it was sent
			i := slices.IndexFunc(v.Contacts, func(c desk.OwnContact) bool { return c.Here })
			if i < 0 {
				return in, desk.FieldContact
			}
			in.Index, in.Was = v.Contacts[i].Index, v.Contacts[i].Shown
		}
	}
	return in, ""
}

func (s *Server) ownPage(w http.ResponseWriter, r *http.Request, status int, v desk.OwnView, words *words, done string, faults []string) {
	dw := doorWordsOf[words.Lang]
	title := dw.OwnTitle
	if v.Proxy {
		title = dw.OwnProxy
	}
	base := "/p/" + r.PathValue("token")
	zone := v.Zone
	if zone == nil {
		zone = time.UTC
	}
	p := ownPage{
		doorPage: newDoorPage(v.Door, words, base, title), Base: base, Done: done, Asked: v.Asked,
		Tomorrow: s.now().In(zone).AddDate(0, 0, 1).Format(time.DateOnly),
	}
	p.Faults, p.Version, p.F.Lang = faults, ConsentVersion, string(v.Lang)
	for _, wish := range v.Wishes {
		p.Wishes = append(p.Wishes, newOwnWish(v, wish, words, dw, zone))
		p.Paused = p.Paused || wish.Status == engine.Snoozed
	}
	for _, c := range v.Contacts {
		p.Contacts = append(p.Contacts, newOwnContact(c, dw))
	}
	hours := v.Usual
	if v.Hours != nil {
		hours = *v.Hours
	}
	if hours.From == hours.Until { // any time
		hours = engine.Hours{From: 0, Until: 24 * 60}
	}
	p.From, p.To = hourChoices(words, hours.From, 0, 23), hourChoices(words, hours.Until, 1, 24)
	for _, o := range v.Offers {
		what, ok := dw.offers[o.Status]
		if !ok {
			what = dw.offers[""]
		}
		p.Offers = append(p.Offers, fmt.Sprintf(dw.OfferLine, words.day(o.At.In(zone)), words.moment(o.Start.In(zone)), what))
	}
	s.send(w, status, doorTemplate.Lookup("own"), p)
}

// hourChoices are whole hours, and what was chosen when that is none.
func hourChoices(w *words, chosen, from, until int) (list []choice) {
	all := []int{}
	for h := from; h <= until; h++ {
		all = append(all, h*60)
	}
	if !slices.Contains(all, chosen) {
		all = append(all, chosen)
		slices.Sort(all)
	}
	for _, m := range all {
		list = append(list, choice{strconv.Itoa(m), w.clock(time.Date(2026, 1, 1, 0, m, 0, 0, time.UTC)), m == chosen})
	}
	return list
}

func newOwnWish(v desk.OwnView, wish desk.OwnWish, words *words, dw *doorWords, zone *time.Location) ownWish {
	o := ownWish{Entry: wish.Entry, Title: dw.specialty(wish.Specialty), Editable: !wish.Follows && wish.Status != engine.Claimed}
	switch {
	case wish.Status == engine.Linking:
		o.Lines = append(o.Lines, dw.StatusLinking)
	case wish.Status == engine.Claimed:
		o.Lines = append(o.Lines, dw.StatusClaimed)
	case wish.Status == engine.Snoozed && wish.Until.IsZero():
		o.Lines = append(o.Lines, dw.PausedOpen)
	case wish.Status == engine.Snoozed:
		o.Lines = append(o.Lines, fmt.Sprintf(dw.PausedUntil, words.day(wish.Until.In(zone))))
	default:
		joined := wish.Joined.In(zone)
		o.Lines = append(o.Lines, fmt.Sprintf(dw.StatusWaiting, words.day(joined)+nbsp+strconv.Itoa(joined.Year())), dw.others(wish.Outlook), dw.wait(wish.Outlook))
	}
	if wish.Follows {
		o.Lines = append(o.Lines, dw.Follows)
	}
	at, said := cellsOf(wish.Windows, words.Lang)
	var doctors []engine.Practitioner
	for _, p := range v.Door.Practitioners {
		if p.Specialty == wish.Specialty {
			doctors = append(doctors, p)
		}
	}
	o.Form = doorPage{Words: words, W: dw, wishForm: newWishForm(v.Door, words, dw, wishOf{
		practitioners: wish.Practitioners, places: wish.Places, radius: int(wish.RadiusKm), notice: wish.NoticeMinutes, at: at,
	}, doctors)}
	o.Form.F.Words = said
	o.Form.Suffix = "-" + string(wish.Entry)
	return o
}

// others says roughly how many wait for the same.
func (w *doorWords) others(o outlook.Outlook) string {
	switch {
	case o.Until == 0:
		return fmt.Sprintf(w.FewOthers, o.From)
	case o.Until == o.From:
		return fmt.Sprintf(w.ManyOthers, o.From)
	}
	return fmt.Sprintf(w.SomeOthers, o.From, o.Until)
}

// wait says within what time people had a first offer, where enough is known.
func (w *doorWords) wait(o outlook.Outlook) string {
	switch {
	case o.Half == 0:
		return w.NotKnown
	case o.Most == 0:
		return fmt.Sprintf(w.HalfWithin, w.span(o.Half))
	}
	return fmt.Sprintf(w.Between, w.span(o.Half), w.span(o.Most))
}

// span rounds up to days, and from two weeks on to weeks.
func (w *doorWords) span(d time.Duration) string {
	const day = 24 * time.Hour
	if d <= 14*day {
		return fmt.Sprintf(w.Days, max(2, int((d+day-1)/day)))
	}
	return fmt.Sprintf(w.Weeks, int((d+7*day-1)/(7*day)))
}

func newOwnContact(c desk.OwnContact, dw *doorWords) ownContact {
	o := ownContact{OwnContact: c, Stop: c.Usable && c.Channel != engine.Voice, Resume: c.Stopped && c.Here, Remove: !c.Here}
	form := dw.ByText
	switch c.Channel {
	case engine.Voice:
		form = dw.ByCall
	case engine.EmailMail:
		form = dw.ByMail
	case engine.SMS, engine.Page, engine.Desk:
	}
	o.Name = fmt.Sprintf(form, c.Shown)
	switch {
	case c.Stopped:
		o.State = dw.Stopped
	case !c.Usable:
		o.State = dw.Broken
	case c.Here:
		o.State = dw.Here
	}
	return o
}
