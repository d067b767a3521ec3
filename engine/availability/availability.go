// Package availability reads when people can come, in their own words ("mardi matin et jeudi après
// 15 h", "weekdays except Friday, before 10"), and says it back, so that they see what was understood.
//
// A morning ends at noon, an afternoon is noon to 18:00, an evening starts at 17:00; a slot must lie
// inside. French and English may be mixed. What cannot be read is refused with the word that is in the
// way, never guessed.
package availability

import (
	"slices"
	"strings"

	"relais/engine"
)

// MaxText is the longest text that is read, in bytes.
const MaxText = 500

const (
	everyDay = 0x7f
	weekdays = 0x3e // Monday to Friday
	weekend  = 0x41
	dayEnd   = 24 * 60
)

type span struct{ from, until int }

// Parse reads a text. "" is any time: no windows. The error is engine.Invalid and names the first word
// that is in the way.
func Parse(text string) ([]engine.Window, error) {
	if len(text) > MaxText {
		return nil, engine.Errorf(engine.Invalid, "the text is longer than %d characters", MaxText)
	}
	p := parser{tokens: tokens(text)}
	for p.more() {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	if err := p.flush(); err != nil {
		return nil, err
	}
	return merge(p.windows), nil
}

// parser collects days and times until a day follows times, or the sentence ends.
type parser struct {
	tokens  []token
	days    uint8
	without uint8 // days after "except"
	except  bool
	spans   []span
	first   bool // the times came before the days
	windows []engine.Window
}

func (p *parser) more() bool { return len(p.tokens) > 0 }

func (p *parser) next() token {
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

// is takes the next token when it is one of the words.
func (p *parser) is(words ...string) bool {
	if p.more() && slices.Contains(words, p.tokens[0].word) {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

func (p *parser) step() error {
	t := p.tokens[0]
	switch days, day := dayWords[t.word]; {
	case t.word == ";" || t.word == ".":
		p.next()
		return p.flush()
	case filler[t.word]:
		p.next()
		return nil
	case except[t.word]:
		p.next()
		p.except = true
		return nil
	case day:
		return p.day(days)
	}
	return p.time()
}

// day takes a day, days in one word, or "Monday to Thursday".
func (p *parser) day(days uint8) error {
	if len(p.spans) > 0 && p.days != 0 && !p.except {
		if err := p.flush(); err != nil {
			return err
		}
	}
	first := p.next()
	rest := p.tokens
	if p.is("au", "a", "to", "through", "-", "until", "jusqu'au") {
		p.is("le", "the")
		if p.more() {
			if last, ok := dayWords[p.tokens[0].word]; ok && single(days) && single(last) {
				p.next()
				days = through(days, last)
				rest = p.tokens
			}
		}
	}
	p.tokens = rest
	if days == 0 {
		return cannot(first)
	}
	if p.except {
		p.without |= days
	} else {
		p.days |= days
	}
	return nil
}

func single(days uint8) bool { return days != 0 && days&(days-1) == 0 }

// through returns the days from one to another, over Saturday when that comes first.
func through(first, last uint8) (days uint8) {
	for d := first; ; {
		days |= d
		if d == last {
			return days
		}
		if d <<= 1; d > 1<<6 {
			d = 1
		}
	}
}

// time takes a part of the day, "before 10", "after 15 h", "9 to 11".
func (p *parser) time() error {
	t := p.next()
	if s, ok := parts[t.word]; ok {
		return p.span(s, t)
	}
	switch {
	case before[t.word]:
		p.is("de", "le", "the")
		until, ok := p.clock()
		if !ok {
			return p.stuck(t)
		}
		return p.span(span{0, until}, t)
	case after[t.word]:
		p.is("de", "le", "the")
		from, ok := p.clock()
		if !ok {
			return p.stuck(t)
		}
		return p.span(span{from, dayEnd}, t)
	case intervals[t.word]:
	default:
		p.tokens = slices.Insert(p.tokens, 0, t)
	}
	from, ok := p.clock()
	if !ok {
		return p.stuck(t)
	}
	if !p.is("et", "and", "a", "to", "-", "until", "till", "jusqu'a") {
		if t.word == "from" {
			return p.span(span{from, dayEnd}, t)
		}
		return p.stuck(t)
	}
	until, ok := p.clock()
	if !ok {
		return p.stuck(t)
	}
	if until <= from && until <= dayEnd/2 && until+dayEnd/2 > from { // "9 to 5", "1 to 4 pm" said short
		until += dayEnd / 2
	}
	return p.span(span{from, until}, t)
}

func (p *parser) span(s span, t token) error {
	if s.from >= s.until || p.except && p.without == 0 {
		return cannot(t)
	}
	p.except = false
	if p.first && p.days|p.without != 0 { // "9 h à 11 h le lundi, mardi soir": the next begins
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.first = p.days|p.without == 0
	p.spans = append(p.spans, s)
	return nil
}

// stuck names the word that stands in the way: the next one, or else the last one read.
func (p *parser) stuck(last token) error {
	if p.more() {
		return cannot(p.tokens[0])
	}
	return cannot(last)
}

func cannot(t token) error {
	return engine.Errorf(engine.Invalid, "cannot read %q; write for example: mardi matin, jeudi après 15 h", t.text)
}

// flush turns what was collected into windows.
func (p *parser) flush() error {
	days, spans := p.days, p.spans
	if days == 0 && p.without == 0 && len(spans) == 0 {
		if p.except {
			return engine.Errorf(engine.Invalid, "say which days do not suit")
		}
		return nil
	}
	if days == 0 {
		days = everyDay
	}
	if days &^= p.without; days == 0 {
		return engine.Errorf(engine.Invalid, "no day is left")
	}
	if len(spans) == 0 {
		spans = []span{{0, dayEnd}}
	}
	for _, s := range spans {
		p.windows = append(p.windows, engine.Window{Days: days, From: s.from, Until: s.until})
	}
	p.days, p.without, p.except, p.spans, p.first = 0, 0, false, nil, false
	return nil
}

// merge joins, for each day, what overlaps or touches, and then days with the same times.
func merge(windows []engine.Window) []engine.Window {
	byTimes := map[span]uint8{}
	for day := range 7 {
		var spans []span
		for _, w := range windows {
			if w.Days>>day&1 == 1 {
				spans = append(spans, span{w.From, w.Until})
			}
		}
		slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
		for i := 0; i < len(spans); {
			s := spans[i]
			for i++; i < len(spans) && spans[i].from <= s.until; i++ {
				s.until = max(s.until, spans[i].until)
			}
			byTimes[s] |= 1 << day
		}
	}
	if len(byTimes) == 1 && byTimes[span{0, dayEnd}] == everyDay {
		return nil
	}
	var merged []engine.Window
	for s, days := range byTimes {
		merged = append(merged, engine.Window{Days: days, From: s.from, Until: s.until})
	}
	slices.SortFunc(merged, func(a, b engine.Window) int {
		if a.From != b.From {
			return a.From - b.From
		}
		return a.Until - b.Until
	})
	return merged
}

// Describe says windows in words that Parse reads as the same windows.
func Describe(windows []engine.Window, lang engine.Lang) string {
	w := words[engine.French]
	if lang == engine.English {
		w = words[engine.English]
	}
	merged := merge(windows)
	if len(merged) == 0 {
		return w.anyTime
	}
	parts := make([]string, 0, len(merged))
	for _, m := range merged {
		days, times := w.say(m)
		parts = append(parts, strings.TrimSpace(days+" "+times))
	}
	return strings.Join(parts, "; ")
}
