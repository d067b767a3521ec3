package web

import (
	"fmt"
	"strings"
	"time"

	"relais/engine"
)

// words are the fixed words of the patients' pages in one language. U+00A0 keeps a time or a
// French colon on one line.
type words struct {
	Lang, Other                  engine.Lang
	Tag, OtherTag, OtherName     string
	When, With, Where, Before    string
	Yes, No, Look, Call          string
	Keep, KeepIf                 string
	Leave, LeaveText, LeaveTitle string
	LeaveAll                     string
	AllLeft                      say // after LeaveAll
	Calendar, FileName           string
	months, days                 []string
}

var wordsOf = map[engine.Lang]*words{
	engine.French: {
		Lang: engine.French, Other: engine.English, Tag: "fr-CA", OtherTag: "en-CA", OtherName: "English",
		When: "Date et heure", With: "Avec", Where: "Adresse", Before: "Répondre avant",
		Yes: "Oui, je le prends", No: "Non merci", Look: "Regarder de nouveau",
		Keep:   "Vous gardez votre place sur la liste d’attente.",
		KeepIf: "Si vous ne le prenez pas, vous gardez votre place sur la liste d’attente.",
		Call:   "Une question? Appelez la clinique\u00a0:",
		Leave:  "Ne plus recevoir d’offres par courriel", LeaveTitle: "Ne plus recevoir d’offres?",
		LeaveText: "Vous pouvez arrêter nos messages en tout temps.",
		LeaveAll:  "Ne plus rien recevoir : textos, appels et courriels",
		AllLeft: say{Title: "Vous ne recevrez plus d’offres", Text: []string{
			"C’est enregistré pour vos textos, vos appels et vos courriels. Pour en recevoir de nouveau, textez START à notre numéro ou appelez la clinique.",
		}},
		Calendar: "Ajouter à mon agenda", FileName: "rendez-vous.ics",
		months: []string{
			"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
			"novembre", "décembre",
		},
		days: []string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
	},
	engine.English: {
		Lang: engine.English, Other: engine.French, Tag: "en-CA", OtherTag: "fr-CA", OtherName: "Français",
		When: "Date and time", With: "With", Where: "Address", Before: "Reply before",
		Yes: "Yes, I take it", No: "No, thank you", Look: "Look again",
		Keep:   "You keep your place on the waiting list.",
		KeepIf: "If you do not take it, you keep your place on the waiting list.",
		Call:   "A question? Call the clinic:",
		Leave:  "Stop receiving offers by email", LeaveTitle: "Stop receiving offers?",
		LeaveText: "You can stop our messages at any time.",
		LeaveAll:  "Stop everything: texts, calls and emails",
		AllLeft: say{Title: "You will receive no more offers", Text: []string{
			"This is recorded for your texts, calls and emails. To receive them again, text START to our number or call the clinic.",
		}},
		Calendar: "Add to my calendar", FileName: "appointment.ics",
		months: []string{
			"January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
			"November", "December",
		},
		days: []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
	},
}

// say is what a page tells in one state.
type say struct {
	Title string
	Text  []string
	Ask   bool // show the two buttons
	Again bool // offer to look again
	Keep  bool // say that the place on the list is kept
	File  bool // offer the calendar file
}

var sayings = map[engine.Lang]map[engine.AnswerKind]say{
	engine.French: {
		"": {
			Title: "Un rendez-vous s’est libéré",
			Text:  []string{"La clinique vous le propose. D’autres personnes peuvent avoir reçu la même offre\u00a0: la première qui dit oui obtient le rendez-vous."},
			Ask:   true,
		},
		engine.AnsBooked: {Title: "Votre rendez-vous est confirmé", Text: []string{"C’est inscrit à l’horaire de la clinique. À bientôt!"}, File: true},
		engine.AnsFinalising: {
			Title: "Votre oui est bien reçu", Again: true,
			Text: []string{"La clinique termine l’inscription. Nous vous écrirons dès que le rendez-vous est confirmé\u00a0: attendez ce message avant de vous déplacer."},
		},
		engine.AnsTaken: {Title: "Ce rendez-vous vient d’être pris", Text: []string{"Une autre personne a répondu un peu avant vous."}, Keep: true},
		engine.AnsExpired: {
			Title: "Le délai pour répondre est passé", Keep: true,
			Text: []string{"Ce rendez-vous ne peut plus être pris en ligne."},
		},
		engine.AnsWithdrawn: {Title: "Ce rendez-vous n’est plus offert", Text: []string{"La clinique l’a retiré."}, Keep: true},
		engine.AnsDeclined: {
			Title: "C’est noté\u00a0: vous ne prenez pas ce rendez-vous", Keep: true,
			Text: []string{"Merci d’avoir répondu\u00a0: nous le proposons à quelqu’un d’autre."},
		},
		engine.AnsRefused: {
			Title: "Le rendez-vous n’a pas pu être inscrit", Keep: true,
			Text: []string{"Il n’était plus libre à l’horaire de la clinique. Nous en sommes désolés\u00a0: vous passerez en premier pour le prochain."},
		},
		engine.AnsPaused: {
			Title: "Cette offre est en pause", Again: true, Keep: true,
			Text: []string{"La clinique vérifie son horaire. Revenez dans quelques minutes."},
		},
		engine.AnsStopped: {
			Title: "Vous ne recevrez plus d’offres par courriel",
			Text:  []string{"C’est enregistré. Pour en recevoir de nouveau, appelez la clinique."},
		},
	},
	engine.English: {
		"": {
			Title: "An appointment has opened up",
			Text:  []string{"The clinic offers it to you. Other people may have received the same offer: the first to say yes gets the appointment."},
			Ask:   true,
		},
		engine.AnsBooked: {Title: "Your appointment is confirmed", Text: []string{"It is in the clinic’s schedule. See you soon!"}, File: true},
		engine.AnsFinalising: {
			Title: "We have your yes", Again: true,
			Text: []string{"The clinic is finishing the booking. We will write to you as soon as it is confirmed: wait for that message before you travel."},
		},
		engine.AnsTaken: {Title: "This appointment has just been taken", Text: []string{"Somebody else answered a little before you."}, Keep: true},
		engine.AnsExpired: {
			Title: "The time to reply is over", Keep: true,
			Text: []string{"This appointment cannot be taken online any more."},
		},
		engine.AnsWithdrawn: {Title: "This appointment is no longer offered", Text: []string{"The clinic withdrew it."}, Keep: true},
		engine.AnsDeclined: {
			Title: "Noted: you do not take this appointment", Keep: true,
			Text: []string{"Thank you for answering: we are offering it to somebody else."},
		},
		engine.AnsRefused: {
			Title: "The appointment could not be booked", Keep: true,
			Text: []string{"It was no longer free in the clinic’s schedule. We are sorry: you go first for the next one."},
		},
		engine.AnsPaused: {
			Title: "This offer is paused", Again: true, Keep: true,
			Text: []string{"The clinic is checking its schedule. Come back in a few minutes."},
		},
		engine.AnsStopped: {
			Title: "You will receive no more offers by email",
			Text:  []string{"This is recorded. To receive them again, call the clinic."},
		},
	},
}

// notice is a page that says nothing of any offer, in both languages.
type notice struct{ French, English say }

var (
	// noticeGone is the same for a link that never was, one that is malformed and one too old to show.
	noticeGone = notice{
		French:  say{Title: "Ce lien ne mène à aucune offre", Text: []string{"Il est peut-être trop ancien ou incomplet. Ouvrez de nouveau le lien du message reçu, ou appelez votre clinique."}},
		English: say{Title: "This link leads to no offer", Text: []string{"It may be too old or incomplete. Open the link in the message again, or call your clinic."}},
	}
	noticeStopped = notice{
		French:  say{Title: "C’est fait", Text: []string{"Vous ne recevrez plus ces messages."}},
		English: say{Title: "Done", Text: []string{"You will receive no more of these messages."}},
	}
	// noticeNowhere is the same for a clinic that does not exist and a link that is over.
	noticeNowhere = notice{
		French:  say{Title: "Cette page n’existe pas", Text: []string{"Le lien est peut-être incomplet ou trop ancien. Ouvrez de nouveau celui du message reçu, ou appelez votre clinique."}},
		English: say{Title: "There is no such page", Text: []string{"The link may be incomplete or too old. Open the one in the message again, or call your clinic."}},
	}
	noticeLater = notice{
		French:  say{Title: "Réessayez dans un moment", Text: []string{"La page ne peut pas être affichée maintenant et aucune réponse n’a été enregistrée. Réessayez dans une minute, ou appelez votre clinique."}},
		English: say{Title: "Try again in a moment", Text: []string{"The page cannot be shown now and no answer was recorded. Try again in a minute, or call your clinic."}},
	}
	noticeUnsure = notice{
		French:  say{Title: "Vérifiez votre réponse", Text: []string{"Nous ne savons pas si votre réponse a été enregistrée. Ouvrez de nouveau le lien du message reçu pour le voir, ou appelez votre clinique."}},
		English: say{Title: "Check your answer", Text: []string{"We do not know whether your answer was recorded. Open the link in the message again to see, or call your clinic."}},
	}
)

const nbsp = "\u00a0"

// day writes a date: "mardi 24 novembre", "Tuesday, November 24". Slots are weeks away at most, so
// the year would only be in the way.
func (w *words) day(t time.Time) string {
	name, month := w.days[t.Weekday()], w.months[t.Month()-1]
	if w.Lang == engine.English {
		return fmt.Sprintf("%s, %s%s%d", name, month, nbsp, t.Day())
	}
	n := fmt.Sprint(t.Day())
	if t.Day() == 1 {
		n = "1er"
	}
	return name + nbsp + n + nbsp + month
}

// clock writes a time of day: "9 h 20" and "9 h", "9:20 a.m.".
func (w *words) clock(t time.Time) string {
	if w.Lang == engine.English {
		return strings.NewReplacer("AM", "a.m.", "PM", "p.m.").Replace(t.Format("3:04" + nbsp + "PM"))
	}
	if t.Minute() == 0 {
		return fmt.Sprintf("%d%sh", t.Hour(), nbsp)
	}
	return fmt.Sprintf("%d%sh%s%02d", t.Hour(), nbsp, nbsp, t.Minute())
}

// span writes when an appointment is.
func (w *words) span(from, until time.Time) string {
	if w.Lang == engine.English {
		return fmt.Sprintf("%s, %s to %s", w.day(from), w.clock(from), w.clock(until))
	}
	return fmt.Sprintf("%s, de %s à %s", w.day(from), w.clock(from), w.clock(until))
}

// moment writes a point in time.
func (w *words) moment(t time.Time) string {
	return w.day(t) + ", " + w.clock(t)
}
