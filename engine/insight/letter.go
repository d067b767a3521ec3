package insight

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"relais/engine"
)

// Letter is the report of one week as a mail to the person who runs the clinic: counts only. monday is the
// week's first day, in the clinic's zone; link is where the page with all of it is, "" when there is none.
func (r Report) Letter(lang engine.Lang, clinic string, monday time.Time, link string) (subject, text string) {
	w := french
	if lang == engine.English {
		w = english
	}
	sunday := monday.AddDate(0, 0, 6)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", clinic)
	line("%s\n", w.week(monday, sunday))
	if r.Freed == 0 {
		line("%s", w.nothing)
	} else {
		row := func(name, value string) { line("%s%s %s", name, w.colon, value) }
		row(w.filled, w.share(r.Filled, r.Filled+r.Expired))
		if r.FillMinutes != nil {
			row(w.time, w.minutes(*r.FillMinutes))
		}
		row(w.recovered, w.minutes(float64(r.Minutes)))
		if r.Moved > 0 {
			row(w.days, fmt.Sprintf(w.moved, w.number(r.DaysGained), r.Moved))
		}
		if r.OffersPerFill != nil {
			row(w.offers, w.number(*r.OffersPerFill))
		}
		row(w.late, strconv.Itoa(r.Late))
		if r.Came+r.Missed > 0 {
			row(w.came, w.share(r.Came, r.Came+r.Missed))
		}
		row(w.stops, strconv.Itoa(r.OptOuts))
		line("")
		line("%s %d, %s %d, %s %d, %s %d.", w.freed, r.Freed, w.byHand, r.ByHand, w.elsewhere, r.Elsewhere+r.Withdrawn, w.underway, r.Underway)
	}
	if link != "" {
		line("\n%s\n%s", w.more, link)
	}
	line("\n%s", w.why)
	return fmt.Sprintf(w.subject, clinic, w.day(monday)), b.String()
}

// letter is the words of one language.
type letter struct {
	subject, nothing, colon, filled, time, recovered, days, moved, offers, late, came, stops string
	freed, byHand, elsewhere, underway, more, why                                            string

	of, comma, percent string
	months             [12]string
	dayForm            func(day int, month string) string
	weekForm           string
}

func (w *letter) day(t time.Time) string { return w.dayForm(t.Day(), w.months[t.Month()-1]) }

func (w *letter) week(monday, sunday time.Time) string {
	return fmt.Sprintf(w.weekForm, w.day(monday), w.day(sunday), sunday.Year())
}

func (w *letter) number(x float64) string {
	return strings.Replace(strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64), ".", w.comma, 1)
}

func (w *letter) minutes(m float64) string {
	if m < 120 {
		return fmt.Sprintf("%.0f\u00a0min", m)
	}
	return w.number(m/60) + "\u00a0h"
}

func (w *letter) share(part, whole int) string {
	if whole == 0 {
		return fmt.Sprintf(w.of, part, whole)
	}
	return fmt.Sprintf(w.of+" (%.0f%s)", part, whole, 100*float64(part)/float64(whole), w.percent)
}

var french = &letter{
	subject: "%s – Relais, semaine du %s", nothing: "Aucune plage n’a été libérée.", colon: "\u00a0:",
	filled: "Plages comblées", time: "Temps médian pour combler", recovered: "Temps de soins récupéré",
	days: "Jours gagnés", moved: "%s (rendez-vous devancés\u00a0: %d)", offers: "Offres par plage comblée",
	late: "Oui arrivés trop tard", came: "Personnes venues aux plages comblées", stops: "Désabonnements",
	freed: "Plages libérées\u00a0:", byHand: "données à l’accueil\u00a0:", elsewhere: "reprises ou retirées\u00a0:", underway: "en cours\u00a0:",
	more: "Le détail, après connexion\u00a0:", why: "Vous recevez ce courriel chaque lundi parce que votre adresse est dans les réglages de Relais de la clinique. Il ne contient aucun renseignement sur des patients.",
	of: "%d sur %d", comma: ",", percent: "\u00a0%",
	months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	dayForm: func(day int, month string) string {
		if day == 1 {
			return "1er " + month
		}
		return strconv.Itoa(day) + "\u00a0" + month
	},
	weekForm: "Semaine du lundi %s au dimanche %s %d",
}

var english = &letter{
	subject: "%s – Relais, week of %s", nothing: "No slot was freed.", colon: ":",
	filled: "Slots filled", time: "Median time to fill", recovered: "Time of care recovered",
	days: "Days gained", moved: "%s (appointments moved up: %d)", offers: "Offers per slot filled",
	late: "Yeses that came too late", came: "Attendance of slots filled", stops: "Opt-outs",
	freed: "Slots freed:", byHand: "given at the desk:", elsewhere: "taken elsewhere or withdrawn:", underway: "under way:",
	more: "All of it, once you are signed in:", why: "You get this mail every Monday because your address is in the clinic's settings of Relais. It holds nothing about patients.",
	of: "%d of %d", comma: ".", percent: "%",
	months:   [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	dayForm:  func(day int, month string) string { return month + " " + strconv.Itoa(day) },
	weekForm: "Week of Monday, %s to Sunday, %s, %d",
}
