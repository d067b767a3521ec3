package wording

import (
	"html"
	"slices"
	"strings"

	"relais/engine"
)

// letter is an e-mail before it is laid out.
type letter struct {
	subject string
	title   string
	lines   []string
	buttons []button
}

type button struct {
	label, link string
	second      bool // less weight than the one before it
}

// strongMark begins a line that stands out; no text of people begins with it.
const strongMark = "\x00"

// letterOf fills in the templates of an e-mail. Its body has a paragraph on each line; the line
// {when} stands out, and lines that come to nothing are left out.
func letterOf(t Topic, lang engine.Lang, f Facts) letter {
	l := letter{
		subject: fill(first(f.Own, lang, t, PartSubject), lang, f),
		title:   fill(first(f.Own, lang, t, PartTitle), lang, f),
	}
	for line := range strings.SplitSeq(first(f.Own, lang, t, PartEmail), "\n") {
		text := strings.TrimSpace(fill(line, lang, f))
		if strings.TrimSpace(line) == "{when}" {
			text = strongMark + text
		}
		l.lines = append(l.lines, text)
	}
	if label := first(f.Own, lang, t, PartButton); label != "" {
		l.buttons = []button{{label: fill(label, lang, f), link: f.Link}}
		if t == topic(engine.MsgOffer) || t == topic(engine.MsgReminder) {
			// Both open the page, where a press counts: mail scanners follow every link they see.
			l.buttons = append(l.buttons, button{label: noLabel(lang), link: f.Link + "/no", second: true})
		}
	}
	return l
}

// noLabel stands on the button of those who do not want the slot.
func noLabel(lang engine.Lang) string {
	if lang == engine.English {
		return "No, thank you"
	}
	return "Non merci"
}

// leaveLine says how to stop.
func leaveLine(lang engine.Lang) string {
	if lang == engine.English {
		return "Stop these messages"
	}
	return "Ne plus recevoir ces messages"
}

// pageLine leads to the patient's own page.
func pageLine(lang engine.Lang) string {
	if lang == engine.English {
		return "My preferences"
	}
	return "Mes préférences"
}

// colon stands apart in French only.
func colon(lang engine.Lang) string {
	if lang == engine.English {
		return ": "
	}
	return "\u00a0: "
}

// signature says who writes, line by line, as far as it is known.
func signature(f Facts) []string {
	return slices.DeleteFunc([]string{f.Clinic, f.Address, f.Phone}, func(line string) bool { return line == "" })
}

// plain is the part for people and programs that read no HTML.
func (l letter) plain(lang engine.Lang, f Facts) string {
	var b strings.Builder
	for _, line := range l.lines {
		if line != "" {
			b.WriteString(tidy(strings.TrimPrefix(line, strongMark)) + "\n\n")
		}
	}
	for _, bt := range l.buttons {
		b.WriteString(bt.label + colon(lang) + bt.link + "\n\n")
	}
	b.WriteString("-- \n" + strings.Join(signature(f), "\n") + "\n")
	if f.Page != "" {
		b.WriteString(pageLine(lang) + colon(lang) + f.Page + "\n")
	}
	if f.Leave != "" {
		b.WriteString(leaveLine(lang) + colon(lang) + f.Leave + "\n")
	}
	return b.String()
}

// mailStyle is for programs that read styles: colours for the dark, where they are asked for. Programs
// that drop it show the styles beside the text, which read well on any ground.
const mailStyle = `:root{color-scheme:light dark;supported-color-schemes:light dark}` +
	`@media (prefers-color-scheme:dark){body{background:#12161c!important;color:#e8ecf1!important}` +
	`.card{background:#1c232c!important;border-color:#3a4552!important}.foot,.foot a{color:#b3bdc9!important;border-color:#3a4552!important}` +
	`.yes{background:#9dbbff!important;border-color:#9dbbff!important;color:#0b1a3a!important}.no{color:#9dbbff!important;border-color:#9dbbff!important;background:#1c232c!important}}`

// The styles of the buttons: 48 pixels high and more, for thumbs.
const (
	buttonStyle = "display:block;padding:14px 16px;border:2px solid #003aad;border-radius:8px;text-align:center;text-decoration:none;font-weight:700;line-height:1.4;"
	yesStyle    = buttonStyle + "background:#003aad;color:#ffffff"
	noStyle     = buttonStyle + "background:#ffffff;color:#003aad"
)

// html is a page of its own, with nothing to load.
func (l letter) html(lang engine.Lang, f Facts) string {
	var b strings.Builder
	tag := "fr-CA"
	if lang == engine.English {
		tag = "en-CA"
	}
	b.WriteString(`<!doctype html><html lang="` + tag + `"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark"><title>`)
	b.WriteString(html.EscapeString(l.title))
	b.WriteString(`</title><style>` + mailStyle + `</style></head><body style="margin:0;padding:16px;background:#f4f5f7;color:#1b2430;font:17px/1.5 -apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"><div class="card" lang="` + tag + `" style="max-width:480px;margin:0 auto;background:#ffffff;border:1px solid #d8dde3;border-radius:8px;padding:24px">`)
	b.WriteString(`<h1 style="margin:0 0 16px;font-size:22px;line-height:1.3">` + html.EscapeString(l.title) + `</h1>`)
	for _, line := range l.lines {
		if line == "" {
			continue
		}
		style, text := "margin:0 0 12px", line
		if t, ok := strings.CutPrefix(line, strongMark); ok {
			style, text = "margin:0 0 12px;font-size:20px;font-weight:700", t
		}
		b.WriteString(`<p style="` + style + `">` + html.EscapeString(tidy(text)) + `</p>`)
	}
	for _, bt := range l.buttons {
		class, style := "yes", yesStyle
		if bt.second {
			class, style = "no", noStyle
		}
		b.WriteString(`<p style="margin:16px 0"><a class="` + class + `" href="` + html.EscapeString(bt.link) + `" style="` + style + `">` + html.EscapeString(bt.label) + `</a></p>`)
	}
	b.WriteString(`<p class="foot" style="margin:20px 0 0;padding-top:12px;border-top:1px solid #d8dde3;color:#4a5563;font-size:15px">` +
		strings.ReplaceAll(html.EscapeString(strings.Join(signature(f), "\n")), "\n", `<br>`))
	if f.Page != "" {
		b.WriteString(`<br><a href="` + html.EscapeString(f.Page) + `" style="color:#4a5563">` + pageLine(lang) + `</a>`)
	}
	if f.Leave != "" {
		b.WriteString(`<br><a href="` + html.EscapeString(f.Leave) + `" style="color:#4a5563">` + leaveLine(lang) + `</a>`)
	}
	b.WriteString(`</p></div></body></html>`)
	return b.String()
}
