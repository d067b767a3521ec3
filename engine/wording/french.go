package wording

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"relais/engine"
)

var french = words{
	bye: "Merci et bonne journée.",
	sms: map[engine.MessageKind]func(Facts, string) []string{
		engine.MsgOffer: func(f Facts, clinic string) []string {
			offer := fmt.Sprintf("%s: une place se libère %s. Répondez OUI ou NON.", clinic, f.at(engine.French))
			return []string{
				offer + " " + f.Link + " ARRET pour cesser.",
				offer + " ARRET pour cesser.",
				fmt.Sprintf("%s: place libre %s. OUI ou NON? ARRET pour cesser.", clinic, f.at(engine.French)),
			}
		},
		engine.MsgReminder: func(f Facts, clinic string) []string {
			offer := fmt.Sprintf("Rappel, %s: la place du %s est encore libre. Répondez OUI ou NON.", clinic, f.at(engine.French))
			return []string{
				offer + " ARRET pour cesser.",
				fmt.Sprintf("%s: place du %s encore libre. OUI ou NON? ARRET pour cesser.", clinic, f.at(engine.French)),
			}
		},
		engine.MsgFinalising: func(f Facts, clinic string) []string {
			return []string{fmt.Sprintf("%s: votre OUI pour le %s est noté. Nous finalisons et vous confirmons sous peu.", clinic, f.at(engine.French))}
		},
		engine.MsgBooked: func(f Facts, clinic string) []string {
			done := fmt.Sprintf("%s: c'est confirmé, votre rendez-vous est le %s.", clinic, f.at(engine.French))
			cancel := call(f, " Pour annuler: ")
			return []string{
				done + where(f) + cancel,
				done + cancel,
				fmt.Sprintf("%s: rendez-vous confirmé le %s.", clinic, f.at(engine.French)),
			}
		},
		engine.MsgRefused: func(f Facts, clinic string) []string {
			return []string{
				fmt.Sprintf("%s: désolé, la place du %s venait de partir à la clinique. Vous serez parmi les premiers pour la prochaine.", clinic, f.at(engine.French)),
				fmt.Sprintf("%s: désolé, la place vient de partir. Vous passez en premier la prochaine fois.", clinic),
			}
		},
		engine.MsgTaken: func(f Facts, clinic string) []string {
			return []string{
				fmt.Sprintf("%s: la place du %s est prise. Vous gardez votre rang sur la liste.", clinic, f.at(engine.French)),
				fmt.Sprintf("%s: cette place est prise. Vous gardez votre rang.", clinic),
			}
		},
		engine.MsgWithdrawn: func(f Facts, clinic string) []string {
			return []string{
				fmt.Sprintf("%s: la place du %s n'est plus offerte. Vous gardez votre rang sur la liste.", clinic, f.at(engine.French)),
				fmt.Sprintf("%s: cette place n'est plus offerte. Vous gardez votre rang.", clinic),
			}
		},
	},
	mail: map[engine.MessageKind]func(Facts) letter{
		engine.MsgOffer: func(f Facts) letter {
			return letter{
				subject: "Une place se libère " + f.at(engine.French), title: "Une place se libère",
				lines: []string{
					fmt.Sprintf("Une place se libère à %s :", f.Clinic), strong(f.at(engine.French)),
					fmt.Sprintf("La première personne qui confirme obtient la place. Répondez avant le %s.", f.by(engine.French)),
					"Si vous ne pouvez pas, vous gardez votre rang sur la liste.",
				},
				buttons: []button{{"Voir et répondre", f.Link}},
			}
		},
		engine.MsgReminder: func(f Facts) letter {
			return letter{
				subject: "Rappel : une place est encore libre " + f.at(engine.French), title: "La place est encore libre",
				lines: []string{
					fmt.Sprintf("La place offerte par %s est encore libre :", f.Clinic), strong(f.at(engine.French)),
					fmt.Sprintf("Répondez avant le %s.", f.by(engine.French)),
				},
				buttons: []button{{"Voir et répondre", f.Link}},
			}
		},
		engine.MsgFinalising: func(f Facts) letter {
			return letter{
				subject: "Votre réponse est notée", title: "Votre réponse est notée",
				lines: []string{
					fmt.Sprintf("Vous avez accepté la place du %s à %s.", f.at(engine.French), f.Clinic),
					"Nous finalisons avec le système de la clinique et vous confirmons sous peu.",
				},
			}
		},
		engine.MsgBooked: func(f Facts) letter {
			return letter{
				subject: "Rendez-vous confirmé " + f.at(engine.French), title: "C’est confirmé",
				lines: []string{
					fmt.Sprintf("Votre rendez-vous à %s :", f.Clinic), strong(f.at(engine.French)), f.Address,
					call(f, "Pour l’annuler ou poser une question : "),
				},
			}
		},
		engine.MsgRefused: func(f Facts) letter {
			return letter{
				subject: "La place n’était plus libre", title: "La place n’était plus libre",
				lines: []string{
					fmt.Sprintf("Nous sommes désolés : la place du %s à %s venait de partir à la clinique.", f.at(engine.French), f.Clinic),
					"Vous serez parmi les premiers à qui nous offrirons la prochaine.",
				},
			}
		},
		engine.MsgTaken: func(f Facts) letter {
			return letter{
				subject: "La place est prise", title: "La place est prise",
				lines: []string{
					fmt.Sprintf("La place du %s à %s est prise.", f.at(engine.French), f.Clinic),
					"Vous gardez votre rang sur la liste et nous vous écrirons pour la prochaine.",
				},
			}
		},
		engine.MsgWithdrawn: func(f Facts) letter {
			return letter{
				subject: "La place n’est plus offerte", title: "La place n’est plus offerte",
				lines: []string{
					fmt.Sprintf("La place du %s à %s n’est plus offerte.", f.at(engine.French), f.Clinic),
					"Vous gardez votre rang sur la liste.",
				},
			}
		},
	},
	prompt: func(f Facts) string {
		return fmt.Sprintf("Bonjour. Ici %s. Une place se libère %s. Pour la prendre, faites le 1. Pour la laisser, faites le 2.", f.Clinic, f.at(engine.French))
	},
	beep: func(f Facts) string {
		return fmt.Sprintf("Bonjour. Ici %s. Merci de nous rappeler%s.", f.Clinic, call(f, " au "))
	},
	answer: map[engine.AnswerKind]func(Facts) string{
		engine.AnsBooked: func(f Facts) string {
			return fmt.Sprintf("C'est confirmé: %s, le %s. Merci!", f.Clinic, f.at(engine.French))
		},
		engine.AnsFinalising: func(f Facts) string {
			return fmt.Sprintf("Votre OUI pour le %s est noté. Nous finalisons avec la clinique et vous confirmons sous peu.", f.at(engine.French))
		},
		engine.AnsTaken: func(Facts) string {
			return "Désolé, cette place vient de partir. Vous gardez votre rang sur la liste et nous vous préviendrons pour la prochaine."
		},
		engine.AnsExpired: func(Facts) string {
			return "Désolé, le délai pour cette place est passé. Vous gardez votre rang sur la liste."
		},
		engine.AnsWithdrawn: func(Facts) string {
			return "Désolé, cette place n'est plus offerte. Vous gardez votre rang sur la liste."
		},
		engine.AnsDeclined: func(Facts) string {
			return "C'est noté, merci d'avoir répondu. Vous gardez votre rang sur la liste."
		},
		engine.AnsStopped: func(f Facts) string {
			return "C'est fait: vous ne recevrez plus nos messages ici. Pour revenir, répondez START." + call(f, " Questions: ")
		},
		engine.AnsStarted: func(Facts) string {
			return "C'est fait: vous recevrez de nouveau nos offres. Répondez ARRET pour cesser."
		},
		engine.AnsHelp: func(f Facts) string {
			return fmt.Sprintf("%s: nous offrons les places qui se libèrent. OUI pour accepter, NON pour refuser, ARRET pour cesser.%s", cmp.Or(f.Clinic, "Relais"), call(f, " Tél. "))
		},
		engine.AnsUnclear: func(f Facts) string {
			return "Nous n'avons pas compris. Répondez OUI pour prendre la place ou NON pour la laisser." + call(f, " Questions: ")
		},
		engine.AnsNone: func(Facts) string {
			return "Nous n'avons aucune offre en cours pour ce numéro. Répondez ARRET pour ne plus recevoir de messages."
		},
		engine.AnsPaused: func(Facts) string {
			return "Cette place est en attente à la clinique. Nous vous répondrons dès que possible."
		},
		engine.AnsRefused: func(Facts) string {
			return "Désolé, la place venait de partir à la clinique. Vous serez parmi les premiers pour la prochaine."
		},
	},
	choose: func(offers []Facts) string {
		var b strings.Builder
		b.WriteString("Quelle place voulez-vous? Répondez par le numéro.")
		for i, f := range offers {
			fmt.Fprintf(&b, " %d: %s.", i+1, f.at(engine.French))
		}
		return b.String()
	},
}

var (
	joursFR = [...]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"}
	moisFR  = [...]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"}
)

// dayFrench follows the Office québécois de la langue française: "le mardi 24 novembre à 9 h 20",
// "1er", "9 h" on the hour.
func dayFrench(t time.Time) string {
	day := fmt.Sprint(t.Day())
	if t.Day() == 1 {
		day = "1er"
	}
	clock := fmt.Sprintf("%d\u00a0h", t.Hour())
	if t.Minute() > 0 {
		clock += fmt.Sprintf("\u00a0%02d", t.Minute())
	}
	return fmt.Sprintf("%s %s %s à %s", joursFR[t.Weekday()], day, moisFR[t.Month()-1], clock)
}

// where names the place in a sentence of its own, if it is known.
func where(f Facts) string {
	if f.Address == "" {
		return ""
	}
	return " " + f.Address + "."
}

// call names the clinic's number, if it has one.
func call(f Facts, before string) string {
	if f.Phone == "" {
		return ""
	}
	return before + f.Phone
}
