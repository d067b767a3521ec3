// Package wording holds every sentence that leaves for a person by SMS, call or e-mail, in French
// and English, and knows what fits in one SMS.
//
// Messages name the clinic, the date, the time, how to answer and how to stop. They never name
// the patient, a specialty or a reason for the visit; a practitioner only in an e-mail and only
// when the clinic shows it. People are never asked to type CANCEL, END or YES, which carriers
// read as commands.
package wording

import (
	"time"

	"relais/engine"
)

// Facts is what a message may say. It never holds a specialty, a reason for the visit or, unless
// the clinic shows it, a practitioner.
type Facts struct {
	Clinic   string
	Address  string
	Phone    string // the clinic's public number
	Doctor   string // "" unless the clinic shows it
	Start    time.Time
	Deadline time.Time
	Zone     *time.Location
	Link     string // the patient's page
	Leave    string // one-click unsubscription
}

// words is one language. Each function writes one sentence or short text.
type words struct {
	sms    map[engine.MessageKind]func(f Facts, clinic string) []string // from the fullest to the shortest
	mail   map[engine.MessageKind]func(f Facts) letter
	prompt func(f Facts) string
	beep   func(f Facts) string
	bye    string
	answer map[engine.AnswerKind]func(f Facts) string
	choose func(offers []Facts) string
}

func in(lang engine.Lang) *words {
	if lang == engine.English {
		return &english
	}
	return &french
}

// Message writes one message: Kind, Channel and Lang, and the texts of the channel. The attempt,
// the contact and Valid are the caller's to fill in.
func Message(kind engine.MessageKind, ch engine.Channel, lang engine.Lang, f Facts) engine.Message {
	w := in(lang)
	m := engine.Message{Kind: kind, Channel: ch, Lang: lang}
	switch ch {
	case engine.SMS:
		m.Text = short(w.sms[kind], f)
	case engine.EmailMail:
		l := w.mail[kind](f)
		m.Subject, m.Text, m.HTML, m.Leave = l.subject, l.plain(lang, f), l.html(lang, f), f.Leave
	case engine.Voice:
		m.Say = script(w, kind, lang, f)
	case engine.Page, engine.Desk: // nothing is sent there
	}
	return m
}

// script is what a call says. Only an offer asks for a key.
func script(w *words, kind engine.MessageKind, lang engine.Lang, f Facts) *engine.Script {
	s := &engine.Script{Lang: lang, Voicemail: w.beep(f), Goodbye: w.bye}
	if kind == engine.MsgOffer || kind == engine.MsgReminder {
		s.Prompt = tidy(w.prompt(f))
		return s
	}
	s.Prompt = tidy(w.answer[answerOf[kind]](f))
	return s
}

// answerOf is the answer that says the same as a message.
var answerOf = map[engine.MessageKind]engine.AnswerKind{
	engine.MsgFinalising: engine.AnsFinalising,
	engine.MsgBooked:     engine.AnsBooked,
	engine.MsgRefused:    engine.AnsRefused,
	engine.MsgTaken:      engine.AnsTaken,
	engine.MsgWithdrawn:  engine.AnsWithdrawn,
}

// Answer writes the sentence given back to a reply. On SMS it is one segment.
func Answer(kind engine.AnswerKind, ch engine.Channel, lang engine.Lang, f Facts) string {
	w := in(lang)
	say, ok := w.answer[kind]
	if !ok { // AnsWhich is written by Choose
		say = w.answer[engine.AnsUnclear]
	}
	if ch != engine.SMS {
		return tidy(say(f))
	}
	return short(func(f Facts, clinic string) []string {
		f.Clinic = clinic
		return []string{say(f)}
	}, f)
}

// mostChoices is how many offers one SMS can list.
const mostChoices = 4

// Choose asks which of several offers a reply is for: "1: ..., 2: ...". More than four are cut.
func Choose(lang engine.Lang, offers []Facts) string {
	return plainGSM(in(lang).choose(offers[:min(len(offers), mostChoices)]))
}

// Day writes a date and time as people of the language read it, in the zone: "mardi 24 novembre à
// 9 h 20" or "Tuesday, November 24 at 9:20 a.m.". In French the time holds U+00A0, which a text
// message cannot afford; Message puts plain spaces there.
func Day(t time.Time, zone *time.Location, lang engine.Lang) string {
	if zone == nil {
		zone = time.UTC
	}
	if lang == engine.English {
		return dayEnglish(t.In(zone))
	}
	return dayFrench(t.In(zone))
}

func (f Facts) at(lang engine.Lang) string { return Day(f.Start, f.Zone, lang) }
func (f Facts) by(lang engine.Lang) string { return Day(f.Deadline, f.Zone, lang) }
