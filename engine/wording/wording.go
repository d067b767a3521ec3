// Package wording holds every sentence that leaves for a person by SMS, call or e-mail, in French
// and English, and knows what fits in one SMS.
//
// Messages name the clinic, the date, the time, how to answer and how to stop. They never name
// the patient, a specialty or a reason for the visit; a practitioner only in an e-mail and only
// when the clinic shows it. People are never asked to type CANCEL, END or YES, which carriers
// read as commands.
//
// The texts are templates in one catalogue for each language, see Topic and Part. A clinic may say
// some in its own way (Facts.Own); Check says what is wrong with those.
package wording

import (
	"cmp"
	"fmt"
	"strings"
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
	Link     string         // the patient's page
	Leave    string         // one-click unsubscription
	Page     string         // the patient's own page, at the end of each mail
	Code     string         // what shows that a contact is theirs
	Own      engine.Wording // the clinic's own texts; nil says everything as the catalogue does
}

// Message writes one message: Kind, Channel and Lang, and the texts of the channel. The attempt,
// the contact and Valid are the caller's to fill in.
func Message(kind engine.MessageKind, ch engine.Channel, lang engine.Lang, f Facts) engine.Message {
	m := engine.Message{Kind: kind, Channel: ch, Lang: lang}
	switch ch {
	case engine.SMS:
		m.Text = short(variants(f.Own, lang, topic(kind), PartSMS), lang, f)
	case engine.EmailMail:
		l := letterOf(topic(kind), lang, f)
		m.Subject, m.Text, m.HTML, m.Leave = l.subject, l.plain(lang, f), l.html(lang, f), f.Leave
	case engine.Voice:
		m.Say = script(topic(kind), lang, f)
	case engine.Page, engine.Desk: // nothing is sent there
	}
	return m
}

// script is what a call says. Only an offer asks for a key; other calls say what a reply is told.
func script(t Topic, lang engine.Lang, f Facts) *engine.Script {
	prompt := first(f.Own, lang, t, PartVoice)
	if prompt == "" {
		prompt = first(f.Own, lang, replyTopic(engine.AnswerKind(t)), PartSMS)
	}
	s := &engine.Script{
		Lang: lang, Prompt: tidy(fill(prompt, lang, f)), Clinic: f.Phone,
		Voicemail: fill(first(f.Own, lang, TopicCall, PartVoicemail), lang, f),
		Goodbye:   fill(first(f.Own, lang, TopicCall, PartGoodbye), lang, f),
	}
	if t == topic(engine.MsgOffer) || t == topic(engine.MsgReminder) {
		s.Stop = "Pour ne plus recevoir d'appels ni de textos à ce numéro, faites le 8."
		s.Other = "For English, press 3." // in the voice of that language
		if lang == engine.English {
			s.Stop = "To get no more calls or texts at this number, press 8."
			s.Other = "Pour le français, faites le 3."
		}
	}
	return s
}

// Answer writes the sentence given back to a reply. On SMS it is one segment.
func Answer(kind engine.AnswerKind, ch engine.Channel, lang engine.Lang, f Facts) string {
	say := variants(f.Own, lang, replyTopic(kind), PartSMS)
	if say == nil { // AnsWhich is written by Choose
		say = variants(f.Own, lang, replyTopic(engine.AnsUnclear), PartSMS)
	}
	if ch != engine.SMS {
		spoken := ""
		if ch == engine.Voice {
			spoken = first(f.Own, lang, replyTopic(kind), PartVoice)
		}
		return tidy(fill(cmp.Or(spoken, say[0]), lang, f))
	}
	return short(say, lang, f)
}

// mostChoices is how many offers one SMS can list.
const mostChoices = 4

// Choose asks which of several offers a reply is for: "1: ..., 2: ...". More than four are cut. leaves: the
// person said no.
func Choose(lang engine.Lang, offers []Facts, leaves bool) string {
	topic := TopicChoose
	if leaves {
		topic = TopicLeave
	}
	var own engine.Wording
	if len(offers) > 0 {
		own = offers[0].Own
	}
	var b strings.Builder
	b.WriteString(first(own, lang, topic, PartSMS))
	for i, f := range offers[:min(len(offers), mostChoices)] {
		fmt.Fprintf(&b, " %d: %s.", i+1, f.at(lang))
	}
	return plainGSM(b.String())
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
