package wording

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"relais/engine"
)

// Topic is what a text is about: a message kind ("offer", "booked"), the answer to a reply
// ("reply_help", "reply_unclear"), or one of the topics below.
type Topic string

// The topics that are neither a message nor an answer.
const (
	TopicCall   Topic = "call"   // what every call may say besides its message
	TopicChoose Topic = "choose" // which of several offers a yes is for; the list follows it
	TopicLeave  Topic = "leave"  // which of several offers a no is for; the list follows it
)

func topic(k engine.MessageKind) Topic     { return Topic(k) }
func replyTopic(k engine.AnswerKind) Topic { return "reply_" + Topic(k) }

// Part is one text of a topic.
type Part string

// The parts.
const (
	PartSMS       Part = "sms" // of an answer: said in a call too
	PartVoice     Part = "voice"
	PartVoicemail Part = "voicemail"
	PartGoodbye   Part = "goodbye"
	PartSubject   Part = "subject"
	PartTitle     Part = "title"
	PartEmail     Part = "email" // the body, a paragraph a line
	PartButton    Part = "button"
)

// texts is one language: the templates of every part, the fullest first.
//
// A template names what is filled in: {clinic} {when} {before} {address} {phone} {link}. What
// stands in [brackets] is left out when something in it is not known.
type texts map[Topic]map[Part][]string

func in(lang engine.Lang) texts {
	if lang == engine.English {
		return english
	}
	return french
}

// variants returns the templates of a part, the fullest first. A clinic's own text comes without
// its brackets after it comes with them.
func variants(own engine.Wording, lang engine.Lang, t Topic, p Part) []string {
	text := own[string(t)][lang][string(p)]
	if text == "" {
		return in(lang)[t][p]
	}
	list := []string{text}
	for {
		all := bracketed.FindAllStringIndex(text, -1)
		if len(all) == 0 {
			return list
		}
		last := all[len(all)-1]
		text = text[:last[0]] + text[last[1]:]
		list = append(list, text)
	}
}

func first(own engine.Wording, lang engine.Lang, t Topic, p Part) string {
	if v := variants(own, lang, t, p); len(v) > 0 {
		return v[0]
	}
	return ""
}

var (
	bracketed   = regexp.MustCompile(`\[[^\[\]]*\]`)
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
)

// fill writes a template out.
func fill(template string, lang engine.Lang, f Facts) string {
	value := func(name string) string {
		switch name {
		case "{clinic}":
			return cmp.Or(f.Clinic, "Relais")
		case "{when}":
			return f.at(lang)
		case "{before}":
			return f.by(lang)
		case "{address}":
			return f.Address
		case "{phone}":
			return f.Phone
		case "{link}":
			return f.Link
		case "{code}":
			return f.Code
		}
		return ""
	}
	text := bracketed.ReplaceAllStringFunc(template, func(part string) string {
		part = part[1 : len(part)-1]
		if slices.ContainsFunc(placeholder.FindAllString(part, -1), func(name string) bool { return value(name) == "" }) {
			return ""
		}
		return part
	})
	return placeholder.ReplaceAllStringFunc(text, value)
}

// Topics lists every topic, in order.
func Topics() []Topic {
	list := make([]Topic, 0, len(french))
	for t := range french {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Topic) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(string(a), string(b)))
	})
	return list
}

// rank keeps messages in the order in which people get them, and answers after them.
func rank(t Topic) int {
	order := []Topic{"offer", "reminder", "finalising", "booked", "refused", "taken", "withdrawn", "ended", "confirm", "join", "welcome", "link", "still", TopicCall, TopicChoose, TopicLeave}
	if i := slices.Index(order, t); i >= 0 {
		return i
	}
	return len(order)
}

// parts lists every part in order.
var parts = []Part{PartSMS, PartVoice, PartVoicemail, PartGoodbye, PartSubject, PartTitle, PartEmail, PartButton}

// Parts lists the parts of a topic that a clinic may say in its own way, in order.
func Parts(t Topic) []Part {
	return slices.DeleteFunc(slices.Clone(parts), func(p Part) bool {
		_, known := french[t][p]
		_, spoken := french[replyTopic(engine.AnswerKind(t))]
		return !known && !(p == PartVoice && spoken)
	})
}

// Text returns the template of a part as the clinic says it, and whether it is the clinic's own.
func Text(own engine.Wording, lang engine.Lang, t Topic, p Part) (template string, isOwn bool) {
	_, isOwn = own[string(t)][lang][string(p)]
	return first(own, lang, t, p), isOwn
}
