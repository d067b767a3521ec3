package review

import (
	"fmt"
	"strings"
	"time"

	"relais/engine"
)

// mostSaid is how many steps are told one by one.
const mostSaid = 4

// Say tells the plan in a few sentences of plain French or English, for a clinic in the given mode.
func (p Plan) Say(lang engine.Lang, mode engine.Mode) []string {
	t := french
	if lang == engine.English {
		t = english
	}
	said := []string{fmt.Sprintf(t.example, t.clock(p.Freed), t.clock(p.Start), p.People)}
	switch {
	case p.TooLate:
		return append(said, t.tooLate)
	case p.TooFar:
		return append(said, t.tooFar)
	}
	switch mode {
	case engine.Shadow:
		said = append(said, t.shadow)
	case engine.Approval:
		said = append(said, t.approval)
	case engine.Automatic:
	}
	said = append(said, p.steps(t)...)
	return append(said, fmt.Sprintf(t.ends, t.clock(p.Deadline)), t.yes)
}

func (p Plan) steps(t tongue) []string {
	if len(p.Steps) == 0 {
		return []string{t.nobody}
	}
	var said []string
	total, told := 0, 0
	for i, s := range p.Steps {
		total += s.Ask
		switch {
		case s.Remind:
			said = append(said, fmt.Sprintf(t.remind, t.clock(s.At)))
		case told >= mostSaid:
			if i == len(p.Steps)-1 || p.Steps[i+1].Remind {
				said = append(said, fmt.Sprintf(t.goesOn, t.clock(s.At), total))
			}
		case told == 0:
			said = append(said, fmt.Sprintf(t.first, t.clock(s.At), t.people(s.Ask)), p.refusal(t))
			told++
		default:
			said = append(said, fmt.Sprintf(t.more, t.clock(s.At), t.others(s.Ask), total))
			told++
		}
	}
	return said
}

func (p Plan) refusal(t tongue) string {
	if p.AfterNo == 0 {
		return t.noWaits
	}
	return fmt.Sprintf(t.noReplaced, t.others(p.AfterNo))
}

// tongue is what is said in one language.
type tongue struct {
	example, tooLate, tooFar, shadow, approval, nobody string
	first, more, goesOn, remind, ends, yes             string
	noReplaced, noWaits                                string
	clock                                              func(time.Time) string
	people, others                                     func(int) string
}

//nolint:gochecknoglobals // catalogues
var french = tongue{
	example:    "Prenons une plage libérée à %s pour %s, avec %d personnes sur la liste dont aucune ne répond.",
	tooLate:    "Elle n’est offerte à personne\u00a0: le début est trop proche.",
	tooFar:     "Elle n’est offerte à personne\u00a0: le début est trop loin.",
	shadow:     "Rien ne part\u00a0: Relais note seulement ce qui suit.",
	approval:   "Rien ne part avant l’approbation d’une personne de l’accueil; les heures comptent à partir de là.",
	nobody:     "Personne n’est joint à ces heures.",
	first:      "À %s, Relais écrit à %s.",
	more:       "À %s, à %s (%d en tout).",
	goesOn:     "Et ainsi de suite jusqu’à %s\u00a0: %d personnes en tout.",
	remind:     "À %s, celles qui n’ont pas répondu reçoivent un rappel.",
	ends:       "À %s, l’offre prend fin et la plage revient à l’accueil.",
	yes:        "Au premier oui, la plage est réservée et plus personne n’est joint.",
	noReplaced: "Si l’une refuse entretemps, Relais écrit aussitôt à %s.",
	noWaits:    "Si l’une refuse entretemps, personne d’autre n’est joint avant la suite.",
	clock: func(at time.Time) string {
		return strings.TrimSuffix(fmt.Sprintf("%d\u00a0h\u00a0%02d", at.Hour(), at.Minute()), "\u00a000")
	},
	people: func(n int) string {
		if n == 1 {
			return "1\u00a0personne"
		}
		return fmt.Sprintf("%d\u00a0personnes", n)
	},
	others: func(n int) string {
		if n == 1 {
			return "1\u00a0autre personne"
		}
		return fmt.Sprintf("%d\u00a0autres personnes", n)
	},
}

//nolint:gochecknoglobals // catalogues
var english = tongue{
	example:    "Example: a slot freed at %s for %s, %d people on the list, and nobody answers.",
	tooLate:    "It is offered to nobody: the start is too close.",
	tooFar:     "It is offered to nobody: the start is too far away.",
	shadow:     "Nothing leaves: Relais only notes what follows.",
	approval:   "Nothing leaves before somebody at the desk approves; the times count from then.",
	nobody:     "Nobody is contacted at these hours.",
	first:      "At %s Relais writes to %s.",
	more:       "At %s, to %s (%d in all).",
	goesOn:     "And so on until %s: %d people in all.",
	remind:     "At %s those who did not answer get a reminder.",
	ends:       "At %s the offer ends and the slot goes back to the front desk.",
	yes:        "At the first yes the slot is booked and nobody else is contacted.",
	noReplaced: "If one of them refuses meanwhile, Relais writes to %s at once.",
	noWaits:    "If one of them refuses meanwhile, nobody else is contacted before the next step.",
	clock:      func(at time.Time) string { return at.Format("15:04") },
	people: func(n int) string {
		if n == 1 {
			return "1 person"
		}
		return fmt.Sprintf("%d people", n)
	},
	others: func(n int) string {
		if n == 1 {
			return "1 other person"
		}
		return fmt.Sprintf("%d other people", n)
	},
}
