package wording

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"relais/engine"
)

// In English people answer 1 or 2: YES is a word that some carriers keep for themselves.
var english = words{
	bye: "Thank you and have a good day.",
	sms: map[engine.MessageKind]func(Facts, string) []string{
		engine.MsgOffer: func(f Facts, clinic string) []string {
			offer := fmt.Sprintf("%s: an appointment opened up on %s. Reply 1 to take it, 2 if not.", clinic, f.at(engine.English))
			return []string{
				offer + " " + f.Link + " STOP to opt out.",
				offer + " STOP to opt out.",
				fmt.Sprintf("%s: opening %s. Reply 1 to take it, 2 if not. STOP to opt out.", clinic, f.at(engine.English)),
			}
		},
		engine.MsgReminder: func(f Facts, clinic string) []string {
			return []string{
				fmt.Sprintf("Reminder, %s: the opening on %s is still free. Reply 1 to take it, 2 if not. STOP to opt out.", clinic, f.at(engine.English)),
				fmt.Sprintf("%s: %s is still free. Reply 1 or 2. STOP to opt out.", clinic, f.at(engine.English)),
			}
		},
		engine.MsgFinalising: func(f Facts, clinic string) []string {
			return []string{fmt.Sprintf("%s: we have your answer for %s. We are finalizing it and will confirm soon.", clinic, f.at(engine.English))}
		},
		engine.MsgBooked: func(f Facts, clinic string) []string {
			done := fmt.Sprintf("%s: confirmed, your appointment is %s.", clinic, f.at(engine.English))
			change := call(f, " To change it: ")
			return []string{
				done + where(f) + change,
				done + change,
				fmt.Sprintf("%s: confirmed for %s.", clinic, f.at(engine.English)),
			}
		},
		engine.MsgRefused: func(f Facts, clinic string) []string {
			return []string{
				fmt.Sprintf("%s: sorry, the opening on %s had just been taken at the clinic. You will be among the first for the next one.", clinic, f.at(engine.English)),
				fmt.Sprintf("%s: sorry, it had just been taken. You go first next time.", clinic),
			}
		},
		engine.MsgTaken: func(f Facts, clinic string) []string {
			return []string{
				fmt.Sprintf("%s: the opening on %s is taken. You keep your place on the list.", clinic, f.at(engine.English)),
				fmt.Sprintf("%s: that opening is taken. You keep your place.", clinic),
			}
		},
		engine.MsgWithdrawn: func(f Facts, clinic string) []string {
			return []string{
				fmt.Sprintf("%s: the opening on %s is no longer offered. You keep your place on the list.", clinic, f.at(engine.English)),
				fmt.Sprintf("%s: that opening is no longer offered. You keep your place.", clinic),
			}
		},
	},
	mail: map[engine.MessageKind]func(Facts) letter{
		engine.MsgOffer: func(f Facts) letter {
			return letter{
				subject: "An appointment opened up on " + f.at(engine.English), title: "An appointment opened up",
				lines: []string{
					fmt.Sprintf("%s has an opening:", f.Clinic), strong(f.at(engine.English)),
					fmt.Sprintf("The first person to confirm gets it. Please answer before %s.", f.by(engine.English)),
					"If you cannot come, you keep your place on the list.",
				},
				buttons: []button{{"See and answer", f.Link}},
			}
		},
		engine.MsgReminder: func(f Facts) letter {
			return letter{
				subject: "Reminder: still free on " + f.at(engine.English), title: "It is still free",
				lines: []string{
					fmt.Sprintf("The opening at %s is still free:", f.Clinic), strong(f.at(engine.English)),
					fmt.Sprintf("Please answer before %s.", f.by(engine.English)),
				},
				buttons: []button{{"See and answer", f.Link}},
			}
		},
		engine.MsgFinalising: func(f Facts) letter {
			return letter{
				subject: "We have your answer", title: "We have your answer",
				lines: []string{
					fmt.Sprintf("You accepted the opening on %s at %s.", f.at(engine.English), f.Clinic),
					"We are finalizing it with the clinic’s system and will confirm soon.",
				},
			}
		},
		engine.MsgBooked: func(f Facts) letter {
			return letter{
				subject: "Appointment confirmed: " + f.at(engine.English), title: "It is confirmed",
				lines: []string{
					fmt.Sprintf("Your appointment at %s:", f.Clinic), strong(f.at(engine.English)), f.Address,
					call(f, "To cancel it or ask a question: "),
				},
			}
		},
		engine.MsgRefused: func(f Facts) letter {
			return letter{
				subject: "The opening was no longer free", title: "The opening was no longer free",
				lines: []string{
					fmt.Sprintf("We are sorry: the opening on %s at %s had just been taken at the clinic.", f.at(engine.English), f.Clinic),
					"You will be among the first to be offered the next one.",
				},
			}
		},
		engine.MsgTaken: func(f Facts) letter {
			return letter{
				subject: "The opening is taken", title: "The opening is taken",
				lines: []string{
					fmt.Sprintf("The opening on %s at %s is taken.", f.at(engine.English), f.Clinic),
					"You keep your place on the list and we will write to you for the next one.",
				},
			}
		},
		engine.MsgWithdrawn: func(f Facts) letter {
			return letter{
				subject: "The opening is no longer offered", title: "The opening is no longer offered",
				lines: []string{
					fmt.Sprintf("The opening on %s at %s is no longer offered.", f.at(engine.English), f.Clinic),
					"You keep your place on the list.",
				},
			}
		},
	},
	prompt: func(f Facts) string {
		return fmt.Sprintf("Hello. This is %s. An appointment opened up on %s. To take it, press 1. To leave it, press 2.", f.Clinic, f.at(engine.English))
	},
	beep: func(f Facts) string {
		return fmt.Sprintf("Hello. This is %s. Please call us back%s.", f.Clinic, call(f, " at "))
	},
	answer: map[engine.AnswerKind]func(Facts) string{
		engine.AnsBooked: func(f Facts) string {
			return fmt.Sprintf("It is confirmed: %s, %s. Thank you!", f.Clinic, f.at(engine.English))
		},
		engine.AnsFinalising: func(f Facts) string {
			return fmt.Sprintf("We have your answer for %s. We are finalizing it with the clinic and will confirm soon.", f.at(engine.English))
		},
		engine.AnsTaken: func(Facts) string {
			return "Sorry, this opening has just been taken. You keep your place on the list and we will let you know about the next one."
		},
		engine.AnsExpired: func(Facts) string {
			return "Sorry, the time to answer for this opening is over. You keep your place on the list."
		},
		engine.AnsWithdrawn: func(Facts) string {
			return "Sorry, this opening is no longer offered. You keep your place on the list."
		},
		engine.AnsDeclined: func(Facts) string {
			return "Noted, thank you for answering. You keep your place on the list."
		},
		engine.AnsStopped: func(f Facts) string {
			return "Done: you will get no more messages from us here. To come back, reply START." + call(f, " Questions: ")
		},
		engine.AnsStarted: func(Facts) string {
			return "Done: you will get our offers again. Reply STOP to opt out."
		},
		engine.AnsHelp: func(f Facts) string {
			return fmt.Sprintf("%s: we offer appointments that open up. Reply 1 to accept, 2 to decline, STOP to opt out.%s", cmp.Or(f.Clinic, "Relais"), call(f, " Call "))
		},
		engine.AnsUnclear: func(f Facts) string {
			return "We did not understand. Reply 1 to take the opening or 2 to leave it." + call(f, " Questions: ")
		},
		engine.AnsNone: func(Facts) string {
			return "We have no open offer for this number. Reply STOP to get no more messages."
		},
		engine.AnsPaused: func(Facts) string {
			return "This opening is on hold at the clinic. We will answer as soon as we can."
		},
		engine.AnsRefused: func(Facts) string {
			return "Sorry, the opening had just been taken at the clinic. You will be among the first for the next one."
		},
	},
	choose: func(offers []Facts) string {
		var b strings.Builder
		b.WriteString("Which opening? Reply with its number.")
		for i, f := range offers {
			fmt.Fprintf(&b, " %d: %s.", i+1, f.at(engine.English))
		}
		return b.String()
	},
}

// dayEnglish follows the usage of English Canada: "Tuesday, November 24 at 9:20 a.m.".
func dayEnglish(t time.Time) string {
	half := "a.m."
	if t.Hour() >= 12 {
		half = "p.m."
	}
	return t.Format("Monday, January 2 at 3:04 ") + half
}

// tidy ends a sentence once that ends with an abbreviation.
func tidy(text string) string { return doubled.Replace(text) }

var doubled = strings.NewReplacer("a.m..", "a.m.", "p.m..", "p.m.")
