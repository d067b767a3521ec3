package reach

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"relais/engine"
)

// maxText is how many characters are read; a longer text says more than a word.
const maxText = 1600

type word struct {
	intent engine.Intent
	number int
	lang   engine.Lang
}

// words are those that mean something by themselves. Words of both languages, and those that
// carriers impose on everybody, do not tell the language.
var words = map[string]word{
	"oui": {engine.Yes, 0, engine.French}, "o": {engine.Yes, 0, ""},
	"yes": {engine.Yes, 0, engine.English}, "y": {engine.Yes, 0, engine.English},
	"non": {engine.No, 0, engine.French}, "n": {engine.No, 0, ""}, "no": {engine.No, 0, engine.English},

	"arret": {engine.Stop, 0, engine.French}, "arrete": {engine.Stop, 0, engine.French},
	"arreter": {engine.Stop, 0, engine.French}, "arretez": {engine.Stop, 0, engine.French},
	"desabonner": {engine.Stop, 0, engine.French}, "stop": {engine.Stop, 0, ""},
	"stopall": {engine.Stop, 0, engine.English}, "unsubscribe": {engine.Stop, 0, engine.English},
	"cancel": {engine.Stop, 0, engine.English}, "end": {engine.Stop, 0, engine.English},
	"quit": {engine.Stop, 0, engine.English}, "revoke": {engine.Stop, 0, engine.English},

	"start": {engine.Start, 0, ""}, "unstop": {engine.Start, 0, ""},
	"aide": {engine.Help, 0, engine.French}, "info": {engine.Help, 0, ""}, "help": {engine.Help, 0, engine.English},

	"1": {engine.Yes, 1, ""}, "2": {engine.No, 2, ""},
	"3": {engine.Choice, 3, ""}, "4": {engine.Choice, 4, ""}, "5": {engine.Choice, 5, ""}, "6": {engine.Choice, 6, ""},
	"7": {engine.Choice, 7, ""}, "8": {engine.Choice, 8, ""}, "9": {engine.Choice, 9, ""},
}

// courtesies may stand around a word without changing what it means. Longer ones come first.
var courtesies = []struct {
	words []string
	lang  engine.Lang
}{
	{[]string{"s", "il", "vous", "plait"}, engine.French},
	{[]string{"s", "il", "te", "plait"}, engine.French},
	{[]string{"merci", "beaucoup"}, engine.French},
	{[]string{"thank", "you"}, engine.English},
	{[]string{"svp"}, engine.French},
	{[]string{"stp"}, engine.French},
	{[]string{"merci"}, engine.French},
	{[]string{"bonjour"}, engine.French},
	{[]string{"bonsoir"}, engine.French},
	{[]string{"please"}, engine.English},
	{[]string{"pls"}, engine.English},
	{[]string{"thanks"}, engine.English},
	{[]string{"hello"}, engine.English},
	{[]string{"hi"}, engine.English},
	// "OK" by itself may only mean that the message was read: a false booking costs more than one
	// more question.
	{[]string{"ok"}, ""},
	{[]string{"okay"}, ""},
}

// Read says what a written reply, a key press (as its digit) or recognised speech means. Only a
// text that is nothing but such a word, with courtesies and punctuation around it, is understood:
// "oui mais pas mardi" must go to a person. number is set for a single digit. lang is that of the
// words, "" when they do not tell.
func Read(text string) (intent engine.Intent, number int, lang engine.Lang) {
	if utf8.RuneCountInString(text) > maxText {
		return engine.Unclear, 0, ""
	}
	var found word
	var polite engine.Lang
	rest := strings.Fields(plain(text))
	for len(rest) > 0 {
		if n, l := courtesy(rest); n > 0 {
			if polite == "" {
				polite = l
			}
			rest = rest[n:]
			continue
		}
		w, known := words[rest[0]]
		if !known {
			return engine.Unclear, 0, ""
		}
		rest = rest[1:]
		if w.intent == engine.Stop && len(rest) > 0 && rest[0] == "all" {
			rest = rest[1:]
		}
		var ok bool
		if found, ok = join(found, w); !ok {
			return engine.Unclear, 0, ""
		}
	}
	switch {
	case found.intent == "":
		return engine.Unclear, 0, ""
	case (found.intent == engine.Yes || found.intent == engine.No) && strings.ContainsAny(text, "?？"):
		return engine.Unclear, 0, "" // a question is not an answer
	case found.lang == "":
		found.lang = polite
	}
	return found.intent, found.number, found.lang
}

// join takes two words together: they must mean the same ("oui, oui", "1 oui"). Only a no may
// stand beside a stop, which says more.
func join(a, b word) (word, bool) {
	if a.intent == "" {
		return b, true
	}
	if a.intent == engine.No && b.intent == engine.Stop {
		a = word{engine.Stop, 0, a.lang}
	}
	if a.intent == engine.Stop && b.intent == engine.No {
		b = word{engine.Stop, 0, b.lang}
	}
	if a.intent != b.intent || (a.number != 0 && b.number != 0 && a.number != b.number) {
		return word{}, false
	}
	a.number = max(a.number, b.number)
	if a.lang == "" {
		a.lang = b.lang
	}
	return a, true
}

// courtesy says how many of the first words are a courtesy, and in which language.
func courtesy(rest []string) (n int, lang engine.Lang) {
next:
	for _, c := range courtesies {
		if len(rest) < len(c.words) {
			continue
		}
		for i, w := range c.words {
			if rest[i] != w {
				continue next
			}
		}
		return len(c.words), c.lang
	}
	return 0, ""
}

// bare are the letters that people type with accents, without them.
var bare = map[rune]rune{
	'à': 'a', 'á': 'a', 'â': 'a', 'ã': 'a', 'ä': 'a', 'å': 'a', 'ç': 'c', 'è': 'e', 'é': 'e', 'ê': 'e', 'ë': 'e',
	'ì': 'i', 'í': 'i', 'î': 'i', 'ï': 'i', 'ñ': 'n', 'ò': 'o', 'ó': 'o', 'ô': 'o', 'õ': 'o', 'ö': 'o', 'ø': 'o',
	'ù': 'u', 'ú': 'u', 'û': 'u', 'ü': 'u', 'ý': 'y', 'ÿ': 'y',
}

// plain keeps letters and digits, small and without accents; everything else separates words.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r >= '！' && r <= '～' { // full-width forms of ASCII
			r -= '！' - '!'
		}
		r = unicode.ToLower(r)
		if l, ok := bare[r]; ok {
			r = l
		}
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r):
			b.WriteRune(r)
		case unicode.Is(unicode.M, r), unicode.Is(unicode.Cf, r): // accents and key caps of their own, joiners
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}
