package wording

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"relais/engine"
)

// Finding is something wrong with one text.
type Finding struct {
	Topic    Topic       `json:"topic"`
	Lang     engine.Lang `json:"lang"`
	Part     Part        `json:"part"`
	Sentence string      `json:"sentence"` // what is wrong and what to do, without the text's place
}

// String says where and what: "offer.fr.sms: needs 2 segments ...".
func (f Finding) String() string {
	return fmt.Sprintf("%s.%s.%s %s", f.Topic, f.Lang, f.Part, f.Sentence)
}

// Check says everything that is wrong with a clinic's own texts: topics, languages and parts that do not
// exist, placeholders that are not known or are missing, words that must not be there, and texts
// too long for one SMS with the clinic's real name and the longest date. link is a patient's
// page as long as they get.
func Check(c engine.Clinic, link string) []Finding {
	var found []Finding
	for _, t := range sortedKeys(c.Wording) {
		if _, ok := french[Topic(t)]; !ok {
			found = append(found, Finding{Topic(t), "", "", "is not a message; relais wording list names them."})
			continue
		}
		for _, lang := range sortedKeys(c.Wording[t]) {
			if lang != engine.French && lang != engine.English {
				found = append(found, Finding{Topic(t), lang, "", "is not a language; write fr or en."})
				continue
			}
			for _, p := range sortedKeys(c.Wording[t][lang]) {
				if !slices.Contains(Parts(Topic(t)), Part(p)) {
					found = append(found, Finding{Topic(t), lang, Part(p), fmt.Sprintf("is not a part of this message; it has %s.", join(Parts(Topic(t))))})
					continue
				}
				found = append(found, CheckText(c, link, Topic(t), lang, Part(p), c.Wording[t][lang][p])...)
			}
		}
	}
	return found
}

// CheckText says everything that is wrong with one template, for the clinic.
func CheckText(c engine.Clinic, link string, t Topic, lang engine.Lang, p Part, template string) []Finding {
	k := check{clinic: c, topic: t, lang: lang, part: p, text: template}
	if strings.TrimSpace(template) == "" {
		k.say("is empty; leave it out and Relais says it in its own words.")
		return k.found
	}
	if !k.placeholders() {
		return k.found
	}
	k.must()
	k.forbidden()
	if p == PartSMS {
		k.segment(Worst(c, link))
	}
	return k.found
}

// Worst is what makes the longest texts for a clinic: its real name and numbers, the longest date
// there is and a link.
func Worst(c engine.Clinic, link string) Facts {
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		zone = time.UTC
	}
	f := Facts{
		Clinic: c.Name, Address: c.Address, Phone: c.Phone, Zone: zone, Link: link, Own: c.Wording, Leave: link + "/leave",
		Code:  "888888",
		Start: time.Date(2026, 9, 30, 10, 40, 0, 0, zone), Deadline: time.Date(2026, 9, 30, 10, 10, 0, 0, zone),
	}
	for _, p := range c.Places {
		if len(p.Address) > len(f.Address) {
			f.Address = p.Address
		}
	}
	return f
}

type check struct {
	clinic engine.Clinic
	topic  Topic
	lang   engine.Lang
	part   Part
	text   string
	found  []Finding
}

func (k *check) say(format string, args ...any) {
	k.found = append(k.found, Finding{k.topic, k.lang, k.part, fmt.Sprintf(format, args...)})
}

var known = []string{"{clinic}", "{when}", "{before}", "{address}", "{phone}", "{link}", "{code}"}

// placeholders reports whether the template can be filled in.
func (k *check) placeholders() bool {
	n := len(k.found)
	for _, name := range placeholder.FindAllString(k.text, -1) {
		if !slices.Contains(known, name) {
			k.say("has %s, which is nothing that Relais fills in; it knows %s.", name, strings.Join(known, " "))
		}
	}
	if rest := placeholder.ReplaceAllString(k.text, ""); strings.ContainsAny(rest, "{}") {
		k.say("has a { or } alone; a name to fill in stands between both, for example {when}.")
	}
	if rest := bracketed.ReplaceAllString(k.text, ""); strings.ContainsAny(rest, "[]") {
		k.say("has a [ or ] alone, or one pair inside another; what may be left out stands between both.")
	}
	return len(k.found) == n
}

// needs says which names a part must fill in, outside of brackets.
func needs(t Topic, p Part) []string {
	kind := engine.MessageKind(t)
	switch p {
	case PartSMS, PartVoice, PartEmail:
		switch kind {
		case engine.MsgOffer, engine.MsgReminder, engine.MsgFinalising, engine.MsgBooked:
			return []string{"{clinic}", "{when}"}
		case engine.MsgRefused, engine.MsgTaken, engine.MsgWithdrawn, engine.MsgEnded, engine.MsgConfirm:
			return []string{"{clinic}"}
		case engine.MsgStill:
			return []string{"{clinic}"}
		case engine.MsgWelcome, engine.MsgLink:
			if p == PartEmail { // its button has the link
				return []string{"{clinic}"}
			}
			return []string{"{link}"}
		case engine.MsgJoin:
			return []string{"{clinic}", "{code}"}
		case engine.MsgNote, engine.MsgWeekly: // a person writes it; package insight does
		}
	case PartVoicemail:
		return []string{"{clinic}"}
	case PartGoodbye, PartSubject, PartTitle, PartButton:
	}
	return nil
}

// must checks what has to be said: who, when, how to answer and how to stop.
func (k *check) must() {
	always := bracketed.ReplaceAllString(k.text, "")
	for _, name := range needs(k.topic, k.part) {
		if !strings.Contains(always, name) {
			k.say("lacks %s; it must stand there, outside of [brackets].", name)
		}
	}
	asks := k.topic == topic(engine.MsgOffer) || k.topic == topic(engine.MsgReminder) || k.topic == topic(engine.MsgConfirm) ||
		k.topic == topic(engine.MsgStill)
	switch {
	case k.part == PartVoicemail && (strings.Contains(k.text, "{when}") || strings.Contains(k.text, "{before}")):
		k.say("names a date; a voicemail is heard by others, so it asks to call back and no more.")
	case k.part == PartVoicemail && !strings.Contains(k.text, "{phone}"):
		k.say("lacks {phone}; a voicemail asks to call back.")
	case asks && k.part == PartVoice && !hasWords(always, "1", "2"):
		k.say("must say how to answer: press 1 to take it, 2 to leave it.")
	case asks && k.part == PartSMS:
		if !hasWords(always, "1", "2") && (k.lang == engine.English || !hasWords(always, "OUI", "NON")) {
			k.say("must say how to answer: %s.", map[engine.Lang]string{engine.French: "OUI or NON", engine.English: "1 or 2"}[k.lang])
		}
		if !hasWords(always, "STOP") && !hasWords(always, "ARRET") {
			k.say("must say how to stop: %s.", map[engine.Lang]string{engine.French: "ARRET pour cesser", engine.English: "STOP to opt out"}[k.lang])
		}
	}
}

// hasWords reports whether all words stand in the text, each by itself.
func hasWords(text string, words ...string) bool {
	fields := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" .,;:?!()[]/\"'\n\u00a0", r) })
	return !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(fields, w) })
}

// What no text may hold. The lists name what clinics of Quebec would be most likely to write; they
// cannot name everything, so a person reads each text too: see relais wording preview.
var (
	specialtyWords = regexp.MustCompile(`(?i)(dermato|cardio|gyn[ée]co|psych|oncolog|p[ée]diatr|urolog|n[ée]phrolog|neurolog|ophtalm|ophthalm|radiolog|orthop|rhumato|rheumato|endocrin|gastro|physioth|m[ée]decine familiale|family medicine|dentist|chirurg|surge|sp[ée]cialit|special(ty|ties))[\p{L}]*`)
	reasonWords    = regexp.MustCompile(`(?i)\b(raison|motif|reason|diagnos|r[ée]sultat|result|biops|cancer|d[ée]pist|screening|vih\b|hiv\b|grossesse|pregnan|traitement|treatment|examen|sympt|maladie|disease|illness|m[ée]dicament|medication|vaccin)[\p{L}]*`)
	doctorWords    = regexp.MustCompile(`(?i)\b(dre?\b\.?|docteure?|doctor|m[ée]decin|physician)( \p{Lu}[\p{L}-]*)?`)
	carrierWords   = regexp.MustCompile(`\b(YES|CANCEL|END|QUIT|STOPALL|UNSUBSCRIBE|REVOKE)\b|(?i)\b(?:tapez|[ée]crivez|r[ée]pondez|envoyez|reply|type|text|send|answer) (?:par |with )?["“«]?\s?(yes|y|cancel|end|quit|stopall|unsubscribe|revoke)\b`)
)

func (k *check) forbidden() {
	text := placeholder.ReplaceAllString(k.text, "")
	for _, rule := range []struct {
		words *regexp.Regexp
		why   string
	}{
		{specialtyWords, "names a specialty; others read it too"},
		{reasonWords, "hints at why the patient comes; others read it too"},
		{doctorWords, "names a practitioner; others read it too"},
		{carrierWords, "asks for a word that carriers take as a command; ask for OUI, NON, 1 or 2"},
	} {
		if word := rule.words.FindString(text); word != "" {
			k.say("has %q, which %s.", word, rule.why)
		}
	}
	for _, p := range k.clinic.Practitioners {
		names := strings.Fields(p.Name)
		if len(names) > 0 && hasWords(text, names[len(names)-1]) {
			k.say("has %q, which names a practitioner; others read it too.", names[len(names)-1])
		}
		if s := string(p.Specialty); s != "" && strings.Contains(strings.ToLower(text), strings.ToLower(s)) && !specialtyWords.MatchString(text) {
			k.say("has %q, which names a specialty; others read it too.", s)
		}
	}
}

// segment checks that the text fits one SMS in the short alphabet, with the brackets left out when
// it must be and the clinic's name whole.
func (k *check) segment(f Facts) {
	var outside []string
	for _, r := range placeholder.ReplaceAllString(k.text, "") {
		if s := string(r); gsmWidth(r) == 0 && !slices.Contains(outside, s) {
			outside = append(outside, s)
		}
	}
	if len(outside) > 0 {
		k.say("has %s, which is not in the alphabet of short texts and would double their price; write %s.",
			strings.Join(outside, " "), strings.Join(strings.Fields(plainGSM(strings.Join(outside, " "))), " "))
	}
	f.Own = engine.Wording{string(k.topic): {k.lang: {string(k.part): k.text}}}
	shortest := variants(f.Own, k.lang, k.topic, k.part)
	text := plainGSM(fill(shortest[len(shortest)-1], k.lang, f))
	if k.topic == TopicChoose || k.topic == TopicLeave {
		text = Choose(k.lang, []Facts{f, f}, k.topic == TopicLeave)
	}
	if n, _ := Segments(text); n > 1 {
		k.say("needs %d segments with the name %q on %s: %d of 160 characters; write it shorter, or put what may be left out in [brackets].",
			n, f.Clinic, f.at(k.lang), width(text))
	}
}

// width counts the places that a text takes in the short alphabet.
func width(text string) int {
	n := 0
	for _, r := range text {
		n += max(1, gsmWidth(r))
	}
	return n
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func join(parts []Part) string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}
