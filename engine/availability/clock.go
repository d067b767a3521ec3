package availability

import "strconv"

// clock reads a time of day: 9, 9 h, 9h30, 9:30, 9 am, 3:30 pm, midi, noon, minuit.
func (p *parser) clock() (minutes int, ok bool) {
	if p.is("midi", "noon") {
		return 12 * 60, true
	}
	if p.is("minuit", "midnight") {
		return dayEnd, true
	}
	hour, ok := p.number(24)
	if !ok {
		return 0, false
	}
	minutes = hour * 60
	if p.is("h", ":", "heures", "heure", "hr", "hrs") {
		if m, ok := p.number(59); ok {
			minutes += m
		}
	}
	switch {
	case p.is("am", "a.m"):
		if hour == 12 {
			minutes -= 12 * 60
		}
	case p.is("pm", "p.m"):
		if hour < 12 {
			minutes += 12 * 60
		}
	}
	return minutes, minutes <= dayEnd
}

// number takes a number up to most.
func (p *parser) number(most int) (int, bool) {
	if !p.more() {
		return 0, false
	}
	n, err := strconv.Atoi(p.tokens[0].word)
	if err != nil || n < 0 || n > most {
		return 0, false
	}
	p.next()
	return n, true
}
