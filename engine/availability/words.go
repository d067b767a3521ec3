package availability

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"relais/engine"
)

// token is one word, number or sign, in small letters without accents, and as it was written.
type token struct{ word, text string }

// tokens cuts a text where letters, digits and signs meet.
func tokens(text string) []token {
	var all []token
	start, class := 0, 0
	cut := func(end int) {
		if class > 0 && end > start {
			all = append(all, token{plain(text[start:end]), text[start:end]})
		}
		start = end
	}
	for i, r := range text {
		c := classOf(r)
		if c != class || c == sign {
			cut(i)
			class = c
		}
	}
	cut(len(text))
	return joined(all)
}

// joined puts words together that mean something else apart: après-midi, avant midi, fin de semaine.
func joined(all []token) []token {
	out := all[:0]
	for len(all) > 0 {
		n, word := 1, all[0].word
		for _, c := range compounds {
			if len(c.of) <= len(all) && slices.EqualFunc(c.of, all[:len(c.of)], func(w string, t token) bool { return w == t.word }) {
				n, word = len(c.of), c.word
			}
		}
		out = append(out, token{word, all[0].text})
		all = all[n:]
	}
	return out
}

var compounds = []struct {
	of   []string
	word string
}{
	{[]string{"apres", "midi"}, "apres-midi"},
	{[]string{"apres", "-", "midi"}, "apres-midi"},
	{[]string{"avant", "midi"}, "avant-midi"},
	{[]string{"avant", "-", "midi"}, "avant-midi"},
	{[]string{"fin", "de", "semaine"}, "weekend"},
	{[]string{"fins", "de", "semaine"}, "weekend"},
	{[]string{"week", "-", "end"}, "weekend"},
	{[]string{"a", "partir", "de"}, "from"},
}

const (
	space = iota
	letter
	digit
	sign
)

func classOf(r rune) int {
	switch {
	case unicode.IsSpace(r), r == '\u00a0', r == '\u202f', r == ',':
		return space
	case unicode.IsDigit(r):
		return digit
	case unicode.IsLetter(r), r == '\'', r == '’', unicode.Is(unicode.Mn, r):
		return letter
	}
	return sign
}

// plain takes case and accents away.
func plain(s string) string {
	t := transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn)), norm.NFC)
	if out, _, err := transform.String(t, s); err == nil {
		s = out
	}
	s = strings.ToLower(strings.ReplaceAll(s, "’", "'"))
	for _, elided := range []string{"l'", "d'"} {
		s = strings.TrimPrefix(s, elided)
	}
	switch s {
	case "–", "—", "−":
		return "-"
	}
	return s
}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// Words that say nothing about when.
var filler = set("le la les l un une on the en au aux in at during pendant je peux suis disponible libre dispo i am i'm can come available free " +
	"et and ou or & + journee jour jours day days seulement only h . - avec plutot de preference")

var (
	except = set("sauf except excepte pas not hors but")
	before = set("avant before jusqu'a until till jusque")
	after  = set("apres after des depuis since")
	// intervals begin two times of day.
	intervals = set("entre between from de")
)

var dayWords = func() map[string]uint8 {
	m := map[string]uint8{
		"semaine": weekdays, "weekday": weekdays, "weekdays": weekdays, "ouvrables": weekdays,
		"weekend": weekend, "weekends": weekend, "fds": weekend,
		"tous": everyDay, "toujours": everyDay, "chaque": everyDay, "every": everyDay, "any": everyDay, "anytime": everyDay, "everyday": everyDay,
	}
	for i, names := range []string{
		"dimanche dimanches dim sunday sundays sun", "lundi lundis lun monday mondays mon", "mardi mardis mar tuesday tuesdays tue tues",
		"mercredi mercredis mer wednesday wednesdays wed", "jeudi jeudis jeu thursday thursdays thu thur thurs",
		"vendredi vendredis ven friday fridays fri", "samedi samedis sam saturday saturdays sat",
	} {
		for name := range strings.FieldsSeq(names) {
			m[name] = 1 << i
		}
	}
	return m
}()

var parts = map[string]span{
	"matin": {0, 720}, "matins": {0, 720}, "matinee": {0, 720}, "avant-midi": {0, 720}, "morning": {0, 720}, "mornings": {0, 720},
	"apres-midi": {720, 1080}, "afternoon": {720, 1080}, "afternoons": {720, 1080},
	"soir": {1020, dayEnd}, "soirs": {1020, dayEnd}, "soiree": {1020, dayEnd}, "evening": {1020, dayEnd}, "evenings": {1020, dayEnd},
	"midi": {690, 810}, "noon": {690, 810}, "lunch": {690, 810},
}

// speech is how a language says windows.
type speech struct {
	anyTime, weekdays, weekend, always, and, to string
	days                                        [7]string
	morning, afternoon, evening                 string
	before, after, between                      string
	clock                                       func(int) string
}

var words = map[engine.Lang]speech{
	engine.French: {
		anyTime: "", weekdays: "en semaine", weekend: "la fin de semaine", always: "tous les jours", and: " et ", to: " au ",
		days:    [7]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
		morning: "le matin", afternoon: "l’après-midi", evening: "le soir",
		before: "avant %s", after: "après %s", between: "entre %s et %s",
		clock: func(m int) string {
			if m%60 == 0 {
				return fmt.Sprintf("%d h", m/60)
			}
			return fmt.Sprintf("%d h %02d", m/60, m%60)
		},
	},
	engine.English: {
		anyTime: "", weekdays: "weekdays", weekend: "weekends", always: "every day", and: " and ", to: " to ",
		days:    [7]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
		morning: "morning", afternoon: "afternoon", evening: "evening",
		before: "before %s", after: "after %s", between: "between %s and %s",
		clock: func(m int) string { return fmt.Sprintf("%d:%02d", m/60, m%60) },
	},
}

// say returns the days and the times of a window.
func (w *speech) say(m engine.Window) (days, times string) {
	switch m.Days & everyDay {
	case everyDay:
		days = w.always
	case weekdays:
		days = w.weekdays
	case weekend:
		days = w.weekend
	default:
		var names []string
		for i := range 7 {
			if d := (i + 1) % 7; m.Days>>d&1 == 1 { // a week starts on Monday
				names = append(names, w.days[d])
			}
		}
		last := len(names) - 1
		if days = names[last]; last > 0 {
			days = strings.Join(names[:last], ", ") + w.and + names[last]
		}
	}
	switch s := (span{m.From, m.Until}); {
	case s == span{0, dayEnd}:
	case s == parts["matin"]:
		times = w.morning
	case s == parts["apres-midi"]:
		times = w.afternoon
	case s == parts["soir"]:
		times = w.evening
	case s.from <= 0:
		times = fmt.Sprintf(w.before, w.clock(s.until))
	case s.until >= dayEnd:
		times = fmt.Sprintf(w.after, w.clock(s.from))
	default:
		times = fmt.Sprintf(w.between, w.clock(s.from), w.clock(s.until))
	}
	return days, times
}
